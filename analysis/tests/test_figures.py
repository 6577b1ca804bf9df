"""Every figure is made of made-up runs, and the sweep files name what the figures are of."""

from __future__ import annotations

import contextlib
import io
import tempfile
import unittest
from pathlib import Path

import pandas as pd

from .. import __main__ as figures
from .. import sweeps
from . import made_up

ROOT = Path(__file__).parents[2]


def half(select: str = "top_magnitude", density: float = 0.1) -> dict:
    """One direction of a method."""
    return {"select": select, "density": density}


class FigureTests(unittest.TestCase):
    """Runs of all studies in one folder."""

    def setUp(self) -> None:
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.runs = Path(temporary.name)

    def make(self) -> str:
        """What the command prints."""
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            code = figures.main([str(self.runs), "--sweeps", str(ROOT / "experiments")])
        self.assertEqual(code, 0)
        return output.getvalue()

    def study(self) -> None:
        """A few runs of each study."""
        sparse = {"nonzeros": 100, "index_bytes": 100}
        made_up.study(self.runs / "communication.tiny")
        for alpha in (0.1, 100):
            for seed in (0, 1):
                end = f"alpha-{alpha}.seed-{seed}"
                made_up.write(
                    self.runs / f"heterogeneity.tiny/dense.{end}",
                    [0.2, 0.5 + seed / 100],
                    partition__alpha=alpha,
                    seed=seed,
                )
                made_up.write(
                    self.runs / f"heterogeneity.tiny/flasc.{end}",
                    [0.2, 0.4],
                    **sparse,
                    partition__alpha=alpha,
                    seed=seed,
                    method__upload=half(),
                )
        for rank in (4, 16):
            for density in (1, 0.1):
                made_up.write(
                    self.runs / f"rank-density.tiny/rank-{rank}-density-{density}",
                    [0.1, 0.4],
                    nonzeros=int(1000 * density),
                    adapter__lora_rank=rank,
                    method__download=half(density=density),
                    method__upload=half(density=density),
                )
        for down in (1, 0.1):
            for up in (1, 0.1):
                made_up.write(
                    self.runs / f"cost-ratio.tiny/down-{down}.density-{up}",
                    [0.1, 0.3 + up / 10],
                    nonzeros=int(1000 * down),
                    method__download=half(density=down),
                    method__upload=half(density=up),
                )
        for name, seconds in (("dense", 60.0), ("dense-deadline", 6.0)):
            made_up.write(
                self.runs / f"system.tiny/{name}",
                [0.1, 0.5 if name == "dense" else 0.48],
                clock=seconds,
                system={"kind": "drawn", "deadline": seconds},
            )
        for point, ranks in (("strong-1", 1), ("strong-2", 2), ("weak-1", 1), ("pair-a", 1), ("pair-b", 1)):
            made_up.write(
                self.runs / f"scaling.tiny/{point}",
                [0.1, 0.2],
                ranks=ranks,
                federation__cohort_size=2,
            )
        made_up.write(self.runs / "tiers.tiny/all", [0.1, 0.5])
        made_up.write(
            self.runs / "tiers.tiny/rank-tiers",
            [0.1, 0.4],
            tiers=2,
            method__tiers=[{"lora_rank": 1}, {"share": 1}],
        )
        for noise, epsilon in ((0, "inf"), (1, 8.5)):
            made_up.write(
                self.runs / f"privacy.tiny/dense.noise_multiplier-{noise}",
                [0.1, 0.5 - noise / 10],
                epsilon=epsilon,
                privacy={"noise_multiplier": noise, "clip": 0.5, "delta": 1e-5},
            )

    def test_every_figure_is_made_with_its_table_and_its_runs(self) -> None:
        self.study()
        text = self.make()
        folder = self.runs / "figures"
        for name in figures.FIGURES:
            self.assertIn(f"made     {folder / name}.tiny.png", text)
            self.assertTrue((folder / f"{name}.tiny.png").read_bytes().startswith(b"\x89PNG"), name)
            self.assertFalse(pd.read_csv(folder / f"{name}.tiny.csv").empty, name)
            caption = (folder / f"{name}.tiny.txt").read_text()
            study = figures.FIGURES[name].STUDY
            for run in (self.runs / f"{study}.tiny").iterdir():
                self.assertIn(str(run), caption)

    def test_tables_beside_the_pictures_have_the_runs_numbers(self) -> None:
        self.study()
        self.make()
        folder = self.runs / "figures"
        table = pd.read_csv(folder / "heterogeneity.tiny.csv")
        row = table[(table["label"] == "flasc") & (table["alpha"] == 100)].iloc[0]
        self.assertAlmostEqual(row["difference"], (0.4 - 0.5 + 0.4 - 0.51) / 2)
        table = pd.read_csv(folder / "privacy.tiny.csv").set_index("noise_multiplier")
        self.assertEqual(table.loc[1, "epsilon"], 8.5)
        self.assertEqual(table.loc[0, "epsilon"], float("inf"))
        self.assertEqual(set(table["label"]), {"dense"})
        table = pd.read_csv(folder / "rank-density.tiny.csv")
        self.assertEqual(len(table), 4)
        table = pd.read_csv(folder / "modelled-time.tiny.csv").set_index(["label", "round"])
        self.assertAlmostEqual(table.loc[("dense", 2), "modelled_minutes"], 2)
        self.assertAlmostEqual(table.loc[("dense-deadline", 1), "modelled_minutes"], 0.1)
        table = pd.read_csv(folder / "modelled-time.tiny.clients.csv").set_index("label")
        self.assertEqual(list(table.loc["dense", ["used", "late", "dropped"]]), [0.75, 0.25, 0])
        # Learnt on one rank (100 tokens a second, a second beside them), right on two.
        table = pd.read_csv(folder / "scaling.tiny.csv").set_index("point")
        self.assertAlmostEqual(table.loc["strong-1", "modelled_seconds"], 4, places=4)
        self.assertAlmostEqual(table.loc["strong-2", "modelled_seconds"], 3, places=4)
        self.assertAlmostEqual(table.loc["strong-2", "error"], 0, places=4)
        model = pd.read_csv(folder / "scaling.tiny.model.csv")
        self.assertEqual(model["ranks"].max(), 4096)
        # Ten thousand clients of 100 or 200 tokens: on 4096 ranks some have two of two seconds.
        self.assertEqual(set(model[model["ranks"] == 1]["bottleneck"]), {"training"})

    def test_a_partition_counts_each_clients_examples_by_label(self) -> None:
        self.study()
        self.make()
        table = pd.read_csv(self.runs / "figures" / "partition.tiny.csv")
        # The made-up runs share one partition: sizes 1, 2 and 3 + 6, one label but for the last.
        self.assertEqual(len(table), 1)
        row = table.iloc[0]
        self.assertEqual((row["clients"], row["examples"], row["least"], row["most"]), (3, 12, 1, 9))
        self.assertAlmostEqual(row["labels_per_client"], 4 / 3)
        # All have labels a and b by 4 and 8: 2/3, 1/3 and 0 away.
        self.assertAlmostEqual(row["label_distance"], (2 / 3 + 1 / 3 + 0) / 3)

    def test_a_corpus_without_labels_has_one_row_of_discs_and_old_runs_are_left_out(self) -> None:
        path = made_up.write(self.runs / "heterogeneity.tiny/a", [0.1])
        made_up.write(self.runs / "heterogeneity.tiny/b", [0.2], seed=1)
        (path / "partition.csv").write_text(
            "client,label,label_name,examples,tokens\n0,,,3,30\n1,,,5,50\n"
        )
        (self.runs / "heterogeneity.tiny/b/partition.csv").unlink()
        self.assertIn("partition.tiny.png", self.make())
        table = pd.read_csv(self.runs / "figures" / "partition.tiny.csv")
        self.assertEqual(list(table["examples"]), [8])
        self.assertEqual(list(table["label_distance"]), [0])

    def test_missing_studies_and_missing_points_are_said(self) -> None:
        made_up.write(
            self.runs / "communication.minilm-l6/dense", [0.1], model={"path": "minilm-l6"}
        )
        text = self.make()
        self.assertIn("made     ", text)
        self.assertIn(
            "missing  heterogeneity.minilm-l6: no finished run of the study heterogeneity", text
        )
        line = next(
            line for line in text.splitlines() if "communication.minilm-l6.sweep.yaml" in line
        )
        self.assertRegex(line, r": 1 of \d+ runs are there; missing: flasc-4, ")

    def test_runs_without_the_columns_of_a_figure_do_not_stop_the_others(self) -> None:
        made_up.write(self.runs / "privacy.tiny/dense", [0.1])
        made_up.write(self.runs / "tiers.tiny/dense", [0.1])
        text = self.make()
        self.assertIn("missing  privacy.tiny: rounds.csv has no column epsilon", text)
        self.assertIn("tiers.tiny.png", text)


