"""Accuracy against what was sent: in bytes, and as the papers count, in parameters.

The tables have the cost of the baseline's last accuracy minus one point, the form in which FLASC
(arXiv 2406.05233) and CELLM (arXiv 2407.20557) state their factors, and of lower accuracies.
"""

from __future__ import annotations

import pandas as pd

from .. import measures
from ..figure import Figure
from ..grouping import CURVES, METHODS
from ..load import Runs
from ..reaching import factor_table, reach_table
from ..statistics import over_seeds
from ..style import (
    INTERVALS,
    Context,
    legend_below,
    lines,
    logarithmic,
    panels,
    sampling_note,
    target_line,
    target_note,
)

COMPARES = (*METHODS, *CURVES)
SHOWS: tuple[str, ...] = ()
HAS_LINES = True
MARGIN = 0.01
LEVELS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
COSTS = {"total_payload_bytes": 1e6, "total_parameters": 1e6}


def why_not(data: Runs) -> str | None:
    """Any runs with an evaluation have curves."""
    return None


def target_of(points: pd.DataFrame, baseline: str | None) -> float | None:
    """The baseline's last accuracy, its mean over seeds, minus the margin."""
    own = points[points["label"] == baseline]
    return None if own.empty else float(measures.final(own)["accuracy"].mean()) - MARGIN


def reach(points: pd.DataFrame, target: float, baseline: str) -> pd.DataFrame:
    """What each label needs for the target and for each level below it."""
    levels = [*(level for level in LEVELS if level < target), target]
    tables = [reach_table(points, level, list(COSTS), baseline) for level in levels]
    return pd.concat(tables, ignore_index=True)


def factors(points: pd.DataFrame, target: float, baseline: str) -> pd.DataFrame:
    """The factors of each seed for the target and for each level below it."""
    levels = [*(level for level in LEVELS if level < target), target]
    tables = [factor_table(points, level, list(COSTS), baseline) for level in levels]
    return pd.concat(tables, ignore_index=True)


def pairs(points: pd.DataFrame) -> pd.DataFrame:
    """Each label as the baseline of all others: what they need for the accuracy that it ends with.

    `factor` is the baseline's bytes at its first evaluation of that accuracy or more, divided by
    the label's; empty if not all of the label's seeds get there.
    """
    cost, tables = "total_payload_bytes", []
    for baseline, group in points.groupby("label"):
        target = float(measures.final(group)["accuracy"].mean())
        table = reach_table(points, target, [cost])
        own = float(table.loc[table["label"] == baseline, cost].iloc[0])
        table.insert(0, "baseline", baseline)
        table["factor"] = own / table[cost]
        tables.append(table[["baseline", "target", "label", "seeds", "reached", cost, "factor"]])
    return pd.concat(tables, ignore_index=True)


def draw(data: Runs, context: Context) -> Figure:
    """Two panels, bytes and parameters; dashed: the target."""
    points = measures.curves(data)
    measures.check_averages(points, ["label"])
    table = over_seeds(points, ["label", "round"], ["accuracy", *COSTS])
    style = context.looks()
    target = target_of(points, context.baseline)
    canvas, (left, right) = panels(context, 2, share_y=True)
    names = ["payload sent, both ways (MB)", "parameters sent, both ways (millions)"]
    for axes, (cost, scale), name in zip((left, right), COSTS.items(), names):
        lines(axes, table.assign(cost=table[cost] / scale), "cost", "accuracy", style, band=True)
        logarithmic(axes.xaxis, name)
        if target is not None:
            target_line(axes, target)
        axes.set_ylabel(context.metric)
    if right.get_subplotspec().is_first_row():
        right.set_ylabel("")
    legend_below(canvas, [left, right])
    tables = {"": table, "pairs": pairs(points)}
    last = measures.final(points)
    printed = {"": over_seeds(last, ["label", "round"], ["accuracy", *COSTS])}
    notes = [
        INTERVALS,
        sampling_note(points, measures.metric_of(data).is_share),
        "The table `pairs` takes each method's last accuracy as the target of the others.",
    ]
    if target is not None:
        tables["reach"] = reach(points, target, context.baseline)
        # A paper's table has no more columns than a page is wide.
        at_end = tables["reach"].columns.str.startswith("final_total")
        printed["reach"] = tables["reach"].loc[:, ~at_end]
        tables["factors"] = factors(points, target, context.baseline)
        notes.append(
            f"{target_note(context.baseline, target)} The table `reach` has the cost until the "
            "first evaluation at or above this accuracy and lower ones. Nothing is interpolated. "
            "Factors are the baseline's cost over the method's, as geometric means over seeds with "
            "intervals of the logarithm; `factors` has each seed."
        )
    else:
        notes.append("The runs have no baseline (dense LoRA, or --baseline), so no target.")
    return Figure(
        canvas,
        f"{context.metric[0].upper()}{context.metric[1:]} of the server's vector, as a client "
        "would receive it, against what clients and server have sent each other.",
        tables,
        list(data.runs["run"]),
        notes,
        printed,
    )
