"""Why our numbers are not the paper's: each suspect is changed alone and the numbers are taken again.

The suspects here are the training (a lighter recipe), the detail of the images, how many there are, and for attacks the
number of backgrounds; masks and the size of the objects are in ``in9.experiments.masks_and_sizes``. All models of this
chapter are trained on Original.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, NamedTuple

from in9.evaluation.adversarial.attacks import Attacks
from in9.evaluation.estimates import Estimate
from in9.evaluation.predictions import Predictions, gain, gap_change
from in9.experiments import paper
from in9.experiments.adversarial_backgrounds import ADVERSARIAL
from in9.experiments.experiment import Experiment
from in9.experiments.why_pretrained import SMALLER, level_jobs
from in9.study.jobs import Job, evaluations, jobs_of
from in9.study.profile import Profile
from in9.study.study import Study
from in9.taxonomy import CLASS_NAMES, TITLES
from in9.training.recipe import IN9L, Recipe

VALIDATION = "validation"


class Suspect(NamedTuple):
    """What was changed, and to which share of it the training was held."""

    what: str
    share: float = 1.0

    @property
    def label(self) -> str:
        """As a reader sees it."""
        return self.what if self.share == 1 else f"{100 * self.share:g} % of the {self.what}"


AS_IT_IS, LIGHTER, EVERY_BACKGROUND = Suspect("as it is"), Suspect("lighter recipe"), Suspect("every background")
"""The profile's own training, that with the profile's ``level_recipe``, and an attack with all test images."""
FOR_A_PROCESSOR = "for a processor"
PAPERS = f"the paper's, {FOR_A_PROCESSOR}"
"""Trials with the same small network: the recipe that suits a processor, and the paper's."""


def base(names: Mapping[Suspect, Any]) -> Suspect:
    """What less detail, fewer images and more backgrounds are compared with."""
    return LIGHTER if LIGHTER in names else AS_IT_IS


# ---------------------------------------------------------------------------------------------- what is measured


def _trials(profile: Profile) -> dict[str, list[Job]]:
    profile = profile.of_many_trainings
    if not profile.trials:
        return {}
    changes = {AS_IT_IS.label: {}, **profile.trials}
    recipes = {name: profile.recipe_on("original", **trial) for name, trial in changes.items()}
    return {name: jobs_of(profile, VALIDATION, [recipe]) for name, recipe in recipes.items()}


def _full_size(profile: Profile) -> dict[Suspect, Recipe]:
    """The recipes, with the first seed, of the suspects that are trained on all images."""
    recipes = {AS_IT_IS: profile.recipe_on("original")}
    if profile.level_recipe:
        recipes[LIGHTER] = profile.recipe_on("original", **profile.level_recipe)
    light = recipes[base(recipes)]
    for part in profile.shrinks:
        recipes[Suspect("detail", 1 / part)] = light.changed(architecture=f"{light.architecture}/{part}")
    return recipes


def _levels(profile: Profile) -> dict[Suspect, list[Job]]:
    """Less detail is tried with the first seed alone."""
    profile = profile.of_many_trainings
    jobs = {suspect: evaluations(profile, [recipe]) for suspect, recipe in _full_size(profile).items()}
    jobs[AS_IT_IS] = evaluations(profile, profile.recipes_on(["original"]))
    if LIGHTER in jobs:
        jobs[LIGHTER] = level_jobs(profile)
    fewer = {share: group for share, group in SMALLER.groups(profile).items() if share < 1}
    return jobs | {Suspect("images", share): fewer[share] for share in sorted(fewer, reverse=True)}


def _attacks(profile: Profile) -> dict[Suspect, list[Job]]:
    """Attacks on the models with as many images, and on their ``base`` with every background."""
    profile = profile.of_many_trainings
    recipes, sizes = _full_size(profile), profile.adversarial
    jobs = {suspect: jobs_of(profile, "adversarial", [recipe], **sizes) for suspect, recipe in recipes.items()}
    every = {**sizes, "backgrounds_per_class": None}
    return jobs | {EVERY_BACKGROUND: jobs_of(profile, "adversarial", [recipes[base(recipes)]], **every)}


TRIALS = Experiment("trials", ("11",), _trials)
LEVELS = Experiment("levels", ("11",), _levels)
SUSPECTS = Experiment("suspects", ("11",), _attacks, Attacks.of_records)


# ---------------------------------------------------------------------------------------------- what is read of it


def ranked(trials: Mapping[str, Predictions]) -> list[str]:
    """The trials, best first: by accuracy on the validation images, every class counting the same."""
    return sorted(trials, key=lambda name: -trials[name].accuracy(IN9L).value)


def trial_rows(study: Study) -> list[dict[str, Any]]:
    """The trials as rows of a table, best first: recipe, changes, accuracy, what that adds, and seconds of training."""
    trials, tried_by, own = TRIALS.read(study), study.profile.of_many_trainings, AS_IT_IS.label
    return [
        {
            "recipe": f"**{name}**" if name == own else name,
            "changes": in_words(tried_by.trials.get(name, {}), tried_by.recipe),
            "accuracy, %": trials[name].accuracy(IN9L),
            "adds, points": None if name == own else gain(trials[name], trials[own], IN9L),
            "training, s": round(trials[name].models[0].training["seconds"]),
        }
        for name in ranked(trials)
    ]


