"""A person's own texts: every row gets in as it is meant, or a line says which one does not."""

from __future__ import annotations

import json
import os

from prepare.tests.support import HomeTestCase, load, run


class TextCommandTests(HomeTestCase):
    """python -m prepare text"""

    def setUp(self) -> None:
        super().setUp()
        self.make_tokenizer()
        self.options = ["--tokenizer", "tiny", "--length", "8", "--name", "mine"]

    def file(self, name: str, content: str | bytes) -> str:
        """Writes a file; its path."""
        path = self.home / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return str(path)

    def rows(self, name: str, rows: list[dict]) -> str:
        """Writes rows as JSON lines; the path of the file."""
        return self.file(name, "".join(json.dumps(row) + "\n" for row in rows))

    def made(self, *arguments: str) -> str:
        """What a call prints that has to succeed."""
        done = run("text", *arguments, *self.options)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        return done.stdout

    def split(self, name: str) -> tuple[dict, dict]:
        """Tensors and metadata of a split."""
        return load(self.home / "mine" / f"{name}.safetensors")

    def error(self, *arguments: str, code: int = 65) -> str:
        """The single line that a failing call prints."""
        done = run("text", *arguments, *self.options)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        self.assertFalse((self.home / self.options[-1]).exists())
        return done.stderr

    def test_whole_clients_are_held_out_and_examples_are_shown(self) -> None:
        rows = [{"text": "red", "who": f"user{i % 10}", "kind": "ab"[i % 2]} for i in range(40)]
        options = ["--text", "text", "--client", "who", "--label", "kind", "--split-clients"]
        self.made("--file", self.rows("r.jsonl", rows), *options)
        owners = {}
        for split in ("train", "validation", "test"):
            tensors, metadata = self.split(split)
            names = json.loads(metadata["client_names"])
            owners[split] = {names[number] for number in tensors["clients"]}
        self.assertEqual({split: len(names) for split, names in owners.items()},
                         {"train": 7, "validation": 1, "test": 2})
        self.assertEqual(len(set().union(*owners.values())), 10)
        done = run("show", "mine", "--examples", "2", "--split", "test")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(done.stdout.count("text: '[CLS] red [SEP]'"), 2)
        self.assertIn("label ", done.stdout)
        self.assertEqual(run("show", "none").returncode, 66)

    def test_sets_of_labels_and_scores(self) -> None:
        rows = [
            {"text": "red", "tags": "b| a" if i % 2 else "", "points": str(i / 4)}
            for i in range(20)
        ]
        self.made("--file", self.rows("r.jsonl", rows), "--text", "text", "--labels", "tags")
        tensors, metadata = self.split("train")
        self.assertEqual(json.loads(metadata["label_names"]), ["a", "b"])
        self.assertEqual({tuple(row) for row in tensors["label_sets"].tolist()}, {(0, 0), (1, 1)})
        options = ["--text", "text", "--score", "points", "--replace"]
        self.made("--file", self.rows("r.jsonl", rows), *options)
        found = [
            value
            for name in ("train", "validation", "test")
            for value in self.split(name)[0]["scores"]
        ]
        self.assertEqual(sorted(found), [i / 4 for i in range(20)])

    def test_a_score_that_is_no_number_is_named(self) -> None:
        rows = [{"text": "red", "points": "1.5"}] * 4 + [{"text": "red", "points": "many"}]
        path = self.rows("r.jsonl", rows)
        line = self.error("--file", path, "--text", "text", "--score", "points")
        self.assertIn("example 5 of train: the score many", line)

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
        path.write_bytes(b'{"t": "red"}\n' * 3 + b'{"t": "\xff"}\n')
        self.assertIn(
            "rows.jsonl:4: not UTF-8 at byte 46 of the file (0xff)", self.error(*call, "t")
        )
        path.write_bytes("{}".encode("utf-16"))
        self.assertIn(
            "rows.jsonl:1: not UTF-8 at byte 0 of the file (0xff); it looks like UTF-16",
            self.error(*call, "t"),
        )
        path.write_text("")
        self.assertIn("no rows", self.error(*call, "t"))
        path.write_text('{"t": "red"}\n')
        self.assertIn("can't give a test split", self.error(*call, "t"))
        self.assertIn("no such file", self.error("--file", "/absent.csv", "--text", "t", code=66))
        table = self.home / "rows.csv"
        table.write_text("a,b\n1,2\n3\n")
        self.assertIn("rows.csv:3: not as many", self.error("--file", str(table), "--text", "a"))
        other = self.home / "rows.txt"
        other.write_text("x")
        self.assertIn("unknown kind of file", self.error("--file", str(other), "--text", "a"))

    def test_a_tsv_has_no_quoting(self) -> None:
        lines = [f"{'ab'[i % 2]}\tred green" for i in range(40)]
        lines[5] = 'b\t"red green'
        lines[20] = 'a\t"red"'
        path = self.file("rows.tsv", "label\ttext\n" + "\n".join(lines) + "\n")
        text = self.made("--file", path, "--text", "text", "--label", "label")
        self.assertIn("rows.tsv: 40 rows", text)
        self.assertIn("warning: 1 rows have cells in quotation marks", text)
        counts = [len(self.split(name)[0]["labels"]) for name in ("train", "validation", "test")]
        self.assertEqual(sum(counts), 40)

    def test_a_quotation_mark_that_is_not_closed_is_an_error_with_its_line(self) -> None:
        lines = [f"{'ab'[i % 2]},red green" for i in range(40)]
        lines[20] = 'a,"red green'
        call = ["--text", "text", "--label", "label", "--file"]
        path = self.file("rows.csv", "label,text\n" + "\n".join(lines) + "\n")
        self.assertIn("rows.csv:22: not valid CSV", self.error(*call, path))
        lines[30] = 'b,"red" green'
        path = self.file("rows.csv", "label,text\n" + "\n".join(lines) + "\n")
        self.assertIn("rows.csv:22: not valid CSV", self.error(*call, path))
        lines[20], lines[30] = 'a,"red\ngreen"', 'b,"red ""green"""'
        path = self.file("rows.csv", "label,text\n" + "\n".join(lines) + "\n")
        self.assertIn("rows.csv: 40 rows", self.made(*call, path))

    def test_half_of_a_surrogate_pair_is_replaced_in_a_text_and_refused_in_a_name(self) -> None:
        rows = [{"t": "red", "y": "a"}] * 9
        path = self.rows("rows.jsonl", [*rows, {"t": "red \ud83d", "y": "a"}])
        text = self.made("--file", path, "--text", "t", "--label", "y", "--test", "0.5")
        self.assertIn("warning: 1 texts have half of a surrogate pair", text)
        path = self.rows("names.jsonl", [*rows, {"t": "red", "y": "\ud83d"}])
        self.options[-1] = "other"
        line = self.error("--file", path, "--text", "t", "--label", "y")
        self.assertIn("names.jsonl:10: 'y' is '\\ud83d', which names nothing", line)

    def test_integers_are_numbered_by_their_values(self) -> None:
        rows = [{"t": "red", "y": i, "c": i} for i in range(12) for _ in range(2)]
        path = self.rows("rows.jsonl", rows)
        text = self.made("--file", path, "--test-file", path, "--validation", "0", *NAMES)
        self.assertIn("two splits are the same file", text)
        tensors, metadata = self.split("train")
        expected = [i for i in range(12) for _ in range(2)]
        self.assertEqual(tensors["labels"].tolist(), expected)
        self.assertEqual(tensors["clients"].tolist(), expected)
        self.assertEqual(json.loads(metadata["label_names"]), [str(i) for i in range(12)])

    def test_whole_numbers_are_one_name_however_they_are_written(self) -> None:
        train = self.rows("train.jsonl", [{"t": "red", "y": i % 2} for i in range(8)])
        for name, labels in (("a", [0.0, 1.0]), ("b", ["0.0", "1"]), ("c", ["1.", "-0"])):
            test = self.rows(f"{name}.jsonl", [{"t": "blue", "y": label} for label in labels])
            self.options[-1] = name
            text = self.made("--file", train, "--test-file", test, "--validation", "0", *NAMES[:4])
            self.assertIn("labels: 2 classes (of train): 0 = '0' (4), 1 = '1' (4)", text)
            _, metadata = load(self.home / name / "test.safetensors")
            self.assertEqual(json.loads(metadata["label_names"]), ["0", "1"])

    def test_labels_that_train_does_not_have_are_said(self) -> None:
        train = self.rows("train.jsonl", [{"t": "red", "y": f"v{i % 2}"} for i in range(8)])
        test = self.rows("test.jsonl", [{"t": "red", "y": label} for label in ("v0", "V1")])
        text = self.made("--file", train, "--test-file", test, "--validation", "0", *NAMES[:4])
        self.assertIn(
            "train has no example of 1 labels of test, which nobody can learn: 'V1'", text
        )

    def test_labels_and_clients_that_name_nothing_are_refused_with_their_line(self) -> None:
        call = ["--text", "text", "--label", "label", "--client", "client", "--file"]
        table = "text,label,client\nred,a,c\n"
        path = self.file("rows.csv", table + "blue,,c\n")
        self.assertIn("rows.csv:3: 'label' is empty", self.error(*call, path))
        path = self.file("rows.csv", table + "blue,b, \n")
        self.assertIn("rows.csv:3: 'client' is empty", self.error(*call, path))
        for value in ("NaN", "null", "Infinity", "1e300", "[]", '""'):
            path = self.file("rows.jsonl", '{"t": "red", "y": 0}\n{"t": "red", "y": %s}\n' % value)
            line = self.error("--file", path, "--text", "t", "--label", "y")
            self.assertIn("rows.jsonl:2: 'y' is ", line)
        # Rows without any text are dropped; what else is in them does not matter.
        path = self.file("rows.csv", table * 1 + "red,b,d\n" * 4 + " ,,\n,,\n")
        text = self.made(*call, path)
        self.assertIn("2 empty dropped", text)
        self.assertIn("labels: 2 classes", text)

    def test_a_column_that_is_there_twice_is_refused(self) -> None:
        path = self.file("rows.csv", "text,label,label\nred,a,b\n")
        call = ["--text", "text", "--label", "label", "--file"]
        self.assertIn("rows.csv:1: column 'label' is there twice", self.error(*call, path))
        path = self.file("rows.jsonl", '{"text": "red", "label": 1, "label": 2}\n')
        self.assertIn("rows.jsonl:1: column 'label' is there twice", self.error(*call, path))

    def test_a_column_that_is_nearly_right_is_named(self) -> None:
        path = self.file("rows.csv", "text,Label\nred,a\n")
        line = self.error("--file", path, "--text", "text", "--label", "label")
        self.assertIn("no column 'label'; there are: text, Label; did you mean Label?", line)

    def test_a_test_file_needs_no_clients(self) -> None:
        train = self.rows(
            "train.jsonl", [{"t": "red", "y": "a", "c": f"u{i % 3}"} for i in range(9)]
        )
        test = self.rows("test.jsonl", [{"t": "blue", "y": "a"}] * 3)
        text = self.made("--file", train, "--test-file", test, "--validation", "0", *NAMES)
        self.assertIn("test.jsonl: no column 'c'; its examples have no client", text)
        self.assertEqual(self.split("train")[0]["clients"].tolist(), [0, 1, 2] * 3)
        tensors, metadata = self.split("test")
        self.assertNotIn("clients", tensors)
        self.assertNotIn("client_names", metadata)
        self.options[-1] = "other"
        rows = [{"t": "blue", "y": "a", "c": "u1"}, {"t": "blue", "y": "a"}]
        test = self.rows("test.jsonl", rows)
        line = self.error("--file", train, "--test-file", test, "--validation", "0", *NAMES)
        self.assertIn("test.jsonl:2: no column 'c'", line)

    def test_clients_of_the_test_file_alone_keep_their_names(self) -> None:
        train = self.rows("train.jsonl", [{"t": "red", "y": "a", "c": c} for c in "ABDE"])
        test = self.rows("test.jsonl", [{"t": "red", "y": "a", "c": "C"}])
        text = self.made("--file", train, "--test-file", test, "--validation", "0", *NAMES)
        self.assertIn("1 clients have no training example: 'C'", text)
        for split, numbers in (("train", [0, 1, 3, 4]), ("test", [2])):
            tensors, metadata = self.split(split)
            self.assertEqual(tensors["clients"].tolist(), numbers)
            self.assertEqual(json.loads(metadata["client_names"]), list("ABCDE"))

    def test_json_that_is_too_deep_is_one_line(self) -> None:
        path = self.file("rows.jsonl", '{"t": "red"}\n{"t": ' + "[" * 100_000 + "\n")
        self.assertIn(
            "rows.jsonl:2: not valid JSON: nested too deeply",
            self.error("--file", path, "--text", "t"),
        )

    def test_a_file_name_that_is_not_utf_8_is_written_with_its_bytes(self) -> None:
        name = os.fsencode(self.home) + b"/r\xffws.jsonl"
        with open(name, "w") as file:
            file.write('{"t": "red"}\n' * 9)
        text = self.made("--file", os.fsdecode(name), "--text", "t")
        self.assertIn("r\\xffws.jsonl: 9 rows", text)
        manifest = json.loads((self.home / "mine" / "manifest.json").read_text())
        self.assertIn("r\\xffws.jsonl", manifest["sources"][0]["file"])
        self.assertEqual(self.split("train")[1]["source"], "r\\xffws.jsonl")

    def test_pipes_and_folders_are_refused(self) -> None:
        pipe = self.home / "rows.jsonl"
        os.mkfifo(pipe)
        self.assertIn("is a pipe or a device", self.error("--file", str(pipe), "--text", "t"))
        self.assertIn("is a directory", self.error("--file", str(self.home), "--text", "t"))


NAMES = ["--text", "t", "--label", "y", "--client", "c"]
