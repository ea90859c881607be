"""How cost grows with the number of images: ``python benchmarks/scaling.py``.

Each size is worked on by a process of its own, so that its highest memory is known; the clock starts when that process
has imported what it needs. The exponent is the slope of a straight line through the logarithms of cost and number: 0
for a cost that does not grow, 1 for one that grows as the images do, 2 for one that grows as their pairs do.

What should come out: a build's memory does not grow (it holds one block of images for each worker); evaluation holds
its test images, and its time grows as they do; the challenge grows more slowly than the pairs; and all pairs of the
authors' 4,050 test images fit, as one byte each, whatever the network.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

SIZES = {
    "build": (576, 1152, 2304, 4608),
    "evaluation": (108, 225, 450, 900),
    "challenge": (45, 90, 180, 360),
    "all_pairs": (506, 1012, 2025, 4050),
}
"""The numbers of images: drawn, tested, or foregrounds and as many backgrounds."""
PREPARED = 1800  # drawn images, half of them to test on
TINY = 8  # pixels: all pairs are about memory, and the network there costs nothing
COLUMNS = {"seconds": "seconds", "core_seconds": "of a core", "megabytes": "MB", "worker_megabytes": "MB of a worker"}


def exponent(numbers: Sequence[float], costs: Sequence[float]) -> float:
    """The power of the number that the cost grows with, by least squares on logarithms."""
    return float(np.polyfit(np.log(numbers), np.log(costs), 1)[0])


def _prepared(number: int, folder: Path) -> tuple[Any, Any]:
    """So many test images, and the network."""
    from dataclasses import replace

    import torch

    from in9.data.dataset import Dataset
    from in9.data.variants import load_pool
    from in9.study.profile import load_profile
    from in9.training.loop import fresh_classifier

    torch.set_num_threads(1)
    recipe = replace(load_profile("control").recipe, train_on="mixed_rand")
    model = fresh_classifier(recipe).to(memory_format=torch.channels_last)
    model.load_state_dict(torch.load(folder / "weights.pt", weights_only=True))
    return load_pool(Dataset(folder / "drawn"), "test", limit=number // 9), model.eval()


@dataclass(frozen=True)
class Cost:
    """Seconds by the clock, and seconds of a core, those of ended workers included: the latter hardly depend on what
    else the machine does."""

    seconds: float
    core_seconds: float


def timed(work: Callable[[], object]) -> Cost:
    """What one call costs."""
    clock, core = time.perf_counter(), sum(os.times()[:4])
    work()
    return Cost(time.perf_counter() - clock, sum(os.times()[:4]) - core)


def prepare(number: int, folder: Path) -> Cost:
    """Draw so many images, half of them to test on, and train a network for a moment, for evaluation and challenge."""
    from dataclasses import replace

    import torch

    from in9.data.build import build
    from in9.data.sources import open_source
    from in9.data.splits import Split
    from in9.data.variants import load_pool
    from in9.study.profile import load_profile
    from in9.training.loop import train

    torch.set_num_threads(1)
    source = open_source("synthetic", rho=0.7, per_class=number // 9, image_size=64)
    recipe = replace(load_profile("control").recipe, train_on="mixed_rand", epochs=4)

    def work() -> None:
        dataset = build(source, folder / "drawn", split=Split(test=0.5), progress=False)
        torch.save(train(recipe, load_pool(dataset, "train"))[0].state_dict(), folder / "weights.pt")

    return timed(work)


def build(number: int, folder: Path) -> Cost:
    """Build a dataset of so many drawn images, by two workers."""
    from in9.data.build import build
    from in9.data.sources import open_source

    source = open_source("synthetic", per_class=number // 9, image_size=32)
    return timed(lambda: build(source, folder / str(number), workers=2, progress=False))


def evaluation(number: int, folder: Path) -> Cost:
    """Score a network on the eight variants of so many images."""
    from in9.data.variants import VARIANTS
    from in9.evaluation.predictions import predict_variant

    pool, model = _prepared(number, folder)
    return timed(lambda: [predict_variant(model, pool, variant) for variant in VARIANTS])


def challenge(number: int, folder: Path) -> Cost:
    """The challenge among so many images."""
    from in9.evaluation.adversarial.pairs import start_search
    from in9.evaluation.predictions import search_batch_size

    pool, model = _prepared(number, folder)
    rows = np.arange(number)

    def challenged() -> None:
        search, answer = start_search(model, pool, rows, rows)
        search.run(answer, "untargeted", search_batch_size(pool.images.shape[-1], pool.device))

    return timed(challenged)


def all_pairs(number: int, folder: Path) -> Cost:
    """All pairs of so many images that are as good as empty, by a network that is none."""
    import torch

    from in9.data.variants import Pool
    from in9.evaluation.adversarial.pairs import all_pairs

    torch.set_num_threads(1)
    draw = torch.Generator().manual_seed(0)
    images, tiles = torch.randint(0, 256, (2, number, 3, TINY, TINY), dtype=torch.uint8, generator=draw)
    masks = torch.rand(number, 1, TINY, TINY, generator=draw) < 0.5
    labels, boxes = torch.arange(number) % 9, torch.zeros(number, 4, dtype=torch.int64)
    names = tuple(map(str, range(number)))
    pool = Pool(images, masks, tiles, boxes, labels, names, names, accepted=True)
    rows = np.arange(number)
    return timed(lambda: all_pairs(lambda some: some[:, :, 0, :3].flatten(1), pool, rows, rows, 4096))


WORK = {"prepare": prepare, "build": build, "evaluation": evaluation, "challenge": challenge, "all_pairs": all_pairs}


def cost(work: str, number: int, folder: Path) -> dict[str, float]:
    """What one size costs in this process: time, and the highest memory of it and of its largest worker in MB."""
    import resource

    spent = WORK[work](number, folder)
    unit = 1e6 if sys.platform == "darwin" else 1e3
    found = {**asdict(spent), "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit}
    if work == "build":
        found["worker_megabytes"] = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / unit
    return found


def in_a_process(*words: object) -> dict[str, float]:
    """The cost that this script prints when it is called with ``--one``."""
    command = [sys.executable, __file__, "--one", *map(str, words)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    return json.loads(done.stdout)


def fit(work: str, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The exponents of one kind of work, from its rows."""
    mine = [one for one in rows if one["work"] == work]
    costs = [name for name in mine[0] if name not in ("work", "number")]
    return {"work": work} | {
        name: exponent([one["number"] for one in mine], [one[name] for one in mine]) for name in costs
    }


