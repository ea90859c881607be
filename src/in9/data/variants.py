"""The eight variants of ImageNet-9 as pure functions on batches, on any device (paper, section 2 and appendix A).

Each image comes with a box around its object and a mask, which is true on the object's own pixels::

    original     the image as it is
    only_bg_b    background alone: the box is black
    only_bg_t    background alone: the box is filled with tiles of the background beside it
    no_fg        background and the object's outline: the object is black
    only_fg      the object alone: everything else is black
    mixed_same   the object on the Only-BG-T of an image of its own class
    mixed_rand   the object on the Only-BG-T of an image of any class, each of the nine with equal chance
    mixed_next   the object on the Only-BG-T of an image of the class after its own; fish is followed by dog

So with mask m, a mixed image is m * image + (1 - m) * Only-BG-T of another image, pixel by pixel. The authors' script
takes the other image also wherever the object itself is exactly black; ``faithful=True`` does the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from in9.data.boxes import canvas_rows_and_columns
from in9.errors import In9Error, check_known
from in9.seeds import uniforms
from in9.taxonomy import CLASS_NAMES, NUM_CLASSES

if TYPE_CHECKING:
    from in9.data.dataset import Dataset

MIXED = ("mixed_same", "mixed_rand", "mixed_next")
VARIANTS = ("original", "only_bg_b", "only_bg_t", "no_fg", "only_fg", *MIXED)


def check_variants(names: Sequence[str], also: Sequence[str] = ()) -> None:
    """Raise In9Error for the first name that is neither a variant nor in ``also``."""
    check_known("variant", names, (*VARIANTS, *also))


@dataclass(frozen=True)
class Pool:
    """Images of one split, in memory on one device, with all that the variants need.

    ``images`` and ``tiles`` are uint8 [N, 3, S, S], ``tiles`` being Only-BG-T of each image; ``masks`` is bool
    [N, 1, S, S]; ``boxes`` is int64 [N, 4] as left, top, right, bottom, ends exclusive; ``labels`` is int64 [N].
    Where ``accepted`` is False masks, boxes and tiles mean nothing, and only the variant ``original`` may be asked for.
    """

    images: Tensor
    masks: Tensor
    tiles: Tensor
    boxes: Tensor
    labels: Tensor
    ids: tuple[str, ...]
    fine: tuple[str, ...]
    accepted: bool

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def device(self) -> torch.device:
        """The device of the tensors."""
        return self.images.device


def load_pool(
    dataset: Dataset, split: str, accepted: bool = True, device: str | torch.device = "cpu", limit: int | None = None
) -> Pool:
    """The images of one split of a dataset, onto a device.

    ``accepted`` asks for those with a good mask (IN-9), otherwise all are loaded (IN-9L). ``limit`` keeps the first
    so many of each class.
    """
    rows = dataset.indices(split, accepted)
    if limit is not None:
        labels = dataset.table["label"].to_numpy()[rows]
        rows = np.sort(np.concatenate([rows[labels == label][:limit] for label in range(NUM_CLASSES)]))
    table = dataset.table.iloc[rows]

    def pixels(array: np.ndarray) -> Tensor:
        return torch.from_numpy(array[rows]).to(device).permute(0, 3, 1, 2).contiguous()

    def numbers(columns: str | list[str]) -> Tensor:
        return torch.from_numpy(table[columns].to_numpy(np.int64, copy=True)).to(device)

    images, boxes = pixels(dataset.images), numbers(["left", "top", "right", "bottom"])
    if not accepted:
        tiles = images
    elif dataset.tiles is not None:
        tiles = pixels(dataset.tiles)
    else:
        tiles = tile_images(images, boxes)
    return Pool(
        images=images,
        masks=pixels(dataset.masks[..., None]),
        tiles=tiles,
        boxes=boxes,
        labels=numbers("label"),
        ids=tuple(table["id"]),
        fine=tuple(table["fine"]),
        accepted=accepted,
    )


def compose(
    variant: str, pool: Pool, rows: Tensor, backgrounds: Tensor | None = None, faithful: bool = False
) -> Tensor:
    """The images in these rows of a pool, in one variant: uint8 [B, 3, S, S].

    ``rows`` is int64 [B]; ``backgrounds`` int64 [B], the row of each image's background, for the mixed variants only
    (see ``draw_backgrounds``). Raises In9Error for a variant that does not exist.
    """
    check_variants([variant])
    if (variant in MIXED) != (backgrounds is not None):
        raise ValueError(f"Variant {variant} {'needs' if variant in MIXED else 'takes no'} backgrounds.")
    if variant != "original" and not pool.accepted:
        raise ValueError(f"Variant {variant} needs masks: load the pool with accepted=True.")
    # On a CPU index_select copies whole rows, where indexing goes element by element, and to multiply with a mask is
    # many times as fast as to choose by it.
    if variant == "only_bg_t":
        return pool.tiles.index_select(0, rows)
    images = pool.images.index_select(0, rows)
    if variant == "original":
        return images
    if variant == "only_bg_b":
        return images.mul_(~inside_boxes(pool.boxes[rows], images.shape[-1]))
    masks = pool.masks.index_select(0, rows)
    if backgrounds is None:
        return images.mul_(masks if variant == "only_fg" else ~masks)
    masks = foreground(images, masks, faithful)
    return images.mul_(masks).add_(pool.tiles.index_select(0, backgrounds).mul_(~masks))


def foreground(images: Tensor, masks: Tensor, faithful: bool = False) -> Tensor:
    """What is kept of each image in a mixed one: its mask, bool [B, 1, S, S]; if ``faithful`` without black pixels."""
    return masks & (images != 0).any(dim=1, keepdim=True) if faithful else masks


def inside_boxes(boxes: Tensor, size: int) -> Tensor:
    """True inside each box: int64 [B, 4] -> bool [B, 1, size, size]."""
    ruler = torch.arange(size, device=boxes.device)
    left, top, right, bottom = (boxes[:, end, None] for end in range(4))
    columns = (ruler >= left) & (ruler < right)
    rows = (ruler >= top) & (ruler < bottom)
    return (rows[:, :, None] & columns[:, None, :]).unsqueeze(1)


def tile_images(images: Tensor, boxes: Tensor) -> Tensor:
    """Only-BG-T: each box filled with tiles of the same image's background, by the rule of ``in9.data.boxes``.

    ``images`` is uint8 [B, 3, S, S], ``boxes`` int64 [B, 4]; the result is like ``images``.
    """
    size = images.shape[-1]
    plans = [canvas_rows_and_columns(tuple(box), size, size) for box in boxes.tolist()]
    rows, columns = (torch.from_numpy(np.stack(part)).to(images.device) for part in zip(*plans, strict=True))
    each = torch.arange(len(images), device=images.device)
    # Two indexed copies, rows then columns, at a third of the memory of a single copy over both.
    canvas = images[each[:, None], :, rows]  # [B, S, 3, S]
    canvas = canvas.permute(0, 3, 1, 2)[each[:, None], columns]  # [B, S(columns), S(rows), 3]
    return torch.where(inside_boxes(boxes, size), canvas.permute(0, 3, 2, 1), images)


def draw_backgrounds(variant: str, pool: Pool, seed: int, purpose: str = "test") -> tuple[Tensor, Tensor]:
    """Which background each image of the pool gets in a mixed variant: (row in the pool, class), int64 [N] each.

    First comes the class: the image's own for Mixed-Same, the next for Mixed-Next, any of the nine for Mixed-Rand.
    Then comes the image: any of that class in the pool with equal chance, with replacement, its own included. Each draw
    depends on (seed, variant, purpose, id) and on the pool it draws from, never on other draws. Raises In9Error if the
    pool has no image of a class that was drawn.
    """
    check_known("mixed variant", [variant], MIXED)
    labels = pool.labels.cpu().numpy()
    if variant == "mixed_rand":
        classes = (uniforms(seed, f"{variant}/class/{purpose}", pool.ids) * NUM_CLASSES).astype(np.int64)
    else:
        classes = (labels + (variant == "mixed_next")) % NUM_CLASSES
    counts = np.bincount(labels, minlength=NUM_CLASSES)
    missing = sorted({CLASS_NAMES[label] for label in classes[counts[classes] == 0]})
    if missing:
        raise In9Error(f"Variant {variant} has no background of {', '.join(missing)} to draw; give more images.")
    by_class = np.argsort(labels, kind="stable")
    starts = np.cumsum(counts) - counts  # of each class in that order
    place = (uniforms(seed, f"{variant}/image/{purpose}", pool.ids) * counts[classes]).astype(np.int64)
    rows = by_class[starts[classes] + place]
    return torch.from_numpy(rows).to(pool.device), torch.from_numpy(classes).to(pool.device)


def composer(variant: str, pool: Pool, seed: int) -> Callable[[Tensor], Tensor]:
    """What composes the images in rows of a pool in one variant; a mixed one's backgrounds are drawn from ``seed``."""
    backgrounds = draw_backgrounds(variant, pool, seed)[0] if variant in MIXED else None
    return lambda rows: compose(variant, pool, rows, None if backgrounds is None else backgrounds[rows])
