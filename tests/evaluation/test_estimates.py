"""Intervals and tests: against SciPy, against their own definitions, and by simulation.

``python tests/evaluation/test_estimates.py 2000`` prints how often the intervals of ``balanced_mean`` and ``share``
cover the truth in 2,000 samples of each design (about an hour).
"""

import sys
import time
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats
from scipy.special import ndtr

from in9.evaluation.clusters import class_weights
from in9.evaluation.estimates import Estimate, Term, balanced_mean, mcnemar, share, wilson
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
@given(st.integers(1, 5000), st.floats(0, 1))
def test_wilson_agrees_with_scipy(trials: int, share: float) -> None:
    successes = round(share * trials)
    ours = wilson(successes, trials)
    theirs = stats.binomtest(successes, trials).proportion_ci(0.95, method="wilson")
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)
    assert ours.value == successes / trials


@quick
@given(st.floats(0.01, 1e6), st.floats(0, 1))
def test_wilson_takes_fractional_counts(trials: float, share: float) -> None:
    one = wilson(share * trials, trials)
    assert 0 <= one.low <= one.value <= one.high <= 1


@pytest.mark.parametrize(("successes", "trials"), [(1, 0), (-1, 4), (5, 4), (float("nan"), 4), (1, -2)])
def test_wilson_rejects_impossible_counts(successes: float, trials: float) -> None:
    with pytest.raises(ValueError, match="successes"):
        wilson(successes, trials)


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


# --- McNemar -------------------------------------------------------------------------------------------------


def test_mcnemar() -> None:
    first = np.array([True] * 8 + [False] * 2 + [True] * 20)
    second = np.array([False] * 8 + [True] * 2 + [True] * 20)
    expected = 2 * stats.binom.cdf(2, 10, 0.5)
    assert mcnemar(first, second) == pytest.approx(expected)
    assert mcnemar(second, first) == pytest.approx(expected)
    assert mcnemar(first[None], second[None]) == pytest.approx(expected)
    assert mcnemar(first, first) == 1.0


# --- sums of balanced means: coverage ------------------------------------------------------------------------


@dataclass(frozen=True)
class Images:
    """Images of a made-up population: class, size and ease of the object, strength of the background."""

    labels: np.ndarray
    small: np.ndarray
    ease: np.ndarray
    strength: np.ndarray


@dataclass(frozen=True)
class World:
    """A made-up population of images and networks, and a design: who answers on which images, and how often.

    ``pull`` is how far backgrounds pull to their class, ``uneven`` how much this varies between backgrounds, ``linked``
    its correlation with the ease of the object in the same image. Networks vary by ``network`` in accuracy and by
    ``network_pull`` (a share) in pull: with the defaults, standard deviations of about one point of accuracy and of
    gap. ``images`` is the number in the nine classes.
    """

    folds: int = 1
    seeds: int = 1
    draws: int = 8
    pull: float = 0.3
    uneven: float = 0.4
    linked: float = 0.0
    network: float = 0.03
    network_pull: float = 0.08
    images: tuple[int, ...] = (30, 40, 50, 60, 80, 100, 120, 150, 180)

    def population(self, labels: np.ndarray, draw: np.random.Generator) -> Images:
        """Images of these classes."""
        ease, other = draw.normal(size=(2, len(labels)))
        strength = self.linked * ease + np.sqrt(1 - self.linked**2) * other
        return Images(labels, draw.random(len(labels)), ease, strength)

    def networks(self, count: int, draw: np.random.Generator) -> np.ndarray:
        """Trained networks: what each adds to the evidence, and to the pull, float [2, networks]."""
        return draw.normal(size=(2, count)) * [[self.network], [self.network_pull]]

    def evidence(
        self, images: Images, rows: np.ndarray, backgrounds: np.ndarray, networks: np.ndarray, training: float
    ) -> np.ndarray:
        """Evidence for the object's class in the images of these rows; with normal noise it is right if above 0."""
        pull = training * (self.pull * (1 + networks[1]) + self.uneven * images.strength[backgrounds])
        pull = pull * (0.5 + images.small[rows]) * (0.6 + 0.8 * images.small[backgrounds])
        own = images.labels[rows] == images.labels[backgrounds]
        object_alone = images.labels[rows] * 0.15 + 0.8 * images.ease[rows] - 0.5 * images.small[rows]
        return object_alone + networks[0] + np.where(own, pull, -pull)


