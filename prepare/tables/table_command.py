"""The commands for tables: text, chat and choices; the hub's data sets have the same columns."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import chat_file, choice_file, conversation, text_file
from ..errors import USAGE, PrepareError, shown
from ..options import add_splits, add_template, fractions_of
from .row_file import stem_of
from ..tokens.tokenizer_directory import TokenizerDirectory


def add(tokenized: Callable[[str, str], argparse.ArgumentParser]) -> None:
    """Adds the commands; `tokenized` adds one by its name and help, with a tokenizer."""

    def own_file(name: str, help: str) -> argparse.ArgumentParser:
        added = tokenized(name, help)
        added.add_argument(
            "--file",
            type=Path,
            nargs="+",
            required=True,
            help=".jsonl, .json, .csv, .tsv (also .gz) or .parquet: training examples, or all",
        )
        for split in ("test", "validation"):
            added.add_argument(
                f"--{split}-file",
                type=Path,
                nargs="+",
                help=f"{split} examples (default: split off)",
            )
        add_client(added)
        add_splits(added)
        return added

    text = own_file("text", "your own table of texts")
    text.add_argument("--text", required=True, metavar="COLUMN", help="column with the text")
    add_text_columns(text)
    chat = own_file(
        "chat", "your own prompts and answers, or conversations, for instruction tuning"
    )
    chat.add_argument("--answer", metavar="COLUMN", help="column with the answer")
    add_chat_columns(chat)
    choices = own_file("choices", "your own questions with several answers, for multiple choice")
    add_choice_columns(choices, True)
    choices.add_argument("--answer", required=True, metavar="COLUMN", help=RIGHT_ANSWER)


RIGHT_ANSWER = "the right one: its text, its letter from A, or its number from 0"


def add_client(added: argparse.ArgumentParser) -> None:
    """The column that all tables may have."""
    added.add_argument("--client", metavar="COLUMN", help="column with the natural owner")


def add_text_columns(added: argparse.ArgumentParser) -> None:
    """What goes with texts."""
    added.add_argument("--label", metavar="COLUMN", help="column with the class")
    added.add_argument("--labels", metavar="COLUMN", help="column with any number of classes: a|b")
    added.add_argument("--score", metavar="COLUMN", help="column with a number")
    added.add_argument(
        "--chunks", action="store_true", help="cut long texts into examples instead of truncating"
    )


def add_chat_columns(added: argparse.ArgumentParser) -> None:
    """Prompts, or conversations."""
    added.add_argument("--prompt", metavar="COLUMN", help="column with the prompt")
    added.add_argument(
        "--messages",
        metavar="COLUMN",
        help="column with lists of {role, content} or {from, value} (default messages, or"
        " conversations)",
    )
    added.add_argument("--system", metavar="COLUMN", help="column with the system prompt")
    add_template(added)


def add_choice_columns(added: argparse.ArgumentParser, is_required: bool) -> None:
    """Questions and their answers."""
    added.add_argument("--question", required=is_required, metavar="COLUMN", help="the question")
    added.add_argument(
        "--choices",
        required=is_required,
        metavar="COLUMN",
        help="the answers to choose from: a list, or a|b|c",
    )


def columns_of(arguments: argparse.Namespace) -> dict[str, str]:
    """The columns of a command by what they are for."""
    options = vars(arguments)
    found = {purpose: options.get(purpose) for purpose in ("label", "labels", "score", "client")}
    if found["label"] and found["labels"]:
        raise PrepareError("give --label or --labels; an example has one class or a set", USAGE)
    if arguments.command == "text":
        found["text"] = arguments.text
    elif arguments.command == "chat":
        prompt, answer = arguments.prompt, arguments.answer
        if bool(prompt) != bool(answer) or (prompt and arguments.messages):
            raise PrepareError(
                "give --prompt and --answer, or --messages: an example is one or the other",
                USAGE,
            )
        messages = None if prompt else arguments.messages or conversation.DEFAULT
        found.update(text=prompt, answer=answer, messages=messages, system=arguments.system)
    else:
        found.update(text=arguments.question, labels=arguments.choices, answer=arguments.answer)
    order = ("text", "label", "labels", "score", "client", "answer", "messages", "system")
    return {purpose: found[purpose] for purpose in order if found.get(purpose)}


def run(arguments: argparse.Namespace, tokenizer: TokenizerDirectory) -> None:
    """The commands `text`, `chat` and `choices` on the user's own files."""
    files = {"train": arguments.file}
    for split in ("test", "validation"):
        given = getattr(arguments, f"{split}_file")
        if given is not None:
            files[split] = given
    prepare(arguments, tokenizer, files, shown(stem_of(arguments.file[0])))


def prepare(
    arguments: argparse.Namespace,
    tokenizer: TokenizerDirectory,
    files: dict[str, list[Path]],
    source: str,
    sources: list[dict[str, Any]] | None = None,
) -> None:
    """Prepares files as `arguments.command` says, by default as SOURCE.TOKENIZER."""
    if arguments.split_clients and not arguments.client:
        raise PrepareError("--split-clients needs --client, the column with the owner", USAGE)
    common = {
        "tokenizer": tokenizer,
        "length": arguments.length,
        "replace": arguments.replace,
        "files": files,
        "sources": sources,
        "columns": columns_of(arguments),
        "name": arguments.name or f"{source}.{tokenizer.name}",
        "fractions": fractions_of(arguments, files),
        "seed": arguments.seed,
        "by_client": arguments.split_clients,
    }
    if arguments.command == "chat":
        chat_file.prepare(is_plain=arguments.template == "plain", **common)
    elif arguments.command == "choices":
        choice_file.prepare(**common)
    else:
        text_file.prepare(chunks=arguments.chunks, **common)
