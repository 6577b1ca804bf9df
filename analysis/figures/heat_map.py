"""A map of accuracies over two settings, with the number in each cell."""

from __future__ import annotations

from typing import Callable

import numpy as np
import pandas as pd


def ordered(values: pd.Series) -> list:
    """The distinct values: numbers by size, also as texts, then other texts by the alphabet."""

    def place(value: object) -> tuple:
        try:
            return (0, float(value), "")
        except ValueError:
            return (1, 0.0, str(value))

    return sorted(dict.fromkeys(values), key=place)


def plain(value: object) -> str:
    """A value on an axis."""
    return f"{value:g}" if isinstance(value, (int, float, np.number)) else str(value)


def heat_map(
    axes, table: pd.DataFrame, x: str, y: str, *, str_x: Callable[[object], str] = plain
) -> None:
    """A cell for each pair of values of columns x and y; `text` is a second line in the cell.

    Pairs without a run stay white.
    """
    across, up = ordered(table[x]), ordered(table[y])
    grid = table.pivot(index=y, columns=x, values="accuracy").reindex(index=up, columns=across)
    numbers = grid.to_numpy(dtype=float)
    axes.imshow(numbers, origin="lower", aspect="auto", cmap="cividis")
    axes.grid(False)
    middle = (np.nanmin(numbers) + np.nanmax(numbers)) / 2
    # A cell of a narrow figure has room for fewer characters.
    width = axes.figure.get_size_inches()[0] / axes.get_gridspec().ncols / (len(across) + 1)
    size = float(np.clip(11 * width, 4.5, 7))
    for row in table.to_dict("records"):
        second = f"\n{row['text']}" if "text" in row else ""
        axes.text(
            across.index(row[x]),
            up.index(row[y]),
            f"{row['accuracy']:.3f}{second}",
            ha="center",
            va="center",
            fontsize=size,
            color="black" if row["accuracy"] > middle else "white",
        )
    axes.set_xticks(range(len(across)), [str_x(value) for value in across])
    axes.set_yticks(range(len(up)), [plain(value) for value in up])
