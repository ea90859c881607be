# %% [markdown]
# # 10 · Why do pretrained networks rely less on backgrounds? (appendix B)

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
from in9.experiments import controls, image_counts, paper, verdicts, why_pretrained
from in9.experiments.why_pretrained import SMALLER
from in9.plots import charts, curves, page, style, tables

study = open_study(globals())
sources = study.origins
record = sources.get("record", study)
finer = {origin: why_pretrained.finer(source) for origin, source in sources.items()}
smaller = {origin: SMALLER.read(source) for origin, source in sources.items()}
CHANGES = {  # row of the figure: the claim that measures it, and its sign if it is to say how much smaller the gap is
    "all of ImageNet in place of its nine classes": (
        "Training on all of ImageNet leaves",
        1,
    ),
    "finer classes": ("Training on finer classes", 1),
    "more images": ("More training images leave the BG-Gap", -1),
    "robust training, l2": ("Adversarially robust training (l2)", 1),
    "robust training, l-infinity": ("Adversarially robust training (l-infinity)", 1),
}
judged = {row: verdicts.verdict_on(words, study) for row, (words, _) in CHANGES.items()}
whole, *parts = judged.values()
clear = [
    row
    for row in ("finer classes", "more images")
    if (estimate := judged[row].estimate) and not controls.includes_zero(estimate)
]
explains = [
    "Neither finer classes alone nor more images alone changed the gap clearly.",
    f"Of finer classes and more images, only {''.join(clear)} changed the gap clearly.",
    "Finer classes alone and more images alone each changed the gap clearly.",
]
page.finding(
    "Training on all of ImageNet makes the BG-Gap {less:.1f} points smaller than training on its nine classes. {explains}",
    paper=whole.claim.printed().value,
    ours=whole.ours,
    verdict=whole.decision,
    less=whole.estimate or whole.claim.printed().value,
    explains=explains[len(clear)],
)

# %% tags=["remove-input"]
caveat = why_pretrained.caveat(
    sources, "the trainings on finer classes and on more images"
)
page.say(caveat)

# %% [markdown]
# ## How it works
#
# A *pretrained* network was trained on all 1,000 classes of ImageNet, not on the nine classes of this book. It differs from a
# network trained on [IN-9L](01_dataset.ipynb) in two ways that can be tested separately. It learned **finer classes**, such as
# breeds of dogs instead of dogs, and it saw **more images**.
#
# *Finer classes.* Each of the nine classes is split into groups of its ImageNet classes. The network learns the groups. In the
# test, its answer counts as the class that the group belongs to. The next cell makes up to two groups of each class:

