# %% [markdown]
# # Adversarial backgrounds
#
# Show an object on many backgrounds and keep the worst. For {glue:text}`targeted` % of the objects at least one of
# {glue:text}`backgrounds:,` backgrounds makes a classifier trained on IN-9L answer *the background's* class. In the paper, with
# {glue:text}`paper_backgrounds:,` backgrounds, it is {glue:text}`paper_targeted:.1f` %. Training on Mixed-Rand, drawn anew,
# protects a part: {glue:text}`targeted_mixed_rand` %, which is {glue:text}`protected` points less than after training on
# Original. (In brackets: 95 % interval; the data of this run: {glue:text}`data_name`.)
#
# ## What the paper did
#
# Section 4 of the paper {cite:p}`xiao2021noise` pastes every test object on the Only-BG-T background of every test image.
# An object is *vulnerable* if some background of another class turns the answer into that background's class. The *attack
# success rate* of one background is the share of objects of other classes that it turns into its own class.
#
# The authors' repository has a looser rule for its challenge: there an object is vulnerable as soon as any background, one
# of its own class included, makes the answer wrong in whatever way. *Challenge accuracy* is the share of objects that are
# right on every background. Below, the first rule is called targeted and the second untargeted.
#
# ## What we did
#
# All pairs of object and background are composed on the device and predicted once. The matrix of predicted classes, one
# byte a pair, then answers every question of this chapter. With folds, each object meets all the backgrounds of its own fold,
# so that neither is known to the classifier from its training. For challenge accuracy alone most pairs are not needed: an
# object is done at its first error, and backgrounds that have fooled many objects come first. That search gives exactly
# the same result, here with {glue:text}`search_share:.1f` % of the pairs.

# %% tags=["parameters"]
profile = "control"
recorded = False

# %% tags=["hide-input"]
import pandas as pd

import in9
from in9.experiments import adversarial_backgrounds, image_counts, paper
from in9.experiments.adversarial_backgrounds import ADVERSARIAL, ATTACKED
from in9.plots import charts, curves, pictures, style, tables
from in9.taxonomy import CLASS_NAMES, TITLES

study = in9.Study(profile, recorded=recorded)
runs = {origin: (source, attacks) for origin, source in study.origins.items() if (attacks := ADVERSARIAL.read(source))}
ours = runs[study.origin][1]
record, recorded_attacks = next(iter(runs.values()))  # on photographs, where there is a record
foregrounds, backgrounds, pairs = ours["in9l"].sizes
paper_backgrounds = int(paper.fact("backgrounds").value)
weakest = recorded_attacks["in9l"].by_class().set_index("target")["value"].idxmin()
targets = paper.table("adversarial").query("measure == 'fooled_any'").set_index("target")["value"]
success = recorded_attacks["in9l"].success()
strongest = success.sort_values("value").iloc[-1]
behind = image_counts.imagenet_classes(record)
tables.glue(
    targeted=ours["in9l"].vulnerable(),
    targeted_mixed_rand=ours["mixed_rand"].vulnerable(),
    backgrounds=backgrounds,
    search_share=ours["in9l"].search_share,
    protected=ours["original"].minus(ours["mixed_rand"]),
    record_backgrounds=recorded_attacks["in9l"].sizes[1],
    record_targeted=recorded_attacks["in9l"].vulnerable(),
    record_if_right=recorded_attacks["in9l"].vulnerable_if_right(),
    extrapolated=recorded_attacks["in9l"].extrapolated(paper_backgrounds),
    record_accuracy=record.answers("in9l").accuracy("original"),
    paper_accuracy=float(paper.train_test_matrix().loc["in9l", "original"]),
    weakest=recorded_attacks["in9l"].weakest(),
    weakest_name=weakest,
    weakest_is=" and ".join(behind.get(weakest, [weakest])),
    strongest=float(strongest["value"]),
    strongest_name=strongest["target"],
    strongest_is=" and ".join(behind.get(strongest["target"], [strongest["target"]])),
    mean_of_strongest=float(success.loc[success["target"] == strongest["target"], "value"].mean()),
    paper_weakest=float(targets.min()),
    paper_same_target=float(targets[weakest]),
    few_kinds="; ".join(f"{name}: {', '.join(kinds)}" for name, kinds in behind.items() if 0 < len(kinds) <= 2),
    per_background=round(len(recorded_attacks["in9l"].labels) / max(1, record.profile.split.folds) * 8 / 9),
    paper_per_background=paper.fact("foregrounds_per_target").value,
    data_name=study.profile.name,
    paper_targeted=paper.fact("vulnerable").value,
    paper_backgrounds=paper_backgrounds,
)
attacked = f"Each network is attacked with {foregrounds:,} objects on {backgrounds:,} backgrounds: {pairs:,} pairs."
if ours["in9l"].folds is not None:
    attacked += f" All are of its fold, so that {len(ours['in9l'].labels):,} objects are attacked in all."
tables.markdown(f"{study.describe()} {attacked}")

# %% [markdown]
# {numref}`fig-fooled` is the paper's table as a chart, for the classifier trained on IN-9L: how many objects of the other
# eight classes can be turned into a class by some background of that class.

