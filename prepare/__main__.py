"""python -m prepare: whatever happens ends with a documented exit code and one line that says why.

The modules that do the work are imported inside of `main`, so that a package that cannot be loaded
is such a line too.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import traceback
from types import FrameType


class Ended(BaseException):
    """A signal asked the process to end. Temporary folders are removed on the way out."""

    def __init__(self, number: int):
        super().__init__(number)
        self.number = number


def end(number: int, frame: FrameType | None) -> None:
    """The handler of SIGINT, SIGTERM and SIGHUP; a second signal ends the process at once."""
    signal.signal(number, signal.SIG_DFL)
    raise Ended(number)


def tell(line: str) -> None:
    """One line on standard error, where anybody reads it."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        print(f"prepare: {line}", file=sys.stderr, flush=True)


def place_of(error: BaseException) -> str:
    """Where in prepare an error was raised: file and line."""
    here = os.path.dirname(os.path.abspath(__file__))
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename.startswith(here)]
    return f"{os.path.basename(frames[-1].filename)}:{frames[-1].lineno}" if frames else "prepare"


def run(words: list[str]) -> int:
    """Does what the command line asks for; returns the exit code."""
    try:
        from .command_line import main as command
        from .errors import INPUT_OUTPUT, SOFTWARE, PrepareError, one_line
    except Exception as error:
        while error.__cause__ is not None:
            error = error.__cause__
        tell(
            f"Python cannot load its packages: {' '.join(str(error).split())[:200]}; type the same "
            "command again, or remove the folder environment-* from CELLM_HOME"
        )
        return 74
    try:
        command(words)
    except PrepareError as error:
        tell(" ".join(str(error).splitlines()))
        return error.code
    except MemoryError:
        tell("memory ran out; close other programs, or prepare fewer texts at a time")
        return INPUT_OUTPUT
    except OSError as error:
        tell(one_line(error))
        return INPUT_OUTPUT
    except Exception as error:
        tell(
            f"a fault of prepare itself ({place_of(error)}): {type(error).__name__}:"
            f" {one_line(error)}; please report this line"
        )
        return SOFTWARE
    return 0


def finish(code: int) -> int:
    """Writes out what is left of standard output; its failure is told where all else went well."""
    from .home import Output

    Output.flush()
    failure = Output.failure
    if failure is None or isinstance(failure, BrokenPipeError) or code != 0:
        return code
    tell(f"standard output: {failure.strerror or failure}; the work itself is done")
    return 74


def main() -> int:
    """The exit code of the process."""
    try:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, end)
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="backslashreplace")
        return finish(run(sys.argv[1:]))
    except Ended as signalled:
        name = signal.Signals(signalled.number).name
        tell(f"ended by {name}; nothing half done is left in place")
        return 128 + signalled.number
    except Exception as error:
        tell(f"{type(error).__name__}: {error}")
        return 70


if __name__ == "__main__":
    sys.exit(main())
