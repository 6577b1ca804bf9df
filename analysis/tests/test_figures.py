"""The figures' tables have the runs' numbers."""

from __future__ import annotations

import math
import tempfile
import unittest
from pathlib import Path

import pandas as pd

from ..drawing import Drawings, Wishes, context_of, draw_all
from ..figures import FIGURES, paired_differences, what_varied
from ..labels import labelled
from ..load import load, repeats
from . import made_up


def drawn(folder: Path, **wishes: object) -> Drawings:
    """All figures of a folder's runs, not saved."""
    data = load(folder)
    single = data.only(~data.runs["run"].isin(list(repeats(data))))
    result = draw_all(data, single, Wishes(**wishes))
    for figure in result.figures.values():
        figure.close()
    return result


class EveryFigureTests(unittest.TestCase):
    """Runs for all figures in folders whose names mean nothing."""

    @classmethod
    def setUpClass(cls) -> None:
        cls.temporary = tempfile.TemporaryDirectory()
        cls.runs = Path(cls.temporary.name)
        made_up.everything(cls.runs)
        cls.result = drawn(cls.runs)

    @classmethod
    def tearDownClass(cls) -> None:
        cls.temporary.cleanup()

    def of_kind(self, name: str) -> list[str]:
        """The figures of a kind."""
        return [own for own in self.result.figures if own.split(".")[0] == name]

    def table(self, kind: str, suffix: str = "") -> pd.DataFrame:
        """A table of the only figure of a kind."""
        (name,) = self.of_kind(kind)
        return self.result.figures[name].tables[suffix]

    def test_every_figure_is_drawn_of_the_runs_that_vary_in_what_it_compares(self) -> None:
        for name in (*FIGURES, "what-varied"):
            self.assertTrue(self.of_kind(name), name)
        for name, folder in (
            ("heterogeneity", "b"),
            ("rank-density", "c"),
            ("cost-ratio", "d"),
            ("modelled-time", "e"),
            ("scaling", "f"),
            ("tiers", "g"),
            ("privacy", "h"),
            ("what-varied.local_learning_rate-server_learning_rate", "i"),
        ):
            found = [own for own in self.result.figures if own.startswith(name)]
            self.assertEqual(len(found), 1, name)
            runs = {str(path.parent) for path in (self.runs / folder).glob("*/manifest.json")}
            self.assertEqual(set(self.result.figures[found[0]].runs), runs)

    def test_heterogeneity(self) -> None:
        table = self.table("heterogeneity")
        self.assertEqual(set(table["label"]), {"Dense LoRA", "FLASC 1 down, 1/10 up"})
        row = table[(table["label"] != "Dense LoRA") & (table["alpha"] == 100)].iloc[0]
        self.assertAlmostEqual(row["difference"], (0.4 - 0.5 + 0.4 - 0.51) / 2)
        self.assertAlmostEqual(row["difference_deviation"], 0.01 / math.sqrt(2))

    def test_privacy(self) -> None:
        table = self.table("privacy").set_index("noise_multiplier")
        self.assertEqual(table.loc[1, "epsilon"], 8.5)
        self.assertEqual(table.loc[0, "epsilon"], float("inf"))
        self.assertEqual(set(table["label"]), {"Dense LoRA"})

    def test_rank_density_and_cost_ratio(self) -> None:
        table = self.table("rank-density").set_index(["lora_rank", "density"])
        # Two rounds, two clients, both ways: eight messages of 4 * 100 + 16 bytes.
        self.assertEqual(table.loc[(4, 0.1), "total_payload_bytes"], 8 * 416)
        table = self.table("cost-ratio")
        self.assertEqual(len(table), 3 * 4)
        best = table[table["cheapest_near_best"]]
        # Dense up is better by nine points; the cheapest of these two is sparse down.
        self.assertEqual(set(best["upload_density"]), {1})
        self.assertEqual(set(best["download_density"]), {0.1})

    def test_modelled_time(self) -> None:
        table = self.table("modelled-time").set_index(["label", "round"])
        slow, fast = "Dense LoRA, deadline 60", "Dense LoRA, deadline 6"
        self.assertAlmostEqual(table.loc[(slow, 2), "modelled_minutes"], 2)
        self.assertAlmostEqual(table.loc[(fast, 1), "modelled_minutes"], 0.1)
        table = self.table("modelled-time", "clients").set_index("label")
        self.assertEqual(list(table.loc[slow, ["used", "late", "dropped"]]), [0.75, 0.25, 0])

    def test_scaling(self) -> None:
        # Learnt on one rank (100 tokens a second, a second beside them), right on two.
        table = self.table("scaling").set_index("point")
        self.assertEqual(list(table.loc[["left", "right"], "kind"]), ["pair", "pair"])
        self.assertAlmostEqual(table.loc["one", "modelled_seconds"], 4, places=4)
        self.assertAlmostEqual(table.loc["two", "modelled_seconds"], 3, places=4)
        self.assertAlmostEqual(table.loc["two", "error"], 0, places=4)
        model = self.table("scaling", "model")
        self.assertEqual(model["ranks"].max(), 4096)
        # Ten thousand clients of 100 or 200 tokens: on 4096 ranks some have two of two seconds.
        self.assertEqual(set(model[model["ranks"] == 1]["bottleneck"]), {"training"})

    def test_tiers(self) -> None:
        table = self.table("tiers").set_index("label")
        self.assertEqual(list(table["accuracy"]), [0.5, 0.4])
        traffic = self.table("tiers", "traffic")
        self.assertEqual(set(traffic["client_bytes"]), {2 * made_up.DENSE_MESSAGE})

    def test_a_partition_counts_each_clients_examples_by_label(self) -> None:
        # The made-up runs share one partition: sizes 1, 2 and 3 + 6, one label but for the last.
        (row,) = self.table("partition").to_dict("records")
        self.assertEqual(
            (row["clients"], row["examples"], row["least"], row["most"]), (3, 12, 1, 9)
        )
        self.assertAlmostEqual(row["labels_per_client"], 4 / 3)
        # All have labels a and b by 4 and 8: 2/3, 1/3 and 0 away.
        self.assertAlmostEqual(row["label_distance"], (2 / 3 + 1 / 3 + 0) / 3)

    def test_a_grid_has_a_row_for_each_pair_of_learning_rates(self) -> None:
        (name,) = self.of_kind("what-varied")[-1:]
        figure = self.result.figures[name]
        keys = ["federation.server.learning_rate", "local.learning_rate"]
        table = figure.tables[""].set_index(keys)
        self.assertEqual(list(table["seeds"]), [2] * 4)
        # The mean of 0.01 * 10 + 0.5 and the same plus 0.01.
        self.assertAlmostEqual(table.loc[(0.01, 0.5), "accuracy"], 0.605)
        self.assertIn("The best mean is 0.6050", figure.notes[-1])


