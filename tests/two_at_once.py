"""Two processes that do the same at the same moment."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def run_two(code: str, *arguments: object) -> list[tuple[str, str]]:
    """What each of two processes writes to stdout and to stderr, once both have ended well.

    ``code`` gets ready, prints ``ready``, calls ``input()`` and begins: both begin together.
    """
    words = [sys.executable, "-c", code, *map(str, arguments)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    here = Path(__file__).parent
    with (
        subprocess.Popen(words, cwd=here, text=True, **pipes) as first,
        subprocess.Popen(words, cwd=here, text=True, **pipes) as second,
    ):
        both = (first, second)
        try:
            assert [process.stdout.readline() for process in both] == 2 * ["ready\n"]
            for process in both:
                process.stdin.write("go\n")
                process.stdin.flush()
            answers = [process.communicate(timeout=300) for process in both]
        finally:
            for process in both:
                process.kill()
    assert [process.returncode for process in both] == [0, 0], answers
    return answers
