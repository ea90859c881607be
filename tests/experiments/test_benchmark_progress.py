"""Benchmark progress: which records count, the lines through networks, the claims, and the chapter with and without."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

mpl.use("Agg")

from matplotlib import pyplot as plt

from in9.book.notebooks import Chapter
from in9.data.splits import Split
from in9.data.variants import VARIANTS
from in9.evaluation.records import Record, Store, to_digits
from in9.experiments import benchmark_progress, network_lines, paper, verdicts
from in9.experiments.claims import CLAIMS
from in9.experiments.verdicts import CONTRADICTED, SUPPORTED, UNDECIDED, UNTESTED
from in9.plots import curves
from in9.plots.tables import Table
from in9.scoring.challenge import ChallengeScore
from in9.scoring.score import Score
from in9.study.study import Study
from in9.study.workspace import Workspace
from in9.training.recipe import IN9L

PROJECT = Path(__file__).parents[2]
CHAPTER = Chapter(PROJECT / "notebooks" / "08_benchmark_progress.py")
COUNTS = np.array([400, 300, 200, 200, 200, 200, 200, 200, 100])
LABELS = np.repeat(np.arange(9), COUNTS)
RISES = {"original": 0.3, "only_bg_t": 0.2, "no_fg": 0.8, "mixed_same": 1.0, "mixed_rand": 1.4, "mixed_next": 1.7}
TABLE2 = benchmark_progress.published().query("where == 'table 2'")
TOP1 = (57.0, 64.0, 71.0, 78.0)


def share_right(share: float) -> np.ndarray:
    """Answers of which that share of each class is right, the first ones; the rest fall under none of the nine."""
    place = np.concatenate([np.arange(count) / count for count in COUNTS])
    return np.where(place < share - 1e-9, LABELS, -1)


def rising(top1: float, rises: dict[str, float] = RISES) -> dict[str, float]:
    """Accuracies on the variants that rise by so many points for each point on ImageNet."""
    return {test: (60 + rises.get(test, 0.5) * (top1 - 70)) / 100 for test in (*VARIANTS, IN9L)}


def score(
    folder: Path, name: str, top1: float | None, shares: dict[str, float] | None = None, **changes: Any
) -> Record:
    """Write the record of a score; ``changes`` are of the model's facts, the data's facts, the hash or the time."""
    shares = shares or rising(top1 or 70)
    model = {"name": name, "outputs": 1000, "map_sha256": None, "imagenet_top1": top1} | changes.get("model", {})
    data = {"source": "imagenet", "split": "test", "test_seed": 0} | changes.get("data", {})
    answers = {test: share_right(share) for test, share in shares.items()}
    results = {
        "labels": {"in9": to_digits(LABELS), IN9L: to_digits(LABELS)},
        "predictions": {test: to_digits(one) for test, one in answers.items()},
        "restricted": {test: to_digits(np.where(one < 0, LABELS[::-1], one)) for test, one in answers.items()},
    }
    facts = {"when": changes.get("when", "2026-01-01T00:00:00+00:00"), "seconds": 10.0, "device": "cpu"}
    record = Record(Score.kind, name.replace(".", "_"), {"model": model, "data": data}, changes.get("hash", "photos"),
                    results, facts | {"processor": "a processor"})  # fmt: skip
    Store(folder).write(record)
    return record


def challenged(folder: Path, name: str, vulnerable: float, **changes: Any) -> None:
    """Write the record of a challenge in which that share of the foregrounds is vulnerable."""
    settings = {
        "model": {"name": name, "outputs": 1000},
        "data": {"source": "imagenet", "split": "test", "test_seed": 0},
        "rules": ["untargeted"],
        "per_class": changes.get("per_class"),
    }
    flags = to_digits((share_right(vulnerable) >= 0).astype(int))
    backgrounds = changes.get("per_class") or LABELS.size
    results = {"labels": to_digits(LABELS), "original": to_digits(LABELS), "pairs": LABELS.size * backgrounds,
               "vulnerable": {changes.get("rule", "untargeted"): flags}}  # fmt: skip
    facts = {"when": changes.get("when", "2026-01-02T00:00:00+00:00"), "seconds": 1.0, "device": "cpu"}
    Store(folder).write(Record(ChallengeScore.kind, name, settings, changes.get("hash", "photos"), results, facts))


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return Study("smoke", compute=False, workspace=Workspace(tmp_path), progress=False)


@pytest.fixture
def folder(study: Study) -> Path:
    return study.workspace.scores


# --- lines --------------------------------------------------------------------------------------------------------


def frame_of(x: list[float], y: list[float], test: str = "original") -> pd.DataFrame:
    return pd.DataFrame({"model": [f"m{one}" for one in range(len(x))], "where": "measured", "images": 10,
                         "imagenet": x, "test": test, "value": y, "low": np.nan, "high": np.nan})  # fmt: skip


def test_a_line_worked_out_by_hand() -> None:
    frame = frame_of([71, 72, 73, 74], [2, 4, 5, 8])
    (row,) = network_lines.fits(frame).to_dict("records")
    # Sxx = 5, Sxy = 9.5, Syy = 18.75; the residuals' squares sum to 0.7; t of two degrees of freedom is 4.30265
    half = 4.30265 * np.sqrt(0.7 / 2 / 5)
    assert (row["test"], row["networks"]) == ("original", 4)
    assert [row["slope"], row["low"], row["high"]] == pytest.approx([1.9, 1.9 - half, 1.9 + half], abs=1e-5)
    assert row["r"] == pytest.approx(9.5 / np.sqrt(5 * 18.75))
    assert network_lines.slopes(frame)["original"].text(2) == f"1.90 [{1.9 - half:.2f}, {1.9 + half:.2f}]"


def test_the_lines_of_table_2_are_those_that_the_claims_quote() -> None:
    found = network_lines.fits(TABLE2).set_index("test")
    assert set(found["networks"]) == {5}
    for test in ("original", IN9L, "only_bg_t", "mixed_same", "mixed_rand", "bg_gap"):
        assert round(found.loc[test, "slope"], 2) == paper.fact(f"slope_{test}").value, test
        assert round(found.loc[test, "r"], 2) == paper.fact(f"correlation_{test}").value, test
        assert found.loc[test, "low"] < found.loc[test, "slope"] < found.loc[test, "high"]


def test_the_band_is_that_of_least_squares() -> None:
    rng = np.random.default_rng(0)
    x = rng.uniform(55, 80, 9)
    y = 3 + 0.7 * x + rng.normal(size=9)
    band = network_lines.bands(frame_of(x.tolist(), y.tolist()), points=5)
    design = np.column_stack([np.ones(9), x])
    weights, squares = np.linalg.lstsq(design, y)[:2]
    covariance = squares[0] / 7 * np.linalg.inv(design.T @ design)
    at = np.column_stack([np.ones(5), band["imagenet"]])
    half = 2.364624 * np.sqrt(np.einsum("ij,jk,ik->i", at, covariance, at))  # t of seven degrees of freedom
    assert band["value"].to_numpy() == pytest.approx(at @ weights)
    assert (band["high"] - band["value"]).to_numpy() == pytest.approx(half, rel=1e-5)
    assert (band["value"] - band["low"]).to_numpy() == pytest.approx(half, rel=1e-5)
    assert band["imagenet"].iloc[[0, -1]].tolist() == [x.min(), x.max()]


@pytest.mark.parametrize("x", [[70.0, 75.0], [70.0, 70.0, 70.0], []])
def test_no_line_without_three_networks_that_differ(x: list[float]) -> None:
    frame = frame_of(x, [50.0] * len(x))
    assert network_lines.fits(frame).empty and network_lines.bands(frame).empty and network_lines.slopes(frame) == {}


def test_networks_that_all_answer_alike_have_a_level_line() -> None:
    (row,) = network_lines.fits(frame_of([60, 70, 80], [0, 0, 0])).to_dict("records")
    assert (row["slope"], row["low"], row["high"]) == (0, 0, 0) and np.isnan(row["r"])
    assert network_lines.bands(frame_of([60, 70, 80], [0, 0, 0]))[["value", "low", "high"]].eq(0).all(axis=None)


def test_the_slope_of_a_difference_is_the_difference_of_the_slopes() -> None:
    found = network_lines.slopes(TABLE2)
    space = benchmark_progress.difference(TABLE2, "mixed_rand", "only_bg_t")
    (name, slope), *others = network_lines.slopes(space).items()
    assert (name, others, len(space)) == ("mixed_rand minus only_bg_t", [], 5)
    assert slope.value == pytest.approx(found["mixed_rand"].value - found["only_bg_t"].value)
    gap = network_lines.slopes(benchmark_progress.difference(TABLE2, "mixed_same", "mixed_rand"))[
        "mixed_same minus mixed_rand"
    ]
    # printed gaps are rounded once more
    assert gap.value == pytest.approx(found["bg_gap"].value, abs=2e-4)
    assert benchmark_progress.difference(TABLE2, "mixed_rand", "no_fg").empty


# --- published numbers --------------------------------------------------------------------------------------------


def test_published_networks_have_names_and_their_accuracy_on_imagenet() -> None:
    frame = benchmark_progress.published()
    assert list(frame.columns) == benchmark_progress.COLUMNS
    assert frame[["model", "imagenet", "value"]].notna().all(axis=None) and frame[["low", "high"]].isna().all(axis=None)
    counts = frame.groupby("where")["model"].nunique()
    assert counts.to_dict() == {"table 2": 5, "README": 3, benchmark_progress.NEWER: len(paper.table("newer_models"))}
    readme = frame[frame["where"] == "README"].set_index(["model", "test"])
    assert readme.loc[("ResNet-50", "challenge"), "value"] == 22.3
    assert readme.loc[("VGG16-BN", "mixed_rand"), ["imagenet", "value"]].tolist() == [73.4, 73.4]
    assert set(frame[frame["where"] == benchmark_progress.NEWER]["test"]) == {"bg_gap"} and "imagenet" not in set(
        frame["test"]
    )
    assert set(frame[frame["where"] != benchmark_progress.NEWER]["images"]) == {4050}


# --- records ------------------------------------------------------------------------------------------------------


def test_scores_are_of_imagenet_networks_on_one_set_of_photographs(study: Study, folder: Path) -> None:
    score(folder, "better", 78.0)
    score(folder, "good", 71.0)
    score(folder, "nine", 90.0, model={"outputs": 9})
    score(folder, "mapped", 90.0, model={"map_sha256": "abc"})
    score(folder, "unknown", None)
    for name in ("a", "b", "c"):
        score(folder, name, 70.0, hash="drawn", data={"source": "synthetic"})
    score(folder, "elsewhere", 70.0, hash="released", data={"source": "released", "split": None})
    score(folder, "trained", 70.0, data={"split": "train"})
    assert [one.name for one in benchmark_progress.scores(study)] == ["good", "better"]


def test_scores_of_one_fold_are_a_series_of_their_own(study: Study, folder: Path) -> None:
    score(folder, "whole", 60.0)
    record = score(folder, "enlarged", 70.0, hash="fold")
    data = {"source": "imagenet", "split": "test", "test_seed": 0, "fold": 0}
    Store(folder).write(replace(record, settings={**record.settings, "data": data}, name="of_fold"))
    assert "of_fold" not in {each.record.name for each in benchmark_progress.scores(study)}
    assert benchmark_progress.enlarged(study) == []  # this profile has no folds
    with_folds = replace(study.profile, source="imagenet", split=Split(0.0, 0.05, 2), seeds=(0, 1))
    shown = benchmark_progress.enlarged(Study(with_folds, compute=False, workspace=study.workspace, progress=False))
    assert [each.record.name for each in shown] == ["of_fold"]


def test_a_slopes_interval_holds_what_other_images_would_change(study: Study, folder: Path) -> None:
    for top1 in (60.0, 65.0, 70.0, 75.0):
        score(folder, f"net{top1:g}", top1)
    scored = benchmark_progress.scores(study)
    frame = benchmark_progress.measured(scored)
    alone = network_lines.fits(frame).set_index("test")
    with_images = network_lines.fits(frame, scored).set_index("test")
    assert (with_images["slope"] == alone["slope"]).all()
    for test in ("mixed_rand", "bg_gap"):
        assert (
            with_images.loc[test, "high"] - with_images.loc[test, "low"]
            > alone.loc[test, "high"] - alone.loc[test, "low"]
        )
    # By hand: the slope is a weighted sum of the networks' accuracies, and images are drawn within their class.
    weights = np.array([-7.5, -2.5, 2.5, 7.5]) / 125
    right = np.stack([each.predictions().correct("mixed_rand")[0, 0] for each in scored])
    sums = 100 * weights @ right
    variance = sum(sums[label == LABELS].var(ddof=1) / (label == LABELS).sum() for label in range(9)) / 81
    half = (with_images.loc["mixed_rand", "high"] - with_images.loc["mixed_rand", "low"]) / 2
    assert half**2 - (alone.loc["mixed_rand", "high"] - alone.loc["mixed_rand", "slope"]) ** 2 == pytest.approx(
        1.96**2 * variance, rel=0.01
    )


def test_published_networks_rise_as_the_review_of_the_table_says() -> None:
    frame = benchmark_progress.published_networks()
    assert len(frame) == 326 and set(frame["test"]) == {"bg_gap"}
    (row,) = network_lines.fits(frame).to_dict("records")
    assert row["slope"] == pytest.approx(-0.233, abs=0.0005) and row["r"] == pytest.approx(-0.66, abs=0.005)


def test_of_several_scores_of_a_network_the_last_counts(study: Study, folder: Path) -> None:
    for when, seed in (("2026-01-03", 0), ("2026-01-05", 1), ("2026-01-04", 2)):
        score(folder, "one", 70.0, data={"test_seed": seed}, when=when)
    (found,) = benchmark_progress.scores(study)
    assert found.record.settings["data"]["test_seed"] == 1


def test_of_two_sets_as_large_the_later_one_counts(study: Study, folder: Path) -> None:
    score(folder, "one", 70.0, hash="new", when="2026-02-01", data={"source": "released"})
    score(folder, "one", 70.0, hash="old", when="2026-01-01")
    assert [one.record.data for one in benchmark_progress.scores(study)] == ["new"]


def test_the_projects_scores_and_this_machines_lie_apart(study: Study, folder: Path) -> None:
    score(study.workspace.committed / "pretrained", "theirs", 70.0)
    recorded = Study("tiny", recorded=True, workspace=study.workspace)
    assert [one.name for one in benchmark_progress.scores(recorded)] == ["theirs"] and benchmark_progress.scores(
        study
    ) == []
    assert benchmark_progress.challenges(study) == {} and benchmark_progress.measured([]).empty


def test_challenges_are_of_one_size_and_on_the_images_of_the_scores(study: Study, folder: Path) -> None:
    for name, top1 in zip("abcd", TOP1, strict=True):
        score(folder, name, top1)
    challenged(folder, "b", 0.5)
    challenged(folder, "b", 0.1, per_class=5)
    challenged(folder, "a", 0.8, hash="others")
    challenged(folder, "c", 0.8, rule="targeted")
    challenged(folder, "stranger", 0.8)
    found = benchmark_progress.challenges(study)
    assert list(found) == ["b"] and found["b"].accuracy().value == pytest.approx(0.5)  # of two sizes the larger
    assert found["b"].backgrounds == LABELS.size
    extras = benchmark_progress.extras(study)
    assert extras["test"].value_counts().to_dict() == {"restricted": 4, "challenge": 1}
    wide = benchmark_progress.by_network(
        pd.concat([benchmark_progress.measured(benchmark_progress.scores(study)), extras])
    ).set_index("model")
    assert list(wide.index) == ["a", "b", "c", "d"] and wide.loc["b", "challenge"] == pytest.approx(50)
    assert wide["challenge"].notna().sum() == 1 and (wide["restricted"] >= wide["only_bg_t"]).all()
    assert wide.loc["a", "images"] == LABELS.size and (wide["low"] <= wide["bg_gap"]).all()


def test_the_size_with_most_challenges_is_shown(study: Study, folder: Path) -> None:
    for name, top1 in zip("abcd", TOP1, strict=True):
        score(folder, name, top1)
        challenged(folder, name, 0.3, per_class=5)
    challenged(folder, "b", 0.5)
    found = benchmark_progress.challenges(study)
    assert list(found) == ["a", "b", "c", "d"] and {one.backgrounds for one in found.values()} == {5}


def test_measured_rows_say_what_the_scores_say(study: Study, folder: Path) -> None:
    record = score(folder, "one", 70.0)
    (found,) = benchmark_progress.scores(study)
    frame = benchmark_progress.measured([found]).set_index("test")
    assert list(frame.index) == [*record.results["predictions"], "bg_gap"]
    assert frame.loc["mixed_rand", ["value", "low", "high"]].tolist() == list(found.accuracy("mixed_rand").in_percent())
    gap = found.gap()
    assert gap is not None
    assert frame.loc["bg_gap", ["value", "low", "high"]].tolist() == list(gap.in_percent())
    assert set(frame["imagenet"]) == {70.0} and set(frame["where"]) == {"measured"}
    restricted = benchmark_progress.measured([found], "restricted").set_index("test")
    assert restricted.loc["only_bg_t", "value"] == pytest.approx(100 * found.accuracy("only_bg_t", "restricted").value)


def test_describe(study: Study, folder: Path) -> None:
    assert benchmark_progress.describe([]) == "no network has been scored yet."
    for name, top1 in zip("ab", TOP1, strict=False):
        score(folder, name, top1)
    text = benchmark_progress.describe(benchmark_progress.scores(study))
    assert text.startswith("2 networks on the same 2,000 photographs (100 to 400 of a class);")
    assert text.endswith("9 test sets took 20 s on a processor.")


# --- claims -------------------------------------------------------------------------------------------------------


def decided(study: Study) -> dict[str, str]:
    """The decisions on the chapter's claims: that a test set rises, by its name, and the spaces by what narrows."""
    decisions = {claim.text: verdicts.judge(claim, study).decision for claim in CLAIMS if claim.chapter == "08"}
    names = {"better it is on ": "", "smaller its ": "", "rises less than accuracy on ": "over Only-BG-T: ",
             "loses from Mixed-Rand to ": "space to "}  # fmt: skip
    return {
        key + text.split(words)[1].rstrip("."): decision
        for text, decision in decisions.items()
        for words, key in names.items()
        if words in text
    }


