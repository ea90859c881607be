# %% [markdown]
# # Benchmark progress: do better networks depend less on backgrounds?
#
# In {glue:text}`whose`, a network that is one point better on ImageNet is {glue:text}`mixed_rand` points better on Mixed-Rand
# and {glue:text}`only_bg_t` points better on Only-BG-T, where no object is left; its BG-Gap changes by {glue:text}`bg_gap`
# points, {glue:text}`verdict`. (In brackets: 95 % interval of a line through {glue:text}`networks` networks, each tested on
# {glue:text}`images` photographs. The paper's table 2, by the same calculation: {glue:text}`paper_mixed_rand`,
# {glue:text}`paper_only_bg_t` and {glue:text}`paper_bg_gap`.)
#
# ## What the paper did
#
# Figure 8 of the paper {cite:p}`xiao2021noise` draws networks trained on all of ImageNet, with accuracy on ImageNet across and
# accuracy on five variants upwards, and a line through the networks for each variant. All five lines rise, also that of
# Only-BG-T: better networks know more of what backgrounds say. But that line rises less than those of the three Mixed sets,
# and the spaces between those three get smaller: better networks lose less when the background misleads. Neither the
# networks nor the slopes are printed. Table 2 has {glue:text}`paper_networks` such networks and three of the five variants; the
# slopes called the paper's here are of lines through those.
#
# ## What we did
#
# Nothing is trained here. `in9 evaluate` tests a trained network on every variant and leaves a record; this chapter takes
# all records of networks with ImageNet's 1,000 outputs whose accuracy on ImageNet is known, those of the project and those of
# this machine. A network's answer is its highest output, mapped to the nine classes as the authors do it, and wrong if it
# falls under none of them. Each line is an ordinary least-squares fit, with a t-interval for its slope.

# %% tags=["parameters"]
profile = "control"
recorded = False

# %% tags=["hide-input"]
import pandas as pd

import in9
from in9.experiments import benchmark_progress, controls, paper
from in9.plots import curves, style, tables
from in9.taxonomy import TITLES

study = in9.Study(profile, recorded=recorded)
record = study.reference
sources = study.origins
scored = {origin: benchmark_progress.scores(source) for origin, source in sources.items()}
published = benchmark_progress.published()
challenged = benchmark_progress.challenges(record) if record else {}
frames = {"paper": published[published["where"] == benchmark_progress.TABLE2]}
frames |= {origin: benchmark_progress.measured(found) for origin, found in scored.items() if found}
spaces = (("mixed_rand", "only_bg_t"), ("mixed_rand", "mixed_next"))
fitted = {o: pd.concat([f, *(benchmark_progress.difference(f, *pair) for pair in spaces)]) for o, f in frames.items()}
slopes = {origin: benchmark_progress.slopes(frame) for origin, frame in fitted.items()}
headline = ("mixed_rand", "only_bg_t", "bg_gap")
lead = next(origin for origin in ("run", "record", "paper") if set(headline) <= slopes.get(origin, {}).keys())
whose = {"run": "this run", "record": "our record", "paper": "table 2 of the paper"}


def size(origin, column):
    """How many networks an origin has, or how many photographs stand behind each of their points."""
    return int(frames[origin].query("test != 'in9l'")[column].agg("nunique" if column == "model" else "max"))


images = {origin: f"{size(origin, 'images'):,}" for origin in frames}
tables.glue(
    whose=whose[lead],
    **{test: slopes[lead][test].text(2) for test in headline},
    verdict="which includes zero" if controls.includes_zero(slopes[lead]["bg_gap"]) else "which excludes zero",
    networks=size(lead, "model"),
    images=images[lead],
    **{f"paper_{test}": slopes["paper"][test].text(2) for test in headline},
    paper_networks=size("paper", "model"),
    paper_images=images["paper"],
    record_images=images.get("record", tables.NOTHING),
    challenge_backgrounds=next((f"{one.backgrounds:,}" for one in challenged.values()), tables.NOTHING),
    protocol_low=paper.fact("protocol_gap_low").value,
    protocol_high=paper.fact("protocol_gap_high").value,
)
lines = [
    f"- {tables.ORIGIN_TITLES[origin].capitalize()}: {benchmark_progress.describe(found)}"
    for origin, found in scored.items()
]
tables.markdown("\n".join(lines))

