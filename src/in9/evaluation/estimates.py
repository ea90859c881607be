"""Estimates: numbers with intervals, and tests, for right-or-wrong answers.

The paper gives single numbers without error bars; every number here gets an interval. Answers are bool arrays of
shape [images] (one trained model) or [seeds, images] (one row per trained model), labels are int arrays of shape
[images], values are fractions in [0, 1]. Every class that is present counts the same, as in the paper's balanced
test sets. Wrong shapes, empty input and impossible levels raise ``ValueError``: they are the programmer's mistakes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
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


class Term(NamedTuple):
    """One part of a sum of class-balanced means: values measured on the same images as those of the other parts.

    ``values`` is float [models, draws, images], or [images] for one model and one draw; the sign is in the values.
    ``backgrounds`` is int [draws, images] (or [images]): for each mixed image the row of the image that its background
    comes from, counted like the images of ``values``. It is None, and draws is 1, where every image keeps its own
    background or has none.
    """

    values: ArrayLike
    backgrounds: ArrayLike | None = None


def balanced_mean(
    terms: Sequence[Term], labels: ArrayLike, folds: ArrayLike | None = None, level: float = 0.95
) -> Estimate:
    """The sum over terms of the class-balanced mean of their values: a BG-Gap is Term(same) and Term(-rand).

    Several models are seeds, all tested on the same images: row i of every term is the same trained model. With
    ``folds``, int [images], there is one row, and images of different folds were answered by different models; the
    backgrounds of a fold come from the same fold. With one model the interval speaks of that model alone.

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
    _check_level(level)
    design = _Design(terms, labels, folds)
    half = math.sqrt(design.squared_half_width(level))
    return Estimate(design.value, design.value - half, design.value + half, level)


def share(
    values: ArrayLike,
    labels: ArrayLike,
    folds: ArrayLike | None = None,
    backgrounds: ArrayLike | None = None,
    level: float = 0.95,
) -> Estimate:
    """The same for a single term with values in [0, 1], an accuracy or a share; the interval stays in [0, 1].

    It is Wilson's interval at the number of images that would give this variance V to right-or-wrong answers of mean p:
    p (1 - p) / V. Where hardly any images differ from the mean of their class, V is hardly known, and a V near 0 is
    chance. So V is at least its weighted geometric mean with the variance of right-or-wrong answers at Kish's effective
    sample size, which counts like ten images; V counts like as many as make it up, less one. With all right or all
    wrong, or but one image in between, this leaves Kish's size, however many the draws and the models.
    """
    _check_level(level)
    design = _Design([Term(values, backgrounds)], labels, folds)
    least, most = design.extremes
    if least < 0 or most > 1:
        raise ValueError(f"values lie between {least:g} and {most:g}; expected between 0 and 1")
    value = least if least == most else min(max(design.value, 0.0), 1.0)
    images = 1.0 / math.fsum(design.weights**2)
    binomial = value * (1 - value)
    if binomial > 0:
        variance = design.squared_half_width(level) / float(stats.norm.ppf(0.5 + level / 2)) ** 2
        known = max(design.informative_images() - 1, 0.0)
        known /= known + 10
        images = binomial / max(variance, variance**known * (binomial / images) ** (1 - known))
    return wilson(value * images, images, level)


