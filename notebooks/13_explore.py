# %% [markdown]
# # Explore
#
# Put an object on another image's background, and see what two classifiers make of it: one was trained on Original, the
# other on Mixed-Rand with backgrounds drawn anew in each epoch. Where images are in folds, both have left out the first, and
# its images are the ones to choose from. Opened in JupyterLab (see {doc}`/how_to_run`), this page computes at each change, for any two test
# images; the page of the rendered book holds the answers for one object of each class on one background of each.
# Nothing here was chosen by hand, and nothing is an estimate: one picture shows what can happen, and the other chapters
# say how often it does.

# %% tags=["parameters"]
profile = "control"
recorded = False
trained_on = ["original", "mixed_rand"]

# %% [markdown]
# ## Objects and backgrounds
#
# The first picture is the object on the background of the other image (Only-BG-T of that image; the name says which of the
# mixed variants draws such a pair). The others are the variants of the object's own image. The bars are each classifier's
# nine scores as shares of one (softmax). Grad-CAM, taken at the stage before the last as in the figure of
# {doc}`/06_saliency`, shows what speaks for the class that the classifier answers, which may be another for each; where it is
# dark throughout, the method finds nothing that does.
#
# The class of a background is that of its image. In the control set an image of a fish may stand on another texture than
# the fishes', just as a photograph of a fish need not show water.

# %% tags=["hide-input"]
import in9
from in9.book import explore
from in9.plots import tables

study = in9.Study(profile, recorded=recorded)
nothing = tables.markdown("This book was drawn from records alone, which have neither images nor networks.")
explore.pairs(study, trained_on) if study.compute else nothing

# %% [markdown]
# ## The dial
#
# How much the background says of the class is a property of the data. In the control set it is set by a dial, rho; here are
# the positions that {doc}`/00_instrument` measures, each with classifiers trained on Original at that position, and one
# image of each class. An object is the same at every position; from one position to the next, some move to their class's own
# background. Brackets are 95 % intervals. What lies between the positions was not measured and is not shown.

# %% tags=["hide-input"]
explore.dial(study) if study.compute else nothing

# %% [markdown]
# ## Try it yourself
#
# - Find an object that both classifiers name on its own background and only one names on another's.
# - Look at Only-BG-T: which classifier still names the class, with no object there?
# - Compare other classifiers: `trained_on = ["original", "only_fg"]` in the first code cell, then run all cells.
