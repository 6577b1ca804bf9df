"""Clients of unequal ability: tiers in density, tiers in rank, and clients that are all alike."""

from __future__ import annotations

import pandas as pd

from .. import measures
from ..figure import Figure
from ..grouping import METHODS
from ..load import Runs
from ..statistics import over_seeds
from ..style import (
    INTERVALS,
    Context,
    legend_below,
    logarithmic,
    looks,
    panels,
    sampling_note,
    wrapped,
)

COMPARES = (*METHODS, "adapter.lora_rank", "adapter.alpha")
SHOWS: tuple[str, ...] = ()
HAS_LINES = False


def why_not(data: Runs) -> str | None:
    """Needs a run with tiers."""
    if (data.settings("method.tiers", "[]").astype(str) == "[]").all():
        return "no run has tiers"
    return None


def bytes_by_tier(data: Runs) -> pd.DataFrame:
    """Mean payload of a client and round in each tier, both ways, over all seeds."""
    clients = data.clients.merge(data.runs[["run", "label"]], on="run")
    clients["client_bytes"] = clients["download_payload_bytes"] + clients["upload_payload_bytes"]
    return clients.groupby(["label", "tier"], as_index=False)[
        ["download_payload_bytes", "upload_payload_bytes", "client_bytes"]
    ].mean()


def accuracy_by_tier(data: Runs) -> pd.DataFrame:
    """The last metric of the vector that each tier receives; empty without evaluation.tiers."""
    columns = ["label", "tier", "accuracy"]
    if "tier" not in data.evaluation.columns:
        return pd.DataFrame(columns=columns)
    rows = data.evaluation[data.evaluation["tier"].notna()]
    if rows.empty:
        return pd.DataFrame(columns=columns)
    found = []
    for tier, own in rows.groupby("tier"):
        last = measures.final(measures.utility(own.assign(tier=float("nan"))))
        last = last.assign(tier=int(tier), accuracy=last[measures.metric_of(data).column])
        found.append(last.merge(data.runs[["run", "label"]], on="run"))
    return over_seeds(pd.concat(found), ["label", "tier"], ["accuracy"])


def dots(axes, table: pd.DataFrame, places: dict, x: str, look: dict, shift: float, name: str):
    """A dot for each label at its place, moved up or down, with its interval if it has one."""
    table = table[table["label"].isin(places)]
    half = table[f"{x}_half"] if f"{x}_half" in table.columns else None
    axes.errorbar(
        table[x],
        [places[label] + shift for label in table["label"]],
        xerr=half,
        fmt=look["marker"],
        color=look["color"],
        capsize=2,
        elinewidth=0.8,
        label=name,
    )


def draw(data: Runs, context: Context) -> Figure:
    """Dots of the last accuracy, and of the bytes that a client of each tier sends and receives."""
    points = measures.curves(data)
    table = over_seeds(
        measures.final(points), ["label"], ["accuracy", "total_payload_bytes"]
    ).sort_values("accuracy", ascending=False, ignore_index=True)
    traffic, separate = bytes_by_tier(data), accuracy_by_tier(data)
    places = {label: place for place, label in enumerate(table["label"])}
    tiers = sorted(traffic["tier"].unique())
    style = looks(["all", *(str(tier) for tier in tiers)])
    canvas, axes_of = panels(context, 2, height=max(1.4, 0.5 + 0.28 * len(places)))
    dots(axes_of[0], table, places, "accuracy", style["all"], 0, "all clients")
    shifts = {tier: (i - (len(tiers) - 1) / 2) * 0.5 / len(tiers) for i, tier in enumerate(tiers)}
    for tier in tiers:
        look, name = style[str(tier)], f"tier {tier}"
        own = separate[separate["tier"] == tier]
        if not own.empty:
            dots(axes_of[0], own, places, "accuracy", look, shifts[tier], name)
        rows = traffic[traffic["tier"] == tier]
        rows = rows.assign(megabytes=rows["client_bytes"] / 1e6)
        dots(axes_of[1], rows, places, "megabytes", look, shifts[tier], name)
    axes_of[0].set_xlabel(f"last {context.metric}")
    logarithmic(axes_of[1].xaxis, "payload per client and round (MB)")
    for axes in axes_of:
        axes.set_ylim(len(places) - 0.5, -0.5)
        names = [wrapped(label, 0.25 * context.width) for label in places]
        first = axes.get_subplotspec().is_first_col()
        axes.set_yticks(list(places.values()), names if first else [""] * len(places))
    legend_below(canvas, axes_of)
    tables = {"": table, "traffic": traffic}
    if not separate.empty:
        tables["accuracy"] = separate
    return Figure(
        canvas,
        "Clients of several kinds: the metric after the last round, and what a client of each "
        "tier exchanges with the server in a round.",
        tables,
        list(data.runs["run"]),
        [INTERVALS, sampling_note(points, measures.metric_of(data).is_share)],
    )
