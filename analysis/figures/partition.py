"""Who has which examples: clients by labels, and how many examples a client has."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from ..figure import Figure
from ..load import Runs, table_of
from ..parsing import read_table
from ..style import BLUE, RED, Context, logarithmic

COMPARES = ("",)
"""Each panel names its partition, whatever else the run was set to."""
SHOWS: tuple[str, ...] = ()
HAS_LINES = False
CLIENTS = 40
PARTITIONS = 4


def why_not(data: Runs) -> str | None:
    """Needs a table of the partition."""
    found = any(table_of(Path(run), "partition") for run in data.runs["run"])
    return None if found else "no run has a partition.csv"


def in_order(data: Runs) -> pd.DataFrame:
    """The runs in the order in which their partitions are shown: the first one names a content."""
    return data.runs.assign(
        kind=data.settings("partition.kind", "dirichlet"),
        alpha=data.settings("partition.alpha"),
        number=data.settings("seed", 0),
        corpus=data.settings("data.path", ""),
    ).sort_values(["number", "alpha", "run"], na_position="last")


def read(data: Runs) -> dict[str, pd.DataFrame]:
    """partition.csv of the runs, one of each content, by a name of its rule and seed."""
    found: dict[str, pd.DataFrame] = {}
    seen: set[str] = set()
    rows = in_order(data)
    corpora = rows["corpus"].nunique()
    for row in rows.itertuples():
        path = table_of(Path(row.run), "partition")
        if path is None:
            continue
        table = read_table(path)[["client", "label", "examples"]]
        text = table.to_csv(index=False)
        if text in seen:
            continue
        seen.add(text)
        name = row.kind + ("" if pd.isna(row.alpha) else f", alpha {row.alpha:g}")
        name += f", seed {row.number}" + (f", {row.corpus}" if corpora > 1 else "")
        found[name if name not in found else f"{name} ({Path(row.run).name})"] = table
    return found


def counts(owned: pd.DataFrame) -> pd.DataFrame:
    """Examples by client (rows) and label (columns); one column where the corpus has no labels."""
    labels = owned["label"].where(owned["label"].notna(), -1).astype(int)
    table = owned.assign(label=labels).pivot_table(
        index="client", columns="label", values="examples", aggfunc="sum", fill_value=0
    )
    return table.sort_index()


def spread(names: pd.Index, most: int) -> pd.Index:
    """At most so many, at even distances from the first to the last."""
    if len(names) <= most:
        return names
    return names[np.linspace(0, len(names) - 1, most).round().astype(int)]


def summary(name: str, table: pd.DataFrame) -> dict:
    """One row of the table: sizes, labels a client has, distance from the corpus's shares."""
    sizes = table.sum(axis=1)
    whole = table.sum(axis=0) / sizes.sum()
    distance = (table.div(sizes, axis=0) - whole).abs().sum(axis=1) / 2
    return {
        "partition": name,
        "clients": len(table),
        "examples": int(sizes.sum()),
        "least": int(sizes.min()),
        "median": float(sizes.median()),
        "most": int(sizes.max()),
        "labels_per_client": float((table > 0).sum(axis=1).mean()),
        "label_distance": float(distance.mean()),
    }


def bubbles(axes, table: pd.DataFrame) -> None:
    """A disc for each client and label, its area the number of examples."""
    shown = table.loc[spread(table.index, CLIENTS)]
    clients, labels = np.nonzero(shown.to_numpy())
    amounts = shown.to_numpy()[clients, labels]
    axes.scatter(
        clients, labels, s=40 * amounts / shown.to_numpy().max(), alpha=0.7, linewidth=0, color=BLUE
    )
    axes.set_xlim(-1, len(shown))
    axes.set_ylim(-1, shown.shape[1])
    ticks = spread(pd.Index(range(shown.shape[1])), 7)
    axes.set_yticks(ticks, [str(shown.columns[tick]) for tick in ticks])
    places = spread(pd.Index(range(len(shown))), 6)
    axes.set_xticks(places, [str(shown.index[place]) for place in places])
    axes.set_ylabel("label")


def sizes_curve(axes, sizes: pd.Series) -> None:
    """The share of the clients that have at most so many examples."""
    values = np.sort(sizes.to_numpy())
    shares = np.arange(1, len(values) + 1) / len(values)
    axes.step(values, shares, where="post", color=BLUE)
    logarithmic(axes.xaxis, "examples")
    axes.axvline(sizes.median(), color=RED, linewidth=0.8)
    axes.set_title(f"median {sizes.median():g}", color=RED)
    axes.set_ylabel("share of clients")


def draw(data: Runs, context: Context) -> Figure:
    """A row for each partition: clients by labels, and the sizes."""
    found = {name: counts(owned) for name, owned in read(data).items()}
    shown = spread(pd.Index(list(found)), PARTITIONS)
    canvas, panels = plt.subplots(
        len(shown),
        2,
        figsize=(context.width, 1.9 * len(shown)),
        layout="constrained",
        squeeze=False,
        width_ratios=[1.7, 1],
    )
    for (left, right), name in zip(panels, shown):
        bubbles(left, found[name])
        sizes_curve(right, found[name].sum(axis=1))
        left.set_title(name, loc="left")
    panels[-1][0].set_xlabel("client")
    notes = [
        f"At most {CLIENTS} clients are drawn, at even distances; the curve and the table "
        "count all clients. A disc's area is relative to the largest of its panel.",
        "label_distance: total variation between a client's label shares and those of all, mean "
        "over clients.",
    ]
    if len(shown) < len(found):
        notes.append(f"{len(shown)} of {len(found)} partitions are drawn; the table has all.")
    return Figure(
        canvas,
        "The clients' examples: discs of clients by labels, and the share of the clients that have "
        "at most so many examples.",
        {"": pd.DataFrame([summary(name, table) for name, table in found.items()])},
        list(data.runs["run"]),
        notes,
    )
