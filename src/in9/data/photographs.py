"""Photographs that may be shown: 44 objects of the nine classes under CC BY 2.0, fetched and never committed.

``photographs.csv`` beside this file has the facts of each: class, box, author, page, checksum and mask. A mask comes
from GrabCut, as in the paper, or is a polygon that somebody drew where GrabCut takes background along or loses a part.
They are for showing, not for measuring. Where they have not been fetched, illustrations that are painted like the
control set take their place, with the same ids and classes, so that no figure is ever empty.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import resources
from pathlib import Path

import cv2
import numpy as np
import torch
from tqdm import tqdm

from in9.data.archive import Archive
from in9.data.fetch import Fetched, checksum_of, fetch
from in9.data.published import decoded
from in9.data.source import Box, Example, Rejected
from in9.data.sources.synthetic import SUBCLASSES, Synthetic
from in9.data.variants import Pool, compose, tile_images
from in9.errors import In9Error, plain_disk_errors
from in9.files import key_of, written_whole
from in9.taxonomy import CLASS_NAMES

BASE_URL = (
    "https://raw.githubusercontent.com/ZhengyuZhao/Targeted-Transfer/2e0b6d0b581a14bc43836f69b04dc431cabcd05f"
    "/dataset/images"
)
SIDE = 299
"""Of every photograph, in pixels."""
SHOWN_SIDE = 224
"""Of the images that are shown, in pixels: what a network of ImageNet takes."""
LICENCES = {"CC BY 2.0": "https://creativecommons.org/licenses/by/2.0/"}
CREDITS_FILE = "CREDITS.md"
OTHER_WAY = "fetch all of them by other means, and give their folder or zip file with --archive"
YELLOW = (255, 221, 0)


@dataclass(frozen=True)
class Photograph:
    """The facts of a photograph. ``box`` is in its own pixels, ends exclusive; so are the corners of ``polygon``.

    ``rest`` names what of the object's class is left in the background, beside the box; it is empty for most.
    ``polygon`` is "x,y x,y ..." with " ; " between parts (a part inside another is a hole) or empty, and then ``mask``
    is GrabCut's in COCO's compressed run-length encoding.
    """

    id: str
    label: int
    wnid: str
    box: Box
    author: str
    licence: str
    page: str
    sha256: str
    rest: str
    polygon: str
    mask: str

    def foreground(self) -> np.ndarray:
        """The mask, bool [299, 299], true on the object."""
        if not self.polygon:
            return decoded(self.mask, (SIDE, SIDE))
        parts = [np.array([corner.split(",") for corner in part.split()], np.int32) for part in self.polygon.split(";")]
        filled = np.zeros((SIDE, SIDE), np.uint8)
        cv2.fillPoly(filled, parts, 1)
        return filled.astype(bool)


@cache
def listing() -> tuple[Photograph, ...]:
    """The project's list of photographs, in the order of their classes."""
    text = resources.files(__package__).joinpath("photographs.csv").read_text(encoding="utf-8")
    return read_listing(text)


def read_listing(text: str) -> tuple[Photograph, ...]:
    """A list of photographs, as the columns of ``photographs.csv`` have it."""
    photographs = []
    for row in csv.DictReader(text.splitlines()):
        left, top, right, bottom = (int(row.pop(end)) for end in ("left", "top", "right", "bottom"))
        label = CLASS_NAMES.index(row.pop("class"))
        photographs.append(Photograph(label=label, box=(left, top, right, bottom), **row))
    return tuple(photographs)


# ------------------------------------------------------------------------------------------------------------- fetching


