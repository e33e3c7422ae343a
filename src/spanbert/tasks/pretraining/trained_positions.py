"""Positions that training has not reached yet, and where they begin when longer sequences come.

A model that has read 128 pieces at a time knows nothing of the rows behind: they still hold the noise of the first day.
Every row would have to find for itself what makes its neighbours neighbours. But the trained rows lie near a curve on
which each step is about the same rotation (docs/performance.md, small budgets), so the curve can be followed further.
"""

from __future__ import annotations

import torch
from torch import Tensor

NUM_DIRECTIONS = 24
"""Of the space in which the rotation is sought: the principal directions of the trained rows. At 6 layers x 256 trained
on 128 positions, from 8 to 64 were tried (docs/performance.md)."""

_EDGE = 3
"""Rows left out at both ends of the trained ones: [CLS] always stands on the first, [SEP] mostly on the last."""

_ROWS_A_DIRECTION = 4
_FEWEST_ROWS = 2 * _ROWS_A_DIRECTION


def continued_positions(table: Tensor, num_trained: int) -> Tensor:
    """A position table whose untrained rows follow the curve of the trained ones.

    The trained rows are whitened in their principal directions; the rotation nearest to the steps from row to row
    (orthogonal Procrustes problem, Schönemann 1966) is applied again and again behind the last of them.

    Args:
        table: [P, D] position embeddings.
        num_trained: the rows before this one were trained.

    Returns:
        [P, D]: a new table. Unchanged where nothing is to be continued, or so few rows are trained that they show no
        curve (fewer than 14). Otherwise the last three trained rows are replaced, too.
    """
    first, end = _EDGE, num_trained - _EDGE
    if num_trained >= len(table) or end - first < _FEWEST_ROWS:
        return table.clone()
    rows = table[first:end].to(torch.float64)
    mean = rows.mean(dim=0)
    num_directions = min(NUM_DIRECTIONS, len(rows) // _ROWS_A_DIRECTION, table.shape[1])
    directions = torch.linalg.svd(rows - mean, full_matrices=False).Vh[:num_directions]  # [K, D]
    coordinates = (rows - mean) @ directions.T  # [R, K]
    scale = coordinates.square().mean(dim=0).sqrt().clamp_min(torch.finfo(torch.float32).tiny)  # [K]
    coordinates = coordinates / scale
    left, _, right = torch.linalg.svd(coordinates[:-1].T @ coordinates[1:])
    rotation = left @ right  # [K, K]
    place = _last_place(coordinates, rotation)
    continued = table.clone()
    for position in range(end, len(table)):
        place = place @ rotation
        continued[position] = (mean + (place * scale) @ directions).to(table.dtype)
    return continued


def _last_place(coordinates: Tensor, rotation: Tensor, num_rows: int = 6) -> Tensor:
    """[K] where the curve stands at the last row, told by several rows, and at its usual distance from the middle."""
    place = torch.zeros_like(coordinates[0])
    for row in coordinates[-num_rows:]:
        place = place @ rotation + row
    usual = coordinates.norm(dim=1).mean()
    at_usual: Tensor = place * (usual / place.norm().clamp_min(torch.finfo(torch.float32).tiny))
    return at_usual
