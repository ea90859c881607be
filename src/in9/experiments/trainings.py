"""Experiments beside the matrix: other ways to train, finer classes, less data (section 4 and appendix B).

Plain functions on a study. A study that does not compute gives what it has records of, and nothing for the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from in9.errors import unknown
from in9.evaluation import estimates
from in9.evaluation.estimates import Estimate
from in9.experiments import paper
from in9.study.study import EVALUATION, TEST_SEED, Answers, Study
from in9.taxonomy import NUM_CLASSES
from in9.training.recipe import IN9L, Recipe

TRAININGS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "original": {"train_on": "original"},
        "in9l": {"train_on": IN9L},
        "mixed_same": {"train_on": "mixed_same"},
        "mixed_next": {"train_on": "mixed_next"},
        "mixed_rand": {"train_on": "mixed_rand"},
        "mixed_rand_once": {"train_on": "mixed_rand", "fresh_backgrounds": False},
        "half": {"train_on": "original+mixed_rand"},
        "head": {"train_on": "original", "head_on": "mixed_rand"},
    }
)
"""Ways to train, as changes of the profile's recipe; ``in9.plots.curves.TRAININGS`` has their names and colours."""

SLOWER: Mapping[str, float] = MappingProxyType({"alexnet": 0.1, "vgg16_bn": 0.1})
"""Parts of the learning rate for networks without batch normalisation in their last layers: at the whole of it AlexNet
diverges, VGG-16 learns nothing."""


# ------------------------------------------------------------------------------------------------ ways to train


def trained(study: Study, names: Sequence[str], seeds: Sequence[int] | None = None) -> dict[str, Answers]:
    """The answers of models trained in some of the ways of ``TRAININGS``: name -> answers.

    ``seeds`` are the profile's unless given. Raises In9Error for a way that does not exist.
    """
    for name in names:
        if name not in TRAININGS:
            raise unknown("way to train", name, TRAININGS)
    chosen = study.profile.seeds if seeds is None else seeds
    recipes = known(study, {name: [study.recipe(seed=one, **TRAININGS[name]) for one in chosen] for name in names})
    every = [recipe for some in recipes.values() for recipe in some]
    # Last layers come last: they start from the weights that the others leave on disk.
    for retrained in (False, True):
        study.evaluations(recipe for recipe in every if (recipe.head_on is not None) == retrained)
    return {name: Answers(study.evaluations(some)) for name, some in recipes.items()}


def mixed_trainings(study: Study) -> dict[str, Answers]:
    """Training on Original and on each mixed variant (table 5), Mixed-Rand also drawn once: name -> answers."""
    return trained(study, ("original", "mixed_same", "mixed_next", "mixed_rand", "mixed_rand_once"))


def remedies(study: Study) -> dict[str, Answers]:
    """What may lower the BG-Gap, beside training on Original, with the profile's ``remedy_seeds``: name -> answers."""
    seeds = study.profile.remedy_seeds or study.profile.seeds
    return trained(study, ("original", "mixed_rand", "half", "head"), seeds)


def by_test(models: Mapping[str, Answers], tests: Sequence[str]) -> pd.DataFrame:
    """Accuracy of each model on each test set in percent: training, test, accuracy, low, high."""
    cells = [(name, test, *models[name].accuracy(test).in_percent()) for name in models for test in tests]
    return pd.DataFrame(cells, columns=["training", "test", "accuracy", "low", "high"])


def tradeoff(models: Mapping[str, Answers]) -> pd.DataFrame:
    """Accuracy on Original in percent and BG-Gap in points of each model, both with their intervals.

    Columns: training, accuracy, accuracy_low, accuracy_high, gap, gap_low, gap_high.
    """
    rows = [(name, *one.accuracy("original").in_percent(), *one.gap().in_percent()) for name, one in models.items()]
    columns = ["accuracy", "accuracy_low", "accuracy_high", "gap", "gap_low", "gap_high"]
    return pd.DataFrame(rows, columns=["training", *columns])


def published_tradeoff() -> pd.DataFrame:
    """The same for table 5 of the paper, which has no intervals; its Mixed-Rand set was drawn once."""
    matrix, nothing = paper.train_test_matrix(), float("nan")
    rows = []
    for name in ("original", "mixed_same", "mixed_next", "mixed_rand_once"):
        line = matrix.loc[TRAININGS[name]["train_on"]]
        gap = line["mixed_same"] - line["mixed_rand"]
        rows.append((name, line["original"], nothing, nothing, gap, nothing, nothing))
    return pd.DataFrame(rows, columns=list(tradeoff({}).columns))


def gain(models: Mapping[str, Answers], name: str, test: str, over: str = "original") -> Estimate:
    """Accuracy on a test set after training in one way minus that after training in another, paired by image.

    Where one has more seeds than the other, those that both have are compared.
    """
    one, other = with_same_seeds(models[name], models[over])
    return estimates.paired_difference(one.correct(test), other.correct(test), one.labels(test))


