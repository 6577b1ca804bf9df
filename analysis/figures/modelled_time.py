"""Accuracy against the runs' own virtual clock (docs/system-model.md), and the fate of the clients.

time_to_accuracy.py lays example links under runs without a clock. Here nothing is modelled: the
times are those by which the runs decided which uploads were late.
"""

from __future__ import annotations

import pandas as pd

from .. import measures
from ..figure import Figure
from ..grouping import CURVES, METHODS
from ..load import Runs
from ..reaching import reach_table
from ..statistics import over_seeds
from ..style import (
    GREEN,
    INTERVALS,
    ORANGE,
    RED,
    Context,
    legend_below,
    lines,
    logarithmic,
    panels,
    sampling_note,
    target_line,
    target_note,
    wrapped,
)
from .utility_against_communication import target_of

SYSTEM = (
    *("system.path", "system.deadline", "system.extra_clients", "system.server_time"),
    *("system.unavailability", "system.dropout", "system.tier_speeds"),
    *(
        f"system.{name}{end}"
        for name in ("download", "upload", "latency", "tokens_per_second")
        for end in ("", ".")
    ),
)
"""All settings of the clock but its kind: runs with and without a clock are no comparison."""
COMPARES = (*METHODS, *SYSTEM, *CURVES)
SHOWS: tuple[str, ...] = ()
HAS_LINES = True
FATES = {"used": GREEN, "late": ORANGE, "dropped": RED}


def why_not(data: Runs) -> str | None:
    """Needs runs with a clock."""
    if "total_modelled_time_s" not in data.evaluation.columns:
        return "no virtual clock (system.kind)"
    if not (data.settings("system.kind", "none") != "none").any():
        return "no virtual clock (system.kind)"
    return None


def fates(data: Runs) -> pd.DataFrame:
    """The share of each fate among the clients that were sent a model: a row per label."""
    clients = data.clients.merge(data.runs[["run", "label"]], on="run")
    asked = clients[clients["status"].isin(list(FATES))]
    shares = asked.groupby("label")["status"].value_counts(normalize=True).unstack(fill_value=0.0)
    return shares.reindex(columns=list(FATES), fill_value=0.0).reset_index()


def draw(data: Runs, context: Context) -> Figure:
    """Two panels: accuracy over modelled time, and the shares of clients that counted."""
    timed, left_out = data.where(
        data.settings("system.kind", "none") != "none", "have no virtual clock"
    )
    points = measures.curves(timed)
    measures.check_averages(points, ["label"])
    points["modelled_minutes"] = points["total_modelled_time_s"] / 60
    columns = ["accuracy", "modelled_minutes"]
    table = over_seeds(points, ["label", "round"], columns)
    canvas, (curves, bars) = panels(context, 2)
    lines(curves, table, "modelled_minutes", "accuracy", context.looks(), band=True)
    logarithmic(curves.xaxis, "modelled minutes")
    curves.set_ylabel(context.metric)
    shares = fates(timed)
    shown = shares.set_index("label").reindex(
        [label for label in context.order if label in set(shares["label"])]
    )
    left = pd.Series(0.0, index=shown.index)
    for fate, colour in FATES.items():
        bars.barh(range(len(shown)), shown[fate], left=left, color=colour, height=0.7, label=fate)
        left += shown[fate]
    names = [wrapped(label, 0.2 * context.width) for label in shown.index]
    bars.set_yticks(range(len(shown)), names)
    bars.invert_yaxis()
    bars.grid(axis="y", visible=False)
    bars.set_xlabel("share of the clients that were asked")
    target = target_of(points, context.baseline)
    notes = [INTERVALS, sampling_note(points, measures.metric_of(data).is_share), *left_out]
    tables = {"": table, "clients": shares}
    if target is not None:
        target_line(curves, target)
        tables["reach"] = reach_table(points, target, ["modelled_minutes"], context.baseline)
        notes.append(target_note(context.baseline, target))
    legend_below(canvas, [curves, bars])
    notes.append("Times are by the virtual clock: payload bytes, tokens and the clients' rates.")
    return Figure(
        canvas,
        f"{context.metric[0].upper()}{context.metric[1:]} against modelled time, and the shares of "
        "clients whose uploads were used, late or lost.",
        tables,
        list(timed.runs["run"]),
        notes,
        {"": over_seeds(measures.final(points), ["label", "round"], columns)},
    )
