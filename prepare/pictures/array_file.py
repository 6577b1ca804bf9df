"""NumPy arrays of images and labels: .npy files, or one .npz with all of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import USAGE, PrepareError, naming, one_line, plain_errors, shown
from ..home import sha256_of
from .image_dataset import publish_images
from .image_preparation import Preparation
from ..names import name_of
from .picture import Picture, PictureArray
from ..tables.row_file import require_file
from ..tokens.token_dataset import Corpus

KEYS = {
    "train": (("x_train", "y_train"), ("train_images", "train_labels"), ("images", "labels")),
    "validation": (
        ("x_val", "y_val"),
        ("val_images", "val_labels"),
        ("validation_images", "validation_labels"),
    ),
    "test": (("x_test", "y_test"), ("test_images", "test_labels")),
}
"""Names of arrays in a .npz, as Keras, MedMNIST and we have them."""
CLIENTS = {
    "train": ("clients", "train_clients"),
    "validation": ("val_clients", "validation_clients"),
    "test": ("test_clients",),
}


class Arrays:
    """Images, labels and, where there are any, clients of one split."""

    def __init__(
        self, where: str, images: np.ndarray, labels: np.ndarray, clients: np.ndarray | None
    ):
        self.where = where
        self.images = self._checked(images)
        self.labels = self._names(labels, "labels")
        self.clients = None if clients is None else self._names(clients, "clients")

    @property
    def channels(self) -> int:
        """1 for grey images, 3 for RGB."""
        return 3 if self.images.ndim == 4 else 1

    @property
    def pictures(self) -> list[Picture]:
        """The images, each of which is read when it is opened."""

        def row(index: int) -> Callable[[], np.ndarray]:
            return lambda: self.images[index]

        return [PictureArray(f"{self.where}, image {i}", row(i)) for i in range(len(self.images))]

    def _checked(self, images: np.ndarray) -> np.ndarray:
        """Bytes, (n, height, width) or (n, height, width, 3)."""
        shape = list(images.shape)
        if images.ndim == 4 and shape[3] == 1:
            images = images[..., 0]
        if images.dtype != np.uint8:
            raise PrepareError(
                f"{self.where}: images are {images.dtype}, not uint8; save values 0 to 255"
            )
        if images.ndim == 4 and images.shape[3] != 3 and shape[1] in (1, 3):
            raise PrepareError(
                f"{self.where}: images are {shape}, with channels before height and width; save"
                " images.transpose(0, 2, 3, 1)"
            )
        is_known = images.ndim == 3 or (images.ndim == 4 and images.shape[3] == 3)
        if not is_known or 0 in shape:
            raise PrepareError(
                f"{self.where}: images are {shape}; [n, height, width] or [n, height, width, 3] was"
                " expected"
            )
        return images

    def _names(self, values: np.ndarray, what: str) -> list[str]:
        """Labels or clients as names."""
        if values.ndim == 2 and values.shape[1] == 1:
            values = values[:, 0]
        if values.shape != (len(self.images),):
            raise PrepareError(
                f"{self.where}: {what} are {list(values.shape)} for {len(self.images)} images; one"
                " number or text an image was expected"
            )
        plain = values.tolist()
        found = [name_of(value) for value in plain]
        if None in found:
            place = found.index(None)
            raise PrepareError(
                f"{self.where}: {what}, image {place}: {one_line(repr(plain[place]), 60)} names"
                " nothing"
            )
        return found


def load(path: Path) -> Any:
    """An array of a .npy, which is mapped, or the arrays of a .npz by name."""
    require_file(path)
    try:
        with plain_errors("read"), naming(path):
            mapped = "r" if path.suffix.lower() == ".npy" else None
            found = np.load(path, mmap_mode=mapped, allow_pickle=False)
            return found if isinstance(found, np.ndarray) else {key: found[key] for key in found}
    except (PrepareError, MemoryError):
        raise
    except Exception as error:  # a damaged header raises what it likes
        cause = one_line(error, 150)
        if "allow_pickle" in cause or "Python objects" in cause:
            cause = "it holds Python objects; save plain arrays of numbers or texts"
        raise PrepareError(f"{shown(path)}: not a readable NumPy file: {cause}") from error


def splits_of(paths: dict[str, list[Path]]) -> dict[str, Arrays]:
    """The arrays of all splits: images, labels and clients in files, or a .npz with all of them."""
    found: dict[str, Arrays] = {}
    for split, files in paths.items():
        loaded = [load(path) for path in files]
        if len(files) == 1 and isinstance(loaded[0], dict):
            if split != "train":
                raise PrepareError(
                    "a .npz has all splits; name the arrays of the others in it", USAGE
                )
            found.update(_named(shown(files[0]), loaded[0]))
        elif len(files) in (2, 3) and not any(isinstance(array, dict) for array in loaded):
            clients = loaded[2] if len(files) == 3 else None
            found[split] = Arrays(shown(files[0]), loaded[0], loaded[1], clients)
        else:
            raise PrepareError(
                "give one .npz, or a .npy of images, one of labels and, if there are clients, one"
                " of them",
                USAGE,
            )
    return found


def _named(where: str, arrays: dict[str, np.ndarray]) -> dict[str, Arrays]:
    """The splits of a .npz."""
    found = {}
    for split, pairs in KEYS.items():
        for images, labels in pairs:
            if images in arrays and labels not in arrays:
                raise PrepareError(f"{where} has {images} without {labels}; add the labels to it")
            if images in arrays and split not in found:
                clients = next((arrays[key] for key in CLIENTS[split] if key in arrays), None)
                at = f"{where}, {images}"
                found[split] = Arrays(at, arrays[images], arrays[labels], clients)
    if "train" not in found:
        raise PrepareError(
            f"{where} has the arrays {', '.join(arrays) or 'none'}; expected are "
            + ", or ".join(f"{images} and {labels}" for images, labels in KEYS["train"])
        )
    return found


def prepare(
    paths: dict[str, list[Path]],
    class_names: list[str] | None,
    arrays: dict[str, Arrays],
    preparation: Preparation,
    **options: Any,
) -> Path:
    """NAME: the arrays of `splits_of`; `class_names` are the classes with numbers from 0."""
    hashes = {split: [sha256_of(path) for path in files] for split, files in paths.items()}
    train = arrays["train"]
    if any(split.channels != train.channels for split in arrays.values()):
        raise PrepareError(f"{train.where}: images of other splits have other channels")

    def labels(split: str) -> list[str]:
        found = arrays[split].labels
        if class_names is None:
            return found
        for place, label in enumerate(found):
            if not (label.isdecimal() and int(label) < len(class_names)):
                raise PrepareError(
                    f"{arrays[split].where}: image {place} has label {label} of"
                    f" {len(class_names)} names of --label-names"
                )
        return [class_names[int(label)] for label in found]

    def read() -> Corpus:
        pictures = {split: found.pictures for split, found in arrays.items()}
        clients = {split: found.clients for split, found in arrays.items() if found.clients}
        return Corpus(
            ", ".join(shown(path.name) for files in paths.values() for path in files),
            {split: [picture.where for picture in found] for split, found in pictures.items()},
            {split: labels(split) for split in arrays},
            clients if train.clients else None,
            pictures=pictures,
            class_names=class_names,
            sources=[
                {"file": shown(path.absolute()), "sha256": digest, "licence": "the owner's"}
                for split, files in paths.items()
                for path, digest in zip(files, hashes[split])
            ],
        )

    request = {"files": hashes, "label_names": class_names}
    return publish_images(read, preparation, request, **options)
