# %% [markdown]
# # 12 · Calibration with synthetic images (beyond the paper)

# %% tags=["parameters"]
profile: str = "tiny"  # a profile of the project, or the path of a TOML file
measure: bool = False  # train and measure what has no record, or show records
device: str = "auto"  # auto, cpu, cuda or cuda:1
data: str = None  # folder of a dataset; from here on None is the profile's
epochs: int = None
seeds: list[int] = None  # with papermill -p: 0,1
architecture: str = None
training_sets: list[str] = None  # rows of the matrix (table 5)

# %% tags=["hide-input"]
from itertools import pairwise

import numpy as np
import pandas as pd

from in9.book import explore
from in9.book.setup import open_study
from in9.experiments import controls, paper
from in9.experiments.experiment import told
from in9.plots import curves, page, style, tables
from in9.taxonomy import CHANCE

study = open_study(globals())
dial = controls.dial(study)
photographs = controls.calibration(told(study, controls.CALIBRATION))
first, last = min(dial), max(dial)
settings = controls.dial_profiles(study.profile)[first]
zero, chance = dial[first]["gap"], dial[first]["only_bg_t"]
negative = [measured["control"] for measured in dial.values()]
rises = [
    all(
        later[name].value > earlier[name].value
        for earlier, later in pairwise(dial.values())
    )
    for name in ("gap", "only_bg_t")
]
passed = {
    "nothing is found": controls.includes_zero(zero)
    and chance.low <= CHANCE <= chance.high,
    "what is there is found": all(rises),
    "the same is the same": all(map(controls.includes_zero, negative)),
}
page.finding(
    "Where backgrounds say nothing about the class, the BG-Gap is {nothing:.1f} points; where they always show it, the gap is "
    "{everything:.1f}. {passed} of 3 checks of the measure pass.",
    paper="not tested",
    ours=f"{zero.text()} and {dial[last]['gap'].text()}",
    verdict="beyond the paper",
    nothing=zero,
    everything=dial[last]["gap"],
    passed=sum(passed.values()),
)

# %% [markdown]
# ## See it
#
# These images are **synthetic**: a program paints them, so that we know what their backgrounds say. Each class has an object and a
# texture of its own. A dial, $\rho$, sets how often an object stands on the texture of its own class. The objects
# are the same at each position of the dial.

# %% tags=["remove-input"]
explore.dial(study)

# %% [markdown]
# ## How it works
#
# With probability $\rho$ an object gets the texture of its own class, otherwise one of the nine at random. At $\rho = 0$ a
# background says nothing about the class; at $\rho = 1$ it always shows the class.
#
# What should the [BG-Gap](03_bg_gap.ipynb) be? Take a network that looks only at the background and names its texture. In Mixed-Same the
# background is of an image of the object's class, which stands on its own texture with probability
# $\rho + (1 - \rho)/9$. In Mixed-Rand the background is of an image of any class, and the texture is right by
# chance. So
#
# $$
# \text{gap} = \rho + \frac{1 - \rho}{9} - \frac{1}{9} = \frac{8}{9} \, \rho
# $$
#
# A network that also looks at the object has a smaller gap, and one that looks only at the object has none. The next cell
# simulates the network that looks only at the background, on a hundred thousand objects:

# %%
rng = np.random.default_rng(0)
labels = rng.integers(9, size=100_000)


def textures(labels, rho):
    """The class of the texture behind each object."""
    own = rng.random(labels.size) < rho
    return np.where(own, labels, rng.integers(9, size=labels.size))


expected = {}
for rho in dial:
    # Mixed-Same: the background is of an image of the same class; Mixed-Rand: of any
    same = textures(labels, rho) == labels
    rand = textures(rng.permutation(labels), rho) == labels
    gap = 100 * (same.mean() - rand.mean())
    expected[rho] = {"BG-Gap, points": gap, "by the formula": 100 * 8 / 9 * rho}
pd.DataFrame(expected).T.rename_axis("rho").round(1)

# %% [markdown]
# ## Evidence

# %% mystnb={"image": {"alt": "Two panels over the dial rho. Above, differences in points: the BG-Gap rises from near zero, below the line of a network that looks at the background alone; the two controls stay near zero. Below, accuracy on Original and on Only-BG-T, which starts at the chance level and rises."}} tags=["remove-input"]
style.use("svg")
quantities = controls.frame(dial)
bound = pd.DataFrame(
    {"rho": list(dial), "series": "bound", "value": [100 * 8 / 9 * rho for rho in dial]}
)
panels = {
    "difference, points": pd.concat(
        [quantities[quantities["series"].isin(["gap", "paste", "control"])], bound]
    ),
    "accuracy, %": quantities[quantities["series"].isin(["original", "only_bg_t"])],
}
looks = style.QUANTITY_LOOKS | {
    "bound": {
        "label": "looks at the background alone",
        "color": "#d55e00",
        "marker": "x",
    }
}
references = {
    "accuracy, %": [(100 * CHANCE, "chance")],
    "difference, points": [(0, "")],
}
page.show(
    curves.lines(
        panels,
        "rho",
        "rho: how much the background says of the class",
        looks,
        references,
    ),
    "Synthetic images: the measures at each position of the dial, after training on Original. Bands are 95 % intervals. At each "
    "position {networks} networks learned from {per_class} images of each class.",
    networks=len(settings.seeds),
    per_class=settings.source_options["per_class"],
)

