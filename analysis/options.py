"""The values of the command line's options."""

from __future__ import annotations

import argparse
import re

FORMATS = ("pdf", "svg", "png")
UNITS = {"in": 1.0, "cm": 1 / 2.54, "mm": 1 / 25.4, "pt": 1 / 72.27}


def width(text: str) -> float:
    """A width in inches, of a text such as 3.3in, 8cm, 84mm or 240pt."""
    match = re.fullmatch(r"(\d+\.?\d*|\.\d+)\s*(in|cm|mm|pt)?", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"'{text}' is no width such as 3.3in, 8cm or 240pt")
    inches = float(match[1]) * UNITS[match[2] or "in"]
    if not 2 <= inches <= 20:
        raise argparse.ArgumentTypeError(f"{text} is not between 2in and 20in")
    return inches


def formats(text: str) -> list[str]:
    """A list of file formats."""
    names = [name.strip().lower() for name in text.split(",") if name.strip()]
    wrong = [name for name in names if name not in FORMATS]
    if wrong or not names:
        raise argparse.ArgumentTypeError(f"'{text}' is not a list of {', '.join(FORMATS)}")
    return names


def renaming(text: str) -> tuple[str, str]:
    """NAME=TEXT."""
    name, equals, label = text.partition("=")
    if not (name and equals and label):
        raise argparse.ArgumentTypeError(f"'{text}' is not NAME=TEXT")
    return name, label


def names(text: str) -> list[str]:
    """A list of names, separated by commas."""
    return [name.strip() for name in text.split(",") if name.strip()]