def fetch_photographs(
    folder: Path | str,
    url: str | None = None,
    checksum: str | None = None,
    progress: bool = True,
    archive: Path | str | None = None,
    photographs: Sequence[Photograph] | None = None,
) -> Fetched:
    """Fetch the photographs into a folder, each checked, with their credits beside them.

    ``url`` is the address below which they lie as ``<id>.png``; ``archive`` is a zip file or folder that has them, in
    place of the web. What is there already is kept, so a fetch that was stopped goes on. The checksum that is returned
    is of the credits. Raises In9Error if a photograph cannot be had or is another file than the list says.
    """
    if checksum is not None:
        raise In9Error("The photographs have a checksum each, in the project's list; leave out --checksum.")
    if url is not None and archive is not None:
        raise In9Error(f"--url {url} and --archive {archive} are two places to take the photographs from; give one.")
    folder = Path(folder)
    photographs = listing() if photographs is None else photographs
    base = (BASE_URL if url is None else url).rstrip("/")
    source = None if archive is None else Archive(archive)
    names = {} if source is None else {name.rpartition("/")[2]: name for name in source.names()}
    for photograph in tqdm(photographs, desc="fetching photographs", unit="file", delay=0.5, disable=not progress):
        path, wanted = folder / f"{photograph.id}.png", f"sha256:{photograph.sha256}"
        if source is None or path.exists():
            fetch(f"{base}/{path.name}", path, wanted, progress=False, instead=OTHER_WAY)
            continue
        if path.name not in names:
            raise In9Error(f"{source.path} has no file {path.name}; give an archive of all the photographs.")
        with plain_disk_errors(folder), written_whole(path) as partial:
            partial.write_bytes(source.bytes(names[path.name]))
            if (received := checksum_of(partial)) != wanted:
                raise In9Error(
                    f"{path.name} in {source.path} is another file than the list says (its checksum is {received}, not "
                    f"{wanted}); fetch it from the web, without --archive."
                )
    with plain_disk_errors(folder), written_whole(folder / CREDITS_FILE) as partial:
        partial.write_text(_credits(photographs), encoding="utf-8")
    return Fetched(folder, checksum_of(folder / CREDITS_FILE))


def _credits(photographs: Sequence[Photograph]) -> str:
    """A table of authors, pages and licences in Markdown."""
    rows = [f"| {each.id} | {CLASS_NAMES[each.label]} | {_link(each)} | {each.licence} |" for each in photographs]
    licences = [f"{name}: {address}" for name, address in LICENCES.items()]
    head = ["# Photographs", "", "| file | class | author and page | licence |", "|---|---|---|---|"]
    return "\n".join([*head, *rows, "", *licences, ""])


def _link(photograph: Photograph) -> str:
    """The author of a photograph with a link to its page, in Markdown."""
    author = photograph.author
    for mark in "\\[]*_|`":
        author = author.replace(mark, f"\\{mark}")
    return f"[{author}]({photograph.page})"


# -------------------------------------------------------------------------------------------------------------- showing


