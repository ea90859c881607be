# %% [markdown]
# # 8 · Benchmark progress (section 5)

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

from in9.book import published_chart
from in9.book.setup import open_study
from in9.experiments import benchmark_progress, network_lines, paper, verdicts
from in9.experiments.claims import CLAIMS
from in9.plots import curves, page, style, tables
from in9.scoring.score import RESTRICTED, SCORING_RULES
from in9.taxonomy import TITLES

study = open_study(globals())
sources = study.origins
record = sources.get("record", study)
scored = {
    origin: benchmark_progress.scores(source) for origin, source in sources.items()
}
larger = benchmark_progress.enlarged(record)
many = benchmark_progress.published_networks()
published = benchmark_progress.published()
frames = {"paper": published[published["where"] == benchmark_progress.TABLE2]}
frames |= {
    origin: benchmark_progress.measured(scores)
    for origin, scores in scored.items()
    if scores
}
spaces = (("mixed_rand", "only_bg_t"), ("mixed_rand", "mixed_next"))
fitted = {
    o: pd.concat([f, *(benchmark_progress.difference(f, *pair) for pair in spaces)])
    for o, f in frames.items()
}
slopes = {
    origin: network_lines.slopes(frame, scored.get(origin, ()))
    for origin, frame in fitted.items()
}
verdict = verdicts.verdict_on(
    "The better a network is on ImageNet, the smaller its BG-Gap", study
)
ours = next((scores for scores in reversed(scored.values()) if len(scores) > 2), [])
repeats = 300 if ours else 0  # without networks of ours nothing is drawn anew
answers = [score.predictions() for score in ours]
accuracies = [benchmark_progress.top1_of(score.record) for score in ours]
labels = answers[0].labels["mixed_same"] if ours else np.arange(9)
lost = [
    100.0 * models.correct("mixed_same")[0, 0]
    - 100.0 * models.correct("mixed_rand")[0, 0]
    for models in answers
]
slope_of_many = network_lines.slopes(many)["bg_gap"]
page.finding(
    "With each point of accuracy on ImageNet the BG-Gap of {networks} published networks {falls} by {size:.2f} points: "
    "better networks depend {less} on backgrounds.",
    paper=f"{verdict.claim.printed().value:z.2f} ({frames['paper']['model'].nunique()} networks)",
    ours=f"{verdict.estimate.text(2)} ({len(ours)} networks)"
    if verdict.estimate
    else verdict.ours,
    verdict=verdict.decision,
    networks=len(many),
    falls="falls" if slope_of_many.value < 0 else "rises",
    less="less" if slope_of_many.value < 0 else "more",
    size=abs(100 * slope_of_many.value),
)

# %% [markdown]
# ## See it
#
# Each point is a published network; [Hesse et al. (2025)](https://arxiv.org/abs/2503.17110) measured all of them in the same way. Choose a
# family or type a name. Tap a point to read its name, or select the chart and use the arrow keys.

# %% tags=["remove-input"]
published_chart.chart(many)

# %% [markdown]
# ## How it works
#
# The **[BG-Gap](03_bg_gap.ipynb)** is accuracy on Mixed-Same minus accuracy on Mixed-Rand. How much does it change with each
# point of accuracy on ImageNet? That is the slope $b$ of the straight line that fits the points best, by least squares:
#
# $$
# \text{BG-Gap}_i \approx a + b \cdot \text{accuracy}_i
# $$
#
# The next cell fits the line to the published networks:

# %%
b, a = np.polyfit(many["imagenet"], many["value"], deg=1)
r = np.corrcoef(many["imagenet"], many["value"])[0, 1]

print(f"BG-Gap = {a:.1f} {b:+.2f} * accuracy; correlation {r:.2f}")

# %% [markdown]
# All networks of such a line are tested on the same photographs. Does luck with the photographs move the line? We resample
# our photographs with replacement: once the same for all our networks, as in a real test, and once others for each network.

# %%
classes = [np.flatnonzero(labels == label) for label in range(9)]
rng = np.random.default_rng(0)


def draw():  # as many photographs of each class as there are, with repetition
    return [rng.choice(rows, len(rows)) for rows in classes]


