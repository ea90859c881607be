"""Units of work: one measurement on one trained classifier each, written as a record.

A unit is idempotent: run twice, it gives the same record. What is trained once is kept and loaded by later units; a
stopped training goes on from its checkpoint.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from in9.data.dataset import Dataset
from in9.errors import plain_disk_errors
from in9.evaluation.measurements import MEASUREMENTS
from in9.evaluation.records import Record, Store, plain, provenance
from in9.taxonomy import NUM_CLASSES
from in9.training.recipe import Recipe
from in9.training.trained import trained_classifier, weights_file

if TYPE_CHECKING:
    from in9.training.networks import Classifier


@dataclass(frozen=True)
class Unit:
    """One measurement on one trained classifier, and where its record and weights go.

    ``data`` is what the profile says of the dataset, ``options`` what the measurement can be told.
    """

    kind: str
    recipe: Recipe
    data: dict[str, Any]
    options: dict[str, Any]
    dataset: Path
    records: Path
    scratch: Path

    @property
    def settings(self) -> dict[str, Any]:
        """What decides the result."""
        return plain({"data": self.data, "recipe": asdict(self.recipe), "options": self.options})

    def weights(self, dataset: Dataset) -> Path:
        """Where the trained weights lie, by recipe and by the dataset's content."""
        return weights_file(self.scratch, self.recipe, dataset)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Torch on one thread: more would round sums differently, and a result must not depend on the number of jobs."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def run_unit(unit: Unit, device: str, on_epoch: Callable[[int, float], None] = lambda epoch, loss: None) -> Record:
    """Train (or load what was trained), measure, write the record and return it. ``on_epoch`` may raise Stopped."""
    with _one_thread(), plain_disk_errors(unit.scratch.parent):
        return _run_unit(unit, device, on_epoch)


def _run_unit(unit: Unit, device: str, on_epoch: Callable[[int, float], None]) -> Record:
    import torch

    from in9.training.steps import bfloat16_is_fast

    where = torch.device(device)
    dataset = Dataset(unit.dataset)
    model, training = trained_classifier(unit.recipe, dataset, unit.weights(dataset), where, on_epoch)
    started = time.monotonic()
    results = MEASUREMENTS[unit.kind](model, dataset, where, unit.options)
    record = Record(
        kind=unit.kind,
        name=f"{unit.recipe.train_on.replace('+', '_and_')}_seed{unit.recipe.seed}",
        settings=unit.settings,
        data=dataset.hash,
        results={"training": {**training, "classes": _outputs(model)}, **results},
        provenance=provenance(
            training["seconds"] + time.monotonic() - started,  # whether it was trained now or before
            device=str(where),
            training_precision="bfloat16" if bfloat16_is_fast(where) else "float32",
            evaluation_precision="float32",
        ),
    )
    Store(unit.records).write(record)
    return record


def load_classifier(unit: Unit, device: str) -> Classifier:
    """The classifier that a unit measures, to look into; trained first if its weights are not there."""
    import torch

    dataset = Dataset(unit.dataset)
    with _one_thread(), plain_disk_errors(unit.scratch.parent):
        return trained_classifier(unit.recipe, dataset, unit.weights(dataset), torch.device(device))[0]


def _outputs(model: Classifier) -> int:
    """How many classes the network itself tells apart: more than nine where it was trained on finer ones."""
    return NUM_CLASSES if model.groups is None else len(model.groups)
