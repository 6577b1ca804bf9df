"""Reads run directories into tidy pandas tables.

A run directory holds config.yaml (complete), manifest.json, rounds.csv, evaluation.csv and
clients.csv. `load` reads all that stand below the given folders and says what is wrong with them:
runs that are not finished, whose tables do not agree with their manifest, or that repeat another
one's settings and seed. Only sound runs get into the tables. Columns are found by name, so that
tables with more columns can be read too.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import yaml

from .parsing import read_table, read_yaml

# Settings that change who computes and what is kept, but no result.
WITHOUT_EFFECT = ("compute.threads", "federation.uploads", "checkpoint.", "watchdog.", "output.")


@dataclass
class Runs:
    """Tables of one or more runs. Each has the column `run`, the run's directory.

    runs: a row a run, with `sweep` (the folder above), `point` (its own name), `label` (the point
    without its seed), `group` (equal for runs that differ in the seed alone), `inputs` (the hashes
    of what was read), parts of the manifest, and the settings by their dotted names.
    rounds, evaluation, clients: the rows of the files of that name.
    problems: a line for each run that was left out or is doubtful.
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

    def where(self, keep: pd.Series, reason: str) -> tuple["Runs", list[str]]:
        """The runs for which `keep` is true, and a note on those that are left out.

        Raises ValueError where none is kept.
        """
        names = list(self.runs.loc[~keep, "point"])
        if len(names) == len(self.runs):
            raise ValueError(f"all runs {reason}")
        note = f"Left out, since they {reason}: {', '.join(names)}."
        return (self.only(keep), [note]) if names else (self, [])

    def settings(self, path: str, default: object = None) -> pd.Series:
        """A setting of each run, indexed like `runs`; `default` where a run does not have it."""
        if path not in self.runs.columns:
            return pd.Series(default, index=self.runs.index, dtype=object)
        return self.runs[path].where(self.runs[path].notna(), default)


def flatten(settings: dict, prefix: str = "") -> dict:
    """Nested settings by dotted names; lists become one text."""
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
        if (folder / "manifest.json").is_file():
            found.add(folder)
        found.update(path.parent for path in folder.glob("**/manifest.json"))
    return sorted(found)


def without_seed(point: str) -> str:
    """A point's name without the part that its seed gave it."""
    return (
        ".".join(part for part in point.split(".") if not re.fullmatch(r"seed-\d+", part)) or point
    )


def read_run(path: Path) -> tuple[dict, dict[str, pd.DataFrame]]:
    """One run: its row and its tables.

    Raises ValueError where the run is not finished, or its files do not agree with each other.
    """
    manifest = json.loads((path / "manifest.json").read_text(encoding="utf-8"))
    status = manifest.get("status")
    if status != "finished":
        raise ValueError(f"is not finished (status: {status})")
    settings = flatten(read_yaml((path / "config.yaml").read_text(encoding="utf-8")))
    tables = {}
    for name in ("rounds", "evaluation", "clients"):
        table = read_table(path / f"{name}.csv")
        # Rounds count from 1; in runs that earlier versions began they count from 0.
        table["round"] += 1 - int(manifest.get("first_round_number", 0))
        table.insert(0, "run", str(path))
        tables[name] = table
    expected, rounds = int(settings["federation.rounds"]), tables["rounds"]
    if list(rounds["round"]) != list(range(1, expected + 1)):
        raise ValueError(f"rounds.csv has {len(rounds)} rounds, config.yaml {expected}")
    if rounds["digest"].iloc[-1] != manifest.get("digest"):
        raise ValueError("manifest.json has another digest than the last row of rounds.csv")
    present = tables["clients"].groupby("round").size()
    if list(present.reindex(range(1, expected + 1), fill_value=0)) != list(rounds["clients"]):
        raise ValueError("clients.csv has other clients than rounds.csv counts")
    decisive = {
        key: value
        for key, value in settings.items()
        if not key.startswith(WITHOUT_EFFECT) and key != "seed"
    }
    row = {
        "run": str(path),
        "sweep": path.parent.name,
        "point": path.name,
        "label": without_seed(path.name),
        "group": json.dumps(decisive, sort_keys=True),
        "inputs": json.dumps(inputs(manifest), sort_keys=True),
        "parameters": manifest["parameters"],
        "ranks": manifest.get("rank_count"),
        "cores": manifest.get("cores"),
        "digest": manifest["digest"],
        "start": manifest.get("start", ""),
        **settings,
    }
    return row, tables


def inputs(manifest: dict) -> dict[str, str]:
    """The hashes of the files that a run read, by folder and name; {} of versions that kept none."""
    return {
        "/".join(Path(file["path"]).parts[-2:]): str(file["xxh64"])
        for file in manifest.get("inputs") or []
        if isinstance(file, dict) and "path" in file and "xxh64" in file
    }


def tell_apart(rows: list[dict]) -> list[str]:
    """Gives runs of one label and model that differ in more than the seed labels of their own.

    Settings that only one of two runs has are of different versions of the program, and no
    difference: each version writes all of its own.
    """
    problems = []
    first: dict[tuple, dict] = {}
    for row in rows:
        settings, wanted, number = json.loads(row["group"]), row["label"], 1
        while True:
            other = first.setdefault((row["label"], row.get("model.path")), settings)
            differ = sorted(
                key for key in settings.keys() & other.keys() if settings[key] != other[key]
            )
            if not differ:
                break
            reasons = differ if number == 1 else reasons
            row["label"] = f"{wanted} of {row['sweep']}" + (f" ({number})" if number > 1 else "")
            number += 1
        if number > 1:
            problems.append(
                f"{row['run']}: another {wanted} has other settings ({', '.join(reasons)}); its"
                f" label is '{row['label']}'"
            )
    return problems


def load(*folders: Path | str, repeats: bool = False) -> Runs:
    """All sound runs at and below the given folders; with `repeats` also those that repeat another one."""
    rows, tables, problems = [], {}, []
    for path in find([Path(folder) for folder in folders]):
        try:
            row, tables[str(path)] = read_run(path)
            rows.append(row)
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            reason = f"has no {error}" if isinstance(error, KeyError) else str(error)
            problems.append(f"{path}: {' '.join(reason.split())}; left out")
        except (OSError, yaml.YAMLError) as error:
            problems.append(f"{path}: {' '.join(str(error).split())}; left out")
    kept = {}
    # Of runs that repeat each other the one that started last is kept.
    for row in sorted(rows, key=lambda row: (row["start"], row["run"])):
        same = (row["group"], row.get("seed"), row["run"] if repeats else "")
        other = kept.get(same)
        if other is not None:
            equal = "the same digest" if other["digest"] == row["digest"] else "ANOTHER DIGEST"
            problems.append(
                f"{other['run']}: repeats {row['run']}, settings and seed, with {equal}; left out"
            )
        kept[same] = row
    rows = sorted(kept.values(), key=lambda row: row["run"])
    labels: dict[str, str] = {}
    for row in rows:
        row["label"] = labels.setdefault(row["group"], row["label"])
    problems += tell_apart(rows)
    runs = pd.DataFrame(rows) if rows else pd.DataFrame(columns=["run", "sweep", "point", "label"])
    chosen = [tables[row["run"]] for row in rows]

    def joined(name: str) -> pd.DataFrame:
        parts = [table[name] for table in chosen]
        return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["run"])

    return Runs(runs, joined("rounds"), joined("evaluation"), joined("clients"), problems)
