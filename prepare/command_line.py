"""The command line: scripts/prepare WHAT [options]."""

from __future__ import annotations

import argparse
import re
from collections.abc import Collection
from pathlib import Path
from typing import NoReturn

from . import (
    assets,
    chat_file,
    choice_file,
    conversation,
    corpora,
    image_command,
    mathematics,
    models,
    show,
    text_file,
)
from .errors import EXIT_CODES, USAGE, PrepareError, one_line, plain_errors, shown
from .home import check_name
from .row_file import stem_of
from .tokenizer_directory import TokenizerDirectory


def fraction(text: str) -> float:
    """A number from 0 up to, not including, 1."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"{text} is no number from 0 up to, not including, 1")
    return value


def natural(text: str) -> int:
    """A whole number from 1."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is no whole number of 1 or more")
    return value


def add_splits(added: argparse.ArgumentParser) -> None:
    """The options of splits that are cut off train, where they are not there."""
    added.add_argument("--test", type=fraction, default=0.2, help="of all (default 0.2)")
    added.add_argument("--validation", type=fraction, default=0.1, help="of all (default 0.1)")
    added.add_argument("--seed", type=int, default=0, help="of the splits")
    added.add_argument(
        "--split-clients",
        action="store_true",
        help="split off whole clients, so that a test client is in no other split",
    )


def fractions_of(arguments: argparse.Namespace, there: Collection[str]) -> dict[str, float]:
    """The shares of train that become splits, of those that are not there."""
    found = {
        split: getattr(arguments, split) for split in ("test", "validation") if split not in there
    }
    if sum(found.values()) >= 1:
        raise PrepareError(
            "--test and --validation leave nothing to train on; their sum has to be below 1", USAGE
        )
    if found.get("test") == 0:
        raise PrepareError(
            "--test 0: a data set needs a test split; give a fraction, or the test examples", USAGE
        )
    return found


class OneLineParser(argparse.ArgumentParser):
    """A parser whose errors are one line, with the exit code of the simulator."""

    def error(self, message: str) -> NoReturn:
        """Raises PrepareError; a WHAT that there is not is answered with those that there are."""
        match = re.match(r"argument WHAT: invalid choice: '(.*?)'", message)
        if match:
            message = assets.unknown(match[1], "WHAT")
            raise PrepareError(message, USAGE)
        raise PrepareError(f"{one_line(message)}; type {self.prog} --help", USAGE)


def parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    top = OneLineParser(
        prog="scripts/prepare",
        description=(
            "Puts models and token data sets into $CELLM_HOME "
            "(default: cellm-mpi in the user's cache folder)."
        ),
        epilog=EXIT_CODES,
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="WHAT")

    def command(name: str, text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text, epilog=EXIT_CODES)
        added.add_argument(
            "--replace",
            action="store_true",
            help="make anew what prepare made for another request, or what was changed since",
        )
        return added

    def tokenized(name: str, text: str) -> argparse.ArgumentParser:
        added = command(name, text)
        added.add_argument(
            "--tokenizer", required=True, help="prepared model's name, or a directory (with a /)"
        )
        added.add_argument("--length", type=natural, default=128, help="tokens kept (default 128)")
        added.add_argument("--name", help="name of the result (default CORPUS.TOKENIZER)")
        return added

    command("smollm2-135m", "SmolLM2-135M-Instruct, a causal language model")
    command("minilm-l6", "all-MiniLM-L6-v2, a small encoder")

    for name, what in corpora.CLASSIFIED.items():
        added = tokenized(name, f"{what}, classification")
        added.add_argument(
            "--validation", type=fraction, default=0.2, help="of train (default 0.2)"
        )
        added.add_argument("--seed", type=int, default=0, help="of the validation split")

    shows = tokenized("friends", "Friends transcripts, language modelling, a client per speaker")
    shows.add_argument(
        "--minimum-lines", type=natural, default=20, help="fewer: speaker left out (default 20)"
    )

    problems = tokenized(
        "mathematics", "school mathematics, instruction tuning, a client per kind of question"
    )
    problems.add_argument("--modules", metavar="LIST", help="kinds, with commas (default all)")
    problems.add_argument("--train", type=natural, default=100, help="of each kind (default 100)")
    problems.add_argument("--validation", type=natural, default=20, help="of each kind")
    problems.add_argument("--test", type=natural, default=20, help="of each kind (default 20)")
    problems.add_argument("--level", choices=mathematics.LEVELS, default="easy")
    problems.add_argument("--seed", type=int, default=0, help="of the questions")

    image_command.add(command, add_splits, natural, fraction)

    def own_file(name: str, help: str) -> argparse.ArgumentParser:
        added = tokenized(name, help)
        added.add_argument(
            "--file",
            type=Path,
            nargs="+",
            required=True,
            help=".jsonl, .json, .csv, .tsv (also .gz) or .parquet: training examples, or all",
        )
        added.add_argument("--client", metavar="COLUMN", help="column with the natural owner")
        added.add_argument("--test-file", type=Path, nargs="+", help="test examples (default: split)")
        added.add_argument("--validation-file", type=Path, nargs="+", help="validation examples")
        add_splits(added)
        return added

    text = own_file("text", "your own table of texts")
    text.add_argument("--text", required=True, metavar="COLUMN", help="column with the text")
    text.add_argument("--label", metavar="COLUMN", help="column with the class")
    text.add_argument("--labels", metavar="COLUMN", help="column with any number of classes: a|b")
    text.add_argument("--score", metavar="COLUMN", help="column with a number")
    text.add_argument(
        "--chunks", action="store_true", help="cut long texts into examples instead of truncating"
    )
    chat = own_file("chat", "your own prompts and answers, or conversations, for instruction tuning")
    chat.add_argument("--prompt", metavar="COLUMN", help="column with the prompt")
    chat.add_argument("--answer", metavar="COLUMN", help="column with the answer")
    chat.add_argument(
        "--messages",
        metavar="COLUMN",
        help="column with lists of {role, content} or {from, value} (default messages, or"
        " conversations, where no --prompt is given)",
    )
    chat.add_argument("--system", metavar="COLUMN", help="column with the system prompt")
    choices = own_file("choices", "your own questions with several answers, for multiple choice")
    choices.add_argument("--question", required=True, metavar="COLUMN", help="the question")
    choices.add_argument(
        "--choices", required=True, metavar="COLUMN", help="the answers: a list, or a|b|c"
    )
    choices.add_argument(
        "--answer",
        required=True,
        metavar="COLUMN",
        help="the right one: its text, its letter from A, or its number from 0",
    )
    for added in (problems, chat):
        added.add_argument(
            "--template",
            choices=("model", "plain"),
            default="model",
            help="the model's chat template, or the prompt and then the answer (default model)",
        )
    shown_set = commands.add_parser("show", help="some examples of a data set")
    shown_set.add_argument("corpus", metavar="CORPUS", help="name, or a directory (with a /)")
    shown_set.add_argument("--examples", type=natural, default=3, help="how many (default 3)")
    shown_set.add_argument("--split", default="train", help="train, validation or test")
    shown_set.add_argument("--tokenizer", help="model, if it is not known by its name")
    shown_set.add_argument("--pictures", type=Path, metavar="DIR", help="write images there as PNG")
    assets = commands.add_parser(
        "assets", help="models and corpora by name: minilm-l6, 20newsgroups.minilm-l6"
    )
    assets.add_argument("names", nargs="+", metavar="NAME", help="MODEL or CORPUS.MODEL")
    return top