TRAININGS = (1.0, 0.6)  # factors of the pull
NOISE = 0.7
SMALL = 1 / 3


@cache
def truths(world: World) -> dict[str, float]:
    """The expectations over images and networks, from 200,000 images of each class."""
    draw = generator(0, "truths")
    labels = np.arange(9).repeat(200_000)
    rows = np.arange(len(labels))
    images = world.population(labels, draw)
    networks = world.networks(len(labels), draw)
    same = labels * 200_000 + draw.integers(0, 200_000, len(labels))
    anywhere = draw.permuted(rows)
    right = [
        ndtr(world.evidence(images, rows, backgrounds, networks, training) / NOISE)
        for training in TRAININGS
        for backgrounds in (same, anywhere, rows)
    ]
    mixed_same, mixed_rand, whole, other_same, other_rand, _ = (float(part.mean()) for part in right)
    small = images.small < SMALL
    return {
        "gap": mixed_same - mixed_rand,
        "gap of small objects": float((right[0] - right[1])[small].mean()),
        "mixed": mixed_rand,
        "mixed of small objects": float(right[1][small].mean()),
        "whole": whole,
        "whole - mixed": whole - mixed_rand,
        "change": mixed_same - mixed_rand - other_same + other_rand,
    }


def random_backgrounds(labels: np.ndarray, folds: np.ndarray, draws: int, same: bool, draw) -> np.ndarray:
    """As ``in9.data.variants.draw_backgrounds`` does it in each fold: first the class, then an image of that class."""
    backgrounds = np.empty((draws, len(labels)), np.int64)
    for fold in np.unique(folds):
        rows = np.flatnonzero(folds == fold)
        by_class = rows[np.argsort(labels[rows], kind="stable")]
        counts = np.bincount(labels[rows], minlength=9)
        classes = np.tile(labels[rows], (draws, 1)) if same else draw.integers(0, 9, (draws, len(rows)))
        place = (draw.random(classes.shape) * counts[classes]).astype(np.int64)
        backgrounds[:, rows] = by_class[(np.cumsum(counts) - counts)[classes] + place]
    return backgrounds


def sample_estimates(world: World, draw: np.random.Generator) -> dict[str, Estimate]:
    """The estimates from one sample of images, of backgrounds and of networks; the "careless" ones ignore one part."""
    labels = np.arange(9).repeat(world.images)
    folds = np.concatenate([draw.permutation(np.arange(count) % world.folds) for count in world.images])
    images = world.population(labels, draw)
    rows = np.arange(len(labels))
    same, mixed = (random_backgrounds(labels, folds, world.draws, own, draw) for own in (True, False))
    values = []
    for training in TRAININGS:
        networks = world.networks(max(world.folds, world.seeds), draw)
        networks = networks[:, folds][:, None, None] if world.folds > 1 else networks[:, :, None, None]
        for backgrounds in (same, mixed, rows[None]):
            evidence = world.evidence(images, rows, backgrounds, networks, training)
            values.append((evidence + NOISE * draw.normal(size=evidence.shape) > 0).astype(np.float64))
    on_same, on_mixed, on_whole, other_same, other_mixed, _ = values
    known = folds if world.folds > 1 else None
    gap = [Term(on_same, same), Term(-on_mixed, mixed)]
    once = (on_same - on_mixed).mean(axis=1, keepdims=True)
    small = images.small < SMALL
    return {
        "gap": balanced_mean(gap, labels, known),
        "gap of small objects": balanced_mean(gap, labels, known, small),
        "mixed": share(on_mixed, labels, known, mixed),
        "mixed of small objects": share(on_mixed, labels, known, mixed, small),
        "whole": share(on_whole, labels, known),
        "whole - mixed": balanced_mean([Term(on_whole), Term(-on_mixed, mixed)], labels, known),
        "change": balanced_mean([*gap, Term(-other_same, same), Term(other_mixed, mixed)], labels, known),
        "gap, careless of backgrounds": balanced_mean([Term(once)], labels, known),
        "gap, careless of networks": balanced_mean([Term(each[:1], rows) for each, rows in gap], labels),
    }


