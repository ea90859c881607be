"""Does the instrument work? The measures of this book on the control set, where the answer is known.

A BG-Gap must be zero where backgrounds tell nothing, and grow with what they tell; and a difference between two draws
of the same test set must be zero everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

import numpy as np
import pandas as pd

from in9.evaluation import estimates
from in9.evaluation.estimates import Estimate
from in9.evaluation.records import from_digits
from in9.experiments.trainings import evaluated
from in9.study.profile import Profile, profile_named
from in9.study.study import TEST_SEED, Answers, Study
from in9.taxonomy import NUM_CLASSES

MORE_DRAWS = "more_draws"
MORE_SEEDS = tuple(range(TEST_SEED + 1, TEST_SEED + 9))


def calibration(study: Study) -> dict[str, Estimate]:
    """The measures of this book on the profile's models trained on Original, beside what controls them.

    ``original`` and ``only_bg_t`` are accuracies; ``gap`` is the BG-Gap as everywhere in the book, ``mean_gap`` its
    mean over eight further draws of the backgrounds; ``control`` is Mixed-Same minus Mixed-Same of another draw, which
    must be near zero; ``paste`` is Original minus Mixed-Same. Over the further draws, ``towards`` is how often the
    answer on a background of another class is that class, ``elsewhere`` how often it is one of the seven further wrong
    classes, per class, and ``pull`` the difference. Empty where the study has no records of it.
    """
    recipes = study.recipes(["original"])
    if not (evaluated(study, recipes) and study.available(MORE_DRAWS, recipes, test_seeds=MORE_SEEDS)):
        return {}
    more = [record.results for record in study.measure(MORE_DRAWS, recipes, test_seeds=MORE_SEEDS)]
    book = Answers(study.evaluations(recipes))
    labels = book.labels("mixed_same")

    def predicted(test: str) -> np.ndarray:  # int64 [seeds, draws, N]
        return np.stack([[from_digits(one) for one in results["predictions"][test]] for results in more])

    same, rand = predicted("mixed_same"), predicted("mixed_rand")
    background = np.stack([from_digits(one) for one in more[0]["backgrounds"]["mixed_rand"]])
    misleads = background != labels
    some = misleads.any(0)  # that an image got its own class each time is rare
    chances = misleads.sum(0)[some]
    towards = ((rand == background) & misleads).sum(1)[:, some] / chances
    others = ((rand != background) & (rand != labels) & misleads).sum(1)[:, some] / chances / (NUM_CLASSES - 2)
    mean = estimates.paired_mean_difference
    return {
        "original": book.accuracy("original"),
        "only_bg_t": book.accuracy("only_bg_t"),
        "gap": book.gap(),
        "mean_gap": mean((same == labels).mean(1), (rand == labels).mean(1), labels),
        "control": estimates.paired_difference(book.correct("mixed_same"), same[:, 0] == labels, labels),
        "paste": book.difference("original", "mixed_same"),
        "towards": mean(towards, 0, labels[some]),
        "elsewhere": mean(others, 0, labels[some]),
        "pull": mean(towards, others, labels[some]),
    }


def dial_profile(profile: Profile, rho: float) -> Profile:
    """The control set at one position of its dial: that of a synthetic profile, else that of the profile control."""
    base = profile if profile.source == "synthetic" else profile_named("control")
    return replace(
        base,
        name=f"{base.name}-rho-{rho:g}",
        source_options=MappingProxyType({**base.source_options, "rho": rho}),
        recipe=replace(base.recipe, epochs=base.dial_epochs or base.recipe.epochs),
        seeds=base.dial_seeds,
    )


def dial_studies(study: Study) -> dict[float, Study]:
    """One study for each position of the dial, each with data and records of its own: rho -> study."""
    base = study.profile if study.profile.source == "synthetic" else profile_named("control")
    return {rho: study.of_profile(dial_profile(base, rho)) for rho in base.dial}


def dial(study: Study) -> dict[float, dict[str, Estimate]]:
    """The ``calibration`` at each position of the dial: rho -> quantity -> estimate."""
    return {rho: found for rho, one in dial_studies(study).items() if (found := calibration(one))}


def frame(dial: Mapping[float, Mapping[str, Estimate]]) -> pd.DataFrame:
    """What ``dial`` gives, as rows in percent and points: rho, series (the quantity), value, low, high."""
    rows = [(rho, name, *one.in_percent()) for rho, found in dial.items() for name, one in found.items()]
    return pd.DataFrame(rows, columns=["rho", "series", "value", "low", "high"])


def holds_zero(estimate: Estimate) -> bool:
    """Whether zero lies within the interval, its ends included."""
    return estimate.low <= 0 <= estimate.high