def test_networks_that_rise_as_the_paper_says_support_the_claims(study: Study, folder: Path) -> None:
    for name, top1 in zip("abcd", TOP1, strict=True):
        score(folder, name, top1)
    decisions = decided(study)
    assert set(decisions.values()) == {SUPPORTED} and len(decisions) == 8
    (claim,) = [claim for claim in CLAIMS if claim.text.endswith("better it is on Mixed-Rand.")]
    estimate = verdicts.judge(claim, study).estimate
    assert estimate is not None and 100 * estimate.value == pytest.approx(1.4, abs=0.1)
    assert estimate.text() == f"{100 * estimate.value:.1f} [{100 * estimate.low:.1f}, {100 * estimate.high:.1f}]"


def test_networks_that_behave_otherwise_do_not(study: Study, folder: Path) -> None:
    falls = {"only_bg_t": 1.0, "mixed_same": 1.4, "mixed_rand": 0.6, "mixed_next": 0.0, "no_fg": -0.6}
    for name, top1 in zip("abcd", TOP1, strict=True):
        score(folder, name, top1, rising(top1, falls))
    decisions = decided(study)
    held = {"Only-BG-T", "Mixed-Same", "Mixed-Rand"}
    assert {name for name, decision in decisions.items() if decision == SUPPORTED} == held
    # Also the level line of Mixed-Next.
    assert {decision for name, decision in decisions.items() if name not in held} == {CONTRADICTED}


