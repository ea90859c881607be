"""The eight variants: what each keeps, what each replaces, and which background a mixed image gets."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_tiles import naive_tiles
from scipy import stats

from in9.data.boxes import tile_image
from in9.data.variants import (
    MIXED,
    VARIANTS,
    Pool,
    check_variants,
    compose,
    draw_backgrounds,
    foreground,
    inside_boxes,
    load_pool,
    tile_images,
)
from in9.errors import In9Error
from in9.taxonomy import NUM_CLASSES


def make_pool(seed=0, count=18, size=9, labels=None):
    """Random pixels, of which many are exactly black, with random boxes and a random mask in each."""
    random = np.random.default_rng(seed)
    images = torch.from_numpy(random.integers(0, 4, (count, 3, size, size), dtype=np.uint8))
    corners = np.sort(np.stack([random.permuted(np.arange(size + 1))[:2] for _ in range(2 * count)]), axis=1)
    ends = corners.reshape(count, 2, 2)  # image, x or y, first or last
    ends[(ends[:, :, 1] - ends[:, :, 0]).prod(1) == size * size, 0, 1] -= 1
    boxes = torch.from_numpy(np.stack([ends[:, 0, 0], ends[:, 1, 0], ends[:, 0, 1], ends[:, 1, 1]], axis=1))
    masks = torch.from_numpy(random.random((count, 1, size, size)) < 0.5) & inside_boxes(boxes, size)
    labels = torch.from_numpy(np.arange(count) % NUM_CLASSES if labels is None else np.asarray(labels))
    return Pool(
        images=images,
        masks=masks,
        tiles=tile_images(images, boxes),
        boxes=boxes,
        labels=labels.to(torch.int64),
        ids=tuple(f"image {index}" for index in range(count)),
        fine=tuple(f"fine {int(label)}" for label in labels),
        accepted=True,
    )


def everything(pool):
    return torch.arange(len(pool))


def in_variant(variant, pool, faithful=False):
    drawn = draw_backgrounds(variant, pool, 0)[0] if variant in MIXED else None
    return compose(variant, pool, everything(pool), drawn, faithful)


pools = st.builds(make_pool, seed=st.integers(0, 2**32 - 1), count=st.integers(9, 12), size=st.integers(2, 11))
quick = settings(max_examples=40, deadline=None)


@given(pools)
@quick
def test_tiles_of_a_batch_equal_the_naive_rule(pool):
    for index in range(len(pool)):
        image = pool.images[index].permute(1, 2, 0)
        box = tuple(pool.boxes[index].tolist())
        expected = naive_tiles(image.tolist(), box)
        assert pool.tiles[index].permute(1, 2, 0).tolist() == expected
        assert tile_image(image.numpy(), box).tolist() == expected


@given(pools, st.integers(0, 255))
@quick
def test_nothing_of_the_box_is_left_in_only_bg_t(pool, value):
    inside = inside_boxes(pool.boxes, pool.images.shape[-1])
    painted = pool.images.masked_fill(inside, value)
    assert torch.equal(tile_images(painted, pool.boxes), pool.tiles)
    assert torch.equal(pool.tiles.masked_fill(inside, 0), pool.images.masked_fill(inside, 0))


@given(pools)
@quick
def test_each_variant_keeps_and_replaces_what_it_should(pool):
    inside = inside_boxes(pool.boxes, pool.images.shape[-1])
    assert torch.equal(in_variant("original", pool), pool.images)
    assert torch.equal(in_variant("only_bg_t", pool), pool.tiles)
    only_bg_b = in_variant("only_bg_b", pool)
    assert torch.equal(only_bg_b, pool.images * ~inside)
    only_fg, no_fg = in_variant("only_fg", pool), in_variant("no_fg", pool)
    assert torch.equal(only_fg + no_fg, pool.images)
    assert not only_fg.masked_select(~pool.masks.expand_as(only_fg)).any()
    assert not no_fg.masked_select(pool.masks.expand_as(no_fg)).any()


@given(pools, st.sampled_from(MIXED))
@quick
def test_a_mixed_image_is_its_foreground_on_the_tiles_of_another(pool, variant):
    drawn, classes = draw_backgrounds(variant, pool, 3)
    result = compose(variant, pool, everything(pool), drawn)
    assert torch.equal(pool.labels[drawn], classes)
    for index, other in enumerate(drawn.tolist()):
        mask = pool.masks[index].expand(3, -1, -1)
        assert torch.equal(result[index][mask], pool.images[index][mask])
        assert torch.equal(result[index][~mask], pool.tiles[other][~mask])


@given(pools, st.sampled_from(MIXED))
@quick
def test_faithful_leaks_at_black_object_pixels_and_nowhere_else(pool, variant):
    drawn = draw_backgrounds(variant, pool, 3)[0]
    ours = compose(variant, pool, everything(pool), drawn)
    theirs = compose(variant, pool, everything(pool), drawn, faithful=True)
    leak = pool.masks & (pool.images == 0).all(1, keepdim=True)
    wide = leak.expand_as(ours)
    assert torch.equal(theirs[~wide], ours[~wide])
    assert torch.equal(theirs[wide], pool.tiles[drawn][wide]) and not ours[wide].any()
    assert torch.equal(foreground(pool.images, pool.masks, faithful=True), pool.masks & ~leak)
    assert torch.equal(foreground(pool.images, pool.masks), pool.masks)


@given(pools, st.sampled_from(VARIANTS), st.booleans())
@quick
def test_type_and_shape_are_kept_and_the_pool_is_left_alone(pool, variant, faithful):
    before = [tensor.clone() for tensor in (pool.images, pool.masks, pool.tiles, pool.boxes)]
    result = in_variant(variant, pool, faithful)
    assert result.dtype == torch.uint8 and result.shape == pool.images.shape
    result += 1
    after = (pool.images, pool.masks, pool.tiles, pool.boxes)
    assert all(map(torch.equal, before, after))


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_few_rows_are_the_same_as_all_rows(variant):
    pool = make_pool()
    rows = torch.tensor([4, 0, 4, 17])
    drawn = draw_backgrounds(variant, pool, 0)[0] if variant in MIXED else None
    few = compose(variant, pool, rows, None if drawn is None else drawn[rows])
    assert torch.equal(few, in_variant(variant, pool)[rows])


def test_inside_boxes_excludes_the_far_ends():
    inside = inside_boxes(torch.tensor([[1, 0, 3, 2], [2, 2, 2, 4]]), 4)
    assert inside[0, 0].int().tolist() == [[0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    assert not inside[1].any()


def test_class_rules():
    pool = make_pool(count=45)
    assert torch.equal(draw_backgrounds("mixed_same", pool, 0)[1], pool.labels)
    following = draw_backgrounds("mixed_next", pool, 0)[1]
    assert torch.equal(following, (pool.labels + 1) % NUM_CLASSES)
    assert set(following[pool.labels == 8].tolist()) == {0}  # fish is followed by dog


def test_mixed_rand_is_uniform_over_all_nine_whatever_the_class_sizes():
    labels = np.repeat(np.arange(NUM_CLASSES), [900, 20, 20, 20, 20, 20, 20, 20, 500])
    pool = make_pool(count=len(labels), size=2, labels=labels)
    drawn, classes = draw_backgrounds("mixed_rand", pool, 0)
    assert torch.equal(pool.labels[drawn], classes)
    assert stats.chisquare(np.bincount(classes.numpy(), minlength=NUM_CLASSES)).pvalue > 0.001
    table = np.zeros((2, NUM_CLASSES))  # the own class says nothing about the drawn one
    for row, label in enumerate((0, 8)):
        table[row] = np.bincount(classes[pool.labels == label].numpy(), minlength=NUM_CLASSES)
    assert stats.chi2_contingency(table).pvalue > 0.001
    assert (classes == pool.labels).any()  # own class included


@pytest.mark.parametrize("variant", MIXED)
def test_images_of_a_class_are_drawn_uniformly_with_replacement_own_included(variant):
    pool = make_pool(count=90, size=2)
    counts, own = np.zeros(len(pool)), 0
    for seed in range(100):
        drawn = draw_backgrounds(variant, pool, seed)[0]
        counts += np.bincount(drawn.numpy(), minlength=len(pool))
        own += int((drawn == everything(pool)).sum())
    assert stats.chisquare(counts).pvalue > 0.001
    expected = {"mixed_same": 9000 / 10, "mixed_rand": 9000 / 90, "mixed_next": 0}[variant]
    assert abs(own - expected) <= 4 * max(expected, 0.0) ** 0.5


@pytest.mark.parametrize("variant", MIXED)
def test_draws_depend_on_seed_and_purpose_and_id_alone(variant):
    pool = make_pool(count=180, size=2)
    drawn, classes = draw_backgrounds(variant, pool, 0)
    torch.rand(7)
    assert torch.equal(drawn, draw_backgrounds(variant, pool, 0)[0])
    for other in (draw_backgrounds(variant, pool, 1), draw_backgrounds(variant, pool, 0, "epoch 3")):
        assert (other[0] != drawn).float().mean() > 0.5
        if variant == "mixed_rand":
            assert (other[1] != classes).float().mean() > 0.5
    swapped = Pool(**{**vars(pool), "ids": (*pool.ids[9:18], *pool.ids[:9], *pool.ids[18:])})
    again = draw_backgrounds(variant, swapped, 0)[0]
    assert torch.equal(again[18:], drawn[18:])  # the others' ids make no difference
    assert torch.equal(again[:9], drawn[9:18]) and torch.equal(again[9:18], drawn[:9])  # labels repeat every nine


def test_variants_draw_apart_from_each_other():
    pool = make_pool(count=180, size=2)
    same, rand = draw_backgrounds("mixed_same", pool, 0)[0], draw_backgrounds("mixed_rand", pool, 0)[0]
    assert (same != rand).float().mean() > 0.8


def test_errors():
    pool = make_pool()
    with pytest.raises(In9Error) as caught:
        compose("mixed_rnd", pool, everything(pool))
    assert "'mixed_rand'?" in str(caught.value) and all(name in str(caught.value) for name in VARIANTS)
    with pytest.raises(In9Error) as caught:
        draw_backgrounds("only_fg", pool, 0)
    assert all(name in str(caught.value) for name in MIXED)
    for variant in MIXED:
        with pytest.raises(ValueError, match="needs backgrounds"):
            compose(variant, pool, everything(pool))
    with pytest.raises(ValueError, match="takes no backgrounds"):
        compose("only_fg", pool, everything(pool), everything(pool))
    unmasked = Pool(**{**vars(pool), "accepted": False})
    assert torch.equal(compose("original", unmasked, everything(pool)), pool.images)
    with pytest.raises(ValueError, match="accepted=True"):
        compose("no_fg", unmasked, everything(pool))
    check_variants([*VARIANTS, "in9l"], also=["in9l"])
    with pytest.raises(In9Error, match="no variant 'in9l'"):
        check_variants(["original", "in9l"])


@pytest.mark.parametrize("variant", MIXED)
def test_a_class_without_a_background_is_named(variant):
    labels = np.arange(90) % (NUM_CLASSES - 1)  # no fish
    pool = make_pool(count=90, size=2, labels=labels)
    if variant == "mixed_same":
        assert torch.equal(draw_backgrounds(variant, pool, 0)[1], pool.labels)
        return
    with pytest.raises(In9Error, match="no background of fish"):
        draw_backgrounds(variant, pool, 0)


def test_load_pool(dataset):
    pool = load_pool(dataset, "test")
    rows = dataset.indices("test")
    assert len(pool) == len(rows) == 36 and pool.accepted and pool.device.type == "cpu"
    assert pool.images.dtype == torch.uint8 and pool.images.shape == (36, 3, 32, 32) and pool.images.is_contiguous()
    assert np.array_equal(pool.images.permute(0, 2, 3, 1).numpy(), dataset.images[rows])
    assert np.array_equal(pool.masks[:, 0].numpy(), dataset.masks[rows])
    table = dataset.table.iloc[rows]
    assert pool.ids == tuple(table["id"]) and pool.labels.tolist() == table["label"].tolist()
    assert pool.fine == tuple(table["fine"])
    assert pool.boxes.tolist() == table[["left", "top", "right", "bottom"]].to_numpy().tolist()
    for index in range(0, len(pool), 5):
        box = tuple(pool.boxes[index].tolist())
        expected = tile_image(dataset.images[rows[index]], box)
        assert np.array_equal(pool.tiles[index].permute(1, 2, 0).numpy(), expected)


def test_load_pool_with_a_limit(dataset):
    few = load_pool(dataset, "train", limit=2)
    assert np.bincount(few.labels.numpy()).tolist() == [2] * NUM_CLASSES
    whole = load_pool(dataset, "train", accepted=False)
    assert not whole.accepted and len(whole) == 36
    with pytest.raises(In9Error, match="no split 'tset'"):
        load_pool(dataset, "tset")
