"""A prepared directory is there whole or not at all, and is made once."""

from __future__ import annotations

import errno
import json
import subprocess
from pathlib import Path
from unittest import mock

from prepare import home
from prepare.errors import PrepareError
from prepare.tests.support import HomeTestCase, command, offline


class PublishTests(HomeTestCase):
    """home.publish"""

    def make(self, folder: Path) -> dict:
        """Writes one file and counts the calls."""
        self.calls = getattr(self, "calls", 0) + 1
        (folder / "data.bin").write_bytes(b"abc")
        return {"counts": {"files": 1}}

    def test_a_second_call_reuses_what_is_there(self) -> None:
        path = home.publish("x", {"recipe": 1, "length": 8}, self.make)
        home.publish("x", {"recipe": 1, "length": 8}, self.make)
        self.assertEqual(self.calls, 1)
        self.assertIn("sound, reused", self.output.getvalue())
        manifest = json.loads((path / "manifest.json").read_text())
        self.assertEqual(manifest["files"]["data.bin"]["bytes"], 3)
        self.assertEqual(manifest["counts"], {"files": 1})
        self.assertEqual(sorted(manifest["tools"]), sorted(["python", *home.TOOLS]))

    def test_changed_and_missing_files_are_noticed_and_made_anew(self) -> None:
        path = home.publish("x", {"recipe": 1}, self.make)
        (path / "data.bin").write_bytes(b"abd")
        self.assertIn("SHA-256", home.defect(path) or "")
        home.publish("x", {"recipe": 1}, self.make)
        self.assertIsNone(home.defect(path))
        (path / "data.bin").write_bytes(b"ab")
        self.assertIn("2 bytes", home.defect(path) or "")
        (path / "data.bin").unlink()
        self.assertIn("missing", home.defect(path) or "")
        (path / "manifest.json").write_text("{")
        self.assertIn("manifest", home.defect(path) or "")
        home.publish("x", {"recipe": 1}, self.make)
        self.assertEqual(self.calls, 3)
        self.assertEqual([entry.name for entry in self.home.glob(".x*")], [])

    def test_another_request_is_refused_unless_replace_is_given(self) -> None:
        home.publish("x", {"recipe": 1, "length": 8}, self.make)
        with self.assertRaisesRegex(PrepareError, "another length.*--replace"):
            home.publish("x", {"recipe": 1, "length": 9}, self.make)
        home.publish("x", {"recipe": 1, "length": 9}, self.make, replace=True)
        self.assertEqual(self.calls, 2)

    def test_a_newer_recipe_replaces_the_older_files(self) -> None:
        home.publish("x", {"recipe": 1}, self.make)
        home.publish("x", {"recipe": 2}, self.make)
        self.assertEqual(self.calls, 2)

    def test_a_failure_leaves_nothing_behind_and_keeps_what_was_there(self) -> None:
        path = home.publish("x", {"recipe": 1}, self.make)

        def full(folder: Path) -> dict:
            (folder / "half").write_bytes(b"1")
            raise OSError(errno.ENOSPC, "No space left on device", str(folder / "half"))

        with self.assertRaisesRegex(PrepareError, "no space left"):
            home.publish("x", {"recipe": 2}, full)
        self.assertIsNone(home.defect(path))
        self.assertEqual([entry.name for entry in self.home.glob(".x*")], [])

    def test_leftovers_of_a_killed_process_are_removed(self) -> None:
        stale = self.home / ".x.partial-999999"
        stale.mkdir()
        home.publish("x", {"recipe": 1}, self.make)
        self.assertFalse(stale.exists())

    def test_a_home_that_cannot_be_written_is_one_clear_line(self) -> None:
        (self.home / "file").write_text("")
        with mock.patch.dict("os.environ", {"CELLM_HOME": str(self.home / "file")}):
            with self.assertRaisesRegex(PrepareError, "Not a directory"):
                home.publish("x", {"recipe": 1}, self.make)

    def test_names_that_would_leave_the_home_are_refused(self) -> None:
        for name in ("", ".hidden", "a/b", "../x"):
            with self.assertRaises(PrepareError):
                home.publish(name, {}, self.make)

    def test_the_default_home_follows_the_cache_folder(self) -> None:
        with mock.patch.dict("os.environ", {"CELLM_HOME": "", "XDG_CACHE_HOME": "/somewhere"}):
            self.assertEqual(home.home(), Path("/somewhere/cellm-mpi"))

    def test_four_processes_at_once_make_it_once(self) -> None:
        self.make_tokenizer()
        rows = "".join(f'{{"t": "red {i}"}}\n' for i in range(200))
        (self.home / "rows.jsonl").write_text(rows)
        call = ["text", "--file", str(self.home / "rows.jsonl"), "--text", "t"]
        call += ["--tokenizer", "tiny", "--length", "8", "--name", "rows"]
        started = [
            subprocess.Popen(command(*call), stdout=subprocess.PIPE, text=True, env=offline({}))
            for _ in range(4)
        ]
        outputs = [process.communicate(timeout=120)[0] for process in started]
        self.assertEqual([process.returncode for process in started], [0] * 4)
        self.assertEqual(sum("rows: ready in" in output for output in outputs), 1)
        self.assertEqual(sum("reused" in output for output in outputs), 3)
        self.assertIsNone(home.defect(self.home / "rows"))
