#!/usr/bin/env bash
# Submits a run to SLURM: writes the batch script, complete, into the run directory and hands it to sbatch.
#   slurm/submit.sh EXPERIMENT --site NAME [--nodes N] [--ranks-per-node R] [--threads T] [--time T]
#     [--set KEY=VALUE ...] [--output DIR] [--array] [--group-size G] [--preemptible] [--dry-run]
# EXPERIMENT       an experiment, or a sweep where its name ends in .sweep.yaml
# --site NAME      the cluster's facts: slurm/sites/NAME.conf, or a path (see slurm/sites/example.conf)
# --nodes N        default 1
# --ranks-per-node R, --threads T  threads of a rank, default 1; R x T cores of each node, default all of them
#                  (a sweep has compute.threads in its file)
# --time T         the time limit, as sbatch has it; default the site's
# --output DIR     the directory of the run or sweep; default runs/NAME, with the time for a run. What was begun there
#                  goes on
# --array          a sweep as a job array: a task for each point, with nodes of its own
# --group-size G   a sweep in one job: the ranks that play a point together
# --preemptible    the job saves itself before its time limit or when it gets USR1, requeues itself and goes on
# --dry-run        prints the batch script and does nothing
# The script is put together from the parts beside this file; paths in it are relative to the directory of submission.
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
arguments=("$@")
usage() {
  sed -nE '/^#   slurm/,/^set/s/^# ?//p' "${BASH_SOURCE[0]}" >&2
  [ $# = 0 ] || echo "submit.sh: $*" >&2
  exit 64
}

experiment="" site="" nodes=1 ranks="" threads=1 time="" output="" array="" group_size="" preemptible="" dry=""
settings=()
while [ $# -gt 0 ]; do
  case $1 in
    --site | --nodes | --ranks-per-node | --threads | --time | --set | --output | --group-size)
      [ $# -ge 2 ] || usage "$1 needs a value" ;;
  esac
  case $1 in
    --site) site=$2; shift ;;
    --nodes) nodes=$2; shift ;;
    --ranks-per-node) ranks=$2; shift ;;
    --threads) threads=$2; shift ;;
    --time) time=$2; shift ;;
    --set) settings+=("$2"); shift ;;
    --output) output=${2%/}; shift ;;
    --group-size) group_size=$2; shift ;;
    --array) array=1 ;;
    --preemptible) preemptible=1 ;;
    --dry-run) dry=1 ;;
    -*) usage "unknown option $1" ;;
    *) [ -z "$experiment" ] || usage "two experiments: $experiment and $1"; experiment=$1 ;;
  esac
  shift
done
[ -n "$experiment" ] && [ -n "$site" ] || usage "give an experiment and --site"
for number in "$nodes" "$threads" ${ranks:+"$ranks"} ${group_size:+"$group_size"}; do
  [[ $number =~ ^[1-9][0-9]*$ ]] || usage "$number is not a positive number"
