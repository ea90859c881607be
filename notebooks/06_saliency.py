# %% [markdown]
# # Saliency: where does a classifier look?
#
# A saliency map says how much each pixel speaks for a class. Of the map of a classifier trained on whole images,
# {glue:text}`mass_original` % lies on the object; after training on Mixed-Rand, drawn anew, it is {glue:text}`mass_mixed_rand` %.
# The difference is {glue:text}`mass_difference` points. A part of it comes from maps that are more central in general, as
# objects are; beyond that, {glue:text}`beyond` points are left. A map that says nothing has {glue:text}`area` % on the object,
# the object's share of the image. (Grad-CAM at the last stage; at the stage before, {glue:text}`finer_beyond` points are left.
# In brackets: 95 % interval; the data of this run: {glue:text}`data_name`.)
#
# ## What the paper did
#
# Figure 6 of the paper {cite:p}`xiao2021noise` has saliency maps of two classifiers, trained on Original and on Mixed-Rand,
# for two images, and concludes that the second highlights more of the object. The finding is one of looking: there is no
# number, and the method that made the maps is not named.
#
# ## What we did
#
# We take two methods that are in common use, and turn each map into numbers that the mask decides.
#
# **Grad-CAM** {cite:p}`selvaraju2017gradcam` weights the feature maps $f_k$ of a late layer (with $Z$ pixels) by how much
# they raise the score $S^c$ of class $c$, before the softmax, and keeps what is positive:
#
# $$
# \alpha_k^c = \frac{1}{Z} \sum_{i,j} \frac{\partial S^c}{\partial f_k(i, j)}, \qquad
# L^c(i, j) = \max\Bigl(0, \sum_k \alpha_k^c f_k(i, j)\Bigr).
# $$
#
# Our networks end with global average pooling and one linear layer with weights $w_k^c$. At the last layer, then,
# $\alpha_k^c = w_k^c / Z$, and Grad-CAM is the positive part of the older class activation map, divided by $Z$; a test of
# this project holds it to that. The grad-cam package {cite:p}`gildenblat2021gradcam` scales every map to run from 0 to 1
# (it subtracts the least value, too) and enlarges it to the image's size. In this run the map has
# {glue:text}`side`&nbsp;×&nbsp;{glue:text}`side` pixels before that, which is coarse; so we also take the last layer of the
# stage before, with {glue:text}`side_finer`&nbsp;×&nbsp;{glue:text}`side_finer`.
#
# **The input gradient** is $\sum_\text{colours} |\partial S^c / \partial x|$ at each pixel of the image $x$: noisy, but as
# fine as the image.
#
# In all maps $c$ is the true class, also where the classifier answers another one, so that both classifiers are asked the
# same question. **Mass on the object** is the share of the map's sum that lies inside the mask. The **pointing game** asks
# whether the map's maximum lies there; of several maxima, the share that does. A map that says nothing, a map of zeros
# too, gets the object's share of the image in both. But objects are near the middle, and an enlarged map of few pixels
# can have its maximum only in some places. So each score is compared with another chance level as well: what the same mask
# gets from the maps of all the other images. *Beyond other images' maps* means that this level is taken from the score of
# each classifier first. A classifier whose maps are merely more central gains nothing by it.

# %% tags=["parameters"]
profile = "control"
recorded = False

# %% tags=["hide-input"]
import pandas as pd

import in9
from in9.evaluation.saliency import scores
from in9.experiments.object_focus import LOOKED_INTO as trained
from in9.experiments.object_focus import focus
from in9.plots import charts, pictures, style, tables
from in9.taxonomy import CLASS_NAMES, TITLES

methods = {
    "gradcam": "Grad-CAM, last stage",
    "gradcam_finer": "Grad-CAM, stage before",
    "gradient": "input gradient",
}
study = in9.Study(profile, recorded=recorded)
runs = {origin: looked for origin, source in study.origins.items() if (looked := focus(source))}
ours = runs[study.origin]
coarse, finer = ours["gradcam"], ours["gradcam_finer"]
tables.glue(
    mass_original=coarse["original"].mean(),
    mass_mixed_rand=coarse["mixed_rand"].mean(),
    mass_difference=coarse["mixed_rand"].minus(coarse["original"]),
    beyond=coarse["mixed_rand"].minus(coarse["original"], beyond_swapped=True),
    finer_beyond=finer["mixed_rand"].minus(finer["original"], beyond_swapped=True),
    area=finer["original"].mean("area"),
    side=coarse["original"].map_side,
    side_finer=finer["original"].map_side,
    data_name=study.profile.name,
)
folded = "" if finer["original"].folds is None else " each from the network that was not trained on its fold,"
tables.markdown(
    f"{study.describe()} Maps are of {len(finer['original'].labels):,} test images,{folded} as many of each class."
)

# %% [markdown]
# {numref}`fig-saliency` shows one image of each class, not chosen by hand, with the maps of both classifiers: Grad-CAM at
# the stage before the last, and the input gradient. Where Grad-CAM is dark throughout, nothing speaks for the class.

# %% mystnb={"figure": {"caption": "One test image of each class with the edge of its mask, and maps of the true class by two methods for two classifiers: bright is what speaks for the class.", "name": "fig-saliency"}, "image": {"alt": "A grid of pictures with nine rows, one for each class, and five columns: the image with its object outlined, Grad-CAM of the classifier trained on Original and of that trained on Mixed-Rand, and the input gradients of both."}} tags=["hide-input"]
style.use("jpeg")
short = {"gradcam_finer": "Grad-CAM", "gradient": "gradient"}
if study.compute:
    recipes = {name: study.profile.recipe_on(name) for name in trained}
    classifiers = {name: study.classifier(recipe) for name, recipe in recipes.items()}
    unseen = study.dataset.of_fold(recipes["original"].fold)
    shown = scores.examples(classifiers, unseen, list(short))
    grid = pictures.picture_grid(
        {
            name: [pictures.outlined(shown.images[row], shown.masks[row])]
            + [pictures.heated(shown.images[row], maps[row]) for maps in shown.maps.values()]
            for row, name in enumerate(CLASS_NAMES)
        },
        ["image", *(f"{short[method]}\n{TITLES[name]}" for name, method in shown.maps)],
    )