# %% mystnb={"figure": {"caption": "Objects of other classes that some background of the target class turns into that class, after training on IN-9L; lines are 95 % intervals (the paper gives none).", "name": "fig-fooled"}, "image": {"alt": "A dot plot with nine rows, one for each target class: the share of objects of other classes that at least one background of that class fools, in the paper, in our record where there is one, and in this run."}} tags=["hide-input"]
style.use("svg")
frames = [pd.DataFrame({"target": targets.index, "value": targets.to_numpy()}).assign(origin="paper")]
frames += [attacks["in9l"].by_class().assign(origin=origin) for origin, (_, attacks) in runs.items()]
charts.intervals(pd.concat(frames), "target", "value", CLASS_NAMES, "foregrounds fooled by any background, %")

# %% [markdown]
# How much of this is the work of a few backgrounds? {numref}`fig-success` shows how the attack success rates of single
# backgrounds are spread within each class.

# %% mystnb={"figure": {"caption": "Attack success rate of each background, by its class, after training on IN-9L.", "name": "fig-success"}, "image": {"alt": "Nine histograms, one for each class of background. Horizontal: the share of objects of other classes that a background turns into its own class. Vertical: the share of the backgrounds of that class."}} tags=["hide-input"]
rates = [attacks["in9l"].success().assign(origin=origin) for origin, (_, attacks) in runs.items()]
charts.success_histograms(pd.concat(rates), CLASS_NAMES)

# %% [markdown]
# In our record the strongest background is of the class {glue:text}`strongest_name` ({glue:text}`strongest_is`): it turns
# {glue:text}`strongest:.0f` % of the other objects into its class, where the mean background of that class turns
# {glue:text}`mean_of_strongest:.0f` %.
#
# {numref}`fig-adversarial` shows the most adversarial backgrounds of this run. They are Only-BG-T images: the object's box
# is filled with tiles of what surrounds it.

# %% mystnb={"figure": {"caption": "The most adversarial backgrounds of each class in this run, best first; below each, its attack success rate after training on IN-9L.", "name": "fig-adversarial"}, "image": {"alt": "A grid of background pictures: nine rows, one for each class, and up to five columns, the most adversarial first. The box of the object is filled with tiles; below each picture stands its attack success rate in percent."}} tags=["hide-input"]
style.use("jpeg")
best = ours["in9l"].best(5)
shown = min(map(len, best.values()))
best = {name: part.head(shown) for name, part in best.items()}
if study.has_images:
    grid = pictures.picture_grid(
        adversarial_backgrounds.pictures_of(study, best),
        [f"rank {rank}" for rank in range(1, shown + 1)],
        {name: [f"{value:.0f} %" for value in part["value"]] for name, part in best.items()},
    )
else:
    grid = pictures.no_images()
grid

# %% [markdown]
# ## The more backgrounds, the more vulnerable
#
# Vulnerability is a maximum over backgrounds, so it can only grow with their number. {numref}`fig-growth` takes an eighth,
# a quarter, a half and all of our backgrounds, each set within the next. **Fewer backgrounds give a smaller number for that
# reason alone.** Our photographs give {glue:text}`record_backgrounds:,` backgrounds to each object, the paper
# {glue:text}`paper_backgrounds:,`. Extrapolated to as many, our line ends at {glue:text}`extrapolated:.1f` %. This is no
# measurement: it assumes that the log odds go on rising in a straight line with the logarithm of the number.

# %% mystnb={"figure": {"caption": "Vulnerable foregrounds (targeted rule) against the number of backgrounds that each meets, after training on IN-9L; bands are 95 % intervals, the square is the paper's number.", "name": "fig-growth"}, "image": {"alt": "A line that rises with the number of backgrounds on a logarithmic axis, for our record where there is one and for this run, and one point for the paper at its 4,050 backgrounds."}} tags=["hide-input"]
style.use("svg")
headline = {"backgrounds": int(paper.fact("backgrounds").value), "value": paper.fact("vulnerable").value}
frames = [pd.DataFrame([headline]).assign(origin="paper", low=float("nan"), high=float("nan"))]
frames += [attacks["in9l"].growth().assign(origin=origin) for origin, (_, attacks) in runs.items()]
curves.vulnerability_growth(pd.concat(frames))


# %% [markdown]
# ## Paper, record, this run
#
# Both rules, challenge accuracy, and accuracy on the whole images for comparison. The paper's numbers are with its own
# number of backgrounds. Ours with the same number are extrapolated, and have no interval.


# %% table={"caption": "Vulnerability and challenge accuracy by training set and rule, in percent of the objects.", "name": "tab-attacks"} tags=["hide-input"]
def numbers(origin):
    source, attacks = runs[origin]
    rows = {}
    for name, attack in attacks.items():
        rows |= {(name, "targeted"): attack.vulnerable(), (name, "untargeted"): attack.vulnerable("untargeted")}
        rows[name, "extrapolated"] = attack.extrapolated(paper_backgrounds)
        rows |= {(name, "right"): attack.vulnerable_if_right(), (name, "challenge"): attack.challenge()}
        rows |= {(name, "accuracy"): source.answers(name).accuracy("original")}
    return rows