# %% [markdown]
# {numref}`fig-progress` has one point for each network. The thin lines are what the choice of photographs leaves open for
# one network; the bands are what the choice of networks leaves open for the line.

# %% mystnb={"figure": {"caption": "Accuracy on each variant against accuracy on ImageNet, one point for each network, with least-squares lines. Thin lines are 95 % intervals of the points, bands those of the lines. The paper prints no number for Mixed-Next and No-FG.", "name": "fig-progress"}, "image": {"alt": "Panels for Original, Mixed-Same, Mixed-Rand, Mixed-Next, No-FG and Only-BG-T with the same axes: accuracy on ImageNet across, accuracy on the variant upwards. Each shows the paper's networks where it prints them, those of our record and of this run where there are any, and a line through each."}} tags=["hide-input"]
style.use("svg")
shown = ("original", "mixed_same", "mixed_rand", "mixed_next", "no_fg", "only_bg_t")
readme = style.ORIGIN_LOOKS["paper"] | {"label": "its authors' README", "marker": "^"}
looks = {"paper": style.ORIGIN_LOOKS["paper"], "readme": readme} | style.ORIGIN_LOOKS
points = pd.concat([frame.assign(series=origin) for origin, frame in frames.items()])
points = pd.concat([points, published[published["where"] == benchmark_progress.README].assign(series="readme")])
bands = pd.concat([benchmark_progress.bands(frame).assign(series=origin) for origin, frame in frames.items()])


def panel(test):
    return points[points["test"] == test], bands[bands["test"] == test]


panels = {TITLES[test]: panel(test) for test in shown if test in set(points["test"])}
curves.scatter(panels, "imagenet", "accuracy on ImageNet, %", "accuracy, %", looks, ylim=(0, 100))

# %% [markdown]
# The space between Mixed-Same and Mixed-Rand is the BG-Gap ({numref}`fig-progress-gap`). Grey points are newer networks
# {cite:p}`hesse2025beyond`, of which only this is known.

# %% mystnb={"figure": {"caption": "BG-Gap against accuracy on ImageNet. Thin lines and bands are 95 % intervals; small grey points are networks measured by Hesse and colleagues, named where there is room.", "name": "fig-progress-gap"}, "image": {"alt": "BG-Gap upwards, accuracy on ImageNet across: the networks of the paper's table 2 and of its authors' README, those of our record and of this run where there are any, a line through each, and many newer networks as small grey points, which fall from about eleven points for AlexNet to about two for the best."}} tags=["hide-input"]
newer = published[published["where"] == benchmark_progress.NEWER].rename(columns={"model": "name"})
curves.scatter({"": panel("bg_gap")}, "imagenet", "accuracy on ImageNet, %", "BG-Gap, points", looks, named=newer)

# %% [markdown]
# ## Paper, record, this run
#
# The slopes: points on a test set for each point on ImageNet, with the correlation r. The last lines are the spaces between
# the lines, fitted to each network's own difference. A space with a slope above zero widens, one with a slope below zero
# gets smaller.


# %% table={"caption": "Points on each test set for each point on ImageNet, with 95 % intervals and correlation.", "name": "tab-slopes"} tags=["hide-input"]
def cells(origin):
    if origin not in frames:
        return {}
    found = benchmark_progress.fits(fitted[origin]).set_index("test")["r"]
    rows = {test: f"{tables.cell(slopes[origin][test], 2)}, r = {tables.cell(r, 2)}" for test, r in found.items()}
    return {"networks": f"{size(origin, 'model')}", "images": images[origin]} | rows


names = {"networks": "networks", "images": "photographs for each"} | {test: TITLES[test] for test in shown}
names |= {"in9l": TITLES["in9l"], "bg_gap": "BG-Gap: Mixed-Same minus Mixed-Rand"}
names |= {f"{one} minus {other}": f"{TITLES[one]} minus {TITLES[other]}" for one, other in spaces}
tables.side_by_side(
    "points per point on ImageNet", names, cells("paper"), {origin: cells(origin) for origin in sources}
)

