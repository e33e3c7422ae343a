"""What classes weigh in a loss when rare ones are to weigh as much as frequent ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

ClassWeights = Literal["none", "balanced"]
"""The option `--class-weights`."""


def balanced_weights(counts: Sequence[int]) -> tuple[float, ...]:
    """The weight of each class: all targets / (classes * targets of this class).

    Every class has the same sum of weights then, and the mean over all targets is 1, so that the loss keeps its scale.

    Args:
        counts: targets of each class in the training data; a class without any has the weight of one with one.
    """
    total = sum(counts)
    return tuple(total / (len(counts) * max(1, count)) for count in counts)
