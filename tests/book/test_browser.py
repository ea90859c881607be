"""The rendered book in a real browser, from disk and without a network, as a reader opens it.

By default this is the small book that ``test_book`` makes. Set IN9_PAGES to a folder of pages to look at those:
``IN9_PAGES=build/control/html pytest tests/book/test_browser.py``.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from small_server import serving

playwright = pytest.importorskip("playwright.sync_api", reason="no playwright")
axe = pytest.importorskip("axe_playwright_python.base", reason="no axe")

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = ("--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync")
FLAGS += ("--no-sandbox", "--disable-gpu", "--disable-quic")
WIDTHS = {"phone": 390, "desktop": 1280}
MEGABYTE = 1_000_000

# Everything that a page names and that the checks below need, in one go.
FACTS = """() => ({
    links: [...document.links].map((link) => link.href),
    names: [...document.querySelectorAll("[id], a[name]")].flatMap(({id, name}) => [id, name]).filter(Boolean),
    images: [...document.images].map((image) => ({
        address: image.src, loaded: image.complete && image.naturalWidth > 0, text: image.alt.trim(),
    })),
    formulas: document.querySelectorAll(".math").length,
    typeset: document.querySelectorAll("mjx-container").length,
    words: [...document.querySelectorAll("article")].map((article) => {
        const copy = article.cloneNode(true);
        copy.querySelectorAll("pre, code, script, style").forEach((code) => code.remove());
        return copy.textContent;
    }).join(" "),
})"""
RAW = re.compile(r"\{[a-z:]+\}`|\{(?:glue|doc|numref|cite|ref)\b|:::|^```", re.M)
"""Markup of MyST that a page shows as it stands because nothing has understood it."""
# What sticks out of the page, unless something around it scrolls or hides it; the page itself comes first.
OVERFLOW = """() => {
    const width = document.documentElement.clientWidth;
    if (document.documentElement.scrollWidth <= width) return [];
    const inside = (element) => {
        for (let box = element.parentElement; box; box = box.parentElement)
            if (box !== document.body && getComputedStyle(box).overflowX !== "visible") return true;
        return getComputedStyle(element).position === "fixed";
    };
    const wide = [...document.body.querySelectorAll("*")].filter(
        (element) => element.getBoundingClientRect().right > width + 1 && !inside(element));
    return ["the page"].concat(wide.slice(-3).map((element) => element.outerHTML.slice(0, 120)));
}"""
THEME = "(theme) => document.documentElement.setAttribute('data-theme', theme)"
# docutils writes a list of references with roles that are no longer a list's.
AXE = """async (rules) => (await axe.run({exclude: ["[role=list].citation-list"]}, {
    runOnly: rules, resultTypes: ["violations"], preload: false,
})).violations.map(({id, nodes}) => `${id}: ${nodes[0].html.slice(0, 120)} ${nodes[0].failureSummary}`)"""
# What a name would plant that nobody has escaped; it is to run, or to ask the host that stands for HOST.
PLANTED = """
<script>window.planted = "script"</script>
<img src="data:," onerror="window.planted = 'handler'">
<a id="link" href="javascript:void (window.planted = 'link')">more</a>
<img src="HOST/img"><video src="HOST/video"></video><iframe src="HOST/iframe"></iframe>
<object data="HOST/object"></object><script src="HOST/script"></script><link rel="stylesheet" href="HOST/link">
<style>@import url(HOST/import); @font-face { font-family: planted; src: url(HOST/font); }</style>
<p style="background: url(HOST/background); font-family: planted">text</p>
<form id="form" action="HOST/form"></form>
"""
ASK = "(host) => fetch(`${host}/fetch`, {mode: 'no-cors'}).catch(() => {})"
ASKED = {"img", "video", "iframe", "object", "script", "link", "import", "font", "background", "fetch", "form"}
RULES, CONTRAST = ["wcag2a", "wcag2aa", "wcag21aa"], ["color-contrast"]


@dataclass
class Visit:
    """What one page did: per width what it complained of and what stuck out, and its faults per theme."""

    facts: dict[str, Any]
    complaints: list[str] = field(default_factory=list)
    overflow: dict[str, list[str]] = field(default_factory=dict)
    faults: dict[str, list[str]] = field(default_factory=dict)


@pytest.fixture(scope="module")
def folder(request: pytest.FixtureRequest) -> Path:
    """The pages to look at."""
    if not CHROMIUM:
        pytest.skip("no chromium")
    chosen = os.environ.get("IN9_PAGES")
    return Path(chosen).resolve() if chosen else request.getfixturevalue("pages")


@pytest.fixture(scope="module")
def browser(folder: Path) -> Iterator[Any]:
    """One browser for everything."""
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def visits(browser: Any, folder: Path) -> dict[str, Visit]:
    """Every page, opened at both widths; looked at in both themes at the second."""
    opened: dict[str, Visit] = {}
    for size, width in WIDTHS.items():
        page = browser.new_page(viewport={"width": width, "height": 900}, reduced_motion="reduce")
        complaints = listen(page)
        for path in sorted(folder.glob("*.html")):
            page.goto(path.as_uri())
            page.evaluate("() => window.MathJax?.startup?.promise")
            visit = opened.setdefault(path.name, Visit(page.evaluate(FACTS)))
            visit.overflow[size] = page.evaluate(OVERFLOW)
            if size == "desktop":
                page.evaluate(axe.AXE_SCRIPT)
                for theme, rules in (("light", RULES), ("dark", CONTRAST)):
                    page.evaluate(THEME, theme)
                    visit.faults[theme] = page.evaluate(AXE, rules)
            visit.complaints += complaints
            complaints.clear()
        page.close()
    return opened


def listen(page: Any) -> list[str]:
    """A list that grows with whatever a page complains of, and with every request that leaves the disk."""
    heard: list[str] = []
    page.on("console", lambda message: heard.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: heard.append(str(error)))
    page.on("requestfailed", lambda request: heard.append(f"failed: {request.url}"))
    local = ("file:", "data:", "blob:")
    page.on(
        "request", lambda request: None if request.url.startswith(local) else heard.append(f"foreign: {request.url}")
    )
    return heard


def test_every_page_loads_without_a_complaint(visits: dict[str, Visit]) -> None:
    assert "index.html" in visits
    assert {name: visit.complaints for name, visit in visits.items() if visit.complaints} == {}


def test_no_page_shows_raw_markup(visits: dict[str, Visit]) -> None:
    assert {
        name: RAW.findall(visit.facts["words"]) for name, visit in visits.items() if RAW.search(visit.facts["words"])
    } == {}


def test_nothing_sticks_out_sideways(visits: dict[str, Visit]) -> None:
    wide = {(name, size): what for name, visit in visits.items() for size, what in visit.overflow.items() if what}
    assert wide == {}


def test_every_image_is_there_and_says_in_words_what_it_shows(visits: dict[str, Visit]) -> None:
    images = {(name, image["address"]): image for name, visit in visits.items() for image in visit.facts["images"]}
    assert images
    assert [place for place, image in images.items() if not image["loaded"] or not image["text"]] == []


def test_formulas_are_typeset(visits: dict[str, Visit]) -> None:
    assert any(visit.facts["formulas"] for visit in visits.values())
    assert [name for name, visit in visits.items() if visit.facts["formulas"] != visit.facts["typeset"]] == []


def test_every_link_within_the_book_leads_somewhere(visits: dict[str, Visit], folder: Path) -> None:
    dead, looked_at = [], 0
    for name, visit in visits.items():
        for link in set(visit.facts["links"]):
            address = urlsplit(link)
            if address.scheme != "file":
                continue
            looked_at += 1
            target, anchor = Path(unquote(address.path)), unquote(address.fragment)
            known = visits.get(target.name) if target.parent == folder else None
            if not target.is_file() or (anchor and known and anchor not in known.facts["names"]):
                dead.append((name, link))
    assert looked_at > len(visits) and dead == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_an_accessibility_checker_finds_no_fault(visits: dict[str, Visit], theme: str) -> None:
    assert {name: visit.faults[theme] for name, visit in visits.items() if visit.faults[theme]} == {}


def test_pages_are_small(visits: dict[str, Visit], folder: Path) -> None:
    sizes = {}
    for name, visit in visits.items():
        addresses = (urlsplit(image["address"]) for image in visit.facts["images"])  # a data: address is in the page
        parts = {Path(unquote(address.path)) for address in addresses if address.scheme == "file"}
        sizes[name] = sum(part.stat().st_size for part in (folder / name, *parts) if part.is_file())
    assert {name: size for name, size in sizes.items() if size > MEGABYTE} == {}


def test_the_search_finds_a_page(browser: Any, folder: Path) -> None:
    page = browser.new_page()
    complaints = listen(page)
    # All of the first page must be there before the search leaves it, or what was still loading counts as failed.
    with page.expect_event("requestfinished", lambda request: request.url.endswith("favicon.svg")):
        page.goto((folder / "index.html").as_uri(), wait_until="commit")
    page.wait_for_load_state("networkidle")
    page.keyboard.press("Control+k")
    page.keyboard.type("glossary")
    page.keyboard.press("Enter")
    page.wait_for_selector("ul.search li a[href^='glossary.html']")
    page.close()
    assert complaints == []


def test_the_leaderboard_is_sorted_filtered_and_lengthened_by_keyboard(browser: Any, folder: Path) -> None:
    page = browser.new_page()
    complaints = listen(page)
    page.goto((folder / "leaderboard.html").as_uri())
    said, rows = page.locator(".in9-leaderboard .said"), page.locator(".in9-leaderboard tbody tr")
    total = int(re.findall(r"\d+", said.inner_text())[1])
    assert rows.count() == 50 < total
    head = page.locator(".in9-leaderboard th", has_text="ImageNet").first
    for direction, sign in (("ascending", 1), ("descending", -1)):
        head.get_by_role("button").press("Enter")
        assert head.get_attribute("aria-sort") == direction
        values = [float(text) for text in page.locator("td[data-head='ImageNet']").all_inner_texts()]
        assert values == sorted(values, key=lambda value, sign=sign: sign * value)
    page.locator("select[data-column=family]").select_option("Transformer")
    assert set(page.locator("td[data-head='Family']").all_inner_texts()) == {"Transformer"}
    assert rows.count() == 50
    page.get_by_role("button", name="Show more").press("Enter")
    assert rows.count() == 100
    page.get_by_role("searchbox", name="Find").fill("swinv2 b")
    names = page.locator(".in9-leaderboard tbody th").all_inner_texts()
    assert f"{len(names)} of {total} rows." == said.inner_text() and 0 < len(names) < 20
    page.close()
    assert complaints == []


def test_the_buttons_of_a_page_do_what_they_say(browser: Any, folder: Path) -> None:
    context = browser.new_context(permissions=["clipboard-read", "clipboard-write"])
    page = context.new_page()
    complaints = listen(page)
    chapter = next(path for path in sorted(folder.glob("*.html")) if "Download as CSV" in path.read_text("utf8"))
    page.goto(chapter.as_uri())
    theme = page.evaluate("() => document.documentElement.dataset.mode")
    page.locator(".theme-switch-button").first.click()
    assert page.evaluate("() => document.documentElement.dataset.mode") != theme
    page.evaluate("() => document.querySelectorAll('details').forEach((box) => (box.open = true))")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download as CSV").first.click()
    assert "," in download.value.path().read_text("utf8")
    page.locator("button.copybtn").first.dispatch_event("click")
    assert page.locator("button.copybtn.success").count() == 1
    page.evaluate("() => { window.print = () => (window.printed = true); }")
    page.locator("button.btn-download-pdf-button").first.dispatch_event("click")
    assert page.evaluate("() => window.printed") is True
    page.locator("button.btn-fullscreen-button").first.click()
    page.wait_for_function("() => document.fullscreenElement !== null")
    context.close()
    assert complaints == []


def test_claims_are_filtered_by_verdict(browser: Any, folder: Path) -> None:
    page = browser.new_page()
    complaints = listen(page)
    page.goto((folder / "claims.html").as_uri())
    page.get_by_role("radio", name="supported").check()
    shown = page.locator(".in9-claims .claim:visible")
    verdicts = [shown.nth(place).get_attribute("data-verdicts") for place in range(shown.count())]
    assert verdicts and all("supported" in verdict.split("|") for verdict in verdicts)
    page.close()
    assert complaints == []


@pytest.mark.parametrize("guarded", [True, False])
def test_what_was_planted_in_a_page_neither_runs_nor_asks_a_host(
    browser: Any, folder: Path, tmp_path: Path, guarded: bool
) -> None:
    """Without the policy everything that is planted acts, or this test would not show what the policy stops."""
    text = (folder / "index.html").read_text("utf8")
    if not guarded:
        text = re.sub("<meta http-equiv=.Content-Security-Policy.[^>]*>", "", text)
    (tmp_path / "_static").symlink_to(folder / "_static")
    page = browser.new_page()

    def wait_until(done: Callable[[], bool]) -> None:
        """The browser acts after a while: seconds on a busy machine. What the policy stops gets half a second."""
        for _ in range(10 if guarded else 200):
            page.wait_for_timeout(50)
            if done():
                break

    with serving({}) as server:
        place = text.rindex("</article>")
        planted = PLANTED.replace("HOST", server.address)
        (tmp_path / "page.html").write_text(text[:place] + planted + text[place:], "utf8")
        page.goto((tmp_path / "page.html").as_uri())
        page.wait_for_load_state("networkidle")
        ran = [page.evaluate("() => window.planted")]
        page.locator("#link").click()
        wait_until(lambda: page.evaluate("() => window.planted") == "link")
        ran.append(page.evaluate("() => window.planted"))
        page.evaluate(ASK, server.address)
        page.evaluate("() => document.getElementById('form').submit()")
        wait_until(lambda: {path.strip("/?") for path in server.paths} >= ASKED)
        page.close()
    assert ran == ([None, None] if guarded else ["handler", "link"])
    asked = {path.strip("/?") for path in server.paths}
    assert asked - {"favicon.ico"} == (set() if guarded else ASKED)
