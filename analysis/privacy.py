"""Accuracy against epsilon of user-level differential privacy."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np

from . import measures
from .figure import INTERVALS, Figure, lines, logarithmic, looks, sampling_note
from .load import Runs

STUDY = "privacy"
COMPARES = ("method.", "adapter.frozen", "privacy.")


def draw(data: Runs) -> Figure:
    """Last accuracy over the epsilon of the whole run; far right, clipping without noise."""
    points = measures.curves(data)
    if "epsilon" not in data.rounds.columns:
        raise ValueError(
            "rounds.csv has no column epsilon: the runs are of a version without privacy"
        )
    # The last row: a run without noise says inf there, one without privacy nothing.
    last_rows = data.rounds.sort_values("round").drop_duplicates("run", keep="last")
    epsilon = last_rows[["run", "epsilon"]].fillna({"epsilon": np.inf})
    last = measures.final(points).merge(epsilon, on="run")
    settings = data.runs[["run"]].assign(
        noise_multiplier=data.settings("privacy.noise_multiplier", 0).astype(float),
        clip=data.settings("privacy.clip", np.nan).astype(float),
    )
    last = last.merge(settings, on="run")
    last["label"] = last["label"].str.replace(r"\.noise_multiplier-[^. ]*(\.\d+)?", "", regex=True)
    by = ["label", "noise_multiplier", "clip", "epsilon"]
    table = measures.over_seeds(last, by, ["accuracy", "total_payload_bytes"])
    finite = table.loc[np.isfinite(table["epsilon"]), "epsilon"]
    right = 4 * (finite.max() if len(finite) else 1.0)
    shown = table.assign(x=table["epsilon"].where(np.isfinite(table["epsilon"]), right))
    canvas, axes = plt.subplots(figsize=(6.5, 4), layout="constrained")
    lines(axes, shown, "x", "accuracy", looks(list(dict.fromkeys(table["label"]))))
    axes.axvline(right, color="grey", linestyle=":", linewidth=0.8)
    logarithmic(axes.xaxis, "epsilon of all rounds (dotted: no noise)")
    axes.set_ylabel("last test accuracy")
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    delta = data.settings("privacy.delta").dropna()
    notes = [
        INTERVALS,
        sampling_note(points),
        "delta: " + ", ".join(sorted({str(d) for d in delta})),
    ]
    cohorts = {str(value) for value in data.settings("privacy.noise_cohort_size").dropna()} - {
        "auto"
    }
    if cohorts:
        notes.append(
            f"Noise and epsilon are those of a larger federation (cohort {', '.join(sorted(cohorts))}); they "
            "are no guarantee for the clients that were trained (docs/privacy.md)."
        )
    return Figure(
        canvas,
        "Accuracy after the last round against the epsilon of the whole run.",
        {"": table},
        list(data.runs["run"]),
        notes,
    )
