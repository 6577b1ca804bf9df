#!/usr/bin/env bash
# What of a cluster takes longer than Tests/Lab: 64 ranks on four hosts, the interfaces' bytes for other messages, slow links,
# a rank that is lost, two clusters side by side; under SLURM a time limit, srun's signals, a node that dies and 64 ranks.
# Usage: Tests/Long/cluster.sh [BINARY_DIRECTORY]. Prints one line a check and, last, "N passed, N failed, N skipped".
set -u
cd "$(dirname "$0")/../.." || exit 1
. Tests/Lab/lab.bash
. Tests/Lab/hosts.bash

start "four hosts" 30 "$cluster" up 4
alone "$scratch/one"
alone "$scratch/long" "${long[@]}"
printf 'node%d slots=16\n' 1 2 3 4 > "$scratch/sixteen-each"
hostfile=$scratch/sixteen-each mapping=(-np 64)
run_on_hosts "$scratch/sixty-four"
same_run "64 ranks on four hosts" "$scratch/one" "$scratch/sixty-four"
hostfile=hostfiles/four-hosts mapping=(-np 8)

large=(--set adapter.lora_rank=1024)
dense=(--set 'method={download: {select: all}, upload: {select: all}}')
check "a quarter down, an eighth up: the interfaces' bytes are those counted, within 5 %" compare_bytes sparse 5 "${large[@]}"
check "all-gathered uploads: likewise" compare_bytes all-gather 5 "${large[@]}" "${dense[@]}" \
  --set federation.uploads=all_gather --set federation.rounds=4
check "many rounds: likewise" compare_bytes many 5 --set adapter.lora_rank=256 "${dense[@]}" --set federation.rounds=60

# At 100 Mbit/s the uploads of three hosts go through node1's link at 12.5 MB/s.
slow_links() {
  local before received seconds
  "$cluster" rate 100mbit || return 1
  before=$("$cluster" bytes | awk '$1 == "node1" { print $3 }')
  mapping=(-np 4 --map-by node)
  run_on_hosts "$scratch/slow" "${large[@]}" "${dense[@]}" --set federation.rounds=4 --set federation.uploads=gather
  received=$(($("$cluster" bytes | awk '$1 == "node1" { print $3 }') - before))
  seconds=$(awk -F, 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == "longest_rank_seconds") c = i } $2 == "gather" || $2 == "message" { s += $c }
    END { print s }' "$scratch/slow/wire.csv")
  "$cluster" rate none
  echo "node1 received $received bytes; gathers took $seconds s, the link alone $(awk "BEGIN { print $received / 12.5e6 }") s"
  awk "BEGIN { exit !($seconds > 0.8 * $received / 12.5e6) }"
}
check "links of 100 Mbit/s: gathers take as long as the link needs" slow_links
alone "$scratch/large" "${large[@]}" "${dense[@]}" --set federation.rounds=4
same_run "and the bits stay" "$scratch/large" "$scratch/slow"

mapping=(-np 8)
lose_rank() { kill -KILL "$(process_on node3 "^$program .*$scratch/rank-lost")"; }
check "a rank of another host that is killed ends the job" stopped_by rank-lost 137 lose_rank
goes_on rank-lost

# Another cluster beside this one, with the same names and addresses.
second() {
  local LAB
  LAB=$(mktemp -d -t cellm-lab.XXXXXX)
  "$cluster" up 2 && [ "$(on node2 hostname)" = node2 ] && "$cluster" down && [ ! -e "$LAB" ]
}
check "another cluster starts and ends beside it" second
check "which leaves this one alone" test "$(on node3 hostname)" = node3
# A test that is killed leaves no cluster behind.
orphan() {
  local LAB
  LAB=$(mktemp -d -t cellm-lab.XXXXXX)
  LAB_OWNER=$BASHPID "$cluster" up 2
  for host in node1 node2 switch; do cat "$LAB/$host.pid"; done > "$scratch/orphans"
}
(orphan)
left() { # shellcheck disable=SC2046
  sleep 5
  ! kill -0 $(cat "$scratch/orphans") 2> /dev/null
}
check "a cluster ends with the process that owns it" left
check "the end leaves nothing behind" gone

