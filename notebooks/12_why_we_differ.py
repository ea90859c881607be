# %% [markdown]
# # Why our numbers differ from the paper's
#
# Trained on Original, the paper's network is right on {glue:text}`paper_original:.0f` % of whole images, ours on
# {glue:text}`own_original` %; the paper's BG-Gap is {glue:text}`paper_gap:.1f` points, ours {glue:text}`own_gap`. This chapter
# changes one suspect at a time. The profile's recipe instead of a lighter one adds {glue:text}`training_original` points of
# accuracy and {glue:text}`training_gap` of gap; all of the detail instead of {glue:text}`low_detail` adds
# {glue:text}`detail_original` and {glue:text}`detail_gap`; all images instead of {glue:text}`low_images`
# {glue:text}`images_original` and {glue:text}`images_gap`. On the third of the images whose objects are smallest the gap is
# {glue:text}`gap_smallest`, on the third whose objects are largest {glue:text}`gap_largest`. (In brackets: 95 % interval; the
# data of this run: {glue:text}`data_name`.)
#
# ## What the paper did
#
# The paper {cite:p}`xiao2021noise` trains a ResNet-50 for {glue:text}`paper_epochs:.0f` epochs on images of
# {glue:text}`paper_pixels:.0f` pixels. The profiles of this book train a smaller network for fewer epochs on fewer and smaller
# images with masks of their own. The paper has no experiment like those below.
#
# ## What we did
#
# - **Training.** Recipes are tried on the validation images, which neither training nor testing sees; that of profile `tiny` was
#   chosen so. Where a profile has a lighter recipe, for what takes many trainings, that is tested too.
# - **Detail.** Images are shrunk to a part of their side and enlarged again, in training and in testing. The network stays
#   the same: that of the lighter recipe, where there is one. More detail than the images have cannot be tried, so this asks
#   what half of it is worth.
# - **Number of images.** The trainings on fewer images of {doc}`/10_why_pretrained`, with an equal number of steps.
# - **Masks.** Those of the test images are grown or shrunk by whole pixels, and the networks tested again.
# - **Size of the objects.** The test images of each class are split into thirds by how much of the image is object. Where
#   the object is large there is little background to rely on.
# - **Number of backgrounds**, for attacks: every test image's background instead of a sample.
#
# All networks of this chapter are trained on Original, with as many seeds as {numref}`tab-suspect-seeds` says; attacks and less
# detail have the first alone. With one seed an interval covers the draw of the test images, not that of the training.

# %% tags=["parameters"]
profile = "control"
recorded = False

# %% tags=["hide-input"]
import pandas as pd

import in9
from in9.data.sources.tiny_imagenet import TinyImageNet
from in9.evaluation.predictions import gain
from in9.experiments import paper, why_we_differ
from in9.experiments.why_we_differ import AS_IT_IS, EVERY_BACKGROUND, LEVELS, SUSPECTS, TRIALS
from in9.plots import charts, curves, style, tables
from in9.taxonomy import CLASS_NAMES, TITLES
from in9.training.recipe import IN9L

study = in9.Study(profile, recorded=recorded)
sources = study.origins
levels = {origin: found for origin, source in sources.items() if (found := LEVELS.read(source))}
effects = {origin: why_we_differ.effects(source) for origin, source in sources.items()}
published = paper.train_test_matrix().loc["original"]
theirs = {test: float(published[test]) for test in ("original", "only_bg_t")} | {
    "gap": paper.fact("bg_gap_original").value
}
ours, added = levels[study.origin], effects[study.origin]
own = ours[AS_IT_IS]
less = [suspect.label for suspect in ours if suspect.what == "detail"]
fewer = [suspect.label for suspect in ours if suspect.what == "images"]
thirds = {origin: why_we_differ.object_sizes(source).set_index("third") for origin, source in sources.items()}
large = next(iter(thirds.values()))  # in the record, where there is one
masks = {origin: why_we_differ.mask_changes(source) for origin, source in sources.items()}
tight = next(iter(masks.values())).iloc[0]


def interval(row):
    """A number of a frame with its interval, as a table or the text has it."""
    return f"{row['value']:.1f} [{row['low']:z.1f}, {row['high']:z.1f}]"


