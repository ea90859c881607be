"""Adversarial backgrounds: the matrix, what follows from it, and the early exit with the same answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from trial_study import PROFILE, open_study

mpl.use("Agg")

from in9.data import photographs
from in9.data.dataset import Dataset
from in9.data.variants import Pool, load_pool
from in9.evaluation.adversarial.attacks import Attacks
from in9.evaluation.adversarial.pairs import (
    SHARES,
    all_pairs,
    attacked_rows,
    fooled_by_class,
    measure_attacks,
    start_search,
    successes,
    targeted,
    untargeted,
)
from in9.evaluation.adversarial.search import ATTACK_RULES, Search
from in9.evaluation.estimates import wilson
from in9.evaluation.records import Record, Store, from_digits
from in9.experiments import adversarial_backgrounds
from in9.experiments.adversarial_backgrounds import ADVERSARIAL, ATTACKED
from in9.files import plain
from in9.plots import charts, curves, pictures, style
from in9.scoring import showcase
from in9.study.study import NotMeasured, Study
from in9.study.workspace import Workspace
from in9.taxonomy import CLASS_NAMES, NUM_CLASSES
from in9.training.recipe import IN9L

pytestmark = pytest.mark.usefixtures("one_thread")

Classify = Callable[[Tensor], Tensor]


@pytest.fixture(scope="module")
def pool(dataset: Dataset) -> Pool:
    return load_pool(dataset, "test")


def scores(classes: Tensor, columns: int = NUM_CLASSES) -> Tensor:
    return torch.nn.functional.one_hot(classes, columns).float()


def by_pixels(images: Tensor) -> Tensor:
    """Pseudo-random: the sum of all values, modulo nine."""
    return scores(images.long().sum((1, 2, 3)) % NUM_CLASSES)


def with_none(images: Tensor) -> Tensor:
    """The same with a tenth score, which stands for none of the nine."""
    return scores(images.long().sum((1, 2, 3)) % 10, 10)


def constant(images: Tensor) -> Tensor:
    return scores(torch.full((len(images),), 3))


def knowing(pool: Pool, wrong: bool) -> Classify:
    """A classifier that finds an object again by its pixels, and then is always right or always wrong."""

    def classify(images: Tensor) -> Tensor:
        found = []
        for image in images:
            same = ((pool.images == image) | ~pool.masks).flatten(1).all(1).nonzero().flatten()
            assert len(same) == 1
            found.append((int(pool.labels[same[0]]) + wrong) % NUM_CLASSES)
        return scores(torch.tensor(found))

    return classify


def some_rows(pool: Pool) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Foregrounds and backgrounds, some of them the same images, and their labels."""
    foregrounds, backgrounds = np.arange(0, len(pool), 3), np.arange(1, len(pool), 2)[::-1].copy()
    labels = pool.labels.numpy()
    return foregrounds, backgrounds, labels[foregrounds], labels[backgrounds]


# --- the matrix -------------------------------------------------------------------------------------------------


def naive_pairs(classifier: Classify, pool: Pool, foregrounds: np.ndarray, backgrounds: np.ndarray) -> list[list[int]]:
    """One composite at a time, by arithmetic on the mask."""
    matrix = []
    with torch.no_grad():
        for row in foregrounds:
            line = []
            for column in backgrounds:
                mask = pool.masks[row].to(torch.uint8)
                image = pool.images[row] * mask + pool.tiles[column] * (1 - mask)
                answer = int(classifier(image[None]).argmax())
                line.append(answer if answer < NUM_CLASSES else -1)
            matrix.append(line)
    return matrix


