"""The arithmetic of the figures, against tables and closed forms."""

from __future__ import annotations

import json
import math
import tempfile
import unittest
from pathlib import Path

import pandas as pd

from .. import measures, reaching, statistics
from ..drawing import Wishes, context_of
from ..figures import byte_ledger, cost_ratio, time_to_accuracy, utility_against_communication
from ..labels import labelled
from ..load import load
from . import made_up

SPARSE_MESSAGE = 4 * 100 + 100 + 16


class IntervalTests(unittest.TestCase):
    """Student's t against a printed table."""

    def test_quantiles_are_those_of_the_table(self) -> None:
        printed = {
            1: 12.706,
            2: 4.303,
            3: 3.182,
            4: 2.776,
            5: 2.571,
            9: 2.262,
            10: 2.228,
            30: 2.042,
        }
        for degrees, value in printed.items():
            self.assertAlmostEqual(statistics.t_quantile(0.95, degrees), value, delta=5e-4)
        self.assertAlmostEqual(statistics.t_quantile(0.99, 4), 4.604, delta=5e-4)

    def test_one_degree_of_freedom_is_cauchys_distribution(self) -> None:
        cauchy = math.tan(0.95 * math.pi / 2)
        self.assertAlmostEqual(statistics.t_quantile(0.95, 1), cauchy, places=9)

    def test_the_interval_of_three_values(self) -> None:
        mean, half = statistics.mean_interval(pd.Series([1.0, 2.0, 3.0]))
        self.assertEqual(mean, 2.0)
        self.assertAlmostEqual(half, 4.302653 / math.sqrt(3), places=5)

    def test_one_value_has_no_interval(self) -> None:
        mean, half = statistics.mean_interval(pd.Series([0.5]))
        self.assertEqual(mean, 0.5)
        self.assertTrue(math.isnan(half))