def test_three_networks_that_scatter_decide_nothing(study: Study, folder: Path) -> None:
    for name, top1, value in zip("abc", (60.0, 65.0, 70.0), (0.4, 0.7, 0.5), strict=True):
        score(folder, name, top1, dict.fromkeys((*VARIANTS, IN9L), value) | {"mixed_same": 0.8})
    assert decided(study)["BG-Gap"] == UNDECIDED


def test_two_networks_are_too_few(study: Study, folder: Path) -> None:
    for name, top1 in zip("ab", TOP1, strict=False):
        score(folder, name, top1)
    judged = [verdicts.judge(claim, study) for claim in CLAIMS if claim.chapter == "08"]
    assert {verdict.decision for verdict in judged} == {UNTESTED}
    assert {verdict.reason for verdict in judged} == {
        "score three networks trained on all of ImageNet with `in9 evaluate`"
    }


# --- what is shown ------------------------------------------------------------------------------------------------


@pytest.fixture
def clean_style() -> Iterator[None]:
    with mpl.rc_context():
        yield
    assert plt.get_fignums() == []


def test_panels_share_axes_and_show_every_origin(clean_style: None) -> None:
    points = pd.concat([TABLE2.assign(series="paper"), TABLE2.assign(series="run", value=TABLE2["value"] + 1)])
    lines = pd.concat([network_lines.bands(part).assign(series=name) for name, part in points.groupby("series")])
    panels = {test: (points[points["test"] == test], lines[lines["test"] == test])
              for test in ("original", "mixed_same", "mixed_rand")}  # fmt: skip
    figure = curves.scatter(panels, "imagenet", "across", "up", ylim=(0, 100)).figure
    shown = [axis for axis in figure.axes if axis.get_visible()]
    assert [axis.get_title() for axis in shown] == list(panels) and {axis.get_ylim() for axis in shown} == {(0, 100)}
    assert [len(axis.lines) for axis in shown] == [4, 4, 4]
    assert [one.get_text() for one in figure.legends[0].get_texts()] == ["the paper", "this run"]


