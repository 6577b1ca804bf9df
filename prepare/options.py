"""Options that several commands share, and the kinds of their values."""

from __future__ import annotations

import argparse
import math
from collections.abc import Collection

from .errors import USAGE, PrepareError


def fraction(text: str) -> float:
    """A number from 0 up to, not including, 1."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"{text} is no number from 0 up to, not including, 1")
    return value


def natural(text: str) -> int:
    """A whole number from 1."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is no whole number of 1 or more")
    return value


def add_splits(added: argparse.ArgumentParser) -> None:
    """The options of splits that are cut off train, where they are not there."""
    added.add_argument("--test", type=fraction, default=0.2, help="of all (default 0.2)")
    added.add_argument("--validation", type=fraction, default=0.1, help="of all (default 0.1)")
    added.add_argument("--seed", type=int, default=0, help="of the splits")
    added.add_argument(
        "--split-clients",
        action="store_true",
        help="split off whole clients, so that a test client is in no other split",
    )


def fractions_of(arguments: argparse.Namespace, there: Collection[str]) -> dict[str, float]:
    """The shares of train that become splits, of those that are not there."""
    found = {
        split: getattr(arguments, split) for split in ("test", "validation") if split not in there
    }
    if sum(found.values()) >= 1:
        raise PrepareError(
            "--test and --validation leave nothing to train on; their sum has to be below 1", USAGE
        )
    if found.get("test") == 0:
        raise PrepareError(
            "--test 0: a data set needs a test split; give a fraction, or the test examples", USAGE
        )
    return found


def numbers(text: str) -> list[float]:
    """Numbers with commas between them."""
    try:
        found = [float(part) for part in text.split(",")]
    except ValueError:
        found = []
    if not found or not all(map(math.isfinite, found)):
        raise argparse.ArgumentTypeError(f"{text} is no number, or three with commas between them")
    return found


def add_tokenizer(added: argparse.ArgumentParser, is_required: bool = True) -> None:
    """The tokenizer, how long examples are, and the name of the result."""
    added.add_argument(
        "--tokenizer", required=is_required, help="prepared model's name, or a directory (with a /)"
    )
    added.add_argument("--length", type=natural, default=128, help="tokens kept (default 128)")
    added.add_argument("--name", help="name of the result (default CORPUS.TOKENIZER)")


def add_template(added: argparse.ArgumentParser) -> None:
    """How prompts and answers become a text."""
    added.add_argument(
        "--template",
        choices=("model", "plain"),
        default="model",
        help="the model's chat template, or the prompt and then the answer (default model)",
    )
