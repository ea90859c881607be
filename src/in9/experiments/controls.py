"""Do the measures measure what they say? They are tried on synthetic images, for which the answer is known.

A BG-Gap must be zero if backgrounds tell nothing, and grow with what they tell; and a difference between two draws of
the same test set must be zero everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd

from in9.data.sources.synthetic import Synthetic
from in9.evaluation.estimates import Estimate, Term
from in9.evaluation.predictions import Predictions
from in9.experiments.experiment import Experiment
from in9.study.jobs import Job, draws_jobs, evaluations
from in9.study.profile import Profile, load_profile
from in9.study.study import Study
from in9.taxonomy import NUM_CLASSES


def _jobs(profile: Profile) -> list[Job]:
    return evaluations(profile, profile.recipes_on(["original"]))


DIAL: Experiment = Experiment(
    "dial",
    ("12", "13"),
    lambda profile: {rho: _jobs(position) for rho, position in dial_profiles(profile).items()},
    whole=True,
)
DIAL_DRAWS: Experiment = Experiment(
    "dial_draws",
    ("12", "13"),
    lambda profile: {rho: jobs for rho, position in dial_profiles(profile).items() if (jobs := draws_jobs(position))},
    lambda records: records,
)
"""Which backgrounds the mixed test sets get at each position of the dial."""
CALIBRATION: Experiment = Experiment("calibration", ("12",), lambda profile: {"original": _jobs(profile)}, whole=True)


def dial_profiles(profile: Profile) -> dict[float, Profile]:
    """The control set at each position of its dial, with data of its own: rho -> profile.

    A profile of photographs takes the control set of the profile control.
    """
    base = profile if profile.source == "synthetic" else load_profile("control")
    return {rho: dial_profile(base, rho) for rho in base.dial}


def dial_profile(base: Profile, rho: float) -> Profile:
    """A control set with its dial at one position."""
    name = f"{base.name}-rho-{rho:g}"
    return replace(
        base,
        name=name,
        data=name,
        source_options={**base.source_options, "rho": rho},
        recipe=base.recipe.changed(epochs=base.dial_epochs or base.recipe.epochs),
        seeds=base.dial_seeds,
    )


def painted(profile: Profile) -> np.ndarray:
    """An image of each class at each position of the dial, painted on the spot: uint8 [positions, 9, S, S, 3]."""
    sources = [Synthetic(**{**position.source_options, "per_class": 1}) for position in dial_profiles(profile).values()]
    return np.stack([[source.read(example).image for example in source.examples()] for source in sources])


def calibration(study: Study) -> dict[str, Estimate]:
    """The measures of this book on the profile's models trained on Original, beside what controls them.

    ``original`` and ``only_bg_t`` are accuracies; ``gap`` is the BG-Gap; ``control`` is Mixed-Same minus Mixed-Same on
    other draws of the backgrounds, which must be near zero; ``paste`` is Original minus Mixed-Same. On Mixed-Rand,
    ``towards`` is how often the answer on a background of another class is that class, ``elsewhere`` how often it is
    one of the seven further wrong classes, per class, and ``pull`` the difference. Empty if the study has no records of
    it, or if its mixed test sets were drawn only once.
    """
    return {name: quantities for models in CALIBRATION.read(study).values() for name, quantities in _of(models).items()}


def dial(study: Study) -> dict[float, dict[str, Estimate]]:
    """The ``calibration`` at each position of the dial: rho -> quantity -> estimate."""
    return {rho: quantities for rho, models in DIAL.read(study).items() if (quantities := _of(models))}


def _of(models: Predictions) -> dict[str, Estimate]:
    same, rand = "mixed_same", "mixed_rand"
    if not {same, rand} <= models.backgrounds.keys():
        return {}
    labels, answers, rows = models.labels[rand], models.classes[rand], models.backgrounds[rand]
    background = labels[rows]  # its class, int64 [draws, N]
    misleads = background != labels
    chances = np.maximum(misleads.sum(axis=0), 1)  # an image that got its own class each time counts as never misled
    share = rows.shape[0] * misleads / chances
    towards = (answers == background) * share
    elsewhere = ((answers != background) & (answers != labels)) * share / (NUM_CLASSES - 2)
    half = len(models.backgrounds[same]) // 2
    first, second = models.correct(same)[:, :half], models.correct(same)[:, half : 2 * half]
    control = [
        Term(first, models.backgrounds[same][:half]),
        Term(-second.astype(float), models.backgrounds[same][half : 2 * half]),
    ]
    return {
        "original": models.accuracy("original"),
        "only_bg_t": models.accuracy("only_bg_t"),
        "gap": models.gap(),
        "control": models.sum_of(control, same),
        "paste": models.difference("original", same),
        "towards": models.sum_of([Term(towards, rows)], rand),
        "elsewhere": models.sum_of([Term(elsewhere, rows)], rand),
        "pull": models.sum_of([Term(towards - elsewhere, rows)], rand),
    }


def frame(dial: Mapping[float, Mapping[str, Estimate]]) -> pd.DataFrame:
    """What ``dial`` gives, as rows in percent and points: rho, series (the quantity), value, low, high."""
    rows = [
        (rho, name, *estimate.in_percent()) for rho, quantities in dial.items() for name, estimate in quantities.items()
    ]
    return pd.DataFrame(rows, columns=["rho", "series", "value", "low", "high"])


def includes_zero(estimate: Estimate) -> bool:
    """Whether zero lies within the interval, its ends included."""
    return estimate.low <= 0 <= estimate.high