# %% [markdown]
# The networks behind the points, accuracy in % and BG-Gap in points. *Strict* is the authors' rule, as above. By the
# *restricted* rule a network must choose among the 370 outputs that fall under the nine classes, like the networks with nine
# outputs of the other chapters. *Challenge* is the share of objects that are right on every background
# ({doc}`/04_adversarial_backgrounds`): in the README with all {glue:text}`paper_images` backgrounds of its test set, in our
# record with {glue:text}`challenge_backgrounds`. With fewer backgrounds an object falls less often.


# %% table={"caption": "Every network: the paper's, its authors' and those that we scored; accuracy in percent, BG-Gap in points.", "name": "tab-every-network"} tags=["hide-input"]
every = [published[published["where"] != benchmark_progress.NEWER]]
for origin in (one for one in scored if one in frames):
    every.append(pd.concat([frames[origin], benchmark_progress.extras(sources[origin])]).assign(where=whose[origin]))


def gap(row):
    """BG-Gap with its interval, where there is one."""
    interval = "" if pd.isna(row["low"]) else f" [{row['low']:z.1f},&nbsp;{row['high']:z.1f}]"
    return None if pd.isna(row["bg_gap"]) else f"**{row['bg_gap']:z.1f}**{interval}"


tables.table(
    [
        {"network": f"{row['model']} ({row['where']})", "Image&shy;Net": row["imagenet"], "images": row["images"]}
        | {TITLES[test]: row[test] for test in ("original", "mixed_same", "mixed_rand", "only_bg_t")}
        | {"re&shy;stricted": row.get("restricted"), "BG-Gap": gap(row), "chal&shy;lenge": row.get("challenge")}
        for row in benchmark_progress.by_network(pd.concat(every)).to_dict("records")
    ]
)

# %% [markdown]
# ## Where we differ, and why
#
# - **Few photographs.** Each point of our record stands on {glue:text}`record_images` photographs, of the paper's on
#   {glue:text}`paper_images`. All networks see the same ones, so a lucky choice moves all points together. The intervals of the
#   slopes hold how networks scatter about their line, and not this.
# - **Seen in training.** The record's photographs are a sample of ImageNet's training images, at most one for each of its
#   classes under the nine. The networks have learned from them. Accuracies come out high, most of all on Original, where the
#   line has little room to rise; the differences between variants are what to read.
# - **Boxes.** ImageNet's own boxes were drawn by people. Those of the sample were estimated by a saliency network, so masks
#   and backgrounds are less clean.
# - **Unequal classes.** The sample has many dogs and few fish. Every class counts the same, so the few images of a small class
#   weigh much, which widens the intervals.
# - **Two rules.** Without an object, a network with 1,000 outputs mostly names one of the 630 things that are none of the nine.
#   The strict rule counts that as wrong, so such a network can be far below the chance level of nine classes, and its
#   accuracy on Only-BG sets says little beside that of networks with nine outputs. By the restricted rule they compare.
# - **Few networks.** A line through the {glue:text}`paper_networks` networks of table 2 leaves much open: that of the BG-Gap
#   has the slope {glue:text}`paper_bg_gap`. Ours are small networks, most of them made for small devices. Their accuracy on
#   ImageNet is the published one, at the image size and framing that each was made for; here they all see the variants as
#   they are.
# - **Newer networks.** Hesse and colleagues resize and crop the images once more. For the networks that the README has, too,
#   their gaps are {glue:text}`protocol_low:.1f` to {glue:text}`protocol_high:.1f` points smaller, so compare grey points with each
#   other.
#
# ## Try it yourself
#
# Add a point: `in9 evaluate resnet50:IMAGENET1K_V1 --data DIR` scores a network ({doc}`/your_model` has more ways), and
# `in9 book --only 08` draws this chapter anew. Does Only-BG-T rise by the other rule, too?
# `benchmark_progress.slopes(benchmark_progress.measured(benchmark_progress.scores(record), "restricted"))`
#
# ## Next
#
# {doc}`/09_what_helps`: cheaper remedies than training on Mixed-Rand alone.
