# %% [markdown]
# # Why our numbers differ from the paper's
#
# Trained on Original, the paper's network is right on {glue:text}`paper_original:.0f` % of whole images, and its BG-Gap is
# {glue:text}`paper_gap:.1f` points. {glue:text}`whose` are right on {glue:text}`own_original` %, with a gap of
# {glue:text}`own_gap`. Of all suspects the size of the objects moves the gap most: on the third of the images whose objects are
# smallest it is {glue:text}`gap_smallest`, on the third whose objects are largest {glue:text}`gap_largest`. The number of
# images moves accuracy most: with all of them instead of {glue:text}`low_images` it is {glue:text}`images_original` points
# higher, and the gap changes by {glue:text}`images_gap`. (In brackets: 95 % interval; the data of this run:
# {glue:text}`data_name`.)
#
# ## What the paper did
#
# The paper {cite:p}`xiao2021noise` trains a ResNet-50 for {glue:text}`paper_epochs:.0f` epochs on images of
# {glue:text}`paper_pixels:.0f` pixels. The profiles of this book train a smaller network for fewer epochs on fewer and smaller
# images with masks of their own. The paper has no experiment like those below.
#
# ## What we did
#
# - **Training.** Recipes are tried on the validation images, which neither training nor testing sees; that of profile `tiny` came
#   first among those that were tried. Where a profile has a lighter recipe, for what takes many trainings, that is tested too.
# - **Detail.** Images are shrunk to a part of their side and enlarged again, in training and in testing. The network stays
#   the same: that of the lighter recipe, where there is one. More detail than the images have cannot be tried, so this asks
#   what half of it is worth.
# - **Number of images.** The trainings on fewer images of {doc}`/10_why_pretrained`, with an equal number of steps.
# - **Masks.** Those of the test images are grown or shrunk by whole pixels, and the networks tested again.
# - **Mask rule.** All masks of photographs keep the paper's rule: at least {glue:text}`rule_paper:.0f` % of the box. Our first
#   edition asked test masks for {glue:text}`rule_low:.0f` to {glue:text}`rule_high:.0f` %, as a substitute for somebody who
#   looks at them. The networks are compared on the images that this would keep and on those that it would drop.
# - **Size of the objects.** The test images of each class are split into thirds by how much of the image is object. Where
#   the object is large there is little background to rely on.
# - **Number of backgrounds**, for attacks: every test image's background instead of a sample.
#
# All networks of this chapter are trained on Original, as many of them as {numref}`tab-suspect-networks` says. With a single
# network an interval covers the draw of the test images, not that of the training.

# %% tags=["parameters"]
profile = "control"
recorded = False

# %% tags=["hide-input"]
import pandas as pd

import in9
from in9.experiments import masks_and_sizes, paper, why_pretrained, why_we_differ
from in9.experiments.adversarial_backgrounds import ADVERSARIAL
from in9.experiments.why_pretrained import EARLIER_RULE
from in9.experiments.why_we_differ import EVERY_BACKGROUND, LEVELS, SUSPECTS
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
# What explains the distance from the paper is asked of photographs: of the record where this run has none.
lead = study.origin if study.profile.real else next(iter(sources))
own = {origin: source.answers("original") for origin, source in sources.items()}
thirds = {origin: masks_and_sizes.object_sizes(source) for origin, source in sources.items()}
masks = {origin: masks_and_sizes.mask_changes(source) for origin, source in sources.items()}
rules = {origin: masks_and_sizes.mask_rules(source) for origin, source in sources.items()}


def row_of(frame, column, value):
    """The row of a frame with this value; dashes where there is none."""
    found = frame[frame[column] == value]
    if len(found):
        return {"share": f"{found.iloc[0]['share']:.0f}", "gap": masks_and_sizes.as_text(found.iloc[0])}
    return {"share": tables.NOTHING, "gap": tables.NOTHING}


def parts_of(found):
    """The least share of each suspect that was tried, in words: part of the detail, part of the images."""
    shares = {what: [suspect for suspect in found if suspect.what == what] for what in ("detail", "images")}
    # ``effects`` takes the least shrinking, and the fewest images.
    ends = {"detail": max(shares["detail"], default=None), "images": min(shares["images"], default=None)}
    return {what: suspect.label for what, suspect in ends.items() if suspect}


