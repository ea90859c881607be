"""What README shows of the records: the table of claims, and the figure beside it.

``python -m in9.book.readme`` (``make sync`` runs it) writes both anew from the project's committed records.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pandas as pd

from in9.errors import In9Error
from in9.experiments import paper, verdicts
from in9.plots import charts
from in9.study.study import REFERENCE, Study
from in9.study.workspace import Workspace, find_workspace

MARKS = ("<!-- claims, written by `make sync` -->\n", "<!-- end of the claims -->\n")
FIGURE = Path("book/_static/bg_gap.svg")
TRAINED_ON = ("mixed_rand", "only_fg", "original", "in9l", "mixed_same")


def table(found: list[verdicts.Finding]) -> str:
    """The claims as lines of Markdown: how many hold, and one row for each."""
    lines = [verdicts.RULE, "", f"Our record: {verdicts.count(found)}.", ""]
    lines += ["| claim | paper | test | ours, on photographs | verdict |", "|:--|--:|:-:|:--|:--|"]
    for one in found:
        ours = one.estimate.text() if one.estimate else one.reason
        printed = verdicts.number(one.claim.printed().value)
        cells = (one.claim.text.rstrip("."), printed, one.claim.region.text, ours, one.verdict)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join([*lines, ""])


def with_table(text: str, lines: str) -> str:
    """README's text with these lines between the marks; raises In9Error where the marks are missing."""
    opening, closing = MARKS
    before, first, rest = text.partition(opening)
    _, second, after = rest.partition(closing)
    if not (first and second):
        raise In9Error(f"README.md must hold the lines {opening.strip()!r} and {closing.strip()!r}.")
    return f"{before}{opening}\n{lines}\n{closing}{after}"


def gaps(study: Study) -> list[dict[str, Any]]:
    """What the figure shows: the BG-Gap in points after training on each set, the paper's and ours."""
    published = paper.bg_gap().query("where == 'table 5'").set_index("training")["bg_gap"]
    ours = study.gaps(TRAINED_ON).set_index("train")
    rows: list[dict[str, Any]] = []
    for train in TRAINED_ON:
        rows.append({"train": train, "origin": "paper", "gap": float(published[train]), "low": None, "high": None})
        numbers = {name: round(float(ours.loc[train, name]), 1) for name in ("gap", "low", "high")}
        rows.append({"train": train, "origin": "record", **numbers})
    return rows


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Draw the figure as SVG; the numbers that it shows go into the file, too."""
    import matplotlib as mpl

    with mpl.rc_context():
        charts.chart_style()
        frame = pd.DataFrame(rows).astype({"low": float, "high": float})
        figure = charts.intervals(frame, "train", "gap", TRAINED_ON, "BG-Gap after training on this set, points")
        figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None, "Description": json.dumps(rows)})


def drawn(path: Path) -> list[dict[str, Any]] | None:
    """The numbers that a figure shows, or None where there is no figure."""
    found = re.search(r"<dc:description>(.*?)</dc:description>", path.read_text("utf8")) if path.is_file() else None
    return json.loads(found[1].replace("&quot;", '"')) if found else None


def write(workspace: Workspace | None = None) -> list[Path]:
    """Write what has changed; return which files had."""
    workspace = workspace or find_workspace()
    study = Study(REFERENCE, recorded=True, workspace=workspace, progress=False)
    page, figure = workspace.root / "README.md", workspace.root / FIGURE
    changed = []
    text = page.read_text("utf8")
    if (new := with_table(text, table(verdicts.findings(study)))) != text:
        page.write_text(new, encoding="utf8")
        changed.append(page)
    if drawn(figure) != (rows := gaps(study)):
        draw(rows, figure)
        changed.append(figure)
    return changed


if __name__ == "__main__":
    for path in write():
        print(f"wrote {path}")
