# %% [markdown]
# # 5 · Training on Mixed-Rand (section 4)

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
import pandas as pd
import torch

from in9.book.setup import open_study
from in9.data import photographs
from in9.data.variants import draw_backgrounds
from in9.evaluation.predictions import gain
from in9.experiments import mixed_rand_training, paper, verdicts
from in9.experiments.experiment import told
from in9.experiments.mixed_rand_training import GAINED_ON, MIXED_TRAININGS
from in9.plots import charts, curves, page, pictures, style, tables
from in9.taxonomy import CLASS_NAMES, TITLES

study = open_study(globals())
runs = {
    origin: models
    for origin, source in study.origins.items()
    if (models := MIXED_TRAININGS.read(source))
}
ours = runs[study.origin]
verdict = verdicts.verdict_on(
    "Training on Mixed-Rand rather than Original raises accuracy on Mixed-Rand", study
)
page.finding(
    "Training on Mixed-Rand, with random backgrounds drawn once as in the paper, raises "
    "accuracy on random backgrounds by {gained:.1f} points and changes the BG-Gap from "
    "{before:.1f} to {after:.1f} points. The price is {loss:.1f} points of accuracy on "
    "whole images.",
    paper=f"{verdict.claim.printed().value:.1f} points gained",
    ours=f"{verdict.ours} points gained",
    verdict=verdict.decision,
    gained=gain(ours["mixed_rand_once"], ours["original"], "mixed_rand"),
    before=ours["original"].gap(),
    after=ours["mixed_rand_once"].gap(),
    loss=gain(ours["original"], ours["mixed_rand_once"], "original"),
)

# %% [markdown]
# ## See it
#
# The paper gives each training object one random background before training begins: the background is *drawn once*. Our
# package composes the images while the network trains. A background can therefore also be *drawn anew* in each epoch,
# which is one pass over all training images.

# %% mystnb={"image": {"alt": "Two rows of four pictures of the same object. In the upper row it stands on the same background in all epochs, in the lower row on another one in each."}} tags=["remove-input"]
style.use("jpeg")
illustrations = photographs.shown(study.workspace.photographs)
pool = illustrations.pool()
bird = illustrations.row("7e73c7")
epochs_shown = range(4)
backgrounds = [
    int(draw_backgrounds("mixed_rand", pool, epoch, "train")[0][bird])
    for epoch in epochs_shown
]
mixed = list(illustrations.variant("mixed_rand", [bird] * 4, backgrounds))
page.show(
    pictures.picture_grid(
        {"drawn once": mixed[:1] * 4, "drawn anew": mixed},
        [f"epoch {1 + epoch}" for epoch in epochs_shown],
    ),
    "One object as the network sees it in four epochs: always on the same background "
    "(above), or on another in each epoch (below). The images are for showing: no "
    "number of this book rests on them. "
    f"{illustrations.credit([bird, *backgrounds])}",
)

# %% [markdown]
# ## How it works
#
# Only the images change; the training stays the same. Let $x$ be an image with mask $m$ and class $c$, and let $t$ be the
# background of a random image (its [Only-BG-T](../book/glossary.md)). The network sees the mixed image
# $\tilde x = m \odot x + (1 - m) \odot t$. Training minimises the loss $\ell$ over the weights $\theta$ of the network
# $f_\theta$:
#
# $$
# \sum_{(x, c)} \mathbb{E}_{t} \; \ell\bigl(f_\theta(\tilde x), c\bigr) \to \min_\theta
# $$
#
# The expectation $\mathbb{E}_t$ is estimated by a single $t$ for each object if backgrounds are drawn once, and by another
# $t$ in each epoch if they are drawn anew. We first draw the class of the background, each of the nine with equal
# probability, then an image of that class. Such a background says nothing about the object's class. The next cell makes a
# training batch of four objects:

# %%
generator = torch.Generator().manual_seed(5)
rows = torch.randperm(len(pool), generator=generator)[:4]  # four objects
behind = torch.randint(9, (4,), generator=generator)  # classes of backgrounds

of_class = (pool.labels == behind[:, None]).float()  # [4, images]
others = torch.multinomial(of_class, 1, generator=generator)[:, 0]
masks, objects = pool.masks[rows], pool.images[rows]
batch = torch.where(masks, objects, pool.tiles[others])

