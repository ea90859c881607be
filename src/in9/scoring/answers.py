"""Answers from elsewhere: a CSV file of what a classifier said of each test image, in place of the classifier.

It has one row for each image of each test set, and the columns ``test``, ``id`` (as ``in9 evaluate --csv`` writes them)
and the answers in one of four forms:

- ``class``: one of the nine by number, 0 to 8, or by name; -1 is none of them;
- ``imagenet_class``: one of ImageNet's 1,000, 0 to 999;
- ``score_0`` to ``score_8``, or to ``score_999``: what the classifier gave each of its outputs;
- ``strict``, and ``restricted`` if there are both: what ``in9 evaluate --csv`` writes.

Other columns are ignored, but for ``label``: if it is there, it must be the class of the image.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from in9.errors import In9Error, check_known, errors_told
from in9.files import hash_of_file
from in9.scoring.test_images import DatasetImages, TestImages
from in9.taxonomy import CLASS_NAMES, IMAGENET_CLASSES, NUM_CLASSES, UNMAPPED, imagenet_to_in9
from in9.training.recipe import IN9L

ANSWERS_SUFFIX = ".csv"
ELSEWHERE = "elsewhere"
"""What a record calls the preprocessing that only those know who have run the classifier."""
SHOWN = 3
"""How many ids an error lists."""


@dataclass(frozen=True)
class ImageAnswers:
    """Answers to the images of some test sets, in their order.

    For each test set ``rows`` int64 [N] are the images that count, and ``strict`` and ``restricted`` int64 [N] the
    answers by the rules; the last is empty where one rule says it all. ``missing`` counts the images without an answer;
    ``left_out`` the answers that do not count, as the object has none in another test set.
    """

    rows: Mapping[str, np.ndarray]
    strict: Mapping[str, np.ndarray]
    restricted: Mapping[str, np.ndarray]
    missing: Mapping[str, int]
    left_out: int


@dataclass(frozen=True)
class Answers:
    """A file of answers: its table, the answer of each row by the rules, int64 [rows], and what a record says of it."""

    path: Path
    table: pd.DataFrame
    strict: np.ndarray
    restricted: np.ndarray | None
    facts: dict[str, Any]

    def to(self, images: TestImages, tests: Sequence[str] = ()) -> ImageAnswers:
        """The answers to these test images; to ``tests`` alone, if some are named.

        A foreground without an answer in one of the file's test sets is left out of all of them, since they are
        compared foreground by foreground; images of IN-9L stand alone. Raises In9Error for a file of other images.
        """
        there = tuple(self.table["test"].unique())
        check_known(f"test set in {self.path.name}", there, images.tests)
        if lacking := [test for test in tests if test not in there]:
            raise In9Error(f"{self.path} has no answers for {', '.join(lacking)}; it has {', '.join(there)}.")
        chosen = [test for test in tests or images.tests if test in there]
        places = {test: _places(self.table[self.table["test"] == test], images, test, self.path) for test in chosen}
        answered = {test: place >= 0 for test, place in places.items()}
        paired = np.logical_and.reduce([answered[test] for test in chosen if test != IN9L] or [np.array(True)])
        kept = {test: answered[test] if test == IN9L else paired for test in chosen}
        for test in chosen:
            labels = images.labels(test)
            if gone := set(labels) - set(labels[kept[test]]):
                lost = CLASS_NAMES[min(gone)]
                raise In9Error(f"{self.path} has no {lost} with an answer in each test set; accuracy needs each class.")
        picked = {test: places[test][kept[test]] for test in chosen}
        restricted = self.restricted
        return ImageAnswers(
            {test: np.flatnonzero(kept[test]) for test in chosen},
            {test: self.strict[rows] for test, rows in picked.items()},
            {} if restricted is None else {test: restricted[rows] for test, rows in picked.items()},
            {test: int((~answered[test]).sum()) for test in chosen},
            int(sum((answered[test] & ~kept[test]).sum() for test in chosen)),
        )


def is_answers(model: object) -> bool:
    """Whether what shall be scored is a file of answers and not a classifier."""
    return isinstance(model, str | Path) and str(model).endswith(ANSWERS_SUFFIX)


def read_answers(path: Path, name: str | None = None) -> Answers:
    """The answers of a file. Raises In9Error for one that is damaged, or holds what is no answer."""
    table = _read(path)
    strict, restricted, outputs = _answers(table, path)
    facts = {
        "name": name or path.stem,
        "options": {},
        "library": None,
        "architecture": None,
        "weights": path.name,
        "sha256": hash_of_file(path),
        "parameters": None,
        "outputs": outputs,
        "mapping": "answers of a file",
        "preprocessing": {"mode": ELSEWHERE},
        "imagenet_top1": None,
    }
    return Answers(path, table, strict, restricted, facts)


def _read(path: Path) -> pd.DataFrame:
    """The table of a file, with one row at least, and the columns test and id as text."""
    with errors_told(f"The predictions {path} cannot be read as CSV"):
        table = pd.read_csv(path, dtype={"test": str, "id": str}, keep_default_na=False, low_memory=False)
    if lacking := [column for column in ("test", "id") if column not in table]:
        raise In9Error(f"The predictions {path} have no column {' and no column '.join(lacking)}; they need both.")
    if not len(table):
        raise In9Error(f"The predictions {path} hold no row; write one for each image of each test set.")
    return table


def _answers(table: pd.DataFrame, path: Path) -> tuple[np.ndarray, np.ndarray | None, int | None]:
    """The answer of each row by the strict and by the restricted rule, and how many outputs there were, if known."""
    scores = [column for column in table if str(column).startswith("score_")]
    forms = [name for name in ("class", "imagenet_class", "strict") if name in table] + scores[:1]
    if len(forms) != 1:
        has = f"have {' and '.join(forms)}" if forms else "have none"
        raise In9Error(
            f"The predictions {path} need answers in one form, the column class, imagenet_class or strict, or columns "
            f"score_0, score_1 and so on; they {has}."
        )
    (form,) = forms
    mapping = imagenet_to_in9()
    if form == "imagenet_class":
        return mapping[_classes(table, form, 0, IMAGENET_CLASSES, path)], None, IMAGENET_CLASSES
    if form == "class":
        classes = _classes(table, form, UNMAPPED, NUM_CLASSES, path)
        return classes, None, NUM_CLASSES if classes.min() > UNMAPPED else None
    if form == "strict":
        strict = _classes(table, form, UNMAPPED, NUM_CLASSES, path)
        return strict, _classes(table, "restricted", 0, NUM_CLASSES, path) if "restricted" in table else None, None
    outputs = _scores(table, scores, path)
    if outputs.shape[1] == NUM_CLASSES:
        return outputs.argmax(1), None, NUM_CLASSES
    within = np.where(mapping == UNMAPPED, -np.inf, outputs)
    return mapping[outputs.argmax(1)], mapping[within.argmax(1)], IMAGENET_CLASSES


def _classes(table: pd.DataFrame, column: str, lowest: int, end: int, path: Path) -> np.ndarray:
    """A column of classes: int64 [N]."""
    names = {name: label for label, name in enumerate(CLASS_NAMES)} if end == NUM_CLASSES else {}
    numbers = pd.to_numeric(table[column].map(lambda value: names.get(value, value)), errors="coerce").to_numpy(float)
    wrong = ~((numbers >= lowest) & (numbers < end) & (numbers == np.floor(numbers)))
    if wrong.any():
        row = int(wrong.argmax())
        or_name = f", {UNMAPPED} for none, or a name of the nine" if names and lowest == UNMAPPED else ""
        or_name += "; ImageNet's 1,000 go into a column imagenet_class" if column == "class" else ""
        raise In9Error(
            f"The predictions {path} give {_row(table, row)} the {column} {table[column].iloc[row]}; it must be a "
            f"number from 0 to {end - 1}{or_name} ({wrong.sum()} of {len(table)} rows are wrong)."
        )
    return numbers.astype(np.int64)


def _scores(table: pd.DataFrame, columns: Sequence[str], path: Path) -> np.ndarray:
    """The columns of scores in the order of their numbers: float64 [N, 9 or 1,000]."""
    expected = {f"score_{output}": output for output in range(len(columns))}
    if len(columns) not in (NUM_CLASSES, IMAGENET_CLASSES) or set(columns) != set(expected):
        raise In9Error(
            f"The predictions {path} have {len(columns)} columns of scores, {columns[0]} to {columns[-1]}; there must "
            f"be {NUM_CLASSES}, score_0 to score_{NUM_CLASSES - 1}, or {IMAGENET_CLASSES:,}, "
            f"score_0 to score_{IMAGENET_CLASSES - 1}."
        )
    values = table[list(expected)].apply(pd.to_numeric, errors="coerce").to_numpy(float)
    wrong = ~np.isfinite(values).all(1)
    if wrong.any():
        raise In9Error(
            f"The predictions {path} have scores that are no finite numbers for {wrong.sum()} of {len(table)} rows, "
            f"first for {_row(table, int(wrong.argmax()))}."
        )
    return values


def _places(part: pd.DataFrame, images: TestImages, test: str, path: Path) -> np.ndarray:
    """The place in the file's table of the answer to each image of a test set, -1 where there is none: int64 [N]."""
    place = images.dataset.path if isinstance(images, DatasetImages) else images.released.folder
    ids, labels = images.ids(test), images.labels(test)
    row_of = {id_: row for row, id_ in enumerate(ids)}
    strange = [id_ for id_ in part["id"] if id_ not in row_of]
    if len(strange) == len(part):
        raise In9Error(
            f"The predictions {path} are of other images than {place}: none of their {len(part):,} ids of {test}, such "
            f"as {strange[0]}, is there, where ids are as {ids[0]}."
        )
    if strange:
        raise In9Error(
            f"The predictions {path} have {len(strange)} ids of {test} that {place} does not have "
            f"({', '.join(strange[:SHOWN])}{', ...' if len(strange) > SHOWN else ''}); leave them out, or give the "
            "data and the split that they belong to."
        )
    if (again := part["id"].duplicated()).any():
        first = part["id"][again].iloc[0]
        raise In9Error(
            f"The predictions {path} have more than one row for {again.sum()} images of {test}, first for {first}; "
            "keep one row for each image."
        )
    rows = np.array([row_of[id_] for id_ in part["id"]])
    if "label" in part:
        given = pd.to_numeric(part["label"], errors="coerce").to_numpy(float)
        if (wrong := given != labels[rows]).any():
            at = int(wrong.argmax())
            raise In9Error(
                f"The predictions {path} are of other images than {place}: for {wrong.sum()} of {test} the label "
                f"differs, first for {part['id'].iloc[at]}, {part['label'].iloc[at]} instead of {labels[rows[at]]}."
            )
    places = np.full(len(ids), -1)
    places[rows] = part.index.to_numpy()
    return places


def _row(table: pd.DataFrame, row: int) -> str:
    return f"{table['id'].iloc[row]} of {table['test'].iloc[row]}"
