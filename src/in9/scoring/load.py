"""Any classifier by name: published weights, a file of weights, or a function (paper, section 5 and appendix B).

``load_model`` knows six forms of a name:

- ``resnet50:IMAGENET1K_V1``: torchvision's, with its weights named in full, since a library's default changes;
- ``resnet50.a1_in1k`` or ``timm/resnet50.a1_in1k``: timm's, with its tag, for the same reason;
- ``efficientnet_lite0``, ``efficientnet_lite1``, ``efficientnet_lite2``: from a package, without a hub;
- ``resnet50``, ``timm/mobilenetv2_100`` or ``small_resnet_w24``: an architecture, with a file of weights;
- ``open_clip:ViT-B-32/openai``: a CLIP, by the names of the classes (see ``in9.scoring.clip``);
- ``package.module:function``: what a function returns, a network, or any function from images to outputs.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from in9.data.dataset import Dataset
from in9.errors import In9Error, check_known, errors_of_foreign_code, errors_told
from in9.files import plain, read_json
from in9.scoring.answers import is_answers
from in9.scoring.clip import IMAGENET, is_clip, zero_shot
from in9.scoring.libraries import from_function, load_network
from in9.scoring.probe import HEAD_SUFFIX, fit_head, read_head, without_head, write_head
from in9.scoring.weights import UNTOUCHED, FunctionNetwork, LoadedNetwork, Preprocessing, weights_hash
from in9.taxonomy import CLASS_NAMES, IMAGENET_CLASSES, NUM_CLASSES, UNMAPPED, imagenet_to_in9
from in9.training.networks import IN9_MEAN, IN9_STD, INTERPOLATIONS, Classifier, Framing

PREPROCESSING_MODES = (NORMALISE_MODE, REFERENCE_MODE, OWN_MODE) = ("normalise", "reference", "own")
"""The model's own mean and std; the authors'; or the model's own resize, crop, mean and std."""


@dataclass(frozen=True)
class ScorableModel:
    """A classifier ready to be scored, and what a record says of it.

    ``classifier`` takes uint8 [B, 3, S, S] on its device and returns scores [B, 9], or [B, 10] where some outputs
    fall under none of the nine (see ``in9.training.networks.Classifier``); ``facts`` are plain JSON values.
    """

    classifier: Callable[[Tensor], Tensor]
    facts: dict[str, Any]