def coverage(world: World, samples: int) -> dict[str, float]:
    """The share of samples whose interval holds the truth, by quantity."""
    held: dict[str, int] = {}
    for sample in range(samples):
        for name, estimate in sample_estimates(world, generator(sample, "coverage of balanced means")).items():
            held[name] = held.get(name, 0) + (estimate.low <= truths(world)[name.partition(",")[0]] <= estimate.high)
    return {name: count / samples for name, count in held.items()}


ALIKE = {"network": 0.0, "network_pull": 0.0}  # networks that do not vary
APART = {"network": 0.15, "network_pull": 0.5}  # networks that vary by about five points
WORLDS = {
    "one network": World(**ALIKE),
    "one network, 1 draw": World(**ALIKE, draws=1),
    "one network, uneven backgrounds": World(**ALIKE, uneven=2.0),
    "one network, strong backgrounds of hard objects": World(**ALIKE, uneven=1.0, linked=-0.7),
    "5 folds": World(folds=5),
    "5 folds, 1 draw": World(folds=5, draws=1),
    "5 folds, networks alike": World(**ALIKE, folds=5),
    "5 folds, networks far apart": World(**APART, folds=5),
    "5 folds, uneven backgrounds": World(folds=5, uneven=2.0),
    "3 seeds": World(seeds=3),
    "3 seeds, networks alike": World(**ALIKE, seeds=3),
    "3 seeds, networks far apart": World(**APART, seeds=3),
    "2 seeds": World(seeds=2),
    "2 seeds, networks far apart": World(**APART, seeds=2),
}


def covered(share_of_samples: float, samples: int) -> bool:
    """Is this share compatible with a coverage between 93 and 97 %, within two standard errors?"""
    low, high = (end + 2 * side * np.sqrt(end * (1 - end) / samples) for end, side in ((0.93, -1), (0.97, 1)))
    return low <= share_of_samples <= high


QUANTITIES = ("gap", "gap of small objects", "mixed", "mixed of small objects", "whole", "whole - mixed", "change")


@pytest.mark.parametrize(
    ("name", "careless", "most"),
    [
        ("one network, 1 draw", None, 1),
        ("one network, uneven backgrounds", "gap, careless of backgrounds", 0.6),
        ("one network, strong backgrounds of hard objects", "gap, careless of backgrounds", 0.75),
        ("5 folds", None, 1),
        ("5 folds, networks far apart", "gap, careless of networks", 0.75),
        ("3 seeds", "gap, careless of networks", 0.9),
    ],
)
def test_coverage_of_balanced_means(name: str, careless: str | None, most: float) -> None:
    """Intervals cover the truth as often as they say; those that ignore a part of the design cover it less often."""
    samples = 300
    held = coverage(WORLDS[name], samples)
    assert {quantity: held[quantity] for quantity in QUANTITIES if not covered(held[quantity], samples)} == {}
    if careless is not None:
        assert not covered(held[careless], samples)
        assert held[careless] < most


# --- sums of balanced means: properties ----------------------------------------------------------------------


def mixed_sample(images: int, models: int = 1, draws: int = 3, folds: int = 1) -> tuple[np.ndarray, ...]:
    """Values [models, draws, images] with labels, folds and backgrounds."""
    draw = generator(images, "test")
    labels, folds = np.arange(images) % 4, np.arange(images) // 4 % folds
    return draw.random((models, draws, images)), labels, folds, random_backgrounds(labels, folds, draws, True, draw)


