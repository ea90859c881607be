# %% [markdown]
# # 7 · A fine-grained look (section 4, table 3)

# %% tags=["parameters"]
profile: str = "tiny"  # a profile of the project, or the path of a TOML file
measure: bool = False  # train and measure what has no record, or show records
device: str = "auto"  # auto, cpu, cuda or cuda:1
data: str = None  # folder of a dataset; from here on None is the profile's
epochs: int = None
seeds: list[int] = None  # with papermill -p: 0,1
architecture: str = None

# %% tags=["hide-input"]
import numpy as np
import pandas as pd

from in9.book.setup import open_study
from in9.data import photographs
from in9.experiments import fine_grained, paper, verdicts
from in9.experiments.adversarial_backgrounds import answered_pairs
from in9.experiments.mixed_rand_training import WAYS, answers
from in9.plots import charts, page, pictures, style, tables
from in9.taxonomy import TITLES

study = open_study(globals())
trained = {
    "original": "Original",
    "mixed_rand_once": "Mixed-Rand, drawn once",
    "only_bg_t": "Only-BG-T",
}
models = {
    origin: {name: answers(source, name) for name in trained}
    for origin, source in study.origins.items()
}
shares = {
    origin: {name: fine_grained.shares(each[name]) for name in trained}
    for origin, each in models.items()
}
first = next(iter(models))  # our record on photographs, if there is one
original, ours = models[first]["original"], shares[first]["original"]
verdict = verdicts.verdict_on("The background decides for many", study)
page.finding(
    "Of 100 images, {required:.0f} are named rightly as they are and wrongly on a random background; for {fools:.0f} it is the "
    "other way round: their own background misleads.",
    paper=f"about {verdict.claim.printed().value:.0f}",
    ours=verdict.ours,
    verdict=verdict.decision,
    required=ours["required"],
    fools=ours["fools"],
)

# %% [markdown]
# ## See it
#
# Three pictures of each object say which part of an image a network needs: the whole image, the object on a random background,
# and the background alone.

# %% mystnb={"image": {"alt": "A grid of pictures. Each row has a photograph, its object on a random background, and its own background with tiles in place of the object. Below each stands the answer of a network with a tick or a cross; the row's name says which category follows."}} tags=["remove-input"]
style.use("jpeg")
illustrations = photographs.shown(study.workspace.photographs)
pairs = answered_pairs(study, illustrations)
looked = fine_grained.of_illustrations(illustrations, pairs)
looked = looked.groupby("category", sort=False, observed=True).head(2)
shown, words = fine_grained.three_pictures(illustrations, looked)
page.show(
    pictures.picture_grid(
        shown,
        ["whole image", "object on a random background", "background alone"],
        words,
    ),
    """
    {answers}The photographs are for showing: no claim rests on them. {credit}
    """,
    answers=""
    if illustrations.drawn
    else "At most two photographs of each category that occurs. EfficientNet-Lite0, which answered, was trained on all of ImageNet; it "
    f"names {sum(pairs.alone == pairs.labels)} of the {len(pairs.labels)} photographs rightly as they are, and only the others can be "
    "fooled by their own background. Each object was tried on eight random backgrounds of other classes. ",
    credit=illustrations.credit([*looked["row"], *looked["background"]]),
)

# %% [markdown]
# The numbers below are of networks that were trained on ImageNet-9 alone, and err more often.
#
# ## How it works
#
# Table 3 of the paper ([Xiao et al., 2021](https://arxiv.org/abs/2006.09994)) asks of each test image which of three answers are
# right. The answer on *Original* stands for the whole image, that on *Mixed-Rand* for the foreground, and that on *Only-BG-T*, where
# tiles cover the object, for the background.
#
# | category | whole image | foreground | background |
# |:--|:--|:--|:--|
# | BG Required | right | wrong | right |
# | BG+FG Required | right | wrong | wrong |
# | BG Fools | wrong | right | wrong |
# | BG+FG Fools | wrong | right | right |
# | BG Irrelevant | as the foreground | as the whole image | any |
#
# Here are the categories of one network, from its answers to each image. The last line takes the share in each class first, and then
# the mean over the classes, so that every class counts the same:

# %%
network = original.of_draw(0)  # the answers on one draw of the backgrounds
labels = network.labels["original"]
whole = network.classes["original"][0, 0]
on_random = network.classes["mixed_rand"][0, 0]
alone = network.classes["only_bg_t"][0, 0]

full, foreground, background = (part == labels for part in (whole, on_random, alone))
category = pd.Series("BG Irrelevant", range(len(labels)), name="category")
category[full & ~foreground & background] = "BG Required"
category[full & ~foreground & ~background] = "BG+FG Required"
category[~full & foreground & ~background] = "BG Fools"
category[~full & foreground & background] = "BG+FG Fools"
100 * pd.crosstab(labels, category, normalize="index").mean().round(3)

