"""Saliency: the maps against the formula, the scores against maps whose answer is known, the records against both."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import timm
import torch
from torch import Tensor, nn
from trial_study import PROFILE, open_study

from in9.data.dataset import Dataset
from in9.data.variants import VARIANTS, load_pool
from in9.errors import In9Error
from in9.evaluation.adversarial.pairs import attacked_rows
from in9.evaluation.records import Record, Store, packed, unpacked
from in9.evaluation.saliency.focus import Focus
from in9.evaluation.saliency.maps import METHODS, map_side, saliency_maps, target_layer
from in9.evaluation.saliency.scores import distributions, examples, foreground_scores, measure_saliency
from in9.experiments.object_focus import LOOKED_INTO, SALIENCY, focus
from in9.study.jobs import jobs_of
from in9.study.profile import load_profile, profile_names
from in9.study.study import NotMeasured
from in9.study.workspace import Workspace
from in9.training.networks import Classifier, SmallResNet, create

CPU = torch.device("cpu")


@pytest.fixture
def classifier() -> Classifier:
    """A network with fresh weights, in evaluation mode, whose normalisation layers have seen some images."""
    model = create("small_resnet_w8_b1", seed=3)
    with torch.no_grad():
        for _ in range(5):
            model(some_images(32, 64))
    return model.eval()


def some_images(count: int, size: int, seed: int = 0) -> Tensor:
    """Smooth noise: uint8 [count, 3, size, size]."""
    coarse = torch.rand(count, 3, 8, 8, generator=torch.Generator().manual_seed(seed))
    return (nn.functional.interpolate(coarse, size, mode="bilinear") * 255).to(torch.uint8)


def features_of(model: Classifier, layer: nn.Module, run: Callable[[], Tensor]) -> tuple[Tensor, Tensor]:
    """A layer's output, part of the graph, and what the model answers."""
    kept: list[Tensor] = []
    handle = layer.register_forward_hook(lambda module, inputs, output: kept.append(output))
    answers = run()
    handle.remove()
    return kept[0], answers


# --- Grad-CAM ---------------------------------------------------------------------------------------------------


def test_gradcam_is_the_class_activation_map_over_z(classifier: Classifier) -> None:
    """Pooling and one linear layer at the end: alpha = w / Z, so Grad-CAM = max(0, CAM) / Z (paper.md, section 7)."""
    import cv2

    network = classifier.network
    assert isinstance(network, SmallResNet)
    images, classes = some_images(6, 64, seed=1), torch.arange(6)
    features, scores = features_of(classifier, network.stages[-1], lambda: classifier(images))
    pixels = features.shape[-1] * features.shape[-2]
    (gradient,) = torch.autograd.grad(scores.gather(1, classes[:, None]).sum(), features)
    alpha = gradient.mean((2, 3))
    torch.testing.assert_close(alpha, network.head.weight[classes] / pixels)  # the identity without any scaling

    cam = (network.head.weight[classes][:, :, None, None] * features).sum(1).clamp(min=0).detach().numpy() / pixels
    assert (cam.max((1, 2)) > 0).sum() >= 3  # else the test would compare nothing
    maps = saliency_maps(classifier, images, classes)
    for ours, plain in zip(maps, cam, strict=True):
        scaled = (plain - plain.min()) / max(plain.max() - plain.min(), 1e-12)
        large = cv2.resize(scaled, (64, 64))
        expected = (large - large.min()) / max(large.max() - large.min(), 1e-12)
        np.testing.assert_allclose(ours, expected, atol=1e-4)


@pytest.mark.parametrize("method", METHODS)
def test_maps_have_the_images_size_and_are_not_negative(classifier: Classifier, method: str) -> None:
    maps = saliency_maps(classifier, some_images(5, 64), torch.arange(5), method)
    assert maps.shape == (5, 64, 64) and maps.dtype == np.float32
    assert (maps >= 0).all() and maps.max() > 0
    if method != "gradient":
        assert maps.max() <= 1


@pytest.mark.parametrize("method", METHODS)
def test_maps_do_not_depend_on_the_batch_size(classifier: Classifier, method: str) -> None:
    images, classes = some_images(7, 64), torch.arange(7)
    whole = saliency_maps(classifier, images, classes, method)
    parts = saliency_maps(classifier, images, classes, method, batch_size=2)
    np.testing.assert_allclose(whole, parts, atol=1e-4 * whole.max())


