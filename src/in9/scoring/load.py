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
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from in9.errors import In9Error, unknown
from in9.evaluation.records import plain
from in9.scoring.libraries import UNTOUCHED, AnyFunction, Found, Numbers, find, of_function
from in9.scoring.weights import reason, weights_hash
from in9.taxonomy import CLASS_NAMES, NUM_CLASSES, UNMAPPED, imagenet_to_in9
from in9.training.networks import IN9_MEAN, IN9_STD, INTERPOLATIONS, Classifier, Framing

PREPROCESSING = (NORMALISE, REFERENCE, OWN) = ("normalise", "reference", "own")
"""The model's own mean and std; the authors'; or the model's own resize, crop, mean and std."""


@dataclass(frozen=True)
class Model:
    """A classifier ready to be scored, and what a record says of it.

    ``classifier`` takes uint8 [B, 3, S, S] on its device and returns scores [B, 9], or [B, 10] where some outputs
    fall under none of the nine (see ``in9.training.networks.Classifier``); ``facts`` are plain JSON values.
    """

    classifier: Callable[[Tensor], Tensor]
    facts: dict[str, Any]


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
        found = find(spec, None if weights is None else Path(weights), others)
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
    found = replace(of_function(function), numbers=UNTOUCHED, certain=True)
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
        raise In9Error(f"{name} cannot take images of {size} pixels ({reason(error)}){way}.") from error
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
        raise In9Error(f"The map {path} cannot be read as JSON ({reason(error)}).") from error
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
