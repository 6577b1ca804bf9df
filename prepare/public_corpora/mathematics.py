"""A corpus of instructions: school mathematics of the package mathematics-dataset (Saxton et al.,
arXiv 1904.01557), whose modules are the clients. Answers are short, so that they can be matched
exactly.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from .. import wheels
from ..tables import chat_file
from ..tokens.chat_template import ChatTemplate
from ..errors import SOFTWARE, USAGE, PrepareError, nearest, one_line
from ..home import say
from ..publishing import publish
from ..tokens.token_dataset import Corpus
from ..tokens.tokenizer_directory import TokenizerDirectory

RECIPE = 1
LEVELS = ("easy", "medium", "hard")
PACKAGES = (wheels.MATHEMATICS, wheels.SYMPY, wheels.MPMATH, wheels.ABSL, wheels.SIX)
MODULES = (
    "algebra__linear_1d",
    "algebra__linear_2d",
    "algebra__sequence_next_term",
    "arithmetic__add_or_sub",
    "arithmetic__add_or_sub_in_base",
    "arithmetic__add_sub_multiple",
    "arithmetic__div",
    "arithmetic__mixed",
    "arithmetic__mul",
    "arithmetic__mul_div_multiple",
    "arithmetic__nearest_integer_root",
    "comparison__closest",
    "comparison__kth_biggest",
    "comparison__pair",
    "comparison__sort",
    "measurement__conversion",
    "measurement__time",
    "numbers__base_conversion",
    "numbers__div_remainder",
    "numbers__gcd",
    "numbers__is_factor",
    "numbers__is_prime",
    "numbers__lcm",
    "numbers__list_prime_factors",
    "numbers__place_value",
    "numbers__round_number",
    "polynomials__evaluate",
)
"""Those that work with the NumPy of today, without the composed ones."""


def questions(settings: dict[str, Any]) -> list[list[str]]:
    """Module, question and answer of each example, by a process with old packages."""
    paths = [str(wheels.fetch(package)) for package in PACKAGES]
    script = Path(__file__).with_name("mathematics_generator.py")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONHASHSEED": "0"}
    done = subprocess.run(
        [sys.executable, str(script), json.dumps(settings)],
        capture_output=True,
        text=True,
        env=environment,
        stdin=subprocess.DEVNULL,
    )
    if done.returncode != 0:
        last = (done.stderr.splitlines() or ["?"])[-1]
        raise PrepareError(f"mathematics-dataset failed: {one_line(last)}", SOFTWARE)
    return [json.loads(line) for line in done.stdout.splitlines()]


def corpus_of(rows: list[list[str]], sizes: dict[str, int]) -> Corpus:
    """The rows by split: the first of each module go to train, then validation, then test."""
    by_module: dict[str, list[list[str]]] = {}
    for row in rows:
        by_module.setdefault(row[0], []).append(row)
    found: dict[str, list[list[str]]] = {split: [] for split in sizes}
    for module, members in by_module.items():
        if len(members) < sum(sizes.values()):
            raise PrepareError(
                f"module {module} has only {len(members)} different questions; give fewer examples",
                USAGE,
            )
        start = 0
        for split, size in sizes.items():
            found[split] += members[start : start + size]
            start += size

    def column(index: int) -> dict[str, list[str]]:
        return {split: [row[index] for row in members] for split, members in found.items()}

    return Corpus(
        "mathematics-dataset 1.0.1",
        column(1),
        clients=column(0),
        answers=column(2),
        sources=[package.source([]) for package in PACKAGES],
    )


def prepare(
    tokenizer: TokenizerDirectory,
    length: int | None,
    name: str | None,
    modules: str | None,
    sizes: dict[str, int],
    level: str,
    seed: int,
    is_plain: bool,
    replace: bool,
) -> Path:
    """mathematics.TOKENIZER: instruction tuning, one client per module."""
    tokenizer.load(length)
    template = ChatTemplate(tokenizer, is_plain)
    chosen = modules.split(",") if modules else list(MODULES)
    for module in chosen:
        if module not in MODULES:
            near = nearest(module, MODULES) or f"; there are {', '.join(MODULES)}"
            raise PrepareError(f"--modules {module}: no such module{near}", USAGE)
    settings = {
        "seed": seed,
        "level": LEVELS.index(level),
        "levels": len(LEVELS),
        "modules": chosen,
        "count": sum(sizes.values()),
    }

    def make(folder: Path) -> dict[str, Any]:
        say("  generating questions")
        corpus = corpus_of(questions(settings), sizes)
        sources = corpus.sources
        counts = chat_file.write(corpus, template, tokenizer, length, folder, {})
        return {"sources": sources, "counts": counts}

    request = {
        "recipe": RECIPE,
        "sources": [package.sha256 for package in PACKAGES],
        **settings,
        "sizes": sizes,
        **tokenizer.request,
        **chat_file.template_request(template),
        "length": length,
    }
    return publish(name or f"mathematics.{tokenizer.name}", request, make, replace)