@pytest.mark.parametrize("method", METHODS)
def test_maps_repeat_and_take_floats(classifier: Classifier, method: str) -> None:
    images, classes = some_images(4, 64), torch.arange(4)
    first = saliency_maps(classifier, images, classes, method)
    assert np.array_equal(first, saliency_maps(classifier, images, classes, method))
    pixels = images.float() / 255
    before = pixels.clone()
    np.testing.assert_allclose(first, saliency_maps(classifier, pixels, classes, method), atol=1e-5 * first.max())
    assert torch.equal(pixels, before) and not pixels.requires_grad and pixels.grad is None


def test_without_classes_the_predicted_one_is_explained(classifier: Classifier) -> None:
    images = some_images(6, 64)
    predicted = classifier(images).argmax(1)
    assert np.array_equal(saliency_maps(classifier, images), saliency_maps(classifier, images, predicted))


def test_the_gradient_is_the_absolute_gradient_of_the_score(classifier: Classifier) -> None:
    images, classes = some_images(3, 64), torch.tensor([2, 0, 8])
    maps = saliency_maps(classifier, images, classes, "gradient")
    for row in range(3):
        pixels = (images[row : row + 1].float() / 255).requires_grad_()
        classifier(pixels)[0, classes[row]].backward()
        assert pixels.grad is not None
        np.testing.assert_allclose(maps[row], pixels.grad[0].abs().sum(0), rtol=1e-3, atol=1e-6 * maps.max())


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("training", [True, False])
def test_the_classifier_is_left_as_it_was(classifier: Classifier, method: str, training: bool) -> None:
    classifier.train(training)
    classifier.network.stem.eval()  # a mixture must come back as a mixture
    first, *others = classifier.parameters()
    first.requires_grad_(False)
    others[0].grad = gradient = torch.ones_like(others[0])
    state = {name: value.clone() for name, value in classifier.state_dict().items()}
    modes = [module.training for module in classifier.modules()]
    hooks = [len(module._forward_hooks) for module in classifier.modules()]
    saliency_maps(classifier, some_images(3, 64), torch.arange(3), method)
    map_side(classifier, some_images(1, 64), method)
    assert [module.training for module in classifier.modules()] == modes
    assert [len(module._forward_hooks) for module in classifier.modules()] == hooks
    assert [weight.requires_grad for weight in classifier.parameters()] == [False] + [True] * len(others)
    assert others[0].grad is gradient and all(weight.grad is None for weight in others[1:])
    for name, value in classifier.state_dict().items():
        assert torch.equal(value, state[name])


def test_it_works_where_gradients_are_switched_off(classifier: Classifier) -> None:
    images, classes = some_images(3, 64), torch.arange(3)
    expected = [saliency_maps(classifier, images, classes, method) for method in METHODS]
    with torch.no_grad():
        for method, one in zip(METHODS, expected, strict=True):
            assert np.array_equal(saliency_maps(classifier, images, classes, method), one)
        assert not torch.is_grad_enabled()


def test_grouped_outputs_are_explained_through_the_best_of_the_group() -> None:
    model = create("small_resnet_w8_b1", classes=18, seed=1, groups=torch.arange(9).repeat_interleave(2)).eval()
    assert saliency_maps(model, some_images(2, 64), torch.tensor([1, 7]), "gradient").max() > 0
    assert saliency_maps(model, some_images(2, 64), torch.tensor([1, 7])).shape == (2, 64, 64)


def test_target_layers() -> None:
    for name in ("small_resnet_w8_b1", "small_resnet_w8"):
        stages = create(name).network.stages
        blocks = len(stages) // 4
        model = create(name)
        assert target_layer(model) is model.network.stages[-1]
        assert target_layer(model, finer=True) is model.network.stages[3 * blocks - 1]
        assert [map_side(model, some_images(1, 64), method) for method in METHODS] == [4, 8, 64]
    model = create("resnet18")
    assert target_layer(model) is model.network.layer4[-1]
    assert target_layer(model, finer=True) is model.network.layer3[-1]
    assert saliency_maps(model, some_images(2, 64), torch.tensor([0, 1])).shape == (2, 64, 64)


