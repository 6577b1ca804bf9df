"""Token data sets hold what the tokenizer says, with labels and owners in step."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from safetensors import safe_open

from prepare import corpora, token_dataset
from prepare.errors import PrepareError
from prepare.tests.support import HomeTestCase, run
from prepare.token_dataset import Corpus, TokenizerDirectory


def load(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """All tensors and the metadata of a file."""
    with safe_open(str(path), "numpy") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata()


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
        with self.assertRaisesRegex(PrepareError, "prepare it first"):
            TokenizerDirectory.find("absent")

    def test_orange_tables_are_read_with_their_three_header_lines(self) -> None:
        data = b"Category\tText\nd\tstring\nclass\t\n\nx\tred green\ny\t\n"
        rows = corpora.tab_rows(data, "made up")
        self.assertEqual(rows[0], {"Category": "x", "Text": "red green"})
        self.assertEqual(rows[1], {"Category": "y", "Text": ""})
        with self.assertRaisesRegex(PrepareError, "made up:4: 3 cells"):
            corpora.tab_rows(b"A\tB\n\n\n1\t2\t3\n", "made up")


HELD_OUT_OF_20 = [11, 12, 13, 19]


class TextCommandTests(HomeTestCase):
    """python -m prepare text"""

    def setUp(self) -> None:
        super().setUp()
        self.make_tokenizer()
        self.options = ["--tokenizer", "tiny", "--length", "8", "--name", "mine"]

    def error(self, *arguments: str) -> str:
        """The single line that a failing call prints."""
        done = run("text", *arguments, *self.options)
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        self.assertFalse((self.home / "mine").exists())
        return done.stderr

    def test_a_csv_with_labels_and_clients_becomes_three_splits(self) -> None:
        path = self.home / "my rows.csv"
        lines = [f'"red, {"green" * (i % 2)}",{i % 3},user{i % 5}' for i in range(50)]
        path.write_text("\ufefftext,label,who\n" + "\n".join(lines) + "\n", encoding="utf-8")
        options = ["--text", "text", "--label", "label", "--client", "who", *self.options]
        done = run("text", "--file", str(path), *options)
        self.assertEqual(done.returncode, 0, done.stderr)
        counts = {}
        for split in ("train", "validation", "test"):
            tensors, metadata = load(self.home / "mine" / f"{split}.safetensors")
            counts[split] = len(tensors["offsets"]) - 1
            self.assertEqual(len(tensors["labels"]), counts[split])
            self.assertEqual(len(tensors["clients"]), counts[split])
            self.assertEqual(json.loads(metadata["label_names"]), ["0", "1", "2"])
        self.assertEqual(sum(counts.values()), 50)
        self.assertEqual(counts["test"], 10)

    def test_jsonl_with_files_for_the_splits(self) -> None:
        for split, words in (("train", "red"), ("test", "blue")):
            (self.home / f"{split}.jsonl").write_text(f'{{"t": "{words}", "y": 1}}\n' * 3)
        done = run(
            *["text", "--file", str(self.home / "train.jsonl"), "--text", "t", "--label", "y"],
            *["--test-file", str(self.home / "test.jsonl"), "--validation", "0", *self.options],
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        tensors, _ = load(self.home / "mine" / "test.safetensors")
        self.assertEqual(tensors["tokens"].tolist(), [1, 6, 2] * 3)
        self.assertFalse((self.home / "mine" / "validation.safetensors").exists())

    def test_every_mistake_is_one_line_that_names_the_place(self) -> None:
        path = self.home / "rows.jsonl"
        path.write_text('{"t": "red"}\n{"t": 5}\n')
        call = ["--file", str(path), "--text"]
        self.assertIn("rows.jsonl:1: no column 'x'; there are: t", self.error(*call, "x"))
        self.assertIn("rows.jsonl:2: 't' is 5, not a text", self.error(*call, "t"))
        path.write_text('{"t": "red"}\n{"t": \n')
        self.assertIn("rows.jsonl:2: not valid JSON", self.error(*call, "t"))
        path.write_bytes(b'{"t": "\xff"}\n')
        self.assertIn("not UTF-8", self.error(*call, "t"))
        path.write_text("")
        self.assertIn("no rows", self.error(*call, "t"))
        path.write_text('{"t": "red"}\n')
        self.assertIn("can't give a test split", self.error(*call, "t"))
        self.assertIn("no such file", self.error("--file", "/absent.csv", "--text", "t"))
        table = self.home / "rows.csv"
        table.write_text("a,b\n1,2\n3\n")
        self.assertIn("rows.csv:3: not as many", self.error("--file", str(table), "--text", "a"))
        other = self.home / "rows.txt"
        other.write_text("x")
        self.assertIn("unknown kind of file", self.error("--file", str(other), "--text", "a"))
