"""Seconds of a round by ranks: measured (scripts/scaling), modelled (round_model.py), and the model drawn on.

What the model knows is taken from runs on one rank: the speed of a core, what a client costs beside its tokens,
what a round costs beside its clients, and, from two such runs side by side, what busy cores do to each other.
All other points are predicted.
"""

from __future__ import annotations

from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from . import round_model
from .figure import Figure, logarithmic
from .load import Runs
from .round_model import Link, Machine, Workload

STUDY = "scaling"
COMPARES = ("federation.cohort_size",)
COHORT = 10_000
CORES_PER_HOST = 64
# What `cellm-bench link` measured in the lab (docs/communication-model.md), and a fast network by its data sheet.
LINKS = {"1 Gbit/s, measured in the lab": Link(2.1e-5, 8.34e-9), "100 Gbit/s, by its data sheet": Link(2e-6, 8e-11)}


def rounds_of(data: Runs) -> pd.DataFrame:
    """A row a run: kind, ranks, cohort and the medians over rounds after the first, without evaluation."""
    rounds = data.rounds[data.rounds["round"] > 1].copy()
    rounds["seconds"] = rounds["round_seconds"] - rounds["evaluate_seconds"]
    columns = ["seconds", "train_seconds", "encode_seconds", "wait_seconds", "server_seconds"]
    table = rounds.groupby("run", as_index=False)[columns].mean()
    names = data.runs[["run", "point", "ranks"]].copy()
    names["kind"] = names["point"].str.split("-").str[0]
    names["cohort"] = data.settings("federation.cohort_size").astype(int)
    return table.merge(names, on="run").sort_values(["kind", "ranks"], ignore_index=True)


def clients_of(data: Runs, run: str) -> pd.DataFrame:
    """The clients of a run's rounds after the first, which is slower than the others."""
    return data.clients[(data.clients["run"] == run) & (data.clients["round"] > 1)]


def workload(data: Runs, run: str) -> Workload:
    """The clients of a run's rounds after the first, one list a round being as good as the other."""
    row = data.runs[data.runs["run"] == run].iloc[0]
    return Workload(
        tokens=list(clients_of(data, run)["tokens"].astype(float)),
        coordinates=int(row["parameters"]),
        download_density=float(row.get("method.download.density", 1.0)),
        upload_density=float(row.get("method.upload.density", 1.0)),
    )


def by_round(data: Runs, run: str) -> list[Workload]:
    """The work of each round of a run after the first."""
    whole = workload(data, run)
    return [
        replace(whole, tokens=list(group["tokens"].astype(float)))
        for _, group in clients_of(data, run).groupby("round")
    ]


def calibrate(data: Runs, table: pd.DataFrame, cores: int) -> Machine:
    """The machine as the runs on one rank show it.

    Raises ValueError where those runs are not there.
    """
    alone = table[(table["kind"] == "strong") & (table["ranks"] == 1)]
    pair = table[table["kind"] == "pair"]
    if alone.empty or len(pair) < 2:
        raise ValueError("needs the runs strong-1, pair-a and pair-b of scripts/scaling")
    run = alone["run"].iloc[0]
    clients = clients_of(data, run)
    slope, overhead = np.polyfit(clients["tokens"], clients["client_seconds"], 1)
    machine = Machine(
        cores=cores,
        tokens_per_second=1 / slope,
        together=float(alone["train_seconds"].iloc[0] / pair["train_seconds"].mean()),
        client_overhead=max(0.0, float(overhead)),
        link=Link(0.0, 0.0),
    )
    modelled = np.mean(
        [round_model.round_time(work, machine, 1, 1).total for work in by_round(data, run)]
    )
    rest = max(0.0, float(alone["seconds"].iloc[0]) - float(modelled))
    return replace(machine, fixed=rest)


def predict(data: Runs, table: pd.DataFrame, machine: Machine) -> pd.DataFrame:
    """The table with `modelled_seconds` and `error`, the share by which the model is above the measured time."""
    table = table.copy()
    table["modelled_seconds"] = [
        np.mean(
            [
                round_model.round_time(work, machine, ranks, ranks).total
                for work in by_round(data, run)
            ]
        )
        for run, ranks in zip(table["run"], table["ranks"])
    ]
    table["error"] = table["modelled_seconds"] / table["seconds"] - 1
    table["is_prediction"] = table["ranks"] > 1
    return table


