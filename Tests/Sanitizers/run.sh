#!/bin/bash
# What reads hostile bytes, and the C code, under the address and undefined-behaviour sanitizers.
#
#   Tests/Sanitizers/run.sh [TEST_TARGET ...]        default: SafetensorsTests and Sparsity's hostile messages
#
# 1. Control: a program that reads past an array has to be caught, or nothing below means anything.
# 2. The C targets, compiled with -fsanitize=address,undefined and every warning an error. CKernels is
#    linked to kernels_driver.c and run; built by gcc it must give the bits of clang. CMPIShim is compiled
#    only: it runs under mpirun, whose libraries leak by design.
# 3. The Swift tests with --sanitize=address, leaks included, built in .build-sanitizers/address
#    (the first build takes minutes). -DSANITIZED has files read to the heap instead of mapped, as the
#    sanitizer sees the end of a heap block but not of a mapping, and hostile messages be fewer.
#
# Swift 6.3.1 on Linux: --sanitize=undefined is refused by the compiler ("unsupported option for
# target"); it is tried, and skipped with the reason where that is so. Swift itself traps on integer overflow
# and, in the debug build that is run here, on indices out of bounds.
# XCTest leaks 144 bytes at its start, so only Swift Testing is run (--disable-xctest).
#
# One verdict line per part, then `N passed, N failed, N skipped`; exit code 1 if any part failed.
set -u
cd "$(dirname "$0")/../.." || exit 1
targets=("$@")
[ ${#targets[@]} -eq 0 ] && targets=(SafetensorsTests SparsityTests.HostileMessagesTests)
scratch=.build-sanitizers
mkdir -p "$scratch/c"
flags=(-g -O1 -std=gnu17 -Wall -Werror -fno-omit-frame-pointer
  -fsanitize=address,undefined -fno-sanitize-recover=all)
failures=0 passed=0 skipped=0

pass() {   # what to say
  echo "sanitizers: $1"
  passed=$((passed + 1))
}

skip() {   # what to say
  echo "sanitizers: $1"
  skipped=$((skipped + 1))
}

fail() {   # part, log
  echo "sanitizers: $1: FAILED; the end of $2:"
  tail -n 40 "$2"
  failures=$((failures + 1))
}

# 1. Control.
printf 'int main(int n, char **v) { int a[3] = {1}; (void)v; return ((volatile int *)a)[n + 2]; }\n' \
  >"$scratch/c/control.c"
log=$scratch/c/control.log
if clang "${flags[@]}" "$scratch/c/control.c" -o "$scratch/c/control" >"$log" 2>&1 &&
  ! "$scratch/c/control" >>"$log" 2>&1 && grep -qE "ERROR: AddressSanitizer|runtime error" "$log"; then
  pass "control: caught, as it should be"
else
  fail "control (an error that was not caught)" "$log"
fi

# 2. C.
compile() {   # target, further flags
  local target=$1 source objects=()
  shift
  log=$scratch/c/$target.log
  : >"$log"
  # Objects of files that are no more would be linked, too.
  rm -f "$scratch/c/$target"-*.o
  while read -r source; do
    objects+=("$scratch/c/$target-$(basename "$source" .c).o")
    if ! clang "${flags[@]}" "$@" -ISources/"$target"/include -c "$source" -o "${objects[-1]}" \
      >>"$log" 2>&1; then
      fail "$target" "$log"
      return 1
    fi
  done < <(find Sources/"$target" -name '*.c' | sort)
  pass "$target: compiles"
}

driver=Tests/Sanitizers/kernels_driver.c
if compile CKernels && [ -f "$driver" ]; then
  log=$scratch/c/kernels_driver.log
  if clang "${flags[@]}" -ISources/CKernels/include "$driver" "$scratch"/c/CKernels-*.o -lm \
    -o "$scratch/c/kernels_driver" >"$log" 2>&1 && "$scratch/c/kernels_driver" >>"$log" 2>&1; then
    pass "CKernels: clean"
  else
    fail "CKernels" "$log"
  fi
  # The same bits from another compiler.
  hash_of() { # COMPILER FLAG...
    local files
    mapfile -t files < <(find Sources/CKernels -name '*.c' | sort)
    "$@" -O2 -std=gnu17 -ISources/CKernels/include "$driver" "${files[@]}" -lm \
      -o "$scratch/c/driver-$1" >>"$log" 2>&1 && "$scratch/c/driver-$1" | sed -nE 's/.*hash //p'
  }
  if command -v gcc >/dev/null; then
    clang_hash=$(hash_of clang) gcc_hash=$(hash_of gcc)
    if [ -n "$clang_hash" ] && [ "$clang_hash" = "$gcc_hash" ]; then
      pass "CKernels: clang and gcc give the same bits, hash $clang_hash"
    else
      echo "clang: $clang_hash, gcc: $gcc_hash" >>"$log"
      fail "CKernels by gcc" "$log"
    fi
  else
    skip "CKernels by gcc: skipped, there is no gcc"
  fi
fi
if mpi=$(pkg-config --cflags mpi-c 2>/dev/null); then
  # shellcheck disable=SC2086
  compile CMPIShim -ISources/CMPISystem $mpi
else
  skip "CMPIShim: skipped, pkg-config finds no mpi-c"
fi

# 3. Swift.
filters=()
for target in "${targets[@]}"; do filters+=(--filter "$target"); done
for sanitizer in address undefined; do
  log=$scratch/$sanitizer.log
  echo 'print(1)' >"$scratch/c/probe.swift"
  if ! swiftc -sanitize=$sanitizer "$scratch/c/probe.swift" -o "$scratch/c/probe" >"$log" 2>&1; then
    skip "Swift, $sanitizer: skipped, $(grep -m 1 error "$log")"
    continue
  fi
  if swift test --sanitize=$sanitizer -Xswiftc -DSANITIZED --disable-xctest \
    --scratch-path "$scratch/$sanitizer" "${filters[@]}" >"$log" 2>&1 &&
    grep -qE "Test run with [1-9][0-9]* tests? .*passed" "$log"; then
    pass "Swift, $sanitizer: clean, $(grep -oE 'Test run with [0-9]+ tests?' "$log") of ${targets[*]}"
  else
    fail "Swift, $sanitizer" "$log"
  fi
done

echo "$passed passed, $failures failed, $skipped skipped"
[ "$failures" -eq 0 ]
