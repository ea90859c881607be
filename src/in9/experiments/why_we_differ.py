"""Why our numbers are not the paper's: each suspect is changed alone and the numbers are taken again.

The suspects are the training (a lighter recipe), the detail of the images, how many there are, the masks, the size of
the objects, and for attacks the number of backgrounds. All models of this chapter are trained on Original.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from in9.data.dataset import FOLD
from in9.data.published import MASKS_FILE, read_published
from in9.evaluation.adversarial.attacks import Attacks
from in9.evaluation.clusters import class_weights
from in9.evaluation.estimates import Estimate, Term
from in9.evaluation.predictions import Predictions, gain, gap_change
from in9.evaluation.records import Record, predictions_of
from in9.experiments import benchmark_progress
from in9.experiments.experiment import Experiment
from in9.experiments.why_pretrained import EARLIER_RULE, SMALLER, level_jobs
from in9.study.jobs import EVALUATION, TEST_SEED, Job, evaluations, jobs_of
from in9.study.profile import Profile
from in9.study.study import Study
from in9.training.recipe import IN9L, Recipe

VALIDATION, CHANGED_MASKS = "validation", "masks"
PIXELS = (-2, -1, 1, 2)
"""By how many pixels masks are grown, or shrunk where negative."""
SIZE_BINS = (0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 1)
"""Ends of the intervals of object sizes, shares of the image, in which our images are weighted to ImageNet's."""
PRETRAINED = "pretrained"
"""The folder of the committed records of ImageNet's networks, and of the masks of the images that tested them."""
THIRDS = ("smallest", "middle", "largest")
"""Each class's test images by the size of their objects."""


class Suspect(NamedTuple):
    """What was changed, and to which share of it the training was held."""

    what: str
    share: float = 1.0

    @property
    def label(self) -> str:
        """As a reader sees it."""
        return self.what if self.share == 1 else f"{100 * self.share:g} % of the {self.what}"


AS_IT_IS, LIGHTER, EVERY_BACKGROUND = Suspect("as it is"), Suspect("lighter recipe"), Suspect("every background")
"""The profile's own training, that with the profile's ``level_recipe``, and an attack with all test images."""


def base(names: Mapping[Suspect, Any]) -> Suspect:
    """What less detail, fewer images and more backgrounds are compared with."""
    return LIGHTER if LIGHTER in names else AS_IT_IS


# ---------------------------------------------------------------------------------------------- what is measured


def _trials(profile: Profile) -> dict[str, list[Job]]:
    profile = profile.of_many_trainings
    if not profile.trials:
        return {}
    changes = {AS_IT_IS.label: {}, **profile.trials}
    recipes = {name: profile.recipe_on("original", **trial) for name, trial in changes.items()}
    return {name: jobs_of(profile, VALIDATION, [recipe]) for name, recipe in recipes.items()}


def _full_size(profile: Profile) -> dict[Suspect, Recipe]:
    """The recipes, with the first seed, of the suspects that are trained on all images."""
    recipes = {AS_IT_IS: profile.recipe_on("original")}
    if profile.level_recipe:
        recipes[LIGHTER] = profile.recipe_on("original", **profile.level_recipe)
    light = recipes[base(recipes)]
    for part in profile.shrinks:
        recipes[Suspect("detail", 1 / part)] = light.changed(architecture=f"{light.architecture}/{part}")
    return recipes


def _levels(profile: Profile) -> dict[Suspect, list[Job]]:
    """Less detail is tried with the first seed alone."""
    profile = profile.of_many_trainings
    jobs = {suspect: evaluations(profile, [recipe]) for suspect, recipe in _full_size(profile).items()}
    jobs[AS_IT_IS] = evaluations(profile, profile.recipes_on(["original"]))
    if LIGHTER in jobs:
        jobs[LIGHTER] = level_jobs(profile)
    fewer = {share: group for share, group in SMALLER.groups(profile).items() if share < 1}
    return jobs | {Suspect("images", share): fewer[share] for share in sorted(fewer, reverse=True)}


def _masks(profile: Profile) -> dict[str, list[Job]]:
    recipes = profile.recipes_on(["original"])
    return {
        EVALUATION: evaluations(profile, recipes),
        CHANGED_MASKS: jobs_of(profile, CHANGED_MASKS, recipes, test_seed=TEST_SEED, pixels=PIXELS),
    }


def _attacks(profile: Profile) -> dict[Suspect, list[Job]]:
    """Attacks on the models with as many images, and on their ``base`` with every background."""
    profile = profile.of_many_trainings
    recipes, sizes = _full_size(profile), profile.adversarial
    jobs = {suspect: jobs_of(profile, "adversarial", [recipe], **sizes) for suspect, recipe in recipes.items()}
    every = {**sizes, "backgrounds_per_class": None}
    return jobs | {EVERY_BACKGROUND: jobs_of(profile, "adversarial", [recipes[base(recipes)]], **every)}


TRIALS = Experiment("trials", ("12",), _trials)
LEVELS = Experiment("levels", ("12",), _levels)
MASK_CHANGES: Experiment = Experiment(CHANGED_MASKS, ("03", "12"), _masks, lambda records: records, whole=True)
SUSPECTS = Experiment("suspects", ("12",), _attacks, Attacks.of_records)


# ---------------------------------------------------------------------------------------------- what is read of it


def ranked(trials: Mapping[str, Predictions]) -> list[str]:
    """The trials, best first: by accuracy on the validation images, every class counting the same."""
    return sorted(trials, key=lambda name: -trials[name].accuracy(IN9L).value)


