"""Threads beside the one that computes."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import torch

from spanbert.core_workers import core_workers, made_ahead


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_results_come_in_order_and_one_ahead() -> None:
    made: list[int] = []
    with made_ahead(lambda number: made.append(number) or number, range(3, 9)) as results:
        assert next(results) == 3
        seen = [3]
        for number in results:
            assert max(made) <= number + 1
            seen.append(number)
    assert seen == made == list(range(3, 9))
    with made_ahead(str, range(0)) as nothing:
        assert list(nothing) == []


def test_what_is_raised_while_making_is_raised_at_its_result() -> None:
    def make(number: int) -> float:
        return 1 / (2 - number)

    with made_ahead(make, range(4)) as results:
        assert [next(results), next(results)] == [0.5, 1.0]
        with pytest.raises(ZeroDivisionError):
            next(results)


def test_leaving_early_leaves_no_thread() -> None:
    before = threading.active_count()
    with made_ahead(str, range(1000)) as results:
        next(results)
        assert threading.active_count() == before + 1
    assert threading.active_count() == before


def test_a_team_of_threads_belongs_to_the_caller_alone(two_threads: None) -> None:
    """With a second team, GNU's OpenMP no longer spins, and training takes half as long again."""
    with made_ahead(lambda _: torch.get_num_threads(), range(2)) as results:
        assert list(results) == [1, 1]
        assert torch.get_num_threads() == 2
    with core_workers() as executor:
        assert set(executor.map(lambda _: torch.get_num_threads(), range(8))) == {1}
        assert torch.get_num_threads() == 2
    later: list[int] = []
    thread = threading.Thread(target=lambda: later.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert later == [2]  # what threads of others copy
