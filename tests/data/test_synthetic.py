"""The control set: what its dial changes and what it must leave alone."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from in9 import seeds
from in9.data.sources import open_source
from in9.data.sources.shapes import SHAPES, paint_object
from in9.data.sources.synthetic import SUBCLASSES, Synthetic
from in9.data.sources.textures import TEXTURES
from in9.errors import In9Error
from in9.taxonomy import CLASS_NAMES, NUM_CLASSES


@pytest.fixture(scope="module")
def painted():
    """Twelve images of each class, three of each sub-class, at rho = 0.5."""
    source = Synthetic(rho=0.5, per_class=12)
    return [(example, source.read(example)) for example in source.examples()]


def test_examples_are_balanced_and_named():
    examples = Synthetic(per_class=8).examples()
    assert len({example.id for example in examples}) == len(examples) == 8 * NUM_CLASSES
    assert (examples[5].id, examples[5].label, examples[5].fine) == ("dog_00005", 0, "dog/1")
    assert all(example.id.startswith(CLASS_NAMES[example.label]) and example.split is None for example in examples)
    _, counts = np.unique([example.fine for example in examples], return_counts=True)
    assert counts.tolist() == [2] * NUM_CLASSES * SUBCLASSES


def test_tables_cover_the_nine_classes_in_order():
    assert tuple(SHAPES) == CLASS_NAMES
    assert all(len(kinds) == SUBCLASSES for kinds in SHAPES.values())
    assert len(TEXTURES) == NUM_CLASSES


def test_same_arguments_same_bytes(painted):
    source = open_source("synthetic", rho=0.5, per_class=12)
    for example, photo in painted[::-11]:
        again = source.read(example)
        assert again.image.tobytes() == photo.image.tobytes()
        assert again.mask.tobytes() == photo.mask.tobytes()
        assert again.box == photo.box


def test_seed_changes_the_image(painted):
    example, photo = painted[0]
    assert not np.array_equal(Synthetic(rho=0.5, seed=1).read(example).image, photo.image)


def test_image_does_not_depend_on_per_class(painted):
    more = Synthetic(rho=0.5, per_class=40)
    by_id = {example.id: example for example in more.examples()}
    for example, photo in painted[::13]:
        assert by_id[example.id] == example
        assert np.array_equal(more.read(by_id[example.id]).image, photo.image)


def test_raising_rho_moves_only_backgrounds_and_only_to_the_own_texture(painted):
    before, after = Synthetic(rho=0.5), Synthetic(rho=0.8)
    moved = 0
    for example, photo in painted:
        old, new = before.texture_of(example), after.texture_of(example)
        other = after.read(example)
        assert np.array_equal(photo.mask, other.mask) and photo.box == other.box
        if old == new:
            assert np.array_equal(photo.image, other.image)
            continue
        moved += 1
        assert new == example.label
        assert not np.array_equal(photo.image[~photo.mask], other.image[~photo.mask])
        objects = seeds.generator(0, "synthetic/object", example.id)
        _, coverage, _ = paint_object(objects, CLASS_NAMES[example.label], int(example.fine[-1]), 64)
        inner = _eroded(coverage == 1, 4)  # beyond the reach of the blur; there only the last bit of a sum may differ
        assert np.abs(photo.image[inner].astype(int) - other.image[inner]).max(initial=0) <= 1
    assert 10 < moved < 50  # expected: 0.3 * 8/9 * 108


def test_rho_zero_says_nothing_about_the_class():
    source = Synthetic(rho=0.0, per_class=223)
    table = np.zeros((NUM_CLASSES, NUM_CLASSES))
    for example in source.examples():
        table[example.label, source.texture_of(example)] += 1
    assert stats.chi2_contingency(table).pvalue > 0.001
    assert stats.chisquare(table.sum(0)).pvalue > 0.001


@pytest.mark.parametrize("rho", [0.3, 0.8])
def test_rho_is_the_share_of_own_textures(rho):
    source = Synthetic(rho=rho, per_class=250)
    own = np.mean([source.texture_of(example) == example.label for example in source.examples()])
    assert own == pytest.approx(rho + (1 - rho) / NUM_CLASSES, abs=0.04)


def test_rho_one_is_always_the_own_texture():
    source = Synthetic(rho=1)
    assert all(source.texture_of(example) == example.label for example in source.examples())


def test_box_is_tight_and_inside_the_margin(painted):
    for _, photo in painted:
        left, top, right, bottom = photo.box
        assert photo.mask[top:bottom, left:right].sum() == photo.mask.sum()
        assert photo.mask[top, :].any() and photo.mask[bottom - 1, :].any()
        assert photo.mask[:, left].any() and photo.mask[:, right - 1].any()
        assert min(left, top, 64 - right, 64 - bottom) >= 2


def test_box_and_mask_are_neither_tiny_nor_huge(painted):
    for example, photo in painted:
        left, top, right, bottom = photo.box
        area = (right - left) * (bottom - top)
        assert 0.07 <= area / 64**2 <= 0.47, example.id
        assert 0.2 <= photo.mask.sum() / area <= 0.95, example.id


def test_object_stands_out_from_what_surrounds_it(painted):
    difference = []
    for _, photo in painted:
        ring = ~_eroded(~photo.mask, 4) & _eroded(~photo.mask, 1)
        inside, outside = photo.image[photo.mask].astype(float), photo.image[ring].astype(float)
        difference.append(np.abs(inside.mean(0) - outside.mean(0)).max())
    assert np.median(difference) > 40 and np.quantile(difference, 0.05) > 10


@pytest.mark.parametrize("size", [32, 64, 96, 256])
def test_image_sizes(size):
    source = Synthetic(image_size=size, per_class=2)
    for example in source.examples()[:: 2 if size < 256 else 9]:
        photo = source.read(example)
        assert photo.image.shape == (size, size, 3) and photo.image.dtype == np.uint8
        assert photo.mask.shape == (size, size) and photo.mask.dtype == bool
        left, top, right, bottom = photo.box
        assert min(left, top, size - right, size - bottom) >= 2


def test_settings_are_plain_and_complete():
    settings = Synthetic(rho=np.float64(1), per_class=np.int64(5)).settings()
    assert settings == {"rho": 1.0, "per_class": 5, "image_size": 64, "seed": 0}
    assert [type(value) for value in settings.values()] == [float, int, int, int]
    assert Synthetic(**settings).settings() == settings


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("rho", -0.1, "from 0 to 1"),
        ("rho", 1.01, "from 0 to 1"),
        ("rho", float("nan"), "from 0 to 1"),
        ("rho", "much", "from 0 to 1"),
        ("rho", True, "from 0 to 1"),
        ("per_class", 0, "1 or more"),
        ("per_class", 2.5, "1 or more"),
        ("image_size", 31, "from 32 to 256"),
        ("image_size", 257, "from 32 to 256"),
        ("seed", "zero", "whole number"),
    ],
)
def test_a_bad_option_is_named_with_its_range(option, value, says):
    with pytest.raises(In9Error) as caught:
        Synthetic(**{option: value})
    assert f"{option}={value!r}" in str(caught.value) and says in str(caught.value)


def test_textures_can_be_told_apart():
    """A nearest-centroid rule on six plain statistics finds the texture far more often than one time in nine."""
    features = np.array([[_statistics(texture, f"{n}") for n in range(24)] for texture in TEXTURES])
    spread = features.std(axis=(0, 1))
    centroids = features[:, :12].mean(1) / spread
    away = np.linalg.norm(features[:, 12:, None] / spread - centroids, axis=-1)
    right = away.argmin(-1) == np.arange(NUM_CLASSES)[:, None]
    assert right.mean() > 0.6 and right.mean(1).min() > 0.25


def _statistics(texture, identifier):
    image = texture(seeds.generator(0, "test/texture", identifier), 64)
    grey = image.mean(-1)
    across, down = np.abs(np.diff(grey, axis=1)).mean(), np.abs(np.diff(grey, axis=0)).mean()
    red, green, blue = image.mean((0, 1))
    return [red - green, green - blue, across, down, np.log(across / down), grey.std()]


def _eroded(mask, times):
    for _ in range(times):
        inner = np.zeros_like(mask)
        inner[1:-1, 1:-1] = mask[1:-1, 1:-1] & mask[:-2, 1:-1] & mask[2:, 1:-1] & mask[1:-1, :-2] & mask[1:-1, 2:]
        mask = inner
    return mask
