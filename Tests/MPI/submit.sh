#!/usr/bin/env bash
# slurm/submit.sh and the batch scripts that it writes, without SLURM: sbatch, scontrol and the launcher are stand-ins.
# Usage: Tests/MPI/submit.sh [BINARY_DIRECTORY]
# Prints one line a check and, last, "N passed, N failed, N skipped".
set -u
cd "$(dirname "$0")/../.." || exit 1
. Tests/MPI/checks.bash
bin=$(program_directory cellm-mpi "${1:-}") || exit 1
golden=$PWD/Tests/Goldens/federation/llama_adam_w
yaml=$scratch/tiny.yaml
cat > "$yaml" <<YAML
model: {path: $golden/model}
data: {path: $golden/corpus, max_length: 16}
partition: {kind: iid, clients: 8}
federation: {rounds: 4, cohort_size: 3}
YAML
printf 'experiment: tiny.yaml\npoints: {dense: {}, sparse: {seed: 1}, other: {seed: 2}}\n' > "$scratch/three.sweep.yaml"
printf '%s\n' cores_per_node=2 default_time=00:10:00 signal_seconds=60 "program=$(printf %q "$bin/cellm-mpi")" > "$scratch/site.conf"
mkdir "$scratch/bin"
# The stand-ins: sbatch and scontrol write down what they are told; the launcher saves something and ends.
printf '#!/bin/sh\necho "$*" >> "%s"\n' "$scratch/told" | tee "$scratch/bin/sbatch" > "$scratch/bin/scontrol"
printf '#!/bin/sh\nmkdir -p "$SAVES/checkpoints/round-$$"\nexit "$ENDS"\n' > "$scratch/bin/mpirun"
chmod +x "$scratch"/bin/*
export PATH=$scratch/bin:$PATH
submit=(slurm/submit.sh --site "$scratch/site.conf")

ends "--help ends with 0 and prints the options" 0 '--preemptible' 5 slurm/submit.sh --help
ends "an unknown option still does not" 64 'unknown option --halp' 5 slurm/submit.sh --halp
ends "an empty directory is refused" 64 '--output "": give a directory' 5 "${submit[@]}" "$yaml" --output ""

# The experiment is read before it waits in a queue.
ends "an unknown key is not submitted" 64 'did you mean federation.rounds' 10 \
  "${submit[@]}" "$yaml" --set federation.rouns=3 --output "$scratch/a"
ends "nor a missing file" 66 '/nowhere does not exist' 10 "${submit[@]}" "$yaml" --set model.path=/nowhere --output "$scratch/a"
check "nothing was submitted or made" test ! -e "$scratch/told" -a ! -e "$scratch/a"
ends "ranks without a client are named, and the run is submitted" 0 '1 of 4 ranks have no client in a round of 3' 10 \
  "${submit[@]}" "$yaml" --nodes 2 --output "$scratch/b"
check "sbatch got its script" test "$(cat "$scratch/told")" = "$scratch/b/job.sh"
rm "$scratch/told"
printf 'experiment: tiny.yaml\npoints: {a: {}, b: {local.epoks: 3}}\n' > "$scratch/bad.sweep.yaml"
ends "a sweep with a bad point is not submitted" 64 'bad.sweep.yaml: local.epoks=3: unknown key' 10 \
  "${submit[@]}" "$scratch/bad.sweep.yaml" --output "$scratch/a"
sed 's/^program=.*/program=no-such-program/' "$scratch/site.conf" > "$scratch/nowhere.conf"
ends "where the program does not run nothing is checked, and it says so" 0 'so nothing was checked' 10 \
  slurm/submit.sh "$yaml" --site "$scratch/nowhere.conf" --output "$scratch/c"
