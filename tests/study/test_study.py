"""Studies and jobs: computed once, found again, stopped and gone on with, read without data."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from trial_study import PROFILE, furnished, open_study, records_of
from two_at_once import run_two

from in9.data.dataset import Dataset
from in9.data.processes import interrupts_blocked
from in9.data.splits import Split
from in9.data.variants import MIXED, VARIANTS, load_pool
from in9.errors import In9Error
from in9.evaluation.predictions import TEST_SETS
from in9.evaluation.records import Record, Store
from in9.experiments.backgrounds_suffice import MATRIX, accuracies, gaps
from in9.experiments.image_counts import gallery, outcomes
from in9.files import hash_of_file
from in9.study.engines import run_in_processes
from in9.study.jobs import DRAWS, EVALUATION, Job, evaluations, load_classifier, run_job
from in9.study.profile import load_profile
from in9.study.study import Measured, NotMeasured, Study
from in9.study.workspace import Workspace, find_workspace
from in9.taxonomy import CLASS_NAMES, TITLES
from in9.training.loop import Stopped
from in9.training.recipe import TRAINING_SETS

TWO_SEEDS = replace(PROFILE, seeds=(0, 1))


@pytest.fixture
def workspace(dataset: Dataset, tmp_path: Path) -> Workspace:
    """A project whose data is built, and in which nothing was measured yet."""
    return furnished(Workspace(tmp_path), dataset)


@pytest.fixture(scope="module")
def measured(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A project in which the whole matrix was measured."""
    workspace = furnished(Workspace(tmp_path_factory.mktemp("measured")), dataset)
    study = open_study(workspace, TWO_SEEDS)
    MATRIX.read(study)
    outcomes(study)
    return workspace


def of_two_seeds(workspace: Workspace, **options: Any) -> Study:
    return open_study(workspace, TWO_SEEDS, **options)


# --- frames -----------------------------------------------------------------------------------------------------


def test_the_matrix_has_every_training_set_on_every_test_set(measured: Workspace, idle: None) -> None:
    frame = accuracies(MATRIX.read(of_two_seeds(measured)))
    assert list(frame.columns) == ["train", "test", "accuracy", "low", "high"]
    assert list(zip(frame["train"], frame["test"], strict=True)) == [
        (train, test) for train in TRAINING_SETS for test in TEST_SETS
    ]
    assert len(frame) == 81
    assert frame[["accuracy", "low", "high"]].min().min() >= 0
    assert frame[["accuracy", "low", "high"]].max().max() <= 100
    assert ((frame["low"] <= frame["accuracy"]) & (frame["accuracy"] <= frame["high"])).all()


def test_the_gap_is_the_difference_of_two_cells(measured: Workspace, idle: None) -> None:
    matrix = MATRIX.read(of_two_seeds(measured))
    cells = accuracies(matrix).pivot(index="train", columns="test", values="accuracy")
    frame = gaps(matrix).set_index("train")
    assert list(frame.index) == list(TRAINING_SETS)
    for train in TRAINING_SETS:
        assert frame.loc[train, "gap"] == pytest.approx(cells.loc[train, "mixed_same"] - cells.loc[train, "mixed_rand"])
        assert frame.loc[train, "low"] <= frame.loc[train, "gap"] <= frame.loc[train, "high"]


def test_predictions_hold_every_seed(measured: Workspace, dataset: Dataset, idle: None) -> None:
    study = of_two_seeds(measured)
    predictions = study.answers("no_fg")
    assert predictions.seeds == [0, 1] and {model.recipe["train_on"] for model in predictions.models} == {"no_fg"}
    labels = dataset.table["label"].to_numpy()[dataset.indices("test")]
    for test in TEST_SETS:
        assert predictions.classes[test].shape == (2, PROFILE.draws if test in MIXED else 1, len(labels))
        assert (test in predictions.backgrounds) == (test in MIXED)
        # Every drawn image has a good mask, so IN-9L is the same.
        assert np.array_equal(predictions.labels[test], labels)
        value = np.mean([(row == labels).mean() for row in predictions.classes[test]])
        assert predictions.accuracy(test).value == pytest.approx(value)  # the classes are of one size here
    records = records_of(study, evaluations(TWO_SEEDS, TWO_SEEDS.recipes_on(["no_fg"])))
    assert predictions.seconds == pytest.approx(sum(record.provenance["seconds"] for record in records))


