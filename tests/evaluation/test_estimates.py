"""Intervals and tests: against SciPy, against their own definitions, and by simulation."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from in9.evaluation.estimates import (
    Estimate,
    accuracy,
    class_weights,
    mcnemar,
    paired_difference,
    paired_mean_difference,
    rate,
    wilson,
)
from in9.seeds import generator

quick = settings(max_examples=60, deadline=None, derandomize=True)


@st.composite
def answers(draw: st.DrawFn, arrays: int = 1, seeds: int | None = None) -> tuple[np.ndarray, ...]:
    """``arrays`` arrays of answers [seeds, images] and their labels [images]."""
    images = draw(st.integers(1, 40))
    rows = draw(st.integers(1, 4)) if seeds is None else seeds
    labels = draw(hnp.arrays(np.int64, images, elements=st.integers(0, 8)))
    return (*(draw(hnp.arrays(np.bool_, (rows, images))) for _ in range(arrays)), labels)


# --- Estimate ------------------------------------------------------------------------------------------------


def test_estimate_in_percent_and_text() -> None:
    one = Estimate(0.793, 0.779, 0.806)
    assert one.text() == "79.3 [77.9, 80.6]"
    assert one.text(2) == "79.30 [77.90, 80.60]"
    assert one.in_percent() == pytest.approx((79.3, 77.9, 80.6))
    assert one.in_percent().low == pytest.approx(77.9)
    assert Estimate(-0.0001, -0.0002, 0.0).text() == "0.0 [0.0, 0.0]"


# --- Wilson --------------------------------------------------------------------------------------------------


@quick
@given(st.integers(1, 5000), st.floats(0, 1), st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_wilson_agrees_with_scipy(trials: int, share: float, level: float) -> None:
    successes = round(share * trials)
    ours = wilson(successes, trials, level)
    theirs = stats.binomtest(successes, trials).proportion_ci(level, method="wilson")
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)
    assert ours.value == successes / trials
    assert ours.level == level


@quick
@given(st.floats(0.01, 1e6), st.floats(0, 1))
def test_wilson_takes_fractional_counts(trials: float, share: float) -> None:
    one = wilson(share * trials, trials)
    assert 0 <= one.low <= one.value <= one.high <= 1


@pytest.mark.parametrize(("successes", "trials"), [(1, 0), (-1, 4), (5, 4), (float("nan"), 4), (1, -2)])
def test_wilson_rejects_impossible_counts(successes: float, trials: float) -> None:
    with pytest.raises(ValueError, match="successes"):
        wilson(successes, trials)


@pytest.mark.parametrize("level", [0, 1, 95, -0.1])
def test_impossible_levels(level: float) -> None:
    with pytest.raises(ValueError, match="level"):
        wilson(1, 2, level)
    with pytest.raises(ValueError, match="level"):
        paired_difference([True], [True], [0], level=level)


# --- class weights -------------------------------------------------------------------------------------------


@quick
@given(answers())
def test_class_weights_give_each_class_the_same(sample: tuple[np.ndarray, ...]) -> None:
    _, labels = sample
    weights = class_weights(labels)
    present = np.unique(labels)
    assert weights.shape == labels.shape
    assert weights.sum() == pytest.approx(1)
    for label in present:
        assert weights[labels == label].sum() == pytest.approx(1 / len(present))
        assert len(np.unique(weights[labels == label])) == 1


# --- accuracy ------------------------------------------------------------------------------------------------


@quick
@given(answers())
def test_accuracy_interval_holds_the_value(sample: tuple[np.ndarray, ...]) -> None:
    correct, labels = sample
    one = accuracy(correct, labels, draws=200)
    assert 0 <= one.low <= one.value <= one.high <= 1
    classes = [correct[:, labels == label].mean() for label in np.unique(labels)]
    assert one.value == pytest.approx(np.mean(classes))


@quick
@given(answers(), st.randoms(use_true_random=False))
def test_accuracy_does_not_depend_on_the_order_of_images(sample: tuple[np.ndarray, ...], random) -> None:
    correct, labels = sample
    order = np.arange(len(labels))
    random.shuffle(order)
    assert accuracy(correct, labels, draws=200) == accuracy(correct[:, order], labels[order], draws=200)


@quick
@given(st.integers(1, 9), st.integers(1, 30), st.integers(0, 2**32 - 1))
def test_balanced_accuracy_is_plain_wilson(classes: int, each: int, seed: int) -> None:
    labels = np.repeat(np.arange(classes), each)
    correct = np.random.default_rng(seed).random(classes * each) < 0.7
    ours, plain = accuracy(correct, labels), wilson(int(correct.sum()), correct.size)
    assert (ours.value, ours.low, ours.high) == pytest.approx((plain.value, plain.low, plain.high), abs=1e-12)


def test_unbalanced_classes_count_the_same() -> None:
    """90 right of 90 and 0 right of 10 is one half, at the precision of 36 images, not of 100."""
    labels = np.repeat([0, 1], [90, 10])
    one = accuracy(labels == 0, labels)
    assert one.value == pytest.approx(0.5)
    expected = wilson(18, 36)
    assert (one.low, one.high) == pytest.approx((expected.low, expected.high))


def test_one_row_is_the_same_as_no_row() -> None:
    labels = np.arange(30) % 3
    correct = np.arange(30) % 4 > 0
    assert accuracy(correct[None], labels) == accuracy(correct, labels)


def test_seeds_widen_the_interval() -> None:
    draw = generator(0, "test")
    labels = np.repeat(np.arange(9), 50)
    same = np.repeat(draw.random((1, 450)) < 0.7, 3, axis=0)
    apart = np.stack([draw.random(450) < share for share in (0.5, 0.7, 0.9)])
    for correct in (same, apart):
        mean = correct.mean()
        plain = wilson(mean * 450, 450)
        one = accuracy(correct, labels)
        assert one.value == pytest.approx(mean)
        assert one.low <= plain.low + 1e-12
        assert one.high >= plain.high - 1e-12
    wide = accuracy(apart, labels)
    assert wide.high - wide.low > 0.2


def test_all_right_with_several_seeds_is_not_certain() -> None:
    one = accuracy(np.ones((3, 90), dtype=bool), np.arange(90) % 9)
    assert (one.value, one.high) == (1.0, 1.0)
    assert one.low < 0.97


# --- paired difference ---------------------------------------------------------------------------------------


@quick
@given(answers(arrays=2))
def test_paired_difference_is_antisymmetric(sample: tuple[np.ndarray, ...]) -> None:
    first, second, labels = sample
    one = paired_difference(first, second, labels, draws=200)
    other = paired_difference(second, first, labels, draws=200)
    assert (other.value, other.low, other.high) == (-one.value, -one.high, -one.low)
    assert -1 - 1e-9 <= one.low <= one.value <= one.high <= 1 + 1e-9


@quick
@given(answers(arrays=2))
def test_paired_difference_is_the_difference_of_accuracies(sample: tuple[np.ndarray, ...]) -> None:
    first, second, labels = sample
    expected = accuracy(first, labels, draws=2).value - accuracy(second, labels, draws=2).value
    assert paired_difference(first, second, labels, draws=2).value == pytest.approx(expected, abs=1e-12)


def test_equal_differences_have_no_width() -> None:
    labels = np.arange(90) % 9
    right = labels % 2 == 0
    assert paired_difference(right, right, labels) == Estimate(0.0, 0.0, 0.0)
    shifted = paired_difference(np.ones(90, dtype=bool), np.zeros(90, dtype=bool), labels)
    assert (shifted.value, shifted.low, shifted.high) == pytest.approx((1, 1, 1))


def test_paired_difference_repeats_and_follows_the_seed() -> None:
    draw = generator(1, "test")
    labels = np.arange(270) % 9
    first, second = draw.random(270) < 0.8, draw.random(270) < 0.6
    assert paired_difference(first, second, labels) == paired_difference(first, second, labels)
    assert paired_difference(first, second, labels) != paired_difference(first, second, labels, seed=1)


def test_pairing_narrows_the_interval() -> None:
    draw = generator(2, "test")
    labels = np.arange(900) % 9
    first = draw.random(900) < 0.7
    second = first & (draw.random(900) < 0.95)
    paired = paired_difference(first, second, labels)
    unpaired = paired_difference(first, second[::-1], labels)  # unrelated images side by side
    assert paired.high - paired.low < 0.6 * (unpaired.high - unpaired.low)


def test_width_agrees_with_resampling_images_one_by_one() -> None:
    """The multinomial over patterns has the spread of the textbook bootstrap, unbalanced classes included."""
    draw = generator(3, "test")
    labels = np.repeat([0, 1, 2], [200, 60, 20])
    first, second = draw.random((2, 3, 280)) < np.array([0.8, 0.6])[:, None, None]
    ours = paired_difference(first, second, labels, draws=4000)
    textbook = []
    for _ in range(4000):
        images = np.concatenate([draw.choice(np.flatnonzero(labels == one), (labels == one).sum()) for one in range(3)])
        rows = draw.integers(0, 3, 3)
        picked = first[rows][:, images].astype(float) - second[rows][:, images]
        textbook.append(np.mean([picked[:, labels == one].mean() for one in range(3)]))
    low, high = np.quantile(textbook, [0.025, 0.975])
    assert (ours.low, ours.high) == pytest.approx((low, high), abs=0.01)


def test_coverage_of_paired_difference() -> None:
    """200 samples from a known population: about 95 % of the intervals hold the true difference."""
    labels = np.repeat(np.arange(9), [60, 50, 40, 30, 30, 30, 30, 20, 20])
    easy = np.linspace(0.5, 0.95, 9)  # accuracy on the first set, by class
    drop = np.linspace(0.05, 0.4, 9)  # share of those right answers that the second set loses
    truth = float(np.mean(easy * drop))
    held = 0
    for repeat in range(200):
        draw = generator(repeat, "coverage")
        first = draw.random(len(labels)) < easy[labels]
        second = first & (draw.random(len(labels)) >= drop[labels])
        one = paired_difference(first, second, labels, draws=1000, seed=repeat)
        held += one.low <= truth <= one.high
    assert 0.90 <= held / 200 <= 0.99


def test_paired_difference_is_fast_at_the_size_of_the_paper() -> None:
    """4,050 images and 2,000 draws: a tenth of a second or so; the bound leaves room for a busy machine."""
    draw = generator(4, "test")
    labels = np.repeat(np.arange(9), 450)
    first, second = draw.random((2, 5, 4050)) < 0.7
    start = time.perf_counter()
    paired_difference(first, second, labels)
    assert time.perf_counter() - start < 3


# --- paired difference of means ------------------------------------------------------------------------------


@quick
@given(answers(arrays=2))
def test_means_of_flags_are_accuracies(sample: tuple[np.ndarray, ...]) -> None:
    first, second, labels = sample
    ours = paired_mean_difference(first, second, labels, draws=50)
    assert ours.value == pytest.approx(paired_difference(first, second, labels, draws=2).value, abs=1e-12)
    assert ours.low <= ours.value <= ours.high


def test_paired_mean_difference_is_antisymmetric_and_ignores_the_order_of_images() -> None:
    draw = generator(5, "test")
    labels = np.repeat([0, 1, 2], [20, 7, 3])
    first, second = draw.random((2, 2, 30))
    one, other = paired_mean_difference(first, second, labels), paired_mean_difference(second, first, labels)
    assert (other.value, other.low, other.high) == (-one.value, -one.high, -one.low)
    order = draw.permutation(30)
    shuffled = paired_mean_difference(first[:, order], second[:, order], labels[order])
    assert (shuffled.value, shuffled.low, shuffled.high) == pytest.approx((one.value, one.low, one.high))


def test_means_count_every_class_the_same() -> None:
    labels = np.repeat([0, 1], [90, 10])
    one = paired_mean_difference(np.where(labels == 0, 0.2, 0.6), 0, labels)
    assert (one.value, one.low, one.high) == pytest.approx((0.4, 0.4, 0.4))


def test_interval_of_a_mean_is_that_of_its_standard_error() -> None:
    values = generator(6, "test").normal(0.3, 0.1, 900)
    one = paired_mean_difference(values, 0, np.arange(900) % 9)
    assert (one.high - one.low) / 2 == pytest.approx(1.96 * values.std() / 30, rel=0.08)


@pytest.mark.parametrize("values", [[], [0.5, float("nan")], np.zeros((1, 1, 2))])
def test_means_of_nothing(values: object) -> None:
    with pytest.raises(ValueError, match="the differences"):
        paired_mean_difference(values, 0, [0, 1])


# --- McNemar and rates ---------------------------------------------------------------------------------------


def test_mcnemar() -> None:
    first = np.array([True] * 8 + [False] * 2 + [True] * 20)
    second = np.array([False] * 8 + [True] * 2 + [True] * 20)
    expected = 2 * stats.binom.cdf(2, 10, 0.5)
    assert mcnemar(first, second) == pytest.approx(expected)
    assert mcnemar(second, first) == pytest.approx(expected)
    assert mcnemar(first[None], second[None]) == pytest.approx(expected)
    assert mcnemar(first, first) == 1.0


def test_rate_is_wilson_of_the_counts() -> None:
    assert rate([True, True, False, True]) == wilson(3, 4)
    assert rate(np.array([1, 0, 0]), level=0.9) == wilson(1, 3, 0.9)


# --- wrong calls ---------------------------------------------------------------------------------------------


def test_wrong_calls() -> None:
    flags = np.ones(4, dtype=bool)
    with pytest.raises(ValueError, match="one label for each of 4 images"):
        accuracy(flags, [0, 1, 2])
    with pytest.raises(ValueError, match="not empty"):
        accuracy([], [])
    with pytest.raises(ValueError, match="not empty"):
        class_weights([])
    with pytest.raises(ValueError, match="not empty"):
        rate([])
    with pytest.raises(ValueError, match="expected the same"):
        paired_difference(flags, flags[:3], [0, 1, 2, 3])
    with pytest.raises(ValueError, match="the same images"):
        mcnemar(flags, flags[:3])
    with pytest.raises(ValueError, match="one, shape"):
        mcnemar(np.ones((2, 4), dtype=bool), flags)
    with pytest.raises(ValueError, match="other than 0 and 1"):
        rate([0.2, 0.9])
    with pytest.raises(ValueError, match="shape"):
        accuracy(np.ones((2, 2, 4), dtype=bool), [0, 0, 0, 0])
