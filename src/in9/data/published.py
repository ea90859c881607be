"""A dataset without its pixels: ids, boxes, masks and splits as one file, from which others build the same dataset.

The file is gzipped JSON. Masks are run-length encoded in COCO's compressed format, at the photographs' own size, so
that any tool that reads COCO reads them. A checksum of each photograph's file tells whether somebody has the same ones.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from in9.data.source import Box, Example, Photo, Source
from in9.errors import In9Error, reason
from in9.files import plain, written_whole

PUBLISHED_FORMAT = 1
MASKS_FILE = "masks.json.gz"
"""The published file of a dataset, in its folder; the dataset itself does without it."""


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

    def write(self, path: Path) -> None:
        """Write the file; the same content gives the same bytes."""
        columns = {name: [getattr(image, name) for image in self.images.values()] for name in _FIELDS}
        content = {"format": PUBLISHED_FORMAT, "settings": self.settings, "hash": self.hash}
        text = json.dumps(content | {"ids": list(self.images), "images": columns}, separators=(",", ":"))
        with written_whole(path) as partial:
            partial.write_bytes(gzip.compress(text.encode(), mtime=0))


_FIELDS = tuple(PublishedImage.__dataclass_fields__)


def read_published(path: Path | str) -> Published:
    """A published file. Raises In9Error if it cannot be read, is damaged or of another version."""
    path = Path(path)
    try:
        content = json.loads(gzip.decompress(path.read_bytes()))
        number, ids, columns = content["format"], content["ids"], content["images"]
        if number == PUBLISHED_FORMAT:
            rows = [columns[name] for name in _FIELDS]
            images = [
                PublishedImage(checksum, tuple(size), None if box is None else tuple(box), *others)
                for checksum, size, box, *others in zip(*rows, strict=True)
            ]
            return Published(content["settings"], content["hash"], dict(zip(ids, images, strict=True)))
    except FileNotFoundError as error:
        raise In9Error(f"There is no file {path}; check the path.") from error
    except OSError as error:
        raise In9Error(f"{path} cannot be read ({reason(error)}); expected a published {MASKS_FILE}.") from error
    except (EOFError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise In9Error(f"{path} is damaged, or no published {MASKS_FILE}; fetch it again.") from error
    raise In9Error(f"{path} has version {number} of the format, this program reads {PUBLISHED_FORMAT}; fetch another.")


def encoded(mask: np.ndarray) -> str:
    """A mask, bool [height, width], in COCO's compressed run-length encoding."""
    from pycocotools import mask as coco

    return str(coco.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode("ascii"))


def decoded(counts: str, size: Sequence[int]) -> np.ndarray:
    """The mask of such an encoding: bool, of that height and width."""
    from pycocotools import mask as coco

    return np.ascontiguousarray(coco.decode({"size": list(size), "counts": counts.encode("ascii")})).astype(bool)


class WithMasks:
    """A source whose photographs bring the masks of a published file, so that no mask has to be found.

    Raises In9Error if the file was published for another source or other settings of it.
    """

    def __init__(self, source: Source, published: Published, path: Path) -> None:
        for name, have in (("source", source.name), ("source_settings", plain(source.settings()))):
            if published.settings[name] != have:
                raise In9Error(f"{path} was published for {published.settings[name]}, not for {have}.")
        self.balances: bool = getattr(source, "balances", False)
        self.source, self.published, self.path = source, published, path
        self.name, self.image_size, self.resizes = source.name, source.image_size, source.resizes
        self.rules = source.rules
        self.verdicts: Mapping[str, str] = getattr(source, "verdicts", {})
        if any(image.rejected for image in published.images.values()):
            self.verdicts = {name: image.rejected or "good" for name, image in published.images.items()}

    def settings(self) -> dict[str, Any]:
        """The source's own: what comes out is the same."""
        return self.source.settings()

    def examples(self) -> Sequence[Example]:
        """The source's own."""
        return self.source.examples()

    def read(self, example: Example) -> Photo:
        """A photograph of the source, with the published box and mask, or with the reason why it has none.

        Raises In9Error if it is another photograph than the one that was published.
        """
        photo = self.source.read(example)
        image = self.published.images.get(example.id)
        if image is None or image.checksum != photo.checksum:
            what = "is not in the file" if image is None else "is another image than the published one"
            raise In9Error(f"{example.id} {what} {self.path}: these masks are of other images. Build without --from.")
        if image.reason:
            return replace(photo, box=None, reason=image.reason)
        return replace(photo, box=image.box, mask=decoded(image.mask, image.size))
