"""Files that appear whole or not at all, with one writer at a time, and the plain JSON values of settings."""

from __future__ import annotations

import errno
import functools
import hashlib
import json
import math
import os
import platform
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

LONGEST_TEXT = 200
DEEPEST = 8
Content = TypeVar("Content")


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Give a path to write to beside ``path``, and move what was written there when the block ends without an error.

    Whoever reads ``path`` finds the old file or the new one, never a part, even after a power failure. The folder is
    made if it is missing.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.writing")
    try:
        yield partial
        sync(partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def remove_partials(path: Path) -> None:
    """Remove what processes that were killed while they wrote a file left beside it; no other may be writing it now."""
    for left in path.parent.glob(f"{path.name}.*.writing"):
        left.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Wait until what was written to a file is on the disk."""
    with path.open("rb+") as stream:  # Windows syncs only what is open for writing
        os.fsync(stream.fileno())


@contextmanager
def one_writer(path: Path, doing: str, check: Callable[[], object] = lambda: None) -> Iterator[None]:
    """Hold the lock of a file or folder while the block runs; wait while another process holds it.

    After a second of waiting, stderr says so in one sentence; ``doing`` is what a holder does with ``path``, such as
    "building". ``check`` is then called once a second, and may raise. The lock is a hidden file beside ``path``, whose
    folder is made if it is missing. It is removed when the block ends, and a lock whose holder was killed is free. On a
    file system without locks stderr says so, and the block runs without one.
    """
    from filelock import FileLock, Timeout  # takes longer to import than the rest of this module

    file = lock_of(path)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(file.parent)) from None
    lock, waiting = FileLock(file, fallback_to_soft=False), False
    while not lock.is_locked:
        try:
            lock.acquire(timeout=1)
        except Timeout:
            if not waiting:
                print(f"{_holder(file)} is {doing} {path}; this process waits until it has finished.", file=sys.stderr)
            waiting = True
            check()
        except (NotImplementedError, OSError) as error:
            if isinstance(error, OSError) and error.errno not in (errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP):
                raise
            print(
                f"{file.parent} cannot hold locks; make sure that no other process is {doing} {path}.", file=sys.stderr
            )
            break
    try:
        if lock.is_locked:
            with suppress(OSError):  # Windows lets nobody write to a locked file
                file.write_text(f"{os.getpid()} on {platform.node()}")
        yield
    finally:
        if lock.is_locked:
            # Removed while it is held: whoever has just opened it sees that it is gone, and makes a new one.
            with suppress(OSError):  # Windows removes no open file
                file.unlink()
            lock.release()


def lock_of(path: Path) -> Path:
    """The lock of a file or folder, there while ``one_writer`` holds it, or left by a process that was killed."""
    return path.with_name(f".{path.name}.lock")


def _holder(file: Path) -> str:
    """The process that holds a lock, as the first words of a sentence."""
    with suppress(OSError, ValueError):
        if text := file.read_text():
            return f"Another process ({text})"
    return "Another process"


def hash_of_file(path: Path, algorithm: str = "sha256") -> str:
    """The hash of a file's content, in hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest()


def remembered_hash(path: Path, anew: bool = False) -> str:
    """The SHA-256 of a file's content, computed once on a machine until the file changes, or ``anew``.

    It is noted in the user's folder for states, with the file's size, number and times, of which nobody can set back
    that of the last change; where nothing can be noted, it is computed each time. A note does not know of a disk that
    rots.
    """
    import platformdirs

    facts = path.stat()
    state = [facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_ino, facts.st_dev]
    name = str(path.absolute())
    note = Path(platformdirs.user_state_dir("in9")) / "hashes" / f"{key_of(name)}.json"
    with suppress(OSError, ValueError, LookupError, TypeError):
        if not anew and (noted := read_json(note))["state"] == state:
            return str(noted["sha256"])
    digest = hash_of_file(path)
    with suppress(OSError), written_whole(note) as partial:
        partial.write_text(json.dumps({"file": name, "state": state, "sha256": digest}))
    return digest


def kept_until_changed(number: int) -> Callable[[Callable[[Path], Content]], Callable[[Path], Content]]:
    """Keep what a function reads from the last so many files, each until its size or its time of change is another."""

    def decorated(read: Callable[[Path], Content]) -> Callable[[Path], Content]:
        kept = functools.lru_cache(number)(lambda path, state: read(path))

        @functools.wraps(read)
        def wrapper(path: Path) -> Content:
            state = None
            with suppress(OSError, ValueError):  # reading it says what is wrong
                facts = path.stat()
                state = facts.st_mtime_ns, facts.st_size
            return kept(path, state)

        return wrapper

    return decorated


def read_bytes(path: Path) -> bytes:
    """The content of a file. Raises OSError if it cannot be read, also for a pipe, which would be waited for."""
    if path.exists() and not path.is_file() and not path.is_dir():
        raise OSError(errno.EINVAL, "not a file")
    return path.read_bytes()


def read_json(path: Path) -> Any:
    """The content of a JSON file in UTF-8.

    Raises OSError if it cannot be read, and ValueError for what is no JSON, NaN among it, and for too many levels.
    """

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is no number")

    try:
        return json.loads(read_bytes(path).decode(), parse_constant=refuse)
    except RecursionError:
        raise ValueError("too many levels") from None


def check_plain(value: Any, place: str, depth: int = 0) -> None:
    """Check a JSON value that comes from elsewhere; ``place`` is what an error calls it.

    Raises ValueError for a text that is long or not printable, a number that is not finite, and too many levels.
    """
    if depth > DEEPEST:
        raise ValueError(f"{place} has more than {DEEPEST} levels")
    if isinstance(value, str):
        if len(value) > LONGEST_TEXT or not value.isprintable():
            raise ValueError(f"{place} is longer than {LONGEST_TEXT} characters, or cannot be printed")
    elif isinstance(value, float | int):
        if abs(value) > 2**63 or not math.isfinite(value):
            raise ValueError(f"{place} is no number of a sensible size")
    elif value is not None:
        for name, entry in value.items() if isinstance(value, Mapping) else enumerate(value):
            check_plain(name, f"a name in {place}", depth)
            check_plain(entry, f"{place}.{str(name)[:40]}", depth + 1)


def plain(value: Any) -> Any:
    """A copy made of JSON's own types, so that what is written and what is read compare equal."""
    return json.loads(json.dumps(value, default=lambda item: item.item()))


def key_of(settings: Any) -> str:
    """A name for settings: 16 hexadecimal digits that depend on all of them."""
    return hashlib.sha256(json.dumps(plain(settings), sort_keys=True).encode()).hexdigest()[:16]


def without_defaults(settings: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that differ from their defaults, at every depth; a setting without a default is kept."""
    kept = {}
    for name, value in settings.items():
        default = defaults.get(name)
        if isinstance(value, Mapping) and isinstance(default, Mapping):
            if inner := without_defaults(value, default):
                kept[name] = inner
        elif name not in defaults or value != default:
            kept[name] = value
    return kept
