"""The promises of speed, and how each is measured; ``run.py`` runs this."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import baselines
import numpy as np
import torch
from photographs import photographs
from PIL import Image
from torch import Tensor

from in9.data.build import build
from in9.data.dataset import Dataset
from in9.data.export import export
from in9.data.sources import open_source
from in9.data.variants import MIXED, VARIANTS, Pool, compose, draw_backgrounds, load_pool
from in9.evaluation.adversarial.pairs import all_pairs, attacked_rows, start_search
from in9.evaluation.predictions import predict_variant, search_batch_size
from in9.study.profile import load_profile
from in9.training.loop import train
from in9.training.networks import Classifier
from in9.training.recipe import Recipe


@dataclass(frozen=True)
class Promise:
    """What is promised: that ``what`` is at least ``asked`` times as fast as ``against`` (the book: at most)."""

    name: str
    what: str
    against: str
    asked: float
    unit: str = "x"


PROMISES = (
    Promise("evaluation", "evaluation of all variants, end to end", "the bare forward pass", 0.9),
    Promise("training", "training, end to end", "forward, backward and step on one fixed batch", 0.9),
    Promise("all_pairs", "all pairs of foreground and background", "the bare forward pass", 0.9),
    Promise("challenge", "challenge, trained on Original", "the reference's algorithm, same answer", 10),
    Promise("challenge_sturdy", "challenge, trained on Mixed-Rand", "the reference's algorithm, same answer", 4),
    Promise("build", "build, worker processes started", "GrabCut alone x number of workers", 0.9),
    Promise("variants", "variants composed on the device", "reading them as files, PNG or JPEG", 15),
    Promise("book_minutes", "default book from clean, 2 cores", "the clock", 5, "minutes"),
    Promise("book_memory", "default book from clean, 2 cores", "memory in use at once", 4, "GB"),
)


@dataclass(frozen=True)
class Sizes:
    """How much is measured; all of it stands in the record. Numbers of images are for each of the nine classes."""

    image_size: int = 64
    per_class: int = 250
    architecture: str = "small_resnet_w24_b1_pool"
    epochs: int = 6
    batch_size: int = 32
    rounds: int = 7
    slow_rounds: int = 3
    paired: int = 6
    challenged: int = 16
    challenged_by_workers: int = 6  # foregrounds in all
    photographs: int = 75
    photograph_size: int = 128
    grabcut_share: float = 0.25


GPU = replace(Sizes(), image_size=224, per_class=300, architecture="resnet50", batch_size=256)
QUICK = Sizes(32, 16, "small_resnet_w8_b1", 2, 16, 1, 1, 1, 3, 1, 10, 40, 1.0)


@dataclass(frozen=True)
class Figure:
    """A measured figure: median, quartiles, how many rounds, and what else the record should say."""

    value: float
    low: float
    high: float
    rounds: int
    detail: dict[str, Any]


def in_turn(
    theirs: Callable[[], int],
    ours: Callable[[], int],
    rounds: int,
    device: torch.device,
    detail: Mapping[str, Any] = MappingProxyType({}),
    alone: bool = True,
) -> Figure:
    """How many times as fast ours is as theirs. Both return how many things they did; the first round is not counted.

    ``alone`` says that neither side starts other processes; on a CPU the seconds of the one core they have are counted
    then, so that other work on the machine does not disturb. ``detail`` is added to what the record says, which is also
    things per second on both sides, and the figure by the clock on the wall.
    """
    speeds = np.array([[_speeds(side, device) for side in (theirs, ours)] for _ in range(rounds + 1)][1:])
    ratios = speeds[:, 1] / speeds[:, 0]  # [rounds, 2]: by the wall clock, and by seconds of the core
    counted = int(alone and device.type == "cpu")
    low, value, high = np.quantile(ratios[:, counted], (0.25, 0.5, 0.75))
    their, our = np.median(speeds[:, :, counted], axis=0)
    clock = {"clock": ("wall", "core")[counted], "by_the_wall_clock": float(np.median(ratios[:, 0]))}
    speed = {"theirs_per_second": float(their), "ours_per_second": float(our)}
    return Figure(float(value), float(low), float(high), rounds, {**speed, **clock, **detail})


def _speeds(side: Callable[[], int], device: torch.device) -> tuple[float, float]:
    """Things per second by the wall clock, and per second of the core."""
    wall, core = time.perf_counter(), time.process_time()
    done = side()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return done / (time.perf_counter() - wall), done / (time.process_time() - core)


class Bench:
    """One run: what is measured, on what, in which folder. Methods named as promises measure them."""

    def __init__(self, sizes: Sizes, device: torch.device, folder: Path, workers: int, loaders: int = 0) -> None:
        self.sizes, self.device, self.folder = sizes, device, folder
        self.workers, self.loaders = workers, loaders

    @cached_property
    def dataset(self) -> Dataset:
        """Drawn images, as the profile ``control`` has them."""
        size = {"per_class": self.sizes.per_class, "image_size": self.sizes.image_size}
        return build(open_source("synthetic", rho=0.7, **size), self.folder / "drawn", progress=False)

    @cached_property
    def pool(self) -> Pool:
        """The test images."""
        return load_pool(self.dataset, "test", device=self.device)

    @cached_property
    def lessons(self) -> Pool:
        """The training images."""
        return load_pool(self.dataset, "train", device=self.device)

    def recipe(self, train_on: str, epochs: int) -> Recipe:
        """The recipe of the profile ``control``, for so many epochs."""
        base = load_profile("control").recipe
        return replace(base, architecture=self.sizes.architecture, train_on=train_on, epochs=epochs)

    @cached_property
    def original(self) -> Classifier:
        """A network trained for a moment on Original."""
        return train(self.recipe("original", self.sizes.epochs), self.lessons)[0]

    @cached_property
    def ready(self) -> tuple[list[Tensor], int]:
        """Test images as the network takes them, in batches of the size at which it is fastest; that size."""
        every = baselines.network_input(self.original, self.pool.images)
        tries = {}
        for size in (32, 64, 128, 256, 512):
            batches = [part.contiguous(memory_format=torch.channels_last) for part in every.split(size)]
            speeds = [_speeds(partial(self._forward, batches, len(every)), self.device) for _ in range(3)]
            tries[max(speeds)[0]] = (batches, size)
        return tries[max(tries)]

    def _forward(self, batches: Sequence[Tensor], count: int) -> int:
        return baselines.forward(self.original, batches, count)

    def evaluation(self) -> Figure:
        """Every variant of the test set once: draws, composing, normalisation, answers."""
        (batches, size), count = self.ready, len(VARIANTS) * len(self.pool)

        def ours() -> int:
            return sum(len(predict_variant(self.original, self.pool, variant)) for variant in VARIANTS)

        detail = {"images": count, "their_batch": size}
        return in_turn(lambda: self._forward(batches, count), ours, self.sizes.rounds, self.device, detail)

    def training(self) -> Figure:
        """One whole training of one epoch, on Mixed-Rand, which has the most to compose."""
        recipe = replace(self.recipe("mixed_rand", 1), batch_size=self.sizes.batch_size)
        steps, count = baselines.training_step(recipe, self.lessons), len(self.lessons)

        def ours() -> int:
            train(recipe, self.lessons)
            return count

        detail = {"images": count, "batch": recipe.batch_size}
        return in_turn(lambda: steps(count), ours, self.sizes.rounds, self.device, detail)

    def all_pairs(self) -> Figure:
        """Some foregrounds of each class on some backgrounds of each class."""
        (batches, size), rows = self.ready, attacked_rows(self.pool, self.sizes.paired)
        detail = {"pairs": len(rows) ** 2, "their_batch": size}
        return in_turn(
            lambda: self._forward(batches, len(rows) ** 2),
            lambda: all_pairs(self.original, self.pool, rows, rows).size,
            self.sizes.rounds,
            self.device,
            detail,
        )

    @cached_property
    def exported(self) -> Path:
        """The test images in all variants as files, in the layout of the authors' archive."""
        return export(self.dataset, self.folder / "exported", progress=False)

    def challenge(self) -> Figure:
        """A network that relies on backgrounds: nearly everyone is vulnerable."""
        return self._challenge(self.original)

    def challenge_sturdy(self) -> Figure:
        """A network that relies on them less: whoever holds out must meet every background, on either side."""
        return self._challenge(train(self.recipe("mixed_rand", self.sizes.epochs), self.lessons)[0])

    def _challenge(self, classifier: Classifier) -> Figure:
        rows = attacked_rows(self.pool, self.sizes.challenged)
        names = {Path(self.pool.ids[row]).stem for row in rows}
        files = [path for path in sorted(self.exported.glob("only_bg_t/val/*/*.png")) if path.stem in names]
        answers: dict[str, tuple[np.ndarray, int]] = {}

        def theirs() -> int:
            answers["theirs"] = baselines.reference_challenge(classifier, self.pool, rows, files, self.loaders)
            return 1

        def ours() -> int:
            search, answer = start_search(classifier, self.pool, rows, rows)
            size = search_batch_size(self.pool.images.shape[-1], self.pool.device)
            answers["ours"] = search.run(answer, "untargeted", size), search.composites
            return 1

        figure = in_turn(theirs, ours, self.sizes.slow_rounds, self.device, alone=not self.loaders)
        vulnerable = answers["ours"][0]
        assert np.array_equal(answers["theirs"][0], vulnerable), "the two algorithms found others vulnerable"
        must = int(vulnerable.sum() + (~vulnerable).sum() * len(rows))
        forward = partial(self._forward, self.ready[0], must)
        bare = np.median([_speeds(forward, self.device) for _ in range(self.sizes.slow_rounds)], axis=0)
        some = rows[:: -(-len(rows) // self.sizes.challenged_by_workers)]
        detail = {
            "pairs": len(rows) ** 2,
            "vulnerable": float(vulnerable.mean()),
            **{f"{side}_composites": one[1] for side, one in answers.items()},
            "must_be_met": must,  # a single one for who falls, all of them for who holds out
            "at_most": bare[int(figure.detail["clock"] == "core")] / must / figure.detail["theirs_per_second"],
            "their_workers": self.loaders,
            "theirs_slower_with_eight_workers": baselines.slower_by_workers(classifier, self.pool, some, files),
        }
        return replace(figure, detail={**figure.detail, **detail})

    def build(self) -> Figure:
        """JPEG files with boxes in, a dataset with masks out; GrabCut alone gets a share of them, in memory."""
        sizes = self.sizes
        drawn = open_source("synthetic", per_class=sizes.photographs, image_size=sizes.photograph_size)
        source = photographs(drawn, self.folder / "photographs")
        examples = source.examples()
        step = round(1 / sizes.grabcut_share)
        photos = [(source.read(example), example.id) for example in examples[::step]]

        def ours() -> int:
            shutil.rmtree(self.folder / "built", ignore_errors=True)
            return len(build(source, self.folder / "built", workers=self.workers, progress=False).table)

        figure = in_turn(lambda: baselines.grabcut_alone(photos), ours, sizes.slow_rounds, self.device, alone=False)
        value, low, high = (one / self.workers for one in (figure.value, figure.low, figure.high))
        detail = {"images": len(examples), "alone_images": len(photos), "workers": self.workers}
        return Figure(value, low, high, figure.rounds, {**figure.detail, "by_the_wall_clock": value, **detail})

    def variants(self) -> Figure:
        """All eight variants of the test set, in batches, over the faster of the two kinds of files."""
        png = sorted(path for variant in VARIANTS for path in (self.exported / variant).rglob("*.png"))
        jpeg = [_as_jpeg(path) for path in png]

        def read(files: Sequence[Path]) -> int:
            for start in range(0, len(files), 256):
                torch.stack([baselines.decode(path) for path in files[start : start + 256]]).to(self.device)
            return len(files)

        def ours() -> int:
            rows = torch.arange(len(self.pool), device=self.device)
            for variant in VARIANTS:
                drawn = draw_backgrounds(variant, self.pool, 0)[0] if variant in MIXED else None
                for part in rows.split(256):
                    compose(variant, self.pool, part, None if drawn is None else drawn[part])
            return len(VARIANTS) * len(rows)

        figures = [
            in_turn(partial(read, files), ours, self.sizes.slow_rounds, self.device, {"files": kind})
            for kind, files in (("PNG", png), ("JPEG", jpeg))
        ]
        return min(figures, key=lambda figure: figure.value)


def _as_jpeg(path: Path) -> Path:
    target = path.with_suffix(".jpg")
    with Image.open(path) as image:
        image.save(target)
    return target
