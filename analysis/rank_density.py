"""Rank against density: which pair of the two a budget of bytes is best spent on."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np

from . import cost_ratio, measures
from .figure import INTERVALS, Figure, lines, logarithmic, looks, sampling_note
from .load import Runs

STUDY = "rank-density"
COMPARES = (*cost_ratio.COMPARES, "adapter.lora_rank", "adapter.alpha")


def draw(data: Runs) -> Figure:
    """A map of the last accuracy, and the same against bytes with a line for each rank."""
    density = measures.density(data, "upload")
    both = density == measures.density(data, "download")
    data, left_out = data.where(both, "have no fixed density that is the same both ways")
    points = measures.curves(data)
    last = measures.final(points).merge(
        data.runs[["run", "adapter.lora_rank"]].assign(density=density), on="run"
    )
    last = last.rename(columns={"adapter.lora_rank": "lora_rank"})
    table = measures.over_seeds(
        last, ["lora_rank", "density"], ["accuracy", "total_payload_bytes", "total_parameters"]
    )
    ranks, densities = sorted(table["lora_rank"].unique()), sorted(table["density"].unique())
    grid = table.pivot(index="lora_rank", columns="density", values="accuracy")
    grid = grid.reindex(index=ranks, columns=densities)
    canvas, panels = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    image = panels[0].imshow(grid.to_numpy(), origin="lower", aspect="auto", cmap="viridis")
    panels[0].grid(False)
    middle = np.nanmean([np.nanmin(grid.to_numpy()), np.nanmax(grid.to_numpy())])
    for row in table.itertuples():
        panels[0].text(
            densities.index(row.density),
            ranks.index(row.lora_rank),
            f"{row.accuracy:.3f}\n{row.total_payload_bytes / 1e6:.3g} MB",
            ha="center",
            va="center",
            fontsize=7,
            color="black" if row.accuracy > middle else "white",
        )
    panels[0].set(
        xticks=range(len(densities)),
        xticklabels=[f"{d:.4g}" for d in densities],
        yticks=range(len(ranks)),
        yticklabels=[str(r) for r in ranks],
        xlabel="density, both ways",
        ylabel="LoRA rank",
    )
    canvas.colorbar(image, ax=panels[0], label="last test accuracy")
    labelled = table.assign(
        label=[f"rank {r}" for r in table["lora_rank"]],
        megabytes=table["total_payload_bytes"] / 1e6,
    )
    lines(panels[1], labelled, "megabytes", "accuracy", looks([f"rank {r}" for r in ranks]))
    logarithmic(panels[1].xaxis, "payload sent, MB")
    panels[1].set_ylabel("last test accuracy")
    panels[1].legend()
    return Figure(
        canvas,
        "Accuracy after the last round for each pair of LoRA rank and density, with the "
        "bytes that it took.",
        {"": table},
        list(data.runs["run"]),
        [INTERVALS, sampling_note(points), *left_out],
    )
