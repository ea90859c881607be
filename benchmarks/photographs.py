"""A source of image files for the build to work on. It imports little, because worker processes start with it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from in9.data.source import Box, Example, MaskRule, Photo, Source


@dataclass
class Photographs:
    """A source of image files with a box each and no mask, so that GrabCut has to find one.

    ``boxes`` holds for each file, by name, its class and its box. Made by ``photographs`` from drawn images.
    """

    folder: Path
    image_size: int
    boxes: dict[str, tuple[int, Box]]
    name: str = field(default="photographs", init=False)
    resizes: bool = field(default=False, init=False)
    rule: MaskRule = field(default_factory=MaskRule, init=False)

    def settings(self) -> dict[str, Any]:
        """Nothing to set."""
        return {}

    def examples(self) -> list[Example]:
        """Every file, in the order of their names."""
        return [Example(name, label, str(label), box) for name, (label, box) in sorted(self.boxes.items())]

    def read(self, example: Example) -> Photo:
        """Decode one file."""
        with Image.open(self.folder / example.id) as image:
            return Photo(np.array(image.convert("RGB")), example.box)


def photographs(drawn: Source, folder: Path) -> Photographs:
    """Write the images of a source that draws them as JPEG files, and open those as a source."""
    folder.mkdir(parents=True)
    boxes = {}
    for example in drawn.examples():
        photo = drawn.read(example)
        assert photo.box is not None
        Image.fromarray(photo.image).save(folder / f"{example.id}.jpg")
        boxes[f"{example.id}.jpg"] = (example.label, photo.box)
    return Photographs(folder, drawn.image_size, boxes)
