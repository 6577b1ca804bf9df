#!/usr/bin/env bash
# Runs that are killed at random moments and go on, on any number of ranks, end with the digest of the
# run that was left alone. Every fourth kill hits a run in a PID namespace, where each start has the same
# process numbers, as in a container. Usage: Tests/MPI/resume.sh [BINARY_DIRECTORY] [KILLS]
# Prints one line a check and, last, "N passed, N failed, N skipped".
set -u
cd "$(dirname "$0")/../.." || exit 1
. Tests/MPI/checks.bash
bin=$(program_directory cellm-mpi "${1:-}") || exit 1
program=$bin/cellm-mpi
kills=${2:-8}
golden=$PWD/Tests/Goldens/federation/llama_adam_w
cat > "$scratch/x.yaml" <<YAML
model: {path: $golden/model}
data: {path: $golden/corpus, max_length: 16}
partition: {kind: file, path: $golden/partition.json}
adapter: {lora_rank: 2, alpha: 8, initial: $golden/initial_adapter}
method: {download: {density: 0.25}, upload: {density: 0.125}, residual: kept}
federation:
  rounds: 300
  cohort_size: 4
  server: {optimizer: adam_w, learning_rate: 0.005}
local: {epochs: 1, batch_size: 4, learning_rate: 0.2, momentum: 0.9}
evaluation: {every: 50, splits: [validation, test]}
compute: {micro_batch_tokens: 20}
checkpoint: {every_rounds: 7, keep: 2}
system: {kind: drawn, download: {median: 2000, sigma: 0.5}, upload: 1000, latency: 0.1,
  tokens_per_second: {median: 100, sigma: 0.75}, unavailability: 0.1, dropout: 0.2, deadline: 3}
YAML
digest_of "$scratch/whole" "$program" run "$scratch/x.yaml" > "$scratch/expected"
echo "left alone: digest $(cat "$scratch/expected")"

