"""Which runs a sweep file stands for, so that a figure can say which of them are missing."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from pathlib import Path

import yaml

from .parsing import read_yaml


@dataclass(frozen=True)
class Sweep:
    """A sweep file. `study` is its name up to the first dot, without what follows a dash `-seeds`."""

    path: Path
    study: str
    model: str
    points: dict[str, dict]


def study_of(name: str) -> str:
    """The study that a sweep belongs to: communication for communication-seeds.minilm-l6."""
    return name.split(".")[0].removesuffix("-seeds")


def expand(text: str) -> dict[str, dict]:
    """The points of a sweep file's text: settings by the name of the run directory.

    That is the point's name, then for each key of the grid the last part of its path, a dash and
    the value as the file has it (of a list or mapping its number), joined by dots.
    """
    document = read_yaml(text)
    # The base loader leaves scalars as they are written.
    words = yaml.load(text, Loader=yaml.BaseLoader).get("grid") or {}
    grid = document.get("grid") or {}
    choices = [
        [
            (f"{key.split('.')[-1]}-{named(word, index)}", key, value)
            for index, (word, value) in enumerate(zip(words[key], grid[key]))
        ]
        for key in grid
    ]
    points = {}
    for name, settings in (document.get("points") or {"": {}}).items():
        for chosen in itertools.product(*choices):
            full = (
                ".".join([*([name] if name else []), *(part for part, _, _ in chosen)]) or "point"
            )
            if full in points:
                raise ValueError(f"two points are named {full}")
            values = {key: value for _, key, value in chosen}
            points[full] = {**(document.get("set") or {}), **(settings or {}), **values}
    return points


def named(word: object, index: int) -> str:
    """A value of a grid in the name of a run directory."""
    return re.sub(r"[^A-Za-z0-9._-]", "-", word) if isinstance(word, str) else str(index)


def read(path: Path) -> Sweep:
    """A sweep file with the model of the experiment that it varies."""
    text = path.read_text(encoding="utf-8")
    base = path.parent / read_yaml(text)["experiment"]
    experiment = read_yaml(base.read_text(encoding="utf-8"))
    return Sweep(path, study_of(path.name), experiment["model"]["path"], expand(text))


def read_all(folder: Path) -> tuple[list[Sweep], list[str]]:
    """All sweep files of a folder, and a line for each that cannot be read."""
    sweeps, problems = [], []
    for path in sorted(folder.glob("*.sweep.yaml")):
        try:
            sweeps.append(read(path))
        except (
            OSError,
            ValueError,
            LookupError,
            TypeError,
            AttributeError,
            yaml.YAMLError,
        ) as error:
            reason = f"has no {error}" if isinstance(error, KeyError) else str(error)
            problems.append(f"{path}: {' '.join(reason.split())}; left out")
    return sweeps, problems
