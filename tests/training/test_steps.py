"""One step of training: what it changes, and that a GPU's recording does the same as computing each step."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from in9.training.networks import Classifier, create
from in9.training.steps import Step, autocast

DEVICES = [
    "cpu",
    pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")),
]
SIZES = (8, 8, 8, 5, 8, 5, 5, 8, 2, 8)
"""Of batches: the last of an epoch is smaller."""

pytestmark = pytest.mark.usefixtures("one_thread")


def network(device: str, architecture: str = "small_resnet_w8_b1") -> Classifier:
    return create(architecture).to(device).to(memory_format=torch.channels_last).train()


def step_of(model: Classifier, graphs: bool = True) -> Step:
    device = next(model.parameters()).device
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0, momentum=0.9, weight_decay=1e-3, fused=True)
    return Step(model, optimizer, nn.CrossEntropyLoss(label_smoothing=0.1), device, graphs)


def batches(device: str) -> list[tuple[Tensor, Tensor]]:
    draws = torch.Generator().manual_seed(0)
    return [
        (
            torch.rand(size, 3, 64, 64, generator=draws).to(device),
            torch.randint(9, (size,), generator=draws).to(device),
        )
        for size in SIZES
    ]


def state_after(step: Step, rates: list[float], device: str) -> tuple[dict[str, Tensor], list[float]]:
    torch.manual_seed(0)  # of dropout
    losses = [
        float(step(images, targets, rate)) for (images, targets), rate in zip(batches(device), rates, strict=True)
    ]
    return copy.deepcopy(step.model.state_dict()), losses


@pytest.mark.parametrize("device", DEVICES)
def test_a_step_is_stochastic_gradient_descent_with_momentum(device: str) -> None:
    model, by_hand = network(device), network(device)
    rates, momentum, decay = [0.002 * (1 + place % 3) for place in range(len(SIZES))], 0.9, 1e-3
    speed = {name: torch.zeros_like(weights) for name, weights in by_hand.named_parameters()}
    for (images, targets), rate in zip(batches(device), rates, strict=True):
        by_hand.zero_grad()
        with autocast(torch.device(device)):
            outputs = by_hand.outputs(images.clone())
        nn.functional.cross_entropy(outputs.float(), targets, label_smoothing=0.1).backward()
        with torch.no_grad():
            for name, weights in by_hand.named_parameters():
                speed[name] = momentum * speed[name] + weights.grad + decay * weights
                weights -= rate * speed[name]
    state, losses = state_after(step_of(model), rates, device)
    assert len(set(losses)) == len(losses)
    for name, weights in by_hand.named_parameters():
        torch.testing.assert_close(state[name], weights, rtol=1e-3, atol=1e-3, msg=name)
    assert int(state["network.stem.1.num_batches_tracked"]) == len(SIZES)


@pytest.mark.parametrize("device", DEVICES)
def test_the_rate_is_that_of_each_call(device: str) -> None:
    step = step_of(network(device))
    before = copy.deepcopy(dict(step.model.named_parameters()))
    state_after(step, [0.0] * len(SIZES), device)
    assert all(torch.equal(before[name], weights) for name, weights in step.model.named_parameters())
    state_after(step, [0.0] * (len(SIZES) - 1) + [0.1], device)  # by now everything is recorded
    assert not any(torch.equal(before[name], weights) for name, weights in step.model.named_parameters())


@pytest.mark.parametrize("device", DEVICES)
def test_images_are_left_as_they_are(device: str) -> None:
    step = step_of(network(device))
    images, targets = batches(device)[0]
    kept = images.clone()
    for _ in range(3):
        step(images, targets, 0.1)
    assert torch.equal(images, kept)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("architecture", ["small_resnet_w8_b1", "alexnet", "shufflenet_v2_x1_0"])
def test_a_recording_does_what_computing_does(architecture: str) -> None:
    """AlexNet has dropout, so a recording must draw it anew each time, and the same as without."""
    rates = [0.01 * (1 + place % 4) for place in range(len(SIZES))]
    with torch.backends.cudnn.flags(enabled=True, deterministic=True):
        played = step_of(network("cuda", architecture))
        one, losses = state_after(played, rates, "cuda")
        other, plain = state_after(step_of(network("cuda", architecture), graphs=False), rates, "cuda")
    assert {size: recorded is not None for size, recorded in played.recorded.items()} == {8: True, 5: True, 2: False}
    assert losses == pytest.approx(plain, rel=1e-3)
    for name in one:
        torch.testing.assert_close(one[name], other[name], rtol=1e-3, atol=1e-4, msg=name)
