"""Tables of a page: the paper's numbers beside ours, with every number to download."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from html import escape
from numbers import Integral, Real
from typing import Any, Protocol, runtime_checkable

import pandas as pd

ORIGIN_TITLES = {"paper": "paper", "record": "our record (photographs)", "run": "this run"}
NOTHING = "–"
MARKUP = re.compile(r"""[&<>"'`*|\[\]{}$~#%\\]|(?<![A-Za-z0-9])[_:+-]|_(?![A-Za-z0-9])|(?<=^\d)[.)]""")
AUTOMATIC_LINK = re.compile(r"(?i)(https?|ftp|www)([:.])")
NO_BREAK = "\u00a0"  # a space at which no line is broken
ROWS_IN_SIGHT = 8  # a longer table is folded


@runtime_checkable
class WithInterval(Protocol):
    """A number with an interval: an ``Estimate``."""

    def text(self, digits: int = 1) -> str:
        """``"79.3 [77.9, 80.6]"``: percent."""

    def in_percent(self) -> tuple[float, float, float]:
        """Value, low and high, times 100."""


@dataclass(frozen=True)
class Table:
    """Rows of the same keys. A page and JupyterLab show HTML; where no HTML is shown, Markdown takes its place.

    ``caption`` says what the numbers are. With ``fold`` the page shows the caption, and the rows when it is clicked.
    """

    rows: Sequence[Mapping[str, Any]]
    caption: str = ""
    digits: int = 1
    fold: bool = False

    def markdown(self) -> str:
        """The table as Markdown; columns of numbers are set to the right."""
        columns = list(self.rows[0])
        marks = [":--" if self._is_text(column) else "--:" for column in columns]
        lines = ["| " + " | ".join(columns) + " |", "|" + "|".join(marks) + "|"]
        for row in self.rows:
            cells = (cell(row[column], self.digits).replace("|", "/") for column in columns)
            lines.append("| " + " | ".join(cells) + " |")
        return "\n".join(lines)

    def data(self) -> pd.DataFrame:
        """The same numbers, unrounded; an estimate takes three columns, of which two end in ``low`` and ``high``."""
        flat = []
        for row in self.rows:
            cells: dict[str, Any] = {}
            for name, value in row.items():
                if isinstance(value, WithInterval):
                    cells |= dict(zip((name, f"{name}, low", f"{name}, high"), value.in_percent(), strict=True))
                else:
                    cells[name] = value
            flat.append(cells)
        return pd.DataFrame(flat)

    def html(self) -> str:
        """The table as HTML in which every text is escaped, and a link that holds the CSV file itself."""
        columns = list(self.rows[0])
        classes = {column: "" if self._is_text(column) else ' style="text-align: right"' for column in columns}
        head = "".join(f"<th{classes[column]}>{inline_html(column)}</th>" for column in columns)
        lines = (
            "".join(f"<td{classes[name]}>{inline_html(cell(value, self.digits))}</td>" for name, value in row.items())
            for row in self.rows
        )
        body = "".join(f"<tr>{line}</tr>" for line in lines)
        table = f'<table class="table"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
        box = f'<div class="pst-scrollable-table-container">{table}</div>{download(self.data(), "table.csv")}'
        caption = inline_html(self.caption)
        if self.fold or len(self.rows) > ROWS_IN_SIGHT:
            size = f"{len(self.rows)} {'row' if len(self.rows) == 1 else 'rows'}"
            title = f"{caption} <small>({size})</small>" if caption else size
            return f'<details class="in9-table"><summary>{title}</summary>{box}</details>'
        return f'<div class="in9-table">{f"<p><small>{caption}</small></p>" if caption else ""}{box}</div>'

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        text = f"{self.caption}\n\n{self.markdown()}" if self.caption else self.markdown()
        return {"text/html": self.html(), "text/markdown": text, "text/plain": text}

    def _is_text(self, column: str) -> bool:
        return isinstance(next((row[column] for row in self.rows if row[column] is not None), ""), str)


def download(data: pd.DataFrame, name: str) -> str:
    """A link, as HTML, that holds a CSV file of that name itself, with all digits of its numbers."""
    address = base64.b64encode(data.to_csv(index=False).encode()).decode()
    link = f'<a download="{escape(name)}" href="data:text/csv;base64,{address}">Download as CSV</a>'
    return f'<p class="in9-download">{link}</p>'


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


def table(
    rows: Sequence[Mapping[str, Any]],
    caption: str = "",
    digits: int = 1,
    nothing: str = "There is no record of this yet.",
    fold: bool = False,
) -> Table:
    """A table from rows of the same keys; without rows it has one cell, which says ``nothing``."""
    return Table(rows or [{nothing: NOTHING}], caption, digits, fold)


def side_by_side(
    title: str,
    names: Mapping[Any, str],
    paper: Mapping[Any, Any],
    ours: Mapping[str, Mapping[Any, Any]],
    caption: str = "",
    fold: bool = False,
) -> Table:
    """The paper's numbers beside ours: a row for each name; the paper's number, then our record's and this run's.

    ``ours`` has the numbers of each origin (``record``, ``run``) that has any; origins without numbers get no column.
    """
    columns = {"paper": paper} | {origin: numbers for origin, numbers in ours.items() if numbers}
    rows = [
        {title: label} | {ORIGIN_TITLES[origin]: numbers.get(key) for origin, numbers in columns.items()}
        for key, label in names.items()
    ]
    return table(rows, caption, fold=fold)


def inline_html(text: str) -> str:
    """A line of Markdown (bold, code, links) as HTML; HTML in it is escaped, so that a record's name cannot act."""
    return str(_renderer().renderInline(text)) if text.strip() else escape(text)


@cache
def _renderer() -> Any:
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark", {"html": False}).disable("image")
