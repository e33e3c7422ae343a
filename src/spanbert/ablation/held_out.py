"""The masked language model on held-out blocks: sums by block, which give the figures of every draw at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from spanbert.task import Comparison, IntArray
from spanbert.tasks.pretraining.batches import PretrainingBatch
from spanbert.tasks.pretraining.blocks import BoolArray
from spanbert.tasks.pretraining.evaluate import EvaluateConfig, open_evaluation
from spanbert.tasks.pretraining.head import SpanBertForPreTraining
from spanbert.tasks.pretraining.metrics import pretraining_metrics

FIGURES = ("mlm_loss", "mlm_accuracy", "exact_span_accuracy")
"""What is measured, by the names of `pretraining_metrics`."""

_SUMS, _COUNTS = ("mlm", "mlm_correct", "spans_correct"), ("mlm", "spans")

FloatArray = npt.NDArray[np.float64]


class HeldOutBlocks(Comparison):
    """What a model made of B masked blocks.

    Args:
        sums: by the names of `pretraining_metrics`, [B] summed losses and numbers of right predictions.
        counts: likewise, [B] numbers of targets.
    """

    def __init__(self, sums: Mapping[str, FloatArray], counts: Mapping[str, FloatArray]) -> None:
        self._sums = {name: sums[name] for name in _SUMS}
        self._counts = {name: counts[name] for name in _COUNTS}

    @property
    def num_examples(self) -> int:
        """B."""
        return len(self._counts["mlm"])

    def figures(self, chosen: IntArray | None = None) -> dict[str, float]:
        """The figures over the blocks of `chosen` (indices, repeats allowed), or all."""
        rows: slice | IntArray = slice(None) if chosen is None else chosen
        sums, counts = (
            {name: float(values[rows].sum()) for name, values in parts.items()} for parts in (self._sums, self._counts)
        )
        metrics = pretraining_metrics(sums, counts)
        return {name: metrics[name] for name in FIGURES if name in metrics}

    def badness(self) -> FloatArray:
        """[B] mean loss of a block's masked pieces."""
        losses: FloatArray = self._sums["mlm"] / self._counts["mlm"].clip(1)
        return losses


def measure_blocks(config: EvaluateConfig, documents: BoolArray) -> HeldOutBlocks:
    """Measure a model on the blocks of some documents.

    The same corpus, documents, length, seed and scheme give the same blocks in the same order for every model.

    Args:
        config: as for `evaluate_pretraining`, on single sequences.
        documents: bool [number of documents].

    Raises:
        SpanBertError: as `evaluate_pretraining`.
    """
    model, accelerator, data = open_evaluation(config, documents=documents)
    with torch.inference_mode(), accelerator.autocast():
        parts = [_of_batch(model, batch.to(accelerator.device)) for batch in data.batches(0, 1)]
    sums, counts = (
        {name: np.concatenate([part[kind][name] for part in parts]) for name in names}
        for kind, names in enumerate((_SUMS, _COUNTS))
    )
    return HeldOutBlocks(sums, counts)


def _of_batch(
    model: SpanBertForPreTraining, batch: PretrainingBatch
) -> tuple[dict[str, FloatArray], dict[str, FloatArray]]:
    """Sums and counts by block, [B] each."""
    hidden = model.bert.encode(batch.pieces, batch.layout, batch.segments)  # [N, D]
    logits = model.masked_piece_logits(hidden, batch.masked).float()  # [M, V]
    losses = F.cross_entropy(logits, batch.labels, reduction="none", ignore_index=-100)
    right = logits.argmax(-1) == batch.labels
    real = batch.labels >= 0  # the rest only fills up
    values = (losses, right, batch.masked, batch.span_of_masked)
    losses_, right_, positions, spans = (value[real].cpu().numpy() for value in values)
    starts = batch.layout.starts.cpu().numpy()
    blocks = np.searchsorted(starts, positions, side="right") - 1  # [masked pieces]
    block_of_span = np.zeros(batch.num_spans, dtype=np.int64)
    block_of_span[spans] = blocks
    num_wrong = np.bincount(spans, weights=~right_, minlength=batch.num_spans)

    def by_block(places: IntArray, weights: npt.NDArray[Any] | None = None) -> FloatArray:
        return np.bincount(places, weights=weights, minlength=len(starts)).astype(np.float64)

    sums = {
        "mlm": by_block(blocks, losses_),
        "mlm_correct": by_block(blocks, right_),
        "spans_correct": by_block(block_of_span, num_wrong == 0),
    }
    return sums, {"mlm": by_block(blocks), "spans": by_block(block_of_span)}
