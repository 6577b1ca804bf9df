#!/usr/bin/env bash
# Model and adapter directories as other programs write them: what is used of them, what is refused and by which
# name, what an export holds, and hosts with different files. Usage: Tests/MPI/models.sh [BINARY_DIRECTORY]
# Prints one line a check and, last, "N passed, N failed, N skipped".
set -u
cd "$(dirname "$0")/../.." || exit 1
. Tests/MPI/checks.bash
bin=$(program_directory cellm-mpi "${1:-}") || exit 1
program=$bin/cellm-mpi
goldens=$PWD/Tests/Goldens/federation
command -v python3 > /dev/null || { skip "models: no python3 to make them"; finish; }

# edit FILE CODE: changes a safetensors file by Python that sees tensors, {name: [dtype, shape, bytes]}, and metadata.
cat > "$scratch/edit.py" <<'PY'
import array, json, struct, sys
def read(path):
    data = open(path, "rb").read()
    size = struct.unpack("<Q", data[:8])[0]
    header, body = json.loads(data[8 : 8 + size]), data[8 + size :]
    metadata = header.pop("__metadata__", {})
    cut = lambda t: [t["dtype"], t["shape"], body[slice(*t["data_offsets"])]]
    return {name: cut(t) for name, t in header.items()}, metadata
def write(path, tensors, metadata):
    header, body = {"__metadata__": metadata} if metadata else {}, b""
    for name, (dtype, shape, data) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(body), len(body) + len(data)]}
        body += data
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    open(path, "wb").write(struct.pack("<Q", len(text)) + text + body)
def floats(tensor): return array.array("f", tensor[2])
def f32(shape, values): return ["F32", shape, array.array("f", values).tobytes()]
path, code = sys.argv[1:]
tensors, metadata = read(path)
exec(code)
write(path, tensors, metadata)
PY
edit() { python3 "$scratch/edit.py" "$@"; }
# configure FILE CODE: changes a JSON file by Python that sees c.
configure() { python3 -c 'import json, sys; c = json.load(open(sys.argv[1])); exec(sys.argv[2]); json.dump(c, open(sys.argv[1], "w"))' "$@"; }
# copy CASE NAME: the model and corpus of a golden case as $scratch/NAME.
copy() { mkdir -p "$scratch/$2" && cp -r "$goldens/$1/model" "$goldens/$1/corpus" "$scratch/$2/" && chmod -R u+w "$scratch/$2"; }
# experiment NAME TASK: an experiment on $scratch/NAME, trained in earnest or, by default, with a rate of 1e-30.
experiment() {
  cat > "$scratch/$1.yaml" <<YAML
model: {path: $scratch/$1/model}
data: {path: $scratch/$1/corpus, max_length: 16}
task: {kind: $2}
partition: {kind: iid, clients: 4}
adapter: {lora_rank: 2, alpha: 4}
method: {download: {select: all}, upload: {select: all}}
federation: {rounds: 1, cohort_size: 4, server: {optimizer: sgd, learning_rate: 1}}
local: {batch_size: 4, learning_rate: 1e-30}
evaluation: {every: 1, splits: [test]}
output: {tensorboard: false}
YAML
}
trained=(--set 'method={download: {density: 0.25}, upload: {density: 0.25}}' --set federation.rounds=4
  --set local.learning_rate=0.3 --set federation.server.learning_rate=2)
# evaluated DIRECTORY: accuracy and loss of the last evaluation, the loss with 5 decimals.
evaluated() {
  awk -F, 'NR == 1 { for (i = 1; i <= NF; i++) column[$i] = i }
    END { printf "%s %.5f\n", $column["accuracy"], $column["loss"] }' "$1/evaluation.csv"
}
# outcome DIRECTORY YAML [ARGUMENT...]: runs it and prints what was evaluated.
outcome() {
  local directory=$1
  shift
  "$program" run "$@" --output "$directory" > "$directory.log" 2>&1 || { tail -n 3 "$directory.log"; return 1; }
  evaluated "$directory"
}
same() { [ -n "$1" ] && [ "$1" = "$2" ] || { echo "$1 | $2"; return 1; }; }
differ() { [ -n "$1" ] && [ "$1" != "$2" ]; }

# A head that config.json ties and the file does not.
copy llama_lm tied && experiment tied language_modelling
configure "$scratch/tied/model/config.json" 'c["tie_word_embeddings"] = True'
edit "$scratch/tied/model/model.safetensors" 'tensors.pop("lm_head.weight", None)'
embedded=$(outcome "$scratch/tied-embedding" "$scratch/tied.yaml")
edit "$scratch/tied/model/model.safetensors" \
  't = tensors["model.embed_tokens.weight"]; tensors["lm_head.weight"] = f32(t[1], [-x for x in floats(t)])'
