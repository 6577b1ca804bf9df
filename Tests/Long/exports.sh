#!/usr/bin/env bash
# Exports of every golden model: transformers loads the merged models and PEFT the adapters, and both give
# the goldens' logits within 1e-6 in double precision. REFERENCE_PYTHON as in real-models.sh.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
python=$(bash Tests/Long/reference-python.bash)
exports=$(mktemp -d)
trap 'rm -rf "$exports"' EXIT
log=.build/exports.log
CELLM_EXPORTS=$exports swift test -c release --skip-build --filter ExportTests > "$log" 2>&1 || { tail -n 30 "$log"; exit 1; }
"$python" Tests/Goldens/transformers/check_exports.py "$exports" 2> .build/exports.errors.log ||
  { tail -n 30 .build/exports.errors.log; echo "0 passed, 1 failed"; exit 1; }
echo "$(ls "$exports" | wc -l) passed, 0 failed"
