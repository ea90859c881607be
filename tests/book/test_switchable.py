"""The matrix with a switch: what it says without a browser, and that switch and keys work in one."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from matplotlib.figure import Figure

from in9.book.switchable import Switchable, switchable_matrix
from in9.plots.style import Chart

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
ROWS = {"original": "Original", "mixed_rand": "Mixed-Rand <anew>", "once": "Mixed-Rand, once"}


def frame(trains: tuple[str, ...], start: float, intervals: bool = True) -> pd.DataFrame:
    """Accuracies that rise by one from cell to cell."""
    cells = [(train, test) for train in trains for test in ("original", "no_fg")]
    rows = [(*cell, start + place, start + place - 2, start + place + 2) for place, cell in enumerate(cells)]
    whole = pd.DataFrame(rows, columns=["train", "test", "accuracy", "low", "high"])
    return whole if intervals else whole.drop(columns=["low", "high"])


@pytest.fixture(scope="module")
def matrix() -> Switchable:
    """The paper has no row drawn anew, the record none drawn once."""
    frames = {"paper": frame(("original", "once"), 50, False), "record": frame(("original", "mixed_rand"), 44.4)}
    chart = Chart(Figure(), frames["record"])
    return switchable_matrix(frames, ROWS, "record", ("original", "no_fg"), chart, "a caption")


def numbers(matrix: Switchable) -> dict[str, list[list[float | None]]]:
    """The numbers that the page has for each view."""
    found = re.search(r'<script type="application/json">(.*?)</script>', matrix.html)
    assert found
    return json.loads(found[1])


def test_differences_are_of_rows_that_both_have(matrix: Switchable) -> None:
    views = numbers(matrix)
    assert views["paper"] == [[50, 51], [None, None], [52, 53]]
    assert views["record"] == [[44.4, 45.4], [46.4, 47.4], [None, None]]
    assert views["difference"] == [[-5.6, -5.6], [None, None], [None, None]]


def test_a_cell_is_read_out_with_its_interval(matrix: Switchable) -> None:
    detail = "Trained on Original, tested on No-FG: paper 51.0 %; our record (photographs) 45.4 % [43.4, 47.4]; "
    assert f'aria-live="polite">{detail}difference -5.6 points.</p>' in matrix.html
    assert "tested on Original: paper 52.0 %." in matrix.html  # once, which we have not


def test_names_are_escaped(matrix: Switchable) -> None:
    assert "Mixed-Rand &lt;anew&gt;" in matrix.html and "<anew>" not in matrix.html


def test_where_no_html_is_shown_there_is_a_picture(matrix: Switchable, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[Any] = []
    for place in ("in9.book.switchable.display", "IPython.display.display"):
        monkeypatch.setattr(place, lambda value, raw=False: shown.append(value))
    matrix._ipython_display_()
    assert shown[0]["text/html"] == matrix.html and "<svg" in shown[0]["image/svg+xml"]
    assert shown[1].data == "<small>a caption</small>" and "Download as CSV" in shown[2].data


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium")
def test_switch_and_keys(matrix: Switchable, tmp_path: Path) -> None:
    playwright = pytest.importorskip("playwright.sync_api", reason="no playwright")
    (tmp_path / "page.html").write_text(f"<!doctype html><meta charset=utf-8>{matrix.html}", encoding="utf-8")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page: Any = browser.new_page(viewport={"width": 390, "height": 900})
        complaints: list[str] = []
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto((tmp_path / "page.html").as_uri())
        page.focus("button[aria-pressed='true']")
        page.keyboard.press("ArrowDown")
        assert page.inner_text(".detail").startswith("Trained on Mixed-Rand <anew>, tested on No-FG: our record")
        page.check("input[value='difference']")
        assert page.locator("tbody tr:visible").all_inner_texts() == ["Original\t\n−6\n\t\n−6"]
        assert page.inner_text(".detail").startswith("Trained on Original")  # the row that was chosen is not shown
        page.hover("button >> nth=1")
        assert "tested on No-FG" in page.inner_text(".detail")
        page.check("input[value='paper']")
        assert page.locator("tbody tr:visible th").all_inner_texts() == ["Original", "Mixed-Rand, once"]
        browser.close()
    assert complaints == []
