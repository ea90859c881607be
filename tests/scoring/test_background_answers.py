"""How often the answer is the background's class: the same from a dataset, an export and a recovered table."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from in9.data.dataset import Dataset
from in9.data.variants import draw_backgrounds, load_pool
from in9.scoring.load import load_model
from in9.scoring.report import background_text
from in9.scoring.score import Score, evaluate
from in9.scoring.test_images import open_test_images

pytestmark = pytest.mark.usefixtures("one_thread")


def rim(images: Tensor) -> Tensor:
    """A classifier of nine outputs that looks at the rim of an image alone."""
    colours = images[:, :, [0, 1, -2, -1]].mean((2, 3)) * 8
    return torch.stack([torch.cos(colours @ torch.tensor([1.0, 2.0, 3.0]) * (k + 1)) for k in range(9)], 1)


@pytest.fixture(scope="module")
def score(dataset: Dataset) -> Score:
    return evaluate(load_model(rim, image_size=32), dataset)


def test_it_is_the_share_of_answers_that_are_the_backgrounds_class(dataset: Dataset, score: Score) -> None:
    table = score.background_answers(open_test_images(dataset).backgrounds())
    assert table["test"].tolist() == ["mixed_rand", "mixed_next"]  # in Mixed-Same the two classes are one
    pool = load_pool(dataset, "test")
    for row in table.to_dict("records"):
        classes = draw_backgrounds(row["test"], pool, 0)[1].numpy()
        labels = pool.labels.numpy()
        kept = classes != labels
        hits = score.predictions().classes[row["test"]][0, 0] == classes
        by_class = [hits[kept & (labels == label)].mean() for label in range(9) if (kept & (labels == label)).any()]
        assert row["images"] == kept.sum() and row["value"] == pytest.approx(100 * np.mean(by_class))
        assert row["low"] <= row["value"] <= row["high"]
    assert table["value"].max() > 0


def test_a_dataset_its_export_and_a_recovered_table_agree(
    run, dataset: Dataset, score: Score, exported: Path, tmp_path: Path
) -> None:
    expected = score.background_answers(open_test_images(dataset).backgrounds())
    images = open_test_images(exported)
    model = load_model(rim, image_size=32)
    listed = evaluate(model, images).background_answers(images.backgrounds())
    copy = shutil.copytree(exported, tmp_path / "copy")
    (copy / "backgrounds.csv").unlink()
    assert open_test_images(copy).backgrounds() == {}
    assert run("backgrounds", copy, "--csv", tmp_path / "table.csv")[0] == 0
    images = open_test_images(copy)
    elsewhere = evaluate(model, images).background_answers(images.backgrounds(tmp_path / "table.csv"))
    shutil.copy(tmp_path / "table.csv", copy / "recovered_backgrounds.csv")
    beside = evaluate(model, images).background_answers(images.backgrounds())
    for table in (listed, elsewhere, beside):
        assert table["images"].tolist() == expected["images"].tolist()
        np.testing.assert_allclose(table[["value", "low", "high"]], expected[["value", "low", "high"]])


def test_unknown_backgrounds_do_not_count(exported: Path, tmp_path: Path) -> None:
    lines = (exported / "backgrounds.csv").read_text().splitlines()
    path = tmp_path / "part.csv"
    path.write_text("\n".join([lines[0], *(line for line in lines[1:] if line.startswith("mixed_next"))][:11]) + "\n")
    images = open_test_images(exported)
    table = evaluate(load_model(rim, image_size=32), images).background_answers(images.backgrounds(path))
    assert table["test"].tolist() == ["mixed_next"] and table["images"].tolist() == [10]


def test_the_command_says_it(run, exported: Path, dataset: Dataset, tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "looks.py").write_text("def rim(images):\n    return images[:, :, 0].mean(2).repeat(1, 3)\n")
    monkeypatch.chdir(tmp_path)
    status, out, err = run("evaluate", "looks:rim", "--data", exported, "--device", "cpu")
    assert status == 0, err
    assert "Answers the background's class" in out and out.count("Mixed-Next") == 2
    table = tmp_path / "other.csv"
    for text, data, message in (
        ("test,id,background\nmixed_rand,00_dog/x,00_dog/y\n", exported, "lists no background of these images"),
        ("test,id,background\nmixed_rand,{id},dog/y\n", exported, "has a background of 'dog'; expected one of 00_dog"),
        ("", dataset.path, "leave out --backgrounds"),
    ):
        table.write_text(text.format(id=open_test_images(exported).ids("mixed_rand")[0]))
        status, _, err = run("evaluate", "looks:rim", "--data", data, "--backgrounds", table)
        assert status == 2 and message in err and err.strip().count("\n") == 0


def test_nothing_known_is_said_by_nothing(score: Score) -> None:
    assert background_text(score.background_answers({})) == ""
