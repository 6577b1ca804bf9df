"""The command hub: a model, or a data set with the options of text, chat and choices."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from ..tables import table_command
from ..errors import USAGE, PrepareError
from ..options import add_splits, add_tokenizer
from ..tokens.tokenizer_directory import TokenizerDirectory

COMMANDS = {
    "text": ("text", "label", "labels", "score"),
    "chat": ("prompt", "messages", "system"),
    "choices": ("question", "choices"),
}
"""The command that prepares a data set, by the columns that are named."""


def add(command: Callable[[str, str], argparse.ArgumentParser]) -> None:
    """Adds the command; `command` adds one by its name and help."""
    added = command("hub", "a model or a data set of the Hugging Face Hub")
    added.add_argument("repository", metavar="OWNER/NAME", help="as the hub has it")
    added.add_argument(
        "--revision", help="branch, tag or commit (default: main when first prepared)"
    )
    added.add_argument(
        "--kind",
        choices=("model", "dataset"),
        help="(default: a data set where columns are named, or else a model)",
    )
    sets = added.add_argument_group("data sets")
    add_tokenizer(sets, is_required=False)
    sets.add_argument("--config", metavar="NAME", help="the part of a data set that has several")
    sets.add_argument("--split", default="train", help="training examples (default train)")
    for split in ("test", "validation"):
        sets.add_argument(
            f"--{split}-split",
            metavar="SPLIT",
            help=f"{split} examples (default {split}, or else split off train)",
        )
    sets.add_argument("--text", metavar="COLUMN", help="column with the text")
    table_command.add_text_columns(sets)
    table_command.add_chat_columns(sets)
    table_command.add_choice_columns(sets, False)
    sets.add_argument("--answer", metavar="COLUMN", help="of --prompt or of --choices")
    table_command.add_client(sets)
    add_splits(sets)


def run(arguments: argparse.Namespace) -> None:
    """Does what a command line asks for."""
    # Loaded here: the library of the hub takes half a second.
    from . import hub_dataset, hub_model

    options = vars(arguments)
    named = {
        command: [column for column in columns if options[column]]
        for command, columns in COMMANDS.items()
    }
    chosen = [command for command, columns in named.items() if columns]
    if not chosen and arguments.kind != "dataset":
        if arguments.tokenizer:
            raise PrepareError(
                "name the columns of the data set: --text, --prompt and --answer, --messages, or"
                " --question and --choices",
                USAGE,
            )
        hub_model.prepare(
            arguments.repository, arguments.revision, arguments.name, arguments.replace
        )
        return
    if arguments.kind == "model":
        raise PrepareError("--kind model: a model has no columns", USAGE)
    if not chosen:
        hub_dataset.say_columns(arguments)
        return
    if len(chosen) > 1:
        one, other = (f"--{named[command][0]}" for command in chosen[:2])
        raise PrepareError(f"{one} and {other} belong to different tasks; give one", USAGE)
    if arguments.tokenizer is None:
        raise PrepareError("--tokenizer is missing; give the name of a model, or its path", USAGE)
    for needed, other in (("text", None), ("question", "choices"), ("choices", "question")):
        if needed in COMMANDS[chosen[0]] and not options[needed]:
            hint = f"--{other}" if other else f"--{named[chosen[0]][0]}"
            raise PrepareError(f"--{needed} is missing, which {hint} needs", USAGE)
    if chosen == ["choices"] and not arguments.answer:
        raise PrepareError("--answer is missing: the column with the right choice", USAGE)
    arguments.command = chosen[0]
    hub_dataset.prepare(arguments, TokenizerDirectory.find(arguments.tokenizer))
