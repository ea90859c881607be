# %% [markdown]
# # 4 · Adversarial backgrounds (section 4)

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
from in9.experiments import adversarial_backgrounds, image_counts, paper, verdicts
from in9.experiments.adversarial_backgrounds import ADVERSARIAL, ATTACKED
from in9.experiments.experiment import told
from in9.plots import charts, curves, page, pictures, style, tables
from in9.taxonomy import CLASS_NAMES, TITLES

study = open_study(globals())
sources = study.origins
attacks = {
    origin: attacked
    for origin, source in sources.items()
    if (attacked := ADVERSARIAL.read(source))
}
first = told(study, ADVERSARIAL).origin
attack, paper_backgrounds = attacks[first]["in9l"], int(paper.fact("backgrounds").value)
verdict = verdicts.verdict_on("Most objects are vulnerable", study)
page.finding(
    "For {fooled:.0f} of 100 objects, at least one background makes the network answer the background's class instead of "
    "the object's.",
    paper=verdict.claim.printed().value,
    ours=verdict.ours,
    verdict=verdict.decision,
    fooled=attack.vulnerable(),
)

# %% [markdown]
# ## See it
#
# A random background misleads a network now and then. In this chapter we look for the worst ones: each object is pasted on
# every background, and we count how many objects each background fools.

# %% mystnb={"image": {"alt": "A grid of pictures. Each row begins with a background whose own object is covered by tiles; to its right are four objects of other classes, pasted on it. Below each stands its class, an arrow, and the class that the network named, which is that of the background."}} tags=["remove-input"]
style.use("jpeg")
illustrations = photographs.shown(study.workspace.photographs)
pairs = adversarial_backgrounds.answered_pairs(study, illustrations)
worst = pairs.strongest().groupby("label", sort=False).head(1).head(5)
titles = {
    row.background: f"{CLASS_NAMES[row.label]} fools\u00a0{row.fooled}"
    for row in worst.itertuples()
}
answered = {
    row.background: [
        f"{CLASS_NAMES[pairs.labels[each]]} → {CLASS_NAMES[row.label]}"
        for each in row.objects[:4]
    ]
    for row in worst.itertuples()
}
shown = adversarial_backgrounds.on_backgrounds(illustrations, worst, number=4)
used = [
    each for row in worst.itertuples() for each in (row.background, *row.objects[:4])
]
page.show(
    pictures.picture_grid(
        {title: shown[row] for row, title in titles.items()},
        ["background", "", "objects that", "it fools", ""],
        {
            title: ["", *answered[row], *[""] * (4 - len(answered[row]))]
            for row, title in titles.items()
        },
    ),
    """
    Left: the background of each of five classes that fools the most objects. Right: objects
    that it fools, with the true class and the answer of EfficientNet-Lite0, a network
    trained on ImageNet. We use only objects that the network recognises in their own
    photograph, and only backgrounds in which nothing of their class is left. The
    photographs are for showing: no claim rests on them. {drawn}{credit}
    """,
    drawn="These pictures stand in for photographs; the answers were given to the photographs. "
    * illustrations.drawn,
    credit=illustrations.credit(used),
)

# %% [markdown]
# ## How it works
#
# Let $f(o, b)$ be the network's answer when object $o$ stands on background $b$, and let $y_o$ and $y_b$ be their classes.
# [Xiao et al., 2021](https://arxiv.org/abs/2006.09994) paste every test object on the background of every test image, whose
# own object is covered by tiles (*Only-BG-T*). The **attack success rate** (ASR) of a background is the share of objects of
# other classes for which the network answers the background's class:
#
# $$
# \text{ASR}(b) = \frac{|\{o : y_o \ne y_b,\ f(o, b) = y_b\}|}{|\{o : y_o \ne y_b\}|}
# $$
#
# An object is **vulnerable** if at least one background does that to it:
#
# $$
# \begin{aligned}
# &\text{vulnerability} = \text{share of objects } o \\
# &\text{with } f(o, b) = y_b \ne y_o \text{ for some } b
# \end{aligned}
# $$
#
# The authors' [backgrounds challenge](https://github.com/MadryLab/backgrounds_challenge) is stricter. An object survives only
# if it is recognised on every background:
#
# $$
# \begin{aligned}
# &\text{challenge accuracy} = \text{share of objects } o \\
# &\text{with } f(o, b) = y_o \text{ for all } b
# \end{aligned}
# $$
#
# All three follow from one matrix of answers, with a row for each object and a column for each background. The next cell
# computes them for the photographs above:

