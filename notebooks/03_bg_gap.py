# %% [markdown]
# # 3 · The BG-Gap (section 4)

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
import numpy as np
import pandas as pd

from in9.book.setup import open_study
from in9.data import photographs
from in9.evaluation import estimates
from in9.evaluation.predictions import gap_change
from in9.experiments import (
    backgrounds_suffice,
    bg_gap,
    masks_and_sizes,
    paper,
    verdicts,
    why_pretrained,
)
from in9.experiments.experiment import told
from in9.plots import charts, curves, page, pictures, style, tables
from in9.taxonomy import CLASS_NAMES, TITLES
from in9.training.recipe import IN9L

study = open_study(globals())
sources = study.origins
original = study.answers("original")
verdict = verdicts.verdict_on("A network trained on Original uses backgrounds", study)
page.finding(
    "Move objects from backgrounds of their own class to backgrounds of random classes, and a network loses {gap:.1f} "
    "points of accuracy, although the objects are the same.",
    paper=verdict.claim.printed().value,
    ours=verdict.ours,
    verdict=verdict.decision,
    gap=original.gap(),
)

# %% [markdown]
# ## See it
#
# Each object is shown in its own image, then on a background of its own class, then on one of another class.

# %% mystnb={"image": {"alt": "Three objects in a row each: a salmon, a tank and a duck. In the first column they are as photographed, in the second on the background of another image of their class, where the network names them, in the third on the background of another class, where it does not."}} tags=["remove-input"]
style.use("jpeg")
shown = photographs.shown(study.workspace.photographs)
trios = [
    [shown.row(name) for name in trio.split()]
    for trio in ("dd4d fc94 4498", "ed35 67dd d6ea", "4aeb 5ec8 b722")
]
images, answers = bg_gap.on_backgrounds(study, shown, trios)
names = [CLASS_NAMES[shown.labels[trio[0]]] for trio in trios]
page.show(
    pictures.picture_grid(
        dict(zip(names, images, strict=True)),
        ["as photographed", "background of its class", "background of another"],
        dict(zip(names, answers, strict=True)),
    ),
    "The object is the same in each row; with the background, the answer can change. These pictures were chosen to show "
    "that; no number of this book rests on them. {answers}{credit}",
    answers="Below each picture is the answer of EfficientNet-Lite0, a network trained on ImageNet. "
    if any(map(any, answers))
    else "",
    credit=shown.credit(row for trio in trios for row in trio),
)

# %% [markdown]
# ## How it works
#
# Two test sets show the same objects. In *Mixed-Same* an object stands on the background of another image of its own
# class, in *Mixed-Rand* on that of an image of a random class. Both are pasted in the same way, so pasting itself should
# not explain a difference between them. That difference is the **BG-Gap** ([Xiao et al.,
# 2021](https://arxiv.org/abs/2006.09994)):
#
# $$
# \text{BG-Gap} = \text{accuracy on Mixed-Same} - \text{accuracy on Mixed-Rand}
# $$
#
# Accuracy gives each class the same weight, as in chapter 2. The next cell computes the gap from the answers to each
# image, for one random draw of the backgrounds:

# %%
network = original.of_draw(0)  # the answers on one draw of the backgrounds
labels = network.labels["mixed_same"]
on_same = network.classes["mixed_same"][0, 0]  # the answer to each object
on_random = network.classes["mixed_rand"][0, 0]


def accuracy(answers):
    right = answers == labels
    return 100 * np.mean(
        [right[labels == label].mean() for label in range(len(CLASS_NAMES))]
    )


print(f"Mixed-Same  {accuracy(on_same):.1f} %")
print(f"Mixed-Rand  {accuracy(on_random):.1f} %")
print(f"BG-Gap      {accuracy(on_same) - accuracy(on_random):.1f} points")

# %% tags=["remove-input"]
page.say(
    """
    One draw of the backgrounds may be a lucky one. The package therefore draws them several times and takes the mean:
    **{gap}** points. In brackets is the 95 % interval. It takes into account that both test sets have the same objects,
    that several objects share a background, and that networks differ. {tested}
    """,
    gap=original.gap(),
    tested=bg_gap.how_tested(study),
)

# %% [markdown]
# ## Evidence

# %% mystnb={"image": {"alt": "A dot plot of the BG-Gap after training on each set, in the paper and in our record. Training on Mixed-Rand has a gap near zero, training on whole images a clear one, training on backgrounds alone the largest."}} tags=["remove-input"]
style.use("svg")
rows = {
    "mixed_rand_once": "Mixed-Rand, drawn once",
    "mixed_rand": "Mixed-Rand, drawn anew",
    **{name: TITLES[name] for name in ("only_fg", "original", "in9l")},
    "equal_steps": "IN-9L, with as many steps as Original",
    "mixed_same": "Mixed-Same, drawn anew (paper: drawn once)",
    "mixed_next": "Mixed-Next, drawn anew (paper: drawn once)",
    **{name: TITLES[name] for name in ("no_fg", "only_bg_t", "only_bg_b")},
}
models = {
    origin: backgrounds_suffice.like_table5(source)
    for origin, source in sources.items()
}
for origin, source in sources.items():
    if IN9L in (measured := bg_gap.EQUAL_STEPS.read(source)):
        models[origin]["equal_steps"] = measured[IN9L]
