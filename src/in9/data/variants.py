"""The eight variants of ImageNet-9 as pure functions on batches, on any device (paper, section 2 and appendix A).

The mask decides what is foreground. ``faithful=True`` does as the authors' script: there a mixed image's background
also shows wherever the object itself is exactly black.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from in9.errors import In9Error, unknown
from in9.data.boxes import canvas_rows_and_columns
from in9.seeds import uniforms
from in9.taxonomy import CLASS_NAMES, NUM_CLASSES

if TYPE_CHECKING:
    from in9.data.dataset import Dataset

VARIANTS = ("original", "only_bg_b", "only_bg_t", "no_fg", "only_fg", "mixed_same", "mixed_rand", "mixed_next")
MIXED = ("mixed_same", "mixed_rand", "mixed_next")


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
        """Where the tensors live."""
        return self.images.device


def load_pool(
    dataset: Dataset,
    split: str,
    accepted: bool = True,
    device: str | torch.device = "cpu",
    limit: int | None = None,
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
    images = torch.from_numpy(dataset.images[rows]).to(device).permute(0, 3, 1, 2).contiguous()
    boxes = torch.from_numpy(table[["left", "top", "right", "bottom"]].to_numpy(np.int64, copy=True)).to(device)
    if not accepted:
        tiles = images
    elif dataset.tiles is not None:
        tiles = torch.from_numpy(dataset.tiles[rows]).to(device).permute(0, 3, 1, 2).contiguous()
    else:
        tiles = tile(images, boxes)
    return Pool(
        images=images,
        masks=torch.from_numpy(dataset.masks[rows]).to(device).unsqueeze(1),
        tiles=tiles,
        boxes=boxes,
        labels=torch.from_numpy(table["label"].to_numpy(np.int64, copy=True)).to(device),
        ids=tuple(table["id"]),
        fine=tuple(table["fine"]),
        accepted=accepted,
    )


def inside_boxes(boxes: Tensor, size: int) -> Tensor:
    """True inside each box: int64 [B, 4] -> bool [B, 1, size, size]."""
    ruler = torch.arange(size, device=boxes.device)
    left, top, right, bottom = (boxes[:, end, None] for end in range(4))
    columns = (ruler >= left) & (ruler < right)
    rows = (ruler >= top) & (ruler < bottom)
    return (rows[:, :, None] & columns[:, None, :]).unsqueeze(1)


def tile(images: Tensor, boxes: Tensor) -> Tensor:
    """Only-BG-T: each box filled with tiles of the same image's background, by the rule of ``in9.data.boxes``.

    ``images`` is uint8 [B, 3, S, S], ``boxes`` int64 [B, 4]; the result is like ``images``.
    """
    size = images.shape[-1]
    plans = [canvas_rows_and_columns(tuple(box), size, size) for box in boxes.tolist()]
    rows = torch.from_numpy(np.stack([plan[0] for plan in plans])).to(images.device)
    columns = torch.from_numpy(np.stack([plan[1] for plan in plans])).to(images.device)
    each = torch.arange(len(images), device=images.device)
    # Two indexed copies, rows then columns, at a third of the memory of one over both.
    canvas = images[each[:, None], :, rows]  # [B, S, 3, S]
    canvas = canvas.permute(0, 3, 1, 2)[each[:, None], columns]  # [B, S(columns), S(rows), 3]
    return torch.where(inside_boxes(boxes, size), canvas.permute(0, 3, 2, 1), images)


def draw_backgrounds(variant: str, pool: Pool, seed: int, purpose: str = "test") -> tuple[Tensor, Tensor]:
    """Which background each image of the pool gets in a mixed variant: (row in the pool, class), int64 [N] each.

    Mixed-Same takes the image's own class, Mixed-Next the class after it (fish is followed by dog), Mixed-Rand a class
    drawn uniformly from all nine, its own included; then any image of that class with equal chance, with replacement,
    its own included. Each draw depends on (seed, variant, purpose, id) and on the pool it draws from, never on other
    draws. Raises In9Error if the pool has no image of a class that was drawn.
    """
    if variant not in MIXED:
        raise unknown("mixed variant", variant, MIXED)
    labels = pool.labels.cpu().numpy()
    if variant == "mixed_rand":
        classes = (uniforms(seed, f"{variant}/class/{purpose}", pool.ids) * NUM_CLASSES).astype(np.int64)
    else:
        classes = (labels + (variant == "mixed_next")) % NUM_CLASSES
    order = np.argsort(labels, kind="stable")
    counts = np.bincount(labels, minlength=NUM_CLASSES)
    missing = sorted({CLASS_NAMES[label] for label in classes[counts[classes] == 0]})
    if missing:
        raise In9Error(f"Variant {variant} has no background of {', '.join(missing)} to draw; give more images.")
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    position = uniforms(seed, f"{variant}/image/{purpose}", pool.ids) * counts[classes]
    rows = order[starts[classes] + position.astype(np.int64)]
    return torch.from_numpy(rows).to(pool.device), torch.from_numpy(classes).to(pool.device)


def foreground(images: Tensor, masks: Tensor, faithful: bool = False) -> Tensor:
    """Where the object is: bool [B, 1, S, S]. ``faithful`` loses its exactly black pixels, as the authors' script."""
    return masks & (images != 0).any(dim=1, keepdim=True) if faithful else masks


def compose(
    variant: str, pool: Pool, rows: Tensor, backgrounds: Tensor | None = None, faithful: bool = False
) -> Tensor:
    """Some images of a pool in one variant: uint8 [B, 3, S, S].

    ``rows`` is int64 [B]; ``backgrounds`` int64 [B], the row of each image's background, for the mixed variants only
    (see ``draw_backgrounds``). Raises In9Error for a variant that does not exist.
    """
    if variant not in VARIANTS:
        raise unknown("variant", variant, VARIANTS)
    if (variant in MIXED) != (backgrounds is not None):
        raise ValueError(f"Variant {variant} {'needs' if variant in MIXED else 'takes no'} backgrounds.")
    if variant != "original" and not pool.accepted:
        raise ValueError(f"Variant {variant} needs masks: load the pool with accepted=True.")
    # On a processor index_select copies whole rows, where indexing goes element by element, and multiplying with a mask
    # is many times as fast as choosing by it.
    if variant == "only_bg_t":
        return pool.tiles.index_select(0, rows)
    images = pool.images.index_select(0, rows)
    if variant == "original":
        return images
    if variant == "only_bg_b":
        return images.mul_(~inside_boxes(pool.boxes[rows], images.shape[-1]))
    masks = pool.masks.index_select(0, rows)
    if variant == "no_fg":
        return images.mul_(~masks)
    if variant == "only_fg":
        return images.mul_(masks)
    assert backgrounds is not None
    masks = foreground(images, masks, faithful)
    return images.mul_(masks).add_(pool.tiles.index_select(0, backgrounds).mul_(~masks))


def check_variants(names: Sequence[str], also: Sequence[str] = ()) -> None:
    """Raise In9Error for the first name that is neither a variant nor one of ``also``."""
    for name in names:
        if name not in (*VARIANTS, *also):
            raise unknown("variant", name, (*VARIANTS, *also))
