"""Predictions: what a classifier answers on each test set, image by image (paper, sections 3 and 4).

Every number that the book prints comes from here: float32, no mixed precision, fixed backgrounds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from in9.data import variants
from in9.data.variants import MIXED, VARIANTS, Pool
from in9.evaluation import estimates
from in9.evaluation.estimates import Estimate, Term
from in9.training.recipe import IN9L

TEST_SETS = (*VARIANTS, IN9L)


class Model(NamedTuple):
    """How a model came about: its recipe, how its training went, and how its predictions were measured."""

    recipe: Mapping[str, Any] = {}
    training: Mapping[str, Any] = {}
    provenance: Mapping[str, Any] = {}


@dataclass(frozen=True)
class Predictions:
    """What one or several equal models answered on some test sets.

    ``labels`` has the true classes of each test set, int64 [N]; ``classes`` the predicted ones, int64 [models, draws,
    N], -1 for none of the nine: a mixed test set may be drawn several times. ``models`` says how each model came about,
    as far as that is known; ``ids`` names the images of each test set, where the names are at hand. ``backgrounds``
    names the background of each image of a mixed test set in each draw, int64 [draws, N], where that is known.

    Models are seeds, which all answered the same images; or, with ``folds``, each answered the images of the fold that
    it has not seen: ``folds`` int64 [N] is the fold of each image of a test set, and ``classes`` is [1, draws, N].
    """

    labels: Mapping[str, np.ndarray]
    classes: Mapping[str, np.ndarray]
    models: tuple[Model, ...] = (Model(),)
    ids: Mapping[str, tuple[str, ...]] | None = None
    backgrounds: Mapping[str, np.ndarray] = field(default_factory=dict)
    folds: Mapping[str, np.ndarray] | None = None

    @property
    def tests(self) -> tuple[str, ...]:
        """The test sets, in the order in which they were predicted."""
        return tuple(self.classes)

    @property
    def seeds(self) -> list[int]:
        """The seed of each model; with folds it is the number of its fold."""
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
        """The predictions of some of the models, in this order; with folds, on the images of their folds."""
        rows = [self.seeds.index(seed) for seed in seeds]
        models = tuple(self.models[row] for row in rows)
        if self.folds is None:
            classes = {test: predicted[rows] for test, predicted in self.classes.items()}
            return replace(self, classes=classes, models=models)
        kept = {
            test: np.concatenate([np.flatnonzero(folds == seed) for seed in seeds])
            for test, folds in self.folds.items()
        }
        backgrounds = {}
        for test, names in self.backgrounds.items():
            place = np.full(names.shape[1], -1)  # of each image among those kept
            place[kept[test]] = np.arange(len(kept[test]))
            backgrounds[test] = place[names[:, kept[test]]]
        return replace(
            self,
            models=models,
            labels={test: labels[kept[test]] for test, labels in self.labels.items()},
            classes={test: predicted[..., kept[test]] for test, predicted in self.classes.items()},
            backgrounds=backgrounds,
            folds={test: folds[kept[test]] for test, folds in self.folds.items()},
        )

    def of_draw(self, draw: int) -> Predictions:
        """The predictions in one draw of the backgrounds of the mixed test sets, counted from 0."""
        classes = {test: each[:, min(draw, each.shape[1] - 1)][:, None] for test, each in self.classes.items()}
        backgrounds = {test: rows[draw : draw + 1] for test, rows in self.backgrounds.items()}
        return replace(self, classes=classes, backgrounds=backgrounds)

    def correct(self, test: str) -> np.ndarray:
        """Whether each prediction is right: bool [models, draws, N]."""
        return self.classes[test] == self.labels[test]

    def fold_of(self, test: str) -> np.ndarray | None:
        """The fold of each image of a test set, int64 [N]; None where models are seeds."""
        return None if self.folds is None else self.folds[test]

    def term(self, test: str, sign: float = 1.0) -> Term:
        """Accuracy on one test set as a part of a sum, plus or minus."""
        return self._term(sign * self.correct(test), test)

    def _term(self, values: np.ndarray, test: str) -> Term:
        """Values [models, draws, N] of a test set; their mean over draws where the backgrounds are not known."""
        known = test in self.backgrounds or values.shape[1] == 1
        return Term(values if known else values.mean(axis=1, keepdims=True), self.backgrounds.get(test))

    def share(self, flags: np.ndarray, test: str) -> Estimate:
        """The class-balanced share of the images of a test set that have a flag, bool [models, draws, N]."""
        values, backgrounds = self._term(flags, test)
        return estimates.share(values, self.labels[test], self.fold_of(test), backgrounds)

    def accuracy(self, test: str) -> Estimate:
        """Class-balanced accuracy on one test set, the mean over draws and models, with its interval."""
        return self.share(self.correct(test), test)

    def difference(self, first: str, second: str, kept: np.ndarray | None = None) -> Estimate:
        """Accuracy on one test set minus that on another with the same foregrounds, with a paired interval.

        ``kept``, bool [N], tells which of the foregrounds count: all of them, if it is None.
        """
        return self.sum_of([self.term(first), self.term(second, -1)], first, kept)

    def sum_of(self, terms: Sequence[Term], test: str, kept: np.ndarray | None = None) -> Estimate:
        """A sum of class-balanced means over the images of a test set, or those kept, with a paired interval."""
        return estimates.balanced_mean(terms, self.labels[test], self.fold_of(test), kept)

    def gap(self, kept: np.ndarray | None = None) -> Estimate:
        """BG-Gap: Mixed-Same minus Mixed-Rand (section 4), on all foregrounds or on those kept, bool [N]."""
        return self.difference("mixed_same", "mixed_rand", kept)


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
    return first.sum_of([first.term(test), second.term(second_test or test, -1)], test)


def gap_change(first: Predictions, second: Predictions) -> Estimate:
    """The BG-Gap of the first models minus that of the second, paired by image; of the seeds that both have."""
    return gap_change_between(*with_same_seeds(first, second))


def gap_change_between(first: Predictions, second: Predictions) -> Estimate:
    """The same of models that were measured on the same images and draws, whatever their seeds."""
    terms = [
        models.term(test, sign)
        for models, test, sign in (
            (first, "mixed_same", 1),
            (first, "mixed_rand", -1),
            (second, "mixed_same", -1),
            (second, "mixed_rand", 1),
        )
    ]
    return first.sum_of(terms, "mixed_same")


# ------------------------------------------------------------------------------------------------------- predicting


def exact_convolutions() -> AbstractContextManager[None]:
    """Convolutions in full float32, always by the same algorithm; on a GPU they are rounded to 19 bits otherwise."""
    return torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False)


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch on one thread: more would round sums differently, so that a result depended on how many there are.

    For a few images at a time it is also quicker; more threads wait for each other where the machine is busy.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def default_batch_size(image_size: int, device: torch.device) -> int:
    """As many images as a GPU likes, or as fit a processor's cache: there larger batches are slower by a quarter."""
    return 512 if device.type == "cuda" else max(32, min(256, 2**18 // image_size**2))


def search_batch_size(image_size: int, device: torch.device) -> int:
    """The same for a search, but on a GPU half of it, as the next batch is chosen by the answers to the last."""
    return default_batch_size(image_size, device) // (2 if device.type == "cuda" else 1)


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
    classifier: Callable[[Tensor], Tensor], pool: Pool, variant: str, seed: int = 0, batch_size: int | None = None
) -> np.ndarray:
    """Predictions on one variant of a pool: int64 [N]. The mixed variants' backgrounds are drawn from ``seed``."""
    size = batch_size or default_batch_size(pool.images.shape[-1], pool.device)
    return predict(classifier, variants.composer(variant, pool, seed), len(pool), pool.device, size)


def predict_all(
    classifier: Callable[[Tensor], Tensor], pool: Pool, whole: Pool, seed: int = 0, draws: int = 1
) -> dict[str, np.ndarray]:
    """Predictions on every test set: name -> int64 [draws, N].

    ``whole`` is the pool of IN-9L. Mixed test sets are drawn so many times, from ``seed`` on; the others are what they
    are, and have one draw.
    """
    answers = {}
    for test in TEST_SETS:
        images, variant = (whole, "original") if test == IN9L else (pool, test)
        seeds = range(seed, seed + draws) if variant in MIXED else [seed]
        answers[test] = np.stack([predict_variant(classifier, images, variant, each) for each in seeds])
    return answers
