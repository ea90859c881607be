"""Engines: the same records wherever units run, and none lost or doubled when a worker dies."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import test_study
import torch

from in9.book import notebooks
from in9.book.notebooks import Chapter
from in9.data.dataset import Dataset
from in9.errors import In9Error
from in9.evaluation.records import Record, plain
from in9.study import executors
from in9.study.executors import run_in_processes, run_units, visible_gpus
from in9.study.jobs import Unit, run_unit
from in9.study.study import Study
from in9.study.workspace import Workspace
from in9.training import loop
from in9.training.augmentation import Augmentation
from in9.training.recipe import Recipe

# Ray leaves the processes and files that it opened to end by themselves, and Python says so when it forgets them.
pytestmark = [
    pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning"),
    pytest.mark.filterwarnings("ignore:unclosed file .*/dev/null:ResourceWarning"),
]

PROFILE = replace(
    test_study.PROFILE,
    seeds=(0,),
    recipe=Recipe("original", "small_resnet_w8_b1", 1, 12, learning_rate=0.05, augmentation=Augmentation()),
)


@pytest.fixture
def study(dataset: Dataset, tmp_path: Path) -> Study:
    """A study whose data is built and in which nothing was measured yet."""
    shutil.copytree(dataset.path, tmp_path / "data" / "trial")
    return Study(PROFILE, device="cpu", workspace=Workspace(tmp_path), progress=False)


def units_of(study: Study, *changes: dict[str, Any]) -> list[Unit]:
    return [study._unit("evaluation", replace(PROFILE.recipe, **one), {"test_seed": 0}) for one in changes]


def elsewhere(units: list[Unit], folder: Path) -> list[Unit]:
    """The same units with records and weights in another folder."""
    return [replace(unit, records=folder / "records", scratch=folder / "trained") for unit in units]


def by_key(records: Iterable[Record]) -> dict[str, dict[str, Any]]:
    """All of each record that does not say when, where and in what time."""
    found = {}
    for record in records:
        content = plain({name: value for name, value in record.__dict__.items() if name != "provenance"})
        training = content["results"]["training"]
        content["results"]["training"] = {name: training[name] for name in training if "seconds" not in name}
        found[record.key] = content
    return found


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
            ray = stack.enter_context(executors._cluster(**two))
        except In9Error:  # Ray has limits of its own on how long its processes may take to start
            ray = stack.enter_context(executors._cluster(**two))
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


def test_a_study_runs_its_units_with_its_engine(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, int | None]] = []

    def remember(units: list[Unit], device: str, jobs: int | None) -> Iterator[tuple[Unit, Record]]:
        asked.append((device, jobs))
        yield from run_in_processes(units, device, 1)

    monkeypatch.setitem(executors.ENGINES, "ray", remember)
    ours = Study(PROFILE, device="cpu", jobs=7, engine="ray", workspace=study.workspace, progress=False)
    assert len(ours.evaluations([PROFILE.recipe])) == 1 and asked == [("cpu", 7)]


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


def test_without_ray_the_error_says_what_to_install(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(In9Error, match=r"pip install 'in9\[ray\]'"):
        list(run_units(units_of(study, {}), "cpu", engine="ray"))
    assert study.store.all() == []


# --- several GPUs of one machine --------------------------------------------------------------------------------


def test_visible_gpus_have_the_names_that_cuda_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert visible_gpus() == ["0", "1"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,GPU-ab")
    assert visible_gpus() == ["5", "GPU-ab"]


def which_gpu(unit: Unit, device: str) -> tuple[int, str | None, str]:
    """Stands in for running a unit, once two processes do: which one it is, and which GPUs are visible there."""
    unit.scratch.mkdir(parents=True, exist_ok=True)
    (unit.scratch / str(os.getpid())).touch()
    late = time.monotonic() + 60
    while len(list(unit.scratch.iterdir())) < 2 and time.monotonic() < late:
        time.sleep(0.01)
    return os.getpid(), os.environ.get("CUDA_VISIBLE_DEVICES"), device


@pytest.mark.parametrize(("device", "jobs", "seen"), [("cuda", None, ["4", "7"]), ("cuda:1", 2, ["4,7", "4,7"])])
def test_each_gpu_has_a_process_that_sees_no_other(
    study: Study, monkeypatch: pytest.MonkeyPatch, device: str, jobs: int | None, seen: list[str]
) -> None:
    monkeypatch.setattr("in9.study.executors.pick_device", torch.device)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr("in9.study.executors._run_in_worker", which_gpu)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    units = units_of(study, *({"seed": seed} for seed in range(6)))
    found: set[Any] = {record for _, record in run_in_processes(units, device, jobs)}
    assert sorted(gpus for _, gpus, _ in found) == seen  # two processes, and each has seen the same each time
    assert {name for *_, name in found} == {device}


def test_one_gpu_by_name_runs_one_unit_after_the_other(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("in9.study.executors.pick_device", torch.device)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr("in9.study.executors.run_unit", lambda unit, device, check: (os.getpid(), device))
    found: list[Any] = [record for _, record in run_in_processes(units_of(study, {}, {"seed": 1}), "cuda:1")]
    assert found == [(os.getpid(), "cuda:1")] * 2


# --- Ray --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("device", "gpus", "expected"), [("auto", 0, "cpu"), ("auto", 2, "cuda"), ("cuda:1", 1, "cuda"), ("cpu", 4, "cpu")]
)
def test_ray_decides_which_gpu(device: str, gpus: float, expected: str) -> None:
    assert executors._device(device, gpus) == expected


def test_a_machine_without_the_data_says_so(study: Study) -> None:
    (unit,) = units_of(study, {})
    away = replace(unit, dataset=study.workspace.data / "nowhere")
    for one, content in ((unit, "0" * 16), (away, study.dataset.hash)):
        with pytest.raises(In9Error, match=r"does not have this run's data in .* on a disk that all machines share"):
            executors._run_in_task(one, "cpu", content)
    assert not unit.scratch.exists()


@pytest.mark.slow
def test_ray_gives_the_records_of_the_local_engine(
    study: Study, ray: Any, tmp_path: Path, capfd: pytest.CaptureFixture
) -> None:
    units = units_of(study, {"train_on": "mixed_rand"}, {"train_on": "in9l"}, {"head_on": "mixed_rand"})
    here = [record for _, record in run_in_processes(elsewhere(units, tmp_path / "local"), "cpu", 1)]
    there = list(run_units(units, "auto", engine="ray"))
    assert by_key(record for _, record in there) == by_key(here) and len(there) == 3
    assert all(unit.settings == record.settings for unit, record in there)
    assert by_key(study.store.all()) == by_key(here) and len(study.store.all()) == 3
    assert ray.is_initialized()  # whoever connected disconnects
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
def test_a_worker_that_is_killed_is_replaced_and_its_unit_goes_on(
    study: Study, ray: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    units, log = units_of(study, {"epochs": 4}, {"train_on": "only_fg"}), tmp_path / "epochs"

    def killed_once(unit: Unit, device: str, content: str) -> Record:  # a worker is sent its text
        def check(epoch: int, loss: float) -> None:
            if unit.recipe.epochs == 4:
                with log.open("a") as stream:
                    stream.write(str(epoch))
                if epoch == 2 and log.read_text().count("2") == 1:
                    os.kill(os.getpid(), signal.SIGKILL)

        loop.CHECKPOINT_EVERY = 0.0  # after each epoch
        return run_unit(unit, device, check)

    monkeypatch.setattr("in9.study.executors._run_in_task", killed_once)
    there = [record for _, record in run_units(units, "cpu", engine="ray")]
    assert log.read_text() == "012" + "23"  # the second worker goes on from the checkpoint
    here = [record for _, record in run_in_processes(elsewhere(units, tmp_path / "local"), "cpu", 1)]
    assert by_key(there) == by_key(here) == by_key(study.store.all()) and len(there) == 2
    assert len(list(study.store.folder.iterdir())) == 2
    assert capfd.readouterr() == ("", "")


def test_a_unit_whose_workers_die_is_given_up(study: Study, ray: Any) -> None:
    def get(task: object) -> Record:
        raise ray.exceptions.WorkerCrashedError

    gone = SimpleNamespace(get=get, exceptions=ray.exceptions)
    with pytest.raises(In9Error, match=r"Training on original was given up: its workers died \(WorkerCrashedError\);"):
        executors._result(gone, None, units_of(study, {})[0])
    assert study.store.all() == []


@pytest.mark.slow
def test_a_unit_that_fails_on_ray_leaves_what_finished(study: Study, ray: Any) -> None:
    units = units_of(study, {}, {"learning_rate": 1e25}, {"train_on": "only_fg"})
    with pytest.raises(In9Error, match=r"^Training on original diverged in epoch 1; lower the learning rate"):
        list(run_units(units, "cpu", jobs=1, engine="ray"))
    assert [record.settings for record in study.store.all()] == [units[0].settings]


@pytest.mark.slow
def test_ctrl_c_cancels_what_runs_and_keeps_what_finished(study: Study, ray: Any) -> None:
    quick, long = units_of(study, {}, {"epochs": 50_000})
    with pytest.raises(KeyboardInterrupt):
        for unit, _ in run_units([long, quick], "cpu", engine="ray"):
            assert unit is quick
            asked = time.monotonic()
            raise KeyboardInterrupt
    assert time.monotonic() - asked < executors.PATIENCE  # it ended, and was not only left alone
    assert [record.settings for record in study.store.all()] == [quick.settings]


def test_a_gpu_that_the_cluster_has_not_is_refused(study: Study, ray: Any) -> None:
    with pytest.raises(In9Error, match=r"Device 'cuda' cannot be used: the Ray cluster has no GPU; try --device cpu"):
        list(run_units(units_of(study, {}), "cuda", engine="ray"))


def test_a_cluster_that_does_not_answer_is_told(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'in9[ray]'")

    def unreachable(*arguments: object, **options: object) -> None:
        raise ConnectionError("Failed to connect.\nMore about it.")

    monkeypatch.setattr(ray, "init", unreachable)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    with pytest.raises(In9Error, match=r"^Ray did not start or does not answer \(Failed to connect\); see RAY_A"):
        list(run_units(units_of(study, {}), "cpu", engine="ray"))


def test_an_address_where_nobody_listens_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'in9[ray]'")
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(In9Error, match=r"^No Ray cluster answers at 127\.0\.0\.1:1 "):
        next(executors.run_units([], engine="ray"), None)