@pytest.mark.parametrize("batch_size", [1, 7, 512])
@pytest.mark.parametrize("classifier", [by_pixels, with_none])
def test_all_pairs_equal_a_loop_over_single_composites(pool: Pool, classifier: Classify, batch_size: int) -> None:
    foregrounds, backgrounds, _, _ = some_rows(pool)
    matrix = all_pairs(classifier, pool, foregrounds, backgrounds, batch_size)
    assert matrix.dtype == np.int8
    assert matrix.tolist() == naive_pairs(classifier, pool, foregrounds, backgrounds)
    assert set(matrix.flat) >= ({-1, 0, 8} if classifier is with_none else {0, 8})


def test_a_networks_pairs_equal_the_loop(pool: Pool, network: torch.nn.Module) -> None:
    foregrounds, backgrounds = np.arange(9), np.arange(4, 12)
    matrix = all_pairs(network, pool, foregrounds, backgrounds, batch_size=20)
    assert matrix.tolist() == naive_pairs(network, pool, foregrounds, backgrounds)
    assert len(np.unique(matrix)) > 1


def test_the_own_background_gives_the_object_on_its_own_tiles(pool: Pool) -> None:
    matrix = all_pairs(by_pixels, pool, np.array([5]), np.array([5]))
    expected = torch.where(pool.masks[5], pool.images[5], pool.tiles[5])
    assert matrix[0, 0] == by_pixels(expected[None]).argmax()


def test_chunks_bound_the_memory_and_no_gradients_are_kept(pool: Pool) -> None:
    seen: list[int] = []

    def watch(images: Tensor) -> Tensor:
        assert not torch.is_grad_enabled() and images.dtype == torch.uint8
        seen.append(len(images))
        return by_pixels(images)

    rows = np.arange(len(pool))
    all_pairs(watch, pool, rows, rows, batch_size=100)
    assert max(seen) == 100 and sum(seen) == len(pool) ** 2 and min(seen[:-1]) == 100
    seen.clear()
    found = challenge(watch, pool, rows, rows, batch_size=100)
    assert max(seen) <= 100 and sum(seen) == found.composites


def test_nothing_to_do_gives_an_empty_matrix(pool: Pool) -> None:
    none, some = np.zeros(0, np.int64), np.arange(3)
    assert all_pairs(by_pixels, pool, none, some).shape == (0, 3)
    assert all_pairs(by_pixels, pool, some, none).shape == (3, 0)
    assert challenge(by_pixels, pool, some, none).vulnerable.tolist() == [False] * 3


# --- what follows from it ---------------------------------------------------------------------------------------


def test_definitions_on_a_matrix_made_by_hand() -> None:
    own, others = np.array([0, 0, 1, 2]), np.array([0, 1, 1, 2])
    matrix = np.array(
        [
            [0, 0, 0, 0],  # right everywhere
            [0, 2, 0, 0],  # wrong once, but not with that background's class
            [1, 1, 1, 2],  # turned into class 2 by the last
            [0, -1, 1, 2],  # turned into 0 and into 1
        ],
        dtype=np.int8,
    )
    table = fooled_by_class(matrix, own, others)
    assert table.shape == (4, 9)
    assert [np.flatnonzero(row).tolist() for row in table] == [[], [], [2], [0, 1]]
    assert targeted(matrix, own, others).tolist() == [False, False, True, True]
    assert untargeted(matrix, own).tolist() == [False, True, True, True]
    assert successes(matrix, own, others).tolist() == [1, 0, 1, 1]


