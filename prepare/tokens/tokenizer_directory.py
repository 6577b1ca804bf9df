"""The tokenizer of a model directory: found by name or path, and loaded as transformers would."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer

from . import tokenizer_settings
from ..errors import DATA, MISSING, USAGE, PrepareError, naming, nearest, one_line, shown
from ..home import directory_of, home, is_path, is_there, sha256_of
from ..models import MODELS

CONFIG = "tokenizer_config.json"


def in_home() -> list[str]:
    """The folders in $CELLM_HOME that are models or corpora."""
    kinds = ("config.json", "train.safetensors")
    try:
        folders = sorted(home().iterdir())
    except FileNotFoundError:
        return []
    return [
        shown(folder.name)
        for folder in folders
        if not folder.name.startswith(".") and any((folder / name).is_file() for name in kinds)
    ]


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object in a file; {} where there is no such file."""
    try:
        with naming(path):
            data = path.read_bytes()
    except FileNotFoundError:
        return {}
    if data.startswith(b"version https://git-lfs"):
        raise PrepareError(
            f"{shown(path)}: a pointer of git-lfs, not the file; type git lfs pull in its folder"
        )
    try:
        found = json.loads(data.decode("utf-8"))
    except RecursionError:
        raise PrepareError(f"{shown(path)}: no valid JSON: nested too deeply; correct it") from None
    except ValueError as error:
        raise PrepareError(
            f"{shown(path)}: no valid JSON: {one_line(error)}; correct it"
        ) from error
    if not isinstance(found, dict):
        raise PrepareError(f"{shown(path)}: no JSON object; correct it")
    return found


@contextlib.contextmanager
def library_errors(path: Path) -> Iterator[None]:
    """Turns what the tokenizers library raises into one line; it raises plain Exception, or panics.

    A panic is no Exception, and prints lines of its own on standard error, which are held back.
    """
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            kept, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, 2)
            os.close(null)
            stack.callback(os.close, kept)
            stack.callback(os.dup2, kept, 2)
        try:
            yield
        except PrepareError:
            raise
        except BaseException as error:
            if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
                raise
            raise PrepareError(
                f"{shown(path)}: not a readable tokenizer: {one_line(error)}; save it anew"
            ) from error


