"""What README shows of the records: the three findings, and the figure beside them.

``python -m in9.book.readme`` (``make sync`` runs it) writes both anew from the project's committed records.
"""

from __future__ import annotations

import json
import re
from html import unescape
from pathlib import Path
from typing import Any

import pandas as pd

from in9.book import pages
from in9.errors import In9Error
from in9.experiments import paper
from in9.experiments.backgrounds_suffice import gaps as gaps_of
from in9.experiments.mixed_rand_training import answers
from in9.plots import charts, style
from in9.study.study import REFERENCE, Study
from in9.study.workspace import Workspace, find_workspace

README_MARKS = ("<!-- findings, written by `make sync` -->\n", "<!-- end of the findings -->\n")
FIGURE = Path("book/_static/bg_gap.svg")
TRAINED_ON = {
    "mixed_rand": "mixed_rand_once",
    "only_fg": "only_fg",
    "original": "original",
    "no_fg": "no_fg",
    "in9l": "in9l",
}
"""The training sets of the figure, and our ways to train that the paper's may stand beside: it drew Mixed-Rand once."""


def with_findings(text: str, lines: str) -> str:
    """README's text with these lines between the marks; raises In9Error where the marks are missing."""
    opening, closing = README_MARKS
    before, first, rest = text.partition(opening)
    _, second, after = rest.partition(closing)
    if not (first and second):
        raise In9Error(f"README.md must hold the lines {opening.strip()!r} and {closing.strip()!r}.")
    return f"{before}{opening}\n{lines}\n{closing}{after}"


def gaps(study: Study) -> list[dict[str, Any]]:
    """What the figure shows: the BG-Gap in points after training on each set, the paper's and ours of that protocol."""
    published = paper.bg_gap().query("where == 'table 5'").set_index("training")["bg_gap"]
    ours = gaps_of({train: answers(study, way) for train, way in TRAINED_ON.items()}).set_index("train")
    rows: list[dict[str, Any]] = []
    for train in TRAINED_ON:
        rows.append({"train": train, "origin": "paper", "gap": float(published[train]), "low": None, "high": None})
        numbers = {name: round(float(ours.loc[train, name]), 1) for name in ("gap", "low", "high")}
        rows.append({"train": train, "origin": "record", **numbers})
    return rows


def plot(rows: list[dict[str, Any]], path: Path) -> None:
    """Plot the figure as SVG; the numbers that it shows go into the file, too."""
    import matplotlib as mpl

    with mpl.rc_context():
        style.use("svg")
        frame = pd.DataFrame(rows).astype({"low": float, "high": float})
        shown = charts.intervals(frame, "train", "gap", tuple(TRAINED_ON), "BG-Gap after training on this set, points")
        metadata = {"Date": None, "Creator": None, "Description": json.dumps(rows)}
        shown.figure.savefig(path, format="svg", metadata=metadata)


def plotted(path: Path) -> list[dict[str, Any]] | None:
    """The numbers that a figure shows, or None where there is no figure."""
    if not path.is_file():
        return None
    description = re.search(r"<dc:description>(.*?)</dc:description>", path.read_text("utf8"))
    return json.loads(unescape(description[1])) if description else None


def write(workspace: Workspace | None = None) -> list[Path]:
    """Write what has changed; return which files had."""
    workspace = workspace or find_workspace()
    study = Study(REFERENCE, recorded=True, workspace=workspace, progress=False)
    page, figure = workspace.root / "README.md", workspace.root / FIGURE
    changed = []
    text = page.read_text("utf8")
    if (new := with_findings(text, f"{pages.findings(study)}\n")) != text:
        page.write_text(new, encoding="utf8")
        changed.append(page)
    if plotted(figure) != (rows := gaps(study)):
        plot(rows, figure)
        changed.append(figure)
    return changed


if __name__ == "__main__":
    for path in write():
        print(f"wrote {path}")
