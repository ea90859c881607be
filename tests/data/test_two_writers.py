"""Two processes that write the same, ten times each: both end well, and what is there is whole."""

from __future__ import annotations

import hashlib
from pathlib import Path

from small_server import serving
from two_at_once import run_two

from in9.data.dataset import Dataset

ROUNDS = 10
WRITERS = """
import os, sys
from pathlib import Path
from in9.data.build import build
from in9.data.dataset import Dataset
from in9.data.export import export
from in9.data.fetch import fetch
from in9.data.sources import open_source
from in9.data.splits import Split
from in9.errors import In9Error
kind, rounds, place, out, checksum = sys.argv[1], int(sys.argv[2]), sys.argv[3], Path(sys.argv[4]), sys.argv[5]
source = open_source("synthetic", rho=0.8, per_class=6, image_size=32)
print("ready", flush=True)
input()
for number in range(rounds):
    goal = out / str(number)
    try:
        if kind == "build":
            build(source, goal, workers=1, split=Split(test=1 / 3, validation=1 / 3), progress=False)
        elif kind == "export":
            export(Dataset(place), goal, progress=False)
        else:
            fetch(place, goal, checksum, progress=False)
        print("wrote")
    except In9Error as error:
        print(error)
"""


def both(kind: str, place: object, out: Path, checksum: str = "") -> list[list[str]]:
    """What each of two processes says of each round."""
    return [output.splitlines() for output, _ in run_two(WRITERS, kind, ROUNDS, place, out, checksum)]


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_builds(tmp_path: Path) -> None:
    assert both("build", "", tmp_path) == 2 * [ROUNDS * ["wrote"]]
    assert names(tmp_path) == set(map(str, range(ROUNDS)))
    made = [Dataset(path) for path in tmp_path.iterdir()]
    for each in made:
        each.verify()
    assert len({each.hash for each in made}) == 1


def test_exports(dataset: Dataset, tmp_path: Path) -> None:
    for first, second in zip(*both("export", dataset.path, tmp_path), strict=True):
        (other,) = {first, second} - {"wrote"}
        assert "wrote" in (first, second) and other.endswith("already exists; choose a new folder or remove it.")
    assert names(tmp_path) == set(map(str, range(ROUNDS)))
    assert len({len(list(path.rglob("*.*"))) for path in tmp_path.iterdir()}) == 1


def test_downloads(tmp_path: Path) -> None:
    content = bytes(range(256)) * 200
    checksum = f"sha256:{hashlib.sha256(content).hexdigest()}"
    with serving({"/a": content}) as server:
        server.pause = 0.01
        assert both("fetch", f"{server.address}/a", tmp_path, checksum) == 2 * [ROUNDS * ["wrote"]]
    assert names(tmp_path) == set(map(str, range(ROUNDS))) and len(server.paths) == ROUNDS
    assert all(path.read_bytes() == content for path in tmp_path.iterdir())
