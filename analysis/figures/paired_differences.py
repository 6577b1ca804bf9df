"""How far each method is from the baseline, seed by seed.

Runs of one seed share clients, cohorts and test examples, so their difference varies less than the
runs do. Each run counts with the mean of its last evaluations at rounds that both runs have.
"""

from __future__ import annotations

import pandas as pd

from .. import measures
from ..figure import Figure
from ..grouping import CURVES, METHODS
from ..load import Runs
from ..statistics import deviation, mean_interval
from ..style import GREY, Context, panels, wrapped

COMPARES = (*METHODS, *CURVES)
SHOWS: tuple[str, ...] = ()
HAS_LINES = False
LAST = 3
"""The number of evaluations at the end that are averaged."""


def why_not(data: Runs) -> str | None:
    """Needs a method to compare with another one."""
    return None if data.runs["label"].nunique() > 1 else "one method, nothing to compare"


def differences(points: pd.DataFrame, baseline: str, last: int = LAST) -> pd.DataFrame:
    """A row per label and seed: both means over the last common rounds, and their difference."""
    rows = []
    bases = points[points["label"] == baseline]
    for (label, seed), own in points[points["label"] != baseline].groupby(["label", "seed"]):
        base = bases[bases["seed"] == seed]
        rounds = sorted(set(own["round"]) & set(base["round"]))[-last:]
        if not rounds:
            continue
        values = [
            float(part[part["round"].isin(rounds)]["accuracy"].mean()) for part in (own, base)
        ]
        rows.append(
            {
                "label": label,
                "seed": seed,
                "evaluations": len(rounds),
                "last_round": rounds[-1],
                "accuracy": values[0],
                "baseline_accuracy": values[1],
                "difference": values[0] - values[1],
            }
        )
    return pd.DataFrame(rows)


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """A row per label: mean difference over the seeds, with deviation and interval."""
    rows = []
    for label, own in table.groupby("label", sort=False):
        mean, half = mean_interval(own["difference"])
        rows.append(
            {
                "label": label,
                "seeds": len(own),
                "accuracy": own["accuracy"].mean(),
                "baseline_accuracy": own["baseline_accuracy"].mean(),
                "difference": mean,
                "difference_half": half,
                "difference_deviation": deviation(own["difference"]),
                "low": mean - half,
                "high": mean + half,
            }
        )
    return pd.DataFrame(rows)


def draw(data: Runs, context: Context) -> Figure:
    """A row for each method: the seeds' differences, their mean and its interval."""
    if context.baseline is None:
        raise ValueError("no baseline (dense LoRA, or --baseline)")
    points = measures.curves(data)
    measures.check_averages(points, ["label"])
    table = differences(points, context.baseline)
    if table.empty:
        raise ValueError(f"no run has a seed and a round in common with {context.baseline}")
    means = summary(table)
    shown = [label for label in context.order if label in set(means["label"])]
    names = [wrapped(label, 0.38 * context.width) for label in shown]
    most = max(name.count("\n") + 1 for name in names)
    canvas, (axes,) = panels(context, 1, height=0.6 + (0.1 + 0.12 * most) * len(shown))
    style = context.looks()
    for place, label in enumerate(shown):
        row = means[means["label"] == label].iloc[0]
        look = style[label]
        seeds = table[table["label"] == label]["difference"]
        axes.plot(seeds, [place] * len(seeds), "|", color=look["color"], markersize=7, alpha=0.6)
        axes.errorbar(
            [row["difference"]],
            [place],
            xerr=None if pd.isna(row["difference_half"]) else [row["difference_half"]],
            fmt=look["marker"],
            color=look["color"],
            capsize=2,
            elinewidth=0.8,
        )
    axes.axvline(0, color=GREY, linewidth=0.8)
    axes.set_yticks(range(len(shown)), names)
    axes.set_ylim(len(shown) - 0.5, -0.5)
    axes.set_xlabel(wrapped(f"{context.metric} minus {context.baseline}", 0.6 * context.width))
    count = int(table["evaluations"].max())
    return Figure(
        canvas,
        f"Difference to {context.baseline}, seed by seed: thin strokes are seeds, the marker is "
        "their mean.",
        {"": means, "seeds": table},
        list(data.runs["run"]),
        [
            f"Each run counts with the mean of its last {count} evaluations at rounds that both "
            "runs of a pair have.",
            "Bars are 95 % Student t intervals of the paired differences. One seed has no "
            "interval.",
        ],
    )
