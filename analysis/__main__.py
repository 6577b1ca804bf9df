"""Figures and tables of runs: python -m analysis RUNS... [options].

RUNS are run directories, sweeps, or folders of them. The figures follow from what varies among the
runs: methods, settings, seeds. Names of folders have no meaning. The last line says how many
figures were made.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from . import options as values
from . import page
from .drawing import Wishes, draw_all
from .labels import SameLabel, labelled, named
from .load import RECORDS, Runs, load, repeats


def parser() -> argparse.ArgumentParser:
    """The command line."""
    own = argparse.ArgumentParser(prog="figures", description=__doc__.split("\n")[0])
    own.add_argument(
        "runs", nargs="*", type=Path, default=[Path("runs")], help="default: runs", metavar="RUNS"
    )
    own.add_argument("--output", type=Path, help="default: RUNS/figures, or figures")
    own.add_argument(
        "--format",
        type=values.formats,
        action="append",
        help="pdf, svg, png, or a list of them; default: png,pdf",
    )
    own.add_argument(
        "--width", type=values.width, default=6.5, help="such as 3.3in or 8cm; default: 6.5in"
    )
    own.add_argument(
        "--labels",
        type=values.renaming,
        action="append",
        default=[],
        metavar="NAME=TEXT",
        help="a line's text, by its point or by the label that it has without this option",
    )
    own.add_argument(
        "--points",
        type=values.names,
        action="append",
        default=[],
        metavar="NAME,NAME",
        help="only these points, by name (with or without the seed) or by label",
    )
    own.add_argument(
        "--baseline",
        metavar="NAME",
        help="the point or label that factors and differences are relative to; default: dense LoRA",
    )
    return own


def output_of(runs: list[Path]) -> Path:
    """Where figures go: into the runs' folder if there is one, and it is no run itself."""
    alone = len(runs) == 1 and not any((runs[0] / record).is_file() for record in RECORDS)
    return runs[0] / "figures" if alone else Path("figures")


def chosen(data: Runs, points: list[str]) -> tuple[Runs, list[str]]:
    """The runs that --points names, and lines on the others and on names without a run."""
    if not points or data.runs.empty:
        return data, []
    rows = labelled(data).runs
    keep = rows.apply(lambda row: named(row.to_dict(), points), axis=1)
    lines = [
        f"--points {name}: no run has this name"
        for name in points
        if not any(named(row, [name]) for row in rows.to_dict("records"))
    ]
    if not keep.all():
        lines.append(f"{(~keep).sum()} of {len(keep)} runs: not in --points")
    return data.only(keep), lines


def main(arguments: list[str] | None = None) -> int:
    """Prints a line for each figure and for what was left out. Returns the exit code."""
    options = parser().parse_args(arguments)
    output = options.output or output_of(options.runs)
    formats = list(dict.fromkeys(sum(options.format or [["png", "pdf"]], [])))
    data = load(*options.runs)
    points = sum(options.points, [])
    selected, lines = chosen(data, points)
    lines = [*data.problems, *lines]
    if selected.runs.empty:
        for line in lines:
            print(f"left out {line}")
        print(f"figures: no finished run in {', '.join(map(str, options.runs))}")
        return 1
    wishes = Wishes(options.width, options.baseline, dict(options.labels))
    rows = labelled(selected).runs.to_dict("records")
    asked = [("--labels", name) for name in wishes.texts]
    asked += [("--baseline", options.baseline)] if options.baseline else []
    texts = list(wishes.texts.values())
    lines += [
        f"{option} {name}: no run has this name"
        for option, name in asked
        if name not in texts and not any(named(row, [name]) for row in rows)
    ]
    doubles = repeats(selected)
    single = selected.only(~selected.runs["run"].isin(list(doubles)))
    try:
        drawings = draw_all(selected, single, wishes)
    except SameLabel as error:
        print(f"figures: {error}")
        return 1
    scaled = {
        run
        for name, figure in drawings.figures.items()
        if name.startswith("scaling")
        for run in figure.runs
    }
    lines += [f"{run}: {why}" for run, why in doubles.items() if run not in scaled]
    lines += drawings.left_out
    entries = []
    for name, figure in drawings.figures.items():
        written = figure.save(output, name, formats)
        print(f"made     {written[0]} and {len(written) - 1} files beside it, "
              f"of {len(figure.runs)} runs")
        entries.append(page.entry(name, figure))
        figure.close()
    for line in lines:
        print(f"left out {line}")
    index = page.write(output, entries, labelled(selected).runs, lines)
    print(f"figures: {len(entries)} made; {index} shows all")
    return 0


if __name__ == "__main__":
    sys.exit(main())
