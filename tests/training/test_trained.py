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


def test_weights_from_before_there_were_hashes_are_loaded(weights: Path, dataset: Dataset, tmp_path: Path) -> None:
    old = tmp_path / weights.name
    with safe_open(weights, "pt") as stored:
        training = stored.metadata()["training"]
    save_file(load_file(weights), old, metadata={"training": training})
    assert trained_classifier(RECIPE, dataset, old, CPU)[1] == trained_classifier(RECIPE, dataset, weights, CPU)[1]
