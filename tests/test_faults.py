"""Killed at each write of a command, and run once more: the end is that of an undisturbed run, to the byte."""

from __future__ import annotations

import gc
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import psutil
import pytest
from PIL import Image
from small_book import make_project
from small_server import serving
from trial_study import PROFILE, furnished

from in9.book.notebooks import with_stable_ids
from in9.book.render import run_book
from in9.data.build import build
from in9.data.dataset import Dataset
from in9.data.export import export
from in9.data.fetch import fetch
from in9.data.sources import open_source
from in9.data.splits import Split
from in9.scoring.challenge import challenge
from in9.study.jobs import evaluations, run_job
from in9.study.profile import load_profile
from in9.study.workspace import Workspace

CONTENT = bytes(range(256)) * 40


class Killed(BaseException):
    """As if the process had ended here."""


class Disk:
    """Lets a process die at its ``number``-th write; from then on it changes nothing, as a dead one."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
        self.left, self.dead = number, False
        for owner, name in ((Path, "write_text"), (Path, "write_bytes")):
            monkeypatch.setattr(owner, name, self.half_written(getattr(owner, name)))
        monkeypatch.setattr(os, "fsync", self.cut(os.fsync))
        moves = ((Path, "replace"), (Path, "rename"), (shutil, "copy"), (shutil, "copytree"))
        for owner, name in (*moves, (Image.Image, "save"), (np, "save"), (nbformat, "write")):
            monkeypatch.setattr(owner, name, self.moved(getattr(owner, name)))
        for owner, name in ((Path, "unlink"), (Path, "rmdir"), (shutil, "rmtree")):
            monkeypatch.setattr(owner, name, self.only_alive(getattr(owner, name)))
        monkeypatch.setattr(os, "getpid", lambda: 2**22 + 1)  # whoever goes on is another process

    def dies_now(self) -> bool:
        if self.dead:
            raise Killed
        self.left -= 1
        self.dead = self.left == 0
        return self.dead

    def half_written(self, write: Callable[..., int]) -> Callable[..., int]:
        def writing(path: Path, content: Any, *arguments: Any, **options: Any) -> int:
            if self.dies_now():
                write(path, content[: len(content) // 2], *arguments, **options)
                raise Killed
            return write(path, content, *arguments, **options)

        return writing

    def cut(self, sync: Callable[[int], None]) -> Callable[[int], None]:
        def syncing(descriptor: int) -> None:
            if self.dies_now():
                os.ftruncate(descriptor, os.fstat(descriptor).st_size // 2)
                raise Killed
            sync(descriptor)

        return syncing

    def moved(self, move: Callable[..., Any]) -> Callable[..., Any]:
        def moving(*arguments: Any, **options: Any) -> Any:
            before = self.left % 2
            dies = self.dies_now()
            if dies and before:
                raise Killed
            done = move(*arguments, **options)
            if dies:
                raise Killed
            return done

        return moving

    def only_alive(self, remove: Callable[..., None]) -> Callable[..., None]:
        def removing(*arguments: Any, **options: Any) -> None:
            if self.dead:
                raise Killed
            remove(*arguments, **options)

        return removing


def content(folder: Path) -> dict[str, str]:
    """A name for the content of each file below a folder; hidden ones are locks of processes that were killed."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and not path.name.startswith("."))
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def killed_at_each_write(
    action: Callable[[Path], Any], tmp_path: Path, told: Callable[[Path], Any] = content, step: int = 1
) -> int:
    """Kill an action at each write (each ``step``-th), and run it once more; return how many kills there were."""
    action(tmp_path / "undisturbed")
    expected, number = told(tmp_path / "undisturbed"), 0
    for number in range(1, 2000, step):
        folder = tmp_path / "killed"
        shutil.rmtree(folder, ignore_errors=True)
        with pytest.MonkeyPatch.context() as patch:
            disk = Disk(patch, number)
            try:
                action(folder)
            except BaseException as error:
                assert disk.dead, error
                del error
        gc.collect()  # a dead process holds no lock
        if not disk.dead:
            break
        action(folder)
        assert told(folder) == expected, f"killed at write {number}"
    return len(range(1, number, step))


