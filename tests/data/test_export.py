"""The authors' layout: what lies where, and that it is exactly what is scored here."""

from __future__ import annotations

import csv
import errno

import numpy as np
import pytest
import torch
from PIL import Image

from in9.data import export as exporting
from in9.data.export import export
from in9.data.variants import MIXED, VARIANTS, compose, draw_backgrounds, load_pool
from in9.errors import In9Error
from in9.taxonomy import CLASSES

BESIDE = ("README.md", "backgrounds.csv", "croissant.json")
FOLDERS = [coarse.folder for coarse in CLASSES]


@pytest.fixture(scope="module")
def pool(dataset):
    return load_pool(dataset, "test")


def entries(path):
    return sorted(entry.name for entry in path.iterdir())


def test_layout(exported, pool):
    assert entries(exported) == sorted([*VARIANTS, "fg_mask", *BESIDE])
    assert entries(exported.parent) == [exported.name]  # no working folder is left
    for variant in (*VARIANTS, "fg_mask"):
        assert entries(exported / variant) == ["val"]
        folders = entries(exported / variant / "val")
        assert folders == FOLDERS  # in sorted order their numbers are the labels 0 to 8
        for label, folder in enumerate(folders):
            suffix = "npy" if variant == "fg_mask" else "png"
            ids = [name for name, own in zip(pool.ids, pool.labels.tolist(), strict=True) if own == label]
            assert entries(exported / variant / "val" / folder) == sorted(f"{name}.{suffix}" for name in ids)


def test_masks_and_images_pair_up_in_sorted_order(exported):
    for folder in FOLDERS:
        stems = [
            [path.stem for path in sorted((exported / variant / "val" / folder).iterdir())]
            for variant in ("original", "fg_mask")
        ]
        assert stems[0] == stems[1]


@pytest.mark.parametrize("variant", VARIANTS)
def test_images_are_what_is_scored(exported, pool, variant):
    drawn = draw_backgrounds(variant, pool, 0)[0] if variant in MIXED else None
    expected = compose(variant, pool, torch.arange(len(pool)), drawn).permute(0, 2, 3, 1).numpy()
    for row, name in enumerate(pool.ids):
        path = exported / variant / "val" / FOLDERS[pool.labels[row]] / f"{name}.png"
        with Image.open(path) as picture:
            assert picture.mode == "RGB" and np.array_equal(np.array(picture), expected[row])


def test_masks_are_zeros_and_ones(exported, pool):
    for row, name in enumerate(pool.ids):
        mask = np.load(exported / "fg_mask" / "val" / FOLDERS[pool.labels[row]] / f"{name}.npy")
        assert mask.dtype == np.uint8 and mask.shape == (32, 32) and set(np.unique(mask)) == {0, 1}
        assert np.array_equal(mask, pool.masks[row, 0].numpy())


def test_backgrounds_are_listed(exported, pool):
    with (exported / "backgrounds.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == len(MIXED) * len(pool)
    for variant in MIXED:
        drawn = draw_backgrounds(variant, pool, 0)[0].tolist()
        mine = {row["id"]: row["background"] for row in rows if row["test"] == variant}
        for row, other in enumerate(drawn):
            listed = mine[f"{FOLDERS[pool.labels[row]]}/{pool.ids[row]}"]
            assert listed == f"{FOLDERS[pool.labels[other]]}/{pool.ids[other]}"
    same = [row for row in rows if row["test"] == "mixed_same"]
    assert all(row["id"].partition("/")[0] == row["background"].partition("/")[0] for row in same)


def test_another_split_and_seed(dataset, exported, tmp_path):
    other = export(dataset, tmp_path / "out", split="train", seed=1, progress=False)
    names = {path.name for path in other.rglob("*.png")}
    assert len(names) == 36 and not names & {path.name for path in exported.rglob("*.png")}
    with pytest.raises(In9Error, match="no split 'val'"):
        export(dataset, tmp_path / "val", split="val")
    assert entries(tmp_path) == ["out"]


def renamed(dataset, rename):
    """The dataset with other ids, as a source with folders in its ids has them."""
    copy = type(dataset)(dataset.path)
    copy.table = dataset.table.assign(id=[rename(row) for row in range(len(dataset.table))])
    return copy


@pytest.mark.parametrize(
    ("rename", "expected"),
    [
        (lambda row: f"train/n01/images/n01_{row}.JPEG", "n01_{row}"),
        (lambda row: f"train/n01_{row}", "n01_{row}"),
        (lambda row: f"part_{row}/image.JPEG", "part_{row}_image.JPEG"),  # else they would all be called image
    ],
)
def test_names_from_ids_with_folders(dataset, tmp_path, monkeypatch, rename, expected):
    monkeypatch.setattr(exporting, "VARIANTS", ("original",))
    out = export(renamed(dataset, rename), tmp_path / "out", progress=False)
    names = {path.name for path in (out / "original" / "val").glob("*/*.png")}
    assert names == {expected.format(row=row) + ".png" for row in dataset.indices("test")}


def test_what_is_there_is_left_alone(dataset, tmp_path):
    (tmp_path / "out").mkdir()
    with pytest.raises(In9Error, match="already exists; choose a new folder or remove it"):
        export(dataset, tmp_path / "out", progress=False)
    assert entries(tmp_path) == ["out"] and entries(tmp_path / "out") == []


def test_a_stopped_export_never_looks_finished(dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(exporting, "VARIANTS", ("original",))
    out = tmp_path / "out"
    for error, raised in (
        (KeyboardInterrupt(), KeyboardInterrupt),
        (OSError(errno.ENOSPC, "No space left on device"), In9Error),
    ):

        def failing(*arguments, error=error):
            raise error

        with monkeypatch.context() as patch:
            patch.setattr(exporting.np, "save", failing)
            with pytest.raises(raised):
                export(dataset, out, progress=False)
        assert not out.exists()
    (tmp_path / "out.partial" / "left.txt").write_text("from before")
    export(dataset, out, progress=False)
    assert entries(tmp_path) == ["out"] and entries(out) == sorted([*BESIDE, "fg_mask", "original"])
