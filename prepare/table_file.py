"""Rows of .jsonl, .csv and .tsv files with the line of each; an error names file, line and cause.

A .csv has quoting as in RFC 4180; a quotation mark that is not closed is an error. A .tsv has no
quoting.
"""

from __future__ import annotations

import csv
import json
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .errors import (
    DATA,
    MISSING,
    PrepareError,
    naming,
    nearest,
    one_line,
    plain_errors,
    shown,
)
from .names import SURROGATE, name_of

FREE = ("text", "answer", "system", "labels")
"""What a column may be for whose cells are taken as they are; those of others are names."""
SUFFIXES = (".jsonl", ".ndjson", ".csv", ".tsv")
MAGIC = {
    b"\xff\xfe": "it looks like UTF-16",
    b"\xfe\xff": "it looks like UTF-16",
    b"\x1f\x8b": "it is compressed by gzip",
    b"PK\x03\x04": "it is a zip file",
}


class Row(dict):
    """A JSON object that knows which of its names are there twice."""

    twice: tuple[str, ...] = ()

    @classmethod
    def of(cls, pairs: list[tuple[str, Any]]) -> Row:
        """The object of name and value pairs."""
        row = cls(pairs)
        if len(row) < len(pairs):
            names = [name for name, _ in pairs]
            row.twice = tuple(name for name in row if names.count(name) > 1)
        return row


