"""A picture of a file or of an array, opened when its turn comes."""

from __future__ import annotations

import hashlib
import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image

from ..errors import PrepareError, naming, one_line, plain_errors, shown

MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV", "LAB")
"""Pillow's names of pixels with 8 bits a value. Others would lose their larger values."""


class Picture(Protocol):
    """What gives an image, and a name for messages."""

    where: str

    def open(self) -> Image.Image:
        """The picture as it is stored. Raises PrepareError."""


@dataclass(frozen=True)
class PictureFile:
    """A picture in a file whose bytes were hashed before."""

    path: Path
    sha256: str

    @property
    def where(self) -> str:
        """The path."""
        return shown(self.path)

    def open(self) -> Image.Image:
        """The decoded file."""
        with plain_errors("read"), naming(self.path):
            data = self.path.read_bytes()
        if hashlib.sha256(data).hexdigest() != self.sha256:
            raise PrepareError(
                f"{self.where}: it changed while it was read; type the same command again"
            )
        try:
            with warnings.catch_warnings():
                # A picture that is suspiciously large is an error, other remarks are nobody's.
                warnings.simplefilter("ignore")
                warnings.simplefilter("error", Image.DecompressionBombWarning)
                picture = Image.open(io.BytesIO(data))
                picture.load()
        except Exception as error:  # decoders raise what they like
            cause = one_line(error).replace(repr(None), "") or type(error).__name__
            if isinstance(error, Image.UnidentifiedImageError):
                cause = "it is empty" if not data else "no known kind of picture"
            raise PrepareError(
                f"{self.where}: not a readable picture: {cause}; repair it or remove it"
            ) from error
        if picture.mode not in MODES:
            raise PrepareError(
                f"{self.where}: its pixels are {picture.mode}, not of 8 bits a value; save it with"
                " 8 bits"
            )
        return picture


@dataclass(frozen=True)
class PictureArray:
    """A picture that is a row of an array of bytes, (height, width) or (height, width, 3)."""

    where: str
    values: Callable[[], np.ndarray]

    def open(self) -> Image.Image:
        """The row."""
        return Image.fromarray(np.ascontiguousarray(self.values()))
