"""Steps of training: forward, backward and update for one batch; on a GPU recorded once and played again.

A small network's step is hundreds of short kernels, and a GPU is done with each before Python has asked for the next.
A CUDA graph asks for all of them at once. What is played is what was recorded, so the weights are the same.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from in9.training.networks import Classifier
from in9.training.recipe import Perturbation

EDGE = 1e-6
"""How far black and white are moved inwards: at the very ends of [0, 1] the classifier's clamp has no gradient."""


def bfloat16_is_fast(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 natively; training then runs under autocast."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    probe = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return device.type == "cpu" and probe is not None and bool(probe())


def autocast(device: torch.device) -> AbstractContextManager[Any]:
    """Mixed precision where it is fast, nothing elsewhere. Only training uses it; every evaluation is float32."""
    return torch.autocast(device.type, torch.bfloat16, enabled=bfloat16_is_fast(device))


def perturbed(
    model: Classifier, loss_of: nn.Module, images: Tensor, targets: Tensor, perturbation: Perturbation
) -> Tensor:
    """Images float [B, 3, S, S] in [0, 1], changed within a radius so that the loss grows (Madry et al., 2018).

    Projected gradient ascent from the images themselves, in steps of 2.5 radii divided by their number. Meanwhile the
    model is in evaluation mode, as in the authors' library.
    """
    was_training = model.training
    model.eval()
    norm, radius = perturbation.norm, perturbation.radius
    length = 2.5 * radius / perturbation.steps
    change = torch.zeros_like(images)
    for _ in range(perturbation.steps):
        change.requires_grad_(True)
        with autocast(images.device):
            outputs = model.outputs(EDGE + (1 - 2 * EDGE) * (images + change))
        (gradient,) = torch.autograd.grad(loss_of(outputs.float(), targets), change)
        with torch.no_grad():
            if norm == "linf":
                change = (change + length * gradient.sign()).clamp_(-radius, radius)
            else:
                change = change + length * gradient / _lengths(gradient).clamp_min(1e-12)
                change = change * (radius / _lengths(change).clamp_min(1e-12)).clamp_max(1.0)
            change = (images + change).clamp_(0, 1) - images
    model.train(was_training)
    return images + change


def _lengths(images: Tensor) -> Tensor:
    """The l2 norm of each image: [B, 1, 1, 1]."""
    return images.flatten(1).norm(dim=1)[:, None, None, None]


class _Recorded(NamedTuple):
    """A recorded step, and the tensors that it reads and writes each time it is played."""

    graph: torch.cuda.CUDAGraph
    images: Tensor
    targets: Tensor
    loss: Tensor


class Step:
    """Takes a batch and a learning rate, updates the weights, and returns the loss, a tensor on the device.

    On a GPU the first batch of each size is computed plainly, as libraries choose their algorithms then; the second is
    recorded, and from then on the recording is played. The optimizer's rate becomes a tensor that the recording reads;
    make a step after the optimizer's state was loaded. ``graphs=False`` computes every batch plainly. With
    ``perturbation`` each batch is first changed to mislead the model, and nothing is recorded.
    """

    def __init__(
        self,
        model: Classifier,
        optimizer: torch.optim.Optimizer,
        loss_of: nn.Module,
        device: torch.device,
        graphs: bool = True,
        perturbation: Perturbation | None = None,
    ) -> None:
        self.model, self.optimizer, self.loss_of, self.device = model, optimizer, loss_of, device
        self.perturbation = perturbation
        self.graphs = graphs and device.type == "cuda" and perturbation is None
        self.recorded: dict[int, _Recorded | None] = {}  # by the number of images; None after the first such batch
        if self.graphs:
            self.rate = torch.zeros((), device=device)
            for group in optimizer.param_groups:
                group["lr"] = self.rate

    def __call__(self, images: Tensor, targets: Tensor, rate: float) -> Tensor:
        """Train on images float [B, 3, S, S] in [0, 1] and targets int64 [B]; the mean loss, valid until the next."""
        if not self.graphs:
            for group in self.optimizer.param_groups:
                group["lr"] = rate
            return self._compute(images, targets)
        self.rate.fill_(rate)
        size = len(images)
        if size not in self.recorded:
            self.recorded[size] = None
            return self._compute_aside(images, targets)
        played = self.recorded[size]
        if played is None:
            played = self.recorded[size] = self._record(images, targets)
        else:
            played.images.copy_(images)
            played.targets.copy_(targets)
        played.graph.replay()
        return played.loss

    def _compute(self, images: Tensor, targets: Tensor) -> Tensor:
        if self.perturbation is not None:
            images = perturbed(self.model, self.loss_of, images, targets, self.perturbation)
        with autocast(self.device):
            outputs = self.model.outputs(images)  # convolutions take the layout of their weights, channels last
        loss = self.loss_of(outputs.float(), targets)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    def _compute_aside(self, images: Tensor, targets: Tensor) -> Tensor:
        """Compute on a stream of its own, as a recording does later."""
        here, aside = torch.cuda.current_stream(), torch.cuda.Stream()
        aside.wait_stream(here)
        with torch.cuda.stream(aside):
            loss = self._compute(images, targets)
        here.wait_stream(aside)
        return loss

    def _record(self, images: Tensor, targets: Tensor) -> _Recorded:
        """Record a step without doing it; the batch lies where the recording will read it."""
        images, targets, graph = images.clone(), targets.clone(), torch.cuda.CUDAGraph()
        # Other threads may use the GPU meanwhile: the one that gives back pinned memory does.
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            loss = self._compute(images, targets)
        return _Recorded(graph, images, targets, loss)
