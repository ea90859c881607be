"""Which layer of a network Grad-CAM looks at: found by running the network, whatever it is called (any architecture).

A layer will do if its output has a place for each part of the image: a map [B, C, H, W] of a CNN, the same with its
channels last (Swin), or tokens [B, T, C] of a vision transformer, in rows, after tokens that stand for no place. The
usual choice is the last such layer that the answer depends on: for a CNN the last block before the pooling, for a
transformer that answers from its class token the first norm of the last block, because the other tokens of that block's
output are not read.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from in9.errors import In9Error, did_you_mean
from in9.taxonomy import NUM_CLASSES
from in9.training.networks import Classifier

MOST_EXTRA_TOKENS = 16
"""Class and register tokens that a transformer may have beside those of places."""
LISTED_LAYERS = 12
PASSING = (nn.Identity, nn.Dropout, nn.Dropout2d)


@dataclass(frozen=True)
class SpatialLayer:
    """A layer whose output has places: its name in the network, and what brings the output into the form of a map.

    ``side`` is the number of places along a side; ``extra`` tokens come before those of the places. ``channels_last``
    is for maps [B, H, W, C].
    """

    name: str
    module: nn.Module
    side: int
    extra: int | None = None
    channels_last: bool = False

    def as_map(self, output: Tensor) -> Tensor:
        """The layer's output as a map: [B, C, side, side]."""
        if self.extra is not None:
            places = output[:, self.extra :]
            return places.transpose(1, 2).reshape(len(output), -1, self.side, self.side)
        return output.permute(0, 3, 1, 2) if self.channels_last else output


def spatial_layer(name: str, module: nn.Module, output: Any) -> SpatialLayer | None:
    """The layer with that output, or None if it has no places in a square."""
    if not isinstance(output, Tensor) or not output.is_floating_point():
        return None
    shape = output.shape
    if len(shape) == 4 and shape[2] == shape[3] > 1:
        return SpatialLayer(name, module, shape[3])
    if len(shape) == 4 and shape[1] == shape[2] > 1:
        return SpatialLayer(name, module, shape[1], channels_last=True)
    if len(shape) == 3:
        side = math.isqrt(shape[1])
        if side > 1 and shape[1] - side**2 <= MOST_EXTRA_TOKENS:
            return SpatialLayer(name, module, side, extra=shape[1] - side**2)
    return None


def find_layer(classifier: Classifier, images: Tensor, name: str | None = None, called: str = "") -> SpatialLayer:
    """The layer of that name, or the usual choice (see the module's text) where there is none.

    ``images`` are a few to run, uint8 [B, 3, S, S]; ``called`` is the model's name for errors. Raises In9Error, with
    the candidates, for a layer that does not exist or has no places, and for a network without any.
    """
    called = called or type(classifier.network).__name__
    modules = {key: module for key, module in classifier.network.named_modules() if key}
    with torch.enable_grad(), outputs_of(modules) as outputs:
        scores = classifier(images)
        best = scores[:, :NUM_CLASSES].max(1).values.sum()
    layers = {key: spatial_layer(key, modules[key], output) for key, output in outputs.items()}
    places = {key: layer for key, layer in layers.items() if layer is not None}
    usual = [key for key in places if not _is_inside_attention(key, modules) and not isinstance(modules[key], PASSING)]
    if not places:
        raise In9Error(
            f"{called} has no layer whose output has a place for each part of the image; "
            "use the method 'gradient', which works for any network."
        )
    if name is not None:
        if layer := places.get(name):
            return layer
        what = "has no places in its output" if name in modules else "does not exist"
        hint, last = did_you_mean(name, places), ", ".join(usual[-LISTED_LAYERS:])
        raise In9Error(f"The layer {name!r} of {called} {what}.{hint} The last that will do, in order, are: {last}.")
    for key in reversed(usual):
        layer, output = places[key], outputs[key]
        if not output.requires_grad:
            continue
        (gradient,) = torch.autograd.grad(best, output, retain_graph=True, allow_unused=True)
        if gradient is not None and bool(layer.as_map(gradient).abs().amax() > 0):
            return layer
    raise In9Error(
        f"The answer of {called} has no gradient in any of its layers; name one with --layer: "
        f"{', '.join(usual[-LISTED_LAYERS:])}."
    )


@contextmanager
def outputs_of(modules: dict[str, nn.Module]) -> Iterator[dict[str, Any]]:
    """What the modules give while the block runs, in the order in which they finish."""
    outputs: dict[str, Any] = {}

    def keep(key: str) -> Any:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            outputs.pop(key, None)
            outputs[key] = output

        return hook

    handles = [module.register_forward_hook(keep(key)) for key, module in modules.items()]
    try:
        yield outputs
    finally:
        for handle in handles:
            handle.remove()


def _is_inside_attention(name: str, modules: dict[str, nn.Module]) -> bool:
    """Whether a layer is a part of an attention, where a square may be tokens by tokens; a block is more than that."""
    parts = name.split(".")
    above = (type(modules[".".join(parts[:count])]).__name__.lower() for count in range(1, len(parts)))
    return any(re.search("att(entio)?n", kind) and not re.search("block|layer", kind) for kind in above)
