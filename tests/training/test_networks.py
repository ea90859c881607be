"""Classifiers: what the names give, what goes in, and what comes out."""

from __future__ import annotations

import pytest
import torch

from in9.errors import In9Error
from in9.taxonomy import NUM_CLASSES, UNMAPPED, imagenet_to_in9
from in9.training.networks import (
    IN9_MEAN,
    IN9_STD,
    SMALL_NETWORKS,
    SMALL_WIDTHS,
    Classifier,
    Framing,
    architectures,
    create,
)

pytestmark = pytest.mark.usefixtures("one_thread")


def bytes_images(count: int = 2, size: int = 64) -> torch.Tensor:
    draws = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, 3, size, size), dtype=torch.uint8, generator=draws)


@pytest.mark.parametrize("name", ["small_resnet_w8", "small_resnet_w8_b1", "resnet18", "mobilenet_v3_small"])
@torch.inference_mode()
def test_scores_have_one_column_for_each_class(name: str) -> None:
    scores = create(name).eval()(bytes_images())
    assert scores.shape == (2, NUM_CLASSES) and scores.dtype == torch.float32
    assert scores.isfinite().all()


@torch.inference_mode()
def test_networks_with_a_second_output_in_training_give_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.nn.init, "trunc_normal_", lambda *arguments, **options: None)  # it takes seconds
    model = create("googlenet").train()
    assert isinstance(model.outputs(bytes_images()), torch.Tensor)
    assert isinstance(model.eval()(bytes_images()), torch.Tensor)


def test_every_small_network_is_listed_and_can_be_made() -> None:
    names = [name for name in architectures() if name.startswith("small_resnet")]
    assert names == list(SMALL_NETWORKS) and len(names) == 4 * len(SMALL_WIDTHS)
    sizes = {name: sum(weight.numel() for weight in create(name).parameters()) for name in names if "_w96" not in name}
    assert sizes["small_resnet_w8"] > sizes["small_resnet_w8_b1"] == sizes["small_resnet_w8_b1_pool"]
    assert sizes["small_resnet_w16_b1"] > sizes["small_resnet_w8_b1"]
    assert 2.5e6 < sizes["small_resnet_w32"] < 3.2e6


@torch.inference_mode()
def test_pooling_halves_what_the_stem_hands_on() -> None:
    plain, pooled = (create(f"small_resnet_w8{ending}").eval().network for ending in ("", "_pool"))
    images = torch.zeros(1, 3, 64, 64)
    assert plain.stem(images).shape == (1, 8, 32, 32) and pooled.stem(images).shape == (1, 8, 16, 16)
    assert plain(images).shape == pooled(images).shape == (1, NUM_CLASSES)


def test_architectures_hold_the_classification_models_and_no_others() -> None:
    names = architectures()
    assert {"resnet18", "resnet50", "vgg16_bn", "mobilenet_v3_small", "vit_b_16"} <= set(names)
    assert len(set(names)) == len(names)
    for other in ("fasterrcnn_resnet50_fpn", "fcn_resnet50", "raft_small", "r3d_18", "quantized_resnet18"):
        assert other not in names


@pytest.mark.parametrize("size", [32, 64, 65, 96])
@torch.inference_mode()
def test_small_networks_take_any_size(size: int) -> None:
    model = create("small_resnet_w8_b1").eval()
    assert model(bytes_images(3, size)).shape == (3, NUM_CLASSES)
    assert model.network.features(torch.zeros(3, 3, size, size)).shape == (3, 64)


def test_the_seed_decides_the_weights() -> None:
    one, same, other = (create("small_resnet_w8_b1", seed=seed).state_dict() for seed in (5, 5, 6))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["network.head.weight"], other["network.head.weight"])


def test_the_callers_random_state_is_left_alone() -> None:
    torch.manual_seed(42)
    before = torch.get_rng_state()
    create("small_resnet_w8_b1", seed=1)
    create("mobilenet_v3_small", seed=1)
    assert torch.equal(before, torch.get_rng_state())
    torch.rand(3)  # the weights do not depend on it either
    after = create("small_resnet_w8_b1", seed=1).state_dict()
    assert all(torch.equal(create("small_resnet_w8_b1", seed=1).state_dict()[name], after[name]) for name in after)


@torch.inference_mode()
def test_bytes_and_fractions_give_the_same_scores() -> None:
    model, images = create("small_resnet_w8_b1").eval(), bytes_images(4, 32)
    before = images.clone()
    torch.testing.assert_close(model(images), model(images.float() / 255))
    assert torch.equal(images, before)


@torch.inference_mode()
def test_normalisation_is_the_data_sets_and_clamps() -> None:
    model = Classifier(torch.nn.Flatten())
    images = torch.tensor(IN9_MEAN)[None, :, None, None].expand(1, 3, 2, 2)
    torch.testing.assert_close(model(images), torch.zeros(1, 12))
    white = (1 - torch.tensor(IN9_MEAN)) / torch.tensor(IN9_STD)
    torch.testing.assert_close(model(torch.full((1, 3, 1, 1), 7.0)), white[None])


def test_normalisation_is_not_among_the_weights() -> None:
    assert all(name.startswith("network.") for name in create("small_resnet_w8_b1").state_dict())


