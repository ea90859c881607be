"""Cross-fitting: every image is tested once, by the network that has not seen its fold."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from trial_study import PROFILE, open_study, records_of

from in9.data.dataset import Dataset
from in9.data.splits import Split
from in9.data.variants import MIXED, Pool, draw_backgrounds, load_pool
from in9.errors import In9Error
from in9.evaluation.predictions import TEST_SETS, Predictions, gain, gap_change
from in9.evaluation.records import Record, Store, from_digits, predictions_of
from in9.experiments.measuring import keep
from in9.study.jobs import DRAWS, EVALUATION, TEST_SEED, draws_job, evaluations, jobs_of
from in9.study.profile import Profile
from in9.study.study import Study
from in9.study.workspace import Workspace
from in9.taxonomy import NUM_CLASSES
from in9.training import trained
from in9.training.recipe import IN9L, Recipe

FOLDED = replace(
    PROFILE,
    name="folded",
    data="folded",
    source_options={"rho": 0.8, "per_class": 20, "image_size": 32},
    split=Split(test=0.0, validation=0.2, folds=3),
    seeds=(0, 1, 2),
    draws=3,
)
"""Of each class four images are for validation; the folds have six, five and five."""
TRAINED_ON = ("original", IN9L)


class Measured(NamedTuple):
    """A project in which ``FOLDED`` was measured, and the images that each network was trained on."""

    workspace: Workspace
    seen: dict[tuple[str, int | None], set[str]]


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Measured]:
    seen: dict[tuple[str, int | None], set[str]] = {}
    train = trained.train

    def watched(recipe: Recipe, pool: Pool, *others: Any) -> Any:
        seen[recipe.train_on, recipe.fold] = set(pool.ids)
        return train(recipe, pool, *others)

    workspace = Workspace(tmp_path_factory.mktemp("folded"))
    study = open_study(workspace, FOLDED)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trained, "train", watched)
        for train_on in TRAINED_ON:
            study.answers(train_on)
    yield Measured(workspace, seen)


@pytest.fixture
def workspace(measured: Measured, tmp_path: Path) -> Workspace:
    """A copy of that project, to be changed."""
    shutil.copytree(measured.workspace.root, tmp_path, dirs_exist_ok=True)
    return Workspace(tmp_path)


@pytest.fixture(scope="module")
def dataset(measured: Measured) -> Dataset:
    return open_study(measured.workspace, FOLDED).dataset


@pytest.fixture(scope="module")
def answers(measured: Measured) -> Predictions:
    return open_study(measured.workspace, FOLDED).answers("original")


def stored(workspace: Workspace, train_on: str = "original") -> list[Record]:
    """The records of the three networks, as they lie there."""
    jobs = evaluations(FOLDED, FOLDED.recipes_on([train_on]))
    records = [job.find(workspace.measured) for job in jobs]
    return [record for record in records if record is not None]


def rows_of(dataset: Dataset) -> np.ndarray:
    """The rows of the dataset that are tested, fold after fold."""
    return np.concatenate([dataset.of_fold(fold).indices("test") for fold in FOLDED.seeds])


# --- what is trained and tested ---------------------------------------------------------------------------------


def test_no_network_sees_the_fold_that_it_is_tested_on(measured: Measured, dataset: Dataset) -> None:
    table = dataset.table.set_index("id")["split"]
    assert set(measured.seen) == {(train_on, fold) for train_on in TRAINED_ON for fold in (0, 1, 2)}
    for (_, fold), ids in measured.seen.items():
        assert set(table[list(ids)]) == {f"fold{other}" for other in (0, 1, 2) if other != fold}
        assert ids == set(table.index[table.str.startswith("fold") & (table != f"fold{fold}")])
        tested = set(load_pool(dataset.of_fold(fold), "test").ids)
        assert tested == set(table.index[table == f"fold{fold}"]) and not tested & ids


def test_every_image_but_those_for_validation_is_tested_once(dataset: Dataset) -> None:
    rows = rows_of(dataset)
    assert len(rows) == 9 * 16 == len(set(rows.tolist()))
    assert set(rows) == set(np.flatnonzero(dataset.table["split"] != "validation"))


def test_networks_of_different_folds_have_weights_of_their_own(measured: Measured) -> None:
    jobs = evaluations(FOLDED, FOLDED.recipes_on(TRAINED_ON))
    files = {job.weights(measured.workspace) for job in jobs}
    assert files == set(measured.workspace.trained.iterdir()) and len(files) == len(jobs) == 6


def test_a_classifier_to_look_into_leaves_out_the_fold(measured: Measured, dataset: Dataset) -> None:
    """Its answers on the fold's images are those of the record."""
    for fold, record in enumerate(stored(measured.workspace)):
        model = open_study(measured.workspace, FOLDED).classifier(FOLDED.recipe_on("original", fold))
        pool = load_pool(dataset.of_fold(fold), "test")
        with torch.inference_mode():
            assert (
                model(pool.images).argmax(1).tolist() == from_digits(record.results["predictions"]["original"]).tolist()
            )


