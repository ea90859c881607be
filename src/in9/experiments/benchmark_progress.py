"""Benchmark progress: how accuracy on each test set goes with accuracy on ImageNet, over networks (paper, figure 8).

Our networks come from records of kind "score", the paper's from its tables. Both become tidy frames with one row for
each network and test set: model, where, images, imagenet, test, value, low, high. Accuracies are in percent, BG-Gap is
in points; NaN stands for what was not published.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from in9.evaluation.records import Record, Store
from in9.experiments import paper
from in9.plots.tables import escaped
from in9.scoring.challenge import ChallengeScore
from in9.scoring.score import RESTRICTED, STRICT, Score
from in9.study.study import Study
from in9.taxonomy import IMAGENET_CLASSES

NO_PHOTOGRAPHS = ("synthetic", "export")
GAP = "bg_gap"
TABLE2, README, NEWER = "table 2", "README", "Hesse et al. 2025"
COLUMNS = ["model", "where", "images", "imagenet", "test", "value", "low", "high"]

TRAINING_NAMES = {
    "adversarial": ", adversarial",
    "fine_tuned": ", fine-tuned",
    "linear": ", linear",
    "supervised_in21k": ", IN-21k",
}
"""What a network's name adds if it was not simply trained on ImageNet."""

# ------------------------------------------------------------------------------------------------------- records


def scores(study: Study) -> list[Score]:
    """The scores of ImageNet networks on one set of photographs, by their accuracy on ImageNet; empty if none.

    A network has ImageNet's 1,000 outputs and a known accuracy there. The scores are the project's if the study is
    ``recorded``, else those that ``in9 evaluate`` left on this machine. Of several sets of photographs it is the one
    with most networks, of several scores of a network the last. Scores of one fold alone are those of ``enlarged``.
    """
    groups: dict[tuple[str, Any], dict[str, Record]] = {}
    for record in _records(study, Score.kind):
        if _of_imagenet(record) and "fold" not in record.settings["data"]:
            groups.setdefault(_images(record), {})[_name(record)] = record
    if not groups:
        return []
    chosen = max(groups.values(), key=lambda group: (len(group), max(map(_when, group.values()))))
    return [Score(record, {}) for record in sorted(chosen.values(), key=top1_of)]


def enlarged(study: Study) -> list[Score]:
    """The scores of ImageNet networks on the enlarged test images of the study's first fold; empty if none."""
    profile = study.profile
    if not profile.split.folds:
        return []
    wanted = {"source": profile.source, "fold": profile.seeds[0]}
    records = [record for record in _records(study, Score.kind) if _of_imagenet(record)]
    return [Score(record, {}) for record in records if wanted.items() <= record.settings["data"].items()]


def challenges(study: Study) -> dict[str, ChallengeScore]:
    """The challenges, by the untargeted rule, of the networks of ``scores`` on the same images: name -> challenge.

    All are of one size, since with fewer backgrounds an object is fooled less often: the size with most networks, and
    of those the largest. Of several challenges of a network it is the last.
    """
    sizes: dict[int, dict[str, ChallengeScore]] = {}
    wanted = {score.name: _images(score.record) for score in scores(study)}
    for record in _records(study, ChallengeScore.kind):
        challenged = ChallengeScore(record)
        if "untargeted" in challenged.rules and wanted.get(_name(record)) == _images(record):
            sizes.setdefault(challenged.backgrounds, {})[_name(record)] = challenged
    chosen = max(sizes.items(), key=lambda size: (len(size[1]), size[0]), default=(0, {}))[1]
    return {name: chosen[name] for name in wanted if name in chosen}


def _records(study: Study, kind: str) -> list[Record]:
    """The records of one kind, the oldest first."""
    place = study.workspace.committed / "pretrained" if study.recorded else study.workspace.scores
    return sorted(Store(place).all(kind), key=_when)


