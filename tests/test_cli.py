"""The command line: what it prints, what it returns, and that a user's mistake is one sentence."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from small_tiny import tiny_files, write_tiny

import in9.book.render
from in9.cli.options import assignments
from in9.data.build import build as build_dataset
from in9.data.dataset import Dataset
from in9.data.photographs import listing
from in9.data.published import MASKS_FILE
from in9.data.sources import open_source
from in9.data.splits import Split
from in9.errors import In9Error
from in9.evaluation.records import Record, Store
from in9.study.profile import Profile, load_profile
from in9.study.workspace import find_workspace


def one_sentence(status: int, err: str) -> None:
    assert status == 2
    assert err.startswith("in9: ") and err.endswith(".\n") and err.count("\n") == 1
    assert "Traceback" not in err


def test_help_lists_the_commands(run) -> None:
    for option in ("--help", "-h"):
        status, out, err = run(option)
        assert status == 0 and err == ""
        for command in ("book", "build", "train", "export", "records"):
            assert command in out


@pytest.mark.parametrize("command", ["book", "build", "train", "export", "records", "sync", "backgrounds", "saliency"])
def test_every_command_has_help(run, command: str) -> None:
    status, out, err = run(command, "--help")
    assert status == 0 and err == "" and f"in9 {command}" in out


def test_no_command_shows_help_and_fails(run) -> None:
    status, out, err = run()
    assert status == 2 and "Usage" in out + err


def test_help_does_not_wait_for_torch() -> None:
    code = (
        "import sys, in9.cli.main\n"
        "sys.exit(any(name in sys.modules for name in ('torch', 'pandas', 'cv2', 'matplotlib')))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize(
    "words",
    [
        ["--bogus"],
        ["book", "--bogus", "1"],
        ["bogus"],
        ["build"],
        ["build", "synthetic"],
        ["build", "a", "b", "--workers", "0"],
    ],
)
def test_a_wrong_command_line_is_status_two_without_a_traceback(run, words: list[str]) -> None:
    status, _, err = run(*words)
    assert status == 2 and "Usage" in err and "Traceback" not in err


# --- build and export -------------------------------------------------------------------------------------------


def build(run, out: Path, *more: object) -> tuple[int, str, str]:
    return run("build", "synthetic", out, "--workers", 1, "--set", "per_class=12", "--set", "image_size=32", *more)


def test_build_and_export(run, tmp_path: Path) -> None:
    status, out, _ = build(run, tmp_path / "drawn", "--set", "rho=0.5", "--seed", 3)
    assert status == 0
    dataset = Dataset(tmp_path / "drawn")
    assert dataset.settings["source_settings"]["rho"] == 0.5 and dataset.settings["seed"] == 3
    table, _, closing = out.strip().rpartition("\n")
    assert "accepted" in table and "dog" in table and "108" in table
    assert f"{dataset.path}: 108 images; with a good mask" in closing and dataset.hash in closing
    assert "test" in closing and "train" in closing

    status, out, err = run("export", tmp_path / "drawn", tmp_path / "released")
    assert status == 0 and "released" in out
    assert len(list((tmp_path / "released").glob("**/mixed_rand/val/02_wheeled vehicle/*.png"))) == 4

    status, out, err = build(run, tmp_path / "drawn", "--set", "rho=0.5", "--seed", 3)  # it is there already
    assert status == 0
    status, out, err = build(run, tmp_path / "drawn", "--set", "rho=0.6", "--seed", 3)
    one_sentence(status, err)
    assert "other settings" in err


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["synthetc", "out"], ["no source 'synthetc'", "Did you mean 'synthetic'", "tiny-imagenet"]),
        (["synthetic", "out", "--set", "roh=1"], ["has no option 'roh'", "rho", "per_class"]),
        (["synthetic", "out", "--set", "rho"], ["'rho' is not of the form name=value"]),
        (["synthetic", "out", "--set", "rho=much"], ["rho"]),
        (["synthetic", "out", "--set", "rho=7"], ["rho", "7"]),
        (["synthetic", "out", "--set", "per_class=1.5"], ["per_class", "1.5"]),
        (["synthetic", "out", "--set", "per_class=0"], ["per_class", "0"]),
        (["synthetic", "out", "--archive", "some.zip"], ["has no option 'archive'"]),
        (["tiny-imagenet", "out", "--archive", "missing.zip"], ["missing.zip"]),
    ],
)
def test_a_build_that_cannot_be_says_why(
    run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], parts: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    status, out, err = run("build", *words)
    one_sentence(status, err)
    assert out == "" and all(part in err for part in parts), err
    assert not (tmp_path / "out").exists() and not (tmp_path / "out.partial").exists()


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The dataset of a small Tiny ImageNet whose archive lies beside it; each class has an image to test."""
    root = tmp_path_factory.mktemp("tiny")
    archive = write_tiny(tiny_files(good=8, unknown=0), root / "tiny.zip")
    source, split = open_source("tiny-imagenet", archive=archive), Split(test=0.0, folds=2)
    return build_dataset(source, root / "first", workers=1, seed=5, split=split, progress=False).path


