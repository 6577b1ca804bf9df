# The scenarios: what is played, which calls count, and which results must be the same afterwards. Source it after
# checks.bash. `set_scenario` knows each by its name and sets
#   start, again   the command, and the one that a person gives after it failed
#   roots          below these paths calls count;  rank: in this rank alone, all where it is empty
#   sample         how many injections `make test` plays
# $work is the folder of the injection; the run's directory in it is $work/run-directory.

faults=$PWD/Tests/Faults
golden=$PWD/Tests/Goldens/federation/llama_adam_w
scenarios="run kept resumed sweep ranks prepare"

# experiment RESIDUAL: six rounds that save after each.
experiment() {
  cat << YAML
model: {path: $scratch/inputs/model}
data: {path: $scratch/inputs/corpus, max_length: 16}
partition: {kind: file, path: $scratch/inputs/partition.json}
adapter: {lora_rank: 2, alpha: 8, initial: $scratch/inputs/initial_adapter}
method: {download: {density: 0.25}, upload: {density: 0.25}, residual: $1}
federation: {rounds: 6, cohort_size: 3, server: {optimizer: adam_w, learning_rate: 0.005}}
local: {epochs: 1, batch_size: 4, learning_rate: 0.2, momentum: 0.9}
evaluation: {every: 3, splits: [validation, test]}
compute: {micro_batch_tokens: 20}
checkpoint: {every_rounds: 1, keep: 2}
YAML
}

