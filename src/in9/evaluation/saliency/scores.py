"""Saliency scores: how much of a saliency map lies on the object (paper, figure 6).

The paper shows maps of two models and does not name the method that made them. Here the mask turns each map into two
numbers: the share of the map's mass that lies on the foreground, and the pointing game, whether the map's maximum lies
there. An empty map gets the foreground's share of the image in both. Objects tend to be near the middle, and so do
maps; therefore each image is also scored with the maps of the other images.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from in9.data.dataset import Dataset
from in9.data.variants import check_variants, composer, load_pool
from in9.errors import check_known
from in9.evaluation.adversarial.pairs import attacked_rows
from in9.evaluation.predictions import exact_convolutions
from in9.evaluation.records import packed, to_digits
from in9.evaluation.saliency.maps import BATCH_SIZE, METHODS, map_side, saliency_maps
from in9.taxonomy import NUM_CLASSES, UNMAPPED
from in9.training.networks import Classifier

EXPLAINED_CLASSES = ("true", "predicted")


class Scores(NamedTuple):
    """How much of each map is on the foreground; float64 [N] in [0, 1], ``empty`` bool [N]."""

    mass: np.ndarray
    pointing: np.ndarray
    area: np.ndarray
    empty: np.ndarray


def distributions(maps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each map scaled to the sum 1, and a map that is alike at its maxima and zero elsewhere, of sum 1: float64.

    ``maps`` is float [N, S, S], 0 or more. A map of zeros becomes uniform in both.
    """
    if maps.ndim != 3 or not np.isfinite(maps).all() or (maps < 0).any():
        raise ValueError(f"maps of shape {maps.shape} must be [N, S, S], finite and 0 or more")
    filled = np.where(maps.any((1, 2), keepdims=True), maps, 1).astype(np.float64)
    highest = (filled == filled.max((1, 2), keepdims=True)).astype(np.float64)
    return filled / filled.sum((1, 2), keepdims=True), highest / highest.sum((1, 2), keepdims=True)


def foreground_scores(maps: np.ndarray, masks: np.ndarray) -> Scores:
    """Share of each map's mass on the foreground, pointing game, the foreground's share of the image, empty maps.

    ``maps`` is float [N, S, S], 0 or more, ``masks`` bool [N, S, S]. Where several pixels share the maximum, the
    pointing game gives the share of them that is foreground. A map of zeros gets the foreground's share of the image
    in both scores, so that every image counts in every comparison.
    """
    if maps.shape != masks.shape:
        raise ValueError(f"maps have the shape {maps.shape}, masks {masks.shape}; expected the same")
    # Rounding must not push a sum of shares past 1.
    mass, highest = (np.minimum((part * masks).sum((1, 2)), 1) for part in distributions(maps))
    return Scores(mass, highest, masks.mean((1, 2), dtype=np.float64), maps.max((1, 2)) == 0)


def measure_saliency(
    classifier: Classifier, dataset: Dataset, device: torch.device, options: dict[str, Any]
) -> dict[str, Any]:
    """The results of a saliency record: the scores of each image by each method, as text.

    ``_swapped`` is what the image's mask scores with the maps of the other images, on average.
    ``options``: ``per_class`` test images of each class (None for all), ``methods``, ``variant``, and ``of``: whether
    the maps are those of the ``true`` class (the default) or of the ``predicted`` one.
    """
    variant = options["variant"]
    check_variants([variant])
    pool = load_pool(dataset, "test", device=device)
    images = composer(variant, pool, 0)
    chosen = torch.from_numpy(attacked_rows(pool, options["per_class"])).to(device)

    def batches() -> Iterator[tuple[Tensor, Tensor, np.ndarray]]:
        for rows in chosen.split(BATCH_SIZE):
            yield images(rows), pool.labels[rows], pool.masks[rows, 0].cpu().numpy()

    methods = {method: partial(saliency_maps, classifier, method=method) for method in options["methods"]}
    results = scores_of_maps(classifier, batches(), methods, options.get("of", "true"))
    for method, scores in results["methods"].items():
        scores["map_side"] = map_side(classifier, pool.images[:1], method)
    return results


def scores_of_maps(
    classifier: Callable[[Tensor], Tensor],
    batches: Iterable[tuple[Tensor, Tensor, np.ndarray]],
    methods: Mapping[str, Callable[[Tensor, Tensor], np.ndarray]],
    of: str,
) -> dict[str, Any]:
    """The results of ``measure_saliency`` for images that come in batches, but for ``map_side``.

    A batch is images uint8 [B, 3, S, S], their classes int64 [B] and masks bool [B, S, S]; each of ``methods`` gives
    maps of images and classes. A prediction of none of the nine is a dash.
    """
    check_known("class to explain", [of], EXPLAINED_CLASSES)
    labels: list[Tensor] = []
    predictions: list[Tensor] = []
    masks: list[np.ndarray] = []
    parts: dict[str, list[Scores]] = {method: [] for method in methods}
    sums: dict[str, Any] = dict.fromkeys(methods, 0.0)
    for images, own_labels, own_masks in batches:
        with torch.no_grad(), exact_convolutions():
            answers = classifier(images)
        best = answers.argmax(1)
        labels.append(own_labels)
        masks.append(own_masks)
        predictions.append(torch.where(best < NUM_CLASSES, best, UNMAPPED))
        classes = own_labels if of == "true" else answers[:, :NUM_CLASSES].argmax(1)
        for method, maps_of in methods.items():
            maps = maps_of(images, classes)
            parts[method].append(foreground_scores(maps, own_masks))
            sums[method] = sums[method] + np.stack([each.sum(0) for each in distributions(maps)])
    results: dict[str, Any] = {
        "labels": to_digits(torch.cat(labels).tolist()),
        "predictions": to_digits(torch.cat(predictions).tolist()),
        "methods": {},
    }
    for method, scores in parts.items():
        own = Scores(*map(np.concatenate, zip(*scores, strict=True)))
        mass, highest = (np.concatenate([(part * each).sum((1, 2)) for each in masks]) for part in sums[method])
        others = max(len(own.mass) - 1, 1)
        results["area"] = packed(own.area)
        results["methods"][method] = {
            "mass": packed(own.mass),
            "pointing": packed(own.pointing),
            "mass_swapped": packed((mass - own.mass) / others),
            "pointing_swapped": packed((highest - own.pointing) / others),
            "empty": to_digits(own.empty),
        }
    return results


class Examples(NamedTuple):
    """One image of each class: uint8 [9, S, S, 3], masks bool [9, S, S], and maps by (model, method)."""

    images: np.ndarray
    masks: np.ndarray
    maps: dict[tuple[str, str], np.ndarray]


def examples(
    classifiers: Mapping[str, Classifier], dataset: Dataset, methods: Sequence[str] = METHODS, number: int = 0
) -> Examples:
    """Maps of one test image of each class by every classifier and method, of the true class.

    The images are the ``number``-th of each class, not chosen by hand.
    """
    device = next(iter(classifiers.values())).mean.device
    pool = load_pool(dataset, "test", device=device)
    members = [torch.nonzero(pool.labels == label)[:, 0] for label in range(NUM_CLASSES)]
    rows = torch.stack([rows[number % len(rows)] for rows in members])
    images, classes = pool.images[rows], pool.labels[rows]
    maps = {
        (name, method): saliency_maps(classifier, images, classes, method)
        for method in methods
        for name, classifier in classifiers.items()
    }
    return Examples(images.permute(0, 2, 3, 1).cpu().numpy(), pool.masks[rows, 0].cpu().numpy(), maps)
