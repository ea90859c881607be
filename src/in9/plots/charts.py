"""Figures: drawn from tidy frames and arrays only; one colour and one name for each variant, everywhere.

Charts are meant as SVG and photographs as JPEG: call ``chart_style`` or ``photo_style`` before drawing.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from in9.taxonomy import TITLES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NETWORKS = {
    "alexnet": "AlexNet",
    "shufflenet_v2_x1_0": "ShuffleNet v2",
    "resnet50": "ResNet-50",
    "wide_resnet50_2": "Wide ResNet-50-2",
    "vgg16_bn": "VGG-16 (BN)",
}
"""Networks of the paper's table 2; for others see ``network``."""

# Okabe and Ito's colours, which people with any colour vision can tell apart; black and grey for the whole images.
COLOURS = {
    "original": "#4d4d4d",
    "only_bg_b": "#56b4e9",
    "only_bg_t": "#0072b2",
    "no_fg": "#009e73",
    "only_fg": "#b8a800",
    "mixed_same": "#cc79a7",
    "mixed_rand": "#d55e00",
    "mixed_next": "#e69f00",
    "in9l": "#999999",
}

# Where a number comes from looks the same in every chapter.
ORIGINS = {
    "paper": {"label": "the paper", "color": "#4d4d4d", "marker": "s"},
    "record": {"label": "our record on photographs", "color": "#0072b2", "marker": "o"},
    "run": {"label": "this run", "color": "#d55e00", "marker": "D"},
}

# The fine-grained look: blue where the background helps, orange where it harms, grey where it does neither.
CATEGORY_COLOURS = {
    "bg_required": "#0072b2",
    "bg_fg_required": "#56b4e9",
    "bg_fools": "#d55e00",
    "bg_fg_fools": "#e69f00",
    "bg_irrelevant": "#cccccc",
}

CHANCE_PERCENT = 100 / 9
WIDTH = 5.4
"""Of every chart, in inches: a telephone shows it at two thirds of its size, and its words can still be read."""


def _style(image_format: str) -> None:
    import matplotlib as mpl
    import seaborn as sns

    sns.set_theme(context="notebook", style="ticks", palette="colorblind")
    mpl.rcParams.update(
        {
            "figure.dpi": 120 if image_format == "jpeg" else 100,  # photographs as wide as the column of the page
            "savefig.dpi": 150,
            "svg.fonttype": "none",
            "svg.hashsalt": "in9",
            "font.size": 11,
            "axes.titlesize": 12,
            "axes.titleweight": "bold",
            "axes.spines.top": False,
            "axes.spines.right": False,
            "figure.constrained_layout.use": True,
        }
    )
    try:
        from IPython.core.getipython import get_ipython
        from matplotlib_inline.backend_inline import set_matplotlib_formats
    except ImportError:
        return
    if get_ipython() is not None:
        options: dict[str, dict[str, Any]] = {
            "svg": {"metadata": {"Date": None}},
            "jpeg": {"pil_kwargs": {"quality": 90}},
        }
        set_matplotlib_formats(image_format, **options[image_format])


def chart_style() -> None:
    """The book's style for charts; in a notebook they are shown as SVG."""
    _style("svg")


def photo_style() -> None:
    """The book's style for pictures of images; in a notebook they are shown as JPEG, which keeps pages small."""
    _style("jpeg")


def _closed(figure: Figure) -> Figure:
    """The figure, taken out of pyplot's care: a notebook then shows it once, as the value of its cell."""
    from matplotlib import pyplot as plt

    plt.close(figure)
    return figure


def network(name: str) -> str:
    """What a network is called on the page."""
    return NETWORKS.get(name, name.replace("small_resnet_", "ours, "))


def _columns(labels: Sequence[str]) -> int:
    """How many of a legend's entries fit beside each other."""
    letter, mark = 5.8, 36  # their widths in points
    return max(1, min(len(labels), int(72 * WIDTH / (letter * max(map(len, labels), default=1) + mark))))


