"""Explore: any object on any background, what two classifiers make of it, and the dial of the control set.

In JupyterLab ``pairs`` and ``dial`` give widgets; ``pairs`` computes at each change. Where a notebook is run from
beginning to end, as for the book, they give HTML that holds all answers and asks nobody for anything.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from importlib import resources
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from in9.data.variants import MIXED, VARIANTS, Pool, compose, load_pool
from in9.errors import In9Error
from in9.evaluation.estimates import Estimate
from in9.evaluation.predictions import exact_convolutions
from in9.evaluation.saliency.maps import saliency_maps
from in9.experiments import controls
from in9.plots import charts
from in9.study.study import NotMeasured, Study
from in9.taxonomy import CLASS_NAMES, NUM_CLASSES, TITLES
from in9.training.networks import Classifier

ALONE = tuple(variant for variant in VARIANTS if variant not in MIXED)
METHOD = "gradcam_finer"  # the map that the chapter on saliency shows
TILE = 64  # larger pictures are shown smaller in the static block, which keeps the page small
VERDICTS = {"right": "right", "background": "wrong: the background's class", "other": "wrong"}


class Seen(NamedTuple):
    """What a classifier makes of N pictures: ``shares`` float32 [N, 9], of sum 1 each; ``maps`` float32 [N, S, S]."""

    shares: np.ndarray
    maps: np.ndarray


@dataclass(frozen=True)
class Stage:
    """The test images to choose from, and the two classifiers by what they were trained on."""

    pool: Pool
    classifiers: dict[str, Classifier]

    def rows(self, number: int) -> Tensor:
        """The ``number``-th image of each class, not chosen by hand: int64 [9]; counting starts anew after the last."""
        members = [self.members(label) for label in range(NUM_CLASSES)]
        return torch.stack([one[number % len(one)] for one in members])

    def members(self, label: int) -> Tensor:
        """The rows of a class: int64 [n]."""
        return torch.nonzero(self.pool.labels == label)[:, 0]


def set_stage(study: Study, trained_on: Sequence[str] = ("original", "mixed_rand")) -> Stage:
    """The study's test images and the classifiers trained on two of its training sets; trained now if not there.

    Raises In9Error for other than two training sets, or one that does not exist, and NotMeasured if the study has no
    weights and does not compute.
    """
    if len(set(trained_on)) != 2 or len(trained_on) != 2:
        raise In9Error(f"trained_on must name two training sets to compare; got {', '.join(trained_on) or 'none'}.")
    recipes = [study.recipe(one) for one in trained_on]
    if study.compute:
        study.evaluations(recipes)  # trains what is missing side by side
    classifiers = dict(zip(trained_on, map(study.classifier, recipes), strict=True))
    device = next(iter(classifiers.values())).mean.device
    return Stage(load_pool(study.dataset, "test", device=device), classifiers)


def mixed_variant(label: int, background: int) -> str:
    """The variant that puts an object of one class on a background of another, or of its own."""
    if label == background:
        return "mixed_same"
    return "mixed_next" if background == (label + 1) % NUM_CLASSES else "mixed_rand"


def pictures(pool: Pool, row: int, backgrounds: Tensor) -> Tensor:
    """One object on B backgrounds, then its own image in the five variants of ``ALONE``: uint8 [B + 5, 3, S, S].

    ``backgrounds`` is int64 [B], rows of the pool.
    """
    one = torch.tensor([row], device=pool.device)
    mixed = compose("mixed_rand", pool, one.expand(len(backgrounds)), backgrounds)
    return torch.cat([mixed, *(compose(variant, pool, one) for variant in ALONE)])


def look(classifier: Classifier, images: Tensor) -> Seen:
    """The scores of uint8 [N, 3, S, S] as shares (softmax), and Grad-CAM of each answer, the class of the highest."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # for a few small images; more threads wait for each other where the machine is busy
    try:
        with torch.no_grad(), exact_convolutions():
            shares = classifier(images)[:, :NUM_CLASSES].softmax(1)
        return Seen(shares.cpu().numpy(), saliency_maps(classifier, images, shares.argmax(1), METHOD))
    finally:
        torch.set_num_threads(threads)


