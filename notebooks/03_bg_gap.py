# %% [markdown]
# # Models exploit background signal: the BG-Gap
#
# Give an object the background of another image. If it comes from an image of the same class, a classifier trained on
# whole images names {glue:text}`same` % of the objects; if it comes from an image of a random class,
# {glue:text}`rand` %. The difference, the **BG-Gap**, is {glue:text}`gap` points: what the right background is worth. In the
# paper it is {glue:text}`paper_gap:.1f` points. (In brackets: 95 % interval; the data of this run: {glue:text}`data_name`.)
#
# ## What the paper did
#
# Section 4 of the paper {cite:p}`xiao2021noise` tests models on Mixed-Same and on Mixed-Rand. Both have an object pasted
# on a tiled background, with the same seams; they differ only in where the background comes from. So their difference
#
# $$
# \text{BG-Gap} = \text{accuracy on Mixed-Same} - \text{accuracy on Mixed-Rand}
# $$
#
# is not an effect of pasting.
#
# ## What we did
#
# A single draw of the backgrounds may be a lucky one, so they are drawn several times, and the gap is the mean over draws.
# Both test sets have the same objects, and the interval of the gap is a paired one: it takes the difference of both answers
# to an object. Two answers are not independent if they share an object, or a background image; such pairs are counted
# together (two-way clusters). If networks differ by more than their test images explain, the interval is wider by that.
#
# McNemar's test {cite:p}`mcnemar1947note` compares the objects that are recognised only on Mixed-Same with those that are
# recognised only on Mixed-Rand. If the background did not matter, the two counts would be about equal.

# %% tags=["parameters"]
profile = "control"
recorded = False

# %% tags=["hide-input"]
import pandas as pd

import in9
from in9.evaluation import estimates
from in9.evaluation.predictions import gap_change
from in9.experiments import backgrounds_suffice, bg_gap, masks_and_sizes, paper, why_pretrained
from in9.experiments.bg_gap import ARCHITECTURES, EQUAL_STEPS
from in9.plots import charts, curves, style, tables
from in9.taxonomy import TITLES
from in9.training.recipe import IN9L

study = in9.Study(profile, recorded=recorded)
sources = study.origins
record = sources.get("record", study)  # on photographs
original = study.answers("original")
sizes = {origin: masks_and_sizes.object_sizes(source) for origin, source in sources.items()}
small, large = (next(iter(sizes.values())).iloc[place] for place in (0, -1))
tables.glue(
    same=original.accuracy("mixed_same"),
    rand=original.accuracy("mixed_rand"),
    gap=original.gap(),
    paper_gap=paper.fact("bg_gap_original").value,
    gap_in9l=record.answers("in9l").gap(),
    paper_gap_in9l=paper.fact("bg_gap_in9l").value,
    more_in9l=gap_change(record.answers("in9l"), record.answers("original")),
    gap_once=record.answers("mixed_rand", fresh_backgrounds=False).gap(),
    paper_gap_once=paper.fact("bg_gap_mixed_rand").value,
    small_share=float(small["share"]),
    small_gap=masks_and_sizes.as_text(small),
    large_share=float(large["share"]),
    large_gap=masks_and_sizes.as_text(large),
    data_name=study.profile.name,
)
tables.markdown(f"{study.describe()}\n\n{bg_gap.how_tested(study)}")

# %% mystnb={"figure": {"caption": "BG-Gap in points after training on each set; lines are 95 % intervals (the paper gives none).", "name": "fig-gap"}, "image": {"alt": "A dot plot of the BG-Gap for nine training sets in the paper, our record and this run; Mixed-Rand has a row for backgrounds drawn once and a row for backgrounds drawn anew. Training on Mixed-Rand has a small gap, training on whole images a clear one, training on backgrounds alone the largest."}} tags=["hide-input"]
style.use("svg")
rows = {
    "mixed_rand_once": "Mixed-Rand, drawn once",
    "mixed_rand": "Mixed-Rand, drawn anew",
    **{name: TITLES[name] for name in ("only_fg", "original", "in9l")},
    "equal_steps": "IN-9L, with as many steps as Original",
    "mixed_same": "Mixed-Same, drawn anew (the paper: drawn once)",
    "mixed_next": "Mixed-Next, drawn anew (the paper: drawn once)",
    **{name: TITLES[name] for name in ("no_fg", "only_bg_t", "only_bg_b")},
}
models = {origin: backgrounds_suffice.like_table5(source) for origin, source in sources.items()}
for origin, source in sources.items():
    if IN9L in (measured := EQUAL_STEPS.read(source)):
        models[origin]["equal_steps"] = measured[IN9L]
