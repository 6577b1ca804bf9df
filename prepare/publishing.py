"""Folders get into $CELLM_HOME whole or not at all, and replace nothing but what prepare made.

A folder is written under a temporary name, every file is synced, a manifest with sizes and hashes
is added last, and one rename publishes it. A lock for each name lets any number of processes ask
for the same folder at once: one makes it, the others wait and reuse it. Only what the manifest
says that prepare made is ever replaced, and files that somebody added or changed stay.
"""

from __future__ import annotations

import datetime
import errno
import json
import os
import platform
import shutil
import stat
import sys
from importlib import metadata
from pathlib import Path
from typing import Any, Callable

from .errors import USAGE, PrepareError, naming, plain_errors, shown
from .home import MANIFEST, check_name, home, is_there, locked, say, sha256_of, sync

TOOLS = ("numpy", "gguf", "tokenizers", "safetensors", "pillow")


def read_manifest(directory: Path) -> dict[str, Any]:
    """The manifest of a prepared folder, or {} where there is none or it is not one of prepare's.

    Raises OSError where it is there and cannot be read.
    """
    path = directory / MANIFEST
    try:
        with naming(path):
            found = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError, RecursionError):
        return {}
    parts = {"name": str, "request": dict, "files": dict}
    whole = isinstance(found, dict) and all(
        isinstance(found.get(part), kind) for part, kind in parts.items()
    )
    return found if whole and found["files"] else {}


def missing_files(directory: Path, manifest: dict[str, Any]) -> list[str]:
    """The files of a manifest that are not there."""
    return [name for name in manifest["files"] if not is_there(directory / name)]


def defect(directory: Path) -> str | None:
    """Why a prepared folder can't be used as it is, or None where every byte is as written."""
    manifest = read_manifest(directory)
    if not manifest:
        return f"no {MANIFEST} of prepare"
    for name in missing_files(directory, manifest):
        return f"{name} is missing"
    return changed_file(directory, manifest)


def changed_file(directory: Path, manifest: dict[str, Any]) -> str | None:
    """Which file that is there has other bytes than the manifest says; None where none has."""
    for name, expected in manifest["files"].items():
        path = directory / name
        if not is_there(path):
            continue
        with naming(path):
            status = path.stat()
        if not stat.S_ISREG(status.st_mode) or status.st_size != expected.get("bytes"):
            return f"{name} has {status.st_size} bytes, not {expected.get('bytes')}"
        if sha256_of(path) != expected.get("sha256"):
            return f"{name} has another SHA-256 than its manifest"
    return None


def publish(
    name: str,
    request: dict[str, Any],
    make: Callable[[Path], dict[str, Any]],
    replace: bool = False,
) -> Path:
    """Makes `$CELLM_HOME/name` by `make(temporary folder)`, or reuses it where it is sound.

    `request` says what is asked for; a folder made for another request is never overwritten
    unless `replace` is set, with one exception: when only the recipe's own number has changed.
    `make` returns what goes into the manifest beside that (sources, counts).
    """
    check_name(name)
    request = printable(json.loads(json.dumps(request)))
    final = home() / name
    with locked(name), plain_errors(name):
        _clear_leftovers(final)
        if is_there(final):
            reason = _reason_to_replace(final, name, request, replace)
            if reason is None:
                say(f"{name}: already in {shown(final)}, sound, reused")
                return final
            say(f"{name}: made anew ({reason})")
        partial = _partial(final)
        try:
            partial.mkdir()
            facts = make(partial)
            size = _write_manifest(partial, name, request, facts)
            _move_into_place(partial, final)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    say(f"{name}: ready in {shown(final)} ({size / 1e6:.1f} MB)")
    return final