def test_in_an_efficientnet_gradcam_is_the_weighted_sum_of_the_last_maps() -> None:
    torch.manual_seed(0)  # weights for which the map is not zero everywhere
    network = timm.create_model("tf_efficientnet_lite0", num_classes=9).eval()
    model, images, label = Classifier(network).eval(), some_images(1, 64), 4
    assert target_layer(model) is network.bn2 and map_side(model, images, "gradcam") == 2
    with torch.no_grad():
        features = network.forward_features((images / 255 - model.mean) / model.std)[0]
    by_hand = torch.einsum("k,kij->ij", network.classifier.weight[label], features).relu().detach().numpy()
    enlarged = cv2.resize(by_hand - by_hand.min(), (64, 64))
    (saliency,) = saliency_maps(model, images, torch.tensor([label]))
    assert np.allclose(enlarged / enlarged.max(), saliency, atol=1e-4)
    with pytest.raises(In9Error, match="last layer of timm's EfficientNets"):
        target_layer(model, finer=True)


def test_an_unknown_network_is_a_clear_error() -> None:
    model = create("alexnet")
    with pytest.raises(In9Error, match=r"AlexNet.*'gradient'"):
        target_layer(model)
    with pytest.raises(In9Error, match="AlexNet"):
        saliency_maps(model, some_images(1, 64), torch.tensor([0]))
    assert saliency_maps(model, some_images(1, 64), torch.tensor([0]), "gradient").shape == (1, 64, 64)


def test_wrong_calls(classifier: Classifier) -> None:
    images = some_images(2, 64)
    with pytest.raises(In9Error, match=r"grad-cam.*gradcam"):
        saliency_maps(classifier, images, torch.tensor([0, 1]), "grad-cam")
    for classes in (torch.tensor([0]), torch.tensor([0, 9]), torch.tensor([-1, 0])):
        with pytest.raises(ValueError, match="classes must hold"):
            saliency_maps(classifier, images, classes)


# --- scores -----------------------------------------------------------------------------------------------------


def squares(*places: tuple[int, int, int]) -> np.ndarray:
    """Masks bool [N, 12, 12]: a square for each (top, left, side)."""
    masks = np.zeros((len(places), 12, 12), bool)
    for mask, (top, left, side) in zip(masks, places, strict=True):
        mask[top : top + side, left : left + side] = True
    return masks


MASKS = squares((0, 0, 3), (4, 5, 6), (0, 0, 12))


def test_a_map_equal_to_the_mask_is_all_on_the_foreground() -> None:
    scores = foreground_scores(MASKS.astype(np.float32), MASKS)
    assert scores.mass.tolist() == scores.pointing.tolist() == [1, 1, 1]
    assert scores.area == pytest.approx([9 / 144, 36 / 144, 1])
    opposite = foreground_scores((~MASKS[:2]).astype(np.float32), MASKS[:2])
    assert opposite.mass.tolist() == opposite.pointing.tolist() == [0, 0]


@pytest.mark.parametrize("value", [0.0, 1e-30, 0.25, 1e20])
def test_a_map_that_says_nothing_gets_the_area(value: float) -> None:
    scores = foreground_scores(np.full(MASKS.shape, value, np.float32), MASKS)
    assert scores.mass == pytest.approx(scores.area)
    assert scores.pointing == pytest.approx(scores.area)
    assert scores.empty.tolist() == [value == 0] * 3


def test_the_pointing_game_looks_at_the_maximum_alone() -> None:
    maps = np.ones(MASKS.shape, np.float32)
    maps[0, 1, 1] = 1.001  # inside
    maps[1, 0, 0] = 1.001  # outside
    assert foreground_scores(maps, MASKS).pointing.tolist() == [1, 0, 1]
    maps[1, 4, 5] = 1.001  # one of two maxima inside
    assert foreground_scores(maps, MASKS).pointing.tolist() == [1, 0.5, 1]


def test_scores_do_not_depend_on_the_maps_scale() -> None:
    maps = np.random.default_rng(0).random(MASKS.shape).astype(np.float32)
    first, second = foreground_scores(maps, MASKS), foreground_scores(maps * 1024, MASKS)
    for one, other in zip(first, second, strict=True):
        assert one == pytest.approx(other)