if not any("equal_steps" in trained for trained in models.values()):
    del rows["equal_steps"]
published = paper.bg_gap().query("where == 'table 5'").replace({"training": {"mixed_rand": "mixed_rand_once"}})
published = published.set_index("training")["bg_gap"]
frames = [pd.DataFrame({"train": published.index, "gap": published.to_numpy()}).assign(origin="paper")]
frames += [backgrounds_suffice.gaps(trained).assign(origin=origin) for origin, trained in models.items()]
shown = pd.concat(frames).replace({"train": rows})
charts.intervals(shown, "train", "gap", list(rows.values()), "BG-Gap, points")

# %% [markdown]
# ## Paper, record, this run

# %% table={"caption": "BG-Gap by training set, in points.", "name": "tab-gap"} tags=["hide-input"]
tables.side_by_side(
    "trained on, BG-Gap in points",
    rows,
    published.to_dict(),
    {origin: {name: each.gap() for name, each in trained.items()} for origin, trained in models.items()},
)


# %% table={"caption": "Whether Mixed-Same and Mixed-Rand are equally often right: p-values of McNemar's exact test, in the first draw of the backgrounds.", "name": "tab-mcnemar"} tags=["hide-input"]
def tested(trained):
    p_values = {}
    for train in ("original", "in9l", "mixed_rand_once", "mixed_rand"):
        first = trained[train].of_draw(0)
        pairs = list(zip(first.correct("mixed_same"), first.correct("mixed_rand"), strict=True))
        for seed, (same, rand) in enumerate(pairs):
            p = estimates.mcnemar(same, rand)
            name = rows[train] if len(pairs) == 1 else f"{rows[train]}, seed {seed}"
            p_values[name] = "< 0.0001" if p < 1e-4 else f"{p:.4f}"
    return p_values


p_values = {origin: tested(trained) for origin, trained in models.items()}
names = {name: name for values in reversed(p_values.values()) for name in values}
tables.side_by_side("trained on, p-value of McNemar's test", names, {}, p_values)

# %% [markdown]
# ## Small objects, large gaps
#
# Where the object fills the image, little background is left to mislead. {numref}`fig-sizes` splits the test images of each
# class into three parts of equal number, by the share of the image that is the object. On our photographs,
# where it is {glue:text}`small_share:.0f` % of the image on average, the gap is {glue:text}`small_gap` points; where it is
# {glue:text}`large_share:.0f` %, {glue:text}`large_gap`. The paper does not say how large its objects are.

# %% mystnb={"figure": {"caption": "BG-Gap after training on Original against the size of the object: each class's third with the smallest, middle and largest objects; bands are 95 % intervals, the dotted line is the paper's gap over all its images.", "name": "fig-sizes"}, "image": {"alt": "A line that falls from left to right, with three points: the BG-Gap of the third of the images with the smallest objects is the largest, and near the paper's; that of the third with the largest objects is the smallest."}} tags=["hide-input"]
frame = pd.concat([part.assign(series=origin) for origin, part in sizes.items()])
frame["share"] = frame["share"].round()
reference = {"BG-Gap, points": [(paper.fact("bg_gap_original").value, "the paper")]}
curves.lines({"BG-Gap, points": frame}, "share", "mean share of the image that is the object, %", references=reference)

# %% [markdown]
# ## Other networks
#
# The paper's table 2 has five architectures trained on IN-9L: all of them use backgrounds. {numref}`fig-networks` has theirs
# and ours. Large networks are trained as long as our hardware allows, so compare the epochs and the accuracy before the gaps:
# a network that is often wrong has little to lose. AlexNet and VGG-16 get a lower learning rate than the others, or they
# learn nothing.

# %% tags=["hide-input"]
tables.markdown(why_pretrained.caveat(sources))

