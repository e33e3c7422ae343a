"""The machine's ceiling: products of matrices through torch, nothing else.

Settings: `device`, `precision` ("fp32" or "bf16"), and `products`: [batch, m, k, n, times] each, batch 0 for plain
matrices. A round does all of them; units are 1e9 floating point operations.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from side_by_side.worker import Job, serve


def load(settings: dict[str, Any]) -> Job:
    """Random matrices of the shapes that the settings name, and the products."""
    torch.set_num_threads(settings["threads"])
    device = torch.device(settings["device"])
    dtype = torch.bfloat16 if settings["precision"] == "bf16" else torch.float32
    pairs: list[tuple[Tensor, Tensor, int]] = []
    flop = 0
    for batch, m, k, n, times in settings["products"]:
        left, right = ((batch, m, k), (batch, k, n)) if batch else ((m, k), (k, n))
        pairs.append(
            (torch.randn(left, device=device, dtype=dtype), torch.randn(right, device=device, dtype=dtype), times)
        )
        flop += 2 * max(1, batch) * m * k * n * times

    def run() -> float:
        for left, right, times in pairs:
            for _ in range(times):
                torch.matmul(left, right)
        if device.type == "cuda":
            torch.cuda.synchronize()
        return flop / 1e9

    return Job(run, warm_up=2)


if __name__ == "__main__":
    serve(load)
