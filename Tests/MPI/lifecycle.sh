#!/usr/bin/env bash
# A run directory from its beginning to its end: locks, signals, kills, checkpoints that cannot be read, inputs that
# changed, full disks. Usage: Tests/MPI/lifecycle.sh [BINARY_DIRECTORY]
# Prints one line a check and, last, "N passed, N failed, N skipped".
set -u
cd "$(dirname "$0")/../.." || exit 1
. Tests/MPI/checks.bash
bin=$(program_directory cellm-mpi "${1:-}") || exit 1
program=$bin/cellm-mpi
golden=$PWD/Tests/Goldens/federation/llama_adam_w
mkdir "$scratch/inputs"
cp -r "$golden/model" "$golden/corpus" "$golden/partition.json" "$scratch/inputs"
yaml=$scratch/x.yaml
cat > "$yaml" <<YAML
model: {path: $scratch/inputs/model}
data: {path: $scratch/inputs/corpus, max_length: 16}
partition: {kind: file, path: $scratch/inputs/partition.json}
adapter: {lora_rank: 2, alpha: 8, initial: $golden/initial_adapter}
method: {download: {density: 0.25}, upload: {density: 0.125}, residual: kept}
federation: {rounds: 40, cohort_size: 4, server: {optimizer: adam_w, learning_rate: 0.005}}
local: {epochs: 1, batch_size: 4, learning_rate: 0.2, momentum: 0.9}
evaluation: {every: 10, splits: [test]}
compute: {micro_batch_tokens: 20}
checkpoint: {every_rounds: 7, keep: 2}
YAML
endless=(--set federation.rounds=100000)
digest_of "$scratch/whole" "$program" run "$yaml" > "$scratch/expected"
cp "$scratch/expected" "$scratch/whole.digest"
echo "left alone: digest $(cat "$scratch/expected")"

