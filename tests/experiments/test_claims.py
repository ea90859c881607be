"""Claims: every one has a place and a number, verdicts follow from intervals, and nothing is computed for them."""

from __future__ import annotations

import ast
import math
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from html import unescape
from pathlib import Path

import numpy as np
import pytest

import in9.book.render
from in9.book import claims_page
from in9.cli.main import main
from in9.evaluation.estimates import Estimate
from in9.evaluation.predictions import TEST_SETS
from in9.evaluation.records import Record, Store, provenance, to_digits
from in9.evaluation.saliency.focus import SCORES
from in9.experiments import claims, paper, verdicts
from in9.experiments import quantities as q
from in9.experiments.bg_gap import ARCHITECTURES
from in9.experiments.claims import CLAIMS, Claim, Region
from in9.experiments.mixed_rand_training import WAYS
from in9.experiments.verdicts import CONTRADICTED, DECISIONS, SUPPORTED, UNDECIDED, UNTESTED, Verdict
from in9.study import data_of_profile
from in9.study import study as study_module
from in9.study.jobs import Job, evaluations
from in9.study.profile import Profile
from in9.study.study import NotMeasured, Study
from in9.study.workspace import Workspace
from in9.training.recipe import IN9L, TRAINING_SETS, Recipe

PROFILE = Profile(
    name="tiny",  # as REFERENCE, so that committed records are also those of the column beside the run
    about="Fabricated.",
    source="synthetic",
    real=True,
    source_options={"per_class": 1},
    recipe=Recipe(epochs=1),
    fine_levels=(1, 2),
    fractions=(0.5, 1.0),
)
PER_CLASS = 100
LABELS = np.repeat(np.arange(9), PER_CLASS)
Rule = Callable[[str, str], float]


def paper_rule(train: str, test: str) -> float:
    """The accuracies that the paper prints."""
    return float(paper.train_test_matrix().loc[train, test]) / 100


def predictions(accuracy: float) -> np.ndarray:
    """As many right answers of each class as asked for, the first ones; the rest name the class after it."""
    right = np.arange(len(LABELS)) % PER_CLASS < round(accuracy * PER_CLASS)
    return np.where(right, LABELS, (LABELS + 1) % 9)


def study_of(folder: Path, profile: Profile = PROFILE, **options: bool) -> Study:
    (folder / "notebooks").mkdir(parents=True, exist_ok=True)
    for name in ("02_backgrounds_suffice", "03_bg_gap"):
        (folder / "notebooks" / f"{name}.py").write_text("# # A chapter\n")
    options = options or {"recorded": True}
    return Study(profile, **options, workspace=Workspace(folder), progress=False)


def write(study: Study, job: Job, results: dict) -> None:
    """Write the record of a job with these results."""
    assert job.recipe is not None
    record = Record(job.kind, job.recipe.train_on, job.settings, "hash", results, provenance(1.0, "cpu"))
    Store(study.records / study.profile.name).write(record)


def evaluate(study: Study, recipe: Recipe, rule: Rule, images: int = 100, classes: int = 9) -> None:
    """Write the evaluation of a recipe whose accuracies follow the rule."""
    labels = to_digits(LABELS)
    results = {
        "training": {"images": images, "seconds": 1.0, "losses": [], "classes": classes},
        "labels": {"in9": labels, IN9L: labels},
        "predictions": {test: to_digits(predictions(rule(recipe.train_on, test))) for test in TEST_SETS},
    }
    (job,) = evaluations(study.profile, [recipe])
    write(study, job, results)


@pytest.fixture
def matrix(tmp_path: Path) -> Study:
    """Committed evaluations that say what the paper's table 5 says."""
    study = study_of(tmp_path)
    for train in TRAINING_SETS:
        evaluate(study, PROFILE.recipe_on(train), paper_rule, images=400 if train == IN9L else 100)
    evaluate(study, PROFILE.recipe_on(**WAYS["mixed_rand_once"]), paper_rule)
    return study


