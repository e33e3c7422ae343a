"""What the training loop and a task know of each other: batches, summed losses, and a plan."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, Self

import torch
from torch import Tensor, nn


class StepOutput(NamedTuple):
    """What a model gives for a batch.

    Attributes:
        losses: summed (not averaged) losses by name.
        figures: summed figures by name, such as numbers of right predictions; only read in validation.
    """

    losses: dict[str, Tensor]
    figures: dict[str, Tensor]


class Batch(Protocol):
    """A micro-batch.

    `counts` has the number of targets of every loss under the loss's name, and "pieces", the pieces without padding.
    """

    @property
    def counts(self) -> Mapping[str, int]:
        """Targets by loss name, and "pieces"."""
        ...

    def to(self, device: torch.device) -> Self:
        """The same batch on `device`."""
        ...


class TrainingData(Protocol):
    """An endless stream of examples, cut into optimiser steps of equal size."""

    @property
    def num_examples(self) -> int:
        """Examples in one pass over the data."""
        ...

    def micro_batches(self, step: int, rank: int, num_ranks: int) -> Sequence[Batch]:
        """The micro-batches of a step (from 0) for one of `num_ranks` processes; never empty."""
        ...


class ValidationData(Protocol):
    """A fixed set of batches."""

    @property
    def num_examples(self) -> int:
        """Examples in it."""
        ...

    def batches(self, rank: int, num_ranks: int) -> Iterable[Batch]:
        """The batches that one of `num_ranks` processes evaluates; may be empty."""
        ...


Summarise = Callable[[Mapping[str, float], Mapping[str, float]], dict[str, float]]
"""(summed losses and figures, summed counts) -> named metrics."""


@dataclass(frozen=True, kw_only=True)
class TrainingPlan:
    """What a task hands to the loop.

    Attributes:
        data: the training data.
        validation: named validation sets.
        summarise: turns sums over a validation set into metrics.
        hot_modules: the modules that `--compile` compiles.
        denominator_offsets: by loss name, a number added to the targets of a step before dividing.
        fingerprint: everything that shapes the course of the run; a run with another one cannot be resumed.
        environment: what else may change the last bits of a result; a run with another one is resumed with a warning.
    """

    data: TrainingData
    validation: Mapping[str, ValidationData]
    summarise: Summarise
    hot_modules: Sequence[nn.Module] = ()
    denominator_offsets: Mapping[str, float] = field(default_factory=dict)
    fingerprint: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)
