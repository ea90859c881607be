"""A small study: a profile of a few drawn images, and its data laid out so that nothing need be built."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from typing import Any

from in9.data.dataset import Dataset
from in9.data.splits import Split
from in9.evaluation.records import Record
from in9.experiments.controls import dial_profiles
from in9.study.jobs import Job
from in9.study.profile import Profile
from in9.study.study import Study
from in9.study.workspace import Workspace
from in9.training.augmentation import Augmentation
from in9.training.recipe import Recipe

PROFILE = Profile(
    name="trial",
    about="A trial.",
    source="synthetic",
    real=False,
    source_options={"rho": 0.8, "per_class": 12, "image_size": 32},
    draws=2,
    split=Split(test=1 / 3, validation=1 / 3),
    recipe=Recipe(
        architecture="small_resnet_w8_b1_pool",
        epochs=1,
        batch_size=12,
        learning_rate=0.05,
        schedule="cosine",
        augmentation=Augmentation(smallest_crop=0.5),
    ),
    dial=(0.0, 1.0),
    dial_seeds=(0,),
    fine_levels=(1, 2),
    fractions=(0.5, 1.0),
)
"""Matches the data of the fixture ``dataset``."""


def furnished(workspace: Workspace, dataset: Dataset) -> Workspace:
    """The workspace, with data for ``PROFILE`` and for each position of its dial."""
    shutil.copytree(dataset.path, workspace.dataset(PROFILE.data))
    for rho, position in dial_profiles(PROFILE).items():  # the small dataset stands in, as building is not the point
        folder = workspace.dataset(position.data)
        shutil.copytree(dataset.path, folder)
        manifest = folder / "manifest.json"
        manifest.write_text(manifest.read_text().replace('"rho": 0.8', f'"rho": {rho}'))
    return workspace


def open_study(workspace: Workspace, profile: Profile = PROFILE, **options: Any) -> Study:
    """A study of the workspace that runs jobs in this process, on the processor."""
    return Study(profile, device="cpu", jobs=1, workspace=workspace, progress=False, **options)


def records_of(study: Study, jobs: Iterable[Job]) -> list[Record]:
    """The records of some jobs, in order, measured first if the study computes."""
    return study.read({"these jobs": list(jobs)}, list).get("these jobs", [])
