"""A small ImageNet: two training images and a validation image of a fine class of each of the nine, in two layouts."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from in9.taxonomy import NUM_CLASSES, imagenet_names, imagenet_to_in9

WIDTH, HEIGHT, BOX = 60, 44, (20, 12, 40, 32)
WNIDS = [list(imagenet_names())[list(imagenet_to_in9()).index(label)] for label in range(NUM_CLASSES)]
DOG, BOTTLE = WNIDS[0], "n02823428"


def picture(seed, form="JPEG", mode="RGB"):
    """A bright disc in BOX on a dark, lightly noisy ground."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    image = np.random.default_rng(seed).integers(10, 40, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    image[(x - 29.5) ** 2 + (y - 21.5) ** 2 < 95] = (230, 200 + seed % 40, 60)
    stream = io.BytesIO()
    Image.fromarray(image).convert(mode).save(stream, form)
    return stream.getvalue()


def annotation(*boxes, size=(WIDTH, HEIGHT), wnid=DOG):
    """A box file as ImageNet has it; boxes are given half-open and written with both ends inclusive."""
    objects = "".join(
        f"<object><name>{wnid}</name><bndbox><xmin>{left}</xmin><ymin>{top}</ymin><xmax>{right - 1}</xmax>"
        f"<ymax>{bottom - 1}</ymax></bndbox></object>"
        for left, top, right, bottom in boxes
    )
    width, height = size
    text = f"<annotation><size><width>{width}</width><height>{height}</height></size>{objects}</annotation>"
    return text.encode()


def pictures(training=2, tests=1):
    """What there is, whatever the layout: part, WordNet id, stem and picture; a bottle is none of the nine."""
    for number, wnid in enumerate([*WNIDS, BOTTLE]):
        for index in range(training):
            yield "train", wnid, f"{wnid}_{index}", picture(100 * number + index)
        for index in range(tests):
            yield "val", wnid, f"ILSVRC2012_val_{10 * number + index:08d}", picture(100 * number + 50 + index)


def kaggle(top="ILSVRC/", solution=True, **sizes):
    files = {f"{top}ImageSets/CLS-LOC/val.txt": b""}
    answers = "ImageId,PredictionString\n"
    for part, wnid, stem, content in pictures(**sizes):
        place = f"train/{wnid}" if part == "train" else "val"
        files[f"{top}Data/CLS-LOC/{place}/{stem}.JPEG"] = content
        files[f"{top}Annotations/CLS-LOC/{place}/{stem}.xml"] = annotation(BOX, wnid=wnid)
        answers += f"{stem},{wnid} 20 12 39 31 {wnid} 1 2 3 4 \n" if part == "val" else ""
    return files | ({"LOC_val_solution.csv": answers.encode()} if solution else {})


def torchvision(boxes="Annotations/{part}/{wnid}/", **sizes):
    files = {}
    for part, wnid, stem, content in pictures(**sizes):
        files[f"{part}/{wnid}/{stem}.JPEG"] = content
        files[boxes.format(part=part, wnid=wnid) + f"{stem}.xml"] = annotation(BOX, wnid=wnid)
    return files


def folder(files, root):
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root