# %% mystnb={"image": {"alt": "Four objects, each on the background of another image; above each stand its class and the class of its background."}} tags=["remove-input"]
style.use("jpeg")
pairs = zip(pool.labels[rows], behind, strict=True)
names = [f"{CLASS_NAMES[label]} on {CLASS_NAMES[other]}" for label, other in pairs]
page.show(
    pictures.picture_grid({"": list(batch.permute(0, 2, 3, 1).numpy())}, names),
    f"The four training images of the cell above. {illustrations.credit([*rows.tolist(), *others.tolist()])}",
)

# %% [markdown]
# The gain of such training is the difference between two accuracies on the same objects. The next cell computes it for
# four test sets. Each class has the same weight:


# %%
def accuracy(networks, test):
    labels = networks.labels[test]
    right = (networks.classes[test] == labels).mean((0, 1))
    return 100 * pd.Series(right).groupby(labels).mean().mean()


tests = ["mixed_next", "mixed_rand", "mixed_same", "original"]
before, after = ours["original"], ours["mixed_rand_once"]
rows = [(accuracy(before, test), accuracy(after, test)) for test in tests]
table = pd.DataFrame(rows, tests, ["trained on Original", "on Mixed-Rand"])
table["gain"] = table["on Mixed-Rand"] - table["trained on Original"]
table.round(1)

# %% [markdown]
# ## Evidence

# %% mystnb={"image": {"alt": "A dot plot with eight rows, one for each test set, from Mixed-Next to Only-BG-T. In the paper and in our record, training on Mixed-Rand gains most on Mixed-Next and Mixed-Rand and loses on Original and most on the sets without an object."}} tags=["remove-input"]
style.use("svg")
frames = [mixed_rand_training.published_gains().assign(origin="paper")]
frames += [
    mixed_rand_training.gains(models, "mixed_rand_once").assign(origin=origin)
    for origin, models in runs.items()
]
page.show(
    charts.intervals(
        pd.concat(frames),
        "test",
        "gain",
        GAINED_ON,
        "gain over training on Original, points",
    ),
    "Accuracy after training on Mixed-Rand, drawn once as in the paper, minus "
    "accuracy after training on Original, for each test set. Lines are 95 % "
    "intervals. Training on Mixed-Rand should help where the background misleads, "
    "and cost accuracy where it helps or where it is all there is.",
)

# %% [markdown]
# ## What could fool us

# %% tags=["remove-input"]
record = runs[told(study, MIXED_TRAININGS).origin]
table5 = paper.train_test_matrix()
page.say(
    "- **Memorising.** If backgrounds are drawn once, the network can memorise pairs "
    "of object and background. Drawing anew, with the same number of steps, changes "
    "accuracy by {anew} points on Mixed-Rand and {anew_original} on Original. The "
    "paper has no such training.\n"
    "- **Pasting.** Training on Original never shows a pasted object; training on "
    "Mixed-Rand always does. A part of the gain may come from being used to pasted "
    "objects. On Mixed-Same, where objects are pasted too but the background helps, "
    "training on Mixed-Rand changes accuracy by {same} points (paper: "
    "{paper_same:.1f}). The two effects cannot be separated there.\n"
    "- **Is the remaining gap real?** After training on Mixed-Rand the BG-Gap is {gap} "
    "points (paper: {paper_gap:.1f}). A mask may keep a rim of the object's own "
    "background, which fits a background of its class better, and a background may "
    "show a second object of its class. Our records cannot separate these causes.",
    anew=gain(record["mixed_rand"], record["mixed_rand_once"], "mixed_rand"),
    anew_original=gain(record["mixed_rand"], record["mixed_rand_once"], "original"),
    same=gain(record["mixed_rand_once"], record["original"], "mixed_same"),
    paper_same=table5.loc["mixed_rand", "mixed_same"]
    - table5.loc["original", "mixed_same"],
    gap=record["mixed_rand_once"].gap(),
    paper_gap=paper.fact("bg_gap_mixed_rand").value,
)

# %% [markdown]
# ## Exercise
#
# One in nine backgrounds is of the object's own class, in training and in testing. The paper does not say whether it
# leaves these out. Change the second line so that the class of the background is one of the other eight, each with equal
# probability.

# %%
labels = torch.randint(9, (10_000,), generator=generator)
behind = torch.randint(9, (10_000,), generator=generator)  # your answer

own = 100 * (behind == labels).float().mean()
print(f"{own:.1f} % of the backgrounds are of the object's own class")
print("backgrounds of each class:", torch.bincount(behind).tolist())

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# behind = (labels + torch.randint(1, 9, (10_000,), generator=generator)) % 9
# ```
#
# Such a background does say something about the object: it belongs to another class.
#
# </details>
#
# ## All numbers