@pytest.mark.parametrize(("models", "folds"), [(1, 1), (3, 1), (1, 5)])
def test_balanced_mean_is_antisymmetric_and_ignores_the_order_of_images(models: int, folds: int) -> None:
    values, labels, fold, backgrounds = mixed_sample(120, models, folds=folds)
    known = fold if folds > 1 else None
    other = balanced_mean([Term(-values, backgrounds)], labels, known)
    estimate = balanced_mean([Term(values, backgrounds)], labels, known)
    assert (other.value, other.low, other.high) == (-estimate.value, -estimate.high, -estimate.low)
    order = generator(7, "test").permutation(120)
    place = np.argsort(order)
    shuffled = balanced_mean(
        [Term(values[..., order], place[backgrounds[:, order]])], labels[order], None if known is None else fold[order]
    )
    assert (shuffled.value, shuffled.low, shuffled.high) == pytest.approx(
        (estimate.value, estimate.low, estimate.high), rel=1e-9
    )


def test_balanced_mean_of_whole_images_is_that_of_its_standard_error() -> None:
    draw = generator(8, "test")
    labels = np.repeat([0, 1, 2], [400, 60, 9])
    values = draw.normal(0.3, 0.1, len(labels))
    estimate = balanced_mean([Term(values)], labels)
    parts = [values[labels == label] for label in range(3)]
    error = np.sqrt(sum(part.var(ddof=1) / len(part) for part in parts)) / 3
    assert estimate.value == pytest.approx(np.mean([part.mean() for part in parts]))
    assert (estimate.high - estimate.low) / 2 == pytest.approx(1.959964 * error)


def test_terms_add_up_and_what_cancels_has_no_width() -> None:
    values, labels, _, backgrounds = mixed_sample(80)
    term = Term(values, backgrounds)
    double = balanced_mean([term, term], labels)
    twice = balanced_mean([Term(2 * values, backgrounds)], labels)
    assert (double.value, double.low, double.high) == pytest.approx((twice.value, twice.low, twice.high))
    nothing = balanced_mean([term, Term(-values, backgrounds)], labels)
    assert (nothing.value, nothing.low, nothing.high) == pytest.approx((0, 0, 0), abs=1e-9)
    repeated = balanced_mean([Term(np.repeat(values, 3, axis=0), backgrounds)], labels)
    once = balanced_mean([term], labels)
    assert (repeated.low, repeated.high) == pytest.approx((once.low, once.high))


def test_equal_differences_have_no_width() -> None:
    labels = np.arange(90) % 9
    right = (labels % 2 == 0).astype(int)
    assert balanced_mean([Term(right), Term(-right)], labels) == Estimate(0.0, 0.0, 0.0)
    shifted = balanced_mean([Term(np.ones(90, bool)), Term(np.zeros(90, bool))], labels)
    assert (shifted.value, shifted.low, shifted.high) == pytest.approx((1, 1, 1))


def test_means_count_every_class_the_same() -> None:
    labels = np.repeat([0, 1], [90, 10])
    estimate = balanced_mean([Term(np.where(labels == 0, 0.2, 0.6))], labels)
    assert (estimate.value, estimate.low, estimate.high) == pytest.approx((0.4, 0.4, 0.4))


def test_pairing_narrows_the_interval() -> None:
    draw = generator(2, "test")
    labels = np.arange(900) % 9
    first = draw.random(900) < 0.7
    second = first & (draw.random(900) < 0.95)
    paired, unpaired = (  # the second has unrelated images side by side
        balanced_mean([Term(first), Term(-other.astype(int))], labels) for other in (second, second[::-1])
    )
    assert paired.high - paired.low < 0.6 * (unpaired.high - unpaired.low)


def test_terms_of_unlike_draws_are_means_over_their_draws() -> None:
    values, labels, _, backgrounds = mixed_sample(80, draws=8)
    whole = values[0, 0] + 0.5
    estimate = balanced_mean([Term(whole), Term(-values, backgrounds)], labels)
    assert estimate.value == pytest.approx(float((whole - values[0].mean(axis=0)) @ class_weights(labels)))


