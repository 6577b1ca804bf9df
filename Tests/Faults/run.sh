#!/usr/bin/env bash
# Faults at every call: scenarios on tiny goldens are played once for each call on a file and each error that it can have
# (faults.c and its neighbours), or with a kill there. After each, the exit code has to be a documented one, a line has to name the file and the
# cause, and the same command without the fault has to end with the digest and the tables of the scenario that was left alone,
# and must not play rounds again that were saved.
#
#   Tests/Faults/run.sh [BINARY_DIRECTORY]                 a sample of all scenarios (FAULTS_OFFSET=K: another one)
#   Tests/Faults/run.sh --all [SCENARIO...]                every call, every error; --match PATTERN: calls whose line has it
#   Tests/Faults/run.sh --calls SCENARIO                   the calls: number, call, errors that it can have, path
#   Tests/Faults/run.sh --one SCENARIO N ERROR             one injection, with what the program printed
# Each with --in BINARY_DIRECTORY; without it the program is built first.
#
# Outcomes: survived (exit code 0, the same results), refused (a line, an exit code, and recovered), killed (and recovered),
# wrong. Prints a line a scenario and call, each wrong injection with the command that repeats it, a table of calls and errors and,
# last, "N passed, N failed, N skipped". All outcomes are in FAULTS_OUT (default .build/faults): results.tsv, wrong.tsv.
set -u
cd "$(dirname "$0")/../.." || exit 1
. Tests/MPI/checks.bash
. Tests/Faults/scenarios.bash
. Tests/Faults/inject.bash

# Their ranks make the same folder, or take the next point, as they come: the numbers of their calls are not always the same.
together='^(sweep|ranks)$'
mode=sample directory="" pattern="" wanted=() one=()
while [ $# -gt 0 ]; do
  case $1 in
    --all) mode=all ;;
    --calls) mode=calls one=("$2"); shift ;;
    --one) mode=one one=("$2" "$3" "$4"); shift 3 ;;
    --match) pattern=$2; shift ;;
    --in) directory=$2; shift ;;
    *) if [[ " $scenarios " == *" $1 "* ]]; then wanted+=("$1"); else directory=$1; fi ;;
  esac
  shift
