"""Evaluation: predictions image by image, whatever the batches, on every test set."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from in9.data.dataset import Dataset
from in9.data.variants import MIXED, VARIANTS, Pool, compose, draw_backgrounds, load_pool
from in9.errors import In9Error
from in9.evaluation import estimates
from in9.evaluation.measurements import drawn_backgrounds
from in9.evaluation.measurements import measure_evaluation as measure
from in9.evaluation.predictions import TEST_SETS, predict, predict_all, predict_variant
from in9.evaluation.records import from_digits
from in9.taxonomy import CHANCE, NUM_CLASSES

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def pool(dataset: Dataset) -> Pool:
    return load_pool(dataset, "test")


@pytest.fixture(scope="module")
def whole(dataset: Dataset) -> Pool:
    return load_pool(dataset, "test", accepted=False)


def constant(label: int) -> Callable[[Tensor], Tensor]:
    return lambda images: torch.nn.functional.one_hot(torch.full((len(images),), label), NUM_CLASSES).float()


def by_red(images: Tensor) -> Tensor:
    """A classifier that reads the pixels: the sum of the red channel, modulo nine."""
    return torch.nn.functional.one_hot(images[:, 0].long().sum((1, 2)) % NUM_CLASSES, NUM_CLASSES)


@pytest.mark.parametrize("variant", VARIANTS)
def test_predictions_equal_a_loop_over_single_images(pool: Pool, network: torch.nn.Module, variant: str) -> None:
    backgrounds = draw_backgrounds(variant, pool, 5)[0] if variant in MIXED else None
    expected = []
    with torch.no_grad():
        for row in range(len(pool)):
            drawn = None if backgrounds is None else backgrounds[[row]]
            expected.append(int(network(compose(variant, pool, torch.tensor([row]), drawn)).argmax()))
    answers = predict_variant(network, pool, variant, seed=5)
    assert answers.dtype == np.int64 and answers.tolist() == expected
    assert len(set(expected)) > 1


@pytest.mark.parametrize("batch_size", [1, 7, 36, 1000])
def test_predictions_do_not_depend_on_the_batch_size(pool: Pool, network: torch.nn.Module, batch_size: int) -> None:
    for variant in ("original", "mixed_rand"):
        usual = predict_variant(network, pool, variant)
        assert np.array_equal(usual, predict_variant(network, pool, variant, batch_size=batch_size))


def test_the_classifier_sees_the_variants_pixels(pool: Pool) -> None:
    seen = predict_variant(by_red, pool, "only_fg", batch_size=10)
    images = compose("only_fg", pool, torch.arange(len(pool)))
    assert np.array_equal(seen, by_red(images).argmax(1).numpy())


def test_test_sets_are_fixed_by_their_seed(pool: Pool) -> None:
    for variant in MIXED:
        one = predict_variant(by_red, pool, variant, seed=0)
        assert np.array_equal(one, predict_variant(by_red, pool, variant, seed=0))
        assert not np.array_equal(one, predict_variant(by_red, pool, variant, seed=1))


@pytest.mark.parametrize("label", [0, 4, 8])
def test_a_constant_classifier_scores_chance(pool: Pool, whole: Pool, label: int) -> None:
    answers = predict_all(constant(label), pool, whole)
    assert tuple(answers) == TEST_SETS
    for test, predictions in answers.items():
        labels = (whole if test == "in9l" else pool).labels.numpy()
        assert estimates.share(predictions[0] == labels, labels).value == pytest.approx(CHANCE)


def test_an_oracle_that_reads_the_pixels_is_always_right(pool: Pool, whole: Pool) -> None:
    known = {image.numpy().tobytes(): int(label) for image, label in zip(whole.images, whole.labels, strict=True)}

    def oracle(images: Tensor) -> Tensor:
        found = [known.get(image.contiguous().numpy().tobytes(), 0) for image in images]
        return torch.nn.functional.one_hot(torch.tensor(found), NUM_CLASSES)

    answers = predict_all(oracle, pool, whole)
    assert np.array_equal(answers["original"], pool.labels.numpy()[None])
    assert np.array_equal(answers["in9l"], whole.labels.numpy()[None])
    assert (answers["only_fg"] == 0).all()  # these pixels it has never seen


def test_the_first_of_equal_scores_wins_and_no_image_is_no_answer(pool: Pool) -> None:
    def undecided(images: Tensor) -> Tensor:
        return torch.zeros(len(images), NUM_CLASSES)

    assert (predict_variant(undecided, pool, "original") == 0).all()
    nothing = predict(undecided, lambda rows: pool.images[rows], 0, torch.device("cpu"))
    assert nothing.shape == (0,) and nothing.dtype == np.int64


def test_evaluation_is_exact_and_computes_no_gradients(pool: Pool) -> None:
    cudnn = torch.backends.cudnn
    before = (cudnn.enabled, cudnn.allow_tf32, cudnn.deterministic, cudnn.benchmark)
    seen: list[bool] = []

    def watch(images: Tensor) -> Tensor:
        seen.append(torch.is_grad_enabled() or torch.is_autocast_enabled("cpu") or torch.is_autocast_enabled("cuda"))
        seen.append(cudnn.allow_tf32 or torch.backends.cuda.matmul.allow_tf32 or not cudnn.deterministic)
        return torch.zeros(len(images), NUM_CLASSES)

    predict_variant(watch, pool, "original")
    assert seen and not any(seen)
    assert before == (cudnn.enabled, cudnn.allow_tf32, cudnn.deterministic, cudnn.benchmark)


def test_an_unknown_variant_lists_those_that_exist(pool: Pool) -> None:
    with pytest.raises(In9Error, match=r"no variant 'mixed_sane'\. Did you mean 'mixed_same'") as caught:
        predict_variant(constant(0), pool, "mixed_sane")
    assert all(name in str(caught.value) for name in VARIANTS)


def test_a_measurement_is_digits_that_give_the_predictions_back(
    dataset: Dataset, pool: Pool, whole: Pool, network: torch.nn.Module
) -> None:
    expected = predict_all(network, pool, whole, seed=3, draws=3)
    assert {name: len(answers) for name, answers in expected.items()} == {
        test: 3 if test in MIXED else 1 for test in TEST_SETS
    }
    for options, draws in (({"test_seed": 3}, 1), ({"test_seed": 3, "draws": 3}, 3)):
        results = measure(network, dataset, torch.device("cpu"), options)
        for name, answers in expected.items():
            texts = results["predictions"][name]
            assert isinstance(texts, list) == (draws > 1 and name in MIXED)
            texts = [texts] if isinstance(texts, str) else texts
            assert [from_digits(text).tolist() for text in texts] == answers[:draws].tolist()
        assert from_digits(results["labels"]["in9"]).tolist() == pool.labels.tolist()
        assert from_digits(results["labels"]["in9l"]).tolist() == whole.labels.tolist()


def test_draws_of_a_mixed_test_set_are_those_of_the_following_seeds(pool: Pool, whole: Pool) -> None:
    answers = predict_all(by_red, pool, whole, seed=4, draws=3)
    assert answers["only_fg"].shape == (1, len(pool)) and answers["only_fg"].dtype == np.int64
    expected = [predict_variant(by_red, pool, "mixed_rand", seed) for seed in (4, 5, 6)]
    assert np.array_equal(answers["mixed_rand"], np.stack(expected))


def test_backgrounds_that_were_drawn_are_rows_of_the_test_images(dataset: Dataset, pool: Pool) -> None:
    results = drawn_backgrounds(dataset, {"test_seed": 4, "draws": 3})
    assert set(results["backgrounds"]) == set(MIXED)
    for test, texts in results["backgrounds"].items():
        expected = [draw_backgrounds(test, pool, seed)[0].tolist() for seed in (4, 5, 6)]
        assert [list(map(int, text.split())) for text in texts] == expected


def test_more_draws_than_backgrounds_are_an_error(dataset: Dataset) -> None:
    with pytest.raises(In9Error, match=r"drawn 5 times, and a class has only 4 backgrounds; .* or give more images\.$"):
        drawn_backgrounds(dataset, {"test_seed": 0, "draws": 5})
    assert len(drawn_backgrounds(dataset, {"test_seed": 0, "draws": 4})["backgrounds"]["mixed_same"]) == 4
