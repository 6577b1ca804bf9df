"""A safetensors writer that streams: one tensor, or a part of it, is in memory at a time.

The same tensors give the same bytes every time.

Layout: 8 bytes header length (little endian), a JSON header padded with spaces to a multiple of
64, then the tensors end to end. Tensors are laid widest element first, so each is aligned to its
element. The `safetensors` library opens every file that was written, before it counts as good.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Callable

import numpy as np
from safetensors import SafetensorError, safe_open

from .errors import PrepareError, naming, shown

NAMES = {
    "float32": "F32",
    "int64": "I64",
    "int32": "I32",
    "uint32": "U32",
    "uint16": "U16",
    "uint8": "U8",
}


class Tensor:
    """A tensor to write: its element type and shape now, its values when its turn comes.

    Values are one array, or arrays that follow each other.
    """

    def __init__(
        self,
        dtype: str,
        shape: tuple[int, ...],
        values: Callable[[], np.ndarray | Iterable[np.ndarray]],
    ):
        self.dtype = np.dtype(dtype)
        self.shape = tuple(int(size) for size in shape)
        self.values = values
        self.bytes = self.dtype.itemsize * int(np.prod(self.shape, dtype=np.int64))

    @classmethod
    def of(cls, array: np.ndarray) -> Tensor:
        """A tensor whose values are there already."""
        return cls(str(array.dtype), array.shape, lambda: array)


def write(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Writes tensors and string metadata; checks the file by opening it."""
    order = sorted(tensors, key=lambda name: -tensors[name].dtype.itemsize)
    header: dict[str, object] = {"__metadata__": dict(metadata)}
    position = 0
    for name in order:
        tensor = tensors[name]
        header[name] = {
            "dtype": NAMES[tensor.dtype.name],
            "shape": list(tensor.shape),
            "data_offsets": [position, position + tensor.bytes],
        }
        position += tensor.bytes
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode("utf-8")
    text += b" " * (-(len(text) + 8) % 64)
    with naming(path), open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little"))
        file.write(text)
        for name in order:
            tensor = tensors[name]
            values, written = tensor.values(), 0
            for part in [values] if isinstance(values, np.ndarray) else values:
                if part is values and part.shape != tensor.shape:
                    raise PrepareError(f"{name}: shape {part.shape}, announced as {tensor.shape}")
                part = np.ascontiguousarray(part, dtype=tensor.dtype.newbyteorder("<"))
                written += file.write(part.reshape(-1).view(np.uint8).data)
            if written != tensor.bytes:
                raise PrepareError(f"{name}: {written} bytes, announced as {tensor.bytes}")
    _check(path, set(tensors))


def _check(path: Path, names: set[str]) -> None:
    """Opens a file with the library. Raises PrepareError where it lists other tensors."""
    try:
        # By its descriptor: the library does not say why it cannot open a path.
        with naming(path), open(path, "rb") as file:
            with safe_open(f"/proc/self/fd/{file.fileno()}", framework="numpy") as opened:
                found = set(opened.keys())
    except SafetensorError as error:
        raise PrepareError(f"{shown(path)}: written file does not open: {error}") from error
    if found != names:
        raise PrepareError(f"{shown(path)}: written file lists other tensors")
