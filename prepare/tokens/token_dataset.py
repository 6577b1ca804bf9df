"""A corpus turned into a token data set: one safetensors file per split, all examples end to end.

Tensors: `tokens` (U16, or U32 for vocabularies above 65 536), `offsets` (I64, one more than
examples; example i is tokens[offsets[i] ..< offsets[i + 1]]), and where the corpus has them
`labels` (I32), `label_sets` (U8, examples by labels), `scores` (F32), `clients` (I32, the natural
owner) and `loss` (U8, 1 for the tokens of answers). Metadata, all strings: `label_names` and
`client_names` (JSON lists), `tokenizer`, `tokenizer_sha256`, `length`, `source`, `split`,
`dropped_empty`, `truncated`, and `tokenizer_settings` where tokenizer.json is not all that counts.
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

from .. import safetensors_file
from .chat_template import Piece
from ..tables.conversation import Conversation
from ..errors import PrepareError
from ..home import say
from ..names import all_names, say_clients, say_labels
from ..pictures.picture import Picture
from .tokenizer_directory import TokenizerDirectory, library_errors
from .tokenizer_settings import unknown_fields

SPLITS = ("train", "validation", "test")
BATCH = 1000


@dataclass
class Corpus:
    """Texts by split, and the class, the owner, the answer and so on of each, where they are known.

    All splits have labels or none has; a split beside train may lack clients. `class_names` are the
    classes in their order, if that is not the order of their names. The texts of pictures are where
    they come from.
    """

    source: str
    texts: dict[str, list[str]]
    labels: dict[str, list[str]] | None = None
    clients: dict[str, list[str]] | None = None
    answers: dict[str, list[str]] | None = None
    systems: dict[str, list[str]] | None = None
    label_sets: dict[str, list[list[str]]] | None = None
    scores: dict[str, list[float]] | None = None
    messages: dict[str, list[Conversation]] | None = None
    pictures: dict[str, list[Picture]] | None = None
    class_names: list[str] | None = None
    pieces: dict[str, list[list[Piece]]] | None = None
    sources: list[dict[str, Any]] = field(default_factory=list)

    @property
    def columns(self) -> list[dict[str, list]]:
        """All that examples have."""
        found = (
            self.texts,
            self.labels,
            self.clients,
            self.answers,
            self.systems,
            self.label_sets,
            self.scores,
            self.messages,
            self.pictures,
            self.pieces,
        )
        return [column for column in found if column is not None]


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


def split_off(
    corpus: Corpus, new: str, fraction: float, seed: int, by_client: bool = False
) -> None:
    """Moves a seeded fraction of `train` into a new split: of the examples, stratified by label
    where there are any, or of the clients with all their examples.

    Examples keep their order in both. At least one example stays in and one goes out.
    """
    texts = corpus.texts["train"]
    if by_client:
        owners = corpus.clients["train"]
        names = sorted(set(owners))
        chosen = held_out(
            seed, (f"{new}/{name}" for name in names), int(fraction * len(names) + 0.5)
        )
        held = {name for name, is_held in zip(names, chosen) if is_held}
        _move(corpus, new, [owner in held for owner in owners], fraction)
        return
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
    _move(corpus, new, out, fraction)


def _move(corpus: Corpus, new: str, out: list[bool], fraction: float) -> None:
    """Moves the examples of `train` that are `out` into a new split."""
    if not any(out) or all(out):
        raise PrepareError(f"{len(out)} examples can't give a {new} split of {fraction:g}")
    for column in corpus.columns:
        rows = column["train"]
        column[new] = [row for row, chosen in zip(rows, out) if chosen]
        column["train"] = [row for row, chosen in zip(rows, out) if not chosen]


def split_fractions(
    corpus: Corpus, fractions: dict[str, float], seed: int, by_client: bool = False
) -> None:
    """Splits off each fraction of the whole; a later split is cut off what earlier ones left."""
    left = 1.0
    for split, fraction in fractions.items():
        if fraction > 0:
            split_off(corpus, split, fraction / left, seed, by_client)
            left -= fraction


def drop_empty(corpus: Corpus) -> dict[str, int]:
    """Removes texts and answers without anything but white space; returns how many per split."""
    dropped = {}
    for split, texts in corpus.texts.items():
        answers = corpus.answers[split] if corpus.answers else texts
        keep = [bool(text.strip() and answer.strip()) for text, answer in zip(texts, answers)]
        dropped[split] = keep.count(False)
        for column in corpus.columns:
            if split in column:
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

    With `chunks`, what lies beyond `length` becomes further examples instead of being cut off; each
    has the special tokens of its own.
    """
    engine = tokenizer.load(length)
    unknown = unknown_fields(tokenizer.config)
    if unknown:
        say(
            f"  tokenizer_config.json: fields that are not known and not used: {', '.join(unknown)}"
        )
    if tokenizer.changes:
        say(f"  tokenizer_config.json changes {', '.join(tokenizer.changes)} of tokenizer.json")
    numbers = [*engine.get_vocab(with_added_tokens=True).values(), 0]
    dtype = "uint16" if max(numbers) < 1 << 16 else "uint32"
    counts: dict[str, Any] = {}
    for split in SPLITS:
        if split in corpus.texts:
            if corpus.pieces is None:
                examples = Examples.of(engine, tokenizer.path, corpus.texts[split], chunks)
            else:
                pieces = corpus.pieces[split]
                examples = Examples.of_pieces(engine, tokenizer.path, pieces, length)
            if not examples.rows:
                raise PrepareError(f"{corpus.source}: split {split} has no text in it")
            empty = dropped.get(split, 0) + examples.empty
            metadata = {
                "source": corpus.source,
                "split": split,
                "tokenizer": tokenizer.name,
                "tokenizer_sha256": tokenizer.sha256,
                "length": str(length) if length is not None else "unlimited",
                "dropped_empty": str(empty),
                "truncated": str(examples.truncated),
            }
            if tokenizer.changes:
                metadata["tokenizer_settings"] = json.dumps(tokenizer.changes)
            tensors = _tensors(corpus, split, examples, dtype, metadata)
            safetensors_file.write(folder / f"{split}.safetensors", tensors, metadata)
            counts[split] = {
                "examples": len(examples.rows),
                "tokens": sum(map(len, examples.rows)),
                "dropped_empty": empty,
                "truncated": examples.truncated,
            }
            say(
                f"  {split}: {len(examples.rows)} examples, {counts[split]['tokens']} tokens, "
                f"{examples.truncated} cut at {metadata['length']}, {empty} empty dropped"
                + (f", {examples.too_long} too long dropped" if examples.too_long else "")
            )
    if corpus.labels is not None:
        say_labels(corpus.labels)
    if corpus.clients is not None:
        say_clients(corpus.clients)
    return counts


