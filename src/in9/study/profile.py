"""Profiles: named settings for the whole book."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from in9.data.build import Split
from in9.errors import unknown
from in9.training.augmentation import Augmentation
from in9.training.recipe import Recipe

ALL_FINER = 1000  # no class of ImageNet has as many below it


@dataclass(frozen=True)
class Profile:
    """Which data, which recipe and how many seeds.

    ``about`` is one sentence for the reader; ``real`` says whether the images are photographs; ``shares_data_of`` names
    the profile whose dataset this one uses, if not its own; ``seeds`` are the
    seeds of training; ``recipe`` is what every training starts from. ``adversarial_foregrounds`` and
    ``adversarial_backgrounds`` say how many test images of each class are paired, ``saliency_per_class`` how many get
    saliency maps, None for all. ``dial`` are the positions of the control set's dial at which the measures are tried,
    ``dial_seeds`` and ``dial_epochs`` how (a profile of photographs takes those of ``control``). ``remedy_seeds`` are
    the seeds of what helps, ``level_seeds`` those of finer classes and less data (both: ``seeds`` unless given);
    ``level_recipe`` are the changes of the recipe with which finer classes, less data and less detail are tried, which
    takes many trainings; ``fine_levels`` are the numbers of finer classes for each of the nine, ``fractions`` the
    shares of the training images.
    ``architectures`` are further networks that are trained on IN-9L, with the changes ``architecture_recipe`` of the
    recipe, which is chosen for the profile's own network. ``trials`` are changes of the recipe that are tried on the
    validation images, name -> fields; ``shrinks`` are the parts of their side to which images are shrunk to see what
    detail is worth.
    """

    name: str
    about: str
    source: str
    real: bool
    recipe: Recipe
    source_options: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    split: Split = field(default_factory=Split)
    build_seed: int = 0
    shares_data_of: str | None = None
    seeds: tuple[int, ...] = (0,)
    adversarial_foregrounds: int | None = None
    adversarial_backgrounds: int | None = None
    dial: tuple[float, ...] = (0.0, 0.25, 0.5, 0.75, 1.0)
    dial_seeds: tuple[int, ...] = (0, 1)
    dial_epochs: int | None = None
    remedy_seeds: tuple[int, ...] | None = None
    level_seeds: tuple[int, ...] | None = None
    level_recipe: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    fine_levels: tuple[int, ...] = (1, 2, 4, ALL_FINER)
    fractions: tuple[float, ...] = (0.25, 0.5, 1.0)
    saliency_per_class: int | None = None
    architectures: tuple[str, ...] = ()
    architecture_recipe: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    trials: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: MappingProxyType({}))
    shrinks: tuple[int, ...] = (2,)

    @property
    def adversarial(self) -> dict[str, int | None]:
        """The options of the measurement ``adversarial``: how many of each class, None for all test images."""
        return {
            "foregrounds_per_class": self.adversarial_foregrounds,
            "backgrounds_per_class": self.adversarial_backgrounds,
        }

    @property
    def saliency(self) -> dict[str, Any]:
        """The options of the measurement ``saliency``: every method, on whole images."""
        return {
            "per_class": self.saliency_per_class,
            "methods": ["gradcam", "gradcam_finer", "gradient"],
            "variant": "original",
        }


_LIGHT = Augmentation(smallest_crop=0.5)
_STRONG = Augmentation(smallest_crop=0.2, jitter=0.4, rotation=15.0, erasing=0.5)
_FOR_A_PROCESSOR: Mapping[str, Any] = MappingProxyType(
    {
        "architecture": "small_resnet_w48_b1_pool",
        "epochs": 20,
        "batch_size": 32,
        "learning_rate": 0.05,
        "weight_decay": 5e-4,
        "label_smoothing": 0.0,
        "augmentation": Augmentation(smallest_crop=0.4),
    }
)
PAPERS_ARCHITECTURES = ("alexnet", "shufflenet_v2_x1_0", "resnet50", "wide_resnet50_2", "vgg16_bn")

_TINY = Profile(
    name="tiny",
    about="Real photographs of 64 x 64 pixels: the images of Tiny ImageNet that fall under the nine classes.",
    source="tiny-imagenet",
    real=True,
    seeds=(0, 1, 2),
    level_recipe=_FOR_A_PROCESSOR,
    architectures=PAPERS_ARCHITECTURES,
    architecture_recipe=MappingProxyType({"epochs": 30, "weight_decay": 5e-4}),
    trials=MappingProxyType(
        {
            "nothing erased": {"augmentation": replace(_STRONG, erasing=0.0)},
            "pooled, nothing erased": {
                "architecture": "small_resnet_w64_b1_pool",
                "augmentation": replace(_STRONG, erasing=0.0),
            },
            "pooled, nothing erased or turned": {
                "architecture": "small_resnet_w64_b1_pool",
                "augmentation": replace(_STRONG, erasing=0.0, rotation=0.0),
            },
            "for a processor": _FOR_A_PROCESSOR,
        }
    ),
    adversarial_foregrounds=40,
    adversarial_backgrounds=40,
    saliency_per_class=60,
    recipe=Recipe(
        architecture="small_resnet_w64_b1",
        epochs=60,
        batch_size=256,
        learning_rate=0.2,
        weight_decay=2e-3,
        schedule="cosine",
        label_smoothing=0.1,
        augmentation=_STRONG,
    ),
)
_LIGHTER = replace(
    _TINY,
    name="light",
    about="The photographs of `tiny` with a small network, few epochs and one seed: for a machine without a GPU.",
    shares_data_of="tiny",
    seeds=(0,),
    recipe=replace(_TINY.recipe, **_FOR_A_PROCESSOR),
    level_recipe=MappingProxyType({}),
    trials=MappingProxyType({}),
    architectures=(),
)

PROFILES = {
    one.name: one
    for one in (
        Profile(
            name="smoke",
            about="A handful of drawn images and two epochs: shows that everything runs, its numbers mean nothing.",
            source="synthetic",
            real=False,
            source_options=MappingProxyType({"rho": 0.8, "per_class": 16, "image_size": 32}),
            dial=(0.0, 1.0),
            dial_seeds=(0,),
            fine_levels=(1, 2),
            fractions=(0.5, 1.0),
            adversarial_foregrounds=2,
            adversarial_backgrounds=2,
            saliency_per_class=2,
            architectures=("small_resnet_w16_b1",),
            recipe=Recipe(
                architecture="small_resnet_w8_b1",
                epochs=2,
                batch_size=32,
                learning_rate=0.05,
                schedule="cosine",
                augmentation=_LIGHT,
            ),
        ),
        Profile(
            name="control",
            about="Drawn images whose backgrounds predict the class as often as we say: the instrument's calibration.",
            source="synthetic",
            real=False,
            source_options=MappingProxyType({"rho": 0.7, "per_class": 250, "image_size": 64}),
            dial=(0.0, 0.5, 1.0),
            dial_epochs=6,
            remedy_seeds=(0, 1),
            level_recipe=MappingProxyType({"epochs": 6}),
            fine_levels=(1, 4),
            fractions=(0.25, 1.0),
            adversarial_foregrounds=20,
            adversarial_backgrounds=20,
            saliency_per_class=25,
            architectures=("small_resnet_w8_b1_pool",),
            trials=MappingProxyType({"smoother targets": {"label_smoothing": 0.1}}),
            shrinks=(4,),
            recipe=Recipe(
                architecture="small_resnet_w24_b1_pool",
                epochs=12,
                batch_size=32,
                learning_rate=0.05,
                weight_decay=5e-4,
                schedule="cosine",
                augmentation=_LIGHT,
            ),
        ),
        _TINY,
        _LIGHTER,
        Profile(
            name="paper",
            about="ImageNet at 224 x 224 pixels with the paper's recipe; needs your own copy of ImageNet and a GPU.",
            source="imagenet",
            real=True,
            recipe=Recipe(),
            seeds=(0, 1, 2),
            architectures=PAPERS_ARCHITECTURES,
        ),
    )
}


def profile_named(name: str) -> Profile:
    """The profile of that name; raises In9Error with the list of those that exist."""
    if name not in PROFILES:
        raise unknown("profile", name, PROFILES)
    return PROFILES[name]
