"""What load.py reads, and what it refuses."""

from __future__ import annotations

import gzip
import json
import re
import shutil
import tempfile
import unittest
from pathlib import Path

import pandas as pd

from .. import load, parsing
from . import made_up


class LoadTests(unittest.TestCase):
    """Each test has a folder of its own."""

    def setUp(self) -> None:
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = Path(temporary.name)

    def test_settings_are_flat_and_rows_name_their_run(self) -> None:
        path = made_up.write(self.folder / "study" / "dense", [0.1, 0.2])
        data = load.load(self.folder)
        row = data.runs.iloc[0]
        self.assertEqual((row["sweep"], row["point"]), ("study", "dense"))
        self.assertEqual(row["partition.alpha"], 0.1)
        self.assertEqual(row["method.download.select"], "all")
        self.assertEqual(row["federation.server.epsilon"], 1e-8)
        self.assertEqual(row["method.tiers"], "[]")
        self.assertEqual(len(data.rounds), 2)
        self.assertEqual(len(data.clients), 4)
        self.assertEqual(set(data.evaluation["run"]), {str(path)})
        self.assertEqual(data.problems, [])

    def test_seeds_of_the_same_settings_share_a_group(self) -> None:
        made_up.study(self.folder / "study")
        runs = load.load(self.folder).runs
        self.assertEqual(len(runs), 4)
        self.assertEqual(runs["group"].nunique(), 2)

    def test_a_run_that_is_not_finished_is_left_out_and_named(self) -> None:
        made_up.write(self.folder / "s" / "good", [0.1])
        bad = made_up.write(self.folder / "s" / "bad", [0.1], status="running", seed=1)
        data = load.load(self.folder)
        self.assertEqual(list(data.runs["point"]), ["good"])
        self.assertEqual(len(data.problems), 1)
        self.assertIn(str(bad), data.problems[0])
        self.assertIn("running", data.problems[0])

    def test_a_table_that_was_cut_short_is_refused(self) -> None:
        path = made_up.write(self.folder / "s" / "cut", [0.1, 0.2, 0.3])
        text = (path / "rounds.csv").read_text().splitlines()
        (path / "rounds.csv").write_text("\n".join(text[:-1]) + "\n")
        data = load.load(self.folder)
        self.assertTrue(data.runs.empty)
        self.assertIn("2 rounds, config.yaml 3", data.problems[0])

    def test_rounds_count_from_1_also_where_an_earlier_version_counted_from_0(self) -> None:
        new = made_up.write(self.folder / "s" / "new", [0.1, 0.2])
        old = made_up.write(self.folder / "s" / "old", [0.1, 0.2], seed=1)
        manifest = json.loads((old / "manifest.json").read_text())
        del manifest["first_round_number"]
        (old / "manifest.json").write_text(json.dumps(manifest))
        for name in ("rounds", "clients", "evaluation"):
            table = pd.read_csv(old / f"{name}.csv")
            table["round"] -= 1
            table.to_csv(old / f"{name}.csv", index=False)
        data = load.load(self.folder)
        self.assertEqual(data.problems, [])
        for table in (data.rounds, data.clients, data.evaluation):
            for path in (new, old):
                self.assertEqual(set(table[table["run"] == str(path)]["round"]), {1, 2})

    def test_a_missing_client_is_noticed(self) -> None:
        path = made_up.write(self.folder / "s" / "cut", [0.1, 0.2])
        text = (path / "clients.csv").read_text().splitlines()
        (path / "clients.csv").write_text("\n".join(text[:-1]) + "\n")
        self.assertIn("clients.csv", load.load(self.folder).problems[0])

    def test_tables_of_another_run_are_noticed_by_their_digest(self) -> None:
        path = made_up.write(self.folder / "s" / "run", [0.1])
        other = made_up.write(self.folder / "t" / "run", [0.1], digest="e")
        (path / "rounds.csv").write_text((other / "rounds.csv").read_text())
        problems = load.load(self.folder / "s").problems
        self.assertIn("has another digest", problems[0])

    def test_files_that_are_something_else_are_named_and_left_out(self) -> None:
        for name, file, text in (
            ("a", "manifest.json", "[]"),
            ("b", "manifest.json", "{"),
            ("c", "config.yaml", "just a text"),
            ("d", "config.yaml", "{a: [}"),
            ("e", "rounds.csv", ""),
            ("f", "clients.csv", "x"),
        ):
            path = made_up.write(self.folder / "s" / name, [0.1])
            (path / file).write_text(text)
        made_up.write(self.folder / "s" / "good", [0.1])
        data = load.load(self.folder)
        self.assertEqual(list(data.runs["point"]), ["good"])
        self.assertEqual([Path(line.split(":")[0]).name for line in data.problems], list("abcdef"))

    def test_a_repeated_run_counts_once_whatever_does_not_matter(self) -> None:
        old = made_up.write(self.folder / "s" / "old", [0.1], start="2026-01-01T00:00:00Z")
        new = made_up.write(
            self.folder / "s" / "new",
            [0.1],
            start="2026-01-02T00:00:00Z",
            compute__threads=8,
            checkpoint__keep=5,
            federation__uploads="all_gather",
        )
        found = load.repeats(load.load(self.folder))
        line = f"repeats settings and seed of {new}, with the same digest"
        self.assertEqual(found, {str(old): line})

    def test_a_repeated_run_with_other_bits_is_called_out(self) -> None:
        made_up.write(self.folder / "s" / "a", [0.1])
        made_up.write(self.folder / "s" / "b", [0.1], digest="e")
        (line,) = load.repeats(load.load(self.folder)).values()
        self.assertIn("ANOTHER DIGEST", line)

    def test_runs_of_other_corpora_of_one_name_do_not_repeat_each_other(self) -> None:
        runs = [
            made_up.write(self.folder / "s" / name, [0.1], start=f"2026-01-0{day}T00:00:00Z")
            for day, name in enumerate(("a", "b", "c", "d"), start=1)
        ]
        # The first is of a version that kept no hashes.
        for path, digest in zip(runs[1:], ("aa", "bb", "aa")):
            manifest = json.loads((path / "manifest.json").read_text())
            manifest["inputs"] = [{"path": f"/{digest}/corpus/test.jsonl", "xxh64": digest}]
            (path / "manifest.json").write_text(json.dumps(manifest))
        found = load.repeats(load.load(self.folder))
        reason = "repeats settings and seed of {}, with the same digest"
        self.assertEqual(
            found,
            {str(runs[0]): reason.format(runs[1]), str(runs[1]): reason.format(runs[3])},
        )

    def test_a_path_counts_by_its_last_part(self) -> None:
        made_up.write(self.folder / "s" / "a", [0.1], model={"path": "/one/tiny"})
        made_up.write(self.folder / "s" / "b", [0.1], model={"path": "tiny"})
        data = load.load(self.folder)
        self.assertEqual(list(data.runs["model.path"]), ["tiny", "tiny"])
        self.assertEqual(len(load.repeats(data)), 1)

    def test_compressed_tables_are_read(self) -> None:
        path = made_up.write(self.folder / "s" / "a", [0.1, 0.2])
        text = (path / "clients.csv").read_bytes()
        (path / "clients.csv.gz").write_bytes(gzip.compress(text))
        (path / "clients.csv").unlink()
        data = load.load(self.folder)
        self.assertEqual((data.problems, len(data.clients)), ([], 4))

    def test_digests_that_look_like_numbers_stay_as_they_are(self) -> None:
        for digest in (
            "000270105150542e",
            "12345678901234567890",
            "1e9999999999999",
            "0000000000000000",
        ):
            path = made_up.write(self.folder / "s" / digest, [0.1, 0.2], digest=digest)
            data = load.load(path)
            self.assertEqual((data.problems, list(data.runs["digest"])), ([], [digest]))
            self.assertEqual(list(data.rounds["digest"]), ["other", digest])

    def test_paths_and_names_that_look_like_something_else_stay_texts(self) -> None:
        for text in ("2026-01-01", "12:30:45", "1_000", "0x10", "yes", "1e5", "007", "null"):
            path = self.folder / "s" / "run"
            made_up.write(path, [0.1], model={"path": text}, data={"path": text})
            config = (path / "config.yaml").read_text()
            # As the program writes them: in quotes where YAML 1.2 would read another value.
            quoted = f"'{text}'" if text in ("1e5", "007", "null") else text
            config = re.sub(r"path: .*", f"path: {quoted}", config)
            (path / "config.yaml").write_text(config)
            data = load.load(path)
            self.assertEqual((data.problems, list(data.runs["model.path"])), ([], [text]))
            shutil.rmtree(path)

    def test_names_in_tables_stay_texts(self) -> None:
        path = self.folder / "table.csv"
        path.write_text("client,client_name,label_name,accuracy\n0,007,NA,0.5\n1,1e5,None,\n")
        table = parsing.read_table(path)
        self.assertEqual(list(table["client_name"]), ["007", "1e5"])
        self.assertEqual(list(table["label_name"]), ["NA", "None"])
        self.assertEqual(table["accuracy"].isna().tolist(), [False, True])

    def test_numbers_of_a_configuration_are_numbers(self) -> None:
        text = "{a: 1e-08, b: 5, c: -0.5, d: .inf, e: true, f: null, g: [1, x], h: '5', i: 0.1e+3}"
        expected = {
            "a": 1e-8,
            "b": 5,
            "c": -0.5,
            "d": float("inf"),
            "e": True,
            "f": None,
            "g": [1, "x"],
        }
        self.assertEqual(parsing.read_yaml(text), {**expected, "h": "5", "i": 100.0})

    def test_one_run_directory_can_be_given_itself(self) -> None:
        path = made_up.write(self.folder / "s" / "a", [0.1])
        self.assertEqual(list(load.load(path).runs["run"]), [str(path)])

    def test_a_folder_without_runs_gives_empty_tables(self) -> None:
        data = load.load(self.folder)
        self.assertTrue(data.runs.empty and data.rounds.empty)


if __name__ == "__main__":
    unittest.main()
