# %% [markdown]
# # 6 · Saliency (section 4, figure 6)

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
import cv2
import pandas as pd
import torch
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

from in9.book.setup import open_study
from in9.data import photographs
from in9.data.variants import compose
from in9.evaluation.saliency import scores
from in9.evaluation.saliency.maps import saliency_maps
from in9.experiments import object_focus, verdicts
from in9.experiments.adversarial_backgrounds import answered_pairs
from in9.experiments.experiment import told
from in9.experiments.object_focus import LOOKED_INTO as trained
from in9.experiments.object_focus import SALIENCY
from in9.plots import charts, page, pictures, style, tables
from in9.taxonomy import CLASS_NAMES, TITLES

study = open_study(globals())
focuses = {
    origin: looked
    for origin, source in study.origins.items()
    if (looked := object_focus.focus(source))
}
looked = focuses[told(study, SALIENCY).origin]


def change(method, **options):
    return looked[method]["mixed_rand"].minus(looked[method]["original"], **options)


verdict = verdicts.verdict_on(
    "A network trained on Mixed-Rand looks more at the object", study
)
page.finding(
    "Training on Mixed-Rand, with backgrounds drawn anew in each epoch, moves {raw:.1f} points of a saliency map onto the "
    "object; {beyond:.1f} remain when we allow for maps that merely became more central.",
    paper="two pictures, no number; Mixed-Rand drawn once",
    ours=f"{verdict.estimate.text()} points; {verdict.remark}"
    if verdict.estimate
    else verdict.ours,
    verdict=verdict.decision,
    raw=change("gradcam"),
    beyond=change("gradcam", beyond_swapped=True),
)

# %% [markdown]
# ## See it
#
# A **saliency map** shows how much each part of an image speaks for a class. Here it shows what speaks for the answer when a
# network is right, and what speaks for the wrong answer when another background fools it. The map may lie on the object even
# then: the network uses the object but misreads it.

# %% mystnb={"image": {"alt": "A grid of pictures with five rows. Each row has a photograph with its object outlined, the map of what speaks for its class, the same object on another background, and the map of what speaks for the wrong answer there. The first maps are bright on the object, the second often beside it."}} tags=["remove-input"]
style.use("jpeg")
illustrations, classifier = (
    photographs.shown(study.workspace.photographs),
    object_focus.explained_network(),
)
fooled = answered_pairs(study, illustrations).fooled().drop_duplicates("label").head(5)
pool, rows = illustrations.pool(), torch.tensor(fooled["object"].to_list())
moved = compose("mixed_rand", pool, rows, torch.tensor(fooled["background"].to_list()))
masks = illustrations.masks[rows]
maps = saliency_maps(classifier, pool.images[rows], pool.labels[rows], "gradcam")
maps_moved = saliency_maps(
    classifier, moved, torch.tensor(fooled["answer"].to_list()), "gradcam"
)
mass, mass_moved = (
    scores.foreground_scores(each, masks).mass for each in (maps, maps_moved)
)
shown, words = {}, {}
for place, row in enumerate(fooled.itertuples()):
    before, after = (
        illustrations.images[row.object],
        moved[place].permute(1, 2, 0).numpy(),
    )
    title, answer = CLASS_NAMES[row.label], CLASS_NAMES[row.answer]
    shown[title] = [
        pictures.outlined(before, masks[place]),
        pictures.heated(before, maps[place]),
        pictures.outlined(after, masks[place]),
        pictures.heated(after, maps_moved[place]),
    ]
    words[title] = [
        f"answer: {title}",
        f"{mass[place]:.0%} on object",
        f"answer: {answer}",
        f"{mass_moved[place]:.0%} on object",
    ]
page.show(
    pictures.picture_grid(
        shown,
        [
            "photograph",
            "what speaks for the answer",
            "on another background",
            "what speaks for the answer",
        ],
        words,
    ),
    """
    Grad-CAM of EfficientNet-Lite0 for its answer, from the last layer, which has 7 × 7
    pixels. Bright parts speak for the answer; the outline is the object's mask. The
    photographs are for showing: no claim rests on them. {drawn}{credit}
    """,
    drawn="These pictures stand in for photographs; the answers were given to the photographs. "
    * illustrations.drawn,
    credit=illustrations.credit([*fooled["object"], *fooled["background"]]),
)

