"""How a failure is told: one line that names file and cause and says what to do, and an exit code.

The exit codes are those of the simulator; 69 is prepare's own.
"""

from __future__ import annotations

import contextlib
import difflib
import errno
import os
import re
from collections.abc import Iterator
from pathlib import Path

USAGE = 64
DATA = 65
MISSING = 66
UNAVAILABLE = 69
SOFTWARE = 70
INPUT_OUTPUT = 74
EXIT_CODES = (
    "exit codes: 0 done; 64 usage; 65 malformed or unfit data; 66 missing input; 69 no network, or "
    "no package; 70 a fault of the program; 74 reading or writing failed (disk full, no "
    "permission); 129, 130 and 143 ended by SIGHUP, SIGINT and SIGTERM"
)

ELSEWHERE = "or set CELLM_HOME to another folder"
ADVICE = {
    errno.ENOSPC: f"free some space there, {ELSEWHERE}",
    errno.EDQUOT: f"free some of your quota there, {ELSEWHERE}",
    errno.EACCES: "change its permissions or its owner",
    errno.EPERM: "change its permissions or its owner",
    errno.EROFS: "set CELLM_HOME to a folder that can be written",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.ENFILE: "close other programs: the system has no more open files",
    errno.ENOMEM: "free some memory",
    errno.ENOENT: "check the path",
    errno.ENOTDIR: "check the path",
    errno.EISDIR: "give a file",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ENOLCK: "set CELLM_HOME to a file system with locks (flock)",
    errno.ENOTSUP: "set CELLM_HOME to a file system with locks (flock)",
}


class PrepareError(Exception):
    """A cause outside this program (network, disk, the content of a file), told in one line."""

    def __init__(self, message: str, code: int = DATA):
        super().__init__(message)
        self.code = code


def shown(path: os.PathLike[str] | str) -> str:
    """A path as text for people and for JSON; bytes that are not UTF-8 as \\xNN."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def one_line(text: object, most: int = 300) -> str:
    """A text without line breaks, cut where it is long."""
    joined = " ".join(str(text).split())
    return joined if len(joined) <= most else joined[: most - 3] + "..."


def nearest(name: str, names: list[str]) -> str:
    """A question for a name that is nearly one of the names, or nothing."""
    near = difflib.get_close_matches(name, names, 1, 0.6)
    return f"; did you mean {near[0]}?" if near else ""


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Names the file in operating system errors that name none, as those of read and write."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = os.fspath(path)
        if error.errno is None:  # of a library in Rust, which puts the number into its text
            number = re.search(r"\(os error (\d+)\)", str(error))
            if number:
                error.errno = int(number[1])
                error.strerror = os.strerror(error.errno)
        raise


@contextlib.contextmanager
def plain_errors(doing: str) -> Iterator[None]:
    """Turns an operating system error into one line: the task, the file, the cause and advice."""
    try:
        yield
    except OSError as error:
        raise PrepareError(f"{doing}: {described(error)}", code_of(error)) from error


def described(error: OSError) -> str:
    """The file, the system's words for the error, and what to do."""
    file = error.filename
    where = f"{shown(file)}: " if isinstance(file, (str, bytes, os.PathLike)) else ""
    cause = error.strerror or one_line(error) or type(error).__name__
    return f"{where}{cause}; {ADVICE.get(error.errno, 'then type the same command again')}"


def code_of(error: OSError) -> int:
    """A file that is not there is missing input; everything else failed to read or write."""
    return MISSING if error.errno in (errno.ENOENT, errno.ENOTDIR) else INPUT_OUTPUT
