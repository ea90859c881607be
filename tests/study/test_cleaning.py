"""`in9 clean`: what a workspace holds is listed, what nothing needs is removed, and what is needed stays."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from trial_study import PROFILE, furnished, open_study, records_of

from in9.data.dataset import Dataset
from in9.study.cleaning import holdings, remove
from in9.study.jobs import evaluations
from in9.study.workspace import Workspace

JOBS = evaluations(PROFILE, [PROFILE.recipe_on("original")])


@pytest.fixture(scope="module")
def used(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace with a dataset, a trained network and its record."""
    workspace = furnished(Workspace(tmp_path_factory.mktemp("used")), dataset)
    records_of(open_study(workspace), JOBS)
    return workspace


@pytest.fixture
def workspace(used: Workspace, tmp_path: Path) -> Workspace:
    """A copy of it in which processes were killed and settings changed."""
    workspace = Workspace(shutil.copytree(used.root, tmp_path / "used"))
    (weights,) = workspace.trained.glob("*.safetensors")
    old = workspace.trained / f"{'0' * 16}.safetensors"
    for path in (old, old.with_suffix(".checkpoint"), weights.with_suffix(".checkpoint")):
        path.write_bytes(b"x" * 1000)
    challenges = workspace.runs / "challenges"
    challenges.mkdir()
    for path in (challenges / "a.npz", challenges / "b.npz.damaged", weights.with_suffix(".safetensors.1.writing")):
        path.write_bytes(b"x")
    os.utime(weights.with_suffix(".safetensors.1.writing"), (0, 0))
    (weights.with_suffix(".safetensors.2.writing")).write_bytes(b"x")  # just now
    for name in ("trial.partial", "other.partial"):
        (workspace.data / name).mkdir()
        (workspace.data / name / "block").write_bytes(b"x")
    return workspace


STALE = {
    f"{'0' * 16}.safetensors": "no record and no profile needs these weights",
    f"{'0' * 16}.checkpoint": "its training has ended",
    "b.npz.damaged": "it cannot be read",
    "trial.partial": "its dataset is whole",
}


def test_what_nothing_needs_goes_and_the_rest_stays(workspace: Workspace) -> None:
    (weights,) = (path for path in workspace.trained.glob("*.safetensors") if "000" not in path.name)
    expected = STALE | {weights.with_suffix(".checkpoint").name: "its training has ended"}
    expected |= {f"{weights.name}.1.writing": "whoever wrote it was stopped"}
    held = holdings(workspace, [])
    stale = [holding for holding in held if holding.stale]
    assert {holding.path.name: holding.stale for holding in stale} == expected
    kept = {holding.path: holding.bytes for holding in held if not holding.stale}
    remove(stale)
    after = {holding.path: holding.bytes for holding in holdings(workspace, [])}
    assert after == kept and {
        weights,
        workspace.data / "other.partial",
        workspace.runs / "challenges" / "a.npz",
    } <= set(kept)
    assert open_study(workspace, compute=False).missing(JOBS) == []


def test_weights_of_a_job_without_a_record_are_kept(workspace: Workspace) -> None:
    for record in workspace.measured.rglob("*.json"):
        record.unlink()
    weights = JOBS[0].weights(workspace)
    assert next(holding.stale for holding in holdings(workspace, []) if holding.path == weights)
    assert not next(holding.stale for holding in holdings(workspace, JOBS) if holding.path == weights)


def test_the_command_says_it_first_and_then_does_it(
    workspace: Workspace, run: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IN9_HOME", str(workspace.root))
    before = sorted(workspace.root.rglob("*"))
    status, out, err = run("clean", "--dry-run")
    assert (status, err) == (0, "") and sorted(workspace.root.rglob("*")) == before
    assert "would remove runs/challenges/b.npz.damaged: it cannot be read" in out and "0.0 MB would be free" in out
    status, out, _ = run("clean")
    assert status == 0 and "removed data/trial.partial: its dataset is whole" in out
    assert not any((workspace.root / name).exists() for name in ("data/trial.partial", "runs/challenges/b.npz.damaged"))
    assert run("clean")[1].splitlines()[-1] == "0.0 MB are free"


def test_an_empty_workspace_holds_nothing(tmp_path: Path) -> None:
    assert holdings(Workspace(tmp_path), []) == []
