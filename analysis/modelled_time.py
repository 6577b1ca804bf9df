"""Accuracy against the runs' own virtual clock (docs/system-model.md), and what became of the clients.

Unlike time_to_accuracy.py, which lays example links under runs that had no clock, nothing is modelled
here: the times are those by which the runs decided who was late.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd

from . import measures
from .figure import INTERVALS, Figure, lines, logarithmic, looks, sampling_note
from .grouping import CURVES
from .load import Runs
from .utility_against_communication import target_of

STUDY = "system"
COMPARES = ("method.", "system.", *CURVES)
FATES = ("used", "late", "dropped")


def fates(data: Runs) -> pd.DataFrame:
    """Of the clients that were sent a model, the share that each fate had: a row a label."""
    clients = data.clients.merge(data.runs[["run", "label"]], on="run")
    asked = clients[clients["status"].isin(FATES)]
    shares = asked.groupby("label")["status"].value_counts(normalize=True).unstack(fill_value=0.0)
    return shares.reindex(columns=list(FATES), fill_value=0.0).reset_index()


def draw(data: Runs) -> Figure:
    """Two panels: accuracy over modelled time, and the shares of clients that counted.

    Raises ValueError where no run had a clock.
    """
    if "total_modelled_time_s" not in data.evaluation.columns:
        raise ValueError("no run has a virtual clock (system.kind)")
    timed = data.only(data.settings("system.kind", "none") != "none")
    points = measures.curves(timed)
    points["modelled_minutes"] = points["total_modelled_time_s"] / 60
    table = measures.over_seeds(points, ["label", "round"], ["accuracy", "modelled_minutes"])
    style = looks(list(dict.fromkeys(points["label"])))
    canvas, (curves, bars) = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    lines(curves, table, "modelled_minutes", "accuracy", style, band=True)
    logarithmic(curves.xaxis, "modelled minutes")
    curves.set_ylabel("test accuracy")
    curves.legend(loc="best")
    shares = fates(timed)
    left = pd.Series(0.0, index=shares.index)
    for fate, colour in zip(FATES, ("tab:green", "tab:orange", "tab:red")):
        bars.barh(shares["label"], shares[fate], left=left, color=colour, alpha=0.8, label=fate)
        left += shares[fate]
    bars.invert_yaxis()
    bars.set_xlabel("share of the clients that were asked")
    bars.legend(loc="upper left", bbox_to_anchor=(1, 1))
    tables = {"": table, "clients": shares}
    notes = [INTERVALS, sampling_note(points)]
    target = target_of(timed, points)
    if target is not None:
        curves.axhline(target, color="grey", linestyle="--", linewidth=0.8)
        tables["reach"] = measures.reach_table(points, target, ["modelled_minutes"])
        notes.append(f"Dashed: dense LoRA's last accuracy less one point, {target:.4f}.")
    notes.append("Times are by the virtual clock: payload bytes, tokens and drawn rates of clients.")
    return Figure(
        canvas,
        "Accuracy against modelled time, and what became of the clients that were asked.",
        tables,
        list(timed.runs["run"]),
        notes,
    )
