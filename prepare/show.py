"""Examples of a token data set as text: what a model gets, with labels, owners and answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open

from .errors import MISSING, USAGE, PrepareError, shown
from .home import expanded, home, is_there, say
from .token_dataset import SPLITS, held_out
from .tokenizer_directory import TokenizerDirectory, library_errors


def opened(name: str, split: str) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The tensors and the metadata of a split of a data set, by name or path."""
    folder = expanded(name) if "/" in name or name.startswith(".") else home() / name
    path = folder / f"{split}.safetensors"
    if not is_there(path):
        raise PrepareError(f"{shown(path)}: no such file; check the name and --split", MISSING)
    with safe_open(str(path), "numpy") as file:
        return {key: file.get_tensor(key) for key in file.keys()}, file.metadata() or {}


def facts(tensors: dict[str, np.ndarray], metadata: dict[str, str], index: int) -> str:
    """What is known of an example besides its tokens."""

    def named(kind: str, number: int) -> str:
        names = json.loads(metadata.get(f"{kind}_names", "[]"))
        return names[number] if number < len(names) else str(number)

    found = []
    if "choice_counts" in tensors:
        count = int(tensors["choice_counts"][index])
        found.append(f"{count} choices, number {int(tensors['labels'][index])} is right")
    elif "labels" in tensors:
        found.append(f"label {named('label', int(tensors['labels'][index]))}")
    if "label_sets" in tensors:
        places = np.flatnonzero(tensors["label_sets"][index]).tolist()
        found.append("labels " + (", ".join(named("label", place) for place in places) or "none"))
    if "scores" in tensors:
        found.append(f"score {float(tensors['scores'][index]):g}")
    if "clients" in tensors:
        found.append(f"client {named('client', int(tensors['clients'][index]))}")
    return ", ".join(found)


def show(name: str, split: str, count: int, tokenizer: str | None) -> None:
    """Prints some examples, the same ones each time."""
    if split not in SPLITS:
        raise PrepareError(f"--split {split}: one of {', '.join(SPLITS)} was expected", USAGE)
    tensors, metadata = opened(name, split)
    directory = TokenizerDirectory.find(tokenizer or metadata.get("tokenizer", "?"))
    if metadata.get("tokenizer_sha256", directory.sha256) != directory.sha256:
        raise PrepareError(
            f"{shown(name)} was made with another tokenizer than {shown(str(directory.path))}; give"
            " its directory by --tokenizer",
            USAGE,
        )
    engine = directory.load(None)

    def text(ids: Any) -> str:
        with library_errors(Path(directory.path)):
            return engine.decode([int(token) for token in ids], skip_special_tokens=False)

    offsets = tensors["offsets"]
    total = len(offsets) - 1
    chosen = held_out(0, (f"show/{index}" for index in range(total)), min(count, total))
    for index in np.flatnonzero(chosen).tolist():
        place = slice(int(offsets[index]), int(offsets[index + 1]))
        ids = tensors["tokens"][place]
        about = facts(tensors, metadata, index)
        say(f"{split} {index}: {len(ids)} tokens" + (f", {about}" if about else ""))
        say(f"  text: {text(ids)!r}")
        if "loss" in tensors:
            say(f"  answer: {text(ids[tensors['loss'][place] == 1])!r}")
