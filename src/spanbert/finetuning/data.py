"""Examples as training data: their windows, shuffled and cut into steps as a function of the step's number."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from spanbert import randomness
from spanbert.batching import TaskBatch, collate, cut_batches
from spanbert.errors import ConfigurationError, InputError
from spanbert.task import ExampleT, Task, Window
from spanbert.tokenization import PieceTokenizer


@dataclass(frozen=True)
class TrainingWindows:
    """The units of training data, and what there is to say about them.

    Attributes:
        units: the windows of each unit.
        num_examples: examples they come from.
        num_long: examples that need more than one window.
    """

    units: Sequence[Sequence[Window]]
    num_examples: int
    num_long: int

    @classmethod
    def of(cls, task: Task[Any, Any], examples: Sequence[Any], tokenizer: PieceTokenizer) -> TrainingWindows:
        """Cut examples into windows.

        Raises:
            InputError: an example cannot be shown to the encoder (its id is told), or there is none.
        """
        units: list[Sequence[Window]] = []
        num_long = 0
        for example in examples:
            with _named(example):
                mine = task.training_units(example, tokenizer)
            num_long += sum(map(len, mine)) > 1
            units += mine
        if not units:
            raise InputError("there is nothing to train on")
        return cls(units, len(examples), num_long)

    @property
    def left_out(self) -> dict[str, int]:
        """What the task leaves out of training: the sums of the windows' counts that are named `left_out_...`."""
        sums: Counter[str] = Counter()
        for unit in self.units:
            for window in unit:
                sums.update({name: number for name, number in window.counts.items() if name.startswith("left_out_")})
        return {name: number for name, number in sums.items() if number}

    @property
    def num_pieces(self) -> int:
        """Pieces of all windows."""
        return sum(len(window.pieces) for unit in self.units for window in unit)


_COMPARED = 1000
"""Training examples that are looked at for their figures."""


def _refuse_other_figures(task: Task[ExampleT, Any], train: Sequence[ExampleT], dev: Sequence[ExampleT]) -> None:
    """Refuse a dev set without the figure that chooses the best weights, before hours are spent on it. Figures that
    need predictions are passed over."""
    learned, known = (
        task.compare(some, [None] * len(some), task.settings).figures() for some in (train[:_COMPARED], dev)
    )
    if task.main_metric in learned and task.main_metric not in known:
        raise ConfigurationError(
            f"the dev set gives no {task.main_metric}, by which the best weights of this training data are chosen, "
            f"only {', '.join(known)}: give --dev data of the kind of --train"
        )


@dataclass(frozen=True)
class PreparedExamples:
    """The examples of a run, each turned into windows once, for any number of epochs, validations and seeds.

    Attributes:
        train: what is learned from.
        dev: the examples of the dev set, each with its windows as prediction makes them.
    """

    train: TrainingWindows
    dev: Sequence[tuple[Any, Sequence[Window]]]

    @classmethod
    def of(
        cls, task: Task[ExampleT, Any], train: Sequence[ExampleT], dev: Sequence[ExampleT], tokenizer: PieceTokenizer
    ) -> PreparedExamples:
        """Cut all examples into windows; raises as `TrainingWindows.of`, and where `dev` cannot tell what is best."""
        windows = TrainingWindows.of(task, train, tokenizer)
        if not dev:
            raise InputError("there is nothing to validate on")
        items = []
        for example in dev:
            with _named(example):
                items.append((example, task.features(example, tokenizer, training=False)))
        _refuse_other_figures(task, train, dev)
        return cls(windows, items)


@contextmanager
def _named(example: Any) -> Iterator[None]:
    """Errors say which example they are about."""
    try:
        yield
    except InputError as error:
        raise InputError(f"example {example.id!r}: {error}") from error


class FinetuneData:
    """The endless stream of units, epoch after epoch in an order of its own, cut into steps of `batch_size` units.

    Args:
        windows: the units.
        batch_size: units of a step.
        micro_batch_pieces: most pieces, padding counted, of a micro-batch.
        seed: of the order.
    """

    def __init__(self, windows: TrainingWindows, batch_size: int, micro_batch_pieces: int, *, seed: int) -> None:
        self.windows = windows
        self.batch_size = batch_size
        self.micro_batch_pieces = micro_batch_pieces
        self._order = lru_cache(maxsize=2)(
            lambda epoch: randomness.permutation(
                len(windows.units), seed=seed, epoch=epoch, purpose="order of examples"
            )
        )

    @property
    def num_examples(self) -> int:
        """Units in an epoch."""
        return len(self.windows.units)

    def micro_batches(self, step: int, rank: int, num_ranks: int) -> list[TaskBatch]:
        """The batches of one process for a step; together the processes see every unit of the step once."""
        places = np.arange(step * self.batch_size + rank, (step + 1) * self.batch_size, num_ranks)
        epochs, places = np.divmod(places, self.num_examples)
        chosen = [self._order(int(epoch))[place] for epoch, place in zip(epochs, places, strict=True)]
        units = [self.windows.units[number] for number in chosen]
        return [collate([units[number] for number in batch]) for batch in cut_batches(units, self.micro_batch_pieces)]
