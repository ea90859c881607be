"""The first page's experiment: an object, nine backgrounds to choose from, and what two networks answer.

The networks are those of the profile that saw no image of the first fold: one trained on Original, the other on
Mixed-Rand, drawn anew. Their answers to the pictures are a record of the project, so that the page needs no network.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from in9.book.blocks import rendered, webp
from in9.data import photographs
from in9.data.photographs import Illustrations
from in9.data.variants import compose
from in9.evaluation.predictions import exact_convolutions
from in9.evaluation.records import Record, Store, provenance
from in9.study.study import Study
from in9.study.workspace import Workspace
from in9.taxonomy import CLASS_NAMES, NUM_CLASSES

SHOWN_OBJECTS = ("bb6fcb", "44982b", "4aeb33", "059da9", "114c98", "024f73")
"""Photographs whose objects are shown: how their ids begin. Both networks name them on some backgrounds."""
SHOWN_BACKGROUNDS = ("abd121", "5ec826", "da4f4d", "8d86fa", "296033", "d6eac6", "c777da", "af2ac1", "dd4d03")
"""Photographs whose backgrounds are shown: one of each class, in the order of the classes."""
COMPARED = ("original", "mixed_rand")
DEMONSTRATION = "demonstration"


@dataclass(frozen=True)
class Demonstration:
    """Objects and backgrounds, with each network's answers: ``percents`` int64 [networks, objects, backgrounds, 9].

    Without a record of these very pictures ``percents`` is None, and the page shows the pictures alone.
    """

    illustrations: Illustrations
    objects: tuple[int, ...]
    backgrounds: tuple[int, ...]
    percents: np.ndarray | None

    @property
    def first(self) -> tuple[int, int]:
        """Where the page starts: an object and a background of another class, by their places.

        It is the first pair on which the first network answers the background's class and the second the object's.
        """
        if self.percents is not None:
            answers = self.percents.argmax(-1)
            labels = self.illustrations.labels[list(self.objects)][:, None]
            behind = self.illustrations.labels[list(self.backgrounds)]
            fooled = (answers[0] == behind) & (answers[1] == labels) & (behind != labels)
            if fooled.any():
                row, column = np.argwhere(fooled)[0].tolist()
                return row, column
        return 0, NUM_CLASSES - 1

    def html(self) -> str:
        """The block of the page; it holds all pictures and answers and works from disk."""
        tiles = self.illustrations.variant("only_bg_t", self.backgrounds)
        cutouts = [
            np.dstack([self.illustrations.images[row], 255 * self.illustrations.masks[row].astype(np.uint8)])
            for row in self.objects
        ]
        facts = {
            "classes": CLASS_NAMES,
            "objects": self.illustrations.labels[list(self.objects)].tolist(),
            "backgrounds": self.illustrations.labels[list(self.backgrounds)].tolist(),
            "percents": None if self.percents is None else self.percents.tolist(),
        }
        return rendered(
            "demonstration",
            cutouts=[webp(cutout) for cutout in cutouts],
            tiles=[webp(tile) for tile in tiles],
            first=self.first,
            facts=facts,
        )

    def credit(self) -> str:
        """One sentence in Markdown: whose photographs these are."""
        return self.illustrations.credit([*self.objects, *self.backgrounds])


def load(workspace: Workspace) -> Demonstration:
    """The demonstration with the photographs, or with illustrations where they have not been fetched."""
    shown = photographs.shown(workspace.photographs)
    objects, backgrounds = (tuple(map(shown.row, names)) for names in (SHOWN_OBJECTS, SHOWN_BACKGROUNDS))
    record = Store(workspace.committed).find(DEMONSTRATION, _settings(shown))
    percents = None if record is None else np.array(record.results["percents"])
    return Demonstration(shown, objects, backgrounds, percents)


def measure(study: Study) -> Record:
    """The record of what the study's two networks answer, to be kept with the project; trained first if need be."""
    started = time.monotonic()
    shown = photographs.shown(study.workspace.photographs)
    small = photographs.shown(study.workspace.photographs, study.dataset.image_size)
    objects, backgrounds = (
        torch.tensor([shown.row(name) for name in names]) for names in (SHOWN_OBJECTS, SHOWN_BACKGROUNDS)
    )
    pool, recipes = small.pool(), [study.profile.recipe_on(name) for name in COMPARED]
    pairs = [compose("mixed_rand", pool, row.expand(len(backgrounds)), backgrounds) for row in objects]
    percents = []
    for recipe in recipes:
        classifier = study.classifier(recipe).cpu()
        with torch.inference_mode(), exact_convolutions():
            shares = [classifier(images)[:, :NUM_CLASSES].softmax(1) for images in pairs]
        percents.append([np.rint(100 * each.numpy().astype(float)).astype(int).tolist() for each in shares])
    return Record(
        DEMONSTRATION,
        "illustrations" if shown.drawn else "photographs",
        _settings(shown),
        shown.hash,
        {"percents": percents},
        provenance(time.monotonic() - started, "cpu", profile=study.profile.name, recipes=list(map(asdict, recipes))),
    )


def _settings(shown: Illustrations) -> dict[str, Any]:
    return {
        "illustrations": shown.hash,
        "objects": SHOWN_OBJECTS,
        "backgrounds": SHOWN_BACKGROUNDS,
        "trained_on": COMPARED,
    }
