#!/usr/bin/env bash
# The batch scripts of slurm/ on a real SLURM over four hosts: one node, two nodes by mpirun and by srun, a job array, jobs
# that are preempted or killed and go on. Usage: Tests/Lab/slurm.sh [BINARY_DIRECTORY]
# Prints one line a check and, last, "N passed, N failed, N skipped".
set -u
cd "$(dirname "$0")/../.." || exit 1
. Tests/Lab/lab.bash
needs_packages slurmctld slurm-wlm munge && needs_packages slurmd slurm-wlm && needs_packages munged munge ||
  leave "SLURM: its packages (slurm-wlm, munge) are not there and cannot be installed: $(tail -n 1 "$scratch/install" 2> /dev/null)"

start "four hosts" 30 "$cluster" up 4
start "SLURM on them" 30 "$cluster" slurm 4
site=$scratch/lab.conf
cat > "$site" << CONF
cores_per_node=4
default_time=00:10:00
signal_seconds=30
program=$program
CONF

# submit ARGUMENT...: prints the job's number.
submit() { on node1 slurm/submit.sh "$yaml" --site "$site" "$@" 2> "$scratch/log" | sed -nE 's/^Submitted batch job ([0-9]+)$/\1/p'; }
# field JOB NAME: what SLURM says of it.
field() { on node1 scontrol show job "$1" -o 2> /dev/null | sed -nE "s/.* $2=([^ ]*).*/\1/p" | head -n 1; }
# ended JOB STATE SECONDS: it comes to that state, in time.
ended() {
  local state from=$SECONDS
  while [ $((SECONDS - from)) -lt "$3" ]; do
    state=$(field "$1" JobState)
    case $state in
      COMPLETED | FAILED | CANCELLED | TIMEOUT | NODE_FAIL) [ "$state" = "$2" ] && return; break ;;
    esac
    sleep 0.2
  done
  echo "job $1: $state instead of $2 after $((SECONDS - from)) s"
  return 1
}
# finished LABEL REFERENCE JOB DIRECTORY: the job completes and its run has the reference's digest.
finished() {
  local log
  manifest_value "$2" digest > "$scratch/expected"
  ended "$3" COMPLETED 120 || { for log in "$4"/job-*.log; do tail -n 5 "$log"; done; }
  manifest_value "$4" digest > "$scratch/found"
  check "$1: digest $(cat "$scratch/found")" same_text "$scratch/expected" "$scratch/found"
}
log_of() { cat "$1"/job-*.log; }

"$program" run "$yaml" --output "$scratch/one" > "$scratch/log" 2>&1
long=(--set federation.rounds=200 --set evaluation.every=100)
"$program" run "$yaml" "${long[@]}" --output "$scratch/long" > "$scratch/log" 2>&1

# What is written, and what is refused.
on node1 slurm/submit.sh "$yaml" --site "$site" --nodes 2 --output "$scratch/dry" --preemptible --dry-run > "$scratch/script"
check "--dry-run prints a script that bash reads" bash -n "$scratch/script"
check "and makes nothing" test ! -e "$scratch/dry"
check "sbatch takes it" on node1 sbatch --test-only "$scratch/script"
example() {
  slurm/submit.sh experiments/quickstart.yaml --site example --nodes 4 --points "$scratch/points" --dry-run > "$scratch/script" &&
    bash -n "$scratch/script" && grep -q '^#SBATCH --array=0-2$' "$scratch/script" &&
    ! grep -E '(^|[ =])/' <(grep -vE '^#!|Written by|--points' "$scratch/script")
}
printf '# three points\nseed=1\n\nseed=2 method.upload.density=0.25\nseed=3 "method={download: {select: all}, upload: {select: all}}"\n' \
  > "$scratch/points"
check "the example site's script has no absolute path" example
ends "a site that is not there" 66 'copy sites/example.conf' 5 slurm/submit.sh "$yaml" --site nowhere --dry-run
ends "more ranks than cores" 64 '9 ranks of 1 threads on nodes of 4 cores' 5 \
  slurm/submit.sh "$yaml" --site "$site" --ranks-per-node 9 --dry-run
