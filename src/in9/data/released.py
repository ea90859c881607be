"""The authors' released test set, fetched and read as it is: eight variants and the masks (paper, section 2).

Nothing is composed here: a mixed image is the authors' own. The folder is ``<variant>/val/<class folder>/*.JPEG`` and
``fg_mask/val/<class folder>/*.npy``; what ``in9 export`` writes has the same layout and is read the same way. A mixed
image is named ``fg_<its id>_bg_<another id>``; the other id is wrong in the authors' Mixed-Rand, so none is used.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tarfile
import zipfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, partial
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from tqdm import tqdm

from in9.data.archive import DAMAGED, Archive, check_names
from in9.data.boxes import bounds
from in9.data.fetch import PIECE, Fetched, address_of, cache, checksum_of, fetch
from in9.data.source import Rejected
from in9.data.variants import VARIANTS, Pool
from in9.errors import In9Error, plain_disk_errors, unknown
from in9.files import one_writer
from in9.taxonomy import CLASSES

RELEASED = "https://github.com/MadryLab/backgrounds_challenge/releases/download/data/backgrounds_challenge_data.tar.gz"
FOLDERS = tuple(coarse.folder for coarse in CLASSES)
MASKS = "fg_mask"
HOME = "bg_challenge"
BACKGROUNDS = "backgrounds.csv"  # which background each mixed image has; only an export has it
RECOVERED = "recovered_backgrounds.csv"  # the same, from `in9 backgrounds`
IMAGE_SUFFIXES = (".jpeg", ".jpg", ".png")


class Released:
    """The authors' test set in the folder ``path``, in its folder ``bg_challenge``, or in the only one that will do.

    ``folder`` is where it is, ``variants`` are those that are there, in the usual order, and ``image_size`` is the side
    of every image in pixels. Raises In9Error if the folder is not of that layout, or a class is missing.
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
        self._archive = Archive(home)
        self._files = {kind: self._list(kind) for kind in (*VARIANTS, MASKS) if (home / kind / "val").is_dir()}
        self.variants = tuple(kind for kind in self._files if kind != MASKS)
        first = self._files[self.variants[0]][0]
        height, width, _ = self._image(first).shape
        if height != width:
            raise In9Error(f"{first} in {home} is {width} x {height} pixels, not square.")
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
        return np.array([FOLDERS.index(id_.partition("/")[0]) for id_ in self.ids(variant)], dtype=np.int64)

    def ids(self, variant: str) -> tuple[str, ...]:
        """The id of each image's foreground as ``<class folder>/<id>``; folders and files are in sorted order."""
        return tuple(map(_id, self._names(variant)))

    def images(self, variant: str, rows: Sequence[int]) -> np.ndarray:
        """The images in these rows of a variant, decoded now: uint8 [B, S, S, 3].

        Raises In9Error naming the first that cannot be decoded or is of another size.
        """
        names = [self._names(variant)[row] for row in rows]
        result = np.empty((len(names), self.image_size, self.image_size, 3), dtype=np.uint8)
        with ThreadPoolExecutor(os.cpu_count()) as threads:
            for row, image in enumerate(threads.map(self._image, names)):
                if image.shape != result.shape[1:]:
                    raise In9Error(
                        f"{names[row]} in {self.folder} is {image.shape[1]} x {image.shape[0]} pixels, others are "
                        f"{self.image_size} x {self.image_size}; all must be of one size."
                    )
                result[row] = image
        return result

    def masks(self, rows: Sequence[int]) -> np.ndarray:
        """The masks in these rows, read now: bool [B, S, S], true on the object."""
        names = [self._names(MASKS)[row] for row in rows]
        return np.array([self._mask(name) for name in names]).reshape(-1, self.image_size, self.image_size)

    def rows(self, kind: str, ids: Sequence[str]) -> list[int]:
        """The row of each of these ids in a variant or among the masks. Raises In9Error for an id that is not there."""
        row_of = {id_: row for row, id_ in enumerate(self.ids(kind))}
        for id_ in ids:
            if id_ not in row_of:
                raise In9Error(f"{id_} in {self.folder} has no file under {kind}; unpack the test set anew.")
        return [row_of[id_] for id_ in ids]

    def pool(self, device: str | torch.device = "cpu") -> Pool:
        """The foregrounds and Only-BG-T backgrounds, matched by id, for the adversarial challenge (section 3).

        ``boxes`` are the bounding boxes of the masks, as the annotated ones were not released, and empty where a mask
        is; ``fine`` is the WordNet id that a name begins with, or "". Raises In9Error if the variant ``original``,
        the variant ``only_bg_t`` or the masks are missing, or do not belong together.
        """
        ids = self.ids("original")
        tiles = self._rows("only_bg_t", ids)
        masks = self.masks(self._rows(MASKS, ids))
        wnids = [re.match(r"n\d{8}(?=_)", id_.rpartition("/")[2]) for id_ in ids]

        def pixels(variant: str, rows: Sequence[int]) -> torch.Tensor:
            return torch.from_numpy(self.images(variant, rows)).to(device).permute(0, 3, 1, 2).contiguous()

        return Pool(
            images=pixels("original", range(len(ids))),
            masks=torch.from_numpy(masks).to(device).unsqueeze(1),
            tiles=pixels("only_bg_t", tiles),
            boxes=torch.tensor([bounds(mask) for mask in masks], dtype=torch.int64, device=device),
            labels=torch.from_numpy(self.labels("original")).to(device),
            ids=ids,
            fine=tuple(wnid.group() if wnid else "" for wnid in wnids),
            accepted=True,
        )

    def check(self) -> None:
        """Raise In9Error unless all eight variants and the masks are there, with as many of each class, and pair up."""
        originals = np.bincount(self.labels("original"))
        for kind in (*VARIANTS, MASKS):
            for folder, wanted, present in zip(FOLDERS, originals, np.bincount(self.labels(kind)), strict=True):
                if present != wanted:
                    raise In9Error(
                        f"{self.folder} is not whole: {kind} has {present} files of {folder}, original has {wanted}."
                    )
        self._rows(MASKS, self.ids("original"))

    def _list(self, kind: str) -> tuple[str, ...]:
        """The files of one variant or of the masks, relative to the folder, class by class."""
        suffixes = (".npy",) if kind == MASKS else IMAGE_SUFFIXES
        files: list[str] = []
        for folder in FOLDERS:
            place = self.folder / kind / "val" / folder
            if not place.is_dir():
                hint = ", with a space in its name" if " " in folder else ""
                raise In9Error(f"{place.parent} has no folder {folder!r}{hint}; all nine classes are needed.")
            suitable = (file for file in place.glob("[!.]*") if file.suffix.lower() in suffixes)
            names = sorted(file.name for file in suitable if file.is_file())
            check_names(names, place)
            if not names:
                raise In9Error(f"{place} holds no file with the ending {' or '.join(suffixes)}.")
            files += [f"{kind}/val/{folder}/{name}" for name in names]
        return tuple(files)

    def _names(self, kind: str) -> tuple[str, ...]:
        if kind not in (*VARIANTS, MASKS):
            raise unknown("variant", kind, VARIANTS)
        if kind not in self._files:
            raise In9Error(f"{self.folder} has no {kind}/val; it has: {', '.join(self._files)}.")
        return self._files[kind]

    def _rows(self, kind: str, ids: Sequence[str]) -> list[int]:
        """Where the files of these ids of the originals stand among those of a kind; there must be no others."""
        present = set(self.ids(kind))
        for missing in sorted(set(ids) ^ present):
            has, lacks = ("original", kind) if missing not in present else (kind, "original")
            raise In9Error(f"{missing} in {self.folder} has a file under {has} but none under {lacks}.")
        return self.rows(kind, ids)

    def _image(self, name: str) -> np.ndarray:
        """One image: uint8 [height, width, 3]."""
        try:
            return self._archive.image(name)
        except Rejected as rejection:
            raise In9Error(f"{name} in {self.folder} cannot be used ({rejection}); unpack the test set anew.") from None

    def _mask(self, name: str) -> np.ndarray:
        """One mask: bool [S, S], true on the object."""
        try:
            mask = np.load(self.folder / name, allow_pickle=False)
        except (OSError, ValueError, EOFError, MemoryError) as error:
            raise In9Error(f"{name} in {self.folder} is not a readable array; unpack the test set anew.") from error
        if mask.shape != (self.image_size, self.image_size) or not np.isin(mask, (0, 1)).all():
            raise In9Error(
                f"{name} in {self.folder} is not a mask: it must hold {self.image_size} x {self.image_size} numbers "
                "that are 0 or 1."
            )
        return mask.astype(bool)


