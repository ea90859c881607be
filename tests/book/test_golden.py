"""From the project's records to every table and figure of the book: no data, no network, no GPU.

``tests/golden`` has what each chapter shows, as text. Where a change is meant, IN9_UPDATE_GOLDEN=1 writes it anew; read
the difference before it is committed.
"""

from __future__ import annotations

import ast
import os
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pytest

mpl.use("Agg")

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from in9.book.notebooks import Chapter, find_chapters
from in9.plots.page import Captioned, Text
from in9.plots.tables import Table
from in9.study.workspace import HOME_VARIABLE, find_workspace

ROOT = Path(__file__).parents[2]
GOLDEN = Path(__file__).parents[1] / "golden"
CHAPTERS = find_chapters(ROOT)


def shown(chapter: Chapter) -> list[Any]:
    """What the cells of a chapter show, run one after the other on the records of profile tiny."""
    values: list[Any] = []
    names: dict[str, Any] = {"__name__": chapter.name}
    for cell in (one for one in chapter.read().cells if one.cell_type == "code"):
        if "parameters" in cell.metadata.get("tags", []):
            names |= chapter.parameters()
            continue
        body = ast.parse(cell.source).body
        last = body.pop() if isinstance(body[-1], ast.Expr) else None
        exec(compile(ast.Module(body, []), chapter.name, "exec"), names)
        if last is not None:
            values.append(eval(compile(ast.Expression(last.value), chapter.name, "eval"), names))
    return [value for value in values if value is not None]


def as_text(value: Any) -> str:
    """Text and tables as they stand on the page; of a figure, what each panel is called and how many marks it has."""
    match value:
        case Table():
            return "\n\n".join(filter(None, [value.caption, value.markdown()]))
        case Captioned():
            parts = [as_text(value.figure), value.caption]
            if value.data is not None:
                parts.append(f"CSV: {len(value.data)} rows of {', '.join(value.data.columns)}")
            return "\n\n".join(parts)
        case Text():
            return value.data
        case Figure():
            return "\n".join(["figure", *map(as_text, value.axes)])
        case Axes():
            return panel(value)
    return str(value)


def panel(axis: Axes) -> str:
    """What a panel is called and how many marks it has."""
    marks = sum(len(line.get_xdata()) for line in axis.lines)
    marks += sum(len(some.get_offsets()) + len(some.get_paths()) for some in axis.collections) + len(axis.patches)
    words = [text for text in (axis.get_title(), axis.get_xlabel(), axis.get_ylabel()) if text]
    words += [label.get_text() for label in axis.get_yticklabels() if label.get_text().strip("-−.0123456789 ")]
    return f"- {' | '.join(words) or 'panel'}: {marks} marks, {len(axis.images)} images"


@pytest.mark.parametrize("chapter", CHAPTERS, ids=[one.name for one in CHAPTERS])
def test_records_alone_draw_the_chapter(
    chapter: Chapter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    for name in ("records", "notebooks", "_config.yml"):  # a machine with the project and nothing else
        (tmp_path / name).symlink_to(find_workspace(ROOT).root / name)
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path))
    values = shown(chapter)
    capsys.readouterr()
    text = "\n\n".join(map(as_text, values)) + "\n"
    golden = GOLDEN / f"{chapter.name}.md"
    if os.environ.get("IN9_UPDATE_GOLDEN"):
        GOLDEN.mkdir(exist_ok=True)
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8")
    assert not (tmp_path / "runs").exists() and not (tmp_path / "data").exists()


def test_nothing_golden_is_left_of_chapters_that_are_gone() -> None:
    assert {path.stem for path in GOLDEN.iterdir()} == {chapter.name for chapter in CHAPTERS}
