"""Damaged and hostile records: each is refused in one sentence, whatever was changed, and whole ones are read."""

from __future__ import annotations

import copy
import json
import random
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from in9.book.demonstration import DEMONSTRATION
from in9.errors import In9Error
from in9.evaluation.measurements import MEASUREMENTS
from in9.evaluation.records import RECORD_FORMAT, Record, Store, read
from in9.evaluation.results import RESULTS
from in9.evaluation.schema import problem_of
from in9.scoring.challenge import ChallengeScore
from in9.scoring.explain import SaliencyScore
from in9.scoring.score import Score
from in9.scoring.showcase import KIND as PAIRS
from in9.study.jobs import DATASET, DRAWS

ROOT = Path(__file__).parents[2]
KINDS = ("evaluation", "validation", "score", "masks", "draws", "dataset", "adversarial", "saliency", "challenge")
Content = dict[str, Any]


@pytest.fixture(scope="module")
def originals() -> Mapping[str, Path]:
    """One of the project's records of each kind."""
    return {kind: min((ROOT / "records").glob(f"*/{kind}_*.json")) for kind in KINDS}


def changed(original: Path, folder: Path, change: Callable[[Content], Any], signed: bool = True) -> Path:
    """A copy of a record with a change; ``signed``: with the key and the digest that belong to it."""
    content = json.loads(original.read_text())
    change(content)
    if signed:
        record = Record(**{name: value for name, value in content.items() if name not in ("format", "key", "digest")})
        content |= {"format": RECORD_FORMAT, "key": record.key, "digest": record.digest}
    path = folder / original.name
    path.write_text(json.dumps(content))
    return path


def put(value: Any, *place: str | int) -> Callable[[Content], None]:
    """Put a value at a place of a record's content; a function makes it of what is there."""

    def change(content: Content) -> None:
        inner: Any = content
        for step in place[:-1]:
            inner = inner[step]
        inner[place[-1]] = value(inner[place[-1]]) if callable(value) else value

    return change


def test_whatever_is_measured_has_a_schema() -> None:
    assert set(KINDS) == {*MEASUREMENTS, DATASET, DRAWS, Score.kind, ChallengeScore.kind}
    shown = {SaliencyScore.kind, PAIRS, DEMONSTRATION}
    assert set(RESULTS) == {*KINDS, *shown, "benchmark"}


@pytest.mark.parametrize(
    ("kind", "change", "named"),
    [
        (PAIRS, put(lambda lines: lines[:-1], "results", "strict", "pairs"), "pairs has 43 entries, and 44"),
        (PAIRS, put("9" * 44, "results", "restricted", "alone"), "restricted.alone"),
        (DEMONSTRATION, put(101, "results", "percents", 0, 0, 0, 0), "percents"),
        (DEMONSTRATION, put([1] * 8, "results", "percents", 0, 0, 0), "percents"),
    ],
)
def test_what_the_pages_show_of_photographs_is_checked(
    kind: str, change: Callable[[Content], None], named: str, tmp_path: Path
) -> None:
    (record,) = Store(ROOT / "records" / "photographs").all(kind)
    content = copy.deepcopy(
        {name: getattr(record, name) for name in ("kind", "name", "settings", "data", "results", "provenance")}
    )
    assert problem_of(content) == ""
    change(content)
    assert named in problem_of(content)


def cut(text: str) -> str:
    return text[:-1]


