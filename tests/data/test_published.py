"""Published masks: a dataset built from them is the same to the byte, and a file that will not do is one sentence."""

from __future__ import annotations

import gzip
import json
import os
import random
from pathlib import Path

import numpy as np
import pytest
from pycocotools import mask as coco
from small_imagenet import BOX, DOG, annotation, folder, kaggle
from small_tiny import tiny_files, verdicts, write_tiny

from in9.data.build import build
from in9.data.masks import segment
from in9.data.published import MASKS_FILE, decoded, encoded, read_published
from in9.data.sources import open_source
from in9.data.sources.imagenet import ImageNet
from in9.data.sources.synthetic import Synthetic
from in9.data.sources.tiny_imagenet import TinyImageNet
from in9.data.splits import Split
from in9.errors import In9Error

PROJECT = Path(__file__).parents[2]
OWN = PROJECT / "records" / "tiny" / MASKS_FILE
ARCHIVE = Path(os.environ.get("IN9_TINY", PROJECT.parent / "shared" / "data" / "tiny-imagenet-200.zip"))
FOLDS = Split(test=0.0, validation=0.0, folds=2)


def made(source, out, **options):
    return build(source, out, **({"workers": 1, "progress": False} | options))


def content(path):
    return {file.name: file.read_bytes() for file in path.iterdir()}


