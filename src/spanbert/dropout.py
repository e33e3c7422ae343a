"""Dropout whose random numbers are cheap on a CPU.

torch draws one number of its Mersenne Twister for every element there, in one thread: half the time of a fine-tuning
step with attention dropout (docs/performance.md). Here eight elements share a 64-bit number of a faster generator.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

_LEVELS = 256  # of a random byte


class Dropout(nn.Module):
    """Dropout (Srivastava et al. 2014); on a CPU its probability is rounded to a multiple of 1/256.

    Args:
        probability: that an element becomes 0.
    """

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = float(probability)

    def forward(self, values: Tensor) -> Tensor:
        """The values, in training with some at 0 and the others scaled up; any shape."""
        if not self.training or not self.probability:
            return values
        if not draws_bytes(values):
            return F.dropout(values, self.probability)
        return drop(values, self.probability) * kept_scale(self.probability)

    def extra_repr(self) -> str:
        """What `print(model)` shows."""
        return f"{self.probability}"


def draws_bytes(values: Tensor) -> bool:
    """Whether dropout of these values uses `drop`; a GPU's own generator is fast, and a compiler cannot see ours."""
    return values.device.type == "cpu" and not torch.compiler.is_compiling()


def drop(values: Tensor, probability: float) -> Tensor:
    """Values on a CPU with some at 0 and the others as they are; a function of torch's random state."""
    if values.dtype == torch.bfloat16:
        dropped: Tensor = _KeepBits.apply(values, draw_kept_bits(values, probability))  # type: ignore[no-untyped-call]
        return dropped
    return values.masked_fill(~torch.from_numpy(_draw_kept(values, probability)).view(values.shape), 0.0)


def draw_kept_bits(values: Tensor, probability: float) -> Tensor:
    """An int16 mask for `keep_bits` of values of this shape: all bits of what is kept, none of the rest."""
    mask = _draw_kept(values, probability).astype(np.int16)
    np.negative(mask, out=mask)
    return torch.from_numpy(mask).view(values.shape)


def keep_bits(values: Tensor, mask: Tensor) -> Tensor:
    """16-bit values times 0 or 1, as an AND of their bits: several times as fast as a product or a fill of bf16."""
    masked: Tensor = values.contiguous().view(torch.int16) & mask
    return masked.view(values.dtype)


def _draw_kept(values: Tensor, probability: float) -> npt.NDArray[np.bool_]:
    seed = int(torch.randint(2**62, ()))
    words = np.random.Generator(np.random.SFC64(seed)).integers(
        2**64 - 1, size=-(-values.numel() // 8), dtype=np.uint64, endpoint=True
    )
    # numpy compares bytes ten times as fast as torch does.
    kept: npt.NDArray[np.bool_] = words.view(np.uint8)[: values.numel()] >= _num_dropped(probability)
    return kept


class _KeepBits(torch.autograd.Function):
    """`keep_bits` there and back."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, mask: Tensor) -> Tensor:
        ctx.mask = mask
        return keep_bits(values, mask)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Tensor, None]:
        return keep_bits(grads[0], ctx.mask), None


def kept_scale(probability: float) -> float:
    """What kept elements are multiplied with, so that the expectation stays."""
    return _LEVELS / (_LEVELS - _num_dropped(probability))


def _num_dropped(probability: float) -> int:
    """How many of the levels stand for 0; never all, since nothing that is left could keep the expectation then."""
    return min(round(probability * _LEVELS), _LEVELS - 1)
