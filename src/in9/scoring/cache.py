"""Arrays that take long to compute, kept on disk: features of images, and of words."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from in9.files import key_of, written_whole


def kept_array(folder: Path | None, key: Any, compute: Callable[[], np.ndarray]) -> np.ndarray:
    """What ``compute`` gives, from the file of the folder that is named by the key, which decides it; or new.

    A file that cannot be read is written again. Where there is no folder, or it cannot be written, nothing is kept.
    """
    path = None if folder is None else folder / f"{key_of(key)}.npy"
    if path is not None:
        with suppress(OSError, ValueError, EOFError):
            return np.load(path, allow_pickle=False)
    array = compute()
    if path is not None:
        with suppress(OSError), written_whole(path) as partial, partial.open("wb") as stream:
            np.save(stream, array)
    return array