facts = (
    paper.table("attack")
    .query("model == 'resnet50' and trust != 'medium'")
    .drop_duplicates(["training", "rule", "measure"])
)
printed = {
    (row.training, row.rule if row.measure == "vulnerable" else row.measure): row.value for row in facts.itertuples()
}
labels = {
    "targeted": "vulnerable, targeted",
    "extrapolated": f"vulnerable, targeted, extrapolated to {paper_backgrounds:,} backgrounds",
    "right": "vulnerable, targeted, of objects that are right on Original",
    "untargeted": "vulnerable, untargeted",
    "challenge": "challenge accuracy",
    "accuracy": "accuracy on Original",
}
tables.side_by_side(
    "trained on, %",
    {(name, what): f"{TITLES[name]}: {label}" for name in ATTACKED for what, label in labels.items()},
    printed,
    {origin: numbers(origin) for origin in runs},
)


# %% [markdown]
# The paper's table for the classifier trained on IN-9L. First, the share of the other classes' objects that some background
# of the target class fools.


# %% table={"caption": "Objects of other classes that some background of the target class turns into it, in percent.", "name": "tab-targets"} tags=["hide-input"]
def by_target(attacks):
    return {name: attacks["in9l"].fooled(label) for label, name in enumerate(CLASS_NAMES)}


tables.side_by_side(
    "target class, fooled by any background, %",
    {name: name for name in CLASS_NAMES},
    targets.to_dict(),
    {origin: by_target(attacks) for origin, (_, attacks) in runs.items()},
)


# %% [markdown]
# Second, the attack success rates of the five best single backgrounds.


# %% table={"caption": "Attack success rates of the five strongest backgrounds of each class, in percent.", "name": "tab-best"} tags=["hide-input"]
def five_best(attacks):
    best = attacks["in9l"].best(5)
    return {name: ", ".join(f"{value:.0f}" for value in part["value"]) for name, part in best.items()}


singles = (
    paper.table("adversarial").query("measure == 'best_background'").sort_values("rank").groupby("target")["value"]
)
tables.side_by_side(
    "target class, five best backgrounds, %",
    {name: name for name in CLASS_NAMES},
    {name: ", ".join(f"{value:.0f}" for value in values) for name, values in singles},
    {origin: five_best(attacks) for origin, (_, attacks) in runs.items()},
)

# %% [markdown]
# ## Where we differ, and why
#
# - **More vulnerable with fewer backgrounds.** Our networks for photographs are fooled on {glue:text}`record_targeted` % of the
#   objects with {glue:text}`record_backgrounds:,` backgrounds, more than the paper's with {glue:text}`paper_backgrounds:,`
#   ({glue:text}`paper_targeted:.1f` %). The number of backgrounds is not the reason, for it works the other way.
# - **Weaker classifiers.** Being wrong looks like being vulnerable. With a classifier that always gives the same answer,
#   eight in nine objects are vulnerable by either rule, whatever the background. The paper's classifier names
#   {glue:text}`paper_accuracy:.1f` % of the whole images rightly, ours {glue:text}`record_accuracy` %. But of the objects that
#   ours name rightly on Original {glue:text}`record_if_right` % are vulnerable, so that plain errors explain little.
#   A classifier that is less sure of its right answers may still be easier to fool; that we have not measured.
# - **A weak target.** The backgrounds of the weakest class of our photographs, {glue:text}`weakest_name`, turn
#   {glue:text}`weakest` % of the other objects into it. In the paper those of the same class turn
#   {glue:text}`paper_same_target:.0f` %, and no class fewer than {glue:text}`paper_weakest:.0f` %. In our photographs this class
#   is {glue:text}`weakest_is` alone, and has few backgrounds. {doc}`/12_why_we_differ` tries what the number of backgrounds,
#   detail and training have to do with it.
# - **Few kinds of things.** Classes of our photographs with but a kind or two ({glue:text}`few_kinds`; see {doc}`/01_dataset`)
#   have few backgrounds, too. What the tables say of them is about these kinds of backgrounds.
# - **Objects beyond their box.** Some of the strongest backgrounds of our photographs seem to show the object itself, such as
#   the pipes of an organ: the object reaches beyond its box. Such a picture is a background only in name.
# - **Best of many.** The best backgrounds are picked and scored on the same objects, which flatters them; the fewer
#   objects, the more. In the paper each is scored on {glue:text}`paper_per_background:,.0f` objects, in our record on about
#   {glue:text}`per_background`, and our five best are those of all folds together. So it is no surprise that most of our five
#   best are stronger than the paper's.
# - **IN-9L.** In drawn data every image has a good mask, so IN-9L and Original are the same training set there, and the
#   two models give the same answers.
#
# ## Try it yourself
#
# Which rule do fewer backgrounds change more? Compare `ours["in9l"].growth("targeted")` with
# `ours["in9l"].growth("untargeted")`. For challenge accuracy alone on a model of your own, use
# `in9.challenge`, which stops at each object's first error.
#
# ## Next
#
# {doc}`/05_mixed_rand_training`: what becomes of all this when backgrounds tell nothing in training.
