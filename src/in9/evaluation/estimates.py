"""Estimates: numbers with intervals, and tests, for what was measured image by image.

The paper gives single numbers without error bars; every number here gets an interval. Values are fractions in [0, 1],
or bool for right or wrong. Every class that is present counts the same, as in the paper's balanced test sets. Wrong
shapes and empty input raise ``ValueError``: they are the programmer's mistakes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from in9.evaluation.clusters import NORMAL, Design


class Percent(NamedTuple):
    """An estimate and the two ends of its interval in percent (or, for differences, in points)."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Estimate:
    """A fraction or a difference of fractions, with the two ends of its 95 % interval."""

    value: float
    low: float
    high: float

    def in_percent(self) -> Percent:
        """The same three numbers times 100."""
        return Percent(100 * self.value, 100 * self.low, 100 * self.high)

    def text(self, digits: int = 1) -> str:
        """``"79.3 [77.9, 80.6]"``: percent, with ``digits`` decimals and never a minus zero."""
        value, low, high = (f"{number:z.{digits}f}" for number in self.in_percent())
        return f"{value} [{low}, {high}]"


def wilson(successes: float, trials: float) -> Estimate:
    """Wilson's score interval for a proportion; both counts may be fractional (effective counts)."""
    if not (trials > 0 and 0 <= successes <= trials):
        raise ValueError(f"{successes} successes in {trials} trials; expected 0 <= successes <= trials > 0")
    value = successes / trials
    z = NORMAL
    scale = 1 + z**2 / trials
    centre = (value + z**2 / (2 * trials)) / scale
    half = z / scale * math.sqrt(value * (1 - value) / trials + z**2 / (4 * trials**2))
    # Rounding must not push an end past the value or out of [0, 1].
    low = 0.0 if value == 0 else min(max(centre - half, 0.0), value)
    high = 1.0 if value == 1 else max(min(centre + half, 1.0), value)
    return Estimate(value, low, high)


class Term(NamedTuple):
    """One part of a sum of class-balanced means: values measured on the same images as those of the other parts.

    ``values`` is float or bool [models, draws, images], or [images] for one model and one draw; the sign is in them.
    ``backgrounds`` is int [draws, images] (or [images]): for each mixed image the row of the image that its background
    comes from, counted like the images of ``values``. It is None, and draws is 1, where every image keeps its own
    background or has none.
    """

    values: ArrayLike
    backgrounds: ArrayLike | None = None


def balanced_mean(
    terms: Sequence[Term], labels: ArrayLike, folds: ArrayLike | None = None, kept: ArrayLike | None = None
) -> Estimate:
    """The sum over terms of the class-balanced mean of their values: a BG-Gap is Term(same) and Term(-rand).

    Several models are seeds, all tested on the same images: row i of every term is the same trained model. With
    ``folds``, int [images], there is one row, and images of different folds were answered by different models; the
    backgrounds of a fold come from the same fold. With one model the interval speaks of that model alone. With
    ``kept``, bool [images], the means are over the images that are kept as objects, at least one, every class among
    them counting the same; any image may still be a background.

    The interval is analytic. Each value is taken as its deviation from the mean of its class, and deviations that have
    an image in common, as object or as background, may be correlated: their products are added up (two-way clusters).
    Models add what the spread of their estimates has in excess of what images explain, with a quantile of Student's t,
    as they are few: the squared half-width is z^2 V + t^2 max(0, M - 0.8 V'), where V is the variance by images, M the
    variance by the spread of models, and V' the part of M that images explain. By simulation 95 % intervals then cover
    the truth in 93 to 97 % of samples with one model, with 3 seeds and with 5 folds (up to 98 % if these networks do
    not vary at all). Two models tell too little of their spread: t has two degrees of freedom there instead of one,
    which would make the interval three times as wide, and the coverage falls to 85 to 95 %, or to as little as 82 % if
    models vary far more than images.

    Swapping all signs negates the value and swaps the negated ends.
    """
    design = Design(terms, labels, folds, kept)
    half = math.sqrt(design.squared_half_width())
    return Estimate(design.value, design.value - half, design.value + half)


def share(
    values: ArrayLike,
    labels: ArrayLike,
    folds: ArrayLike | None = None,
    backgrounds: ArrayLike | None = None,
    kept: ArrayLike | None = None,
) -> Estimate:
    """The same for a single term with values in [0, 1], an accuracy or a share; the interval stays in [0, 1].

    It is Wilson's interval at the number of images that would give this variance V to right-or-wrong answers of mean p:
    p (1 - p) / V. Where hardly any images differ from the mean of their class, V is hardly known, and a V near 0 is
    chance. So V is at least its weighted geometric mean with the variance of right-or-wrong answers at Kish's effective
    sample size, which counts like ten images; V counts like as many as make it up, less one. With all right or all
    wrong, or but one image in between, this leaves Kish's size, however many the draws and the models.
    """
    design = Design([Term(values, backgrounds)], labels, folds, kept)
    least, most = design.extremes
    if least < 0 or most > 1:
        raise ValueError(f"values lie between {least:g} and {most:g}; expected between 0 and 1")
    value = least if least == most else min(max(design.value, 0.0), 1.0)
    images = 1.0 / math.fsum(design.weights**2)
    binomial = value * (1 - value)
    if binomial > 0:
        variance = design.squared_half_width() / NORMAL**2
        known = max(design.informative_images() - 1, 0.0)
        known /= known + 10
        images = binomial / max(variance, variance**known * (binomial / images) ** (1 - known))
    return wilson(value * images, images)


def mcnemar(first: ArrayLike, second: ArrayLike) -> float:
    """Exact two-sided p-value of McNemar's test: are the two equally often right on the same images?

    Bool [images] or [1, images], one model and one draw; every image counts the same. 1.0 when the two are right on
    the same images.
    """
    left, right = _answers("first", first), _answers("second", second)
    if left.shape != right.shape:
        raise ValueError(f"first has {left.size} images and second {right.size}; expected the same images")
    only_first, only_second = int(np.sum(left & ~right)), int(np.sum(~left & right))
    if only_first + only_second == 0:
        return 1.0
    return float(stats.binomtest(only_first, only_first + only_second, 0.5).pvalue)


def _answers(name: str, values: ArrayLike) -> np.ndarray:
    """The answers of one model to one draw as bool, shape [images]."""
    array = np.asarray(values)
    if array.ndim not in (1, 2) or array.size == 0 or array.size != array.shape[-1]:
        raise ValueError(f"{name} has shape {array.shape}; expected one model, shape [images], not empty")
    if array.dtype != np.bool_ and not np.isin(array, (0, 1)).all():
        raise ValueError(f"{name} holds values of type {array.dtype} other than 0 and 1; expected bool")
    return array.ravel().astype(bool)