def _home(path: Path) -> Path | None:
    """The folder of the layout: this one, or its ``bg_challenge``, or the only one in it that has the layout."""

    def fits(folder: Path) -> bool:
        return any((folder / variant / "val").is_dir() for variant in VARIANTS)

    inside = [folder for folder in path.iterdir() if fits(folder)] if path.is_dir() else []
    places = [path, path / HOME, *(inside if len(inside) == 1 else [])]
    return next((place for place in places if fits(place)), None)


def _id(name: str) -> str:
    """Class folder and id of the foreground of a file."""
    file = PurePosixPath(name)
    mixed = re.fullmatch(r"fg_(.+)_bg_.+", file.stem)
    return f"{file.parent.name}/{mixed[1] if mixed else file.stem}"


def fetch_released(
    folder: Path | str | None = None, url: str | None = None, checksum: str | None = None, progress: bool = True
) -> Fetched:
    """Fetch the authors' test set (paper, section 2) and unpack it as ``folder``, by default one in the cache.

    The folder appears only when all eight variants and the masks are in it. No checksum of the archive is published;
    that of the file that came is returned, to be compared, and a given checksum must hold. Raises In9Error if the
    archive cannot be had, if it is not the test set, or if the folder is there already.
    """
    folder = Path(folder) if folder is not None else cache() / HOME
    if folder.exists():
        raise In9Error(f"{folder} is there already; use it, or remove it to fetch it anew.")
    url = RELEASED if url is None else url
    archive = folder.with_name(PurePosixPath(address_of(url).path).name or "released.tar.gz")
    with plain_disk_errors(folder, resumes=False), one_writer(folder, "fetching"):
        if folder.exists():  # fetched while this process waited
            raise In9Error(f"{folder} is there already; use it, or remove it to fetch it anew.")
        return _fetched(folder, archive, url, checksum, progress)


