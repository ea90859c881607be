"""What the shapes and the textures of the control set are painted with: colours, smooth noise, curves and fills.

Points are in the unit square, float [points, 2] as x and y, with y downwards. ``rng`` is a NumPy generator.
"""

from __future__ import annotations

import colorsys
import math
from collections.abc import Sequence

import cv2
import numpy as np

SUBPIXEL_BITS = 4
"""OpenCV takes the points of a polygon as whole numbers of sixteenths of a pixel."""


def hsv(hue: float, saturation: float, value: float) -> np.ndarray:
    """A colour as red, green and blue, float32 [3] in [0, 1]; hue wraps."""
    return np.array(colorsys.hsv_to_rgb(hue % 1.0, saturation, value), dtype=np.float32)


def colour_within(rng: np.random.Generator, *ranges: tuple[float, float]) -> np.ndarray:
    """A colour drawn from ranges of hue, saturation and value, each in [0, 1]; hue wraps."""
    return hsv(*(rng.uniform(*limits) for limits in ranges))


def noise(rng: np.random.Generator, size: int, across: int, down: int | None = None) -> np.ndarray:
    """Smooth noise about 0 to 1 with that many bumps across and down: [size, size, 1]."""
    cells = rng.random((down or across, across), dtype=np.float32)
    return cv2.resize(cells, (size, size), interpolation=cv2.INTER_CUBIC)[..., None]


def grid(size: int) -> tuple[np.ndarray, np.ndarray]:
    """x of shape [1, size] and y of shape [size, 1], 0 to 1."""
    line = (np.arange(size, dtype=np.float32) + 0.5) / size
    return line[None, :], line[:, None]


def to_bytes(image: np.ndarray) -> np.ndarray:
    """An image in 0 to 1 as uint8, clipped: a canvas that OpenCV can paint on."""
    return np.ascontiguousarray(np.clip(image * 255, 0, 255).astype(np.uint8))


def to_floats(canvas: np.ndarray) -> np.ndarray:
    """A uint8 canvas as float32 in 0 to 1."""
    return canvas.astype(np.float32) / 255


def in_subpixels(points: np.ndarray, scale: int) -> np.ndarray:
    """Points, ``scale`` pixels to their unit, as OpenCV takes them with ``shift=SUBPIXEL_BITS``: int32 [points, 2]."""
    return np.round(points * scale * 2**SUBPIXEL_BITS).astype(np.int32)


def fill(canvas: np.ndarray, points: np.ndarray, colour: np.ndarray) -> None:
    """Fill an outline, with soft edges, on a uint8 canvas."""
    outline, tone = in_subpixels(points, len(canvas)), np.clip(colour * 255, 0, 255).tolist()
    cv2.fillPoly(canvas, [outline], tone, cv2.LINE_AA, shift=SUBPIXEL_BITS)


def soft(points: np.ndarray, closed: bool = True) -> np.ndarray:
    """The points as a smooth curve (Chaikin's corner cutting, twice)."""
    for _ in range(2):
        ahead = np.concatenate([points[1:], points[:1]])
        cut = np.stack([0.75 * points + 0.25 * ahead, 0.25 * points + 0.75 * ahead], 1).reshape(-1, 2)
        points = cut if closed else np.concatenate([points[:1], cut[:-2], points[-1:]])
    return points


def oval(x: float, y: float, across: float, down: float, turn: float = 0.0) -> np.ndarray:
    """An ellipse by its centre and half axes, turned by ``turn`` degrees."""
    angle = np.linspace(0, 2 * np.pi, 20, endpoint=False)
    u, v, tilt = across * np.cos(angle), down * np.sin(angle), math.radians(turn)
    return np.stack([x + u * math.cos(tilt) - v * math.sin(tilt), y + u * math.sin(tilt) + v * math.cos(tilt)], 1)


def limb(path: np.ndarray, widths: Sequence[float]) -> np.ndarray:
    """A smooth band along a path, its width running through ``widths``."""
    path = soft(path, closed=False)
    step = np.empty_like(path)
    step[1:-1], step[0], step[-1] = path[2:] - path[:-2], path[1] - path[0], path[-1] - path[-2]
    half = np.interp(np.linspace(0, 1, len(path)), np.linspace(0, 1, len(widths)), widths) / 2
    side = step[:, ::-1] * (half / np.hypot(step[:, 0], step[:, 1]))[:, None] * (1, -1)
    return np.concatenate([path + side, (path - side)[::-1]])