def test_the_own_class_and_no_class_are_errors_but_no_targets() -> None:
    own, others = np.array([4, 4]), np.array([4])
    assert fooled_by_class(np.array([[4], [-1]]), own, others).sum() == 0
    assert untargeted(np.array([[4], [-1]]), own).tolist() == [False, True]
    assert successes(np.array([[4], [4]]), own, others).tolist() == [0]


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_rules_imply_each_other_and_grow_with_the_backgrounds(data: st.DataObject) -> None:
    count, width = data.draw(st.integers(1, 12)), data.draw(st.integers(1, 12))
    classes = st.integers(0, 8)
    own = np.array(data.draw(st.lists(classes, min_size=count, max_size=count)))
    others = np.array(data.draw(st.lists(classes, min_size=width, max_size=width)))
    cells = st.lists(st.integers(-1, 8), min_size=count * width, max_size=count * width)
    matrix = np.array(data.draw(cells), np.int8).reshape(count, width)
    vulnerable = targeted(matrix, own, others)
    naive = [any(matrix[f, b] == others[b] != own[f] for b in range(width)) for f in range(count)]  # the paper's words
    assert vulnerable.tolist() == naive
    assert (untargeted(matrix, own) >= vulnerable).all()
    assert (successes(matrix, own, others) > 0).any() == vulnerable.any()
    part = data.draw(st.integers(1, width))
    assert (targeted(matrix[:, :part], own, others[:part]) <= vulnerable).all()
    assert (untargeted(matrix[:, :part], own) <= untargeted(matrix, own)).all()


def test_choices_are_stratified_and_nested(pool: Pool) -> None:
    labels = pool.labels.numpy()
    assert attacked_rows(pool).tolist() == list(range(len(pool)))
    assert attacked_rows(pool, 1000).tolist() == list(range(len(pool)))
    before: set[int] = set()
    for per_class in (1, 2, 3, 4):
        rows = attacked_rows(pool, per_class)
        assert np.bincount(labels[rows]).tolist() == [per_class] * 9
        assert (np.diff(rows) > 0).all() and before < set(rows.tolist())
        before = set(rows.tolist())
    half = attacked_rows(pool, 4, share=0.5)
    assert half.tolist() == attacked_rows(pool, 2).tolist()
    assert len(attacked_rows(pool, 4, share=0.01)) == 9


# --- the early exit ---------------------------------------------------------------------------------------------


class EarlyExit(NamedTuple):
    """Who is vulnerable by the untargeted rule, bool [F], and how many composites that took."""

    vulnerable: np.ndarray
    composites: int


def challenge(
    classifier: Classify, pool: Pool, foregrounds: np.ndarray, backgrounds: np.ndarray, batch_size: int = 64
) -> EarlyExit:
    search, answer = start_search(classifier, pool, foregrounds, backgrounds)
    return EarlyExit(search.run(answer, "untargeted", batch_size), search.composites)


def reference_challenge(
    classifier: Classify, pool: Pool, foregrounds: np.ndarray, backgrounds: np.ndarray, batch: int
) -> np.ndarray:
    """The authors' rule, restated: backgrounds by folder in batches (theirs: 32), left at the first with an error."""
    order = backgrounds[np.argsort(pool.labels.numpy()[backgrounds], kind="stable")]
    vulnerable = []
    for row in foregrounds:
        hit = False
        for start in range(0, len(order), batch):
            mask = pool.masks[row].float()
            tiles = pool.tiles[order[start : start + batch]].float() / 255
            images = tiles * (1 - mask) + pool.images[row].float() / 255 * mask
            answers = classifier((images * 255).round().to(torch.uint8)).argmax(1)
            if (answers != pool.labels[row]).any():
                hit = True
                break
        vulnerable.append(hit)
    return np.array(vulnerable)