# %% mystnb={"figure": {"caption": "BG-Gap in points of networks of different architecture, all trained on IN-9L; lines are 95 % intervals (the paper gives none).", "name": "fig-networks"}, "image": {"alt": "A dot plot of the BG-Gap of the paper's five architectures and of our small network, in the paper, in our record and in this run, as far as each was measured."}} tags=["hide-input"]
style.use("svg")
networks = {origin: ARCHITECTURES.read(source) for origin, source in sources.items()}
theirs = paper.table("models").query("training == 'in9l'").replace({"model": {"shufflenet": "shufflenet_v2_x1_0"}})
theirs = theirs.pivot(index="model", columns="test", values="accuracy").sort_values("bg_gap")
every = list(dict.fromkeys([*theirs.index, *(name for trained in networks.values() for name in trained)]))
frames = [
    pd.DataFrame({"network": theirs.index, "gap": theirs["bg_gap"].to_numpy()}).assign(
        origin="paper", low=float("nan"), high=float("nan")
    )
]
for origin, trained in networks.items():
    points = [{"network": name, "origin": origin} | each.gap().in_percent()._asdict() for name, each in trained.items()]
    frames.append(pd.DataFrame(points).rename(columns={"value": "gap"}))
shown = pd.concat(frames)
shown["network"] = shown["network"].map(style.network_title)
charts.intervals(shown, "network", "gap", list(map(style.network_title, every)), "BG-Gap, points")

# %% table={"caption": "Networks of different architecture, trained on IN-9L: how long, how accurate, and their BG-Gap.", "name": "tab-networks"} tags=["hide-input"]
tests = {"original": "on Original, %", "in9l": "on IN-9L, %", "only_bg_t": "on Only-BG-T, %", "gap": "BG-Gap, points"}


def cells(trained):
    numbers = {}
    for name, each in trained.items():
        numbers[name, "epochs"] = each.models[0].recipe["epochs"]
        numbers |= {(name, test): each.gap() if test == "gap" else each.accuracy(test) for test in tests}
    return numbers


tables.side_by_side(
    "trained on IN-9L",
    {
        (name, test): f"{style.network_title(name)}: {label}"
        for name in every
        for test, label in ({"epochs": "epochs"} | tests).items()
    },
    {(name, test): theirs.loc[name, "bg_gap" if test == "gap" else test] for name in theirs.index for test in tests},
    {origin: cells(trained) for origin, trained in networks.items()},
)

# %% [markdown]
# Most of the networks that were trained on ImageNet's 1,000 classes have smaller gaps in the paper than these:

# %% table={"caption": "BG-Gap of the paper's networks that were trained on ImageNet's 1,000 classes.", "name": "tab-pretrained-gap"} tags=["hide-input"]
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
    ]
)

# %% [markdown]
# ## Where we differ, and why
#
# - **Bounded from above.** A model that is often wrong on Mixed-Same cannot lose much on Mixed-Rand. Gaps are best compared
#   between models of similar accuracy on Original; see {doc}`/02_backgrounds_suffice` for those.
# - **More images.** In the paper training on IN-9L rather than Original takes the gap from {glue:text}`paper_gap:.1f` to
#   {glue:text}`paper_gap_in9l:.1f` points. On our photographs it changes it by {glue:text}`more_in9l`, to {glue:text}`gap_in9l`.
#   Our IN-9L has about twice as many images as Original, the paper's four times, and what it adds are images for which no mask
#   was good enough. Training on it takes more steps as well, as each epoch shows all images.
# - **Random class.** Here one in nine backgrounds of Mixed-Rand is of the true class. Where the authors leave the true class
#   out (they do not say), the gap would be larger by about an eighth.
# - **Large objects.** Part of the difference to the paper may be the size of the objects ({numref}`fig-sizes`).
#   {doc}`/12_why_we_differ` tries further suspects.
# - **A small gap remains.** After training on Mixed-Rand, drawn once, the paper's gap is {glue:text}`paper_gap_once:.1f` points
#   and ours {glue:text}`gap_once`. {doc}`/05_mixed_rand_training` names what may be left.
#
# ## Try it yourself
#
# Does the gap shrink if the network sees fewer pixels of background? Train with tighter crops:
# `study.answers("original", augmentation={"smallest_crop": 0.9}).gap()`.
#
# ## Next
#
# {doc}`/04_adversarial_backgrounds`: instead of a random background, the worst one.
