#!/usr/bin/env bash
# Prints the path of a Python with PyTorch, transformers and PEFT: REFERENCE_PYTHON where it has them; else
# an environment in .build, which is made where it is missing (this takes minutes).
set -euo pipefail
python=${REFERENCE_PYTHON:-.build/reference-environment/bin/python}
if ! "$python" -c "import torch, transformers, peft" 2> /dev/null; then
  python3 -m venv .build/reference-environment
  .build/reference-environment/bin/pip install -q -r Tests/Goldens/requirements.txt
  python=.build/reference-environment/bin/python
fi
echo "$python"
