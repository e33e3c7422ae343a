"""Scaled dot-product attention within windows: the one place where attention kernels are called."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from spanbert.dropout import draw_kept_bits, keep_bits, kept_scale
from spanbert.unpadded import UnpaddedLayout


def attend(projected: Tensor, layout: UnpaddedLayout, num_heads: int, dropout: float) -> Tensor:
    """Attention within each window; windows are padded here, in groups of similar length, and only here.

    In bf16 on a CPU, a backward pass or dropout takes several times as long in torch's fused kernel as with products of
    matrices; without either the fused kernel is several times as fast (docs/performance.md).

    Args:
        projected: [R, 3 D] queries, keys and values.
        layout: where the windows stand.
        num_heads: H.
        dropout: probability that a weight becomes 0.

    Returns:
        [R, D].
    """
    by_products = projected.device.type == "cpu" and projected.dtype == torch.bfloat16
    by_products = by_products and bool(dropout or projected.requires_grad)
    contexts = []
    for group, mask in zip(layout.groups.split(projected), layout.groups.masks, strict=True):
        if by_products and not torch.compiler.is_compiling():
            contexts.append(_ByProducts.apply(group, mask, num_heads, dropout))  # type: ignore[no-untyped-call]
            continue
        # [B, T, 3 D] -> [B, T, 3, H, D/H] -> three of [B, H, T, D/H]
        query, key, value = group.unflatten(-1, (3, num_heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)
        if by_products:
            context = _compiled_products(query, key, value, mask, dropout)
        else:
            context = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, dropout_p=dropout)
        contexts.append(context.transpose(1, 2))
    return layout.groups.join(contexts)


class _ByProducts(torch.autograd.Function):
    """[B, T, 3 D] -> [B, T, D] in bf16 on a CPU: two batched products with the softmax between them.

    Heads are brought together once each way, and dropped weights are drawn as bytes (see `spanbert.dropout`).
    """

    @staticmethod
    def forward(ctx: Any, group: Tensor, mask: Tensor | None, num_heads: int, dropout: float) -> Tensor:
        num_windows, length, width = group.shape
        by_head = group.view(num_windows, length, 3, num_heads, -1).permute(2, 0, 3, 1, 4)
        heads = by_head.reshape(3, num_windows * num_heads, length, -1)
        query, key, value = heads
        if mask is None:
            bias, beta = query.new_empty(1, 1, 1), 0
        else:
            shut = torch.zeros(mask.shape, dtype=query.dtype).masked_fill(~mask, float("-inf"))  # [B, 1, 1, T]
            bias, beta = shut.expand(-1, num_heads, -1, -1).flatten(0, 1), 1
        scores = torch.baddbmm(bias, query, key.mT, beta=beta, alpha=query.shape[-1] ** -0.5)  # [B * H, T, T]
        # Into the same memory: each row is read before it is written, and fresh memory is slow memory.
        weights = torch.softmax(scores, dim=-1, out=scores)
        kept = draw_kept_bits(weights, dropout) if dropout else None
        context = torch.bmm(weights if kept is None else keep_bits(weights, kept), value)
        if kept is not None:
            # Scaling what comes out, [B * H, T, D/H], spares a pass over the weights.
            context *= kept_scale(dropout)
        ctx.save_for_backward(heads, weights)
        ctx.kept, ctx.dropout, ctx.num_heads = kept, dropout, num_heads
        by_window = context.view(num_windows, num_heads, length, -1).transpose(1, 2)
        return by_window.reshape(num_windows, length, width // 3)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Tensor, None, None, None]:
        heads, weights = ctx.saved_tensors
        query, key, value = heads
        num_windows, length, width = grads[0].shape
        shape = (num_windows, length, ctx.num_heads, -1)
        for_context = grads[0].reshape(shape).transpose(1, 2).reshape(query.shape)
        used = weights
        if ctx.kept is not None:
            for_context = for_context * kept_scale(ctx.dropout)
            used = keep_bits(weights, ctx.kept)
        gradients = torch.empty_like(heads)  # [3, B * H, T, D/H]
        torch.bmm(used.mT, for_context, out=gradients[2])
        for_weights = torch.bmm(for_context, value.mT)
        if ctx.kept is not None:
            for_weights = keep_bits(for_weights, ctx.kept)
        for_scores = torch._softmax_backward_data(for_weights, weights, -1, weights.dtype, grad_input=for_weights)
        unused, scale = query.new_empty(1, 1, 1), query.shape[-1] ** -0.5
        torch.baddbmm(unused, for_scores, key, beta=0, alpha=scale, out=gradients[0])
        torch.baddbmm(unused, for_scores.mT, query, beta=0, alpha=scale, out=gradients[1])
        by_window = gradients.view(3, num_windows, ctx.num_heads, length, -1).permute(1, 3, 0, 2, 4)
        return by_window.reshape(num_windows, length, 3 * width), None, None, None


def _compiled_products(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, dropout: float) -> Tensor:
    """`_ByProducts` in terms that a compiler takes apart: three [B, H, T, D/H] -> one."""
    with torch.autocast("cpu", enabled=False):  # autocast would take the softmax to fp32
        scores = torch.matmul(query * query.shape[-1] ** -0.5, key.mT)
        if mask is not None:
            scores = scores.masked_fill(~mask, float("-inf"))
        return torch.matmul(F.dropout(torch.softmax(scores, dim=-1), dropout), value)