class CommunicationTests(unittest.TestCase):
    """A study of two methods and two seeds, made up."""

    def setUp(self) -> None:
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        folder = made_up.study(Path(temporary.name) / "any")
        self.data = labelled(load(folder))
        self.points = measures.curves(self.data)

    def test_the_masked_test_accuracy_is_shown_among_splits_and_vectors(self) -> None:
        dense = self.points[(self.points["label"] == "Dense LoRA") & (self.points["seed"] == 0)]
        self.assertEqual(list(dense["accuracy"]), [0.2, 0.4, 0.5, 0.6])

    def test_bytes_and_parameters_add_up_over_rounds_clients_and_directions(self) -> None:
        sparse = self.points[(self.points["label"] == "FLASC 1/10") & (self.points["seed"] == 0)]
        self.assertEqual(list(sparse["total_parameters"]), [400, 800, 1200, 1600])
        self.assertEqual(
            list(sparse["total_payload_bytes"]), [4 * SPARSE_MESSAGE * n for n in (1, 2, 3, 4)]
        )
        self.assertEqual(
            list(sparse["total_download_bytes"]), [2 * SPARSE_MESSAGE * n for n in (1, 2, 3, 4)]
        )

    def test_the_first_evaluation_at_the_target_counts_and_nothing_between(self) -> None:
        run = self.points[(self.points["label"] == "Dense LoRA") & (self.points["seed"] == 0)]
        cost = "total_payload_bytes"
        self.assertEqual(reaching.first_reaching(run, 0.45, cost), 3 * 4 * made_up.DENSE_MESSAGE)
        self.assertEqual(reaching.first_reaching(run, 0.5, cost), 3 * 4 * made_up.DENSE_MESSAGE)
        self.assertIsNone(reaching.first_reaching(run, 0.61, cost))

    def test_the_target_is_the_baselines_last_accuracy_less_a_point(self) -> None:
        target = utility_against_communication.target_of(self.points, "Dense LoRA")
        self.assertAlmostEqual(target, (0.60 + 0.62) / 2 - 0.01)

    def test_factors_are_the_baselines_cost_over_the_methods(self) -> None:
        table = utility_against_communication.reach(self.points, 0.6, "Dense LoRA")
        at = table[table["target"] == 0.6].set_index("label")
        # Seed 0 of both reaches 0.6 in round 4, and seed 1 too: the factor is that of a message.
        cost = "baseline_over_total_payload_bytes"
        factor = made_up.DENSE_MESSAGE / SPARSE_MESSAGE
        self.assertAlmostEqual(at.loc["FLASC 1/10", cost], factor)
        self.assertAlmostEqual(at.loc["FLASC 1/10", f"{cost}_low"], factor)
        self.assertAlmostEqual(at.loc["FLASC 1/10", "baseline_over_total_parameters"], 10)
        self.assertEqual(at.loc["Dense LoRA", "baseline_over_total_parameters"], 1)

    def test_the_interval_of_factors_is_that_of_their_logarithms(self) -> None:
        mean, low, high = statistics.factor_interval(pd.Series([1.0, 4.0]))
        # Logarithms 0 and ln 4: mean ln 2, deviation ln 4 / sqrt 2, t of one degree 12.7062.
        half = 12.7062 * math.log(4) / 2
        self.assertAlmostEqual(mean, 2)
        self.assertAlmostEqual(math.log(low), math.log(2) - half, places=4)
        self.assertAlmostEqual(math.log(high), math.log(2) + half, places=4)

    def test_factors_are_of_seeds_that_both_have_and_reach(self) -> None:
        rows = [
            # label, seed, round, accuracy, cost
            ("base", 0, 1, 0.5, 80.0),
            ("base", 1, 1, 0.4, 80.0),
            ("base", 1, 2, 0.5, 160.0),
            ("new", 0, 1, 0.6, 20.0),
            ("new", 1, 1, 0.6, 10.0),
            ("new", 2, 1, 0.6, 10.0),
            ("weak", 0, 1, 0.6, 40.0),
            ("weak", 1, 1, 0.1, 40.0),
        ]
        points = pd.DataFrame(rows, columns=["label", "seed", "round", "accuracy", "cost"])
        points["run"] = points["label"] + points["seed"].astype(str)
        table = reaching.reach_table(points, 0.5, ["cost"], "base").set_index("label")
        # Factors 80 / 20 and 160 / 10; seed 2 has no partner. The geometric mean is 8.
        self.assertAlmostEqual(table.loc["new", "baseline_over_cost"], 8)
        self.assertEqual(table.loc["new", "paired_seeds"], 2)
        self.assertTrue(math.isnan(table.loc["weak", "baseline_over_cost"]))
        single = reaching.factor_table(points, 0.5, ["cost"], "base")
        single = single.set_index(["label", "seed"])["baseline_over_cost"]
        self.assertEqual([single["new", 0], single["new", 1], single["weak", 0]], [4, 16, 2])
        self.assertTrue(math.isnan(single["new", 2]) and math.isnan(single["weak", 1]))

    def test_a_last_value_that_is_missing_is_not_replaced_by_an_earlier_one(self) -> None:
        points = pd.DataFrame({"run": ["a", "a"], "round": [1, 2], "accuracy": [0.5, math.nan]})
        self.assertTrue(math.isnan(measures.final(points)["accuracy"].iloc[0]))

    def test_pairs_compare_at_the_accuracy_that_the_baseline_ends_with(self) -> None:
        kept = self.points[self.points["seed"] == 0]
        table = utility_against_communication.pairs(kept).set_index(["baseline", "label"])
        # Dense ends with 0.6 after 4 rounds; the sparse runs reach that in their fourth too.
        self.assertAlmostEqual(
            table.loc[("Dense LoRA", "FLASC 1/10"), "factor"],
            made_up.DENSE_MESSAGE / SPARSE_MESSAGE,
        )
        self.assertEqual(table.loc[("FLASC 1/10", "FLASC 1/10"), "factor"], 1)
        self.assertEqual(table.loc[("FLASC 1/10", "Dense LoRA"), "reached"], 0)
        self.assertTrue(math.isnan(table.loc[("FLASC 1/10", "Dense LoRA"), "factor"]))

    def test_a_target_that_one_seed_misses_has_no_mean(self) -> None:
        table = reaching.reach_table(self.points, 0.61, ["total_parameters"]).set_index("label")
        self.assertEqual(list(table.loc["Dense LoRA", ["reached", "seeds"]]), [1, 2])
        self.assertTrue(math.isnan(table.loc["Dense LoRA", "total_parameters"]))
        self.assertEqual(table.loc["FLASC 1/10", "reached"], 2)

    def test_dense_is_known_by_its_settings(self) -> None:
        found = dict(zip(self.data.runs["label"], measures.is_dense(self.data)))
        self.assertEqual(found, {"Dense LoRA": True, "FLASC 1/10": False})

    def test_the_ledger_has_both_ratios(self) -> None:
        table = byte_ledger.summary(byte_ledger.ledger(self.data))
        self.assertEqual(set(table["label"]), {"FLASC 1/10"})
        row = table.iloc[0]
        self.assertAlmostEqual(row["claimed_ratio"], 10)
        self.assertAlmostEqual(row["measured_ratio"], made_up.DENSE_MESSAGE / SPARSE_MESSAGE)
        self.assertAlmostEqual(row["index_bits_per_value"], 8)
        bound = math.log2(math.comb(1000, 100)) / 8
        self.assertAlmostEqual(row["bound_ratio"], 4000 / (400 + bound))

    def test_an_upload_that_was_never_sent_is_no_message(self) -> None:
        clients = self.data.clients
        lost = clients["run"].str.contains("sparse") & (clients["client"] == 1)
        ways = [name for name in clients.columns if name.startswith("upload_")]
        clients.loc[lost, ways] = 0
        table = byte_ledger.summary(byte_ledger.ledger(self.data)).set_index("direction")
        # Two seeds, four rounds, and one or two clients.
        self.assertEqual(list(table.loc[["download", "upload"], "messages"]), [16, 8])
        self.assertAlmostEqual(table.loc["upload", "claimed_ratio"], 10)

    def test_rounds_without_clients_keep_their_evaluations(self) -> None:
        data = self.data
        data.clients = data.clients[~data.clients["round"].isin([1, 4])]
        empty = data.rounds["round"].isin([1, 4])
        data.rounds.loc[empty, ["download_payload_bytes", "upload_payload_bytes"]] = 0
        points = measures.curves(data)
        run = points[(points["label"] == "FLASC 1/10") & (points["seed"] == 0)]
        self.assertEqual(list(run["round"]), [1, 2, 3, 4])
        # Two clients, both ways, 100 values each: 400 in each of rounds 2 and 3.
        self.assertEqual(list(run["total_parameters"]), [0, 400, 800, 800])
        once = 2 * SPARSE_MESSAGE
        self.assertEqual(list(run["total_upload_bytes"]), [0, once, 2 * once, 2 * once])
        self.assertEqual(list(measures.final(run)["accuracy"]), [0.62])
        # The longest client has 200 tokens, at 100 a second; the link takes no time to speak of.
        link = measures.Link("", down=1e12, up=1e12)
        table = measures.round_seconds(data, link, 100)
        seconds = table[table["run"] == run["run"].iloc[0]]["total_seconds"]
        for found, expected in zip(seconds, [0, 2, 4, 4], strict=True):
            self.assertAlmostEqual(found, expected, places=6)
        context = context_of(data, Wishes())
        figure = time_to_accuracy.draw(data, context)
        figure.close()
        self.assertEqual(set(figure.tables[""]["round"]), {1, 2, 3, 4})
        last = figure.printed[""]
        # Seeds 0 and 1 of FLASC end with 0.62 and 0.64.
        ends = last[last["label"] == "FLASC 1/10"]
        self.assertEqual(set(ends["round"]), {4})
        self.assertAlmostEqual(ends["accuracy"].iloc[0], 0.63)

    def test_whole_messages_of_short_values_are_not_sparse(self) -> None:
        clients = self.data.clients
        dense = clients["run"].str.contains("dense")
        for way in ("download", "upload"):
            clients.loc[dense, f"{way}_values_bytes"] = 1000
            clients.loc[dense, f"{way}_payload_bytes"] = 1016
        table = byte_ledger.ledger(self.data)
        self.assertEqual(set(table["label"]), {"FLASC 1/10"})
        self.assertEqual(set(table["density"]), {0.1})

    def test_an_average_is_of_runs_that_differ_in_nothing_that_counts(self) -> None:
        def points(*settings: dict) -> pd.DataFrame:
            texts = [json.dumps(own) for own in settings]
            return pd.DataFrame({"label": "a", "group": texts})

        way = "method.upload"
        whole = points({f"{way}.select": "all"}, {f"{way}.select": "random", f"{way}.density": 1})
        measures.check_averages(whole, ["label"])
        with self.assertRaisesRegex(ValueError, "differ in local.epochs$"):
            measures.check_averages(points({"local.epochs": 1}, {"local.epochs": 2}), ["label"])

    def test_a_round_waits_for_its_slowest_client(self) -> None:
        link = measures.Link("", down=8, up=4)  # 1 and 0.5 MB a second
        rate = measures.tokens_per_second(self.data.clients)
        self.assertEqual(rate, 100)
        table = measures.round_seconds(self.data, link, rate)
        run = self.data.runs.loc[self.data.runs["point"] == "dense.seed-0", "run"].iloc[0]
        one = made_up.DENSE_MESSAGE / 1e6 + 200 / 100 + made_up.DENSE_MESSAGE / 0.5e6
        for n, seconds in enumerate(table[table["run"] == run]["total_seconds"], start=1):
            self.assertAlmostEqual(seconds, n * one)