if not any("equal_steps" in trained for trained in models.values()):
    del rows["equal_steps"]
published = (
    paper.bg_gap()
    .query("where == 'table 5'")
    .replace({"training": {"mixed_rand": "mixed_rand_once"}})
)
published = published.set_index("training")["bg_gap"]
frames = [
    pd.DataFrame({"train": published.index, "gap": published.to_numpy()}).assign(
        origin="paper"
    )
]
frames += [
    backgrounds_suffice.gaps(trained).assign(origin=origin)
    for origin, trained in models.items()
]
shown = pd.concat(frames).replace({"train": rows})
page.show(
    charts.intervals(shown, "train", "gap", list(rows.values()), "BG-Gap, points"),
    """
    BG-Gap after training on each set. Lines are 95 % intervals; the paper gives none. *Drawn once*: each training object
    keeps one background, as in the paper. *Drawn anew*: it gets another in each epoch, a pass over all training images.
    """,
)

# %% [markdown]
# The gap depends on the size of the object: where it fills the image, little background is left to mislead. The next
# figure splits the test images of each class into thirds by the share of the image that the object covers. Compare the
# smallest objects with the paper's gap, the dotted line. The paper does not say how large its objects are.

# %% mystnb={"image": {"alt": "A line that falls from left to right through three points: the smaller the objects, the larger the gap. The paper's gap is a dotted line near the first point."}} tags=["remove-input"]
sizes = {
    origin: masks_and_sizes.object_sizes(source) for origin, source in sources.items()
}
frame = pd.concat([part.assign(series=origin) for origin, part in sizes.items()])
frame["share"] = frame["share"].round()
reference = {"BG-Gap, points": [(verdict.claim.printed().value, "the paper")]}
page.show(
    curves.lines(
        {"BG-Gap, points": frame},
        "share",
        "mean share of the image that is the object, %",
        references=reference,
    ),
    "BG-Gap after training on Original, by the size of the object. In our record, the smaller the object, the larger the gap. Bands are "
    "95 % intervals.",
)

# %% [markdown]
# ## What could fool us

# %% tags=["remove-input"]
record = told(study, backgrounds_suffice.MATRIX, masks_and_sizes.MASK_CHANGES)
thirds = masks_and_sizes.object_sizes(record)
equal = ""
if shorter := models[record.origin].get("equal_steps"):
    change = gap_change(shorter, record.answers("original"))
    networks, all_networks = len(shorter.seeds), len(record.profile.seeds)
    equal = f" With as many steps as on Original, the change is {change.text()} points"
    if networks < all_networks:
        equal += f", measured with {networks} of the {all_networks} networks"
    equal += "."
page.say(
    """
    - **The size of the objects.** The gap is {large} points for the largest third of the objects and {small} for the
      smallest. [Chapter 11](11_why_we_differ.ipynb) asks what it would be if our objects were as large as ImageNet's.
    - **Backgrounds of the right class.** One in nine backgrounds of our Mixed-Rand is of the object's own class. The
      paper does not say whether it leaves these out. Without them, our gap would be larger by about an eighth, which is
      {eighth:.1f} points.
    - **The number of training images.** Training on the larger set IN-9L changes the gap by {more_in9l} points, to
      {gap_in9l} (paper: from {paper_gap:.1f} to {paper_gap_in9l:.1f}). But {more}its networks also train for more steps.{equal}
    """,
    small=masks_and_sizes.as_text(thirds.iloc[0]),
    large=masks_and_sizes.as_text(thirds.iloc[-1]),
    eighth=original.gap().in_percent().value / 8,
    more_in9l=gap_change(record.answers("in9l"), record.answers("original")),
    gap_in9l=record.answers("in9l").gap(),
    more="our IN-9L adds only images without a good mask, and "
    if record.recorded
    else "",
    equal=equal,
    paper_gap=verdict.claim.printed().value,
    paper_gap_in9l=paper.fact("bg_gap_in9l").value,
)

# %% [markdown]
# ## Exercise
#
# Which classes need their background most? Complete the function: for each class, the percentage of its objects that are
# recognised on Mixed-Same minus the percentage on Mixed-Rand.


# %%
def gap_of_class(label):
    of_class = labels == label
    return 0.0 * of_class.mean()  # your answer here


pd.Series({name: gap_of_class(label) for label, name in enumerate(CLASS_NAMES)}).round(
    1
)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def gap_of_class(label):
#     of_class = labels == label
#     return 100 * ((on_same == label)[of_class].mean() - (on_random == label)[of_class].mean())
# ```
#
# The package does the same over all draws and adds an interval: `original.gap(original.labels["mixed_same"] == label)`.
#
# </details>
#
# ## All numbers

