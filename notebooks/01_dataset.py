# %% [markdown]
# # The dataset: ImageNet-9 and its eight variants
#
# To tell what a classifier sees in an object from what it sees in the background, one needs images in which the two
# can be separated and put together anew. In this run, {glue:text}`kept_test:,` test images and
# {glue:text}`kept_train:,` training images of nine classes have a good foreground mask
# ({glue:text}`kept_share:.0f` % of {glue:text}`all_images:,` images), and each of them exists in eight variants.
#
# ## What the paper did
#
# The paper {cite:p}`xiao2021noise` groups 370 of ImageNet's 1,000 classes {cite:p}`russakovsky2015imagenet` into nine:
# those that lie below one of nine nodes of WordNet. It keeps the images with exactly one annotated box, cuts the
# object out with GrabCut {cite:p}`rother2004grabcut` started from that box, drops images where that fails, and cleans
# the test set by hand. From image, box and mask it makes eight variants:
#
# | variant | foreground | background | cut out from |
# |:--|:--|:--|:--|
# | Original | kept | kept | – |
# | Only-BG-B | box painted black | kept | box |
# | Only-BG-T | box filled with tiles of the background | kept | box |
# | No-FG | silhouette painted black | kept | mask |
# | Only-FG | kept | black | mask |
# | Mixed-Same | kept | Only-BG-T of an image of the same class | mask |
# | Mixed-Rand | kept | Only-BG-T of an image of any class | mask |
# | Mixed-Next | kept | Only-BG-T of an image of the next class | mask |
#
# IN-9L is the larger set of all images of the nine classes as they are, with or without a good mask.
#
# ## What we did
#
# The paper's training archives are no longer to be had, so everything is rebuilt from images, boxes and labels.

# %% tags=["parameters"]
profile = "control"
recorded = False

# %% tags=["hide-input"]
import in9
from in9.data.source import MaskRule
from in9.data.sources.tiny_imagenet import TinyImageNet
from in9.data.variants import VARIANTS
from in9.experiments import image_counts, paper
from in9.plots import pictures, style, tables
from in9.taxonomy import CLASS_NAMES, TITLES

study = in9.Study(profile, recorded=recorded)
outcomes = image_counts.outcomes(study)
kept = outcomes[outcomes["outcome"] == "accepted"]
by_split = kept.groupby("split")["count"].sum()
tables.glue(
    kept_train=int(by_split["train"]),
    kept_test=int(by_split["test"]),
    all_images=int(outcomes["count"].sum()),
    kept_share=float(100 * kept["count"].sum() / outcomes["count"].sum()),
    rule_box=100 * MaskRule().box_share,
    rule_inside=100 * MaskRule().inside,
    rule_mask=100 * MaskRule().mask_share[0],
    rule_low=100 * TinyImageNet.rules.test.mask_share[0],
    rule_high=100 * TinyImageNet.rules.test.mask_share[1],
    pixels=paper.fact("released_image_size").value,
)
tables.markdown(f"Profile `{profile}`. {study.profile.about}")

# %% [markdown]
# {numref}`fig-variants` shows one test image of each class in all eight variants. The object keeps its place and size;
# nothing is blended. In the mixed variants the mask decides what is foreground. The authors' script decides by colour
# and lets the new background show through wherever the object itself is exactly black; `faithful=True` does the same.

# %% mystnb={"figure": {"caption": "One test image of each class (rows) in the eight variants (columns).", "name": "fig-variants"}, "image": {"alt": "A grid of pictures with nine rows, one for each class, and eight columns, one for each variant: the whole image, the box painted black, the box filled with background tiles, the silhouette painted black, the object on black, and the object on three other backgrounds."}} tags=["hide-input"]
style.use("jpeg")
if study.has_images:
    grid = pictures.picture_grid(image_counts.gallery(study), [TITLES[variant] for variant in VARIANTS])
else:
    grid = pictures.no_images()