def load_model(
    model: str | Callable[[Tensor], Tensor],
    *,
    name: str | None = None,
    weights: Path | str | None = None,
    options: Mapping[str, Any] | None = None,
    class_map: Path | str | None = None,
    preprocessing: str | None = None,
    prompts: Path | str | None = None,
    probe: str | None = None,
    head: Path | str | None = None,
    data: Dataset | Path | str | None = None,
    image_size: int = 224,
    device: torch.device | str = "cpu",
    cache: Path | None = None,
    progress: bool = False,
) -> ScorableModel:
    """The classifier of that name (see the module's text), in evaluation mode, in float32, on ``device``.

    ``model`` may also be a network, or any function, from images float [B, 3, S, S] in [0, 1] to outputs [B, K], to
    which nothing is added. ``name`` is what records and errors call it, by default its own name.

    ``weights`` is a safetensors file or a plain checkpoint. ``options`` are the architecture's, or correct the
    preprocessing: mean and std (one number or three), resize, crop and interpolation. ``preprocessing`` is
    ``normalise`` (no resize or crop, its own mean and std), ``reference`` (the same with the authors' mean and std:
    ImageNet's, for nine outputs ImageNet-9's) or ``own`` (its own resize, crop, mean and std); by default it is the
    first, for a CLIP the last. Nine outputs whose mean and std are not known are taken to be of a network trained with
    ImageNet-9's. ``prompts`` are how a CLIP is told the classes (see ``in9.scoring.clip``), by default ``imagenet``.

    ``head`` is a file with a linear layer, which takes the place of the network's own last layer. With ``probe`` such a
    layer is fitted to this training set, such as ``original``, of the dataset ``data`` (see ``in9.scoring.probe``), and
    written to the file ``head`` if there is one.

    Nine outputs are the nine classes, 1,000 are ImageNet's and mapped by the authors' map; others need ``class_map``,
    a JSON file with the class, 0 to 8 or its name, of each output: {"index": class} or a list, -1 or left out for none.
    ``image_size`` is the side of the images to come, in pixels. In the folder ``cache`` is kept what takes long to
    compute; ``progress`` shows it on stderr. Raises In9Error for what does not exist, does not fit or cannot be had.
    """
    preprocessing = preprocessing or (OWN_MODE if is_clip(model) else NORMALISE_MODE)
    check_known("preprocessing", [preprocessing], PREPROCESSING_MODES)
    corrections = _corrections(options or {}, preprocessing)
    file = None if weights is None else Path(weights)
    architecture_options = {key: value for key, value in (options or {}).items() if key not in corrections}
    if isinstance(model, str):
        if is_answers(model):
            raise In9Error(f"{model} holds answers: `in9 evaluate` reads them; all else asks the classifier itself.")
        name = name or model
        with torch.random.fork_rng(devices=[]):  # first weights are drawn, and replaced
            loaded = load_network(model, file, architecture_options)
    else:
        name = name or str(getattr(model, "__name__", type(model).__name__))
        if architecture_options:
            raise In9Error(f"{name} cannot be called with the options {', '.join(architecture_options)}.")
        loaded = replace(from_function(name, model, file), preprocessing=UNTOUCHED, certain=True)
    told: dict[str, Any] = {}
    linear = probe is not None or head is not None
    if linear and prompts is not None:
        raise In9Error(f"{name} cannot be told the classes by prompts and by a linear head; leave one out.")
    if linear:
        loaded = replace(loaded, network=without_head(name, loaded), top1=None, top1_source=None)
    elif loaded.whole is not None or prompts is not None:
        wanted = str(prompts or IMAGENET)
        network, told = zero_shot(name, loaded, architecture_options, wanted, torch.device(device), cache, progress)
        loaded = replace(loaded, network=network)
    network = loaded.network.float().eval().to(torch.device(device)).to(memory_format=torch.channels_last)
    framing = _framing(name, loaded.preprocessing, corrections, image_size) if preprocessing == OWN_MODE else None
    outputs = _count_outputs(name, loaded, framing, image_size, device)
    groups, mapping = (None, {}) if linear else _groups(name, outputs, class_map)
    of_nine = groups is None and not linear
    authors = Preprocessing(IN9_MEAN, IN9_STD) if of_nine else Preprocessing()
    known = loaded.preprocessing if loaded.certain or not of_nine else None
    colours = authors if known is None or preprocessing == REFERENCE_MODE else known
    mean, std = corrections.get("mean", colours.mean), corrections.get("std", colours.std)
    untouched = Preprocessing(mean, std, framing or Framing()) == UNTOUCHED
    is_function = isinstance(network, FunctionNetwork)
    prepared: dict[str, Any] = {
        "mode": "none" if untouched else preprocessing,
        "mean": mean,
        "std": std,
        **(asdict(framing) if framing else dict.fromkeys(("resize", "crop", "interpolation"))),
    }
    if linear:
        seer = Classifier(network, mean, std, None, framing).to(device).eval()
        identity: dict[str, Any] = {
            "architecture": loaded.architecture,
            "options": architecture_options,
            "preprocessing": prepared,
        }
        identity |= {"sha256": None if is_function else weights_hash(network)}
        kept = cache if loaded.library else None  # of somebody's code the weights do not say all
        layer, told = _head(name, seer, plain(identity), outputs, probe, head, data, kept, progress)
        network, outputs = nn.Sequential(network, layer.to(device)), layer.out_features
        groups, mapping = _groups(name, outputs, class_map)
    facts = {
        "name": name,
        "options": architecture_options,
        "library": loaded.library,
        "architecture": loaded.architecture,
        "weights": loaded.weights,
        "sha256": None if is_function else weights_hash(network),
        "parameters": None if is_function else sum(weight.numel() for weight in network.parameters()),
        "outputs": outputs,
        **mapping,
        "preprocessing": prepared,
        "imagenet_top1": loaded.top1,
        **({"imagenet_top1_source": loaded.top1_source} if loaded.top1_source else {}),
        **told,
    }
    return ScorableModel(Classifier(network, mean, std, groups, framing).to(device).eval(), plain(facts))


def _head(
    name: str,
    seer: Classifier,
    told: Any,
    features: int,
    probe: str | None,
    head: Path | str | None,
    data: Dataset | Path | str | None,
    cache: Path | None,
    progress: bool,
) -> tuple[nn.Linear, dict[str, Any]]:
    """The head of a classifier ``seer`` that gives features, and what a record says of it."""
    path = None if head is None else Path(head)
    if probe is None:
        made = read_head(name, Path(str(head)), told, features)
    else:
        if path is not None and path.suffix != HEAD_SUFFIX:
            raise In9Error(f"A head is written to a file with the ending {HEAD_SUFFIX}, not to {path}.")
        if data is None:
            raise In9Error("A probe is fitted to the training images of a dataset; say with data= which.")
        made = fit_head(name, seer, told, probe, data if isinstance(data, Dataset) else Dataset(data), cache, progress)
        if path is not None:
            write_head(path, made)
    facts = {key: value for key, value in made.facts.items() if key != "features_of"}
    return made.layer, {"head": {**facts, "features": features}}