# %% tags=["remove-input"]
said = {
    "nothing is found": (
        f"At rho = {first:g} the BG-Gap is zero, and accuracy on Only-BG-T is {100 * CHANCE:.1f} %",
        f"{zero.text()} points; {chance.text()} %",
    ),
    "what is there is found": (
        "Both rise with rho",
        f"to {dial[last]['gap'].text()} points and {dial[last]['only_bg_t'].text()} %",
    ),
    "the same is the same": (
        "Negative control: Mixed-Same in half of the draws minus Mixed-Same in the others is zero",
        "; ".join(control.text() for control in negative),
    ),
}
tables.table(
    [
        {
            "check": name,
            "must hold": rule,
            "measured": number,
            "passed": "yes" if passed[name] else "no",
        }
        for name, (rule, number) in said.items()
    ],
    caption="Three checks, with 95 % intervals. A correct interval misses the truth one time in twenty",
)

# %% [markdown]
# ## What could fool us

# %% tags=["remove-input"]
page.say(
    "- **Pasting.** Original minus Mixed-Same looks like a measure of backgrounds, but it also includes the cost of seams and tiles. "
    "It is {paste_first} points at rho = {first:g} and {paste_last} at rho = {last:g}. On photographs it is {paste}. "
    "In the BG-Gap the cost of pasting largely cancels, because Mixed-Same and Mixed-Rand are both pasted.\n"
    "- **Luck with the draws.** The intervals of the negative control reach as far as {reach:.1f} points. With so few images, a smaller gap "
    "cannot be told from none. On photographs the control is {control} points and the gap {gap}.\n"
    "- **Two causes.** A gap needs backgrounds that reveal the class *and* a network that uses them. At rho = {last:g} the gap could be "
    "{most:.1f} points and is {gap_last}. A gap describes a network on a dataset, not the network alone.",
    first=first,
    last=last,
    paste_first=dial[first]["paste"],
    paste_last=dial[last]["paste"],
    paste=photographs.get("paste", tables.NOTHING),
    reach=100 * max(max(control.high, -control.low) for control in negative),
    control=photographs.get("control", tables.NOTHING),
    gap=photographs.get("gap", tables.NOTHING),
    most=100 * 8 / 9 * last,
    gap_last=dial[last]["gap"],
)

# %% [markdown]
# ## Exercise
#
# Suppose that a network follows the background on a share `listens` of the images. On the others it follows the object and is
# always right. What gap do you expect? Which share would explain the measured gap at rho = 1?


# %%
def expected_gap(rho, listens):
    return 0.0 * rho * listens  # your answer here


measured = {rho: 100 * dial[rho]["gap"].value for rho in dial}
expected = {rho: expected_gap(rho, listens=0.6) for rho in dial}
pd.DataFrame({"expected": expected, "measured": measured}).round(1)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def expected_gap(rho, listens):
#     return 100 * 8 / 9 * rho * listens
#
# measured[1] / (100 * 8 / 9)  # the share that explains the gap at rho = 1
# ```
#
# Do the same for the position in the middle: does a network follow the background as often if it is a weaker hint?
#
# </details>
#
# ## All numbers
#
# There is another check: if a background misleads, wrong answers should be *the background's class* and not just any class.

# %% mystnb={"image": {"alt": "Two lines over the dial rho: how often a wrong answer on Mixed-Rand is the background's class, which rises, and how often it is another wrong class, which does not."}} tags=["remove-input"]
directions = quantities[quantities["series"].isin(["towards", "elsewhere"])]
page.show(
    curves.lines(
        {"share of answers, %": directions}, "rho", "rho", style.QUANTITY_LOOKS
    ),
    "Synthetic images: answers on Mixed-Rand where the background is of another class. How often the answer is that class, and "
    "how often it is one of the seven other wrong classes, per class.",
)

# %% tags=["remove-input"]
tables.table(
    [
        {
            "rho": f"{rho:g}",
            "BG-Gap, points": measured["gap"],
            "negative control, points": measured["control"],
            "Original minus Mixed-Same": measured["paste"],
            "on Only-BG-T, %": measured["only_bg_t"],
            "background's class, minus another": measured["pull"],
        }
        for rho, measured in dial.items()
    ],
    caption="Synthetic images: the BG-Gap and its controls at each position of the dial",
    fold=True,
)

# %% tags=["remove-input"]
published = paper.train_test_matrix().loc["original"]
tables.side_by_side(
    "photographs, trained on Original",
    {
        "original": "accuracy on Original, %",
        "only_bg_t": "accuracy on Only-BG-T, %",
        "gap": "BG-Gap, points",
        "control": "Mixed-Same, half of the draws minus the others, points",
        "paste": "Original minus Mixed-Same, points",
        "towards": "answers that are the background's class, %",
        "elsewhere": "answers that are another wrong class, per class, %",
    },
    {
        "original": published["original"],
        "only_bg_t": published["only_bg_t"],
        "gap": published["mixed_same"] - published["mixed_rand"],
        "paste": published["original"] - published["mixed_same"],
    },
    {origin: controls.calibration(source) for origin, source in study.origins.items()},
    caption="The same measures on the networks of the other chapters",
    fold=True,
)

# %% tags=["remove-input"]
page.say(
    "Each of the {positions} positions has {per_class} synthetic images a class, of {size} x {size} pixels, and trains a `{architecture}` for "
    "{epochs} epochs with {seeds} seeds. Train and test images share rho, so both learn and show less at a low rho. Two "
    "networks tell little of how networks vary, so intervals may be too narrow.",
    positions=len(dial),
    per_class=settings.source_options["per_class"],
    size=settings.source_options["image_size"],
    architecture=settings.recipe.architecture,
    epochs=settings.recipe.epochs,
    seeds=len(settings.seeds),
)

# %% [markdown]
# **Next:** [13 · Explore](13_explore.ipynb): put any object on any background yourself.
