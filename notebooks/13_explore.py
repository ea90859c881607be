# %% [markdown]
# # 13 · Explore (beyond the paper)
#
# Put an object on another image's background and see what two networks make of it. One was trained on whole images (Original),
# the other on objects with random backgrounds (Mixed-Rand, drawn anew in each epoch).

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
from in9.book import demonstration, explore
from in9.book.setup import open_study
from in9.plots import page

study = open_study(globals())
explore.pairs(study)

# %% tags=["remove-input"]
page.say(f"<small>{demonstration.load(study.workspace).credit()}</small>")

# %% [markdown]
# In the rendered book this page holds a few photographs and the answers to them. In JupyterLab it can do more. Set
# `measure = True` in the first code cell: the page then trains both networks if necessary, and computes their answers and
# Grad-CAM maps for any two of your test images. For that you need the photographs of the profile; [how to run the
# book](../book/how_to_run.md) explains how to build them.
#
# One picture shows what can happen. The other chapters measure how often it happens.
#
# ## What you see
#
# - The object is cut out with its mask and pasted at its old place.
# - The background is the other image with its own object's box filled by tiles of what surrounds it (Only-BG-T). Its class is the
#   class of the object that was there. A photograph of a fish need not show water.
# - A network's answer is the class with the highest score. The percentage is its share of the scores of all nine classes (softmax).
#
# ## Exercise
#
# - Find an object that both networks recognise on a background of its own class, but only one of them on another.
# - Which backgrounds fool the network trained on whole images most often? What do they have in common?
# - With `measure = True`, compare other networks: `explore.pairs(study, ["original", "only_fg"])`.
