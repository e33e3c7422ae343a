"""Windows of examples as batches: by a budget of pieces, without padding, and back again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from spanbert.task import Window
from spanbert.unpadded import UnpaddedLayout


@dataclass(frozen=True)
class TaskBatch:
    """B windows of E units (windows or whole examples) as one unpadded sequence of N pieces.

    Attributes:
        pieces: [N] piece ids.
        segments: [N] segment ids, or None for 0 throughout.
        layout: where the windows stand.
        unit_of_window: [B] the number of the unit each window belongs to, from 0, never falling.
        num_units: E.
        positions: by name, the windows' `positions` joined along their first axis, each now a place among the N pieces;
            negative values as they were.
        values: by name, the windows' `values` joined along their first axis.
        rows: by name of `positions` and `values`, [B] how many rows each window has; on the CPU.
        counts: targets by loss name, and "pieces".
    """

    pieces: Tensor
    segments: Tensor | None
    layout: UnpaddedLayout
    unit_of_window: Tensor
    num_units: int
    positions: Mapping[str, Tensor]
    values: Mapping[str, Tensor]
    rows: Mapping[str, npt.NDArray[np.int64]]
    counts: Mapping[str, int]

    def to(self, device: torch.device) -> Self:
        """The same batch on `device`."""
        if device.type == "cpu":
            return self
        return replace(
            self,
            pieces=self.pieces.to(device, non_blocking=True),
            segments=None if self.segments is None else self.segments.to(device, non_blocking=True),
            layout=self.layout.to(device),
            unit_of_window=self.unit_of_window.to(device, non_blocking=True),
            positions={name: value.to(device, non_blocking=True) for name, value in self.positions.items()},
            values={name: value.to(device, non_blocking=True) for name, value in self.values.items()},
        )

    def window_of_row(self, name: str) -> Tensor:
        """[n] the window that each row of the array `name` belongs to."""
        window = np.repeat(np.arange(len(self.rows[name])), self.rows[name])
        return torch.from_numpy(window).to(self.pieces.device)


def collate(units: Sequence[Sequence[Window]]) -> TaskBatch:
    """Join the windows of units, in order; every unit has one window at least."""
    windows = [window for unit in units for window in unit]
    lengths = np.array([len(window.pieces) for window in windows])
    starts = np.cumsum(lengths) - lengths
    rows: dict[str, npt.NDArray[np.int64]] = {}
    positions: dict[str, Tensor] = {}
    for name in windows[0].positions:
        arrays = [window.positions[name] for window in windows]
        rows[name] = np.array([len(array) for array in arrays])
        shifted = [np.where(array < 0, array, array + start) for array, start in zip(arrays, starts, strict=True)]
        positions[name] = torch.from_numpy(np.concatenate(shifted).astype(np.int64))
    values: dict[str, Tensor] = {}
    for name in windows[0].values:
        arrays = [window.values[name] for window in windows]
        rows[name] = np.array([len(array) for array in arrays])
        values[name] = torch.from_numpy(np.concatenate(arrays))
    segments = None
    if windows[0].segments is not None:
        segments = torch.from_numpy(np.concatenate([window.segments for window in windows]).astype(np.int64))
    counts = {name: sum(window.counts[name] for window in windows) for name in windows[0].counts}
    return TaskBatch(
        pieces=torch.from_numpy(np.concatenate([window.pieces for window in windows]).astype(np.int64)),
        segments=segments,
        layout=UnpaddedLayout.from_lengths(torch.from_numpy(lengths)),
        unit_of_window=torch.from_numpy(np.repeat(np.arange(len(units)), [len(unit) for unit in units])),
        num_units=len(units),
        positions=positions,
        values=values,
        rows=rows,
        counts=counts | {"pieces": int(lengths.sum())},
    )


def cut_batches(units: Sequence[Sequence[Window]], budget: int) -> Iterator[npt.NDArray[np.int64]]:
    """Cut units into batches of similar length.

    Args:
        units: the windows of each.
        budget: most pieces of a batch, padding counted (inside attention, windows are padded to the longest); a unit
            that is larger is a batch of its own.

    Yields:
        int64 [E], indices of the units of a batch; each unit stands in one batch. Long ones come first, so that memory
        is at its largest in the beginning.
    """
    longest = np.array([max(len(window.pieces) for window in unit) for unit in units])
    num_windows = np.array([len(unit) for unit in units])
    order = np.argsort(-longest, kind="stable")
    start = 0
    while start < len(order):
        padded = np.cumsum(num_windows[order[start:]]) * longest[order[start]]
        number = max(1, int(np.searchsorted(padded, budget, side="right")))
        yield order[start : start + number]
        start += number
