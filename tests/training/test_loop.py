"""Recipes and training: what is shown when, that it learns, and that it can be stopped and gone on with."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from in9.data import variants
from in9.data.dataset import Dataset
from in9.data.variants import MIXED, VARIANTS, Pool, load_pool
from in9.errors import In9Error
from in9.files import key_of
from in9.taxonomy import NUM_CLASSES
from in9.training import recipe
from in9.training.augmentation import Augmentation
from in9.training.loop import Stopped, pick_device, train
from in9.training.recipe import (
    IN9L,
    TRAINING_SETS,
    Draws,
    Perturbation,
    Recipe,
    compose_batch,
    epoch_rows,
    finer_classes,
    training_rows,
)
from in9.training.steps import perturbed
from in9.training.trained import weights_file

STILL = Augmentation(smallest_crop=1.0, jitter=0.0, lighting=0.0, flip=False)
QUICK = Recipe(
    architecture="small_resnet_w8_b1",
    epochs=4,
    batch_size=12,
    learning_rate=0.05,
    schedule="cosine",
    augmentation=Augmentation(smallest_crop=0.5),
)

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def pool(dataset: Dataset) -> Pool:
    return load_pool(dataset, "train")


def same_weights(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    first, second = one.state_dict(), other.state_dict()
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


# --- recipes ----------------------------------------------------------------------------------------------------


def test_the_defaults_are_the_papers() -> None:
    recipe = Recipe()
    assert (recipe.architecture, recipe.epochs, recipe.batch_size) == ("resnet50", 200, 256)
    assert (recipe.learning_rate, recipe.momentum, recipe.weight_decay) == (0.1, 0.9, 1e-4)
    assert recipe.augmentation == Augmentation(smallest_crop=0.08, jitter=0.1, lighting=0.05, flip=True)


def test_the_papers_rate_falls_to_a_tenth_every_fifty_epochs() -> None:
    recipe = Recipe()
    for progress, rate in [(0, 0.1), (49.99, 0.1), (50, 0.01), (99.99, 0.01), (100, 1e-3), (150, 1e-4), (199.99, 1e-4)]:
        assert recipe.rate(progress) == pytest.approx(rate), progress


def test_the_cosine_warms_up_and_ends_near_zero() -> None:
    recipe = Recipe(schedule="cosine", epochs=10, learning_rate=0.4)
    assert recipe.rate(0) == 0
    assert recipe.rate(0.5) == pytest.approx(0.2)
    assert recipe.rate(1) == pytest.approx(0.4)
    assert recipe.rate(5.5) == pytest.approx(0.2)
    assert recipe.rate(9.999) < 1e-4
    falling = [recipe.rate(progress) for progress in np.linspace(1, 9.999, 50)]
    assert falling == sorted(falling, reverse=True)
    assert 0 < Recipe(schedule="cosine", epochs=1).rate(0.2) < Recipe(schedule="cosine", epochs=1).rate(0.25)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"train_on": "mixed_ran"}, "no training set 'mixed_ran'. Did you mean 'mixed_rand'"),
        ({"train_on": "original+nothing"}, "no training set 'nothing'"),
        ({"head_on": "in9l"}, "no training set 'in9l'"),
        ({"schedule": "linear"}, "no schedule 'linear'"),
        ({"epochs": 0}, "at least 1 epoch and batches of 2, and at most a million of each; got 0 and 256"),
        ({"batch_size": 1}, "got 200 and 1"),
        ({"fraction": 0.0}, "fraction=0.0"),
        ({"fraction": 1.5}, "fraction=1.5"),
        ({"fine": 0}, "fine=0"),
    ],
)
def test_an_impossible_recipe_is_an_error(changes: dict, text: str) -> None:
    with pytest.raises(In9Error) as caught:
        Recipe(**changes)
    assert text in str(caught.value)
    if "training set" in text:
        assert all(name in str(caught.value) for name in TRAINING_SETS)


def test_changes_of_a_recipe_may_be_tables() -> None:
    changed = Recipe().changed(perturbation={"norm": "l2", "radius": 0.5}, augmentation={"jitter": 0.2}, fold=2)
    assert changed == Recipe(perturbation=Perturbation("l2", 0.5), augmentation=Augmentation(jitter=0.2), fold=2)
    assert changed.changes["perturbation"] == {"norm": "l2", "radius": 0.5, "steps": 3}
    assert changed.changed(perturbation=None, augmentation=Augmentation(), fold=None) == Recipe()
    with pytest.raises(In9Error, match="no norm 'l3'"):
        Recipe().changed(perturbation={"norm": "l3", "radius": 0.5})


def test_weights_keep_the_names_that_they_had(dataset: Dataset, tmp_path: Path) -> None:
    """Settings that were added later leave no trace in a recipe that does not use them."""
    assert Recipe().changes == {}
    settings = {"train_on": "mixed_rand", "epochs": 4, "seed": 3, "augmentation": {"jitter": 0.0}}
    recipe = Recipe().changed(**settings)
    assert recipe.changes == settings
    name = key_of({"content": dataset.hash, "recipe": settings})
    assert weights_file(tmp_path, recipe, dataset) == tmp_path / f"{name}.safetensors"
    changes = ({"fold": 0}, {"fold": 1}, {"perturbation": {"norm": "l2", "radius": 1.0}})
    others = [weights_file(tmp_path, recipe.changed(**change), dataset).stem for change in changes]
    assert len({name, *others}) == 4


def test_balanced_epochs_show_every_class_equally_and_each_image_before_repeats() -> None:
    sizes = [40, 10, 7, 7, 23, 7, 7, 7, 18]
    labels = np.repeat(np.arange(NUM_CLASSES), sizes)
    quota = sum(sizes) // NUM_CLASSES
    shown: Counter[int] = Counter()
    for epoch in range(12):
        rows = epoch_rows(labels, epoch, seed=3, balanced=True)
        assert len(rows) == quota * NUM_CLASSES
        assert (np.bincount(labels[rows], minlength=NUM_CLASSES) == quota).all()
        shown.update(rows.tolist())
        for label in range(NUM_CLASSES):
            times = [shown[row] for row in np.flatnonzero(labels == label)]
            assert max(times) - min(times) <= 1, (epoch, label)


def test_unbalanced_epochs_show_every_image_once() -> None:
    labels = np.repeat(np.arange(NUM_CLASSES), [5, 1, 2, 3, 4, 5, 6, 7, 8])
    rows = epoch_rows(labels, 0, seed=0, balanced=False)
    assert sorted(rows) == list(range(len(labels)))


@pytest.mark.parametrize("balanced", [True, False])
def test_the_order_depends_on_seed_and_epoch_alone(balanced: bool) -> None:
    labels = np.repeat(np.arange(NUM_CLASSES), 6)
    first = epoch_rows(labels, 1, 0, balanced)
    np.random.seed(1)
    assert np.array_equal(first, epoch_rows(labels, 1, 0, balanced))
    assert not np.array_equal(first, epoch_rows(labels, 2, 0, balanced))
    assert not np.array_equal(first, epoch_rows(labels, 1, 1, balanced))


def test_classes_are_mixed_within_an_epoch() -> None:
    labels = np.repeat(np.arange(NUM_CLASSES), 50)
    rows = epoch_rows(labels, 0, 0, balanced=True)
    assert all(len(np.unique(labels[batch])) >= 7 for batch in np.split(rows, 9))


def test_fractions_are_nested_and_take_the_same_share_of_each_class(pool: Pool) -> None:
    labels = pool.labels.numpy()
    before: set[int] = set()
    for fraction in (0.25, 0.5, 0.75, 1.0):
        rows = training_rows(replace(QUICK, fraction=fraction), pool)
        assert (np.bincount(labels[rows]) == 4 * fraction).all()
        assert before <= set(rows.tolist())
        before = set(rows.tolist())
    assert (np.bincount(labels[training_rows(replace(QUICK, fraction=0.01), pool)]) == 1).all()


def test_finer_classes_belong_to_their_class(pool: Pool) -> None:
    assert finer_classes(QUICK, pool)[1] is None
    for fine in (2, 4, 50):
        targets, groups = finer_classes(replace(QUICK, fine=fine), pool)
        assert groups is not None
        assert torch.equal(groups[targets], pool.labels)
        assert len(groups) == NUM_CLASSES * min(fine, 4)
        assert set(targets.tolist()) == set(range(len(groups)))
    whole = {(name, target) for name, target in zip(pool.fine, targets.tolist(), strict=True)}
    assert len(whole) == len(groups)  # with enough groups each finer class is one


def test_each_image_is_shown_in_one_of_the_parts(pool: Pool) -> None:
    recipe = replace(QUICK, train_on="original+only_fg+mixed_rand")
    rows = torch.arange(len(pool))
    draws = Draws.of(recipe, pool, 0)
    assert set(draws.part.tolist()) == {0, 1, 2}
    images = compose_batch(recipe, pool, rows, draws)
    for number, part in enumerate(recipe.parts):
        backgrounds = draws.backgrounds[part] if part in MIXED else None
        expected = variants.compose(part, pool, rows, backgrounds)
        assert torch.equal(images[draws.part == number], expected[draws.part == number])
    assert not torch.equal(draws.part, Draws.of(recipe, pool, 1).part)


@pytest.mark.parametrize("train_on", [*VARIANTS, IN9L])
def test_a_batch_is_the_variant(pool: Pool, train_on: str) -> None:
    recipe, rows = replace(QUICK, train_on=train_on), torch.tensor([3, 0, 20])
    draws = Draws.of(recipe, pool, 2)
    backgrounds = draws.backgrounds[train_on][rows] if train_on in MIXED else None
    expected = variants.compose("original" if train_on == IN9L else train_on, pool, rows, backgrounds)
    assert torch.equal(compose_batch(recipe, pool, rows, draws), expected)


@pytest.mark.parametrize("train_on", MIXED)
def test_backgrounds_are_fresh_each_epoch_or_the_papers_one_draw(
    pool: Pool, train_on: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    purposes: list[str] = []
    draw = variants.draw_backgrounds

    def counted(variant: str, pool: Pool, seed: int, purpose: str = "test") -> tuple[torch.Tensor, torch.Tensor]:
        purposes.append(purpose)
        return draw(variant, pool, seed, purpose)

    monkeypatch.setattr(recipe.variants, "draw_backgrounds", counted)
    train(replace(QUICK, train_on=train_on, epochs=3), pool)
    assert len(set(purposes)) == 3
    assert "test" not in purposes
    purposes.clear()
    train(replace(QUICK, train_on=train_on, epochs=3, fresh_backgrounds=False), pool)
    assert len(set(purposes)) == 1 and "test" not in purposes


# --- training ---------------------------------------------------------------------------------------------------


def test_it_learns_a_few_images_by_heart(pool: Pool) -> None:
    recipe = replace(QUICK, epochs=30, augmentation=STILL)
    model, losses = train(recipe, pool)
    assert not model.training
    assert losses[0] > 1.5 and losses[-1] < 0.3 and len(losses) == 30
    with torch.inference_mode():
        assert (model(pool.images).argmax(1) == pool.labels).float().mean() > 0.95


def test_the_same_recipe_gives_the_same_weights_whatever_ran_before(pool: Pool) -> None:
    recipe = replace(QUICK, epochs=2, train_on="mixed_rand")
    torch.manual_seed(7)
    before = torch.get_rng_state()
    first, first_losses = train(recipe, pool)
    assert torch.equal(before, torch.get_rng_state())
    torch.rand(5)
    second, second_losses = train(recipe, pool)
    assert first_losses == second_losses
    assert same_weights(first, second)
    assert not same_weights(first, train(replace(recipe, seed=1), pool)[0])


def test_training_on_perturbed_images_is_the_same_each_time_and_another(pool: Pool) -> None:
    recipe = replace(QUICK, epochs=2)
    weak, strong = (replace(recipe, perturbation=Perturbation("l2", radius)) for radius in (0.25, 2.0))
    before = torch.get_rng_state()
    first, losses = train(weak, pool)
    assert torch.equal(before, torch.get_rng_state())
    second, again = train(weak, pool)
    assert losses == again and same_weights(first, second)
    assert not same_weights(first, train(recipe, pool)[0]) and not same_weights(first, train(strong, pool)[0])


def test_perturbed_images_are_harder_to_learn_and_teach_to_withstand_them(pool: Pool) -> None:
    plain = replace(QUICK, epochs=20, augmentation=STILL)
    perturbation = Perturbation("linf", 4 / 255)
    robust = replace(plain, perturbation=perturbation)
    (first, plain_losses), (second, robust_losses) = train(plain, pool), train(robust, pool)
    assert np.mean(robust_losses) > np.mean(plain_losses)
    images, loss_of = pool.images.float() / 255, torch.nn.CrossEntropyLoss()
    losses = []
    for model in (first, second):
        changed = perturbed(model, loss_of, images, pool.labels, perturbation)
        with torch.inference_mode():
            losses.append(float(loss_of(model.outputs(changed), pool.labels)))
    assert losses[1] < losses[0]


def stop_after(last: int, how: type[BaseException] = Stopped):
    def on_epoch(epoch: int, loss: float) -> None:
        if epoch == last:
            raise how

    return on_epoch


@pytest.mark.parametrize(
    ("changes", "how"),
    [
        ({"train_on": "mixed_rand"}, Stopped),
        ({"train_on": "mixed_next", "fresh_backgrounds": False, "schedule": "steps"}, KeyboardInterrupt),
        ({"train_on": "original+only_fg", "fraction": 0.75, "fine": 2}, Stopped),
        ({"architecture": "mobilenet_v3_small", "epochs": 2}, Stopped),  # has dropout
        ({"perturbation": Perturbation("l2", 0.5, 2)}, Stopped),
        ({"perturbation": Perturbation("linf", 8 / 255, 2), "train_on": "mixed_rand", "fine": 2}, KeyboardInterrupt),
    ],
)
def test_stopped_and_gone_on_with_gives_the_same_weights(
    pool: Pool, tmp_path: Path, changes: dict, how: type[BaseException]
) -> None:
    recipe = replace(QUICK, **changes)
    checkpoint = tmp_path / "new" / "one.checkpoint"
    for epoch in (0, recipe.epochs // 2):
        with pytest.raises(how):
            train(recipe, pool, checkpoint, stop_after(epoch, how))
        assert [path.name for path in checkpoint.parent.iterdir()] == [checkpoint.name]
    seen: list[int] = []
    model, losses = train(recipe, pool, checkpoint, lambda epoch, loss: seen.append(epoch))
    assert seen == list(range(recipe.epochs // 2 + 1, recipe.epochs))
    whole, whole_losses = train(recipe, pool)
    assert losses == whole_losses
    assert same_weights(model, whole)


def test_stopped_after_the_last_epoch_nothing_is_left_to_train(pool: Pool, tmp_path: Path) -> None:
    checkpoint = tmp_path / "one.checkpoint"
    with pytest.raises(Stopped):
        train(QUICK, pool, checkpoint, stop_after(QUICK.epochs - 1))
    model, losses = train(QUICK, pool, checkpoint, stop_after(QUICK.epochs - 1))
    assert len(losses) == QUICK.epochs and not model.training


def test_checkpoints_are_written_on_the_way(pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("in9.training.loop.CHECKPOINT_EVERY", -1.0)
    checkpoint = tmp_path / "one.checkpoint"
    there: list[bool] = []
    train(replace(QUICK, epochs=3), pool, checkpoint, lambda epoch, loss: there.append(checkpoint.is_file()))
    assert there == [False, True, True]
    assert len(torch.load(checkpoint, weights_only=True)["losses"]) == 2


@pytest.mark.parametrize("damage", ["cut short", "garbage", "empty", "another architecture", "without losses"])
def test_a_damaged_checkpoint_says_what_to_do(pool: Pool, tmp_path: Path, damage: str) -> None:
    checkpoint = tmp_path / "one.checkpoint"
    recipe = replace(QUICK, architecture="small_resnet_w8") if damage == "another architecture" else QUICK
    with pytest.raises(Stopped):
        train(recipe, pool, checkpoint, stop_after(0))
    if damage == "cut short":
        checkpoint.write_bytes(checkpoint.read_bytes()[:5000])
    elif damage == "garbage":
        checkpoint.write_bytes(b"not a checkpoint at all" * 10)
    elif damage == "empty":
        checkpoint.write_bytes(b"")
    elif damage == "without losses":
        state = torch.load(checkpoint, weights_only=True)
        torch.save({name: state[name] for name in ("model", "optimizer")}, checkpoint)
    before = checkpoint.read_bytes()
    with pytest.raises(In9Error, match=r"one\.checkpoint cannot be read .*; remove it to train anew") as caught:
        train(QUICK, pool, checkpoint)
    assert "\n" not in str(caught.value)
    assert checkpoint.read_bytes() == before


def test_a_loss_that_is_no_number_is_told(pool: Pool, tmp_path: Path) -> None:
    checkpoint = tmp_path / "one.checkpoint"
    recipe = replace(QUICK, learning_rate=1e25, schedule="steps", train_on="only_fg")
    with pytest.raises(In9Error, match=r"Training on only_fg diverged in epoch 1; lower the learning rate \(it is 1e"):
        train(recipe, pool, checkpoint)
    assert not checkpoint.exists()


def test_a_full_disk_leaves_the_old_checkpoint(pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = tmp_path / "one.checkpoint"
    with pytest.raises(Stopped):
        train(QUICK, pool, checkpoint, stop_after(0))
    before = checkpoint.read_bytes()

    def full(self: Path, content: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        train(QUICK, pool, checkpoint, stop_after(1))
    assert checkpoint.read_bytes() == before


def test_a_last_batch_of_one_image_is_left_out(pool: Pool) -> None:
    _, losses = train(replace(QUICK, epochs=1, batch_size=35), pool)  # 36 images: batch normalisation needs two
    assert math.isfinite(losses[0])


def test_finer_classes_are_trained_and_answered_as_nine(pool: Pool) -> None:
    model, _ = train(replace(QUICK, epochs=1, fine=4), pool)
    with torch.inference_mode():
        assert model(pool.images).shape == (len(pool), NUM_CLASSES)
        assert model.outputs(pool.images).shape == (len(pool), NUM_CLASSES * 4)


def test_the_head_alone_is_retrained(pool: Pool) -> None:
    recipe = replace(QUICK, epochs=2)
    plain, again = (
        train(recipe, pool)[0].state_dict(),
        train(replace(recipe, head_on="mixed_rand"), pool)[0].state_dict(),
    )
    changed = {name for name in plain if not torch.equal(plain[name], again[name])}
    assert changed == {"network.head.weight", "network.head.bias"}


@pytest.mark.parametrize("name", ["cuda:77", "bogus", ""])
def test_a_device_that_is_not_there_is_told_in_one_sentence(name: str) -> None:
    with pytest.raises(In9Error, match=f"Device '{name}' cannot be used .*; try --device cpu") as caught:
        pick_device(name)
    assert "\n" not in str(caught.value)


def test_devices_that_are_there() -> None:
    assert pick_device("cpu").type == "cpu"
    assert pick_device().type == ("cuda" if torch.cuda.is_available() else "cpu")
