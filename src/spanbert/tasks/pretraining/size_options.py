"""The size of a new model: the options that several verbs share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Size = Literal["tiny", "mini", "small", "medium", "base", "large"]

SIZES: dict[Size, tuple[int, int, int]] = {
    "tiny": (2, 128, 2),
    "mini": (4, 256, 4),
    "small": (4, 512, 8),
    "medium": (8, 512, 8),
    "base": (12, 768, 12),
    "large": (24, 1024, 16),
}
"""(layers, width, attention heads) by the names that Turc et al. 2019 gave to BERT's sizes."""


@dataclass(frozen=True, kw_only=True)
class SizeOptions:
    """How large a new model is: a size by its name, and what differs from it."""

    size: Size = "mini"
    """Layers x width: tiny 2 x 128, mini 4 x 256, small 4 x 512, medium 8 x 512, base 12 x 768, large 24 x 1024."""

    layers: int | None = None
    """Transformer layers, instead of the size's."""

    width: int | None = None
    """Hidden width, instead of the size's."""

    heads: int | None = None
    """Attention heads, instead of the size's."""

    sequence_length: int = 128
    """Pieces of a block, [CLS] and [SEP] counted."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """(layers, width, attention heads) of a new model."""
        layers, width, heads = SIZES[self.size]
        return (
            layers if self.layers is None else self.layers,
            width if self.width is None else self.width,
            heads if self.heads is None else self.heads,
        )
