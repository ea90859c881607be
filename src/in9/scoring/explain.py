"""Where any classifier looks: saliency maps and how much of them is the object (paper, section 4, figure 6).

The maps are of ``in9.evaluation.saliency``, which also says what the scores mean; here they are made of any classifier
on any test images, as a record, a table and a gallery.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from tqdm import tqdm

from in9.data.variants import check_variants
from in9.errors import In9Error, check_known, errors_of_foreign_code
from in9.evaluation.records import Record
from in9.evaluation.saliency.focus import Focus
from in9.evaluation.saliency.layers import SpatialLayer, find_layer
from in9.evaluation.saliency.maps import METHODS_FOR_ANY, saliency_maps
from in9.evaluation.saliency.scores import EXPLAINED_CLASSES, scores_of_maps
from in9.plots import pictures, style
from in9.scoring.load import ScorableModel
from in9.scoring.report import interval
from in9.scoring.score import score_record
from in9.scoring.test_images import TestImages
from in9.taxonomy import CLASS_NAMES, NUM_CLASSES, TITLES
from in9.training.networks import Classifier

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SALIENCY_BATCH = 16
METHOD_TITLES = {"gradcam": "Grad-CAM", "hirescam": "HiResCAM", "gradient": "input gradient"}
LAYERED = ("gradcam", "hirescam")
"""The methods that look at a layer."""


@dataclass(frozen=True)
class SaliencyScore:
    """Where a classifier looks in the images of one test set. ``layer`` is None if no method needed one."""

    kind: ClassVar[str] = "looks"  # of its record
    record: Record
    layer: SpatialLayer | None

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods, in the order in which they were asked for."""
        return tuple(self.record.settings["methods"])

    def focus(self, method: str) -> Focus:
        """The scores of each image by one method."""
        check_known("saliency method", [method], self.methods)
        return Focus.of_records([self.record], method)

    def table(self) -> pd.DataFrame:
        """One row for each method and measure, in percent or points: method, measure, images, value, low, high, empty.

        Measures are ``mass`` and ``pointing`` (the share of maps whose maximum is on the object), ``mass_centred`` and
        ``pointing_centred`` (the same minus what the maps of the other images get), and ``area`` of the object.
        ``empty`` counts the maps that are zero.
        """
        rows = []
        for method in self.methods:
            focus = self.focus(method)
            estimates = {
                "mass": focus.mean("mass"),
                "mass_centred": focus.above_swapped("mass"),
                "pointing": focus.mean("pointing"),
                "pointing_centred": focus.above_swapped("pointing"),
                "area": focus.mean("area"),
            }
            for measure, estimate in estimates.items():
                row = {"method": method, "measure": measure, "images": len(focus.labels)}
                rows.append(row | estimate.in_percent()._asdict() | {"empty": focus.empty})
        return pd.DataFrame(rows)


def saliency(
    model: ScorableModel,
    images: TestImages,
    *,
    methods: Sequence[str] = METHODS_FOR_ANY,
    layer: str | None = None,
    test: str = "original",
    of: str = "true",
    per_class: int | None = None,
    batch_size: int | None = None,
    progress: bool = False,
) -> SaliencyScore:
    """Where a classifier looks: how much of its saliency maps is on the object, by each of ``METHODS_FOR_ANY``.

    ``layer`` names a layer of the network, by default the last one that the answer depends on. The maps are of the
    ``true`` class or of the ``predicted`` one of the nine; ``per_class`` takes the first so many images of each class.
    Raises In9Error for what does not exist, and for a classifier that gives no gradient.
    """
    check_known("saliency method", methods, METHODS_FOR_ANY)
    check_known("class to explain", [of], EXPLAINED_CLASSES)
    shown = _Shown(images, test, per_class)
    started = time.monotonic()
    chosen = _layer(model, shown, methods, layer)
    size = batch_size or SALIENCY_BATCH
    with tqdm(total=len(shown.rows), desc="looking", unit="image", disable=not progress) as bar:
        results = scores_of_maps(
            model.classifier, shown.batches(size, bar.update), _mappers(model, methods, chosen, size), of
        )
    for method, scores in results["methods"].items():
        scores["map_side"] = chosen.side if chosen is not None and method in LAYERED else images.image_size
    settings = {"methods": list(methods), "test": test, "of": of, "per_class": per_class}
    settings["layer"] = None if chosen is None else chosen.name
    record = score_record(SaliencyScore.kind, model.facts, images, settings, results, time.monotonic() - started)
    return SaliencyScore(record, chosen)


class _Shown:
    """The images of one test set, or the first so many of each class, with the masks of their objects."""

    def __init__(self, images: TestImages, test: str, per_class: int | None = None) -> None:
        check_variants([test])
        check_known("test set", [test], images.tests)
        self.images, self.test, labels = images, test, images.labels(test)
        rows = [np.flatnonzero(labels == label)[:per_class] for label in range(NUM_CLASSES)]
        self.rows = np.sort(np.concatenate(rows))
        self.labels = labels[self.rows]

    def batches(
        self, size: int, after: Callable[[int], object] = lambda images: None
    ) -> Iterator[tuple[Tensor, Tensor, np.ndarray]]:
        """Images uint8 [B, 3, S, S], classes int64 [B] and masks bool [B, S, S], at most ``size`` at a time."""
        start = 0
        for batch in self.images.batches(self.test, size, self.rows):
            part = slice(start, start + len(batch))
            labels = torch.from_numpy(self.labels[part]).to(batch.device)
            yield batch.contiguous(), labels, self.images.masks(self.rows[part])
            after(len(batch))
            start = part.stop


