"""Archives and images of the real world: each is read rightly, rejected with a reason, or one sentence."""

from __future__ import annotations

import io
import os
import random
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small_tiny import picture, tiny_files, write_tiny

from in9.data.archive import Archive
from in9.data.released import Released, fetch_released
from in9.data.source import Rejected
from in9.data.sources.tiny_imagenet import TinyImageNet
from in9.errors import In9Error


def zipped(path: Path, method: int = zipfile.ZIP_STORED, **files: bytes) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def patched(path: Path, offset: int, value: int) -> Path:
    """Change a field of each file in a zip, both where the file lies and in the list at the end."""
    content = bytearray(path.read_bytes())
    for mark, place in ((b"PK\3\4", offset), (b"PK\1\2", offset + 2)):
        at = content.find(mark)
        while at >= 0:
            content[at + place : at + place + 2] = struct.pack("<H", value)
            at = content.find(mark, at + 4)
    path.write_bytes(content)
    return path


def png(pixels: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def test_an_encrypted_zip_is_told(tmp_path: Path) -> None:
    path = patched(zipped(tmp_path / "a.zip", image=b"x"), 6, 1)
    with pytest.raises(In9Error, match=r"image in .*a\.zip is encrypted; unpack the archive and give the folder"):
        Archive(path)


@pytest.mark.parametrize("method", [9, 6, 98])  # Deflate64, imploded, PPMd
def test_a_zip_that_python_cannot_unpack_is_told(method: int, tmp_path: Path) -> None:
    path = patched(zipped(tmp_path / "a.zip", image=b"x"), 8, method)
    with pytest.raises(In9Error, match=r"image in .*a\.zip is packed in a way that Python cannot unpack; unpack"):
        Archive(path)


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_rotten_bytes_in_a_zip_are_a_rejected_image(method: int, tmp_path: Path) -> None:
    content = png(np.random.default_rng(0).integers(0, 255, (32, 32, 3), np.uint8))
    path = zipped(tmp_path / "a.zip", method, image=content)
    whole, rng = path.read_bytes(), random.Random(method)
    for _ in range(30):
        rotten = bytearray(whole)
        rotten[rng.randrange(35, len(content) - 200)] ^= rng.randrange(1, 256)
        path.write_bytes(rotten)
        os.utime(path, ns=(0, rng.randrange(10**18)))
        archive = Archive(path)
        with pytest.raises(Rejected, match="damaged"):
            archive.image("image")
        with pytest.raises(In9Error, match="holds no readable image"):
            archive.text("image")


def test_16_bits_become_8(tmp_path: Path) -> None:
    grey = np.arange(0, 65536, 256, np.uint16).reshape(16, 16)
    (tmp_path / "grey.png").write_bytes(png(grey))
    image = Archive(tmp_path).image("grey.png")
    assert image.dtype == np.uint8 and np.array_equal(image, np.repeat((grey >> 8)[..., None], 3, 2))


@pytest.mark.parametrize("kind", [np.int32, np.float32])
def test_32_bits_are_rejected(kind: type, tmp_path: Path) -> None:
    Image.fromarray(np.ones((4, 4), kind)).save(tmp_path / "a.tiff")
    with pytest.raises(Rejected, match="32 bits"):
        Archive(tmp_path).image("a.tiff")


@pytest.mark.parametrize("name", ["../secret", "a/../../secret", "{root}/secret", "pipe", "folder", "a\0b", "x" * 300])
def test_what_is_no_file_of_the_folder_is_not_read(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "folder").mkdir(parents=True)
    (tmp_path / "secret").write_bytes(picture(0)[0])
    os.mkfifo(folder / "pipe")
    with pytest.raises(Rejected, match="missing"):
        Archive(folder).image(name.format(root=tmp_path))


def test_a_listing_may_not_name_a_file_outside(tmp_path: Path) -> None:
    folder = tmp_path / "tiny"
    for name, content in tiny_files().items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    (tmp_path / "secret.JPEG").write_bytes(picture(0)[0])
    listing = next(folder.glob("train/*/*_boxes.txt"))
    listing.write_text("../../../../secret.JPEG\t1\t1\t30\t30\n")
    source = TinyImageNet(folder)
    (outside,) = [example for example in source.examples() if "secret" in example.id]
    with pytest.raises(Rejected, match="missing"):
        source.read(outside)


def test_a_pipe_in_place_of_an_archive_is_told(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.zip")
    with pytest.raises(In9Error, match=r"pipe\.zip is neither a zip archive nor a folder"):
        Archive(tmp_path / "pipe.zip")


def test_names_that_are_not_utf_8_are_told(tmp_path: Path) -> None:
    try:
        (tmp_path / os.fsdecode(b"caf\xe9.JPEG")).write_bytes(b"")
    except OSError:
        pytest.skip("this file system has no such names")
    with pytest.raises(In9Error, match=r"The name of 'caf\\udce9\.JPEG' in .* is not UTF-8; rename the file"):
        Archive(tmp_path).names()


def test_a_released_set_ignores_what_is_no_file(tmp_path: Path) -> None:
    from in9.data.released import FOLDERS

    for folder in FOLDERS:
        place = tmp_path / "original" / "val" / folder
        place.mkdir(parents=True)
        (place / "a.png").write_bytes(png(np.zeros((8, 8, 3), np.uint8)))
        (place / "b.JPEG").mkdir()
        os.mkfifo(place / "c.JPEG")
    assert len(Released(tmp_path).ids("original")) == len(FOLDERS)


def test_a_mutated_zip_is_read_or_refused(tmp_path: Path) -> None:
    path = write_tiny(tiny_files(good=1, bad=0, unknown=0), tmp_path / "tiny.zip")
    whole, rng, outcomes = path.read_bytes(), random.Random("zips"), []
    for _ in range(80):
        content = bytearray(whole)
        for _ in range(rng.choice((1, 3, 30))):
            place = rng.choice((rng.randrange(len(content)), len(content) - rng.randrange(1, min(2500, len(content)))))
            content[place : place + rng.choice((0, 1, 1, 4))] = rng.randbytes(rng.choice((0, 1, 4)))
        path.write_bytes(content)
        os.utime(path, ns=(0, rng.randrange(10**18)))
        try:
            source = TinyImageNet(path)
            for example in source.examples():
                try:
                    assert source.read(example).image.shape == (64, 64, 3)
                except Rejected as rejection:
                    assert str(rejection)
            outcomes.append("read")
        except In9Error as error:
            assert str(error)[-1] in ".?" and "\n" not in str(error)
            outcomes.append("refused")
    assert {"read", "refused"} <= set(outcomes)


@pytest.mark.parametrize("damage", ["encrypted", "deflate64", "rotten"])
def test_a_download_that_cannot_be_unpacked_is_told(damage: str, tmp_path: Path) -> None:
    archive = zipped(tmp_path / "data.zip", zipfile.ZIP_LZMA, a=random.Random(0).randbytes(2000))
    if damage == "rotten":
        content = bytearray(archive.read_bytes())
        content[400:900] = bytes(500)
        archive.write_bytes(content)
    else:
        patched(archive, *((6, 1) if damage == "encrypted" else (8, 9)))
    with pytest.raises(In9Error, match=r"data\.zip is not a whole archive; remove it and fetch it again"):
        fetch_released(tmp_path / "out", url="https://example.org/data.zip", progress=False)
    assert {path.name for path in tmp_path.iterdir()} == {"data.zip"}
