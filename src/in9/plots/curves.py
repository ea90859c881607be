"""Figures of the experiments: lines with interval bands, and accuracy against BG-Gap; drawn from tidy frames only."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from itertools import pairwise
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from in9.plots.charts import CHANCE_PERCENT, COLOURS, ORIGINS, WIDTH, _closed, _columns

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Look = Mapping[str, Any]

# Ways to train: those on one variant have its colour.
TRAININGS: Mapping[str, Look] = MappingProxyType(
    {
        "original": {"label": "Original", "color": COLOURS["original"], "marker": "s"},
        "mixed_same": {"label": "Mixed-Same", "color": COLOURS["mixed_same"], "marker": "^"},
        "mixed_next": {"label": "Mixed-Next", "color": COLOURS["mixed_next"], "marker": "v"},
        "mixed_rand": {"label": "Mixed-Rand, drawn anew", "color": COLOURS["mixed_rand"], "marker": "D"},
        "mixed_rand_once": {"label": "Mixed-Rand, drawn once", "color": "#8f3f00", "marker": "d"},
        "half": {"label": "half Original, half Mixed-Rand", "color": "#7a5ba6", "marker": "P"},
        "head": {"label": "Original, last layer on Mixed-Rand", "color": COLOURS["only_bg_t"], "marker": "o"},
    }
)

# What the dial moves, in points and in percent.
QUANTITIES: Mapping[str, Look] = MappingProxyType(
    {
        "gap": {"label": "BG-Gap", "color": "#000000", "marker": "o"},
        "paste": {"label": "Original minus\nMixed-Same", "color": COLOURS["mixed_same"], "marker": "^"},
        "control": {"label": "Mixed-Same, draw 1\nminus draw 2", "color": "#999999", "marker": "s"},
        "original": {"label": "on Original", "color": COLOURS["original"], "marker": "s"},
        "only_bg_t": {"label": "on Only-BG-T", "color": COLOURS["only_bg_t"], "marker": "o"},
        "towards": {"label": "answers the\nbackground's class", "color": COLOURS["mixed_rand"], "marker": "D"},
        "elsewhere": {"label": "answers another\nwrong class", "color": "#999999", "marker": "v"},
    }
)


def lines(
    panels: Mapping[str, pd.DataFrame],
    across: str,
    xlabel: str,
    looks: Mapping[str, Look] = ORIGINS,
    references: Mapping[str, Sequence[tuple[float, str]]] = MappingProxyType({}),
    logarithmic: bool = False,
) -> Figure:
    """Panels above each other, one for each ylabel, with one line and its interval band for each series.

    Each frame has the columns ``across``, series (a key of ``looks``), value, low and high; low and high may be
    missing. Lines carry their names at their right end. ``references`` draws named levels: ylabel -> (value, name).
    """
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(len(panels), 1, figsize=(WIDTH, 2.7 * len(panels) + 0.4), sharex=True, squeeze=False)
    ticks = sorted({float(one) for frame in panels.values() for one in frame[across]})
    if logarithmic:
        ticks = [one for place, one in enumerate(ticks) if place == 0 or one > 1.3 * ticks[place - 1]]
    for axis, (ylabel, frame) in zip(axes[:, 0], panels.items(), strict=True):
        names = []
        for series in (one for one in looks if one in set(frame["series"])):
            part, look = frame[frame["series"] == series].sort_values(across), looks[series]
            low, high = part["low"].fillna(part["value"]), part["high"].fillna(part["value"])
            axis.fill_between(part[across], low, high, color=look["color"], alpha=0.16, linewidth=0)
            axis.vlines(part[across], low, high, color=look["color"], alpha=0.55, linewidth=1.5)
            axis.plot(part[across], part["value"], "-" + str(look["marker"]), color=look["color"], markersize=6)
            names.append((float(part["value"].iloc[-1]), textwrap.fill(look["label"], 18), look["color"]))
        for level, _ in references.get(ylabel, ()):
            axis.axhline(level, color="#777777", linestyle=":", linewidth=1.2)
        if logarithmic:
            axis.set_xscale("log")
        axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axis.minorticks_off()
        axis.set(ylabel=ylabel)
        axis.grid(axis="y", alpha=0.3)
        names += [(level, name, "#555555") for level, name in references.get(ylabel, ()) if name]
        _names_at_the_right(axis, names)
    axes[-1, 0].set_xlabel(xlabel)
    return _closed(figure)


def _names_at_the_right(axis: Axes, names: Sequence[tuple[float, str, str]]) -> None:
    """Write each name at its height beside the right edge, moved as little as keeps them apart."""
    low, high = axis.get_ylim()
    line = 0.085 * (high - low)  # the height of one line of text in a panel of ``lines``
    sizes = [line * (1 + name.count("\n")) for _, name, _ in names]
    for (_, name, colour), height in zip(names, _apart([one[0] for one in names], sizes), strict=True):
        axis.annotate(name, (1, height), xycoords=("axes fraction", "data"), xytext=(8, 0), fontsize=9.5,
                      textcoords="offset points", va="center", color=colour, annotation_clip=False,
                      linespacing=1.0)  # fmt: skip
    axis.set_ylim(low, high)


def _apart(heights: Sequence[float], sizes: Sequence[float]) -> list[float]:
    """Heights moved so that bars of these sizes around them do not overlap."""
    result = list(heights)
    order = sorted(range(len(result)), key=lambda one: (result[one], one))
    for _ in range(200):
        moved = False
        for below, above in pairwise(order):
            missing = (sizes[below] + sizes[above]) / 2 - (result[above] - result[below])
            if missing > 1e-9:
                result[below] -= missing / 2
                result[above] += missing / 2
                moved = True
        if not moved:
            break
    return result


def tradeoff(panels: Mapping[str, pd.DataFrame]) -> Figure:
    """Accuracy on Original against BG-Gap, a cross of intervals and a name for each way to train; one panel an origin.

    Each frame has the columns training (a key of ``TRAININGS``), accuracy, gap and their low and high ends, as
    ``in9.experiments.trainings.tradeoff`` gives it. The panels share their axes.
    """
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(
        len(panels), 1, figsize=(WIDTH, 3.3 * len(panels) + 0.4), sharex=True, sharey=True, squeeze=False
    )
    for axis, (title, frame) in zip(axes[:, 0], panels.items(), strict=True):
        for row in frame.itertuples():
            look = TRAININGS[row.training]
            if not np.isnan(row.gap_low):
                axis.hlines(row.gap, row.accuracy_low, row.accuracy_high, color=look["color"], alpha=0.55, linewidth=2)
                axis.vlines(row.accuracy, row.gap_low, row.gap_high, color=look["color"], alpha=0.55, linewidth=2)
            axis.plot(row.accuracy, row.gap, look["marker"], color=look["color"], markersize=7.5)
        axis.axhline(0, color="#777777", linewidth=1)
        axis.set(title=title, ylabel="BG-Gap, points")
        axis.margins(0.3, 0.12)
        axis.grid(alpha=0.3)
    axes[-1, 0].set_xlabel("accuracy on Original, %")
    # All points are drawn: the shared axes have their final ends, and names can be set apart.
    low, high = axes[0, 0].get_ylim()
    left, right = axes[0, 0].get_xlim()
    for axis, frame in zip(axes[:, 0], panels.values(), strict=True):
        rows = list(frame.itertuples())
        words = [textwrap.fill(TRAININGS[row.training]["label"], 22) for row in rows]
        sizes = [0.07 * (high - low) * (1.2 + one.count("\n")) for one in words]
        heights = _apart([row.gap for row in rows], sizes)
        for row, height, label in zip(rows, heights, words, strict=True):
            look, on_the_left = TRAININGS[row.training], row.accuracy < (left + right) / 2
            end = row.accuracy_high if on_the_left else row.accuracy_low  # beside the cross, not on it
            place = (row.accuracy if np.isnan(end) else end, height)
            axis.annotate(label, place, (7 if on_the_left else -7, 0), textcoords="offset points",
                          ha="left" if on_the_left else "right", va="center", fontsize=9.5, color=look["color"],
                          linespacing=1.0,
                          bbox={"facecolor": "white", "edgecolor": "none", "pad": 1, "alpha": 0.85})  # fmt: skip
    return _closed(figure)


def scatter(
    panels: Mapping[str, tuple[pd.DataFrame, pd.DataFrame]],
    across: str,
    xlabel: str,
    ylabel: str,
    looks: Mapping[str, Look] = ORIGINS,
    named: pd.DataFrame | None = None,
    ylim: tuple[float, float] | None = None,
) -> Figure:
    """Points with their fitted lines and the lines' bands, one panel for each title, two beside each other.

    Each panel has a frame of points and one of lines (several rows for each line), both with the columns ``across``,
    series (a key of ``looks``), value, low and high; low and high may be missing. The panels share their axes.
    ``named`` draws small grey points into the first panel, with the columns name, ``across`` and value; their names
    stand where there is room, and are left out elsewhere.
    """
    from matplotlib import pyplot as plt

    wide = min(len(panels), 2)
    down = -(-len(panels) // wide)
    figure, axes = plt.subplots(down, wide, figsize=(WIDTH, (2.7 if wide > 1 else 4.3) * down + 0.7), sharex=True,
                                sharey=True, squeeze=False)  # fmt: skip
    for axis, (title, (points, fitted)) in zip(axes.flat, panels.items(), strict=False):
        for series in (one for one in looks if one in set(points["series"])):
            look, part = looks[series], points[points["series"] == series]
            axis.vlines(part[across], part["low"].fillna(part["value"]), part["high"].fillna(part["value"]),
                        color=look["color"], alpha=0.35, linewidth=1.5)  # fmt: skip
            axis.plot(part[across], part["value"], look["marker"], color=look["color"], markersize=5.5,
                      label=look["label"])  # fmt: skip
            line = fitted[fitted["series"] == series].sort_values(across)
            axis.fill_between(line[across], line["low"], line["high"], color=look["color"], alpha=0.13, linewidth=0)
            axis.plot(line[across], line["value"], "-", color=look["color"], linewidth=1.8)
        axis.set_title(title, fontsize=11, fontweight="normal")
        axis.grid(alpha=0.3)
    for axis in axes.flat[len(panels) :]:
        axis.set_visible(False)
    if named is not None:
        axes[0, 0].plot(named[across], named["value"], ".", color="#999999", markersize=5, zorder=1)
    if ylim is not None:
        axes[0, 0].set_ylim(ylim)
    figure.supxlabel(xlabel, fontsize=11)
    figure.supylabel(ylabel, fontsize=11)
    handles = {name: one for axis in axes.flat for one, name in zip(*axis.get_legend_handles_labels(), strict=True)}
    figure.legend(handles.values(), handles.keys(), loc="outside upper center", ncols=_columns(list(handles)),
                  frameon=False, fontsize=10.5, handletextpad=0.2, columnspacing=1.2)  # fmt: skip
    if named is not None:
        figure.draw_without_rendering()  # the axes have their place from now on
        _names_where_there_is_room(axes[0, 0], named, across)
    return _closed(figure)


def _names_where_there_is_room(axis: Axes, named: pd.DataFrame, across: str, size: float = 8) -> None:
    """Write names beside points, each on the first side where it meets no point, line or name, if there is one."""
    pixels = axis.figure.dpi / 72
    marks = np.concatenate([axis.transData.transform(line.get_xydata()) for line in axis.lines])
    edges = axis.get_window_extent()
    taken: list[tuple[float, float, float, float]] = []
    for row in named.itertuples():
        x, y = axis.transData.transform((getattr(row, across), row.value))
        width, height, away = 0.55 * size * len(row.name) * pixels, 1.1 * size * pixels, 4 * pixels
        for alignment, left, below in (
            ("left", x + away, y - height / 2),
            ("right", x - away - width, y - height / 2),
            ("center", x - width / 2, y + away),
            ("center", x - width / 2, y - away - height),
        ):
            right, above = left + width, below + height
            inside = edges.x0 < left and right < edges.x1 and edges.y0 < below and above < edges.y1
            on = (left < marks[:, 0]) & (marks[:, 0] < right) & (below < marks[:, 1]) & (marks[:, 1] < above)
            met = any(left < r and one < right and below < a and b < above for one, r, b, a in taken)
            if inside and not met and not on.any():
                taken.append((left, right, below, above))
                middle = ({"left": left, "right": right, "center": x}[alignment], (below + above) / 2)
                place = tuple(axis.transData.inverted().transform(middle))
                axis.annotate(row.name, place, ha=alignment, va="center", fontsize=size, color="#666666")
                break


def chance(name: str = "chance") -> tuple[float, str]:
    """The reference level of guessing among nine classes, in percent."""
    return CHANCE_PERCENT, name
