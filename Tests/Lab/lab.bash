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
  rounds: 40
  cohort_size: 4
  server: {optimizer: adam_w, learning_rate: 0.005}
local: {epochs: 1, batch_size: 4, learning_rate: 0.2, momentum: 0.9}
evaluation: {every: 20, splits: [validation, test]}
compute: {micro_batch_tokens: 20}
checkpoint: {every_rounds: 10}
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
# what a manifest says of a key with a number or a text.
manifest_value() { sed -nE "s/^ *\"$2\" : \"?([^\",]*)\"?,?\$/\1/p" "$1/manifest.json" | head -n 1; }
hosts_of() { sed -nE 's/^ *"host" : "(.*)".*/\1/p' "$1/manifest.json" | sort -u | tr '\n' ' '; }
gone() { # the cluster ends and leaves no process, no folder and no link behind
  local folder=$LAB
  "$cluster" down
  [ ! -e "$folder" ] && ! pgrep -f "$folder/" > /dev/null
}
