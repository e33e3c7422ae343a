"""Random numbers must be a pure function of their key: the same on any machine, in any order, and look random."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spanbert import randomness

GOLDEN_KEYS = [16243727150987910210, 1545479006792265367, 15461786598443362481]
GOLDEN_INTEGERS = [115, 354, 110]
GOLDEN_UNIFORM = [0.7753041686553898, 0.11904953084099101, 0.4861726746538043]
GOLDEN_PERMUTATION = [1, 6, 5, 3, 4, 2, 7, 0]


def keys(num: int, *, seed: int = 0, epoch: int = 0, purpose: str = "test") -> randomness.UInt64Array:
    return randomness.block_keys(seed, epoch, np.arange(num), purpose)


def chi_square(observed: np.ndarray, expected: np.ndarray) -> float:
    return float(((observed - expected) ** 2 / expected).sum())


def test_bits_are_those_of_splitmix64() -> None:
    # The sequence that the reference implementation prints for the state 1234567.
    expected = [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]
    drawn = randomness.bits(np.array([1234567], dtype=np.uint64), np.arange(5))
    assert drawn.tolist() == expected


def test_golden_values() -> None:
    """Masks of old runs can be drawn again only as long as these do not change."""
    some = randomness.block_keys(7, 3, np.array([0, 1, 1_000_000]), "golden")
    assert some.tolist() == GOLDEN_KEYS
    assert randomness.integers(some, 2, 510).tolist() == GOLDEN_INTEGERS
    assert randomness.uniform(some, 0).tolist() == pytest.approx(GOLDEN_UNIFORM, abs=1e-15)
    assert randomness.permutation(8, seed=7, epoch=3, purpose="golden").tolist() == GOLDEN_PERMUTATION


@settings(max_examples=30, deadline=None)
@given(st.integers(-(2**70), 2**70), st.integers(0, 1000), st.lists(st.integers(0, 2**40), min_size=2, max_size=20))
def test_any_split_of_a_batch_gives_the_same_numbers(seed: int, epoch: int, indices: list[int]) -> None:
    together = randomness.bits(randomness.block_keys(seed, epoch, np.array(indices), "test"), 5)
    apart = [randomness.bits(randomness.block_keys(seed, epoch, np.array([i]), "test"), np.array([5])) for i in indices]
    assert together.tolist() == np.concatenate(apart).tolist()


def test_keys_and_counters_broadcast() -> None:
    table = randomness.bits(keys(3)[:, None], np.arange(4))
    assert table.shape == (3, 4)
    assert table[2, 1] == randomness.bits(keys(3)[2:], 1)[0]


def test_integers_are_uniform() -> None:
    bound, num = 37, 200_000
    counts = np.bincount(randomness.integers(keys(num), 0, bound), minlength=bound)
    assert len(counts) == bound
    assert chi_square(counts, np.full(bound, num / bound)) < 68  # 36 degrees of freedom, p = 0.001


def test_integers_take_a_bound_for_each_key() -> None:
    bounds = np.array([1, 2, 3, 1000])
    drawn = randomness.integers(keys(4)[:, None], np.arange(1000), bounds[:, None])
    assert (drawn >= 0).all()
    assert (drawn < bounds[:, None]).all()
    assert drawn.max(axis=1)[:3].tolist() == [0, 1, 2]


def test_uniform_along_counters_of_one_stream() -> None:
    drawn = randomness.uniform(keys(1), np.arange(200_000))
    assert drawn.min() >= 0
    assert drawn.max() < 1
    counts = np.histogram(drawn, bins=50, range=(0, 1))[0]
    assert chi_square(counts, np.full(50, 4000.0)) < 85.4  # 49 degrees of freedom, p = 0.001


@pytest.mark.parametrize(
    "other",
    [{"epoch": 1}, {"seed": 1}, {"purpose": "other"}, {"seed": -1}, {"seed": 2**40}],
    ids=["epoch", "seed", "purpose", "negative seed", "large seed"],
)
def test_streams_of_another_name_are_unrelated(other: dict[str, int | str]) -> None:
    num = 100_000
    first = randomness.uniform(keys(num), 0)
    second = randomness.uniform(keys(num, **other), 0)  # type: ignore[arg-type]
    assert abs(np.corrcoef(first, second)[0, 1]) < 4 / np.sqrt(num)
    assert not (first == second).any()


def test_neighbouring_indices_and_counters_are_unrelated() -> None:
    table = randomness.uniform(keys(400)[:, None], np.arange(400))
    bound = 4 / np.sqrt(table.size)
    assert abs(np.corrcoef(table[1:].ravel(), table[:-1].ravel())[0, 1]) < bound
    assert abs(np.corrcoef(table[:, 1:].ravel(), table[:, :-1].ravel())[0, 1]) < bound
    assert len(np.unique(table)) == table.size


def test_seed_and_epoch_do_not_stand_in_for_each_other() -> None:
    assert keys(1, seed=1, epoch=0)[0] != keys(1, seed=0, epoch=1)[0]


def test_permutation_holds_every_number_once_and_differs_by_epoch() -> None:
    first = randomness.permutation(1000, seed=0, epoch=0, purpose="order")
    assert sorted(first.tolist()) == list(range(1000))
    assert first.dtype == np.int64
    assert first.tolist() != randomness.permutation(1000, seed=0, epoch=1, purpose="order").tolist()
    assert randomness.permutation(0, seed=0, epoch=0, purpose="order").tolist() == []


def test_permutations_are_uniform() -> None:
    counts: dict[tuple[int, ...], int] = {}
    for epoch in range(6000):
        order = tuple(randomness.permutation(3, seed=0, epoch=epoch, purpose="order").tolist())
        counts[order] = counts.get(order, 0) + 1
    assert chi_square(np.array(list(counts.values())), np.full(6, 1000.0)) < 20.5  # 5 degrees of freedom, p = 0.001
