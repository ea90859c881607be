"""Networks with their weights: files are read without running code, and fitted without dropping anything silently.

What takes long to compute with a network, such as the features of many images, is kept on disk.
"""

from __future__ import annotations

import pickle
import re
import warnings
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from in9.errors import In9Error, reason
from in9.files import key_of, written_whole
from in9.training.networks import Framing
from in9.training.trained import state_hash

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
KEYS_SHOWN = 4
"""How many keys an error lists."""
WRAPPERS = (("module.",), ("_orig_mod.",), ("model.", "attacker.", "normalizer."), ("network.",))
"""The prefixes that wrappers give to all keys; the network itself is under the first of each.

The robustness library's checkpoints hold the network as ``model.``, and once more under ``attacker.``.
"""


@dataclass(frozen=True)
class Preprocessing:
    """What is done to a network's images: resize and crop, then mean and std of the three colours, pixels in [0, 1]."""

    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    framing: Framing | None = None


UNTOUCHED = Preprocessing(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0), framing=Framing())
"""Pixels as they are."""


@dataclass(frozen=True)
class LoadedNetwork:
    """A network with its weights.

    ``preprocessing`` is None if nothing is known of it; ``certain`` says that it belongs to these weights and is not
    only what is usual for the architecture. ``top1`` is the published accuracy on ImageNet in %, ``top1_source`` who
    published it. ``whole`` is set where the network is a part of it: the two towers of a CLIP.
    """

    network: nn.Module
    architecture: str
    library: str | None = None
    weights: str | None = None
    preprocessing: Preprocessing | None = None
    certain: bool = False
    top1: float | None = None
    top1_source: str | None = None
    whole: Any = None


class FunctionNetwork(nn.Module):
    """A function from images float [B, 3, S, S] in [0, 1] to outputs [B, K], as a network."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, images: Tensor) -> Tensor:
        """Outputs [B, K]."""
        return self.function(images)


def weights_hash(network: nn.Module) -> str:
    """SHA-256 of a network's weights by name, kind, shape and value: the same whatever file they came from."""
    return state_hash(network.state_dict())


