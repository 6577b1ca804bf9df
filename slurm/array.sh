# A job array: task i plays point i of the sweep.
run+=(--point "$SLURM_ARRAY_TASK_ID")
