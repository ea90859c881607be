"""What the renderer reads: the book's pages, the chapters as they ran, and what is written for this build alone."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from in9.book.notebooks import Chapter
from in9.errors import In9Error
from in9.evaluation import records
from in9.experiments import why_we_differ
from in9.experiments.measuring import EXPERIMENTS
from in9.experiments.planning import recorded_scale
from in9.plots import tables
from in9.study.costs import images_of
from in9.study.profile import Profile, load_profile
from in9.study.study import REFERENCE, Study
from in9.study.workspace import Workspace
from in9.training.recipe import IN9L

Fragments = Mapping[str, Callable[[], str]]


def assemble(
    root: Path,
    place: Path,
    chapters: Collection[Chapter],
    present: Mapping[Chapter, Mapping[str, Any]],
    profile: Profile,
    fragments: Fragments,
) -> None:
    """Make the folder ``place/source`` anew from the project's ``book/`` and the chapters in ``place/executed``.

    ``present`` are the chapters that belong to this build, with their provenance. Other pages may link to any of the
    ``chapters``, so one that was not run is a page that says so. ``fragments`` gives the text of files in
    ``source/generated``, by name. Raises In9Error if the contents do not list a chapter that is present.
    """
    import nbformat
    import yaml

    source = place / "source"
    shutil.rmtree(source, ignore_errors=True)
    shutil.copytree(root / "book", source, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    shutil.copy(root / "_config.yml", source)

    for chapter in chapters:
        if chapter in present:
            notebook = nbformat.read(place / "executed" / f"{chapter.name}.ipynb", 4)
            _link_pages(notebook)
        else:
            text = (
                f"# {chapter.title()}\n\nThis chapter is not part of this build. "
                f"`in9 book --profile {profile.option} --only {chapter.name[:2]}` adds it."
            )
            notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(text, id="absent")])
        nbformat.write(notebook, source / f"{chapter.name}.ipynb")

    texts: Fragments = {
        "status.md": lambda: chapter_table(present),
        "records.md": lambda: record_table(root / "records"),
        "trials.md": lambda: trial_table(root),
        "cost.md": lambda: cost_table(root),
        "profile.md": lambda: f"This build uses the profile `{profile.name}`. {profile.about}\n",
        **dict.fromkeys(("claims.html", "experiment.html", "findings.md", "leaderboard.html"), _absent),
        "credit.md": lambda: "",
        **fragments,
    }
    (source / "generated").mkdir()
    for name, text_of in texts.items():
        (source / "generated" / name).write_text(text_of(), encoding="utf8")

    contents = yaml.safe_load((root / "book" / "_toc.yml").read_text("utf8"))
    listed = _drop_missing(contents, {chapter.name for chapter in chapters})
    if forgotten := [chapter.name for chapter in present if chapter.name not in listed]:
        raise In9Error(f"book/_toc.yml does not list {', '.join(forgotten)}: add it, so that it gets into the book.")
    (source / "_toc.yml").write_text(yaml.safe_dump(contents, sort_keys=False), encoding="utf8")


def chapter_table(present: Mapping[Chapter, Mapping[str, Any]]) -> str:
    """A Markdown table: each chapter with what it was run by and on, when and for how long; and the machine."""
    machines = sorted({_machine(facts) for facts in present.values()})
    rows = [
        {
            "chapter": f"{{doc}}`/{chapter.name}`",
            "parameters": ", ".join(f"{name} = {value}" for name, value in facts["parameters"].items()),
            "data": f"`{facts['data'][:8]}`" if facts.get("data") else "none",
            "seconds": round(facts["seconds"]),
            "finished (UTC)": _minute(facts),
            "commit": (facts["commit"] or "none")[:8] + (", changed" if facts["uncommitted_changes"] else ""),
        }
        | ({"machine": _machine(facts)} if len(machines) > 1 else {})
        for chapter, facts in present.items()
    ]
    return tables.table(rows).markdown() + (f"\n\nAll on {machines[0]}.\n" if len(machines) == 1 else "\n")


def record_table(folder: Path) -> str:
    """A Markdown table: the project's records by kind, with how long they took in all, when and on what."""
    rows = []
    for place in sorted(path for path in folder.glob("*") if path.is_dir()):
        stored = records.Store(place).all()
        for kind in sorted({record.kind for record in stored}):
            provenance = [record.provenance for record in stored if record.kind == kind]
            times = sorted(map(_minute, provenance))
            rows.append(
                {
                    "records": tables.escaped(f"{place.name}: {kind.replace('_', ' ')}"),
                    "number": len(provenance),
                    "hours in all": sum(facts.get("seconds", 0) for facts in provenance) / 3600,
                    "first and last (UTC)": " to ".join(dict.fromkeys((times[0], times[-1]))),
                    "commits": tables.escaped(
                        ", ".join(sorted({str(facts.get("commit"))[:8] for facts in provenance})), longest=1000
                    ),
                    "machines": tables.escaped("; ".join(sorted(set(map(_machine, provenance)))), longest=1000),
                }
            )
    return f"{tables.table(rows).markdown()}\n" if rows else "The project has no records yet.\n"


