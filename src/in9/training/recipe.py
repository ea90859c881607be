"""Recipes: how a classifier is trained, and what it is shown when (paper, section 3 and appendix B)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from in9.data import variants
from in9.data.variants import MIXED, VARIANTS, Pool
from in9.errors import In9Error, unknown
from in9.seeds import generator, uniforms
from in9.taxonomy import NUM_CLASSES
from in9.training.augmentation import Augmentation

IN9L = "in9l"
TRAINING_SETS = (*VARIANTS, IN9L)
SCHEDULES = ("steps", "cosine")


@dataclass(frozen=True)
class Recipe:
    """How a classifier is trained. The defaults are the paper's, but for ``balanced``: its classes are equal already.

    ``train_on`` is a variant, or ``in9l`` for all images of the nine classes as they are, or several variants joined by
    ``+``, each image then being shown in one of them, drawn anew each epoch. ``schedule`` is ``steps`` (a tenth of the
    rate after each quarter of the epochs: every 50 of the paper's 200) or ``cosine`` (one epoch of warm-up, then down
    to zero). ``fresh_backgrounds`` draws the backgrounds of a mixed variant anew each epoch; the paper draws them once.
    ``balanced`` shows every class equally often. ``fraction`` is the share of the training images that is used, of
    each class; ``fine`` trains on up to so many finer classes for each of the nine (appendix B). ``head_on`` retrains
    the last layer alone on a variant, after the training (Kirichenko et al., 2023).
    """

    train_on: str = "original"
    architecture: str = "resnet50"
    epochs: int = 200
    batch_size: int = 256
    learning_rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 1e-4
    schedule: str = "steps"
    label_smoothing: float = 0.0
    augmentation: Augmentation = field(default_factory=Augmentation)
    fresh_backgrounds: bool = True
    balanced: bool = True
    fraction: float = 1.0
    fine: int = 1
    head_on: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name in (*self.parts, *([self.head_on] if self.head_on is not None else [])):
            if name not in VARIANTS:
                raise unknown("training set", name, TRAINING_SETS)
        if self.schedule not in SCHEDULES:
            raise unknown("schedule", self.schedule, SCHEDULES)
        if self.epochs < 1 or self.batch_size < 2:
            raise In9Error(
                f"A recipe needs at least 1 epoch and batches of 2; got {self.epochs} and {self.batch_size}."
            )
        if not 0 < self.fraction <= 1 or self.fine < 1:
            raise In9Error(
                "A recipe uses a fraction in (0, 1] of the images and at least 1 class for each of the nine; "
                f"got fraction={self.fraction} and fine={self.fine}."
            )

    @property
    def parts(self) -> tuple[str, ...]:
        """The variants that it trains on."""
        return ("original",) if self.train_on == IN9L else tuple(self.train_on.split("+"))

    @property
    def uses_masks(self) -> bool:
        """Whether it trains on IN-9 (images with a good mask) rather than on IN-9L (all)."""
        return self.train_on != IN9L

    def rate(self, progress: float) -> float:
        """The learning rate at ``progress`` epochs since the start."""
        if self.schedule == "steps":
            return self.learning_rate * 0.1 ** int(4 * progress / self.epochs)
        warm_up = min(1.0, self.epochs / 4)
        if progress < warm_up:
            return self.learning_rate * progress / warm_up
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * (progress - warm_up) / (self.epochs - warm_up)))


def chosen_rows(recipe: Recipe, pool: Pool) -> np.ndarray:
    """The rows of the pool that the recipe uses: the first by hashed id of each class, so smaller sets are nested."""
    if recipe.fraction == 1:
        return np.arange(len(pool))
    order = np.argsort(uniforms(0, "fraction", pool.ids), kind="stable")
    labels = pool.labels.cpu().numpy()[order]
    kept = [order[labels == label] for label in np.unique(labels)]
    return np.sort(np.concatenate([members[: max(1, round(recipe.fraction * len(members)))] for members in kept]))


def epoch_rows(labels: np.ndarray, epoch: int, seed: int, balanced: bool) -> np.ndarray:
    """The rows that one epoch visits, in order: int64, as many as there are images (or up to 8 fewer if balanced).

    Balanced epochs show every class equally often, each class going through all its images before it repeats one.
    """
    if not balanced:
        return generator(seed, "order", str(epoch)).permutation(len(labels))
    quota = max(1, len(labels) // NUM_CLASSES)
    chosen = []
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        first, last = epoch * quota, (epoch + 1) * quota
        rounds = range(first // len(members), (last - 1) // len(members) + 1)
        stream = np.concatenate([generator(seed, f"class {label}", str(one)).permutation(members) for one in rounds])
        start = first - rounds[0] * len(members)
        chosen.append(stream[start : start + quota])
    return generator(seed, "order", str(epoch)).permutation(np.concatenate(chosen))


def finer_classes(recipe: Recipe, pool: Pool) -> tuple[Tensor, Tensor | None]:
    """The target of each image, int64 [N], and the class of each target, int64 [targets]; None if they are the same.

    A class's finer classes, sorted by name, are put into ``recipe.fine`` groups of like number, or stay as they are if
    it has no more than that.
    """
    if recipe.fine == 1:
        return pool.labels, None
    pairs = sorted(set(zip(pool.labels.tolist(), pool.fine, strict=True)))
    groups: dict[tuple[int, str], tuple[int, int]] = {}
    for label in range(NUM_CLASSES):
        members = [pair for pair in pairs if pair[0] == label]
        for rank, pair in enumerate(members):
            groups[pair] = (label, rank * min(recipe.fine, len(members)) // len(members))
    names = sorted(set(groups.values()))
    number = {name: index for index, name in enumerate(names)}
    targets = [number[groups[pair]] for pair in zip(pool.labels.tolist(), pool.fine, strict=True)]
    device = pool.device
    return torch.tensor(targets, device=device), torch.tensor([label for label, _ in names], device=device)


@dataclass(frozen=True)
class Draws:
    """What is drawn once an epoch: each image's background in each mixed part, and which part it is shown in."""

    backgrounds: dict[str, Tensor]
    part: Tensor

    @classmethod
    def of(cls, recipe: Recipe, pool: Pool, epoch: int) -> Draws:
        """The draws of one epoch; they depend on the recipe's seed, the epoch and the ids alone."""
        purpose = f"training {epoch}" if recipe.fresh_backgrounds else "training"
        mixed = [part for part in recipe.parts if part in MIXED]
        part = np.zeros(len(pool), np.int64)
        if len(recipe.parts) > 1:
            drawn = uniforms(recipe.seed, "part", (f"{epoch} {one}" for one in pool.ids))
            part = (drawn * len(recipe.parts)).astype(np.int64)
        return cls(
            {one: variants.draw_backgrounds(one, pool, recipe.seed, purpose)[0] for one in mixed},
            torch.from_numpy(part).to(pool.device),
        )


def compose_batch(recipe: Recipe, pool: Pool, rows: Tensor, draws: Draws) -> Tensor:
    """Some images of the recipe's training set, before augmentation: uint8 [B, 3, S, S]."""

    def composed(part: str) -> Tensor:
        backgrounds = draws.backgrounds[part][rows] if part in MIXED else None
        return variants.compose(part, pool, rows, backgrounds)

    images = composed(recipe.parts[0])
    for number, part in enumerate(recipe.parts[1:], start=1):
        images = torch.where((draws.part[rows] == number)[:, None, None, None], composed(part), images)
    return images
