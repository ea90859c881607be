"""Scoring any classifier: the authors' rules image by image, from a dataset and from their archive's layout."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import Tensor
from typer.testing import CliRunner

mpl.use("Agg")

import in9
from in9.cli.main import app
from in9.data.dataset import Dataset
from in9.data.variants import VARIANTS
from in9.errors import In9Error
from in9.evaluation.estimates import Term, balanced_mean
from in9.evaluation.records import Store, from_digits
from in9.experiments.benchmark_progress import among_the_papers
from in9.scoring import report
from in9.scoring.challenge import ChallengeScore, challenge
from in9.scoring.load import ScorableModel, load_model
from in9.scoring.score import Score, evaluate
from in9.scoring.test_images import open_test_images
from in9.taxonomy import CLASSES, NUM_CLASSES, UNMAPPED, imagenet_to_in9

pytestmark = pytest.mark.usefixtures("one_thread")


def hashed(images: Tensor, outputs: int = 1000) -> Tensor:
    """Scores float [B, outputs] that look random and depend on every pixel of images float [B, 3, S, S]."""
    values = (images * 255).round().long().flatten(1)
    sums = (values * (torch.arange(values.shape[1]) % 97 + 1)).sum(1, keepdim=True)
    return ((sums * (torch.arange(outputs) * 7919 + 31)) % 10007).float()


def colourful(images: Tensor) -> Tensor:
    """A classifier of nine outputs that looks at the middle of the image, so that some backgrounds change nothing."""
    middle = images[:, :, 12:20, 12:20].mean((2, 3)) * 8
    return torch.stack([torch.cos(middle @ torch.tensor([1.0, 2.0, 3.0]) * (k + 1)) for k in range(9)], 1)


def central(images: Tensor) -> Tensor:
    """A classifier of nine outputs that sees the middle pixels only: no background matters behind an object there."""
    return hashed(images[:, :, 15:17, 15:17], 9)


@pytest.fixture(scope="module")
def model() -> ScorableModel:
    return load_model(hashed, name="hashed", image_size=32)


# ------------------------------------------------------------------------------- the reference's rules, restated


def folder_in_order(folder: Path) -> tuple[list[Path], list[int]]:
    """Files and labels: class folders in sorted order, files in sorted order within each."""
    folders = sorted(path for path in folder.iterdir() if path.is_dir())
    files = [(path, label) for label, home in enumerate(folders) for path in sorted(home.iterdir())]
    return [path for path, _ in files], [label for _, label in files]


def as_tensor(path: Path) -> Tensor:
    return torch.from_numpy(np.array(Image.open(path).convert("RGB"))).permute(2, 0, 1).float() / 255


def reference_predictions(network: Callable[[Tensor], Tensor], folder: Path) -> list[int]:
    """The strict rule as the authors' evaluation has it: the best of 1,000 outputs, then the map; none of it is -1."""
    table, answers = imagenet_to_in9(), []
    for path in folder_in_order(folder)[0]:
        best = int(network(as_tensor(path)[None]).argmax())
        answers.append(int(table[best]))
    return answers


def reference_challenge(network: Callable[[Tensor], Tensor], data: Path) -> list[bool]:
    """Who is vulnerable, as the authors' challenge has it: every background anew, in order, batches of 32."""
    backgrounds, _ = folder_in_order(data / "only_bg_t" / "val")
    masks, labels = folder_in_order(data / "fg_mask" / "val")
    table, vulnerable = imagenet_to_in9(), []
    for path, label in zip(masks, labels, strict=True):
        mask = torch.from_numpy(np.load(path).astype(np.float32))
        image = as_tensor(data / "original" / "val" / path.parent.name / f"{path.stem}.png")
        fell = False
        for start in range(0, len(backgrounds), 32):
            batch = torch.stack([as_tensor(path) for path in backgrounds[start : start + 32]])
            outputs = network(batch * (1 - mask) + image * mask)
            classes = torch.from_numpy(table)[outputs.argmax(1)] if outputs.shape[1] == 1000 else outputs.argmax(1)
            if (classes != label).any():
                fell = True
                break
        vulnerable.append(fell)
    return vulnerable


