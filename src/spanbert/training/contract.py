"""What the training loop and a task know of each other: batches, summed losses, and a plan."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, Self

import torch
from torch import Tensor, nn

from spanbert.errors import ConfigurationError

if TYPE_CHECKING:
    from accelerate import Accelerator


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

Validator = Callable[[nn.Module, "Accelerator"], dict[str, float]]
"""(the model as `accelerator.prepare` returned it, the accelerator) -> named metrics; called in every process, and
gives the same in each. `spanbert.training.evaluation.evaluate` is one, once it has its data."""


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Which of a run's weights are its best, and when to stop looking for better ones.

    Attributes:
        validation: name of the validation set that decides.
        metric: name of one of its metrics; more is better, and what is not a number never wins.
        patience: training stops after so many validations in a row without a better one; 0 means never.
    """

    validation: str
    metric: str
    patience: int = 0


@dataclass(frozen=True, kw_only=True)
class TrainingPlan:
    """What a task hands to the loop.

    Attributes:
        data: the training data.
        validation: by name, what measures the model on a validation set.
        selection: how the best weights are chosen; None keeps the last ones only.
        hot_modules: the modules that `--compile` compiles.
        head_learning_rate: highest learning rate of all that is not the encoder; None means that of the configuration.
        layer_decay: how much slower each layer of the encoder learns than the one above it; see `parameter_groups`.
        denominator_offsets: by loss name, a number added to the targets of a step before dividing.
        fingerprint: everything that shapes the course of the run; a run with another one cannot be resumed.
        environment: what else may change the last bits of a result; a run with another one is resumed with a warning.

    Raises:
        ConfigurationError: the validation set that decides is not there.
    """

    data: TrainingData
    validation: Mapping[str, Validator]
    selection: Selection | None = None
    hot_modules: Sequence[nn.Module] = ()
    head_learning_rate: float | None = None
    layer_decay: float = 1.0
    denominator_offsets: Mapping[str, float] = field(default_factory=dict)
    fingerprint: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.selection is not None and self.selection.validation not in self.validation:
            raise ConfigurationError(
                f"there is no validation set {self.selection.validation!r} to choose the best weights by, only: "
                f"{', '.join(self.validation) or 'none'}"
            )
