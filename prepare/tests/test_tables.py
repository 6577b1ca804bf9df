"""Kinds of tables: the same rows in each are the same corpus, and damage is one line."""

from __future__ import annotations

import gzip
import json
import os
import unittest
from pathlib import Path

from prepare.tables import parquet_file
from prepare.tests.support import HomeTestCase, load, run

ROWS = [
    {"text": f"red {'green' if i % 3 else 'blue'}", "kind": "ab"[i % 2], "who": f"u{i % 4}"}
    for i in range(24)
]
HOME = Path(os.environ.get("CELLM_HOME") or Path.home() / ".cache" / "cellm-mpi")


def as_json_lines() -> bytes:
    """The rows as JSON lines."""
    return "".join(json.dumps(row) + "\n" for row in ROWS).encode()


def as_cells(mark: str) -> bytes:
    """The rows as cells between marks."""
    lines = [ROWS[0].keys(), *(row.values() for row in ROWS)]
    return "".join(mark.join(line) + "\n" for line in lines).encode()


class TableKindTests(HomeTestCase):
    """--file"""

    def setUp(self) -> None:
        super().setUp()
        self.make_tokenizer()

    def text(self, *files: str, name: str = "mine", code: int = 0) -> str:
        """What a call prints: standard error where it fails."""
        columns = ["--text", "text", "--label", "kind", "--client", "who"]
        options = ["--tokenizer", "tiny", "--length", "8", "--name", name]
        done = run("text", "--file", *files, *columns, *options)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        self.assertEqual(len(done.stderr.splitlines()), int(code != 0), done.stderr)
        return done.stderr if code else done.stdout

    def file(self, name: str, content: bytes) -> str:
        """Writes a file; its path."""
        path = self.home / name
        path.write_bytes(content)
        return str(path)

    def tensors(self, name: str) -> dict:
        """All tensors of the three splits as lists."""
        return {
            (split, key): value.tolist()
            for split in ("train", "validation", "test")
            for key, value in load(self.home / name / f"{split}.safetensors")[0].items()
        }

    def test_all_kinds_give_the_same_corpus(self) -> None:
        contents = {
            "jsonl": as_json_lines(),
            "json": json.dumps(ROWS, indent=1).encode(),
            "csv": as_cells(","),
            "tsv": as_cells("\t"),
        }
        for kind, content in contents.items():
            for suffix, whole in ((kind, content), (f"{kind}.gz", gzip.compress(content))):
                self.text(self.file(f"rows.{suffix}", whole), name=suffix)
                self.assertEqual(self.tensors(suffix), self.tensors("jsonl"), suffix)

    def test_several_files_are_one_split(self) -> None:
        lines = as_json_lines().splitlines(keepends=True)
        parts = [self.file(f"{i}.jsonl", b"".join(lines[12 * i : 12 * i + 12])) for i in (0, 1)]
        self.text(self.file("whole.jsonl", as_json_lines()), name="whole")
        self.text(*parts, name="parts")
        self.assertEqual(self.tensors("parts"), self.tensors("whole"))

    def test_the_name_has_no_suffix_of_a_file(self) -> None:
        path = self.file("rows.csv.gz", gzip.compress(as_cells(",")))
        done = run("text", "--file", path, "--text", "text", "--tokenizer", "tiny", "--length", "8")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue((self.home / "rows.tiny" / "train.safetensors").is_file())

    def test_damage_is_one_line(self) -> None:
        packed = gzip.compress(as_cells(","))
        cases = {
            "cut.csv.gz": (packed[:-12], "not a whole gzip file"),
            "plain.csv.gz": (as_cells(","), "not a whole gzip file"),
            "empty.csv.gz": (b"", "no rows"),
            "empty.json": (b"[]", "no rows"),
            "bytes.csv.gz": (
                gzip.compress(b"text,kind,who\nred,a,\xff\n"),
                ":2: not UTF-8 at byte 20",
            ),
            "ragged.csv.gz": (
                gzip.compress(as_cells(",") + b"red\n"),
                ":26: not as many cells (1) as names (3)",
            ),
            "list.json": (
                b'[{"text": "red", "kind": "a", "who": "b"}, 3]',
                ":2: not a JSON object",
            ),
            "broken.json": (b'[{"text": "red"},\n{"text" "red"}]', ":2: not valid JSON"),
            "rows.csv": (packed, "it is compressed by gzip; name it .gz"),
            "rows.xlsx": (b"PK\3\4", "unknown kind of file; known are .jsonl"),
        }
        for name, (content, cause) in cases.items():
            with self.subTest(name):
                line = self.text(self.file(name, content), code=65)
                self.assertIn(name, line)
                self.assertIn(cause, line)


