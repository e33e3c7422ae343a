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
    seed = int(torch.randint(2**62, ()))
    words = np.random.Generator(np.random.SFC64(seed)).integers(
        2**64 - 1, size=-(-values.numel() // 8), dtype=np.uint64, endpoint=True
    )
    # numpy compares bytes ten times as fast as torch does.
    kept = words.view(np.uint8)[: values.numel()] >= _num_dropped(probability)
    if values.dtype == torch.bfloat16:
        dropped: Tensor = _KeepBits.apply(values, kept)  # type: ignore[no-untyped-call]
        return dropped
    return values.masked_fill(~torch.from_numpy(kept).view(values.shape), 0.0)


class _KeepBits(torch.autograd.Function):
    """16-bit values times 0 or 1, as an AND of their bits: several times as fast as a product or a fill of bf16."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, kept: npt.NDArray[np.bool_]) -> Tensor:
        mask = kept.astype(np.int16)
        np.negative(mask, out=mask)  # all bits of what is kept
        ctx.mask = torch.from_numpy(mask).view(values.shape)
        masked: Tensor = values.view(torch.int16) & ctx.mask
        return masked.view(values.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Tensor, None]:
        grad = grads[0].contiguous()
        return (grad.view(torch.int16) & ctx.mask).view(grad.dtype), None


def kept_scale(probability: float) -> float:
    """What kept elements are multiplied with, so that the expectation stays."""
    return _LEVELS / (_LEVELS - _num_dropped(probability))


def _num_dropped(probability: float) -> int:
    """How many of the levels stand for 0; never all, since nothing that is left could keep the expectation then."""
    return min(round(probability * _LEVELS), _LEVELS - 1)
