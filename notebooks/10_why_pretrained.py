# %% [markdown]
# # Why do pre-trained models depend less on backgrounds?
#
# Networks trained on all of ImageNet have smaller BG-Gaps than those trained on its nine classes: for a ResNet-50 the paper
# finds {glue:text}`paper_pretrained:.1f` against {glue:text}`paper_in9l:.1f` points. ImageNet has finer classes and more
# images. With {glue:text}`finest_classes` training classes instead of nine our gap changes by {glue:text}`fine_change` points;
# with all images instead of {glue:text}`smallest_share` % of them by {glue:text}`size_change`. (In brackets: 95 % interval,
# {glue:text}`fine_verdict` for the classes and {glue:text}`size_verdict` for the images; the data of this run:
# {glue:text}`data_name`.)
#
# ## What the paper did
#
# Appendix B of the paper {cite:p}`xiao2021noise` tries both explanations. It groups the {glue:text}`paper_classes:.0f` ImageNet
# classes of a larger dataset into fewer and fewer training classes, down to nine, and tests every model on the nine: the
# gap of the finest is {glue:text}`paper_below:.1f` points below that of the coarsest. And it trains on sets from
# {glue:text}`paper_low:g` to {glue:text}`paper_high:g` times the size of ImageNet-9: all accuracies rise with size, and the gap
# stays about the same.
#
# ## What we did
#
# *Finer classes:* each of the nine classes is split into up to 2, 4 or all of its finer classes, in the order of their names.
# The network learns to tell those apart; its answer is mapped to the nine. *Less data:* the same share of each class's
# training images, each smaller set within the next. A quarter of the images is seen four times as often, so that every
# network takes about the same number of steps, and what differs is the variety of images and not how long it learned. These
# are many trainings, so a profile may have a lighter recipe for them; both ends of a comparison have the same one, and are
# compared on the seeds that both have ({numref}`tab-levels`).

# %% tags=["parameters"]
profile = "control"
recorded = False

# %% tags=["hide-input"]
import pandas as pd

import in9
from in9.evaluation.predictions import gap_change
from in9.experiments import controls, paper, why_pretrained
from in9.experiments.why_pretrained import SMALLER
from in9.plots import curves, style, tables

study = in9.Study(profile, recorded=recorded)
sources = study.origins
finer = {origin: why_pretrained.finer(source) for origin, source in sources.items()}
smaller = {origin: SMALLER.read(source) for origin, source in sources.items()}
classes, shares = finer[study.origin], smaller[study.origin]


def change(levels):
    """The BG-Gap at the highest level minus that at the lowest."""
    return gap_change(levels[max(levels)], levels[min(levels)])


gaps = paper.bg_gap().query("model == 'resnet50' and where == 'table 2'").set_index("training")["bg_gap"]
verdict = {True: "which includes zero", False: "which excludes zero"}
tables.glue(
    paper_pretrained=float(gaps["imagenet"]),
    paper_in9l=float(gaps["in9l"]),
    paper_classes=paper.fact("finest_classes").value,
    paper_below=paper.fact("finest_below_coarsest").value,
    paper_low=paper.fact("data_size_low").value,
    paper_high=paper.fact("data_size_high").value,
    finest_classes=max(classes),
    fine_change=change(classes),
    size_change=change(shares),
    smallest_share=f"{100 * min(shares):g}",
    fine_verdict=verdict[controls.includes_zero(change(classes))],
    size_verdict=verdict[controls.includes_zero(change(shares))],
    data_name=study.profile.name,
)
tables.markdown(study.describe(study.profile.level_seeds, **study.profile.level_recipe))


# %% tags=["hide-input"]
def frames(found, quantity, *more):
    parts = [why_pretrained.level_frame(levels).assign(series=origin) for origin, levels in found.items()]
    return pd.concat([*more, *(part[part["quantity"] == quantity] for part in parts if len(part))])


def panels(found, *published):
    return {
        "BG-Gap, points": frames(found, "gap", *published),
        "accuracy on Original, %": frames(found, "original"),
    }


# %% [markdown]
# ## Finer classes

