"""in9: does a model look at the object, or at the grass behind it?

Rebuilds ImageNet-9 and its eight variants, trains and scores classifiers on them, and writes the book that reproduces
"Noise or Signal: The Role of Image Backgrounds in Object Recognition" (Xiao, Engstrom, Ilyas, Madry; ICLR 2021).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from in9.building import build as build
    from in9.collection import Collection as Collection
    from in9.errors import In9Error as In9Error
    from in9.pretrained import load_model as load_model
    from in9.recipes import Recipe as Recipe
    from in9.scoring import challenge as challenge
    from in9.scoring import evaluate as evaluate
    from in9.sources import open_source as open_source
    from in9.study import Study as Study
    from in9.training import train as train

# torch takes seconds to import, so what needs it is imported when it is first asked for.
_HOMES = {
    "Collection": "collection",
    "In9Error": "errors",
    "Recipe": "recipes",
    "Study": "study",
    "build": "building",
    "challenge": "scoring",
    "evaluate": "scoring",
    "load_model": "pretrained",
    "open_source": "sources",
    "train": "training",
}

__all__ = [
    "Collection",
    "In9Error",
    "Recipe",
    "Study",
    "build",
    "challenge",
    "evaluate",
    "load_model",
    "open_source",
    "train",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"in9.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'in9' has no attribute {name!r}; it has {', '.join(__all__)} and its modules")
