"""How long the default book takes from clean, and how much memory: from a run made now, or from the last one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from in9.book.notebooks import find_chapters
from in9.errors import In9Error
from in9.evaluation.records import Store
from in9.study.workspace import HOME_VARIABLE, Workspace, find_workspace

PROFILE = "control"
NEEDED = ("_config.yml", "book", "notebooks", "records")


def run(profile: str = PROFILE) -> dict[str, Any]:
    """Make the book of a profile in a copy of the project that has computed nothing yet: minutes and GB.

    Memory is that of all processes of the run together at its highest, shared pages counted once, looked at twice a
    second. Raises In9Error if the book fails.
    """
    import psutil

    root = find_workspace().root
    with tempfile.TemporaryDirectory() as folder:
        for name in NEEDED:
            source = root / name
            (shutil.copytree if source.is_dir() else shutil.copy)(source, Path(folder) / name)
        command = [sys.executable, "-c", "from in9.cli.main import main; main()", "book", "--profile", profile]
        started, highest = time.monotonic(), 0
        environment = {**os.environ, HOME_VARIABLE: folder}
        book = subprocess.Popen(command, cwd=folder, env=environment, stdout=sys.stderr)
        while book.poll() is None:
            highest = max(highest, _memory(psutil.Process(book.pid)))
            time.sleep(0.5)
        if book.returncode:
            raise In9Error(f"The book of profile {profile!r} failed, so it was not timed; run `in9 book` to see why.")
        minutes = (time.monotonic() - started) / 60
    return {"minutes": minutes, "GB": highest / 1e9, "detail": {"from": "a run from clean, made now"}}


def _memory(root: Any) -> int:
    """Bytes in use by a process and all below it."""
    import psutil

    total = 0
    try:
        for process in (root, *root.children(recursive=True)):
            facts = process.memory_full_info()
            total += getattr(facts, "pss", facts.uss)
    except psutil.Error:  # one has just ended
        pass
    return total


def last(workspace: Workspace, profile: str = PROFILE) -> dict[str, Any]:
    """Minutes that the last book of a profile took, by its provenance; nothing unless it was made from clean in one go.

    It was if its dataset and all its records are younger than its first chapter's start, and each chapter began when
    the one before it had ended. Rendering counts, up to the time of the index page. Its memory is not known.
    """
    place = workspace.root / "build" / profile
    try:
        facts = [
            json.loads((place / "executed" / f"{one.name}.ipynb").read_text("utf8"))["metadata"]["in9"]
            for one in find_chapters(workspace.root)
        ]
        begin, end = _when(facts[0]) - facts[0]["seconds"], (place / "html" / "index.html").stat().st_mtime
        made = [(workspace.data / profile / "manifest.json").stat().st_mtime]
        made += [_when(one.provenance) for one in Store(workspace.runs / "records" / profile).all()]
        idle = _when(facts[-1]) - begin - sum(one["seconds"] for one in facts)
    except (OSError, ValueError, KeyError, In9Error):
        return {}
    if min(made) < begin or idle > len(facts) or end < _when(facts[-1]):
        return {}
    about = {"from": "the last book", "when": facts[-1]["when"], "commit": facts[-1]["commit"]}
    return {"minutes": (end - begin) / 60, "detail": about}


def _when(facts: dict[str, Any]) -> float:
    """When something was finished, in seconds since 1970."""
    return datetime.fromisoformat(facts["when"]).timestamp()
