"""Which background each mixed image has, read from its pixels (paper, section 2).

The authors' archive names a background in each mixed image's file name, and in Mixed-Rand it is the wrong one. But
outside its mask a mixed image is the Only-BG-T of another image, so it is compared there with all of them. To be robust
to JPEG, only cells that lie wholly outside the mask are compared; JPEG mixes pixels of a neighbourhood.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from in9.data.released import MASKS, Released
from in9.data.variants import MIXED
from in9.errors import In9Error, errors_told

BACKGROUND_COLUMNS = ("test", "id", "background")
CELLS = 28  # along a side: cells of 8 pixels, the size of JPEG's blocks, in images of 224
LEAST_CELLS = 12  # outside the mask; with fewer all pixels outside it are compared
CANDIDATES = 8  # of a comparison of cells, which are then compared pixel by pixel
DOUBTFUL = 0.6  # of the runner-up's distance
FOREIGN = 0.65  # of the change outside the masks: as much inside, and they are of other images
IMAGES_AT_ONCE = 128


def recover_backgrounds(released: Released, progress: bool = False) -> pd.DataFrame:
    """One row for each mixed image: columns test, id, background, distance, margin, doubtful.

    ``id`` and ``background`` are ids as ``Released.ids`` gives them. ``distance`` is the root mean square difference
    to that background in grey levels, 0 to 255, and ``margin`` how much larger it is for the runner-up. A background is
    doubtful if its distance is more than 0.6 of the runner-up's: two images look alike there, or it is none of these.
    Where nothing is outside the mask, ``background`` is empty and the numbers are not a number.
    Raises In9Error if there is no mixed variant, no Only-BG-T or no mask, or if the masks are not of these images.
    """
    tests = [test for test in MIXED if test in released.variants]
    if not tests:
        raise In9Error(f"{released.folder} has no mixed images; looked for {', '.join(MIXED)}.")
    names = released.ids("only_bg_t")
    masks = {test: released.rows(MASKS, released.ids(test)) for test in tests}
    originals = {test: released.rows("original", released.ids(test)) for test in tests}
    backgrounds = released.images("only_bg_t", range(len(names)))
    features = _cells(backgrounds).reshape(len(names), -1)
    tables = []
    with tqdm(total=sum(map(len, masks.values())), desc="comparing", unit="image", disable=not progress) as bar:
        for test in tests:
            changes, sizes, rows, answers = np.zeros(2), np.zeros(2), range(len(masks[test])), []
            for start in rows[::IMAGES_AT_ONCE]:
                part = rows[start : start + IMAGES_AT_ONCE]
                images = released.images(test, part)
                objects = released.masks([masks[test][row] for row in part])
                change = (images - released.images("original", [originals[test][row] for row in part]) * 1.0) ** 2
                changes += [change[objects].sum(), change[~objects].sum()]
                sizes += [objects.sum(), (~objects).sum()]
                answers += _nearest(images, objects, backgrounds, features)
                bar.update(len(part))
            if changes[0] * sizes[1] > FOREIGN**2 * changes[1] * sizes[0]:
                raise In9Error(
                    f"The masks in {released.folder} are not those of its {test} images, which differ from the "
                    "originals inside them as much as outside; unpack masks, originals and mixed images of one archive."
                )
            nearest, distance, second = (np.array(column) for column in zip(*answers, strict=True))
            table = pd.DataFrame({"test": test, "id": released.ids(test)})
            table["background"] = [
                "" if np.isnan(far) else names[row] for row, far in zip(nearest, distance, strict=True)
            ]
            table["distance"], table["margin"] = distance, second - distance
            table["doubtful"] = ~(distance < DOUBTFUL * second)
            tables.append(table)
    return pd.concat(tables, ignore_index=True)


def _cells(images: np.ndarray) -> np.ndarray:
    """The mean of each cell, [B, S, S, C] -> float32 [B, cells, cells, C], in grey levels above 128."""
    side = max(1, images.shape[1] // CELLS)
    count = images.shape[1] // side
    trimmed = images[:, : count * side, : count * side].reshape(len(images), count, side, count, side, -1)
    return trimmed.mean((2, 4), dtype=np.float32) - np.float32(128)


def _nearest(
    images: np.ndarray, masks: np.ndarray, backgrounds: np.ndarray, features: np.ndarray
) -> list[tuple[int, float, float]]:
    """For each image the row of its nearest background, the distance to it and to the runner-up.

    The distances are not numbers where nothing can be compared: no pixel is outside the mask, or nothing is second.
    """
    outside = _cells(masks[..., None]) == -128
    weights = np.broadcast_to(outside, (*outside.shape[:3], 3)).reshape(len(images), -1).astype(np.float32)
    values = _cells(images).reshape(len(images), -1) * weights
    coarse = (values**2).sum(1)[:, None] - 2 * values @ features.T + weights @ (features**2).T
    result = []
    for image, mask, cells, distances in zip(images, masks, outside[..., 0], coarse, strict=True):
        enlarged = cells.repeat(max(1, len(mask) // CELLS), 0).repeat(max(1, len(mask) // CELLS), 1)
        compared, rows = np.zeros_like(mask), np.argsort(distances, kind="stable")[:CANDIDATES]
        compared[: len(enlarged), : len(enlarged)] = enlarged
        if cells.sum() < LEAST_CELLS:
            compared, rows = ~mask, np.arange(len(backgrounds))
        if not compared.any():
            result.append((0, np.nan, np.nan))
            continue
        wanted = image[compared].astype(np.float32)
        exact = np.array([np.sqrt(np.square(backgrounds[row][compared] - wanted).mean()) for row in rows])
        order = np.argsort(exact, kind="stable")
        second = float(exact[order[1]]) if len(order) > 1 else np.nan
        result.append((int(rows[order[0]]), float(exact[order[0]]), second))
    return result


def read_backgrounds(path: Path) -> dict[str, dict[str, str]]:
    """For each mixed test set the background of each image by id, from what an export or ``in9 backgrounds`` wrote.

    Backgrounds that are doubtful are left out.
    Raises In9Error for a file that cannot be read or is not of that kind, and for an image that is there twice.
    """
    with errors_told(f"{path} cannot be read as a table of backgrounds"):
        frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    if missing := [name for name in BACKGROUND_COLUMNS if name not in frame]:
        raise In9Error(
            f"{path} has no column {missing[0]!r}; `in9 backgrounds` writes {', '.join(BACKGROUND_COLUMNS)} and more."
        )
    twice = frame[frame.duplicated(["test", "id"])]
    if len(twice):
        raise In9Error(f"{path} has two backgrounds for {twice['id'].iloc[0]} of {twice['test'].iloc[0]}; remove one.")
    if "doubtful" in frame:
        frame = frame[frame["doubtful"] == "False"]
    return {str(test): dict(zip(part["id"], part["background"], strict=True)) for test, part in frame.groupby("test")}
