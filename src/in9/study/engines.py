"""Engines: where jobs run. ``local`` is processes of this machine, ``ray`` the machines of a Ray cluster.

Both run the same jobs, on one thread each, so their records agree.
"""

from __future__ import annotations

import logging
import os
import platform
import socket
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, wait
from contextlib import contextmanager
from multiprocessing import get_all_start_methods, get_context
from multiprocessing.context import BaseContext
from typing import Any

import torch

from in9.data.dataset import Dataset
from in9.data.processes import has_processes, interrupts_blocked, start_worker, worker_processes
from in9.errors import In9Error, check_known, plain_disk_errors
from in9.evaluation.records import Record, Store
from in9.study.jobs import Job, run_job
from in9.study.workspace import Workspace
from in9.training.loop import Stopped, pick_device

VISIBLE_GPUS = "CUDA_VISIBLE_DEVICES"
RETRIES = 3  # of a job whose worker on Ray died
PATIENCE = 30.0  # seconds for a cancelled job to end
RAY_SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing is reported to anyone
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".",  # or what Ray says of a worker that died would be on the page
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",  # or under `uv run` all workers would be sent this whole folder
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # or Ray warns of a change to come, which does not touch us
    "RAY_agent_register_timeout_ms": "300000",  # on a busy machine Ray's processes take long to start
    "RAY_worker_register_timeout_seconds": "300",
    "RAY_worker_niceness": "0",  # like a worker of the local engine
}
"""For Ray's environment, unless the user has set them."""

Finished = Generator[tuple[Job, Record], None, None]


def torch_context() -> BaseContext:
    """The way to start processes that need torch: forked from a process that has imported it, if the system can.

    Importing torch takes several seconds of a core, which are then paid once for a program, not once for each process.
    """
    if "forkserver" not in get_all_start_methods():
        return get_context("spawn")
    context = get_context("forkserver")
    context.set_forkserver_preload(["torch._dynamo", run_job.__module__])
    return context


def engine_named(name: str | None = None) -> str:
    """The engine of that name, else that of the variable IN9_ENGINE, else ``local``. Raises In9Error if unknown."""
    chosen = name or os.environ.get("IN9_ENGINE") or "local"
    check_known("engine", [chosen], ENGINES)
    return chosen


def run_jobs(
    jobs: Sequence[Job],
    workspace: Workspace,
    device: str = "auto",
    workers: int | None = None,
    engine: str = "local",
) -> Finished:
    """Run jobs side by side with an engine and yield each with its record as it finishes.

    A job that fails stops the rest; what has finished stays recorded. Raises what the job raised.
    """
    return ENGINES[engine_named(engine)](jobs, workspace, device, workers)


# ----------------------------------------------------------------------------------------------------- this machine


def run_in_processes(
    jobs: Sequence[Job], workspace: Workspace, device: str = "auto", workers: int | None = None
) -> Finished:
    """Run jobs on this machine: the engine ``local``.

    On a CPU there are as many processes as cores, one thread each: independent trainings scale better than threads.
    On GPUs there is one process for each, which sees no other.
    """
    chosen = pick_device(device)
    gpus = _gpus_to_share(chosen)
    workers = min(len(jobs), workers or workers_on(chosen))
    context = torch_context()
    if workers <= 1 or not has_processes(context):
        for job in jobs:
            yield job, run_job(job, workspace, str(chosen), _Worker.check)
        return
    stop, places = context.Event(), context.SimpleQueue()
    for number in range(workers):
        places.put(gpus[number % len(gpus)] if gpus else None)
    with worker_processes(workers, context, _start_worker, stop, places) as pool:
        try:
            with interrupts_blocked():
                waiting = {pool.submit(_run_in_worker, job, workspace, str(chosen)): job for job in jobs}
            while waiting:
                done, _ = wait(waiting, return_when=FIRST_COMPLETED)
                for future in done:
                    yield waiting.pop(future), future.result()
        finally:
            stop.set()


def workers_on(device: torch.device) -> int:
    """How many jobs run side by side here unless it is told otherwise: one for each core, or one for each GPU."""
    return max(1, len(_gpus_to_share(device))) if device.type == "cuda" else os.cpu_count() or 1


def _gpus_to_share(device: torch.device) -> list[str]:
    """The GPUs that jobs are dealt out to; none for a processor, or for a single GPU: cuda:1 is that one alone."""
    return visible_gpus() if device.type == "cuda" and device.index is None else []


def visible_gpus() -> list[str]:
    """What CUDA_VISIBLE_DEVICES calls each GPU that this process sees."""
    count, named = torch.cuda.device_count(), os.environ.get(VISIBLE_GPUS)
    return named.split(",")[:count] if named else [str(number) for number in range(count)]


class _Worker:
    """What a worker process knows: whether its parent has asked it to stop."""

    stop: Any = None

    @classmethod
    def check(cls, epoch: int, loss: float) -> None:
        """Raise Stopped if the parent asked for it."""
        if cls.stop is not None and cls.stop.is_set():
            raise Stopped