def test_dataset_counts_every_image(measured: Workspace, idle: None) -> None:
    frame = outcomes(of_two_seeds(measured))
    assert list(frame.columns) == ["class", "split", "outcome", "count"]
    assert frame["count"].sum() == 9 * 12 and set(frame["class"]) == set(CLASS_NAMES)


def test_gallery_shows_each_image_in_each_variant(dataset: Dataset) -> None:
    pool = load_pool(dataset, "test")
    for row, images in zip((4, 0), gallery(pool, [4, 0]), strict=True):
        assert len(images) == len(VARIANTS)
        assert all(image.shape == (32, 32, 3) and image.dtype == np.uint8 for image in images)
        assert np.array_equal(images[0], pool.images[row].permute(1, 2, 0).numpy())
        assert all(not np.array_equal(images[0], image) for image in images[1:])


def test_describe_says_what_a_reader_wants_to_know(measured: Workspace, idle: None) -> None:
    text = of_two_seeds(measured).describe()
    for part in (
        "The profile is `trial`. A trial.",
        "`small_resnet_w8_b1_pool` is trained for 1 epoch on 36 images (2 seeds)",
        " s on ",
    ):
        assert part in text
    assert "\n" not in text


# --- records ----------------------------------------------------------------------------------------------------


def test_committed_records_are_enough(measured: Workspace, tmp_path: Path, idle: None) -> None:
    shutil.copytree(measured.measured, tmp_path / "records")
    reader, writer = of_two_seeds(Workspace(tmp_path), recorded=True), of_two_seeds(measured)
    for frame in (accuracies, gaps):
        pd.testing.assert_frame_equal(frame(MATRIX.read(reader)), frame(MATRIX.read(writer)))
    pd.testing.assert_frame_equal(outcomes(reader), outcomes(writer))
    stored = "These are stored measurements; no network was trained for this page. "
    assert reader.describe() == stored + writer.describe()
    assert reader.origins == {"record": reader}  # the record is not shown twice
    assert writer.origins == {"run": writer}  # that project has no records on photographs
    assert [path.name for path in tmp_path.iterdir()] == ["records"]  # nothing was built


def test_without_committed_records_the_error_says_how_to_measure(tmp_path: Path, idle: None) -> None:
    reader = of_two_seeds(Workspace(tmp_path), recorded=True)
    matrix = MATRIX.read(reader)
    assert matrix == {} and accuracies(matrix).empty and gaps(matrix).empty
    for name in ("original", "mixed_rand"):
        with pytest.raises(
            NotMeasured, match=rf"^The project has no record of {name} with .*`in9 measure --profile trial` measures it"
        ):
            matrix[name]
    with pytest.raises(NotMeasured, match=r"no record of training on original with profile 'trial'"):
        reader.answers("original")
    with pytest.raises(NotMeasured, match=r"no record of the dataset with profile 'trial'"):
        outcomes(reader)
    with pytest.raises(NotMeasured, match=r"records of training on original, but no weights"):
        reader.classifier(PROFILE.recipe)
    assert reader.reference is None
    assert list(tmp_path.iterdir()) == []


def test_a_study_that_does_not_compute_reads_the_records_that_there_are(measured: Workspace, idle: None) -> None:
    study = open_study(measured, replace(PROFILE, seeds=(1, 2)), compute=False)
    assert study.answers("original").seeds == [1]
    groups = {seed: evaluations(PROFILE, [PROFILE.recipe_on("original", seed)]) for seed in (0, 1, 2)}
    read = study.read(groups, len)
    assert read == {0: 1, 1: 1}
    both = {"half": groups[1] + groups[2], "all": groups[0] + groups[1]}
    assert study.read(both, len) == {"half": 1, "all": 2}
    assert study.read(both, len, whole=True) == {"all": 2}
    with pytest.raises(NotMeasured, match=r"^This machine has no record of 2 with profile 'trial'"):
        read[2]


def test_without_data_a_study_that_does_not_compute_says_how_to_build_it(tmp_path: Path) -> None:
    study = open_study(Workspace(tmp_path), compute=False)
    assert not study.has_images
    with pytest.raises(NotMeasured, match=r"no data of profile 'trial' here; `in9 book` builds it"):
        _ = study.dataset
    assert list(tmp_path.iterdir()) == []


