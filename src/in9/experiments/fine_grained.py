"""The fine-grained look: which images need their background, and which are lost by it (paper, table 3, figure 7).

Three predictions for each test image stand for three things: that on Original for the whole image, that on Mixed-Rand
for the foreground, that on Only-BG-T for the background. Which of them are right puts the image into one of five
categories. All three are answers of one model; see ``of_three`` for the other way to read the paper.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from in9.data.variants import compose, draw_backgrounds, load_pool
from in9.evaluation import estimates
from in9.evaluation.estimates import Estimate
from in9.seeds import uniforms

if TYPE_CHECKING:
    from in9.data.dataset import Dataset
    from in9.study.study import Answers

PARTS = {"full": "original", "foreground": "mixed_rand", "background": "only_bg_t"}
"""What stands for the whole image, its foreground and its background: the test sets of the three predictions."""

CATEGORIES = {
    "bg_required": "BG Required",
    "bg_fg_required": "BG+FG Required",
    "bg_fools": "BG Fools",
    "bg_fg_fools": "BG+FG Fools",
    "bg_irrelevant": "BG Irrelevant",
}
REQUIRED = ("bg_required", "bg_fg_required")
FOOLS = ("bg_fools", "bg_fg_fools")
_ORDER = tuple(CATEGORIES)


def categories(full: ArrayLike, foreground: ArrayLike, background: ArrayLike) -> np.ndarray:
    """The category of each image by table 3: int64, the place in ``CATEGORIES``, of the arguments' shape.

    The arguments say whether the prediction on each part is right: bool, of one shape. Raises ValueError otherwise.
    """
    parts = [np.asarray(part) for part in (full, foreground, background)]
    if any(part.dtype != np.bool_ or part.shape != parts[0].shape for part in parts):
        raise ValueError("full, foreground and background must be bool arrays of one shape")
    whole, front, back = parts
    choices = [whole & ~front & back, whole & ~front & ~back, ~whole & front & ~back, ~whole & front & back]
    return np.select(choices, range(4), 4)


def of_model(answers: Answers) -> np.ndarray:
    """The category of each image for one model, which makes all three predictions: int64 [seeds, N]."""
    return categories(*(answers.correct(test) for test in PARTS.values()))


def of_three(full: Answers, foreground: Answers, background: Answers) -> np.ndarray:
    """The other reading: three models, each tested on what it was trained on (PARTS): int64 [seeds, N].

    Under it, the difference between the Required and the Fools is that of two models' accuracies. The paper's shares
    rule it out: they differ by as much as the two accuracies of one model do.
    """
    three = zip((full, foreground, background), PARTS.values(), strict=True)
    return categories(*(answers.correct(test) for answers, test in three))


def misled(answers: Answers) -> np.ndarray:
    """The paper's stricter fooled images (appendix): bool [seeds, N].

    The foreground is right; full image and background are given the same wrong class. All of them are BG Fools.
    """
    full, _, background = (answers.predictions(test) for test in PARTS.values())
    return (of_model(answers) == _ORDER.index("bg_fools")) & (full == background)


def share(flags: ArrayLike, answers: Answers) -> Estimate:
    """The class-balanced share of test images, bool [seeds, N], with its interval."""
    return estimates.accuracy(flags, answers.labels(PARTS["full"]))


def shares(answers: Answers) -> dict[str, Estimate]:
    """What there is to know of one model, each a share of the test images with its interval.

    The five categories; ``required`` and ``fools``, each the sum of two; ``misled``; and the two halves of BG
    Irrelevant, ``both_right`` and ``both_wrong``.
    """
    found = of_model(answers)
    full = answers.correct(PARTS["full"])
    rest = found == _ORDER.index("bg_irrelevant")
    flags = {name: found == number for number, name in enumerate(_ORDER)}
    flags |= {
        "required": np.isin(found, [_ORDER.index(name) for name in REQUIRED]),
        "fools": np.isin(found, [_ORDER.index(name) for name in FOOLS]),
        "misled": misled(answers),
        "both_right": rest & full,
        "both_wrong": rest & ~full,
    }
    return {name: share(one, answers) for name, one in flags.items()}


def balance(answers: Answers) -> tuple[Estimate, Estimate]:
    """Both sides of an identity: the Required minus the Fools, and accuracy on Original minus that on Mixed-Rand.

    An image counts in the first exactly as it does in the second: +1, -1 or 0. So do their intervals.
    """
    found = of_model(answers)
    required, fools = (np.isin(found, [_ORDER.index(name) for name in names]) for names in (REQUIRED, FOOLS))
    left = estimates.paired_difference(required, fools, answers.labels(PARTS["full"]))
    return left, answers.difference(PARTS["full"], PARTS["foreground"])


def paths(answers: Answers) -> pd.DataFrame:
    """The eight ways through right and wrong: full, foreground, background (bool), category, share (balanced)."""
    parts = [answers.correct(test) for test in PARTS.values()]
    found = of_model(answers)
    rows = []
    for way in np.ndindex(2, 2, 2):
        right = [not wrong for wrong in way]
        flags = np.logical_and.reduce([part == one for part, one in zip(parts, right, strict=True)])
        category = _ORDER[int(categories(*(np.array([one]) for one in right))[0])]
        assert (found[flags] == _ORDER.index(category)).all()
        rows.append(dict(zip(PARTS, right, strict=True)) | {"category": category, "share": share(flags, answers).value})
    return pd.DataFrame(rows)


def examples(
    answers: Answers, dataset: Dataset, number: int = 2, seed: int = 0
) -> dict[str, list[tuple[np.ndarray, int, int] | None]]:
    """Some images of each category, by the first model's answers: category -> pictures, three for each image.

    A picture is (image uint8 [S, S, 3], predicted class, true class), in the order of ``PARTS``. The images are drawn
    by hashing their ids, of different classes while there are some; None stands for what a category does not have.
    ``seed`` is the backgrounds' of the evaluation.
    """
    pool = load_pool(dataset, "test")
    found, labels = of_model(answers)[0], answers.labels(PARTS["full"])
    if len(pool) != len(found):
        raise ValueError(f"the answers are of {len(found)} images, the dataset has {len(pool)}")
    drawn = draw_backgrounds(PARTS["foreground"], pool, seed)[0]
    order = np.argsort(uniforms(0, "breakdown", pool.ids), kind="stable")
    result: dict[str, list[tuple[np.ndarray, int, int] | None]] = {}
    for index, category in enumerate(CATEGORIES):
        members = [int(row) for row in order if found[row] == index]
        turn = pd.Series(labels[members]).groupby(labels[members]).cumcount().to_numpy()  # one of each class at a time
        chosen = [members[place] for place in np.argsort(turn, kind="stable")[:number]]
        pictures: list[tuple[np.ndarray, int, int] | None] = []
        for row in chosen:
            for test in PARTS.values():
                where = pool.labels.new_tensor([row])
                image = compose(test, pool, where, drawn[where] if test == PARTS["foreground"] else None)
                predicted = int(answers.predictions(test)[0, row])
                pictures.append((image[0].permute(1, 2, 0).numpy(), predicted, int(labels[row])))
        result[category] = pictures + [None] * (len(PARTS) * number - len(pictures))
    return result
