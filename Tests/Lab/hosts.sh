#!/usr/bin/env bash
# Runs over four hosts (namespaces with their own name, network interface and /dev/shm): the bits of one host, the bytes on
# the interfaces, the examples in hostfiles/, and hosts and ranks that die. Usage: Tests/Lab/hosts.sh [BINARY_DIRECTORY]
# Prints one line a check and, last, "N passed, N failed, N skipped".
set -u
cd "$(dirname "$0")/../.." || exit 1
. Tests/Lab/lab.bash

start "four hosts" 30 "$cluster" up 4
check "a host has its own name" test "$(on node2 hostname)" = node2
refused() { ! "$cluster" up 4 2> "$scratch/log" && grep -q 'has hosts already' "$scratch/log"; }
check "a second start in the same folder is refused" refused

# run_on_hosts DIRECTORY ARGUMENT...: mpirun on node1; its log goes to $scratch/log.
hostfile=hostfiles/four-hosts
run_on_hosts() {
  local directory=$1
  shift
  on node1 mpirun --hostfile "$hostfile" "${mapping[@]}" "$program" run "$yaml" "$@" --output "$directory" \
    > "$scratch/log" 2>&1 < /dev/null
}
# same_run LABEL EXPECTED FOUND: digest and tables of two run directories.
same_run() {
  local table
  manifest_value "$2" digest > "$scratch/expected"
  manifest_value "$3" digest > "$scratch/found"
  check "$1: digest $(cat "$scratch/found")" same_text "$scratch/expected" "$scratch/found"
  for table in rounds evaluation clients; do
    without_seconds "$2/$table.csv" > "$scratch/expected.csv"
    without_seconds "$3/$table.csv" > "$scratch/found.csv"
    same_text "$scratch/expected.csv" "$scratch/found.csv" || check "$1: $table.csv" false
  done
}
# started DIRECTORY: waits until some rounds of it are done.
started() {
  for _ in $(seq 600); do
    [ -s "$1/rounds.csv" ] && [ "$(wc -l < "$1/rounds.csv")" -gt 3 ] && return
    sleep 0.05
  done
  return 1
}

mapping=(-np 8)
"$program" run "$yaml" --output "$scratch/one" > "$scratch/log" 2>&1
run_on_hosts "$scratch/four"
same_run "8 ranks on four hosts" "$scratch/one" "$scratch/four"
check "they are four hosts" test "$(hosts_of "$scratch/four")" = "node1 node2 node3 node4 "

# Base weights in bf16 are widened once a host, into memory that its ranks share.
sixteen=(--set model.path="$PWD/Tests/Goldens/transformers/llama_classification_bf16")
"$program" run "$yaml" "${sixteen[@]}" --output "$scratch/one-16" > "$scratch/log" 2>&1
run_on_hosts "$scratch/four-16" "${sixteen[@]}"
same_run "base weights shared by each host's ranks" "$scratch/one-16" "$scratch/four-16"
check "and no rank says that it has a copy of its own" bash -c '! grep -i "copy" "$1"' - "$scratch/log"
check "nothing stays in a host's shared memory" test -z "$(on node3 ls /dev/shm)"