def test_what_was_read_is_a_dict_that_says_what_is_missing() -> None:
    read: Measured[str, int] = Measured({"one": 1}, "There is no {name} here.")
    assert read == {"one": 1} and read["one"] == 1 and list(read) == ["one"]
    assert "two" not in read and read.get("two") is None
    with pytest.raises(NotMeasured, match=r"^There is no two here\.$"):
        read["two"]
    assert issubclass(NotMeasured, In9Error)


def test_other_settings_are_not_found(measured: Workspace) -> None:
    study = of_two_seeds(measured)
    same, *others = jobs_on("original", {}, {"epochs": 2}, {"learning_rate": 0.01}, {"fine": 2}, {"seed": 5})
    others += [replace(same, options={"test_seed": 1}), replace(same, kind="masks")]
    assert study.find(same) is not None
    assert [study.find(job) for job in others] == [None] * len(others)
    other = replace(PROFILE, source_options={**PROFILE.source_options, "rho": 0.2})
    with pytest.raises(In9Error, match="no record of training on original"):
        open_study(measured, other, recorded=True).answers("original")


def test_a_dataset_with_other_settings_is_an_error(workspace: Workspace, idle: None) -> None:
    for other in (
        replace(PROFILE, source_options={**PROFILE.source_options, "rho": 0.2}),
        replace(PROFILE, split=Split()),
        replace(PROFILE, build_seed=1),
    ):
        with pytest.raises(In9Error, match="holds a dataset with other settings than profile 'trial' needs"):
            MATRIX.read(open_study(workspace, other))
    assert not workspace.runs.exists()


def test_what_was_measured_on_other_pixels_is_measured_again(measured: Workspace, tmp_path: Path) -> None:
    shutil.copytree(measured.root, tmp_path, dirs_exist_ok=True)
    images = np.load(tmp_path / "data" / "trial" / "images.npy", mmap_mode="r+")
    images[:] = 255 - images
    images.flush()
    manifest = tmp_path / "data" / "trial" / "manifest.json"
    old = Dataset(tmp_path / "data" / "trial").manifest["files"]["images.npy"]["sha256"]
    manifest.write_text(manifest.read_text().replace(old, hash_of_file(manifest.with_name("images.npy"))))
    jobs = evaluations(TWO_SEEDS, TWO_SEEDS.recipes_on(["original"]))
    before = records_of(of_two_seeds(measured), jobs)
    after = records_of(of_two_seeds(Workspace(tmp_path)), jobs)
    assert len(before) == len(after) == 2
    assert {record.data for record in before}.isdisjoint(record.data for record in after)
    assert [record.key for record in before] == [record.key for record in after]
    assert after[0].results["training"]["losses"] != before[0].results["training"]["losses"]


def test_the_dataset_is_built_where_it_is_missing(tmp_path: Path) -> None:
    smoke = load_profile("smoke")
    study = open_study(Workspace(tmp_path), smoke)
    assert study.has_images and len(study.dataset.table) == 9 * 16
    assert study.dataset.path == tmp_path / "data" / "smoke"
    again = open_study(Workspace(tmp_path), smoke)
    assert again.dataset.hash == study.dataset.hash


def test_profiles_of_the_same_data_share_it_and_what_was_trained(measured: Workspace, tmp_path: Path) -> None:
    shutil.copytree(measured.root, tmp_path, dirs_exist_ok=True)
    weights = set(Workspace(tmp_path).trained.iterdir())
    other = open_study(Workspace(tmp_path), replace(PROFILE, name="other"))
    assert other.dataset.path == tmp_path / "data" / "trial"
    assert other.answers("original").seeds == [0]
    kinds = {path.name.partition("_")[0] for path in Workspace(tmp_path).measured.glob("other/*")}
    assert kinds == {EVALUATION, DRAWS}
    assert set(Workspace(tmp_path).trained.iterdir()) == weights


# --- jobs -------------------------------------------------------------------------------------------------------


def jobs_on(train_on: str, *changes: dict[str, Any]) -> list[Job]:
    """The evaluation of the profile's recipe with each of some changes."""
    return evaluations(PROFILE, [PROFILE.recipe_on(train_on, **{"seed": 0, **change}) for change in changes])


