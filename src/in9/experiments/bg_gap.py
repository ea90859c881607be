"""The BG-Gap of further architectures, all trained on IN-9L (paper, section 4, table 2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np

from in9.data.photographs import Illustrations
from in9.experiments.experiment import Experiment
from in9.scoring.showcase import fooled_pairs
from in9.study.jobs import Job, evaluations
from in9.study.profile import Profile
from in9.study.study import Study
from in9.taxonomy import CLASS_NAMES
from in9.training.recipe import IN9L

SLOWER: Mapping[str, float] = MappingProxyType({"alexnet": 0.1, "vgg16_bn": 0.1})
"""Parts of the learning rate for networks without batch normalisation in their last layers: at the whole of it AlexNet
diverges, VGG-16 learns nothing."""


def _architectures(profile: Profile) -> dict[str, list[Job]]:
    """The profile's own network, with its first seed, and its further ones with ``architecture_recipe``."""
    profile = profile.of_many_trainings
    recipes = {profile.recipe.architecture: profile.recipe_on(IN9L)}
    for name in profile.architectures:
        recipe = profile.recipe_on(IN9L, architecture=name, **profile.architecture_recipe)
        recipes[name] = recipe.changed(learning_rate=recipe.learning_rate * SLOWER.get(name, 1.0))
    return {name: evaluations(profile, [recipe]) for name, recipe in recipes.items()}


def _equal_steps(profile: Profile) -> dict[str, list[Job]]:
    epochs = profile.in9l_epochs
    return {IN9L: evaluations(profile, profile.recipes_on([IN9L], epochs=epochs))} if epochs else {}


EQUAL_STEPS = Experiment("equal_steps", ("03",), _equal_steps)
"""IN-9L for fewer epochs, so that it takes as many steps as Original: more images without more training."""

ARCHITECTURES = Experiment("architectures", ("03",), _architectures)


def on_backgrounds(
    study: Study, shown: Illustrations, trios: Sequence[Sequence[int]]
) -> tuple[list[list[np.ndarray]], list[list[str]]]:
    """Objects as they were photographed and on two backgrounds each, and what EfficientNet-Lite0 answers to them.

    ``trios`` are rows of the illustrations: an object and two backgrounds. The pictures are uint8 [S, S, 3]; an answer
    is the name of a class, or nothing where the network has not been asked.
    """
    pairs = fooled_pairs(shown, study.workspace.committed, study.workspace.measured)
    images, answers = [], []
    for item, *backgrounds in trios:
        images.append([shown.images[item], *shown.variant("mixed_rand", [item] * len(backgrounds), backgrounds)])
        labels = [] if pairs is None else [pairs.alone[item], *(pairs.classes[item, row] for row in backgrounds)]
        answers.append([CLASS_NAMES[label] for label in labels] or [""] * len(images[-1]))
    return images, answers


def how_tested(study: Study) -> str:
    """How many images are tested, by which networks, and how often backgrounds are drawn: sentences for a reader."""
    models = study.answers("original")
    images, networks = len(models.labels["original"]), len(models.models)
    draws = models.classes["mixed_rand"].shape[1]
    if models.folds is not None:
        tested = (
            f"{images:,} images are tested. They are dealt into {networks} folds, and the network that is tested on a "
            "fold was trained on the other folds."
        )
    elif networks == 1:
        tested = f"{images:,} images are tested, by a single network for each training set."
    else:
        tested = f"{images:,} images are tested, by {networks} networks for each training set."
    times = "once" if draws == 1 else f"{draws} times, and a number is the mean over these draws"
    return f"{tested} The backgrounds of the mixed test sets are drawn {times}."