class ParquetTests(TableKindTests):
    """Parquet files, if pyarrow is installed: prepare installs it with the first file."""

    def setUp(self) -> None:
        super().setUp()
        there = next(HOME.glob("environment-parquet-*"), None)
        if there is None:
            self.skipTest("pyarrow is not installed; prepare any .parquet file once")
        (self.home / there.name).symlink_to(there)
        self.parquet = parquet_file.library()

    def save(self, name: str, rows: list[dict], **options: object) -> str:
        """Writes rows to a Parquet file; its path."""
        import pyarrow

        path = self.home / name
        self.parquet.write_table(pyarrow.Table.from_pylist(rows), path, **options)
        return str(path)

    def test_all_kinds_give_the_same_corpus(self) -> None:
        self.text(self.file("rows.jsonl", as_json_lines()), name="jsonl")
        for compression in ("snappy", "zstd", "gzip", "none"):
            path = self.save(f"{compression}.parquet", ROWS, compression=compression)
            self.text(path, name=compression)
            self.assertEqual(self.tensors(compression), self.tensors("jsonl"))

    def test_several_files_are_one_split(self) -> None:
        parts = [self.save("a.parquet", ROWS[:5]), self.save("b.parquet", ROWS[5:])]
        self.text(self.save("c.parquet", ROWS), name="whole")
        self.text(*parts, name="parts")
        self.assertEqual(self.tensors("parts"), self.tensors("whole"))

    def test_numbers_of_classes_become_their_names(self) -> None:
        import pyarrow

        rows = [{"text": "red", "label": i % 2} for i in range(20)]
        label = {"names": ["world", "sports"], "_type": "ClassLabel"}
        info = json.dumps({"info": {"features": {"label": label}}})
        table = pyarrow.Table.from_pylist(rows).replace_schema_metadata({"huggingface": info})
        self.parquet.write_table(table, self.home / "news.parquet")
        path = str(self.home / "news.parquet")
        options = ["--label", "label", "--tokenizer", "tiny", "--length", "8", "--name", "mine"]
        done = run("text", "--file", path, "--text", "text", *options)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        metadata = load(self.home / "mine" / "train.safetensors")[1]
        self.assertEqual(json.loads(metadata["label_names"]), ["sports", "world"])

    def test_conversations(self) -> None:
        self.make_tokenizer("bare", special=False)
        (self.home / "bare" / "tokenizer_config.json").write_text('{"eos_token": "[SEP]"}')
        turns = [{"role": "user", "content": "red"}, {"role": "assistant", "content": "green"}]
        path = self.save("chat.parquet", [{"messages": turns, "n": i} for i in range(10)])
        options = ["--tokenizer", "bare", "--template", "plain", "--name", "mine", "--length", "16"]
        done = run("chat", "--file", path, *options)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        tensors = load(self.home / "mine" / "test.safetensors")[0]
        self.assertEqual(tensors["tokens"].tolist(), [4, 5, 2] * 2)
        self.assertEqual(tensors["loss"].tolist(), [0, 1, 1] * 2)

    def test_damage_is_one_line(self) -> None:
        import pyarrow

        whole = Path(self.save("whole.parquet", ROWS)).read_bytes()
        cases = {
            "cut.parquet": (whole[:-20], "not a readable Parquet file"),
            "text.parquet": (b"text\nred\n", "not a readable Parquet file"),
            "whole.csv": (whole, "it is a Parquet file; name it .parquet"),
        }
        for name, (content, cause) in cases.items():
            with self.subTest(name):
                line = self.text(self.file(name, content), code=65)
                self.assertIn(cause, line)
        path = self.save("none.parquet", [*ROWS, {"text": None, "kind": "a", "who": "b"}])
        self.assertIn("none.parquet:25: 'text' is None, not a text", self.text(path, code=65))
        twice = pyarrow.table([["red"]] * 4, names=["text", "kind", "who", "text"])
        self.parquet.write_table(twice, self.home / "twice.parquet")
        line = self.text(str(self.home / "twice.parquet"), code=65)
        self.assertIn("twice.parquet: column 'text' is there twice; rename one", line)
        for names in (5, [5], "ab"):
            label = {"names": names, "_type": "ClassLabel"}
            info = json.dumps({"info": {"features": {"kind": label}}})
            table = pyarrow.Table.from_pylist(ROWS).replace_schema_metadata({"huggingface": info})
            self.parquet.write_table(table, self.home / "odd.parquet")
            line = self.text(str(self.home / "odd.parquet"), code=65)
            self.assertIn("odd.parquet: column 'kind': its names of classes are no list", line)
        path = self.save("named.parquet", [{"texts": "red", "kind": "a", "who": "b"}])
        self.assertIn("there are: texts, kind, who; did you mean texts?", self.text(path, code=65))

    test_the_name_has_no_suffix_of_a_file = None

    def test_without_pyarrow_and_network_one_line_says_what_to_do(self) -> None:
        path = self.save("rows.parquet", ROWS)
        (next(self.home.glob("environment-parquet-*"))).unlink()
        done = run("text", "--file", path, "--text", "text", "--tokenizer", "tiny", "--length", "8")
        self.assertEqual(done.returncode, 69)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        self.assertIn("needs pyarrow, which pip could not install", done.stderr)


if __name__ == "__main__":
    unittest.main()
