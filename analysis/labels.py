"""Names of lines: what a run's settings are called in the field, and what tells runs apart.

A run is named after its method (docs/methods.md). Runs of one method whose other settings differ
get these settings added. A method without a name is called as the run's folder, without the seed.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from fractions import Fraction

import pandas as pd

from .load import Runs

AGGREGATIONS = {
    "norm_weighted": "HetLoRA",
    "product_mean": "FlexLoRA",
    "stacked": "FLoRA",
    "coordinate_median": "median",
    "trimmed_mean": "trimmed mean",
}
METHOD = ("method.", "adapter.kind", "adapter.frozen")
"""The settings that a method's name says."""
MOST_DIFFERENCES = 3
"""A name with more added settings than this would be longer than the folder's."""


class SameLabel(ValueError):
    """A text of the user's that would make one line of runs that differ."""


def without_seed(point: str) -> str:
    """A point's name without the part that its seed gave it."""
    parts = [part for part in point.split(".") if not re.fullmatch(r"seed-\d+", part)]
    return ".".join(parts) or point


def share(density: float) -> str:
    """A density as people write it: 1/16, or 0.3 if it is no simple fraction."""
    simple = Fraction(density).limit_denominator(4096)
    if simple.numerator == 1 and abs(float(simple) - density) < 1e-9:
        return "1" if simple.denominator == 1 else f"1/{simple.denominator}"
    return f"{density:.3g}"


def _get(row: dict, key: str, default: object) -> object:
    value = row.get(key, default)
    return default if value is None or (isinstance(value, float) and value != value) else value


def _direction(row: dict, way: str) -> tuple[str, str | None]:
    """What is selected in one direction, and its density as text: None for a schedule."""
    select = str(_get(row, f"method.{way}.select", "all"))
    density = _get(row, f"method.{way}.density", None)
    if select == "all" or density == 1:
        return "all", "1"
    return select, share(float(density)) if isinstance(density, (int, float)) else None


def _both(down: str | None, up: str | None) -> str:
    if down is None or up is None:
        return "scheduled"
    return down if down == up else f"{down} down, {up} up"


def _pruned(row: dict) -> str:
    """SparseAdapter prunes once, Adapter-LTH again and again."""
    factor = float(_get(row, "method.download.density.factor", 1))
    least = _get(row, "method.download.density.minimum", None)
    initial = float(_get(row, "method.download.density.initial", 1))
    if least is not None and abs(initial * factor - float(least)) < 1e-9:
        return f"SparseAdapter {share(float(least))}"
    return f"Adapter-LTH {factor:g}"


def _selection(row: dict) -> str | None:
    """The part of a method's name that says what travels; "" if everything does."""
    (down, down_share), (up, up_share) = _direction(row, "download"), _direction(row, "upload")
    nested = _get(row, "method.persistence", "anew") == "nested"
    follows = _get(row, "method.trainable", "all") == "downloaded"
    if up == "downloaded":
        if nested and follows:
            return _pruned(row)
        if not nested and follows and down_share is not None:
            return f"federated select {down_share}"
        return None
    if nested or follows:
        return None
    if "random" in (down, up):
        return f"random-k {_both(down_share, up_share)}"
    return "" if down == up == "all" else f"FLASC {_both(down_share, up_share)}"


def method_name(row: dict) -> str | None:
    """The name of a run's method; None if the settings are no method that has a name."""
    selection = _selection(row)
    if selection is None:
        return None
    frozen = _get(row, "adapter.frozen", "none")
    tiers = json.loads(str(_get(row, "method.tiers", "[]")))
    aggregation = _get(row, "method.aggregation", None)
    aggregation = aggregation or _get(row, "method.aggregation.name", "mean")
    parts = [selection] if selection else []
    if _get(row, "adapter.kind", "lora") == "full":
        parts.insert(0, "full fine-tuning")
    elif frozen == "both":
        parts.insert(0, "head only")
    elif frozen == "lora_a":
        parts.insert(0, "FFA-LoRA")
    elif aggregation in ("norm_weighted", "product_mean", "stacked"):
        pruned = float(_get(row, "method.rank_pruning.factor", 1)) < 1
        parts.insert(0, AGGREGATIONS[aggregation] + (" with pruning" if pruned else ""))
    elif any("lora_rank" in tier for tier in tiers):
        parts.insert(0, "rank tiers")
    elif any("download_density" in tier or "upload_density" in tier for tier in tiers):
        parts = ["density tiers"]
    elif not parts:
        parts = ["Dense LoRA"]
    if aggregation in ("coordinate_median", "trimmed_mean"):
        parts.append(AGGREGATIONS[aggregation])
    if _get(row, "method.residual", "dropped") == "kept":
        parts.append("error feedback")
    down, up = (_get(row, f"method.{way}.values", "fp32") for way in ("download", "upload"))
    if down == up != "fp32":
        parts.append(str(down))
    elif down != up:
        parts.append(f"{down} down, {up} up")
    return ", ".join(parts)


def under(key: str, names: tuple[str, ...]) -> bool:
    """True if a setting is one of `names`; the name `a.` has all settings below a."""
    return any(key.startswith(name) if name.endswith(".") else key == name for name in names)


