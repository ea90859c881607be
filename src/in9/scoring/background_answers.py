"""How often a classifier answers the class of the background (paper, section 3, where Mixed-Next is made for that).

A dataset knows the backgrounds that it draws, and an export lists them. Those of the authors' archive are recovered
from its pixels by ``in9 backgrounds``.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from in9.data.backgrounds import read_backgrounds
from in9.data.released import BACKGROUNDS, FOLDERS, RECOVERED
from in9.data.variants import MIXED, draw_backgrounds
from in9.errors import In9Error
from in9.evaluation import estimates
from in9.scoring.report import interval
from in9.scoring.score import Score
from in9.scoring.test_images import DatasetImages, TestImages
from in9.taxonomy import TITLES, UNMAPPED


class KnownBackgrounds(NamedTuple):
    """The background of each image of a mixed test set: its class, -1 if unknown, and its row, both int64 [N]."""

    classes: np.ndarray
    rows: np.ndarray


def known_backgrounds(images: TestImages, file: Path | None = None) -> dict[str, KnownBackgrounds]:
    """The backgrounds of each mixed test set, as far as they are known.

    ``file`` is a table that ``in9 backgrounds`` wrote, by default the one in the folder of the images. An image whose
    background is unknown is its own row. Raises In9Error for a table that cannot be read or is of other images.
    """
    if isinstance(images, DatasetImages):
        if file is not None:
            raise In9Error(f"A dataset knows its backgrounds, and {file} has no use for it; leave out --backgrounds.")
        drawn = {test: draw_backgrounds(test, images.pool, images.seed) for test in MIXED}
        return {
            test: KnownBackgrounds(classes.cpu().numpy(), rows.cpu().numpy()) for test, (rows, classes) in drawn.items()
        }
    places = (images.released.folder / name for name in (BACKGROUNDS, RECOVERED))
    path = file or next((place for place in places if place.is_file()), None)
    if path is None:
        return {}
    listed, row_of = read_backgrounds(path), {name: row for row, name in enumerate(images.names)}
    result = {}
    for test in MIXED:
        if test not in images.tests or test not in listed:
            continue
        of_image = listed[test]
        if not row_of.keys() & of_image.keys():
            raise In9Error(
                f"{path} lists no background of these images ({next(iter(row_of))} and others); run `in9 backgrounds` "
                f"on {images.released.folder}."
            )
        backgrounds = [of_image.get(name, "") for name in images.names]
        folders = [background.partition("/")[0] for background in backgrounds]
        if strange := [folder for folder in folders if folder and folder not in FOLDERS]:
            raise In9Error(f"{path} has a background of {strange[0]!r}; expected one of {', '.join(FOLDERS)}.")
        classes = [FOLDERS.index(folder) if folder else UNMAPPED for folder in folders]
        rows = [row_of.get(background, row) for row, background in enumerate(backgrounds)]
        result[test] = KnownBackgrounds(np.array(classes, np.int64), np.array(rows, np.int64))
    return result


def background_table(score: Score, known: dict[str, KnownBackgrounds]) -> pd.DataFrame:
    """How often the answer is the background's class, in percent: columns test, rule, images, value, low, high.

    Only images count whose background is known and of another class than the object, which is none in Mixed-Same;
    each class of objects counts the same. The interval respects that images share backgrounds.
    """
    rows = []
    for rule in score.rules:
        predictions = score.predictions(rule)
        for test, (classes, sources) in known.items():
            if test not in score.tests:
                continue
            labels = predictions.labels[test]
            kept = (classes != UNMAPPED) & (classes != labels)
            if kept.any():
                answers = predictions.classes[test][0, 0] == classes
                estimate = estimates.share(answers, labels, backgrounds=sources, kept=kept)
                images = int(kept.sum())
                rows.append({"test": test, "rule": rule, "images": images, **estimate.in_percent()._asdict()})
    return pd.DataFrame(rows, columns=["test", "rule", "images", "value", "low", "high"])


def background_text(table: pd.DataFrame) -> str:
    """The table for a terminal; empty where no background is known."""
    if table.empty:
        return ""
    lines = ["", "Answers the background's class, % of the images whose background is of another class:", ""]
    for row in table.to_dict("records"):
        lines.append(f"{TITLES[row['test']]:<16}{row['images']:>7}  {interval(row):<22}{row['rule']}")
    return "\n".join(lines) + "\n"
