"""Why numbers differ: the suspects, each changed alone."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from trial_study import PROFILE as TRIAL
from trial_study import furnished, open_study

from in9.data.dataset import Dataset
from in9.data.variants import load_pool
from in9.errors import In9Error
from in9.evaluation import measurements
from in9.evaluation.adversarial.attacks import Attacks
from in9.evaluation.predictions import gain, predict_variant
from in9.evaluation.records import from_digits
from in9.experiments import masks_and_sizes, why_we_differ
from in9.experiments.why_we_differ import (
    AS_IT_IS,
    EVERY_BACKGROUND,
    FOR_A_PROCESSOR,
    LEVELS,
    LIGHTER,
    PAPERS,
    SUSPECTS,
    TRIALS,
    Suspect,
)
from in9.files import plain
from in9.study.profile import load_profile
from in9.study.study import Study
from in9.study.workspace import Workspace
from in9.training.augmentation import Augmentation
from in9.training.networks import Classifier, create
from in9.training.recipe import IN9L, Recipe

PROFILE = replace(
    TRIAL,
    trials={"longer": {"epochs": 2}, "smoother": {"label_smoothing": 0.1}},
    shrinks=(2, 4),
)
LIGHT: dict[str, Any] = {"epochs": 2, "architecture": "small_resnet_w16_b1_pool"}
HALF, QUARTER, FEWER = Suspect("detail", 0.5), Suspect("detail", 0.25), Suspect("images", 0.5)


@pytest.fixture(scope="module")
def study(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Study:
    return open_study(furnished(Workspace(tmp_path_factory.mktemp("causes")), dataset), PROFILE)


def test_a_shrunk_image_has_lost_detail_and_nothing_else() -> None:
    seen: list[torch.Tensor] = []

    class Eye(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            seen.append(images)
            return images.mean((2, 3))

    plain = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}
    images = torch.rand(2, 3, 8, 8)
    flat = torch.full((2, 3, 8, 8), 0.25)
    for part in (2, 4):
        look = Classifier(Eye(), shrink=part, **plain)
        look(images), look(flat)
        once, same = seen[-2:]
        assert once.shape == images.shape and torch.allclose(same, flat)
        look(once.clone())
        assert once.var() < images.var()
        assert torch.allclose(once.mean((2, 3)), images.mean((2, 3)), atol=0.05)
    checkers = (torch.arange(8)[:, None] + torch.arange(8)).remainder(2).float().expand(1, 3, 8, 8)
    Classifier(Eye(), shrink=2, **plain)(checkers)
    assert torch.allclose(seen[-1], torch.full_like(checkers, 0.5))  # the finest detail is gone


def test_half_of_the_detail_is_the_same_network() -> None:
    whole, half = create("small_resnet_w8_b1", seed=3), create("small_resnet_w8_b1/2", seed=3)
    assert half.shrink == 2 and whole.shrink == 1
    for name, values in whole.state_dict().items():
        assert torch.equal(values, half.state_dict()[name])
    assert create("mobilenet_v3_small/4").shrink == 4


@pytest.mark.parametrize("name", ["small_resnet_w8_b1/", "small_resnet_w8_b1/1", "resnet18/half", "resnet18/²", "x/2"])
def test_an_architecture_with_a_strange_part_is_refused(name: str) -> None:
    with pytest.raises(In9Error, match="architecture"):
        create(name)


def test_masks_grow_and_shrink_by_whole_pixels() -> None:
    masks = torch.zeros(1, 1, 9, 9, dtype=torch.bool)
    masks[..., 3:6, 2:7] = True
    grown = measurements.changed_masks(masks, 1)
    assert int(grown.sum()) == 5 * 7 and bool(grown[..., 2:7, 1:8].all())
    shrunk = measurements.changed_masks(masks, -1)
    assert int(shrunk.sum()) == 1 * 3 and bool(shrunk[..., 4, 3:6].all())
    assert not measurements.changed_masks(masks, -2).any()
    whole = torch.ones_like(masks)
    assert measurements.changed_masks(whole, -2).all(), "what touches the edge goes on beyond it"
    corner = torch.zeros_like(masks)
    corner[..., :3, :3] = True
    assert int(measurements.changed_masks(corner, -1).sum()) == 4
    noise = torch.rand(3, 1, 9, 9) > 0.5
    assert torch.equal(measurements.changed_masks(~noise, -2), ~measurements.changed_masks(noise, 2))


def test_changed_masks_are_tested_as_the_others(study: Study) -> None:
    classifier, dataset = study.classifier(PROFILE.recipe_on("original")), study.dataset
    options = {"pixels": [-1, 2], "test_seed": 0}
    results = measurements.measure_masks(classifier, dataset, torch.device("cpu"), options)
    pool = load_pool(dataset, "test")
    assert len(results["shares"]) == 3 and results["shares"][1] < results["shares"][0] < results["shares"][2]
    for place, pixels in enumerate(options["pixels"]):
        other = replace(pool, masks=measurements.changed_masks(pool.masks, pixels))
        for test in ("mixed_same", "mixed_rand"):
            expected = predict_variant(classifier, other, test, 0)
            assert np.array_equal(from_digits(results["predictions"][test][place]), expected)


def test_trials_are_judged_by_validation_images_alone(study: Study) -> None:
    trials = TRIALS.read(study)
    assert list(trials) == ["as it is", "longer", "smoother"]
    whole = load_pool(study.dataset, "validation", accepted=False)
    for predictions in trials.values():
        assert predictions.tests == (IN9L,)
        assert predictions.labels[IN9L].tolist() == whole.labels.tolist()
    values = {name: predictions.accuracy(IN9L).value for name, predictions in trials.items()}
    assert [values[name] for name in why_we_differ.ranked(trials)] == sorted(values.values(), reverse=True)


def test_the_papers_recipe_is_compared_on_the_same_network(study: Study) -> None:
    assert why_we_differ.papers_recipe(study) == "", "this profile tries neither"
    trials = {FOR_A_PROCESSOR: {"epochs": 2}, PAPERS: {"label_smoothing": 0.1}}
    both = study.of_profile(replace(PROFILE, trials=trials))
    said, read = why_we_differ.papers_recipe(both), TRIALS.read(both)
    assert gain(read[PAPERS], read[FOR_A_PROCESSOR], IN9L).text() in said
    assert f"{PROFILE.recipe.epochs} epochs in place of 2" in said
    tried = load_profile("split").trials
    assert tried[PAPERS] == tried["the paper's"] | {"architecture": tried[FOR_A_PROCESSOR]["architecture"]}


def test_suspects_have_labels() -> None:
    suspects = (AS_IT_IS, LIGHTER, HALF, FEWER, EVERY_BACKGROUND)
    assert [suspect.label for suspect in suspects] == [
        "as it is",
        "lighter recipe",
        "50 % of the detail",
        "50 % of the images",
        "every background",
    ]


def test_a_trial_says_what_it_changes_and_nothing_else() -> None:
    recipe = Recipe(augmentation=Augmentation(smallest_crop=0.2, rotation=15.0))
    changes = {
        "architecture": "vgg16_bn",
        "epochs": 20,
        "momentum": recipe.momentum,
        "augmentation": replace(recipe.augmentation, jitter=0.4, rotation=0.0),
    }
    assert why_we_differ.in_words(changes, recipe) == "`vgg16_bn`, `epochs=20`, `jitter=0.4`, `rotation=0.0`"
    assert why_we_differ.in_words({}, recipe) == ""


def test_a_light_profile_is_the_levels_of_the_full_one() -> None:
    light, full = load_profile("light"), load_profile("tiny")
    assert light.recipe == full.recipe.changed(**full.of_many_trainings.level_recipe)
    assert light.data_settings == full.data_settings
    assert Study(light).folder == Study(full).folder == Study("tiny").workspace.data / "tiny"


def test_every_seed_is_tested_where_there_are_several(study: Study) -> None:
    profile = replace(PROFILE, seeds=(0, 1), level_seeds=(1, 2, 0), level_recipe=LIGHT, shrinks=(2,))
    levels = LEVELS.read(open_study(study.workspace, profile))
    assert {suspect: predictions.seeds for suspect, predictions in levels.items()} == {
        AS_IT_IS: [0, 1],
        LIGHTER: [1, 2, 0],
        HALF: [0],
        FEWER: [1, 2, 0],
    }


def test_no_validation_images_are_said(study: Study) -> None:
    class Empty(Dataset):
        def indices(self, split: str, accepted: bool = True) -> np.ndarray:
            return np.zeros(0, np.int64)

    with pytest.raises(In9Error, match="no validation images"):
        measurements.measure_validation(lambda images: images, Empty(study.folder), torch.device("cpu"), {})


def test_a_profile_without_trials_has_none(study: Study) -> None:
    assert TRIALS.read(open_study(study.workspace, replace(PROFILE, trials={}))) == {}


@pytest.mark.parametrize("light", [{}, LIGHT], ids=["its own recipe", "a lighter recipe"])
def test_levels_and_effects(study: Study, light: dict[str, Any]) -> None:
    study = open_study(study.workspace, replace(PROFILE, level_recipe=light))
    levels = LEVELS.read(study)
    lighter = [LIGHTER] if light else []
    assert list(levels) == [AS_IT_IS, *lighter, HALF, QUARTER, FEWER]
    base = why_we_differ.base(levels)
    assert base == [AS_IT_IS, *lighter][-1]
    own = {**asdict(PROFILE.recipe), **light}
    half, fewer = (levels[suspect].models[0].recipe for suspect in (HALF, FEWER))
    assert half == plain({**own, "architecture": f"{own['architecture']}/2"})
    assert fewer == plain({**own, "fraction": 0.5, "epochs": 2 * own["epochs"]})
    added = why_we_differ.effects(study)
    wanted = {"detail", "images", *(["training"] if light else [])}
    assert set(added) == {(quantity, name) for quantity in ("original", "only_bg_t", "gap") for name in wanted}
    whole, shrunk = levels[base], levels[HALF]
    difference = whole.accuracy("original").value - shrunk.accuracy("original").value
    assert added["original", "detail"].value == pytest.approx(difference)
    assert added["gap", "detail"].value == pytest.approx(whole.gap().value - shrunk.gap().value)


def test_mask_changes_go_through_the_gap_as_it_is(study: Study) -> None:
    frame = masks_and_sizes.mask_changes(study)
    assert frame["pixels"].tolist() == [-2, -1, 0, 1, 2]
    assert frame["share"].is_monotonic_increasing
    gap = study.answers("original").gap()
    assert frame.set_index("pixels").loc[0, "value"] == pytest.approx(100 * gap.value)


def test_thirds_of_the_objects_are_taken_class_by_class(study: Study) -> None:
    frame = masks_and_sizes.object_sizes(study)
    assert tuple(frame["third"]) == masks_and_sizes.THIRDS and frame["share"].is_monotonic_increasing
    predictions, pool = study.answers("original"), load_pool(study.dataset, "test")
    areas, labels = pool.masks.float().mean((1, 2, 3)).numpy(), pool.labels.numpy()
    smallest = np.concatenate(
        [np.flatnonzero(labels == label)[np.argsort(areas[labels == label])[:1]] for label in range(9)]
    )
    assert np.bincount(labels).tolist() == [4] * 9  # so a third of a class is one image
    same, rand = (predictions.correct(test)[..., smallest].mean() for test in ("mixed_same", "mixed_rand"))
    assert frame["value"].iloc[0] == pytest.approx(100 * (same - rand))
    assert frame["share"].iloc[0] == pytest.approx(100 * areas[smallest].mean(), abs=0.01)


def test_attacks_with_every_background(study: Study) -> None:
    few = replace(PROFILE, adversarial_foregrounds=1, adversarial_backgrounds=1)
    attacks = SUSPECTS.read(open_study(study.workspace, few))
    every, own = attacks[EVERY_BACKGROUND], attacks[why_we_differ.base(attacks)]
    assert own.sizes[:2] == (9, 9) and every.sizes[0] == 9 and every.sizes[1] == len(load_pool(study.dataset, "test"))
    assert every.vulnerable().value >= own.vulnerable().value
    assert own.weakest().value == min(own.fooled(label).value for label in range(9))
    assert isinstance(own, Attacks) and {HALF, QUARTER} < set(attacks)


def test_without_records_there_is_nothing(tmp_path: Path) -> None:
    empty = open_study(Workspace(tmp_path), PROFILE, recorded=True)
    for experiment in (TRIALS, LEVELS, SUSPECTS):
        assert experiment.read(empty) == {}
    assert why_we_differ.effects(empty) == {}
    assert masks_and_sizes.mask_changes(empty).empty and masks_and_sizes.object_sizes(empty).empty