def _corrections(options: Mapping[str, Any], mode: str) -> dict[str, Any]:
    """Those of the options that correct the preprocessing, checked."""
    names = ("mean", "std", "resize", "crop", "interpolation")
    corrections = {name: options[name] for name in names if name in options}
    for name, value in corrections.items():
        if name in ("mean", "std"):
            colours = tuple(value) if isinstance(value, list | tuple) else (value,) * 3
            if len(colours) != 3 or not all(isinstance(colour, int | float) and 0 <= colour <= 1 for colour in colours):
                raise In9Error(f"{name}={value!r} must be one number, or three, from 0 to 1 (pixels are in [0, 1]).")
            if name == "std" and min(colours) == 0:
                raise In9Error(f"std={value!r} must not hold 0; pixels are divided by it.")
            corrections[name] = tuple(map(float, colours))
        elif name == "interpolation":
            check_known("interpolation", [value], INTERPOLATIONS)
        elif type(value) is not int or value < 1:
            raise In9Error(f"{name}={value!r} must be a number of pixels.")
        if mode == REFERENCE_MODE or (mode == NORMALISE_MODE and name not in ("mean", "std")):
            raise In9Error(f"With preprocessing {mode!r} the option {name} has no use; leave it out, or take 'own'.")
    return corrections


def _framing(name: str, known: Preprocessing | None, corrections: dict[str, Any], image_size: int) -> Framing:
    """A network's own resize and crop, as far as known or given."""
    changes = {option: value for option, value in corrections.items() if option not in ("mean", "std")}
    framing = None if known is None else known.framing
    if framing is None and not changes:
        raise In9Error(
            f"The resize and crop of {name} are not known; give them with --set resize=256 --set crop=224, or take "
            "another --preprocessing."
        )
    framing = replace(framing or Framing(), **changes)
    side = framing.resize or image_size
    if framing.crop is not None and framing.crop > side:
        raise In9Error(f"crop={framing.crop} is more than the {side} pixels of the image that it is cut from.")
    return framing


@torch.no_grad()
def _count_outputs(
    name: str, loaded: LoadedNetwork, framing: Framing | None, image_size: int, device: torch.device | str
) -> int:
    """How many outputs a network has, found out with two gray images."""
    gray = torch.full((2, 3, image_size, image_size), 128, dtype=torch.uint8, device=device)
    hint = "; --preprocessing own gives it the size that it is used to" if loaded.library else ""
    if loaded.library == "timm":
        hint += ", and with --set dynamic_img_size=True many transformers take any"
    with errors_of_foreign_code(f"{name} cannot take images of {image_size} x {image_size} pixels", hint):
        outputs = Classifier(loaded.network, UNTOUCHED.mean, UNTOUCHED.std, framing=framing).to(device).outputs(gray)
    if not isinstance(outputs, Tensor) or outputs.ndim != 2 or len(outputs) != len(gray):
        shape = list(outputs.shape) if isinstance(outputs, Tensor) else type(outputs).__name__
        raise In9Error(f"{name} must give one row of outputs for each image, [2, outputs] for two; it gives {shape}.")
    return outputs.shape[1]


def _groups(name: str, outputs: int, class_map: Path | str | None) -> tuple[Tensor | None, dict[str, Any]]:
    """The class of each output int64 [outputs], None where they are the nine themselves, and how a record says it."""
    if class_map is not None:
        table = _read_map(Path(class_map), outputs)
        return torch.tensor(table), {
            "mapping": "own map",
            "map_sha256": hashlib.sha256(json.dumps(table).encode()).hexdigest(),
        }
    if outputs == NUM_CLASSES:
        return None, {"mapping": "nine classes"}
    if outputs == IMAGENET_CLASSES:
        return torch.from_numpy(imagenet_to_in9()), {"mapping": "ImageNet's 1,000, the authors' map"}
    raise In9Error(
        f"{name} has {outputs:,} outputs, neither the nine classes nor ImageNet's 1,000; say with --map FILE which "
        'class each is: a JSON file, {"index": class from 0 to 8} or a list, -1 for none of the nine; or, if they are '
        "features, fit a linear head to them with --probe original."
    )


def _read_map(path: Path, outputs: int) -> list[int]:
    """The class of each output from a JSON file: an object from index to class, or a list of all."""
    with errors_told(f"The map {path} cannot be read as JSON"):
        content = read_json(path)
    if isinstance(content, list) and len(content) == outputs:
        content = {str(index): label for index, label in enumerate(content)}
    if not isinstance(content, dict):
        kind = f"a list of {len(content)}" if isinstance(content, list) else type(content).__name__
        raise In9Error(f'The map {path} must be {{"index": class}} or a list of {outputs} classes, not {kind}.')
    table = [UNMAPPED] * outputs
    for index, value in content.items():
        if not index.isdecimal() or int(index) >= outputs:
            raise In9Error(f"The map {path} names the output {index!r}; they go from 0 to {outputs - 1}.")
        label = CLASS_NAMES.index(value) if value in CLASS_NAMES else value
        if type(label) is not int or not UNMAPPED <= label < NUM_CLASSES:
            raise In9Error(
                f"The map {path} gives output {index} the class {value!r}; it must be from 0 to {NUM_CLASSES - 1}, "
                f"{UNMAPPED} for none, or one of: {', '.join(CLASS_NAMES)}."
            )
        table[int(index)] = label
    if max(table) == UNMAPPED:
        raise In9Error(f"The map {path} gives no output any of the nine classes.")
    return table
