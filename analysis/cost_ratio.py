"""Different densities down and up where a byte up costs more than a byte down."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd

from . import measures
from .figure import INTERVALS, Figure, logarithmic, looks, sampling_note
from .load import Runs

STUDY = "cost-ratio"
COMPARES = tuple(
    f"method.{way}.{part}" for way in ("download", "upload") for part in ("density", "select")
)
RATIOS = (1, 4, 16)
MARGIN = 0.01


def costs(last: pd.DataFrame, ratio: float) -> pd.Series:
    """Bytes down and up, those up counted `ratio` times."""
    return last["total_download_bytes"] + ratio * last["total_upload_bytes"]


def frontier(table: pd.DataFrame) -> pd.Series:
    """Which rows no other beats in both: no cheaper one is at least as accurate."""
    order = table.sort_values(["cost", "accuracy"], ascending=[True, False])
    best = order["accuracy"].cummax().shift(fill_value=-1.0)
    return (order["accuracy"] > best).reindex(table.index)


def downs_of(table: pd.DataFrame) -> list[float]:
    """The download densities, the largest first."""
    return sorted(table["download_density"].unique(), reverse=True)


def panel(axes, table: pd.DataFrame, ratio: float, style: dict[str, dict]) -> None:
    """The pairs at one ratio: a colour for each download density, the upload's beside each point."""
    for down in downs_of(table):
        group = table[table["download_density"] == down]
        look = style[str(down)]
        axes.errorbar(
            group["cost"] / 1e6,
            group["accuracy"],
            yerr=group["accuracy_half"],
            fmt="none",
            ecolor=look["color"],
            capsize=2,
        )
        axes.scatter(
            group["cost"] / 1e6,
            group["accuracy"],
            color=look["color"],
            marker=look["marker"],
            s=22,
            label=f"down {down:.4g}",
        )
    for row in table.itertuples():
        axes.annotate(
            f"{row.upload_density:.3g}",
            (row.cost / 1e6, row.accuracy),
            fontsize=6,
            xytext=(3, 3),
            textcoords="offset points",
        )
    line = table[table["unbeaten"]].sort_values("cost")
    axes.plot(line["cost"] / 1e6, line["accuracy"], color="grey", linewidth=0.8, zorder=0)
    logarithmic(axes.xaxis, f"cost, MB down + {ratio} x MB up")


def draw(data: Runs) -> Figure:
    """A panel for each ratio; a line joins the pairs that no other beats."""
    down, up = (measures.density(data, direction) for direction in ("download", "upload"))
    data, left_out = data.where(down.notna() & up.notna(), "have no fixed densities by magnitude")
    points = measures.curves(data)
    settings = data.runs[["run"]].assign(download_density=down, upload_density=up)
    last = measures.final(points).merge(settings, on="run")
    pair = ["download_density", "upload_density"]
    columns = ["accuracy", "total_download_bytes", "total_upload_bytes"]
    base = measures.over_seeds(last, pair, columns)
    best = base["accuracy"].max()
    tables = []
    canvas, panels = plt.subplots(
        1, len(RATIOS), figsize=(12, 4), sharey=True, layout="constrained"
    )
    style = looks([str(down) for down in downs_of(base)])
    for axes, ratio in zip(panels, RATIOS):
        table = base.assign(upload_cost=ratio, cost=costs(base, ratio))
        table["unbeaten"] = frontier(table)
        enough = table[table["accuracy"] >= best - MARGIN]
        table["cheapest_near_best"] = table.index == enough["cost"].idxmin()
        tables.append(table)
        panel(axes, table, ratio, style)
    panels[0].set_ylabel("last test accuracy")
    panels[-1].legend(loc="upper left", bbox_to_anchor=(1, 1))
    return Figure(
        canvas,
        "Accuracy after the last round against the cost of all messages, where a byte up costs 1, 4"
        " or 16 bytes down. The number beside a point is its upload density; grey: pairs that no"
        " other beats.",
        {"": pd.concat(tables, ignore_index=True)},
        list(data.runs["run"]),
        [
            INTERVALS,
            sampling_note(points),
            (
                "cheapest_near_best: the cheapest pair within one point of the best accuracy,"
                f" {best:.4f}."
            ),
            *left_out,
        ],
    )
