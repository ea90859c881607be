"""Everything that a profile's chapters need, measured in one go without a notebook, so that it fits a lent GPU.

What has a record is not measured again, so the same command goes on where it was stopped. ``keep`` copies the records
that the chapters read to the project's own, ``rerun`` asks whether a new training agrees with its record.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from copy import copy
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from in9.data.dataset import Dataset
from in9.errors import In9Error, unknown
from in9.evaluation.adversarial.attacks import attacked
from in9.evaluation.estimates import Estimate
from in9.evaluation.predictions import TEST_SETS
from in9.evaluation.records import Record, Store, key_of
from in9.evaluation.saliency.focus import looked_into
from in9.experiments import controls, trainings, why_we_differ
from in9.study.executors import Finished
from in9.study.jobs import Unit
from in9.study.study import Answers, NotMeasured, Study

DIAL = "dial"
PARTS: Mapping[str, Callable[[Study], Any]] = MappingProxyType(
    {
        "dataset": Study.outcomes,
        "matrix": lambda study: study.evaluations(study.recipes()),
        "mixed": trainings.mixed_trainings,
        "calibration": controls.calibration,
        "adversarial": attacked,
        "saliency": looked_into,
        "remedies": trainings.remedies,
        "architectures": trainings.architectures,
        "trials": why_we_differ.trials,
        "levels": why_we_differ.levels,
        "masks": why_we_differ.mask_changes,
        "suspects": why_we_differ.attacks,
        "smaller": trainings.smaller,
        "finer": trainings.finer,
        DIAL: controls.dial,
    }
)
"""What is measured: name -> a function of the study. Chapters call the same functions."""


def parts_named(only: Sequence[str]) -> dict[str, Callable[[Study], Any]]:
    """Some of ``PARTS``, all if none is named; raises In9Error for a name that does not exist."""
    for name in only:
        if name not in PARTS:
            raise unknown("part", name, PARTS)
    return {name: PARTS[name] for name in PARTS if not only or name in only}


def measure(study: Study, only: Sequence[str] = (), say: Callable[[str], None] = print) -> None:
    """Measure what has no record yet, all of it side by side, and say how many records are new and how long that took.

    It goes in rounds: the first trains every network once, the second measures all the rest on what was trained, and
    there are more only where what is measured depends on a result.
    """
    parts, place = parts_named(only), 0
    while units := _planned(study, parts):
        place, started = place + 1, time.monotonic()
        number = sum(1 for _ in study.run(units, f"round {place}"))
        took = time.monotonic() - started
        say(f"round {place}: {number} new {'record' if number == 1 else 'records'} in {took:.1f} s")
    if not place:
        say("nothing to measure: every record is there")


class _WouldRun(Exception):
    """A plan was asked for what has to be measured first."""


class _Plan(Study):
    """A study like another that runs nothing: it notes which units the other would run next."""

    def __init__(self, study: Study) -> None:
        self.__dict__.update(study.__dict__)
        self.units: list[Unit] = []

    def run(self, units: Sequence[Unit], what: str) -> Finished:
        """Note the units. Raises _WouldRun."""
        assert self.dataset  # built here, as ``what`` is planned and not yet when it runs
        self.units += units
        raise _WouldRun


def _planned(study: Study, parts: Mapping[str, Callable[[Study], Any]]) -> list[Unit]:
    """The units that the parts ask for next, none twice and no network trained by two at once."""
    plan = _Plan(study)
    asked: list[tuple[Callable[[Study], Any], Study]] = [(part, plan) for name, part in parts.items() if name != DIAL]
    if DIAL in parts:  # its positions do not wait for each other
        asked += [(controls.calibration, one) for one in controls.dial_studies(plan).values()]
    for part, one in asked:
        with suppress(_WouldRun):
            part(one)
    datasets = {folder: Dataset(folder) for folder in {unit.dataset for unit in plan.units}}
    chosen: dict[str, Unit] = {}
    for unit in plan.units:
        weights = unit.weights(datasets[unit.dataset])
        name = key_of({"kind": unit.kind, **unit.settings}) if weights.is_file() else str(weights)
        chosen.setdefault(name, unit)
    return list(chosen.values())


class _Noting(Store):
    """A store that remembers which records were asked for."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.asked: dict[str, Record] = {}

    def find(self, kind: str, settings: dict[str, Any]) -> Record | None:
        """As in ``Store``."""
        record = super().find(kind, settings)
        if record is not None:
            self.asked[record.key] = record
        return record


