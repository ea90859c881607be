"""Runs the chapters of the book and renders it: ``build/<profile>/html/index.html``.

What lies in ``build/<profile>/``: ``executed/`` the chapters that ran through, kept so that nothing is run twice;
``failed/`` the chapter that did not; ``source/`` what the renderer read; ``render.log`` what it said; ``html/``;
``in9-book-<profile>.zip`` the same pages as one file to hand on.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from multiprocessing import active_children, get_context
from pathlib import Path
from typing import Any

from tqdm import tqdm

from in9.book.assembly import Fragments, assemble
from in9.book.content_policy import with_policy
from in9.book.notebooks import CellFailed, Chapter, execute, find_chapters, parameters_for
from in9.data.dataset import Dataset, is_dataset
from in9.data.processes import interrupts_blocked, start_worker
from in9.evaluation import records
from in9.files import hash_of_file, one_writer, plain, remove_partials, written_whole
from in9.study.profile import Profile
from in9.study.workspace import Workspace, find_workspace

PROGRESS = "{n_fmt} of {total_fmt} chapters done, {remaining} left"
"""The line at the bottom of a terminal; the time left follows from the chapters that are done."""
RENDERER = """
import os, threading
threading.Thread(target=lambda: os.read(0, 1) or os._exit(1), daemon=True).start()
from jupyter_book.cli.main import main
main()
"""
"""The renderer, which ends with this process: its input is a pipe that nothing is written to."""
SHOWS_SCORES = "08_benchmark_progress"  # the chapter that plots what `in9 evaluate` has measured here


class BookFailed(Exception):
    """The book was not made: the message is for the user as it stands, ``exit_status`` for the shell."""

    def __init__(self, message: str, exit_status: int = 1) -> None:
        super().__init__(message)
        self.exit_status = exit_status


def run_book(
    profile: Profile,
    only: Sequence[str] = (),
    root: Path | None = None,
    parameters: Mapping[str, Any] | None = None,
    fresh: bool = False,
    engine: str | None = None,
    fragments: Fragments | None = None,
    prepare: Callable[[Sequence[str]], None] | None = None,
    side_by_side: int = 1,
    say: Callable[[str], None] = print,
) -> Path:
    """Run the chapters (``only`` some, by number or name), render the book, return the path of its index page.

    ``parameters`` go to the chapters that declare them. A chapter that was already run by the same source, package,
    records and parameters is not run again unless ``fresh``. ``engine`` says where jobs run.
    ``prepare`` is called with the numbers of the chapters that are about to run, to measure what they show. So many
    chapters as ``side_by_side`` says then run at a time.
    ``fragments`` gives the text of further files in ``generated/``, which pages include; ``claims.md`` is one.
    ``say`` gets each line of the report. A terminal has a line of progress below them.

    The old pages of this profile go before the first chapter runs, so what fails leaves no old book behind. If another
    process makes the book of this profile, this one waits for it.

    Raises In9Error for a chapter or a parameter that does not exist, BookFailed for a cell or a page that fails
    (status 1) and when interrupted (status 130); the next run then goes on where this one stopped.
    """
    root = (root or find_workspace().root).resolve()
    chosen, chapters = find_chapters(root, only), find_chapters(root)
    given = {**(parameters or {}), "profile": profile.option}
    parameters_for(chosen, given)  # refuses a parameter that none of the chosen chapters declares
    settings = parameters_for(chapters, given)
    place = root / "build" / profile.name
    html, archive = place / "html", place / f"in9-book-{profile.name}.zip"
    try:
        with one_writer(place, "making the book in"):
            for folder in (html, place / "failed", place / "running"):
                shutil.rmtree(folder, ignore_errors=True)
            archive.unlink(missing_ok=True)
            remove_partials(archive)
            common = {
                "profile": profile.name,
                "settings": asdict(profile),
                "package_sha256": hash_of_folder(Path(__file__).parents[1]),
                "records_sha256": hash_of_folder(Workspace(root).committed),
            }
            identities = {chapter: _identity(chapter, settings[chapter.name], root) | common for chapter in chapters}
            ran = {chapter: _provenance(place, chapter, identities[chapter]) for chapter in chapters}
            stale = [chapter for chapter in chosen if fresh or ran[chapter] is None]
            if prepare is not None and stale:
                prepare([chapter.name[:2] for chapter in stale])
            for chapter in chosen:
                if chapter not in stale:
                    say(f"{chapter.name}: up to date")

            runs = ((chapter, identities[chapter], root, place, profile, engine) for chapter in stale)
            look = {"bar_format": PROGRESS, "smoothing": 0, "mininterval": 0, "leave": False}
            with tqdm(total=len(stale), disable=None if stale else True, **look) as bar:  # None: but in a terminal
                ran |= dict(zip(stale, _side_by_side(list(runs), side_by_side, say, bar), strict=True))
            present = {chapter: provenance for chapter, provenance in ran.items() if provenance is not None}
            assemble(root, place, chapters, present, profile, fragments or {})
            say("rendering ...")
            render_pages(root, place, ["index", *(chapter.name for chapter in present)])
            _pack(html, archive)
    except KeyboardInterrupt:
        message = "Interrupted: no book was made. The chapters that ran through are kept; the same command goes on."
        raise BookFailed(message, 130) from None
    except OSError as error:
        raise BookFailed(f"The book could not be written: {error}.") from error
    width = max(len(chapter.name) for chapter in present)
    for chapter, provenance in present.items():
        say(f"  {chapter.name:<{width}}  {provenance['seconds']:8.1f} s")
    say(f"The book ({profile.name}) is at {html / 'index.html'}")
    say(f"As one file: {archive}")
    return html / "index.html"


def _side_by_side(
    runs: Sequence[Any], workers: int, say: Callable[[str], None], bar: tqdm[Any]
) -> list[dict[str, Any]]:
    """Run chapters, so many at a time, and return their provenance; ``runs`` are the arguments of ``_run``."""

    def tell(line: str) -> None:
        with bar.external_write_mode():  # the progress gives way to the line, and comes again below it
            say(line)

    if min(workers, len(runs)) <= 1:
        results = []
        for arguments in runs:
            tell(f"{arguments[0].name}: running ...")
            results.append(_run(*arguments))
            bar.update()
        return results
    pool = ProcessPoolExecutor(workers, get_context("spawn"), start_worker)
    try:
        with interrupts_blocked():
            futures = [pool.submit(_run, *arguments) for arguments in runs]
        for future in futures:
            future.add_done_callback(lambda _: bar.update())
        for arguments, future in zip(runs, futures, strict=True):
            future.result()
            tell(f"{arguments[0].name}: done")
        return [future.result() for future in futures]
    except BaseException:  # nobody waits for the chapters that are still running; a kernel ends with its worker
        for worker in active_children():
            worker.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def hash_of_folder(folder: Path) -> str:
    """SHA-256 over the names and contents of all files below a folder; compiled files are left out."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            name, content = path.relative_to(folder).as_posix(), path.read_bytes()
            digest.update(f"{name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def _identity(chapter: Chapter, parameters: Mapping[str, Any], root: Path) -> dict[str, Any]:
    """What decides, beside the package and the records, what a chapter shows. While it stays, the chapter does."""
    identity = {"parameters": parameters, "source_sha256": hash_of_file(chapter.source)}
    if chapter.name == SHOWS_SCORES:
        identity["scores_sha256"] = hash_of_folder(Workspace(root).scores)
    return identity


def _provenance(place: Path, chapter: Chapter, identity: Mapping[str, Any]) -> dict[str, Any] | None:
    """The provenance of the chapter as it was executed, or None if that was not by this identity."""
    try:
        record = json.loads((place / "executed" / f"{chapter.name}.ipynb").read_text("utf8"))["metadata"]["in9"]
    except (FileNotFoundError, ValueError, KeyError):
        return None
    return record if all(record.get(key) == value for key, value in plain(identity).items()) else None


def _run(
    chapter: Chapter, identity: Mapping[str, Any], root: Path, place: Path, profile: Profile, engine: str | None
) -> dict[str, Any]:
    """Execute one chapter and return its provenance. The notebook counts only once it has run through."""
    import nbformat

    folders = ("running", "executed", "failed")
    running, executed, failed = (place / folder / f"{chapter.name}.ipynb" for folder in folders)
    for path in (running, executed):
        path.parent.mkdir(parents=True, exist_ok=True)
    executed.unlink(missing_ok=True)
    begin = time.perf_counter()
    try:
        notebook = execute(chapter, identity["parameters"], root, running, engine)
    except CellFailed as error:
        failed.parent.mkdir(exist_ok=True)
        running.replace(failed)
        raise BookFailed(
            f"{chapter.name} failed; what it did until then is in {failed.relative_to(root)}\n"
            f"  cell {error.number}: {error.line}\n"
            f"  {error.error}"
        ) from None
    record = plain({**identity, **records.provenance(time.perf_counter() - begin, "")})
    data = Workspace(root).dataset(profile.data)
    record["data"] = Dataset(data).hash if is_dataset(data) else None
    notebook.metadata["in9"] = record
    nbformat.write(notebook, running)
    running.replace(executed)
    return record


def render_pages(root: Path, place: Path, names: Iterable[str]) -> None:
    """Render ``place/source`` with Jupyter Book into ``place/html``, which appears only when all pages are good.

    Raises BookFailed for any warning, and for a page among ``names`` that is missing.
    """
    source, work, log = place / "source", place / "render", place / "render.log"
    shutil.rmtree(work, ignore_errors=True)
    command = [sys.executable, "-c", RENDERER, "build", str(source)]
    command += ["-W", "-n", "--keep-going", "--path-output", str(work)]
    environment = {**os.environ, "PYTHONWARNINGS": "ignore", "NO_COLOR": "1"}
    with log.open("w", encoding="utf8") as stream:
        options: dict[str, Any] = {"stdout": stream, "stderr": subprocess.STDOUT, "cwd": root, "env": environment}
        with subprocess.Popen(command, stdin=subprocess.PIPE, **options) as renderer:
            status = renderer.wait()
    rendered = work / "_build" / "html"
    missing = [f"{name}.html is missing" for name in names if not (rendered / f"{name}.html").is_file()]
    if status or missing:
        text = log.read_text("utf8").replace(f"{source}{os.sep}", "")
        complaints = re.findall(r"^.*(?:WARNING|ERROR|Error|error:).*$", text, re.M) or text.splitlines()[-10:]
        lines = "\n".join(f"  {line.strip()}" for line in [*complaints[:20], *missing])
        raise BookFailed(f"The book was not rendered; the whole story is in {log.relative_to(root)}\n{lines}")
    for page in rendered.glob("*.html"):
        page.write_text(with_policy(page.read_text("utf8"), page.name), encoding="utf8")
    rendered.replace(place / "html")
    shutil.rmtree(work)


def _pack(html: Path, archive: Path) -> None:
    """Write the pages as one file, in a folder of its name; unpacked, ``index.html`` opens without a network."""
    with written_whole(archive) as partial, zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as stream:
        for path in sorted(html.rglob("*")):
            stream.write(path, Path(archive.stem) / path.relative_to(html))
