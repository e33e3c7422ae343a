"""Encoding documents in several processes: in order, with the same result for any number of them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from spanbert.documents import Document
from spanbert.errors import CorpusError, SpanBertError
from spanbert.tasks.pretraining.corpus_writer import EncodedDocuments
from spanbert.tasks.pretraining.document_encoding import DocumentEncoder, EncodingSettings

# Characters that go to a worker at a time: enough to hide the cost of sending them, few enough to keep memory small.
_BATCH_CHARACTERS = 1 << 18
# Batches under way for each worker, so that none waits for the reader or the writer.
_BATCHES_PER_WORKER = 3


@dataclass(frozen=True)
class _Failure:
    """An error of ours on its way out of a worker: not all of our errors survive pickling, their parts do."""

    kind: type[SpanBertError]
    arguments: tuple[Any, ...]
    attributes: dict[str, Any]

    def error(self) -> SpanBertError:
        error = self.kind.__new__(self.kind)
        error.args = self.arguments
        error.__dict__.update(self.attributes)
        return error


def num_cores() -> int:
    """Return the number of processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def encode_documents(
    documents: Iterable[Document], settings: EncodingSettings, num_workers: int
) -> Iterator[EncodedDocuments]:
    """Yield the documents encoded, in order, some hundred thousand characters at a time.

    One worker is this process itself, and so it is for a text that makes up a single batch. Raises `CorpusError` where
    a worker dies, and what reading and encoding raise.
    """
    batches = _batches(documents)
    first, second = next(batches, None), next(batches, None)
    if num_workers > 1 and first is not None and second is not None:
        yield from _encode_in_pool(_chain(first, second, batches), settings, num_workers)
        return
    encoder = DocumentEncoder(settings)
    for batch in _chain(first, second, batches):
        yield encoder.encode(batch)


def _chain(
    first: list[Document] | None, second: list[Document] | None, others: Iterator[list[Document]]
) -> Iterator[list[Document]]:
    yield from (batch for batch in (first, second) if batch is not None)
    yield from others


def _batches(documents: Iterable[Document]) -> Iterator[list[Document]]:
    batch: list[Document] = []
    size = 0
    for document in documents:
        batch.append(document)
        size += len(document.text)
        if size >= _BATCH_CHARACTERS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _encode_in_pool(
    batches: Iterator[list[Document]], settings: EncodingSettings, num_workers: int
) -> Iterator[EncodedDocuments]:
    # Forking would copy the threads' locks of the tokenizer library and of the progress bar in whatever state they are.
    pool = ProcessPoolExecutor(num_workers, mp_context=multiprocessing.get_context("spawn"), initializer=_start_worker)
    waiting: deque[Future[EncodedDocuments | _Failure]] = deque()
    try:
        for batch in batches:
            with _ctrl_c_waits():
                waiting.append(pool.submit(_encode_batch, settings, batch))
            if len(waiting) >= _BATCHES_PER_WORKER * num_workers:
                yield _result(waiting.popleft())
        while waiting:
            yield _result(waiting.popleft())
    except BrokenProcessPool as error:
        raise CorpusError(
            "a worker process died (was it killed, or out of memory?); no corpus was made. Try fewer --workers. (A "
            "Python script that calls `prepare` needs `if __name__ == '__main__':` around the call, or workers=1)"
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _result(future: Future[EncodedDocuments | _Failure]) -> EncodedDocuments:
    result = future.result()
    if isinstance(result, _Failure):
        raise result.error()
    return result


@contextmanager
def _ctrl_c_waits() -> Iterator[None]:
    """Hold Ctrl-C back: a process started meanwhile never gets it, which it would answer with a traceback."""
    if sys.platform == "win32":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start_worker() -> None:
    # Ctrl-C reaches every process of the terminal; the parent alone decides what happens then.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # One thread a worker: there are as many workers as cores.
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this process when the parent is gone: a pool's workers would wait for work forever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _encode_batch(settings: EncodingSettings, documents: list[Document]) -> EncodedDocuments | _Failure:
    try:
        return _encoder(settings).encode(documents)
    except SpanBertError as error:
        return _Failure(type(error), error.args, error.__dict__)


@lru_cache(maxsize=1)
def _encoder(settings: EncodingSettings) -> DocumentEncoder:
    return DocumentEncoder(settings)
