"""What a workspace holds of its own making, and which of it nothing needs any more."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from in9.data.dataset import Dataset, is_dataset
from in9.errors import In9Error
from in9.evaluation.records import read
from in9.files import lock_of
from in9.study.jobs import Job
from in9.study.workspace import Workspace
from in9.training.recipe import Recipe
from in9.training.trained import weights_file

BEING_WRITTEN = 3600.0
"""Seconds since its last change after which a file that is half written is a leftover."""


@dataclass(frozen=True)
class Holding:
    """A file or folder of a workspace: ``kind`` is what it is, ``bytes`` its size, ``stale`` why nothing needs it."""

    path: Path
    kind: str
    bytes: int
    stale: str = ""


def holdings(workspace: Workspace, jobs: Iterable[Job]) -> list[Holding]:
    """What lies in ``data/`` and ``runs/``; ``jobs`` are those whose weights are needed, beside those with a record.

    A dataset, a record, and what a stopped build, training or challenge goes on from, are never stale.
    """
    wanted = _wanted_weights(workspace, jobs)
    return [
        Holding(path, kind, _size(path), stale)
        for part in (_of_data(workspace), _of_training(workspace, wanted), _of_the_rest(workspace))
        for path, kind, stale in part
    ]


def _of_data(workspace: Workspace) -> Iterator[tuple[Path, str, str]]:
    for path in sorted(workspace.data.glob("[!.]*")):
        if path.name.endswith(".partial"):
            whole = is_dataset(path.with_name(path.name.removesuffix(".partial")))
            yield path, "stopped build", "its dataset is whole" if whole else ""
        else:
            yield path, "dataset" if is_dataset(path) else "other", ""


def _of_training(workspace: Workspace, wanted: set[Path]) -> Iterator[tuple[Path, str, str]]:
    for path in sorted(workspace.trained.glob("[!.]*")):
        weights = path.with_suffix(".safetensors")
        in_use = lock_of(weights).exists()  # or left by a process that was killed
        unwanted = "" if weights in wanted or in_use else "no record and no profile needs these weights"
        if path == weights:
            yield path, "weights", unwanted
        elif path.suffix == ".checkpoint":
            done = weights.is_file() and not in_use
            yield path, "checkpoint", "its training has ended" if done else unwanted
        else:
            yield path, *_leftover(path)


def _of_the_rest(workspace: Workspace) -> Iterator[tuple[Path, str, str]]:
    for path in sorted(workspace.challenges.glob("[!.]*")):
        if path.suffix == ".npz":
            yield path, "stopped challenge", ""
        else:
            yield path, *(("damaged state", "it cannot be read") if path.suffix == ".damaged" else _leftover(path))
    for path in sorted(path for path in workspace.measured.rglob("[!.]*") if path.is_file()):
        yield path, *(("record", "") if path.suffix == ".json" else _leftover(path))


def _leftover(path: Path) -> tuple[str, str]:
    """What a file is that is none of the usual, and why nothing needs it."""
    if path.suffix != ".writing":
        return "other", ""
    left = time.time() - path.stat().st_mtime > BEING_WRITTEN
    return "half a file", "whoever wrote it was stopped" if left else ""


def _wanted_weights(workspace: Workspace, jobs: Iterable[Job]) -> set[Path]:
    """The weights of the jobs, and of every record on a dataset that is here."""
    datasets: dict[str, Dataset] = {}
    for manifest in workspace.data.glob("*/manifest.json"):
        with suppress(In9Error):
            opened = Dataset(manifest.parent)
            datasets[opened.hash] = opened
    wanted = set()
    for path in workspace.measured.rglob("*_*_*.json"):
        with suppress(In9Error, TypeError):  # a record of another version has no weights of this one
            record = read(path)
            if record.data in datasets and "recipe" in record.settings:
                recipe = Recipe().changed(**record.settings["recipe"])
                wanted.add(weights_file(workspace.trained, recipe, datasets[record.data]))
    for job in jobs:
        with suppress(In9Error):  # there is no such dataset
            if (weights := job.weights(workspace)) is not None:
                wanted.add(weights)
    return wanted


def remove(stale: Sequence[Holding]) -> None:
    """Remove holdings from the disk."""
    for holding in stale:
        if holding.path.is_dir() and not holding.path.is_symlink():
            shutil.rmtree(holding.path)
        else:
            holding.path.unlink(missing_ok=True)


def _size(path: Path) -> int:
    """The size of a file, or of all that is in a folder."""
    files = [path] if path.is_file() else path.rglob("*")
    return sum(file.lstat().st_size for file in files if not file.is_dir())
