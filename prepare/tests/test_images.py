"""Pictures: the pixel values of transformers, every mistake in one line."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
from PIL import Image

from prepare.tests.support import HomeTestCase, load, run

GOLDENS = json.loads(
    Path(__file__).with_name("goldens").joinpath("images.json").read_text(encoding="utf-8")
)


def noise(height: int, width: int, seed: int) -> np.ndarray:
    """A picture of colours."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


class ImageTestCase(HomeTestCase):
    """A check with a folder of pictures."""

    def picture(self, path: str, picture: Image.Image | np.ndarray) -> Path:
        """Writes a picture below $CELLM_HOME."""
        target = self.home / path
        target.parent.mkdir(parents=True, exist_ok=True)
        image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
        image.save(target)
        return target

    def folder(self, count: int = 10, size: tuple[int, int] = (4, 6)) -> str:
        """LABEL/FILE with two classes; the path."""
        for index in range(count):
            self.picture(f"pictures/{'ab'[index % 2]}/{index}.png", noise(*size, index))
        return str(self.home / "pictures")

    def made(self, *words: str, name: str = "mine") -> str:
        """What a call prints that has to succeed."""
        done = run(*words, "--name", name)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        return done.stdout

    def error(self, *words: str, code: int = 65) -> str:
        """The single line of a call that fails."""
        done = run(*words, "--name", "mine")
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        return done.stderr

    def split(self, split: str = "train", name: str = "mine") -> tuple[dict, dict]:
        """Tensors and metadata of a split."""
        return load(self.home / name / f"{split}.safetensors")


