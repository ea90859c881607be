"""What a classifier is scored on: the test images of a dataset, or the authors' released archive as it is.

Both kinds offer the same. ``tests`` names the test sets: the same foregrounds in the same order in each, but IN-9L has
images of its own. ``hash`` and ``facts`` are for records: which data and which draw.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from in9.data import variants
from in9.data.backgrounds import read_backgrounds
from in9.data.dataset import Dataset, is_dataset
from in9.data.released import BACKGROUNDS, FOLDERS, MASKS, RECOVERED, Released
from in9.data.variants import MIXED, VARIANTS, Pool
from in9.errors import In9Error
from in9.taxonomy import UNMAPPED
from in9.training.recipe import IN9L


class KnownBackgrounds(NamedTuple):
    """The background of each image of a mixed test set: its class, -1 if unknown, and its row, both int64 [N]."""

    classes: np.ndarray
    rows: np.ndarray


class DatasetImages:
    """One split of a dataset. The variants are composed on the device; ``seed`` decides the mixed ones' draws."""

    def __init__(self, dataset: Dataset, split: str, seed: int, device: torch.device) -> None:
        self.dataset, self.split, self.seed, self.device = dataset, split, seed, device
        self.hash, self.image_size = dataset.hash, dataset.image_size
        self.facts: dict[str, Any] = {"source": dataset.manifest["source"], "split": split, "test_seed": seed}
        if dataset.fold is not None:
            self.facts["fold"] = dataset.fold
        self.tests: tuple[str, ...] = (*VARIANTS, IN9L)
        if len(dataset.indices(split)) == 0:
            raise In9Error(f"The dataset {dataset.path} has no accepted images in its {split} split.")

    @cached_property
    def pool(self) -> Pool:
        """All accepted images of the split, and what variants are composed of."""
        return variants.load_pool(self.dataset, self.split, device=self.device)

    def _rows(self, test: str) -> np.ndarray:
        return self.dataset.indices(self.split, accepted=test != IN9L)

    def labels(self, test: str) -> np.ndarray:
        """The true classes: int64 [N]."""
        return self.dataset.table["label"].to_numpy(np.int64)[self._rows(test)]

    def ids(self, test: str) -> tuple[str, ...]:
        """The examples' ids, N of them."""
        return tuple(self.dataset.table["id"].to_numpy()[self._rows(test)])

    def masks(self, rows: np.ndarray) -> np.ndarray:
        """The masks of these objects, true on the object: bool [B, S, S]."""
        return self.pool.masks[rows, 0].cpu().numpy()

    def batches(self, test: str, size: int, chosen: np.ndarray | None = None) -> Iterator[Tensor]:
        """The images in order, uint8 [B, 3, S, S] on the device, at most ``size`` at a time.

        ``chosen`` int64 are the rows of those that are wanted, by default all.
        """
        if test == IN9L:
            places = self._rows(test) if chosen is None else self._rows(test)[chosen]
            for rows in np.array_split(places, range(size, len(places), size)):
                yield torch.from_numpy(self.dataset.images[rows]).to(self.device).permute(0, 3, 1, 2)
            return
        wanted = torch.arange(len(self.pool)) if chosen is None else torch.from_numpy(chosen)
        yield from map(variants.composer(test, self.pool, self.seed), wanted.to(self.device).split(size))

    def backgrounds(self, file: Path | None = None) -> dict[str, KnownBackgrounds]:
        """The backgrounds of each mixed test set. Raises In9Error for a file of them: a dataset draws its own."""
        if file is not None:
            raise In9Error(f"A dataset knows its backgrounds, and {file} has no use for it; leave out --backgrounds.")
        drawn = {test: variants.draw_backgrounds(test, self.pool, self.seed) for test in MIXED}
        return {
            test: KnownBackgrounds(classes.cpu().numpy(), rows.cpu().numpy()) for test, (rows, classes) in drawn.items()
        }


