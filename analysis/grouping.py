"""Which runs belong into one figure: those that differ in nothing but what the figure compares.

Each figure's module says in COMPARES which settings its runs may differ in. Runs of the other
settings are left out, with a line that says why.
"""

from __future__ import annotations

import json
from pathlib import Path

from .load import Runs

CURVES = ("federation.rounds",)
"""A curve may go on for longer than another."""
METHODS = ("method.", "adapter.kind", "adapter.frozen", "federation.server.", "local.learning_rate")
"""What makes up a method, and the learning rates that belong to it."""
PATHS = ("model.path", "data.path", "adapter.initial", "partition.path", "system.path")


def fixed(row: dict, compares: tuple[str, ...]) -> dict[str, object]:
    """The settings that all runs of a figure have to share, and the hashes of what a run read.

    Of a path the last part counts: the folders before it are those of a machine.
    """
    settings = {
        key: Path(value).name if key in PATHS and isinstance(value, str) else value
        for key, value in json.loads(row["group"]).items()
        if not compared(key, compares)
    }
    read = {f"content of {name}": digest for name, digest in json.loads(row["inputs"]).items()}
    return settings if "" in compares else {**settings, **read}


def compared(key: str, compares: tuple[str, ...]) -> bool:
    """Whether runs of a figure may differ in a setting. `a.` stands for all settings below a."""
    return any(
        key.startswith(name) if name.endswith(".") or not name else key == name for name in compares
    )


def disagreement(one: dict[str, object], other: dict[str, object]) -> list[str]:
    """The settings in which two runs differ.

    Settings that only one has are of different versions of the program, and no difference.
    """
    return sorted(key for key in one.keys() & other.keys() if one[key] != other[key])


def groups(data: Runs, compares: tuple[str, ...]) -> list[tuple[dict[str, object], list[str]]]:
    """The runs by the settings that they share, the largest group first, then the latest."""
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
    return [(settings, names) for settings, names, _ in found]


def belonging(data: Runs, compares: tuple[str, ...]) -> tuple[Runs, str | None]:
    """The largest group of runs that belong together, and a line about all others."""
    (settings, kept), *others = groups(data, compares)
    if not others:
        return data, None
    reasons = []
    for own, names in others:
        key, *more = disagreement(settings, own)
        also = f" and {len(more)} more" if more else ""
        runs = f"{Path(names[0]).name}" + (f" and {len(names) - 1} more" if len(names) > 1 else "")
        reasons.append(f"{runs} ({key}: {said(own[key])}, not {said(settings[key])}{also})")
    count = sum(len(names) for _, names in others)
    line = f"{count} of {len(data.runs)} runs, whose settings are others: {'; '.join(reasons)}"
    return data.only(data.runs["run"].isin(kept)), line


def notes(compares: tuple[str, ...], left_out: str | None) -> list[str]:
    """What a caption says of the runs' settings."""
    names = ", ".join(name + "*" if name.endswith(".") else name for name in compares)
    agree = [] if "" in compares else [f"The runs agree in all settings but {names} and the seed."]
    return agree + ([f"Left out: {left_out}."] if left_out else [])


def said(value: object, most: int = 40) -> str:
    """A setting's value for people."""
    text = str(value)
    return text if len(text) <= most else text[: most - 3] + "..."
