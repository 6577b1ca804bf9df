"""The arithmetic of the figures: no file is read and nothing is drawn here.

Bytes are always payload bytes, lengths of messages that were encoded. `parameters_sent` is what the
papers count instead, density x parameters: values without the indices that say where they belong.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace

import pandas as pd

from .labels import method_name, unsaid
from .load import Runs

VALUE_BYTES = 4


@dataclass(frozen=True)
class Metric:
    """What evaluation.csv says of a task's quality: its column, and its name on an axis."""

    column: str = "accuracy"
    name: str = "test accuracy"
    is_share: bool = True  # a share of independent examples


METRICS = {
    "multi_label_classification": Metric("f1_micro", "test F1 (micro)", False),
    "regression": Metric("pearson", "test Pearson correlation", False),
    "language_modelling": Metric("accuracy", "test accuracy of tokens", False),
    "instruction_tuning": Metric("exact_match", "test exact match"),
    "multiple_choice": Metric("acc", "test accuracy"),
}


def metric_of(data: Runs) -> Metric:
    """The metric of the runs' task; accuracy if the tables do not have the task's own."""
    kinds = set(data.settings("task.kind", "classification"))
    found = METRICS.get(kinds.pop(), Metric()) if len(kinds) == 1 else Metric()
    if found.column not in data.evaluation.columns:
        found = Metric()
    splits = set(data.evaluation["split"]) if "split" in data.evaluation.columns else {"test"}
    if splits and "test" not in splits:
        first = str(data.evaluation["split"].iloc[0])
        found = replace(found, name=found.name.replace("test", first, 1))
    return found


def utility(evaluation: pd.DataFrame) -> pd.DataFrame:
    """The rows of an evaluation table that figures show: one per run and round.

    The test split if there is one, else the first; of the vectors that were evaluated the masked
    one; all clients' vector, not that of a tier.
    """
    if evaluation.empty:
        return evaluation
    splits = list(evaluation["split"].unique())
    chosen = evaluation[evaluation["split"] == ("test" if "test" in splits else splits[0])]
    masked = chosen["masked"].astype(str).str.lower().isin(["true", "masked"])
    order = chosen.assign(_whole=~masked)
    if "tier" in order.columns:
        order = order[order["tier"].isna()]
    order = order.sort_values(["run", "round", "_whole"], kind="stable")
    return order.drop_duplicates(["run", "round"]).drop(columns="_whole").reset_index(drop=True)


def summed(data: Runs, of_rounds: pd.Series, name: str) -> pd.DataFrame:
    """The sum of a series by run and round until each round, as the column `name`.

    A round without clients, which the series does not have, adds nothing.
    """
    rounds = data.rounds[["run", "round"]].sort_values(["run", "round"], ignore_index=True)
    values = of_rounds.reindex(pd.MultiIndex.from_frame(rounds), fill_value=0)
    return rounds.assign(**{name: values.groupby("run").cumsum().to_numpy()})


def parameters_sent(data: Runs) -> pd.DataFrame:
    """Values sent by the end of each round, both ways: columns run, round, total_parameters."""
    clients = data.clients
    sent = clients.assign(sent=clients["download_nonzeros"] + clients["upload_nonzeros"])
    return summed(data, sent.groupby(["run", "round"])["sent"].sum(), "total_parameters")


def curves(data: Runs) -> pd.DataFrame:
    """The metric by round, as `accuracy`, with what was sent until then: a row per evaluation.

    Values that are not finite are left out. Raises ValueError if nothing is left.
    """
    column = metric_of(data).column
    points = utility(data.evaluation)
    if points.empty or column not in points.columns:
        raise ValueError(f"no evaluation with the column {column}")
    points = points.assign(accuracy=pd.to_numeric(points[column], errors="coerce"))
    points = points[points["accuracy"].map(math.isfinite)]
    if points.empty:
        raise ValueError(f"no evaluation has a finite {column}")
    points = points.merge(parameters_sent(data), on=["run", "round"], how="left")
    split = data.rounds.sort_values(["run", "round"])[
        ["run", "round", "download_payload_bytes", "upload_payload_bytes"]
    ].copy()
    for direction in ("download", "upload"):
        split[f"total_{direction}_bytes"] = split.groupby("run")[
            f"{direction}_payload_bytes"
        ].cumsum()
    split = split.drop(columns=["download_payload_bytes", "upload_payload_bytes"])
    points = points.merge(split, on=["run", "round"], how="left")
    names = data.runs[["run", "label", "group", "seed"]]
    return points.merge(names, on="run").sort_values(["label", "seed", "round"], ignore_index=True)


def final(points: pd.DataFrame) -> pd.DataFrame:
    """The last row of each run."""
    last = points.sort_values(["run", "round"]).drop_duplicates("run", keep="last")
    return last.reset_index(drop=True)


def check_averages(points: pd.DataFrame, by: list[str]) -> None:
    """Raises ValueError if a mean over seeds would be one over other settings too."""
    for _, group in points.groupby(by, dropna=False):
        keys = unsaid([{**json.loads(text), "group": text} for text in group["group"].unique()])
        if keys:
            raise ValueError(f"runs of one point of the figure differ in {', '.join(keys)}")


def density(data: Runs, direction: str) -> pd.Series:
    """The density of one direction: 1 if all is sent; missing for schedules and other choices."""
    select = data.settings(f"method.{direction}.select", "all")
    chosen = pd.to_numeric(data.settings(f"method.{direction}.density"), errors="coerce")
    return chosen.where(select == "top_magnitude").mask(select == "all", 1.0)


def is_dense(data: Runs) -> pd.Series:
    """True for dense LoRA: all of a whole, unfrozen adapter travels to and from each client."""
    names = [method_name(row) for row in data.runs.to_dict("records")]
    return pd.Series([name == "Dense LoRA" for name in names], index=data.runs.index, dtype=bool)


def support_bound_bytes(length: int, nonzeros: float) -> float:
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
    trained = clients[(clients["tokens"] > 0) & (clients["client_seconds"] > 0)]
    if trained.empty:
        raise ValueError("clients.csv has no client with tokens and seconds")
    return float((trained["tokens"] / trained["client_seconds"]).median())


def round_seconds(data: Runs, link: Link, rate: float) -> pd.DataFrame:
    """Modelled seconds by the end of each round: columns run, round, total_seconds.

    The cohort works side by side and the server waits for the last: a round takes the largest of
    download bytes / rate + tokens / `rate` + upload bytes / rate. Latency and the server are free,
    and so is a round without clients.
    """
    clients = data.clients
    seconds = (
        clients["download_payload_bytes"] * 8 / (link.down * 1e6)
        + clients["tokens"] / rate
        + clients["upload_payload_bytes"] * 8 / (link.up * 1e6)
    )
    longest = clients.assign(seconds=seconds).groupby(["run", "round"])["seconds"].max()
    return summed(data, longest, "total_seconds")
