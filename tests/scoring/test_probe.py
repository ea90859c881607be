"""Linear heads: what is fitted, to which features, and what is said where it cannot be."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from safetensors.torch import load_file, save_file
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

from in9.data.build import build
from in9.data.dataset import Dataset
from in9.data.export import export
from in9.data.sources import open_source
from in9.data.splits import Split
from in9.data.variants import load_pool
from in9.errors import In9Error
from in9.scoring import report
from in9.scoring.load import ScorableModel, load_model
from in9.scoring.score import evaluate
from in9.taxonomy import NUM_CLASSES
from in9.training.networks import create

pytestmark = pytest.mark.usefixtures("one_thread")

SPEC, SIZE = "timm/test_resnet", 32


@pytest.fixture(scope="module")
def folded(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """A small dataset whose images are dealt into folds."""
    source = open_source("synthetic", rho=0.5, per_class=12, image_size=SIZE)
    split = Split(test=0, validation=1 / 3, folds=2)
    return build(source, tmp_path_factory.mktemp("folded") / "dataset", workers=1, split=split, progress=False)


@pytest.fixture(scope="module")
def network() -> nn.Module:
    import timm

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        return timm.create_model("test_resnet").eval()


@pytest.fixture
def weights(tmp_path: Path, network: nn.Module) -> Path:
    path = tmp_path / "weights.safetensors"
    save_file(network.state_dict(), path)
    return path


def random_images(size: int = SIZE) -> Tensor:
    draws = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (6, 3, size, size), dtype=torch.uint8, generator=draws)


@torch.inference_mode()
def outputs(model: ScorableModel, images: Tensor | None = None) -> Tensor:
    return model.classifier.outputs(random_images() if images is None else images)  # type: ignore[attr-defined]


def refused(*arguments: Any, match: str, **options: Any) -> None:
    with pytest.raises(In9Error, match=match) as caught:
        load_model(*arguments, **{"image_size": SIZE, **options})
    assert "\n" not in str(caught.value)


def forbid(*arguments: Any, **options: Any) -> None:
    raise AssertionError("the features should have been kept")


# ---- fitting ---------------------------------------------------------------------------------------------------------


def test_the_head_is_scikit_learns_and_its_regularisation_the_best(
    dataset: Dataset, network: nn.Module, weights: Path
) -> None:
    model = load_model(SPEC, weights=weights, probe="original", data=dataset, image_size=SIZE)

    @torch.inference_mode()
    def features(images: Tensor) -> np.ndarray:
        colours = (images.float() / 255 - 0.5) / 0.5  # as timm has it for this network
        return network.forward_head(network.forward_features(colours), pre_logits=True).numpy()  # type: ignore[operator]

    splits = {split: load_pool(dataset, split) for split in ("train", "validation")}
    x, held = (features(pool.images) for pool in splits.values())
    y, held_y = (pool.labels.numpy() for pool in splits.values())
    fits = {}
    for power in range(-6, 2):
        pipeline = make_pipeline(
            StandardScaler(), LogisticRegression(C=10.0**power, max_iter=300, class_weight="balanced")
        )
        fits[10.0**power] = pipeline.fit(x, y)
    accuracies = {c: balanced_accuracy_score(held_y, fit.predict(held)) for c, fit in fits.items()}
    told = model.facts["head"]
    assert told["validation_accuracy"] == pytest.approx(100 * max(accuracies.values()), abs=0.01)
    assert accuracies[told["C"]] == max(accuracies.values()) and len(set(accuracies.values())) > 1
    expected = fits[told["C"]].decision_function(features(random_images()))
    np.testing.assert_allclose(outputs(model).numpy(), expected, rtol=0.02, atol=0.02)
    assert told["train_on"] == "original" and told["images"] == len(y) == 36 and told["data"] == dataset.hash
    assert model.facts["outputs"] == NUM_CLASSES and model.facts["mapping"] == "nine classes"
    assert model.facts["imagenet_top1"] is None and told["features"] == x.shape[1]
    score = evaluate(model, dataset, device="cpu")
    assert "9 outputs, linear head on original, preprocessing normalise" in report.text(score, score.table().head(0))


def test_a_network_that_gives_features_is_the_same_as_one_with_a_head(
    dataset: Dataset, network: nn.Module, weights: Path, tmp_path: Path
) -> None:
    bare = {key: tensor for key, tensor in network.state_dict().items() if not key.startswith("fc.")}
    save_file(bare, tmp_path / "bare.safetensors")
    options: dict[str, Any] = {"probe": "only_fg", "data": dataset, "image_size": SIZE}
    whole = load_model(SPEC, weights=weights, **options)
    headless = load_model(SPEC, weights=tmp_path / "bare.safetensors", options={"num_classes": 0}, **options)
    assert torch.equal(outputs(whole), outputs(headless))
    with pytest.raises(In9Error, match="if they are features, fit a linear head to them with --probe original"):
        load_model(SPEC, weights=tmp_path / "bare.safetensors", options={"num_classes": 0}, image_size=SIZE)


@pytest.mark.parametrize("spec", ["shufflenet_v2_x0_5", "mobilenet_v3_small", "small_resnet_w8_b1"])
def test_the_features_are_what_the_last_linear_layer_gets(spec: str, dataset: Dataset, tmp_path: Path) -> None:
    network = create(spec, seed=1).network.eval()
    seen: list[Tensor] = []
    last = [module for module in network.modules() if isinstance(module, nn.Linear)][-1]
    last.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    save_file(network.state_dict(), tmp_path / "weights.safetensors")
    model = load_model(
        spec, weights=tmp_path / "weights.safetensors", probe="original", data=dataset, image_size=SIZE,
        options={"mean": 0, "std": 1},
    )  # fmt: skip
    with torch.inference_mode():
        network(random_images().float() / 255)
        backbone, layer = model.classifier.network  # type: ignore[attr-defined]
        torch.testing.assert_close(backbone(random_images().float() / 255), seen[0], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(outputs(model), layer(seen[0]), rtol=1e-4, atol=1e-4)


def test_several_variants_and_all_images(dataset: Dataset, weights: Path) -> None:
    options: dict[str, Any] = {"weights": weights, "data": dataset, "image_size": SIZE}
    both = load_model(SPEC, probe="original+mixed_rand", **options)
    whole = load_model(SPEC, probe="in9l", **options)
    assert both.facts["head"]["images"] == 72 and whole.facts["head"]["images"] == 36
    assert not torch.equal(outputs(both), outputs(whole))
    refused(SPEC, probe="orignal", match="no variant 'orignal'. Did you mean 'original'", **options)


def test_features_are_kept_and_belong_to_one_network(
    dataset: Dataset, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options: dict[str, Any] = {"probe": "original", "data": dataset, "image_size": SIZE, "cache": tmp_path / "features"}
    first = load_model(SPEC, weights=weights, **options)
    assert len(list((tmp_path / "features").iterdir())) == 2
    (damaged, _) = sorted((tmp_path / "features").iterdir())
    damaged.write_bytes(b"nonsense")
    assert load_model(SPEC, weights=weights, **options).facts == first.facts
    with monkeypatch.context() as patch:
        patch.setattr("in9.scoring.test_images.DatasetImages.batches", forbid)
        again = load_model(SPEC, weights=weights, **options)
        assert again.facts == first.facts and torch.equal(outputs(again), outputs(first))
        for change in ({"probe": "no_fg"}, {"options": {"mean": 0.25}}, {"preprocessing": "reference"}):
            with pytest.raises(AssertionError):
                load_model(SPEC, weights=weights, **{**options, **change})


def test_a_function_gives_features_which_are_not_kept(dataset: Dataset, tmp_path: Path) -> None:
    def features(images: Tensor) -> Tensor:
        return torch.cat([images.mean((2, 3)), images.std((2, 3))], 1)

    model = load_model(features, name="mine", probe="original", data=dataset, image_size=SIZE, cache=tmp_path)
    assert model.facts["outputs"] == NUM_CLASSES and model.facts["head"]["features"] == 6
    assert not list(tmp_path.iterdir())
    score = evaluate(model, dataset, tests=["original"], device="cpu")
    assert score.accuracy("original").value > 0.2  # colours tell something of this data


# ---- files -----------------------------------------------------------------------------------------------------------


def test_a_head_is_written_and_read(dataset: Dataset, weights: Path, tmp_path: Path, network: nn.Module) -> None:
    file, options = tmp_path / "head.safetensors", {"weights": weights, "image_size": SIZE}
    fitted = load_model(SPEC, probe="original", data=dataset, head=file, **options)
    read = load_model(SPEC, head=file, **options)
    assert read.facts == fitted.facts and torch.equal(outputs(read), outputs(fitted))
    assert load_file(file)["weight"].shape == (NUM_CLASSES, fitted.facts["head"]["features"])
    refused(SPEC, head=file, options={"mean": 0.25}, match="other preprocessing than timm/test_resnet has", **options)
    state = {name: tensor + 1 if name.startswith("conv1") and tensor.is_floating_point() else tensor
             for name, tensor in network.state_dict().items()}  # fmt: skip
    save_file(state, tmp_path / "other.safetensors")
    refused(SPEC, weights=tmp_path / "other.safetensors", head=file, match="fitted to the features of other weights")
    refused(
        SPEC, probe="original", data=dataset, head=tmp_path / "head.pt", match="with the ending .safetensors", **options
    )


def test_a_head_from_elsewhere(weights: Path, network: nn.Module, tmp_path: Path) -> None:
    """The network's own head in a file of its own: nothing changes."""
    own = {f"linear.{name}": tensor for name, tensor in network.get_submodule("fc").state_dict().items()}
    torch.save(own, tmp_path / "linear.pth")
    options: dict[str, Any] = {"weights": weights, "image_size": SIZE}
    model = load_model(SPEC, head=tmp_path / "linear.pth", **options)
    torch.testing.assert_close(outputs(model), outputs(load_model(SPEC, **options)), rtol=1e-4, atol=1e-4)
    assert model.facts["outputs"] == 1000 and model.facts["head"]["file"] == "linear.pth"
    assert model.facts["mapping"] == "ImageNet's 1,000, the authors' map"

    def other(state: dict[str, Tensor]) -> Path:
        torch.save(state, tmp_path / "other.pth")
        return tmp_path / "other.pth"

    width = own["linear.weight"].shape[1]
    refused(
        SPEC,
        head=other({"w": torch.ones(9, 7), "b": torch.ones(9)}),
        match=f"is 9 x 7 .* gives {width} features",
        **options,
    )
    refused(SPEC, head=other({"w": torch.ones(9, width), "b": torch.ones(8)}), match="its bias 8, and", **options)
    refused(
        SPEC, head=other({"a": torch.ones(9, 7), "b": torch.ones(9, 7)}), match="must hold one linear layer", **options
    )
    refused(SPEC, head=other({"w": torch.full((9, width), torch.nan)}), match="not finite", **options)
    refused(SPEC, head=other({"w": torch.ones(11, width)}), match=r"has 11 outputs, .* --map FILE", **options)
    refused(SPEC, head=tmp_path / "none.pth", match="no file of weights .*none.pth", **options)


