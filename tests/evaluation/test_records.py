"""Records: keys that last, files that are whole or not there, provenance that tells nothing of the machine's owner."""

from __future__ import annotations

import json
import re
import socket
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from in9.data.splits import Split
from in9.errors import In9Error
from in9.evaluation.records import (
    DEFAULTS,
    RECORD_FORMAT,
    Record,
    Store,
    from_digits,
    predictions_of,
    provenance,
    read,
    record_key,
    to_digits,
)
from in9.experiments.controls import dial_profile
from in9.files import plain
from in9.study.jobs import evaluations
from in9.study.profile import load_profile
from in9.training.recipe import Recipe

SETTINGS = {
    "data": {"source": "synthetic", "seed": 0},
    "recipe": {"train_on": "mixed_rand", "learning_rate": 0.05, "seeds": [0, 1], "head_on": None, "balanced": True},
}
RESULTS = {"labels": {"in9": "0123"}, "predictions": {"original": "01-8"}}
RECORD = Record("evaluation", "mixed_rand_seed0", SETTINGS, "0123456789abcdef", RESULTS)


def test_keys_last() -> None:
    # Golden: a change here would orphan every record that was ever written.
    assert RECORD.key == "954ae4c7d91f7f5c"
    assert RECORD.filename == "evaluation_mixed_rand_seed0_954ae4c7d91f7f5c.json"


def test_settings_at_their_default_do_not_change_a_key() -> None:
    whole = {
        "data": {**SETTINGS["data"], "source_settings": {}, "split": {"test": 0.2, "validation": 0.05}},
        "recipe": {**asdict(Recipe()), **SETTINGS["recipe"]},
        "options": {"test_seed": 0, "variant": "original", "foregrounds_per_class": None},
    }
    assert record_key("evaluation", whole) == RECORD.key
    for part, name, value in (
        ("data", "seed", 1),
        ("data", "split", {"test": 0.2, "validation": 0.1}),
        ("recipe", "balanced", False),
        ("recipe", "augmentation", {**asdict(Recipe().augmentation), "flip": False}),
        ("options", "test_seed", 1),
        ("options", "variant", "only_fg"),
        ("options", "test_seeds", []),
    ):
        assert record_key("evaluation", {**whole, part: {**whole[part], name: value}}) != RECORD.key, name


def test_every_field_of_a_recipe_has_a_default() -> None:
    assert DEFAULTS["recipe"] == plain(asdict(Recipe())) and Recipe().changes == {}
    assert Recipe().changed(epochs=3, augmentation={"jitter": 0.4}).changes == {
        "epochs": 3,
        "augmentation": {"jitter": 0.4},
    }


def test_a_new_field_of_a_recipe_keeps_the_keys_of_old_records(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DEFAULTS["recipe"], "dropout", 0.0)
    for dropout, same in ((0.0, True), (0.5, False)):
        recipe = {**SETTINGS["recipe"], "dropout": dropout}
        assert (record_key("evaluation", {**SETTINGS, "recipe": recipe}) == RECORD.key) == same


def test_folds_draws_and_perturbations_leave_old_keys_alone() -> None:
    """Golden: the key of an evaluation that was recorded before there were any of them."""
    profile = dial_profile(load_profile("control"), 0.0)
    recipe = profile.recipe_on("original", 0)
    (once,) = evaluations(replace(profile, draws=1), [recipe])
    assert once.key == "82f8231027f44021"
    settings = json.loads(json.dumps(once.settings))
    del settings["recipe"]["fold"], settings["recipe"]["perturbation"]
    del settings["options"]["draws"], settings["data"]["split"]["folds"]
    assert record_key("evaluation", settings) == once.key
    others = [
        *evaluations(replace(profile, draws=2), [recipe]),
        *evaluations(replace(profile, draws=1), [recipe.changed(fold=0)]),
        *evaluations(replace(profile, draws=1), [recipe.changed(perturbation={"norm": "l2", "radius": 1.0})]),
        *evaluations(replace(profile, draws=1, split=Split(test=0.0, folds=2)), [recipe]),
    ]
    assert len({once.key, *(job.key for job in others)}) == 5


def test_keys_depend_on_the_settings_alone() -> None:
    upside_down = {name: dict(reversed(part.items())) for name, part in reversed(SETTINGS.items())}
    assert replace(RECORD, settings=upside_down).key == RECORD.key
    assert replace(RECORD, name="other", data="ff", results={}, provenance={"seconds": 1}).key == RECORD.key
    assert replace(RECORD, kind="attack").key != RECORD.key
    for change in (0.050001, 0.5, "0.05"):
        changed = {**SETTINGS, "recipe": {**SETTINGS["recipe"], "learning_rate": change}}
        assert replace(RECORD, settings=changed).key != RECORD.key