def differing(rows: list[dict]) -> list[str]:
    """The settings in which some of the runs differ, seeds and other versions' settings aside."""
    settings = [json.loads(row["group"]) for row in rows]
    keys = sorted(set().union(*settings)) if settings else []
    return [
        key
        for key in keys
        if len({json.dumps(own[key]) for own in settings if key in own}) > 1
    ]


def unsaid(rows: list[dict], shown: tuple[str, ...] = ()) -> list[str]:
    """The settings in which runs of one name differ, without those that a figure shows."""
    return [
        key for key in differing(rows) if not under(key, shown) and not _is_said(key, rows)
    ]


def key_name(key: str, others: list[str] = []) -> str:
    """A setting's name for people: its last part, with the one before if another ends alike."""
    parts = key.split(".")
    alike = [other for other in others if other != key and other.split(".")[-1] == parts[-1]]
    # "learning_rate" and "kind" say nothing without what they belong to.
    if len(parts) > 1 and (alike or parts[-1] in ("learning_rate", "kind", "path", "optimizer")):
        parts = parts[-2:]
    else:
        parts = parts[-1:]
    return " ".join(parts).replace("_", " ")


def said(value: object, most: int = 24) -> str:
    """A setting's value for people."""
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return text if len(text) <= most else text[: most - 3] + "..."


def labels(data: Runs, shown: tuple[str, ...] = (), texts: dict[str, str] = {}) -> pd.Series:
    """The label of each run, indexed like `data.runs`.

    shown: settings that the figure itself shows, for example on an axis.
    texts: labels that the user gave, by the name of a point or by the label that it would have.
    Raises SameLabel if one of these would be the label of runs that differ.
    """
    rows = data.runs.to_dict("records")
    found = [method_name(row) or without_seed(row["point"]) for row in rows]
    folders = {i for i, row in enumerate(rows) if method_name(row) is None}
    for name in sorted(set(found)):
        own = [i for i, label in enumerate(found) if label == name]
        # The name says what these are, unless the folder's name stands for the method.
        keys = unsaid([rows[i] for i in own], shown)
        if not keys:
            continue
        for i in own:
            if len(keys) > MOST_DIFFERENCES:
                found[i] = without_seed(rows[i]["point"])
                folders.add(i)
            else:
                folders.discard(i)
                values = json.loads(rows[i]["group"])
                parts = [
                    f"{key_name(key, keys)} {said(values[key])}" for key in keys if key in values
                ]
                found[i] = ", ".join([name, *parts])
    # Two sweeps can have points of one name.
    for name in sorted({found[i] for i in folders}):
        own = [i for i, label in enumerate(found) if label == name]
        if unsaid([rows[i] for i in own], shown):
            for i in folders.intersection(own):
                found[i] = f"{rows[i]['sweep']}/{name}"
    given = set()
    for i, row in enumerate(rows):
        for name in (row["point"], without_seed(row["point"]), found[i]):
            if name in texts:
                found[i] = texts[name]
                given.add(texts[name])
                break
    for text in sorted(given):
        keys = unsaid([row for row, label in zip(rows, found) if label == text], shown)
        if keys:
            raise SameLabel(f"--labels: runs that differ in {', '.join(keys)} are all '{text}'")
    return pd.Series(found, index=data.runs.index, dtype=object)


def _is_said(key: str, rows: list[dict]) -> bool:
    """True if runs of one name cannot differ in results by this setting: a density not used."""
    match = re.fullmatch(r"method\.(download|upload)\.(select|density)", key)
    return bool(match) and all(_direction(row, match[1])[0] == "all" for row in rows)


def named(row: dict, names: list[str]) -> bool:
    """True if a user's list has the run: by its point, with or without its seed, or its label."""
    own = (row["point"], without_seed(row["point"]), row.get("label"), method_name(row))
    return any(name in names for name in own if name)


def labelled(data: Runs, shown: tuple[str, ...] = (), texts: dict[str, str] = {}) -> Runs:
    """The runs with their labels in the column `label`."""
    return replace(data, runs=data.runs.assign(label=labels(data, shown, texts)))


def baseline_of(data: Runs, wanted: str | None = None) -> str | None:
    """The label of the run that a user named, or else of dense LoRA; that of most runs if several.

    None if there is no such run.
    """
    rows = data.runs.to_dict("records")
    own = [
        row["label"]
        for row in rows
        if (named(row, [wanted]) if wanted else method_name(row) == "Dense LoRA")
    ]
    return max(dict.fromkeys(own), key=own.count) if own else None


def order(data: Runs, baseline: str | None) -> list[str]:
    """The labels: the baseline, then families of methods, each from many bytes to few."""
    rounds = data.rounds
    sent = rounds["download_payload_bytes"] + rounds["upload_payload_bytes"]
    bytes_of = sent.groupby(rounds["run"]).mean()
    names = data.runs.assign(bytes=data.runs["run"].map(bytes_of))
    means = names.groupby("label")["bytes"].mean()

    def place(label: str) -> tuple:
        family = re.split(r"[\d,]", label)[0].lower()
        return (label != baseline, family, -means[label], label)

    return sorted(means.index, key=place)
