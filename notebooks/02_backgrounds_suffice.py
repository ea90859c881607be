# %% [markdown]
# # Backgrounds suffice for classification
#
# A classifier that never saw an object can still name it: trained on Only-BG-T, where every object's box is filled with
# tiles of background, it names the class of {glue:text}`bg_t_own` % of test images of that kind, and of
# {glue:text}`bg_t_original` % of whole images; guessing gives {glue:text}`chance:.1f` %. In the paper it is
# {glue:text}`paper_own:.1f` % and {glue:text}`paper_original:.1f` %. (In brackets: 95 % interval; the data of this run:
# {glue:text}`data_name`.)
#
# ## What the paper did
#
# Section 3 of the paper {cite:p}`xiao2021noise` trains a ResNet-50 {cite:p}`he2016deep` on each variant that has no
# foreground, and tests it on the variant it was trained on and on whole images. Its table 5 has the whole matrix: nine
# training sets, nine test sets.
#
# ## What we did
#
# The same. The photographs are tested in folds (see {doc}`/01_dataset`), and the backgrounds of mixed test sets are drawn
# several times.

# %% tags=["parameters"]
profile = "control"
recorded = False

# %% tags=["hide-input"]
import pandas as pd

import in9
from in9.experiments import backgrounds_suffice, paper
from in9.plots import charts, style, tables
from in9.taxonomy import CHANCE, TITLES

study = in9.Study(profile, recorded=recorded)
matrices = {
    origin: backgrounds_suffice.accuracies(backgrounds_suffice.like_table5(source))
    for origin, source in study.origins.items()
}
record = study.origins.get("record", study)  # on photographs
published = paper.train_test_matrix()
tables.glue(
    bg_t_own=study.answers("only_bg_t").accuracy("only_bg_t"),
    bg_t_original=study.answers("only_bg_t").accuracy("original"),
    paper_own=float(published.loc["only_bg_t", "only_bg_t"]),
    paper_original=float(published.loc["only_bg_t", "original"]),
    leak=record.answers("only_fg").accuracy("only_bg_t"),
    paper_leak=float(published.loc["only_fg", "only_bg_t"]),
    no_fg_whole=record.answers("no_fg").accuracy("original"),
    paper_no_fg_whole=float(published.loc["no_fg", "original"]),
    no_fg_rand=record.answers("no_fg").accuracy("mixed_rand"),
    paper_no_fg_rand=float(published.loc["no_fg", "mixed_rand"]),
    outline=record.answers("original").difference("no_fg", "only_bg_b"),
    outline_tiles=record.answers("original").difference("no_fg", "only_bg_t"),
    paper_outline=paper.fact("original_no_fg_over_only_bg_b").value,
    paper_outline_tiles=paper.fact("original_no_fg_over_only_bg_t").value,
    data_name=study.profile.name,
    chance=100 * CHANCE,
    paper_epochs=paper.fact("recipe_epochs").value,
    paper_pixels=paper.fact("recipe_crop").value,
)
tables.markdown(study.describe())

# %% [markdown]
# ## The whole matrix
#
# The paper drew the backgrounds of its mixed training sets once, before the training. Ours are drawn anew in each epoch, and
# for Mixed-Rand also once. The names of the rows in {numref}`fig-matrix` say which it is. Only rows of the same name compare.

# %% mystnb={"figure": {"caption": "Accuracy in percent (every class counts the same) of classifiers trained on one set (rows) and tested on another (columns).", "name": "fig-matrix"}, "image": {"alt": "Heat maps of training sets by nine test sets, the paper's nine rows above our ten. The diagonal is bright; training on backgrounds alone stays well above chance on whole images; training on Mixed-Next fails where the background misleads."}} tags=["hide-input"]
style.use("svg")
panels = {"The paper: ResNet-50": backgrounds_suffice.published()}
panels |= {style.panel_title(origin, study.profile.name): matrix for origin, matrix in matrices.items()}
charts.matrix_heatmaps(panels, backgrounds_suffice.ROWS)

# %% [markdown]
# ## Paper, record, this run
#
# {numref}`fig-suffice` picks the rows that the section is about, on whole images, with the classifier trained on whole
# images for comparison.

