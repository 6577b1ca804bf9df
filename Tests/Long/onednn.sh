#!/usr/bin/env bash
# The build with the trait oneDNN, and the tests of products in bf16 on it; skipped without <dnnl.h>.
# Built in .build-onednn, so that the default build stays as it is (the first time takes minutes).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
if ! echo '#include <dnnl.h>' | clang -fsyntax-only -x c - 2> /dev/null; then
  echo "skipped: no <dnnl.h>; Debian has it in libdnnl-dev"
  echo "0 passed, 0 failed, 1 skipped"
  exit 0
fi
mkdir -p .build
log=.build/onednn.log
filter='BF16|ReducedPrecision|Refusal'
if swift test -c release --scratch-path .build-onednn --traits oneDNN --filter "$filter" \
  > "$log" 2>&1 && grep -qE 'Test run with [1-9][0-9]* tests? .*passed' "$log"; then
  grep -E 'skipped: |Test run with' "$log"
  # On a CPU that has them, forbidding AVX512-BF16 has to end in the refusal, not in emulation.
  ONEDNN_MAX_CPU_ISA=AVX512_CORE swift test -c release --skip-build --scratch-path .build-onednn \
    --traits oneDNN --filter Refusal > "$log" 2>&1 && grep -q 'one line says what is missing" passed' "$log" \
    && { echo "2 passed, 0 failed"; exit 0; }
fi
tail -n 30 "$log"
echo "0 passed, 1 failed"
exit 1