done
[ -f "$experiment" ] || { echo "submit.sh: $experiment: no such file" >&2; exit 66; }
facts=$site
[[ $site == */* ]] || facts=$here/sites/$site.conf
[ -f "$facts" ] || { echo "submit.sh: $facts: no such file; copy sites/example.conf" >&2; exit 66; }

# The site's facts; each has a default.
partition="" account="" constraint="" memory="" cores_per_node="" default_time=01:00:00 signal_seconds=300
program=cellm-mpi launcher=mpirun launcher_options=() sbatch_lines=() prepare_lines=()
# shellcheck source=/dev/null
. "$facts"
[ -n "$cores_per_node" ] || usage "$facts does not say cores_per_node"
ranks=${ranks:-$((cores_per_node / threads))}
[ "$ranks" -gt 0 ] && [ $((ranks * threads)) -le "$cores_per_node" ] ||
  usage "$ranks ranks of $threads threads on nodes of $cores_per_node cores"
case $launcher in
  mpirun)
    start=(mpirun ${launcher_options[@]+"${launcher_options[@]}"})
    [ "$threads" = 1 ] || start+=(--map-by "slot:PE=$threads") ;;
  srun)
    start=(srun ${launcher_options[@]+"${launcher_options[@]}"})
    [ "$threads" = 1 ] || start+=(--cpus-per-task="$threads") ;;
  *) usage "$facts: launcher is $launcher; give mpirun or srun" ;;
esac

if [[ $experiment == *.sweep.yaml ]]; then
  name=$(basename "$experiment" .sweep.yaml)
  output=${output:-runs/$name}
  [ ${#settings[@]} = 0 ] || usage "the settings of a sweep stand in its file"
  command="sweep \"\$experiment\"${group_size:+ --group-size $group_size}"
  if [ -n "$array" ]; then
    array=$("$program" sweep "$experiment" --list | grep -cE '^ *[0-9]+ ') ||
      { echo "submit.sh: $program does not list the points of $experiment" >&2; exit 66; }
  fi
else
  name=$(basename "$experiment" .yaml)
  output=${output:-runs/$name-$(date +%Y%m%d-%H%M%S)}
  [ -z "$array$group_size" ] || usage "--array and --group-size are for sweeps (NAME.sweep.yaml)"
  [ "$threads" = 1 ] || settings+=("compute.threads=$threads")
  command='run "$experiment" --resume'
fi

parts=()
[ "$nodes" = 1 ] || parts+=(several-nodes)
[ -z "$array" ] || parts+=(array)
if [ -n "$preemptible" ]; then parts+=(preemptible); else parts+=(one-go); fi

script() {
  local part
  echo "#!/usr/bin/env bash"
  echo "#SBATCH --job-name=$name"
  echo "#SBATCH --nodes=$nodes"
  echo "#SBATCH --ntasks-per-node=$ranks"
  echo "#SBATCH --cpus-per-task=$threads"
  echo "#SBATCH --time=${time:-$default_time}"
  if [ -z "$array" ]; then
    echo "#SBATCH --output=$output/job-%j.log"
  else
    echo "#SBATCH --array=0-$((array - 1))"
    echo "#SBATCH --output=$output/job-%A_%a.log"
  fi
  echo "#SBATCH --open-mode=append"
  echo "#SBATCH --requeue"
  [ -z "$preemptible" ] || echo "#SBATCH --signal=B:USR1@$signal_seconds"
  [ -z "$partition" ] || echo "#SBATCH --partition=$partition"
  [ -z "$account" ] || echo "#SBATCH --account=$account"
  [ -z "$constraint" ] || echo "#SBATCH --constraint=$constraint"
  [ -z "$memory" ] || echo "#SBATCH --mem=$memory"
  [ ${#sbatch_lines[@]} = 0 ] || printf '#SBATCH %s\n' "${sbatch_lines[@]}"
  printf '# Written by:'
  printf ' %q' slurm/submit.sh "${arguments[@]}"
  printf '\n\nset -u\n'
  [ -z "$preemptible" ] || echo "asked='' && trap 'asked=1' USR1  # until the run is started"
  [ ${#prepare_lines[@]} = 0 ] || printf '%s\n' "${prepare_lines[@]}"
  echo "export OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1"
  printf 'program=%q experiment=%q output=%q\n' "$program" "$experiment" "$output"
  printf 'run=(\n '
  printf ' %q' "${start[@]}"
  printf '\n  "$program" %s\n' "$command"
  [ ${#settings[@]} = 0 ] || printf '  --set %s\n' "${settings[@]@Q}"
  echo ")"
  for part in "${parts[@]}"; do
    echo
    cat "$here/$part.sh"
  done
}

if [ -n "$dry" ]; then
  script
  exit
fi
mkdir -p "$output"
script > "$output/job.sh"
sbatch "$output/job.sh"