headed=$(outcome "$scratch/tied-head" "$scratch/tied.yaml")
configure "$scratch/tied/model/config.json" 'c["tie_word_embeddings"] = False'
untied=$(outcome "$scratch/tied-untied" "$scratch/tied.yaml")
check "a head of the file is used although config.json ties it: $headed" same "$headed" "$untied"
check "it is another model than that with the embedding" differ "$headed" "$embedded"
check "a warning names it" grep -q 'warning:.*lm_head.weight.*is used' "$scratch/tied-head.log"
configure "$scratch/tied/model/config.json" 'c["tie_word_embeddings"] = True'
cp -r "$scratch/tied" "$scratch/tied-moved"
ends "its export with --merge" 0 'merged' 20 "$program" export "$scratch/tied-head" --merge --to "$scratch/tied-moved/merged"
found=$(outcome "$scratch/tied-merged" "$scratch/tied.yaml" --set model.path="$scratch/tied-moved/merged")
check "the merged model has that head" same "$headed" "$found"
check "and says that it is not tied" grep -q '"tie_word_embeddings": false' "$scratch/tied-moved/merged/config.json"
outcome "$scratch/tied-full" "$scratch/tied.yaml" --set adapter='{kind: full}' > /dev/null
found=$(outcome "$scratch/tied-again" "$scratch/tied.yaml" --set model.path="$scratch/tied-full/model")
check "full fine-tuning keeps it" same "$headed" "$found"
mv "$scratch/tied/corpus" "$scratch/tied/away"
ends "an export of a language model needs no corpus" 0 'PEFT adapter' 20 \
  "$program" export "$scratch/tied-head" --to "$scratch/tied-adapter"
mv "$scratch/tied/away" "$scratch/tied/corpus"

# The vector that was evaluated, of adapters, frozen parts and all weights.
copy bert_adam_w labels && experiment labels classification
names='metadata["label_names"] = json.dumps(["c%d" % i for i in range(5)])'
for split in train validation test; do edit "$scratch/labels/corpus/$split.safetensors" "$names"; done
for kind in lora frozen full merged; do
  case $kind in
    lora) adapter='{lora_rank: 2, alpha: 4}' ;;
    frozen) adapter='{lora_rank: 2, alpha: 4, frozen: lora_a}' ;;
    full) adapter='{kind: full}' ;;
    merged) adapter='{lora_rank: 2, alpha: 4}' ;;
  esac
  run=$scratch/masked-$kind
  printed=$(outcome "$run" "$scratch/labels.yaml" "${trained[@]}" --set adapter="$adapter")
  for vector in masked whole; do
    target=$run-$vector flags=(--set "adapter.initial=$run-$vector")
    [ $vector = masked ] && options=(--masked) || options=()
    [ $kind = merged ] && options+=(--merge)
    [ $kind = lora ] || [ $kind = frozen ] || flags=(--set "model.path=$run-$vector")
    ends "export of $kind, $vector" 0 "the $vector vector" 20 "$program" export "$run" --to "$target" "${options[@]}"
    found=$(outcome "$run-$vector-again" "$scratch/labels.yaml" "${flags[@]}")
    case $vector in
      masked) check "$kind: exported with --masked it has the run's accuracy and loss: $printed" same "$printed" "$found" ;;
      whole) check "$kind: the whole vector has others: $found" differ "$printed" "$found" ;;
    esac
  done
done
ends "a run that evaluates the whole vector" 0 'the whole vector, which was evaluated' 20 \
  bash -c '"$0" run "$1" --set evaluation.masked=false --output "$2" > /dev/null 2>&1 && "$0" export "$2" --masked --to "$2-out"' \
  "$program" "$scratch/labels.yaml" "$scratch/evaluates-all"
stopped() {
  "$program" run "$scratch/labels.yaml" "${trained[@]}" --set federation.rounds=100000 --output "$scratch/stopped" > /dev/null 2>&1 &
  local job=$!
  for _ in $(seq 100); do [ -s "$scratch/stopped/evaluated.safetensors" ] && break; sleep 0.1; done
  kill -USR1 $job
  wait $job
  [ $? = 75 ] && "$program" export "$scratch/stopped" --to "$scratch/stopped-out" | grep -qE 'after [0-9]+ of 100000 rounds'
}
check "the export of a run that was stopped says after which round" stopped
# A run that was killed between its two files.
cp "$scratch/masked-frozen/evaluated.safetensors" "$scratch/masked-lora/evaluated.safetensors"
ends "the whole vector with the coordinates of another" 0 'PEFT adapter' 20 "$program" export "$scratch/masked-lora" --to "$scratch/killed"
ends "the masked one" 65 'belongs to other weights' 20 "$program" export "$scratch/masked-lora" --masked --to "$scratch/killed-masked"

