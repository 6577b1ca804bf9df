"""A figure shows runs that differ in what it compares and in nothing else."""

from __future__ import annotations

import contextlib
import io
import json
import tempfile
import unittest
from pathlib import Path

import pandas as pd

from .. import __main__ as figures
from .. import rank_density, utility_against_communication
from ..grouping import belonging
from ..load import load
from . import made_up

SPARSE = {"select": "top_magnitude", "density": 0.1}


class GroupingTests(unittest.TestCase):
    """Runs of a study whose settings are not all alike"""

    def setUp(self) -> None:
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.runs = Path(temporary.name)
        self.study = self.runs / "communication.tiny"

    def write(self, name: str, accuracies: list[float], **changes: object) -> Path:
        """A run of the study."""
        changes = {"data": {"path": "corpus.tiny", "max_length": 128}, **changes}
        changes = {"evaluation": {"maximum_examples": 300}, **changes}
        return made_up.write(self.study / name, accuracies, **changes)

    def points(self) -> tuple[list[str], str | None]:
        """The runs that the figure is of, and the line on the others."""
        data, line = belonging(load(self.study), utility_against_communication.COMPARES)
        return sorted(data.runs["point"]), line

    def test_methods_and_seeds_and_lengths_of_a_run_belong_together(self) -> None:
        self.write("dense", [0.1, 0.2])
        self.write("dense.seed-1", [0.1, 0.2], seed=1)
        self.write("sparse", [0.1, 0.2, 0.3], method__upload=SPARSE)
        self.assertEqual(self.points(), (["dense", "dense.seed-1", "sparse"], None))

    def test_other_examples_and_lengths_are_left_out_with_the_reason(self) -> None:
        self.write("dense", [0.1, 0.2])
        self.write("sparse", [0.1, 0.2], method__upload=SPARSE)
        self.write("few", [0.1, 0.2], evaluation={"maximum_examples": 200}, method__upload=SPARSE)
        self.write("short", [0.1, 0.2], data={"path": "corpus.tiny", "max_length": 32})
        names, line = self.points()
        self.assertEqual(names, ["dense", "sparse"])
        self.assertIn("2 of 4 runs, whose settings are others: ", line)
        self.assertIn("few (evaluation.maximum_examples: 200, not 300)", line)
        self.assertIn("short (data.max_length: 32, not 128)", line)

    def test_the_figure_and_its_caption_are_of_the_runs_that_belong_together(self) -> None:
        self.write("dense", [0.1, 0.2])
        self.write("sparse", [0.1, 0.2], method__upload=SPARSE)
        self.write("other", [0.1, 0.9], data={"path": "corpus.tiny", "max_length": 32})
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            figures.main([str(self.runs), "--sweeps", str(self.runs)])
        name = "utility-against-communication.tiny"
        self.assertIn(f"left out {name}: 1 of 3 runs", output.getvalue())
        self.assertIn("data.max_length: 32, not 128", output.getvalue())
        table = pd.read_csv(self.runs / "figures" / f"{name}.csv")
        self.assertEqual(set(table["label"]), {"dense", "sparse"})
        caption = (self.runs / "figures" / f"{name}.txt").read_text()
        self.assertIn("Left out: 1 of 3 runs", caption)
        self.assertIn("The runs agree in all settings but method.*, adapter.kind,", caption)
        self.assertIn("Run directories (2):", caption)
        self.assertNotIn(str(self.study / "other"), caption)

    def test_paths_on_two_machines_are_one_model_and_other_bytes_are_another(self) -> None:
        runs = [
            self.write("dense", [0.1, 0.2], model={"path": "/a/tiny"}),
            self.write("dense.seed-1", [0.1, 0.2], model={"path": "/b/tiny"}, seed=1),
            self.write("sparse", [0.1, 0.2], model={"path": "tiny"}, method__upload=SPARSE),
        ]
        self.assertIsNone(self.points()[1])
        for run, digest in zip(runs, ("aa", "bb", "aa")):
            manifest = json.loads((run / "manifest.json").read_text())
            manifest["inputs"] = [
                {"path": "/x/tiny/model.safetensors", "bytes": 1, "xxh64": digest}
            ]
            (run / "manifest.json").write_text(json.dumps(manifest))
        names, line = self.points()
        self.assertEqual(names, ["dense", "sparse"])
        self.assertIn("dense.seed-1 (content of tiny/model.safetensors: bb, not aa)", line)

    def test_a_setting_of_a_newer_version_is_no_difference(self) -> None:
        self.write("dense", [0.1, 0.2])
        self.write("sparse", [0.1, 0.2], method__upload=SPARSE, local={"new_key": 1})
        self.assertIsNone(self.points()[1])

    def test_rank_and_density_shows_runs_of_one_density_both_ways(self) -> None:
        folder = self.runs / "rank-density.tiny"
        both = {"method__download": SPARSE, "method__upload": SPARSE}
        made_up.write(folder / "both", [0.1, 0.4], **both)
        made_up.write(folder / "up", [0.1, 0.9], method__upload=SPARSE)
        schedule = {"select": "top_magnitude", "density": {"initial": 1, "factor": 0.5}}
        made_up.write(
            folder / "falling", [0.1, 0.8], method__download=schedule, method__upload=schedule
        )
        figure = rank_density.draw(load(folder))
        self.assertEqual(list(figure.tables[""]["accuracy"]), [0.4])
        self.assertEqual(figure.runs, [str(folder / "both")])
        self.assertIn("the same both ways: falling, up", figure.notes[-1])


if __name__ == "__main__":
    unittest.main()
