#!/usr/bin/env bash
# Whole runs of the program on tiny goldens: the same bits without mpirun and on 1, 2, 3 and 8 ranks,
# and what happens when something fails. Usage: Tests/MPI/runs.sh [BINARY_DIRECTORY]
# Prints one line a check and, last, "N passed, N failed, N skipped".
set -u
cd "$(dirname "$0")/../.." || exit 1
. Tests/MPI/checks.bash
bin=$(program_directory cellm-mpi "${1:-}") || exit 1
program=$bin/cellm-mpi
goldens=$PWD/Tests/Goldens/federation

# experiment FILE CASE: the golden case as an experiment file.
experiment() {
  cat > "$1" <<YAML
model: {path: $goldens/$2/model}
data: {path: $goldens/$2/corpus, max_length: 16}
partition: {kind: file, path: $goldens/$2/partition.json}
adapter: {lora_rank: 4, alpha: 6, initial: $goldens/$2/initial_adapter}
method: {download: {density: 0.25}, upload: {density: 0.25}}
federation:
  rounds: 4
  cohort: {kind: file, path: $goldens/$2/cohorts.json}
  server: {optimizer: adam_w, learning_rate: 0.005}
local: {epochs: 1, batch_size: 4, learning_rate: 0.2, momentum: 0.9, shuffle: false}
evaluation: {every: 2, splits: [validation, test]}
compute: {micro_batch_tokens: 20}
YAML
}

for case in llama_adam_w bert_adam_w; do
  rank=$(sed -nE 's/.*"r": ([0-9]+).*/\1/p' "$goldens/$case/initial_adapter/adapter_config.json")
  alpha=$(sed -nE 's/.*"lora_alpha": ([0-9]+).*/\1/p' "$goldens/$case/initial_adapter/adapter_config.json")
  experiment "$scratch/$case.yaml" "$case"
  sed -i "s/lora_rank: 4, alpha: 6/lora_rank: $rank, alpha: $alpha/" "$scratch/$case.yaml"
  same_bits "$case" "$scratch/$case.yaml" "1 2 3 8"
done
yaml=$scratch/llama_adam_w.yaml

# A virtual clock by which clients are missing, lost and late; modelled times are compared like all else.
clock='system={kind: drawn, download: {median: 2000, sigma: 0.5}, upload: 1000, latency: 0.1,
  tokens_per_second: {median: 100, sigma: 0.75}, unavailability: 0.1, dropout: 0.2, deadline: 3,
  extra_clients: 2, server_time: 0.25}'
same_bits clock "$yaml" "1 2 3" --set federation.cohort.kind=uniform --set federation.cohort_size=3 \
  --set method.residual=kept --set federation.rounds=12 --set "$clock"
check "the clock has clients of each status" test 3 = \
  "$(grep -oE ",(used|dropped|late)," "$scratch/clock-0/clients.csv" | sort -u | wc -l)"

# Clients that are functions of the seed, evaluated one by one; and the same clients from a file.
drawn=(--set federation.cohort.kind=uniform --set federation.cohort_size=5
  --set evaluation.clients=4 --set evaluation.holdout=0.2 --set evaluation.masked=both)
million='partition={kind: virtual, clients: 1000000, alpha: 0.3, median_examples: 6, sigma: 0.5}'
same_bits virtual "$yaml" "1 2 3" "${drawn[@]}" --set "$million"
few='partition={kind: virtual, clients: 20, alpha: 0.3, median_examples: 6, sigma: 0.5}'
"$program" plan "$yaml" "${drawn[@]}" --set "$few" --partition "$scratch/few.json" > "$scratch/log"
digest_of "$scratch/few" "$program" run "$yaml" "${drawn[@]}" --set "$few" > "$scratch/a"
digest_of "$scratch/listed" "$program" run "$yaml" "${drawn[@]}" \
  --set "partition={kind: file, path: $scratch/few.json, shares_examples: true}" > "$scratch/b"
check "virtual clients written to a file give the same digest" same_text "$scratch/a" "$scratch/b"

# Methods that keep more than a vector: merged base weights, shared by a node's ranks, and clients' ranks.
tiny() { # tiny FILE CASE: a golden case whose adapter has four ranks
  experiment "$1" "$2"
  sed -i "s/lora_rank: 4, alpha: 6/lora_rank: 4, alpha: 8/; s/server: .*/server: {optimizer: sgd, learning_rate: 0.75}/" "$1"
}
tiny "$scratch/flora.yaml" flora
tiny "$scratch/pruning.yaml" rank_pruning
same_bits flora "$scratch/flora.yaml" "1 2 3" --set federation.rounds=3 --set \
  'method={download: {select: all}, upload: {select: all}, aggregation: stacked, tiers: [{lora_rank: 1}, {lora_rank: 3}, {share: 1}]}'
check "a merged run leaves its weights and no adapter" test -s "$scratch/flora-0/adapter/merged_base.safetensors" \
  -a ! -e "$scratch/flora-0/adapter/adapter_model.safetensors"