def test_the_strict_rule_is_the_authors_image_by_image(exported: Path, model: ScorableModel) -> None:
    score = evaluate(model, exported, device="cpu")
    assert score.tests == VARIANTS
    shares = score.table().query("rule == 'strict'").set_index("test")["share"]
    for variant in VARIANTS:
        expected = reference_predictions(hashed, exported / variant / "val")
        assert score.predictions().classes[variant].tolist() == [[expected]]
        labels = folder_in_order(exported / variant / "val")[1]
        assert score.predictions().labels[variant].tolist() == labels
        assert shares[variant] == 100 * np.mean(np.array(expected) == labels)
    assert UNMAPPED in expected and len(set(expected)) > 3


def test_the_restricted_rule_looks_at_370_outputs_only(exported: Path, model: ScorableModel) -> None:
    score = evaluate(model, exported, tests=["mixed_rand"], device="cpu")
    table = imagenet_to_in9()
    mapped = np.flatnonzero(table >= 0)
    expected = [
        table[mapped[int(hashed(as_tensor(path)[None])[0, mapped].argmax())]]
        for path in folder_in_order(exported / "mixed_rand" / "val")[0]
    ]
    assert score.predictions("restricted").classes["mixed_rand"].tolist() == [[expected]]
    assert score.rules == ("strict", "restricted")


@pytest.mark.parametrize("network", [hashed, central])
def test_challenge_accuracy_is_the_authors_foreground_by_foreground(
    exported: Path, network: Callable[[Tensor], Tensor]
) -> None:
    score = challenge(network, exported, device="cpu", batch_size=7)
    expected = reference_challenge(network, exported)
    assert score.is_vulnerable("untargeted").tolist() == expected
    assert not (score.is_vulnerable("targeted") & ~score.is_vulnerable("untargeted")).any()
    assert score.accuracy().value == pytest.approx(1 - np.mean(expected))
    if network is central:
        assert 0 < sum(expected) < len(expected)  # else the comparison says little


# ------------------------------------------------------------------------------------------ dataset and layout


def test_a_dataset_and_its_export_get_the_same_answers(dataset: Dataset, exported: Path, model: ScorableModel) -> None:
    ours, theirs = evaluate(model, dataset, device="cpu"), evaluate(model, exported, device="cpu")
    place = {name: row for row, name in enumerate(theirs.ids["original"])}
    for variant in VARIANTS:
        rows = [
            place[f"{CLASSES[label].folder}/{Path(name).stem}"]
            for name, label in zip(ours.ids[variant], ours.predictions().labels[variant], strict=True)
        ]
        for rule in ours.rules:
            answers = theirs.predictions(rule).classes[variant][0, 0, rows]
            assert answers.tolist() == ours.predictions(rule).classes[variant][0, 0].tolist()
    assert ours.gap() is not None and theirs.gap() is not None
    assert ours.gap().value == pytest.approx(theirs.gap().value)
    assert "in9l" in ours.tests and "in9l" not in theirs.tests


def test_adversarial_backgrounds_are_the_same_from_both(dataset: Dataset, exported: Path) -> None:
    ours, theirs = (challenge(colourful, data, device="cpu") for data in (dataset, exported))
    for rule in ours.rules:
        assert ours.vulnerable(rule).value == theirs.vulnerable(rule).value
        assert sorted(zip(ours.labels, ours.is_vulnerable(rule), strict=True)) == sorted(
            zip(theirs.labels, theirs.is_vulnerable(rule), strict=True)
        )


