"""Different densities down and up where a byte up costs more than a byte down."""

from __future__ import annotations

import pandas as pd

from .. import measures
from ..figure import Figure
from ..labels import share
from ..load import Runs
from ..statistics import over_seeds
from ..style import INTERVALS, Context, legend_below, logarithmic, looks, sampling_note
from ..style import panels as panels_of

COMPARES = tuple(
    f"method.{way}.{part}" for way in ("download", "upload") for part in ("density", "select")
)
SHOWS = COMPARES
HAS_LINES = False
RATIOS = (1, 4, 16)
MARGIN = 0.01


def why_not(data: Runs) -> str | None:
    """Needs two densities each way, which vary apart."""
    down, up = (measures.density(data, way) for way in ("download", "upload"))
    both = down.notna() & up.notna()
    if min(down[both].nunique(), up[both].nunique()) < 2 or (down[both] == up[both]).all():
        return "densities down and up do not vary apart"
    return None


def costs(last: pd.DataFrame, ratio: float) -> pd.Series:
    """Bytes down and up, those up counted `ratio` times."""
    return last["total_download_bytes"] + ratio * last["total_upload_bytes"]


def frontier(table: pd.DataFrame) -> pd.Series:
    """True for rows that no other beats in both: no cheaper one is at least as accurate."""
    order = table.sort_values(["cost", "accuracy"], ascending=[True, False])
    best = order["accuracy"].cummax().shift(fill_value=-1.0)
    return (order["accuracy"] > best).reindex(table.index)


def downs_of(table: pd.DataFrame) -> list[float]:
    """The download densities, the largest first."""
    return sorted(table["download_density"].unique(), reverse=True)


def panel(axes, table: pd.DataFrame, ratio: float, style: dict[str, dict]) -> None:
    """The pairs at one ratio: a colour for each download density, the upload's beside a point."""
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
            elinewidth=0.8,
        )
        axes.scatter(
            group["cost"] / 1e6,
            group["accuracy"],
            color=look["color"],
            marker=look["marker"],
            s=14,
            label=f"down {share(down)}",
        )
    for row in table.itertuples():
        axes.annotate(
            share(row.upload_density),
            (row.cost / 1e6, row.accuracy),
            fontsize=6,
            xytext=(2, 2),
            textcoords="offset points",
        )
    line = table[table["unbeaten"]].sort_values("cost")
    axes.plot(line["cost"] / 1e6, line["accuracy"], color="0.5", linewidth=0.8, zorder=0)
    times = "" if ratio == 1 else f"{ratio} x "
    logarithmic(axes.xaxis, f"MB down + {times}MB up")


def draw(data: Runs, context: Context) -> Figure:
    """A panel for each ratio; a line joins the pairs that no other beats."""
    down, up = (measures.density(data, direction) for direction in ("download", "upload"))
    data, left_out = data.where(down.notna() & up.notna(), "have no fixed densities by magnitude")
    points = measures.curves(data)
    settings = data.runs[["run"]].assign(download_density=down, upload_density=up)
    last = measures.final(points).merge(settings, on="run")
    pair = ["download_density", "upload_density"]
    measures.check_averages(last, pair)
    columns = ["accuracy", "total_download_bytes", "total_upload_bytes"]
    base = over_seeds(last, pair, columns)
    best = base["accuracy"].max()
    tables = []
    canvas, axes_of = panels_of(context, len(RATIOS), share_y=True)
    style = looks([str(down) for down in downs_of(base)])
    for axes, ratio in zip(axes_of, RATIOS):
        table = base.assign(upload_cost=ratio, cost=costs(base, ratio))
        table["unbeaten"] = frontier(table)
        enough = table[table["accuracy"] >= best - MARGIN]
        table["cheapest_near_best"] = table.index == enough["cost"].idxmin()
        tables.append(table)
        panel(axes, table, ratio, style)
        if axes.get_subplotspec().is_first_col():
            axes.set_ylabel(f"last {context.metric}")
    legend_below(canvas, axes_of)
    return Figure(
        canvas,
        "Accuracy after the last round against the cost of all messages, if a byte up costs as "
        "much as 1, 4 or 16 bytes down. The number beside a point is its upload density. Grey: "
        "pairs that no other pair beats.",
        {"": pd.concat(tables, ignore_index=True)},
        list(data.runs["run"]),
        [
            INTERVALS,
            sampling_note(points, measures.metric_of(data).is_share),
            "cheapest_near_best: the cheapest pair within one point of the best accuracy, "
            f"{best:.4f}.",
            *left_out,
        ],
    )
