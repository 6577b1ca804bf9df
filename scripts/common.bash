# What the scripts beside this file share: where the clone and $CELLM_HOME are, and how MPI is started.
# Source it after `set -euo pipefail`.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# As AssetDirectory.swift and prepare/home.py read them: ~/ at the beginning of CELLM_HOME is the user's folder, other
# relative paths are of the working directory; an XDG_CACHE_HOME that is not absolute is ignored.
HOME=${HOME:-$(getent passwd "$(id -u)" | cut -d : -f 6)}
case ${CELLM_HOME:-} in
  "")
    case ${XDG_CACHE_HOME:-} in
      /*) CELLM_HOME=$XDG_CACHE_HOME/cellm-mpi ;;
      *) CELLM_HOME=$HOME/.cache/cellm-mpi ;;
    esac ;;
  "~" | "~/"*) CELLM_HOME=$HOME${CELLM_HOME#"~"} ;;
  /*) ;;
  *) CELLM_HOME=$PWD/$CELLM_HOME ;;
esac
export CELLM_HOME

# One line on standard error, prefixed by the script's name, and out.
fail() {
  echo "${0##*/}: $*" >&2
  exit 1
}

# The python3 that environments are made of. The system's own first: others on PATH may be shims of
# something that goes away.
base_python() {
  local candidate
  for candidate in ${PYTHON:+"$PYTHON"} /usr/bin/python3 python3; do
    command -v "$candidate" > /dev/null 2>&1 || continue
    "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 9))' \
      > /dev/null 2>&1 || continue
    echo "$candidate"
    return 0
  done
  fail "no python3 of version 3.9 or newer with venv; on Debian: apt-get install python3-venv"
}

# Open MPI refuses root unless told twice; containers often forbid cross-memory attach.
mpi_environment() {
  if [ "$(id -u)" -eq 0 ]; then
    export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
  fi
  export OMPI_MCA_btl_vader_single_copy_mechanism=${OMPI_MCA_btl_vader_single_copy_mechanism:-none}
}

# Starts a command in the background, as a process group of its own whose leader is $job, so that
# `end_group $job` ends it with all its children. (A plain `&` in a script would ignore Ctrl-C.)
background() { # COMMAND...
  set -m
  "$@" &
  job=$!
  set +m
}
end_group() { # LEADER
  kill -TERM -- "-$1" 2> /dev/null || true
}

# Runs a command with all its output in a log file; says how long it took, or shows why it failed.
logged() { # LABEL LOG COMMAND...
  local label=$1 log=$2 start=$SECONDS
  shift 2
  mkdir -p "$(dirname "$log")"
  echo "$label: started, output in ${log#"$root"/}"
  if "$@" > "$log" 2>&1 < /dev/null; then
    echo "$label: done in $((SECONDS - start)) s"
    return 0
  fi
  echo "$label: FAILED after $((SECONDS - start)) s; from $log:"
  grep -E '^(/.*:[0-9]+: (fatal )?)?error: ' "$log" | sort -u | head -n 20 || true
  echo "  ..."
  tail -n 15 "$log"
  return 1
}
