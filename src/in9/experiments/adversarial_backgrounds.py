"""Attacks with adversarial backgrounds on models trained on three sets (paper, section 4)."""

from __future__ import annotations

from in9.evaluation.adversarial.attacks import Attacks
from in9.experiments.experiment import Experiment
from in9.study.jobs import jobs_of
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
