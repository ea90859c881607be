"""How long the default book takes from clean, and how much memory."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from in9.errors import In9Error
from in9.study.workspace import HOME_VARIABLE, find_workspace

NEEDED = ("_config.yml", "book", "notebooks", "records")


def run() -> dict[str, float]:
    """Make the default book in a copy of the project that has computed nothing yet: minutes and GB.

    Memory is that of all processes of the run together at its highest, shared pages counted once, looked at twice a
    second. Raises In9Error if the book fails.
    """
    import psutil

    root = find_workspace().root
    with tempfile.TemporaryDirectory() as folder:
        for name in NEEDED:
            source = root / name
            (shutil.copytree if source.is_dir() else shutil.copy)(source, Path(folder) / name)
        command = [sys.executable, "-c", "from in9.cli.main import main; main()", "book"]
        started, highest = time.monotonic(), 0
        environment = {**os.environ, HOME_VARIABLE: folder}
        book = subprocess.Popen(command, cwd=folder, env=environment, stdout=sys.stderr)
        while book.poll() is None:
            highest = max(highest, _memory(psutil.Process(book.pid)))
            time.sleep(0.5)
        if book.returncode:
            raise In9Error("The book failed, so it was not timed; run `in9 book` to see why.")
        minutes = (time.monotonic() - started) / 60
    return {"minutes": minutes, "GB": highest / 1e9}


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