def test_a_background_used_by_all_objects_of_its_class_is_uncertain() -> None:
    """The values depend on the background alone: 40 objects on four backgrounds are no more than four images."""
    draw = generator(9, "test")
    labels = np.zeros(40, np.int64)
    backgrounds = draw.integers(0, 4, (25, 40))
    values = np.array([0.1, 0.3, 0.4, 0.9])[backgrounds]
    estimate = balanced_mean([Term(values[None], backgrounds)], labels)
    careless = balanced_mean([Term(values.mean(axis=0))], labels)
    assert estimate.high - estimate.low > 5 * (careless.high - careless.low)
    assert (estimate.high - estimate.low) / 2 == pytest.approx(1.96 * np.std([0.1, 0.3, 0.4, 0.9]) / 2, rel=0.1)


def test_an_image_counts_both_as_object_and_as_background() -> None:
    """Values that add what the object's image and the background's image bring: twice the error of one, not 1.4."""
    draw = generator(13, "test")
    labels = np.repeat([0, 1], [300, 100])
    brings = draw.normal(0, 0.1, 400)
    backgrounds = random_backgrounds(labels, 0 * labels, 30, True, draw)
    alone = balanced_mean([Term(brings)], labels)
    both = balanced_mean([Term((brings + brings[backgrounds])[None], backgrounds)], labels)
    assert both.high - both.low == pytest.approx(2 * (alone.high - alone.low), rel=0.05)


@quick
@given(answers(), st.integers(0, 2**32 - 1))
def test_share_stays_between_0_and_1(sample: tuple[np.ndarray, ...], seed: int) -> None:
    correct, labels = sample
    backgrounds = np.random.default_rng(seed).integers(0, len(labels), (2, len(labels)))
    values = np.stack([correct, ~correct[::-1]], axis=1)
    for estimate in (share(values, labels, backgrounds=backgrounds), share(correct[0], labels)):
        assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1
    opposite = share(1.0 - values, labels, backgrounds=backgrounds)
    same = share(values, labels, backgrounds=backgrounds)
    assert (opposite.low, opposite.high) == pytest.approx((1 - same.high, 1 - same.low))
    folded = share(correct[0], labels, folds=np.arange(len(labels)) % 3)
    assert 0 <= folded.low <= folded.value <= folded.high <= 1


@quick
@given(answers(arrays=2), st.randoms(use_true_random=False))
def test_a_difference_of_right_answers_is_that_of_their_shares(sample: tuple[np.ndarray, ...], random) -> None:
    first, second, labels = (np.asarray(part) for part in sample)
    one, other = share(first[:, None], labels), share(second[:, None], labels)
    assert one.value == pytest.approx(np.mean([first[:, labels == label].mean() for label in np.unique(labels)]))
    terms = [Term(first[:, None]), Term(-second[:, None].astype(int))]
    difference = balanced_mean(terms, labels)
    assert difference.value == pytest.approx(one.value - other.value, abs=1e-12)
    assert difference.low <= difference.value <= difference.high
    order = np.arange(len(labels))
    random.shuffle(order)
    shuffled = share(first[:, None, order], labels[order])
    assert (shuffled.value, shuffled.low, shuffled.high) == pytest.approx((one.value, one.low, one.high))


def test_share_of_right_answers_is_close_to_wilson() -> None:
    labels = np.repeat(np.arange(9), 100)
    correct = generator(10, "test").random(900) < 0.7
    ours, plain = share(correct, labels), wilson(int(correct.sum()), 900)
    assert (ours.value, ours.low, ours.high) == pytest.approx((plain.value, plain.low, plain.high), abs=0.002)
    assert share(correct[None, None], labels) == share(correct.astype(float), labels) == ours


def test_unbalanced_classes_count_the_same() -> None:
    """90 right of 90 and 0 right of 10 is one half, at the precision of 36 images, not of 100."""
    labels = np.repeat([0, 1], [90, 10])
    ours, plain = share(labels == 0, labels), wilson(18, 36)
    assert (ours.value, ours.low, ours.high) == pytest.approx((0.5, plain.low, plain.high))


