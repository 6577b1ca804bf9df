"""What several checks need: a home folder of their own, a tiny tokenizer, the command line."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import numpy as np
from safetensors import safe_open
from tokenizers import Tokenizer, models, pre_tokenizers, processors

ROOT = Path(__file__).resolve().parents[2]
WORDS = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "red", "green", "blue", "one", "two"]


class HomeTestCase(unittest.TestCase):
    """A check with an empty $CELLM_HOME whose path has a space in it."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory(prefix="cellm home ")
        self.addCleanup(folder.cleanup)
        self.home = Path(folder.name)
        change = mock.patch.dict(os.environ, {"CELLM_HOME": folder.name})
        change.start()
        self.addCleanup(change.stop)
        self.output = io.StringIO()
        quiet = contextlib.redirect_stdout(self.output)
        quiet.__enter__()
        self.addCleanup(quiet.__exit__, None, None, None)

    def make_tokenizer(self, name: str = "tiny", special: bool = True, limit: int = 16) -> Path:
        """A word tokenizer as a model directory; with [CLS] ... [SEP] around each text or bare."""
        vocabulary = {word: index for index, word in enumerate(WORDS)}
        tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
        tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
        if special:
            tokenizer.post_processor = processors.TemplateProcessing(
                single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
            )
            # As published sentence encoders have it: a padding that must not get into the data.
            tokenizer.enable_padding(length=8)
        folder = self.home / name
        folder.mkdir()
        tokenizer.save(str(folder / "tokenizer.json"))
        (folder / "config.json").write_text(json.dumps({"max_position_embeddings": limit}))
        return folder


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
    """python -m prepare ARGUMENTS in a process of its own, without any package index."""
    return subprocess.run(
        command(*arguments), capture_output=True, text=True, env=offline(environment)
    )


def command(*arguments: str) -> list[str]:
    """The command line of a call."""
    return [sys.executable, "-m", "prepare", *arguments]


def offline(environment: dict[str, str]) -> dict[str, str]:
    """This process's environment, with pip kept from every index."""
    base = {**os.environ, "PYTHONPATH": str(ROOT), "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": ""}
    return {**base, **environment}


def load(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """All tensors and the metadata of a file."""
    with safe_open(str(path), "numpy") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata()
