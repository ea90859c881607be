"""Clusters: how uncertain class-balanced means are whose values share images, as objects or as backgrounds."""

from __future__ import annotations

from collections.abc import Sequence
from math import fsum

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

LEVEL = 0.95
"""Of every interval."""
NORMAL = float(stats.norm.ppf(0.5 + LEVEL / 2))
"""How many standard errors an interval reaches to either side, by the normal distribution."""


def class_weights(labels: ArrayLike) -> np.ndarray:
    """One weight per image, float64, shape [images]: they sum to 1 and each class present gets the same share."""
    array = np.asarray(labels)
    if array.ndim != 1 or array.size == 0:
        raise ValueError(f"labels has shape {array.shape}; expected [images], not empty")
    _, inverse, counts = np.unique(array, return_inverse=True, return_counts=True)
    return 1.0 / (len(counts) * counts[inverse])


class Design:
    """Terms (values and backgrounds, see ``estimates.Term``), checked, and which of their values share images.

    ``folds`` int [images] and ``kept`` bool [images] are as in ``estimates.balanced_mean``. Only the values of images
    that are kept are held, and counted from 0; backgrounds are rows of all images.

    ``value`` is the sum of means, ``weights`` float [kept] what each image counts, ``objects`` float [kept] the
    weighted deviation of each image as an object, ``extremes`` the least and the largest of all values.
    """

    def __init__(
        self,
        terms: Sequence[tuple[ArrayLike, ArrayLike | None]],
        labels: ArrayLike,
        folds: ArrayLike | None = None,
        kept: ArrayLike | None = None,
    ) -> None:
        if not terms:
            raise ValueError("no terms; expected at least one")
        values = [_term_values(each) for each, _ in terms]
        self.models, _, images = values[0].shape
        for array in values:
            if (len(array), array.shape[-1]) != (self.models, images):
                shapes = ", ".join(str(array.shape) for array in values)
                raise ValueError(f"the values have shapes {shapes}; expected the same models and images in all terms")
        all_classes, all_folds = _numbered("label", labels, images), np.zeros(images, np.int64)
        if folds is not None:
            all_folds = _numbered("fold", folds, images)
            if self.models > 1:
                raise ValueError(f"values has {self.models} models; expected one row where folds tell models apart")
        backgrounds = [
            _term_backgrounds(rows, array.shape[1:], all_folds) for (_, rows), array in zip(terms, values, strict=True)
        ]
        self.kept = _kept_rows(kept, images)
        values = [array[..., self.kept] for array in values]
        backgrounds = [None if rows is None else rows[:, self.kept] for rows in backgrounds]

        all_cells = all_folds * (all_classes.max() + 1) + all_classes
        self.classes, self.folds, self.cells = (each[self.kept] for each in (all_classes, all_folds, all_cells))
        self.weights = class_weights(self.classes)
        self.extremes = min(float(array.min()) for array in values), max(float(array.max()) for array in values)
        # A sum over draws, divided by their number, is what all terms are added up from.
        scaled = [array / array.shape[1] for array in values]
        self.sums = np.sum([array.sum(axis=1) for array in scaled], axis=0)  # [models, kept]
        self.value = fsum(self.sums.mean(axis=0) * self.weights)
        self.objects = self._object_sums(self.sums.mean(axis=0))

        mixed = [(array, rows) for array, rows in zip(scaled, backgrounds, strict=True) if rows is not None]
        self.mixed = np.concatenate([array for array, _ in mixed], axis=1).reshape(self.models, -1) if mixed else None
        if mixed:
            self._pair_up([rows for _, rows in mixed], all_classes)
        self.of_objects, self.of_backgrounds = _small_sample(self.cells), _small_sample(all_cells)

    def _pair_up(self, backgrounds: list[np.ndarray], classes: np.ndarray) -> None:
        """Prepare the sums over equal backgrounds, and over equal pairs of object and background, of mixed values."""
        self.background = np.concatenate([rows.ravel() for rows in backgrounds])
        self.object = np.tile(np.arange(len(self.kept)), len(self.background) // len(self.kept))
        # Deviations are from the mean of the images of the same term whose object and background have the same classes:
        # how the classes differ is no chance of the images.
        term = np.repeat(np.arange(len(backgrounds)), [rows.size for rows in backgrounds])
        kinds = self.cells[self.object] * (classes.max() + 1) + classes[self.background]
        self.groups = term * (kinds.max() + 1) + kinds
        self.pairs = np.unique(self.object * len(classes) + self.background, return_inverse=True)[1]

    def _object_sums(self, sums: np.ndarray) -> np.ndarray:
        """Weighted deviations of each object from its class in its fold, for sums over draws and terms, [kept]."""
        return self.weights * _deviations(sums, self.cells)

    def _image_variance(self, sums: np.ndarray, mixed: np.ndarray | None) -> float:
        """The variance by objects and backgrounds, for sums over draws and terms [kept] and mixed values [mixed]."""
        objects = self._object_sums(sums)
        variance = float((objects**2 * self.of_objects).sum())
        if mixed is None:
            return variance
        deviations = self.weights[self.object] * _deviations(mixed, self.groups)
        backgrounds = np.bincount(self.background, deviations, len(self.of_backgrounds))
        # Pairs of values with the background in common, less those with the object in common too, which are in already.
        shared = (backgrounds**2 * self.of_backgrounds).sum() - (np.bincount(self.pairs, deviations) ** 2).sum()
        # Pairs of values in which an image is the object of the first and the background of the second.
        crossed = 2 * (objects * backgrounds[self.kept]).sum()
        return variance + max(float(shared + crossed), 0.0)

    def squared_half_width(self) -> float:
        """The squared half-width of the interval (see ``estimates.balanced_mean``)."""
        mixed = None if self.mixed is None else self.mixed.mean(axis=0)
        variance = self._image_variance(self.sums.mean(axis=0), mixed)
        models, spread, explained = len(np.unique(self.folds)), 0.0, variance
        if models > 1:
            deviations = self.weights * _deviations(self.sums[0], self.classes)
            spread = models / (models - 1) * float((np.bincount(self.folds, deviations) ** 2).sum())
        elif self.models > 1:
            models = self.models
            apart = self.sums - self.sums.mean(axis=0)
            mixed_apart = [None] * models if self.mixed is None else self.mixed - mixed
            spread = float(((apart @ self.weights) ** 2).sum()) / (models * (models - 1))
            parts = [self._image_variance(*part) for part in zip(apart, mixed_apart, strict=True)]
            explained = sum(parts) / (models * (models - 1))
        if models == 1:
            return NORMAL**2 * variance
        student = float(stats.t.ppf(0.5 + LEVEL / 2, max(models - 1, 2)))
        return NORMAL**2 * variance + student**2 * max(spread - 0.8 * explained, 0.0)

    def informative_images(self) -> float:
        """How many equal deviations of objects would vary as these do: 1 if a single one differs from its class."""
        squares = self.objects**2
        fourth = float((squares**2).sum())
        return float(squares.sum()) ** 2 / fourth if fourth > 0 else 0.0


def _numbered(name: str, values: ArrayLike, images: int) -> np.ndarray:
    """Labels or folds, one for each image, as numbers from 0: int64 [images]."""
    if np.shape(values) != (images,):
        raise ValueError(f"{name}s has shape {np.shape(values)}; expected one {name} for each of {images} images")
    return np.unique(values, return_inverse=True)[1]


def _kept_rows(kept: ArrayLike | None, images: int) -> np.ndarray:
    """The rows of the images that are kept, int64 [kept]."""
    flags = np.ones(images, np.bool_) if kept is None else np.asarray(kept)
    if flags.shape != (images,) or flags.dtype != np.bool_:
        raise ValueError(f"kept has shape {flags.shape} and type {flags.dtype}; expected bool, [{images}]")
    if not flags.any():
        raise ValueError("no image is kept; expected at least one")
    return np.flatnonzero(flags)


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


def _small_sample(cells: np.ndarray) -> np.ndarray:
    """Corrections of squared deviations, [images]: n / (n - 1) for n images in the cell, and 1 for one: no spread."""
    counts = np.bincount(cells)[cells]
    return counts / np.maximum(counts - 1, 1)