# --- records joined ---------------------------------------------------------------------------------------------


def test_records_of_folds_are_joined_image_by_image(measured: Measured, dataset: Dataset, answers: Predictions) -> None:
    rows, records = rows_of(dataset), stored(measured.workspace)
    sizes = [len(dataset.of_fold(fold).indices("test")) for fold in (0, 1, 2)]
    assert sizes == [54, 45, 45] and answers.tests == TEST_SETS and answers.seeds == [0, 1, 2]
    for test in TEST_SETS:
        assert answers.labels[test].tolist() == dataset.table["label"].to_numpy()[rows].tolist()
        assert answers.fold_of(test).tolist() == np.repeat([0, 1, 2], sizes).tolist()
        draws = 3 if test in MIXED else 1
        assert answers.classes[test].shape == (1, draws, len(rows)) and answers.classes[test].dtype == np.int64
        for draw in range(draws):
            texts = [record.results["predictions"][test] for record in records]
            joined = "".join(text if isinstance(text, str) else text[draw] for text in texts)
            assert answers.classes[test][0, draw].tolist() == from_digits(joined).tolist()


def test_backgrounds_are_rows_of_the_joined_images(dataset: Dataset, answers: Predictions) -> None:
    assert set(answers.backgrounds) == set(MIXED)
    for test in MIXED:
        backgrounds, labels, folds = answers.backgrounds[test], answers.labels[test], answers.fold_of(test)
        assert backgrounds.shape == answers.classes[test].shape[1:]
        assert np.array_equal(folds[backgrounds], np.broadcast_to(folds, backgrounds.shape))
        for draw in range(3):
            drawn = [
                draw_backgrounds(test, load_pool(dataset.of_fold(fold), "test"), TEST_SEED + draw) for fold in range(3)
            ]
            assert labels[backgrounds[draw]].tolist() == [label for _, classes in drawn for label in classes.tolist()]
            starts = np.repeat([0, 54, 99], [54, 45, 45])
            assert (backgrounds[draw] - starts).tolist() == [row for rows, _ in drawn for row in rows.tolist()]
        assert len({tuple(row) for row in backgrounds.tolist()}) == 3
    assert np.array_equal(
        answers.labels["mixed_same"][answers.backgrounds["mixed_same"]][0], answers.labels["mixed_same"]
    )


def test_backgrounds_are_recorded_once_for_all_that_drew_the_same(measured: Measured, dataset: Dataset) -> None:
    kept = Store(measured.workspace.measured).all(DRAWS)
    assert [record.name for record in kept] == ["fold0", "fold1", "fold2"]
    assert {record.settings["options"]["fold"] for record in kept} == {0, 1, 2}
    assert all(record.data == dataset.hash and "recipe" not in record.settings for record in kept)
    for record in Store(measured.workspace.measured).all(EVALUATION):
        assert "backgrounds" not in record.results


