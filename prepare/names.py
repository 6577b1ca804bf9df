"""Names of classes and clients: values of a file become names, and names become numbers."""

from __future__ import annotations

import json
import math
import re
from typing import Any

from .home import say

INTEGER = re.compile(r"-?\d{1,1000}")
SURROGATE = re.compile("[\ud800-\udfff]")
WHOLE = re.compile(r"(-?(?:0|[1-9]\d*))(?:\.0*)?")
DECIMAL = re.compile(r"-?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?")
EXACT = 1 << 53
"""From here on a float does not hold every integer."""

Column = dict[str, list[str]]


def name_of(value: Any) -> str | None:
    """The name that a value of a label or client column gives; None for a value that gives none.

    A whole number is one name however it is written: 1 and 1.0 are "1".
    """
    if isinstance(value, str):
        return value if value.strip() and not SURROGATE.search(value) else None
    if isinstance(value, float):
        if not math.isfinite(value) or (value.is_integer() and abs(value) > EXACT):
            return None
        return str(int(value)) if value.is_integer() else json.dumps(value)
    return json.dumps(value) if isinstance(value, (bool, int)) else None


def fold_whole_numbers(column: Column) -> list[str]:
    """Writes 1.0 as 1 where all names of a column are whole numbers; returns those that changed.

    Tables of another program have 1.0 for 1 where a column has a gap.
    """
    changed = {}
    for name in {name for rows in column.values() for name in rows}:
        match = WHOLE.fullmatch(name)
        if match is None:
            return []
        plain = "0" if match[1] == "-0" else match[1]
        if plain != name:
            changed[name] = plain
    for split, rows in column.items():
        column[split] = [changed.get(name, name) for name in rows]
    return in_order(changed)


def in_order(names: Any) -> list[str]:
    """Distinct names in the order of their numbers: numbers by value, all else as text."""
    distinct = sorted(set(names))
    if all(INTEGER.fullmatch(name) for name in distinct):
        return sorted(distinct, key=int)
    if all(DECIMAL.fullmatch(name) for name in distinct):
        return sorted(distinct, key=float)
    return distinct


def all_names(column: Column | None) -> list[str]:
    """The distinct names of a column over all splits, in the order of their numbers."""
    return in_order(name for rows in column.values() for name in rows) if column else []


def listed(names: list[str], most: int = 12) -> str:
    """Names for people, the first ones where there are many."""
    more = len(names) - most
    return ", ".join(repr(name) for name in names[:most]) + (
        f" and {more} more" if more > 0 else ""
    )


def say_labels(column: Column, names: list[str] | None = None) -> None:
    """Prints the classes with their numbers and counts, and the labels that no client can learn.

    `names` are the classes in their order, if that is another one.
    """
    names = names or all_names(column)
    counts = dict.fromkeys(names, 0)
    for name in column["train"]:
        counts[name] += 1
    shown = [f"{number} = {name!r} ({counts[name]})" for number, name in enumerate(names[:20])]
    more = f" and {len(names) - 20} more" if len(names) > 20 else ""
    classes = "1 class" if len(names) == 1 else f"{len(names)} classes"
    say(f"  labels: {classes} (of train): {', '.join(shown)}{more}")
    for split, rows in column.items():
        unseen = in_order(name for name in rows if not counts[name])
        if unseen:
            say(
                f"  warning: train has no example of {len(unseen)} labels of {split}, which nobody"
                f" can learn: {listed(unseen)}"
            )


def say_clients(column: Column) -> None:
    """Prints how many clients there are, and which have nothing to train on."""
    names = all_names(column)
    idle = in_order(set(names) - set(column["train"]))
    say(f"  clients: {len(names)}: {listed(names, 6)}")
    if idle:
        say(f"  warning: {len(idle)} clients have no training example: {listed(idle)}")
