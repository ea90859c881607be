"""Verdicts on the claims: computed from a study's records, as a frame, as text and for the book.

A claim holds if the whole interval of its quantity lies in the region where the claim is true, does not hold if the
whole interval lies outside, and holds partly if the interval reaches across. No verdict starts a computation: open
the study with ``compute=False`` or ``recorded=True``, and what it has no record of is not tested.
"""

from __future__ import annotations

import math
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, zip_longest

import pandas as pd

from in9.book.notebooks import find_chapters
from in9.evaluation.estimates import Estimate
from in9.experiments.claims import CLAIMS, Claim, Region
from in9.experiments.quantities import Untestable
from in9.plots import tables
from in9.study.study import NotMeasured, Study

HOLDS, PARTLY, FAILS, UNTESTED = VERDICTS = ("holds", "partly", "does not hold", "not tested here")
MARKS = {HOLDS: "holds", PARTLY: "partly", FAILS: "fails"}
RULE = (
    "Each claim says in our words what the paper found. It **holds** if the whole 95 % interval lies in the region of "
    "its test, **does not hold** if the whole interval lies outside, and holds **partly** if the interval reaches "
    "across. Accuracies and shares are in percent, differences in points, slopes in points per point of accuracy on "
    "ImageNet. Where the paper gives no bound, the sentence says ours."
)
NO_RECORD = "no record yet"
WIDTHS = (58, 7, 7, 20, 16)


@dataclass(frozen=True)
class Finding:
    """A claim in a study: our number, None where it was not tested; the verdict, and why it was not tested."""

    claim: Claim
    estimate: Estimate | None
    verdict: str
    reason: str = ""


def verdict(region: Region, estimate: Estimate) -> str:
    """What follows from where an interval lies; the ends of a region are not part of it."""
    if region.low < estimate.low and estimate.high < region.high:
        return HOLDS
    return FAILS if estimate.high <= region.low or region.high <= estimate.low else PARTLY


def judge(claim: Claim, study: Study) -> Finding:
    """The verdict on one claim."""
    if study.compute:
        raise ValueError("Claims are judged by what was measured: open the study with compute=False.")
    try:
        estimate = claim.reading(study)
    except Untestable as error:
        return Finding(claim, None, UNTESTED, str(error))
    except NotMeasured:
        return Finding(claim, None, UNTESTED, NO_RECORD if study.recorded else f"run chapter {claim.chapter}")
    return Finding(claim, estimate, verdict(claim.region, estimate))


def findings(study: Study) -> list[Finding]:
    """The verdict on every claim, in the order of the chapters."""
    return [judge(claim, study) for claim in CLAIMS]


def table(study: Study) -> pd.DataFrame:
    """One row for each claim: chapter, claim, place, note, paper, test, value, low, high, verdict, reason.

    Numbers are in percent or points, and NaN where there is none.
    """
    rows = []
    for one in findings(study):
        printed = one.claim.printed()
        value, low, high = one.estimate.in_percent() if one.estimate else (math.nan,) * 3
        rows.append(
            {
                "chapter": one.claim.chapter,
                "claim": one.claim.text,
                "place": printed.where,
                "note": printed.note,
                "paper": printed.value,
                "test": one.claim.region.text,
                "value": value,
                "low": low,
                "high": high,
                "verdict": one.verdict,
                "reason": one.reason,
            }
        )
    return pd.DataFrame(rows)


def count(found: Sequence[Finding]) -> str:
    """How many claims have each verdict, in words."""
    counts = Counter(one.verdict for one in found)
    return ", ".join(f"{one} {counts[one]}" for one in VERDICTS) + f" ({len(found)} claims)"


def number(value: float) -> str:
    """A number of the paper as it is printed there."""
    return tables.NOTHING if math.isnan(value) else f"{value:g}"


def text(study: Study) -> str:
    """The claims for a terminal: chapter by chapter, the paper's number, the test, ours with its interval, verdict."""

    def line(*cells: str) -> str:
        wrapped = (textwrap.wrap(cell, width) for cell, width in zip(cells, WIDTHS, strict=True))
        return "\n".join(
            "  ".join(f"{part:<{width}}" for part, width in zip(parts, WIDTHS, strict=True)).rstrip()
            for parts in zip_longest(*wrapped, fillvalue="")
        )

    found = findings(study)
    lines = [line("claim", "paper", "test", "our record" if study.recorded else "this run", "verdict")]
    for chapter, members in groupby(found, key=lambda one: one.claim.chapter):
        lines += ["", f"chapter {chapter}"]
        for one in members:
            ours = one.estimate.text() if one.estimate else one.reason
            lines.append(
                line(one.claim.text, number(one.claim.printed().value), one.claim.region.text, ours, one.verdict)
            )
    rule = textwrap.wrap(RULE.replace("**", ""), sum(WIDTHS))
    return "\n".join([*lines, "", *rule, "", f"{study.profile.name}: {count(found)}"])


def markdown(study: Study) -> str:
    """The claims for the book's first page, with our record on photographs beside this run and links to chapters."""
    names = {one.name[:2]: f"{{doc}}`/{one.name}`" for one in find_chapters(study.workspace.root)}
    found = {origin: findings(source) for origin, source in study.origins.items()}
    return page(study.profile.name, found, names)


def page(profile: str, found: Mapping[str, Sequence[Finding]], names: Mapping[str, str]) -> str:
    """``markdown`` from findings that are known already, by origin: ``record``, ``run`` or both.

    ``names`` has the link to each chapter by its number. A verdict is marked with a class of its own (``holds``,
    ``partly``, ``fails``), which the book's style colours.
    """

    def cell(one: Finding) -> str:
        if one.estimate is None:
            return f"{UNTESTED}: {one.reason}"
        unbroken = tables.cell(one.estimate).replace(" ", "\N{NO-BREAK SPACE}")
        return f"{unbroken} [{one.verdict}]{{.{MARKS[one.verdict]}}}"

    rows = []
    columns = ("claim", tables.ORIGINS["paper"], "test", *(tables.ORIGINS[origin] for origin in found))
    for chapter, members in groupby(zip(*found.values(), strict=True), key=lambda one: one[0].claim.chapter):
        rows.append(dict.fromkeys(columns, "") | {columns[0]: names.get(chapter, f"Chapter {chapter}")})
        for findings_of_it in members:
            claim = findings_of_it[0].claim
            printed = claim.printed()
            place = f"{printed.where}; {printed.note}" if printed.note else printed.where
            cells = (f"{number(printed.value)} ({place})", claim.region.text, *map(cell, findings_of_it))
            rows.append(dict(zip(columns, (claim.text, *cells), strict=True)))
    whose = {"record": "Our record (photographs)", "run": f"This run (profile `{profile}`)"}
    lines = [f"- {whose[origin]}: {count(some)}." for origin, some in found.items()]
    table = ["::::{container} claims", tables.table(rows).data, "::::"]
    return "\n".join([RULE, "", *lines, "", *table, ""])
