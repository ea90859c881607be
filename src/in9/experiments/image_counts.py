"""How many images each rule of the masks keeps (paper, section 2 and appendix A), and how the variants look."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch

from in9.data.dataset import FOLD
from in9.data.published import GOOD, MASKS_FILE, read_published
from in9.data.variants import VARIANTS, Pool, composer
from in9.evaluation.records import Record
from in9.experiments.experiment import Experiment
from in9.study.jobs import DATASET, DRAWS, TEST_SEED, Job, draws_jobs
from in9.study.study import Study
from in9.taxonomy import CLASS_NAMES, NUM_CLASSES, imagenet_names, label_of_wnid


def _frame(records: list[Record]) -> pd.DataFrame:
    return pd.DataFrame(records[0].results["rows"])


DRAWN: Experiment = Experiment(
    DRAWS,
    ("01",),
    lambda profile: {"backgrounds": jobs} if (jobs := draws_jobs(profile)) else {},
    lambda records: records,
)
"""Which background each test image gets in each draw of the mixed test sets, for each fold."""
COUNTS = Experiment(DATASET, ("01",), lambda profile: {"the dataset": [Job(profile, DATASET)]}, _frame)


def outcomes(study: Study) -> pd.DataFrame:
    """How many images each rule kept or rejected: class, split, outcome, count."""
    return COUNTS.read(study)["the dataset"]


class Check(NamedTuple):
    """How well the first look at the masks held: of so many masks, on how many a closer look agreed."""

    masks: int
    agreed: int
    how: str


CHECKS = MappingProxyType(
    {
        "again": Check(198, 197, "an independent second look"),
        "larger": Check(100, 93, "good in a look at tested masks, shown larger; about"),
    }
)
"""Of the masks of Tiny ImageNet, written down by hand in November 2026.

All looks were by a vision-language model, at contact sheets with many images on each.
"""


def joined_folds(frame: pd.DataFrame) -> pd.DataFrame:
    """``outcomes`` with the folds as a single split, ``folds``; unchanged where there are none."""
    merged = frame.assign(split=frame["split"].replace(rf"^{FOLD}\d+$", "folds", regex=True))
    return merged.groupby([name for name in merged if name != "count"], as_index=False, sort=False)["count"].sum()


def verdicts(study: Study) -> dict[str, int]:
    """What was said of the masks that the rules kept, how often: good, or why an image is not tested.

    Empty where no masks of the profile's data are published.
    """
    path = study.workspace.published(study.profile.data)
    if path is None:
        return {}
    said = pd.Series([image.rejected or GOOD for image in read_published(path).images.values() if not image.reason])
    return {str(verdict): int(count) for verdict, count in said.value_counts().items()}


def imagenet_classes(study: Study) -> dict[str, list[str]]:
    """The ImageNet classes that each of the nine consists of, where the images' ids name them; empty without masks."""
    built, published = study.folder / MASKS_FILE, study.workspace.published(study.profile.data)
    path = built if built.is_file() and not study.recorded else published
    if path is None:
        return {}
    parts = {part for identifier in read_published(path).images for part in identifier.split("/")}
    labels, names = label_of_wnid(), imagenet_names()
    present = [wnid for wnid in names if wnid in parts and wnid in labels]
    return {name: [names[wnid] for wnid in present if labels[wnid] == label] for label, name in enumerate(CLASS_NAMES)}


def tested(study: Study) -> dict[str, int]:
    """How many images of each class are tested, in all folds where there are folds."""
    if study.recorded:
        labels = study.answers("original").labels["original"]
    else:
        labels = study.dataset.table["label"].to_numpy()[study.dataset.indices("test")]
    return dict(zip(CLASS_NAMES, np.bincount(labels, minlength=NUM_CLASSES).tolist(), strict=True))


def sizes(study: Study) -> dict[str, int]:
    """How many images a network trains on (``train``), on IN-9L (``in9l``), and how many all networks test.

    With folds, what a network trains on is a mean over folds.
    """
    frame = joined_folds(outcomes(study))
    whole = frame.groupby("split")["count"].sum()
    good = frame[frame["outcome"] == "accepted"].groupby("split")["count"].sum()
    folds = study.profile.split.folds
    split, share = ("folds", 1 - 1 / folds) if folds else ("train", 1.0)
    train, in9l = (round(share * counts[split]) for counts in (good, whole))
    return {"train": train, "test": sum(tested(study).values()), "in9l": in9l}


def gallery(pool: Pool, rows: Sequence[int]) -> list[list[np.ndarray]]:
    """Images of a pool in all eight variants, in the order of ``VARIANTS``: for each row eight uint8 [S, S, 3]."""
    chosen = torch.tensor(rows)
    columns = [composer(variant, pool, TEST_SEED)(chosen).permute(0, 2, 3, 1).numpy() for variant in VARIANTS]
    return [list(images) for images in zip(*columns, strict=True)]
