"""The script that measures on a lent GPU: what is measured together, in which order, and what it packs."""

from __future__ import annotations

import importlib.util
import tarfile
import time
from pathlib import Path

import pytest
from trial_study import PROFILE, furnished, open_study

from in9.data.dataset import Dataset
from in9.experiments.measuring import EXPERIMENTS
from in9.study.jobs import evaluations
from in9.study.workspace import Workspace

SCRIPT = Path(__file__).parents[2] / "scripts" / "measure_on_gpu.py"
spec = importlib.util.spec_from_file_location("measure_on_gpu", SCRIPT)
assert spec is not None and spec.loader is not None
script = importlib.util.module_from_spec(spec)
spec.loader.exec_module(script)


@pytest.fixture(scope="module")
def workspace(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return furnished(Workspace(tmp_path_factory.mktemp("gpu")), dataset)


def test_what_is_asked_of_one_network_is_measured_together_and_nothing_is_left_out(workspace: Workspace) -> None:
    study = open_study(workspace)
    chains = script.chains(study)
    jobs = [job for chain in chains for job in chain]
    own = [job for experiment in EXPERIMENTS.values() for job in experiment.jobs(PROFILE) if job.profile == PROFILE]
    assert sorted(job.key for job in jobs) == sorted({job.key for job in own})
    networks = [{job.recipe and job.recipe.changed(head_on=None) for job in chain} for chain in chains]
    assert all(len(chain) == 1 for chain in networks)
    assert len(set.union(*networks)) == len(chains)
    for chain in chains:  # a last layer is trained anew on the network that its chain has trained
        heads = [bool(job.recipe and job.recipe.head_on) for job in chain]
        assert heads == sorted(heads)
    named = [name for group in script.ORDER for name in group]
    assert len(set(named)) == len(named) and set(named) <= set(EXPERIMENTS)


def test_a_chain_ends_at_the_deadline_and_what_was_done_is_packed(workspace: Workspace, tmp_path: Path) -> None:
    chain = evaluations(PROFILE, PROFILE.recipes_on(["original", "only_fg"]))
    assert script.run_chain(chain, workspace, "cpu", time.time() - 1)[0] == 0
    assert script.run_chain(chain, workspace, "cpu", time.time() + 600)[0] == 2
    weights = chain[0].weights(workspace)
    (workspace.measured / "split").mkdir()
    (workspace.measured / "split" / "evaluation_0.json").write_text("{}")
    profiles, kept = (PROFILE.name, "split"), [("original", weights), ("absent", tmp_path / "absent")]
    script.pack(workspace, profiles, tmp_path, kept)
    with tarfile.open(tmp_path / "records.tar.gz") as archive:
        names = archive.getnames()
    assert {f"{PROFILE.name}/{job.find(workspace.measured).filename}" for job in chain} <= set(names)
    assert "split/evaluation_0.json" in names, "trainings of another profile are kept, too"
    (packed,) = tmp_path.glob("*.original.safetensors")
    assert packed.stat().st_size < 0.6 * weights.stat().st_size