# The model's own head, with its labels in another order. The test labels are what it predicts.
run=$scratch/masked-lora
ends "a whole model with the logits that it gives" 0 'merged' 20 \
  "$program" export "$run" --merge --to "$scratch/labels/head" --logits test
python3 - "$scratch" <<'PY'
import array, sys
scratch = sys.argv[1]
sys.argv = ["", scratch + "/labels/head/logits.safetensors", ""]
exec(open(scratch + "/edit.py").read().split("path, code")[0])
tensors, _ = read(sys.argv[1])
(rows, columns), values = tensors["logits"][1], floats(tensors["logits"])
best = [max(range(columns), key=lambda j: values[i * columns + j]) for i in range(rows)]
path = scratch + "/labels/corpus/test.safetensors"
tensors, metadata = read(path)
kind = {"I64": "q", "I32": "i"}[tensors["labels"][0]]
tensors["labels"][2] = array.array(kind, best).tobytes()
write(path, tensors, metadata)
PY
head=(--set "model.path=$scratch/labels/head")
found=$(outcome "$scratch/head-same" "$scratch/labels.yaml" "${head[@]}")
check "its labels are what the head predicts" same "${found%% *}" 1.0
for name in weight bias; do
  edit "$scratch/labels/head/model.safetensors" \
    "t = tensors['classifier.$name']; v = floats(t); n = len(v) // 5; t[2] = b''.join(v[i*n:(i+1)*n].tobytes() for i in (4, 2, 0, 1, 3))"
done
configure "$scratch/labels/head/config.json" 'c["id2label"] = {str(i): "c%d" % j for i, j in enumerate((4, 2, 0, 1, 3))}'
found=$(outcome "$scratch/head-moved" "$scratch/labels.yaml" "${head[@]}")
check "a head with its labels in another order is put into the corpus's" same "${found%% *}" 1.0
check "and that is said" grep -q "its rows put into the corpus's order: c0, c1, c2, c3, c4" "$scratch/head-moved.log"
configure "$scratch/labels/head/config.json" 'c["id2label"]["0"] = "other"'
outcome "$scratch/head-other" "$scratch/labels.yaml" "${head[@]}" > /dev/null
check "other labels are warned of, with both lists" \
  grep -q 'warning:.*the corpus has c0, c1, c2, c3, c4, config.json (id2label) other, c2, c0, c1, c3' "$scratch/head-other.log"

for split in train test validation; do
  edit "$scratch/labels/corpus/$split.safetensors" 'metadata["label_names"] = json.dumps(["c%d" % i for i in range(6)])'
done
outcome "$scratch/head-six" "$scratch/labels.yaml" "${head[@]}" > /dev/null
check "a head of another number of labels is not used, which is said" \
  grep -q 'warning:.*head of 5 labels is not used, for the corpus has 6' "$scratch/head-six.log"

# What the files hold besides.
copy llama_lm files && experiment files language_modelling
for name in generation_config.json chat_template.jinja vocab.json merges.txt spiece.model special_tokens_map.json added_tokens.json; do
  echo "{}" > "$scratch/files/model/$name"
done
plain=$(outcome "$scratch/files-plain" "$scratch/files.yaml")
edit "$scratch/files/model/model.safetensors" \
  'w = tensors["model.norm.weight"]; tensors["model.layers.0.self_attn.q_proj.bias"] = w; tensors["model.nothing"] = f32([0], [])'
found=$(outcome "$scratch/files-more" "$scratch/files.yaml")
check "tensors that are not used change nothing" same "$plain" "$found"
check "and are named" grep -q 'warning:.*2 tensors are not used.*model.layers.\*.self_attn.q_proj.bias, model.nothing' "$scratch/files-more.log"
ends "a model that changed since the run" 65 'model.safetensors: is not the file with which the run began' 20 \
  "$program" export "$scratch/files-plain" --merge --to "$scratch/files-merged"
ends "the export of the run that read it" 0 'merged' 20 \
  "$program" export "$scratch/files-more" --merge --to "$scratch/files-merged"
outcome "$scratch/files-full" "$scratch/files.yaml" --set adapter='{kind: full}' > /dev/null
for directory in "$scratch/files-merged" "$scratch/files-full/model"; do
  missing=""
  for name in generation_config.json chat_template.jinja vocab.json merges.txt spiece.model special_tokens_map.json added_tokens.json; do
    cmp -s "$scratch/files/model/$name" "$directory/$name" || missing+=" $name"
  done
  check "$(basename "$directory") has the files of tokenizer and generation${missing:+, but not$missing}" test -z "$missing"
done
edit "$scratch/files/model/model.safetensors" 'tensors["norm.weight"] = tensors["model.norm.weight"]'
ends "a tensor that is there under two names" 65 'are both model.norm.weight' 10 "$program" inspect "$scratch/files/model"
edit "$scratch/files/model/model.safetensors" \
  'del tensors["norm.weight"]; t = tensors["model.norm.weight"]; tensors["model.norm.weight"] = ["BF16", t[1], b"\xff\xff" * t[1][0]]'
