"""What measuring a profile would take on this machine: its jobs without a record, with their estimated time."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd
import torch

from in9.experiments.experiment import Experiment
from in9.study.costs import (
    Passes,
    Speed,
    all_passes,
    elapsed,
    images_of,
    in_words,
    mask_seconds,
    recorded_speed,
    side_of,
    speed,
)
from in9.study.engines import workers_on
from in9.study.jobs import Job, evaluations, jobs_of
from in9.study.profile import Profile
from in9.study.study import NotMeasured, Study
from in9.study.workspace import Workspace
from in9.training.loop import pick_device


class Planned(NamedTuple):
    """A job without a record, the part that asks for it first, and about how many seconds it takes here."""

    part: str
    job: Job
    seconds: float


def plan(study: Study, experiments: Sequence[Experiment]) -> list[Planned]:
    """The jobs of some experiments that have no record; each once, a training with the first job that needs it.

    How fast each network is on this machine is measured first. Nothing is built, trained or recorded.
    """
    device = pick_device(study.device)
    parts: dict[tuple[str, str], tuple[str, Job]] = {}
    for experiment in experiments:
        for job in experiment.jobs(study.profile):
            if not _has_record(study, job):
                parts.setdefault((job.profile.name, job.key), (experiment.name, job))
    jobs = [job for _, job in parts.values()]
    passes = all_passes(jobs, study.workspace)
    seconds = [_speed(job, study.workspace, device).seconds(each) for job, each in zip(jobs, passes, strict=True)]
    return [Planned(part, job, each) for (part, job), each in zip(parts.values(), seconds, strict=True)]


def describe(study: Study, planned: Sequence[Planned]) -> str:
    """The plan for a reader: a line for each job, the sum of each part, and how long it takes side by side."""
    device = pick_device(study.device)
    workers, unit = study.workers or workers_on(device), "GPU" if device.type == "cuda" else "core"
    if not planned:
        return "nothing to measure: every record is there"
    jobs = pd.DataFrame([{"part": each.part, **_row(each)} for each in planned])
    sums = [(part, [each.seconds for each in planned if each.part == part]) for part in dict.fromkeys(jobs["part"])]
    rows = [{"part": part, "jobs": len(each), f"on one {unit}": in_words(sum(each))} for part, each in sums]
    total, noun = [each.seconds for each in planned], "job" if len(planned) == 1 else "jobs"
    images = images_of(study.profile, study.workspace)
    counted = "expected of this source, as it was not built yet" if images.estimated else "counted"
    return (
        f"{jobs.to_string(index=False)}\n\n{pd.DataFrame(rows).to_string(index=False)}\n\n"
        f"{len(planned)} {noun}: about {in_words(sum(total))} on one {unit}, {in_words(elapsed(total, workers))} here "
        f"with {workers} side by side.\n"
        f"This is an estimate: steps of each network were timed just now on one {unit}, and multiplied by the number "
        f"of images ({counted}): {images.train:,} to train on, {images.whole_train:,} of IN-9L, {images.test:,} to "
        "test on."
    )


def scale(study: Study) -> str:
    """What the paper's study costs with a profile's data and network, as a table for a reader.

    Rows: building the data, nine trainings, their evaluation, and all pairs of the attack on one network. Columns: one
    core or GPU, this machine, such a machine for each job; and the same for a GPU of the project's records, if its
    network is among them.
    """
    profile, workspace, device = study.profile, study.workspace, pick_device(study.device)
    workers, cores = study.workers or workers_on(device), os.cpu_count() or 1
    images = images_of(profile, workspace)
    masks = mask_seconds() * (images.whole_train + images.whole_test)
    table = {"build, with GrabCut, on cores": [in_words(masks), *2 * [in_words(masks / cores)]]}
    pace = speed(profile.recipe.architecture, side_of(profile, workspace), device)
    for name, each in _paper_study(profile, workspace).items():
        here = [pace.seconds(part) for part in each]
        table[name] = [in_words(part) for part in (sum(here), elapsed(here, workers), max(here))]
    columns = [f"one {'GPU' if device.type == 'cuda' else 'core'}", "this machine", "a machine for each job"]
    frame = pd.DataFrame.from_dict(table, orient="index", columns=columns)
    return frame.join(recorded_scale(profile, workspace)).fillna("").to_string()


def recorded_scale(profile: Profile, workspace: Workspace, experiments: Sequence[Experiment] = ()) -> pd.DataFrame:
    """What the paper's study takes on a GPU of the project's records, in words; nothing is timed.

    Rows: nine trainings, their evaluation, all pairs of the attack on one network; and all that some experiments
    measure on the profile's data, if any are given. Columns: one such GPU, and one for each job. Empty if no record
    says how fast one of the networks is on a GPU.
    """
    jobs = {job.key: job for part in experiments for job in part.jobs(profile) if job.profile.data == profile.data}
    networks = {profile.recipe.architecture, *(job.recipe.architecture for job in jobs.values() if job.recipe)}
    side = side_of(profile, workspace)
    known = {name: each for name in networks if (each := recorded_speed(name, side, workspace))}
    if len(known) < len(networks):
        return pd.DataFrame()
    paces = {name: pace for name, (_, pace) in known.items()}
    own = paces[profile.recipe.architecture]
    seconds = {name: [own.seconds(part) for part in each] for name, each in _paper_study(profile, workspace).items()}
    if jobs:
        passes = zip(jobs.values(), all_passes([*jobs.values()], workspace, anew=True), strict=True)
        seconds[f"all that the book shows, {len(jobs)} jobs"] = [
            paces[job.recipe.architecture].seconds(part) for job, part in passes if job.recipe
        ]
    gpu = " or ".join(sorted({gpu for gpu, _ in known.values()}))
    rows = {name: [in_words(sum(each)), in_words(max(each))] for name, each in seconds.items()}
    return pd.DataFrame.from_dict(rows, orient="index", columns=[f"one {gpu}, at most", "one for each job"])


def _paper_study(profile: Profile, workspace: Workspace) -> dict[str, list[Passes]]:
    """What the networks of the paper's study take, by part: a training, an evaluation or an attack each."""
    nine = evaluations(profile, [recipe for recipe in profile.recipes_on() if recipe.seed == profile.seeds[0]])
    attack = jobs_of(profile, "adversarial", [profile.recipe_on("in9l")], **profile.adversarial)
    passes = all_passes(nine, workspace, anew=True)
    return {
        f"{len(nine)} trainings of a {profile.recipe.architecture}": [Passes(each.trained) for each in passes],
        "their evaluation": [Passes(0, each.tested) for each in passes],
        "adversarial backgrounds of one network, all pairs": [
            Passes(0, each.tested) for each in all_passes(attack, workspace, anew=True)
        ],
    }


def _has_record(study: Study, job: Job) -> bool:
    """Whether a job was measured; where its data are gone, any record of it counts."""
    try:
        return study.find(job) is not None
    except NotMeasured:
        return True


def _speed(job: Job, workspace: Workspace, device: torch.device) -> Speed:
    """How fast the job's network is here; a job without a network takes no time to speak of."""
    if job.recipe is None:
        return Speed(0.0, 0.0)
    return speed(job.recipe.architecture, side_of(job.profile, workspace), device)


def _row(planned: Planned) -> dict[str, str]:
    recipe = planned.job.recipe
    facts = {"what": planned.job.kind, "profile": planned.job.profile.name}
    facts |= {"network": "", "trained on": "", "seed": ""}
    if recipe is not None:
        head = f", last layer on {recipe.head_on}" if recipe.head_on else ""
        facts |= {"network": recipe.architecture, "trained on": recipe.train_on + head, "seed": str(recipe.seed)}
    return facts | {"about": in_words(planned.seconds)}
