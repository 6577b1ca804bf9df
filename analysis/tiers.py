"""Clients of unequal ability: tiers in density, tiers in rank, and clients that are all alike."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd

from . import measures
from .figure import INTERVALS, Figure, logarithmic, looks, sampling_note
from .grouping import METHODS
from .load import Runs

STUDY = "tiers"
COMPARES = (*METHODS, "adapter.lora_rank", "adapter.alpha")


def bytes_by_tier(data: Runs) -> pd.DataFrame:
    """Mean payload of a client and round in each tier, both ways, over all seeds."""
    clients = data.clients.merge(data.runs[["run", "label"]], on="run")
    clients["client_bytes"] = clients["download_payload_bytes"] + clients["upload_payload_bytes"]
    return clients.groupby(["label", "tier"], as_index=False)[
        ["download_payload_bytes", "upload_payload_bytes", "client_bytes"]
    ].mean()


def draw(data: Runs) -> Figure:
    """Bars of the last accuracy, and of the bytes that a client of each tier sends and receives."""
    points = measures.curves(data)
    last = measures.final(points)
    table = measures.over_seeds(last, ["label"], ["accuracy", "total_payload_bytes"])
    table = table.sort_values("accuracy", ascending=False, ignore_index=True)
    traffic = bytes_by_tier(data)
    canvas, panels = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    places = range(len(table))
    panels[0].barh(
        places,
        table["accuracy"],
        xerr=table["accuracy_half"],
        color="tab:blue",
        alpha=0.8,
        capsize=3,
    )
    panels[0].set(
        yticks=list(places), yticklabels=list(table["label"]), xlabel="last test accuracy"
    )
    tiers = sorted(traffic["tier"].unique())
    style = looks([str(tier) for tier in tiers])
    for i, tier in enumerate(tiers):
        rows = traffic[traffic["tier"] == tier].set_index("label").reindex(table["label"])
        offset = (i - (len(tiers) - 1) / 2) * 0.8 / len(tiers)
        panels[1].barh(
            [place + offset for place in places],
            rows["client_bytes"] / 1e6,
            height=0.8 / len(tiers),
            color=style[str(tier)]["color"],
            label=f"tier {tier}",
        )
    panels[1].set(yticks=list(places), yticklabels=[])
    logarithmic(panels[1].xaxis, "payload of a client and round, MB, both ways")
    panels[1].legend(loc="upper left", bbox_to_anchor=(1, 1))
    for axes in panels:
        axes.invert_yaxis()
    return Figure(
        canvas,
        "Clients of three kinds: accuracy after the last round, and what a client of each "
        "tier exchanges with the server in a round.",
        {"": table, "traffic": traffic},
        list(data.runs["run"]),
        [INTERVALS, sampling_note(points)],
    )
