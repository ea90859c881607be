"""Files that appear whole or not at all, and names for settings."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pytest

from in9.files import hash_of_file, key_of, plain, without_defaults, written_whole


def test_a_file_appears_whole_with_its_folder(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "numbers.json"
    with written_whole(path) as partial:
        assert partial.parent == path.parent and partial.suffix != path.suffix
        partial.write_text("1")
        assert not path.exists()
    assert path.read_text() == "1" and list(path.parent.iterdir()) == [path]
    with written_whole(path) as partial:
        partial.write_text("2")
        assert path.read_text() == "1"
    assert path.read_text() == "2" and list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, OSError])
@pytest.mark.parametrize("begun", [False, True])
def test_after_an_error_the_old_file_is_there_and_no_partial_file(
    tmp_path: Path, error: type[BaseException], begun: bool
) -> None:
    path = tmp_path / "numbers.json"
    path.write_text("old")
    with pytest.raises(error), written_whole(path) as partial:
        if begun:
            partial.write_text("ne")
        raise error
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_without_an_old_file_an_error_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError), written_whole(tmp_path / "numbers.json") as partial:
        partial.write_text("ne")
        raise ValueError
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_take_its_place_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "numbers.json"
    path.write_text("old")

    def full(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space left"), written_whole(path) as partial:
        partial.write_text("new")
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_two_processes_do_not_write_to_the_same_partial_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "numbers.json"
    with written_whole(path) as ours:
        ours.write_text("ours")
        monkeypatch.setattr(os, "getpid", lambda: 1)
        with written_whole(path) as theirs:
            assert theirs != ours
            theirs.write_text("theirs")
        assert path.read_text() == "theirs"
    assert path.read_text() == "ours" and list(tmp_path.iterdir()) == [path]


def test_hashes_are_those_of_the_content(tmp_path: Path) -> None:
    path = tmp_path / "bytes"
    path.write_bytes(bytes(range(256)) * 5000)
    for algorithm in ("sha256", "md5", "sha1"):
        expected = hashlib.new(algorithm, path.read_bytes(), usedforsecurity=False).hexdigest()
        assert hash_of_file(path, algorithm) == expected
    assert hash_of_file(path) == hash_of_file(path, "sha256")


def test_plain_values_survive_writing_and_reading() -> None:
    value = plain({"a": (1, 2.5), "b": np.float64(0.1), "c": None, 3: True})
    assert json.loads(json.dumps(value)) == value


def test_keys_are_the_same_for_numpys_numbers_and_tuples_and_in_any_order() -> None:
    key = key_of({"a": 3, "b": 0.5, "c": [1, 2]})
    assert key == key_of({"c": (1, 2), "b": np.float64(0.5), "a": np.int64(3)})
    assert len(key) == 16 and set(key) <= set("0123456789abcdef")
    assert len({key, key_of({"a": 4, "b": 0.5, "c": [1, 2]}), key_of({"a": 3, "b": 0.5, "c": [2, 1]}), key_of([])}) == 4


def test_without_defaults_keeps_what_differs_at_every_depth() -> None:
    defaults = {"rate": 0.1, "head": None, "light": {"jitter": 0.1, "flip": True}, "options": {}}
    assert without_defaults(defaults, defaults) == {}
    assert without_defaults({}, defaults) == {}
    assert without_defaults({"rate": 0.2, "head": "a"}, defaults) == {"rate": 0.2, "head": "a"}
    assert without_defaults({"light": {"jitter": 0.1, "flip": False}}, defaults) == {"light": {"flip": False}}
    # What has no default is kept, also where it is empty.
    assert without_defaults({"name": None, "more": {}}, defaults) == {"name": None, "more": {}}
    assert without_defaults({"light": {"more": 0}, "options": {"rho": 0.5}}, defaults) == {
        "light": {"more": 0},
        "options": {"rho": 0.5},
    }
    # A table in place of a value, and a value in place of a table.
    assert without_defaults({"head": {"a": 1}, "light": None}, defaults) == {"head": {"a": 1}, "light": None}


def test_without_defaults_leaves_what_it_is_given_alone() -> None:
    settings = {"light": {"jitter": 0.1, "flip": False}}
    kept = without_defaults(settings, {"light": {"jitter": 0.1}})
    kept["light"]["flip"] = True
    assert settings == {"light": {"jitter": 0.1, "flip": False}}
