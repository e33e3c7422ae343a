"""Pieces without padding, the windows they make, and the groups that attention sees."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spanbert.encoder import SpanBertConfig, SpanBertModel
from spanbert.unpadded import UnpaddedLayout, few_sizes, group_shapes

LENGTHS = st.lists(st.integers(1, 400), min_size=1, max_size=20)


@given(number=st.integers(1, 100_000))
def test_few_sizes_are_few_and_near(number: int) -> None:
    size = few_sizes(number)
    assert number <= size <= max(number + 15, number * 1.125)
    assert few_sizes(size) == size
    assert len({few_sizes(n) for n in range(4097, 8193)}) == 8


@given(lengths=st.lists(st.integers(1, 9), min_size=1, max_size=7))
def test_layout_puts_every_piece_into_its_window(lengths: list[int]) -> None:
    layout = UnpaddedLayout.from_lengths(torch.tensor(lengths))
    pieces = torch.arange(1, sum(lengths) + 1)
    windows = layout.to_windows(layout.to_rows(pieces))
    expected = [list(part) + [0] * (max(lengths) - len(part)) for part in pieces.split(lengths)]
    assert windows.tolist() == [[int(value) for value in row] for row in expected]


@settings(max_examples=60, deadline=None)
@given(lengths=LENGTHS)
def test_groups_hold_every_window_once_and_come_back(lengths: list[int]) -> None:
    layout = UnpaddedLayout.from_lengths(torch.tensor(lengths))
    pieces = torch.arange(1.0, sum(lengths) + 1)
    window = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))
    rows = layout.to_rows(pieces)
    groups = layout.groups.split(rows[:, None])
    assert [tuple(group.shape) for group in groups] == [(*shape, 1) for shape in layout.groups.shapes]
    found = []
    for group, mask in zip(groups, layout.groups.masks, strict=True):
        for number, row in enumerate(group[..., 0]):
            kept = row if mask is None else row[mask[number, 0, 0]]
            assert (row == 0).sum() == len(row) - len(kept)
            (index,) = window[kept.long() - 1].unique().tolist()
            assert torch.equal(kept, pieces[window == index])
            found.append(index)
    assert sorted(found) == list(range(len(lengths)))
    assert torch.equal(layout.groups.join(groups)[: len(pieces), 0], pieces)
    assert layout.groups.join(groups).shape == (layout.num_rows, 1)


@given(lengths=LENGTHS)
def test_groups_are_few_shapes_with_little_padding(lengths: list[int]) -> None:
    lengths.sort(reverse=True)
    shapes = group_shapes(lengths)
    assert sum(number for number, _ in shapes) == len(lengths)
    for number, length in shapes:
        members, lengths = lengths[:number], lengths[number:]
        assert number & (number - 1) == 0
        assert length % 32 == 0
        assert members[0] > length - 32
        assert members[-1] > 0.8 * length - 32


def test_windows_of_one_length_are_one_group_without_copies() -> None:
    layout = UnpaddedLayout.from_lengths(torch.tensor([64, 64, 64]))
    rows = torch.arange(192.0)[:, None]
    (group,) = layout.groups.split(rows)
    assert group.shape == (3, 64, 1)
    assert group.data_ptr() == rows.data_ptr()
    assert layout.groups.join([group]).data_ptr() == rows.data_ptr()


@pytest.mark.parametrize("lengths", [[5], [70, 3, 33, 31, 32, 64, 1], [40, 40, 40]])
def test_groups_change_neither_states_nor_gradients(lengths: list[int]) -> None:
    torch.manual_seed(0)
    config = SpanBertConfig(
        vocab_size=50, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24,
        max_position_embeddings=80, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
    )  # fmt: skip
    model = SpanBertModel(config, add_pooling_layer=False)
    pieces = torch.randint(0, 50, (sum(lengths),))
    layout = UnpaddedLayout.from_lengths(torch.tensor(lengths))
    model.encode(pieces, layout).pow(2).sum().backward()
    grouped = [parameter.grad for parameter in model.parameters()]
    model.zero_grad(set_to_none=True)
    alone = [
        model.encode(part, UnpaddedLayout.from_lengths(torch.tensor([len(part)]))) for part in pieces.split(lengths)
    ]
    torch.testing.assert_close(model.encode(pieces, layout), torch.cat(alone), rtol=0, atol=1e-5)
    torch.cat(alone).pow(2).sum().backward()
    for one, other in zip(grouped, model.parameters(), strict=True):
        torch.testing.assert_close(one, other.grad, rtol=1e-4, atol=1e-4)


def test_a_gpu_gets_one_group() -> None:
    layout = UnpaddedLayout.from_lengths(torch.tensor([70, 3, 33])).to(torch.device("meta"))
    assert layout.groups.shapes == [(3, 70)]
    assert layout.groups.index is layout.padded_index
    assert layout.groups.masks == [layout.mask]
