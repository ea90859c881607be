"""Answers of a classifier that ran elsewhere: the same table as where it runs here, and one sentence for a bad file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from in9.data.dataset import Dataset
from in9.data.export import export
from in9.errors import In9Error
from in9.experiments.benchmark_progress import among_the_papers
from in9.scoring import report
from in9.scoring.challenge import challenge
from in9.scoring.score import Score, evaluate
from in9.scoring.test_images import open_test_images
from in9.taxonomy import CLASS_NAMES, NUM_CLASSES, UNMAPPED, imagenet_to_in9

pytestmark = pytest.mark.usefixtures("one_thread")


def network(images: Tensor, outputs: int = 1000) -> Tensor:
    """Outputs that look random and depend on every pixel."""
    values = (images * 255).round().long().flatten(1)
    sums = (values * (torch.arange(values.shape[1]) % 89 + 1)).sum(1, keepdim=True)
    return ((sums * (torch.arange(outputs) * 7919 + 31)) % 10007).float()


def of_nine(images: Tensor) -> Tensor:
    return network(images, NUM_CLASSES)


@pytest.fixture(scope="module")
def score(dataset: Dataset) -> Score:
    return evaluate(network, dataset, device="cpu", name="net")


@pytest.fixture
def write(tmp_path: Path) -> Callable[[pd.DataFrame | str], Path]:
    """Write a file of answers."""

    def written(content: pd.DataFrame | str) -> Path:
        path = tmp_path / "net.csv"
        path.write_text(content if isinstance(content, str) else content.to_csv(index=False))
        return path

    return written


def raw_answers(dataset: Dataset, function: Callable[[Tensor], Tensor], tests: tuple[str, ...]) -> pd.DataFrame:
    """What somebody else's script would write: test, id, and the scores."""
    images, frames = open_test_images(dataset), []
    for test in tests:
        outputs = torch.cat([function(batch.float() / 255) for batch in images.batches(test, 50)]).numpy()
        frame = pd.DataFrame(outputs, columns=[f"score_{output}" for output in range(outputs.shape[1])])
        frames.append(frame.assign(test=test, id=images.ids(test)))
    return pd.concat(frames, ignore_index=True)


@pytest.mark.parametrize("function", [network, of_nine])
def test_what_evaluate_writes_gives_the_same_table(
    dataset: Dataset, write: Callable[..., Path], function: Callable[[Tensor], Tensor]
) -> None:
    score = evaluate(function, dataset, device="cpu", name="net")
    shuffled = score.images().sample(frac=1, random_state=0)
    again = evaluate(write(shuffled), dataset)
    assert again.table().equals(score.table()) and again.rules == score.rules and again.name == "net"
    assert again.ids == score.ids and again.images().equals(score.images())
    text = report.text(again, among_the_papers(again))
    assert "net: answers of net.csv; test images from synthetic" in text and "without an answer" not in text


def test_an_export_is_answered_by_its_names(dataset: Dataset, tmp_path: Path, write: Callable[..., Path]) -> None:
    folder = export(dataset, tmp_path / "exported", seed=0, progress=False)
    score = evaluate(network, folder, device="cpu")
    assert evaluate(write(score.images()), folder).table().equals(score.table())


@pytest.mark.parametrize("form", ["scores", "imagenet_class", "class", "names"])
def test_every_form_says_the_same(dataset: Dataset, score: Score, write: Callable[..., Path], form: str) -> None:
    tests = ("original", "mixed_same", "mixed_rand")
    table = raw_answers(dataset, network, tests)
    scores = table.filter(like="score_").to_numpy()
    coarse = imagenet_to_in9()[scores.argmax(1)]
    if form != "scores":
        table = table[["test", "id"]]
    if form == "imagenet_class":
        table = table.assign(imagenet_class=scores.argmax(1))
    elif form == "class":
        table = table.assign(**{"class": coarse})
    elif form == "names":
        table = table.assign(**{"class": [CLASS_NAMES[label] if label >= 0 else "-1" for label in coarse]})
    again = evaluate(write(table), dataset, name="theirs")
    expected = score.table()
    expected = expected[expected["test"].isin([*tests, "bg_gap"])].reset_index(drop=True)
    if form != "scores":
        expected = expected.query("rule == 'strict'").reset_index(drop=True)
    assert again.table().equals(expected) and again.name == "theirs"
    assert UNMAPPED in coarse and "Strict, the paper's" in report.text(again, pd.DataFrame())
    assert again.record.settings["model"]["outputs"] == (None if form in ("class", "names") else 1000)


def test_scores_of_nine(dataset: Dataset, write: Callable[..., Path]) -> None:
    table = raw_answers(dataset, of_nine, ("only_fg", "in9l"))
    expected = evaluate(of_nine, dataset, tests=["only_fg", "in9l"], device="cpu").table()
    assert evaluate(write(table), dataset).table().equals(expected)
    alone = evaluate(write(table), dataset, tests=["in9l"]).table()
    assert alone.equals(expected.query("test == 'in9l'").reset_index(drop=True))
    with pytest.raises(In9Error, match="has no answers for mixed_rand; it has only_fg, in9l"):
        evaluate(write(table), dataset, tests=["mixed_rand"])