def verdict(answer: int, label: int, background: int) -> str:
    """Whether an answer is ``right``, the ``background``'s class, or any ``other``: a key of ``VERDICTS``."""
    return "right" if answer == label else "background" if answer == background else "other"


def live() -> bool:
    """Whether somebody is there to move things: true in JupyterLab, false where papermill or a test runs a notebook.

    The request to run a cell says so: a front end allows questions to its user, a program that runs all cells does not.
    """
    from IPython.core.getipython import get_ipython

    kernel = getattr(get_ipython(), "kernel", None)
    return bool(kernel and kernel.get_parent("shell").get("content", {}).get("allow_stdin"))


def pairs(stage: Stage) -> Any:
    """A widget for any object on any background, or ``pairs_html`` where nobody is there to move it."""
    return pairs_widget(stage) if live() else _html(pairs_html(stage))


def dial(study: Study) -> Any:
    """The dial of the control set, at its measured positions: a widget, or HTML where nobody is there to move it.

    What chapter 00 has not measured yet is measured first. Raises NotMeasured if the study does not compute.
    """
    found = controls.dial(study)
    if not found:
        raise NotMeasured("This machine has no records of the dial; run the chapter 00 first.")
    studies = controls.dial_studies(study)
    images = [_pixels(load_pool(studies[rho].dataset, "test", limit=1).images) for rho in found]
    parts = dial_positions(found)
    raster = sprite(np.stack(images))
    if not live():
        return _html(_block("dial", raster, NUM_CLASSES, len(parts), _slider(list(found)) + "".join(parts)))
    import ipywidgets

    slider = ipywidgets.SelectionSlider(options=[(f"{rho:g}", k) for k, rho in enumerate(found)], description="rho")
    shown = ipywidgets.HTML()

    def change(_: Any = None) -> None:
        shown.value = _block("dial", raster, NUM_CLASSES, len(parts), parts[slider.value], script=False)

    slider.observe(change, names="value")
    change()
    return ipywidgets.VBox([slider, shown])


# ------------------------------------------------------------------------------------------------------ pairs


def pair_html(stage: Stage, row: int, background: int, chosen: int = 0) -> str:
    """One object on one background and its five other pictures, with what both classifiers make of picture ``chosen``.

    ``row`` and ``background`` are rows of the pool; picture 0 is the pair, 1 to 5 are those of ``ALONE``.
    """
    pool = stage.pool
    images = pictures(pool, row, torch.tensor([background], device=pool.device))
    label, behind = int(pool.labels[row]), int(pool.labels[background])
    seen = [look(one, images) for one in stage.classifiers.values()]
    names = [TITLES[name] for name in (mixed_variant(label, behind), *ALONE)]
    strip = "".join(
        f'<span class="choice{" chosen" if place == chosen else ""}">{_tile(place, 0)}{name}</span>'
        for place, name in enumerate(names)
    )
    shares = [one.shares[chosen] for one in seen]
    table = _scores(list(stage.classifiers), shares, label, behind if chosen == 0 else label, [chosen] * 2, [1, 2])
    raster = sprite(_layers(images, seen))
    return _block("pair", raster, len(images), 3, f'<div class="strip">{strip}</div>{table}', script=False)


