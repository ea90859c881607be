"""What decides the claims: the paper's number for a quantity, and the same quantity in a study with its interval.

The functions here return functions or are such themselves: nothing is read before a claim is judged.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from in9.evaluation import estimates
from in9.evaluation.adversarial.attacks import Attacks
from in9.evaluation.estimates import Estimate
from in9.evaluation.predictions import Predictions, gain, gap_change, gap_change_between
from in9.experiments import benchmark_progress, network_lines, paper
from in9.experiments.adversarial_backgrounds import ADVERSARIAL
from in9.experiments.bg_gap import ARCHITECTURES
from in9.experiments.mixed_rand_training import WAYS, answers
from in9.experiments.object_focus import SALIENCY
from in9.experiments.paper import Fact
from in9.experiments.why_pretrained import ROBUST, SMALLER, beside_enlarged, finer
from in9.study.study import NotMeasured, Study
from in9.taxonomy import CLASS_NAMES, NUM_CLASSES
from in9.training.recipe import IN9L

Cell = tuple[str, str]  # a way to train (see ``mixed_rand_training.WAYS``), tested on
Printed = Callable[[], Fact]


@dataclass(frozen=True)
class Reading:
    """Our quantity: ``read`` takes it from a study; ``protocol`` is as for a number of the paper, "" for no matter."""

    read: Callable[[Study], Estimate]
    protocol: str = ""


class Untestable(NotMeasured):
    """The profile cannot test a claim, whatever is measured; the message says what that would take."""


# ---------------------------------------------------------------------------------------------- the paper's numbers


def fact(key: str) -> Printed:
    """A single number of the paper, with its note."""
    return lambda: paper.fact(key)


def row(table: str, query: str, column: str = "value", place: int = 0, protocol: str = "") -> Printed:
    """One of the rows of a table of the paper that fit a query: the lowest, or the highest with ``place=-1``."""

    def printed() -> Fact:
        line = paper.table(table).query(query).sort_values(column, kind="stable").iloc[place]
        return Fact(float(line[column]), "percent", line["where"], line["trust"], line["note"], protocol)

    return printed


def less(first: Printed, second: Printed) -> Printed:
    """One number of the paper less another of the same place."""
    return lambda: replace(first(), value=round(first().value - second().value, 2), note="")


def table5(cell: Cell, minus: Cell | None = None) -> Printed:
    """One accuracy of table 5, or one less another."""
    cells = [cell, minus] if minus else [cell]
    drawn = paper.protocol({WAYS[way]["train_on"]: "once" for way, _ in cells})
    query = f"train == '{WAYS[cell[0]]['train_on']}' and test == '{cell[1]}'"
    number = row("train_test_matrix", query, "accuracy", protocol=drawn)
    return less(number, table5(minus)) if minus else number


def words(place: str, note: str = "no number") -> Printed:
    """What the paper says or draws without a number that can be read."""
    return lambda: Fact(math.nan, "none", place, "high", note)


# --------------------------------------------------------------------------------------------------- our quantities


def accuracies(cell: Cell, minus: Cell | None = None) -> Reading:
    """One accuracy, or one less another on the same objects, with a paired interval."""

    def read(study: Study) -> Estimate:
        models = answers(study, cell[0])
        if minus is None:
            return models.accuracy(cell[1])
        return gain(models, answers(study, minus[0]), cell[1], minus[1])

    return Reading(read, protocol(cell[0], *([minus[0]] if minus else [])))


def protocol(*ways: str) -> str:
    """How often the backgrounds of the mixed training sets among some ways to train were drawn, in words."""
    fresh = {WAYS[way]["train_on"]: WAYS[way].get("fresh_backgrounds", True) for way in ways}
    return paper.protocol({name: "anew" if anew else "once" for name, anew in fresh.items()})


def more_images(cell: Cell, minus: Cell) -> Reading:
    """As ``accuracies``, for trainings on IN-9L that stand for more images: Untestable if it has no more."""

    def read(study: Study) -> Estimate:
        large, small = (study.answers(name).models[0].training["images"] for name in (IN9L, "original"))
        if large <= small:
            raise Untestable("IN-9L has no more images than IN-9")
        return accuracies(cell, minus).read(study)

    return Reading(read)


def spread(study: Study) -> Estimate:
    """Best less worst accuracy of Mixed-Rand training over the five test sets of IN-9 that have the foreground."""
    models = answers(study, "mixed_rand_once")
    tests = ("original", "only_fg", "mixed_same", "mixed_rand", "mixed_next")
    by_accuracy = sorted(tests, key=lambda test: models.accuracy(test).value)
    return models.difference(by_accuracy[-1], by_accuracy[0])


def attacks(study: Study) -> Attacks:
    """The adversarial backgrounds against the models trained on IN-9L."""
    return ADVERSARIAL.read(study)[IN9L]


def attacked_with(study: Study) -> str:
    """How many backgrounds each object met, and what the growth curve says of the paper's number of them."""
    attack, wanted = attacks(study), int(paper.fact("backgrounds").value)
    return (
        f"with {attack.sizes[1]:,} backgrounds for each object; "
        f"the growth curve, extended to the paper's {wanted:,}, gives {attack.extrapolated(wanted):.1f}"
    )


