"""in9: does a model look at the object, or at the grass behind it?

Rebuilds ImageNet-9 and its eight variants, trains and scores classifiers on them, and writes the book that reproduces
"Noise or Signal: The Role of Image Backgrounds in Object Recognition" (Xiao, Engstrom, Ilyas, Madry; ICLR 2021).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from in9.data.build import build as build
    from in9.data.dataset import Dataset as Dataset
    from in9.data.sources import open_source as open_source
    from in9.errors import In9Error as In9Error
    from in9.scoring.challenge import challenge as challenge
    from in9.scoring.load import load_model as load_model
    from in9.scoring.score import evaluate as evaluate
    from in9.study.study import Study as Study
    from in9.training.loop import train as train
    from in9.training.recipe import Recipe as Recipe

# torch takes seconds to import, so what needs it is imported when it is first asked for.
_HOMES = {
    "Dataset": "data.dataset",
    "In9Error": "errors",
    "Recipe": "training.recipe",
    "Study": "study.study",
    "build": "data.build",
    "challenge": "scoring.challenge",
    "evaluate": "scoring.score",
    "load_model": "scoring.load",
    "open_source": "data.sources",
    "train": "training.loop",
}

__all__ = [*_HOMES]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"in9.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'in9' has no attribute {name!r}; it has {', '.join(__all__)} and its modules")
