"""What jobs cost: how many images each looks at, and how long that takes here, from a few timed steps.

A job's images follow from its recipe and its data. How long a network takes for one image is measured on this machine
in seconds. The product is an estimate: it leaves out start-up, and takes it that jobs side by side do not slow each
other down.
"""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from in9.data.boxes import Crop
from in9.data.dataset import Dataset, is_dataset
from in9.data.masks import find_mask
from in9.data.published import read_published
from in9.data.source import MaskRule, Photo
from in9.data.variants import MIXED, VARIANTS
from in9.evaluation.predictions import exact_convolutions, one_thread
from in9.evaluation.records import Store
from in9.study.jobs import EVALUATION, Job
from in9.study.profile import Profile
from in9.study.workspace import Workspace
from in9.taxonomy import NUM_CLASSES
from in9.training.loop import HEAD_ROUNDS
from in9.training.networks import create
from in9.training.recipe import Recipe
from in9.training.steps import Step
from in9.training.trained import weights_file

PHOTOGRAPH = (375, 500)  # height and width of most of ImageNet's, in pixels
TIMED_FOR = 0.5  # seconds that a measurement of speed takes, at least


class Images(NamedTuple):
    """How many images a network is trained and tested on: with a good mask (IN-9) and ``whole``, all (IN-9L)."""

    train: int
    whole_train: int
    test: int
    whole_test: int
    validation: int = 0
    estimated: bool = False


EXPECTED = {"imagenet": Images(45_405, 187_200, 4_050, 7_200, estimated=True)}
"""Where nothing was built yet: with a mask as in the paper, section 2. The whole is that of nine balanced classes of 16
finer ones, with 1,300 training and 50 validation images each: the smallest class has no more."""
SIDES = {"imagenet": 224, "tiny-imagenet": 64}
"""Of the images, in pixels, unless a profile's options say otherwise."""


class Passes(NamedTuple):
    """How many images go through the network forward and backward, and how many only forward."""

    trained: float = 0.0
    tested: float = 0.0

    @property
    def work(self) -> float:
        """In forward passes of one image; going backward costs two."""
        return 3 * self.trained + self.tested


class Speed(NamedTuple):
    """Seconds that a network takes for one image: trained on, or only answered."""

    trained: float
    tested: float

    def seconds(self, passes: Passes) -> float:
        """How long so many take."""
        return self.trained * passes.trained + self.tested * passes.tested


# ------------------------------------------------------------------------------------------------- what there is to do


def images_of(profile: Profile, workspace: Workspace) -> Images:
    """How many images the profile's networks see: counted where they are built or published, else expected."""
    if dataset := _built(profile, workspace):
        return _counted(dataset)
    if published := workspace.published(profile.data):
        every = read_published(published).images.values()
        tried = sum(image.split == "validation" for image in every)
        if folds := profile.split.folds:
            whole = (len(every) - tried) / folds
            good = whole * sum(not image.reason for image in every) / len(every)
            tested = whole * sum(not image.reason and not image.rejected for image in every) / len(every)
            train, whole_train = (round((folds - 1) * part) for part in (good, whole))
            return Images(train, whole_train, round(tested), round(whole), tried)
    if profile.source in EXPECTED:
        return EXPECTED[profile.source]
    count = NUM_CLASSES * int(profile.source_options.get("per_class", 2_300))
    test, validation = profile.split.test, profile.split.validation
    train, tested, tried = (round(share * count) for share in (1 - test - validation, test, validation))
    return Images(train, train, tested, tested, tried, estimated=True)


def _built(profile: Profile, workspace: Workspace) -> Dataset | None:
    folder = workspace.dataset(profile.data)
    return Dataset(folder) if is_dataset(folder) else None


def _counted(dataset: Dataset) -> Images:
    dataset = dataset.of_fold(0 if dataset.folds else None)
    train, whole_train = (len(dataset.indices("train", accepted)) for accepted in (True, False))
    test, whole_test = (len(dataset.indices("test", accepted)) for accepted in (True, False))
    return Images(train, whole_train, test, whole_test, len(dataset.indices("validation", False)))


