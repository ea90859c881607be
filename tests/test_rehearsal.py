"""A rehearsal of profile ``paper``: a miniature ImageNet goes through the build, all measurements and every chapter.

Its numbers mean nothing. It takes minutes, so it runs only when asked for: ``make rehearsal``. The images are made up
here; IN9_ILSVRC_ARCHIVE may name a zip of real ones in Kaggle's layout, with boxes. Where that has validation images
alone, some of each class are taken, and half of them serve as training images.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import nbformat
import numpy as np
import pytest
from PIL import Image, ImageDraw

from in9.data.boxes import area
from in9.data.dataset import Dataset
from in9.data.source import Rejected
from in9.data.sources.imagenet import box_of
from in9.experiments.measuring import EXPERIMENTS
from in9.study.profile import load_profile
from in9.study.study import Study
from in9.study.workspace import HOME_VARIABLE, Workspace
from in9.taxonomy import NUM_CLASSES, imagenet_names, imagenet_to_in9

pytestmark = pytest.mark.rehearsal

PROJECT = Path(__file__).parents[1]
ARCHIVE = "IN9_ILSVRC_ARCHIVE"
DATA, BOXES = "ILSVRC/Data/CLS-LOC", "ILSVRC/Annotations/CLS-LOC"
PROFILE = """extends = "paper"
about = "A rehearsal of profile paper on a few images: its numbers mean nothing."
seeds = [0]
draws = 2
dial_epochs = 1
fine_levels = [1, 2]
fractions = [0.5, 1.0]
adversarial_foregrounds = 1
adversarial_backgrounds = 1
saliency_per_class = 1
architectures = ["alexnet"]

[recipe]
architecture = "resnet18"
epochs = 1
batch_size = 16
learning_rate = 0.01
"""
TRAINING, TESTS = 4, 2
"""Images of each of two finer classes of the nine, and of each class."""
SMALL, SMALL_EACH = 300_000, 12
"""GrabCut takes a second for a real photograph of 300,000 pixels, and a minute for the largest. So many of each class
are enough: most of them get a good mask."""

NOT_A_NUMBER = re.compile(r"\b(nan|NaN)\b")
DRAWN = re.compile(r"<(svg|script|style)\b.*?</\1>|data:[^\"']*", re.S)
"""What no reader of a page reads as text."""


def annotation(box: tuple[int, int, int, int], width: int, height: int, wnid: str) -> str:
    """A box file as ImageNet has it."""
    ends = "".join(f"<{end}>{value}</{end}>" for end, value in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True))
    size = f"<size><width>{width}</width><height>{height}</height><depth>3</depth></size>"
    return f"<annotation>{size}<object><name>{wnid}</name><bndbox>{ends}</bndbox></object></annotation>"


def photograph(label: int, seed: int) -> tuple[bytes, tuple[int, int, int, int], tuple[int, int]]:
    """A JPEG of an ellipse on noise, both of a colour of the class; with its box and its width and height."""
    draws = np.random.default_rng(seed)
    width, height = (int(side) for side in draws.integers(280, 420, 2))
    ground = np.array([30 + 20 * label, 60, 200 - 20 * label]) + draws.normal(0, 15, (height, width, 3))
    image = Image.fromarray(ground.clip(0, 255).astype(np.uint8))
    reach = (width // 4, height // 4)
    centre = (width // 2 + int(draws.integers(-20, 20)), height // 2 + int(draws.integers(-20, 20)))
    box = (centre[0] - reach[0], centre[1] - reach[1], centre[0] + reach[0], centre[1] + reach[1])
    ImageDraw.Draw(image).ellipse(box, fill=(250, 240 - 25 * label, 20 * label))
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=90)
    return stream.getvalue(), box, (width, height)


def made_up() -> Iterator[tuple[str, bytes]]:
    """The files of a miniature ImageNet in Kaggle's layout: paths and contents."""
    classes = list(imagenet_to_in9())
    answers = ["ImageId,PredictionString"]
    for label in range(NUM_CLASSES):
        wnids = [wnid for wnid, of in zip(imagenet_names(), classes, strict=True) if of == label][:2]
        for number in range(2 * TRAINING + TESTS):
            wnid, part = wnids[number % 2], "train" if number < 2 * TRAINING else "val"
            content, box, size = photograph(label, 100 * label + number)
            stem = f"{wnid}_{number}" if part == "train" else f"ILSVRC2012_val_{100 * label + number:08d}"
            place = f"{part}/{wnid}" if part == "train" else part
            yield f"{DATA}/{place}/{stem}.JPEG", content
            yield f"{BOXES}/{place}/{stem}.xml", annotation(box, *size, wnid).encode()
            if part == "val":
                answers.append(f"{stem},{wnid} {' '.join(map(str, box))} ")
    yield "ILSVRC/LOC_val_solution.csv", "\n".join(answers).encode()


