"""Runs of one figure differ in what it compares and in nothing else."""

from __future__ import annotations

import json
import tempfile
import unittest
from pathlib import Path

from ..drawing import Wishes, context_of
from ..figures import rank_density, utility_against_communication
from ..grouping import group_names, groups
from ..labels import labelled
from ..load import load
from . import made_up

SPARSE = made_up.direction()
COMPARES = utility_against_communication.COMPARES


class GroupingTests(unittest.TestCase):
    """Runs whose settings are not all alike."""

    def setUp(self) -> None:
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = Path(temporary.name) / "runs"

    def write(self, name: str, accuracies: list[float], **changes: object) -> Path:
        """A run."""
        changes = {"data": {"path": "corpus.tiny", "max_length": 128}, **changes}
        return made_up.write(self.folder / name, accuracies, **changes)

    def points(self) -> list[list[str]]:
        """The runs of each group."""
        return [sorted(part.runs["point"]) for _, part in groups(load(self.folder), COMPARES)]

    def test_methods_and_seeds_and_lengths_of_a_run_belong_together(self) -> None:
        self.write("dense", [0.1, 0.2])
        self.write("dense.seed-1", [0.1, 0.2], seed=1)
        self.write("sparse", [0.1, 0.2, 0.3], method__upload=SPARSE)
        self.assertEqual(self.points(), [["dense", "dense.seed-1", "sparse"]])

    def test_other_settings_are_other_groups_with_names_of_the_difference(self) -> None:
        self.write("dense", [0.1, 0.2])
        self.write("sparse", [0.1, 0.2], method__upload=SPARSE)
        self.write("short", [0.1, 0.2], data={"path": "corpus.tiny", "max_length": 32})
        self.assertEqual(self.points(), [["dense", "sparse"], ["short"]])
        shared = [settings for settings, _ in groups(load(self.folder), COMPARES)]
        self.assertEqual(group_names(shared), ["tiny.max_length-128", "tiny.max_length-32"])

    def test_a_name_has_no_more_settings_than_tell_groups_apart(self) -> None:
        shared = [
            {"model.path": "m", "a.x": 1, "a.y": 1, "a.z": "p q"},
            {"model.path": "m", "a.x": 1, "a.y": 2, "a.z": "r/s"},
            {"model.path": "m", "a.x": 2, "a.y": 3, "a.z": "r/s"},
        ]
        self.assertEqual(group_names(shared), ["m.y-1", "m.y-2", "m.y-3"])
        self.assertEqual(group_names(shared[:1]), ["m"])
        self.assertEqual(group_names([{"model.path": "m"}, {"model.path": "n"}]), ["m", "n"])

    def test_other_bytes_of_one_name_are_another_model(self) -> None:
        runs = [
            self.write("dense", [0.1, 0.2], model={"path": "/a/tiny"}),
            self.write("dense.seed-1", [0.1, 0.2], model={"path": "/b/tiny"}, seed=1),
            self.write("sparse", [0.1, 0.2], model={"path": "tiny"}, method__upload=SPARSE),
        ]
        self.assertEqual(len(self.points()), 1)
        for run, digest in zip(runs, ("aa", "bb", "aa")):
            manifest = json.loads((run / "manifest.json").read_text())
            manifest["inputs"] = [
                {"path": "/x/tiny/model.safetensors", "bytes": 1, "xxh64": digest}
            ]
            (run / "manifest.json").write_text(json.dumps(manifest))
        self.assertEqual(self.points(), [["dense", "sparse"], ["dense.seed-1"]])

    def test_a_setting_of_a_newer_version_is_no_difference(self) -> None:
        self.write("dense", [0.1, 0.2])
        self.write("sparse", [0.1, 0.2], method__upload=SPARSE, local={"new_key": 1})
        self.assertEqual(len(self.points()), 1)

    def test_a_warm_start_is_another_experiment_than_a_cold_one(self) -> None:
        adapter = {"lora_rank": 16, "alpha": 16, "frozen": "none"}
        self.write("cold", [0.1, 0.2])
        self.write("cold.seed-1", [0.1, 0.2], seed=1)
        self.write("warm", [0.5, 0.6], adapter={**adapter, "initial": "/a/run-1/adapter"}, seed=2)
        self.assertEqual(self.points(), [["cold", "cold.seed-1"], ["warm"]])
        shared = [settings for settings, _ in groups(load(self.folder), COMPARES)]
        self.assertEqual(group_names(shared), ["tiny.initial-not-set", "tiny.initial-adapter"])

    def test_rank_and_density_shows_runs_of_one_density_both_ways(self) -> None:
        both = {"method__download": SPARSE, "method__upload": SPARSE}
        self.write("both", [0.1, 0.4], **both)
        self.write("up", [0.1, 0.9], method__upload=SPARSE)
        schedule = {"select": "top_magnitude", "density": {"initial": 1, "factor": 0.5}}
        self.write("falling", [0.1, 0.8], method__download=schedule, method__upload=schedule)
        data = labelled(load(self.folder))
        figure = rank_density.draw(data, context_of(data, Wishes()))
        self.assertEqual(list(figure.tables[""]["accuracy"]), [0.4])
        self.assertEqual(figure.runs, [str(self.folder / "both")])
        self.assertIn("the same both ways: falling, up", figure.notes[-1])


if __name__ == "__main__":
    unittest.main()
