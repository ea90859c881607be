"""What may lower the BG-Gap, beside training on Original."""

from __future__ import annotations

from in9.experiments.experiment import Experiment
from in9.experiments.mixed_rand_training import trained
from in9.study.jobs import Job
from in9.study.profile import Profile


def _remedies(profile: Profile) -> dict[str, list[Job]]:
    """Mixed-Rand drawn once, as the paper draws it, is read of those seeds that chapter 05 trains anyway."""
    seeds = profile.remedy_seeds or profile.seeds
    shared = [seed for seed in seeds if seed in profile.seeds]
    once = trained(profile, ("mixed_rand_once",), shared) if shared else {}
    remedies = trained(profile, ("original", "mixed_rand", "half", "head"), seeds)
    return {"original": remedies.pop("original"), **once, **remedies}


REMEDIES = Experiment("remedies", ("09",), _remedies)
