"""What an accuracy costs: each method's cost until its first evaluation at or above a target.

Nothing is interpolated: what lies between two evaluations was not measured. Factors are per seed,
the baseline's cost over the method's cost, and their intervals are of logarithms.
"""

from __future__ import annotations

import math

import pandas as pd

from .measures import final
from .statistics import factor_interval, mean_interval


def first_reaching(points: pd.DataFrame, target: float, cost: str) -> float | None:
    """The cost at the first evaluation of one run that is not below the target; None if none is."""
    reached = points[points["accuracy"] >= target].sort_values("round")
    return None if reached.empty else float(reached[cost].iloc[0])


def by_seed(points: pd.DataFrame, target: float, costs: list[str]) -> pd.DataFrame:
    """The costs of each run for a target, a row per label and seed; missing if not reached."""
    rows = []
    for (label, seed, run), own in points.groupby(["label", "seed", "run"], sort=False):
        row = {"label": label, "seed": seed, "run": run}
        for cost in costs:
            value = first_reaching(own, target, cost)
            row[cost] = math.nan if value is None else value
        rows.append(row)
    return pd.DataFrame(rows)


def reach_table(
    points: pd.DataFrame, target: float, costs: list[str], baseline: str | None = None
) -> pd.DataFrame:
    """What each label needs for a target: a row per label, means over the seeds.

    `reached` of `seeds` runs get there. Costs are empty if not all of them do: a mean over the
    lucky ones would flatter. `baseline_over_COST` is the geometric mean of the factors of the seeds
    that both have, with the ends of its interval; empty if one of those seeds does not get there.
    """
    single = by_seed(points, target, costs)
    rows = []
    for label, own in points.groupby("label", sort=False):
        found = single[single["label"] == label]
        reached = int(found[costs[0]].notna().sum())
        accuracy, half = mean_interval(final(own)["accuracy"])
        row = {
            "label": label,
            "seeds": len(found),
            "final_accuracy": accuracy,
            "final_accuracy_half": half,
            "target": target,
            "reached": reached,
        }
        for cost in costs:
            values = found[cost] if reached == len(found) else found[cost].iloc[:0]
            row[cost], row[f"{cost}_half"] = mean_interval(values)
            row[f"final_{cost}"] = float(final(own)[cost].mean())
        if baseline is not None:
            factors = factors_of(single, label, baseline, costs)
            row["paired_seeds"] = len(factors)
            for cost in costs:
                values = factors[cost] if factors[cost].notna().all() else factors[cost].iloc[:0]
                name = f"baseline_over_{cost}"
                row[name], row[f"{name}_low"], row[f"{name}_high"] = factor_interval(values)
        rows.append(row)
    return pd.DataFrame(rows)


def factors_of(
    single: pd.DataFrame, label: str, baseline: str, costs: list[str]
) -> pd.DataFrame:
    """The baseline's costs over a label's: a row per seed that both have."""
    own = single[single["label"] == label].drop_duplicates("seed").set_index("seed")[costs]
    base = single[single["label"] == baseline].drop_duplicates("seed").set_index("seed")[costs]
    seeds = own.index.intersection(base.index)
    return (base.loc[seeds] / own.loc[seeds]).reset_index()


def factor_table(
    points: pd.DataFrame, target: float, costs: list[str], baseline: str
) -> pd.DataFrame:
    """The costs and factors of each seed at a target: a row per label and seed."""
    single = by_seed(points, target, costs)
    tables = []
    for label in dict.fromkeys(single["label"]):
        factors = factors_of(single, label, baseline, costs)
        factors = factors.rename(columns={cost: f"baseline_over_{cost}" for cost in costs})
        own = single[single["label"] == label].drop(columns="run")
        tables.append(own.merge(factors, on="seed", how="left"))
    table = pd.concat(tables, ignore_index=True)
    table.insert(2, "target", target)
    return table