suspects = {
    "training": "the profile's recipe for a lighter one",
    "detail": f"all detail for {less[0]}" if less else "detail",
    "images": f"all images for {fewer[-1]}" if fewer else "images",
}
tables.glue(
    paper_original=theirs["original"],
    paper_gap=theirs["gap"],
    own_original=own.accuracy("original"),
    own_gap=own.gap(),
    low_detail=less[0].removesuffix(" of the detail") if less else tables.NOTHING,
    low_images=fewer[-1].removesuffix(" of the images") if fewer else tables.NOTHING,
    **{
        f"{suspect}_{quantity}": added.get((quantity, suspect), "(not tried)")
        for suspect in suspects
        for quantity in ("original", "gap")
    },
    **{f"gap_{third}": interval(thirds[study.origin].loc[third]) for third in ("smallest", "largest")},
    **{f"photos_{third}": interval(large.loc[third]) for third in large.index},
    **{f"share_{third}": float(large.loc[third, "share"]) for third in large.index},
    masks_pixels=-int(tight["pixels"]),
    masks_tight=interval(tight),
    rule_low=100 * TinyImageNet.rules.test.mask_share[0],
    rule_paper=100 * paper.fact("rule_mask_share_low").value,
    paper_epochs=paper.fact("recipe_epochs").value,
    paper_pixels=paper.fact("recipe_crop").value,
    data_name=study.profile.name,
)
tables.markdown(study.describe())

# %% [markdown]
# ## Recipes on validation images
#
# The difference from the recipe as it is compares the same validation images. The smaller their set, the more luck there is in
# what comes first; neighbours in {numref}`tab-trials` are often within their intervals.


# %% table={"caption": "Recipes tried on the validation images, trained on Original with one seed: accuracy, and what the change adds.", "name": "tab-trials"} tags=["hide-input"]
def tried(origin, source):
    found = TRIALS.read(source)
    rows = []
    for name in why_we_differ.ranked(found):
        one = found[name]
        added = gain(one, found[AS_IT_IS.label], IN9L) if name != AS_IT_IS.label else None
        rows.append(
            {
                "recipe": f"**{name}**" if name == AS_IT_IS.label else name,
                "changes": why_we_differ.in_words(source.profile.trials.get(name, {}), source.profile.recipe),
                "accuracy, %": one.accuracy(IN9L),
                "adds, points": added,
                "training, s": round(one.models[0].training["seconds"]),
                "of": tables.ORIGIN_TITLES[origin],
            }
        )
    return rows


rows = [row for origin, source in sources.items() for row in tried(origin, source)]
tables.table(rows) if rows else tables.markdown("This profile tries no other recipe.")

# %% [markdown]
# ## One suspect at a time
#
# If a suspect explains the distance from the paper, undoing it moves a number towards the paper's: to the right in
# {numref}`fig-suspects-accuracy`. {numref}`fig-suspects-gap` has the BG-Gap of the same networks. Less detail and fewer images
# are to be compared with the lighter recipe where there is one, else with the recipe as it is.

# %% tags=["hide-input"]
names = list(dict.fromkeys(suspect.label for found in levels.values() for suspect in found))


def rows_of(quantity):
    rows = [{"level": "the paper", "value": theirs[quantity], "origin": "paper"}]
    for origin, found in levels.items():
        for suspect, one in found.items():
            estimate = one.gap() if quantity == "gap" else one.accuracy(quantity)
            rows.append({"level": suspect.label, "origin": origin} | estimate.in_percent()._asdict())
    return pd.DataFrame(rows, columns=["level", "origin", "value", "low", "high"])


# %% mystnb={"figure": {"caption": "Accuracy on whole images after training on Original, as it is and with one suspect changed; lines are 95 % intervals (the paper gives none).", "name": "fig-suspects-accuracy"}, "image": {"alt": "A dot plot: one row for the paper, one for the profile's training as it is, and one for each change of the recipe, of the detail and of the number of images; the accuracy on whole images in our record and in this run."}} tags=["hide-input"]
style.use("svg")
charts.intervals(rows_of("original"), "level", "value", ["the paper", *names], "accuracy on Original, %")

# %% mystnb={"figure": {"caption": "BG-Gap after training on Original, as it is and with one suspect changed; lines are 95 % intervals (the paper gives none).", "name": "fig-suspects-gap"}, "image": {"alt": "A dot plot with the same rows: the BG-Gap in points, in the paper, in our record and in this run."}} tags=["hide-input"]
charts.intervals(rows_of("gap"), "level", "value", ["the paper", *names], "BG-Gap, points")

