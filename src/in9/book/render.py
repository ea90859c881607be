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
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from in9.book.notebooks import CellFailed, Chapter, execute, find_chapters, parameters_for
from in9.errors import In9Error
from in9.evaluation import records
from in9.study.workspace import find_workspace

Fragments = Mapping[str, Callable[[], str]]


class BookFailed(Exception):
    """The book was not made: the message is for the user as it stands, ``exit_status`` for the shell."""

    def __init__(self, message: str, exit_status: int = 1) -> None:
        super().__init__(message)
        self.exit_status = exit_status


def run_book(
    profile: str = "control",
    only: Sequence[str] = (),
    root: Path | None = None,
    parameters: Mapping[str, Any] | None = None,
    fresh: bool = False,
    engine: str | None = None,
    fragments: Fragments | None = None,
    say: Callable[[str], None] = print,
) -> Path:
    """Run the chapters (``only`` some, by number or name), render the book, return the path of its index page.

    ``parameters`` go to the chapters that declare them. A chapter that was already run by the same source, package,
    records and parameters is not run again unless ``fresh``. ``engine`` says where units run.
    ``fragments`` gives the text of further files in ``generated/``, which pages include; ``claims.md`` is one.
    ``say`` gets each line of the report.

    The old pages of this profile go before the first chapter runs, so what fails leaves no old book behind.

    Raises In9Error for a chapter or a parameter that does not exist, BookFailed for a cell or a page that fails
    (status 1) and when interrupted (status 130); the next run then goes on where this one stopped.
    """
    from in9.study.profile import profile_named  # here, because it imports torch

    about = profile_named(profile).about
    root = (root or find_workspace().root).resolve()
    given = {**(parameters or {}), "profile": profile}
    chosen, chapters = find_chapters(root, only), find_chapters(root)
    parameters_for(chosen, given)
    settings = parameters_for(chapters, given)
    place = root / "build" / profile
    code = {
        "package_sha256": _tree_hash(Path(__file__).parents[1]),
        "records_sha256": _tree_hash(root / "records"),
    }
    try:
        for stale in ("html", "failed", "running"):
            shutil.rmtree(place / stale, ignore_errors=True)
        _archive(place).unlink(missing_ok=True)
        present = {}
        for chapter in chapters:
            identity = {"profile": profile, "parameters": settings[chapter.name], **code}
            source = chapter.source.read_bytes()
            identity["source_sha256"] = hashlib.sha256(source).hexdigest()
            if b"progress" in source:  # it draws what `in9 evaluate` has measured here
                identity["scores_sha256"] = _tree_hash(root / "runs" / "records" / "scores")
            kept = None if fresh and chapter in chosen else _executed(place, chapter, identity)
            if chapter in chosen:
                say(f"{chapter.name}: {'up to date' if kept else 'running ...'}")
                kept = kept or _run(chapter, identity, root, place, engine)
            if kept:
                present[chapter] = kept
        _assemble(root, place, chapters, present, about, fragments or {})
        say("rendering ...")
        index = _render(root, place, present)
        archive = _pack(place)
    except KeyboardInterrupt:
        message = "Interrupted: no book was made. The chapters that ran through are kept; the same command goes on."
        raise BookFailed(message, 130) from None
    except OSError as error:
        raise BookFailed(f"The book could not be written: {error}.") from error
    width = max(len(chapter.name) for chapter in present)
    for chapter, record in present.items():
        say(f"  {chapter.name:<{width}}  {record['seconds']:8.1f} s")
    say(f"The book ({profile}) is at {index}")
    say(f"As one file: {archive}")
    return index


