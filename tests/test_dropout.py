"""Dropout on a CPU: as many zeros as asked for, the same expectation, and gradients only where values were kept."""

from __future__ import annotations

import pytest
import torch

from spanbert.dropout import Dropout


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("probability", [0.1, 0.5, 0.999])
def test_the_expectation_stays_and_gradients_follow(dtype: torch.dtype, probability: float) -> None:
    torch.manual_seed(0)
    values = torch.ones(301, 67, dtype=dtype, requires_grad=True)
    dropped = Dropout(probability)(values)
    rounded = min(round(probability * 256), 255) / 256
    assert float((dropped == 0).float().mean()) == pytest.approx(rounded, abs=0.01)
    assert float(dropped.detach().float().max()) == pytest.approx(1 / (1 - rounded), rel=0.01)
    dropped.sum().backward()
    assert values.grad is not None
    assert torch.equal(values.grad == 0, dropped == 0)


def test_it_is_a_function_of_the_seed_and_only_of_training() -> None:
    module, values = Dropout(0.3), torch.randn(5, 9)
    torch.manual_seed(1)
    first = module(values)
    assert not torch.equal(module(values), first)
    torch.manual_seed(1)
    assert torch.equal(module(values), first)
    assert torch.equal(module.eval()(values), values)
