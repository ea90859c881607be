"""Do masks and the size of the objects explain why our gap is not the paper's? All models are trained on Original."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pandas as pd

from in9.data.boxes import Crop
from in9.data.dataset import FOLD
from in9.data.published import MASKS_FILE, read_published
from in9.evaluation.clusters import class_weights
from in9.evaluation.estimates import Estimate, Term
from in9.evaluation.predictions import Predictions
from in9.evaluation.records import Record, folds_of, predictions_of
from in9.experiments import benchmark_progress
from in9.experiments.experiment import Experiment
from in9.experiments.why_pretrained import EARLIER_RULE
from in9.study.jobs import EVALUATION, TEST_SEED, Job, evaluations, jobs_of
from in9.study.profile import Profile
from in9.study.study import Study

CHANGED_MASKS = "masks"
PIXELS = (-2, -1, 1, 2)
"""By how many pixels masks are grown, or shrunk where negative."""
SIZE_BINS = (0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 1)
"""Ends of the intervals of object sizes, shares of the image, in which our images are weighted to ImageNet's."""
PRETRAINED = "pretrained"
"""The folder of the committed records of ImageNet's networks, and of the masks of the images that tested them."""
THIRDS = ("smallest", "middle", "largest")
"""Each class's test images by the size of their objects."""


def _masks(profile: Profile) -> dict[str, list[Job]]:
    recipes = profile.recipes_on(["original"])
    return {
        EVALUATION: evaluations(profile, recipes),
        CHANGED_MASKS: jobs_of(profile, CHANGED_MASKS, recipes, test_seed=TEST_SEED, pixels=PIXELS),
    }


MASK_CHANGES: Experiment = Experiment(CHANGED_MASKS, ("03", "11"), _masks, lambda records: records, whole=True)


def mask_changes(study: Study) -> pd.DataFrame:
    """The BG-Gap of the models trained on Original against changes of the masks, in points.

    Columns: pixels (as in ``PIXELS``, and 0), share of the image that is foreground in percent, value, low, high. Empty
    without a record of it.
    """
    columns = ["pixels", "share", "value", "low", "high"]
    models, records = _with_masks(study)
    if models is None:
        return pd.DataFrame(columns=columns)
    shares = np.mean([record.results["shares"] for record in records], axis=0)
    rows = [(0, 100 * shares[0], *models.gap().in_percent())]
    for place, pixels in enumerate(PIXELS):
        rows.append((pixels, 100 * shares[1 + place], *predictions_of(records, place).gap().in_percent()))
    return pd.DataFrame(sorted(rows), columns=columns)


def object_sizes(study: Study) -> pd.DataFrame:
    """The BG-Gap of the models trained on Original on each class's images with the smallest, middle, largest objects.

    Columns: third, images, share of the image that is foreground in percent, value, low, high (points). Empty without a
    record of it.
    """
    models, records = _with_masks(study)
    if models is None:
        return _gaps("third", {}, models, np.empty(0))
    areas, labels = areas_of(records), models.labels["mixed_same"]
    ranks = pd.Series(areas).groupby(labels).rank(method="first", pct=True).to_numpy()
    thirds = np.ceil(len(THIRDS) * ranks) - 1
    return _gaps("third", {third: thirds == place for place, third in enumerate(THIRDS)}, models, areas)


def gaps_by_size(study: Study) -> pd.DataFrame:
    """The BG-Gap of the models trained on Original on the images whose objects have each of the sizes of ``SIZE_BINS``.

    Columns as those of ``object_sizes``, with bin (``"10 to 20"`` percent of the image) in place of third.
    """
    models, records = _with_masks(study)
    if models is None:
        return _gaps("bin", {}, models, np.empty(0))
    areas = areas_of(records)
    bins = np.digitize(areas, SIZE_BINS[1:-1])
    ends = [f"{100 * low:.0f} to {100 * high:.0f}" for low, high in pairwise(SIZE_BINS)]
    return _gaps("bin", {name: bins == place for place, name in enumerate(ends)}, models, areas)


def mask_rules(study: Study) -> pd.DataFrame:
    """The BG-Gap of the models trained on Original on the test images that the first edition's mask rule would keep.

    Columns as those of ``object_sizes``, with rule (kept, or why not) in place of third. Empty without a record or
    without the masks, which are published beside the dataset or with the project.
    """
    models, records = _with_masks(study)
    covered = None if models is None else _covered(study, models)
    if models is None or covered is None:
        return _gaps("rule", {}, models, np.empty(0))
    low, high = EARLIER_RULE.mask_share
    parts = {
        "all": covered >= 0,
        "kept by it": (covered >= low) & (covered <= high),
        "mask too small for it": covered < low,
        "mask too large for it": covered > high,
    }
    return _gaps("rule", parts, models, areas_of(records))