@pytest.fixture
def tiny(run, first: Path, tmp_path: Path) -> Path:
    """The archive of that small Tiny ImageNet, in a project that has published its masks."""
    published = tmp_path / "home" / "records" / "tiny" / MASKS_FILE
    published.parent.mkdir(parents=True)
    shutil.copy(first / MASKS_FILE, published)
    return first.parent / "tiny.zip"


def folder_content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_tiny_imagenet_takes_the_masks_of_the_project(run, tmp_path: Path, tiny: Path, first: Path) -> None:
    words = ("build", "tiny-imagenet", tmp_path / "out", "--archive", tiny, "--workers", 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("in9.data.masks.segment", None)  # must not be needed
        status, out, _ = run(*words)
    assert status == 0 and folder_content(tmp_path / "out") == folder_content(first)
    assert out.splitlines()[0] == f"masks from {Path('records', 'tiny', MASKS_FILE)}; --grabcut finds them anew"
    assert "published" not in out
    status, out, _ = run(*words)  # it is there already
    assert status == 0
    status, out, _ = run("build", "tiny-imagenet", tmp_path / "other", "--archive", tiny, "--from", first / MASKS_FILE)
    assert status == 0 and "masks from" not in out
    assert folder_content(tmp_path / "other") == folder_content(first)


@pytest.mark.parametrize(
    ("words", "split"),
    [
        (["--grabcut"], {"test": 0.2, "validation": 0.05, "folds": 0}),
        (["--seed", "5"], {"test": 0.2, "validation": 0.05, "folds": 0}),
        (["--folds", "0"], {"test": 0.2, "validation": 0.05, "folds": 0}),
        (["--folds", "2"], {"test": 0.0, "validation": 0.05, "folds": 2}),
        (["--grabcut", "--folds", "2", "--seed", "5"], {"test": 0.0, "validation": 0.05, "folds": 2}),
    ],
)
def test_masks_are_found_anew_where_that_is_asked_for(
    run, tmp_path: Path, tiny: Path, first: Path, words: list[str], split: dict[str, float]
) -> None:
    status, out, err = run("build", "tiny-imagenet", tmp_path / "out", "--archive", tiny, "--workers", 1, *words)
    assert status == 0, err
    assert "masks from" not in out
    dataset = Dataset(tmp_path / "out")
    assert dataset.settings["split"] == split and dataset.settings["seed"] == (5 if "--seed" in words else 0)
    same = folder_content(dataset.path) == folder_content(first)
    assert same == (dataset.settings == Dataset(first).settings)


def test_published_masks_of_other_settings_are_left_alone(run, tmp_path: Path, tiny: Path) -> None:
    published = tmp_path / "home" / "records" / "tiny" / MASKS_FILE
    text = json.loads(gzip.decompress(published.read_bytes()))
    text["settings"]["source_settings"] = {"cropped": True}
    published.write_bytes(gzip.compress(json.dumps(text).encode()))
    status, out, _ = run("build", "tiny-imagenet", tmp_path / "out", "--archive", tiny, "--workers", 1)
    assert status == 0 and "masks from" not in out and Dataset(tmp_path / "out").folds == 0
    status, out, _ = build(run, tmp_path / "control")
    assert status == 0 and "masks from" not in out


def test_another_hash_than_the_published_one_is_told(run, tmp_path: Path, tiny: Path, first: Path) -> None:
    masks = tmp_path / "other.gz"
    text = json.loads(gzip.decompress((first / MASKS_FILE).read_bytes()))
    masks.write_bytes(gzip.compress(json.dumps(text | {"hash": "0123456789abcdef"}).encode()))
    status, out, _ = run("build", "tiny-imagenet", tmp_path / "out", "--archive", tiny, "--from", masks, "--workers", 1)
    assert status == 0 and "The published dataset has the hash 0123456789abcdef" in out
    assert Dataset(tmp_path / "out").hash == Dataset(first).hash


def test_published_masks_of_other_images(run, tmp_path: Path, tiny: Path, first: Path) -> None:
    files = tiny_files(good=8, unknown=0)
    ids = Dataset(first).table["id"].tolist()
    files[ids[3]], files[ids[40]] = files[ids[40]], files[ids[3]]
    archive, out = write_tiny(files, tmp_path / "other.zip"), tmp_path / "out"
    status, _, err = run("build", "tiny-imagenet", out, "--archive", archive, "--workers", 2)
    one_sentence(status, err.splitlines(keepends=True)[-1])
    assert f"in9: {ids[3]} is another image than the one in " in err and "--grabcut" in err and not out.exists()
    status, _, err = run("build", "tiny-imagenet", out, "--archive", archive, "--grabcut", "--workers", 1)
    assert status == 0, err
    published = tmp_path / "home" / "records" / "tiny" / MASKS_FILE
    published.write_bytes(published.read_bytes()[:-9])
    status, _, err = run("build", "tiny-imagenet", tmp_path / "new", "--archive", tiny)
    one_sentence(status, err)
    assert f"{published} is damaged, or no published {MASKS_FILE}; fetch it again" in err


def test_folds_that_cannot_be(run, tmp_path: Path, tiny: Path) -> None:
    status, _, err = run("build", "tiny-imagenet", tmp_path / "out", "--archive", tiny, "--folds", 9, "--workers", 1)
    one_sentence(status, err.splitlines(keepends=True)[-1])
    assert "has no image of" in err and "take fewer folds" in err
    assert not (tmp_path / "out").exists() and not (tmp_path / "out.partial").exists()


def test_export_needs_a_collection_and_a_split(run, tmp_path: Path, dataset: Dataset) -> None:
    status, _, err = run("export", tmp_path / "nothing", tmp_path / "out")
    one_sentence(status, err)
    assert "is not a dataset" in err and "in9 build" in err
    status, _, err = run("export", dataset.path, tmp_path / "out", "--split", "tset")
    one_sentence(status, err)
    assert "Did you mean 'test'" in err
    assert not (tmp_path / "out").exists()


# --- profiles, training, records --------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["book", "train", "records"])
def test_an_unknown_profile_lists_those_that_exist(run, command: str) -> None:
    status, out, err = run(command, "--profile", "contrl")
    one_sentence(status, err)
    assert "no profile 'contrl'. Did you mean 'control'?" in err and "smoke, split, tiny" in err and out == ""


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["--on", "mixed_ran"], ["no training set 'mixed_ran'", "Did you mean 'mixed_rand'", "in9l"]),
        (["--device", "cuda:77"], ["Device 'cuda:77' cannot be used", "--device cpu"]),
    ],
)
def test_training_that_cannot_be_says_why(run, words: list[str], parts: list[str], tmp_path: Path) -> None:
    status, _, err = run("train", "--profile", "smoke", *words)
    lines = [line for line in err.splitlines(keepends=True) if line.startswith("in9: ")]
    one_sentence(status, "".join(lines))
    assert "Traceback" not in err and all(part in lines[0] for part in parts)
    assert not (tmp_path / "home" / "runs").exists()


