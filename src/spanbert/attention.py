"""Scaled dot-product attention within windows: the one place where attention kernels are called."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from spanbert.dropout import draw_kept_bits, keep_bits, kept_scale
from spanbert.unpadded import UnpaddedLayout


class WindowAttention:
    """Attention within each window of a layout, for all layers of an encoder.

    Windows are padded here, in groups of similar length (`packed_encoder` pads its own). In bf16 on a CPU, a backward
    pass or dropout takes several times as long in torch's fused kernel as with products of matrices; without either the
    fused kernel is several times as fast (docs/performance.md).

    Args:
        layout: where the windows stand.
        num_heads: H.
    """

    def __init__(self, layout: UnpaddedLayout, num_heads: int) -> None:
        self.layout = layout
        self.num_heads = num_heads

    def __call__(self, projected: Tensor, dropout: float) -> Tensor:
        """[R, 3 D] queries, keys and values -> [R, D].

        Args:
            projected: the rows' projections.
            dropout: probability that a weight becomes 0.
        """
        by_products = projected.device.type == "cpu" and projected.dtype == torch.bfloat16
        by_products = by_products and bool(dropout or projected.requires_grad)
        if by_products and not torch.compiler.is_compiling():
            attended: Tensor = _ByProducts.apply(projected, self._places, dropout)  # type: ignore[no-untyped-call]
            return attended
        groups = self.layout.groups
        contexts = []
        for group, mask in zip(groups.split(projected), groups.masks, strict=True):
            # [B, T, 3 D] -> [B, T, 3, H, D/H] -> three of [B, H, T, D/H]
            query, key, value = group.unflatten(-1, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)
            attend = _compiled_products if by_products else fused_attention
            contexts.append(attend(query, key, value, mask, dropout).transpose(1, 2))
        return groups.join(contexts)

    @cached_property
    def _places(self) -> _HeadPlaces:
        return _HeadPlaces(self.layout, self.num_heads)


def fused_attention(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, dropout: float = 0.0) -> Tensor:
    """torch's kernel, which has no weights in memory: [B, H, Q, D/H] and twice [B, H, T, D/H] -> [B, H, Q, D/H].

    `mask` is [B, 1, 1, T]: True where there is a piece, or what is added to the scores.
    """
    return F.scaled_dot_product_attention(query, key, value, attn_mask=mask, dropout_p=dropout)


class _HeadPlaces:
    """From rows to the heads of padded windows and back, in one step each way.

    A row of projections is seen as 3 H short rows. Group by group stand S = sum of B x H x T places of a head's piece,
    three times as many for queries, keys and values together ([3, B, H, T] of each group). In the padding stands any
    piece: as a key it is masked, and what it asks for is not looked at.

    Attributes:
        shapes: (B, T) of each group.
        biases: for each group, [B * H, 1, T], 0 or minus infinity; None where no window is padded.
    """

    def __init__(self, layout: UnpaddedLayout, num_heads: int) -> None:
        groups = layout.groups
        self.num_heads, self.num_pieces = num_heads, layout.num_pieces
        self.shapes = groups.shapes
        self.biases = [None if mask is None else _bias(mask, num_heads) for mask in groups.masks]
        num_places = sum(number * length for number, length in self.shapes)
        piece_places = torch.arange(num_places) if groups.index is None else groups.index[: self.num_pieces]
        row_of_place = torch.zeros(num_places, dtype=torch.int64).index_copy_(
            0, piece_places, torch.arange(len(piece_places))
        )
        is_padding = torch.ones(num_places, dtype=torch.bool).index_fill_(0, piece_places, False)
        head, part = torch.arange(num_heads)[:, None], torch.arange(3)[:, None, None, None]
        projected, contexts, paddings = [], [], []
        for rows, padded in zip(self._by_group(row_of_place), self._by_group(is_padding), strict=True):  # [B, 1, T]
            projected.append(((rows * 3 + part) * num_heads + head).flatten())  # [3, B, H, T]
            contexts.append((rows * num_heads + head).flatten())  # [B, H, T]
            paddings.append(padded.expand(-1, num_heads, -1))
        self._projected, self._context = torch.cat(projected), torch.cat(contexts)
        of_contexts = torch.cat([padding.flatten() for padding in paddings])
        of_projected = torch.cat([padding.expand(3, *padding.shape).flatten() for padding in paddings])
        self._padding = of_contexts.nonzero().squeeze(1)
        self._from_projected = _inverse(self._projected, of_projected, layout.num_rows * 3 * num_heads)
        self._from_context = _inverse(self._context, of_contexts, layout.num_rows * num_heads)

    def _by_group(self, places: Tensor) -> Iterator[Tensor]:
        start = 0
        for number, length in self.shapes:
            yield places[start : start + number * length].view(number, 1, length)
            start += number * length

    def heads(self, projected: Tensor) -> Tensor:
        """[R, 3 D] -> [3 S, D/H]."""
        return projected.reshape(len(self._from_projected), -1).index_select(0, self._projected)

    def projected(self, heads: Tensor) -> Tensor:
        """[3 S, D/H] gradients -> [R, 3 D], 0 in the rows that are no pieces."""
        rows = heads.index_select(0, self._from_projected).view(-1, 3 * self.num_heads * heads.shape[1])
        rows[self.num_pieces :] = 0.0
        return rows

    def rows(self, contexts: Tensor) -> Tensor:
        """[S, D/H] -> [R, D], 0 in the rows that are no pieces."""
        rows = contexts.index_select(0, self._from_context).view(-1, self.num_heads * contexts.shape[1])
        rows[self.num_pieces :] = 0.0
        return rows

    def contexts(self, rows: Tensor) -> Tensor:
        """[R, D] gradients -> [S, D/H], 0 in the padding."""
        heads = rows.reshape(len(self._from_context), -1).index_select(0, self._context)
        return heads.index_fill_(0, self._padding, 0.0)

    def groups(self, heads: Tensor, parts: int) -> Iterator[Tensor]:
        """[parts * S, D/H] -> for each group [parts, B * H, T, D/H], in the same memory."""
        start = 0
        for number, length in self.shapes:
            end = start + parts * number * self.num_heads * length
            yield heads[start:end].view(parts, number * self.num_heads, length, -1)
            start = end


def _bias(mask: Tensor, num_heads: int) -> Tensor:
    """[B, 1, 1, T], true where there is a piece -> [B * H, 1, T] in bf16, added to scores."""
    shut = torch.zeros(mask.shape, dtype=torch.bfloat16).masked_fill(~mask, float("-inf"))
    return shut.expand(-1, num_heads, -1, -1).flatten(0, 1)


def _inverse(rows: Tensor, is_padding: Tensor, num_rows: int) -> Tensor:
    """For each row the place that is made from it; 0 for a row that stands in no place."""
    places = (~is_padding).nonzero().squeeze(1)
    return torch.zeros(num_rows, dtype=torch.int64).index_copy_(0, rows[places], places)


class _ByProducts(torch.autograd.Function):
    """[R, 3 D] -> [R, D] in bf16 on a CPU: two batched products with the softmax between them.

    Dropped weights are drawn as bytes (see `spanbert.dropout`). Kept ones are scaled where that spares a pass over the
    weights: in what comes out, and in the gradient that comes in.
    """

    @staticmethod
    def forward(ctx: Any, projected: Tensor, places: _HeadPlaces, dropout: float) -> Tensor:
        heads = places.heads(projected)
        contexts = heads.new_empty(len(heads) // 3, heads.shape[1])
        weights, kept = [], []
        groups = zip(places.groups(heads, 3), places.groups(contexts, 1), places.biases, strict=True)
        for (query, key, value), (context,), bias in groups:
            scores = _scaled_product(query, key.mT, bias)  # [B * H, T, T]
            # Into the same memory: each row is read before it is written, and fresh memory is slow memory.
            weights.append(torch.softmax(scores, dim=-1, out=scores))
            if dropout:
                kept.append(draw_kept_bits(scores, dropout))
            torch.bmm(keep_bits(scores, kept[-1]) if dropout else scores, value, out=context)
        ctx.save_for_backward(heads, *weights, *kept)
        ctx.places, ctx.dropout = places, dropout
        rows = places.rows(contexts)
        return rows.mul_(kept_scale(dropout)) if dropout else rows

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Tensor, None, None]:
        places: _HeadPlaces = ctx.places
        heads, *saved = ctx.saved_tensors
        weights, kept = saved[: len(places.shapes)], saved[len(places.shapes) :] or [None] * len(places.shapes)
        upstream = grads[0] * kept_scale(ctx.dropout) if ctx.dropout else grads[0]
        gradients = torch.empty_like(heads)
        for group, gradient, (context,), weight, bits in zip(
            places.groups(heads, 3),
            places.groups(gradients, 3),
            places.groups(places.contexts(upstream), 1),
            weights,
            kept,
            strict=True,
        ):
            _group_backward(group, gradient, context, weight, bits)
        return places.projected(gradients), None, None


def _group_backward(heads: Tensor, gradients: Tensor, context: Tensor, weights: Tensor, kept: Tensor | None) -> None:
    """Fill the gradients of queries, keys and values, [3, B * H, T, D/H], given that of the context."""
    query, key, value = heads.unbind(0)
    torch.bmm((weights if kept is None else keep_bits(weights, kept)).mT, context, out=gradients[2])
    for_weights = torch.bmm(context, value.mT)
    if kept is not None:
        for_weights.view(torch.int16).bitwise_and_(kept)
    for_scores = torch._softmax_backward_data(for_weights, weights, -1, weights.dtype, grad_input=for_weights)
    _scaled_product(for_scores, key, out=gradients[0])
    _scaled_product(for_scores.mT, query, out=gradients[1])


def _scaled_product(left: Tensor, right: Tensor, bias: Tensor | None = None, out: Tensor | None = None) -> Tensor:
    """Two batches of matrices, the product times (D/H) ** -0.5, plus the bias."""
    head_width = left.shape[-1] if out is None else out.shape[-1]
    added = left.new_empty(1, 1, 1) if bias is None else bias
    return torch.baddbmm(added, left, right, beta=0 if bias is None else 1, alpha=head_width**-0.5, out=out)


def _compiled_products(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, dropout: float) -> Tensor:
    """`_ByProducts` in terms that a compiler takes apart: three [B, H, T, D/H] -> one."""
    with torch.autocast("cpu", enabled=False):  # autocast would take the softmax to fp32
        scores = torch.matmul(query * query.shape[-1] ** -0.5, key.mT)
        if mask is not None:
            scores = scores.masked_fill(~mask, float("-inf"))
        return torch.matmul(F.dropout(torch.softmax(scores, dim=-1), dropout), value)