@pytest.mark.parametrize("batch_size", [1, 5, 64, 100_000])
@pytest.mark.parametrize("name", ["right", "wrong", "constant", "pixels", "none", "network", "seldom"])
def test_the_early_exit_gives_the_answer_of_all_pairs(
    pool: Pool, network: torch.nn.Module, name: str, batch_size: int
) -> None:
    right = knowing(pool, wrong=False)

    def seldom(images: Tensor) -> Tensor:
        """Right, but for one composite in about twenty."""
        answers = right(images).argmax(1)
        return scores(torch.where(images.long().sum((1, 2, 3)) % 19 == 0, (answers + 1) % NUM_CLASSES, answers))

    classifier = {
        "right": right,
        "wrong": knowing(pool, wrong=True),
        "constant": constant,
        "pixels": by_pixels,
        "none": with_none,
        "network": network,
        "seldom": seldom,
    }[name]
    foregrounds, backgrounds, own, _ = some_rows(pool)
    expected = untargeted(all_pairs(classifier, pool, foregrounds, backgrounds), own)
    found = challenge(classifier, pool, foregrounds, backgrounds, batch_size)
    assert found.vulnerable.dtype == bool and np.array_equal(found.vulnerable, expected)
    for batch in (4, 32):
        assert np.array_equal(reference_challenge(classifier, pool, foregrounds, backgrounds, batch), expected)
    assert found.composites <= len(foregrounds) * len(backgrounds)
    if name == "right":
        assert not expected.any() and found.composites == len(foregrounds) * len(backgrounds)
    if name == "wrong":
        assert expected.all() and (batch_size > 1 or found.composites == len(foregrounds))
    if name == "seldom":
        assert 0 < expected.sum() < len(expected)


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 30), st.integers(1, 30), st.integers(1, 70), st.floats(0, 1), st.integers(0, 10_000))
def test_the_search_meets_every_pair_at_most_once(
    foregrounds: int, backgrounds: int, batch_size: int, share: float, seed: int
) -> None:
    draw = np.random.default_rng(seed)
    own, others = draw.integers(0, 9, foregrounds), draw.integers(0, 9, backgrounds)
    wrong = draw.random((foregrounds, backgrounds)) < share
    matrix = np.where(wrong, draw.integers(-1, 9, wrong.shape), own[:, None])
    known = torch.from_numpy(matrix)
    met = np.zeros((foregrounds, backgrounds), int)

    def answer(rows: Tensor, columns: Tensor) -> Tensor:
        assert 0 < len(rows) <= batch_size
        np.add.at(met, (rows.numpy(), columns.numpy()), 1)
        return known[rows, columns]

    found = Search(torch.from_numpy(own), torch.from_numpy(others))
    expected = {"untargeted": untargeted(matrix, own), "targeted": targeted(matrix, own, others)}
    for rule in ATTACK_RULES:  # the second goes on from what the first has met
        vulnerable = found.run(answer, rule, batch_size)
        assert vulnerable.tolist() == expected[rule].tolist()
        assert met.max() <= 1 and met.sum() == found.composites
        assert (met[~vulnerable] == 1).all()
        assert found.decided_pairs(rule) == met.size


def test_a_stopped_search_goes_on_from_its_state() -> None:
    draw = np.random.default_rng(0)
    own, others = (torch.from_numpy(draw.integers(0, 9, number)) for number in (30, 21))
    known = torch.where(torch.from_numpy(draw.random((30, 21)) < 0.05), others, own[:, None])
    asked: list[tuple[list[int], list[int]]] = []

    def answer(rows: Tensor, columns: Tensor) -> Tensor:
        asked.append((rows.tolist(), columns.tolist()))
        return known[rows, columns]

    whole = Search(own, others)
    whole.run(answer, "targeted", 8)
    without_stop, asked = asked, []
    first = Search(own, others)
    for _ in range(5):
        assert first.step(answer, "targeted", 8)
    second = Search(own, others)
    second.restore(first.state())
    second.run(answer, "targeted", 8)
    assert asked == without_stop and len(asked) > 6
    assert second.composites == whole.composites
    assert torch.equal(second.fallen["targeted"], whole.fallen["targeted"])
    with pytest.raises(ValueError, match="expected \\(30, 9\\)"):
        Search(own, others[:9]).restore(first.state())


def test_the_search_tries_what_fooled_most_first() -> None:
    own = torch.zeros(40, dtype=torch.int64)
    asked: list[tuple[list[int], list[int]]] = []

    def answer(rows: Tensor, columns: Tensor) -> Tensor:
        asked.append((rows.tolist(), columns.tolist()))
        return (columns == 7).long()  # background 7 fools everyone, the others no one

    found = Search(own, torch.ones(10, dtype=torch.int64))
    assert found.run(answer, "untargeted", batch_size=1).all()
    assert [columns[0] for _, columns in asked] == list(range(8)) + [7] * 39
    assert found.composites == 8 + 39


