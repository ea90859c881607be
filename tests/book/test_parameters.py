"""Parameters of a chapter: the same checks for the book, plain papermill and a reader in JupyterLab."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, get_origin

import papermill
import pytest

from in9.book.notebooks import Chapter, find_chapters, parameters_for
from in9.book.parameters import declared, fitting, values_in
from in9.book.setup import CHANGES, open_study
from in9.errors import In9Error
from in9.experiments import backgrounds_suffice
from in9.study.workspace import HOME_VARIABLE

PROJECT = Path(__file__).parents[2]
CELL = """profile: str = "smoke"  # a profile
measure: bool = False
device: str = "cpu"
data: str = None
epochs: int = None
seeds: list[int] = None
architecture: str = None
training_sets: list[str] = None
"""
PARAMETERS = declared(CELL)
CHAPTERS = find_chapters(PROJECT)


@pytest.mark.parametrize(
    ("name", "value", "fit"),
    [
        ("seeds", 3, [3]),
        ("seeds", "0,1", [0, 1]),
        ("seeds", "0, 1", [0, 1]),
        ("seeds", (0, 1), [0, 1]),
        ("seeds", [2], [2]),
        ("seeds", None, None),
        ("epochs", 2, 2),
        ("measure", True, True),
        ("data", "folder", "folder"),
        ("training_sets", "original, mixed_rand", ["original", "mixed_rand"]),
    ],
)
def test_values_that_fit(name: str, value: Any, fit: Any) -> None:
    assert fitting(PARAMETERS, {name: value}) == {name: fit}


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("seeds", "first", r"'seeds' must be list\[int\] or None; 'first' is str"),
        ("seeds", 0.5, r"'seeds' must be list\[int\] or None; 0\.5 is float"),
        ("seeds", [0, "1"], r"'seeds' must be list\[int\] or None"),
        ("epochs", "three", "'epochs' must be int or None; 'three' is str"),
        ("epochs", 2.0, r"'epochs' must be int or None; 2\.0 is float"),
        ("epochs", True, "'epochs' must be int or None; True is bool"),
        ("measure", "yes", "'measure' must be bool; 'yes' is str"),
        ("device", None, "'device' must be str; None is NoneType"),
        ("epoch", 2, "no parameter 'epoch'. Did you mean 'epochs'.*architecture, data, device, epochs"),
    ],
)
def test_values_that_do_not(name: str, value: Any, message: str) -> None:
    with pytest.raises(In9Error, match=message):
        fitting(PARAMETERS, {name: value})


def test_without_an_annotation_the_default_tells_the_type() -> None:
    plain = declared("share = 0.5\nanything = None\n")
    assert fitting(plain, {"share": 1, "anything": [1]}) == {"share": 1, "anything": [1]}
    with pytest.raises(In9Error, match="'share' must be float; 'half' is str"):
        fitting(plain, {"share": "half"})
    assert declared("rate: float | None = 0.1")["rate"].fitting(None) is None
    with pytest.raises(ValueError, match="share: Wrong"):
        declared("share: Wrong = 0.5")


def notebook(*cells: str, **names: Any) -> dict[str, Any]:
    """The names of a notebook in which these cells have run."""
    return {"In": ["", *cells], **{name: parameter.default for name, parameter in PARAMETERS.items()}, **names}


def test_a_notebook_is_checked_by_the_cells_that_ran() -> None:
    assert values_in(notebook(CELL, "# Parameters\nseeds = '0,1'\n", seeds="0,1"))["seeds"] == [0, 1]
    with pytest.raises(In9Error, match="no parameter 'wrong'"):
        values_in(notebook("%matplotlib inline", CELL, "# Parameters\nwrong = 1\n", wrong=1))
    with pytest.raises(In9Error, match="'epochs' must be int or None; 'many' is str"):
        values_in(notebook(CELL, epochs="many"))  # edited in JupyterLab
    edited = CELL.replace("epochs: int = None", "epochs: int = 2")
    assert values_in(notebook(CELL, "# Parameters\nwrong = 1\n", edited, epochs=2))["epochs"] == 2
    assert values_in({"profile": "smoke"}) == {"profile": "smoke"}, "no notebook, nothing to check"


def test_what_changes_the_measurement_needs_a_measurement() -> None:
    with pytest.raises(In9Error, match="'epochs' changes what is measured, and without measure = True"):
        open_study(notebook(CELL, epochs=2))
    study = open_study(notebook(CELL, epochs=2, seeds=3, architecture="alexnet", data="~/built", measure=True))
    profile = study.profile
    assert (profile.recipe.epochs, profile.recipe.architecture, profile.seeds) == (2, "alexnet", (3,))
    assert study.compute and study.folder == Path.home() / "built"
    some = open_study(notebook(CELL, training_sets="original,no_fg", measure=True))
    assert some.profile.training_sets == ("original", "no_fg")
    assert set(backgrounds_suffice.MATRIX.groups(some.profile)) == {"original", "no_fg"}
    with pytest.raises(In9Error, match=r"no training set 'orginal'\. Did you mean 'original'"):
        open_study(notebook(CELL, training_sets="orginal", measure=True))


def test_every_chapter_has_the_same_parameters() -> None:
    cells = {chapter.name: chapter.declared() for chapter in CHAPTERS}
    assert len({str(parameters) for parameters in cells.values()}) == 1, cells
    assert CHANGES.items() <= CHAPTERS[0].declared().items()
    values = parameters_for(CHAPTERS, {"seeds": "0,1"})
    assert all(given == {"seeds": [0, 1]} for given in values.values())


@pytest.mark.parametrize("chapter", CHAPTERS, ids=[chapter.name for chapter in CHAPTERS])
def test_papermill_knows_the_parameters_too(chapter: Chapter) -> None:
    inferred = papermill.inspect_notebook(str(chapter.source.with_suffix(".ipynb")))
    types = {name: facts["inferred_type_name"] for name, facts in inferred.items()}
    kinds = {name: parameter.kind for name, parameter in chapter.declared().items()}
    assert types == {name: str(kind) if get_origin(kind) else kind.__name__ for name, kind in kinds.items()}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (["-p", "wrong", "1"], "There is no parameter 'wrong'. Choose one of: "),
        (["-p", "epochs", "three"], "The parameter 'epochs' must be int or None; 'three' is str."),
        (
            ["-p", "profile", "paper", "-p", "measure", "True"],
            "There is no data of profile 'paper' in {home}/data/paper: build it with "
            "`in9 build imagenet {home}/data/paper --archive PATH`",
        ),
    ],
)
def test_plain_papermill_is_refused_in_the_setup_cell(given: list[str], sentence: str, tmp_path: Path) -> None:
    (tmp_path / "records").symlink_to(PROJECT / "records")
    chapter = Chapter(PROJECT / "notebooks" / "03_bg_gap.py")
    command = [sys.executable, "-m", "papermill", "--no-progress-bar", *given]
    done = subprocess.run(
        [*command, str(chapter.source.with_suffix(".ipynb")), str(tmp_path / "out.ipynb")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, HOME_VARIABLE: str(tmp_path)},
    )
    assert done.returncode != 0
    last = [line for line in done.stderr.splitlines() if line.strip()][-1]
    assert re.sub(r"^\w+: ", "", last).startswith(sentence.format(home=tmp_path)), last
