"""$CELLM_HOME: where prepared folders, downloads and locks lie.

CELLM_HOME may begin with ~/ and may be relative to the working directory. Without it the folder is
cellm-mpi in $XDG_CACHE_HOME, or in ~/.cache where that is not set or not absolute. The simulator
(AssetDirectory.swift) and the scripts (common.bash) read both variables in the same way.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import pwd
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Callable

from .errors import USAGE, PrepareError, naming, plain_errors

MANIFEST = "manifest.json"
RESERVED = re.compile(r"downloads|locks|environment(-.*)?")
"""Folders in $CELLM_HOME that are no models or corpora."""


def home() -> Path:
    """The path of $CELLM_HOME."""
    chosen = os.environ.get("CELLM_HOME", "")
    if chosen:
        return expanded(chosen).absolute()
    cache = os.environ.get("XDG_CACHE_HOME", "")
    return Path(cache if cache.startswith("/") else f"{user_home()}/.cache") / "cellm-mpi"


def expanded(path: str) -> Path:
    """A path whose ~ or ~/ at the beginning is the user's folder; all else is as it is written."""
    return Path(user_home() + path[1:] if path == "~" or path.startswith("~/") else path)


def is_path(name: str) -> bool:
    """True for a path: it has a slash or a leading dot; all else is a name in $CELLM_HOME."""
    return "/" in name or name.startswith(".") or name == "~"


def directory_of(name: str) -> Path:
    """The directory with a path, or with a name in $CELLM_HOME."""
    return expanded(name) if is_path(name) else home() / name


def user_home() -> str:
    """$HOME; where that is not set, the user's folder in the system's list of users, or /."""
    chosen = os.environ.get("HOME")
    if chosen:
        return chosen
    try:
        return pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:
        return "/"


def check_name(name: str) -> None:
    """Refuses names of prepared folders that would leave $CELLM_HOME, hide in it, or are taken."""
    plain = name and not name.startswith(".") and "/" not in name and name.isprintable()
    if not plain or len(name.encode("utf-8", "replace")) > 200:
        raise PrepareError(
            f"--name {name!r}: use a plain folder name without / or a leading dot", USAGE
        )
    if RESERVED.fullmatch(name):
        raise PrepareError(
            f"--name {name}: prepare keeps files of its own in {home() / name}; choose another"
            " name",
            USAGE,
        )


class Output:
    """Standard output: a reader that has gone, or a full disk, does not stop the work."""

    failure: OSError | None = None

    @classmethod
    def write(cls, line: str) -> None:
        """Prints a line at once; after a failure nothing more."""
        if cls.failure is None:
            cls._try(lambda: print(line, flush=True))

    @classmethod
    def flush(cls) -> None:
        """Writes out what is buffered."""
        if cls.failure is None and sys.stdout is not None:
            cls._try(sys.stdout.flush)

    @classmethod
    def _try(cls, write: Callable[[], None]) -> None:
        """Does a write; after a failure what is buffered, and all else, goes to the null device."""
        try:
            write()
        except OSError as error:
            cls.failure = error
            with contextlib.suppress(OSError, ValueError):
                null = os.open(os.devnull, os.O_WRONLY)
                os.dup2(null, sys.stdout.fileno())


def say(line: str) -> None:
    """One progress line, at once."""
    Output.write(line)


def is_there(path: Path) -> bool:
    """Whether something has this path. Raises OSError where that cannot be found out."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hex."""
    digest = hashlib.sha256()
    with naming(path), open(path, "rb") as file:
        while chunk := file.read(1 << 22):
            digest.update(chunk)
    return digest.hexdigest()


def sync(path: Path) -> None:
    """Asks the system to have a file or a folder on disk before going on."""
    with naming(path):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def locked(name: str) -> Iterator[None]:
    """Holds the lock of a name; says so when another process has it and this one has to wait.

    Names with a leading dot are of downloads, which no prepared folder can be called.
    """
    with plain_errors(f"{name}: lock"):
        folder = home() / "locks"
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{name}.lock"
        file = open(path, "a")
    try:
        with plain_errors(f"{name}: lock"), naming(path):
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno not in (errno.EAGAIN, errno.EACCES):
                    raise
                say(f"{name}: another process prepares it, waiting")
                fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        with contextlib.suppress(OSError):  # nothing was written to it
            file.close()
