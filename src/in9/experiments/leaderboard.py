"""The leaderboard: networks scored here or elsewhere beside those that are published (paper, table 2).

A record of kind "score" in ``records/leaderboard`` is a row. Two tables lie beside the records: ``networks.csv`` says
of which family a network is and what it was trained on, and ``test_images.csv`` which test images are known.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from in9.errors import In9Error, errors_told
from in9.evaluation.records import Record, Store, from_digits, name_of_labels
from in9.experiments import paper
from in9.experiments.benchmark_progress import GAP, NEWER, TABLE2, images_of_the_paper, published_networks
from in9.scoring.answers import ELSEWHERE
from in9.scoring.load import PREPROCESSING_MODES, REFERENCE_MODE
from in9.scoring.score import LONGEST_NAME, RESTRICTED, STRICT, Score, is_name
from in9.study.workspace import Workspace
from in9.taxonomy import NUM_CLASSES, UNMAPPED

FACTS = ["model", "family", "trained_on", "setup", "rule", "preprocessing", "test_images", "images", "source"]
NUMBERS = ["imagenet", "original", "only_bg_t", "mixed_same", "mixed_rand", GAP, "low", "high"]
"""Columns of the leaderboard: accuracies in %, BG-Gap and its interval in points; NaN where a number is not known."""
NOT_STATED = "not stated"
NINE_OUTPUTS = "nine outputs"
SUBMITTED, SCORED, LOCAL = "submitted", "this project", "this machine"
AUTHORS_TEST_SET = "the authors' test set"
NEEDED_TESTS = ("original", "mixed_same", "mixed_rand")
_TRAINED_ON = {"imagenet": "ImageNet-1k", "in9l": "IN-9L"}


def rows(workspace: Workspace) -> pd.DataFrame:
    """All rows: submitted, the project's, this machine's, the paper's table 2, then the 326 published networks.

    Columns are those of ``FACTS`` and ``NUMBERS``; a network of 1,000 outputs has a row for each rule. Rows that may be
    compared stand together, in order of BG-Gap. Raises In9Error for a record in ``records/leaderboard`` that ``check``
    refuses.
    """
    home = workspace.committed / "leaderboard"
    networks, known = _table(home / "networks.csv"), _table(home / "test_images.csv")
    places = {SUBMITTED: home, SCORED: workspace.committed / "pretrained", LOCAL: workspace.scores}
    parts = []
    for source, folder in places.items():
        records = Store(folder).all(Score.kind)
        if source == SUBMITTED:
            for record in records:
                check(record, known)
        parts.append(of_scores([Score(record, {}) for record in records], source, networks, known))
    parts += [of_the_paper(), of_hesse()]
    by, up = ["test_images", "rule", GAP], [True, False, True]  # the strict rule first
    ordered = [part.sort_values(by, ascending=up, kind="stable") for part in parts if len(part)]
    return pd.concat(ordered, ignore_index=True)[[*FACTS, *NUMBERS]]


def of_scores(scores: Iterable[Score], source: str, networks: pd.DataFrame, known: pd.DataFrame) -> pd.DataFrame:
    """Rows of scores, one for each rule. ``networks`` and ``known`` are the tables beside the records."""
    result = []
    about = networks.set_index("model")
    for score in scores:
        model, table = score.record.settings["model"], score.table()
        listed = about.loc[score.name] if score.name in about.index else {}
        facts = {
            "model": score.name,
            "family": listed.get("family", NOT_STATED),
            "trained_on": listed.get("trained_on", NOT_STATED),
            "setup": "",
            "preprocessing": _prepared(model["preprocessing"]),
            "test_images": _name_of(score.record, known),
            "source": source,
            "imagenet": model.get("imagenet_top1"),
        }
        for rule in score.rules:
            of_rule = table[table["rule"] == rule].set_index("test")
            numbers = {name: of_rule["value"].get(name) for name in NUMBERS if name in of_rule.index}
            interval = {end: of_rule[end].get(GAP) for end in ("low", "high")}
            alone = len(score.rules) == 1 and model.get("outputs") == NUM_CLASSES
            counts = {"rule": NINE_OUTPUTS if alone else rule, "images": of_rule["images"].iloc[0]}
            result.append({**facts, **numbers, **interval, **counts})
    return pd.DataFrame(result, columns=[*FACTS, *NUMBERS])


def of_the_paper() -> pd.DataFrame:
    """Rows of the networks in the paper's table 2, which prints no intervals."""
    table = paper.table("models").pivot(index=["model", "training"], columns="test", values="accuracy").reset_index()
    return table.assign(
        model=table["model"].map(lambda name: paper.network_names().get(name, name)),
        family="CNN",
        trained_on=table["training"].map(lambda name: _TRAINED_ON.get(name, name)),
        setup="",
        rule=[STRICT if training == "imagenet" else NINE_OUTPUTS for training in table["training"]],
        preprocessing=REFERENCE_MODE,
        test_images=AUTHORS_TEST_SET,
        images=images_of_the_paper(),
        source=f"paper, {TABLE2}",
    ).reindex(columns=[*FACTS, *NUMBERS])


