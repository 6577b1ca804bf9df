"""Copies what figures need from finished runs: python -m analysis.collect RUNS... --output results.

A collected run is a folder SWEEP/POINT with config.yaml, result.json (a part of manifest.json) and
the tables rounds, evaluation, clients and partition, without columns that no figure reads. Tables
of more than 4 kB are compressed. Figures of the collected runs have the same tables as those of the
originals. Of runs with the same partition the first one keeps it.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import shutil
import sys
from pathlib import Path

import pandas as pd

from .figures.partition import in_order
from .load import find, load, record_of, table_of
from .parsing import read_yaml, yaml_text

PAYLOAD = tuple(
    f"{way}_{part}_bytes"
    for way in ("download", "upload")
    for part in ("values", "indices", "header", "payload")
)
COLUMNS = {
    "rounds": (
        *("round", "clients", "download_payload_bytes", "upload_payload_bytes"),
        *("epsilon", "digest", "train_seconds", "encode_seconds", "wait_seconds"),
        *("server_seconds", "evaluate_seconds", "round_seconds"),
    ),
    "evaluation": (
        *("round", "split", "masked", "tier", "examples", "items", "accuracy", "loss"),
        *("f1_macro", "f1_micro", "perplexity", "exact_match", "pearson", "acc", "acc_norm"),
        *("total_payload_bytes", "total_modelled_time_s"),
    ),
    "clients": (
        *("round", "client", "tier", "tokens", "download_nonzeros", "upload_nonzeros"),
        *(*PAYLOAD, "status", "client_seconds"),
    ),
    "partition": ("client", "label", "examples"),
}
"""The columns that are kept, if a table has them."""
KEPT = ("status", "digest", "parameters", "rank_count", "cores", "hosts", "start", "end")
LARGE = 4096
"""Tables of more bytes than this are compressed."""


def result_of(manifest: dict) -> dict:
    """The part of a manifest that figures show, without the folders of a machine."""
    result = {key: manifest[key] for key in KEPT if key in manifest}
    if "first_round_number" in manifest:
        result["first_round_number"] = manifest["first_round_number"]
    software = manifest.get("software") or {}
    result["software"] = {key: software[key] for key in ("version",) if key in software}
    files = manifest.get("inputs") or []
    result["inputs"] = [
        {"path": "/".join(Path(file["path"]).parts[-2:]), "xxh64": file["xxh64"]}
        for file in files
        if isinstance(file, dict) and "path" in file and "xxh64" in file
    ]
    return result


def nameless(value: object) -> object:
    """A setting's value with the last part of each absolute path instead of the path."""
    if isinstance(value, dict):
        return {key: nameless(part) for key, part in value.items()}
    if isinstance(value, list):
        return [nameless(part) for part in value]
    if isinstance(value, str) and value.startswith("/") and "\n" not in value:
        return Path(value).name or value
    return value


def config_of(text: str) -> str:
    """config.yaml with the names of models and corpora instead of their places on a machine."""
    return yaml_text(nameless(read_yaml(text)))


def table_text(path: Path, columns: tuple[str, ...]) -> bytes:
    """The wanted columns of a table, with every number as it is written there."""
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    return table[[name for name in columns if name in table.columns]].to_csv(index=False).encode()


def write(folder: Path, name: str, content: bytes) -> int:
    """Writes a table, compressed if that is worth it; returns the bytes that it takes."""
    if len(content) > LARGE:
        name, content = f"{name}.gz", gzip.compress(content, 9, mtime=0)
    (folder / name).write_bytes(content)
    return len(content)


def collect(run: Path, folder: Path, partitions: set[str]) -> int:
    """Copies a run; returns the bytes of the copy. `partitions` are the digests of those there.

    An older copy stays until the new one is whole.
    """
    new = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    try:
        size = copy(run, new, partitions)
        exchange(new, folder)
    finally:
        shutil.rmtree(new, ignore_errors=True)
    return size


def exchange(new: Path, folder: Path) -> None:
    """Puts a folder in the place of another one, which goes."""
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    new.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def copy(run: Path, folder: Path, partitions: set[str]) -> int:
    """Writes what figures need of a run into a folder; returns the bytes."""
    config = config_of((run / "config.yaml").read_text(encoding="utf-8"))
    result = json.dumps(result_of(record_of(run)), indent=1, sort_keys=True) + "\n"
    (folder / "config.yaml").write_text(config, encoding="utf-8")
    size = len(config.encode()) + len(result.encode())
    for name, columns in COLUMNS.items():
        path = table_of(run, name)
        if path is None:
            continue
        content = table_text(path, columns)
        if name == "partition":
            digest = hashlib.sha256(content).hexdigest()
            if digest in partitions:
                continue
            partitions.add(digest)
        size += write(folder, f"{name}.csv", content)
    # The last file: a folder without it is no run.
    (folder / "result.json").write_text(result, encoding="utf-8")
    return size


def partitions_in(output: Path, replaced: set[Path]) -> set[str]:
    """The digests of the partitions that were collected before, in copies that stay."""
    found = set()
    for run in find([output]):
        path = None if run in replaced else table_of(run, "partition")
        if path is not None:
            found.add(hashlib.sha256(table_text(path, COLUMNS["partition"])).hexdigest())
    return found


def main(arguments: list[str] | None = None) -> int:
    """Prints a line for each run that was left out, and the sum. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="collect", description=__doc__.split("\n")[0])
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUNS")
    parser.add_argument("--output", type=Path, default=Path("results"))
    options = parser.parse_args(arguments)
    data = load(*options.runs)
    for problem in data.problems:
        print(f"left out {problem}")
    if data.runs.empty:
        print("collect: no finished run")
        return 1
    targets: dict[Path, Path] = {}
    for run in map(Path, in_order(data)["run"]):
        folder = options.output / run.resolve().parent.name / run.resolve().name
        if folder.resolve() == run.resolve():
            continue
        if folder in targets:
            print(f"left out {run}: {targets[folder]} has the same names of sweep and point")
            continue
        targets[folder] = run
    for folder in targets:
        # An older copy is replaced, and nothing else: any other folder is left alone.
        if folder.exists() and not (folder / "result.json").is_file():
            print(f"collect: {folder} is there and is no collected run")
            return 1
    known, sizes = partitions_in(options.output, set(targets)), []
    for folder, run in targets.items():
        sizes.append(collect(run, folder, known))
    if not sizes:
        print("collect: no run but those that are collected")
        return 1
    print(
        f"collect: {len(sizes)} runs in {options.output}, {sum(sizes) / 1000:.1f} kB, "
        f"{sum(sizes) / len(sizes) / 1000:.1f} kB per run, at most {max(sizes) / 1000:.1f}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