def test_a_record_comes_back_as_it_was(tmp_path: Path) -> None:
    store = Store(tmp_path / "new" / "folder")
    assert store.all() == [] and store.find("evaluation", SETTINGS) is None
    record = replace(RECORD, provenance=provenance(1.26, "cpu", note="x"))
    path = store.write(record)
    assert read(path) == record
    assert store.find("evaluation", SETTINGS) == record
    assert store.find("attack", SETTINGS) is None
    assert store.find("evaluation", {**SETTINGS, "options": {"test_seed": 1}}) is None
    assert [one.name for one in path.parent.iterdir()] == [record.filename]  # no .writing is left


def test_a_record_of_the_same_settings_replaces_the_old_one(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.write(RECORD)
    other = {"labels": {"in9": "0"}, "predictions": {"original": "-"}}
    store.write(replace(RECORD, results=other))
    assert [record.results for record in store.all()] == [other]


def test_records_are_listed_by_kind_also_from_folders_below(tmp_path: Path) -> None:
    Store(tmp_path / "tiny").write(RECORD)
    Store(tmp_path / "tiny").write(replace(RECORD, kind="dataset", name="tiny", results={"rows": []}))
    store = Store(tmp_path)
    assert [record.kind for record in store.all()] == ["dataset", "evaluation"]
    assert [record.kind for record in store.all("dataset")] == ["dataset"]
    assert store.find("evaluation", SETTINGS) == RECORD


def test_a_write_that_fails_leaves_the_old_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path)
    path = store.write(RECORD)
    before = path.read_bytes()
    with pytest.raises(ValueError, match="not JSON compliant"):
        store.write(replace(RECORD, results={"loss": float("nan")}))

    def stopped(self: Path, target: Path) -> Path:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", stopped)
    with pytest.raises(KeyboardInterrupt):
        store.write(replace(RECORD, results={}))
    assert path.read_bytes() == before
    assert store.all() == [RECORD]  # a file half written is not taken for a record


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content["settings"]["recipe"].update(learning_rate=0.1),
        lambda content: content["settings"].update(more=1),
        lambda content: content.update(kind="attack"),
        lambda content: content.update(key="0" * 16),
        lambda content: content.update(format=0),
    ],
)
def test_edited_settings_are_noticed(tmp_path: Path, change) -> None:
    store = Store(tmp_path)
    path = store.write(RECORD)
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(In9Error, match=r"another format or edited settings; remove it to measure again"):
        store.find("evaluation", SETTINGS)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"{}",
        b'{"format": 2, "key": "0"}',
        b"\xff\xfe\x00garbage",
        json.dumps({"format": RECORD_FORMAT, "key": "0", **asdict(RECORD), "settings": 3}).encode(),
        json.dumps({"format": RECORD_FORMAT, "key": "0", **asdict(RECORD), "extra": 3}).encode(),
    ],
)
def test_a_damaged_file_is_named_with_the_way_out(tmp_path: Path, content: bytes) -> None:
    store = Store(tmp_path)
    path = store.write(RECORD)
    path.write_bytes(content)
    with pytest.raises(In9Error, match=rf"The record {re.escape(str(path))} is damaged .* remove it to measure again"):
        store.find("evaluation", SETTINGS)
    with pytest.raises(In9Error):
        store.all()


def test_a_record_of_the_first_edition_says_how_to_bring_it_up_to_date(tmp_path: Path) -> None:
    path = Store(tmp_path / "tiny").write(RECORD)
    path.write_text(json.dumps({"format": 1, "key": "0" * 16, **asdict(RECORD)}))
    with pytest.raises(
        In9Error, match=rf"first edition.*`python scripts/migrate_records\.py {re.escape(str(path.parent))}`"
    ):
        read(path)


def test_predictions_of_several_records_are_those_of_their_models() -> None:
    labels = {"in9": "0123", "in9l": "012345678"}
    records = [
        replace(
            RECORD,
            settings={**SETTINGS, "recipe": {**SETTINGS["recipe"], "seed": seed}},
            results={
                "labels": labels,
                "predictions": {"original": answers, "in9l": "-" * 9},
                "training": {"seconds": seconds},
            },
            provenance={"seconds": 10},
        )
        for seed, answers, seconds in ((3, "0123", 1.0), (5, "-121", 3.0))
    ]
    both = predictions_of(records)
    assert both.tests == ("original", "in9l") and both.seeds == [3, 5]
    assert both.labels["original"].tolist() == [0, 1, 2, 3] and both.labels["in9l"].tolist() == list(range(9))
    assert both.classes["original"].tolist() == [[[0, 1, 2, 3]], [[-1, 1, 2, 1]]]
    assert both.correct("original").tolist() == [[[True] * 4], [[False, True, True, False]]]
    assert both.folds is None and both.fold_of("original") is None and both.backgrounds == {}
    assert both.accuracy("in9l").value == 0
    assert both.seconds == 20 and both.training_seconds() == 2 and both.training_seconds("head_seconds") is None
    only = both.of_seeds([5])
    assert only.seeds == [5] and only.classes["original"].tolist() == [[[-1, 1, 2, 1]]] and only.training_seconds() == 3


