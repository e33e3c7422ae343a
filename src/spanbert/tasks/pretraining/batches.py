"""From blocks of the corpus to masked, unpadded batches: the pre-training side of the training loop."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spanbert.tasks.pretraining.blocks import Int64Array
from spanbert.tasks.pretraining.masking import MaskedBlocks
from spanbert.unpadded import UnpaddedLayout, few_sizes

_NO_TARGET = -100
"""The label that torch's cross-entropy passes over."""


@dataclass(frozen=True)
class SboTargets:
    """What the span boundary objective predicts: S spans and M of their pieces, rows to fill up with included.

    Attributes:
        left, right: [S] positions, among the N pieces of the batch, of the pieces just outside each span.
        span: [M] span of each target.
        offset: [M] its place in the span, from 0.
        labels: [M] piece ids, -100 in the rows behind the last target.
    """

    left: Tensor
    right: Tensor
    span: Tensor
    offset: Tensor
    labels: Tensor


@dataclass(frozen=True)
class PretrainingBatch:
    """B masked blocks as one sequence of N pieces, special pieces included.

    Attributes:
        pieces: [N] piece ids after masking.
        layout: where the blocks stand in it.
        segments: [N] segment ids of two-segment blocks, None for single sequences.
        masked: [M] positions of the masked pieces, ascending, then rows that fill M up to one of few sizes (see
            `UnpaddedLayout`).
        labels: [M] their original piece ids, -100 in the rows that only fill up.
        span_of_masked: [M] the masked span each belongs to, counted from 0 in this batch; `num_spans` in the rows that
            only fill up.
        num_spans: S, the number of masked spans.
        sbo: targets of the span boundary objective, None where the masking scheme has none.
        next_sentence: [B] 0 where the second segment follows the first, 1 where it does not (Hugging Face's
            convention), -100 where there is no second segment; None for single sequences.
        counts: numbers of targets by loss name, "sbo_beyond_table" for pieces whose place in the span has no row in the
            position table, and "spans", "blocks" and "pieces".
    """

    pieces: Tensor
    layout: UnpaddedLayout
    segments: Tensor | None
    masked: Tensor
    labels: Tensor
    span_of_masked: Tensor
    num_spans: int
    sbo: SboTargets | None
    next_sentence: Tensor | None
    counts: dict[str, int]

    def to(self, device: torch.device) -> PretrainingBatch:
        """The same batch on `device`."""
        moved: dict[str, object] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, Tensor):
                moved[field.name] = value.to(device, non_blocking=True)
        sbo = None if self.sbo is None else SboTargets(*(t.to(device, non_blocking=True) for t in _tensors(self.sbo)))
        return replace(self, layout=self.layout.to(device), sbo=sbo, **moved)  # type: ignore[arg-type]


def _tensors(sbo: SboTargets) -> Iterator[Tensor]:
    return (getattr(sbo, field.name) for field in fields(sbo))


