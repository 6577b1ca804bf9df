"""Which runs a sweep file stands for, so that a figure can say which of them are missing."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path

import yaml


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


def value_text(value: object) -> str:
    """A grid's value as it stands in the name of a run directory."""
    return yaml.safe_dump(value, default_flow_style=True).removesuffix("\n...\n").strip()


def expand(document: dict) -> dict[str, dict]:
    """The points of a sweep: settings by the name of the run directory.

    That is the point's name, then for each key of the grid the last part of its path, a dash and
    the value, joined by dots.
    """
    grid = document.get("grid") or {}
    points = {}
    for name, settings in (document.get("points") or {None: {}}).items():
        for values in itertools.product(*grid.values()):
            chosen = dict(zip(grid, values))
            parts = [f"{key.split('.')[-1]}-{value_text(value)}" for key, value in chosen.items()]
            full = ".".join(([] if name is None else [name]) + parts)
            if full in points:
                raise ValueError(f"two points are named {full}")
            points[full] = {**(document.get("set") or {}), **(settings or {}), **chosen}
    return points


def read(path: Path) -> Sweep:
    """A sweep file with the model of the experiment that it varies."""
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    experiment = yaml.safe_load((path.parent / document["experiment"]).read_text(encoding="utf-8"))
    points = expand(document)
    return Sweep(path, study_of(path.name), experiment["model"]["path"], points)


def read_all(folder: Path) -> list[Sweep]:
    """All sweep files of a folder."""
    return [read(path) for path in sorted(folder.glob("*.sweep.yaml"))]
