"""Two classifiers side by side: pictures of an object on any background, and what each classifier makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from in9.data.variants import MIXED, VARIANTS, Pool, compose, load_pool
from in9.errors import In9Error
from in9.evaluation.predictions import exact_convolutions, one_thread
from in9.evaluation.saliency.maps import saliency_maps
from in9.study.jobs import evaluations
from in9.study.study import Study
from in9.taxonomy import NUM_CLASSES
from in9.training.networks import Classifier

ALONE = tuple(variant for variant in VARIANTS if variant not in MIXED)
METHOD = "gradcam_finer"  # the map that the chapter on saliency shows
OUTCOMES = {"right": "right", "background": "wrong: the background's class", "other": "wrong"}
"""What an answer can be, and how the page puts it in words."""


class Responses(NamedTuple):
    """What C classifiers make of N pictures: ``shares`` float32 [C, N, 9], of sum 1; ``maps`` float32 [C, N, S, S]."""

    shares: np.ndarray
    maps: np.ndarray


@dataclass(frozen=True)
class Comparison:
    """The test images to choose from, and the two classifiers by what they were trained on."""

    pool: Pool
    classifiers: dict[str, Classifier]

    def members(self, label: int) -> Tensor:
        """The rows of a class in the pool: int64 [n]."""
        return torch.nonzero(self.pool.labels == label)[:, 0]

    def respond(self, images: Tensor) -> Responses:
        """The scores of uint8 [N, 3, S, S] as shares (softmax), and Grad-CAM of each classifier's answer."""
        shares, maps = [], []
        with one_thread():
            for classifier in self.classifiers.values():
                with torch.no_grad(), exact_convolutions():
                    scores = classifier(images)[:, :NUM_CLASSES].softmax(1)
                shares.append(scores.cpu().numpy())
                maps.append(saliency_maps(classifier, images, scores.argmax(1), METHOD))
        return Responses(np.stack(shares), np.stack(maps))


def compare(study: Study, trained_on: Sequence[str] = ("original", "mixed_rand")) -> Comparison:
    """The study's test images and the classifiers trained on two of its training sets; trained now if not there.

    Raises In9Error for other than two training sets, or one that does not exist, and NotMeasured if the study has no
    weights and does not compute.
    """
    if len(set(trained_on)) != 2 or len(trained_on) != 2:
        raise In9Error(f"trained_on must name two training sets to compare; got {', '.join(trained_on) or 'none'}.")
    recipes = [study.profile.recipe_on(train) for train in trained_on]
    if study.compute:
        study.measure(evaluations(study.profile, recipes))  # trains what is missing side by side
    classifiers = dict(zip(trained_on, map(study.classifier, recipes), strict=True))
    device = next(iter(classifiers.values())).mean.device
    seen_by_none = study.dataset.of_fold(recipes[0].fold)
    return Comparison(load_pool(seen_by_none, "test", device=device), classifiers)


def mixed_variant(label: int, background: int) -> str:
    """The variant that puts an object of one class on a background of another, or of its own."""
    if label == background:
        return "mixed_same"
    return "mixed_next" if background == (label + 1) % NUM_CLASSES else "mixed_rand"


def pictures_of(pool: Pool, row: int, backgrounds: Tensor) -> Tensor:
    """One object on B backgrounds, then its own image in the five variants of ``ALONE``: uint8 [B + 5, 3, S, S].

    ``backgrounds`` is int64 [B], rows of the pool.
    """
    rows = torch.tensor([row], device=pool.device)
    mixed = compose("mixed_rand", pool, rows.expand(len(backgrounds)), backgrounds)
    return torch.cat([mixed, *(compose(variant, pool, rows) for variant in ALONE)])


def outcomes(answers: ArrayLike, labels: ArrayLike, backgrounds: ArrayLike) -> np.ndarray:
    """Whether answers are ``right``, the ``background``'s class or any ``other``: keys of ``OUTCOMES``.

    The three are classes, of shapes that fit each other; the result has their common shape.
    """
    answers = np.asarray(answers)
    return np.select([answers == labels, answers == backgrounds], ["right", "background"], "other")