def _of_imagenet(record: Record) -> bool:
    """Whether a record is of an ImageNet network with a known accuracy there, on photographs.

    What an export shows is not known: score the dataset that it was made from.
    """
    model = record.settings["model"]
    classes = model["outputs"] == IMAGENET_CLASSES and model.get("map_sha256") is None  # an own map is of other classes
    return (
        classes and model.get("imagenet_top1") is not None and record.settings["data"]["source"] not in NO_PHOTOGRAPHS
    )


def _name(record: Record) -> str:
    return str(record.settings["model"]["name"])


def _images(record: Record) -> tuple[str, Any]:
    """Which images: the hash of the data, and the split if they have one."""
    return record.data, record.settings["data"].get("split")


def _when(record: Record) -> str:
    return str(record.provenance.get("when", ""))


def top1_of(record: Record) -> float:
    """The accuracy on ImageNet of a record's network, in percent."""
    return float(record.settings["model"]["imagenet_top1"])


def describe(scored: Sequence[Score]) -> str:
    """One sentence for the reader: how many networks, how many images of each class, and how long scoring took."""
    if not scored:
        return "no network has been scored yet."
    first = scored[0]
    counts = np.unique(first.predictions().labels[first.tests[0]], return_counts=True)[1]
    spread = f"{counts.min():,}" if counts.min() == counts.max() else f"{counts.min():,} to {counts.max():,}"
    seconds = sum(score.record.provenance["seconds"] for score in scored)
    facts = first.record.provenance
    machine = facts.get("gpu") if str(facts.get("device", "cpu")).startswith("cuda") else facts.get("processor")
    noun = "network" if len(scored) == 1 else "networks"
    return (
        f"{len(scored)} {noun} on the same {counts.sum():,} photographs ({spread} of a class); scoring them on "
        f"{len(first.tests)} test sets took {seconds:,.0f} s on {escaped(machine)}."
    )


# -------------------------------------------------------------------------------------------------------- frames


def measured(scored: Iterable[Score], rule: str = STRICT) -> pd.DataFrame:
    """Accuracy on each test set by one rule, and BG-Gap, with their intervals; see the module's text."""
    rows = [score.table().assign(model=score.name, imagenet=top1_of(score.record)) for score in scored]
    if not rows:
        return pd.DataFrame(columns=COLUMNS)
    frame = pd.concat(rows, ignore_index=True).assign(where="measured")
    return frame[frame["rule"] == rule].reset_index(drop=True)[COLUMNS]


def published() -> pd.DataFrame:
    """Published networks: table 2 of the paper, the authors' README, and newer models, which have a BG-Gap only.

    ``where`` tells the three apart; the README's tests include ``challenge``. It does not print accuracy on ImageNet:
    that of its networks is the one that the newer models' table has for them.
    """
    newer = paper.table("newer_models").rename(columns={"imagenet_accuracy": "imagenet", "bg_gap": "value"})
    newer = newer.assign(test=GAP, images=np.nan)
    table2 = paper.table("models").query("training == 'imagenet'").rename(columns={"accuracy": "value"})
    readme = paper.table("readme").query("training == 'imagenet' and where == @README")
    readme = readme.rename(columns={"accuracy": "value"})
    top1 = newer[newer["training"] == "supervised_in1k"].set_index("model")["imagenet"]
    readme = readme.assign(imagenet=readme["model"].map(top1))
    table2 = table2.assign(imagenet=table2["model"].map(table2.query("test == 'imagenet'").set_index("model")["value"]))
    older = pd.concat([table2.query("test != 'imagenet'"), readme]).assign(images=images_of_the_paper())
    frame = pd.concat([older, newer], ignore_index=True).dropna(subset="imagenet").assign(low=np.nan, high=np.nan)
    frame["model"] = frame["model"].map(paper.network_names()) + frame["training"].map(TRAINING_NAMES).fillna("")
    return frame[COLUMNS]


def images_of_the_paper() -> int:
    """How many images each of the paper's test sets has."""
    sizes = paper.table("sizes").query("data == 'in9' and split == 'test' and measure == 'images'")
    return int(sizes["value"].item())