# %%
# The answer to each object (rows) on each background (columns)
answers = pairs.classes[:, pairs.clean]
of_object, of_background = pairs.labels[:, None], pairs.labels[pairs.clean]
other = of_object != of_background
fooled = other & (answers == of_background)

success_rate = 100 * fooled.sum(axis=0) / other.sum(axis=0)
vulnerability = 100 * fooled.any(axis=1).mean()
survives = (answers == of_object).all(axis=1)

print(f"strongest background  {success_rate.max():.0f} %")
print(f"vulnerability         {vulnerability:.0f} %")
print(f"challenge accuracy    {100 * survives.mean():.0f} %")

# %% tags=["remove-input"]
foregrounds, backgrounds, composites = attack.sizes
page.say(
    """
    The numbers below come from larger matrices: {foregrounds:,} objects on
    {backgrounds:,} backgrounds, which is {composites:,} images for each
    network{folds}. Each class has the same weight. Challenge accuracy alone needs far
    fewer images: an object is done at its first error, and backgrounds that have fooled
    many objects are tried first. This search needs {search:.1f} % of the images and gives
    exactly the same result. `in9 challenge` does it for [a model of
    yours](../book/your_model.md).
    """,
    foregrounds=foregrounds,
    backgrounds=backgrounds,
    composites=composites,
    search=attack.search_share,
    folds=""
    if attack.folds is None
    else f". In total there are {len(attack.labels):,} objects, each shown to the network that was not trained on it",
)

# %% [markdown]
# ## Evidence
#
# The figure shows, for each class, how many objects of the other eight classes at least one of its backgrounds fools.

# %% mystnb={"image": {"alt": "A dot plot with nine rows, one for each target class: the share of objects of other classes that at least one background of that class fools, in the paper and in our record."}} tags=["remove-input"]
style.use("svg")
targets = (
    paper.table("adversarial")
    .query("measure == 'fooled_any'")
    .set_index("target")["value"]
)
frames = [
    pd.DataFrame({"target": targets.index, "value": targets.to_numpy()}).assign(
        origin="paper"
    )
]
frames += [
    attacked["in9l"].by_class().assign(origin=origin)
    for origin, attacked in attacks.items()
]
page.show(
    charts.intervals(
        pd.concat(frames),
        "target",
        "value",
        CLASS_NAMES,
        "objects of other classes that are fooled, %",
    ),
    """
    Share of the objects of other classes that at least one background of the class fools,
    after training on IN-9L, the larger training set. Lines are 95 % intervals; the paper
    gives none.
    """,
)

# %% tags=["remove-input"]
labels_of = {
    "targeted": "vulnerable (answers the background's class)",
    "untargeted": "vulnerable (any wrong answer)",
    "challenge": "challenge accuracy",
    "accuracy": "accuracy on Original",
    "right": "vulnerable, of objects that are right on Original",
    "extrapolated": f"vulnerable, extrapolated to {paper_backgrounds:,} backgrounds",
}
facts = (
    paper.table("attack")
    .query("model == 'resnet50' and trust != 'medium'")
    .drop_duplicates(["training", "rule", "measure"])
)
printed = {
    (row.training, row.rule if row.measure == "vulnerable" else row.measure): row.value
    for row in facts.itertuples()
}
ours = {
    origin: adversarial_backgrounds.summary(source, attacks[origin], paper_backgrounds)
    for origin, source in sources.items()
    if origin in attacks
}
tables.side_by_side(
    "trained on IN-9L, %",
    {
        ("in9l", measure): labels_of[measure]
        for measure in ("targeted", "untargeted", "challenge", "accuracy")
    },
    printed,
    ours,
    caption="Vulnerability by both rules, challenge accuracy, and accuracy on whole images, in percent of the objects. We use "
    "fewer backgrounds than the paper",
)

# %% tags=["remove-input"]
page.say(
    """
    After training on Mixed-Rand (objects on random backgrounds, another in each epoch),
    {targeted} % of the objects are vulnerable. After training on Original it is
    {protected} points more.
    """,
    targeted=attacks[first]["mixed_rand"].vulnerable(),
    protected=attacks[first]["original"].minus(attacks[first]["mixed_rand"]),
)

