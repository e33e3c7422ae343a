"""Lengths of masked spans: a geometric distribution, cut off and scaled up again (Joshi et al. 2019, section 3.1)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from spanbert.errors import ConfigurationError


class SpanLengths:
    """The distribution of 1..`longest` words where each length is (1 - p) times as likely as the one before.

    With the paper's p = 0.2 and a longest span of 10 words the mean is 3.797 words.

    Raises ConfigurationError unless 0 < p < 1 and longest >= 1.
    """

    def __init__(self, p: float, longest: int) -> None:
        if not 0 < p < 1:
            raise ConfigurationError(f"p must lie between 0 and 1, got {p}")
        if not 1 <= longest <= 10_000:
            raise ConfigurationError(f"the longest span has between 1 and 10,000 words, not {longest:,}")
        self.longest = longest
        self._cumulative = 1 - (1 - p) ** np.arange(1, longest + 1)

    @property
    def probabilities(self) -> npt.NDArray[np.float64]:
        """Probability of 1, 2, ..., `longest` words, float64 [longest]."""
        shares: npt.NDArray[np.float64] = np.diff(self._cumulative, prepend=0) / self._cumulative[-1]
        return shares

    @property
    def mean(self) -> float:
        """Words in a span on average."""
        return float(self.probabilities @ np.arange(1, self.longest + 1))

    def draw(
        self, uniform: npt.NDArray[np.float64], at_most: npt.NDArray[np.int64] | int | None = None
    ) -> npt.NDArray[np.int64]:
        """Turn numbers in [0, 1) into lengths in words, int64 of the same shape.

        With `at_most` (>= 1, one for each number) a length is drawn from those that are not above it, in the same
        proportions: the outcome of drawing again until the length is short enough.
        """
        longest = self.longest if at_most is None else np.minimum(at_most, self.longest)
        drawn: npt.NDArray[np.int64] = (
            np.searchsorted(self._cumulative, uniform * self._cumulative[longest - 1], side="right") + 1
        )
        return drawn