def line(draws):  # `lost` has the points that each photograph costs each network
    gaps = []
    for of_network, drawn in zip(lost, draws, strict=True):
        gaps.append(np.mean([of_network[rows].mean() for rows in drawn]))
    return {"slope": np.polyfit(accuracies, gaps, 1)[0], "mean gap": np.mean(gaps)}


shared = pd.DataFrame([line([draw()] * len(lost)) for _ in range(repeats)]).std()
apart = pd.DataFrame([line([draw() for _ in lost]) for _ in range(repeats)]).std()
pd.DataFrame({"same photographs": shared, "others for each": apart}).round(2)

# %% [markdown]
# The numbers are standard deviations in points. Photographs that all networks share tend to move all points up or down
# together. That changes the height of the line more than its slope.
#
# ## Evidence

# %% mystnb={"image": {"alt": "Four panels with accuracy on ImageNet across: accuracy on Mixed-Same, Mixed-Rand and Only-BG-T, and the BG-Gap. Each has the paper's five networks and those of our record, a line through each and its band. The lines of the Mixed sets rise, those of the BG-Gap fall."}} tags=["remove-input"]
style.use("svg")
enlarged = {"label": "our record, images enlarged", "color": "#009e73", "marker": "v"}
readme = style.ORIGIN_LOOKS["paper"] | {"label": "its authors' README", "marker": "^"}
others = {"label": "published networks", "color": "#999999", "marker": "."}
looks = {"others": others, "paper": style.ORIGIN_LOOKS["paper"], "readme": readme}
looks |= {**style.ORIGIN_LOOKS, "enlarged": enlarged}
points = pd.concat([frame.assign(series=origin) for origin, frame in frames.items()])
bands = pd.concat(
    [
        network_lines.bands(frame).assign(series=origin)
        for origin, frame in frames.items()
    ]
)


def panels(tests):
    """Points and lines of each test set, under its name and its slopes."""
    parts = {}
    for test in tests:
        each = [
            f"{origin} {100 * found[test].value:z.2f}"
            for origin, found in slopes.items()
            if test in found
        ]
        title = f"{TITLES.get(test, 'BG-Gap')}\n{', '.join(each)}"
        parts[title] = points[points["test"] == test], bands[bands["test"] == test]
    return parts


tested = points[(points["series"] != "paper") & (points["test"] == "bg_gap")]["images"]
four = panels(("mixed_same", "mixed_rand", "only_bg_t", "bg_gap"))
page.show(
    curves.scatter(
        four,
        "imagenet",
        "accuracy on ImageNet, %",
        "accuracy in %, BG-Gap in points",
        looks,
        ylim=(0, 100),
    ),
    "Accuracy on three variants, and the BG-Gap, against accuracy on ImageNet. The titles give the slopes of the lines. "
    "Bands are 95 % intervals of the lines, thin lines those of single networks. The paper's networks are those of its table 2; "
    "each of ours is tested on {images} of ImageNet's validation images.",
    images=f"{tested.max():,.0f}" if len(tested) else "(none)",
)

# %% tags=["remove-input"]
claims = [
    verdicts.verdict_on(claim.text, study) for claim in CLAIMS if claim.chapter == "08"
]
tables.table(
    [
        {
            "claim": each.claim.text,
            "paper": tables.cell(each.claim.printed().value, 2),
            "ours": tables.cell(each.estimate, 2) if each.estimate else each.reason,
            "verdict": each.decision,
        }
        for each in claims
    ],
    caption="Slopes, in points for each point on ImageNet, with 95 % intervals. The paper draws the lines but prints no slope; "
    "where there is a number, it is fitted to the networks of its table 2",
)

# %% [markdown]
# ## What could fool us

# %% tags=["remove-input"]
by_rule = {
    (name, rule): network_lines.slopes(
        benchmark_progress.measured(scores, rule), scores, rule
    )
    for name, scores in (*scored.items(), ("enlarged", larger))
    for rule in SCORING_RULES
}


whose = study.origin if by_rule.get((study.origin, "strict")) else "record"


def slope(rule):
    estimate = by_rule.get((whose, rule), {}).get("bg_gap")
    return estimate.text(2) if estimate else "(not measured)"