def keep(study: Study) -> list[Path]:
    """Make the records that the chapters read the project's own, under ``records/``; return the files that changed.

    Those of the study's profile and of the dial's positions replace what the project had of them; records that no
    chapter reads any more go. Where a part was not measured here, the project keeps what it had.

    Raises In9Error for a damaged record, and ValueError for a study that was opened to compute.
    """
    if study.compute or study.recorded:
        raise ValueError("Records are kept by a study of this machine's records: open it with compute=False.")
    changed = []
    for one in (study, *controls.dial_studies(study).values()):
        target = Store(study.workspace.committed / one.profile.name)
        ours, theirs = _read_by_chapters(one), _read_by_chapters(_committed(one))
        for key, record in ours.items():
            if key not in theirs or theirs[key] != record:
                changed.append(target.write(record))
        for path in target.folder.glob("*.json"):
            if path.stem.rpartition("_")[2] not in ours | theirs:
                path.unlink()
                changed.append(path)
    return changed


def _committed(study: Study) -> Study:
    return Study(study.profile, recorded=True, workspace=study.workspace, progress=False)


def _read_by_chapters(study: Study) -> dict[str, Record]:
    """The records of a study that its parts read, by their keys."""
    reader = copy(study)
    reader.store = store = _Noting(study.store.folder)
    for name, part in PARTS.items():
        if name != DIAL:  # its positions are studies of their own
            with suppress(NotMeasured):
                part(reader)
    return store.asked


def rerun(study: Study, train_on: str = "original", seed: int | None = None) -> pd.DataFrame:
    """Train once more with a seed that the project's records do not have, and compare, test set by test set.

    Columns: quantity (a test set, or ``gap``), record, low, high, rerun, rerun_low, rerun_high (percent or points), and
    agrees: whether the two 95 % intervals overlap, which two runs of the same recipe miss once in 200 quantities or so.

    Raises In9Error where the project has no such record, if the seed is one of the record's, or if the images are
    others: photographs must be the same to the byte, of drawn ones the test images must be as many of each class.
    """
    recipes = study.recipes([train_on])
    recorded = _committed(study)
    if not trainings.evaluated(recorded, recipes):
        raise In9Error(f"The project has no record of training on {train_on} with profile {study.profile.name!r}.")
    seed = max(study.profile.seeds) + 1 if seed is None else seed
    if seed in study.profile.seeds:
        raise In9Error(f"The record has seed {seed} already; a re-run needs another one.")
    record = Answers(recorded.evaluations(recipes))
    again = Answers(study.evaluations([study.recipe(train_on, seed)]))
    same = record.records[0].data == again.records[0].data
    if not study.profile.real:
        # Drawn images follow from the settings, which are the record's; other processors round some pixels otherwise.
        same = all(np.array_equal(record.labels(test), again.labels(test)) for test in TEST_SETS)
    if not same:
        raise In9Error(
            f"The test images here ({again.records[0].data}) are not those of the record ({record.records[0].data}), "
            "so their numbers cannot be compared."
        )
    rows = [(test, record.accuracy(test), again.accuracy(test)) for test in TEST_SETS]
    return pd.DataFrame([_compared(*row) for row in (*rows, ("gap", record.gap(), again.gap()))])


def _compared(quantity: str, ours: Estimate, theirs: Estimate) -> dict[str, Any]:
    record, again = ours.in_percent(), theirs.in_percent()
    row = {"quantity": quantity, "record": record.value, "low": record.low, "high": record.high}
    row |= {"rerun": again.value, "rerun_low": again.low, "rerun_high": again.high}
    return row | {"agrees": ours.low <= theirs.high and theirs.low <= ours.high}
