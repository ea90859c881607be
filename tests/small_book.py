"""A small book: the real pages and looks around two chapters that take a moment and load no torch."""

from __future__ import annotations

import re
import shutil
from itertools import cycle
from pathlib import Path

from in9.book.notebooks import sync_notebooks

PROJECT = Path(__file__).parents[1]
PAGES = ("claims", "leaderboard", "how_to_read", "how_to_run", "scale_out", "your_model", "data", "glossary")

FIRST = """# %% [markdown]
# # A line
#
# Its slope is $a$. Next: [the second chapter](02_second.ipynb). Its colour is of no
# consequence, as
# `study.answers("original",colour="blue_or_whatever_the_one_who_looks_likes_best")` shows.
#
# $$
# \\text{height} = a \\cdot \\text{width}
# $$

# %% tags=["parameters"]
profile = "control"
slope = 2.0
words = ["a", "b"]

# %% mystnb={"image": {"alt": "a line that rises"}}
import os
import sys

import matplotlib.pyplot as plt

print("no" + "ise", file=sys.stderr)
plt.plot([0, 1], [0, slope])
plt.show()

# %%
print("python:", sys.executable, "folder:", os.getcwd(), "slope:", slope)

# %% tags=["remove-input"]
from in9.plots import tables

row = {"A network with a name": "**54.3** [50.1, 58.2]", "<script>": "[a page](../book/glossary.md)"}
wide = {f"Mixed-Same {number}": "**54.3** [50.1, 58.2]" for number in range(8)}
tables.table([row | wide], "Numbers of no meaning.")
"""

SECOND = """# %% [markdown]
# # Second

# %% tags=["parameters"]
profile = "control"

# %%
from pathlib import Path

count = Path("count.txt")
count.write_text(count.read_text() + "x" if count.exists() else "x")
if Path("fail.txt").exists():
    raise ValueError("no luck\\nat all")
"""

TOC = """format: jb-book
root: index
parts:
  - caption: Findings
    numbered: true
    chapters:
      - file: 01_first
      - file: 02_second
  - caption: Later
    chapters:
      - file: 09_not_written_yet
  - caption: Appendix
    chapters:
      - file: status
      - file: bibliography
"""


def make_project(root: Path) -> None:
    """Write the project; where its pages link to a chapter of the real book, they link to the first one here."""
    shutil.copytree(PROJECT / "book", root / "book", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(PROJECT / "_config.yml", root)
    for page in (root / "book").glob("*.md"):
        page.write_text(re.sub(r"\b\d\d_[a-z_]+", "01_first", page.read_text()))
    (root / "book" / "_toc.yml").write_text(TOC + "".join(f"      - file: {page}\n" for page in PAGES))
    (root / "notebooks").mkdir()
    (root / "notebooks" / "01_first.py").write_text(FIRST)
    (root / "notebooks" / "02_second.py").write_text(SECOND)
    sync_notebooks(root)


def published_leaderboard() -> str:
    """The leaderboard with the rows that need no record."""
    import pandas as pd

    from in9.book.leaderboard_page import block
    from in9.experiments.leaderboard import of_hesse, of_the_paper

    return block(pd.concat([of_the_paper(), of_hesse()], ignore_index=True))


def made_up_claims() -> str:
    """The claims with every verdict in it, and no number that means anything."""
    from in9.book.claims_page import block
    from in9.evaluation.estimates import Estimate
    from in9.experiments.claims import CLAIMS
    from in9.experiments.verdicts import DECISIONS, UNTESTED, Verdict

    tested = [
        Verdict(claim, Estimate(0.543, 0.501, 0.582), decision) for claim, decision in zip(CLAIMS, cycle(DECISIONS[:3]))
    ]
    untested = [Verdict(claim, None, UNTESTED, "needs networks trained on all of ImageNet") for claim in CLAIMS[-9:]]
    verdicts = {"record": tested, "run": [*tested[:-9], *untested]}
    return block(verdicts, {"02": ("01_first", "The <first> chapter")})