done
bin=$(program_directory cellm-mpi "$directory") || exit 1
program=$bin/cellm-mpi
out=${FAULTS_OUT:-.build/faults}
mkdir -p "$out"
limit=60 work=$scratch/w0
[ ${#wanted[@]} -gt 0 ] || read -r -a wanted <<< "$scenarios"
[ ${#one[@]} = 0 ] || wanted=("${one[0]}")

python=""
if [[ " ${wanted[*]} " == *" prepare "* ]]; then
  python=$(QUIET=1 scripts/environment) || { echo "no Python environment for prepare" >&2; python=""; }
fi
make_inputs || exit 1
[ -z "$python" ] || make_texts > /dev/null || { echo "no tokenizer can be made" >&2; python=""; }
[[ " ${wanted[*]} " != *" resumed "* ]] || make_stopped || { echo "no run to resume: exit code $code" >&2; exit 1; }

# The library itself, with programs of the system: a call that fails, one that is short, a kill, an error that lasts.
library_works() {
  local folder=$scratch/library cat=(env "LD_PRELOAD=$scratch/faults.so" cat)
  mkdir "$folder"
  echo "a line" > "$folder/file"
  cp "$folder/file" "$folder/other"
  export FAULT_ROOTS=$folder
  [ "$(FAULT_AT=1 FAULT_ERROR=EIO "${cat[@]}" "$folder/file" "$folder/other" 2>&1)" = \
    "cat: $folder/file: Input/output error"$'\n'"a line" ] &&
    [ -z "$(FAULT_AT=1 FAULT_ERROR=EMFILE+ "${cat[@]}" "$folder/file" "$folder/other" 2> /dev/null)" ] &&
    [ "$(FAULT_AT=1 FAULT_ERROR=short "${cat[@]}" "$folder/file")" = "a line" ] || return 1
  { FAULT_AT=1 FAULT_ERROR=kill bash -c '"$@"; exit $?' bash "${cat[@]}" "$folder/file"; } > /dev/null 2>&1
  [ $? = 137 ]
}

# reference NAME: plays a scenario without a fault, twice; its calls are in NAME.calls, its results in NAME.expected.
reference() {
  local number
  scenario=$1
  for number in 1 2; do
    limit=60
    begin "$scratch/w0"
    FAULT_LOG=$scratch/$1.calls$number play "${start[@]}"
    [ "$code" = 0 ] || { tail -n 3 "$work/err"; return 1; }
    results > "$scratch/$1.results$number"
  done
  # Two injections side by side, on a machine that may have other work.
  limit=$((5 + microseconds / 100000))
  echo $limit > "$scratch/$1.limit"
  mv "$scratch/$1.calls1" "$scratch/$1.calls"
  mv "$scratch/$1.results1" "$scratch/$1.expected"
  same_text "$scratch/$1.expected" "$scratch/$1.results2"
}

# main_calls FILE: the main thread's calls, by number.
main_calls() { awk -F'\t' '$1 < 100000 { print $1, $2, $3 }' "$1" | sort -n; }

# injections NAME: lines of scenario, number and error: all, or as many as the sample takes, spread over calls and errors.
injections() {
  local all=$scratch/$1.injections step=1
  grep -E -- "$pattern" "$scratch/$1.calls" |
    awk -F'\t' -v name="$1" '{ n = split($3, errors, " "); for (i = 1; i <= n; i++) print name, $1, errors[i] }' > "$all"
  [ $mode = all ] || step=$((($(wc -l < "$all") + sample - 1) / sample))
  awk -v step="$step" -v first=$(((step / 2 + ${FAULTS_OFFSET:-0}) % step)) 'NR % step == first' "$all"
}

# worker NUMBER: every second line of the list; says now and then how far it is.
worker() {
  local name number error played=0
  while read -r name number error; do
    limit=$(cat "$scratch/$name.limit")
    inject "$name" "$number" "$error" "$scratch/w$1" >> "$scratch/results$1"
    played=$((played + 1))
    [ $((played % 250)) != 0 ] || echo "worker $1: $played injections after $SECONDS s" >&2
  done < <(awk -v worker="$1" 'NR % 2 == worker % 2' "$scratch/list")
}

# show NAME: a line for each call of a scenario, and its wrong injections.
show() {
  local call counts
  while read -r call; do
    counts=$(awk -F'\t' -v name="$1" -v call="$call" '$1 == name && $3 == call { n[$5]++ }
      END { for (o in n) printf "%s%d %s", sep++ ? ", " : "", n[o], o }' "$out/results.tsv")
    if [[ $counts == *wrong* ]]; then
      check "$1: $call: $counts" false
      awk -F'\t' -v name="$1" -v call="$call" '$1 == name && $3 == call { if (++n > 10) { more++; next }
        print "  Tests/Faults/run.sh --one " $1 " " $2 " " $4 "   " $7 ": " $6 }
        END { if (more) print "  and " more " more" }' "$out/wrong.tsv"
    else
      check "$1: $call: $counts" true
    fi
  done < <(awk -F'\t' -v name="$1" '$1 == name && $5 != "not reached" { print $3 }' "$out/results.tsv" | sort -u)
}

# The table: calls and errors with the number of each outcome.
table() {
  awk -F'\t' '$5 != "not reached" { key = $3 "\t" $4; keys[key]; n[key, $5]++; n["all\t", $5]++ } END {
    print "call\terror\tsurvived\trefused\tkilled\twrong"
    keys["all\t"]
    for (key in keys)
      print key "\t" n[key, "survived"] + 0 "\t" n[key, "refused"] + 0 "\t" n[key, "killed"] + 0 "\t" n[key, "wrong"] + 0 | "sort" }' \
    "$out/results.tsv" | expand -t 12
}

if [ $mode = calls ]; then
  reference "${one[0]}" && sed "s|$scratch/w0/||" "$scratch/${one[0]}.calls"
  exit
fi
if [ $mode = one ]; then
  reference "${one[0]}" || { echo "$scenario does not end alike twice"; exit 1; }
  inject "${one[@]}" "$scratch/w1" > "$scratch/result"
  for file in first-err err; do
    [ ! -s "$scratch/w1/$file" ] || { echo "--- $file"; cat "$scratch/w1/$file"; }
  done
  echo "---"
  cat "$scratch/result"
  grep -qP '\twrong\t' "$scratch/result" && exit 1
  exit 0
fi

check "the library fails calls as it is told" library_works
: > "$scratch/list"
played=()
for name in "${wanted[@]}"; do
  if [ "$name" = prepare ] && [ -z "$python" ]; then
    skip "prepare: no Python environment"
    continue
  fi
  check "$name: left alone it ends alike twice" reference "$name"
  [ -s "$scratch/$name.expected" ] || continue
  main_calls "$scratch/$name.calls" > "$scratch/a"
  main_calls "$scratch/$name.calls2" > "$scratch/b"
  [[ $name =~ $together ]] || check "$name: with the same $(wc -l < "$scratch/a") calls" same_text "$scratch/a" "$scratch/b"
  injections "$name" >> "$scratch/list"
  played+=("$name")
done
echo "$(wc -l < "$scratch/list") injections"
: > "$scratch/results1"
: > "$scratch/results2"
start_seconds=$SECONDS
worker 1 &
first=$!
worker 2
wait $first
sort -t $'\t' -s -k 1,1 -k 2,2n "$scratch/results1" "$scratch/results2" > "$out/results.tsv"
grep -P '\twrong\t' "$out/results.tsv" > "$out/wrong.tsv"
for name in ${played[@]+"${played[@]}"}; do show "$name"; done
table
# The watchdog looks when it looks: its calls, from 100001, are not always the same.
missed=$(awk -F'\t' -v together="$together" '$5 == "not reached" && $1 !~ together && $2 < 100000' "$out/results.tsv" | wc -l)
check "all numbers were reached" test "$missed" = 0
echo "$(wc -l < "$out/results.tsv") injections in $((SECONDS - start_seconds)) s"
finish