class SupportTests(unittest.TestCase):
    """Bounds and frontiers."""

    def test_the_bound_is_the_logarithm_of_the_binomial_coefficient(self) -> None:
        for n, k in ((10, 3), (1000, 250)):
            exact = math.log2(math.comb(n, k)) / 8
            self.assertAlmostEqual(measures.support_bound_bytes(n, k), exact, places=6)
        self.assertAlmostEqual(measures.support_bound_bytes(5, 5), 0)
        # Entropy of a coin with p = 1/4 is 0.8113 bits; the binomial comes close from below.
        per_coordinate = 8 * measures.support_bound_bytes(10**6, 250_000) / 10**6
        self.assertLess(per_coordinate, 0.811279)
        self.assertGreater(per_coordinate, 0.8112)

    def test_the_frontier_keeps_what_nothing_beats(self) -> None:
        table = pd.DataFrame({"cost": [1, 2, 2, 3, 4], "accuracy": [0.5, 0.4, 0.6, 0.6, 0.7]})
        self.assertEqual(list(cost_ratio.frontier(table)), [True, False, True, False, True])

    def test_an_upload_costs_as_often_as_the_ratio_says(self) -> None:
        table = pd.DataFrame({"total_download_bytes": [100.0], "total_upload_bytes": [10.0]})
        self.assertEqual(list(cost_ratio.costs(table, 16)), [260.0])


if __name__ == "__main__":
    unittest.main()