page.say(
    "- **Few networks.** The line through the paper's {few} networks has the slope {paper}; through the {networks} published "
    "networks it is {published}.\n"
    "- **The rule for answers.** By the authors' *strict* rule an answer outside the nine classes is wrong. By the "
    "*restricted* rule a network must choose among the nine. The slope of {whose} is {strict} by the strict rule and {restricted} by the other.\n"
    "- **Preparation of the images.** Hesse et al. resize and crop the images once more. For three networks that the paper's authors "
    "also tested, their gaps are {low:.1f} to {high:.1f} points smaller. So compare the published networks only with each other.",
    few=frames["paper"]["model"].nunique(),
    paper=slopes["paper"]["bg_gap"].text(2),
    networks=len(many),
    published=slope_of_many.text(2),
    whose={"run": "this run", "record": "our record"}[whose],
    strict=slope("strict"),
    restricted=slope(RESTRICTED),
    low=paper.fact("protocol_gap_low").value,
    high=paper.fact("protocol_gap_high").value,
)

# %% [markdown]
# ## Exercise
#
# Does the slope depend on what the networks were trained on? Complete the function: return the slope of the BG-Gap on
# accuracy for some of the networks.


# %%
def slope_of(networks):
    return 0.0 * len(networks)  # your answer here


by_data = {data: slope_of(networks) for data, networks in many.groupby("data")}
pd.Series(by_data).round(2)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def slope_of(networks):
#     return np.polyfit(networks["imagenet"], networks["value"], deg=1)[0]
# ```
#
# The first table below adds intervals and other ways to group the networks.
#
# </details>
#
# ## All numbers

# %% tags=["remove-input"]
groups = {"all": many} | {
    f"{column}: {name}": part
    for column in ("family", "data", "setup")
    for name, part in many.groupby(column)
}
tables.table(
    [
        {
            "networks": name,
            "number": len(part),
            "slope": tables.cell(estimate, 2),
            "mean gap, points": part["value"].mean(),
        }
        for name, part in groups.items()
        for estimate in network_lines.slopes(part).values()
    ],
    caption="Slopes of the BG-Gap among the published networks, with 95 % intervals over networks",
    fold=True,
)

# %% mystnb={"image": {"alt": "Some three hundred points in three colours: networks trained on ImageNet-1k, on ImageNet-21k and on larger data. All fall from the upper left to the lower right; those trained on more data lie furthest right and lowest."}} tags=["remove-input"]
kinds = {name: name.partition(" (")[0] for name in many["data"].unique()}
colours = dict(zip(kinds.values(), ("#0072b2", "#d55e00", "#009e73"), strict=True))
coloured = many.assign(series=many["data"].map(kinds))
lines_by_data = pd.concat(
    [
        network_lines.bands(part).assign(series=name)
        for name, part in coloured.groupby("series")
    ]
)
kind_looks = {
    name: {"label": name, "color": colour, "marker": "."}
    for name, colour in colours.items()
}
page.show(
    curves.scatter(
        {"": (coloured, lines_by_data)},
        "imagenet",
        "accuracy on ImageNet, %",
        "BG-Gap, points",
        kind_looks,
    ),
    "The published networks by training data, with a line and its 95 % band for each group.",
)

# %% mystnb={"image": {"alt": "BG-Gap upwards, accuracy on ImageNet across: the networks of the paper's table 2 and of its authors' README, those of our record, a line through each, and the published networks as small grey points."}} tags=["remove-input"]
more = {
    "enlarged": benchmark_progress.measured(larger),
    "readme": published[published["where"] == benchmark_progress.README],
    "others": many,
}
gaps = pd.concat(
    [frame.assign(series=name) for name, frame in (frames | more).items() if len(frame)]
)
panel = {"": (gaps[gaps["test"] == "bg_gap"], bands[bands["test"] == "bg_gap"])}
page.show(
    curves.scatter(
        panel, "imagenet", "accuracy on ImageNet, %", "BG-Gap, points", looks
    ),
    "BG-Gap of all networks for which we have numbers. *Enlarged* means the 64-pixel test images of our record, enlarged "
    "to the size that the networks expect. The chart at the top names the published networks.",
)

# %% mystnb={"image": {"alt": "Three panels for Original, Mixed-Next and No-FG, with accuracy on ImageNet across: the paper's networks where it prints them, those of our record, and a line through each."}} tags=["remove-input"]
further = panels(("original", "mixed_next", "no_fg"))
page.show(
    curves.scatter(
        further,
        "imagenet",
        "accuracy on ImageNet, %",
        "accuracy, %",
        looks,
        ylim=(0, 100),
    ),
    "The other variants. The paper draws Mixed-Next and No-FG without printing numbers.",
)


