"""Studies and units: computed once, found again, stopped and gone on with, read without data."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pandas as pd
import pytest
import torch

from in9.data.build import Split
from in9.data.dataset import Dataset
from in9.data.variants import VARIANTS
from in9.data.workers import deaf_to_interrupts
from in9.errors import In9Error
from in9.evaluation.predictions import TEST_SETS
from in9.evaluation.records import Record
from in9.study import executors
from in9.study import study as study_module
from in9.study.executors import run_in_processes
from in9.study.jobs import Unit, run_unit
from in9.study.profile import PROFILES, Profile, profile_named
from in9.study.study import Study
from in9.study.workspace import Workspace, find_workspace
from in9.taxonomy import CLASS_NAMES, TITLES
from in9.training.augmentation import Augmentation
from in9.training.loop import Stopped
from in9.training.recipe import TRAINING_SETS, Recipe

PROFILE = Profile(
    name="trial",
    about="A trial.",
    source="synthetic",
    real=False,
    source_options=MappingProxyType({"rho": 0.8, "per_class": 12, "image_size": 32}),
    split=Split(test=1 / 3, validation=1 / 3),
    recipe=Recipe(
        architecture="small_resnet_w8_b1",
        epochs=1,
        batch_size=12,
        learning_rate=0.05,
        schedule="cosine",
        augmentation=Augmentation(smallest_crop=0.5),
    ),
    seeds=(0, 1),
)


def open_study(workspace: Workspace, profile: Profile = PROFILE, jobs: int = 1, recorded: bool = False) -> Study:
    return Study(profile, device="cpu", jobs=jobs, recorded=recorded, workspace=workspace, progress=False)


@pytest.fixture
def workspace(dataset: Dataset, tmp_path: Path) -> Workspace:
    """A project whose data is built, and in which nothing was measured yet."""
    shutil.copytree(dataset.path, tmp_path / "data" / "trial")
    return Workspace(tmp_path)


@pytest.fixture(scope="module")
def measured(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A project in which the whole matrix was measured."""
    workspace = Workspace(tmp_path_factory.mktemp("measured"))
    shutil.copytree(dataset.path, workspace.data / "trial")
    study = open_study(workspace)
    study.matrix()
    study.outcomes()
    return workspace


