"""Attacks: what adversarial records say, as numbers with intervals and tidy frames (paper, section 4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from in9.evaluation import estimates
from in9.evaluation.adversarial.search import ATTACK_RULES
from in9.evaluation.records import Record, folds_of, from_digits
from in9.taxonomy import CLASS_NAMES, NUM_CLASSES


@dataclass(frozen=True)
class Attacks:
    """What one or several equal models answered when every chosen background met every chosen foreground.

    ``labels`` int64 [F] and ``background_labels`` int64 [B] are classes, ``background_rows`` int64 [B] rows of the
    pool. ``right`` bool [models, F] says whether the whole image is named rightly. ``parts`` are nested parts of the
    backgrounds: their number, and who is vulnerable to them by each rule, bool [models, F]. ``fooled_by`` bool
    [models, 9, F] says whether some background of a class makes the model answer that class; ``hits`` float64 [B] the
    share of the foregrounds of other classes that each background turns into its own, mean over models; ``composites``
    the mean number of pairs that the early exit needs.

    With folds, each model was attacked with the images of its own fold: ``folds`` int64 [F] and ``background_folds``
    int64 [B] name it, and models is 1. Otherwise models are seeds, and both are None.
    """

    labels: np.ndarray
    background_labels: np.ndarray
    background_rows: np.ndarray
    right: np.ndarray
    parts: list[tuple[int, dict[str, np.ndarray]]]
    fooled_by: np.ndarray
    hits: np.ndarray
    composites: float
    folds: np.ndarray | None = None
    background_folds: np.ndarray | None = None

    @classmethod
    def of_records(cls, records: Sequence[Record]) -> Attacks:
        """From the adversarial records of equal models."""
        single, folds = [cls._of_record(record) for record in records], folds_of(records)
        first, folded = single[0], folds is not None

        def joined(arrays: Sequence[np.ndarray]) -> np.ndarray:
            return np.concatenate(arrays, axis=-1 if folded else 0)

        parts = [
            (
                round(np.mean([each.parts[place][0] for each in single])),
                {rule: joined([each.parts[place][1][rule] for each in single]) for rule in ATTACK_RULES},
            )
            for place in range(len(first.parts))
        ]
        of_backgrounds = {
            name: np.concatenate([getattr(each, name) for each in single]) if folded else getattr(first, name)
            for name in ("background_labels", "background_rows")
        }
        hits = [each.hits for each in single]
        return cls(
            labels=np.concatenate([each.labels for each in single]) if folded else first.labels,
            **of_backgrounds,
            right=joined([each.right for each in single]),
            parts=parts,
            fooled_by=joined([each.fooled_by for each in single]),
            hits=np.concatenate(hits) if folded else np.mean(hits, axis=0),
            composites=float(np.mean([each.composites for each in single])),
            folds=None if folds is None else np.repeat(folds, [len(each.labels) for each in single]),
            background_folds=None if folds is None else np.repeat(folds, [len(each.hits) for each in single]),
        )

    @classmethod
    def _of_record(cls, record: Record) -> Attacks:
        """The attacks on one model."""
        results = record.results
        labels, goals = (from_digits(results[kind]["labels"]) for kind in ("foregrounds", "backgrounds"))
        others = len(labels) - np.bincount(labels, minlength=NUM_CLASSES)[goals]
        return cls(
            labels=labels,
            background_labels=goals,
            background_rows=np.array(results["backgrounds"]["rows"]),
            right=(from_digits(results["foregrounds"]["original"]) == labels)[None],
            parts=[
                (part["backgrounds"], {rule: from_digits(part[rule])[None] == 1 for rule in ATTACK_RULES})
                for part in results["growth"]
            ],
            fooled_by=np.stack([from_digits(text) == 1 for text in results["fooled_by_class"]])[None],
            hits=np.array(results["successes"]) / np.maximum(others, 1),
            composites=float(results["composites"]),
        )

    @property
    def sizes(self) -> tuple[int, int, int]:
        """How many foregrounds and backgrounds a model met, on average, and how many pairs of them."""
        folds = 1 if self.folds is None else len(np.unique(self.folds))
        foregrounds, backgrounds = round(len(self.labels) / folds), round(len(self.background_labels) / folds)
        return foregrounds, backgrounds, foregrounds * backgrounds

    @property
    def search_share(self) -> float:
        """The share of all pairs that the early exit needs for challenge accuracy, in percent, mean over models."""
        pairs = self.sizes[2]
        if self.folds is not None and self.background_folds is not None:
            foregrounds, backgrounds = map(np.bincount, (self.folds, self.background_folds))
            pairs = np.mean((foregrounds * backgrounds)[foregrounds > 0])
        return float(100 * self.composites / pairs)

    def vulnerable(self, rule: str = "targeted", part: int = -1) -> estimates.Estimate:
        """The share of vulnerable foregrounds, every class counting the same.

        ``rule`` is one of ``ATTACK_RULES``; ``part`` picks one of the nested parts of the backgrounds, by default all.
        """
        return self._share(self.parts[part][1][rule])

    def _share(self, flags: np.ndarray, kept: ArrayLike | None = None) -> estimates.Estimate:
        """The class-balanced share of foregrounds with a flag, bool [models, F]; of those that are kept, bool [F]."""
        return estimates.share(flags[:, None], self.labels, self.folds, kept=kept)

    def vulnerable_if_right(self) -> estimates.Estimate | None:
        """The share of vulnerable foregrounds (targeted rule) among those whose whole image is named rightly.

        By every model, where models are seeds; every class counts the same. None if no answer was right.
        """
        kept = np.asarray(self.right.all(axis=0))
        return self._share(self.parts[-1][1]["targeted"], kept) if kept.any() else None

    def minus(self, other: Attacks, rule: str = "targeted") -> estimates.Estimate:
        """The share of vulnerable foregrounds less the other models', on the same foregrounds and backgrounds."""
        folds = [[] if each.folds is None else each.folds.tolist() for each in (self, other)]
        if not np.array_equal(self.labels, other.labels) or folds[0] != folds[1]:
            raise ValueError("the two records are of different foregrounds")
        flags = [each.parts[-1][1][rule][:, None].astype(float) for each in (self, other)]
        return estimates.balanced_mean([estimates.Term(flags[0] - flags[1])], self.labels, self.folds)

    def extrapolated(self, backgrounds: int) -> float:
        """The vulnerable share (targeted rule) in percent with so many backgrounds, as the growth curve goes on.

        Its logit is taken to rise in a straight line with the logarithm of the number of backgrounds. The last value
        where the curve has fewer than two different points.
        """
        points = self.growth()
        if points["backgrounds"].nunique() < 2:
            return float(points["value"].iloc[-1])
        share = np.clip(points["value"].to_numpy() / 100, 0.001, 0.999)
        slope, start = np.polyfit(np.log(points["backgrounds"]), np.log(share / (1 - share)), 1)
        return float(100 / (1 + np.exp(-(start + slope * np.log(backgrounds)))))

    def challenge(self) -> estimates.Estimate:
        """Challenge accuracy: the share of foregrounds that are right on every background."""
        return self._share(~self.parts[-1][1]["untargeted"])

    def growth(self, rule: str = "targeted") -> pd.DataFrame:
        """Vulnerability against the number of backgrounds: backgrounds, value, low, high in percent."""
        return pd.DataFrame(
            {"backgrounds": backgrounds, **self.vulnerable(rule, part).in_percent()._asdict()}
            for part, (backgrounds, _) in enumerate(self.parts)
        )

    def fooled(self, label: int) -> estimates.Estimate:
        """The share of foregrounds of the other classes that some background of class ``label`` turns into it."""
        return self._share(self.fooled_by[:, label], self.labels != label)

    def weakest(self) -> estimates.Estimate:
        """``fooled`` of the target class to which the fewest foregrounds fall."""
        return min((self.fooled(label) for label in range(NUM_CLASSES)), key=lambda estimate: estimate.value)

    def by_class(self) -> pd.DataFrame:
        """The paper's table, one row for each target class: target, value, low, high in percent."""
        return pd.DataFrame(
            {"target": CLASS_NAMES[label], **self.fooled(label).in_percent()._asdict()}
            for label in sorted(set(self.background_labels.tolist()))
        )

    def success(self) -> pd.DataFrame:
        """Each background's attack success rate in percent, mean over models: target, row (in the pool), value.

        The best of each class come first; ``rank`` counts from 1 within the class, ties in the order of the rows. With
        folds, ``fold`` says whose pool it is; otherwise it is 0.
        """
        folds = np.zeros(len(self.hits), np.int64) if self.background_folds is None else self.background_folds
        frame = pd.DataFrame(
            {"label": self.background_labels, "row": self.background_rows, "fold": folds, "value": 100 * self.hits}
        )
        frame = frame.sort_values(["label", "value", "row"], ascending=[True, False, True], ignore_index=True)
        frame["rank"] = frame.groupby("label").cumcount() + 1
        frame.insert(0, "target", [CLASS_NAMES[label] for label in frame.pop("label")])
        return frame

    def best(self, number: int = 5) -> dict[str, pd.DataFrame]:
        """The most adversarial backgrounds of each class: class -> the first rows of ``success``, best first."""
        frame = self.success()
        return {str(target): part.head(number) for target, part in frame.groupby("target", sort=False)}