# %% mystnb={"figure": {"caption": "BG-Gap and accuracy on Original against the number of training classes; bands are 95 % intervals. The paper prints its gap at the two ends, and no accuracy.", "name": "fig-finer"}, "image": {"alt": "Two panels over the number of training classes on a logarithmic axis: the BG-Gap in the paper at its two ends, in our record where there is one and in this run; and the accuracy on Original."}} tags=["hide-input"]
style.use("svg")
ends = {paper.fact(f"{end}_classes").value: paper.fact(f"{end}_bg_gap").value for end in ("coarsest", "finest")}
published = pd.DataFrame({"level": list(ends), "value": list(ends.values())})
published = published.assign(series="paper", low=float("nan"), high=float("nan"))
curves.lines(panels(finer, published), "level", "number of training classes", logarithmic=True)

# %% [markdown]
# ## Less data

# %% mystnb={"figure": {"caption": "BG-Gap and accuracy on Original against the share of the training images; bands are 95 % intervals. The paper shows its results in a plot only.", "name": "fig-smaller"}, "image": {"alt": "Two panels over the share of the training images on a logarithmic axis: the BG-Gap, and the accuracy on Original, in our record where there is one and in this run."}} tags=["hide-input"]
curves.lines(panels(smaller), "level", "share of the training images", logarithmic=True)

# %% [markdown]
# ## Paper, record, this run


# %% table={"caption": "The ends of both experiments: number of training classes, and share of the images.", "name": "tab-levels"} tags=["hide-input"]
def numbers(levels, kind):
    if len(levels) < 2:
        return {}
    low, high = levels[min(levels)], levels[max(levels)]
    rows = {(kind, "low gap"): low.gap(), (kind, "high gap"): high.gap(), (kind, "change"): change(levels)}
    rows |= {(kind, "low seeds"): len(low.seeds), (kind, "high seeds"): len(high.seeds)}
    return rows | {(kind, "low"): low.accuracy("original"), (kind, "high"): high.accuracy("original")}


names = {
    "fine": {"low": "nine training classes", "high": "most training classes"},
    "size": {"low": "fewest images", "high": "all images"},
}
labels = {}
for kind, ends in names.items():
    labels |= {(kind, f"{end} gap"): f"{name}: BG-Gap, points" for end, name in ends.items()}
    labels |= {(kind, "change"): f"BG-Gap, {ends['high']} minus {ends['low']}, points"}
    labels |= {(kind, end): f"{name}: accuracy on Original, %" for end, name in ends.items()}
    labels |= {(kind, f"{end} seeds"): f"{name}: seeds" for end, name in ends.items()}


tables.side_by_side(
    "trained on Original",
    labels,
    {
        ("fine", "low gap"): paper.fact("coarsest_bg_gap").value,
        ("fine", "high gap"): paper.fact("finest_bg_gap").value,
        ("fine", "change"): -paper.fact("finest_below_coarsest").value,
    },
    {origin: numbers(finer[origin], "fine") | numbers(smaller[origin], "size") for origin in sources},
)

# %% [markdown]
# ## Where we differ, and why
#
# - **How fine.** The paper's finest model has {glue:text}`paper_classes:.0f` classes, Tiny ImageNet 42, and the control set four
#   kinds of each object, 36. A kind of object in the control set has no background of its own, so finer classes tell the
#   network about objects only; in photographs, finer classes also have finer backgrounds.
# - **How large.** The paper goes from a quarter of its data to four times as much; we have no more images than all of them.
# - **Equal steps.** With few images and many epochs a network learns its images by heart. The paper trains each of its
#   models for 200 epochs, so its smaller sets also take fewer steps.
# - **Small effects.** The paper's difference between the ends is of the size of the intervals of a small test set. Where an
#   interval includes zero, the run does not decide.
#
# ## Try it yourself
#
# Do both explanations add up? `study.answers("original", fine=4, fraction=0.25, epochs=40).gap()`. What would
# training on Mixed-Rand with finer classes give: `study.answers("mixed_rand", fine=4).gap()`?
#
# ## Next
#
# {doc}`/12_why_we_differ`: what of all this is due to our small images, networks and masks.