# %% [markdown]
# ## What could fool us

# %% mystnb={"image": {"alt": "A line that rises with the number of backgrounds on a logarithmic axis, with a dashed part that is extrapolated up to the paper's number of backgrounds, and a square for the paper."}} tags=["remove-input"]
headline = {"backgrounds": paper_backgrounds, "value": paper.fact("vulnerable").value}
frames = [
    pd.DataFrame([headline]).assign(origin="paper", low=float("nan"), high=float("nan"))
]
frames += [
    attacked["in9l"].growth().assign(origin=origin)
    for origin, attacked in attacks.items()
]
extrapolated = {
    origin: attacked["in9l"].extrapolated(paper_backgrounds)
    for origin, attacked in attacks.items()
}
page.show(
    curves.vulnerability_growth(pd.concat(frames), paper_backgrounds, extrapolated),
    """
    Share of vulnerable objects by the number of backgrounds that each is pasted on, after
    training on IN-9L. Bands are 95 % intervals. The dashed part is not measured: it
    assumes that the log odds keep rising linearly with the logarithm of the number.
    """,
)

# %% tags=["remove-input"]
rates = attack.by_class().set_index("target")["value"]
weakest, behind = rates.idxmin(), image_counts.imagenet_classes(sources[first])
page.say(
    """
    - **The number of backgrounds.** Vulnerability can only grow with it. From an eighth
      of our backgrounds to all of them it rises by {growth:.1f} points; extrapolated to
      the paper's {paper_backgrounds:,}, it rises by another {more:.1f}. {compared}
    - **Weaker networks.** An object that the network misjudges anyway counts as
      vulnerable as soon as a background has the class of that answer. On whole images
      the paper's network is right on {paper_accuracy:.1f} %, ours on {accuracy} %. If we
      count only objects that are recognised on Original, {if_right} % are vulnerable:
      {less:.1f} points less. We have not measured whether a less certain network is
      easier to fool even then.
    - **The weakest class.** The weakest target class is {weakest}: its
      backgrounds fool {rate} % of the other objects, {below:.1f} points {side} the same
      class in the paper. In our photographs this class consists of {kinds}. [Chapter
      11](11_why_we_differ.ipynb) tests whether the number of backgrounds is the
      reason.
    """,
    growth=attack.growth()["value"].iloc[-1] - attack.growth()["value"].iloc[0],
    more=extrapolated[first] - attack.growth()["value"].iloc[-1],
    paper_backgrounds=paper_backgrounds,
    compared="We use fewer than the paper, so this cannot be why our networks are fooled more often."
    if attack.vulnerable().in_percent().value > headline["value"]
    and backgrounds < paper_backgrounds
    else "",
    paper_accuracy=printed["in9l", "accuracy"],
    accuracy=sources[first].answers("in9l").accuracy("original"),
    if_right=attack.vulnerable_if_right(),
    less=attack.vulnerable().in_percent().value
    - attack.vulnerable_if_right().in_percent().value,
    weakest=weakest,
    rate=attack.weakest(),
    below=abs(targets[weakest] - rates[weakest]),
    side="below" if rates[weakest] < targets[weakest] else "above",
    kinds=" and ".join(behind.get(weakest, [])) + " alone"
    if 0 < len(behind.get(weakest, [])) <= 2
    else "many kinds",
)

# %% [markdown]
# ## Exercise
#
# How fast does vulnerability grow with the number of backgrounds? Complete the function: draw `number` of the photographs'
# backgrounds at random, and return the share of objects that at least one of them fools. Use the matrix `fooled` from above.


# %%
def vulnerable_to(number, rng):
    chosen = rng.choice(fooled.shape[1], number, replace=False)
    return 0.0 * len(chosen)  # your answer here


rng = np.random.default_rng(0)
pd.Series(
    {
        number: np.mean([vulnerable_to(number, rng) for _ in range(200)])
        for number in (1, 2, 5, 10, 20, fooled.shape[1])
    }
).round(1)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def vulnerable_to(number, rng):
#     chosen = rng.choice(fooled.shape[1], number, replace=False)
#     return 100 * fooled[:, chosen].any(axis=1).mean()
# ```
#
# The curve rises and flattens. For our networks the package computes it by both rules: compare `attack.growth("targeted")`
# with `attack.growth("untargeted")`.
#
# </details>
#
# ## All numbers