@dataclass
class TokenizerDirectory:
    """A model directory's tokenizer, the hash of its file and how long a sequence it may make.

    `changes` are the parts that differ from tokenizer.json, by tokenizer_config.json.
    """

    name: str
    path: Path
    sha256: str
    limit: int | None
    text: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    kind: str = tokenizer_settings.BACKEND
    changes: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def find(cls, name: str) -> TokenizerDirectory:
        """A path (with a slash or leading dot), or the name of a directory in $CELLM_HOME."""
        folder = directory_of(name)
        path = folder / "tokenizer.json"
        if not is_there(path):
            raise PrepareError(_absent(name, folder), MISSING)
        model = read_json(folder / "config.json")
        limit = model.get("max_position_embeddings", model.get("n_positions"))
        label = shown(os.path.basename(os.path.realpath(folder))) if is_path(name) else shown(name)
        found = cls(label, path, sha256_of(path), limit if isinstance(limit, int) else None)
        found._read(folder, model)
        return found

    def _read(self, folder: Path, model: dict[str, Any]) -> None:
        """Reads tokenizer.json and what the files beside it change of it."""
        tokenizer = read_json(self.path)
        config = read_json(folder / CONFIG)
        if not config.get("added_tokens_decoder"):
            named = read_json(folder / "special_tokens_map.json")
            config = {**config, **{key: value for key, value in named.items() if value}}
        if not isinstance(tokenizer.get("model"), dict):
            raise PrepareError(f"{shown(self.path)}: not a readable tokenizer: it has no model")
        try:
            made, self.changes = tokenizer_settings.effective(tokenizer, config, model)
            known = {token["content"] for token in tokenizer.get("added_tokens") or []}
        except tokenizer_settings.Refusal as error:
            raise PrepareError(f"{shown(folder)}/{error}", DATA) from None
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise PrepareError(
                f"{shown(folder)}: tokenizer.json or {CONFIG} is malformed: "
                f"{type(error).__name__}: {one_line(error)}; save the tokenizer anew"
            ) from error
        for token in read_json(folder / "added_tokens.json"):
            if token not in known:
                raise PrepareError(
                    f"{shown(folder)}/added_tokens.json: {token!r} is not in tokenizer.json; save"
                    " the tokenizer anew with transformers"
                )
        self.config, self.kind = config, tokenizer_settings.class_of(tokenizer, config, model)
        self.text = json.dumps(made) if self.changes else ""

    @property
    def request(self) -> dict[str, Any]:
        """What a request says of the tokenizer."""
        changed = {"tokenizer_settings": self.changes} if self.changes else {}
        return {"tokenizer_sha256": self.sha256, **changed}

    def load(self, length: int | None) -> Tokenizer:
        """The tokenizer, cutting at `length` tokens (special ones kept), never padding."""
        if length is not None and length < 1:
            raise PrepareError(f"--length {length}: at least 1", USAGE)
        if length is not None and self.limit is not None and length > self.limit:
            raise PrepareError(
                f"--length {length}: {self.name} takes at most {self.limit} tokens", USAGE
            )
        with library_errors(self.path):
            tokenizer = (
                Tokenizer.from_str(self.text) if self.text else Tokenizer.from_file(str(self.path))
            )
            cut = tokenizer.truncation or {}
            tokenizer.no_padding()
            tokenizer.no_truncation()
            self._add_special_tokens(tokenizer)
            self._check_ends(tokenizer)
        if length is not None:
            special = tokenizer.num_special_tokens_to_add(False)
            if length <= special:
                raise PrepareError(f"--length {length}: {special} of it are special tokens", USAGE)
            side = self.config.get("truncation_side") or cut.get("direction") or "right"
            if str(side).lower() not in ("left", "right"):
                raise PrepareError(f"{shown(self.path.parent)}/{CONFIG}: truncation_side: {side!r}")
            tokenizer.enable_truncation(length, direction=str(side).lower())
        return tokenizer

    def _add_special_tokens(self, tokenizer: Tokenizer) -> None:
        """Adds the special tokens that tokenizer.json does not list, as transformers does."""
        known = {token.content for token in tokenizer.get_added_tokens_decoder().values()}
        for token in tokenizer_settings.special_tokens(self.kind, self.config):
            text = tokenizer_settings.text_of(token)
            if text in known:
                continue
            known.add(text)
            names = ("single_word", "lstrip", "rstrip", "normalized")
            flags = {} if isinstance(token, str) else {n: token[n] for n in names if n in token}
            tokenizer.add_tokens([AddedToken(text, special=True, **flags)])
        tokenizer.encode_special_tokens = bool(self.config.get("split_special_tokens", False))

    def _check_ends(self, tokenizer: Tokenizer) -> None:
        """Refuses files that disagree about the special tokens around a text."""
        probe = tokenizer.encode("").ids
        plain = tokenizer.encode("", add_special_tokens=False).ids
        texts = {name: tokenizer_settings.text_of(self.config.get(name)) for name in ENDS}
        ids = {name: tokenizer.token_to_id(text) for name, text in texts.items() if text}
        if self.kind == "BertTokenizer":
            first = tokenizer.token_to_id(texts["cls_token"] or "[CLS]")
            last = tokenizer.token_to_id(texts["sep_token"] or "[SEP]")
            if probe != [first, *plain, last]:
                raise self._refused(
                    "tokenizer_class", "BertTokenizer puts cls_token and sep_token around a text"
                )
        added = len(probe) > len(plain)
        for setting, name, place in (
            ("add_bos_token", "bos_token", 0),
            ("add_eos_token", "eos_token", -1),
        ):
            wanted = self.config.get(setting)
            # A token that both begins and ends texts cannot tell which of the two it is.
            if (
                wanted is None
                or name not in ids
                or (not wanted and len(set(ids.values())) < len(ids))
            ):
                continue
            if bool(wanted) != (added and probe[place] == ids[name]):
                raise self._refused(setting, f"{CONFIG} says {wanted}")

    def _refused(self, setting: str, reason: str) -> PrepareError:
        """A setting that the post_processor of tokenizer.json does not follow."""
        return PrepareError(
            f"{shown(self.path.parent)}/{CONFIG}: {setting}: {reason}, and the post_processor of "
            "tokenizer.json does something else; make the two files agree"
        )


ENDS = ("bos_token", "eos_token", "cls_token", "sep_token")


def _absent(name: str, folder: Path) -> str:
    """What to do where a tokenizer is not there."""
    if is_path(name) or (folder / "config.json").is_file():
        if folder.is_dir():
            return (
                f"{shown(folder)} has no tokenizer.json; save the tokenizer there with transformers"
                " (AutoTokenizer.from_pretrained(...).save_pretrained(...))"
            )
        owner, slash, last = name.partition("/")
        if slash and last and "/" not in last and not owner.startswith((".", "~")) and owner:
            return (
                f"{shown(folder)}: no such directory; for the model of the Hugging Face Hub type"
                f" scripts/prepare hub {shown(name)}, and then --tokenizer {shown(last)}"
            )
        return f"{shown(folder)}: no such directory; check the path"
    if name in MODELS:
        return f"{name} is not in {shown(home())}; type scripts/prepare {name}"
    there = [known for known in in_home() if (home() / known / "tokenizer.json").is_file()]
    if Path(name).is_dir():
        advice = f"for the directory here write --tokenizer ./{name}"
    else:
        advice = (
            f"scripts/prepare makes {' and '.join(MODELS)}, and scripts/prepare hub OWNER/NAME gets"
            " others; a directory is given with a /"
        )
    listed = f"there: {', '.join(there)}" if there else "no model is there"
    near = nearest(name, sorted({*there, *MODELS}))
    return f"--tokenizer {name} is not in {shown(home())} ({listed}){near or '; ' + advice}"