# --- records ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def records(dataset: Dataset) -> list[Record]:
    options = {"foregrounds_per_class": 3, "backgrounds_per_class": None}
    made = []
    for seed, classifier in enumerate((by_pixels, constant)):
        results = measure_attacks(classifier, dataset, torch.device("cpu"), options)
        assert plain(results) == results and len(json.dumps(results)) < 20_000
        made.append(Record("adversarial", "x", {"recipe": {"train_on": "in9l", "seed": seed}}, "", plain(results)))
    return made


def test_a_record_holds_what_the_matrix_says(pool: Pool, records: list[Record]) -> None:
    foregrounds, backgrounds = attacked_rows(pool, 3), attacked_rows(pool)
    labels = pool.labels.numpy()
    own, others = labels[foregrounds], labels[backgrounds]
    matrix = all_pairs(by_pixels, pool, foregrounds, backgrounds)
    results, attack = records[0].results, Attacks.of_records(records[:1])
    assert results["foregrounds"]["rows"] == foregrounds.tolist()
    assert from_digits(results["foregrounds"]["labels"]).tolist() == own.tolist()
    alone = by_pixels(pool.images[foregrounds]).argmax(1).numpy()
    assert from_digits(results["foregrounds"]["original"]).tolist() == alone.tolist()
    assert attack.sizes == (27, 36, 27 * 36)
    assert attack.vulnerable().value == pytest.approx(targeted(matrix, own, others).mean())
    assert attack.vulnerable("untargeted").value == pytest.approx(untargeted(matrix, own).mean())
    assert attack.challenge().value == pytest.approx(1 - untargeted(matrix, own).mean())
    right = alone == own
    assert right.any()
    conditional = attack.vulnerable_if_right()
    of_class = [targeted(matrix, own, others)[right & (own == label)].mean() for label in np.unique(own[right])]
    assert conditional is not None and conditional.value == pytest.approx(np.mean(of_class))
    by_class = attack.by_class().set_index("target")["value"]
    for label, name in enumerate(CLASS_NAMES):
        expected = 100 * fooled_by_class(matrix, own, others)[own != label, label].mean()
        assert by_class[name] == pytest.approx(expected)
    rates = attack.success().set_index("row")
    for column, row in enumerate(backgrounds):
        expected = 100 * (matrix[own != others[column], column] == others[column]).mean()
        assert rates.loc[row, "value"] == pytest.approx(expected)
        assert rates.loc[row, "target"] == CLASS_NAMES[others[column]]
    assert 0 < attack.search_share < 100


def test_the_nested_parts_grow_to_the_whole(records: list[Record]) -> None:
    attack = Attacks.of_records(records[:1])
    for rule in ("targeted", "untargeted"):
        frame = attack.growth(rule)
        assert frame["backgrounds"].tolist() == [9, 18, 36]  # an eighth and a quarter of four are one
        assert frame["value"].is_monotonic_increasing
        assert frame["value"].iloc[-1] == pytest.approx(attack.vulnerable(rule).in_percent().value)
    assert len(SHARES) == 4 and SHARES[-1] == 1


def test_several_models_count_the_same(records: list[Record]) -> None:
    both, first, second = (Attacks.of_records(part) for part in (records, records[:1], records[1:]))
    for rule in ("targeted", "untargeted"):
        mean = (first.vulnerable(rule).value + second.vulnerable(rule).value) / 2
        assert both.vulnerable(rule).value == pytest.approx(mean)
    means = first.success().set_index("row")["value"] / 2 + second.success().set_index("row")["value"] / 2
    assert np.allclose(both.success().set_index("row")["value"].sort_index(), means.sort_index())


