"""Causes: why our numbers are not the paper's, each suspect changed alone and the numbers taken again.

The suspects are the training (a lighter recipe), the detail of the images, how many there are, the masks, the size of
the objects, and for attacks the number of backgrounds. Everything here is trained on Original; a study that does not
compute gives what it has records of, and nothing for the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pandas as pd

from in9.evaluation import estimates
from in9.evaluation.adversarial.attacks import Attacks
from in9.evaluation.estimates import Estimate
from in9.evaluation.records import Record
from in9.experiments import trainings
from in9.experiments.trainings import answered, evaluated, level_recipe
from in9.study.study import TEST_SEED, Answers, Study
from in9.training.augmentation import Augmentation
from in9.training.recipe import IN9L, Recipe

VALIDATION, MASKS = "validation", "masks"
AS_IT_IS, LIGHTER, EVERY_BACKGROUND = "as it is", "lighter recipe", "every background"
"""The profile's own training, that with the profile's ``level_recipe``, and an attack with all test images."""

PIXELS = (-2, -1, 1, 2)
"""By how many pixels masks are grown, or shrunk where negative."""

THIRDS = ("smallest", "middle", "largest")
"""Of the objects of each class."""

# ------------------------------------------------------------------------------------------- what the chapter asks


def trials(study: Study) -> dict[str, Answers]:
    """What the profile's recipe and each of its ``trials`` answer on the validation images: name -> answers.

    Empty for a profile without trials.
    """
    recipes = _trials(study)
    if len(recipes) == 1 or not study.available(VALIDATION, recipes.values()):
        return {}
    records = study.measure(VALIDATION, recipes.values())
    return {name: Answers([record]) for name, record in zip(recipes, records, strict=True)}


def ranked(tried: Mapping[str, Answers]) -> list[str]:
    """The trials, best first: by accuracy on the validation images, every class counting the same."""
    return sorted(tried, key=lambda name: -tried[name].accuracy(IN9L).value)


def in_words(changes: Mapping[str, Any], recipe: Recipe) -> str:
    """What the changes of a trial change in a recipe, as a reader sees it."""
    parts = []
    for name, value in changes.items():
        if isinstance(value, Augmentation):
            parts += [
                (key, given) for key, given in asdict(value).items() if given != getattr(recipe.augmentation, key)
            ]
        elif value != getattr(recipe, name):
            parts.append((name, value))
    return ", ".join(f"`{value if name == 'architecture' else f'{name}={value}'}`" for name, value in parts)


def levels(study: Study) -> dict[str, Answers]:
    """Models whose training differs in one suspect, tested like all others: name -> answers.

    The profile's own comes first, then the lighter recipe where the profile has one, then trainings on less detail and
    on fewer images, with the lighter recipe where there is one. Less detail is tried with the first seed alone.
    """
    profile = study.profile
    seeds = {AS_IT_IS: profile.seeds, LIGHTER: profile.level_seeds or profile.seeds}
    found = answered(
        study,
        {
            name: [replace(recipe, seed=seed) for seed in seeds.get(name, profile.seeds[:1])]
            for name, recipe in _suspects(study).items()
        },
    )
    fewer = {share: one for share, one in trainings.smaller(study).items() if share < 1}
    return found | {f"{100 * share:g} % of the images": fewer[share] for share in sorted(fewer, reverse=True)}


def base(found: Mapping[str, Any]) -> str:
    """Of ``levels`` or ``attacks``: what less detail, fewer images and more backgrounds are compared with."""
    return LIGHTER if LIGHTER in found else AS_IT_IS


def effects(study: Study) -> dict[tuple[str, str], Estimate]:
    """What having more of each suspect adds, in points: (quantity, suspect) -> estimate, paired by image.

    Quantities: accuracy on ``original`` and ``only_bg_t``, and ``gap``. Suspects: ``training``, the profile's recipe
    for the lighter one; ``detail``, whole images for those of least shrinking; ``images``, all for the smallest share.
    """
    found, shares = levels(study), trainings.smaller(study)
    pairs = {"training": (LIGHTER, AS_IT_IS), "detail": (_detail(min(study.profile.shrinks)), base(found))}
    ends = {name: (found[low], found[high]) for name, (low, high) in pairs.items() if {low, high} <= found.keys()}
    if len(shares) > 1:
        ends["images"] = shares[min(shares)], shares[max(shares)]
    added = {}
    for name, (low, high) in ends.items():
        for test in ("original", "only_bg_t"):
            added[test, name] = trainings.gain({"low": low, "high": high}, "high", test, over="low")
        added["gap", name] = trainings.gap_change(high, low)
    return added


def mask_changes(study: Study) -> pd.DataFrame:
    """The BG-Gap of the models trained on Original against changes of the masks, in points.

    Columns: pixels (as in ``PIXELS``, and 0), share of the image that is foreground in percent, value, low, high. Empty
    where there is no record of it.
    """
    columns = ["pixels", "share", "value", "low", "high"]
    own, records = _with_masks(study)
    if own is None:
        return pd.DataFrame(columns=columns)
    shares = records[0].results["shares"]
    rows = [(0, 100 * shares[0], *own.gap().in_percent())]
    for place, pixels in enumerate(PIXELS):
        one = Answers([_only(record, place) for record in records])
        rows.append((pixels, 100 * shares[1 + place], *one.gap().in_percent()))
    return pd.DataFrame(sorted(rows), columns=columns)


def object_sizes(study: Study) -> pd.DataFrame:
    """The BG-Gap of the models trained on Original on each class's images with the smallest, middle, largest objects.

    Columns: third, share of the image that is foreground in percent, value, low, high (points). Empty where there is no
    record of it.
    """
    own, records = _with_masks(study)
    rows = []
    if own is not None:
        areas, labels = np.array(records[0].results["areas"]), own.labels("mixed_same")
        ranks = pd.Series(areas).groupby(labels).rank(method="first", pct=True).to_numpy()
        for place, third in enumerate(THIRDS):
            part = (ranks > place / len(THIRDS)) & (ranks <= (place + 1) / len(THIRDS))
            same, rand = (own.correct(test)[:, part] for test in ("mixed_same", "mixed_rand"))
            gap = estimates.paired_difference(same, rand, labels[part])
            rows.append((third, 100 * areas[part].mean(), *gap.in_percent()))
    return pd.DataFrame(rows, columns=["third", "share", "value", "low", "high"])


def attacks(study: Study) -> dict[str, Attacks]:
    """Attacks on the models of ``levels`` whose images are as many, and on their ``base`` with every background."""
    sizes = study.profile.adversarial
    units = {name: (recipe, sizes) for name, recipe in _suspects(study).items()}
    units[EVERY_BACKGROUND] = units[base(units)][0], {**sizes, "backgrounds_per_class": None}
    units = {name: (one, how) for name, (one, how) in units.items() if study.available("adversarial", [one], **how)}
    study.measure("adversarial", [one for one, how in units.values() if how == sizes], **sizes)  # side by side
    return {name: Attacks(study.measure("adversarial", [one], **how)) for name, (one, how) in units.items()}


def _with_masks(study: Study) -> tuple[Answers | None, list[Record]]:
    """The answers of the models trained on Original, and their records of ``measure_masks``; None and [] without."""
    recipes, options = study.recipes(["original"]), {"test_seed": TEST_SEED, "pixels": list(PIXELS)}
    if not (evaluated(study, recipes) and study.available(MASKS, recipes, **options)):
        return None, []
    return Answers(study.evaluations(recipes)), study.measure(MASKS, recipes, **options)


def _trials(study: Study) -> dict[str, Recipe]:
    changes = {AS_IT_IS: {}, **study.profile.trials}
    return {name: study.recipe("original", **some) for name, some in changes.items()}


def _suspects(study: Study) -> dict[str, Recipe]:
    """The trainings of ``levels`` on all images."""
    recipes = {AS_IT_IS: study.recipe("original")}
    if study.profile.level_recipe:
        recipes[LIGHTER] = level_recipe(study)
    light = recipes[base(recipes)]
    for part in study.profile.shrinks:
        recipes[_detail(part)] = replace(light, architecture=f"{light.architecture}/{part}")
    return recipes


def _detail(part: int) -> str:
    return f"{100 / part:g} % of the detail"


def _only(record: Record, place: int) -> Record:
    """A record of ``measure_masks`` with one of its changes alone, as an evaluation has it."""
    predictions = {test: some[place] for test, some in record.results["predictions"].items()}
    return replace(record, results={**record.results, "predictions": predictions})
