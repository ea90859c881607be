"""A dataset whose manifest or arrays are not what was built is refused, in one sentence, whatever was changed."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from in9.data.dataset import Dataset
from in9.errors import In9Error
from in9.files import hash_of_file, remembered_hash

Content = dict[str, Any]


@pytest.fixture
def copy(dataset: Dataset, tmp_path: Path) -> Path:
    return shutil.copytree(dataset.path, tmp_path / "copy")


def edit(copy: Path, change: Callable[[Content], Any]) -> None:
    manifest = copy / "manifest.json"
    content = json.loads(manifest.read_text())
    change(content)
    manifest.write_text(json.dumps(content))


def replaced(copy: Path, name: str, array: np.ndarray) -> None:
    """Put another array there, and into the manifest what belongs to it."""
    np.save(copy / name, array, allow_pickle=True)
    facts = {"bytes": (copy / name).stat().st_size, "sha256": hash_of_file(copy / name)}
    edit(copy, lambda content: content["files"].update({name: facts}))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda content: content.pop("seed"), "it lacks seed"),
        (lambda content: [content.pop(name) for name in ("source", "files")], "it lacks source, files"),
        (lambda content: content.update(format="1"), "has format 1"),
        (lambda content: content.update(format=[[]]), "has format"),
        (lambda content: content.update(image_size="32"), "image_size"),
        (lambda content: content.update(image_size=10**30), "image_size"),
        (lambda content: content.update(image_size=-1), "image_size"),
        (lambda content: content.update(seed=1.5), "seed"),
        (lambda content: content.update(source=None), "source"),
        (lambda content: content.update(source="x" * 999), "source"),
        (lambda content: content.update(source_settings=[]), "source_settings"),
        (lambda content: content.update(split=3), "split"),
        (lambda content: content["split"].update(test=2), "split.test"),
        (lambda content: content["split"].update(folds=True), "split.folds"),
        (lambda content: content.update(classes=["cat"]), "classes are not the nine"),
        (lambda content: content.update(unusable=[1]), "unusable.0"),
        (lambda content: content.update(unusable=[{"label": 9, "split": "test", "reason": ""}]), "unusable.0.label"),
        (lambda content: content.update(files=[]), "files"),
        (lambda content: content["files"].pop("masks.npy"), "files are not those of a dataset"),
        (lambda content: content["files"].update({"../x": content["files"]["masks.npy"]}), "files are not those"),
        (lambda content: content["files"].update({"masks.npy": 5}), "files.masks.npy"),
        (lambda content: content["files"]["masks.npy"].update(bytes=-1), "files.masks.npy.bytes"),
        (lambda content: content["files"]["masks.npy"].update(bytes=9), "masks.npy is missing or cut short"),
        (lambda content: content["files"]["masks.npy"].update(sha256="0"), "files.masks.npy.sha256"),
    ],
)
def test_a_manifest_that_no_build_writes_is_refused(
    copy: Path, change: Callable[[Content], Any], expected: str
) -> None:
    edit(copy, change)
    with pytest.raises(In9Error, match="build") as refusal:
        Dataset(copy)
    assert expected in str(refusal.value) and "\n" not in str(refusal.value)


@pytest.mark.parametrize("text", ["[" * 10**5, '{"format": NaN}', '{"format": ' + "9" * 5000 + "}"])
def test_json_that_is_no_manifest_is_refused(copy: Path, text: str) -> None:
    (copy / "manifest.json").write_text(text)
    with pytest.raises(In9Error, match=r"is damaged .* build the dataset again"):
        Dataset(copy)


@pytest.mark.parametrize("part", ["images", "masks", "table"])
def test_bytes_of_the_same_number_are_noticed_before_they_are_used(copy: Path, part: str) -> None:
    file = copy / ("examples.csv" if part == "table" else f"{part}.npy")
    getattr(Dataset(copy), part)  # it is checked, and that is noted
    before = file.stat()
    content = bytearray(file.read_bytes())
    content[-200:] = bytes(255 - byte for byte in content[-200:])
    file.write_bytes(content)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))  # as a failing disk would
    with pytest.raises(In9Error, match=f"{file.name} was changed after the build; build the dataset again"):
        getattr(Dataset(copy), part)


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("images.npy", np.array([{"a": 1}] * 108, object)),
        ("images.npy", np.zeros((108, 32, 32, 4), np.uint8)),
        ("images.npy", np.zeros((107, 32, 32, 3), np.uint8)),
        ("masks.npy", np.zeros((108, 32, 32), np.float32)),
        ("masks.npy", np.zeros(3, bool)),
        ("tiles.npy", np.zeros((108, 32, 32), np.uint8)),
    ],
)
def test_an_array_of_another_kind_is_refused(copy: Path, name: str, array: np.ndarray) -> None:
    replaced(copy, name, array)
    with pytest.raises(In9Error, match=rf"{name} (cannot be read|holds) .*build the dataset again"):
        getattr(Dataset(copy), name.removesuffix(".npy"))


@pytest.mark.parametrize(
    "text",
    ["", "id,label\n", "\0", '"', "id,label,fine,split,accepted,reason,left,top,right,bottom\n1,9,a,a,True,,1,1,1,1"],
)
def test_a_table_of_another_kind_is_refused(copy: Path, text: str) -> None:
    table = copy / "examples.csv"
    table.write_text(text)
    facts = {"bytes": table.stat().st_size, "sha256": hash_of_file(table)}
    edit(copy, lambda content: content["files"].update({table.name: facts}))
    with pytest.raises(In9Error, match=r"examples\.csv (cannot be read|is not the table)"):
        _ = Dataset(copy).table


def test_a_file_is_hashed_once_until_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[Path] = []

    def counting(path: Path) -> str:
        hashed.append(path)
        return hash_of_file(path)

    monkeypatch.setattr("in9.files.hash_of_file", counting)
    file = tmp_path / "a"
    file.write_text("1")
    assert remembered_hash(file) == remembered_hash(file) == hash_of_file(file) and hashed == [file]
    file.write_text("2")
    assert remembered_hash(file) == hash_of_file(file) and len(hashed) == 2
    moved = file.rename(tmp_path / "b")
    assert remembered_hash(moved) == hash_of_file(moved) and len(hashed) == 3


def test_verify_believes_no_note(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Dataset(copy).verify()
    rotten = copy / "images.npy"
    before = rotten.stat()
    rotten.write_bytes(bytes(before.st_size))
    stat = Path.stat
    # As if the disk had rotted: the content is another, and nothing else.
    monkeypatch.setattr(Path, "stat", lambda path, **options: before if path == rotten else stat(path, **options))
    with pytest.raises(In9Error, match=r"images\.npy was changed after the build"):
        Dataset(copy).verify()
    with pytest.raises(In9Error, match=r"images\.npy was changed after the build"):
        _ = Dataset(copy).images  # it is noted now


@pytest.mark.parametrize("note", ["{", "[]", '{"state": 1}', "[" * 10**5])
def test_a_damaged_note_of_a_hash_does_no_harm(note: str, tmp_path: Path, notes_of_hashes: Path) -> None:
    file = tmp_path / "a"
    file.write_text("1")
    before = set(notes_of_hashes.rglob("*.json"))
    remembered_hash(file)
    (new,) = set(notes_of_hashes.rglob("*.json")) - before
    new.write_text(note)
    assert remembered_hash(file) == hash_of_file(file)


def test_where_nothing_can_be_noted_a_file_is_hashed_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a"
    file.write_text("1")
    monkeypatch.setenv("XDG_STATE_HOME", str(file))
    assert remembered_hash(file) == remembered_hash(file) == hash_of_file(file)


def test_a_mutated_manifest_is_a_dataset_or_an_error(copy: Path) -> None:
    rng, text = random.Random("manifests"), (copy / "manifest.json").read_text()
    outcomes = []
    for _ in range(150):
        content = list(text)
        for _ in range(rng.choice((1, 1, 2, 5))):
            place = rng.randrange(len(content))
            content[place : place + rng.choice((0, 1, 1, 9))] = rng.choice(
                ('"', "[", "}", "9", "-", "null", "é", "", "\0")
            )
        (copy / "manifest.json").write_text("".join(content))
        try:
            opened = Dataset(copy)
            assert opened.settings and opened.hash and len(opened.table) == 108 and opened.outcomes() is not None
            outcomes.append("opened")
        except In9Error as error:
            assert str(error).endswith(".") and "\n" not in str(error)
            outcomes.append("refused")
    assert outcomes.count("refused") > 50