def test_one_of_several_predictions_is_picked_by_its_place() -> None:
    results = {"labels": {"in9": "01"}, "predictions": {"mixed_same": ["01", "11"], "mixed_rand": ["00", "10"]}}
    second = predictions_of([replace(RECORD, results=results)], 1)
    assert {test: classes.tolist() for test, classes in second.classes.items()} == {
        "mixed_same": [[[1, 1]]],
        "mixed_rand": [[[1, 0]]],
    }


def of_fold(fold: int, labels: str, whole: str, **results: object) -> Record:
    recipe = {**SETTINGS["recipe"], "fold": fold, "seed": fold}
    return replace(
        RECORD,
        settings={**SETTINGS, "recipe": recipe},
        results={"labels": {"in9": labels, "in9l": whole}, **results},
        provenance={"seconds": 10},
    )


def test_records_of_folds_are_joined() -> None:
    """IN-9L has more images, comes first here, and must not move the backgrounds."""
    records = [
        of_fold(
            2,
            "001",
            "00112",
            predictions={"in9l": "00110", "mixed_rand": ["000", "111"]},
            backgrounds={"mixed_rand": ["0 2 1", "2 2 0"], "mixed_next": ["0 0 0", "1 1 1"]},
        ),
        of_fold(
            0,
            "10",
            "100",
            predictions={"in9l": "--0", "mixed_rand": ["1-", "00"]},
            backgrounds={"mixed_rand": ["1 0", "0 0"], "mixed_next": ["0 0", "1 1"]},
        ),
    ]
    joined = predictions_of(records)
    assert joined.tests == ("in9l", "mixed_rand") and joined.seeds == [2, 0] and joined.seconds == 20
    assert joined.labels["mixed_rand"].tolist() == [0, 0, 1, 1, 0]
    assert joined.fold_of("mixed_rand").tolist() == [2, 2, 2, 0, 0]
    assert joined.fold_of("in9l").tolist() == [2, 2, 2, 2, 2, 0, 0, 0]
    assert joined.classes["in9l"].tolist() == [[[0, 0, 1, 1, 0, -1, -1, 0]]]
    assert joined.classes["mixed_rand"].tolist() == [[[0, 0, 0, 1, -1], [1, 1, 1, 0, 0]]]
    assert set(joined.backgrounds) == {"mixed_rand"}  # others were drawn, and not tested
    assert joined.backgrounds["mixed_rand"].tolist() == [[0, 2, 1, 4, 3], [2, 2, 0, 3, 3]]
    turned = joined.of_seeds([0, 2])
    assert turned.labels["mixed_rand"].tolist() == [1, 0, 0, 0, 1] and turned.seeds == [0, 2]
    assert turned.backgrounds["mixed_rand"].tolist() == [[1, 0, 2, 4, 3], [0, 0, 4, 4, 2]]
    unknown = predictions_of([records[0], replace(records[1], results=records[1].results | {"backgrounds": {}})])
    assert unknown.backgrounds == {} and np.array_equal(unknown.classes["mixed_rand"], joined.classes["mixed_rand"])


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.lists(st.integers(-1, 8), max_size=50))
def test_digits_there_and_back(classes: list[int]) -> None:
    text = to_digits(classes)
    assert len(text) == len(classes) and set(text) <= set("-012345678")
    back = from_digits(text)
    assert back.dtype == np.int64 and back.tolist() == classes
    assert to_digits(np.array(classes, np.int64)) == text


def test_provenance_says_how_when_and_on_what() -> None:
    facts = provenance(12.345, "cpu", training_precision="float32")
    assert facts["seconds"] == 12.3 and facts["device"] == "cpu" and facts["training_precision"] == "float32"
    assert datetime.fromisoformat(facts["when"]).utcoffset() == timedelta(0)
    assert facts["commit"] is None or re.fullmatch(r"[0-9a-f]{12}", facts["commit"])
    assert facts["uncommitted_changes"] in (None, True, False)
    assert {"in9", "torch", "numpy"} <= set(facts["versions"])
    assert re.fullmatch(r"3\.\d+\.\d+.*", facts["python"])
    assert facts["cores"] >= 1 and facts["processor"] and "gpu" in facts
    assert plain(facts) == facts


def test_provenance_names_no_path_no_host_and_no_user() -> None:
    text = json.dumps(provenance(1.0, "cpu"))
    assert not re.search(r'"[^"]*(/|\\\\)(home|root|usr|tmp|Users|mnt|opt)\b', text)
    private = {str(Path.home()), str(Path.cwd()), str(Path(__file__).parents[2]), socket.gethostname()}
    assert not [word for word in private if len(word) > 3 and word in text]
