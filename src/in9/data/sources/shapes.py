"""The nine object shapes of the control set, four sub-classes of each, painted with an exact mask.

``shapes.toml`` holds the shapes and explains how they are written.
"""

from __future__ import annotations

import math
import re
import tomllib
from importlib import resources

import cv2
import numpy as np

from in9.data.sources.painting import SUBPIXEL_BITS, grid, hsv, in_subpixels, limb, noise, oval, soft, to_floats

MARGIN = 3.0  # pixels from the outline to the border; the stroke and the blur take less than one of them
BOX_SHARE = (0.11, 0.42)  # of the image, before rounding to whole pixels
OVERSAMPLING = 4
LUMINANCE = np.array([0.30, 0.59, 0.11], dtype=np.float32)

SHAPES: dict[str, dict[str, str]] = tomllib.loads(
    resources.files("in9").joinpath("data", "sources", "shapes.toml").read_text(encoding="utf-8")
)
"""The parts of each shape, by class and sub-class."""


def paint_object(
    rng: np.random.Generator, class_name: str, subclass: int, size: int
) -> tuple[np.ndarray, np.ndarray, float]:
    """The object alone: colour times coverage [size, size, 3], coverage [size, size], luminance of its body."""
    palette = _palette(rng)
    tones, outlines = _parts(list(SHAPES[class_name].values())[subclass], rng)
    canvas = np.zeros((size * OVERSAMPLING, size * OVERSAMPLING, 4), dtype=np.uint8)
    for tone, outline in zip(tones, _posed(outlines, rng, size), strict=True):
        points = [in_subpixels(outline, OVERSAMPLING)]
        colour = [*np.round(palette[tone] * 255).tolist(), 255]
        cv2.fillPoly(canvas, points, colour, shift=SUBPIXEL_BITS)
        # The stroke keeps thin parts through the reduction.
        cv2.polylines(canvas, points, True, colour, thickness=3, shift=SUBPIXEL_BITS)
    layer = to_floats(cv2.resize(canvas, (size, size), interpolation=cv2.INTER_AREA))
    x, y = grid(size)
    slope = rng.uniform(-0.5, 0.5, 2)
    shade = 1.0 + slope[0] * (x - 0.5) + slope[1] * (y - 0.5) + 0.25 * (noise(rng, size, 10)[..., 0] - 0.5)
    colour = np.clip(layer[..., :3] * shade[..., None], 0, layer[..., 3:])
    return colour.astype(np.float32), layer[..., 3], float(palette["body"] @ LUMINANCE)


def _palette(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """The tones of one object, from one distribution for all classes, so that colour says nothing about the class."""
    hue = rng.random()
    body = hsv(hue, rng.uniform(0.1, 0.85), rng.uniform(0.25, 0.95))
    accent = hsv(hue + rng.uniform(0.15, 0.85), rng.uniform(0.2, 0.85), rng.uniform(0.3, 0.95))
    light, ink, white = body + (1 - body) * 0.55, np.full(3, 0.08), np.full(3, 0.95)
    return {"body": body, "dark": body * 0.62, "light": light, "accent": accent, "ink": ink, "white": white}


def _parts(shape: str, rng: np.random.Generator) -> tuple[list[str], list[np.ndarray]]:
    """The tone and the outline [points, 2] of each part of a shape, its limbs swung at random."""
    tones, outlines = [], []
    for part in re.split(r";|\n", shape.strip()):
        tone, kind, figures = part.split(maxsplit=2)
        coordinates, _, numbers = figures.partition("/")
        points = np.array([point.split(",") for point in coordinates.split()], dtype=np.float64) / 100
        plain = [float(number) for number in numbers.split()]
        for mirror in [(1, 1), *([(-1, 1)] if "|" in kind else []), *([(1, -1)] if "=" in kind else [])]:
            path = points
            if "~" in kind:  # about its root, and more the farther out
                swing = rng.uniform(-0.3, 0.3) * (points[-1] - points[0])[::-1] * (1, -1)
                path = points + np.linspace(0, 1, len(points))[:, None] ** 2 * swing
            match kind.rstrip("|=~"):
                case "limb":
                    outline = limb(path, [width / 100 for width in plain])
                case "oval":
                    outline = oval(*points[0], *points[1], *plain)
                case "soft":
                    outline = soft(path)
                case _:
                    outline = path
            tones.append(tone)
            outlines.append(outline * mirror)
    return tones, outlines


def _posed(outlines: list[np.ndarray], rng: np.random.Generator, size: int) -> list[np.ndarray]:
    """Bend, stretch, mirror, turn, scale and place the outlines: into pixels, ``MARGIN`` from every border."""
    points = np.concatenate(outlines)
    points = points + 0.06 * np.sin(2.4 * points[:, ::-1] + rng.uniform(0, 2 * np.pi, 2))
    stretch, shear = math.exp(rng.uniform(-0.18, 0.18)), rng.uniform(-0.18, 0.18)
    turn = math.radians(rng.uniform(-25, 25))
    flip = -1.0 if rng.random() < 0.5 else 1.0
    rotation = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    points = points @ (rotation @ np.array([[flip * stretch, shear], [0.0, 1.0]])).T
    low, extent = points.min(0), np.ptp(points, axis=0)
    share = rng.uniform(*BOX_SHARE)
    scale = min(size * math.sqrt(share / extent.prod()), (size - 2 * MARGIN) / extent.max())
    corner = MARGIN + rng.random(2) * (size - 2 * MARGIN - scale * extent)
    points = (points - low) * scale + corner
    return np.split(points, np.cumsum([len(outline) for outline in outlines])[:-1])
