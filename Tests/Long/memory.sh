#!/usr/bin/env bash
# Memory and checkpoints over many rounds of a tiny model with everything on: kept residuals, downloads as
# differences, evaluated clients, metrics, curves. Rank 0's memory and the checkpoint's size must be flat after the
# first hundred rounds. Usage: [ROUNDS=3000] Tests/Long/memory.sh [BINARY_DIRECTORY]
# Prints a table, one line a check and, last, "N passed, N failed, N skipped".
set -u
cd "$(dirname "$0")/../.." || exit 1
. Tests/MPI/checks.bash
bin=$(program_directory cellm-mpi "${1:-}") || exit 1
program=$bin/cellm-mpi
rounds=${ROUNDS:-3000}
golden=$PWD/Tests/Goldens/federation/llama_lm
cat > "$scratch/x.yaml" <<YAML
model: {path: $golden/model}
data: {path: $golden/corpus, max_length: 16}
task: {kind: language_modelling}
partition: {kind: iid, clients: 24}
adapter: {lora_rank: 8, alpha: 8}
method:
  download: {density: 0.25, indices: difference}
  upload: {density: 0.1}
  residual: kept
federation: {rounds: $rounds, cohort_size: 4, server: {optimizer: fed_adam, learning_rate: 0.001}}
local: {batch_size: 4, learning_rate: 0.01}
evaluation: {every: 1, splits: [test], masked: both, clients: 5, holdout: 0.2, maximum_examples: 4}
system: {kind: drawn, dropout: 0.05}
checkpoint: {every_rounds: 50, keep: 2}
YAML
run=$scratch/run
nice -n 19 "$program" run "$scratch/x.yaml" --output "$run" > "$scratch/log" 2>&1 &
pid=$!
# Sizes of checkpoints are noted while the run goes on, since only two stay.
: > "$scratch/sizes"
while kill -0 $pid 2> /dev/null; do
  for file in "$run"/checkpoints/round-*.safetensors; do
    [ -e "$file" ] && echo "$(basename "$file" .safetensors | sed 's/round-0*//') $(stat -c %s "$file" 2> /dev/null)" >> "$scratch/sizes"
  done
  sleep 0.5
done
wait $pid
check "$rounds rounds end" test $? = 0
tail -n 3 "$scratch/log"
sort -nu "$scratch/sizes" | awk 'NF == 2' > "$scratch/sorted"

# at ROUND COLUMN: of rounds.csv; size ROUND: of the newest checkpoint noted up to a round.
at() {
  awk -F, -v round="$1" -v name="$2" 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == name) at = i; next }
    NR - 1 == round { print $at }' "$run/rounds.csv"
}
size() { awk -v round="$1" '$1 <= round { size = $2 } END { print size + 0 }' "$scratch/sorted"; }
echo "round memory_mb peak_memory_mb checkpoint_bytes"
for round in 100 $((rounds / 3)) "$rounds"; do
  echo "$round $(at "$round" memory_mb) $(at "$round" peak_memory_mb) $(size "$round")"
done
echo "residual files: $(find "$run/residuals" -type f | wc -l) of $(ls "$run/residuals" | wc -l) clients"
# A tenth more is the allocator's and the table's last rows; a leak of a row or a support a round is many times that.
check "memory is flat after round 100" awk -v a="$(at 100 memory_mb)" -v b="$(at "$rounds" memory_mb)" \
  'BEGIN { exit !(a > 0 && b <= 1.1 * a + 2) }'
check "the checkpoint's size is flat after round 100" \
  awk -v a="$(size 100)" -v b="$(size "$rounds")" 'BEGIN { exit !(a > 0 && b <= 1.1 * a) }'
check "residual files are as many as checkpoints need" test "$(find "$run/residuals" -type f | wc -l)" -le \
  $((4 * $(ls "$run/residuals" | wc -l)))
finish
