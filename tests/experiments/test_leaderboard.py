"""The leaderboard: its rows, that each record in the project's folder is good, and that a bad one is refused."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from in9.book.leaderboard_page import HEADS, ROWS_AT_FIRST, block
from in9.errors import In9Error
from in9.evaluation.records import Record, Store, read
from in9.experiments.leaderboard import FACTS, LOCAL, NUMBERS, SCORED, SUBMITTED, check, rows
from in9.scoring.score import Score
from in9.study.workspace import Workspace, find_workspace

ROOT = Path(__file__).parents[2]
HOSTILE = "</script><img src=x onerror=alert(1)>"


@pytest.fixture
def known() -> pd.DataFrame:
    return pd.read_csv(ROOT / "records" / "leaderboard" / "test_images.csv", dtype=str, keep_default_na=False)


@pytest.fixture
def record() -> Record:
    return next(record for record in scored() if record.settings["data"].get("fold") is None)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """The project's tables and scores, where more can be put."""
    for folder in ("leaderboard", "pretrained"):
        shutil.copytree(ROOT / "records" / folder, tmp_path / "records" / folder)
    return Workspace(tmp_path)


def scored() -> list[Record]:
    return Store(ROOT / "records" / "pretrained").all(Score.kind)


def named(record: Record, name: str) -> Record:
    return replace(record, settings={**record.settings, "model": {**record.settings["model"], "name": name}})


def changed(record: Record, part: str, **values: Any) -> Record:
    return replace(record, settings={**record.settings, part: {**record.settings[part], **values}})


# ---- the project's folder --------------------------------------------------------------------------------------------


def test_every_record_of_the_project_can_be_a_row(known: pd.DataFrame) -> None:
    folder = ROOT / "records" / "leaderboard"
    files = sorted(path for path in folder.iterdir() if path.suffix != ".csv")
    assert [path.name for path in files if not re.fullmatch(r"score_\w+_[0-9a-f]{16}\.json", path.name)] == []
    for record in [*scored(), *map(read, files)]:
        check(record, known)


def test_rows_are_from_everywhere_and_in_range(workspace: Workspace) -> None:
    frame = rows(workspace)
    assert list(frame.columns) == [*FACTS, *NUMBERS]
    counts = frame["source"].value_counts()
    assert counts[SCORED] == 2 * len(scored()) and counts["paper, table 2"] == 10 and counts["Hesse et al. 2025"] == 326
    assert frame["bg_gap"].between(-100, 100).all() and frame["bg_gap"].notna().all()
    accuracies = frame[["imagenet", "original", "only_bg_t", "mixed_same", "mixed_rand"]]
    assert (accuracies.isna() | accuracies.ge(0) & accuracies.le(100)).all(axis=None)
    ours = frame[frame["source"] == SCORED]
    assert ours["low"].lt(ours["bg_gap"]).all() and ours["high"].gt(ours["bg_gap"]).all()
    both = ours["mixed_same"] - ours["mixed_rand"]
    assert both.sub(ours["bg_gap"]).abs().max() < 1e-6
    for _, group in ours.groupby(["test_images", "rule"]):
        assert group["bg_gap"].is_monotonic_increasing
    assert set(ours["trained_on"]) == {"ImageNet-1k"} and set(ours["images"].astype(int)) == {198, 1421}


def test_a_record_in_the_folder_adds_a_row(workspace: Workspace, record: Record) -> None:
    before = rows(workspace)
    Store(workspace.committed / "leaderboard").write(named(record, "mine"))
    Store(workspace.scores).write(named(record, "local"))
    after = rows(workspace)
    assert len(after) == len(before) + 4
    mine = after[after["model"] == "mine"]
    assert list(mine["source"]) == [SUBMITTED] * 2 and set(mine["rule"]) == {"strict", "restricted"}
    assert set(mine["family"]) == {"not stated"} and set(after.query("model == 'local'")["source"]) == {LOCAL}
    with (workspace.committed / "leaderboard" / "networks.csv").open("a") as file:
        file.write("mine,Transformer,photographs\n")
    mine = rows(workspace).query("model == 'mine'")
    assert set(mine["family"]) == {"Transformer"} and set(mine["trained_on"]) == {"photographs"}


def test_answers_of_a_model_that_ran_elsewhere_are_a_row(workspace: Workspace, record: Record) -> None:
    elsewhere = changed(record, "model", name="elsewhere", outputs=None, preprocessing={"mode": "elsewhere"})
    Store(workspace.committed / "leaderboard").write(elsewhere)
    mine = rows(workspace).query("model == 'elsewhere'")
    assert set(mine["rule"]) == {"strict", "restricted"} and set(mine["preprocessing"]) == {"elsewhere"}


# ---- what is refused -------------------------------------------------------------------------------------------------


def other_hash(record: Record) -> Record:
    return replace(changed(record, "data", hash="0" * 16), data="0" * 16)


def results(record: Record, kind: str, **values: str) -> Record:
    return replace(record, results={**record.results, kind: {**record.results[kind], **values}})


