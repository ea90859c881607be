"""Ways to train that change what backgrounds tell, Mixed-Rand first (paper, section 4, table 5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import pandas as pd

from in9.evaluation.predictions import Predictions, gain
from in9.experiments import paper
from in9.experiments.experiment import Experiment
from in9.study.jobs import Job, evaluations
from in9.study.profile import Profile
from in9.study.study import Study
from in9.training.recipe import IN9L, Recipe

WAYS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "original": {"train_on": "original"},
        "in9l": {"train_on": IN9L},
        **{name: {"train_on": name} for name in ("only_bg_b", "only_bg_t", "no_fg", "only_fg")},
        "mixed_same": {"train_on": "mixed_same"},
        "mixed_next": {"train_on": "mixed_next"},
        "mixed_rand": {"train_on": "mixed_rand"},
        "mixed_rand_once": {"train_on": "mixed_rand", "fresh_backgrounds": False},
        "half": {"train_on": "original+mixed_rand"},
        "head": {"train_on": "original", "head_on": "mixed_rand"},
    }
)
"""Ways to train, as changes of the profile's recipe."""


def recipes(profile: Profile, way: str, seeds: Sequence[int] | None = None) -> list[Recipe]:
    """The recipes of one of the ``WAYS``, with the profile's seeds unless others are given."""
    return [profile.recipe_on(seed=seed, **WAYS[way]) for seed in seeds or profile.seeds]


def trained(profile: Profile, ways: Sequence[str], seeds: Sequence[int] | None = None) -> dict[str, list[Job]]:
    """The evaluations of models trained in some of the ``WAYS``, with the profile's seeds unless others are given."""
    return {way: evaluations(profile, recipes(profile, way, seeds)) for way in ways}


def answers(study: Study, way: str) -> Predictions:
    """The predictions of the models trained in one of the ``WAYS``, with the profile's seeds."""
    return study.predictions(recipes(study.profile, way))


MIXED_TRAININGS = Experiment(
    "mixed",
    ("02", "03", "05"),
    lambda profile: trained(profile, ("original", "mixed_same", "mixed_next", "mixed_rand", "mixed_rand_once")),
)
"""Training on Original and on each mixed variant (table 5), Mixed-Rand also with backgrounds drawn once."""


GAINED_ON = ("mixed_next", "mixed_rand", "only_fg", "mixed_same", "original", "no_fg", "only_bg_b", "only_bg_t")
"""The test sets, from a background that misleads to one that stands alone."""


def gains(models: Mapping[str, Predictions], way: str) -> pd.DataFrame:
    """What one of the ``WAYS`` adds to accuracy after training on Original, in points: test, gain, low, high."""
    rows = [(test, *gain(models[way], models["original"], test).in_percent()) for test in GAINED_ON]
    return pd.DataFrame(rows, columns=["test", "gain", "low", "high"])


def published_gains() -> pd.DataFrame:
    """The same for training on Mixed-Rand, drawn once, in table 5 of the paper, which has no intervals."""
    matrix = paper.train_test_matrix()
    rows = [(test, matrix.loc["mixed_rand", test] - matrix.loc["original", test]) for test in GAINED_ON]
    return pd.DataFrame(rows, columns=["test", "gain"]).assign(low=float("nan"), high=float("nan"))


def tradeoff(models: Mapping[str, Predictions]) -> pd.DataFrame:
    """Accuracy on Original in percent and BG-Gap in points of each model, both with their intervals.

    Columns: training, accuracy, accuracy_low, accuracy_high, gap, gap_low, gap_high.
    """
    rows = [
        (way, *members.accuracy("original").in_percent(), *members.gap().in_percent())
        for way, members in models.items()
    ]
    columns = ["accuracy", "accuracy_low", "accuracy_high", "gap", "gap_low", "gap_high"]
    return pd.DataFrame(rows, columns=["training", *columns])


def published_tradeoff() -> pd.DataFrame:
    """The same for table 5 of the paper, which has no intervals; its Mixed-Rand set was drawn once."""
    matrix, nothing = paper.train_test_matrix(), float("nan")
    rows = []
    for way in ("original", "mixed_same", "mixed_next", "mixed_rand_once"):
        line = matrix.loc[WAYS[way]["train_on"]]
        gap = line["mixed_same"] - line["mixed_rand"]
        rows.append((way, line["original"], nothing, nothing, gap, nothing, nothing))
    return pd.DataFrame(rows, columns=list(tradeoff({}).columns))