def test_one_answer_for_all_is_eight_in_nine_by_either_rule(records: list[Record]) -> None:
    attack = Attacks.of_records(records[1:])
    assert attack.vulnerable().value == attack.vulnerable("untargeted").value == pytest.approx(8 / 9)
    assert attack.challenge() == wilson(3, 27)
    conditional = attack.vulnerable_if_right()
    assert conditional is not None and conditional.value == 0
    best = attack.best(2)
    assert best[CLASS_NAMES[3]]["value"].tolist() == [100, 100] and best["dog"]["value"].tolist() == [0, 0]
    assert list(best) == list(CLASS_NAMES) and best["dog"]["rank"].tolist() == [1, 2]


def test_without_a_right_answer_there_is_no_share_of_them(records: list[Record]) -> None:
    results = json.loads(json.dumps(records[1].results))
    results["foregrounds"]["original"] = "-" * 27
    assert Attacks.of_records([replace(records[1], results=results)]).vulnerable_if_right() is None


def test_right_means_right_by_every_model(records: list[Record]) -> None:
    texts = ["".join(digits) for digits in (3 * "0" + 24 * "-", "--0" + 24 * "-")]
    changed = []
    for record, text in zip(records, texts, strict=True):
        results = json.loads(json.dumps(record.results))
        results["foregrounds"]["original"] = text
        changed.append(replace(record, results=results))
    both = Attacks.of_records(changed)
    assert both.right.sum(axis=1).tolist() == [3, 1]
    conditional = both.vulnerable_if_right()
    flags = both.parts[-1][1]["targeted"][:, 2]  # of the one foreground that both models name
    assert conditional is not None and conditional.value == pytest.approx(flags.mean())


# --- folds ------------------------------------------------------------------------------------------------------


def fold_record(fold: int, **results: object) -> Record:
    """The record of a network that leaves out a fold; two growing parts of its backgrounds, the last of them all."""
    growth = [
        {"backgrounds": number, "targeted": targeted, "untargeted": untargeted}
        for number, targeted, untargeted in results.pop("growth")
    ]
    settings = {"recipe": {"seed": fold, "fold": fold}}
    return Record("adversarial", "x", settings, "", {"growth": growth, **results})


def fooled_rows(**rows: str) -> list[str]:
    """``fooled_by_class`` of a record of few foregrounds: "c0" is what class 0 reaches; the other classes none."""
    width = len(next(iter(rows.values())))
    return [rows.get(f"c{label}", "0" * width) for label in range(NUM_CLASSES)]


@pytest.fixture
def folds() -> list[Record]:
    """Two folds of classes 0 and 1: foregrounds 0 0 1 and 0 1 1 1, backgrounds 0 1 and 0 0 1."""
    return [
        fold_record(
            0,
            foregrounds={"rows": [0, 1, 2], "labels": "001", "original": "000"},
            backgrounds={"rows": [1, 2], "labels": "01"},
            growth=[(1, "001", "001"), (2, "101", "111")],
            fooled_by_class=fooled_rows(c0="001", c1="100"),
            successes=[1, 1],
            composites=4,
        ),
        fold_record(
            1,
            foregrounds={"rows": [0, 3, 4, 5], "labels": "0111", "original": "0110"},
            backgrounds={"rows": [0, 1, 4], "labels": "001"},
            growth=[(2, "0100", "0100"), (3, "1100", "1100")],
            fooled_by_class=fooled_rows(c0="0100", c1="1000"),
            successes=[1, 0, 1],
            composites=9,
        ),
    ]


