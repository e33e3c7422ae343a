"""From blocks of the corpus to masked, unpadded batches: the pre-training side of the training loop."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spanbert.encoder import UnpaddedLayout
from spanbert.tasks.pretraining.masking import MaskedBlocks


@dataclass(frozen=True)
class SboTargets:
    """What the span boundary objective predicts: S spans and M of their pieces.

    Attributes:
        left, right: [S] positions, among the N pieces of the batch, of the pieces just outside each span.
        span: [M] span of each target.
        offset: [M] its place in the span, from 0.
        labels: [M] piece ids.
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
        masked: [M] positions of the masked pieces, ascending.
        labels: [M] their original piece ids.
        span_of_masked: [M] the masked span each belongs to, counted from 0 in this batch.
        num_spans: S, the number of masked spans.
        sbo: targets of the span boundary objective, None where the masking scheme has none.
        next_sentence: [B] 0 where the second segment follows the first, 1 where it does not (Hugging Face's
            convention), -100 where there is no second segment; None for single sequences.
        counts: numbers of targets by loss name, and "spans", "blocks" and "pieces".
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