class Table:
    """The wanted columns of one file as texts; `counts` says what was read and changed."""

    def __init__(self, path: Path, columns: dict[str, str], optional: tuple[str, ...] = ()):
        self.path = path
        self.columns = dict(columns)
        self.optional = optional
        self.counts = {"rows": 0, "replaced_surrogates": 0}
        self.quoted = 0
        self.values: dict[str, list[str]] = {purpose: [] for purpose in columns}

    def fail(self, line: int, cause: str) -> PrepareError:
        """An error at a line."""
        return PrepareError(f"{shown(self.path)}:{line}: {cause}")

    def read(self) -> Table:
        """Reads the whole file. Raises PrepareError for the first row that cannot be used."""
        require_file(self.path)
        for line, row in self._rows():
            if not self.counts["rows"]:
                self._leave_out_optional(row)
            text = row.get(self.columns["text"])
            blank = isinstance(text, str) and not text.strip()
            for purpose, column in self.columns.items():
                if column not in row:
                    there = [str(name) for name in row]
                    raise self.fail(
                        line,
                        f"no column {column!r}; there are: {', '.join(there) or 'none'}"
                        + nearest(column, there),
                    )
                value = row[column]
                if purpose == "labels" and isinstance(value, list):
                    value = "|".join(str(name) for name in value)
                if purpose == "answer" and isinstance(value, int) and not isinstance(value, bool):
                    value = str(value)
                if purpose in FREE:
                    self.values[purpose].append(self._text(value, line, column))
                else:
                    # A row without text is dropped, so that its label and client do not matter.
                    name = "" if blank else self._name(value, line, column)
                    self.values[purpose].append(name)
            self.counts["rows"] += 1
        if not self.counts["rows"]:
            raise PrepareError(f"{shown(self.path)}: no rows")
        return self

    def _leave_out_optional(self, row: dict[str, Any]) -> None:
        """Drops an optional column that the first row does not have."""
        for purpose in self.optional:
            if purpose in self.columns and self.columns[purpose] not in row:
                del self.columns[purpose], self.values[purpose]

    def _text(self, value: Any, line: int, column: str) -> str:
        """A text; halves of surrogate pairs, which no UTF-8 can have, become U+FFFD."""
        if not isinstance(value, str):
            raise self.fail(line, f"{column!r} is {one_line(repr(value), 60)}, not a text")
        if SURROGATE.search(value):
            self.counts["replaced_surrogates"] += 1
            return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        return value

    def _name(self, value: Any, line: int, column: str) -> str:
        """The name of a class or client."""
        name = name_of(value)
        if name is None:
            what = (
                "empty"
                if isinstance(value, str) and not value.strip()
                else one_line(repr(value), 60)
            )
            raise self.fail(
                line, f"{column!r} is {what}, which names nothing; fill it in, or leave the row out"
            )
        return name

    def _rows(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """The rows with the line on which each begins."""
        suffix = self.path.suffix.lower()
        if suffix not in SUFFIXES:
            raise PrepareError(
                f"{shown(self.path)}: unknown kind of file; known are {', '.join(SUFFIXES)}"
            )
        try:
            with plain_errors("read"), naming(self.path):
                with open(self.path, encoding="utf-8-sig", newline="") as file:
                    yield from self._json(file) if "json" in suffix else self._cells(file, suffix)
        except UnicodeDecodeError:
            raise encoding_error(self.path) from None

    def _json(self, file: Any) -> Iterator[tuple[int, dict[str, Any]]]:
        """Rows of JSON lines."""
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line, object_pairs_hook=Row.of)
            except RecursionError:
                raise self.fail(number, "not valid JSON: nested too deeply") from None
            except json.JSONDecodeError as error:
                cause = f"not valid JSON: {error.msg} at character {error.colno}"
                raise self.fail(number, cause) from None
            except ValueError as error:
                raise self.fail(number, f"not valid JSON: {one_line(error)}") from None
            if not isinstance(row, dict):
                raise self.fail(number, "not a JSON object")
            self._refuse_doubles(number, row.twice)
            yield number, row

    def _refuse_doubles(self, line: int, twice: Any) -> None:
        """Refuses a wanted column that is there twice."""
        for column in self.columns.values():
            if column in twice:
                raise self.fail(line, f"column {column!r} is there twice; rename one of the two")

    def _cells(self, file: Any, suffix: str) -> Iterator[tuple[int, dict[str, str]]]:
        """Rows of a .csv or .tsv file."""
        csv.field_size_limit(sys.maxsize)
        if suffix == ".csv":
            reader = csv.reader(file, strict=True)
        else:
            reader = csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        header: list[str] | None = None
        while True:
            line = reader.line_num + 1
            try:
                cells = next(reader, None)
            except csv.Error as error:
                raise self.fail(line, self._csv_cause(error, reader.line_num)) from None
            if cells is None:
                return
            if not cells:
                continue
            if header is None:
                header = cells
                self._refuse_doubles(line, [name for name in header if header.count(name) > 1])
                continue
            if len(cells) != len(header):
                raise self.fail(line, f"not as many cells ({len(cells)}) as names ({len(header)})")
            if suffix == ".tsv":
                self.quoted += any(len(c) > 1 and c[0] == c[-1] == '"' for c in cells)
            yield line, dict(zip(header, cells))

    def _csv_cause(self, error: csv.Error, last: int) -> str:
        """What is wrong with a row that ends on a line."""
        cause = f"not valid CSV: {one_line(error)} (line {last})"
        if "expected after" not in cause and "unexpected end" not in cause:
            return cause
        return (
            f"{cause}: a quotation mark opens a cell of this row and is not closed at its end; "
            'write a mark within a quoted cell as ""'
        )


def require_file(path: Path) -> None:
    """Raises PrepareError where a path is not a regular file."""
    with plain_errors("read"):
        try:
            kind = path.stat().st_mode
        except (FileNotFoundError, NotADirectoryError):
            raise PrepareError(f"{shown(path)}: no such file; check the path", MISSING) from None
    if not stat.S_ISREG(kind):
        what = "a directory" if stat.S_ISDIR(kind) else "a pipe or a device"
        raise PrepareError(
            f"{shown(path)} is {what}; give a file, which is read more than once", DATA
        )


def encoding_error(path: Path) -> PrepareError:
    """Where in the file the first byte is that is not UTF-8."""
    with plain_errors("read"), naming(path), open(path, "rb") as file:
        offset = 0
        start = file.read(4)
        file.seek(0)
        looks = [text for magic, text in MAGIC.items() if start.startswith(magic)]
        for number, line in enumerate(file, start=1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                at = f"{shown(path)}:{number}: not UTF-8 at byte {offset + error.start} of the file"
                hint = (
                    f"{looks[0]}; convert or unpack it" if looks else "convert it (iconv -t UTF-8)"
                )
                return PrepareError(f"{at} (0x{line[error.start]:02x}); {hint}")
            offset += len(line)
    return PrepareError(f"{shown(path)}: it changed while it was read; type the same command again")