def read_state(file: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file or of a torch checkpoint, which is never allowed to run code.

    A checkpoint may hold them under ``state_dict`` or ``model``. Raises In9Error for what cannot be read.
    """
    if not file.is_file():
        raise In9Error(f"There is no file of weights {file}.")
    try:
        safe = file.suffix == ".safetensors"
        with warnings.catch_warnings(action="ignore"):  # of formats that are refused below
            content = load_file(file) if safe else torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        code = re.search(r"GLOBAL (\S+)", str(error))
        if code is None:
            raise In9Error(f"The weights {file} cannot be read: it is no checkpoint, or a damaged one.") from error
        raise In9Error(
            f"The checkpoint {file} holds {code[1]}, which could run code when it is loaded; if you trust it, "
            "load it yourself and save the network's state_dict() alone."
        ) from error
    except (SafetensorError, OSError) as error:
        raise In9Error(f"The weights {file} cannot be read ({reason(error)}).") from error
    except Exception as error:  # what is no checkpoint shows itself in many ways; torch may advise to let it run code
        raise In9Error(f"The weights {file} cannot be read: it is no checkpoint, or a damaged one.") from error
    for key in ("state_dict", "model"):
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping) or not content:
        raise In9Error(f"{file} holds no weights but a {type(content).__name__}; save a network's state_dict().")
    wrong = [str(key) for key, value in content.items() if not isinstance(value, Tensor)]
    if wrong:
        raise In9Error(
            f"{file} is no plain state dict: {_first_few(wrong)} hold no tensor; save a network's state_dict()."
        )
    return dict(content)


def with_state(
    name: str, make: Callable[..., nn.Module], options: Mapping[str, Any], state: Mapping[str, Tensor], file: Path
) -> nn.Module:
    """The network that ``make`` gives with these options, with the weights ``state`` that were read from ``file``.

    If only the last layer has another number of outputs, ``make`` is called with that number as ``num_classes``.
    Raises In9Error, naming keys, if something is missing, left over or of another shape.
    """
    network = construct(name, make, **options)
    own = network.state_dict()
    for prefixes in WRAPPERS:
        if all(key.startswith(prefixes) for key in state) and not all(key.startswith(prefixes) for key in own):
            inner = prefixes[0]
            state = {key.removeprefix(inner): tensor for key, tensor in state.items() if key.startswith(inner)}
    # Heads alone differ: all tensors of another shape change from one number of outputs to one other.
    changes = [(own[key].shape, state[key].shape) for key in _misshapen(state, own)]
    heads = {(ours[:1], theirs[:1]) for ours, theirs in changes}
    if len(heads) == 1 and all(ours and theirs and ours[1:] == theirs[1:] for ours, theirs in changes):
        network = construct(name, make, **{"num_classes": heads.pop()[1][0], **options})
        own = network.state_dict()
    misshapen = _misshapen(state, own)
    fitting = {key: tensor for key, tensor in state.items() if key not in misshapen}
    missing, unexpected = network.load_state_dict(fitting, strict=False)
    problems = {
        "of another shape": [f"{key} {_size(state[key])} instead of {_size(own[key])}" for key in misshapen],
        "missing": [key for key in missing if key not in misshapen],
        "unexpected": unexpected,
    }
    told = [f"{len(keys)} {problem} ({_first_few(keys)})" for problem, keys in problems.items() if keys]
    if told:
        raise In9Error(f"The weights {file} do not fit {name}: of {len(own)} tensors {', '.join(told)}.")
    return network


def kept_array(folder: Path | None, key: Any, compute: Callable[[], np.ndarray]) -> np.ndarray:
    """What ``compute`` gives, from the file of the folder that is named by the key, which decides it; or new.

    A file that cannot be read is written again. Where there is no folder, or it cannot be written, nothing is kept.
    """
    if folder is None:
        return compute()
    path = folder / f"{key_of(key)}.npy"
    with suppress(OSError, ValueError, EOFError):
        return np.load(path, allow_pickle=False)
    array = compute()
    with suppress(OSError), written_whole(path) as partial, partial.open("wb") as stream:
        np.save(stream, array)
    return array


def from_hub(spec: str, hub_id: str, names: tuple[str, ...]) -> str:
    """The file of weights, by the first of these names that the hub has: the copy that is here, or else downloaded.

    Libraries would ask the hub even for a file that is here, and without a network try again for most of a minute.
    """
    from huggingface_hub import file_exists, hf_hub_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    repository, _, tag = hub_id.partition("@")
    revision = tag or None
    for name in names:
        with suppress(LocalEntryNotFoundError):
            return hf_hub_download(repository, name, revision=revision, local_files_only=True)
    for name in names:
        try:
            if file_exists(repository, name, revision=revision):
                return hf_hub_download(repository, name, revision=revision)
        except Exception as error:  # the hub's client raises errors of several libraries
            raise not_here(spec, f"{name} of {repository}", error) from error
    raise In9Error(f"{spec}: {repository} on the hub holds none of {', '.join(names)}; give --weights FILE.")


def not_here(spec: str, file: str, error: Exception) -> In9Error:
    """The error for weights that cannot be downloaded."""
    return In9Error(
        f"The weights of {spec} are not here and cannot be downloaded ({reason(error)}); fetch {file} by other means "
        "and give it with --weights FILE."
    )


def construct(name: str, make: Callable[..., nn.Module], /, *arguments: Any, **options: Any) -> nn.Module:
    """What ``make`` gives. Raises In9Error if the architecture does not take its options."""
    try:
        return make(*arguments, **options)
    except OSError:  # weights that cannot be fetched
        raise
    except Exception as error:  # libraries refuse options in many ways
        raise In9Error(f"{name} cannot be made like that ({reason(error)}); check its options.") from error


def _misshapen(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> list[str]:
    """The keys of a state whose tensors have another shape than the network's own."""
    return [key for key, tensor in state.items() if key in own and own[key].shape != tensor.shape]


def _first_few(keys: Collection[str]) -> str:
    return ", ".join(list(keys)[:KEYS_SHOWN]) + (", ..." if len(keys) > KEYS_SHOWN else "")


def _size(tensor: Tensor) -> str:
    """``64 x 3 x 7 x 7``."""
    return " x ".join(str(side) for side in tensor.shape) or "a single number"
