"""The command line: scripts/prepare WHAT [options]."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import NoReturn

from . import assets, models, show
from .hub_files import hub_command
from .pictures import image_command, random_vit
from .public_corpora import corpora, mathematics
from .tables import table_command
from .errors import EXIT_CODES, USAGE, PrepareError, one_line, plain_errors
from .home import check_name
from .options import add_template, add_tokenizer, fraction, natural
from .tokens.tokenizer_directory import TokenizerDirectory


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
        add_tokenizer(added)
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

    add_template(problems)
    table_command.add(tokenized)
    image_command.add(command)
    random_vit.add(command)
    hub_command.add(command)

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
        image_command.run(arguments)
        return
    if arguments.command == "vit":
        random_vit.run(arguments)
        return
    if arguments.command == "hub":
        hub_command.run(arguments)
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
        table_command.run(arguments, tokenizer)


def main(words: list[str]) -> None:
    """Does what a command line asks for. Raises PrepareError with one line and an exit code."""
    arguments = parser().parse_args(words)
    with plain_errors(arguments.command):
        run(arguments)
