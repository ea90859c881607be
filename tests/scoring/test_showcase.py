"""What EfficientNet-Lite0 answers to the illustrations: two rules, all pairs and their record, no network at all."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from in9.data.photographs import Illustrations, listing, painted
from in9.data.variants import compose
from in9.errors import In9Error
from in9.evaluation.records import Store, from_digits
from in9.evaluation.saliency.maps import saliency_maps
from in9.scoring import showcase
from in9.scoring.load import load_model
from in9.scoring.score import RESTRICTED, STRICT
from in9.scoring.showcase import AnsweredPairs, answers, fooled_pairs, measure_pairs
from in9.study.workspace import find_workspace
from in9.taxonomy import NUM_CLASSES
from in9.training.networks import Classifier

needs_network = pytest.mark.skipif(showcase.network() is None, reason="EfficientNet-Lite0 is not installed")


@pytest.fixture(scope="module")
def pictures() -> Illustrations:
    """Four painted illustrations that pass for photographs; something is left in the background of the last."""
    photographs = [listing()[row] for row in (0, 4, 12)]
    return replace(painted(64, [*photographs, replace(listing()[-1], rest="another")]), drawn=False)


@needs_network
def test_both_rules_and_the_share(pictures: Illustrations) -> None:
    answered = answers(pictures.images)
    scores = load_model(showcase.NETWORK).classifier(pictures.pool().images).detach()
    assert answered.classes.tolist() == scores[:, :NUM_CLASSES].argmax(1).tolist()
    expected = scores.argmax(1).where(scores.argmax(1) < NUM_CLASSES, -1)
    assert answered.strict.tolist() == expected.tolist()
    assert np.allclose(answered.shares, scores[:, :NUM_CLASSES].softmax(1).max(1).values, atol=1e-4)
    as_tensor = answers(pictures.pool().images)
    assert as_tensor.classes.tolist() == answered.classes.tolist()
    assert showcase.network() is showcase.network(), "loaded once"


def test_the_network_can_be_looked_into_after_it_has_answered(pictures: Illustrations) -> None:
    showcase.network.cache_clear()
    answers(pictures.images[:1])
    model = showcase.network()
    assert model is not None and isinstance(model.classifier, Classifier)
    assert saliency_maps(model.classifier, pictures.pool().images[:1], torch.tensor([0])).max() == pytest.approx(1)


def test_answers_in_words() -> None:
    answered = showcase.Replies(np.array([0, 8]), np.array([0.974, 0.5], np.float32), np.array([0, -1]))
    assert answered.words() == ["dog, 97 %", "fish, 50 %"]


@needs_network
def test_all_pairs_are_measured_once(pictures: Illustrations, tmp_path) -> None:
    committed, local = tmp_path / "records", tmp_path / "scores"
    pairs = fooled_pairs(pictures, committed, local)
    rows = torch.arange(4)
    for row in range(4):
        images = compose("mixed_rand", pictures.pool(), rows[row].expand(4), rows)
        assert pairs.classes[row].tolist() == answers(images).classes.tolist()
    assert pairs.alone.tolist() == answers(pictures.images).classes.tolist()
    assert pairs.labels.tolist() == [0, 1, 2, 8] and pairs.clean.tolist() == [True, True, True, False]
    (record,) = Store(local).all("pairs")
    assert not committed.exists() and record.data == pictures.hash
    assert record.provenance["seconds"] >= 0 and record.provenance["model"]["sha256"]
    assert set(record.results) == {"labels", RESTRICTED, STRICT}
    Store(committed).write(
        replace(record, results={**record.results, RESTRICTED: {"alone": "0123", "pairs": ["8888"] * 4}})
    )
    again = fooled_pairs(pictures, committed, local)
    assert again.alone.tolist() == [0, 1, 2, 3] and (again.classes == 8).all(), "the committed record comes first"


def test_nothing_is_measured_on_painted_ones(pictures: Illustrations, tmp_path) -> None:
    assert fooled_pairs(replace(pictures, drawn=True), tmp_path, tmp_path / "scores") is None
    assert not (tmp_path / "scores").exists()


def test_without_the_package_there_are_no_answers(pictures: Illustrations, tmp_path, monkeypatch) -> None:
    def missing(name: str) -> None:
        raise In9Error("efficientnet_lite0 comes from a package that is not installed")

    monkeypatch.setattr("in9.scoring.showcase.load_model", missing)
    showcase.network.cache_clear()
    try:
        assert showcase.network() is None
        assert answers(pictures.images) is None and measure_pairs(pictures) is None
        assert fooled_pairs(pictures, tmp_path, tmp_path / "scores") is None
    finally:
        showcase.network.cache_clear()


def test_who_is_fooled_by_which_background() -> None:
    labels = np.array([0, 1, 2, 8])
    classes = np.array([[0, 1, 2, 8], [1, 1, 2, 8], [2, 1, 2, 5], [8, 1, 2, 8]])
    pairs = AnsweredPairs(labels, np.array([True, True, True, False]), np.array([0, 1, 2, 3]), classes)
    frame = pairs.fooled()
    assert frame[["object", "background"]].to_numpy().tolist() == [[0, 1], [0, 2], [1, 2], [2, 1]], (
        "not the last object, which is wrong in its own image, nor the last background, which is not clean"
    )
    assert frame["label"].tolist() == [0, 0, 1, 2] and frame["answer"].tolist() == [1, 2, 2, 1]
    strongest = pairs.strongest()
    assert strongest["background"].tolist() == [1, 2] and strongest["label"].tolist() == [1, 2]
    assert strongest["fooled"].tolist() == [2, 2] and strongest["objects"].tolist() == [[0, 2], [0, 1]]
    nobody = AnsweredPairs(labels, pairs.clean, labels, np.repeat(labels[:, None], 4, 1))
    assert nobody.fooled().empty and nobody.strongest().empty


def test_the_projects_record_is_of_the_projects_list() -> None:
    records = Store(find_workspace(__file__).committed).all("pairs")
    assert [record.data for record in records] == [replace(painted(), drawn=False).hash]
    results = records[0].results
    assert from_digits(results["labels"]).tolist() == [photograph.label for photograph in listing()]
    for rule in (RESTRICTED, STRICT):
        assert len(results[rule]["pairs"]) == len(results[rule]["alone"]) == len(listing())
        assert {len(line) for line in results[rule]["pairs"]} == {len(listing())}