def run(arguments: argparse.Namespace) -> None:
    """Does what one command line asks for."""
    if arguments.command == "assets":
        assets.prepare(arguments.names)
        return
    if arguments.command == "show":
        show.show(
            arguments.corpus,
            arguments.split,
            arguments.examples,
            arguments.tokenizer,
            arguments.pictures,
        )
        return
    if arguments.command in models.MODELS:
        models.MODELS[arguments.command](arguments.replace)
        return
    if arguments.name is not None:
        check_name(arguments.name)
        if arguments.name in models.MODELS:
            raise PrepareError(f"--name {arguments.name} is a model's name; choose another", USAGE)
    if arguments.command in image_command.NAMES:
        image_command.run(arguments, lambda there: fractions_of(arguments, there))
        return
    tokenizer = TokenizerDirectory.find(arguments.tokenizer)
    common = {"tokenizer": tokenizer, "length": arguments.length, "replace": arguments.replace}
    if arguments.command in corpora.CLASSIFIED:
        corpora.prepare_classified(
            arguments.command,
            name=arguments.name,
            validation=arguments.validation,
            seed=arguments.seed,
            **common,
        )
    elif arguments.command == "friends":
        corpora.prepare_friends(
            name=arguments.name, minimum_lines=arguments.minimum_lines, **common
        )
    elif arguments.command == "mathematics":
        mathematics.prepare(
            name=arguments.name,
            modules=arguments.modules,
            sizes={split: getattr(arguments, split) for split in ("train", "validation", "test")},
            level=arguments.level,
            seed=arguments.seed,
            is_plain=arguments.template == "plain",
            **common,
        )
    else:
        prepare_own(arguments, common)


def chat_columns(arguments: argparse.Namespace) -> dict[str, str | None]:
    """The columns of `chat` by what they are for."""
    prompt, answer = arguments.prompt, arguments.answer
    if bool(prompt) != bool(answer) or (prompt and arguments.messages):
        raise PrepareError(
            "give --prompt and --answer, or --messages: an example is a pair, or a conversation",
            USAGE,
        )
    messages = None if prompt else arguments.messages or conversation.DEFAULT
    return {"text": prompt, "answer": answer, "messages": messages, "system": arguments.system}


def prepare_own(arguments: argparse.Namespace, common: dict) -> None:
    """The commands `text`, `chat` and `choices`."""
    files = {"train": arguments.file}
    for split in ("test", "validation"):
        given = getattr(arguments, f"{split}_file")
        if given is not None:
            files[split] = given
    fractions = fractions_of(arguments, files)
    if arguments.split_clients and not arguments.client:
        raise PrepareError("--split-clients needs --client, the column with the owner", USAGE)
    options = vars(arguments)
    if options.get("label") and options.get("labels"):
        raise PrepareError("give --label or --labels; an example has one class or a set", USAGE)
    columns = {purpose: options.get(purpose) for purpose in ("text", "label", "labels", "score", "client")}
    if arguments.command == "chat":
        columns.update(chat_columns(arguments))
    if arguments.command == "choices":
        columns.update(
            text=arguments.question, labels=arguments.choices, answer=arguments.answer
        )
    common = {
        "files": files,
        "columns": {purpose: column for purpose, column in columns.items() if column},
        "name": arguments.name or f"{shown(stem_of(arguments.file[0]))}.{common['tokenizer'].name}",
        "fractions": fractions,
        "seed": arguments.seed,
        "by_client": arguments.split_clients,
        **common,
    }
    if arguments.command == "chat":
        chat_file.prepare(is_plain=arguments.template == "plain", **common)
    elif arguments.command == "choices":
        choice_file.prepare(**common)
    else:
        text_file.prepare(chunks=arguments.chunks, **common)


def main(words: list[str]) -> None:
    """Does what a command line asks for. Raises PrepareError with one line and an exit code."""
    arguments = parser().parse_args(words)
    with plain_errors(arguments.command):
        run(arguments)
