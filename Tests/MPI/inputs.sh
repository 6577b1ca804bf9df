#!/usr/bin/env bash
# Inputs that are there and cannot be read (links to themselves): exit code 74 with the file and the cause, not 66 as for one
# that is missing; settings that make no sense together; and partition.csv, which is whole at any time.
# Usage: Tests/MPI/inputs.sh [BINARY_DIRECTORY]
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

# Settings that make no sense together: plan and run refuse them in the same lines, which name the file's line or the
# setting, and the key.
# refused LABEL LINE SETTING...: both end with 64, and LINE begins one of the lines.
refused() {
  local label=$1 line=$2 settings=() setting what
  shift 2
  for setting in "$@"; do settings+=(--set "$setting"); done
  ends "$label: plan" 64 "cellm-mpi: $line" 10 "$program" plan "$yaml" "${settings[@]}"
  grep '^cellm-mpi: ' "$scratch/log" > "$scratch/expected"
  for what in "" "mpirun -np 2"; do
    # shellcheck disable=SC2086
    ends "$label: ${what:+$what }run" 64 "cellm-mpi: $line" 10 \
      $what "$program" run "$yaml" "${settings[@]}" --output "$scratch/refused"
    grep '^cellm-mpi: ' "$scratch/log" > "$scratch/found"
    check "$label: ${what:+$what }run in the same lines" same_text "$scratch/expected" "$scratch/found"
  done
}
uniform='federation.cohort={kind: uniform}'
private='privacy={clipping: fixed, clip: 1, noise_multiplier: 1}'
refused "a nested download with tiers" \
  '--set method.persistence=nested: nested needs one download mask for all clients, so it does not allow tiers' \
  method.persistence=nested 'method.tiers=[{share: 1}, {share: 2}]'
refused "a kept residual of what is not trained" "$yaml:5: method.residual: kept does not work with method.trainable" method.trainable=downloaded
refused "stacking of a part" '--set method.aggregation=stacked: stacked sends the whole stack to all clients' \
  method.aggregation=stacked
refused "stacking with moments" "$yaml:6: federation.server.optimizer: aggregation stacked adds the mean product" \
  method.aggregation=stacked method.residual=dropped method.download.select=all
refused "stacking over packed weights" '--set compute.precision=bf16: bf16 is not allowed with method.aggregation: stacked' \
  compute.precision=bf16 method.aggregation=stacked
refused "stacking from an adapter" "--set adapter.initial=$outputs/adapter: merging factors starts from the base model" \
  "adapter.initial=$outputs/adapter" method.aggregation=stacked method.residual=dropped method.download.select=all 'federation.server={optimizer: sgd}'
refused "a warm-up that does not end" \
  '--set federation.server.schedule.warmup_rounds=3: 3 is not allowed; give an integer from 0 to 2, as federation.rounds is 3' \
  federation.server.schedule.warmup_rounds=3
refused "weights with privacy" '--set federation.weighting=examples: examples is not allowed with privacy; give uniform' \
  federation.weighting=examples "$private"
refused "losses with privacy" '--set system={kind: drawn, dropout: 0.5}: system.dropout: is not allowed with privacy.clipping: fixed' \
  "$private" 'system={kind: drawn, dropout: 0.5}'
refused "pruning with privacy" '--set method.rank_pruning.factor=0.5: rank_pruning does not work with privacy' \
  "$private" method.residual=dropped method.rank_pruning.factor=0.5
refused "noise for a cohort beyond the population" \
  '--set privacy.noise_cohort_size=100: 100 is not allowed; give an integer from 1 to 8, as the population is 8' \
  "$private" privacy.noise_cohort_size=100
refused "a count that takes all of the privacy" "--set $private: privacy.clip_count_deviation: 0.2 is not allowed; give a number above 0.5" \
  "$private" privacy.clipping=adaptive
refused "an epsilon out of reach" '--set privacy.target_epsilon=1e-9: 1e-09 at delta 1e-30 is not allowed; give more' \
  'privacy={clipping: fixed, clip: 1}' privacy.target_epsilon=1e-9 privacy.delta=1e-30
refused "a cohort beyond the population" \
  '--set federation.cohort_size=9: 9 is not allowed; give an integer from 1 to 8, as the population is 8' \
  "$uniform" federation.cohort_size=9
refused "a cohort file that is too short" "$yaml:6: federation.cohort.path: the cohort file has" federation.rounds=1000
refused "clients beyond a cohort file" '--set system.extra_clients=1: has no effect with federation.cohort.kind: file' \
  system.kind=drawn system.extra_clients=1
refused "speeds of tiers that are not there" '--set system.tier_speeds=[1, 2]: 2 numbers are not allowed' \
  system.kind=drawn 'system.tier_speeds=[1, 2]'
refused "sums where each upload is needed" '--set federation.uploads=host_sums: host_sums sends sums of uploads' \
  federation.uploads=host_sums method.aggregation=product_mean
refused "ranks that the adapter does not have" '--set method.tiers=[{lora_rank: 3}, {share: 1}]: lora_rank: 3 is not allowed' \
  'method.tiers=[{lora_rank: 3}, {share: 1}]'
refused "products without factors" '--set method.aggregation=product_mean: product_mean is not allowed with adapter.frozen: lora_a' \
  method.aggregation=product_mean adapter.frozen=lora_a
refused "several problems" "$yaml:5: method.residual: kept does not work with method.trainable" \
  method.trainable=downloaded federation.rounds=1000 federation.weighting=examples "$private"
check "nothing was made there" test ! -e "$scratch/refused"

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
