#!/usr/bin/env bash
# Sweeps on several groups of ranks, edited and killed sweeps, and the ways out of every command where a rank's
# standard output is full or closed. Usage: Tests/MPI/sweeps.sh [BINARY_DIRECTORY]
# Prints one line a check and, last, "N passed, N failed, N skipped".
set -u
cd "$(dirname "$0")/../.." || exit 1
. Tests/MPI/checks.bash
bin=$(program_directory cellm-mpi "${1:-}") || exit 1
program=$bin/cellm-mpi
golden=$PWD/Tests/Goldens/federation/llama_adam_w
yaml=$scratch/tiny.yaml
cat > "$yaml" <<YAML
model: {path: $golden/model}
data: {path: $golden/corpus, max_length: 16}
partition: {kind: iid, clients: 8}
adapter: {lora_rank: 2, alpha: 8}
federation: {rounds: 4, cohort_size: 3, server: {optimizer: adam_w, learning_rate: 0.005}}
local: {epochs: 1, batch_size: 4, learning_rate: 0.2, momentum: 0.9}
evaluation: {every: 2, splits: [test]}
YAML
sweep=$scratch/three.sweep.yaml
cat > "$sweep" <<YAML
experiment: tiny.yaml
points: {a: {}, b: {seed: 1}, c: {seed: 2}}
YAML
column() { tail -n +2 "$1/points.csv" | cut -d , -f "$2" | tr '\n' ' '; }

# Three points on two groups, and the same on one rank.
ends "three points on one rank" 0 '3 points finished here' 60 "$program" sweep "$sweep" --output "$scratch/one"
ends "three points on two groups" 0 '3 points finished here' 60 \
  mpirun -np 4 "$program" sweep "$sweep" --group-size 2 --output "$scratch/two"
check "the sum is printed once" test "$(grep -c 'points finished here' "$scratch/log")" = 1
check "both have the same digests: $(column "$scratch/two" 4)" test "$(column "$scratch/one" 1-5)" = "$(column "$scratch/two" 1-5)"
check "means over seeds are written" grep -q '^3,3,0' "$scratch/two/seeds.csv"
ends "a sweep's directory is inspected" 0 '3 points: 3 finished' 20 "$program" inspect "$scratch/two"

# An edited sweep.
sed -i 's/b: {seed: 1}/b: {seed: 1, local.epochs: 2}/' "$sweep"
cp "$scratch/two/points.csv" "$scratch/before.csv"
ends "an edited sweep is refused before anything starts" 64 \
  "point b: $scratch/two/b is a run of another experiment: local.epochs is 2, there 1" 20 \
  mpirun -np 4 "$program" sweep "$sweep" --group-size 2 --output "$scratch/two"
check "it says what to do, once" test "$(grep -c 'give another --output, or remove the directories' "$scratch/log")" = 1
check "its table stays" same_text "$scratch/before.csv" "$scratch/two/points.csv"
rm -r "$scratch/two/b"
ends "without that point's directory it goes on" 0 '1 points finished here' 60 \
  mpirun -np 4 "$program" sweep "$sweep" --group-size 2 --output "$scratch/two"

# A group that fails alone: where the second rank is, the sweep file is not.
cat > "$scratch/elsewhere" <<'SH'
#!/bin/sh
[ "$OMPI_COMM_WORLD_RANK" != 1 ] || cd /
exec "$@"
SH
# on_rank RANK WAY COMMAND...: that rank has a full or closed standard stream.
cat > "$scratch/on_rank" <<'SH'
#!/bin/sh
rank=$1 way=$2
shift 2
[ "${OMPI_COMM_WORLD_RANK:-0}" = "$rank" ] || exec "$@"
case $way in
  full) exec "$@" > /dev/full ;;
  closed) exec "$@" >&- ;;
  mute) exec "$@" 2>&- ;;
  alone) exec "$@" >&- 2>&- <&- ;;
esac
SH
chmod +x "$scratch/elsewhere" "$scratch/on_rank"
ends "a group that fails alone does not keep the job, whose code is the failure's" 66 'does not exist' 30 \
  env -C "$scratch" mpirun -np 2 ./elsewhere "$program" sweep three.sweep.yaml --group-size 1 --output "$scratch/alone"
check "the other group plays the points" test "$(column "$scratch/alone" 3)" = "finished finished finished "
mkdir -p "$scratch/unclaimed/.claims/c"
ends "a claim that cannot be opened ends all groups" 74 'Is a directory' 30 \
  mpirun -np 2 "$program" sweep "$sweep" --group-size 1 --output "$scratch/unclaimed"
cat > "$scratch/bad.sweep.yaml" <<YAML
experiment: tiny.yaml
points: {a: {}, none: {data.path: /nowhere}, far: {local.learning_rate: 1.0e+30, federation.non_finite: stop}, d: {seed: 4}}
YAML
ends "points that fail leave the others alone, and the largest code counts" 66 'failed: none' 60 \
  mpirun -np 2 "$program" sweep "$scratch/bad.sweep.yaml" --group-size 1 --output "$scratch/bad"
