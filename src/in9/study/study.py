"""A study: what a profile needs, measured once and read as often as asked.

Jobs follow from the profile. What this machine has a record of is not measured again. A study opened with
``recorded=True`` reads the project's committed records instead, and needs neither the data nor a GPU.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from contextlib import closing
from copy import copy
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, TypeVar

from tqdm import tqdm

from in9.data.dataset import Dataset, is_dataset
from in9.evaluation.predictions import Predictions
from in9.evaluation.records import Record, predictions_of
from in9.plots.tables import escaped
from in9.study.costs import TimeLeft
from in9.study.data_of_profile import NotMeasured as NotMeasured
from in9.study.data_of_profile import lacking_data, opened_or_built
from in9.study.engines import engine_named, run_jobs
from in9.study.jobs import EVALUATION, Job, evaluations, load_classifier
from in9.study.profile import Profile, load_profile
from in9.study.workspace import Workspace, find_workspace
from in9.training.loop import pick_device
from in9.training.networks import Classifier
from in9.training.recipe import Recipe

REFERENCE = "tiny"  # the profile whose records on photographs are part of the project
Name = TypeVar("Name", bound=Hashable)
Result = TypeVar("Result")


class Measured(dict[Name, Result], Generic[Name, Result]):
    """What was read, by name. It holds what there are records of; asking for anything else raises NotMeasured."""

    def __init__(self, results: Mapping[Name, Result], asked: str) -> None:
        super().__init__(results)
        self.asked = asked

    def __missing__(self, name: Name) -> Result:
        raise NotMeasured(self.asked.format(name=name))


class Study:
    """The measurements of a profile; see the module's text.

    ``profile`` is a name, the path of a TOML file or a profile; ``engine`` says where jobs run (default: the variable
    IN9_ENGINE, else this machine), ``jobs`` how many at once (default: one for each core, or for each GPU);
    ``recorded`` reads committed records only; with ``compute=False`` nothing is built, trained or measured: what is
    not there raises NotMeasured. Raises In9Error for a profile or an engine that does not exist.
    """

    def __init__(
        self,
        profile: str | Path | Profile,
        *,
        recorded: bool = False,
        compute: bool = True,
        device: str = "auto",
        engine: str | None = None,
        jobs: int | None = None,
        workspace: Workspace | None = None,
        progress: bool = True,
    ) -> None:
        self.profile = profile if isinstance(profile, Profile) else load_profile(profile)
        self.recorded = recorded
        self.compute = compute and not recorded
        self.device = device
        self.engine = engine_named(engine)
        self.workers = jobs
        self.progress = progress
        self.workspace = workspace or find_workspace()

    def of_profile(self, profile: Profile) -> Study:
        """A study like this one, of another profile."""
        other = copy(self)
        for name in ("dataset", "reference"):  # what was opened for this profile
            other.__dict__.pop(name, None)
        other.profile = profile
        return other

    @cached_property
    def dataset(self) -> Dataset:
        """The profile's dataset: opened if its folder holds it, else built there.

        Raises In9Error if that folder holds a dataset made with other settings or the source needs files of the user's,
        and NotMeasured if there is none and the study does not compute.
        """
        return opened_or_built(self.profile, self.workspace, self.compute, self.progress)

    @property
    def folder(self) -> Path:
        """The folder of the profile's dataset."""
        return self.workspace.dataset(self.profile.data)

    @property
    def has_images(self) -> bool:
        """Whether there are pictures to show: the data lie here, or may be built."""
        return self.compute or is_dataset(self.folder)

    @cached_property
    def reference(self) -> Study | None:
        """The project's committed records on photographs, or None if it has none yet."""
        folder = self.workspace.committed / REFERENCE
        if not any(folder.glob(f"{EVALUATION}_*.json")):
            return None
        return Study(REFERENCE, recorded=True, workspace=self.workspace, progress=False)

    @property
    def origin(self) -> str:
        """Whose numbers this study's are: a key of ``origins``."""
        return "record" if self.recorded else "run"

    @property
    def origins(self) -> dict[str, Study]:
        """Whose numbers stand beside the paper's: ``record``, if the project has one, and ``run``, this study.

        A study that reads committed records is the record itself, and there is no run.
        """
        return ({"record": self.reference} if self.reference and not self.recorded else {}) | {self.origin: self}

    # ---------------------------------------------------------------------------------------------------- records

    @property
    def records(self) -> Path:
        """The folder below which the study's records lie, one folder for each profile."""
        return self.workspace.committed if self.recorded else self.workspace.measured

    def find(self, job: Job) -> Record | None:
        """The record of a job, if it was measured on this very data."""
        record = job.find(self.records)
        return record if record and (self.recorded or record.data == self._of(job).dataset.hash) else None

    def _with_draws(self, job: Job) -> Record | None:
        """The record of a job; an evaluation with the backgrounds drawn for it, recorded once for all models."""
        record, drawn = self.find(job), self.find(job.draws) if job.draws else None
        if record is None or drawn is None or drawn.data != record.data:
            return record
        return replace(record, results=record.results | drawn.results)

    def _of(self, job: Job) -> Study:
        return self if job.profile.data == self.profile.data else self.of_profile(job.profile)

    def read(
        self, groups: Mapping[Name, Sequence[Job]], reader: Callable[[list[Record]], Result], whole: bool = False
    ) -> Measured[Name, Result]:
        """What ``reader`` makes of the records of each group of jobs (its seeds, say), by the group's name.

        What has no record is measured first, all groups together. A study that does not compute reads the records
        that there are, and leaves out groups without any; with ``whole`` also those of which a record is missing.
        """
        if self.compute:
            asked_for = [job for group in groups.values() for job in group]
            self.measure([*[job.draws for job in asked_for if job.draws], *asked_for])
        known = {name: [record for job in jobs if (record := self._with_draws(job))] for name, jobs in groups.items()}
        owner = "The project" if self.recorded else "This machine"
        asked = (
            f"{owner} has no record of {{name}} with profile {self.profile.name!r}; "
            f"`in9 measure --profile {self.profile.option}` measures it."
        )
        if not self.recorded and (lacking := lacking_data(self.profile, self.workspace)):
            asked += " " + lacking.replace("{", "{{").replace("}", "}}")
        read = {
            name: reader(records)
            for name, records in known.items()
            if records and (len(records) == len(groups[name]) or not whole)
        }
        return Measured(read, asked)

    def missing(self, jobs: Iterable[Job]) -> list[Job]:
        """The jobs without a record, each once, in order."""
        unique = {(job.profile.name, job.key): job for job in jobs}
        return [job for job in unique.values() if self.find(job) is None]

    def measure(self, jobs: Iterable[Job], say: Callable[[str], None] = lambda line: None) -> int:
        """Run the jobs that have no record; return how many rounds that took.

        In each round the jobs run side by side: the first trains every network once, the second measures all the rest
        on what was trained, and retrains last layers. ``say`` gets a line for each round, with the time that is left.
        """
        remaining, place = self.missing(jobs), 0
        left: TimeLeft | None = None
        while remaining:
            place, started = place + 1, time.monotonic()
            batch = self._next_round(remaining)
            left = left or TimeLeft(remaining, self.workspace)  # by now the data are there
            self._run(batch, f"round {place}", left)
            took, noun = time.monotonic() - started, "record" if len(batch) == 1 else "records"
            say(", ".join(filter(None, [f"round {place}: {len(batch)} new {noun} in {took:.1f} s", str(left)])))
            remaining = self.missing(job for job in remaining if job not in batch)  # others may have measured some
        return place

    def _next_round(self, jobs: Sequence[Job]) -> list[Job]:
        """The jobs that can run now: no network is trained by two at once, and last layers wait for their network."""
        for job in jobs:
            _ = self._of(job).dataset  # built here: workers only open it
        untrained: dict[Path, Job] = {}
        ready: list[Job] = []
        for job in jobs:
            path = job.weights(self.workspace)
            if path is None or path.is_file():
                ready.append(job)
            else:
                untrained.setdefault(path, job)
        coming = [job.recipe for job in untrained.values()]
        for job in untrained.values():
            recipe = job.recipe
            if recipe is None or recipe.head_on is None or recipe.changed(head_on=None) not in coming:
                ready.append(job)
        # What needs no training is quick, and IN-9L has the most images: they start first.
        return sorted(ready, key=lambda job: job.recipe is not None and job.recipe.uses_masks)

    def _run(self, jobs: Sequence[Job], title: str, left: TimeLeft) -> None:
        """Run jobs side by side, with a progress bar that says how long is left."""
        layout = "{desc}: {n_fmt}/{total_fmt} jobs [{elapsed}{postfix}]"
        with (
            closing(run_jobs(jobs, self.workspace, self.device, self.workers, self.engine)) as finished,
            tqdm(desc=title, total=len(jobs), bar_format=layout, disable=not self.progress) as bar,
        ):
            for job, _ in finished:
                left.finished(job)
                bar.set_postfix_str(str(left), refresh=False)
                bar.update()

    # ------------------------------------------------------------------------------------- what every chapter asks

    def predictions(self, recipes: Iterable[Recipe]) -> Predictions:
        """The predictions of the models of some recipes, equal but for their seeds.

        Raises NotMeasured if there is no record of any and the study does not compute.
        """
        wanted = list(recipes)
        name = f"training on {wanted[0].train_on}"
        return self.read({name: evaluations(self.profile, wanted)}, predictions_of)[name]

    def answers(self, train_on: str, **changes: Any) -> Predictions:
        """The predictions of the models trained on one set, one for each of the profile's seeds.

        ``changes`` are of the profile's recipe.
        """
        return self.predictions(self.profile.recipes_on([train_on], **changes))

    def classifier(self, recipe: Recipe) -> Classifier:
        """The trained classifier of a recipe, to look into; trained now if it is not there.

        Raises NotMeasured if the study does not compute.
        """
        if not self.compute:
            raise NotMeasured(f"There are records of training on {recipe.train_on}, but no weights.")
        _ = self.dataset  # built before the classifier is trained on it
        return load_classifier(recipe, self.profile, self.workspace, str(pick_device(self.device)))

    def describe(self, seeds: Sequence[int] | None = None, **changes: Any) -> str:
        """One paragraph for the reader: data, network, training and how long it took.

        ``seeds`` are those of the trainings that the reader sees, if they are not the profile's; ``changes`` those of
        its recipe.
        """
        profile = self.profile
        recipes = profile.recipes_on(["original"], seeds, **changes)
        predictions, recipe = self.predictions(recipes), recipes[0]
        model, number = predictions.models[0], len(recipes)
        seconds = predictions.seconds / len(predictions.models)
        seeded = "one seed" if number == 1 else f"{number} seeds"
        networks = f"one network for each of {number} folds" if profile.split.folds else seeded
        epochs = f"{recipe.epochs} {'epoch' if recipe.epochs == 1 else 'epochs'}"
        stored = "These are stored measurements; no network was trained for this page. " if self.recorded else ""
        return (
            f"{stored}The profile is `{profile.name}`. {profile.about} For each training set, a "
            f"`{recipe.architecture}` is trained for {epochs} on {model.training['images']:,} images "
            f"({networks}). Training and testing one network took {seconds:,.0f} s on "
            f"{escaped(model.provenance['gpu'] or model.provenance['processor'])}."
        )
