"""Which runs belong in one figure: those that differ only in what the figure compares.

Each figure's module says in COMPARES which settings its runs may differ in. Runs that differ in
other settings, or in the files that they read, are other groups, and each group has its own figure.
"""

from __future__ import annotations

import json
import re

from .labels import under
from .load import Runs

CURVES = ("federation.rounds",)
"""A curve may go on for longer than another."""
METHODS = ("method.", "adapter.kind", "adapter.frozen", "federation.server.", "local.learning_rate")
"""What makes up a method, and the learning rates that belong to it."""


def fixed(row: dict, compares: tuple[str, ...]) -> dict[str, object]:
    """The settings that all runs of a figure share, and the hashes of the files that they read."""
    if "" in compares:
        return {}
    settings = {
        key: value for key, value in json.loads(row["group"]).items() if not under(key, compares)
    }
    read = {f"content of {name}": digest for name, digest in json.loads(row["inputs"]).items()}
    return {**settings, **read}


def disagreement(one: dict[str, object], other: dict[str, object]) -> list[str]:
    """The settings in which two runs differ.

    A setting that only one run has belongs to another version of the program, and is no difference.
    Settings that the program writes only when they are set are "not set" in the others (load.py).
    """
    return sorted(key for key in one.keys() & other.keys() if one[key] != other[key])


def groups(data: Runs, compares: tuple[str, ...]) -> list[tuple[dict[str, object], Runs]]:
    """The runs by the settings that they share: the largest group first, then the latest."""
    found: list[tuple[dict[str, object], list[str], list[str]]] = []
    for row in data.runs.sort_values(["start", "run"]).to_dict("records"):
        own = fixed(row, compares)
        for settings, names, starts in found:
            if not disagreement(settings, own):
                settings.update(own)
                break
        else:
            settings, names, starts = own, [], []
            found.append((settings, names, starts))
        names.append(row["run"])
        starts.append(str(row["start"]))
    found.sort(key=lambda item: (len(item[1]), max(item[2])), reverse=True)
    return [(settings, data.of(names)) for settings, names, _ in found]


def group_names(shared: list[dict[str, object]]) -> list[str]:
    """A file name for each group: its model, then the fewest settings that tell groups apart."""
    keys = [
        key
        for key in sorted(set().union(*shared) if shared else [])
        if len({json.dumps(own.get(key)) for own in shared if key in own}) > 1
        and key != "model.path"
        and not key.startswith("content of ")
    ]

    def distinct(chosen: list[str]) -> int:
        return len({json.dumps([own.get(key) for key in chosen]) for own in shared})

    chosen = ["model.path"]
    while keys and distinct(chosen) < len(shared):
        best = max(keys, key=lambda key: distinct([*chosen, key]))
        if distinct([*chosen, best]) == distinct(chosen):
            break
        keys.remove(best)
        chosen.append(best)
    names: list[str] = []
    for own in shared:
        parts = [str(own["model.path"])] if "model.path" in own else []
        parts += [f"{key.split('.')[-1]}-{own[key]}" for key in chosen[1:] if key in own]
        name = ".".join(re.sub(r"[^A-Za-z0-9._-]+", "-", part).strip("-")[:40] for part in parts)
        number = 2
        wanted = name
        while name in names:
            name = f"{wanted}.{number}"
            number += 1
        names.append(name)
    return names


def agreement_note(compares: tuple[str, ...]) -> list[str]:
    """What a caption says about the settings of a figure's runs."""
    if "" in compares:
        return []
    names = ", ".join(name + "*" if name.endswith(".") else name for name in compares)
    return [f"The runs agree in all settings except {names} and the seed."]


def shortened(names: list[str], most: int = 4) -> str:
    """A list for people."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")
