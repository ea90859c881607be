"""Where models look: saliency maps after training on Original and on Mixed-Rand (paper, section 4, figure 6)."""

from __future__ import annotations

from in9.evaluation.records import Record
from in9.evaluation.saliency.focus import Focus
from in9.experiments.experiment import Experiment
from in9.study.jobs import jobs_of
from in9.study.study import Study

LOOKED_INTO = ("original", "mixed_rand")
"""The training sets whose models get saliency maps (figure 6 of the paper)."""


def _by_method(records: list[Record]) -> dict[str, Focus]:
    """How much equal models look at the object by each method."""
    return {method: Focus.of_records(records, method) for method in records[0].results["methods"]}


SALIENCY = Experiment(
    "saliency",
    ("06",),
    lambda profile: {
        train: jobs_of(profile, "saliency", profile.recipes_on([train]), **profile.saliency) for train in LOOKED_INTO
    },
    _by_method,
    whole=True,
)


def focus(study: Study) -> dict[str, dict[str, Focus]]:
    """How much the models look at the object: method -> training set -> focus; empty without records."""
    measured = SALIENCY.read(study)
    methods: dict[str, Focus] = next(iter(measured.values()), {})
    return {method: {train: by_method[method] for train, by_method in measured.items()} for method in methods}