def test_distributions_sum_to_one() -> None:
    maps = np.random.default_rng(0).random(MASKS.shape).astype(np.float32)
    maps[1] = 0
    for part in distributions(maps):
        assert part.sum((1, 2)) == pytest.approx([1, 1, 1])


@pytest.mark.parametrize(
    "maps", [np.full((3, 12, 12), -1.0), np.full((3, 12, 12), np.nan), np.ones((3, 12, 13)), np.ones((12, 12))]
)
def test_maps_that_are_no_maps(maps: np.ndarray) -> None:
    with pytest.raises(ValueError, match="maps"):
        foreground_scores(maps, MASKS)


# --- records ----------------------------------------------------------------------------------------------------


def options(**changes: object) -> dict[str, object]:
    return {"per_class": 3, "methods": list(METHODS), "variant": "original"} | changes


def focus_of(results: dict, method: str = "gradcam") -> Focus:
    """What the record of one model says."""
    return Focus.of_records([Record("saliency", "x", {"recipe": {"seed": 0}}, "data", results)], method)


def test_a_record_holds_the_scores_of_each_image(classifier: Classifier, dataset: Dataset) -> None:
    results = json.loads(json.dumps(measure_saliency(classifier, dataset, CPU, options()), allow_nan=False))
    pool = load_pool(dataset, "test")
    rows = torch.from_numpy(attacked_rows(pool, 3))
    assert len(rows) == 27
    assert results["labels"] == "".join(map(str, pool.labels[rows].tolist()))
    for method in METHODS:
        read = focus_of(results, method)
        maps = saliency_maps(classifier, pool.images[rows], pool.labels[rows], method)
        masks = pool.masks[rows, 0].numpy()
        scores = foreground_scores(maps, masks)
        assert read.mass[0] == pytest.approx(scores.mass, abs=1e-4)
        assert read.pointing[0] == pytest.approx(scores.pointing, abs=1e-4)
        assert read.area[0] == pytest.approx(scores.area, abs=1e-4)
        assert read.empty == scores.empty.sum()
        mass, highest = distributions(maps)
        for row in (0, 26):
            others = np.arange(27) != row
            assert read.mass_swapped[0, row] == pytest.approx((mass[others] * masks[row]).sum() / 26, abs=1e-4)
            assert read.pointing_swapped[0, row] == pytest.approx((highest[others] * masks[row]).sum() / 26, abs=1e-4)
    predicted = classifier(pool.images[rows]).argmax(1)
    assert np.array_equal(read.right[0], (predicted == pool.labels[rows]).numpy())


def test_records_can_be_of_other_classes_and_variants(classifier: Classifier, dataset: Dataset) -> None:
    true, predicted = (
        measure_saliency(classifier, dataset, CPU, options(methods=["gradient"], of=of)) for of in ("true", "predicted")
    )
    assert true["methods"]["gradient"] != predicted["methods"]["gradient"]
    pool = load_pool(dataset, "test")
    for variant in VARIANTS:
        results = measure_saliency(
            classifier, dataset, CPU, options(methods=["gradient"], variant=variant, per_class=None)
        )
        assert len(results["labels"]) == len(pool)
        assert len(unpacked(results["methods"]["gradient"]["mass"])) == len(pool)
    with pytest.raises(In9Error, match="variant"):
        measure_saliency(classifier, dataset, CPU, options(variant="mixed"))
    with pytest.raises(In9Error, match="class to explain"):
        measure_saliency(classifier, dataset, CPU, options(of="second"))
    with pytest.raises(In9Error, match="saliency method"):
        measure_saliency(classifier, dataset, CPU, options(methods=["cam"]))


@pytest.mark.parametrize("name", profile_names())
def test_every_profile_has_options_that_can_be_measured(name: str) -> None:
    settings = load_profile(name).saliency
    assert tuple(settings["methods"]) == METHODS
    assert settings["variant"] in VARIANTS


def test_a_record_of_the_papers_size_is_small() -> None:
    values = np.random.default_rng(0).random(4050)
    assert len(packed(values)) * 13 + 5 * 4050 < 400_000  # three methods of four scores, and the area
    assert unpacked(packed(values)) == pytest.approx(values, abs=5.1e-5)
    assert packed(np.array([0, 1, 0.5, 1e-9])) == "0 1 0.5000 0.0000"