def training_passes(recipe: Recipe, images: Images) -> Passes:
    """What training by a recipe takes."""
    count = recipe.fraction * (images.train if recipe.uses_masks else images.whole_train)
    steps = 1 + (recipe.perturbation.steps if recipe.perturbation else 0)
    return Passes(recipe.epochs * count * steps, HEAD_ROUNDS * count if recipe.head_on else 0)


def measuring_passes(job: Job, images: Images) -> Passes:
    """What the measurement of a job takes, once its network is trained."""

    def number(name: str) -> int:
        return min(images.test, NUM_CLASSES * (job.options.get(name) or images.test))

    match job.kind:
        case "evaluation":
            sets = len(VARIANTS) - len(MIXED) + len(MIXED) * job.options.get("draws", 1)
            return Passes(0, sets * images.test + images.whole_test)
        case "adversarial":
            attacked = number("foregrounds_per_class")
            return Passes(0, attacked * (1 + number("backgrounds_per_class")))
        case "saliency":
            shown = number("per_class")
            return Passes(len(job.options["methods"]) * shown, shown)
        case "masks":
            return Passes(0, 2 * len(job.options["pixels"]) * images.test)
        case "validation":
            return Passes(0, images.validation)
    return Passes()


def all_passes(jobs: Sequence[Job], workspace: Workspace, anew: bool = False) -> list[Passes]:
    """What each job takes, the training of a network with the first job that asks for it.

    Networks that were trained before are not trained again, unless ``anew``.
    """
    profiles = {job.profile.data: job.profile for job in jobs}
    images = {data: images_of(profile, workspace) for data, profile in profiles.items()}
    built = {} if anew else {data: _built(profile, workspace) for data, profile in profiles.items()}
    trained: set[tuple[str, Recipe]] = set()
    result = []
    for job in jobs:
        own = images[job.profile.data]
        passes = measuring_passes(job, own)
        if job.recipe is not None:
            dataset = built.get(job.profile.data)
            for recipe in dict.fromkeys((replace(job.recipe, head_on=None), job.recipe)):
                network = (job.profile.data, recipe)
                stored = dataset is not None and weights_file(workspace.trained, recipe, dataset).is_file()
                if stored or network in trained:
                    continue
                trained.add(network)
                extra = training_passes(recipe, own)
                if recipe.head_on:
                    extra = Passes(0, extra.tested)
                passes = Passes(passes.trained + extra.trained, passes.tested + extra.tested)
        result.append(passes)
    return result


class TimeLeft:
    """How long some jobs will still take, from how long those that are done have taken."""

    def __init__(self, jobs: Sequence[Job], workspace: Workspace) -> None:
        passes = all_passes(jobs, workspace)
        self.work = {(job.profile.name, job.key): 1 + each.work for job, each in zip(jobs, passes, strict=True)}
        self.total, self.started = sum(self.work.values()), time.monotonic()

    def finished(self, job: Job) -> None:
        """Count a job as done."""
        self.work.pop((job.profile.name, job.key), None)

    def __str__(self) -> str:
        remaining, spent = sum(self.work.values()), time.monotonic() - self.started
        if remaining in (0, self.total):
            return ""
        return f"about {in_words(spent * remaining / (self.total - remaining))} left"


# ------------------------------------------------------------------------------------------------------ how fast it is


@functools.lru_cache(maxsize=64)
def speed(architecture: str, side: int, device: torch.device) -> Speed:
    """How fast a network is on images of that side here; timed for about a second, on one thread of a processor."""
    with one_thread(), torch.random.fork_rng():
        return _speed(architecture, side, device)


