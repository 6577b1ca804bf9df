"""The commands for images: images, arrays and fashion-mnist."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import array_file, fashion_mnist, image_preparation, picture_folder
from ..errors import USAGE, PrepareError, shown
from .image_preparation import Preparation
from ..options import add_splits, fraction, fractions_of, natural, numbers

NAMES = ("images", "arrays", "fashion-mnist")


def add(command: Callable[[str, str], argparse.ArgumentParser]) -> None:
    """Adds the commands; `command` adds one by its name and help."""

    def of_images(name: str, text: str) -> argparse.ArgumentParser:
        added = command(name, text)
        added.add_argument(
            "--model", help="model whose size of images and normalization are taken: name, or path"
        )
        added.add_argument("--name", help="name of the result (default SOURCE or SOURCE.MODEL)")
        added.add_argument(
            "--size",
            type=natural,
            metavar="N",
            help="resize to N x N (default: as the model has it)",
        )
        added.add_argument("--grey", action="store_true", help="one channel instead of three")
        for what, of in (("mean", "mean"), ("std", "standard deviation")):
            added.add_argument(
                f"--{what}",
                type=numbers,
                metavar="LIST",
                help=f"{of} of the channels, where 255 is 1 (default: the model's, or of train)",
            )
        return added

    images = of_images("images", "your own pictures: a folder for each class")
    images.add_argument(
        "folder", type=Path, metavar="FOLDER", help="FOLDER/train/LABEL/FILE, or FOLDER/LABEL/FILE"
    )
    for split in ("test", "validation"):
        images.add_argument(f"--{split}-folder", type=Path, help=f"LABEL/FILE of the {split} split")
    images.add_argument(
        "--client-folders",
        action="store_true",
        help="a folder for each client lies before those of classes: CLIENT/LABEL/FILE",
    )
    add_splits(images)

    arrays = of_images("arrays", "your own NumPy arrays of images and labels")
    arrays.add_argument(
        "files",
        type=Path,
        nargs="+",
        metavar="FILE",
        help="a .npz, or .npy files of images, labels and, if there are any, clients",
    )
    for split in ("test", "validation"):
        arrays.add_argument(
            f"--{split}-files", type=Path, nargs="+", metavar="FILE", help=f".npy files of {split}"
        )
    arrays.add_argument("--label-names", metavar="LIST", help="names of labels 0, 1, ...: a,b,c")
    add_splits(arrays)

    clothes = of_images("fashion-mnist", "Fashion-MNIST, classification of images")
    clothes.add_argument("--validation", type=fraction, default=0.1, help="of train (default 0.1)")
    clothes.add_argument("--seed", type=int, default=0, help="of the validation split")


def run(arguments: argparse.Namespace) -> None:
    """Does what a command of `NAMES` asks for."""

    def preparation(channels: int) -> Preparation:
        return image_preparation.of_options(
            arguments.model,
            channels,
            arguments.size,
            arguments.mean,
            arguments.std,
            arguments.grey,
        )

    def options(source: str) -> dict[str, Any]:
        model = arguments.model
        ending = f".{image_preparation.model_folder(model).resolve().name}" if model else ""
        return {
            "name": arguments.name or f"{source}{ending}",
            "seed": arguments.seed,
            "replace": arguments.replace,
        }

    if arguments.command == "fashion-mnist":
        fashion_mnist.prepare(
            preparation(1), validation=arguments.validation, **options("fashion-mnist")
        )
        return
    given = {
        split: getattr(
            arguments, f"{split}_{'folder' if arguments.command == 'images' else 'files'}"
        )
        for split in ("test", "validation")
    }
    given = {split: value for split, value in given.items() if value is not None}
    if arguments.command == "images":
        folders = {**picture_folder.splits_of(arguments.folder), **given}
        if arguments.split_clients and not arguments.client_folders:
            raise PrepareError("--split-clients needs --client-folders, or there are none", USAGE)
        picture_folder.prepare(
            folders,
            arguments.client_folders,
            preparation(3),
            fractions=fractions_of(arguments, folders),
            by_client=arguments.split_clients,
            **options(shown(arguments.folder.absolute().name)),
        )
        return
    paths = {"train": arguments.files, **given}
    arrays = array_file.splits_of(paths)
    if arguments.split_clients and arrays["train"].clients is None:
        raise PrepareError("--split-clients needs an array of clients", USAGE)
    names = arguments.label_names.split(",") if arguments.label_names else None
    if names and (len(set(names)) < len(names) or not all(name.strip() for name in names)):
        raise PrepareError("--label-names: a name is empty, or there twice", USAGE)
    array_file.prepare(
        paths,
        names,
        arrays,
        preparation(arrays["train"].channels),
        fractions=fractions_of(arguments, arrays),
        by_client=arguments.split_clients,
        **options(shown(arguments.files[0].stem)),
    )