check "points.csv says so: $(column "$scratch/bad" 3)" test "$(column "$scratch/bad" 3)" = "finished failed failed finished "
ends "inspect names the causes" 0 'none failed: 66: data /nowhere does not exist' 20 "$program" inspect "$scratch/bad"

# Every command, where the first rank, another one or a process alone cannot write.
"$program" run "$yaml" --output "$scratch/run" > "$scratch/log" 2>&1 < /dev/null
number=0
for command in run plan sweep list inspect export keys; do
  number=$((number + 1))
  for way in "0 full 74" "1 full 0" "0 closed 74" "1 closed 0" "0 mute 0" "1 alone 0" "0 alone 74"; do
    read -r rank how code <<< "$way"
    case $command in
      run) arguments=(run "$yaml" --output "$scratch/out-$command-$rank-$how") ;;
      plan) arguments=(plan "$yaml") ;;
      sweep) arguments=(sweep "$scratch/three.sweep.yaml" --group-size 1 --output "$scratch/one-$rank-$how") ;;
      list) arguments=(sweep "$scratch/three.sweep.yaml" --list) ;;
      inspect) arguments=(inspect "$scratch/run") ;;
      export) arguments=(export "$scratch/run" --to "$scratch/out-$command-$rank-$how") ;;
      keys) arguments=(keys) ;;
    esac
    ends "$command, rank $rank of two $how" "$code" '' 15 \
      mpirun -np 2 "$scratch/on_rank" "$rank" "$how" "$program" "${arguments[@]}"
  done
done
"$scratch/on_rank" 0 alone "$program" run "$yaml" --output "$scratch/closed"
check "a run whose standard streams are closed ends with 74" test $? = 74
check "its files have their own content" bash -c \
  'head -c 6 "$0/config.yaml" | grep -q "model:" && head -n 1 "$0/rounds.csv" | grep -q "^round," && ! grep -q "^digest" "$0"/*.*' "$scratch/closed"
for arguments in "run $yaml --output" "sweep $sweep --output" "sweep $sweep --list --output" "export $scratch/run --to" "inspect"; do
  # shellcheck disable=SC2086
  ends "an empty path: $(cut -d ' ' -f 1 <<< "$arguments")" 64 'is empty' 10 "$program" $arguments ""
done

# Killed in the middle.
cat > "$scratch/long.sweep.yaml" <<YAML
experiment: tiny.yaml
set: {federation.rounds: 3000, federation.cohort_size: 3, evaluation.every: 1500, checkpoint.every_rounds: 50}
points: {a: {}, b: {seed: 1}}
YAML
killed() {
  setsid mpirun -np 2 "$program" sweep "$scratch/long.sweep.yaml" --group-size 2 --output "$scratch/killed" \
    > "$scratch/log" 2>&1 < /dev/null &
  local job=$!
  for _ in $(seq 300); do [ -e "$scratch/killed/a/rounds.csv" ] && break; sleep 0.1; done
  [ "$(column "$scratch/killed" 3)" = "running waiting " ] || { column "$scratch/killed" 3; return 1; }
  kill -9 -- -$job
  wait $job 2> /dev/null
  for _ in $(seq 100); do pgrep -f "output $scratch/killed" > /dev/null || break; sleep 0.1; done
  "$program" inspect "$scratch/killed" > "$scratch/found"
  grep -q '2 points: 1 killed, 1 waiting' "$scratch/found" || { cat "$scratch/found"; return 1; }
}
check "points.csv says running while a point runs, and inspect says killed after kill -9" killed

# What is written and suggested.
digest_of "$scratch/fraction" "$program" run "$yaml" --set method.upload.density=1/16 > "$scratch/a"
digest_of "$scratch/decimal" "$program" run "$yaml" --set method.upload.density=0.0625 > "$scratch/b"
check "1/16 has the digest of 0.0625: $(cat "$scratch/a")" same_text "$scratch/a" "$scratch/b"
check "and its config.yaml" same_text "$scratch/fraction/config.yaml" "$scratch/decimal/config.yaml"
ends "lr is local.learning_rate" 64 'did you mean local.learning_rate?' 10 "$program" run "$yaml" --set lr=0.1
{ echo "a0: &a0 [1]"; for i in $(seq 9); do echo "a$i: &a$i [$(printf "*a$((i - 1)), %.0s" $(seq 9))]"; done; echo "seed: *a9"; } > "$scratch/bomb.yaml"
ends "aliases of aliases" 64 'has more than 100000 values' 3 "$program" run "$scratch/bomb.yaml"
ends "an experiment without an end" 64 'has more than 256 KiB' 3 "$program" run /dev/zero
ends "ranks without a client are named" 0 '2 of 5 ranks have no client in a round of 3' 30 mpirun -np 5 "$program" run "$yaml" --output "$scratch/idle"
ends "by plan too" 0 '5 of 8 ranks have no client in a round of 3' 10 "$program" plan "$yaml" --ranks 8
for command in run plan; do
  ends "$command refuses pruning of ranks where there are none" 64 \
    'method.rank_pruning.factor=0.5: 0.5 is not allowed with adapter.frozen: lora_a; give 1' 10 \
    "$program" $command "$yaml" --set adapter.frozen=lora_a --set method.rank_pruning.factor=0.5
done
finish
