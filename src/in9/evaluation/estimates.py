"""Estimates: numbers with intervals, and tests, for right-or-wrong answers.

The paper gives single numbers without error bars; every number here gets an interval. Answers are bool arrays of
shape [images] (one trained model) or [seeds, images] (one row per trained model), labels are int arrays of shape
[images], values are fractions in [0, 1]. Every class that is present counts the same, as in the paper's balanced
test sets. Wrong shapes, empty input and impossible levels raise ``ValueError``: they are the programmer's mistakes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from in9 import seeds

DRAWS = 2000


class Percent(NamedTuple):
    """An estimate and the two ends of its interval in percent (or, for differences, in points)."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Estimate:
    """A fraction or a difference of fractions, with the two ends of its interval at ``level``."""

    value: float
    low: float
    high: float
    level: float = 0.95

    def in_percent(self) -> Percent:
        """The same three numbers times 100."""
        return Percent(100 * self.value, 100 * self.low, 100 * self.high)

    def text(self, digits: int = 1) -> str:
        """``"79.3 [77.9, 80.6]"``: percent, with ``digits`` decimals and never a minus zero."""
        value, low, high = (f"{number:z.{digits}f}" for number in self.in_percent())
        return f"{value} [{low}, {high}]"


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise ValueError(f"level is {level}; expected a number between 0 and 1, such as 0.95")


def _flags(name: str, values: ArrayLike) -> np.ndarray:
    """The answers as bool, shape [seeds, images]."""
    array = np.asarray(values)
    if array.ndim not in (1, 2) or array.size == 0:
        raise ValueError(f"{name} has shape {array.shape}; expected [images] or [seeds, images], not empty")
    if array.dtype != np.bool_ and not np.isin(array, (0, 1)).all():
        raise ValueError(f"{name} holds values of type {array.dtype} other than 0 and 1; expected bool")
    return np.atleast_2d(array.astype(bool))


def _single(name: str, values: ArrayLike) -> np.ndarray:
    """The answers of one model as bool, shape [images]."""
    array = _flags(name, values)
    if len(array) != 1:
        raise ValueError(f"{name} has {len(array)} seeds; expected one, shape [images]: call once per seed")
    return array[0]


def _same_images(correct: np.ndarray, labels: ArrayLike) -> np.ndarray:
    array = np.asarray(labels)
    if array.shape != correct.shape[-1:]:
        raise ValueError(f"labels has shape {array.shape}; expected one label for each of {correct.shape[-1]} images")
    return array


def wilson(successes: float, trials: float, level: float = 0.95) -> Estimate:
    """Wilson's score interval for a proportion; both counts may be fractional (effective counts)."""
    _check_level(level)
    if not (trials > 0 and 0 <= successes <= trials):
        raise ValueError(f"{successes} successes in {trials} trials; expected 0 <= successes <= trials > 0")
    value = successes / trials
    z = float(stats.norm.ppf(0.5 + level / 2))
    scale = 1 + z**2 / trials
    centre = (value + z**2 / (2 * trials)) / scale
    half = z / scale * math.sqrt(value * (1 - value) / trials + z**2 / (4 * trials**2))
    # Rounding must not push an end past the value or out of [0, 1].
    low = 0.0 if value == 0 else min(max(centre - half, 0.0), value)
    high = 1.0 if value == 1 else max(min(centre + half, 1.0), value)
    return Estimate(value, low, high, level)


def class_weights(labels: ArrayLike) -> np.ndarray:
    """One weight per image, float64, shape [images]: they sum to 1 and each class present gets the same share."""
    array = np.asarray(labels)
    if array.ndim != 1 or array.size == 0:
        raise ValueError(f"labels has shape {array.shape}; expected [images], not empty")
    _, inverse, counts = np.unique(array, return_inverse=True, return_counts=True)
    return 1.0 / (len(counts) * counts[inverse])


def _resampled(values: np.ndarray, labels: np.ndarray, draws: int, generator: np.random.Generator) -> np.ndarray:
    """Bootstrap draws of the class-balanced mean of ``values`` [seeds, images] over seeds: shape [draws].

    Images are resampled within their class, seeds among themselves. Images of a class with the same values for all
    seeds are interchangeable, so how often each pattern of values is drawn is one multinomial draw: the same
    distribution as drawing the images, but far cheaper, and the order of the images plays no part.
    """
    classes = np.unique(labels)
    means = np.zeros((draws, len(values)))
    for label in classes:
        patterns, counts = np.unique(values[:, labels == label].T, axis=0, return_counts=True)
        picks = generator.multinomial(counts.sum(), counts / counts.sum(), size=draws)
        means += picks @ patterns.astype(np.float64) / counts.sum()
    means /= len(classes)
    shares = generator.multinomial(len(values), np.full(len(values), 1 / len(values)), size=draws) / len(values)
    return (means * shares).sum(axis=1)


