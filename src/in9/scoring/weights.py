"""Files of weights: read without running code, and fitted to a network without dropping anything silently."""

from __future__ import annotations

import hashlib
import pickle
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn

from in9.errors import In9Error

SHOWN = 4
"""How many names an error lists."""


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
        raise In9Error(f"The weights {file} cannot be read ({reason(error)}).") from error
    for key in ("state_dict", "model"):
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping) or not content:
        raise In9Error(f"{file} holds no weights but a {type(content).__name__}; save a network's state_dict().")
    others = [str(key) for key, value in content.items() if not isinstance(value, Tensor)]
    if others:
        raise In9Error(f"{file} is no plain state dict: {_some(others)} hold no tensor; save a network's state_dict().")
    return dict(content)


def with_state(name: str, make: Callable[..., nn.Module], state: dict[str, Tensor], file: Path) -> nn.Module:
    """The network that ``make`` gives, with these weights.

    Where only the last layer has another number of outputs, ``make`` is called with that number as ``num_classes``.
    Raises In9Error, naming keys, if something is missing, left over or of another shape; nothing is dropped silently.
    """
    with constructing(name):
        network = make()
    own = network.state_dict()
    state = _plain_keys(state, own)
    pairs = {(own[key].shape, one.shape) for key, one in state.items() if key in own and own[key].shape != one.shape}
    heads = {(ours[:1], theirs[:1]) for ours, theirs in pairs}
    if len(heads) == 1 and all(ours and theirs and ours[1:] == theirs[1:] for ours, theirs in pairs):
        with constructing(name):
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


@contextmanager
def constructing(name: str) -> Iterator[None]:
    """Tell in one sentence that an architecture does not take its options."""
    try:
        yield
    except (TypeError, ValueError, AssertionError, RuntimeError) as error:
        raise In9Error(f"{name} cannot be made like that ({reason(error)}); check its options.") from error


def reason(error: BaseException) -> str:
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