def _tensors(
    corpus: Corpus, split: str, examples: Examples, dtype: str, metadata: dict[str, str]
) -> dict[str, safetensors_file.Tensor]:
    """The tensors of one split; puts the names of classes and clients into the metadata."""
    offsets = np.zeros(len(examples.rows) + 1, dtype=np.int64)
    np.cumsum([len(row) for row in examples.rows], out=offsets[1:])
    tensors = {
        "tokens": np.concatenate([np.array(row, dtype=dtype) for row in examples.rows]),
        "offsets": offsets,
    }
    if examples.marks is not None:
        tensors["loss"] = np.concatenate([np.array(row, dtype="uint8") for row in examples.marks])
    tensors.update(name_tensors(corpus, split, examples.origin, metadata))
    if corpus.label_sets is not None:
        known = sorted(
            {name for rows in corpus.label_sets.values() for row in rows for name in row}
        )
        rows = [corpus.label_sets[split][index] for index in examples.origin]
        tensors["label_sets"] = np.array(
            [[name in row for name in known] for row in rows], dtype="uint8"
        )
        metadata["label_names"] = json.dumps(known, ensure_ascii=False)
    if corpus.scores is not None:
        scores = [corpus.scores[split][index] for index in examples.origin]
        tensors["scores"] = np.array(scores, dtype="float32")
    return {name: safetensors_file.Tensor.of(array) for name, array in tensors.items()}


