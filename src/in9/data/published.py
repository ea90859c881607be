"""A dataset without its pixels: ids, boxes, masks and splits as one file, from which others build the same dataset.

The file is gzipped JSON. Masks are run-length encoded in COCO's compressed format, at the photographs' own size, so
that any tool that reads COCO reads them. A checksum of each photograph's file tells whether somebody has the same ones.
"""

from __future__ import annotations

import gzip
import json
import warnings
import zlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco

from in9.data.dataset import FOLD, SPLITS
from in9.data.source import ATTEMPTS, Box, Example, MaskRule, Photo, Rejected, Source
from in9.data.splits import GOOD, Split
from in9.errors import In9Error, reason
from in9.files import kept_until_changed, plain, read_bytes, written_whole

PUBLISHED_FORMAT = 1
MASKS_FILE = "masks.json.gz"
"""The published file of a dataset, in its folder; the dataset itself does without it."""
_SETTINGS = {"source": str, "source_settings": dict, "image_size": int, "rules": dict, "seed": int, "split": dict}
"""The settings that a published file must have, and their types."""


@dataclass(frozen=True)
class PublishedImage:
    """What is published of one image of a source.

    ``checksum`` is of its file; ``size`` height and width in pixels; ``box`` its box as left, top, right, bottom, ends
    exclusive, or None; ``reason`` why it has no good mask, or empty; ``mask`` its mask in COCO's compressed run-length
    encoding, or empty; ``split`` and ``rejected`` as in the dataset's table.
    """

    checksum: str
    size: tuple[int, int]
    box: Box | None
    reason: str
    mask: str
    split: str = ""
    rejected: str = ""


@dataclass(frozen=True)
class Published:
    """A published dataset: its settings, the hash of its content, and its images by id."""

    settings: dict[str, Any]
    hash: str
    images: Mapping[str, PublishedImage]

    def mask(self, identifier: str) -> np.ndarray | None:
        """The mask of an image, bool [height, width]; None where it has no good one."""
        image = self.images[identifier]
        return decoded(image.mask, image.size) if image.mask else None

    def rule_of(self, source: Source) -> MaskRule:
        """The rule of a source, with as many attempts as these masks were found with: none is to be found any more."""
        return replace(source.rule, attempts=self.settings["rules"].get("attempts", ATTEMPTS))

    def differs_from(self, source: Source) -> str:
        """What this was published for where it is not this source with these settings, and those; empty if it is."""
        wanted: dict[str, Any] = {"source": source.name, "source_settings": source.settings()}
        wanted |= {"image_size": source.image_size, "rules": self.rule_of(source).settings()}
        for name, value in plain(wanted).items():
            if self.settings[name] != value:
                return f"{name} {self.settings[name]!r}, and this is {value!r}"
        return ""

    def write(self, path: Path) -> None:
        """Write the file; the same content gives the same bytes."""
        columns = {name: [getattr(image, name) for image in self.images.values()] for name in _FIELDS}
        content = {"format": PUBLISHED_FORMAT, "settings": self.settings, "hash": self.hash}
        text = json.dumps(content | {"ids": list(self.images), "images": columns}, separators=(",", ":"))
        with written_whole(path) as partial:
            partial.write_bytes(gzip.compress(text.encode(), mtime=0))


_FIELDS = tuple(PublishedImage.__dataclass_fields__)


@kept_until_changed(4)  # a build and a chapter ask for the same file several times
def read_published(path: Path) -> Published:
    """A published file. Raises In9Error if it cannot be read, is damaged or of another version."""
    damaged = f"{path} is damaged, or no published {MASKS_FILE}; fetch it again."
    try:
        content = json.loads(gzip.decompress(read_bytes(path)))
        number = content["format"]
    except FileNotFoundError as error:
        raise In9Error(f"There is no file {path}; check the path.") from error
    except OSError as error:  # among them what gzip says of another kind of file
        raise In9Error(f"{path} cannot be read ({reason(error)}); expected a published {MASKS_FILE}.") from error
    except (EOFError, zlib.error, ValueError, KeyError, TypeError, RecursionError) as error:
        raise In9Error(damaged) from error
    if number != PUBLISHED_FORMAT:
        raise In9Error(
            f"{path} has version {number!r} of the format, this program reads {PUBLISHED_FORMAT}; fetch another."
        )
    try:
        return _published(content)
    except (ValueError, KeyError, TypeError, AttributeError, In9Error) as error:
        raise In9Error(damaged) from error


