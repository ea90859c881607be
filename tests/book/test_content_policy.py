"""The content security policy of the pages: which scripts it allows, and that each page of the book has it."""

from __future__ import annotations

import base64
import hashlib
import re
from html import unescape
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from small_book import made_up_claims, published_leaderboard

from in9.book.blocks import dial_html
from in9.book.content_policy import with_policy
from in9.book.demonstration import load
from in9.book.published_chart import chart
from in9.book.switchable import switchable_matrix
from in9.errors import In9Error
from in9.evaluation.estimates import Estimate
from in9.experiments.benchmark_progress import published_networks
from in9.plots.style import Chart
from in9.study.workspace import Workspace

HEAD = (
    '<!DOCTYPE html>\n<html>\n  <head>\n    <meta charset="utf-8" /><script data-a="b">\n  theme();\n</script></head>'
)


def matrix() -> str:
    frame = pd.DataFrame(
        [("original", "no_fg", 50.0, 48.0, 52.0)], columns=["train", "test", "accuracy", "low", "high"]
    )
    frames = {"paper": frame, "record": frame}
    chart = Chart(Figure(), frame)
    return switchable_matrix(frames, {"original": "Original"}, "record", ("original", "no_fg"), chart, "").html


def dial() -> str:
    estimates = dict.fromkeys(("gap", "original", "only_bg_t"), Estimate(0.2, 0.1, 0.3))
    return dial_html({0.0: estimates, 1.0: estimates}, np.zeros((2, 9, 8, 8, 3), np.uint8))


BLOCKS = {
    "claims": made_up_claims,
    "leaderboard": published_leaderboard,
    "published": lambda: chart(published_networks().head(3)).data,
    "experiment": lambda: load(Workspace(Path("/nowhere"))).html(),
    "matrix": matrix,
    "dial": dial,
}


def policy_of(page: str) -> dict[str, list[str]]:
    """The sources of each directive."""
    (text,) = re.findall(r'<meta http-equiv="Content-Security-Policy" content="([^"]*)" />', page)
    return {name: sources for name, *sources in map(str.split, text.split(";"))}


def hash_of(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


@pytest.mark.parametrize("block", BLOCKS)
def test_the_script_of_a_block_is_allowed(block: str) -> None:
    html = BLOCKS[block]()
    (script,) = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    assert hash_of(script) in policy_of(with_policy(f"{HEAD}<body>{html}</body>", "a.html"))["script-src"]


def test_what_came_with_the_content_is_not_allowed() -> None:
    page = with_policy(f"{HEAD}<body><script>planted()</script></head><script>again()</script></body>", "a.html")
    sources = policy_of(page)["script-src"]
    assert hash_of("\n  theme();\n") in sources
    assert hash_of("planted()") not in sources and hash_of("again()") not in sources
    assert "'unsafe-inline'" not in sources and "'unsafe-eval'" not in sources


def test_a_page_of_another_kind_is_refused() -> None:
    with pytest.raises(In9Error, match=r"a\.html does not begin as .* constraints\.txt"):
        with_policy("<html></html>", "a.html")


def test_every_page_has_a_policy_before_its_first_script_and_all_handlers_in_it(pages: Path) -> None:
    paths = list(pages.glob("*.html"))
    assert paths
    for path in paths:
        page = path.read_text("utf8")
        assert page.index("Content-Security-Policy") < page.index("<script"), path.name
        policy = policy_of(page)
        assert {"default-src": ["'none'"], "base-uri": ["'none'"]}.items() <= policy.items()
        assert not {"connect-src", "object-src", "frame-src", "worker-src"} & policy.keys(), "they are as the default"
        assert not re.search(r"https?:|\*", str({**policy, "script-src": []})), path.name
        handlers = {unescape(text) for text in re.findall(r'<[^>]*\son[a-z]+="([^"]*)"', page)}
        assert handlers and {hash_of(handler) for handler in handlers} <= {*policy["script-src"]}, path.name
