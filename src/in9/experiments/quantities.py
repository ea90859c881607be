"""What decides the claims: the paper's number for a quantity, and the same quantity in a study with its interval.

The functions here return functions or are such themselves: nothing is read before a claim is judged.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from in9.evaluation import estimates
from in9.evaluation.adversarial.attacks import Attacks
from in9.evaluation.estimates import Estimate
from in9.evaluation.predictions import Predictions, gain, gap_change
from in9.experiments import benchmark_progress, paper
from in9.experiments.adversarial_backgrounds import ADVERSARIAL
from in9.experiments.bg_gap import ARCHITECTURES
from in9.experiments.object_focus import SALIENCY
from in9.experiments.paper import Fact
from in9.experiments.why_pretrained import SMALLER, finer
from in9.study.study import NotMeasured, Study
from in9.taxonomy import CLASS_NAMES, NUM_CLASSES
from in9.training.recipe import IN9L

Cell = tuple[str, str]  # trained on, tested on
Printed = Callable[[], Fact]
Reading = Callable[[Study], Estimate]


class Untestable(NotMeasured):
    """The profile cannot test a claim, whatever is measured; the message says what that would take."""


# ---------------------------------------------------------------------------------------------- the paper's numbers


def fact(key: str) -> Printed:
    """A single number of the paper, with its note."""
    return lambda: paper.fact(key)


def row(table: str, query: str, column: str = "value", place: int = 0) -> Printed:
    """One of the rows of a table of the paper that fit a query: the lowest, or the highest with ``place=-1``."""

    def printed() -> Fact:
        line = paper.table(table).query(query).sort_values(column, kind="stable").iloc[place]
        return Fact(float(line[column]), "percent", line["where"], line["trust"], line["note"])

    return printed


def less(first: Printed, second: Printed) -> Printed:
    """One number of the paper less another of the same place."""
    return lambda: replace(first(), value=round(first().value - second().value, 2), note="")


def table5(cell: Cell, minus: Cell | None = None) -> Printed:
    """One accuracy of table 5, or one less another."""
    number = row("train_test_matrix", f"train == '{cell[0]}' and test == '{cell[1]}'", "accuracy")
    return less(number, table5(minus)) if minus else number


def words(place: str, note: str = "no number") -> Printed:
    """What the paper says or draws without a number that can be read."""
    return lambda: Fact(math.nan, "none", place, "high", note)


# --------------------------------------------------------------------------------------------------- our quantities


def accuracies(cell: Cell, minus: Cell | None = None) -> Reading:
    """One accuracy, or one less another on the same objects, with a paired interval."""

    def reading(study: Study) -> Estimate:
        models = study.answers(cell[0])
        if minus is None:
            return models.accuracy(cell[1])
        return gain(models, study.answers(minus[0]), cell[1], minus[1])

    return reading


def more_images(cell: Cell, minus: Cell) -> Reading:
    """As ``accuracies``, for trainings on IN-9L that stand for more images: Untestable if it has no more."""

    def reading(study: Study) -> Estimate:
        large, small = (study.answers(name).models[0].training["images"] for name in (IN9L, "original"))
        if large <= small:
            raise Untestable("IN-9L has no more images than IN-9")
        return accuracies(cell, minus)(study)

    return reading


def needs(text: str) -> Reading:
    """What no profile can measure; ``text`` says what that would take."""

    def reading(study: Study) -> Estimate:
        raise Untestable(text)

    return reading


def spread(study: Study) -> Estimate:
    """Best less worst accuracy of Mixed-Rand training over the five test sets of IN-9 that have the foreground."""
    models = study.answers("mixed_rand")
    tests = ("original", "only_fg", "mixed_same", "mixed_rand", "mixed_next")
    by_accuracy = sorted(tests, key=lambda test: models.accuracy(test).value)
    return models.difference(by_accuracy[-1], by_accuracy[0])


def attacks(study: Study) -> Attacks:
    """The adversarial backgrounds against the models trained on IN-9L."""
    return ADVERSARIAL.read(study)[IN9L]


def best_background(study: Study) -> Estimate:
    """The highest attack success rate of a single background."""
    attack = attacks(study)
    best = attack.success().sort_values("value").iloc[-1]
    others = int((attack.labels != CLASS_NAMES.index(best["target"])).sum())
    return estimates.wilson(best["value"] / 100 * others, others)


def smallest_gap(study: Study) -> Estimate:
    """The smallest BG-Gap among the networks of different architecture that were trained on IN-9L."""
    networks = ARCHITECTURES.read(study)
    gaps = []
    for name in ARCHITECTURES.groups(study.profile):
        if networks[name].accuracy("original").low <= 1 / NUM_CLASSES:
            raise Untestable(f"{name} learned nothing: it is no better than chance")
        gaps.append(networks[name].gap())
    return min(gaps, key=lambda gap: gap.value)


def rise(test: str, minus: str | None = None) -> Reading:
    """Points on a test set per point of ImageNet accuracy, over networks; or those on one less those on another.

    Untestable with too few networks.
    """

    def reading(study: Study) -> Estimate:
        frame = benchmark_progress.measured(benchmark_progress.scores(study))
        frame = benchmark_progress.difference(frame, test, minus) if minus else frame[frame["test"] == test]
        for slope in benchmark_progress.slopes(frame).values():
            return slope
        raise Untestable("score three networks trained on all of ImageNet with `in9 evaluate`")

    return reading


def focus_change(study: Study) -> Estimate:
    """The share of Grad-CAM's mass on the foreground after training on Mixed-Rand, less that after Original."""
    focus = SALIENCY.read(study)
    before, after = (focus[train]["gradcam"] for train in ("original", "mixed_rand"))
    change = after.minus(before)
    assert change is not None  # every image counts
    return change


def finer_narrows(study: Study) -> Estimate:
    """The BG-Gap after training on the nine classes less that after training on the finest ones."""
    return gap_change(*_ends(finer(study)))


def more_raises(study: Study) -> Estimate:
    """Accuracy on Original after training on most images less that after training on fewest."""
    few, many = _ends(SMALLER.read(study))
    return gain(many, few, "original")


def more_changes_gap(study: Study) -> Estimate:
    """The BG-Gap after training on most images less that after training on fewest."""
    few, many = _ends(SMALLER.read(study))
    return gap_change(many, few)


def _ends(levels: Mapping[Any, Predictions]) -> tuple[Predictions, Predictions]:
    """The models of the lowest and of the highest level. Raises NotMeasured if there are not two."""
    if len(levels) < 2:
        raise NotMeasured("Fewer than two levels of this experiment were measured.")
    return levels[min(levels)], levels[max(levels)]