def papers_recipe(study: Study) -> str:
    """What the paper's recipe adds to the one for a processor, with the same network: a sentence; empty without both.

    It is a difference of accuracies on the validation images.
    """
    trials = TRIALS.read(study)
    if not {PAPERS, FOR_A_PROCESSOR} <= trials.keys():
        return ""
    theirs, ours = trials[PAPERS], trials[FOR_A_PROCESSOR]
    return (
        "With the same small network, the paper's recipe in place of the one for a processor changes the accuracy on "
        f"validation images by {gain(theirs, ours, IN9L).text()} points. It takes {theirs.models[0].recipe['epochs']} "
        f"epochs in place of {ours.models[0].recipe['epochs']}."
    )


def network_rows(study: Study) -> list[dict[str, Any]]:
    """The networks of ``LEVELS`` as rows of a table: the change, network, epochs, images, and how many."""
    return [
        {
            "trained on Original": suspect.label,
            "network": f"`{models.models[0].recipe['architecture']}`",
            "epochs": models.models[0].recipe["epochs"],
            "images": models.models[0].training["images"],
            "networks": len(models.seeds),
        }
        for suspect, models in LEVELS.read(study).items()
    ]


def attack_rows(study: Study) -> list[dict[str, Any]]:
    """The attacks of ``SUSPECTS`` as rows of a table, after that on the networks of the other chapters."""
    attacks = SUSPECTS.read(study)
    shown = {suspect.label: attack for suspect, attack in attacks.items() if suspect != EVERY_BACKGROUND}
    shown[f"{base(attacks).label}, every background"] = attacks[EVERY_BACKGROUND]
    if study.profile.many_trainings:
        shown = {"as in the other chapters": ADVERSARIAL.read(study)["original"], **shown}
    return [
        _attack_row(name, attack.sizes[1], attack.vulnerable(), attack.challenge(), attack.weakest())
        for name, attack in shown.items()
    ]


def published_attack() -> dict[str, Any]:
    """The paper's attack as such a row."""
    challenge = paper.table("attack").query("measure == 'challenge'")["value"].iloc[0]
    weakest = paper.table("adversarial").query("measure == 'fooled_any'")["value"].min()
    backgrounds, vulnerable = (paper.fact(name).value for name in ("backgrounds", "vulnerable"))
    name = f"the paper, trained on {TITLES[IN9L]}"
    return _attack_row(name, int(backgrounds), vulnerable, float(challenge), float(weakest))


def _attack_row(name: str, backgrounds: int, vulnerable: Any, challenge: Any, weakest: Any) -> dict[str, Any]:
    return {
        "trained on Original": name,
        "backgrounds": backgrounds,
        "vulnerable, targeted": vulnerable,
        "challenge accuracy": challenge,
        "weakest target class": weakest,
    }


def target_rows(study: Study) -> list[dict[str, Any]]:
    """How many objects each class's backgrounds fool, some of them and all, as rows of a table beside the paper's."""
    attacks = SUSPECTS.read(study)
    few, many = attacks[base(attacks)], attacks[EVERY_BACKGROUND]
    targets = paper.table("adversarial").query("measure == 'fooled_any'").set_index("target")["value"]
    return [
        {
            "target class": name,
            "the paper, of IN-9L": float(targets[name]),
            "backgrounds": int((few.background_labels == label).sum()),
            "fooled": few.fooled(label),
            "every background": int((many.background_labels == label).sum()),
            "fooled by any": many.fooled(label),
        }
        for label, name in enumerate(CLASS_NAMES)
    ]


def in_words(changes: Mapping[str, Any], recipe: Recipe) -> str:
    """What the changes of a trial change in a recipe, as a reader sees it."""
    before, after = asdict(recipe), asdict(recipe.changed(**changes))
    parts = []
    for name in changes:
        if name == "augmentation":
            parts += [(key, value) for key, value in after[name].items() if value != before[name][key]]
        elif after[name] != before[name]:
            parts.append((name, after[name]))
    return ", ".join(f"`{value if name == 'architecture' else f'{name}={value}'}`" for name, value in parts)


def effects(study: Study) -> dict[tuple[str, str], Estimate]:
    """What having more of each suspect adds, in points: (quantity, suspect) -> estimate, paired by image.

    Quantities: accuracy on ``original`` and ``only_bg_t``, and ``gap``. Suspects: ``training``, the profile's recipe
    for the lighter one; ``detail``, whole images for those of least shrinking; ``images``, all for the smallest share.
    """
    levels, shares = LEVELS.read(study), SMALLER.read(study)
    shrinks = study.profile.of_many_trainings.shrinks
    pairs = {
        "training": (LIGHTER, AS_IT_IS),
        "detail": (Suspect("detail", 1 / min(shrinks, default=1)), base(levels)),
    }
    ends = {name: (levels[low], levels[high]) for name, (low, high) in pairs.items() if {low, high} <= levels.keys()}
    if len(shares) > 1:
        ends["images"] = shares[min(shares)], shares[max(shares)]
    added = {}
    for name, (low, high) in ends.items():
        for test in ("original", "only_bg_t"):
            added[test, name] = gain(high, low, test)
        added["gap", name] = gap_change(high, low)
    return added