# %% table={"caption": "Networks of these figures: epochs, images, and how many seeds.", "name": "tab-suspect-seeds"} tags=["hide-input"]
rows = []
for origin, found in levels.items():
    for suspect, one in found.items():
        recipe, training = one.models[0].recipe, one.models[0].training
        rows.append(
            {
                "trained on Original": suspect.label,
                "network": f"`{recipe['architecture']}`",
                "epochs": recipe["epochs"],
                "images": training["images"],
                "seeds": len(one.seeds),
                "of": tables.ORIGIN_TITLES[origin],
            }
        )
tables.table(rows)

# %% [markdown]
# ## Paper, record, this run
#
# First the distance from the paper, then what undoing each suspect adds. A suspect explains a distance as far as both have
# the same sign.

# %% table={"caption": "The paper's number less ours, and what undoing each suspect adds, in points.", "name": "tab-suspects"} tags=["hide-input"]
quantities = {
    "original": "accuracy on Original",
    "only_bg_t": "accuracy on Only-BG-T",
    "gap": "BG-Gap",
}


def numbers(origin):
    one = levels[origin][AS_IT_IS]
    ours = {quantity: one.gap() if quantity == "gap" else one.accuracy(quantity) for quantity in quantities}
    away = {(quantity, "distance"): theirs[quantity] - ours[quantity].in_percent().value for quantity in quantities}
    return {(quantity, "own"): value for quantity, value in ours.items()} | away | effects[origin]


labels = {"own": "as it is", "distance": "the paper less ours"} | {
    key: f"adds: {text}" for key, text in suspects.items()
}
tables.side_by_side(
    "trained on Original, % and points",
    {(what, key): f"{name}: {label}" for what, name in quantities.items() for key, label in labels.items()},
    {(what, "own"): value for what, value in theirs.items()},
    {origin: numbers(origin) for origin in levels},
)

# %% [markdown]
# ## Masks
#
# A mask that is too tight leaves a rim of the object behind, one that is too wide takes some of the old background along,
# which then speaks for the object's class on every new one. {numref}`fig-masks` shows what that does to the gap, with the
# networks trained on masks as they are.

# %% mystnb={"figure": {"caption": "BG-Gap after training on Original against the pixels by which the test masks are grown, or shrunk below zero; bands are 95 % intervals.", "name": "fig-masks"}, "image": {"alt": "A line over the change of the masks from two pixels shrunk to two pixels grown: the BG-Gap in points, in our record where there is one and in this run."}} tags=["hide-input"]
curves.lines(
    {"BG-Gap, points": pd.concat([frame.assign(series=origin) for origin, frame in masks.items() if len(frame)])},
    "pixels",
    "test masks grown by, pixels",
)

# %% table={"caption": "Share of the image that is foreground, in percent, and BG-Gap in points, with the test masks grown or shrunk.", "name": "tab-masks"} tags=["hide-input"]
tables.table(
    [
        {
            "masks grown by, pixels": f"{row['pixels']:+d}".replace("+0", "0"),
            "foreground, %": row["share"],
            "BG-Gap, points": interval(row),
            "of": tables.ORIGIN_TITLES[origin],
        }
        for origin, frame in masks.items()
        for row in frame.to_dict("records")
    ]
)

# %% [markdown]
# ## Size of the objects
#
# {numref}`tab-objects` has the gap of the same networks on the images with the smallest, the middle and the largest objects,
# a third of each class in each. Test masks of photographs in the small profiles must cover {glue:text}`rule_low:.0f` % of the
# object's box, in the authors' script {glue:text}`rule_paper:.0f` %: ours keeps the larger objects.

# %% table={"caption": "Share of the image that is foreground, in percent, and BG-Gap in points, by the size of the object within its class.", "name": "tab-objects"} tags=["hide-input"]
tables.table(
    [
        {
            "objects": row["third"],
            "foreground, %": row["share"],
            "BG-Gap, points": interval(row),
            "of": tables.ORIGIN_TITLES[origin],
        }
        for origin, source in sources.items()
        for row in why_we_differ.object_sizes(source).to_dict("records")
    ]
)

# %% [markdown]
# ## Attacks
#
# {doc}`/04_adversarial_backgrounds` finds more vulnerable objects than the paper, and a class that is a weak target. The same
# suspects, for networks trained on Original (the paper attacks one trained on IN-9L):

