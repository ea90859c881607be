"""What may lower the BG-Gap, beside training on Original."""

from __future__ import annotations

from in9.experiments.experiment import Experiment
from in9.experiments.mixed_rand_training import trained

REMEDIES = Experiment(
    "remedies",
    ("09",),
    lambda profile: trained(profile, ("original", "mixed_rand", "half", "head"), profile.remedy_seeds),
)
