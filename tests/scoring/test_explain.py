"""Where any classifier looks: the numbers against the maps, the layer that is said, and one sentence for a mistake."""

from __future__ import annotations

import json
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
import torch

mpl.use("Agg")

from in9.data.dataset import Dataset
from in9.data.export import export
from in9.data.variants import compose, draw_backgrounds, load_pool
from in9.errors import In9Error
from in9.evaluation.records import Store
from in9.evaluation.saliency.layers import find_layer
from in9.evaluation.saliency.maps import METHODS_FOR_ANY, saliency_maps
from in9.evaluation.saliency.scores import foreground_scores
from in9.scoring.explain import SaliencyScore, gallery, saliency, saliency_text
from in9.scoring.load import ScorableModel, load_model
from in9.scoring.test_images import open_test_images
from in9.training.networks import Classifier

pytestmark = pytest.mark.usefixtures("one_thread")

NETWORKS = """
import torch
from torch import nn

def cnn():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 9, 3, 2, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())

def function(images):
    return images.flatten(1)[:, :9]

def blind(images):
    return images.detach().flatten(1)[:, :9]
"""


@pytest.fixture(scope="module")
def model(network: Classifier) -> ScorableModel:
    return ScorableModel(network, load_model(lambda images: images.flatten(1)[:, :9], name="small").facts)


@pytest.fixture(scope="module")
def score(model: ScorableModel, dataset: Dataset) -> SaliencyScore:
    return saliency(model, open_test_images(dataset))


@pytest.fixture
def networks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "some_networks.py").write_text(NETWORKS)
    monkeypatch.chdir(tmp_path)


def test_the_numbers_are_those_of_the_maps(network: Classifier, dataset: Dataset, score: SaliencyScore) -> None:
    pool = load_pool(dataset, "test")
    layer = find_layer(network, pool.images[:2])
    assert score.methods == METHODS_FOR_ANY and score.layer is not None and score.layer.name == layer.name
    table = score.table().set_index(["method", "measure"])
    for method in METHODS_FOR_ANY:
        maps = saliency_maps(network, pool.images, pool.labels, method, layer=layer)
        own = foreground_scores(maps, pool.masks[:, 0].numpy())
        focus = score.focus(method)
        np.testing.assert_allclose(focus.mass[0], own.mass, atol=1e-3)
        np.testing.assert_allclose(focus.pointing[0], own.pointing, atol=1e-3)
        others = [foreground_scores(np.roll(maps, shift, 0), pool.masks[:, 0].numpy()).mass for shift in range(1, 36)]
        np.testing.assert_allclose(focus.mass_swapped[0], np.mean(others, 0), atol=1e-3)
        centred = table.loc[(method, "mass_centred")]
        assert centred["value"] == pytest.approx(100 * (own.mass - np.mean(others, 0)).mean(), abs=0.1)
        assert centred["low"] < centred["value"] < centred["high"] and centred["images"] == 36
        assert table.loc[(method, "area")]["value"] == pytest.approx(100 * own.area.mean(), abs=0.1)


def test_other_images_classes_and_numbers(model: ScorableModel, network: Classifier, dataset: Dataset) -> None:
    images, pool = open_test_images(dataset), load_pool(dataset, "test")
    drawn = draw_backgrounds("mixed_rand", pool, 0)[0]
    rows = torch.cat([torch.nonzero(pool.labels == label)[:2, 0] for label in range(9)]).sort().values
    mixed = compose("mixed_rand", pool, rows, drawn[rows])
    with torch.no_grad():
        predicted = network(mixed).argmax(1)
    expected = foreground_scores(saliency_maps(network, mixed, predicted, "gradient"), pool.masks[rows, 0].numpy()).mass
    for size in (3, 16):
        made = saliency(
            model, images, methods=["gradient"], test="mixed_rand", of="predicted", per_class=2, batch_size=size
        )
        np.testing.assert_allclose(made.focus("gradient").mass[0], expected, atol=1e-3)
        assert made.layer is None and made.focus("gradient").labels.tolist() == pool.labels[rows].tolist()