def real(archive: Path) -> Iterator[tuple[str, bytes]]:
    """The files of a real archive; of validation images alone some small ones, every other one a training image."""
    with zipfile.ZipFile(archive) as stream:
        names = dict.fromkeys(name for name in stream.namelist() if not name.endswith("/"))
        if any(name.startswith(f"{DATA}/train/") for name in names):
            yield from ((name, stream.read(name)) for name in names)
            return
        solution = next(name for name in names if name.endswith("LOC_val_solution.csv"))
        lines = stream.read(solution).decode().splitlines()
        yield solution, "\n".join(lines).encode()
        counts: defaultdict[int, int] = defaultdict(int)
        label_of = dict(zip(imagenet_names(), imagenet_to_in9(), strict=True))
        for line in lines[1:]:
            stem, _, answer = line.partition(",")
            wnid = answer.split()[0]
            label = label_of[wnid]
            image, box = f"{DATA}/val/{stem}.JPEG", f"{BOXES}/val/{stem}.xml"
            if image in names and box in names and counts[label] < SMALL_EACH and is_small(stream.read(box)):
                place = "val" if counts[label] % 2 else f"train/{wnid}"
                counts[label] += 1
                yield f"{DATA}/{place}/{stem}.JPEG", stream.read(image)
                yield f"{BOXES}/{place}/{stem}.xml", stream.read(box)


def is_small(box_file: bytes) -> bool:
    """Whether an image has one box, which leaves room for background, and is no large one."""
    annotation = ElementTree.fromstring(box_file)
    width, height = (int(annotation.findtext(f"size/{side}", "")) for side in ("width", "height"))
    try:
        box = box_of(annotation, width, height)
    except Rejected:
        return False
    return area(box) <= 0.7 * width * height <= 0.7 * SMALL


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project, with a profile for the rehearsal and a miniature ImageNet beside it."""
    home = tmp_path_factory.mktemp("rehearsal")
    for name in ("notebooks", "book", "records"):
        shutil.copytree(PROJECT / name, home / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(PROJECT / "_config.yml", home)
    (home / "rehearsal.toml").write_text(PROFILE)
    archive = os.environ.get(ARCHIVE)
    for name, content in real(Path(archive)) if archive else made_up():
        path = home / "ilsvrc" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return home


def in9(home: Path, *words: str) -> str:
    """What a command prints; it must succeed."""
    command = [sys.executable, "-c", "from in9.cli.main import main; main()", *words]
    environment = {**os.environ, HOME_VARIABLE: str(home)}
    done = subprocess.run(command, cwd=home, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


def study(home: Path) -> Study:
    """What was measured."""
    profile = load_profile(home / "rehearsal.toml")
    return Study(profile, compute=False, workspace=Workspace(home), progress=False)


def test_it_is_built(home: Path) -> None:
    said = in9(home, "build", "imagenet", "data/paper", "--archive", "ilsvrc")
    assert "with a good mask" in said
    dataset = Dataset(home / "data" / "paper")
    assert dataset.image_size == 224
    for split in ("train", "test"):
        labels = dataset.table["label"].to_numpy()[dataset.indices(split)]
        assert min(np.bincount(labels, minlength=NUM_CLASSES)) >= 2, split


def test_everything_is_measured(home: Path) -> None:
    in9(home, "measure", "--profile", "rehearsal.toml", "--device", "cpu")
    measured = study(home)
    for name, experiment in EXPERIMENTS.items():
        assert measured.missing(experiment.jobs(measured.profile)) == [], name
    assert "nothing to measure" in in9(home, "measure", "--profile", "rehearsal.toml")


def test_every_claim_is_judged(home: Path) -> None:
    said = in9(home, "claims", "--profile", "rehearsal.toml")
    assert said.strip() and "run chapter" not in said


def test_every_chapter_shows_it(home: Path) -> None:
    in9(home, "book", "--profile", "rehearsal.toml", "--measure")
    place = home / "build" / "rehearsal"
    chapters = sorted(path.stem for path in (home / "notebooks").glob("[0-9][0-9]_*.py"))
    assert [path.stem for path in sorted((place / "executed").glob("*.ipynb"))] == chapters
    for chapter in chapters:
        assert (place / "html" / f"{chapter}.html").is_file()
        notebook = nbformat.read(place / "executed" / f"{chapter}.ipynb", 4)
        outputs = [output for cell in notebook["cells"] for output in cell.get("outputs", [])]
        assert outputs and not any(output["output_type"] == "error" for output in outputs), chapter
        shown = [text for output in outputs for text in output.get("data", {}).values() if isinstance(text, str)]
        assert not [text for text in shown if NOT_A_NUMBER.search(DRAWN.sub("", text))], chapter