def published_networks() -> pd.DataFrame:
    """The BG-Gap of 326 published networks in one protocol (Hesse et al., 2025), rows as in ``published``.

    Further columns: ``family`` of architectures, ``data`` and ``setup`` of the training.
    """
    table = paper.table("published_networks")
    rows = table.rename(columns={"imagenet_accuracy": "imagenet", "bg_gap": "value"})
    rows = rows.assign(where=NEWER, images=np.nan, test=GAP, low=np.nan, high=np.nan)
    return rows[[*COLUMNS, "family", "data", "setup"]]


def among_the_papers(score: Score) -> pd.DataFrame:
    """The paper's models of the same kind (1,000 outputs or nine) and this one, by BG-Gap; empty without a BG-Gap.

    Columns model, where, original, mixed_same, mixed_rand, bg_gap in percent, and ours.
    """
    columns = ["model", "where", "original", "mixed_same", "mixed_rand", "bg_gap", "ours"]
    if score.gap() is None:
        return pd.DataFrame(columns=columns)
    rows = pd.concat([paper.table("models"), paper.table("readme").query("trust == 'high'")])
    kind = rows["training"] == "imagenet"
    rows = rows[kind if RESTRICTED in score.rules else ~kind & (rows["training"] != "none")]
    rows = rows.assign(model=rows["model"] + " (" + rows["training"] + ")", ours=False)
    wide = rows.pivot(index=["model", "where", "ours"], columns="test", values="accuracy").reset_index()
    ours: dict[str, Any] = {"model": score.name, "where": "this run", "ours": True}
    ours |= {test: 100 * score.accuracy(test).value for test in columns[2:5] if test in score.tests}
    ours["bg_gap"] = ours["mixed_same"] - ours["mixed_rand"]
    both = pd.concat([wide, pd.DataFrame([ours])], ignore_index=True)
    return both.sort_values("bg_gap", kind="stable", ignore_index=True).reindex(columns=columns)


def difference(frame: pd.DataFrame, first: str, second: str) -> pd.DataFrame:
    """A network's value on one test set minus that on another, as rows of the test set ``"FIRST minus SECOND"``.

    One row for each network that has both; without intervals. ``frame`` has one row for each network and test set.
    """
    minuend, subtrahend = (frame[frame["test"] == test].set_index("model") for test in (first, second))
    value = minuend["value"] - subtrahend["value"]
    both = minuend.assign(value=value, low=np.nan, high=np.nan, test=f"{first} minus {second}")
    return both.dropna(subset="value").reset_index()[COLUMNS]


def extras(study: Study) -> pd.DataFrame:
    """Further rows for the networks of ``scores``: ``restricted``, Only-BG-T by that rule, and ``challenge``."""
    scored = scores(study)
    frame = measured(scored, RESTRICTED).query("test == 'only_bg_t'").assign(test=RESTRICTED)
    top1 = {score.name: top1_of(score.record) for score in scored}
    rows = [
        (name, "measured", len(challenged.labels), top1[name], "challenge", *challenged.accuracy().in_percent())
        for name, challenged in challenges(study).items()
    ]
    return pd.concat([frame, pd.DataFrame(rows, columns=COLUMNS)]) if rows else frame


def by_network(frame: pd.DataFrame) -> pd.DataFrame:
    """One row for each network, in order: where, model, imagenet, a column for each test set, and images, low, high.

    The last three are those of BG-Gap.
    """
    keys = ["where", "model", "imagenet"]
    wide = frame.pivot(index=keys, columns="test", values="value")
    gap = frame[frame["test"] == GAP].set_index(keys)[["images", "low", "high"]]
    rows = wide.join(gap).loc[pd.MultiIndex.from_frame(frame[keys].drop_duplicates())].reset_index()
    counts = [None if pd.isna(count) else int(count) for count in rows["images"]]
    return rows.assign(images=pd.Series(counts, dtype=object))
