#!/usr/bin/env bash
# GGUF files of every golden model. PyPI's gguf reads the adapters bit by bit, transformers and llama.cpp
# compute PEFT's logits from the models. REFERENCE_PYTHON as in real-models.sh. LLAMA_CPP_PYTHON is a Python
# with llama-cpp-python; without it llama.cpp is left out (the package compiles llama.cpp).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
python=$(bash Tests/Long/reference-python.bash)
"$python" -c "import gguf" 2> /dev/null || "$python" -m pip install -q gguf
exports=$(mktemp -d)
trap 'rm -rf "$exports"' EXIT
log=.build/gguf.log
passed=0
check() { # command ...
  "$@" 2> .build/gguf.errors.log || { tail -n 30 .build/gguf.errors.log; echo "$passed passed, 1 failed"; exit 1; }
  passed=$((passed + 1))
}
CELLM_EXPORTS=$exports swift test -c release --skip-build --filter GGUFExportTests > "$log" 2>&1 ||
  { tail -n 30 "$log"; echo "0 passed, 1 failed"; exit 1; }
check "$python" Tests/Goldens/gguf/check_exports.py "$exports"
if [ -n "${LLAMA_CPP_PYTHON:-}" ]; then
  check "$LLAMA_CPP_PYTHON" Tests/Goldens/gguf/llama_cpp_logits.py "$exports"
  echo "$passed passed, 0 failed"
else
  echo "$passed passed, 0 failed, 1 skipped (LLAMA_CPP_PYTHON is not set)"
fi
