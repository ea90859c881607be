"""Why numbers differ: the suspects, each changed alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
import torch
from test_experiments import PROFILE as TRIAL
from test_experiments import furnished
from torch import nn

from in9.data.dataset import Dataset
from in9.data.variants import load_pool
from in9.errors import In9Error
from in9.evaluation import measurements
from in9.evaluation.adversarial.attacks import Attacks
from in9.evaluation.predictions import predict_variant
from in9.evaluation.records import from_digits, plain
from in9.experiments import why_we_differ
from in9.study.profile import Profile, profile_named
from in9.study.study import Study
from in9.study.workspace import Workspace
from in9.training.augmentation import Augmentation
from in9.training.networks import Classifier, create
from in9.training.recipe import IN9L, Recipe

PROFILE = replace(
    TRIAL,
    trials=MappingProxyType({"longer": {"epochs": 2}, "smoother": {"label_smoothing": 0.1}}),
    shrinks=(2, 4),
    fractions=(0.5, 1.0),
)


def open_study(workspace: Workspace, profile: Profile = PROFILE, recorded: bool = False) -> Study:
    return Study(profile, device="cpu", jobs=1, recorded=recorded, workspace=workspace, progress=False)


@pytest.fixture(scope="module")
def study(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Study:
    return open_study(furnished(Workspace(tmp_path_factory.mktemp("causes")), dataset))


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
    classifier, dataset = study.classifier(study.recipe("original")), study.dataset
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
    tried = why_we_differ.trials(study)
    assert list(tried) == [why_we_differ.AS_IT_IS, "longer", "smoother"]
    whole = load_pool(study.dataset, "validation", accepted=False)
    for one in tried.values():
        assert one.labels(IN9L).tolist() == whole.labels.tolist()
        assert list(one.records[0].results["predictions"]) == [IN9L]
    values = {name: one.accuracy(IN9L).value for name, one in tried.items()}
    assert [values[name] for name in why_we_differ.ranked(tried)] == sorted(values.values(), reverse=True)


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
    light, full = profile_named("light"), profile_named("tiny")
    assert light.recipe == replace(full.recipe, **full.level_recipe)
    assert Study(light).data_settings == Study(full).data_settings
    assert Study(light)._folder == Study(full)._folder == Study("tiny").workspace.data / "tiny"


def test_every_seed_is_tested_where_there_are_several(study: Study) -> None:
    profile = replace(PROFILE, seeds=(0, 1), level_seeds=(1, 2, 0), level_recipe=LIGHT, shrinks=(2,))
    seeds = {name: one.seeds for name, one in why_we_differ.levels(open_study(study.workspace, profile)).items()}
    assert seeds == {
        why_we_differ.AS_IT_IS: [0, 1],
        why_we_differ.LIGHTER: [1, 2, 0],
        "50 % of the detail": [0],
        "50 % of the images": [1, 2, 0],
    }


def test_no_validation_images_are_said(study: Study) -> None:
    class Empty(Dataset):
        def indices(self, split: str, accepted: bool = True) -> np.ndarray:
            return np.zeros(0, np.int64)

    folder = study.workspace.data / study.profile.name
    with pytest.raises(In9Error, match="no validation images"):
        measurements.measure_validation(lambda images: images, Empty(folder), torch.device("cpu"), {})


def test_a_profile_without_trials_has_none(study: Study) -> None:
    other = open_study(study.workspace, replace(PROFILE, trials=MappingProxyType({})))
    assert why_we_differ.trials(other) == {}


LIGHT = MappingProxyType({"epochs": 2, "architecture": "small_resnet_w16_b1_pool"})


@pytest.mark.parametrize("light", [MappingProxyType({}), LIGHT], ids=["its own recipe", "a lighter recipe"])
def test_levels_and_effects(study: Study, light: Mapping[str, Any]) -> None:
    study = open_study(study.workspace, replace(PROFILE, level_recipe=light))
    found = why_we_differ.levels(study)
    lighter = [why_we_differ.LIGHTER] if light else []
    assert list(found) == [
        why_we_differ.AS_IT_IS, *lighter, "50 % of the detail", "25 % of the detail", "50 % of the images",
    ]  # fmt: skip
    assert why_we_differ.base(found) == [why_we_differ.AS_IT_IS, *lighter][-1]
    own = {**asdict(PROFILE.recipe), **light}
    half, fewer = (found[name].records[0].settings["recipe"] for name in ("50 % of the detail", "50 % of the images"))
    assert half == plain({**own, "architecture": f"{own['architecture']}/2"})
    assert fewer == plain({**own, "fraction": 0.5, "epochs": 2 * own["epochs"]})
    added = why_we_differ.effects(study)
    wanted = {"detail", "images", *(["training"] if light else [])}
    assert set(added) == {(what, name) for what in ("original", "only_bg_t", "gap") for name in wanted}
    one, other = found[why_we_differ.base(found)], found["50 % of the detail"]
    difference = one.accuracy("original").value - other.accuracy("original").value
    assert added["original", "detail"].value == pytest.approx(difference)
    assert added["gap", "detail"].value == pytest.approx(one.gap().value - other.gap().value)


def test_mask_changes_go_through_the_gap_as_it_is(study: Study) -> None:
    frame = why_we_differ.mask_changes(study)
    assert frame["pixels"].tolist() == [-2, -1, 0, 1, 2]
    assert frame["share"].is_monotonic_increasing
    gap = study.answers("original").gap()
    assert frame.set_index("pixels").loc[0, "value"] == pytest.approx(100 * gap.value)


def test_thirds_of_the_objects_are_taken_class_by_class(study: Study) -> None:
    frame = why_we_differ.object_sizes(study)
    assert tuple(frame["third"]) == why_we_differ.THIRDS and frame["share"].is_monotonic_increasing
    answers, pool = study.answers("original"), load_pool(study.dataset, "test")
    areas, labels = pool.masks.float().mean((1, 2, 3)).numpy(), pool.labels.numpy()
    smallest = np.concatenate(
        [np.flatnonzero(labels == label)[np.argsort(areas[labels == label])[:1]] for label in range(9)]
    )
    assert np.bincount(labels).tolist() == [4] * 9  # so a third of a class is one image
    same, rand = (answers.correct(test)[:, smallest].mean() for test in ("mixed_same", "mixed_rand"))
    assert frame["value"].iloc[0] == pytest.approx(100 * (same - rand))
    assert frame["share"].iloc[0] == pytest.approx(100 * areas[smallest].mean(), abs=0.01)


def test_attacks_with_every_background(study: Study) -> None:
    few = replace(PROFILE, adversarial_foregrounds=1, adversarial_backgrounds=1)
    found = why_we_differ.attacks(open_study(study.workspace, few))
    every = found[why_we_differ.EVERY_BACKGROUND]
    own = found[why_we_differ.base(found)]
    assert own.sizes[:2] == (9, 9) and every.sizes[0] == 9 and every.sizes[1] == len(load_pool(study.dataset, "test"))
    assert every.vulnerable().value >= own.vulnerable().value
    assert own.weakest().value == min(own.fooled(label).value for label in range(9))
    assert isinstance(own, Attacks) and {"50 % of the detail", "25 % of the detail"} < set(found)


def test_without_records_there_is_nothing(tmp_path: Path) -> None:
    empty = open_study(Workspace(tmp_path), recorded=True)
    assert why_we_differ.trials(empty) == {} and why_we_differ.levels(empty) == {}
    assert why_we_differ.effects(empty) == {} and why_we_differ.attacks(empty) == {}
    assert why_we_differ.mask_changes(empty).empty and why_we_differ.object_sizes(empty).empty