# %% tags=["remove-input"]
tables.side_by_side(
    "trained on, BG-Gap in points",
    rows,
    published.to_dict(),
    {
        origin: {name: each.gap() for name, each in trained.items()}
        for origin, trained in models.items()
    },
    caption="BG-Gap by training set, in points",
    fold=True,
)


# %% tags=["remove-input"]
def tested(trained):
    p_values = {}
    trainings = ("original", "in9l", "mixed_rand_once", "mixed_rand")
    for train in (name for name in trainings if name in trained):
        first = trained[train].of_draw(0)
        pairs = list(
            zip(first.correct("mixed_same"), first.correct("mixed_rand"), strict=True)
        )
        for seed, (same, rand) in enumerate(pairs):
            p = estimates.mcnemar(same, rand)
            name = rows[train] if len(pairs) == 1 else f"{rows[train]}, seed {seed}"
            p_values[name] = "< 0.0001" if p < 1e-4 else f"{p:.4f}"
    return p_values


p_values = {origin: tested(trained) for origin, trained in models.items()}
names = {name: name for values in reversed(p_values.values()) for name in values}
tables.side_by_side(
    "trained on",
    names,
    {},
    p_values,
    caption="p-values of McNemar's exact test for the first draw. The test compares the objects recognised only on "
    "Mixed-Same with those recognised only on Mixed-Rand. If the background did not matter, the two counts would be about "
    "equal.",
    fold=True,
)

# %% [markdown]
# **Other architectures.** Table 2 of the paper has five networks trained on IN-9L. The next figure shows their gaps and
# ours. Compare accuracies before you compare gaps: a network that is often wrong has little to lose.

# %% mystnb={"image": {"alt": "A dot plot of the BG-Gap of five architectures and our small network, in the paper and in our record."}} tags=["remove-input"]
networks = {
    origin: bg_gap.ARCHITECTURES.read(source) for origin, source in sources.items()
}
theirs = (
    paper.table("models")
    .query("training == 'in9l'")
    .replace({"model": {"shufflenet": "shufflenet_v2_x1_0"}})
)
theirs = theirs.pivot(index="model", columns="test", values="accuracy").sort_values(
    "bg_gap"
)
every = list(
    dict.fromkeys(
        [*theirs.index, *(name for trained in networks.values() for name in trained)]
    )
)
frames = [
    pd.DataFrame({"network": theirs.index, "gap": theirs["bg_gap"].to_numpy()}).assign(
        origin="paper", low=float("nan"), high=float("nan")
    )
]
for origin, trained in networks.items():
    points = [
        {"network": name, "origin": origin} | each.gap().in_percent()._asdict()
        for name, each in trained.items()
    ]
    frames.append(pd.DataFrame(points).rename(columns={"value": "gap"}))
shown = pd.concat(frames)
shown["network"] = shown["network"].map(style.network_title)
page.show(
    charts.intervals(
        shown, "network", "gap", list(map(style.network_title, every)), "BG-Gap, points"
    ),
    f"BG-Gap of networks trained on IN-9L; lines are 95 % intervals. {why_pretrained.caveat(sources)}",
)

# %% tags=["remove-input"]
tests = {
    "original": "on Original, %",
    "in9l": "on IN-9L, %",
    "only_bg_t": "on Only-BG-T, %",
    "gap": "BG-Gap, points",
}


def cells(trained):
    numbers = {}
    for name, each in trained.items():
        numbers[name, "epochs"] = each.models[0].recipe["epochs"]
        numbers |= {
            (name, test): each.gap() if test == "gap" else each.accuracy(test)
            for test in tests
        }
    return numbers


tables.side_by_side(
    "trained on IN-9L",
    {
        (name, test): f"{style.network_title(name)}: {label}"
        for name in every
        for test, label in ({"epochs": "epochs"} | tests).items()
    },
    {
        (name, test): theirs.loc[name, "bg_gap" if test == "gap" else test]
        for name in theirs.index
        for test in tests
    },
    {origin: cells(trained) for origin, trained in networks.items()},
    caption="Networks of different architecture, trained on IN-9L",
    fold=True,
)

# %% tags=["remove-input"]
tables.table(
    [
        {
            "model (paper, table 2)": row.model,
            "Mixed-Same, %": row.mixed_same,
            "Mixed-Rand, %": row.mixed_rand,
            "BG-Gap, points": row.bg_gap,
        }
        for row in paper.bg_gap()
        .query("where == 'table 2' and training == 'imagenet'")
        .sort_values("bg_gap")
        .itertuples()
    ],
    caption="BG-Gap of the paper's networks that were trained on ImageNet's 1,000 classes",
    fold=True,
)

# %% tags=["remove-input"]
page.say(study.describe())

# %% [markdown]
# **Next:** [4 · Adversarial backgrounds](04_adversarial_backgrounds.ipynb): the worst background instead of
# a random one.
