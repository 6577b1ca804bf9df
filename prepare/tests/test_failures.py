"""Every failure is one line on standard error and a documented exit code, never a traceback."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import time
import unittest
from pathlib import Path
from unittest import mock

from prepare import home
from prepare.errors import EXIT_CODES
from prepare.tests.support import ROOT, HomeTestCase, command, offline, run


class FailureTests(HomeTestCase):
    """The command line when something is in its way"""

    def setUp(self) -> None:
        super().setUp()
        self.make_tokenizer()
        (self.home / "rows.jsonl").write_text('{"t": "red green"}\n' * 50)
        self.call = ["text", "--file", str(self.home / "rows.jsonl"), "--text", "t"]
        self.call += ["--tokenizer", "tiny", "--length", "8", "--name", "mine"]

    def line(self, code: int, *arguments: str, **environment: str) -> str:
        """The one line of a call that ends with a code."""
        done = run(*arguments, **environment)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        self.assertTrue(done.stderr.startswith("prepare: "), done.stderr)
        self.assertIn(str(code), EXIT_CODES)
        return done.stderr

    def test_a_command_line_that_makes_no_sense_is_one_line(self) -> None:
        self.assertIn("required: WHAT", self.line(64))
        self.assertIn("did you mean minilm-l6?", self.line(64, "minilm-l5"))
        self.assertIn(
            "scripts/prepare assets friends.minilm-l6", self.line(64, "friends.minilm-l6")
        )
        self.assertIn("by the path of its directory", self.line(64, "gpt2"))
        self.assertIn("--length", self.line(64, "text", "--length", "x"))
        self.assertIn("17 is no number from 0", self.line(64, *self.call, "--test", "17"))
        self.assertIn("below 1", self.line(64, *self.call, "--test", "0.5", "--validation", "0.5"))
        self.assertIn("at most 16", self.line(64, *self.call, "--length", "17"))

    def test_assets_that_cannot_be_made_are_refused_before_anything_is_done(self) -> None:
        self.assertIn(
            "no asset bert-base-uncased", self.line(64, "assets", "bert-base-uncased", "minilm-l6")
        )
        self.assertIn(
            "did you mean 20newsgroups.minilm-l6?", self.line(64, "assets", "20newsgroups.minilm-6")
        )
        self.assertEqual(run(*self.call).returncode, 0)
        done = run("assets", "mine", "tiny")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("mine: already in", done.stdout)
        self.assertIn("made by scripts/prepare text --file", done.stdout)
        self.assertIn("tiny: already in", done.stdout)

    def test_advice_is_a_command_that_can_be_typed(self) -> None:
        self.assertTrue(os.access(ROOT / "scripts" / "prepare", os.X_OK))
        for name in ("minilm-l6", "smollm2-135m"):
            line = self.line(66, "20newsgroups", "--tokenizer", name)
            self.assertIn(f"type scripts/prepare {name}", line)
            self.assertIn("put gt_" if name == "minilm-l6" else "put llm_", self.line(69, name))

    @unittest.skipIf(os.getuid() == 0, "root reads everything")
    def test_a_folder_without_permission_is_named(self) -> None:
        (self.home / "rows.jsonl").chmod(0)
        self.assertIn("rows.jsonl: Permission denied", self.line(74, *self.call))

    def test_a_home_that_is_no_folder_is_named(self) -> None:
        path = self.home / "rows.jsonl"
        call = [*self.call, "--tokenizer", f"{self.home}/tiny"]
        line = self.line(66, *call, CELLM_HOME=f"{path}/x")
        self.assertIn(f"{path}/x", line)

    def test_a_full_disk_is_one_line_and_leaves_nothing(self) -> None:
        def limit() -> None:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (300, 300))

        done = subprocess.run(
            command(*self.call), capture_output=True, text=True, env=offline({}), preexec_fn=limit
        )
        self.assertEqual(done.returncode, 74, done.stderr)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        self.assertIn(".partial.mine/", done.stderr)
        self.assertEqual([entry.name for entry in self.home.glob(".*")], [])
        self.assertEqual(run(*self.call).returncode, 0)

    def test_a_reader_that_goes_away_stops_no_work(self) -> None:
        process = subprocess.Popen(
            command(*self.call), stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=offline({})
        )
        process.stdout.close()
        self.assertEqual((process.wait(60), process.stderr.read()), (0, b""))
        process.stderr.close()
        self.assertTrue((self.home / "mine" / "train.safetensors").is_file())

    def test_a_full_standard_output_is_said_after_the_work(self) -> None:
        with open("/dev/full", "w") as full:
            done = subprocess.run(
                command(*self.call), stdout=full, stderr=subprocess.PIPE, text=True, env=offline({})
            )
        self.assertEqual(done.returncode, 74)
        self.assertIn("standard output: No space left on device", done.stderr)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        self.assertTrue((self.home / "mine" / "train.safetensors").is_file())

    def test_signals_end_it_with_their_number_and_leave_nothing(self) -> None:
        rows = '{"t": "red green blue one two"}\n' * 200_000
        (self.home / "rows.jsonl").write_text(rows)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            process = subprocess.Popen(
                command(*self.call),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                env=offline({}),
            )
            deadline = time.monotonic() + 60
            while not (self.home / ".partial.mine").exists() and time.monotonic() < deadline:
                time.sleep(0.02)
            process.send_signal(number)
            error = process.communicate(timeout=60)[1]
            self.assertEqual(process.returncode, 128 + number, error)
            self.assertEqual(
                error, f"prepare: ended by {number.name}; nothing half done is left in place\n"
            )
            self.assertFalse((self.home / ".partial.mine").exists())

    def test_a_package_that_cannot_be_loaded_is_one_line(self) -> None:
        broken = self.home / "broken"
        broken.mkdir()
        (broken / "tokenizers.py").write_text("raise ImportError('first line\\nsecond line')\n")
        line = self.line(74, *self.call, PYTHONPATH=f"{broken}:{ROOT}")
        self.assertIn("cannot load its packages: first line second line", line)

    def test_a_fault_of_prepare_itself_is_one_line_with_its_place(self) -> None:
        broken = self.home / "broken"
        broken.mkdir()
        patch = "import prepare.tables.text_file as text\ntext.read = lambda *a: 1 / 0\n"
        (broken / "sitecustomize.py").write_text(patch)
        line = self.line(70, *self.call, PYTHONPATH=f"{broken}:{ROOT}")
        self.assertRegex(line, r"a fault of prepare itself \(text_file.py:\d+\): ZeroDivisionError")


class HomeFolderTests(unittest.TestCase):
    """Python, the scripts and (in Swift's tests) the simulator read the variables alike."""

    CASES = (
        ({"CELLM_HOME": "/c"}, "/c"),
        ({"CELLM_HOME": "~/x y"}, "/h/x y"),
        ({"CELLM_HOME": "~"}, "/h"),
        ({"CELLM_HOME": "~other/x"}, "/work here/~other/x"),
        ({"CELLM_HOME": "x"}, "/work here/x"),
        ({"CELLM_HOME": "", "XDG_CACHE_HOME": "/x"}, "/x/cellm-mpi"),
        ({"XDG_CACHE_HOME": "x"}, "/h/.cache/cellm-mpi"),
        ({"XDG_CACHE_HOME": "~/x"}, "/h/.cache/cellm-mpi"),
        ({}, "/h/.cache/cellm-mpi"),
    )

    def test_the_home_of_python(self) -> None:
        for variables, expected in self.CASES:
            environment = {"HOME": "/h", **variables}
            with mock.patch.dict(os.environ, environment, clear=True):
                with mock.patch("os.getcwd", return_value="/work here"):
                    self.assertEqual(home.home(), Path(expected), variables)

    def test_the_home_of_the_scripts(self) -> None:
        script = f'PWD="/work here"; . "{ROOT}/scripts/common.bash"; echo "$CELLM_HOME"'
        for variables, expected in self.CASES:
            environment = {"HOME": "/h", "PATH": os.environ["PATH"], **variables}
            found = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", script],
                capture_output=True,
                text=True,
                env=environment,
            )
            self.assertEqual(found.stdout.strip(), expected, (variables, found.stderr))

    def test_without_home_it_is_the_users_folder(self) -> None:
        with mock.patch.dict(os.environ, {}, clear=True):
            self.assertTrue(str(home.home()).endswith("/.cache/cellm-mpi"))
            self.assertTrue(home.home().is_absolute())
