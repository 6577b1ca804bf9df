"""A person's own examples, texts or images: split by a seed, written and published as a corpus."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from .. import names
from ..tokens import token_dataset
from ..home import say
from ..publishing import publish
from ..tokens.token_dataset import Corpus


def publish_own(
    read: Callable[[], Corpus],
    name: str,
    fractions: dict[str, float],
    seed: int,
    by_client: bool,
    replace: bool,
    request: dict[str, Any],
    write: Callable[[Corpus, dict[str, int], Path], dict[str, Any]],
    shares_files: bool = False,
) -> Path:
    """NAME: what `read` gives; splits in `fractions` are cut off `train` by the seed.

    `write` gets the corpus, the rows left out of each split because they are empty, and a folder.
    It returns the counts that the manifest keeps. `request` is what it depends on besides the rest.
    """

    def make(folder: Path) -> dict[str, Any]:
        if shares_files:
            say("  warning: two splits are the same file, so that results on them say nothing")
        corpus = read()
        dropped = token_dataset.drop_empty(corpus)
        fold_names(corpus)
        token_dataset.split_fractions(corpus, fractions, seed, by_client)
        counts = write(corpus, dropped, folder)
        return {"sources": corpus.sources, "counts": counts}

    whole = {
        "fractions": fractions,
        "seed": seed,
        **({"split_by": "client"} if by_client else {}),
        **request,
    }
    return publish(name, whole, make, replace)


def fold_names(corpus: Corpus) -> None:
    """Writes 1.0 as 1 in labels and clients that are whole numbers, and says so."""
    labels = None if corpus.class_names else corpus.labels
    for purpose, column in (("labels", labels), ("clients", corpus.clients)):
        changed = names.fold_whole_numbers(column) if column else []
        if changed:
            say(f"  {purpose} {names.listed(changed, 4)} are read as whole numbers")
