"""Means, deviations and intervals over seeds: Student's t, of values and of logarithms."""

from __future__ import annotations

import math

import pandas as pd


def t_two_sided(t: float, degrees: int) -> float:
    """P(|T| <= t) of Student's distribution (Abramowitz & Stegun 26.7.3 and 26.7.4)."""
    theta = math.atan2(t, math.sqrt(degrees))
    cosine = math.cos(theta)
    if degrees % 2:
        term, total = cosine, 0.0
        for j in range(1, degrees // 2 + 1):
            total += term
            term *= cosine * cosine * 2 * j / (2 * j + 1)
        return 2 / math.pi * (theta + math.sin(theta) * total)
    term, total = 1.0, 0.0
    for j in range(1, degrees // 2 + 1):
        total += term
        term *= cosine * cosine * (2 * j - 1) / (2 * j)
    return math.sin(theta) * total


def t_quantile(confidence: float, degrees: int) -> float:
    """The t with P(|T| <= t) = confidence."""
    low, high = 0.0, 1.0
    while t_two_sided(high, degrees) < confidence:
        high *= 2
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if t_two_sided(middle, degrees) < confidence else (low, middle)
    return high


def finite(values: pd.Series) -> pd.Series:
    """The values that are numbers, neither missing nor infinite."""
    numbers = pd.to_numeric(pd.Series(values), errors="coerce").astype(float)
    return numbers[numbers.map(math.isfinite)]


def deviation(values: pd.Series) -> float:
    """The standard deviation, divided by n - 1; not a number for one value."""
    values = finite(values)
    return float(values.std(ddof=1)) if len(values) > 1 else math.nan


def mean_interval(values: pd.Series, confidence: float = 0.95) -> tuple[float, float]:
    """Mean, and half the width of Student's t interval for it; not a number for one value."""
    values = finite(values)
    if len(values) < 2:
        return (float(values.mean()) if len(values) else math.nan), math.nan
    half = t_quantile(confidence, len(values) - 1) * values.std(ddof=1) / math.sqrt(len(values))
    return float(values.mean()), float(half)


def factor_interval(factors: pd.Series, confidence: float = 0.95) -> tuple[float, float, float]:
    """Geometric mean of factors with the ends of its interval, Student's t of the logarithms.

    The ends are not numbers for one factor. All are not numbers if a factor is not above 0.
    """
    values = finite(factors)
    if values.empty or not (values > 0).all():
        return math.nan, math.nan, math.nan
    mean, half = mean_interval(values.map(math.log), confidence)
    return math.exp(mean), math.exp(mean - half), math.exp(mean + half)


def over_seeds(points: pd.DataFrame, by: list[str], columns: list[str]) -> pd.DataFrame:
    """A row for each `by`: `seeds`, and of each column mean, standard deviation and interval.

    COLUMN_deviation divides by n - 1. COLUMN_half is half of the 95 % t interval of the mean.
    """
    rows = []
    for key, group in points.groupby(by, sort=True, dropna=False):
        row = dict(zip(by, key if isinstance(key, tuple) else (key,)))
        row["seeds"] = group["run"].nunique()
        for column in columns:
            row[column], row[f"{column}_half"] = mean_interval(group[column])
            row[f"{column}_deviation"] = deviation(group[column])
        rows.append(row)
    names = [f"{column}{end}" for column in columns for end in ("", "_half", "_deviation")]
    return pd.DataFrame(rows, columns=[*by, "seeds", *names])
