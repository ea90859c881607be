"""Focus: what saliency records say, as numbers with intervals (paper, figure 6, which has pictures only)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from in9.evaluation.estimates import Estimate, Term, balanced_mean
from in9.evaluation.records import Record, folds_of, from_digits, unpacked

SCORES = ("mass", "pointing", "mass_swapped", "pointing_swapped", "area")


@dataclass(frozen=True)
class Focus:
    """How much one or several equal models look at the foreground by one method, from saliency records.

    Models are seeds; or, with ``folds`` int64 [N], each saw the images of its own fold, and models is 1.
    ``labels`` int64 [N]; ``right`` bool [models, N] says whether the model names the image; ``mass`` and ``pointing``
    float64 [models, N] are the scores of ``foreground_scores``, ``area`` is what a map that says nothing
    gets, ``mass_swapped`` and ``pointing_swapped`` what the maps of the other images get on average. ``empty`` is the
    number of maps that were all zero, over all models; ``map_side`` is how many pixels a side a map has before it is
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
    folds: np.ndarray | None = None

    @classmethod
    def of_records(cls, records: Sequence[Record], method: str) -> Focus:
        """From the saliency records of equal models."""
        results = [record.results for record in records]
        scores = [result["methods"][method] for result in results]
        labels, folds = [from_digits(result["labels"]) for result in results], folds_of(records)

        def joined(rows: list[np.ndarray]) -> np.ndarray:
            return np.stack(rows) if folds is None else np.concatenate(rows)[None]

        return cls(
            labels=labels[0] if folds is None else np.concatenate(labels),
            right=joined(
                [from_digits(result["predictions"]) == own for result, own in zip(results, labels, strict=True)]
            ),
            area=joined([unpacked(result["area"]) for result in results]),
            **{name: joined([unpacked(score[name]) for score in scores]) for name in SCORES[:4]},
            empty=int(sum(from_digits(score["empty"]).sum() for score in scores)),
            map_side=int(scores[0]["map_side"]),
            folds=None if folds is None else np.repeat(folds, [len(own) for own in labels]),
        )

    def mean(self, score: str = "mass") -> Estimate:
        """The class-balanced mean of one of ``SCORES``, with its interval."""
        return self._mean(getattr(self, score))

    def above_swapped(self, score: str = "mass") -> Estimate:
        """The mean of ``mass`` or ``pointing`` minus what the other images' maps get, with its paired interval."""
        return self._mean(self._beyond(score))

    def minus(
        self, other: Focus, score: str = "mass", both_right: bool = False, beyond_swapped: bool = False
    ) -> Estimate | None:
        """This mean minus the other models' on the same images, with its paired interval.

        Row i of both is one seed. ``both_right`` keeps the images that all the models name; None if there is none.
        ``beyond_swapped`` first takes from each what the other images' maps get: maps that became more central in
        general gain nothing by it. Raises ValueError if the images are not the same.
        """
        if not np.array_equal(self.labels, other.labels) or not np.array_equal(self.area, other.area):
            raise ValueError("the two records are of different images")
        kept = (self.right & other.right).all(axis=0) | (not both_right)
        if not kept.any():
            return None
        own, others = (each._beyond(score) if beyond_swapped else getattr(each, score) for each in (self, other))
        return self._mean(own - others, kept)

    def _beyond(self, score: str) -> np.ndarray:
        return np.asarray(getattr(self, score) - getattr(self, f"{score}_swapped"))

    def _mean(self, values: np.ndarray, kept: np.ndarray | None = None) -> Estimate:
        """The class-balanced mean of values float [models, N] over the images that are kept, bool [N]."""
        return balanced_mean([Term(values[:, None])], self.labels, self.folds, kept)