def matrix_heatmaps(frames: Mapping[str, pd.DataFrame]) -> Figure:
    """Accuracy of each training set (down) on each test set (across), one panel for each origin (table 5).

    Each frame has the columns train, test, accuracy in percent, as ``Study.matrix`` gives it.
    """
    import seaborn as sns
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(len(frames), 1, figsize=(WIDTH, 4.6 * len(frames)), squeeze=False)
    for axis, (title, frame) in zip(axes[:, 0], frames.items(), strict=True):
        order = [name for name in TITLES if name in set(frame["test"])]
        rows = [name for name in TITLES if name in set(frame["train"])]
        wide = frame.pivot(index="train", columns="test", values="accuracy").loc[rows, order]
        sns.heatmap(
            wide.rename(index=TITLES, columns=TITLES),
            ax=axis, vmin=0, vmax=100, cmap="cividis", annot=True, fmt=".0f", linewidths=1, cbar=False,
            annot_kws={"fontsize": 9.5},
        )  # fmt: skip
        axis.set(title=title, xlabel="tested on", ylabel="trained on")
        axis.tick_params(axis="x", rotation=40, length=0)
        axis.tick_params(axis="y", rotation=0, length=0)
        plt.setp(axis.get_xticklabels(), ha="right", rotation_mode="anchor")
    return _closed(figure)


def intervals(
    frame: pd.DataFrame,
    rows: str,
    value: str,
    order: Sequence[str],
    xlabel: str,
    chance: bool = False,
    looks: Mapping[str, Mapping[str, str]] = ORIGINS,
) -> Figure:
    """One line for each row, with a dot and an interval for each origin, directly comparable.

    ``frame`` has the columns ``rows`` (the row's key in ``TITLES``), ``origin`` (a key of ``looks``), ``value``, low
    and high; low and high may be missing where no interval is known. ``chance`` draws the chance level of nine classes.
    """
    from matplotlib import pyplot as plt

    origins = [origin for origin in looks if origin in set(frame["origin"])]
    figure, axis = plt.subplots(figsize=(WIDTH, 0.62 * len(order) + 1.5))
    offsets = dict(zip(origins, np.linspace(0.24, -0.24, len(origins)) if len(origins) > 1 else [0.0], strict=True))
    for origin in origins:
        part = frame[frame["origin"] == origin].set_index(rows)
        names = [name for name in order if name in part.index]
        heights = np.array([len(order) - 1 - list(order).index(name) for name in names]) + offsets[origin]
        part = part.loc[names]
        look = looks[origin]
        low, high = part["low"].fillna(part[value]), part["high"].fillna(part[value])
        axis.hlines(heights, low, high, color=look["color"], linewidth=2.5, alpha=0.55)
        axis.plot(part[value], heights, look["marker"], color=look["color"], markersize=6.5, label=look["label"])
    axis.set(xlabel=xlabel, ylim=(-0.6, len(order) - 0.4))
    axis.set_yticks(range(len(order)), [textwrap.fill(TITLES.get(name, name), 24) for name in reversed(order)])
    axis.tick_params(axis="y", length=0)
    axis.grid(axis="x", alpha=0.3)
    if chance:
        axis.axvline(CHANCE_PERCENT, color="#777777", linestyle=":", linewidth=1.2)
        axis.annotate("chance", (CHANCE_PERCENT, len(order) - 0.45), xytext=(3, 0), textcoords="offset points",
                      fontsize=9, color="#555555", va="top")  # fmt: skip
    elif frame["low"].min() < 0 or frame[value].min() >= 0:
        axis.axvline(0, color="#777777", linewidth=1)
    figure.legend(loc="outside lower center", ncols=_columns([looks[one]["label"] for one in origins]),
                  frameon=False)  # fmt: skip
    return _closed(figure)


def success_histograms(frame: pd.DataFrame, order: Sequence[str], bin_width: float = 5.0) -> Figure:
    """How the backgrounds' attack success rates are spread: one panel for each target class, one outline an origin.

    ``frame`` has the columns origin (a key of ``ORIGINS``), target (one of ``order``) and value in percent; heights
    are shares of the origin's backgrounds of that class, so that sets of different sizes compare.
    """
    from matplotlib import pyplot as plt

    bins = np.arange(0, bin_width * (np.floor(frame["value"].max() / bin_width) + 1.5), bin_width)
    across = 3
    down = -(-len(order) // across)
    figure, axes = plt.subplots(
        down, across, figsize=(WIDTH, 1.75 * down + 0.6), sharex=True, sharey=True, squeeze=False
    )
    for axis, target in zip(axes.flat, order, strict=False):
        for origin in (one for one in ORIGINS if one in set(frame["origin"])):
            values = frame.query("origin == @origin and target == @target")["value"].to_numpy()
            if len(values):
                shares = 100 * np.histogram(values, bins)[0] / len(values)
                look = {"color": ORIGINS[origin]["color"], "linewidth": 1.8, "label": ORIGINS[origin]["label"]}
                axis.stairs(shares, bins, **look)
                axis.stairs(shares, bins, fill=True, color=look["color"], alpha=0.15)
        axis.set_title(target, fontsize=11, fontweight="normal")
        axis.grid(axis="y", alpha=0.3)
    figure.supxlabel("attack success rate of one background, %", fontsize=11)
    figure.supylabel("share of the class's backgrounds, %", fontsize=11)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=_columns(labels), frameon=False)
    return _closed(figure)