# %% [markdown]
# An image that is required adds one right answer to *Original* and none to *Mixed-Rand*; one that is fooled does the reverse; all
# others add the same to both. So the categories split a difference that we know:
#
# $$
# \begin{aligned}
# &\text{Required} - \text{Fools} \\
# &= \text{accuracy on Original} - \text{accuracy on Mixed-Rand}
# \end{aligned}
# $$

# %% tags=["remove-input"]
balance, difference = fine_grained.balance(original)
page.say(
    """
    For our networks the two sides are {balance} and {difference} points. These and all
    numbers below are means over {draws} of the backgrounds: an object that needs its
    background in half of them counts half.
    """,
    balance=balance,
    difference=difference,
    draws="one draw"
    if (count := original.classes["mixed_rand"].shape[1]) == 1
    else f"{count} draws",
)

# %% [markdown]
# ## Evidence

# %% mystnb={"image": {"alt": "A dot plot of the share of test images in each category: Required and Fools with their parts, BG Irrelevant, and the images that the background misleads to its own wrong class, in the paper where known and in our record."}} tags=["remove-input"]
style.use("svg")
names = {
    "required": "BG or BG+FG Required",
    "bg_required": "– BG Required",
    "bg_fg_required": "– BG+FG Required",
    "fools": "BG or BG+FG Fools",
    "bg_fools": "– BG Fools",
    "bg_fg_fools": "– BG+FG Fools",
    "bg_irrelevant": "BG Irrelevant",
    "both_right": "– right both times",
    "both_wrong": "– wrong both times",
    "misled": "same wrong class as background",
}
published = {
    name: paper.fact(f"bg_{name}_share").value for name in ("required", "fools")
}
points = [
    {"category": names[name], "origin": "paper", "value": value}
    for name, value in published.items()
]
points += [
    {"category": label, "origin": origin}
    | each["original"][name].in_percent()._asdict()
    for origin, each in shares.items()
    for name, label in names.items()
]
page.show(
    charts.intervals(
        pd.DataFrame(points),
        "category",
        "value",
        list(names.values()),
        "share of the test images, %",
    ),
    """
    The categories after training on Original. Lines are 95 % intervals. Of the paper we
    know what its text says: about so many in the two Required categories, and about so
    many fooled. The last row is a stricter rule of the paper's appendix: the foreground
    is named rightly, and the whole image gets the same wrong class as the background
    alone.
    """,
)

# %% tags=["remove-input"]
once, blind = shares[first]["mixed_rand_once"], shares[first]["only_bg_t"]
page.say(
    """
    A network that used the object alone would have no image in the categories Required
    and Fools. Training on Mixed-Rand, drawn once as in the paper, comes closer to that:
    {required} % are Required and {fools} % fooled. Here a background changes answers
    for the better and for the worse; what it adds on balance is {balance:.1f} points,
    against {before:.1f} after training on Original. A network trained on Only-BG-T has
    never seen an object: {required_blind} % are Required and {fools_blind} % fooled.
    """,
    required=once["required"],
    fools=once["fools"],
    balance=fine_grained.balance(models[first]["mixed_rand_once"])[0],
    before=balance,
    required_blind=blind["required"],
    fools_blind=blind["fools"],
)

# %% [markdown]
# ## What could fool us

# %% tags=["remove-input"]
matrix = paper.train_test_matrix()
page.say(
    """
    - **Chance.** A network that is often wrong is right by luck on one picture and
      wrong on the next. That adds to both Required and Fools, and leaves their
      difference as it is. The stricter rule suffers less: by it {misled} % are fooled,
      {less:.1f} points fewer.
    - **Backgrounds of the right class.** One in nine backgrounds of Mixed-Rand is of
      the object's own class, and helps. On the others {foreign:.1f} % are Required,
      {more:.1f} points more.
    - **One network or three.** The paper does not say whether one network makes all
      three predictions, or each comes from the network trained on such images. The
      identity above decides it: the paper's shares differ by about {theirs:.0f} points.
      For one network, table 5 of the paper gives {single:.1f} points; for three,
      {three:.1f}.
    """,
    misled=ours["misled"],
    less=round(100 * ours["fools"].value, 1) - round(100 * ours["misled"].value, 1),
    foreign=100 * (foreign := fine_grained.required_on_other_classes(original)),
    more=round(100 * foreign, 1) - round(100 * ours["required"].value, 1),
    theirs=published["required"] - published["fools"],
    single=float(
        matrix.loc["original", "original"] - matrix.loc["original", "mixed_rand"]
    ),
    three=float(
        matrix.loc["original", "original"] - matrix.loc["mixed_rand", "mixed_rand"]
    ),
)

