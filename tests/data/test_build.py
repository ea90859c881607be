"""Building and opening datasets: the same bytes however it goes, and never half a dataset."""

from __future__ import annotations

import errno
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from two_at_once import run_two

from in9.data import build as build_module
from in9.data.boxes import Crop, tile_image
from in9.data.build import build
from in9.data.dataset import Dataset
from in9.data.source import Example, MaskRule, Photo, Rejected
from in9.data.sources import open_source
from in9.data.splits import Split, assign_splits
from in9.data.variants import load_pool
from in9.errors import In9Error
from in9.taxonomy import CLASS_NAMES

SPLIT = Split(test=0.5, validation=0.0)  # of the two images of each finer class, one for each split
FILES = {"manifest.json", "examples.csv", "images.npy", "masks.npy"}


def small_source():
    return open_source("synthetic", per_class=8, image_size=32)


def make(source, out, **options):
    return build(source, out, **({"workers": 1, "split": SPLIT, "progress": False} | options))


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


class Altered:
    """The small source with ``change`` applied to each photo as it is read."""

    def __init__(self, change, source=None):
        self.change, self.source = change, source or small_source()
        self.name, self.image_size = self.source.name, self.source.image_size
        self.resizes, self.rule = False, self.source.rule

    def settings(self):
        return self.source.settings()

    def examples(self):
        return self.source.examples()

    def read(self, example):
        return self.change(example, self.source.read(example))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A dataset built in one go by one process: its folder's content."""
    return content(make(small_source(), tmp_path_factory.mktemp("whole") / "out").path)


# ---- what comes out --------------------------------------------------------------------------------------------------


def test_a_dataset_holds_what_its_source_gives(dataset):
    source = open_source("synthetic", rho=0.8, per_class=12, image_size=32)
    examples = source.examples()
    table = dataset.table
    assert table["id"].tolist() == [example.id for example in examples]
    assert table["label"].tolist() == [example.label for example in examples]
    assert table["fine"].tolist() == [example.fine for example in examples]
    assert dataset.images.shape == (108, 32, 32, 3) and dataset.images.dtype == np.uint8
    assert dataset.masks.shape == (108, 32, 32) and dataset.masks.dtype == bool
    assert dataset.tiles is None and dataset.image_size == 32
    for row in range(0, 108, 7):
        photo = source.read(examples[row])
        assert np.array_equal(dataset.images[row], photo.image)
        assert np.array_equal(dataset.masks[row], photo.mask)
        assert tuple(table.loc[row, ["left", "top", "right", "bottom"]]) == photo.box
    assert table["accepted"].all() and (table["reason"] == "").all()
    assert dataset.manifest["count"] == 108 and dataset.manifest["unusable"] == []
    assert dataset.manifest["classes"] == list(CLASS_NAMES)
    assert {path.name for path in dataset.path.iterdir()} == FILES
    assert [path.name for path in dataset.path.parent.iterdir()] == [dataset.path.name]  # no working folder
    dataset.verify()


def test_indices_and_outcomes(dataset):
    rows = [dataset.indices(split) for split in ("train", "validation", "test")]
    assert [len(part) for part in rows] == [36, 36, 36]
    assert sorted(np.concatenate(rows).tolist()) == list(range(108))
    outcomes = dataset.outcomes()
    assert list(outcomes.columns) == ["class", "split", "outcome", "count"]
    assert outcomes["count"].sum() == 108 and set(outcomes["outcome"]) == {"accepted"}
    with pytest.raises(In9Error, match="train, validation"):
        dataset.indices("val")


def test_no_path_in_the_manifest(dataset, whole):
    assert str(dataset.path) not in (dataset.path / "manifest.json").read_text()
    assert b"tmp" not in whole["manifest.json"]


@pytest.mark.parametrize("block", [5, 256])
def test_the_number_of_workers_and_the_blocks_make_no_difference(whole, tmp_path, monkeypatch, block):
    monkeypatch.setattr("in9.data.build.BLOCK", block)
    assert content(make(small_source(), tmp_path / "one").path) == whole


