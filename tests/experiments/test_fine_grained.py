"""The fine-grained look: table 3 case by case, the identity of its shares, and the pictures."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from in9.data import photographs
from in9.data.dataset import Dataset
from in9.data.variants import draw_backgrounds, load_pool
from in9.evaluation.predictions import TEST_SETS, Model, Predictions
from in9.experiments import fine_grained, paper
from in9.experiments.fine_grained import (
    ASPECTS,
    CATEGORIES,
    balance,
    categories,
    examples,
    misled,
    of_model,
    paths,
    shares,
)
from in9.scoring import showcase

quick = settings(max_examples=60, deadline=None, derandomize=True)


def predictions_on(labels: np.ndarray, classes: dict[str, np.ndarray]) -> Predictions:
    """The predictions of models, test set -> int [seeds, N], on images of these classes."""
    return Predictions(dict.fromkeys(classes, labels), {test: each[:, None] for test, each in classes.items()})


@st.composite
def models(draw: st.DrawFn) -> Predictions:
    """One to three models' predictions on 1 to 40 images, classes of any size."""
    images, seeds = draw(st.integers(1, 40)), draw(st.integers(1, 3))
    digits = st.integers(0, 8)
    labels = draw(hnp.arrays(np.int64, images, elements=digits))
    parts = {test: draw(hnp.arrays(np.int64, (seeds, images), elements=digits)) for test in ASPECTS.values()}
    # Most are right, so that every category occurs.
    right = {test: draw(hnp.arrays(np.bool_, (seeds, images))) for test in ASPECTS.values()}
    return predictions_on(labels, {test: np.where(right[test], labels, parts[test]) for test in ASPECTS.values()})


# --- the table --------------------------------------------------------------------------------------------------


def test_categories_are_those_of_the_papers_table() -> None:
    table = paper.table("fine_grained").set_index("category")
    assert list(table.index) == list(CATEGORIES)
    for full, foreground, background in np.ndindex(2, 2, 2):
        found = list(CATEGORIES)[int(categories(np.bool_(full), np.bool_(foreground), np.bool_(background)))]
        row = table.loc[found]
        if found == "bg_irrelevant":
            assert full == foreground
        else:
            words = ["yes" if one else "no" for one in (full, foreground, background)]
            assert words == [row["full"], row["foreground"], row["background"]]


def test_categories_keep_the_shape_and_refuse_other_input() -> None:
    flags = np.zeros((2, 5), bool)
    assert categories(flags, flags, flags).shape == (2, 5)
    assert categories(flags[:, None], flags, flags[:1]).shape == (2, 2, 5)  # several backgrounds for one object
    with pytest.raises(ValueError, match="broadcast"):
        categories(flags, flags[:, :3], flags)
    with pytest.raises(ValueError, match="bool"):
        categories(flags.astype(int), flags, flags)


def test_the_parts_are_test_sets() -> None:
    assert set(ASPECTS.values()) <= set(TEST_SETS)
    assert list(ASPECTS) == ["full", "foreground", "background"]


# --- shares -----------------------------------------------------------------------------------------------------


@quick
@given(models())
def test_required_minus_fools_is_the_difference_of_the_accuracies(predictions: Predictions) -> None:
    """The identity of paper.md, section 4.5: for the values and for the intervals, classes of any size."""
    left, right = balance(predictions)
    assert left == right
    found = shares(predictions)
    difference = predictions.accuracy("original").value - predictions.accuracy("mixed_rand").value
    assert found["required"].value - found["fools"].value == pytest.approx(difference, abs=1e-12)
    assert left.value == pytest.approx(difference, abs=1e-12)


def test_the_identity_holds_for_the_papers_numbers() -> None:
    """About 35 and about 3 fit the two accuracies of one model; those of three models they do not fit."""
    matrix = paper.train_test_matrix()
    printed = paper.fact("bg_required_share").value - paper.fact("bg_fools_share").value
    assert printed == pytest.approx(matrix.loc["original", "original"] - matrix.loc["original", "mixed_rand"], abs=1)
    assert abs(printed - (matrix.loc["original", "original"] - matrix.loc["mixed_rand", "mixed_rand"])) > 10


@quick
@given(models())
def test_shares_add_up(predictions: Predictions) -> None:
    found = {name: one.value for name, one in shares(predictions).items()}
    assert sum(found[name] for name in CATEGORIES) == pytest.approx(1)
    assert found["bg_required"] + found["bg_fg_required"] == pytest.approx(found["required"])
    assert found["bg_fools"] + found["bg_fg_fools"] == pytest.approx(found["fools"])
    assert found["both_right"] + found["both_wrong"] == pytest.approx(found["bg_irrelevant"])
    for one in shares(predictions).values():
        assert 0 <= one.low <= one.value <= one.high <= 1


