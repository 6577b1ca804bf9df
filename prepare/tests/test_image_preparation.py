"""How a model's processor is read, and pictures that are too long, too deep or damaged."""

from __future__ import annotations

import io
import json
import struct
import unittest
import zlib
from pathlib import Path
from unittest import mock

import numpy as np
from PIL import Image

from prepare.errors import PrepareError
from prepare.home import sha256_of
from prepare.pictures import image_preparation
from prepare.pictures.image_preparation import Preparation
from prepare.pictures.picture import PictureFile
from prepare.tests.support import HomeTestCase

PROCESSOR = {
    "image_processor_type": "ViTImageProcessor",
    "size": {"height": 8, "width": 8},
    "image_mean": [0.5],
    "image_std": [0.25],
}


def png(depth: int, colours: int, row: bytes, more: bytes = b"") -> bytes:
    """A PNG of one row with two pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 1, depth, colours, 0, 0, 0))
    exif = chunk(b"eXIf", more) if more else b""
    data = chunk(b"IDAT", zlib.compress(b"\0" + row))
    return b"\x89PNG\r\n\x1a\n" + header + exif + data + chunk(b"IEND", b"")


class ProcessorTests(HomeTestCase):
    """preprocessor_config.json"""

    def read(self, **changes: object) -> Preparation:
        """The preparation for a model with changes of its processor."""
        folder = self.home / "vit"
        folder.mkdir(exist_ok=True)
        (folder / "config.json").write_text('{"num_channels": 3}')
        text = json.dumps({**PROCESSOR, **changes})
        (folder / "preprocessor_config.json").write_text(text)
        return image_preparation.of_options("vit", 3, None, None, None, False)

    def test_what_is_known_is_taken(self) -> None:
        made = self.read(rescale_factor=1 / 127.5)
        self.assertEqual((made.size, made.resized, made.keeps_shape), (8, 8, False))
        np.testing.assert_allclose(made.mean + made.std, [0.25] * 3 + [0.125] * 3)
        made = self.read(size={"shortest_edge": 9}, crop_size=7, do_center_crop=True)
        self.assertEqual((made.size, made.resized, made.keeps_shape), (7, 9, True))

    def test_values_that_are_not_known_are_one_line(self) -> None:
        cases = [
            ({"rescale_factor": 0}, "rescale_factor: 0 is no number above 0"),
            ({"rescale_factor": "x"}, "rescale_factor: 'x' is no number above 0"),
            ({"rescale_factor": float("inf")}, "rescale_factor: inf is no number"),
            ({"image_mean": [float("nan")]}, "no image_mean, a list of numbers"),
            ({"image_std": [10**400]}, "no image_std, a list of numbers"),
            ({"resample": True}, "resample: True is not a filter"),
            ({"size": {"longest_edge": 9}}, "size: {'longest_edge': 9} is neither"),
            ({"size": {"shortest_edge": 9, "longest_edge": 9}}, "is neither height and width"),
            ({"size": {}}, "size: {} is neither height and width nor an edge"),
            ({"size": {"width": 9}}, "images that are not square"),
            ({"size": True}, "size: True is not a number of pixels"),
            ({"size": {"height": 0, "width": 0}}, "size: 0 is not a number of pixels"),
            ({"image_processor_type": 5, "size": {"longest_edge": 9}}, "is neither"),
        ]
        for changes, cause in cases:
            with self.subTest(cause):
                with self.assertRaises(PrepareError) as caught:
                    self.read(**changes)
                self.assertIn(cause, str(caught.exception))


class PictureTests(HomeTestCase):
    """Files of pictures"""

    def file(self, name: str, content: bytes | Image.Image) -> PictureFile:
        """A picture below $CELLM_HOME."""
        path = Path(self.home, name)
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            content.save(path)
        return PictureFile(path, sha256_of(path))

    def refused(self, picture: PictureFile, cause: str) -> None:
        """The one line of a picture that is not taken names it and the cause."""
        with self.assertRaises(PrepareError) as caught:
            picture.open("RGB")
        self.assertIn(f"{picture.path.name}: {cause}", str(caught.exception))

    def test_a_long_picture_is_refused_before_it_is_resized(self) -> None:
        made = Preparation(3, size=4, resized=4, keeps_shape=True)
        fits = self.file("fits.png", Image.new("RGB", (4096, 1), (1, 2, 3)))
        self.assertEqual(np.asarray(made.image(fits)).reshape(-1, 3).tolist(), [[1, 2, 3]] * 16)
        long = self.file("long.png", Image.new("RGB", (1, 4097)))
        with self.assertRaisesRegex(
            PrepareError, "long.png has 1 x 4097 pixels, resized 4 x 16388; at most 16384 is known"
        ):
            made.image(long)

    def test_sixteen_bits_a_value_are_refused_in_every_kind(self) -> None:
        sound = self.file("sound.png", png(8, 2, bytes(range(6))))
        self.assertEqual(np.asarray(sound.open("RGB")).ravel().tolist(), list(range(6)))
        for name, colours, values in (("RGB", 2, 3), ("RGBA", 6, 4), ("LA", 4, 2)):
            deep = self.file(f"{name}.png", png(16, colours, bytes(4 * values)))
            mode = "RGBA" if name == "LA" else name
            self.refused(deep, f"its pixels are {mode} of 16, not of 8 bits a value; save it")
        deep = self.file("deep.ppm", b"P6 2 1 65535\n" + bytes(12))
        self.refused(deep, "its pixels are RGB of 16, not of 8 bits")
        content = io.BytesIO()
        Image.new("RGB", (2, 1), (7, 8, 9)).save(content, "ppm")
        sound = self.file("sound.ppm", content.getvalue())
        self.assertEqual(np.asarray(sound.open("RGB")).ravel().tolist(), [7, 8, 9] * 2)
        bits = self.file("bits.png", png(1, 0, b"\x40"))
        self.assertEqual(np.asarray(bits.open("L")).tolist(), [[0, 255]])

    def test_what_cannot_be_turned_or_converted_is_one_line(self) -> None:
        garbage = self.file("garbage.png", png(8, 2, bytes(6), b"garbage of no kind"))
        self.refused(garbage, "not a readable picture: not a TIFF file")
        picture = self.file("sound.png", png(8, 2, bytes(6)))
        with mock.patch.object(Image.Image, "convert", side_effect=ValueError("no such colours")):
            with self.assertRaisesRegex(
                PrepareError, "sound.png: not a readable picture: no such colours; repair it"
            ):
                picture.open("L")


if __name__ == "__main__":
    unittest.main()
