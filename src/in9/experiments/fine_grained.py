"""The fine-grained look: which images need their background, and which are lost by it (paper, table 3, figure 7).

Three predictions for each test image stand for three things: that on Original for the whole image, that on Mixed-Rand
for the foreground, that on Only-BG-T for the background. Which of them are right puts the image into one of five
categories. All three predictions are those of one model. Three models, each tested on what it was trained on, are the
other way to read the paper, which its shares rule out: the Required and the Fools differ by as much as the accuracies
of one model do, not by as much as those of two.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from in9.data.dataset import Dataset
from in9.data.photographs import Illustrations
from in9.data.variants import composer, draw_backgrounds, load_pool
from in9.evaluation.estimates import Estimate, Term
from in9.evaluation.predictions import Predictions
from in9.scoring import showcase
from in9.seeds import uniforms
from in9.taxonomy import CLASS_NAMES

ASPECTS = {"full": "original", "foreground": "mixed_rand", "background": "only_bg_t"}
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
    """The category of each image by table 3: int64, the place in ``CATEGORIES``, of the arguments' common shape.

    The arguments say whether the prediction on each part is right: bool, of shapes that broadcast, since the foreground
    may be seen on several backgrounds. Raises ValueError otherwise.
    """
    parts = [np.asarray(part) for part in (full, foreground, background)]
    if any(part.dtype != np.bool_ for part in parts):
        raise ValueError("full, foreground and background must be bool arrays")
    whole, front, back = np.broadcast_arrays(*parts)
    choices = [whole & ~front & back, whole & ~front & ~back, ~whole & front & ~back, ~whole & front & back]
    return np.select(choices, range(4), 4)


def of_model(models: Predictions) -> np.ndarray:
    """The category of each image for one model, which makes all three predictions: int64 [models, draws, N]."""
    return categories(*(models.correct(test) for test in ASPECTS.values()))


def _among(category: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
    """Whether each category is one of those, by name: bool, of the same shape."""
    return np.isin(category, [_ORDER.index(name) for name in names])


def misled(models: Predictions) -> np.ndarray:
    """The paper's stricter fooled images (appendix): bool [models, draws, N].

    The foreground is right; full image and background are given the same wrong class. All of them are BG Fools.
    """
    full, _, background = (models.classes[test] for test in ASPECTS.values())
    return (of_model(models) == _ORDER.index("bg_fools")) & (full == background)


def share(flags: ArrayLike, models: Predictions) -> Estimate:
    """The class-balanced share of test images, bool [models, draws, N], with its interval."""
    return models.share(np.asarray(flags), ASPECTS["foreground"])


def shares(models: Predictions) -> dict[str, Estimate]:
    """What there is to know of one model, each a share of the test images with its interval.

    The five categories; ``required`` and ``fools``, each the sum of two; ``misled``; and the two halves of BG
    Irrelevant, ``both_right`` and ``both_wrong``.
    """
    category = of_model(models)
    full = models.correct(ASPECTS["full"])
    rest = category == _ORDER.index("bg_irrelevant")
    flags = {name: category == number for number, name in enumerate(_ORDER)}
    flags |= {
        "required": _among(category, REQUIRED),
        "fools": _among(category, FOOLS),
        "misled": misled(models),
        "both_right": rest & full,
        "both_wrong": rest & ~full,
    }
    return {name: share(members, models) for name, members in flags.items()}


def balance(models: Predictions) -> tuple[Estimate, Estimate]:
    """Both sides of an identity: the Required minus the Fools, and accuracy on Original minus that on Mixed-Rand.

    An image counts in the first exactly as it does in the second: +1, -1 or 0. So do their intervals.
    """
    category = of_model(models)
    required, fools = _among(category, REQUIRED), _among(category, FOOLS)
    backgrounds = models.backgrounds.get(ASPECTS["foreground"])
    left = models.sum_of([Term(required.astype(float) - fools, backgrounds)], ASPECTS["foreground"])
    return left, models.difference(ASPECTS["full"], ASPECTS["foreground"])


def required_on_other_classes(models: Predictions) -> float:
    """The class-balanced share of Required images on backgrounds of other classes; NaN if those are not known."""
    labels, backgrounds = models.labels[ASPECTS["foreground"]], models.backgrounds.get(ASPECTS["foreground"])
    if backgrounds is None:
        return float("nan")
    required = _among(of_model(models), REQUIRED).mean(axis=0)
    foreign = labels[backgrounds] != labels
    return float(np.mean([required[foreign & (labels == label)].mean() for label in np.unique(labels)]))


def paths(models: Predictions) -> pd.DataFrame:
    """The eight ways through right and wrong: full, foreground, background (bool), category, share (balanced)."""
    parts = [models.correct(test) for test in ASPECTS.values()]
    rows = []
    for way in np.ndindex(2, 2, 2):
        right = [not wrong for wrong in way]
        flags = np.logical_and.reduce(
            np.broadcast_arrays(*(part == wanted for part, wanted in zip(parts, right, strict=True)))
        )
        category = _ORDER[int(categories(*(np.array([flag]) for flag in right))[0])]
        rows.append(
            dict(zip(ASPECTS, right, strict=True)) | {"category": category, "share": share(flags, models).value}
        )
    return pd.DataFrame(rows)


def examples(
    models: Predictions, dataset: Dataset, number: int = 2, seed: int = 0
) -> dict[str, list[tuple[np.ndarray, int, int] | None]]:
    """Some images of each category, by the first model's predictions in the first draw.

    They are category -> pictures, three for each image. A picture is (image uint8 [S, S, 3], predicted class, true
    class), in the order of ``ASPECTS``. Hashed ids choose the images, of different classes as far as possible; None
    stands for what a category does not have. ``seed`` is the backgrounds' of the evaluation.
    """
    models = models.of_seeds(models.seeds[:1])
    pool = load_pool(dataset.of_fold(models.models[0].recipe.get("fold")), "test")
    category_of, labels = of_model(models)[0, 0], models.labels[ASPECTS["full"]]
    if len(pool) != len(category_of):
        raise ValueError(f"the predictions are of {len(category_of)} images, the dataset has {len(pool)}")
    composers = {test: composer(test, pool, seed) for test in ASPECTS.values()}
    order = np.argsort(uniforms(0, "breakdown", pool.ids), kind="stable")
    result: dict[str, list[tuple[np.ndarray, int, int] | None]] = {}
    for index, category in enumerate(CATEGORIES):
        members = [int(row) for row in order if category_of[row] == index]
        turn = pd.Series(labels[members]).groupby(labels[members]).cumcount().to_numpy()  # one of each class at a time
        chosen = [members[place] for place in np.argsort(turn, kind="stable")[:number]]
        pictures: list[tuple[np.ndarray, int, int] | None] = []
        for row in chosen:
            for test, composed in composers.items():
                image = composed(pool.labels.new_tensor([row]))[0].permute(1, 2, 0).numpy()
                pictures.append((image, int(models.classes[test][0, 0, row]), int(labels[row])))
        result[category] = pictures + [None] * (len(ASPECTS) * number - len(pictures))
    return result


def marked(answer: int, label: int) -> str:
    """An answer in words, with a tick if it is right."""
    return f"{'✓' if answer == label else '✗'} {CLASS_NAMES[answer]}"


def of_illustrations(illustrations: Illustrations, pairs: showcase.AnsweredPairs, draws: int = 8) -> pd.DataFrame:
    """The categories of photographs by EfficientNet-Lite0, one photograph of each class in each category.

    Each object is seen on so many random backgrounds of other classes; photographs in whose background more of their
    class is left are not used. Columns row and background (of the illustrations), label, category, and the classes
    answered: full, foreground, alone. Where there are no photographs or no network, the category is empty.
    """
    pool, labels, rows = illustrations.pool(), illustrations.labels, np.arange(len(illustrations))
    drawn = [draw_backgrounds(ASPECTS["foreground"], pool, seed)[0].numpy() for seed in range(draws)]
    frame = pd.concat([pd.DataFrame({"row": rows, "background": each}) for each in drawn], ignore_index=True)
    frame["label"] = labels[frame["row"]]
    clean = pairs.clean[frame["row"]] & pairs.clean[frame["background"]]
    frame = frame[clean & (labels[frame["background"]] != frame["label"])]
    answered = None if illustrations.drawn else showcase.answers(pool.tiles)
    if answered is None:
        return frame.assign(category="").drop_duplicates("label")
    row, background = frame["row"].to_numpy(), frame["background"].to_numpy()
    frame = frame.assign(full=pairs.alone[row], foreground=pairs.classes[row, background], alone=answered.classes[row])
    numbers = categories(*(frame[part] == frame["label"] for part in ("full", "foreground", "alone")))
    frame["category"] = pd.Categorical.from_codes(numbers, list(CATEGORIES.values()))
    return frame.sort_values("category", kind="stable").drop_duplicates(["category", "label"])


def three_pictures(
    illustrations: Illustrations, looked: pd.DataFrame
) -> tuple[dict[str, list[np.ndarray]], dict[str, list[str]]]:
    """Whole image, object on its random background, and background alone, of rows of ``of_illustrations``.

    By a name for each: pictures uint8 [S, S, 3], and words to stand below them.
    """
    shown, words = {}, {}
    for row in looked.itertuples():
        name, backgrounds = f"{row.category} {CLASS_NAMES[row.label]}", {ASPECTS["foreground"]: [row.background]}
        shown[name] = [illustrations.variant(test, [row.row], backgrounds.get(test))[0] for test in ASPECTS.values()]
        answered = (row.full, row.foreground, row.alone) if row.category else ()
        words[name] = [marked(answer, row.label) for answer in answered] or [""] * len(ASPECTS)
    return shown, words