def trial_table(root: Path) -> str:
    """A Markdown table: the recipes that the project's record tried, and on how many validation images."""
    study = Study(REFERENCE, recorded=True, workspace=Workspace(root), progress=False)
    rows = why_we_differ.trial_rows(study)
    if not rows:
        return "The project has no record of the trials yet.\n"
    images = len(next(iter(why_we_differ.TRIALS.read(study).values())).labels[IN9L])
    return f"Accuracy on {images:,} validation images, one network each:\n\n{tables.table(rows).markdown()}\n"


def cost_table(root: Path) -> str:
    """A Markdown table: what the paper's study on ImageNet takes on a GPU of the project's records."""
    profile, workspace = load_profile("paper"), Workspace(root)
    frame, images = recorded_scale(profile, workspace, [*EXPERIMENTS.values()]), images_of(profile, workspace)
    if frame.empty:
        return "No record of the project says how fast the networks are on a GPU.\n"
    rows = [dict(zip(("work", *frame.columns), row, strict=True)) for row in frame.itertuples()]
    return (
        f"{tables.table(rows).markdown()}\n\nThat is for {images.train:,} training images, {images.whole_train:,} in "
        f"IN-9L, and {images.test:,} test images.\n"
    )


def _absent() -> str:
    return "Not part of this build.\n"


def _link_pages(notebook: Any) -> None:
    """Change links, in place, to where pages lie for the renderer: beside the chapters, which in HTML are pages."""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = cell.source.replace("](../book/", "](")
        for data in (output.get("data", {}) for output in cell.get("outputs", [])):
            if text := data.get("text/markdown"):
                data["text/markdown"] = text.replace("](../book/", "](")
            if text := data.get("text/html"):
                data["text/html"] = re.sub(r'href="(?:\.\./book/)?([a-z0-9_]+)\.(?:ipynb|md)', r'href="\1.html', text)


def _drop_missing(entry: dict[str, Any], notebooks: Collection[str]) -> set[str]:
    """Remove, in place, chapters without a notebook and parts that are then empty; return the files that stay."""
    listed = {str(entry.get("file", ""))}
    for level in ("parts", "chapters", "sections"):
        for child in list(entry.get(level, [])):
            name = str(child.get("file", ""))
            missing = re.match(r"\d\d_", name) and name not in notebooks
            below = set() if missing else _drop_missing(child, notebooks)
            if missing or child.get("chapters") == []:
                entry[level].remove(child)
            listed |= below
    return listed


def _minute(facts: Mapping[str, Any]) -> str:
    return str(facts.get("when", ""))[:16].replace("T", " ")


def _machine(facts: Mapping[str, Any]) -> str:
    return f"{facts.get('processor')}, {facts.get('cores')} cores, GPU: {facts.get('gpu') or 'none'}"
