"""Accuracy against how much the clients' data differ (Dirichlet's alpha)."""

from __future__ import annotations

from .. import measures
from ..figure import Figure
from ..grouping import METHODS
from ..load import Runs
from ..statistics import over_seeds
from ..style import (
    GREY,
    INTERVALS,
    Context,
    legend_below,
    lines,
    logarithmic,
    panels,
    sampling_note,
    wrapped,
)

COMPARES = (*METHODS, "partition.alpha")
SHOWS = ("partition.alpha",)
HAS_LINES = False


def why_not(data: Runs) -> str | None:
    """Needs at least two alphas."""
    if data.settings("partition.alpha").dropna().nunique() < 2:
        return "partition.alpha does not vary"
    return None


def draw(data: Runs, context: Context) -> Figure:
    """Last accuracies over alpha; with a baseline, also each method's distance from it."""
    data, left_out = data.where(data.settings("partition.alpha").notna(), "have no alpha")
    points = measures.curves(data)
    alphas = data.runs[["run"]].assign(alpha=data.runs["partition.alpha"].astype(float))
    last = measures.final(points).merge(alphas, on="run")
    measures.check_averages(last, ["label", "alpha"])
    base = last[last["label"] == context.baseline].drop_duplicates(["alpha", "seed"])
    base = base.set_index(["alpha", "seed"])["accuracy"]
    last["difference"] = [
        row.accuracy - base.get((row.alpha, row.seed), float("nan")) for row in last.itertuples()
    ]
    columns = ["accuracy", "difference", "total_payload_bytes", "total_parameters"]
    table = over_seeds(last, ["label", "alpha"], columns)
    others = table[(table["label"] != context.baseline) & table["difference"].notna()]
    canvas, axes_of = panels(context, 1 if others.empty else 2)
    lines(axes_of[0], table, "alpha", "accuracy", context.looks())
    axes_of[0].set_ylabel(f"last {context.metric}")
    if not others.empty:
        lines(axes_of[1], others, "alpha", "difference", context.looks())
        axes_of[1].axhline(0, color=GREY, linewidth=0.8)
        axes_of[1].set_ylabel(wrapped(f"minus {context.baseline}, same seed", 2.0))
    for axes in axes_of:
        logarithmic(axes.xaxis, "Dirichlet alpha (small: clients differ)")
    legend_below(canvas, axes_of)
    return Figure(
        canvas,
        "Accuracy after the last round over Dirichlet's alpha"
        + ("." if others.empty else ", and its difference to the baseline at the same alpha."),
        {"": table},
        list(data.runs["run"]),
        [INTERVALS, sampling_note(points, measures.metric_of(data).is_share), *left_out],
    )