def _fetched(folder: Path, archive: Path, url: str, checksum: str | None, progress: bool) -> Fetched:
    put_there_by_hand = archive.exists()
    fetch(url, archive, checksum, progress)
    fetched = Fetched(folder, checksum_of(archive))
    work = folder.with_name(folder.name + ".partial")
    shutil.rmtree(work, ignore_errors=True)
    try:
        with plain_disk_errors(work, resumes=False):
            _unpack(archive, work, progress)
            try:
                released = Released(work)
                released.check()
            except In9Error as error:
                raise In9Error(f"{archive} is not the whole test set, remove it and fetch it again: {error}") from error
            released.folder.rename(folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    if not put_there_by_hand:
        archive.unlink()
    return fetched


def _unpack(archive: Path, folder: Path, progress: bool) -> None:
    """Unpack a tar or zip archive; raises In9Error if it is damaged, or if a file of it would leave the folder."""
    bar = partial(tqdm, desc="unpacking", unit="file", disable=not progress)
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as packed:
                for name in bar(packed.namelist()):
                    packed.extract(name, folder)  # takes .. and leading slashes out of names
        else:
            with tarfile.open(archive) as tape:
                for member in bar(tape):
                    tape.extract(member, folder, filter="data")
                while tape.fileobj is not None and tape.fileobj.read(PIECE):
                    pass  # to its very end, where a packed file has its own checksum
    except tarfile.FilterError as error:
        raise In9Error(f"{archive} was not unpacked, for one of its files would leave the folder: {error}.") from error
    except (tarfile.TarError, OSError, ValueError, *DAMAGED) as error:
        if isinstance(error, OSError) and error.errno is not None:  # of the disk, not of what is packed
            raise
        raise In9Error(f"{archive} is not a whole archive; remove it and fetch it again.") from error