else:
    grid = pictures.no_images()
grid

# %% [markdown]
# {numref}`fig-mass` has the mass on the object by all three kinds of map.

# %% mystnb={"figure": {"caption": "Share of the map's mass on the object, by method and training set, and the object's share of the image; lines are 95 % intervals. The paper has no number.", "name": "fig-mass"}, "image": {"alt": "A dot plot with one row for the object's share of the image and two rows for each of three methods: the mass on the object after training on Original and after training on Mixed-Rand, in our record where there is one and in this run."}} tags=["hide-input"]
style.use("svg")
rows = {("gradcam", "area"): "chance: share of the image"}
rows |= {(method, name): f"{label}: {TITLES[name]}" for method, label in methods.items() for name in trained}


def frame(origin, looked):
    means = {(method, name): looked[method][name].mean() for method in methods for name in trained}
    means |= {("gradcam", "area"): looked["gradcam"]["original"].mean("area")}
    return pd.DataFrame(
        [{"row": rows[key], "origin": origin} | mean.in_percent()._asdict() for key, mean in means.items()]
    )


frames = [frame(origin, looked) for origin, looked in runs.items()]
charts.intervals(pd.concat(frames), "row", "value", list(rows.values()), "mass on the object, %")


# %% [markdown]
# ## Paper, record, this run
#
# Differences are paired: both classifiers see the same images. The last line of each method counts only images that both
# classifiers name rightly, for the map of a class that a classifier does not answer says less. First, mass on the object.


# %% table={"caption": "Share of the map's mass on the object, in percent, by method and training set.", "name": "tab-mass"} tags=["hide-input"]
kinds = {name: f"trained on {TITLES[name]}" for name in trained}
kinds |= {f"{name} above": f"{TITLES[name]}, beyond other images' maps, points" for name in trained}
kinds |= {
    "difference": "Mixed-Rand minus Original, points",
    "beyond": "the same, beyond other images' maps, points",
    "right": "Mixed-Rand minus Original where both are right, points",
}


def numbers(looked, score):
    cells = {("gradcam", "area"): looked["gradcam"]["original"].mean("area")}
    for method, both in looked.items():
        cells |= {(method, name): both[name].mean(score) for name in trained}
        cells |= {(method, f"{name} above"): both[name].above_swapped(score) for name in trained}
        cells[method, "difference"] = both["mixed_rand"].minus(both["original"], score)
        cells[method, "beyond"] = both["mixed_rand"].minus(both["original"], score, beyond_swapped=True)
        cells[method, "right"] = both["mixed_rand"].minus(both["original"], score, both_right=True)
    return cells


labels = {("gradcam", "area"): "the object's share of the image"}
labels |= {(method, kind): f"{methods[method]}: {label}" for method in methods for kind, label in kinds.items()}
tables.side_by_side(
    "mass on the object, %", labels, {}, {origin: numbers(each, "mass") for origin, each in runs.items()}
)

# %% [markdown]
# Second, the pointing game.

# %% table={"caption": "Pointing game: how often the map's highest point lies on the object, in percent.", "name": "tab-pointing"} tags=["hide-input"]
tables.side_by_side(
    "pointing game, %", labels, {}, {origin: numbers(each, "pointing") for origin, each in runs.items()}
)

# %% [markdown]
# How many maps were all zero, and so say nothing (no part of the image speaks for the class):


# %% table={"caption": "Maps that are zero everywhere, of all that were made.", "name": "tab-empty"} tags=["hide-input"]
def empties(looked):
    return {(method, name): both[name].empty for method, both in looked.items() for name in trained}


tables.side_by_side(
    "maps of zeros",
    {(method, name): f"{label}: {TITLES[name]}" for method, label in methods.items() for name in trained},
    {},
    {origin: empties(looked) for origin, looked in runs.items()},
)

# %% [markdown]
# ## Where we differ, and why
#
# - **Backgrounds.** The paper's second classifier saw backgrounds that were drawn once, ours saw them drawn anew. The paper
#   gives no number, so none of ours stands beside it.
# - **Method.** The paper's is unknown, so its maps cannot be made again. Where our methods disagree, the finding depends on
#   the method, and should be read so.
# - **Coarse maps.** A ResNet-50 at 224 pixels has Grad-CAM maps of 7 × 7 pixels; where the images are smaller, the maps are
#   coarser. The receptive field of a pixel in a late layer spans most of the image, so a map can be bright where nothing
#   stands.
# - **No proof of cause.** A map shows where evidence is read off, not what happens without it. {doc}`/03_bg_gap` changes the
#   background and looks at the answer; that is the stronger test.
# - **Masks.** They come from GrabCut for photographs. Bad masks are left out ({doc}`/01_dataset`), but others still miss small
#   parts of an object; what a map has there counts as background.
#
# ## Try it yourself
#
# Does it matter which class is asked for? Measure the maps of the predicted class:
# `jobs_of(study.profile, "saliency", study.profile.recipes_on(trained), **study.profile.saliency, of="predicted")` has the
# jobs, `study.measure` runs them and `study.find` gives the record of each. Or take other test images in {numref}`fig-saliency` with
# `scores.examples(classifiers, study.dataset, number=3)`.
#
# ## Next
#
# {doc}`/07_fine_grained`: which images need their background, and which are misled by it.
