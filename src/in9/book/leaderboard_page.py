"""The page of the leaderboard: a table to search, sort and filter; without JavaScript its first rows as they stand."""

from __future__ import annotations

import pandas as pd

from in9.book.blocks import rendered
from in9.evaluation.estimates import Estimate
from in9.experiments import leaderboard
from in9.plots.tables import NO_BREAK, NOTHING
from in9.study.study import Study

ROWS_AT_FIRST = 50
HEADS = {
    "model": "Network",
    "bg_gap": "BG-Gap",
    "rule": "Rule",
    "test_images": "Test images",
    "images": "Number",
    "preprocessing": "Preprocessing",
    "original": "Original",
    "mixed_same": "Mixed-Same",
    "mixed_rand": "Mixed-Rand",
    "only_bg_t": "Only-BG-T",
    "imagenet": "ImageNet",
    "family": "Family",
    "trained_on": "Trained on",
    "source": "Source",
}
"""The columns of the page, by those of the rows."""
FILTERS = ("family", "trained_on", "test_images", "rule", "source")


def page(study: Study) -> str:
    """The block of the page."""
    return block(leaderboard.rows(study.workspace))


def block(rows: pd.DataFrame) -> str:
    """``page`` from rows as ``in9.experiments.leaderboard.rows`` gives them; every text in them is escaped."""
    entries = [
        {"cells": [_cell(row, column) for column in HEADS], "keys": [_key(row, column) for column in HEADS]}
        for row in rows.to_dict("records")
    ]
    choices = {name: sorted({str(value) for value in rows[name]}) for name in FILTERS}
    numbers = [name in leaderboard.NUMBERS or name == "images" for name in HEADS]
    return rendered(
        "leaderboard",
        facts={"entries": entries, "first": ROWS_AT_FIRST, "columns": list(HEADS), "numbers": numbers},
        heads=HEADS,
        choices=choices,
    )


def _cell(row: dict[str, object], column: str) -> str:
    """What a cell shows."""
    value = row[column]
    if column == "trained_on" and row["setup"]:
        return f"{value} ({row['setup']})"
    if isinstance(value, str):
        return value
    if pd.isna(value):
        return NOTHING
    number = float(str(value))
    if column == "images":
        return f"{number:,.0f}"
    if column == "bg_gap" and not pd.isna(row["low"]):
        value, low, high = (float(str(row[end])) / 100 for end in ("bg_gap", "low", "high"))
        number_text, _, interval = Estimate(value, low, high).text().partition(" ")
        return f"{number_text} {interval.replace(' ', NO_BREAK)}"
    return f"{number:z.1f}"


def _key(row: dict[str, object], column: str) -> float | str | None:
    """What a column is sorted and filtered by: a number, a text, or None where there is nothing."""
    value = row[column]
    return value if isinstance(value, str) else None if pd.isna(value) else round(float(str(value)), 3)
