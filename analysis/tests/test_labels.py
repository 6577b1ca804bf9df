"""Lines are called as the field calls their methods, and different runs have different names."""

from __future__ import annotations

import tempfile
import unittest
from pathlib import Path

from ..labels import SameLabel, baseline_of, labelled, method_name, named, order, share
from ..load import flatten, load
from . import made_up

SPARSE = made_up.direction()


class MethodTests(unittest.TestCase):
    """The settings of docs/methods.md and the projects' sweeps."""

    def name(self, **changes: object) -> str | None:
        """The name of a run with these settings."""
        return method_name(flatten(made_up.settings(**changes)))

    def both(self, density: object) -> dict:
        """The same density both ways."""
        way = {"select": "top_magnitude", "density": density}
        return {"method__download": way, "method__upload": way}

    def test_dense_and_sparse(self) -> None:
        self.assertEqual(self.name(), "Dense LoRA")
        self.assertEqual(self.name(**self.both(1)), "Dense LoRA")
        self.assertEqual(self.name(**self.both(0.0625)), "FLASC 1/16")
        self.assertEqual(
            self.name(method__download=made_up.direction(density=0.25), method__upload=SPARSE),
            "FLASC 1/4 down, 1/10 up",
        )
        self.assertEqual(self.name(method__upload=SPARSE), "FLASC 1 down, 1/10 up")
        schedule = {"initial": 1, "factor": 0.5, "period": 10}
        self.assertEqual(self.name(**self.both(schedule)), "FLASC scheduled")

    def test_pruning(self) -> None:
        rest = {"method__persistence": "nested", "method__trainable": "downloaded"}
        rest["method__upload"] = {"select": "downloaded"}
        once = {"initial": 1, "factor": 0.25, "period": 1, "minimum": 0.25}
        again = {"initial": 1, "factor": 0.9, "period": 1}
        for density, name in ((once, "SparseAdapter 1/4"), (again, "Adapter-LTH 0.9")):
            download = {"select": "top_magnitude", "density": density}
            self.assertEqual(self.name(method__download=download, **rest), name)
        download = {"select": "top_magnitude", "density": 0.25}
        rest["method__persistence"] = "anew"
        self.assertEqual(
            self.name(method__download=download, **rest), "federated select 1/4"
        )

    def test_frozen_full_and_aggregated(self) -> None:
        self.assertEqual(self.name(adapter__frozen="lora_a"), "FFA-LoRA")
        self.assertEqual(
            self.name(adapter__frozen="lora_a", **self.both(0.25)), "FFA-LoRA, FLASC 1/4"
        )
        self.assertEqual(self.name(adapter__frozen="both"), "head only")
        self.assertEqual(self.name(adapter__kind="full"), "full fine-tuning")
        tiers = {"method__tiers": [{"lora_rank": 1}, {"share": 1}]}
        self.assertEqual(self.name(**tiers), "rank tiers")
        for aggregation, name in (
            ("norm_weighted", "HetLoRA"),
            ("product_mean", "FlexLoRA"),
            ("stacked", "FLoRA"),
        ):
            self.assertEqual(self.name(method__aggregation=aggregation, **tiers), name)
        self.assertEqual(
            self.name(
                method__aggregation="norm_weighted",
                method__rank_pruning={"factor": 0.9, "penalty": 0.1},
                **tiers,
            ),
            "HetLoRA with pruning",
        )
        self.assertEqual(
            self.name(method__aggregation={"name": "trimmed_mean", "trim": 0.1}),
            "Dense LoRA, trimmed mean",
        )

    def test_random_residual_and_formats(self) -> None:
        self.assertEqual(
            self.name(
                method__download=made_up.direction(density=0.25),
                method__upload={"select": "random", "density": 0.25},
            ),
            "random-k 1/4",
        )
        self.assertEqual(
            self.name(method__residual="kept", **self.both(0.0625)), "FLASC 1/16, error feedback"
        )
        short = {"select": "all", "values": "int8"}
        both = {"method__download": short, "method__upload": short}
        self.assertEqual(self.name(**both), "Dense LoRA, int8")
        self.assertIsNone(self.name(method__persistence="nested"))

    def test_shares(self) -> None:
        self.assertEqual([share(d) for d in (1, 0.25, 1 / 3, 0.3, 0.015625)],
                         ["1", "1/4", "1/3", "0.3", "1/64"])