OF_ONE_SPLIT = "the recipes, less detail, fewer images and the attacks on such networks"
sizes = masks_and_sizes.at_imagenet_sizes(sources[lead])
remains = "ImageNet's own sizes are not known here."
if sizes:
    away = theirs["gap"] - own[lead].gap().in_percent().value
    remains = (
        f"In {sizes.images} of ImageNet's validation images, with masks by the same rules, objects take "
        f"{sizes.theirs:.0f} % of the image on average, in ours {sizes.ours:.0f} % (every class counting the same). "
        f"If our images are weighted so that their objects are as large, our gap is {sizes.gap.text()} points: sizes "
        f"explain {sizes.gap.in_percent().value - own[lead].gap().in_percent().value:.1f} of the {away:.1f} points by "
        "which it is smaller than the paper's."
    )
added, parts = effects[lead], parts_of(levels[lead])
tables.glue(
    paper_original=theirs["original"],
    paper_gap=theirs["gap"],
    whose="Our networks, tested on photographs,"
    if sources[lead].profile.real
    else "Our networks, tested on drawn images,",
    own_original=own[lead].accuracy("original"),
    own_gap=own[lead].gap(),
    low_images=parts.get("images", tables.NOTHING).removesuffix(" of the images"),
    **{f"images_{quantity}": added.get((quantity, "images"), "(not tried)") for quantity in ("original", "gap")},
    **{f"gap_{third}": row_of(thirds[lead], "third", third)["gap"] for third in masks_and_sizes.THIRDS},
    **{f"share_{third}": row_of(thirds[lead], "third", third)["share"] for third in masks_and_sizes.THIRDS},
    masks_pixels=-min(masks_and_sizes.PIXELS),
    masks_tight=row_of(masks[lead], "pixels", min(masks_and_sizes.PIXELS))["gap"],
    masks_wide=row_of(masks[lead], "pixels", max(masks_and_sizes.PIXELS))["gap"],
    rule_low=100 * EARLIER_RULE.mask_share[0],
    rule_high=100 * EARLIER_RULE.mask_share[1],
    rule_paper=100 * paper.fact("rule_mask_share_low").value,
    rule_kept=row_of(rules[lead], "rule", "kept by it")["gap"],
    rule_small=row_of(rules[lead], "rule", "mask too small for it")["gap"],
    rule_small_share=row_of(rules[lead], "rule", "mask too small for it")["share"],
    paper_epochs=paper.fact("recipe_epochs").value,
    paper_pixels=paper.fact("recipe_crop").value,
    data_name=study.profile.name,
)
tables.markdown("\n\n".join([study.describe(), why_pretrained.caveat(sources, OF_ONE_SPLIT)]))

# %% [markdown]
# ## Recipes on validation images
#
# The difference from the recipe as it is compares the same validation images. The smaller their set, the more luck there is in
# what comes first; neighbours in {numref}`tab-trials` are often within their intervals. What each setting does, and why it is as
# it is, says {doc}`/data`.


# %% table={"caption": "Recipes tried on the validation images, trained on Original with one seed: accuracy, and what the change adds.", "name": "tab-trials"} tags=["hide-input"]
rows = [
    row | {"of": tables.ORIGIN_TITLES[origin]}
    for origin, source in sources.items()
    for row in why_we_differ.trial_rows(source)
]
tables.table(rows, nothing="This profile tries no other recipe.")

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
        for suspect, models in found.items():
            estimate = models.gap() if quantity == "gap" else models.accuracy(quantity)
            rows.append({"level": suspect.label, "origin": origin} | estimate.in_percent()._asdict())
    return pd.DataFrame(rows, columns=["level", "origin", "value", "low", "high"])


# %% mystnb={"figure": {"caption": "Accuracy on whole images after training on Original, as it is and with one suspect changed; lines are 95 % intervals (the paper gives none).", "name": "fig-suspects-accuracy"}, "image": {"alt": "A dot plot: one row for the paper, one for the profile's training as it is, and one for each change of the recipe, of the detail and of the number of images; the accuracy on whole images in our record and in this run."}} tags=["hide-input"]
style.use("svg")
charts.intervals(rows_of("original"), "level", "value", ["the paper", *names], "accuracy on Original, %")

