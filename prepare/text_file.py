"""A person's own texts, from JSON lines or CSV, as a token data set."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import names, token_dataset
from .errors import PrepareError, shown
from .home import say, sha256_of
from .publishing import publish
from .table_file import Table, require_file
from .token_dataset import Corpus
from .tokenizer_directory import TokenizerDirectory

RECIPE = 3


def read(path: Path, columns: dict[str, str], optional: tuple[str, ...] = ()) -> Table:
    """The wanted columns as text; `columns` maps what a column is for to its name in the file.

    Says how many rows there are, and what was changed in them.
    """
    table = Table(path, columns, optional).read()
    say(f"  {shown(path.name)}: {table.counts['rows']} rows")
    replaced = table.counts["replaced_surrogates"]
    if replaced:
        say(
            f"  warning: {replaced} texts have half of a surrogate pair (an emoji that was cut);"
            " U+FFFD stands in its place"
        )
    if table.quoted:
        say(
            f"  warning: {table.quoted} rows have cells in quotation marks; a .tsv has no quoting,"
            " so that the marks stay in the texts"
        )
    for purpose in set(columns) - set(table.columns):
        say(f"  {shown(path.name)}: no column {columns[purpose]!r}; its examples have no {purpose}")
    return table


def read_corpus(files: dict[str, Path], columns: dict[str, str]) -> Corpus:
    """The files of all splits; only the training file has to say whose an example is."""
    tables = {
        split: read(path, columns, () if split == "train" else ("client",))
        for split, path in files.items()
    }

    def column(purpose: str) -> dict[str, list[str]]:
        return {
            split: table.values[purpose]
            for split, table in tables.items()
            if purpose in table.values
        }

    return Corpus(
        ", ".join(shown(path.name) for path in files.values()),
        column("text"),
        column("label") if "label" in columns else None,
        column("client") if "client" in columns else None,
        answers=column("answer") if "answer" in columns else None,
        systems=column("system") if "system" in columns else None,
        label_sets=label_sets(column("labels")) if "labels" in columns else None,
        scores=scores(column("score")) if "score" in columns else None,
    )


def label_sets(column: dict[str, list[str]]) -> dict[str, list[list[str]]]:
    """The classes of each cell, which are separated by |; an empty cell has none."""
    found = {
        split: [[name.strip() for name in cell.split("|") if name.strip()] for cell in cells]
        for split, cells in column.items()
    }
    if not any(row for rows in found.values() for row in rows):
        raise PrepareError("no example has a label; name the column whose labels | separates")
    return found


def scores(column: dict[str, list[str]]) -> dict[str, list[float]]:
    """The cells as numbers."""
    found: dict[str, list[float]] = {}
    for split, cells in column.items():
        found[split] = []
        for number, cell in enumerate(cells, start=1):
            try:
                # A row without text is dropped, so that its score does not matter.
                value = float(cell or 0)
            except ValueError:
                value = math.nan
            if not math.isfinite(value) or abs(value) > 1e6:
                raise PrepareError(
                    f"example {number} of {split}: the score {shown(cell)} is no number up to 1e6;"
                    " correct it"
                )
            found[split].append(value)
    return found


def fold_names(corpus: Corpus) -> None:
    """Writes 1.0 as 1 in labels and clients that are whole numbers, and says so."""
    for purpose, column in (("labels", corpus.labels), ("clients", corpus.clients)):
        changed = names.fold_whole_numbers(column) if column else []
        if changed:
            say(f"  {purpose} {names.listed(changed, 4)} are read as whole numbers")


def publish_files(
    files: dict[str, Path],
    columns: dict[str, str],
    tokenizer: TokenizerDirectory,
    length: int | None,
    name: str,
    fractions: dict[str, float],
    seed: int,
    by_client: bool,
    replace: bool,
    request: dict[str, Any],
    write: Callable[[Corpus, dict[str, int], Path], dict[str, Any]],
) -> Path:
    """NAME: `files` maps splits to files; splits in `fractions` are cut off `train` by the seed.

    `write` gets the corpus, the rows left out of each split because they are empty, and a folder; it
    returns the counts that the manifest keeps. `request` is what it depends on besides the rest.
    """
    tokenizer.load(length)
    for path in files.values():
        require_file(path)
    hashes = {split: sha256_of(path) for split, path in files.items()}

    def make(folder: Path) -> dict[str, Any]:
        if len(set(hashes.values())) < len(hashes):
            say("  warning: two splits are the same file, so that results on them say nothing")
        corpus = read_corpus(files, columns)
        for split, path in files.items():
            if sha256_of(path) != hashes[split]:
                raise PrepareError(
                    f"{shown(path)}: it changed while it was read; type the same command again"
                )
        dropped = token_dataset.drop_empty(corpus)
        fold_names(corpus)
        token_dataset.split_fractions(corpus, fractions, seed, by_client)
        counts = write(corpus, dropped, folder)
        sources = [
            {"file": shown(path.absolute()), "sha256": hashes[split], "licence": "the owner's"}
            for split, path in files.items()
        ]
        return {"sources": sources, "counts": counts}

    whole = {
        "files": hashes,
        "columns": columns,
        **tokenizer.request,
        "length": length,
        "fractions": fractions,
        "seed": seed,
        **({"split_by": "client"} if by_client else {}),
        **request,
    }
    return publish(name, whole, make, replace)


def prepare(
    tokenizer: TokenizerDirectory, length: int | None, chunks: bool, **options: Any
) -> Path:
    """NAME: texts, with labels, scores and clients where there are columns of them."""

    def write(corpus: Corpus, dropped: dict[str, int], folder: Path) -> dict[str, Any]:
        return token_dataset.write(corpus, dropped, tokenizer, length, folder, chunks)

    request = {"recipe": RECIPE, "chunks": chunks}
    return publish_files(
        tokenizer=tokenizer, length=length, request=request, write=write, **options
    )
