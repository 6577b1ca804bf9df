"""A person's own texts, from JSON lines or CSV, as a token data set."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from . import token_dataset
from .errors import PrepareError
from .home import plain_errors, publish, sha256_of
from .token_dataset import Corpus, TokenizerDirectory

RECIPE = 2
SUFFIXES = (".jsonl", ".ndjson", ".csv", ".tsv")


def rows_of(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows of a file with the line each ends on."""
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise PrepareError(f"{path}: unknown kind of file; known are {', '.join(SUFFIXES)}")
    try:
        with plain_errors("read"), open(path, encoding="utf-8-sig", newline="") as file:
            if suffix in (".csv", ".tsv"):
                csv.field_size_limit(sys.maxsize)
                reader = csv.DictReader(file, delimiter="," if suffix == ".csv" else "\t")
                for row in reader:
                    if None in row or None in row.values():
                        raise PrepareError(f"{path}:{reader.line_num}: not as many cells as names")
                    yield reader.line_num, row
            else:
                for number, line in enumerate(file, start=1):
                    if line.strip():
                        row = json.loads(line)
                        if not isinstance(row, dict):
                            raise PrepareError(f"{path}:{number}: not a JSON object")
                        yield number, row
    except UnicodeDecodeError as error:
        raise PrepareError(f"{path}: not UTF-8 at byte {error.start}") from error
    except ValueError as error:
        raise PrepareError(f"{path}:{number}: not valid JSON: {error}") from error
    except csv.Error as error:
        raise PrepareError(f"{path}: not valid CSV: {error}") from error


def read(path: Path, columns: dict[str, str]) -> dict[str, list[str]]:
    """The wanted columns as text; `columns` maps what a column is for to its name in the file."""
    found: dict[str, list[str]] = {purpose: [] for purpose in columns}
    for number, row in rows_of(path):
        for purpose, column in columns.items():
            if column not in row:
                names = ", ".join(str(name) for name in row) or "none"
                raise PrepareError(f"{path}:{number}: no column {column!r}; there are: {names}")
            value = row[column]
            if purpose == "text" and not isinstance(value, str):
                raise PrepareError(f"{path}:{number}: {column!r} is {value!r}, not a text")
            if value is None or isinstance(value, (dict, list)):
                raise PrepareError(f"{path}:{number}: {column!r} is {value!r}, not a plain value")
            found[purpose].append(value if isinstance(value, str) else json.dumps(value))
    if not found["text"]:
        raise PrepareError(f"{path}: no rows")
    return found


def prepare(
    files: dict[str, Path],
    columns: dict[str, str],
    tokenizer: TokenizerDirectory,
    length: int | None,
    name: str,
    fractions: dict[str, float],
    seed: int,
    chunks: bool,
    replace: bool,
) -> Path:
    """NAME: `files` maps splits to files; splits in `fractions` are cut off `train` by the seed."""
    tokenizer.load(length)
    for path in files.values():
        if not path.is_file():
            raise PrepareError(f"{path}: no such file")
    hashes = {split: sha256_of(path) for split, path in files.items()}

    def make(folder: Path) -> dict[str, Any]:
        tables = {split: read(path, columns) for split, path in files.items()}
        columns_by_split = {
            purpose: {split: table[purpose] for split, table in tables.items()}
            for purpose in columns
        }
        corpus = Corpus(
            ", ".join(path.name for path in files.values()),
            columns_by_split["text"],
            columns_by_split.get("label"),
            columns_by_split.get("client"),
        )
        dropped = token_dataset.drop_empty(corpus)
        # A fraction is meant of the whole, and validation is cut off what test has left.
        left = 1.0
        for split, fraction in fractions.items():
            if fraction > 0:
                token_dataset.split_off(corpus, split, fraction / left, seed)
                left -= fraction
        counts = token_dataset.write(corpus, dropped, tokenizer, length, folder, chunks)
        sources = [
            {"file": str(path.absolute()), "sha256": hashes[split], "licence": "the owner's"}
            for split, path in files.items()
        ]
        return {"sources": sources, "counts": counts}

    request = {
        "recipe": RECIPE,
        "files": hashes,
        "columns": columns,
        "tokenizer_sha256": tokenizer.sha256,
        "length": length,
        "fractions": fractions,
        "seed": seed,
        "chunks": chunks,
    }
    return publish(name, request, make, replace)
