"""Who has which examples: clients by labels, and how many examples a client has."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from .figure import Figure, logarithmic
from .load import Runs
from .parsing import read_table

STUDY = "heterogeneity"
COMPARES = ("",)
"""Each panel says whose partition it is, whatever else the run was set to."""
CLIENTS = 40
PARTITIONS = 4


def read(data: Runs) -> dict[str, pd.DataFrame]:
    """partition.csv of the runs, one of each content, by a name of its rule and seed."""
    found: dict[str, pd.DataFrame] = {}
    seen: set[str] = set()
    rows = data.runs.assign(
        kind=data.settings("partition.kind", "dirichlet"),
        alpha=data.settings("partition.alpha"),
        number=data.settings("seed", 0),
    ).sort_values(["number", "alpha", "run"], na_position="last")
    for row in rows.itertuples():
        path = Path(row.run) / "partition.csv"
        if not path.is_file():
            continue
        text = path.read_text(encoding="utf-8")
        if text in seen:
            continue
        seen.add(text)
        name = row.kind + ("" if pd.isna(row.alpha) else f", alpha {row.alpha:g}")
        name += f", seed {row.number}"
        found[name if name not in found else f"{name} ({Path(row.run).name})"] = read_table(path)
    return found


def counts(owned: pd.DataFrame) -> pd.DataFrame:
    """Examples by client (rows) and label (columns); one column where the corpus has no labels."""
    labels = owned["label"].where(owned["label"].notna(), -1).astype(int)
    table = owned.assign(label=labels).pivot_table(
        index="client", columns="label", values="examples", aggfunc="sum", fill_value=0
    )
    return table.sort_index()


def spread(names: pd.Index, most: int) -> pd.Index:
    """At most so many, in even distances from the first to the last."""
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
        clients, labels, s=80 * amounts / shown.to_numpy().max(), alpha=0.7, linewidth=0
    )
    axes.set_xlim(-1, len(shown))
    axes.set_ylim(-1, shown.shape[1])
    axes.set_yticks(range(shown.shape[1]), [str(label) for label in shown.columns], fontsize=6)
    places = spread(pd.Index(range(len(shown))), 6)
    axes.set_xticks(places, [str(shown.index[place]) for place in places])
    axes.set_ylabel("label")


def histogram(axes, sizes: pd.Series) -> None:
    """How many clients have how many examples, in bins that grow by one factor."""
    ends = np.unique(np.geomspace(sizes.min(), sizes.max() + 1, 25).round())
    axes.hist(sizes, bins=ends if len(ends) > 1 else 1, color="0.55")
    logarithmic(axes.xaxis, "examples of a client")
    axes.axvline(sizes.median(), color="C3", linewidth=1.2, label=f"median {sizes.median():g}")
    axes.set_ylabel("clients")
    axes.legend()


def draw(data: Runs) -> Figure:
    """A row for each partition: clients by labels, and the sizes."""
    found = {name: counts(owned) for name, owned in read(data).items()}
    if not found:
        raise ValueError("no run has a partition.csv")
    shown = spread(pd.Index(list(found)), PARTITIONS)
    canvas, panels = plt.subplots(
        len(shown),
        2,
        figsize=(10, 2.9 * len(shown)),
        layout="constrained",
        squeeze=False,
        width_ratios=[2, 1],
    )
    for (left, right), name in zip(panels, shown):
        bubbles(left, found[name])
        histogram(right, found[name].sum(axis=1))
        left.set_title(name, loc="left")
    panels[-1][0].set_xlabel("client")
    notes = [
        f"At most {CLIENTS} clients are drawn, in even distances; the histogram and the table count "
        "all that partition.csv has. A disc's area is relative to the largest of its panel.",
        "label_distance: total variation between a client's label shares and those of all, mean over "
        "clients.",
    ]
    if len(shown) < len(found):
        notes.append(f"{len(shown)} of {len(found)} partitions are drawn; the table has all.")
    return Figure(
        canvas,
        "Who has which examples: discs of clients by labels, and how many examples clients have.",
        {"": pd.DataFrame([summary(name, table) for name, table in found.items()])},
        list(data.runs["run"]),
        notes,
    )