def of_hesse() -> pd.DataFrame:
    """Rows of the 326 published networks (Hesse et al., 2025), which have a BG-Gap only, by a protocol of their own."""
    table = published_networks()
    return table.assign(
        trained_on=table["data"].str.partition(" (")[0],
        rule=NOT_STATED,
        preprocessing="resize and crop",
        test_images=AUTHORS_TEST_SET,
        source=NEWER,
        bg_gap=table["value"],
    ).reindex(columns=[*FACTS, *NUMBERS])


def check(record: Record, known: pd.DataFrame) -> None:
    """Refuse a record that cannot be a row: raises In9Error with what is wrong in it.

    It must be a score on test images that are ``known``, with a class for each of them and an answer in each test set.
    """
    if problem := _problem(record, known):
        raise In9Error(f"The record {record.filename} cannot be on the leaderboard: {problem}.")


def _problem(record: Record, known: pd.DataFrame) -> str:
    if record.kind != Score.kind:
        return f"it is of kind {record.kind!r}, not a score, as `in9 evaluate` leaves it"
    model, data = record.settings.get("model", {}), record.settings.get("data", {})
    if not all(isinstance(facts, dict) for facts in (model, data)) or "source" not in data:
        return "its settings do not say of which network and data it is"
    name, top1, outputs = model.get("name"), model.get("imagenet_top1"), model.get("outputs")
    if not is_name(name):
        return f"its network needs a name of 1 to {LONGEST_NAME} characters that can be printed, not {name!r}"
    if top1 is not None and not (isinstance(top1, int | float) and 0 <= top1 <= 100):
        return f"its accuracy on ImageNet is {top1!r}, not a number from 0 to 100 (%)"
    if outputs is not None and type(outputs) is not int:
        return f"its outputs are {outputs!r}, not a number of them"
    prepared = model.get("preprocessing")
    mode = prepared.get("mode") if isinstance(prepared, dict) else prepared
    if mode not in (modes := (*PREPROCESSING_MODES, ELSEWHERE, "none")):
        return f"its preprocessing is {mode!r}, not one of {', '.join(modes)}"
    if record.data != data.get("hash"):
        return f"its results are of the data {record.data!r}, and its settings of {data.get('hash')!r}"
    sizes = _known(record, known)["images"]
    if sizes.empty:
        return f"its data {record.data!r} are not among the known test images, which are {', '.join(known['data'])}"
    labels, answers = record.results.get("labels", {}), record.results.get("predictions", {})
    if lacking := [test for test in NEEDED_TESTS if test not in answers]:
        return f"it has no answers for {', '.join(lacking)}, which a BG-Gap needs"
    lowest = {"predictions": UNMAPPED, RESTRICTED: 0}
    for kind, least in lowest.items():
        for test, text in record.results.get(kind, {}).items():
            truth = labels.get(name_of_labels(test), "")
            if not _digits(text, least) or len(text) != len(truth):
                return f"its {kind} of {test} are not one class for each of {len(truth)} images"
    for text in labels.values():
        if not _digits(text, 0) or len(set(text)) != NUM_CLASSES:
            return "its labels are not those of the nine classes"
    size, missing = int(sizes.iloc[0]), "missing" in record.settings
    if len(labels["in9"]) > size or (len(labels["in9"]) < size and not missing):
        return f"it has {len(labels['in9'])} images, and these test images are {size}"
    return ""


def _digits(text: object, lowest: int) -> bool:
    """Whether a text has one class for each image, at least ``lowest``."""
    if not isinstance(text, str) or not text or not set(text) <= set("012345678-"):
        return False
    return bool(np.min(from_digits(text)) >= lowest)


def _known(record: Record, known: pd.DataFrame) -> pd.DataFrame:
    """The row of the known test images that a record is of; none if they are not known."""
    fold = record.settings["data"].get("fold")
    return known[(known["data"] == record.data) & (known["fold"] == ("" if fold is None else str(fold)))]


def _name_of(record: Record, known: pd.DataFrame) -> str:
    names = _known(record, known)["name"]
    return names.iloc[0] if len(names) else f"{record.settings['data']['source']}, {record.data[:8]}"


def _prepared(facts: dict[str, object]) -> str:
    """Preprocessing in words: its mode, and the pixels of the network's own resize and crop."""
    size = facts.get("crop") or facts.get("resize")
    return f"{facts['mode']}, {size} px" if size else str(facts["mode"])


def _table(path: Path) -> pd.DataFrame:
    with errors_told(f"The leaderboard's table {path} cannot be read as CSV"):
        return pd.read_csv(path, dtype=str, keep_default_na=False)