class FolderTests(ImageTestCase):
    """python -m prepare images"""

    def test_pixel_values_are_those_of_transformers(self) -> None:
        for number, picture in enumerate(GOLDENS["pictures"]):
            for split in ("train", "test"):
                self.picture(f"p/{split}/x/{number}.png", np.array(picture, np.uint8))
        for place, golden in enumerate(GOLDENS["processors"]):
            with self.subTest(golden["name"]):
                model = self.home / f"vit{place}"
                model.mkdir()
                (model / "config.json").write_text('{"image_size": 6, "num_channels": 3}')
                (model / "preprocessor_config.json").write_text(json.dumps(golden["preprocessor"]))
                words = ["--model", f"vit{place}", "--validation", "0"]
                self.made("images", str(self.home / "p"), *words, name=f"p{place}")
                tensors, metadata = self.split("train", f"p{place}")
                self.assertEqual(metadata["normalization"], f"model vit{place}")
                mean, std = (json.loads(metadata[f"image_{key}"]) for key in ("mean", "std"))
                values = (tensors["images"] / 255 - np.array(mean)) / np.array(std)
                for found, expected in zip(values, golden["values"]):
                    np.testing.assert_allclose(found.ravel(), expected, atol=2e-5)

    def test_folders_of_splits_labels_and_clients(self) -> None:
        for split, index in (("train", 0), ("train", 1), ("valid", 2), ("test", 3)):
            path = f"p/{split}/user{index % 2}/{index}/x.png"
            self.picture(path, noise(4, 5, index))
        said = self.made("images", str(self.home / "p"), "--client-folders")
        self.assertIn("train has no example of 1 labels of validation, which nobody", said)
        tensors, metadata = self.split()
        self.assertEqual(tensors["images"].shape, (2, 4, 5, 3))
        np.testing.assert_array_equal(tensors["images"][1], noise(4, 5, 1))
        self.assertEqual(
            {key: value.dtype.name for key, value in tensors.items()},
            {"images": "uint8", "labels": "int32", "clients": "int32"},
        )
        self.assertEqual(tensors["labels"].tolist(), [0, 1])
        self.assertEqual(tensors["clients"].tolist(), [0, 1])
        self.assertEqual(json.loads(metadata["label_names"]), ["0", "1", "2", "3"])
        self.assertEqual(json.loads(metadata["client_names"]), ["user0", "user1"])
        self.assertEqual(self.split("validation")[0]["labels"].tolist(), [2])
        self.assertEqual(self.split("test")[0]["clients"].tolist(), [1])

    def test_mean_and_deviation_are_those_of_the_training_images(self) -> None:
        self.made("images", self.folder(20))
        tensors, metadata = self.split()
        values = tensors["images"].reshape(-1, 3) / 255
        self.assertEqual(len(tensors["images"]), 14)
        np.testing.assert_allclose(json.loads(metadata["image_mean"]), values.mean(0), atol=1e-6)
        np.testing.assert_allclose(json.loads(metadata["image_std"]), values.std(0), atol=1e-6)
        self.assertEqual(self.split("test")[1]["image_mean"], metadata["image_mean"])

    def test_size_resizes_by_pillow(self) -> None:
        self.made("images", self.folder(), "--size", "3", "--mean", "0.5", "--std", "0.25")
        tensors, metadata = self.split()
        self.assertEqual(metadata["image_mean"], "[0.5, 0.5, 0.5]")
        first = Image.fromarray(noise(4, 6, 0)).resize((3, 3), Image.Resampling.BICUBIC)
        there = [
            np.array_equal(image, np.asarray(first))
            for split in ("train", "validation", "test")
            for image in self.split(split)[0]["images"]
        ]
        self.assertEqual(sum(there), 1)

    def test_colours(self) -> None:
        colours = noise(4, 6, 1)
        image = Image.fromarray(colours)
        alpha = image.copy()
        alpha.putalpha(128)
        turned = Image.fromarray(colours.transpose(1, 0, 2)[:, ::-1])
        exif = Image.Exif()
        exif[0x0112] = 8  # turned by 90 degrees
        pictures = {"a": image, "b": alpha, "c": image.convert("L"), "d": image.convert("P")}
        for name, picture in pictures.items():
            self.picture(f"p/train/x/{name}.png", picture)
            self.picture(f"p/test/x/{name}.png", picture)
        (self.home / "p/train/x/.hidden").write_text("")
        path = self.home / "p/train/x/e.png"
        turned.save(path, exif=exif)
        self.made("images", str(self.home / "p"), "--validation", "0")
        found = self.split()[0]["images"]
        np.testing.assert_array_equal(found[0], colours)
        np.testing.assert_array_equal(found[1], colours)
        grey = np.asarray(image.convert("L"))
        np.testing.assert_array_equal(found[2], np.stack([grey] * 3, axis=-1))
        np.testing.assert_array_equal(found[3], np.asarray(image.convert("P").convert("RGB")))
        self.assertEqual(found[4].shape, (4, 6, 3))
        self.made("images", str(self.home / "p"), "--validation", "0", "--grey", name="grey")
        found = self.split("train", "grey")[0]["images"]
        self.assertEqual(found.shape, (5, 4, 6, 1))
        np.testing.assert_array_equal(found[0, ..., 0], grey)

    def test_every_mistake_is_one_line_that_names_the_file(self) -> None:
        folder = self.folder()
        self.assertIn("no such folder", self.error("images", folder + "x", code=66))
        self.assertIn("--split-clients", self.error("images", folder, "--split-clients", code=64))
        self.assertIn(
            "numbers for 3 channels",
            self.error("images", folder, "--mean", "0,1", "--std", "1", code=64),
        )
        self.assertIn("at most 4096", self.error("images", folder, "--size", "9999", code=64))
        self.assertIn("together", self.error("images", folder, "--mean", "0", code=64))
        self.assertIn(
            "not above 0", self.error("images", folder, "--mean", "0", "--std", "0", code=64)
        )
        self.assertIn(
            "has no config.json", self.error("images", folder, "--model", "none", code=66)
        )
        mistakes = {
            "broken.png": (b"\x89PNG\r\n\x1a\n broken", "not a readable picture"),
            "empty.png": (b"", "not a readable picture: it is empty"),
            "notes.txt": (b"text", "no known kind of picture"),
        }
        for name, (content, cause) in mistakes.items():
            path = Path(folder) / "a" / name
            path.write_bytes(content)
            line = self.error("images", folder)
            self.assertIn(f"a/{name}: {cause}", line)
            path.unlink()
        whole = (Path(folder) / "a" / "0.png").read_bytes()
        (Path(folder) / "a" / "cut.png").write_bytes(whole[:-30])
        self.assertIn("a/cut.png: not a readable picture", self.error("images", folder))
        (Path(folder) / "a" / "cut.png").unlink()
        odd = self.picture("pictures/b/odd.png", noise(5, 6, 0))
        self.assertIn("odd.png has 6 x 5 pixels, and", self.error("images", folder))
        odd.unlink()
        deep = Image.fromarray(np.arange(24, dtype=np.uint16).reshape(4, 6) * 1000)
        path = self.picture("pictures/b/deep.png", deep)
        self.assertIn("its pixels are I;16, not of 8 bits", self.error("images", folder))
        path.unlink()
        (Path(folder) / "c").mkdir()
        self.assertIn("pictures/c: no pictures", self.error("images", folder))
        (Path(folder) / "c").rmdir()
        (Path(folder) / "stray.png").write_bytes(whole)
        self.assertIn("stray.png: a file where folders of classes", self.error("images", folder))

    def test_a_prepared_folder_is_reused_until_a_picture_changes(self) -> None:
        folder = self.folder()
        self.made("images", folder)
        self.assertIn("sound, reused", self.made("images", folder))
        self.picture("pictures/a/0.png", noise(4, 6, 99))
        self.assertIn("made with another folders", self.error("images", folder, code=64))
        self.made("images", folder, "--replace")

    def test_show_writes_the_pictures(self) -> None:
        self.made("images", self.folder())
        target = self.home / "shown"
        done = run("show", "mine", "--examples", "2", "--pictures", str(target))
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(done.stdout.count("6 x 4 RGB, label "), 2)
        images = self.split()[0]["images"]
        for path in target.iterdir():
            number = int(path.stem.removeprefix("train-"))
            np.testing.assert_array_equal(np.asarray(Image.open(path)), images[number])


class FashionTests(ImageTestCase):
    """IDX files"""

    def test_an_idx_file_is_read_in_its_shape(self) -> None:
        import gzip

        from prepare.errors import PrepareError
        from prepare.pictures.fashion_mnist import read_idx

        path = self.home / "x.gz"
        data = b"\0\0\x08\x03" + struct.pack(">3I", 2, 3, 4) + bytes(range(24))
        path.write_bytes(gzip.compress(data))
        found = read_idx(path)
        self.assertEqual(found.shape, (2, 3, 4))
        self.assertEqual(found[1, 2].tolist(), [20, 21, 22, 23])
        for broken in (data[:-1], data + b"x", b"\0\0\x0d" + data[3:], data[:3], b""):
            path.write_bytes(gzip.compress(broken))
            with self.assertRaisesRegex(PrepareError, "not an IDX file"):
                read_idx(path)
        path.write_bytes(data)
        with self.assertRaisesRegex(PrepareError, "not a whole gzip file"):
            read_idx(path)

    def test_without_the_package_one_line_says_what_to_install(self) -> None:
        if Path("/usr/share/datasets/fashion-mnist").is_dir():
            self.skipTest("the package is installed")
        done = run("fashion-mnist", PATH="/nowhere")
        self.assertEqual(done.returncode, 69)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        self.assertIn("type apt install dataset-fashion-mnist", done.stderr)
