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

# At this rate some clients' updates are not finite.
same_bits refused "$yaml" "1 2 3" --set local.learning_rate=1e5 --set federation.cohort.kind=uniform --set federation.cohort_size=4 \
  --set federation.rounds=6 --set method.residual=kept
check "some clients are refused and others are not" test 2 = \
  "$(grep -oE ",(used|refused)," "$scratch/refused-0/clients.csv" | sort -u | wc -l)"

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

# Full fine-tuning: the same bits, the way on from a checkpoint, and a model that transformers loads.
for case in llama_adam_w bert_adam_w; do
  sed -E '/^adapter:/c\adapter: {kind: full}' "$scratch/$case.yaml" > "$scratch/full-$case.yaml"
  same_bits "full-$case" "$scratch/full-$case.yaml" "1 2 3"
  check "full-$case: what transformers loads is written" test -s "$scratch/full-$case-0/model/model.safetensors" \
    -a -s "$scratch/full-$case-0/model/config.json" -a ! -e "$scratch/full-$case-0/adapter"
  "$program" export "$scratch/full-$case-3" --to "$scratch/full-$case-model" --logits test > "$scratch/log" 2>&1
  check "full-$case: exported with its logits" test -s "$scratch/full-$case-model/logits.safetensors"
  python=${REFERENCE_PYTHON:-.build/reference-environment/bin/python}
  if "$python" -c "import torch, transformers, peft" 2> /dev/null; then
    check "full-$case: transformers loads the exported model and gives its logits" \
      "$python" Tests/Goldens/federation/check_export.py --model "$scratch/full-$case-model" --max-length 16 \
      --data "$goldens/$case/corpus/test.safetensors" --logits "$scratch/full-$case-model/logits.safetensors"
  else
    skip "full-$case: transformers loads the exported model: no environment with PyTorch"
  fi
done
full=$scratch/full-llama_adam_w.yaml
digest_of "$scratch/full-stopped" mpirun -np 3 "$program" run "$full" --set federation.rounds=2 \
  --set checkpoint.every_rounds=1 > "$scratch/a"
digest_of "$scratch/full-stopped" mpirun -np 2 "$program" run "$full" --resume > "$scratch/a"
sed -nE 's/^ *"digest" : "([0-9a-f]+)".*/\1/p' "$scratch/full-llama_adam_w-0/manifest.json" > "$scratch/b"
check "full fine-tuning goes on from a checkpoint on other ranks: digest $(cat "$scratch/a")" same_text "$scratch/a" "$scratch/b"
ends "an adapter's keys have no effect on full fine-tuning" 64 'adapter.lora_rank' 10 \
  "$program" run "$full" --set adapter.lora_rank=4
ends "nor has it factors to combine" 64 'method.aggregation' 10 \
  "$program" run "$full" --set method.aggregation=product_mean
ends "nor anything frozen to pack" 64 'compute.precision' 10 "$program" run "$full" --set compute.precision=bf16
ends "nor ranks for tiers" 64 'method.tiers' 10 "$program" run "$full" --set 'method.tiers=[{lora_rank: 1}, {share: 1}]'
ends "its export is a whole model already" 64 '--merge' 10 \
  "$program" export "$scratch/full-llama_adam_w-0" --to "$scratch/merged" --merge
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
# However uploads travel; three clients a round and more, so that ranks have several or none.
cohort=(--set federation.cohort.kind=uniform --set federation.cohort_size=5)
digest_of "$scratch/root" "$program" run "$yaml" > "$scratch/b"
digest_of "$scratch/gathered" "$program" run "$yaml" "${cohort[@]}" --set federation.uploads=gather > "$scratch/expected"
for uploads in auto gather overlapped all_gather host_sums recursive_doubling pipeline; do
  for np in 1 2 3 5 8; do
    run=$scratch/$uploads-$np
    digest_of "$run" mpirun -np $np "$program" run "$yaml" "${cohort[@]}" --set federation.uploads=$uploads > "$scratch/found"
    check "uploads by $uploads on $np ranks: digest $(cat "$scratch/found")" same_text "$scratch/expected" "$scratch/found"
    differing=""
    for table in rounds clients evaluation; do
      without_seconds "$scratch/gathered/$table.csv" > "$scratch/expected.csv"
      without_seconds "$run/$table.csv" > "$scratch/found.csv"
      same_text "$scratch/expected.csv" "$scratch/found.csv" || differing+=" $table.csv"
    done
    check "uploads by $uploads on $np ranks: the same tables, payload bytes included${differing:+, but:$differing}" test -z "$differing"
  done
