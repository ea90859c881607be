"""Adversarial backgrounds: what a classifier says of every object on every background (paper, section 4).

All pairs of foreground and background are predicted once, into one small matrix from which everything follows: int8
[F, B], the predicted class of each foreground on each background, ``UNMAPPED`` if it is none of the nine. Labels
are int [F] and int [B]. A background is Only-BG-T of an image; the mask pastes the foreground.

Two rules say when a foreground is vulnerable. Targeted, the paper's: some background of another class makes the
classifier answer that background's class. Untargeted, the rule of the authors' repository: some background, of
whatever class, makes it answer anything but the foreground's own class.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from in9.data.dataset import Dataset
from in9.data.variants import Pool, compose, load_pool
from in9.evaluation.adversarial.search import Search
from in9.evaluation.predictions import default_batch_size, exact_convolutions, predict
from in9.evaluation.records import to_digits
from in9.taxonomy import NUM_CLASSES, UNMAPPED
from in9.training.recipe import nested_rows

SHARES = (1 / 8, 1 / 4, 1 / 2, 1.0)
"""Nested parts of the backgrounds; a record says of each part who is vulnerable to it."""


def attacked_rows(pool: Pool, per_class: int | None = None, share: float = 1.0) -> np.ndarray:
    """The rows of the pool to attack, or to attack with; see ``nested_rows``."""
    return nested_rows(pool, "adversarial", per_class, share)


def predicted_classes(
    classifier: Callable[[Tensor], Tensor], pool: Pool, foregrounds: Tensor, backgrounds: Tensor
) -> Tensor:
    """The class of each composite of a foreground and a background, rows of the pool int64 [N]: int8 [N].

    A highest score beyond the ninth column says that the classifier chose none of the nine: ``UNMAPPED``.
    """
    with exact_convolutions():
        classes = classifier(compose("mixed_rand", pool, foregrounds, backgrounds)).argmax(1)
    return torch.where(classes < NUM_CLASSES, classes, UNMAPPED).to(torch.int8)


@torch.inference_mode()
def all_pairs(
    classifier: Callable[[Tensor], Tensor],
    pool: Pool,
    foregrounds: np.ndarray,
    backgrounds: np.ndarray,
    batch_size: int | None = None,
) -> np.ndarray:
    """The predicted class of each foreground on each background, both rows of the pool: int8 [F, B].

    Never more than ``batch_size`` composites are in memory.
    """
    rows = torch.as_tensor(foregrounds, device=pool.device)
    columns = torch.as_tensor(backgrounds, device=pool.device)
    batch_size = batch_size or default_batch_size(pool.images.shape[-1], pool.device)
    matrix = torch.empty(len(rows) * len(columns), dtype=torch.int8, device=pool.device)
    # The answers stay on the device until the end, so that a GPU never waits for the loop.
    for start in range(0, len(matrix), batch_size):
        pair = torch.arange(start, min(start + batch_size, len(matrix)), device=pool.device)
        matrix[pair] = predicted_classes(classifier, pool, rows[pair // len(columns)], columns[pair % len(columns)])
    return matrix.cpu().numpy().reshape(len(rows), len(columns))


def fooled_by_class(matrix: np.ndarray, foreground_labels: np.ndarray, background_labels: np.ndarray) -> np.ndarray:
    """Whether some background of a class makes the classifier answer that class: bool [F, 9], own class False.

    The columns are the rows of the paper's table.
    """
    reached = np.zeros((len(matrix), NUM_CLASSES), dtype=bool)
    for label in range(NUM_CLASSES):
        reached[:, label] = (matrix[:, background_labels == label] == label).any(axis=1)
    reached[np.arange(len(matrix)), foreground_labels] = False
    return reached


def targeted(matrix: np.ndarray, foreground_labels: np.ndarray, background_labels: np.ndarray) -> np.ndarray:
    """Vulnerable by the targeted rule: bool [F]."""
    return np.asarray(fooled_by_class(matrix, foreground_labels, background_labels).any(axis=1))


def untargeted(matrix: np.ndarray, foreground_labels: np.ndarray) -> np.ndarray:
    """Vulnerable by the untargeted rule: bool [F]. Challenge accuracy is the share that is not."""
    return (matrix != np.asarray(foreground_labels)[:, None]).any(axis=1)


def successes(matrix: np.ndarray, foreground_labels: np.ndarray, background_labels: np.ndarray) -> np.ndarray:
    """How many foregrounds of other classes each background turns into its own class: int64 [B].

    Divided by the number of foregrounds of other classes it is the background's attack success rate.
    """
    labels = np.asarray(background_labels)
    return ((matrix == labels) & (np.asarray(foreground_labels)[:, None] != labels)).sum(axis=0)


def start_search(
    classifier: Callable[[Tensor], Tensor], pool: Pool, foregrounds: np.ndarray, backgrounds: np.ndarray
) -> tuple[Search, Callable[[Tensor, Tensor], Tensor]]:
    """A search among rows of the pool, in which nothing is tried yet, and the function that answers it."""
    rows = torch.as_tensor(foregrounds, device=pool.device)
    columns = torch.as_tensor(backgrounds, device=pool.device)

    @torch.inference_mode()
    def answer(foreground: Tensor, background: Tensor) -> Tensor:
        return predicted_classes(classifier, pool, rows[foreground], columns[background])

    return Search(pool.labels[rows], pool.labels[columns]), answer


def measure_attacks(
    classifier: Callable[[Tensor], Tensor], dataset: Dataset, device: torch.device, options: dict[str, Any]
) -> dict[str, Any]:
    """The results of an adversarial record. Who is vulnerable is one digit, 0 or 1, each.

    ``options``: ``foregrounds_per_class`` and ``backgrounds_per_class``, or None for all test images. The matrix
    itself is not kept: it is large, and what the book asks of it is here.
    """
    pool = load_pool(dataset, "test", device=device)
    foregrounds = attacked_rows(pool, options["foregrounds_per_class"])
    backgrounds = attacked_rows(pool, options["backgrounds_per_class"])
    labels = pool.labels.cpu().numpy()
    own, others = labels[foregrounds], labels[backgrounds]
    matrix = all_pairs(classifier, pool, foregrounds, backgrounds)
    rows, known = torch.from_numpy(foregrounds).to(device), torch.from_numpy(matrix)
    search = Search(torch.from_numpy(own), torch.from_numpy(others))
    # One background at a time for each foreground, so that the count does not depend on the size of a batch.
    search.run(lambda row, column: known[row, column], "untargeted", batch_size=len(own), evenly=True)
    alone = predict(classifier, lambda part: pool.images[rows[part]], len(rows), device)
    growth = {}
    for share in SHARES:
        part = np.isin(backgrounds, attacked_rows(pool, options["backgrounds_per_class"], share))
        growth[int(part.sum())] = {
            "targeted": to_digits(targeted(matrix[:, part], own, others[part])),
            "untargeted": to_digits(untargeted(matrix[:, part], own)),
        }
    return {
        "foregrounds": {"rows": foregrounds.tolist(), "labels": to_digits(own), "original": to_digits(alone)},
        "backgrounds": {"rows": backgrounds.tolist(), "labels": to_digits(others)},
        "successes": successes(matrix, own, others).tolist(),
        "fooled_by_class": [to_digits(column) for column in fooled_by_class(matrix, own, others).T],
        "growth": [{"backgrounds": number, **flags} for number, flags in growth.items()],
        "composites": search.composites,
    }
