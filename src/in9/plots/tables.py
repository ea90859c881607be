"""What a chapter says in words: numbers for the prose, and tables that put paper, record and run side by side."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from typing import Any, Protocol, runtime_checkable

import pandas as pd

ORIGIN_TITLES = {"paper": "paper", "record": "our record (photographs)", "run": "this run"}
NOTHING = "–"
MARKUP = re.compile(r"""[&<>"'`*|\[\]{}$~#%\\]|(?<![A-Za-z0-9])[_:+-]|_(?![A-Za-z0-9])|(?<=^\d)[.)]""")
AUTOMATIC_LINK = re.compile(r"(?i)(https?|ftp|www)([:.])")
NO_BREAK = "\u00a0"  # a space at which no line is broken


@runtime_checkable
class WithInterval(Protocol):
    """A number with an interval: an ``Estimate``."""

    def text(self, digits: int = 1) -> str:
        """``"79.3 [77.9, 80.6]"``: percent."""


class Text(str):
    """A string that shows without quotes where a notebook shows its value."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def glue(**values: Any) -> None:
    """Name values, so that the prose can quote them; estimates become text in percent with their interval.

    Outside Jupyter Book (Colab, say) nothing happens: the prose then shows the names.
    """
    try:
        from myst_nb import glue as paste
    except ImportError:
        return
    for name, value in values.items():
        if isinstance(value, WithInterval):
            value = value.text()
        paste(name, Text(value) if isinstance(value, str) else value, display=False)


def markdown(text: str) -> Any:
    """Text that a notebook shows as Markdown."""
    from IPython.display import Markdown

    return Markdown(text)


def escaped(text: object, longest: int = 100) -> str:
    """A text from elsewhere, such as the name of a model, that shows as it is in Markdown and in HTML.

    Whatever could be markup becomes a character reference, which no reader of Markdown takes for markup; what cannot
    be printed becomes a question mark, and what is longer than ``longest`` characters is cut.
    """
    shown = str(text).strip()
    shown = shown if len(shown) <= longest else f"{shown[: longest - 1]}…"
    shown = "".join(character if character.isprintable() else "?" for character in shown)
    shown = MARKUP.sub(lambda match: f"&#{ord(match[0])};", shown)
    return AUTOMATIC_LINK.sub(lambda match: f"{match[1]}&#{ord(match[2])};", shown)


def cell(value: Any, digits: int = 1) -> str:
    """One table cell: an estimate with its interval, a number rounded, or a dash where there is nothing."""
    if value is None or (isinstance(value, Real) and pd.isna(value)):
        return NOTHING
    if isinstance(value, WithInterval):
        number, _, interval = value.text(digits).partition(" ")
        return f"**{number}** {interval.replace(' ', NO_BREAK)}"
    if isinstance(value, Integral):
        return f"{value:,}"
    return f"{float(value):z.{digits}f}" if isinstance(value, Real) else str(value)


def table(rows: Sequence[Mapping[str, Any]], digits: int = 1, nothing: str = "There is no record of this yet.") -> Any:
    """A Markdown table from rows of the same keys; columns of numbers are set to the right.

    Without rows it is a table of one cell, which says ``nothing``: where a page expects a table, there must be one.
    """
    rows = rows or [{nothing: NOTHING}]
    columns = list(rows[0])
    firsts = [next((row[column] for row in rows if row[column] is not None), "") for column in columns]
    marks = [":--" if isinstance(value, str) else "--:" for value in firsts]
    lines = ["| " + " | ".join(columns) + " |", "|" + "|".join(marks) + "|"]
    for row in rows:
        lines.append("| " + " | ".join(cell(row[column], digits).replace("|", "/") for column in columns) + " |")
    return markdown("\n".join(lines))


def side_by_side(
    title: str,
    names: Mapping[Any, str],
    paper: Mapping[Any, Any],
    ours: Mapping[str, Mapping[Any, Any]],
    digits: int = 1,
) -> Any:
    """The table that each chapter has: a row for each name; the paper's number, then our record's and this run's.

    ``ours`` has the numbers of each origin (``record``, ``run``) that has any; origins without numbers get no column.
    """
    columns = {"paper": paper} | {origin: numbers for origin, numbers in ours.items() if numbers}
    return table(
        [
            {title: label} | {ORIGIN_TITLES[origin]: numbers.get(key) for origin, numbers in columns.items()}
            for key, label in names.items()
        ],
        digits,
    )
