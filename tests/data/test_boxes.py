"""The tile rule against a slow and literal re-statement of it, and the crop against painted boxes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_tiles import naive_tiles

from in9.data.boxes import Crop, area, canvas_rows_and_columns, intersection, strip, tile_image
from in9.data.source import Rejected


@st.composite
def images_and_boxes(draw, square=None):
    """A random image whose pixels all differ, and a box in it that is not empty."""
    width = square or draw(st.integers(1, 14))
    height = square or draw(st.integers(1, 14))
    left, right = sorted(draw(st.lists(st.integers(0, width), min_size=2, max_size=2, unique=True)))
    top, bottom = sorted(draw(st.lists(st.integers(0, height), min_size=2, max_size=2, unique=True)))
    order = np.random.default_rng(draw(st.integers(0, 2**32 - 1))).permutation(width * height)
    image = np.stack([order % 256, order // 256, order * 0 + 7], axis=-1).astype(np.uint8)
    return image.reshape(height, width, 3), (left, top, right, bottom)


@given(images_and_boxes())
@settings(max_examples=150, deadline=None)
def test_tiles_equal_the_naive_rule(case):
    image, box = case
    before = image.copy()
    expected = naive_tiles(image.tolist(), box)
    if expected is None:
        with pytest.raises(Rejected, match="no background strip"):
            tile_image(image, box)
    else:
        result = tile_image(image, box)
        assert result.dtype == np.uint8 and result.tolist() == expected
    assert np.array_equal(image, before)


@given(images_and_boxes(), st.integers(0, 255))
@settings(max_examples=60, deadline=None)
def test_no_pixel_of_the_box_reaches_its_tiles(case, value):
    image, box = case
    other = image.copy()
    other[box[1] : box[3], box[0] : box[2]] = value
    if area(box) == image.shape[0] * image.shape[1]:
        return
    assert np.array_equal(tile_image(image, box), tile_image(other, box))


@given(images_and_boxes())
@settings(max_examples=60, deadline=None)
def test_the_strip_is_beside_the_box_and_the_canvas_stays_in_it(case):
    image, box = case
    height, width = image.shape[:2]
    if area(box) == height * width:
        return
    chosen = strip(box, width, height)
    assert area(chosen) > 0 and area(intersection(chosen, box)) == 0
    rows, columns = canvas_rows_and_columns(box, width, height)
    assert rows.min() >= chosen[1] and rows.max() < chosen[3]
    assert columns.min() >= chosen[0] and columns.max() < chosen[2]


@pytest.mark.parametrize(
    ("box", "size", "expected"),
    [
        ((4, 3, 7, 7), (10, 10), (0, 0, 4, 10)),  # left 4 against above 3 and below 3: columns are strictly larger
        ((3, 3, 7, 7), (10, 10), (0, 7, 10, 10)),  # all four equal: rows win the tie, and below wins over above
        ((3, 4, 7, 7), (10, 10), (0, 0, 10, 4)),  # above is strictly larger than below
        ((3, 3, 6, 7), (10, 10), (6, 0, 10, 10)),  # right is strictly larger than left
        ((4, 2, 6, 8), (10, 10), (6, 0, 10, 10)),  # left and right equal: right wins
        ((3, 2, 12, 10), (12, 12), (0, 0, 3, 12)),  # left 3 x 12 beats above and below, 2 x 12 each
        ((2, 1, 10, 6), (12, 6), (0, 0, 12, 1)),  # 2 x 6 columns equal 1 x 12 rows: rows win
        ((3, 1, 10, 6), (12, 6), (0, 0, 3, 6)),  # 3 x 6 columns against 1 x 12 rows: columns win
    ],
)
def test_which_strip_wins(box, size, expected):
    assert strip(box, *size) == expected


def test_a_box_over_the_whole_image_leaves_no_strip():
    with pytest.raises(Rejected, match="box leaves no background strip"):
        strip((0, 0, 10, 8), 10, 8)
    assert strip((0, 0, 10, 7), 10, 8) == (0, 7, 10, 8)


@pytest.mark.parametrize(
    ("width", "height", "resized", "window"),
    [
        (500, 375, (341, 256), (58, 16, 282, 240)),
        (375, 500, (256, 341), (16, 58, 240, 282)),
        (224, 224, (224, 224), (0, 0, 224, 224)),  # already the right size: nothing is done
        (256, 256, (256, 256), (16, 16, 240, 240)),
        (60, 40, (384, 256), (80, 16, 304, 240)),
        (1200, 224, (1371, 256), (573, 16, 797, 240)),
    ],
)
def test_crop_sizes(width, height, resized, window):
    crop = Crop(width, height, 224)
    assert crop.resized == resized and crop.window == window
    image = np.zeros((height, width, 3), np.uint8)
    assert crop.pixels(image).shape == (224, 224, 3)
    mask = crop.pixels(np.ones((height, width), bool))
    assert mask.shape == (224, 224) and mask.dtype == bool and mask.all()


def test_small_images_are_left_as_they_are():
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    crop = Crop(64, 64, 64)
    assert np.array_equal(crop.pixels(image), image)
    assert crop.box((3, 5, 40, 64)) == (3, 5, 40, 64)


@given(
    st.sampled_from([(500, 375), (375, 500), (300, 900), (640, 240), (256, 256), (120, 90)]),
    st.tuples(st.floats(0, 0.7), st.floats(0, 0.7), st.floats(0.15, 0.9), st.floats(0.15, 0.9)),
)
@settings(max_examples=60, deadline=None)
def test_the_box_moves_with_its_pixels(size, shares):
    width, height = size
    left, top = int(shares[0] * width), int(shares[1] * height)
    box = (left, top, min(width, left + int(shares[2] * width)), min(height, top + int(shares[3] * height)))
    crop = Crop(width, height, 224)
    image = np.zeros((height, width, 3), np.uint8)
    image[box[1] : box[3], box[0] : box[2]] = 255
    mask = crop.pixels(image.any(-1))
    assert np.array_equal(crop.pixels(image).any(-1), mask)
    moved = crop.box(box)
    if area(moved) == 0 or min(moved[2] - moved[0], moved[3] - moved[1]) < 3:
        return  # next to nothing of the box is left in the crop
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    painted = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
    step = max(1, 256 / min(size))  # a nearest neighbour lies within a pixel, of the original or of the result
    assert np.abs(np.subtract(painted, moved)).max() <= step
    assert moved == intersection(moved, (0, 0, 224, 224))


def test_areas_and_intersections():
    assert area((2, 3, 6, 5)) == 8
    assert area((6, 3, 2, 5)) == area((2, 3, 2, 9)) == 0
    assert intersection((0, 0, 5, 5), (3, 2, 9, 4)) == (3, 2, 5, 4)
    assert area(intersection((0, 0, 2, 2), (5, 5, 9, 9))) == 0
