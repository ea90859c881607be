"""Attacks: what adversarial records say, as numbers with intervals and tidy frames (paper, section 4).

Pixels and networks play no part here: everything is read from adversarial records.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from in9.evaluation import estimates
from in9.evaluation.records import Record, from_digits
from in9.taxonomy import CLASS_NAMES, NUM_CLASSES
from in9.training.recipe import IN9L

if TYPE_CHECKING:
    from in9.study.study import Study

ATTACKED = (IN9L, "original", "mixed_rand")
"""The training sets whose models are attacked; the paper attacks the one trained on IN-9L."""

RULES = ("targeted", "untargeted")


class Attacks:
    """What one or several equal models (seeds) answered when every chosen background met every chosen foreground."""

    def __init__(self, records: Sequence[Record]) -> None:
        self.results = [record.results for record in records]
        self.labels = from_digits(self.results[0]["foregrounds"]["labels"])
        self.background_labels = from_digits(self.results[0]["backgrounds"]["labels"])
        self.background_rows = np.array(self.results[0]["backgrounds"]["rows"])

    @property
    def sizes(self) -> tuple[int, int, int]:
        """How many foregrounds and backgrounds there are, and how many pairs of them."""
        foregrounds, backgrounds = len(self.labels), len(self.background_labels)
        return foregrounds, backgrounds, foregrounds * backgrounds

    @property
    def search_share(self) -> float:
        """The share of all pairs that the early exit needs for challenge accuracy, in percent, mean over models."""
        return float(100 * np.mean([one["composites"] for one in self.results]) / self.sizes[2])

    def vulnerable(self, rule: str = "targeted", part: int = -1) -> estimates.Estimate:
        """The share of vulnerable foregrounds, every class counting the same.

        ``rule`` is one of ``RULES``; ``part`` picks one of the nested parts of the backgrounds, by default all.
        """
        flags = np.stack([from_digits(one["growth"][part][rule]) == 1 for one in self.results])
        return estimates.accuracy(flags, self.labels)

    def vulnerable_if_right(self) -> estimates.Estimate | None:
        """The share of vulnerable foregrounds (targeted rule) among those whose whole image is named rightly.

        Every answer of every model counts the same; None if no answer was right.
        """
        flags = np.stack([from_digits(one["growth"][-1]["targeted"]) == 1 for one in self.results])
        right = np.stack([from_digits(one["foregrounds"]["original"]) == self.labels for one in self.results])
        return estimates.rate(flags[right]) if right.any() else None

    def challenge(self) -> estimates.Estimate:
        """Challenge accuracy: the share of foregrounds that are right on every background."""
        flags = np.stack([from_digits(one["growth"][-1]["untargeted"]) == 0 for one in self.results])
        return estimates.accuracy(flags, self.labels)

    def growth(self, rule: str = "targeted") -> pd.DataFrame:
        """Vulnerability against the number of backgrounds: backgrounds, value, low, high in percent."""
        rows = []
        for part, entry in enumerate(self.results[0]["growth"]):
            value, low, high = self.vulnerable(rule, part).in_percent()
            rows.append({"backgrounds": entry["backgrounds"], "value": value, "low": low, "high": high})
        return pd.DataFrame(rows)

    def fooled(self, label: int) -> estimates.Estimate:
        """The share of foregrounds of the other classes that some background of class ``label`` turns into it."""
        others = self.labels != label
        flags = np.stack([from_digits(one["fooled_by_class"][label]) == 1 for one in self.results])
        return estimates.accuracy(flags[:, others], self.labels[others])

    def weakest(self) -> estimates.Estimate:
        """``fooled`` of the target class to which the fewest foregrounds fall."""
        return min((self.fooled(label) for label in range(NUM_CLASSES)), key=lambda one: one.value)

    def by_class(self) -> pd.DataFrame:
        """The paper's table, one row for each target class: target, value, low, high in percent."""
        rows = []
        for label in sorted(set(self.background_labels.tolist())):
            value, low, high = self.fooled(label).in_percent()
            rows.append({"target": CLASS_NAMES[label], "value": value, "low": low, "high": high})
        return pd.DataFrame(rows)

    def success(self) -> pd.DataFrame:
        """Each background's attack success rate in percent, mean over models: target, row (in the pool), value.

        The best of each class come first; ``rank`` counts from 1 within the class, ties in the order of the rows.
        """
        hits = np.mean([one["successes"] for one in self.results], axis=0)
        others = len(self.labels) - np.bincount(self.labels, minlength=NUM_CLASSES)[self.background_labels]
        frame = pd.DataFrame(
            {"label": self.background_labels, "row": self.background_rows, "value": 100 * hits / np.maximum(others, 1)}
        )
        frame = frame.sort_values(["label", "value", "row"], ascending=[True, False, True], ignore_index=True)
        frame["rank"] = frame.groupby("label").cumcount() + 1
        frame.insert(0, "target", [CLASS_NAMES[label] for label in frame.pop("label")])
        return frame

    def best(self, number: int = 5) -> dict[str, pd.DataFrame]:
        """The most adversarial backgrounds of each class: class -> the first rows of ``success``, best first."""
        frame = self.success()
        return {str(target): part.head(number) for target, part in frame.groupby("target", sort=False)}


def attacked(study: Study) -> dict[str, Attacks]:
    """The attacks on the models trained on each of ``ATTACKED``, as many images as the profile says.

    Empty where a study that does not compute has no records of them.
    """
    wanted, sizes = study.recipes(ATTACKED), study.profile.adversarial
    if not study.available("adversarial", wanted, **sizes):
        return {}
    return by_training_set(study.measure("adversarial", wanted, **sizes))


def by_training_set(records: Sequence[Record]) -> dict[str, Attacks]:
    """The attacks on the models of each training set, all seeds together; empty without records."""
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(record.settings["recipe"]["train_on"], []).append(record)
    return {train_on: Attacks(members) for train_on, members in groups.items()}
