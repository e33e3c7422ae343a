"""The only prediction loop: examples in, scores or predictions out, in order, a bounded number at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from typing import Any, Generic

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from spanbert.batching import TaskBatch, collate, cut_batches
from spanbert.core_workers import core_workers
from spanbert.errors import ConfigurationError
from spanbert.packed_encoder import with_packed_layers
from spanbert.task import ExampleT, PredictionT, Scored, Task, Window
from spanbert.task_model import TaskModel
from spanbert.tokenization import PieceTokenizer
from spanbert.training.config import Device, Precision
from spanbert.training.devices import choose_device, keep_freed_memory, resolve_precision, set_threads

_BATCH_PIECES = 8192
_BATCH_PIECES_ON_CPU = 2048

_LOOK_AHEAD = 64
"""Batches whose examples are held at once: the more, the less padding and the more memory."""

Rows = dict[str, npt.NDArray[np.float32]]


class Predictor(Generic[ExampleT, PredictionT]):
    """A model of a task, ready to predict. Predicting changes nothing in it, so threads can share one.

    Args:
        model: is moved to the device and put into evaluation mode.
        task: with the settings the model was trained with.
        tokenizer: the model's.
        device: "auto" takes a GPU when there is one.
        precision: "auto" takes bf16 where the processor multiplies it in hardware.
        threads: CPU threads; None means all cores.
        batch_pieces: most pieces, padding counted, that go through the encoder at once; None means 8,192 on a GPU and
            2,048 on a CPU, where more take memory and no less time (docs/performance.md).

    Raises:
        ConfigurationError: there is no such device, or no bf16, or a value is none of those above.
    """

    def __init__(
        self,
        model: TaskModel,
        task: Task[ExampleT, PredictionT],
        tokenizer: PieceTokenizer,
        *,
        device: Device = "auto",
        precision: Precision = "auto",
        threads: int | None = None,
        batch_pieces: int | None = None,
    ) -> None:
        if (batch_pieces is not None and batch_pieces < 1) or (threads is not None and threads < 1):
            raise ConfigurationError(f"batch_pieces and threads are at least 1, not {batch_pieces} and {threads}")
        self.device = choose_device(device)
        self.precision = resolve_precision(precision, self.device)
        set_threads(threads)
        if self.device.type == "cpu":
            keep_freed_memory()
        self.model = model
        nn.Module.to(model, self.device)  # PreTrainedModel's own `to` has no types
        model.train(False)
        self._packed_model = with_packed_layers(model)  # which packs when it is first used
        self.task = task
        self.tokenizer = tokenizer
        self.batch_pieces = batch_pieces or (_BATCH_PIECES_ON_CPU if self.device.type == "cpu" else _BATCH_PIECES)

    def predict(self, examples: Iterable[ExampleT]) -> Iterator[PredictionT]:
        """A prediction for each example, in order; examples are taken from the iterable as they are needed.

        Raises:
            InputError: an example cannot be shown to the encoder.
        """
        return map(self.task.decode, self.score(examples))

    def score(self, examples: Iterable[ExampleT]) -> Iterator[Scored[ExampleT]]:
        """Each example with its scores, in order; otherwise as `predict`."""
        return self.score_windows(
            (example, self.task.features(example, self.tokenizer, training=False)) for example in examples
        )

    def score_windows(self, items: Iterable[tuple[ExampleT, Sequence[Window]]]) -> Iterator[Scored[ExampleT]]:
        """`score` of examples whose windows (`Task.features`, without targets) are made already."""
        held: list[tuple[ExampleT, Sequence[Window]]] = []
        num_pieces = 0
        for example, windows in items:
            held.append((example, windows))
            num_pieces += sum(len(window.pieces) for window in windows)
            if num_pieces >= _LOOK_AHEAD * self.batch_pieces:
                yield from self._score(held)
                held, num_pieces = [], 0
        if held:
            yield from self._score(held)

    def _score(self, held: Sequence[tuple[ExampleT, Sequence[Window]]]) -> Iterator[Scored[ExampleT]]:
        units: list[Sequence[Window]]
        if self.task.unit == "window":
            units = [[window] for _, windows in held for window in windows]
        else:
            units = [windows for _, windows in held]
        scores: list[list[Rows]] = [[] for _ in units]
        batches = list(cut_batches(units, self.batch_pieces))
        for chosen, computed in zip(batches, self._score_batches(units, batches), strict=True):
            for number in chosen:
                scores[number], computed = computed[: len(units[number])], computed[len(units[number]) :]
        rows = iter([window for unit in scores for window in unit])
        for example, windows in held:
            yield Scored(example, windows, [next(rows) for _ in windows])

    def _score_batches(
        self, units: Sequence[Sequence[Window]], batches: Sequence[npt.NDArray[np.int64]]
    ) -> list[list[Rows]]:
        """For each batch the scores of its windows, in order."""
        of_batches = [[units[number] for number in chosen] for chosen in batches]
        side_by_side = self._packs and torch.get_num_threads() > 1
        if side_by_side and len(batches) > 1 and not any(map(self._is_long, units)):
            with core_workers() as executor:
                return list(executor.map(self._score_batch, of_batches))
        # All cores compute one batch after the other. A long unit would keep one core busy while others have no work.
        return [self._score_batch(of_batch) for of_batch in of_batches]

    def _score_batch(self, units: Sequence[Sequence[Window]]) -> list[Rows]:
        """The scores of every window of a batch, in order."""
        autocast = torch.autocast(self.device.type, torch.bfloat16) if self.precision == "bf16" else nullcontext()
        with torch.inference_mode(), autocast:  # here, because every thread has its own modes
            batch = collate(units).to(self.device)
            if self._is_long(units[0]):  # which is a batch by itself
                states = torch.cat([self._reduced(part) for part in self._parts(units[0])])
            else:
                states = self._reduced(batch)
            return split_rows(self.model.score_in_fp32(states, batch), self.task.score_rows, batch)

    def _is_long(self, unit: Sequence[Window]) -> bool:
        """Whether a unit goes through the encoder in several parts."""
        return len(unit) > 1 and len(unit) * max(len(window.pieces) for window in unit) > self.batch_pieces

    def _parts(self, unit: Sequence[Window]) -> Iterator[TaskBatch]:
        longest = max(len(window.pieces) for window in unit)
        number = max(1, self.batch_pieces // longest)
        for start in range(0, len(unit), number):
            yield collate([unit[start : start + number]]).to(self.device)

    def _reduced(self, batch: TaskBatch) -> Tensor:
        model = self._packed_model if self._packs else self.model
        return self.model.reduce(model.encode(batch), batch)

    @property
    def _packs(self) -> bool:
        # Looked at in every batch: stored answers are compared in fp32 too, by a copy with another precision.
        return self.device.type == "cpu" and self.precision == "bf16"


def split_rows(scores: Mapping[str, Tensor], score_rows: Mapping[str, str], batch: TaskBatch) -> list[Rows]:
    """Scores of a batch -> those of each of its B windows, as float32 arrays on the CPU.

    Args:
        scores: what the model's `score` gives.
        score_rows: what the rows of each array are (`Task.score_rows`).
        batch: the batch; rows that belong to a whole unit go with its first window.
    """
    split: list[Rows] = [{} for _ in range(batch.layout.num_windows)]
    for name, tensor in scores.items():
        array: npt.NDArray[np.float32] = tensor.float().cpu().numpy()
        for window, rows in enumerate(np.split(array, np.cumsum(_num_rows(score_rows[name], batch))[:-1])):
            split[window][name] = rows
    return split


def _num_rows(kind: str, batch: TaskBatch) -> npt.NDArray[Any]:
    """[B] how many rows of a score array belong to each window."""
    if kind == "pieces":
        starts = batch.layout.starts.cpu().numpy()
        return np.diff(starts, append=batch.layout.num_pieces)
    if kind == "windows":
        return np.ones(batch.layout.num_windows, np.int64)
    if kind == "examples":
        return np.diff(batch.unit_of_window.cpu().numpy(), prepend=-1)
    return batch.rows[kind]
