"""Worker processes that end with their parent and leave Ctrl-C to it."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import parent_process
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from typing import Any

from in9.errors import In9Error, reason


@contextmanager
def interrupts_blocked() -> Iterator[None]:
    """Start processes in which Ctrl-C is blocked even before ``start_worker`` runs there.

    In this process a Ctrl-C takes effect when the ``with`` block ends.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def start_worker() -> None:
    """For the start of a worker: ignore Ctrl-C, which the parent handles, and end when the parent has ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


@contextmanager
def worker_processes(workers: int, context: BaseContext, start: Any, *arguments: Any) -> Iterator[ProcessPoolExecutor]:
    """A pool of processes, each of which begins with ``start(*arguments)``; what is not done at the end is dropped.

    Raises In9Error if a process dies, for want of memory say.
    """
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=start, initargs=arguments)
    try:
        yield pool
    except BrokenProcessPool as error:
        raise In9Error(
            "A process died while it worked, perhaps because memory ran out; the same command goes on, and needs less "
            "with --workers 1 or --jobs 1."
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def has_processes(context: BaseContext) -> bool:
    """Whether processes can be started side by side; stderr says so where not: shared memory may be full or closed."""
    try:
        context.Lock()
    except (OSError, ImportError, NotImplementedError) as error:
        print(
            f"This machine has no shared memory to spare ({reason(error)}); one process does the work.", file=sys.stderr
        )
        return False
    return True


def _end_with(parent: BaseProcess) -> None:
    parent.join()
    os._exit(1)
