"""A batch of windows without padding: where its pieces stand, and the two ways between pieces and padded windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class UnpaddedLayout:
    """Where the N pieces of an unpadded batch stand in its B windows.

    The encoder computes R >= N rows, R being one of few sizes: for every new size of a matrix product the CPU's library
    compiles and keeps new code, and with sizes that never repeat a run grows by gigabytes (docs/performance.md).

    Attributes:
        num_windows: B.
        max_length: T, the length of the longest window.
        num_pieces: N.
        num_rows: R.
        starts: [B] position of each window's first piece among the N pieces.
        positions: [N] position of each piece in its own window.
        padded_index: [R] place of each row in the padded, flattened [B * T] batch, rows that are no pieces behind it;
            None when no window is shorter than T, and the flat and the padded batch are the same memory.
        mask: [B, 1, 1, T] true where a padded position holds a piece; None when all do.
        groups: the windows as attention sees them.
    """

    num_windows: int
    max_length: int
    num_pieces: int
    num_rows: int
    starts: Tensor
    positions: Tensor
    padded_index: Tensor | None
    mask: Tensor | None
    groups: WindowGroups

    @classmethod
    def from_lengths(cls, lengths: Tensor) -> UnpaddedLayout:
        """Lay out windows of `lengths` [B] (int64, on the CPU, each at least 1)."""
        num_windows, max_length, num_pieces = len(lengths), int(lengths.max()), int(lengths.sum())
        num_rows = few_sizes(num_pieces)
        starts = F.pad(lengths.cumsum(0)[:-1], (1, 0))
        window_of_piece = torch.repeat_interleave(torch.arange(num_windows), lengths)
        positions = torch.arange(num_pieces) - starts[window_of_piece]
        index = mask = None
        if bool((lengths < max_length).any()):
            behind = torch.arange(num_rows - num_pieces) + num_windows * max_length
            index = torch.cat((window_of_piece * max_length + positions, behind))  # [R]
            mask = (torch.arange(max_length) < lengths[:, None])[:, None, None, :]  # [B, 1, 1, T]
        if index is None and max_length % _ATTENTION_STEP == 0:
            groups = WindowGroups.all_in_one(num_windows, max_length, num_pieces, num_rows, index, mask)
        else:
            groups = WindowGroups.by_length(lengths, window_of_piece, positions, num_rows)
        return cls(num_windows, max_length, num_pieces, num_rows, starts, positions, index, mask, groups)

    @property
    def num_padded(self) -> int:
        """B * T."""
        return self.num_windows * self.max_length

    def to(self, device: torch.device) -> UnpaddedLayout:
        """The same layout with its tensors on `device`; on a GPU with all windows in one group."""
        if device.type == "cpu":
            return self
        moved = {
            name: tensor.to(device, non_blocking=True)
            for name in ("starts", "positions", "padded_index", "mask")
            if (tensor := getattr(self, name)) is not None
        }
        index, mask = moved.get("padded_index"), moved.get("mask")
        groups = WindowGroups.all_in_one(self.num_windows, self.max_length, self.num_pieces, self.num_rows, index, mask)
        return replace(self, **moved, groups=groups)

    def to_rows(self, flat: Tensor) -> Tensor:
        """[N] values of the pieces -> [R], 0 in the rows that are no pieces."""
        return F.pad(flat, (0, self.num_rows - self.num_pieces))

    def to_windows(self, rows: Tensor) -> Tensor:
        """[R, ...] -> [B, T, ...], 0 where a window has ended."""
        if self.padded_index is not None:
            num_rows = self.num_padded + self.num_rows - self.num_pieces
            rows = pad_pieces(rows, self.padded_index, num_rows)
        return rows[: self.num_padded].view(self.num_windows, self.max_length, *rows.shape[1:])


_ATTENTION_STEP = 32  # windows are padded to a multiple of so many pieces
_LEAST_FILLED = 0.8  # of a group's padded length, in its shortest window


@dataclass(frozen=True)
class WindowGroups:
    """The windows of a layout in groups, each padded by itself, for attention.

    On a CPU, padding takes as long as pieces, and every new shape of a product needs code of its own (see
    `UnpaddedLayout`). So windows are sorted by length, a group is padded to a multiple of 32 pieces, and has 1, 2, 4
    and so on windows: few shapes, and little padding whatever the lengths. On a GPU all windows are one group, because
    there many small products take longer than a large one.

    Attributes:
        shapes: (B, T) of each group: windows, and pieces with padding.
        masks: for each group, [B, 1, 1, T] true where a padded position holds a piece; None where all do.
        num_pieces: N.
        num_rows: R.
        index: [R] place of each row among the padded pieces of all groups, rows that are no pieces behind them; None
            where rows and padded pieces are the same.
    """

    shapes: Sequence[tuple[int, int]]
    masks: Sequence[Tensor | None]
    num_pieces: int
    num_rows: int
    index: Tensor | None

    @classmethod
    def all_in_one(
        cls,
        num_windows: int,
        max_length: int,
        num_pieces: int,
        num_rows: int,
        padded_index: Tensor | None,
        mask: Tensor | None,
    ) -> WindowGroups:
        """One group; the arguments as in `UnpaddedLayout`."""
        return cls([(num_windows, max_length)], [mask], num_pieces, num_rows, padded_index)

    @classmethod
    def by_length(cls, lengths: Tensor, window_of_piece: Tensor, positions: Tensor, num_rows: int) -> WindowGroups:
        """Groups of windows of similar length.

        Args:
            lengths: [B], as for `UnpaddedLayout.from_lengths`.
            window_of_piece: [N] the window each piece belongs to.
            positions: [N] its position there.
            num_rows: R.
        """
        descending, order = lengths.sort(descending=True, stable=True)
        shapes = group_shapes(descending.tolist())
        padded = torch.cat([torch.full((number,), length) for number, length in shapes])  # [B]
        ends = padded.cumsum(0)
        starts = torch.empty_like(lengths).index_copy_(0, order, ends - padded)
        behind = torch.arange(num_rows - len(positions)) + ends[-1]
        masks: list[Tensor | None] = []
        for members in descending.split([number for number, _ in shapes]):
            length = shapes[len(masks)][1]
            is_piece = (torch.arange(length) < members[:, None])[:, None, None, :]
            masks.append(None if bool(is_piece.all()) else is_piece)
        index = torch.cat((starts[window_of_piece] + positions, behind))
        return cls(shapes, masks, len(positions), num_rows, index)

    def split(self, rows: Tensor) -> list[Tensor]:
        """[R, ...] -> for each group [B, T, ...], 0 where a window has ended."""
        sizes = [number * length for number, length in self.shapes]
        if self.index is not None:
            rows = pad_pieces(rows, self.index, sum(sizes) + self.num_rows - self.num_pieces)
        parts = rows[: sum(sizes)].split(sizes)
        return [part.view(*shape, *rows.shape[1:]) for part, shape in zip(parts, self.shapes, strict=True)]

    def join(self, parts: Sequence[Tensor]) -> Tensor:
        """For each group [B, T, ...] -> [R, D], 0 in the rows that are no pieces."""
        flat = [part.reshape(number * length, -1) for part, (number, length) in zip(parts, self.shapes, strict=True)]
        behind = flat[0].new_zeros(self.num_rows - self.num_pieces, flat[0].shape[1])
        padded = torch.cat((*flat, behind)) if len(flat) > 1 or len(behind) else flat[0]
        if self.index is None:
            return padded
        rows: Tensor = _Unpad.apply(padded, self.index)  # type: ignore[no-untyped-call]
        return rows


def group_shapes(lengths: Sequence[int]) -> list[tuple[int, int]]:
    """(number of windows, padded length) of groups for windows of descending lengths, in the same order.

    A group is as large as a power of two can be without its shortest window being less than 80 % of the padded length.
    """
    padded = [-(-length // _ATTENTION_STEP) * _ATTENTION_STEP for length in lengths]
    shapes, first = [], 0
    while first < len(padded):
        number = 1
        while first + 2 * number <= len(padded) and padded[first + 2 * number - 1] >= _LEAST_FILLED * padded[first]:
            number *= 2
        shapes.append((number, padded[first]))
        first += number
    return shapes


def few_sizes(number: int) -> int:
    """`number` rounded up to one of eight sizes between two powers of two: by 6 % on average, 12.5 % at most."""
    step = max(16, (1 << max(number - 1, 0).bit_length()) // 16)
    return -(-number // step) * step


class _Pad(torch.autograd.Function):
    """[N, ...] -> [B * T, ...] with zeros; its backward is a plain gather, because no position is used twice."""

    @staticmethod
    def forward(ctx: Any, flat: Tensor, padded_index: Tensor, num_padded: int) -> Tensor:
        ctx.save_for_backward(padded_index)
        return flat.new_zeros((num_padded, *flat.shape[1:])).index_copy_(0, padded_index, flat)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Tensor, None, None]:
        (padded_index,) = ctx.saved_tensors
        return grads[0].index_select(0, padded_index), None, None


class _Unpad(torch.autograd.Function):
    """[B * T, ...] -> [N, ...]; autograd's own backward would add row by row where a copy is enough."""

    @staticmethod
    def forward(ctx: Any, padded: Tensor, padded_index: Tensor) -> Tensor:
        ctx.save_for_backward(padded_index)
        ctx.num_padded = padded.shape[0]
        return padded.index_select(0, padded_index)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Tensor, None]:
        (padded_index,) = ctx.saved_tensors
        grad: Tensor = grads[0]
        return grad.new_zeros((ctx.num_padded, *grad.shape[1:])).index_copy_(0, padded_index, grad), None


def pad_pieces(flat: Tensor, padded_index: Tensor, num_padded: int) -> Tensor:
    """[N, ...] values -> [num_padded, ...], each at its place in `padded_index` [N] (none twice), 0 elsewhere."""
    padded: Tensor = _Pad.apply(flat, padded_index, num_padded)  # type: ignore[no-untyped-call]
    return padded
