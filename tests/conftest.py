"""Fixtures that several test modules share."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from small_book import made_up_claims, make_project, published_leaderboard

from in9.book.render import run_book
from in9.cli.main import main
from in9.data.build import build
from in9.data.dataset import Dataset
from in9.data.export import export
from in9.data.released import HOME
from in9.data.sources import open_source
from in9.data.splits import Split
from in9.study.profile import load_profile

if TYPE_CHECKING:
    import torch


@pytest.fixture(scope="session", autouse=True)
def notes_of_hashes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder of the tests' own for what is noted of files that were checked."""
    folder = tmp_path_factory.mktemp("states")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(folder))
        yield folder


@pytest.fixture(scope="session")
def dataset(tmp_path_factory) -> Dataset:
    """A small control dataset: 12 images of 32 pixels a class, of which 4 train, 4 validation and 4 test."""
    source = open_source("synthetic", rho=0.8, per_class=12, image_size=32)
    out = tmp_path_factory.mktemp("control") / "dataset"
    return build(source, out, workers=1, split=Split(test=1 / 3, validation=1 / 3), progress=False)


@pytest.fixture(scope="session")
def exported(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The test images of that dataset in the layout of the authors' archive; nobody changes it."""
    return export(dataset, tmp_path_factory.mktemp("exported") / HOME, progress=False)


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Torch on one thread: fastest for small networks, and their sums are rounded the same way each time."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def network(dataset: Dataset, one_thread: None) -> torch.nn.Module:
    """A network trained for a moment, so that its answers differ from image to image."""
    from in9.data.variants import load_pool
    from in9.training.loop import train
    from in9.training.recipe import Recipe

    recipe = Recipe("original+only_fg+mixed_rand", "small_resnet_w8_b1", 15, 12, learning_rate=0.05, schedule="cosine")
    return train(recipe, load_pool(dataset, "train"))[0]


@pytest.fixture
def idle(monkeypatch: pytest.MonkeyPatch) -> None:
    """No job may run: what a test asks for must be among the records."""

    def refuse(*arguments: object, **options: object) -> None:
        raise AssertionError("this should have been found among the records")

    monkeypatch.setattr("in9.study.study.run_jobs", refuse)


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, tmp_path: Path
) -> Callable[..., tuple[int, str, str]]:
    """Run a command in an empty project: its exit status, and what it wrote to stdout and stderr."""
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("IN9_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "200")

    def command(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["in9", *map(str, words)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main()
        written = capsys.readouterr()
        return int(end.value.code or 0), written.out, written.err

    return command


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with two chapters, the real book's pages and its looks."""
    root = tmp_path_factory.mktemp("project")
    make_project(root)
    return root


@pytest.fixture(scope="session")
def index(project: Path) -> Path:
    """The project's book, made once; ``test_book`` uses it up."""
    # The package itself may change while somebody works on it; here it counts as unchanged.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("in9.book.render.hash_of_folder", lambda folder: "0")
        fragments = {"claims.html": made_up_claims, "leaderboard.html": published_leaderboard}
        page = run_book(load_profile("smoke"), root=project, parameters={"slope": 3}, fragments=fragments)
    shutil.copytree(page.parent, project.parent / "pages")
    return page


@pytest.fixture(scope="session")
def pages(index: Path, project: Path) -> Path:
    """A copy of that book's pages, which nobody changes."""
    return project.parent / "pages"
