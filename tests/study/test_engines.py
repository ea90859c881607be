"""Engines: the same records wherever jobs run, and none lost or doubled when a worker dies."""

from __future__ import annotations

import gc
import json
import os
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from trial_study import PROFILE, furnished

from in9.book import notebooks
from in9.book.notebooks import Chapter
from in9.data.dataset import Dataset
from in9.errors import In9Error
from in9.evaluation.records import Record, Store
from in9.files import plain
from in9.study import engines
from in9.study.engines import run_in_processes, run_jobs, visible_gpus, workers_on
from in9.study.jobs import DATASET, Job, evaluations, run_job
from in9.study.study import Study
from in9.study.workspace import Workspace
from in9.training import loop

# Ray leaves the processes and files that it opened to end by themselves, and Python says so when it forgets them.
pytestmark = [
    pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning"),
    pytest.mark.filterwarnings("ignore:unclosed file .*/dev/null:ResourceWarning"),
]


@pytest.fixture
def workspace(dataset: Dataset, tmp_path: Path) -> Workspace:
    """A project whose data is built and in which nothing was measured yet."""
    return furnished(Workspace(tmp_path / "project"), dataset)


@pytest.fixture
def local(dataset: Dataset, tmp_path: Path) -> Workspace:
    """Another such project, in which the engine ``local`` runs."""
    return furnished(Workspace(tmp_path / "local"), dataset)


def jobs_with(*changes: dict[str, Any]) -> list[Job]:
    """The evaluation of the profile's recipe with each of some changes."""
    return evaluations(PROFILE, [PROFILE.recipe.changed(**change) for change in changes])


def by_key(records: Iterable[Record]) -> dict[str, dict[str, Any]]:
    """All of each record that does not say when, where and in what time."""
    contents = {}
    for record in records:
        content = plain({name: value for name, value in record.__dict__.items() if name != "provenance"})
        training = content["results"]["training"]
        content["results"]["training"] = {name: training[name] for name in training if "seconds" not in name}
        contents[record.key] = content
    return contents


