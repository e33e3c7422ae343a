from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spanbert.batching import collate, cut_batches
from spanbert.task import Window


def window(length: int, first: int = 0) -> Window:
    return Window(
        pieces=np.arange(first, first + length),
        positions={"words": np.array([0, -1, length - 1])},
        values={"labels": np.full(length, length)},
        counts={"label": length},
    )


def test_windows_are_joined_and_their_positions_moved() -> None:
    batch = collate([[window(3, 10), window(2, 20)], [window(4, 30)]])
    assert batch.pieces.tolist() == [10, 11, 12, 20, 21, 30, 31, 32, 33]
    assert batch.positions["words"].tolist() == [0, -1, 2, 3, -1, 4, 5, -1, 8]
    assert batch.values["labels"].tolist() == [3] * 3 + [2] * 2 + [4] * 4
    assert batch.rows["labels"].tolist() == [3, 2, 4]
    assert batch.window_of_row("words").tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert batch.unit_of_window.tolist() == [0, 0, 1]
    assert batch.num_units == 2
    assert batch.counts == {"label": 9, "pieces": 9}
    assert batch.segments is None
    assert torch.equal(batch.layout.starts, torch.tensor([0, 3, 5]))


@given(st.lists(st.lists(st.integers(1, 60), min_size=1, max_size=5), min_size=1, max_size=40), st.integers(1, 200))
@settings(max_examples=100, deadline=None)
def test_every_unit_is_in_one_batch_within_the_budget(lengths: list[list[int]], budget: int) -> None:
    units = [[window(length) for length in unit] for unit in lengths]
    batches = list(cut_batches(units, budget))
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(units)))
    for batch in batches:
        padded = sum(len(lengths[n]) for n in batch) * max(max(lengths[n]) for n in batch)
        assert padded <= budget or len(batch) == 1


def test_batches_of_similar_lengths_need_little_padding() -> None:
    rng = np.random.default_rng(0)
    units = [[window(int(length))] for length in rng.integers(10, 380, 2000)]
    pieces = padded = 0
    for batch in cut_batches(units, 8192):
        lengths = [len(units[n][0].pieces) for n in batch]
        pieces += sum(lengths)
        padded += len(lengths) * max(lengths)
    assert padded < 1.03 * pieces
