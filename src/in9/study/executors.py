"""Engines: where units of work run. ``local`` is processes of this machine, ``ray`` the machines of a Ray cluster.

Both run the same units, on one thread each, so their records agree.
"""

from __future__ import annotations

import logging
import os
import platform
import socket
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from contextlib import contextmanager
from multiprocessing import get_all_start_methods, get_context
from multiprocessing.context import BaseContext
from typing import Any

import torch

from in9.data.dataset import Dataset
from in9.data.workers import deaf_to_interrupts, start_worker
from in9.errors import In9Error, plain_disk_errors, unknown
from in9.evaluation.records import Record, Store
from in9.study.jobs import Unit, run_unit
from in9.training.loop import Stopped, pick_device

VISIBLE_GPUS = "CUDA_VISIBLE_DEVICES"
RETRIES = 3  # of a unit whose worker on Ray died
PATIENCE = 30.0  # seconds for a cancelled unit to end
RAY_SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing is reported to anyone
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".",  # or what Ray says of a worker that died would be on the page
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",  # or under `uv run` all workers would be sent this whole folder
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # or Ray warns of a change to come, which does not touch us
    "RAY_agent_register_timeout_ms": "300000",  # on a busy machine Ray's processes take long to start
    "RAY_worker_register_timeout_seconds": "300",
    "RAY_worker_niceness": "0",  # like a worker of the local engine
}
"""For Ray's environment, where the user has not set them."""

Finished = Generator[tuple[Unit, Record], None, None]


def torch_context() -> BaseContext:
    """How processes that need torch are started: forked from one that has imported it, where the system has that.

    Importing torch takes several seconds of a core; so it is paid once for a program, not once for each process.
    """
    if "forkserver" not in get_all_start_methods():
        return get_context("spawn")
    context = get_context("forkserver")
    context.set_forkserver_preload(["torch._dynamo", run_unit.__module__])
    return context


def engine_named(name: str | None = None) -> str:
    """The engine of that name, else that of the variable IN9_ENGINE, else ``local``. Raises In9Error if unknown."""
    chosen = name or os.environ.get("IN9_ENGINE") or "local"
    if chosen not in ENGINES:
        raise unknown("engine", chosen, ENGINES)
    return chosen


def run_units(units: Sequence[Unit], device: str = "auto", jobs: int | None = None, engine: str = "local") -> Finished:
    """Run units side by side with an engine and yield each with its record as it finishes.

    A unit that fails stops the rest; what has finished stays recorded. Raises what the unit raised.
    """
    return ENGINES[engine_named(engine)](units, device, jobs)


# ----------------------------------------------------------------------------------------------------- this machine


def run_in_processes(units: Sequence[Unit], device: str = "auto", jobs: int | None = None) -> Finished:
    """Run units on this machine: the engine ``local``.

    On a CPU there are as many processes as cores, one thread each: independent trainings scale better than threads.
    On GPUs there is one process for each, which sees no other.
    """
    chosen = pick_device(device)
    on_gpu = chosen.type == "cuda"
    gpus: list[str] = visible_gpus() if on_gpu and chosen.index is None else []  # cuda:1 is that one alone
    jobs = min(len(units), jobs or (max(1, len(gpus)) if on_gpu else os.cpu_count() or 1))
    if jobs <= 1:
        for unit in units:
            yield unit, run_unit(unit, str(chosen), _Worker.check)
        return
    context = torch_context()
    stop, places = context.Event(), context.SimpleQueue()
    for number in range(jobs):
        places.put(gpus[number % len(gpus)] if gpus else None)
    pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=_start_worker, initargs=(stop, places))
    try:
        with deaf_to_interrupts():
            waiting = {pool.submit(_run_in_worker, unit, str(chosen)): unit for unit in units}
        while waiting:
            done, _ = wait(waiting, return_when=FIRST_COMPLETED)
            for future in done:
                yield waiting.pop(future), future.result()
    finally:
        stop.set()
        pool.shutdown(wait=True, cancel_futures=True)


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


def _run_in_worker(unit: Unit, device: str) -> Record:
    _Worker.check(-1, 0.0)  # what was handed out before the parent asked to stop need not begin
    return run_unit(unit, device, _Worker.check)


# -------------------------------------------------------------------------------------------------------------- Ray


def run_on_ray(units: Sequence[Unit], device: str = "auto", jobs: int | None = None) -> Finished:
    """Run units on the Ray cluster of RAY_ADDRESS or of this machine, or on one that is started for them.

    Each takes one core, and a GPU where there are some; ``jobs`` is how many run at once (default: as many as fit). A
    unit whose worker dies is run again, from its checkpoint if it finds it. Raises In9Error without Ray, for a cluster
    that does not answer, and for a machine that does not have the data.
    """
    with _cluster() as ray:
        where = _device(device, ray.cluster_resources().get("GPU", 0))
        remote = ray.remote(num_cpus=1, num_gpus=int(where == "cuda"), max_retries=RETRIES)(_run_in_task)
        ahead: list[Unit] = list(reversed(units))
        running: dict[Any, Unit] = {}
        try:
            while ahead or running:
                while ahead and (jobs is None or len(running) < jobs):
                    unit = ahead.pop()
                    running[remote.remote(unit, where, Dataset(unit.dataset).hash)] = unit
                for task in ray.wait(list(running))[0]:
                    unit = running.pop(task)
                    record = _result(ray, task, unit)
                    with plain_disk_errors(unit.records):
                        Store(unit.records).write(record)  # where disks are not shared it lies only over there
                    yield unit, record
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
    """What a unit runs on in a cluster with so many GPUs; each sees only the one that Ray gives it."""
    if device.startswith("cuda") and not gpus:
        raise In9Error(f"Device {device!r} cannot be used: the Ray cluster has no GPU; try --device cpu.")
    if gpus and (device == "auto" or device.startswith("cuda")):
        return "cuda"
    return "cpu" if device == "auto" else str(pick_device(device))


def _run_in_task(unit: Unit, device: str, content: str) -> Record:
    """Run a unit on the machine that Ray chose. Raises In9Error if it does not have the dataset of that content."""
    if not unit.dataset.is_dir() or Dataset(unit.dataset).hash != content:
        raise In9Error(
            f"{platform.node()} does not have this run's data in {unit.dataset}: put the project on a disk that all "
            "machines share, or build the data on each of them under the same IN9_HOME."
        )
    return run_unit(unit, device)


def _result(ray: Any, task: Any, unit: Unit) -> Record:
    """The record of a task that has ended. Raises what the unit raised, and In9Error if its workers died."""
    try:
        return ray.get(task)
    except ray.exceptions.RayTaskError as error:
        raise (error.cause if isinstance(error.cause, In9Error) else error) from None
    except ray.exceptions.RayError as error:
        died = f"its workers died ({type(error).__name__}); perhaps memory ran out"
        raise In9Error(f"Training on {unit.recipe.train_on} was given up: {died}.") from error
