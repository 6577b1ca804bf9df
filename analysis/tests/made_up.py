"""Tiny run directories with numbers that are easy to check by hand."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

LENGTH = 1000
DENSE_MESSAGE = 4 * LENGTH + 16


def settings(**changes: object) -> dict:
    """A complete configuration, as far as analysis reads it; `a__b` in `changes` is a.b."""
    tree = {
        "model": {"path": "tiny"},
        "data": {"path": "corpus.tiny"},
        "partition": {"kind": "dirichlet", "alpha": 0.1},
        "adapter": {"lora_rank": 16, "alpha": 16, "frozen": "none"},
        "method": {"download": {"select": "all"}, "upload": {"select": "all"}, "tiers": []},
        "federation": {
            "rounds": 4,
            "server": {"epsilon": "1e-08", "learning_rate": 0.005},
            "uploads": "gather",
        },
        "compute": {"threads": 1},
        "checkpoint": {"keep": 2},
        "local": {"epochs": 1, "learning_rate": 0.1},
        "privacy": {"noise_multiplier": 0},
        "system": {"kind": "none"},
        "seed": 0,
    }
    for path, value in changes.items():
        *parents, last = path.split("__")
        branch = tree
        for parent in parents:
            branch = branch[parent]
        branch[last] = value
    return tree


def write(
    folder: Path,
    accuracies: list[float],
    *,
    nonzeros: int = LENGTH,
    index_bytes: int = 0,
    status: str = "finished",
    digest: str = "d",
    start: str = "2026-01-01T00:00:00Z",
    end: str = "2026-01-01T00:10:00Z",
    epsilon: float | None = None,
    tiers: int = 1,
    ranks: int = 1,
    clock: float | None = None,
    **changes: object,
) -> Path:
    """A run of two clients a round, evaluated after each; every message has the same size.

    A message: 4 bytes for each of `nonzeros` values, `index_bytes`, and a header of 16. With
    `clock` a round takes so many modelled seconds, and client 1 is late in every second one.
    """
    folder.mkdir(parents=True)
    rounds = len(accuracies)
    tree = settings(**{"federation__rounds": rounds, **changes})
    (folder / "config.yaml").write_text(yaml.safe_dump(tree))
    (folder / "manifest.json").write_text(
        json.dumps(
            {
                "status": status,
                "digest": digest,
                "parameters": LENGTH,
                "start": start,
                "end": end,
                "hosts": ["node-1"],
                "software": {"version": "0.1.0"},
                "rank_count": ranks,
                "cores": 2,
                "first_round_number": 1,
            }
        )
    )
    message = 4 * nonzeros + index_bytes + 16
    parts = f"{4 * nonzeros},{index_bytes},16,{message}"
    names = ("values", "indices", "header", "payload")
    columns = [",".join(f"{way}_{name}_bytes" for name in names) for way in ("download", "upload")]
    sums = f"{8 * nonzeros},{2 * index_bytes},32,{2 * message}"
    table = [
        f"round,clients,a_new_column,{columns[0]},{columns[1]},digest"
        + ("" if epsilon is None else ",epsilon")
        + ",train_seconds,encode_seconds,wait_seconds,server_seconds,evaluate_seconds,round_seconds"
    ]
    clients = [
        f"round,client,tier,tokens,download_nonzeros,{columns[0]},upload_nonzeros,{columns[1]},"
        "client_seconds" + ("" if clock is None else ",status")
    ]
    evaluation = [
        "round,split,masked,items,accuracy,total_payload_bytes"
        + ("" if clock is None else ",total_modelled_time_s")
    ]
    for number, accuracy in enumerate(accuracies):
        mark = digest if number == rounds - 1 else "other"
        table.append(
            f"{number + 1},2,x,{sums},{sums},{mark}"
            + ("" if epsilon is None else f",{epsilon}")
            # Clients of one and two seconds, side by side on two ranks, and a second for the rest.
            + (",3,0,0,0.5,7,11" if ranks == 1 else ",2,0,0,0.5,7,10")
        )
        for client in (0, 1):
            clients.append(
                f"{number + 1},{client},{client % tiers},{100 * (client + 1)},{nonzeros},{parts},"
                f"{nonzeros},{parts},{client + 1}"
                + ("" if clock is None else ",late" if client * number % 2 else ",used")
            )
        total = f"{4 * message * (number + 1)}"
        if clock is not None:
            total += f",{clock * (number + 1)}"
        evaluation.append(f"{number + 1},validation,true,50,0.99,{total}")
        evaluation.append(f"{number + 1},test,false,50,0.98,{total}")
        evaluation.append(f"{number + 1},test,true,50,{accuracy},{total}")
    owned = ["client,label,label_name,examples,tokens"]
    owned += [f"{client},{client % 2},{'ab'[client % 2]},{client + 1},10" for client in range(3)]
    owned.append("2,1,b,6,60")
    (folder / "partition.csv").write_text("\n".join(owned) + "\n")
    (folder / "rounds.csv").write_text("\n".join(table) + "\n")
    (folder / "clients.csv").write_text("\n".join(clients) + "\n")
    (folder / "evaluation.csv").write_text("\n".join(evaluation) + "\n")
    return folder


def study(folder: Path) -> Path:
    """Dense LoRA, and FLASC with 100 of 1000 values and 100 bytes of indices, two seeds each."""
    sparse = {
        "method__download": {"select": "top_magnitude", "density": 0.1},
        "method__upload": {"select": "top_magnitude", "density": 0.1},
    }
    for seed, extra in ((0, 0.0), (1, 0.02)):
        write(
            folder / f"dense.seed-{seed}",
            [0.2 + extra, 0.4 + extra, 0.5 + extra, 0.6 + extra],
            seed=seed,
        )
        write(
            folder / f"sparse.seed-{seed}",
            [0.1 + extra, 0.3 + extra, 0.5 + extra, 0.62 + extra],
            nonzeros=100,
            index_bytes=100,
            seed=seed,
            **sparse,
        )
    return folder


def direction(select: str = "top_magnitude", density: float = 0.1) -> dict:
    """One direction of a method."""
    return {"select": select, "density": density}


def everything(folder: Path) -> None:
    """A few runs for each figure, in folders whose names mean nothing."""
    sparse = {"nonzeros": 100, "index_bytes": 100}
    # Communication.
    study(folder / "monday")
    # Heterogeneity.
    for alpha in (1, 100):
        for seed in (0, 1):
            end = f"alpha-{alpha}.seed-{seed}"
            write(
                folder / f"b/dense.{end}",
                [0.2, 0.5 + seed / 100],
                partition__alpha=alpha,
                seed=seed,
                local__epochs=2,
            )
            write(
                folder / f"b/flasc.{end}",
                [0.2, 0.4],
                **sparse,
                partition__alpha=alpha,
                seed=seed,
                method__upload=direction(),
                local__epochs=2,
            )
    # Rank and density.
    for rank in (4, 16):
        for density in (1, 0.1):
            write(
                folder / f"c/rank-{rank}-density-{density}",
                [0.1, 0.4],
                nonzeros=int(1000 * density),
                adapter__lora_rank=rank,
                method__download=direction(density=density),
                method__upload=direction(density=density),
                local__epochs=3,
            )
    # Densities down and up.
    for down in (1, 0.1):
        for up in (1, 0.1):
            write(
                folder / f"d/down-{down}.density-{up}",
                [0.1, 0.3 + up / 10],
                nonzeros=int(1000 * down),
                method__download=direction(density=down),
                method__upload=direction(density=up),
                local__epochs=4,
            )
    # A virtual clock.
    for name, seconds in (("dense", 60.0), ("dense-deadline", 6.0)):
        write(
            folder / f"e/{name}",
            [0.1, 0.5 if name == "dense" else 0.48],
            clock=seconds,
            system={"kind": "drawn", "deadline": seconds},
        )
    # Ranks: two runs of one rank ran at the same time.
    for number, (point, ranks) in enumerate(
        (("one", 1), ("two", 2), ("left", 1), ("right", 1))
    ):
        hour = min(number, 2)
        write(
            folder / f"f/{point}",
            [0.1, 0.2],
            ranks=ranks,
            start=f"2026-01-01T0{hour}:00:00Z",
            end=f"2026-01-01T0{hour}:10:00Z",
            local__epochs=6,
        )
    # Tiers.
    write(folder / "g/all", [0.1, 0.5], local__epochs=7)
    write(
        folder / "g/rank-tiers",
        [0.1, 0.4],
        tiers=2,
        method__tiers=[{"lora_rank": 1}, {"share": 1}],
        local__epochs=7,
    )
    # Privacy.
    for noise, epsilon in ((0, "inf"), (1, 8.5)):
        write(
            folder / f"h/noise-{noise}",
            [0.1, 0.5 - noise / 10],
            epsilon=epsilon,
            privacy={"noise_multiplier": noise, "clip": 0.5, "delta": 1e-5},
            local__epochs=8,
        )
    # A grid of learning rates.
    for server in (0.001, 0.01):
        for client in (0.05, 0.5):
            for seed in (0, 1):
                write(
                    folder / f"i/lr-{server}-{client}.seed-{seed}",
                    [0.1, server * 10 + client + seed / 100],
                    federation__server__learning_rate=server,
                    local__epochs=9,
                    local__learning_rate=client,
                    seed=seed,
                )