def pairs_widget(stage: Stage) -> Any:
    """The widget: choose class and number of an object and of a background, and one of the six pictures."""
    import ipywidgets

    def chooser(name: str, label: int) -> tuple[Any, Any]:
        classes = ipywidgets.Dropdown(
            options=[(one, k) for k, one in enumerate(CLASS_NAMES)], value=label, description=name
        )
        number = ipywidgets.IntSlider(1, 1, len(stage.members(label)), description="image")
        return classes, number

    (object_class, object_number), (behind_class, behind_number) = chooser("object", 0), chooser("background", 8)
    picture = ipywidgets.ToggleButtons(
        options=[("object on background", 0), *((TITLES[one], k) for k, one in enumerate(ALONE, 1))],
        description="picture",
        style={"button_width": "auto"},
    )
    shown = ipywidgets.HTML()

    def row(classes: Any, number: Any) -> int:
        members = stage.members(classes.value)
        number.max = len(members)
        return int(members[min(number.value, len(members)) - 1])

    def change(_: Any = None) -> None:
        shown.value = pair_html(
            stage, row(object_class, object_number), row(behind_class, behind_number), picture.value
        )

    controls = (object_class, object_number, behind_class, behind_number, picture)
    for control in controls:
        control.observe(change, names="value")
    change()
    return ipywidgets.VBox([ipywidgets.HBox(controls[:2]), ipywidgets.HBox(controls[2:4]), picture, shown])


def pairs_html(stage: Stage) -> str:
    """The first test image of each class on the background of the second of each class, all answers computed.

    Works from disk and asks no other host: pictures and maps are one raster of tiles, answers are JSON.
    """
    pool = stage.pool
    objects, backgrounds = stage.rows(0), stage.rows(1)
    images = torch.cat([pictures(pool, row, backgrounds) for row in objects.tolist()])
    each = NUM_CLASSES + len(ALONE)  # pictures of one object
    seen = [look(one, images) for one in stage.classifiers.values()]
    answers = np.stack([one.shares.argmax(1) for one in seen]).reshape(2, NUM_CLASSES, each)
    kinds = list(VERDICTS)
    facts = {
        "classes": CLASS_NAMES,
        "verdicts": list(VERDICTS.values()),
        "mixed": [[TITLES[mixed_variant(f, b)] for b in range(NUM_CLASSES)] for f in range(NUM_CLASSES)],
        # classifier, object, picture -> answer, verdict, share of each class in percent
        "seen": [
            [
                [
                    [int(answer), kinds.index(verdict(answer, f, k if k < NUM_CLASSES else f)),
                     *np.rint(100 * one.shares[each * f + k]).astype(int).tolist()]
                    for k, answer in enumerate(answers[which, f])
                ]
                for f in range(NUM_CLASSES)
            ]
            for which, one in enumerate(seen)
        ],
    }  # fmt: skip
    names = [TITLES[one] for one in stage.classifiers]
    first, behind = 0, NUM_CLASSES - 1
    choices = "".join(
        f'<label class="choice"><input type="radio" name="in9-picture"{" checked" if place == 0 else ""}>'
        f"{_tile(behind if place == 0 else NUM_CLASSES - 1 + place, first)}<span>{TITLES[name]}</span></label>"
        for place, name in enumerate((mixed_variant(first, behind), *ALONE))
    )
    shares = [one.shares[behind] for one in seen]
    body = (
        f'<div class="choose">{_select("Object", first)}{_select("Background", behind)}</div>'
        "<noscript><p>Choosing needs JavaScript; without it one pair is shown.</p></noscript>"
        f'<fieldset class="strip"><legend>Picture</legend>{choices}</fieldset>'
        + _scores(list(stage.classifiers), shares, first, behind, [behind] * 2, [NUM_CLASSES, 2 * NUM_CLASSES])
        + _grid(names, answers[:, :, :NUM_CLASSES], first, behind)
        + f'<script type="application/json">{json.dumps(facts, separators=(",", ":"))}</script>'
    )
    raster = sprite(_layers(images, seen, each))
    return _block("pairs", raster, each, 3 * NUM_CLASSES, body)


def _layers(images: Tensor, seen: Sequence[Seen], columns: int | None = None) -> np.ndarray:
    """Pictures, then both classifiers' maps over them: uint8 [rows, columns, S, S, 3]."""
    plain = _pixels(images)
    heated = [np.stack([charts.heated(*pair) for pair in zip(plain, one.maps, strict=True)]) for one in seen]
    every = np.concatenate([plain, *heated])
    return every.reshape(-1, columns or len(plain), *plain.shape[1:])


