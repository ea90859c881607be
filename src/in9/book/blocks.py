"""The HTML of the page "Explore": blocks that hold their pictures and answers, and ask no other host for anything."""

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
from in9.taxonomy import CLASS_NAMES, NUM_CLASSES, TITLES

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


def pairs_html(comparison: Comparison) -> str:
    """The first test image of each class on the background of the second of each class, all answers computed.

    Works from disk: pictures and maps are one raster of tiles, answers are JSON.
    """
    classes, each = range(NUM_CLASSES), NUM_CLASSES + len(ALONE)  # pictures of each object
    objects, backgrounds = comparison.image_of_each_class(0), comparison.image_of_each_class(1)
    images = torch.cat([pictures_of(comparison.pool, row, backgrounds) for row in objects.tolist()])
    responses = comparison.respond(images)
    behind = np.array([[*classes, *len(ALONE) * [label]] for label in classes])  # class: [objects, pictures]
    shares = responses.shares.reshape(2, NUM_CLASSES, each, NUM_CLASSES)
    answered = _answered(shares, np.arange(NUM_CLASSES)[:, None], behind)
    on_backgrounds = answered["outcomes"][..., :NUM_CLASSES]
    first, last = 0, NUM_CLASSES - 1  # the pair that is shown first
    facts = {
        "classes": CLASS_NAMES,
        "words": OUTCOMES,
        "mixed": [[TITLES[mixed_variant(label, background)] for background in classes] for label in classes],
        **{name: values.tolist() for name, values in answered.items()},  # [classifiers, objects, pictures]
    }
    return _rendered(
        "pairs",
        _tiles(images, responses, each),
        trained_on=list(comparison.classifiers),
        variants=(mixed_variant(first, last), *ALONE),
        label=first,
        background=last,
        shown={name: values[:, first, last] for name, values in answered.items()},
        counts={outcome: (on_backgrounds == outcome).sum((1, 2)) for outcome in OUTCOMES},
        facts=facts,
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
    stream = io.BytesIO()
    whole.save(stream, "WEBP", quality=80)
    return f"data:image/webp;base64,{base64.b64encode(stream.getvalue()).decode()}"


def pixels(images: Tensor) -> np.ndarray:
    """Images as tiles: uint8 [N, 3, S, S] on any device -> [N, S, S, 3]."""
    return images.permute(0, 2, 3, 1).cpu().numpy()


def _rendered(kind: str, tiles: np.ndarray, **values: Any) -> str:
    """The block of this kind, from its template; ``tiles`` is uint8 [rows, columns, S, S, 3]."""
    rows, columns = tiles.shape[:2]
    template = TEMPLATES.get_template(f"{kind}.html")
    return template.render(kind=kind, sprite=sprite(tiles), rows=rows, columns=columns, **values)


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