# One directory for all kills; where it is finished before, a new one.
number=0 done_kills=0 equal=0 ended=0
# Every fourth start, where the rights for it are there; done_in_namespace counts its kills.
namespace=(unshare --pid --fork --kill-child --mount-proc) done_in_namespace=0
"${namespace[@]}" true 2> /dev/null || namespace=()
compare() {
  ended=$((ended + 1))
  sed -nE 's/^digest ([0-9a-f]+)$/\1/p' "$scratch/log" > "$scratch/found"
  for table in rounds evaluation clients; do
    without_seconds "$scratch/whole/$table.csv" > "$scratch/expected.csv"
    without_seconds "$scratch/run$number/$table.csv" > "$scratch/found.csv"
    same_text "$scratch/expected.csv" "$scratch/found.csv" || return
  done
  same_text "$scratch/expected" "$scratch/found" && equal=$((equal + 1))
}
# After each kill, the digest of every round in its table is that of the run left alone; a last line may be cut.
checked=0 sound=0
compare_rounds() {
  [ -e "$scratch/run$number/rounds.csv" ] || return
  head -c -1 "$scratch/run$number/rounds.csv" | sed '$d' > "$scratch/begun.csv"
  [ -s "$scratch/begun.csv" ] || return
  checked=$((checked + 1))
  without_seconds "$scratch/begun.csv" > "$scratch/found.csv"
  without_seconds "$scratch/whole/rounds.csv" | head -n "$(wc -l < "$scratch/found.csv")" > "$scratch/expected.csv"
  same_text "$scratch/expected.csv" "$scratch/found.csv" && sound=$((sound + 1))
}
# Waits until a start and all of its ranks have ended: a start that no kill hit plays its rounds to the end, after a kill all ranks
# end by themselves within 30 s. mpirun of Open MPI 4.1 can hang without a rank, if one was killed while it connected to mpirun;
# then it is killed too.
left=0 mpirun_hung=0
end_of_start() {
  local ranks="^$program run .*output $scratch/run$number " seen=$SECONDS
  while kill -0 $job 2> /dev/null; do
    ! pgrep -f "$ranks" > /dev/null || seen=$SECONDS
    if [ $((SECONDS - seen)) -ge 30 ]; then
      mpirun_hung=$((mpirun_hung + 1))
      pkill -9 -f "output $scratch/run$number "
    fi
    sleep 0.1
  done
  for _ in $(seq 300); do pgrep -f "$ranks" > /dev/null || return; sleep 0.1; done
  left=$((left + 1))
  pkill -9 -f "$ranks"
}
while [ "$done_kills" -lt "$kills" ]; do
  ranks=$((done_kills % 5 + 1)) inside=()
  [ $((done_kills % 4)) != 3 ] || inside=(${namespace[@]+"${namespace[@]}"})
  setsid ${inside[@]+"${inside[@]}"} mpirun -np $ranks "$program" run "$scratch/x.yaml" --output "$scratch/run$number" --resume \
    > "$scratch/log" 2>&1 < /dev/null &
  job=$!
  sleep "0.$((RANDOM % 9))$((RANDOM % 10))"
  [ $((RANDOM % 2)) = 0 ] && sleep 0.5
  # Any process of it, mpirun included.
  victim=$(pgrep -f "output $scratch/run$number " | shuf -n 1)
  if [ -n "$victim" ] && kill -9 "$victim" 2> /dev/null; then
    done_kills=$((done_kills + 1))
    [ ${#inside[@]} = 0 ] || done_in_namespace=$((done_in_namespace + 1))
  fi
  end_of_start
  wait $job 2> /dev/null && { compare; number=$((number + 1)); }
  compare_rounds
done
timeout -k 5 300 mpirun -np 3 "$program" run "$scratch/x.yaml" --output "$scratch/run$number" --resume \
  > "$scratch/log" 2>&1 < /dev/null && compare
[ ${#namespace[@]} != 0 ] || skip "kills in a PID namespace: the right to make one is missing"
check "after $done_kills kills ($done_in_namespace in a PID namespace), $ended runs ended, $equal as the one left alone" \
  test "$ended" -ge 1 -a "$ended" = "$equal"
check "no rank outlived its start, of which $mpirun_hung left an mpirun that hung by itself" test "$left" = 0
check "after $checked of them there were rounds, and $sound had the digests of the run left alone, round by round" \
  test "$checked" -ge 1 -a "$checked" = "$sound"

# What methods keep besides the vector: merged base weights, and clients' ranks.
golden=$PWD/Tests/Goldens/federation
for case in flora rank_pruning; do
  case $case in
    flora) method='aggregation: stacked, tiers: [{lora_rank: 1}, {lora_rank: 3}, {share: 1}]' ;;
    *) method='aggregation: norm_weighted, rank_pruning: {factor: 0.7, penalty: 6}' ;;
  esac
  cat > "$scratch/$case.yaml" <<YAML
model: {path: $golden/$case/model}
data: {path: $golden/$case/corpus, max_length: 16}
partition: {kind: file, path: $golden/$case/partition.json}
adapter: {lora_rank: 4, alpha: 8, initial: $golden/$case/initial_adapter}
method: {download: {select: all}, upload: {select: all}, $method}
federation: {rounds: 1200, cohort_size: 4, server: {optimizer: sgd, learning_rate: 0.5}}
local: {epochs: 1, batch_size: 4, learning_rate: 0.02, momentum: 0.9}
evaluation: {every: 300, splits: [test]}
compute: {micro_batch_tokens: 20}
checkpoint: {every_rounds: 7, keep: 2}
YAML
  digest_of "$scratch/$case-whole" "$program" run "$scratch/$case.yaml" > "$scratch/$case-expected"
  mpirun -np 3 "$program" run "$scratch/$case.yaml" --output "$scratch/$case-killed" --resume \
    > "$scratch/log" 2>&1 < /dev/null &
  job=$! start=$SECONDS
  # Any checkpoint: only the last two are kept, so that one of them by its name may come and go between two looks.
  until compgen -G "$scratch/$case-killed/checkpoints/round-*" > /dev/null || [ $((SECONDS - start)) -ge 60 ]; do
    sleep 0.05
  done
  kill -9 $job 2> /dev/null
  wait $job 2> /dev/null
  for _ in $(seq 100); do pgrep -f "output $scratch/$case-killed " > /dev/null || break; sleep 0.1; done
  timeout -k 5 300 mpirun -np 2 "$program" run "$scratch/$case.yaml" --output "$scratch/$case-killed" --resume \
    > "$scratch/log" 2>&1 < /dev/null
  check "$case: the kill left something to do" grep -q ', from round [0-9]' "$scratch/log"
  sed -nE 's/^digest ([0-9a-f]+)$/\1/p' "$scratch/log" > "$scratch/found"
  for table in rounds evaluation clients; do
    without_seconds "$scratch/$case-whole/$table.csv" > "$scratch/expected.csv"
    without_seconds "$scratch/$case-killed/$table.csv" > "$scratch/found.csv"
    same_text "$scratch/expected.csv" "$scratch/found.csv" || echo "$table" >> "$scratch/found"
  done
  check "$case: killed on 3 ranks, it goes on on 2 to digest $(cat "$scratch/$case-expected") and the same tables" \
    same_text "$scratch/$case-expected" "$scratch/found"
done

# SIGUSR1 saves and ends with 75; the same command goes on.
signalled() {
  mpirun -np 3 "$program" run "$scratch/x.yaml" --output "$scratch/signal" --resume \
    > "$scratch/log" 2>&1 < /dev/null &
  local job=$! start=$SECONDS
  while [ "$(cat "$scratch/signal/rounds.csv" 2> /dev/null | wc -l)" -lt 3 ] && [ $((SECONDS - start)) -lt 30 ]; do
    sleep 0.05
  done
  kill -USR1 $job
  wait $job
  [ $? = 75 ] && grep -q 'go on with --resume' "$scratch/log" &&
    grep -q '"status" : "stopped"' "$scratch/signal/manifest.json"
}
check "SIGUSR1 to mpirun saves the run and ends it with 75" signalled
timeout -k 5 300 mpirun -np 2 "$program" run "$scratch/x.yaml" --output "$scratch/signal" --resume \
  > "$scratch/log" 2>&1 < /dev/null
sed -nE 's/^digest ([0-9a-f]+)$/\1/p' "$scratch/log" > "$scratch/found"
check "and goes on on 2 ranks to digest $(cat "$scratch/found")" same_text "$scratch/expected" "$scratch/found"
ends "two at once in one directory" 64 'another process runs in it' 20 bash -c '
  "$0" run "$1" --set federation.rounds=100000 --output "$2" > /dev/null 2>&1 &
  first=$!
  while [ ! -s "$2/rounds.csv" ]; do sleep 0.1; done
  "$0" run "$1" --set federation.rounds=100000 --output "$2" --resume
  code=$?
  kill -9 $first
  exit $code' "$program" "$scratch/x.yaml" "$scratch/two"
finish
