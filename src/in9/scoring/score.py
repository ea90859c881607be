"""Score any classifier: accuracy on every variant and BG-Gap (paper, sections 3 and 4).

``evaluate`` does what the authors' script does, image by image the same, on a CPU or a GPU, and gives a record. A
classifier of 1,000 outputs is scored by two rules. Strict, the authors': its highest output must fall under the right
one of the nine classes, and one of the 630 that fall under none is wrong. Restricted: the highest of the 370 outputs
that fall under the nine.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from tqdm import tqdm

from in9.data.dataset import Dataset
from in9.errors import In9Error, check_known, errors_of_foreign_code
from in9.evaluation import estimates
from in9.evaluation.estimates import Estimate
from in9.evaluation.predictions import Predictions, default_batch_size, exact_convolutions
from in9.evaluation.records import Record, name_of_labels, predictions_of, provenance, to_digits
from in9.files import plain
from in9.scoring.answers import Answers, ImageAnswers, is_answers, read_answers
from in9.scoring.load import ScorableModel, load_model
from in9.scoring.test_images import KnownBackgrounds, TestImages, open_test_images
from in9.taxonomy import NUM_CLASSES, UNMAPPED
from in9.training.loop import pick_device

STRICT, RESTRICTED = SCORING_RULES = ("strict", "restricted")
LONGEST_NAME = 100
"""Characters of a classifier's name: a record's file is named after it."""


@dataclass(frozen=True)
class Score:
    """What a classifier answered on every test set. ``ids`` are the names of its images."""

    kind: ClassVar[str] = "score"  # of its record
    record: Record
    ids: dict[str, tuple[str, ...]]

    @property
    def name(self) -> str:
        """The classifier's name."""
        return str(self.record.settings["model"]["name"])

    @property
    def tests(self) -> tuple[str, ...]:
        """The test sets, in the order in which they were scored."""
        return tuple(self.record.results["predictions"])

    @property
    def rules(self) -> tuple[str, ...]:
        """The rules that differ: both, or for a classifier of nine outputs the first alone."""
        return SCORING_RULES if RESTRICTED in self.record.results else (STRICT,)

    def predictions(self, rule: str = STRICT) -> Predictions:
        """The predictions by one rule."""
        check_known("rule", [rule], self.rules)
        results = self.record.results
        results = {**results, "predictions": results["predictions" if rule == STRICT else RESTRICTED]}
        return replace(predictions_of([replace(self.record, results=results)]), ids=self.ids)

    def accuracy(self, test: str, rule: str = STRICT) -> Estimate:
        """Accuracy on one test set, every class counting the same, with its interval."""
        return self.predictions(rule).accuracy(test)

    def gap(self, rule: str = STRICT) -> Estimate | None:
        """BG-Gap with its paired interval, or None if Mixed-Same or Mixed-Rand was not scored."""
        return self.predictions(rule).gap() if {"mixed_same", "mixed_rand"} <= set(self.tests) else None

    def table(self) -> pd.DataFrame:
        """One row for each test set and rule, and ``bg_gap`` at the end, in percent or points.

        Columns test, rule, images, value, low, high, and share: correct answers by number of images, the authors' own
        figure, which is the same where classes are equally large.
        """
        rows = []
        for rule in self.rules:
            predictions = self.predictions(rule)
            estimates = {test: predictions.accuracy(test) for test in self.tests}
            shares = {test: float(predictions.correct(test).mean()) for test in self.tests}
            images = {test: len(labels) for test, labels in predictions.labels.items()}
            if gap := self.gap(rule):
                estimates["bg_gap"], images["bg_gap"] = gap, images["mixed_same"]
                shares["bg_gap"] = shares["mixed_same"] - shares["mixed_rand"]
            for test, estimate in estimates.items():
                row = {"test": test, "rule": rule, "images": images[test], **estimate.in_percent()._asdict()}
                rows.append(row | {"share": 100 * shares[test]})
        return pd.DataFrame(rows)

    def background_answers(self, known: Mapping[str, KnownBackgrounds]) -> pd.DataFrame:
        """How often the answer is the background's class, in percent: columns test, rule, images, value, low, high.

        The paper made Mixed-Next to ask that (section 3). Only images count whose background is known and of another
        class than the object, which is none in Mixed-Same; each class of objects counts the same. The interval
        respects that images share backgrounds.
        """
        rows = []
        for rule in self.rules:
            predictions = self.predictions(rule)
            for test, (classes, sources) in ((test, known[test]) for test in known if test in self.tests):
                labels = predictions.labels[test]
                kept = (classes != UNMAPPED) & (classes != labels)
                if kept.any():
                    answers = predictions.classes[test][0, 0] == classes
                    estimate = estimates.share(answers, labels, backgrounds=sources, kept=kept)
                    row = {"test": test, "rule": rule, "images": int(kept.sum())}
                    rows.append(row | estimate.in_percent()._asdict())
        return pd.DataFrame(rows, columns=["test", "rule", "images", "value", "low", "high"])

    def images(self) -> pd.DataFrame:
        """One row for each image of each test set: test, id, label, strict, restricted (-1 is none of the nine)."""
        by_rule = {rule: self.predictions(rule) for rule in self.rules}
        frames = []
        for test in self.tests:
            answers = {rule: predictions.classes[test][0, 0] for rule, predictions in by_rule.items()}
            columns = {"test": test, "id": self.ids[test], "label": by_rule[STRICT].labels[test], **answers}
            frames.append(pd.DataFrame(columns))
        return pd.concat(frames, ignore_index=True)


