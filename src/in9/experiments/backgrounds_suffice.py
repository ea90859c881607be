"""Nine training sets on nine test sets: backgrounds suffice for classification (paper, section 3, table 5)."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from in9.evaluation.predictions import TEST_SETS, Predictions
from in9.experiments.experiment import Experiment
from in9.study.jobs import evaluations
from in9.training.recipe import TRAINING_SETS

MATRIX = Experiment(
    "matrix",
    ("02", "03"),
    lambda profile: {train: evaluations(profile, profile.recipes_on([train])) for train in TRAINING_SETS},
)


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
