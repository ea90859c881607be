"""How a score is shown: as text for a terminal, among the paper's models, as files, as a figure."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from in9.errors import In9Error, plain_disk_errors
from in9.files import written_whole
from in9.plots import charts, style
from in9.scoring.answers import ELSEWHERE
from in9.scoring.challenge import ChallengeScore
from in9.scoring.score import RESTRICTED, STRICT, Score
from in9.taxonomy import NUM_CLASSES, TITLES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from in9.scoring.explain import SaliencyScore

ROW_TITLES = {**TITLES, "bg_gap": "BG-Gap (points)"}
RULE_LOOKS: dict[str, style.Look] = {
    STRICT: {"label": "strict: none of the nine is wrong", "color": "#d55e00", "marker": "D"},
    RESTRICTED: {"label": "restricted to the 370 classes", "color": "#0072b2", "marker": "o"},
}


def text(score: Score, among: pd.DataFrame) -> str:
    """The score for a terminal: what was scored and how, each test set and BG-Gap.

    ``among`` has the paper's models and this one in order of BG-Gap; they are left out if it is empty.
    """
    rules = "".join(f"{rule:<22}" for rule in score.rules)
    lines = [_heading(score), "", f"{'%':<16}{'images':>7}  {rules}all images alike"]
    for test, rows in score.table().groupby("test", sort=False):
        intervals = "".join(f"{interval(row):<22}" for row in rows.to_dict("records"))
        shares = " / ".join(f"{share:.1f}" for share in rows["share"])
        lines.append(f"{ROW_TITLES[str(test)]:<16}{rows['images'].iloc[0]:>7}  {intervals}{shares}")
    lines += ["", "In square brackets: 95 % intervals, each class counting the same; that of BG-Gap is paired."]
    if score.record.settings["model"]["outputs"] != NUM_CLASSES:
        lines.append("Strict, the paper's rule: an answer under none of the nine classes is wrong.")
    if RESTRICTED in score.rules:
        lines.append("Restricted: the best of the 370 ImageNet classes that fall under the nine.")
    lines += _missing(score)
    if len(among):
        lines += ["", "By BG-Gap among the paper's models (paper, table 2, and the authors' README):", ""]
        lines.append(f"  {'model':<40}{'Original':>9}{'M-Same':>9}{'M-Rand':>9}{'BG-Gap':>9}  where")
    for row in among.to_dict("records"):
        numbers = "".join(f"{row[test]:>9.1f}" for test in ("original", "mixed_same", "mixed_rand", "bg_gap"))
        lines.append(f"{'>' if row['ours'] else ' '} {row['model'][:39]:<40}{numbers}  {row['where']}")
    return "\n".join(lines)


def background_text(table: pd.DataFrame) -> str:
    """The table of ``Score.background_answers`` for a terminal; empty where no background is known."""
    if table.empty:
        return ""
    lines = ["", "Answers the background's class, % of the images whose background is of another class:", ""]
    for row in table.to_dict("records"):
        lines.append(f"{TITLES[row['test']]:<16}{row['images']:>7}  {interval(row):<22}{row['rule']}")
    return "\n".join(lines) + "\n"


def challenge_text(score: ChallengeScore) -> str:
    """The challenge for a terminal."""
    lines = [_heading(score), "", f"{'%':<26}{'each class the same':<24}all images alike"]
    for row in score.table().to_dict("records"):
        lines.append(f"{row['measure']:<26}{interval(row):<24}{row['share']:.1f}")
    pairs, composites = score.record.results["pairs"], score.record.results["composites"]
    sizes = f"{len(score.labels):,} foregrounds x {score.backgrounds:,} backgrounds"
    lines += [
        "",
        "Untargeted (the authors' repository): some background makes the answer wrong. Targeted (the paper): some",
        "background of another class makes the classifier answer that class.",
        f"{sizes}; {composites:,} of {pairs:,} pairs were enough.",
    ]
    return "\n".join(lines)


def _heading(score: Score | ChallengeScore) -> str:
    facts, source = score.record.settings["model"], score.record.settings["data"]["source"]
    top1 = "" if facts["imagenet_top1"] is None else f", {facts['imagenet_top1']:.1f} % on ImageNet"
    top1 += f" ({facts['imagenet_top1_source']})" if "imagenet_top1_source" in facts else ""
    mode = facts["preprocessing"]["mode"]
    words = f", prompts {facts['prompts']}" if "prompts" in facts else ""
    if "head" in facts:
        words = f", linear head on {facts['head'].get('train_on') or facts['head']['file']}"
    kind = f"{facts['outputs']} outputs{words}, preprocessing {mode}"
    if mode == ELSEWHERE:
        kind = f"answers of {facts['weights']}"
    return f"{facts['name']}: {kind}{top1}; test images from {source}"


def _missing(score: Score) -> list[str]:
    """What is said of images that a file of answers lacks."""
    missing = {test: count for test, count in score.record.settings.get("missing", {}).items() if count}
    if not missing:
        return []
    counts = ", ".join(f"{count:,} of {ROW_TITLES[test]}" for test, count in missing.items())
    left_out = score.record.settings["left_out"]
    return [
        "",
        f"Images without an answer: {counts}. Left out with them, as test sets are compared object by object: "
        f"{left_out:,} answers.",
        "The intervals are wider, those of the images that are left; if it is no chance which are missing, the numbers",
        "are off by more than the intervals say.",
    ]


def interval(row: Mapping[Any, Any] | pd.Series) -> str:
    """Value, low and high of a row of a table, in percent or points, for a terminal."""
    return f"{row['value']:5.1f} [{row['low']:.1f}, {row['high']:.1f}]"


def figure(score: Score) -> Figure:
    """Accuracy on each test set with its interval, by each rule."""
    style.use("svg")
    frame = score.table().rename(columns={"rule": "origin"}).query("test != 'bg_gap'")
    xlabel = f"accuracy of {score.name}, %"
    return charts.intervals(frame, "test", "value", score.tests, xlabel, chance=True, looks=RULE_LOOKS).figure


def document(score: Score | ChallengeScore | SaliencyScore) -> str:
    """The record with the table that follows from it, as JSON."""
    content = asdict(score.record) | {"table": score.table().to_dict("records")}
    return json.dumps(content, indent=1) + "\n"


def check_targets(*files: Path | None, folder: Path | None = None, inputs: Sequence[Path | None] = ()) -> None:
    """Raise In9Error for files that could not be written, before anything is computed; nothing stays behind.

    No two may be the same, and none may be one of the ``inputs``. The ``folder`` is for the record, and need not exist.
    """
    taken = {path.resolve() for path in inputs if path is not None}
    kept = None if folder is None else folder.absolute()
    for path in (file for file in (*files, kept and kept / "record.json") if file is not None):
        with plain_disk_errors(path, resumes=False):
            wanted = path.absolute().parent
            there = next(parent for parent in (wanted, *wanted.parents) if parent.exists())
            if (path.exists() and not path.is_file()) or (there != wanted and wanted != kept):
                raise In9Error(f"{path} cannot be written: give a file name in a folder that exists.")
            if path.resolve() in taken:
                raise In9Error(f"{path} is given twice, and would be overwritten; give another file name.")
            with tempfile.NamedTemporaryFile(dir=there, prefix=f"{path.name}.", suffix=".writing") as trial:
                trial.write(bytes(1 << 16))
        taken.add(path.resolve())


def check_figure(path: Path | None) -> None:
    """Raise In9Error for a file whose ending is not that of a figure."""
    from matplotlib.backend_bases import FigureCanvasBase

    if path is not None and path.suffix.lower().removeprefix(".") not in FigureCanvasBase.get_supported_filetypes():
        raise In9Error(f"{path} has no ending of a figure: use .svg, .png or .pdf.")


def save(writers: Mapping[Path, Callable[[Path], object]]) -> None:
    """Write all files, each whole or not at all; what cannot be written goes to the current or a temporary folder.

    ``writers`` has, for each file, what writes it to the path that it is given. Raises In9Error that says where the
    files are that could not be written in their place.
    """
    moved = []
    for path, writer in writers.items():
        try:
            writer(path)
        except OSError as error:
            moved.append(f"{path} cannot be written ({error.strerror or error}); {_put_elsewhere(path.name, writer)}")
    if moved:
        raise In9Error(f"{'; '.join(moved)}.")


def _put_elsewhere(name: str, writer: Callable[[Path], object]) -> str:
    """Write a file where nothing of its name is, in the current or a temporary folder; say where it is."""
    for folder in (Path.cwd, lambda: Path(tempfile.mkdtemp(prefix="in9-"))):
        with suppress(OSError):
            path = folder() / name
            if not path.exists():
                writer(path)
                return f"it is now {path}"
    return "it could not be put elsewhere either, and the table above is what is left of it"


def write(path: Path, content: str | Figure) -> None:
    """Write a text, or a figure in the format of the file's ending; the file appears whole or not at all."""
    with written_whole(path) as partial:
        if isinstance(content, str):
            partial.write_text(content, encoding="utf-8")
        else:
            content.savefig(partial, format=path.suffix.removeprefix("."))
