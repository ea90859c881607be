"""Records of the first edition brought up to date: the same numbers under the keys of today."""

from __future__ import annotations

import json
import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from trial_study import PROFILE, furnished, open_study, records_of

from in9.data.dataset import Dataset
from in9.errors import In9Error
from in9.evaluation.records import RECORD_FORMAT, read, record_key
from in9.files import key_of
from in9.study.jobs import DATASET, Job, evaluations, jobs_of, load_classifier
from in9.study.workspace import Workspace

SCRIPT = Path(__file__).parents[2] / "scripts" / "migrate_records.py"
Migrate = Callable[..., list[Path]]
ONCE = replace(PROFILE, draws=1)
"""In the first edition mixed test sets were drawn once."""
RECIPE = ONCE.recipe_on("mixed_rand")
JOBS = [
    *evaluations(ONCE, [RECIPE]),
    *jobs_of(ONCE, "masks", [RECIPE], test_seed=0, pixels=[-1, 1]),
    Job(ONCE, DATASET),
]


@pytest.fixture
def migrate() -> Migrate:
    return runpy.run_path(str(SCRIPT))["migrate"]


@pytest.fixture
def old(dataset: Dataset, tmp_path: Path) -> Workspace:
    """A project whose records and weights are named and written as in the first edition."""
    workspace = furnished(Workspace(tmp_path), dataset)
    for record in records_of(open_study(workspace, ONCE), JOBS):
        (workspace.measured / PROFILE.name / record.filename).unlink()
        key = key_of({"kind": record.kind, **record.settings})
        path = workspace.measured / PROFILE.name / f"{record.kind}_{record.name}_{key}.json"
        path.write_text(json.dumps({"format": 1, "key": key, **asdict(record)}))
    (weights,) = workspace.trained.iterdir()
    name = key_of({"content": dataset.hash, "recipe": asdict(RECIPE)})
    weights.replace(weights.with_name(f"{name}.safetensors"))
    return workspace


def contents(workspace: Workspace) -> dict[str, dict[str, Any]]:
    return {path.name: json.loads(path.read_text()) for path in workspace.measured.rglob("*.json")}


def test_records_of_the_first_edition_are_not_read_as_they_are(old: Workspace) -> None:
    for path in old.measured.rglob("*.json"):
        with pytest.raises(In9Error, match="first edition"):
            read(path)
    assert open_study(old, ONCE).missing(JOBS) == JOBS


def test_numbers_stay_and_keys_are_those_of_today(old: Workspace, migrate: Migrate, idle: None) -> None:
    before = {content["key"]: content for content in contents(old).values()}
    paths = migrate(old.measured)
    after = contents(old)
    assert {path.name for path in paths} == set(after) and len(after) == len(before) == len(JOBS)
    for name, content in after.items():
        was = before[content["provenance"].pop("earlier_key")]
        assert content["format"] == RECORD_FORMAT
        assert content["key"] == record_key(content["kind"], content["settings"]) != was["key"]
        assert name == f"{content['kind']}_{content['name']}_{content['key']}.json"
        same = set(was) - {"format", "key"}
        assert {part: content[part] for part in same} == {part: was[part] for part in same}
    study = open_study(old, ONCE)
    assert study.missing(JOBS) == []
    assert study.answers("mixed_rand").seeds == [0]
    assert all(read(path).filename == path.name for path in paths)


def test_weights_are_renamed_so_that_nothing_is_trained_again(
    old: Workspace, migrate: Migrate, monkeypatch: pytest.MonkeyPatch
) -> None:
    (before,) = old.trained.iterdir()
    content = before.read_bytes()
    other = old.trained / f"{'0' * 16}.safetensors"
    other.write_bytes(b"of another record")
    migrate(old.measured, old.trained)
    weights = JOBS[0].weights(old)
    assert weights is not None and weights.read_bytes() == content and weights.name != before.name
    assert set(old.trained.iterdir()) == {weights, other} and other.read_bytes() == b"of another record"

    def refuse(*arguments: object, **options: object) -> None:
        raise AssertionError("the weights should have been found")

    monkeypatch.setattr("in9.training.trained.train", refuse)
    assert not load_classifier(RECIPE, PROFILE, old, "cpu").training


def test_without_a_folder_of_weights_they_stay(old: Workspace, migrate: Migrate) -> None:
    before = list(old.trained.iterdir())
    migrate(old.measured)
    assert list(old.trained.iterdir()) == before


def test_a_second_run_changes_nothing(old: Workspace, migrate: Migrate) -> None:
    assert len(migrate(old.measured, old.trained)) == len(JOBS)
    files = [*old.measured.rglob("*.json"), *old.trained.iterdir()]
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in files}
    assert migrate(old.measured, old.trained) == []
    files = [*old.measured.rglob("*.json"), *old.trained.iterdir()]
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in files} == before


def test_a_record_without_a_digest_gets_one_and_stays_as_it_is(migrate: Migrate, tmp_path: Path) -> None:
    path = Path(shutil.copy(min((SCRIPT.parents[1] / "records" / "tiny").glob("evaluation_*.json")), tmp_path))
    before = json.loads(path.read_text())
    before.pop("digest", None)
    path.write_text(json.dumps(before, indent=1) + "\n")
    lines = path.read_text().splitlines()
    assert migrate(tmp_path) == [path]
    after = path.read_text().splitlines()
    assert [line for line in after if "digest" not in line] == lines and len(after) == len(lines) + 1
    assert json.loads(path.read_text()) == {**before, "digest": read(path).digest}
    assert migrate(tmp_path) == []


def test_the_script_says_what_it_did(old: Workspace) -> None:
    command = [sys.executable, str(SCRIPT), str(old.measured), "--weights", str(old.trained)]
    for number in (len(JOBS), 0):
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == f"{number} records are of format {RECORD_FORMAT} now, with a digest\n"
    assert JOBS[0].weights(old).is_file()
