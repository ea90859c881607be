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
IMAGENET_CLASSES = 1000


@dataclass(frozen=True)
class CoarseClass:
    """One of the nine: its name here, its folder in the authors' archive, its WordNet root."""

    name: str
    folder: str
    wordnet: str

    @property
    def indices(self) -> tuple[int, ...]:
        """The indices of the ImageNet classes that fall under it."""
        return tuple(int(row["index"]) for row in _imagenet_classes() if row["in9"] == self.name)


CLASSES = (
    CoarseClass("dog", "00_dog", "n02084071"),
    CoarseClass("bird", "01_bird", "n01503061"),
    CoarseClass("vehicle", "02_wheeled vehicle", "n04576211"),
    CoarseClass("reptile", "03_reptile", "n01661091"),
    CoarseClass("carnivore", "04_carnivore", "n02075296"),
    CoarseClass("insect", "05_insect", "n02159955"),
    CoarseClass("instrument", "06_musical instrument", "n03800933"),
    CoarseClass("primate", "07_primate", "n02469914"),
    CoarseClass("fish", "08_fish", "n02512053"),
)

CLASS_NAMES = tuple(coarse.name for coarse in CLASSES)
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


@cache
def _imagenet_classes() -> list[dict[str, str]]:
    """ImageNet's 1,000 classes in the usual order: index, WordNet id, name, and the class of the nine or ""."""
    text = resources.files("in9").joinpath("imagenet_classes.csv").read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


def imagenet_to_in9() -> np.ndarray:
    """The class of each of ImageNet's 1,000 indices, ``UNMAPPED`` if it has none: int64, shape [1000]."""
    labels = {name: label for label, name in enumerate(CLASS_NAMES)}
    return np.array([labels.get(row["in9"], UNMAPPED) for row in _imagenet_classes()], dtype=np.int64)


@cache
def imagenet_names() -> dict[str, str]:
    """The name of each of ImageNet's 1,000 classes by its WordNet id, in the usual order; spaces for underscores."""
    return {row["wnid"]: row["name"].replace("_", " ") for row in _imagenet_classes()}


@cache
def label_of_wnid() -> dict[str, int]:
    """The class, 0 to 8, of each of the 370 WordNet ids that fall under the nine."""
    labels = {name: label for label, name in enumerate(CLASS_NAMES)}
    return {row["wnid"]: labels[row["in9"]] for row in _imagenet_classes() if row["in9"]}