def assemble(
    masked: MaskedBlocks,
    window_of_segment: Int64Array,
    *,
    cls_id: int,
    sep_id: int,
    sbo_positions: int,
    is_next: NDArray[np.int8] | None = None,
) -> PretrainingBatch:
    """Put special pieces around masked segments: `[CLS] A [SEP]`, or `[CLS] A [SEP] B [SEP]`.

    Args:
        masked: N' pieces in S' segments, after masking.
        window_of_segment: [S'] ascending from 0; two neighbours with the same number are one block's segments A and B.
        cls_id: id of [CLS].
        sep_id: id of [SEP].
        sbo_positions: rows of the head's position table; a span's pieces beyond it have no SBO target. 0 for no SBO.
        is_next: [B] 1, 0, or -1 for no second segment; None for single sequences.
    """
    # Before segment j stand one [CLS] for each window so far and one [SEP] for each earlier segment.
    shifts = window_of_segment + 1 + np.arange(len(masked.blocks))  # [S']
    pieces, lengths = _with_special_pieces(masked, window_of_segment, shifts, cls_id, sep_id)
    span_shifts = shifts[masked.span_blocks]
    span_lengths = masked.span_ends - masked.span_starts
    span_of_masked = np.repeat(np.arange(len(span_lengths)), span_lengths)  # [M]
    positions, labels = masked.positions, masked.targets  # [M]
    sbo = None
    if sbo_positions:
        sbo = _sbo_targets(masked, span_shifts, span_of_masked, positions, labels, sbo_positions)
    segments = None
    if is_next is not None:
        in_second = np.diff(window_of_segment, prepend=-1) == 0  # [S']
        segments = torch.from_numpy(
            np.repeat(in_second.astype(np.int64), _segment_widths(masked.blocks.lengths, in_second))
        )
    counts = {
        "mlm": len(positions),
        "sbo": 0 if sbo is None else int((sbo.labels != _NO_TARGET).sum()),
        "sbo_beyond_table": 0 if sbo is None else int((span_lengths - sbo_positions).clip(0)[masked.has_sbo].sum()),
        "nsp": 0 if is_next is None else int((is_next >= 0).sum()),
        "spans": len(span_lengths),
        "blocks": len(lengths),
        "pieces": len(pieces),
    }
    return PretrainingBatch(
        pieces=torch.from_numpy(pieces),
        layout=UnpaddedLayout.from_lengths(torch.from_numpy(lengths)),
        segments=segments,
        masked=_filled_up(positions + span_shifts[span_of_masked], 0),
        labels=_filled_up(labels, _NO_TARGET),
        span_of_masked=_filled_up(span_of_masked, len(span_lengths)),
        num_spans=len(span_lengths),
        sbo=sbo,
        next_sentence=None if is_next is None else torch.from_numpy(_next_sentence_labels(is_next)),
        counts=counts,
    )


def _with_special_pieces(
    masked: MaskedBlocks, window_of_segment: Int64Array, shifts: Int64Array, cls_id: int, sep_id: int
) -> tuple[Int64Array, Int64Array]:
    """The pieces [N] of the windows with [CLS] and [SEP] in place, and the windows' lengths [B].

    `shifts` [S'] is how many special pieces stand before the pieces of each segment.
    """
    blocks = masked.blocks
    separators = blocks.offsets[1:] + shifts  # [S'] where each segment's [SEP] goes
    is_last = np.diff(window_of_segment, append=window_of_segment[-1] + 1) > 0  # [S'] of its window
    ends = separators[is_last] + 1  # [B]
    lengths = np.diff(ends, prepend=0)
    pieces = np.full(int(ends[-1]), sep_id, dtype=np.int64)
    pieces[np.arange(len(masked.pieces)) + np.repeat(shifts, blocks.lengths)] = masked.pieces
    pieces[ends - lengths] = cls_id
    return pieces, lengths


def _sbo_targets(
    masked: MaskedBlocks,
    span_shifts: Int64Array,
    span_of_masked: Int64Array,
    positions: Int64Array,
    labels: Int64Array,
    sbo_positions: int,
) -> SboTargets:
    offsets = positions - masked.span_starts[span_of_masked]  # [M]
    kept = masked.has_sbo[span_of_masked] & (offsets < sbo_positions)
    return SboTargets(
        left=_filled_up(masked.span_starts + span_shifts - 1, 0),
        right=_filled_up(masked.span_ends + span_shifts, 0),
        span=_filled_up(span_of_masked[kept], 0),
        offset=_filled_up(offsets[kept], 0),
        labels=_filled_up(labels[kept], _NO_TARGET),
    )


def _filled_up(values: Int64Array, value: int) -> Tensor:
    """[M] -> [M rounded up to one of few sizes], `value` behind."""
    filled = np.full(few_sizes(len(values)), value, dtype=np.int64)
    filled[: len(values)] = values
    return torch.from_numpy(filled)


def _segment_widths(lengths: Int64Array, in_second: NDArray[np.bool_]) -> Int64Array:
    """Pieces of each segment with its [SEP], and the window's [CLS] for the first."""
    widths: Int64Array = lengths + np.where(in_second, 1, 2)
    return widths


def _next_sentence_labels(is_next: NDArray[np.int8]) -> Int64Array:
    return np.where(is_next < 0, _NO_TARGET, 1 - is_next).astype(np.int64)
