"""The Tiny ImageNet source, archives, and what happens to files that are not as they should be."""

from __future__ import annotations

import hashlib
import io
import pickle
import tarfile
import zipfile

import numpy as np
import pytest
from PIL import Image

from in9.data.archive import Archive
from in9.data.fetch import Fetched
from in9.data.source import Example, Rejected
from in9.data.sources import open_source
from in9.data.sources.tiny_imagenet import TinyImageNet, fetch_tiny_imagenet
from in9.errors import In9Error

DOG, FISH, BUTTERFLY, BOTTLE = "n02085620", "n01443537", "n02279972", "n02823428"
IMAGES_OF_EACH = 3


def encoded(image, form="JPEG", mode="RGB", **options):
    stream = io.BytesIO()
    Image.fromarray(image).convert(mode).save(stream, form, **options)
    return stream.getvalue()


def a_picture(seed, size=64):
    """A smooth gradient, so that JPEG keeps it nearly as it is."""
    red, green, blue = np.random.default_rng(seed).integers(0, 200, 3)
    y, x = np.mgrid[:size, :size] * 55 // size
    return np.stack([red + x, green + y, blue + (x + y) // 2], axis=-1).astype(np.uint8)


def layout():
    """The files of a small Tiny ImageNet: three classes of the nine, and one that is none of them."""
    files = {"words.txt": b"", "wnids.txt": "\n".join([BOTTLE, DOG, FISH, BUTTERFLY, ""]).encode()}
    for number, wnid in enumerate((BOTTLE, DOG, FISH, BUTTERFLY)):
        lines = []
        for index in range(IMAGES_OF_EACH):
            name = f"{wnid}_{index}.JPEG"
            files[f"train/{wnid}/images/{name}"] = encoded(a_picture(10 * number + index))
            lines.append(f"{name}\t{index}\t{index + 10}\t{index + 30}\t63\n")
        files[f"train/{wnid}/{wnid}_boxes.txt"] = "".join(lines).encode()
    annotations = []
    for index, wnid in enumerate((FISH, BOTTLE, DOG)):
        files[f"val/images/val_{index}.JPEG"] = encoded(a_picture(100 + index))
        annotations.append(f"val_{index}.JPEG\t{wnid}\t0\t0\t63\t62\n")
    files["val/val_annotations.txt"] = "".join(annotations).encode()
    return files


def write_folder(files, root):
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root


def write_zip(files, path, prefix="tiny-imagenet-200/", method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.mkdir(prefix.rstrip("/"))
        for name, content in files.items():
            archive.writestr(prefix + name, content)
    return path


def with_files(tmp_path, **replaced):
    """A source on the small layout with some files replaced; None removes one."""
    files = layout() | {name: content for name, content in replaced.items() if content is not None}
    for name, content in replaced.items():
        if content is None:
            del files[name]
    return TinyImageNet(write_folder(files, tmp_path / "tiny"))


FIRST_DOG = f"train/{DOG}/images/{DOG}_0.JPEG"


def read_first_dog(tmp_path, content):
    source = with_files(tmp_path, **{FIRST_DOG: content})
    example = next(example for example in source.examples() if example.id == FIRST_DOG)
    return source.read(example)


# ---- the layout ------------------------------------------------------------------------------------------------------


def test_folder_parent_and_zip_give_the_same(tmp_path):
    write_folder(layout(), tmp_path / "here" / "tiny-imagenet-200")
    sources = [
        TinyImageNet(tmp_path / "here" / "tiny-imagenet-200"),
        TinyImageNet(str(tmp_path / "here")),
        TinyImageNet(write_zip(layout(), tmp_path / "tiny.zip")),
        open_source("tiny-imagenet", archive=write_zip(layout(), tmp_path / "bare.zip", prefix="./")),
    ]
    first = sources[0].examples()
    for source in sources[1:]:
        assert source.examples() == first and source.settings() == sources[0].settings() == {}
        for example in first:
            photo, other = sources[0].read(example), source.read(example)
            assert np.array_equal(photo.image, other.image) and photo.box == other.box == example.box


def test_examples(tmp_path):
    source = with_files(tmp_path)
    examples = source.examples()
    assert len(examples) == 3 * IMAGES_OF_EACH + 2  # the bottle is none of the nine
    assert [example.id for example in examples] == sorted(example.id for example in examples)
    assert {(example.fine, example.label) for example in examples} == {(DOG, 0), (BUTTERFLY, 5), (FISH, 8)}
    assert all(example.split is None for example in examples)
    by_id = {example.id: example for example in examples}
    assert by_id[f"train/{DOG}/images/{DOG}_2.JPEG"].box == (2, 12, 33, 64)  # the far ends become exclusive
    assert by_id["val/images/val_0.JPEG"] == Example("val/images/val_0.JPEG", 8, FISH, (0, 0, 64, 63))
    photo = source.read(examples[0])
    assert photo.image.shape == (64, 64, 3) and photo.image.dtype == np.uint8 and photo.mask is None
    number = 11  # the second picture of the second class of the layout
    photo = source.read(by_id[f"train/{DOG}/images/{DOG}_1.JPEG"])
    assert np.abs(photo.image.astype(int) - a_picture(number)).mean() < 4


def test_a_source_goes_to_other_processes(tmp_path):
    source = TinyImageNet(write_zip(layout(), tmp_path / "tiny.zip"))
    example = source.examples()[0]
    again = pickle.loads(pickle.dumps(source))
    assert np.array_equal(again.read(example).image, source.read(example).image)


@pytest.mark.parametrize(
    "ends", ["", "\t3\t4\t50", "\t3\t4\t50\t60\t70", "\t3\t4\tfifty\t60", "\t3\t4\t5.5\t60", "\t--3\t4\t50\t60"]
)
def test_a_malformed_box_line_is_no_box(tmp_path, ends):
    source = with_files(
        tmp_path,
        **{
            f"train/{DOG}/{DOG}_boxes.txt": f"{DOG}_0.JPEG{ends}\n\n{DOG}_1.JPEG\t1\t2\t3\t4\n".encode(),
            "val/val_annotations.txt": f"val_0.JPEG\nval_2.JPEG\t{DOG}{ends}\n\n".encode(),
        },
    )
    boxes = {example.id: example.box for example in source.examples() if example.label == 0}
    assert boxes == {
        FIRST_DOG: None,
        f"train/{DOG}/images/{DOG}_1.JPEG": (1, 2, 4, 5),
        "val/images/val_2.JPEG": None,
    }
    assert source.read(Example(FIRST_DOG, 0, DOG)).box is None


def test_not_the_layout(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(In9Error, match=r"not Tiny ImageNet-200: looked for wnids.txt, .*val_annotations.txt"):
        TinyImageNet(tmp_path / "empty")
    with pytest.raises(In9Error, match=r"not Tiny ImageNet-200"):
        TinyImageNet(write_zip({"readme.txt": b"hello"}, tmp_path / "other.zip"))
    with pytest.raises(In9Error, match=r"no readable val/val_annotations.txt"):
        with_files(tmp_path, **{"val/val_annotations.txt": None}).examples()
    only_bottles = {"wnids.txt": BOTTLE.encode(), "val/val_annotations.txt": b""}
    with pytest.raises(In9Error, match="holds no class of the nine"):
        TinyImageNet(write_folder(only_bottles, tmp_path / "bottles")).examples()
    with pytest.raises(In9Error, match=r"no readable wnids.txt"):
        TinyImageNet(write_folder({"wnids.txt": b"\xff\xfe\x00"}, tmp_path / "binary")).examples()


def test_missing_and_truncated_archives(tmp_path):
    with pytest.raises(In9Error, match=r"no archive or folder .*nowhere.zip"):
        TinyImageNet(tmp_path / "nowhere.zip")
    whole = write_zip(layout(), tmp_path / "tiny.zip").read_bytes()
    for share in (0, 0.3, 0.99):
        (tmp_path / "cut.zip").write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(In9Error, match=r"not a whole zip archive.*truncated"):
            TinyImageNet(tmp_path / "cut.zip")
    with tarfile.open(tmp_path / "tiny.tar.gz", "w:gz") as tape:
        tape.add(tmp_path / "tiny.zip", "tiny.zip")
    with pytest.raises(In9Error, match="is a tar archive; unpack it and give the folder"):
        TinyImageNet(tmp_path / "tiny.tar.gz")


def test_archive(tmp_path):
    for archive in (
        Archive(write_zip(layout(), tmp_path / "tiny.zip", prefix="a/")),
        Archive(write_folder(layout(), tmp_path / "folder" / "a").parent),
    ):
        assert archive.names() == archive.names("a") == sorted(f"a/{name}" for name in layout())
        assert archive.names("a/val/images") == [f"a/val/images/val_{index}.JPEG" for index in range(3)]
        assert archive.names("a/va") == archive.names("b") == [] and archive.folders() == ["a"]
        assert archive.has_folder("a/val/images") and archive.has_folder("a") and archive.has_folder("")
        assert not any(archive.has_folder(name) for name in ("a/va", "b", "a/wnids.txt", "a/val/images/val_0.JPEG"))
        assert archive.text("a/wnids.txt").split()[0] == BOTTLE
        with pytest.raises(KeyError):
            archive.bytes("a/nothing.txt")
        with pytest.raises(In9Error, match=r"no readable a/nothing.txt"):
            archive.text("a/nothing.txt")
        with pytest.raises(Rejected, match="missing"):
            archive.image("a/nothing.JPEG")


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_damaged_bytes_inside_a_zip_are_told(tmp_path, method):
    path = write_zip({"file": bytes(range(97, 117)) * 9 + b"end" * 7}, tmp_path / "one.zip", "", method)
    whole = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        packed = archive.getinfo("file").compress_size
    start = whole.index(b"file") + len(b"file")
    for place in range(start, start + packed - 2):  # the last bits of a deflated file are only its end mark
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        with pytest.raises(Rejected, match="image is missing or its bytes are damaged"):
            Archive(path).image("file")
        with pytest.raises(In9Error, match="no readable file"):
            Archive(path).text("file")


# ---- single images ---------------------------------------------------------------------------------------------------


def with_palette(image, form, **options):
    stream = io.BytesIO()
    Image.fromarray(image).quantize(16).save(stream, form, **options)
    return stream.getvalue()


def half_transparent(image):
    alpha = np.full((*image.shape[:2], 1), 128, np.uint8)
    stream = io.BytesIO()
    Image.fromarray(np.concatenate([image, alpha], axis=-1)).save(stream, "PNG")
    return stream.getvalue()


@pytest.mark.parametrize(
    ("content", "tolerance"),
    [
        (lambda image: encoded(image, quality=95), 3),
        (lambda image: encoded(image, mode="CMYK", quality=95), 6),
        (lambda image: encoded(image, "PNG"), 0),
        (half_transparent, 0),
        (lambda image: with_palette(image, "PNG"), 15),
        (lambda image: with_palette(image, "PNG", transparency=bytes(range(0, 160, 10))), 15),
        (lambda image: with_palette(image, "GIF"), 15),
    ],
    ids=["JPEG", "CMYK", "PNG", "alpha", "palette", "palette with alpha", "GIF"],
)
def test_every_kind_of_image_becomes_rgb(tmp_path, content, tolerance):
    picture = a_picture(5)
    photo = read_first_dog(tmp_path, content(picture))
    assert photo.image.shape == (64, 64, 3) and photo.image.dtype == np.uint8
    assert np.abs(photo.image.astype(int) - picture).max() <= tolerance
    assert photo.image.flags.writeable and photo.box == (0, 10, 31, 64)


@pytest.mark.parametrize(("form", "mode"), [("JPEG", "L"), ("PNG", "L"), ("PNG", "LA"), ("PNG", "1")])
def test_a_grey_image_has_three_equal_channels(tmp_path, form, mode):
    image = read_first_dog(tmp_path, encoded(a_picture(5), form, mode)).image
    assert image.shape == (64, 64, 3) and (image == image[..., :1]).all()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "image does not decode"),
        (b"this is no image", "image does not decode"),
        (encoded(a_picture(1))[:-300], "image does not decode"),
        (encoded(a_picture(1), "PNG")[:150], "image does not decode"),
        (encoded(a_picture(1), "PNG")[:60] + b"\0" * 500, "image does not decode"),
        (None, "image is missing or its bytes are damaged"),
        (encoded(a_picture(1, size=32)), "image is not 64 x 64"),
        (encoded(a_picture(1)[:63]), "image is not 64 x 64"),
    ],
    ids=["empty", "text", "cut JPEG", "cut PNG", "damaged PNG", "missing", "small", "not square"],
)
def test_an_unusable_image_is_rejected_with_its_reason(tmp_path, content, reason):
    with pytest.raises(Rejected, match=reason):
        read_first_dog(tmp_path, content)


# ---- the registry ----------------------------------------------------------------------------------------------------


def test_unknown_sources_and_options():
    with pytest.raises(In9Error) as caught:
        open_source("tiny-imagenett")
    assert "'tiny-imagenet'?" in str(caught.value) and "synthetic" in str(caught.value)
    with pytest.raises(In9Error) as caught:
        open_source("synthetic", rhoo=1)
    assert "no option 'rhoo'; it has: rho, per_class, image_size, seed." in str(caught.value)
    with pytest.raises(In9Error, match="no option 'rho'; it has: archive"):
        open_source("tiny-imagenet", rho=1)


# ---- the download ----------------------------------------------------------------------------------------------------


def test_download(tmp_path, monkeypatch):
    """How a download goes is tested in test_fetching; a file that is there and whole is not fetched again."""
    path = write_zip(layout(), tmp_path / "tiny-imagenet-200.zip")
    offline = "http://127.0.0.1:9/tiny.zip"
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    md5 = "md5:" + hashlib.md5(path.read_bytes()).hexdigest()
    assert fetch_tiny_imagenet(tmp_path, offline, md5).path == path
    with pytest.raises(In9Error, match="is there but has not the checksum sha256"):
        fetch_tiny_imagenet(tmp_path)
    with pytest.raises(In9Error, match=r"could not be fetched .*no connection.*or give it with --archive"):
        fetch_tiny_imagenet(tmp_path / "new", offline)


def test_without_an_archive_the_source_is_downloaded(tmp_path, monkeypatch):
    path = write_zip(layout(), tmp_path / "tiny.zip")
    monkeypatch.setattr("in9.data.sources.tiny_imagenet.fetch_tiny_imagenet", lambda: Fetched(path, "sha256:0"))
    assert len(TinyImageNet().examples()) == 3 * IMAGES_OF_EACH + 2
