"""Cross-entropy over the vocabulary for CPUs, where passes over the logits cost more than making them.

With M targets and V pieces, plain cross-entropy reads and writes M x V numbers in fp32 in each of several passes. Here
the vocabulary is cut into columns of a width that stays in the processor's caches, and each number is written once, as
an exponential in the precision of the products; all the rest is done by products of matrices:

- what has to be added to a logit (a bias, and a shift that keeps exponentials in range) are further features, so that
  a product gives the shifted logit, rounded once;
- the embeddings have a column of ones beside them, so that their product with the exponentials, which is the gradient
  of the features, also gives the sum of the exponentials;
- the gradient of the embeddings has the gradient of the biases as further columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

_CHUNK = 1024  # vocabulary columns at a time
_ALIGNMENT = 32  # features that bf16 instructions take at once
_NO_TARGET = -100


class Predicted(NamedTuple):
    """What one head predicts.

    Attributes:
        features: [M, D] whose product with the embeddings, plus the bias, is the logits.
        bias: [V].
        labels: [M] piece ids; -100 has no loss.
    """

    features: Tensor
    bias: Tensor
    labels: Tensor


def summed_losses(heads: Sequence[Predicted], embeddings: Tensor) -> list[Tensor]:
    """The summed cross-entropy of each head; all share the output embeddings [V, D].

    Products are in the precision of autocast, or else of the embeddings; what they give for each 1,024 pieces is added
    up in fp32, and the losses are fp32.
    """
    numbers = [len(head.labels) for head in heads]
    head_of_row = torch.repeat_interleave(torch.arange(len(heads)), torch.tensor(numbers))
    dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else embeddings.dtype
    losses: Tensor = _RowLosses.apply(  # type: ignore[no-untyped-call]
        torch.cat([head.features.to(dtype) for head in heads]),
        embeddings,
        torch.stack([head.bias for head in heads]),
        head_of_row,
        torch.cat([head.labels for head in heads]),
    )
    return [rows.sum() for rows in losses.split(numbers)]


class _RowLosses(torch.autograd.Function):
    """[M, D] features, [V, D] embeddings, [H, V] biases, [M] heads, [M] labels -> [M] losses in fp32."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, embeddings: Tensor, biases: Tensor, head: Tensor, labels: Tensor) -> Tensor:
        operands = _Operands(features, embeddings, biases, head)
        has_label = labels != _NO_TARGET
        labels = labels.where(has_label, 0)
        exponentials, weighted = operands.exponentials(_first_shift(operands))
        if not bool(torch.isfinite(weighted).all()):  # a logit lay too far above the first ones
            exponentials, weighted = operands.exponentials(_largest_shift(operands))
        sums = weighted[:, operands.ones]  # [M]
        of_label = operands.rows(labels)  # [M, D + extra]
        losses = sums.log() - (operands.features.float() * of_label.float()).sum(1)
        ctx.operands, ctx.exponentials = operands, exponentials
        ctx.tensors = (labels, has_label, of_label, weighted, sums)
        return losses.where(has_label, 0.0)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Tensor, Tensor, Tensor, None, None]:
        operands: _Operands = ctx.operands
        labels, has_label, of_label, weighted, sums = ctx.tensors
        upstream = grads[0].where(has_label, 0.0)[:, None]  # [M, 1]
        scale = upstream / sums[:, None]  # of the exponentials
        width = operands.width
        for_features = weighted[:, :width] * scale - of_label[:, :width] * upstream
        for_embeddings, for_biases = _vocabulary_gradients(operands, ctx.exponentials, labels, sums, scale)
        ctx.operands = ctx.exponentials = ctx.tensors = None
        return for_features.to(operands.features.dtype), for_embeddings, for_biases, None, None