def _speed(architecture: str, side: int, device: torch.device) -> Speed:
    count = 128 if device.type == "cuda" else max(4, min(64, 2**18 // side**2))
    images = torch.rand(count, 3, side, side, device=device)
    targets = torch.arange(count, device=device) % NUM_CLASSES
    model = create(architecture).to(device).to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4, momentum=0.9, fused=True)
    step = Step(model, optimizer, nn.CrossEntropyLoss(), device)
    # A processor's own time does not depend on what else the machine does.
    clock = time.perf_counter if device.type == "cuda" else time.process_time
    trained = _quickest(lambda: float(step(images, targets, 1e-4)), clock)
    model.eval()
    with torch.inference_mode(), exact_convolutions():
        tested = _quickest(lambda: int(model(images).argmax(1)[0]), clock)
    return Speed(trained / count, tested / count)


def recorded_speed(architecture: str, side: int, workspace: Workspace) -> tuple[str, Speed] | None:
    """How fast a network was on a GPU by the project's records, and which GPU; None if there is no record.

    Smaller images are scaled by their number of pixels, and several networks may have shared the GPU. Both make the GPU
    slower than it is, so that these seconds are at most what it takes. A network on less detail counts as the whole
    one, which is slower, too.
    """
    architecture = architecture.partition("/")[0]
    for record in Store(workspace.committed).all(EVALUATION):
        recipe, training, gpu = record.settings["recipe"], record.results["training"], record.provenance["gpu"]
        if gpu and recipe["architecture"] == architecture and not recipe.get("perturbation"):
            data = record.settings["data"]
            larger = (side / _expected_side(data["source"], data["source_settings"])) ** 2
            answers = record.results["predictions"].values()
            tested = sum(len(draws) if isinstance(draws, str) else sum(map(len, draws)) for draws in answers)
            spent = record.provenance["seconds"] - training["seconds"]
            trained = training["seconds"] / (recipe["epochs"] * training["images"])
            return gpu, Speed(larger * trained, larger * spent / tested)
    return None


def mask_seconds() -> float:
    """How long GrabCut takes for a photograph of a usual size, on one core."""
    height, width = PHOTOGRAPH
    image = np.random.default_rng(0).integers(0, 60, (height, width, 3), dtype=np.uint8)
    box = (width // 4, height // 4, 3 * width // 4, 3 * height // 4)
    image[box[1] + 20 : box[3] - 20, box[0] + 20 : box[2] - 20] += 150
    photo = Photo(image, box)
    return _quickest(lambda: find_mask(photo, Crop(width, height, 224), MaskRule(), "speed"), time.process_time)


def _quickest(work: Callable[[], object], clock: Callable[[], float]) -> float:
    """What the quickest of a few calls takes; the first ones, which set things up, count only if they take long."""
    started, times = time.perf_counter(), [math.inf]
    while len(times) < 5 or time.perf_counter() - started < TIMED_FOR:
        begin = clock()
        work()
        times.append(clock() - begin)
        if times[-1] > 2 * TIMED_FOR:
            break
    return min(times)


def side_of(profile: Profile, workspace: Workspace) -> int:
    """Width and height of the profile's images in pixels."""
    if dataset := _built(profile, workspace):
        return dataset.image_size
    return _expected_side(profile.source, profile.source_options)


def _expected_side(source: str, options: Mapping[str, Any]) -> int:
    return int(options.get("image_size", SIDES.get(source, 64)))


def elapsed(seconds: Sequence[float], workers: int) -> float:
    """How long jobs take side by side: their sum shared out, or the longest of them."""
    return max(sum(seconds) / workers, max(seconds, default=0.0))


def in_words(seconds: float) -> str:
    """``40 s``, ``12 min``, ``3.5 h`` or ``6 days``."""
    for least, size, unit, digits in ((86_400 * 2, 86_400, "days", 0), (5_400, 3_600, "h", 1), (90, 60, "min", 0)):
        if seconds >= least:
            return f"{seconds / size:.{digits}f} {unit}"
    return f"{math.ceil(seconds)} s"
