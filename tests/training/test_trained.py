"""Weights that were changed after the training are refused, wherever the bytes were hit."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from in9.data.dataset import Dataset
from in9.errors import In9Error
from in9.training.recipe import Recipe
from in9.training.trained import trained_classifier, weights_file

RECIPE = Recipe(architecture="small_resnet_w8_b1", epochs=1, batch_size=12)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def weights(dataset: Dataset, one_thread: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = weights_file(tmp_path_factory.mktemp("trained"), RECIPE, dataset)
    trained_classifier(RECIPE, dataset, path, CPU)
    return path


def test_whole_weights_are_loaded(weights: Path, dataset: Dataset) -> None:
    model, training = trained_classifier(RECIPE, dataset, weights, CPU)
    stored = load_file(weights)
    assert training["images"] > 0 and all(torch.equal(stored[name], each) for name, each in model.state_dict().items())


def test_changed_bytes_are_noticed(weights: Path, dataset: Dataset, tmp_path: Path) -> None:
    rng, whole = random.Random(0), weights.read_bytes()
    damaged = tmp_path / weights.name
    for number in range(40):
        content = bytearray(whole)
        place = rng.randrange(len(content)) if number else len(content) - 40
        content[place : place + 8] = bytes(8) if any(content[place : place + 8]) else b"\1" * 8
        damaged.write_bytes(content[: len(whole)])
        with pytest.raises(In9Error, match=r"cannot be read \(.+\); remove them to train anew"):
            trained_classifier(RECIPE, dataset, damaged, CPU)


@pytest.fixture
def old(weights: Path, tmp_path: Path) -> Path:
    """The same weights as they were stored before there were hashes."""
    with safe_open(weights, "pt") as stored:
        training = stored.metadata()["training"]
    save_file(load_file(weights), tmp_path / weights.name, metadata={"training": training})
    return tmp_path / weights.name


def test_weights_without_a_hash_get_theirs_when_they_are_loaded(
    weights: Path, old: Path, dataset: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = trained_classifier(RECIPE, dataset, weights, CPU)[1]
    assert trained_classifier(RECIPE, dataset, old, CPU)[1] == expected
    assert capsys.readouterr().err == f"{old} had no hash. It has one now: a change from here on will be noticed.\n"
    assert list(old.parent.iterdir()) == [old]
    with safe_open(weights, "pt") as stored, safe_open(old, "pt") as now:
        assert now.metadata() == stored.metadata()
    assert trained_classifier(RECIPE, dataset, old, CPU)[1] == expected and capsys.readouterr().err == ""


def test_weights_without_a_hash_are_loaded_where_nothing_can_be_written(
    old: Path, dataset: Dataset, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = old.read_bytes()

    def refuse(*arguments: object) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "write_bytes", refuse)
    assert trained_classifier(RECIPE, dataset, old, CPU)[1]["images"] > 0
    assert old.read_bytes() == before and capsys.readouterr().err == ""
