"""Blocks of 32 weights by the Python package gguf, whose rounding is ggml's reference.

    python Tests/Goldens/blocks/make_block_goldens.py      # writes blocks.json beside this file

Needs gguf and numpy (prepare/requirements.txt). Floats are written as their bits.
"""

import json
from pathlib import Path

import gguf
import numpy as np


def main() -> None:
    random = np.random.default_rng(7)
    rows = [
        random.standard_normal(96),
        random.standard_normal(96) * 0.02,
        np.concatenate([np.zeros(32), np.ones(32), -np.ones(32)]),
        np.concatenate([random.standard_normal(32) * 1e-7, random.standard_normal(32) * 1e4, np.arange(32) - 3.0]),
        random.uniform(2, 3, 96),
        np.round(random.standard_normal(96) * 8) / 8,
    ]
    weights = np.array(rows, dtype=np.float32)
    golden = {"shape": list(weights.shape), "weights": bits(weights)}
    for name in ["Q8_0", "Q4_0", "Q4_1"]:
        kind = gguf.GGMLQuantizationType[name]
        blocks = gguf.quants.quantize(weights, kind)
        golden[name.lower()] = {
            "blocks": blocks.tobytes().hex(),
            "widened": bits(gguf.quants.dequantize(blocks, kind)),
        }
    Path(__file__).with_name("blocks.json").write_text(json.dumps(golden, indent=1) + "\n")


def bits(values: np.ndarray) -> str:
    return np.ascontiguousarray(values, dtype="<f4").tobytes().hex()


main()
