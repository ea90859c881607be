"""Sources: where labelled images come from, each as one class with the protocol ``in9.data.source.Source``.

Here live the control set, with all that paints it, Tiny ImageNet, and ImageNet. To add a source, write a module with
one class, and add the class to ``SOURCES``. A source knows of archives, boxes and downloads, but not of masks, builds
or datasets, and like the rest of ``in9.data`` it may import only ``files``, ``seeds``, ``taxonomy`` and ``errors``
from outside.
"""

from __future__ import annotations

import inspect
from collections.abc import Collection
from typing import Any

from in9.data.source import Source
from in9.data.sources.imagenet import ImageNet
from in9.data.sources.synthetic import Synthetic
from in9.data.sources.tiny_imagenet import TinyImageNet
from in9.errors import In9Error, check_known

SOURCES: dict[str, type] = {"synthetic": Synthetic, "tiny-imagenet": TinyImageNet, "imagenet": ImageNet}


def open_source(name: str, **options: Any) -> Source:
    """The source of that name with these options.

    Raises In9Error for a name or an option that does not exist, naming those that do.
    """
    if name == "released":
        raise In9Error(
            "The authors' released test set is scored as it is, not built into a dataset: "
            "get it with `in9 fetch released` and give its folder instead of a dataset's."
        )
    check_known("source", [name], SOURCES)
    parameters = inspect.signature(SOURCES[name]).parameters
    for option in options:
        if option not in parameters:
            raise In9Error(f"Source {name!r} has no option {option!r}; it has: {', '.join(parameters)}.")
    for option in needed_options(name, options):
        raise In9Error(f"Source {name!r} needs {option}: build it with `in9 build {name} OUT --{option} PATH`.")
    return SOURCES[name](**options)


def needed_options(name: str, options: Collection[str]) -> list[str]:
    """The options without which a source cannot be opened, but for those that are given: files of the user's."""
    parameters = inspect.signature(SOURCES[name]).parameters if name in SOURCES else {}
    return [option for option, known in parameters.items() if known.default is known.empty and option not in options]
