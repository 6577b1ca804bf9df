"""Decides which figures runs have, draws them, and says in one line what was left out and why."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from types import ModuleType

from . import measures
from .figure import Figure
from .figures import FIGURES, scaling, what_varied
from .grouping import METHODS, agreement_note, group_names, groups, shortened
from .labels import baseline_of, key_name, labelled, order, under
from .load import Runs
from .style import Context

MOST_LINES = 24
"""Nobody can read more lines."""


@dataclass
class Wishes:
    """What the user asked for."""

    width: float = 6.5
    baseline: str | None = None
    texts: dict[str, str] = field(default_factory=dict)


@dataclass
class Refused:
    """Runs that have no figure of a kind. `is_other`: they do not vary in what it compares."""

    runs: Runs
    why: str
    is_other: bool = False


@dataclass
class Drawings:
    """Drawn figures by name, and lines on what was left out."""

    figures: dict[str, Figure] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)


def context_of(data: Runs, wishes: Wishes) -> Context:
    """What a figure of these labelled runs needs to know."""
    baseline = baseline_of(data, wishes.baseline)
    metric = measures.metric_of(data).name
    return Context(wishes.width, baseline, order(data, baseline), metric)


def attempt(data: Runs, wishes: Wishes, draw) -> Figure | str:
    """A figure, or the reason that there is none."""
    try:
        figure = draw(data, context_of(data, wishes))
    except (ValueError, LookupError, ArithmeticError, TypeError) as error:
        return f"no run has {error}" if isinstance(error, KeyError) else str(error)
    figure.renamed("accuracy", measures.metric_of(data).column)
    return figure


def refusal(module: ModuleType, data: Runs) -> str | None:
    """The reason that runs have no figure of a kind, if it is known before drawing."""
    try:
        return module.why_not(data)
    except (ValueError, LookupError, ArithmeticError, TypeError) as error:
        return f"no run has {error}" if isinstance(error, KeyError) else str(error)


def too_many(module: ModuleType, data: Runs) -> str | None:
    """The reason not to draw more lines than a reader can tell apart."""
    lines = data.runs["label"].nunique()
    if module.HAS_LINES and lines > MOST_LINES:
        return f"{lines} lines cannot be told apart (choose some with --points)"
    return None


def without_trials(module: ModuleType, data: Runs, tuning: set[str]) -> Runs:
    """The runs without tuning sweeps, if the figure compares methods and two others are left."""
    others = data.only(~data.runs["run"].isin(tuning))
    compares_methods = set(METHODS) <= set(module.COMPARES)
    return others if compares_methods and others.runs["label"].nunique() > 1 else data


def of_kind(
    name: str, module: ModuleType, data: Runs, wishes: Wishes, tuning: set[str]
) -> tuple[dict[str, Figure], list[Refused]]:
    """The figures of one kind by name, and the groups of runs that have none, with reasons."""
    chosen: list[tuple[dict, Runs]] = []
    refused: list[Refused] = []
    drawn: dict[str, Figure] = {}
    # A figure of runs with any settings has no lines that a text could name.
    texts = {} if "" in module.COMPARES else wishes.texts
    for settings, part in groups(data, module.COMPARES):
        part = labelled(part, module.SHOWS, texts)
        kept = without_trials(module, part, tuning)
        trials = part.only(~part.runs["run"].isin(kept.runs["run"]))
        part = labelled(kept, module.SHOWS, texts)
        why, crowd = refusal(module, part), too_many(module, part)
        if why or crowd:
            refused.append(Refused(part, why or crowd, is_other=why is not None))
            continue
        chosen.append((settings, part))
        if not trials.runs.empty:
            refused.append(Refused(trials, "a tuning sweep (what-varied draws it)"))
    if module.HAS_LINES and len(chosen) > 1:
        several = [item for item in chosen if item[1].runs["label"].nunique() > 1] or chosen[:1]
        large = {id(part) for _, part in several}
        refused += [
            Refused(part, "no other method has the same other settings")
            for _, part in chosen
            if id(part) not in large
        ]
        chosen = several
    names = group_names([settings for settings, _ in chosen])
    for end, (_, part) in zip(names, chosen):
        figure = attempt(part, wishes, module.draw)
        if isinstance(figure, str):
            # First: its reason says more than those of runs that do not vary.
            refused.insert(0, Refused(part, figure))
        else:
            figure.notes += agreement_note(module.COMPARES)
            drawn[f"{name}.{end}" if end else name] = figure
    return drawn, refused


def reasons(name: str, refused: list[Refused]) -> list[str]:
    """A line for each reason, with the runs that it is of."""
    found: dict[str, list[str]] = {}
    for item in refused:
        found.setdefault(item.why, []).extend(item.runs.runs["point"])
    return [
        f"{name}: {len(points)} run{'s' if len(points) > 1 else ''} "
        f"({shortened(list(dict.fromkeys(points)))}): {why}"
        for why, points in found.items()
    ]


def draw_all(data: Runs, single: Runs, wishes: Wishes) -> Drawings:
    """All figures of the runs. `single` are the runs without those that repeat another one."""
    result = Drawings()
    absent: list[str] = []
    others: list[str] = []
    shown: list[tuple[set[str], set[str]]] = []
    grids = what_varied.grids(single)
    rates = ("federation.server.", "local.learning_rate")
    tuning = {
        run for grid in grids if all(under(key, rates) for key in grid.axes) for run in grid.runs
    }
    for name, module in FIGURES.items():
        # The same settings on other ranks are what scaling is about.
        source = data if module is scaling else single
        drawn, refused = of_kind(name, module, source, wishes, tuning)
        result.figures.update(drawn)
        shown += [(set(module.SHOWS), set(figure.runs)) for figure in drawn.values()]
        other = sum(len(item.runs.runs) for item in refused if item.is_other)
        if drawn or any(not item.is_other for item in refused):
            result.left_out += reasons(name, [item for item in refused if not item.is_other])
            others += [f"{name} {other}"] if other else []
        elif refused:
            absent.append(f"{name} ({refused[0].why})")
    draw_grids(single, grids, wishes, result, shown)
    if not grids:
        absent.append("what-varied (no setting varies within a method)")
    if others:
        result.left_out.append(
            f"runs that do not vary in what a figure compares: {', '.join(others)}"
        )
    if absent:
        result.left_out.append(f"figures that these runs do not have: {'; '.join(absent)}")
    return result


def draw_grids(
    data: Runs,
    grids: list[what_varied.Grid],
    wishes: Wishes,
    result: Drawings,
    shown: list[tuple[set[str], set[str]]],
) -> None:
    """The figures of settings that vary and that no other figure shows."""
    used: list[str] = []
    for grid in grids:
        parts = [key_name(key, grid.axes).replace(" ", "_") for key in grid.axes[:3]]
        name = f"what-varied.{'-'.join(parts)}"
        used.append(name)
        if used.count(name) > 1:
            name += f".{used.count(name)}"
        if any(set(grid.varied) <= keys and set(grid.runs) <= runs for keys, runs in shown):
            continue
        part = labelled(data.of(grid.runs), tuple(grid.varied), wishes.texts)
        draw = partial(what_varied.draw, keys=grid.axes)
        figure = attempt(part, wishes, draw)
        if isinstance(figure, str):
            result.left_out += reasons(name, [Refused(part, figure)])
        else:
            result.figures[name] = figure
