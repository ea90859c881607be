"""Verdicts on the claims: computed from a study's records, and as text for a terminal.

A claim is supported if the whole interval of its quantity lies in the region where the claim is true, contradicted if
the whole interval lies outside, and undecided if the interval reaches across. No verdict starts a computation: open
the study with ``compute=False`` or ``recorded=True``, and what it has no record of is not tested.
"""

from __future__ import annotations

import math
import textwrap
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, zip_longest

from scipy import stats

from in9.evaluation.clusters import NORMAL
from in9.evaluation.estimates import Estimate
from in9.evaluation.predictions import NoSeedInCommon
from in9.experiments.claims import CLAIMS, Claim, Region
from in9.experiments.paper import Fact
from in9.experiments.quantities import Untestable
from in9.study.study import NotMeasured, Study

SUPPORTED, UNDECIDED, CONTRADICTED, UNTESTED = DECISIONS = ("supported", "undecided", "contradicted", "not tested")
RULE = (
    "Each claim says in our words what the paper found. It is **supported** if our whole 95 % interval lies in the "
    "region of its test, **contradicted** if the whole interval lies outside, and **undecided** if the interval "
    "contains points of both. *Agrees* says whether the paper's own number lies in our interval; it stays empty where "
    "the paper prints none or used another protocol. Accuracies and shares are in percent, differences in points, "
    "slopes in points for each point of accuracy on ImageNet. A test marked * has a bound that we chose."
)
NO_RECORD = "no record yet"
WIDTHS = (54, 7, 8, 20, 8, 14)


@dataclass(frozen=True)
class Verdict:
    """What a study says of a claim: our number, None if it was not tested; the decision, and why it was not tested.

    ``agrees`` says whether the paper's number lies in our interval; None where that cannot be asked. ``remark`` is what
    a reader of our number must know.
    """

    claim: Claim
    estimate: Estimate | None
    decision: str
    reason: str = ""
    agrees: bool | None = None
    remark: str = ""

    @property
    def ours(self) -> str:
        """Our number with its interval and the remark, or why there is none."""
        if self.estimate is None:
            return self.reason
        return f"{self.estimate.text()} ({self.remark})" if self.remark else self.estimate.text()

    @property
    def p_value(self) -> float:
        """How easily chance alone would put our number beyond the end of the region that is next to it.

        Half of a two-sided normal test with the interval's standard error; 1 where nothing was tested.
        """
        if self.estimate is None:
            return 1.0
        error = max(self.estimate.high - self.estimate.low, 1e-9) / 2 / NORMAL
        ends = [end for end in (self.claim.region.low, self.claim.region.high) if math.isfinite(end)]
        return float(stats.norm.sf(min(abs(self.estimate.value - end) for end in ends) / error))


def decide(region: Region, estimate: Estimate) -> str:
    """What follows from where an interval lies; the ends of a region are not part of it."""
    if region.low < estimate.low and estimate.high < region.high:
        return SUPPORTED
    return CONTRADICTED if estimate.high <= region.low or region.high <= estimate.low else UNDECIDED


def judge(claim: Claim, study: Study) -> Verdict:
    """The verdict on one claim."""
    if study.compute:
        raise ValueError("Claims are judged by what was measured: open the study with compute=False.")
    try:
        estimate = claim.reading.read(study)
        remark = claim.remark(study) if claim.remark else ""
    except Untestable as error:
        return Verdict(claim, None, UNTESTED, str(error))
    except (NotMeasured, NoSeedInCommon):  # the latter after a run that was stopped
        return Verdict(claim, None, UNTESTED, NO_RECORD if study.recorded else f"run chapter {claim.chapter}")
    agrees = agreement(claim.printed(), claim.reading.protocol, estimate)
    return Verdict(claim, estimate, decide(claim.region, estimate), agrees=agrees, remark=remark)


def verdict_on(words: str, study: Study) -> Verdict:
    """The verdict on the claim whose text begins with these words, from what was measured; nothing is computed."""
    (claim,) = (claim for claim in CLAIMS if claim.text.startswith(words))
    study = study.of_profile(study.profile)
    study.compute = False
    return judge(claim, study)


def agreement(printed: Fact, protocol: str, estimate: Estimate) -> bool | None:
    """Whether the paper's number lies in our interval; None where it prints none or measured by another protocol."""
    if math.isnan(printed.value) or printed.protocol != protocol:
        return None
    percent = estimate.in_percent()
    return percent.low <= printed.value <= percent.high


def judge_all(study: Study) -> list[Verdict]:
    """The verdict on every claim, in the order of the chapters."""
    return [judge(claim, study) for claim in CLAIMS]


def count(verdicts: Sequence[Verdict]) -> str:
    """How many claims have each verdict, in words."""
    counts = Counter(verdict.decision for verdict in verdicts)
    asked = [verdict.agrees for verdict in verdicts if verdict.agrees is not None]
    words = ", ".join(f"{decision} {counts[decision]}" for decision in DECISIONS)
    decided = counts[SUPPORTED] + counts[CONTRADICTED]
    return (
        f"{words} ({len(verdicts)} claims). The paper's number lies in our interval in {sum(asked)} of {len(asked)} "
        f"claims for which that can be asked. Of the {decided} decided claims, {after_holm(verdicts)} stay decided "
        "after Holm's correction, which limits the chance that any of them is decided wrongly to 5 %"
    )


def after_holm(verdicts: Sequence[Verdict]) -> int:
    """How many claims stay decided when all tests together may err with a chance of 5 % (Holm, 1979)."""
    tested = sorted(verdict.p_value for verdict in verdicts if verdict.estimate is not None)
    kept = [value <= 0.05 / 2 / (len(tested) - place) for place, value in enumerate(tested)]
    return kept.index(False) if False in kept else len(kept)


def mark(claim: Claim) -> str:
    """The region of a claim's test as it is printed: with a star where its bound is ours."""
    return f"{claim.region.text}*" if claim.own_bound else claim.region.text


def agrees(verdict: Verdict) -> str:
    """Whether the paper's number agrees, as it is printed."""
    return {True: "yes", False: "no", None: ""}[verdict.agrees]


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
    lines = [line("claim", "paper", "test", "our record" if study.recorded else "this run", "agrees", "verdict")]
    for chapter, members in groupby(verdicts, key=lambda verdict: verdict.claim.chapter):
        lines += ["", f"chapter {chapter}"]
        for verdict in members:
            printed, test = number(verdict.claim.printed().value), mark(verdict.claim)
            cells = (verdict.claim.text, printed, test, verdict.ours, agrees(verdict), verdict.decision)
            lines.append(line(*cells))
    rule = textwrap.wrap(RULE.replace("**", "").replace("*Agrees*", "Agrees"), sum(WIDTHS))
    summary = textwrap.wrap(f"{study.profile.name}: {count(verdicts)}.", sum(WIDTHS))
    return "\n".join([*lines, "", *rule, "", *summary])