def test_three_workers_give_the_same_bytes(whole, tmp_path, monkeypatch):
    monkeypatch.setattr("in9.data.build.BLOCK", 10)
    assert content(make(small_source(), tmp_path / "three", workers=3).path) == whole


def test_seed_decides_the_split_alone(whole, tmp_path):
    other = content(make(small_source(), tmp_path / "out", seed=1).path)
    assert other["images.npy"] == whole["images.npy"] and other["masks.npy"] == whole["masks.npy"]
    assert other["examples.csv"] != whole["examples.csv"]


def test_hash_tells_contents_apart(dataset, tmp_path):
    first = make(small_source(), tmp_path / "first")
    again = make(small_source(), tmp_path / "again")
    assert first.hash == again.hash != dataset.hash and len(first.hash) == 16


def test_larger_images_are_resized_and_tiled_before(tmp_path):
    class Large(Altered):
        def __init__(self):
            super().__init__(None, open_source("synthetic", per_class=8, image_size=96))
            self.image_size, self.resizes = 32, True

        def read(self, example):
            photo = self.source.read(example)
            return Photo(photo.image[:80], tuple(np.minimum(photo.box, 80).tolist()), photo.mask[:80])

    source = Large()
    made = make(source, tmp_path / "out")
    assert made.images.shape == made.tiles.shape == (72, 32, 32, 3) and made.masks.shape == (72, 32, 32)
    assert set(made.manifest["files"]) == {"examples.csv", "images.npy", "masks.npy", "tiles.npy"}
    crop = Crop(96, 80, 32)
    for row in np.flatnonzero(made.table["accepted"])[::9]:
        photo = source.read(source.examples()[row])
        assert np.array_equal(made.images[row], crop.pixels(photo.image))
        assert np.array_equal(made.masks[row], crop.pixels(photo.mask))
        assert np.array_equal(made.tiles[row], crop.pixels(tile_image(photo.image, photo.box)))
        assert tuple(made.table.loc[row, ["left", "top", "right", "bottom"]]) == crop.box(photo.box)
    pool = load_pool(made, "test")
    assert np.array_equal(pool.tiles.permute(0, 2, 3, 1).numpy(), made.tiles[made.indices("test")])


# ---- what is left out ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("block", [1, 32])  # with 1 there are blocks without any image
def test_rejected_and_unusable_images_are_counted_by_reason(tmp_path, monkeypatch, block):
    monkeypatch.setattr("in9.data.build.BLOCK", block)

    def change(example, photo):
        number = int(example.id[-1])
        if number == 3 and example.label < 4:
            raise Rejected("image does not decode")
        if number == 5:
            return replace(photo, box=None)
        if number == 6 and example.label == 2:
            return replace(photo, mask=np.zeros_like(photo.mask))
        return photo

    made = make(Altered(change), tmp_path / "out")
    assert made.manifest["count"] == len(made.table) == len(made.images) == 72 - 4
    unusable = made.manifest["unusable"]
    assert [image["id"] for image in unusable] == [f"{name}_00003" for name in CLASS_NAMES[:4]]
    assert all(image["reason"] == "image does not decode" and image["split"] for image in unusable)
    outcomes = made.outcomes()
    assert outcomes["count"].sum() == 72
    totals = outcomes.groupby("outcome")["count"].sum().to_dict()
    expected = {"accepted": 72 - 4 - 9 - 1, "image does not decode": 4, "no box": 9, "mask is too small for its box": 1}
    assert totals == expected
    assert (outcomes.groupby("class")["count"].sum() == 8).all()
    no_box = made.table[made.table["reason"] == "no box"]
    assert not no_box["accepted"].any() and (no_box[["left", "top", "right", "bottom"]] == 0).all(axis=None)
    assert not made.masks[no_box.index].any() and made.images[no_box.index].any()
    everything = sum(len(made.indices(split, accepted=False)) for split in ("train", "validation", "test"))
    good = sum(len(made.indices(split)) for split in ("train", "validation", "test"))
    assert everything == 68 and good == 58
    made.verify()