class SweepTests(unittest.TestCase):
    """Names of points, and the project's own sweep files."""

    def test_a_sweep_file_that_cannot_be_read_is_named(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            for name, text in (("a", "{"), ("b", "[]"), ("c", "points: {}"), ("d", "experiment: x")):
                (Path(folder) / f"{name}.sweep.yaml").write_text(text)
            found, problems = sweeps.read_all(Path(folder))
            self.assertEqual((found, len(problems)), ([], 4))
            self.assertIn("c.sweep.yaml: has no 'experiment'; left out", problems[2])

    def test_points_and_grid_multiply_and_name_themselves(self) -> None:
        points = sweeps.expand(
            "set: {a.b: 1}\npoints: {x: {a.b: 2}, y: {}}\n"
            "grid: {m.density: [0.0625, 1.0], tiers: [[], [{r: 1}]]}\n"
        )
        self.assertEqual(
            list(points)[:3],
            ["x.density-0.0625.tiers-0", "x.density-0.0625.tiers-1", "x.density-1.0.tiers-0"],
        )
        self.assertEqual(len(points), 8)
        self.assertEqual(
            points["y.density-1.0.tiers-1"], {"a.b": 1, "m.density": 1.0, "tiers": [{"r": 1}]}
        )
        self.assertEqual(points["x.density-1.0.tiers-1"]["a.b"], 2)

    def test_a_grid_alone_has_a_point_an_element(self) -> None:
        self.assertEqual(list(sweeps.expand("grid: {seed: [0, 1]}")), ["seed-0", "seed-1"])

    def test_every_study_has_a_sweep_for_each_of_two_models(self) -> None:
        found = {(file.study, file.model) for file in sweeps.read_all(ROOT / "experiments")[0]}
        for module in figures.FIGURES.values():
            # Scaling is runs of one experiment on more and more ranks (scripts/scaling).
            if module.STUDY == "scaling":
                continue
            for model in ("minilm-l6", "smollm2-135m"):
                self.assertIn((module.STUDY, model), found)

    def test_every_key_of_a_sweep_is_in_the_table_of_keys(self) -> None:
        table = (ROOT / "docs" / "experiment-keys.md").read_text()
        known = {line.split("`")[1] for line in table.splitlines() if line.startswith("| `")}
        for file in sweeps.read_all(ROOT / "experiments")[0]:
            for name, settings in file.points.items():
                self.assertLessEqual(set(settings), known, f"{file.path.name}, {name}")


if __name__ == "__main__":
    unittest.main()
