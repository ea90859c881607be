"""A study: everything that a profile needs, computed once and handed to the chapters as frames.

The unit of work is one training with its evaluation: independent, idempotent, written as a record. What this machine
has a record of is not computed again; a study opened with ``recorded=True`` reads the project's committed records
instead, and needs neither the data nor a GPU.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from contextlib import closing
from copy import copy
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from in9.data.build import build
from in9.data.dataset import Dataset
from in9.data.sources import open_source
from in9.data.variants import MIXED, VARIANTS, compose, draw_backgrounds, load_pool
from in9.errors import In9Error
from in9.evaluation import estimates
from in9.evaluation.predictions import TEST_SETS
from in9.evaluation.records import Record, Store, from_digits, plain, provenance
from in9.study.executors import Finished, engine_named, run_units
from in9.study.jobs import Unit, load_classifier
from in9.study.profile import Profile, profile_named
from in9.study.workspace import Workspace, find_workspace
from in9.taxonomy import CLASS_NAMES, NUM_CLASSES
from in9.training.loop import pick_device
from in9.training.networks import Classifier
from in9.training.recipe import IN9L, TRAINING_SETS, Recipe

EVALUATION = "evaluation"
DATASET = "dataset"
REFERENCE = "tiny"  # the profile whose records on photographs are part of the project
TEST_SEED = 0


class NotMeasured(In9Error):
    """A record, or the data it was measured on, is not there, and the study was asked not to compute it."""


class Study:
    """What the chapters ask; see the module's text.

    ``profile`` is a name or a profile; ``engine`` says where units run (default: the variable
    IN9_ENGINE, else this machine), ``jobs`` how many at once (default: one for each core, or for each GPU);
    ``recorded`` reads committed records only; with ``compute=False`` nothing is built, trained or measured: what is
    not there raises NotMeasured. Raises In9Error for a profile or an engine that does not exist.
    """

    def __init__(
        self,
        profile: str | Profile,
        *,
        recorded: bool = False,
        compute: bool = True,
        device: str = "auto",
        engine: str | None = None,
        jobs: int | None = None,
        workspace: Workspace | None = None,
        progress: bool = True,
    ) -> None:
        self.profile = profile_named(profile) if isinstance(profile, str) else profile
        self.recorded = recorded
        self.compute = compute and not recorded
        self.device = device
        self.engine = engine_named(engine)
        self.jobs = jobs
        self.progress = progress
        self.workspace = workspace or find_workspace()
        self.store = self._store()

    def _store(self) -> Store:
        folder = self.workspace.committed if self.recorded else self.workspace.runs / "records"
        return Store(folder / self.profile.name)

    def of_profile(self, profile: Profile) -> Study:
        """A study like this one, of another profile."""
        other = copy(self)
        for name in ("dataset", "reference"):  # what was found for this profile
            other.__dict__.pop(name, None)
        other.profile = profile
        other.store = other._store()
        return other

    @cached_property
    def dataset(self) -> Dataset:
        """The profile's dataset: opened where ``data/<profile>`` holds it, else built there (see ``Profile``).

        Raises In9Error if that folder holds a dataset made with other settings, and NotMeasured if there is none
        and the study does not compute.
        """
        folder, profile = self._folder, self.profile
        if not (folder / "manifest.json").is_file():
            if not self.compute:
                raise NotMeasured(f"There is no data of profile {profile.name!r} here; `in9 book` builds it.")
            source = open_source(profile.source, **profile.source_options)
            return build(source, folder, seed=profile.build_seed, split=profile.split, progress=self.progress)
        dataset = Dataset(folder)
        have, wanted = dataset.settings, self.data_settings
        same = all(have[key] == wanted[key] for key in ("source", "seed", "split"))
        if not same or not wanted["source_settings"].items() <= have["source_settings"].items():
            raise In9Error(
                f"{folder} holds a dataset with other settings than profile {profile.name!r} needs; "
                "move it away, and it is built anew."
            )
        return dataset

    @property
    def _folder(self) -> Path:
        return self.workspace.data / (self.profile.shares_data_of or self.profile.name)

    @property
    def data_settings(self) -> dict[str, Any]:
        """What the profile says of its dataset; known without the data."""
        profile = self.profile
        return plain(
            {
                "source": profile.source,
                "source_settings": dict(profile.source_options),
                "seed": profile.build_seed,
                "split": asdict(profile.split),
            }
        )

    @cached_property
    def reference(self) -> Study | None:
        """The project's committed records on photographs, or None where it has none yet."""
        study = Study(REFERENCE, recorded=True, workspace=self.workspace, progress=False)
        return study if study.store.all(EVALUATION) else None

    @property
    def origin(self) -> str:
        """Whose numbers this study's are: a key of ``origins``."""
        return "record" if self.recorded else "run"

    @property
    def origins(self) -> dict[str, Study]:
        """Whose numbers stand beside the paper's: ``record``, where the project has one, and ``run``, this study.

        A study that reads committed records is the record itself, and there is no run.
        """
        return ({"record": self.reference} if self.reference and not self.recorded else {}) | {self.origin: self}

    def outcomes(self) -> pd.DataFrame:
        """How many images each rule kept or rejected (section 2): class, split, outcome, count."""
        settings = {"data": self.data_settings}
        record = self.store.find(DATASET, settings)
        if record is not None and not (self.recorded or record.data == self.dataset.hash):
            record = None
        if record is None and not self.compute:
            raise NotMeasured(f"{self._who} has no record of the dataset of profile {self.profile.name!r}.")
        if record is None:
            rows = self.dataset.outcomes().to_dict("records")
            record = Record(
                DATASET, self.profile.name, settings, self.dataset.hash, {"rows": rows}, provenance(0.0, "cpu")
            )
            self.store.write(record)
        return pd.DataFrame(record.results["rows"])

    def gallery(self, number: int = 0) -> dict[str, list[np.ndarray]]:
        """One test image of each class in all eight variants: class -> images uint8 [S, S, 3].

        ``number`` picks another image of each class.
        """
        pool = load_pool(self.dataset, "test")
        rows = [np.flatnonzero(pool.labels.numpy() == label) for label in range(NUM_CLASSES)]
        chosen = torch.tensor([members[number % len(members)] for members in rows])
        columns = []
        for variant in VARIANTS:
            drawn = draw_backgrounds(variant, pool, TEST_SEED)[0][chosen] if variant in MIXED else None
            columns.append(compose(variant, pool, chosen, drawn).permute(0, 2, 3, 1).numpy())
        return {name: [column[row] for column in columns] for row, name in enumerate(CLASS_NAMES)}

    @property
    def has_images(self) -> bool:
        """Whether there are pictures to show: the data lie here, or may be built."""
        return self.compute or (self._folder / "manifest.json").is_file()

    def describe(self, seeds: Sequence[int] | None = None, **changes: Any) -> str:
        """One paragraph for the reader: data, network, training and how long it took.

        ``seeds`` are those of the trainings that the reader sees, if they are not the profile's; ``changes`` those of
        its recipe.
        """
        chosen = seeds or self.profile.seeds
        recipe = self.recipe("original", **changes)
        answers = Answers(self.evaluations([self.recipe("original", seed, **changes) for seed in chosen]))
        facts, images = answers.records[0].provenance, answers.records[0].results["training"]["images"]
        number = "one seed" if len(chosen) == 1 else f"{len(chosen)} seeds"
        seconds = answers.seconds / len(answers.records)
        drawn = "Nothing was computed for these pages: their run is our record. " if self.recorded else ""
        return (
            f"{drawn}Profile `{self.profile.name}`. {self.profile.about} "
            f"Each training set trains a `{recipe.architecture}` "
            f"for {recipe.epochs} epochs on {images:,} images ({number}); training and testing one took "
            f"{seconds:,.0f} s on {facts['gpu'] or facts['processor']}."
        )

    # ------------------------------------------------------------------------------------------- computing

    def recipe(self, train_on: str, seed: int | None = None, **changes: Any) -> Recipe:
        """The profile's recipe for a training set and a seed, with further fields changed."""
        chosen = self.profile.seeds[0] if seed is None else seed
        return replace(self.profile.recipe, train_on=train_on, seed=chosen, **changes)

    def recipes(self, train_on: Sequence[str] = TRAINING_SETS, **changes: Any) -> list[Recipe]:
        """One recipe for each training set and each of the profile's seeds."""
        return [self.recipe(one, seed, **changes) for one in train_on for seed in self.profile.seeds]

    def evaluations(self, recipes: Iterable[Recipe]) -> list[Record]:
        """The evaluation record of each recipe, in order."""
        return self.measure(EVALUATION, recipes, test_seed=TEST_SEED)

    def measure(self, kind: str, recipes: Iterable[Recipe], **options: Any) -> list[Record]:
        """The record of one kind of measurement (see ``in9.study.jobs.MEASURES``) of each recipe, in order.

        What this machine has no record of is trained and measured first, side by side. Raises NotMeasured where a
        record is missing and the study does not compute.
        """
        wanted = list(recipes)
        units = {recipe: self._unit(kind, recipe, options) for recipe in wanted}
        found = {recipe: self._find(unit) for recipe, unit in units.items()}
        missing = [units[recipe] for recipe, record in found.items() if record is None]
        if missing and not self.compute:
            raise NotMeasured(
                f"{self._who} has no {kind} record of training on {missing[0].recipe.train_on} with profile "
                f"{self.profile.name!r}; `in9 book --profile {self.profile.name}` measures it."
            )
        if missing:
            missing.sort(key=lambda unit: unit.recipe.uses_masks)  # IN-9L has the most images: it starts first
            found |= {unit.recipe: record for unit, record in self.run(missing, kind)}
        return [record for recipe in wanted if (record := found[recipe]) is not None]

    def run(self, units: Sequence[Unit], what: str) -> Finished:
        """Run units side by side and yield each with its record as it finishes; ``what`` names them to the user."""
        assert self.dataset  # built before the workers need it
        with closing(run_units(units, self.device, self.jobs, self.engine)) as finished:
            yield from tqdm(
                finished, desc=what, total=len(units), unit="model", file=sys.stderr, disable=not self.progress
            )

    def available(self, kind: str, recipes: Iterable[Recipe], **options: Any) -> bool:
        """Whether ``measure`` would give these records: from what is stored, or by computing what is not."""
        if self.compute:
            return True
        found = [
            self._find(self._unit(kind, recipe, options)) for recipe in recipes
        ]  # all: see ``in9.experiments.measuring.keep``
        return None not in found

    def classifier(self, recipe: Recipe) -> Classifier:
        """The trained classifier of a recipe, to look into; trained now if it is not there.

        Raises NotMeasured if the study does not compute.
        """
        if not self.compute:
            raise NotMeasured(f"{self._who} has records of training on {recipe.train_on}, but no weights.")
        assert self.dataset  # built before the unit opens it
        return load_classifier(self._unit(EVALUATION, recipe, {}), str(pick_device(self.device)))

    @property
    def _who(self) -> str:
        return "The project" if self.recorded else "This machine"

    def _unit(self, kind: str, recipe: Recipe, options: dict[str, Any]) -> Unit:
        scratch = self.workspace.runs / "trained"
        return Unit(kind, recipe, self.data_settings, options, self._folder, self.store.folder, scratch)

    def _find(self, unit: Unit) -> Record | None:
        """The record of a unit, if it was measured on this very data."""
        record = self.store.find(unit.kind, unit.settings)
        if record is None or self.recorded or record.data == self.dataset.hash:
            return record
        return None

    # --------------------------------------------------------------------------------------------- frames

    def answers(self, train_on: str, **changes: Any) -> Answers:
        """The answers of the models trained on one set, one for each of the profile's seeds."""
        return Answers(self.evaluations(self.recipes([train_on], **changes)))

    def matrix(
        self, train_on: Sequence[str] = TRAINING_SETS, tests: Sequence[str] = TEST_SETS, **changes: Any
    ) -> pd.DataFrame:
        """Accuracy of each training set on each test set (table 5) in percent: train, test, accuracy, low, high."""
        self.evaluations(self.recipes(train_on, **changes))
        rows = []
        for train in train_on:
            answers = self.answers(train, **changes)
            for test in tests:
                value, low, high = answers.accuracy(test).in_percent()
                rows.append({"train": train, "test": test, "accuracy": value, "low": low, "high": high})
        return pd.DataFrame(rows)

    def gaps(self, train_on: Sequence[str] = TRAINING_SETS, **changes: Any) -> pd.DataFrame:
        """BG-Gap of each training set with its paired interval, in points: train, gap, low, high."""
        self.evaluations(self.recipes(train_on, **changes))
        rows = []
        for train in train_on:
            value, low, high = self.answers(train, **changes).gap().in_percent()
            rows.append({"train": train, "gap": value, "low": low, "high": high})
        return pd.DataFrame(rows)


