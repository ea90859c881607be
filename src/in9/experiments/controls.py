"""Do the measures measure what they say? They are tried on synthetic images, for which the answer is known.

A BG-Gap must be zero if backgrounds tell nothing, and grow with what they tell; and a difference between two draws of
the same test set must be zero everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd

from in9.evaluation import estimates
from in9.evaluation.estimates import Estimate, Term
from in9.evaluation.records import Record, classes_in, from_digits, predictions_of
from in9.experiments.experiment import Experiment
from in9.study.jobs import EVALUATION, TEST_SEED, Job, evaluations, jobs_of
from in9.study.profile import Profile, load_profile
from in9.study.study import Study
from in9.taxonomy import NUM_CLASSES

MORE_DRAWS = "more_draws"
MORE_SEEDS = tuple(range(TEST_SEED + 1, TEST_SEED + 9))


def _jobs(profile: Profile) -> dict[str, list[Job]]:
    recipes = profile.recipes_on(["original"])
    return {
        EVALUATION: evaluations(profile, recipes),
        MORE_DRAWS: jobs_of(profile, MORE_DRAWS, recipes, test_seeds=MORE_SEEDS),
    }


def _dial_jobs(profile: Profile) -> dict[tuple[float, str], list[Job]]:
    positions = dial_profiles(profile)
    return {(rho, kind): jobs for rho, position in positions.items() for kind, jobs in _jobs(position).items()}


def _records(records: list[Record]) -> list[Record]:
    return records


CALIBRATION: Experiment = Experiment("calibration", ("00",), _jobs, _records, whole=True)
DIAL: Experiment = Experiment("dial", ("00", "11"), _dial_jobs, _records, whole=True)


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


def calibration(study: Study) -> dict[str, Estimate]:
    """The measures of this book on the profile's models trained on Original, beside what controls them.

    ``original`` and ``only_bg_t`` are accuracies; ``gap`` is the BG-Gap as everywhere in the book, ``mean_gap`` its
    mean over eight further draws of the backgrounds; ``control`` is Mixed-Same minus Mixed-Same of another draw, which
    must be near zero; ``paste`` is Original minus Mixed-Same. Over the further draws, ``towards`` is how often the
    answer on a background of another class is that class, ``elsewhere`` how often it is one of the seven further wrong
    classes, per class, and ``pull`` the difference. Empty if the study has no records of it.
    """
    records = CALIBRATION.read(study)
    return _estimates(records[EVALUATION], records[MORE_DRAWS]) if len(records) == 2 else {}


def dial(study: Study) -> dict[float, dict[str, Estimate]]:
    """The ``calibration`` at each position of the dial: rho -> quantity -> estimate."""
    records = DIAL.read(study)
    return {
        rho: _estimates(records[rho, EVALUATION], records[rho, MORE_DRAWS])
        for rho in dial_profiles(study.profile)
        if {(rho, EVALUATION), (rho, MORE_DRAWS)} <= records.keys()
    }


def _estimates(evaluated: list[Record], drawn_anew: list[Record]) -> dict[str, Estimate]:
    book = predictions_of(evaluated)
    labels = book.labels["mixed_same"]
    same, rand = (
        np.stack([classes_in(record, test) for record in drawn_anew]) for test in ("mixed_same", "mixed_rand")
    )  # int64 [models, draws, N]
    background = np.stack([from_digits(text) for text in drawn_anew[0].results["backgrounds"]["mixed_rand"]])
    misleads = background != labels
    counted = misleads.any(0)  # that an image got its own class each time is rare
    chances = misleads.sum(0)[counted]
    towards = ((rand == background) & misleads).sum(1)[:, counted] / chances
    others = ((rand != background) & (rand != labels) & misleads).sum(1)[:, counted] / chances / (NUM_CLASSES - 2)

    def mean(values: np.ndarray, own: np.ndarray) -> Estimate:
        return estimates.balanced_mean([Term(values[:, None])], own)

    return {
        "original": book.accuracy("original"),
        "only_bg_t": book.accuracy("only_bg_t"),
        "gap": book.gap(),
        "mean_gap": mean((same == labels).mean(1) - (rand == labels).mean(1), labels),
        "control": mean(book.correct("mixed_same")[:, 0].astype(float) - (same[:, 0] == labels), labels),
        "paste": book.difference("original", "mixed_same"),
        "towards": mean(towards, labels[counted]),
        "elsewhere": mean(others, labels[counted]),
        "pull": mean(towards - others, labels[counted]),
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
