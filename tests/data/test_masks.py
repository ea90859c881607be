"""The acceptance rules, each with its reason and its limit, and GrabCut itself."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from in9.data.boxes import Crop
from in9.data.masks import check_box, check_mask, find_mask, segment
from in9.data.source import ATTEMPTS, MaskRule, Photo, Rejected
from in9.data.sources.imagenet import ImageNet
from in9.data.sources.synthetic import Synthetic
from in9.data.sources.tiny_imagenet import TinyImageNet

WHOLE = (0, 0, 100, 100)
RULE = MaskRule()


def mask_of(pixels, size=(100, 100)):
    mask = np.zeros(size, bool)
    mask.flat[:pixels] = True
    return mask


def an_easy_image(size=64, seed=0):
    """A red disc on a green ground, with noise; and the disc."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size]
    disc = (x - 0.45 * size) ** 2 + (y - 0.55 * size) ** 2 < (0.25 * size) ** 2
    image = np.where(disc[..., None], (200, 40, 40), (40, 150, 60)) + random.normal(0, 8, (size, size, 3))
    return image.clip(0, 255).astype(np.uint8), disc


def box_around(mask, room=2):
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return columns[0] - room, rows[0] - room, columns[-1] + 1 + room, rows[-1] + 1 + room


# ---- the rules -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("box", "reason"),
    [
        ((10, 10, 10, 50), "box is empty"),
        ((50, 10, 10, 50), "box is empty"),
        ((0, 0, 100, 90), None),  # exactly 0.90 of the crop
        ((0, 0, 100, 91), "box covers too much of the image"),
        ((-10, 0, 100, 90), None),  # what lies outside does not count
        ((-40, 0, 40, 50), None),  # exactly half of it inside
        ((-41, 0, 40, 50), "box lies outside the image or crop"),
        ((120, 0, 140, 50), "box lies outside the image or crop"),
    ],
)
def test_box_rules(box, reason):
    if reason is None:
        check_box(box, WHOLE, RULE)
    else:
        with pytest.raises(Rejected, match=reason):
            check_box(box, WHOLE, RULE)


def test_box_rules_are_the_rules_given():
    with pytest.raises(Rejected, match="too much"):
        check_box((0, 0, 100, 51), WHOLE, MaskRule(box_share=0.5))
    check_box((-90, 0, 10, 50), WHOLE, MaskRule(inside=0.1))


@pytest.mark.parametrize(
    ("pixels", "rule", "reason"),
    [
        (100, RULE, None),  # exactly a tenth of the box
        (99, RULE, "mask is too small for its box"),
        (0, RULE, "mask is too small for its box"),
        (1000, RULE, None),
        (350, MaskRule(mask_share=(0.35, 0.97)), None),
        (349, MaskRule(mask_share=(0.35, 0.97)), "mask is too small for its box"),
        (970, MaskRule(mask_share=(0.35, 0.97)), None),
        (971, MaskRule(mask_share=(0.35, 0.97)), "mask fills its box"),
    ],
)
def test_mask_rules(pixels, rule, reason):
    box = (0, 0, 100, 10)
    if reason is None:
        check_mask(mask_of(pixels), box, rule)
    else:
        with pytest.raises(Rejected, match=reason):
            check_mask(mask_of(pixels), box, rule)


# ---- GrabCut ---------------------------------------------------------------------------------------------------------


def test_an_easy_object_is_found():
    image, disc = an_easy_image()
    before = image.copy()
    box = box_around(disc)
    mask = segment(image, box, "disc")
    assert mask.dtype == bool and mask.shape == disc.shape and np.array_equal(image, before)
    assert (mask & disc).sum() / (mask | disc).sum() > 0.9
    outside = mask.copy()
    outside[box[1] : box[3], box[0] : box[2]] = False
    assert not outside.any()


def test_the_same_id_gives_the_same_mask_whatever_ran_before():
    source = Synthetic(image_size=48, per_class=1)
    photos = [source.read(example) for example in source.examples()[-3:]]  # not easy: the random centres matter
    first = [segment(photo.image, photo.box, "one") for photo in photos]
    cv2.setRNGSeed(99)
    again = [segment(photo.image, photo.box, "one") for photo in reversed(photos)]
    assert all(map(np.array_equal, first, reversed(again)))
    others = [segment(photo.image, photo.box, name) for name in ("two", "three", "four") for photo in photos]
    assert not all(map(np.array_equal, first * 3, others))


def fake_grabcut(monkeypatch, outcomes):
    """Let ``cv2.grabCut`` have these outcomes, the last for ever: a count of foreground pixels or an error."""
    seeds = []

    def stand_in(image, labels, *arguments):
        outcome = outcomes[min(len(calls), len(outcomes) - 1)]
        calls.append(arguments)
        if outcome is None:
            raise cv2.error("no centres")
        labels.flat[:outcome] = cv2.GC_PR_FGD

    calls = []
    monkeypatch.setattr(cv2, "grabCut", stand_in)
    monkeypatch.setattr(cv2, "setRNGSeed", seeds.append)
    return calls, seeds