def refuse(*arguments, **options):
    raise AssertionError("this is published, and was to be taken from there")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A small Tiny ImageNet, with its archive, built by GrabCut."""
    root = tmp_path_factory.mktemp("tiny")
    archive = write_tiny(tiny_files(), root / "tiny.zip")
    return archive, made(TinyImageNet(archive), root / "built", split=FOLDS, seed=3)


def altered(tiny, path, change):
    """The published file of the small dataset after ``change`` of its content."""
    text = json.loads(gzip.decompress((tiny[1].path / MASKS_FILE).read_bytes()))
    change(text)
    path.write_bytes(gzip.compress(json.dumps(text).encode()))
    return path


# ---- the same dataset ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 2])
def test_masks_seed_and_folds_are_taken(tiny, tmp_path, monkeypatch, workers):
    archive, built = tiny
    assert {"fold0", "fold1"} == set(built.table["split"]) and built.table["accepted"].all()
    assert set(built.table["rejected"]) == {"", "background kept", "not looked at"}
    monkeypatch.setattr("in9.data.masks.segment", refuse)
    monkeypatch.setattr("in9.data.build.deal_into_folds", refuse)
    again = made(TinyImageNet(archive), tmp_path / "again", masks=built.path / MASKS_FILE, workers=workers)
    assert content(again.path) == content(built.path) and again.hash == built.hash
    assert read_published(built.path / MASKS_FILE).hash == built.hash


def test_what_was_said_of_the_masks_is_taken_even_if_it_is_all_good(tmp_path):
    source = TinyImageNet(write_tiny(tiny_files(bad=0, unknown=0), tmp_path / "tiny.zip"))
    built = made(source, tmp_path / "built", split=FOLDS)
    assert (built.table["rejected"] == "").all()
    again = made(source, tmp_path / "again", masks=built.path / MASKS_FILE)
    assert content(again.path) == content(built.path)


@pytest.mark.parametrize("balance", [True, False])
def test_masks_of_larger_images_are_published_at_their_own_size(tmp_path, monkeypatch, balance):
    files = kaggle(training=5, tests=2)
    box, image = f"ILSVRC/Annotations/CLS-LOC/train/{DOG}/{DOG}_{{}}.xml", f"ILSVRC/Data/CLS-LOC/train/{DOG}/{DOG}_{{}}"
    files[box.format(0)] = annotation(BOX, BOX)
    files[box.format(1)] = annotation((5, 0, 55, 44))
    files[image.format(2) + ".JPEG"] = b"no image"
    source = ImageNet(folder(files, tmp_path / "files"), image_size=32, balance=balance)
    built = made(source, tmp_path / "built")
    published = read_published(built.path / MASKS_FILE)
    example = next(example for example in source.examples() if example.id == f"train/{DOG}/{DOG}_3")
    mask = segment(source.read(example).image, BOX, example.id)
    assert mask.shape == (44, 60) and np.array_equal(published.mask(example.id), mask)
    assert published.mask(f"train/{DOG}/{DOG}_1") is None and f"train/{DOG}/{DOG}_2" not in published.images
    assert published.images[f"train/{DOG}/{DOG}_1"].box == (5, 0, 55, 44)

    monkeypatch.setattr("in9.data.masks.segment", refuse)
    again = made(source, tmp_path / "again", masks=built.path / MASKS_FILE)
    assert content(again.path) == content(built.path) and again.hash == built.hash
    assert {"examples.csv", "images.npy", "masks.npy", "tiles.npy", MASKS_FILE} < content(again.path).keys()
    assert again.manifest["unusable"] == built.manifest["unusable"] != []

    content_of_file = json.loads(gzip.decompress((built.path / MASKS_FILE).read_bytes()))
    assert content_of_file["settings"]["rules"].pop("attempts") == 3
    older = tmp_path / "older.gz"  # from before attempts were a setting: eleven
    older.write_bytes(gzip.compress(json.dumps(content_of_file).encode()))
    last = made(source, tmp_path / "last", masks=older)
    assert "attempts" not in last.manifest["rules"] and last.hash == built.hash


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_the_masks_are_read_by_other_programs(tiny):
    archive, built = tiny
    text = json.loads(gzip.decompress((built.path / MASKS_FILE).read_bytes()))
    for row, (counts, size) in enumerate(zip(text["images"]["mask"], text["images"]["size"], strict=True)):
        mask = coco.decode({"size": size, "counts": counts})
        assert np.array_equal(mask.astype(bool), built.masks[row])
    assert text["ids"] == built.table["id"].tolist() and str(archive.parent) not in json.dumps(text)


@pytest.mark.parametrize("shape", [(1, 1), (5, 9), (64, 64), (300, 200)])
def test_encoded_and_decoded(shape):
    rng = np.random.default_rng(0)
    for mask in (rng.random(shape) < 0.3, np.zeros(shape, bool), np.ones(shape, bool)):
        again = decoded(encoded(mask), shape)
        assert again.dtype == bool and np.array_equal(again, mask)


# ---- files that will not do ------------------------------------------------------------------------------------------


def test_a_file_that_cannot_be_read(tiny, tmp_path):
    whole = (tiny[1].path / MASKS_FILE).read_bytes()
    path = tmp_path / MASKS_FILE
    with pytest.raises(In9Error, match=r"There is no file .*masks.json.gz; check the path"):
        read_published(path)
    with pytest.raises(In9Error, match=r"cannot be read \(Is a directory\)"):
        read_published(tmp_path)
    for damage, message in (
        (b"text", "cannot be read .*Not a gzipped file.*expected a published"),
        (b"", "is damaged, or no published"),
        (whole[: len(whole) // 2], "is damaged, or no published"),
        (whole[:60] + bytes(60) + whole[120:], "is damaged, or no published"),
        (gzip.compress(b"\xff"), "is damaged, or no published"),
        (gzip.compress(b"[" * 100_000), "is damaged, or no published"),
    ):
        path.write_bytes(damage)
        with pytest.raises(In9Error, match=message):
            read_published(path)


CHANGES = {
    "a setting is missing": lambda text: text["settings"].pop("seed"),
    "a setting of another type": lambda text: text["settings"].update(source_settings=3),
    "another split": lambda text: text["settings"]["split"].update(more=1),
    "a split that cannot be": lambda text: text["settings"]["split"].update(folds=1),
    "no images": lambda text: text.pop("images"),
    "a column is missing": lambda text: text["images"].pop("box"),
    "a column is short": lambda text: text["images"]["box"].pop(),
    "too few ids": lambda text: text["ids"].pop(),
    "a number for an id": lambda text: text["ids"].__setitem__(0, 3),
    "a size of one number": lambda text: text["images"]["size"].__setitem__(0, [64]),
    "a box of three numbers": lambda text: text["images"]["box"].__setitem__(0, [1, 2, 3]),
    "a box of text": lambda text: text["images"]["box"].__setitem__(0, "1234"),
    "a mask without a box": lambda text: text["images"]["box"].__setitem__(0, None),
    "a mask and a reason": lambda text: text["images"]["reason"].__setitem__(0, "box is empty"),
    "neither mask nor reason": lambda text: text["images"]["mask"].__setitem__(0, ""),
    "a mask of no text": lambda text: text["images"]["mask"].__setitem__(0, [1]),
    "a fold that is not there": lambda text: text["images"]["split"].__setitem__(0, "fold2"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_file_of_another_shape(tiny, tmp_path, change):
    with pytest.raises(In9Error, match=r"other.gz is damaged, or no published masks.json.gz; fetch it again"):
        read_published(altered(tiny, tmp_path / "other.gz", change))


@pytest.mark.parametrize("text", ["[]", "3", "null", "{}", '{"format": 1}', '{"format": 1, "settings": []}'])
def test_a_file_of_other_json(tmp_path, text):
    path = tmp_path / "other.gz"
    path.write_bytes(gzip.compress(text.encode()))
    with pytest.raises(In9Error, match=r"other.gz is damaged, or no published masks.json.gz; fetch it again"):
        read_published(path)


def test_a_file_of_another_version(tiny, tmp_path):
    with pytest.raises(In9Error, match="has version 2 of the format, this program reads 1; fetch another"):
        read_published(altered(tiny, tmp_path / "other.gz", lambda text: text.update(format=2, images=[])))


def test_a_file_for_another_source(tiny, tmp_path):
    archive, built = tiny
    with pytest.raises(In9Error, match=r"for source 'tiny-imagenet', and this is 'synthetic'; give the file of this"):
        made(Synthetic(per_class=8), tmp_path / "out", masks=built.path / MASKS_FILE)
    rules = altered(tiny, tmp_path / "rules.gz", lambda text: text["settings"]["rules"]["test"].update(inside=0.9))
    with pytest.raises(In9Error, match="was published for rules"):
        made(TinyImageNet(archive), tmp_path / "out", masks=rules)
    source = ImageNet(folder(kaggle(), tmp_path / "files"), image_size=32)
    other = made(ImageNet(tmp_path / "files", image_size=32, balance=False), tmp_path / "other")
    with pytest.raises(In9Error, match=r"was published for source_settings .*'balance': False.*'balance': True"):
        made(source, tmp_path / "out", masks=other.path / MASKS_FILE)
    assert not list(tmp_path.glob("out*"))


def shortened(counts):
    """An encoding that ends before its image does."""
    return encoded(decoded(counts, (64, 64))[:, :40])


@pytest.mark.parametrize("damage", [shortened, lambda counts: "zzzz" + counts, lambda counts: "\N{EURO SIGN}"])
def test_a_damaged_mask(tiny, tmp_path, damage):
    def change(text):
        text["images"]["mask"][7] = damage(text["images"]["mask"][7])

    archive, built = tiny
    masks = altered(tiny, tmp_path / "other.gz", change)
    with pytest.raises(In9Error, match=rf"The mask of {built.table['id'][7]} in .*other.gz is damaged; fetch the file"):
        made(TinyImageNet(archive), tmp_path / "out", masks=masks)
    assert not (tmp_path / "out").exists()


# ---- masks of other images -------------------------------------------------------------------------------------------


def changed(tmp_path, changes):
    """The small Tiny ImageNet after changes of its files; None removes one from the list of boxes."""
    files = tiny_files()
    for name, new in changes.items():
        if new is None:
            folder, _, file = name.partition("/images/")
            listing = f"{folder}/{folder.rpartition('/')[2]}_boxes.txt"
            lines = [line for line in files[listing].decode().splitlines() if not line.startswith(f"{file}\t")]
            files[listing] = "\n".join(lines).encode()
        else:
            files[name] = new
    return TinyImageNet(write_tiny(files, tmp_path / "changed.zip"))


def sentence_of(source, out, masks, **options):
    with pytest.raises(In9Error) as caught:
        made(source, out, masks=masks, **options)
    assert not out.exists()
    return str(caught.value)


@pytest.mark.parametrize("workers", [1, 2])
def test_the_first_other_image_is_named(tiny, tmp_path, monkeypatch, workers):
    monkeypatch.setattr("in9.data.build.BLOCK", 8)
    ids = tiny[1].table["id"].tolist()
    assert ids == sorted(ids)
    another = tiny_files()[ids[0]]
    # The second is the first of its block, so that another worker meets it long before.
    source = changed(tmp_path, {ids[7]: another, ids[8]: another, ids[40]: another})
    sentence = sentence_of(source, tmp_path / "out", tiny[1].path / MASKS_FILE, workers=workers)
    assert sentence.startswith(f"{ids[7]} is another image than the one in ") and "--grabcut" in sentence


def test_images_that_are_missing(tiny, tmp_path):
    masks, ids = tiny[1].path / MASKS_FILE, tiny[1].table["id"].tolist()
    files = tiny_files()
    for changes, first, message in (
        ({ids[20]: None, ids[9]: None}, ids[9], "is in .* and not here"),
        ({ids[9]: None, ids[5]: files[ids[1]]}, ids[5], "is another image"),
        ({ids[9]: None, ids[12]: files[ids[1]]}, ids[9], "is in .* and not here"),
        ({ids[9]: b"no image"}, ids[9], r"cannot be read here \(image does not decode\)"),
    ):
        source = changed(tmp_path, changes)
        with pytest.raises(In9Error, match=f"^{first} {message}"):
            made(source, tmp_path / "out", masks=masks)
        assert not (tmp_path / "out").exists()

    def fewer(text):
        for column in (text["ids"], *text["images"].values()):
            del column[9], column[5]

    sentence = sentence_of(TinyImageNet(tiny[0]), tmp_path / "out", altered(tiny, tmp_path / "fewer.gz", fewer))
    assert sentence.startswith(f"{ids[5]} is not in {tmp_path / 'fewer.gz'}: these masks are of other images")


def test_nothing_of_a_build_with_wrong_masks_is_left(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr("in9.data.build.BLOCK", 8)
    archive, built = tiny

    def wrong(text):
        columns = text["images"]
        columns["mask"][0] = columns["mask"][1]  # of an image that is right, in a block that will be whole
        columns["checksum"][30] = "0" * 16

    masks = altered(tiny, tmp_path / "wrong.gz", wrong)
    sentence_of(TinyImageNet(archive), tmp_path / "out", masks)
    assert list((tmp_path / "out.partial").glob("block_*.npz"))
    again = made(TinyImageNet(archive), tmp_path / "out", masks=built.path / MASKS_FILE)
    assert content(again.path) == content(built.path)
    sentence_of(TinyImageNet(archive), tmp_path / "anew", masks)
    anew = made(TinyImageNet(archive), tmp_path / "anew", split=FOLDS, seed=3)
    assert content(anew.path) == content(built.path)


# ---- the project's own -----------------------------------------------------------------------------------------------


def test_the_published_masks_of_tiny_imagenet():
    published = read_published(OWN)
    settings = published.settings
    assert settings["source"] == "tiny-imagenet" and Split(**settings["split"]) == Split(0.0, 0.05, 5)
    assert len(published.images) == 23_100
    assert sum(bool(image.mask) for image in published.images.values()) == 11_444
    said = verdicts()
    splits = {image.split for image in published.images.values()}
    assert splits == {"validation", *(f"fold{fold}" for fold in range(5))}
    for name, image in published.images.items():
        verdict = said.get(name.rpartition("/")[2].removesuffix(".JPEG"), "not looked at")
        assert image.size == (64, 64)
        assert image.rejected == ("" if verdict == "good" or not image.mask else verdict)


@pytest.mark.skipif(not ARCHIVE.is_file(), reason="Tiny ImageNet is not here; IN9_TINY may say where it is")
def test_the_published_masks_are_those_of_grabcut():
    published, source = read_published(OWN), open_source("tiny-imagenet", archive=ARCHIVE)
    assert published.differs_from(source) == ""
    accepted = [example for example in source.examples() if published.images[example.id].mask]
    assert len(accepted) == 11_444
    for example in random.Random(0).sample(accepted, 20):
        photo, image = source.read(example), published.images[example.id]
        assert (photo.checksum, photo.box) == (image.checksum, image.box)
        mask = published.mask(example.id)
        assert mask is not None and np.array_equal(mask, segment(photo.image, photo.box, example.id)), example.id


def test_what_is_read_is_written_the_same(tiny, tmp_path):
    published = read_published(tiny[1].path / MASKS_FILE)
    published.write(tmp_path / "again.gz")
    assert (tmp_path / "again.gz").read_bytes() == (tiny[1].path / MASKS_FILE).read_bytes()
