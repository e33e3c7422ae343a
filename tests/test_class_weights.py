"""Weights of classes."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spanbert.class_weights import balanced_weights


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 10**9), min_size=1, max_size=8))
def test_every_class_weighs_the_same_and_the_mean_is_one(counts: list[int]) -> None:
    sums = [weight * count for weight, count in zip(balanced_weights(counts), counts, strict=True)]
    assert sums == pytest.approx([sum(counts) / len(counts)] * len(counts))


def test_a_class_that_does_not_occur_has_a_weight_all_the_same() -> None:
    assert balanced_weights([3, 0, 1]) == pytest.approx((4 / 9, 4 / 3, 4 / 3))