for ranks in 1 2 3; do
  ends "a BF16 model with NaN on $ranks ranks" 65 'model.norm.weight holds values that are not finite' 20 \
    mpirun -np $ranks "$program" run "$scratch/files.yaml"
done
printf 'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n' > "$scratch/files/model/model.safetensors"
ends "a pointer of Git LFS" 65 'git lfs pull' 10 "$program" plan "$scratch/files.yaml"
for field in '"quantization_config": {"quant_method": "bitsandbytes"}' '"partial_rotary_factor": 0.5' '"pretraining_tp": 2'; do
  cp "$goldens/llama_lm/model/config.json" "$scratch/files/model/config.json"
  configure "$scratch/files/model/config.json" "c.update(json.loads('{$field}'))"
  name=$(cut -d'"' -f2 <<< "$field")
  ends "a config.json with $name" 65 "$name" 10 "$program" inspect "$scratch/files/model"
done

# Adapters of PEFT.
cp -r "$goldens/llama_adam_w/initial_adapter" "$scratch/adapter" && chmod -R u+w "$scratch/adapter"
for value in gaussian orthogonal eva; do
  configure "$scratch/adapter/adapter_config.json" "c['init_lora_weights'] = '$value'"
  ends "an adapter that began as $value" 0 "initialization" 10 "$program" inspect "$scratch/adapter"
done
for value in pissa pissa_niter_4 olora loftq corda; do
  configure "$scratch/adapter/adapter_config.json" "c['init_lora_weights'] = '$value'"
  ends "an adapter that began as $value" 65 "\"$value\" changed the base weights" 10 "$program" inspect "$scratch/adapter"
done
configure "$scratch/adapter/adapter_config.json" "c['init_lora_weights'] = True; c['lora_dropout'] = 1.0"
ends "an adapter with a dropout of 1" 65 'lora_dropout is 1' 10 "$program" inspect "$scratch/adapter"
ends "a dropout that single precision takes for 1" 64 'adapter.dropout' 10 \
  "$program" plan "$scratch/labels.yaml" --set adapter.dropout=0.99999999

python=${REFERENCE_PYTHON:-.build/reference-environment/bin/python}
if "$python" -c "import importlib.util as u, sys; sys.exit(not (u.find_spec('transformers') and u.find_spec('peft')))" 2> /dev/null; then
  check "the lists of fields have all that transformers and PEFT write" "$python" Tests/Goldens/transformers/check_fields.py
else
  skip "the lists of fields against transformers and PEFT: no environment with them"
fi

# Hosts with other files: each rank has a directory of models of its own.
for rank in 0 1; do mkdir -p "$scratch/home-$rank" && cp -r "$goldens/llama_adam_w/model" "$goldens/llama_adam_w/corpus" "$scratch/home-$rank/"; done
sed -E -e 's/^model:.*/model: {path: model}/' -e 's/^data:.*/data: {path: corpus, max_length: 16}/' "$scratch/labels.yaml" > "$scratch/homes.yaml"
cat > "$scratch/with-home" <<SH
#!/bin/sh
CELLM_HOME=$scratch/home-\$OMPI_COMM_WORLD_RANK exec "\$@"
SH
chmod +x "$scratch/with-home"
ends "ranks with copies of the same files" 0 digest 20 \
  mpirun -np 2 "$scratch/with-home" "$program" run "$scratch/homes.yaml" --output "$scratch/homes"
chmod -R u+w "$scratch/home-1"
edit "$scratch/home-1/corpus/train.safetensors" 'metadata["note"] = "another"'
ends "ranks with different files" 65 "see different files: $scratch/home-0/corpus/train.safetensors" 20 \
  mpirun -np 2 "$scratch/with-home" "$program" run "$scratch/homes.yaml" --output "$scratch/homes-2"
check "both ranks and the other's file are named" grep -qE "rank 0 on .* and rank 1 on .*home-1/corpus/train.safetensors" "$scratch/log"

# Names.
mkdir -p "$scratch/names/models/mine"
ends "a path without a dot" 66 'has a slash, so it is no name' 10 \
  bash -c 'cd "$0" && "$1" plan "$2" --set model.path=models/mine' "$scratch/names" "$program" "$scratch/labels.yaml"
ends "a name of a hub" 66 'for a model of the hub, type scripts/prepare hub' 10 \
  "$program" plan "$scratch/labels.yaml" --set model.path=org/model
ends "a name that is nearly there" 66 'did you mean corpus?' 10 \
  env CELLM_HOME="$scratch/home-0" "$program" plan "$scratch/labels.yaml" --set data.path=korpus
finish
