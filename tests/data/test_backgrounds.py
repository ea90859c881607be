"""Backgrounds are recovered from pixels alone: from JPEG of several qualities, with the doubtful ones flagged."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from in9.data.backgrounds import read_backgrounds, recover_backgrounds
from in9.data.build import build
from in9.data.export import export
from in9.data.released import Released
from in9.data.sources import open_source
from in9.data.splits import Split
from in9.data.variants import MIXED
from in9.errors import In9Error

DOGS = "00_dog"


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export of 108 images of 64 pixels."""
    folder = tmp_path_factory.mktemp("backgrounds")
    source = open_source("synthetic", rho=0.8, per_class=24, image_size=64)
    made = build(source, folder / "dataset", workers=1, split=Split(test=0.5, validation=0.25), progress=False)
    return export(made, folder / "bg_challenge", progress=False)


@pytest.fixture
def copy(exported: Path, tmp_path: Path) -> Path:
    """A copy to damage; files are linked, so replace them and never write into them."""
    return shutil.copytree(exported, tmp_path / "copy", copy_function=os.link)


def as_jpeg(exported: Path, out: Path, quality: int) -> Path:
    """The export as the authors' archive is: JPEG, and names that say nothing true of the background."""
    shutil.copytree(exported / "fg_mask", out / "fg_mask")
    for path in exported.glob("*/val/*/*.png"):
        kind = path.parents[2].name
        stem = f"fg_{path.stem}_bg_nonsense" if kind in MIXED else path.stem
        target = out / path.parent.relative_to(exported) / f"{stem}.JPEG"
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.open(path).save(target, quality=quality)
    return out


def wrong(table: pd.DataFrame, exported: Path) -> pd.Series:
    """Which rows have another background than the export lists."""
    truth = read_backgrounds(exported / "backgrounds.csv")
    return pd.Series([truth[row.test][row.id] != row.background for row in table.itertuples()])


def test_an_exports_own_pixels_tell_its_backgrounds(exported: Path) -> None:
    table = recover_backgrounds(Released(exported))
    assert list(table) == ["test", "id", "background", "distance", "margin", "doubtful"]
    assert len(table) == 3 * 108 and list(table["test"].unique()) == list(MIXED)
    assert not wrong(table, exported).any()
    assert (table["distance"] == 0).all() and (table["margin"] > 1).all() and not table["doubtful"].any()


@pytest.mark.parametrize("quality", [95, 75, 50, 20, 5])
def test_backgrounds_survive_jpeg(exported: Path, tmp_path: Path, quality: int) -> None:
    table = recover_backgrounds(Released(as_jpeg(exported, tmp_path / "jpeg", quality)))
    missed = wrong(table, exported)
    assert missed.mean() <= 0.01
    assert table["doubtful"][missed].all() and table["doubtful"].mean() < 0.1
    assert (table["distance"] > 0).all() and (table["margin"] >= 0).all()


def test_two_backgrounds_that_are_alike_are_doubtful(copy: Path) -> None:
    sure = recover_backgrounds(Released(copy))
    background = sure["background"].iloc[0]
    _, *others = sorted((copy / "only_bg_t" / "val" / DOGS).iterdir())
    twin = next(path for path in others if f"{DOGS}/{path.stem}" != background)
    twin.unlink()
    shutil.copy(copy / "only_bg_t" / "val" / f"{background}.png", twin)
    table = recover_backgrounds(Released(copy))
    alike = sure["background"] == background
    assert table["doubtful"][alike].all() and (table["margin"][alike] == 0).all()
    # What was on the replaced background is on none of these now.
    lost = sure["background"] == f"{DOGS}/{twin.stem}"
    assert table["doubtful"].equals(alike | lost)


def test_an_object_that_covers_all_has_no_background(copy: Path) -> None:
    path = sorted((copy / "fg_mask" / "val" / DOGS).iterdir())[0]
    path.unlink()
    np.save(path, np.ones((64, 64), np.uint8))
    table = recover_backgrounds(Released(copy))
    covered = table["id"] == f"{DOGS}/{path.stem}"
    assert covered.sum() == 3 and (table["background"][covered] == "").all()
    assert table["doubtful"][covered].all() and table["distance"][covered].isna().all()
    assert not table["doubtful"][~covered].any()


def test_a_narrow_rim_is_enough(copy: Path) -> None:
    """Where hardly a cell is outside the mask all pixels outside it are compared."""
    released = Released(copy)
    truth = recover_backgrounds(released).query("test == 'mixed_rand'")
    path = sorted((copy / "fg_mask" / "val" / DOGS).iterdir())[0]
    rim = np.ones((64, 64), np.uint8)
    rim[:, 0] = 0
    path.unlink()
    np.save(path, rim)
    table = recover_backgrounds(Released(copy)).query("test == 'mixed_rand'")
    assert table["background"].tolist() == truth["background"].tolist()


def test_masks_of_other_images_are_refused(copy: Path) -> None:
    names = sorted((copy / "fg_mask" / "val").glob("*/*.npy"))
    masks = [np.load(path) for path in names]
    for path, mask in zip(names, masks[1:] + masks[:1], strict=True):
        path.unlink()
        np.save(path, mask)
    with pytest.raises(In9Error, match=r"are not those of its mixed_same images.*of one archive"):
        recover_backgrounds(Released(copy))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda path: [shutil.rmtree(path / kind) for kind in MIXED], "has no mixed images; looked for mixed_same"),
        (lambda path: shutil.rmtree(path / "only_bg_t"), "has no only_bg_t/val"),
        (lambda path: shutil.rmtree(path / "fg_mask"), "has no fg_mask/val"),
        (
            lambda path: sorted((path / "fg_mask" / "val" / DOGS).iterdir())[0].unlink(),
            f"{DOGS}/.* has no file under fg_mask",
        ),
    ],
)
def test_what_it_needs(copy: Path, change: Callable[[Path], object], message: str) -> None:
    change(copy)
    with pytest.raises(In9Error, match=message):
        recover_backgrounds(Released(copy))


def test_the_command_writes_a_table_that_is_read_again(run, copy: Path, exported: Path, tmp_path: Path) -> None:
    (copy / "backgrounds.csv").unlink()
    status, out, err = run("backgrounds", copy)
    assert status == 0 and "mixed_rand: 108 images, 0 doubtful" in out and "comparing" in err
    assert read_backgrounds(copy / "recovered_backgrounds.csv") == read_backgrounds(exported / "backgrounds.csv")
    assert Released(copy).source == "released"  # the table does not make it an export
    for words, message in (
        ((tmp_path / "nowhere",), "is not the authors' test set"),
        ((copy, "--csv", tmp_path / "no" / "table.csv"), "give a file name in a folder that exists"),
    ):
        status, _, err = run("backgrounds", *words)
        assert status == 2 and message in err and err.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "cannot be read as a table of backgrounds"),
        ("", "cannot be read as a table of backgrounds"),
        ("test,id\n", "has no column 'background'"),
        ("test,id,background\nmixed_rand,a,b\nmixed_rand,a,c\n", "two backgrounds for a of mixed_rand"),
    ],
)
def test_a_table_that_will_not_do(tmp_path: Path, text: str | None, message: str) -> None:
    path = tmp_path / "table.csv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(In9Error, match=message):
        read_backgrounds(path)


def test_the_doubtful_are_left_out_when_a_table_is_read(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("test,id,background,doubtful\nmixed_rand,a,b,True\nmixed_rand,c,d,False\n")
    assert read_backgrounds(path) == {"mixed_rand": {"c": "d"}}
