#!/usr/bin/env bash
# Short runs have one digest for every instruction set of this CPU, number of ranks and number of threads:
# the one in Tests/MPI/levels.digests.
# Usage: Tests/MPI/levels.sh [BINARY_DIRECTORY]. Prints one line a check and, last, "N passed, N failed,
# N skipped".
set -u
cd "$(dirname "$0")/../.." || exit 1
. Tests/MPI/checks.bash
. Tests/MPI/short-runs.bash
bin=$(program_directory cellm-mpi "${1:-}") || exit 1
program=$bin/cellm-mpi

# plays NAME LEVEL RANKS THREADS: prints the digest.
plays() {
  local launcher=()
  [ "$3" = 1 ] || launcher=(mpirun -np "$3")
  CELLM_ISA=$2 digest_of "$scratch/$1-$2-$3-$4" "${launcher[@]}" "$program" run "$scratch/$1.yaml" \
    --set "compute.threads=$4"
}
for name in llama private flex language; do
  sed -nE "s/^$name //p" Tests/MPI/levels.digests > "$scratch/expected"
  for level in fma avx2 avx512; do
    if ! CELLM_ISA=$level "$program" keys > /dev/null 2>&1; then
      skip "$name: this CPU has no $level"
      continue
    fi
    plays $name $level 1 1 > "$scratch/found"
    check "$name: $level, digest $(cat "$scratch/found")" same_text "$scratch/expected" "$scratch/found"
  done
  plays $name "" 2 1 > "$scratch/found"
  check "$name: 2 ranks, digest $(cat "$scratch/found")" same_text "$scratch/expected" "$scratch/found"
  plays $name "" 3 2 > "$scratch/found"
  check "$name: 3 ranks of 2 threads, digest $(cat "$scratch/found")" same_text "$scratch/expected" "$scratch/found"
done
# The prepared models, one round of two clients: too slow with fma.
home=$(. scripts/common.bash && echo "$CELLM_HOME")
prepared() { # NAME MODEL SETTING...
  local name=$1 model=$2 level
  shift 2
  if [ ! -f "$home/20newsgroups.$model/train.safetensors" ]; then
    skip "$name: make assets ASSETS=20newsgroups.$model prepares it"
    return
  fi
  local run=("$program" run experiments/quickstart.yaml --set "model.path=$model" --set federation.rounds=1
    --set "data.path=20newsgroups.$model" --set federation.cohort_size=2 --set partition.clients=1000
    --set evaluation.maximum_examples=16 --set evaluation.every=1 "$@")
  sed -nE "s/^$name //p" Tests/MPI/levels.digests > "$scratch/expected"
  for level in avx2 avx512; do
    if ! CELLM_ISA=$level "$program" keys > /dev/null 2>&1; then
      skip "$name: this CPU has no $level"
      continue
    fi
    CELLM_ISA=$level digest_of "$scratch/$name-$level" "${run[@]}" > "$scratch/found"
    check "$name: $level, digest $(cat "$scratch/found")" same_text "$scratch/expected" "$scratch/found"
  done
  digest_of "$scratch/$name-2" mpirun -np 2 "${run[@]}" > "$scratch/found"
  check "$name: 2 ranks, digest $(cat "$scratch/found")" same_text "$scratch/expected" "$scratch/found"
}
prepared minilm minilm-l6
prepared minilm-q8_0 minilm-l6 --set compute.precision=q8_0
prepared minilm-q4_0 minilm-l6 --set compute.precision=q4_0
prepared minilm-q4_1 minilm-l6 --set compute.precision=q4_1
prepared smollm2 smollm2-135m
ends "blocks need a multiple of 32 inputs" 65 'has 16 inputs; this compute.precision needs a multiple of 32' 20 \
  "$program" run "$scratch/llama.yaml" --set compute.precision=q8_0 --output "$scratch/blocks"
ends "an unknown instruction set is refused" 64 'CELLM_ISA=sse: unknown instruction set; this CPU has fma' 20 \
  env CELLM_ISA=sse "$program" keys
# OpenBLAS has an order of sums of its own: other bits on most CPUs, and the same losses to 4 digits.
digest_of "$scratch/blas" "$program" run "$scratch/flex.yaml" --set compute.products=openblas > "$scratch/found"
check "openblas: digest $(cat "$scratch/found")" grep -q "products: openblas" "$scratch/blas/config.yaml"
# losses DIRECTORY: the test losses.
losses() { awk -F, 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == "loss") c = i; next } { printf "%.4g\n", $c }' "$1/evaluation.csv"; }
losses "$scratch/blas" > "$scratch/found"
losses "$scratch/flex-fma-1-1" > "$scratch/expected"
check "openblas: the same losses, $(tr '\n' ' ' < "$scratch/found")" same_text "$scratch/expected" "$scratch/found"
finish
