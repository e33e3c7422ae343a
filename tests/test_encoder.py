"""The encoder against transformers' BertModel, and its layout."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import BertModel

from spanbert.attention import WindowAttention
from spanbert.encoder import SpanBertConfig, SpanBertModel
from spanbert.errors import ConfigurationError, InputError
from spanbert.unpadded import UnpaddedLayout


def tiny_config(**options: object) -> SpanBertConfig:
    fields: dict[str, object] = {
        "vocab_size": 120,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "max_position_embeddings": 40,
    }
    return SpanBertConfig(**{**fields, **options})


@pytest.fixture(scope="module")
def models() -> tuple[SpanBertModel, BertModel]:
    torch.manual_seed(0)
    ours = SpanBertModel(tiny_config(initializer_range=0.2)).eval()
    theirs = BertModel(ours.config).eval()
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs


@settings(max_examples=25, deadline=None)
@given(lengths=st.lists(st.integers(1, 40), min_size=1, max_size=6), seed=st.integers(0, 99), segments=st.booleans())
def test_states_equal_transformers_for_any_mix_of_lengths(
    models: tuple[SpanBertModel, BertModel], lengths: list[int], seed: int, segments: bool
) -> None:
    ours, theirs = models
    generator = torch.Generator().manual_seed(seed)
    shape = (len(lengths), max(lengths))
    batch = {
        "input_ids": torch.randint(0, 120, shape, generator=generator),
        "attention_mask": (torch.arange(shape[1]) < torch.tensor(lengths)[:, None]).long(),
    }
    if segments:
        batch["token_type_ids"] = torch.randint(0, 2, shape, generator=generator)
    with torch.inference_mode():
        mine, reference = ours(**batch, output_hidden_states=True), theirs(**batch, output_hidden_states=True)
    pieces = batch["attention_mask"].bool()
    for got, expected in zip(mine.hidden_states, reference.hidden_states, strict=True):
        torch.testing.assert_close(got[pieces], expected[pieces], atol=1e-5, rtol=0)
    torch.testing.assert_close(mine.pooler_output, reference.pooler_output, atol=1e-5, rtol=0)
    assert not mine.last_hidden_state[~pieces].any()


def test_padding_may_stand_anywhere(models: tuple[SpanBertModel, BertModel]) -> None:
    ours, theirs = models
    mask = torch.tensor([[1, 1, 0, 1, 0, 1], [0, 1, 1, 1, 1, 1]])
    ids = torch.randint(0, 120, mask.shape)
    with torch.inference_mode():
        got, expected = ours(ids, mask).last_hidden_state, theirs(ids, attention_mask=mask).last_hidden_state
    torch.testing.assert_close(got[mask.bool()], expected[mask.bool()], atol=1e-5, rtol=0)


def test_gradients_equal_transformers(models: tuple[SpanBertModel, BertModel]) -> None:
    ours, theirs = models
    mask = (torch.arange(20) < torch.tensor([20, 3, 11])[:, None]).long()
    ids = torch.randint(1, 120, mask.shape)
    weights = torch.randn(3, 20, 32) * mask[..., None]
    for model in (ours, theirs):
        model.zero_grad()
        (model(ids, attention_mask=mask).last_hidden_state * weights).sum().backward()
    expected = dict(theirs.named_parameters())
    for name, parameter in ours.named_parameters():
        if "pooler" not in name:
            torch.testing.assert_close(parameter.grad, expected[name].grad, atol=1e-4, rtol=1e-4, msg=name)


def test_bf16_attention_stays_near_fp32(models: tuple[SpanBertModel, BertModel]) -> None:
    ours, _ = models
    mask = (torch.arange(30) < torch.tensor([30, 7])[:, None]).long()
    ids = torch.randint(0, 120, mask.shape)
    with torch.inference_mode():
        exact = ours(ids, mask).last_hidden_state
        with torch.autocast("cpu", torch.bfloat16):
            rounded = ours(ids, mask).last_hidden_state
    assert (exact - rounded).abs().max() < 0.15  # states are about 1 in size, and bf16 has 8 bits
    assert (exact - rounded).abs().mean() < 0.02


def test_a_window_beyond_the_position_table_is_refused(models: tuple[SpanBertModel, BertModel]) -> None:
    with pytest.raises(InputError, match=r"41 pieces is longer than the model's position table \(40\)"):
        models[0](torch.zeros(1, 41, dtype=torch.int64))


def test_an_empty_row_is_refused(models: tuple[SpanBertModel, BertModel]) -> None:
    with pytest.raises(InputError, match="row 1"):
        models[0](torch.zeros(2, 3, dtype=torch.int64), torch.tensor([[1, 1, 1], [0, 0, 0]]))


@pytest.mark.parametrize("options", [{"is_decoder": True}, {"position_embedding_type": "relative_key"}])
def test_what_is_no_bert_encoder_is_refused(options: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError):
        SpanBertModel(tiny_config(**options))


def test_gradient_checkpointing_changes_nothing() -> None:
    torch.manual_seed(1)
    model = SpanBertModel(tiny_config(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)).train()
    ids = torch.randint(0, 120, (2, 10))
    model(ids).last_hidden_state.pow(2).sum().backward()
    plain = [parameter.grad.clone() for parameter in model.encoder.parameters() if parameter.grad is not None]
    model.zero_grad()
    model.activation_checkpointing_enable()
    model(ids).last_hidden_state.pow(2).sum().backward()
    again = [parameter.grad for parameter in model.encoder.parameters() if parameter.grad is not None]
    assert len(plain) == len(again) > 0
    for one, other in zip(plain, again, strict=True):
        torch.testing.assert_close(one, other)


def test_bf16_without_gradient_takes_the_fused_kernel_and_says_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    layout = UnpaddedLayout.from_lengths(torch.tensor([40, 33, 7]))
    projected = torch.randn(layout.num_rows, 96, dtype=torch.bfloat16)
    by_products = WindowAttention(layout, 4)(projected.clone().requires_grad_(), 0.0)
    monkeypatch.delattr("spanbert.attention._ByProducts")
    fused = WindowAttention(layout, 4)(projected, 0.0)
    torch.testing.assert_close(fused[:80], by_products.detach()[:80], rtol=0.02, atol=0.02)


@pytest.mark.parametrize("lengths", [[32, 32], [40, 33, 7]])
def test_gradients_of_bf16_attention_are_those_of_fp32(lengths: list[int]) -> None:
    torch.manual_seed(0)
    layout = UnpaddedLayout.from_lengths(torch.tensor(lengths))
    values = torch.randn(layout.num_rows, 96)
    upstream = torch.randn(layout.num_rows, 32)
    upstream[sum(lengths) :] = 0.0
    gradients = []
    for dtype in (torch.float32, torch.bfloat16):
        projected = values.detach().to(dtype, copy=True).requires_grad_()
        WindowAttention(layout, 4)(projected, 0.0).backward(upstream.to(dtype))
        assert projected.grad is not None
        gradients.append(projected.grad.float())
    exact, ours = gradients
    assert float((ours - exact).norm() / exact.norm()) < 0.02
    torch.testing.assert_close(ours, exact, rtol=0.1, atol=0.03)


def test_attention_dropout_in_bf16_has_the_gradient_of_what_it_computed() -> None:
    layout = UnpaddedLayout.from_lengths(torch.tensor([48]))
    projected = torch.randn(layout.num_rows, 96, dtype=torch.bfloat16).requires_grad_()
    torch.manual_seed(3)
    context = WindowAttention(layout, 4)(projected, 0.25)
    upstream = torch.randn_like(context)
    context.backward(upstream)
    assert projected.grad is not None
    # The context is linear in the values: their gradient times the values is the context times its gradient.
    of_values = (projected.grad[:, 64:].float() * projected[:, 64:].float()).sum()
    of_context = (context.float() * upstream.float()).sum()
    torch.testing.assert_close(of_values.detach(), of_context.detach(), rtol=0.02, atol=1.0)
    torch.manual_seed(3)
    assert torch.equal(WindowAttention(layout, 4)(projected, 0.25), context)
    assert not torch.equal(WindowAttention(layout, 4)(projected, 0.0), context)
