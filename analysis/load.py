"""Reads run directories into tidy pandas tables.

A run directory holds config.yaml (complete), manifest.json, rounds.csv, evaluation.csv and
clients.csv. A collected run (collect.py) has result.json instead of manifest.json, and its tables
may be compressed (.csv.gz). `load` reads all runs at and below the given folders. It reports runs
that are not finished and runs whose tables do not agree with their manifest, and leaves them out.
Columns are found by name, so tables with more columns can be read too.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import yaml

from .parsing import read_table, read_yaml

WITHOUT_EFFECT = ("compute.threads", "federation.uploads", "checkpoint.", "watchdog.", "output.")
"""Settings that change who computes and what is kept, but no result."""
PATHS = ("model.path", "data.path", "adapter.initial", "partition.path", "system.path")
"""Settings of which only the last part counts: the folders before it are those of a machine."""
NOT_SET = "not set"
"""The value of a setting that has none, and that the program leaves out of config.yaml then."""
RECORDS = ("manifest.json", "result.json")
"""A folder with one of these files is a run directory."""
TABLES = ("rounds", "evaluation", "clients")


@dataclass
class Runs:
    """Tables of one or more runs. Each has the column `run`, the run's directory.

    runs: a row per run, with `sweep` (the folder above), `point` (its own name), `group` (equal for
    runs that differ only in the seed), `inputs` (the hashes of the files that were read), parts of
    the manifest, and the settings by their dotted names.
    rounds, evaluation, clients: the rows of the files of that name.
    problems: a line for each run that was left out.
    """

    runs: pd.DataFrame
    rounds: pd.DataFrame
    evaluation: pd.DataFrame
    clients: pd.DataFrame
    problems: list[str] = field(default_factory=list)

    def only(self, keep: pd.Series) -> "Runs":
        """The runs for which `keep`, indexed like `runs`, is true."""
        runs = self.runs[keep]
        names = set(runs["run"])
        tables = [
            table[table["run"].isin(names)]
            for table in (self.rounds, self.evaluation, self.clients)
        ]
        return Runs(runs, *tables, problems=self.problems)

    def of(self, names: list[str]) -> "Runs":
        """The runs with these directories."""
        return self.only(self.runs["run"].isin(names))

    def where(self, keep: pd.Series, reason: str) -> tuple["Runs", list[str]]:
        """The runs for which `keep` is true, and a note on the others.

        Raises ValueError if no run is kept.
        """
        names = list(self.runs.loc[~keep, "point"])
        if len(names) == len(self.runs):
            raise ValueError(f"all runs {reason}")
        note = f"Left out, because they {reason}: {', '.join(names)}."
        return (self.only(keep), [note]) if names else (self, [])

    def settings(self, path: str, default: object = None) -> pd.Series:
        """A setting of each run, indexed like `runs`; `default` if a run does not have it."""
        if path not in self.runs.columns:
            return pd.Series(default, index=self.runs.index, dtype=object)
        return self.runs[path].where(self.runs[path].notna(), default)


def flatten(settings: dict, prefix: str = "") -> dict:
    """Nested settings by dotted names; a list becomes one text."""
    flat = {}
    for key, value in settings.items():
        path = f"{prefix}{key}"
        if isinstance(value, dict):
            flat.update(flatten(value, path + "."))
        elif isinstance(value, list):
            flat[path] = json.dumps(value, sort_keys=True)
        else:
            flat[path] = value
    return flat


def find(folders: list[Path]) -> list[Path]:
    """The run directories at and below the given folders, in order of their paths."""
    found = set()
    for folder in map(Path, folders):
        for record in RECORDS:
            if (folder / record).is_file():
                found.add(folder)
            found.update(path.parent for path in folder.glob(f"**/{record}"))
    return sorted(found)


def record_of(path: Path) -> dict:
    """The content of manifest.json, or of result.json of a collected run."""
    name = next(name for name in RECORDS if (path / name).is_file())
    return json.loads((path / name).read_text(encoding="utf-8"))


def table_of(path: Path, name: str) -> Path | None:
    """A table of a run directory: NAME.csv or NAME.csv.gz."""
    choices = (path / f"{name}.csv", path / f"{name}.csv.gz")
    return next((choice for choice in choices if choice.is_file()), None)


def read_run(path: Path) -> tuple[dict, dict[str, pd.DataFrame]]:
    """One run: its row and its tables.

    Raises ValueError if the run is not finished, or if its files do not agree with each other.
    """
    manifest = record_of(path)
    status = manifest.get("status")
    if status != "finished":
        raise ValueError(f"is not finished (status: {status})")
    settings = flatten(read_yaml((path / "config.yaml").read_text(encoding="utf-8")))
    for key in PATHS:
        if isinstance(settings.get(key), str):
            settings[key] = Path(settings[key]).name
    tables = {}
    for name in TABLES:
        file = table_of(path, name)
        if file is None:
            raise ValueError(f"has no {name}.csv")
        table = read_table(file)
        # Rounds count from 1; in runs that earlier versions began they count from 0.
        table["round"] += 1 - int(manifest.get("first_round_number", 0))
        table.insert(0, "run", str(path))
        tables[name] = table
    check(manifest, settings, tables)
    decisive = {
        key: value
        for key, value in settings.items()
        if not key.startswith(WITHOUT_EFFECT) and key != "seed"
    }
    decisive = {**not_set(settings), **decisive}
    software = manifest.get("software") or {}
    row = {
        "run": str(path),
        "sweep": path.resolve().parent.name,
        "point": path.resolve().name,
        "group": json.dumps(decisive, sort_keys=True),
        "inputs": json.dumps(inputs(manifest), sort_keys=True),
        "parameters": manifest["parameters"],
        "ranks": manifest.get("rank_count"),
        "cores": manifest.get("cores"),
        "digest": manifest["digest"],
        "start": manifest.get("start", ""),
        "end": manifest.get("end") or "",
        "version": software.get("version", ""),
        "hosts": ", ".join(sorted(set(manifest.get("hosts") or []))),
        **settings,
    }
    return row, tables


def not_set(settings: dict) -> dict[str, str]:
    """The settings that the program writes only when they are set, with the value "not set".

    Any other setting that a run does not have belongs to another version or has no effect.
    """
    found = {"adapter.initial": NOT_SET}
    for way in ("download", "upload"):
        density = f"method.{way}.density"
        if f"{density}.initial" in settings:
            found |= {density: "scheduled", f"{density}.minimum": NOT_SET}
    return found


def check(manifest: dict, settings: dict, tables: dict[str, pd.DataFrame]) -> None:
    """Raises ValueError if tables, settings and manifest are not of one run."""
    expected, rounds = int(settings["federation.rounds"]), tables["rounds"]
    if list(rounds["round"]) != list(range(1, expected + 1)):
        raise ValueError(f"rounds.csv has {len(rounds)} rounds, config.yaml {expected}")
    if rounds["digest"].iloc[-1] != manifest.get("digest"):
        raise ValueError("the last row of rounds.csv has another digest than the manifest")
    present = tables["clients"].groupby("round").size()
    if list(present.reindex(range(1, expected + 1), fill_value=0)) != list(rounds["clients"]):
        raise ValueError("clients.csv has other clients than rounds.csv counts")


def inputs(manifest: dict) -> dict[str, str]:
    """The hashes of the files that a run read, by folder and name; {} if the version kept none."""
    return {
        "/".join(Path(file["path"]).parts[-2:]): str(file["xxh64"])
        for file in manifest.get("inputs") or []
        if isinstance(file, dict) and "path" in file and "xxh64" in file
    }


def load(*folders: Path | str) -> Runs:
    """All sound runs at and below the given folders, with runs that repeat each other."""
    rows, tables, problems = [], {}, []
    for path in find([Path(folder) for folder in folders]):
        try:
            row, tables[str(path)] = read_run(path)
            rows.append(row)
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            reason = f"has no {error}" if isinstance(error, KeyError) else str(error)
            problems.append(f"{path}: {' '.join(reason.split())}")
        except (OSError, EOFError, yaml.YAMLError) as error:
            problems.append(f"{path}: {' '.join(str(error).split())}")
    runs = pd.DataFrame(rows) if rows else pd.DataFrame(columns=["run", "sweep", "point"])

    def joined(name: str) -> pd.DataFrame:
        parts = [tables[row["run"]][name] for row in rows]
        return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["run"])

    return Runs(runs, *(joined(name) for name in TABLES), problems)


def repeats(data: Runs) -> dict[str, str]:
    """Each run that repeats settings and seed of a later one, with the reason to leave it out.

    Runs that read files of one name with other contents do not repeat each other.
    """
    kept: dict[tuple, list[tuple[dict, dict]]] = {}
    lines: dict[str, str] = {}
    if data.runs.empty:
        return lines
    for row in data.runs.sort_values(["start", "run"]).to_dict("records"):
        read = json.loads(row["inputs"])
        others = kept.setdefault((row["group"], row.get("seed")), [])
        # A version that kept no hashes, or fewer, says nothing against it.
        same = [
            (other, own)
            for other, own in others
            if all(own[name] == read[name] for name in own.keys() & read.keys())
        ]
        for other, own in same:
            equal = "the same digest" if other["digest"] == row["digest"] else "ANOTHER DIGEST"
            lines[other["run"]] = f"repeats settings and seed of {row['run']}, with {equal}"
            others.remove((other, own))
        others.append((row, read))
    return lines