def vulnerability_growth(frame: pd.DataFrame) -> Figure:
    """Vulnerable foregrounds against the number of backgrounds that they meet, one line with its band an origin.

    ``frame`` has the columns origin (a key of ``ORIGINS``), backgrounds, value, low and high in percent; low and high
    may be missing.
    """
    from matplotlib import pyplot as plt

    figure, axis = plt.subplots(figsize=(WIDTH, 3.8))
    for origin in (one for one in ORIGINS if one in set(frame["origin"])):
        part, look = frame[frame["origin"] == origin].sort_values("backgrounds"), ORIGINS[origin]
        low, high = part["low"].fillna(part["value"]), part["high"].fillna(part["value"])
        axis.fill_between(part["backgrounds"], low, high, color=look["color"], alpha=0.15, linewidth=0)
        axis.plot(part["backgrounds"], part["value"], "-" + str(look["marker"]), color=look["color"], markersize=6.5,
                  label=look["label"])  # fmt: skip
    axis.set_xscale("log")
    ticks = sorted(set(frame["backgrounds"]))
    spread = [one for place, one in enumerate(ticks) if place == 0 or one > 1.3 * ticks[place - 1]]
    axis.set_xticks(spread, [f"{one:,}" for one in spread])
    axis.minorticks_off()
    axis.set(xlabel="number of backgrounds", ylabel="vulnerable foregrounds, %", ylim=(0, 100))
    axis.grid(alpha=0.3)
    axis.legend(frameon=False)
    return _closed(figure)


def picture_grid(
    rows: Mapping[str, Sequence[np.ndarray]],
    titles: Sequence[str],
    captions: Mapping[str, Sequence[str]] | None = None,
) -> Figure:
    """Pictures in rows and columns: row name -> images uint8 [S, S, 3]; ``titles`` name the columns.

    ``captions`` puts a few words below each picture: row name -> one for each column.
    """
    from matplotlib import pyplot as plt

    side = min(1.0, (WIDTH + 0.4) / (len(titles) + 1))
    letters = int(72 * side / 4.7)  # that fit below a picture
    below = {name: [textwrap.fill(one, letters) for one in some] for name, some in (captions or {}).items()}
    lines = [max((one.count("\n") + 1 for one in below.get(name, ()) if one), default=0) for name in rows]
    figure, axes = plt.subplots(
        len(rows), len(titles), squeeze=False,
        figsize=(side * (len(titles) + 1), sum(side + 0.17 * count for count in lines) + 0.5),
        gridspec_kw={"wspace": 0.03, "hspace": 0.03, "height_ratios": [side + 0.17 * count for count in lines]},
    )  # fmt: skip
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.set(w_pad=0.02, h_pad=0.02, wspace=0.02, hspace=0.02)  # type: ignore[call-arg]
    for line, (name, images) in zip(axes, rows.items(), strict=True):
        for axis, image in zip(line, images, strict=True):
            _picture(axis, image)
        for axis, words in zip(line, below.get(name, ()), strict=False):
            axis.set_xlabel(words, fontsize=8.5, labelpad=2)
        line[0].set_ylabel(textwrap.fill(name, 10), rotation=0, ha="right", va="center", fontsize=10)
    for axis, title in zip(axes[0], titles, strict=True):
        words = "\n".join(textwrap.fill(part, letters - 1) for part in title.split("\n"))
        axis.set_title(words, fontsize=9, fontweight="normal", linespacing=1.0)
    return _closed(figure)


def no_images() -> Figure:
    """What stands where photographs would: records have numbers only."""
    from matplotlib import pyplot as plt

    figure, axis = plt.subplots(figsize=(6, 0.8))
    axis.set_axis_off()
    axis.text(0.5, 0.5, "Drawn from records alone: the images are not here.", ha="center", va="center")
    return _closed(figure)


def _picture(axis: Axes, image: np.ndarray) -> None:
    axis.imshow(image, interpolation="nearest" if image.shape[0] >= 96 else "lanczos")
    axis.set(xticks=[], yticks=[])
    for spine in axis.spines.values():
        spine.set_visible(False)


