"""Networks, and classifiers around them, which turn a batch of images into scores of the nine classes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from in9.errors import In9Error, check_known
from in9.taxonomy import NUM_CLASSES, UNMAPPED

IN9_MEAN = (0.4717, 0.4499, 0.3837)
IN9_STD = (0.2600, 0.2516, 0.2575)
INTERPOLATIONS = ("nearest", "nearest-exact", "bilinear", "bicubic")
SMALL_WIDTHS = (8, 16, 24, 32, 48, 64, 96)
SMALL_NETWORKS = {
    f"small_resnet_w{width}{ending}{pooling}": (width, blocks, pooled)
    for width in SMALL_WIDTHS
    for ending, blocks in (("", 2), ("_b1", 1))
    for pooling, pooled in (("", False), ("_pool", True))
}
"""Our small networks: name -> width, number of blocks of each stage, and whether the stem ends with pooling."""


@dataclass(frozen=True)
class Framing:
    """What some networks do to an image before they look at it: resize its shorter side, then cut out the centre.

    ``resize`` and ``crop`` are sides in pixels, None for neither; ``interpolation`` is one of ``INTERPOLATIONS``.
    """

    resize: int | None = None
    crop: int | None = None
    interpolation: str = "bilinear"

    def __call__(self, images: Tensor) -> Tensor:
        """Images float [B, 3, S, S] -> [B, 3, crop, crop]; bicubic may leave [0, 1] by a little."""
        from torchvision.transforms.v2 import InterpolationMode, functional

        if self.resize is not None:
            images = functional.resize(images, [self.resize], InterpolationMode(self.interpolation), antialias=True)
        return images if self.crop is None else functional.center_crop(images, [self.crop, self.crop])


class Classifier(nn.Module):
    """A network with its normalisation inside, as in the authors' code, and its own classes grouped into the nine.

    Takes uint8 [B, 3, S, S], or float in [0, 1]; returns scores float [B, 9]. ``groups`` holds the class of each of the
    network's outputs, int64 [outputs]. The score of a class is the largest of its outputs, so the class with the
    highest score is the class of the highest output. Without ``groups`` the outputs are the scores.

    Where some outputs fall under none of the nine, -1 in ``groups``, there is a tenth score, the largest of those. The
    highest of ten is then the authors' strict rule: the class of the highest output, or none of the nine if it is the
    tenth. The highest of the first nine is the restricted rule, which ignores the other outputs.

    ``framing`` resizes and crops the images first. ``shrink`` takes detail from them: they are shrunk to a half of
    their side (2), a quarter (4) and so on, and enlarged again; 1 leaves them alone.
    """

    def __init__(
        self,
        network: nn.Module,
        mean: tuple[float, ...] = IN9_MEAN,
        std: tuple[float, ...] = IN9_STD,
        groups: Tensor | None = None,
        framing: Framing | None = None,
        shrink: int = 1,
    ) -> None:
        super().__init__()
        self.network = network
        self.framing = framing
        self.shrink = shrink
        self.columns = NUM_CLASSES + int(groups is not None and bool((groups == UNMAPPED).any()))
        self.groups: Tensor | None
        groups = None if groups is None else torch.where(groups == UNMAPPED, NUM_CLASSES, groups)
        self.register_buffer("groups", groups, persistent=False)
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor(mean)[None, :, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(std)[None, :, None, None], persistent=False)

    def outputs(self, images: Tensor) -> Tensor:
        """What the network itself says: logits [B, outputs]."""
        inside = images.dtype == torch.uint8 and self.framing is None  # then all are in [0, 1] already
        if images.dtype == torch.uint8:
            images = images.float().div_(255)
        if self.framing is not None:
            images = self.framing(images)
        images = images if inside else images.clamp(0, 1)
        if self.shrink > 1:
            side = images.shape[-1]
            images = nn.functional.avg_pool2d(images, self.shrink, ceil_mode=True)
            images = nn.functional.interpolate(images, size=(side, side), mode="bilinear")
        return self.network(images.sub_(self.mean).div_(self.std))  # in place: it is a copy by now, and one is enough

    def forward(self, images: Tensor) -> Tensor:
        """Scores of the nine classes [B, 9], or [B, 10] with that of none of them."""
        outputs = self.outputs(images)
        if self.groups is None:
            return outputs
        scores = outputs.new_full((len(outputs), self.columns), -torch.inf)
        return scores.scatter_reduce(1, self.groups.expand(len(outputs), -1), outputs, "amax")


class Block(nn.Module):
    """Two 3 x 3 convolutions with batch normalisation, and a shortcut around them (He et al., 2016)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.first_norm = nn.BatchNorm2d(outputs)
        self.second = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.second_norm = nn.BatchNorm2d(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, features: Tensor) -> Tensor:
        """Features [B, inputs, H, W] -> [B, outputs, H / stride, W / stride]."""
        inner = torch.relu(self.first_norm(self.first(features)))
        return torch.relu(self.second_norm(self.second(inner)) + self.shortcut(features))


