"""A corpus turned into a token data set: one safetensors file per split, all examples end to end.

Tensors: `tokens` (U16, or U32 for vocabularies above 65 536), `offsets` (I64, one more than
examples; example i is tokens[offsets[i] ..< offsets[i + 1]]), and where the corpus has them
`labels` (I32) and `clients` (I32, the natural owner). Metadata, all strings: `label_names` and
`client_names` (JSON lists), `tokenizer`, `tokenizer_sha256`, `length`, `source`, `split`,
`dropped_empty`, `truncated`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from . import safetensors_file
from .errors import PrepareError
from .home import home, say, sha256_of

SPLITS = ("train", "validation", "test")
BATCH = 1000


@dataclass
class Corpus:
    """Texts by split, with the class and the owner of each where they are known."""

    source: str
    texts: dict[str, list[str]]
    labels: dict[str, list[str]] | None = None
    clients: dict[str, list[str]] | None = None
    sources: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class TokenizerDirectory:
    """A model directory's tokenizer, the hash of its file and how long a sequence it may make."""

    name: str
    path: Path
    sha256: str
    limit: int | None

    @classmethod
    def find(cls, name: str) -> TokenizerDirectory:
        """A path (with a slash or leading dot), or the name of a directory in $CELLM_HOME."""
        is_path = "/" in name or name.startswith(".")
        folder = Path(name).expanduser() if is_path else home() / name
        path = folder / "tokenizer.json"
        if not path.is_file():
            hint = "" if is_path else f"; prepare it first: python -m prepare {name}"
            raise PrepareError(f"no tokenizer.json in {folder}{hint}")
        limit = None
        config = folder / "config.json"
        if config.is_file():
            try:
                limit = json.loads(config.read_text("utf-8")).get("max_position_embeddings")
            except ValueError as error:
                raise PrepareError(f"{config}: no valid JSON: {error}") from error
        label = folder.resolve().name if is_path else name
        return cls(label, path, sha256_of(path), limit)

    def load(self, length: int | None) -> Tokenizer:
        """The tokenizer, cutting at `length` tokens (special ones kept), never padding."""
        if length is not None and length < 1:
            raise PrepareError(f"--length {length}: at least 1")
        if length is not None and self.limit is not None and length > self.limit:
            raise PrepareError(f"--length {length}: {self.name} takes at most {self.limit} tokens")
        try:
            tokenizer = Tokenizer.from_file(str(self.path))
        except Exception as error:  # the library raises plain Exception
            raise PrepareError(f"{self.path}: not a readable tokenizer: {error}") from error
        tokenizer.no_padding()
        tokenizer.no_truncation()
        if length is not None:
            special = tokenizer.num_special_tokens_to_add(False)
            if length <= special:
                raise PrepareError(f"--length {length}: {special} of it are special tokens")
            tokenizer.enable_truncation(length)
        return tokenizer


def held_out(seed: int, names: Iterable[str], count: int) -> list[bool]:
    """Which members of a group are held out: `count` of them, chosen by hash.

    Members are ordered by SHA-256 of "seed/name", so the choice depends on nothing but the seed and
    the names: not on the Python version, nor on a library's generator.
    """
    keys = [hashlib.sha256(f"{seed}/{name}".encode()).digest() for name in names]
    order = sorted(range(len(keys)), key=lambda index: (keys[index], index))
    chosen = set(order[:count])
    return [index in chosen for index in range(len(keys))]


def shares(sizes: dict[str, int], fraction: float) -> dict[str, int]:
    """How many of each group are held out, so that the sum is round(fraction * all).

    Each group gives the whole part of its share; the largest remainders, then the first names, give
    one more.
    """
    exact = {name: fraction * size for name, size in sizes.items()}
    given = {name: int(share + 1e-9) for name, share in exact.items()}
    rest = int(fraction * sum(sizes.values()) + 0.5) - sum(given.values())
    for name in sorted(exact, key=lambda name: (given[name] - exact[name], name))[:rest]:
        given[name] += 1
    return given


def split_off(corpus: Corpus, new: str, fraction: float, seed: int) -> None:
    """Moves a seeded fraction of `train` into a new split, stratified by label where there are any.

    Examples keep their order in both. At least one example stays in and one goes out.
    """
    texts = corpus.texts["train"]
    groups: dict[str, list[int]] = {}
    for index in range(len(texts)):
        label = corpus.labels["train"][index] if corpus.labels else ""
        groups.setdefault(label, []).append(index)
    counts = shares({label: len(members) for label, members in groups.items()}, fraction)
    out = [False] * len(texts)
    for label, members in groups.items():
        held = held_out(seed, (f"{new}/{index}" for index in members), counts[label])
        for index, chosen in zip(members, held):
            out[index] = chosen
    if not any(out) or all(out):
        raise PrepareError(f"{len(texts)} examples can't give a {new} split of {fraction:g}")
    for column in (corpus.texts, corpus.labels, corpus.clients):
        if column is not None:
            rows = column["train"]
            column[new] = [row for row, chosen in zip(rows, out) if chosen]
            column["train"] = [row for row, chosen in zip(rows, out) if not chosen]


