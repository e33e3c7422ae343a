"""Threads that compute with torch beside each other or beside the main one, without its teams of threads in each.

Every thread that splits an operator between cores has a team of its own for it. GNU's OpenMP lets teams wait by
spinning only as long as all of them together are no more threads than there are cores; beyond that every wait puts a
thread to sleep, and small operators take nearly twice as long (docs/performance.md).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

Made = TypeVar("Made")

_MOST_WORKERS = 8
"""More would mostly wait for Python's lock; where there are more threads, each worker has several."""

_starting = threading.Lock()


@contextmanager
def core_workers() -> Iterator[ThreadPoolExecutor]:
    """An executor whose workers share torch's threads out among themselves; the caller's own number stays as it is.

    Two batches side by side, each on a core, take less time than one after the other with every operator split between
    the cores: no core waits for the other at the end of each operator. At the end, calls that have not begun are
    cancelled, and the others waited for.
    """
    number = min(torch.get_num_threads(), _MOST_WORKERS)
    with _workers("spanbert-core", number, torch.get_num_threads() // number) as executor:
        yield executor


@contextmanager
def made_ahead(make: Callable[[int], Made], numbers: range) -> Iterator[Iterator[Made]]:
    """What `make` gives for each number, in order, each made by a thread while the caller works with the one before.

    That thread splits no operator: torch has one thread in it. What `make` raises is raised when its result is asked
    for. At the end, the call that has begun is waited for.
    """

    def results(worker: ThreadPoolExecutor) -> Iterator[Made]:
        coming = None
        for number in numbers:
            now = coming or worker.submit(make, number)
            coming = worker.submit(make, number + numbers.step) if number != numbers[-1] else None
            yield now.result()

    with _workers("spanbert-ahead", 1, 1) as worker:
        yield results(worker)


@contextmanager
def _workers(name: str, number: int, threads_each: int) -> Iterator[ThreadPoolExecutor]:
    # torch's number of threads is one setting of the process. Every thread copies it at its first operator; to set it
    # changes both the thread's own and what later threads will copy. So it is put back once all workers have theirs.
    with _starting:
        threads = torch.get_num_threads()
        executor = ThreadPoolExecutor(number, thread_name_prefix=name)
        all_started = threading.Barrier(number)

        def start() -> None:
            torch.get_num_threads()  # copies; what is set before that would be overwritten
            torch.set_num_threads(threads_each)
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