# ---- what cannot be --------------------------------------------------------------------------------------------------


def only(dataset: Dataset, splits: tuple[str, ...]) -> Dataset:
    """The same dataset with all images in these splits; an image of each class goes to each."""
    other = copy(dataset)
    other.__dict__["table"] = dataset.table.assign(
        split=[splits[row % len(splits)] for row in range(len(dataset.table))]
    )
    return other


def test_a_dataset_that_cannot_be_fitted_to(dataset: Dataset, folded: Dataset, weights: Path) -> None:
    options: dict[str, Any] = {"weights": weights, "probe": "original", "image_size": SIZE}
    refused(SPEC, data=only(dataset, ("test",)), match="has no train images to fit a probe to, of dog, bird", **options)
    refused(SPEC, data=only(dataset, ("test", "train")), match="no validation images to choose a probe's", **options)
    refused(SPEC, data=folded, match="is in folds, .* say which with --fold, 0 to 1", **options)
    refused(SPEC, match="say with data= which", **options)
    refused("squeezenet1_1", probe="original", data=dataset, weights=weights, match="do not fit squeezenet1_1")
    refused(SPEC, prompts="nine", data=dataset, match="leave one out", **options)


def test_a_network_without_a_linear_layer(dataset: Dataset, tmp_path: Path) -> None:
    file = tmp_path / "weights.safetensors"
    save_file(torchvision.models.get_model("squeezenet1_1").state_dict(), file)
    refused("squeezenet1_1", weights=file, probe="original", data=dataset, match="no linear layer")


