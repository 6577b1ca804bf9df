"""The wanted columns of a file of rows (row_file.py) as texts, names and conversations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from . import conversation
from ..errors import PrepareError, nearest, one_line, shown
from ..names import SURROGATE, name_of
from .row_file import RowFile

FREE = ("text", "answer", "system", "labels")
"""What a column may be for whose cells are taken as they are; those of others are names."""


class Table:
    """The wanted columns of one file; `counts` says what was read and changed.

    Values are texts; those of `messages` are conversations.
    """

    def __init__(self, path: Path, columns: dict[str, str], optional: tuple[str, ...] = ()):
        self.path = path
        self.columns = dict(columns)
        self.optional = optional
        self.counts = {"rows": 0, "replaced_surrogates": 0}
        self.quoted = 0
        self.values: dict[str, list[Any]] = {purpose: [] for purpose in columns}

    def read(self) -> Table:
        """Reads the whole file. Raises PrepareError for the first row that cannot be used."""
        file = RowFile(self.path, {*self.columns.values(), *conversation.wanted(self.columns)})
        self.fail = file.fail
        for line, row in file.rows():
            if not self.counts["rows"]:
                self._settle_columns(row)
            text = row.get(self.columns.get("text"))
            blank = isinstance(text, str) and not text.strip()
            for purpose, column in self.columns.items():
                if column not in row:
                    there = [str(name) for name in row]
                    hint = nearest(column, there)
                    if not hint and column == conversation.DEFAULT:
                        hint = "; name columns by --messages, or by --prompt and --answer"
                    raise self.fail(
                        line,
                        f"no column {column!r}; there are: {', '.join(there) or 'none'}{hint}",
                    )
                self.values[purpose].append(self._value(purpose, row[column], line, blank))
            self.counts["rows"] += 1
        self.quoted = file.quoted
        if not self.counts["rows"]:
            raise PrepareError(f"{shown(self.path)}: no rows")
        return self

    def _settle_columns(self, row: dict[str, Any]) -> None:
        """Drops an optional column that the first row does not have; finds the conversations."""
        for purpose in self.optional:
            if purpose in self.columns and self.columns[purpose] not in row:
                del self.columns[purpose], self.values[purpose]
        if "messages" in self.columns:
            self.columns["messages"] = conversation.column(self.columns["messages"], row)

    def _value(self, purpose: str, value: Any, line: int, blank: bool) -> Any:
        """What a cell is read as."""
        column = self.columns[purpose]
        if purpose == "messages":
            try:
                messages = conversation.read(value)
            except conversation.Refusal as error:
                raise self.fail(line, f"{column!r}: {error}") from None
            for message in messages:
                message["content"] = self._text(message["content"], line, column)
            return messages
        if purpose == "labels" and isinstance(value, list):
            value = "|".join(str(name) for name in value)
        if purpose == "answer" and isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if purpose == "system" and value is None:
            value = ""
        if purpose in FREE:
            return self._text(value, line, column)
        # A row without text is dropped, so that its label and client do not matter.
        return "" if blank else self._name(value, line, column)

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
