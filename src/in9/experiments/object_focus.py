"""Where models look: saliency maps after training on Original and on Mixed-Rand (paper, section 4, figure 6)."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from in9.evaluation.estimates import Estimate
from in9.evaluation.records import Record
from in9.evaluation.saliency.focus import Focus
from in9.experiments.experiment import Experiment
from in9.scoring import showcase
from in9.study.jobs import jobs_of
from in9.study.study import Study
from in9.taxonomy import imagenet_to_in9
from in9.training.networks import Classifier

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


def scores_by_method(looked: Mapping[str, Mapping[str, Focus]], score: str) -> dict[tuple[str, str], Estimate | None]:
    """What there is to know of one score, ``mass`` or ``pointing``: (method, what) -> number.

    The mean after each training, by its name; ``NAME above`` other images' maps; ``difference`` of the two, ``beyond``
    other images' maps, and where both models are ``right``. (``gradcam``, ``area``) is the objects' share of the image.
    """
    before, after = LOOKED_INTO
    numbers: dict[tuple[str, str], Estimate | None] = {("gradcam", "area"): looked["gradcam"][before].mean("area")}
    for method, both in looked.items():
        for train in LOOKED_INTO:
            numbers |= {(method, train): both[train].mean(score)}
            numbers |= {(method, f"{train} above"): both[train].above_swapped(score)}
        numbers[method, "difference"] = both[after].minus(both[before], score)
        numbers[method, "beyond"] = both[after].minus(both[before], score, beyond_swapped=True)
        numbers[method, "right"] = both[after].minus(both[before], score, both_right=True)
    return numbers


def explained_network() -> Classifier:
    """EfficientNet-Lite0, which is looked into on photographs; untrained where its package is not installed."""
    model = showcase.network()
    if model is not None and isinstance(model.classifier, Classifier):
        return model.classifier
    import timm  # takes seconds to import

    groups = torch.from_numpy(imagenet_to_in9())
    return Classifier(timm.create_model(f"tf_{showcase.NETWORK}"), groups=groups).eval()
