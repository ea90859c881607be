"""Attacks: what adversarial records say, as numbers with intervals and tidy frames (paper, section 4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from in9.evaluation import estimates
from in9.evaluation.adversarial.search import ATTACK_RULES
from in9.evaluation.records import Record, from_digits
from in9.taxonomy import CLASS_NAMES, NUM_CLASSES


@dataclass(frozen=True)
class Attacks:
    """What one or several equal models (seeds) answered when every chosen background met every chosen foreground.

    ``labels`` int64 [F] and ``background_labels`` int64 [B] are classes, ``background_rows`` int64 [B] rows of the
    pool. ``right`` bool [models, F] says whether the whole image is named rightly. ``parts`` are nested parts of the
    backgrounds: their number, and who is vulnerable to them by each rule, bool [models, F]. ``fooled_by`` bool
    [models, 9, F] says whether some background of a class makes the model answer that class; ``hits`` int64 [models, B]
    how many foregrounds of other classes each background turns into its own; ``composites`` how many pairs the early
    exit needs, int64 [models].
    """

    labels: np.ndarray
    background_labels: np.ndarray
    background_rows: np.ndarray
    right: np.ndarray
    parts: list[tuple[int, dict[str, np.ndarray]]]
    fooled_by: np.ndarray
    hits: np.ndarray
    composites: np.ndarray

    @classmethod
    def of_records(cls, records: Sequence[Record]) -> Attacks:
        """From the adversarial records of equal models."""
        results = [record.results for record in records]
        first, growth = results[0], results[0]["growth"]
        labels = from_digits(first["foregrounds"]["labels"])

        def flags(place: int, rule: str) -> np.ndarray:
            return np.stack([from_digits(result["growth"][place][rule]) == 1 for result in results])

        return cls(
            labels,
            from_digits(first["backgrounds"]["labels"]),
            np.array(first["backgrounds"]["rows"]),
            np.stack([from_digits(result["foregrounds"]["original"]) == labels for result in results]),
            [
                (part["backgrounds"], {rule: flags(place, rule) for rule in ATTACK_RULES})
                for place, part in enumerate(growth)
            ],
            np.stack([[from_digits(text) == 1 for text in result["fooled_by_class"]] for result in results]),
            np.array([result["successes"] for result in results]),
            np.array([result["composites"] for result in results]),
        )

    @property
    def sizes(self) -> tuple[int, int, int]:
        """How many foregrounds and backgrounds there are, and how many pairs of them."""
        foregrounds, backgrounds = len(self.labels), len(self.background_labels)
        return foregrounds, backgrounds, foregrounds * backgrounds

    @property
    def search_share(self) -> float:
        """The share of all pairs that the early exit needs for challenge accuracy, in percent, mean over models."""
        return float(100 * self.composites.mean() / self.sizes[2])

    def vulnerable(self, rule: str = "targeted", part: int = -1) -> estimates.Estimate:
        """The share of vulnerable foregrounds, every class counting the same.

        ``rule`` is one of ``ATTACK_RULES``; ``part`` picks one of the nested parts of the backgrounds, by default all.
        """
        return estimates.accuracy(self.parts[part][1][rule], self.labels)

    def vulnerable_if_right(self) -> estimates.Estimate | None:
        """The share of vulnerable foregrounds (targeted rule) among those whose whole image is named rightly.

        Every answer of every model counts the same; None if no answer was right.
        """
        return estimates.rate(self.parts[-1][1]["targeted"][self.right]) if self.right.any() else None

    def challenge(self) -> estimates.Estimate:
        """Challenge accuracy: the share of foregrounds that are right on every background."""
        return estimates.accuracy(~self.parts[-1][1]["untargeted"], self.labels)

    def growth(self, rule: str = "targeted") -> pd.DataFrame:
        """Vulnerability against the number of backgrounds: backgrounds, value, low, high in percent."""
        rows = []
        for part, (backgrounds, _) in enumerate(self.parts):
            value, low, high = self.vulnerable(rule, part).in_percent()
            rows.append({"backgrounds": backgrounds, "value": value, "low": low, "high": high})
        return pd.DataFrame(rows)

    def fooled(self, label: int) -> estimates.Estimate:
        """The share of foregrounds of the other classes that some background of class ``label`` turns into it."""
        others = self.labels != label
        return estimates.accuracy(self.fooled_by[:, label][:, others], self.labels[others])

    def weakest(self) -> estimates.Estimate:
        """``fooled`` of the target class to which the fewest foregrounds fall."""
        return min((self.fooled(label) for label in range(NUM_CLASSES)), key=lambda estimate: estimate.value)

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
        hits = self.hits.mean(axis=0)
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
