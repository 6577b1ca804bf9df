#!/usr/bin/env bash
# Runs over four hosts (namespaces with their own name, network interface and /dev/shm): the bits of one host, base weights
# once a host, the examples in hostfiles/, bytes on the interfaces, a run that is told to stop and a host that dies.
# Usage: Tests/Lab/hosts.sh [BINARY_DIRECTORY]. Prints one line a check and, last, "N passed, N failed, N skipped".
set -u
cd "$(dirname "$0")/../.." || exit 1
. Tests/Lab/lab.bash
. Tests/Lab/hosts.bash

start "four hosts" 30 "$cluster" up 4
check "a host has its own name" test "$(on node2 hostname)" = node2
refused() { ! "$cluster" up 4 2> "$scratch/log" && grep -q 'has hosts already' "$scratch/log"; }
check "a second start in the same folder is refused" refused

alone "$scratch/one"
run_on_hosts "$scratch/four"
same_run "8 ranks on four hosts" "$scratch/one" "$scratch/four"
check "they are four hosts" test "$(hosts_of "$scratch/four")" = "node1 node2 node3 node4 "

# However uploads travel, and with downloads long enough to go along the chain of hosts.
wide=(--set adapter.lora_rank=512 --set federation.rounds=3)
alone "$scratch/one-wide" "${wide[@]}"
for uploads in auto gather overlapped all_gather host_sums recursive_doubling pipeline; do
  run_on_hosts "$scratch/four-$uploads" "${wide[@]}" --set federation.uploads=$uploads
  same_run "uploads by $uploads" "$scratch/one-wide" "$scratch/four-$uploads"
done
messages() { awk -F, '$2 == "message" { found = 1 } END { exit !found }' "$1/wire.csv"; }
check "the sums of hosts went as messages along their tree" messages "$scratch/four-pipeline"

# Base weights in bf16 are widened once a host, into memory that its ranks share.
sixteen=(--set model.path="$PWD/Tests/Goldens/transformers/llama_classification_bf16")
alone "$scratch/one-16" "${sixteen[@]}"
run_on_hosts "$scratch/four-16" "${sixteen[@]}"
same_run "base weights that each host's ranks share" "$scratch/one-16" "$scratch/four-16"
check "no rank has a copy of its own" bash -c '! grep -i "copy" "$0"' "$scratch/log"
check "nothing stays in a host's shared memory" test -z "$(on node3 ls /dev/shm)"

# examples FILE: its commands, as its comments have them.
examples() {
  local number=0 line run ranks=""
  while read -r line; do
    number=$((number + 1))
    run=$scratch/$(basename "$1")-$number
    line=${line/cellm-mpi run/$program run}
    line=${line/experiments\/quickstart.yaml/$yaml --set federation.rounds=4 --output $run}
    on node1 env CELLM_HOME="$scratch" bash -c "$line" \
      > "$scratch/log" 2>&1 < /dev/null || { tail -n 5 "$scratch/log"; return 1; }
    [ "$(manifest_value "$run" digest)" = "$(manifest_value "$scratch/short" digest)" ] || return 1
    ranks+=" $(manifest_value "$run" rank_count)"
  done < <(sed -nE 's/^# +(mpirun .*)/\1/p' "$1")
  echo "$1: $number commands, ranks$ranks"
  [ $number -gt 0 ]
}
alone "$scratch/short" --set federation.rounds=4
for file in hostfiles/*; do check "$file" examples "$file"; done

check "dense messages: the interfaces' bytes are those counted, within 5 %" compare_bytes dense 5 \
  --set adapter.lora_rank=512 --set 'method={download: {select: all}, upload: {select: all}}'
check "sums of hosts along a chain: likewise" compare_bytes sums 5 \
  --set adapter.lora_rank=512 --set 'method={download: {select: all}, upload: {select: all}}' --set federation.uploads=pipeline

alone "$scratch/long" "${long[@]}"
ask() { kill -USR1 "$(process_on node1 "^mpirun .*$scratch/asked")"; }
check "USR1 to mpirun saves a run over hosts and ends it with 75" stopped_by asked 75 ask
hostfile=$scratch/two-hosts mapping=(-np 3)
printf 'node2 slots=2\nnode1 slots=2\n' > "$hostfile"
goes_on asked
hostfile=hostfiles/four-hosts mapping=(-np 8)
check "a host that dies ends the job" stopped_by host-lost any "$cluster" kill node4
hostfile=$scratch/three-hosts mapping=(-np 3 --map-by node)
printf 'node1 slots=2\nnode2 slots=2\nnode3 slots=2\n' > "$hostfile"
goes_on host-lost

check "the end leaves nothing behind" gone
finish
