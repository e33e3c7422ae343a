"""Threads that each compute with torch on one core.

Two batches side by side, each on a core, take less time than one after the other with every operator split between the
cores: no core waits for the other at the end of each operator (docs/performance.md).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import torch

_MOST_WORKERS = 8
"""More would mostly wait for Python's lock; where there are more threads, each worker has several."""

_starting = threading.Lock()


@contextmanager
def core_workers() -> Iterator[ThreadPoolExecutor]:
    """An executor whose workers share torch's threads out among themselves; the caller's own number stays as it is.

    At the end, calls that have not begun are cancelled, and the others waited for.
    """
    # torch's number of threads is one setting of the process. Every thread copies it at its first operator; to set it
    # changes both the thread's own and what later threads will copy. So it is put back once all workers have theirs.
    with _starting:
        threads = torch.get_num_threads()
        number = min(threads, _MOST_WORKERS)
        executor = ThreadPoolExecutor(number, thread_name_prefix="spanbert-core")
        all_started = threading.Barrier(number)

        def start() -> None:
            torch.get_num_threads()  # copies; what is set before that would be overwritten
            torch.set_num_threads(threads // number)
            all_started.wait()

        try:
            for future in [executor.submit(start) for _ in range(number)]:
                future.result()
        finally:
            torch.set_num_threads(threads)
    try:
        yield executor
    finally:
        executor.shutdown(cancel_futures=True)
