# What the scripts that run the program share. Source it from the repository's root; it sets $scratch.

if [ "$(id -u)" = 0 ]; then
  export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
fi
export OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_hwloc_base_binding_policy=none
# mpirun forwards no SIGUSR1 if it loads an OpenCL driver with LLVM (docs/cluster-guide.md).
export HWLOC_COMPONENTS=${HWLOC_COMPONENTS:--opencl}
# Containers often forbid cross-memory attach.
export OMPI_MCA_btl_vader_single_copy_mechanism=${OMPI_MCA_btl_vader_single_copy_mechanism:-none}
passed=0 failed=0 skipped=0
scratch=$(mktemp -d)
cleanup() {
  umount "$scratch/small" 2> /dev/null
  rm -rf "$scratch"
}
trap cleanup EXIT

# program_directory PRODUCT DIRECTORY: where the binary is; builds it where no directory is given.
program_directory() {
  local directory=$2
  if [ -z "$directory" ]; then
    swift build -c release --product "$1" >&2 || return 1
    directory=$(swift build -c release --show-bin-path)
  fi
  [ -x "$directory/$1" ] || { echo "$directory/$1 is missing" >&2; return 1; }
  (cd "$directory" && pwd)
}

# check LABEL COMMAND...: the command succeeds.
check() {
  local label=$1
  shift
  if "$@"; then
    passed=$((passed + 1))
    echo "ok $label"
  else
    failed=$((failed + 1))
    echo "FAILED $label"
  fi
}
skip() {
  skipped=$((skipped + 1))
  echo "skipped $1"
}
finish() {
  echo "$passed passed, $failed failed, $skipped skipped"
  [ "$failed" -eq 0 ]
  exit
}

# not COMMAND...: the command fails.
not() { ! "$@"; }

# ends LABEL CODE TEXT SECONDS COMMAND...: ends in time with the exit code and says the text.
ends() {
  local label=$1 expected=$2 text=$3 limit=$4 code start=$SECONDS
  shift 4
  timeout -k 5 "$limit" "$@" > "$scratch/log" 2>&1 < /dev/null
  code=$?
  if [ $code = "$expected" ] && grep -qF -- "$text" "$scratch/log"; then
    passed=$((passed + 1))
    echo "ok $label ($((SECONDS - start)) s)"
  else
    failed=$((failed + 1))
    echo "FAILED $label: exit code $code instead of $expected, or no \"$text\" in:"
    tail -n 5 "$scratch/log"
  fi
}

# digest_of DIRECTORY COMMAND...: runs it with that --output and prints the final digest.
digest_of() {
  local directory=$1
  shift
  timeout -k 5 "${RUN_SECONDS:-300}" "$@" --output "$directory" > "$scratch/log" 2>&1 < /dev/null ||
    { echo "failed: $*"; tail -n 5 "$scratch/log"; }
  sed -nE 's/^digest ([0-9a-f]+)$/\1/p' "$scratch/log"
}

# Both files say the same, and something.
same_text() { [ -s "$1" ] && cmp -s "$1" "$2"; }

# A table without the columns that are measured: those that end in _seconds or _mb.
without_seconds() {
  awk -F, 'NR == 1 { for (i = 1; i <= NF; i++) keep[i] = $i !~ /_(seconds|mb)$/ }
    { line = ""; for (i = 1; i <= NF; i++) if (keep[i]) line = line "," $i; print line }' "$1"
}

# same_bits LABEL EXPERIMENT RANKS [ARGUMENT...]: digest and tables without mpirun and on each number of ranks.
same_bits() {
  local label=$1 yaml=$2 ranks=$3 np table
  shift 3
  digest_of "$scratch/$label-0" "$program" run "$yaml" "$@" > "$scratch/expected"
  echo "$label: digest $(cat "$scratch/expected") without mpirun"
  for np in $ranks; do
    digest_of "$scratch/$label-$np" mpirun -np "$np" "$program" run "$yaml" "$@" > "$scratch/found"
    check "$label: $np ranks, digest $(cat "$scratch/found")" same_text "$scratch/expected" "$scratch/found"
    for table in rounds evaluation confusion clients client_evaluation evaluation_clients; do
      [ -e "$scratch/$label-0/$table.csv" ] || continue
      without_seconds "$scratch/$label-0/$table.csv" > "$scratch/expected.csv"
      without_seconds "$scratch/$label-$np/$table.csv" > "$scratch/found.csv"
      check "$label: $np ranks, $table.csv" same_text "$scratch/expected.csv" "$scratch/found.csv"
    done
  done
}
