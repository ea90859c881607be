"""The layer that Grad-CAM looks at is found in any network, and its output read as a map."""

from __future__ import annotations

import numpy as np
import pytest
import timm
import torch
from torch import Tensor, nn

from in9.errors import In9Error
from in9.evaluation.saliency.layers import find_layer
from in9.evaluation.saliency.maps import METHODS_FOR_ANY, saliency_maps
from in9.training.networks import Classifier, Framing, create

pytestmark = pytest.mark.usefixtures("one_thread")

IMAGES = (torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 255).to(torch.uint8)
CLASSES = torch.tensor([1, 5, 8])


def vit(**options: object) -> Classifier:
    """A small vision transformer with random weights: 4 x 4 places."""
    sizes = {"img_size": 32, "patch_size": 8, "embed_dim": 24, "depth": 2, "num_heads": 2, "num_classes": 9}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Classifier(timm.create_model("vit_tiny_patch16_224", **sizes, **options)).eval()


class InPlace(nn.Module):
    """A CNN that changes its features in place before it pools them, as DenseNet does."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 9, 3, 4, 1), nn.BatchNorm2d(9))

    def forward(self, images: Tensor) -> Tensor:
        return nn.functional.relu(self.features(images), inplace=True).mean((2, 3))


class ChannelsLast(nn.Module):
    """A network whose maps have their channels last, as Swin's have."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 9, 8, 8)
        self.norm = nn.LayerNorm(9)

    def forward(self, images: Tensor) -> Tensor:
        return self.norm(self.patches(images).permute(0, 2, 3, 1)).square().mean((1, 2))


class Flat(nn.Module):
    """A network without places."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(3 * 32 * 32, 9)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(images.flatten(1))


def test_the_last_layer_that_the_answer_depends_on() -> None:
    """From the class token no other token of the last block's output is read; their mean reads them all."""
    token, pooled = vit(), vit(class_token=False, global_pool="avg")
    for model, name, side, extra, last in (
        (create("resnet18").eval(), "layer4", 1, None, False),
        (token, "blocks.1.norm1", 4, 1, False),
        (vit(reg_tokens=4), "blocks.1.norm1", 4, 5, False),
        (pooled, "blocks", 4, 0, False),
        (Classifier(InPlace()).eval(), "features", 8, None, False),
        (Classifier(ChannelsLast()).eval(), "norm", 4, None, True),
    ):
        images = nn.functional.interpolate(IMAGES.float() / 255, 64) if name == "layer4" else IMAGES
        layer = find_layer(model, images)
        assert (layer.name, layer.extra, layer.channels_last) == (name, extra, last)
        assert layer.side == (2 if name == "layer4" else side)
        assert layer.module is dict(model.network.named_modules())[name]
    assert find_layer(token, IMAGES, "blocks.0.norm2").name == "blocks.0.norm2"


def test_tokens_become_rows_of_a_map() -> None:
    tokens = torch.arange(2 * 17 * 3.0).reshape(2, 17, 3)
    layer = find_layer(vit(), IMAGES)
    made = layer.as_map(tokens)
    assert made.shape == (2, 3, 4, 4)
    for row in range(4):
        for column in range(4):
            assert torch.equal(made[:, :, row, column], tokens[:, 1 + 4 * row + column])
    last = find_layer(Classifier(ChannelsLast()).eval(), IMAGES)
    assert torch.equal(
        last.as_map(torch.arange(48.0).reshape(1, 4, 4, 3))[0, 2], torch.arange(2.0, 48, 3).reshape(4, 4)
    )


@pytest.mark.parametrize("method", ["gradcam", "hirescam"])
def test_maps_of_a_transformer_are_the_formula(method: str) -> None:
    import cv2

    model = vit()
    layer = find_layer(model, IMAGES)
    kept: list[Tensor] = []
    handle = layer.module.register_forward_hook(lambda module, inputs, output: kept.append(output))
    scores = model(IMAGES).gather(1, CLASSES[:, None]).sum()
    handle.remove()
    (gradient,) = torch.autograd.grad(scores, kept[0])
    weights = gradient[:, 1:].mean(1, keepdim=True) if method == "gradcam" else gradient[:, 1:]
    plain = (weights * kept[0][:, 1:]).sum(2).clamp(min=0).detach().reshape(3, 4, 4).numpy()
    assert (plain.max((1, 2)) > plain.min((1, 2))).all()
    for made, small in zip(saliency_maps(model, IMAGES, CLASSES, method, layer=layer), plain, strict=True):
        large = cv2.resize((small - small.min()) / (small.max() - small.min()), (32, 32))
        np.testing.assert_allclose(made, (large - large.min()) / (large.max() - large.min()), atol=1e-4)


def test_both_are_the_same_where_a_network_ends_with_pooling(network: Classifier) -> None:
    layer = find_layer(network, IMAGES)
    assert layer.name == "stages"
    first, second = (saliency_maps(network, IMAGES, CLASSES, method, layer=layer) for method in ("gradcam", "hirescam"))
    np.testing.assert_allclose(first, second, atol=1e-4)
    np.testing.assert_allclose(first, saliency_maps(network, IMAGES, CLASSES), atol=1e-4)
    assert first.max() > 0.9


@pytest.mark.parametrize("method", METHODS_FOR_ANY)
@pytest.mark.parametrize("make", [vit, lambda: Classifier(InPlace()), lambda: Classifier(ChannelsLast())])
def test_maps_of_any_network(make, method: str) -> None:
    model = make().eval()
    maps = saliency_maps(model, IMAGES, CLASSES, method, layer=find_layer(model, IMAGES))
    assert maps.shape == (3, 32, 32) and np.isfinite(maps).all() and (maps >= 0).all() and maps.max() > 0


@pytest.mark.parametrize("method", METHODS_FOR_ANY)
def test_what_the_crop_cuts_off_is_zero(method: str) -> None:
    model = vit().eval()
    model.framing = Framing(resize=64, crop=32)
    maps = saliency_maps(model, IMAGES, CLASSES, method, layer=find_layer(model, IMAGES))
    assert maps.shape == (3, 32, 32) and maps[:, 8:24, 8:24].max() > 0
    rim = np.ones((32, 32), bool)
    rim[7:25, 7:25] = False  # the resize mixes neighbours
    assert (maps[:, rim] == 0).all()


def test_a_layer_that_will_not_do_lists_those_that_will() -> None:
    model = vit()
    for name, what in (("blocks.1.norm3", "does not exist"), ("head", "has no places in its output")):
        with pytest.raises(In9Error, match=f"layer '{name}' of tiny {what}.*in order, are: .*blocks.1.norm2.*norm"):
            find_layer(model, IMAGES, name, "tiny")
    with pytest.raises(In9Error, match=r"Did you mean 'blocks.1.norm1'|Did you mean 'blocks.1.norm2'"):
        find_layer(model, IMAGES, "blocks.1.norm3")
    with pytest.raises(In9Error, match=r"Flat has no layer .* use the method 'gradient'"):
        find_layer(Classifier(Flat()).eval(), IMAGES)
    constant = vit()
    nn.init.zeros_(constant.network.head.weight)
    with pytest.raises(In9Error, match=r"has no gradient in any of its layers; name one with --layer: .*norm"):
        find_layer(constant, IMAGES)


def test_hooks_are_taken_away(network: Classifier) -> None:
    find_layer(network, IMAGES)
    saliency_maps(network, IMAGES, CLASSES, "hirescam", layer=find_layer(network, IMAGES))
    assert not any(module._forward_hooks for module in network.modules())
