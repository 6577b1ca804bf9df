#!/usr/bin/env bash
# The communicator over MPI: the conformance suite for several numbers of ranks, and that a failing rank ends
# the job. Usage: Tests/MPI/run.sh [BINARY_DIRECTORY]   (default: builds in release mode)
# Prints the failures and, last, "N passed, N failed"; exit code 1 if any failed.
set -u
cd "$(dirname "$0")/../.."
if [ $# -gt 0 ]; then
  bin=$1
else
  swift build -c release --product communication-conformance >&2 || exit 1
  bin=$(swift build -c release --show-bin-path)
fi
program=$bin/communication-conformance
[ -x "$program" ] || { echo "$program is missing" >&2; exit 1; }
if [ "$(id -u)" = 0 ]; then
  export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
fi
export OMPI_MCA_rmaps_base_oversubscribe=1

passed=0
failed=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# suite LABEL COMMAND...: counts the lines "ok" and "FAILED" of a run of the suite.
suite() {
  local label=$1 code ok bad
  shift
  timeout -k 5 120 "$@" >"$log" 2>&1
  code=$?
  ok=$(grep -c '^np=[0-9]* ok ' "$log")
  bad=$(grep -c '^np=[0-9]* FAILED ' "$log")
  passed=$((passed + ok))
  failed=$((failed + bad))
  grep '^np=[0-9]* FAILED ' "$log" | sed "s/^/$label: /"
  if [ "$ok" = 0 ] || { [ $code != 0 ] && [ "$bad" = 0 ]; }; then
    failed=$((failed + 1))
    echo "FAILED $label: exit code $code after $ok checks"
    tail -5 "$log"
  fi
  echo "$label: $ok ok, $bad failed"
}

# ends LABEL CODE TEXT COMMAND...: the command ends within 20 seconds with the exit code and prints the text.
ends() {
  local label=$1 expected=$2 text=$3 code start=$SECONDS
  shift 3
  timeout -k 5 20 "$@" >"$log" 2>&1 </dev/null
  code=$?
  if [ $code = "$expected" ] && grep -qF -- "$text" "$log"; then
    passed=$((passed + 1))
    echo "ok $label ($((SECONDS - start)) s)"
  else
    failed=$((failed + 1))
    echo "FAILED $label: exit code $code instead of $expected, or no \"$text\" in:"
    tail -5 "$log"
  fi
}

suite "without mpirun" "$program"
for size in 1 2 3 8; do
  suite "$size ranks" mpirun -np $size "$program"
done
suite "3 ranks, 16 bytes a transfer" mpirun -np 3 "$program" 16
suite "2 ranks, 1000 bytes a transfer" mpirun -np 2 "$program" 1000

ends "a rank that throws ends the job" 70 "communication-conformance: thrown on purpose" \
  mpirun -np 3 "$program" throw 1
ends "abort gives its exit code" 65 "text without a newline that is flushed" \
  mpirun -np 3 "$program" abort 2 65
ends "abort of rank 0 gives its exit code" 66 "text without a newline that is flushed" \
  mpirun -np 3 "$program" abort 0 66
ends "abort without mpirun gives its exit code" 65 "text without a newline that is flushed" \
  "$program" abort 0 65
ends "rank 0 knows where the ranks are" 0 "rank 2 on " mpirun -np 3 "$program" where
ends "the ranks of a node share memory" 0 "kB, shared" mpirun -np 2 "$program" share 64
if unshare -m true 2>/dev/null; then
  ends "ranks have a copy each where /dev/shm is too small" 0 "No space left on device" \
    unshare -m sh -c 'mount -t tmpfs -o size=48m tmpfs /dev/shm && exec "$@"' sh \
    mpirun -np 2 "$program" share 64
else
  echo "skipped: a small /dev/shm needs the right to unshare the mounts"
fi

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
