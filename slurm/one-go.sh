# In one go: the launcher starts a rank on every core of the allocation. Submitted again, or requeued by SLURM
# where that notices a failed node before the launcher does, the run goes on from its last checkpoint.
"${run[@]}" --output "$output"
