"""The runner, on a small project of its own that loads no torch in its notebooks."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
import zipfile
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from small_book import FIRST, PROJECT, SECOND, make_project
from two_at_once import run_two

from in9.book.assembly import cost_table, trial_table
from in9.book.notebooks import find_chapters, sync_notebooks
from in9.book.render import BookFailed, run_book
from in9.errors import In9Error
from in9.experiments.why_we_differ import trial_rows
from in9.study.profile import load_profile
from in9.study.study import REFERENCE, Study
from in9.study.workspace import Workspace


class Requests(HTMLParser):
    """Collects what a browser would fetch for a page."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        name = {"script": "src", "img": "src", "iframe": "src", "link": "href"}.get(tag)
        self.addresses += [value for key, value in attrs if key == name and value]


def executed(project: Path, name: str) -> dict:
    return json.loads((project / "build" / "smoke" / "executed" / f"{name}.ipynb").read_text())


def test_the_book_is_rendered(index: Path, project: Path) -> None:
    assert index == project / "build" / "smoke" / "html" / "index.html"
    page = (index.parent / "01_first.html").read_text()
    assert 'alt="a line that rises"' in page
    assert "Numbers of no meaning." in page and "Download as CSV" in page
    assert "<script>" not in page.partition("Numbers of no meaning.")[2].partition("</table>")[0], "names are escaped"
    assert 'href="glossary.html"' in page and 'href="02_second.html"' in page
    assert f"python: {sys.executable} folder: {project} slope: 3" in page
    assert "noise" not in page, "stderr must not be shown"
    assert "words" not in page, "the cell of default parameters must not be shown"
    assert re.search(r"<details.*?Parameters of this run.*?slope.*?</details>", page, re.S), (
        "the parameters used must be folded"
    )
    front = index.read_text()
    assert "profile <code" in front and 'href="01_first.html"' in front
    assert "54.3 [50.1, 58.2]" in (index.parent / "claims.html").read_text()
    status = (index.parent / "status.html").read_text()
    assert "slope = 3" in status and "profile = smoke" in status


def test_pages_ask_no_other_host(index: Path) -> None:
    for page in index.parent.glob("*.html"):
        text, requests = page.read_text(), Requests()
        requests.feed(text)
        assert requests.addresses
        for address in requests.addresses:
            assert not re.match(r"(https?:)?//", address), f"{page.name} asks for {address}"
            # what is named is there
            target = address.split("?")[0].split("#")[0]
            assert target in ("", "#") or target.startswith("data:") or (page.parent / target).exists(), address
        assert not re.search(r"unpkg|jsdelivr|cdnjs", text), page.name
    assert list(index.parent.glob("_static/mathjax/output/chtml/fonts/**/*.woff"))


def test_the_pages_also_come_as_one_file(index: Path) -> None:
    with zipfile.ZipFile(index.parents[1] / "in9-book-smoke.zip") as archive:
        packed = {name.removeprefix("in9-book-smoke/") for name in archive.namelist() if not name.endswith("/")}
    assert packed == {path.relative_to(index.parent).as_posix() for path in index.parent.rglob("*") if path.is_file()}


def test_a_notebook_says_where_it_comes_from(index: Path) -> None:
    record = executed(index.parents[3], "01_first")["metadata"]["in9"]
    assert record["profile"] == "smoke" and record["parameters"] == {"slope": 3, "profile": "smoke"}
    for key in ("source_sha256", "package_sha256", "seconds", "commit", "python", "processor", "when"):
        assert key in record
    assert "papermill" not in executed(index.parents[3], "01_first")["metadata"]


