"""Why networks trained on all of ImageNet have smaller gaps: finer classes, and more images (paper, appendix B)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from in9.data.source import MaskRule
from in9.evaluation.predictions import Predictions, gap_change, gap_change_between
from in9.experiments import benchmark_progress
from in9.experiments.experiment import Experiment
from in9.scoring.score import RESTRICTED, SCORING_RULES, STRICT
from in9.study.jobs import Job, evaluations
from in9.study.profile import Profile
from in9.study.study import Measured, Study
from in9.training.recipe import IN9L

EARLIER_RULE = MaskRule(mask_share=(0.35, 0.97))
"""What test masks had to keep in the first edition, as a substitute for somebody who looks at them."""
NORM_TITLES = {"l2": "l2", "linf": "l-infinity"}


def level_jobs(profile: Profile, **changes: Any) -> list[Job]:
    """Training on Original with the recipe for what takes many trainings, with further changes and each level seed.

    The profile is the one of the experiments that take many trainings (``Profile.of_many_trainings``).
    """
    seeds = profile.level_seeds or profile.seeds
    return evaluations(profile, profile.recipes_on(["original"], seeds, **{**profile.level_recipe, **changes}))


def _smaller(profile: Profile) -> dict[float, list[Job]]:
    """All get about the same number of steps: half of the images are seen for twice as many epochs."""
    profile = profile.of_many_trainings
    epochs = profile.recipe.changed(**profile.level_recipe).epochs
    return {share: level_jobs(profile, fraction=share, epochs=round(epochs / share)) for share in profile.fractions}


def _finer(profile: Profile) -> dict[int, list[Job]]:
    profile = profile.of_many_trainings
    return {level: level_jobs(profile, fine=level) for level in profile.fine_levels}


FINER = Experiment("finer", ("10",), _finer)
"""Models trained on up to so many finer classes for each of the nine, and tested on the nine."""

SMALLER = Experiment("smaller", ("10", "11"), _smaller)
"""Models trained on a share of the images, by that share."""


def _robust(profile: Profile) -> dict[str, list[Job]]:
    def jobs(**changes: Any) -> list[Job]:
        recipes = profile.recipes_on(["original"], profile.robust_seeds, **{**profile.robust_recipe, **changes})
        return evaluations(profile, recipes)

    robust = {name: jobs(perturbation=perturbation) for name, perturbation in profile.perturbations.items()}
    return {"none": jobs(), **robust} if robust else {}


ROBUST = Experiment("robust", ("10",), _robust)
"""Models trained on Original, plainly and on images changed to mislead them, by the norm of the change (figure 12)."""


def finer(study: Study) -> Measured[int, Predictions]:
    """The models of ``FINER`` by the number of classes that they were trained on."""
    levels = FINER.read(study)
    return Measured(
        {models.models[0].training["classes"]: models for models in levels.values()},
        levels.asked,
    )


def of_many_trainings(study: Study) -> Study:
    """The study whose records the experiments that take many trainings read."""
    return study.of_profile(study.profile.of_many_trainings)


def caveat(sources: Mapping[str, Study], what: str = "these trainings") -> str:
    """What to know of the record of those experiments: its test images are not the profile's. Empty without such.

    ``what`` says which numbers of a chapter this is of.
    """
    record = sources.get("record")
    if record is None or not record.profile.many_trainings:
        return ""
    models = of_many_trainings(record).answers("original")
    low, high = (100 * share for share in EARLIER_RULE.mask_share)
    return (
        f"In our record, {what} are from the **first edition**, which used one split of the photographs in place of "
        f"folds, {len(models.labels['original']):,} test images whose masks had to cover {low:.0f} to {high:.0f} % of "
        "their boxes, and a single draw of the backgrounds. Compare these numbers with each other, not with those of "
        "other chapters."
    )


def robust_rows(study: Study) -> list[dict[str, Any]]:
    """The models of ``ROBUST`` as rows of a table; none without records of them and of plain training."""
    found, rows = ROBUST.read(study), []
    for norm, models in found.items() if "none" in found else ():
        perturbation = study.profile.perturbations.get(norm)
        title = _robustly(perturbation) if perturbation else "plainly"
        rows.append(
            {
                "trained on Original": title,
                "accuracy on Original, %": models.accuracy("original"),
                "BG-Gap, points": models.gap(),
                "less than plainly, points": gap_change(found["none"], models) if perturbation else None,
            }
        )
    return rows


def _robustly(perturbation: Mapping[str, Any]) -> str:
    """A robust training in words; the largest change of a pixel in grey levels."""
    norm, radius = perturbation["norm"], perturbation["radius"]
    return f"robustly, {NORM_TITLES[norm]}, radius {f'{255 * radius:.0f}/255' if norm == 'linf' else f'{radius:g}'}"


def beside_enlarged(study: Study) -> Predictions:
    """What the network trained on IN-9L answers on the images and in the draw of ``benchmark_progress.enlarged``."""
    models = study.answers(IN9L)
    return models.of_seeds(models.seeds[:1]).of_draw(0)


def imagenet_rows(study: Study) -> list[dict[str, Any]]:
    """Networks trained on IN-9L and on all of ImageNet on the first fold's images, as rows of a table, by both rules.

    ImageNet's see the images enlarged. None without their scores.
    """
    scored = benchmark_progress.enlarged(study)
    if not scored:
        return []
    first = beside_enlarged(study)
    rows = [_by_rules("ours, trained on IN-9L", {STRICT: first, RESTRICTED: first})]
    for score in scored:
        answers = {rule: score.predictions(rule) for rule in score.rules}
        row = _by_rules(score.name, answers)
        less = {rule: gap_change_between(first, models) for rule, models in answers.items()}
        rows.append(row | {f"below IN-9L, {rule}": less.get(rule) for rule in SCORING_RULES})
    rows[0] |= {f"below IN-9L, {rule}": None for rule in SCORING_RULES}
    return rows


def _by_rules(name: str, answers: Mapping[str, Predictions]) -> dict[str, Any]:
    strict = answers[STRICT]
    return {"network": name, "Original, strict, %": strict.accuracy("original")} | {
        f"BG-Gap, {rule}": answers[rule].gap() if rule in answers else None for rule in SCORING_RULES
    }


def level_frame(levels: Mapping[float, Predictions]) -> pd.DataFrame:
    """Accuracy on Original and BG-Gap at each level, in percent and points: level, quantity, value, low, high."""
    rows = [
        (level, quantity, *estimate.in_percent())
        for level, models in levels.items()
        for quantity, estimate in (("original", models.accuracy("original")), ("gap", models.gap()))
    ]
    return pd.DataFrame(rows, columns=["level", "quantity", "value", "low", "high"])
