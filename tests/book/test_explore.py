"""The page "Explore": pictures against the variants, answers against the classifiers, the page against its promises."""

from __future__ import annotations

import base64
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from in9.book import explore
from in9.book.blocks import dial_html, pair_html, sprite
from in9.book.comparison import ALONE, METHOD, Comparison, compare, mixed_variant, outcomes, pictures_of
from in9.book.notebooks import Chapter, execute
from in9.data.dataset import Dataset
from in9.data.variants import VARIANTS, compose, load_pool
from in9.errors import In9Error
from in9.evaluation.estimates import Estimate
from in9.evaluation.saliency.maps import saliency_maps
from in9.study.profile import load_profile
from in9.study.study import NotMeasured, Study
from in9.study.workspace import Workspace
from in9.taxonomy import CLASS_NAMES
from in9.training.networks import Classifier, create

PROJECT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def comparison(dataset: Dataset, network: Classifier) -> Comparison:
    """The control images, a trained network, and one that knows nothing."""
    ignorant = create("small_resnet_w8_b1", seed=5).eval()
    return Comparison(load_pool(dataset, "test"), {"original": network.eval(), "mixed_rand": ignorant})


class Tags(HTMLParser):
    """All tags of a block with their attributes, the words that a reader sees, and the text of its JSON."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.facts = self.words = ""
        self.feed(text)
        self.words = " ".join(self.words.split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("input", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, "tags must be closed in order"

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1] == ("script", {"type": "application/json"}) and self.open[-1] == "script":
            self.facts += data
        elif self.open and self.open[-1] not in ("script", "style"):
            self.words += data

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def raster_of(text: str) -> np.ndarray:
    (address,) = re.findall(r"--sprite:url\(data:image/webp;base64,([^)]+)\)", text)
    return np.array(Image.open(io.BytesIO(base64.b64decode(address))).convert("RGB"))


# ---------------------------------------------------------------------------------------------------- pictures


def test_pictures_are_the_variants(comparison: Comparison) -> None:
    pool, backgrounds = comparison.pool, torch.tensor([3, 30, 7])
    images = pictures_of(pool, 7, backgrounds)
    assert len(images) == 3 + len(ALONE) and set(ALONE) < set(VARIANTS)
    expected = compose("mixed_rand", pool, torch.tensor([7, 7, 7]), backgrounds)
    assert torch.equal(images[:3], expected)
    for place, variant in enumerate(ALONE, 3):
        assert torch.equal(images[place], compose(variant, pool, torch.tensor([7]))[0]), variant


def test_a_pair_has_the_name_of_the_variant_that_draws_it() -> None:
    assert [mixed_variant(0, 0), mixed_variant(0, 1), mixed_variant(0, 2)] == ["mixed_same", "mixed_next", "mixed_rand"]
    assert mixed_variant(8, 0) == "mixed_next"


def test_a_response_is_the_classifiers_scores_and_map(comparison: Comparison) -> None:
    classifier, images = comparison.classifiers["original"], comparison.pool.images[:5]
    torch.set_num_threads(2)
    try:
        responses = comparison.respond(images)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)
    scores = classifier(images).detach().double().exp().numpy()
    np.testing.assert_allclose(responses.shares[0], scores / scores.sum(1, keepdims=True), rtol=1e-4)
    expected = saliency_maps(classifier, images, None, METHOD)  # None: of the class it answers
    np.testing.assert_allclose(responses.maps[0], expected, atol=1e-4)


def test_outcomes() -> None:
    assert outcomes([1, 1, 2, 3], 1, [1, 2, 2, 2]).tolist() == ["right", "right", "background", "other"]


# ------------------------------------------------------------------------------------------------------- blocks


@pytest.mark.parametrize("kind", ["dial", "pair"])
def test_nothing_is_fetched_and_little_is_carried(comparison: Comparison, kind: str) -> None:
    text = {"pair": pair_html(comparison, 0, 9), "dial": dial_block()}[kind]
    tags = Tags(text)
    assert not tags.open
    assert not re.search(r"https?:|//[a-z]+\.|@import|fetch\(|src=|href=", text.replace("//www.w3.org", "")), kind
    assert all("url(data:image/webp;base64," in address for address in re.findall(r"url\([^)]{0,30}", text))
    assert len(text) < 1_000_000


def test_large_pictures_are_shown_smaller() -> None:
    tiles = np.zeros((2, 3, 224, 224, 3), np.uint8)
    assert raster_of(f"--sprite:url({sprite(tiles)})").shape == (128, 192, 3)


# -------------------------------------------------------------------------------------------------------- dial


MEASURED = {
    rho: {name: Estimate(value, value - 0.05, value + 0.05) for name in ("gap", "original", "only_bg_t")}
    for rho, value in ((0.0, -0.01), (0.5, 0.2), (1.0, 0.4))
}


def dial_block(shown: int | None = None) -> str:
    return dial_html(MEASURED, np.zeros((3, 9, 8, 8, 3), np.uint8), shown)


def test_the_dial_has_the_measured_positions_and_no_others() -> None:
    tags = Tags(dial_block())
    assert re.findall(r"rho = ([\d.]+):", tags.words) == ["0", "0.5", "1"]
    for estimates in MEASURED.values():
        assert f"the BG-Gap is {estimates['gap'].text()} points" in tags.words
    (slider,) = [attributes for attributes in tags.of("input") if attributes["type"] == "range"]
    assert (slider["min"], slider["max"], slider["step"]) == ("0", "2", "1")
    dots = [
        float(attributes["style"][len("left:") : -1]) for attributes in tags.of("i") if attributes["class"] == "dot"
    ]
    # from -6 points, the lowest end of an interval, to 45, the highest
    np.testing.assert_allclose(dots, [100 * (value + 6) / 51 for value in (-1, 20, 40)], atol=0.02)


def test_a_position_of_the_dial_alone() -> None:
    tags = Tags(dial_block(1))
    assert re.findall(r"rho = ([\d.]+):", tags.words) == ["0.5"] and not tags.of("input")
    assert {attributes["style"][-3:] for attributes in tags.of("span")} == {"r:1"}


def test_a_dial_that_was_not_measured(tmp_path: Path) -> None:
    study = Study("smoke", compute=False, workspace=Workspace(tmp_path), progress=False)
    with pytest.raises(NotMeasured, match="chapter 12"):
        explore.dial(study)


# -------------------------------------------------------------------------------------------------------- live


def test_what_the_widget_shows(comparison: Comparison) -> None:
    text = pair_html(comparison, 4, 30, chosen=2)
    images = pictures_of(comparison.pool, 4, torch.tensor([30]))
    label = int(comparison.pool.labels[4])
    rows = re.findall(r'<tr class="answers".*?</tr>', text, re.S)
    for cell, classifier in zip(re.findall(r"<td>.*?</td>", rows[0]), comparison.classifiers.values(), strict=True):
        answer = int(classifier(images[2:3]).argmax())
        assert f"<b>{CLASS_NAMES[answer]}</b>" in cell
        assert ("right</span>" in cell) == (answer == label)
    assert text.count('class="choice chosen"') == 1 and "<script>" not in text


def test_the_widget_follows_its_controls(comparison: Comparison, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explore, "live", lambda: True)
    monkeypatch.setattr(explore, "compare", lambda study, trained_on: comparison)
    widget = explore.pairs(Study("smoke", progress=False))
    first, second, picture, shown = widget.children
    (objects, object_number), (behind, background_number) = first.children, second.children
    assert shown.value == pair_html(comparison, int(comparison.members(0)[0]), int(comparison.members(8)[0]))
    objects.value, object_number.value, behind.value, background_number.value, picture.value = 3, 4, 5, 2, 1
    assert shown.value == pair_html(comparison, int(comparison.members(3)[3]), int(comparison.members(5)[1]), 1)
    assert object_number.max == len(comparison.members(3))


def test_the_dials_widget(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("in9.experiments.controls.dial", lambda study: MEASURED)
    profile = replace(load_profile("smoke"), dial=tuple(MEASURED))
    study = Study(profile, workspace=Workspace(tmp_path), progress=False)
    assert explore.dial(study).data.count('class="position"') == 3  # nobody is there to move it
    monkeypatch.setattr(explore, "live", lambda: True)
    slider, shown = explore.dial(study).children
    assert [name for name, _ in slider.options] == ["0", "0.5", "1"]
    slider.value = 2
    assert "rho = 1<" in shown.value and "rho = 0<" not in shown.value


@pytest.mark.parametrize("trained_on", [["original"], ["original", "original"], ["original", "no_fg", "only_fg"], []])
def test_two_classifiers_are_compared(tmp_path: Path, trained_on: list[str]) -> None:
    with pytest.raises(In9Error, match="two training sets"):
        compare(Study("smoke", workspace=Workspace(tmp_path), progress=False), trained_on)


@pytest.mark.parametrize("asks", [True, False])
def test_a_front_end_is_told_from_a_program(asks: bool) -> None:
    from jupyter_client.manager import start_new_kernel

    manager, client = start_new_kernel(kernel_name="python3")
    told: list[str] = []

    def hear(message: dict[str, Any]) -> None:
        told.append(message["content"].get("text", message["content"].get("evalue", "")))

    try:
        client.execute_interactive(
            "from in9.book.explore import live; print(live())", allow_stdin=asks, output_hook=hear, timeout=120
        )
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    assert "".join(told).strip() == str(asks)


@pytest.mark.slow
def test_the_notebook_runs_and_leaves_no_widget(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IN9_HOME", str(tmp_path))
    chapter = Chapter(PROJECT / "notebooks" / "13_explore.py")
    notebook = execute(chapter, {"profile": "smoke"}, tmp_path, tmp_path / "out.ipynb")
    outputs = [output["data"] for cell in notebook.cells for output in cell.get("outputs", []) if "data" in output]
    blocks = ["".join(data["text/html"]) for data in outputs if "text/html" in data]
    assert len(blocks) == 1 and 'class="in9-demo"' in blocks[0] and len(blocks[0]) < 1_000_000
    assert "widget" not in json.dumps([outputs, dict(notebook.metadata)])
