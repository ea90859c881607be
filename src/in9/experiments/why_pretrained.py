"""Why networks trained on all of ImageNet have smaller gaps: finer classes, and more images (paper, appendix B)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from in9.evaluation.predictions import Predictions
from in9.experiments.experiment import Experiment
from in9.study.jobs import Job, evaluations
from in9.study.profile import Profile
from in9.study.study import Measured, Study


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

SMALLER = Experiment("smaller", ("10", "12"), _smaller)
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


def level_frame(levels: Mapping[float, Predictions]) -> pd.DataFrame:
    """Accuracy on Original and BG-Gap at each level, in percent and points: level, quantity, value, low, high."""
    rows = [
        (level, quantity, *estimate.in_percent())
        for level, models in levels.items()
        for quantity, estimate in (("original", models.accuracy("original")), ("gap", models.gap()))
    ]
    return pd.DataFrame(rows, columns=["level", "quantity", "value", "low", "high"])
