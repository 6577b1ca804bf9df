#!/usr/bin/env bash
# The commands of docs/your-data.md, one block after the other, in a folder of their own.
# Usage: Tests/MPI/walkthrough.sh [BINARY_DIRECTORY]
# Prints one line a check and, last, "N passed, N failed, N skipped".
set -u
cd "$(dirname "$0")/../.." || exit 1
. Tests/MPI/checks.bash
bin=$(program_directory cellm-mpi "${1:-}") || exit 1
home=$(. scripts/common.bash && echo "$CELLM_HOME")
for model in minilm-l6 smollm2-135m; do
  if [ ! -f "$home/$model/model.safetensors" ]; then
    skip "walk-through: make assets ASSETS=$model prepares it"
    finish
  fi
done
# Corpora of the walk-through go to a home of their own, with the models of this one.
mkdir "$scratch/home" "$scratch/work"
for name in minilm-l6 smollm2-135m; do ln -s "$home/$name" "$scratch/home/$name"; done
for environment in "$home"/environment-*; do ln -s "$environment" "$scratch/home/"; done
for name in scripts prepare Makefile experiments Package.swift; do ln -s "$PWD/$name" "$scratch/work/$name"; done
# Block N of the page becomes $scratch/N.sh.
awk -v folder="$scratch" '/^```sh$/ { n++; on = 1; next } /^```$/ { on = 0 } on { print > (folder "/" n ".sh") }' \
  docs/your-data.md
export CELLM_HOME=$scratch/home PATH="$bin:$PATH"
count=$(ls "$scratch"/*.sh | wc -l)
check "the page has its blocks" test "$count" -ge 8
# The first block downloads what is there.
for ((number = 2; number <= count; number++)); do
  (cd "$scratch/work" && bash -eu "$scratch/$number.sh") > "$scratch/$number.log" 2>&1
  code=$?
  [ "$code" = 0 ] || tail -n 5 "$scratch/$number.log"
  check "block $number: $(head -n 1 "$scratch/$number.sh" | cut -c1-60)" test "$code" = 0
done
accuracy=$(awk -F, 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == "accuracy") c = i } END { print $c }' \
  "$scratch/work/runs/notes/evaluation.csv")
check "the notes are learnt: test accuracy $accuracy" awk -v a="$accuracy" 'BEGIN { exit !(a > 0.9) }'
accuracy=$(awk -F, 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == "accuracy") c = i } END { print $c }' \
  "$scratch/work/runs/pictures/evaluation.csv")
check "the pictures are learnt: test accuracy $accuracy" awk -v a="$accuracy" 'BEGIN { exit !(a > 0.9) }'
check "the merged model has labels and tokenizer" \
  sh -c "grep -q rain '$scratch/work/notes-model/config.json' && test -f '$scratch/work/notes-model/tokenizer.json'"
check "exact matches are counted" grep -q exact_match "$scratch/work/runs/sums/evaluation.csv"
check "choices are counted by both rules" grep -q "acc,acc_norm" "$scratch/work/runs/choices/evaluation.csv"
check "the chat template comes with the merged model" grep -q chat_template "$scratch/work/sums-model/tokenizer_config.json"
finish
