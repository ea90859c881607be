# %% [markdown]
# # Backgrounds suffice for classification
#
# A classifier that never saw an object can still name it: trained on Only-BG-T, where every object's box is filled with
# tiles of background, it names the class of {glue:text}`bg_t_own` % of test images of that kind, and of
# {glue:text}`bg_t_original` % of whole images; guessing gives {glue:text}`chance:.1f` %. (In brackets: 95 % interval; the data of this
# run: {glue:text}`data_name`.)
#
# ## What the paper did
#
# Section 3 of the paper {cite:p}`xiao2021noise` trains a ResNet-50 {cite:p}`he2016deep` on each variant that has no
# foreground, and tests it on the variant it was trained on and on whole images. Its table 5 has the whole matrix: nine
# training sets, nine test sets.
#
# ## What we did

# %% tags=["parameters"]
profile = "control"
recorded = False

# %% tags=["hide-input"]
import pandas as pd

import in9
from in9.experiments import backgrounds_suffice, paper
from in9.experiments.backgrounds_suffice import MATRIX
from in9.plots import charts, style, tables
from in9.taxonomy import CHANCE, TITLES

study = in9.Study(profile, recorded=recorded)
matrices = {origin: backgrounds_suffice.accuracies(MATRIX.read(source)) for origin, source in study.origins.items()}
tables.glue(
    bg_t_own=study.answers("only_bg_t").accuracy("only_bg_t"),
    bg_t_original=study.answers("only_bg_t").accuracy("original"),
    outline=study.answers("original").difference("no_fg", "only_bg_b"),
    paper_outline=paper.fact("original_no_fg_over_only_bg_b").value,
    data_name=study.profile.name,
    chance=100 * CHANCE,
    paper_epochs=paper.fact("recipe_epochs").value,
    paper_pixels=paper.fact("recipe_crop").value,
)
tables.markdown(study.describe())

# %% [markdown]
# ## The whole matrix

# %% mystnb={"figure": {"caption": "Accuracy in percent (every class counts the same) of classifiers trained on one set (rows) and tested on another (columns).", "name": "fig-matrix"}, "image": {"alt": "Heat maps of nine training sets by nine test sets, the paper's above ours. The diagonal is bright; training on backgrounds alone stays well above chance on whole images; training on Mixed-Next fails where the background misleads."}} tags=["hide-input"]
style.use("svg")
panels = {"The paper: ResNet-50": paper.table("train_test_matrix")}
panels |= {style.panel_title(origin, study.profile.name): matrix for origin, matrix in matrices.items()}
charts.matrix_heatmaps(panels)
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


published = paper.train_test_matrix()
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
#   and smaller images for fewer epochs, so all accuracies are lower; what to compare is their order.
#   {doc}`/12_why_we_differ` tries how much of the distance is training, detail or the number of images.
# - **A sentence against a table.** The paper's text says that a network trained on Original does about as well on No-FG as on
#   Only-BG-B. Its own table 5 has {glue:text}`paper_outline:.1f` points between them; here there are {glue:text}`outline`.
# - **Control set.** In profile `control` objects and backgrounds are drawn, and a background tells the class as often as
#   we say (see {doc}`/data`). It shows that the measure finds what is there, not what photographs are like.
# - **IN-9L.** In the paper it is four times IN-9. Here it adds only the images whose masks were not good enough, and for
#   drawn images, which bring their own masks, it is the same as Original.
# - **Silhouettes.** No-FG leaves the object's outline visible as a black shape. Its accuracy is therefore no pure measure
#   of background, in the paper or here; Only-BG-B shows the box, Only-BG-T neither.
#
# ## Try it yourself
#
# Look at one training set more closely: `study.answers("mixed_next").accuracy("only_bg_t")`. Why does training on Mixed-Next,
# where the background always names the *next* class, do worse than chance on Only-BG-T?
#
# ## Next
#
# {doc}`/03_bg_gap`: what the right background is worth to a network that does see the object.
