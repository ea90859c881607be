# %% [markdown]
# # Benchmark progress: do better networks depend less on backgrounds?
#
# In {glue:text}`whose`, a network that is one point better on ImageNet is {glue:text}`mixed_rand` points better on Mixed-Rand
# and {glue:text}`only_bg_t` points better on Only-BG-T, where no object is left; its BG-Gap changes by {glue:text}`bg_gap`
# points by the authors' strict rule, {glue:text}`verdict`, and by {glue:text}`restricted_gap` points if the networks must choose
# among the nine classes, {glue:text}`restricted_verdict`. (In brackets: 95 % interval of a line through
# {glue:text}`networks` networks, each tested on {glue:text}`images` photographs. The paper's table 2, by the same calculation:
# {glue:text}`paper_mixed_rand`, {glue:text}`paper_only_bg_t` and {glue:text}`paper_bg_gap`.)
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
# this machine. Each line is an ordinary least-squares fit. The interval of its slope covers how the networks scatter about the
# line (Student's t) and, for our networks, which photographs all of them were tested on.
#
# Our record has two sets of photographs. One is of ImageNet's validation images, from which no network has learned, with boxes
# that people drew. The other has many more: a fifth of the photographs that the other chapters test on (the first fold),
# *enlarged* to the size that the networks were made for, which blurs them.
#
# There are two rules for what a network answers. By the **strict** one, the authors', it is the highest of its 1,000 outputs,
# mapped to the nine classes, and wrong if it falls under none of them. By the **restricted** one it is the highest of the 370
# outputs that fall under the nine, as if the network had no other choice, like the networks with nine outputs of the other
# chapters. The figures are by the strict rule, {numref}`tab-slopes-by-rule` is by both.

# %% tags=["parameters"]
profile = "control"
recorded = False

# %% tags=["hide-input"]
import pandas as pd

import in9
from in9.experiments import benchmark_progress, controls, network_lines, paper
from in9.plots import curves, style, tables
from in9.scoring.score import RESTRICTED, SCORING_RULES
from in9.taxonomy import TITLES

study = in9.Study(profile, recorded=recorded)
sources = study.origins
record = sources.get("record")
scored = {origin: benchmark_progress.scores(source) for origin, source in sources.items()}
larger = benchmark_progress.enlarged(record or study)
published = benchmark_progress.published()
challenged = benchmark_progress.challenges(record) if record else {}
frames = {"paper": published[published["where"] == benchmark_progress.TABLE2]}
frames |= {origin: benchmark_progress.measured(found) for origin, found in scored.items() if found}
spaces = (("mixed_rand", "only_bg_t"), ("mixed_rand", "mixed_next"))
fitted = {o: pd.concat([f, *(benchmark_progress.difference(f, *pair) for pair in spaces)]) for o, f in frames.items()}
slopes = {origin: network_lines.slopes(frame, scored.get(origin, ())) for origin, frame in fitted.items()}
by_rule = {
    (name, rule): network_lines.slopes(benchmark_progress.measured(found, rule), found, rule)
    for name, found in (*scored.items(), ("enlarged", larger))
    for rule in SCORING_RULES
}
headline = ("mixed_rand", "only_bg_t", "bg_gap")
lead = next(origin for origin in ("run", "record", "paper") if set(headline) <= slopes.get(origin, {}).keys())
whose = {"run": "this run", "record": "our record", "paper": "table 2 of the paper"}


def size(origin, column):
    """How many networks an origin has, or how many photographs stand behind each of their points."""
    return int(frames[origin].query("test != 'in9l'")[column].agg("nunique" if column == "model" else "max"))


def includes(slope):
    return "which includes zero" if controls.includes_zero(slope) else "which excludes zero"