def hand_made(mass: list[float], predictions: str = "0011") -> dict:
    scores = {"mass": packed(np.array(mass)), "pointing": "1 0 1 0", "mass_swapped": "0.2 0.2 0.2 0.2"}
    scores |= {"pointing_swapped": "0 0 0 1", "empty": "0100", "map_side": 4}
    area = "0.1000 0.2000 0.3000 0.4000"
    return {"labels": "0011", "predictions": predictions, "area": area, "methods": {"gradcam": scores}}


def test_focus_compares_two_models_on_the_same_images(tmp_path: Path) -> None:
    profile = replace(PROFILE, seeds=(0, 1))
    study = open_study(Workspace(tmp_path), profile, recorded=True)
    assert focus(study) == {}
    results = {"original": hand_made([0.1, 0.2, 0.3, 0.4]), "mixed_rand": hand_made([0.2, 0.3, 0.4, 0.9], "0110")}
    for train, jobs in SALIENCY.groups(profile).items():
        for job in jobs:
            Store(study.records / profile.name).write(Record("saliency", train, job.settings, "data", results[train]))
    by_method = focus(study)
    assert list(by_method) == ["gradcam"] and tuple(by_method["gradcam"]) == LOOKED_INTO == tuple(results)
    original, mixed_rand = by_method["gradcam"].values()
    assert original.mass.shape == (2, 4)
    assert original.mean().value == pytest.approx(0.25)
    assert original.mean("area").value == pytest.approx(0.25)
    assert original.above_swapped().value == pytest.approx(0.05)
    assert original.above_swapped("pointing").value == pytest.approx(0.25)
    assert (original.empty, original.map_side) == (2, 4)
    change = mixed_rand.minus(original)
    assert change is not None and change.value == pytest.approx(0.2)
    assert change.low <= change.value <= change.high
    right = mixed_rand.minus(original, both_right=True)  # images 0 and 2, one of each class
    assert right is not None and right.value == pytest.approx(0.1)


def test_focus_of_nothing_in_common() -> None:
    first, second = focus_of(hand_made([0.1] * 4, "0000")), focus_of(hand_made([0.2] * 4, "1111"))
    assert first.minus(second, both_right=True) is None
    moved = focus_of(hand_made([0.2] * 4) | {"area": "0.1 0.1 0.1 0.1"})
    with pytest.raises(ValueError, match="different images"):
        first.minus(moved)


def of_fold(fold: int, mass: list[float], predictions: str) -> Record:
    """The record of a network that leaves out a fold; each fold has areas of its own."""
    area = " ".join(f"{0.1 * (place + 1 + fold):.4f}" for place in range(4))
    return Record(
        "saliency", "x", {"recipe": {"seed": fold, "fold": fold}}, "data", hand_made(mass, predictions) | {"area": area}
    )


def test_focus_of_folds_joins_their_images() -> None:
    records = [of_fold(0, [0.1, 0.2, 0.3, 0.4], "0011"), of_fold(2, [0.5, 0.6, 0.7, 1.0], "0111")]
    joined = Focus.of_records(records, "gradcam")
    assert joined.labels.tolist() == [0, 0, 1, 1, 0, 0, 1, 1]
    assert joined.folds is not None and joined.folds.tolist() == [0, 0, 0, 0, 2, 2, 2, 2]
    assert joined.mass.shape == joined.right.shape == joined.pointing_swapped.shape == (1, 8)
    assert joined.right[0].tolist() == [True] * 5 + [False, True, True]
    assert (joined.empty, joined.map_side) == (2, 4)
    assert joined.mean().value == pytest.approx((0.1 + 0.2 + 0.3 + 0.4 + 0.5 + 0.6 + 0.7 + 1.0) / 8)
    assert joined.mean("area").value == pytest.approx((0.25 + 0.45) / 2)
    assert joined.above_swapped().value == pytest.approx(3.8 / 8 - 0.2)
    assert joined.above_swapped("pointing").value == pytest.approx(4 / 8 - 2 / 8)
    assert joined.mean().low < joined.mean().value < joined.mean().high


