"""Focus: what saliency records say, as numbers with intervals (paper, figure 6, which has pictures only)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from in9.evaluation.estimates import Estimate, paired_mean_difference
from in9.evaluation.records import Record, from_digits, unpacked

SCORES = ("mass", "pointing", "mass_swapped", "pointing_swapped", "area")


@dataclass(frozen=True)
class Focus:
    """How much one or several equal models (seeds) look at the foreground by one method, from saliency records.

    ``labels`` int64 [N]; ``right`` bool [seeds, N] says whether the model names the image; ``mass`` and ``pointing``
    float64 [seeds, N] are the scores of ``foreground_scores``, ``area`` is what a map that says nothing
    gets, ``mass_swapped`` and ``pointing_swapped`` what the maps of the other images get on average. ``empty`` is the
    number of maps that were all zero, over all seeds; ``map_side`` is how many pixels a side a map has before it is
    enlarged.
    """

    labels: np.ndarray
    right: np.ndarray
    area: np.ndarray
    mass: np.ndarray
    pointing: np.ndarray
    mass_swapped: np.ndarray
    pointing_swapped: np.ndarray
    empty: int
    map_side: int

    @classmethod
    def of_records(cls, records: Sequence[Record], method: str) -> Focus:
        """From the saliency records of equal models."""
        results = [record.results for record in records]
        scores = [result["methods"][method] for result in results]
        labels = from_digits(results[0]["labels"])
        return cls(
            labels=labels,
            right=np.stack([from_digits(result["predictions"]) == labels for result in results]),
            area=np.stack([unpacked(result["area"]) for result in results]),
            **{name: np.stack([unpacked(score[name]) for score in scores]) for name in SCORES[:4]},
            empty=int(sum(from_digits(score["empty"]).sum() for score in scores)),
            map_side=int(scores[0]["map_side"]),
        )

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
