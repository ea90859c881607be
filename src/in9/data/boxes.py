"""Boxes, the crop, and Only-BG-T's tiles (paper, appendix A).

Tiles: the largest strip of image beside the box (full height, left or right; full width, above or below) is repeated
from the image's origin to make a canvas, and the canvas is copied into the box. Columns win over rows only where their
area is strictly larger; left wins over right, and top over bottom, only where strictly larger. This departs from the
authors' script in one point: its right and lower strips begin on the box's own last column and row, ours just after
them, so that no pixel of the box is ever in its background.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from in9.data.source import Box, Rejected

RESIZE_TO_CROP = 256 / 224


def area(box: Box) -> int:
    """The number of pixels in a box; zero where it is empty."""
    return max(0, box[2] - box[0]) * max(0, box[3] - box[1])


def intersection(first: Box, second: Box) -> Box:
    """The part that two boxes share; it may be empty."""
    left, top = max(first[0], second[0]), max(first[1], second[1])
    return left, top, min(first[2], second[2]), min(first[3], second[3])


def bounds(mask: np.ndarray) -> Box:
    """The smallest box around a mask, bool [height, width]; all zero where the mask is empty."""
    left, top, width, height = cv2.boundingRect(mask.astype(np.uint8))
    return left, top, left + width, top + height


@dataclass(frozen=True)
class Crop:
    """Resize the shorter side to size * 256 / 224, then cut the centre; an image of that size stays as it is.

    ``width`` and ``height`` are the image's, ``size`` is the side of the result, all in pixels.
    """

    width: int
    height: int
    size: int

    @property
    def whole(self) -> Box:
        """The whole image as a box."""
        return 0, 0, self.width, self.height

    @property
    def resized(self) -> tuple[int, int]:
        """Width and height after the resize, before the cut."""
        if self.width == self.height == self.size:
            return self.width, self.height
        scale = round(self.size * RESIZE_TO_CROP) / min(self.width, self.height)
        return round(self.width * scale), round(self.height * scale)

    @property
    def window(self) -> Box:
        """What is cut, in pixels of the resized image."""
        left, top = ((side - self.size) // 2 for side in self.resized)
        return left, top, left + self.size, top + self.size

    def resized_box(self, box: Box) -> Box:
        """A box of the original image, in pixels of the resized one."""
        horizontal, vertical = self.resized[0] / self.width, self.resized[1] / self.height
        left, right = round(box[0] * horizontal), round(box[2] * horizontal)
        return left, round(box[1] * vertical), right, round(box[3] * vertical)

    def box(self, box: Box) -> Box:
        """A box of the original image, in pixels of the result and clipped to it."""
        left, top, right, bottom = intersection(self.resized_box(box), self.window)
        return left - self.window[0], top - self.window[1], right - self.window[0], bottom - self.window[1]

    def pixels(self, image: np.ndarray) -> np.ndarray:
        """The image, mask or background, resized to the nearest neighbour and cut: [size, size, ...]."""
        left, top, right, bottom = self.window
        resized = cv2.resize(image.view(np.uint8), self.resized, interpolation=cv2.INTER_NEAREST)
        return np.ascontiguousarray(resized[top:bottom, left:right]).view(image.dtype)


def strip(box: Box, width: int, height: int) -> Box:
    """The part of the image that is repeated; raises Rejected where the box leaves no strip."""
    left, top, right, bottom = box[0], box[1], width - box[2], height - box[3]
    if max(left, right) <= 0 and max(top, bottom) <= 0:
        raise Rejected("box leaves no background strip")
    if max(left, right) * height > max(top, bottom) * width:
        return (0, 0, left, height) if left > right else (box[2], 0, width, height)
    return (0, 0, width, top) if top > bottom else (0, box[3], width, height)


def canvas_rows_and_columns(box: Box, width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """Where the canvas takes its pixels from: a row index per row [height], a column index per column [width]."""
    left, top, right, bottom = strip(box, width, height)
    return top + np.arange(height) % (bottom - top), left + np.arange(width) % (right - left)


def tile_image(image: np.ndarray, box: Box) -> np.ndarray:
    """Only-BG-T of one image: uint8 [height, width, 3] -> the same. Raises Rejected where no strip is left."""
    height, width = image.shape[:2]
    rows, columns = canvas_rows_and_columns(box, width, height)
    inside = np.s_[box[1] : box[3], box[0] : box[2]]
    result = image.copy()
    result[inside] = image[rows][:, columns][inside]
    return result