# %% tags=["remove-input"]
def numbers(models):
    """What needs both trainings; nothing where one of them has no record."""
    rows = {}
    for name in ("mixed_rand_once", "mixed_rand"):
        if {name, "original"} <= set(models):
            rows |= {
                (name, "next"): gain(models[name], models["original"], "mixed_next"),
                (name, "rand"): gain(models[name], models["original"], "mixed_rand"),
                (name, "loss"): gain(models["original"], models[name], "original"),
                (name, "gap"): models[name].gap(),
                (name, "only_bg_t"): models[name].accuracy("only_bg_t"),
            }
    return rows


labels = {
    "next": "gain on Mixed-Next, points",
    "rand": "gain on Mixed-Rand, points",
    "loss": "loss on Original, points",
    "gap": "BG-Gap, points",
    "only_bg_t": "accuracy on Only-BG-T, %",
}
facts = {
    "next": paper.fact("mixed_rand_gain_next").value,
    "rand": paper.fact("mixed_rand_gain_rand").value,
    "loss": paper.fact("mixed_rand_loss_original").value,
    "gap": paper.fact("bg_gap_mixed_rand").value,
    "only_bg_t": float(table5.loc["mixed_rand", "only_bg_t"]),
}
tables.side_by_side(
    "trained on Mixed-Rand, against Original",
    {
        (name, key): f"{way}: {label}"
        for name, way in (
            ("mixed_rand_once", "drawn once"),
            ("mixed_rand", "drawn anew"),
        )
        for key, label in labels.items()
    },
    {("mixed_rand_once", key): value for key, value in facts.items()},
    {origin: numbers(models) for origin, models in runs.items()},
    caption="What training on Mixed-Rand gains and costs against training on Original",
    fold=True,
)

# %% tags=["remove-input"]
tables.side_by_side(
    "drawn anew minus drawn once, points",
    {test: f"tested on {TITLES[test]}" for test in GAINED_ON[:5]},
    {},
    {
        origin: {
            test: gain(models["mixed_rand"], models["mixed_rand_once"], test)
            for test in GAINED_ON[:5]
        }
        for origin, models in runs.items()
        if {"mixed_rand", "mixed_rand_once"} <= set(models)
    },
    caption="What drawing the backgrounds anew in each epoch adds to drawing them once, in points",
    fold=True,
)

# %% [markdown]
# A network that knows nothing has no gap either. The next figure therefore shows the gap together with the accuracy on
# Original: the best place is at the right, near a gap of zero. In the paper's panel the backgrounds of all mixed
# training sets are drawn once. In ours those of Mixed-Same and Mixed-Next are drawn anew.

# %% mystnb={"image": {"alt": "One panel for the paper, one for our record. Each point is a training set. Training on Original lies at the upper right, on Mixed-Rand near a gap of zero and further left, on Mixed-Next below zero."}} tags=["remove-input"]
panels = {"The paper (all drawn once)": mixed_rand_training.published_tradeoff()}
panels |= {
    style.panel_title(origin, study.profile.name): mixed_rand_training.tradeoff(models)
    for origin, models in runs.items()
}
page.show(
    curves.tradeoff(panels),
    "Accuracy on Original against BG-Gap after each training; crosses are 95 % "
    "intervals (the paper gives none).",
)

# %% tags=["remove-input"]
page.say(
    "**Two numbers for one.** The paper's text gives {in_text:.1f} points as the gain "
    "on Mixed-Rand, its table 5 {in_table:.1f}. We compare with the table.\n\n"
    "**Where the gains start and end.** On Mixed-Next our network is right on "
    "{before} % after training on Original (paper: {paper_before:.1f} %), on {once} % "
    "after training on Mixed-Rand, drawn once (paper: {paper_once:.1f} %), and on "
    "{anew} % with backgrounds drawn anew.",
    in_text=paper.fact("mixed_rand_gain_rand_text").value,
    in_table=paper.fact("mixed_rand_gain_rand").value,
    before=record["original"].accuracy("mixed_next"),
    paper_before=table5.loc["original", "mixed_next"],
    once=record["mixed_rand_once"].accuracy("mixed_next"),
    paper_once=table5.loc["mixed_rand", "mixed_next"],
    anew=record["mixed_rand"].accuracy("mixed_next"),
)

# %% tags=["remove-input"]
page.say(study.describe())

# %% [markdown]
# [Chapter 9](09_what_helps.ipynb) asks for a better bargain: trainings that keep whole images.
#
# **Next:** [6 · Saliency](06_saliency.ipynb): does such a network also look elsewhere?