def _reason_to_replace(
    final: Path, name: str, request: dict[str, Any], replace: bool
) -> str | None:
    """Why a folder that is there has to be made anew; None where it is what is asked for.

    Raises PrepareError where it may not be replaced.
    """
    manifest = read_manifest(final)
    if manifest.get("name") != name:
        raise PrepareError(
            f"{shown(final)} is there and prepare did not make it (its {MANIFEST} does not say so);"
            " choose another --name, or move it away",
            USAGE,
        )
    missing, changed = missing_files(final, manifest), changed_file(final, manifest)
    differences = _differences(manifest["request"], request)
    if not missing and not changed and not differences:
        return None
    _refuse_strays(final, manifest)
    if changed and not replace:
        raise PrepareError(
            f"{shown(final)}: {changed}: it is damaged or was changed by hand; add --replace to"
            " make it anew, or choose another --name",
        )
    if differences and differences != ["recipe"] and not replace:
        raise PrepareError(
            f"{shown(final)} was made with another {', '.join(differences)}; choose another --name,"
            " or add --replace",
            USAGE,
        )
    if missing or changed:
        return changed or f"{missing[0]} is missing"
    if differences == ["recipe"]:
        return "this version of prepare makes other files of the same request"
    return f"made with another {', '.join(differences)} before"


def _refuse_strays(final: Path, manifest: dict[str, Any]) -> None:
    """Raises PrepareError where a folder is a link, or holds what prepare did not write."""
    if final.is_symlink():
        raise PrepareError(f"{shown(final)} is a link and is not replaced; remove it first", USAGE)
    with naming(final):
        strays = sorted(
            {entry.name for entry in final.iterdir()} - set(manifest["files"]) - {MANIFEST}
        )
    if strays:
        raise PrepareError(
            f"{shown(final)} holds {shown(strays[0])}, which prepare did not write, and is not "
            "replaced; move that file away first",
            USAGE,
        )


def _differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """The keys whose values differ."""
    return sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))


def printable(value: Any) -> Any:
    """A value for JSON in UTF-8; surrogates in its texts become \\uNNNN."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, dict):
        return {printable(key): printable(item) for key, item in value.items()}
    return [printable(item) for item in value] if isinstance(value, (list, tuple)) else value


def _write_manifest(folder: Path, name: str, request: dict[str, Any], facts: dict[str, Any]) -> int:
    """Hashes and syncs the files of a folder, then writes its manifest; returns all their bytes."""
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
        "command": ["scripts/prepare", *(shown(word) for word in sys.argv[1:])],
        "made": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
    }
    path = folder / MANIFEST
    text = json.dumps(printable(manifest), indent=2, ensure_ascii=False) + "\n"
    with naming(path):
        path.write_text(text, encoding="utf-8")
    sync(path)
    sync(folder)
    return len(text.encode()) + sum(file["bytes"] for file in files.values())


def _partial(final: Path) -> Path:
    """The folder in which the next one is made; one a name, since the name's lock is held."""
    return final.parent / f".partial.{final.name}"


def _old(final: Path) -> Path:
    """The name that a folder has for the moment in which another takes its place."""
    return final.parent / f".old.{final.name}"


def _clear_leftovers(final: Path) -> None:
    """Removes the half-made folder of a killed process, and brings back a folder set aside."""
    old = _old(final)
    if is_there(old) and not is_there(final):
        old.rename(final)
        sync(final.parent)
    for leftover in (old, _partial(final)):
        if is_there(leftover):
            shutil.rmtree(leftover)


def _move_into_place(partial: Path, final: Path) -> None:
    """Gives a finished folder its name. The one that was there has the partial name after that.

    The two are exchanged in one step where the file system can do that. Elsewhere the old one is
    set aside for a moment; a process that is killed then leaves it for `_clear_leftovers`.
    """
    if not is_there(final):
        partial.rename(final)
    elif not _exchange(partial, final):
        final.rename(_old(final))
        try:
            partial.rename(final)
        except BaseException:
            _old(final).rename(final)
            raise
        shutil.rmtree(_old(final), ignore_errors=True)
    sync(final.parent)


def _exchange(one: Path, other: Path) -> bool:
    """Exchanges two folders by renameat2; False where the file system cannot do that."""
    try:
        import ctypes

        call = ctypes.CDLL(None, use_errno=True).renameat2
    except (ImportError, OSError, AttributeError):
        return False
    working_directory, exchange = -100, 2
    if (
        call(working_directory, os.fsencode(one), working_directory, os.fsencode(other), exchange)
        == 0
    ):
        return True
    number = ctypes.get_errno()
    if number in (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP):
        return False
    raise OSError(number, os.strerror(number), os.fspath(other))
