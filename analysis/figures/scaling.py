"""Seconds of a round by ranks: measured, modelled (round_model.py), and the model drawn on.

Strong scaling is the same experiment on more ranks; in weak scaling the cohort grows with the
ranks. The model needs one run on one rank, and two more of these side by side, which show what busy
cores do to each other (scripts/scaling). All other points are predicted. Without them there is no
model.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from .. import round_model
from ..figure import Figure
from ..load import Runs
from ..measures import density
from ..round_model import Link, Machine, Workload
from ..style import BLUE, GREY, RED, Context, legend_below, logarithmic
from ..style import panels as panels_of

COMPARES = ("federation.cohort_size",)
SHOWS = COMPARES
HAS_LINES = False
COHORT = 10_000
CORES_PER_HOST = 64
# Measured by `cellm-bench link` (docs/communication-model.md), and a data sheet's fast network.
LINKS = {
    "1 Gbit/s, measured": Link(2.1e-5, 8.34e-9),
    "100 Gbit/s, data sheet": Link(2e-6, 8e-11),
}


def why_not(data: Runs) -> str | None:
    """Needs the same experiment on two numbers of ranks."""
    table = rounds_of(data)
    return "no experiment ran on two numbers of ranks" if strong_cohort(table) is None else None


def later(table: pd.DataFrame) -> pd.DataFrame:
    """Rows of rounds after the first, which is slower than the others; all of a single round."""
    last = table.groupby("run")["round"].transform("max")
    return table[(table["round"] > 1) | (last == 1)]


def rounds_of(data: Runs) -> pd.DataFrame:
    """A row per run: kind, ranks, cohort and mean seconds of a round without evaluation."""
    rounds = later(data.rounds).copy()
    rounds["seconds"] = rounds["round_seconds"] - rounds["evaluate_seconds"]
    columns = ["seconds", "train_seconds", "encode_seconds", "wait_seconds", "server_seconds"]
    table = rounds.groupby("run", as_index=False)[columns].mean()
    cohorts = data.rounds.groupby("run")["clients"].max().rename("cohort").reset_index()
    names = data.runs[["run", "point", "ranks", "start", "end"]]
    table = table.merge(names, on="run").merge(cohorts, on="run")
    table["kind"] = kinds(table)
    table = table.drop(columns=["start", "end"])
    return table.sort_values(["kind", "ranks", "point"], ignore_index=True)


def side_by_side(table: pd.DataFrame) -> set[str]:
    """Runs on one rank that ran at the same time as another one of the same cohort."""
    alone = table[(table["ranks"] == 1) & (table["end"] != "")].to_dict("records")
    return {
        one["run"]
        for one in alone
        for other in alone
        if one["run"] != other["run"]
        and one["cohort"] == other["cohort"]
        and one["start"] < other["end"]
        and other["start"] < one["end"]
    }


def strong_cohort(table: pd.DataFrame) -> int | None:
    """The cohort that ran on most numbers of ranks; None if each ran on one."""
    counts = table[table["kind"] != "pair"].groupby("cohort")["ranks"].nunique()
    return None if counts.empty or counts.max() < 2 else int(counts.idxmax())


def kinds(table: pd.DataFrame) -> list[str]:
    """pair for runs side by side, strong for runs of the strong cohort, weak for others."""
    together = side_by_side(table)
    kind = ["pair" if run in together else "weak" for run in table["run"]]
    cohort = strong_cohort(table.assign(kind=kind))
    return [
        "strong" if own != "pair" and cohort == size else own
        for own, size in zip(kind, table["cohort"])
    ]


def weak_rows(table: pd.DataFrame) -> pd.DataFrame:
    """Runs with as many clients per rank as the smallest run of the weak kind; none if alike."""
    weak = table[table["kind"] == "weak"]
    if weak.empty:
        return weak
    each = weak.sort_values("ranks")
    ratio = each["cohort"].iloc[0] / each["ranks"].iloc[0]
    rows = table[(table["kind"] != "pair") & (table["cohort"] == ratio * table["ranks"])]
    return rows.sort_values("ranks") if rows["ranks"].nunique() > 1 else rows.iloc[:0]


def clients_of(data: Runs, run: str) -> pd.DataFrame:
    """The clients of a run's later rounds."""
    return later(data.clients[data.clients["run"] == run])


def workload(data: Runs, run: str) -> Workload:
    """The clients of all later rounds of a run."""
    own = data.of([run])
    row = own.runs.iloc[0]
    down, up = (float(density(own, way).fillna(1.0).iloc[0]) for way in ("download", "upload"))
    return Workload(
        tokens=list(clients_of(data, run)["tokens"].astype(float)),
        coordinates=int(row["parameters"]),
        download_density=down,
        upload_density=up,
    )


def by_round(data: Runs, run: str) -> list[Workload]:
    """The work of each later round of a run."""
    whole = workload(data, run)
    return [
        replace(whole, tokens=list(group["tokens"].astype(float)))
        for _, group in clients_of(data, run).groupby("round")
    ]