def accuracy(correct: ArrayLike, labels: ArrayLike, level: float = 0.95, draws: int = DRAWS, seed: int = 0) -> Estimate:
    """Class-balanced accuracy in [0, 1].

    One seed: Wilson's interval at Kish's effective sample size, 1 / (sum of squared weights), which is the number of
    images when the classes have equally many. Several seeds: the value is the mean over seeds, and the interval is
    widened to hold a hierarchical bootstrap (seeds, and images within class, ``draws`` times) as well. The bootstrap
    of few seeds is still too narrow for the spread between seeds: with three, its variance is 2/3 of the true one.
    """
    answers = _flags("correct", correct)
    truth = _same_images(answers, labels)
    weights = class_weights(truth)
    # fsum rounds once, so the order of the images plays no part.
    effective = 1.0 / math.fsum(weights**2)
    value = min(math.fsum(answers.mean(axis=0) * weights), 1.0)
    plain = wilson(value * effective, effective, level)
    if len(answers) == 1:
        return plain
    sample = _resampled(answers, truth, draws, seeds.generator(seed, "statistics.accuracy"))
    low, high = np.quantile(sample, [0.5 - level / 2, 0.5 + level / 2])
    return Estimate(plain.value, min(plain.low, float(low)), max(plain.high, float(high)), level)


def paired_difference(
    first: ArrayLike,
    second: ArrayLike,
    labels: ArrayLike,
    level: float = 0.95,
    draws: int = DRAWS,
    seed: int = 0,
) -> Estimate:
    """Class-balanced accuracy of ``first`` minus that of ``second``, in [-1, 1], on the same images (BG-Gap).

    A paired percentile bootstrap: images are resampled within their class, and both arrays share the resample. With
    several seeds, seeds are resampled too, row by row, so row i of both arrays must be the same trained model.
    Swapping the arrays negates the value and swaps the negated ends.

    Where, within each class, the difference is the same for every image (equal arrays are the usual case), the
    interval has zero width: a resample of equal numbers is the same numbers. That says that the sample shows no
    spread, not that there is none.
    """
    _check_level(level)
    left, right = _flags("first", first), _flags("second", second)
    if left.shape != right.shape:
        raise ValueError(f"first has shape {left.shape} and second {right.shape}; expected the same")
    truth = _same_images(left, labels)
    generator = seeds.generator(seed, "statistics.paired_difference")
    return _paired(left.astype(np.int8) - right.astype(np.int8), truth, level, draws, generator)


def paired_mean_difference(
    first: ArrayLike,
    second: ArrayLike,
    labels: ArrayLike,
    level: float = 0.95,
    draws: int = DRAWS,
    seed: int = 0,
) -> Estimate:
    """Class-balanced mean of ``first`` minus that of ``second``, real numbers measured on the same images.

    Both are float [images] or [seeds, images]; either may be one number, such as 0, which gives the mean of the
    other with its interval. The bootstrap is that of ``paired_difference``, and so is what it says of swapping.
    """
    _check_level(level)
    difference = np.atleast_2d(np.asarray(first, np.float64) - np.asarray(second, np.float64))
    if difference.ndim != 2 or difference.size == 0 or not np.isfinite(difference).all():
        raise ValueError(f"the differences have shape {difference.shape}; expected [seeds, images], finite, not empty")
    truth = _same_images(difference, labels)
    return _paired(difference, truth, level, draws, seeds.generator(seed, "statistics.paired_mean_difference"))


def _paired(
    difference: np.ndarray, truth: np.ndarray, level: float, draws: int, generator: np.random.Generator
) -> Estimate:
    """The class-balanced mean of differences [seeds, images], with its bootstrap interval."""
    value = math.fsum(difference.mean(axis=0) * class_weights(truth))
    # The draws depend on the order of the patterns, and a swap of the arrays reverses that order. So the difference is
    # always bootstrapped with the same sign, and the interval is turned back: a swap then negates it exactly.
    signs = difference[difference != 0]
    turned = value < 0 or (value == 0 and signs.size > 0 and signs[0] < 0)
    sample = _resampled(-difference if turned else difference, truth, draws, generator)
    low, high = np.quantile(sample, [0.5 - level / 2, 0.5 + level / 2])
    # With a narrow level, with few draws, or by rounding, the interval may not hold the value.
    low, high = min(float(low), abs(value)), max(float(high), abs(value))
    return Estimate(value, -high, -low, level) if turned else Estimate(value, low, high, level)


def mcnemar(first: ArrayLike, second: ArrayLike) -> float:
    """Exact two-sided p-value of McNemar's test: are the two equally often right on the same images?

    One seed, shape [images]; every image counts the same. 1.0 when the two are right on the same images.
    """
    left, right = _single("first", first), _single("second", second)
    if left.shape != right.shape:
        raise ValueError(f"first has {left.size} images and second {right.size}; expected the same images")
    only_first, only_second = int(np.sum(left & ~right)), int(np.sum(~left & right))
    if only_first + only_second == 0:
        return 1.0
    return float(stats.binomtest(only_first, only_first + only_second, 0.5).pvalue)


def rate(flags: ArrayLike, level: float = 0.95) -> Estimate:
    """The share of true flags, shape [flags], every one counting the same, with Wilson's interval."""
    values = _single("flags", flags)
    return wilson(int(values.sum()), values.size, level)