def test_train_prints_accuracy_and_gap(run, tmp_path: Path) -> None:
    words = ["train", "--profile", "smoke", "--on", "only_fg", "--on", "only_fg", "--device", "cpu", "--jobs", 1]
    status, out, err = run(*words)
    assert status == 0, err
    assert "only_fg" in out and "mixed_next" in out and "in9l" in out and "gap" in out
    assert len(out.splitlines()) == 5  # twice a heading, the heading of the rows, and one row for what was asked twice
    status, again, err = run(*words)
    assert status == 0 and again == out and "evaluation" not in err  # found, not trained
    status, out, _ = run("records", "--profile", "smoke")
    assert status == 0 and out.endswith("2 records\n") and "only_fg_seed0" in out and "draws" in out


def test_records_are_listed(run, tmp_path: Path) -> None:
    status, out, _ = run("records")
    assert status == 0 and out == "0 records\n"
    facts = {"when": "2024-01-02T03:04:05+00:00", "seconds": 12.5}
    record = Record("evaluation", "original_seed0", {"a": 1}, "f" * 16, {"labels": {}, "predictions": {}}, facts)
    path = Store(tmp_path / "home" / "records" / "tiny").write(record)
    status, out, _ = run("records", "--committed")
    assert status == 0 and out.endswith("1 records\n")
    assert all(part in out for part in ("evaluation", "original_seed0", facts["when"], "12.5 s", record.key))
    path.write_text("{")
    status, _, err = run("records", "--committed")
    one_sentence(status, err)
    assert "is damaged" in err


