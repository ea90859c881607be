"""ImageNet (ILSVRC2012) with its object boxes: the source of the paper's own sets (paper, section 2, appendix A).

The 370 classes under the nine are listed, the others skipped. Images whose box passes the paper's filters make IN-9;
all readable ones make IN-9L. The paper also cleaned its test images by hand, which nothing here stands in for.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from in9.data.archive import DAMAGED, Archive
from in9.data.boxes import intersection
from in9.data.source import Box, Example, MaskRule, Photo, Rejected, balanced
from in9.errors import In9Error, check_known
from in9.seeds import uniforms
from in9.taxonomy import CLASS_NAMES, label_of_wnid

PARTS = ("train", "val")
SUFFIX = ".JPEG"
SOLUTION = "LOC_val_solution.csv"
IMAGES = ("Data/CLS-LOC/", "")
ANNOTATIONS = ("Annotations/CLS-LOC/", "Annotations/", "Annotation/", "CLS-LOC/", "")
PLACES = {"train": ("train/{wnid}/", "{wnid}/"), "val": ("val/{wnid}/", "val/")}
"""Where the box files of each part lie below their root: as Kaggle has them, and as the official archives unpack."""


class ImageNet:
    """The images of ILSVRC2012 that fall under the nine classes.

    GrabCut tries an image three times at most, where the authors' script tries eleven times: the later attempts take
    most of its time on images that never get a mask, and seldom save one.

    ``archive`` is a folder or a zip file in Kaggle's layout (``ILSVRC/Data/CLS-LOC/train/<wnid>/*.JPEG`` and
    ``ILSVRC/Annotations/CLS-LOC/train/<wnid>/*.xml``, validation images flat under ``val/``) or in torchvision's
    (``train/<wnid>/*.JPEG``, ``val/<wnid>/*.JPEG``); ``boxes`` is a folder or a zip with the box files where they are
    not in the archive. A zip of the whole of ImageNet is slow to open in every process: unpack it.

    ``test_on="val"`` tests on the validation images and trains on the training images, as the paper;
    ``test_on="train"`` makes all training images test images, for a sample of ImageNet that has no others.
    ``balance`` keeps the same number of images of each class in each split, chosen by hashed id, and later the same
    number of accepted ones. ``validation`` is the share of training images, in [0, 1), that is set aside as the
    validation split. ``image_size`` is 32 to 512 pixels. Raises In9Error for other values and other layouts.
    """

    name = "imagenet"
    resizes = True
    rule = MaskRule(attempts=3)

    def __init__(
        self,
        archive: Path | str,
        boxes: Path | str | None = None,
        test_on: str = "val",
        balance: bool = True,
        image_size: int = 224,
        validation: float = 0.0,
    ) -> None:
        check_known("part of ImageNet to test on", [test_on], PARTS)
        if type(image_size) is not int or not 32 <= image_size <= 512:
            raise In9Error(f"The imagenet source got image_size={image_size!r}; give a whole number from 32 to 512.")
        if type(balance) is not bool:
            raise In9Error(f"The imagenet source got balance={balance!r}; give True or False.")
        if type(validation) not in (int, float) or not 0 <= validation < 1:
            raise In9Error(f"The imagenet source got validation={validation!r}; give a number from 0 to below 1.")
        self.test_on, self.balances = test_on, balance
        self.image_size, self.validation = image_size, float(validation)
        self.archive = Archive(archive)
        self.boxes = Archive(boxes) if boxes is not None else self.archive
        self.base = self._find_images()

    def settings(self) -> dict[str, Any]:
        """The options that decide what comes out, as plain JSON values."""
        return {
            "test_on": self.test_on,
            "balance": self.balances,
            "image_size": self.image_size,
            "validation": self.validation,
        }

    def _find_images(self) -> str:
        """The folder that holds train/ and val/, ending in a slash; empty at the top."""
        for prefix in _prefixes(self.archive):
            for inner in IMAGES:
                if any(self.archive.has_folder(f"{prefix}{inner}{part}") for part in PARTS):
                    return prefix + inner
        raise self._not_the_layout()

    def _not_the_layout(self) -> In9Error:
        return In9Error(
            f"{self.archive.path} is not ImageNet: looked for ILSVRC/Data/CLS-LOC/train/<wnid>/*{SUFFIX} and "
            f"ILSVRC/Data/CLS-LOC/val/*{SUFFIX} (Kaggle), with or without ILSVRC/, and for train/<wnid>/*{SUFFIX} "
            f"and val/<wnid>/*{SUFFIX} (torchvision)."
        )

    @cached_property
    def places(self) -> dict[str, str]:
        """The path of the box files of each part: a pattern of wnid and stem. A part without box files is absent."""
        apart = self.boxes.path != self.archive.path  # else train/ and val/ at the top are the images' folders
        roots = [prefix + inner for prefix in _prefixes(self.boxes) for inner in ANNOTATIONS if inner or apart]
        roots = [root for root in roots if self.boxes.has_folder(root.rstrip("/"))]
        places = {}
        for part in PARTS:
            for pattern in (root + place for root in roots for place in PLACES[part]):
                folders = {pattern.format(wnid=wnid).rstrip("/") for wnid in label_of_wnid()}
                if any(map(self.boxes.has_folder, folders)):
                    places[part] = pattern + "{stem}.xml"
                    break
        return places

    def examples(self) -> list[Example]:
        """The images of the nine classes in the order of their names; no image and no training box file is opened.

        Without a label file the class of a validation image in Kaggle's layout is read from its box file; an image
        whose class cannot be read is left out. Raises In9Error if a class or the box files are missing.
        """
        label = label_of_wnid()
        examples = [
            Example(f"train/{wnid}/{stem}", label[wnid], wnid, split="test")
            for wnid in label
            for stem in self._stems(f"{self.base}train/{wnid}")
        ]
        if self.test_on == "val":
            draws = uniforms(0, "imagenet/validation", (example.id for example in examples))
            examples = [
                replace(example, split="validation" if draw < self.validation else "train")
                for example, draw in zip(examples, draws, strict=True)
            ]
            examples += [Example(f"val/{stem}", label[wnid], wnid, split="test") for wnid, stem in self._validation()]
        if not any(example.split == "test" for example in examples):
            if not examples and next(self._validation(), None) is None:
                raise self._not_the_layout()
            have, lack, part = ("training", "validation", "train") if examples else ("validation", "training", "val")
            raise In9Error(
                f"{self.archive.path} has no {lack} images of the nine classes to test on; "
                f"to test on its {have} images instead, set test_on={part}."
            )
        for part in sorted({example.id.partition("/")[0] for example in examples} - set(self.places)):
            raise In9Error(
                f"No box files of ImageNet's {part} images in {self.boxes.path}: looked for "
                f"{' and '.join(f'{place}*.xml'.format(wnid='<wnid>') for place in PLACES[part])}, there or under "
                "Annotations/ or Annotations/CLS-LOC/; if they are elsewhere, give that folder or zip as boxes=PATH."
            )
        return sorted(self._even(examples), key=lambda example: example.id)

    def _even(self, examples: list[Example]) -> list[Example]:
        """The examples with the same number of each class in each split, if asked for; every class must be there."""
        groups: dict[str, dict[int, list[str]]] = {}
        for example in examples:
            groups.setdefault(str(example.split), {}).setdefault(example.label, []).append(example.id)
        for split, ids in groups.items():
            missing = [name for label, name in enumerate(CLASS_NAMES) if label not in ids]
            if missing:
                raise In9Error(
                    f"{self.archive.path} has no image of {', '.join(missing)} for the {split} split; "
                    "every class needs some: give more images."
                )
        if not self.balances:
            return examples
        chosen = set().union(*(balanced(ids) for ids in groups.values()))
        return [example for example in examples if example.id in chosen]

    def _validation(self) -> Iterator[tuple[str, str]]:
        """WordNet id and stem of each validation image of the nine classes."""
        known = label_of_wnid()
        foldered = [(wnid, stem) for wnid in known for stem in self._stems(f"{self.base}val/{wnid}")]
        if foldered:
            yield from foldered
            return
        labels = self._solution()
        for stem in self._stems(f"{self.base}val"):
            wnid = labels.get(stem, "") if labels else self._name_in_annotation(stem)
            if wnid in known:
                yield wnid, stem

    def _stems(self, folder: str) -> list[str]:
        """The names of the images that lie directly in a folder, without their suffix."""
        names = (name.removeprefix(f"{folder}/") for name in self.archive.names(folder))
        return [name.removesuffix(SUFFIX) for name in names if name.endswith(SUFFIX) and "/" not in name]

    def _solution(self) -> dict[str, str]:
        """The WordNet id of each validation image by its stem, from Kaggle's label file; empty if there is none."""
        steps = self.base.split("/")
        for depth in range(len(steps)):
            try:
                lines = self.archive.bytes("/".join([*steps[:depth], SOLUTION])).decode().splitlines()
            except KeyError:
                continue
            except (OSError, UnicodeDecodeError, *DAMAGED) as error:
                raise In9Error(f"{SOLUTION} in {self.archive.path} cannot be read; fetch it again.") from error
            pairs = (line.partition(",") for line in lines)
            return {stem: answer.split()[0] for stem, _, answer in pairs if answer.split()}
        return {}

    def _annotation(self, part: str, wnid: str, stem: str) -> ElementTree.Element:
        """The parsed box file of an image; raises Rejected if it is missing or damaged."""
        if part not in self.places:
            raise Rejected("no annotation")
        try:
            text = self.boxes.bytes(self.places[part].format(wnid=wnid, stem=stem)).decode()
            if "<!DOCTYPE" in text:  # it could define entities that grow without end
                raise Rejected("annotation is damaged")
            return ElementTree.fromstring(text)
        except KeyError as error:
            raise Rejected("no annotation") from error
        except (OSError, UnicodeDecodeError, ElementTree.ParseError, *DAMAGED) as error:
            raise Rejected("annotation is damaged") from error

    def _name_in_annotation(self, stem: str) -> str:
        """The WordNet id that the box file of a validation image names; empty if it does not say."""
        try:
            return (self._annotation("val", "", stem).findtext("object/name") or "").strip()
        except Rejected:
            return ""

    def read(self, example: Example) -> Photo:
        """One photograph with its box, or with the reason why it has none; raises Rejected if it does not decode."""
        part, stem = example.id.partition("/")[0], example.id.rpartition("/")[2]
        folder = f"{self.base}{part}/{example.fine}"
        if part == "val" and not self.archive.has_folder(folder):  # they lie flat
            folder = f"{self.base}val"
        with warnings.catch_warnings():
            # Pillow warns of damaged EXIF data, which nothing here reads.
            warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
            image, checksum = self.archive.image_and_checksum(f"{folder}/{stem}{SUFFIX}")
        height, width = image.shape[:2]
        try:
            box = box_of(self._annotation(part, example.fine, stem), width, height)
        except Rejected as rejection:
            return Photo(image, None, reason=str(rejection), checksum=checksum)
        return Photo(image, box, checksum=checksum)


def _prefixes(archive: Archive) -> list[str]:
    """Where a layout may begin: at the top, or in a folder there that is not one of a class."""
    return ["", *(f"{folder}/" for folder in archive.folders() if not re.fullmatch(r"n\d{8}", folder))]


def box_of(annotation: ElementTree.Element, width: int, height: int) -> Box:
    """The box of an annotation of an image of that size in pixels, by the paper's filters in their order.

    The file's numbers are taken as zero-based pixels with both ends inclusive, as in the authors' script; what sticks
    out of the image is cut off. Raises Rejected if sizes differ or there is not exactly one box.
    """
    try:
        size = [int(annotation.findtext(f"size/{side}", "")) for side in ("width", "height")]
        boxes = [
            [int(box.findtext(end, "")) for end in ("xmin", "ymin", "xmax", "ymax")]
            for box in annotation.findall("object/bndbox")
        ]
    except ValueError as error:
        raise Rejected("annotation is damaged") from error
    if size != [width, height]:
        raise Rejected("annotated size is not the image's")
    if len(boxes) != 1:
        raise Rejected("more than one box" if boxes else "no box")
    left, top, right, bottom = boxes[0]
    return intersection((left, top, right + 1, bottom + 1), (0, 0, width, height))