class Answers:
    """What one or several equal models (seeds) answered on every test set, read from their evaluation records."""

    def __init__(self, records: Sequence[Record]) -> None:
        self.records = list(records)

    @property
    def seeds(self) -> list[int]:
        """The seed of each model."""
        return [record.settings["recipe"]["seed"] for record in self.records]

    def of_seeds(self, seeds: Sequence[int]) -> Answers:
        """The answers of some of the models, in this order."""
        return Answers([self.records[self.seeds.index(seed)] for seed in seeds])

    def labels(self, test: str) -> np.ndarray:
        """The true classes: int64 [N]."""
        return from_digits(self.records[0].results["labels"][IN9L if test == IN9L else "in9"])

    def predictions(self, test: str) -> np.ndarray:
        """The predicted classes: int64 [seeds, N]."""
        return np.stack([from_digits(record.results["predictions"][test]) for record in self.records])

    def correct(self, test: str) -> np.ndarray:
        """Whether each prediction is right: bool [seeds, N]."""
        return self.predictions(test) == self.labels(test)

    def accuracy(self, test: str) -> estimates.Estimate:
        """Class-balanced accuracy on one test set, with its interval."""
        return estimates.accuracy(self.correct(test), self.labels(test))

    def difference(self, first: str, second: str) -> estimates.Estimate:
        """Accuracy on one test set minus that on another with the same foregrounds, with a paired interval."""
        return estimates.paired_difference(self.correct(first), self.correct(second), self.labels(first))

    def gap(self) -> estimates.Estimate:
        """BG-Gap: Mixed-Same minus Mixed-Rand (section 4)."""
        return self.difference("mixed_same", "mixed_rand")

    @property
    def seconds(self) -> float:
        """How long training and evaluation took, all seeds together."""
        return float(sum(record.provenance["seconds"] for record in self.records))