. Tests/Lab/slurm.bash
job=$(submit "$yaml" --nodes 4 --ranks-per-node 4 --output "$scratch/sixteen")
finished "16 ranks on four nodes by mpirun" "$scratch/one" "$job" "$scratch/sixteen"
if has_pmix; then
  site=$scratch/srun.conf preempted preempted-srun
else
  skip "srun: this SLURM has no PMIx"
fi

# A job array over a sweep of twelve points, beside the same sweep in one process.
cat > "$scratch/twelve.sweep.yaml" << YAML
experiment: tiny.yaml
grid: {method.upload.density: [0.125, 0.25, 1], seed: [0, 1, 2, 3]}
YAML
"$program" sweep "$scratch/twelve.sweep.yaml" --output "$scratch/twelve-here" > "$scratch/log" 2>&1
job=$(submit "$scratch/twelve.sweep.yaml" --array --ranks-per-node 2 --output "$scratch/twelve")
array_ended() { # all of its tasks are gone from the queue
  local from=$SECONDS
  while [ $((SECONDS - from)) -lt 300 ]; do
    [ -z "$(on node1 squeue -h -j "$job" 2> /dev/null)" ] && return
    sleep 0.5
  done
  return 1
}
check "an array of twelve tasks ends" array_ended
# Each task writes the table when its point begins and ends: the last one to end has all of it.
"$program" sweep "$scratch/twelve.sweep.yaml" --output "$scratch/twelve" > "$scratch/log" 2>&1
cut -d , -f 1-5 "$scratch/twelve-here/points.csv" > "$scratch/expected"
cut -d , -f 1-5 "$scratch/twelve/points.csv" | tee "$scratch/found"
check "its twelve points have the digests of one process" same_text "$scratch/expected" "$scratch/found"
check "and nothing was left to play" grep -q '^0 points finished here' "$scratch/log"
places "$scratch/twelve/upload.density-1.seed-3" 2> /dev/null || ls "$scratch/twelve"

# A time limit: SLURM itself sends the signal 30 to 90 s before the end of the third minute.
enough=(--set federation.rounds=20000 --set evaluation.every=10000 --set checkpoint.every_rounds=500)
alone "$scratch/enough" "${enough[@]}"
job=$(submit "$yaml" --nodes 2 --ranks-per-node 2 --preemptible --time 3 "${enough[@]}" --output "$scratch/limited")
limited() {
  local from=$SECONDS
  while [ $((SECONDS - from)) -lt 900 ]; do
    case $(field "$job" JobState) in
      COMPLETED) return ;;
      FAILED | CANCELLED | TIMEOUT | NODE_FAIL) break ;;
    esac
    sleep 1
  done
  return 1
}
check "a job that needs longer than its time limit ends by requeues" limited
restarts=$(field "$job" Restarts)
check "$restarts of them, each by exit code 75" \
  test "${restarts:-0}" -ge 1 -a "$(cat "$scratch"/limited/job-*.log | grep -c 'the run ended with 75')" = "$restarts"
same_run "it has the digest of the run that was left alone" "$scratch/enough" "$scratch/limited"

# A node dies: the launcher ends, the script requeues its job, and it goes on on other nodes.
job=$(submit "$yaml" --nodes 2 --ranks-per-node 2 --preemptible "${long[@]}" --output "$scratch/node-lost")
saved() { for _ in $(seq 600); do ls "$scratch/node-lost/checkpoints"/* > /dev/null 2>&1 && return; sleep 0.1; done; }
saved
"$cluster" kill node2
finished "a node that dies: the job is requeued and goes on" "$scratch/long" "$job" "$scratch/node-lost"
check "on other nodes: $(hosts_of "$scratch/node-lost")" grep -qv node2 <<< "$(hosts_of "$scratch/node-lost")"
check "the end leaves nothing behind" gone
finish