# begin DIRECTORY ARGUMENT...: starts an endless run in the background as $job and waits for its first round.
begin() {
  local directory=$1 start=$SECONDS
  rm -f "$scratch/first"
  shift
  env --default-signal=INT "$@" run "$yaml" "${endless[@]}" --output "$directory" --resume > "$scratch/first" 2>&1 < /dev/null &
  job=$!
  until grep -qs ' round [0-9]*/' "$scratch/first" || [ $((SECONDS - start)) -gt 20 ]; do sleep 0.02; done
}
# killed DIRECTORY [ROUNDS]: the run of 40 rounds, killed when the checkpoint of some rounds is there.
killed() {
  "$program" run "$yaml" --output "$1" --resume > "$scratch/log" 2>&1 < /dev/null &
  local job=$! start=$SECONDS file
  file=$1/checkpoints/round-$(printf %06d "${2:-14}").safetensors
  while [ ! -e "$file" ] && [ $((SECONDS - start)) -lt 20 ]; do sleep 0.01; done
  kill -9 $job
  wait $job 2> /dev/null
}
goes_on() {
  digest_of "$1" "$program" run "$yaml" --resume > "$scratch/found"
  same_text "$scratch/expected" "$scratch/found"
}
# tables DIRECTORY: a digest of all that a start must not touch before its first round.
tables() { (cd "$1" && cat ./*.csv metrics.jsonl tensorboard/* checkpoints/* 2> /dev/null | sha256sum); }

# --- the end of a run, and more rounds ---
check "a finished run keeps the checkpoint of its last round" test -e "$scratch/whole/checkpoints/round-000040.safetensors"
cp -r "$scratch/whole" "$scratch/longer"
digest_of "$scratch/direct" "$program" run "$yaml" --set federation.rounds=43 > "$scratch/direct.digest"
digest_of "$scratch/longer" "$program" run "$yaml" --set federation.rounds=43 --resume > "$scratch/found"
check "and goes on from it to more" same_text "$scratch/direct.digest" "$scratch/found"
check "from its end" grep -q 'from round 41' "$scratch/log"
ends "a finished run is named so" 64 'holds a finished run of this experiment' 10 "$program" run "$yaml" --output "$scratch/whole"

# --- checkpoints that cannot be used ---
killed "$scratch/k"
before=$(tables "$scratch/k")
newest=$(ls "$scratch/k/checkpoints"/round-* | tail -n 1)
mv "$newest" "$scratch/newest"
ln -s "$newest" "$newest"
ends "a checkpoint that cannot be read ends the start" 74 "$newest" 10 "$program" run "$yaml" --output "$scratch/k" --resume
check "which says how to begin anew" grep -q 'give another --output to begin anew' "$scratch/log"
rm "$newest"
sed 's/cellm-mpi checkpoint 1/cellm-mpi checkpoint 9/' "$scratch/newest" > "$newest"
ends "one of another version too" 65 'cellm-mpi checkpoint 9' 10 "$program" run "$yaml" --output "$scratch/k" --resume
mv "$scratch/newest" "$newest"
mv "$scratch/k/checkpoints" "$scratch/there"
ends "a folder of checkpoints that is gone too" 74 'holds no checkpoint, but one was saved' 10 "$program" run "$yaml" --output "$scratch/k" --resume
ln -s checkpoints "$scratch/k/checkpoints"
ends "one that cannot be listed too" 74 "$scratch/k/checkpoints: Too many levels" 10 "$program" run "$yaml" --output "$scratch/k" --resume
rm "$scratch/k/checkpoints"
mv "$scratch/there" "$scratch/k/checkpoints"
if [ "$(id -u)" = 0 ] && setpriv --reuid=65534 --regid=65534 --clear-groups test -x "$program" -a -r "$golden/partition.json" 2> /dev/null; then
  chmod 711 "$scratch"
  chmod -R a+rwX "$scratch/k" "$scratch/inputs"
  chmod a+r "$yaml"
  nobody=(setpriv --reuid=65534 --regid=65534 --clear-groups)
  chmod 600 "$newest"
  ends "another user's checkpoint too" 74 "$newest: Permission denied" 10 "${nobody[@]}" "$program" run "$yaml" --output "$scratch/k" --resume
  chmod 311 "$scratch/k/checkpoints"
  ends "another user's folder too" 74 "$scratch/k/checkpoints: Permission denied" 10 "${nobody[@]}" "$program" run "$yaml" --output "$scratch/k" --resume
  chmod 755 "$scratch/k/checkpoints"
else
  skip "another user's checkpoints (needs root, and a path that nobody can read)"
fi
check "none of these starts touched a table or a checkpoint" test "$before" = "$(tables "$scratch/k")"
check "and the run goes on to digest $(cat "$scratch/expected")" goes_on "$scratch/k"

# --- inputs ---
killed "$scratch/i"
before=$(tables "$scratch/i")
cp "$scratch/inputs/partition.json" "$scratch/partition.json"
printf '\n' >> "$scratch/inputs/partition.json"
ends "a partition that changed is refused by name" 65 'inputs/partition.json: is not the file with which the run began' 10 \
  "$program" run "$yaml" --output "$scratch/i" --resume
cp "$scratch/partition.json" "$scratch/inputs/partition.json"
printf 'x' >> "$scratch/inputs/corpus/validation.safetensors"
ends "a corpus too" 65 'validation.safetensors' 10 "$program" run "$yaml" --output "$scratch/i" --resume
cp "$golden/corpus/validation.safetensors" "$scratch/inputs/corpus/"
check "both leave all as it is" test "$before" = "$(tables "$scratch/i")"
check "with the old files it goes on" goes_on "$scratch/i"
check "and the manifest has both starts" test "$(grep -c '"status"' "$scratch/i/manifest.json")" = 2

# --- temporary files of killed processes ---
in_namespace() {
  unshare --pid --fork --mount-proc "$program" run "$yaml" --output "$scratch/n" --resume > "$scratch/log" 2>&1 < /dev/null
}
if unshare --pid --fork --mount-proc true 2> /dev/null; then
  killed "$scratch/n" 7
  for process in 1 2 3; do
    for serial in $(seq 12); do
      : > "$scratch/n/checkpoints/.round-000014.safetensors.$process-$serial.tmp"
      : > "$scratch/n/residuals/client-0/.round-8.safetensors.$process-$serial.tmp"
    done
  done
  check "with what a process of the same number left it goes on" in_namespace
  sed -nE 's/^digest ([0-9a-f]+)$/\1/p' "$scratch/log" > "$scratch/found"
  check "to the same digest" same_text "$scratch/expected" "$scratch/found"
  check "and nothing of it is left" test -z "$(find "$scratch/n" -name '*.tmp')"
else
  skip "processes of one number (needs PID namespaces)"
fi

# --- a beginning that was cut short ---
for length in 0 300; do
  mkdir "$scratch/c$length"
  head -c $length "$scratch/whole/config.yaml" > "$scratch/c$length/config.yaml"
  : > "$scratch/c$length/.lock"
  check "a config.yaml of which $length bytes were written is a run that never began" goes_on "$scratch/c$length"
done
if [ "$(id -u)" = 0 ] && mkdir -p "$scratch/small" && mount -t tmpfs -o size=40k tmpfs "$scratch/small" 2> /dev/null; then
  head -c 60000 /dev/zero > "$scratch/small/ballast" 2> /dev/null
  ends "a full disk ends the start" 74 'No space left on device' 10 "$program" run "$yaml" --output "$scratch/small/r" --resume
  check "and leaves no config.yaml" test ! -e "$scratch/small/r/config.yaml"
  rm "$scratch/small/ballast"
  mount -o remount,size=8m "$scratch/small"
  check "with room the same command begins" goes_on "$scratch/small/r"
else
  skip "a full disk (needs a mount)"
fi

# --- signals ---
begin "$scratch/s" "$program"
kill -INT $job
wait $job
code=$?
check "Ctrl-C ends the run with 75" test $code = 75
check "it names the command that goes on" grep -qF -- "--set federation.rounds=100000 --output $scratch/s --resume" "$scratch/first"
check "a checkpoint is there" test -n "$(ls "$scratch/s/checkpoints")"
ends "the command without --resume names --resume" 64 'holds an unfinished run of this experiment; go on with --resume' 10 \
  "$program" run "$yaml" "${endless[@]}" --output "$scratch/s"
begin "$scratch/s" "$program"
kill -TERM $job
wait $job
check "so does SIGTERM" test $? = 75
begin "$scratch/m" mpirun -np 3 "$program"
kill -INT $job
wait $job
check "Ctrl-C to mpirun saves the run, and mpirun fails" test $? != 0 -a -n "$(ls "$scratch/m/checkpoints" 2> /dev/null)"
check "it is stopped" grep -q '"status" : "stopped"' "$scratch/m/manifest.json"
# The second one comes while the first is being answered; where that is over already, once more.
for _ in $(seq 10); do
  begin "$scratch/second" "$program"
  kill -INT $job
  sleep 0.002
  kill -INT $job 2> /dev/null
  wait $job 2> /dev/null
  code=$?
  [ $code = 130 ] && break
done
check "a second Ctrl-C ends it at once" test $code = 130

# --- locks ---
begin "$scratch/far" "$program"
far=$job
printf '{"host":"elsewhere","process":7,"start":"2026-01-01T00:00:00Z"}\n' > "$scratch/far/.lock"
timeout -k 5 20 "$program" run "$yaml" "${endless[@]}" --output "$scratch/far" --resume > "$scratch/far.log" 2>&1 < /dev/null &
waiting=$!
begin "$scratch/l" "$program"
ends "a second start waits, then names the process that runs there" 64 "another process runs in it: process $job on" 20 \
  "$program" run "$yaml" "${endless[@]}" --output "$scratch/l" --resume
wait $waiting
code=$?
check "one of another host may be about to end: 75" test $code = 75
check "it is named" grep -q 'process 7 on elsewhere' "$scratch/far.log"
kill -9 $far
wait $far 2> /dev/null
(sleep 2; kill -9 $job) &
ends "a start goes on where the holder ends meanwhile" 75 'waiting up to 10 s' 20 bash -c '
  env --default-signal=INT "$@" & job=$!
  sleep 3
  kill -INT $job
  wait $job' - "$program" run "$yaml" "${endless[@]}" --output "$scratch/l" --resume
begin "$scratch/r" mpirun -np 3 "$program"
kill -9 $job
ends "after kill -9 of mpirun the same command goes on at once" 75 'go on with --resume' 20 bash -c '
  env --default-signal=INT "$@" & job=$!
  sleep 3
  kill -INT $job
  wait $job' - "$program" run "$yaml" "${endless[@]}" --output "$scratch/r" --resume

# --- what a start must not do ---
mkdir "$scratch/project" && touch "$scratch/project/thesis.tex"
ends "--resume in a folder that holds no run" 64 'is not empty' 10 "$program" run "$yaml" --output "$scratch/project" --resume
check "leaves no lock there" test "$(ls -A "$scratch/project")" = thesis.tex
ends "an initial adapter that is a file" 66 'is a directory as PEFT saves it' 20 \
  mpirun -np 3 "$program" run "$yaml" --set "adapter.initial=$yaml" --output "$scratch/file-adapter"
check "is said once" test "$(grep -c '^cellm-mpi: ' "$scratch/log")" = 1
# A damaged checkpoint between whole ones: it goes when the next is saved, not the older whole one.
"$program" run "$yaml" --set federation.rounds=6 --set checkpoint.every_rounds=2 --output "$scratch/hurt" > "$scratch/log" 2>&1
head -c 100 "$scratch/whole/config.yaml" > "$scratch/hurt/checkpoints/round-000006.safetensors"
sed -i 's/"status" : "finished"/"status" : "running"/' "$scratch/hurt/manifest.json"
"$program" run "$yaml" --set federation.rounds=8 --set checkpoint.every_rounds=8 --output "$scratch/hurt" --resume > "$scratch/log" 2>&1
check "a damaged checkpoint does not take the place of a whole one" \
  test "$(ls "$scratch/hurt/checkpoints" | tr '\n' ' ')" = "round-000004.safetensors round-000008.safetensors "
# Somebody else's finished run, which can only be read.
if [ "$(id -u)" = 0 ] && command -v setpriv > /dev/null; then
  cp -r "$scratch/whole" "$scratch/readable" && chmod -R a+rX "$scratch" && rm -f "$scratch/readable/.lock"
  ends "a finished run in a folder that can only be read says its digest" 0 "digest $(cat "$scratch/whole.digest")" 10 \
    setpriv --reuid=65534 --clear-groups "$program" run "$yaml" --output "$scratch/readable" --resume
else
  skip "a folder that can only be read: not root, or no setpriv"
fi

# --- a run of an earlier version ---
earlier=Tests/Goldens/run-directories
cp -r "$earlier/first-version" "$scratch/earlier"
sed -i "s|@GOLDEN@|$golden|" "$scratch/earlier/config.yaml" "$scratch/earlier/manifest.json"
sed "s|@GOLDEN@|$golden|" "$earlier/first-version.yaml" > "$scratch/earlier.yaml"
digest_of "$scratch/earlier-whole" "$program" run "$scratch/earlier.yaml" > "$scratch/expected"
digest_of "$scratch/earlier" "$program" run "$scratch/earlier.yaml" --resume > "$scratch/found"
check "a run of an earlier version goes on from round 7" grep -q 'from round 7' "$scratch/log"
numbers() { cut -d, -f1 "$1/rounds.csv" | tail -n +2 | tr '\n' ' '; }
check "its rounds count from 0, as they began" test "$(numbers "$scratch/earlier")" = "0 1 2 3 4 5 6 7 8 9 10 11 "
check "those of this version from 1" test "$(numbers "$scratch/earlier-whole")" = "1 2 3 4 5 6 7 8 9 10 11 12 "
# That version computed its rounds with OpenBLAS, so the last bits differ; 3 digits of the losses do not.
losses() { awk -F, 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == "loss") c = i; next } { printf "%.3g\n", $c }' "$1/evaluation.csv"; }
losses "$scratch/earlier-whole" > "$scratch/expected"
losses "$scratch/earlier" > "$scratch/found"
check "to the losses of one that this version began, $(tail -n 1 "$scratch/found")" same_text "$scratch/expected" "$scratch/found"
finish