def test_resumes_then_runs_what_changed(index: Path, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("in9.book.render.hash_of_folder", lambda folder: "0")
    monkeypatch.setattr("in9.book.render.render_pages", lambda root, place, names: None)
    lines: list[str] = []
    count = project / "count.txt"
    before = len(count.read_text())
    arguments: dict = {"root": project, "parameters": {"slope": 3}, "say": lines.append}
    arguments["prepare"] = lambda chapters: lines.append(f"prepared {chapters}")
    run_book(load_profile("smoke"), **arguments)
    assert "01_first: up to date" in lines and "02_second: up to date" in lines
    assert not any("prepared" in line for line in lines), "nothing to measure where nothing runs"
    assert len(count.read_text()) == before
    source = project / "notebooks" / "02_second.py"
    source.write_text(SECOND + "\n# %%\nchanged = True\n")
    lines.clear()
    run_book(load_profile("smoke"), **arguments)
    assert lines[:3] == ["prepared ['02']", "01_first: up to date", "02_second: running ..."]
    assert len(count.read_text()) == before + 1
    with pytest.raises(In9Error, match=r"Not in step .* 02_second\.ipynb"):
        sync_notebooks(project, check=True)
    source.write_text(SECOND)
    lines.clear()
    monkeypatch.setattr("in9.book.render.hash_of_folder", lambda folder: "1")
    run_book(load_profile("smoke"), only=["01"], **arguments)
    assert "01_first: running ..." in lines, "the package has changed"
    lines.clear()
    run_book(replace(load_profile("smoke"), dial_epochs=1), only=["01"], **arguments)
    assert "01_first: running ..." in lines, "the profile's settings have changed"
    run_book(load_profile("smoke"), only=["2"], root=project, parameters={}, fresh=True, say=lines.append)
    assert len(count.read_text()) == before + 2
    assembled = project / "build" / "smoke" / "source"
    assert "not part of this build" in (assembled / "01_first.ipynb").read_text()
    assert (assembled / "generated" / "trials.md").read_text() == "The project has no record of the trials yet.\n"


def test_the_trials_on_the_page_are_those_of_the_records() -> None:
    study = Study(REFERENCE, recorded=True, workspace=Workspace(PROJECT), progress=False)
    text, rows = trial_table(PROJECT), trial_rows(study)
    assert len(rows) > 3 and text.count("\n| ") == 1 + len(rows)
    assert all(row["recipe"] in text and f"{row['accuracy, %'].in_percent().value:.1f}" in text for row in rows)


def test_the_cost_on_the_page_is_that_of_the_records(tmp_path: Path) -> None:
    assert cost_table(tmp_path) == "No record of the project says how fast the networks are on a GPU.\n"
    (tmp_path / "records").symlink_to(PROJECT / "records")
    text = cost_table(tmp_path)
    assert "| 9 trainings of a resnet50 | " in text and "one NVIDIA" in text and text.count(" days |") >= 2
    assert "for 45,405 training images" in text, "as many as the paper has, where none are built"
    assert "generated/cost.md" in (PROJECT / "book" / "scale_out.md").read_text("utf8")


class Terminal(io.StringIO):
    """Keeps what is written to a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("side_by_side", [1, 2])
def test_a_terminal_has_a_line_of_progress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, side_by_side: int) -> None:
    monkeypatch.setattr("in9.book.render.render_pages", lambda root, place, names: None)
    make_project(tmp_path)
    monkeypatch.setattr("sys.stderr", terminal := Terminal())
    lines: list[str] = []
    run_book(load_profile("smoke"), root=tmp_path, side_by_side=side_by_side, say=lines.append)
    said = terminal.getvalue()
    assert "0 of 2 chapters done" in said and "2 of 2 chapters done, 00:00 left" in said
    assert re.search(r"1 of 2 chapters done, 0\d:\d\d left", said)
    assert not any("chapters done" in line for line in lines)


def test_chapters_run_side_by_side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("in9.book.render.render_pages", lambda root, place, names: None)
    make_project(tmp_path)
    lines: list[str] = []
    (tmp_path / "fail.txt").touch()
    with pytest.raises(BookFailed, match="02_second failed") as failed:
        run_book(load_profile("smoke"), root=tmp_path, side_by_side=2, say=lines.append)
    assert failed.value.exit_status == 1 and "no luck" in str(failed.value)
    assert lines == ["01_first: done"]
    (tmp_path / "fail.txt").unlink()
    run_book(load_profile("smoke"), root=tmp_path, side_by_side=2, say=lines.append)
    assert "01_first: up to date" in lines and "02_second: running ..." in lines
    assert executed(tmp_path, "01_first")["metadata"]["in9"]["parameters"] == {"profile": "smoke"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"parameters": {"slop": 1.0}}, "no parameter 'slop'. Did you mean 'slope'.*profile, slope, words"),
        ({"parameters": {"slope": "steep"}}, "'slope' must be float.*'steep' is str"),
        ({"parameters": {"slope": True}}, "must be float.*True is bool"),
        ({"parameters": {"slope": 1.0}, "only": ["02"]}, "no parameter 'slope'"),
        ({"only": ["07"]}, "no chapter '07'.*01_first, 02_second"),
        ({"profile": "smok"}, "no profile 'smok'. Did you mean 'smoke'"),
    ],
)
def test_mistakes_leave_the_book_alone(project: Path, arguments: dict, message: str) -> None:
    html = project / "build" / "smoke" / "html"
    html.mkdir(parents=True, exist_ok=True)
    with pytest.raises(In9Error, match=message):
        run_book(load_profile(arguments.pop("profile", "smoke")), root=project, **arguments)
    assert html.is_dir()


def test_a_failed_cell(project: Path) -> None:
    place = project / "build" / "smoke"
    (place / "html").mkdir(parents=True, exist_ok=True)
    (place / "html" / "index.html").write_text("old")
    (project / "fail.txt").touch()
    try:
        with pytest.raises(BookFailed) as caught:
            run_book(load_profile("smoke"), only=["02_second"], root=project, fresh=True)
    finally:
        (project / "fail.txt").unlink()
    lines = str(caught.value).splitlines()
    assert len(lines) == 3 and caught.value.exit_status == 1
    assert lines[0].startswith("02_second failed") and "build/smoke/failed/02_second.ipynb" in lines[0]
    assert lines[1].strip() == "cell 3: from pathlib import Path"
    assert lines[2].strip() == "ValueError: no luck"
    assert "no luck" in (place / "failed" / "02_second.ipynb").read_text()
    assert not (place / "html").exists() and not (place / "executed" / "02_second.ipynb").exists()


def test_a_page_that_does_not_render(project: Path) -> None:
    page = project / "book" / "how_to_read.md"
    text = page.read_text()
    line = len(text.splitlines()) + 2
    page.write_text(text + "\nSee {doc}`nowhere`.\n")
    try:
        with pytest.raises(BookFailed, match=rf"render\.log\n(.*\n)*.*how_to_read\.md:{line}: .*nowhere") as caught:
            run_book(load_profile("smoke"), only=["02"], root=project)
    finally:
        page.write_text(text)
    assert caught.value.exit_status == 1
    assert not (project / "build" / "smoke" / "html").exists()


@pytest.mark.skipif(os.name == "nt", reason="signals differ")
def test_interrupt(project: Path) -> None:
    (project / "notebooks" / "03_slow.py").write_text(
        SECOND.replace("# # Second", "# # Slow").split("# %%\nfrom")[0]
        + "# %%\nimport os, pathlib, time\npathlib.Path('kernel.txt').write_text(str(os.getpid()))\ntime.sleep(300)\n"
    )
    code = (
        "import signal, sys, pathlib\nfrom in9.book.render import run_book, BookFailed\n"
        "from in9.study.profile import load_profile\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a job in the background starts deaf to it
        "try:\n    run_book(load_profile('smoke'), only=['03'], root=pathlib.Path(sys.argv[1]))\n"
        "except BookFailed as error:\n    print(error)\n    sys.exit(error.exit_status)\n"
    )
    noted = project / "kernel.txt"
    process = subprocess.Popen([sys.executable, "-c", code, str(project)], stdout=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 60
        while not (noted.exists() and noted.read_text()) and time.monotonic() < deadline:
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=30)
    finally:
        process.kill()
        (project / "notebooks" / "03_slow.py").unlink()
    assert process.returncode == 130 and "Interrupted" in output
    with pytest.raises(ProcessLookupError):
        os.kill(int(noted.read_text()), 0)


TWICE = """
import pathlib, shutil, sys
from small_book import made_up_claims
from in9.book import render
from in9.study.profile import load_profile
render.hash_of_folder = lambda folder: "0"
profile = load_profile("smoke")
print("ready", flush=True)
input()
for number, folder in enumerate(map(pathlib.Path, sys.argv[1:])):
    if number:
        render.render_pages = lambda root, place, names: shutil.copytree(place / "source", place / "html")
    render.run_book(profile, root=folder, only=["02"] if number else [], fragments={"claims.html": made_up_claims})
    print("made", flush=True)
"""


@pytest.mark.slow
def test_two_that_make_the_same_book_run_each_chapter_once(tmp_path: Path) -> None:
    """Ten times; the first is the whole book, the others take one chapter and let their pages be, to be quick."""
    folders = [tmp_path / str(number) for number in range(10)]
    for folder in folders:
        folder.mkdir()
        make_project(folder)
    answers = run_two(TWICE, *folders)
    assert any("is making the book in" in complaints for _, complaints in answers)
    first, second = (output.split("made\n") for output, _ in answers)
    assert first.pop() == second.pop() == ""
    for folder, *said in zip(folders, first, second, strict=True):
        assert (folder / "count.txt").read_text() == "x"
        assert sorted("02_second: running ..." in output for output in said) == [False, True]
        assert sorted("02_second: up to date" in output for output in said) == [False, True]
        place = folder / "build" / "smoke"
        with zipfile.ZipFile(place / "in9-book-smoke.zip") as archive:
            assert (place / "html").is_dir() and archive.testzip() is None
        assert [path.name for path in place.parent.iterdir()] == ["smoke"]
    assert (folders[0] / "build" / "smoke" / "html" / "index.html").is_file()


def test_the_pair_runs_by_itself_with_papermill(project: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.ipynb"
    command = [sys.executable, "-m", "papermill", "notebooks/01_first.ipynb", str(target), "-p", "slope", "5"]
    result = subprocess.run([*command, "--no-progress-bar"], cwd=project, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "slope: 5" in target.read_text()


def test_pairs_are_written_the_same_every_time(project: Path) -> None:
    pair = project / "notebooks" / "01_first.ipynb"
    content = pair.read_bytes()
    assert b'"outputs": []' in content and b'"output_type"' not in content
    pair.unlink()
    assert sync_notebooks(project) == [pair]
    assert pair.read_bytes() == content
    assert sync_notebooks(project) == [] and sync_notebooks(project, check=True) == []


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('tags=["parameters"]', 'tags=["other"]', "has 0 cells tagged"),
        ("slope = 2.0", "slope = 2.0 * factor", "not a plain assignment"),
        ("slope = 2.0", "slope, factor = 2.0, 1", "not a plain assignment"),
        ("slope = 2.0", "slope = factor = 2.0", "not a plain assignment"),
        ("slope = 2.0", "slope: float", "not a plain assignment"),
        ('profile = "control"', "", "must declare the parameter 'profile'"),
    ],
)
def test_a_chapter_must_declare_its_parameters(tmp_path: Path, old: str, new: str, message: str) -> None:
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "01_first.py").write_text(FIRST.replace(old, new))
    with pytest.raises(In9Error, match=message):
        sync_notebooks(tmp_path)


def test_no_chapter(tmp_path: Path) -> None:
    with pytest.raises(In9Error, match="no chapter"):
        find_chapters(tmp_path)


def test_the_chapters_of_this_project_are_in_step() -> None:
    assert sync_notebooks(PROJECT, check=True) == []