BAD: dict[str, tuple[Callable[[Record], Record], str]] = {
    "data": (other_hash, "not among the known test images"),
    "two data": (lambda record: replace(record, data="0" * 16), "and its settings of"),
    "kind": (lambda record: replace(record, kind="challenge"), "not a score"),
    "accuracy": (lambda record: changed(record, "model", imagenet_top1=101.0), "not a number from 0 to 100"),
    "nan": (lambda record: changed(record, "model", imagenet_top1=float("nan")), "not a number from 0 to 100"),
    "no facts": (lambda record: replace(record, settings={"model": "x"}), "do not say of which network and data"),
    "outputs": (lambda record: changed(record, "model", outputs="many"), "outputs are 'many'"),
    "name": (lambda record: named(record, "a\nb"), "can be printed"),
    "long": (lambda record: named(record, "a" * 101), "1 to 100 characters"),
    "mode": (lambda record: changed(record, "model", preprocessing={"mode": "magic"}), "preprocessing is 'magic'"),
    "class": (
        lambda record: results(record, "predictions", original="9" * len(record.results["labels"]["in9"])),
        "predictions of original are not one class for each",
    ),
    "none": (
        lambda record: results(record, "restricted", original="-" * len(record.results["labels"]["in9"])),
        "restricted of original are not one class for each",
    ),
    "short": (lambda record: results(record, "predictions", mixed_same="01"), "predictions of mixed_same"),
    "labels": (
        lambda record: results(record, "labels", in9="0" * len(record.results["labels"]["in9"])),
        "not those of the nine classes",
    ),
    "lacking": (
        lambda record: replace(record, results={**record.results, "predictions": {}}),
        "no answers for original, mixed_same, mixed_rand",
    ),
    "fewer": (
        lambda record: replace(
            record,
            results={
                kind: {name: text[:-1] for name, text in texts.items() if name != "in9l"}
                for kind, texts in record.results.items()
            },
        ),
        "these test images are 198",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_record_is_refused(case: str, record: Record, known: pd.DataFrame) -> None:
    spoil, message = BAD[case]
    check(record, known)
    with pytest.raises(In9Error, match=message) as caught:
        check(spoil(record), known)
    assert "\n" not in str(caught.value)


def test_a_bad_record_in_the_folder_stops_the_page(workspace: Workspace, record: Record) -> None:
    Store(workspace.committed / "leaderboard").write(other_hash(record))
    with pytest.raises(In9Error, match="cannot be on the leaderboard"):
        rows(workspace)


def test_settings_that_were_edited_are_refused(workspace: Workspace, record: Record) -> None:
    path = Store(workspace.committed / "leaderboard").write(record)
    content = json.loads(path.read_text())
    content["settings"]["model"]["imagenet_top1"] = 99.0
    path.write_text(json.dumps(content))
    with pytest.raises(In9Error, match="edited settings"):
        rows(workspace)


# ---- the page and the form -------------------------------------------------------------------------------------------


def test_the_page_has_all_rows_and_shows_the_first(workspace: Workspace) -> None:
    frame = rows(workspace)
    html = block(frame)
    (text,) = re.findall(r'<script type="application/json">(.*?)</script>', html, re.DOTALL)
    facts = json.loads(text)
    assert len(facts["entries"]) == len(frame) and facts["columns"] == list(HEADS)
    assert html.count('<th scope="row"') == ROWS_AT_FIRST and len(html) < 250_000
    assert not re.search(r"(src|href)=|https?://", html)
    first, row = facts["entries"][0], frame.iloc[0]
    cells = dict(zip(HEADS, first["cells"], strict=True))
    assert cells["model"] == row["model"] and cells["original"] == f"{row['original']:.1f}"
    assert cells["bg_gap"].replace("\u00a0", " ") == f"{row['bg_gap']:.1f} [{row['low']:.1f}, {row['high']:.1f}]"
    last = dict(zip(HEADS, facts["entries"][-1]["cells"], strict=True))
    assert last["original"] == "–" and last["bg_gap"] == f"{frame['bg_gap'].iloc[-1]:.1f}"


def test_a_hostile_name_is_text(workspace: Workspace, record: Record) -> None:
    Store(workspace.committed / "leaderboard").write(named(record, HOSTILE))
    html = block(rows(workspace))
    assert "<img" not in html and "&lt;img src=x onerror=alert(1)&gt;" in html
    assert html.count("</script>") == 2


def test_the_form_asks_for_what_a_row_needs() -> None:
    form = yaml.safe_load((ROOT / ".github" / "ISSUE_TEMPLATE" / "submit.yml").read_text(encoding="utf8"))
    fields = {field["id"]: field for field in form["body"] if "id" in field}
    columns = (ROOT / "records" / "leaderboard" / "networks.csv").read_text(encoding="utf8").splitlines()[0].split(",")
    assert {*columns, "record", "command"} <= set(fields)
    assert all(field["validations"]["required"] for name, field in fields.items() if name != "checks")
    families = set(rows(find_workspace(ROOT))["family"]) - {"not stated"}
    assert families <= set(fields["family"]["attributes"]["options"])
