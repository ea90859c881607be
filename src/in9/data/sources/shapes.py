"""The nine object shapes of the control set, four sub-classes of each, and how one is painted with its exact mask."""

from __future__ import annotations

import math
import re

import cv2
import numpy as np

from in9.data.sources.drawing import grid, hsv, limb, noise, oval, soft, to_floats

MARGIN = 3.0  # pixels from the outline to the border; the drawn stroke and the blur take less than one of them
BOX_SHARE = (0.11, 0.42)  # of the image, before rounding to whole pixels
OVERSAMPLING = 4
LUMINANCE = np.array([0.30, 0.59, 0.11], dtype=np.float32)

# Four sub-classes of each class, each a list of parts; later parts cover earlier ones. A part is a tone of the palette,
# a kind of outline, points "x,y" in hundredths with y downwards, and after a slash plain numbers:
#     flat, soft   a polygon, with sharp or with rounded corners
#     oval         centre, half axes / turn in degrees
#     limb         a rounded path / its width along the way
# Marks after the kind: "|" and "=" add the mirror image left to right and top to bottom, "~" lets a limb swing.
SHAPES: dict[str, dict[str, str]] = {
    "dog": {
        "spitz": """
            dark limb~ -29,0 -29,72 / 22 14; dark limb~ 47,0 47,72 / 22 14
            body limb~ -46,-27 -76,-57 -48,-77 -36,-52 / 17 10
            body soft -46,-27 46,-30 58,0 28,27 -18,16 -56,14; body limb~ -39,0 -39,72 / 22 14
            body limb~ 37,0 37,72 / 22 14; body limb 34,0 66,-52 / 40 26; body oval 66,-52 22,19
            body limb 66,-50 110,-42 / 30 17; dark flat 48,-57 56,-98 74,-62; ink oval 109,-46 6,6
            ink oval 76,-57 4,4""",
        "hound": """
            dark limb~ -34,0 -34,76 / 22 14; dark limb~ 52,0 52,76 / 22 14
            body limb~ -52,-16 -77,-41 -87,-76 / 17 10; body soft -52,-26 52,-29 64,0 31,26 -21,16 -62,13
            body limb~ -44,0 -44,76 / 22 14; body limb~ 42,0 42,76 / 22 14; body limb 39,0 72,-51 / 39 26
            body oval 72,-51 22,19; body limb 72,-49 116,-41 / 30 17; dark soft 60,-66 78,-63 70,-17 48,-15
            ink oval 115,-45 6,6; ink oval 82,-56 4,4""",
        "dachshund": """
            dark limb~ -58,0 -58,41 / 22 14; dark limb~ 74,0 74,41 / 22 14
            body limb~ -80,-8 -110,-19 -135,-29 / 17 10; body soft -80,-19 80,-21 92,0 48,19 -32,11 -90,10
            body limb~ -68,0 -68,41 / 22 14; body limb~ 64,0 64,41 / 22 14; body limb 60,0 100,-44 / 29 26
            body oval 100,-44 22,19; body limb 100,-42 144,-34 / 30 17
            dark soft 88,-59 106,-56 98,-10 76,-8; ink oval 143,-38 6,6; ink oval 110,-49 4,4""",
        "greyhound": """
            dark limb~ -37,0 -37,88 / 22 14; dark limb~ 54,0 54,88 / 22 14
            body limb~ -55,-7 -80,10 -85,55 / 17 10; body soft -55,-18 55,-20 67,0 33,18 -22,11 -65,9
            body limb~ -47,0 -47,88 / 22 14; body limb~ 44,0 44,88 / 22 14; body limb 41,0 75,-43 / 27 26
            body oval 75,-43 22,19; body limb 75,-41 119,-33 / 30 17; dark flat 57,-48 65,-89 83,-53
            ink oval 118,-37 6,6; ink oval 85,-48 4,4""",
    },
    "bird": {
        "songbird": """
            accent limb|~ -10,20 -12,75 / 9 7; dark flat -45,-2 -100,25 -95,38 -40,30
            body oval 0,12 58,34 / -18; body limb 30,-10 42,-45 / 50 40; accent flat 50,-54 96,-39 50,-35
            body oval 42,-45 24,24; dark soft 20,-5 -10,38 -75,18 -30,-12; ink oval 48,-49 5,5""",
        "wader": """
            accent limb|~ -10,20 -12,105 / 9 7; dark flat -45,-2 -100,25 -95,38 -40,30
            body oval 0,12 58,34 / -18; body limb 40,0 62,-35 45,-70 55,-95 / 20 16
            accent flat 63,-104 129,-89 63,-85; body oval 55,-95 14,14
            dark soft 20,-5 -10,38 -75,18 -30,-12; ink oval 61,-99 5,5""",
        "swan": """
            dark flat -45,0 -95,-30 -70,25; body oval 0,12 70,34 / -4
            body limb 50,20 95,0 35,-55 62,-85 / 20 16; accent flat 70,-94 112,-79 70,-75
            body oval 62,-85 16,16; dark soft 20,-5 -10,38 -75,18 -30,-12; ink oval 68,-89 5,5""",
        "gull": """
            dark flat -10,-5 30,-85 60,-80 32,0; body flat -50,0 -105,-12 -110,5 -100,20 -50,15
            body oval 0,5 62,20; body oval 62,-5 20,17; accent flat 75,-12 105,0 76,6
            light flat -30,-5 -65,-85 -30,-95 30,-10; ink oval 66,-9 4,4""",
    },
    "vehicle": {
        "car": """
            body flat -95,30 -95,-5 -60,-10 -35,-50 30,-50 60,-10 100,0 100,30
            light flat -42,-12 -28,-40 -4,-40 -4,-12; light flat 6,-40 25,-40 43,-12 6,-12
            ink oval -55,32 22,22; ink oval 58,32 22,22; light oval -55,32 9,9; light oval 58,32 9,9""",
        "bus": """
            body flat -100,40 -100,-55 -95,-60 90,-60 100,-10 100,40; accent flat -100,8 -100,0 100,0 100,8
            light flat -88,-44 -56,-44 -56,-10 -88,-10; light flat -42,-44 -10,-44 -10,-10 -42,-10
            light flat 4,-44 36,-44 36,-10 4,-10; light flat 50,-44 82,-44 82,-10 50,-10
            ink oval -60,42 20,20; ink oval 58,42 20,20; light oval -60,42 8,8; light oval 58,42 8,8""",
        "lorry": """
            accent flat -100,20 -100,-62 27,-62 27,20
            body flat 35,35 35,-40 75,-40 95,-5 100,35 -100,35 -100,20 35,20
            light flat 50,-28 70,-28 82,0 50,0; ink oval -72,38 19,19; ink oval -28,38 19,19
            ink oval 66,38 19,19; light oval -72,38 8,8; light oval -28,38 8,8; light oval 66,38 8,8""",
        "tractor": """
            dark flat 55,-10 55,-55 65,-55 65,-10; body flat -70,20 -70,-80 0,-80 8,-20 85,-15 90,30
            light flat -58,-66 -12,-66 -8,-22 -58,-22; ink oval -40,25 46,46; ink oval 66,44 27,27
            light oval -40,25 19,19; light oval 66,44 11,11""",
    },
    "reptile": {
        "lizard": """
            dark limb=~ -38,0 -43,-40 -68,-58 / 20 13; dark limb=~ 30,0 34,-40 55,-58 / 20 13
            body limb~ 55,0 20,0 -25,0 -60,0 -95,0 -130,30 / 34 36 36 25 16 4
            body limb 40,0 72,0 95,0 / 26 36 16; accent limb -60,0 -25,0 20,0 45,0 / 3 13 8
            ink oval= 72,-12 4,4""",
        "snake": """
            accent limb 100,-32 135,-35 / 6 5
            body limb -110,26 -85,-17 -60,-40 -35,-16 -10,27 15,38 40,4 65,-35 90,-32 / 5 20 24 24 20
            accent oval -85,-13 7,7; accent oval -60,-32 7,7; accent oval -35,-13 7,7
            accent oval -10,22 7,7; accent oval 15,30 7,7; accent oval 40,3 7,7; accent oval 65,-28 7,7
            body oval 100,-32 22,16; ink oval 108,-40 4,4; ink oval 108,-24 4,4""",
        "turtle": """
            dark limb=~ -38,0 -43,-44 -68,-63 / 20 13; dark limb=~ 30,0 34,-44 55,-63 / 20 13
            light limb -75,0 -50,0 30,0 70,0 / 4 30 30 22; light oval 75,0 19,15; body oval -8,0 60,46
            accent oval -40,0 13,11; accent oval -8,0 13,11; accent oval 24,0 13,11; dark oval= -24,-26 10,8
            dark oval= 10,-26 10,8; ink oval= 80,-9 4,4""",
        "crocodile": """
            dark limb=~ -38,0 -43,-35 -68,-52 / 20 13; dark limb=~ 30,0 34,-35 55,-52 / 20 13
            body limb~ 55,0 20,0 -25,0 -60,0 -95,0 -130,30 / 30 44 44 31 16 4
            body limb 40,0 70,0 130,0 / 26 34 16; dark limb -60,0 -25,0 20,0 45,0 / 3 13 8
            ink oval= 72,-12 4,4""",
    },
    "carnivore": {
        "tiger": """
            dark limb~ -45,5 -45,61 / 29 18; dark limb~ 50,5 50,61 / 29 18
            body limb~ -60,-10 -100,10 -105,-40 -135,-60 / 13 10
            body soft -78,-27 -10,-27 60,-30 72,10 30,27 -40,23 -85,16; body limb~ -55,5 -55,61 / 29 18
            body limb~ 40,5 40,61 / 29 18; ink limb -60,-24 -54,10 / 10 3; ink limb -36,-24 -30,10 / 10 3
            ink limb -12,-24 -6,10 / 10 3; ink limb 12,-24 18,10 / 10 3; dark oval 41,-62 13,13
            dark oval 91,-62 13,13; body oval 66,-37 33,30; light oval 66,-23 16,13; ink oval 66,-27 8,6
            ink oval 52,-41 6,6; ink oval 80,-41 6,6""",
        "lion": """
            dark limb~ -45,5 -45,64 / 29 18; dark limb~ 50,5 50,64 / 29 18
            body limb~ -60,-10 -100,10 -105,-40 -135,-60 / 12 8 8 24
            body soft -78,-28 -10,-28 60,-31 72,10 30,28 -40,24 -85,17; body limb~ -55,5 -55,64 / 29 18
            body limb~ 40,5 40,64 / 29 18; accent oval 66,-33 48,48; dark oval 44,-60 13,13
            dark oval 88,-60 13,13; body oval 66,-37 30,28; light oval 66,-24 15,11; ink oval 66,-28 8,6
            ink oval 53,-41 6,6; ink oval 79,-41 6,6""",
        "fox": """
            dark limb~ -45,5 -45,56 / 17 10; dark limb~ 50,5 50,56 / 17 10
            body limb~ -60,-10 -100,10 -105,-40 -135,-60 / 12 34 30 5
            body soft -78,-20 -10,-20 60,-22 72,10 30,20 -40,17 -85,12; body limb~ -55,5 -55,56 / 17 10
            body limb~ 40,5 40,56 / 17 10; dark flat 36,-37 36,-95 64,-57; dark flat 96,-37 96,-95 68,-57
            body soft 30,-62 102,-62 96,-27 66,13 36,-27; light oval 66,-25 14,11; ink oval 66,-28 8,6
            ink oval 54,-40 6,6; ink oval 78,-40 6,6""",
        "bear": """
            dark limb~ -45,5 -45,64 / 39 24; dark limb~ 50,5 50,64 / 39 24
            body soft -78,-40 -10,-56 60,-44 72,10 30,40 -40,34 -85,24; body limb~ -55,5 -55,64 / 39 24
            body limb~ 40,5 40,64 / 39 24; dark oval 42,-49 13,13; dark oval 90,-49 13,13
            body oval 66,-25 32,29; light oval 66,-12 16,12; ink oval 66,-15 8,6; ink oval 53,-29 6,6
            ink oval 79,-29 6,6""",
    },
    "insect": {
        "beetle": """
            ink limb|~ 0,-20 -50,-35 -72,-40 / 9 7; ink limb|~ 0,2 -50,4 -72,17 / 9 7
            ink limb|~ 0,20 -50,45 -72,80 / 9 7; ink limb|~ 0,-50 -16,-80 -36,-105 / 6 6
            dark oval 0,-58 24,20; dark oval 0,-38 36,20; body oval 0,18 48,62; ink limb 0,-35 0,80 / 6 4
            accent oval| -24,0 11,12; accent oval| -24,38 11,12""",
        "butterfly": """
            ink limb|~ 0,-50 -16,-80 -36,-105 / 6 6; body soft| 0,10 -35,10 -85,50 -50,100 -10,60
            body soft| 0,-20 -60,-95 -115,-85 -95,10 0,20; accent oval| -68,-45 20,17
            light oval| -45,50 13,13; ink oval 0,10 9,50; ink oval 0,-44 11,11""",
        "ant": """
            ink limb|~ 0,-20 -56,-35 -80,-40 / 9 7; ink limb|~ 0,2 -56,4 -80,17 / 9 7
            ink limb|~ 0,20 -56,45 -80,80 / 9 7; ink limb|~ 0,-50 -16,-80 -50,-105 / 6 6
            body oval 0,60 30,46; dark oval 0,0 17,26; body oval 0,-45 26,24; light oval 0,62 20,7""",
        "dragonfly": """
            light limb|~ 0,-30 -60,-50 -115,-55 / 12 28 14; light limb|~ 0,-10 -60,0 -105,10 / 12 28 14
            body limb~ 0,-30 0,30 0,120 / 24 14 10; accent oval 0,-25 15,26; ink oval| -10,-56 13,12""",
    },
    "instrument": {
        "guitar": """
            light oval| -17,-114 6,5; light oval| -17,-99 6,5
            body soft 0,-30 42,-25 42,2 26,20 62,45 62,90 0,98 -62,90 -62,45 -26,20 -42,2 -42,-25
            dark limb 0,10 0,-95 / 15 13; ink flat -10,-90 -14,-122 14,-122 10,-90; ink oval 0,22 15,15
            accent limb -22,66 22,66 / 10 10""",
        "banjo": """
            light oval| -17,-114 6,5; light oval| -17,-99 6,5; dark limb 0,10 0,-95 / 15 13
            ink flat -10,-90 -14,-122 14,-122 10,-90; body oval 0,45 50,50; light oval 0,45 38,38
            ink limb -14,62 14,62 / 7 7""",
        "trumpet": """
            dark limb -50,0 -75,40 60,40 45,2 / 13 13; accent limb -30,42 -30,-30 / 11 11
            accent limb -8,42 -8,-30 / 11 11; accent limb 14,42 14,-30 / 11 11
            body limb -110,0 60,0 / 12 14; body flat 40,-7 75,-13 112,-48 118,44 75,12 40,7
            ink oval 115,0 7,42; ink flat -120,-13 -102,-6 -102,6 -120,13""",
        "harp": """
            light limb -35,-78 -35,70 / 5 5; light limb -15,-73 -15,48 / 5 5; light limb 5,-66 5,25 / 5 5
            light limb 25,-60 25,3 / 5 5; body limb -55,95 -50,-40 -55,-95 / 15 13
            dark limb -60,95 15,10 68,-72 / 28 16; body limb -55,-90 -20,-105 10,-50 65,-75 / 20 13
            accent oval -55,95 22,9""",
    },
    "primate": {
        "gorilla": """
            dark limb| -18,45 -34,75 -32,110 / 32 20; light oval| -32,110 19,10
            body limb|~ -24,-22 -72,0 -62,55 / 28 17; body oval 0,16 42,52; accent oval 0,24 25,32
            dark oval| -33,-62 13,14; body oval 0,-62 32,33; light oval 0,-54 23,21; ink oval| -10,-62 4,6
            ink limb -10,-45 10,-45 / 5 5""",
        "gibbon": """
            dark limb| -18,45 -34,75 -32,110 / 32 20; light oval| -32,110 19,10
            body limb|~ -24,-22 -72,-40 -68,-105 / 28 17; body oval 0,16 42,52; accent oval 0,24 25,32
            dark oval| -33,-62 13,14; body oval 0,-62 32,33; light oval 0,-54 23,21; ink oval| -10,-62 4,6
            ink limb -10,-45 10,-45 / 5 5""",
        "chimpanzee": """
            dark limb| -18,45 -80,42 -52,92 / 32 20; light oval| -52,92 19,10
            body limb~ -24,-22 -72,0 -35,62 / 28 17; body limb~ 24,-22 72,0 30,-25 / 28 17
            body oval 0,16 42,52; accent oval 0,24 25,32; dark oval| -33,-62 13,14; body oval 0,-62 32,33
            light oval 0,-54 23,21; ink oval| -10,-62 4,6; ink limb -10,-45 10,-45 / 5 5""",
        "monkey": """
            dark limb~ 10,50 70,95 105,40 80,5 62,30 / 12 9; dark limb| -18,45 -34,75 -32,110 / 23 14
            light oval| -32,110 19,10; body limb~ -24,-22 -72,0 -85,-10 / 20 12
            body limb~ 24,-22 72,0 70,-80 / 20 12; body oval 0,16 30,52; accent oval 0,24 18,32
            dark oval| -33,-62 13,14; body oval 0,-62 32,33; light oval 0,-54 23,21; ink oval| -10,-62 4,6
            ink limb -10,-45 10,-45 / 5 5""",
    },
    "fish": {
        "carp": """
            accent flat -50,0 -104,-38 -86,0 -104,38; accent flat -30,-25 -20,-58 30,-50 35,-20
            accent flat -30,20 -35,52 0,25; body soft 72,2 34,-36 -19,-36 -67,-8 -67,8 -19,36 34,36
            light limb -43,11 0,20 37,14 / 5 16 5; dark limb 24,-18 19,0 24,18 / 5 5; white oval 38,-9 9,9
            ink oval 40,-9 5,5""",
        "shark": """
            accent flat -68,0 -122,-42 -104,0 -122,42; accent flat -15,-12 -12,-68 25,-15
            accent flat 10,10 -15,52 40,12; body soft 90,2 44,-22 -24,-22 -85,-8 -85,8 -24,22 44,22
            light limb -56,7 0,12 48,9 / 5 10 5; dark limb 30,-11 24,0 30,11 / 5 5; white oval 50,-6 9,9
            ink oval 51,-6 5,5""",
        "angelfish": """
            accent flat -38,0 -92,-30 -74,0 -92,30; accent flat= 20,-35 -60,-115 -25,-20
            body soft 60,2 28,-50 -15,-50 -55,-8 -55,8 -15,50 28,50; dark limb -15,-38 -12,38 / 10 10
            dark limb 10,-38 13,38 / 10 10; dark limb 19,-25 15,0 19,25 / 5 5; white oval 31,-12 9,9
            ink oval 32,-12 5,5""",
        "swordfish": """
            accent flat -54,0 -108,-50 -90,0 -108,50; accent flat -20,-10 0,-62 32,-58 30,-10
            accent flat 10,10 -10,46 30,15; dark flat 40,-12 135,0 40,10
            body soft 76,2 36,-24 -20,-24 -71,-8 -71,8 -20,24 36,24; light limb -46,7 0,13 40,10 / 5 11 5
            dark limb 25,-12 20,0 25,12 / 5 5; white oval 41,-6 9,9; ink oval 42,-6 5,5""",
    },
}


