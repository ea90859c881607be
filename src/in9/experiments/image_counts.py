"""How many images each rule of the masks keeps (paper, section 2 and appendix A), and how the variants look."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch

from in9.data.variants import MIXED, VARIANTS, compose, draw_backgrounds, load_pool
from in9.evaluation.records import Record
from in9.experiments.experiment import Experiment
from in9.study.jobs import DATASET, DRAWS, TEST_SEED, Job, draws_jobs
from in9.study.study import Study
from in9.taxonomy import CLASS_NAMES, NUM_CLASSES


def _frame(records: list[Record]) -> pd.DataFrame:
    return pd.DataFrame(records[0].results["rows"])


DRAWN: Experiment = Experiment(
    DRAWS,
    ("01",),
    lambda profile: {"backgrounds": draws_jobs(profile)},
    lambda records: records,
)
"""Which background each test image gets in each draw of the mixed test sets, for each fold."""
COUNTS = Experiment(DATASET, ("01",), lambda profile: {"the dataset": [Job(profile, DATASET)]}, _frame)


def outcomes(study: Study) -> pd.DataFrame:
    """How many images each rule kept or rejected: class, split, outcome, count."""
    return COUNTS.read(study)["the dataset"]


def gallery(study: Study, number: int = 0) -> dict[str, list[np.ndarray]]:
    """One test image of each class in all eight variants: class -> images uint8 [S, S, 3].

    ``number`` picks another image of each class.
    """
    pool = load_pool(study.dataset, "test")
    members = [np.flatnonzero(pool.labels.numpy() == label) for label in range(NUM_CLASSES)]
    chosen = torch.tensor([rows[number % len(rows)] for rows in members])
    columns = []
    for variant in VARIANTS:
        backgrounds = draw_backgrounds(variant, pool, TEST_SEED)[0][chosen] if variant in MIXED else None
        columns.append(compose(variant, pool, chosen, backgrounds).permute(0, 2, 3, 1).numpy())
    return {name: [column[row] for column in columns] for row, name in enumerate(CLASS_NAMES)}
