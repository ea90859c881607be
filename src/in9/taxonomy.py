"""The nine classes of ImageNet-9 and the map from ImageNet's 1,000 classes to them (paper, section 2 and table 1).

370 of the 1,000 classes fall under the nine; the other 630 fall under none and map to ``UNMAPPED``.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np

UNMAPPED = -1


@dataclass(frozen=True)
class CoarseClass:
    """One of the nine: its name here, its folder in the authors' archive, its WordNet root, its ImageNet indices."""

    name: str
    folder: str
    wordnet: str
    indices: tuple[int, ...]


def _indices(text: str) -> tuple[int, ...]:
    """``"1-3, 7"`` -> ``(1, 2, 3, 7)``."""
    ends = [part.split("-") for part in text.replace(" ", "").split(",")]
    return tuple(index for end in ends for index in range(int(end[0]), int(end[-1]) + 1))


_VEHICLES = (
    "407-408, 428, 436, 444, 468, 511, 547, 555, 561, 565, 569, 573, 586, 603, 609, 612, 627, 656, 661, 665, "
    "670-671, 675, 690, 705, 717, 734, 751, 757, 791, 802-803, 817, 820, 829, 847, 864, 866-867, 870, 880"
)
_INSTRUMENTS = (
    "401-402, 420, 432, 486, 494, 513, 541, 546, 558, 566, 577, 579, 593-594, 641-642, 683-684, 687, 699, "
    "776, 822, 875, 881, 889"
)

CLASSES = (
    CoarseClass("dog", "00_dog", "n02084071", _indices("151-170, 173-268")),
    CoarseClass("bird", "01_bird", "n01503061", _indices("7-24, 87-100, 127-146")),
    CoarseClass("vehicle", "02_wheeled vehicle", "n04576211", _indices(_VEHICLES)),
    CoarseClass("reptile", "03_reptile", "n01661091", _indices("33-68")),
    CoarseClass("carnivore", "04_carnivore", "n02075296", _indices("269-280, 286-299, 356-362, 387-388")),
    CoarseClass("insect", "05_insect", "n02159955", _indices("300-326")),
    CoarseClass("instrument", "06_musical instrument", "n03800933", _indices(_INSTRUMENTS)),
    CoarseClass("primate", "07_primate", "n02469914", _indices("365-384")),
    CoarseClass("fish", "08_fish", "n02512053", _indices("0-6, 389-397")),
)

CLASS_NAMES = tuple(one.name for one in CLASSES)
NUM_CLASSES = len(CLASSES)
CHANCE = 1.0 / NUM_CLASSES

TITLES = {
    "original": "Original",
    "only_bg_b": "Only-BG-B",
    "only_bg_t": "Only-BG-T",
    "no_fg": "No-FG",
    "only_fg": "Only-FG",
    "mixed_same": "Mixed-Same",
    "mixed_rand": "Mixed-Rand",
    "mixed_next": "Mixed-Next",
    "in9l": "IN-9L",
}
"""What the eight variants and IN-9L are called on a page."""


def imagenet_to_in9() -> np.ndarray:
    """The class of each of ImageNet's 1,000 indices, ``UNMAPPED`` where it has none: int64, shape [1000]."""
    table = np.full(1000, UNMAPPED, dtype=np.int64)
    for label, one in enumerate(CLASSES):
        table[list(one.indices)] = label
    return table


@cache
def imagenet_wnids() -> tuple[str, ...]:
    """The 1,000 WordNet ids of ImageNet-1k in the usual order."""
    text = resources.files("in9").joinpath("imagenet_classes.csv").read_text(encoding="utf-8")
    return tuple(row["wnid"] for row in csv.DictReader(text.splitlines()))


@cache
def label_of_wnid() -> dict[str, int]:
    """The class, 0 to 8, of each of the 370 WordNet ids that fall under the nine."""
    table = imagenet_to_in9()
    return {wnid: int(label) for wnid, label in zip(imagenet_wnids(), table, strict=True) if label != UNMAPPED}
