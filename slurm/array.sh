# A job array: task i plays point i of the sweep, and its progress is that of this point.
run+=(--point "$SLURM_ARRAY_TASK_ID")
point=${names[SLURM_ARRAY_TASK_ID]}
