"""Prompts and their answers, from JSON lines or CSV, as a token data set for instruction tuning."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from . import token_dataset
from .chat_template import ChatTemplate
from .errors import PrepareError, shown
from .home import sha256_of
from .publishing import publish
from .table_file import require_file
from .text_file import fold_names, read_corpus
from .token_dataset import Corpus
from .tokenizer_directory import TokenizerDirectory

RECIPE = 1


def render(corpus: Corpus, template: ChatTemplate) -> None:
    """Replaces prompts and answers by what the template makes of them."""
    for split, prompts in corpus.texts.items():
        for index, (prompt, answer) in enumerate(zip(prompts, corpus.answers[split])):
            messages = [{"role": "user", "content": prompt}]
            if corpus.systems is not None and corpus.systems[split][index]:
                messages.insert(0, {"role": "system", "content": corpus.systems[split][index]})
            rendered = template.split(messages, answer)
            corpus.texts[split][index], corpus.answers[split][index] = rendered


def write(
    corpus: Corpus,
    template: ChatTemplate,
    tokenizer: TokenizerDirectory,
    length: int | None,
    folder: Path,
    dropped: dict[str, int],
) -> dict[str, Any]:
    """Renders and writes all splits; returns the counts that the manifest keeps."""
    render(corpus, template)
    return token_dataset.write(corpus, dropped, tokenizer, length, folder)


def template_request(template: ChatTemplate) -> dict[str, str]:
    """What a request says of a template."""
    digest = hashlib.sha256(template.source.encode()).hexdigest()
    return {"template_sha256": digest, "end": template.tokens["eos_token"]}


def prepare(
    files: dict[str, Path],
    columns: dict[str, str],
    tokenizer: TokenizerDirectory,
    length: int | None,
    name: str,
    fractions: dict[str, float],
    seed: int,
    by_client: bool,
    is_plain: bool,
    replace: bool,
) -> Path:
    """NAME: `columns` has `text` (the prompt) and `answer`, and may have `system` and `client`."""
    tokenizer.load(length)
    template = ChatTemplate(tokenizer, is_plain)
    for path in files.values():
        require_file(path)
    hashes = {split: sha256_of(path) for split, path in files.items()}

    def make(folder: Path) -> dict[str, Any]:
        corpus = read_corpus(files, columns)
        for split, path in files.items():
            if sha256_of(path) != hashes[split]:
                raise PrepareError(
                    f"{shown(path)}: it changed while it was read; type the same command again"
                )
        dropped = token_dataset.drop_empty(corpus)
        fold_names(corpus)
        token_dataset.split_fractions(corpus, fractions, seed, by_client)
        counts = write(corpus, template, tokenizer, length, folder, dropped)
        sources = [
            {"file": shown(path.absolute()), "sha256": hashes[split], "licence": "the owner's"}
            for split, path in files.items()
        ]
        return {"sources": sources, "counts": counts}

    request = {
        "recipe": RECIPE,
        "files": hashes,
        "columns": columns,
        **tokenizer.request,
        **template_request(template),
        "length": length,
        "fractions": fractions,
        "seed": seed,
        **({"split_by": "client"} if by_client else {}),
    }
    return publish(name, request, make, replace)