class _Operands:
    """Features and embeddings with the columns that add bias and shift: [x, 1, 1, -shift] and [w, bias, bias, 1].

    A number that is added has two columns, the second for what the rounding of the first leaves.

    Attributes:
        width: D.
        features: [M, D + extra].
        embeddings: [V, D + extra].
        ones: the column of the embeddings that is 1 throughout.
    """

    def __init__(self, features: Tensor, embeddings: Tensor, biases: Tensor, head: Tensor) -> None:
        (num_rows, self.width), dtype = features.shape, features.dtype
        self.num_heads, num_pieces = biases.shape
        self.head = head
        self.ones = self.width + 2 * self.num_heads
        num_columns = -(-(self.ones + 2) // _ALIGNMENT) * _ALIGNMENT
        self.features = features.new_zeros(num_rows, num_columns)
        self.features[:, : self.width] = features
        self.embeddings = torch.zeros(num_pieces, num_columns, dtype=dtype)
        self.embeddings[:, : self.width] = embeddings.detach()
        rows = torch.arange(num_rows)
        for number, bias in enumerate(biases.detach()):
            column = self.width + 2 * number
            self.embeddings[:, column], self.embeddings[:, column + 1] = _in_two(bias, dtype)
        for part in range(2):
            self.features[rows, self.width + 2 * head + part] = 1.0
            self.embeddings[:, self.ones + part] = 1.0

    def chunks(self) -> tuple[Tensor, ...]:
        """The embeddings, some rows at a time."""
        chunks: tuple[Tensor, ...] = self.embeddings.split(_CHUNK)
        return chunks

    def rows(self, pieces: Tensor) -> Tensor:
        """[M] -> [M, D + extra]."""
        return self.embeddings.index_select(0, pieces)

    def exponentials(self, shift: Tensor) -> tuple[list[Tensor], Tensor]:
        """exp(logit - shift) for each chunk, [M, 1024], and their product with the embeddings, [M, D + extra] in fp32.

        Args:
            shift: [M] in fp32.
        """
        self.features[:, self.ones], self.features[:, self.ones + 1] = _in_two(-shift, self.features.dtype)
        weighted = torch.zeros(self.features.shape, dtype=torch.float32)
        kept = []
        for chunk in self.chunks():
            kept.append((self.features @ chunk.t()).exp_())
            weighted += kept[-1] @ chunk
        return kept, weighted


def _in_two(values: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Two numbers of lower precision whose sum is nearly the first."""
    high = values.to(dtype)
    return high, (values - high.float()).to(dtype)


def _first_shift(operands: _Operands) -> Tensor:
    """[M] the logarithm of the sum over the first chunk: near enough to that of all for nearly every row."""
    logits = operands.features @ operands.chunks()[0].t()
    return logits.float().logsumexp(1)


def _largest_shift(operands: _Operands) -> Tensor:
    """[M] the largest logit."""
    operands.features[:, operands.ones :] = 0.0
    largest = [(operands.features @ chunk.t()).amax(1).float() for chunk in operands.chunks()]
    return torch.stack(largest).amax(0)


def _vocabulary_gradients(
    operands: _Operands, exponentials: Sequence[Tensor], labels: Tensor, sums: Tensor, scale: Tensor
) -> tuple[Tensor, Tensor]:
    """Gradients of the embeddings [V, D] and of the biases [H, V], in fp32.

    Args:
        operands: the products' operands.
        exponentials: for each chunk, [M, 1024]; the labels' become those minus the sums.
        labels: [M] piece ids.
        sums: [M] of the exponentials.
        scale: [M, 1] what an exponential is multiplied with; 0 for rows without a loss.
    """
    width, num_pieces = operands.width, len(operands.embeddings)
    scaled = torch.zeros_like(operands.features)
    scaled[:, :width] = operands.features[:, :width] * scale
    scaled[torch.arange(len(labels)), width + operands.head] = scale[:, 0].to(scaled.dtype)
    embeddings, biases = torch.empty(num_pieces, width), torch.empty(operands.num_heads, num_pieces)
    order = labels.argsort()
    bounds = torch.searchsorted(labels[order], torch.arange(0, num_pieces + _CHUNK, _CHUNK)).tolist()
    for number, values in enumerate(exponentials):
        first = number * _CHUNK
        rows = order[bounds[number] : bounds[number + 1]]
        values[rows, labels[rows] - first] -= sums[rows].to(values.dtype)
        gradient = values.t() @ scaled  # [1024, D + extra]
        embeddings[first : first + _CHUNK] = gradient[:, :width]
        biases[:, first : first + _CHUNK] = gradient[:, width : width + operands.num_heads].t()
    return embeddings, biases
