"""How a score is shown: as text for a terminal, among the paper's models, as files, as a figure."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from in9.errors import In9Error, plain_disk_errors
from in9.scoring.score import RESTRICTED, RULES, STRICT, Challenged, Score
from in9.taxonomy import TITLES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAMES = {**TITLES, "bg_gap": "BG-Gap (points)"}
LOOKS = {
    STRICT: {"label": "strict: none of the nine is wrong", "color": "#d55e00", "marker": "D"},
    RESTRICTED: {"label": "restricted to the 370 classes", "color": "#0072b2", "marker": "o"},
}


def _interval(row: Mapping[str, Any]) -> str:
    return f"{row['value']:5.1f} [{row['low']:.1f}, {row['high']:.1f}]"


def text(score: Score, among: pd.DataFrame | None = None) -> str:
    """The score for a terminal: what was scored and how, each test set and BG-Gap.

    ``among`` has the paper's models beside this one: where that stands among the paper's models.
    """
    facts, table = score.record.settings["model"], score.table()
    wide = {(row["test"], row["rule"]): row for row in table.to_dict("records")}
    lines = [_heading(facts, score.record.settings["data"]), ""]
    columns = [f"{rule:<22}" for rule in score.rules]
    share = "all images alike"
    lines.append(f"{'%':<16}{'images':>7}  " + "".join(columns) + share)
    for test in dict.fromkeys(table["test"]):
        rows = [wide[test, rule] for rule in score.rules]
        cells = "".join(f"{_interval(row):<22}" for row in rows) + " / ".join(f"{row['share']:.1f}" for row in rows)
        lines.append(f"{NAMES[test]:<16}{rows[0]['images']:>7}  {cells}")
    lines += ["", "In square brackets: 95 % intervals, each class counting the same; that of BG-Gap is paired."]
    if RESTRICTED in score.rules:
        lines.append("Strict, the paper's rule: an answer under none of the nine classes is wrong.")
        lines.append("Restricted: the best of the 370 ImageNet classes that fall under the nine.")
    if among is not None and len(among):
        lines += ["", "By BG-Gap among the paper's models (paper, table 2, and the authors' README):", ""]
        lines.append(f"  {'model':<40}{'Original':>9}{'M-Same':>9}{'M-Rand':>9}{'BG-Gap':>9}  where")
        for row in among.to_dict("records"):
            numbers = "".join(f"{row[test]:>9.1f}" for test in ("original", "mixed_same", "mixed_rand", "bg_gap"))
            lines.append(f"{'>' if row['ours'] else ' '} {row['model'][:39]:<40}{numbers}  {row['where']}")
    return "\n".join(lines)


def challenge_text(found: Challenged) -> str:
    """The challenge for a terminal."""
    results = found.record.results
    lines = [_heading(found.record.settings["model"], found.record.settings["data"]), ""]
    lines.append(f"{'%':<26}{'each class the same':<24}all images alike")
    for row in found.table().to_dict("records"):
        lines.append(f"{row['measure']:<26}{_interval(row):<24}{row['share']:.1f}")
    number, pairs = len(found.labels), results["pairs"]
    lines += [
        "",
        "Untargeted (the authors' repository): some background makes the answer wrong. Targeted (the paper): some",
        "background of another class makes the classifier answer that class.",
        f"{number:,} foregrounds x {pairs // number:,} backgrounds; {results['composites']:,} of {pairs:,} pairs were "
        "enough.",
    ]
    return "\n".join(lines)


def _heading(facts: Mapping[str, Any], data: Mapping[str, Any]) -> str:
    top = facts.get("imagenet_top1")
    how = facts.get("preprocessing") or {}
    words = [f"{facts['name']}: {facts['outputs']} outputs", f"preprocessing {how.get('mode', 'its own')}"]
    words += [f"{top:.1f} % on ImageNet"] if top is not None else []
    return ", ".join(words) + f"; test images from {data['source']}"


def figure(score: Score) -> Figure:
    """Accuracy on each test set with its interval, by each rule."""
    from in9.plots.charts import chart_style, intervals

    chart_style()
    frame = score.table().rename(columns={"rule": "origin"}).query("test != 'bg_gap'")
    looks = {rule: LOOKS[rule] for rule in RULES}
    return intervals(frame, "test", "value", list(score.tests), f"accuracy of {score.name}, %", True, looks)


def document(found: Score | Challenged) -> str:
    """The record with the tables that follow from it, as JSON."""
    content = asdict(found.record) | {"table": found.table().to_dict("records")}
    return json.dumps(content, indent=1) + "\n"


def check_targets(*paths: Path | None) -> None:
    """Raise In9Error for a file that could not be written, before anything is computed."""
    for path in paths:
        if path is not None and (path.is_dir() or not path.absolute().parent.is_dir()):
            raise In9Error(f"{path} cannot be written: give a file name in a folder that exists.")


def write(path: Path, content: str | Figure) -> None:
    """Write a text, or a figure in the format of the file's ending; the file appears whole or not at all."""
    partial = path.with_name(f".{os.getpid()}.{path.name}")  # the ending decides a figure's format
    with plain_disk_errors(path, resumes=False):
        if isinstance(content, str):
            partial.write_text(content, encoding="utf-8")
        else:
            try:
                content.savefig(partial)
            except ValueError as error:
                raise In9Error(f"{path} has no ending of a figure: use .svg, .png or .pdf.") from error
        partial.replace(path)
