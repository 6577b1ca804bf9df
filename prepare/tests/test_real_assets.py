"""The prepared models and corpora of this machine, where they are there."""

from __future__ import annotations

import json
import unittest
from pathlib import Path

import numpy as np
from safetensors import safe_open
from tokenizers import Tokenizer

from prepare import home, publishing

COUNTS = {"train": 9034, "validation": 2259, "test": 7528}


class RealAssetTests(unittest.TestCase):
    """What the default commands leave in $CELLM_HOME"""

    def sound(self, name: str) -> Path:
        """The directory, or a skip where it was never prepared."""
        path = home.home() / name
        if not path.is_dir():
            self.skipTest(f"{name} is not prepared")
        self.assertIsNone(publishing.defect(path))
        return path

    def test_smollm2_has_the_published_shape(self) -> None:
        path = self.sound("smollm2-135m")
        with safe_open(str(path / "model.safetensors"), "numpy") as file:
            self.assertEqual(len(list(file.keys())), 272)
            embedding = file.get_slice("model.embed_tokens.weight").get_shape()
            self.assertEqual(embedding, [49152, 576])
            query = file.get_tensor("model.layers.0.self_attn.q_proj.weight")
            self.assertTrue(np.isfinite(query).all())
        tokenizer = Tokenizer.from_file(str(path / "tokenizer.json"))
        # What transformers gives for it, noted once.
        self.assertEqual(tokenizer.encode("The capital of France is").ids, CAPITAL)
        self.assertEqual(tokenizer.encode("in  2024").tokens, ["in", "ĠĠ", "2", "0", "2", "4"])

    def test_minilm_has_the_published_shape(self) -> None:
        path = self.sound("minilm-l6")
        self.assertEqual(json.loads((path / "config.json").read_text())["model_type"], "bert")
        with safe_open(str(path / "model.safetensors"), "numpy") as file:
            shape = file.get_slice("embeddings.word_embeddings.weight").get_shape()
            self.assertEqual(shape, [30522, 384])

    def test_20_newsgroups_in_tokens_of_smollm2_has_its_known_counts(self) -> None:
        self.check_newsgroups("smollm2-135m", None)

    def test_20_newsgroups_in_tokens_of_minilm_has_its_known_counts(self) -> None:
        self.check_newsgroups("minilm-l6", (101, 102))

    def check_newsgroups(self, model: str, ends: tuple[int, int] | None) -> None:
        """Counts, lengths, classes, and the tokens that every example begins and ends with."""
        path = self.sound(f"20newsgroups.{model}")
        tokenizer = home.sha256_of(home.home() / model / "tokenizer.json")
        for split, expected in COUNTS.items():
            with safe_open(str(path / f"{split}.safetensors"), "numpy") as file:
                offsets, tokens = file.get_tensor("offsets"), file.get_tensor("tokens")
                labels, metadata = file.get_tensor("labels"), file.metadata()
            self.assertEqual(len(offsets) - 1, expected)
            lengths = np.diff(offsets)
            self.assertTrue((lengths > 0).all() and (lengths <= 128).all())
            self.assertEqual(len(json.loads(metadata["label_names"])), 20)
            self.assertEqual(len(np.unique(labels)), 20)
            self.assertEqual(metadata["tokenizer_sha256"], tokenizer)
            if ends:
                self.assertTrue((tokens[offsets[:-1]] == ends[0]).all())
                self.assertTrue((tokens[offsets[1:] - 1] == ends[1]).all())


CAPITAL = [504, 3575, 282, 4649, 314]