@dataclass(frozen=True)
class Illustrations:
    """Images to show, with all that the variants need: photographs with their credits, or painted ones.

    ``images`` is uint8 [N, S, S, 3]; ``masks`` bool [N, S, S]; ``boxes`` int64 [N, 4] as left, top, right, bottom, ends
    exclusive; ``labels`` int64 [N]. ``photographs`` has the facts of each, in the same order; ``drawn`` says that
    these are no photographs but painted in their place.
    """

    images: np.ndarray
    masks: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray
    photographs: tuple[Photograph, ...]
    drawn: bool = False

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids, the same whether these are photographs or painted."""
        return tuple(photograph.id for photograph in self.photographs)

    @property
    def clean(self) -> np.ndarray:
        """Whether nothing of the object's class is left in each background: bool [N]."""
        return np.array([self.drawn or not photograph.rest for photograph in self.photographs])

    @property
    def hash(self) -> str:
        """A name for the content of the photographs: 16 hexadecimal digits."""
        facts = [[each.id, each.label, each.box, each.sha256, each.polygon, each.mask] for each in self.photographs]
        return key_of([facts, self.images.shape[1], self.drawn])

    def row(self, identifier: str) -> int:
        """The row of the image whose id begins so. Raises In9Error unless there is exactly one."""
        rows = [row for row, name in enumerate(self.ids) if name.startswith(identifier)]
        if len(rows) != 1:
            raise In9Error(f"{len(rows)} of the {len(self)} illustrations have an id that begins with {identifier!r}.")
        return rows[0]

    def pool(self) -> Pool:
        """All images as a pool, from which ``in9.data.variants.compose`` makes the eight variants; made once."""
        return self._pool

    @cached_property
    def _pool(self) -> Pool:
        images = torch.from_numpy(self.images).permute(0, 3, 1, 2).contiguous()
        boxes = torch.from_numpy(self.boxes)
        return Pool(
            images=images,
            masks=torch.from_numpy(self.masks)[:, None],
            tiles=tile_images(images, boxes),
            boxes=boxes,
            labels=torch.from_numpy(self.labels),
            ids=self.ids,
            fine=tuple(photograph.wnid for photograph in self.photographs),
            accepted=True,
        )

    def variant(self, name: str, rows: Sequence[int], backgrounds: Sequence[int] | None = None) -> np.ndarray:
        """The images in these rows in one variant, on the backgrounds in those rows if mixed: uint8 [B, S, S, 3]."""
        columns = None if backgrounds is None else torch.tensor(backgrounds)
        return compose(name, self.pool(), torch.tensor(rows), columns).permute(0, 2, 3, 1).numpy()

    def credit(self, rows: Iterable[int] | None = None) -> str:
        """One sentence in Markdown that says whose the images in these rows are, or all."""
        if self.drawn:
            return "Illustrations drawn for this book; `in9 fetch photographs` puts photographs in their place."
        chosen = [self.photographs[row] for row in dict.fromkeys(range(len(self)) if rows is None else rows)]
        parts = []
        for licence in dict.fromkeys(each.licence for each in chosen):
            authors = ", ".join(_link(each) for each in chosen if each.licence == licence)
            parts.append(f"{authors} ([{licence}]({LICENCES[licence]}))")
        return f"Photographs: {'; '.join(parts)}, made smaller, and changed as the figure says."

    def steps(self, row: int, background: int) -> dict[str, np.ndarray]:
        """From a photograph to a mixed image in five pictures: title -> uint8 [S, S, 3] (paper, appendix A)."""
        image = self.images[row]
        left, top, right, bottom = self.boxes[row].tolist()
        boxed = cv2.rectangle(image.copy(), (left, top), (right - 1, bottom - 1), YELLOW, max(1, len(image) // 75))
        maker = "exact" if self.drawn else "by hand" if self.photographs[row].polygon else "GrabCut"
        return {
            "Photograph" if not self.drawn else "Illustration": image,
            "Box": boxed,
            f"Mask ({maker})": image * self.masks[row][..., None],
            "Another background, tiled": self.variant("only_bg_t", [background])[0],
            "Object on that background": self.variant("mixed_rand", [row], [background])[0],
        }


def load(
    folder: Path | str, size: int = SHOWN_SIDE, photographs: Sequence[Photograph] | None = None
) -> Illustrations | None:
    """The photographs that were fetched into a folder, ``size`` pixels wide; None if any of them is not there.

    Raises In9Error if a file is not the one that the list says.
    """
    folder = Path(folder)
    photographs = tuple(listing() if photographs is None else photographs)
    if not all((folder / f"{each.id}.png").is_file() for each in photographs):
        return None
    archive, images, masks, boxes = Archive(folder), [], [], []
    for each in photographs:
        name = f"{each.id}.png"
        try:
            image, checksum = archive.image_and_checksum(name)
        except Rejected:
            image, checksum = np.zeros((0, 0, 3), np.uint8), ""
        if not each.sha256.startswith(checksum or "-"):
            raise In9Error(f"{folder / name} is not the photograph of the list; remove it and fetch it again.")
        mask = each.foreground().astype(np.float32)
        images.append(cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA))
        masks.append(cv2.resize(mask, (size, size), interpolation=cv2.INTER_AREA) >= 0.5)
        boxes.append([round(end * size / SIDE) for end in each.box])
    labels = np.array([each.label for each in photographs], np.int64)
    return Illustrations(np.stack(images), np.stack(masks), np.array(boxes, np.int64), labels, photographs)


def painted(size: int = SHOWN_SIDE, photographs: Sequence[Photograph] | None = None) -> Illustrations:
    """An illustration in place of each photograph: an object of its class on the texture of that class."""
    photographs = tuple(listing() if photographs is None else photographs)
    source = Synthetic(rho=1.0, image_size=size)
    photos = [
        source.read(Example(each.id, each.label, f"{CLASS_NAMES[each.label]}/{row % SUBCLASSES}"))
        for row, each in enumerate(photographs)
    ]
    labels = np.array([each.label for each in photographs], np.int64)
    boxes = np.array([photo.box for photo in photos], np.int64)
    masks = np.stack([np.asarray(photo.mask) for photo in photos])
    return Illustrations(np.stack([photo.image for photo in photos]), masks, boxes, labels, photographs, drawn=True)


def shown(folder: Path | str, size: int = SHOWN_SIDE) -> Illustrations:
    """The photographs of a folder, or painted illustrations where they have not been fetched."""
    return load(folder, size) or painted(size)