def test_a_job_run_twice_gives_the_same_record(workspace: Workspace, dataset: Dataset) -> None:
    (job,) = jobs_on("mixed_rand", {})
    before = torch.get_num_threads()
    trained = run_job(job, workspace, "cpu")
    assert [path.suffix for path in workspace.trained.iterdir()] == [".safetensors"]  # the checkpoint is gone
    shutil.rmtree(workspace.measured)
    loaded = run_job(job, workspace, "cpu")  # from the weights that are kept
    shutil.rmtree(workspace.runs)
    again = run_job(job, workspace, "cpu")
    for record in (loaded, again):
        assert record.key == trained.key == job.key and record.data == trained.data == dataset.hash
        assert record.results["predictions"] == trained.results["predictions"]
        assert record.results["training"]["losses"] == trained.results["training"]["losses"]
    assert loaded.provenance["seconds"] >= loaded.results["training"]["seconds"]
    assert torch.get_num_threads() == before
    assert job.find(workspace.measured) == again
    shutil.rmtree(workspace.trained)
    assert run_job(job, workspace, "cpu") == again  # another process may have measured it meanwhile
    assert not workspace.trained.exists()


def test_a_classifier_to_look_into_is_the_one_that_was_measured(workspace: Workspace) -> None:
    (job,) = jobs_on("original", {})
    study = open_study(workspace)
    model = study.classifier(job.recipe)
    (file,) = workspace.trained.iterdir()
    assert file == job.weights(workspace)
    again = load_classifier(job.recipe, PROFILE, workspace, "cpu")
    assert not model.training
    assert all(torch.equal(tensor, again.state_dict()[name]) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize("damage", ["cut short", "garbage", "another recipe"])
def test_damaged_weights_say_what_to_do(workspace: Workspace, damage: str) -> None:
    job, other = jobs_on("original", {}, {"fine": 2})
    run_job(job, workspace, "cpu")
    weights = job.weights(workspace)
    if damage == "cut short":
        weights.write_bytes(weights.read_bytes()[:1000])
    elif damage == "garbage":
        weights.write_bytes(b"x" * 1000)
    else:
        run_job(other, workspace, "cpu")
        shutil.copy(other.weights(workspace), weights)
    shutil.rmtree(workspace.measured)
    with pytest.raises(In9Error, match=r"safetensors cannot be read .*; remove them to train anew") as caught:
        run_job(job, workspace, "cpu")
    assert "\n" not in str(caught.value)


def test_a_job_that_fails_leaves_what_finished(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    study = open_study(workspace)
    first, diverging = jobs_on("original", {}, {"learning_rate": 1e25})
    (last,) = jobs_on("only_fg", {})
    with pytest.raises(In9Error, match="diverged"):
        study.measure([first, diverging, last])
    assert len(Store(workspace.measured).all()) == 1
    run: list[str] = []

    def watched(job: Job, *arguments: Any) -> Record:
        run.append(job.kind if job.recipe is None else job.recipe.train_on)
        return run_job(job, *arguments)

    monkeypatch.setattr("in9.study.engines.run_job", watched)
    said: list[str] = []
    assert study.measure([first, last, first], said.append) == 1
    assert len(said) == 1 and said[0].startswith("round 1: 1 new record in ") and said[0].endswith(" s")
    assert run == ["only_fg"] and study.missing([first, last, first]) == []
    assert len(records_of(study, [first, last, first])) == 3 and run == ["only_fg", DRAWS]
    assert study.measure([first, last], said.append) == 0 and len(said) == 1


def test_a_full_disk_is_told_in_one_sentence(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, content: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(In9Error, match=r"The disk is full while writing .*free some space and run the same command"):
        open_study(workspace).answers("original")
    assert Store(workspace.measured).all(EVALUATION) == []


def test_stopped_with_ctrl_c_the_next_run_goes_on(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    (job,) = jobs_on("original", {"epochs": 4})
    whole = run_job(job, workspace, "cpu")
    shutil.rmtree(workspace.runs)
    seen: list[int] = []

    def stop_in_the_second(epoch: int, loss: float) -> None:
        seen.append(epoch)
        if epoch == 1:
            raise KeyboardInterrupt

    def stopped(job: Job, workspace: Workspace, device: str, check: object) -> Record:
        return run_job(job, workspace, device, stop_in_the_second)

    monkeypatch.setattr("in9.study.engines.run_job", stopped)
    with pytest.raises(KeyboardInterrupt):
        list(run_in_processes([job], workspace, "cpu", 1))
    assert [path.suffix for path in workspace.trained.iterdir()] == [".checkpoint"]
    ((_, record),) = run_in_processes([job], workspace, "cpu", 1)
    assert seen == [0, 1, 2, 3]
    assert record.results["predictions"] == whole.results["predictions"]
    assert [path.suffix for path in workspace.trained.iterdir()] == [".safetensors"]


@pytest.mark.slow
def test_two_workers_give_the_records_of_one_and_stop_when_asked(measured: Workspace, workspace: Workspace) -> None:
    quick, long = jobs_on("original", {}, {"epochs": 5000})
    (other,) = jobs_on("mixed_rand", {})
    finished: list[tuple[Job, Record]] = []
    with pytest.raises(KeyboardInterrupt):
        for pair in run_in_processes([quick, other, long], workspace, "cpu", 2):
            finished.append(pair)
            if len(finished) == 2:
                asked = time.monotonic()
                raise KeyboardInterrupt
    assert time.monotonic() - asked < 20
    for job, record in finished:
        alone = job.find(measured.measured)
        assert alone is not None and alone.key == record.key
        assert alone.results["predictions"] == record.results["predictions"]
        assert alone.results["training"]["losses"] == record.results["training"]["losses"]
    assert len(Store(workspace.measured).all()) == 2
    checkpoint = long.weights(workspace).with_suffix(".checkpoint")
    if checkpoint.is_file():  # unless it was stopped before its first epoch
        reached = len(torch.load(checkpoint, weights_only=True)["losses"])
        assert 1 <= reached < 5000

        def stop(epoch: int, loss: float) -> None:
            assert epoch == reached
            raise Stopped

        with pytest.raises(Stopped):
            run_job(long, workspace, "cpu", stop)


def test_ctrl_c_is_blocked_in_workers_while_they_start() -> None:
    code = "import os, signal; os.kill(os.getpid(), signal.SIGINT); print('still here')"
    with interrupts_blocked():
        child = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, timeout=60)
    assert (child.returncode, child.stdout, child.stderr) == (0, "still here\n", "")
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


# --- two at once ------------------------------------------------------------------------------------------------

MEASURER = """
import json, pathlib, sys
from trial_study import PROFILE, open_study
from in9.study import jobs as jobs_module
from in9.study.jobs import DATASET, Job, evaluations, jobs_of
from in9.study.workspace import Workspace
from in9.training import trained

log = []

def noted(kind, function):
    def call(*arguments, **options):
        log.append(kind)
        return function(*arguments, **options)
    return call

trained.train = noted("training", trained.train)
jobs_module.MEASUREMENTS = {kind: noted(kind, function) for kind, function in jobs_module.MEASUREMENTS.items()}
recipes = PROFILE.recipes_on(["original", "only_fg"])
masks = jobs_of(PROFILE, "masks", recipes, test_seed=0, pixels=[1])
jobs = [Job(PROFILE, DATASET), *evaluations(PROFILE, recipes), *masks]
print("ready", flush=True)
input()
for folder in sys.argv[1:]:
    study = open_study(Workspace(pathlib.Path(folder)))
    study.measure(jobs)
    assert not study.missing(jobs)
    print(json.dumps(log))
    log.clear()
"""


@pytest.mark.slow
def test_two_studies_that_measure_at_once_measure_everything_once(tmp_path: Path) -> None:
    """Ten times, each in a workspace where there is nothing yet, not even the data."""
    folders = [tmp_path / str(number) for number in range(10)]
    first, second = (output.splitlines() for output, _ in run_two(MEASURER, *folders))
    for folder, *logs in zip(folders, first, second, strict=True):
        done = Counter(kind for log in logs for kind in json.loads(log))
        assert done == {"training": 2, EVALUATION: 2, "masks": 2}
        left = [path for path in folder.rglob("*") if path.name.startswith(".") or path.suffix == ".checkpoint"]
        assert left == [] and len(Store(Workspace(folder).measured).all()) == 5


# --- names and workspaces ---------------------------------------------------------------------------------------


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
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.setenv("IN9_HOME", str(tmp_path / "elsewhere"))
    assert find_workspace().root == tmp_path / "elsewhere"
