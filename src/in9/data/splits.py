"""Which images are for training, validation and testing, or dealt into folds for cross-fitting; which are left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from in9.data.dataset import FOLD, testable
from in9.data.source import Example, balanced
from in9.errors import In9Error
from in9.seeds import digest
from in9.taxonomy import CLASS_NAMES

if TYPE_CHECKING:
    import pandas as pd  # takes a second to import, and the workers of a build do without

GOOD, NOT_LOOKED_AT = "good", "not looked at"
"""What is said of a mask by somebody who has nothing against it, and of one that nobody has looked at."""
THUMBNAIL = 16
"""The side of the grey images that are compared to find near duplicates, in pixels."""
SAME_SCENE = 0.97
"""From this correlation of their thumbnails on, two images may not be in different folds."""


@dataclass(frozen=True)
class Split:
    """How ids are hashed into splits, within each fine class: shares of the images, the rest is for training.

    With ``folds`` no image is for testing alone: all but those for validation are dealt into so many folds, and each
    fold is tested by networks that were trained on the others.
    """

    test: float = 0.20
    validation: float = 0.05
    folds: int = 0

    def __post_init__(self) -> None:
        if self.folds < 0 or self.folds == 1:
            raise In9Error(f"A split has at least 2 folds, or 0 for none; got folds = {self.folds}.")
        if not (0 <= self.test <= 1 and 0 <= self.validation <= 1 and self.test + self.validation <= 1):
            raise In9Error(
                f"Shares of a split are from 0 to 1, together too; got {self.test:g} for test and {self.validation:g} "
                "for validation."
            )
        if self.folds and self.test:
            raise In9Error(f"A split with folds tests all of them: set test = 0 (it is {self.test:g}).")


def assign_splits(examples: Sequence[Example], seed: int, split: Split) -> list[str]:
    """The split of each example: as its source says, else by the rank of its hashed id within its fine class.

    Raises In9Error if images are to be dealt into folds, and the source says which of them are for testing.
    """
    splits = [example.split or "" for example in examples]
    if split.folds and any(splits):
        raise In9Error(
            f"This source says itself which images are for testing, so they cannot be dealt into {split.folds} folds; "
            "build it without folds."
        )
    groups: dict[str, list[int]] = {}
    for index, example in enumerate(examples):
        if example.split is None:
            groups.setdefault(example.fine, []).append(index)
    for members in groups.values():
        members.sort(key=lambda index: digest(seed, "split", examples[index].id))
        test, validation = round(split.test * len(members)), round(split.validation * len(members))
        for rank, index in enumerate(members):
            splits[index] = "test" if rank < test else "validation" if rank < test + validation else "train"
    return splits


def thumbnail(images: np.ndarray) -> np.ndarray:
    """Small grey versions of images uint8 [N, S, S, 3], each with mean 0 and length 1: float32 [N, 256]."""
    small = [cv2.resize(image, (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA) for image in images]
    grey = np.stack(small).astype(np.float32).mean(axis=3).reshape(len(images), -1)
    grey -= grey.mean(axis=1, keepdims=True)
    return np.asarray(grey / np.maximum(np.linalg.norm(grey, axis=1, keepdims=True), 1e-6))


def near_duplicates(thumbnails: np.ndarray) -> np.ndarray:
    """The group of each image, int [N]: images that are nearly the same, float32 [N, 256], are in the same group."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    pairs = []
    for start in range(0, len(thumbnails), 1024):
        first, second = np.nonzero(thumbnails[start : start + 1024] @ thumbnails.T > SAME_SCENE)
        pairs.append(np.stack([first + start, second]))
    first, second = np.concatenate(pairs, axis=1)
    graph = coo_array((np.ones(len(first)), (first, second)), shape=(len(thumbnails), len(thumbnails)))
    return np.asarray(connected_components(graph, directed=False)[1])


def deal_into_folds(table: pd.DataFrame, thumbnails: np.ndarray, folds: int, seed: int) -> None:
    """Give the images for training a fold each, in place of their split, by hashed id.

    Folds have about equally many images of each class that are tested, of each that are trained on alone, and of each
    without a good mask; of each fine class, too. Near duplicates are in one fold. Raises In9Error if a fold has no
    image of a class to test.
    """
    groups = near_duplicates(thumbnails)
    tested = testable(table)
    order = table.assign(tested=tested, group=groups, hash=[digest(seed, "fold", name) for name in table["id"]])
    order = order[order["split"] == "train"].sort_values(["label", "tested", "accepted", "fine", "hash"])
    leaders = order.drop_duplicates("group")
    place = leaders.groupby(["label", "tested", "accepted"]).cumcount() % folds
    fold_of_group = dict(zip(leaders["group"], place, strict=True))
    table.loc[order.index, "split"] = [f"{FOLD}{fold_of_group[group]}" for group in order["group"]]
    for fold in range(folds):
        counts = np.bincount(table["label"][tested & (table["split"] == f"{FOLD}{fold}")], minlength=len(CLASS_NAMES))
        missing = [name for name, count in zip(CLASS_NAMES, counts, strict=True) if not count]
        if missing:
            raise In9Error(
                f"Fold {fold} has no image of {', '.join(missing)} to test; give more images, or take fewer folds."
            )


def balance(table: pd.DataFrame, seed: int) -> None:
    """Keep the same number of accepted images of each class in each split, chosen by hashed id; the rest are not."""
    for _, accepted in table[table["accepted"]].groupby("split"):
        kept = balanced({label: ids.tolist() for label, ids in accepted.groupby("label")["id"]}, seed)
        removed = accepted.index[~accepted["id"].isin(kept)]
        table.loc[removed, ["accepted", "reason"]] = [False, "removed to balance the classes"]


def rejection(verdicts: Mapping[str, str], identifier: str, accepted: bool) -> str:
    """Why an accepted image is not tested although its mask keeps the rules, after those who looked at it; or empty."""
    verdict = verdicts.get(identifier, NOT_LOOKED_AT) if accepted else GOOD
    return "" if verdict == GOOD else verdict


def require_classes(table: pd.DataFrame, unusable: Sequence[dict[str, Any]], splits: Sequence[str]) -> None:
    """Raise In9Error unless each of the splits has an image of each class to use; ``train`` only if it has any image.

    To train on, an image must be accepted; to test on, those who looked at it must not have rejected it, either.
    """
    present = {*table["split"], *(image["split"] for image in unusable), "test"}
    for split in splits:
        usable = testable(table) if split == "test" else table["accepted"]
        looked_at = split == "test" and "rejected" in table
        but = " (an image whose mask nobody has looked at is not tested)" if looked_at else ""
        labels = set(table[(table["split"] == split) & usable]["label"])
        missing = [name for label, name in enumerate(CLASS_NAMES) if label not in labels]
        if split in present and missing:
            raise In9Error(
                f"The {split} split has no accepted example of {', '.join(missing)}{but}; "
                "every class needs one: give more images."
            )
