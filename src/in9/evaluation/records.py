"""Records: one stored measurement each, with its settings and where it comes from, as one JSON document.

The key of a record is a hash of its settings, so a result is measured once for each setting and found again. Settings
at their default are left out of the hash: a recipe that gets a new field keeps its old records. A record holds numbers
only: what was measured, on what, with what, and predictions as one digit for each image.
"""

from __future__ import annotations

import functools
import json
import os
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch

from in9.data.splits import Split
from in9.errors import In9Error, reason
from in9.evaluation.predictions import Model, Predictions
from in9.evaluation.schema import problem_of
from in9.files import kept_until_changed, key_of, plain, read_json, without_defaults, written_whole
from in9.training.recipe import IN9L, Recipe

RECORD_FORMAT = 2
DEFAULTS = plain(
    {
        "data": {"source_settings": {}, "seed": 0, "split": asdict(Split())},
        "recipe": asdict(Recipe()),
        "options": {
            "test_seed": 0,
            "draws": 1,
            "foregrounds_per_class": None,
            "backgrounds_per_class": None,
            "per_class": None,
            "variant": "original",
            "of": "true",
        },
    }
)
"""Settings that a key leaves out. A default that changes needs a new ``RECORD_FORMAT`` and a migration."""


@dataclass(frozen=True)
class Record:
    """One stored measurement.

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
        """The hash of the kind and of the settings that differ from their defaults."""
        return record_key(self.kind, self.settings)

    @property
    def digest(self) -> str:
        """The hash of the results and of the dataset that they are of; a file that was changed has another one."""
        return key_of([self.data, self.results])

    @property
    def filename(self) -> str:
        """Readable, and unique by its key."""
        return f"{self.kind}_{self.name}_{self.key}.json"


def record_key(kind: str, settings: dict[str, Any]) -> str:
    """The key of a record of this kind with these settings."""
    return key_of({"kind": kind, **without_defaults(plain(settings), DEFAULTS)})


class Store:
    """Records in a folder, one file each; written whole, so a stopped run leaves no half record."""

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)

    def find(self, kind: str, settings: dict[str, Any]) -> Record | None:
        """The record of these settings, or None. Raises In9Error if its file is damaged."""
        key = record_key(kind, settings)
        return next(map(read, sorted(self.folder.glob(f"**/{kind}_*_{key}.json"))), None)

    def all(self, kind: str | None = None) -> list[Record]:
        """Every record, or those of one kind, in the order of their file names."""
        return [read(path) for path in sorted(self.folder.glob(f"**/{kind or '*'}_*_*.json"))]

    def write(self, record: Record) -> Path:
        """Write a record and return its path; one of the same settings is replaced."""
        path = self.folder / record.filename
        content = {"format": RECORD_FORMAT, "key": record.key, "digest": record.digest, **record.__dict__}
        with written_whole(path) as partial:
            partial.write_text(json.dumps(plain(content), indent=1, allow_nan=False) + "\n")
        return path


@kept_until_changed(512)  # chapters ask for the same record many times
def read(path: Path) -> Record:
    """A record from its file.

    Raises In9Error if it is damaged, of another format, if its settings or results were changed, or if it holds what no
    measurement gives. Records that were written before there were digests are read without one.
    """
    again = "remove it to measure again"
    try:
        content = read_json(path)
        number, key, digest = content.pop("format"), content.pop("key"), content.pop("digest", None)
        record = Record(**content)
        same = number == RECORD_FORMAT and key == record.key
        whole = digest in (None, record.digest)
    except OSError as error:
        raise In9Error(f"The record {path} cannot be read ({reason(error)}); {again}.") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise In9Error(f"The record {path} is damaged ({error}); {again}.") from error
    if number == 1:
        raise In9Error(
            f"The record {path} has the format of the first edition; bring it up to date with "
            f"`python scripts/migrate_records.py {path.parent}`."
        )
    if not same:
        raise In9Error(f"The record {path} has another format or edited settings; {again}.")
    if not whole:
        raise In9Error(f"The results in {path} were changed after they were measured; {again}.")
    if problem := problem_of(record.__dict__):
        raise In9Error(f"The record {path} holds what no measurement gives ({problem}); {again}.")
    return record


# ------------------------------------------------------------------------------------------ what records hold as text


def predictions_of(records: Sequence[Record], part: int | None = None) -> Predictions:
    """The predictions of one or several equal models (seeds, or folds), one record each.

    ``part`` picks one of several predictions of each test set, where a record has more than one (of changed masks,
    say). Models that are seeds must be of the same images.
    """
    single, folds = [_of_record(record, part) for record in records], folds_of(records)
    if folds is None:
        classes = {test: np.concatenate([each.classes[test] for each in single]) for test in single[0].tests}
        return replace(single[0], classes=classes, models=tuple(map(model_of, records)))

    def joined(test: str, values: str) -> np.ndarray:
        return np.concatenate([getattr(each, values)[test] for each in single], axis=-1)

    def joined_backgrounds(test: str) -> np.ndarray:
        starts = np.cumsum([0, *(len(each.labels[test]) for each in single[:-1])])
        return np.concatenate([each.backgrounds[test] + start for each, start in zip(single, starts, strict=True)], 1)

    return Predictions(
        {test: joined(test, "labels") for test in single[0].tests},
        {test: joined(test, "classes") for test in single[0].tests},
        tuple(map(model_of, records)),
        backgrounds={
            test: joined_backgrounds(test)
            for test in single[0].backgrounds
            if all(test in each.backgrounds for each in single)
        },
        folds={test: np.repeat(folds, [len(each.labels[test]) for each in single]) for test in single[0].tests},
    )


def folds_of(records: Sequence[Record]) -> list[int] | None:
    """The fold that the model of each record left out; None where the models are seeds and saw the same images."""
    folds = [record.settings.get("recipe", {}).get("fold") for record in records]
    return None if folds[0] is None else folds


def _of_record(record: Record, part: int | None = None) -> Predictions:
    """The predictions of one model."""
    labels, answers = record.results["labels"], record.results["predictions"]
    rows = {
        test: np.atleast_2d(classes_in(record, test)) if part is None else classes_in(record, test)[part][None]
        for test in answers
    }
    drawn = record.results.get("backgrounds", {})
    return Predictions(
        {test: from_digits(labels[name_of_labels(test)]) for test in answers},
        {test: classes[None] for test, classes in rows.items()},
        (model_of(record),),
        backgrounds={
            test: np.array([text.split() for text in drawn[test]], np.int64) for test in drawn if test in answers
        },
    )


def name_of_labels(test: str) -> str:
    """What a record calls the true classes of a test set: IN-9L has images of its own, the others share theirs."""
    return IN9L if test == IN9L else "in9"


def classes_in(record: Record, test: str) -> np.ndarray:
    """The predicted classes on a test set: int64 [N], or [parts, N] where the record has several predictions."""
    answers = record.results["predictions"][test]
    return from_digits(answers) if isinstance(answers, str) else np.stack([from_digits(text) for text in answers])


def model_of(record: Record) -> Model:
    """How the model of a record was trained, and how it was measured."""
    return Model(record.settings.get("recipe", {}), record.results.get("training", {}), record.provenance)


def to_digits(classes: Sequence[int] | np.ndarray) -> str:
    """Classes 0 to 8 as one digit each; -1, an ImageNet class under none of the nine, as a dash."""
    return "".join("-" if label < 0 else str(int(label)) for label in classes)


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


# ---------------------------------------------------------------------------------------------------------- provenance


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
    """The versions of the code and of the libraries that decide a result."""
    package = Path(__file__).parents[1]

    def git(*words: str) -> str | None:
        try:
            done = subprocess.run(["git", *words], cwd=package, capture_output=True, text=True, timeout=10, check=True)
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
    """The hardware: processor, cores and, if there is one, the GPU."""
    processor = platform.processor() or platform.machine()
    listing = Path("/proc/cpuinfo")
    if listing.is_file():
        names = [line.partition(":")[2].strip() for line in listing.read_text().splitlines() if "model name" in line]
        processor = names[0] if names else processor
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {"processor": processor, "cores": os.cpu_count(), "gpu": gpu}