def test_missing_images_are_counted_and_pairs_stay_pairs(
    dataset: Dataset, score: Score, write: Callable[..., Path]
) -> None:
    table = score.images()
    lost = table.query("test == 'mixed_rand'").groupby("label").head(1)
    fewer = evaluate(write(table.drop(lost.index)), dataset)
    images = len(score.ids["original"])
    assert fewer.record.settings["missing"] == {test: 9 * (test == "mixed_rand") for test in score.tests}
    assert fewer.record.settings["left_out"] == 9 * 7  # in the seven other test sets of the same objects
    for test in score.tests:
        kept = [name for name in score.ids[test] if test == "in9l" or name not in set(lost["id"])]
        assert list(fewer.ids[test]) == kept
    table = fewer.table().set_index(["test", "rule"])
    assert table.loc[("original", "strict"), "images"] == images - 9
    whole = score.table().set_index(["test", "rule"])
    width = table["high"] - table["low"]
    assert table.loc[("in9l", "strict")].equals(whole.loc[("in9l", "strict")])
    assert width["bg_gap", "restricted"] > (whole["high"] - whole["low"])["bg_gap", "restricted"]
    text = report.text(fewer, pd.DataFrame())
    assert "Images without an answer: 9 of Mixed-Rand." in text and "63 answers" in text and "wider" in text


def changed(column: str, value: Any) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def change(table: pd.DataFrame) -> pd.DataFrame:
        table = table.astype({column: object})
        table.loc[table.index[3], column] = value
        return table

    return change


def without_class(table: pd.DataFrame) -> pd.DataFrame:
    return table[~((table["label"] == 2) & (table["test"] == "no_fg"))]


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (changed("id", "n0000_1"), r"have 1 ids of original that .* does not have \(n0000_1\)"),
        (lambda table: table.assign(id="x" + table["id"]), "of other images than .*: none of their 36 ids .*such as x"),
        (lambda table: table.assign(label=(table["label"] + 1) % 9), "the label differs, first for"),
        (lambda table: pd.concat([table, table.head(2)]), "more than one row for 2 images of original, first for"),
        (without_class, "has no vehicle with an answer in each test set"),
        (changed("test", "mixed_rnd"), "no test set in net.csv 'mixed_rnd'. Did you mean 'mixed_rand'"),
        (changed("strict", 9), r"the strict 9; it must be a number from 0 to 8, -1 for none.*\(1 of \d+ rows"),
        (changed("strict", "cat"), "the strict cat; it must be"),
        (changed("strict", 1.5), "the strict 1.5; it must be"),
        (changed("strict", ""), "the strict ; it must be"),
        (changed("restricted", -1), "the restricted -1; it must be a number from 0 to 8 "),
        (lambda table: table.rename(columns={"strict": "imagenet_class"}).assign(imagenet_class=1000),
         "the imagenet_class 1000; it must be a number from 0 to 999"),
        (lambda table: table.rename(columns={"strict": "class"}).assign(**{"class": 281}),
         "go into a column imagenet_class"),
        (lambda table: table.drop(columns="id"), "have no column id"),
        (lambda table: table.drop(columns=["strict"]), "need answers in one form, .*; they have none"),
        (lambda table: table.assign(**{"class": 0}), "in one form, .*; they have class and strict"),
        (lambda table: table.head(0), "hold no row"),
        (lambda table: "", r"cannot be read as CSV \(No columns"),
        (lambda table: "test,id\n1,2,3\n1\n\"", "cannot be read as CSV"),
    ],
)  # fmt: skip
def test_a_bad_file_is_one_sentence(
    dataset: Dataset, score: Score, write: Callable[..., Path], change: Callable[[pd.DataFrame], Any], match: str
) -> None:
    with pytest.raises(In9Error, match=match) as caught:
        evaluate(write(change(score.images())), dataset)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (changed("score_4", np.nan), "scores that are no finite numbers for 1 of 36 rows, first for "),
        (changed("score_4", np.inf), "scores that are no finite numbers for 1 of 36 rows"),
        (changed("score_4", "high"), "scores that are no finite numbers"),
        (lambda table: table.drop(columns="score_8"), "have 8 columns of scores, score_0 to score_7; there must be 9"),
        (lambda table: table.rename(columns={"score_8": "score_9"}), "have 9 columns of scores, .* score_0 to score_8"),
    ],
)
def test_bad_scores_are_one_sentence(
    dataset: Dataset, write: Callable[..., Path], change: Callable[[pd.DataFrame], Any], match: str
) -> None:
    table = raw_answers(dataset, of_nine, ("original",))
    with pytest.raises(In9Error, match=match):
        evaluate(write(change(table)), dataset)


def test_there_is_no_file_and_no_challenge_of_one(dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(In9Error, match=r"none\.csv cannot be read as CSV \(No such file"):
        evaluate(str(tmp_path / "none.csv"), dataset)
    with pytest.raises(In9Error, match="asks the classifier itself"):
        challenge("net.csv", dataset, device="cpu")
