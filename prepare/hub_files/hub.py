"""Repositories of the Hugging Face Hub, through the hub's own cache (HF_HOME).

A revision is resolved to its commit. The list of a commit's files is kept in $CELLM_HOME, so that a
machine without network sees the same files, and takes them from the cache.
"""

from __future__ import annotations

import contextlib
import glob
import json
import logging
import os
import posixpath
import re
import shlex
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import requests

# No reports on the use of the library, no progress bars in log files, and plain downloads (Xet
# needs another package). The library reads these when it is imported.
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("HF_HUB_DISABLE_XET", "1")
if not sys.stderr.isatty():
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")

from huggingface_hub import HfApi, constants, errors, snapshot_download  # noqa: E402
from huggingface_hub.file_download import repo_folder_name  # noqa: E402

from ..errors import MISSING, UNAVAILABLE, USAGE, PrepareError, one_line, shown
from ..home import home, is_there, say

logging.getLogger("huggingface_hub").setLevel(logging.ERROR)

COMMIT = re.compile(r"[0-9a-f]{40}")
MAIN = "main"
SECONDS = 30
MANY = 50_000
"""From here on the hub's description of a repository may lack files."""
WORDS = {"model": "model", "dataset": "data set"}


class Unreachable(Exception):
    """Why the hub cannot be reached."""


@dataclass(frozen=True)
class Repository:
    """A repository at one commit, with the names of its files and its licence."""

    name: str
    kind: str
    revision: str
    commit: str
    files: tuple[str, ...]
    licence: str

    def __post_init__(self) -> None:
        """Raises PrepareError where the commit or a file would be a path out of the cache."""
        if not COMMIT.fullmatch(self.commit):
            raise PrepareError(
                f"{self.name}: the hub says {one_line(repr(self.commit), 60)}, which is no commit"
                " of 40 hexadecimal digits; check HF_ENDPOINT"
            )
        for file in self.files:
            if not _is_within(file):
                raise PrepareError(
                    f"{self.name}: the file name {one_line(repr(file), 100)} leads out of the"
                    " repository; choose another repository or --revision"
                )

    @property
    def folder(self) -> Path:
        """Where the cache has the files of this commit."""
        return cache_folder(self.name, self.kind) / "snapshots" / self.commit

    def fetch(self, names: list[str]) -> dict[str, Path]:
        """The paths of files in the cache, downloaded where they are not there yet."""
        found = {name: self.folder / name for name in names}
        if all(path.exists() for path in found.values()):
            return found
        say(f"{self.name}: downloading {len(names)} files of commit {self.commit[:12]}")
        try:
            with _asking(self.name, self.kind, self.revision):
                folder = snapshot_download(
                    self.name,
                    repo_type=self.kind,
                    revision=self.revision,
                    allow_patterns=[glob.escape(name) for name in names],
                )
        except Unreachable as cause:
            raise _offline(self.name, self.kind, str(cause)) from None
        missing = [name for name, path in found.items() if not path.exists()]
        if Path(folder).name != self.commit or missing:
            reason = f"it lacks {missing[0]}" if missing else "it changed meanwhile"
            raise _offline(self.name, self.kind, f"{reason}, which was not downloaded")
        return found

    def source(self, names: list[str]) -> dict[str, Any]:
        """What a manifest says of it."""
        return {
            "repository": self.name,
            "kind": self.kind,
            "hub": constants.ENDPOINT,
            "revision": self.commit,
            "members": names,
            "licence": self.licence,
        }


def _is_within(file: str) -> bool:
    """Whether a file name is a plain path below a folder."""
    leads_out = file.startswith(("/", "../")) or file in ("", ".", "..") or "\0" in file
    return not leads_out and posixpath.normpath(file) == file


def cache_folder(name: str, kind: str) -> Path:
    """The folder of a repository in the hub's cache."""
    return Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=name, repo_type=kind)


def resolve(name: str, kind: str, revision: str | None) -> Repository:
    """A repository at the commit of a revision. Raises PrepareError."""
    wanted = revision or MAIN
    known = _remembered(name, kind, wanted) if COMMIT.fullmatch(wanted) else None
    if known is not None:
        return known
    try:
        with _asking(name, kind, wanted):
            api = HfApi()
            info = api.repo_info(name, repo_type=kind, revision=wanted, timeout=SECONDS)
            names = [file.rfilename for file in info.siblings or []]
            if not names or len(names) >= MANY:
                names = api.list_repo_files(name, repo_type=kind, revision=info.sha)
    except Unreachable as cause:
        return _cached(name, kind, wanted, str(cause))
    card = info.card_data.to_dict() if info.card_data else {}
    licence = str(card.get("license") or "as its card says")
    files = tuple(sorted(map(str, names)))
    found = Repository(name, kind, wanted, str(info.sha), files, licence)
    _remember(found)
    return found


