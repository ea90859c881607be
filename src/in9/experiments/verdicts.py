"""Verdicts on the claims: computed from a study's records, and as text for a terminal.

A claim holds if the whole interval of its quantity lies in the region where the claim is true, does not hold if the
whole interval lies outside, and holds partly if the interval reaches across. No verdict starts a computation: open
the study with ``compute=False`` or ``recorded=True``, and what it has no record of is not tested.
"""

from __future__ import annotations

import math
import textwrap
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, zip_longest

from in9.evaluation.estimates import Estimate
from in9.evaluation.predictions import NoSeedInCommon
from in9.experiments.claims import CLAIMS, Claim, Region
from in9.experiments.quantities import Untestable
from in9.study.study import NotMeasured, Study

HOLDS, PARTLY, FAILS, UNTESTED = DECISIONS = ("holds", "partly", "does not hold", "not tested here")
RULE = (
    "Each claim says in our words what the paper found. It **holds** if the whole 95 % interval lies in the region of "
    "its test, **does not hold** if the whole interval lies outside, and holds **partly** if the interval reaches "
    "across. Accuracies and shares are in percent, differences in points, slopes in points per point of accuracy on "
    "ImageNet. Where the paper gives no bound, the sentence says ours."
)
NO_RECORD = "no record yet"
WIDTHS = (58, 7, 7, 20, 16)


@dataclass(frozen=True)
class Verdict:
    """What a study says of a claim: our number, None if it was not tested; the decision, and why it was not tested."""

    claim: Claim
    estimate: Estimate | None
    decision: str
    reason: str = ""


def decide(region: Region, estimate: Estimate) -> str:
    """What follows from where an interval lies; the ends of a region are not part of it."""
    if region.low < estimate.low and estimate.high < region.high:
        return HOLDS
    return FAILS if estimate.high <= region.low or region.high <= estimate.low else PARTLY


def judge(claim: Claim, study: Study) -> Verdict:
    """The verdict on one claim."""
    if study.compute:
        raise ValueError("Claims are judged by what was measured: open the study with compute=False.")
    try:
        estimate = claim.reading(study)
    except Untestable as error:
        return Verdict(claim, None, UNTESTED, str(error))
    except (NotMeasured, NoSeedInCommon):  # the latter after a run that was stopped
        return Verdict(claim, None, UNTESTED, NO_RECORD if study.recorded else f"run chapter {claim.chapter}")
    return Verdict(claim, estimate, decide(claim.region, estimate))


def judge_all(study: Study) -> list[Verdict]:
    """The verdict on every claim, in the order of the chapters."""
    return [judge(claim, study) for claim in CLAIMS]


def count(verdicts: Sequence[Verdict]) -> str:
    """How many claims have each verdict, in words."""
    counts = Counter(verdict.decision for verdict in verdicts)
    return ", ".join(f"{decision} {counts[decision]}" for decision in DECISIONS) + f" ({len(verdicts)} claims)"


def number(value: float) -> str:
    """A number of the paper as it is printed there; a dash where it prints none."""
    return "–" if math.isnan(value) else f"{value:g}"


def text(study: Study) -> str:
    """The claims for a terminal: chapter by chapter, the paper's number, the test, ours with its interval, verdict."""

    def line(*cells: str) -> str:
        wrapped = (textwrap.wrap(cell, width) for cell, width in zip(cells, WIDTHS, strict=True))
        return "\n".join(
            "  ".join(f"{part:<{width}}" for part, width in zip(parts, WIDTHS, strict=True)).rstrip()
            for parts in zip_longest(*wrapped, fillvalue="")
        )

    verdicts = judge_all(study)
    lines = [line("claim", "paper", "test", "our record" if study.recorded else "this run", "verdict")]
    for chapter, members in groupby(verdicts, key=lambda verdict: verdict.claim.chapter):
        lines += ["", f"chapter {chapter}"]
        for verdict in members:
            claim = verdict.claim
            ours = verdict.estimate.text() if verdict.estimate else verdict.reason
            lines.append(line(claim.text, number(claim.printed().value), claim.region.text, ours, verdict.decision))
    rule = textwrap.wrap(RULE.replace("**", ""), sum(WIDTHS))
    return "\n".join([*lines, "", *rule, "", f"{study.profile.name}: {count(verdicts)}"])
