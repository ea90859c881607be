"""README: its numbers are the records' numbers, and it stays short."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from in9.book import pages, readme
from in9.errors import In9Error
from in9.study.study import REFERENCE, Study
from in9.study.workspace import find_workspace

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf8")


@pytest.fixture(scope="module")
def study() -> Study:
    """The committed records."""
    return Study(REFERENCE, recorded=True, workspace=find_workspace(ROOT), progress=False)


def test_the_findings_are_up_to_date(study: Study) -> None:
    findings = pages.findings(study)
    assert readme.with_findings(README, f"{findings}\n") == README, "run 'make sync'"
    assert study.answers("original").gap().text() in findings


def test_the_figure_is_up_to_date(study: Study, tmp_path: Path) -> None:
    rows = readme.gaps(study)
    assert readme.plotted(ROOT / readme.FIGURE) == rows, "run 'make sync'"
    other = [{**rows[0], "gap": 99.0}, *rows[1:]]
    readme.plot(other, tmp_path / "figure.svg")
    assert readme.plotted(tmp_path / "figure.svg") == other


def test_the_figure_is_small_and_asks_for_nothing() -> None:
    text = (ROOT / readme.FIGURE).read_text("utf8")
    assert len(text) < 60_000 and "<image" not in text and 'xlink:href="http' not in text


def test_it_is_short_and_its_links_lead_somewhere() -> None:
    assert len(README.splitlines()) < 150
    headings = {re.sub(r"[^a-z0-9 -]", "", line.lower()).strip().replace(" ", "-") for line in README.splitlines()
                if line.startswith("#")}  # fmt: skip
    links = re.findall(r"\]\(([^)]+)\)", README)
    assert links
    for link in links:
        assert link.startswith("https://") or (ROOT / link).is_file() or link.removeprefix("#") in headings, link


def test_a_readme_without_the_marks_is_refused() -> None:
    with pytest.raises(In9Error, match="must hold the lines"):
        readme.with_findings("nothing", "")
