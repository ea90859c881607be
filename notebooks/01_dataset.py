# %% [markdown]
# # The dataset: ImageNet-9 and its eight variants
#
# To tell what a classifier sees in an object from what it sees in the background, one needs images in which the two
# can be separated and put together anew. In this run, {glue:text}`kept:,` of {glue:text}`all_images:,` images of nine classes
# have a foreground mask that passes the paper's rules ({glue:text}`kept_share:.0f` %). A network trains on
# {glue:text}`kept_train:,` of them, and {glue:text}`kept_test:,` are tested. Each of them exists in eight variants.
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
#
# Tiny ImageNet is small, so our photographs are not split once into training and test images. They are dealt into
# {glue:text}`folds` folds, and each fold is tested by a network that was trained on the other folds. In this way every
# image with a good mask can be tested, by a network that has not seen it. Images that look nearly the same are in the same
# fold. A small part of the images is set apart for validation: recipes are tried on it, and it is not tested.

# %% tags=["parameters"]
profile = "control"
recorded = False

# %% tags=["hide-input"]
import in9
from in9.data.source import MaskRule
from in9.data.variants import VARIANTS
from in9.experiments import image_counts, paper
from in9.plots import pictures, style, tables
from in9.taxonomy import CLASS_NAMES, TITLES

study = in9.Study(profile, recorded=recorded)
outcomes = image_counts.outcomes(study)
kept = outcomes[outcomes["outcome"] == "accepted"]
sizes = {origin: image_counts.sizes(source) for origin, source in study.origins.items()}
record = study.origins.get("record", study)  # on photographs
looked_at = image_counts.verdicts(record)
not_seen, good = looked_at.pop("not looked at", 0), looked_at.pop("good", 0)
classes_of = image_counts.imagenet_classes(record)
paper_sizes = paper.table("sizes").query("measure == 'images'").set_index(["data", "split"])["value"]
again, larger = image_counts.CHECKS["again"], image_counts.CHECKS["larger"]
tables.glue(
    kept=int(kept["count"].sum()),
    kept_train=sizes[study.origin]["train"],
    kept_test=sizes[study.origin]["test"],
    all_images=int(outcomes["count"].sum()),
    kept_share=float(100 * kept["count"].sum() / outcomes["count"].sum()),
    folds=record.profile.split.folds,
    train_share=float(100 * image_counts.sizes(record)["train"] / paper_sizes["in9", "train"]),
    masks_seen=good + sum(looked_at.values()),
    masks_rejected=sum(looked_at.values()),
    masks_not_seen=not_seen,
    again=again.masks,
    again_agreed=again.agreed,
    larger=larger.masks,
    larger_good=larger.agreed,
    only_two=", ".join(name for name, members in classes_of.items() if len(members) == 2),
    only_a_single=", ".join(f"{name} ({members[0]})" for name, members in classes_of.items() if len(members) == 1),
    rule_box=100 * MaskRule().box_share,
    rule_inside=100 * MaskRule().inside,
    rule_mask=100 * MaskRule().mask_share[0],
    pixels=paper.fact("released_image_size").value,
    paper_classes=paper.table("sizes").query("measure == 'imagenet_classes_mapped'")["value"].item(),
)
tables.markdown(f"Profile `{profile}`. {study.profile.about}")

# %% [markdown]
# {numref}`fig-variants` shows the first test image of each class in all eight variants. The images are not chosen by hand,
# and on photographs not every mask is without fault. The object keeps its place and size; nothing is blended. In the mixed
# variants the mask decides what is foreground. The authors' script decides by colour and lets the new background show
# through wherever the object itself is exactly black; `faithful=True` does the same.

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
# box to be foreground, however often it is tried. These are the paper's rules, and they hold for all images.

# %% table={"caption": "Images by outcome: how many the rules kept, and why the others were left out.", "name": "tab-outcomes"} tags=["hide-input"]
joined = image_counts.joined_folds(outcomes)
counts = joined.groupby(["split", "outcome"])["count"].sum().unstack("split", fill_value=0)
splits = [split for split in ("folds", "train", "validation", "test") if split in counts]
counts = counts.sort_values(splits[0], ascending=False)
tables.table([{"outcome": name} | {split: int(row[split]) for split in splits} for name, row in counts.iterrows()])

# %% [markdown]
# The paper's authors then looked at every test image and left out bad masks. For our photographs a vision-language model
# looked at {glue:text}`masks_seen:,` masks, on contact sheets with many images each, and rejected {glue:text}`masks_rejected:,`
# of them ({numref}`tab-verdicts`). An independent second look at {glue:text}`again` of these masks agreed on
# {glue:text}`again_agreed`. Contact sheets hide small faults: of {glue:text}`larger` tested masks that were shown larger,
# about {glue:text}`larger_good` were good. A rejected image is not tested. It stays among the training images, as in the
# paper. Nobody looked at {glue:text}`masks_not_seen:,` further masks, those of the images for validation and a part of the two
# largest classes. These images are not tested, either.

# %% table={"caption": "What was said of the masks of our photographs that pass the rules.", "name": "tab-verdicts"} tags=["hide-input"]
said = {"good": good} | looked_at | {"not looked at": not_seen}
tables.table([{"verdict on the mask": verdict, "images": count} for verdict, count in said.items()])

# %% [markdown]
# {numref}`tab-classes` counts by class. The paper has equally many images of each class, by leaving images out; here none is
# left out. Training shows every class equally often instead, and every accuracy in this book counts every class the same.
# The paper's nine classes consist of {glue:text}`paper_classes:.0f` ImageNet classes. Tiny ImageNet has few of these, and in our
# photographs {glue:text}`only_a_single` is a single class. These have two: {glue:text}`only_two`. What this book says of such a
# class may hold for these few kinds of things alone.

# %% table={"caption": "Images whose mask passes the rules, and images that are tested, by class.", "name": "tab-classes"} tags=["hide-input"]
by_class = kept.groupby("class")["count"].sum()
tested = image_counts.tested(study)
members = classes_of if study.profile.data == record.profile.data else {}
tables.table(
    [
        {"class": name, "mask passes": int(by_class[name]), "tested": tested[name]}
        | ({"ImageNet classes": ", ".join(members[name])} if members else {})
        for name in CLASS_NAMES
    ]
)


# %% [markdown]
# ## Paper, record, this run
#
# Three columns stand side by side in every chapter: the paper's number, the number that we measured on photographs (it is
# stored with the project), and that of the run that made this page. Pages made from our record have no third column.


# %% table={"caption": "Sizes of the datasets: the paper, our record on photographs, this run.", "name": "tab-sizes"} tags=["hide-input"]
keys = {"train": ("in9", "train"), "test": ("in9", "test"), "in9l": ("in9l", "train")}
tables.side_by_side(
    "images",
    {
        "train": "a network trains on, each variant",
        "test": "tested, each variant",
        "in9l": "a network trains on, IN-9L",
    },
    {name: int(paper_sizes[key]) for name, key in keys.items()},
    sizes,
)

# %% [markdown]
# ## Where we differ, and why
#
# - **Resolution.** The paper's images have {glue:text}`pixels:.0f` pixels a side; Tiny ImageNet's
#   {cite:p}`le2015tiny` are far smaller. GrabCut has less to work with, and fails on more of them.
# - **Number of images.** Each of our networks trains on {glue:text}`train_share:.0f` % as many photographs as the paper's.
#   {doc}`/12_why_we_differ` tries what the number of images changes.
# - **Cleaning.** The paper's authors looked at every test image themselves. They also left out images where another object of
#   the class stands outside the box; nobody looked for that here.
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
