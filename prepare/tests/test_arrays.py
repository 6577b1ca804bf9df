"""NumPy arrays of images: the conventions of Keras and MedMNIST, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from prepare.tests.test_images import ImageTestCase

IMAGES = np.arange(20 * 3 * 4, dtype=np.uint8).reshape(20, 3, 4)
LABELS = np.arange(20) % 2


class ArrayTests(ImageTestCase):
    """python -m prepare arrays"""

    def npy(self, name: str, array: np.ndarray) -> str:
        """Writes an array; its path."""
        path = self.home / f"{name}.npy"
        np.save(path, array, allow_pickle=True)
        return str(path)

    def npz(self, **arrays: np.ndarray) -> str:
        """Writes arrays; the path."""
        path = self.home / "arrays.npz"
        np.savez_compressed(path, **arrays)
        return str(path)

    def test_npy_files_with_clients_and_names(self) -> None:
        words = [self.npy("x", IMAGES), self.npy("y", LABELS)]
        owners = self.npy("c", np.array([f"user{i % 5}" for i in range(20)]))
        test = ["--test-files", self.npy("tx", IMAGES[:3, ..., None]), self.npy("ty", LABELS[:3])]
        names = ["--label-names", "shoe,bag", "--validation", "0"]
        self.made("arrays", *words, owners, *test, *names)
        tensors, metadata = self.split()
        np.testing.assert_array_equal(tensors["images"], IMAGES[..., None])
        self.assertEqual(tensors["labels"].tolist(), LABELS.tolist())
        self.assertEqual(json.loads(metadata["label_names"]), ["shoe", "bag"])
        self.assertEqual(tensors["clients"].tolist(), [i % 5 for i in range(20)])
        np.testing.assert_array_equal(self.split("test")[0]["images"], IMAGES[:3, ..., None])
        self.assertNotIn("clients", self.split("test")[0])

    def test_npz_files_of_keras_and_medmnist(self) -> None:
        colours = np.stack([IMAGES] * 3, axis=-1)
        path = self.npz(x_train=colours, y_train=LABELS, x_test=colours[:4], y_test=LABELS[:4])
        self.made("arrays", path, "--validation", "0", name="keras")
        np.testing.assert_array_equal(self.split("train", "keras")[0]["images"], colours)
        parts = {
            f"{split}_{kind}": array[:count]
            for split, count in (("train", 20), ("val", 6), ("test", 4))
            for kind, array in (("images", IMAGES), ("labels", LABELS[:, None]))
        }
        self.made("arrays", self.npz(**parts), name="med")
        counts = {
            s: len(self.split(s, "med")[0]["labels"]) for s in ("train", "validation", "test")
        }
        self.assertEqual(counts, {"train": 20, "validation": 6, "test": 4})

    def test_whole_clients_are_held_out(self) -> None:
        path = self.npz(images=IMAGES, labels=LABELS, clients=np.arange(20) % 10)
        self.made("arrays", path, "--split-clients")
        owners = [
            set(self.split(s)[0]["clients"].tolist()) for s in ("train", "validation", "test")
        ]
        self.assertEqual(list(map(len, owners)), [7, 1, 2])
        self.assertEqual(len(set().union(*owners)), 10)

    def test_a_model_of_three_channels_gets_three(self) -> None:
        model = self.home / "vit"
        model.mkdir()
        (model / "config.json").write_text('{"image_size": 2, "num_channels": 3}')
        path = self.npz(images=IMAGES, labels=LABELS)
        self.made("arrays", path, "--model", "vit")
        found = self.split()[0]["images"]
        self.assertEqual(found.shape[1:], (2, 2, 3))
        np.testing.assert_array_equal(found[..., 0], found[..., 2])

    def test_every_mistake_is_one_line(self) -> None:
        x, y = self.npy("x", IMAGES), self.npy("y", LABELS)
        (self.home / "text.npy").write_text("text")
        cases = [
            ([x], 64, "give one .npz, or a .npy of images"),
            ([str(self.home / "none.npy"), y], 66, "no such file"),
            ([self.npy("f", IMAGES / 255), y], 65, "images are float64, not uint8"),
            ([self.npy("s", IMAGES[:, None]), y], 65, "images.transpose(0, 2, 3, 1)"),
            ([self.npy("d", IMAGES[0]), y], 65, "images are [3, 4]; [n, height, width]"),
            ([x, self.npy("z", LABELS[:5])], 65, "labels are [5] for 20 images"),
            (
                [x, self.npy("n", np.where(LABELS, np.nan, 0))],
                65,
                "labels, image 1: nan names nothing",
            ),
            ([x, self.npy("o", np.array([{}] * 20))], 65, "it holds Python objects"),
            ([str(self.home / "text.npy"), y], 65, "not a readable NumPy file"),
            ([x, y, "--split-clients"], 64, "needs an array of clients"),
            ([x, y, "--label-names", "a"], 65, "image 1 has label 1 of 1 names"),
            ([x, y, "--label-names", "a,a"], 64, "is empty, or there twice"),
            ([x, y, "--test", "0"], 64, "--test 0"),
        ]
        for words, code, cause in cases:
            with self.subTest(cause):
                self.assertIn(cause, self.error("arrays", *words, code=code))
        whole = Path(x).read_bytes()
        Path(x).write_bytes(whole.replace(b"'shape': (20, 3, 4)", b"'shape': ((((20, 4)"))
        self.assertIn("not a readable NumPy file", self.error("arrays", x, y))
        for pair in ({"x_test": IMAGES}, {"test_images": IMAGES, "y_test": LABELS}):
            path = self.npz(x_train=IMAGES, y_train=LABELS, **pair)
            self.assertRegex(
                self.error("arrays", path), r"has (x_test without y|test_images without test)_"
            )
        path = self.npz(a=IMAGES)
        self.assertIn(
            "has the arrays a; expected are x_train and y_train", self.error("arrays", path)
        )
