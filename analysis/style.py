"""How figures look: sizes and fonts of a printed page, colours that colour-blind readers can tell.

Colours are those of Okabe and Ito (2008). Each line also has a marker of its own, and beyond seven
lines another stroke, so that figures can be read in grey.
"""

from __future__ import annotations

import math
import textwrap
from dataclasses import dataclass, field

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402
import pandas as pd  # noqa: E402
from matplotlib.figure import Figure as Canvas  # noqa: E402
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter  # noqa: E402

BLACK, ORANGE, SKY, GREEN, BLUE, RED, PURPLE = (
    "#000000",
    "#E69F00",
    "#56B4E9",
    "#009E73",
    "#0072B2",
    "#D55E00",
    "#CC79A7",
)
COLOURS = (BLACK, BLUE, RED, GREEN, ORANGE, SKY, PURPLE)
"""In the order of their use. The eighth colour, yellow, is too faint for lines on white."""
MARKERS = "osD^v<>PpX*h"
STROKES = ("-", "--", ":", "-.")
GREY = "0.5"
CHARACTER = 0.062
"""The mean width of a character of a legend, in inches."""
MOST_BANDS = 8
"""Bands of more lines than this would hide each other: then the last point alone has its bar."""
MOST_MARKERS = 10
PANEL = 2.0
"""Panels that would be narrower than this, in inches, stand one below the other."""
INTERVALS = (
    "Bars and bands are 95 % Student t intervals over seeds. One seed has no interval. With more "
    "than 8 curves only their last points have bars."
)

plt.rcParams.update(
    {
        "figure.dpi": 100,
        "savefig.dpi": 300,
        "font.size": 8,
        "axes.labelsize": 8,
        "axes.titlesize": 8,
        "xtick.labelsize": 7,
        "ytick.labelsize": 7,
        "legend.fontsize": 7,
        "legend.frameon": False,
        "legend.handlelength": 2.2,
        "legend.columnspacing": 1.0,
        "axes.linewidth": 0.6,
        "xtick.major.width": 0.6,
        "ytick.major.width": 0.6,
        "xtick.minor.width": 0.4,
        "ytick.minor.width": 0.4,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.alpha": 0.25,
        "grid.linewidth": 0.5,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "lines.linewidth": 1.1,
        "lines.markersize": 3.5,
        "pdf.fonttype": 42,
        "svg.fonttype": "path",
        "svg.hashsalt": "cellm-mpi",
        "figure.max_open_warning": 0,
    }
)


@dataclass
class Context:
    """What a figure needs to know beside its runs."""

    width: float = 6.5
    """The width of the whole figure in inches."""
    baseline: str | None = None
    """The label that factors and differences are relative to; None if the runs have none."""
    order: list[str] = field(default_factory=list)
    """All labels in the order of their colours."""
    metric: str = "test accuracy"
    """The metric's name on an axis."""

    def looks(self, labels: list[str] | None = None) -> dict[str, dict]:
        """Colour, marker and stroke of each label, in the figure's order."""
        return looks(self.order if labels is None else labels)


