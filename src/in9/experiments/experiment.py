"""An experiment: what a question of the paper needs measured, declared, and the one way to read it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from in9.evaluation.records import Record, predictions_of
from in9.study.jobs import Job
from in9.study.profile import Profile
from in9.study.study import Measured, Study


@dataclass(frozen=True)
class Experiment:
    """What is measured follows from the profile alone.

    ``chapters`` are the numbers of the chapters that show it. ``groups`` gives the jobs of a profile in named groups:
    those of one group are alike but for their seeds. ``reader`` makes a result of the records of one group. ``whole``
    says that groups are compared seed by seed, so that a group of which a record is missing is not read.
    """

    name: str
    chapters: tuple[str, ...]
    groups: Callable[[Profile], Mapping[Any, list[Job]]]
    reader: Callable[[list[Record]], Any] = predictions_of
    whole: bool = False

    def jobs(self, profile: Profile) -> list[Job]:
        """All jobs."""
        return [job for group in self.groups(profile).values() for job in group]

    def read(self, study: Study) -> Measured[Any, Any]:
        """The result of each group that has records, by name; measured first if the study computes."""
        return study.read(self.groups(study.profile), self.reader, self.whole)


def told(study: Study, *experiments: Experiment) -> Study:
    """The study whose numbers the text of a chapter tells: this one or, beside it, the project's record.

    It is this one if it is on photographs and the experiments are measured, or will be since it computes.
    """
    jobs = [job for experiment in experiments for job in experiment.jobs(study.profile)]
    if study.profile.real and (study.compute or not study.missing(jobs)):
        return study
    return study.origins.get("record", study)
