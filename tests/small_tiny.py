"""A small Tiny ImageNet: all nine classes, images that somebody has looked at, and no two of them alike."""

from __future__ import annotations

import csv
import io
import zipfile
from importlib import resources
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from in9.taxonomy import label_of_wnid

RADIUS = 13


def verdicts() -> dict[str, str]:
    """What is said of each image that somebody has looked at, by its name without a suffix."""
    listing = resources.files("in9.data.sources").joinpath("tiny_imagenet_verdicts.csv").read_text(encoding="utf-8")
    return dict(csv.reader(listing.splitlines()[1:]))


def picture(seed: int) -> tuple[bytes, tuple[int, int, int, int]]:
    """A JPEG file with a bright disc on a soft ground, and the disc's box with both ends inclusive."""
    rng = np.random.default_rng(seed)
    ground = rng.integers(0, 130, (6, 6, 3)).astype(np.float32)
    image = cv2.resize(ground, (64, 64), interpolation=cv2.INTER_CUBIC).clip(0, 140).astype(np.uint8)
    left, top = rng.integers(2, 60 - 2 * RADIUS, 2).tolist()
    y, x = np.mgrid[:64, :64]
    image[(x - left - RADIUS) ** 2 + (y - top - RADIUS) ** 2 <= RADIUS**2] = (240, 230, 60)
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "JPEG", quality=95)
    return stream.getvalue(), (left, top, left + 2 * RADIUS, top + 2 * RADIUS)


def tiny_files(good: int = 4, bad: int = 1, unknown: int = 1) -> dict[str, bytes]:
    """The files of so many images of each class whose mask was called good, was rejected, or was not looked at."""
    said, label = verdicts(), label_of_wnid()
    names: dict[int, list[str]] = {}
    for kind, number in (("good", good), ("background kept", bad)):
        taken: dict[int, int] = {}
        for name, verdict in said.items():
            wnid = name.partition("_")[0]
            if verdict == kind and wnid in label and taken.get(label[wnid], 0) < number:
                taken[label[wnid]] = taken.get(label[wnid], 0) + 1
                names.setdefault(label[wnid], []).append(name)
    for mine in names.values():
        wnid = mine[0].partition("_")[0]
        mine += [f"{wnid}_{900 + index}" for index in range(unknown)]  # there are 500 of each class
    files: dict[str, bytes] = {}
    lines: dict[str, list[str]] = {}
    for seed, name in enumerate(name for label in sorted(names) for name in names[label]):
        wnid = name.partition("_")[0]
        files[f"train/{wnid}/images/{name}.JPEG"], box = picture(seed)
        lines.setdefault(wnid, []).append("\t".join([f"{name}.JPEG", *map(str, box)]))
    for wnid, boxes in lines.items():
        files[f"train/{wnid}/{wnid}_boxes.txt"] = "\n".join(boxes).encode()
    files["wnids.txt"] = "\n".join(lines).encode()
    files["val/val_annotations.txt"] = b""
    return files


def write_tiny(files: dict[str, bytes], path: Path) -> Path:
    """The files as a zip archive."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(f"tiny-imagenet-200/{name}", content)
    return path
