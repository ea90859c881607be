# %% [markdown]
# # Does the instrument work?
#
# Before a measure is trusted on photographs, it should give the right answer where the answer is known. Where drawn
# backgrounds say nothing of the class, the BG-Gap is {glue:text}`gap_first` points, an interval that {glue:text}`zero_verdict`.
# Where they say all of the class, it is {glue:text}`gap_last` points. (In brackets: 95 % interval; the data of this run:
# {glue:text}`dial_data`.)
#
# ## What the paper did
#
# The paper {cite:p}`xiao2021noise` guards its measure by design (section 4): Mixed-Same and Mixed-Rand both have pasted
# objects on tiled backgrounds, so that what pasting does to a picture cancels in their difference, the BG-Gap (see
# {doc}`/03_bg_gap`). It does not test the measure on images with known answers, nor does it give intervals.
#
# ## What we did
#
# The control set (see {doc}`/data`) has a dial, rho: the probability that an object stands on the background of its own
# class rather than on a random one. At each position of the dial, classifiers are trained on Original and tested on sets
# of the same position. The backgrounds of the mixed test sets are drawn {glue:text}`draws` times, and a number is the mean
# over these draws. Three things must then hold:
#
# 1. At rho = 0 the BG-Gap is zero within its interval, and Only-BG-T gives chance level.
# 2. Both rise with rho.
# 3. *Negative control.* The accuracy on Mixed-Same in the first half of the draws minus that in the second half is zero
#    within its interval at every position, for both are the same kind of test.

# %% tags=["parameters"]
profile = "control"
recorded = False

# %% tags=["hide-input"]
from itertools import pairwise

import in9
from in9.experiments import controls, paper
from in9.plots import curves, style, tables
from in9.taxonomy import CHANCE

study = in9.Study(profile, recorded=recorded)
dial = controls.dial(study)
positions = controls.dial_profiles(study.profile)
first, last = min(dial), max(dial)
gaps = [measured["gap"].value for measured in dial.values()]
negative = [measured["control"] for measured in dial.values()]
tables.glue(
    gap_first=dial[first]["gap"],
    gap_last=dial[last]["gap"],
    draws=positions[first].draws,
    zero_verdict="includes zero" if controls.includes_zero(dial[first]["gap"]) else "does not include zero",
    steps_up=sum(later > earlier for earlier, later in pairwise(gaps)),
    steps=len(gaps) - 1,
    controls_zero=sum(map(controls.includes_zero, negative)),
    positions=len(negative),
    control_reach=100 * max(max(control.high, -control.low) for control in negative),
    paste_first=dial[first]["paste"],
    paste_last=dial[last]["paste"],
    paste_photographs=controls.calibration(study.origins.get("record", study))["paste"],
    pull_first=dial[first]["pull"],
    pull_last=dial[last]["pull"],
    dial_data=f"{len(dial)} control sets, {positions[first].source_options['per_class']} images a class in each",
)
options = positions[first]
tables.markdown(
    f"Each of the {len(dial)} positions has {options.source_options['per_class']} drawn images a class, of "
    f"{options.source_options['image_size']} x {options.source_options['image_size']} pixels, and trains a "
    f"`{options.recipe.architecture}` for {options.recipe.epochs} epochs with {len(options.seeds)} "
    f"{'seed' if len(options.seeds) == 1 else 'seeds'}. A profile of photographs uses the same drawn images here. "
    "Intervals take into account that test images are few, that an image serves as an object once and as a background "
    "several times, and that networks differ."
)

# %% [markdown]
# ## The dial
#
# {numref}`fig-dial` shows the three conditions. From one position to the next the BG-Gap rises at {glue:text}`steps_up` of
# {glue:text}`steps` steps; the negative control includes zero at {glue:text}`controls_zero` of {glue:text}`positions` positions.
# An interval of 95 % misses the truth one time in twenty, so with many positions one miss is no alarm; several are.

# %% mystnb={"figure": {"caption": "What the measures say at each position of the dial rho, after training on Original; bands are 95 % intervals.", "name": "fig-dial"}, "image": {"alt": "Three panels over the dial rho. At the top, differences in points: the BG-Gap beside two controls, Mixed-Same minus a second draw of it and Original minus Mixed-Same. In the middle, accuracy on Original and on Only-BG-T, and the chance level. At the bottom, how often a wrong answer is the background's class, beside any other wrong class."}} tags=["hide-input"]
style.use("svg")
every = controls.frame(dial)
panels = {
    "difference, points": every[every["series"].isin(["gap", "paste", "control"])],
    "accuracy, %": every[every["series"].isin(["original", "only_bg_t"])],
    "share of answers, %": every[every["series"].isin(["towards", "elsewhere"])],
}
references = {"accuracy, %": [(100 * CHANCE, "chance")], "difference, points": [(0, "")]}
curves.lines(panels, "rho", "rho: how much the background says of the class", style.QUANTITY_LOOKS, references)