done
# Where /dev/shm is too small for a sum, each rank has one of its own, and the bits stay.
if unshare -m true 2> /dev/null; then
  digest_of "$scratch/small-shm" unshare -m sh -c 'mount -t tmpfs -o size=16m tmpfs /dev/shm && exec "$@"' sh \
    mpirun --mca btl self,tcp -np 3 "$program" run "$yaml" "${cohort[@]}" --set federation.uploads=pipeline > "$scratch/found"
  check "uploads by pipeline with a small /dev/shm" same_text "$scratch/expected" "$scratch/found"
else
  skip "a small /dev/shm: the right to unshare the mounts is missing"
fi
ends "sums of uploads where the server needs each" 64 'needs the upload of each client' 10 \
  "$program" run "$yaml" --set federation.uploads=host_sums --set method.aggregation=product_mean
digest_of "$scratch/again" "$program" run "$scratch/root/config.yaml" > "$scratch/a"
check "the run directory's config.yaml repeats the run" same_text "$scratch/a" "$scratch/b"

# Failures.
ends "a client that diverges ends a run that wants it, naming round, client and rank" 65 'client' 10 \
  mpirun -np 3 "$program" run "$yaml" --set local.learning_rate=1e30 --set federation.non_finite=stop
check "the line names the rank" grep -qE 'rank [0-9]+ on .*: round [0-9]+, client [0-9]+' "$scratch/log"
ends "clients that all diverge end the run" 65 "no client's update was finite in 3 rounds in a row" 20 \
  mpirun -np 3 "$program" run "$yaml" --set local.learning_rate=1e30 --set local.epochs=3 --output "$scratch/diverged"
check "each is named with round, rank and host" \
  grep -qE 'warning: round [0-9]+, client [0-9]+ left out \(rank [0-9]+ on .*\): the .* is not finite' "$scratch/log"
check "the reason is printed once" test "$(grep -c 'rounds in a row' "$scratch/log")" = 1
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

# The watchdog, with 3 s in place of 30 min. A rank that is stopped cannot tell; the rank before it does after 6 s.
endless=(--set federation.rounds=1000000 --set 'federation.cohort={kind: uniform}'
  --set federation.cohort_size=4 --set watchdog.minutes=0.05)
# stopped LABEL RANK: stops that rank of three, and the job ends by itself with 76.
stopped() {
  local directory=$scratch/stopped$1 start=$SECONDS victim code
  timeout -k 5 60 mpirun -np 3 "$program" run "$yaml" "${endless[@]}" --output "$directory" \
    > "$scratch/log" 2>&1 < /dev/null &
  local job=$!
  while [ ! -s "$directory/.watch/rank-$1.json" ] && [ $((SECONDS - start)) -lt 30 ]; do sleep 0.1; done
  victim=$(sed -nE 's/.*"process":([0-9]+).*/\1/p' "$directory/.watch/rank-$1.json")
  sleep 1.5
  kill -STOP "$victim" || return 1
  start=$SECONDS
  wait $job
  code=$?
  [ $code = 76 ] && [ $((SECONDS - start)) -ge 4 ] && [ $((SECONDS - start)) -le 20 ] || { tail -n 5 "$scratch/log"; return 1; }
  grep -qE "rank $1 on .*: no sign of life for [0-9]+ s, process $victim is in state T \(stopped\); it was " "$scratch/log" ||
    { echo "no line about rank $1:"; tail -n 5 "$scratch/log"; return 1; }
  grep -q 'no sign of life' "$directory/manifest.json" || { echo "manifest.json:"; cat "$directory/manifest.json"; return 1; }
  # The launcher kills it, which takes a moment, and longer if the machine is busy.
  for _ in $(seq 200); do kill -0 "$victim" 2> /dev/null || return 0; sleep 0.1; done
  echo "process $victim is still there"
  return 1
}
check "a stopped rank 1 ends the job with 76 and its name" stopped 1
check "a stopped rank 0 does too" stopped 0
# A run whose manifest is a pipe to which nobody writes: opening it takes for ever, as on a dead file server.
cp -r "$scratch/root" "$scratch/hangs"
rm "$scratch/hangs/manifest.json"
mkfifo "$scratch/hangs/manifest.json"
hanging=(run "$yaml" --set watchdog.minutes=0.05 --output "$scratch/hangs" --resume)
ends "a rank that hangs in its own work ends the job" 76 'nothing got done for 3 s while reading the run directory' 30 \
  mpirun -np 2 "$program" "${hanging[@]}"