def evaluate(
    model: ScorableModel | Answers | Callable[[Tensor], Tensor] | Path | str,
    data: TestImages | Dataset | Path | str,
    *,
    tests: Sequence[str] | None = None,
    split: str = "test",
    seed: int = 0,
    device: str = "auto",
    batch_size: int | None = None,
    progress: bool = False,
    name: str | None = None,
) -> Score:
    """Score a classifier on every test set of a dataset, or of the released archive.

    ``model`` is what ``in9.load_model`` returns, a name for it, any function from images float [B, 3, S, S] in
    [0, 1] to 9 or 1,000 outputs, or a CSV file of answers (see ``in9.scoring.answers``); ``name`` names a function or
    a file. ``tests`` picks test sets, ``split`` and ``seed`` the images and draws of a dataset. Raises In9Error for
    what cannot be scored, and for answers that are not numbers.
    """
    images = open_test_images(data, split, seed, pick_device(device))
    if isinstance(model, Path):
        model = str(model)
    if isinstance(model, str) and is_answers(model):
        model = read_answers(Path(model), name)
    if isinstance(model, Answers):
        return _score_of(model.to(images, tests or ()), model.facts, images, 0)
    if not isinstance(model, ScorableModel):
        model = load_model(model, name=name, image_size=images.image_size, device=images.device)
    tests = tuple(tests or images.tests)
    check_known("test set", tests, images.tests)
    started = time.monotonic()
    size = batch_size or default_batch_size(images.image_size, images.device)
    strict: dict[str, np.ndarray] = {}
    restricted: dict[str, np.ndarray] = {}
    total = sum(len(images.labels(test)) for test in tests)
    with tqdm(total=total, desc="scoring", unit="image", disable=not progress) as bar:
        for test in tests:
            strict[test], other = predict_by_rules(model, images.batches(test, size), test, bar.update)
            if other is not None:
                restricted[test] = other
    seconds = time.monotonic() - started
    rows = {test: np.arange(len(classes)) for test, classes in strict.items()}
    return _score_of(ImageAnswers(rows, strict, restricted, missing={}, left_out=0), model.facts, images, seconds)


def _score_of(answers: ImageAnswers, facts: dict[str, Any], images: TestImages, seconds: float) -> Score:
    """The score of the answers that a classifier gave, here or elsewhere, of which ``facts`` tell."""
    labels = {name_of_labels(test): to_digits(images.labels(test)[rows]) for test, rows in answers.rows.items()}
    results = {"labels": labels, "predictions": {test: to_digits(classes) for test, classes in answers.strict.items()}}
    if answers.restricted:
        results[RESTRICTED] = {test: to_digits(classes) for test, classes in answers.restricted.items()}
    settings: dict[str, Any] = {"tests": list(answers.rows)}
    if any(answers.missing.values()):
        settings |= {"missing": answers.missing, "left_out": answers.left_out}
    ids = {test: images.ids(test) for test in answers.rows}
    record = score_record(Score.kind, facts, images, settings, results, seconds)
    return Score(record, {test: tuple(ids[test][row] for row in rows) for test, rows in answers.rows.items()})


def is_name(name: object) -> bool:
    """Whether tables can call a classifier so."""
    return isinstance(name, str) and bool(name.strip()) and len(name) <= LONGEST_NAME and name.isprintable()


@torch.inference_mode()
def predict_by_rules(
    model: ScorableModel, batches: Iterable[Tensor], test: str, after: Callable[[int], Any] = lambda images: None
) -> tuple[np.ndarray, np.ndarray | None]:
    """The classes by the strict and by the restricted rule, int64 [N] each; None for the latter if it is the same.

    ``after`` is called with the number of images of each batch. Raises In9Error for answers that are not numbers.
    """
    name = model.facts["name"]
    strict, restricted, broken = [], [], []
    with exact_convolutions():
        for images in batches:
            with errors_of_foreign_code(f"{name} fails on images of {test}", "; a smaller --batch-size may help"):
                scores = model.classifier(images)
            best = scores.argmax(1)
            strict.append(torch.where(best < NUM_CLASSES, best, UNMAPPED))
            if scores.shape[1] > NUM_CLASSES:
                restricted.append(scores[:, :NUM_CLASSES].argmax(1))
            broken.append(scores.isnan().any(1))
            after(len(images))
    bad = torch.cat(broken)
    if bad.any():
        raise In9Error(
            f"{name} answers with NaN for {int(bad.sum())} of {len(bad)} images of {test}; "
            "check its weights and preprocessing."
        )
    return torch.cat(strict).cpu().numpy(), torch.cat(restricted).cpu().numpy() if restricted else None


def score_record(
    kind: str,
    facts: dict[str, Any],
    images: TestImages,
    settings: dict[str, Any],
    results: dict[str, Any],
    seconds: float,
) -> Record:
    """The record of a score, named after the model, of which ``facts`` tell."""
    return Record(
        kind=kind,
        name=re.sub(r"[^a-z0-9]+", "_", str(facts["name"]).lower()).strip("_"),
        settings=plain({"model": facts, "data": {**images.facts, "hash": images.hash}, **settings}),
        data=images.hash,
        results=plain(results),
        provenance=provenance(seconds, device=str(images.device), evaluation_precision="float32"),
    )