def gap_change(one: Answers, other: Answers) -> Estimate:
    """The BG-Gap of one model minus that of another, paired by image; of the seeds that both have."""
    one, other = with_same_seeds(one, other)
    first, second = (
        model.correct("mixed_same").astype(float) - model.correct("mixed_rand").astype(float) for model in (one, other)
    )
    return estimates.paired_mean_difference(first, second, one.labels("mixed_same"))


def with_same_seeds(one: Answers, other: Answers) -> tuple[Answers, Answers]:
    """The answers of the models of those seeds that both have. Raises ValueError if there are none."""
    common = sorted(set(one.seeds) & set(other.seeds))
    if not common:
        raise ValueError(f"the models have no seed in common: {one.seeds} and {other.seeds}")
    return one.of_seeds(common), other.of_seeds(common)


def seconds(answers: Answers, part: str = "seconds") -> float | None:
    """How long training one model took, the mean over seeds; ``head_seconds`` is retraining its last layer alone."""
    times = [record.results["training"].get(part) for record in answers.records]
    return None if None in times else float(np.mean(times))


# ------------------------------------------------------------------------------------ finer classes and less data


def finer(study: Study) -> dict[float, Answers]:
    """Models trained on finer classes and tested on the nine (appendix B): number of training classes -> answers."""
    found = _levels(study, {level: {"fine": level} for level in study.profile.fine_levels})
    return {
        NUM_CLASSES if level == 1 else one.records[0].results["training"]["classes"]: one
        for level, one in found.items()
    }


def smaller(study: Study) -> dict[float, Answers]:
    """Models trained on a share of the images (appendix B): share -> answers.

    All get about the same number of steps: half of the images are seen for twice as many epochs.
    """
    epochs = level_recipe(study).epochs
    levels = {share: {"fraction": share, "epochs": round(epochs / share)} for share in study.profile.fractions}
    return _levels(study, levels)


def architectures(study: Study) -> dict[str, Answers]:
    """Networks trained on IN-9L (table 2): the profile's own, with its first seed, and its further ones.

    Returns name -> answers. The further ones get ``architecture_recipe``. Those that a study which does not compute
    has no record of are left out.
    """
    profile = study.profile
    recipes = {profile.recipe.architecture: study.recipe(IN9L)}
    for name in profile.architectures:
        recipe = study.recipe(IN9L, architecture=name, **profile.architecture_recipe)
        recipes[name] = replace(recipe, learning_rate=recipe.learning_rate * SLOWER.get(name, 1.0))
    return answered(study, {name: [recipe] for name, recipe in recipes.items()})


def level_frame(levels: Mapping[float, Answers]) -> pd.DataFrame:
    """Accuracy on Original and BG-Gap at each level, in percent and points: level, quantity, value, low, high."""
    rows = [
        (level, quantity, *estimate.in_percent())
        for level, one in levels.items()
        for quantity, estimate in (("original", one.accuracy("original")), ("gap", one.gap()))
    ]
    return pd.DataFrame(rows, columns=["level", "quantity", "value", "low", "high"])


def level_recipe(study: Study, seed: int | None = None, **changes: Any) -> Recipe:
    """The recipe with which finer classes, less data and less detail are tried, on Original, with further changes."""
    return study.recipe("original", seed, **{**study.profile.level_recipe, **changes})


def _levels(study: Study, levels: Mapping[float, Mapping[str, Any]]) -> dict[float, Answers]:
    seeds = study.profile.level_seeds or study.profile.seeds
    return answered(
        study, {level: [level_recipe(study, seed, **changes) for seed in seeds] for level, changes in levels.items()}
    )


def answered(study: Study, recipes: Mapping[Any, Sequence[Recipe]]) -> dict[Any, Answers]:
    """The answers of the models of some recipes, several of each name: name -> answers.

    A study that does not compute leaves out those that it has no evaluation of, and names without any.
    """
    some = known(study, recipes)
    study.evaluations(recipe for group in some.values() for recipe in group)  # side by side
    return {name: Answers(study.evaluations(group)) for name, group in some.items()}


def known(study: Study, recipes: Mapping[Any, Sequence[Recipe]]) -> dict[Any, list[Recipe]]:
    """Of the recipes of each name those that the study has evaluations of, or would compute; no name without any."""
    found = {name: [one for one in some if evaluated(study, [one])] for name, some in recipes.items()}
    return {name: some for name, some in found.items() if some}


def evaluated(study: Study, recipes: Iterable[Recipe]) -> bool:
    """Whether the study has the evaluations of these recipes, or would compute them."""
    return study.available(EVALUATION, recipes, test_seed=TEST_SEED)
