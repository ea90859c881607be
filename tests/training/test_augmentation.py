"""Augmentation: what it may change, what it may not, and where its draws come from."""

from __future__ import annotations

import pytest
import torch

from in9.training.augmentation import GREY, LIGHTING_VALUES, LIGHTING_VECTORS, Augmentation

NOTHING = Augmentation(smallest_crop=1.0, jitter=0.0, lighting=0.0, flip=False)


def draws(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise_images(count: int = 8, size: int = 16) -> torch.Tensor:
    return torch.rand(count, 3, size, size, generator=draws(99))


def ramps(count: int, size: int = 64) -> torch.Tensor:
    """Images whose first channel grows with the column and whose second grows with the row, at 1 over the image."""
    ruler = torch.linspace(0.0, 1.0, size)
    across, down = ruler.expand(size, size), ruler[:, None].expand(size, size)
    return torch.stack([across, down, torch.full_like(across, 0.5)]).expand(count, 3, size, size).clone()


@pytest.mark.parametrize("shape", [(1, 3, 8, 8), (5, 3, 32, 32), (3, 3, 7, 7)])
def test_shape_type_and_range(shape: tuple[int, ...]) -> None:
    images = torch.rand(shape, generator=draws(1)).round()  # blacks and whites, so that jitter meets both ends
    varied = Augmentation(jitter=0.9, lighting=2.0)(images, draws())
    assert varied.shape == shape and varied.dtype == torch.float32
    assert varied.min() >= 0 and varied.max() <= 1
    assert varied.isfinite().all()


def test_input_is_not_changed() -> None:
    for augmentation in (Augmentation(), NOTHING):
        images = noise_images()
        before = images.clone()
        augmentation(images, draws())
        assert torch.equal(images, before)


def test_draws_come_from_the_generator_alone() -> None:
    images = noise_images()
    first = Augmentation()(images, draws(3))
    torch.manual_seed(1234)
    before = torch.get_rng_state()
    second = Augmentation()(images, draws(3))
    assert torch.equal(first, second)
    assert torch.equal(before, torch.get_rng_state())
    assert not torch.equal(first, Augmentation()(images, draws(4)))


def test_draws_differ_from_image_to_image() -> None:
    same = noise_images(1).expand(4, -1, -1, -1)
    varied = Augmentation()(same, draws())
    for one in range(1, 4):
        assert not torch.allclose(varied[0], varied[one], atol=1e-3)


def test_without_any_strength_images_stay_as_they_are() -> None:
    images = noise_images()
    for seed in range(5):
        torch.testing.assert_close(NOTHING(images, draws(seed)), images, atol=1e-5, rtol=0)


def test_about_half_are_flipped_and_the_rest_are_not_touched() -> None:
    images = noise_images(1, 8).expand(1000, -1, -1, -1)
    varied = Augmentation(smallest_crop=1.0, jitter=0.0, lighting=0.0)(images, draws())
    kept = (varied - images).abs().amax((1, 2, 3)) < 1e-5
    mirrored = (varied - images.flip(3)).abs().amax((1, 2, 3)) < 1e-5
    assert (kept ^ mirrored).all()
    assert 440 <= int(mirrored.sum()) <= 560


def crop_sizes(smallest: float, count: int = 600) -> tuple[torch.Tensor, torch.Tensor]:
    """Width and height of the crops as shares of the image, read off the slopes of ramps.

    Reflection at the border does not matter: the slope is taken in the middle.
    """
    size = 64
    varied = Augmentation(smallest_crop=smallest, jitter=0.0, lighting=0.0, flip=False)(ramps(count), draws())
    middle = slice(size // 2 - 4, size // 2 + 4)
    across = varied[:, 0, :, middle].mean(1)
    down = varied[:, 1, middle, :].mean(2)
    step = 7 / (size - 1)
    return (across[:, -1] - across[:, 0]) / step, (down[:, -1] - down[:, 0]) / step


@pytest.mark.parametrize("smallest", [0.08, 0.35, 0.5, 0.9])
def test_crops_have_the_area_and_the_ratio_that_is_stated(smallest: float) -> None:
    width, height = crop_sizes(smallest)
    area, ratio = width * height, width / height
    tolerance = 0.02
    assert area.min() >= smallest - tolerance and area.max() <= 1 + tolerance
    assert area.mean() == pytest.approx((1 + smallest) / 2, abs=0.03)
    assert ratio.min() >= 3 / 4 - tolerance and ratio.max() <= 4 / 3 + tolerance
    assert ratio.log().mean() == pytest.approx(0, abs=0.03)


def test_crops_lie_inside_the_image() -> None:
    # Where a crop stuck out, reflection would repeat values: a ramp would stop growing.
    varied = Augmentation(jitter=0.0, lighting=0.0, flip=False)(ramps(400), draws())
    across = varied[:, 0].mean(1)
    assert ((across[:, 2:-1] - across[:, 1:-2]) > 0).all()


def test_jitter_alone_keeps_brightness_within_its_limit() -> None:
    grey = torch.full((500, 3, 4, 4), 0.5)
    varied = Augmentation(smallest_crop=1.0, jitter=0.1, lighting=0.0, flip=False)(grey, draws())
    level = varied.mean((1, 2, 3))
    assert level.min() >= 0.45 - 1e-5 and level.max() <= 0.55 + 1e-5
    assert level.std() > 0.02


def test_saturation_keeps_grey_images_grey() -> None:
    grey = torch.rand(6, 1, 8, 8, generator=draws(5)).expand(-1, 3, -1, -1).contiguous()
    varied = Augmentation(smallest_crop=1.0, jitter=0.3, lighting=0.0, flip=False)(grey, draws())
    torch.testing.assert_close(varied[:, 0], varied[:, 1], atol=1e-5, rtol=0)
    torch.testing.assert_close(varied[:, 0], varied[:, 2], atol=1e-5, rtol=0)


def test_lighting_adds_one_colour_to_each_image_with_the_stated_spread() -> None:
    strength = 0.05
    grey = torch.full((4000, 3, 2, 2), 0.5)
    shift = Augmentation(smallest_crop=1.0, jitter=0.0, lighting=strength, flip=False)(grey, draws()) - grey
    assert shift.flatten(2).std(2).max() < 1e-6
    vectors = torch.tensor(LIGHTING_VECTORS) * torch.tensor(LIGHTING_VALUES)
    expected = strength**2 * (vectors @ vectors.T)
    torch.testing.assert_close(torch.cov(shift[:, :, 0, 0].T), expected, atol=2e-5, rtol=0)


def test_rotation_turns_a_crop_around_its_middle_by_up_to_what_is_stated() -> None:
    images = ramps(800)
    varied = Augmentation(smallest_crop=1.0, jitter=0.0, lighting=0.0, flip=False, rotation=20)(images, draws())
    size, middle = 64, slice(28, 36)
    across, down = (varied[:, :, middle, middle].diff(dim=axis).mean((2, 3)) * (size - 1) for axis in (3, 2))
    angle = torch.rad2deg(torch.atan2(across[:, 1], across[:, 0]))
    assert angle.abs().max() <= 20.1 and angle.abs().max() > 19 and abs(float(angle.mean())) < 1.5
    torch.testing.assert_close(torch.rad2deg(torch.atan2(-down[:, 0], down[:, 1])), angle, atol=0.1, rtol=0)
    length = across[:, :2].norm(dim=1)  # turned, not stretched
    torch.testing.assert_close(length, torch.ones_like(length), atol=0.01, rtol=0)
    torch.testing.assert_close(
        varied[:, :2, 31:33, 31:33].mean((2, 3)), torch.full((800, 2), 0.5), atol=0.01, rtol=0
    )  # the middle stays where it was


def test_erasing_paints_one_square_grey_and_leaves_the_rest() -> None:
    images = torch.ones(600, 3, 32, 32)
    varied = Augmentation(smallest_crop=1.0, jitter=0.0, lighting=0.0, flip=False, erasing=0.5)(images, draws())
    erased = varied[:, 0] == 0.5
    torch.testing.assert_close(varied, torch.where(erased[:, None], 0.5, 1.0).expand_as(varied))
    rows, columns = erased.any(2).sum(1), erased.any(1).sum(1)
    assert torch.equal(erased.sum((1, 2)), rows * columns)  # a rectangle, and whole ones are square
    assert rows.max() <= 17 and rows.max() >= 15
    inside = (~erased[:, 0].any(1)) & (~erased[:, -1].any(1)) & (~erased[:, :, 0].any(1)) & (~erased[:, :, -1].any(1))
    assert (rows - columns).abs()[inside].max() <= 1
    assert erased.float().mean((0, 1)).min() > 0.02  # everywhere


def test_without_turn_and_erasing_draws_are_as_they_were() -> None:
    here, there = draws(7), draws(7)
    Augmentation()(noise_images(), here)
    torch.rand(8, 9, generator=there)
    torch.randn(8, 3, generator=there)
    assert torch.equal(here.get_state(), there.get_state())


@pytest.mark.parametrize("device", ["meta", "cuda"])
def test_draws_do_not_depend_on_the_device(device: str) -> None:
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("needs a GPU")
    images = noise_images()
    here, there = draws(7), draws(7)
    expected = Augmentation(rotation=10, erasing=0.3)(images, here)
    varied = Augmentation(rotation=10, erasing=0.3)(images.to(device), there)
    assert varied.device.type == device and varied.shape == expected.shape
    assert torch.equal(here.get_state(), there.get_state())
    if device == "cuda":
        torch.testing.assert_close(varied.cpu(), expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize(("size", "augmentation"), [(32, Augmentation()), (7, Augmentation(0.5, 0.4, 0.3, flip=False))])
def test_the_fast_path_agrees_with_the_plain_one(size: int, augmentation: Augmentation) -> None:
    """Against torch's own affine grid, mirrored at the border, and one change of colour after the other."""
    images, strength = noise_images(200, size), augmentation.jitter
    generator = draws(11)
    random = torch.rand(len(images), 9, generator=generator).double()
    noise = torch.randn(len(images), 3, generator=generator).double() * augmentation.lighting
    area = augmentation.smallest_crop + (1 - augmentation.smallest_crop) * random[:, 0]
    ratio = ((random[:, 1] * 2 - 1) * torch.tensor(4 / 3).log()).exp().clamp(area, 1 / area)
    width, height = (area * ratio).sqrt(), (area / ratio).sqrt()
    flipped = (random[:, 4] < 0.5) & augmentation.flip
    transform = torch.zeros(len(images), 2, 3, dtype=torch.float64)
    transform[:, 0, 0], transform[:, 1, 1] = torch.where(flipped, -width, width), height
    transform[:, 0, 2] = (random[:, 2] * 2 - 1) * (1 - width)
    transform[:, 1, 2] = (random[:, 3] * 2 - 1) * (1 - height)
    grid = torch.nn.functional.affine_grid(transform, list(images.shape), align_corners=False)
    plain = torch.nn.functional.grid_sample(images.double(), grid, padding_mode="reflection", align_corners=False)
    weights = torch.tensor(GREY, dtype=torch.float64)[:, None, None]
    brightness, contrast, saturation = (1 + strength * (2 * random[:, 5:8, None, None] - 1)).unbind(1)
    plain = plain * brightness[:, None]
    level = (plain * weights).sum(1, keepdim=True).mean((2, 3), keepdim=True)
    plain = level + (plain - level) * contrast[:, None]
    grey = (plain * weights).sum(1, keepdim=True)
    plain = grey + (plain - grey) * saturation[:, None]
    lighting = noise @ (torch.tensor(LIGHTING_VECTORS) * torch.tensor(LIGHTING_VALUES)).double().T
    expected = (plain + lighting[:, :, None, None]).clamp(0, 1)
    torch.testing.assert_close(augmentation(images, draws(11)).double(), expected, atol=2e-5, rtol=0)
