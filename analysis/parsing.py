"""Tables and YAML as the program writes them: a text stays a text, whatever it looks like.

pandas would read the digest 000270105150542e as 0 and the client name NA as missing; PyYAML, which
keeps to YAML 1.1, would read the path 2026-01-01 as a date and 12:30 as 750.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

TEXTS = ("digest", "split", "status", "host", "processor")
"""Columns of texts, beside those whose names end in _name or _digest."""


def read_table(path: Path) -> pd.DataFrame:
    """A table of a run directory."""
    table = pd.read_csv(path)
    texts = [
        name for name in table.columns if name in TEXTS or name.endswith(("_name", "_digest"))
    ]
    if texts:
        table[texts] = pd.read_csv(path, usecols=texts, dtype=str, keep_default_na=False)[texts]
    return table


class Loader(yaml.SafeLoader):
    """YAML in which plain true, false, null and decimal numbers alone are no texts."""


def _number(loader: Loader, node: yaml.ScalarNode) -> float:
    """A number: an int where it has neither point nor exponent."""
    text = loader.construct_scalar(node)
    if re.fullmatch(r"[-+]?\d+", text):
        return int(text)
    return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))


KINDS = {
    "bool": r"true|True|TRUE|false|False|FALSE",
    "null": r"~|null|Null|NULL|",
    "float": r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
}
Loader.yaml_implicit_resolvers = {}
for kind, pattern in KINDS.items():
    Loader.add_implicit_resolver(f"tag:yaml.org,2002:{kind}", re.compile(f"^(?:{pattern})$"), None)
Loader.add_constructor("tag:yaml.org,2002:float", _number)


class Dumper(yaml.SafeDumper):
    """The counterpart of Loader: texts that it would read as something else are in quotes."""

    yaml_implicit_resolvers = Loader.yaml_implicit_resolvers


def yaml_text(value: Any) -> str:
    """A YAML text that `read_yaml` reads as this value."""
    return yaml.dump(value, Dumper=Dumper, sort_keys=False, allow_unicode=True)


def read_yaml(text: str) -> Any:
    """The value of a YAML text."""
    return yaml.load(text, Loader=Loader)