def name_tensors(
    corpus: Corpus, split: str, origin: Iterable[int], metadata: dict[str, str]
) -> dict[str, np.ndarray]:
    """The numbers of classes and clients of one split; puts their names into the metadata.

    `origin` has the row of the corpus that each example comes from.
    """
    rows, tensors = list(origin), {}
    for purpose, column, order in (
        ("label", corpus.labels, corpus.class_names),
        ("client", corpus.clients, None),
    ):
        if column is not None and split in column:
            known = order or all_names(column)
            number = {name: index for index, name in enumerate(known)}
            values = [number[column[split][index]] for index in rows]
            tensors[f"{purpose}s"] = np.array(values, dtype=np.int32)
            metadata[f"{purpose}_names"] = json.dumps(known, ensure_ascii=False)
    return tensors


@dataclass
class Examples:
    """Token ids of the examples, the text each comes from, and the texts cut or without tokens;
    with answers also 1 for each token of an answer, and the examples left out as too long.
    """

    rows: list[list[int]]
    origin: list[int]
    truncated: int
    empty: int
    marks: list[list[int]] | None = None
    too_long: int = 0

    @classmethod
    def of_pieces(
        cls, engine: Tokenizer, path: Path, rows: list[list[Piece]], length: int | None
    ) -> Examples:
        """The examples of texts in pieces, without special tokens but those in the texts.

        The pieces before an answer have the tokens that they have alone: a model that is to answer
        gets these. What is longer than `length` is left out: a cut answer would teach to stop.
        """
        engine.no_truncation()
        made = cls([], [], 0, 0, marks=[])

        def encode(texts: list[str]) -> list[list[int]]:
            with library_errors(path):
                found = engine.encode_batch(texts, add_special_tokens=False)
            return [encoding.ids for encoding in found]

        for start in range(0, len(rows), BATCH):
            part = rows[start : start + BATCH]
            tokens: list[list[int]] = [[] for _ in part]
            marks: list[list[int]] = [[] for _ in part]
            for turn in range(max(map(len, part))):
                numbers = [number for number, row in enumerate(part) if turn < len(row)]
                texts = ["".join(piece.text for piece in part[n][: turn + 1]) for n in numbers]
                alone = encode([part[number][turn].text for number in numbers])
                for number, whole, new in zip(numbers, encode(texts), alone):
                    if whole[: len(tokens[number])] == tokens[number]:
                        new = whole[len(tokens[number]) :]
                    tokens[number] += new
                    marks[number] += [int(part[number][turn].is_answer)] * len(new)
            for number, (ids, counted) in enumerate(zip(tokens, marks)):
                if not any(counted) or counted[0]:
                    made.empty += 1
                elif length is not None and len(ids) > length:
                    made.too_long += 1
                else:
                    made.rows.append(ids)
                    made.marks.append(counted)
                    made.origin.append(start + number)
        return made

    @classmethod
    def of(cls, engine: Tokenizer, path: Path, texts: list[str], chunks: bool) -> Examples:
        """The examples of texts in the tokens of `path`; `chunks` as for `write`."""
        made = cls([], [], 0, 0)
        for start in range(0, len(texts), BATCH):
            with library_errors(path):
                encodings = engine.encode_batch(texts[start : start + BATCH])
            for number, encoding in enumerate(encodings):
                pieces = [encoding, *encoding.overflowing] if chunks else [encoding]
                if encoding.overflowing and not chunks:
                    made.truncated += 1
                if not encoding.ids:  # not white space, yet the tokenizer makes nothing of it
                    made.empty += 1
                    continue
                made.rows.extend(piece.ids for piece in pieces)
                made.origin.extend([start + number] * len(pieces))
        return made
