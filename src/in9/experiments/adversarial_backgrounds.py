"""Attacks with adversarial backgrounds on models trained on three sets (paper, section 4)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from in9.data.variants import load_pool
from in9.evaluation.adversarial.attacks import Attacks
from in9.experiments.experiment import Experiment
from in9.study.jobs import jobs_of
from in9.study.study import Study
from in9.training.recipe import IN9L

ATTACKED = (IN9L, "original", "mixed_rand")
"""The training sets whose models are attacked; the paper attacks the model trained on IN-9L."""

ADVERSARIAL = Experiment(
    "adversarial",
    ("04",),
    lambda profile: {
        train: jobs_of(profile, "adversarial", profile.recipes_on([train]), **profile.adversarial) for train in ATTACKED
    },
    Attacks.of_records,
)


def pictures_of(study: Study, best: Mapping[str, pd.DataFrame]) -> dict[str, list[np.ndarray]]:
    """The backgrounds that ``Attacks.best`` names, uint8 [S, S, 3]; with folds a row is one of its fold's pool."""
    folds = {fold for part in best.values() for fold in part["fold"]}
    pools = {}
    for fold in folds:
        tested = study.dataset.of_fold(int(fold) if study.dataset.folds else None)
        pools[fold] = load_pool(tested, "test").tiles.permute(0, 2, 3, 1).numpy()
    return {
        name: [pools[fold][row] for fold, row in zip(part["fold"], part["row"], strict=True)]
        for name, part in best.items()
    }
