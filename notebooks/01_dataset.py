# %% [markdown]
# # 1 · The dataset (section 2)

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
from in9.data.source import MaskRule
from in9.data.variants import VARIANTS
from in9.experiments import image_counts, masks_and_sizes, paper, why_we_differ
from in9.plots import charts, page, pictures, style, tables
from in9.taxonomy import CLASS_NAMES, TITLES

study = open_study(globals())
sizes = {origin: image_counts.sizes(source) for origin, source in study.origins.items()}
record = study.origins.get("record", study)  # on photographs
paper_sizes = (
    paper.table("sizes")
    .query("measure == 'images'")
    .set_index(["data", "split"])["value"]
)
illustrations = photographs.shown(study.workspace.photographs)
page.finding(
    "Each object is pasted onto different backgrounds. If a network's answer then "
    "changes, the background is the cause.",
    paper=f"{paper_sizes['in9', 'test']:,.0f} test images in eight variants",
    ours=f"{sizes[study.origin]['test']:,} test images in eight variants",
    verdict="no claim to test",
)

# %% [markdown]
# ## See it
#
# Every image of the dataset exists in eight **variants**. *Original* is the image as it is. Four variants remove either
# the object, the foreground (FG), or the background (BG). In the three *mixed* variants the object stands on the
# background of another image. That image is of the object's own class (Mixed-Same), of a random class (Mixed-Rand), or
# of the next class in the list (Mixed-Next). The [glossary](../book/glossary.md) explains each name.

# %% mystnb={"image": {"alt": "Two objects in eight variants each: the whole image, the box painted black, the box filled with tiles of the background, the silhouette painted black, the object on black, and the object on three other backgrounds."}} tags=["remove-input"]
style.use("jpeg")
insect, reptile = (illustrations.row(name) for name in ("784232", "d9f624"))
titles = [TITLES[variant] for variant in VARIANTS]
rows, captions = {}, {}
for name, images in zip(
    ("insect", "reptile"),
    image_counts.gallery(illustrations.pool(), [insect, reptile]),
    strict=True,
):
    rows |= {name: images[:4], f"{name} ": images[4:]}
    captions |= {name: titles[:4], f"{name} ": titles[4:]}
page.show(
    pictures.picture_grid(rows, [""] * 4, captions),
    "Two images in the eight variants. The object keeps its place and its size, and "
    "nothing is blended. "
    f"These images are for showing: no number of this book rests on them. {illustrations.credit([insect, reptile])}",
)

# %% [markdown]
# How is the object cut out? People have marked each object with a **box**. *GrabCut* ([Rother et al.,
# 2004](https://doi.org/10.1145/1015706.1015720)) starts from the box and sorts its pixels by colour into object and
# background. The pixels of the object are the **mask**. The new background is another image, whose own object is covered
# by tiles: repeated pieces of the background beside it.

# %% mystnb={"image": {"alt": "Five pictures in a row: an image, the same with a box, the object cut out on black, another image whose object was replaced by tiles of its background, and the object on that background."}} tags=["remove-input"]
turtle, water = (illustrations.row(name) for name in ("8d86fa", "1d4133"))
steps = illustrations.steps(turtle, water)
page.show(
    pictures.picture_grid({"": list(steps.values())}, list(steps)),
    f"From a box to a mixed image in five steps. {illustrations.credit([turtle, water])}",
)

# %% [markdown]
# ## How it works
#
# Let $x$ be an image and $m$ its mask: one on the object, zero elsewhere. Let $y$ be another image and $t$ its variant
# Only-BG-T, in which tiles cover the object. A mixed image takes each pixel from $x$ or from $t$:
#
# $$
# \text{mixed} = m \odot x + (1 - m) \odot t
# $$
#
# The next cell makes Only-BG-T. It takes the largest strip of the image beside the box, repeats it like tiles, and
# fills the box with them.

# %%
other = illustrations.images[water]  # [224, 224, 3]
left, top, right, bottom = illustrations.boxes[water]