def _published(content: dict[str, Any]) -> Published:
    """The content of a file. Raises ValueError, KeyError, TypeError, AttributeError or In9Error for another shape."""
    settings, columns = content["settings"], content["images"]
    for name, kind in _SETTINGS.items():
        if not isinstance(settings[name], kind):
            raise TypeError(name)
    splits = {*SPLITS, *(f"{FOLD}{fold}" for fold in range(Split(**settings["split"]).folds))}
    images = {}
    for name, row in zip(content["ids"], zip(*(columns[field] for field in _FIELDS), strict=True), strict=True):
        checksum, (height, width), box, why, mask, split, rejected = row
        if {*map(type, (name, checksum, why, mask, rejected))} != {str} or split not in splits:
            raise TypeError(name)
        if {*map(type, (height, width, *(box or ())))} != {int} or bool(mask) == bool(why) or (mask and not box):
            raise TypeError(name)
        limits = None if box is None else _box(box)
        images[name] = PublishedImage(checksum, (height, width), limits, why, mask, split, rejected)
    return Published(settings, str(content["hash"]), images)


def _box(ends: Sequence[int]) -> Box:
    left, top, right, bottom = ends
    return left, top, right, bottom


def encoded(mask: np.ndarray) -> str:
    """A mask, bool [height, width], in COCO's compressed run-length encoding."""
    return str(coco.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode("ascii"))


def decoded(counts: str, size: Sequence[int]) -> np.ndarray:
    """The mask of such an encoding: bool, of that height and width. Raises ValueError if it does not fit or decode.

    Where an encoding ends before its image does, the pixels after it may be anything.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # it has not heard of NumPy 2
        mask = coco.decode({"size": list(size), "counts": counts.encode("ascii")})
    return np.ascontiguousarray(mask).astype(bool)


class WithMasks:
    """A source whose photographs bring the masks of a published file, so that no mask has to be found.

    Splits, and what people said of the masks, are the published ones as well. Raises In9Error if the file was
    published for another source or other settings of it.
    """

    def __init__(self, source: Source, published: Published, path: Path) -> None:
        if other := published.differs_from(source):
            raise In9Error(f"{path} was published for {other}; give the file of this source, or build without --from.")
        self.source, self.published, self.path = source, published, path
        self.name, self.image_size, self.resizes = source.name, source.image_size, source.resizes
        self.rule = published.rule_of(source)
        self.balances: bool = getattr(source, "balances", False)
        self.splits = {name: image.split for name, image in published.images.items()}
        self.verdicts: Mapping[str, str] = {}
        if getattr(source, "verdicts", {}) or any(image.rejected for image in published.images.values()):
            self.verdicts = {name: image.rejected or GOOD for name, image in published.images.items()}

    def settings(self) -> dict[str, Any]:
        """The source's own: what comes out is the same."""
        return self.source.settings()

    def examples(self) -> Sequence[Example]:
        """The source's own. Raises In9Error if a published image is not among them, or one before it is another."""
        examples = self.source.examples()
        if missing := self.published.images.keys() - {example.id for example in examples}:
            first = min(missing)
            for example in sorted(examples, key=lambda example: example.id):
                if example.id < first:
                    with suppress(Rejected):
                        self.read(example)
            raise self._of_other_images(first, f"is in {self.path} and not here")
        return examples

    def read(self, example: Example) -> Photo:
        """A photograph of the source, with the published box and mask, or with the reason why it has none.

        Raises In9Error if it is another photograph than the one that was published, or its mask is damaged.
        """
        image = self.published.images.get(example.id)
        try:
            photo = self.source.read(example)
        except Rejected as rejection:
            if image is None:  # it could not be read when the masks were published, either
                raise
            raise self._of_other_images(example.id, f"cannot be read here ({rejection})") from rejection
        if image is None:
            raise self._of_other_images(example.id, f"is not in {self.path}")
        if image.checksum != photo.checksum:
            raise self._of_other_images(example.id, f"is another image than the one in {self.path}")
        if image.reason:
            return replace(photo, box=image.box, reason=image.reason)
        with suppress(ValueError):
            if image.size == photo.image.shape[:2]:
                mask = decoded(image.mask, image.size)
                if encoded(mask) == image.mask:
                    return replace(photo, box=image.box, mask=mask)
        raise In9Error(f"The mask of {example.id} in {self.path} is damaged; fetch the file again.")

    def _of_other_images(self, identifier: str, what: str) -> In9Error:
        return In9Error(
            f"{identifier} {what}: these masks are of other images. "
            "Give the archive that they were published for, or find masks with --grabcut in place of --from."
        )
