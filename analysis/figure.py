"""What all figures share: how they look, and what is written beside each picture.

A figure NAME becomes NAME.png, NAME.csv (its table; further tables as NAME.TABLE.csv) and NAME.txt
(what it shows, what to mind, and the run directories that it is of).
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, field
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402
import pandas as pd  # noqa: E402
from matplotlib.figure import Figure as Canvas  # noqa: E402
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter  # noqa: E402

INTERVALS = "Bars and bands are 95 % Student t intervals over seeds; without one there is one seed."
MARKERS = "osD^v<>Pp*hX"
plt.rcParams.update(
    {
        "figure.dpi": 120,
        "axes.grid": True,
        "grid.alpha": 0.25,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "font.size": 9,
        "legend.fontsize": 8,
        "legend.frameon": False,
        "svg.hashsalt": "cellm-mpi",
    }
)


@dataclass
class Figure:
    """A drawn figure with its tables: the first, named "", is the one of the picture."""

    canvas: Canvas
    caption: str
    tables: dict[str, pd.DataFrame]
    runs: list[str]
    notes: list[str] = field(default_factory=list)

    def save(self, folder: Path, name: str) -> list[Path]:
        """Writes picture, tables and caption; says which files these are."""
        folder.mkdir(parents=True, exist_ok=True)
        picture = folder / f"{name}.png"
        self.canvas.savefig(picture, bbox_inches="tight", metadata={"Software": None})
        plt.close(self.canvas)
        written = [picture]
        for suffix, table in self.tables.items():
            path = folder / (f"{name}.{suffix}.csv" if suffix else f"{name}.csv")
            table.to_csv(path, index=False, float_format="%.8g")
            written.append(path)
        text = [textwrap.fill(self.caption, 100)]
        text += [
            textwrap.fill(note, 100, initial_indent="* ", subsequent_indent="  ")
            for note in self.notes
        ]
        text += ["", f"Run directories ({len(self.runs)}):", *sorted(self.runs)]
        caption = folder / f"{name}.txt"
        caption.write_text("\n".join(text) + "\n", encoding="utf-8")
        return [*written, caption]


def looks(labels: list[str]) -> dict[str, dict]:
    """A colour and a marker for each label, in the order given."""
    colours = plt.get_cmap("tab10").colors
    return {
        label: {"color": colours[i % 10], "marker": MARKERS[i % len(MARKERS)], "markersize": 4}
        for i, label in enumerate(labels)
    }


def lines(
    axes, table: pd.DataFrame, x: str, y: str, style: dict[str, dict], *, band: bool = False
) -> None:
    """A line for each label of a table from `over_seeds`, with bars or a band where seeds allow."""
    for label, group in table.groupby("label", sort=False):
        group = group.sort_values(x)
        axes.plot(group[x], group[y], label=label, linewidth=1.3, **style[label])
        half = group[f"{y}_half"]
        if half.notna().any():
            colour = style[label]["color"]
            if band:
                axes.fill_between(
                    group[x],
                    group[y] - half,
                    group[y] + half,
                    color=colour,
                    alpha=0.15,
                    linewidth=0,
                )
            else:
                axes.errorbar(group[x], group[y], yerr=half, fmt="none", ecolor=colour, capsize=3)


def logarithmic(axis, name: str) -> None:
    """A logarithmic axis with plain numbers at 1, 2 and 5."""
    axis.axes.set(**{f"{axis.axis_name}scale": "log", f"{axis.axis_name}label": name})
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())
    axis.axes.tick_params(axis=axis.axis_name, labelsize=7)


def sampling_note(points: pd.DataFrame) -> str:
    """How far chance moves an accuracy that is measured on so many examples."""
    items = int(points["items"].min())
    p = float(points.sort_values("round")["accuracy"].iloc[-1])
    error = (p * (1 - p) / items) ** 0.5
    return (
        f"Accuracy is measured on {items} examples: one standard error is {100 * error:.1f} points "
        f"at an accuracy of {p:.2f}. All runs of one seed see the same examples."
    )