def drop_empty(corpus: Corpus) -> dict[str, int]:
    """Removes texts without anything but white space; returns how many per split."""
    dropped = {}
    for split, texts in corpus.texts.items():
        keep = [bool(text.strip()) for text in texts]
        dropped[split] = keep.count(False)
        for column in (corpus.texts, corpus.labels, corpus.clients):
            if column is not None:
                column[split] = [row for row, kept in zip(column[split], keep) if kept]
    return dropped


def write(
    corpus: Corpus,
    dropped: dict[str, int],
    tokenizer: TokenizerDirectory,
    length: int | None,
    folder: Path,
    chunks: bool = False,
) -> dict[str, Any]:
    """Writes SPLIT.safetensors for every split; returns the counts that the manifest keeps.

    With `chunks`, what lies beyond `length` becomes further examples instead of being cut off.
    """
    engine = tokenizer.load(None if chunks else length)
    size = engine.get_vocab_size(with_added_tokens=True)
    dtype = "uint16" if size <= 1 << 16 else "uint32"
    label_names = _names(corpus.labels)
    client_names = _names(corpus.clients)
    counts: dict[str, Any] = {}
    for split in SPLITS:
        if split not in corpus.texts:
            continue
        rows, origin, truncated = _encode(engine, corpus.texts[split], length, chunks)
        lengths = np.array([len(row) for row in rows], dtype=np.int64)
        empty = int(np.count_nonzero(lengths == 0))
        if empty:  # not white space, yet the tokenizer makes nothing of it
            kept = [index for index in range(len(rows)) if lengths[index]]
            rows, origin = [rows[index] for index in kept], [origin[index] for index in kept]
            lengths = lengths[lengths > 0]
        if not rows:
            raise PrepareError(f"{corpus.source}: split {split} has no text in it")
        offsets = np.zeros(len(rows) + 1, dtype=np.int64)
        np.cumsum(lengths, out=offsets[1:])
        tensors = {
            "tokens": np.concatenate([np.array(row, dtype=dtype) for row in rows]),
            "offsets": offsets,
        }
        metadata = {
            "source": corpus.source,
            "split": split,
            "tokenizer": tokenizer.name,
            "tokenizer_sha256": tokenizer.sha256,
            "length": str(length) if length is not None else "unlimited",
            "dropped_empty": str(dropped.get(split, 0) + empty),
            "truncated": str(truncated),
        }
        for column, names, tensor in (
            (corpus.labels, label_names, "label"),
            (corpus.clients, client_names, "client"),
        ):
            if column is not None:
                number = {name: index for index, name in enumerate(names)}
                values = [number[column[split][index]] for index in origin]
                tensors[f"{tensor}s"] = np.array(values, dtype=np.int32)
                metadata[f"{tensor}_names"] = json.dumps(names, ensure_ascii=False)
        safetensors_file.write(
            folder / f"{split}.safetensors",
            {name: safetensors_file.Tensor.of(array) for name, array in tensors.items()},
            metadata,
        )
        counts[split] = {
            "examples": len(rows),
            "tokens": int(offsets[-1]),
            "dropped_empty": dropped.get(split, 0) + empty,
            "truncated": truncated,
        }
        say(
            f"  {split}: {len(rows)} examples, {int(offsets[-1])} tokens, {truncated} cut at "
            f"{metadata['length']}, {counts[split]['dropped_empty']} empty dropped"
        )
    return counts


def _names(column: dict[str, list[str]] | None) -> list[str]:
    """The distinct values of a column over all splits, in alphabetical order."""
    return sorted({name for rows in column.values() for name in rows}) if column else []


def _encode(
    engine: Tokenizer, texts: list[str], length: int | None, chunks: bool
) -> tuple[list[list[int]], list[int], int]:
    """Token ids of each example, the text each comes from, and how many texts were cut."""
    rows: list[list[int]] = []
    origin: list[int] = []
    truncated = 0
    for start in range(0, len(texts), BATCH):
        for number, encoding in enumerate(engine.encode_batch(texts[start : start + BATCH])):
            pieces = [encoding.ids]
            if chunks and length is not None:
                ids = encoding.ids
                pieces = [ids[at : at + length] for at in range(0, len(ids), length)] or [[]]
            elif encoding.overflowing:
                truncated += 1
            rows.extend(pieces)
            origin.extend([start + number] * len(pieces))
    return rows, origin, truncated