def calibrate(data: Runs, table: pd.DataFrame, cores: int) -> Machine | None:
    """The machine as the runs on one rank show it; None if there are none side by side."""
    alone = table[(table["kind"] == "strong") & (table["ranks"] == 1)]
    pair = table[(table["kind"] == "pair") & (table["cohort"].isin(alone["cohort"]))]
    if alone.empty or len(pair) < 2:
        return None
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
    """The table with `modelled_seconds` and `error`, the share that the model is too long."""
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
    """The model for a cohort of 10 000 on up to 4096 ranks of hosts with 64 cores."""
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


def measured(axes, rows: pd.DataFrame, cores: int, modelled: bool) -> None:
    """Measured points, with the model or, without one, with what no loss would be."""
    axes.plot(rows["ranks"], rows["seconds"], "o", color=BLUE, label="measured")
    if modelled:
        means = rows.groupby("ranks")["modelled_seconds"].mean()
        axes.plot(means.index, means, "-", color=RED, label="modelled")
    else:
        first = rows.sort_values("ranks").iloc[0]
        ranks = sorted(rows["ranks"].unique())
        work = {rank: rows[rows["ranks"] == rank]["cohort"].iloc[0] / rank for rank in ranks}
        ideal = [first["seconds"] * work[rank] / work[ranks[0]] for rank in ranks]
        axes.plot(ranks, ideal, "--", color=GREY, label="without loss")
    axes.axvline(cores, color=GREY, linestyle=":", linewidth=0.8)
    logarithmic(axes.xaxis, f"ranks ({cores} cores)")
    logarithmic(axes.yaxis, "seconds per round")
    sizes = sorted(rows["cohort"].unique())
    if len(sizes) == 1:
        axes.set_title(f"strong, cohort {sizes[0]}")
    else:
        axes.set_title(f"weak, cohort {sizes[0] // rows['ranks'].min()} per rank")


def drawn(axes, further: pd.DataFrame) -> None:
    """The model for large clusters."""
    for (name, rows), stroke in zip(further.groupby("link", sort=False), ("-", "--")):
        axes.plot(rows["ranks"], rows["seconds"], stroke, color=RED, label=f"modelled, {name}")
    longest = further["longest_client_seconds"].iloc[0]
    axes.axhline(longest, color=GREY, linewidth=0.8, label="the longest client")
    logarithmic(axes.xaxis, f"ranks, {CORES_PER_HOST} per host")
    logarithmic(axes.yaxis, "modelled seconds per round")
    axes.set_title(f"model, cohort {COHORT}")


def model_notes(table: pd.DataFrame, further: pd.DataFrame, machine: Machine) -> list[str]:
    """The model's parameters, its errors, and its limits."""
    worst = table[table["is_prediction"]]["error"].abs().max()
    last = further[further["ranks"] == further["ranks"].max()].iloc[0]
    first = further[further["bottleneck"] != "training"]
    limit = "Training is the longest part up to the end. "
    if not first.empty:
        limit = (
            f"From {first['ranks'].min()} ranks on the longest part of a round is "
            f"{first['bottleneck'].iloc[0]}. "
        )
    return [
        "The model comes from the runs on one rank, alone and side by side: "
        f"{machine.tokens_per_second:.0f} tokens/s per core, "
        f"{1e3 * machine.client_overhead:.1f} ms per client, {1e3 * machine.fixed:.0f} ms per "
        "round, busy cores at "
        f"{100 * machine.together:.0f} %. All points of more than one rank are predictions. The "
        f"largest error is {100 * worst:.1f} %.",
        f"{limit}At {last['ranks']} ranks a round takes {last['seconds']:.2f} s, its longest "
        f"client {last['longest_client_seconds']:.2f} s.",
        "Larger clusters are modelled, not measured: hosts of 64 cores that do not disturb each "
        "other, and sums along a chain of hosts.",
    ]


def draw(data: Runs, context: Context) -> Figure:
    """Strong and weak scaling, and with the runs that it needs also the model."""
    table = rounds_of(data)
    cores = int(pd.to_numeric(data.runs["cores"], errors="coerce").fillna(1).max())
    machine = calibrate(data, table, cores)
    notes = ["Dotted: the number of cores. The first round of a run does not count."]
    tables = {}
    if machine is not None:
        table = predict(data, table, machine)
        strong = table[table["kind"] == "strong"]["run"].iloc[0]
        further = tables["model"] = drawn_on(workload(data, strong), machine)
        notes += model_notes(table, further, machine)
    kept = [table[table["kind"] == "strong"], weak_rows(table)]
    shown = [rows for rows in kept if not rows.empty]
    canvas, axes_of = panels_of(context, len(shown) + (machine is not None))
    for axes, rows in zip(axes_of, shown):
        measured(axes, rows, cores, machine is not None)
    if machine is not None:
        drawn(axes_of[-1], further)
    legend_below(canvas, axes_of)
    what = "measured" if machine is None else "measured and modelled, and the model to 4096 ranks"
    return Figure(
        canvas,
        f"Seconds of a round by ranks, without evaluation: {what}.",
        {"": table.drop(columns="run"), **tables},
        list(data.runs["run"]),
        notes,
    )