check "its line names rank and host" grep -qE '^cellm-mpi: rank 0 on .*: nothing got done' "$scratch/log"
timeout 8 "$program" "${hanging[@]}" --set watchdog.minutes=0 > "$scratch/log" 2>&1 < /dev/null
check "the watchdog can be off" test $? = 124
suspended() {
  local start=$SECONDS job leader
  setsid mpirun -np 2 "$program" run "$yaml" "${endless[@]}" --output "$scratch/suspended" > "$scratch/log" 2>&1 < /dev/null &
  job=$!
  while [ ! -s "$scratch/suspended/rounds.csv" ] && [ $((SECONDS - start)) -lt 30 ]; do sleep 0.1; done
  leader=$(pgrep -f "output $scratch/suspended" | head -n 1)
  local all
  all=$(pgrep -f "run $yaml .*output $scratch/suspended")
  # shellcheck disable=SC2086
  kill -STOP $all
  sleep 10
  # shellcheck disable=SC2086
  kill -CONT $all
  sleep 4
  kill -0 "$leader" 2> /dev/null || { cat "$scratch/log"; return 1; }
  # shellcheck disable=SC2086
  kill -9 $all 2> /dev/null
  wait $job
  ! grep -q watchdog "$scratch/log"
}
check "a job that was suspended as a whole goes on" suspended
if command -v gdb > /dev/null && gdb -batch -p $$ > /dev/null 2>&1; then
  traced() {
    "$program" "${hanging[@]}" > "$scratch/log" 2>&1 < /dev/null &
    local job=$! victim=$!
    timeout 8 gdb -batch -p "$victim" -ex continue > /dev/null 2>&1 < /dev/null
    kill -0 "$victim" 2> /dev/null || return 1
    kill -9 "$victim"
    wait $job
    ! grep -q watchdog "$scratch/log"
  }
  check "under a debugger the watchdog is off" traced
else
  skip "the watchdog under a debugger: no gdb, or it may not attach"
fi
if command -v script > /dev/null; then
  ends "on a terminal a line is redrawn with an estimate" 0 'left' 30 \
    script -qec "stty cols 60; '$program' run '$yaml' --set federation.rounds=180 --set 'federation.cohort={kind: uniform}' --set federation.cohort_size=4 --set local.epochs=8 --output '$scratch/terminal'" /dev/null
  redrawn() {
    tr '\r' '\n' < "$scratch/log" | grep -a 'client [0-9]*/' | sed 's/.*\[2K//' > "$scratch/lines"
    [ "$(wc -l < "$scratch/lines")" -ge 2 ] && [ "$(awk '{ if (length($0) > m) m = length($0) } END { print m }' "$scratch/lines")" -lt 60 ]
  }
  check "and never longer than the terminal" redrawn
else
  skip "the line on a terminal: no script(1)"
fi
"$program" inspect --plain "$scratch/root" > "$scratch/a"
check "inspect --plain is ASCII" bash -c 'grep -q "train loss" "$0" && ! LC_ALL=C grep -q "[^ -~]" "$0"' "$scratch/a"
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
