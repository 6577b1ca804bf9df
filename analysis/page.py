"""index.html: all figures with captions and tables, and the runs, in one file without links."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from html import escape
from pathlib import Path

import pandas as pd

from .figure import Figure

STYLE = """
body { font: 15px/1.5 sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em; color: #222 }
h2 { margin-top: 2.5em; border-top: 1px solid #ccc; padding-top: 1em; font-size: 1.2em }
img { max-width: 100%; display: block }
table { border-collapse: collapse; font-size: 12px; font-variant-numeric: tabular-nums }
th { border-bottom: 1px solid #222; text-align: left } td, th { padding: 2px 8px }
tr:nth-child(even) td { background: #f5f5f5 }
.wide { overflow-x: auto } li, summary { font-size: 13px } code { font-size: 12px }
"""
RUN_COLUMNS = {
    "run": "run",
    "label": "method",
    "seed": "seed",
    "digest": "digest",
    "version": "version",
    "hosts": "hosts",
    "ranks": "ranks",
    "start": "start",
}


@dataclass
class Entry:
    """A figure's part of the page."""

    name: str
    html: str


def cell(value: object) -> str:
    """A value in a table."""
    if isinstance(value, float):
        return "" if value != value else f"{value:.6g}"
    return escape(str(value))


def html_table(table: pd.DataFrame, names: dict[str, str] | None = None) -> str:
    """A table, wider ones with a scroll bar of their own."""
    names = names or {column: column for column in table.columns}
    head = "".join(f"<th>{escape(name)}</th>" for name in names.values())
    rows = "".join(
        "<tr>" + "".join(f"<td>{cell(row[column])}</td>" for column in names) + "</tr>\n"
        for row in table.to_dict("records")
    )
    return (
        f'<div class="wide"><table><thead><tr>{head}</tr></thead>\n'
        f"<tbody>{rows}</tbody></table></div>"
    )


def entry(name: str, figure: Figure) -> Entry:
    """A figure as a picture in the page, with its caption, notes, tables and runs."""
    picture = base64.b64encode(figure.picture("svg")).decode()
    notes = "".join(f"<li>{escape(note)}</li>" for note in figure.notes)
    tables = "".join(
        f"<details><summary>Table {escape(suffix or name)}: {len(table)} rows</summary>"
        f"{html_table(table)}</details>\n"
        for suffix, table in figure.tables.items()
    )
    runs = "".join(f"<li><code>{escape(run)}</code></li>" for run in sorted(figure.runs))
    return Entry(
        name,
        f'<section id="{escape(name)}">\n<h2>{escape(name)}</h2>\n'
        f'<img alt="{escape(name)}" src="data:image/svg+xml;base64,{picture}">\n'
        f"<p>{escape(figure.caption)}</p>\n<ul>{notes}</ul>\n{tables}"
        f"<details><summary>{len(figure.runs)} runs</summary><ul>{runs}</ul></details>\n"
        "</section>\n",
    )


def write(folder: Path, entries: list[Entry], runs: pd.DataFrame, left_out: list[str]) -> Path:
    """Writes index.html into the folder of the figures."""
    folder.mkdir(parents=True, exist_ok=True)
    contents = "".join(
        f'<li><a href="#{escape(entry.name)}">{escape(entry.name)}</a></li>' for entry in entries
    )
    names = {column: name for column, name in RUN_COLUMNS.items() if column in runs.columns}
    lines = "".join(f"<li>{escape(line)}</li>" for line in left_out)
    missing = f'<h2 id="left-out">Left out</h2>\n<ul>{lines}</ul>\n' if left_out else ""
    text = (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>Figures of {len(runs)} runs</title><style>{STYLE}</style></head>\n<body>\n"
        f"<h1>Figures of {len(runs)} runs</h1>\n<ul>{contents}</ul>\n"
        + "".join(entry.html for entry in entries)
        + f'<h2 id="runs">Runs</h2>\n{html_table(runs, names)}\n{missing}</body></html>\n'
    )
    path = folder / "index.html"
    path.write_text(text, encoding="utf-8")
    return path
