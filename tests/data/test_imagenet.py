"""The ImageNet source: its layouts, its boxes and the reasons against them, its splits and its balance."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections import Counter

import numpy as np
import pytest
from PIL import Image
from small_imagenet import (
    BOTTLE,
    BOX,
    DOG,
    HEIGHT,
    WIDTH,
    WNIDS,
    annotation,
    folder,
    kaggle,
    picture,
    torchvision,
)

from in9.data.archive import Archive
from in9.data.build import build
from in9.data.source import Example, Rejected, balanced
from in9.data.sources import open_source
from in9.data.sources.imagenet import ImageNet
from in9.errors import In9Error
from in9.taxonomy import CLASS_NAMES, NUM_CLASSES, label_of_wnid


def packed(files, path):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def apart(files, root):
    """The same files as a folder of images and a folder of box files."""
    folder({name: content for name, content in files.items() if name.endswith(".JPEG")}, root / "images")
    folder({name: content for name, content in files.items() if not name.endswith(".JPEG")}, root / "boxes")
    return ImageNet(root / "images", boxes=root / "boxes")


def of_one(tmp_path, content=None, xml=None):
    """A source of one dog; either file can be replaced."""
    files = {f"train/{DOG}/{DOG}_0.JPEG": picture(0) if content is None else content}
    files[f"Annotations/train/{DOG}/{DOG}_0.xml"] = annotation(BOX) if xml is None else xml
    return ImageNet(folder(files, tmp_path / "one"), test_on="train", balance=False)


ONE = Example(f"train/{DOG}/{DOG}_0", 0, DOG, split="test")


# ---- layouts ---------------------------------------------------------------------------------------------------------


LAYOUTS = {
    "Kaggle": lambda root: ImageNet(folder(kaggle(), root)),
    "Kaggle without labels": lambda root: ImageNet(folder(kaggle(solution=False), root)),
    "Kaggle below": lambda root: ImageNet(folder(kaggle(top=""), root)),
    "Kaggle's zip": lambda root: open_source("imagenet", archive=packed(kaggle(), root.with_suffix(".zip"))),
    "Kaggle, images alone": lambda root: apart(kaggle(), root),
    "torchvision": lambda root: ImageNet(folder(torchvision(), root)),
    "torchvision in a folder": lambda root: ImageNet(folder(torchvision(), root / "imagenet").parent),
    "torchvision's zip": lambda root: ImageNet(packed(torchvision(), root.with_suffix(".zip"))),
    "boxes apart": lambda root: apart(torchvision("{part}/{wnid}/"), root),
    "boxes as they unpack": lambda root: apart(
        {
            name.replace("boxes/train/", "boxes/") if "/train/" in name else name: content
            for name, content in torchvision("boxes/{part}/{wnid}/").items()
        },
        root,
    ),
    "boxes of val flat": lambda root: apart(
        {
            name.rpartition("/val/")[0] + f"/val/{name.rpartition('/')[2]}" if "b/val/" in name else name: content
            for name, content in torchvision("b/{part}/{wnid}/").items()
        },
        root,
    ),
    "Annotation/<wnid>": lambda root: ImageNet(folder(torchvision("Annotation/{wnid}/", tests=0), root), None, "train"),
}


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    return ImageNet(folder(kaggle(), tmp_path_factory.mktemp("reference")))


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_gives_the_same(tmp_path, reference, name):
    source = LAYOUTS[name](tmp_path / "imagenet")
    examples = source.examples()
    wanted = [example for example in reference.examples() if source.test_on == "val" or example.id.startswith("train/")]
    assert [(example.id, example.label, example.fine) for example in examples] == [
        (example.id, example.label, example.fine) for example in wanted
    ]
    for example in examples:
        photo = source.read(example)
        assert photo.box == BOX and photo.mask is None and photo.reason == ""
        assert np.array_equal(photo.image, reference.read(example).image)


def test_examples(reference):
    examples = reference.examples()
    assert len(examples) == 3 * NUM_CLASSES and len({example.id for example in examples}) == len(examples)
    assert [example.id for example in examples] == sorted(example.id for example in examples)
    assert Counter((example.label, example.split) for example in examples) == {
        (label, split): count for label in range(NUM_CLASSES) for split, count in (("train", 2), ("test", 1))
    }
    assert examples[0] == Example(f"train/{WNIDS[8]}/{WNIDS[8]}_0", 8, WNIDS[8], split="train")
    assert Example("val/ILSVRC2012_val_00000000", 0, DOG, split="test") in examples
    assert {example.fine for example in examples} == set(WNIDS)


def test_only_images_of_the_nine_are_looked_at(tmp_path):
    files = torchvision()
    files |= {f"train/{DOG}/images/{DOG}_9.JPEG": b"", f"train/{DOG}/readme.txt": b"", f"train/{BOTTLE}/x.JPEG": b""}
    source = ImageNet(folder(files, tmp_path))
    assert len(source.examples()) == 3 * NUM_CLASSES


def test_a_source_goes_to_other_processes(reference):
    example = reference.examples()[-1]
    again = pickle.loads(pickle.dumps(reference))
    assert np.array_equal(again.read(example).image, reference.read(example).image)


def test_a_validation_image_without_a_label_is_left_out(tmp_path):
    files = kaggle(solution=False, tests=2)
    files["ILSVRC/Annotations/CLS-LOC/val/ILSVRC2012_val_00000001.xml"] = b"<annotation>"
    del files["ILSVRC/Annotations/CLS-LOC/val/ILSVRC2012_val_00000011.xml"]
    ids = {example.id for example in ImageNet(folder(files, tmp_path), balance=False).examples()}
    assert "val/ILSVRC2012_val_00000000" in ids
    assert not ids & {"val/ILSVRC2012_val_00000001", "val/ILSVRC2012_val_00000011"}


def test_not_the_layout(tmp_path):
    (tmp_path / "empty").mkdir()
    wrong = [
        tmp_path / "empty",
        packed({"readme.txt": b""}, tmp_path / "other.zip"),
        folder({f"{DOG}/{DOG}_0.JPEG": picture(0)}, tmp_path / "inside"),
        folder({f"train/{BOTTLE}/{BOTTLE}_0.JPEG": picture(0)}, tmp_path / "bottles"),
        folder({f"train/{DOG}/images/{DOG}_0.JPEG": picture(0)}, tmp_path / "tiny"),
    ]
    for path in wrong:
        with pytest.raises(In9Error, match=r"is not ImageNet: looked for ILSVRC/Data.*Kaggle.*torchvision"):
            ImageNet(path).examples()
    with pytest.raises(In9Error, match="no archive or folder"):
        ImageNet(tmp_path / "nowhere")


def test_missing_parts(tmp_path):
    no_boxes = folder(
        {name: content for name, content in torchvision().items() if name.endswith("JPEG")}, tmp_path / "images"
    )
    with pytest.raises(In9Error, match=r"No box files of ImageNet's train images .*train/<wnid>/\*.xml .*boxes=PATH"):
        ImageNet(no_boxes).examples()
    only_train = folder(
        {name: content for name, content in torchvision().items() if "train" in name}, tmp_path / "train only"
    )
    with pytest.raises(In9Error, match="No box files of ImageNet's val images"):
        ImageNet(no_boxes, boxes=only_train / "Annotations").examples()
    with pytest.raises(In9Error, match=r"no validation images of the nine classes to test on; .* set test_on=train"):
        ImageNet(only_train).examples()
    only_val = folder(
        {name: content for name, content in torchvision().items() if "val" in name}, tmp_path / "val only"
    )
    with pytest.raises(In9Error, match=r"no training images of the nine classes to test on; .* set test_on=val"):
        ImageNet(only_val, test_on="train").examples()
    assert {example.split for example in ImageNet(only_val).examples()} == {"test"}
    no_fish = {name: content for name, content in torchvision().items() if f"train/{WNIDS[8]}" not in name}
    with pytest.raises(In9Error, match="no image of fish for the train split"):
        ImageNet(folder(no_fish, tmp_path / "no fish"), balance=False).examples()


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"test_on": "test"}, "part of ImageNet to test on 'test'"),
        ({"image_size": 0}, "image_size=0; give a whole number from 32 to 512"),
        ({"image_size": 224.0}, "image_size=224.0"),
        ({"balance": "yes"}, "balance='yes'; give True or False"),
        ({"validation": 1}, "validation=1; give a number"),
        ({"size": 224}, "no option 'size'; it has: archive, boxes, test_on"),
    ],
)
def test_options_that_do_not_exist(tmp_path, option, message):
    with pytest.raises(In9Error, match=message):
        open_source("imagenet", archive=tmp_path, **option)


# ---- boxes and images ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "box"),
    [
        ((0, 0, 60, 44), (0, 0, 60, 44)),
        ((1, 2, 3, 4), (1, 2, 3, 4)),
        ((50, 40, 61, 45), (50, 40, 60, 44)),  # counted from one, a box may end one pixel outside
        ((-3, -1, 10, 10), (0, 0, 10, 10)),
    ],
)
def test_a_box_is_clipped_to_the_image(tmp_path, given, box):
    assert of_one(tmp_path, xml=annotation(given)).read(ONE).box == box


BOMB = b"<!DOCTYPE a [<!ENTITY b 'ha'><!ENTITY c '&b;&b;'>]><annotation>&c;</annotation>"


@pytest.mark.parametrize(
    ("xml", "reason"),
    [
        (b"", "annotation is damaged"),
        (b"\xff\xfe\x00", "annotation is damaged"),
        (annotation(BOX)[:-20], "annotation is damaged"),
        (annotation(BOX).replace(b"<xmin>20", b"<xmin>twenty"), "annotation is damaged"),
        (annotation(BOX).replace(b"<xmin>20</xmin>", b""), "annotation is damaged"),
        (annotation(BOX).replace(b"<width>60</width>", b""), "annotation is damaged"),
        (BOMB, "annotation is damaged"),
        (BOMB.decode().encode("utf-16"), "annotation is damaged"),
        (annotation(BOX, size=(HEIGHT, WIDTH)), "annotated size is not the image's"),
        (annotation(BOX, BOX, size=(1, 1)), "annotated size is not the image's"),  # the sizes are looked at first
        (annotation(), "no box"),
        (annotation(BOX, (1, 1, 9, 9)), "more than one box"),
    ],
)
def test_an_image_whose_box_will_not_do_is_kept_with_the_reason(tmp_path, xml, reason):
    photo = of_one(tmp_path, xml=xml).read(ONE)
    assert photo.box is None and photo.reason == reason and photo.image.shape == (HEIGHT, WIDTH, 3)


def test_a_missing_annotation_is_a_reason(tmp_path):
    source = of_one(tmp_path)
    (tmp_path / "one" / "Annotations" / "train" / DOG / f"{DOG}_0.xml").unlink()
    assert source.read(ONE).reason == "no annotation"


@pytest.mark.parametrize("form", [("PNG", "RGB"), ("JPEG", "CMYK"), ("JPEG", "L")])
def test_pictures_of_any_kind(tmp_path, form):
    photo = of_one(tmp_path, content=picture(0, *form)).read(ONE)
    assert photo.image.shape == (HEIGHT, WIDTH, 3) and photo.box == BOX


def test_damaged_exif_data_is_no_matter(tmp_path):
    plain = picture(0)
    payload = b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + b"\0" * 20
    content = plain[:2] + b"\xff\xe1" + (len(payload) + 2).to_bytes(2, "big") + payload + plain[2:]
    with pytest.raises(UserWarning, match="Corrupt EXIF"), Image.open(io.BytesIO(content)) as opened:
        opened.getexif()
    (tmp_path / "plain").mkdir()
    wanted = of_one(tmp_path / "plain").read(ONE).image
    assert np.array_equal(of_one(tmp_path, content=content).read(ONE).image, wanted)


def test_a_picture_that_does_not_decode_is_lost(tmp_path):
    with pytest.raises(Rejected, match="image does not decode"):
        of_one(tmp_path, content=picture(0)[:-200]).read(ONE)


# ---- splits and balance ----------------------------------------------------------------------------------------------


def uneven():
    """Files with four more training pictures and three more validation pictures of dogs than of the rest."""
    files = torchvision()
    for part, numbers in (("train", range(20, 24)), ("val", range(30, 33))):
        for index in numbers:
            files[f"{part}/{DOG}/{DOG}_{index}.JPEG"] = picture(index)
            files[f"Annotations/{part}/{DOG}/{DOG}_{index}.xml"] = annotation(BOX)
    return files


def counts(examples):
    number_of = Counter((example.split, example.label) for example in examples)
    return {
        split: [number_of[split, label] for label in range(NUM_CLASSES)]
        for split in {example.split for example in examples}
    }


def test_balance_keeps_the_same_number_of_each_class(tmp_path):
    root = folder(uneven(), tmp_path)
    everything, chosen = (ImageNet(root, balance=balance).examples() for balance in (False, True))
    assert counts(everything) == {"train": [6] + [2] * 8, "test": [4] + [1] * 8}
    assert counts(chosen) == {"train": [2] * 9, "test": [1] * 9}
    assert [example for example in everything if example in chosen] == chosen
    assert chosen == ImageNet(root).examples()
    assert counts(ImageNet(root, test_on="train").examples()) == {"test": [2] * 9}


def test_which_are_kept_depends_on_ids_alone():
    ids = {"a": [f"a{index}" for index in range(40)], "b": ["b0", "b1", "b2"]}
    kept = balanced(ids)
    assert sum(identifier.startswith("a") for identifier in kept) == 3 and {"b0", "b1", "b2"} <= kept
    assert balanced({"b": ids["b"], "a": ids["a"][::-1]}) == kept != balanced(ids, seed=1)
    assert kept - set(ids["b"]) != {"a0", "a1", "a2"}  # the first ones, that is


def test_nothing_is_decoded_before_the_choice(tmp_path, monkeypatch):
    monkeypatch.setattr(Archive, "bytes", None)
    assert len(ImageNet(folder(uneven(), tmp_path)).examples()) == 3 * NUM_CLASSES


def test_a_share_of_the_training_images_for_validation(tmp_path):
    root = folder(torchvision(training=6), tmp_path)
    examples = ImageNet(root, validation=0.5).examples()
    number_of = counts(examples)
    assert set(number_of) == {"train", "validation", "test"}
    assert all(len(set(numbers)) == 1 for numbers in number_of.values())
    assert all(example.id.startswith("train/") == (example.split != "test") for example in examples)
    assert {example.split for example in ImageNet(root, test_on="train", validation=0.5).examples()} == {"test"}


# ---- datasets -----------------------------------------------------------------------------------------------------


def content(path):
    return {file.name: file.read_bytes() for file in path.iterdir()}


def made(source, out, **options):
    return build(source, out, **({"workers": 1, "progress": False} | options))


def test_every_layout_gives_the_same_dataset(tmp_path):
    dataset = made(ImageNet(folder(kaggle(), tmp_path / "kaggle"), image_size=32), tmp_path / "dataset")
    packed_source = ImageNet(packed(torchvision(), tmp_path / "all.zip"), image_size=32)
    other = made(packed_source, tmp_path / "other")
    assert content(dataset.path) == content(other.path)
    assert dataset.images.shape == dataset.tiles.shape == (27, 32, 32, 3)
    assert dataset.table["accepted"].all() and dataset.masks.any((1, 2)).all()
    options = {"test_on": "val", "balance": True, "image_size": 32, "validation": 0.0}
    assert (
        dataset.manifest["source_settings"] == options
        and str(tmp_path) not in content(dataset.path)["manifest.json"].decode()
    )
    assert {name: len(dataset.indices(name)) for name in ("train", "validation", "test")} == {
        "train": 18,
        "validation": 0,
        "test": 9,
    }


def test_every_reason_is_counted_and_the_build_goes_on(tmp_path):
    files = {
        name: content for name, content in torchvision(training=8, tests=0).items() if DOG in name or "_0." in name
    }
    box, image = f"Annotations/train/{DOG}/{DOG}_{{}}.xml", f"train/{DOG}/{DOG}_{{}}.JPEG"
    files[image.format(0)] = b"no image"
    del files[box.format(1)]
    files[box.format(2)] = annotation(BOX, size=(9, 9))
    files[box.format(3)] = annotation(BOX, BOX)
    files[box.format(4)] = annotation((5, 0, 55, 44))
    files[box.format(5)] = annotation((0, 10, 15, 40))
    files[box.format(6)] = b"<annotation"
    source = ImageNet(folder(files, tmp_path / "files"), test_on="train", balance=False, image_size=32)
    dataset = made(source, tmp_path / "out")
    outcomes = dataset.outcomes()
    assert set(outcomes["split"]) == {"test"}
    mine = outcomes[outcomes["class"] == "dog"]
    assert dict(zip(mine["outcome"], mine["count"], strict=True)) == {
        "accepted": 1,
        "image does not decode": 1,
        "no annotation": 1,
        "annotated size is not the image's": 1,
        "more than one box": 1,
        "box covers too much of the image": 1,
        "box lies outside the image or crop": 1,
        "annotation is damaged": 1,
    }
    assert dataset.manifest["unusable"][0]["id"] == f"train/{DOG}/{DOG}_0"
    assert len(dataset.indices("test", accepted=False)) == 8 + 7  # IN-9L holds what has no good box


def test_accepted_images_are_balanced_too(tmp_path):
    files = torchvision(training=4, tests=2)
    for index in range(3):
        files[f"Annotations/train/{DOG}/{DOG}_{index}.xml"] = annotation()
    root = folder(files, tmp_path / "files")
    dataset = made(ImageNet(root, image_size=32), tmp_path / "out")
    labels = dataset.table["label"].to_numpy()
    for split, number, everything in (("train", 1, 4), ("test", 2, 2)):
        assert np.bincount(labels[dataset.indices(split)]).tolist() == [number] * 9
        assert np.bincount(labels[dataset.indices(split, accepted=False)]).tolist() == [everything] * 9
    outcomes = dataset.outcomes().groupby("outcome")["count"].sum()
    assert outcomes["removed to balance the classes"] == 8 * 3 and outcomes["no box"] == 3
    removed = dataset.table[dataset.table["reason"].str.startswith("removed")]
    assert set(removed["fine"]) == set(WNIDS[1:]) and not removed["accepted"].any()
    other = made(ImageNet(root, image_size=32, balance=False), tmp_path / "all")
    assert other.table["accepted"].sum() == 1 + 8 * 4 + 9 * 2
    kept = dataset.table.loc[dataset.table["accepted"], "id"]
    again = made(ImageNet(root, image_size=32), tmp_path / "seed", seed=3).table.query("accepted")["id"]
    assert len(again) == len(kept) and set(again) != set(kept) <= set(other.table["id"])


def test_all_nine_classes_are_stood_for():
    assert [label_of_wnid()[wnid] for wnid in WNIDS] == list(range(NUM_CLASSES)) and len(CLASS_NAMES) == NUM_CLASSES
    assert BOTTLE not in label_of_wnid()