def in_words(changes: Mapping[str, Any], recipe: Recipe) -> str:
    """What the changes of a trial change in a recipe, as a reader sees it."""
    before, after = asdict(recipe), asdict(recipe.changed(**changes))
    parts = []
    for name in changes:
        if name == "augmentation":
            parts += [(key, value) for key, value in after[name].items() if value != before[name][key]]
        elif after[name] != before[name]:
            parts.append((name, after[name]))
    return ", ".join(f"`{value if name == 'architecture' else f'{name}={value}'}`" for name, value in parts)


def effects(study: Study) -> dict[tuple[str, str], Estimate]:
    """What having more of each suspect adds, in points: (quantity, suspect) -> estimate, paired by image.

    Quantities: accuracy on ``original`` and ``only_bg_t``, and ``gap``. Suspects: ``training``, the profile's recipe
    for the lighter one; ``detail``, whole images for those of least shrinking; ``images``, all for the smallest share.
    """
    levels, shares = LEVELS.read(study), SMALLER.read(study)
    shrinks = study.profile.of_many_trainings.shrinks
    pairs = {
        "training": (LIGHTER, AS_IT_IS),
        "detail": (Suspect("detail", 1 / min(shrinks, default=1)), base(levels)),
    }
    ends = {name: (levels[low], levels[high]) for name, (low, high) in pairs.items() if {low, high} <= levels.keys()}
    if len(shares) > 1:
        ends["images"] = shares[min(shares)], shares[max(shares)]
    added = {}
    for name, (low, high) in ends.items():
        for test in ("original", "only_bg_t"):
            added[test, name] = gain(high, low, test)
        added["gap", name] = gap_change(high, low)
    return added


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

    Columns: third, share of the image that is foreground in percent, value, low, high (points). Empty without a record
    of it.
    """
    models, records = _with_masks(study)
    rows = []
    if models is not None:
        areas, labels = areas_of(records), models.labels["mixed_same"]
        ranks = pd.Series(areas).groupby(labels).rank(method="first", pct=True).to_numpy()
        for place, third in enumerate(THIRDS):
            part = (ranks > place / len(THIRDS)) & (ranks <= (place + 1) / len(THIRDS))
            rows.append((third, 100 * areas[part].mean(), *models.gap(part).in_percent()))
    return pd.DataFrame(rows, columns=["third", "share", "value", "low", "high"])


def mask_rules(study: Study) -> pd.DataFrame:
    """The BG-Gap of the models trained on Original on the test images that the first edition's mask rule would keep.

    Columns: rule (kept, or why not), images, share of the image that is foreground in percent, value, low, high
    (points). Empty without a record or without the masks, which are published beside the dataset or with the project.
    """
    columns = ["rule", "images", "share", "value", "low", "high"]
    models, records = _with_masks(study)
    covered = None if models is None else _covered(study, models)
    if models is None or covered is None:
        return pd.DataFrame(columns=columns)
    areas, (low, high) = areas_of(records), EARLIER_RULE.mask_share
    parts = {
        "all": covered >= 0,
        "kept by it": (covered >= low) & (covered <= high),
        "mask too small for it": covered < low,
        "mask too large for it": covered > high,
    }
    rows = [
        (rule, int(part.sum()), 100 * areas[part].mean(), *models.gap(part).in_percent())
        for rule, part in parts.items()
        if part.any()
    ]
    return pd.DataFrame(rows, columns=columns)


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
    imagenet = _imagenet_areas(study)
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


def _imagenet_areas(study: Study) -> tuple[np.ndarray, np.ndarray] | None:
    """The share of each of the images of ``benchmark_progress.scores`` that is foreground, and their classes.

    None unless the project has published their masks.
    """
    path, scored = study.workspace.published(PRETRAINED), benchmark_progress.scores(study)
    if path is None or not scored:
        return None
    published, labels = read_published(path), scored[0].predictions().labels["original"]
    masks = [published.mask(name) for name, image in published.images.items() if image.split == "test"]
    areas = [_in_crop(mask).mean() for mask in masks if mask is not None]
    same = published.hash == scored[0].record.data and len(areas) == len(labels)
    return (np.array(areas), labels) if same else None


def _in_crop(mask: np.ndarray) -> np.ndarray:
    """What of a mask, bool [height, width], is seen after the resize to 256 pixels and the cut to 224."""
    side = round(min(mask.shape) * 224 / 256)
    top, left = ((length - side) // 2 for length in mask.shape)
    return mask[top : top + side, left : left + side]


def as_text(row: pd.Series) -> str:
    """A row of ``object_sizes`` or ``mask_changes`` in words: its number with its interval."""
    return f"{row['value']:z.1f} [{row['low']:z.1f}, {row['high']:z.1f}]"


def areas_of(records: Sequence[Record]) -> np.ndarray:
    """The share of each test image that is foreground: float64 [N], in the order of ``predictions_of`` the records."""
    folded = records[0].settings["recipe"].get("fold") is not None
    return np.concatenate([record.results["areas"] for record in (records if folded else records[:1])])


def _with_masks(study: Study) -> tuple[Predictions | None, list[Record]]:
    """The predictions of the models trained on Original, and their records of changed masks; None and [] without."""
    records = MASK_CHANGES.read(study)
    return (predictions_of(records[EVALUATION]), records[CHANGED_MASKS]) if len(records) == 2 else (None, [])
