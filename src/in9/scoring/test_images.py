"""What a classifier is scored on: the test images of a dataset, or the authors' released archive as it is."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from in9.data import variants
from in9.data.dataset import Dataset
from in9.data.released import Released
from in9.data.variants import MIXED, VARIANTS, Pool
from in9.errors import In9Error
from in9.training.recipe import IN9L


class TestData(Protocol):
    """Test images in several variants, the same foregrounds in the same order in each (IN-9L has its own images)."""

    hash: str
    image_size: int
    facts: dict[str, Any]  # for records: which data and which draw
    tests: tuple[str, ...]  # the variants there are, and IN-9L where it is

    def labels(self, test: str) -> np.ndarray:
        """The true classes: int64 [N]."""

    def ids(self, test: str) -> tuple[str, ...]:
        """The images' names, N of them."""

    def batches(self, test: str, size: int) -> Iterator[Tensor]:
        """The images in order, uint8 [B, 3, S, S] on the device, at most ``size`` at a time."""

    def pool(self) -> Pool:
        """Originals, masks and Only-BG-T of all foregrounds, for adversarial backgrounds."""


class OfDataset:
    """One split of a dataset. The variants are composed on the device; ``seed`` decides the mixed ones' draws."""

    def __init__(self, dataset: Dataset, split: str, seed: int, device: torch.device) -> None:
        self.dataset, self.split, self.seed, self.device = dataset, split, seed, device
        self.hash, self.image_size = dataset.hash, dataset.image_size
        self.facts: dict[str, Any] = {"source": dataset.manifest["source"], "split": split, "test_seed": seed}
        self.tests: tuple[str, ...] = (*VARIANTS, IN9L)
        if len(dataset.indices(split)) == 0:
            raise In9Error(f"The dataset {dataset.path} has no accepted images in its {split} split.")

    @cached_property
    def _pool(self) -> Pool:
        return variants.load_pool(self.dataset, self.split, device=self.device)

    def pool(self) -> Pool:
        """All accepted images of the split."""
        return self._pool

    def _rows(self, test: str) -> np.ndarray:
        return self.dataset.indices(self.split, accepted=test != IN9L)

    def labels(self, test: str) -> np.ndarray:
        """The true classes: int64 [N]."""
        return self.dataset.table["label"].to_numpy(np.int64)[self._rows(test)]

    def ids(self, test: str) -> tuple[str, ...]:
        """The examples' ids."""
        return tuple(self.dataset.table["id"].to_numpy()[self._rows(test)])

    def batches(self, test: str, size: int) -> Iterator[Tensor]:
        """See ``TestData``."""
        if test == IN9L:
            for rows in np.array_split(self._rows(test), range(size, len(self._rows(test)), size)):
                yield torch.from_numpy(self.dataset.images[rows]).to(self.device).permute(0, 3, 1, 2)
            return
        drawn = variants.draw_backgrounds(test, self._pool, self.seed)[0] if test in MIXED else None
        for rows in torch.arange(len(self._pool), device=self.device).split(size):
            yield variants.compose(test, self._pool, rows, None if drawn is None else drawn[rows])


class OfReleased:
    """The released archive, or an export: read as it is, its mixed images are not composed anew.

    Images are matched by their foreground; one that some variant lacks is left out of all, ``left_out`` counts them.
    """

    def __init__(self, released: Released, device: torch.device) -> None:
        self.released, self.device = released, device
        self.hash, self.image_size = released.hash, released.image_size
        self.tests: tuple[str, ...] = released.variants
        places = {test: {name: row for row, name in enumerate(released.ids(test))} for test in self.tests}
        common = set.intersection(*(set(one) for one in places.values()))
        if not common:
            raise In9Error(f"The variants in {released.folder} have no image in common; is the archive whole?")
        self.names = tuple(name for name in released.ids(self.tests[0]) if name in common)
        self.rows = {test: [one[name] for name in self.names] for test, one in places.items()}
        self.left_out = sum(len(one) for one in places.values()) - len(self.names) * len(self.tests)
        self.facts: dict[str, Any] = {"source": released.source, "left_out": self.left_out}

    def pool(self) -> Pool:
        """The foregrounds and backgrounds of the archive's challenge."""
        return self.released.pool(self.device)

    def labels(self, test: str) -> np.ndarray:
        """The true classes: int64 [N]."""
        return self.released.labels(test)[self.rows[test]]

    def ids(self, test: str) -> tuple[str, ...]:
        """Class folder and foreground."""
        return self.names

    def batches(self, test: str, size: int) -> Iterator[Tensor]:
        """See ``TestData``. The next batch is decoded while the classifier works on this one."""
        rows = self.rows[test]
        parts = [rows[start : start + size] for start in range(0, len(rows), size)]
        with ThreadPoolExecutor(1) as ahead:
            coming = ahead.submit(self.released.images, test, parts[0])
            for part in [*parts[1:], None]:
                images = coming.result()
                if part is not None:
                    coming = ahead.submit(self.released.images, test, part)
                yield torch.from_numpy(images).to(self.device).permute(0, 3, 1, 2)


def open_test_data(
    data: Dataset | Path | str, split: str = "test", seed: int = 0, device: torch.device | str = "cpu"
) -> TestData:
    """Test images from a dataset (opened, or its folder) or from a folder in the released layout.

    ``split`` and ``seed`` are for datasets only. Raises In9Error for a folder that is neither, saying what was
    looked for.
    """
    device = torch.device(device)
    if isinstance(data, Dataset):
        return OfDataset(data, split, seed, device)
    path = Path(data)
    if (path / "manifest.json").is_file():
        return OfDataset(Dataset(path), split, seed, device)
    if path.is_dir() and Released.looks_like(path):
        return OfReleased(Released(path), device)
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
