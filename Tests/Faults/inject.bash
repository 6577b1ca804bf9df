# One injection: plays a scenario with a fault, judges how it ended, starts it again without the fault, and compares the
# results with those of the scenario that was left alone. Source it after scenarios.bash.

# Each injection runs with process numbers and a /dev/shm of its own, where that is allowed: two side by side do not meet, a
# second start has the process number of the first one as in a container, and nothing of it lives on.
isolate=()
apart=(--pid --fork --mount --mount-proc --kill-child)
if [[ $scratch != /dev/shm/* ]]; then
  for user in "" "--user --map-root-user"; do
    # shellcheck disable=SC2086
    unshare $user "${apart[@]}" bash -c 'mount -t tmpfs tmpfs /dev/shm' 2> /dev/null || continue
    # shellcheck disable=SC2206
    isolate=(unshare $user "${apart[@]}" bash -c 'mount -t tmpfs tmpfs /dev/shm; "$@"; exit $?' bash)
    break
  done
fi
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
# One process without mpirun needs no helper process, no network and no shared memory.
export OMPI_MCA_ess_singleton_isolated=1 OMPI_MCA_pml=ob1 LC_ALL=C

# play COMMAND...: runs it, with its output in $work/out and $work/err. Sets code, and hung to 1 where it took too long.
play() {
  local began=$EPOCHREALTIME
  # In braces: the shell says "Killed" of a timeout, which is no line of the program.
  { timeout -s KILL "$limit" "${isolate[@]}" "$@" > "$work/out" 2> "$work/err" < /dev/null; } 2> /dev/null
  code=$?
  microseconds=$((${EPOCHREALTIME/./} - ${began/./}))
  hung=$((microseconds >= limit * 1000000))
}

# The newest round that is saved in the run's directory; 0 where none is.
saved_round() {
  local file newest=0
  for file in "$work"/run-directory/checkpoints/round-*.safetensors; do
    [ -e "$file" ] || continue
    file=${file##*-} file=${file%.safetensors}
    ((10#$file > newest)) && newest=$((10#$file))
  done
  echo $newest
}

# lost_rounds SAVED: says so where the start whose messages are in $work/err played rounds again that were saved before it.
lost_rounds() {
  local from=1
  case $scenario in run | kept | resumed | ranks) ;; *) return 1 ;; esac
  grep -q 'is finished' "$work/err" && return 1
  from=$(sed -nE 's/.*, from round ([0-9]+).*/\1/p' "$work/err" | head -n 1)
  [ "${from:-1}" -le "$1" ] && echo "work lost: began at round ${from:-1} though round $1 was saved"
}

declare -A causes=(
  [EIO]="Input/output error" [ENOSPC]="No space left" [EACCES]="Permission denied"
  [EMFILE]="Too many open files" [EINTR]="Interrupted system call" [ENOMEM]="Cannot allocate memory"
  [ENOLCK]="No locks available" [ESTALE]="Stale file handle" [short]=""
)

# names_it PATH ERROR: a line on standard error names the file, or the one that a temporary file is to replace, and the cause.
# Standard output may be what an error that lasts hits last.
# Where the error lasts, it may be another file that is named.
names_it() {
  local path=${1%/} cause=${causes[${2%+}]} file whole lasting=""
  file=${path##*/}
  [[ $2 == *+ ]] && file=$scratch/ lasting=1
  # Of a full disk it is enough to know which folder is on it.
  [[ $2 == ENOSPC && $1 == "$work/home/"* ]] && file=$work/home
  # .NAME.PROCESS-N.tmp, NAME.UUID.tmp, .NAME.partial-PROCESS
  whole=$(sed -E 's/\.[0-9]+-[0-9]+\.tmp$|\.[0-9A-F-]{36}\.tmp$|\.partial-(old-)?[0-9]+$//; s/^\.(.)/\1/' <<< "$file")
  grep -iF -- "$cause" "$work/err" | grep -qF -e "$file" -e "$whole" ${lasting:+-e "standard output"}
}

# judge CALL ERROR PATH: says what is wrong with how a fault ended, or nothing.
judge() {
  local killed=""
  [[ $2 == kill* ]] && killed=1
  if [ $hung = 1 ]; then echo "hangs: not ended after $limit s"; return; fi
  case $code in 132 | 134 | 139) echo "crash: exit code $code"; return ;; esac
  if grep -qE 'Fatal error|Traceback \(most|stack dump|Program crashed' "$work/err"; then
    echo "backtrace: $(grep -E 'Error|Fatal' "$work/err" | tail -n 1)"
    return
  fi
  if [ -n "$killed" ]; then
    [ "$code" = 137 ] || echo "exit code $code after a kill"
    return
  fi
  case $scenario-$code in
    *-0) return ;;
    prepare-69) ;;
    *-64 | *-65 | *-66 | *-74) ;;
    *) echo "exit code $code: $(grep -m 1 'cellm-mpi: ' "$work/err")"; return ;;
  esac
  names_it "$3" "$2" || echo "no line names file and cause: $(grep -m 1 -E '(cellm-mpi|prepare): ' "$work/err")"
}

# difference: says where the results differ from those of the scenario that was left alone, or nothing.
difference() {
  results > "$work/results"
  cmp -s "$scratch/$scenario.expected" "$work/results" && return 1
  diff "$scratch/$scenario.expected" "$work/results" | grep -m 1 '^[<>]' | cut -c 1-120
}

# inject SCENARIO N ERROR WORK: prints a line: scenario, number, call, error, outcome, reason, path, separated by tabs.
inject() {
  local number=$2 error=$3 line call path outcome reason saved
  scenario=$1
  begin "$4"
  saved=$(saved_round)
  FAULT_AT=$number FAULT_ERROR=$error FAULT_LOG=$work/fault.log play "${start[@]}"
  if ! IFS=$'\t' read -r line call line path 2> /dev/null < "$work/fault.log"; then
    printf '%s\t%s\t-\t%s\tnot reached\t\t-\n' "$scenario" "$number" "$error"
    return
  fi
  reason=$(judge "$call" "$error" "$path")
  if [ -n "$reason" ]; then
    outcome=wrong
  elif [ "$code" = 0 ]; then
    outcome=survived
    reason=$(lost_rounds "$saved" || difference | sed 's/^/other results: /')
  else
    outcome=refused
    [ "$code" = 137 ] && outcome=killed
  fi
  if [ "$code" != 0 ]; then
    cp "$work/err" "$work/first-err"
    line=$(recover "$saved")
    reason+=${reason:+${line:+; }}$line
  fi
  [ -z "$reason" ] || outcome=wrong
  path=${path#"$work/"} path=${path#"$scratch/"} reason=${reason//"$work/"/}
  printf '%s\t%s\t%s\t%s\t%s\t%s\t%s\n' "$scenario" "$number" "$call" "$error" "$outcome" "$reason" "$path"
}

# recover SAVED: starts the scenario again without a fault; says what is wrong with that, or nothing.
recover() {
  local saved
  saved=$(saved_round)
  if [ "$saved" -lt "$1" ]; then
    echo "work lost: of rounds up to $1 those up to $saved are still saved"
    return
  fi
  set_again
  play "${again[@]}"
  if [ "$code" != 0 ]; then
    echo "started again: exit code $code$([ $hung = 0 ] || echo ', hangs'): $(grep -m 1 -E '(cellm-mpi|prepare): ' "$work/err")"
  else
    lost_rounds "$saved" || difference | sed 's/^/started again: other results: /'
  fi
}
