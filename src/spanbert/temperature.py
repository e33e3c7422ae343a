"""Temperature scaling (Guo et al. 2017, "On calibration of modern neural networks", section 4.2), for every task."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

_LOWEST, _HIGHEST = 0.05, 20.0
_GRID = 25
_REFINEMENTS = 12  # each leaves 62 % of the interval


def fit_temperature(surprise: Callable[[float], float]) -> float:
    """The temperature under which known answers are likeliest.

    The prior is that its logarithm is standard normal: a small development set without a mistake does not make a model
    certain, and one that says nothing leaves 1.

    Args:
        surprise: temperature -> minus the summed log-likelihood of the known answers.

    Returns:
        A number from 0.05 to 20: the best of a grid, then golden-section search around it.
    """

    def cost(log_temperature: float) -> float:
        return surprise(math.exp(log_temperature)) + log_temperature**2 / 2

    grid = np.linspace(math.log(_LOWEST), math.log(_HIGHEST), _GRID).tolist()
    best = int(np.argmin([cost(place) for place in grid]))
    low, high = grid[max(0, best - 1)], grid[min(len(grid) - 1, best + 1)]
    ratio = (math.sqrt(5) - 1) / 2
    left, right = high - ratio * (high - low), low + ratio * (high - low)
    at_left, at_right = cost(left), cost(right)
    for _ in range(_REFINEMENTS):
        if at_left < at_right:
            high, right, at_right = right, left, at_left
            left = high - ratio * (high - low)
            at_left = cost(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + ratio * (high - low)
            at_right = cost(right)
    return math.exp((low + high) / 2)
