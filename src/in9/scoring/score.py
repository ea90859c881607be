"""Score any classifier: accuracy on every variant, BG-Gap, and adversarial backgrounds (paper, sections 3 to 5).

``evaluate`` and ``challenge`` do what the authors' two scripts do, image by image the same, on a CPU or a GPU, and
give a record. A classifier of 1,000 outputs is scored by two rules. Strict, the authors': its highest output must fall
under the right one of the nine classes, and one of the 630 that fall under none is wrong. Restricted: the highest of
the 370 outputs that fall under the nine.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from tqdm import tqdm

from in9.data.dataset import Dataset
from in9.errors import In9Error, unknown
from in9.evaluation import estimates
from in9.evaluation.adversarial.pairs import chosen_rows, start_search
from in9.evaluation.adversarial.search import RULES as SEARCH_RULES
from in9.evaluation.adversarial.search import Search
from in9.evaluation.estimates import Estimate
from in9.evaluation.predictions import default_batch_size, exact_convolutions, search_batch_size
from in9.evaluation.records import Record, from_digits, key_of, plain, provenance, to_digits
from in9.scoring.load import Model, load_model, wrap
from in9.scoring.test_images import TestData, open_test_data
from in9.study.study import Answers
from in9.taxonomy import NUM_CLASSES, UNMAPPED
from in9.training.loop import pick_device
from in9.training.recipe import IN9L

SCORE, CHALLENGE = "score", "challenge"
STRICT, RESTRICTED = RULES = ("strict", "restricted")
SAVE_EVERY = 30.0  # seconds between two states of a challenge

Scored = Model | Callable[[Tensor], Tensor] | str


@dataclass(frozen=True)
class Score:
    """What a classifier answered on every test set. ``ids`` are the images' names, where they are at hand."""

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
        return RULES if RESTRICTED in self.record.results else (STRICT,)

    def answers(self, rule: str = STRICT) -> Answers:
        """The answers by one rule."""
        if rule not in self.rules:
            raise unknown("rule", rule, self.rules)
        results = self.record.results
        predictions = results["predictions" if rule == STRICT else RESTRICTED]
        return Answers([replace(self.record, results={**results, "predictions": predictions})])

    def accuracy(self, test: str, rule: str = STRICT) -> Estimate:
        """Accuracy on one test set, every class counting the same, with its interval."""
        return self.answers(rule).accuracy(test)

    def share_correct(self, test: str, rule: str = STRICT) -> float:
        """Correct answers by number of images, the authors' own figure: the same where classes are equally large."""
        return float(self.answers(rule).correct(test).mean())

    def gap(self, rule: str = STRICT) -> Estimate | None:
        """BG-Gap with its paired interval, or None where Mixed-Same or Mixed-Rand is not there."""
        return self.answers(rule).gap() if {"mixed_same", "mixed_rand"} <= set(self.tests) else None

    def table(self) -> pd.DataFrame:
        """One row for each test set and rule, and ``bg_gap`` at the end, in percent or points.

        Columns test, rule, images, value, low, high, and share: correct answers by number of images.
        """
        rows = []
        for rule in self.rules:
            for test in self.tests:
                value, low, high = self.accuracy(test, rule).in_percent()
                share = 100 * self.share_correct(test, rule)
                images = len(self.answers(rule).labels(test))
                rows.append({"test": test, "rule": rule, "images": images, "value": value, "low": low, "high": high,
                             "share": share})  # fmt: skip
            gap = self.gap(rule)
            if gap is not None:
                value, low, high = gap.in_percent()
                shares = [self.share_correct(test, rule) for test in ("mixed_same", "mixed_rand")]
                images, share = len(self.answers(rule).labels("mixed_same")), 100 * (shares[0] - shares[1])
                rows.append({"test": "bg_gap", "rule": rule, "images": images, "value": value, "low": low, "high": high,
                             "share": share})  # fmt: skip
        return pd.DataFrame(rows)

    def images(self) -> pd.DataFrame:
        """One row for each image of each test set: test, id, label, strict, restricted (-1 is none of the nine)."""
        frames = []
        for test in self.tests:
            answers = {rule: self.answers(rule).predictions(test)[0] for rule in self.rules}
            labels = self.answers().labels(test)
            frames.append(pd.DataFrame({"test": test, "id": self.ids[test], "label": labels, **answers}))
        return pd.concat(frames, ignore_index=True)