def looks(labels: list[str]) -> dict[str, dict]:
    """Colour, marker and stroke of each label, in the order given."""
    return {
        label: {
            "color": COLOURS[i % len(COLOURS)],
            "marker": MARKERS[i % len(MARKERS)],
            "linestyle": STROKES[i // len(COLOURS) % len(STROKES)],
        }
        for i, label in enumerate(dict.fromkeys(labels))
    }


def panels(context: Context, count: int, height: float = 2.1, share_y: bool = False, **options):
    """A canvas with `count` panels: side by side if they are wide enough, else in a column."""
    columns = max(1, min(count, int(context.width / PANEL)))
    # Three panels stand in one row or in one column, not two and one.
    if columns < count <= 3:
        columns = 1
    rows = math.ceil(count / columns)
    canvas, axes = plt.subplots(
        rows,
        columns,
        figsize=(context.width, height * rows),
        layout="constrained",
        squeeze=False,
        sharey=share_y and rows == 1,
        **options,
    )
    axes = list(axes.flat)
    for unused in axes[count:]:
        unused.remove()
    return canvas, axes[:count]


def lines(
    axes, table: pd.DataFrame, x: str, y: str, style: dict[str, dict], *, band: bool = False
) -> None:
    """A line for each label of a table from `over_seeds`, with bars or a band if seeds allow.

    Bands of shares end at 0 and 1, between which all values are.
    """
    are_shares = table[y].between(0, 1).all()
    crowded = table["label"].nunique() > MOST_BANDS
    for label, look in style.items():
        group = table[table["label"] == label].sort_values(x)
        if group.empty:
            continue
        every = max(1, len(group) // MOST_MARKERS)
        axes.plot(group[x], group[y], label=label, markevery=every, **look)
        half = group[f"{y}_half"]
        if not half.notna().any():
            continue
        if band and not crowded:
            low, high = group[y] - half, group[y] + half
            if are_shares:
                low, high = low.clip(0, 1), high.clip(0, 1)
            axes.fill_between(group[x], low, high, color=look["color"], alpha=0.15, linewidth=0)
            continue
        shown = group.iloc[-1:] if band else group
        axes.errorbar(
            shown[x],
            shown[y],
            yerr=shown[f"{y}_half"],
            fmt="none",
            ecolor=look["color"],
            capsize=2,
            elinewidth=0.8,
        )


def wrapped(label: str, width: float) -> str:
    """A label on several lines, none much longer than `width` inches."""
    return textwrap.fill(label, max(12, int(width / CHARACTER)), break_long_words=False)


def legend_below(canvas: Canvas, sources: list) -> None:
    """One legend of all panels below them, in as many columns as the width has room for."""
    found: dict[str, object] = {}
    for axes in sources:
        for handle, label in zip(*axes.get_legend_handles_labels()):
            found.setdefault(label, handle)
    if not found:
        return
    width, height = canvas.get_size_inches()
    texts = [wrapped(label, width - 0.7) for label in found]
    longest = max(len(line) for text in texts for line in text.split("\n"))
    columns = max(1, min(len(found), int(width / (0.5 + CHARACTER * longest))))
    rows = math.ceil(len(found) / columns) * max(text.count("\n") + 1 for text in texts)
    canvas.set_size_inches(width, height + 0.15 * rows + 0.1)
    canvas.legend(
        found.values(), texts, loc="outside lower center", ncols=columns, borderaxespad=0.2
    )


def logarithmic(axis, name: str) -> None:
    """A logarithmic axis with plain numbers, at 1, 2 and 5 if the data span little."""
    axes = axis.axes
    axes.set(**{f"{axis.axis_name}scale": "log", f"{axis.axis_name}label": name})
    low, high = sorted(axis.get_view_interval())
    decades = math.log10(high / low) if low > 0 else 1
    subs = (1, 2, 5) if decades < 1.6 else (1, 3) if decades < 2.5 else (1,)
    axis.set_major_locator(LogLocator(subs=subs, numticks=12))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def numeric_axis(axis, values: list, name: str) -> None:
    """An axis of numbers: logarithmic if they are above 0 and span a factor of 8 or more."""
    if min(values) > 0 and max(values) / min(values) >= 8:
        logarithmic(axis, name)
    else:
        axis.axes.set(**{f"{axis.axis_name}label": name})


def target_line(axes, target: float) -> None:
    """A dashed line at the accuracy whose cost the tables have."""
    axes.axhline(target, color=GREY, linestyle=(0, (4, 3)), linewidth=0.8)


def target_note(baseline: str, target: float) -> str:
    """What the dashed line is."""
    return f"Dashed: the last accuracy of {baseline} minus 0.01, {target:.4f}."


def sampling_note(points: pd.DataFrame, is_share: bool = True) -> str:
    """How far chance moves an accuracy that is measured on so many examples."""
    items = int(points["items"].min()) if "items" in points.columns else 0
    p = float(points.sort_values("round")["accuracy"].iloc[-1])
    if not is_share or items < 1 or not 0 <= p <= 1:
        return "All runs of one seed are evaluated on the same examples."
    error = (p * (1 - p) / items) ** 0.5
    return (
        f"The metric is measured on {items} examples: one standard error is {100 * error:.1f} "
        f"points at {p:.2f}. All runs of one seed are evaluated on the same examples."
    )
