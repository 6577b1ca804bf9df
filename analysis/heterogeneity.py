"""Accuracy against how much the clients' data differ (Dirichlet's alpha)."""

from __future__ import annotations

import matplotlib.pyplot as plt

from . import measures
from .figure import INTERVALS, Figure, lines, logarithmic, looks, sampling_note
from .load import Runs

STUDY = "heterogeneity"
COMPARES = ("method.", "adapter.frozen", "partition.alpha")


def draw(data: Runs) -> Figure:
    """Last accuracies over alpha; on the right, how far each method is from dense LoRA."""
    points = measures.curves(data)
    last = measures.final(points)
    last = last.merge(data.runs[["run", "partition.alpha"]], on="run").rename(
        columns={"partition.alpha": "alpha"}
    )
    # The point's name without its alpha is the method.
    last["label"] = last["label"].str.replace(r"\.alpha-[^. ]*(\.\d+)?", "", regex=True)
    dense = set(data.runs[measures.is_dense(data)]["run"])
    base = last[last["run"].isin(dense)].set_index(["alpha", "seed"])["accuracy"]
    last["difference"] = [
        row.accuracy - base.get((row.alpha, row.seed), float("nan")) for row in last.itertuples()
    ]
    columns = ["accuracy", "difference", "total_payload_bytes", "total_parameters"]
    table = measures.over_seeds(last, ["label", "alpha"], columns)
    style = looks(list(dict.fromkeys(last["label"])))
    canvas, panels = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    lines(panels[0], table, "alpha", "accuracy", style)
    lines(panels[1], table, "alpha", "difference", style)
    for axes in panels:
        logarithmic(axes.xaxis, "Dirichlet alpha (small: clients differ)")
    panels[0].set_ylabel("last test accuracy")
    panels[1].set_ylabel("minus dense LoRA's, same seed")
    panels[1].legend(loc="upper left", bbox_to_anchor=(1, 1))
    return Figure(
        canvas,
        "Accuracy after the last round over Dirichlet's alpha, and its difference to "
        "dense LoRA's at the same alpha and seed.",
        {"": table},
        list(data.runs["run"]),
        [INTERVALS, sampling_note(points)],
    )