def outlined(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """An image uint8 [S, S, 3] with the edge of its mask bool [S, S] drawn inside it, in yellow."""
    padded = np.pad(mask, 1)
    inner = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    result = image.copy()
    result[mask & ~inner] = (255, 221, 0)
    return result


def heated(image: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """A saliency map, float [S, S], 0 or more, laid over its image uint8 [S, S, 3] in grey: the brighter the more.

    The brightest colour stands for the map's 99th percentile, or for its maximum where that percentile is zero.
    """
    from matplotlib import colormaps

    highest = float(np.quantile(heat, 0.99)) or float(heat.max()) or 1.0
    strength = np.clip(heat / highest, 0, 1)[..., None]
    grey = np.repeat(image.mean(axis=2, keepdims=True) / 255, 3, axis=2)
    colours = colormaps["inferno"](strength[..., 0])[..., :3]
    return np.round(255 * ((0.55 - 0.25 * strength) * grey + (0.25 + 0.45 * strength) * colours)).astype(np.uint8)


def flow(frames: Mapping[str, pd.DataFrame], titles: Mapping[str, str], names: Mapping[str, str]) -> Figure:
    """Where images go from one prediction to the next, one panel for each model: an alluvial diagram (table 3).

    Each frame is as ``in9.experiments.fine_grained.paths`` gives it; ``titles`` names the columns (part -> label, in
    order), ``names`` the categories (key of ``CATEGORY_COLOURS`` -> label).
    """
    from matplotlib import pyplot as plt
    from matplotlib.patches import Patch, PathPatch
    from matplotlib.path import Path

    parts, gap, half = list(titles), 7.0, 0.055
    figure, axes = plt.subplots(len(frames), 1, figsize=(WIDTH, 2.35 * len(frames) + 0.7), squeeze=False)
    for axis, (title, frame) in zip(axes[:, 0], frames.items(), strict=True):
        edges: list[dict[int, tuple[float, float]]] = []  # of each column: path -> its upper and lower end
        for place, part in enumerate(parts):
            # Right above wrong; within each, in the order of the column before, so that ribbons cross little.
            keys = [part, *reversed(parts[:place]), *parts[place + 1 :]]
            ordered = frame.sort_values(keys, ascending=False)
            lower = 100 - 100 * ordered["share"].cumsum() - np.where(ordered[part], 0, gap)
            upper = lower + 100 * ordered["share"]
            edges.append(dict(zip(ordered.index, zip(upper, lower, strict=True), strict=True)))
            right = 100 * frame.loc[frame[part], "share"].sum()
            for word, top, bottom in (("right", 100, 100 - right), ("wrong", 100 - right - gap, -gap)):
                axis.fill_between([place - half, place + half], top, bottom, color="#4d4d4d", linewidth=0)
                away = -1 if place == 0 else 1  # the first column's words stand on its left
                axis.annotate(
                    f"{word} {top - bottom:.0f} %", (place + away * half, (top + bottom) / 2), (away * 5, 0),
                    textcoords="offset points", ha="right" if place == 0 else "left", va="center", fontsize=9.5,
                    bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 1.5},
                )  # fmt: skip
        for path, category in frame["category"].items():
            for place in range(len(parts) - 1):
                (top, bottom), (next_top, next_bottom) = edges[place][path], edges[place + 1][path]
                left, end, middle = place + half, place + 1 - half, place + 0.5
                points = [(left, top), (middle, top), (middle, next_top), (end, next_top),
                          (end, next_bottom), (middle, next_bottom), (middle, bottom), (left, bottom)]  # fmt: skip
                codes = [Path.MOVETO, *[Path.CURVE4] * 3, Path.LINETO, *[Path.CURVE4] * 3]
                colour = CATEGORY_COLOURS[category]
                axis.add_patch(PathPatch(Path(points, codes), facecolor=colour, edgecolor="white", linewidth=0.4))
        axis.set(title=title, xlim=(-0.45, len(parts) - 0.55), ylim=(-gap - 1, 101), yticks=[])
        axis.set_xticks(range(len(parts)), [one.replace(": ", ":\n") for one in titles.values()])
        axis.tick_params(axis="x", length=0)
        axis.spines[:].set_visible(False)
    handles = [Patch(color=CATEGORY_COLOURS[name], label=label) for name, label in names.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False)
    return _closed(figure)
