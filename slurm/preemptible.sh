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
"${run[@]}" --output "$output" &
launched=$!
[ -z "$asked" ] || ask
# A signal ends `wait` early.
while kill -0 "$launched" 2> /dev/null; do wait "$launched"; done
wait "$launched"
code=$?
echo "job $SLURM_JOB_ID, start $((${SLURM_RESTART_COUNT:-0} + 1)): the run ended with $code"
# 138 is USR1 before a rank listened: nothing is lost.
if [ "$code" = 75 ] || { [ "$code" = 138 ] && [ -n "$asked" ]; }; then
  scontrol requeue "$SLURM_JOB_ID" || echo "submit it again: sbatch $output/job.sh"
fi
exit "$code"
