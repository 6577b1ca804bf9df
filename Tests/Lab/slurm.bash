# Jobs on the SLURM of a cluster. Source it after lab.bash; ends the test where SLURM is not there.

if ! { needs_packages slurmctld slurm-wlm munge && needs_packages slurmd slurm-wlm && needs_packages munged munge; }; then
  leave "SLURM: slurm-wlm and munge are not there and cannot be installed: $(tail -n 1 "$scratch/install" 2> /dev/null)"
fi
start "four hosts" 30 "$cluster" up 4
start "SLURM on them" 30 "$cluster" slurm 4
site=$scratch/lab.conf
cat > "$site" << CONF
cores_per_node=4
default_time=00:10:00
signal_seconds=30
program=$program
CONF
sed "\$a launcher=srun launcher_options=(--mpi=pmix)" "$site" > "$scratch/srun.conf"
has_pmix() { on node1 srun --mpi=list 2>&1 | grep -qw pmix; }

# submit EXPERIMENT ARGUMENT...: prints the job's number.
submit() {
  on node1 slurm/submit.sh --site "$site" "$@" 2> "$scratch/log" | sed -nE 's/^Submitted batch job ([0-9]+)$/\1/p'
}
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
# finished LABEL REFERENCE JOB DIRECTORY: the job completes and its run has the reference's digest and tables.
finished() {
  ended "$3" COMPLETED 120 || tail -n 5 "$(dirname "$4")"/job-*.log "$4"/job-*.log 2> /dev/null
  same_run "$1" "$2" "$4"
}
# places DIRECTORY: the hosts and the number of ranks.
places() { echo "$(hosts_of "$1")$(manifest_value "$1" rank_count)"; }

# preempted LABEL: a job gets USR1, saves itself, requeues itself and goes on.
preempted() {
  local job directory=$scratch/$1
  job=$(submit "$yaml" --nodes 2 --ranks-per-node 2 --preemptible "${long[@]}" --output "$directory")
  under_way "$directory" && on node1 scancel --batch --signal=USR1 "$job"
  finished "$1: goes on after USR1" "$scratch/long" "$job" "$directory"
  check "$1: one requeue, saved by exit code 75" \
    test "$(field "$job" Restarts) $(cat "$directory"/job-*.log | grep -c 'the run ended with 75')" = "1 1"
}
