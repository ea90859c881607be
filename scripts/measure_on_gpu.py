"""Measure a profile at full strength on one GPU within a given time, the most valuable first.

    python scripts/measure_on_gpu.py --profile tiny --seconds 500 --workers 8 --out OUT

What was not finished when the time is over is left out; what was finished is recorded. Records and a few weights,
rounded to 16 bits, are then packed into OUT for the way back. With the records in place the same command goes on from
there.
"""

from __future__ import annotations

import argparse
import tarfile
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from in9.experiments.measuring import experiments_named
from in9.study.engines import torch_context
from in9.study.jobs import Job, run_job
from in9.study.study import Study
from in9.study.workspace import Workspace, find_workspace
from in9.training.loop import Stopped

ORDER = (
    ("dataset", "draws", "mixed", "adversarial", "saliency", "masks"),
    ("matrix", "robust", "remedies", "equal_steps"),
    ("smaller", "finer", "architectures", "levels", "suspects", "trials"),
)
"""Experiments by their value. What they ask of one network is measured together, when it is trained."""


def chains(study: Study) -> list[list[Job]]:
    """The jobs without a record, those of one network together, in the order of their value."""
    jobs = {}
    for group in ORDER:
        for experiment in experiments_named(group):
            for job in experiment.jobs(study.profile):
                jobs.setdefault(job.key, job)
    groups: dict[object, list[Job]] = {}
    for job in study.missing(jobs.values()):
        network = None if job.recipe is None else job.recipe.changed(head_on=None)
        groups.setdefault(network, []).append(job)
    for group in groups.values():  # a last layer is trained anew on the whole network
        group.sort(key=lambda job: job.recipe is not None and job.recipe.head_on is not None)
    return list(groups.values())


def run_chain(jobs: list[Job], workspace: Workspace, device: str, deadline: float) -> tuple[int, float]:
    """Run jobs one after another until the deadline, in seconds since 1970: how many were done, and in what time."""
    started, done = time.time(), 0

    def check(epoch: int, loss: float) -> None:
        if time.time() > deadline:
            raise Stopped

    for job in jobs:
        if time.time() > deadline:
            break
        try:
            run_job(job, workspace, device, check)
        except Stopped:
            break
        done += 1
    return done, time.time() - started


def pack(workspace: Workspace, profiles: Iterable[str], out: Path, weights: list[tuple[str, Path]]) -> None:
    """Put these profiles' records into one archive, and weights rounded to 16 bits into files, in ``out``."""
    out.mkdir(parents=True, exist_ok=True)
    with tarfile.open(out / "records.tar.gz", "w:gz") as archive:
        for profile in profiles:
            for path in sorted((workspace.measured / profile).glob("*.json")):
                archive.add(path, f"{profile}/{path.name}")
    for name, path in weights:
        if path.is_file():
            with safe_open(path, "pt") as stored:
                facts = stored.metadata()
            tensors = load_file(path)
            halves = {
                key: tensor.half() if tensor.dtype == torch.float32 else tensor for key, tensor in tensors.items()
            }
            save_file(halves, out / f"{path.stem}.{name}.safetensors", facts)


def main(say: Callable[[str], None] = print) -> None:
    """Parse the command line, measure, and pack."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", default="tiny")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=500.0)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    begun = time.time()
    workspace = find_workspace()
    study = Study(arguments.profile, device=arguments.device, workspace=workspace, progress=False)
    say(f"dataset {study.dataset.hash} after {time.time() - begun:.0f} s")
    todo, deadline = chains(study), begun + arguments.seconds
    say(f"{sum(map(len, todo))} records of {len(todo)} networks")
    with ProcessPoolExecutor(arguments.workers, mp_context=torch_context()) as pool:
        running = {pool.submit(run_chain, jobs, workspace, arguments.device, deadline): jobs for jobs in todo}
        for future in as_completed(running):
            jobs = running[future]
            recipe = jobs[0].recipe
            name = "data" if recipe is None else f"{recipe.train_on} {recipe.architecture} fold {recipe.fold}"
            if error := future.exception():
                say(f"{name}: FAILED {type(error).__name__}: {error}")
                continue
            done, seconds = future.result()
            say(f"{time.time() - begun:4.0f} s  {name}: {done} of {len(jobs)} in {seconds:.0f} s")
    kept = [(name, recipe) for name in ("original", "mixed_rand", "in9l") for recipe in [study.profile.recipe_on(name)]]
    once = study.profile.recipe_on("mixed_rand", fresh_backgrounds=False)
    weights = [
        (name, Job(study.profile, "evaluation", recipe).weights(workspace))
        for name, recipe in [*kept, ("mixed_rand_once", once)]
    ]
    profiles = [study.profile.name, study.profile.of_many_trainings.name]
    kept_weights = [(name, path) for name, path in weights if path is not None]
    pack(workspace, dict.fromkeys(profiles), arguments.out, kept_weights)
    left = len(study.missing(job for jobs in todo for job in jobs))
    say(f"packed after {time.time() - begun:.0f} s; {left} records left")


if __name__ == "__main__":
    main()
