"""The arithmetic of the figures: no file is read and nothing is drawn here.

Bytes are always payload bytes, lengths of messages that were encoded. `parameters_sent` is what the
papers count instead, density x parameters: values without the indices that say where they belong.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd

from .load import Runs

VALUE_BYTES = 4


def utility(evaluation: pd.DataFrame) -> pd.DataFrame:
    """The rows of an evaluation table that figures show: one a run and round.

    The test split where there is one, else the first; the masked vector where both were evaluated.
    """
    if evaluation.empty:
        return evaluation
    splits = list(evaluation["split"].unique())
    chosen = evaluation[evaluation["split"] == ("test" if "test" in splits else splits[0])]
    masked = chosen["masked"].astype(str).str.lower().isin(["true", "masked"])
    order = chosen.assign(_whole=~masked).sort_values(["run", "round", "_whole"], kind="stable")
    return order.drop_duplicates(["run", "round"]).drop(columns="_whole").reset_index(drop=True)


def parameters_sent(clients: pd.DataFrame) -> pd.DataFrame:
    """Values sent by the end of each round, both directions: columns run, round, total_parameters."""
    sent = clients.assign(sent=clients["download_nonzeros"] + clients["upload_nonzeros"])
    rounds = (
        sent.groupby(["run", "round"], as_index=False)["sent"].sum().sort_values(["run", "round"])
    )
    rounds["total_parameters"] = rounds.groupby("run")["sent"].cumsum()
    return rounds.drop(columns="sent")


def curves(data: Runs) -> pd.DataFrame:
    """Accuracy by round with what was sent until then, a row a run and evaluation."""
    points = utility(data.evaluation).merge(parameters_sent(data.clients), on=["run", "round"])
    split = data.rounds.sort_values(["run", "round"])[
        ["run", "round", "download_payload_bytes", "upload_payload_bytes"]
    ].copy()
    for direction in ("download", "upload"):
        split[f"total_{direction}_bytes"] = split.groupby("run")[
            f"{direction}_payload_bytes"
        ].cumsum()
    split = split.drop(columns=["download_payload_bytes", "upload_payload_bytes"])
    points = points.merge(split, on=["run", "round"])
    names = data.runs[["run", "label", "group", "seed"]]
    return points.merge(names, on="run").sort_values(["label", "seed", "round"], ignore_index=True)


def final(points: pd.DataFrame) -> pd.DataFrame:
    """The last row of each run."""
    return points.sort_values("round").groupby("run", as_index=False).last()


def first_reaching(points: pd.DataFrame, target: float, cost: str) -> float | None:
    """The cost at the first evaluation of one run whose accuracy is at least the target.

    Nothing is interpolated: what lies between two evaluations was not measured. None where the run
    never gets there.
    """
    reached = points[points["accuracy"] >= target].sort_values("round")
    return None if reached.empty else float(reached[cost].iloc[0])


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


def mean_interval(values: pd.Series, confidence: float = 0.95) -> tuple[float, float]:
    """Mean, and half the width of Student's t interval for it; not a number for one value."""
    values = pd.Series(values, dtype=float).dropna()
    if len(values) < 2:
        return (float(values.mean()) if len(values) else math.nan), math.nan
    half = t_quantile(confidence, len(values) - 1) * values.std(ddof=1) / math.sqrt(len(values))
    return float(values.mean()), float(half)


def over_seeds(points: pd.DataFrame, by: list[str], columns: list[str]) -> pd.DataFrame:
    """Means over seeds with 95 % t intervals: COLUMN, COLUMN_half, and `seeds`, for each `by`."""
    rows = []
    for key, group in points.groupby(by, sort=True, dropna=False):
        row = dict(zip(by, key if isinstance(key, tuple) else (key,)))
        row["seeds"] = group["run"].nunique()
        for column in columns:
            row[column], row[f"{column}_half"] = mean_interval(group[column])
        rows.append(row)
    return pd.DataFrame(rows)


def reach_table(points: pd.DataFrame, target: float, costs: list[str]) -> pd.DataFrame:
    """What each label needs for a target accuracy: a row a label, means over the seeds that get there.

    `reached` of `seeds` runs get there; costs are empty where not all of them do, since a mean over
    the lucky ones would flatter.
    """
    rows = []
    for label, group in points.groupby("label", sort=False):
        runs = [run for _, run in group.groupby("run")]
        found = {cost: [first_reaching(run, target, cost) for run in runs] for cost in costs}
        reached = sum(value is not None for value in found[costs[0]])
        last = final(group)
        accuracy, half = mean_interval(last["accuracy"])
        row = {
            "label": label,
            "seeds": len(runs),
            "final_accuracy": accuracy,
            "final_accuracy_half": half,
            "target": target,
            "reached": reached,
        }
        for cost in costs:
            values = found[cost] if reached == len(runs) else []
            row[cost], row[f"{cost}_half"] = mean_interval(pd.Series(values, dtype=float))
            row[f"final_{cost}"] = float(last[cost].mean())
        rows.append(row)
    return pd.DataFrame(rows)


def density(data: Runs, direction: str) -> pd.Series:
    """The density of one direction by magnitude, 1 where all is sent; empty for schedules and others."""
    select = data.settings(f"method.{direction}.select", "all")
    chosen = pd.to_numeric(data.settings(f"method.{direction}.density"), errors="coerce")
    return chosen.where(select == "top_magnitude").mask(select == "all", 1.0)


def is_dense(data: Runs) -> pd.Series:
    """Which runs are dense LoRA: all of a whole, unfrozen adapter travels to and from each client."""

    def whole(direction: str) -> pd.Series:
        everything = data.settings(f"method.{direction}.select") == "all"
        return everything | (data.settings(f"method.{direction}.density") == 1)

    return (
        whole("download")
        & whole("upload")
        & (data.settings("adapter.kind", "lora") == "lora")
        & (data.settings("adapter.frozen", "none") == "none")
        & (data.settings("method.tiers", "[]") == "[]")
    )


def support_bound_bytes(length: int, nonzeros: int) -> float:
    """log2 C(n, k) / 8: what it takes to name one of all supports of k in n, if all are as likely.

    A code can do with less where supports are not: where they crowd in some of the layers.
    """
    log = math.lgamma(length + 1) - math.lgamma(nonzeros + 1) - math.lgamma(length - nonzeros + 1)
    return log / math.log(2) / 8


@dataclass(frozen=True)
class Link:
    """A client's connection; rates in Mbit/s, 10^6 bits."""

    name: str
    down: float
    up: float


def tokens_per_second(clients: pd.DataFrame) -> float:
    """The median rate at which the machine that ran them trained its clients."""
    return float((clients["tokens"] / clients["client_seconds"]).median())


def round_seconds(clients: pd.DataFrame, link: Link, rate: float) -> pd.DataFrame:
    """Modelled seconds by the end of each round: columns run, round, total_seconds.

    The cohort works side by side and the server waits for the last: a round takes the largest of
    download bytes / rate + tokens / `rate` + upload bytes / rate. Latency and the server are free.
    """
    seconds = (
        clients["download_payload_bytes"] * 8 / (link.down * 1e6)
        + clients["tokens"] / rate
        + clients["upload_payload_bytes"] * 8 / (link.up * 1e6)
    )
    rounds = (
        clients.assign(seconds=seconds)
        .groupby(["run", "round"], as_index=False)["seconds"]
        .max()
        .sort_values(["run", "round"])
    )
    rounds["total_seconds"] = rounds.groupby("run")["seconds"].cumsum()
    return rounds.drop(columns="seconds")
