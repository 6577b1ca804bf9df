"""Questions with several answers, from JSON lines or CSV, as a token data set for multiple choice.

A choice is the question, a space and one answer, tokenized as lm-evaluation-harness does it: the
tokens of the answer are those of the whole behind the tokens that the question has alone.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from .. import safetensors_file
from ..tokens import token_dataset
from ..errors import PrepareError, shown
from ..home import say
from ..names import all_names
from .text_file import publish_files
from ..tokens.token_dataset import Corpus
from ..tokens.tokenizer_directory import TokenizerDirectory, library_errors

RECIPE = 1


def right_one(choices: list[str], answer: str, where: str) -> int:
    """The number of the right choice, given by its text, its letter or its number from 0."""
    if answer in choices:
        return choices.index(answer)
    letter = "ABCDEFGHIJKLMNOPQRSTUVWXYZ".find(answer) if len(answer) == 1 else -1
    number = int(answer) if answer.isdecimal() else letter
    if not 0 <= number < len(choices):
        raise PrepareError(
            f"{where}: the answer {shown(answer)} is none of {len(choices)} choices, by text,"
            " letter or number from 0; correct it"
        )
    return number


def tokens_of(engine: Tokenizer, question: str, choice: str) -> tuple[list[int], int]:
    """The tokens of a choice, and how many of them are the question's."""
    context = question.rstrip()
    rest = question[len(context) :] + " " + choice
    alone = engine.encode(context, add_special_tokens=False).ids
    whole = engine.encode(context + rest, add_special_tokens=False).ids
    return whole, min(len(alone), len(whole) - 1)


def write(
    corpus: Corpus, tokenizer: TokenizerDirectory, length: int | None, folder: Path
) -> dict[str, Any]:
    """Writes SPLIT.safetensors for every split; returns the counts that the manifest keeps."""
    engine = tokenizer.load(length)
    engine.no_truncation()
    counts: dict[str, Any] = {}
    for split in token_dataset.SPLITS:
        if split not in corpus.texts:
            continue
        columns: dict[str, list[int]] = {
            name: []
            for name in (
                "tokens",
                "loss",
                "labels",
                "choice_counts",
                "choice_lengths",
                "choice_characters",
            )
        }
        offsets, kept, too_long = [0], [], 0
        for index, question in enumerate(corpus.texts[split]):
            where = f"example {index + 1} of {split}"
            choices = corpus.label_sets[split][index]
            if len(choices) < 2:
                raise PrepareError(f"{where}: {len(choices)} choice; at least 2 are needed")
            right = right_one(choices, corpus.answers[split][index], where)
            with library_errors(tokenizer.path):
                rows = [tokens_of(engine, question, choice) for choice in choices]
            total = sum(len(row) for row, _ in rows)
            if length is not None and total > length:
                too_long += 1
                continue
            for (row, context), choice in zip(rows, choices):
                columns["tokens"] += row
                columns["loss"] += [0] * context + [1] * (len(row) - context)
                columns["choice_lengths"].append(len(row))
                columns["choice_characters"].append(len(choice))
            columns["labels"].append(right)
            columns["choice_counts"].append(len(choices))
            offsets.append(len(columns["tokens"]))
            kept.append(index)
        if not kept:
            raise PrepareError(f"split {split} has no example of at most {length} tokens")
        vocabulary = max([*engine.get_vocab(with_added_tokens=True).values(), 0])
        types = {"tokens": "uint16" if vocabulary < 1 << 16 else "uint32", "loss": "uint8"}
        tensors = {
            name: np.array(values, dtype=types.get(name, "int32"))
            for name, values in columns.items()
        }
        tensors["offsets"] = np.array(offsets, dtype=np.int64)
        metadata = {
            "source": corpus.source,
            "split": split,
            "tokenizer": tokenizer.name,
            "tokenizer_sha256": tokenizer.sha256,
            "length": str(length) if length is not None else "unlimited",
            "truncated": "0",
        }
        if corpus.clients is not None and split in corpus.clients:
            known = all_names(corpus.clients)
            owners = [known.index(corpus.clients[split][index]) for index in kept]
            tensors["clients"] = np.array(owners, dtype=np.int32)
            metadata["client_names"] = json.dumps(known, ensure_ascii=False)
        safetensors_file.write(
            folder / f"{split}.safetensors",
            {name: safetensors_file.Tensor.of(array) for name, array in tensors.items()},
            metadata,
        )
        counts[split] = {"examples": len(kept), "tokens": offsets[-1], "too_long": too_long}
        say(
            f"  {split}: {len(kept)} examples, {len(columns['choice_lengths'])} choices,"
            f" {offsets[-1]} tokens, {too_long} too long dropped"
        )
    return counts


def prepare(tokenizer: TokenizerDirectory, length: int | None, **options: Any) -> Path:
    """NAME: `columns` has `text` (the question), `labels` (the choices) and `answer`."""

    def make(corpus: Corpus, dropped: dict[str, int], folder: Path) -> dict[str, Any]:
        return write(corpus, tokenizer, length, folder)

    return publish_files(
        tokenizer=tokenizer, length=length, request={"recipe": RECIPE}, write=make, **options
    )