sed "\$a prepare_lines=('export CELLM_HOME=$scratch' 'no-such-module load x')" "$scratch/site.conf" > "$scratch/home.conf"
ends "it is read as the job will, after the site's preparation" 66 "not in $scratch" 10 \
  slurm/submit.sh "$yaml" --set model.path=some-model --site "$scratch/home.conf" --output "$scratch/d"

# Time limits.
for time in 2 00:02:59 0-0 0; do
  ends "a preemptible job of $time is too short" 64 'give at least 180 seconds' 5 \
    "${submit[@]}" "$yaml" --preemptible --time $time --dry-run
done
for time in 3 3:00 00:03:00 1-0 0-00:03 0-00:02:60 UNLIMITED 08:09:09; do
  ends "one of $time is not" 0 "#SBATCH --time=$time" 5 "${submit[@]}" "$yaml" --preemptible --time $time --dry-run
done
ends "a short job that saves nothing is" 0 '--time=1' 5 "${submit[@]}" "$yaml" --time 1 --dry-run
ends "a time that sbatch does not know" 64 '--time 2h: give minutes' 5 "${submit[@]}" "$yaml" --time 2h --dry-run

# Spaces and percent signs.
mkdir "$scratch/my exps" && cp "$yaml" "$scratch/my exps/my run.yaml"
ends "a name with a space" 0 '#SBATCH --job-name="my run"' 5 "${submit[@]}" "$scratch/my exps/my run.yaml" --output "out 50%j" --dry-run
check "a directory with a space and a percent sign" grep -qF '#SBATCH --output="out 50%%j/job-%j.log"' "$scratch/log"
check "bash reads the script" bash -n "$scratch/log"
ends "a quotation mark is refused" 64 'leave out quotation marks' 5 "${submit[@]}" "$yaml" --output 'a"b' --dry-run

# A preemptible task of an array: its own progress, and its own number. SLURM_JOB_ID is the whole array's for one task.
"${submit[@]}" "$scratch/three.sweep.yaml" --array --preemptible --output "$scratch/array" > "$scratch/log" 2>&1
check "the script has the points' names" grep -qxF 'names=(dense sparse other)' "$scratch/array/job.sh"
task() { # SAVES ENDS: the second task, whose launcher saves something there and ends so; prints what scontrol was told
  rm -f "$scratch/told"
  SAVES=$1 ENDS=$2 SLURM_JOB_ID=17 SLURM_ARRAY_JOB_ID=17 SLURM_ARRAY_TASK_ID=1 bash "$scratch/array/job.sh" > "$scratch/log" 2>&1
  [ ! -e "$scratch/told" ] || cat "$scratch/told"
}
check "a task that was asked to stop requeues itself and not the array" test "$(task "$scratch/elsewhere" 75)" = "requeue 17_1"
check "a lost rank after a checkpoint of its own point does too" test "$(task "$scratch/array/sparse" 137)" = "requeue 17_1"
check "a sibling's checkpoint is not its progress" test -z "$(task "$scratch/array/dense" 137)"
check "a verdict of the program ends it" test -z "$(task "$scratch/array/sparse" 65)"
"${submit[@]}" "$scratch/three.sweep.yaml" --preemptible --output "$scratch/whole" > "$scratch/log" 2>&1
job() { # FOLDER SAVES: a job that is no task
  rm -f "$scratch/told"
  SAVES=$2 ENDS=137 SLURM_JOB_ID=18 bash "$1/job.sh" > "$scratch/log" 2>&1
  [ ! -e "$scratch/told" ] || cat "$scratch/told"
}
check "a sweep in one job has the progress of any point" test "$(job "$scratch/whole" "$scratch/whole/other")" = "requeue 18"
check "and none without" test -z "$(job "$scratch/whole" "$scratch/elsewhere")"
"${submit[@]}" "$yaml" --preemptible --output "$scratch/run of one" > "$scratch/log" 2>&1
check "a run has its own, also in a directory with a space" test "$(job "$scratch/run of one" "$scratch/run of one")" = "requeue 18"
finish
