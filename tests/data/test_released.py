"""The authors' layout is read as it is: pixels, ids and masks, and one sentence for whatever is not as it should be."""

from __future__ import annotations

import os
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from in9.data.released import Released
from in9.data.sources import open_source
from in9.data.variants import MIXED, VARIANTS, compose, draw_backgrounds, load_pool
from in9.errors import In9Error
from in9.taxonomy import CLASSES

FOLDERS = [coarse.folder for coarse in CLASSES]
DOGS, CARS = FOLDERS[0], FOLDERS[2]


@pytest.fixture(scope="module")
def released(exported):
    return Released(exported)


@pytest.fixture
def copy(exported, tmp_path):
    """A copy to damage; files are linked, so replace them and never write into them."""
    return shutil.copytree(exported, tmp_path / "copy", copy_function=os.link)


def replace(path, content):
    path.unlink()
    path.write_bytes(content)


def authors(root, count=2, size=20):
    """A small test set as the authors name it: JPEG, two ids in a mixed image's name, the second one nonsense."""
    for folder_number, folder in enumerate(FOLDERS):
        for variant in (*VARIANTS, "fg_mask"):
            place = root / variant / "val" / folder
            place.mkdir(parents=True)
            for number in range(count):
                name = f"n0000000{folder_number}_{number:05d}"
                if variant == "fg_mask":
                    mask = np.zeros((size, size), dtype=np.int64)
                    mask[3:9, 4 : 10 + number] = 1
                    np.save(place / f"{name}.npy", mask)
                    continue
                name = f"fg_{name}_bg_n99999999_0000{number}" if variant in MIXED else name
                grey = 10 * folder_number + VARIANTS.index(variant) + 100 * number
                Image.new("RGB", (size, size), (grey,) * 3).save(place / f"{name}.JPEG", quality=100)
    return root


# ---- our own export --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", VARIANTS)
def test_images_are_what_was_composed(dataset, released, variant):
    pool = load_pool(dataset, "test")
    drawn = draw_backgrounds(variant, pool, 0)[0] if variant in MIXED else None
    wanted = compose(variant, pool, torch.arange(len(pool)), drawn).permute(0, 2, 3, 1).numpy()
    names = [f"{FOLDERS[label]}/{name}" for label, name in zip(pool.labels.tolist(), pool.ids, strict=True)]
    rows = [names.index(name) for name in released.ids(variant)]
    images = released.images(variant, range(len(pool)))
    assert images.dtype == np.uint8 and np.array_equal(images, wanted[rows])
    assert released.labels(variant).dtype == np.int64
    assert np.array_equal(released.labels(variant), pool.labels.numpy()[rows])
    assert np.array_equal(released.images(variant, [5, 0, 5]), images[[5, 0, 5]])
    assert released.images(variant, []).shape == (0, 32, 32, 3)


def test_the_pool_is_the_datasets(dataset, released):
    pool, other = load_pool(dataset, "test"), released.pool()
    rows = [
        released.ids("original").index(f"{FOLDERS[label]}/{name}")
        for label, name in zip(pool.labels, pool.ids, strict=True)
    ]
    assert torch.equal(other.images[rows], pool.images) and torch.equal(other.masks[rows], pool.masks)
    assert torch.equal(other.tiles[rows], pool.tiles) and torch.equal(other.labels[rows], pool.labels)
    assert torch.equal(other.boxes[rows], pool.boxes)  # the control set's boxes are those of its masks
    for tensor, wanted in ((other.boxes, torch.int64), (other.masks, torch.bool), (other.images, torch.uint8)):
        assert tensor.dtype == wanted and tensor.is_contiguous()
    assert other.accepted and other.ids == released.ids("original") and set(other.fine) == {""}


def test_what_there_is(exported, released):
    assert released.variants == VARIANTS and released.image_size == 32 and released.folder == exported
    released.check()


def test_the_folder_its_parent_and_a_copy_are_the_same(exported, released, copy, tmp_path):
    moved = tmp_path / "somewhere" / "data"
    moved.parent.mkdir()
    copy.rename(moved)
    (tmp_path / "somewhere" / "__MACOSX").mkdir()
    for path in (exported.parent, str(exported), moved, moved.parent):
        assert Released.looks_like(path) and Released(path).hash == released.hash
    assert len(released.hash) == 16
    (moved / "original" / "val" / DOGS / "one more.png").write_bytes(b"")
    assert Released(moved).hash != released.hash


def test_a_part_of_the_variants(copy):
    for variant in ("mixed_next", "original"):
        shutil.rmtree(copy / variant)
    partial = Released(copy)
    assert partial.variants == tuple(variant for variant in VARIANTS if variant not in ("mixed_next", "original"))
    with pytest.raises(In9Error, match=r"has no original/val; it has: only_bg_b, .*fg_mask"):
        partial.labels("original")
    with pytest.raises(In9Error, match=r"no variant 'mixed_rnd'. Did you mean 'mixed_rand'"):
        partial.ids("mixed_rnd")
    with pytest.raises(In9Error, match="has no original/val"):
        partial.check()


# ---- the authors' names ----------------------------------------------------------------------------------------------


