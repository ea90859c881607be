"""Workers where the machine has little to give: no shared memory, a process that dies, no room."""

from __future__ import annotations

import errno
import os
from multiprocessing import get_context
from pathlib import Path

import pytest

from in9.data.build import build
from in9.data.dataset import Dataset
from in9.data.processes import has_processes, worker_processes
from in9.data.sources import open_source
from in9.data.splits import Split
from in9.errors import In9Error, plain_disk_errors

SPAWN = get_context("spawn")


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.ENOENT])
def test_without_shared_memory_one_process_builds_the_same(
    code: int, dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("multiprocessing.synchronize.SemLock.__init__", refuse)
    assert not has_processes(SPAWN) and "no shared memory to spare" in capsys.readouterr().err
    source = open_source("synthetic", rho=0.8, per_class=12, image_size=32)
    again = build(source, tmp_path / "out", workers=2, split=Split(test=1 / 3, validation=1 / 3), progress=False)
    assert again.hash == dataset.hash and capsys.readouterr().err.count("one process does the work") == 1


def test_with_shared_memory_nothing_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert has_processes(SPAWN) and capsys.readouterr().err == ""


def test_a_process_that_dies_is_told() -> None:
    told = pytest.raises(In9Error, match="perhaps because memory ran out; the same command goes on")
    with told, worker_processes(1, SPAWN, os.getpid) as pool:
        pool.submit(os._exit, 1).result()


@pytest.mark.parametrize(
    ("code", "expected"),
    [(errno.EFBIG, "A limit is reached (File too large)"), (errno.EDQUOT, "A limit is reached (Disk quota exceeded)")],
)
def test_a_limit_of_the_user_is_told(code: int, expected: str, tmp_path: Path) -> None:
    with pytest.raises(In9Error) as told, plain_disk_errors(tmp_path):
        raise OSError(code, os.strerror(code))
    assert str(told.value).startswith(f"{expected} while writing {tmp_path}; free some space")
