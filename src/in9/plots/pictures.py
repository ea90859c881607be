"""Pictures of images, in rows and columns, and what is painted over one: its mask's edge or a saliency map."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from in9.plots.style import WIDTH, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def picture_grid(
    rows: Mapping[str, Sequence[np.ndarray]],
    titles: Sequence[str],
    captions: Mapping[str, Sequence[str]] | None = None,
) -> Figure:
    """Pictures in rows and columns: row name -> images uint8 [S, S, 3]; ``titles`` name the columns.

    ``captions`` puts a few words below each picture: row name -> one caption for each column.
    """
    side = min(1.5, (WIDTH + 0.4) / (len(titles) + 1))  # of a picture, in inches
    letters = int(72 * side / 4.7)  # that fit below a picture
    nothing = [""] * len(titles)
    below = {name: [textwrap.fill(words, letters) for words in (captions or {}).get(name, nothing)] for name in rows}
    heights = [side + 0.17 * max(words.count("\n") + bool(words) for words in below[name]) for name in rows]
    spaces = {"wspace": 0.03, "hspace": 0.03, "height_ratios": heights}
    figure, axes = new_figure(
        sum(heights) + 0.5, len(rows), len(titles), width=side * (len(titles) + 1), gridspec_kw=spaces
    )
    figure.set_layout_engine("constrained", w_pad=0.02, h_pad=0.02, wspace=0.02, hspace=0.02)
    for line, (name, images) in zip(axes, rows.items(), strict=True):
        for axis, image, words in zip(line, images, below[name], strict=True):
            axis.imshow(image, interpolation="nearest" if image.shape[0] >= 96 else "lanczos")
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set_visible(False)
            axis.set_xlabel(words, fontsize=8.5, labelpad=2)
        line[0].set_ylabel(textwrap.fill(name, 10), rotation=0, ha="right", va="center", fontsize=10)
    for axis, title in zip(axes[0], titles, strict=True):
        words = "\n".join(textwrap.fill(part, letters - 1) for part in title.split("\n"))
        axis.set_title(words, fontsize=9, fontweight="normal", linespacing=1.0)
    return figure


def outlined(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """An image uint8 [S, S, 3] with the inner edge of its mask bool [S, S] in yellow."""
    from scipy.ndimage import binary_erosion  # here, because it is slow to import

    result = image.copy()
    result[mask & ~binary_erosion(mask)] = (255, 221, 0)
    return result


def heated(image: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """A saliency map, float [S, S], 0 or more, laid over its image uint8 [S, S, 3] in grey: the brighter the more.

    The brightest colour stands for the map's 99th percentile, or for its maximum where that percentile is zero.
    """
    from matplotlib import colormaps

    highest = float(np.quantile(heat, 0.99)) or float(heat.max()) or 1.0
    strength = np.clip(heat / highest, 0, 1)[..., None]
    grey = image.mean(axis=2, keepdims=True) / 255
    colours = colormaps["inferno"](strength[..., 0])[..., :3]
    return np.round(255 * ((0.55 - 0.25 * strength) * grey + (0.25 + 0.45 * strength) * colours)).astype(np.uint8)