def test_folds_are_joined_image_by_image(folds: list[Record]) -> None:
    attack = Attacks.of_records(folds)
    assert attack.labels.tolist() == [0, 0, 1, 0, 1, 1, 1]
    assert attack.folds is not None and attack.folds.tolist() == [0, 0, 0, 1, 1, 1, 1]
    assert attack.background_folds is not None and attack.background_folds.tolist() == [0, 0, 1, 1, 1]
    assert attack.right.tolist() == [[True, True, False, True, True, True, False]]
    assert attack.fooled_by.shape == (1, 9, 7)
    assert [number for number, _ in attack.parts] == [2, 2]  # means, rounded: of 1 and 2, and of 2 and 3
    assert attack.sizes == (4, 2, 8)  # means, rounded: of 3 and 4, and of 2 and 3
    assert attack.search_share == pytest.approx(100 * (4 + 9) / (3 * 2 + 4 * 3))


def test_shares_of_folds_by_hand(folds: list[Record]) -> None:
    """Every class counts the same, whatever its number in a fold: three foregrounds of class 0, four of class 1."""
    attack = Attacks.of_records(folds)
    assert attack.vulnerable().value == pytest.approx((2 / 3 + 2 / 4) / 2)
    assert attack.vulnerable("untargeted").value == pytest.approx((3 / 3 + 2 / 4) / 2)
    assert attack.challenge().value == pytest.approx((0 / 3 + 2 / 4) / 2)
    assert attack.vulnerable(part=0).value == pytest.approx((0 / 3 + 2 / 4) / 2)
    conditional = attack.vulnerable_if_right()  # right are three of class 0 and two of class 1
    assert conditional is not None and conditional.value == pytest.approx((2 / 3 + 1 / 2) / 2)
    for name in ("targeted", "untargeted"):
        estimate = attack.vulnerable(name)
        assert estimate.low < estimate.value < estimate.high


def test_by_class_and_success_of_folds_by_hand(folds: list[Record]) -> None:
    attack = Attacks.of_records(folds)
    table = attack.by_class().set_index("target")["value"]
    assert table.to_dict() == pytest.approx({CLASS_NAMES[0]: 100 * 2 / 4, CLASS_NAMES[1]: 100 * 2 / 3})
    frame = attack.success()
    rows = [tuple(row) for row in frame[["target", "fold", "row", "rank"]].itertuples(index=False)]
    assert rows == [
        (CLASS_NAMES[0], 0, 1, 1),  # turns 1 of 1 into its class
        (CLASS_NAMES[0], 1, 0, 2),  # 1 of 3
        (CLASS_NAMES[0], 1, 1, 3),  # none of 3
        (CLASS_NAMES[1], 1, 4, 1),  # 1 of 1
        (CLASS_NAMES[1], 0, 2, 2),  # 1 of 2
    ]
    assert frame["value"].tolist() == pytest.approx([100, 100 / 3, 0, 100, 50])
    assert attack.best(1)[CLASS_NAMES[1]]["fold"].tolist() == [1]


def test_folds_are_compared_foreground_by_foreground(folds: list[Record]) -> None:
    first = Attacks.of_records(folds)
    changed = json.loads(json.dumps(folds[1].results))
    changed["growth"][-1]["targeted"] = "0001"
    second = Attacks.of_records([folds[0], replace(folds[1], results=changed)])
    change = first.minus(second)
    assert change.value == pytest.approx(((2 - 1) / 3 + (2 - 2) / 4) / 2)
    assert change.low < change.value < change.high and first.minus(first).value == 0
    other_fold = replace(folds[1], settings={"recipe": {"seed": 2, "fold": 2}})
    for records in (folds[:1], [folds[0], other_fold]):
        with pytest.raises(ValueError, match="different foregrounds"):
            first.minus(Attacks.of_records(records))


def test_one_fold_alone_is_its_record(folds: list[Record]) -> None:
    for record in folds:
        attack = Attacks.of_records([record])
        plain_settings = replace(record, settings={"recipe": {"seed": 0}})
        unfolded = Attacks.of_records([plain_settings])
        assert attack.vulnerable() == unfolded.vulnerable() and attack.sizes == unfolded.sizes
        assert attack.success()["value"].tolist() == unfolded.success()["value"].tolist()


