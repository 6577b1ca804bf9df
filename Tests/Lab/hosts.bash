# Runs by mpirun over the hosts of a cluster. Source it after lab.bash.

# run_on_hosts DIRECTORY ARGUMENT...: mpirun on node1; its log goes to $scratch/log.
hostfile=hostfiles/four-hosts mapping=(-np 8)
run_on_hosts() {
  local directory=$1
  shift
  on node1 mpirun --hostfile "$hostfile" "${mapping[@]}" "$program" run "$yaml" "$@" --output "$directory" \
    > "$scratch/log" 2>&1 < /dev/null
}

# Bytes that all interfaces have sent.
bytes_sent() { "$cluster" bytes | awk '{ sent += $2 } END { print sent }'; }
# compare_bytes LABEL PERCENT ARGUMENT...: a run with one rank a host, so that all that MPI moves crosses a link. What the
# interfaces sent from its start to its end is at most so far from the wire bytes of its tables. The counters hold
# headers of Ethernet, IP and TCP, of MPI's messages, mpirun's own traffic and acknowledgements; a frame here is up to
# 64 KB, where a real one of 1500 bytes has 4 % of headers.
compare_bytes() {
  local label=$1 percent=$2 before after
  local hostfile=hostfiles/four-hosts mapping=(-np 4 --map-by ppr:1:node)
  shift 2
  before=$(bytes_sent)
  run_on_hosts "$scratch/bytes-$label" "$@" || { tail -n 3 "$scratch/log"; return 1; }
  after=$(bytes_sent)
  awk -F, -v label="$label" -v percent="$percent" -v measured=$((after - before)) \
    -v total="$(manifest_value "$scratch/bytes-$label" wire_bytes)" '
    NR == 1 { for (i = 1; i <= NF; i++) column[$i] = i; next }
    { counted += $column["wire_bytes"] }
    END {
      off = 100 * (measured / counted - 1)
      printf "%s: wire.csv %.1f MB, interfaces %.1f MB, %+.2f %%\n", label, counted / 1e6, measured / 1e6, off
      exit !(counted == total && counted > 10e6 && off < percent && off > -percent)
    }' "$scratch/bytes-$label/wire.csv"
}

# stopped_by LABEL CODE COMMAND...: the long run ends with the code (or any but 0) within 15 s of the command.
stopped_by() {
  local label=$1 expected=$2 job code from
  shift 2
  run_on_hosts "$scratch/$label" "${long[@]}" --resume &
  job=$!
  under_way "$scratch/$label" || return 1
  "$@"
  from=$SECONDS
  wait $job
  code=$?
  echo "$label: ended with $code after $((SECONDS - from)) s and $(rounds_of "$scratch/$label") rounds"
  [ $((SECONDS - from)) -le 15 ] && { [ $code = "$expected" ] || { [ "$expected" = any ] && [ $code != 0 ]; }; }
}
# goes_on LABEL: and with --resume it ends as the one in $scratch/long.
goes_on() {
  run_on_hosts "$scratch/$1" "${long[@]}" --resume || tail -n 3 "$scratch/log"
  same_run "$1: goes on on $(hosts_of "$scratch/$1")" "$scratch/long" "$scratch/$1"
}
# process_on HOST PATTERN: the newest such process there.
process_on() {
  on "$1" bash -c 'for p in $(pgrep -f "$0"); do
    [ "$(readlink /proc/$p/ns/net)" = "$(readlink /proc/self/ns/net)" ] && echo $p; done' "$2" | tail -n 1
}
