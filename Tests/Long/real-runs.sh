#!/usr/bin/env bash
# Whole runs of the prepared models: the same bits without mpirun and on 1, 2, 3 and 8 ranks; density 1
# and dense LoRA; 64 ranks on this machine; the exported adapter against PEFT.
# Usage: Tests/Long/real-runs.sh [BINARY_DIRECTORY]. PyTorch: REFERENCE_PYTHON, or .build/reference-environment
# as Tests/Long/real-models.sh makes it; without it that part is skipped.
set -u
cd "$(dirname "$0")/../.." || exit 1
. Tests/MPI/checks.bash
bin=$(program_directory cellm-mpi "${1:-}") || exit 1
program=$bin/cellm-mpi
export RUN_SECONDS=1800
home=$(. scripts/common.bash && echo "$CELLM_HOME")
# Many small clients: a round of the 135M model takes half a minute on one core.
small=(--set partition.clients=2000 --set federation.cohort_size=8 --set federation.rounds=2
  --set evaluation.every=2 --set evaluation.maximum_examples=64)

for model in minilm-l6 smollm2-135m; do
  same_bits "$model" "experiments/$model.20newsgroups.flasc.yaml" "1 2 3 8" "${small[@]}"
done
digest_of "$scratch/dense" mpirun -np 2 "$program" run experiments/minilm-l6.20newsgroups.dense.yaml "${small[@]}" > "$scratch/a"
digest_of "$scratch/one" mpirun -np 2 "$program" run experiments/minilm-l6.20newsgroups.dense.yaml "${small[@]}" \
  --set 'method={download: {density: 1}, upload: {density: 1}}' > "$scratch/b"
check "density 1 and dense LoRA: digest $(cat "$scratch/a")" same_text "$scratch/a" "$scratch/b"

python=${REFERENCE_PYTHON:-.build/reference-environment/bin/python}
if "$python" -c "import torch, transformers, peft" 2> /dev/null; then
  for model in minilm-l6 smollm2-135m; do
    "$program" export "$scratch/$model-2" --to "$scratch/$model-adapter" --logits validation --examples 64 > "$scratch/log" 2>&1
    check "$model: PEFT loads the exported adapter and gives its logits" \
      "$python" Tests/Goldens/federation/check_export.py --model "$home/$model" \
      --adapter "$scratch/$model-adapter" --data "$home/20newsgroups.$model/validation.safetensors" \
      --logits "$scratch/$model-adapter/logits.safetensors" --float32
  done
else
  skip "the exported adapter against PEFT: no environment with PyTorch (Tests/Long/real-models.sh makes one)"
fi

# 64 ranks of 220 MB each beside the base weights: micro-batches of 128 tokens.
start=$SECONDS
digest_of "$scratch/64" mpirun -np 64 "$program" run experiments/smollm2-135m.20newsgroups.flasc.yaml \
  "${small[@]}" --set partition.clients=4000 --set federation.cohort_size=64 \
  --set compute.micro_batch_tokens=128 > "$scratch/a"
check "64 ranks, 64 clients a round, two rounds of the 135M model in $((SECONDS - start)) s: digest $(cat "$scratch/a")" \
  test -s "$scratch/a"
finish