# %% [markdown]
# ## Exercise
#
# Write down the stricter rule of the paper's appendix. An image is *misled* if the network names its foreground rightly, but gives the
# whole image the same wrong class as the background alone. Use `whole`, `on_random`, `alone` and `labels` from above.

# %%
misled = np.zeros(len(labels), bool)  # your answer here

share = pd.Series(misled).groupby(labels).mean().mean()
print(f"misled: {100 * share:.1f} %")

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# misled = (on_random == labels) & (whole != labels) & (whole == alone)
# ```
#
# All of these images are in the category BG Fools. The package has the rule as `fine_grained.misled(original)`.
#
# </details>
#
# ## All numbers

# %% tags=["remove-input"]
parts = [*fine_grained.CATEGORIES, "required", "fools"]
tables.side_by_side(
    "trained on: category, % of the test images",
    {
        (name, part): f"{trained[name]}: {names[part].lstrip('– ')}"
        for name in trained
        for part in (names if name == "original" else parts)
    },
    {("original", name): value for name, value in published.items()},
    {
        origin: {(name, part): each[name][part] for name in trained for part in names}
        for origin, each in shares.items()
    },
    caption="Share of the test images in each category, in percent, by training set",
    fold=True,
)

# %% tags=["remove-input"]
sides = ("Required minus Fools", "accuracy on Original minus Mixed-Rand")
rows = {name: matrix.loc[WAYS[name]["train_on"]] for name in trained}
balances = {
    origin: {
        (name, side): number
        for name in trained
        for side, number in zip(sides, fine_grained.balance(each[name]), strict=True)
    }
    for origin, each in models.items()
}
tables.side_by_side(
    "trained on: points",
    {
        (name, side): f"{title}: {side}"
        for name, title in trained.items()
        for side in sides
    },
    {
        (name, sides[1]): float(row["original"] - row["mixed_rand"])
        for name, row in rows.items()
    }
    | {("original", sides[0]): published["required"] - published["fools"]},
    balances,
    caption="Both sides of the equation, in points",
    fold=True,
)

# %% mystnb={"image": {"alt": "Three flow diagrams, one for each training set. Each has three columns, for the whole image, the foreground and the background, with a bar for right and a bar for wrong answers. Bands between the bars are coloured by category: blue from right on the whole image to wrong on the foreground, orange from wrong to right, grey where nothing changes."}} tags=["remove-input"]
page.show(
    charts.flow(
        {
            f"Trained on {title}": fine_grained.paths(models[first][name])
            for name, title in trained.items()
        },
        {
            part: f"{part}: {TITLES[test]}"
            for part, test in fine_grained.ASPECTS.items()
        },
        fine_grained.CATEGORIES,
    ),
    """
    From the answer on the whole image to that on the foreground and that on the
    background; widths are shares of the test images. Blue bands are images that lose
    their right answer with their background, orange bands are images that gain one.
    """,
)

# %% mystnb={"image": {"alt": "A grid of pictures with five rows, one for each category. Each row has two images, each shown three times: whole, with its object on a random background, and as background alone. Below each picture stands the predicted class."}} tags=["remove-input"]
style.use("jpeg")
gallery = None
if study.has_images:
    examples = fine_grained.examples(
        models[study.origin]["original"], study.dataset, number=2
    )
    white = np.full_like(study.dataset.images[0], 255)
    gallery = page.show(
        pictures.picture_grid(
            {
                label: [each[0] if each else white for each in examples[name]]
                for name, label in fine_grained.CATEGORIES.items()
            },
            [*fine_grained.ASPECTS, *fine_grained.ASPECTS],
            {
                label: [
                    fine_grained.marked(each[1], each[2]) if each else ""
                    for each in examples[name]
                ]
                for name, label in fine_grained.CATEGORIES.items()
            },
        ),
        """
        Two test images on this machine of each category, not chosen by hand, in three
        pictures each; below each the answer after training on Original. Empty fields:
        the category has fewer images.
        """,
    )
gallery

# %% tags=["remove-input"]
page.say(
    f"{study.describe()} BG Irrelevant does not mean right: it holds all images that are wrong both times. The paper drew Mixed-Rand "
    "once, which changes no expected share. Its figure 7 has all five categories for three networks, but its text has only the two sums "
    "above."
)

# %% [markdown]
# **Next:** [8 · Benchmark progress](08_benchmark_progress.ipynb): do networks that are better on ImageNet depend less on backgrounds?
