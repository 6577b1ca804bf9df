"""A table of `make bench` from its CSV file: python3 bench/table.py bench/results/FILE.csv

Each ratio is of two neighbouring runs; the table shows the median of the pairs' ratios and their range.
"""

import statistics
import sys
from collections import defaultdict
from pathlib import Path


def read(path):
    """The lines of a file as dictionaries: every field names itself."""
    return [
        dict(field.split("=", 1) for field in line.split(","))
        for line in Path(path).read_text().splitlines()
    ]


def middle(rows, column):
    return statistics.median(float(row[column]) for row in rows)


rows = read(sys.argv[1])
pairs = defaultdict(dict)
for row in rows:
    pairs[row["pair"]][row["engine"]] = row
shapes = defaultdict(list)
for name, pair in pairs.items():
    if not name.startswith("micro-batch"):
        shapes[name.rsplit("-", 1)[0]].append(pair)

print("| batch x length, precision | ours tokens/s | of sgemm | PyTorch tokens/s | ours / PyTorch | "
      "by CPU time | ours private MB | PyTorch private MB |")
print("|---|---|---|---|---|---|---|---|")
for name, found in shapes.items():
    ours = [pair["cellm-mpi"] for pair in found]
    theirs = [pair["pytorch"] for pair in found if "pytorch" in pair]
    cells = [name, f"{middle(ours, 'tokens_per_second'):.0f}",
             f"{middle(ours, 'fraction_of_sgemm'):.3f}"]
    if theirs:
        def ratio(column):
            values = sorted(
                float(pair["cellm-mpi"][column]) / float(pair["pytorch"][column])
                for pair in found if "pytorch" in pair)
            return f"{statistics.median(values):.2f} ({values[0]:.2f} to {values[-1]:.2f})"

        cells += [f"{middle(theirs, 'tokens_per_second'):.0f}", ratio("tokens_per_second"),
                  ratio("tokens_per_cpu_second")]
    else:
        cells += ["-", "-", "-"]
    cells.append(f"{middle(ours, 'private_bytes') / 1e6:.0f}")
    cells.append(f"{middle(theirs, 'private_bytes') / 1e6:.0f}" if theirs else "-")
    print("| " + " | ".join(cells) + " |")

print("\n| micro-batch tokens | ours tokens/s | of sgemm | private MB |")
print("|---|---|---|---|")
for name, pair in pairs.items():
    if name.startswith("micro-batch"):
        row = pair["cellm-mpi"]
        print(f"| {row['micro_batch_tokens']} | {float(row['tokens_per_second']):.0f} | "
              f"{float(row['fraction_of_sgemm']):.3f} | {float(row['private_bytes']) / 1e6:.0f} |")