class OtherRunsTests(unittest.TestCase):
    """Runs that have less than figures could show."""

    def setUp(self) -> None:
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.runs = Path(temporary.name)

    def test_paired_differences_are_of_the_last_common_evaluations(self) -> None:
        made_up.study(self.runs / "s")
        # Longer than the others: only its first four rounds count.
        made_up.write(self.runs / "s" / "more", [0.2, 0.4, 0.6, 0.8, 1.0], adapter__frozen="lora_a")
        figure = drawn(self.runs).figures["paired-differences.tiny"]
        table = figure.tables[""].set_index("label")
        # Dense has 0.4, 0.5, 0.6 and FLASC 0.3, 0.5, 0.62 in both seeds.
        self.assertAlmostEqual(table.loc["FLASC 1/10", "difference"], -0.08 / 3)
        self.assertAlmostEqual(table.loc["FLASC 1/10", "difference_half"], 0)
        self.assertEqual(table.loc["FLASC 1/10", "seeds"], 2)
        self.assertAlmostEqual(table.loc["FFA-LoRA", "difference"], (0.6 - 0.5))
        self.assertTrue(math.isnan(table.loc["FFA-LoRA", "difference_half"]))

    def test_figures_of_methods_refuse_runs_of_one_label_that_differ(self) -> None:
        for name, way in (("a", {}), ("b", {"method__upload": made_up.direction()})):
            made_up.write(self.runs / name, [0.1, 0.5], clock=60.0, **way)
        data = labelled(load(self.runs))
        for name in (
            *("utility-against-communication", "time-to-accuracy", "modelled-time"),
            "paired-differences",
        ):
            # Time to accuracy is drawn of runs without a clock, but it does not look.
            data.runs["label"], data.runs["system.kind"] = "one", "drawn"
            context = context_of(data, Wishes())
            with self.assertRaisesRegex(ValueError, "differ in method.upload.select$"):
                FIGURES[name].draw(data, context)

    def test_both_figures_with_a_target_say_what_it_is(self) -> None:
        made_up.study(self.runs / "s")
        figures = drawn(self.runs).figures
        # Dense LoRA ends with 0.60 and 0.62.
        note = "Dashed: the last accuracy of Dense LoRA minus 0.01, 0.6000."
        for name in ("utility-against-communication.tiny", "time-to-accuracy.tiny"):
            notes = figures[name].notes
            self.assertEqual(len([own for own in notes if own.startswith(note)]), 1)

    def test_the_interval_of_differences_is_students(self) -> None:
        table = pd.DataFrame(
            {
                "label": ["a"] * 3,
                "seed": [0, 1, 2],
                "accuracy": [1.0] * 3,
                "baseline_accuracy": [0.0] * 3,
                "difference": [0.1, 0.2, 0.3],
            }
        )
        (row,) = paired_differences.summary(table).to_dict("records")
        # Deviation 0.1, t of two degrees 4.302653.
        self.assertAlmostEqual(row["difference_half"], 4.302653 * 0.1 / math.sqrt(3), places=6)
        self.assertAlmostEqual(row["low"], 0.2 - row["difference_half"])

    def test_another_baseline(self) -> None:
        made_up.study(self.runs / "s")
        figures = drawn(self.runs, baseline="sparse", texts={"sparse": "ours"}).figures
        table = figures["paired-differences.tiny"].tables[""]
        self.assertEqual(list(table["label"]), ["Dense LoRA"])
        self.assertAlmostEqual(table["difference"].iloc[0], 0.08 / 3)
        reach = figures["utility-against-communication.tiny"].tables["reach"]
        own = reach[reach["label"] == "ours"]["baseline_over_total_parameters"].dropna()
        self.assertEqual(set(own), {1.0})

    def test_one_run_has_its_curves(self) -> None:
        made_up.write(self.runs / "alone", [0.3])
        result = drawn(self.runs)
        table = result.figures["utility-against-communication.tiny"].tables[""]
        self.assertEqual(list(table["accuracy"]), [0.3])
        self.assertTrue(table["accuracy_half"].isna().all())
        self.assertIn("paired-differences (one method, nothing to compare)", result.left_out[-1])

    def test_runs_with_other_settings_are_named_with_the_reason(self) -> None:
        made_up.study(self.runs / "s")
        made_up.write(self.runs / "s" / "other", [0.9], local__epochs=5)
        lines = drawn(self.runs).left_out
        self.assertIn(
            "utility-against-communication: 1 run (other): no other method has the same other "
            "settings",
            lines,
        )

    def test_a_tuning_sweep_stays_out_of_comparisons_of_methods(self) -> None:
        made_up.study(self.runs / "s")
        for rate in (0.2, 0.5, 0.9):
            made_up.write(self.runs / f"tuning/{rate}", [rate], local__learning_rate=rate)
        result = drawn(self.runs)
        runs = result.figures["utility-against-communication.tiny"].runs
        self.assertEqual({Path(run).parent.name for run in runs}, {"s"})
        self.assertIn(
            "utility-against-communication: 3 runs (0.2, 0.5, 0.9): a tuning sweep "
            "(what-varied draws it)",
            result.left_out,
        )
        self.assertEqual(len(result.figures["what-varied.local_learning_rate"].runs), 3)
        self.assertFalse([line for line in result.left_out if line.startswith("tiers")])
        # Alone it has its curves.
        alone = drawn(self.runs / "tuning").figures["utility-against-communication.tiny"]
        self.assertEqual(len(alone.runs), 3)

    def test_values_that_are_not_finite_and_missing_tests_do_not_stop_figures(self) -> None:
        made_up.study(self.runs / "s")
        path = made_up.write(self.runs / "s" / "nan", [0.1, math.nan], adapter__frozen="lora_a")
        none = made_up.write(self.runs / "s" / "none", [0.1], adapter__frozen="both")
        text = (none / "evaluation.csv").read_text().splitlines()
        (none / "evaluation.csv").write_text(text[0] + "\n")
        figures = drawn(self.runs).figures
        table = figures["utility-against-communication.tiny"].tables[""]
        self.assertEqual(list(table[table["label"] == "FFA-LoRA"]["accuracy"]), [0.1])
        self.assertEqual(set(table["label"]), {"Dense LoRA", "FLASC 1/10", "FFA-LoRA"})
        for run in (path, none):
            self.assertIn(str(run), figures["utility-against-communication.tiny"].runs)

    def test_a_group_without_evaluations_is_reported(self) -> None:
        path = made_up.write(self.runs / "s", [0.1])
        (path / "evaluation.csv").write_text("round,split,masked,items,accuracy\n")
        result = drawn(self.runs)
        self.assertEqual(list(result.figures), ["partition"])
        self.assertIn(
            "utility-against-communication: 1 run (s): no evaluation with the column accuracy",
            result.left_out,
        )

    def test_a_regression_is_drawn_by_its_own_metric(self) -> None:
        for seed in (0, 1):
            path = made_up.write(
                self.runs / f"r{seed}", [0.1], seed=seed, task={"kind": "regression"}
            )
            (path / "evaluation.csv").write_text(
                "round,split,masked,items,accuracy,pearson,total_payload_bytes\n"
                f"1,test,true,50,,0.{seed + 3},100\n"
            )
        table = drawn(self.runs).figures["utility-against-communication.tiny"].tables[""]
        self.assertAlmostEqual(table["pearson"].iloc[0], 0.35)
        self.assertNotIn("accuracy", table.columns)

    def test_three_settings_are_panels_and_texts_are_places(self) -> None:
        for number in range(8):
            made_up.write(
                self.runs / f"s/{number}",
                [0.1 * number],
                local__epochs=1 + number % 2,
                local__learning_rate=0.1 * (1 + number // 2 % 2),
                partition__kind="iid" if number < 4 else "shards",
            )
        found = what_varied.grids(load(self.runs))
        self.assertEqual(
            found[0].axes, ["local.epochs", "local.learning_rate", "partition.kind"]
        )
        figures = drawn(self.runs).figures
        table = figures["what-varied.epochs-local_learning_rate-partition_kind"].tables[""]
        self.assertEqual(len(table), 8)

    def test_settings_that_follow_from_another_one_are_no_axis(self) -> None:
        for rank in (1, 4):
            made_up.write(
                self.runs / f"s/{rank}", [0.1], adapter__lora_rank=rank, adapter__alpha=2 * rank
            )
        (grid,) = what_varied.grids(load(self.runs))
        self.assertEqual((len(grid.axes), len(grid.varied)), (1, 2))

    def test_a_corpus_without_labels_has_one_row_of_discs(self) -> None:
        path = made_up.write(self.runs / "a", [0.1])
        (path / "partition.csv").write_text(
            "client,label,label_name,examples,tokens\n0,,,3,30\n1,,,5,50\n"
        )
        table = drawn(self.runs).figures["partition"].tables[""]
        self.assertEqual((list(table["examples"]), list(table["label_distance"])), ([8], [0]))

    def test_accuracies_of_tiers_are_apart_from_those_of_all_clients(self) -> None:
        path = made_up.write(
            self.runs / "a", [0.5], tiers=2, method__tiers=[{"lora_rank": 1}, {"share": 1}]
        )
        (path / "evaluation.csv").write_text(
            "round,split,masked,tier,items,accuracy,total_payload_bytes\n"
            "1,test,true,,50,0.5,100\n1,test,true,0,50,0.3,100\n1,test,true,1,50,0.6,100\n"
        )
        figure = drawn(self.runs).figures["tiers.tiny"]
        self.assertEqual(list(figure.tables[""]["accuracy"]), [0.5])
        table = figure.tables["accuracy"].set_index("tier")
        self.assertEqual(list(table["accuracy"]), [0.3, 0.6])


if __name__ == "__main__":
    unittest.main()
