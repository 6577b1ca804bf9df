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
from PIL import Image, ImageOps

from ..errors import PrepareError, naming, one_line, plain_errors, shown

MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV", "LAB")
"""Pillow's names of pixels with 8 bits a value. Others would lose their larger values.

Of 16 bits a colour Pillow drops the lower 8 and calls the pixels RGB; `is_deep` finds these.
"""


class Picture(Protocol):
    """What gives an image, and a name for messages."""

    where: str

    def open(self, mode: str) -> Image.Image:
        """The picture, upright, with the pixels L or RGB. Raises PrepareError."""


@dataclass(frozen=True)
class PictureFile:
    """A picture in a file whose bytes were hashed before."""

    path: Path
    sha256: str

    @property
    def where(self) -> str:
        """The path."""
        return shown(self.path)

    def open(self, mode: str) -> Image.Image:
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
                deep = is_deep(picture)
                picture.load()
                if picture.mode not in MODES or deep:
                    pixels = f"{picture.mode} of 16" if picture.mode in MODES else picture.mode
                    raise PrepareError(
                        f"{self.where}: its pixels are {pixels}, not of 8 bits a value; save it"
                        " with 8 bits"
                    )
                return in_colours(ImageOps.exif_transpose(picture), mode)
        except PrepareError:
            raise
        except Exception as error:  # decoders raise what they like
            cause = one_line(error).replace(repr(None), "") or type(error).__name__
            if isinstance(error, Image.UnidentifiedImageError):
                cause = "it is empty" if not data else "no known kind of picture"
            raise PrepareError(
                f"{self.where}: not a readable picture: {cause}; repair it or remove it"
            ) from error


def is_deep(picture: Image.Image) -> bool:
    """Whether a file has 16 bits a value, before it is decoded: the decoder's settings say it."""
    for tile in getattr(picture, "tile", []):
        settings = tile[3] if isinstance(tile[3], (tuple, list)) else (tile[3],)
        if picture.format in ("PNG", "TIFF") and settings and ";16" in str(settings[0]):
            return True
        if picture.format == "PPM" and any(isinstance(s, int) and s > 255 for s in settings):
            return True
    return False


def in_colours(picture: Image.Image, mode: str) -> Image.Image:
    """A picture with the pixels L or RGB; palettes are resolved and transparency is dropped."""
    if picture.mode == "P" and "transparency" in picture.info:
        picture = picture.convert("RGBA")
    return picture if picture.mode == mode else picture.convert(mode)


@dataclass(frozen=True)
class PictureArray:
    """A picture that is a row of an array of bytes, (height, width) or (height, width, 3)."""

    where: str
    values: Callable[[], np.ndarray]

    def open(self, mode: str) -> Image.Image:
        """The row."""
        return in_colours(Image.fromarray(np.ascontiguousarray(self.values())), mode)