# %%
kinds = image_counts.imagenet_classes(record)  # which ImageNet classes we have
most = 2
groups = {}
for name, members in kinds.items():
    number = min(most, len(members))
    for place, member in enumerate(members):
        groups.setdefault((name, place * number // len(members)), []).append(member)

print(len(groups), "training classes in place of", len(kinds))
for (name, group), members in list(groups.items())[:6]:
    print(f"{name} {group}: {', '.join(members)}")

# %% [markdown]
# *More images.* Networks are trained on all images or on a part of them. With fewer images they train for more epochs, so that
# all take about the same number of steps.
#
# *Robust training* ([Madry et al., 2018](https://arxiv.org/abs/1706.06083)) is a third candidate. Before each step, each image $x$ is
# changed so as to mislead the network as much as possible. The change $\delta$ must not be larger than a radius $\varepsilon$:
#
# $$
# \min_\theta \; \mathbb{E} \; \max_{\lVert \delta \rVert \le \varepsilon} \; \text{loss}\big(f_\theta(x + \delta), y\big)
# $$
#
# We compare the [BG-Gap](03_bg_gap.ipynb) of the networks, the accuracy that a random background costs. The next cell computes
# it for finer classes from the answers to each image:


# %%
def gap(models):
    labels = models.labels["mixed_same"]
    on_same, on_random = (models.correct(test) for test in ("mixed_same", "mixed_rand"))
    # of each object, over networks and draws
    lost = on_same.mean(axis=(0, 1)) - on_random.mean(axis=(0, 1))
    return 100 * np.mean([lost[labels == label].mean() for label in range(9)])


trained_on = finer[study.origin].items()
pd.Series({f"{number} classes": gap(models) for number, models in trained_on}).round(1)

# %% [markdown]
# ## Evidence

# %% mystnb={"image": {"alt": "A dot plot of how much smaller the BG-Gap becomes by training on all of ImageNet, by finer classes, by more images and by two kinds of robust training, in the paper where it prints a number and in our record."}} tags=["remove-input"]
style.use("svg")
points = []
for row, (words, sign) in CHANGES.items():
    printed = sign * judged[row].claim.printed().value
    points.append(
        {
            "change": row,
            "origin": "paper",
            "value": printed,
            "low": np.nan,
            "high": np.nan,
        }
    )
    for origin, source in sources.items():
        if estimate := verdicts.verdict_on(words, source).estimate:
            ends = sorted(sign * end for end in estimate.in_percent()[1:])
            points.append(
                {
                    "change": row,
                    "origin": origin,
                    "value": sign * estimate.in_percent().value,
                }
            )
            points[-1] |= {"low": ends[0], "high": ends[1]}
page.show(
    charts.intervals(
        pd.DataFrame(points),
        "change",
        "value",
        list(CHANGES),
        "points by which the BG-Gap is smaller",
    ),
    "Points by which each change makes the BG-Gap smaller. Lines are 95 % intervals. The paper prints numbers for the first two. "
    "Its finest network has {paper_classes:.0f} classes, ours {classes}. It multiplies its images by {times:.0f}, "
    "we by {our_times:.0f}. {note}",
    paper_classes=paper.fact("finest_classes").value,
    classes=max(finer[study.origin], default=0),
    times=paper.fact("data_size_high").value / paper.fact("data_size_low").value,
    our_times=max(smaller[study.origin], default=1)
    / min(smaller[study.origin], default=1),
    note="Our rows on finer classes and more images are from the first edition."
    if caveat
    else "",
)

# %% [markdown]
# In the paper finer classes narrow the gap a little, more images leave it as it is, and robust training does not help.
#
# ## What could fool us

# %% tags=["remove-input"]
imagenet = why_pretrained.imagenet_rows(record)
below, right = "below IN-9L, strict", "Original, strict, %"
fooled = []
if imagenet:
    weakest = min(imagenet[1:], key=lambda row: row[right].value)
    fooled.append(
        f"**A weak network has little to lose.** `{weakest['network']}` is right on {weakest[right].text()} % of "
        f"our record's photographs, and its gap is {weakest[below].text()} points smaller than that of our network. A small gap means little at "
        "a low accuracy."
    )
    best = max(imagenet[1:], key=lambda row: row[right].value)
    fooled.append(
        "**Photographs seen before, and blurred.** Pretrained networks were trained on most photographs of our record, and here they "
        f"see them enlarged from 64 pixels. They are right on {best[right].text()} % of them at most, our network trained on IN-9L "
        f"on {imagenet[0][right].text()} %. Both change what a gap means."
    )
widths = [
    estimate.high - estimate.low for each in parts[:2] if (estimate := each.estimate)
]
if widths:
    fooled.append(
        f"**Small effects.** Our intervals for finer classes and more images reach {100 * max(widths) / 2:.1f} points to either "
        f"side; the paper's effect of finer classes is {parts[0].claim.printed().value:.1f}. We cannot detect smaller effects."
    )
page.say("\n".join(f"- {point}" for point in fooled))

# %% [markdown]
# ## Exercise
#
# How many training classes does each level give? Complete the function, and compare with the numbers of classes above.


# %%
def training_classes(level):
    return sum(1 for members in kinds.values())  # your answer here


pd.Series({level: training_classes(level) for level in (1, 2, 4, 1000)})

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def training_classes(level):
#     return sum(min(level, len(members)) for members in kinds.values())
# ```
#
# </details>
#
# ## All numbers


# %% tags=["remove-input"]
def series(found, quantity, *more):
    parts = [
        why_pretrained.level_frame(levels).assign(series=origin)
        for origin, levels in found.items()
    ]
    return pd.concat(
        [*more, *(part[part["quantity"] == quantity] for part in parts if len(part))]
    )


def panels(found, *published):
    gaps, right = series(found, "gap", *published), series(found, "original")
    return {"BG-Gap, points": gaps, "accuracy on Original, %": right}


# %% mystnb={"image": {"alt": "Two panels over the number of training classes on a logarithmic axis: the BG-Gap in the paper at its two ends and in our record; and the accuracy on Original."}} tags=["remove-input"]
ends = {
    paper.fact(f"{end}_classes").value: paper.fact(f"{end}_bg_gap").value
    for end in ("coarsest", "finest")
}
published = pd.DataFrame({"level": list(ends), "value": list(ends.values())})
published = published.assign(series="paper", low=np.nan, high=np.nan)
page.show(
    curves.lines(
        panels(finer, published),
        "level",
        "number of training classes",
        logarithmic=True,
    ),
    "BG-Gap and accuracy on Original against the number of training classes; bands are 95 % intervals. The paper prints its gap "
    "at the two ends, and no accuracy.",
)

# %% mystnb={"image": {"alt": "Two panels over the share of the training images on a logarithmic axis: the BG-Gap, and the accuracy on Original, in our record."}} tags=["remove-input"]
page.show(
    curves.lines(
        panels(smaller), "level", "share of the training images", logarithmic=True
    ),
    "BG-Gap and accuracy on Original against the share of the training images; bands are 95 % intervals. The paper shows its "
    "results in a plot only: all accuracies rise, and the gap stays about the same.",
)

# %% tags=["remove-input"]
tables.table(
    imagenet,
    caption="Networks trained on IN-9L and on all of ImageNet, on the same photographs of our record and in one draw of the backgrounds. By "
    "the restricted rule ImageNet's networks must choose among the nine classes, as ours must (chapter 8)",
    nothing="There is no record of ImageNet's networks on these images.",
    fold=True,
)

# %% tags=["remove-input"]
tables.table(
    [
        row | {"of": tables.ORIGIN_TITLES[origin]}
        for origin, source in sources.items()
        for row in why_pretrained.robust_rows(source)
    ],
    caption="Networks trained on Original, plainly and robustly. The l2 norm is the square root of the sum of squared changes of "
    "all pixels, which lie in [0, 1]; l-infinity is the largest change of a pixel. Robust training takes four times as long, so "
    "a smaller network is trained, for one fold",
    nothing="There is no record of robust training.",
    fold=True,
)


# %% tags=["remove-input"]
def numbers(levels, kind):
    rows = {}
    for end in (min(levels), max(levels)) if len(levels) > 1 else ():
        models, place = levels[end], "low" if end == min(levels) else "high"
        rows |= {
            (kind, place, "BG-Gap, points"): models.gap(),
            (kind, place, "networks"): len(models.seeds),
        }
        rows[kind, place, "accuracy on Original, %"] = models.accuracy("original")
    return rows


ends = {
    ("fine", "low"): "nine training classes",
    ("fine", "high"): "most training classes",
    ("size", "low"): "fewest images",
    ("size", "high"): "all images",
}
quantities = ("BG-Gap, points", "accuracy on Original, %", "networks")
tables.side_by_side(
    "trained on Original",
    {
        (*end, quantity): f"{name}: {quantity}"
        for end, name in ends.items()
        for quantity in quantities
    },
    {
        ("fine", "low", "BG-Gap, points"): paper.fact("coarsest_bg_gap").value,
        ("fine", "high", "BG-Gap, points"): paper.fact("finest_bg_gap").value,
    },
    {
        origin: numbers(finer[origin], "fine") | numbers(smaller[origin], "size")
        for origin in sources
    },
    caption="Both ends of the two experiments. Ends are compared on the seeds that both have",
    fold=True,
)

# %% tags=["remove-input"]
light = why_pretrained.of_many_trainings(study)
page.say(light.describe(light.profile.level_seeds, **light.profile.level_recipe))

# %% [markdown]
# **Next:** [11 · Why do our numbers differ?](11_why_we_differ.ipynb): how much is due to our
# photographs, networks and masks.
