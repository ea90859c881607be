"""The nine classes and the map from ImageNet's 1,000."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from in9.taxonomy import (
    CHANCE,
    CLASS_NAMES,
    CLASSES,
    NUM_CLASSES,
    UNMAPPED,
    imagenet_names,
    imagenet_to_in9,
    label_of_wnid,
)

AUTHORS_MAP = Path(__file__).parents[2] / "shared" / "in_to_in9.json"


def test_counts():
    table = imagenet_to_in9()
    assert table.shape == (1000,) and table.dtype == np.int64
    assert [int((table == label).sum()) for label in range(9)] == [116, 52, 42, 36, 35, 27, 26, 20, 16]
    assert (table != UNMAPPED).sum() == 370 and (table == UNMAPPED).sum() == 630


def test_names_and_folders():
    assert NUM_CLASSES == 9 and pytest.approx(1 / 9) == CHANCE
    assert CLASS_NAMES == (
        "dog",
        "bird",
        "vehicle",
        "reptile",
        "carnivore",
        "insect",
        "instrument",
        "primate",
        "fish",
    )
    folders = [coarse.folder for coarse in CLASSES]
    assert folders[2] == "02_wheeled vehicle" and folders[6] == "06_musical instrument"
    assert folders == sorted(folders) and [int(folder[:2]) for folder in folders] == list(range(9))
    assert len({coarse.wordnet for coarse in CLASSES}) == 9


def test_no_index_is_in_two_classes():
    indices = [index for coarse in CLASSES for index in coarse.indices]
    assert len(indices) == len(set(indices)) == 370
    assert all(0 <= index < 1000 for index in indices)


@pytest.mark.parametrize(
    ("index", "wnid", "label"),
    [
        (0, "n01440764", "fish"),  # tench
        (7, "n01514668", "bird"),  # cock
        (33, "n01664065", "reptile"),  # loggerhead
        (151, "n02085620", "dog"),  # chihuahua
        (171, "n02091032", None),  # Italian greyhound, left out by the authors
        (281, "n02123045", None),  # tabby, left out by the authors
        (291, "n02129165", "carnivore"),  # lion
        (319, "n02268443", "insect"),  # dragonfly
        (365, "n02480495", "primate"),  # orang-utan
        (389, "n02514041", "fish"),  # barracouta
        (402, "n02676566", "instrument"),  # acoustic guitar
        (817, "n04285008", "vehicle"),  # sports car
        (999, "n15075141", None),  # toilet tissue
    ],
)
def test_spot_checks(index, wnid, label):
    assert list(imagenet_names())[index] == wnid
    assert imagenet_to_in9()[index] == (UNMAPPED if label is None else CLASS_NAMES.index(label))
    assert label_of_wnid().get(wnid) == (None if label is None else CLASS_NAMES.index(label))


def test_wnids_are_whole_and_unique():
    wnids = list(imagenet_names())
    assert len(set(wnids)) == 1000 and wnids == sorted(wnids)
    assert len(label_of_wnid()) == 370


@pytest.mark.skipif(not AUTHORS_MAP.is_file(), reason="the authors' map is not beside the repository")
def test_same_as_the_authors_map():
    theirs = json.loads(AUTHORS_MAP.read_text())
    assert [theirs[str(index)] for index in range(1000)] == imagenet_to_in9().tolist()