# %% tags=["remove-input"]
tables.side_by_side(
    "trained on, %",
    {
        (name, measure): f"{TITLES[name]}: {label}"
        for name in ATTACKED
        for measure, label in labels_of.items()
    },
    printed,
    ours,
    caption="Vulnerability and challenge accuracy by training set and rule, in percent of the objects",
    fold=True,
)

# %% tags=["remove-input"]
tables.side_by_side(
    "target class, %",
    {name: name for name in CLASS_NAMES},
    targets.to_dict(),
    {
        origin: {
            name: attacked["in9l"].fooled(label)
            for label, name in enumerate(CLASS_NAMES)
        }
        for origin, attacked in attacks.items()
    },
    caption="Objects of other classes that at least one background of the target class fools, in percent",
    fold=True,
)

# %% tags=["remove-input"]
singles = (
    paper.table("adversarial")
    .query("measure == 'best_background'")
    .sort_values("rank")
    .groupby("target")["value"]
)
best = {
    origin: {
        name: ", ".join(f"{value:.0f}" for value in part["value"])
        for name, part in attacked["in9l"].best(5).items()
    }
    for origin, attacked in attacks.items()
}
tables.side_by_side(
    "target class, %",
    {name: name for name in CLASS_NAMES},
    {name: ", ".join(f"{value:.0f}" for value in values) for name, values in singles},
    best,
    caption="Attack success rates of the five strongest backgrounds of each class, in percent",
    fold=True,
)

# %% tags=["remove-input"]
success = attack.success()
strongest_row = success.loc[success["value"].idxmax()]
page.say(
    """
    Our strongest background is of the class {name} and fools {strongest:.0f} % of the
    other objects; the average background of that class fools {mean:.0f} %. The strongest
    backgrounds look stronger than they are, for two reasons. They are picked and scored
    on the same objects, about {met:,} here and {paper_met:,.0f} in the paper.
    And some still show a part of the object that reaches beyond its box, such as the
    pipes of an organ. {few}
    """,
    name=strongest_row["target"],
    strongest=float(strongest_row["value"]),
    mean=float(
        success.loc[success["target"] == strongest_row["target"], "value"].mean()
    ),
    met=round(foregrounds * 8 / 9),
    paper_met=paper.fact("foregrounds_per_target").value,
    few=f"Some of our classes consist of one or two kinds ({few}); their results may not generalise."
    if (
        few := "; ".join(
            f"{name}: {', '.join(kinds)}"
            for name, kinds in behind.items()
            if 0 < len(kinds) <= 2
        )
    )
    else "",
)

# %% mystnb={"image": {"alt": "Nine histograms, one for each class of background. Horizontal: the share of objects of other classes that a background turns into its own class. Vertical: the share of the backgrounds of that class."}} tags=["remove-input"]
rates = [
    attacked["in9l"].success().assign(origin=origin)
    for origin, attacked in attacks.items()
]
page.show(
    charts.success_histograms(pd.concat(rates), CLASS_NAMES),
    "Attack success rates of all backgrounds, by class, after training on IN-9L. Most backgrounds fool few objects; a few "
    "fool many.",
)

# %% mystnb={"image": {"alt": "A grid of background pictures: nine rows, one for each class, and up to five columns, the strongest first. Below each picture stands its attack success rate in percent."}} tags=["remove-input"]
style.use("jpeg")
best = (
    attacks.get(study.origin, attacks[first])["in9l"].best(5)
    if study.has_images
    else {}
)
columns = min(map(len, best.values()), default=0)
best = {name: part.head(columns) for name, part in best.items()}
page.show(
    pictures.picture_grid(
        adversarial_backgrounds.pictures_of(study, best),
        [f"rank {rank}" for rank in range(1, columns + 1)],
        {
            name: [f"{value:.0f} %" for value in part["value"]]
            for name, part in best.items()
        },
    ),
    """
    The strongest backgrounds of each class among the images on this machine, with their
    attack success rates after training on IN-9L.
    """,
) if best else None

# %% tags=["remove-input"]
page.say(study.describe())

# %% [markdown]
# **Next:** [5 · Training on Mixed-Rand](05_mixed_rand_training.ipynb): what changes when the backgrounds of
# the training images say nothing about the class.
