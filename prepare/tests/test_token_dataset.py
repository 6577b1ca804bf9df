"""Token data sets hold what the tokenizer says, with labels and owners in step."""

from __future__ import annotations

import json

import numpy as np

from prepare.public_corpora import corpora
from prepare.tokens import token_dataset
from prepare.errors import PrepareError
from prepare.tests.support import HomeTestCase, load
from prepare.tokens.token_dataset import Corpus
from prepare.tokens.tokenizer_directory import TokenizerDirectory


class WriteTests(HomeTestCase):
    """token_dataset.write and the splits"""

    def test_special_tokens_survive_truncation_and_nothing_is_padded(self) -> None:
        self.make_tokenizer()
        corpus = Corpus(
            "made up",
            {"train": ["red green blue one two", "red"], "test": ["  ", "blue"]},
            {"train": ["b", "a"], "test": ["a", "b"]},
        )
        dropped = token_dataset.drop_empty(corpus)
        self.assertEqual(dropped, {"train": 0, "test": 1})
        tokenizer = TokenizerDirectory.find("tiny")
        counts = token_dataset.write(corpus, dropped, tokenizer, 4, self.home)
        tensors, metadata = load(self.home / "train.safetensors")
        self.assertEqual(tensors["tokens"].tolist(), [1, 4, 5, 2, 1, 4, 2])
        self.assertEqual(tensors["tokens"].dtype, np.uint16)
        self.assertEqual(tensors["offsets"].tolist(), [0, 4, 7])
        self.assertEqual(tensors["offsets"].dtype, np.int64)
        self.assertEqual(tensors["labels"].tolist(), [1, 0])
        self.assertEqual(tensors["labels"].dtype, np.int32)
        self.assertEqual(json.loads(metadata["label_names"]), ["a", "b"])
        self.assertEqual(metadata["tokenizer_sha256"], tokenizer.sha256)
        self.assertEqual((metadata["length"], metadata["truncated"]), ("4", "1"))
        tensors, metadata = load(self.home / "test.safetensors")
        self.assertEqual(tensors["labels"].tolist(), [1])
        self.assertEqual(metadata["dropped_empty"], "1")
        self.assertEqual(counts["test"]["examples"], 1)

    def test_chunks_keep_every_token_and_its_owner(self) -> None:
        self.make_tokenizer(special=False)
        corpus = Corpus(
            "made up",
            {"train": ["red green blue one two", "two"], "test": ["red"]},
            clients={"train": ["Zoe", "Ann"], "test": ["Bob"]},
        )
        tokenizer = TokenizerDirectory.find("tiny")
        token_dataset.write(corpus, {}, tokenizer, 2, self.home, chunks=True)
        tensors, metadata = load(self.home / "train.safetensors")
        self.assertEqual(tensors["tokens"].tolist(), [4, 5, 6, 7, 8, 8])
        self.assertEqual(tensors["offsets"].tolist(), [0, 2, 4, 5, 6])
        self.assertEqual(tensors["clients"].tolist(), [2, 2, 2, 0])
        self.assertEqual(json.loads(metadata["client_names"]), ["Ann", "Bob", "Zoe"])
        self.assertNotIn("labels", tensors)

    def test_each_chunk_has_its_own_special_tokens(self) -> None:
        self.make_tokenizer()
        corpus = Corpus("made up", {"train": ["red green blue one two", "two"], "test": ["red"]})
        token_dataset.write(corpus, {}, TokenizerDirectory.find("tiny"), 4, self.home, chunks=True)
        tensors, _ = load(self.home / "train.safetensors")
        self.assertEqual(tensors["tokens"].tolist(), [1, 4, 5, 2, 1, 6, 7, 2, 1, 8, 2, 1, 8, 2])
        self.assertEqual(tensors["offsets"].tolist(), [0, 4, 8, 11, 14])

    def test_the_split_is_stratified_seeded_and_loses_nothing(self) -> None:
        def made(seed: int) -> Corpus:
            texts = [f"t{index}" for index in range(100)]
            labels = ["rare" if index % 10 == 0 else "common" for index in range(100)]
            corpus = Corpus("made up", {"train": texts}, {"train": labels})
            token_dataset.split_off(corpus, "validation", 0.2, seed)
            return corpus

        first, again, other = made(0), made(0), made(1)
        self.assertEqual(first.texts, again.texts)
        self.assertNotEqual(first.texts, other.texts)
        self.assertEqual(len(first.texts["validation"]), 20)
        self.assertEqual(first.labels["validation"].count("rare"), 2)
        both = first.texts["train"] + first.texts["validation"]
        self.assertEqual(sorted(both), sorted(f"t{index}" for index in range(100)))
        self.assertEqual(
            first.texts["train"], sorted(first.texts["train"], key=lambda t: int(t[1:]))
        )

    def test_shares_add_up_to_the_whole_fraction(self) -> None:
        self.assertEqual(
            token_dataset.shares({"a": 17, "b": 17, "c": 16}, 0.2), {"a": 4, "b": 3, "c": 3}
        )
        self.assertEqual(sum(token_dataset.shares({f"{i}": 1 for i in range(7)}, 0.3).values()), 2)

    def test_the_held_out_choice_never_changes(self) -> None:
        chosen = token_dataset.held_out(0, (f"validation/{i}" for i in range(20)), 4)
        self.assertEqual([i for i, held in enumerate(chosen) if held], HELD_OUT_OF_20)

    def test_lengths_that_make_no_sense_are_refused(self) -> None:
        self.make_tokenizer()
        tokenizer = TokenizerDirectory.find("tiny")
        for length, reason in ((17, "at most 16"), (2, "2 of it are special"), (0, "at least 1")):
            with self.assertRaisesRegex(PrepareError, reason):
                tokenizer.load(length)

    def test_orange_tables_are_read_with_their_three_header_lines(self) -> None:
        data = b"Category\tText\nd\tstring\nclass\t\n\nx\tred green\ny\t\n"
        rows = corpora.tab_rows(data, "made up")
        self.assertEqual(rows[0], {"Category": "x", "Text": "red green"})
        self.assertEqual(rows[1], {"Category": "y", "Text": ""})
        with self.assertRaisesRegex(PrepareError, "made up:4: 3 cells"):
            corpora.tab_rows(b"A\tB\n\n\n1\t2\t3\n", "made up")


HELD_OUT_OF_20 = [11, 12, 13, 19]
