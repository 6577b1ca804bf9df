"""Rows of .jsonl, .json, .csv, .tsv and .parquet files; an error names file, line and cause.

A .csv has quoting as in RFC 4180; a quotation mark that is not closed is an error. A .tsv has no
quoting. A .json is JSON lines, or one list of objects. All but .parquet may be compressed (.gz).
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import stat
import sys
import zlib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from . import parquet_file
from ..errors import DATA, MISSING, PrepareError, naming, one_line, plain_errors, shown

SUFFIXES = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet")
MAGIC = {
    b"\xff\xfe": "it looks like UTF-16; convert it",
    b"\xfe\xff": "it looks like UTF-16; convert it",
    b"\x1f\x8b": "it is compressed by gzip; name it .gz",
    b"PK\x03\x04": "it is a zip file; unpack it",
    b"PAR1": "it is a Parquet file; name it .parquet",
}


def kind_of(path: Path) -> str:
    """One of `SUFFIXES`, for a file of this name. Raises PrepareError for another file."""
    name = path.name.lower().removesuffix(".gz")
    kind = Path(name).suffix
    if kind not in SUFFIXES or (kind == ".parquet" and path.suffix.lower() == ".gz"):
        known = ", ".join(SUFFIXES)
        raise PrepareError(f"{shown(path)}: unknown kind of file; known are {known} (and .gz)")
    return kind


def stem_of(path: Path) -> str:
    """The name of a file without its suffixes: notes of notes.csv.gz."""
    stem = path.stem if path.suffix.lower() == ".gz" else path.name
    return Path(stem).stem


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


class RowFile:
    """The rows of one file; `quoted` counts the rows of a .tsv that have cells in quotation marks.

    `wanted` are the columns of interest: others may be left out, and may be there twice.
    """

    def __init__(self, path: Path, wanted: Collection[str]):
        self.path = path
        self.kind = kind_of(path)
        self.wanted = wanted
        self.quoted = 0

    def fail(self, line: int, cause: str) -> PrepareError:
        """An error at a line; of a .parquet at a row, and of a list in .json at an entry."""
        return PrepareError(f"{shown(self.path)}:{line}: {cause}")

    def rows(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """The rows with the line on which each begins."""
        require_file(self.path)
        if self.kind == ".parquet":
            yield from parquet_file.rows(self.path, self.wanted)
            return
        with plain_errors("read"), naming(self.path), opened(self.path) as raw:
            file = io.TextIOWrapper(raw, encoding="utf-8-sig", newline="")
            try:
                yield from self._json(file) if "json" in self.kind else self._cells(file)
            except UnicodeDecodeError:
                raise encoding_error(self.path) from None
            except (gzip.BadGzipFile, zlib.error, EOFError) as error:
                raise gzip_error(self.path, error) from None

    def _json(self, file: io.TextIOWrapper) -> Iterator[tuple[int, dict[str, Any]]]:
        """Rows of JSON lines, or of a list in a .json."""
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            if self.kind == ".json" and line.lstrip().startswith("["):
                whole = self._parsed(number, line + file.read())
                for place, row in enumerate(whole, start=1):
                    yield place, self._object(place, row)
                return
            yield number, self._object(number, self._parsed(number, line))

    def _object(self, line: int, row: Any) -> dict[str, Any]:
        """A row that has to be an object."""
        if not isinstance(row, dict):
            raise self.fail(line, "not a JSON object")
        self._refuse_doubles(line, row.twice)
        return row

    def _parsed(self, line: int, text: str) -> Any:
        """The value of a JSON text that begins on a line."""
        try:
            return json.loads(text, object_pairs_hook=Row.of)
        except RecursionError:
            raise self.fail(line, "not valid JSON: nested too deeply") from None
        except json.JSONDecodeError as error:
            cause = f"not valid JSON: {error.msg} at character {error.colno}"
            lines = text[: error.pos].rstrip().count("\n")
            raise self.fail(line + lines, cause) from None
        except ValueError as error:
            raise self.fail(line, f"not valid JSON: {one_line(error)}") from None

    def _refuse_doubles(self, line: int, twice: Collection[str]) -> None:
        """Refuses a wanted column that is there twice."""
        for column in self.wanted:
            if column in twice:
                raise self.fail(line, f"column {column!r} is there twice; rename one of the two")

    def _cells(self, file: io.TextIOWrapper) -> Iterator[tuple[int, dict[str, str]]]:
        """Rows of a .csv or .tsv file."""
        csv.field_size_limit(sys.maxsize)
        if self.kind == ".csv":
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
            if self.kind == ".tsv":
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


def opened(path: Path) -> Any:
    """A file's bytes, unpacked if its name ends in .gz."""
    return gzip.open(path, "rb") if path.suffix.lower() == ".gz" else open(path, "rb")


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


def gzip_error(path: Path, error: Exception) -> PrepareError:
    """A .gz that cannot be unpacked."""
    return PrepareError(
        f"{shown(path)}: not a whole gzip file: {one_line(error)}; compress or download it again"
    )


def encoding_error(path: Path) -> PrepareError:
    """Where in the file the first byte is that is not UTF-8."""
    with plain_errors("read"), naming(path), opened(path) as file:
        offset = 0
        start = file.read(4)
        file.seek(0)
        looks = [text for magic, text in MAGIC.items() if start.startswith(magic)]
        for number, line in enumerate(file, start=1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                at = f"{shown(path)}:{number}: not UTF-8 at byte {offset + error.start} of the file"
                hint = looks[0] if looks else "convert it (iconv -t UTF-8)"
                return PrepareError(f"{at} (0x{line[error.start]:02x}); {hint}")
            offset += len(line)
    return PrepareError(f"{shown(path)}: it changed while it was read; type the same command again")
