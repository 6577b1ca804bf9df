#!/usr/bin/env bash
# Sweeps of many points: 200 of a tiny model on eight ranks, with idle groups counted; the same after a kill; a random
# search and a search over ranks and densities. Usage: Tests/Long/sweeps.sh [BINARY_DIRECTORY]
# Prints one line a check and, last, "N passed, N failed, N skipped".
set -u
cd "$(dirname "$0")/../.." || exit 1
. Tests/MPI/checks.bash
bin=$(program_directory cellm-mpi "${1:-}") || exit 1
program=$bin/cellm-mpi
golden=$PWD/Tests/Goldens/federation/llama_adam_w
cat > "$scratch/tiny.yaml" << YAML
model: {path: $golden/model}
data: {path: $golden/corpus, max_length: 16}
partition: {kind: iid, clients: 8}
adapter: {lora_rank: 2, alpha: 8}
federation: {rounds: 60, cohort_size: 4, server: {optimizer: adam_w, learning_rate: 0.005}}
local: {epochs: 1, batch_size: 4, learning_rate: 0.2, momentum: 0.9}
evaluation: {every: 30, splits: [test]}
YAML
cat > "$scratch/many.sweep.yaml" << YAML
experiment: tiny.yaml
grid:
  method.upload.density: [0.0625, 0.125, 0.25, 0.5, 1]
  seed: [$(seq -s ', ' 0 39)]
YAML

finished() { awk -F, 'NR > 1 && $3 == "finished"' "$1/points.csv" | wc -l; }
idle() { sed -nE 's/.*groups of ranks, idle ([0-9.]+) % of the time.*/\1/p' "$1"; }

start=$SECONDS
mpirun -np 8 --oversubscribe --bind-to none "$program" sweep "$scratch/many.sweep.yaml" --group-size 1 \
  --output "$scratch/many" > "$scratch/many.log" 2>&1 < /dev/null
check "200 points on eight ranks end with 0" test $? = 0
echo "$((SECONDS - start)) s, groups idle $(idle "$scratch/many.log") % of the time until no point was free"
check "all 200 are finished" test "$(finished "$scratch/many")" = 200
check "groups are idle for less than 10 % of it" awk "BEGIN { exit !($(idle "$scratch/many.log") < 10) }"

# Killed in the middle, then with groups of another size.
mpirun -np 4 --oversubscribe --bind-to none "$program" sweep "$scratch/many.sweep.yaml" --group-size 2 \
  --output "$scratch/again" > "$scratch/log" 2>&1 < /dev/null &
job=$!
while [ "$(ls "$scratch/again" 2> /dev/null | wc -l)" -lt 40 ]; do sleep 0.2; done
kill -9 $job
wait $job 2> /dev/null
while pgrep -f "output $scratch/again" > /dev/null; do sleep 0.2; done
mpirun -np 3 --oversubscribe --bind-to none "$program" sweep "$scratch/many.sweep.yaml" --group-size 1 \
  --output "$scratch/again" > "$scratch/log" 2>&1 < /dev/null
digests() { cut -d , -f 1-5 "$1/points.csv"; }
digests "$scratch/many" > "$scratch/expected"
digests "$scratch/again" > "$scratch/found"
check "a sweep that was killed goes on to the same 200 digests" same_text "$scratch/expected" "$scratch/found"

cat > "$scratch/search.sweep.yaml" << YAML
experiment: tiny.yaml
search: {ranks: [1, 2, 4, 8], densities: [0.0625, 0.125, 0.25, 0.5, 1], by: loss, alpha_over_rank: 4}
YAML
for groups in 1 4; do
  mpirun -np 4 --oversubscribe --bind-to none "$program" sweep "$scratch/search.sweep.yaml" \
    --group-size $((4 / groups)) --output "$scratch/search$groups" > "$scratch/log" 2>&1 < /dev/null
  check "a search with $groups groups ends with 0" test $? = 0
done
digests "$scratch/search1" > "$scratch/expected"
digests "$scratch/search4" > "$scratch/found"
check "both play the same points to the same digests" same_text "$scratch/expected" "$scratch/found"
played=$(finished "$scratch/search1")
check "$played of 20 points were played, the first and seven pairs at most" test "$played" -le 15 -a "$played" -ge 8
finish