def drawn_on(work: Workload, machine: Machine) -> pd.DataFrame:
    """The model for a cohort of 10 000 on up to 4096 ranks of hosts with 64 cores, a core a rank."""
    generator = np.random.default_rng(0)
    tokens = list(generator.choice(work.tokens, COHORT))
    cohort = replace(work, tokens=tokens)
    rows = []
    for name, link in LINKS.items():
        cluster = replace(machine, cores=CORES_PER_HOST, link=link, together=1.0)
        for ranks in (2**k for k in range(0, 13)):
            found = round_model.round_time(cohort, cluster, ranks, CORES_PER_HOST)
            rows.append(
                {
                    "link": name,
                    "ranks": ranks,
                    "seconds": found.total,
                    "train_seconds": found.train,
                    "upload_seconds": found.upload,
                    "download_seconds": found.download,
                    "server_seconds": found.server,
                    "longest_client_seconds": found.longest_client,
                    "bottleneck": found.bottleneck,
                }
            )
    return pd.DataFrame(rows)


def draw(data: Runs) -> Figure:
    """Strong and weak scaling with the model, and the model drawn on."""
    table = rounds_of(data)
    cores = int(data.runs["cores"].max())
    machine = calibrate(data, table, cores)
    table = predict(data, table, machine)
    further = drawn_on(workload(data, table[table["kind"] == "strong"]["run"].iloc[0]), machine)
    canvas, panels = plt.subplots(1, 3, figsize=(13, 4), layout="constrained")
    for axes, kind in zip(panels, ("strong", "weak")):
        rows = table[table["kind"] == kind]
        axes.plot(rows["ranks"], rows["seconds"], "o", color="tab:blue", label="measured")
        axes.plot(rows["ranks"], rows["modelled_seconds"], "-", color="tab:orange", label="modelled")
        axes.axvline(cores, color="grey", linestyle=":", linewidth=0.8)
        logarithmic(axes.xaxis, f"ranks on {cores} cores")
        logarithmic(axes.yaxis, "seconds a round, without evaluation")
        cohorts = sorted(rows["cohort"].unique())
        size = f"cohort {cohorts[0]}" if len(cohorts) == 1 else f"cohort {cohorts[0]} a rank"
        axes.set_title(f"{kind} scaling, {size}")
        axes.legend()
    for (name, rows), style in zip(further.groupby("link", sort=False), ("-", "--")):
        panels[2].plot(rows["ranks"], rows["seconds"], style, color="tab:orange", label=name)
    panels[2].axhline(
        further["longest_client_seconds"].iloc[0], color="grey", linewidth=0.8, label="the longest client"
    )
    logarithmic(panels[2].xaxis, f"ranks, {CORES_PER_HOST} on a host with as many cores")
    logarithmic(panels[2].yaxis, "modelled seconds a round")
    panels[2].set_title(f"the model, cohort {COHORT}")
    panels[2].legend()
    worst = table[table["is_prediction"]]["error"].abs().max()
    last = further[further["ranks"] == 4096].iloc[0]
    first = further[further["bottleneck"] != "training"]
    limit = (
        f"From {first['ranks'].min()} ranks on it is {first['bottleneck'].iloc[0]} that a round waits for. "
        if not first.empty
        else "Training is what a round waits for, up to the end. "
    )
    return Figure(
        canvas,
        "Seconds of a round by ranks, measured and modelled, and the model drawn to 4096 ranks.",
        {"": table.drop(columns="run"), "model": further},
        list(data.runs["run"]),
        [
            f"The model is taken from the runs on one rank and two of them side by side: {machine.tokens_per_second:.0f} "
            f"tokens/s a core, {1e3 * machine.client_overhead:.1f} ms a client, {1e3 * machine.fixed:.0f} ms a round, busy cores at "
            f"{100 * machine.together:.0f} %. All points of more than one rank are predictions: the worst is off by "
            f"{100 * worst:.1f} %.",
            f"{limit}At 4096 ranks a round takes {last['seconds']:.2f} s, its longest client "
            f"{last['longest_client_seconds']:.2f} s.",
            "Beyond this machine everything is modelled, not measured: hosts of 64 cores that do not disturb each other, sums along "
            "a chain of hosts. The population enters the drawing of the cohort alone: its size is free here.",
        ],
    )