def evaluate(
    model: Scored,
    data: Dataset | Path | str | TestData,
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

    ``model`` is a ``Model``, the name of one (see ``in9.scoring.load.load_model``), or any function from images float
    [B, 3, S, S] in [0, 1] to 9 or 1,000 outputs; ``name`` names a function. ``tests`` picks test sets, ``split`` and
    ``seed`` the images and draws of a dataset. Raises In9Error for what cannot be scored, and for answers that are
    not numbers.
    """
    where = pick_device(device)
    source = _opened(data, split, seed, where)
    chosen = _loaded(model, source.image_size, where, name)
    wanted = tuple(tests or source.tests)
    for test in wanted:
        if test not in source.tests:
            raise unknown("test set", test, source.tests)
    started = time.monotonic()
    size = batch_size or default_batch_size(source.image_size, where)
    results: dict[str, Any] = {"labels": {}, "predictions": {}, RESTRICTED: {}}
    bar = tqdm(total=sum(len(source.labels(test)) for test in wanted), desc="scoring", unit="image", file=sys.stderr,
               disable=not progress)  # fmt: skip
    with bar:
        for test in wanted:
            results["labels"][IN9L if test == IN9L else "in9"] = to_digits(source.labels(test))
            strict, restricted = _predict(chosen, source.batches(test, size), test, bar.update)
            results["predictions"][test] = to_digits(strict)
            if restricted is not None:
                results[RESTRICTED][test] = to_digits(restricted)
    if not results[RESTRICTED]:
        del results[RESTRICTED]
    record = _record(SCORE, chosen, source, {"tests": list(wanted)}, results, started, where)
    return Score(record, {test: source.ids(test) for test in wanted})


@torch.inference_mode()
def _predict(
    model: Model, batches: Iterator[Tensor], test: str, after: Callable[[int], Any]
) -> tuple[np.ndarray, np.ndarray | None]:
    """The classes by the strict and by the restricted rule, int64 [N] each; the latter None where they are the same."""
    strict, restricted, broken = [], [], []
    with exact_convolutions():
        for images in batches:
            scores = model.classifier(images)
            best = scores.argmax(1)
            strict.append(torch.where(best < NUM_CLASSES, best, UNMAPPED))
            if scores.shape[1] > NUM_CLASSES:
                restricted.append(scores[:, :NUM_CLASSES].argmax(1))
            broken.append(scores.isnan().any(1))
            after(len(images))
    number = int(torch.cat(broken).sum())
    if number:
        raise In9Error(
            f"{model.facts['name']} answers with NaN for {number} of {sum(map(len, broken))} images of {test}; "
            "check its weights and preprocessing."
        )
    return torch.cat(strict).cpu().numpy(), torch.cat(restricted).cpu().numpy() if restricted else None


@dataclass(frozen=True)
class Challenged:
    """Which foregrounds of a test set are vulnerable to adversarial backgrounds, by either rule."""

    record: Record

    @cached_property
    def labels(self) -> np.ndarray:
        """The foregrounds' classes: int64 [F]."""
        return from_digits(self.record.results["labels"])

    @property
    def backgrounds(self) -> int:
        """How many backgrounds each foreground has met, or would have."""
        return int(self.record.results["pairs"]) // len(self.labels)

    @property
    def rules(self) -> tuple[str, ...]:
        """The rules that were asked for: untargeted is the authors' repository's, targeted the paper's."""
        return tuple(self.record.results["vulnerable"])

    def flags(self, rule: str) -> np.ndarray:
        """Who is vulnerable: bool [F]."""
        if rule not in self.rules:
            raise unknown("rule", rule, self.rules)
        return from_digits(self.record.results["vulnerable"][rule]) == 1

    def vulnerable(self, rule: str) -> Estimate:
        """The share of vulnerable foregrounds, every class counting the same, with its interval."""
        return estimates.accuracy(self.flags(rule), self.labels)

    def accuracy(self) -> Estimate:
        """Challenge accuracy: the share of foregrounds that are right on every background."""
        return estimates.accuracy(~self.flags("untargeted"), self.labels)

    def table(self) -> pd.DataFrame:
        """Rows of measure, value, low, high in percent, and share: the same with every image counting the same."""
        measures = {"accuracy on Original": from_digits(self.record.results["original"]) == self.labels}
        if "untargeted" in self.rules:
            measures["challenge accuracy"] = ~self.flags("untargeted")
        measures |= {f"vulnerable ({rule})": self.flags(rule) for rule in self.rules}
        rows = []
        for measure, flags in measures.items():
            value, low, high = estimates.accuracy(flags, self.labels).in_percent()
            share = 100 * float(flags.mean())
            rows.append({"measure": measure, "value": value, "low": low, "high": high, "share": share})
        return pd.DataFrame(rows)


def challenge(
    model: Scored,
    data: Dataset | Path | str | TestData,
    *,
    rules: Sequence[str] = SEARCH_RULES,
    per_class: int | None = None,
    split: str = "test",
    device: str = "auto",
    batch_size: int | None = None,
    states: Path | None = None,
    progress: bool = False,
    name: str | None = None,
) -> Challenged:
    """Accuracy under adversarial backgrounds: every foreground against every background of the test set.

    ``rules`` are any of ``untargeted`` (some background makes the answer wrong) and ``targeted`` (some background of
    another class makes it the answer); ``per_class`` takes so many images of each class. In the folder ``states`` a
    stopped challenge leaves its state, from which the same call goes on. See ``evaluate`` for the rest.
    """
    for rule in rules:
        if rule not in SEARCH_RULES:
            raise unknown("rule", rule, SEARCH_RULES)
    where = pick_device(device)
    source = _opened(data, split, 0, where)
    chosen = _loaded(model, source.image_size, where, name)
    started = time.monotonic()
    pool = source.pool()
    rows = chosen_rows(pool, per_class)
    settings = {"rules": sorted(rules), "per_class": per_class}
    size = batch_size or search_batch_size(source.image_size, where)
    own = torch.from_numpy(rows).to(where)
    alone, _ = _predict(chosen, (pool.images[part] for part in own.split(size)), "original", lambda number: None)
    search, answer = start_search(chosen.classifier, pool, rows, rows)
    state = None if states is None else states / f"{key_of([chosen.facts, source.hash, split, settings])}.npz"
    earlier = _restore(search, state)
    _run(search, answer, [rule for rule in SEARCH_RULES if rule in rules], size, state, earlier, progress)
    results = {
        "labels": to_digits(pool.labels[own].tolist()),
        "original": to_digits(alone),
        "vulnerable": {rule: to_digits(search.fallen[rule].tolist()) for rule in SEARCH_RULES if rule in rules},
        "pairs": search.met.numel(),
        "composites": search.composites,
    }
    record = _record(CHALLENGE, chosen, source, settings, results, started - earlier, where)
    if state is not None:
        state.unlink(missing_ok=True)
    return Challenged(record)


@torch.inference_mode()
def _run(
    search: Search,
    answer: Callable[[Tensor, Tensor], Tensor],
    rules: Sequence[str],
    batch_size: int,
    state: Path | None,
    earlier: float,
    progress: bool,
) -> None:
    """Search by one rule after the other; the state is written now and then, and when the search is stopped."""
    started = saved = time.monotonic()
    for rule in rules:
        bar = tqdm(total=search.met.numel(), initial=search.decided_pairs(rule), desc=rule, unit="pair",
                   unit_scale=True, file=sys.stderr, disable=not progress)  # fmt: skip
        with bar:
            try:
                while search.step(answer, rule, batch_size):
                    bar.update(search.decided_pairs(rule) - bar.n)
                    if time.monotonic() - saved > SAVE_EVERY:
                        _save(search, state, earlier + time.monotonic() - started)
                        saved = time.monotonic()
            except KeyboardInterrupt:
                _save(search, state, earlier + time.monotonic() - started)
                raise


def _save(search: Search, state: Path | None, seconds: float) -> None:
    if state is None:
        return
    state.parent.mkdir(parents=True, exist_ok=True)
    partial = state.with_suffix(f".{os.getpid()}.writing")
    with partial.open("wb") as stream:
        np.savez_compressed(stream, seconds=np.array(seconds), **search.state())
    partial.replace(state)


def _restore(search: Search, state: Path | None) -> float:
    """Take up what an earlier call left, if it left anything; the seconds that it took."""
    if state is None or not state.is_file():
        return 0.0
    try:
        with np.load(state) as found:
            search.restore(found)
            return float(found["seconds"])
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise In9Error(f"The state {state} cannot be read ({error}); remove it to start anew.") from error


def _opened(data: Any, split: str, seed: int, device: torch.device) -> TestData:
    return open_test_data(data, split, seed, device) if isinstance(data, Dataset | Path | str) else data


def _loaded(model: Scored, image_size: int, device: torch.device, name: str | None) -> Model:
    if isinstance(model, Model):
        return model
    if isinstance(model, str):
        return load_model(model, image_size=image_size, device=device)
    return wrap(model, name=name or str(getattr(model, "__name__", type(model).__name__)), image_size=image_size,
                device=device)  # fmt: skip


def _record(
    kind: str,
    model: Model,
    source: TestData,
    settings: dict[str, Any],
    results: dict[str, Any],
    started: float,
    device: torch.device,
) -> Record:
    return Record(
        kind=kind,
        name=re.sub(r"[^a-z0-9]+", "_", str(model.facts["name"]).lower()).strip("_"),
        settings=plain({"model": model.facts, "data": {**source.facts, "hash": source.hash}, **settings}),
        data=source.hash,
        results=plain(results),
        provenance=provenance(time.monotonic() - started, device=str(device), evaluation_precision="float32"),
    )