def _list_of(name: str, kind: str, commit: str) -> Path:
    """The file with what is known of a commit."""
    return (
        home() / "downloads" / "hub" / f"{repo_folder_name(repo_id=name, repo_type=kind)}--{commit}"
    )


def _remember(repository: Repository) -> None:
    """Writes down which files a commit has."""
    path = _list_of(repository.name, repository.kind, repository.commit)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text(json.dumps(asdict(repository)), encoding="utf-8")
    os.replace(partial, path)


def _remembered(name: str, kind: str, commit: str) -> Repository | None:
    """What was written down of a commit; None where nothing was, or nothing that can be so."""
    try:
        known = json.loads(_list_of(name, kind, commit).read_text(encoding="utf-8"))
        known.update(revision=commit, files=tuple(map(str, known["files"])))
        found = Repository(**known)
        return found if found.commit == commit else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, PrepareError):
        return None


def _cached(name: str, kind: str, revision: str, cause: str) -> Repository:
    """A repository in the cache. Raises PrepareError where it is not there."""
    commit = revision
    if not COMMIT.fullmatch(revision):
        try:
            commit = (cache_folder(name, kind) / "refs" / revision).read_text().strip()
        except (OSError, ValueError):
            raise _offline(name, kind, cause) from None
        if not COMMIT.fullmatch(commit):
            raise _offline(name, kind, cause)
    folder = cache_folder(name, kind) / "snapshots" / commit
    known = _remembered(name, kind, commit)
    if known is None:
        if not is_there(folder):
            raise _offline(name, kind, cause)
        names = sorted(
            str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()
        )
        known = Repository(name, kind, commit, commit, tuple(names), "as its card says")
    say(f"{name}: {cause}; commit {commit[:12]} in {shown(constants.HF_HUB_CACHE)} is taken")
    return known


def _offline(name: str, kind: str, cause: str) -> PrepareError:
    """What to do where neither the hub nor the cache has something."""
    command = f"scripts/prepare {shlex.join(map(shown, sys.argv[1:]))}"
    folder = cache_folder(name, kind)
    return PrepareError(
        f"{name}: {cause}, and the hub's cache has no copy of this {WORDS[kind]}; type {command} on"
        f" a login node with network and the same CELLM_HOME ({shown(home())}), or copy"
        f" {folder.name} out of another machine's HF_HOME/hub to {shown(folder)}",
        UNAVAILABLE,
    )


@contextlib.contextmanager
def _asking(name: str, kind: str, revision: str) -> Iterator[None]:
    """Turns what the library raises into one line, or into Unreachable."""
    hub = constants.ENDPOINT
    try:
        yield
    except errors.OfflineModeIsEnabled:
        raise Unreachable("HF_HUB_OFFLINE is set") from None
    except errors.GatedRepoError:
        raise PrepareError(
            f"{name} is gated: accept its conditions on {hub}/{name} and set HF_TOKEN to a token of"
            " yours",
            UNAVAILABLE,
        ) from None
    except errors.RepositoryNotFoundError:
        advice = ", give --kind dataset for a data set," if kind == "model" else ""
        raise PrepareError(
            f"{name}: {hub} has no such {WORDS[kind]}, or not for everybody; check the name{advice}"
            " or set HF_TOKEN to a token of yours",
            MISSING,
        ) from None
    except errors.RevisionNotFoundError:
        raise PrepareError(
            f"{name} has no revision {revision}; give a branch, a tag or a commit", MISSING
        ) from None
    except errors.HFValidationError as error:
        raise PrepareError(f"{name}: not OWNER/NAME: {one_line(error)}", USAGE) from None
    except (requests.exceptions.ProxyError, requests.exceptions.SSLError) as error:
        raise Unreachable(f"{hub} cannot be reached ({type(error).__name__})") from None
    except (requests.ConnectionError, requests.Timeout, errors.LocalEntryNotFoundError):
        raise Unreachable(f"{hub} cannot be reached") from None
    except requests.RequestException as error:
        status = error.response.status_code if error.response is not None else one_line(error, 100)
        raise Unreachable(f"{hub} fails ({status})") from None