def test_figures_draw_what_a_record_says(records: list[Record], tmp_path: Path) -> None:
    with mpl.rc_context():
        style.use("svg")
        attack = Attacks.of_records(records)
        rates = attack.success().assign(origin="run")
        charts.success_histograms(rates, CLASS_NAMES).figure.savefig(tmp_path / "rates.svg")
        charts.success_histograms(rates.assign(value=0.0), CLASS_NAMES[:2]).figure.savefig(tmp_path / "zero.svg")
        growth = attack.growth().assign(origin="run")
        growth.loc[0, ["low", "high"]] = np.nan
        curves.vulnerability_growth(growth, 4050, {"run": 90.0}).figure.savefig(tmp_path / "growth.svg")
        picture = np.zeros((8, 8, 3), np.uint8)
        grid = pictures.picture_grid({"dog": [picture, picture]}, ["1", "2"], {"dog": ["12 %", "8 %"]})
        grid.savefig(tmp_path / "grid.png")
        assert [axis.get_xlabel() for axis in grid.axes] == ["12 %", "8 %"]


def test_backgrounds_are_shown_with_the_objects_that_they_fool(tmp_path: Path) -> None:
    painted = photographs.painted(32)
    labels, number = painted.labels, len(painted)
    answers = np.tile(labels[:, None], number)
    answers[:3, -1] = labels[-1]  # the last background fools the first three objects
    pairs = showcase.AnsweredPairs(labels, np.ones(number, bool), labels, answers)
    shown = adversarial_backgrounds.on_backgrounds(painted, pairs.strongest(), number=4)
    assert list(shown) == [number - 1]
    background, *objects, white = shown[number - 1]
    for row, image in enumerate(objects):
        mask = painted.masks[row]
        assert np.array_equal(image[mask], painted.images[row][mask])
        assert np.array_equal(image[~mask], background[~mask])
    assert (white == 255).all()
    with pytest.raises(NotMeasured, match="in9 fetch photographs"):
        adversarial_backgrounds.answered_pairs(open_study(Workspace(tmp_path), PROFILE, recorded=True), painted)


def test_the_projects_record_of_photographs_is_read_without_them() -> None:
    study, painted = Study("tiny", recorded=True), photographs.painted(32)
    pairs = adversarial_backgrounds.answered_pairs(study, painted)
    assert np.array_equal(pairs.labels, painted.labels) and pairs.classes.shape == (len(painted),) * 2
    assert not pairs.clean.all() and len(pairs.fooled()) > 5


def test_a_study_groups_the_attacks_by_training_set(records: list[Record], tmp_path: Path) -> None:
    profile = replace(PROFILE, seeds=(0, 1))
    study = open_study(Workspace(tmp_path), profile, recorded=True)
    groups = ADVERSARIAL.groups(profile)
    assert list(groups) == list(ATTACKED) == [IN9L, "original", "mixed_rand"]
    assert ADVERSARIAL.read(study) == {} and study.missing(ADVERSARIAL.jobs(profile)) == ADVERSARIAL.jobs(profile)
    for job, record in zip(groups[IN9L], records, strict=True):
        Store(study.records / profile.name).write(replace(record, settings=job.settings))
    attacks = ADVERSARIAL.read(study)
    assert list(attacks) == [IN9L] and study.missing(groups[IN9L]) == []
    assert np.array_equal(attacks[IN9L].hits, Attacks.of_records(records).hits)
    with pytest.raises(NotMeasured, match="no record of mixed_rand"):
        attacks["mixed_rand"]


@pytest.mark.parametrize("recorded", [False, True])
def test_a_study_says_which_records_it_lacks(recorded: bool, tmp_path: Path) -> None:
    study = open_study(Workspace(tmp_path), recorded=recorded)
    jobs = ADVERSARIAL.jobs(study.profile)
    assert study.missing([*jobs, *jobs]) == jobs and study.missing([]) == []
