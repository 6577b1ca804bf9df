# A job that may be preempted. SLURM sends USR1 to this script before the time limit (--signal), and a user or
# a site before it takes the nodes; the script hands it to the launcher and that to every rank. The run saves
# itself and ends with 75, the job goes back into the queue, and its next start goes on from there.
launched=""
ask() {
  asked=1
  # Again and again: while the launcher starts, a signal may get lost.
  [ -z "$launched" ] || while kill -USR1 "$launched" 2> /dev/null; do sleep 5; done &
}
trap ask USR1
# The checkpoints of this job's own run or runs. $point is a pattern: . for a run, * for a sweep, a name in a job array.
# shellcheck disable=SC2086
saved() { ls -d "$output"/$point/checkpoints/* 2> /dev/null; }
before=$(saved)
"${run[@]}" --output "$output" &
launched=$!
[ -z "$asked" ] || ask
# A signal ends `wait` early.
while kill -0 "$launched" 2> /dev/null; do wait "$launched"; done
wait "$launched"
code=$?
again=""
case $code in
  0) ;;
  6[4-9] | 7[0-4]) ;;                                  # the program's own verdict: the next start would end alike
  75) again=1 ;;
  138) again=$asked ;;                                 # USR1 before a rank listened: nothing is lost
  *) [ "$(saved)" = "$before" ] || again=1 ;;          # a rank or node was lost; again only if something was gained
esac
# A task of an array by its number in the array: SLURM_JOB_ID is that of the whole array for one of its tasks.
job=$SLURM_JOB_ID
[ -z "${SLURM_ARRAY_JOB_ID:-}" ] || job=${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID
echo "job $job, start $((${SLURM_RESTART_COUNT:-0} + 1)): the run ended with $code${again:+, once more}"
[ -z "$again" ] || scontrol requeue "$job" || echo "submit it again: sbatch $output/job.sh"
exit "$code"
