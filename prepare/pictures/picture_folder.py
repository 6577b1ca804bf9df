"""Folders of pictures: SPLIT/LABEL/FILE or LABEL/FILE, with a folder for each client before LABEL
where that is asked for.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from ..errors import MISSING, PrepareError, naming, plain_errors, shown
from ..home import sha256_of
from .image_dataset import publish_images
from .image_preparation import Preparation
from ..names import SURROGATE
from .picture import PictureFile
from ..tokens.token_dataset import Corpus

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
SPLIT_NAMES = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing"),
}
IGNORED = ("thumbs.db", "desktop.ini")


def splits_of(folder: Path) -> dict[str, Path]:
    """The folders of the splits; a folder without one called train is the folder of train."""
    found = {}
    for split, names in SPLIT_NAMES.items():
        there = [folder / name for name in names if (folder / name).is_dir()]
        if len(there) > 1:
            raise PrepareError(f"{shown(there[0])} and {shown(there[1])}: which is {split}?")
        if there:
            found[split] = there[0]
    return found if "train" in found else {"train": folder}


def entries(folder: Path, are_folders: bool) -> list[Path]:
    """What a folder has, sorted; without hidden files and those of file managers."""
    with plain_errors("read"), naming(folder):
        if not folder.is_dir():
            raise PrepareError(f"{shown(folder)}: no such folder; check the path", MISSING)
        found = sorted(
            entry
            for entry in folder.iterdir()
            if not entry.name.startswith(".") and entry.name.lower() not in IGNORED
        )
    for entry in found:
        if are_folders and not entry.is_dir():
            raise PrepareError(
                f"{shown(entry)}: a file where folders of classes or clients were expected; move it"
                " away"
            )
        if SURROGATE.search(entry.name) and are_folders:
            raise PrepareError(f"{shown(entry)}: its name is not UTF-8; rename the folder")
    return found


def files_below(folder: Path) -> list[Path]:
    """The pictures of a class, also those in folders within it."""
    found = []
    for entry in entries(folder, False):
        if entry.is_dir():
            found += files_below(entry)
        elif entry.suffix.lower() not in SUFFIXES:
            known = ", ".join(SUFFIXES)
            raise PrepareError(f"{shown(entry)}: no known kind of picture ({known}); move it away")
        else:
            found.append(entry)
    if not found:
        raise PrepareError(f"{shown(folder)}: no pictures; fill the folder or remove it")
    return found


Row = tuple[Path, str, str]
"""A file, its class and its client."""


def rows_of(folder: Path, has_clients: bool) -> list[Row]:
    """The files of a split in the order of their paths."""
    rows = []
    owners = (
        [(owner, owner.name) for owner in entries(folder, True)] if has_clients else [(folder, "")]
    )
    for owner, client in owners:
        for label in entries(owner, True):
            rows += [(path, label.name, client) for path in files_below(label)]
    if not rows:
        layout = "CLIENT/LABEL/FILE" if has_clients else "LABEL/FILE"
        raise PrepareError(f"{shown(folder)}: no folders of classes; {layout} was expected")
    return rows


def prepare(
    folders: dict[str, Path], has_clients: bool, preparation: Preparation, **options: Any
) -> Path:
    """NAME: the pictures of the folders of splits."""
    rows = {split: rows_of(folder, has_clients) for split, folder in folders.items()}
    pictures = {
        split: [PictureFile(path, sha256_of(path)) for path, _, _ in found]
        for split, found in rows.items()
    }
    digests = {split: _digest(folders[split], found) for split, found in pictures.items()}

    def read() -> Corpus:
        return Corpus(
            ", ".join(shown(folder.absolute().name) for folder in folders.values()),
            {split: [picture.where for picture in found] for split, found in pictures.items()},
            {split: [label for _, label, _ in found] for split, found in rows.items()},
            {split: [client for _, _, client in found] for split, found in rows.items()}
            if has_clients
            else None,
            pictures=dict(pictures),
            sources=[
                {
                    "folder": shown(folder.absolute()),
                    "sha256": digests[split],
                    "licence": "the owner's",
                }
                for split, folder in folders.items()
            ],
        )

    request = {"folders": digests, "clients": has_clients}
    return publish_images(read, preparation, request, **options)


def _digest(folder: Path, pictures: list[PictureFile]) -> str:
    """The SHA-256 of all paths within a folder and the hashes of their files."""
    lines = [
        f"{shown(picture.path.relative_to(folder))}\0{picture.sha256}\n" for picture in pictures
    ]
    return hashlib.sha256("".join(lines).encode()).hexdigest()