grid
# %% [markdown]
# ## How many images, and why the others were left out
#
# An image is rejected if its box covers more than {glue:text}`rule_box:.0f` % of it, if less than
# {glue:text}`rule_inside:.0f` % of the box lies inside, or if GrabCut finds less than {glue:text}`rule_mask:.0f` % of the
# box to be foreground, however often it is tried. For photographs the paper's cleaning by hand is replaced by a stricter
# rule for test images: the mask must cover {glue:text}`rule_low:.0f` % to {glue:text}`rule_high:.0f` % of its box.

# %% table={"caption": "Images by outcome: how many the rules kept, and why the others were left out.", "name": "tab-outcomes"} tags=["hide-input"]
counts = outcomes.groupby(["split", "outcome"])["count"].sum().unstack("split", fill_value=0)
counts = counts.sort_values("train", ascending=False)
splits = [split for split in ("train", "validation", "test") if split in counts]
tables.table([{"outcome": name} | {split: int(row[split]) for split in splits} for name, row in counts.iterrows()])

# %% [markdown]
# Images with a good mask, by class. The paper has equally many of each class, by leaving images out; here none is left
# out. Training shows every class equally often instead, and every accuracy in this book counts every class the same.

# %% table={"caption": "Images with a good mask, by class and split.", "name": "tab-classes"} tags=["hide-input"]
classes = kept.groupby(["class", "split"])["count"].sum().unstack("split", fill_value=0)
tables.table([{"class": name} | {split: int(classes.loc[name, split]) for split in splits} for name in CLASS_NAMES])


# %% [markdown]
# ## Paper, record, this run
#
# Three columns stand side by side in every chapter: the paper's number, the one that we measured on photographs (it is
# stored with the project), and the one of the run that made this page.


# %% table={"caption": "Sizes of the datasets: the paper, our record on photographs, this run.", "name": "tab-sizes"} tags=["hide-input"]
def sizes(frame):
    good = frame[frame["outcome"] == "accepted"].groupby("split")["count"].sum()
    whole = frame.groupby("split")["count"].sum()
    return {"train": int(good["train"]), "test": int(good["test"]), "in9l": int(whole["train"])}


published = paper.table("sizes")
facts = {
    "train": published.query("data == 'in9' and split == 'train' and measure == 'images'")["value"].item(),
    "test": published.query("data == 'in9' and split == 'test' and measure == 'images'")["value"].item(),
    "in9l": published.query("data == 'in9l' and split == 'train' and measure == 'images'")["value"].item(),
}
tables.side_by_side(
    "images",
    {"train": "training, each variant", "test": "test, each variant", "in9l": "training, IN-9L"},
    {key: int(value) for key, value in facts.items()},
    {origin: sizes(image_counts.outcomes(source)) for origin, source in study.origins.items()},
)

# %% [markdown]
# ## Where we differ, and why
#
# - **Resolution.** The paper's images have {glue:text}`pixels:.0f` pixels a side; Tiny ImageNet's
#   {cite:p}`le2015tiny` are far smaller. GrabCut has less to work with, and fails on more of them.
# - **Cleaning.** The paper's authors looked at every test image; our rule looks at the mask's area alone. Some masks that
#   pass it still miss a leg or keep some grass.
# - **Tiles.** The authors' tiles to the right of a box and below it begin on the last column or row of the box; ours
#   begin just after it, so that no pixel of a box is ever in its background.
# - **Random class.** The paper does not say whether the random class of Mixed-Rand may be the true one. Here it is drawn
#   from all nine, so it carries no information on the class; one in nine backgrounds then is of the true class.
#
# ## Try it yourself
#
# Which objects of a class are hard to tell in *Only-FG*, where the background is gone? Run
# `image_counts.gallery(study, number=3)` for other images, or build a dataset from your own copy of Tiny ImageNet with
# `in9 build tiny-imagenet data/tiny --archive tiny-imagenet-200.zip`.
#
# ## Next
#
# {doc}`/00_instrument`: before the data are put to use, the measures themselves are tested where the answer is known.