def test_the_rule_of_the_source_decides(tmp_path):
    source = small_source()
    source.rule = MaskRule(mask_share=(0.45, 1.0))
    made = make(source, tmp_path / "out")
    rejected = made.table[~made.table["accepted"]]
    assert len(rejected) and set(rejected["reason"]) == {"mask is too small for its box"}
    assert all(made.manifest["rules"][split]["mask_share"] == [0.45, 1.0] for split in ("train", "test"))


def test_a_class_without_an_accepted_example_is_named(tmp_path):
    def change(example, photo):
        return replace(photo, box=None) if example.label in (1, 8) else photo

    with pytest.raises(In9Error, match="train split has no accepted example of bird, fish"):
        make(Altered(change), tmp_path / "out")
    assert not list(tmp_path.iterdir())  # so that mended images are read again
    with pytest.raises(In9Error, match="test split has no accepted example of dog"):
        make(small_source(), tmp_path / "out", split=Split(test=0.0, validation=0.0))
    make(small_source(), tmp_path / "out")


def test_a_source_may_have_test_images_alone(tmp_path):
    class TestOnly(Altered):
        def examples(self):
            return [replace(example, split="test") for example in self.source.examples()]

    made = make(TestOnly(lambda example, photo: photo), tmp_path / "out")
    assert len(made.indices("test")) == 72 and len(made.indices("train")) == 0
    with pytest.raises(In9Error, match="test split has no accepted example of bird"):
        make(
            TestOnly(lambda example, photo: replace(photo, box=None) if example.label == 1 else photo), tmp_path / "no"
        )
    training = Altered(lambda example, photo: photo)
    training.examples = lambda: [replace(example, split="train") for example in training.source.examples()]
    with pytest.raises(In9Error, match="test split has no accepted example of dog"):
        make(training, tmp_path / "no")


def test_the_reason_for_a_missing_box_is_told(tmp_path):
    def change(example, photo):
        return replace(photo, box=None, reason="annotation is damaged") if example.id == "dog_00003" else photo

    made = make(Altered(change), tmp_path / "out")
    assert made.table.set_index("id")["reason"].loc["dog_00003"] == "annotation is damaged"


def test_a_source_that_balances(whole, tmp_path):
    def change(example, photo):
        return replace(photo, box=None) if example.label == 2 and int(example.id[-1]) < 5 else photo

    source = Altered(change)
    source.balances = True
    made = make(source, tmp_path / "out")
    labels = made.table["label"].to_numpy()
    for split in ("train", "test"):
        kept = np.bincount(labels[made.indices(split)])
        assert (
            len(set(kept)) == 1
            and kept[0]
            == (labels[made.indices(split, accepted=False)] == 2).sum()
            - (made.table.query("split == @split and reason == 'no box'").shape[0])
        )
    outcomes = made.outcomes().groupby("outcome")["count"].sum()
    assert outcomes["no box"] == 5 and outcomes["accepted"] == 9 * 3
    assert outcomes["removed to balance the classes"] == 72 - 5 - 27
    made.verify()
    assert content(made.path)["images.npy"] == whole["images.npy"]  # they stay in IN-9L


def test_no_usable_image_at_all(tmp_path):
    def change(example, photo):
        raise Rejected("image does not decode")

    with pytest.raises(In9Error, match="No image could be used: image does not decode"):
        make(Altered(change), tmp_path / "out")
    assert not (tmp_path / "out").exists()


# ---- stopping and going on -------------------------------------------------------------------------------------------


def stop_at(monkeypatch, number, error):
    """Let the example of that number raise; returns the list of ids that were processed."""
    process, seen = build_module.process, []

    def stopping(source, example, split):
        if len(seen) == number:
            raise error
        seen.append(example.id)
        return process(source, example, split)

    monkeypatch.setattr("in9.data.build.process", stopping)
    return seen


