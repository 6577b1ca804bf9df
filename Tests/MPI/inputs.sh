#!/usr/bin/env bash
# Inputs that are there and cannot be read (links to themselves): exit code 74 with the file and the cause, not 66 as for one
# that is missing; and partition.csv, which is whole at any time. Usage: Tests/MPI/inputs.sh [BINARY_DIRECTORY]
# Prints one line a check and, last, "N passed, N failed, N skipped".
set -u
cd "$(dirname "$0")/../.." || exit 1
. Tests/MPI/checks.bash
bin=$(program_directory cellm-mpi "${1:-}") || exit 1
program=$bin/cellm-mpi
golden=$PWD/Tests/Goldens/federation/llama_adam_w
inputs=$scratch/inputs
mkdir "$inputs"
cp -r "$golden/model" "$golden/corpus" "$golden/partition.json" "$golden/cohorts.json" "$golden/initial_adapter" "$inputs"
chmod -R u+w "$inputs"
yaml=$inputs/x.yaml
cat > "$yaml" <<YAML
model: {path: ./model}
data: {path: ./corpus, max_length: 16}
partition: {kind: file, path: ./partition.json}
adapter: {lora_rank: 2, alpha: 8, initial: ./initial_adapter}
method: {download: {density: 0.25}, upload: {density: 0.125}, residual: kept}
federation: {rounds: 3, cohort: {kind: file, path: ./cohorts.json}, server: {optimizer: adam_w, learning_rate: 0.005}}
local: {epochs: 1, batch_size: 4, learning_rate: 0.2, momentum: 0.9}
evaluation: {every: 3, splits: [test]}
compute: {micro_batch_tokens: 20}
checkpoint: {every_rounds: 2}
YAML
cause='Too many levels of symbolic links'
digest_of "$scratch/whole" "$program" run "$yaml" > "$scratch/expected"
echo "left alone: digest $(cat "$scratch/expected")"

# looped FILE COMMAND...: it ends with 74, the file and the cause where the file is a link to itself, and with 66 where it is gone.
looped() {
  local file=$inputs/$1
  shift
  mv "$file" "$scratch/away"
  ln -s "$file" "$file"
  ends "$1: ${file#"$scratch/"} cannot be read" 74 "$cause" 10 "$program" "$@"
  check "which names it" grep -qF "$file: " "$scratch/log"
  rm "$file"
  ends "$1: ${file#"$scratch/"} is missing" 66 "${file##*/}" 10 "$program" "$@"
  mv "$scratch/away" "$file"
}
for file in x.yaml model model/config.json model/model.safetensors corpus corpus/train.safetensors partition.json cohorts.json \
  initial_adapter initial_adapter/adapter_config.json initial_adapter/adapter_model.safetensors; do
  looped $file plan "$yaml"
done
looped partition.json run "$yaml" --output "$scratch/none"
looped corpus/test.safetensors run "$yaml" --output "$scratch/none"
ends "nothing was made there" 66 'does not exist' 10 "$program" inspect "$scratch/none"
looped model inspect "$inputs/model"
# What a run left.
outputs=$scratch/whole
for file in config.yaml manifest.json rounds.csv evaluation.csv; do
  mv "$outputs/$file" "$scratch/away"
  ln -s "$outputs/$file" "$outputs/$file"
  ends "inspect: $file cannot be read" 74 "$outputs/$file: $cause" 10 "$program" inspect "$outputs"
  case $file in
    config.yaml | manifest.json)
      ends "run: $file cannot be read" 74 "$outputs/$file: $cause" 10 "$program" run "$yaml" --output "$outputs"
      ends "export: $file cannot be read" 74 "$outputs/$file: $cause" 10 "$program" export "$outputs" --to "$scratch/export" ;;
  esac
  rm "$outputs/$file"
  mv "$scratch/away" "$outputs/$file"
done
ln -s "$scratch/loop" "$scratch/loop"
ends "an export to what cannot be examined" 74 "$scratch/loop: $cause" 10 "$program" export "$outputs" --to "$scratch/loop"
ends "a run to it" 74 "$scratch/loop: $cause" 10 "$program" run "$yaml" --output "$scratch/loop"
ends "an export" 0 'PEFT adapter' 20 "$program" export "$outputs" --to "$scratch/export"
check "which leaves no lock" test ! -e "$scratch/export/.lock"
mkdir "$scratch/busy"
exec 9> "$scratch/busy/.lock"
flock 9
ends "an export to where another one writes" 64 'another process writes there' 10 "$program" export "$outputs" --to "$scratch/busy"
exec 9>&-

# Residuals of clients, which are read within a round.
mv "$outputs/residuals" "$scratch/residuals"
mkdir "$outputs/residuals"
for client in {0..7}; do ln -s "$outputs/residuals/client-$client" "$outputs/residuals/client-$client"; done
ends "a client's residual that cannot be read" 74 "residuals/client-" 20 \
  "$program" run "$yaml" --set federation.rounds=4 --output "$outputs" --resume
check "with the cause" grep -q "residuals/client-[0-7]: $cause" "$scratch/log"
rm -r "$outputs/residuals"
mv "$scratch/residuals" "$outputs/residuals"

# partition.csv is replaced as a whole when a run goes on.
ln "$outputs/partition.csv" "$scratch/partition.csv"
before=$(stat -c %i "$outputs/partition.csv")
ends "a run that goes on" 0 digest 20 "$program" run "$yaml" --set federation.rounds=4 --output "$outputs" --resume
check "partition.csv is another file" test "$before" != "$(stat -c %i "$outputs/partition.csv")"
check "with the same content" same_text "$scratch/partition.csv" "$outputs/partition.csv"
ends "plan does not replace a partition" 64 'exists; give a new file' 10 "$program" plan "$yaml" --partition "$outputs/partition.csv"

# Files that need not be there: without them another number would come out, without a word.
python3 - "$inputs/corpus" <<'PY'
import json, pathlib, struct, sys
for path in pathlib.Path(sys.argv[1]).glob("*.safetensors"):
    data = path.read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + size])
    header.setdefault("__metadata__", {})["tokenizer_sha256"] = "00" * 32
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + size :])
PY
for file in corpus/validation.safetensors model/tokenizer.json; do
  [ ! -e "$inputs/$file" ] || mv "$inputs/$file" "$scratch/$(basename $file)"
  ln -s "$inputs/$file" "$inputs/$file"
  ends "plan: $file cannot be read" 74 "$cause" 10 "$program" plan "$yaml"
  rm "$inputs/$file"
  ends "plan: $file is missing" 0 memory 10 "$program" plan "$yaml"
  [ ! -e "$scratch/$(basename $file)" ] || mv "$scratch/$(basename $file)" "$inputs/$file"
done
finish