ends "its export without --merge" 64 'give --merge' 20 "$program" export "$scratch/flora-0" --to "$scratch/flora-adapter"
ends "its export with --merge" 0 'merged' 20 "$program" export "$scratch/flora-0" --merge --to "$scratch/flora-model"
ends "the merged model is a model" 0 'parameters' 20 "$program" inspect "$scratch/flora-model"
same_bits rank-pruning "$scratch/pruning.yaml" "1 2 3" --set \
  'method={download: {select: all}, upload: {select: all}, aggregation: norm_weighted, tiers: [{lora_rank: 2}, {share: 1}], rank_pruning: {factor: 0.7, penalty: 6}}'
check "clients.csv says the ranks that clients sent" grep -q 'tier,lora_rank,' "$scratch/rank-pruning-0/clients.csv"
ends "stacking with another server" 64 'must be sgd' 20 "$program" run "$scratch/flora.yaml" \
  --set 'method={download: {select: all}, upload: {select: all}, aggregation: stacked}' \
  --set 'federation.server={optimizer: fed_adam}'

# Dense LoRA is the same value with density 1.
digest_of "$scratch/dense" "$program" run "$yaml" --set 'method={download: {select: all}, upload: {select: all}}' > "$scratch/a"
digest_of "$scratch/one" "$program" run "$yaml" --set method.download.density=1 --set method.upload.density=1 > "$scratch/b"
check "density 1 and dense LoRA have one digest" same_text "$scratch/a" "$scratch/b"
digest_of "$scratch/all" mpirun -np 3 "$program" run "$yaml" --set federation.uploads=all_gather > "$scratch/a"
digest_of "$scratch/root" "$program" run "$yaml" > "$scratch/b"
check "an all-gather of the uploads gives the gather's digest" same_text "$scratch/a" "$scratch/b"
digest_of "$scratch/again" "$program" run "$scratch/root/config.yaml" > "$scratch/a"
check "the run directory's config.yaml repeats the run" same_text "$scratch/a" "$scratch/b"

# Failures.
ends "a client that diverges names round, client and rank" 65 'client' 10 \
  mpirun -np 3 "$program" run "$yaml" --set local.learning_rate=1e30 --output "$scratch/diverged"
check "the line names the rank" grep -qE 'rank [0-9]+ on .*: round [0-9]+, client [0-9]+' "$scratch/log"
check "the tables are there" test -s "$scratch/diverged/rounds.csv"
check "the manifest says that it failed" grep -q '"status" : "failed"' "$scratch/diverged/manifest.json"
ends "processes that srun does not connect" 64 'srun --mpi=pmix' 10 \
  env SLURM_STEP_NUM_TASKS=4 SLURM_PROCID=0 "$program" run "$yaml"
ends "values without measure" 64 'local.batch_size' 10 "$program" run "$yaml" --set local.batch_size=9223372036854775807
ends "a missing partition file" 66 'partition.path' 10 "$program" run "$yaml" --set partition.path=/nowhere.json
ends "every problem of an experiment is reported" 64 'did you mean' 10 \
  mpirun -np 3 "$program" run "$yaml" --set federation.rouns=3 --set method.upload.density=2
check "each problem is printed once" test "$(grep -c 'density' "$scratch/log")" = 1
ends "a missing model" 66 'nowhere' 10 mpirun -np 2 "$program" run "$yaml" --set model.path=/nowhere
ends "an output directory that holds another run" 64 "$scratch/root" 10 \
  mpirun -np 2 "$program" run "$yaml" --output "$scratch/root"
mkdir "$scratch/of-job" && touch "$scratch/of-job/job.sh" "$scratch/of-job/job-17.log"
ends "an output directory that holds the run's batch job" 0 "digest $(cat "$scratch/b")" 60 \
  "$program" run "$yaml" --output "$scratch/of-job"
mkdir "$scratch/other" && touch "$scratch/other/jobs"
ends "one that holds anything else" 64 'is not empty' 10 "$program" run "$yaml" --output "$scratch/other"
killed() {
  local start=$SECONDS
  timeout -k 5 60 mpirun -np 3 "$program" run "$yaml" --set federation.rounds=100000 \
    --set 'federation.cohort={kind: uniform}' --set federation.cohort_size=4 \
    --output "$scratch/killed" > "$scratch/log" 2>&1 < /dev/null &
  local job=$!
  while [ ! -s "$scratch/killed/rounds.csv" ] && [ $((SECONDS - start)) -lt 30 ]; do sleep 0.2; done
  sleep 0.5
  pkill -9 -n -f "output $scratch/killed" || return 1
  start=$SECONDS
  wait $job
  local code=$?
  [ $code != 0 ] && [ $code != 124 ] && [ $((SECONDS - start)) -le 10 ] &&
    [ "$(wc -l < "$scratch/killed/rounds.csv")" -gt 1 ]
}
check "kill -9 of a rank ends the job in seconds and leaves the tables" killed
if [ "$(id -u)" = 0 ] && mkdir "$scratch/small" && mount -t tmpfs -o size=200k tmpfs "$scratch/small" 2> /dev/null; then
  ends "a full disk" 74 'No space left' 20 mpirun -np 2 "$program" run "$yaml" \
    --set federation.rounds=2000 --set 'federation.cohort={kind: uniform}' \
    --set federation.cohort_size=8 --output "$scratch/small/run"
  check "the tables written so far are whole" test -s "$scratch/small/run/rounds.csv"
  umount "$scratch/small"
else
  skip "a full disk: mounting a small file system is not allowed here"
fi
finish
