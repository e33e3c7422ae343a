"""A batch of windows without padding: where its pieces stand, and the two ways between pieces and padded windows."""

from __future__ import annotations

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
    """

    num_windows: int
    max_length: int
    num_pieces: int
    num_rows: int
    starts: Tensor
    positions: Tensor
    padded_index: Tensor | None
    mask: Tensor | None

    @classmethod
    def from_lengths(cls, lengths: Tensor) -> UnpaddedLayout:
        """Lay out windows of `lengths` [B] (int64, on the CPU, each at least 1)."""
        num_windows, max_length, num_pieces = len(lengths), int(lengths.max()), int(lengths.sum())
        num_rows = few_sizes(num_pieces)
        starts = F.pad(lengths.cumsum(0)[:-1], (1, 0))
        window_of_piece = torch.repeat_interleave(torch.arange(num_windows), lengths)
        positions = torch.arange(num_pieces) - starts[window_of_piece]
        if bool((lengths == max_length).all()):
            return cls(num_windows, max_length, num_pieces, num_rows, starts, positions, None, None)
        behind = torch.arange(num_rows - num_pieces) + num_windows * max_length
        index = torch.cat((window_of_piece * max_length + positions, behind))  # [R]
        mask = (torch.arange(max_length) < lengths[:, None])[:, None, None, :]  # [B, 1, 1, T]
        return cls(num_windows, max_length, num_pieces, num_rows, starts, positions, index, mask)

    @property
    def num_padded(self) -> int:
        """B * T."""
        return self.num_windows * self.max_length

    def to(self, device: torch.device) -> UnpaddedLayout:
        """The same layout with its tensors on `device`."""
        moved = {
            name: tensor.to(device, non_blocking=True)
            for name in ("starts", "positions", "padded_index", "mask")
            if (tensor := getattr(self, name)) is not None
        }
        return replace(self, **moved)

    def to_rows(self, flat: Tensor) -> Tensor:
        """[N] values of the pieces -> [R], 0 in the rows that are no pieces."""
        return F.pad(flat, (0, self.num_rows - self.num_pieces))

    def to_windows(self, rows: Tensor) -> Tensor:
        """[R, ...] -> [B, T, ...], 0 where a window has ended."""
        if self.padded_index is not None:
            num_rows = self.num_padded + self.num_rows - self.num_pieces
            rows = pad_pieces(rows, self.padded_index, num_rows)
        return rows[: self.num_padded].view(self.num_windows, self.max_length, *rows.shape[1:])

    def from_windows(self, windows: Tensor) -> Tensor:
        """[B, T, D] -> [R, D]."""
        padded = F.pad(windows.reshape(self.num_padded, -1), (0, 0, 0, self.num_rows - self.num_pieces))
        if self.padded_index is None:
            return padded
        rows: Tensor = _Unpad.apply(padded, self.padded_index)  # type: ignore[no-untyped-call]
        return rows


def few_sizes(number: int) -> int:
    """`number` rounded up to one of eight sizes between two powers of two: by 6 % on average, 12.5 % at most."""
    step = max(16, (1 << max(number - 1, 0).bit_length()) // 16)
    return -(-number // step) * step


class _Pad(torch.autograd.Function):
    """[N, ...] -> [B * T, ...] with zeros; its backward is a plain gather, because no position is used twice."""

    @staticmethod
    def forward(ctx: Any, flat: Tensor, padded_index: Tensor, num_padded: int) -> Tensor:
        ctx.save_for_backward(padded_index)
        return flat.new_zeros((num_padded, *flat.shape[1:])).index_copy(0, padded_index, flat)

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
        return grad.new_zeros((ctx.num_padded, *grad.shape[1:])).index_copy(0, padded_index, grad), None


def pad_pieces(flat: Tensor, padded_index: Tensor, num_padded: int) -> Tensor:
    """[N, ...] values -> [num_padded, ...], each at its place in `padded_index` [N] (none twice), 0 elsewhere."""
    padded: Tensor = _Pad.apply(flat, padded_index, num_padded)  # type: ignore[no-untyped-call]
    return padded