def committed(workspace: Workspace) -> None:
    (workspace.root / "records").mkdir()
    (workspace.committed / "tiny").symlink_to(PROJECT / "records" / "tiny")


@pytest.mark.parametrize("have", ["nothing", "record", "few here", "both"])
def test_the_chapter_runs_with_what_there_is(
    have: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clean_style: None
) -> None:
    monkeypatch.setenv("IN9_HOME", str(tmp_path))
    workspace = Workspace(tmp_path)
    committed(workspace)
    places = {"record": ["pretrained"], "both": ["pretrained", "here"]}.get(have, [])
    for place in places:
        target = workspace.committed / place if place == "pretrained" else workspace.scores
        for name, top1 in zip("abcd", TOP1, strict=True):
            score(target, name, top1)
        challenged(target, "c", 0.8)
    if have == "few here":
        score(workspace.scores, "single", 70.0)
    scope: dict[str, Any] = {}
    written: list[str] = []
    for cell in (one for one in CHAPTER.read().cells if one.cell_type == "code"):
        body = ast.parse(cell.source).body
        last = body.pop() if isinstance(body[-1], ast.Expr) else None
        exec(compile(ast.Module(body, []), CHAPTER.name, "exec"), scope)
        value = eval(compile(ast.Expression(last.value), CHAPTER.name, "eval"), scope) if last else None
        written.append(value.markdown() if isinstance(value, Table) else "")
    whole = " ".join(written)
    assert ("**1.40** [1." in whole) == bool(places)  # the slope that the records were made with
    assert "nan" not in whole and "1.23" in whole
    assert scope["slopes"].keys() == {"paper", *({"record"} if places else ())}
