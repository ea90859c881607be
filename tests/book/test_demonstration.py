"""The first page's experiment: its pictures, its answers, and that it asks nobody for anything."""

from __future__ import annotations

import base64
import io
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from in9.book import demonstration
from in9.book.demonstration import DEMONSTRATION, SHOWN_BACKGROUNDS, SHOWN_OBJECTS, Demonstration
from in9.evaluation.records import Store
from in9.study.workspace import Workspace, find_workspace
from in9.taxonomy import NUM_CLASSES


@pytest.fixture(scope="module")
def painted(tmp_path_factory: pytest.TempPathFactory) -> Demonstration:
    """Where nothing has been fetched."""
    return demonstration.load(Workspace(tmp_path_factory.mktemp("empty")))


@pytest.fixture(scope="module")
def answered(painted: Demonstration) -> Demonstration:
    """The same with made-up answers: the first network always names the background, the second the object."""
    percents = np.zeros((2, len(SHOWN_OBJECTS), len(SHOWN_BACKGROUNDS), NUM_CLASSES), int)
    labels = painted.illustrations.labels
    for row, item in enumerate(painted.objects):
        for column, background in enumerate(painted.backgrounds):
            percents[0, row, column, labels[background]] = 91
            percents[1, row, column, labels[item]] = 54
    return replace(painted, percents=percents)


def images(html: str) -> list[Image.Image]:
    addresses = re.findall(r'src="data:image/webp;base64,([^"]+)"', html)
    return [Image.open(io.BytesIO(base64.b64decode(address))) for address in addresses]


def test_there_is_a_background_of_each_class(painted: Demonstration) -> None:
    assert painted.illustrations.labels[list(painted.backgrounds)].tolist() == list(range(NUM_CLASSES))
    assert not set(painted.objects) & set(painted.backgrounds), "no object stands on its own background"


def test_it_starts_on_an_object_that_is_fooled(painted: Demonstration, answered: Demonstration) -> None:
    row, column = answered.first
    labels = answered.illustrations.labels
    assert labels[answered.objects[row]] != labels[answered.backgrounds[column]]
    html = answered.html()
    assert "91 %" in html and "54 %" in html
    assert "91 %" not in painted.html() and "illustrations" in painted.html()
    assert "drawn for this book" in painted.credit()


def test_objects_are_cut_out_and_backgrounds_whole(answered: Demonstration) -> None:
    front, behind = [image for image in images(answered.html()) if image.mode == "RGBA"], images(answered.html())
    assert len(front) == 1 + len(SHOWN_OBJECTS) and len(behind) == 2 + len(SHOWN_OBJECTS) + len(SHOWN_BACKGROUNDS)
    for image, row in zip(front[1:], answered.objects, strict=True):
        opaque = np.array(image)[..., 3] > 127
        assert (opaque == answered.illustrations.masks[row]).mean() > 0.99


def test_it_carries_all_and_asks_for_nothing(answered: Demonstration) -> None:
    html = answered.html()
    facts = json.loads(re.search(r'<script type="application/json">(.*?)</script>', html, re.S)[1])  # type: ignore[index]
    assert np.array_equal(facts["percents"], answered.percents)
    assert not re.search(r"https?:|@import|fetch\(|href=", html) and len(html) < 1_000_000
    assert html.count('type="radio"') == len(SHOWN_OBJECTS) + len(SHOWN_BACKGROUNDS)


def test_the_projects_record_shows_the_effect() -> None:
    (record,) = Store(find_workspace(Path(__file__).parents[2]).committed).all(DEMONSTRATION)
    percents = np.array(record.results["percents"])
    assert percents.shape == (2, len(SHOWN_OBJECTS), len(SHOWN_BACKGROUNDS), NUM_CLASSES)
    assert (abs(percents.sum(-1) - 100) < 6).all(), "shares of one, rounded"
    assert record.provenance["uncommitted_changes"] is False
