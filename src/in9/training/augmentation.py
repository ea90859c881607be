"""Training augmentation on whole batches, on any device (paper, appendix B; settings of the authors' library).

Random resized crop, horizontal flip, colour jitter (brightness, contrast, saturation) and AlexNet's lighting noise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from in9.errors import In9Error

# Principal components of ImageNet's RGB values, as AlexNet introduced them: eigenvalues, and eigenvectors in columns.
LIGHTING_VALUES = (0.2175, 0.0188, 0.0045)
LIGHTING_VECTORS = ((-0.5675, 0.7192, 0.4009), (-0.5808, -0.0045, -0.8140), (-0.5836, -0.6948, 0.4203))
GREY = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class Augmentation:
    """How strongly training images are varied; the defaults are the paper's.

    ``smallest_crop`` is the smallest share of the image's area that a crop may have, ``jitter`` the largest relative
    change of brightness, contrast and saturation, ``lighting`` the standard deviation of the lighting noise. The paper
    has neither ``rotation``, the largest turn of a crop in degrees, nor ``erasing``: of each image a square is painted
    grey, whose side is up to this share of the image's (Zhong et al., 2020).
    """

    smallest_crop: float = 0.08
    jitter: float = 0.1
    lighting: float = 0.05
    flip: bool = True
    rotation: float = 0.0
    erasing: float = 0.0

    def __post_init__(self) -> None:
        for name, lowest, highest in (
            ("smallest_crop", 1e-6, 1),
            ("jitter", 0, 1),
            ("lighting", 0, 10),
            ("rotation", 0, 180),
            ("erasing", 0, 1),
        ):
            if not lowest <= getattr(self, name) <= highest:
                raise In9Error(f"{name} of an augmentation is {lowest:g} to {highest}; got {getattr(self, name):g}.")

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Vary a batch: float32 [B, 3, S, S] in [0, 1] -> the same shape, values in [0, 1].

        ``generator`` is a CPU generator; all draws come from it, so that every device sees the same ones.
        """
        count = len(images)
        draws = torch.rand(count, 9, generator=generator)
        noise = torch.randn(count, 3, generator=generator) * self.lighting
        vectors = torch.tensor(LIGHTING_VECTORS) * torch.tensor(LIGHTING_VALUES)
        square = torch.rand(count, 3, generator=generator) if self.erasing else torch.zeros(count, 3)
        small = torch.cat([draws, noise @ vectors.T, square, torch.tensor([GREY]).expand(count, 3)], 1)
        # All at once and from pinned memory, so that a GPU is not waited for.
        small = (small.pin_memory() if images.is_cuda else small).to(images.device, non_blocking=True)
        crop, colour, turn, lighting, square, grey = small.split([5, 3, 1, 3, 3, 3], 1)
        images = self._colour(self._crop(images, crop, turn[:, 0]), colour, lighting, grey[0])
        return self._erase(images, square) if self.erasing else images

    def _crop(self, images: Tensor, draws: Tensor, turn: Tensor) -> Tensor:
        """Crop a share of the area at an aspect ratio of 3/4 to 4/3 and resize it back, bilinear; flip half of them.

        A crop is turned around its middle; what it then shows beyond the image is the image reflected.
        """
        area = self.smallest_crop + (1 - self.smallest_crop) * draws[:, 0]
        ratio = torch.exp((draws[:, 1] * 2 - 1) * math.log(4 / 3))
        ratio = ratio.clamp(area, 1 / area)  # a large crop is nearly square, or it would stick out of the image
        width, height = (area * ratio).sqrt(), (area / ratio).sqrt()
        mirror = torch.where((draws[:, 4] < 0.5) & self.flip, -1.0, 1.0)
        left, top = (draws[:, 2] * 2 - 1) * (1 - width), (draws[:, 3] * 2 - 1) * (1 - height)
        size = images.shape[-1]
        ruler = (2 * torch.arange(size, device=images.device) + 1) / size - 1  # the middles of pixels, from -1 to 1
        # Columns and rows apart: affine_grid multiplies a matrix for every pixel, at ten times the cost.
        grid = images.new_empty(len(images), size, size, 2)
        across, down = (width * mirror)[:, None] * ruler, height[:, None] * ruler
        if not self.rotation:
            grid[..., 0] = (across + left[:, None])[:, None, :]
            grid[..., 1] = (down + top[:, None])[:, :, None]
            # No crop sticks out by more than half a pixel, where border and reflection are the same.
            return torch.nn.functional.grid_sample(images, grid, padding_mode="border", align_corners=False)
        angle = (2 * turn[:, None] - 1) * math.radians(self.rotation)
        cos, sin = angle.cos(), angle.sin()
        grid[..., 0] = (cos * across + left[:, None])[:, None, :] - (sin * down)[:, :, None]
        grid[..., 1] = (sin * across + top[:, None])[:, None, :] + (cos * down)[:, :, None]
        return torch.nn.functional.grid_sample(images, grid, padding_mode="reflection", align_corners=False)

    def _colour(self, images: Tensor, draws: Tensor, lighting: Tensor, weights: Tensor) -> Tensor:
        """Jitter brightness, then contrast, then saturation; add the lighting, float [B, 3]; clip to [0, 1].

        ``weights`` are those of the three colours in grey, float [3]. Until it is clipped all of that is one affine map
        of the colours for each image, so it is done at once.
        """
        brightness, contrast, saturation = (1 + self.jitter * (2 * draws - 1)).unbind(1)
        mean = images.mean((2, 3)) @ weights * brightness  # of the grey image, which contrast keeps
        mixed = saturation[:, None, None] * torch.eye(3, device=images.device)
        mixed = mixed + (1 - saturation)[:, None, None] * weights
        mixed = mixed * (brightness * contrast)[:, None, None]
        shift = (mean * (1 - contrast))[:, None] + lighting
        return torch.baddbmm(shift[:, :, None], mixed, images.flatten(2)).view_as(images).clamp_(0, 1)

    def _erase(self, images: Tensor, draws: Tensor) -> Tensor:
        """Paint a square of each image grey: its side up to ``erasing`` of the image's, its middle anywhere."""
        side, across, down = draws.unbind(1)
        size = images.shape[-1]
        ruler = (torch.arange(size, device=images.device) + 0.5) / size
        columns = (ruler - across[:, None]).abs() < side[:, None] * self.erasing / 2
        rows = (ruler - down[:, None]).abs() < side[:, None] * self.erasing / 2
        return images.masked_fill_((rows[:, :, None] & columns[:, None, :])[:, None], 0.5)
