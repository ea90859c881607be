"""One step of training: what it changes, and that a GPU's recording does the same as computing each step."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from in9.errors import In9Error
from in9.training.networks import Classifier, create
from in9.training.recipe import Perturbation
from in9.training.steps import Step, autocast, perturbed

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


# --- images that mislead ----------------------------------------------------------------------------------------

LOSS = nn.CrossEntropyLoss()
PERTURBATIONS = [Perturbation("l2", 1.0), Perturbation("linf", 4 / 255), Perturbation("l2", 0.5, 1)]


def seen_network(device: str) -> Classifier:
    """A network in training mode that is sure of its answers, and whose normalisation layers have seen some images."""
    model = network(device)
    with torch.no_grad():
        for images, _ in batches(device)[:3]:
            model(images)
        model.network.head.weight *= 100  # else losses differ by less than a GPU's short numbers tell apart
    return model


def sizes_of(change: Tensor, norm: str) -> Tensor:
    flat = change.flatten(1)
    return flat.norm(dim=1) if norm == "l2" else flat.abs().amax(1)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("perturbation", PERTURBATIONS, ids=str)
def test_perturbed_images_stay_near_and_mislead(device: str, perturbation: Perturbation) -> None:
    model = seen_network(device).eval()
    images, targets = batches(device)[0]
    changed = perturbed(model, LOSS, images, targets, perturbation)
    assert changed.shape == images.shape and changed.dtype == images.dtype and not changed.requires_grad
    assert changed.min() >= 0 and changed.max() <= 1
    sizes = sizes_of(changed - images, perturbation.norm)
    assert sizes.max() <= perturbation.radius * (1 + 1e-4)
    assert sizes.min() > perturbation.radius / 2  # as far as it may go, but for what the range of a pixel takes
    with torch.no_grad(), autocast(torch.device(device)):
        before, after = (
            nn.functional.cross_entropy(model.outputs(batch).float(), targets, reduction="none")
            for batch in (images, changed)
        )
    assert after.mean() > before.mean() and (after > before).float().mean() > 0.7


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_at_the_ends_of_the_range_no_pixel_leaves_it(norm: str) -> None:
    images, targets = batches("cpu")[0]
    images = (2 * images - 0.5).clamp(0, 1)  # a quarter is black and a quarter is white
    changed = perturbed(seen_network("cpu"), LOSS, images, targets, Perturbation(norm, 0.5))
    assert changed.min() >= 0 and changed.max() <= 1
    assert sizes_of(changed - images, norm).max() <= 0.5 * (1 + 1e-4)
    assert ((changed != images) & (images == 0)).any() and ((changed != images) & (images == 1)).any()


def test_larger_radii_and_more_steps_mislead_more() -> None:
    model, (images, targets) = seen_network("cpu").eval(), batches("cpu")[0]

    def loss(perturbation: Perturbation) -> float:
        changed = perturbed(model, LOSS, images, targets, perturbation)
        with torch.no_grad():
            return float(LOSS(model.outputs(changed), targets))

    for norm, radii in (("l2", (0.1, 1.0, 4.0)), ("linf", (1 / 255, 4 / 255, 16 / 255))):
        losses = [loss(Perturbation(norm, radius)) for radius in radii]
        assert losses == sorted(losses) and len(set(losses)) == 3


@pytest.mark.parametrize("training", [True, False])
def test_the_model_is_left_as_it_was(training: bool) -> None:
    model = seen_network("cpu").train(training)
    state = copy.deepcopy(model.state_dict())
    images, targets = batches("cpu")[0]
    kept = images.clone()
    perturbed(model, LOSS, images, targets, Perturbation("l2", 1.0))
    assert model.training == training and all(module.training == training for module in model.modules())
    assert all(weights.grad is None for weights in model.parameters())
    assert torch.equal(images, kept)
    for name, values in model.state_dict().items():  # among them what normalisation layers have seen
        assert torch.equal(values, state[name]), name


def test_a_flat_loss_changes_nothing_and_gives_numbers() -> None:
    """Where no change misleads, there is no direction to go, and nothing to divide by."""
    model = seen_network("cpu")
    with torch.no_grad():
        for weights in model.parameters():
            weights.zero_()
    images, targets = batches("cpu")[0]
    for norm in ("l2", "linf"):
        assert torch.equal(perturbed(model, LOSS, images, targets, Perturbation(norm, 1.0)), images)


def test_a_step_learns_from_the_perturbed_images() -> None:
    perturbation = Perturbation("linf", 8 / 255)
    images, targets = batches("cpu")[0]
    first, second = step_of(network("cpu")), step_of(network("cpu"))
    first.perturbation = perturbation
    changed = perturbed(second.model, second.loss_of, images, targets, perturbation)
    assert float(first(images, targets, 0.1)) == float(second(changed, targets, 0.1))
    for name, values in first.model.state_dict().items():
        assert torch.equal(values, second.model.state_dict()[name]), name
    assert int(first.model.state_dict()["network.stem.1.num_batches_tracked"]) == 1
    device = torch.device("cuda")
    assert Step(network("cpu"), first.optimizer, LOSS, torch.device("cpu"), perturbation=perturbation).graphs is False
    if torch.cuda.is_available():
        assert Step(network("cuda"), first.optimizer, LOSS, device, perturbation=perturbation).graphs is False


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        (("l3", 1.0), "There is no norm 'l3'. Choose one of: l2, linf."),
        (("l2", 0.0), "A perturbation has a radius above 0 and at least 1 step; got 0 and 3."),
        (("l2", -1.0), "got -1 and 3."),
        (("l2", float("nan")), "got nan and 3."),
        (("l2", float("inf")), "got inf and 3."),
        (("linf", 0.1, 0), "got 0.1 and 0."),
    ],
)
def test_an_impossible_perturbation_is_told_in_one_sentence(settings: tuple, text: str) -> None:
    with pytest.raises(In9Error) as caught:
        Perturbation(*settings)
    assert str(caught.value).endswith(text)
