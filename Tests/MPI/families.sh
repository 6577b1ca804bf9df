#!/usr/bin/env bash
# A golden model of each family and task (Tests/Goldens/transformers) in two rounds with LoRA, of full fine-tuning, and of
# instruction tuning where it is a language model: one digest on 1 and 3 ranks. Usage: Tests/MPI/families.sh [BINARY_DIRECTORY]
# Prints one line a check and, last, "N passed, N failed, N skipped".
set -u
cd "$(dirname "$0")/../.." || exit 1
. Tests/MPI/checks.bash
bin=$(program_directory cellm-mpi "${1:-}") || exit 1
program=$bin/cellm-mpi
command -v python3 > /dev/null || { skip "families: no python3 to make a corpus"; finish; }

# Corpora of 24 and 8 examples with 4 labels: texts of 2 to 30 tokens from 1 to 58, with an answer in each; and images
# of the shape in a config.json.
cat > "$scratch/corpus.py" << 'PY'
import array, json, os, random, struct, sys
def write(path, tensors, **metadata):
    header, body = {"__metadata__": metadata}, b""
    for name, dtype, code, values, *shape in tensors:
        data = array.array(code, values).tobytes()
        shape = shape or ([len(values) // 4, 4] if name == "label_sets" else [len(values)])
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(body), len(body) + len(data)]}
        body += data
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    open(path, "wb").write(struct.pack("<Q", len(text)) + text + body)
os.makedirs(sys.argv[1])
draw = random.Random(5)
def labelled(count):
    return [("labels", "I32", "i", [i % 4 for i in range(count)]),
            ("label_sets", "U8", "B", [draw.randint(0, 1) for _ in range(4 * count)])]
if len(sys.argv) > 2:
    config = json.load(open(sys.argv[2]))
    size, channels = config["image_size"], config["num_channels"]
    for split, count in (("train", 24), ("test", 8)):
        pixels = [draw.randint(0, 255) for _ in range(count * size * size * channels)]
        write(f"{sys.argv[1]}/{split}.safetensors",
              [*labelled(count), ("images", "U8", "B", pixels, count, size, size, channels)],
              image_mean=json.dumps([0.5] * channels), image_std=json.dumps([0.25] * channels))
    sys.exit()
for split, count in (("train", 24), ("test", 8)):
    rows = [[draw.randint(1, 58) for _ in range(draw.randint(2, 30))] for _ in range(count)]
    offsets = [0]
    for row in rows:
        offsets.append(offsets[-1] + len(row))
    write(f"{sys.argv[1]}/{split}.safetensors", [
        ("offsets", "I64", "q", offsets), ("tokens", "U16", "H", [t for row in rows for t in row]),
        *labelled(count),
        ("scores", "F32", "f", [draw.gauss(0, 1) for _ in range(count)]),
        ("loss", "U8", "B", [int(2 * t >= len(row)) for row in rows for t in range(len(row))])])
PY
python3 "$scratch/corpus.py" "$scratch/corpus"
goldens=$PWD/Tests/Goldens/transformers
seen=""
for directory in "$goldens"/*/; do
  name=$(basename "$directory")
  [ -f "$directory/golden.json" ] || continue
  task=$(sed -nE 's/.*"task": "(.*)",/\1/p' "$directory/golden.json")
  # One case of each family and task.
  family=$(sed -nE 's/.*"model_type": "(.*)",?/\1/p' "$directory/config.json")
  case " $seen " in *" $family:$task "*) continue ;; esac
  seen="$seen $family:$task"
  cases="$task:lora $task:full"
  corpus=$scratch/corpus
  if [ "$family" = vit ]; then
    corpus=$scratch/$name-corpus
    python3 "$scratch/corpus.py" "$corpus" "$directory/config.json"
  fi
  [ "$task" != language_modelling ] || cases="$cases instruction_tuning:lora"
  for case in $cases; do
    kind=${case#*:}
    cat > "$scratch/x.yaml" << YAML
model: {path: $directory}
data: {path: $corpus, max_length: 30}
task: {kind: ${case%:*}}
partition: {kind: iid, clients: 6}
adapter: {kind: $kind$([ $kind = full ] || echo ", lora_rank: 2, alpha: 4")}
method: {download: {density: 0.5}, upload: {density: 0.25}}
federation: {rounds: 2, cohort_size: 4, server: {optimizer: adam_w, learning_rate: 0.001}}
local: {epochs: 1, batch_size: 4, learning_rate: 0.01}
evaluation: {every: 2, splits: [test]}
YAML
    digest_of "$scratch/$name-$case-1" "$program" run "$scratch/x.yaml" > "$scratch/expected"
    digest_of "$scratch/$name-$case-3" mpirun -np 3 "$program" run "$scratch/x.yaml" > "$scratch/found"
    check "$name, $case: 1 and 3 ranks, digest $(cat "$scratch/found")" same_text "$scratch/expected" "$scratch/found"
  done
done
# Images of another size, images for a model of text, and the other way round.
python3 "$scratch/corpus.py" "$scratch/images" "$goldens/vit_classification/config.json"
refused() {
  local label=$1 text=$2
  shift 2
  ends "$label" "$1" "$text" 60 "$program" plan "$scratch/x.yaml" --set task.kind=classification \
    --set adapter='{kind: lora, lora_rank: 2, alpha: 4}' --set model.path="$goldens/$2" --set data.path="$3" "${@:4}"
}
refused "images of another size" "images are 12 x 12 of 1 channels, and the model takes 10 x 10 of 3" \
  65 vit_multi_label "$scratch/images"
refused "images for a model of text" "the corpus has images, and the model reads text" \
  65 bert_classification "$scratch/images"
refused "texts for a model of images" "the model reads images, and the corpus has texts" \
  65 vit_classification "$scratch/corpus"
refused "images that would be cut" "data.max_length: an image has 10 tokens in this model" \
  64 vit_classification "$scratch/images" --set data.max_length=9
finish
