"""What is measured on a trained classifier: functions (classifier, dataset, device, options) that give results.

Results and ``options`` are plain JSON values, and ``options`` are part of the record's settings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from in9.data import variants
from in9.data.dataset import Dataset
from in9.errors import In9Error
from in9.evaluation.adversarial.pairs import measure_attacks
from in9.evaluation.predictions import predict_all, predict_variant
from in9.evaluation.records import to_digits
from in9.evaluation.saliency.scores import measure_saliency
from in9.taxonomy import NUM_CLASSES
from in9.training.recipe import IN9L


def measure_evaluation(
    classifier: Callable[[Tensor], Tensor], dataset: Dataset, device: torch.device, options: dict[str, Any]
) -> dict[str, Any]:
    """The results of an evaluation record: true and predicted classes on every test set, a digit for each image.

    ``options``: ``test_seed`` decides the backgrounds of the mixed variants, which are drawn ``draws`` times: then
    their predictions are lists with one entry for each draw.
    """
    pool = variants.load_pool(dataset, "test", device=device)
    whole = variants.load_pool(dataset, "test", accepted=False, device=device)
    predictions = predict_all(classifier, pool, whole, options["test_seed"], draws=options.get("draws", 1))
    texts = {name: [to_digits(answers) for answers in draws] for name, draws in predictions.items()}
    return {
        "labels": {"in9": to_digits(pool.labels.tolist()), IN9L: to_digits(whole.labels.tolist())},
        "predictions": {name: draws[0] if len(draws) == 1 else draws for name, draws in texts.items()},
    }


def drawn_backgrounds(dataset: Dataset, options: dict[str, Any]) -> dict[str, Any]:
    """The results of a record of draws: the background of each test image, as a row of the test images.

    ``options`` are those of an evaluation, whose draws these are; rows are lists of text with one entry for each draw.
    Raises In9Error if there are fewer test images than draws.
    """
    pool, seed, draws = variants.load_pool(dataset, "test"), options["test_seed"], options["draws"]
    fewest = min(pool.labels.bincount(minlength=NUM_CLASSES).tolist())
    if fewest < draws:
        raise In9Error(
            f"Mixed test sets are to be drawn {draws} times, and a class has only {fewest} backgrounds; "
            "lower the profile's draws, or give more images."
        )
    rows = {
        test: [variants.draw_backgrounds(test, pool, each)[0].tolist() for each in range(seed, seed + draws)]
        for test in variants.MIXED
    }
    return {"backgrounds": {test: [" ".join(map(str, row)) for row in each] for test, each in rows.items()}}


def measure_validation(
    classifier: Callable[[Tensor], Tensor], dataset: Dataset, device: torch.device, options: dict[str, Any]
) -> dict[str, Any]:
    """True and predicted classes of the validation images, those without a good mask among them; no ``options``."""
    pool = variants.load_pool(dataset, "validation", accepted=False, device=device)
    if not len(pool):
        raise In9Error("This dataset has no validation images to try recipes on; build it with more images.")
    answers = predict_variant(classifier, pool, "original")
    return {"labels": {IN9L: to_digits(pool.labels.tolist())}, "predictions": {IN9L: to_digits(answers)}}


def changed_masks(masks: Tensor, pixels: int) -> Tensor:
    """Masks bool [N, 1, S, S] grown by so many pixels on every side, or shrunk where ``pixels`` is negative.

    An object that touches the edge of the image is taken to continue beyond it.
    """
    marked = masks if pixels > 0 else ~masks
    side = abs(pixels)
    grown = nn.functional.max_pool2d(marked.float(), 2 * side + 1, 1, side) > 0
    return grown if pixels > 0 else ~grown


def measure_masks(
    classifier: Callable[[Tensor], Tensor], dataset: Dataset, device: torch.device, options: dict[str, Any]
) -> dict[str, Any]:
    """What a classifier answers on Mixed-Same and Mixed-Rand whose masks were grown or shrunk, boxes as they were.

    ``options``: ``pixels``, a list, and ``test_seed`` as for an evaluation. Predictions have one entry for each change;
    ``shares`` are the foreground's mean shares of the image, unchanged and changed, ``areas`` those of each image.
    """
    pool = variants.load_pool(dataset, "test", device=device)
    pools = [replace(pool, masks=changed_masks(pool.masks, pixels)) for pixels in options["pixels"]]
    return {
        "labels": {"in9": to_digits(pool.labels.tolist())},
        "shares": [round(float(changed.masks.float().mean()), 5) for changed in (pool, *pools)],
        "areas": [round(area, 4) for area in pool.masks.float().mean((1, 2, 3)).tolist()],
        "predictions": {
            test: [to_digits(predict_variant(classifier, changed, test, options["test_seed"])) for changed in pools]
            for test in ("mixed_same", "mixed_rand")
        },
    }


MEASUREMENTS: Mapping[str, Callable[..., dict[str, Any]]] = MappingProxyType(
    {
        "evaluation": measure_evaluation,
        "adversarial": measure_attacks,
        "saliency": measure_saliency,
        "validation": measure_validation,
        "masks": measure_masks,
    }
)
"""What can be measured: kind of record -> function."""
