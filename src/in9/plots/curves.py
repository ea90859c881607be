"""Charts of numbers over numbers: lines with interval bands, points with fitted lines, accuracy against BG-Gap."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.optimize import isotonic_regression

from in9.plots.style import GUIDE, ORIGIN_LOOKS, WAY_LOOKS, WORDS, Chart, Look, by_look, ends, new_figure, shared_legend

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def lines(
    panels: Mapping[str, pd.DataFrame],
    across: str,
    xlabel: str,
    looks: Mapping[str, Look] = ORIGIN_LOOKS,
    references: Mapping[str, Sequence[tuple[float, str]]] = MappingProxyType({}),
    logarithmic: bool = False,
) -> Chart:
    """Panels above each other, one for each ylabel, with a line and its interval band for each series.

    Each frame has the columns ``across``, series (a key of ``looks``), value, low and high; low and high may be
    missing. Lines carry their names at their right end. ``references`` adds named levels: ylabel -> (value, name).
    """
    figure, axes = new_figure(2.7 * len(panels) + 0.4, len(panels), sharex=True)
    for axis, (ylabel, frame) in zip(axes.flat, panels.items(), strict=True):
        names = []
        for look, part in by_look(frame.sort_values(across), "series", looks):
            _band(axis, part, across, look)
            axis.vlines(part[across], *ends(part), color=look["color"], alpha=0.55, linewidth=1.5)
            axis.plot(part[across], part["value"], markersize=6, **look)
            names.append((part["value"].iloc[-1], textwrap.fill(look["label"], 18), look["color"]))
        for level, name in references.get(ylabel, ()):
            axis.axhline(level, **GUIDE)
            if name:
                names.append((level, name, "#555555"))
        _ticks_across(axis, pd.concat([shown[across] for shown in panels.values()]), logarithmic)
        axis.set(ylabel=ylabel)
        axis.grid(axis="y", alpha=0.3)
        _names_at_the_right(axis, names)
    axes[-1, 0].set_xlabel(xlabel)
    return Chart.of_panels(figure, panels)


def vulnerability_growth(frame: pd.DataFrame, wanted: int, extrapolated: Mapping[str, float]) -> Chart:
    """Vulnerable foregrounds against the number of backgrounds that they meet, a line with its band for each origin.

    ``frame`` has the columns origin (a key of ``ORIGIN_LOOKS``), backgrounds, value, low and high in percent; low and
    high may be missing. A dashed line leads on to the ``extrapolated`` value of an origin at the ``wanted`` number.
    """
    figure, axes = new_figure(3.8)
    axis = axes[0, 0]
    for origin, value in extrapolated.items():
        last, look = frame[frame["origin"] == origin].sort_values("backgrounds").iloc[-1], ORIGIN_LOOKS[origin]
        axis.plot([last["backgrounds"], wanted], [last["value"], value], color=look["color"], linestyle="--")
        axis.plot(wanted, value, markerfacecolor="white", **look | {"label": f"{look['label']}, extrapolated"})
    for look, part in by_look(frame.sort_values("backgrounds"), "origin", ORIGIN_LOOKS):
        _band(axis, part, "backgrounds", look)
        axis.plot(part["backgrounds"], part["value"], markersize=6.5, **look)
    _ticks_across(axis, frame["backgrounds"], logarithmic=True)
    axis.set(xlabel="number of backgrounds", ylabel="vulnerable objects, %", ylim=(0, 102))
    axis.grid(alpha=0.3)
    axis.legend(frameon=False)
    return Chart(figure, frame)


def _band(axis: Axes, part: pd.DataFrame, across: str, look: Look) -> None:
    axis.fill_between(part[across], *ends(part), color=look["color"], alpha=0.15, linewidth=0)


def _ticks_across(axis: Axes, numbers: Iterable[float], logarithmic: bool) -> None:
    """Ticks at these numbers, but only at those that have room."""
    ticks = sorted(set(map(float, numbers)))
    if logarithmic:
        axis.set_xscale("log")
        ticks = [tick for place, tick in enumerate(ticks) if place == 0 or tick > 1.3 * ticks[place - 1]]
    else:
        room, ticks, every = 0.07 * (ticks[-1] - ticks[0]), ticks[:1], ticks[1:]
        for tick in every:
            if tick - ticks[-1] >= room:
                ticks.append(tick)
    axis.set_xticks(ticks, [f"{tick:,g}" for tick in ticks])
    axis.minorticks_off()


def _names_at_the_right(axis: Axes, names: Sequence[tuple[float, str, str]]) -> None:
    """Write names beside the right edge, each (height, text, colour) as near to its height as keeps them apart."""
    low, high = axis.get_ylim()
    line = 0.085 * (high - low)  # the height of one line of text in a panel of ``lines``
    heights = moved_apart([height for height, _, _ in names], [line * (1 + name.count("\n")) for _, name, _ in names])
    options = WORDS | {"xycoords": ("axes fraction", "data"), "annotation_clip": False, "linespacing": 1.0}
    for height, (_, name, colour) in zip(heights, names, strict=True):
        axis.annotate(name, (1, height), (8, 0), color=colour, **options)
    axis.set_ylim(low, high)


def moved_apart(heights: Sequence[float], sizes: Sequence[float]) -> np.ndarray:
    """The nearest heights, in the same order, at which bars of these sizes around them do not overlap: float [N]."""
    order = np.argsort(heights, kind="stable")
    sorted_sizes = np.asarray(sizes, float)[order]
    # Bars that touch rise by a fixed step: less these steps, the heights need only not fall.
    steps = np.cumsum(sorted_sizes) - sorted_sizes / 2
    result = np.empty(len(order))
    result[order] = isotonic_regression(np.asarray(heights, float)[order] - steps).x + steps
    return result


def tradeoff(panels: Mapping[str, pd.DataFrame], start: str | None = None) -> Chart:
    """Accuracy on Original against BG-Gap, a cross of intervals and a name for each way to train (table 5).

    There is one panel for each title, and all share their axes. Each frame has the columns training (a key of
    ``WAY_LOOKS``), accuracy, gap and their low and high ends, as ``in9.experiments.mixed_rand_training.tradeoff``
    gives it. With ``start``, arrows lead from that way to the others, and a line joins those that are on the frontier:
    no other has at least their accuracy with a smaller gap.
    """
    figure, axes = new_figure(3.3 * len(panels) + 0.4, len(panels), sharex=True, sharey=True)
    for axis, (title, frame) in zip(axes.flat, panels.items(), strict=True):
        for row in frame.itertuples():
            look = WAY_LOOKS[row.training]
            if not np.isnan(row.gap_low):
                axis.hlines(row.gap, row.accuracy_low, row.accuracy_high, color=look["color"], alpha=0.55, linewidth=2)
                axis.vlines(row.accuracy, row.gap_low, row.gap_high, color=look["color"], alpha=0.55, linewidth=2)
            axis.plot(row.accuracy, row.gap, markersize=7.5, **look)
        if start is not None:
            _arrows_and_frontier(axis, frame, start)
        axis.axhline(0, color="#777777", linewidth=1)
        axis.set(title=title, ylabel="BG-Gap, points")
        axis.margins(0.4, 0.2)
        axis.grid(alpha=0.3)
    axes[-1, 0].set_xlabel("accuracy on Original, %")
    for axis, frame in zip(axes.flat, panels.values(), strict=True):  # now that the shared axes have their final ends
        _names_beside_crosses(axis, frame)
    return Chart.of_panels(figure, panels)


def _arrows_and_frontier(axis: Axes, frame: pd.DataFrame, start: str) -> None:
    (origin,) = frame.loc[frame["training"] == start, ["accuracy", "gap"]].to_numpy()
    for row in frame[frame["training"] != start].itertuples():
        arrow = {
            "arrowstyle": "->",
            "color": WAY_LOOKS[row.training]["color"],
            "shrinkA": 7,
            "shrinkB": 7,
            "alpha": 0.7,
        }
        axis.annotate("", (row.accuracy, row.gap), origin, arrowprops=arrow)
    best = frame.sort_values("accuracy", ascending=False)
    best = best[best["gap"] < best["gap"].cummin().shift().fillna(np.inf)]
    axis.plot(best["accuracy"], best["gap"], linestyle="--", color="#999999", linewidth=1, zorder=1)


def _names_beside_crosses(axis: Axes, frame: pd.DataFrame) -> None:
    low, high = axis.get_ylim()
    box = {"facecolor": "white", "edgecolor": "none", "pad": 1, "alpha": 0.85}
    options = WORDS | {"bbox": box, "linespacing": 1.0}
    names = [textwrap.fill(WAY_LOOKS[way]["label"], 16, break_on_hyphens=False) for way in frame["training"]]
    heights = moved_apart(frame["gap"], [0.07 * (high - low) * (1.2 + name.count("\n")) for name in names])
    left, right = axis.get_xlim()
    for row, height, name in zip(frame.itertuples(), heights, names, strict=True):
        width = 0.016 * (right - left) * max(map(len, name.split("\n")))
        level = (frame["gap"] - height).abs().clip(upper=(frame["gap"] - row.gap).abs()) < 0.06 * (high - low)
        beside = frame[level & (frame.index != row.Index)]["accuracy"]  # what a name may cover
        free_left = row.accuracy - width > left and not beside.between(row.accuracy - width, row.accuracy).any()
        free_right = row.accuracy + width < right and not beside.between(row.accuracy, row.accuracy + width).any()
        to_the_right = free_right if free_left != free_right else row.accuracy < (left + right) / 2
        end, away, side = (row.accuracy_high, 7, "left") if to_the_right else (row.accuracy_low, -7, "right")
        place = (row.accuracy if np.isnan(end) else end, height)
        axis.annotate(name, place, (away, 0), ha=side, color=WAY_LOOKS[row.training]["color"], **options)


def scatter(
    panels: Mapping[str, tuple[pd.DataFrame, pd.DataFrame]],
    across: str,
    xlabel: str,
    ylabel: str,
    looks: Mapping[str, Look] = ORIGIN_LOOKS,
    ylim: tuple[float, float] | None = None,
) -> Chart:
    """Points with their fitted lines and the lines' bands, one panel for each title, two beside each other (figure 8).

    Each panel has a frame of points and one of lines (several rows for each line), both with the columns ``across``,
    series (a key of ``looks``), value, low and high; low and high may be missing. The panels share their axes.
    """
    wide = min(len(panels), 2)
    down = math.ceil(len(panels) / wide)
    figure, axes = new_figure((2.7 if wide > 1 else 4.3) * down + 0.7, down, wide, sharex=True, sharey=True)
    for axis, (title, (points, fitted)) in zip(axes.flat, panels.items(), strict=False):
        for look, part in by_look(points, "series", looks):
            axis.vlines(part[across], *ends(part), color=look["color"], alpha=0.35, linewidth=1.5)
            axis.plot(part[across], part["value"], linestyle="", markersize=5.5, **look)
            line = fitted[fitted["series"].isin(part["series"])].sort_values(across)
            _band(axis, line, across, look)
            axis.plot(line[across], line["value"], color=look["color"], linewidth=1.8)
        axis.set_title(title, fontsize=11, fontweight="normal")
        axis.grid(alpha=0.3)
    for axis in axes.flat[len(panels) :]:
        axis.set_visible(False)
    if ylim is not None:
        axes[0, 0].set_ylim(ylim)
    figure.supxlabel(xlabel, fontsize=11)
    figure.supylabel(ylabel, fontsize=11)
    shared_legend(figure, "upper", fontsize=10.5, handletextpad=0.2, columnspacing=1.2)
    return Chart.of_panels(figure, {title: points for title, (points, _) in panels.items()})
