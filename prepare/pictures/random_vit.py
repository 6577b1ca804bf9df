"""ViT with random weights, for runs that train a whole model from the start.

The layout and the initialization are those of transformers' ViTForImageClassification (Dosovitskiy
et al., arXiv 2010.11929): weights from a normal distribution of deviation 0.02, biases 0, norms 1.
(transformers cuts that distribution at -2 and 2, a hundred deviations away, so in effect nowhere.)
Width, blocks and heads default to those of ViT-Tiny (Touvron et al., arXiv 2012.12877, table 1).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .. import safetensors_file
from ..errors import USAGE, PrepareError
from ..options import natural
from ..publishing import publish

RECIPE = 2
"""Raise it when the files change, so that older ones are made anew."""
DEVIATION = 0.02
LARGEST = 4096


@dataclass(frozen=True)
class Shape:
    """The sizes of a ViT."""

    image_size: int
    patch_size: int
    channels: int
    width: int = 192
    blocks: int = 12
    heads: int = 3

    def check(self) -> None:
        """Raises PrepareError where the sizes do not fit each other, or corpora of images."""
        if self.image_size > LARGEST:
            raise PrepareError(f"--size {self.image_size}: at most {LARGEST} is known", USAGE)
        if self.channels not in (1, 3):
            raise PrepareError(f"--channels {self.channels}: 1 or 3 are known", USAGE)
        if self.image_size % self.patch_size:
            raise PrepareError(
                f"--size {self.image_size} is no multiple of --patch-size {self.patch_size}", USAGE
            )
        if self.width % self.heads:
            raise PrepareError(
                f"--width {self.width} is no multiple of --heads {self.heads}", USAGE
            )

    def configuration(self) -> dict[str, Any]:
        """config.json."""
        return {
            "architectures": ["ViTForImageClassification"],
            "attention_probs_dropout_prob": 0.0,
            "encoder_stride": self.patch_size,
            "hidden_act": "gelu",
            "hidden_dropout_prob": 0.0,
            "hidden_size": self.width,
            "image_size": self.image_size,
            "initializer_range": DEVIATION,
            "intermediate_size": 4 * self.width,
            "layer_norm_eps": 1e-12,
            "model_type": "vit",
            "num_attention_heads": self.heads,
            "num_channels": self.channels,
            "num_hidden_layers": self.blocks,
            "patch_size": self.patch_size,
            "qkv_bias": True,
            "torch_dtype": "float32",
        }

    def tensors(self) -> dict[str, tuple[int, ...]]:
        """The tensors of the files, in the order in which their values are drawn."""
        width, patch = self.width, self.patch_size
        tokens = (self.image_size // patch) ** 2 + 1
        found: dict[str, tuple[int, ...]] = {
            "vit.embeddings.cls_token": (1, 1, width),
            "vit.embeddings.position_embeddings": (1, tokens, width),
            "vit.embeddings.patch_embeddings.projection.weight": (
                width,
                self.channels,
                patch,
                patch,
            ),
            "vit.embeddings.patch_embeddings.projection.bias": (width,),
        }
        for block in range(self.blocks):
            path = f"vit.encoder.layer.{block}."
            for module, outputs, inputs in (
                ("attention.attention.query", width, width),
                ("attention.attention.key", width, width),
                ("attention.attention.value", width, width),
                ("attention.output.dense", width, width),
                ("intermediate.dense", 4 * width, width),
                ("output.dense", width, 4 * width),
            ):
                found[f"{path}{module}.weight"] = (outputs, inputs)
                found[f"{path}{module}.bias"] = (outputs,)
            for norm in ("layernorm_before", "layernorm_after"):
                found[f"{path}{norm}.weight"] = (width,)
                found[f"{path}{norm}.bias"] = (width,)
        found["vit.layernorm.weight"] = (width,)
        found["vit.layernorm.bias"] = (width,)
        return found


def values(name: str, shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
    """The values of a tensor: norms 1, biases 0, all others from the normal distribution."""
    if name.endswith(".bias"):
        return np.zeros(shape, np.float32)
    if "layernorm" in name:
        return np.ones(shape, np.float32)
    drawn = generator.standard_normal(int(np.prod(shape)))
    return (DEVIATION * drawn).astype(np.float32).reshape(shape)


def prepare(name: str, shape: Shape, seed: int, replace: bool = False) -> Path:
    """Makes the model directory `$CELLM_HOME/name`."""
    shape.check()
    if seed < 0:
        raise PrepareError(f"--seed {seed} is below 0", USAGE)

    def make(folder: Path) -> dict[str, Any]:
        generator = np.random.Generator(np.random.Philox(seed))
        tensors = {
            tensor: safetensors_file.Tensor.of(values(tensor, size, generator))
            for tensor, size in shape.tensors().items()
        }
        safetensors_file.write(folder / "model.safetensors", tensors, {"format": "pt"})
        text = json.dumps(shape.configuration(), indent=2) + "\n"
        (folder / "config.json").write_text(text, encoding="utf-8")
        parameters = sum(tensor.bytes // 4 for tensor in tensors.values())
        source = {"weights": "random", "seed": seed, "licence": "none is needed"}
        return {"sources": [source], "counts": {"parameters": parameters}}

    request = {"recipe": RECIPE, "seed": seed, **asdict(shape)}
    return publish(name, request, make, replace)


def add(command: Callable[[str, str], argparse.ArgumentParser]) -> None:
    """Adds the command `vit`; `command` adds one by its name and help."""
    added = command("vit", "a ViT with random weights, to be trained from the start")
    added.add_argument("--name", required=True, help="name of the model")
    for option, default, what in (
        ("--size", 224, "rows and columns of an image"),
        ("--patch-size", 16, "rows and columns of a patch"),
        ("--channels", 3, "channels of an image: 3, or 1 for grey"),
        ("--width", 192, "channels of a token"),
        ("--blocks", 12, "blocks"),
        ("--heads", 3, "heads of attention"),
    ):
        text = f"{what} (default {default})"
        added.add_argument(option, type=natural, default=default, help=text)
    added.add_argument("--seed", type=int, default=0, help="of the weights (default 0)")


def run(arguments: argparse.Namespace) -> None:
    """Makes the model that a command line asks for."""
    shape = Shape(
        arguments.size,
        arguments.patch_size,
        arguments.channels,
        arguments.width,
        arguments.blocks,
        arguments.heads,
    )
    prepare(arguments.name, shape, arguments.seed, arguments.replace)
