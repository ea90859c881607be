# %% [markdown]
# # 2 · Backgrounds suffice (section 3)

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
from in9.book.switchable import switchable_matrix
from in9.data import photographs
from in9.experiments import backgrounds_suffice, paper, verdicts
from in9.experiments.backgrounds_suffice import MATRIX
from in9.experiments.experiment import told
from in9.plots import charts, page, pictures, style, tables
from in9.taxonomy import CHANCE, CLASS_NAMES, TITLES

study = open_study(globals())
sources = study.origins
record = told(study, MATRIX)
verdict = verdicts.verdict_on("A network trained on Only-BG-T", study)
page.finding(
    "A network that has never seen an object, only backgrounds, still names the class "
    "of {known:.1f} % of whole images. Guessing gives {chance:.1f} %.",
    paper=verdict.claim.printed().value,
    ours=verdict.ours,
    verdict=verdict.decision,
    known=study.answers("only_bg_t").accuracy("original"),
    chance=100 * CHANCE,
)

# %% [markdown]
# ## See it
#
# The upper row shows what such a network sees in training. This variant is called Only-BG-T: the object's box is
# filled with tiles of the background. Could you tell what was there?

# %% mystnb={"image": {"alt": "Two rows of four pictures. In the upper row the object is replaced by tiles of its background, in the lower row are the same images with their objects: a bird, a vehicle, an insect, a fish."}} tags=["remove-input"]
style.use("jpeg")
shown = photographs.shown(study.workspace.photographs)
chosen = [shown.row(name) for name in ("4bdb56", "1394fa", "611f45", "dd4d03")]
emptied = shown.variant("only_bg_t", chosen)
page.show(
    pictures.picture_grid(
        {
            TITLES["only_bg_t"]: list(emptied),
            TITLES["original"]: list(shown.images[chosen]),
        },
        [""] * len(chosen),
        {TITLES["original"]: [CLASS_NAMES[label] for label in shown.labels[chosen]]},
    ),
    "The same images without their objects (above) and with them (below). They are "
    "for showing: no number of this book rests on them. "
    f"{shown.credit(chosen)}",
)

# %% [markdown]
# ## How it works
#
# The paper trains networks on three [variants](../book/glossary.md) without a foreground: Only-BG-T, Only-BG-B (the box
# is black) and No-FG (the object's silhouette is black). It tests them on the same variant and on whole images. If
# backgrounds said nothing about the class, such a network could only guess.
#
# Classes may differ in size, so **accuracy** gives each class the same weight. Let $N_c$ be the number of images of class
# $c$, $y_i$ the true class of image $i$ and $\hat y_i$ the network's answer. Then
#
# $$
# \text{accuracy} = \frac{1}{9} \sum_{c=1}^{9} \frac{1}{N_c} \sum_{i:\, y_i = c} [\hat y_i = c]
# $$
#
# The next cell computes our number for one cell of the paper's table 5, trained on Only-BG-T and tested on Original. For
# comparison, it also scores two sets of answers that ignore the image.

# %%
network = study.answers("only_bg_t")
labels = network.labels["original"]  # the true classes, 0 to 8
answers = network.classes["original"][0, 0]  # the network's answers


def accuracy(answers):
    right = pd.Series(answers == labels)
    return 100 * right.groupby(labels).mean().mean()


shuffled = np.random.default_rng(0).permutation(answers)
always = np.full_like(labels, CLASS_NAMES.index("vehicle"))
pd.Series(
    {
        "the network": accuracy(answers),
        "its answers in random order": accuracy(shuffled),
        "always the same answer": accuracy(always),
    }
).round(1)

# %% [markdown]
# ## Evidence
#
# This is the whole of table 5: each row is a training set, each column a test set. The switch chooses between the
# paper's numbers, ours and the difference. Point at a number, or select it, to read it with its 95 % interval.

# %% mystnb={"image": {"alt": "Heat maps of training sets by nine test sets, the paper's nine rows above our ten. The diagonal is bright; training on backgrounds alone stays well above chance on whole images; training on Mixed-Next fails where the background misleads."}} tags=["remove-input"]
style.use("svg")
matrices = {
    origin: backgrounds_suffice.accuracies(backgrounds_suffice.like_table5(source))
    for origin, source in sources.items()
}
published = backgrounds_suffice.published()
panels = {"The paper: ResNet-50": published}
panels |= {
    style.panel_title(origin, study.profile.name): matrix
    for origin, matrix in matrices.items()
}
switchable_matrix(
    {"paper": published, **matrices},
    backgrounds_suffice.ROWS,
    ours=record.origin,
    chosen=("only_bg_t", "original"),
    chart=charts.matrix_heatmaps(panels, backgrounds_suffice.ROWS),
    caption="Accuracy in percent after training on one set (rows), tested on another (columns). The paper drew the backgrounds of its mixed "
    "training sets *once*, before training. We draw ours *anew* in each epoch, and "
    "for Mixed-Rand also once. Differences are in points; they compare only rows "
    "whose backgrounds were drawn the same way.",
)

# %% [markdown]
# ## What could fool us


