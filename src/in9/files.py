"""Files that appear whole or not at all, and the plain JSON values that settings are made of."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Give a path to write to beside ``path``, and move what was written there when the block ends without an error.

    Whoever reads ``path`` finds the old file or the new one, never a part. The folder is made if it is missing.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.writing")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def hash_of_file(path: Path, algorithm: str = "sha256") -> str:
    """The hash of a file's content, in hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest()


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
