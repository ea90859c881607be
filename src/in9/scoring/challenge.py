"""Accuracy under adversarial backgrounds, of any classifier: the authors' challenge (paper, section 4).

``challenge`` does what the authors' script does, foreground by foreground the same, with fewer composites, and gives a
record. A challenge that is stopped leaves its state in a file, from which the same call goes on. A state that cannot be
read is set aside, and the challenge starts anew. The same challenge in another process waits.
"""

from __future__ import annotations

import sys
import time
import zipfile
import zlib
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from tqdm import tqdm

from in9.data.dataset import Dataset
from in9.errors import check_known, errors_of_foreign_code, reason
from in9.evaluation import estimates
from in9.evaluation.adversarial.pairs import attacked_rows, start_search
from in9.evaluation.adversarial.search import ATTACK_RULES, Search
from in9.evaluation.estimates import Estimate
from in9.evaluation.predictions import search_batch_size
from in9.evaluation.records import Record, from_digits, to_digits
from in9.files import key_of, one_writer, remove_partials, written_whole
from in9.scoring.load import ScorableModel, load_model
from in9.scoring.score import predict_by_rules, score_record
from in9.scoring.test_images import TestImages, open_test_images
from in9.training.loop import pick_device

SAVE_EVERY = 30.0
"""Seconds between two states of a challenge."""


@dataclass(frozen=True)
class ChallengeScore:
    """Which foregrounds of a test set are vulnerable to adversarial backgrounds, by either rule."""

    kind: ClassVar[str] = "challenge"  # of its record
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

    def is_vulnerable(self, rule: str) -> np.ndarray:
        """Whether each foreground is vulnerable by a rule: bool [F]."""
        check_known("rule", [rule], self.rules)
        return from_digits(self.record.results["vulnerable"][rule]) == 1

    def vulnerable(self, rule: str) -> Estimate:
        """The share of vulnerable foregrounds, every class counting the same, with its interval."""
        return estimates.share(self.is_vulnerable(rule), self.labels)

    def accuracy(self) -> Estimate:
        """Challenge accuracy: the share of foregrounds that are right on every background."""
        return estimates.share(~self.is_vulnerable("untargeted"), self.labels)

    def table(self) -> pd.DataFrame:
        """Rows of measure, value, low, high in percent, and share: the same with every image counting the same."""
        measures = {"accuracy on Original": from_digits(self.record.results["original"]) == self.labels}
        if "untargeted" in self.rules:
            measures["challenge accuracy"] = ~self.is_vulnerable("untargeted")
        measures |= {f"vulnerable ({rule})": self.is_vulnerable(rule) for rule in self.rules}
        rows = []
        for measure, flags in measures.items():
            percent = estimates.share(flags, self.labels).in_percent()
            rows.append({"measure": measure, **percent._asdict(), "share": 100 * float(flags.mean())})
        return pd.DataFrame(rows)


def challenge(
    model: ScorableModel | Callable[[Tensor], Tensor] | str,
    data: TestImages | Dataset | Path | str,
    *,
    rules: Sequence[str] = ATTACK_RULES,
    per_class: int | None = None,
    split: str = "test",
    device: str = "auto",
    batch_size: int | None = None,
    states: Path | None = None,
    progress: bool = False,
    name: str | None = None,
) -> ChallengeScore:
    """Accuracy under adversarial backgrounds: every foreground against every background of the test set.

    ``rules`` are any of ``untargeted`` (some background makes the answer wrong) and ``targeted`` (some background of
    another class makes it the answer); ``per_class`` takes so many images of each class. In the folder ``states`` a
    stopped challenge leaves its state. See ``in9.evaluate`` for the rest.
    """
    check_known("rule", rules, ATTACK_RULES)
    images = open_test_images(data, split, device=pick_device(device))
    if not isinstance(model, ScorableModel):
        model = load_model(model, name=name, image_size=images.image_size, device=images.device)
    started = time.monotonic()
    pool = images.pool
    rows = attacked_rows(pool, per_class)
    settings = {"rules": sorted(rules), "per_class": per_class}
    size = batch_size or search_batch_size(images.image_size, images.device)
    foregrounds = torch.from_numpy(rows).to(images.device)
    original, _ = predict_by_rules(model, (pool.images[part] for part in foregrounds.split(size)), "original")
    search, plain_answer = start_search(model.classifier, pool, rows, rows)

    def answer(foregrounds: Tensor, backgrounds: Tensor) -> Tensor:
        with errors_of_foreign_code(f"{model.facts['name']} fails on objects with other backgrounds"):
            return plain_answer(foregrounds, backgrounds)

    state = None if states is None else states / f"{key_of([model.facts, images.hash, images.facts, settings])}.npz"
    in_order = [rule for rule in ATTACK_RULES if rule in rules]
    asked = time.monotonic()
    with nullcontext() if state is None else one_writer(state, "working on"):
        started += time.monotonic() - asked  # to wait is no work
        if state is not None:
            remove_partials(state)
        if state is not None and state.is_file():
            try:
                started -= _restore(search, state)
            except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
                aside = state.replace(state.with_name(state.name + ".damaged"))
                why = f"Its state cannot be read ({reason(error)}) and is kept as {aside}"
                print(f"The challenge starts anew. {why}.", file=sys.stderr)
                search, _ = start_search(model.classifier, pool, rows, rows)  # half of the state may be in the old one
        _run(search, answer, in_order, size, state, started, progress)
        results = {
            "labels": to_digits(pool.labels[foregrounds].tolist()),
            "original": to_digits(original),
            "vulnerable": {rule: to_digits(search.fallen[rule].tolist()) for rule in in_order},
            "pairs": search.met.numel(),
            "composites": search.composites,
        }
        seconds = time.monotonic() - started
        record = score_record(ChallengeScore.kind, model.facts, images, settings, results, seconds)
        if state is not None:
            state.unlink(missing_ok=True)
    return ChallengeScore(record)


@torch.inference_mode()
def _run(
    search: Search,
    answer: Callable[[Tensor, Tensor], Tensor],
    rules: Sequence[str],
    batch_size: int,
    state: Path | None,
    started: float,
    progress: bool,
) -> None:
    """Search by one rule after the other; the state is written now and then, and when the search is stopped."""
    saved = time.monotonic()
    options = {"unit": "pair", "unit_scale": True, "disable": not progress}
    try:
        for rule in rules:
            with tqdm(total=search.met.numel(), initial=search.decided_pairs(rule), desc=rule, **options) as bar:
                while search.step(answer, rule, batch_size):
                    bar.update(search.decided_pairs(rule) - bar.n)
                    if time.monotonic() - saved > SAVE_EVERY:
                        _save(search, state, started)
                        saved = time.monotonic()
    except KeyboardInterrupt:
        _save(search, state, started)
        raise


def _save(search: Search, state: Path | None, started: float) -> None:
    if state is not None:
        with written_whole(state) as partial, partial.open("wb") as stream:
            np.savez_compressed(stream, seconds=np.array(time.monotonic() - started), **search.state())


def _restore(search: Search, state: Path) -> float:
    """Take up what an earlier call left; the seconds that it took."""
    with state.open("rb") as stream, np.load(stream) as arrays:  # NumPy leaves a damaged file open
        search.restore(arrays)
        return float(arrays["seconds"])
