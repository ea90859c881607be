"""Jobs: one measurement on one trained classifier each, written as a record.

A job follows from a profile alone, and is idempotent: run twice, it gives the same record. What is trained once is kept
and loaded by later jobs; a stopped training goes on from its checkpoint.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from in9.data.dataset import Dataset
from in9.errors import plain_disk_errors
from in9.evaluation.measurements import MEASUREMENTS, drawn_backgrounds
from in9.evaluation.predictions import one_thread
from in9.evaluation.records import Record, Store, provenance, record_key
from in9.files import one_writer, plain
from in9.study.profile import Profile
from in9.study.workspace import Workspace
from in9.taxonomy import NUM_CLASSES
from in9.training.networks import Classifier
from in9.training.recipe import Recipe
from in9.training.steps import bfloat16_is_fast
from in9.training.trained import trained_classifier, weights_file

EVALUATION = "evaluation"
DATASET = "dataset"
DRAWS = "draws"
TEST_SEED = 0
"""Decides the backgrounds of the mixed test sets."""


@dataclass(frozen=True)
class Job:
    """One measurement on the classifier that a recipe trains; without a recipe, of the dataset itself.

    ``kind`` is a key of ``MEASUREMENTS``, or ``DATASET``; ``options`` is what the measurement can be told.
    """

    profile: Profile
    kind: str
    recipe: Recipe | None = None
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def settings(self) -> dict[str, Any]:
        """What decides the result."""
        recipe = {} if self.recipe is None else {"recipe": asdict(self.recipe)}
        options = {"options": self.options} if self.options or recipe else {}
        return plain({"data": self.profile.data_settings, **recipe, **options})

    @property
    def draws(self) -> Job | None:
        """The record of the backgrounds that this evaluation draws; None if it draws once or is no evaluation."""
        if self.kind != EVALUATION or self.recipe is None or self.options.get("draws", 1) == 1:
            return None
        return draws_job(self.profile, self.recipe.fold)

    @property
    def key(self) -> str:
        """The key of the record that it gives."""
        return record_key(self.kind, self.settings)

    def find(self, folder: Path) -> Record | None:
        """Its record among those below a folder, or None."""
        return Store(folder / self.profile.name).find(self.kind, self.settings)

    def weights(self, workspace: Workspace) -> Path | None:
        """The file of the classifier's weights; None without a recipe. The dataset must be there."""
        if self.recipe is None:
            return None
        return weights_file(workspace.trained, self.recipe, Dataset(workspace.dataset(self.profile.data)))


def jobs_of(profile: Profile, kind: str, recipes: Iterable[Recipe], **options: Any) -> list[Job]:
    """One job for each recipe."""
    return [Job(profile, kind, recipe, plain(options)) for recipe in recipes]


def evaluations(profile: Profile, recipes: Iterable[Recipe]) -> list[Job]:
    """The evaluation of each recipe's classifier on every test set."""
    return jobs_of(profile, EVALUATION, recipes, test_seed=TEST_SEED, draws=profile.draws)


def draws_jobs(profile: Profile) -> list[Job]:
    """Which backgrounds are drawn, for each fold that is tested; none if the profile draws only once."""
    folds = profile.seeds if profile.split.folds else [None]
    return [draws_job(profile, fold) for fold in folds] if profile.draws > 1 else []


def draws_job(profile: Profile, fold: int | None) -> Job:
    """Which backgrounds the mixed test sets get in each draw; for all that are tested on the fold."""
    return Job(profile, DRAWS, options=plain({"fold": fold, "test_seed": TEST_SEED, "draws": profile.draws}))


def run_job(
    job: Job, workspace: Workspace, device: str, on_epoch: Callable[[int, float], None] = lambda epoch, loss: None
) -> Record:
    """Train (or load what was trained), measure, write the record and return it; if it is there, only return it.

    ``on_epoch`` may raise Stopped; it is also called, with epoch -1, while another process runs the job.
    """
    # Two processes may run a study at once. A lock of the whole profile would make the machines of an array wait for
    # each other, so a job holds a lock of its own here, and one of its weights while it trains.
    folder = workspace.measured / job.profile.name
    alone = one_writer(folder / f"{job.kind}_{job.key}", "measuring", lambda: on_epoch(-1, 0.0))
    with one_thread(), plain_disk_errors(workspace.runs), alone:
        for left in folder.glob(f"{job.kind}_*_{job.key}.json.*.writing"):  # of a process that was killed
            left.unlink(missing_ok=True)
        dataset = Dataset(workspace.dataset(job.profile.data))
        present = job.find(workspace.measured)
        if present is not None and present.data == dataset.hash:  # measured since this job was handed out
            return present
        dataset = dataset.of_fold(job.options.get("fold") if job.recipe is None else job.recipe.fold)
        if job.recipe is None:
            record = _of_dataset(job, dataset)
        else:
            record = _of_classifier(job, job.recipe, dataset, workspace, device, on_epoch)
        Store(folder).write(record)
    return record


def _of_dataset(job: Job, dataset: Dataset) -> Record:
    """How many images each rule kept or rejected (section 2): class, split, outcome, count. Or draws of backgrounds."""
    if job.kind == DRAWS:
        results = drawn_backgrounds(dataset, job.options)
    else:
        results = {"rows": dataset.outcomes().to_dict("records")}
    name = job.profile.name if dataset.fold is None else f"fold{dataset.fold}"
    return Record(job.kind, name, job.settings, dataset.hash, results, provenance(0.0, "cpu"))


def _of_classifier(
    job: Job,
    recipe: Recipe,
    dataset: Dataset,
    workspace: Workspace,
    device: str,
    on_epoch: Callable[[int, float], None],
) -> Record:
    place = torch.device(device)
    weights = weights_file(workspace.trained, recipe, dataset)
    model, training = trained_classifier(recipe, dataset, weights, place, on_epoch)
    started = time.monotonic()
    results = MEASUREMENTS[job.kind](model, dataset, place, job.options)
    outputs = NUM_CLASSES if model.groups is None else len(model.groups)  # more where it was trained on finer classes
    return Record(
        kind=job.kind,
        name=f"{recipe.train_on.replace('+', '_and_')}_seed{recipe.seed}",
        settings=job.settings,
        data=dataset.hash,
        results={"training": {**training, "classes": outputs}, **results},
        provenance=provenance(
            training["seconds"] + time.monotonic() - started,  # whether it was trained now or before
            device=str(place),
            training_precision="bfloat16" if bfloat16_is_fast(place) else "float32",
            evaluation_precision="float32",
        ),
    )


def load_classifier(recipe: Recipe, profile: Profile, workspace: Workspace, device: str) -> Classifier:
    """The classifier of a recipe, to look into; trained first if its weights are not there."""
    dataset = Dataset(workspace.dataset(profile.data)).of_fold(recipe.fold)
    weights = weights_file(workspace.trained, recipe, dataset)
    with one_thread(), plain_disk_errors(workspace.runs):
        return trained_classifier(recipe, dataset, weights, torch.device(device))[0]
