"""Focus: what saliency records say, as numbers with intervals (paper, figure 6, which has pictures only).

Pixels and networks play no part here: everything is read from saliency records.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from in9.evaluation.estimates import Estimate, paired_mean_difference
from in9.evaluation.records import Record, from_digits, unpacked

if TYPE_CHECKING:
    from in9.study.study import Study

LOOKED_INTO = ("original", "mixed_rand")
"""The training sets whose models get saliency maps (figure 6 of the paper)."""

SCORES = ("mass", "pointing", "mass_swapped", "pointing_swapped", "area")


class Focus:
    """How much one or several equal models (seeds) look at the foreground by one method, from saliency records.

    ``labels`` int64 [N]; ``right`` bool [seeds, N] says whether the model names the image; ``mass`` and ``pointing``
    float64 [seeds, N] are the scores of ``foreground_scores``, ``area`` is what a map that says nothing
    gets, ``mass_swapped`` and ``pointing_swapped`` what the maps of the other images get on average. ``empty`` is the
    number of maps that were all zero, over all seeds; ``map_side`` is how many pixels a side a map has before it is
    enlarged.
    """

    def __init__(self, records: Sequence[Record], method: str) -> None:
        results = [record.results for record in records]
        scores = [one["methods"][method] for one in results]
        self.labels = from_digits(results[0]["labels"])
        self.right = np.stack([from_digits(one["predictions"]) == self.labels for one in results])
        self.area = np.stack([unpacked(one["area"]) for one in results])
        self.mass, self.pointing, self.mass_swapped, self.pointing_swapped = (
            np.stack([unpacked(one[score]) for one in scores]) for score in SCORES[:4]
        )
        self.empty = int(sum(from_digits(one["empty"]).sum() for one in scores))
        self.map_side = int(scores[0]["map_side"])

    def mean(self, score: str = "mass") -> Estimate:
        """The class-balanced mean of one of ``SCORES``, with its interval."""
        return paired_mean_difference(getattr(self, score), 0, self.labels)

    def above_swapped(self, score: str = "mass") -> Estimate:
        """The mean of ``mass`` or ``pointing`` minus what the other images' maps get, with its paired interval."""
        return paired_mean_difference(getattr(self, score), getattr(self, f"{score}_swapped"), self.labels)

    def minus(self, other: Focus, score: str = "mass", both_right: bool = False) -> Estimate | None:
        """This mean minus the other models' on the same images, with its paired interval.

        Row i of both is one seed. ``both_right`` keeps the images that all the models name; None if there is none.
        Raises ValueError if the images are not the same.
        """
        if not np.array_equal(self.labels, other.labels) or not np.array_equal(self.area, other.area):
            raise ValueError("the two records are of different images")
        kept = (self.right & other.right).all(axis=0) | (not both_right)
        if not kept.any():
            return None
        return paired_mean_difference(getattr(self, score)[:, kept], getattr(other, score)[:, kept], self.labels[kept])


def looked_into(study: Study) -> dict[str, dict[str, Focus]]:
    """The focus of the models trained on each of ``LOOKED_INTO``: method of the profile -> training set -> focus.

    Empty where a study that does not compute has no records of it.
    """
    wanted, options = study.recipes(LOOKED_INTO), study.profile.saliency
    if not study.available("saliency", wanted, **options):
        return {}
    records = study.measure("saliency", wanted, **options)
    return {method: by_training_set(records, method) for method in options["methods"]}


def by_training_set(records: Sequence[Record], method: str) -> dict[str, Focus]:
    """The focus of the models of each training set, all seeds together; empty without records."""
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(record.settings["recipe"]["train_on"], []).append(record)
    return {train_on: Focus(members, method) for train_on, members in groups.items()}
