"""Collected runs are small and give the same tables."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import random
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from .. import collect
from ..load import load
from ..parsing import read_yaml
from . import made_up
from .test_figures import drawn


def run(*arguments: object) -> tuple[int, str]:
    """Exit code and output of the command."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        code = collect.main([str(argument) for argument in arguments])
    return code, output.getvalue()


def tables(folder: Path) -> dict[str, bytes]:
    """All tables of all figures as they are written."""
    return {
        f"{name}.{suffix}": table.to_csv(index=False, float_format="%.8g").encode()
        for name, figure in drawn(folder).figures.items()
        for suffix, table in figure.tables.items()
    }


class CollectTests(unittest.TestCase):
    """Each test has a folder of its own."""

    def setUp(self) -> None:
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.runs = Path(temporary.name) / "runs"
        self.results = Path(temporary.name) / "results"

    def test_figures_of_the_copy_have_the_same_bytes_in_all_tables(self) -> None:
        made_up.everything(self.runs)
        code, text = run(self.runs, "--output", self.results)
        self.assertEqual(code, 0, text)
        self.assertRegex(text, r"collect: 38 runs in .*results, ")
        originals, copies = tables(self.runs), tables(self.results)
        self.assertGreater(len(originals), 60)
        self.assertEqual(set(originals), set(copies))
        for name, content in originals.items():
            self.assertEqual(content, copies[name], name)

    def test_a_copy_has_what_figures_need_and_nothing_of_the_machine(self) -> None:
        path = made_up.write(
            self.runs / "s" / "p",
            [0.1],
            model={"path": "/home/somebody/models/tiny"},
            data={"path": "corpus.tiny"},
        )
        manifest = json.loads((path / "manifest.json").read_text())
        manifest["working_directory"] = "/home/somebody"
        manifest["inputs"] = [{"path": "/home/somebody/tiny/config.json", "xxh64": "ab"}]
        (path / "manifest.json").write_text(json.dumps(manifest))
        (path / "adapter").mkdir()
        run(self.runs, "--output", self.results)
        copy = self.results / "s" / "p"
        self.assertEqual(
            sorted(file.name for file in copy.iterdir()),
            [
                *("clients.csv", "config.yaml", "evaluation.csv", "partition.csv"),
                *("result.json", "rounds.csv"),
            ],
        )
        for file in copy.iterdir():
            self.assertNotIn("somebody", file.read_text())
        self.assertEqual(list(load(copy).runs["model.path"]), ["tiny"])
        self.assertNotIn("a_new_column", (copy / "rounds.csv").read_text())

    def test_absolute_paths_become_their_last_part_and_nothing_else_changes(self) -> None:
        text = (
            "adapter:\n  initial: /home/secret user/run-1/adapter\n"
            "data: {path: '/a b/1e5', name: 1e5, list: [/x/y, z/w]}\nrate: 1e-08\nnone: '007'\n"
        )
        copy = collect.config_of(text)
        self.assertNotIn("secret", copy)
        self.assertEqual(
            read_yaml(copy),
            {
                "adapter": {"initial": "adapter"},
                "data": {"path": "1e5", "name": 1e5, "list": ["y", "z/w"]},
                "rate": 1e-8,
                "none": "007",
            },
        )

    def test_an_older_copy_stays_if_the_new_one_fails(self) -> None:
        made_up.study(self.runs / "s")
        run(self.runs, "--output", self.results)
        with mock.patch.object(collect, "write", side_effect=OSError("no space left")):
            with self.assertRaises(OSError):
                run(self.runs, "--output", self.results)
        self.assertEqual(len(load(self.results).runs), 4)
        names = sorted(path.name for path in (self.results / "s").iterdir())
        self.assertEqual(
            names, ["dense.seed-0", "dense.seed-1", "sparse.seed-0", "sparse.seed-1"]
        )

    def test_one_partition_is_kept_once(self) -> None:
        made_up.study(self.runs / "s")
        run(self.runs, "--output", self.results)
        self.assertEqual(len(list(self.results.glob("**/partition.csv"))), 1)
        # The copy of a part does not take it away from the others.
        run(self.runs / "s" / "dense.seed-0", "--output", self.results)
        self.assertEqual(len(list(self.results.glob("**/partition.csv"))), 1)
        self.assertEqual(len(load(self.results).runs), 4)

    def test_a_copy_can_be_made_again_and_is_the_same(self) -> None:
        made_up.study(self.runs / "s")

        def content() -> dict[str, bytes]:
            return {
                str(file): file.read_bytes()
                for file in sorted(self.results.glob("**/*"))
                if file.is_file()
            }

        run(self.runs, "--output", self.results)
        before = content()
        run(self.runs, "--output", self.results)
        self.assertEqual(content(), before)

    def test_another_folder_is_left_alone(self) -> None:
        made_up.study(self.runs / "s")
        folder = self.results / "s" / "dense.seed-0"
        folder.mkdir(parents=True)
        (folder / "mine.txt").write_text("x")
        code, text = run(self.runs, "--output", self.results)
        self.assertEqual(code, 1)
        self.assertIn("is there and is no collected run", text)
        self.assertEqual((folder / "mine.txt").read_text(), "x")

    def test_runs_that_are_not_finished_are_left_out(self) -> None:
        made_up.write(self.runs / "s" / "a", [0.1], status="running")
        code, text = run(self.runs, "--output", self.results)
        self.assertEqual(code, 1)
        self.assertIn("is not finished", text)

    def test_three_hundred_client_rounds_take_less_than_15_kb(self) -> None:
        path = made_up.write(self.runs / "s" / "a", [0.1] * 30)
        draw = random.Random(0)
        header = (path / "clients.csv").read_text().splitlines()[0].split(",")
        lines = [",".join(header)]
        rounds = (path / "rounds.csv").read_text().splitlines()
        for number in range(1, 31):
            for _ in range(10):
                cells = {"round": number, "client": draw.randrange(350), "tier": 0}
                cells["tokens"] = draw.randrange(20_000)
                cells["client_seconds"] = f"{10 * draw.random():.6f}"
                for way in ("download", "upload"):
                    kept, indices = 170_885, 72_000 + draw.randrange(2_000)
                    cells[f"{way}_nonzeros"] = kept
                    cells[f"{way}_values_bytes"] = 4 * kept
                    cells[f"{way}_indices_bytes"] = indices
                    cells[f"{way}_header_bytes"] = 25
                    cells[f"{way}_payload_bytes"] = 4 * kept + indices + 25
                lines.append(",".join(str(cells[name]) for name in header))
        (path / "clients.csv").write_text("\n".join(lines) + "\n")
        changed = [rounds[0], *(line.replace(",2,", ",10,", 1) for line in rounds[1:])]
        (path / "rounds.csv").write_text("\n".join(changed) + "\n")
        code, text = run(self.runs, "--output", self.results)
        self.assertEqual(code, 0, text)
        size = sum(file.stat().st_size for file in self.results.glob("**/*") if file.is_file())
        self.assertLess(size, 15_000)
        table = gzip.decompress((self.results / "s/a/clients.csv.gz").read_bytes())
        self.assertEqual(len(table.splitlines()), 301)


if __name__ == "__main__":
    unittest.main()
