"""Saliency maps: what in an image speaks for a class, by Grad-CAM, HiResCAM or the pixels' gradient (figure 6)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from in9.errors import In9Error, check_known
from in9.evaluation.predictions import exact_convolutions
from in9.evaluation.saliency.layers import SpatialLayer, outputs_of
from in9.taxonomy import NUM_CLASSES
from in9.training.networks import Classifier, Framing, SmallResNet

METHODS = ("gradcam", "gradcam_finer", "gradient")
"""For our own networks and ResNets."""
METHODS_FOR_ANY = ("gradcam", "hirescam", "gradient")
"""For any network, with the layer that ``find_layer`` finds or is told."""
BATCH_SIZE = 128


def target_layer(classifier: Classifier, finer: bool = False) -> nn.Module:
    """The last layer before the pooling, at which Grad-CAM looks: of our small networks, ResNets and EfficientNets.

    ``finer`` takes the last block of the stage before, whose maps have twice as many pixels a side. Raises In9Error for
    other networks, and for an EfficientNet then.
    """
    network = classifier.network
    if isinstance(network, SmallResNet):
        blocks = len(network.stages) // 4
        return network.stages[-1 - blocks if finer else -1]
    from timm.models.efficientnet import EfficientNet  # takes seconds to import

    if isinstance(network, EfficientNet) and not finer:  # its earlier blocks end without an activation
        return network.bn2
    stage = getattr(network, "layer3" if finer else "layer4", None)
    if not isinstance(stage, nn.Sequential) or len(stage) == 0:
        raise In9Error(
            f"Grad-CAM does not know which layer of a {type(network).__name__} to look at; it knows the small "
            "networks, ResNets, and the last layer of timm's EfficientNets. Use the method 'gradient', which works "
            "for any network."
        )
    return stage[-1]


def saliency_maps(
    classifier: Classifier,
    images: Tensor,
    classes: Tensor | None = None,
    method: str = "gradcam",
    batch_size: int = BATCH_SIZE,
    layer: SpatialLayer | None = None,
) -> np.ndarray:
    """What speaks for a class, pixel by pixel: float32 [N, S, S], 0 or more.

    ``images`` is uint8 [N, 3, S, S], or float in [0, 1], on the classifier's device; ``classes`` int64 [N] says whose
    score is explained, None the predicted class's. ``gradcam`` is scaled to 0 .. 1 for each image by the grad-cam
    package, which also subtracts the least value, so that a map without contrast is zero; ``gradcam_finer`` is the
    same one stage earlier in the network; ``gradient`` is the absolute gradient of the score, summed over the colours.
    ``hirescam`` keeps the gradient of each place, where ``gradcam`` takes its mean over all places: the two are the
    same for a CNN that ends with pooling, but a transformer treats each place in its own way. With a ``layer`` these
    look at that, in any network; a part of the image that the network's crop cuts off is zero.
    The classifier is left as it was. Raises In9Error for another method, or as ``target_layer``.
    """
    known = METHODS if layer is None else METHODS_FOR_ANY
    check_known("saliency method", [method], known)
    if classes is None:
        with torch.no_grad(), _undisturbed(classifier):
            answers = (classifier(batch)[:, :NUM_CLASSES] for batch in images.split(batch_size))
            classes = torch.cat([answer.argmax(1) for answer in answers])
    if len(classes) != len(images) or not all(0 <= label < NUM_CLASSES for label in classes.tolist()):
        raise ValueError(f"classes must hold a class from 0 to {NUM_CLASSES - 1} for each of {len(images)} images")
    parts = images.split(batch_size), classes.split(batch_size)
    with torch.enable_grad(), _undisturbed(classifier):
        if method == "gradient":
            return np.concatenate(_gradients(classifier, *parts))
        layer = layer or SpatialLayer("", target_layer(classifier, method == "gradcam_finer"), 0)
        maps = np.concatenate(_gradcam(classifier, layer, method, *parts))
    return _framed(maps, classifier.framing)


def _gradcam(
    classifier: Classifier, layer: SpatialLayer, method: str, images: Sequence[Tensor], classes: Sequence[Tensor]
) -> list[np.ndarray]:
    from pytorch_grad_cam import GradCAM, HiResCAM  # takes seconds to import
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    def begin(module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
        """Let the graph begin at the layer's output: gradients need not run through what lies before it."""
        return output.detach().requires_grad_().clone()  # some networks go on in place, which a leaf does not allow

    handle, maps = layer.module.register_forward_hook(begin), []
    try:
        method_class = HiResCAM if method == "hirescam" else GradCAM
        with method_class(classifier, [layer.module], reshape_transform=layer.as_map) as explain:
            for batch, wanted in zip(images, classes, strict=True):
                maps.append(explain(batch, [ClassifierOutputTarget(label) for label in wanted.tolist()]))
    finally:
        handle.remove()
    return maps


def _framed(maps: np.ndarray, framing: Framing | None) -> np.ndarray:
    """Maps of what a network's framing leaves of an image, put where that is in the whole image: float32 [N, S, S]."""
    size = maps.shape[-1]
    resized = size if framing is None or framing.resize is None else framing.resize
    if framing is None or framing.crop is None or framing.crop >= resized:
        return maps
    side = max(1, round(size * framing.crop / resized))
    start = (size - side) // 2
    result = np.zeros_like(maps)
    small = nn.functional.interpolate(torch.from_numpy(maps)[:, None], (side, side), mode="bilinear", antialias=True)
    result[:, start : start + side, start : start + side] = small[:, 0].numpy()
    return result


def _gradients(classifier: Classifier, images: Sequence[Tensor], classes: Sequence[Tensor]) -> list[np.ndarray]:
    maps = []
    for batch, wanted in zip(images, classes, strict=True):
        pixels = (batch.float() / 255 if batch.dtype == torch.uint8 else batch.detach().clone()).requires_grad_()
        scores = classifier(pixels).gather(1, wanted[:, None]).sum()
        maps.append(torch.autograd.grad(scores, pixels)[0].abs().sum(1).cpu().numpy())
    return maps


@contextmanager
def _undisturbed(classifier: Classifier) -> Iterator[None]:
    """Evaluation mode without gradients of the weights; modes, flags and gradients are put back afterwards."""
    modes = [(module, module.training) for module in classifier.modules()]
    weights = [(weight, weight.requires_grad, weight.grad) for weight in classifier.parameters()]
    try:
        classifier.eval()
        for weight, _, _ in weights:
            weight.requires_grad_(False)
            weight.grad = None
        with exact_convolutions():
            yield
    finally:
        for module, training in modes:
            module.training = training
        for weight, flag, gradient in weights:
            weight.requires_grad_(flag)
            weight.grad = gradient


def map_side(classifier: Classifier, image: Tensor, method: str) -> int:
    """How many pixels a side a method's map has before it is enlarged; ``image`` is [1, 3, S, S]."""
    if method == "gradient":
        return image.shape[-1]
    layer = target_layer(classifier, method == "gradcam_finer")
    with torch.no_grad(), _undisturbed(classifier), outputs_of({method: layer}) as outputs:
        classifier(image)
    return int(outputs[method].shape[-1])