def balanced(right: np.ndarray, labels: np.ndarray) -> float:
    """The mean over classes of the share that is right: bool [N] and int [N]."""
    return float(np.mean([right[labels == label].mean() for label in range(NUM_CLASSES)]))


def test_the_gap_is_that_of_the_digits(measured: Measured, answers: Predictions) -> None:
    """Every class counts the same, and so does every draw; of each class some folds have more images."""
    records = stored(measured.workspace)
    labels = from_digits("".join(record.results["labels"]["in9"] for record in records))
    accuracy = {}
    for test in ("mixed_same", "mixed_rand"):
        texts = ["".join(record.results["predictions"][test][draw] for record in records) for draw in range(3)]
        accuracy[test] = np.mean([balanced(from_digits(text) == labels, labels) for text in texts])
        assert answers.accuracy(test).value == pytest.approx(accuracy[test])
    gap = answers.gap()
    assert gap.value == pytest.approx(accuracy["mixed_same"] - accuracy["mixed_rand"])
    assert gap.low < gap.value < gap.high


# --- some of the folds ------------------------------------------------------------------------------------------


def test_some_folds_keep_their_images_and_backgrounds(measured: Measured, answers: Predictions) -> None:
    records = records_of(open_study(measured.workspace, FOLDED), evaluations(FOLDED, FOLDED.recipes_on(["original"])))
    for folds in ([1, 2], [2], [0, 2], [2, 0]):
        part, expected = answers.of_seeds(folds), predictions_of([records[fold] for fold in folds])
        assert part.seeds == expected.seeds == folds
        for test in TEST_SETS:
            assert np.array_equal(part.labels[test], expected.labels[test])
            assert np.array_equal(part.classes[test], expected.classes[test])
            assert np.array_equal(part.fold_of(test), expected.fold_of(test))
        assert set(part.backgrounds) == set(MIXED)
        for test in MIXED:
            assert np.array_equal(part.backgrounds[test], expected.backgrounds[test])
        assert part.gap() == expected.gap()


def test_models_are_compared_on_the_folds_that_both_have(measured: Measured, answers: Predictions) -> None:
    study = open_study(measured.workspace, FOLDED)
    other = study.predictions([FOLDED.recipe_on(IN9L, fold) for fold in (2, 1)])
    assert other.seeds == [2, 1]
    difference = gain(other, answers, "original")
    both = [models.of_seeds([1, 2]).accuracy("original").value for models in (other, answers)]
    assert difference.value == pytest.approx(both[0] - both[1])
    change = gap_change(answers, other)
    gaps = [models.of_seeds([1, 2]).gap().value for models in (answers, other)]
    assert change.value == pytest.approx(gaps[0] - gaps[1])
    assert gain(answers, answers, "mixed_rand").value == 0
    assert gap_change(answers, answers).value == pytest.approx(0, abs=1e-12)


# --- draws ------------------------------------------------------------------------------------------------------


def test_without_the_record_of_draws_there_is_an_estimate_still(workspace: Workspace, answers: Predictions) -> None:
    (lost,) = (path for path in workspace.measured.rglob("draws_fold1_*.json"))
    lost.unlink()
    reader = open_study(workspace, FOLDED, compute=False)
    without = reader.answers("original")
    assert without.backgrounds == {}  # known for some images is of no use
    for test in TEST_SETS:
        assert without.accuracy(test).value == pytest.approx(answers.accuracy(test).value)
    gap = without.gap()
    assert gap.value == pytest.approx(answers.gap().value) and gap.low < gap.value < gap.high
    assert reader.answers("original").of_seeds([0, 2]).gap().value == pytest.approx(
        answers.of_seeds([0, 2]).gap().value
    )
    assert not lost.exists()
    again = open_study(workspace, FOLDED).answers("original")
    assert lost.exists() and again.gap() == answers.gap()


