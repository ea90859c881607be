"""What the promises of speed are measured against: each the plainest way to do the bare work.

The reference's challenge is restated here in our own words from its description: every foreground starts again at the
first background, every background file is read and decoded again, and the search leaves a foreground at the end of the
first batch that holds an answer other than the foreground's class.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from in9.data.boxes import Crop
from in9.data.masks import find_mask
from in9.data.source import MaskRule, Photo, Rejected
from in9.data.variants import Pool
from in9.evaluation.predictions import exact_convolutions
from in9.training.loop import fresh_classifier
from in9.training.networks import Classifier
from in9.training.recipe import Recipe
from in9.training.steps import autocast

REFERENCE_BATCH = 32
REFERENCE_WORKERS = 8


def network_input(classifier: Classifier, images: Tensor) -> Tensor:
    """What the network itself is given: images uint8 [N, 3, S, S] -> float32, normalised, channels last."""
    normal = ((images.float() / 255).clamp(0, 1) - classifier.mean) / classifier.std
    return normal.contiguous(memory_format=torch.channels_last)


@torch.inference_mode()
def forward(classifier: Classifier, batches: Sequence[Tensor], count: int) -> int:
    """The bare forward pass over about ``count`` images that lie ready in batches; returns how many there were."""
    done = 0
    with exact_convolutions():
        while done < count:
            for batch in batches:
                classifier.network(batch)
                done += len(batch)
                if done >= count:
                    break
    return done


def training_step(recipe: Recipe, pool: Pool) -> Callable[[int], int]:
    """A function that goes forward, back and one step on the same batch again and again, until so many images."""
    device = pool.device
    model = fresh_classifier(recipe).to(device).to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4, momentum=recipe.momentum, weight_decay=recipe.weight_decay)
    images, labels = network_input(model, pool.images[: recipe.batch_size]), pool.labels[: recipe.batch_size]
    loss_of = nn.CrossEntropyLoss()

    def steps(count: int) -> int:
        for _ in range(max(1, count // len(images))):
            with autocast(device):
                outputs = model.network(images)
            loss = loss_of(outputs.float(), labels)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
        return max(1, count // len(images)) * len(images)

    return steps


def decode(path: Path) -> Tensor:
    """An image file: uint8 [3, S, S]."""
    with Image.open(path) as image:
        return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)


class Backgrounds(torch.utils.data.Dataset[Tensor]):
    """Image files as the reference reads them: each decoded whenever it is asked for, float [3, S, S] in [0, 1]."""

    def __init__(self, files: Sequence[Path]) -> None:
        self.files = files

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Tensor:
        return decode(self.files[index]).float().div(255)


@torch.inference_mode()
def reference_challenge(
    classifier: nn.Module, pool: Pool, foregrounds: np.ndarray, files: Sequence[Path], workers: int = 0
) -> tuple[np.ndarray, int]:
    """The reference's challenge: who is vulnerable, bool [F], and how many composites that took.

    ``foregrounds`` are rows of the pool, ``files`` the backgrounds by class; ``workers`` are processes that decode,
    started anew for each foreground. The reference has eight; with none it is many times as fast on few cores, since
    starting them takes longer than a batch, and what they decode ahead is thrown away when the search leaves.
    """
    vulnerable, composites = [], 0
    with exact_convolutions():
        for row in foregrounds.tolist():
            image, mask = pool.images[row].float().div(255), pool.masks[row].float()
            hit = False
            for backgrounds in torch.utils.data.DataLoader(Backgrounds(files), REFERENCE_BATCH, num_workers=workers):
                images = backgrounds.to(pool.device) * (1 - mask) + image * mask
                answers = classifier(images).argmax(1)
                composites += len(images)
                hit = bool((answers != pool.labels[row]).any())
                if hit:
                    break
            vulnerable.append(hit)
    return np.array(vulnerable), composites


def slower_by_workers(classifier: nn.Module, pool: Pool, foregrounds: np.ndarray, files: Sequence[Path]) -> float:
    """How many times as long, by the clock, the reference's challenge takes with its eight workers as with none."""
    spent = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch finds eight too many for most machines, and Python dislikes forks
        for workers in (0, REFERENCE_WORKERS):
            started = time.perf_counter()
            reference_challenge(classifier, pool, foregrounds, files, workers)
            spent.append(time.perf_counter() - started)
    return spent[1] / spent[0]


def grabcut_alone(photos: Sequence[tuple[Photo, str]]) -> int:
    """Masks for photos that lie in memory, with their ids, by one thread; returns how many photos there were."""
    cv2.setNumThreads(1)
    for photo, identifier in photos:
        height, width = photo.image.shape[:2]
        with suppress(Rejected):
            find_mask(photo, Crop(width, height, height), MaskRule(), identifier)
    return len(photos)
