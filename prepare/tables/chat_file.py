"""Prompts with answers, or conversations, as a token data set for instruction tuning."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from ..tokens import token_dataset
from ..tokens.chat_template import ChatTemplate
from .conversation import Conversation
from ..errors import PrepareError
from .text_file import publish_files
from ..tokens.token_dataset import Corpus
from ..tokens.tokenizer_directory import TokenizerDirectory

RECIPE = 1


def conversation(corpus: Corpus, split: str, index: int) -> Conversation:
    """The messages of an example, the system prompt first where there is one."""
    if corpus.messages is not None:
        messages = list(corpus.messages[split][index])
    else:
        messages = [
            {"role": "user", "content": corpus.texts[split][index]},
            {"role": "assistant", "content": corpus.answers[split][index]},
        ]
    system = corpus.systems[split][index] if corpus.systems is not None else ""
    if system and messages[0]["role"] != "system":
        messages.insert(0, {"role": "system", "content": system})
    return messages


def render(corpus: Corpus, template: ChatTemplate) -> None:
    """Adds what the template makes of the conversations."""
    corpus.pieces = {split: [] for split in corpus.texts}
    for split, texts in corpus.texts.items():
        for index in range(len(texts)):
            try:
                pieces = template.pieces(conversation(corpus, split, index))
            except PrepareError as error:
                raise PrepareError(f"example {index + 1} of {split}: {error}", error.code) from None
            corpus.pieces[split].append(pieces)


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
    """NAME: `columns` has `text` (the prompt) and `answer`, or `messages`.

    There may be `system` and `client`.
    """
    tokenizer.load(length)
    template = ChatTemplate(tokenizer, is_plain)

    def make(corpus: Corpus, dropped: dict[str, int], folder: Path) -> dict[str, Any]:
        return write(corpus, template, tokenizer, length, folder, dropped)

    request = {"recipe": RECIPE, **template_request(template)}
    return publish_files(tokenizer=tokenizer, length=length, request=request, write=make, **options)
