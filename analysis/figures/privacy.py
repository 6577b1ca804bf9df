"""Accuracy against epsilon of user-level differential privacy."""

from __future__ import annotations

import numpy as np
import pandas as pd

from .. import measures
from ..figure import Figure
from ..grouping import METHODS
from ..load import Runs
from ..statistics import over_seeds
from ..style import (
    GREY,
    INTERVALS,
    Context,
    legend_below,
    lines,
    logarithmic,
    panels,
    sampling_note,
)

COMPARES = (*METHODS, "privacy.")
SHOWS = ("privacy.noise_multiplier", "privacy.target_epsilon", "privacy.clipping", "privacy.clip")
HAS_LINES = False


def epsilons(data: Runs) -> pd.DataFrame:
    """The epsilon of all rounds of each run; infinite without noise and without privacy."""
    last = data.rounds.sort_values(["run", "round"]).drop_duplicates("run", keep="last")
    numbers = pd.to_numeric(last["epsilon"], errors="coerce").fillna(np.inf)
    return last[["run"]].assign(epsilon=numbers.astype(float))


def why_not(data: Runs) -> str | None:
    """Needs at least two epsilons."""
    if "epsilon" not in data.rounds.columns:
        return "no privacy"
    found = epsilons(data)["epsilon"].nunique()
    return None if found > 1 else "epsilon does not vary"


def draw(data: Runs, context: Context) -> Figure:
    """Last accuracy over the epsilon of the whole run; far right, runs without noise."""
    points = measures.curves(data)
    last = measures.final(points).merge(epsilons(data), on="run")
    settings = data.runs[["run"]].assign(
        noise_multiplier=pd.to_numeric(
            data.settings("privacy.noise_multiplier", 0), errors="coerce"
        ),
        clip=pd.to_numeric(data.settings("privacy.clip"), errors="coerce"),
    )
    last = last.merge(settings, on="run")
    by = ["label", "noise_multiplier", "clip", "epsilon"]
    measures.check_averages(last, by)
    table = over_seeds(last, by, ["accuracy", "total_payload_bytes"])
    finite = table.loc[np.isfinite(table["epsilon"]), "epsilon"]
    right = 4 * (finite.max() if len(finite) else 1.0)
    shown = table.assign(x=table["epsilon"].where(np.isfinite(table["epsilon"]), right))
    canvas, (axes,) = panels(context, 1, height=2.4)
    lines(axes, shown, "x", "accuracy", context.looks())
    name = "epsilon of all rounds"
    if len(finite) < len(table):
        axes.axvline(right, color=GREY, linestyle=":", linewidth=0.8)
        name += " (dotted: no noise)"
    logarithmic(axes.xaxis, name)
    axes.set_ylabel(f"last {context.metric}")
    legend_below(canvas, [axes])
    delta = sorted({f"{value:g}" for value in data.settings("privacy.delta").dropna()})
    notes = [INTERVALS, sampling_note(points, measures.metric_of(data).is_share)]
    notes.append(f"delta: {', '.join(delta) or 'not set'}.")
    cohorts = {str(value) for value in data.settings("privacy.noise_cohort_size").dropna()}
    cohorts -= {"auto"}
    if cohorts:
        notes.append(
            f"Noise and epsilon are those of a larger federation (cohort "
            f"{', '.join(sorted(cohorts))}). They are no guarantee for the clients that were "
            "trained (docs/privacy.md)."
        )
    return Figure(
        canvas,
        "Accuracy after the last round against the epsilon of the whole run.",
        {"": table},
        list(data.runs["run"]),
        notes,
    )
