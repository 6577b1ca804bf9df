"""A corpus of pictures turned into an image data set: one safetensors file per split.

Tensors: `images` (U8, examples by height by width by channels, all of one size), `labels` (I32),
and where the corpus has them `clients` (I32, the natural owner). Metadata, all strings:
`image_mean` and `image_std` (JSON lists, of the channels), `normalization` (where these come from),
`label_names` and `client_names` (JSON lists), `source` and `split`. A model gets
(value / 255 - image_mean) / image_std.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from .. import safetensors_file
from ..tokens import token_dataset
from ..errors import PrepareError
from ..home import say
from .image_preparation import Preparation
from ..names import say_clients, say_labels
from ..tables.own_corpus import publish_own
from .picture import Picture
from ..tokens.token_dataset import SPLITS, Corpus

RECIPE = 1


Size = tuple[int, int]


def size_of(first: Picture, preparation: Preparation) -> Size:
    """Width and height of all images: those of the first one."""
    image = preparation.image(first)
    edge = preparation.size
    if edge is not None and image.size != (edge, edge):
        raise PrepareError(
            f"{first.where} has {image.width} x {image.height} pixels, and the model takes {edge} x"
            f" {edge} without resizing; give --size {edge} to resize all"
        )
    return image.size


def images_of(
    pictures: list[Picture], preparation: Preparation, size: Size, first: Picture
) -> Iterator[np.ndarray]:
    """The images, each (height, width, channels)."""
    for picture in pictures:
        image = preparation.image(picture)
        if image.size != size:
            raise PrepareError(
                f"{picture.where} has {image.width} x {image.height} pixels, and {first.where}"
                f" {size[0]} x {size[1]}; give --size N to resize all to N x N"
            )
        yield np.asarray(image).reshape(image.height, image.width, preparation.channels)


def mean_and_std(images: Iterator[np.ndarray], channels: int) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each channel, where 255 is 1; a constant channel has 1.

    Sums are of whole numbers, so that the order of images does not matter.
    """
    count, sums, squares = 0, [0] * channels, [0] * channels
    for image in images:
        values = image.reshape(-1, channels).astype(np.int64)
        count += len(values)
        for channel in range(channels):
            sums[channel] += int(values[:, channel].sum())
            squares[channel] += int((values[:, channel] ** 2).sum())
    means = [total / (count * 255) for total in sums]
    variances = [
        (count * square - total * total) / (count * 255) ** 2
        for total, square in zip(sums, squares)
    ]
    return [round(value, 6) for value in means], [round(v**0.5, 6) or 1.0 for v in variances]


def write(corpus: Corpus, preparation: Preparation, folder: Path) -> dict[str, Any]:
    """Writes SPLIT.safetensors for every split; returns the counts that the manifest keeps."""
    pictures = corpus.pictures
    first = pictures["train"][0]
    size = size_of(first, preparation)

    def images(split: str) -> Iterator[np.ndarray]:
        return images_of(pictures[split], preparation, size, first)

    mean, std = preparation.mean, preparation.std
    if mean is None:
        mean, std = mean_and_std(images("train"), preparation.channels)
    counts: dict[str, Any] = {}
    for split in SPLITS:
        if split not in pictures:
            continue
        count = len(pictures[split])
        metadata = {
            "source": corpus.source,
            "split": split,
            "image_mean": json.dumps(list(mean)),
            "image_std": json.dumps(list(std)),
            "normalization": preparation.normalization,
        }
        shape = (count, size[1], size[0], preparation.channels)
        columns = token_dataset.name_tensors(corpus, split, range(count), metadata)
        tensors = {name: safetensors_file.Tensor.of(array) for name, array in columns.items()}
        tensors["images"] = safetensors_file.Tensor("uint8", shape, partial(images, split))
        safetensors_file.write(folder / f"{split}.safetensors", tensors, metadata)
        counts[split] = {"examples": count}
        channels = "grey" if preparation.channels == 1 else "RGB"
        say(f"  {split}: {count} images, {size[0]} x {size[1]}, {channels}")
    numbers = ", ".join(f"{m:g} and {s:g}" for m, s in zip(mean, std))
    say(f"  mean and standard deviation of channels: {numbers} ({preparation.normalization})")
    say_labels(corpus.labels, corpus.class_names)
    if corpus.clients is not None:
        say_clients(corpus.clients)
    return counts


def publish_images(
    read: Callable[[], Corpus], preparation: Preparation, request: dict[str, Any], **options: Any
) -> Path:
    """NAME: the pictures that `read` gives; `options` are those of `own_corpus.publish_own`."""

    def make(corpus: Corpus, dropped: dict[str, int], folder: Path) -> dict[str, Any]:
        return write(corpus, preparation, folder)

    whole = {"recipe": RECIPE, "preparation": preparation.request, **request}
    return publish_own(read=read, request=whole, write=make, **options)
