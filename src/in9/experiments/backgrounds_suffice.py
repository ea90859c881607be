"""Nine training sets on nine test sets: backgrounds suffice for classification (paper, section 3, table 5)."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from in9.data.variants import MIXED
from in9.evaluation.predictions import TEST_SETS, Predictions
from in9.experiments import paper
from in9.experiments.experiment import Experiment
from in9.experiments.mixed_rand_training import MIXED_TRAININGS
from in9.study.jobs import evaluations
from in9.study.study import Study
from in9.taxonomy import TITLES
from in9.training.recipe import TRAINING_SETS

MATRIX = Experiment(
    "matrix",
    ("02", "03"),
    lambda profile: {train: evaluations(profile, profile.recipes_on([train])) for train in profile.training_sets},
)

ROWS = {
    **{name: TITLES[name] for name in TRAINING_SETS if name not in MIXED},
    **{
        f"{name}{suffix}": f"{TITLES[name]}, {drawn}"
        for name in MIXED
        for suffix, drawn in (("_once", "drawn once"), ("", "drawn anew"))
    },
}
"""The rows of table 5, the paper's and ours: the paper drew the backgrounds of its mixed training sets once."""


def like_table5(study: Study) -> dict[str, Predictions]:
    """The models of the matrix by the names of ``ROWS``; among them those trained on Mixed-Rand, drawn once."""
    drawn_once = {name: models for name, models in MIXED_TRAININGS.read(study).items() if name == "mixed_rand_once"}
    return {**MATRIX.read(study), **drawn_once}


def published() -> pd.DataFrame:
    """Table 5 of the paper by the names of ``ROWS``: train, test, accuracy in percent."""
    names = {name: f"{name}_once" for name in MIXED}
    return paper.table("train_test_matrix").replace({"train": names})[["train", "test", "accuracy"]]


def accuracies(matrix: Mapping[str, Predictions]) -> pd.DataFrame:
    """Accuracy of each training set on each test set (table 5) in percent: train, test, accuracy, low, high."""
    cells = [
        (train, test, *models.accuracy(test).in_percent()) for train, models in matrix.items() for test in TEST_SETS
    ]
    return pd.DataFrame(cells, columns=["train", "test", "accuracy", "low", "high"])


def gaps(matrix: Mapping[str, Predictions]) -> pd.DataFrame:
    """BG-Gap of each training set with its paired interval, in points: train, gap, low, high."""
    rows = [(train, *models.gap().in_percent()) for train, models in matrix.items()]
    return pd.DataFrame(rows, columns=["train", "gap", "low", "high"])
