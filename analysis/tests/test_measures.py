"""The arithmetic of the figures, against tables and closed forms."""

from __future__ import annotations

import math
import tempfile
import unittest
from pathlib import Path

import pandas as pd

from .. import byte_ledger, cost_ratio, measures, utility_against_communication
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
            self.assertAlmostEqual(measures.t_quantile(0.95, degrees), value, delta=5e-4)
        self.assertAlmostEqual(measures.t_quantile(0.99, 4), 4.604, delta=5e-4)

    def test_one_degree_of_freedom_is_cauchys_distribution(self) -> None:
        self.assertAlmostEqual(measures.t_quantile(0.95, 1), math.tan(0.95 * math.pi / 2), places=9)

    def test_the_interval_of_three_values(self) -> None:
        mean, half = measures.mean_interval(pd.Series([1.0, 2.0, 3.0]))
        self.assertEqual(mean, 2.0)
        self.assertAlmostEqual(half, 4.302653 / math.sqrt(3), places=5)

    def test_one_value_has_no_interval(self) -> None:
        mean, half = measures.mean_interval(pd.Series([0.5]))
        self.assertEqual(mean, 0.5)
        self.assertTrue(math.isnan(half))


class CommunicationTests(unittest.TestCase):
    """A study of two methods and two seeds, made up."""

    def setUp(self) -> None:
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.data = load(made_up.study(Path(temporary.name) / "communication"))
        self.points = measures.curves(self.data)

    def test_the_masked_test_accuracy_is_shown_among_splits_and_vectors(self) -> None:
        dense = self.points[(self.points["label"] == "dense") & (self.points["seed"] == 0)]
        self.assertEqual(list(dense["accuracy"]), [0.2, 0.4, 0.5, 0.6])

    def test_bytes_and_parameters_add_up_over_rounds_clients_and_directions(self) -> None:
        sparse = self.points[(self.points["label"] == "sparse") & (self.points["seed"] == 0)]
        self.assertEqual(list(sparse["total_parameters"]), [400, 800, 1200, 1600])
        self.assertEqual(
            list(sparse["total_payload_bytes"]), [4 * SPARSE_MESSAGE * n for n in (1, 2, 3, 4)]
        )
        self.assertEqual(
            list(sparse["total_download_bytes"]), [2 * SPARSE_MESSAGE * n for n in (1, 2, 3, 4)]
        )

    def test_the_first_evaluation_at_the_target_counts_and_nothing_between(self) -> None:
        run = self.points[(self.points["label"] == "dense") & (self.points["seed"] == 0)]
        cost = "total_payload_bytes"
        self.assertEqual(measures.first_reaching(run, 0.45, cost), 3 * 4 * made_up.DENSE_MESSAGE)
        self.assertEqual(measures.first_reaching(run, 0.5, cost), 3 * 4 * made_up.DENSE_MESSAGE)
        self.assertIsNone(measures.first_reaching(run, 0.61, cost))

    def test_the_target_is_dense_loras_last_accuracy_less_a_point(self) -> None:
        target = utility_against_communication.target_of(self.data, self.points)
        self.assertAlmostEqual(target, (0.60 + 0.62) / 2 - 0.01)

    def test_factors_are_dense_loras_cost_over_the_methods(self) -> None:
        table = utility_against_communication.reach(self.data, self.points, 0.6)
        at = table[table["target"] == 0.6].set_index("label")
        self.assertAlmostEqual(
            at.loc["sparse", "dense_over_total_payload_bytes"],
            made_up.DENSE_MESSAGE / SPARSE_MESSAGE,
        )
        self.assertAlmostEqual(at.loc["sparse", "dense_over_total_parameters"], 10)
        self.assertEqual(at.loc["dense", "dense_over_total_parameters"], 1)

    def test_pairs_compare_at_the_accuracy_that_the_baseline_ends_with(self) -> None:
        kept = self.points[self.points["seed"] == 0]
        table = utility_against_communication.pairs(kept).set_index(["baseline", "label"])
        # Dense ends with 0.6 after 4 rounds; the sparse runs reach that in their fourth too.
        self.assertAlmostEqual(
            table.loc[("dense", "sparse"), "factor"], made_up.DENSE_MESSAGE / SPARSE_MESSAGE
        )
        self.assertEqual(table.loc[("sparse", "sparse"), "factor"], 1)
        self.assertEqual(table.loc[("sparse", "dense"), "reached"], 0)
        self.assertTrue(math.isnan(table.loc[("sparse", "dense"), "factor"]))

    def test_a_target_that_one_seed_misses_has_no_mean(self) -> None:
        table = measures.reach_table(self.points, 0.61, ["total_parameters"]).set_index("label")
        self.assertEqual(list(table.loc["dense", ["reached", "seeds"]]), [1, 2])
        self.assertTrue(math.isnan(table.loc["dense", "total_parameters"]))
        self.assertEqual(table.loc["sparse", "reached"], 2)

    def test_dense_is_known_by_its_settings(self) -> None:
        found = dict(zip(self.data.runs["label"], measures.is_dense(self.data)))
        self.assertEqual(found, {"dense": True, "sparse": False})

    def test_the_ledger_has_both_ratios(self) -> None:
        table = byte_ledger.summary(byte_ledger.ledger(self.data))
        self.assertEqual(set(table["label"]), {"sparse"})
        row = table.iloc[0]
        self.assertAlmostEqual(row["claimed_ratio"], 10)
        self.assertAlmostEqual(row["measured_ratio"], made_up.DENSE_MESSAGE / SPARSE_MESSAGE)
        self.assertAlmostEqual(row["index_bits_per_value"], 8)
        bound = math.log2(math.comb(1000, 100)) / 8
        self.assertAlmostEqual(row["bound_ratio"], 4000 / (400 + bound))

    def test_a_round_waits_for_its_slowest_client(self) -> None:
        link = measures.Link("", down=8, up=4)  # 1 and 0.5 MB a second
        rate = measures.tokens_per_second(self.data.clients)
        self.assertEqual(rate, 100)
        table = measures.round_seconds(self.data.clients, link, rate)
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
