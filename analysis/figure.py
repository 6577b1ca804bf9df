"""What a figure becomes: pictures, tables for programs, tables for papers, and a caption.

A figure NAME becomes NAME.pdf, NAME.png or NAME.svg; NAME.csv, its table (further tables as
NAME.TABLE.csv), with a LaTeX table NAME.tex beside each; and NAME.txt, the caption, with notes and
the run directories.
"""

from __future__ import annotations

import io
import textwrap
from dataclasses import dataclass, field
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure as Canvas

from . import latex


@dataclass
class Figure:
    """A drawn figure with its tables: the first, named "", is the one of the picture.

    printed: the rows of a table that are worth printing, if not all are.
    """

    canvas: Canvas
    caption: str
    tables: dict[str, pd.DataFrame]
    runs: list[str]
    notes: list[str] = field(default_factory=list)
    printed: dict[str, pd.DataFrame] = field(default_factory=dict)
    pictures: dict[str, bytes] = field(default_factory=dict)

    def renamed(self, old: str, new: str) -> None:
        """Gives a measure its own name in all tables: OLD_half becomes NEW_half."""
        if old == new:
            return
        for tables in (self.tables, self.printed):
            for name, table in tables.items():
                own = {
                    column: column.replace(old, new, 1)
                    for column in table.columns
                    if column.startswith((old, f"final_{old}"))
                }
                tables[name] = table.rename(columns=own)

    def picture(self, kind: str) -> bytes:
        """The figure as a file of a format, with no date or version of a program in it."""
        if kind in self.pictures:
            return self.pictures[kind]
        metadata = {
            "png": {"Software": None},
            "svg": {"Date": None, "Creator": None},
            "pdf": {"CreationDate": None, "Producer": None, "Creator": None},
        }[kind]
        file = io.BytesIO()
        # The layout is the same for all formats, and finding it takes most of the time.
        if self.canvas.get_layout_engine() is not None:
            self.canvas.draw_without_rendering()
            self.canvas.set_layout_engine("none")
        self.canvas.savefig(file, format=kind, metadata=metadata)
        self.pictures[kind] = file.getvalue()
        return self.pictures[kind]

    def save(self, folder: Path, name: str, formats: list[str]) -> list[Path]:
        """Writes pictures, tables and caption; returns the files."""
        folder.mkdir(parents=True, exist_ok=True)
        written = []

        def write(end: str, content: bytes) -> None:
            path = folder / f"{name}{end}"
            path.write_bytes(content)
            written.append(path)

        for kind in formats:
            write(f".{kind}", self.picture(kind))
        for suffix, table in self.tables.items():
            end = f".{suffix}" if suffix else ""
            write(f"{end}.csv", table.to_csv(index=False, float_format="%.8g").encode())
            write(f"{end}.tex", latex.table(self.printed.get(suffix, table)).encode())
        write(".txt", self.text().encode())
        return written

    def text(self) -> str:
        """Caption, notes and runs."""
        lines = [textwrap.fill(self.caption, 100)]
        lines += [
            textwrap.fill(note, 100, initial_indent="* ", subsequent_indent="  ")
            for note in self.notes
        ]
        lines += ["", f"Run directories ({len(self.runs)}):", *sorted(self.runs)]
        return "\n".join(lines) + "\n"

    def close(self) -> None:
        """Frees the canvas."""
        plt.close(self.canvas)
