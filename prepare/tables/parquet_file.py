"""Rows of Parquet files, by pyarrow.

pyarrow takes 155 MB, as much as all other packages together, and only Parquet files need it. So it
is installed in a folder of its own, with the first Parquet file that is read.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from ..errors import UNAVAILABLE, PrepareError, one_line, plain_errors, shown
from ..home import home, is_there, locked, say

REQUIREMENTS = Path(__file__).parents[1] / "requirements-parquet.txt"
ROWS = 1000


def library() -> Any:
    """The module pyarrow.parquet, which is installed where it is missing."""
    try:
        return importlib.import_module("pyarrow.parquet")
    except ImportError:
        folder = str(installed())
    sys.path.append(folder)
    try:
        return importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise PrepareError(
            f"pyarrow cannot be loaded: {one_line(error)}; remove {folder} and type the same"
            " command again",
            UNAVAILABLE,
        ) from error


def installed() -> Path:
    """The folder with pyarrow, installed where it is not there yet."""
    version = f"{sysconfig.get_platform()}{sys.version_info[0]}.{sys.version_info[1]}"
    tag = hashlib.sha256(REQUIREMENTS.read_bytes() + version.encode()).hexdigest()[:12]
    final = home() / f"environment-parquet-{tag}"
    with locked(f".{final.name}"), plain_errors("pyarrow"):
        if is_there(final):
            return final
        say("pyarrow: installing it, once, for Parquet files (155 MB)")
        partial = final.with_name(f".partial.{final.name}")
        shutil.rmtree(partial, ignore_errors=True)
        try:
            _install(partial)
            partial.rename(final)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return final


def _install(folder: Path) -> None:
    """Lets pip put the locked package into a folder."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    command += ["--no-deps", "--require-hashes", "--only-binary=:all:", "--target", str(folder)]
    command += ["--requirement", str(REQUIREMENTS)]
    done = subprocess.run(
        command, capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL
    )
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        cause = one_line((lines or ["pip failed"])[0].removeprefix("ERROR: "), 200)
        raise PrepareError(
            f"a Parquet file needs pyarrow, which pip could not install ({cause}); type the same"
            f" command on a machine with network and this CELLM_HOME ({shown(home())}), or save"
            " the table as .jsonl",
            UNAVAILABLE,
        )


def rows(path: Path, wanted: Collection[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows with their numbers from 1; the first has all columns, the others the wanted ones.

    Numbers that the datasets library stores for names of classes become the names.
    """
    module = library()
    arrow = sys.modules["pyarrow"]
    with plain_errors("read"):
        try:
            # A descriptor of ours: pyarrow's own errors do not say why it cannot open a path.
            with open(path, "rb") as raw, module.ParquetFile(raw) as file:
                schema = file.schema_arrow
                there = [name for name in schema.names if name in wanted]
                for name in there:
                    if there.count(name) > 1:
                        raise PrepareError(
                            f"{shown(path)}: column {name!r} is there twice; rename one of the two"
                        )
                classes = _class_names(schema.metadata or {})
                for name in there:
                    if not _are_texts(classes.get(name, [])):
                        raise PrepareError(
                            f"{shown(path)}: column {name!r}: its names of classes are no list of"
                            " texts; save the table again"
                        )
                number = 0
                for batch in file.iter_batches(batch_size=ROWS, columns=there):
                    for row in batch.to_pylist():
                        number += 1
                        for name in classes.keys() & row.keys():
                            row[name] = _class_name(classes[name], row[name])
                        yield number, row if number > 1 else {**dict.fromkeys(schema.names), **row}
        except (arrow.ArrowException, ValueError) as error:
            raise PrepareError(
                f"{shown(path)}: not a readable Parquet file: {one_line(error, 200)}; save or"
                " download it again"
            ) from error


def _class_names(metadata: dict[bytes, bytes]) -> dict[str, Any]:
    """The names of classes by column, as the datasets library writes them."""
    try:
        features = json.loads(metadata[b"huggingface"])["info"]["features"]
        return {
            column: feature["names"]
            for column, feature in features.items()
            if isinstance(feature, dict) and feature.get("_type") == "ClassLabel"
        }
    except (KeyError, TypeError, ValueError, AttributeError):
        return {}


def _are_texts(names: Any) -> bool:
    """Whether names of classes are a list of texts."""
    return isinstance(names, list) and all(isinstance(name, str) for name in names)


def _class_name(names: list[str], value: Any) -> Any:
    """The name of a class; a value that numbers none stays as it is (-1 stands for no class)."""
    return names[value] if isinstance(value, int) and 0 <= value < len(names) else value
