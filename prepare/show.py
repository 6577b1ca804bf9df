"""Examples of a data set: what a model gets, as text or picture, with labels and owners."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from safetensors import safe_open

from .errors import MISSING, USAGE, PrepareError, naming, plain_errors, shown
from .home import directory_of, is_there, say
from .tokens.token_dataset import SPLITS, held_out
from .tokens.tokenizer_directory import TokenizerDirectory, library_errors


def opened(name: str, split: str) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The tensors and the metadata of a split of a data set, by name or path."""
    path = directory_of(name) / f"{split}.safetensors"
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


def chosen(total: int, count: int) -> list[int]:
    """Which examples are shown."""
    found = held_out(0, (f"show/{index}" for index in range(total)), min(count, total))
    return np.flatnonzero(found).tolist()


def show_images(
    tensors: dict[str, np.ndarray],
    metadata: dict[str, str],
    split: str,
    count: int,
    pictures: Path | None,
) -> None:
    """Prints what is known of some images, and writes them to a folder."""
    images = tensors["images"]
    _, height, width, channels = images.shape
    kind = "grey" if channels == 1 else "RGB"
    if pictures is not None:
        with plain_errors("--pictures"):
            pictures.mkdir(parents=True, exist_ok=True)
    for index in chosen(len(images), count):
        say(f"{split} {index}: {width} x {height} {kind}, {facts(tensors, metadata, index)}")
        if pictures is not None:
            image = Image.fromarray(images[index][..., 0] if channels == 1 else images[index])
            path = pictures / f"{split}-{index}.png"
            with plain_errors("--pictures"), naming(path):
                image.save(path)
            say(f"  {shown(path)}")


def show(
    name: str, split: str, count: int, tokenizer: str | None, pictures: Path | None = None
) -> None:
    """Prints some examples, the same ones each time; of images writes PNG files to `pictures`."""
    if split not in SPLITS:
        raise PrepareError(f"--split {split}: one of {', '.join(SPLITS)} was expected", USAGE)
    tensors, metadata = opened(name, split)
    if "images" in tensors:
        show_images(tensors, metadata, split, count, pictures)
        return
    if pictures is not None:
        raise PrepareError(f"--pictures: {shown(name)} has texts, not images", USAGE)
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
    for index in chosen(len(offsets) - 1, count):
        place = slice(int(offsets[index]), int(offsets[index + 1]))
        ids = tensors["tokens"][place]
        about = facts(tensors, metadata, index)
        say(f"{split} {index}: {len(ids)} tokens" + (f", {about}" if about else ""))
        say(f"  text: {text(ids)!r}")
        if "loss" in tensors:
            say(f"  answer: {text(ids[tensors['loss'][place] == 1])!r}")
