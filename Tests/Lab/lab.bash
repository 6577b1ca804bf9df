# What the tests on a small cluster share: the cluster of their own, the program and a tiny experiment. Source it
# from the repository's root with the test's arguments; ends the test where the machine forbids a cluster.

. Tests/MPI/checks.bash
# Not in $scratch: munged wants a folder that all can enter.
LAB=$(mktemp -d -t cellm-lab.XXXXXX)
export LAB LAB_OWNER=$$
cluster=$PWD/Tests/Lab/cluster
trap '"$cluster" down; cleanup' EXIT
trap 'exit 130' INT TERM

# needs_packages COMMAND PACKAGE...: installs them where the command is missing and root may.
needs_packages() {
  local command=$1
  shift
  command -v "$command" > /dev/null && return
  [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null || return 1
  DEBIAN_FRONTEND=noninteractive
  export DEBIAN_FRONTEND
  { apt-get -o DPkg::Lock::Timeout=300 update &&
    apt-get -o DPkg::Lock::Timeout=300 install -y --no-install-recommends "$@"; } > "$scratch/install" 2>&1 < /dev/null
  command -v "$command" > /dev/null
}
# leave REASON: the machine cannot do it.
leave() {
  skip "$1"
  finish
}
# Host files' commands and SLURM's scripts are words between spaces.
case $PWD in
  *[[:space:]]*) leave "a cluster of several hosts: the project's path has a space" ;;
esac
needs_packages ip iproute2
reason=$("$cluster" possible) || leave "a cluster of several hosts: $reason"

bin=$(program_directory cellm-mpi "${1:-}") || exit 1
program=$bin/cellm-mpi
golden=$PWD/Tests/Goldens/federation/llama_adam_w
yaml=$scratch/tiny.yaml
cat > "$yaml" <<YAML
model: {path: $golden/model}
data: {path: $golden/corpus, max_length: 16}
partition: {kind: file, path: $golden/partition.json}
adapter: {lora_rank: 2, alpha: 8}
method: {download: {density: 0.25}, upload: {density: 0.125}}
federation:
  rounds: 12
  cohort_size: 4
  server: {optimizer: adam_w, learning_rate: 0.005}
local: {epochs: 1, batch_size: 4, learning_rate: 0.2, momentum: 0.9}
evaluation: {every: 6, splits: [validation, test]}
compute: {micro_batch_tokens: 20}
checkpoint: {every_rounds: 5}
YAML

# on HOST COMMAND...: runs it there, within two minutes.
on() { timeout -k 5 120 "$cluster" exec "$@"; }
# start COMMAND...: starts the cluster or a part of it in time, or ends the test as failed.
start() { # LABEL SECONDS COMMAND...
  local label=$1 limit=$2 from=$SECONDS
  shift 2
  if timeout -k 5 "$limit" "$@" 2> "$scratch/log"; then
    check "$label in $((SECONDS - from)) s" true
  else
    cat "$scratch/log"
    check "$label" false
    finish
  fi
}
# Long enough to be stopped on the way: a round on one machine takes 3 ms.
long=(--set federation.rounds=400 --set evaluation.every=200)

# manifest_value DIRECTORY KEY: what a run's manifest says of a key with a number or a text.
manifest_value() { sed -nE "s/^ *\"$2\" : \"?([^\",]*)\"?,?\$/\1/p" "$1/manifest.json" 2> /dev/null | head -n 1; }
hosts_of() { sed -nE 's/^ *"host" : "(.*)".*/\1/p' "$1/manifest.json" | sort -u | tr '\n' ' '; }
rounds_of() { echo $(($(wc -l < "$1/rounds.csv") - 1)); }

# alone DIRECTORY ARGUMENT...: the run on this machine without mpirun, to compare with.
alone() {
  local directory=$1
  shift
  "$program" run "$yaml" "$@" --output "$directory" > "$scratch/log" 2>&1 < /dev/null ||
    { check "a run of its own" false; tail -n 3 "$scratch/log"; }
}
# same_run LABEL REFERENCE DIRECTORY: both runs have one digest and the same tables.
same_run() {
  local table differing=""
  manifest_value "$2" digest > "$scratch/expected"
  manifest_value "$3" digest > "$scratch/found"
  for table in rounds evaluation clients; do
    without_seconds "$2/$table.csv" > "$scratch/expected.csv"
    without_seconds "$3/$table.csv" > "$scratch/found.csv"
    same_text "$scratch/expected.csv" "$scratch/found.csv" || differing+=" $table.csv"
  done
  check "$1: digest $(cat "$scratch/found")${differing:+, differing:$differing}" \
    test -s "$scratch/expected" -a "$(cat "$scratch/expected")$differing" = "$(cat "$scratch/found")"
}
# under_way DIRECTORY: waits until some rounds of a run are done.
under_way() {
  for _ in $(seq 600); do
    [ -s "$1/rounds.csv" ] && [ "$(rounds_of "$1")" -ge 3 ] && return
    sleep 0.05
  done
  echo "$1 does not begin"
  return 1
}
# gone: the cluster ends and leaves no folder and no process behind.
gone() {
  "$cluster" down && [ ! -e "$LAB" ] && ! pgrep -f "$LAB/"
}
