"""Accuracy against modelled time over slow links: bytes / rate + computing.

The rates are examples, chosen to span what clients have; they were not measured.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd

from . import measures
from .figure import INTERVALS, Figure, lines, logarithmic, looks, sampling_note
from .grouping import CURVES, METHODS
from .load import Runs
from .measures import Link
from .utility_against_communication import target_of

STUDY = "communication"
COMPARES = (*METHODS, *CURVES)
LINKS = (
    Link("20 Mbit/s down, 5 up", 20, 5),
    Link("5 Mbit/s down, 1 up", 5, 1),
    Link("1 Mbit/s down, 0.1 up", 1, 0.1),
)


def draw(data: Runs) -> Figure:
    """A panel for each link."""
    points = measures.curves(data)
    rate = measures.tokens_per_second(data.clients)
    target = target_of(data, points)
    style = looks(list(dict.fromkeys(points["label"])))
    tables, reached = [], []
    canvas, panels = plt.subplots(1, len(LINKS), figsize=(12, 4), sharey=True, layout="constrained")
    for axes, link in zip(panels, LINKS):
        timed = points.merge(measures.round_seconds(data.clients, link, rate), on=["run", "round"])
        timed["total_minutes"] = timed["total_seconds"] / 60
        table = measures.over_seeds(timed, ["label", "round"], ["accuracy", "total_minutes"])
        tables.append(table.assign(link=link.name))
        lines(axes, table, "total_minutes", "accuracy", style, band=True)
        logarithmic(axes.xaxis, "modelled minutes")
        axes.set_title(link.name)
        if target is not None:
            axes.axhline(target, color="grey", linestyle="--", linewidth=0.8)
            found = measures.reach_table(timed, target, ["total_minutes"])
            reached.append(found.assign(link=link.name))
    panels[0].set_ylabel("test accuracy")
    panels[-1].legend(loc="upper left", bbox_to_anchor=(1, 1))
    result = {"": pd.concat(tables, ignore_index=True)}
    if reached:
        result["reach"] = pd.concat(reached, ignore_index=True)
    notes = [
        INTERVALS,
        sampling_note(points),
        f"A round takes the longest of its clients' download bytes / rate + tokens / {rate:.0f} per second + "
        "upload bytes / rate; that training rate is the median of these runs' clients, one core of the machine "
        "that ran them. Latency and the server cost nothing. The links are examples, not measurements.",
    ]
    if target is not None:
        notes.append(f"Dashed: dense LoRA's last accuracy less one point, {target:.4f}.")
    return Figure(
        canvas,
        "Accuracy against modelled time for clients with the named links.",
        result,
        list(data.runs["run"]),
        notes,
    )
