"""The distribution of span lengths against its definition."""

from __future__ import annotations

import numpy as np
import pytest

from spanbert.errors import ConfigurationError
from spanbert.tasks.pretraining.span_lengths import SpanLengths


def test_it_is_the_papers_distribution() -> None:
    lengths = SpanLengths(0.2, 10)
    assert lengths.mean == pytest.approx(3.797, abs=5e-4)
    assert lengths.probabilities.sum() == pytest.approx(1)
    assert lengths.probabilities[1:] / lengths.probabilities[:-1] == pytest.approx(np.full(9, 0.8))


def test_lengths_are_drawn_in_proportion() -> None:
    lengths = SpanLengths(0.2, 10)
    drawn = lengths.draw((np.arange(1_000_000) + 0.5) / 1_000_000)
    assert drawn.dtype == np.int64
    assert np.bincount(drawn, minlength=11)[1:] / 1_000_000 == pytest.approx(lengths.probabilities, abs=2e-6)


def test_limits_are_like_drawing_again() -> None:
    uniform = np.random.default_rng(0).random(200_000)
    limits = np.arange(200_000) % 14 + 1
    drawn = SpanLengths(0.3, 10).draw(uniform, limits)
    for limit in range(1, 15):
        shorter = SpanLengths(0.3, min(limit, 10)).draw(uniform[limits == limit])
        assert drawn[limits == limit].tolist() == shorter.tolist()


def test_the_ends_of_the_scale() -> None:
    assert SpanLengths(0.2, 10).draw(np.array([0, 1 - 2.0**-53])).tolist() == [1, 10]
    assert SpanLengths(0.9, 1).draw(np.array([0, 1 - 2.0**-53])).tolist() == [1, 1]


@pytest.mark.parametrize(("p", "longest"), [(0, 10), (1, 10), (-0.1, 10), (0.2, 0)])
def test_values_out_of_range_are_refused(p: float, longest: int) -> None:
    with pytest.raises(ConfigurationError):
        SpanLengths(p, longest)