def test_the_order_of_files_does_not_break_the_pairs(exported: Path, tmp_path: Path, model: ScorableModel) -> None:
    """Mixed images are named by foreground and background; the gap pairs them by foreground."""
    expected = evaluate(model, exported, device="cpu")
    data = tmp_path / "renamed"
    for variant in ("original", "mixed_same", "mixed_rand"):
        for number, path in enumerate(folder_in_order(exported / variant / "val")[0]):
            name = path.name if variant == "original" else f"fg_{path.stem}_bg_{997 * number % 1009}.png"
            target = data / variant / "val" / path.parent.name / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    score = evaluate(model, data, device="cpu")
    assert score.gap() == expected.gap() and score.tests == ("original", "mixed_same", "mixed_rand")
    lost = next((data / "mixed_rand" / "val").glob("*/*.png"))
    lost.unlink()
    fewer = evaluate(model, data, device="cpu")
    assert len(fewer.predictions().labels["original"]) == len(expected.predictions().labels["original"]) - 1
    assert fewer.record.settings["data"]["left_out"] == 2


@pytest.mark.parametrize("kind", ["missing", "file", "empty", "imagenet"])
def test_what_is_no_test_data_is_named(kind: str, tmp_path: Path, dataset: Dataset) -> None:
    path = tmp_path / "data"
    if kind == "file":
        path.write_text("something")
    elif kind != "missing":
        (path / ("ILSVRC" if kind == "imagenet" else "photos")).mkdir(parents=True)
    expected = {"missing": "no folder", "file": "looked for", "empty": "looked for", "imagenet": "in9 build imagenet"}
    with pytest.raises(In9Error, match=expected[kind]):
        open_test_images(path)
    with pytest.raises(In9Error, match=r"Choose one of: .*validation"):
        open_test_images(dataset, split="tset")


# ------------------------------------------------------------------------------------------------------- scores


def test_a_score_says_what_its_record_says(dataset: Dataset, model: ScorableModel, tmp_path: Path) -> None:
    score = evaluate(model, dataset, device="cpu", batch_size=5)
    predictions = score.predictions()
    same, rand = (predictions.correct(test).astype(float) for test in ("mixed_same", "mixed_rand"))
    assert score.gap() == balanced_mean([Term(same), Term(-rand)], predictions.labels["mixed_same"])
    table = score.table().set_index(["test", "rule"])
    assert set(table.index.get_level_values("test")) == {*VARIANTS, "in9l", "bg_gap"}
    row = table.loc[("original", "strict")]
    assert row["low"] <= row["value"] <= row["high"] and row["images"] == len(predictions.labels["original"])
    images = score.images()
    assert len(images) == sum(len(predictions.labels[test]) for test in score.tests)
    part = images[images["test"] == "only_fg"]
    assert 100 * (part["strict"] == part["label"]).mean() == pytest.approx(table.loc[("only_fg", "strict"), "share"])
    Store(tmp_path).write(score.record)
    (stored,) = Store(tmp_path).all("score")
    assert Score(stored, {}).table().equals(score.table())


def test_batches_play_no_part(dataset: Dataset, model: ScorableModel) -> None:
    small, large = (evaluate(model, dataset, device="cpu", batch_size=size).record for size in (1, 999))
    assert small.results == large.results and small.key == large.key


def test_nine_outputs_have_one_rule_and_the_papers_own_models_beside_them(dataset: Dataset) -> None:
    score = evaluate(colourful, dataset, device="cpu", name="mine")
    assert score.rules == ("strict",) and score.name == "mine"
    among = among_the_papers(score)
    assert among["ours"].sum() == 1 and among["bg_gap"].is_monotonic_increasing
    assert not among["model"].str.contains("imagenet").any() and among["model"].str.contains("in9l").any()
    text = report.text(score, among)
    assert "> mine" in text and "Restricted" not in text


def test_a_thousand_outputs_stand_among_pretrained_models(dataset: Dataset, model: ScorableModel) -> None:
    score = evaluate(model, dataset, device="cpu")
    among = among_the_papers(score)
    assert len(among) == 9  # five of table 2, three of the README, ours
    assert among.query("model == 'vgg16_bn (imagenet)'")["bg_gap"].item() == 10.2
    text = report.text(score, among)
    assert "restricted" in text and "hashed: 1000 outputs" in text


