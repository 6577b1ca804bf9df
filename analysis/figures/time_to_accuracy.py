"""Accuracy against modelled time over slow links: bytes / rate + computing.

The rates are examples, chosen to span what clients have; they were not measured.
"""

from __future__ import annotations

import pandas as pd

from .. import measures
from ..figure import Figure
from ..grouping import CURVES, METHODS
from ..load import Runs
from ..measures import Link
from ..reaching import reach_table
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
from .utility_against_communication import target_of

COMPARES = (*METHODS, *CURVES)
SHOWS: tuple[str, ...] = ()
HAS_LINES = True
LINKS = (
    Link("20 Mbit/s down, 5 up", 20, 5),
    Link("5 Mbit/s down, 1 up", 5, 1),
    Link("1 Mbit/s down, 0.1 up", 1, 0.1),
)


def why_not(data: Runs) -> str | None:
    """Runs with a virtual clock have times of their own."""
    if (data.settings("system.kind", "none") != "none").any():
        return "the runs have a virtual clock (modelled-time)"
    return None


def draw(data: Runs, context: Context) -> Figure:
    """A panel for each link."""
    points = measures.curves(data)
    measures.check_averages(points, ["label"])
    rate = measures.tokens_per_second(data.clients)
    target = target_of(points, context.baseline)
    tables, printed, reached = [], [], []
    canvas, axes_of = panels(context, len(LINKS), share_y=True)
    for axes, link in zip(axes_of, LINKS):
        seconds = measures.round_seconds(data, link, rate)
        timed = points.merge(seconds, on=["run", "round"], how="left")
        timed["total_minutes"] = timed["total_seconds"] / 60
        columns = ["accuracy", "total_minutes"]
        table = over_seeds(timed, ["label", "round"], columns)
        tables.append(table.assign(link=link.name))
        last = over_seeds(measures.final(timed), ["label", "round"], columns)
        printed.append(last.assign(link=link.name))
        lines(axes, table, "total_minutes", "accuracy", context.looks(), band=True)
        logarithmic(axes.xaxis, "modelled minutes")
        axes.set_title(link.name)
        if target is not None:
            target_line(axes, target)
            found = reach_table(timed, target, ["total_minutes"], context.baseline)
            reached.append(found.assign(link=link.name))
        if axes.get_subplotspec().is_first_col():
            axes.set_ylabel(context.metric)
    legend_below(canvas, axes_of)
    result = {"": pd.concat(tables, ignore_index=True)}
    if reached:
        result["reach"] = pd.concat(reached, ignore_index=True)
    notes = [
        INTERVALS,
        sampling_note(points, measures.metric_of(data).is_share),
        "A round takes the longest of its clients' download bytes / rate + tokens / "
        f"{rate:.0f} per second + upload bytes / rate. The training rate is the median of these "
        "runs' clients. Latency and the server cost nothing. The links are examples.",
    ]
    if target is not None:
        notes.append(target_note(context.baseline, target))
    return Figure(
        canvas,
        f"{context.metric[0].upper()}{context.metric[1:]} against modelled time for clients with "
        "the named links.",
        result,
        list(data.runs["run"]),
        notes,
        {"": pd.concat(printed, ignore_index=True)},
    )