def _tree_hash(folder: Path) -> str:
    """SHA-256 over the names and contents of all files below a folder; compiled files are left out."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            name, content = path.relative_to(folder).as_posix(), path.read_bytes()
            digest.update(f"{name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def _executed(place: Path, chapter: Chapter, identity: Mapping[str, Any]) -> dict[str, Any] | None:
    """The provenance of the chapter as it was executed, if it was by this identity."""
    try:
        record = json.loads((place / "executed" / f"{chapter.name}.ipynb").read_text("utf8"))["metadata"]["in9"]
    except (FileNotFoundError, ValueError, KeyError):
        return None
    return record if all(record.get(key) == value for key, value in records.plain(identity).items()) else None


def _run(chapter: Chapter, identity: Mapping[str, Any], root: Path, place: Path, engine: str | None) -> dict[str, Any]:
    """Execute one chapter; only when it ran through is it moved, whole, to where it counts."""
    import nbformat

    running, executed, failed = (
        place / folder / f"{chapter.name}.ipynb" for folder in ("running", "executed", "failed")
    )
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
    record = records.plain({**identity, **records.provenance(time.perf_counter() - begin, "")})
    record["data"] = _data_hash(root / "data" / identity["profile"])
    notebook.metadata["in9"] = record
    nbformat.write(notebook, running)
    running.replace(executed)
    return record


def _data_hash(folder: Path) -> str | None:
    """The content of the profile's dataset, or None where it is not here."""
    from in9.data.dataset import Dataset

    return Dataset(folder).hash if (folder / "manifest.json").is_file() else None