# %% tags=["remove-input"]
table5 = paper.train_test_matrix()
page.say(
    "- **What boxes reveal.** The size and shape of a box say something about the "
    "class. A network trained on Only-FG (the object on black) has never seen a "
    "background, yet it is right on {leak} % of Only-BG-T images (paper: "
    "{paper_leak:.1f} %). A network trained on Only-BG-T scores {beyond} points more. "
    "The shape of the boxes does not explain this difference.\n"
    "- **What silhouettes and bad masks reveal.** No-FG leaves the outline of the "
    "object and, where a mask is bad, parts of the object. A network trained on No-FG "
    "is still right on {no_fg} % of Mixed-Rand images (paper: {paper_no_fg:.1f} %), "
    "although their backgrounds are of random classes. Only-BG-T has no outline.\n"
    "- **Images and networks.** The paper trains a ResNet-50 ([He et al., "
    "2016](https://doi.org/10.1109/CVPR.2016.90)) on images of {pixels:.0f} pixels. "
    "Trained and tested on Original, it reaches {paper_original:.1f} %, ours "
    "{original} %. [Chapter 11](11_why_we_differ.ipynb) looks for the reasons.",
    leak=record.answers("only_fg").accuracy("only_bg_t"),
    paper_leak=table5.loc["only_fg", "only_bg_t"],
    beyond=verdicts.verdict_on(
        "Backgrounds suffice: on Only-BG-T, a network trained on Only-BG-T",
        record,
    ).estimate,
    no_fg=record.answers("no_fg").accuracy("mixed_rand"),
    paper_no_fg=table5.loc["no_fg", "mixed_rand"],
    pixels=paper.fact("recipe_crop").value,
    paper_original=table5.loc["original", "original"],
    original=record.answers("original").accuracy("original"),
)

# %% [markdown]
# ## Exercise
#
# In the paper's table, a network trained on Mixed-Next scores worse than guessing on Only-BG-T. In training, each
# background was of the *next* class in the list: a dog stood on a bird's background, a bird on a vehicle's. So what does
# the network answer when it sees only a background? Complete `shift`: how many places after the true class is the
# answer? The list is circular: after the last class comes the first.

# %%
network = study.answers("mixed_next")
labels = network.labels["only_bg_t"]
answers = network.classes["only_bg_t"][0, 0]

shift = 0 * labels  # your answer here
counts = pd.Series(shift).value_counts(normalize=True).sort_index()
(100 * counts).round(1)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# shift = (answers - labels) % 9
# ```
#
# Shift 8 is the most frequent by far: the answer is the class *before* the true class. The network has learned that
# objects of that class stand on such backgrounds.
#
# </details>
#
# ## All numbers

# %% mystnb={"image": {"alt": "A dot plot: for each of three background-only training sets and for whole images, the accuracy on whole images in the paper and in our record. All lie to the right of the chance line."}} tags=["remove-input"]
rows = ["only_bg_b", "only_bg_t", "no_fg", "original"]
frames = [
    paper.table("train_test_matrix").assign(
        origin="paper", low=float("nan"), high=float("nan")
    )
]
frames += [matrix.assign(origin=origin) for origin, matrix in matrices.items()]
cells = pd.concat(frames)
page.show(
    charts.intervals(
        cells[(cells["test"] == "original") & cells["train"].isin(rows)],
        "train",
        "accuracy",
        rows,
        "accuracy on whole images, %",
        chance=True,
    ),
    "Accuracy on whole images after training on each set without a foreground, and "
    "on Original. Lines are 95 % intervals; the vertical line is chance.",
)

# %% tags=["remove-input"]
pairs = [(row, row) for row in rows] + [(row, "original") for row in rows[:3]]
tables.side_by_side(
    "trained on, accuracy in %",
    {
        (
            row,
            test,
        ): f"{TITLES[row]}, tested on {'the same' if row == test else TITLES[test]}"
        for row, test in pairs
    },
    {(row, test): float(table5.loc[row, test]) for row, test in pairs},
    {
        origin: {(row, test): source.answers(row).accuracy(test) for row, test in pairs}
        for origin, source in sources.items()
    },
    caption="Accuracy of networks that saw no object in training, on their own test set and on whole images",
    fold=True,
)

# %% tags=["remove-input"]
page.say(
    "**Where the paper's text and table disagree.** The text says that a network "
    "trained on Original does about as well on No-FG as on Only-BG-B. In table 5 the "
    "difference is {paper_b:.1f} points; on our photographs it is {b}. Perhaps the "
    "authors meant Only-BG-T: there the table has {paper_t:.1f} points, and we "
    "measure {t}.\n\n"
    "**IN-9L** is a larger training set: all images of the nine classes, with or "
    "without a good mask.",
    paper_b=paper.fact("original_no_fg_over_only_bg_b").value,
    paper_t=paper.fact("original_no_fg_over_only_bg_t").value,
    b=record.answers("original").difference("no_fg", "only_bg_b"),
    t=record.answers("original").difference("no_fg", "only_bg_t"),
)

# %% tags=["remove-input"]
page.say(study.describe())

# %% [markdown]
# **Next:** [3 · The BG-Gap](03_bg_gap.ipynb): how much a network that sees the object
# still relies on its background.