# %% mystnb={"figure": {"caption": "BG-Gap after training on Original, as it is and with one suspect changed; lines are 95 % intervals (the paper gives none).", "name": "fig-suspects-gap"}, "image": {"alt": "A dot plot with the same rows: the BG-Gap in points, in the paper, in our record and in this run."}} tags=["hide-input"]
charts.intervals(rows_of("gap"), "level", "value", ["the paper", *names], "BG-Gap, points")

# %% table={"caption": "Networks of these figures: epochs, images, and how many there are.", "name": "tab-suspect-networks"} tags=["hide-input"]
rows = []
for origin, found in levels.items():
    for suspect, models in found.items():
        recipe, training = models.models[0].recipe, models.models[0].training
        rows.append(
            {
                "trained on Original": suspect.label,
                "network": f"`{recipe['architecture']}`",
                "epochs": recipe["epochs"],
                "images": training["images"],
                "networks": len(models.seeds),
                "of": tables.ORIGIN_TITLES[origin],
            }
        )
tables.table(rows)

# %% [markdown]
# ## Paper, record, this run
#
# First the numbers of the other chapters' networks, then what undoing each suspect adds. A suspect explains a distance as far as
# it adds what is missing, and with the same sign.

# %% table={"caption": "The paper's numbers, ours, the distance, and what undoing each suspect adds, in percent and points.", "name": "tab-suspects"} tags=["hide-input"]
quantities = {"original": "on Original", "only_bg_t": "on Only-BG-T", "gap": "BG-Gap"}


def line(what, values, origin):
    cells = {name: values.get(quantity) for quantity, name in quantities.items()}
    return {"trained on Original": what, **cells, "of": tables.ORIGIN_TITLES[origin]}


def numbers(origin):
    models, made_of = own[origin], parts_of(levels[origin])
    ours = {quantity: models.gap() if quantity == "gap" else models.accuracy(quantity) for quantity in quantities}
    yield line("as in the other chapters", ours, origin)
    if sources[origin].profile.real:  # drawn images are not meant to be like the paper's
        away = {quantity: theirs[quantity] - ours[quantity].in_percent().value for quantity in quantities}
        yield line("the paper less that", away, origin)
    undone = {
        "training": "the profile's recipe for a lighter one",
        "detail": f"all of the detail for {made_of.get('detail', '')}",
        "images": f"all of the images for {made_of.get('images', '')}",
    }
    for suspect, what in undone.items():
        adds = {quantity: effects[origin].get((quantity, suspect)) for quantity in quantities}
        if any(adds.values()):
            yield line(f"adds: {what}", adds, origin)


rows = [line("the paper", theirs, "paper"), *(row for origin in levels for row in numbers(origin))]
tables.table(rows)

# %% [markdown]
# ## Masks
#
# A mask that is too tight leaves a rim of the object behind, one that is too wide takes some of the old background along,
# which then speaks for the object's class on every new one. {numref}`fig-masks` shows what that does to the gap, with the
# networks trained on masks as they are. Changed masks are tested in one draw of the backgrounds.

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
            "BG-Gap, points": masks_and_sizes.as_text(row),
            "of": tables.ORIGIN_TITLES[origin],
        }
        for origin, frame in masks.items()
        for row in frame.to_dict("records")
    ]
)

# %% [markdown]
# ## Mask rule
#
# A thin insect or a bird with open wings fills little of its box, and its mask may still be good. A rule that asks a mask for more
# of its box keeps large objects and drops small ones, and with them the images that need their background most.

# %% table={"caption": "Our test images by the mask rule of the first edition: how many there are, the share of the image that is foreground, in percent, and the BG-Gap in points.", "name": "tab-mask-rule"} tags=["hide-input"]
tables.table(
    [
        {
            "test images": row["rule"],
            "number": row["images"],
            "foreground, %": row["share"],
            "BG-Gap, points": masks_and_sizes.as_text(row),
            "of": tables.ORIGIN_TITLES[origin],
        }
        for origin, frame in rules.items()
        for row in frame.to_dict("records")
    ]
)

# %% [markdown]
# ## Size of the objects
#
# {numref}`tab-objects` has the gap of the same networks on the images with the smallest, the middle and the largest objects,
# a third of each class in each.

