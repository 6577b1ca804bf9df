#!/usr/bin/env bash
# Every method on the real corpus: two rounds of MiniLM-L6 on 20 Newsgroups, the same digest on 1 and 3
# ranks. Usage: Tests/Long/methods.sh [BINARY_DIRECTORY]
# Prints one line a check and, last, "N passed, N failed, N skipped".
set -u
cd "$(dirname "$0")/../.." || exit 1
. Tests/MPI/checks.bash
bin=$(program_directory cellm-mpi "${1:-}") || exit 1
program=$bin/cellm-mpi
home=$(. scripts/common.bash && echo "$CELLM_HOME")
if [ ! -f "$home/20newsgroups.minilm-l6/train.safetensors" ]; then
  skip "methods on the real corpus: make assets ASSETS=20newsgroups.minilm-l6 prepares it"
  finish
fi
all='{select: all}'
top() { echo "{select: top_magnitude, density: $1}"; }
pruned='persistence: nested, trainable: downloaded, upload: {select: downloaded}'
tiers='tiers: [{lora_rank: 2}, {lora_rank: 8}, {share: 1}]'

# method LABEL METHOD [SETTING...]
method() {
  local label=$1 value=$2 digests=() ranks
  shift 2
  local settings=()
  for setting in "$@"; do settings+=(--set "$setting"); done
  for ranks in 1 3; do
    digests+=("$(digest_of "$scratch/$label-$ranks" mpirun -np $ranks "$program" run \
      experiments/minilm-l6.20newsgroups.flasc.yaml --set "method={$value}" --set data.max_length=64 \
      --set federation.rounds=2 --set federation.cohort_size=4 --set evaluation.every=2 \
      --set evaluation.maximum_examples=48 "${settings[@]}")")
  done
  check "$label: ${digests[0]} on 1 rank, ${digests[1]} on 3" \
    test -n "${digests[0]}" -a "${digests[0]}" = "${digests[1]}"
}

method dense "download: $all, upload: $all"
method flasc "download: $(top 0.25), upload: $(top 0.0625)"
method sparse-adapter "download: $(top '{initial: 1, factor: 0.25, period: 1, minimum: 0.25}'), $pruned"
method adapter-lth "download: $(top '{initial: 1, factor: 0.9, period: 1}'), $pruned"
method federated-select "download: $(top 0.25), upload: {select: downloaded}, trainable: downloaded"
method random-k "download: {select: random, density: 0.25}, upload: {select: random, density: 0.0625}"
method error-feedback "download: $all, upload: $(top 0.0625), residual: kept"
method ffa-lora "download: $all, upload: $all" adapter.frozen=lora_a
method full-dense "download: $all, upload: $all" 'adapter={kind: full}'
method full-flasc "download: $(top 0.25), upload: $(top 0.0625)" 'adapter={kind: full}'
method head-only "download: $all, upload: $all" adapter.frozen=both
method het-lora "download: $all, upload: $all, aggregation: norm_weighted, $tiers"
method flex-lora "download: $all, upload: $all, aggregation: product_mean, $tiers" \
  'federation.server={optimizer: sgd, learning_rate: 1}'
method het-lora-pruned "download: $all, upload: $all, aggregation: norm_weighted, $tiers, rank_pruning: {factor: 0.7, penalty: 0.01}"
method flora "download: $all, upload: $all, aggregation: stacked, $tiers" \
  'federation.server={optimizer: sgd, learning_rate: 1}'
method density-tiers "download: $(top 1), upload: $(top 1), tiers: [{download_density: 0.0625, upload_density: 0.0625}, {share: 1}]"
method int4 "download: {select: all, values: bf16}, upload: {select: top_magnitude, density: 0.25, values: int4}, residual: kept"
finish