def line(name: str, cells: Sequence[object]) -> str:
    """One line of a table: a name, then the number of images and the costs, as far as they are known."""
    words = ["" if one is None else one if isinstance(one, str) else f"{round(one, 2) + 0.0:,.2f}" for one in cells]
    return f"{name:<12}{words[0]:>9}" + "".join(f"{word:>16}" for word in words[1:])


def costs(one: dict[str, Any]) -> list[float | None]:
    """The costs of a row or a fit, in the order of the columns; None where there is none."""
    return [one.get(name) for name in COLUMNS]


def main(words: Sequence[str] | None = None) -> Path | None:
    """Measure every size, print it, write the record and return its path."""
    parser = argparse.ArgumentParser(description="Measure how cost grows with the number of images, on the CPU.")
    parser.add_argument("--only", nargs="+", default=list(SIZES), choices=list(SIZES), help="default: all")
    parser.add_argument("--out", type=Path, help="folder of the record; default: runs/records/bench")
    parser.add_argument("--one", nargs=3, metavar=("WORK", "NUMBER", "FOLDER"), help="one size, in this process")
    given = parser.parse_args(words)
    if given.one:
        work, number, folder = given.one
        print(json.dumps(cost(work, int(number), Path(folder))))
        return None
    started, rows = time.monotonic(), []
    print(line("", ["images", *COLUMNS.values()]))
    with tempfile.TemporaryDirectory() as folder:
        if {"evaluation", "challenge"} & set(given.only):
            in_a_process("prepare", PREPARED, folder)
        for work in given.only:
            for number in SIZES[work]:
                rows.append({"work": work, "number": number, **in_a_process(work, number, folder)})
                print(line(work, [f"{number:,}", *costs(rows[-1])]), flush=True)
    fits = [fit(work, rows) for work in given.only]
    print("", "The power of the number of images that each grows with:", sep="\n")
    print(*(line(one["work"], ["", *costs(one)]) for one in fits), sep="\n")
    from in9.evaluation.records import Record, Store, plain, provenance
    from in9.study.workspace import find_workspace

    settings = {"sizes": {work: SIZES[work] for work in given.only}, "prepared": PREPARED}
    facts = provenance(time.monotonic() - started, "cpu", threads=1)
    record = Record("benchmark", "scaling", plain(settings), "", plain({"rows": rows, "fits": fits}), facts)
    path = Store(given.out or find_workspace().runs / "records" / "bench").write(record)
    print(f"wrote {path} ({facts['seconds']:.0f} s)")
    return path


if __name__ == "__main__":
    main()
