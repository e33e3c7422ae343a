"""From piece states to span representations."""

from __future__ import annotations

import torch
from torch import Tensor


def boundary_representation(hidden: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """The states at two boundary pieces of each span, side by side.

    For the span boundary objective these are the pieces just outside the span (Joshi et al. 2019, section 3.2).

    Args:
        hidden: [N, D] piece states.
        left, right: [S] positions among the N pieces.

    Returns:
        [S, 2 D].
    """
    return torch.cat((hidden.index_select(0, left), hidden.index_select(0, right)), dim=-1)
