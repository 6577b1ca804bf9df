"""A data set of the hub: the tables of its splits go the way of the user's own tables."""

from __future__ import annotations

import argparse
import fnmatch
import posixpath
import re
from pathlib import Path
from typing import Any

import yaml

from . import hub
from ..tables import table_command
from ..errors import USAGE, PrepareError, nearest, one_line
from ..home import home
from .hub import Repository
from ..pictures.picture_folder import SPLIT_NAMES
from ..publishing import read_manifest
from ..tables.row_file import SUFFIXES, RowFile, kind_of
from ..tokens.tokenizer_directory import TokenizerDirectory

CARD = "README.md"
NOT_DATA = ("dataset_infos.json", "dataset_info.json", "state.json", "config.json")
PREFERRED = (".parquet", ".jsonl", ".ndjson", ".json", ".csv", ".tsv")
PART = re.compile(r"(.*-)\d{5}-of-(\d{5})\.")
WILD = re.compile(r"((?:^|(?<=/))\*\*/|\*\*|\*|\?|\[!?\]?[^\]/]*\])")
"""The wildcards of a pattern in README.md."""

Splits = dict[str, list[str]]


def data_files(repository: Repository) -> list[str]:
    """The tables of a repository. Raises PrepareError where it has none."""

    def is_table(name: str) -> bool:
        path = Path(name)
        suffix = Path(path.name.removesuffix(".gz")).suffix.lower()
        return suffix in SUFFIXES and path.name not in NOT_DATA and not name.startswith(".")

    found = [name for name in repository.files if is_table(name)]
    if not found:
        raise PrepareError(
            f"{repository.name} has no tables ({', '.join(SUFFIXES)}); try --revision"
            " refs/convert/parquet, where the hub keeps data sets that it could convert"
        )
    return found


def card_of(repository: Repository) -> dict[str, Any]:
    """The settings at the top of README.md; {} where there are none."""
    if CARD not in repository.files:
        return {}
    text = repository.fetch([CARD])[CARD].read_text(encoding="utf-8", errors="replace")
    match = re.match(r"\ufeff?---[ \t]*\r?\n(.*?)\n---", text, re.DOTALL)
    try:
        found = yaml.safe_load(match[1]) if match else {}
    except (yaml.YAMLError, RecursionError) as error:
        raise PrepareError(
            f"{repository.name}: {CARD}: its settings are no YAML: {one_line(error, 100)}"
        ) from error
    return found if isinstance(found, dict) else {}


def splits_of(repository: Repository, config: str | None, named: list[str]) -> Splits:
    """The files of each split, as README.md says or as the names of files say.

    `named` are splits that the user names, which file names are searched for as well.
    """
    files = data_files(repository)
    configs = card_of(repository).get("configs") or []
    if not isinstance(configs, list) or not all(isinstance(entry, dict) for entry in configs):
        raise PrepareError(f"{repository.name}: {CARD}: configs is no list of parts")
    names = [str(entry.get("config_name", "default")) for entry in configs]
    if configs and config is None:
        defaults = [n for n, entry in zip(names, configs) if entry.get("default") is True]
        config = (defaults or [n for n in names if n == "default"] or [None])[0]
        if config is None and len(names) > 1:
            raise PrepareError(
                f"{repository.name} has the parts {', '.join(names)}; give one by --config", USAGE
            )
        config = config or names[0]
    if configs and config not in names:
        near = nearest(str(config), names) or f"; there are {', '.join(names)}"
        raise PrepareError(f"{repository.name} has no part {config}{near}", USAGE)
    chosen = configs[names.index(config)] if configs else {}
    if chosen.get("data_files"):
        below = str(chosen.get("data_dir") or "")
        return _declared(repository, files, chosen["data_files"], below)
    below = str(chosen.get("data_dir") or ("" if configs else config or ""))
    if below:
        files = [name for name in files if name.startswith(f"{below.strip('/')}/")]
        if not files:
            raise PrepareError(f"{repository.name} has no tables in the folder {below}", USAGE)
    return _by_names(repository, files, named)


def _declared(repository: Repository, files: list[str], declared: Any, below: str) -> Splits:
    """The files of the splits that a part in README.md lists. Raises PrepareError where a pattern
    matches none: without its files, a split would be cut off train.
    """
    if isinstance(declared, dict):
        entries = list(declared.items())
    elif isinstance(declared, list) and all(isinstance(entry, dict) for entry in declared):
        entries = [(entry.get("split"), entry.get("path")) for entry in declared]
    else:
        entries = [("train", declared)]
    found: Splits = {}
    for split, patterns in entries:
        for pattern in patterns if isinstance(patterns, list) else [patterns]:
            form = _expression(f"{below.strip('/')}/{pattern}")
            matching = [name for name in files if form.fullmatch(name)]
            if not matching:
                raise PrepareError(
                    f"{repository.name}: {CARD}: no table matches {one_line(pattern, 100)} of the"
                    f" split {split}; choose another --config or --revision"
                )
            found.setdefault(str(split), []).extend(matching)
    return {split: sorted(set(names)) for split, names in found.items()}