@quick
@given(models())
def test_the_misled_are_fooled_by_the_background(predictions: Predictions) -> None:
    strict = misled(predictions)
    assert (of_model(predictions)[strict] == list(CATEGORIES).index("bg_fools")).all()
    full, background = predictions.classes["original"], predictions.classes["only_bg_t"]
    assert (full[strict] == background[strict]).all()
    assert not predictions.correct("original")[strict].any()


def test_misled_by_hand() -> None:
    labels = np.array([0, 0, 0, 0])
    model = predictions_on(
        labels,
        {
            "original": np.array([[3, 3, 3, 0]]),
            "mixed_rand": np.array([[0, 0, 1, 0]]),
            "only_bg_t": np.array([[3, 4, 3, 3]]),
        },
    )
    assert misled(model).tolist() == [[[True, False, False, False]]]


@quick
@given(models())
def test_paths_hold_every_image_once(predictions: Predictions) -> None:
    frame = paths(predictions)
    assert list(frame.columns) == ["full", "foreground", "background", "category", "share"]
    assert len(frame) == 8 and frame["share"].sum() == pytest.approx(1)
    for part, test in ASPECTS.items():
        assert frame.loc[frame[part], "share"].sum() == pytest.approx(predictions.accuracy(test).value)
    found = shares(predictions)
    for name, share in frame.groupby("category")["share"].sum().items():
        assert share == pytest.approx(found[str(name)].value)


# --- pictures ---------------------------------------------------------------------------------------------------


def made_up(dataset: Dataset) -> Predictions:
    """Predictions on a dataset's test images in which every category occurs, but BG Fools only once."""
    labels = load_pool(dataset, "test").labels.numpy()
    right = {test: np.ones(len(labels), bool) for test in ASPECTS.values()}
    ways = [(1, 0, 1), (1, 0, 0), (0, 1, 1), (1, 1, 0)]
    for row in range(len(labels)):
        way = (0, 1, 0) if row == 5 else ways[row % 4]
        for test, one in zip(ASPECTS.values(), way, strict=True):
            right[test][row] = bool(one)
    classes = {test: np.where(flags, labels, (labels + 1) % 9)[None] for test, flags in right.items()}
    return replace(predictions_on(labels, classes), models=(Model({"seed": 0}),))


def test_examples_are_of_their_category(dataset: Dataset) -> None:
    predictions, pool = made_up(dataset), load_pool(dataset, "test")
    found = examples(predictions, dataset, number=2)
    assert list(found) == list(CATEGORIES)
    backgrounds = draw_backgrounds("mixed_rand", pool, 0)[0]
    for index, (name, pictures) in enumerate(found.items()):
        assert len(pictures) == 6
        if name == "bg_fools":
            assert pictures[3:] == [None] * 3
            pictures = pictures[:3]
        for start in range(0, len(pictures), 3):
            full, foreground, background = (one for one in pictures[start : start + 3] if one is not None)
            flags = [np.array(predicted == true) for _, predicted, true in (full, foreground, background)]
            assert categories(*flags) == index
            (row,) = (one for one in range(len(pool)) if np.array_equal(pool.images[one].permute(1, 2, 0), full[0]))
            assert of_model(predictions)[0, 0, row] == index
            assert np.array_equal(background[0], pool.tiles[row].permute(1, 2, 0))
            mask = pool.masks[row, 0].numpy()
            assert np.array_equal(foreground[0][mask], full[0][mask])
            other = pool.tiles[backgrounds[row]].permute(1, 2, 0).numpy()
            assert np.array_equal(foreground[0][~mask], other[~mask])
            assert full[2] == pool.labels[row]


def test_examples_are_of_different_classes_and_repeat(dataset: Dataset) -> None:
    predictions = made_up(dataset)
    first, second = (examples(predictions, dataset, number=3) for _ in range(2))
    for name, pictures in first.items():
        classes = [one[2] for one in pictures[::3] if one is not None]
        assert len(set(classes)) == len(classes)
        assert [one and one[1:] for one in pictures] == [one and one[1:] for one in second[name]]