def test_focus_of_folds_is_compared_image_by_image() -> None:
    first = Focus.of_records([of_fold(0, [0.1] * 4, "0011"), of_fold(1, [0.2] * 4, "0011")], "gradcam")
    records = [of_fold(0, [0.2, 0.3, 0.4, 0.5], "0011"), of_fold(1, [0.2, 0.2, 0.3, 0.6], "0000")]
    second = Focus.of_records(records, "gradcam")
    change = second.minus(first)
    assert change is not None and change.value == pytest.approx((0.1 + 0.2 + 0.3 + 0.4 + 0 + 0 + 0.1 + 0.4) / 8)
    assert change.low < change.value < change.high
    right = second.minus(first, both_right=True)  # no image of class 1 in fold 1
    assert right is not None and right.value == pytest.approx(((0.1 + 0.2 + 0 + 0) / 4 + (0.3 + 0.4) / 2) / 2)
    with pytest.raises(ValueError, match="different images"):
        second.minus(Focus.of_records(records[:1], "gradcam"))
    with pytest.raises(ValueError, match="different images"):
        second.minus(Focus.of_records(records[::-1], "gradcam"))


def test_beyond_swapped_takes_from_each_what_the_other_images_get() -> None:
    """Maps that are more central in general win nothing by it."""
    folds = [of_fold(fold, [0.1, 0.2, 0.3, 0.4], "0011") for fold in (0, 1)]
    central = []
    for record in folds:
        results = json.loads(json.dumps(record.results))
        scores = results["methods"]["gradcam"]
        scores["mass"] = packed(unpacked(scores["mass"]) + 0.3)
        scores["mass_swapped"] = packed(unpacked(scores["mass_swapped"]) + 0.25)
        central.append(replace(record, results=results))
    first, second = (Focus.of_records(records, "gradcam") for records in (folds, central))
    raw, beyond = second.minus(first), second.minus(first, beyond_swapped=True)
    assert raw is not None and raw.value == pytest.approx(0.3)
    assert beyond is not None and beyond.value == pytest.approx(0.05)
    assert beyond.value == pytest.approx(second.above_swapped().value - first.above_swapped().value)
    pointing = second.minus(first, "pointing", beyond_swapped=True)
    assert pointing is not None and pointing.value == 0


def test_examples_show_one_image_of_each_class(classifier: Classifier, dataset: Dataset) -> None:
    shown = examples({"a": classifier, "b": classifier}, dataset, ["gradcam", "gradient"], number=1)
    assert shown.images.shape == (9, 32, 32, 3) and shown.images.dtype == np.uint8
    assert shown.masks.shape == (9, 32, 32) and shown.masks.any((1, 2)).all()
    assert list(shown.maps) == [("a", "gradcam"), ("b", "gradcam"), ("a", "gradient"), ("b", "gradient")]
    assert np.array_equal(shown.maps["a", "gradient"], shown.maps["b", "gradient"])
    other = examples({"a": classifier}, dataset, ["gradient"], number=0)
    assert (other.images != shown.images).any((1, 2, 3)).all()


def test_a_study_measures_saliency_and_gives_its_classifiers(dataset: Dataset, tmp_path: Path) -> None:
    smoke = load_profile("smoke")
    profile = replace(
        smoke,
        source_options=PROFILE.source_options,
        split=PROFILE.split,
        recipe=smoke.recipe.changed(epochs=1),
    )
    workspace = Workspace(tmp_path)
    shutil.copytree(dataset.path, workspace.dataset("smoke"))
    study, recipe = open_study(workspace, profile), profile.recipe_on("original")
    jobs = jobs_of(profile, "saliency", [recipe], **profile.saliency)
    measured = study.read({"original": jobs}, lambda records: Focus.of_records(records, "gradcam"))
    pool = load_pool(dataset, "test")
    rows = torch.from_numpy(attacked_rows(pool, profile.saliency_per_class))
    maps = saliency_maps(study.classifier(recipe), pool.images[rows], pool.labels[rows])
    scores = foreground_scores(maps, pool.masks[rows, 0].numpy())
    assert measured["original"].mass[0] == pytest.approx(scores.mass, abs=1e-3)
    with pytest.raises(NotMeasured, match="no weights"):
        open_study(workspace, profile, compute=False).classifier(recipe)
