"""$CELLM_HOME: where prepared directories live, and how one gets there whole or not at all.

A directory is written under a temporary name, every file is synced, a manifest with sizes and
hashes is added last, and one rename publishes it. A lock file per name lets any number of
processes ask for the same directory at once: one makes it, the others wait and reuse it.
"""

from __future__ import annotations

import contextlib
import datetime
import errno
import fcntl
import hashlib
import json
import os
import platform
import shutil
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any, Callable

from .errors import PrepareError

MANIFEST = "manifest.json"
TOOLS = ("numpy", "gguf", "tokenizers", "safetensors")


def home() -> Path:
    """$CELLM_HOME, or cellm-mpi under the user's cache folder."""
    chosen = os.environ.get("CELLM_HOME")
    if chosen:
        return Path(chosen).expanduser().absolute()
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser().absolute() / "cellm-mpi"


def say(line: str) -> None:
    """One progress line, at once."""
    print(line, flush=True)


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hex."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(1 << 22):
            digest.update(chunk)
    return digest.hexdigest()


@contextlib.contextmanager
def plain_errors(doing: str) -> Iterator[None]:
    """Turns an operating system error into one line that says what was being done."""
    try:
        yield
    except OSError as error:
        where = error.filename or home()
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise PrepareError(
                f"{doing}: no space left for {where}; free some or set CELLM_HOME elsewhere"
            ) from error
        raise PrepareError(f"{doing}: {where}: {error.strerror or error}") from error


def read_manifest(directory: Path) -> dict[str, Any]:
    """The manifest of a prepared directory, or {} where there is none that can be read."""
    try:
        found = json.loads((directory / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def defect(directory: Path) -> str | None:
    """Why a prepared directory can't be used as it is, or None where every byte is as written."""
    manifest = read_manifest(directory)
    files = manifest.get("files")
    if not isinstance(files, dict) or not files:
        return f"no readable {MANIFEST}"
    for name, expected in files.items():
        path = directory / name
        if not path.is_file():
            return f"{name} is missing"
        size = path.stat().st_size
        if size != expected.get("bytes"):
            return f"{name} has {size} bytes, not {expected.get('bytes')}"
        if sha256_of(path) != expected.get("sha256"):
            return f"{name} has another SHA-256 than its manifest"
    return None


def sync(path: Path) -> None:
    """Asks the system to have a file or a folder on disk before going on."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def locked(name: str) -> Iterator[None]:
    """Holds the lock of a name; says so when another process has it and this one has to wait."""
    with plain_errors(f"{name}: lock"):
        folder = home() / "locks"
        folder.mkdir(parents=True, exist_ok=True)
        file = open(folder / f"{name}.lock", "a")
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"{name}: another process prepares it, waiting")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def publish(
    name: str,
    request: dict[str, Any],
    make: Callable[[Path], dict[str, Any]],
    replace: bool = False,
) -> Path:
    """Makes `$CELLM_HOME/name` by `make(temporary folder)`, or reuses it where it is sound.

    `request` says what is asked for; a directory made for another request is never overwritten
    unless `replace` is set, with one exception: when only the recipe's own number has changed.
    `make` returns what goes into the manifest beside that (sources, counts).
    """
    if not name or name.startswith(".") or "/" in name:
        raise PrepareError(f"name {name!r}: use a plain folder name without / or a leading dot")
    request = json.loads(json.dumps(request))
    final = home() / name
    with locked(name):
        if final.exists() or final.is_symlink():
            flaw = defect(final)
            made_for = read_manifest(final).get("request")
            if flaw is None and made_for == request:
                say(f"{name}: already in {final}, sound, reused")
                return final
            if flaw is None and not replace:
                changed = _differences(made_for or {}, request)
                if changed != ["recipe"]:
                    raise PrepareError(
                        f"{final} was made with another {', '.join(changed)}; "
                        "choose another --name, or add --replace"
                    )
            say(f"{name}: made anew ({flaw or 'asked for something else before'})")
        with plain_errors(name):
            for stale in final.parent.glob(f".{name}.partial-*"):
                shutil.rmtree(stale, ignore_errors=True)
            partial = final.parent / f".{name}.partial-{os.getpid()}"
            partial.mkdir()
        try:
            with plain_errors(name):
                facts = make(partial)
                _write_manifest(partial, name, request, facts)
                _move_into_place(partial, final)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    size = sum(path.stat().st_size for path in final.iterdir() if path.is_file())
    say(f"{name}: ready in {final} ({size / 1e6:.1f} MB)")
    return final


def _differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """The keys whose values differ."""
    return sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))


def _write_manifest(
    folder: Path, name: str, request: dict[str, Any], facts: dict[str, Any]
) -> None:
    """Hashes and syncs every file of a folder, then writes and syncs its manifest."""
    files = {}
    for path in sorted(folder.iterdir()):
        files[path.name] = {"bytes": path.stat().st_size, "sha256": sha256_of(path)}
        sync(path)
    manifest = {
        "name": name,
        "request": request,
        **facts,
        "files": files,
        "tools": {
            "python": platform.python_version(),
            **{tool: metadata.version(tool) for tool in TOOLS},
        },
        "command": ["python", "-m", "prepare", *sys.argv[1:]],
        "made": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
    }
    path = folder / MANIFEST
    path.write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    sync(path)
    sync(folder)


def _move_into_place(partial: Path, final: Path) -> None:
    """Renames a finished folder to its name; what was there before is gone only after that."""
    old = None
    if final.exists() or final.is_symlink():
        old = final.parent / f".{final.name}.partial-old-{os.getpid()}"
        final.rename(old)
    partial.rename(final)
    sync(final.parent)
    if old is not None:
        if old.is_dir() and not old.is_symlink():
            shutil.rmtree(old, ignore_errors=True)
        else:
            old.unlink()