@torch.inference_mode()
def test_groups_give_each_class_the_largest_of_its_outputs() -> None:
    groups = torch.arange(12) % NUM_CLASSES
    model = create("small_resnet_w8_b1", classes=12, groups=groups).eval()
    outputs, scores = model.outputs(bytes_images(5, 32)), model(bytes_images(5, 32))
    assert outputs.shape == (5, 12) and scores.shape == (5, NUM_CLASSES)
    expected = torch.stack([outputs[:, groups == label].amax(1) for label in range(NUM_CLASSES)], dim=1)
    assert torch.equal(scores, expected)
    assert torch.equal(scores.argmax(1), groups[outputs.argmax(1)])


@torch.inference_mode()
def test_groups_change_nothing_but_the_scores() -> None:
    groups = torch.arange(12) % NUM_CLASSES
    plain, grouped = create("small_resnet_w8_b1", 12), create("small_resnet_w8_b1", 12, groups=groups)
    assert torch.equal(plain.eval().outputs(bytes_images()), grouped.eval().outputs(bytes_images()))
    assert plain.columns == grouped.columns == NUM_CLASSES
    assert grouped.groups is not None and torch.equal(grouped.groups, groups)
    assert list(plain.state_dict()) == list(grouped.state_dict())


class Logits(torch.nn.Module):
    """Answers with the logits that it was given, whatever the images."""

    def __init__(self, logits: torch.Tensor) -> None:
        super().__init__()
        self.logits = logits

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.logits[: len(images)]


def strict_by_hand(logits: torch.Tensor) -> int:
    """The authors' rule for one image: the highest of 1,000, then the map; none of the nine is -1."""
    return int(imagenet_to_in9()[int(logits.argmax())])


def restricted_by_hand(logits: torch.Tensor) -> int:
    """The highest of the 370 that fall under the nine, then the map."""
    table = imagenet_to_in9()
    best = max((index for index in range(1000) if table[index] != UNMAPPED), key=lambda index: float(logits[index]))
    return int(table[best])


def test_strict_and_restricted_rule_follow_from_ten_scores() -> None:
    logits = torch.randn(200, 1000, generator=torch.Generator().manual_seed(7))
    model = Classifier(Logits(logits), groups=torch.from_numpy(imagenet_to_in9()))
    scores = model(torch.zeros(200, 3, 1, 1))
    assert scores.shape == (200, NUM_CLASSES + 1) and scores.isfinite().all()
    strict = [UNMAPPED if one == NUM_CLASSES else one for one in scores.argmax(1).tolist()]
    assert strict == [strict_by_hand(one) for one in logits]
    assert scores[:, :NUM_CLASSES].argmax(1).tolist() == [restricted_by_hand(one) for one in logits]
    assert UNMAPPED in strict and len(set(strict)) == NUM_CLASSES + 1


def test_a_class_without_outputs_is_never_the_answer() -> None:
    model = Classifier(Logits(torch.tensor([[-5.0, -1.0, -9.0]])), groups=torch.tensor([3, UNMAPPED, 4]))
    scores = model(torch.zeros(1, 3, 1, 1))[0]
    assert scores[[3, 4, 9]].tolist() == [-5, -9, -1] and scores[[0, 1, 2, 5, 6, 7, 8]].isneginf().all()


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_framing_resizes_and_cuts_the_centre_before_normalisation(interpolation: str) -> None:
    import torchvision

    seen = []
    network = torch.nn.Sequential(torch.nn.Identity())
    network.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    model = Classifier(network, (0.4, 0.5, 0.6), (0.2, 0.2, 0.4), framing=Framing(40, 32, interpolation))
    images = bytes_images(2, 48)
    model.outputs(images)
    assert seen[0].shape == (2, 3, 32, 32)
    # The library's preset does the same to pixels in [0, 1], and does not clamp what bicubic overshoots.
    mode = torchvision.transforms.InterpolationMode(interpolation)
    preset = torchvision.transforms._presets.ImageClassification(
        crop_size=32, resize_size=40, mean=(0, 0, 0), std=(1, 1, 1), interpolation=mode
    )
    pixels = preset(images.float() / 255)
    assert interpolation == "bilinear" or pixels.min() < 0
    expected = torchvision.transforms.functional.normalize(pixels.clamp(0, 1), (0.4, 0.5, 0.6), (0.2, 0.2, 0.4))
    torch.testing.assert_close(seen[0], expected)


def test_without_resize_and_crop_framing_leaves_the_images() -> None:
    images = bytes_images().float()
    assert Framing()(images) is images
    assert Framing(crop=10)(images).shape == (2, 3, 10, 10)
    assert torch.equal(Framing(crop=10)(images), images[:, :, 27:37, 27:37])


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("resnet51", "resnet50"),
        ("small_resnet_w33", "small_resnet_w32"),
        ("small_resnet_w8_b3", "small_resnet_w8_b1"),
        ("small_resnet_w8_", "small_resnet_w8"),
        ("small_resnet_w²", "small_resnet_w"),
        ("small_resnet_w", "small_resnet_w"),
        ("fasterrcnn_resnet50_fpn", ""),
    ],
)
def test_an_unknown_name_offers_the_nearest(name: str, near: str) -> None:
    with pytest.raises(In9Error, match=f"no architecture '{name}'") as caught:
        create(name)
    text = str(caught.value)
    assert "mobilenet_v3_small" in text and "small_resnet_w16_b1" in text
    if near:
        assert f"Did you mean '{near}" in text


def test_an_architecture_that_cannot_have_nine_outputs_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    import torchvision

    def refuse(name: str, **options: object) -> torch.nn.Module:
        raise TypeError("got an unexpected keyword argument 'num_classes'")

    monkeypatch.setattr(torchvision.models, "get_model", refuse)
    with pytest.raises(In9Error, match=r"'resnet18' cannot be given 9 outputs"):
        create("resnet18")
