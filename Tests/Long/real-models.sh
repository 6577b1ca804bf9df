#!/usr/bin/env bash
# The prepared models against PyTorch in double precision: logits and loss within 1e-4, gradients as
# close as PyTorch's own float32.
# Makes the goldens with Tests/Goldens/transformers/make_real.py in an environment with PyTorch
# (REFERENCE_PYTHON=python where there is one; else it is made in .build, which takes minutes).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
home=$(. scripts/common.bash && echo "$CELLM_HOME")
python=$(bash Tests/Long/reference-python.bash)
goldens=$PWD/.build/real-goldens
for model in minilm-l6 smollm2-135m; do
  [ -f "$goldens/$model/golden.safetensors" ] ||
    "$python" Tests/Goldens/transformers/make_real.py "$home/$model" "$goldens/$model"
done
log=.build/real-models.log
if CELLM_REAL_GOLDENS=$goldens swift test -c release --skip-build --filter RealModelTests > "$log" 2>&1; then
  grep "relative error" "$log"
  echo "2 passed, 0 failed"
else
  tail -n 30 "$log"
  echo "0 passed, 2 failed"
  exit 1
fi