def test_the_authors_names(tmp_path):
    released = Released(authors(tmp_path))
    wanted = tuple(
        f"{folder}/n0000000{number}_{index:05d}" for number, folder in enumerate(FOLDERS) for index in range(2)
    )
    for place, variant in enumerate(VARIANTS):
        assert released.ids(variant) == wanted
        assert released.labels(variant).tolist() == [label for label in range(9) for _ in range(2)]
        grey = [10 * label + place + 100 * index for label in range(9) for index in range(2)]
        assert np.abs(released.images(variant, range(18))[:, 0, 0, 0].astype(int) - grey).max() <= 1
    pool = released.pool()
    assert pool.fine[0] == "n00000000" and pool.fine[-1] == "n00000008"
    assert pool.boxes[:2].tolist() == [[4, 3, 10, 9], [4, 3, 11, 9]]
    released.check()


def test_an_empty_mask_has_an_empty_box(copy):
    path = sorted((copy / "fg_mask" / "val" / DOGS).iterdir())[0]
    path.unlink()
    np.save(path, np.zeros((32, 32), bool))
    assert Released(copy).pool().boxes[0].tolist() == [0, 0, 0, 0]


# ---- what is not as it should be -------------------------------------------------------------------------------------


def test_not_the_layout(tmp_path, dataset):
    for path in (tmp_path, tmp_path / "nowhere", dataset.path):
        assert not Released.looks_like(path)
        with pytest.raises(In9Error, match=r"is not the authors' test set: looked for <variant>/val/00_dog/\*.JPEG"):
            Released(path)
    (tmp_path / "data.tar.gz").write_bytes(b"")
    assert not Released.looks_like(tmp_path / "data.tar.gz")
    with pytest.raises(In9Error, match=r"is a file; unpack it first, or run `in9 fetch released`"):
        Released(tmp_path / "data.tar.gz")
    with pytest.raises(In9Error, match=r"is scored as it is, not built.*in9 fetch released"):
        open_source("released")


def test_a_class_folder_is_missing(copy):
    place = copy / "only_fg" / "val" / CARS
    place.rename(place.with_name("02_wheeled_vehicle"))
    with pytest.raises(In9Error, match=r"only_fg/val has no folder '02_wheeled vehicle', with a space in its name"):
        Released(copy)
    shutil.rmtree(copy / "only_bg_b" / "val" / DOGS)
    with pytest.raises(In9Error, match="only_bg_b/val has no folder '00_dog'; all nine"):
        Released(copy)
    (copy / "only_bg_b" / "val" / DOGS).mkdir()
    with pytest.raises(In9Error, match=r"00_dog holds no file with the ending .jpeg or .jpg or .png"):
        Released(copy)


@pytest.mark.parametrize("kind", ["original", "only_bg_t", "fg_mask"])
def test_what_the_challenge_needs(copy, kind):
    whole = Released(copy)
    place = copy / kind / "val" / DOGS
    gone = sorted(place.iterdir())[1]
    gone.unlink()
    message = rf"{DOGS}/{gone.stem} in .* has a file under \w+ but none under {kind}"
    with pytest.raises(In9Error, match=message):
        Released(copy).pool()
    with pytest.raises(In9Error, match=r"is not whole: \w+ has \d files of 00_dog, original has \d"):
        Released(copy).check()
    shutil.rmtree(copy / kind)
    with pytest.raises(In9Error, match=f"has no {kind}/val"):
        Released(copy).pool()
    assert len(whole.ids(kind)) == 36  # listed when it was opened


def test_check_finds_a_mask_of_another_image(copy):
    mask = sorted((copy / "fg_mask" / "val" / DOGS).iterdir())[0]
    mask.rename(mask.with_name("another.npy"))
    with pytest.raises(In9Error, match=r"00_dog/another in .* has a file under fg_mask but none under original"):
        Released(copy).check()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda path: replace(path, b"no image"), r"cannot be used \(image does not decode\)"),
        (lambda path: replace(path, path.read_bytes()[:-40]), r"cannot be used \(image does not decode\)"),
        (lambda path: Image.new("RGB", (32, 30)).save(path), "is 32 x 30 pixels, others are 32 x 32"),
    ],
)
def test_an_image_that_will_not_do_is_named(copy, change, message):
    path = sorted((copy / "no_fg" / "val" / CARS).iterdir())[2]
    keep = path.read_bytes()
    replace(path, keep)  # now a file of its own
    change(path)
    released = Released(copy)
    row = released.ids("no_fg").index(f"{CARS}/{path.stem}")
    assert len(released.images("no_fg", range(row))) == row
    with pytest.raises(In9Error, match=f"no_fg/val/{CARS}/{path.name} in .*{message}"):
        released.images("no_fg", range(36))


def test_images_that_are_not_square(tmp_path):
    for folder in FOLDERS:
        place = tmp_path / "original" / "val" / folder
        place.mkdir(parents=True)
        Image.new("RGB", (20, 10)).save(place / "one.png")
    with pytest.raises(In9Error, match=r"one.png in .* is 20 x 10 pixels, not square"):
        Released(tmp_path)


def half(mask):
    return mask[:16]


@pytest.mark.parametrize("change", [half, lambda mask: mask * 2, lambda mask: mask[..., None], lambda mask: None])
def test_a_mask_that_will_not_do_is_named(copy, change):
    path = sorted((copy / "fg_mask" / "val" / CARS).iterdir())[0]
    changed = change(np.load(path))
    path.unlink()
    if changed is None:
        path.write_bytes(b"")
    else:
        np.save(path, changed)
    with pytest.raises(In9Error, match=f"{path.name} in .* is not a (mask: it must|readable array)"):
        Released(copy).pool()