@pytest.fixture(scope="module")
def ray(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Ray on a cluster of two workers and no GPU, which the engine starts and which serves all tests of this module."""
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'in9[ray]'")
    with pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))  # where Ray keeps a password
        patch.delenv("RAY_ADDRESS", raising=False)
        # Ray starts many processes, each of which would compile all that it imports.
        patch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
        two = {"address": "local", "num_cpus": 2, "num_gpus": 0}
        try:
            ray = stack.enter_context(engines._cluster(**two))
        except In9Error:  # Ray has limits of its own on how long its processes may take to start
            ray = stack.enter_context(engines._cluster(**two))
        yield ray
    assert not ray.is_initialized()
    gc.collect()  # the warning above, while it is expected


# --- which engine -----------------------------------------------------------------------------------------------


def test_the_engine_is_named_or_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("IN9_ENGINE", raising=False)
    assert Study("smoke").engine == "local"
    monkeypatch.setenv("IN9_ENGINE", "ray")
    assert Study("smoke").engine == "ray" and Study("smoke", engine="local").engine == "local"
    monkeypatch.setenv("IN9_ENGINE", "rya")
    with pytest.raises(In9Error, match=r"no engine 'rya'\. Did you mean 'ray'\? Choose one of: local, ray\."):
        Study("smoke")


def test_a_study_runs_its_jobs_with_its_engine(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Workspace, str, int | None]] = []

    def remember(
        jobs: list[Job], workspace: Workspace, device: str, workers: int | None
    ) -> Iterator[tuple[Job, Record]]:
        asked.append((workspace, device, workers))
        yield from run_in_processes(jobs, workspace, device, 1)

    monkeypatch.setitem(engines.ENGINES, "ray", remember)
    study = Study(PROFILE, device="cpu", jobs=7, engine="ray", workspace=workspace, progress=False)
    assert study.measure(jobs_with({})) == 1 and asked == [(workspace, "cpu", 7)]
    assert len(Store(workspace.measured).all()) == 1


def test_a_chapter_is_told_the_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chapter = tmp_path / "01_one.py"
    chapter.write_text('# # One\n\n# + tags=["parameters"]\nprofile = "smoke"\n')
    told: list[dict[str, str]] = []

    def remember(notebook: Any, *arguments: object, kernel_manager_class: Any, **options: object) -> Any:
        told.append(kernel_manager_class().kernel_spec.env)
        return notebook

    monkeypatch.setattr("papermill.execute_notebook", remember)
    for engine in ("ray", None):
        notebooks.execute(Chapter(chapter), {}, tmp_path, tmp_path / "out.ipynb", engine)
    assert told[0]["IN9_ENGINE"] == "ray" and "IN9_ENGINE" not in told[1]


def test_without_ray_the_error_says_what_to_install(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(In9Error, match=r"pip install 'in9\[ray\]'"):
        list(run_jobs(jobs_with({}), workspace, "cpu", engine="ray"))
    assert not workspace.runs.exists()


# --- several GPUs of one machine --------------------------------------------------------------------------------


def test_visible_gpus_have_the_names_that_cuda_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert visible_gpus() == ["0", "1"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,GPU-ab")
    assert visible_gpus() == ["5", "GPU-ab"]
    assert [workers_on(torch.device(name)) for name in ("cuda", "cuda:1")] == [2, 1]
    assert workers_on(torch.device("cpu")) == os.cpu_count()


def which_gpu(job: Job, workspace: Workspace, device: str) -> tuple[int, str | None, str]:
    """Stands in for running a job, once two processes do: which process it is, and which GPUs are visible there."""
    workspace.runs.mkdir(parents=True, exist_ok=True)
    (workspace.runs / str(os.getpid())).touch()
    late = time.monotonic() + 60
    while len(list(workspace.runs.iterdir())) < 2 and time.monotonic() < late:
        time.sleep(0.01)
    return os.getpid(), os.environ.get("CUDA_VISIBLE_DEVICES"), device


@pytest.mark.parametrize(("device", "workers", "seen"), [("cuda", None, ["4", "7"]), ("cuda:1", 2, None)])
def test_each_gpu_has_a_process_that_sees_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: str, workers: int | None, seen: list[str] | None
) -> None:
    monkeypatch.setattr("in9.study.engines.pick_device", torch.device)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr("in9.study.engines._run_in_worker", which_gpu)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    if seen is None:  # a GPU by name: workers see what any process sees that is started here
        with ProcessPoolExecutor(1, mp_context=engines.torch_context()) as pool:
            seen = [pool.submit(os.getenv, "CUDA_VISIBLE_DEVICES").result()] * 2
    jobs = jobs_with(*({"seed": seed} for seed in range(6)))
    places: set[Any] = {place for _, place in run_in_processes(jobs, Workspace(tmp_path), device, workers)}
    # Two processes, and each has seen the same each time.
    assert Counter(gpus for _, gpus, _ in places) == Counter(seen)
    assert {name for *_, name in places} == {device}


def test_one_gpu_by_name_runs_one_job_after_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("in9.study.engines.pick_device", torch.device)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr("in9.study.engines.run_job", lambda job, workspace, device, check: (os.getpid(), device))
    jobs = jobs_with({}, {"seed": 1})
    places: list[Any] = [place for _, place in run_in_processes(jobs, Workspace(tmp_path), "cuda:1")]
    assert places == [(os.getpid(), "cuda:1")] * 2


# --- a cluster that is played by this process -------------------------------------------------------------------


class PlayedCluster:
    """What the engine uses of Ray. A task runs in this process when its result is asked for."""

    def __init__(self, exceptions: Any) -> None:
        self.exceptions = exceptions
        self.gpus = 0.0
        self.resources: dict[str, Any] = {}
        self.before: Callable[[], None] = lambda: None

    def is_initialized(self) -> bool:
        return True

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": 2.0, "GPU": self.gpus}

    def remote(self, **resources: Any) -> Callable[[Callable], SimpleNamespace]:
        self.resources = resources
        return lambda function: SimpleNamespace(remote=lambda *arguments: partial(function, *arguments))

    def wait(self, tasks: list, **options: Any) -> tuple[list, list]:
        return tasks[:1], tasks[1:]

    def get(self, task: Callable[[], Record]) -> Record:
        self.before()
        return task()

    def cancel(self, task: object, force: bool) -> None: ...


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> PlayedCluster:
    ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'in9[ray]'")
    cluster = PlayedCluster(ray.exceptions)
    monkeypatch.setitem(sys.modules, "ray", cluster)
    return cluster


@pytest.mark.parametrize(
    ("device", "gpus", "expected"), [("auto", 0, "cpu"), ("auto", 2, "cuda"), ("cuda:1", 1, "cuda"), ("cpu", 4, "cpu")]
)
def test_ray_decides_which_gpu(
    workspace: Workspace,
    played: PlayedCluster,
    monkeypatch: pytest.MonkeyPatch,
    device: str,
    gpus: float,
    expected: str,
) -> None:
    played.gpus, used = gpus, []

    def on_the_processor(job: Job, workspace: Workspace, device: str) -> Record:
        used.append(device)
        return run_job(job, workspace, "cpu")

    monkeypatch.setattr("in9.study.engines.run_job", on_the_processor)
    ((job, record),) = run_jobs(jobs_with({}), workspace, device, engine="ray")
    assert used == [expected] and record == job.find(workspace.measured)
    assert played.resources["num_gpus"] == (expected == "cuda") and played.resources["num_cpus"] == 1


@pytest.mark.parametrize("there", ["nothing", "other data"])
def test_a_machine_without_the_data_says_so(workspace: Workspace, played: PlayedCluster, there: str) -> None:
    manifest = workspace.dataset(PROFILE.data) / "manifest.json"

    def on_the_other_machine() -> None:
        if there == "nothing":
            shutil.rmtree(manifest.parent)
        else:
            content = json.loads(manifest.read_text())
            content["files"]["images.npy"]["sha256"] = "0" * 64
            manifest.write_text(json.dumps(content))

    played.before = on_the_other_machine
    with pytest.raises(In9Error, match=r"does not have this run's data in .* on a disk that all machines share"):
        list(run_jobs(jobs_with({}), workspace, "cpu", engine="ray"))
    assert not workspace.runs.exists()


def test_a_job_whose_workers_die_is_given_up(workspace: Workspace, played: PlayedCluster) -> None:
    def die() -> None:
        raise played.exceptions.WorkerCrashedError

    played.before = die
    with pytest.raises(In9Error, match=r"Training on original was given up: its workers died \(WorkerCrashedError\);"):
        list(run_jobs(jobs_with({}), workspace, "cpu", engine="ray"))
    with pytest.raises(In9Error, match=r"^trial was given up: its workers died"):
        list(run_jobs([Job(PROFILE, DATASET)], workspace, "cpu", engine="ray"))
    assert not workspace.runs.exists()


# --- Ray --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_ray_gives_the_records_of_the_local_engine(
    workspace: Workspace, local: Workspace, ray: Any, capfd: pytest.CaptureFixture
) -> None:
    jobs = jobs_with({"train_on": "mixed_rand"}, {"train_on": "in9l"}, {"head_on": "mixed_rand"})
    here = [record for _, record in run_in_processes(jobs, local, "cpu", 1)]
    there = list(run_jobs(jobs, workspace, "auto", engine="ray"))
    assert by_key(record for _, record in there) == by_key(here) and len(there) == 3
    assert all(job.settings == record.settings for job, record in there)
    stored = Store(workspace.measured).all()
    assert by_key(stored) == by_key(here) and len(stored) == 3
    assert ray.is_initialized()  # whoever connected disconnects
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
def test_a_worker_that_is_killed_is_replaced_and_its_job_goes_on(
    workspace: Workspace,
    local: Workspace,
    ray: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture,
) -> None:
    jobs, log = jobs_with({"epochs": 4}, {"train_on": "only_fg"}), tmp_path / "epochs"

    def killed_once(job: Job, workspace: Workspace, device: str, content: str) -> Record:  # a worker is sent its text
        def check(epoch: int, loss: float) -> None:
            if job.recipe.epochs == 4:
                with log.open("a") as stream:
                    stream.write(str(epoch))
                if epoch == 2 and log.read_text().count("2") == 1:
                    os.kill(os.getpid(), signal.SIGKILL)

        loop.CHECKPOINT_EVERY = 0.0  # after each epoch
        return run_job(job, workspace, device, check)

    monkeypatch.setattr("in9.study.engines._run_in_task", killed_once)
    there = [record for _, record in run_jobs(jobs, workspace, "cpu", engine="ray")]
    assert log.read_text() == "012" + "23"  # the second worker goes on from the checkpoint
    here = [record for _, record in run_in_processes(jobs, local, "cpu", 1)]
    assert by_key(there) == by_key(here) == by_key(Store(workspace.measured).all()) and len(there) == 2
    assert len(list(workspace.measured.glob("*/*"))) == 2
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
def test_a_job_that_fails_on_ray_leaves_what_finished(workspace: Workspace, ray: Any) -> None:
    jobs = jobs_with({}, {"learning_rate": 1e25}, {"train_on": "only_fg"})
    with pytest.raises(In9Error, match=r"^Training on original diverged in epoch 1; lower the learning rate"):
        list(run_jobs(jobs, workspace, "cpu", workers=1, engine="ray"))
    assert [record.settings for record in Store(workspace.measured).all()] == [jobs[0].settings]


@pytest.mark.slow
def test_ctrl_c_cancels_what_runs_and_keeps_what_finished(workspace: Workspace, ray: Any) -> None:
    quick, long = jobs_with({}, {"epochs": 50_000})
    with pytest.raises(KeyboardInterrupt):
        for job, _ in run_jobs([long, quick], workspace, "cpu", engine="ray"):
            assert job is quick
            asked = time.monotonic()
            raise KeyboardInterrupt
    assert time.monotonic() - asked < engines.PATIENCE  # it ended, and was not only left alone
    assert [record.settings for record in Store(workspace.measured).all()] == [quick.settings]


def test_a_gpu_that_the_cluster_has_not_is_refused(workspace: Workspace, ray: Any) -> None:
    with pytest.raises(In9Error, match=r"Device 'cuda' cannot be used: the Ray cluster has no GPU; try --device cpu"):
        list(run_jobs(jobs_with({}), workspace, "cuda", engine="ray"))


def test_a_cluster_that_does_not_answer_is_told(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'in9[ray]'")

    def unreachable(*arguments: object, **options: object) -> None:
        raise ConnectionError("Failed to connect.\nMore about it.")

    monkeypatch.setattr(ray, "init", unreachable)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    with pytest.raises(In9Error, match=r"^Ray did not start or does not answer \(Failed to connect\); see RAY_A"):
        list(run_jobs(jobs_with({}), workspace, "cpu", engine="ray"))


def test_an_address_where_nobody_listens_is_said_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'in9[ray]'")
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(In9Error, match=r"^No Ray cluster answers at 127\.0\.0\.1:1 "):
        next(run_jobs([], Workspace(tmp_path), engine="ray"), None)
