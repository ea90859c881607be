"""What all figures share: colours, names, sizes, and how a figure and its legend are made.

Each thing has the same colour and the same name in all chapters. Call ``use`` first: a notebook shows no figure
without it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypedDict

import pandas as pd

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Chart:
    """A figure and the numbers that it shows; a page offers them as a CSV file."""

    figure: Figure
    data: pd.DataFrame

    @classmethod
    def of_panels(cls, figure: Figure, panels: Mapping[str, pd.DataFrame]) -> Chart:
        """A figure of panels; the numbers of all stand below each other, with the panel's title in front."""
        parts = [frame.assign(panel=title.replace("\n", ", ")) for title, frame in panels.items()]
        data = pd.concat(parts, ignore_index=True)
        return cls(figure, data[["panel", *data.columns.drop("panel")]])


class Look(TypedDict):
    """How a series differs from the others; ``Axes.plot`` takes the same options."""

    label: str
    color: str
    marker: str


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
"""Variants and IN-9L, in Okabe and Ito's colours, which people with any colour vision can tell apart, and greys."""

CATEGORY_COLOURS = {
    "bg_required": "#0072b2",
    "bg_fg_required": "#56b4e9",
    "bg_fools": "#d55e00",
    "bg_fg_fools": "#e69f00",
    "bg_irrelevant": "#cccccc",
}
"""Categories of images (paper, table 3): blue if the background helps, orange if it harms, grey if it does neither."""

ORIGIN_LOOKS: Mapping[str, Look] = {
    "paper": {"label": "the paper", "color": "#4d4d4d", "marker": "s"},
    "record": {"label": "our record on photographs", "color": "#0072b2", "marker": "o"},
    "run": {"label": "this run", "color": "#d55e00", "marker": "D"},
}
"""The places that a number can come from."""

WAY_LOOKS: Mapping[str, Look] = {
    "original": {"label": "Original", "color": COLOURS["original"], "marker": "s"},
    "mixed_same": {"label": "Mixed-Same", "color": COLOURS["mixed_same"], "marker": "^"},
    "mixed_next": {"label": "Mixed-Next", "color": COLOURS["mixed_next"], "marker": "v"},
    "mixed_rand": {"label": "Mixed-Rand, drawn anew", "color": COLOURS["mixed_rand"], "marker": "D"},
    "mixed_rand_once": {"label": "Mixed-Rand, drawn once", "color": "#8f3f00", "marker": "d"},
    "half": {"label": "half Original, half Mixed-Rand", "color": "#7a5ba6", "marker": "P"},
    "head": {"label": "Original, last layer on Mixed-Rand", "color": COLOURS["only_bg_t"], "marker": "o"},
}
"""The ways to train; training on one variant has the colour of the variant."""

QUANTITY_LOOKS: Mapping[str, Look] = {
    "gap": {"label": "BG-Gap", "color": "#000000", "marker": "o"},
    "paste": {"label": "Original minus Mixed-Same", "color": COLOURS["mixed_same"], "marker": "^"},
    "control": {"label": "Mixed-Same, half of the draws minus the others", "color": "#999999", "marker": "s"},
    "original": {"label": "on Original", "color": COLOURS["original"], "marker": "s"},
    "only_bg_t": {"label": "on Only-BG-T", "color": COLOURS["only_bg_t"], "marker": "o"},
    "towards": {"label": "answers the background's class", "color": COLOURS["mixed_rand"], "marker": "D"},
    "elsewhere": {"label": "answers another wrong class", "color": "#999999", "marker": "v"},
}
"""The quantities that change with the dial of the control set."""

NETWORK_TITLES = {
    "alexnet": "AlexNet",
    "shufflenet_v2_x1_0": "ShuffleNet v2",
    "resnet50": "ResNet-50",
    "wide_resnet50_2": "Wide ResNet-50-2",
    "vgg16_bn": "VGG-16 (BN)",
}
"""What the networks of the paper's table 2 are called on a page."""

WIDTH = 5.4  # of a chart, in inches: a telephone shows it at two thirds of its size, and its words can still be read
GUIDE = {"color": "#777777", "linestyle": ":", "linewidth": 1.2}  # a line at a level to compare with, such as chance
WORDS: dict[str, Any] = {"textcoords": "offset points", "va": "center", "fontsize": 9.5}  # beside a point


def network_title(name: str) -> str:
    """What a network is called on a page."""
    return NETWORK_TITLES.get(name, name.replace("small_resnet_", "ours, "))


def panel_title(origin: str, profile: str) -> str:
    """The title of a panel whose numbers all come from our record or all from this run."""
    return f"This run: profile {profile}" if origin == "run" else "Our record: photographs"


def use(image_format: Literal["svg", "jpeg"]) -> None:
    """Use the book's style, and show figures in a notebook as SVG (charts) or JPEG (photographs: pages stay small)."""
    import matplotlib as mpl  # here, like seaborn, because it is slow to import
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
        options: Any = {"svg": {"metadata": {"Date": None}}, "jpeg": {"pil_kwargs": {"quality": 90}}}
        set_matplotlib_formats(image_format, **options[image_format])


def new_figure(
    height: float, rows: int = 1, columns: int = 1, width: float = WIDTH, **options: Any
) -> tuple[Figure, np.ndarray]:
    """A figure, its sides in inches, and its panels: Axes [rows, columns]. ``options`` are those of ``subplots``.

    Pyplot does not know the figure: a notebook shows it once, as the value of its cell, and no window opens.
    """
    from matplotlib.figure import Figure  # here, because it is slow to import

    figure = Figure(figsize=(width, height))
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


def shared_legend(figure: Figure, place: Literal["upper", "lower"], **options: Any) -> None:
    """Put one legend for all panels above or below them. ``options`` are those of ``Figure.legend``."""
    handles: dict[str, Any] = {}
    for axis in figure.axes:
        handles |= {label: handle for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)}
    letter, mark = 5.8, 36  # their widths in points
    fit = int(72 * WIDTH / (letter * max(map(len, handles), default=1) + mark))
    options |= {"loc": f"outside {place} center", "ncols": max(1, min(len(handles), fit)), "frameon": False}
    figure.legend(handles.values(), handles.keys(), **options)


def by_look(frame: pd.DataFrame, column: str, looks: Mapping[str, Look]) -> Iterator[tuple[Look, pd.DataFrame]]:
    """The look and the rows of each value in a column, in the order of ``looks``; looks without rows are left out."""
    for name, look in looks.items():
        rows = frame[frame[column] == name]
        if len(rows):
            yield look, rows


def ends(frame: pd.DataFrame, value: str = "value") -> tuple[pd.Series, pd.Series]:
    """The columns low and high; the value itself where no interval is known."""
    return frame["low"].fillna(frame[value]), frame["high"].fillna(frame[value])
