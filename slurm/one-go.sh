# In one go: the launcher starts a rank on every core of the allocation. SLURM requeues the job where a node
# fails; the run then goes on from its last checkpoint.
"${run[@]}" --output "$output"
