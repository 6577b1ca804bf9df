"""Prompts and their answers, from JSON lines or CSV, as a token data set for instruction tuning."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from . import token_dataset
from .chat_template import ChatTemplate
from .text_file import publish_files
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
    tokenizer: TokenizerDirectory, length: int | None, is_plain: bool, **options: Any
) -> Path:
    """NAME: `columns` has `text` (the prompt) and `answer`, and may have `system` and `client`."""
    tokenizer.load(length)
    template = ChatTemplate(tokenizer, is_plain)

    def make(corpus: Corpus, dropped: dict[str, int], folder: Path) -> dict[str, Any]:
        return write(corpus, template, tokenizer, length, folder, dropped)

    request = {"recipe": RECIPE, **template_request(template)}
    return publish_files(tokenizer=tokenizer, length=length, request=request, write=make, **options)
