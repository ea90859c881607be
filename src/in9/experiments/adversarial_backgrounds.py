"""Attacks with adversarial backgrounds on models trained on three sets (paper, section 4)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd

from in9.data.photographs import Illustrations
from in9.data.variants import load_pool
from in9.evaluation.adversarial.attacks import Attacks
from in9.evaluation.adversarial.search import ATTACK_RULES
from in9.evaluation.estimates import Estimate
from in9.evaluation.records import Store
from in9.experiments.experiment import Experiment
from in9.scoring import showcase
from in9.study.jobs import jobs_of
from in9.study.study import NotMeasured, Study
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


def summary(
    study: Study, attacks: Mapping[str, Attacks], backgrounds: int
) -> dict[tuple[str, str], Estimate | float | None]:
    """What there is to know of the models trained on each set: (training set, measure) -> number.

    ``targeted`` and ``untargeted`` vulnerability, ``extrapolated`` to so many backgrounds (in percent), of objects that
    are ``right`` on Original; ``challenge`` accuracy, and ``accuracy`` on Original.
    """
    numbers: dict[tuple[str, str], Estimate | float | None] = {}
    for train, attack in attacks.items():
        numbers |= {(train, rule): attack.vulnerable(rule) for rule in ATTACK_RULES}
        numbers[train, "extrapolated"] = attack.extrapolated(backgrounds)
        numbers[train, "right"] = attack.vulnerable_if_right()
        numbers[train, "challenge"] = attack.challenge()
        numbers[train, "accuracy"] = study.answers(train).accuracy("original")
    return numbers


def answered_pairs(study: Study, illustrations: Illustrations) -> showcase.AnsweredPairs:
    """What EfficientNet-Lite0 answers to each photograph's object on each background.

    Where the photographs are not here, the project's record of them is read. Raises NotMeasured if there is none.
    """
    workspace = study.workspace
    pairs = showcase.fooled_pairs(illustrations, workspace.committed, workspace.measured)
    if pairs is not None:
        return pairs
    records = Store(workspace.committed).all(showcase.KIND)
    if not records:
        raise NotMeasured("There is no record of what was answered to the photographs; `in9 fetch photographs`.")
    return showcase.AnsweredPairs.of_record(records[0], replace(illustrations, drawn=False))


def on_backgrounds(illustrations: Illustrations, worst: pd.DataFrame, number: int) -> dict[int, list[np.ndarray]]:
    """Each background in rows of ``AnsweredPairs.strongest``, then the first objects on it: row -> uint8 [S, S, 3].

    White images take the place of objects that are missing.
    """
    pictures = {}
    for background, objects in zip(worst["background"], worst["objects"], strict=True):
        alone, rows = illustrations.variant("only_bg_t", [background]), objects[:number]
        mixed = illustrations.variant("mixed_rand", rows, [background] * len(rows))
        white = [np.full_like(illustrations.images[0], 255)] * (number - len(rows))
        pictures[int(background)] = [*alone, *mixed, *white]
    return pictures


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