def test_unknown_tests_and_rules_are_named(dataset: Dataset, model: ScorableModel) -> None:
    with pytest.raises(In9Error, match="Did you mean 'mixed_rand'"):
        evaluate(model, dataset, tests=["mixed_rnd"], device="cpu")
    with pytest.raises(In9Error, match="Did you mean 'targeted'"):
        challenge(model, dataset, rules=["targetd"], device="cpu")
    with pytest.raises(In9Error, match="no rule 'restricted'"):
        evaluate(colourful, dataset, tests=["original"], device="cpu").predictions("restricted")


def test_answers_that_are_not_numbers_are_refused(dataset: Dataset) -> None:
    def broken(images: Tensor) -> Tensor:
        outputs = hashed(images)
        outputs[images.mean((1, 2, 3)) > 0.3, 17] = math.nan
        return outputs

    for score in (evaluate, challenge):
        with pytest.raises(In9Error, match=r"broken answers with NaN for \d+ of \d+ images of original"):
            score(broken, dataset, device="cpu")


# ---------------------------------------------------------------------------------------------------- challenges


def test_a_stopped_challenge_goes_on(dataset: Dataset, tmp_path: Path, model: ScorableModel) -> None:
    asked, limit = 0, 10**9

    def counting(images: Tensor) -> Tensor:
        nonlocal asked
        asked += 1
        if asked > limit:
            raise KeyboardInterrupt
        return model.classifier(images)

    watched = replace(model, classifier=counting)
    whole = challenge(watched, dataset, device="cpu", batch_size=3, states=tmp_path)
    calls, asked, limit = asked, 0, asked // 2
    with pytest.raises(KeyboardInterrupt):
        challenge(watched, dataset, device="cpu", batch_size=3, states=tmp_path)
    (state,) = tmp_path.glob("*.npz")
    asked, limit = 0, 10**9
    again = challenge(watched, dataset, device="cpu", batch_size=3, states=tmp_path)
    assert again.record.results == whole.record.results
    assert 0 < asked < calls and not state.exists()


def test_a_challenge_holds_its_lock_while_it_searches(dataset: Dataset, tmp_path: Path, model: ScorableModel) -> None:
    there: list[set[str]] = []

    def watching(images: Tensor) -> Tensor:
        there.append({path.suffix for path in tmp_path.iterdir()})
        return model.classifier(images)

    challenge(replace(model, classifier=watching), dataset, per_class=2, device="cpu", states=tmp_path)
    assert there[-1] == {".lock"} and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", [lambda whole: b"nonsense", lambda whole: b"", lambda whole: whole[:-200]])
def test_a_challenge_whose_state_is_damaged_starts_anew(
    dataset: Dataset,
    tmp_path: Path,
    model: ScorableModel,
    capsys: pytest.CaptureFixture[str],
    damage: Callable[[bytes], bytes],
) -> None:
    whole = challenge(model, dataset, device="cpu", batch_size=3)
    asked = 0

    def stopping(images: Tensor) -> Tensor:
        nonlocal asked
        asked += 1
        if asked == 60:
            raise KeyboardInterrupt
        return model.classifier(images)

    watched = replace(model, classifier=stopping)
    with pytest.raises(KeyboardInterrupt):
        challenge(watched, dataset, device="cpu", batch_size=3, states=tmp_path)
    (state,) = tmp_path.glob("*.npz")
    damaged = damage(state.read_bytes())
    state.write_bytes(damaged)
    again = challenge(watched, dataset, device="cpu", batch_size=3, states=tmp_path)
    assert again.record.results == whole.record.results
    (aside,) = tmp_path.iterdir()
    assert aside.name == f"{state.name}.damaged" and aside.read_bytes() == damaged
    said = capsys.readouterr().err
    assert said.startswith("The challenge starts anew. Its state cannot be read (") and said.count("\n") == 1


def test_a_challenge_says_how_vulnerable(dataset: Dataset) -> None:
    score = challenge(colourful, dataset, per_class=2, device="cpu")
    assert len(score.labels) == 2 * NUM_CLASSES
    assert score.record.results["pairs"] == (2 * NUM_CLASSES) ** 2 >= score.record.results["composites"]
    table = score.table().set_index("measure")
    assert table.loc["challenge accuracy", "value"] + table.loc["vulnerable (untargeted)", "value"] == pytest.approx(
        100
    )
    text = report.challenge_text(score)
    assert "challenge accuracy" in text and "18 foregrounds x 18 backgrounds" in text
    with pytest.raises(In9Error, match="no rule 'untargeted'"):
        challenge(colourful, dataset, per_class=2, rules=["targeted"], device="cpu").accuracy()


