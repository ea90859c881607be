"""The page "Explore": pictures against the variants, answers against the classifiers, the page against its promises."""

from __future__ import annotations

import base64
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from in9.book import explore
from in9.book.explore import ALONE, Stage, look, mixed_variant, pair_html, pairs_html, pictures, set_stage, verdict
from in9.book.notebooks import Chapter, execute
from in9.data.dataset import Dataset
from in9.data.variants import VARIANTS, compose, load_pool
from in9.errors import In9Error
from in9.evaluation.estimates import Estimate
from in9.evaluation.saliency.maps import saliency_maps
from in9.study.study import NotMeasured, Study
from in9.study.workspace import Workspace
from in9.taxonomy import CLASS_NAMES
from in9.training.networks import Classifier, create

PROJECT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def stage(dataset: Dataset, network: Classifier) -> Stage:
    """The control images, a trained network, and one that knows nothing."""
    other = create("small_resnet_w8_b1", seed=5).eval()
    return Stage(load_pool(dataset, "test"), {"original": network.eval(), "mixed_rand": other})


@pytest.fixture(scope="module")
def block(stage: Stage) -> str:
    return pairs_html(stage)


class Tags(HTMLParser):
    """All tags of a block with their attributes, and the text of its JSON."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.facts = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in ("input", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, "tags must be closed in order"

    def handle_data(self, data: str) -> None:
        if self.found and self.found[-1] == ("script", {"type": "application/json"}) and self.open[-1] == "script":
            self.facts += data

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


def raster_of(text: str) -> np.ndarray:
    (address,) = re.findall(r"--sprite:url\(data:image/webp;base64,([^)]+)\)", text)
    return np.array(Image.open(io.BytesIO(base64.b64decode(address))).convert("RGB"))


# ---------------------------------------------------------------------------------------------------- pictures


def test_pictures_are_the_variants(stage: Stage) -> None:
    pool, backgrounds = stage.pool, torch.tensor([3, 30, 7])
    found = pictures(pool, 7, backgrounds)
    assert len(found) == 3 + len(ALONE) and set(ALONE) < set(VARIANTS)
    expected = compose("mixed_rand", pool, torch.tensor([7, 7, 7]), backgrounds)
    assert torch.equal(found[:3], expected)
    for place, variant in enumerate(ALONE, 3):
        assert torch.equal(found[place], compose(variant, pool, torch.tensor([7]))[0]), variant


def test_a_pair_has_the_name_of_the_variant_that_draws_it() -> None:
    assert [mixed_variant(0, 0), mixed_variant(0, 1), mixed_variant(0, 2)] == ["mixed_same", "mixed_next", "mixed_rand"]
    assert mixed_variant(8, 0) == "mixed_next"


def test_a_look_is_the_classifiers_scores_and_map(stage: Stage) -> None:
    classifier, images = stage.classifiers["original"], stage.pool.images[:5]
    torch.set_num_threads(2)
    try:
        seen = look(classifier, images)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)
    scores = classifier(images).detach().double().exp().numpy()
    np.testing.assert_allclose(seen.shares, scores / scores.sum(1, keepdims=True), rtol=1e-4)
    expected = saliency_maps(classifier, images, None, explore.METHOD)  # None: of the class it answers
    np.testing.assert_allclose(seen.maps, expected, atol=1e-4)


def test_verdicts() -> None:
    assert [verdict(1, 1, 1), verdict(1, 1, 2), verdict(2, 1, 2), verdict(3, 1, 2)] == [
        "right", "right", "background", "other",
    ]  # fmt: skip


# ------------------------------------------------------------------------------------------------- static block


def test_the_block_has_the_answers_of_all_pairs(stage: Stage, block: str) -> None:
    facts, pool = json.loads(Tags(block).facts), stage.pool
    members = [torch.nonzero(pool.labels == label)[:, 0] for label in range(9)]
    answers = []
    for which, classifier in enumerate(stage.classifiers.values()):
        for f in range(9):
            rows, backgrounds = members[f][:1].expand(9), torch.stack([one[1] for one in members])
            images = torch.cat(
                [compose("mixed_rand", pool, rows, backgrounds), *(compose(one, pool, rows[:1]) for one in ALONE)]
            )
            with torch.no_grad():
                shares = classifier(images).softmax(1).numpy()
            for k, (answer, kind, *percent) in enumerate(facts["seen"][which][f]):
                assert answer == shares[k].argmax()
                behind = k if k < 9 else f
                right = ["right", "wrong: the background's class", "wrong"][
                    0 if answer == f else 1 if answer == behind else 2
                ]
                assert facts["verdicts"][kind] == right
                np.testing.assert_allclose(percent, 100 * shares[k], atol=0.51)
                answers.append(answer)
    assert len(answers) == 2 * 9 * 14 and len(set(answers)) > 1


def test_the_block_counts_what_it_shows(block: str) -> None:
    tags = Tags(block)
    seen = np.array([[[pair[1] for pair in line[:9]] for line in one] for one in json.loads(tags.facts)["seen"]])
    for which, name in enumerate(("Original", "Mixed-Rand")):
        right, fooled = (seen[which] == 0).sum(), (seen[which] == 1).sum()
        words = f"trained on {name} names the object in {right} and the background's class in {fooled}"
        assert words in block
    buttons = tags.of("button")
    assert len({one["aria-label"] for one in buttons}) == 81
    words = json.loads(tags.facts)["verdicts"]
    for k, button in enumerate(buttons):
        f, b = divmod(k, 9)
        first, second = (words[seen[which][f][b]] for which in range(2))
        assert button["aria-label"] == f"{CLASS_NAMES[f]} on {CLASS_NAMES[b]}. Original: {first}; Mixed-Rand: {second}"
        assert button["style"] == f"--c:{b};--r:{f}"


def test_the_blocks_tiles_are_the_pictures_and_their_maps(stage: Stage, block: str) -> None:
    size, raster = stage.pool.images.shape[-1], raster_of(block).astype(float)
    assert raster.shape == (27 * size, 14 * size, 3)
    tiles = raster.reshape(27, size, 14, size, 3).transpose(0, 2, 1, 3, 4)
    backgrounds = stage.rows(1)
    for f, row in enumerate(stage.rows(0).tolist()):
        plain = pictures(stage.pool, row, backgrounds).permute(0, 2, 3, 1).numpy().astype(float)
        errors = np.abs(tiles[f][:, None] - plain[None]).mean((2, 3, 4))  # [14 tiles, 14 pictures]
        assert np.array_equal(errors.argmin(1), np.arange(14)) and errors.diagonal().max() < 15
        grey = plain.mean(-1)
        for layer in (1, 2):  # a map lies over its own picture in grey
            found = tiles[9 * layer + f].mean(-1)
            alike = [np.corrcoef(found[k].ravel(), grey[k].ravel())[0, 1] for k in range(14)]
            assert np.mean(alike) > 0.3


@pytest.mark.parametrize("kind", ["pairs", "dial", "pair"])
def test_nothing_is_fetched_and_little_is_carried(stage: Stage, block: str, kind: str) -> None:
    text = {"pairs": block, "pair": pair_html(stage, 0, 9), "dial": dial_block()}[kind]
    tags = Tags(text)
    assert not tags.open
    assert not re.search(r"https?:|//[a-z]+\.|@import|fetch\(|src=|href=", text.replace("//www.w3.org", "")), kind
    assert all("url(data:image/webp;base64," in one for one in re.findall(r"url\([^)]{0,30}", text))
    assert len(text) < 1_000_000


def test_everything_can_be_read_and_reached(block: str) -> None:
    tags = Tags(block)
    assert len(tags.of("select")) == 2 and len(tags.of("label")) == 2 + 6
    assert sum(one["tabindex"] == "0" for one in tags.of("button")) == 1  # the arrow keys lead to the others
    pictured = [one for one in tags.of("span") if one.get("role") == "img"]
    assert len(pictured) == 2 and all(one["aria-label"] for one in pictured)
    for one in tags.of("span"):
        if one.get("class") == "tile":
            assert "aria-hidden" in one or one.get("aria-label")


def test_large_pictures_are_shown_smaller() -> None:
    tiles = np.zeros((2, 3, 224, 224, 3), np.uint8)
    assert raster_of(f"--sprite:url({explore.sprite(tiles)})").shape == (128, 192, 3)


# -------------------------------------------------------------------------------------------------------- dial


FOUND = {
    rho: {name: Estimate(value, value - 0.05, value + 0.05) for name in ("gap", "original", "only_bg_t")}
    for rho, value in ((0.0, -0.01), (0.5, 0.2), (1.0, 0.4))
}


def dial_block() -> str:
    body = explore._slider(list(FOUND)) + "".join(explore.dial_positions(FOUND))
    return explore._block("dial", explore.sprite(np.zeros((3, 9, 8, 8, 3), np.uint8)), 9, 3, body)


def test_the_dial_has_the_measured_positions_and_no_others() -> None:
    parts, text = explore.dial_positions(FOUND), dial_block()
    assert [re.findall(r"rho = ([\d.]+)<", part) for part in parts] == [["0"], ["0.5"], ["1"]]
    for part, estimates in zip(parts, FOUND.values(), strict=True):
        assert f"<b>{estimates['gap'].text()}</b> points" in part
    (slider,) = [one for one in Tags(text).of("input") if one["type"] == "range"]
    assert (slider["min"], slider["max"], slider["step"]) == ("0", "2", "1")
    assert json.loads(slider["data-words"] or "") == ["rho = 0", "rho = 0.5", "rho = 1"]
    dots = [float(one) for part in parts for one in re.findall(r"class='dot' style='left:([\d.]+)%", part)]
    # from -6 points, the lowest end of an interval, to 45, the highest
    np.testing.assert_allclose(dots, [100 * (value + 6) / 51 for value in (-1, 20, 40)], atol=0.02)


def test_a_dial_that_was_not_measured(tmp_path: Path) -> None:
    study = Study("smoke", compute=False, workspace=Workspace(tmp_path), progress=False)
    with pytest.raises(NotMeasured, match="chapter 00"):
        explore.dial(study)


# -------------------------------------------------------------------------------------------------------- live


def test_what_the_widget_shows(stage: Stage) -> None:
    text = pair_html(stage, 4, 30, chosen=2)
    images = pictures(stage.pool, 4, torch.tensor([30]))
    label = int(stage.pool.labels[4])
    rows = re.findall(r"<tr class='answers'.*?</tr>", text)
    for cell, classifier in zip(re.findall(r"<td>.*?</td>", rows[0]), stage.classifiers.values(), strict=True):
        answer = int(classifier(images[2:3]).argmax())
        assert f"<b>{CLASS_NAMES[answer]}</b>" in cell
        assert ("right</span>" in cell) == (answer == label)
    assert text.count('class="choice chosen"') == 1 and "<script>" not in text


def test_the_widget_follows_its_controls(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explore, "live", lambda: True)
    widget = explore.pairs(stage)
    first, second, picture, shown = widget.children
    (objects, number), (behind, other) = first.children, second.children
    assert shown.value == pair_html(stage, int(stage.members(0)[0]), int(stage.members(8)[0]))
    objects.value, number.value, behind.value, other.value, picture.value = 3, 4, 5, 2, 1
    assert shown.value == pair_html(stage, int(stage.members(3)[3]), int(stage.members(5)[1]), 1)
    assert number.max == len(stage.members(3))


def test_the_dials_widget(dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Fake:
        def __init__(self) -> None:
            self.dataset = dataset

    monkeypatch.setattr("in9.experiments.controls.dial", lambda study: FOUND)
    monkeypatch.setattr("in9.experiments.controls.dial_studies", lambda study: {rho: Fake() for rho in FOUND})
    study = Study("smoke", workspace=Workspace(tmp_path), progress=False)
    assert explore.dial(study).data.count("class='position'") == 3  # nobody is there to move it
    monkeypatch.setattr(explore, "live", lambda: True)
    slider, shown = explore.dial(study).children
    assert [name for name, _ in slider.options] == ["0", "0.5", "1"]
    slider.value = 2
    assert "rho = 1<" in shown.value and "rho = 0<" not in shown.value


@pytest.mark.parametrize("trained_on", [["original"], ["original", "original"], ["original", "no_fg", "only_fg"], []])
def test_two_classifiers_are_compared(tmp_path: Path, trained_on: list[str]) -> None:
    with pytest.raises(In9Error, match="two training sets"):
        set_stage(Study("smoke", workspace=Workspace(tmp_path), progress=False), trained_on)


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
    chapter = Chapter(PROJECT / "notebooks" / "11_explore.py")
    notebook = execute(chapter, {"profile": "smoke"}, tmp_path, tmp_path / "out.ipynb")
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", []) if "data" in output]
    blocks = ["".join(output["data"]["text/html"]) for output in outputs]
    assert ['class="in9-explore pairs"' in one for one in blocks] == [True, False]
    assert ['class="in9-explore dial"' in one for one in blocks] == [False, True]
    assert "widget" not in json.dumps([output["data"] for output in outputs] + [dict(notebook.metadata)])
    assert sum(map(len, blocks)) < 1_000_000