def drawn_anew(study: Study) -> str:
    """How the Mixed-Rand training set behind a quantity was drawn, where the paper drew it once."""
    return "Mixed-Rand drawn anew in each epoch"


def first_edition(study: Study) -> str:
    """That our record of what takes many trainings is not of the folds; empty for a study without such a record."""
    return "first edition, one split" if study.recorded and study.profile.many_trainings else ""


def fewer_vulnerable(study: Study) -> Estimate:
    """Vulnerable objects after training on Original less those after training on Mixed-Rand."""
    attack = ADVERSARIAL.read(study)
    return attack["original"].minus(attack["mixed_rand"])


def best_background(study: Study) -> Estimate:
    """The highest attack success rate of a single background, less the mean over the backgrounds of its class."""
    attack = attacks(study)
    rates = attack.success()
    best = rates.sort_values("value").iloc[-1]
    mean = rates.loc[rates["target"] == best["target"], "value"].mean() / 100
    met = attack.labels != CLASS_NAMES.index(best["target"])
    if attack.folds is not None:
        met &= attack.folds == best["fold"]
    rate = estimates.wilson(best["value"] / 100 * int(met.sum()), int(met.sum()))
    return Estimate(rate.value - mean, rate.low - mean, rate.high - mean)


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

    def read(study: Study) -> Estimate:
        scored = benchmark_progress.scores(study)
        frame = benchmark_progress.measured(scored)
        frame = benchmark_progress.difference(frame, test, minus) if minus else frame[frame["test"] == test]
        for slope in network_lines.slopes(frame, scored).values():
            return slope
        raise Untestable("score three networks trained on all of ImageNet with `in9 evaluate`")

    return Reading(read)


def focus_change(study: Study) -> Estimate:
    """The share of Grad-CAM's mass on the foreground after training on Mixed-Rand, less that after Original.

    Of each is taken what the other images' maps score on the same mask: what maps gain by being more central in
    general does not count.
    """
    focus = SALIENCY.read(study)
    before, after = (focus[train]["gradcam"] for train in ("original", "mixed_rand"))
    change = after.minus(before, beyond_swapped=True)
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


def robust_narrows(norm: str) -> Reading:
    """The BG-Gap after plain training less that after adversarially robust training by a norm."""

    def read(study: Study) -> Estimate:
        if norm not in study.profile.perturbations:
            raise Untestable("needs adversarially trained networks: name a perturbation in the profile")
        models = ROBUST.read(study)
        return gap_change(models["none"], models[norm])

    return Reading(read)


def imagenet_narrows(study: Study) -> Estimate:
    """The BG-Gap after training on IN-9L less that of a ResNet-50 trained on all of ImageNet, on the same images.

    The strict rule. Untestable without a score of the test images of the first fold.
    """
    for score in benchmark_progress.enlarged(study):
        if "resnet50" in score.name:
            return gap_change_between(beside_enlarged(study), score.predictions())
    images = "the first fold of the test images" if study.profile.split.folds else "test images of a profile with folds"
    raise Untestable(f"needs a ResNet-50 trained on all of ImageNet, scored on {images}")


def _ends(levels: Mapping[Any, Predictions]) -> tuple[Predictions, Predictions]:
    """The models of the lowest and of the highest level. Raises NotMeasured if there are not two."""
    if len(levels) < 2:
        raise NotMeasured("Fewer than two levels of this experiment were measured.")
    return levels[min(levels)], levels[max(levels)]
