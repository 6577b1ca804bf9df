# Several nodes: each of them has to see the program, the experiment, the run directory and the assets.
# (`~/` at the beginning of CELLM_HOME is the home directory, as the program reads it.)
assets=${CELLM_HOME:-}
case $assets in "~" | "~/"*) assets=$HOME${assets#"~"} ;; esac
srun --mpi=none --ntasks="$SLURM_NNODES" --ntasks-per-node=1 bash -c '
  for file in "$(type -P "$0")" "$@"; do
    [ -e "$file" ] && continue
    echo "$(hostname) does not see ${file:-$0}: is it on the shared file system?" >&2
    exit 66
  done' "$program" "$experiment" "$output" ${assets:+"$assets"} || exit 66