ends "an experiment that is not there" 66 'no such file' 5 slurm/submit.sh nowhere.yaml --site "$site" --dry-run

# One node and two.
finished "one node" "$scratch/one" "$(submit --ranks-per-node 2 --output "$scratch/node")" "$scratch/node"
check "its script is in the run directory" test -s "$scratch/node/job.sh"
finished "two nodes by mpirun" "$scratch/one" \
  "$(submit --nodes 2 --ranks-per-node 2 --output "$scratch/nodes")" "$scratch/nodes"
check "they are two hosts and four ranks" \
  test "$(hosts_of "$scratch/nodes")$(manifest_value "$scratch/nodes" rank_count)" = "node1 node2 4"
if on node1 srun --mpi=list 2>&1 | grep -qw pmix; then
  sed "\$a launcher=srun launcher_options=(--mpi=pmix)" "$site" > "$scratch/srun.conf"
  finished "two nodes by srun" "$scratch/one" \
    "$(site=$scratch/srun.conf submit --nodes 2 --ranks-per-node 2 --output "$scratch/srun")" "$scratch/srun"
  check "they are two hosts and four ranks" \
    test "$(hosts_of "$scratch/srun")$(manifest_value "$scratch/srun" rank_count)" = "node1 node2 4"
else
  skip "two nodes by srun: this SLURM has no PMIx"
fi
job=$(submit --nodes 2 --ranks-per-node 1 --output /dev/shm/run)
check "a node that does not see the run directory ends the job" ended "$job" FAILED 30
check "which says so" grep -q 'node2 does not see /dev/shm/run' <(on node1 bash -c 'cat /dev/shm/run/job-*.log')

# An array: task i has point i.
job=$(submit --points "$scratch/points" --ranks-per-node 2 --output "$scratch/array")
number=0
while read -r settings; do
  mapfile -t point < <(xargs -n 1 printf -- '--set\n%s\n' <<< "$settings")
  "$program" run "$yaml" "${point[@]}" --output "$scratch/point$number" > "$scratch/log" 2>&1
  finished "array task $number" "$scratch/point$number" "${job}_$number" "$scratch/array/00$number"
  number=$((number + 1))
done < <(grep -E '^seed' "$scratch/points")

# started JOB DIRECTORY: it runs and has done some rounds.
started() {
  for _ in $(seq 300); do
    [ -s "$2/rounds.csv" ] && [ "$(wc -l < "$2/rounds.csv")" -gt 3 ] && return
    sleep 0.1
  done
  echo "job $1 does not start: $(field "$1" JobState) $(field "$1" Reason)"
  return 1
}
rounds_of() { echo $(($(wc -l < "$1/rounds.csv") - 1)); }

# Preempted: the job gets USR1, saves itself, requeues itself and goes on.
preempted() { # LABEL
  local job directory=$scratch/$1
  job=$(submit --nodes 2 --ranks-per-node 2 --preemptible "${long[@]}" --output "$directory")
  started "$job" "$directory" && on node1 scancel --batch --signal=USR1 "$job"
  finished "$1: goes on after USR1" "$scratch/long" "$job" "$directory"
  check "$1: one requeue, saved by 75" \
    test "$(field "$job" Restarts) $(grep -c 'the run ended with 75' <(log_of "$directory"))" = "1 1"
}
preempted preempted-mpirun
[ ! -f "$scratch/srun.conf" ] || site=$scratch/srun.conf preempted preempted-srun

# Killed without a word: the same script goes on from the last checkpoint.
job=$(submit --nodes 2 --ranks-per-node 2 "${long[@]}" --output "$scratch/killed")
started "$job" "$scratch/killed" && on node1 scancel --full --signal=KILL "$job"
check "a killed job has failed" ended "$job" FAILED 30
echo "killed after $(rounds_of "$scratch/killed") rounds"
finished "submitted again it goes on" "$scratch/long" \
  "$(on node1 sbatch "$scratch/killed/job.sh" | sed 's/.* //')" "$scratch/killed"

check "the end leaves nothing behind" gone
finish
