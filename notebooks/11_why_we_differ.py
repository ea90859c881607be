# %% [markdown]
# # 11 · Why do our numbers differ? (beyond the paper)

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
from in9.experiments import masks_and_sizes, paper, why_pretrained, why_we_differ
from in9.experiments.masks_and_sizes import CHANGED_MASKS, MASK_CHANGES, SIZE_BINS
from in9.experiments.why_we_differ import LEVELS
from in9.plots import charts, curves, page, style, tables

study = open_study(globals())
sources = study.origins
record = sources.get("record", study)  # on photographs
original = record.answers("original")
weighted = masks_and_sizes.at_imagenet_sizes(record)
published = paper.train_test_matrix().loc["original"]
theirs = {test: float(published[test]) for test in ("original", "only_bg_t")}
theirs["gap"] = paper.fact("bg_gap_original").value
thirds = masks_and_sizes.object_sizes(record).set_index("third")
smallest, largest = thirds.loc["smallest"], thirds.loc["largest"]
page.finding(
    "In our record objects are large, and large objects hide the background. Where they cover {few:.0f} % of the photograph the BG-Gap is "
    "{small:.1f} points, {like} the paper's; where they cover {many:.0f} % it is {large:.1f}.",
    paper=theirs["gap"],
    ours=f"{original.gap().text()} (all photographs), {masks_and_sizes.as_text(smallest)} (smallest objects)",
    verdict="beyond the paper",
    few=smallest["share"],
    many=largest["share"],
    small=smallest["value"],
    large=largest["value"],
    like="like"
    if smallest["low"] <= theirs["gap"] <= smallest["high"]
    else "not quite",
)

# %% [markdown]
# ## How it works
#
# The [BG-Gap](03_bg_gap.ipynb) is the accuracy that a random background costs. An object that fills the image hides the
# background. The photographs of our record, from Tiny ImageNet, are 64 pixels wide and show large objects. The paper does
# not say how large its objects are, but we can measure the objects in ImageNet's validation images.
#
# To compare, we weight our photographs. Let $a_i$ be the share of photograph $i$ that its object covers. The weight $r_i$ says
# how much more often objects of this size occur in ImageNet than in our photographs:
#
# $$
# \text{gap} = \sum_i w_i \; r_i \; (\text{same}_i - \text{rand}_i)
# $$
#
# $$
# r_i = \frac{\text{share of ImageNet's objects of size } a_i}{\text{share of ours}}
# $$
#
# Here $w_i$ gives each class the same weight, and $\text{same}_i$ and $\text{rand}_i$ say how often object $i$ is recognised
# on Mixed-Same and Mixed-Rand.

# %%
labels = original.labels["mixed_same"]
# The share of each photograph that is object, in our test images and in ImageNet's
areas = masks_and_sizes.areas_of(MASK_CHANGES.read(record)[CHANGED_MASKS])
their_areas, their_labels = masks_and_sizes.imagenet_areas(record) or (areas, labels)


def balanced(labels):  # every class counts the same
    return 1 / (9 * np.bincount(labels)[labels])


ours = np.histogram(areas, SIZE_BINS, weights=balanced(labels))[0]
imagenets = np.histogram(their_areas, SIZE_BINS, weights=balanced(their_labels))[0]
ratio = (imagenets / ours)[np.digitize(areas, SIZE_BINS[1:-1])]

same, rand = (original.correct(test) for test in ("mixed_same", "mixed_rand"))
lost = 100 * (same.mean(axis=(0, 1)) - rand.mean(axis=(0, 1)))
print(f"as they are:   {np.sum(balanced(labels) * lost):.1f} points")
print(f"like ImageNet: {np.sum(balanced(labels) * ratio * lost):.1f} points")

# %% [markdown]
# ## Evidence

# %% mystnb={"image": {"alt": "Two panels over the share of the photograph that the object covers. Above, the BG-Gap falls steadily, from above the paper's level for the smallest objects to a quarter of it for the largest. Below, how many objects have each size: ImageNet's are more often small than ours."}} tags=["remove-input"]
style.use("svg")
gaps = {
    origin: masks_and_sizes.gaps_by_size(source) for origin, source in sources.items()
}
middles = masks_and_sizes.gaps_by_size(record)["share"]
common = [pd.DataFrame({"share": middles, "value": 100 * ours, "series": "record"})]
if their_areas is not areas:
    common.append(
        pd.DataFrame({"share": middles, "value": 100 * imagenets, "series": "imagenet"})
    )
panels = {
    "BG-Gap, points": pd.concat(
        [frame.assign(series=origin) for origin, frame in gaps.items()]
    ),
    "objects of that size, %": pd.concat(common).assign(low=np.nan, high=np.nan),
}
panels = {
    title: frame.assign(share=frame["share"].round()) for title, frame in panels.items()
}
reference = {"BG-Gap, points": [(theirs["gap"], "the paper, all sizes")]}
looks = {
    **style.ORIGIN_LOOKS,
    "imagenet": {
        "label": "ImageNet's validation images",
        "color": "#009e73",
        "marker": "^",
    },
}
page.show(
    curves.lines(
        panels,
        "share",
        "share of the photograph that the object covers, %",
        looks,
        reference,
    ),
    "Above: BG-Gap after training on Original, by the size of the object; bands are 95 % intervals. Below: how common each size "
    "is, with the same weight for each class. The last point stands for all objects of more than 60 %.",
)