# --- how it ends ------------------------------------------------------------------------------------------------


def test_ctrl_c_is_status_130_with_a_sentence(run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("in9.study.study.Study.read", interrupted)
    status, out, err = run("train", "--profile", "smoke")
    assert status == 130 and out == ""
    assert err == "in9: stopped; the same command goes on from here.\n"


def test_an_error_that_is_ours_shows_its_traceback(run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: object, **options: object) -> None:
        raise ZeroDivisionError("ours")

    monkeypatch.setattr(in9.book.render, "run_book", broken)
    with pytest.raises(ZeroDivisionError):
        run("book", "--measure")


@pytest.mark.parametrize("status", [1, 130])
def test_a_book_that_failed_says_so_itself(run, monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    def failed(*arguments: object, **options: object) -> None:
        raise in9.book.render.BookFailed("one\ntwo\nthree", status)

    monkeypatch.setattr(in9.book.render, "run_book", failed)
    assert run("book", "--measure") == (status, "", "one\ntwo\nthree\n")


def test_book_hands_on_what_it_was_told(run, monkeypatch: pytest.MonkeyPatch) -> None:
    told: dict[str, object] = {}

    def remember(profile: Profile, **options: object) -> None:
        told.update(options, profile=profile)

    monkeypatch.setattr(in9.book.render, "run_book", remember)
    status, _, _ = run(
        "book",
        "--profile",
        "tiny",
        "--measure",
        "--only",
        "03",
        "--only",
        "1",
        "--set",
        "rho=0.5",
        "--set",
        "a=b",
        "--fresh",
    )
    assert status == 0
    assert told["profile"] == load_profile("tiny") and list(told["only"]) == ["03", "1"] and told["fresh"] is True
    assert told["parameters"] == {"rho": 0.5, "a": "b", "measure": True}


def test_a_book_shows_photographs_and_needs_records(run) -> None:
    status, _, err = run("book", "--profile", "control")
    one_sentence(status, err)
    assert "images of profile 'control' are synthetic" in err
    chapters = Path(os.environ["IN9_HOME"]) / "notebooks"
    chapters.mkdir(parents=True)
    (chapters / "01_first.py").write_text("")
    status, _, err = run("book", "--profile", "light")
    one_sentence(status, err)
    assert "no records of profile 'light' yet; with --measure" in err


def test_assignments() -> None:
    assert assignments(["a=1", "b=0.5", "c=[1, 2]", "d=x=y", "e=", "f='1'", "g=None", "h=True"]) == {
        "a": 1, "b": 0.5, "c": [1, 2], "d": "x=y", "e": "", "f": "1", "g": None, "h": True,
    }  # fmt: skip
    for wrong in ("a", "=1", ""):
        with pytest.raises(In9Error, match="not of the form name=value"):
            assignments([wrong])


def test_fetch_knows_its_data_sets(run) -> None:
    status, _, err = run("fetch", "release")
    one_sentence(status, err)
    assert "no dataset to fetch 'release'. Did you mean 'released'" in err


def test_photographs_are_fetched_into_the_project(run, tmp_path, monkeypatch) -> None:
    archive = tmp_path / "archive"
    archive.mkdir()
    photograph = replace(listing()[0], sha256=hashlib.sha256(b"pixels").hexdigest())
    (archive / f"{photograph.id}.png").write_bytes(b"pixels")
    monkeypatch.setattr("in9.data.photographs.listing", lambda: (photograph,))
    status, out, err = run("fetch", "photographs", "--archive", archive)
    folder = tmp_path / "home" / "data" / "photographs"
    assert (status, err) == (0, "") and out.startswith(f"{folder} (sha256:")
    assert sorted(path.name for path in folder.iterdir()) == sorted([f"{photograph.id}.png", "CREDITS.md"])
    assert find_workspace().photographs == folder