class SmallResNet(nn.Module):
    """A ResNet-18 made narrow, for 64-pixel images on a CPU: stem with stride 2, four stages, one linear layer.

    ``width`` is the number of channels of the first stage, ``blocks`` the number of blocks of each stage. ``pooled``
    adds the ResNet's max pooling to the stem: a quarter of the arithmetic, at the price of detail.
    """

    def __init__(self, width: int, blocks: int = 2, pooled: bool = False, classes: int = NUM_CLASSES) -> None:
        super().__init__()
        layers = [nn.Conv2d(3, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
        self.stem = nn.Sequential(*layers, *([nn.MaxPool2d(3, 2, 1)] if pooled else []))
        stages: list[nn.Module] = []
        inputs = width
        for stage in range(4):
            outputs = width * 2**stage
            for block in range(blocks):
                stages.append(Block(inputs, outputs, 2 if stage and not block else 1))
                inputs = outputs
        self.stages = nn.Sequential(*stages)
        self.head = nn.Linear(inputs, classes)

    def features(self, images: Tensor) -> Tensor:
        """The pooled features before the linear layer: float [B, 8 * width]."""
        return self.stages(self.stem(images)).mean((2, 3))

    def forward(self, images: Tensor) -> Tensor:
        """Logits [B, classes] of normalised images [B, 3, S, S]."""
        return self.head(self.features(images))


def architectures() -> tuple[str, ...]:
    """The names that ``create`` knows: our small networks and torchvision's classification models."""
    import torchvision

    return (*SMALL_NETWORKS, *torchvision.models.list_models(module=torchvision.models))


def last_linear(model: nn.Module) -> nn.Linear:
    """The last linear layer of a network; raises In9Error if it has none."""
    layers = [module for module in model.modules() if isinstance(module, nn.Linear)]
    if not layers:
        raise In9Error("This network has no linear layer to retrain; choose another architecture.")
    return layers[-1]


def create(architecture: str, classes: int = NUM_CLASSES, seed: int = 0, groups: Tensor | None = None) -> Classifier:
    """A classifier with fresh weights, drawn from ``seed``; the caller's random state is left alone.

    ``classes`` is the number of outputs, ``groups`` the class of each, if they are not the nine classes themselves.
    ``architecture`` is ``small_resnet_w<width>`` (two blocks a stage, one with ``_b1``; ``_pool`` pools in the stem) or
    the name of a torchvision model. ``<name>/2`` is the same network on images with half of the detail, ``/4`` with a
    quarter (see ``Classifier``). Raises In9Error for a name that does not exist, with the nearest that does.
    """
    architecture, slash, part = architecture.partition("/")
    if slash and not (part.isdecimal() and part.isascii() and int(part) > 1):
        raise In9Error(f"{architecture}/{part} is no architecture; write {architecture}/2 for half of the detail.")
    shrink = int(part) if slash else 1
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # the weights are drawn on the CPU; the GPU's state is not touched
        if architecture in SMALL_NETWORKS:
            return Classifier(SmallResNet(*SMALL_NETWORKS[architecture], classes), groups=groups, shrink=shrink)
        check_known("architecture", [architecture], architectures())
        import torchvision

        # These two would have a second output while they train, and warn of their slow way to draw weights.
        plain = {"aux_logits": False, "init_weights": True} if architecture in ("googlenet", "inception_v3") else {}
        try:
            network = torchvision.models.get_model(architecture, weights=None, num_classes=classes, **plain)
        except TypeError as error:
            raise In9Error(f"Architecture {architecture!r} cannot be given {classes} outputs ({error}).") from error
        return Classifier(network, groups=groups, shrink=shrink)