def test_seeds_that_disagree_widen_the_interval() -> None:
    draw = generator(0, "test")
    labels = np.repeat(np.arange(9), 50)
    correct = np.stack([draw.random(450) < part for part in (0.5, 0.7, 0.9)])
    apart, mean = share(correct[:, None], labels), share(correct.mean(axis=0), labels)
    assert apart.value == pytest.approx(mean.value)
    assert apart.high - apart.low > 0.3 > 5 * (mean.high - mean.low)
    all_right = share(np.ones((3, 1, 90), bool), np.arange(90) % 9)
    assert all_right == wilson(90, 90)
    assert all_right.low < 0.97


def test_hardly_any_errors_are_no_more_certain_than_none() -> None:
    """Eight draws of 900 objects with no error, one or two: about as certain as 900 right answers, not as 7,200."""
    labels = np.repeat(np.arange(9), 100)
    backgrounds = random_backgrounds(labels, 0 * labels, 8, True, generator(11, "test"))
    values = np.ones((1, 8, 900))
    none = share(values, labels, backgrounds=backgrounds)
    assert none == wilson(900, 900)
    values[0, 3, 7] = 0
    single = share(values, labels, backgrounds=backgrounds)
    assert none.low - 0.001 < single.low < none.low
    values[0, 5, 108] = 0
    assert none.low - 0.001 < share(values, labels, backgrounds=backgrounds).low < none.low + 0.0005
    half = share(np.full(900, 0.5), labels)
    assert (half.low, half.high) == pytest.approx((wilson(450, 900).low, wilson(450, 900).high))


def test_even_shares_are_more_certain_than_right_or_wrong() -> None:
    values = generator(12, "test").normal(0.5, 0.05, 900)
    estimate = share(values, np.arange(900) % 9)
    assert (estimate.high - estimate.low) / 2 == pytest.approx(1.96 * 0.05 / 30, rel=0.1)


# --- images that are kept ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("models", "folds"), [(1, 1), (3, 1), (1, 5)])
def test_keeping_whole_images_is_dropping_the_others(models: int, folds: int) -> None:
    values, labels, fold, _ = mixed_sample(120, models, 1, folds)
    for kept in (generator(14, "test").random(120) < 0.4, fold != 0, labels == 2, np.ones(120, bool)):
        known, part = (fold, fold[kept]) if folds > 1 else (None, None)
        if kept.any():
            ours = balanced_mean([Term(values)], labels, known, kept)
            assert ours == balanced_mean([Term(values[..., kept])], labels[kept], part)
            assert share(values, labels, known, kept=kept) == share(values[..., kept], labels[kept], part)


@pytest.mark.parametrize("models", [1, 3])
def test_keeping_images_with_all_their_backgrounds_is_dropping_the_others(models: int) -> None:
    """Folds or classes, among which the backgrounds stay."""
    values, labels, fold, backgrounds = mixed_sample(120, models, folds=5 if models == 1 else 1)
    kept, known = (fold > 1, fold) if models == 1 else (labels > 1, None)
    place = np.cumsum(kept) - 1
    ours = balanced_mean([Term(values, backgrounds)], labels, known, kept)
    dropped = Term(values[..., kept], place[backgrounds[:, kept]])
    assert ours == balanced_mean([dropped], labels[kept], None if known is None else fold[kept])


def test_images_that_are_not_kept_are_backgrounds_only() -> None:
    """What they are worth as objects plays no part; a few of them behind all of the others are uncertain."""
    values, labels, _, backgrounds = mixed_sample(120)
    kept = np.arange(120) >= 40
    ours = balanced_mean([Term(values, backgrounds)], labels, kept=kept)
    others = np.where(kept, values, 1e6)
    assert balanced_mean([Term(others, backgrounds)], labels, kept=kept) == ours
    assert share(np.where(kept, values, -1), labels, None, backgrounds, kept).value == pytest.approx(ours.value)
    brings = np.array([0.1, 0.3, 0.4, 0.9])
    few = np.where(kept, generator(15, "test").integers(0, 4, (25, 120)), np.arange(120))
    alike = np.zeros(120, np.int64)
    estimate = balanced_mean([Term(np.where(few < 4, brings[few % 4], 0)[None], few)], alike, kept=kept)
    assert (estimate.high - estimate.low) / 2 == pytest.approx(1.96 * np.std(brings) / 2, rel=0.1)