# %% [markdown]
# The third panel is a check of another kind. If a background misleads, wrong answers should be *the background's class*
# and not just any class. On Mixed-Rand, with backgrounds of another class, we count how often the answer is that class, and
# how often, per class, it is one of the seven that are neither the object's nor the background's. The two differ by
# {glue:text}`pull_first` points at the lowest position and by {glue:text}`pull_last` at the highest.

# %% table={"caption": "The BG-Gap and its controls at each position of the dial, with 95 % intervals.", "name": "tab-dial"} tags=["hide-input"]
tables.table(
    [
        {
            "rho": f"{rho:g}",
            "BG-Gap, points": measured["gap"],
            "negative control, points": measured["control"],
            "Original minus Mixed-Same": measured["paste"],
            "on Only-BG-T, %": measured["only_bg_t"],
        }
        for rho, measured in dial.items()
    ]
)

# %% [markdown]
# ## Paper, record, this run
#
# The same checks on the classifiers that the following chapters use. (For profile `control` this is one more position of
# the dial, trained for longer; for photographs the true answer is not known, but the negative control must be zero all the
# same.)

# %% table={"caption": "The measures on networks trained on Original: the paper, our record on photographs, this run.", "name": "tab-instrument"} tags=["hide-input"]
published = paper.train_test_matrix().loc["original"]
tables.side_by_side(
    "trained on Original",
    {
        "original": "accuracy on Original, %",
        "only_bg_t": "accuracy on Only-BG-T, %",
        "gap": "BG-Gap, points",
        "control": "Mixed-Same, half of the draws minus the others, points",
        "paste": "Original minus Mixed-Same, points",
        "towards": "answers that are the background's class, %",
        "elsewhere": "answers that are another wrong class, per class, %",
    },
    {
        "original": published["original"],
        "only_bg_t": published["only_bg_t"],
        "gap": published["mixed_same"] - published["mixed_rand"],
        "paste": published["original"] - published["mixed_same"],
    },
    {origin: controls.calibration(source) for origin, source in study.origins.items()},
)

# %% [markdown]
# ## What follows for the real numbers
#
# - **A gap counts if its interval excludes zero.** The two halves of the draws of a test set gave differences whose intervals
#   reach out to {glue:text}`control_reach:.1f` points here. With as many drawn images, what is smaller cannot be told from no
#   gap. There are more photographs, and {numref}`tab-instrument` has the same control for them.
# - **Original minus Mixed-Same is no measure of background.** At rho = 0 the background says nothing, so the
#   {glue:text}`paste_first` points between the two are what pasting does: seams, tiles, and objects on backgrounds of other
#   pictures. At the other end of the dial they are {glue:text}`paste_last` points, and in our record on photographs
#   {glue:text}`paste_photographs`. In the BG-Gap pasting cancels.
# - **A gap has two causes.** It needs backgrounds that tell the class, and a classifier that listens. At a lower rho both are
#   less. A gap therefore describes a classifier *on a dataset*; the same classifier has another gap elsewhere.
# - **Wrong answers have a direction.** Where a gap comes from backgrounds, wrong answers are the background's class more often
#   than another. A gap without this pull would need another explanation.
#
# ## Where we differ, and why
#
# - **The test sets move with the dial.** Train and test images share rho, as they share their source in the paper.
#   Mixed-Same and Mixed-Rand draw a background *by the class of its image*; at a low rho that image itself seldom stands on
#   its class's texture, so that the label of a background means less. A test set with a fixed rho would separate what the
#   classifier learned from what the test can show; here the two rise together.
# - **Few networks.** An interval includes the spread between networks that images do not explain. Two networks tell too
#   little of that spread, so that intervals from two may be too narrow.
# - **Leaks.** Only-BG-T hides the object but not the place and size of its box. Chance level at rho = 0 says that this leak is
#   small in the control set, not that it is small in photographs.
#
# ## Try it yourself
#
# Train on Mixed-Rand at one position of the dial: `study.of_profile(positions[last]).answers("mixed_rand").gap()`. Does that
# bring the gap to zero even where the background tells everything?
#
# ## Next
#
# {doc}`/02_backgrounds_suffice`: networks that never see an object, and name it all the same.