images = {origin: f"{size(origin, 'images'):,}" for origin in frames}
many = benchmark_progress.published_networks()
restricted = by_rule.get((lead, RESTRICTED), {}).get("bg_gap")
tables.glue(
    whose=whose[lead],
    **{test: slopes[lead][test].text(2) for test in headline},
    verdict=includes(slopes[lead]["bg_gap"]),
    restricted_gap=restricted.text(2) if restricted else tables.NOTHING,
    restricted_verdict=includes(restricted) if restricted else "not known",
    many_networks=len(many),
    many_slope=network_lines.slopes(many)["bg_gap"].text(2),
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
if larger:
    lines.append(f"- Enlarged images: {benchmark_progress.describe(larger)}")
tables.markdown("\n".join(lines))

# %% [markdown]
# {numref}`fig-progress` has one point for each network and set of photographs. The thin lines are what the choice of photographs leaves open for
# one network; the bands are what the choice of networks leaves open for the line.

# %% mystnb={"figure": {"caption": "Accuracy on each variant against accuracy on ImageNet, one point for each network, with least-squares lines. Thin lines are 95 % intervals of the points, bands those of the lines. The paper prints no number for Mixed-Next and No-FG.", "name": "fig-progress"}, "image": {"alt": "Panels for Original, Mixed-Same, Mixed-Rand, Mixed-Next, No-FG and Only-BG-T with the same axes: accuracy on ImageNet across, accuracy on the variant upwards. Each shows the paper's networks where it prints them, those of our record on both sets of photographs and of this run where there are any, and a line through each."}} tags=["hide-input"]
style.use("svg")
shown = ("original", "mixed_same", "mixed_rand", "mixed_next", "no_fg", "only_bg_t")
readme = style.ORIGIN_LOOKS["paper"] | {"label": "its authors' README", "marker": "^"}
enlarged = {"label": "our record, images enlarged", "color": "#009e73", "marker": "v"}
looks = {"paper": style.ORIGIN_LOOKS["paper"], "readme": readme, **style.ORIGIN_LOOKS, "enlarged": enlarged}
series = frames | ({"enlarged": benchmark_progress.measured(larger)} if larger else {})
points = pd.concat([frame.assign(series=name) for name, frame in series.items()])
points = pd.concat([points, published[published["where"] == benchmark_progress.README].assign(series="readme")])
bands = pd.concat([network_lines.bands(frame).assign(series=name) for name, frame in series.items()])


def panel(test):
    return points[points["test"] == test], bands[bands["test"] == test]


panels = {TITLES[test]: panel(test) for test in shown if test in set(points["test"])}
curves.scatter(panels, "imagenet", "accuracy on ImageNet, %", "accuracy, %", looks, ylim=(0, 100))

# %% [markdown]
# The space between Mixed-Same and Mixed-Rand is the BG-Gap ({numref}`fig-progress-gap`). Grey points are newer networks
# {cite:p}`hesse2025beyond`, of which only this is known. A line through all {glue:text}`many_networks` networks that they
# measured has the slope {glue:text}`many_slope`: so many networks decide what few leave open.

# %% mystnb={"figure": {"caption": "BG-Gap against accuracy on ImageNet. Thin lines and bands are 95 % intervals; small grey points are networks measured by Hesse and colleagues, named where there is room.", "name": "fig-progress-gap"}, "image": {"alt": "BG-Gap upwards, accuracy on ImageNet across: the networks of the paper's table 2 and of its authors' README, those of our record and of this run where there are any, a line through each, and many newer networks as small grey points, which fall from about eleven points for AlexNet to about two for the best."}} tags=["hide-input"]
newer = published[published["where"] == benchmark_progress.NEWER].rename(columns={"model": "name"})
curves.scatter({"": panel("bg_gap")}, "imagenet", "accuracy on ImageNet, %", "BG-Gap, points", looks, named=newer)

# %% [markdown]
# {numref}`fig-progress-published` shows all of them by the data that they were trained on, {numref}`tab-published` their
# slopes by kind of network.

# %% mystnb={"figure": {"caption": "BG-Gap against accuracy on ImageNet of the published networks of Hesse and colleagues, by training data, with a least-squares line and its 95 % band each.", "name": "fig-progress-published"}, "image": {"alt": "Some three hundred points in three colours: networks trained on ImageNet-1k, on ImageNet-21k and on larger data. All fall from the upper left to the lower right; those trained on more data lie furthest right and lowest."}} tags=["hide-input"]
kinds = {name: name.partition(" (")[0] for name in many["data"].unique()}
colours = dict(zip(kinds.values(), ("#0072b2", "#d55e00", "#009e73"), strict=True))
by_data = many.assign(series=many["data"].map(kinds))
lines_by_data = pd.concat([network_lines.bands(part).assign(series=name) for name, part in by_data.groupby("series")])
kind_looks = {name: {"label": name, "color": colour, "marker": "."} for name, colour in colours.items()}
curves.scatter({"": (by_data, lines_by_data)}, "imagenet", "accuracy on ImageNet, %", "BG-Gap, points", kind_looks)

# %% table={"caption": "Slopes of the BG-Gap on accuracy on ImageNet among the published networks, with 95 % intervals over networks.", "name": "tab-published"} tags=["hide-input"]
groups = {"all": many} | {
    f"{column}: {name}": part for column in ("family", "data", "setup") for name, part in many.groupby(column)
}
tables.table(
    [
        {
            "networks": name,
            "number": len(part),
            "slope": fit["slope"].text(2),
            "mean gap, points": f"{part['value'].mean():.1f}",
        }
        for name, part in groups.items()
        for fit in [{"slope": line} for line in network_lines.slopes(part).values()]
    ]
)

# %% [markdown]
# ## Paper, record, this run
#
# The slopes by the strict rule: points on a test set for each point on ImageNet, with the correlation r. The last lines are the spaces between
# the lines, fitted to each network's own difference. A space with a slope above zero widens, one with a slope below zero
# gets smaller.


# %% table={"caption": "Points on each test set for each point on ImageNet, with 95 % intervals and correlation.", "name": "tab-slopes"} tags=["hide-input"]
def cells(origin):
    if origin not in frames:
        return {}
    found = network_lines.fits(fitted[origin]).set_index("test")["r"]
    rows = {test: f"{tables.cell(slopes[origin][test], 2)}, r = {tables.cell(r, 2)}" for test, r in found.items()}
    return {"networks": f"{size(origin, 'model')}", "images": images[origin]} | rows


names = {"networks": "networks", "images": "photographs for each"} | {test: TITLES[test] for test in shown}
names |= {"in9l": TITLES["in9l"], "bg_gap": "BG-Gap: Mixed-Same minus Mixed-Rand"}
names |= {f"{one} minus {other}": f"{TITLES[one]} minus {TITLES[other]}" for one, other in spaces}
tables.side_by_side(
    "points per point on ImageNet", names, cells("paper"), {origin: cells(origin) for origin in sources}
)

# %% [markdown]
# The rule decides what the gap does, so here are our slopes by both. On an image whose object is gone or hard to see, a network
# that may answer with any of 1,000 classes often names something else; by the strict rule that is wrong, whatever the
# background said.


# %% table={"caption": "Our slopes by both rules, with 95 % intervals: points on each test set for each point on ImageNet.", "name": "tab-slopes-by-rule"} tags=["hide-input"]
titles = {"record": "our record", "run": "this run", "enlarged": "enlarged"}
columns = [(name, rule) for (name, rule), found in by_rule.items() if found]
rows = [
    {"points per point on ImageNet": names[test]}
    | {f"{titles[name]}, {rule}": tables.cell(by_rule[name, rule].get(test), 2) for name, rule in columns}
    for test in (*shown, "bg_gap")
]
tables.table(rows if columns else [], nothing="No network has been scored yet.")

# %% [markdown]
# The networks behind the points, accuracy in % and BG-Gap in points, by the strict rule; *restricted* is accuracy on Only-BG-T
# by the other. *Challenge* is the share of objects that are right on every background
# ({doc}`/04_adversarial_backgrounds`): in the README with all {glue:text}`paper_images` backgrounds of its test set, in our
# record with {glue:text}`challenge_backgrounds`. With fewer backgrounds an object falls less often.


# %% table={"caption": "Every network: the paper's, its authors' and those that we scored; accuracy in percent, BG-Gap in points.", "name": "tab-every-network"} tags=["hide-input"]
every = [published[published["where"] != benchmark_progress.NEWER]]
for origin in (one for one in scored if one in frames):
    every.append(pd.concat([frames[origin], benchmark_progress.extras(sources[origin])]).assign(where=whose[origin]))
if larger:
    other = benchmark_progress.measured(larger, RESTRICTED).query("test == 'only_bg_t'").assign(test=RESTRICTED)
    every.append(pd.concat([series["enlarged"], other]).assign(where="enlarged images"))


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
# - **Few photographs.** Each point of our main series stands on {glue:text}`record_images` photographs, of the paper's on
#   {glue:text}`paper_images`. All networks see the same ones, so a lucky choice moves all points together. The intervals of our
#   slopes cover this, those of the paper's and the bands of the figures do not.
# - **Masks.** The paper's rules hold for them, but nobody has looked at the masks of the validation images, as the
#   authors did at theirs.
# - **Unequal classes.** The sample has many dogs and few fish. Every class counts the same, so the few images of a small class
#   weigh much, which widens the intervals.
# - **Enlarged images.** Each stands for an image with about twelve times its pixels, and Tiny ImageNet took them from
#   ImageNet, so the networks have learned from most of them. Their masks were looked at, and there are many.
# - **Two rules.** Without an object, a network with 1,000 outputs mostly names one of the 630 things that are none of the nine.
#   The strict rule counts that as wrong, so such a network can be far below the chance level of nine classes, and its
#   accuracy on Only-BG sets says little beside that of networks with nine outputs. By the restricted rule they compare. The
#   paper's numbers are by the strict rule.
# - **Few networks.** A line through the {glue:text}`paper_networks` networks of table 2 leaves much open: that of the BG-Gap
#   has the slope {glue:text}`paper_bg_gap`. Ours are mostly small networks, most of them made for small devices. Their accuracy on
#   ImageNet is the published one, at the image size and framing that each was made for; here they all see the variants as
#   they are.
# - **Newer networks.** Hesse and colleagues resize and crop the images once more. For the networks that the README has, too,
#   their gaps are {glue:text}`protocol_low:.1f` to {glue:text}`protocol_high:.1f` points smaller, so compare grey points with each
#   other.
#
# ## Try it yourself
#
# Add a point: `in9 evaluate resnet50:IMAGENET1K_V1 --data DIR` scores a network ({doc}`/your_model` has more ways), and
# `in9 book --only 08` draws this chapter anew. Which networks lie furthest from the line of the gap? Plot
# `benchmark_progress.measured(benchmark_progress.scores(record), "restricted")` and look at their names.
#
# ## Next
#
# {doc}`/09_what_helps`: cheaper remedies than training on Mixed-Rand alone.