def test_wrong_images_to_keep() -> None:
    values, labels, _, _ = mixed_sample(40, draws=1)
    for wrong, message in (
        (np.zeros(40, bool), "no image is kept"),
        (np.ones(39, bool), "kept has shape"),
        (np.arange(40), "expected bool"),
    ):
        with pytest.raises(ValueError, match=message):
            balanced_mean([Term(values)], labels, kept=wrong)
        with pytest.raises(ValueError, match=message):
            share(values, labels, kept=wrong)


# --- speed and wrong calls -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("models", "folds"), [(1, 5), (3, 1)])
def test_balanced_mean_is_fast(models: int, folds: int) -> None:
    """8,000 images, 8 draws, 2 terms: hundredths of a second with folds; the bound leaves room for a busy machine."""
    values, labels, fold, backgrounds = mixed_sample(8000, models, 8, folds)
    terms = [Term(values, backgrounds), Term(-values[..., ::-1], backgrounds[::-1])]
    start = time.perf_counter()
    balanced_mean(terms, labels, fold if folds > 1 else None)
    assert time.perf_counter() - start < 0.5


def test_wrong_terms() -> None:
    values, labels, folds, backgrounds = mixed_sample(40, folds=2)
    term = Term(values, backgrounds)
    for wrong, message in (
        ([], "no terms"),
        ([Term(values[0], backgrounds)], "values has shape"),
        ([Term(np.full(40, np.nan))], "finite"),
        ([Term(values)], "3 draws without backgrounds"),
        ([Term(values, backgrounds[:2])], "backgrounds has shape"),
        ([Term(values, backgrounds / 2)], "backgrounds has shape"),
        ([Term(values, backgrounds + 40)], "expected rows of 40 images"),
        ([Term(values, backgrounds - 40)], "expected rows of 40 images"),
        ([Term(values, (backgrounds + 4) % 40)], "different folds"),
        ([term, Term(values[..., :39], backgrounds[:, :39])], "the same models and images"),
        ([term, Term(values.repeat(2, axis=0), backgrounds)], "the same models and images"),
        ([Term(values.repeat(2, axis=0), backgrounds)], "2 models"),
    ):
        with pytest.raises(ValueError, match=message):
            balanced_mean(wrong, labels, folds)
    with pytest.raises(ValueError, match="one label for each"):
        balanced_mean([term], labels[:-1])
    with pytest.raises(ValueError, match="one fold for each"):
        balanced_mean([term], labels, folds[:-1])
    with pytest.raises(ValueError, match="between 0 and 1"):
        share(values + 0.5, labels, folds, backgrounds)


def test_wrong_calls() -> None:
    flags = np.ones(4, bool)
    with pytest.raises(ValueError, match="one label for each of 4 images"):
        share(flags, [0, 1, 2])
    with pytest.raises(ValueError, match="not empty"):
        share([], [])
    with pytest.raises(ValueError, match="values has shape"):
        share(np.ones((2, 4), bool), [0, 0, 0, 0])
    with pytest.raises(ValueError, match="the same models and images"):
        balanced_mean([Term(flags), Term(flags[:3])], [0, 1, 2, 3])
    with pytest.raises(ValueError, match="not empty"):
        class_weights([])
    with pytest.raises(ValueError, match="not empty"):
        mcnemar([], [])
    with pytest.raises(ValueError, match="the same images"):
        mcnemar(flags, flags[:3])
    with pytest.raises(ValueError, match="one model, shape"):
        mcnemar(np.ones((2, 4), bool), flags)
    with pytest.raises(ValueError, match="other than 0 and 1"):
        mcnemar([0.2, 0.9], [0, 1])


if __name__ == "__main__":
    samples, factor = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 5
    for name, world in WORLDS.items():
        larger = replace(world, images=tuple(factor * count for count in world.images))
        row = ", ".join(f"{quantity} {100 * held:.1f}" for quantity, held in coverage(larger, samples).items())
        print(f"{name}: {row}", flush=True)