def test_a_stopped_build_goes_on(whole, tmp_path, monkeypatch):
    monkeypatch.setattr("in9.data.build.BLOCK", 10)
    out = tmp_path / "out"
    for number, error in ((25, KeyboardInterrupt()), (31, RuntimeError("killed")), (0, KeyboardInterrupt())):
        with monkeypatch.context() as patch:
            stop_at(patch, number, error)
            with pytest.raises(type(error)):
                make(small_source(), out)
        assert not out.exists()
        with pytest.raises(In9Error, match="is not a dataset"):
            Dataset(out)
    seen = stop_at(monkeypatch, None, None)
    made = make(small_source(), out)
    assert len(seen) == 72 - 20 - 30  # two whole blocks of the first run, three of the second
    assert content(made.path) == whole
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_nothing_is_called_out_until_all_is_done(tmp_path, monkeypatch):
    process, rename, out = build_module.process, Path.rename, tmp_path / "out"

    def watching(*arguments):
        assert not out.exists()
        return process(*arguments)

    def renaming(path, target):
        assert target == out and not out.exists()
        Dataset(path).verify()
        assert {file.name for file in path.iterdir()} == FILES
        return rename(path, target)

    monkeypatch.setattr("in9.data.build.process", watching)
    monkeypatch.setattr(Path, "rename", renaming)
    make(small_source(), out)
    assert out.is_dir()


@pytest.mark.parametrize("moment", ["open", "unlink"])
def test_a_build_killed_while_it_joins_its_blocks_goes_on(whole, tmp_path, monkeypatch, moment):
    monkeypatch.setattr("in9.data.build.BLOCK", 10)
    real, calls = getattr(Path, moment), []

    def dying(path, *arguments, **options):
        watched = path.name == "masks.npy" if moment == "open" else path.suffix == ".npz"
        if watched:
            calls.append(path)
        if len(calls) == (1 if moment == "open" else 4):
            raise KeyboardInterrupt
        return real(path, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Path, moment, dying)
        with pytest.raises(KeyboardInterrupt):
            make(small_source(), tmp_path / "out")
    assert calls and not (tmp_path / "out").exists()
    assert content(make(small_source(), tmp_path / "out").path) == whole


