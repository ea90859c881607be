"""A foreground mask from a box, and the rules that say which masks are good enough (paper, appendix A)."""

from __future__ import annotations

import cv2
import numpy as np

from in9.data.boxes import Crop, area, intersection
from in9.data.source import ATTEMPTS, Box, MaskRule, Photo, Rejected
from in9.seeds import digest

ITERATIONS = 5
SMALLEST_MASK = 0.10  # of the box


def check_box(box: Box, crop: Box, rule: MaskRule) -> None:
    """Raise Rejected unless the box lies in the crop and leaves background: both in the same pixel coordinates."""
    if area(box) == 0:
        raise Rejected("box is empty")
    visible = area(intersection(box, crop))
    if visible < rule.inside * area(box):
        raise Rejected("box lies outside the image or crop")
    if visible > rule.box_share * area(crop):
        raise Rejected("box covers too much of the image")


def check_mask(mask: np.ndarray, box: Box, rule: MaskRule) -> None:
    """Raise Rejected unless the mask's area is within the rule's limits, as a share of the box's area."""
    share = float(mask.sum()) / area(box)
    low, high = rule.mask_share
    if share < low:
        raise Rejected("mask is too small for its box")
    if share > high:
        raise Rejected("mask fills its box")


def segment(image: np.ndarray, box: Box, identifier: str, attempts: int = ATTEMPTS) -> np.ndarray:
    """GrabCut from a box, five iterations, as in the paper: bool [height, width], true on the object.

    ``image`` is uint8 [height, width, 3]; ``box`` lies in it. Definite and probable foreground count as foreground.
    An attempt fails if OpenCV gives up or if the mask covers less than a tenth of the box; then GrabCut runs again
    with other random centres, at most ``attempts`` times in all. The centres are seeded from ``identifier``, so the
    same image always gets the same mask. Raises Rejected when every attempt fails.
    """
    rectangle = (box[0], box[1], box[2] - box[0], box[3] - box[1])
    reason = "GrabCut failed"
    for attempt in range(attempts):
        labels = np.zeros(image.shape[:2], dtype=np.uint8)
        background, foreground = np.zeros((1, 65)), np.zeros((1, 65))
        cv2.setRNGSeed(digest(attempt, "grabcut", identifier) % 2**31)
        try:
            cv2.grabCut(image, labels, rectangle, background, foreground, ITERATIONS, cv2.GC_INIT_WITH_RECT)
        except cv2.error:
            continue
        mask = (labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)
        if mask.sum() >= SMALLEST_MASK * area(box):
            return mask
        reason = "mask is too small for its box"
    raise Rejected(reason)


def find_mask(photo: Photo, crop: Crop, rule: MaskRule, identifier: str) -> np.ndarray:
    """The mask of a photo, bool [height, width], by the paper's rules in the paper's order.

    A photo that brings its exact mask keeps it, if it passes the rules. Raises Rejected with the reason.
    """
    if photo.reason or photo.box is None:
        raise Rejected(photo.reason or "no box")
    if area(photo.box) and photo.box != intersection(photo.box, crop.whole):
        raise Rejected("box lies outside the image or crop")
    check_box(crop.resized_box(photo.box), crop.window, rule)
    mask = photo.mask if photo.mask is not None else segment(photo.image, photo.box, identifier, rule.attempts)
    check_mask(mask, photo.box, rule)
    return mask