# %% tags=["remove-input"]
effects = {origin: why_we_differ.effects(source) for origin, source in sources.items()}
levels = {
    origin: found
    for origin, source in sources.items()
    if (found := LEVELS.read(source))
}
quantities = {
    "original": "on Original, %",
    "only_bg_t": "on Only-BG-T, %",
    "gap": "BG-Gap, points",
}


def line(what, values):
    return {"trained on Original": what} | {
        name: values.get(quantity) for quantity, name in quantities.items()
    }


def least(what, found):
    """The smallest part of the detail or of the images that was tried, in words."""
    parts = [suspect for suspect in found if suspect.what == what]
    return (max if what == "detail" else min)(parts).label if parts else ""


lead = "record" if "record" in sources else "run"
own = {
    quantity: original.gap() if quantity == "gap" else original.accuracy(quantity)
    for quantity in quantities
}
undone = {
    "training": "the profile's recipe adds to a lighter one",
    "detail": f"all of the detail adds to {least('detail', levels.get(lead, ()))}",
    "images": f"all of the images add to {least('images', levels.get(lead, ()))}",
}
rows = [line("the paper", theirs), line("ours", own)]
rows.append(
    line("missing", {q: theirs[q] - own[q].in_percent().value for q in quantities})
)
if weighted:
    rows.append(
        line(
            "objects as large as ImageNet's add",
            {"gap": weighted.gap.in_percent().value - own["gap"].in_percent().value},
        )
    )
for suspect, what in undone.items():
    adds = {quantity: effects[lead].get((quantity, suspect)) for quantity in quantities}
    rows += [line(what, adds)] if any(adds.values()) else []
tables.table(
    rows,
    caption="The difference between the paper's numbers and those of our record (*missing*), and what each change alone adds, with 95 % intervals",
)

# %% tags=["remove-input"]
images = effects[lead].get(("original", "images"))
page.say(
    "*Accuracy* depends on the number of images: training on all of them {images}. The paper has {more:,} images of {pixels:.0f} "
    "pixels and trains a ResNet-50 for {epochs:.0f} epochs. The profile `paper` does the same with "
    "[your copy of ImageNet](../book/how_to_run.md). {caveat}",
    images=f"in place of {least('images', levels[lead])} adds {images.text()} points"
    if images
    else "was not tried",
    more=int(
        paper.table("sizes")
        .query("data == 'in9' and split == 'train' and measure == 'images'")["value"]
        .item()
    ),
    pixels=paper.fact("recipe_crop").value,
    epochs=paper.fact("recipe_epochs").value,
    caveat=why_pretrained.caveat(
        sources,
        "the recipes, less detail, fewer images and the attacks on such networks",
    ),
)

# %% [markdown]
# ## What could fool us

# %% tags=["remove-input"]
masks = {
    origin: masks_and_sizes.mask_changes(source) for origin, source in sources.items()
}
rules = {
    origin: masks_and_sizes.mask_rules(source) for origin, source in sources.items()
}


def gap_of(frame, column, value):
    """The gap in the row with this value, as text; a dash without such a row."""
    rows = frame[frame[column] == value]
    return masks_and_sizes.as_text(rows.iloc[0]) if len(rows) else tables.NOTHING


points = []
if weighted:
    more = weighted.gap.in_percent().value - own["gap"].in_percent().value
    points.append(
        f"**Size is not all.** ImageNet's objects cover {weighted.theirs:.0f} % of the image on average, ours {weighted.ours:.0f} %. "
        f"Weighing for that takes our gap to {weighted.gap.text()}: {more:.1f} of the "
        f"{theirs['gap'] - own['gap'].in_percent().value:.1f} points that are missing. The sizes are those of {weighted.images} images."
    )
pixels = max(masks_and_sizes.PIXELS)
points.append(
    f"**Masks that are too wide or too tight.** With test masks shrunk by {pixels} pixels the gap is "
    f"{gap_of(masks[lead], 'pixels', -pixels)}, grown by {pixels} it is {gap_of(masks[lead], 'pixels', pixels)}. A wide mask keeps "
    "a rim of the old background; a tight one makes the object smaller."
)
points.append(
    "**Which images are tested.** Our first edition kept test images whose masks fill much of their box. On those the gap is "
    f"{gap_of(rules[lead], 'rule', 'kept by it')}, on the images that it dropped as too small "
    f"{gap_of(rules[lead], 'rule', 'mask too small for it')}."
)
if recipe := why_we_differ.papers_recipe(sources[lead]):
    points.append(f"**The recipe.** {recipe}")
page.say(
    "\n".join(f"- {point}" for point in points)
    + "\n\nThese changes overlap, so their effects cannot be added up."
)