def test_predictions_on_other_images_have_no_pictures(dataset: Dataset) -> None:
    labels = np.arange(9)
    other = replace(predictions_on(labels, dict.fromkeys(ASPECTS.values(), labels[None])), models=(Model({"seed": 0}),))
    with pytest.raises(ValueError, match="the predictions are of 9 images"):
        fine_grained.examples(other, dataset)


def test_required_images_are_counted_on_backgrounds_of_other_classes() -> None:
    labels = np.array([0, 0, 1, 1])
    wrong = 1 - labels
    classes = {"original": labels[None], "mixed_rand": np.array([[1, 0, 1, 1]]), "only_bg_t": wrong[None]}
    models = predictions_on(labels, classes)
    assert np.isnan(fine_grained.required_on_other_classes(models))
    known = replace(models, backgrounds={"mixed_rand": np.array([[2, 1, 0, 2]])})  # the second and fourth are own
    assert fine_grained.required_on_other_classes(known) == 0.5
    assert shares(known)["required"].value == 0.25


def test_photographs_fall_into_the_categories_of_their_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    painted = photographs.painted(32)
    labels, number = painted.labels, len(painted)
    wrong = np.tile(((labels + 1) % 9)[:, None], number)
    pairs = showcase.AnsweredPairs(labels, np.arange(number) > 0, labels, wrong)
    drawn = fine_grained.of_illustrations(painted, pairs)
    assert set(drawn["category"]) == {""} and sorted(drawn["label"]) == list(range(9))
    shown, words = fine_grained.three_pictures(painted, drawn.head(2))
    assert [len(images) for images in shown.values()] == [3, 3] and list(words.values()) == [[""] * 3] * 2

    background = np.where(labels == 3, labels, 8)
    monkeypatch.setattr(showcase, "answers", lambda images: showcase.Replies(background, background, background))
    looked = fine_grained.of_illustrations(replace(painted, drawn=False), pairs)
    expected = np.where(np.isin(looked["label"], (3, 8)), "BG Required", "BG+FG Required")
    assert looked["category"].tolist() == expected.tolist() and 0 not in set(looked["row"]) | set(looked["background"])
    _, words = fine_grained.three_pictures(painted, looked[looked["label"] == 3])
    assert words == {"BG Required reptile": ["✓ reptile", "✗ carnivore", "✓ reptile"]}


# --- figures ----------------------------------------------------------------------------------------------------


def test_the_flow_has_a_band_for_every_step() -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib.colors import to_hex
    from matplotlib.patches import PathPatch

    from in9.plots import charts, style

    assert list(style.CATEGORY_COLOURS) == list(CATEGORIES)
    frame = pd.DataFrame(
        [
            {"full": full, "foreground": front, "background": back, "share": 1 / 8}
            for full in (True, False)
            for front in (True, False)
            for back in (True, False)
        ]
    )
    names = list(CATEGORIES)
    frame["category"] = [
        names[number] for number in categories(frame["full"], frame["foreground"], frame["background"])
    ]
    with mpl.rc_context():
        style.use("svg")
        figure = charts.flow({"a": frame, "b": frame}, dict.fromkeys(ASPECTS, "x"), CATEGORIES).figure
        assert [axis.get_title() for axis in figure.axes] == ["a", "b"]
        for axis in figure.axes:
            bands = [one for one in axis.patches if isinstance(one, PathPatch)]
            assert len(bands) == 16
            heights = [one.get_path().vertices[0, 1] - one.get_path().vertices[7, 1] for one in bands]
            assert heights == pytest.approx([12.5] * 16)
            assert {to_hex(one.get_facecolor()) for one in bands} == set(style.CATEGORY_COLOURS.values())
            assert [text.get_text() for text in axis.texts] == ["right 50 %", "wrong 50 %"] * 3
        figure.savefig("/dev/null", format="svg")


def test_overlays_are_pictures() -> None:
    from in9.plots import pictures

    image = np.full((8, 8, 3), 90, np.uint8)
    mask = np.zeros((8, 8), bool)
    mask[2:6, 2:6] = True
    edge = pictures.outlined(image, mask)
    assert (edge != image).any(axis=2).sum() == 12 and (edge[3:5, 3:5] == 90).all()
    heat = np.zeros((8, 8), np.float32)
    heat[4, 4] = 3
    for one in (heat, np.zeros_like(heat), np.ones_like(heat)):
        shown = pictures.heated(image, one)
        assert shown.shape == image.shape and shown.dtype == np.uint8
    shown = pictures.heated(image, heat).astype(int).sum(axis=2)
    assert np.unravel_index(shown.argmax(), shown.shape) == (4, 4)
