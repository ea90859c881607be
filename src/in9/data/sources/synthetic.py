"""The control set: nine painted object shapes on nine painted background textures, with exact masks and a dial.

It calibrates the measures of the paper's sections 2 to 4: the dial ``rho`` sets how strongly the background predicts
the class, so a BG-Gap must be near zero at ``rho = 0`` and grow with it. Class ``k`` owns texture ``k``.
"""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np

from in9 import seeds
from in9.data.boxes import bounds
from in9.data.source import Example, MaskRule, Photo
from in9.data.sources.shapes import LUMINANCE, paint_object
from in9.data.sources.textures import TEXTURES
from in9.errors import In9Error
from in9.taxonomy import CLASS_NAMES, NUM_CLASSES

SUBCLASSES = 4
CONTRAST = 0.25  # least difference in luminance between the object's body colour and what lies behind it


@dataclass
class Synthetic:
    """The control set. Every pixel follows from ``seed`` and the example's id, whatever ``per_class`` is.

    ``rho``, in [0, 1], is the probability that an object stands on the texture of its own class; otherwise the texture
    is one of the nine, uniformly. Raising it moves some objects to their own texture and leaves every other image as
    it was. ``per_class`` is 1 or more, ``image_size`` 32 to 256 pixels. Raises In9Error for any other value.
    """

    rho: float = 0.8
    per_class: int = 300
    image_size: int = 64
    seed: int = 0
    name: str = field(default="synthetic", init=False)
    resizes: bool = field(default=False, init=False)
    rule: MaskRule = field(default_factory=MaskRule, init=False)

    def __post_init__(self) -> None:
        is_number = isinstance(self.rho, numbers.Real) and not isinstance(self.rho, bool)
        if not (is_number and 0 <= self.rho <= 1):
            raise In9Error(f"The synthetic source got rho={self.rho!r}; give a number from 0 to 1.")
        self.rho = float(self.rho)
        for option, low, high, limits in (
            ("per_class", 1, float("inf"), " of 1 or more"),
            ("image_size", 32, 256, " from 32 to 256"),
            ("seed", float("-inf"), float("inf"), ""),
        ):
            value = getattr(self, option)
            is_whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
            if not (is_whole and low <= value <= high):
                raise In9Error(f"The synthetic source got {option}={value!r}; give a whole number{limits}.")
            setattr(self, option, int(value))

    def settings(self) -> dict[str, Any]:
        """The four options, as plain JSON values."""
        return {"rho": self.rho, "per_class": self.per_class, "image_size": self.image_size, "seed": self.seed}

    def examples(self) -> Sequence[Example]:
        """``per_class`` examples of each class, their sub-classes in turn; ``fine`` is ``"dog/2"``, say."""
        return [
            Example(f"{name}_{index:05d}", label, f"{name}/{index % SUBCLASSES}")
            for label, name in enumerate(CLASS_NAMES)
            for index in range(self.per_class)
        ]

    def texture_of(self, example: Example) -> int:
        """The class, 0 to 8, that owns the texture behind this example."""
        if seeds.uniforms(self.seed, "synthetic/dial", [example.id])[0] < self.rho:
            return example.label
        return seeds.digest(self.seed, "synthetic/other texture", example.id) % NUM_CLASSES

    def read(self, example: Example) -> Photo:
        """Paint one example: image uint8 [size, size, 3], exact mask, and the mask's tight box."""
        size, subclass = self.image_size, int(example.fine.rpartition("/")[2])
        rng = seeds.generator(self.seed, "synthetic/object", example.id)
        colour, coverage, body = paint_object(rng, CLASS_NAMES[example.label], subclass, size)
        texture = TEXTURES[self.texture_of(example)]
        backdrop = texture(seeds.generator(self.seed, "synthetic/texture", example.id), size).clip(0, 1)

        # The camera blurs both layers before they meet, so the mask stays exact and no object colour leaks past it.
        camera = seeds.generator(self.seed, "synthetic/camera", example.id)
        blur = camera.uniform(0.25, 0.6) * size / 64
        backdrop = cv2.GaussianBlur(backdrop, (0, 0), camera.uniform(0.7, 1.4) * size / 64)
        colour, coverage, backdrop = (cv2.GaussianBlur(layer, (0, 0), blur) for layer in (colour, coverage, backdrop))
        image = colour + (1 - coverage[..., None]) * _set_apart(backdrop, coverage, body)
        light = camera.uniform(0.85, 1.1) * camera.uniform(0.94, 1.06, 3)
        noise = camera.standard_normal(image.shape, dtype=np.float32) * camera.uniform(0.006, 0.025)
        pixels = np.clip((image * light + noise) * 255 + 0.5, 0, 255).astype(np.uint8)
        mask = coverage >= 0.5
        return Photo(pixels, bounds(mask), mask)


def _set_apart(texture: np.ndarray, coverage: np.ndarray, body: float) -> np.ndarray:
    """Darken or lighten a texture until it differs from the object by ``CONTRAST``, whatever the class."""
    behind = float((texture @ LUMINANCE * coverage).sum() / coverage.sum())
    if abs(behind - body) >= CONTRAST:
        return texture
    lighter = body < 0.4 or (behind >= body and body < 0.65)  # away from black and white, where nothing is seen
    goal = body + CONTRAST if lighter else body - CONTRAST
    return texture * (goal / behind) if goal < behind else 1 - (1 - texture) * ((1 - goal) / (1 - behind))
