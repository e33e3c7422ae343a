"""Confidence intervals: reproducible, and as wide as they say."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from labelled_lines_task import Guess, Line, LineComparison

from spanbert.errors import ConfigurationError
from spanbert.evaluation.bootstrap import Interval, Resampled, differences_of, intervals_of, resample
from spanbert.task import Comparison, IntArray


class Shares(Comparison):
    """The share of right ones among examples that are right or wrong, and their number."""

    def __init__(self, right: npt.NDArray[np.bool_]) -> None:
        self.right = right

    @property
    def num_examples(self) -> int:
        return len(self.right)

    def figures(self, chosen: IntArray | None = None) -> dict[str, float]:
        right = self.right if chosen is None else self.right[chosen]
        some = {"share of first": 1.0} if chosen is not None and 0 not in chosen else {}
        return {"share": 100 * float(right.mean()) if len(right) else 0.0, "total": float(len(right)), **some}

    def badness(self) -> npt.NDArray[np.float64]:
        return 1.0 - self.right


def test_the_same_seed_gives_the_same_intervals() -> None:
    comparison = Shares(np.arange(50) < 40)
    assert intervals_of(comparison, samples=50, seed=3) == intervals_of(comparison, samples=50, seed=3)
    assert intervals_of(comparison, samples=50, seed=3) != intervals_of(comparison, samples=50, seed=4)


def test_intervals_are_those_of_the_binomial_distribution() -> None:
    interval = intervals_of(Shares(np.arange(400) < 300), samples=2000)["share"]
    assert interval.value == 75
    assert interval.low is not None
    assert interval.high is not None
    deviation = 100 * np.sqrt(0.75 * 0.25 / 400)
    assert interval.low == pytest.approx(75 - 1.96 * deviation, abs=0.5)
    assert interval.high == pytest.approx(75 + 1.96 * deviation, abs=0.5)


def test_intervals_cover_the_truth_as_often_as_they_say() -> None:
    random = np.random.default_rng(0)
    covered = 0
    for number in range(200):
        interval = intervals_of(Shares(random.random(100) < 0.7), samples=200, seed=number)["share"]
        assert interval.low is not None
        assert interval.high is not None
        covered += interval.low <= 70 <= interval.high
    assert 180 <= covered <= 198  # 190 are expected


def test_what_is_counted_or_not_drawn_has_no_interval() -> None:
    comparison = Shares(np.ones(3, bool))
    assert intervals_of(comparison, samples=10)["total"] == Interval(3.0)
    assert intervals_of(comparison, samples=0)["share"] == Interval(100.0)
    assert intervals_of(Shares(np.ones(0, bool)), samples=10)["share"] == Interval(0.0)
    with pytest.raises(ConfigurationError, match="at least 0"):
        intervals_of(comparison, samples=-1)


def test_a_figure_that_a_sample_lacks() -> None:
    class Sometimes(Shares):
        def figures(self, chosen: IntArray | None = None) -> dict[str, float]:
            found = super().figures(chosen)
            return found if chosen is None or 0 in chosen else {"total": found["total"]}

    interval = intervals_of(Sometimes(np.arange(4) < 2), samples=200)["share"]
    assert interval.low is not None
    assert interval.low < interval.value


def test_differences_are_paired() -> None:
    right = np.random.default_rng(0).random(300) < 0.7
    better = right.copy()
    better[np.flatnonzero(~right)[:20]] = True
    first, second = resample(Shares(right), samples=500), resample(Shares(better), samples=500)
    difference = differences_of(first, second)["share"]
    assert difference.value == pytest.approx(100 * 20 / 300)
    assert 0 < difference.low < difference.value < difference.high
    assert difference.p_value == pytest.approx(2 / 501)
    # Each alone is far less certain than their difference.
    interval = first.intervals()["share"]
    assert interval.high is not None
    assert interval.low is not None
    assert interval.high - interval.low > 1.5 * (difference.high - difference.low)
    assert "total" not in differences_of(first, second)
    same: dict[str, Any] = differences_of(first, first)
    assert (same["share"].value, same["share"].p_value) == (0, 1)
    without = resample(Shares(right), samples=0)
    assert differences_of(without, without) == {}


def test_draws_without_a_figure_say_nothing_about_a_difference() -> None:
    random = np.random.default_rng(0)
    known = random.normal(size=(1000, 1))
    before = Resampled({"share": 0.0}, np.zeros((1000, 1)))
    rarely = np.where(random.random((1000, 1)) < 0.1, known, np.nan)
    assert differences_of(before, Resampled({"share": 0.0}, rarely))["share"].p_value > 0.5
    never = Resampled({"share": np.nan}, np.full((1000, 1), np.nan))
    assert differences_of(never, never)["share"].p_value == 1


def test_figures_by_label_have_intervals() -> None:
    gold = [Line(str(number), "x", "ab"[number % 2]) for number in range(40)]
    guesses = [Guess("a" if number % 3 else "b") for number in range(40)]
    intervals = intervals_of(LineComparison(gold, guesses), samples=100)
    assert list(intervals) == ["accuracy", "accuracy/a", "accuracy/b"]
    assert all(interval.low is not None for interval in intervals.values())