@pytest.fixture
def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is noted of hashes, so that only what a command writes counts."""
    monkeypatch.setenv("XDG_STATE_HOME", "/dev/null/nowhere")


def test_build(tmp_path: Path, forgetful: None) -> None:
    source = open_source("synthetic", rho=0.8, per_class=6, image_size=32)

    def action(folder: Path) -> None:
        build(source, folder / "out", workers=1, split=Split(test=1 / 3, validation=1 / 3), progress=False)

    assert killed_at_each_write(action, tmp_path) >= 11


def test_train_and_measure(
    tmp_path: Path, dataset: Dataset, one_thread: None, monkeypatch: pytest.MonkeyPatch, forgetful: None
) -> None:
    monkeypatch.setattr("in9.training.loop.CHECKPOINT_EVERY", 0.0)
    (job,) = evaluations(PROFILE, [PROFILE.recipe_on("original", epochs=3)])
    data = furnished(Workspace(tmp_path / "data"), dataset)

    def action(folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        if not (folder / "data").exists():
            (folder / "data").symlink_to(data.data)
        run_job(job, Workspace(folder), "cpu")

    def told(folder: Path) -> Any:
        (path,) = folder.glob("runs/records/*/*.json")
        results = json.loads(path.read_text())["results"]
        del results["training"]["seconds"]
        return results, sorted(path.name for path in folder.glob("runs/*/*") if not path.name.startswith("."))

    assert killed_at_each_write(action, tmp_path, told) >= 8


def test_challenge(
    tmp_path: Path, dataset: Dataset, network: Any, monkeypatch: pytest.MonkeyPatch, forgetful: None
) -> None:
    monkeypatch.setattr("in9.scoring.challenge.SAVE_EVERY", 0.0)
    results = {}

    def action(folder: Path) -> None:
        score = challenge(network, dataset, device="cpu", batch_size=64, states=folder / "states", name="network")
        results[folder] = {**score.record.results, "composites": 0}

    def told(folder: Path) -> Any:
        return results[folder], sorted(path.name for path in folder.rglob("*.npz*"))

    assert killed_at_each_write(action, tmp_path, told) >= 4


def test_export(tmp_path: Path, dataset: Dataset, forgetful: None) -> None:
    def action(folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        export(dataset, folder / "out", progress=False) if not (folder / "out").exists() else None

    assert killed_at_each_write(action, tmp_path, step=67) >= 4


def test_fetch(tmp_path: Path, forgetful: None) -> None:
    checksum = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"
    with serving({"/file": CONTENT}) as server:

        def action(folder: Path) -> None:
            fetch(f"{server.address}/file", folder / "file", checksum, progress=False)

        assert killed_at_each_write(action, tmp_path) >= 2


PAGES_AT_ONCE = """
import pathlib, sys
source, pages = pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[-1]) / "_build" / "html"
pages.mkdir(parents=True)
whole = {str(path.relative_to(source)): path.read_text("utf8") for path in sorted(source.rglob("*.*"))}
for name in ("index", "01_first", "02_second"):
    (pages / f"{name}.html").write_text(f"<head><meta charset='utf-8'></head>{name} {whole}", "utf8")
"""
FACTS = {"seconds": 1.0, "when": "", "commit": "", "uncommitted_changes": False}


def book_of(folder: Path) -> tuple[dict[str, str], dict[str, int], set[str]]:
    """The pages of a book, those in its one file, and what else there is beside them."""
    place = folder / "build" / "smoke"
    with zipfile.ZipFile(place / "in9-book-smoke.zip") as archive:
        packed = {entry.filename: entry.CRC for entry in archive.infolist()}
    beside = {path.name for path in place.iterdir()} - {"running"}  # which is empty, and made where a chapter runs
    return content(place / "html"), packed, beside


def test_book(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other processes run the chapters and render the pages: here these are quick, and all else is as it is.

    A page says what all files hold that the renderer was given, so that none may be left over or torn.
    """
    monkeypatch.setattr("in9.book.render.RENDERER", PAGES_AT_ONCE)
    monkeypatch.setattr("in9.book.render.execute", lambda chapter, *arguments: with_stable_ids(chapter.read()))
    monkeypatch.setattr("in9.evaluation.records.provenance", lambda seconds, device: FACTS)
    monkeypatch.setattr("in9.book.render.hash_of_folder", lambda folder: "0")
    make_project(tmp_path / "project")

    def action(folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        for name in ("book", "notebooks", "_config.yml"):
            if not (folder / name).exists():
                (folder / name).symlink_to(tmp_path / "project" / name)
        run_book(load_profile("smoke"), root=folder, say=lambda line: None)

    assert killed_at_each_write(action, tmp_path, book_of) >= 20


BOOK = """
import pathlib, sys
from in9.book import render
from in9.study.profile import load_profile
render.hash_of_folder = lambda folder: "0"
render.run_book(load_profile("smoke"), root=pathlib.Path(sys.argv[1]), say=lambda line: print(line, flush=True))
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="signals differ")
def test_a_book_whose_process_was_killed_while_pages_were_rendered(tmp_path: Path) -> None:
    """The renderer ends with it, so that it writes nothing into the next run's pages."""
    make_project(tmp_path / "project")
    command = [sys.executable, "-c", BOOK, str(tmp_path / "project")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert any("rendering" in line for line in process.stdout)
        time.sleep(1)
        renderers = psutil.Process(process.pid).children()
        process.kill()
    assert renderers and psutil.wait_procs(renderers, timeout=20)[1] == []
    assert not (tmp_path / "project" / "build" / "smoke" / "html").exists()
    subprocess.run(command, check=True, capture_output=True)
    after_a_kill = book_of(tmp_path / "project")
    subprocess.run(command, check=True, capture_output=True)
    assert book_of(tmp_path / "project") == after_a_kill