def test_what_a_killed_process_left_of_a_block_is_removed(whole, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        stop_at(patch, 40, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            make(small_source(), tmp_path / "out")
    (tmp_path / "out.partial" / "block_000001.npz.123.writing").write_bytes(b"half a block")
    assert content(make(small_source(), tmp_path / "out").path) == whole


def test_leftovers_of_other_blocks_are_not_used(whole, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("in9.data.build.BLOCK", 20)
        stop_at(patch, 50, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            make(small_source(), tmp_path / "out")
    monkeypatch.setattr("in9.data.build.BLOCK", 10)
    assert content(make(small_source(), tmp_path / "out").path) == whole


def test_leftovers_of_other_settings_are_not_used(whole, tmp_path, monkeypatch):
    monkeypatch.setattr("in9.data.build.BLOCK", 10)
    with monkeypatch.context() as patch:
        stop_at(patch, 40, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            make(open_source("synthetic", per_class=8, image_size=32, rho=0), tmp_path / "out")
    assert content(make(small_source(), tmp_path / "out").path) == whole


def zeroed(whole):
    return whole[:500] + bytes(500) + whole[1000:]


DAMAGES = {"cut short": lambda whole: whole[:-100], "empty": lambda whole: b"", "no block": lambda whole: b"x" * 99}


@pytest.mark.parametrize("damage", [*DAMAGES.values(), zeroed], ids=[*DAMAGES, "zeroed in the middle"])
def test_a_damaged_block_is_done_again(whole, tmp_path, monkeypatch, damage):
    monkeypatch.setattr("in9.data.build.BLOCK", 10)
    with monkeypatch.context() as patch:
        stop_at(patch, 35, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            make(small_source(), tmp_path / "out")
    block = tmp_path / "out.partial" / "block_000001.npz"
    block.write_bytes(damage(block.read_bytes()))
    seen = stop_at(monkeypatch, None, None)
    assert content(make(small_source(), tmp_path / "out").path) == whole
    assert len(seen) == 72 - 20  # of the three whole blocks one was damaged


def test_damaged_settings_of_a_stopped_build_are_not_an_error(whole, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        stop_at(patch, 40, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            make(small_source(), tmp_path / "out")
    (tmp_path / "out.partial" / "settings.json").write_bytes(b"\xff\xfe")
    assert content(make(small_source(), tmp_path / "out").path) == whole


BUILDER = """
import pathlib, sys
from in9.data import build as build_module
from in9.data.build import build
from in9.data.splits import Split
from in9.data.sources import open_source
seen, process = [], build_module.process
build_module.process = lambda *arguments: seen.append(1) or process(*arguments)
source, split = open_source("synthetic", per_class=8, image_size=32), Split(test=0.5, validation=0.0)
print("ready", flush=True)
input()
print(build(source, pathlib.Path(sys.argv[1]), workers=1, split=split, progress=False).hash, len(seen))
"""


def test_two_processes_that_build_the_same_folder_end_with_the_same_dataset(whole, tmp_path):
    out = tmp_path / "out"
    answers = run_two(BUILDER, out)
    assert content(out) == whole and [path.name for path in tmp_path.iterdir()] == ["out"]
    assert sorted(output.split() for output, _ in answers) == [[Dataset(out).hash, "0"], [Dataset(out).hash, "72"]]
    assert all(text == "" or f"is building {out}; this process waits" in text for _, text in answers)


def full_disk(*arguments, **options):
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("place", ["savez", "lib.format.write_array_header_1_0"])
def test_a_full_disk(whole, tmp_path, monkeypatch, place):
    with monkeypatch.context() as patch:
        patch.setattr(f"numpy.{place}", full_disk)
        with pytest.raises(In9Error, match=r"disk is full while writing .*out.partial; free some space"):
            make(small_source(), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert content(make(small_source(), tmp_path / "out").path) == whole


def test_a_place_that_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(In9Error, match=r"cannot be written .*choose another folder"):
        make(small_source(), tmp_path / "file" / "out")
    (tmp_path / "out.partial").write_text("not a folder either")
    with pytest.raises(In9Error, match=r"cannot be written .*choose another folder"):
        make(small_source(), tmp_path / "out")

    def forbidden(*arguments, **options):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(np, "savez", forbidden)
    with pytest.raises(In9Error, match=r"cannot be written \(Permission denied\)"):
        make(small_source(), tmp_path / "other")


# ---- a folder that is already there ----------------------------------------------------------------------------------


def test_the_same_settings_open_what_is_there(tmp_path, monkeypatch):
    made = make(small_source(), tmp_path / "out")
    monkeypatch.setattr("in9.data.build.process", None)  # must not be needed
    assert make(small_source(), tmp_path / "out").hash == made.hash


@pytest.mark.parametrize("options", [{"seed": 1}, {"split": Split()}, {"source": ("synthetic", {"rho": 0.1})}])
def test_other_settings_are_an_error(dataset, options):
    before = content(dataset.path)
    name, given = options.pop("source", ("synthetic", {}))
    source = open_source(name, **({"rho": 0.8, "per_class": 12, "image_size": 32} | given))
    same = {"split": Split(test=1 / 3, validation=1 / 3)}
    with pytest.raises(In9Error, match="holds a dataset with other settings"):
        make(source, dataset.path, **(same | options))
    assert content(dataset.path) == before


def test_something_else_is_left_alone(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("years of work")
    (tmp_path / "file").write_text("years of work")
    for name in ("out", "file"):
        with pytest.raises(In9Error, match="exists and is not a dataset"):
            make(small_source(), tmp_path / name)
    assert (tmp_path / "out" / "thesis.txt").read_text() == (tmp_path / "file").read_text() == "years of work"
    (tmp_path / "empty").mkdir()
    assert len(make(small_source(), str(tmp_path / "empty")).table) == 72


# ---- opening ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def copy(dataset, tmp_path):
    """The folder of a copy of the shared dataset, to damage."""
    return shutil.copytree(dataset.path, tmp_path / "copy")


def test_open_what_is_not_a_dataset(tmp_path):
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(In9Error, match=r"is not a dataset: it has no manifest.json"):
            Dataset(path)


def test_open_another_format(copy):
    manifest = json.loads((copy / "manifest.json").read_text())
    (copy / "manifest.json").write_text(json.dumps({"format": 99} | {"count": manifest["count"]}))
    with pytest.raises(In9Error, match="has format 99, this version reads 1: build it again"):
        Dataset(copy)


@pytest.mark.parametrize("text", [b"", b'{"format": 1, "fil', b"\xff\xfe\x00", b"[1, 2]"])
def test_open_with_a_damaged_manifest(copy, text):
    (copy / "manifest.json").write_bytes(text)
    with pytest.raises(In9Error, match=r"manifest.json is damaged .*build the dataset again"):
        Dataset(copy)


@pytest.mark.parametrize("name", sorted(FILES - {"manifest.json"}))
def test_open_with_a_file_missing_or_cut_short(copy, name):
    whole = (copy / name).read_bytes()
    (copy / name).write_bytes(whole[:-1])
    with pytest.raises(In9Error, match=f"incomplete: {name} is missing or cut short"):
        Dataset(copy)
    (copy / name).unlink()
    with pytest.raises(In9Error, match=f"incomplete: {name} is missing or cut short"):
        Dataset(copy)


@pytest.mark.parametrize("name", sorted(FILES - {"manifest.json"}))
def test_verify_finds_one_changed_byte(copy, name):
    Dataset(copy).verify()
    whole = bytearray((copy / name).read_bytes())
    whole[len(whole) // 2] ^= 1
    (copy / name).write_bytes(whole)
    with pytest.raises(In9Error, match=f"{name} was changed after the build"):
        Dataset(copy).verify()


# ---- splits ----------------------------------------------------------------------------------------------------------


def listing(count, kinds=3):
    return [Example(f"image {index}", index % kinds, f"kind {index % kinds}") for index in range(count)]


def test_splits_are_stratified():
    examples = [*listing(300), *(Example(f"rare {index}", 4, "rare") for index in range(10))]
    splits = assign_splits(examples, 0, Split(test=0.2, validation=0.1))
    for fine, number in (("kind 0", 100), ("kind 1", 100), ("kind 2", 100), ("rare", 10)):
        mine = [split for example, split in zip(examples, splits, strict=True) if example.fine == fine]
        assert (mine.count("test"), mine.count("validation")) == (number // 5, number // 10)
        assert mine.count("train") == number * 7 // 10


def test_splits_are_stable():
    examples = listing(120)
    splits = dict(zip((example.id for example in examples), assign_splits(examples, 0, Split()), strict=True))
    order = np.random.default_rng(0).permutation(120)
    shuffled = [examples[index] for index in order]
    again = assign_splits(shuffled, 0, Split())
    assert {example.id: split for example, split in zip(shuffled, again, strict=True)} == splits
    fewer = [example for example in examples if example.label != 1]  # other classes make no difference
    assert [splits[example.id] for example in fewer] == assign_splits(fewer, 0, Split())
    larger = assign_splits(examples, 0, Split(test=0.4))
    assert all(split == "test" for split, was in zip(larger, splits.values(), strict=True) if was == "test")
    assert assign_splits(examples, 1, Split()) != list(splits.values())


def test_a_split_that_the_source_prescribes_is_kept():
    prescribed = [Example(f"given {index}", 0, "kind 0", split="test") for index in range(5)]
    examples = [*listing(60), *prescribed]
    splits = assign_splits(examples, 0, Split())
    assert splits[60:] == ["test"] * 5
    assert splits[:60] == assign_splits(listing(60), 0, Split())
