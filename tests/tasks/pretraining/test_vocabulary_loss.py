"""The losses without logits equal torch's cross-entropy of logits, value and gradients."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from torch import Tensor

from spanbert.tasks.pretraining.vocabulary_loss import Predicted, summed_losses

Tensors = list[Tensor]


def make(num_pieces: int, width: int, rows: tuple[int, ...], scale: float, seed: int) -> tuple[Tensors, Tensors]:
    """Embeddings, then features and a bias for each head; and the labels, every third of them without a loss."""
    torch.manual_seed(seed)
    tensors = [torch.randn(num_pieces, width) * scale]
    labels = []
    for number in rows:
        tensors += [torch.randn(number, width), torch.randn(num_pieces)]
        labels.append(torch.randint(0, num_pieces, (number,)))
        labels[-1][2::3] = -100
    return [tensor.requires_grad_() for tensor in tensors], labels


def plain(tensors: Tensors, labels: Tensors) -> Tensors:
    """What torch makes of the logits."""
    heads = zip(tensors[1::2], tensors[2::2], labels, strict=True)
    return [F.cross_entropy(F.linear(x, tensors[0], bias), y, reduction="sum") for x, bias, y in heads]


def ours(tensors: Tensors, labels: Tensors) -> Tensors:
    """The same without logits."""
    heads = zip(tensors[1::2], tensors[2::2], labels, strict=True)
    return summed_losses([Predicted(x, bias, y) for x, bias, y in heads], tensors[0])


def with_gradients(losses: Tensors, tensors: Tensors) -> tuple[Tensors, Tensors]:
    """The losses and the gradients of a weighted sum of them."""
    total = torch.stack([loss * (number + 1) for number, loss in enumerate(losses)]).sum()
    return [loss.detach() for loss in losses], list(torch.autograd.grad(total, tensors))


@given(
    num_pieces=st.sampled_from((7, 1024, 1025, 2500)),
    rows=st.lists(st.integers(1, 20), min_size=1, max_size=2).map(tuple),
    seed=st.integers(0, 9),
)
def test_equals_cross_entropy_in_fp32(num_pieces: int, rows: tuple[int, ...], seed: int) -> None:
    tensors, labels = make(num_pieces, 24, rows, 0.3, seed)
    for one, other in zip(
        with_gradients(ours(tensors, labels), tensors), with_gradients(plain(tensors, labels), tensors), strict=True
    ):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_is_as_near_to_fp32_in_bf16_as_cross_entropy_under_autocast() -> None:
    tensors, labels = make(3000, 64, (40, 30), 0.2, 0)
    exact_losses, exact = with_gradients(plain(tensors, labels), tensors)
    with torch.autocast("cpu", torch.bfloat16):
        losses, gradients = with_gradients(ours(tensors, labels), tensors)
        _, peer = with_gradients(plain(tensors, labels), tensors)
    torch.testing.assert_close(losses, exact_losses, rtol=2e-3, atol=0.0)
    for mine, other, right in zip(gradients, peer, exact, strict=True):
        error, allowed = (mine - right).norm() / right.norm(), (other - right).norm() / right.norm()
        assert float(error) < 1.5 * float(allowed) + 1e-3


def test_logits_far_above_those_of_the_first_chunk_do_not_overflow() -> None:
    tensors, labels = make(2500, 24, (6,), 0.1, 0)
    with torch.no_grad():
        tensors[2][2000] = 500.0  # exp of it is no number of fp32
    for one, other in zip(
        with_gradients(ours(tensors, labels), tensors), with_gradients(plain(tensors, labels), tensors), strict=True
    ):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_rows_without_a_label_have_no_loss_and_no_gradient() -> None:
    tensors, labels = make(50, 8, (5,), 1.0, 0)
    labels[0][:] = -100
    losses, gradients = with_gradients(ours(tensors, labels), tensors)
    assert losses[0] == 0.0
    assert all(not gradient.any() for gradient in gradients)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_state_that_is_no_number_gives_a_loss_that_is_none(value: float) -> None:
    tensors, labels = make(50, 8, (5,), 1.0, 0)
    with torch.no_grad():
        tensors[1][0, 0] = value
    assert not torch.isfinite(ours(tensors, labels)[0])
