"""Whether probabilities mean what they say: of those around 80 %, are four in five right?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

NUM_BINS = 10


@dataclass(frozen=True)
class Calibration:
    """Predictions in ten bins of equal width by their probability.

    Attributes:
        numbers: int64 [10], predictions in each bin.
        confidence: [10] mean probability of a bin, NaN where it is empty.
        accuracy: [10] share of right ones of a bin, NaN where it is empty.
    """

    numbers: npt.NDArray[np.int64]
    confidence: npt.NDArray[np.float64]
    accuracy: npt.NDArray[np.float64]

    @property
    def error(self) -> float:
        """Expected calibration error: mean distance of confidence and accuracy (Guo et al. 2017, equation 3)."""
        filled = self.numbers > 0
        weights = self.numbers[filled] / self.numbers.sum()
        return float(weights @ np.abs(self.confidence - self.accuracy)[filled])


def calibration_of(confidences: npt.NDArray[np.float64], right: npt.NDArray[np.bool_]) -> Calibration | None:
    """Sort predictions into bins.

    Args:
        confidences: [P] probabilities from 0 to 1; NaN is passed over.
        right: [P] whether each prediction is right.

    Returns:
        The bins; None where there is no prediction.
    """
    known = ~np.isnan(confidences)
    confidences, right = confidences[known], right[known]
    if not len(confidences):
        return None
    # A bin holds its upper end, as in Guo et al.: a probability of exactly 1 is in the last.
    bins = np.clip(np.ceil(confidences * NUM_BINS).astype(np.int64) - 1, 0, NUM_BINS - 1)
    numbers = np.bincount(bins, minlength=NUM_BINS)
    with np.errstate(invalid="ignore"):
        confidence = np.bincount(bins, confidences, NUM_BINS) / numbers
        accuracy = np.bincount(bins, right.astype(np.float64), NUM_BINS) / numbers
    return Calibration(numbers, confidence, accuracy)
