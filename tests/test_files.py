"""Files that appear whole or not at all, one writer at a time, and names for settings."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock

from in9.files import hash_of_file, key_of, one_writer, plain, without_defaults, written_whole


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


def test_a_file_is_on_the_disk_before_it_takes_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, synced = tmp_path / "numbers.json", []

    def sync(descriptor: int) -> None:
        assert not path.exists()
        synced.append(os.fstat(descriptor).st_size)

    monkeypatch.setattr(os, "fsync", sync)
    with written_whole(path) as partial:
        partial.write_text("12345")
    assert synced == [5] and path.read_text() == "12345"


# ---- one writer at a time --------------------------------------------------------------------------------------------

HOLDER = """
import sys, pathlib
from in9.files import one_writer
with one_writer(pathlib.Path(sys.argv[1]), "building"):
    print("held", flush=True)
    sys.stdin.readline()
    pathlib.Path(sys.argv[1]).write_text("done")
"""


@pytest.fixture
def held(tmp_path: Path) -> Iterator[tuple[Path, subprocess.Popen[str]]]:
    """A path whose lock another process holds, and that process: with a line on stdin it writes there and ends."""
    path = tmp_path / "folder" / "goal"
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], text=True, **pipes) as process:
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        yield path, process
        process.kill()


def test_who_finds_a_writer_says_so_once_and_waits(
    held: tuple[Path, subprocess.Popen[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    path, process = held
    checked = []

    def check() -> None:
        checked.append(path.exists())
        if len(checked) == 2:
            process.communicate("\n")

    with one_writer(path, "building", check):
        assert path.read_text() == "done" and checked == [False, False]
    said = capsys.readouterr().err
    assert re.fullmatch(rf"Another process \({process.pid} on .+\) is building {path}; this process waits .*\n", said)
    assert list(path.parent.iterdir()) == [path]  # the lock is gone


def test_who_waits_can_be_stopped(held: tuple[Path, subprocess.Popen[str]]) -> None:
    path, _ = held

    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), one_writer(path, "building", stop):
        raise AssertionError("the lock is held")
    assert [entry.name for entry in path.parent.iterdir()] == [".goal.lock"]  # it is the other's


def test_a_lock_whose_holder_was_killed_is_free(
    held: tuple[Path, subprocess.Popen[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    path, process = held
    process.kill()
    process.wait()
    assert path.with_name(".goal.lock").exists()
    with one_writer(path, "building"):
        pass
    assert capsys.readouterr().err == "" and list(path.parent.iterdir()) == []


def test_after_an_error_the_lock_is_free_and_gone(tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(ValueError), one_writer(tmp_path / "goal", "building"):
            raise ValueError
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [OSError(errno.ENOSYS, "no"), OSError(errno.ENOLCK, "no"), NotImplementedError()])
def test_without_locks_the_user_is_told_and_the_work_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception
) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise error

    monkeypatch.setattr(FileLock, "acquire", refuse)
    done = False
    with one_writer(tmp_path / "goal", "building"):
        done = True
    assert done and "cannot hold locks; make sure that no other process is building" in capsys.readouterr().err


def test_a_place_that_cannot_be_written_has_no_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(FileLock, "acquire", refuse)
    with pytest.raises(PermissionError), one_writer(tmp_path / "goal", "building"):
        raise AssertionError("there is no lock")


# ---- settings --------------------------------------------------------------------------------------------------------


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
