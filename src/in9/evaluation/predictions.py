"""Predictions: what a classifier answers on each test set, image by image (paper, sections 3 and 4).

Every number that the book prints comes from here: float32, no mixed precision, fixed backgrounds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from in9.data import variants
from in9.data.variants import MIXED, VARIANTS, Pool
from in9.evaluation import estimates
from in9.evaluation.estimates import Estimate
from in9.training.recipe import IN9L

TEST_SETS = (*VARIANTS, IN9L)


class Model(NamedTuple):
    """How a model came about: its recipe, how its training went, and how its predictions were measured."""

    recipe: Mapping[str, Any] = {}
    training: Mapping[str, Any] = {}
    provenance: Mapping[str, Any] = {}


@dataclass(frozen=True)
class Predictions:
    """What one or several equal models (seeds) answered on some test sets.

    ``labels`` has the true classes of each test set, int64 [N]; ``classes`` the predicted ones, int64 [models, N], -1
    for none of the nine. ``models`` says how each model came about, as far as that is known; ``ids`` names the images
    of each test set, where the names are at hand.
    """

    labels: Mapping[str, np.ndarray]
    classes: Mapping[str, np.ndarray]
    models: tuple[Model, ...] = (Model(),)
    ids: Mapping[str, tuple[str, ...]] | None = None

    @property
    def tests(self) -> tuple[str, ...]:
        """The test sets, in the order in which they were predicted."""
        return tuple(self.classes)

    @property
    def seeds(self) -> list[int]:
        """The seed of each model."""
        return [model.recipe["seed"] for model in self.models]

    @property
    def seconds(self) -> float:
        """How long training and evaluation took, all models together."""
        return float(sum(model.provenance["seconds"] for model in self.models))

    def training_seconds(self, part: str = "seconds") -> float | None:
        """How long training one model took, the mean over models; None where that was not measured.

        ``part`` may be ``head_seconds``: retraining its last layer alone.
        """
        times = [model.training[part] for model in self.models if part in model.training]
        return float(np.mean(times)) if len(times) == len(self.models) else None

    def of_seeds(self, seeds: Sequence[int]) -> Predictions:
        """The predictions of some of the models, in this order."""
        rows = [self.seeds.index(seed) for seed in seeds]
        classes = {test: predicted[rows] for test, predicted in self.classes.items()}
        return replace(self, classes=classes, models=tuple(self.models[row] for row in rows))

    def correct(self, test: str) -> np.ndarray:
        """Whether each prediction is right: bool [models, N]."""
        return self.classes[test] == self.labels[test]

    def accuracy(self, test: str) -> Estimate:
        """Class-balanced accuracy on one test set, with its interval."""
        return estimates.accuracy(self.correct(test), self.labels[test])

    def difference(self, first: str, second: str) -> Estimate:
        """Accuracy on one test set minus that on another with the same foregrounds, with a paired interval."""
        return estimates.paired_difference(self.correct(first), self.correct(second), self.labels[first])

    def gap(self) -> Estimate:
        """BG-Gap: Mixed-Same minus Mixed-Rand (section 4)."""
        return self.difference("mixed_same", "mixed_rand")


class NoSeedInCommon(ValueError):
    """Models that are to be compared seed by seed were measured with different seeds."""


def with_same_seeds(first: Predictions, second: Predictions) -> tuple[Predictions, Predictions]:
    """The predictions of the models of those seeds that both have. Raises NoSeedInCommon if there are none."""
    common = sorted(set(first.seeds) & set(second.seeds))
    if not common:
        raise NoSeedInCommon(f"the models have no seed in common: {first.seeds} and {second.seeds}")
    return first.of_seeds(common), second.of_seeds(common)


def gain(first: Predictions, second: Predictions, test: str, second_test: str | None = None) -> Estimate:
    """Accuracy of the first models minus that of the second, paired by image; of the seeds that both have.

    Both are tested on ``test``, or the second on ``second_test``, which has the same foregrounds.
    """
    first, second = with_same_seeds(first, second)
    return estimates.paired_difference(first.correct(test), second.correct(second_test or test), first.labels[test])


def gap_change(first: Predictions, second: Predictions) -> Estimate:
    """The BG-Gap of the first models minus that of the second, paired by image; of the seeds that both have."""
    gaps = [
        models.correct("mixed_same").astype(float) - models.correct("mixed_rand").astype(float)
        for models in with_same_seeds(first, second)
    ]
    return estimates.paired_mean_difference(gaps[0], gaps[1], first.labels["mixed_same"])


# ------------------------------------------------------------------------------------------------------- predicting


def exact_convolutions() -> AbstractContextManager[None]:
    """Convolutions in full float32, always by the same algorithm; on a GPU they are rounded to 19 bits otherwise."""
    return torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False)


def default_batch_size(image_size: int, device: torch.device) -> int:
    """As many images as a GPU likes, or as fit a processor's cache: there larger batches are slower by a quarter."""
    return 512 if device.type == "cuda" else max(32, min(256, 2**18 // image_size**2))


def search_batch_size(image_size: int, device: torch.device) -> int:
    """Half of that for a search, whose next batch is chosen by the answers to the last."""
    return default_batch_size(image_size, device) // 2


@torch.inference_mode()
def predict(
    classifier: Callable[[Tensor], Tensor],
    images: Callable[[Tensor], Tensor],
    count: int,
    device: torch.device,
    batch_size: int = 256,
) -> np.ndarray:
    """The class with the highest score for each of ``count`` images: int64 [count].

    ``images`` makes the batch uint8 [B, 3, S, S] for some rows int64 [B]; ``classifier`` gives scores [B, classes].
    """
    batches = torch.arange(count, device=device).split(batch_size)
    with exact_convolutions():
        answers = [classifier(images(rows)).argmax(1) for rows in batches]
    return torch.cat(answers).cpu().numpy() if answers else np.zeros(0, np.int64)


def predict_variant(
    classifier: Callable[[Tensor], Tensor],
    pool: Pool,
    variant: str,
    seed: int = 0,
    batch_size: int | None = None,
) -> np.ndarray:
    """Predictions on one variant of a pool: int64 [N]. The mixed variants' backgrounds are drawn from ``seed``."""
    backgrounds = variants.draw_backgrounds(variant, pool, seed)[0] if variant in MIXED else None

    def images(rows: Tensor) -> Tensor:
        return variants.compose(variant, pool, rows, None if backgrounds is None else backgrounds[rows])

    size = batch_size or default_batch_size(pool.images.shape[-1], pool.device)
    return predict(classifier, images, len(pool), pool.device, size)


def predict_all(
    classifier: Callable[[Tensor], Tensor],
    pool: Pool,
    whole: Pool | None,
    seed: int = 0,
    tests: Sequence[str] = TEST_SETS,
) -> dict[str, np.ndarray]:
    """Predictions on several test sets: name -> int64 [N]. ``whole`` is the pool of IN-9L, needed only for that."""
    variants.check_variants(tests, also=(IN9L,))
    answers = {}
    for test in tests:
        if test == IN9L:
            if whole is None:
                raise ValueError("The test set in9l needs the pool of all test images.")
            answers[test] = predict_variant(classifier, whole, "original", seed)
        else:
            answers[test] = predict_variant(classifier, pool, test, seed)
    return answers