# %% [markdown]
# ## How it works
#
# **Grad-CAM** ([Selvaraju et al., 2017](https://arxiv.org/abs/1610.02391)) uses the feature maps $f_k$ of a late layer, each with
# $Z$ pixels. It weights each map by how much it raises the score $S^c$ of a class $c$ (before the softmax), adds the maps and keeps
# the positive part:
#
# $$
# \begin{aligned}
# \alpha_k^c &= \frac{1}{Z} \sum_{i,j} \frac{\partial S^c}{\partial f_k(i, j)} \\
# L^c(i, j) &= \max\Bigl(0, \sum_k \alpha_k^c f_k(i, j)\Bigr)
# \end{aligned}
# $$
#
# Many networks end by averaging each map over its pixels and applying one linear layer with weights $w_k^c$. Then
# $\alpha_k^c = w_k^c / Z$ at the last layer, and no gradient is needed: the map is a weighted sum of the feature maps. The next cell
# computes it by hand, up to the constant factor $1 / Z$:

# %%
network = classifier.network
image = torch.from_numpy(illustrations.images[rows[0]]).permute(2, 0, 1)[None] / 255
pixels = (image - classifier.mean) / classifier.std
with torch.no_grad():
    features = network.forward_features(pixels)[0]  # 1,280 maps of 7 x 7 pixels
    answer = int(network(pixels).argmax())
weights = network.classifier.weight[answer].detach()  # 1,280, of the last layer
by_hand = torch.einsum("k,kij->ij", weights, features).relu().numpy()
print(by_hand.round(1))

# %% [markdown]
# The package [pytorch-grad-cam](https://github.com/jacobgil/pytorch-grad-cam) computes the gradient, enlarges the map to the size of
# the image and scales it to the range from 0 to 1. We enlarge and scale our map in the same way and compare:

# %%
library = GradCAM(network, [network.bn2])(pixels, [ClassifierOutputTarget(answer)])[0]
enlarged = cv2.resize(by_hand, library.shape)
enlarged = (enlarged - enlarged.min()) / (enlarged.max() - enlarged.min())
print(f"largest difference of any pixel: {abs(enlarged - library).max():.6f}")

mask = masks[0]
print(f"mass on the object: {100 * enlarged[mask].sum() / enlarged.sum():.0f} %")
print(f"share of the image: {100 * mask.mean():.0f} %")

# %% mystnb={"image": {"alt": "Three pictures side by side: a photograph with its object outlined, the coarse map made by hand over it, and the map of the package, which looks the same."}} tags=["remove-input"]
picture = illustrations.images[rows[0]]
page.show(
    pictures.picture_grid(
        {
            CLASS_NAMES[fooled["label"].iloc[0]]: [
                pictures.outlined(picture, mask),
                pictures.heated(picture, enlarged),
                pictures.heated(picture, library),
            ]
        },
        ["photograph", "by hand", "by the package"],
    ),
    "Grad-CAM of the last layer, by hand and by the package: the two maps look the same. {credit}",
    credit=illustrations.credit([int(rows[0])]),
)

# %% tags=["remove-input"]
coarse, finer = looked["gradcam"], looked["gradcam_finer"]
page.say(
    """
    Two numbers measure how well a map fits the object. **Mass on the object** is the
    share of the map's sum that lies inside the mask. The **pointing game** asks whether
    the map's maximum lies there. A uniform map scores the object's share of the image in
    both, {area} % on average.

    But most objects are near the middle of the image, and so are many maps. We therefore
    also score each mask with the maps of all other images and subtract this score. We
    call the result the mass *beyond other images' maps*. A network whose maps are merely
    more central gains nothing by this measure.

    We measure {count:,} test images{folded}. The maps are those of the true class, so
    that both networks are asked the same question. The maps of the last stage (group of
    layers) have only {side} × {side} pixels. We therefore also use the
    stage before, with {finer} × {finer}, and a second method. The *input gradient* is the
    absolute gradient of the score at each pixel, summed over the colours: noisy, but as
    fine as the image.
    """,
    area=coarse["original"].mean("area"),
    count=len(finer["original"].labels),
    folded=""
    if finer["original"].folds is None
    else ", each with the network that was not trained on it",
    side=coarse["original"].map_side,
    finer=finer["original"].map_side,
)

