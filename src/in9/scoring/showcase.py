"""What a network with ImageNet weights answers to the illustrations, and which backgrounds fool it (paper, section 4).

The network is EfficientNet-Lite0, which installs as a package. Where it is not installed there are no answers, and a
chapter says so. All pairs of an object and a background take about a minute, so the project has a record of them.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from in9.data.photographs import Illustrations
from in9.data.variants import compose
from in9.errors import In9Error
from in9.evaluation.predictions import exact_convolutions, one_thread
from in9.evaluation.records import Record, Store, from_digits, provenance, to_digits
from in9.scoring.load import ScorableModel, load_model
from in9.scoring.score import RESTRICTED, STRICT
from in9.taxonomy import CLASS_NAMES, NUM_CLASSES, UNMAPPED

NETWORK = "efficientnet_lite0"
KIND = "pairs"
"""Of the record of all pairs."""


class Replies(NamedTuple):
    """What the network says of N images.

    ``classes`` is the class of the nine with the highest score, int64 [N] (the restricted rule), ``shares`` the part of
    the softmax over the nine that it gets, float32 [N]. ``strict`` is -1 where an output that falls under none of the
    nine is higher still, and else the same.
    """

    classes: np.ndarray
    shares: np.ndarray
    strict: np.ndarray

    def words(self) -> list[str]:
        """Each answer in words, such as ``bird, 97 %``."""
        pairs = zip(self.classes, self.shares, strict=True)
        return [f"{CLASS_NAMES[label]}, {100 * share:.0f} %" for label, share in pairs]


@cache
def network() -> ScorableModel | None:
    """EfficientNet-Lite0, loaded once in a process; None if its package is not installed."""
    try:
        return load_model(NETWORK)
    except In9Error:
        return None


def answers(images: np.ndarray | Tensor) -> Replies | None:
    """What EfficientNet-Lite0 says of images, uint8 [N, S, S, 3] or a tensor [N, 3, S, S]; None if it is not there."""
    model = network()
    return None if model is None else _replies(model, images)


@torch.inference_mode()  # of the answers alone: weights that were loaded in it would have no gradients
def _replies(model: ScorableModel, images: np.ndarray | Tensor) -> Replies:
    batch = images if isinstance(images, Tensor) else torch.from_numpy(images).permute(0, 3, 1, 2)
    with one_thread(), exact_convolutions():
        scores = torch.cat([model.classifier(part) for part in batch.split(8)])
    shares, classes = scores[:, :NUM_CLASSES].softmax(1).max(1)
    strict = torch.where(scores.argmax(1) < NUM_CLASSES, classes, UNMAPPED)
    return Replies(classes.numpy(), shares.numpy(), strict.numpy())


@dataclass(frozen=True)
class AnsweredPairs:
    """What the network answers to every object on every background of N illustrations.

    ``labels`` is int64 [N]; ``alone`` int64 [N] the answers to the images as they are; ``classes`` int64 [N, N] those
    to the object in each row on the background in each column. All are by the restricted rule. ``clean``, bool [N],
    says whether a background has nothing of its class left, such as a second guitar.
    """

    labels: np.ndarray
    clean: np.ndarray
    alone: np.ndarray
    classes: np.ndarray

    @classmethod
    def of_record(cls, record: Record, illustrations: Illustrations) -> AnsweredPairs:
        """The answers to illustrations that a record holds."""
        results = record.results[RESTRICTED]
        classes = np.stack([from_digits(line) for line in results["pairs"]])
        return cls(illustrations.labels, illustrations.clean, from_digits(results["alone"]), classes)

    def fooled(self) -> pd.DataFrame:
        """The pairs that are answered with the background's class, though the object is right in its own image.

        Backgrounds that are not clean are left out. Columns object and background (rows of the illustrations), label
        (the object's class), answer.
        """
        by_background = (self.classes == self.labels) & (self.labels[:, None] != self.labels) & self.clean
        rows, columns = np.nonzero(by_background & (self.alone == self.labels)[:, None])
        return pd.DataFrame(
            {"object": rows, "background": columns, "label": self.labels[rows], "answer": self.labels[columns]}
        )

    def strongest(self) -> pd.DataFrame:
        """The backgrounds by the number of objects that they fool, most first: background, label, fooled, objects."""
        groups = self.fooled().groupby("background")["object"].agg(["size", list])
        frame = groups.rename(columns={"size": "fooled", "list": "objects"}).reset_index()
        frame.insert(1, "label", self.labels[frame["background"]])
        return frame.sort_values(["fooled", "background"], ascending=[False, True], ignore_index=True)


def fooled_pairs(illustrations: Illustrations, committed: Path, local: Path) -> AnsweredPairs | None:
    """The answers to all pairs of these photographs, from a record in one of the folders; else measured, in a minute.

    A new record is written to ``local``. None where the illustrations are drawn, or where there is
    neither a record nor the network.
    """
    if illustrations.drawn:
        return None
    settings = _settings(illustrations)
    record = Store(committed).find(KIND, settings) or Store(local).find(KIND, settings)
    if record is None:
        record = measure_pairs(illustrations)
        if record is None:
            return None
        Store(local).write(record)
    return AnsweredPairs.of_record(record, illustrations)


def measure_pairs(illustrations: Illustrations) -> Record | None:
    """The record of all pairs, by both rules; None if the network is not there."""
    model = network()
    if model is None:
        return None
    started, pool = time.monotonic(), illustrations.pool()
    alone, backgrounds = _by_rule(model, pool.images), torch.arange(len(pool))
    lines = [_by_rule(model, compose("mixed_rand", pool, row.expand(len(pool)), backgrounds)) for row in backgrounds]
    results = {rule: {"alone": alone[rule], "pairs": [line[rule] for line in lines]} for rule in alone}
    return Record(
        KIND,
        NETWORK,
        _settings(illustrations),
        illustrations.hash,
        {"labels": to_digits(illustrations.labels), **results},
        provenance(time.monotonic() - started, "cpu", evaluation_precision="float32", model=model.facts),
    )


def _by_rule(model: ScorableModel, images: Tensor) -> dict[str, str]:
    """The answers by either rule, as digits."""
    replies = _replies(model, images)
    return {RESTRICTED: to_digits(replies.classes), STRICT: to_digits(replies.strict)}


def _settings(illustrations: Illustrations) -> dict[str, Any]:
    return {"model": {"name": NETWORK}, "data": {"source": "photographs", "hash": illustrations.hash}}
