"""Accuracy over the settings that a sweep varied: learning rates, batch sizes, or any other key.

The runs of one folder are a sweep. The settings that vary within one method are its axes. One axis
is a line, two are a map for each method, and more are one panel of points for each axis.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from .. import measures
from ..figure import Figure
from ..labels import METHOD, differing, key_name, under
from ..load import Runs
from ..statistics import over_seeds
from ..style import (
    INTERVALS,
    Context,
    legend_below,
    lines,
    numeric_axis,
    panels,
    sampling_note,
)
from .heat_map import heat_map, ordered, plain

MOST_PANELS = 6


def method_of(row: dict) -> str:
    """The settings of a run's method as one text."""
    settings = json.loads(row["group"])
    return json.dumps({key: settings[key] for key in settings if under(key, METHOD)})


@dataclass
class Grid:
    """Runs that vary settings within a method.

    axes: the settings that the figure shows. varied: these, and settings that follow from them.
    """

    axes: list[str]
    varied: list[str]
    runs: list[str]


def varied_in(data: Runs) -> tuple[list[str], list[str]]:
    """The axes and all settings that vary within a method."""
    rows = data.runs.to_dict("records")
    methods: dict[str, list[dict]] = {}
    for row in rows:
        methods.setdefault(method_of(row), []).append(row)
    varied = sorted({key for own in methods.values() for key in differing(own)})
    axes: list[str] = []
    # A number stands for texts that follow from it, and a shorter name for a longer one.
    for key in sorted(varied, key=lambda key: (isinstance(rows[0].get(key), str), len(key), key)):
        if not any(determines(rows, other, key) for other in axes):
            axes.append(key)
    return axes, varied


def determines(rows: list[dict], one: str, other: str) -> bool:
    """True if each value of one setting comes with one value of the other."""
    found: dict[str, set[str]] = {}
    for row in rows:
        found.setdefault(str(row.get(one)), set()).add(str(row.get(other)))
    return all(len(values) == 1 for values in found.values())


def grids(data: Runs) -> list[Grid]:
    """The sweeps with axes. Folders that vary the same settings and agree in all others are one."""
    found: dict[str, Grid] = {}
    others: list[str] = []
    folders = data.runs["run"].map(lambda run: str(Path(run).resolve().parent))
    for _, own in data.runs.groupby(folders):
        axes, varied = varied_in(data.of(list(own["run"])))
        if not axes:
            others += list(own["run"]) if len(own) == 1 else []
            continue
        settings = json.loads(own["group"].iloc[0])
        of_method = (*METHOD, "federation.server.", "local.learning_rate")
        rest = {
            key: value
            for key, value in settings.items()
            if key not in varied and not under(key, of_method)
        }
        same = json.dumps([axes, rest], sort_keys=True)
        found.setdefault(same, Grid(axes, varied, [])).runs.extend(own["run"])
    # Runs that stand in folders of their own can be a sweep together.
    if len(others) > 1:
        axes, varied = varied_in(data.of(others))
        if 0 < len(axes) <= 2:
            found["others"] = Grid(axes, varied, others)
    return list(found.values())


def value_of(data: Runs, key: str) -> pd.Series:
    """A setting of each run: numbers if all are numbers, else texts."""
    values = data.runs[key] if key in data.runs.columns else data.settings(key)
    numbers = pd.to_numeric(values, errors="coerce")
    if numbers.notna().all():
        return numbers
    return values.map(lambda value: "not set" if pd.isna(value) else plain(value)).astype(object)


def places(axes, values: list) -> dict:
    """The place of each value on an axis: itself, or for texts its number."""
    if all(isinstance(value, str) for value in values):
        axes.set_xticks(range(len(values)), values)
        return {value: place for place, value in enumerate(values)}
    return {value: value for value in values}