def _expression(pattern: str) -> re.Pattern[str]:
    """A pattern of README.md: `*`, `?` and `[...]` stay within a folder, `**` does not."""
    known = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}

    def part(text: str) -> str:
        if text in known:
            return known[text]
        # fnmatch knows how to write a [...]; its frame is cut off.
        return f"(?!/){fnmatch.translate(text)[4:-3]}"

    pieces = WILD.split(posixpath.normpath(pattern).lstrip("/"))
    forms = [part(text) if at % 2 else re.escape(text) for at, text in enumerate(pieces)]
    return re.compile("".join(forms), re.DOTALL)


def _by_names(repository: Repository, files: list[str], named: list[str]) -> Splits:
    """The files by the split that a word of their name says, or else of the nearest folder that has
    such a word; all are train where none has. A word of `named` goes before the usual ones.

    No file is in two splits: nobody trains on test examples. Raises PrepareError for a name with
    two.
    """
    own = {split: (split,) for split in named if split not in SPLIT_NAMES}
    found: Splits = {}
    for name in files:
        for part in reversed(Path(name).parts):
            splits = _splits_in(part, own) or _splits_in(part, SPLIT_NAMES)
            if len(splits) > 1:
                raise PrepareError(
                    f"{repository.name}: {name}: {part} names the splits {' and '.join(splits)};"
                    f" say which it is, as by --test-split {part.split('.')[0]}",
                    USAGE,
                )
            if splits:
                found.setdefault(splits[0], []).append(name)
                break
    return found or {"train": files}


def _splits_in(part: str, words: dict[str, tuple[str, ...]]) -> list[str]:
    """The splits whose words a name has."""
    return [
        split
        for split, forms in words.items()
        if re.search(rf"(?:^|[^a-z])(?:{'|'.join(map(re.escape, forms))})(?:[^a-z]|$)", part, re.I)
    ]


def files_of(repository: Repository, split: str, splits: Splits) -> list[str]:
    """The files of one split, all of one kind and whole."""
    if split not in splits:
        near = nearest(split, list(splits)) or f"; there are {', '.join(splits)}"
        raise PrepareError(f"{repository.name} has no split {split}{near}", USAGE)
    names = splits[split]
    kinds = {kind_of(Path(name)) for name in names}
    kind = min(kinds, key=PREFERRED.index)
    names = [name for name in names if kind_of(Path(name)) == kind]
    folders = sorted({str(Path(name).parent) for name in names})
    if len(folders) > 1 and not all(PART.match(name) for name in names):
        raise PrepareError(
            f"{repository.name}: the files of {split} lie in {', '.join(folders[:8])}; give one of"
            " these parts by --config",
            USAGE,
        )
    for match in filter(None, map(PART.match, names)):
        parts = [name for name in names if name.startswith(match[1])]
        if len(parts) != int(match[2]):
            raise PrepareError(
                f"{repository.name}: {len(parts)} of {int(match[2])} parts of {split} are here;"
                " download the data set again on a machine with network"
            )
    return names


def found_splits(arguments: argparse.Namespace, revision: str | None) -> tuple[Repository, Splits]:
    """The repository and the files of the splits that are asked for, as train, test, validation."""
    repository = hub.resolve(arguments.repository, "dataset", revision)
    wanted = {"train": arguments.split}
    wanted.update(test=arguments.test_split, validation=arguments.validation_split)
    named = [split for split in wanted.values() if split]
    there = splits_of(repository, arguments.config, named)
    chosen = {}
    for split, name in wanted.items():
        if name or split in there:
            chosen[split] = files_of(repository, name or split, there)
    if arguments.validation == 0 and not arguments.validation_split:
        chosen.pop("validation", None)
    return repository, chosen


def prepare(arguments: argparse.Namespace, tokenizer: TokenizerDirectory) -> None:
    """NAME.TOKENIZER: the splits of a data set, by the columns of text, chat or choices."""
    source = arguments.repository.rsplit("/", 1)[-1]
    name = arguments.name or f"{source}.{tokenizer.name}"
    revision = arguments.revision
    if revision is None and not arguments.replace:
        # What was prepared once stays at its commit.
        for earlier in read_manifest(home() / name).get("sources", []):
            if isinstance(earlier, dict) and earlier.get("repository") == arguments.repository:
                revision = earlier.get("revision")
    repository, splits = found_splits(arguments, revision)
    members = sorted({member for names in splits.values() for member in names})
    paths = repository.fetch(members)
    files = {split: [paths[member] for member in names] for split, names in splits.items()}
    table_command.prepare(arguments, tokenizer, files, source, [repository.source(members)])


def say_columns(arguments: argparse.Namespace) -> None:
    """Raises PrepareError with the splits and the columns, for a user who named no columns."""
    repository, splits = found_splits(arguments, arguments.revision)
    first = repository.fetch(splits["train"][:1])[splits["train"][0]]
    row = next(iter(RowFile(first, ()).rows()), (0, {}))[1]
    raise PrepareError(
        f"{repository.name} has the splits {', '.join(splits)} and the columns"
        f" {', '.join(map(str, row)) or 'none'}; name columns by --text, --prompt and --answer,"
        " --messages, or --question and --choices, and a --tokenizer",
        USAGE,
    )
