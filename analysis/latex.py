"""LaTeX tables in the style of booktabs: mean and standard deviation in one column."""

from __future__ import annotations

import math

import pandas as pd

SPECIAL = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
}
MEGA = 1e6
PARTS = ("_half", "_deviation", "_low", "_high")
"""Ends of columns that are shown beside another column's value, or in the CSV alone."""


def escaped(text: str) -> str:
    """A text in which LaTeX's special characters stand for themselves."""
    return "".join(SPECIAL.get(character, character) for character in text)


def heading(column: str) -> str:
    """A column's name for people; bytes are in megabytes."""
    if column.startswith("baseline_over_"):
        return column.removesuffix("_bytes").replace("_", " ")
    if column.endswith("_bytes"):
        return column.removesuffix("_bytes").replace("_", " ") + " (MB)"
    if column.endswith("_parameters"):
        return column.replace("_", " ") + " (M)"
    return column.replace("_", " ")


def unit(column: str) -> float:
    """What a column's values are divided by."""
    factors = column.startswith("baseline_over_")
    return MEGA if column.endswith(("_bytes", "_parameters")) and not factors else 1.0


def number(value: object, digits: int) -> str:
    """A cell: an integer as it is, other numbers with so many digits after the point."""
    if value is None or (isinstance(value, float) and math.isnan(value)) or value is pd.NA:
        return "--"
    if isinstance(value, (bool, str)):
        return escaped(str(value))
    if math.isinf(value):
        return r"$\infty$" if value > 0 else r"$-\infty$"
    text = f"{value:.{digits}f}"
    return f"${text}$" if text.startswith("-") else text


def digits_of(values: pd.Series) -> int:
    """Digits after the point that show the column's numbers to about three digits."""
    finite = [abs(value) for value in values if isinstance(value, float) and math.isfinite(value)]
    if not finite or all(value == int(value) for value in finite):
        return 0
    largest = max(finite)
    return 3 if largest < 10 else 2 if largest < 100 else 1


def table(data: pd.DataFrame) -> str:
    """The rows as a tabular.

    X with X_deviation becomes one column, and so does X with its interval X_low and X_high. X_half
    is in the CSV alone.
    """
    columns = [
        name
        for name in data.columns
        if not (name.endswith(PARTS) and name.rsplit("_", 1)[0] in data.columns)
    ]
    cells = []
    for name in columns:
        values = data[name]
        if not pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values):
            cells.append(["--" if value != value else escaped(str(value)) for value in values])
            continue
        scaled = values.astype(float) / unit(name)
        whole = pd.api.types.is_integer_dtype(values) and unit(name) == 1
        digits = 0 if whole else digits_of(scaled)
        column = [number(value, digits) for value in scaled]
        deviations = data.get(f"{name}_deviation")
        if deviations is not None:
            spread = [number(value / unit(name), digits) for value in deviations.astype(float)]
            column = [
                text if extra == "--" else f"{text} $\\pm$ {extra}"
                for text, extra in zip(column, spread)
            ]
        if f"{name}_low" in data.columns:
            ends = [
                [number(value / unit(name), digits) for value in values.astype(float)]
                for values in (data[f"{name}_low"], data[f"{name}_high"])
            ]
            column = [
                text if low == "--" else f"{text} [{low}, {high}]"
                for text, low, high in zip(column, *ends)
            ]
        cells.append(column)
    numeric = [pd.api.types.is_numeric_dtype(data[name]) for name in columns]
    lines = [
        "% Needs \\usepackage{booktabs}. Mean and standard deviation over seeds.",
        f"\\begin{{tabular}}{{{''.join('r' if right else 'l' for right in numeric)}}}",
        "\\toprule",
        " & ".join(escaped(heading(name)) for name in columns) + r" \\",
        "\\midrule",
        *(" & ".join(row) + r" \\" for row in zip(*cells)),
        "\\bottomrule",
        "\\end{tabular}",
    ]
    return "\n".join(lines) + "\n"
