"""What pages beside the chapters show: the first page's experiment and findings, the claims, the leaderboard."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache

from in9.book import claims_page, demonstration, leaderboard_page
from in9.evaluation.predictions import gain
from in9.experiments import paper
from in9.experiments.adversarial_backgrounds import ADVERSARIAL
from in9.experiments.what_helps import REMEDIES
from in9.plots.page import say
from in9.study.study import Study
from in9.taxonomy import CHANCE


def fragments(study: Study) -> Mapping[str, Callable[[], str]]:
    """The text of the files in ``generated/`` that pages of a study's book include, by name."""
    shown = cache(lambda: demonstration.load(study.workspace))  # when the pages are written, and once for both files
    return {
        "claims.html": lambda: claims_page.page(study),
        "experiment.html": lambda: shown().html(),
        "leaderboard.html": lambda: leaderboard_page.page(study),
        "credit.md": lambda: f"{shown().credit()}\n",
        "findings.md": lambda: f"{findings(next(iter(study.origins.values())))}\n",
    }


def findings(study: Study) -> str:
    """The three findings as a list in Markdown; brackets are 95 % intervals, the paper's numbers stand beside ours."""
    original, blind = study.answers("original"), study.answers("only_bg_t")
    attacks, remedies = ADVERSARIAL.read(study)["in9l"], REMEDIES.read(study)
    half = remedies["half"]
    text = say(
        """
        1. **Backgrounds tell the class.** A network that was trained without a single object names the class of
           {blind} % of whole images. Guessing gives {chance:.0f} %. (Paper: {paper_blind:.1f} %.)
        2. **Networks listen to them.** Replacing the background of an object by one of a random class costs a network
           {gap} points of accuracy (paper: {paper_gap:.1f}). For {vulnerable} % of the objects some background makes a
           network answer the background's class (paper: {paper_vulnerable:.1f} %, with more backgrounds).
        3. **They can learn not to.** Show a network each image whole in one half of the epochs, and on a random
           background in the other. Its accuracy on whole images changes by {change} points, and a random background
           costs it {half_gap}. (The paper did not try this.)
        """,
        blind=blind.accuracy("original"),
        chance=100 * CHANCE,
        paper_blind=float(paper.train_test_matrix().loc["only_bg_t", "original"]),
        gap=original.gap(),
        paper_gap=paper.fact("bg_gap_original").value,
        vulnerable=attacks.vulnerable(),
        paper_vulnerable=paper.fact("vulnerable").value,
        change=gain(half, remedies["original"], "original"),
        half_gap=half.gap(),
    )
    return text.data
