"""What a source of labelled images gives: examples, photos with their boxes, and the rules for good masks."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from in9.seeds import digest

ATTEMPTS = 11
"""How often GrabCut tries an image at most, where its source asks for no other number: as the authors' script."""

Box = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels: zero-based, right and bottom exclusive."""


class Rejected(Exception):
    """An example that cannot be used. The message is the reason: a few fixed words, so that reasons can be counted."""


@dataclass(frozen=True)
class Example:
    """A labelled image before it is read.

    ``id`` is unique in the source; ``label`` is 0 to 8; ``fine`` is the finer class (a WordNet id, say); ``box`` is
    its object box where the listing already knows it; ``split`` is ``"train"``, ``"validation"`` or ``"test"`` where
    the source prescribes it, and None where ids are to be hashed into splits.
    """

    id: str
    label: int
    fine: str
    box: Box | None = None
    split: str | None = None


@dataclass(frozen=True)
class Photo:
    """What is read of an example: image uint8 [height, width, 3] in RGB, its box, and its exact mask if known.

    A mask is bool [height, width], true on the object; where it is None GrabCut finds a mask from the box. An image
    without a box can still be trained and tested on as a whole (IN-9L); ``reason`` says why it has none, in the words
    of a ``Rejected``. ``checksum`` is of the photograph's file, where there is one: masks may be published for it.
    """

    image: np.ndarray
    box: Box | None
    mask: np.ndarray | None = None
    reason: str = ""
    checksum: str = ""


@dataclass(frozen=True)
class MaskRule:
    """Which masks are good enough (paper, appendix A): limits as shares of an area, each inclusive.

    ``box_share`` is the largest part of the crop that the box may cover, ``inside`` the smallest part of the box
    that must lie in the crop, ``mask_share`` the smallest and largest part of the box that the mask may cover.
    ``attempts`` is how often GrabCut tries an image at most. It never changes a mask, only how many images get one.
    """

    box_share: float = 0.90
    inside: float = 0.50
    mask_share: tuple[float, float] = (0.10, 1.00)
    attempts: int = ATTEMPTS

    def settings(self) -> dict[str, Any]:
        """Plain JSON values: the limits twice, for training and for test images, since they were not always the same.

        Attempts are left out at their default, as in files older than they are.
        """
        limits = {"box_share": self.box_share, "inside": self.inside, "mask_share": self.mask_share}
        return {"train": limits, "test": limits} | ({} if self.attempts == ATTEMPTS else {"attempts": self.attempts})


class Source(Protocol):
    """What ``in9.data.build`` needs of a source. It is sent to worker processes, so it must pickle."""

    name: str
    image_size: int
    resizes: bool  # whether images are larger than image_size, so that backgrounds are tiled before the resize
    rule: MaskRule
    balances: bool  # whether accepted images are cut to the same number of each class; may be left out for False
    verdicts: Mapping[str, str]  # of people who looked at masks, by id: "good", or why not; may be left out for none

    def settings(self) -> dict[str, Any]:
        """Everything that decides which images come out, as plain JSON values; no path, no host."""

    def examples(self) -> Sequence[Example]:
        """All labelled images of the nine classes, in a fixed order; raises In9Error if the layout is not right."""

    def read(self, example: Example) -> Photo:
        """Decode one example; raises Rejected if it cannot be used."""


def balanced(groups: Mapping[Any, Collection[str]], seed: int = 0) -> set[str]:
    """The same number of ids of every group, as many as the smallest group has; their hash decides which."""
    least = min(len(ids) for ids in groups.values())
    return {id_ for ids in groups.values() for id_ in sorted(ids, key=lambda id_: digest(seed, "balance", id_))[:least]}