def _start_worker(stop: Any, places: Any) -> None:
    start_worker()
    _Worker.stop = stop
    gpu = places.get()
    if gpu is not None:
        os.environ[VISIBLE_GPUS] = gpu  # read when this process first uses a GPU, and it has not yet


def _run_in_worker(job: Job, workspace: Workspace, device: str) -> Record:
    _Worker.check(-1, 0.0)  # what was handed out before the parent asked to stop need not begin
    return run_job(job, workspace, device, _Worker.check)


# -------------------------------------------------------------------------------------------------------------- Ray


def run_on_ray(jobs: Sequence[Job], workspace: Workspace, device: str = "auto", workers: int | None = None) -> Finished:
    """Run jobs on the Ray cluster of RAY_ADDRESS or of this machine, or on one that is started for them.

    Each takes one core, and a GPU if there are some; ``workers`` is how many run at once (default: as many as fit). A
    job whose worker dies is run again, from its checkpoint if it finds it. Raises In9Error without Ray, for a cluster
    that does not answer, and for a machine that does not have the data.
    """
    with _cluster() as ray:
        target = _device(device, ray.cluster_resources().get("GPU", 0))
        remote = ray.remote(num_cpus=1, num_gpus=int(target == "cuda"), max_retries=RETRIES)(_run_in_task)
        ahead: list[Job] = list(reversed(jobs))
        running: dict[Any, Job] = {}
        try:
            while ahead or running:
                while ahead and (workers is None or len(running) < workers):
                    job = ahead.pop()
                    content = Dataset(workspace.dataset(job.profile.data)).hash
                    running[remote.remote(job, workspace, target, content)] = job
                for task in ray.wait(list(running))[0]:
                    job = running.pop(task)
                    record = _result(ray, task, job)
                    with plain_disk_errors(workspace.measured):
                        # Where disks are not shared it lies only over there.
                        Store(workspace.measured / job.profile.name).write(record)
                    yield job, record
        finally:
            for task in running:
                ray.cancel(task, force=True)  # at once: what lies on disk is whole at any time
            if running:
                ray.wait(list(running), num_returns=len(running), timeout=PATIENCE)


ENGINES: dict[str, Callable[..., Finished]] = {"local": run_in_processes, "ray": run_on_ray}


@contextmanager
def _cluster(**options: Any) -> Iterator[Any]:
    """Ray, connected and silent; what this starts it also ends. ``options`` are those of ``ray.init``."""
    for name, value in RAY_SETTINGS.items():
        os.environ.setdefault(name, value)
    try:
        import ray  # reads them
    except ImportError:
        raise In9Error("The engine 'ray' needs the package ray: pip install 'in9[ray]'.") from None
    if ray.is_initialized():  # by the caller, who also ends it
        yield ray
        return
    _answers(options.get("address") or os.environ.get("RAY_ADDRESS", ""))
    try:
        try:
            ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR, **options)
        except Exception as error:  # Ray has no kind of its own for this
            reason = str(error).partition("\n")[0].rstrip(".")
            raise In9Error(
                f"Ray did not start or does not answer ({reason}); see RAY_ADDRESS and `ray status`, and try again."
            ) from error
        yield ray
    finally:
        ray.shutdown()


def _answers(address: str) -> None:
    """Raise In9Error if nobody listens at ``host:port``; Ray itself would try for minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not (colon and port.isdigit()):
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
    except OSError as error:
        raise In9Error(
            f"No Ray cluster answers at {address} ({error}); see `ray status`, or unset RAY_ADDRESS to start one."
        ) from error


def _device(device: str, gpus: float) -> str:
    """What a job runs on in a cluster with so many GPUs; each sees only the one that Ray gives it."""
    if device.startswith("cuda") and not gpus:
        raise In9Error(f"Device {device!r} cannot be used: the Ray cluster has no GPU; try --device cpu.")
    if gpus and (device == "auto" or device.startswith("cuda")):
        return "cuda"
    return "cpu" if device == "auto" else str(pick_device(device))


def _run_in_task(job: Job, workspace: Workspace, device: str, content: str) -> Record:
    """Run a job on the machine that Ray chose. Raises In9Error if it does not have the dataset of that content."""
    folder = workspace.dataset(job.profile.data)
    if not folder.is_dir() or Dataset(folder).hash != content:
        raise In9Error(
            f"{platform.node()} does not have this run's data in {folder}: put the project on a disk that all "
            "machines share, or build the data on each of them under the same IN9_HOME."
        )
    return run_job(job, workspace, device)


def _result(ray: Any, task: Any, job: Job) -> Record:
    """The record of a task that has ended. Raises what the job raised, and In9Error if its workers died."""
    try:
        return ray.get(task)
    except ray.exceptions.RayTaskError as error:
        raise (error.cause if isinstance(error.cause, In9Error) else error) from None
    except ray.exceptions.RayError as error:
        died = f"its workers died ({type(error).__name__}); perhaps memory ran out"
        subject = job.profile.name if job.recipe is None else f"Training on {job.recipe.train_on}"
        raise In9Error(f"{subject} was given up: {died}.") from error
