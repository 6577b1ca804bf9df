"""The model of a round against cases worked by hand."""

from __future__ import annotations

import unittest

from .. import round_model as model


def machine(**changes: object) -> model.Machine:
    """Two cores of 100 tokens a second that do not disturb each other; all else costs nothing."""
    values: dict = dict(
        cores=2,
        tokens_per_second=100.0,
        together=1.0,
        client_overhead=0.0,
        link=model.Link(0.0, 0.0),
        coordinate=0.0,
        line=0.0,
        encode=0.0,
        add=0.0,
        sweep=0.0,
        step=0.0,
    )
    return model.Machine(**{**values, **changes})


def work(tokens: list[float], **changes: object) -> model.Workload:
    """A cohort with a vector of a thousand coordinates."""
    values: dict = dict(coordinates=1000, download_density=1.0, upload_density=0.5)
    return model.Workload(tokens, **{**values, **changes})


class RoundModelTests(unittest.TestCase):
    """Each term alone."""

    def test_the_longest_go_first_to_the_least_loaded(self) -> None:
        self.assertEqual(model.longest_first([1, 5, 2, 4], 2), [[5, 1], [4, 2]])
        self.assertEqual(model.longest_first([1], 3), [[1], [], []])

    def test_ranks_share_cores_evenly(self) -> None:
        self.assertEqual(model.sharing([3, 3], 2, 1.0), 3)
        # Four of one second on two cores.
        self.assertEqual(model.sharing([1, 1, 1, 1], 2, 1.0), 2)
        # One and three on one core: both run at half until the first ends at 2.
        self.assertEqual(model.sharing([1, 3], 1, 1.0), 4)
        # Two cores that disturb each other: both at 0.9, then one alone.
        self.assertAlmostEqual(model.sharing([0.9, 1.9], 2, 0.9), 2)

    def test_training_takes_the_longest_rank(self) -> None:
        found = model.round_time(work([300, 100, 100]), machine(), 2, 2)
        self.assertEqual(found.total, 3)
        self.assertEqual(found.bottleneck, "the longest client")
        found = model.round_time(work([100] * 8), machine(client_overhead=0.5), 2, 2)
        self.assertEqual(found.train, 4 * 1.5)
        self.assertEqual(found.bottleneck, "training")

    def test_uploads_of_a_host_are_added_by_its_ranks(self) -> None:
        found = model.round_time(work([1e-12] * 4), machine(coordinate=1e-3), 2, 2)
        self.assertAlmostEqual(found.upload, 2 * 500 * 1e-3)
        self.assertEqual(found.bottleneck, "upload")

    def test_a_sum_crosses_a_link_once(self) -> None:
        # Dense supports: the sum is the whole vector in words of 4.75 bytes, one hop and no other.
        found = model.round_time(
            work([1e-12] * 2, upload_density=1.0), machine(link=model.Link(0.25, 1e-3)), 2, 1
        )
        self.assertAlmostEqual(found.upload, 0.25 + 4.75)

    def test_unions_and_their_bytes(self) -> None:
        self.assertEqual(model.union([500, 500], 1000), 750)
        self.assertEqual(model.sum_bytes(1000, 1000), 4750)
        self.assertAlmostEqual(model.sum_bytes(10, 1280), 10 * (4.75 + 8.9 / 8))
        self.assertEqual(model.sum_bytes(0, 1000), 0)