def _scores(
    trained_on: Sequence[str], shares: Sequence[np.ndarray], label: int, background: int,
    columns: Sequence[int], rows: Sequence[int],
) -> str:  # fmt: skip
    """The table of one picture: a column for each classifier with its map, its answer and its nine scores."""
    heads = [TITLES[one] for one in trained_on]
    maps = [
        _tile(
            column, row, f"Grad-CAM of the classifier trained on {head}: the brighter, the more speaks for its answer"
        )
        for head, column, row in zip(heads, columns, rows, strict=True)
    ]
    answers = [int(one.argmax()) for one in shares]
    kinds = [verdict(answer, label, background) for answer in answers]
    lines = [
        "<tr><th scope='row'>Grad-CAM</th>" + "".join(f"<td>{one}</td>" for one in maps) + "</tr>",
        "<tr class='answers' aria-live='polite'><th scope='row'>answer</th>"
        + "".join(
            f"<td><b>{CLASS_NAMES[answer]}</b> <span class='mark {kind}'></span> <span>{VERDICTS[kind]}</span></td>"
            for answer, kind in zip(answers, kinds, strict=True)
        )
        + "</tr>",
    ]
    for k, name in enumerate(CLASS_NAMES):
        role = "object" if k == label else "background" if k == background else ""
        bars = "".join(
            f"<td><span class='bar' style='--share:{round(100 * float(one[k]))}%'></span>"
            f"<span class='share'>{round(100 * float(one[k]))} %</span></td>"
            for one in shares
        )
        lines.append(f"<tr class='class'><th scope='row'>{name} <small>{role}</small></th>{bars}</tr>")
    head = "".join(f"<th scope='col'>trained on {escape(one)}</th>" for one in heads)
    return f"<table class='scores'><thead><tr><td></td>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>"


def _grid(names: Sequence[str], answers: np.ndarray, first: int, behind: int) -> str:
    """All pairs as buttons, objects down and backgrounds across; ``answers`` int64 [2, 9, 9]."""
    lines = []
    tally = [dict.fromkeys(VERDICTS, 0) for _ in names]
    for f, name in enumerate(CLASS_NAMES):
        cells = []
        for b, other in enumerate(CLASS_NAMES):
            kinds = [verdict(one[f, b], f, b) for one in answers]
            for counts, kind in zip(tally, kinds, strict=True):
                counts[kind] += 1
            words = "; ".join(f"{one}: {VERDICTS[kind]}" for one, kind in zip(names, kinds, strict=True))
            chosen = (f, b) == (first, behind)
            cells.append(
                f"<td><button type='button' class='tile' style='--c:{b};--r:{f}' aria-pressed='{str(chosen).lower()}' "
                f"tabindex='{0 if chosen else -1}' aria-label='{name} on {other}. {escape(words)}'>"
                + "".join(f"<span class='mark {kind}'></span>" for kind in kinds)
                + "</button></td>"
            )
        lines.append(f"<tr><th scope='row'>{name}</th>{''.join(cells)}</tr>")
    heads = "".join(f"<th scope='col'><span>{name}</span></th>" for name in CLASS_NAMES)
    legend = ", ".join(f"<span class='mark {kind}'></span> {words}" for kind, words in VERDICTS.items())
    told = "; ".join(
        f"the classifier trained on {one} names the object in {counts['right']} and the background's class in "
        f"{counts['background']}"
        for one, counts in zip(names, tally, strict=True)
    )
    caption = (
        f"Objects down, backgrounds across: choose a pair. The left mark is for the classifier trained on {names[0]}, "
        f"the right one for {names[1]}: {legend}. Of {NUM_CLASSES**2} pairs, {told}."
    )
    return (
        f"<table class='grid'><caption>{caption}</caption><thead><tr><td></td>{heads}</tr></thead>"
        f"<tbody>{''.join(lines)}</tbody></table>"
    )