# %% tags=["remove-input"]
def cells(origin):
    found = network_lines.fits(fitted[origin]).set_index("test")["r"]
    rows = {
        test: f"{tables.cell(slopes[origin][test], 2)}, r = {tables.cell(r, 2)}"
        for test, r in found.items()
    }
    tested = frames[origin].query("test != 'in9l'")
    return {
        "networks": tested["model"].nunique(),
        "images": int(tested["images"].max()),
    } | rows


shown = ("original", "mixed_same", "mixed_rand", "mixed_next", "no_fg", "only_bg_t")
names = {"networks": "networks", "images": "photographs for each"} | {
    test: TITLES[test] for test in (*shown, "in9l")
}
names |= {"bg_gap": "BG-Gap: Mixed-Same minus Mixed-Rand"}
names |= {
    f"{first} minus {second}": f"{TITLES[first]} minus {TITLES[second]}"
    for first, second in spaces
}
tables.side_by_side(
    "points for each point on ImageNet",
    names,
    cells("paper"),
    {origin: cells(origin) if origin in frames else {} for origin in sources},
    caption="All slopes by the strict rule, with 95 % intervals and correlation r",
    fold=True,
)

# %% tags=["remove-input"]
titles = {"record": "our record", "run": "this run", "enlarged": "enlarged"}
columns = [key for key, estimates in by_rule.items() if estimates]
tables.table(
    [
        {"points for each point on ImageNet": names[test]}
        | {
            f"{titles[name]}, {rule}": tables.cell(by_rule[name, rule].get(test), 2)
            for name, rule in columns
        }
        for test in (*shown, "bg_gap")
    ]
    if columns
    else [],
    caption="Our slopes by both rules, with 95 % intervals. Without an object a network with 1,000 outputs mostly names "
    "something outside the nine classes; the strict rule calls that wrong, whatever the background said",
    nothing="No network has been scored yet.",
    fold=True,
)

# %% tags=["remove-input"]
whose = {"run": "this run", "record": "our record"}
every = [published[published["where"] != benchmark_progress.NEWER]]
every += [
    pd.concat([frames[origin], benchmark_progress.extras(source)]).assign(
        where=whose[origin]
    )
    for origin, source in sources.items()
    if origin in frames
]
if larger:
    every.append(more["enlarged"].assign(where="enlarged images"))


def gap(row):
    """BG-Gap with its interval if there is one."""
    interval = (
        "" if pd.isna(row["low"]) else f" [{row['low']:z.1f}, {row['high']:z.1f}]"
    )
    return None if pd.isna(row["bg_gap"]) else f"**{row['bg_gap']:z.1f}**{interval}"


tables.table(
    [
        {
            "network": f"{tables.escaped(row['model'])} ({row['where']})",
            "ImageNet": row["imagenet"],
            "images": row["images"],
        }
        | {
            TITLES[test]: row[test]
            for test in ("original", "mixed_same", "mixed_rand", "only_bg_t")
        }
        | {
            "restricted": row.get("restricted"),
            "BG-Gap": gap(row),
            "challenge": row.get("challenge"),
        }
        for row in benchmark_progress.by_network(pd.concat(every)).to_dict("records")
    ],
    caption="Every network: accuracy in percent, BG-Gap in points, by the strict rule. *Restricted* is Only-BG-T by the other "
    "rule; *challenge* is the share of objects that are recognised on every background (chapter 4)",
    fold=True,
)

# %% tags=["remove-input"]
lines_of = [
    f"{titles[origin].capitalize()}: {benchmark_progress.describe(scores)}"
    for origin, scores in scored.items()
]
lines_of += [f"Enlarged: {benchmark_progress.describe(larger)}"] if larger else []
page.say(" ".join(lines_of))

# %% [markdown]
# To add a network of yours, run `in9 evaluate resnet50:IMAGENET1K_V1 --data DIR`
# ([more ways](../book/your_model.md)), then `in9 book --measure --only 08`.
#
# **Next:** [9 · What helps?](09_what_helps.ipynb): cheaper remedies than training on Mixed-Rand alone.