# %% [markdown]
# ## Evidence

# %% mystnb={"image": {"alt": "A dot plot with a row for each of three methods: the mass on the object after training on Original and, further to the right, after training on Mixed-Rand."}} tags=["remove-input"]
style.use("svg")
methods = {
    "gradcam": "Grad-CAM, last stage",
    "gradcam_finer": "Grad-CAM, stage before",
    "gradient": "input gradient",
}
numbers = {
    origin: {
        score: object_focus.scores_by_method(each, score)
        for score in ("mass", "pointing")
    }
    for origin, each in focuses.items()
}
suffixes = {origin: f", {origin}" if len(numbers) > 1 else "" for origin in numbers}
points = [
    {"row": title + suffixes[origin], "origin": name}
    | each["mass"][method, name].in_percent()._asdict()
    for method, title in methods.items()
    for origin, each in numbers.items()
    for name in trained
]
page.show(
    charts.intervals(
        pd.DataFrame(points),
        "row",
        "value",
        list(dict.fromkeys(point["row"] for point in points)),
        "mass on the object, %",
        looks=style.WAY_LOOKS,
    ),
    """
    Mass on the object after training on Original and on Mixed-Rand. Lines are 95 %
    intervals. A uniform map would have {area} %. The paper gives no number.
    """,
    area=coarse["original"].mean("area"),
)

# %% tags=["remove-input"]
kinds = {
    "difference": "Mixed-Rand minus Original",
    "beyond": "the same, beyond other images' maps",
}
tables.side_by_side(
    "mass on the object, points",
    {
        (method, kind): f"{title}: {label}"
        for method, title in methods.items()
        for kind, label in kinds.items()
    },
    {},
    {origin: each["mass"] for origin, each in numbers.items()},
    caption="How much more of the map lies on the object after training on Mixed-Rand, with backgrounds drawn anew in each epoch. "
    "Both networks see the same images",
)

# %% [markdown]
# ## What could fool us

# %% tags=["remove-input"]
beyond = [change(method, beyond_swapped=True).in_percent().value for method in methods]
page.say(
    """
    - **Central maps.** At the last stage the mass on the object rises by {raw:.1f}
      points. Maps of other images account for {central:.1f} of them, so these say nothing
      about the object.
    - **The method.** The paper does not name its method, so we cannot repeat its maps.
      With our three methods, the change beyond other images' maps ranges from {low:.1f}
      to {high:.1f} points. The maps of Grad-CAM are coarse: those of the last stage give
      {last:.1f} points, those of the stage before {finer:.1f}.
    - **Wrong answers.** The map of the true class says little about an answer that is
      wrong. On images that both networks recognise, the change at the last stage is
      {right} points.

    A map is not a proof. It shows where a network finds evidence, not what it would
    answer without it. [Chapter 3](03_bg_gap.ipynb) changes the background and looks at
    the answer; that is the stronger test.
    """,
    raw=change("gradcam"),
    central=round(change("gradcam").in_percent().value, 1) - round(beyond[0], 1),
    low=min(beyond),
    high=max(beyond),
    last=beyond[0],
    finer=beyond[1],
    right=change("gradcam", both_right=True),
)

# %% [markdown]
# ## Exercise
#
# How well does a mask score with a map that does not belong to it? `maps` and `masks` hold the maps and masks of the
# photographs above. Complete the function: score the mask of photograph `row` with the maps of all *other* photographs and
# return the mean.


# %%
def mass_on(saliency, mask):
    return 100 * saliency[mask].sum() / saliency.sum()