strips = [other[:, :left], other[:, right:], other[:top], other[bottom:]]
strip = max(strips, key=np.size)
height, width = strip.shape[:2]
tiles = np.tile(strip, (224 // height + 1, 224 // width + 1, 1))

background = other.copy()  # becomes t
background[top:bottom, left:right] = tiles[top:bottom, left:right]

# %% [markdown]
# The mixed image then takes one line:

# %%
photo, mask = illustrations.images[turtle], illustrations.masks[turtle]
mixed = np.where(mask[..., None], photo, background)

# %% mystnb={"image": {"alt": "Four pictures: the object's image, the other image, the other image with its box filled by tiles, and the object on those tiles."}} tags=["remove-input"]
page.show(
    pictures.picture_grid(
        {"": [photo, other, background, mixed]}, ["x", "y", "t", "mixed"]
    ),
    "The four images of the formula, made by the two cells above. "
    f"{illustrations.credit([turtle, water])}",
)

# %% [markdown]
# The package does this in batches while a network trains, on a GPU if there is one. Are its pixels the same?

# %%
composed = illustrations.variant("mixed_rand", [turtle], [water])[0]
np.array_equal(mixed, composed)

# %% [markdown]
# ## Evidence
#
# Each of the paper's nine classes is a group of ImageNet classes ([Russakovsky et al.,
# 2015](https://doi.org/10.1007/s11263-015-0816-y)) that share one parent, such as *dog* or *bird*, in WordNet, a
# hierarchy of nouns. The authors' training images can no longer be downloaded. We therefore rebuild the dataset from
# images, boxes and labels. The photographs of our
# record come from Tiny ImageNet and are small: 64 × 64 pixels.

# %% mystnb={"image": {"alt": "A dot plot of the number of test images of each class. The paper has equally many of each class; ours range from few instruments to many vehicles."}} tags=["remove-input"]
style.use("svg")
tested = {
    origin: image_counts.tested(source) for origin, source in study.origins.items()
}
balanced = dict.fromkeys(CLASS_NAMES, paper_sizes["in9", "test"] / len(CLASS_NAMES))
frame = pd.concat(
    pd.DataFrame(
        {
            "class": list(counts),
            "images": list(counts.values()),
            "origin": origin,
            "low": None,
            "high": None,
        }
    )
    for origin, counts in ({"paper": balanced} | tested).items()
)
page.show(
    charts.intervals(frame, "class", "images", CLASS_NAMES, "test images"),
    "Test images of each class. The paper discards images until all classes are "
    "equally large. Our record keeps all images; instead, every accuracy in this book "
    "gives each class the same weight.",
)

# %% tags=["remove-input"]
said = image_counts.verdicts(record)
seen = sum(number for verdict, number in said.items() if verdict != "not looked at")
page.say(
    "Tiny ImageNet has few images of the nine classes. For our record we therefore do not split "
    "them once into training and test images. They are divided into {folds} **folds**, and "
    "each fold is tested with a network that was trained on the other folds. Every "
    "image with a good mask can then be tested with a network that has not seen it. "
    "Images that look nearly the same are in the same fold. A small part is set apart "
    "for validation: we choose training settings on it, and never report results "
    "for it.\n\n"
    "An image is left out if its box covers more than {box:.0f} % of it, if less than "
    "{inside:.0f} % of the box lies inside, or if GrabCut finds less than {mask:.0f} "
    "% of the box to be foreground. These are the paper's rules. In addition, a "
    "vision-language model looked at {seen:,} masks of our record and rejected {rejected:,}. "
    "Rejected images are not tested, but networks still train on them, as in the "
    "paper.",
    folds=record.profile.split.folds,
    box=100 * MaskRule().box_share,
    inside=100 * MaskRule().inside,
    mask=100 * MaskRule().mask_share[0],
    seen=seen,
    rejected=seen - said.get("good", 0),
)

# %% [markdown]
# ## What could fool us

# %% tags=["remove-input"]
original = record.answers("original")
labels = original.labels["original"]
classes_of = image_counts.imagenet_classes(record)
single = [name for name, members in classes_of.items() if len(members) == 1]
kept = ~np.isin(labels, [CLASS_NAMES.index(name) for name in single])
changed, effects = masks_and_sizes.mask_changes(record), why_we_differ.effects(record)
again, larger = image_counts.CHECKS["again"], image_counts.CHECKS["larger"]
page.say(
    "- **Bad masks.** The masks of our record were checked in small pictures, many to a page, which "
    "hide small faults. A second check agreed on {agreed} of {again} masks; of "
    "{larger} accepted masks that were shown larger, about {good} were good. Bad masks "
    "matter: if all masks are {pixels} pixels tighter, the BG-Gap, the cost of a "
    "random background ([chapter 3](03_bg_gap.ipynb)), is {tighter} points; if they "
    "are {pixels} pixels wider, it is {wider}. Brackets are 95 % intervals.\n"
    "- **Few kinds of things.** The paper's nine classes consist of "
    "{paper_classes:.0f} ImageNet classes, those of our record of {our_classes}. {single} consists "
    "of only one ({member}). Without it, the BG-Gap would be {without} points instead "
    "of {all}.\n"
    "- **Fewer images.** Each network of our record trains on {share:.0f} % as many images "
    "as the paper's. Training on all of its images instead of the smallest part that "
    "we tried raises accuracy on Original by {by_images} points and changes the BG-Gap "
    "by {gap_by_images} ([chapter 11](11_why_we_differ.ipynb)).",
    pixels=max(masks_and_sizes.PIXELS),
    tighter=masks_and_sizes.as_text(changed.iloc[0]),
    wider=masks_and_sizes.as_text(changed.iloc[-1]),
    by_images=effects["original", "images"],
    gap_by_images=effects["gap", "images"],
    again=again.masks,
    agreed=again.agreed,
    larger=larger.masks,
    good=larger.agreed,
    paper_classes=paper.table("sizes")
    .query("measure == 'imagenet_classes_mapped'")["value"]
    .item(),
    our_classes=sum(map(len, classes_of.values())),
    single=", ".join(single).capitalize(),
    member=", ".join(classes_of[name][0] for name in single),
    without=original.gap(kept),
    all=original.gap(),
    share=100 * image_counts.sizes(record)["train"] / paper_sizes["in9", "train"],
)

# %% [markdown]
# ## Exercise
#
# *Only-FG* shows the object on black, *No-FG* shows black where the object is. Make both from `photo` and `mask`.

# %% mystnb={"image": {"alt": "Two pictures: the exercise's answer for Only-FG and for No-FG."}}
only_fg = photo  # your answer here
no_fg = photo  # your answer here

grid = pictures.picture_grid({"": [only_fg, no_fg]}, ["Only-FG", "No-FG"])
page.show(grid, illustrations.credit([turtle]))

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# only_fg = np.where(mask[..., None], photo, 0)
# no_fg = np.where(mask[..., None], 0, photo)
# ```
#
# </details>
#
# ## All numbers

# %% tags=["remove-input"]
keys = {"train": ("in9", "train"), "test": ("in9", "test"), "in9l": ("in9l", "train")}
tables.side_by_side(
    "images",
    {
        "train": "training images of a network, each variant",
        "test": "test images, each variant",
        "in9l": "training images of a network, IN-9L",
    },
    {name: int(paper_sizes[key]) for name, key in keys.items()},
    sizes,
    caption="Sizes of the datasets. IN-9L is the larger set of all images of the nine classes, with or without a good mask",
    fold=True,
)

# %% tags=["remove-input"]
outcomes = image_counts.outcomes(study)
counts = (
    image_counts.joined_folds(outcomes)
    .groupby(["split", "outcome"])["count"]
    .sum()
    .unstack("split", fill_value=0)
)
splits = [
    split for split in ("folds", "train", "validation", "test") if split in counts
]
counts = counts.sort_values(splits[0], ascending=False)
tables.table(
    [
        {"outcome": name} | {split: int(row[split]) for split in splits}
        for name, row in counts.iterrows()
    ],
    caption="How many images the rules kept, and why the others were left out",
    fold=True,
)

# %% tags=["remove-input"]
tables.table(
    [
        {"verdict on the mask": verdict, "images": number}
        for verdict, number in said.items()
    ],
    caption="Verdicts on the masks of our record that pass the rules. The images that were not looked at are those for "
    "validation and a part of the two largest classes; they are not tested",
    fold=True,
)

# %% tags=["remove-input"]
by_class = outcomes[outcomes["outcome"] == "accepted"].groupby("class")["count"].sum()
members = classes_of if study.profile.data == record.profile.data else {}
tables.table(
    [
        {
            "class": name,
            "mask passes": int(by_class[name]),
            "tested": tested[study.origin][name],
        }
        | ({"ImageNet classes": ", ".join(members[name])} if members else {})
        for name in CLASS_NAMES
    ],
    caption="Images by class. Results for a class that consists of few ImageNet classes may not generalise to other kinds of "
    "things",
    fold=True,
)

# %% [markdown]
# As in the paper, a test image was also rejected if another object of its class clearly stands outside the box: the
# verdict then is *box wrong*. There are two more differences from the paper. When the authors' tiles come from the right
# of a box or from below it, they begin with the last column or row of the box; ours begin just after it, so that no pixel
# of the box gets into the background. And the paper does not say whether the random class of Mixed-Rand may be the
# object's own; we draw it from all nine.

# %% tags=["remove-input"]
page.say(f"The profile is `{study.profile.name}`. {study.profile.about}")

# %% [markdown]
# **Next:** [2 · Backgrounds suffice](02_backgrounds_suffice.ipynb): what a network learns from
# backgrounds alone.
