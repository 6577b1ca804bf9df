"""LaTeX tables, and the values of options."""

from __future__ import annotations

import argparse
import math
import unittest

import pandas as pd

from .. import latex, options
from ..figures.heat_map import ordered


class LatexTests(unittest.TestCase):
    """What is written for papers."""

    def test_mean_and_deviation_share_a_column(self) -> None:
        table = pd.DataFrame(
            {
                "label": ["FLASC 1/4", "50 % & a_b"],
                "seeds": [3, 1],
                "accuracy": [0.5125, 0.4],
                "accuracy_half": [0.1, math.nan],
                "accuracy_deviation": [0.0123, math.nan],
                "total_payload_bytes": [1.5e6, 123.4e6],
                "factor": [math.inf, -1.5],
            }
        )
        self.assertEqual(
            latex.table(table).splitlines()[1:],
            [
                r"\begin{tabular}{lrrrr}",
                r"\toprule",
                r"label & seeds & accuracy & total payload (MB) & factor \\",
                r"\midrule",
                r"FLASC 1/4 & 3 & 0.512 $\pm$ 0.012 & 1.5 & $\infty$ \\",
                r"50 \% \& a\_b & 1 & 0.400 & 123.4 & $-1.500$ \\",
                r"\bottomrule",
                r"\end{tabular}",
            ],
        )

    def test_special_characters_stand_for_themselves(self) -> None:
        self.assertEqual(
            latex.escaped(r"a\b{c}#~^$"),
            r"a\textbackslash{}b\{c\}\#\textasciitilde{}\textasciicircum{}\$",
        )


    def test_an_interval_stands_beside_its_value_and_factors_have_no_unit(self) -> None:
        table = pd.DataFrame(
            {
                "baseline_over_total_payload_bytes": [8.0, 2.0],
                "baseline_over_total_payload_bytes_low": [4.0, math.nan],
                "baseline_over_total_payload_bytes_high": [16.0, math.nan],
                "x": [0.25, math.nan],
            }
        )
        lines = latex.table(table).splitlines()
        self.assertEqual(lines[3], r"baseline over total payload & x \\")
        self.assertEqual(lines[5:7], [r"8 [4, 16] & 0.250 \\", r"2 & -- \\"])


class AxisTests(unittest.TestCase):
    """Places on an axis."""

    def test_numbers_come_by_size_and_before_texts(self) -> None:
        values = pd.Series(["100", "not set", "2", "0.1", "2"], dtype=object)
        self.assertEqual(ordered(values), ["0.1", "2", "100", "not set"])
        self.assertEqual(ordered(pd.Series([10.0, 2.0])), [2.0, 10.0])


class OptionTests(unittest.TestCase):
    """Texts of the command line."""

    def test_widths(self) -> None:
        self.assertEqual(options.width("3.3in"), 3.3)
        self.assertAlmostEqual(options.width("8cm"), 8 / 2.54)
        self.assertAlmostEqual(options.width("84 mm"), 84 / 25.4)
        self.assertAlmostEqual(options.width("240pt"), 240 / 72.27)
        self.assertEqual(options.width("5"), 5)
        for wrong in ("", "wide", "3px", "-3in", "1in", "99in"):
            with self.assertRaises(argparse.ArgumentTypeError):
                options.width(wrong)

    def test_formats_and_names(self) -> None:
        self.assertEqual(options.formats("PDF, svg"), ["pdf", "svg"])
        self.assertEqual(options.names("a, b,"), ["a", "b"])
        self.assertEqual(options.renaming("a=b=c"), ("a", "b=c"))
        for wrong in ("", "jpg", "pdf,tiff"):
            with self.assertRaises(argparse.ArgumentTypeError):
                options.formats(wrong)
        with self.assertRaises(argparse.ArgumentTypeError):
            options.renaming("a")


if __name__ == "__main__":
    unittest.main()