# %% table={"caption": "Share of the image that is foreground, in percent, and BG-Gap in points, by the size of the object within its class.", "name": "tab-objects"} tags=["hide-input"]
tables.table(
    [
        {
            "objects": row["third"],
            "foreground, %": row["share"],
            "BG-Gap, points": masks_and_sizes.as_text(row),
            "of": tables.ORIGIN_TITLES[origin],
        }
        for origin, frame in thirds.items()
        for row in frame.to_dict("records")
    ]
)

# %% tags=["hide-input"]
tables.markdown(remains)

# %% [markdown]
# ## Attacks
#
# {doc}`/04_adversarial_backgrounds` attacks with other numbers of backgrounds than the paper, and finds a class that is a weak
# target. The same suspects, for networks trained on Original (the paper attacks one trained on IN-9L). With more backgrounds
# more objects are vulnerable, so compare rows with equal numbers of them:

# %% table={"caption": "Attacks on networks trained on Original, in percent of the objects, as it is and with one suspect changed.", "name": "tab-suspects-attacks"} tags=["hide-input"]
attacked = {origin: SUSPECTS.read(source) for origin, source in sources.items()}
rows = [
    {
        "trained on Original": f"the paper, trained on {TITLES[IN9L]}",
        "backgrounds": int(paper.fact("backgrounds").value),
        "vulnerable, targeted": paper.fact("vulnerable").value,
        "challenge accuracy": float(paper.table("attack").query("measure == 'challenge'")["value"].iloc[0]),
        "weakest target class": float(paper.table("adversarial").query("measure == 'fooled_any'")["value"].min()),
        "of": tables.ORIGIN_TITLES["paper"],
    }
]
for origin, found in attacked.items():
    shown = {suspect.label: attack for suspect, attack in found.items() if suspect != EVERY_BACKGROUND}
    shown[f"{why_we_differ.base(found).label}, every background"] = found[EVERY_BACKGROUND]
    if sources[origin].profile.many_trainings:
        shown = {"as in the other chapters": ADVERSARIAL.read(sources[origin])["original"], **shown}
    for what, attack in shown.items():
        rows.append(
            {
                "trained on Original": what,
                "backgrounds": attack.sizes[1],
                "vulnerable, targeted": attack.vulnerable(),
                "challenge accuracy": attack.challenge(),
                "weakest target class": attack.weakest(),
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
# - **Large objects.** Of all suspects this moves the gap most: from {glue:text}`gap_smallest` points where the objects take
#   {glue:text}`share_smallest` % of the image, through {glue:text}`gap_middle` at {glue:text}`share_middle` %, to
#   {glue:text}`gap_largest` at {glue:text}`share_largest` %. Small images show their objects large. The paper does not say how
#   large its own are; where ours are small, the gap is close to the paper's {glue:text}`paper_gap:.1f`.
# - **Mask rule.** On the images that our first edition would have kept the gap is {glue:text}`rule_kept` points, on those whose
#   masks it would have called too small {glue:text}`rule_small`. They are small objects, {glue:text}`rule_small_share` % of the
#   image, so this is the same suspect once more. Its effect is gone from the numbers of the other chapters.
# - **Masks.** With test masks shrunk by {glue:text}`masks_pixels` pixels the gap is {glue:text}`masks_tight` points, with masks
#   grown by as many {glue:text}`masks_wide`. A wide mask takes a rim of the old background along, and that speaks for the
#   object's class on every new one. A tight mask makes the object smaller, which is again the first suspect.
# - **Few images.** Their number moves accuracy most, and the paper has more: compare the rows of
#   {doc}`/02_backgrounds_suffice` for Original and IN-9L, too.
# - **What remains.** Where ImageNet's own sizes are known, the section on size says how much of the distance they explain: a good
#   part, and not all. The suspects overlap, so what they add must not be added up, and of the others only masks that are too
#   tight or too wide move the gap clearly. The distance of accuracy stays, too: it needs more images and more detail than we have.
# - **Not tried.** More detail than our images have, a ResNet-50 trained for {glue:text}`paper_epochs:.0f` epochs, and the
#   authors' own masks. Profile `paper` does the first two with your copy of ImageNet and a GPU ({doc}`/how_to_run`).
# - **Halving and doubling.** What halving the side of our images costs need not be what doubling it would bring, which is the
#   way to the paper's.
# - **Drawn images.** Those of profile `control` are no photographs, and their distance from the paper needs no explanation. They
#   show that each change is measured: an object without its detail, say, can only be told by its background.
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