def test_a_dataset_and_its_export_look_the_same(
    model: ScorableModel, dataset: Dataset, score: SaliencyScore, tmp_path: Path
) -> None:
    exported = open_test_images(export(dataset, tmp_path / "out", progress=False))
    other = saliency(model, exported, methods=["gradcam"]).focus("gradcam")
    first = score.focus("gradcam")
    assert sorted(other.mass[0].round(3)) == pytest.approx(sorted(first.mass[0].round(3)), abs=2e-3)
    assert other.mean("pointing").value == pytest.approx(first.mean("pointing").value, abs=1e-3)


def test_the_text_says_the_layer_and_what_the_numbers_mean(score: SaliencyScore) -> None:
    text = saliency_text(score)
    assert "layer stages (Sequential, 2 x 2 places)" in text and "maps of the true class" in text
    assert all(word in text for word in ("Grad-CAM", "HiResCAM", "input gradient", "Beyond centrality"))


def test_the_gallery_has_a_row_for_each_class(model: ScorableModel, dataset: Dataset, score: SaliencyScore) -> None:
    figure = gallery(model, open_test_images(dataset), score)
    assert len(figure.axes) == 9 * 4
    labels = [axes.get_ylabel() for axes in figure.axes[::4]]
    assert labels[0] == "dog" and labels[-1] == "fish" and len(set(labels)) == 9
    assert all(axes.get_xlabel().startswith("says") for axes in figure.axes[::4])


def test_a_function_has_gradients_and_no_layers(dataset: Dataset) -> None:
    images = open_test_images(dataset)
    model = load_model(lambda images: images.flatten(1)[:, :9], name="a function", image_size=32)
    made = saliency(model, images, methods=["gradient"], per_class=2).focus("gradient")
    maps = np.zeros((18, 32, 32), np.float32)
    maps[np.arange(18), 0, made.labels] = 1  # class k is pixel k of the first row
    pool = load_pool(dataset, "test")
    rows = np.sort(np.concatenate([np.flatnonzero(pool.labels.numpy() == label)[:2] for label in range(9)]))
    np.testing.assert_allclose(made.mass[0], foreground_scores(maps, pool.masks[rows, 0].numpy()).mass, atol=1e-3)
    with pytest.raises(In9Error, match="a function is a function without layers; take --method gradient"):
        saliency(model, images)


def test_the_command(run, networks: None, dataset: Dataset, tmp_path: Path) -> None:
    data = ("--data", dataset.path, "--device", "cpu", "--per-class", 2)
    status, out, err = run(
        "saliency", "some_networks:cnn", *data, "--gallery", tmp_path / "g.png", "--json", tmp_path / "s.json"
    )
    assert status == 0, err
    assert "layer 1 (ReLU, 16 x 16 places)" in out and "looking" in err
    assert (tmp_path / "g.png").stat().st_size > 10_000
    content = json.loads((tmp_path / "s.json").read_text())
    assert content["settings"]["layer"] == "1" and len(content["table"]) == 15
    (record,) = Store(tmp_path / "home" / "scores").all(SaliencyScore.kind) or Store(tmp_path / "home").all("looks")
    assert record.results == content["results"]
    status, out, _ = run("saliency", "some_networks:cnn", *data, "--layer", "0", "--method", "hirescam")
    assert status == 0 and "layer 0 (Conv2d" in out and "HiResCAM" in out and "Grad-CAM" not in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["some_networks:cnn", "--layer", "layer4"], "does not exist. The last that will do, in order, are: 0, 1."),
        (["some_networks:cnn", "--layer", "3"], "has no places in its output"),
        (["some_networks:cnn", "--method", "gradcan"], "Did you mean 'gradcam'"),
        (["some_networks:cnn", "--method", "gradient", "--layer", "1"], "looks at no layer; leave out --layer 1"),
        (["some_networks:cnn", "--variant", "in9l"], "There is no variant 'in9l'"),
        (["some_networks:cnn", "--of", "wrong"], "no class to explain 'wrong'"),
        (["some_networks:cnn", "--gallery", "g.txt"], "has no ending of a figure"),
        (["some_networks:function"], "is a function without layers"),
        (["some_networks:blind", "--method", "gradient"], "gives no maps by input gradient"),
    ],
)
def test_a_mistake_is_one_sentence(run, networks: None, dataset: Dataset, words: list[str], message: str) -> None:
    status, _, err = run("saliency", *words, "--data", dataset.path, "--device", "cpu")
    line = err.strip().splitlines()[-1]
    assert status == 2 and message in line and line.startswith("in9: ") and "Traceback" not in err
