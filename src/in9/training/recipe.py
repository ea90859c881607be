"""The recipe: how a classifier is trained, and which images it sees in each epoch (paper, section 3, appendix B)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from in9.data import variants
from in9.data.variants import MIXED, VARIANTS, Pool
from in9.errors import In9Error, check_known, unknown
from in9.files import without_defaults
from in9.seeds import generator, uniforms
from in9.taxonomy import NUM_CLASSES
from in9.training.augmentation import Augmentation

IN9L = "in9l"
TRAINING_SETS = (*VARIANTS, IN9L)
SCHEDULES = ("steps", "cosine")
NORMS = ("l2", "linf")


@dataclass(frozen=True)
class Perturbation:
    """The change of each training image that misleads the classifier most, as far as ``steps`` steps find it.

    ``norm`` is ``l2`` or ``linf``, ``radius`` the largest change by that norm, of images in [0, 1] (paper, figure 12).
    """

    norm: str
    radius: float
    steps: int = 3

    def __post_init__(self) -> None:
        check_known("norm", [self.norm], NORMS)
        if not 0 < self.radius < math.inf or self.steps < 1:
            raise In9Error(
                f"A perturbation has a radius above 0 and at least 1 step; got {self.radius:g} and {self.steps}."
            )


@dataclass(frozen=True)
class Recipe:
    """How a classifier is trained. The defaults are the paper's, except ``balanced``: its classes are equally large.

    ``train_on`` is a variant, or ``in9l`` for all images of the nine classes as they are, or several variants joined by
    ``+``: then each epoch draws for each image in which of them it is shown. ``schedule`` is ``steps`` (a tenth of the
    rate after each quarter of the epochs: every 50 of the paper's 200) or ``cosine`` (one epoch of warm-up, then down
    to zero). ``fresh_backgrounds`` draws the backgrounds of a mixed variant anew each epoch; the paper draws them once.
    ``balanced`` shows every class equally often. ``fraction`` is the share of the training images that is used, of
    each class; ``fine`` trains on up to so many finer classes for each of the nine (appendix B). ``head_on`` retrains
    the last layer alone on a variant, after the training (Kirichenko et al., 2023). ``perturbation`` trains on images
    that were changed to mislead the classifier (Madry et al., 2018). ``fold`` is the fold of the images that is left
    out, for a dataset with folds.
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
    perturbation: Perturbation | None = None
    fold: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name in (*self.parts, *([self.head_on] if self.head_on is not None else [])):
            if name not in VARIANTS:
                raise unknown("training set", name, TRAINING_SETS)
        if len(set(self.parts)) < len(self.parts):
            raise In9Error(f"The training set {self.train_on!r} names a variant twice; name each once.")
        check_known("schedule", [self.schedule], SCHEDULES)
        if not (1 <= self.epochs <= 10**6 and 2 <= self.batch_size <= 10**6):
            raise In9Error(
                f"A recipe needs at least 1 epoch and batches of 2, and at most a million of each; got {self.epochs} "
                f"and {self.batch_size}."
            )
        rates = (self.learning_rate, self.momentum, self.weight_decay, self.label_smoothing)
        if not (0 < self.learning_rate < math.inf and 0 <= self.weight_decay < math.inf) or not all(
            0 <= share < 1 for share in (self.momentum, self.label_smoothing)
        ):
            raise In9Error(
                "A recipe has a learning rate above 0, momentum and label smoothing in [0, 1) and no negative weight "
                f"decay; got {', '.join(f'{rate:g}' for rate in rates)}."
            )
        if not 0 < self.fraction <= 1 or self.fine < 1:
            raise In9Error(
                "A recipe uses a fraction in (0, 1] of the images and at least 1 class for each of the nine; "
                f"got fraction={self.fraction} and fine={self.fine}."
            )

    @property
    def changes(self) -> dict[str, Any]:
        """The settings that differ from their defaults, as plain values: what tells one recipe from another."""
        return without_defaults(asdict(self), asdict(Recipe()))

    def changed(self, **changes: Any) -> Recipe:
        """This recipe with other settings.

        ``augmentation`` may be a mapping of those of its settings that change, ``perturbation`` one of all of its own.
        """
        augmentation, perturbation = changes.get("augmentation"), changes.get("perturbation")
        if isinstance(augmentation, Mapping):
            changes["augmentation"] = replace(self.augmentation, **augmentation)
        if isinstance(perturbation, Mapping):
            changes["perturbation"] = Perturbation(**perturbation)
        return replace(self, **changes)

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


def nested_rows(pool: Pool, purpose: str, per_class: int | None = None, share: float = 1.0) -> np.ndarray:
    """A part of the pool, as rows: int64, ascending; smaller parts are nested in larger ones of the same purpose.

    Of each class the first ``per_class`` by hashed id (None for all), and of those the first ``share``, but at least 1.
    """
    order = np.argsort(uniforms(0, purpose, pool.ids), kind="stable")
    labels = pool.labels.cpu().numpy()[order]
    parts = [order[labels == label][:per_class] for label in np.unique(labels)]
    return np.sort(np.concatenate([part[: max(1, round(share * len(part)))] for part in parts]))


def training_rows(recipe: Recipe, pool: Pool) -> np.ndarray:
    """The rows of the pool that the recipe trains on: int64, ascending."""
    return nested_rows(pool, "fraction", share=recipe.fraction)


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
        orders = [generator(seed, f"class {label}", str(number)).permutation(members) for number in rounds]
        stream = np.concatenate(orders)
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
            chances = uniforms(recipe.seed, "part", (f"{epoch} {name}" for name in pool.ids))
            part = (chances * len(recipe.parts)).astype(np.int64)
        return cls(
            {variant: variants.draw_backgrounds(variant, pool, recipe.seed, purpose)[0] for variant in mixed},
            torch.from_numpy(part).to(pool.device),
        )


def compose_batch(recipe: Recipe, pool: Pool, rows: Tensor, draws: Draws) -> Tensor:
    """The images of some rows as the recipe shows them, before augmentation: uint8 [B, 3, S, S]."""

    def composed(part: str) -> Tensor:
        backgrounds = draws.backgrounds[part][rows] if part in MIXED else None
        return variants.compose(part, pool, rows, backgrounds)

    images = composed(recipe.parts[0])
    for number, part in enumerate(recipe.parts[1:], start=1):
        images = torch.where((draws.part[rows] == number)[:, None, None, None], composed(part), images)
    return images