def _outlines(drawing: str, g: np.random.Generator) -> list[tuple[str, np.ndarray]]:
    """Tone and outline [points, 2] of each part of a drawing, its limbs swung at random."""
    parts = []
    for text in re.split(r";|\n", drawing.strip()):
        tone, kind, figures = text.split(maxsplit=2)
        places, _, rest = figures.partition("/")
        points = np.array([place.split(",") for place in places.split()], dtype=np.float64) / 100
        plain = [float(number) for number in rest.split()]
        for mirror in [(1, 1), *([(-1, 1)] if "|" in kind else []), *([(1, -1)] if "=" in kind else [])]:
            where = points
            if "~" in kind:  # about its root, the more the farther out
                swing = g.uniform(-0.3, 0.3) * (points[-1] - points[0])[::-1] * (1, -1)
                where = points + np.linspace(0, 1, len(points))[:, None] ** 2 * swing
            if kind.startswith("limb"):
                outline = limb(where, [width / 100 for width in plain])
            elif kind.startswith("oval"):
                outline = oval(*points[0], *points[1], *plain)
            else:
                outline = soft(where) if kind.startswith("soft") else where
            parts.append((tone, outline * mirror))
    return parts


def _palette(g: np.random.Generator) -> dict[str, np.ndarray]:
    """The tones of one object, from one distribution for all classes, so that colour says nothing about the class."""
    hue = g.random()
    body = hsv(hue, g.uniform(0.1, 0.85), g.uniform(0.25, 0.95))
    accent = hsv(hue + g.uniform(0.15, 0.85), g.uniform(0.2, 0.85), g.uniform(0.3, 0.95))
    light, ink, white = body + (1 - body) * 0.55, np.full(3, 0.08), np.full(3, 0.95)
    return {"body": body, "dark": body * 0.62, "light": light, "accent": accent, "ink": ink, "white": white}


