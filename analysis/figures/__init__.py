"""The figures, a module each.

A module has COMPARES, the settings in which the runs of one figure may differ; SHOWS, those that
the figure itself shows, so that labels need not; HAS_LINES, true if a figure compares lines, so
that one line alone is of little use; why_not(data), the reason that runs have no such figure; and
draw(data, context). what_varied.py draws settings that no other figure shows.
"""

from . import (
    byte_ledger,
    cost_ratio,
    heterogeneity,
    modelled_time,
    paired_differences,
    partition,
    privacy,
    rank_density,
    scaling,
    tiers,
    time_to_accuracy,
    utility_against_communication,
)

FIGURES = {
    "utility-against-communication": utility_against_communication,
    "paired-differences": paired_differences,
    "time-to-accuracy": time_to_accuracy,
    "modelled-time": modelled_time,
    "byte-ledger": byte_ledger,
    "heterogeneity": heterogeneity,
    "partition": partition,
    "rank-density": rank_density,
    "cost-ratio": cost_ratio,
    "tiers": tiers,
    "privacy": privacy,
    "scaling": scaling,
}
