"""The claims as the book shows them: each with the paper's number, ours with its interval, and the verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby

from in9.book.notebooks import find_chapters
from in9.experiments import verdicts as judged
from in9.experiments.verdicts import CONTRADICTED, SUPPORTED, UNDECIDED, UNTESTED, Verdict
from in9.plots import tables
from in9.study.study import Study

VERDICT_STYLES = {SUPPORTED: "supported", UNDECIDED: "undecided", CONTRADICTED: "contradicted"}
"""The classes of the book's style that colour a verdict."""


def markdown(study: Study) -> str:
    """The claims for the book's first page, with our record on photographs beside this run and links to chapters."""
    links = {chapter.name[:2]: f"{{doc}}`/{chapter.name}`" for chapter in find_chapters(study.workspace.root)}
    verdicts = {origin: judged.judge_all(source) for origin, source in study.origins.items()}
    return page(study.profile.name, verdicts, links)


def page(profile: str, verdicts: Mapping[str, Sequence[Verdict]], links: Mapping[str, str]) -> str:
    """``markdown`` from verdicts that are known already, by origin: ``record``, ``run`` or both.

    ``links`` has the link to each chapter by its number.
    """
    rows = []
    columns = ("claim", tables.ORIGIN_TITLES["paper"], "test", *(tables.ORIGIN_TITLES[origin] for origin in verdicts))
    for chapter, members in groupby(zip(*verdicts.values(), strict=True), key=lambda pair: pair[0].claim.chapter):
        rows.append(dict.fromkeys(columns, "") | {columns[0]: links.get(chapter, f"Chapter {chapter}")})
        for verdicts_on_it in members:
            claim = verdicts_on_it[0].claim
            printed = claim.printed()
            place = f"{printed.where}; {printed.note}" if printed.note else printed.where
            cells = (f"{judged.number(printed.value)} ({place})", judged.mark(claim), *map(_cell, verdicts_on_it))
            rows.append(dict(zip(columns, (claim.text, *cells), strict=True)))
    whose = {"record": "Our record (photographs)", "run": f"This run (profile `{profile}`)"}
    lines = [f"- {whose[origin]}: {judged.count(members)}." for origin, members in verdicts.items()]
    table = ["::::{container} claims", tables.table(rows).data, "::::"]
    return "\n".join([judged.RULE, "", *lines, "", *table, ""])


def _cell(verdict: Verdict) -> str:
    if verdict.estimate is None:
        return f"{UNTESTED}: {verdict.reason}"
    unbroken = tables.cell(verdict.estimate).replace(" ", "\N{NO-BREAK SPACE}")
    agrees = {True: ", agrees", False: ", differs", None: ""}[verdict.agrees]
    remark = f" ({verdict.remark})" if verdict.remark else ""
    return f"{unbroken}{remark} [{verdict.decision}]{{.{VERDICT_STYLES[verdict.decision]}}}{agrees}"