def _gaps(name: str, parts: Mapping[str, np.ndarray], models: Predictions | None, areas: np.ndarray) -> pd.DataFrame:
    """The BG-Gap of the models on each part of the images, bool [N], that has any; parts are called by ``name``."""
    rows = [
        (part, int(kept.sum()), 100 * areas[kept].mean(), *models.gap(kept).in_percent())
        for part, kept in parts.items()
        if models is not None and kept.any()
    ]
    return pd.DataFrame(rows, columns=[name, "images", "share", "value", "low", "high"])


def _covered(study: Study, models: Predictions) -> np.ndarray | None:
    """The share of its box that each test image's mask covers, float64 [N]; None without published masks."""
    path = study.workspace.published(study.profile.data) if study.recorded else study.folder / MASKS_FILE
    if path is None or not path.is_file():
        return None
    published = read_published(path)
    splits = ["test"] if models.folds is None else [f"{FOLD}{fold}" for fold in models.seeds]
    shares = []
    for split in splits:
        for name, image in published.images.items():
            mask = published.mask(name) if image.split == split and not image.rejected else None
            if mask is not None and image.box is not None:
                left, top, right, bottom = image.box
                shares.append(mask.sum() / ((right - left) * (bottom - top)))
    return np.array(shares) if len(shares) == len(models.labels["mixed_same"]) else None


class AtSizes(NamedTuple):
    """The BG-Gap that our images would have with objects as large as ImageNet's.

    ``ours`` and ``theirs`` are the mean shares of the image that is foreground in percent, every class counting the
    same; ``images`` is the number of ImageNet's, ``gap`` the estimate.
    """

    ours: float
    theirs: float
    images: int
    gap: Estimate


def at_imagenet_sizes(study: Study) -> AtSizes | None:
    """Our test images weighted so that their objects are as large as those of ImageNet's validation images.

    The weight of an image is how much more often ImageNet has an object of its size (``SIZE_BINS``). The interval takes
    the weights as known. None without records of changed masks, a score of ImageNet's images and their published masks.
    """
    models, records = _with_masks(study)
    imagenet = imagenet_areas(study)
    if models is None or imagenet is None:
        return None
    areas, labels = areas_of(records), models.labels["mixed_same"]
    (counts, weights), (theirs, _) = _by_size(areas, labels), _by_size(*imagenet)
    if (counts == 0).any():
        return None
    ratio = (theirs / counts)[np.digitize(areas, SIZE_BINS[1:-1])]
    terms = [models.term(test, sign) for test, sign in (("mixed_same", 1), ("mixed_rand", -1))]
    gap = models.sum_of([Term(np.asarray(values) * ratio, drawn) for values, drawn in terms], "mixed_same")
    mean = float((class_weights(imagenet[1]) * imagenet[0]).sum())
    return AtSizes(100 * float((weights * areas).sum()), 100 * mean, len(imagenet[0]), gap)


def _by_size(areas: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The share of images in each of ``SIZE_BINS``, and the weight of each image, every class counting the same."""
    weights = class_weights(labels)
    return np.histogram(areas, SIZE_BINS, weights=weights)[0], weights


def imagenet_areas(study: Study) -> tuple[np.ndarray, np.ndarray] | None:
    """The share of each of the images of ``benchmark_progress.scores`` that is foreground, and their classes.

    None unless the project has published their masks.
    """
    path, scored = study.workspace.published(PRETRAINED), benchmark_progress.scores(study)
    if path is None or not scored:
        return None
    published, labels = read_published(path), scored[0].predictions().labels["original"]
    side = published.settings["image_size"]
    masks = [published.mask(name) for name, image in published.images.items() if image.split == "test"]
    areas = [Crop(mask.shape[1], mask.shape[0], side).pixels(mask).mean() for mask in masks if mask is not None]
    same = published.hash == scored[0].record.data and len(areas) == len(labels)
    return (np.array(areas), labels) if same else None


def as_text(row: pd.Series) -> str:
    """A row of ``object_sizes`` or ``mask_changes`` in words: its number with its interval."""
    return f"{row['value']:z.1f} [{row['low']:z.1f}, {row['high']:z.1f}]"


def areas_of(records: Sequence[Record]) -> np.ndarray:
    """The share of each test image that is foreground: float64 [N], in the order of ``predictions_of`` the records."""
    of_images = records if folds_of(records) else records[:1]  # models that are seeds saw the same images
    return np.concatenate([record.results["areas"] for record in of_images])


def _with_masks(study: Study) -> tuple[Predictions | None, list[Record]]:
    """The predictions of the models trained on Original, and their records of changed masks; None and [] without."""
    records = MASK_CHANGES.read(study)
    return (predictions_of(records[EVALUATION]), records[CHANGED_MASKS]) if len(records) == 2 else (None, [])
