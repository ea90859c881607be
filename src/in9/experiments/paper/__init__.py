"""Every number of the paper and of its follow-ups, as tidy tables with the place where each one stands.

Accuracies, gaps and attack success rates are in percent or percentage points, as they are printed; only facts
with the unit "ratio" are in [0, 1]. Every row ends with the same three columns:

- ``where``: the table, figure or section of the paper, or the other text, that the number stands in;
- ``trust``: ``high`` (the authors' own text, code or tables; Hesse et al. for their protocol), ``medium``
  (others' text) or ``derived`` (arithmetic on such numbers, done for this project);
- ``note``: what to know before using it, often empty. Where the paper's prose and its tables disagree, the
  table's value is used and the note names the prose's.

What was not measured has no row. In ``newer_models`` the accuracy is printed and the gap is derived.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

import pandas as pd

from in9.data.variants import MIXED
from in9.errors import check_known
from in9.taxonomy import TITLES

TABLES = (
    "train_test_matrix",  # table 5: nine training sets on nine test sets, ResNet-50
    "models",  # table 2: ten models; its test sets include "imagenet" (accuracy) and "bg_gap" (points)
    "readme",  # the official repository's table and leaderboard ("challenge"), and others' runs of its code
    "adversarial",  # per target class: fooled by any background (rank 0), the five best (1 = best)
    "attack",  # headline numbers of adversarial backgrounds, with the rule that defines them
    "fine_grained",  # table 3: which of three predictions is right in each category
    "published_networks",  # ImageNet accuracy and BG-Gap of 326 networks after Hesse et al. 2025, with family and data
    "newer_models",  # ImageNet accuracy and BG-Gap after Hesse et al. 2025, one model per row
    "other_results",  # others' results on the variants; its tests include "bg_gap" and "worst_group"
    "sizes",  # images and classes of each dataset
    "facts",  # single numbers that claims need, by key
)


@dataclass(frozen=True)
class Fact:
    """One number of the paper: its value, unit in words, place, how far to trust it, and a note.

    ``protocol`` says how it came about, as far as that decides what may stand beside it: training sets whose
    backgrounds were drawn once, or the number of backgrounds that attacked. Empty where nothing of the kind matters.
    """

    value: float
    unit: str
    where: str
    trust: str
    note: str = ""
    protocol: str = ""


@cache
def _read(name: str) -> pd.DataFrame:
    with resources.files(__name__).joinpath(f"{name}.csv").open(encoding="utf-8") as file:
        return pd.read_csv(file, keep_default_na=False)


def table(name: str) -> pd.DataFrame:
    """One table, one observation per row; a copy, so that the caller may change it.

    Raises ``In9Error`` when there is no such table.
    """
    check_known("table of the paper", [name], TABLES)
    return _read(name).copy()


def network_names() -> dict[str, str]:
    """What the networks of the tables are called on a page: key -> name."""
    return dict(_read("networks").itertuples(index=False))


def train_test_matrix() -> pd.DataFrame:
    """Table 5: accuracy in percent, training sets down and test sets across, both in the order of ``TITLES``."""
    wide = table("train_test_matrix").pivot(index="train", columns="test", values="accuracy")
    return wide.loc[list(TITLES), list(TITLES)]


def bg_gap() -> pd.DataFrame:
    """BG-Gap in points: Mixed-Same minus Mixed-Rand, from the printed accuracies (tables 2 and 5, README).

    One row per model, training set and place: ``model``, ``training``, ``mixed_same``, ``mixed_rand``,
    ``bg_gap``, ``where``, ``trust``. A trust of ``high`` speaks of the two accuracies.
    """
    matrix = table("train_test_matrix").rename(columns={"train": "training"}).assign(model="resnet50")
    rows = pd.concat([matrix, table("models"), table("readme")], ignore_index=True)
    keys = ["model", "training", "where", "trust"]
    mixed = rows[rows["test"].isin(["mixed_same", "mixed_rand"])]
    wide = mixed.pivot(index=keys, columns="test", values="accuracy").reset_index()
    wide["bg_gap"] = (wide["mixed_same"] - wide["mixed_rand"]).round(2)
    wide.columns.name = None
    return wide[["model", "training", "mixed_same", "mixed_rand", "bg_gap", "where", "trust"]]


def fact(key: str) -> Fact:
    """One number of the table ``facts``. Raises ``In9Error`` when there is no such key."""
    rows = _read("facts").set_index("key")
    check_known("fact of the paper", [key], rows.index)
    row = rows.loc[key]
    return Fact(float(row["value"]), row["unit"], row["where"], row["trust"], row["note"], row["protocol"])


def protocol(training_sets: Mapping[str, str]) -> str:
    """How often the backgrounds of the mixed ones among some training sets were drawn, in words: name -> "once", say.

    The paper drew all of them once. Empty where none is mixed.
    """
    mixed = {name: drawn for name, drawn in training_sets.items() if name in MIXED}
    names, drawn = sorted(TITLES[name] for name in mixed), sorted(set(mixed.values()))
    return f"{' and '.join(names)} drawn {' and '.join(drawn)}" if mixed else ""