IMAGE = np.zeros((20, 20, 3), np.uint8)
BOX = (0, 0, 10, 10)


@pytest.mark.parametrize(
    ("outcomes", "reason"),
    [([9], "mask is too small for its box"), ([None], "GrabCut failed"), ([None, 0], "too small")],
)
def test_a_failing_image_is_rejected_after_all_attempts(monkeypatch, outcomes, reason):
    calls, seeds = fake_grabcut(monkeypatch, outcomes)
    with pytest.raises(Rejected, match=reason):
        segment(IMAGE, BOX, "one")
    assert len(calls) == ATTEMPTS == 11
    assert len(set(seeds)) == ATTEMPTS and all(0 <= seed < 2**31 for seed in seeds)


def test_fewer_attempts_give_the_same_masks_to_fewer_images(monkeypatch):
    assert ImageNet.rule.attempts == 3 and TinyImageNet.rule.attempts == ATTEMPTS  # as its published masks
    photo = Photo(IMAGE, BOX)
    calls, _ = fake_grabcut(monkeypatch, [9, None, 50])
    mask = find_mask(photo, Crop(20, 20, 20), replace(RULE, attempts=3), "one")
    assert mask.sum() == 50 and len(calls) == 3
    calls.clear()
    assert np.array_equal(mask, find_mask(photo, Crop(20, 20, 20), RULE, "one"))
    calls.clear()
    with pytest.raises(Rejected, match="too small"):
        find_mask(photo, Crop(20, 20, 20), replace(RULE, attempts=2), "one")
    assert len(calls) == 2


def test_attempts_are_a_setting_that_is_left_out_at_its_default():
    assert set(RULE.settings()) == {"train", "test"}
    assert replace(RULE, attempts=3).settings() == RULE.settings() | {"attempts": 3}


@pytest.mark.parametrize("failures", [[], [None], [9, None, 0]])
def test_a_later_attempt_may_succeed(monkeypatch, failures):
    calls, _ = fake_grabcut(monkeypatch, [*failures, 10])  # a tenth of the box is enough
    assert segment(IMAGE, BOX, "one").sum() == 10
    assert len(calls) == len(failures) + 1


def test_the_papers_settings(monkeypatch):
    calls, _ = fake_grabcut(monkeypatch, [50])
    segment(IMAGE, (3, 4, 15, 10), "one")
    rectangle, background, foreground, iterations, mode = calls[0]
    assert rectangle == (3, 4, 12, 6) and iterations == 5 and mode == cv2.GC_INIT_WITH_RECT
    assert background.shape == foreground.shape == (1, 65) and background.dtype == foreground.dtype == np.float64


# ---- all rules in order ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("box", "reason"),
    [
        (None, "no box"),
        ((5, 5, 5, 9), "box is empty"),
        ((40, 5, 20, 9), "box is empty"),
        ((-1, 5, 30, 30), "box lies outside the image or crop"),
        ((5, 5, 30, 65), "box lies outside the image or crop"),
        ((0, 0, 64, 60), "box covers too much of the image"),
    ],
)
def test_find_mask_rejects_before_it_segments(monkeypatch, box, reason):
    monkeypatch.setattr(cv2, "grabCut", None)  # must not be reached
    image, _ = an_easy_image()
    with pytest.raises(Rejected, match=reason):
        find_mask(Photo(image, box), Crop(64, 64, 64), RULE, "one")


def test_find_mask():
    image, disc = an_easy_image()
    crop, box = Crop(64, 64, 64), box_around(disc)
    assert np.array_equal(find_mask(Photo(image, box), crop, RULE, "disc"), segment(image, box, "disc"))
    assert find_mask(Photo(image, box, disc), crop, RULE, "disc") is disc  # an exact mask is kept
    with pytest.raises(Rejected, match="mask fills its box"):
        find_mask(Photo(image, box, disc), crop, MaskRule(mask_share=(0.1, 0.5)), "disc")
    with pytest.raises(Rejected, match="mask is too small"):
        find_mask(Photo(image, box, np.zeros_like(disc)), crop, RULE, "disc")


def test_find_mask_looks_at_the_box_in_the_crop():
    image = np.zeros((100, 300, 3), np.uint8)
    crop = Crop(300, 100, 224)  # keeps the middle: about columns 106 to 194 and rows 6 to 94
    mask = np.zeros((100, 300), bool)
    mask[20:50, 100:150] = True
    assert find_mask(Photo(image, (100, 20, 150, 50), mask), crop, RULE, "one") is mask
    with pytest.raises(Rejected, match="box lies outside the image or crop"):
        find_mask(Photo(image, (0, 10, 40, 60), mask), crop, RULE, "one")
    with pytest.raises(Rejected, match="box covers too much"):
        find_mask(Photo(image, (90, 0, 210, 100), mask), crop, RULE, "one")