# %% table={"caption": "Attacks on networks trained on Original, in percent of the objects, as it is and with one suspect changed.", "name": "tab-suspects-attacks"} tags=["hide-input"]
attacked = {origin: SUSPECTS.read(source) for origin, source in sources.items()}
rows = [
    {
        "trained on Original": f"the paper, trained on {TITLES[IN9L]}",
        "backgrounds": int(paper.fact("backgrounds").value),
        "vulnerable, targeted": paper.fact("vulnerable").value,
        "of those right on Original": None,
        "challenge accuracy": float(paper.table("attack").query("measure == 'challenge'")["value"].iloc[0]),
        "weakest target class": float(paper.table("adversarial").query("measure == 'fooled_any'")["value"].min()),
        "of": tables.ORIGIN_TITLES["paper"],
    }
]
for origin, found in attacked.items():
    for suspect, one in found.items():
        rows.append(
            {
                "trained on Original": suspect.label,
                "backgrounds": one.sizes[1],
                "vulnerable, targeted": one.vulnerable(),
                "of those right on Original": one.vulnerable_if_right(),
                "challenge accuracy": one.challenge(),
                "weakest target class": one.weakest(),
                "of": tables.ORIGIN_TITLES[origin],
            }
        )
tables.table(rows)

# %% [markdown]
# Does a class become a stronger target with more backgrounds? {numref}`tab-suspects-targets` has the share of the other
# classes' objects that some background of the class fools. The paper has as many backgrounds of each class; photographs do
# not come in equal numbers, and a class that has few cannot get more.

# %% table={"caption": "Number of backgrounds of each class, and objects of other classes that some of them turn into it, in percent; networks trained on Original.", "name": "tab-suspects-targets"} tags=["hide-input"]
targets = paper.table("adversarial").query("measure == 'fooled_any'").set_index("target")["value"]
rows = []
for origin, found in attacked.items():
    few, many = found[why_we_differ.base(found)], found[EVERY_BACKGROUND]
    for label, name in enumerate(CLASS_NAMES):
        rows.append(
            {
                "target class": name,
                "the paper, of IN-9L": targets[name],
                "backgrounds": int((few.background_labels == label).sum()),
                "fooled": few.fooled(label),
                "every background": int((many.background_labels == label).sum()),
                "fooled by any": many.fooled(label),
                "of": tables.ORIGIN_TITLES[origin],
            }
        )
tables.table(rows)

# %% [markdown]
# ## Where we differ, and why
#
# - **Large objects.** Of all suspects this is the one that moves the gap most in our record: from
#   {glue:text}`photos_smallest` points where the objects take {glue:text}`share_smallest:.0f` % of the image to
#   {glue:text}`photos_largest` where they take {glue:text}`share_largest:.0f` %. Small images show their objects large. The
#   paper does not say how large its own are.
# - **Wide masks.** With test masks shrunk by {glue:text}`masks_pixels` pixels our record's gap is {glue:text}`masks_tight`
#   points. A mask that takes a rim of the old background along lets that speak for the object's class on every new one.
# - **Few images.** Their number moves accuracy most in our record, and the paper has more: compare the rows of
#   {doc}`/02_backgrounds_suffice` for Original and IN-9L, too.
# - **Not tried.** More detail than our images have, a ResNet-50 trained for {glue:text}`paper_epochs:.0f` epochs, and the
#   authors' own masks. Profile `paper` does the first two with your copy of ImageNet and a GPU ({doc}`/how_to_run`).
# - **Halving and doubling.** What halving the side of our images costs need not be what doubling it would bring, which is the
#   way to the paper's.
# - **Drawn images.** In profile `control` an object without its detail can only be told by its background, which makes the
#   gap grow. In photographs, both lose their detail.
# - **The lighter recipe.** Less detail and fewer images were tried with it alone. What they cost a network that is trained
#   longer and on more varied crops may differ.
#
# ## Try it yourself
#
# What does a quarter of the images *and* half of the detail give? Write
# `study.answers("original", architecture=study.profile.recipe.architecture + "/2", fraction=0.25).gap()`. Add a table
# `[trials."my recipe"]` to a profile of your own, and `in9 measure --only trials --profile my.toml` tries it.
#
# ## Next
#
# {doc}`/11_explore`: put any object on any background yourself.