def _layer(model: ScorableModel, shown: _Shown, methods: Sequence[str], name: str | None) -> SpatialLayer | None:
    """The layer to look at, or None if no method needs one."""
    if not set(methods) & set(LAYERED):
        if name is not None:
            raise In9Error(f"The method {methods[0]!r} looks at no layer; leave out --layer {name}, or add 'gradcam'.")
        return None
    called, network = str(model.facts["name"]), model.classifier
    if not isinstance(network, Classifier) or next(network.parameters(), None) is None:
        raise In9Error(f"{called} is a function without layers; take --method gradient, which works for any network.")
    images, _, _ = next(shown.batches(2))
    with errors_of_foreign_code(f"{called} gives no gradient"):
        return find_layer(network.eval(), images, name, called)


def _mappers(
    model: ScorableModel, methods: Sequence[str], layer: SpatialLayer | None, size: int
) -> Mapping[str, Callable[[Tensor, Tensor], np.ndarray]]:
    """What makes the maps of images and classes, by each method."""

    def mapper(method: str) -> Callable[[Tensor, Tensor], np.ndarray]:
        def maps(images: Tensor, classes: Tensor) -> np.ndarray:
            with errors_of_foreign_code(f"{model.facts['name']} gives no maps by {METHOD_TITLES[method]}"):
                # Without a layer only the gradient is asked for.
                made = saliency_maps(model.classifier, images, classes, method, size, layer)  # type: ignore[arg-type]
            if not np.isfinite(made).all():
                raise In9Error(f"{model.facts['name']} has gradients that are not numbers; check its weights.")
            return made

        return maps

    return {method: mapper(method) for method in methods}


def saliency_text(score: SaliencyScore) -> str:
    """The score for a terminal."""
    settings = score.record.settings
    facts, source = settings["model"], settings["data"]["source"]
    table, layer = score.table(), score.layer
    lines = [f"{facts['name']}: {TITLES[settings['test']]} of {source}, maps of the {settings['of']} class"]
    if layer is not None:
        places = f"{layer.side} x {layer.side} places"
        extra = f" and {layer.extra} more tokens" if layer.extra else ""
        lines.append(f"layer {layer.name} ({type(layer.module).__name__}, {places}{extra})")
    lines += ["", f"{'%':<16}{'images':>7}  {'mass on object':<22}{'beyond centrality':<22}{'pointing game':<22}"]
    lines[-1] += "beyond centrality"
    for method, rows in table.groupby("method", sort=False):
        values = rows.set_index("measure")
        measures = ("mass", "mass_centred", "pointing", "pointing_centred")
        intervals = "".join(f"{interval(values.loc[measure]):<22}" for measure in measures)
        lines.append(f"{METHOD_TITLES[str(method)]:<16}{rows['images'].iloc[0]:>7}  {intervals}".rstrip())
    area = table.query("measure == 'area'").iloc[0]
    empty = {METHOD_TITLES[row.method]: row.empty for row in table.query("measure == 'area'").itertuples() if row.empty}
    lines += ["", f"A map that says nothing gets the object's area, {interval(area).strip()} %, in mass and pointing."]
    if empty:
        lines.append(f"Maps that are zero: {', '.join(f'{count} by {name}' for name, count in empty.items())}.")
    lines += [
        "Beyond centrality: points above what the maps of the other images get on this object, since objects and maps",
        "are both near the middle. In square brackets: 95 % intervals, each class counting the same.",
    ]
    return "\n".join(lines)


def gallery(model: ScorableModel, images: TestImages, score: SaliencyScore) -> Figure:
    """A row for the first image of each class: its object's outline, what the model says, its map by each method."""
    settings = score.record.settings
    shown = _Shown(images, settings["test"], 1)
    parts = list(zip(*shown.batches(SALIENCY_BATCH), strict=True))
    batch, classes, masks = torch.cat(parts[0]), torch.cat(parts[1]), np.concatenate(parts[2])
    with torch.no_grad():
        scores = model.classifier(batch)
    if settings["of"] == "predicted":
        classes = scores[:, :NUM_CLASSES].argmax(1)
    names = [*CLASS_NAMES, "none"]
    pixels = batch.permute(0, 2, 3, 1).cpu().numpy()
    maps = {
        method: maps_of(batch, classes)
        for method, maps_of in _mappers(model, score.methods, score.layer, SALIENCY_BATCH).items()
    }
    rows, told = {}, {}
    for row in np.argsort(shown.labels):
        name = CLASS_NAMES[shown.labels[row]]
        heated = [pictures.heated(pixels[row], maps[method][row]) for method in score.methods]
        rows[name] = [pictures.outlined(pixels[row], masks[row]), *heated]
        told[name] = [f"says {names[int(scores[row].argmax())]}", *[""] * len(heated)]
    style.use("jpeg")
    return pictures.picture_grid(rows, ["object", *(METHOD_TITLES[method] for method in score.methods)], told)