@pytest.fixture
def idle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing may be trained or measured."""

    def refuse(*arguments: object, **options: object) -> Iterator[tuple[Unit, Record]]:
        raise AssertionError("this should have been found among the records")

    monkeypatch.setattr(study_module, "run_units", refuse)


# --- frames -----------------------------------------------------------------------------------------------------


def test_the_matrix_has_every_training_set_on_every_test_set(measured: Workspace, idle: None) -> None:
    frame = open_study(measured).matrix()
    assert list(frame.columns) == ["train", "test", "accuracy", "low", "high"]
    assert list(zip(frame["train"], frame["test"], strict=True)) == [
        (train, test) for train in TRAINING_SETS for test in TEST_SETS
    ]
    assert len(frame) == 81
    assert frame[["accuracy", "low", "high"]].min().min() >= 0
    assert frame[["accuracy", "low", "high"]].max().max() <= 100
    assert ((frame["low"] <= frame["accuracy"]) & (frame["accuracy"] <= frame["high"])).all()


def test_the_gap_is_the_difference_of_two_cells(measured: Workspace, idle: None) -> None:
    study = open_study(measured)
    cells = study.matrix().pivot(index="train", columns="test", values="accuracy")
    gaps = study.gaps().set_index("train")
    assert list(gaps.index) == list(TRAINING_SETS)
    for train in TRAINING_SETS:
        assert gaps.loc[train, "gap"] == pytest.approx(cells.loc[train, "mixed_same"] - cells.loc[train, "mixed_rand"])
        assert gaps.loc[train, "low"] <= gaps.loc[train, "gap"] <= gaps.loc[train, "high"]


def test_answers_hold_every_seed(measured: Workspace, dataset: Dataset, idle: None) -> None:
    answers = open_study(measured).answers("no_fg")
    assert [record.settings["recipe"]["seed"] for record in answers.records] == [0, 1]
    labels = dataset.table["label"].to_numpy()[dataset.indices("test")]
    for test in TEST_SETS:
        assert answers.predictions(test).shape == (2, len(labels))
        assert np.array_equal(answers.labels(test), labels)  # every drawn image has a good mask, so IN-9L is the same
        value = np.mean([(row == labels).mean() for row in answers.predictions(test)])
        assert answers.accuracy(test).value == pytest.approx(value)  # the classes are of one size here
    assert answers.seconds == pytest.approx(sum(record.provenance["seconds"] for record in answers.records))


def test_dataset_counts_every_image(measured: Workspace, idle: None) -> None:
    frame = open_study(measured).outcomes()
    assert list(frame.columns) == ["class", "split", "outcome", "count"]
    assert frame["count"].sum() == 9 * 12 and set(frame["class"]) == set(CLASS_NAMES)


def test_gallery_shows_each_class_in_each_variant(measured: Workspace) -> None:
    study = open_study(measured)
    pictures = study.gallery()
    assert list(pictures) == list(CLASS_NAMES)
    for images in pictures.values():
        assert len(images) == len(VARIANTS)
        assert all(image.shape == (32, 32, 3) and image.dtype == np.uint8 for image in images)
        assert not np.array_equal(images[0], images[1])
    assert not np.array_equal(study.gallery(1)["dog"][0], pictures["dog"][0])
    assert np.array_equal(study.gallery(4)["dog"][0], pictures["dog"][0])  # four images a class: it goes round


def test_describe_says_what_a_reader_wants_to_know(measured: Workspace, idle: None) -> None:
    text = open_study(measured).describe()
    for part in ("Profile `trial`. A trial.", "`small_resnet_w8_b1` for 1 epochs on 36 images (2 seeds)", " s on "):
        assert part in text
    assert "\n" not in text


# --- records ----------------------------------------------------------------------------------------------------


def test_committed_records_are_enough(measured: Workspace, tmp_path: Path, idle: None) -> None:
    shutil.copytree(measured.runs / "records", tmp_path / "records")
    reader = open_study(Workspace(tmp_path), recorded=True)
    writer = open_study(measured)
    pd.testing.assert_frame_equal(reader.matrix(), writer.matrix())
    pd.testing.assert_frame_equal(reader.gaps(), writer.gaps())
    pd.testing.assert_frame_equal(reader.outcomes(), writer.outcomes())
    assert reader.describe() == f"Nothing was computed for these pages: their run is our record. {writer.describe()}"
    assert reader.origins == {"record": reader}  # the record is not shown twice
    assert writer.origins == {"run": writer}  # that project has no records on photographs
    assert [path.name for path in tmp_path.iterdir()] == ["records"]  # nothing was built


def test_without_committed_records_the_error_says_how_to_measure(tmp_path: Path, idle: None) -> None:
    reader = open_study(Workspace(tmp_path), recorded=True)
    with pytest.raises(In9Error, match=r"no evaluation record of training on original .*`in9 book --profile trial`"):
        reader.matrix()
    with pytest.raises(In9Error, match=r"no record of the dataset of profile 'trial'"):
        reader.outcomes()
    assert reader.reference is None
    assert list(tmp_path.iterdir()) == []


def test_other_settings_are_not_found(measured: Workspace) -> None:
    study = open_study(measured)
    for changes in ({"epochs": 2}, {"learning_rate": 0.01}, {"fine": 2}, {"seed": 5}):
        recipe = replace(study.recipe("original"), **changes)
        assert study.store.find("evaluation", study._unit("evaluation", recipe, {"test_seed": 0}).settings) is None
    other = replace(PROFILE, source_options=MappingProxyType({**PROFILE.source_options, "rho": 0.2}))
    with pytest.raises(In9Error, match="no evaluation record"):
        Study(other, recorded=True, workspace=measured, progress=False).answers("original")


def test_a_collection_with_other_settings_is_an_error(workspace: Workspace, idle: None) -> None:
    for other in (
        replace(PROFILE, source_options=MappingProxyType({**PROFILE.source_options, "rho": 0.2})),
        replace(PROFILE, split=Split()),
        replace(PROFILE, build_seed=1),
    ):
        with pytest.raises(In9Error, match="holds a dataset with other settings than profile 'trial' needs"):
            open_study(workspace, other).matrix()
    assert not workspace.runs.exists()


def test_what_was_measured_on_other_pixels_is_measured_again(measured: Workspace, tmp_path: Path) -> None:
    shutil.copytree(measured.root, tmp_path, dirs_exist_ok=True)
    images = np.load(tmp_path / "data" / "trial" / "images.npy", mmap_mode="r+")
    images[:] = 255 - images
    images.flush()
    manifest = tmp_path / "data" / "trial" / "manifest.json"
    old = Dataset(tmp_path / "data" / "trial").manifest["files"]["images.npy"]["sha256"]
    manifest.write_text(manifest.read_text().replace(old, "0" * 64))
    before = open_study(measured).answers("original").records
    after = open_study(Workspace(tmp_path)).answers("original").records
    assert {record.data for record in before}.isdisjoint(record.data for record in after)
    assert [record.key for record in before] == [record.key for record in after]
    assert after[0].results["training"]["losses"] != before[0].results["training"]["losses"]


def test_the_collection_is_built_where_it_is_missing(tmp_path: Path) -> None:
    study = open_study(Workspace(tmp_path), PROFILES["smoke"])
    assert len(study.dataset.table) == 9 * 16
    assert study.dataset.path == tmp_path / "data" / "smoke"
    again = open_study(Workspace(tmp_path), PROFILES["smoke"])
    assert again.dataset.hash == study.dataset.hash


# --- units ------------------------------------------------------------------------------------------------------


def units_of(workspace: Workspace, *changes: dict) -> list[Unit]:
    study = open_study(workspace)
    recipe = study.recipe("original")
    return [study._unit("evaluation", replace(recipe, **one), {"test_seed": 0}) for one in changes]


def test_a_unit_run_twice_gives_the_same_record(workspace: Workspace, dataset: Dataset) -> None:
    (unit,) = units_of(workspace, {"train_on": "mixed_rand"})
    before = torch.get_num_threads()
    trained = run_unit(unit, "cpu")
    assert [path.suffix for path in unit.scratch.iterdir()] == [".safetensors"]  # the checkpoint is gone
    loaded = run_unit(unit, "cpu")  # from the weights that are kept
    shutil.rmtree(unit.scratch)
    again = run_unit(unit, "cpu")
    for other in (loaded, again):
        assert other.key == trained.key and other.data == trained.data == dataset.hash
        assert other.results["predictions"] == trained.results["predictions"]
        assert other.results["training"]["losses"] == trained.results["training"]["losses"]
    assert loaded.provenance["seconds"] >= loaded.results["training"]["seconds"]
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("damage", ["cut short", "garbage", "another recipe"])
def test_damaged_weights_say_what_to_do(workspace: Workspace, damage: str) -> None:
    unit, other = units_of(workspace, {}, {"fine": 2})
    run_unit(unit, "cpu")
    weights = unit.weights(Dataset(unit.dataset))
    if damage == "cut short":
        weights.write_bytes(weights.read_bytes()[:1000])
    elif damage == "garbage":
        weights.write_bytes(b"x" * 1000)
    else:
        run_unit(other, "cpu")
        shutil.copy(other.weights(Dataset(unit.dataset)), weights)
    with pytest.raises(In9Error, match=r"safetensors cannot be read .*; remove them to train anew") as caught:
        run_unit(unit, "cpu")
    assert "\n" not in str(caught.value)


def test_a_unit_that_fails_leaves_what_finished(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    study = open_study(workspace)
    recipes = [study.recipe("original", 0), study.recipe("original", 0, learning_rate=1e25), study.recipe("only_fg", 0)]
    with pytest.raises(In9Error, match="diverged"):
        study.evaluations(recipes)
    assert len(study.store.all()) == 1
    run: list[str] = []

    def watched(unit: Unit, *arguments: object) -> Record:
        run.append(unit.recipe.train_on)
        return run_unit(unit, *arguments)

    monkeypatch.setattr("in9.study.executors.run_unit", watched)
    assert len(study.evaluations([recipes[0], recipes[2], recipes[0]])) == 3
    assert run == ["only_fg"]


def test_a_full_disk_is_told_in_one_sentence(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, content: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(In9Error, match=r"The disk is full while writing .*free some space and run the same command"):
        open_study(workspace).answers("original")
    assert open_study(workspace).store.all() == []


def test_stopped_with_ctrl_c_the_next_run_goes_on(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    (unit,) = units_of(workspace, {"epochs": 4})
    whole = run_unit(unit, "cpu")
    shutil.rmtree(workspace.runs)
    seen: list[int] = []

    def stop_in_the_second(epoch: int, loss: float) -> None:
        seen.append(epoch)
        if epoch == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(executors._Worker, "check", stop_in_the_second)
    with pytest.raises(KeyboardInterrupt):
        list(run_in_processes([unit], "cpu", jobs=1))
    assert [path.suffix for path in unit.scratch.iterdir()] == [".checkpoint"]
    ((_, record),) = run_in_processes([unit], "cpu", jobs=1)
    assert seen == [0, 1, 2, 3]
    assert record.results["predictions"] == whole.results["predictions"]
    assert [path.suffix for path in unit.scratch.iterdir()] == [".safetensors"]


@pytest.mark.slow
def test_two_jobs_give_the_records_of_one_and_stop_when_asked(
    measured: Workspace, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick, other, long = units_of(workspace, {}, {"train_on": "mixed_rand"}, {"epochs": 5000})
    finished: dict[str, Record] = {}
    with pytest.raises(KeyboardInterrupt):
        for unit, record in run_in_processes([quick, other, long], "cpu", jobs=2):
            finished[unit.recipe.train_on] = record
            if len(finished) == 2:
                asked = time.monotonic()
                raise KeyboardInterrupt
    assert time.monotonic() - asked < 20
    for train_on, record in finished.items():
        alone = open_study(measured).answers(train_on).records[0]
        assert alone.key == record.key
        assert alone.results["predictions"] == record.results["predictions"]
        assert alone.results["training"]["losses"] == record.results["training"]["losses"]
    assert len(open_study(workspace).store.all()) == 2
    checkpoint = long.weights(Dataset(long.dataset)).with_suffix(".checkpoint")
    if checkpoint.is_file():  # unless it was stopped before its first epoch
        reached = len(torch.load(checkpoint, weights_only=True)["losses"])
        assert 1 <= reached < 5000

        def stop(epoch: int, loss: float) -> None:
            assert epoch == reached
            raise Stopped

        with pytest.raises(Stopped):
            run_unit(long, "cpu", stop)


def test_workers_are_deaf_to_ctrl_c_from_birth() -> None:
    code = "import os, signal; os.kill(os.getpid(), signal.SIGINT); print('still here')"
    with deaf_to_interrupts():
        child = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, timeout=60)
    assert (child.returncode, child.stdout, child.stderr) == (0, "still here\n", "")
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


# --- profiles and workspaces ------------------------------------------------------------------------------------


def test_profiles_have_names_and_an_unknown_one_lists_them() -> None:
    assert {"smoke", "control", "light", "tiny", "paper"} <= set(PROFILES)
    for name, profile in PROFILES.items():
        assert profile.name == name and profile_named(name) is profile
        assert profile.about.endswith(".") and profile.seeds
    with pytest.raises(
        In9Error, match=r"no profile 'contrl'\. Did you mean 'control'\? Choose one of: control, light, paper"
    ):
        Study("contrl")


def test_the_papers_profile_is_the_papers_recipe() -> None:
    assert PROFILES["paper"].recipe == Recipe()


def test_labels_cover_what_a_study_can_show() -> None:
    assert set(TITLES) == set(TEST_SETS) == set(TRAINING_SETS)


def test_a_workspace_is_found_from_below(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("IN9_HOME", raising=False)
    (tmp_path / "project" / "notebooks").mkdir(parents=True)
    (tmp_path / "project" / "_config.yml").write_text("")
    assert find_workspace(tmp_path / "project" / "notebooks").root == tmp_path / "project"
    assert find_workspace(tmp_path).root == tmp_path
    monkeypatch.chdir(tmp_path / "project" / "notebooks")
    assert find_workspace().root == tmp_path / "project"
    monkeypatch.setenv("IN9_HOME", str(tmp_path / "elsewhere"))
    assert find_workspace().root == tmp_path / "elsewhere"
