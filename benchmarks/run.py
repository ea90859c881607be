"""Measure the promises of speed: ``python benchmarks/run.py``, or ``make bench``.

Every promise is a ratio of two speeds on the same machine in the same run: what the package does from end to end, over
the bare work. Both sides do the same number of things with the same data and network. They are timed in turn (theirs,
ours, theirs, ours ...), after one round that does not count; the figure is the median of the ratios of neighbours, its
spread their quartiles. On a CPU both sides have one thread, as every unit of work of a study has, and what is counted
are seconds of that core, which other work on the machine hardly changes; the build, which starts processes, and
everything on a GPU is timed by the clock on the wall. The record has the ratio by that clock for every promise.

Data are drawn images, the network is that of the profile ``control`` (on a GPU the paper's ResNet-50 at 224 pixels),
trained for a moment, so that it is right often enough for the challenge to have something to search. The sizes stand
in the record that the run leaves. A promise is kept if the median is at least what was asked; the book has no other
side, and its figures are minutes and memory.

What is not the network (composing, normalising, augmenting) takes the larger a share the smaller the network is, and
that of the profile ``control`` is small. ``--architecture small_resnet_w64_b1`` measures with the network of the
project's records, which takes longer; ``--per-class`` then keeps it short.

No algorithm that asks the network can do the challenge as fast as one likes: an object that falls takes one pair, an
object that holds out takes all. The bare forward pass over those pairs, against the reference's algorithm, is the bound
that the line of each challenge ends with. For the sturdy network it is below 10, and the promise is less than that.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from in9.errors import In9Error, unknown

# Heavy imports wait for main: worker processes of the build import this file anew.
if TYPE_CHECKING:
    from promises import Bench, Figure, Promise

KEPT, BROKEN, NOT_MEASURED = "kept", "not kept", "not measured"


def verdict(promise: Promise, figure: Figure | None) -> str:
    """Kept, not kept or not measured."""
    if figure is None:
        return NOT_MEASURED
    good = figure.value >= promise.asked if promise.unit == "x" else figure.value <= promise.asked
    return KEPT if good else BROKEN


def measured(bench: Bench, only: Sequence[str], whole_book: bool) -> Iterator[tuple[Promise, Figure | None]]:
    """Each promise with its figure, as it is measured; None where it was not."""
    import book_run
    from promises import PROMISES, Figure

    book = book_run.run() if whole_book else {}
    for promise in PROMISES:
        if only and promise.name not in only:
            yield promise, None
        elif promise.unit == "x":
            yield promise, getattr(bench, promise.name)()
        else:
            value = book.get(promise.unit)
            yield promise, None if value is None else Figure(value, value, value, 1, {})


def row(promise: Promise, figure: Figure | None) -> dict[str, Any]:
    """One row of the record."""
    found = {"value": None, "low": None, "high": None, "rounds": 0, "detail": {}} if figure is None else asdict(figure)
    return {**asdict(promise), **found, "verdict": verdict(promise, figure)}


def line(one: dict[str, Any]) -> str:
    """One line of the table."""
    unit = one["unit"]
    asked = f"{'>=' if unit == 'x' else '<='} {one['asked']:g} {unit}"
    spread = f" ({one['low']:.2f} to {one['high']:.2f})" if one["rounds"] > 1 else ""
    value = "-" if one["value"] is None else f"{one['value']:.2f}{spread}"
    bound = f"; at most {one['detail']['at_most']:.1f} x can be had" if "at_most" in one["detail"] else ""
    return f"{one['what']:<40} {one['against']:<46} {asked:<13} {value:<24} {one['verdict']}{bound}"


def main(words: Sequence[str] | None = None) -> Path:
    """Measure, print the table, write the record and return its path."""
    import torch
    from promises import GPU, PROMISES, QUICK, Bench, Sizes

    from in9.evaluation.records import Record, Store, plain, provenance
    from in9.study.workspace import find_workspace
    from in9.training.loop import pick_device

    parser = argparse.ArgumentParser(description="Measure the promises of speed, as ratios inside one run.")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, seconds: shows that it runs, no more")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help=", ".join(one.name for one in PROMISES))
    parser.add_argument("--architecture", help="the network; default: that of the profile control, on a GPU ResNet-50")
    parser.add_argument("--per-class", type=int, help="images of each class that are painted")
    parser.add_argument("--out", type=Path, help="folder of the record; default: runs/records/bench")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes that build")
    parser.add_argument("--loaders", type=int, default=0, help="processes that decode for the reference's challenge")
    parser.add_argument("--book", action="store_true", help="make the default book from clean too: minutes")
    given = parser.parse_args(words)
    for name in given.only:
        if name not in {one.name for one in PROMISES}:
            raise unknown("promise", name, [one.name for one in PROMISES])
    device = pick_device(given.device)
    torch.set_num_threads(1)
    sizes = QUICK if given.quick else GPU if device.type == "cuda" else Sizes()
    changes = {name: getattr(given, name) for name in ("architecture", "per_class")}
    sizes = replace(sizes, **{name: value for name, value in changes.items() if value is not None})
    started, rows = time.monotonic(), []
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(sizes, device, Path(folder), given.workers, given.loaders)
        for promise, figure in measured(bench, given.only, given.book):
            rows.append(row(promise, figure))
            print(line(rows[-1]), flush=True)
        settings = plain({"sizes": asdict(sizes), "only": given.only, "device": device.type, "quick": given.quick,
                          "workers": given.workers, "loaders": given.loaders})  # fmt: skip
        data = bench.dataset.hash
    facts = provenance(time.monotonic() - started, str(device), threads=1)
    record = Record("benchmark", "promises", settings, data, plain({"rows": rows}), facts)
    path = Store(given.out or find_workspace().runs / "records" / "bench").write(record)
    print(f"wrote {path} ({facts['seconds']:.0f} s)")
    return path


if __name__ == "__main__":
    try:
        main()
    except In9Error as error:
        sys.exit(f"benchmarks: {error}")