class _Design:
    """Terms, checked, and which of their values have images in common.

    ``weights`` is what each image counts, ``objects`` the sum of weighted deviations of each image as an object.
    """

    def __init__(self, terms: Sequence[Term], labels: ArrayLike, folds: ArrayLike | None) -> None:
        if not terms:
            raise ValueError("no terms; expected at least one")
        values = [_term_values(term.values) for term in terms]
        self.models, _, images = values[0].shape
        for array in values:
            if (len(array), array.shape[-1]) != (self.models, images):
                shapes = ", ".join(str(array.shape) for array in values)
                raise ValueError(f"the values have shapes {shapes}; expected the same models and images in all terms")
        self.classes = np.unique(_same_images(values[0], labels), return_inverse=True)[1]
        self.folds = np.zeros(images, np.int64)
        if folds is not None:
            if np.shape(folds) != (images,):
                raise ValueError(f"folds has shape {np.shape(folds)}; expected one fold for each of {images} images")
            if self.models > 1:
                raise ValueError(f"values has {self.models} models; expected one row where folds tell models apart")
            self.folds = np.unique(folds, return_inverse=True)[1]
        backgrounds = [
            _term_backgrounds(term.backgrounds, array.shape[1:], self.folds)
            for term, array in zip(terms, values, strict=True)
        ]
        self.weights = class_weights(self.classes)
        self.extremes = min(float(array.min()) for array in values), max(float(array.max()) for array in values)

        self.cells = self.folds * (self.classes.max() + 1) + self.classes
        # A sum over draws, divided by their number, is what all terms are added up from.
        scaled = [array / array.shape[1] for array in values]
        self.sums = np.sum([array.sum(axis=1) for array in scaled], axis=0)  # [models, images]
        self.value = math.fsum(self.sums.mean(axis=0) * self.weights)

        mixed = [(array, rows) for array, rows in zip(scaled, backgrounds, strict=True) if rows is not None]
        self.mixed = np.concatenate([array for array, _ in mixed], axis=1).reshape(self.models, -1) if mixed else None
        if mixed:
            self._pair_up([rows for _, rows in mixed])
        self.objects = self._object_sums(self.sums.mean(axis=0))

    def _pair_up(self, backgrounds: list[np.ndarray]) -> None:
        """Prepare the sums over equal backgrounds, and over equal pairs of object and background, of mixed values."""
        images = len(self.classes)
        self.background = np.concatenate([rows.ravel() for rows in backgrounds])
        self.object = np.tile(np.arange(images), len(self.background) // images)
        # Deviations are from the mean of the images of the same term whose object and background have the same classes:
        # how the classes differ is no chance of the images.
        term = np.repeat(np.arange(len(backgrounds)), [rows.size for rows in backgrounds])
        kinds = self.cells[self.object] * (self.classes.max() + 1) + self.classes[self.background]
        self.groups = term * (kinds.max() + 1) + kinds
        self.pairs = np.unique(self.object * images + self.background, return_inverse=True)[1]

    def _object_sums(self, sums: np.ndarray) -> np.ndarray:
        """Weighted deviations of each object from its class in its fold, for sums over draws and terms, [images]."""
        return self.weights * _deviations(sums, self.cells)

    def image_variance(self, sums: np.ndarray, mixed: np.ndarray | None) -> float:
        """The variance by objects and backgrounds, for sums over draws and terms [images] and mixed values [mixed]."""
        objects = self._object_sums(sums)
        # n / (n - 1), and 1 where there is one image, which shows no spread.
        counts = np.bincount(self.cells)[self.cells]
        small_sample = counts / np.maximum(counts - 1, 1)
        variance = float((objects**2 * small_sample).sum())
        if mixed is None:
            return variance
        deviations = self.weights[self.object] * _deviations(mixed, self.groups)
        backgrounds = np.bincount(self.background, deviations, len(objects))
        # Pairs of values with the background in common, less those with the object in common too, which are in already.
        shared = (backgrounds**2 * small_sample).sum() - (np.bincount(self.pairs, deviations) ** 2).sum()
        # Pairs of values in which an image is the object of the first and the background of the second.
        crossed = 2 * (objects * backgrounds).sum()
        return variance + max(float(shared + crossed), 0.0)

    def squared_half_width(self, level: float) -> float:
        """The squared half-width of the interval (see ``balanced_mean``)."""
        normal = float(stats.norm.ppf(0.5 + level / 2))
        mixed = None if self.mixed is None else self.mixed.mean(axis=0)
        variance = self.image_variance(self.sums.mean(axis=0), mixed)
        models, spread, explained = int(self.folds.max()) + 1, 0.0, variance
        if models > 1:
            deviations = self.weights * _deviations(self.sums[0], self.classes)
            spread = models / (models - 1) * float((np.bincount(self.folds, deviations) ** 2).sum())
        elif self.models > 1:
            models = self.models
            apart = self.sums - self.sums.mean(axis=0)
            mixed_apart = [None] * models if self.mixed is None else self.mixed - mixed
            spread = float(((apart @ self.weights) ** 2).sum()) / (models * (models - 1))
            parts = [self.image_variance(*part) for part in zip(apart, mixed_apart, strict=True)]
            explained = sum(parts) / (models * (models - 1))
        if models == 1:
            return normal**2 * variance
        student = float(stats.t.ppf(0.5 + level / 2, max(models - 1, 2)))
        return normal**2 * variance + student**2 * max(spread - 0.8 * explained, 0.0)

    def informative_images(self) -> float:
        """How many equal deviations of objects would vary as these do: 1 if a single one differs from its class."""
        squares = self.objects**2
        fourth = float((squares**2).sum())
        return float(squares.sum()) ** 2 / fourth if fourth > 0 else 0.0


def _term_values(values: ArrayLike) -> np.ndarray:
    """The values of a term as float64, shape [models, draws, images]."""
    array = np.asarray(values, np.float64)
    shape = array.shape
    array = array[None, None] if array.ndim == 1 else array
    if array.ndim != 3 or array.size == 0 or not np.isfinite(array).all():
        raise ValueError(f"values has shape {shape}; expected [models, draws, images] or [images], finite, not empty")
    return array


def _term_backgrounds(backgrounds: ArrayLike | None, shape: tuple[int, ...], folds: np.ndarray) -> np.ndarray | None:
    """The backgrounds of a term with values of this shape, [draws, images], or None."""
    if backgrounds is None:
        if shape[0] != 1:
            raise ValueError(f"{shape[0]} draws without backgrounds; expected one draw")
        return None
    rows = np.atleast_2d(np.asarray(backgrounds))
    if rows.shape != shape or not np.issubdtype(rows.dtype, np.integer):
        raise ValueError(f"backgrounds has shape {rows.shape} and type {rows.dtype}; expected rows, int {list(shape)}")
    if rows.min() < 0 or rows.max() >= len(folds):
        raise ValueError(f"backgrounds lie between {rows.min()} and {rows.max()}; expected rows of {len(folds)} images")
    if (folds[rows] != folds).any():
        raise ValueError("an object and its background are of different folds; expected rows counted over all folds")
    return rows


def _deviations(values: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Values minus the mean of their group: float and int [values] -> float [values]; exactly 0 up to rounding."""
    counts = np.bincount(groups)
    means = np.bincount(groups, values) / np.maximum(counts, 1)
    deviations = values - means[groups]
    return np.where(np.abs(deviations) > 1e-12 * np.abs(values).max(), deviations, 0.0)
