"""The nine background textures of the control set, one for each class.

Each is a function of a NumPy generator and a size in pixels; it returns float32 [size, size, 3], about 0 to 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import cv2
import numpy as np

from in9.data.sources.painting import colour_within, fill, grid, hsv, limb, noise, oval, to_bytes, to_floats


def _lawn(rng: np.random.Generator, size: int) -> np.ndarray:
    base = colour_within(rng, (0.17, 0.38), (0.3, 0.75), (0.35, 0.65))
    canvas = to_bytes(base * (0.75 + 0.4 * noise(rng, size, 5)))
    height, lean = rng.uniform(0.08, 0.18), rng.uniform(-0.5, 0.5)
    for x, y, tilt, tone in rng.random((130, 4)):
        tip = (x + height * (lean + tilt - 0.5), y * 1.15 - height * (0.6 + tone))
        blade = np.array([(x - 0.012, y * 1.15), tip, (x + 0.012, y * 1.15)])
        fill(canvas, blade, base * (0.55 + 0.9 * tone))
    return to_floats(canvas)


def _sky(rng: np.random.Generator, size: int) -> np.ndarray:
    high = colour_within(rng, (0.5, 0.75), (0.25, 0.75), (0.5, 0.9))
    low = 0.5 * high + 0.5 * colour_within(rng, (0.0, 1.0), (0.0, 0.35), (0.75, 1.0))
    _, y = grid(size)
    clouds = 0.55 * noise(rng, size, 3, 4) + 0.3 * noise(rng, size, 6, 8) + 0.15 * noise(rng, size, 12, 16)
    veil = np.clip((clouds - rng.uniform(0.4, 0.58)) * 5, 0, 1)
    image = high + (low - high) * y[..., None]
    return image + (rng.uniform(0.82, 1.0) - 0.15 * clouds - image) * veil


def _road(rng: np.random.Generator, size: int) -> np.ndarray:
    base = colour_within(rng, (0.0, 1.0), (0.0, 0.16), (0.28, 0.6))
    grain = cv2.resize(rng.random((64, 64), dtype=np.float32), (size, size))[..., None]
    canvas = to_bytes(base * (0.7 + 0.3 * noise(rng, size, 4) + 0.35 * grain))
    paint = colour_within(rng, (0.1, 0.16), (0.0, 0.7), (0.75, 1.0))
    along = math.radians(rng.uniform(-70, 70))
    way, side = np.array([math.sin(along), -math.cos(along)]), np.array([math.cos(along), math.sin(along)])
    gap, dash, wide, phase = rng.uniform(0.35, 0.6), rng.uniform(0.12, 0.26), rng.uniform(0.018, 0.035), rng.random(2)
    for lane in range(-2, 4):
        foot = 0.5 + side * gap * (lane + phase[0] - 0.5)
        for n in range(-4, 5):
            a = foot + way * (dash * 1.8 * (n + phase[1]))
            b = a + way * dash * (1.0 if lane % 2 else 2.0)
            fill(canvas, np.array([a - side * wide, a + side * wide, b + side * wide, b - side * wide]), paint)
    return to_floats(canvas)


def _pebbles(rng: np.random.Generator, size: int) -> np.ndarray:
    base = colour_within(rng, (0.03, 0.17), (0.1, 0.5), (0.45, 0.85))
    canvas = to_bytes(base * (0.6 + 0.25 * noise(rng, size, 10)))
    radius = rng.uniform(0.045, 0.075)
    for x, y, big, tone, turn in rng.random((64, 5)):
        across = radius * (0.6 + big)
        stone = oval(x, y, across, across * 0.75, turn * 180)
        fill(canvas, stone + np.array([0, 0.018]), base * 0.4)
        fill(canvas, stone, base * (0.6 + 0.6 * tone))
    return to_floats(canvas)


def _cracked(rng: np.random.Generator, size: int) -> np.ndarray:
    base = colour_within(rng, (-0.03, 0.14), (0.15, 0.6), (0.45, 0.85))
    count = int(rng.integers(14, 34))
    centre, tone = rng.random((count, 2), dtype=np.float32), rng.random(count, dtype=np.float32)
    x, y = grid(size)
    wave = 0.06 * (noise(rng, size, 6)[..., 0] - 0.5)
    distances = np.stack([np.hypot(x + wave - a, y - wave - b) for a, b in centre])
    nearest = np.partition(distances, 1, axis=0)[:2]
    crack = np.clip((nearest[1] - nearest[0]) / 0.045, 0.25, 1)
    return base * ((0.75 + 0.4 * tone[distances.argmin(0)]) * crack)[..., None]


def _leaves(rng: np.random.Generator, size: int) -> np.ndarray:
    hue = rng.uniform(0.02, 0.45)
    canvas = to_bytes(hsv(hue, 0.5, 0.25) * (0.7 + 0.6 * noise(rng, size, 6)))
    midrib = np.array([(-1.0, 0), (0, 0), (1, 0)])
    blade, vein = limb(midrib, [0, 0.85, 0]), limb(midrib, [0.12, 0])
    long = rng.uniform(0.09, 0.15)
    for x, y, turn, tone, tint in rng.random((45, 5)):
        colour = hsv(hue + 0.1 * (tint - 0.5), 0.65, 0.35 + 0.5 * tone)
        cosine, sine = long * math.cos(6.3 * turn), long * math.sin(6.3 * turn)
        for outline, shade in ((blade, 1.0), (vein, 0.6)):
            fill(canvas, outline @ np.array([(cosine, sine), (-sine, cosine)]) + (x, y), colour * shade)
    bloom = colour_within(rng, (0.75, 1.2), (0.1, 0.7), (0.8, 1.0))
    for x, y, turn in rng.random((int(rng.integers(4, 10)), 3)):
        for angle in 2 * np.pi * (np.arange(5) / 5 + turn):
            fill(canvas, oval(x + 0.035 * math.cos(angle), y + 0.035 * math.sin(angle), 0.03, 0.03), bloom)
        fill(canvas, oval(x, y, 0.022, 0.022), np.array([0.95, 0.75, 0.2]))
    return to_floats(canvas)


def _boards(rng: np.random.Generator, size: int) -> np.ndarray:
    base = colour_within(rng, (0.0, 0.12), (0.25, 0.7), (0.35, 0.8))
    x, y = grid(size)
    place = (y + rng.uniform(-0.15, 0.15) * x) * rng.uniform(4, 8) + rng.random()
    board = np.floor(place).astype(int) + 2
    tone, seam = rng.random(16)[board], rng.random(16)[board]
    grain = noise(rng, size, 3, 40)[..., 0]
    gap = np.minimum(np.minimum(place % 1, 1 - place % 1) * 0.17, np.abs((x + seam) % 0.9 - 0.45))
    shade = (0.62 + 0.4 * tone + 0.35 * (grain - 0.5)) * np.clip(gap / 0.022, 0.4, 1)
    return (base * shade[..., None]).astype(np.float32)


def _jungle(rng: np.random.Generator, size: int) -> np.ndarray:
    green = colour_within(rng, (0.2, 0.48), (0.3, 0.75), (0.35, 0.7))
    bark = colour_within(rng, (0.03, 0.2), (0.15, 0.6), (0.2, 0.55))
    canvas = to_bytes(green * (0.35 + 0.7 * noise(rng, size, 8, 8) * (0.6 + 0.6 * noise(rng, size, 20))))
    count = int(rng.integers(5, 9))
    for k in range(count):
        wide = rng.uniform(0.035, 0.1)
        path = np.stack(
            [(k + rng.uniform(0.2, 0.8)) / count + rng.uniform(-0.04, 0.04, 4), np.array([-0.1, 0.3, 0.7, 1.1])], 1
        )
        tone, shift = rng.uniform(0.7, 1.5), np.array([wide, 0])
        fill(canvas, limb(path, [wide, wide * 1.3]), bark * tone)
        fill(canvas, limb(path + shift * 0.28, [wide * 0.3, wide * 0.4]), bark * tone * 0.6)
        fill(canvas, limb(path - shift * 0.3, [wide * 0.15, wide * 0.2]), bark * tone * 1.35)
    return to_floats(canvas)


def _water(rng: np.random.Generator, size: int) -> np.ndarray:
    deep = colour_within(rng, (0.42, 0.66), (0.4, 0.85), (0.25, 0.65))
    x, y = grid(size)
    bend = 3.5 * noise(rng, size, 4, 3)[..., 0] + 1.2 * noise(rng, size, 9, 6)[..., 0]
    turns = rng.uniform(30, 60)
    wave = 0.5 + 0.5 * np.sin(turns * (y + rng.uniform(-0.25, 0.25) * x) + 1.6 * bend)
    foam = np.clip((wave * noise(rng, size, 7, 14)[..., 0] - rng.uniform(0.5, 0.7)) * 6, 0, 1)[..., None]
    image = deep * (0.65 + 0.65 * wave[..., None])
    return image + (0.92 - image) * 0.8 * foam


TEXTURES: tuple[Callable[[np.random.Generator, int], np.ndarray], ...] = (
    _lawn,
    _sky,
    _road,
    _pebbles,
    _cracked,
    _leaves,
    _boards,
    _jungle,
    _water,
)
"""In the order of the classes that own them."""
