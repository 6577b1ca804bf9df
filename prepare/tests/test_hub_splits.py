"""Which files of a data set of the hub are which split, and paths that lead out of the cache."""

from __future__ import annotations

import json
import unittest
from pathlib import Path

from prepare.errors import PrepareError
from prepare.hub_files import hub, hub_dataset
from prepare.hub_files.hub import Repository
from prepare.pictures import random_vit
from prepare.publishing import read_manifest
from prepare.tests.hub_server import COMMIT
from prepare.tests.support import HomeTestCase
from prepare.tests.test_hub import HubTestCase, lines


def repository(*files: str) -> Repository:
    """A repository that has files."""
    return Repository("owner/news", "dataset", "main", COMMIT, files, "mit")


class NameTests(unittest.TestCase):
    """Splits by the names of files and folders"""

    def found(self, *files: str, named: tuple[str, ...] = ()) -> dict[str, list[str]]:
        """The files of each split."""
        return hub_dataset.splits_of(repository(*files), None, list(named))

    def test_the_name_of_a_file_goes_before_its_folders(self) -> None:
        for folder in ("data/training", "train-test-split", "dev"):
            train, test = f"{folder}/train.jsonl", f"{folder}/test.jsonl"
            self.assertEqual(self.found(train, test), {"train": [train], "test": [test]})

    def test_the_nearest_folder_says_what_the_name_does_not(self) -> None:
        files = ("train/test/0.jsonl", "test/train/a/1.jsonl", "val/2.jsonl", "other/3.jsonl")
        expected = {"test": [files[0]], "train": [files[1]], "validation": [files[2]]}
        self.assertEqual(self.found(*files), expected)
        self.assertEqual(self.found("a/0.csv", "b/1.csv"), {"train": ["a/0.csv", "b/1.csv"]})

    def test_a_name_with_two_splits_is_refused_until_the_user_names_it(self) -> None:
        files = ("train.csv", "dev_test.csv")
        with self.assertRaisesRegex(
            PrepareError, "dev_test.csv names the splits validation and test; say which"
        ):
            self.found(*files)
        found = self.found(*files, named=("train", "dev_test"))
        self.assertEqual(found, {"train": ["train.csv"], "dev_test": ["dev_test.csv"]})
        with self.assertRaisesRegex(PrepareError, "train-test names the splits train and test"):
            self.found("train-test/a.csv")

    def test_a_file_of_a_named_split_is_in_no_other(self) -> None:
        found = self.found("train.csv", "test-hard.csv", "test.csv", named=("train", "hard"))
        expected = {"train": ["train.csv"], "hard": ["test-hard.csv"], "test": ["test.csv"]}
        self.assertEqual(found, expected)


class CardTests(HomeTestCase):
    """Splits by README.md"""

    FILES = ("data/train-0.jsonl", "data/more/train-1.jsonl", "data/held.csv", "x.jsonl")

    def matching(self, pattern: str) -> list[str]:
        """The files of a pattern."""
        found = hub_dataset._declared(repository(*self.FILES), list(self.FILES), pattern, "")
        return found["train"]

    def test_a_star_stays_within_a_folder_and_two_do_not(self) -> None:
        train, more, held, other = self.FILES
        cases = {
            "data/*": [held, train],
            "data/train-*": [train],
            "data/**": [held, more, train],
            "data/**/train-*": [more, train],
            "**/*.jsonl": [more, train, other],
            "*.jsonl": [other],
            "data/train-[0-9].json?": [train],
            "data/train-[!1].jsonl": [train],
            "data?held.csv": None,
            "data[/]held.csv": None,
            "./x.jsonl": [other],
        }
        for pattern, expected in cases.items():
            with self.subTest(pattern):
                if expected is None:
                    self.assertRaises(PrepareError, self.matching, pattern)
                else:
                    self.assertEqual(self.matching(pattern), expected)

    def test_a_pattern_without_tables_is_refused_with_its_split(self) -> None:
        declared = [
            {"split": "train", "path": "data/train-*"},
            {"split": "test", "path": ["data/held.csv", "data/test-*"]},
        ]
        with self.assertRaisesRegex(
            PrepareError, "README.md: no table matches data/test-\\* of the split test; choose"
        ):
            hub_dataset._declared(repository(*self.FILES), list(self.FILES), declared, "")


class SafetyTests(HubTestCase):
    """What a server or a cache says is not trusted"""

    OPTIONS = ("--text", "text", "--label", "label", "--tokenizer", "tiny", "--length", "8")

    def test_a_commit_or_a_file_out_of_the_cache_is_refused(self) -> None:
        secret = self.home / "secret.jsonl"
        secret.write_bytes(lines(9))
        self.hub.add("dataset", "owner/commit", {"train.jsonl": lines(6)}, "/../../../evil")
        line = self.error("owner/commit", *self.OPTIONS, code=65)
        self.assertIn("the hub says '/../../../evil', which is no commit of 40 hex", line)
        for number, name in enumerate((str(secret), "../../secret.jsonl", "a/../train.jsonl")):
            self.hub.add("dataset", f"owner/{number}", {name: lines(6)})
            line = self.error(f"owner/{number}", *self.OPTIONS, code=65)
            self.assertIn(f"the file name {name!r} leads out of the repository", line)
        self.assertFalse((self.home / "downloads").exists())

    def test_what_was_written_down_is_checked_again(self) -> None:
        path = hub._list_of("owner/news", "dataset", COMMIT)
        whole = {"name": "owner/news", "kind": "dataset", "revision": "main", "commit": COMMIT}
        whole.update(files=["train.jsonl"], licence="mit")
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(whole))
        known = hub._remembered("owner/news", "dataset", COMMIT)
        self.assertEqual(known.files, ("train.jsonl",))
        for change in ({"files": ["/etc/passwd"]}, {"files": ["a/../../b"]}, {"commit": "../x"}):
            path.write_text(json.dumps({**whole, **change}))
            self.assertIsNone(hub._remembered("owner/news", "dataset", COMMIT))
        path.write_text("[]")
        self.assertIsNone(hub._remembered("owner/news", "dataset", COMMIT))

    def test_a_reference_in_the_cache_has_to_be_a_commit(self) -> None:
        cache = self.home / "hf" / "hub" / "datasets--owner--news"
        (cache / "refs").mkdir(parents=True)
        (cache / "snapshots").mkdir()
        (cache / "train.jsonl").write_bytes(lines(6))
        (cache / "refs" / "main").write_text("..")
        line = self.error("owner/news", *self.OPTIONS, code=69, HF_HUB_OFFLINE="1")
        self.assertIn("the hub's cache has no copy of this data set", line)

    def test_odd_cards_and_the_name_of_a_model_are_one_line(self) -> None:
        card = b"---\nconfigs: 5\n---\n"
        self.hub.add("dataset", "owner/news", {"train.jsonl": lines(6), "README.md": card})
        line = self.error("owner/news", *self.OPTIONS, code=65)
        self.assertIn("README.md: configs is no list of parts", line)
        self.hub.add("dataset", "owner/plain", {"train.jsonl": lines(6)})
        folder = random_vit.prepare("v", random_vit.Shape(4, 2, 1, 8, 1, 2), 0)
        manifest = {**read_manifest(folder), "sources": ["random weights"]}
        Path(folder, "manifest.json").write_text(json.dumps(manifest))
        line = self.error("owner/plain", *self.OPTIONS, "--name", "v", code=64)
        self.assertIn("v was made with another", line)
        self.assertNotIn("no attribute", line)


if __name__ == "__main__":
    unittest.main()
