"""Confidence intervals of figures, and differences between two sets of predictions, by the bootstrap over examples.

Percentile intervals (Efron & Tibshirani 1993, chapter 13); paired differences after Berg-Kirkpatrick et al. 2012 and
Koehn 2004: both sets of predictions are measured on the same resampled examples. Examples count as independent: where
many share one text (questions of a paragraph), true intervals are wider.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from spanbert.errors import ConfigurationError
from spanbert.task import Comparison

LEVEL = 0.95
"""Share of repetitions of an evaluation that an interval is meant to cover."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure, and between which values it lies with a confidence of 95 %; None where that was not computed."""

    value: float
    low: float | None = None
    high: float | None = None

    def to_json(self) -> dict[str, float | None]:
        """As JSON values; None for what is not a number."""
        return _json_numbers(asdict(self))


@dataclass(frozen=True, slots=True)
class Difference:
    """How far the second set of predictions is above the first, its interval, and the p-value of "no difference".

    The p-value is two-sided: twice the share of resampled test sets in which the sign is the other one (or there is no
    difference), at most 1. Test sets without the figure (no question without an answer was drawn) do not count.
    """

    value: float
    low: float
    high: float
    p_value: float

    def to_json(self) -> dict[str, float | None]:
        """As JSON values; None for what is not a number."""
        return _json_numbers(asdict(self))


@dataclass(frozen=True)
class Resampled:
    """The figures of a comparison, and those over examples that were drawn anew many times.

    Attributes:
        figures: over all examples, by name.
        drawn: [samples, figures], NaN where a sample does not have a figure.
    """

    figures: dict[str, float]
    drawn: npt.NDArray[np.float64]

    def intervals(self) -> dict[str, Interval]:
        """The figures with their percentile intervals; what is counted has none."""
        low, high = _percentiles(self.drawn)
        return {
            name: Interval(value) if is_count(name) else Interval(value, _or_none(low[column]), _or_none(high[column]))
            for column, (name, value) in enumerate(self.figures.items())
        }


def resample(comparison: Comparison, *, samples: int = 1000, seed: int = 0) -> Resampled:
    """Measure a comparison, and again on `samples` draws of as many examples with replacement.

    The draws depend on the seed and the number of examples only, so that two comparisons of the same examples see the
    same draws.

    Args:
        comparison: of all examples.
        samples: how many draws; 0 gives no intervals.
        seed: the same seed always gives the same result.

    Raises:
        ConfigurationError: samples or seed are below 0.
    """
    if samples < 0 or seed < 0:
        raise ConfigurationError(f"--samples and --seed are at least 0, not {min(samples, seed)}")
    figures = comparison.figures()
    num_examples = comparison.num_examples
    drawn = np.full((samples if num_examples else 0, len(figures)), np.nan)
    random = np.random.default_rng(seed)
    for row in drawn:
        found = comparison.figures(random.integers(num_examples, size=num_examples))
        row[:] = [found.get(name, np.nan) for name in figures]
    return Resampled(figures, drawn)


def intervals_of(comparison: Comparison, *, samples: int = 1000, seed: int = 0) -> dict[str, Interval]:
    """The figures of a comparison with their percentile intervals; see `resample`."""
    return resample(comparison, samples=samples, seed=seed).intervals()


def differences_of(first: Resampled, second: Resampled) -> dict[str, Difference]:
    """By figure that both have (counts excepted), how much the second is above the first; empty without draws.

    Args:
        first: of predictions for some examples.
        second: of other predictions for the same examples, in the same order and with the same samples and seed.
    """
    assert len(first.drawn) == len(second.drawn)
    before, after = list(first.figures), list(second.figures)
    names = [name for name in before if name in after and not is_count(name)]
    drawn = second.drawn[:, list(map(after.index, names))] - first.drawn[:, list(map(before.index, names))]
    if not len(drawn):
        return {}
    low, high = _percentiles(drawn)
    num_known = (~np.isnan(drawn)).sum(0)
    # One is added to both counts: a p-value from so many samples is never 0 (Davison & Hinkley 1997, 4.2).
    below, above = ((drawn <= 0).sum(0) + 1) / (num_known + 1), ((drawn >= 0).sum(0) + 1) / (num_known + 1)
    p_values = np.minimum(1.0, 2 * np.minimum(below, above))
    values = [second.figures[name] - first.figures[name] for name in names]
    return {
        name: Difference(value, float(low[column]), float(high[column]), float(p_values[column]))
        for column, (name, value) in enumerate(zip(names, values, strict=True))
    }


def is_count(name: str) -> bool:
    """Whether a figure counts something, as "total" and "HasAns_total" do, and is no measure of quality."""
    return name.partition("/")[0].endswith(("total", "support"))


def _percentiles(drawn: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Lower and upper ends by column, NaN where no sample has the figure."""
    ends = np.full((2, drawn.shape[1]), np.nan)
    for number, column in enumerate(drawn.T):
        if len(known := column[~np.isnan(column)]):
            ends[:, number] = np.quantile(known, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return ends[0], ends[1]


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _json_numbers(values: Mapping[str, float | None]) -> dict[str, float | None]:
    """JSON has no NaN: other readers than Python's refuse the whole text for one."""
    return {name: None if value is None else _or_none(value) for name, value in values.items()}