def _assemble(
    root: Path, place: Path, chapters: list[Chapter], present: dict[Chapter, Any], about: str, fragments: Fragments
) -> None:
    """Put together what the renderer reads: pages, chapters, contents, and the generated fragments."""
    import nbformat
    import yaml

    source = place / "source"
    shutil.rmtree(source, ignore_errors=True)
    shutil.copytree(root / "book", source, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    shutil.copy(root / "_config.yml", source)
    for chapter in chapters:
        if chapter in present:
            notebook = nbformat.read(place / "executed" / f"{chapter.name}.ipynb", 4)
            _number_tables(notebook)
            nbformat.write(notebook, source / f"{chapter.name}.ipynb")
            continue
        # Other pages may link to it, so a chapter that was not run is a page that says so.
        note = f"# {chapter.title()}\n\nThis chapter is not part of this build. `in9 book --profile {place.name} "
        cell = nbformat.v4.new_markdown_cell(note + f"--only {chapter.name[:2]}` adds it.", id="absent")
        nbformat.write(nbformat.v4.new_notebook(cells=[cell]), source / f"{chapter.name}.ipynb")
    texts = {
        "status.md": lambda: _status(present),
        "records.md": lambda: _record_status(root / "records"),
        "chapters.md": lambda: "".join(f"- {{doc}}`/{one.name}`\n" for one in present),
        "profile.md": lambda: f"This build uses the profile `{place.name}`. {about}\n",
        "claims.md": lambda: "The table of claims is not part of this build.\n",
        **fragments,
    }
    (source / "generated").mkdir()
    for name, text in texts.items():
        (source / "generated" / name).write_text(text(), encoding="utf8")
    contents = yaml.safe_load((root / "book" / "_toc.yml").read_text("utf8"))
    listed = _drop_missing(contents, source)
    forgotten = [chapter.name for chapter in present if chapter.name not in listed]
    if forgotten:
        raise In9Error(f"book/_toc.yml does not list {', '.join(forgotten)}: add it, so that it gets into the book.")
    (source / "_toc.yml").write_text(yaml.safe_dump(contents, sort_keys=False), encoding="utf8")


def _number_tables(notebook: Any) -> None:
    """Give the tables of cells that say so (``table``: caption and name) a number and a caption, in place.

    In JupyterLab they are plain Markdown; only the renderer reads directives.
    """
    for cell in (one for one in notebook.cells if "table" in one.metadata):
        about = cell.metadata["table"]
        for output in cell.outputs:
            if "text/markdown" in output.get("data", {}):
                lines = output.data["text/markdown"]
                output.data["text/markdown"] = (
                    f":::{{table}} {about['caption']}\n:name: {about['name']}\n\n{lines}\n:::\n"
                )


def _drop_missing(entry: dict[str, Any], source: Path) -> set[str]:
    """Remove, in place, chapters that have no notebook and parts that are then empty; return the files that stay."""
    listed = {str(entry.get("file", ""))}
    for level in ("parts", "chapters", "sections"):
        for child in list(entry.get(level, [])):
            name = str(child.get("file", ""))
            missing = re.match(r"\d\d_", name) and not (source / f"{name}.ipynb").is_file()
            below = set() if missing else _drop_missing(child, source)
            if missing or child.get("chapters") == []:
                entry[level].remove(child)
            listed |= below
    return listed


def _status(present: Mapping[Chapter, Mapping[str, Any]]) -> str:
    """A Markdown table: each chapter with what it was run by and on, when and for how long; and the machine."""
    from in9.plots import tables  # here, because it imports pandas

    machines = sorted({_machine(record) for record in present.values()})
    rows = [
        {
            "chapter": f"{{doc}}`/{chapter.name}`",
            "parameters": ", ".join(f"{name} = {value}" for name, value in record["parameters"].items()),
            "data": f"`{record['data'][:8]}`" if record.get("data") else "none",
            "seconds": round(record["seconds"]),
            "finished (UTC)": _minute(record),
            "commit": (record["commit"] or "none")[:8] + (", changed" if record["uncommitted_changes"] else ""),
        }
        | ({"machine": _machine(record)} if len(machines) > 1 else {})
        for chapter, record in present.items()
    ]
    return tables.table(rows).data + (f"\n\nAll on {machines[0]}.\n" if len(machines) == 1 else "\n")


def _record_status(folder: Path) -> str:
    """A Markdown table: the project's records by kind, with how long they took in all, when and on what."""
    from in9.plots import tables

    rows = []
    for place in sorted(path for path in folder.glob("*") if path.is_dir()):
        every = records.Store(place).all()
        for kind in sorted({record.kind for record in every}):
            facts = [record.provenance for record in every if record.kind == kind]
            times = sorted(map(_minute, facts))
            rows.append(
                {
                    "records": f"{place.name}: {kind.replace('_', ' ')}",
                    "number": len(facts),
                    "hours in all": sum(one["seconds"] for one in facts) / 3600,
                    "first and last (UTC)": " to ".join(dict.fromkeys((times[0], times[-1]))),
                    "commits": ", ".join(sorted({str(one["commit"])[:8] for one in facts})),
                    "machines": "; ".join(sorted(set(map(_machine, facts)))),
                }
            )
    return f"{tables.table(rows).data}\n" if rows else "The project has no records yet.\n"


def _minute(facts: Mapping[str, Any]) -> str:
    return str(facts["when"])[:16].replace("T", " ")


def _machine(facts: Mapping[str, Any]) -> str:
    return f"{facts['processor']}, {facts['cores']} cores, GPU: {facts['gpu'] or 'none'}"


def _render(root: Path, place: Path, present: Mapping[Chapter, Any]) -> Path:
    """Render with Jupyter Book, warnings as errors; the pages appear in ``html/`` only when all are good."""
    work, log, html = place / "render", place / "render.log", place / "html"
    shutil.rmtree(work, ignore_errors=True)
    command = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()", "build", str(place / "source")]
    command += ["-W", "-n", "--keep-going", "--path-output", str(work)]
    with log.open("w", encoding="utf8") as stream:
        environment = {**os.environ, "PYTHONWARNINGS": "ignore", "NO_COLOR": "1"}
        result = subprocess.run(command, stdout=stream, stderr=subprocess.STDOUT, cwd=root, env=environment)
    pages = [work / "_build" / "html" / f"{name}.html" for name in ("index", *(one.name for one in present))]
    missing = [f"{page.name} is missing" for page in pages if not page.is_file()]
    if result.returncode or missing:
        text = log.read_text("utf8").replace(f"{place / 'source'}{os.sep}", "")
        complaints = re.findall(r"^.*(?:WARNING|ERROR|Error|error:).*$", text, re.M) or text.splitlines()[-10:]
        lines = "\n".join(f"  {line.strip()}" for line in [*complaints[:20], *missing])
        raise BookFailed(f"The book was not rendered; the whole story is in {log.relative_to(root)}\n{lines}")
    (work / "_build" / "html").replace(html)
    shutil.rmtree(work)
    return html / "index.html"


def _archive(place: Path) -> Path:
    """Where the pages lie as one file."""
    return place / f"in9-book-{place.name}.zip"


def _pack(place: Path) -> Path:
    """The pages as one file, in a folder of its name; unpacked, ``index.html`` opens without a network."""
    archive, html = _archive(place), place / "html"
    partial = archive.with_suffix(".partial")
    with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as stream:
        for path in sorted(html.rglob("*")):
            stream.write(path, Path(archive.stem) / path.relative_to(html))
    return partial.replace(archive)
