"""Makes all figures whose runs are there: python -m analysis [RUNS] [--output DIR] [--sweeps DIR].

RUNS is the folder that `cellm-mpi sweep` puts its runs into: RUNS/SWEEP/POINT. A figure is made for
each study and model with at least one sound run; what its sweep files list and is not there is said.
The exit code is 0 also where runs are missing.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from . import (
    byte_ledger,
    cost_ratio,
    heterogeneity,
    modelled_time,
    partition,
    privacy,
    rank_density,
    scaling,
    sweeps,
    tiers,
    time_to_accuracy,
    utility_against_communication,
)
from .grouping import belonging, notes
from .load import Runs, load

FIGURES = {
    "utility-against-communication": utility_against_communication,
    "time-to-accuracy": time_to_accuracy,
    "modelled-time": modelled_time,
    "byte-ledger": byte_ledger,
    "heterogeneity": heterogeneity,
    "partition": partition,
    "rank-density": rank_density,
    "cost-ratio": cost_ratio,
    "tiers": tiers,
    "privacy": privacy,
    "scaling": scaling,
}


def studies(runs: Path) -> dict[str, list[Path]]:
    """The folders of each study below the runs' folder."""
    found: dict[str, list[Path]] = {}
    if runs.is_dir():
        for folder in sorted(path for path in runs.iterdir() if path.is_dir()):
            found.setdefault(sweeps.study_of(folder.name), []).append(folder)
    return found


def by_model(data: Runs) -> dict[str, Runs]:
    """The runs of each model, by its name."""
    if data.runs.empty:
        return {}
    names = data.runs["model.path"].map(lambda path: Path(str(path)).name)
    return {name: data.only(names == name) for name in sorted(names.unique())}


def shortened(names: list[str], most: int = 8) -> str:
    """A list for people."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def main(arguments: list[str] | None = None) -> int:
    """Prints a line for each figure, made or missing."""
    parser = argparse.ArgumentParser(prog="figures", description=__doc__.split("\n")[0])
    parser.add_argument("runs", nargs="?", type=Path, default=Path("runs"))
    parser.add_argument("--output", type=Path, help="default: RUNS/figures")
    parser.add_argument("--sweeps", type=Path, default=Path("experiments"))
    options = parser.parse_args(arguments)
    output = options.output or options.runs / "figures"
    files, problems = sweeps.read_all(options.sweeps)
    for problem in problems:
        print(f"warning: {problem}")
    folders = studies(options.runs)
    made, missing, loaded = 0, 0, {}
    for study in dict.fromkeys(module.STUDY for module in FIGURES.values()):
        # The same settings on other ranks are what scaling is of.
        data = load(*folders.get(study, []), repeats=study == scaling.STUDY)
        for problem in data.problems:
            print(f"warning: {problem}")
        loaded[study] = by_model(data)
        for model in sorted({file.model for file in files if file.study == study}):
            listed = [file for file in files if (file.study, file.model) == (study, model)]
            names = set(loaded[study][model].runs["point"]) if model in loaded[study] else set()
            for file in listed:
                absent = [name for name in file.points if name not in names]
                if absent:
                    have = len(file.points) - len(absent)
                    print(
                        f"{file.path}: {have} of {len(file.points)} runs are there; missing: "
                        f"{shortened(absent)}"
                    )
    for name, module in FIGURES.items():
        expected = {file.model for file in files if file.study == module.STUDY}
        for model in sorted(expected | set(loaded[module.STUDY])):
            data = loaded[module.STUDY].get(model)
            if data is None:
                print(f"missing  {name}.{model}: no finished run of the study {module.STUDY}")
                missing += 1
                continue
            data, left_out = belonging(data, module.COMPARES)
            if left_out:
                print(f"left out {name}.{model}: {left_out}")
            try:
                figure = module.draw(data)
                figure.notes += notes(module.COMPARES, left_out)
                written = figure.save(output, f"{name}.{model}")
            except (ValueError, KeyError) as error:
                reason = f"no run has {error}" if isinstance(error, KeyError) else str(error)
                print(f"missing  {name}.{model}: {reason}")
                missing += 1
                continue
            print(
                f"made     {written[0]} and {len(written) - 1} files beside it, of {len(data.runs)} runs"
            )
            made += 1
    print(f"figures: {made} made, {missing} missing")
    return 0


if __name__ == "__main__":
    sys.exit(main())
