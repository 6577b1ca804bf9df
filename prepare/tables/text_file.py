"""A person's own texts, from a table, as a token data set."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from ..tokens import token_dataset
from .conversation import Conversation, is_answer
from ..errors import PrepareError, shown
from ..home import say, sha256_of
from .own_corpus import publish_own
from .row_file import require_file
from .table_file import Table
from ..tokens.token_dataset import Corpus
from ..tokens.tokenizer_directory import TokenizerDirectory

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


def read_corpus(files: dict[str, list[Path]], columns: dict[str, str]) -> Corpus:
    """The files of all splits; only the training files have to say whose an example is."""
    tables = {
        split: [read(path, columns, () if split == "train" else ("client",)) for path in paths]
        for split, paths in files.items()
    }

    def column(purpose: str) -> dict[str, list[Any]] | None:
        if purpose not in columns:
            return None
        return {
            split: [value for part in parts for value in part.values[purpose]]
            for split, parts in tables.items()
            if all(purpose in part.values for part in parts)
        }

    messages, labels, numbers = column("messages"), column("labels"), column("score")
    return Corpus(
        ", ".join(shown(path.name) for paths in files.values() for path in paths),
        column("text") or {split: list(map(answers_of, rows)) for split, rows in messages.items()},
        column("label"),
        column("client"),
        answers=column("answer"),
        systems=column("system"),
        label_sets=None if labels is None else label_sets(labels),
        scores=None if numbers is None else scores(numbers),
        messages=messages,
    )


def answers_of(messages: Conversation) -> str:
    """What the assistant says; a conversation in which this is blank is dropped."""
    return "\n".join(message["content"] for message in messages if is_answer(message))


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


def publish_files(
    files: dict[str, list[Path]],
    columns: dict[str, str],
    tokenizer: TokenizerDirectory,
    length: int | None,
    request: dict[str, Any],
    sources: list[dict[str, Any]] | None = None,
    **options: Any,
) -> Path:
    """NAME: `files` maps splits to their files; `options` are those of `own_corpus.publish_own`.

    `sources` says where the files come from, if they are not the user's own.
    """
    tokenizer.load(length)
    for paths in files.values():
        for path in paths:
            require_file(path)
    hashes = {split: [sha256_of(path) for path in paths] for split, paths in files.items()}

    def read_unchanged() -> Corpus:
        corpus = read_corpus(files, columns)
        for split, paths in files.items():
            for path, expected in zip(paths, hashes[split]):
                if sha256_of(path) != expected:
                    raise PrepareError(
                        f"{shown(path)}: it changed while it was read; type the same command again"
                    )
        corpus.sources = sources or [
            {"file": shown(path.absolute()), "sha256": digest, "licence": "the owner's"}
            for split, paths in files.items()
            for path, digest in zip(paths, hashes[split])
        ]
        return corpus

    whole = {
        # The digest itself for one file, as requests have had it before there could be more.
        "files": {split: found[0] if len(found) == 1 else found for split, found in hashes.items()},
        "columns": columns,
        **tokenizer.request,
        "length": length,
        **request,
    }
    digests = {digest: split for split, found in hashes.items() for digest in found}
    is_shared = len(digests) < sum(map(len, hashes.values()))
    return publish_own(read=read_unchanged, request=whole, shares_files=is_shared, **options)


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