def mass_swapped(row):
    others = [other for other in range(len(maps)) if other != row]
    return 0.0 * len(others)  # your answer here


pd.DataFrame(
    {
        "own map": [
            mass_on(saliency, mask) for saliency, mask in zip(maps, masks, strict=True)
        ],
        "other maps": [mass_swapped(row) for row in range(len(maps))],
        "share of the image": 100 * masks.mean((1, 2)),
    },
    index=list(shown),
).round(0)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def mass_swapped(row):
#     others = [other for other in range(len(maps)) if other != row]
#     return sum(mass_on(maps[other], masks[row]) for other in others) / len(others)
# ```
#
# A mask near the middle tends to score above its share of the image with any map. The package stores this number for our
# networks: `looked["gradcam"]["original"].mean("mass_swapped")`.
#
# </details>
#
# ## All numbers

# %% tags=["remove-input"]
kinds = {name: f"trained on {TITLES[name]}" for name in trained}
kinds |= {
    f"{name} above": f"{TITLES[name]}, beyond other images' maps, points"
    for name in trained
}
kinds |= {
    "difference": "Mixed-Rand minus Original, points",
    "beyond": "the same, beyond other images' maps, points",
    "right": "Mixed-Rand minus Original where both are right, points",
}
labels = {("gradcam", "area"): "the object's share of the image"}
labels |= {
    (method, kind): f"{methods[method]}: {label}"
    for method in methods
    for kind, label in kinds.items()
}
tables.side_by_side(
    "mass on the object, %",
    labels,
    {},
    {origin: each["mass"] for origin, each in numbers.items()},
    caption="Share of the map's mass on the object, in percent, by method and training set",
    fold=True,
)

# %% tags=["remove-input"]
tables.side_by_side(
    "pointing game, %",
    labels,
    {},
    {origin: each["pointing"] for origin, each in numbers.items()},
    caption="Pointing game: how often the map's highest point lies on the object, in percent. If several points are highest, the "
    "share of them that does",
    fold=True,
)

# %% tags=["remove-input"]
tables.side_by_side(
    "maps of zeros",
    {
        (method, name): f"{label}: {TITLES[name]}"
        for method, label in methods.items()
        for name in trained
    },
    {},
    {
        origin: {
            (method, name): each[method][name].empty
            for method in methods
            for name in trained
        }
        for origin, each in focuses.items()
    },
    caption="Maps that are zero everywhere: no part of the image speaks for the class",
    fold=True,
)

# %% mystnb={"image": {"alt": "A grid of pictures with nine rows, one for each class: the image with its object outlined, Grad-CAM after training on Original and on Mixed-Rand, and the input gradients of both."}} tags=["remove-input"]
style.use("jpeg")
short = {"gradcam_finer": "Grad-CAM", "gradient": "gradient"}
gallery = None
if study.compute:
    recipes = {name: study.profile.recipe_on(name) for name in trained}
    classifiers = {name: study.classifier(recipe) for name, recipe in recipes.items()}
    unseen = scores.examples(
        classifiers, study.dataset.of_fold(recipes["original"].fold), list(short)
    )
    gallery = page.show(
        pictures.picture_grid(
            {
                name: [pictures.outlined(unseen.images[row], unseen.masks[row])]
                + [
                    pictures.heated(unseen.images[row], each[row])
                    for each in unseen.maps.values()
                ]
                for row, name in enumerate(CLASS_NAMES)
            },
            [
                "image",
                *(f"{short[method]}\n{TITLES[name]}" for name, method in unseen.maps),
            ],
        ),
        "One test image of each class, not chosen by hand, with maps of the true class by two methods, for both networks.",
    )
gallery

# %% tags=["remove-input"]
page.say(
    f"{study.describe()} The paper's Mixed-Rand network was trained on backgrounds drawn once, ours on backgrounds drawn anew. Masks "
    "come from GrabCut. Where a mask misses a part of the object, the map's mass there counts as background."
)

# %% [markdown]
# **Next:** [7 · A fine-grained look](07_fine_grained.ipynb): which images need their background, and which
# are misled by it.