def _pose(g: np.random.Generator, outlines: list[np.ndarray], size: int) -> list[np.ndarray]:
    """Bend, stretch, mirror, turn, scale and place the outlines: into pixels, ``MARGIN`` from every border."""
    points = np.concatenate(outlines)
    points = points + 0.06 * np.sin(2.4 * points[:, ::-1] + g.uniform(0, 2 * np.pi, 2))
    stretch, shear, turn = math.exp(g.uniform(-0.18, 0.18)), g.uniform(-0.18, 0.18), math.radians(g.uniform(-25, 25))
    flip = -1.0 if g.random() < 0.5 else 1.0
    rotation = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    points = points @ (rotation @ np.array([[flip * stretch, shear], [0.0, 1.0]])).T
    low, extent = points.min(0), np.ptp(points, axis=0)
    share = g.uniform(*BOX_SHARE)
    scale = min(size * math.sqrt(share / extent.prod()), (size - 2 * MARGIN) / extent.max())
    corner = MARGIN + g.random(2) * (size - 2 * MARGIN - scale * extent)
    points = (points - low) * scale + corner
    return np.split(points, np.cumsum([len(outline) for outline in outlines])[:-1])


def paint(g: np.random.Generator, shape: str, kind: int, size: int) -> tuple[np.ndarray, np.ndarray, float]:
    """The object alone: colour times coverage [size, size, 3], coverage [size, size], luminance of its body."""
    palette = _palette(g)
    parts = _outlines(list(SHAPES[shape].values())[kind], g)
    outlines = _pose(g, [outline for _, outline in parts], size)
    canvas = np.zeros((size * OVERSAMPLING, size * OVERSAMPLING, 4), dtype=np.uint8)
    for (tone, _), outline in zip(parts, outlines, strict=True):
        fixed = [np.round(outline * OVERSAMPLING * 16).astype(np.int32)]
        colour = [*np.round(palette[tone] * 255).tolist(), 255]
        cv2.fillPoly(canvas, fixed, colour, shift=4)
        cv2.polylines(canvas, fixed, True, colour, thickness=3, shift=4)  # so that thin parts outlast the reduction
    layer = to_floats(cv2.resize(canvas, (size, size), interpolation=cv2.INTER_AREA))
    x, y = grid(size)
    slope = g.uniform(-0.5, 0.5, 2)
    shade = 1.0 + slope[0] * (x - 0.5) + slope[1] * (y - 0.5) + 0.25 * (noise(g, size, 10)[..., 0] - 0.5)
    colour = np.clip(layer[..., :3] * shade[..., None], 0, layer[..., 3:])
    return colour.astype(np.float32), layer[..., 3], float(palette["body"] @ LUMINANCE)
