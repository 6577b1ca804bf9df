"""A prepared folder is there whole or not at all, is made once, and replaces nobody's work."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from unittest import mock

from prepare import publishing
from prepare.errors import PrepareError
from prepare.home import MANIFEST
from prepare.tests.support import HomeTestCase, command, offline, run


class PublishTests(HomeTestCase):
    """publishing.publish"""

    def make(self, folder: Path) -> dict:
        """Writes one file and counts the calls."""
        self.calls = getattr(self, "calls", 0) + 1
        (folder / "data.bin").write_bytes(b"abc")
        return {"counts": {"files": 1}}

    def test_a_second_call_reuses_what_is_there(self) -> None:
        path = publishing.publish("x", {"recipe": 1, "length": 8}, self.make)
        publishing.publish("x", {"recipe": 1, "length": 8}, self.make)
        self.assertEqual(self.calls, 1)
        self.assertIn("sound, reused", self.output.getvalue())
        manifest = json.loads((path / "manifest.json").read_text())
        self.assertEqual(manifest["files"]["data.bin"]["bytes"], 3)
        self.assertEqual(manifest["counts"], {"files": 1})
        self.assertEqual(sorted(manifest["tools"]), sorted(["python", *publishing.TOOLS]))

    def test_a_missing_file_is_made_anew(self) -> None:
        path = publishing.publish("x", {"recipe": 1}, self.make)
        (path / "data.bin").unlink()
        self.assertIn("missing", publishing.defect(path) or "")
        publishing.publish("x", {"recipe": 1}, self.make)
        self.assertIsNone(publishing.defect(path))
        self.assertEqual(self.calls, 2)
        self.assertEqual([entry.name for entry in self.home.glob(".*x*")], [])

    def test_a_changed_file_is_replaced_only_when_that_is_asked_for(self) -> None:
        path = publishing.publish("x", {"recipe": 1}, self.make)
        for content, what in ((b"abd", "another SHA-256"), (b"ab", "2 bytes, not 3")):
            (path / "data.bin").write_bytes(content)
            self.assertIn(what, publishing.defect(path) or "")
            with self.assertRaisesRegex(PrepareError, f"x: data.bin has {what}.*--replace"):
                publishing.publish("x", {"recipe": 1}, self.make)
            self.assertEqual((path / "data.bin").read_bytes(), content)
        publishing.publish("x", {"recipe": 1}, self.make, replace=True)
        self.assertEqual((path / "data.bin").read_bytes(), b"abc")

    def test_what_prepare_did_not_make_stays_whatever_is_asked_for(self) -> None:
        path = self.home / "x"
        path.mkdir()
        (path / "model.safetensors").write_bytes(b"weights")
        manifests = (
            None,
            "{",
            "[]",
            '{"files": {"a": {}}}',
            '{"name": "y", "request": {}, "files": {"a": {}}}',
        )
        for manifest in manifests:
            if manifest is not None:
                (path / MANIFEST).write_text(manifest)
            for replace in (False, True):
                with self.assertRaisesRegex(
                    PrepareError, "/x is there and prepare did not make it"
                ):
                    publishing.publish("x", {"recipe": 1}, self.make, replace)
        self.assertEqual((path / "model.safetensors").read_bytes(), b"weights")

    def test_a_file_that_somebody_added_stays_and_is_named(self) -> None:
        path = publishing.publish("x", {"recipe": 1}, self.make)
        (path / "adapter.safetensors").write_bytes(b"mine")
        publishing.publish("x", {"recipe": 1}, self.make)
        for request in ({"recipe": 2}, {"recipe": 1, "length": 3}):
            with self.assertRaisesRegex(PrepareError, "/x holds adapter.safetensors"):
                publishing.publish("x", request, self.make, replace=True)
        self.assertEqual((path / "adapter.safetensors").read_bytes(), b"mine")

    def test_a_link_to_a_folder_is_used_and_never_replaced(self) -> None:
        path = publishing.publish("x", {"recipe": 1}, self.make)
        (self.home / "elsewhere").mkdir()
        moved = path.rename(self.home / "elsewhere" / "x")
        path.symlink_to(moved)
        publishing.publish("x", {"recipe": 1}, self.make)
        with self.assertRaisesRegex(PrepareError, "/x is a link"):
            publishing.publish("x", {"recipe": 2}, self.make, replace=True)
        self.assertTrue(path.is_symlink() and moved.is_dir())

    def test_another_request_is_refused_unless_replace_is_given(self) -> None:
        publishing.publish("x", {"recipe": 1, "length": 8}, self.make)
        with self.assertRaisesRegex(PrepareError, "another length.*--replace"):
            publishing.publish("x", {"recipe": 1, "length": 9}, self.make)
        publishing.publish("x", {"recipe": 1, "length": 9}, self.make, replace=True)
        self.assertEqual(self.calls, 2)

    def test_a_newer_recipe_replaces_the_older_files(self) -> None:
        publishing.publish("x", {"recipe": 1}, self.make)
        publishing.publish("x", {"recipe": 2}, self.make)
        self.assertEqual(self.calls, 2)

    def test_a_failure_leaves_nothing_behind_and_keeps_what_was_there(self) -> None:
        path = publishing.publish("x", {"recipe": 1}, self.make)

        def full(folder: Path) -> dict:
            (folder / "half").write_bytes(b"1")
            raise OSError(errno.ENOSPC, "No space left on device", str(folder / "half"))

        with self.assertRaisesRegex(
            PrepareError, "/.partial.x/half: No space left on device; free some"
        ):
            publishing.publish("x", {"recipe": 2}, full)
        self.assertIsNone(publishing.defect(path))
        self.assertEqual([entry.name for entry in self.home.glob(".x*")], [])

    def test_leftovers_of_a_killed_process_are_removed(self) -> None:
        stale = self.home / ".partial.x"
        stale.mkdir()
        (stale / "half").write_bytes(b"1")
        path = publishing.publish("x", {"recipe": 1}, self.make)
        self.assertFalse(stale.exists())
        self.assertEqual(sorted(entry.name for entry in path.iterdir()), ["data.bin", MANIFEST])

    def test_without_an_exchange_a_kill_between_two_renames_loses_nothing(self) -> None:
        path = publishing.publish("x", {"recipe": 1}, self.make)
        with mock.patch.object(publishing, "_exchange", return_value=False):
            publishing.publish("x", {"recipe": 2}, self.make)
        self.assertEqual(json.loads((path / MANIFEST).read_text())["request"], {"recipe": 2})
        self.assertEqual([entry.name for entry in self.home.glob(".*x")], [])
        # What a process leaves that is killed between the two.
        path.rename(self.home / ".old.x")
        (self.home / ".partial.x").mkdir()
        publishing.publish("x", {"recipe": 2}, self.make)
        self.assertEqual(self.calls, 2)
        self.assertIsNone(publishing.defect(path))

    def test_without_an_exchange_a_rename_that_fails_brings_the_old_folder_back(self) -> None:
        path = publishing.publish("x", {"recipe": 1}, self.make)
        rename = Path.rename

        def fail(source: Path, target: Path) -> Path:
            if source.name == ".partial.x":
                raise OSError(errno.EIO, "Input/output error", str(source))
            return rename(source, target)

        with mock.patch.object(publishing, "_exchange", return_value=False):
            with mock.patch.object(Path, "rename", fail):
                with self.assertRaisesRegex(PrepareError, "/.partial.x: Input/output error"):
                    publishing.publish("x", {"recipe": 2}, self.make)
        self.assertEqual(publishing.read_manifest(path)["request"], {"recipe": 1})
        self.assertEqual(sorted(os.listdir(self.home)), ["locks", "x"])

    def exchange_works(self) -> bool:
        """Exchanges two folders; False where the file system cannot do that."""
        with tempfile.TemporaryDirectory(dir=self.home) as folder:
            one, other = Path(folder, "one"), Path(folder, "other")
            for path in (one, other):
                path.mkdir()
                (path / path.name).touch()
            if not publishing._exchange(one, other):
                return False
            self.assertTrue((one / "other").exists() and (other / "one").exists())
        return True

    def test_a_home_that_cannot_be_written_is_one_clear_line(self) -> None:
        (self.home / "file").write_text("")
        with mock.patch.dict("os.environ", {"CELLM_HOME": str(self.home / "file")}):
            with self.assertRaisesRegex(PrepareError, "Not a directory"):
                publishing.publish("x", {"recipe": 1}, self.make)

    def test_names_that_would_leave_the_home_are_refused(self) -> None:
        for name in (
            "",
            ".hidden",
            "a/b",
            "../x",
            "a\nb",
            "x" * 201,
            "downloads",
            "locks",
            *ENVIRONMENTS,
        ):
            with self.assertRaises(PrepareError):
                publishing.publish(name, {}, self.make)

    def test_reserved_names_are_refused_and_what_they_hold_stays(self) -> None:
        self.make_tokenizer()
        (self.home / "rows.jsonl").write_text('{"t": "red"}\n' * 9)
        call = [
            "text",
            "--file",
            str(self.home / "rows.jsonl"),
            "--text",
            "t",
            "--tokenizer",
            "tiny",
        ]
        for name in ("downloads", "locks", *ENVIRONMENTS, "minilm-l6"):
            if name != "minilm-l6":
                (self.home / name).mkdir(exist_ok=True)
                (self.home / name / "mine").write_text("mine")
            done = run(*call, "--length", "8", "--name", name, "--replace")
            self.assertEqual(done.returncode, 64, done.stdout + done.stderr)
            self.assertIn(f"--name {name}", done.stderr)
        for name in ("downloads", "locks", *ENVIRONMENTS):
            self.assertEqual((self.home / name / "mine").read_text(), "mine")

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
        self.assertIsNone(publishing.defect(self.home / "rows"))

    def killed_at(self, number: int, exchange: bool, request: dict) -> bool:
        """Publishes in a child that is killed at so many of Python's own events; whether it was.

        Those events come before each open, rename, mkdir, remove and rmdir.
        """
        child = os.fork()
        if child == 0:
            left = [number]

            def kill(event: str, arguments: tuple) -> None:
                left[0] -= 1
                if left[0] == 0:
                    os.kill(os.getpid(), signal.SIGKILL)

            try:
                if not exchange:
                    publishing._exchange = lambda one, other: False
                sys.addaudithook(kill)
                publishing.publish("x", request, self.make, replace=True)
            finally:
                os._exit(0)
        return os.WIFSIGNALED(os.waitpid(child, 0)[1])

    def test_a_kill_at_any_moment_leaves_the_old_folder_or_the_new_one(self) -> None:
        works = self.exchange_works()
        for exchange in (True, False):
            path = publishing.publish("x", {"recipe": 1, "length": 0}, self.make, replace=True)
            number, missing = 0, 0
            while True:
                number += 1
                request = {"recipe": 1, "length": number}
                if not self.killed_at(number, exchange, request):
                    break
                if path.exists():
                    self.assertIsNone(publishing.defect(path))
                    made_for = publishing.read_manifest(path)["request"]["length"]
                    self.assertIn(made_for, (number - 1, number))
                else:
                    missing += 1
                publishing.publish("x", request, self.make, replace=True)
                self.assertIsNone(publishing.defect(path))
                self.assertEqual(publishing.read_manifest(path)["request"], request)
                self.assertEqual(sorted(os.listdir(self.home)), ["locks", "x"])
            self.assertGreater(number, 30)
            # Without the exchange, the one moment between two renames.
            self.assertEqual(missing, 0 if exchange and works else 1)


ENVIRONMENTS = ("environment", "environment-2da4dd617c74")
