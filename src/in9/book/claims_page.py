"""The page of the claims: each with the paper's number, ours with its interval, and the verdict, to be filtered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby

from in9.book.blocks import rendered
from in9.book.notebooks import find_chapters
from in9.experiments import verdicts as judged
from in9.experiments.verdicts import DECISIONS, Verdict
from in9.plots import tables
from in9.study.study import Study


def page(study: Study) -> str:
    """The block of the page: the claims of each chapter, our record on photographs beside this run."""
    titles = {chapter.name[:2]: (chapter.name, chapter.title()) for chapter in find_chapters(study.workspace.root)}
    verdicts = {origin: judged.judge_all(source) for origin, source in study.origins.items()}
    return block(verdicts, titles)


def block(verdicts: Mapping[str, Sequence[Verdict]], titles: Mapping[str, tuple[str, str]]) -> str:
    """``page`` from verdicts that are known already, by origin: ``record``, ``run`` or both.

    ``titles`` has the name of each chapter's file, without its ending, and the chapter's title, by its number.
    """
    chapters = []
    for number, members in groupby(zip(*verdicts.values(), strict=True), key=lambda same: same[0].claim.chapter):
        name, title = titles.get(number, ("", f"Chapter {number}"))
        rows = [dict(zip(verdicts, same, strict=True)) for same in members]
        chapters.append({"name": name, "title": title, "rows": rows})
    return rendered(
        "claims",
        chapters=chapters,
        origins={origin: tables.ORIGIN_TITLES[origin] for origin in verdicts},
        counts={origin: judged.count(members) for origin, members in verdicts.items()},
        decisions=DECISIONS,
        number=judged.number,
        mark=judged.mark,
    )