PREDICTIONS = ("results", "predictions")
DAMAGES: list[tuple[str, Callable[[Content], Any], str]] = [
    # what the record is
    ("evaluation", put("attack", "kind"), "kind"),
    ("evaluation", put(3, "name"), "name"),
    ("evaluation", put("<img src=x>", "name"), "name"),
    ("evaluation", put("../../x", "name"), "name"),
    ("evaluation", put("x" * 300, "name"), "name"),
    ("evaluation", put("a|b", "data"), "data"),
    ("evaluation", put([], "results"), "results"),
    ("evaluation", put("x" * 999, "settings", "recipe", "architecture"), "settings.recipe.architecture is longer"),
    ("evaluation", put("a\nb", "settings", "recipe", "architecture"), "cannot be printed"),
    ("evaluation", put("\udcff", "provenance", "gpu"), "provenance.gpu"),
    ("evaluation", put("\u202e", "provenance", "processor"), "provenance.processor"),
    ("evaluation", put(10**30, "settings", "recipe", "epochs"), "sensible size"),
    ("evaluation", put(10**400, "provenance", "cores"), "sensible size"),
    ("evaluation", put(10**400, "results", "training", "seconds"), "training.seconds"),
    ("evaluation", put({"a": {"b": {"c": {"d": {"e": {"f": {"g": {"h": {}}}}}}}}}, "provenance", "more"), "levels"),
    ("evaluation", put(5, "provenance", "when"), "provenance.when"),
    ("evaluation", put("long", "provenance", "seconds"), "provenance.seconds"),
    ("evaluation", put(["a"], "provenance", "gpu"), "provenance.gpu"),
    # predictions
    ("evaluation", put(cut, *PREDICTIONS, "original"), "predictions of original are"),
    ("evaluation", put("", *PREDICTIONS, "original"), "predictions of original are 0"),
    ("evaluation", put(lambda text: "9" + text[1:], *PREDICTIONS, "original"), "predictions.original"),
    ("evaluation", put(lambda text: "NaN" + text[3:], *PREDICTIONS, "original"), "predictions.original"),
    ("evaluation", put(lambda text: "\0" + text[1:], *PREDICTIONS, "original"), "predictions.original"),
    ("evaluation", put(lambda text: "é" + text[1:], *PREDICTIONS, "original"), "predictions.original"),
    ("evaluation", put(None, *PREDICTIONS, "original"), "predictions.original"),
    ("evaluation", put([], *PREDICTIONS, "original"), "predictions.original"),
    ("evaluation", put([[0, 1]], *PREDICTIONS, "original"), "predictions.original"),
    ("evaluation", put("01", *PREDICTIONS, "orignal"), "predictions.orignal"),
    ("evaluation", lambda content: content["results"].pop("predictions"), "predictions: Field required"),
    ("evaluation", lambda content: content["results"].pop("labels"), "labels: Field required"),
    ("evaluation", put(cut, "results", "labels", "in9"), "of original are"),
    ("evaluation", put(cut, "results", "labels", "in9l"), "of in9l are"),
    ("evaluation", put(lambda text: "-" + text[1:], "results", "labels", "in9"), "labels.in9"),
    ("evaluation", put(None, "results", "labels", "in9"), "labels of"),
    ("evaluation", put(1, "results", "more"), "more"),
    ("evaluation", put(-1, "results", "training", "images"), "training.images"),
    ("evaluation", put(1e300, "results", "training", "seconds"), "training.seconds"),
    ("evaluation", put(["a"], "results", "training", "losses"), "training.losses"),
    ("evaluation", put(True, "results", "training", "classes"), "training.classes"),
    ("validation", put(cut, *PREDICTIONS, "in9l"), "of in9l are"),
    ("masks", put([0.5], "results", "shares"), "shares"),
    ("masks", put(lambda areas: [*areas[:-1], 1.5], "results", "areas"), "areas"),
    ("masks", put(cut, "results", "areas"), "areas has"),
    ("masks", put(lambda parts: parts[:-1], *PREDICTIONS, "mixed_same"), "shares and predictions"),
    ("draws", put(lambda rows: [rows[0] + " 1", *rows[1:]], "results", "backgrounds", "mixed_same"), "backgrounds"),
    ("draws", put(lambda rows: [rows[0].replace(" 1", " 9", 99) + "999999", *rows[1:]], "results", "backgrounds",
                  "mixed_rand"), "not there"),
    ("draws", put([""], "results", "backgrounds", "mixed_rand"), "backgrounds.mixed_rand"),
    ("draws", put(["1 x"], "results", "backgrounds", "mixed_rand"), "backgrounds.mixed_rand"),
    ("draws", put(["0"], "results", "backgrounds", "original"), "backgrounds.original"),
    ("dataset", put("cat", "results", "rows", 0, "class"), "class"),
    ("dataset", put(-4, "results", "rows", 0, "count"), "count"),
    ("dataset", put("<b>", "results", "rows", 0, "split"), "split"),
    ("dataset", put("x" * 300, "results", "rows", 0, "outcome"), "outcome"),
    ("adversarial", put(cut, "results", "foregrounds", "labels"), "labels has"),
    ("adversarial", put(cut, "results", "successes"), "successes has"),
    ("adversarial", put(10**9, "results", "successes", 0), "successes are more"),
    ("adversarial", put(lambda texts: texts[:-1], "results", "fooled_by_class"), "fooled_by_class"),
    ("adversarial", put([], "results", "growth"), "growth"),
    ("adversarial", put(0, "results", "growth", -1, "backgrounds"), "growth"),
    ("adversarial", put(lambda text: "2" + text[1:], "results", "growth", 0, "targeted"), "targeted"),
    ("saliency", put(cut, "results", "predictions"), "predictions has"),
    ("saliency", put(lambda text: text + " 0.5", "results", "area"), "area has"),
    ("saliency", put(lambda text: "nan" + text[6:], "results", "area"), "area"),
    ("saliency", put(lambda text: "7" + text[6:], "results", "area"), "above 1"),
    ("saliency", put(cut, "results", "methods", "gradcam", "empty"), "empty has"),
    ("saliency", put(0, "results", "methods", "gradcam", "map_side"), "map_side"),
    ("score", put("", "settings", "model", "name"), "name"),
    ("score", put(3, "settings", "model", "name"), "name"),
    ("score", put(-5, "settings", "model", "imagenet_top1"), "imagenet_top1"),
    ("score", put("many", "settings", "model", "outputs"), "outputs"),
    ("score", put(None, "settings", "model"), "dictionary"),
    ("score", put(cut, "results", "restricted", "original"), "restricted of original are"),
    ("score", lambda content: content["results"]["restricted"].pop("no_fg"), "other test sets"),
    ("challenge", put(cut, "results", "vulnerable", "untargeted"), "untargeted has"),
    ("challenge", put(lambda text: "8" + text[1:], "results", "vulnerable", "untargeted"), "untargeted"),
    ("challenge", put({}, "results", "vulnerable"), "pairs"),
    ("challenge", put(7, "results", "pairs"), "pairs"),
    ("challenge", put("", "results", "labels"), "original has"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "change", "expected"), DAMAGES)
