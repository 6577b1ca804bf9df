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
# --help           prints this
# Before it submits, the program reads the experiment, or each point of the sweep, as the job will, after the site's
# prepare_lines: what it refuses is not submitted.
# The script is put together from the parts beside this file; paths in it are relative to the directory of submission.
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
arguments=("$@")
help() { sed -nE '/^#   slurm/,/^set/s/^# ?//p' "${BASH_SOURCE[0]}"; }
usage() {
  help >&2
  [ $# = 0 ] || echo "submit.sh: $*" >&2
  exit 64
}
refuse() {
  echo "submit.sh: $2" >&2
  exit "$1"
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
    --output)
      output=${2%/}
      [ -n "$output" ] || refuse 64 "--output \"$2\": give a directory"
      shift ;;
    --group-size) group_size=$2; shift ;;
    --array) array=1 ;;
    --preemptible) preemptible=1 ;;
    --dry-run) dry=1 ;;
    -h | --help) help; exit ;;
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

# seconds TIME: a time limit as sbatch has it, in seconds; nothing where it is without end or no time.
seconds() {
  local days=0 hours=0 minutes=0 seconds=0 number='0*([0-9]{1,6})'
  if [[ $1 =~ ^$number$ ]]; then minutes=${BASH_REMATCH[1]}
  elif [[ $1 =~ ^$number:$number$ ]]; then minutes=${BASH_REMATCH[1]} seconds=${BASH_REMATCH[2]}
  elif [[ $1 =~ ^$number:$number:$number$ ]]; then
    hours=${BASH_REMATCH[1]} minutes=${BASH_REMATCH[2]} seconds=${BASH_REMATCH[3]}
  elif [[ $1 =~ ^$number-$number(:$number(:$number)?)?$ ]]; then
    days=${BASH_REMATCH[1]} hours=${BASH_REMATCH[2]} minutes=${BASH_REMATCH[4]:-0} seconds=${BASH_REMATCH[6]:-0}
  else return 0
  fi
  echo $(((days * 24 + hours) * 3600 + minutes * 60 + seconds))
}
limit=${time:-$default_time}
allowed=$(seconds "$limit")
[ -n "$allowed" ] || [[ ${limit^^} =~ ^(UNLIMITED|INFINITE)$ ]] ||
  refuse 64 "--time $limit: give minutes, hours:minutes:seconds or days-hours, as sbatch has it"
if [ -n "$preemptible" ] && [ -n "$allowed" ]; then
  [[ $signal_seconds =~ ^[1-9][0-9]*$ ]] || refuse 64 "$facts: signal_seconds is $signal_seconds; give a positive number"
  # SLURM sends the signal up to a minute early, and a job takes a moment to start.
  least=$((signal_seconds + 120))
  [ "$allowed" -ge "$least" ] ||
    refuse 64 "--time $limit: give at least $least seconds: the job is told to save itself $signal_seconds seconds (signal_seconds of $facts) before its end"
fi

# checked NAME ARGUMENT...: runs the program as the job will, after the site's preparation; its output is in $reading.
# What the program refuses ends this script; where it cannot run here nothing is checked.
checked() {
  local code=0 preparation=""
  [ ${#prepare_lines[@]} = 0 ] || preparation=$(printf '%s\n' "${prepare_lines[@]}")
  reading=$(bash -c "{ ${preparation:-:}"$'\n} > /dev/null 2>&1\nexec "$@"' submit.sh "$program" "$@") || code=$?
  case $code in
    0) grep '^note: ' <<< "$reading" | sed 's/^note: /submit.sh: /' >&2 || true ;;
    6[4-9] | 7[0-8]) refuse "$code" "$experiment is not submitted: see above" ;;
    *) return 1 ;;
  esac
}
unchecked="submit.sh: $program does not run here, so nothing was checked: $experiment"

if [[ $experiment == *.sweep.yaml ]]; then
  name=$(basename "$experiment" .sweep.yaml)
  output=${output:-runs/$name}
  [ ${#settings[@]} = 0 ] || usage "the settings of a sweep stand in its file"
  command="sweep \"\$experiment\"${group_size:+ --group-size $group_size}"
  point="'*'"  # the job's progress is that of any point
  if [ -n "$array" ] || [ -z "$dry" ]; then
    if checked sweep "$experiment" --list --output "$output" --group-size "${group_size:-$((nodes * ranks))}"; then
      mapfile -t names < <(awk '$1 ~ /^[0-9]+$/ { print $2 }' <<< "$reading")
      [ -z "$array" ] || array=${#names[@]}
    elif [ -n "$array" ]; then
      refuse 66 "$program does not run here: it has to list the points of $experiment"
    else
      echo "$unchecked" >&2
    fi
  fi
else
  name=$(basename "$experiment" .yaml)
  output=${output:-runs/$name-$(date +%Y%m%d-%H%M%S)}
  [ -z "$array$group_size" ] || usage "--array and --group-size are for sweeps (NAME.sweep.yaml)"
  [ "$threads" = 1 ] || settings+=("compute.threads=$threads")
  command='run "$experiment" --resume'
  point=.
  if [ -z "$dry" ]; then
    given=()
    for setting in ${settings[@]+"${settings[@]}"}; do given+=(--set "$setting"); done
    checked plan "$experiment" ${given[@]+"${given[@]}"} --ranks $((nodes * ranks)) --ranks-per-node "$ranks" ||
      echo "$unchecked" >&2
  fi
fi
for text in "$name" "$output"; do
  case $text in
    *[\"\\$'\n']*) refuse 64 "$text: sbatch does not take this name; leave out quotation marks, backslashes and line ends" ;;
  esac
done
# quoted TEXT: as a word of an #SBATCH line, which ends at a space.
quoted() {
  local text=$1
  if [[ $text =~ ^[A-Za-z0-9_./%+=@:,-]+$ ]]; then echo "$text"; else echo "\"$text\""; fi
}
# In a log's name % begins a number.
logs=${output//%/%%}

parts=()
[ "$nodes" = 1 ] || parts+=(several-nodes)
[ -z "$array" ] || parts+=(array)
if [ -n "$preemptible" ]; then parts+=(preemptible); else parts+=(one-go); fi

script() {
  local part
  echo "#!/usr/bin/env bash"
  echo "#SBATCH --job-name=$(quoted "$name")"
  echo "#SBATCH --nodes=$nodes"
  echo "#SBATCH --ntasks-per-node=$ranks"
  echo "#SBATCH --cpus-per-task=$threads"
  echo "#SBATCH --time=$limit"
  if [ -z "$array" ]; then
    echo "#SBATCH --output=$(quoted "$logs/job-%j.log")"
  else
    echo "#SBATCH --array=0-$((array - 1))"
    echo "#SBATCH --output=$(quoted "$logs/job-%A_%a.log")"
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
  # mpirun looks at the node with hwloc. It shall load no OpenCL driver: LLVM in one takes SIGUSR1 from mpirun.
  echo 'export HWLOC_COMPONENTS=${HWLOC_COMPONENTS:--opencl}'
  printf 'program=%q experiment=%q output=%q point=%s\n' "$program" "$experiment" "$output" "$point"
  [ -z "$array" ] || printf 'names=(%s)\n' "${names[*]}"
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