# %% mystnb={"figure": {"caption": "Accuracy on whole images (Original) after training on each set that has no foreground, and on Original; lines are 95 % intervals, dotted is chance.", "name": "fig-suffice"}, "image": {"alt": "A dot plot: for each of three background-only training sets and for whole images, the accuracy on whole images in the paper, in our record and in this run. All lie to the right of the chance line."}} tags=["hide-input"]
rows = ["only_bg_b", "only_bg_t", "no_fg", "original"]
frames = [paper.table("train_test_matrix").assign(origin="paper", low=float("nan"), high=float("nan"))]
frames += [matrix.assign(origin=origin) for origin, matrix in matrices.items()]
every = pd.concat(frames)
charts.intervals(
    every[(every["test"] == "original") & every["train"].isin(rows)],
    "train",
    "accuracy",
    rows,
    "accuracy on whole images, %",
    chance=True,
)


# %% table={"caption": "Accuracy of networks that saw no object in training, on their own test set and on whole images.", "name": "tab-suffice"} tags=["hide-input"]
def numbers(source):
    own = {f"{row} own": source.answers(row).accuracy(row) for row in rows}
    return own | {f"{row} whole": source.answers(row).accuracy("original") for row in rows}


names = {f"{row} own": f"{TITLES[row]}, tested on the same" for row in rows}
names |= {f"{row} whole": f"{TITLES[row]}, tested on Original" for row in rows[:3]}
tables.side_by_side(
    "trained on, accuracy in %",
    names,
    {f"{row} own": float(published.loc[row, row]) for row in rows}
    | {f"{row} whole": float(published.loc[row, "original"]) for row in rows},
    {origin: numbers(source) for origin, source in study.origins.items()},
)

# %% [markdown]
# ## Where we differ, and why
#
# - **Size.** The paper trains a ResNet-50 for {glue:text}`paper_epochs:.0f` epochs on images of
#   {glue:text}`paper_pixels:.0f` pixels (their number is in {doc}`/01_dataset`). Here a narrow residual network sees fewer
#   and smaller images for fewer epochs. Most accuracies are lower for that; their order compares better.
#   {doc}`/12_why_we_differ` tries how much of the distance is training, detail or the number of images.
# - **No-FG on whole images.** On photographs our network that is trained on No-FG names {glue:text}`no_fg_whole` % of the whole
#   images, the paper's {glue:text}`paper_no_fg_whole:.1f` %. Ours seems to have seen parts of objects: on Mixed-Rand, where no
#   background helps, it names {glue:text}`no_fg_rand` %, the paper's {glue:text}`paper_no_fg_rand:.1f` %. Bad masks are left out
#   of the tests alone, here as in the paper, and GrabCut has less to work with in small images.
# - **A sentence against a table.** The paper's text says that a network trained on Original does about as well on No-FG as on
#   Only-BG-B. Its own table 5 has {glue:text}`paper_outline:.1f` points between them; on our photographs there are
#   {glue:text}`outline`. Perhaps Only-BG-T was meant: there the table has {glue:text}`paper_outline_tiles:.1f` points, and we
#   measure {glue:text}`outline_tiles`.
# - **What boxes tell.** A box has a size and a shape, which tell something of the class. A network trained on Only-FG sees no
#   background, and names {glue:text}`leak` % of our Only-BG-T images ({glue:text}`paper_leak:.1f` % in the paper). What a
#   network trained on backgrounds has beyond that is no matter of boxes.
# - **Control set.** In profile `control` objects and backgrounds are drawn, and a background tells the class as often as
#   we say (see {doc}`/data`). It shows that the measure finds what is there, not what photographs are like.
# - **IN-9L.** In the paper it is four times IN-9. For our photographs it is about twice: it adds the images without a mask that
#   passes the rules. For drawn images, which bring their own masks, it is the same as Original.
# - **Silhouettes.** No-FG leaves the object's outline visible as a black shape. Its accuracy is therefore no pure measure
#   of background, in the paper or here; Only-BG-B shows the box, Only-BG-T neither.
#
# ## Try it yourself
#
# Look at one training set more closely: `study.answers("mixed_next").accuracy("only_bg_t")`. Why does training on Mixed-Next,
# where the background always names the *next* class, do worse than chance on Only-BG-T in the paper?
#
# ## Next
#
# {doc}`/03_bg_gap`: what the right background is worth to a network that does see the object.
