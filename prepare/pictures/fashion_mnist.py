"""Fashion-MNIST: 70 000 grey pictures of clothes, 28 x 28, in 10 classes (Xiao et al. 2017).

The files are those of the Debian package dataset-fashion-mnist: where it installs them, in
$CELLM_HOME/downloads/fashion-mnist, or unpacked there from the package, which apt-get downloads. In
an IDX file a 4-byte magic number says type and dimensions, whose sizes follow as 4 bytes each, big
endian; then come the values.
"""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import tempfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from .array_file import Arrays
from ..errors import UNAVAILABLE, PrepareError, naming, one_line, plain_errors, shown
from ..home import home, is_there, locked, say, sha256_of, sync
from .image_dataset import publish_images
from .image_preparation import Preparation
from ..tokens.token_dataset import Corpus

PACKAGE = "dataset-fashion-mnist"
INSTALLED = Path("/usr/share/datasets/fashion-mnist")
CLASSES = [
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
]
DIGESTS = {
    "train-images-idx3": "b0564c3eedabfbf835052cff8503ea422014ce006caf5b757f851416ee8300c7",
    "train-labels-idx1": "0ae29f65d86684f32d1b9c85147786c547b9c6aebcaf235f0400a0cce308b056",
    "t10k-images-idx3": "cc1d090a38ace84dfa1aa66e3ada7c336ef481a96936906477e6dd344da56eaa",
    "t10k-labels-idx1": "8d3605d196f4be44669e46906da9733c8131fef761fdbfec72c424d5222f1a05",
}
FILES = {f"{name}-ubyte.gz": digest for name, digest in DIGESTS.items()}
PREFIX = {"train": "train", "test": "t10k"}


def read_idx(path: Path) -> np.ndarray:
    """The bytes of a compressed IDX file, in its shape. Raises PrepareError."""
    try:
        with naming(path), gzip.open(path, "rb") as file:
            data = file.read()
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise PrepareError(f"{shown(path)}: not a whole gzip file: {one_line(error)}") from error
    count = data[3] if len(data) >= 4 else 0
    start = 4 + 4 * count
    shape = [int.from_bytes(data[at : at + 4], "big") for at in range(4, start, 4)]
    if data[:3] != b"\0\0\x08" or count == 0 or len(data) - start != int(np.prod(shape)):
        raise PrepareError(f"{shown(path)}: not an IDX file of bytes, or cut")
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)


def folder() -> Path:
    """The folder with the files, which are fetched where they are nowhere yet."""
    own = home() / "downloads" / "fashion-mnist"
    for place in (INSTALLED, own):
        if all(is_there(place / name) for name in FILES):
            for name, digest in FILES.items():
                if sha256_of(place / name) != digest:
                    raise PrepareError(
                        f"{shown(place / name)}: not the file of Fashion-MNIST (another SHA-256);"
                        " remove it"
                    )
            return place
    with locked(".fashion-mnist"), plain_errors("fashion-mnist"):
        if not is_there(own):
            own.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".fashion-mnist-", dir=own.parent) as temporary:
                unpacked = _unpacked(Path(temporary))
                for name in FILES:
                    sync(unpacked / name)
                os.replace(unpacked, own)
            sync(own.parent)
    return folder() if all(is_there(own / name) for name in FILES) else _refuse("files are missing")


def _unpacked(temporary: Path) -> Path:
    """Downloads and unpacks the Debian package; the folder with the files."""
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        _refuse("this is no Debian or Ubuntu")
    say(f"fashion-mnist: downloading the package {PACKAGE} (30 MB)")
    # As root, apt warns that its own user may not write there, which does no harm.
    _call(["apt-get", "download", "-q", PACKAGE], temporary)
    packages = list(temporary.glob("*.deb"))
    if len(packages) != 1:
        _refuse("apt-get downloaded nothing")
    _call(["dpkg-deb", "-x", packages[0].name, "unpacked"], temporary)
    return temporary / "unpacked" / INSTALLED.relative_to("/")


def _call(command: list[str], directory: Path) -> None:
    """Lets a program of the system work in a directory."""
    done = subprocess.run(
        command,
        cwd=directory,
        capture_output=True,
        text=True,
        errors="replace",
        stdin=subprocess.DEVNULL,
    )
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if line.startswith("E:")]
        lines = lines or done.stderr.splitlines()[-1:] or ["?"]
        _refuse(f"{command[0]} failed: {one_line(lines[0].removeprefix('E: '), 150)}")


def _refuse(cause: str) -> Path:
    """Raises the line that says what to do."""
    raise PrepareError(
        f"Fashion-MNIST is not here ({cause}); type apt install {PACKAGE}, or put"
        f" {', '.join(FILES)} into {shown(home() / 'downloads' / 'fashion-mnist')}",
        UNAVAILABLE,
    )


def read(place: Path) -> Corpus:
    """Train and test with their classes."""
    arrays = {
        split: Arrays(
            f"fashion-mnist {split}",
            read_idx(place / f"{prefix}-images-idx3-ubyte.gz"),
            read_idx(place / f"{prefix}-labels-idx1-ubyte.gz"),
            None,
        )
        for split, prefix in PREFIX.items()
    }
    pictures = {split: found.pictures for split, found in arrays.items()}
    return Corpus(
        "Fashion-MNIST (Zalando), Debian dataset-fashion-mnist",
        {split: [picture.where for picture in found] for split, found in pictures.items()},
        {split: [CLASSES[int(label)] for label in found.labels] for split, found in arrays.items()},
        pictures=pictures,
        class_names=CLASSES,
        sources=[
            {"package": PACKAGE, "file": name, "sha256": digest, "licence": "MIT (Zalando SE)"}
            for name, digest in FILES.items()
        ],
    )


def prepare(preparation: Preparation, validation: float, **options: Any) -> Path:
    """NAME: classification; `validation` is the share of train that becomes a split of its own."""
    request = {"source": list(FILES.values())}
    fractions = {"validation": validation}
    return publish_images(
        lambda: read(folder()),
        preparation,
        request,
        fractions=fractions,
        by_client=False,
        **options,
    )
