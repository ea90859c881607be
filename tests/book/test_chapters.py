"""The chapters as a reader meets them: all of one form, the idea in sight, and nothing that only the renderer reads."""

from __future__ import annotations

import re

import pytest

from in9.book.notebooks import HIDDEN, Chapter, find_chapters
from in9.study.workspace import find_workspace

CHAPTERS = find_chapters(find_workspace().root)
STUDIES = [chapter for chapter in CHAPTERS if chapter.name != "13_explore"]
"""The chapters with a finding; the last one is for playing."""
PARTS = ["How it works", "Evidence", "What could fool us", "Exercise", "All numbers"]
RENDERERS_OWN = re.compile(r"\{[a-z:]+\}`|^:::|^```\{|\$\{|<script", re.M)
"""Roles and directives of the renderer, which JupyterLab and a code host show as they stand."""

each = pytest.mark.parametrize("chapter", CHAPTERS, ids=[chapter.name for chapter in CHAPTERS])
each_study = pytest.mark.parametrize("chapter", STUDIES, ids=[chapter.name for chapter in STUDIES])


def prose(chapter: Chapter) -> str:
    return "\n\n".join(cell.source for cell in chapter.read().cells if cell.cell_type == "markdown")


def code(chapter: Chapter) -> list:
    return [cell for cell in chapter.read().cells if cell.cell_type == "code"]


def visible(chapter: Chapter) -> list[str]:
    """The sources of the cells whose code a reader sees, without that of the parameters."""
    unseen = HIDDEN | {"parameters"}
    return [cell.source for cell in code(chapter) if not unseen & set(cell.metadata.get("tags", []))]


@each
def test_a_title_has_the_number_of_the_file_and_a_section(chapter: Chapter) -> None:
    number = int(chapter.name[:2])
    assert re.fullmatch(
        rf"{number} · .+ \((section \d|sections .+|section \d.*|appendix.*|beyond the paper)\)", chapter.title()
    )


@each
def test_the_parameters_are_the_same_everywhere(chapter: Chapter) -> None:
    def of(chapter: Chapter) -> str:
        (cell,) = (cell for cell in code(chapter) if "parameters" in cell.metadata.get("tags", []))
        return str(cell.source)

    assert of(chapter).startswith(of(CHAPTERS[0]))


@each
def test_the_prose_reads_the_same_in_jupyterlab(chapter: Chapter) -> None:
    texts = [
        prose(chapter),
        *(text for cell in code(chapter) for text in re.findall(r'"""(.*?)"""', cell.source, re.S)),
    ]
    for text in texts:
        assert not RENDERERS_OWN.search(text), RENDERERS_OWN.search(text)


@each
def test_links_lead_somewhere(chapter: Chapter) -> None:
    text = "\n".join(cell.source for cell in chapter.read().cells)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not re.match(r"https://|\{", target):
            assert (chapter.source.parent / target.partition("#")[0]).is_file(), target


@each_study
def test_a_chapter_has_the_parts_of_a_chapter_in_order(chapter: Chapter) -> None:
    headings = re.findall(r"^## (.+)$", prose(chapter), re.M)
    assert [heading for heading in headings if heading in PARTS] == PARTS
    setup = code(chapter)[1].source
    assert "open_study(globals())" in setup and any("page.finding(" in cell.source for cell in code(chapter)[1:3])
    assert "<summary>Solution</summary>" in prose(chapter) and "$$" in prose(chapter)


@each_study
def test_the_idea_is_in_sight(chapter: Chapter) -> None:
    before, lines = 0, []
    for source in visible(chapter):
        lines = [line for line in source.splitlines() if line.strip()]
        before += len(lines)
        assert len(lines) <= 30 and max(map(len, lines)) <= 88, "a reader sees the whole of it, on a page"
    assert 8 <= before <= 70


@each
def test_figures_have_a_caption_and_words_for_those_who_cannot_see_them(chapter: Chapter) -> None:
    for cell in code(chapter):
        if re.search(r"^page\.show\(", cell.source, re.M):
            assert len(cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")) > 40, cell.source[:80]
        assert not re.search(r"^(charts|curves|pictures)\.\w+\(.*\)$", cell.source, re.M), "page.show gives a caption"


@each
def test_few_tables_are_in_sight(chapter: Chapter) -> None:
    tables = [cell.source for cell in code(chapter) if re.search(r"^tables\.(table|side_by_side)\(", cell.source, re.M)]
    assert sum("fold=True" not in source for source in tables) <= 2
    for source in tables:  # a folded caption is what a reader clicks on, so it can hold no link
        assert "](" not in source.partition("caption=")[2], source