class LabelTests(unittest.TestCase):
    """Labels of several runs."""

    def setUp(self) -> None:
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = Path(temporary.name)

    def labels(self, *shown: str, **texts: str) -> dict[str, str]:
        """The labels by points."""
        runs = labelled(load(self.folder), shown, texts).runs
        return dict(zip(runs["point"], runs["label"]))

    def test_seeds_share_a_label_whatever_their_folders_are_called(self) -> None:
        made_up.write(self.folder / "a" / "x", [0.1])
        made_up.write(self.folder / "b" / "y", [0.1], seed=1)
        self.assertEqual(self.labels(), {"x": "Dense LoRA", "y": "Dense LoRA"})

    def test_settings_that_differ_are_added_unless_the_figure_shows_them(self) -> None:
        made_up.write(self.folder / "s" / "x", [0.1], local__learning_rate=0.1)
        made_up.write(self.folder / "s" / "y", [0.1], local__learning_rate=0.5, seed=1)
        self.assertEqual(
            self.labels(),
            {
                "x": "Dense LoRA, local learning rate 0.1",
                "y": "Dense LoRA, local learning rate 0.5",
            },
        )
        self.assertEqual(
            set(self.labels("local.learning_rate").values()), {"Dense LoRA"}
        )

    def test_settings_of_another_version_are_no_difference(self) -> None:
        made_up.write(self.folder / "s" / "x", [0.1])
        made_up.write(self.folder / "s" / "y", [0.1], seed=1, method__residual="dropped")
        self.assertEqual(set(self.labels().values()), {"Dense LoRA"})

    def test_a_setting_that_is_written_only_when_it_is_set_is_a_difference(self) -> None:
        adapter = {"lora_rank": 16, "alpha": 16, "frozen": "none"}
        made_up.write(self.folder / "s" / "x", [0.1])
        made_up.write(self.folder / "s" / "y", [0.3], seed=1, adapter={**adapter, "initial": "/w"})
        self.assertEqual(
            self.labels(), {"x": "Dense LoRA, initial not set", "y": "Dense LoRA, initial w"}
        )

    def test_a_schedule_with_and_one_without_a_minimum_differ(self) -> None:
        for name, end in (("x", {}), ("y", {"minimum": 0.1})):
            density = {"initial": 1, "factor": 0.5, "period": 1, **end}
            way = {"select": "top_magnitude", "density": density}
            made_up.write(self.folder / "s" / name, [0.1], method__download=way)
        self.assertEqual(
            self.labels(),
            {"x": "FLASC scheduled, minimum not set", "y": "FLASC scheduled, minimum 0.1"},
        )

    def test_points_of_one_name_in_two_sweeps_have_two_labels(self) -> None:
        for sweep, number in (("a", 1), ("b", 2)):
            for seed in (0, 1):
                made_up.write(
                    self.folder / sweep / f"point.seed-{seed}",
                    [0.1 * number],
                    seed=seed,
                    adapter__lora_rank=number,
                    adapter__alpha=number,
                    local__epochs=number,
                    local__learning_rate=number,
                )
        runs = labelled(load(self.folder)).runs
        self.assertEqual(list(runs["label"]), ["a/point", "a/point", "b/point", "b/point"])

    def test_a_text_for_two_methods_is_refused(self) -> None:
        made_up.study(self.folder / "s")
        for texts in (
            {"sparse": "ours", "dense": "ours"},
            {"dense": "FLASC 1/10"},
            {"sparse.seed-1": "Dense LoRA"},
        ):
            with self.assertRaisesRegex(SameLabel, "method.download.select.* are all '"):
                self.labels(**texts)
        # A figure that shows what they differ in can give them one name.
        found = self.labels("method.", sparse="ours", dense="ours")
        self.assertEqual(set(found.values()), {"ours"})

    def test_a_method_without_a_name_is_called_as_its_folder(self) -> None:
        made_up.write(self.folder / "s" / "mine.seed-3", [0.1], method__persistence="nested")
        self.assertEqual(self.labels(), {"mine.seed-3": "mine"})

    def test_the_users_texts_come_first(self) -> None:
        made_up.study(self.folder / "s")
        found = self.labels(**{"sparse": "ours", "Dense LoRA": "theirs"})
        self.assertEqual(set(found.values()), {"ours", "theirs"})

    def test_the_baseline_is_dense_lora_or_what_the_user_names(self) -> None:
        data = labelled(load(made_up.study(self.folder / "s")))
        self.assertEqual(baseline_of(data), "Dense LoRA")
        for name in ("sparse", "sparse.seed-1", "FLASC 1/10"):
            self.assertEqual(baseline_of(data, name), "FLASC 1/10")
        self.assertIsNone(baseline_of(data, "other"))
        self.assertTrue(named(data.runs.iloc[0].to_dict(), ["dense"]))

    def test_the_baseline_comes_first_then_families_from_many_bytes_to_few(self) -> None:
        for name, density in (("a", 0.1), ("b", 0.25), ("c", 1)):
            made_up.write(
                self.folder / "s" / name,
                [0.1],
                nonzeros=int(1000 * density),
                method__upload=made_up.direction(density=density),
                method__download=made_up.direction(density=density),
            )
        data = labelled(load(self.folder))
        self.assertEqual(order(data, "Dense LoRA"), ["Dense LoRA", "FLASC 1/4", "FLASC 1/10"])


if __name__ == "__main__":
    unittest.main()
