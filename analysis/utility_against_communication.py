"""Accuracy against what was sent: in bytes, and as the papers count, in parameters.

Beside it, what each method needs to reach dense LoRA's last accuracy less one point, the form in
which FLASC (arXiv 2406.05233) and CELLM (arXiv 2407.20557) state their factors, and lower levels.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd

from . import measures
from .figure import INTERVALS, Figure, lines, logarithmic, looks, sampling_note
from .grouping import CURVES, METHODS
from .load import Runs

STUDY = "communication"
COMPARES = (*METHODS, *CURVES)
MARGIN = 0.01
LEVELS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
COSTS = {"total_payload_bytes": 1e6, "total_parameters": 1e6}


def target_of(data: Runs, points: pd.DataFrame) -> float | None:
    """Dense LoRA's last accuracy, its mean over seeds, less the margin."""
    dense = points[points["run"].isin(data.runs[measures.is_dense(data)]["run"])]
    return None if dense.empty else float(measures.final(dense)["accuracy"].mean()) - MARGIN


def reach(data: Runs, points: pd.DataFrame, target: float) -> pd.DataFrame:
    """What each label needs for the target and for each level below it, dense LoRA's in its measure.

    `dense_over_COST` is dense LoRA's cost for the same accuracy divided by the label's.
    """
    dense = set(data.runs[measures.is_dense(data)]["label"])
    tables = []
    for level in [*(level for level in LEVELS if level < target), target]:
        table = measures.reach_table(points, level, list(COSTS))
        for cost in COSTS:
            base = float(table.loc[table["label"].isin(dense), cost].iloc[0])
            table[f"dense_over_{cost}"] = base / table[cost]
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def pairs(points: pd.DataFrame) -> pd.DataFrame:
    """Each label as the baseline of all others: what they need for the accuracy that it ends with.

    `factor` is the baseline's bytes at its first evaluation of that accuracy or more, divided by the
    label's; empty where not all of the label's seeds get there.
    """
    cost, tables = "total_payload_bytes", []
    for baseline, group in points.groupby("label"):
        table = measures.reach_table(
            points, float(measures.final(group)["accuracy"].mean()), [cost]
        )
        own = float(table.loc[table["label"] == baseline, cost].iloc[0])
        table.insert(0, "baseline", baseline)
        table["factor"] = own / table[cost]
        tables.append(table[["baseline", "target", "label", "seeds", "reached", cost, "factor"]])
    return pd.concat(tables, ignore_index=True)


def draw(data: Runs) -> Figure:
    """Two panels, bytes and parameters; dashed: the target."""
    points = measures.curves(data)
    table = measures.over_seeds(points, ["label", "round"], ["accuracy", *COSTS])
    style = looks(list(dict.fromkeys(points["label"])))
    target = target_of(data, points)
    canvas, panels = plt.subplots(1, 2, figsize=(10, 4.2), sharey=True, layout="constrained")
    names = [
        "payload sent, MB (encoded messages, both ways)",
        "parameters sent, millions (density x parameters, both ways)",
    ]
    for axes, (cost, unit), name in zip(panels, COSTS.items(), names):
        scaled = table.assign(cost=table[cost] / unit)
        lines(axes, scaled, "cost", "accuracy", style, band=True)
        logarithmic(axes.xaxis, name)
        if target is not None:
            axes.axhline(target, color="grey", linestyle="--", linewidth=0.8)
    panels[0].set_ylabel("test accuracy")
    panels[1].legend(loc="upper left", bbox_to_anchor=(1, 1))
    tables = {"": table, "pairs": pairs(points)}
    notes = [
        INTERVALS,
        sampling_note(points),
        "The pairs table takes each method's last accuracy as what the others have to reach.",
    ]
    if target is not None:
        tables["reach"] = reach(data, points, target)
        notes.append(
            f"Dashed: dense LoRA's last accuracy less one point, {target:.4f}. The reach table gives the "
            "cost at the first evaluation that is not below it, or a lower level; nothing is interpolated, so a "
            "factor is no finer than the distance of evaluations."
        )
    else:
        notes.append("No dense run is there, so nothing to reach is defined.")
    return Figure(
        canvas,
        "Accuracy of the server's vector, as a client would receive it, against "
        "what clients and server have sent each other.",
        tables,
        list(data.runs["run"]),
        notes,
    )
