"""What jobs cost: images counted from recipes and data, seconds timed on this machine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from trial_study import PROFILE, furnished, open_study

from in9.data.dataset import Dataset
from in9.data.variants import MIXED, VARIANTS
from in9.study.costs import (
    Images,
    Passes,
    Speed,
    TimeLeft,
    all_passes,
    elapsed,
    images_of,
    in_words,
    mask_seconds,
    measuring_passes,
    recorded_speed,
    side_of,
    speed,
    training_passes,
)
from in9.study.jobs import Job, evaluations, jobs_of
from in9.study.profile import load_profile
from in9.study.workspace import Workspace
from in9.training.recipe import IN9L, Perturbation, Recipe

IMAGES = Images(train=100, whole_train=300, test=90, whole_test=120, validation=10)
PROJECT = Workspace(Path(__file__).parents[2])


def test_a_training_shows_its_images_in_every_epoch() -> None:
    assert training_passes(Recipe(epochs=2), IMAGES) == Passes(200, 0)
    assert training_passes(Recipe(epochs=2, train_on=IN9L, fraction=0.5), IMAGES) == Passes(300, 0)
    misled = Recipe(epochs=2, perturbation=Perturbation("l2", 1.0, steps=3))
    assert training_passes(misled, IMAGES) == Passes(800, 0)
    assert training_passes(Recipe(epochs=2, head_on="mixed_rand"), IMAGES).tested == 300


def test_a_measurement_shows_what_its_options_say() -> None:
    recipes = [PROFILE.recipe_on("original")]
    (evaluation,) = evaluations(PROFILE, recipes)
    sets = len(VARIANTS) - len(MIXED) + PROFILE.draws * len(MIXED)
    assert measuring_passes(evaluation, IMAGES) == Passes(0, sets * 90 + 120)
    options = {"foregrounds_per_class": 2, "backgrounds_per_class": None}
    (attack,) = jobs_of(PROFILE, "adversarial", recipes, **options)
    assert measuring_passes(attack, IMAGES) == Passes(0, 18 * 91)
    (maps,) = jobs_of(PROFILE, "saliency", recipes, per_class=1, methods=["gradcam", "gradient"])
    assert measuring_passes(maps, IMAGES) == Passes(18, 9)
    assert measuring_passes(Job(PROFILE, "dataset"), IMAGES) == Passes()


def test_images_are_counted_where_they_are_built_or_published(dataset: Dataset, tmp_path: Path) -> None:
    workspace = furnished(Workspace(tmp_path), dataset)
    counted, expected = images_of(PROFILE, workspace), images_of(PROFILE, Workspace(tmp_path / "empty"))
    assert counted == expected._replace(estimated=False) == Images(36, 36, 36, 36, 36)
    assert side_of(PROFILE, workspace) == 32
    tiny = images_of(load_profile("tiny"), PROJECT)
    assert not tiny.estimated and tiny.whole_train > tiny.train > tiny.whole_test > tiny.test > 1_000
    paper = images_of(load_profile("paper"), PROJECT)
    assert paper.estimated and (paper.train, paper.test) == (45_405, 4_050)
    assert side_of(load_profile("paper"), PROJECT) == 224


def test_a_network_is_trained_by_the_first_job_that_needs_it(dataset: Dataset, tmp_path: Path) -> None:
    workspace = furnished(Workspace(tmp_path), dataset)
    recipe = PROFILE.recipe_on("original")
    jobs = [
        *evaluations(PROFILE, [recipe]),
        *jobs_of(PROFILE, "saliency", [recipe], **PROFILE.saliency),
        *evaluations(PROFILE, [replace(recipe, head_on="mixed_rand")]),
    ]
    whole = [passes.trained for passes in all_passes(jobs, workspace)]
    assert whole[0] == 36 and whole[1] == 3 * 36 and whole[2] == 0
    assert all_passes(jobs, workspace)[2].tested > all_passes(jobs, workspace)[0].tested
    alone = all_passes(jobs[2:], workspace)
    assert alone[0].trained == 36, "its network must be trained first"
    weights = jobs[0].weights(workspace)
    assert weights is not None
    weights.parent.mkdir(parents=True)
    weights.touch()
    assert [passes.trained for passes in all_passes(jobs, workspace)] == [0, 3 * 36, 0]
    assert [passes.trained for passes in all_passes(jobs, workspace, anew=True)] == whole


def test_larger_networks_and_images_take_longer() -> None:
    cpu = torch.device("cpu")
    narrow, wide = speed("small_resnet_w8_b1_pool", 32, cpu), speed("small_resnet_w96", 64, cpu)
    assert 0 < narrow.tested < narrow.trained and narrow.trained < wide.trained
    assert narrow.seconds(Passes(2, 3)) == pytest.approx(2 * narrow.trained + 3 * narrow.tested)
    assert 0.01 < mask_seconds() < 60


def test_the_records_tell_how_fast_a_gpu_was(tmp_path: Path) -> None:
    known = recorded_speed("resnet50", 64, PROJECT)
    assert known is not None and "NVIDIA" in known[0] and 0 < known[1].trained < 0.01
    larger = recorded_speed("resnet50", 128, PROJECT)
    assert larger is not None and larger[1].trained == pytest.approx(4 * known[1].trained)
    assert recorded_speed("resnet50", 64, Workspace(tmp_path)) is None
    assert recorded_speed("resnet34", 64, PROJECT) is None


def test_jobs_share_a_machine() -> None:
    assert elapsed([1, 1, 1, 1], 2) == 2
    assert elapsed([5, 1, 1, 1], 4) == 5
    assert elapsed([], 2) == 0
    assert [in_words(seconds) for seconds in (0.2, 40, 720, 12_600, 600_000)] == [
        *("1 s", "40 s", "12 min", "3.5 h", "7 days"),
    ]
    assert Speed(2.0, 1.0).seconds(Passes(1, 1)) == 3


def test_the_time_left_is_told_after_each_round(dataset: Dataset, tmp_path: Path) -> None:
    study = open_study(furnished(Workspace(tmp_path), dataset))
    recipe = PROFILE.recipe_on("original")
    jobs = [*evaluations(PROFILE, [recipe]), *jobs_of(PROFILE, "saliency", [recipe], **PROFILE.saliency)]
    left = TimeLeft(jobs, study.workspace)
    assert str(left) == ""
    left.finished(jobs[0])
    assert str(left).startswith("about ") and str(left).endswith(" left")
    left.finished(jobs[1])
    assert str(left) == ""
    said: list[str] = []
    assert study.measure(jobs, said.append) == 2
    assert " s, about " in said[0] and said[0].endswith(" left") and "left" not in said[1]