def _select(name: str, chosen: int) -> str:
    options = "".join(
        f"<option{' selected' if k == chosen else ''}>{one}</option>" for k, one in enumerate(CLASS_NAMES)
    )
    return f"<label>{name} <select autocomplete='off'>{options}</select></label>"


# ------------------------------------------------------------------------------------------------------- dial


def dial_positions(found: dict[float, dict[str, Estimate]]) -> list[str]:
    """What was measured at each position of the dial, with one image of each class."""
    gaps = {rho: one["gap"].in_percent() for rho, one in found.items()}
    low, high = min(0.0, *(one[1] for one in gaps.values())), max(one[2] for one in gaps.values())

    def across(points: float) -> float:
        return round(100 * (points - low) / (high - low or 1), 2)

    parts = []
    for place, (rho, one) in enumerate(found.items()):
        value, least, most = gaps[rho]
        gauge = (
            f"<div class='gauge' aria-hidden='true'><i class='zero' style='left:{across(0)}%'></i>"
            f"<i class='interval' style='left:{across(least)}%;width:{across(most) - across(least):.2f}%'></i>"
            f"<i class='dot' style='left:{across(value)}%'></i></div>"
        )
        tiles = "".join(_tile(k, place, f"{name}, rho {rho:g}") for k, name in enumerate(CLASS_NAMES))
        parts.append(
            f"<div class='position'><p><b>rho = {rho:g}</b>: the BG-Gap is <b>{one['gap'].text()}</b> points. "
            f"Accuracy is {one['original'].text()} % on Original and {one['only_bg_t'].text()} % on Only-BG-T.</p>"
            f"{gauge}<div class='row'>{tiles}</div></div>"
        )
    return parts


def _slider(positions: Sequence[float]) -> str:
    """The control of the static block; it does nothing, and is not seen, where there is no JavaScript."""
    words = json.dumps([f"rho = {rho:g}" for rho in positions])
    return (
        f"<label class='rho' hidden>rho <input type='range' min='0' max='{len(positions) - 1}' step='1' value='0' "
        f"autocomplete='off' data-words='{escape(words, quote=True)}'></label>"
    )


# ----------------------------------------------------------------------------------------------------- drawing


def sprite(tiles: np.ndarray) -> str:
    """Tiles uint8 [rows, columns, S, S, 3] side by side in one picture, as an address that holds it (``data:``)."""
    rows, columns, size = tiles.shape[:3]
    whole = Image.fromarray(tiles.transpose(0, 2, 1, 3, 4).reshape(rows * size, columns * size, 3))
    if size > TILE:
        whole = whole.resize((columns * TILE, rows * TILE), Image.Resampling.BOX)
    stream = io.BytesIO()
    whole.save(stream, "WEBP", quality=80)
    return f"data:image/webp;base64,{base64.b64encode(stream.getvalue()).decode()}"


def _pixels(images: Tensor) -> np.ndarray:
    """uint8 [N, 3, S, S] on any device -> [N, S, S, 3]."""
    return images.permute(0, 2, 3, 1).cpu().numpy()


def _tile(column: int, row: int, words: str = "") -> str:
    """One tile of the block's raster; without words it is decoration."""
    about = f'role="img" aria-label="{escape(words, quote=True)}"' if words else 'aria-hidden="true"'
    return f'<span class="tile" style="--c:{column};--r:{row}" {about}></span>'


def _block(kind: str, raster: str, columns: int, rows: int, body: str, script: bool = True) -> str:
    """A block of HTML with its style, its raster of tiles and, where asked for, what makes it move."""
    files = resources.files(__package__)
    style = files.joinpath("explore.css").read_text("utf8")
    code = f"<script>{files.joinpath('explore.js').read_text('utf8')}</script>" if script else ""
    return (
        f'<style>{style}</style><div class="in9-explore {kind}" '
        f'style="--sprite:url({raster});--columns:{columns};--rows:{rows}">{body}{code}</div>'
    )


def _html(text: str) -> Any:
    from IPython.display import HTML

    return HTML(text)
