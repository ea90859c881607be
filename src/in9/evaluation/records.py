"""Records: one measured result each, with its settings and where it comes from, as one JSON document.

The key of a record is a hash of its settings, so a result is computed once for each setting and found again. A record
holds numbers only: what was run, on what, with what, and tidy rows. Predictions are written as one digit per image.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from in9.errors import In9Error

FORMAT = 1


def plain(value: Any) -> Any:
    """A copy made of JSON's own types, so that what is written and what is read compare equal."""
    return json.loads(json.dumps(value, default=lambda one: one.item()))


def key_of(settings: Any) -> str:
    """The name of a setting: 16 hexadecimal digits."""
    return hashlib.sha256(json.dumps(plain(settings), sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Record:
    """One measured result.

    ``kind`` says what was measured, ``name`` is for people; ``settings`` decide the result; ``data`` is the content
    hash of the dataset; ``results`` is what was measured; ``provenance`` says how, when and on what.
    """

    kind: str
    name: str
    settings: dict[str, Any]
    data: str
    results: dict[str, Any]
    provenance: dict[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The hash of the kind and settings."""
        return key_of({"kind": self.kind, **self.settings})

    @property
    def filename(self) -> str:
        """Readable, and unique by its key."""
        return f"{self.kind}_{self.name}_{self.key}.json"


class Store:
    """Records in a folder, one file each; written atomically, so a stopped run leaves no half record."""

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)

    def find(self, kind: str, settings: dict[str, Any]) -> Record | None:
        """The record of these settings, or None. Raises In9Error if its file is damaged."""
        key = key_of({"kind": kind, **settings})
        for path in sorted(self.folder.glob(f"**/{kind}_*_{key}.json")):
            return read(path)
        return None

    def all(self, kind: str | None = None) -> list[Record]:
        """Every record, or those of one kind, in the order of their file names."""
        return [read(path) for path in sorted(self.folder.glob(f"**/{kind or '*'}_*_*.json"))]

    def write(self, record: Record) -> Path:
        """Write a record and return its path; one of the same settings is replaced."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / record.filename
        content = {"format": FORMAT, "key": record.key, **record.__dict__}
        partial = path.with_suffix(f".{os.getpid()}.writing")
        partial.write_text(json.dumps(plain(content), indent=1, allow_nan=False) + "\n")
        partial.replace(path)
        return path


def read(path: Path) -> Record:
    """A record from its file; raises In9Error if it is damaged, of another format, or its settings were edited."""
    try:
        content = json.loads(path.read_text())
        number, key = content.pop("format"), content.pop("key")
        record = Record(**content)
        same = number == FORMAT and key == record.key
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise In9Error(f"The record {path} is damaged ({error}); remove it to measure again.") from error
    if not same:
        raise In9Error(f"The record {path} has another format or edited settings; remove it to measure again.")
    return record


def to_digits(classes: Sequence[int] | np.ndarray) -> str:
    """Classes 0 to 8 as one digit each; -1, an ImageNet class under none of the nine, as a dash."""
    return "".join("-" if one < 0 else str(int(one)) for one in classes)


def from_digits(text: str) -> np.ndarray:
    """The classes written by ``to_digits``: int64 [length]."""
    codes = np.frombuffer(text.encode("ascii"), np.uint8).astype(np.int64) - ord("0")
    return np.where(codes < 0, -1, codes)


def packed(values: np.ndarray) -> str:
    """Numbers in one line of text, with four decimals."""
    return " ".join(f"{value:.0f}" if value in (0, 1) else f"{value:.4f}" for value in values)


def unpacked(text: str) -> np.ndarray:
    """The numbers written by ``packed``: float64 [N]."""
    return np.array(text.split(), np.float64)


def provenance(seconds: float, device: str, **more: Any) -> dict[str, Any]:
    """How, when and on what something was measured; ``more`` is added as it is."""
    return {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(seconds, 1),
        "device": device,
        **code_version(),
        **machine(),
        **more,
    }


@functools.cache
def code_version() -> dict[str, Any]:
    """The versions of the code and of what it stands on."""
    folder = Path(__file__).parents[1]

    def git(*words: str) -> str | None:
        try:
            done = subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, timeout=10, check=True)
        except (OSError, subprocess.SubprocessError):
            return None
        return done.stdout.strip()

    versions = {name: metadata.version(name) for name in ("in9", "torch", "numpy", "opencv-python-headless")}
    changed = git("status", "--porcelain", "--", ".")
    return {
        "commit": git("rev-parse", "--short=12", "HEAD"),
        "uncommitted_changes": None if changed is None else bool(changed),
        "python": platform.python_version(),
        "versions": versions,
    }


@functools.cache
def machine() -> dict[str, Any]:
    """The hardware: processor, cores and, where there is one, the GPU."""
    import torch

    processor = platform.processor() or platform.machine()
    listing = Path("/proc/cpuinfo")
    if listing.is_file():
        names = [line.partition(":")[2].strip() for line in listing.read_text().splitlines() if "model name" in line]
        processor = names[0] if names else processor
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {"processor": processor, "cores": os.cpu_count(), "gpu": gpu}
