"""Every random draw comes from (seed, purpose, id) by hashing, never from global state.

So a result does not depend on the number of workers, on the order of the work or on what ran before it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np


def digest(seed: int, purpose: str, identifier: str = "") -> int:
    """A whole number in [0, 2**63) that depends on all three arguments and on nothing else."""
    key = f"{seed}\x1f{purpose}\x1f{identifier}".encode()
    return int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "big") >> 1


def generator(seed: int, purpose: str, identifier: str = "") -> np.random.Generator:
    """A NumPy generator of its own for one purpose and one id."""
    return np.random.default_rng(digest(seed, purpose, identifier))


def uniforms(seed: int, purpose: str, identifiers: Iterable[str]) -> np.ndarray:
    """One draw per id, uniform on [0, 1): float64, shape [number of ids]."""
    return np.array([digest(seed, purpose, identifier) / 2.0**63 for identifier in identifiers], dtype=np.float64)