# Makes what all injections read, in $scratch.
make_inputs() {
  cp -r "$golden" "$scratch/inputs"
  experiment dropped > "$scratch/dropped.yaml"
  experiment kept > "$scratch/kept.yaml"
  cat > "$scratch/three.sweep.yaml" << YAML
experiment: dropped.yaml
set: {federation.rounds: 2, evaluation.every: 2}
grid: {seed: [0, 1, 2]}
YAML
  "$(command -v cc || command -v clang || echo cc)" -std=gnu11 -O1 -Wall -Wextra -fPIC -shared \
    -o "$scratch/faults.so" "$faults"/*.c -ldl
}

# Makes a home with a tokenizer, and a table of texts, for `prepare text`.
make_texts() {
  PYTHONPATH=$PWD PYTHONDONTWRITEBYTECODE=1 "$python" - "$scratch" << 'PYTHON'
import sys
from pathlib import Path

from prepare.tests.support import HomeTestCase

case = HomeTestCase()
case.home = Path(sys.argv[1]) / "texts"
case.home.mkdir()
case.make_tokenizer()
colours = ("red", "green", "blue")
rows = [f"{colours[i % 3]} {'one two ' * (i % 4)},{i % 2},{i % 5}\n" for i in range(40)]
(case.home / "table.csv").write_text("text,label,client\n" + "".join(rows))
PYTHON
}

# A run that was killed in its fourth round, while it wrote a row of clients.csv.
make_stopped() {
  local number
  set_scenario resumed
  mkdir -p "$scratch/stopped"
  begin "$scratch/w0"
  FAULT_LOG=$scratch/stopped.log play "${start[@]}"
  number=$(awk -F'\t' '/checkpoints.round-000003.safetensors/ { saved = 1 } saved && $2 == "write" && /clients.csv/ { print $1; exit }' \
    "$scratch/stopped.log")
  begin "$scratch/w0"
  FAULT_AT=$number FAULT_ERROR=kill-part play "${start[@]}"
  rm -r "$scratch/stopped"
  cp -r "$work/run-directory" "$scratch/stopped"
  [ "$code" = 137 ] && [ -e "$scratch/stopped/checkpoints/round-000003.safetensors" ]
}

# set_scenario NAME
set_scenario() {
  local own=$work/run-directory inputs=$scratch/inputs
  local preload=(env "LD_PRELOAD=$scratch/faults.so" OMPI_MCA_btl=self)
  local two=(mpirun -np 2 env "LD_PRELOAD=$scratch/faults.so" "$program")
  scenario=$1 rank=""
  case $1 in
    run)
      start=("${preload[@]}" "$program" run "$scratch/dropped.yaml" --output "$own")
      roots=$own:$inputs:$scratch/dropped.yaml sample=60 ;;
    kept)
      start=("${preload[@]}" "$program" run "$scratch/kept.yaml" --output "$own")
      roots=$own/residuals sample=40 ;;
    resumed)
      start=("${preload[@]}" "$program" run "$scratch/kept.yaml" --output "$own" --resume)
      roots=$own:$inputs:$scratch/kept.yaml sample=50 ;;
    sweep)
      start=("${two[@]}" sweep "$scratch/three.sweep.yaml" --group-size 1 --output "$own")
      roots=$own rank=1 sample=8 ;;
    ranks)
      start=("${two[@]}" run "$scratch/kept.yaml" --output "$own")
      roots=$own:$inputs rank=1 sample=10 ;;
    prepare)
      start=(env "LD_PRELOAD=$scratch/faults.so" "CELLM_HOME=$work/home" "PYTHONPATH=$PWD" PYTHONDONTWRITEBYTECODE=1
        "$python" -m prepare text --file "$work/table.csv" --text text --label label --client client
        --tokenizer tiny --length 8 --name texts)
      roots=$work sample=20 ;;
    *) echo "no scenario $1; there are $scenarios" >&2; return 1 ;;
  esac
}

# begin WORK: an empty folder for an injection, with what the scenario begins with.
begin() {
  rm -rf "$1"
  mkdir -p "$1/tmp"
  work=$1
  set_scenario "$scenario"
  export FAULT_ROOTS=$roots FAULT_RANK=$rank TMPDIR=$work/tmp
  case $scenario in
    resumed) cp -r "$scratch/stopped" "$work/run-directory" ;;
    prepare)
      mkdir "$work/home"
      cp -r "$scratch/texts/tiny" "$work/home/tiny"
      cp "$scratch/texts/table.csv" "$work/table.csv" ;;
  esac
}

# The command that a person gives after a failure: --resume where there is a run.
set_again() {
  again=("${start[@]}")
  case $scenario in
    run | kept | ranks) [ -e "$work/run-directory/config.yaml" ] && again+=(--resume) ;;
  esac
}

# tables DIRECTORY FILE...: what must be the same in files of a run or a sweep: tables without clocks, memory and starts; of the manifest
# status, digest and, each once, the digests of the input files.
tables() {
  (
    cd "$1" && shift && awk -F, '
      FNR == 1 { print "== " FILENAME; for (i = 1; i <= NF; i++) keep[i] = $i !~ /_(seconds|mb)$|^(starts|begin|end)$/ }
      FILENAME ~ /csv$/ { line = ""; for (i = 1; i <= NF; i++) if (keep[i]) line = line "," $i; print line; next }
      FILENAME == "manifest.json" && /"xxh64"/ { sub(/^ +/, "") }
      FILENAME ~ /jsonl$/ { gsub(/"[a-z_]*_(seconds|mb)":[^,}]*/, "") }
      FILENAME != "manifest.json" || /^  "(status|digest|failure)"/ || /"xxh64"/ && !seen[$0]++' "$@"
  ) 2>&1
}

# run_results DIRECTORY: all of that, but wire.csv, and checksums of the adapter. Event files hold clocks and are not compared.
run_results() {
  tables "$1" config.yaml partition.csv rounds.csv evaluation.csv confusion.csv clients.csv metrics.jsonl manifest.json
  (cd "$1" && cksum adapter/*) 2>&1
}

# Prints what must be the same after the scenario.
results() {
  local point
  case $scenario in
    sweep)
      tables "$work/run-directory" points.csv
      for point in "$work"/run-directory/*/; do
        echo "= ${point#"$work"}"
        run_results "$point"
      done ;;
    prepare)
      ls -A "$work/home"
      grep -v '"made":' "$work/home/texts/manifest.json" | sed "s|$work||"
      (cd "$work/home/texts" && cksum ./*.safetensors) 2>&1 ;;
    *) run_results "$work/run-directory" ;;
  esac
}