# -------------------------------------------------------------------------------------------------- command line


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace with a module that has a classifier."""
    (tmp_path / "my_models.py").write_text(
        "import torch\n\ndef network():\n    torch.manual_seed(0)\n"
        "    return torch.nn.Sequential(torch.nn.AvgPool2d(8), torch.nn.Flatten(), torch.nn.Linear(48, 9))\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IN9_HOME", str(tmp_path))
    return tmp_path


def run(*words: object) -> str:
    done = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_the_command_scores_and_writes_what_is_asked(home: Path, dataset: Dataset) -> None:
    words = ("my_models:network", "--data", dataset.path, "--device", "cpu", "--name", "my net")
    text = run("evaluate", *words, "--json", "a.json", "--csv", "a.csv", "--figure", "a.svg", "--top1", "71.5")
    assert "my net: 9 outputs" in text and "71.5 % on ImageNet" in text and "> my net" in text
    content = json.loads((home / "a.json").read_text())
    (record,) = Store(home / "runs" / "records" / "scores").all("score")
    assert content["results"] == record.results and record.settings["model"]["imagenet_top1"] == 71.5
    frame = pd.read_csv(home / "a.csv")
    assert set(frame["test"]) == {*VARIANTS, "in9l"} and frame["strict"].between(0, 8).all()
    original = frame[frame["test"] == "original"]
    assert original["strict"].tolist() == from_digits(record.results["predictions"]["original"]).tolist()
    assert (home / "a.svg").read_text().lstrip().startswith("<?xml")
    again = run("evaluate", "a.csv", "--data", dataset.path, "--name", "elsewhere", "--top1", "71.5")
    assert "elsewhere: answers of a.csv, 71.5 % on ImageNet" in again
    assert [line for line in again.splitlines() if line.startswith("Mixed")] == [
        line for line in text.splitlines() if line.startswith("Mixed")
    ]
    for option in (["--csv", "a.csv"], ["--map", "map.json"], ["--set", "mean=0"], ["--probe", "original"]):
        done = CliRunner().invoke(app, ["evaluate", "a.csv", "--data", str(dataset.path), *option])
        expected = "given twice" if option[0] == "--csv" else f"nothing is done: leave out {option[0]}"
        assert isinstance(done.exception, In9Error) and expected in str(done.exception)
    assert "challenge accuracy" in run("challenge", *words, "--json", "b.json", "--per-class", 2)
    assert ChallengeScore(Store(home / "runs" / "records" / "scores").all("challenge")[0]).rules == (
        "untargeted",
        "targeted",
    )
    assert not list(home.glob(".*")) and not list((home / "runs" / "challenges").glob("*"))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--data", "nowhere"], "There is no folder nowhere"),
        (["--data", "DATA", "--json", "no/such/a.json"], "cannot be written"),
        (["--data", "DATA", "--figure", "a.xyz"], "use .svg, .png or .pdf"),
        (["--data", "DATA", "--split", "tset"], "There is no split"),
        (["--data", "DATA", "--preprocessing", "ownn"], "Did you mean 'own'"),
        (["--data", "DATA", "--set", "mean"], "name=value"),
    ],
)
def test_a_mistake_is_one_sentence(
    words: list[str], expected: str, home: Path, dataset: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [str(dataset.path) if word == "DATA" else word for word in words]
    done = CliRunner().invoke(app, ["evaluate", "my_models:network", "--device", "cpu", *arguments])
    assert isinstance(done.exception, In9Error) and expected in str(done.exception)
    assert not list(home.glob("a.*")) and not list(home.glob(".*"))


def test_the_package_offers_both(dataset: Dataset) -> None:
    assert in9.evaluate is evaluate and in9.challenge is challenge
