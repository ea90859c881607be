"""Evaluation: what a classifier answers on each test set, image by image (paper, sections 3 and 4).

Every number that the book prints comes from here: float32, no mixed precision, fixed backgrounds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

import numpy as np
import torch
from torch import Tensor

from in9.data import variants
from in9.data.variants import MIXED, VARIANTS, Pool
from in9.training.recipe import IN9L

TEST_SETS = (*VARIANTS, IN9L)


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
    purpose: str = "test",
    batch_size: int | None = None,
    faithful: bool = False,
) -> np.ndarray:
    """Predictions on one variant of a pool: int64 [N]. The mixed variants' backgrounds are drawn from ``seed``."""
    backgrounds = variants.draw_backgrounds(variant, pool, seed, purpose)[0] if variant in MIXED else None

    def images(rows: Tensor) -> Tensor:
        return variants.compose(variant, pool, rows, None if backgrounds is None else backgrounds[rows], faithful)

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
