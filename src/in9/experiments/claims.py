"""What the paper finds, as claims in our words: each with the paper's number, and the quantity and region that test it.

``in9.experiments.verdicts`` decides them. No number of the paper stands here: they come from
``in9.experiments.paper``. Where the paper names no bound, the bound of the test is ours and marked so; the page *How to
read this book* says when it was set.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from in9.experiments import fine_grained
from in9.experiments import quantities as q
from in9.experiments.why_pretrained import NORM_TITLES
from in9.study.study import Study
from in9.taxonomy import CHANCE, TITLES
from in9.training.recipe import IN9L


@dataclass(frozen=True)
class Region:
    """The numbers between two ends, neither included; fractions, like estimates."""

    low: float = -math.inf
    high: float = math.inf

    @property
    def text(self) -> str:
        """The region in percent or points: ``"> 11.1"``, ``"< 10"`` or ``"-2 to 2"``."""
        low, high = (f"{round(100 * end, 1):g}" for end in (self.low, self.high))
        if math.isinf(self.low):
            return f"< {high}"
        return f"> {low}" if math.isinf(self.high) else f"{low} to {high}"


ABOVE_ZERO, ABOVE_CHANCE, LITTLE = Region(0), Region(CHANCE), Region(high=CHANCE + 0.15)
MOST, ALIKE = Region(0.5), Region(-0.02, 0.02)


@dataclass(frozen=True)
class Claim:
    """One finding: ``text`` says it, ``chapter`` is the number of the chapter that shows it.

    ``printed`` gives the paper's number in percent or points, its place and a note; the value is NaN where the paper
    prints none. ``reading`` gives ours from a study, or raises NotMeasured. The claim is true if our quantity lies in
    ``region``; its bound is ours where ``own_bound`` is true. ``remark`` is what a reader of our number must know.
    """

    text: str
    chapter: str
    region: Region
    printed: q.Printed
    reading: q.Reading
    own_bound: bool = False
    remark: Callable[[Study], str] | None = None


def _cells(
    text: str,
    chapter: str,
    region: Region,
    cell: q.Cell,
    minus: q.Cell | None = None,
    note: str | None = None,
    own_bound: bool = False,
) -> Claim:
    """A claim about table 5; ``note`` is the key of a fact of the same number whose note the reader should see."""
    printed = q.fact(note) if note else q.table5(cell, minus)
    return Claim(text, chapter, region, printed, q.accuracies(cell, minus), own_bound)


_RESNET50_GAP = "model == 'resnet50' and training == '{}' and test == 'bg_gap'"
_FITTED = ("mixed_same", "mixed_rand", "only_bg_t")  # table 2 has them for networks trained on ImageNet
_ONCE = "mixed_rand_once"
_MET = "targeted, 4,050 backgrounds"  # for each object of the paper

CLAIMS = (
    *(
        _cells(f"Backgrounds suffice: on {TITLES[name]}, a network trained on {TITLES[name]} does better than one "
               "trained on Only-FG, that is, on objects without backgrounds.",
               "02", ABOVE_ZERO, (name, name), ("only_fg", name))
        for name in ("only_bg_b", "only_bg_t", "no_fg")
    ),
    *(
        _cells(f"A network trained on {TITLES[name]}, which shows no objects, does better than chance on whole images "
               "(Original).", "02", ABOVE_CHANCE, (name, "original"))
        for name in ("only_bg_b", "only_bg_t", "no_fg")
    ),
    *(
        _cells(f"Boxes give little away: on {TITLES[name]}, a network trained on Only-FG scores less than 15 points "
               "above chance.", "02", LITTLE, ("only_fg", name), own_bound=True)
        for name in ("only_bg_b", "only_bg_t")
    ),
    _cells("A network trained on IN-9L does better on No-FG, which shows the object's outline, than on Only-BG-B.",
           "02", ABOVE_ZERO, (IN9L, "no_fg"), (IN9L, "only_bg_b"), "in9l_no_fg_over_only_bg_b"),
    _cells("A network trained on Original does about as well on No-FG as on Only-BG-T (within 2 points).",
           "02", ALIKE, ("original", "no_fg"), ("original", "only_bg_t"), "original_no_fg_over_only_bg_t",
           own_bound=True),
    _cells("A network trained on Original uses backgrounds: its BG-Gap is above zero.",
           "03", ABOVE_ZERO, ("original", "mixed_same"), ("original", "mixed_rand")),
    *(
        Claim(text, "03", ABOVE_ZERO, q.table5(cell, minus), q.more_images(cell, minus))
        for text, cell, minus in (
            ("More training images do not close the gap: after training on IN-9L, it is still above zero.",
             (IN9L, "mixed_same"), (IN9L, "mixed_rand")),
            *(
                ("More training images help: training on IN-9L rather than Original raises accuracy on "
                 f"{TITLES[name]}.", (IN9L, name), ("original", name))
                for name in ("original", "mixed_rand", "only_bg_t")
            ),
        )
    ),
    _cells("A network trained on Original does worse on Mixed-Next, where every background is of another class, than "
           "on Mixed-Rand.", "03", ABOVE_ZERO, ("original", "mixed_rand"), ("original", "mixed_next")),
    Claim("Every architecture relies on backgrounds: even the smallest BG-Gap of a network trained on IN-9L is above "
          "zero.", "03", ABOVE_ZERO, q.row("models", "training == 'in9l' and test == 'bg_gap'", "accuracy"),
          q.Reading(q.smallest_gap), remark=q.first_edition),
    Claim("Most objects are vulnerable: at least one background of another class makes a network trained on IN-9L "
          "answer the background's class.", "04", MOST, q.fact("vulnerable"),
          q.Reading(lambda study: q.attacks(study).vulnerable("targeted"), "targeted, other numbers of backgrounds"),
          own_bound=True, remark=q.attacked_with),
    Claim("No class is a weak target: even for the weakest class, more than half of the other objects are taken for "
          "that class on at least one of its backgrounds.",
          "04", MOST, q.row("adversarial", "measure == 'fooled_any'", protocol=_MET),
          q.Reading(lambda study: q.attacks(study).weakest(), "targeted, other numbers of backgrounds"),
          own_bound=True),
    Claim("Some backgrounds are far stronger than others: the attack success rate of the strongest is more than 25 "
          "points above the mean of its class.",
          "04", Region(0.25), q.words("adversarial backgrounds", "the mean over backgrounds is not printed"),
          q.Reading(q.best_background), own_bound=True),
    Claim("Training on Mixed-Rand protects: fewer objects are vulnerable than after training on Original.",
          "04", ABOVE_ZERO, q.words("adversarial backgrounds", "the paper attacks only one network"),
          q.Reading(q.fewer_vulnerable), remark=q.drawn_anew),
    _cells("Training on Mixed-Rand leaves no BG-Gap (within 2 points).",
           "05", ALIKE, (_ONCE, "mixed_same"), (_ONCE, "mixed_rand"), "bg_gap_mixed_rand", own_bound=True),
    _cells("Training on Mixed-Rand rather than Original raises accuracy on Mixed-Rand.", "05", ABOVE_ZERO,
           (_ONCE, "mixed_rand"), ("original", "mixed_rand"), "mixed_rand_gain_rand"),
    _cells("Training on Mixed-Rand rather than Original raises accuracy on Mixed-Next.", "05", ABOVE_ZERO,
           (_ONCE, "mixed_next"), ("original", "mixed_next")),
    *(
        _cells(f"Training on Mixed-Rand rather than Original lowers accuracy on {TITLES[name]}.",
               "05", ABOVE_ZERO, ("original", name), (_ONCE, name))
        for name in ("only_bg_b", "only_bg_t")
    ),
    *(
        _cells(f"On {TITLES[name]}, a network trained on Mixed-Rand scores less than 15 points above chance.",
               "05", LITTLE, (_ONCE, name), own_bound=True)
        for name in ("only_bg_b", "only_bg_t")
    ),
    Claim("Backgrounds matter little to a network trained on Mixed-Rand: on the five test sets that show the object, "
          "its accuracies differ by less than 10 points.", "05", Region(high=0.1), q.fact("mixed_rand_spread"),
          q.Reading(q.spread, q.protocol(_ONCE)), own_bound=True),
    _cells("Training on Mixed-Rand has a price: accuracy on Original is lower than after training on Original.",
           "05", ABOVE_ZERO, ("original", "original"), (_ONCE, "original")),
    Claim("A network trained on Mixed-Rand looks more at the object than one trained on Original: a larger share of "
          "its saliency map lies there, even when we allow for maps that merely became more central.",
          "06", ABOVE_ZERO, q.words("figure 6"), q.Reading(q.focus_change), remark=q.drawn_anew),
    Claim("Many images need their background: for more than a tenth of them, a network trained on Original is right on "
          "the whole image and wrong on Mixed-Rand.", "07", Region(0.1), q.fact("bg_required_share"),
          q.Reading(lambda study: fine_grained.shares(study.answers("original"))["required"]), own_bound=True),
    Claim("Few images are harmed by their background: for less than a tenth of them, a network trained on Original is "
          "wrong on the whole image and right on Mixed-Rand.", "07", Region(high=0.1), q.fact("bg_fools_share"),
          q.Reading(lambda study: fine_grained.shares(study.answers("original"))["fools"]), own_bound=True),
    *(
        Claim(f"The better a network is on ImageNet, the better it is on {TITLES[name]}.",
              "08", ABOVE_ZERO, q.fact(f"slope_{name}") if name in _FITTED else q.words("figure 8"), q.rise(name))
        for name in (*_FITTED, "mixed_next", "no_fg")
    ),
    Claim("The better a network is on ImageNet, the smaller its BG-Gap.",
          "08", Region(high=0), q.fact("slope_bg_gap"), q.rise("bg_gap")),
    Claim("As accuracy on ImageNet rises, accuracy on Only-BG-T rises less than accuracy on Mixed-Rand.",
          "08", ABOVE_ZERO, q.less(q.fact("slope_mixed_rand"), q.fact("slope_only_bg_t")),
          q.rise("mixed_rand", "only_bg_t")),
    Claim("The better a network is on ImageNet, the less accuracy it loses from Mixed-Rand to Mixed-Next.",
          "08", Region(high=0), q.words("figure 8"), q.rise("mixed_rand", "mixed_next")),
    Claim("Training on finer classes narrows the BG-Gap.",
          "10", ABOVE_ZERO, q.fact("finest_below_coarsest"), q.Reading(q.finer_narrows), remark=q.first_edition),
    Claim("More training images raise accuracy on Original.",
          "10", ABOVE_ZERO, q.words("appendix B, figure 11"), q.Reading(q.more_raises), remark=q.first_edition),
    Claim("More training images leave the BG-Gap as it is (within 2 points).",
          "10", ALIKE, q.words("appendix B, figure 11"), q.Reading(q.more_changes_gap), own_bound=True,
          remark=q.first_edition),
    Claim("Training on all of ImageNet leaves a smaller BG-Gap than training on IN-9L (ResNet-50).",
          "10", ABOVE_ZERO, q.less(q.row("models", _RESNET50_GAP.format("in9l"), "accuracy"),
                                   q.row("models", _RESNET50_GAP.format("imagenet"), "accuracy")),
          q.Reading(q.imagenet_narrows)),
    *(
        Claim(f"Adversarially robust training ({title}) narrows the BG-Gap by less than 2 points, if at all.",
              "10", Region(high=0.02), q.words("appendix B, figure 12"), q.robust_narrows(norm), own_bound=True)
        for norm, title in NORM_TITLES.items()
    ),
)  # fmt: skip