# The examples, as their comments have them.
examples() { # FILE
  local number=0 line
  while read -r line; do
    number=$((number + 1))
    line=${line/experiments\/quickstart.yaml/$yaml --output $scratch/example-$(basename "$1")-$number}
    on node1 env PATH="$bin:$PATH" CELLM_HOME="$scratch" bash -c "${line/cellm-mpi run/$program run}" \
      > "$scratch/log" 2>&1 < /dev/null || { tail -n 5 "$scratch/log"; return 1; }
    [ "$(manifest_value "$scratch/example-$(basename "$1")-$number" digest)" = "$(cat "$scratch/expected")" ] ||
      return 1
  done < <(sed -nE 's/^# +(mpirun .*)/\1/p' "$1")
  [ $number -gt 0 ] && echo "$1: $number commands, ranks:" \
    "$(for run in "$scratch/example-$(basename "$1")"-*; do manifest_value "$run" rank_count; done | tr '\n' ' ')"
}
manifest_value "$scratch/one" digest > "$scratch/expected"
for file in hostfiles/*; do check "$file" examples "$file"; done

# Bytes on the interfaces against those that the program counts, one rank a host, so that all of them cross a link.
sum() { "$cluster" bytes | awk '{ sent += $2 } END { print sent }'; }
compare_bytes() { # LABEL PERCENT ARGUMENT...
  local label=$1 percent=$2 before after wire
  shift 2
  before=$(sum)
  run_on_hosts "$scratch/bytes-$label" "$@" || return 1
  after=$(sum)
  wire=$(manifest_value "$scratch/bytes-$label" wire_bytes)
  awk -v label="$label" -v percent="$percent" -v measured=$((after - before)) -v counted="$wire" 'BEGIN {
    off = 100 * (measured / counted - 1)
    printf "%s: wire.csv %.1f MB, interfaces %.1f MB, %+.2f %%\n", label, counted / 1e6, measured / 1e6, off
    exit !(counted > 10e6 && off < percent && off > -percent) }'
}
mapping=(-np 4 --map-by node)
large=(--set adapter.lora_rank=1024 --set federation.rounds=6)
dense=(--set 'method={download: {select: all}, upload: {select: all}}')
check "dense messages: the interfaces' bytes are those counted, within 5 %" \
  compare_bytes dense 5 "${large[@]}" "${dense[@]}"
check "a quarter both ways: likewise" \
  compare_bytes sparse 5 "${large[@]}" --set method.upload.density=0.25
check "all-gathered uploads: likewise" \
  compare_bytes all-gather 5 "${large[@]}" "${dense[@]}" --set federation.uploads=all_gather

# What ends a run early, and how it goes on.
long=(--set federation.rounds=200 --set evaluation.every=100)
"$program" run "$yaml" "${long[@]}" --output "$scratch/long" > "$scratch/log" 2>&1
mapping=(-np 8)
stopped_by() { # LABEL CODE COMMAND...: ends with the code (or any but 0) within 15 s of the command
  local label=$1 expected=$2 job code from
  shift 2
  run_on_hosts "$scratch/$label" "${long[@]}" --resume &
  job=$!
  started "$scratch/$label" || return 1
  "$@"
  from=$SECONDS
  wait $job
  code=$?
  echo "$label: ended with $code after $((SECONDS - from)) s and $(($(wc -l < "$scratch/$label/rounds.csv") - 1)) rounds"
  [ $((SECONDS - from)) -le 15 ] && { [ $code = "$expected" ] || { [ "$expected" = any ] && [ $code != 0 ]; }; }
}
goes_on() { # LABEL
  run_on_hosts "$scratch/$1" "${long[@]}" --resume || tail -n 3 "$scratch/log"
  same_run "$1, then on $(hosts_of "$scratch/$1")" "$scratch/long" "$scratch/$1"
}
process_on() { # HOST PATTERN: the newest process there
  on "$1" sh -c "pgrep -f '$2' | while read -r p; do
    [ \"\$(readlink /proc/\$p/ns/net)\" = \"\$(readlink /proc/self/ns/net)\" ] && echo \$p; done" | tail -n 1
}
ask() { kill -USR1 "$(process_on node1 "^mpirun .*$scratch/asked")"; }
check "USR1 to mpirun saves a run over hosts and ends it with 75" stopped_by asked 75 ask
hostfile=$scratch/two-hosts mapping=(-np 3)
printf 'node2 slots=2\nnode1 slots=2\n' > "$hostfile"
goes_on asked
hostfile=hostfiles/four-hosts mapping=(-np 8)
lose_rank() { kill -KILL "$(process_on node3 "^$program .*$scratch/rank-lost")"; }
check "a rank of another host that is killed ends the job" stopped_by rank-lost 137 lose_rank
goes_on rank-lost
check "a host that dies ends the job" stopped_by host-lost any "$cluster" kill node4
hostfile=$scratch/three-hosts mapping=(-np 6)
printf 'node1 slots=2\nnode2 slots=2\nnode3 slots=2\n' > "$hostfile"
goes_on host-lost

# Another cluster beside this one, with the same names and addresses.
second() {
  local LAB=$scratch/second
  "$cluster" up 2 && [ "$(on node2 hostname)" = node2 ] && "$cluster" down && [ ! -e "$LAB" ]
}
check "another cluster starts and ends beside it" second
check "which leaves this one alone" test "$(on node3 hostname)" = node3
check "the end leaves nothing behind" gone
start "the same folder serves again" 30 "$cluster" up 2
check "and ends again" gone
finish
