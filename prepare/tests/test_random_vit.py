"""A ViT with random weights: its tensors, their distribution, and sizes that do not fit."""

import json
import unittest

import numpy as np
from safetensors.numpy import load_file

from prepare.pictures import random_vit
from prepare.errors import PrepareError
from prepare.publishing import read_manifest
from prepare.tests.support import HomeTestCase


class RandomViTTests(HomeTestCase):
    """The directory that `prepare vit` makes."""

    def test_tensors_are_those_of_the_configuration(self):
        """The parameters are counted by hand: width 8, 2 blocks, 4 tokens and the class token."""
        shape = random_vit.Shape(4, 2, 1, width=8, blocks=2, heads=2)
        folder = random_vit.prepare("tiny", shape, seed=1)
        tensors = load_file(folder / "model.safetensors")
        block = 4 * (64 + 8) + (256 + 32) + (256 + 8) + 4 * 8
        embeddings = 8 + 5 * 8 + 8 * 4 + 8
        self.assertEqual(sum(t.size for t in tensors.values()), embeddings + 2 * block + 16)
        source = {"weights": "random", "seed": 1, "licence": "none is needed"}
        self.assertEqual(read_manifest(folder)["sources"], [source])
        config = json.loads((folder / "config.json").read_text())
        self.assertEqual((config["hidden_size"], config["intermediate_size"]), (8, 32))
        self.assertTrue((tensors["vit.layernorm.weight"] == 1).all())
        self.assertTrue((tensors["vit.encoder.layer.1.output.dense.bias"] == 0).all())

    def test_weights_are_a_normal_distribution(self):
        """One in 22 is beyond two deviations, as without a cut, and one in 370 beyond three."""
        drawn = random_vit.values("x.weight", (200, 500), np.random.default_rng(0))
        self.assertAlmostEqual(float((np.abs(drawn) > 0.04).mean()), 0.0455, delta=0.003)
        self.assertAlmostEqual(float((np.abs(drawn) > 0.06).mean()), 0.0027, delta=0.0008)
        self.assertAlmostEqual(float(drawn.std()), 0.02, delta=2e-4)
        self.assertAlmostEqual(float(drawn.mean()), 0, delta=2e-4)

    def test_one_seed_one_model(self):
        """The bytes depend on the seed alone."""
        shape = random_vit.Shape(4, 2, 1, width=8, blocks=1, heads=2)
        first, again, other = (
            (random_vit.prepare(name, shape, seed) / "model.safetensors").read_bytes()
            for name, seed in (("a", 1), ("b", 1), ("c", 2))
        )
        self.assertEqual(first, again)
        self.assertNotEqual(first, other)

    def test_sizes_that_do_not_fit_are_refused(self):
        """Patches are whole, heads share the width, and images are as those of a corpus."""
        for shape, name in (
            (random_vit.Shape(30, 16, 3), "--patch-size"),
            (random_vit.Shape(32, 16, 3, width=10, heads=3), "--heads"),
            (random_vit.Shape(4112, 16, 3), "--size 4112: at most 4096 is known"),
            (random_vit.Shape(32, 16, 2), "--channels 2: 1 or 3 are known"),
        ):
            with self.assertRaisesRegex(PrepareError, name):
                random_vit.prepare("bad", shape, 0)
        with self.assertRaisesRegex(PrepareError, "--seed -1 is below 0"):
            random_vit.prepare("bad", random_vit.Shape(4, 2, 1), -1)


if __name__ == "__main__":
    unittest.main()
