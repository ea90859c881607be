"""The HTML of blocks that a reader can use; they hold their pictures and answers and ask no other host."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from jinja2 import Environment, PackageLoader, StrictUndefined
from numpy.typing import ArrayLike
from PIL import Image
from torch import Tensor

from in9.book.comparison import ALONE, OUTCOMES, Comparison, Responses, mixed_variant, outcomes, pictures_of
from in9.evaluation.estimates import Estimate
from in9.plots.pictures import heated
from in9.taxonomy import CLASS_NAMES, TITLES

TILE_SIZE = 64  # larger pictures are shown smaller, which keeps the page small
TEMPLATES = Environment(
    loader=PackageLoader("in9.book"), autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined
)
TEMPLATES.globals.update(classes=CLASS_NAMES, titles=TITLES, words=OUTCOMES)
TEMPLATES.policies.update({"json.dumps_kwargs": {"separators": (",", ":")}})


def pair_html(comparison: Comparison, row: int, background: int, chosen: int = 0) -> str:
    """One object on one background and its five other pictures, with what both classifiers make of picture ``chosen``.

    ``row`` and ``background`` are rows of the pool; picture 0 is the pair, 1 to 5 are those of ``ALONE``.
    """
    pool = comparison.pool
    images = pictures_of(pool, row, torch.tensor([background], device=pool.device))
    responses = comparison.respond(images)
    label, behind = int(pool.labels[row]), int(pool.labels[background])
    variants = (mixed_variant(label, behind), *ALONE)
    if chosen > 0:
        behind = label  # the object's own image
    return _rendered(
        "pair",
        _tiles(images, responses, len(images)),
        trained_on=list(comparison.classifiers),
        variants=variants,
        chosen=chosen,
        label=label,
        background=behind,
        shown=_answered(responses.shares[:, chosen], label, behind),
    )


def dial_html(measured: Mapping[float, Mapping[str, Estimate]], images: np.ndarray, shown: int | None = None) -> str:
    """What was measured at each position of the dial, or at that one which is ``shown``, with one image of each class.

    ``measured`` is as ``in9.experiments.controls.dial`` gives it; ``images`` is uint8 [positions, 9, S, S, 3].
    """
    gaps = [estimates["gap"].in_percent() for estimates in measured.values()]
    low, high = min(0.0, *(gap.low for gap in gaps)), max(gap.high for gap in gaps)

    def across(points: float) -> float:
        """The place on the gauge in percent of its width."""
        return round(100 * (points - low) / (high - low or 1), 2)

    return _rendered("dial", images, measured=measured, shown=shown, across=across)


def sprite(tiles: np.ndarray) -> str:
    """Tiles uint8 [rows, columns, S, S, 3] side by side in one picture, as an address that holds it (``data:``)."""
    rows, columns, size = tiles.shape[:3]
    whole = Image.fromarray(tiles.transpose(0, 2, 1, 3, 4).reshape(rows * size, columns * size, 3))
    if size > TILE_SIZE:
        whole = whole.resize((columns * TILE_SIZE, rows * TILE_SIZE), Image.Resampling.BOX)
    return webp(np.asarray(whole))


def webp(picture: np.ndarray) -> str:
    """A picture uint8 [H, W, 3], or [H, W, 4] with its opacity, as an address that holds it (``data:``)."""
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "WEBP", quality=80)
    return f"data:image/webp;base64,{base64.b64encode(stream.getvalue()).decode()}"


def pixels(images: Tensor) -> np.ndarray:
    """Images as tiles: uint8 [N, 3, S, S] on any device -> [N, S, S, 3]."""
    return images.permute(0, 2, 3, 1).cpu().numpy()


def _rendered(kind: str, tiles: np.ndarray, **values: Any) -> str:
    """The block of this kind, from its template; ``tiles`` is uint8 [rows, columns, S, S, 3]."""
    rows, columns = tiles.shape[:2]
    return rendered(kind, sprite=sprite(tiles), rows=rows, columns=columns, **values)


def rendered(kind: str, **values: Any) -> str:
    """The block of this kind, from its template; every text is escaped."""
    return TEMPLATES.get_template(f"{kind}.html").render(kind=kind, **values)


def _tiles(images: Tensor, responses: Responses, columns: int) -> np.ndarray:
    """Pictures, then each classifier's maps over them: uint8 [rows, columns, S, S, 3]."""
    plain = pixels(images)
    painted = [heated(*pair) for maps in responses.maps for pair in zip(plain, maps, strict=True)]
    return np.concatenate([plain, painted]).reshape(-1, columns, *plain.shape[1:])


def _answered(shares: np.ndarray, labels: ArrayLike, backgrounds: ArrayLike) -> dict[str, np.ndarray]:
    """Answers, their outcomes, and the shares [..., 9] in whole percent; labels and backgrounds are classes."""
    answers = shares.argmax(-1)
    percents = np.rint(100 * shares.astype(float)).astype(int)
    return {"answers": answers, "outcomes": outcomes(answers, labels, backgrounds), "percents": percents}
