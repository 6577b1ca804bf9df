# A job array: task i runs point i in a directory of its own.
mapfile -t point < <(xargs -n 1 printf '%s\n' <<< "${points[SLURM_ARRAY_TASK_ID]}")
for setting in "${point[@]}"; do run+=(--set "$setting"); done
output=$output/$(printf '%03d' "$SLURM_ARRAY_TASK_ID")
