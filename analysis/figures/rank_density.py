"""Rank against density: the pair of the two on which a budget of bytes is best spent."""

from __future__ import annotations

from .. import measures
from ..figure import Figure
from ..labels import share
from ..load import Runs
from ..statistics import over_seeds
from ..style import INTERVALS, Context, legend_below, lines, logarithmic, looks, sampling_note
from ..style import panels as panels_of
from . import cost_ratio
from .heat_map import heat_map

COMPARES = (*cost_ratio.COMPARES, "adapter.lora_rank", "adapter.alpha")
SHOWS = ("adapter.lora_rank", "adapter.alpha", *cost_ratio.COMPARES)
HAS_LINES = False


def why_not(data: Runs) -> str | None:
    """Needs two LoRA ranks and two densities, the same both ways."""
    density = measures.density(data, "upload")
    both = density == measures.density(data, "download")
    if density[both].nunique() < 2 or data.settings("adapter.lora_rank")[both].nunique() < 2:
        return "LoRA rank and density do not both vary"
    return None


def draw(data: Runs, context: Context) -> Figure:
    """A map of the last accuracy, and the same against bytes with a line for each rank."""
    density = measures.density(data, "upload")
    both = density == measures.density(data, "download")
    data, left_out = data.where(both, "have no fixed density that is the same both ways")
    points = measures.curves(data)
    settings = data.runs[["run"]].assign(
        lora_rank=data.runs["adapter.lora_rank"], density=density[both]
    )
    last = measures.final(points).merge(settings, on="run")
    measures.check_averages(last, ["lora_rank", "density"])
    columns = ["accuracy", "total_payload_bytes", "total_parameters"]
    table = over_seeds(last, ["lora_rank", "density"], columns)
    ranks = sorted(table["lora_rank"].unique())
    canvas, (left, right) = panels_of(context, 2, height=2.3)
    megabytes = [f"{value / 1e6:.3g} MB" for value in table["total_payload_bytes"]]
    heat_map(left, table.assign(text=megabytes), "density", "lora_rank", str_x=share)
    left.set(xlabel="density, both ways", ylabel="LoRA rank")
    labelled = table.assign(
        label=[f"rank {r}" for r in table["lora_rank"]],
        megabytes=table["total_payload_bytes"] / 1e6,
    )
    lines(right, labelled, "megabytes", "accuracy", looks([f"rank {r}" for r in ranks]))
    logarithmic(right.xaxis, "payload sent (MB)")
    right.set_ylabel(f"last {context.metric}")
    legend_below(canvas, [right])
    return Figure(
        canvas,
        "Accuracy after the last round for each pair of LoRA rank and density, with the bytes "
        "that it took.",
        {"": table},
        list(data.runs["run"]),
        [INTERVALS, sampling_note(points, measures.metric_of(data).is_share), *left_out],
    )