@pytest.fixture(autouse=True)
def idle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing may be built, trained or measured."""

    def refuse(*arguments: object, **options: object) -> None:
        raise AssertionError("nothing may be computed for a claim")

    monkeypatch.setattr(study_module, "run_jobs", refuse)
    for name in ("build", "open_source"):
        monkeypatch.setattr(data_of_profile, name, refuse)


def verdict_on(study: Study, words: str) -> Verdict:
    """The verdict on the claim whose sentence has these words; there is one such claim."""
    (claim,) = [claim for claim in CLAIMS if words in claim.text]
    return verdicts.judge(claim, study)


def value_of(verdict: Verdict) -> float:
    """Our number in a verdict on a claim that was tested."""
    assert verdict.estimate is not None
    return verdict.estimate.value


# --- verdicts -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.01, 0.02, SUPPORTED),
        (0.0, 0.02, UNDECIDED),  # the end of the region is not part of it
        (-0.01, 0.02, UNDECIDED),
        (-0.01, 0.0, CONTRADICTED),
        (-0.02, -0.01, CONTRADICTED),
        (0.0, 0.0, CONTRADICTED),
    ],
)
def test_above_zero(low: float, high: float, expected: str) -> None:
    assert verdicts.decide(Region(0), Estimate((low + high) / 2, low, high)) == expected


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (-0.01, 0.019, SUPPORTED),
        (0.0, 0.0, SUPPORTED),
        (-0.02, 0.01, UNDECIDED),
        (0.01, 0.05, UNDECIDED),
        (-0.1, 0.1, UNDECIDED),  # contains zero, but says little
        (0.02, 0.05, CONTRADICTED),
        (-0.05, -0.02, CONTRADICTED),
    ],
)
def test_alike(low: float, high: float, expected: str) -> None:
    assert verdicts.decide(Region(-0.02, 0.02), Estimate((low + high) / 2, low, high)) == expected


def test_below() -> None:
    region = Region(high=0.1)
    decided = [verdicts.decide(region, Estimate(low, low, low + 0.05)) for low in (0.04, 0.05, 0.09, 0.1, 0.2)]
    assert decided == [SUPPORTED, UNDECIDED, UNDECIDED, CONTRADICTED, CONTRADICTED]


def test_regions_in_words() -> None:
    regions = (Region(0), Region(1 / 9), Region(high=0.1), Region(-0.02, 0.02), Region(high=1 / 9 + 0.15))
    assert [region.text for region in regions] == ["> 0", "> 11.1", "< 10", "-2 to 2", "< 26.1"]


# --- the claims ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.text[:60])
def test_every_claim_has_a_place_and_a_number_of_the_paper(claim: Claim) -> None:
    printed = claim.printed()
    values = [
        value
        for name in paper.TABLES
        for column in ("accuracy", "value", "bg_gap")
        if column in paper.table(name)
        for value in paper.table(name)[column]
    ]
    matrix = paper.train_test_matrix().to_numpy().ravel()
    differences = np.subtract.outer(np.append(matrix, [14.3]), np.append(matrix, [6.0])).ravel()
    slopes = round(paper.fact("slope_mixed_rand").value - paper.fact("slope_only_bg_t").value, 2)
    if math.isnan(printed.value):
        assert re.search(r"figure \d|adversarial backgrounds", printed.where) and printed.note
    else:
        assert np.isclose([*values, *differences, slopes], printed.value, atol=1e-6).any()
        places = {where for name in paper.TABLES for where in paper.table(name)["where"]}
        assert printed.where in places


def test_no_number_of_the_paper_is_typed() -> None:
    bounds = {0, 1, 0.02, 0.1, 0.15, 0.25, 0.5}
    for module in (claims, q):
        tree = ast.parse(Path(str(module.__file__)).read_text())
        numbers = {
            node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and type(node.value) in (int, float)
        }
        assert numbers <= bounds | {2, 100}, module.__name__


def test_sentences_are_ours_and_differ() -> None:
    texts = [claim.text for claim in CLAIMS]
    assert len(set(texts)) == len(texts) and all(text.endswith(".") for text in texts)
    chapters = [claim.chapter for claim in CLAIMS]
    assert chapters == sorted(chapters) and all(re.fullmatch(r"\d\d", chapter) for chapter in chapters)


def test_the_paper_satisfies_its_claims() -> None:
    """Its own numbers lie where the claims say: a test that the paper fails would be no test of its finding."""
    for claim in CLAIMS:
        value = claim.printed().value / 100
        assert math.isnan(value) or claim.region.low < value < claim.region.high, claim.text


def test_ours_stands_beside_the_papers_number_of_the_same_protocol() -> None:
    """Only the number of backgrounds that attack differs, and there nobody asks whether the numbers agree."""
    other = [claim for claim in CLAIMS if claim.printed().protocol != claim.reading.protocol]
    assert {claim.chapter for claim in other} <= {"04"}
    about = [
        claim
        for claim in CLAIMS
        if "raining on Mixed-Rand rather" in claim.text or "trained on Mixed-Rand" in claim.text
    ]
    with_number = [claim for claim in about if not math.isnan(claim.printed().value)]
    assert len(with_number) > 6
    assert {claim.printed().protocol for claim in with_number} == {"Mixed-Rand drawn once"}
    anew = q.accuracies(("mixed_rand", "original"))
    printed = q.table5(("mixed_rand_once", "original"))()
    assert anew.protocol == "Mixed-Rand drawn anew" != printed.protocol
    interval = Estimate(0.7, 0.0, 1.0)
    assert verdicts.agreement(printed, anew.protocol, interval) is None
    assert verdicts.agreement(printed, printed.protocol, interval) is True
    assert verdicts.agreement(printed, printed.protocol, Estimate(0.1, 0.0, 0.2)) is False


def test_bounds_of_ours_are_marked() -> None:
    for claim in CLAIMS:
        ends = {abs(end) for end in (claim.region.low, claim.region.high) if math.isfinite(end)}
        assert claim.own_bound == (not ends <= {0, claims.CHANCE}), claim.text
        assert verdicts.mark(claim).endswith("*") == claim.own_bound


def test_holm_keeps_what_chance_would_hardly_decide() -> None:
    def verdict(value: float, half: float) -> Verdict:
        estimate = Estimate(value, value - half, value + half)
        return Verdict(CLAIMS[0], estimate, verdicts.decide(CLAIMS[0].region, estimate))

    clear, narrow = verdict(0.2, 0.02), verdict(0.0202, 0.02)
    assert clear.decision == narrow.decision == SUPPORTED
    assert narrow.p_value == pytest.approx(0.0238, abs=0.001) and clear.p_value < 1e-12
    assert verdicts.after_holm([narrow]) == 1
    assert verdicts.after_holm([clear, narrow, narrow]) == 1
    assert verdicts.after_holm([clear, narrow, Verdict(CLAIMS[0], None, UNTESTED)]) == 2
    assert "in 1 of 1 claims" in verdicts.count([replace(clear, agrees=True)])


def test_facts_that_repeat_table_5_agree_with_it() -> None:
    cells = {
        "mixed_rand_gain_next": (("mixed_rand", "mixed_next"), ("original", "mixed_next")),
        "mixed_rand_gain_rand": (("mixed_rand", "mixed_rand"), ("original", "mixed_rand")),
        "mixed_rand_loss_original": (("original", "original"), ("mixed_rand", "original")),
        "bg_gap_mixed_rand": (("mixed_rand", "mixed_same"), ("mixed_rand", "mixed_rand")),
        "in9l_no_fg_over_only_bg_b": ((IN9L, "no_fg"), (IN9L, "only_bg_b")),
        "original_no_fg_over_only_bg_t": (("original", "no_fg"), ("original", "only_bg_t")),
    }
    for key, (first, second) in cells.items():
        assert q.table5(first, second)().value == pytest.approx(paper.fact(key).value, abs=0.001), key


def test_the_weakest_target_is_the_least_of_the_table() -> None:
    table = paper.table("adversarial")
    printed = {claim.text[:12]: claim.printed().value for claim in CLAIMS if claim.chapter == "04"}
    assert printed["No class is "] == table.query("measure == 'fooled_any'")["value"].min()


# --- verdicts from records ----------------------------------------------------------------------------------------


def test_records_that_repeat_table_5_support_the_claims_about_it(matrix: Study) -> None:
    about = [verdict for verdict in verdicts.judge_all(matrix) if verdict.claim.printed().where == "table 5"]
    assert len(about) > 20
    for verdict in about:
        printed = verdict.claim.printed().value
        assert 100 * value_of(verdict) == pytest.approx(printed, abs=1.01), verdict.claim.text
    wrong = [verdict.claim.text for verdict in about if verdict.decision != SUPPORTED]
    assert len(wrong) <= 3, wrong  # intervals of 900 images reach across a narrow margin
    assert verdict_on(matrix, "uses backgrounds").decision == SUPPORTED
    assert verdict_on(matrix, "leaves no BG-Gap").decision == SUPPORTED


def test_a_model_blind_to_backgrounds_contradicts_them(tmp_path: Path) -> None:
    study = study_of(tmp_path)
    for train in TRAINING_SETS:
        evaluate(study, PROFILE.recipe_on(train), lambda train, test: 0.8 if "fg" in test or "bg" not in test else 0.1)
    evaluate(study, PROFILE.recipe_on(**WAYS["mixed_rand_once"]), lambda train, test: 0.1 if "bg" in test else 0.8)
    assert verdict_on(study, "uses backgrounds").decision == CONTRADICTED
    assert verdict_on(study, "Only-BG-B does better than").decision == CONTRADICTED
    assert verdict_on(study, "has a price").decision == CONTRADICTED
    assert verdict_on(study, "matter little").decision == SUPPORTED
    assert verdict_on(study, "need their background").decision == CONTRADICTED


def test_more_images_need_more_images(tmp_path: Path, matrix: Study) -> None:
    assert verdict_on(matrix, "do not close the gap").decision == SUPPORTED
    study = study_of(tmp_path / "same")
    for train in TRAINING_SETS:
        evaluate(study, PROFILE.recipe_on(train), paper_rule)
    verdict = verdict_on(study, "do not close the gap")
    assert (verdict.decision, verdict.reason) == (UNTESTED, "IN-9L has no more images than IN-9")


def test_appendix_b(tmp_path: Path) -> None:
    study = study_of(tmp_path)

    def gap(size: float) -> Rule:
        return lambda train, test: {"original": 0.8, "mixed_rand": 0.7 - size}.get(test, 0.7)

    assert verdict_on(study, "finer classes").decision == UNTESTED
    for level, size in ((1, 0.3), (2, 0.1)):
        evaluate(study, PROFILE.recipe_on("original", fine=level), gap(size), classes=9 * level)
    verdict = verdict_on(study, "finer classes")
    assert verdict.decision == SUPPORTED and value_of(verdict) == pytest.approx(0.2)
    assert verdict_on(study, "leave the BG-Gap as it is").decision == UNTESTED  # one level says nothing
    evaluate(study, PROFILE.recipe_on("original", fraction=0.5, epochs=2), gap(0.3), images=50)
    assert verdict_on(study, "leave the BG-Gap as it is").decision == SUPPORTED
    assert verdict_on(study, "raise accuracy on Original").decision == CONTRADICTED


def test_adversarial_records(tmp_path: Path) -> None:
    study = study_of(tmp_path)
    labels, foregrounds = to_digits(range(9)), LABELS
    flags = np.arange(len(foregrounds)) % 10 < 9
    others = np.array([to_digits((foregrounds != label) & flags) for label in range(9)])
    results = {
        "foregrounds": {
            "rows": list(range(len(foregrounds))),
            "labels": to_digits(foregrounds),
            "original": to_digits(foregrounds),
        },
        "backgrounds": {"rows": list(range(9)), "labels": labels},
        "growth": [{"backgrounds": 9, "targeted": to_digits(flags), "untargeted": to_digits(flags)}],
        "fooled_by_class": others.tolist(),
        "successes": [0, 100, 0, 0, 0, 400, 0, 0, 0],
        "composites": 100,
    }
    write(study, Job(PROFILE, "adversarial", PROFILE.recipe_on(IN9L), PROFILE.adversarial), results)
    vulnerable = verdict_on(study, "Most objects are vulnerable")
    assert vulnerable.decision == SUPPORTED and value_of(vulnerable) == pytest.approx(0.9)
    assert verdict_on(study, "No class is a weak target").decision == SUPPORTED
    assert "with 9 backgrounds for each object" in vulnerable.remark and vulnerable.agrees is None
    best = verdict_on(study, "far stronger than others")
    assert best.decision == CONTRADICTED and value_of(best) == pytest.approx(0)  # its class has no other background
    protected = verdict_on(study, "protects")
    assert protected.decision == UNTESTED
    fewer = {
        **results,
        "growth": [{"backgrounds": 9, "targeted": to_digits(0 * flags), "untargeted": to_digits(flags)}],
    }
    for train, found_there in (("original", results), ("mixed_rand", fewer)):
        write(study, Job(PROFILE, "adversarial", PROFILE.recipe_on(train), PROFILE.adversarial), found_there)
    protected = verdict_on(study, "protects")
    assert protected.decision == SUPPORTED and value_of(protected) == pytest.approx(0.9)


def look(study: Study, train_on: str, seed: int, share: float) -> None:
    """Write the saliency record of a model of whose maps about that share lies on the object."""
    mass = " ".join(f"{share + 0.001 * (row % 7):.4f}" for row in range(len(LABELS)))
    central = " ".join(["0.2000"] * len(LABELS))
    scores = {name: central if "swapped" in name else mass for name in SCORES if name != "area"}
    results = {
        "labels": to_digits(LABELS),
        "predictions": to_digits(LABELS),
        "area": " ".join(["0.3000"] * len(LABELS)),
        "methods": {"gradcam": scores | {"empty": to_digits(0 * LABELS), "map_side": 4}},
    }
    recipe = study.profile.recipe_on(train_on, seed)
    write(study, Job(study.profile, "saliency", recipe, study.profile.saliency), results)


def test_saliency_records(tmp_path: Path) -> None:
    study = study_of(tmp_path)
    look(study, "original", 0, 0.3)
    look(study, "mixed_rand", 0, 0.5)
    verdict = verdict_on(study, "looks more at the object")
    assert verdict.decision == SUPPORTED and value_of(verdict) == pytest.approx(0.2)


# --- missing records ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{"recorded": True}, {"compute": False}], ids=["committed", "local"])
def test_missing_records_are_not_tested_and_nothing_is_computed(tmp_path: Path, options: dict[str, bool]) -> None:
    study = study_of(tmp_path, **options)
    judged = verdicts.judge_all(study)
    assert {(verdict.decision, verdict.estimate) for verdict in judged} == {(UNTESTED, None)}
    reasons = {verdict.reason for verdict in judged}
    assert ("no record yet" in reasons) == study.recorded and ("run chapter 04" in reasons) != study.recorded
    assert any("needs a ResNet-50 trained on all of ImageNet" in reason for reason in reasons)
    assert "score three networks trained on all of ImageNet with `in9 evaluate`" in reasons
    assert {path.name for path in tmp_path.iterdir()} == {"notebooks"}  # no folder was made


def test_local_records_without_their_data_are_not_tested(tmp_path: Path) -> None:
    study = study_of(tmp_path, compute=False)
    evaluate(study, PROFILE.recipe_on("original"), paper_rule)
    with pytest.raises(NotMeasured, match="no data of profile 'tiny'"):
        study.answers("original")
    assert verdict_on(study, "uses backgrounds").reason == "run chapter 03"


def test_models_of_other_seeds_are_not_compared(tmp_path: Path) -> None:
    """A run that was stopped leaves records of some seeds."""
    study = study_of(tmp_path, replace(PROFILE, seeds=(0, 1)))
    evaluate(study, PROFILE.recipe_on("original", 0), paper_rule)
    evaluate(study, PROFILE.recipe_on("mixed_rand", 1), paper_rule)
    assert verdict_on(study, "uses backgrounds").decision == SUPPORTED
    assert verdict_on(study, "has a price").reason == "no record yet"
    for seed, share in ((0, 0.2), (1, 0.6)):
        look(study, "original", seed, share)
    look(study, "mixed_rand", 1, 0.7)
    assert verdict_on(study, "looks more at the object").reason == "no record yet"
    look(study, "mixed_rand", 0, 0.3)
    assert value_of(verdict_on(study, "looks more at the object")) == pytest.approx(0.1)


def test_a_study_that_computes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="compute=False"):
        verdicts.judge_all(study_of(tmp_path, compute=True))


# --- what is shown ------------------------------------------------------------------------------------------------


def test_every_claim_has_a_verdict(matrix: Study) -> None:
    judged = verdicts.judge_all(matrix)
    assert [verdict.claim for verdict in judged] == list(CLAIMS)
    for verdict in judged:
        assert verdict.decision in DECISIONS and verdict.claim.printed().where
        assert (verdict.estimate is None) == (verdict.decision == UNTESTED) == (verdict.reason != "")
        assert verdict.estimate is None or verdict.estimate.low <= verdict.estimate.value <= verdict.estimate.high


def test_text(matrix: Study) -> None:
    text = verdicts.text(matrix)
    lines = text.splitlines()
    assert max(map(len, lines)) <= 120 and lines[0].split() == [
        "claim",
        "paper",
        "test",
        "our",
        "record",
        "agrees",
        "verdict",
    ]
    row = next(line for line in lines if "uses backgrounds" in line)
    assert (
        "20.22" in row
        and "> 0" in row
        and row.endswith("supported")
        and re.search(r"\d+\.\d \[\d+\.\d, \d+\.\d\]", row)
    )
    assert "**" not in text and "{" not in text
    summary = text[text.index("\ntiny: ") :]
    counts = dict(re.findall(r"(supported|undecided|contradicted|not tested) (\d+)", summary))
    assert sum(map(int, counts.values())) == len(CLAIMS)


def claims_of(html: str) -> list[str]:
    """What each claim of the page says, without tags, in order."""
    parts = re.findall(r'<div class="claim".*?</dl>', html, re.S)
    return [" ".join(unescape(re.sub(r"<[^>]+>", " ", part)).split()) for part in parts]


def test_the_page(matrix: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study_module, "load_profile", lambda name: PROFILE)
    html = claims_page.page(study_of(tmp_path, compute=False))
    told = claims_of(html)
    assert len(told) == len(CLAIMS) == html.count("data-verdicts=")
    assert html.count("<details") == len({claim.chapter for claim in CLAIMS})
    assert 'href="03_bg_gap.html"' in html and "<b>Chapter 08</b>" in html  # no link to a chapter that does not exist
    (row,) = (text for text in told if "uses backgrounds" in text)
    assert "paper 20.22 table 5" in row and "supported , agrees with the paper's number" in row
    assert "run chapter 03 not tested" in row
    assert any("the text says 17.3" in text for text in told)
    assert re.search(r"Our record \(photographs\): supported \d+, undecided", html)
    assert re.search(rf"This run: supported 0, .* \({len(CLAIMS)} claims\)\.", html)


def test_the_page_without_a_record(tmp_path: Path) -> None:
    html = claims_page.page(study_of(tmp_path, compute=False))
    assert "ur record" not in html and "This run: " in html


def test_the_page_of_the_record_alone(matrix: Study) -> None:
    html = claims_page.page(matrix)
    assert "This run" not in html and "Our record (photographs): supported" in html


def test_what_a_claim_says_is_escaped() -> None:
    verdict = Verdict(replace(CLAIMS[0], text="<script>alert(1)</script>"), None, UNTESTED, "<img src=x>")
    html = claims_page.block({"record": [verdict]}, {"02": ("02_x", "<b>")})
    assert "<script>alert" not in html and "<img" not in html and "&lt;script&gt;alert" in html


def test_a_network_that_learned_nothing_decides_no_claim(tmp_path: Path) -> None:
    study = study_of(tmp_path, replace(PROFILE, architectures=("alexnet",)))
    own, alexnet = ARCHITECTURES.jobs(study.profile)
    assert own.recipe is not None and alexnet.recipe is not None

    def rule(original: float, same: float, rand: float) -> Rule:
        return lambda train, test: {"original": original, "mixed_same": same, "mixed_rand": rand}.get(test, 0.5)

    evaluate(study, own.recipe, rule(0.6, 0.5, 0.4))
    with pytest.raises(NotMeasured, match="no record of alexnet"):
        q.smallest_gap(study)
    evaluate(study, alexnet.recipe, rule(0.14, 0.12, 0.11))
    assert q.smallest_gap(study) == study.predictions([alexnet.recipe]).gap()
    assert q.smallest_gap(study).value == pytest.approx(0.01)
    evaluate(study, alexnet.recipe, rule(0.13, 0.12, 0.11))
    with pytest.raises(q.Untestable, match="alexnet learned nothing"):
        q.smallest_gap(study)


# --- the command --------------------------------------------------------------------------------------------------


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, tmp_path: Path) -> Callable[..., str]:
    """What a command that ends well writes to stdout, in a project without data."""
    monkeypatch.setenv("IN9_HOME", str(tmp_path))

    def command(*words: str) -> str:
        monkeypatch.setattr(sys, "argv", ["in9", *words])
        with pytest.raises(SystemExit) as end:
            main()
        written = capsys.readouterr()
        assert not end.value.code and written.err == ""
        return written.out

    return command


def test_the_command_prints_the_table(run: Callable[..., str], matrix: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "\ncontrol: supported 0," in run("claims")
    assert "\nsmoke: supported 0," in run("claims", "--profile", "smoke")
    monkeypatch.setattr(study_module, "load_profile", lambda name: PROFILE)
    assert run("claims", "--committed") == verdicts.text(matrix) + "\n"
    assert run("claims", "--committed").splitlines()[0].split()[3:5] == ["our", "record"]


def test_the_book_gets_the_table(run: Callable[..., str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    study_of(tmp_path)
    told: dict[str, Callable[[], str]] = {}
    monkeypatch.setattr(in9.book.render, "run_book", lambda profile, **options: told.update(options["fragments"]))
    path = tmp_path / "mine.toml"
    path.write_text('extends = "smoke"\nreal = true')
    run("book", "--profile", path, "--measure")
    assert "This run: supported 0" in told["claims.html"]() and "What is this?" in told["experiment.html"]()