def test_draws_of_other_images_are_not_joined(workspace: Workspace) -> None:
    store = Store(workspace.measured / FOLDED.name)
    for record in store.all(DRAWS):
        store.write(replace(record, data="0" * 16))
    assert open_study(workspace, FOLDED, compute=False).answers("original").backgrounds == {}
    shutil.rmtree(workspace.committed, ignore_errors=True)
    shutil.copytree(workspace.measured, workspace.committed)
    assert open_study(workspace, FOLDED, recorded=True).answers("original").backgrounds == {}


def test_kept_records_give_the_same_predictions(workspace: Workspace, answers: Predictions, idle: None) -> None:
    writer = open_study(workspace, FOLDED, compute=False)
    kept = keep(writer)
    assert {path.name.partition("_")[0] for path in kept} == {DRAWS, EVALUATION}
    assert keep(writer) == []
    for record in Store(workspace.committed).all(EVALUATION):
        assert "backgrounds" not in record.results
    shutil.rmtree(workspace.runs)
    shutil.rmtree(workspace.dataset(FOLDED.data))
    reader = open_study(workspace, FOLDED, recorded=True)
    read = reader.answers("original")
    assert read.seeds == answers.seeds and read.gap() == answers.gap()
    for test in MIXED:
        assert np.array_equal(read.backgrounds[test], answers.backgrounds[test])
        assert np.array_equal(read.classes[test], answers.classes[test])


def test_one_draw_needs_no_record_of_it(workspace: Workspace) -> None:
    once = replace(FOLDED, name="once", draws=1)
    answers = open_study(workspace, once).answers("original")
    assert answers.backgrounds == {} and answers.classes["mixed_rand"].shape == (1, 1, 9 * 16)
    assert Store(workspace.measured / "once").all(DRAWS) == []
    assert all(job.draws is None for job in evaluations(once, once.recipes_on()))
    whole = open_study(workspace, FOLDED, compute=False).answers("original")
    assert np.array_equal(answers.classes["mixed_rand"][:, 0], whole.classes["mixed_rand"][:, 0])


def test_only_evaluations_draw() -> None:
    (recipe, *_) = FOLDED.recipes_on(["original"])
    for kind, options in (("saliency", FOLDED.saliency), ("adversarial", FOLDED.adversarial), ("validation", {})):
        assert all(job.draws is None for job in jobs_of(FOLDED, kind, [recipe], **options))
    (job,) = evaluations(FOLDED, [recipe])
    assert job.draws == draws_job(FOLDED, recipe.fold) and job.draws.draws is None


def test_more_draws_than_backgrounds_are_told_before_anything_is_trained(workspace: Workspace) -> None:
    shutil.rmtree(workspace.runs)
    with pytest.raises(
        In9Error, match=r"are to be drawn 7 times, and a class has only 6 backgrounds; lower .*images\.$"
    ):
        open_study(workspace, replace(FOLDED, draws=7)).answers("original")
    assert not workspace.trained.exists()


# --- mistakes ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seeds", [(0, 1, 3), (-1,), (7,)])
def test_seeds_that_are_no_folds_are_told(seeds: tuple[int, ...]) -> None:
    with pytest.raises(In9Error, match=r"With 3 folds seeds are their numbers, 0 to 2; got seeds = \[.*\]\.$"):
        replace(FOLDED, seeds=seeds)


def test_a_fold_that_is_not_there_is_told(measured: Measured) -> None:
    study: Study = open_study(measured.workspace, FOLDED)
    with pytest.raises(In9Error, match=r"has 3 folds, and fold 3 was asked for"):
        study.predictions([FOLDED.recipe_on("original", 3)])


def test_without_folds_a_recipe_leaves_nothing_out() -> None:
    profiles: list[Profile] = [PROFILE, FOLDED]
    assert [profile.recipe_on("original", 1).fold for profile in profiles] == [None, 1]
    assert "fold" not in PROFILE.recipe_on("original", 1).changes
