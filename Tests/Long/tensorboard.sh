#!/usr/bin/env bash
# TensorBoard itself reads the event files of a run, also of one that was broken off and went on: its points are those of
# the tables, each once. Makes a Python environment with tensorboard 2.21.0 in .build (the first time takes a minute).
# Usage: Tests/Long/tensorboard.sh [BINARY_DIRECTORY]
set -u
cd "$(dirname "$0")/../.." || exit 1
. Tests/MPI/checks.bash
python=$PWD/.build/tensorboard/bin/python
if ! "$python" -c 'import tensorboard' 2> /dev/null; then
  { python3 -m venv .build/tensorboard && "$python" -m pip install -q tensorboard==2.21.0; } > "$scratch/log" 2>&1 ||
    { skip "tensorboard 2.21.0 cannot be installed: $(tail -n 1 "$scratch/log")"; finish; }
fi
bin=$(program_directory cellm-mpi "${1:-}") || exit 1
program=$bin/cellm-mpi
golden=$PWD/Tests/Goldens/federation/llama_adam_w
cat > "$scratch/x.yaml" <<YAML
model: {path: $golden/model}
data: {path: $golden/corpus, max_length: 16}
partition: {kind: file, path: $golden/partition.json}
adapter: {lora_rank: 2, alpha: 8, initial: $golden/initial_adapter}
federation: {rounds: 40, cohort_size: 4, server: {optimizer: adam_w, learning_rate: 0.005}}
local: {epochs: 1, batch_size: 4, learning_rate: 0.2, momentum: 0.9}
evaluation: {every: 8, splits: [validation, test]}
checkpoint: {every_rounds: 7}
YAML
cat > "$scratch/read.py" <<'PYTHON'
"""Compares the curves that TensorBoard finds in a run directory with the run's tables."""
import csv
import sys
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

run = Path(sys.argv[1])
found = EventAccumulator(str(run / "tensorboard"), size_guidance={"scalars": 0, "tensors": 0})
found.Reload()


def curve(tag):
    return [(e.step, round(e.value, 5)) for e in found.Scalars(tag)]


def table(name, column, **where):
    with open(run / name, encoding="utf-8") as file:
        rows = [r for r in csv.DictReader(file) if all(r[k] == v for k, v in where.items())]
    return [(int(r["round"]), round(float(r[column]), 5)) for r in rows]


assert len(table("rounds.csv", "train_loss")) == 40
for tag, expected in {
    "train/loss": table("rounds.csv", "train_loss"),
    "payload/upload_bytes": table("rounds.csv", "upload_payload_bytes"),
    "memory/largest_rank_mb": table("rounds.csv", "memory_mb"),
    "test/accuracy": table("evaluation.csv", "accuracy", split="test"),
    "validation/loss": table("evaluation.csv", "loss", split="validation"),
}.items():
    curves = curve(tag)
    assert [s for s, _ in curves] == [s for s, _ in expected], (tag, curves, expected)
    # The table has memory to a tenth of a MB.
    tolerance = 0.051 if tag.startswith("memory") else 1e-5
    for (_, a), (_, b) in zip(curves, expected):
        assert abs(a - b) <= tolerance + 1e-6 * abs(b), (tag, a, b)
print(len(found.Tags()["scalars"]), "curves")
PYTHON
digest_of "$scratch/whole" "$program" run "$scratch/x.yaml" > /dev/null
check "TensorBoard finds the points of the tables" "$python" "$scratch/read.py" "$scratch/whole"
kills=0
for seconds in 0.3 0.5 0.8 1.2 1.6; do
  timeout -s KILL $seconds "$program" run "$scratch/x.yaml" --output "$scratch/broken" --resume > "$scratch/log" 2>&1 < /dev/null
  [ $? = 137 ] && kills=$((kills + 1))
done
digest_of "$scratch/broken" "$program" run "$scratch/x.yaml" --resume > /dev/null
check "each once after $kills kills" "$python" "$scratch/read.py" "$scratch/broken"
check "in $(ls "$scratch/broken/tensorboard" | wc -l) files" test "$(ls "$scratch/broken/tensorboard" | wc -l)" -ge 2
finish