def test_features_that_are_not_finite(dataset: Dataset) -> None:
    def broken(images: Tensor) -> Tensor:
        features = images.mean((2, 3))
        features[features[:, 0] > 0.5] = torch.inf
        return features

    refused(broken, name="broken", probe="original", data=dataset,
            match=r"broken gives features that are not finite for \d+ of 36 train images of original")  # fmt: skip


# ---- command line ----------------------------------------------------------------------------------------------------


def test_the_command_fits_keeps_and_reuses(
    folded: Dataset, weights: Path, tmp_path: Path, run: Callable[..., tuple[int, str, str]]
) -> None:
    words = ("evaluate", SPEC, "--weights", weights, "--data", folded.path, "--device", "cpu")
    status, _, said = run(*words, "--probe", "original")
    assert status == 2 and "say which with --fold, 0 to 1" in said
    status, told, said = run(
        *words, "--probe", "original", "--fold", 1, "--head", tmp_path / "h.safetensors", "--json", tmp_path / "a.json"
    )
    assert status == 0 and "9 outputs, linear head on original" in told, said
    record = json.loads((tmp_path / "a.json").read_text())
    assert record["settings"]["model"]["head"]["fold"] == record["settings"]["data"]["fold"] == 1
    status, again, said = run(*words, "--fold", 1, "--head", tmp_path / "h.safetensors")
    assert status == 0 and again == told, said
    assert len(list((tmp_path / "home" / "runs" / "features").iterdir())) == 2
    status, told, said = run("challenge", *words[1:], "--fold", 0, "--probe", "original", "--per-class", 1)
    assert status == 0 and "challenge accuracy" in told, said
    status, _, said = run(*words, "--fold", 2)
    assert status == 2 and "has 2 folds, and fold 2 was asked for" in said


def test_released_images_are_no_training_images(
    dataset: Dataset, weights: Path, tmp_path: Path, run: Callable[..., tuple[int, str, str]]
) -> None:
    folder = export(dataset, tmp_path / "exported", seed=0, progress=False)
    words = ("evaluate", SPEC, "--weights", weights, "--device", "cpu", "--probe", "original")
    status, _, said = run(*words, "--data", folder)
    assert status == 2 and "has no training images to fit a probe to" in said
    status, _, said = run(*words, "--data", dataset.path, "--head", tmp_path / "no" / "h.safetensors")
    assert status == 2 and "cannot be written" in said