def test_what_no_measurement_gives_is_refused(
    kind: str, change: Callable[[Content], Any], expected: str, originals: Mapping[str, Path], tmp_path: Path
) -> None:
    path = changed(originals[kind], tmp_path, change)
    with pytest.raises(In9Error, match="holds what no measurement gives") as refusal:
        read(path)
    assert expected in str(refusal.value) and "\n" not in str(refusal.value) and len(str(refusal.value)) < 700


@pytest.mark.parametrize("kind", KINDS)
def test_a_whole_record_of_each_kind_is_read(kind: str, originals: Mapping[str, Path], tmp_path: Path) -> None:
    path = changed(originals[kind], tmp_path, lambda content: None)
    assert read(path) == read(originals[kind])


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("evaluation", put(lambda text: text[::-1], *PREDICTIONS, "original")),
        ("evaluation", put(lambda text: "-" * len(text), *PREDICTIONS, "no_fg")),
        ("evaluation", put("0" * 16, "data")),
        ("evaluation", put(0.5, "results", "training", "seconds")),
        ("challenge", put(0, "results", "composites")),
        ("evaluation", put("0" * 16, "digest")),
        ("evaluation", put(5, "digest")),
    ],
)
def test_what_was_changed_afterwards_is_refused_by_its_digest(
    kind: str, change: Callable[[Content], Any], originals: Mapping[str, Path], tmp_path: Path
) -> None:
    signed = changed(originals[kind], tmp_path, lambda content: None)
    with pytest.raises(In9Error, match="were changed after they were measured; remove it to measure again"):
        read(changed(signed, tmp_path, change, signed=False))


def test_a_record_from_before_there_were_digests_is_read(originals: Mapping[str, Path], tmp_path: Path) -> None:
    signed = changed(originals["score"], tmp_path, lambda content: None)
    path = changed(signed, tmp_path, lambda content: content.pop("digest"), signed=False)
    assert read(path) == read(originals["score"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[" * 100000, "too many levels"),
        ('{"format": 2, "key": "0", "results": NaN}', "NaN is no number"),
        ('{"format": 2, "key": "0", "results": ' + "9" * 5000 + "}", "digits"),
        ('"text"', "damaged"),
    ],
)
def test_json_that_is_no_record_is_told(text: str, expected: str, tmp_path: Path) -> None:
    path = tmp_path / "evaluation_x_0.json"
    path.write_text(text)
    with pytest.raises(In9Error, match=expected):
        Store(tmp_path).all()


def test_a_folder_with_the_name_of_a_record_is_told(tmp_path: Path) -> None:
    (tmp_path / "evaluation_x_0.json").mkdir()
    with pytest.raises(In9Error, match="cannot be read"):
        Store(tmp_path).all()


def mutated(value: Any, rng: random.Random) -> Any:
    """A value with one change somewhere: another type, a cut, a repetition, something that is missing or new."""
    if isinstance(value, dict) and value and rng.random() < 0.85:
        name = rng.choice(list(value))
        if rng.random() < 0.15:
            return {key: inner for key, inner in value.items() if key != name}
        return {**value, name: mutated(value[name], rng)}
    if isinstance(value, list) and value and rng.random() < 0.7:
        place = rng.randrange(len(value))
        return [*value[:place], mutated(value[place], rng), *value[place + rng.choice((1, 1, 2)) :]]
    if isinstance(value, str) and value and rng.random() < 0.6:
        place = rng.randrange(len(value))
        return value[:place] + rng.choice(("", "9", "x", "-", "\0", "é", value)) + value[place + 1 :]
    return rng.choice((None, True, -1, 10**40, 1.5, "", "x", [], {}, [[]], {"a": {}}, "\udcff", value))


@pytest.mark.parametrize("kind", KINDS)
def test_a_mutated_record_is_read_or_refused(kind: str, originals: Mapping[str, Path], tmp_path: Path) -> None:
    """Whatever happens to a file, with its digest or without: a record that can be read to its end, or In9Error."""
    rng, content = random.Random(f"records/{kind}"), json.loads(originals[kind].read_text())
    shutil.copy(originals[kind], tmp_path / "whole.json")
    outcomes = []
    for number in range(60):
        changed_content = mutated(copy.deepcopy(content), rng)
        try:
            record = Record(**{k: v for k, v in changed_content.items() if k not in ("format", "key", "digest")})
            changed_content |= {"key": record.key, "digest": record.digest}
        except (TypeError, AttributeError):
            pass  # no longer of a record's form
        path = tmp_path / f"{kind}_x_{number}.json"
        path.write_text(json.dumps(changed_content))
        try:
            assert isinstance(read(path), Record)
            outcomes.append("read")
        except In9Error as error:
            assert str(error).endswith(".") and "\n" not in str(error)
            outcomes.append("refused")
    assert outcomes.count("refused") > 20
