#!/usr/bin/env bash
# The batch scripts of slurm/ on a real SLURM over four hosts: one node, two nodes by mpirun and by srun, a job array, a job
# and a task of an array that are preempted, and a job that is killed. Usage: Tests/Lab/slurm.sh [BINARY_DIRECTORY]
# Prints one line a check and, last, "N passed, N failed, N skipped".
set -u
cd "$(dirname "$0")/../.." || exit 1
. Tests/Lab/lab.bash
. Tests/Lab/slurm.bash

alone "$scratch/one"
alone "$scratch/long" "${long[@]}"

# What is written, and what is refused.
on node1 slurm/submit.sh "$yaml" --site "$site" --nodes 2 --output "$scratch/dry" --preemptible --dry-run > "$scratch/script"
check "--dry-run prints a script that bash reads" bash -n "$scratch/script"
check "and makes nothing" test ! -e "$scratch/dry"
on node1 slurm/submit.sh "$yaml" --site "$site" --output "$scratch/out dir 5%j" --dry-run > "$scratch/spaces"
check "sbatch takes one with spaces and a percent sign" on node1 sbatch --test-only "$scratch/spaces"
check "sbatch takes it" on node1 sbatch --test-only "$scratch/script"
example() {
  slurm/submit.sh experiments/quickstart.yaml --site example --nodes 4 --threads 4 --dry-run > "$scratch/script" &&
    bash -n "$scratch/script" && ! grep -vE '^#!' "$scratch/script" | grep -E '(^|[ =(])/[a-z]'
}
check "the example site's script has no absolute path" example
ends "a site that is not there" 66 'copy sites/example.conf' 5 slurm/submit.sh "$yaml" --site nowhere --dry-run
ends "more ranks than cores" 64 '9 ranks of 1 threads on nodes of 4 cores' 5 \
  slurm/submit.sh "$yaml" --site "$site" --ranks-per-node 9 --dry-run
ends "an experiment that is not there" 66 'no such file' 5 slurm/submit.sh nowhere.yaml --site "$site" --dry-run

# One node and two.
job=$(submit "$yaml" --ranks-per-node 2 --output "$scratch/node")
finished "one node" "$scratch/one" "$job" "$scratch/node"
check "its script is in the run directory" test -s "$scratch/node/job.sh"
job=$(submit "$yaml" --ranks-per-node 2 --output "$scratch/out dir 5%j")
finished "a directory with spaces and a percent sign" "$scratch/one" "$job" "$scratch/out dir 5%j"
check "its log is there" test -e "$scratch/out dir 5%j/job-$job.log"
job=$(submit "$yaml" --nodes 2 --ranks-per-node 2 --output "$scratch/nodes")
finished "two nodes by mpirun" "$scratch/one" "$job" "$scratch/nodes"
check "they are two hosts and four ranks" test "$(places "$scratch/nodes")" = "node1 node2 4"
if has_pmix; then
  job=$(site=$scratch/srun.conf submit "$yaml" --nodes 2 --ranks-per-node 2 --output "$scratch/srun")
  finished "two nodes by srun" "$scratch/one" "$job" "$scratch/srun"
  check "they are two hosts and four ranks" test "$(places "$scratch/srun")" = "node1 node2 4"
else
  skip "two nodes by srun: this SLURM has no PMIx"
fi
job=$(submit "$yaml" --nodes 2 --ranks-per-node 1 --output /dev/shm/run)
check "a node that does not see the run directory ends the job" ended "$job" FAILED 30
check "which says so" grep -q 'node2 does not see /dev/shm/run' <(on node1 bash -c 'cat /dev/shm/run/job-*.log')

# An array: task i plays point i of a sweep.
cat > "$scratch/tiny.sweep.yaml" << YAML
experiment: tiny.yaml
points: {dense: {method.upload.select: all}, sparse: {}}
YAML
job=$(submit "$scratch/tiny.sweep.yaml" --array --ranks-per-node 2 --output "$scratch/sweep")
alone "$scratch/dense" --set method.upload.select=all
finished "array task 0" "$scratch/dense" "${job}_0" "$scratch/sweep/dense"
finished "array task 1" "$scratch/one" "${job}_1" "$scratch/sweep/sparse"
job=$(submit "$scratch/tiny.sweep.yaml" --nodes 2 --ranks-per-node 2 --group-size 2 --output "$scratch/packed")
finished "a sweep in one job, one point" "$scratch/dense" "$job" "$scratch/packed/dense"
finished "and the other" "$scratch/one" "$job" "$scratch/packed/sparse"

preempted preempted

# A preemptible array: the task that has the whole array's job number is asked to stop, and goes on alone.
rounds=1500 every=500
cat > "$scratch/tasks.sweep.yaml" << YAML
experiment: tiny.yaml
set: {federation.rounds: $rounds, evaluation.every: $every}
points: {zero: {}, one: {seed: 1}, two: {seed: 2}}
YAML
job=$(submit "$scratch/tasks.sweep.yaml" --array --preemptible --ranks-per-node 2 --output "$scratch/tasks")
under_way "$scratch/tasks/zero" && under_way "$scratch/tasks/one" && under_way "$scratch/tasks/two"
asked=""
for task in 0 1 2; do
  on node1 scontrol show job "${job}_$task" -o | grep -q "^JobId=$job " && asked=$task
done
check "a task of the array has its number" test -n "$asked"
on node1 scancel --batch --signal=USR1 "${job}_$asked"
names=(zero one two) restarts=""
for task in 0 1 2; do
  alone "$scratch/task$task" --set federation.rounds=$rounds --set evaluation.every=$every --set seed=$task
  finished "preemptible array, task $task" "$scratch/task$task" "${job}_$task" "$scratch/tasks/${names[task]}"
  [ "$task" = "$asked" ] || restarts+="$(field "${job}_$task" Restarts)"
done
found="$(field "${job}_$asked" Restarts) $restarts $(cat "$scratch"/tasks/job-*.log | grep -c 'once more')"
check "one requeue of that task, none of the others: $found" test "$found" = "1 00 1"

# Killed without a word: the same script goes on from the last checkpoint.
job=$(submit "$yaml" --nodes 2 --ranks-per-node 2 "${long[@]}" --output "$scratch/killed")
under_way "$scratch/killed" && on node1 scancel --full --signal=KILL "$job"
check "a job is killed" ended "$job" CANCELLED 30
echo "after $(rounds_of "$scratch/killed") rounds"
job=$(on node1 sbatch "$scratch/killed/job.sh" | sed 's/.* //')
finished "submitted again it goes on" "$scratch/long" "$job" "$scratch/killed"

check "the end leaves nothing behind" gone
finish