# %% [markdown]
# ## Exercise
#
# What would our gap be if all objects were small? Complete the function: the gap of the photographs whose objects cover a
# share between `low` and `high`, with the same weight for each class.


# %%
def gap_between(low, high):
    kept = (areas > low) & (areas <= high)
    return 0.0 * kept.mean()  # your answer here


sizes = {"all": (0, 1), "small": (0, 0.2), "large": (0.5, 1)}
pd.Series({name: gap_between(*ends) for name, ends in sizes.items()}).round(1)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def gap_between(low, high):
#     kept = (areas > low) & (areas <= high)
#     return np.sum(balanced(labels[kept]) * lost[kept])
# ```
#
# </details>
#
# ## All numbers


# %% tags=["remove-input"]
def rows_by(column, title, frames):
    return [
        {title: row[column], "images": row.get("images"), "foreground, %": row["share"]}
        | {
            "BG-Gap, points": masks_and_sizes.as_text(row),
            "of": tables.ORIGIN_TITLES[origin],
        }
        for origin, frame in frames.items()
        for row in frame.to_dict("records")
    ]


parts = {
    "objects within each class": (
        "third",
        {o: masks_and_sizes.object_sizes(s) for o, s in sources.items()},
    ),
    "first edition's mask rule": ("rule", rules),
    "objects cover, %": ("bin", gaps),
}
tables.table(
    [
        {"by": title} | row
        for title, (column, frames) in parts.items()
        for row in rows_by(column, "part", frames)
    ],
    caption="BG-Gap on parts of the photographs: by the size of the object, and by the mask rule of the first edition",
    fold=True,
)

# %% tags=["remove-input"]
tables.table(
    [
        {name: value for name, value in row.items() if name != "images"}
        for row in rows_by("pixels", "masks grown by, pixels", masks)
    ],
    caption="BG-Gap with test masks grown, or shrunk below zero, and networks trained on masks as they are. Changed masks are tested "
    "in one draw of the backgrounds",
    fold=True,
)

# %% mystnb={"image": {"alt": "A dot plot: one row for the paper, one for the profile's training as it is, and one for each change of the recipe, of the detail and of the number of images; the BG-Gap in our record."}} tags=["remove-input"]
names = list(
    dict.fromkeys(suspect.label for found in levels.values() for suspect in found)
)


def rows_of(quantity):
    rows = [{"level": "the paper", "value": theirs[quantity], "origin": "paper"}]
    for origin, found in levels.items():
        for suspect, models in found.items():
            estimate = models.gap() if quantity == "gap" else models.accuracy(quantity)
            rows.append(
                {"level": suspect.label, "origin": origin}
                | estimate.in_percent()._asdict()
            )
    return pd.DataFrame(rows, columns=["level", "origin", "value", "low", "high"])


page.show(
    charts.intervals(
        rows_of("gap"), "level", "value", ["the paper", *names], "BG-Gap, points"
    ),
    "BG-Gap after training on Original, as it is and with one thing changed. Compare less detail and fewer images with the lighter "
    "recipe. Detail is taken away by shrinking images and enlarging them again, in training and in testing.",
)

# %% mystnb={"image": {"alt": "A dot plot with the same rows: the accuracy on whole images in the paper and in our record."}} tags=["remove-input"]
page.show(
    charts.intervals(
        rows_of("original"),
        "level",
        "value",
        ["the paper", *names],
        "accuracy on Original, %",
    ),
    "Accuracy on whole images of the same networks; lines are 95 % intervals.",
)


# %% tags=["remove-input"]
def of_all(rows_of):
    """The rows of each origin, with its name."""
    return [
        row | {"of": tables.ORIGIN_TITLES[origin]}
        for origin, source in sources.items()
        for row in rows_of(source)
    ]


tables.table(
    of_all(why_we_differ.network_rows),
    caption="The networks in these figures",
    fold=True,
)

# %% tags=["remove-input"]
tables.table(
    of_all(why_we_differ.trial_rows),
    caption="Recipes tried on the validation images, which neither training nor testing sees, with one network each",
    nothing="This profile tries no other recipe.",
    fold=True,
)

# %% [markdown]
# The next two tables show [attacks by backgrounds](04_adversarial_backgrounds.ipynb) on such networks.

# %% tags=["remove-input"]
tables.table(
    [
        why_we_differ.published_attack() | {"of": tables.ORIGIN_TITLES["paper"]},
        *of_all(why_we_differ.attack_rows),
    ],
    caption="Attacks by backgrounds on such networks, in percent of the objects. With more "
    "backgrounds more objects are vulnerable, so compare rows with equal numbers of them",
    fold=True,
)

# %% tags=["remove-input"]
tables.table(
    of_all(why_we_differ.target_rows),
    caption="Does a class become a stronger target with more backgrounds? Objects of other classes that some of its backgrounds turn "
    "into it, in percent; networks trained on Original",
    fold=True,
)

# %% tags=["remove-input"]
page.say(study.describe())

# %% [markdown]
# **Next:** [12 · Calibration with synthetic images](12_calibration.ipynb): is the BG-Gap right where
# we know the answer?
