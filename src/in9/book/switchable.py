"""The matrix of table 5 with a switch between whose numbers it shows: HTML that works from disk and by keyboard."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd
from IPython.display import display

from in9.book.blocks import rendered
from in9.plots.page import Captioned
from in9.plots.style import Chart
from in9.plots.tables import NOTHING, ORIGIN_TITLES
from in9.taxonomy import TITLES

DIFFERENCE = "difference"


@dataclass(frozen=True)
class Switchable(Captioned):
    """A figure that is shown as HTML with a switch, and as it is where no HTML is shown."""

    html: str

    def _display_figure(self) -> None:
        stream = io.StringIO()
        self.figure.savefig(stream, format="svg", metadata={"Date": None})
        shown = {"text/html": self.html, "image/svg+xml": stream.getvalue(), "text/plain": self.caption}
        display(shown, raw=True)  # type: ignore[no-untyped-call]


def switchable_matrix(
    frames: Mapping[str, pd.DataFrame],
    rows: Mapping[str, str],
    ours: str,
    chosen: tuple[str, str],
    chart: Chart,
    caption: str,
) -> Switchable:
    """Accuracy of each training set (down) on each test set (across), with a switch paper / ours / difference.

    ``frames`` has for each origin, ``paper`` among them, the columns train, test, accuracy in percent and, but for the
    paper, low and high. ``rows`` names the training sets. ``ours`` is the origin that is shown first, and from which
    the paper is subtracted for the difference; ``chosen`` is the cell (train, test) that is read out first. ``chart``
    shows the same where there is no HTML.
    """
    columns = [name for name in TITLES if any(name in set(frame["test"]) for frame in frames.values())]
    cells = {origin: frame.set_index(["train", "test"]) for origin, frame in frames.items()}
    views = {origin: _spread(frame["accuracy"], rows, columns) for origin, frame in cells.items()}
    views[DIFFERENCE] = views[ours] - views["paper"]
    words = {
        (train, test): f"Trained on {title}, tested on {TITLES[test]}: {_in_words(cells, ours, (train, test))}."
        for train, title in rows.items()
        for test in columns
    }
    numbers = {
        name: [[None if pd.isna(number) else number for number in row] for row in view.round(1).to_numpy().tolist()]
        for name, view in views.items()
    }
    html = rendered(
        "matrix",
        views={name: ORIGIN_TITLES.get(name, "ours minus the paper") for name in views},
        difference=DIFFERENCE,
        numbers=numbers,
        rows=rows,
        columns=columns,
        words=words,
        first=ours,
        chosen=chosen,
        nothing=NOTHING,
    )
    return Switchable(chart.figure, caption, html, data=chart.data)


def _spread(numbers: pd.Series, rows: Mapping[str, str], columns: list[str]) -> pd.DataFrame:
    """Numbers by (train, test) as a matrix; NaN where there are none."""
    return numbers.unstack("test").reindex(index=list(rows), columns=columns)


def _in_words(cells: Mapping[str, pd.DataFrame], ours: str, cell: tuple[str, str]) -> str:
    """What each origin has in a cell, and how far ours is from the paper."""
    there = {origin: frame.loc[cell] for origin, frame in cells.items() if cell in frame.index}
    parts = []
    for origin, numbers in there.items():
        interval = f" [{numbers['low']:z.1f}, {numbers['high']:z.1f}]" if "low" in numbers else ""
        parts.append(f"{ORIGIN_TITLES[origin]} {numbers['accuracy']:.1f} %{interval}")
    if {"paper", ours} <= there.keys():
        away = there[ours]["accuracy"] - there["paper"]["accuracy"]
        parts.append(f"difference {away:+.1f} points")
    return "; ".join(parts) or "no number"
