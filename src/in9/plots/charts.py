"""Charts that are read row by row or panel by panel: dots with intervals, heat maps, histograms and flows."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from in9.plots.style import (
    CATEGORY_COLOURS,
    GUIDE,
    ORIGIN_LOOKS,
    WORDS,
    Chart,
    Look,
    by_look,
    ends,
    new_figure,
    shared_legend,
)
from in9.taxonomy import CHANCE, TITLES

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def matrix_heatmaps(frames: Mapping[str, pd.DataFrame], rows: Mapping[str, str] = TITLES) -> Chart:
    """Accuracy of each training set (down) on each test set (across), one panel for each origin (table 5).

    Each frame has the columns train, test, accuracy in percent, as ``in9.experiments.backgrounds_suffice.accuracies``
    gives it. ``rows`` names the training sets that a frame may have, in their order.
    """
    import seaborn as sns

    options = {"vmin": 0, "vmax": 100, "cmap": "cividis", "linewidths": 1, "cbar": False, "annot": True, "fmt": ".0f"}
    figure, axes = new_figure(4.6 * len(frames), len(frames))
    for axis, (title, frame) in zip(axes.flat, frames.items(), strict=True):
        train = [name for name in rows if name in set(frame["train"])]
        test = [name for name in TITLES if name in set(frame["test"])]
        wide = frame.pivot(index="train", columns="test", values="accuracy").loc[train, test]
        wide = wide.rename(index=rows, columns=TITLES)
        sns.heatmap(wide, ax=axis, annot_kws={"fontsize": 9.5}, **options)
        axis.set(title=title, xlabel="tested on", ylabel="trained on")
        axis.tick_params(length=0)
        axis.tick_params(axis="y", rotation=0)
        for label in axis.get_xticklabels():
            label.set(rotation=40, ha="right", rotation_mode="anchor")
    return Chart.of_panels(figure, frames)


def intervals(
    frame: pd.DataFrame,
    rows: str,
    value: str,
    order: Sequence[str],
    xlabel: str,
    chance: bool = False,
    looks: Mapping[str, Look] = ORIGIN_LOOKS,
) -> Chart:
    """A row for each name in ``order``, with a dot and an interval for each origin, so that origins compare.

    ``frame`` has the columns ``rows`` (the row's name, which may be a key of ``TITLES``), origin (a key of ``looks``),
    ``value``, low and high; low and high may be missing where no interval is known. ``chance`` adds a line at the
    chance level of nine classes in percent; without it there is a line at zero.
    """
    figure, axes = new_figure(0.62 * len(order) + 1.5)
    axis = axes[0, 0]
    height_of = {name: height for height, name in enumerate(reversed(order))}  # the first row is at the top
    parts = list(by_look(frame[frame[rows].isin(height_of)], "origin", looks))
    offsets = np.linspace(0.24, -0.24, len(parts)) if len(parts) > 1 else [0.0]
    for offset, (look, part) in zip(offsets, parts, strict=True):
        heights = part[rows].map(height_of) + offset
        axis.hlines(heights, *ends(part, value), color=look["color"], linewidth=2.5, alpha=0.55)
        axis.plot(part[value], heights, linestyle="", markersize=6.5, **look)
    axis.set(xlabel=xlabel, ylim=(-0.6, len(order) - 0.4))
    axis.set_yticks(range(len(order)), [textwrap.fill(TITLES.get(name, name), 24) for name in height_of])
    axis.tick_params(axis="y", length=0)
    axis.grid(axis="x", alpha=0.3)
    if chance:
        axis.axvline(100 * CHANCE, **GUIDE)
        place = (100 * CHANCE, len(order) - 0.45)
        axis.annotate("chance", place, (3, 0), color="#555555", **WORDS | {"va": "top", "fontsize": 9})
    else:
        axis.axvline(0, color="#777777", linewidth=1)
    shared_legend(figure, "lower")
    return Chart(figure, pd.concat(part for _, part in parts))


def success_histograms(frame: pd.DataFrame, order: Sequence[str]) -> Chart:
    """How the backgrounds' attack success rates are spread: a panel for each target class, an outline for each origin.

    ``frame`` has the columns origin (a key of ``ORIGIN_LOOKS``), target (one of ``order``) and value in percent;
    heights are shares of the origin's backgrounds of that class, so that sets of different sizes compare.
    """
    width = 5.0  # of a bin, in points
    bins = np.arange(0, width * (np.floor(frame["value"].max() / width) + 1.5), width)
    across = 3
    down = math.ceil(len(order) / across)
    figure, axes = new_figure(1.75 * down + 0.6, down, across, sharex=True, sharey=True)
    heights = []
    for axis, target in zip(axes.flat, order, strict=False):
        for look, part in by_look(frame[frame["target"] == target], "origin", ORIGIN_LOOKS):
            shares = 100 * np.histogram(part["value"], bins)[0] / len(part)
            bars = pd.DataFrame({"from": bins[:-1], "to": bins[1:], "share": shares})
            heights.append(bars.assign(target=target, series=look["label"]))
            axis.stairs(shares, bins, color=look["color"], linewidth=1.8, label=look["label"])
            axis.stairs(shares, bins, color=look["color"], fill=True, alpha=0.15)
        axis.set_title(target, fontsize=11, fontweight="normal")
        axis.grid(axis="y", alpha=0.3)
    figure.supxlabel("attack success rate of one background, %", fontsize=11)
    figure.supylabel("share of the class's backgrounds, %", fontsize=11)
    shared_legend(figure, "upper")
    return Chart(figure, pd.concat(heights, ignore_index=True))


def flow(frames: Mapping[str, pd.DataFrame], titles: Mapping[str, str], names: Mapping[str, str]) -> Chart:
    """Where images go from one prediction to the next, one panel for each model: an alluvial diagram (table 3).

    Each frame is as ``in9.experiments.fine_grained.paths`` gives it; ``titles`` names the columns (part -> label, in
    order), ``names`` the categories (key of ``CATEGORY_COLOURS`` -> label).
    """
    from matplotlib.patches import Patch

    figure, axes = new_figure(2.35 * len(frames) + 0.7, len(frames))
    for axis, (title, frame) in zip(axes.flat, frames.items(), strict=True):
        _flow_panel(axis, frame, list(titles))
        axis.set_title(title)
        axis.set_xticks(range(len(titles)), [label.replace(": ", ":\n") for label in titles.values()])
    handles = [Patch(color=CATEGORY_COLOURS[name], label=label) for name, label in names.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False)
    return Chart.of_panels(figure, frames)


def _flow_panel(axis: Axes, frame: pd.DataFrame, parts: Sequence[str]) -> None:
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 1.5}
    gap, half = 7.0, 0.055  # between right and wrong in percent; half of a bar's width
    edges: list[dict[int, tuple[float, float]]] = []  # of each bar: path -> its upper and lower end
    for place, part in enumerate(parts):
        # Right above wrong; within each, in the order of the bar before, so that ribbons cross little.
        keys = [part, *reversed(parts[:place]), *parts[place + 1 :]]
        ordered = frame.sort_values(keys, ascending=False)
        lower = 100 - 100 * ordered["share"].cumsum() - np.where(ordered[part], 0, gap)
        upper = lower + 100 * ordered["share"]
        edges.append(dict(zip(ordered.index, zip(upper, lower, strict=True), strict=True)))
        right = 100 * frame.loc[frame[part], "share"].sum()
        away, side = (-1, "right") if place == 0 else (1, "left")  # the first bar's words stand on its left
        for word, top, bottom in (("right", 100, 100 - right), ("wrong", 100 - right - gap, -gap)):
            axis.fill_between([place - half, place + half], top, bottom, color="#4d4d4d", linewidth=0)
            words, height = f"{word} {top - bottom:.0f} %", (top + bottom) / 2
            axis.annotate(words, (place + away * half, height), (away * 5, 0), ha=side, bbox=box, **WORDS)
    codes = [Path.MOVETO, *[Path.CURVE4] * 3, Path.LINETO, *[Path.CURVE4] * 3]
    for path, category in frame["category"].items():
        for place in range(len(parts) - 1):
            (top, bottom), (next_top, next_bottom) = edges[place][path], edges[place + 1][path]
            across = np.array([place + half, place + 0.5, place + 0.5, place + 1 - half])
            upwards = [top, top, next_top, next_top, next_bottom, next_bottom, bottom, bottom]
            points = np.column_stack([[*across, *across[::-1]], upwards])
            colour = CATEGORY_COLOURS[category]
            axis.add_patch(PathPatch(Path(points, codes), facecolor=colour, edgecolor="white", linewidth=0.4))
    axis.set(xlim=(-0.45, len(parts) - 0.55), ylim=(-gap - 1, 101), yticks=[])
    axis.tick_params(axis="x", length=0)
    axis.spines[:].set_visible(False)
