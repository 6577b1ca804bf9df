"""A model of the hub as a directory in $CELLM_HOME: configuration, tokenizer and safetensors."""

from __future__ import annotations

import fnmatch
import os
import shutil
from pathlib import Path
from typing import Any

from . import hub
from .. import models
from ..errors import USAGE, PrepareError
from ..home import check_name, home
from .hub import Repository
from ..publishing import publish, read_manifest
from ..tokens.tokenizer_directory import read_json

RECIPE = 1
CONFIG, WEIGHTS, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"
OTHERS = (
    "generation_config.json",
    "preprocessor_config.json",
    "tokenizer*",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.*",
    "merges.txt",
    "chat_template*",
    "README.md",
    "LICENSE*",
)
"""What is taken beside the configuration and the weights; no weights of other formats."""
LINKED_BYTES = 1 << 24


def names_of(repository: Repository) -> list[str]:
    """The files of a model directory. Raises PrepareError where a repository is none."""
    there = [name for name in repository.files if "/" not in name]
    if CONFIG not in there:
        raise PrepareError(
            f"{repository.name} has no {CONFIG}, so it is no model as transformers saves it; for a"
            " data set give --kind dataset"
        )
    if INDEX in there:
        parts = read_json(repository.fetch([INDEX])[INDEX]).get("weight_map")
        if not isinstance(parts, dict) or not all(isinstance(p, str) for p in parts.values()):
            raise PrepareError(f"{repository.name}: {INDEX} has no weight_map of file names")
        weights = [INDEX, *sorted(set(parts.values()))]
    elif WEIGHTS in there:
        weights = [WEIGHTS]
    else:
        others = [name for name in there if name.endswith((".bin", ".pt", ".safetensors", ".gguf"))]
        raise PrepareError(
            f"{repository.name} has no {WEIGHTS} (there are: {', '.join(others) or 'no weights'});"
            " choose a --revision that has one, or another repository"
        )
    absent = [name for name in weights if name not in there]
    if absent:
        raise PrepareError(f"{repository.name} has no {absent[0]}, which {INDEX} names")
    others = [name for name in there if any(fnmatch.fnmatch(name, part) for part in OTHERS)]
    return sorted({CONFIG, *weights, *others})


def prepare(name: str, revision: str | None, folder: str | None, replace: bool) -> Path:
    """FOLDER, or the repository's own name: its files byte for byte."""
    folder = folder or name.rsplit("/", 1)[-1]
    check_name(folder)
    if folder in models.MODELS:
        raise PrepareError(f"{folder} is the name of another model; give --name", USAGE)
    earlier = read_manifest(home() / folder).get("request", {})
    if revision is None and not replace and earlier.get("repository") == name:
        # What was prepared once stays at its commit, and needs no network.
        commit, found = earlier["revision"], None
    else:
        found = hub.resolve(name, "model", revision)
        commit = found.commit

    def make(target: Path) -> dict[str, Any]:
        repository = found or hub.resolve(name, "model", commit)
        names = names_of(repository)
        for member, path in repository.fetch(names).items():
            _place(path.resolve(), target / member)
        return {"sources": [repository.source(names)]}

    request = {"recipe": RECIPE, "repository": name, "revision": commit}
    return publish(folder, request, make, replace)


def _place(source: Path, target: Path) -> None:
    """Copies a file; a large one is linked, so that it takes no space of its own."""
    if source.stat().st_size >= LINKED_BYTES:
        try:
            os.link(source, target)
            return
        except OSError:
            pass  # another file system, or one without links
    shutil.copyfile(source, target)
