"""The authors' released test set, read as it is: eight variants and the masks (paper, section 2, its repository).

Nothing is composed here: a mixed image is the authors' own. The folder is ``<variant>/val/<class folder>/*.JPEG`` and
``fg_mask/val/<class folder>/*.npy``; what ``in9 export`` writes has the same layout and is read the same way. A mixed
image is named ``fg_<its id>_bg_<another id>``; the other id is wrong in the authors' Mixed-Rand, so none is used.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path, PurePosixPath

import numpy as np
import torch

from in9.errors import In9Error, unknown
from in9.data.source import Rejected
from in9.data.archive import Archive
from in9.taxonomy import CLASSES
from in9.data.variants import VARIANTS, Pool

FOLDERS = tuple(one.folder for one in CLASSES)
MASKS = "fg_mask"
HOME = "bg_challenge"
BACKGROUNDS = "backgrounds.csv"  # which background each mixed image has; only an export has it
SUFFIXES = (".jpeg", ".jpg", ".png")


class Released:
    """The authors' test set in the folder ``path``, in its folder ``bg_challenge``, or in the only one that will do.

    ``folder`` is where it was found, ``variants`` are those that are there, in the usual order, and ``image_size`` is
    the side of every image in pixels. Raises In9Error if the folder is not of that layout, or a class is missing.
    """

    def __init__(self, path: Path | str) -> None:
        path = Path(path)
        if path.is_file():
            raise In9Error(f"{path} is a file; unpack it first, or run `in9 fetch released`, and give the folder.")
        home = _home(path)
        if home is None:
            raise In9Error(
                f"{path} is not the authors' test set: looked for <variant>/val/{FOLDERS[0]}/*.JPEG with a variant of "
                f"{', '.join(VARIANTS)}, there and in {HOME}/; `in9 fetch released` gets it."
            )
        self.folder = home
        self.variants = tuple(variant for variant in VARIANTS if (home / variant / "val").is_dir())
        self._archive = Archive(home)
        self._files = {variant: self._list(variant, SUFFIXES) for variant in self.variants}
        if (home / MASKS / "val").is_dir():
            self._files[MASKS] = self._list(MASKS, (".npy",))
        height, width, _ = self._decode(self._files[self.variants[0]][0]).shape
        if height != width:
            raise In9Error(f"{self._files[self.variants[0]][0]} in {home} is {width} x {height} pixels, not square.")
        self.image_size = height

    @property
    def source(self) -> str:
        """``"export"`` for what ``in9 export`` wrote, else ``"released"``."""
        return "export" if (self.folder / BACKGROUNDS).is_file() else "released"

    @staticmethod
    def looks_like(path: Path | str) -> bool:
        """Whether ``Released(path)`` would find the layout there."""
        return _home(Path(path)) is not None

    @cached_property
    def hash(self) -> str:
        """A name for the content: 16 hexadecimal digits of the sorted file names and sizes; no file is read for it."""
        names = sorted(name for names in self._files.values() for name in names)
        text = "".join(f"{name}\x1f{(self.folder / name).stat().st_size}\n" for name in names)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def labels(self, variant: str) -> np.ndarray:
        """The class of each image of a variant, in the authors' order: int64 [N]."""
        return np.array([FOLDERS.index(_parts(name)[0]) for name in self._names(variant)], dtype=np.int64)

    def ids(self, variant: str) -> tuple[str, ...]:
        """The id of each image's foreground as ``<class folder>/<id>``; folders and files are in sorted order."""
        return tuple("/".join(_parts(name)) for name in self._names(variant))

    def images(self, variant: str, rows: Sequence[int]) -> np.ndarray:
        """Some images of a variant, decoded now: uint8 [B, S, S, 3]. Raises In9Error naming one that will not do."""
        names = self._names(variant)
        chosen = [names[row] for row in rows]
        result = np.empty((len(chosen), self.image_size, self.image_size, 3), dtype=np.uint8)
        with ThreadPoolExecutor(os.cpu_count()) as threads:
            for row, image in enumerate(threads.map(self._decode, chosen)):
                if image.shape != result.shape[1:]:
                    raise In9Error(
                        f"{chosen[row]} in {self.folder} is {image.shape[1]} x {image.shape[0]} pixels, others are "
                        f"{self.image_size} x {self.image_size}; all must be of one size."
                    )
                result[row] = image
        return result

    def pool(self, device: str | torch.device = "cpu") -> Pool:
        """The foregrounds and Only-BG-T backgrounds, matched by id, for the adversarial challenge (section 3).

        ``boxes`` are the bounding boxes of the masks, as the annotated ones were not released, and empty where a mask
        is; ``fine`` is the WordNet id that a name begins with, or "". Raises In9Error if the variant ``original``,
        the variant ``only_bg_t`` or the masks are missing, or do not belong together.
        """
        ids = self.ids("original")
        tiles = self._rows("only_bg_t", ids)
        masks = np.stack([self._mask(self._names(MASKS)[row]) for row in self._rows(MASKS, ids)])
        found = [re.match(r"n\d{8}(?=_)", one.rpartition("/")[2]) for one in ids]

        def tensor(variant: str, rows: Sequence[int]) -> torch.Tensor:
            return torch.from_numpy(self.images(variant, rows)).to(device).permute(0, 3, 1, 2).contiguous()

        return Pool(
            images=tensor("original", range(len(ids))),
            masks=torch.from_numpy(masks).to(device).unsqueeze(1),
            tiles=tensor("only_bg_t", tiles),
            boxes=torch.tensor([_bounds(mask) for mask in masks], dtype=torch.int64, device=device),
            labels=torch.from_numpy(self.labels("original")).to(device),
            ids=ids,
            fine=tuple(one.group() if one else "" for one in found),
            accepted=True,
        )

    def check(self) -> None:
        """Raise In9Error unless all eight variants and the masks are there, with as many of each class, and pair up."""
        originals = np.bincount(self.labels("original"))
        for kind in (*VARIANTS, MASKS):
            for folder, wanted, found in zip(FOLDERS, originals, np.bincount(self.labels(kind)), strict=True):
                if found != wanted:
                    raise In9Error(
                        f"{self.folder} is not whole: {kind} has {found} files of {folder}, original has {wanted}."
                    )
        self._rows(MASKS, self.ids("original"))

    def _list(self, kind: str, suffixes: tuple[str, ...]) -> tuple[str, ...]:
        """The files of one variant or of the masks, relative to the folder, class by class."""
        found: list[str] = []
        for folder in FOLDERS:
            place = self.folder / kind / "val" / folder
            if not place.is_dir():
                hint = ", with a space in its name" if " " in folder else ""
                raise In9Error(f"{place.parent} has no folder {folder!r}{hint}; all nine classes are needed.")
            every = (one.name for one in place.iterdir())
            names = sorted(one for one in every if one.lower().endswith(suffixes) and not one.startswith("."))
            if not names:
                raise In9Error(f"{place} holds no file with the ending {' or '.join(suffixes)}.")
            found += [f"{kind}/val/{folder}/{name}" for name in names]
        return tuple(found)

    def _names(self, kind: str) -> tuple[str, ...]:
        if kind not in (*VARIANTS, MASKS):
            raise unknown("variant", kind, VARIANTS)
        if kind not in self._files:
            raise In9Error(f"{self.folder} has no {kind}/val; it has: {', '.join(self._files)}.")
        return self._files[kind]

    def _rows(self, kind: str, ids: Sequence[str]) -> list[int]:
        """Where the files of these ids of the originals stand among those of a kind; there must be no others."""
        row_of = {one: row for row, one in enumerate(self.ids(kind))}
        for missing in sorted(set(ids) ^ set(row_of)):
            has, lacks = ("original", kind) if missing not in row_of else (kind, "original")
            raise In9Error(f"{missing} in {self.folder} has a file under {has} but none under {lacks}.")
        return [row_of[one] for one in ids]

    def _decode(self, name: str) -> np.ndarray:
        try:
            return self._archive.image(name)
        except Rejected as rejection:
            raise In9Error(f"{name} in {self.folder} cannot be used ({rejection}); unpack the test set anew.") from None

    def _mask(self, name: str) -> np.ndarray:
        """One mask: bool [S, S], true on the object."""
        try:
            mask = np.load(self.folder / name, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise In9Error(f"{name} in {self.folder} is not a readable array; unpack the test set anew.") from error
        if mask.shape != (self.image_size, self.image_size) or not np.isin(mask, (0, 1)).all():
            raise In9Error(
                f"{name} in {self.folder} is not a mask: it must hold {self.image_size} x {self.image_size} numbers "
                "that are 0 or 1."
            )
        return mask.astype(bool)


def _home(path: Path) -> Path | None:
    """The folder of the layout: this one, or its ``bg_challenge``, or the only one in it that has the layout."""
    if not path.is_dir():
        return None
    inside = [one for one in sorted(path.iterdir()) if one.is_dir() and _has_variant(one)]
    places = [path, path / HOME, *(inside if len(inside) == 1 else [])]
    return next((one for one in places if _has_variant(one)), None)


def _has_variant(folder: Path) -> bool:
    return any((folder / variant / "val").is_dir() for variant in VARIANTS)


def _parts(name: str) -> tuple[str, str]:
    """The class folder of a file and the id of its foreground."""
    path = PurePosixPath(name)
    mixed = re.fullmatch(r"fg_(.+)_bg_.+", path.stem)
    return path.parent.name, mixed.group(1) if mixed else path.stem


def _bounds(mask: np.ndarray) -> tuple[int, int, int, int]:
    """The bounding box of a mask, bool [S, S]; all zero if the mask is empty."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return 0, 0, 0, 0
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