def one_axis(axes, table: pd.DataFrame, key: str, looks: dict, keys: list[str]) -> None:
    """A line for each method over one setting."""
    values = ordered(table[key])
    where = places(axes, values)
    lines(axes, table.assign(place=table[key].map(where)), "place", "accuracy", looks)
    if any(isinstance(value, str) for value in values):
        axes.set_xlabel(key_name(key, keys))
    else:
        numeric_axis(axes.xaxis, values, key_name(key, keys))


def draw(data: Runs, context: Context, keys: list[str]) -> Figure:
    """The last metric over the settings `keys`."""
    points = measures.curves(data)
    settings = data.runs[["run"]].assign(**{key: value_of(data, key) for key in keys})
    last = measures.final(points).drop(columns=[key for key in keys if key in points.columns])
    last = last.merge(settings, on="run")
    measures.check_averages(last, ["label", *keys])
    table = over_seeds(last, ["label", *keys], ["accuracy", "total_payload_bytes"])
    labels = list(dict.fromkeys(table["label"]))
    looks = context.looks()
    notes = [INTERVALS, sampling_note(points, measures.metric_of(data).is_share)]
    if len(keys) == 1:
        canvas, axes = panels(context, 1, height=2.3)
        one_axis(axes[0], table, keys[0], looks, keys)
        axes[0].set_ylabel(f"last {context.metric}")
        legend_below(canvas, axes)
    elif len(keys) == 2:
        canvas = maps(context, table, keys, labels[:MOST_PANELS])
        if len(labels) > MOST_PANELS:
            notes.append(f"{MOST_PANELS} of {len(labels)} methods are drawn; the table has all.")
    else:
        canvas = clouds(context, table, keys[:MOST_PANELS], looks)
        notes.append("Each point is one setting of all keys; a panel shows one key.")
        if len(keys) > MOST_PANELS:
            notes.append(f"Not drawn: {', '.join(keys[MOST_PANELS:])}.")
    best = table.loc[table["accuracy"].idxmax()]
    chosen = ", ".join(f"{key} {plain(best[key])}" for key in keys)
    notes.append(f"The best mean is {best['accuracy']:.4f}: {best['label']}, {chosen}.")
    return Figure(
        canvas,
        f"The metric after the last round over {', '.join(keys)}.",
        {"": table.sort_values(["label", *keys], ignore_index=True)},
        list(data.runs["run"]),
        notes,
    )


def maps(context: Context, table: pd.DataFrame, keys: list[str], labels: list[str]):
    """A map for each method, with the deviation over seeds in the cells."""
    across, up = sorted(keys, key=lambda key: -table[key].nunique())
    if table["accuracy_deviation"].notna().any():
        spread = table["accuracy_deviation"]
        table = table.assign(
            text=["" if pd.isna(value) else f"± {value:.3f}" for value in spread]
        )
    canvas, axes_of = panels(context, len(labels), height=max(1.6, 0.8 + 0.3 * table[up].nunique()))
    for axes, label in zip(axes_of, labels):
        heat_map(axes, table[table["label"] == label], across, up)
        axes.set(xlabel=key_name(across, keys), ylabel=key_name(up, keys), title=label)
    return canvas


def clouds(context: Context, table: pd.DataFrame, keys: list[str], looks: dict):
    """For each setting a panel with a point for each run's mean over seeds."""
    canvas, axes_of = panels(context, len(keys), height=1.9)
    for axes, key in zip(axes_of, keys):
        values = ordered(table[key])
        where = places(axes, values)
        for label, look in looks.items():
            own = table[table["label"] == label]
            axes.plot(
                own[key].map(where), own["accuracy"], look["marker"], color=look["color"],
                label=label, alpha=0.7,
            )
        if any(isinstance(value, str) for value in values):
            axes.set_xlabel(key_name(key, keys))
        else:
            numeric_axis(axes.xaxis, values, key_name(key, keys))
        if axes.get_subplotspec().is_first_col():
            axes.set_ylabel(f"last {context.metric}")
    legend_below(canvas, axes_of)
    return canvas