class ReleasedImages:
    """The released archive, or an export: read as it is, its mixed images are not composed anew.

    Images are matched by their foreground. A foreground that some variant lacks is left out of all variants;
    ``facts`` count the images that are left out.
    """

    def __init__(self, released: Released, device: torch.device) -> None:
        self.released, self.device = released, device
        self.hash, self.image_size = released.hash, released.image_size
        self.tests: tuple[str, ...] = released.variants
        row_of = {test: {name: row for row, name in enumerate(released.ids(test))} for test in self.tests}
        common = set.intersection(*map(set, row_of.values()))
        if not common:
            raise In9Error(f"The variants in {released.folder} have no image in common; is the archive whole?")
        self.names = tuple(name for name in released.ids(self.tests[0]) if name in common)
        self.rows = {test: [rows[name] for name in self.names] for test, rows in row_of.items()}
        left_out = sum(map(len, row_of.values())) - len(self.names) * len(self.tests)
        self.facts: dict[str, Any] = {"source": released.source, "left_out": left_out}

    @cached_property
    def pool(self) -> Pool:
        """The foregrounds and backgrounds of the archive's challenge."""
        return self.released.pool(self.device)

    def labels(self, test: str) -> np.ndarray:
        """The true classes: int64 [N]."""
        return self.released.labels(test)[self.rows[test]]

    def ids(self, test: str) -> tuple[str, ...]:
        """Class folder and foreground, N of them."""
        return self.names

    def masks(self, rows: np.ndarray) -> np.ndarray:
        """See ``DatasetImages``."""
        return self.released.masks(self.released.rows(MASKS, [self.names[row] for row in rows]))

    def batches(self, test: str, size: int, chosen: np.ndarray | None = None) -> Iterator[Tensor]:
        """See ``DatasetImages``. The next batch is decoded while the classifier works on this one."""
        rows = self.rows[test] if chosen is None else [self.rows[test][row] for row in chosen]
        parts = [rows[start : start + size] for start in range(0, len(rows), size)]
        with ThreadPoolExecutor(1) as ahead:
            coming = ahead.submit(self.released.images, test, parts[0])
            for part in [*parts[1:], None]:
                images = coming.result()
                if part is not None:
                    coming = ahead.submit(self.released.images, test, part)
                yield torch.from_numpy(images).to(self.device).permute(0, 3, 1, 2)

    def backgrounds(self, file: Path | None = None) -> dict[str, KnownBackgrounds]:
        """The backgrounds of each mixed test set, as far as an export lists them or ``in9 backgrounds`` recovered them.

        ``file`` is a table that ``in9 backgrounds`` wrote, by default the one in the folder of the images. An image
        whose background is unknown is its own row. Raises In9Error for a table that cannot be read or is of other
        images.
        """
        places = (self.released.folder / name for name in (BACKGROUNDS, RECOVERED))
        path = file or next((place for place in places if place.is_file()), None)
        if path is None:
            return {}
        listed, row_of = read_backgrounds(path), {name: row for row, name in enumerate(self.names)}
        result = {}
        for test in (test for test in MIXED if test in self.tests and test in listed):
            of_image = listed[test]
            if not row_of.keys() & of_image.keys():
                raise In9Error(
                    f"{path} lists no background of these images ({next(iter(row_of))} and others); run `in9 "
                    f"backgrounds` on {self.released.folder}."
                )
            backgrounds = [of_image.get(name, "") for name in self.names]
            folders = [background.partition("/")[0] for background in backgrounds]
            if strange := [folder for folder in folders if folder and folder not in FOLDERS]:
                raise In9Error(f"{path} has a background of {strange[0]!r}; expected one of {', '.join(FOLDERS)}.")
            classes = [FOLDERS.index(folder) if folder else UNMAPPED for folder in folders]
            rows = [row_of.get(background, row) for row, background in enumerate(backgrounds)]
            result[test] = KnownBackgrounds(np.array(classes, np.int64), np.array(rows, np.int64))
        return result


TestImages = DatasetImages | ReleasedImages


def open_test_images(
    data: TestImages | Dataset | Path | str, split: str = "test", seed: int = 0, device: torch.device | str = "cpu"
) -> TestImages:
    """Test images from a dataset (opened, or its folder) or from a folder in the released layout.

    ``split`` and ``seed`` are for datasets only; test images that are open stay as they are. Raises In9Error for a
    folder that is neither, saying what was looked for.
    """
    if isinstance(data, TestImages):
        return data
    device = torch.device(device)
    if isinstance(data, Dataset):
        return DatasetImages(data, split, seed, device)
    path = Path(data)
    if is_dataset(path):
        return DatasetImages(Dataset(path), split, seed, device)
    if path.is_dir() and Released.looks_like(path):
        return ReleasedImages(Released(path), device)
    if not path.exists():
        raise In9Error(f"There is no folder {path}; give a dataset (`in9 build`) or the released test set.")
    if path.is_dir() and any((path / name).is_dir() for name in ("ILSVRC", "Data", "train", "val")):
        raise In9Error(
            f"{path} looks like ImageNet itself: build a dataset of it first with "
            f"`in9 build imagenet OUT --archive {path}`."
        )
    raise In9Error(
        f"{path} is no data to score on: looked for manifest.json (a dataset, from `in9 build`) and for "
        "<variant>/val/<class folder>/ (the authors' released test set, from `in9 fetch released`, or an export)."
    )
