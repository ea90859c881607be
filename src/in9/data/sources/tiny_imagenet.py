"""Tiny ImageNet-200: real photographs at 64 x 64 pixels with one real box each.

42 of its 200 classes fall under the nine of ImageNet-9: 21,000 images of its training part and 2,100 of its
validation part, which are pooled here and split anew by hashing their ids. The other classes are skipped.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any

from in9.data.archive import Archive
from in9.data.fetch import Fetched, cache, checksum_of, fetch
from in9.data.source import Box, Example, MaskRule, Photo, Rejected
from in9.errors import In9Error
from in9.taxonomy import label_of_wnid

URL = "https://cs231n.stanford.edu/tiny-imagenet-200.zip"
FILE = "tiny-imagenet-200.zip"
CHECKSUM = "sha256:6198c8ae015e2b3e007c7841da39ec069199b9aa3bfa943a462022fe5e43c821"
SIZE = 64


class TinyImageNet:
    """The images of Tiny ImageNet-200 that fall under the nine classes.

    ``archive`` is the zip file, or the folder that it unpacks to (or that folder's parent); without it the zip is
    downloaded once (237 MB) into the user's cache and checked.

    Masks keep the paper's rules. As in the paper, somebody has looked at those of the images that are tested, and
    rejected the bad ones: ``verdicts``, from ``tiny_imagenet_verdicts.csv`` beside this file.
    """

    name = "tiny-imagenet"
    image_size = SIZE
    resizes = False
    rule = MaskRule()

    def __init__(self, archive: Path | str | None = None) -> None:
        self.archive = Archive(archive if archive is not None else fetch_tiny_imagenet().path)
        self.prefix = self._find_prefix()

    def settings(self) -> dict[str, Any]:
        """Nothing to set: what comes out depends on the archive alone."""
        return {}

    @cached_property
    def verdicts(self) -> dict[str, str]:
        """What was said of each image that somebody has looked at: "good", or why it is not tested."""
        listing = resources.files(__package__).joinpath("tiny_imagenet_verdicts.csv").read_text(encoding="utf-8")
        return {_id(name): verdict for name, verdict in csv.reader(listing.splitlines()[1:])}

    def _find_prefix(self) -> str:
        """The folder in the archive that holds wnids.txt, ending in a slash; empty at the top."""
        lists = [name for name in self.archive.names() if f"/{name}".endswith("/wnids.txt")]
        if not lists:
            raise In9Error(
                f"{self.archive.path} is not Tiny ImageNet-200: looked for wnids.txt, "
                "train/<wnid>/<wnid>_boxes.txt and val/val_annotations.txt."
            )
        return min(lists, key=len).removesuffix("wnids.txt")

    def examples(self) -> list[Example]:
        """All annotated images of the nine classes in the order of their names."""
        label, names = label_of_wnid(), set(self.archive.names())
        examples = []
        for wnid in self.archive.text(f"{self.prefix}wnids.txt").split():
            listing = f"{self.prefix}train/{wnid}/{wnid}_boxes.txt"
            if wnid in label and listing in names:
                for name, *ends in _fields(self.archive.text(listing), 1):
                    examples.append(Example(f"train/{wnid}/images/{name}", label[wnid], wnid, _box(ends)))
        for name, wnid, *ends in _fields(self.archive.text(f"{self.prefix}val/val_annotations.txt"), 2):
            if wnid in label:
                examples.append(Example(f"val/images/{name}", label[wnid], wnid, _box(ends)))
        if not examples:
            raise In9Error(f"{self.archive.path} holds no class of the nine: no box file under train/ was found.")
        return sorted(examples, key=lambda example: example.id)

    def read(self, example: Example) -> Photo:
        """One photograph with its box; raises Rejected if it does not decode or is not 64 x 64."""
        image, checksum = self.archive.image_and_checksum(self.prefix + example.id)
        if image.shape != (SIZE, SIZE, 3):
            raise Rejected("image is not 64 x 64")
        return Photo(image, example.box, checksum=checksum)


def _id(name: str) -> str:
    """The id of the image of that name, such as ``n01443537_12`` or ``val_34``."""
    part = name.partition("_")[0]
    return f"val/images/{name}.JPEG" if part == "val" else f"train/{part}/images/{name}.JPEG"


def _fields(text: str, least: int) -> Iterator[list[str]]:
    """The fields of each line that has at least so many: without a name (and a class) there is nothing to read."""
    return (fields for fields in (line.split() for line in text.splitlines()) if len(fields) >= least)


def _box(ends: list[str]) -> Box | None:
    """A box from its four numbers as written, zero-based with both ends inclusive; None if they are not four."""
    try:
        left, top, right, bottom = (int(end) for end in ends)
    except ValueError:
        return None
    return left, top, right + 1, bottom + 1


def fetch_tiny_imagenet(
    path: Path | str | None = None, url: str | None = None, checksum: str | None = None, progress: bool = True
) -> Fetched:
    """Fetch the zip of Tiny ImageNet-200 (237 MB) once, to a folder or a ``.zip`` path, by default to the cache.

    Another ``url`` is held to the same checksum unless one is given. Raises In9Error if it cannot be had.
    """
    path = Path(path) if path is not None else cache()
    target = path if path.suffix == ".zip" else path / FILE
    instead = f"fetch {FILE} by other means and put it at {target}, or give it with --archive where it is used"
    fetch(URL if url is None else url, target, CHECKSUM if checksum is None else checksum, progress, instead)
    return Fetched(target, checksum_of(target))
