"""A content security policy in every page of the book: nothing but the book's own scripts runs, and nothing leaves.

Names in records come from contributors, and are escaped where they are shown. Should one get through all the same, the
policy stops its scripts and handlers, and every request to another host: a picture, a font, a form, a frame, a script
that asks. No policy stops a link that a reader follows or a page that sends its reader elsewhere, nor, in a page that
Windows opened from disk, a file of another machine's share.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

from in9.errors import In9Error

# By the standard 'self' is nothing in a page that was opened from disk, though browsers are kinder. In a page that was
# served, none loads a file from disk.
OWN = "'self' file:"
HANDLERS = ("window.print()", "toggleFullScreen()")
"""What the theme's buttons do, as their attributes say it; its other scripts are in the head of each page."""
WITHOUT_CONTENT = "search.html"  # shows nothing before somebody searches, and has a script of the theme in its body
CHARSET = re.compile(r"<meta charset=[^>]*>")
SCRIPT = re.compile(r"<script(?![^>]*\ssrc=)[^>]*>(.*?)</script>", re.DOTALL)


def with_policy(page: str, name: str) -> str:
    """The HTML of a page, whose file has this name, with its policy at the beginning of its head.

    Scripts that stand in the page are allowed by their hashes: those of the theme, which are in the head, where no
    content is, and those of the book's blocks. Any other script may have come with the content, and is not. Styles
    are not told apart: MathJax and the blocks write them as they go. Raises In9Error for a page without a charset.
    """
    charset = CHARSET.search(page)
    if charset is None:
        raise In9Error(
            f"{name} does not begin as the tested theme's pages do; install the versions of constraints.txt."
        )
    allowed = " ".join(dict.fromkeys(map(_hash, [*_scripts(page, name), *HANDLERS])))
    policy = "; ".join(
        (
            "default-src 'none'",
            f"script-src {OWN} 'unsafe-hashes' {allowed}",
            f"style-src {OWN} 'unsafe-inline'",
            f"img-src {OWN} data:",
            f"font-src {OWN}",
            f"form-action {OWN}",  # the search
            "base-uri 'none'",
        )
    )
    place = charset.end()
    return f'{page[:place]}\n<meta http-equiv="Content-Security-Policy" content="{policy}" />{page[place:]}'


def _scripts(page: str, name: str) -> Iterator[str]:
    """The scripts in a page that are the book's own."""
    yield from SCRIPT.findall(page if name == WITHOUT_CONTENT else page.partition("</head>")[0])
    for path in sorted(Path(__file__).with_name("templates").glob("*.js")):
        script = path.read_text("utf8").removesuffix("\n")  # as a template includes it
        if f"<script>{script}</script>" in page:
            yield script


def _hash(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
