"""Measure everything that a profile's chapters need, keep it as the project's record, or measure it once more.

What has a record is not measured again, so the same command goes on from the point at which it was stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from in9.errors import In9Error, check_known
from in9.evaluation.estimates import Estimate
from in9.evaluation.predictions import TEST_SETS
from in9.evaluation.records import Store, predictions_of
from in9.experiments.adversarial_backgrounds import ADVERSARIAL
from in9.experiments.backgrounds_suffice import MATRIX
from in9.experiments.bg_gap import ARCHITECTURES, EQUAL_STEPS
from in9.experiments.controls import CALIBRATION, DIAL, DIAL_DRAWS
from in9.experiments.experiment import Experiment
from in9.experiments.image_counts import COUNTS, DRAWN
from in9.experiments.masks_and_sizes import MASK_CHANGES
from in9.experiments.mixed_rand_training import MIXED_TRAININGS
from in9.experiments.object_focus import SALIENCY
from in9.experiments.what_helps import REMEDIES
from in9.experiments.why_pretrained import FINER, ROBUST, SMALLER
from in9.experiments.why_we_differ import LEVELS, SUSPECTS, TRIALS
from in9.study.jobs import Job, evaluations
from in9.study.study import Study

EXPERIMENTS = {
    experiment.name: experiment
    for experiment in (
        COUNTS,
        DRAWN,
        MATRIX,
        MIXED_TRAININGS,
        CALIBRATION,
        ADVERSARIAL,
        SALIENCY,
        REMEDIES,
        ARCHITECTURES,
        EQUAL_STEPS,
        ROBUST,
        TRIALS,
        LEVELS,
        MASK_CHANGES,
        SUSPECTS,
        SMALLER,
        FINER,
        DIAL,
        DIAL_DRAWS,
    )
}
"""Everything that is measured, by name. Chapters and claims read the same experiments."""


def experiments_named(only: Sequence[str] = ()) -> list[Experiment]:
    """Some of ``EXPERIMENTS``, all if none is named; raises In9Error for a name that does not exist."""
    check_known("part", only, EXPERIMENTS)
    return [experiment for name, experiment in EXPERIMENTS.items() if not only or name in only]


def experiments_of(chapters: Iterable[str]) -> list[Experiment]:
    """The experiments that some chapters show, by the chapters' numbers."""
    return [experiment for experiment in EXPERIMENTS.values() if set(chapters) & set(experiment.chapters)]


def measure(study: Study, experiments: Sequence[Experiment], say: Callable[[str], None] = print) -> None:
    """Measure what has no record yet, side by side, and say how many records are new and how long that took."""
    jobs = [job for experiment in experiments for job in experiment.jobs(study.profile)]
    if not study.measure(jobs, say):
        say("nothing to measure: every record is there")


def keep(study: Study) -> list[Path]:
    """Make this machine's records the project's own, under ``records/``; return the files that changed.

    They replace what the project had of the study's profile and of the dial. Records that no experiment asks for are
    removed; what was not measured here stays as it is.

    Raises In9Error for a damaged record or if nothing was measured, and ValueError for a study that was opened to
    compute.
    """
    if study.compute or study.recorded:
        raise ValueError("Records are kept by a study of this machine's records: open it with compute=False.")
    wanted: dict[str, dict[str, Job]] = {study.profile.name: {}}
    for job in (job for experiment in EXPERIMENTS.values() for job in experiment.jobs(study.profile)):
        wanted.setdefault(job.profile.name, {})[job.key] = job
    measured = {
        name: [(job, record) for job in jobs.values() if (record := study.find(job))] for name, jobs in wanted.items()
    }
    if not any(measured.values()):
        profile = study.profile
        raise In9Error(
            f"Nothing of profile {profile.name!r} was measured here; "
            f"`in9 measure --profile {profile.option}` measures it."
        )
    changed = []
    for name, jobs in wanted.items():
        target = Store(study.workspace.committed / name)
        for job, record in measured[name]:
            if record != job.find(study.workspace.committed):
                changed.append(target.write(record))
        for path in target.folder.glob("*.json"):
            if path.stem.rpartition("_")[2] not in jobs:
                path.unlink()
                changed.append(path)
    return changed


def rerun(study: Study, train_on: str = "original", seed: int | None = None) -> pd.DataFrame:
    """Train once more with a seed that the project's records do not have, and compare, test set by test set.

    With folds the first of them is trained and compared.

    Columns: quantity (a test set, or ``gap``), record, low, high, rerun, rerun_low, rerun_high (percent or points), and
    agrees: whether the two 95 % intervals overlap, which two runs of the same recipe miss once in 200 quantities or so.

    Raises In9Error if the project has no such record, if the seed is one of the record's, or if the images are
    others: photographs must be the same to the byte, synthetic images must be as many of each class.
    """
    profile = study.profile
    recipes = profile.recipes_on([train_on])[: 1 if profile.split.folds else None]
    stored = [job.find(study.workspace.committed) for job in evaluations(profile, recipes)]
    records = [record for record in stored if record is not None]
    if len(records) < len(stored):
        raise In9Error(f"The project has no record of training on {train_on} with profile {profile.name!r}.")
    seed = max(profile.seeds) + 1 if seed is None else seed
    if seed in profile.seeds:
        raise In9Error(f"The record has seed {seed} already; a re-run needs another one.")
    (new,) = evaluations(profile, [recipes[0].changed(seed=seed)])
    study.measure([new])
    measured = [record for record in [study.find(new)] if record is not None]
    before, again = predictions_of(records), predictions_of(measured)
    same = records[0].data == measured[0].data
    if not profile.real:
        # Synthetic images follow from the settings, which are the record's; processors differ in how they round pixels.
        same = all(np.array_equal(before.labels[test], again.labels[test]) for test in TEST_SETS)
    if not same:
        raise In9Error(
            f"The test images here ({measured[0].data}) are not those of the record ({records[0].data}), "
            "so their numbers cannot be compared."
        )
    rows = [(test, before.accuracy(test), again.accuracy(test)) for test in TEST_SETS]
    return pd.DataFrame([_compared(*row) for row in (*rows, ("gap", before.gap(), again.gap()))])


def _compared(quantity: str, ours: Estimate, theirs: Estimate) -> dict[str, Any]:
    record, again = ours.in_percent(), theirs.in_percent()
    row = {"quantity": quantity, "record": record.value, "low": record.low, "high": record.high}
    row |= {"rerun": again.value, "rerun_low": again.low, "rerun_high": again.high}
    return row | {"agrees": ours.low <= theirs.high and theirs.low <= ours.high}
