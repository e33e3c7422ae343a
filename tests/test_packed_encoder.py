"""The layers for prediction in bf16 compute what the ordinary ones do, and notice new weights."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from spanbert.encoder import LayerStack, SpanBertConfig, SpanBertModel
from spanbert.packed_encoder import PackedLayers, PaddedWindows, can_pack
from spanbert.unpadded import UnpaddedLayout

LENGTHS = ([5, 33, 64, 12, 31, 9], [32, 32], [17], [40, 3])


def small_model(**options: Any) -> SpanBertModel:
    """With weights large enough that attention prefers some pieces to others."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 128}
    model = SpanBertModel(SpanBertConfig(vocab_size=100, initializer_range=0.2, **{**sizes, **options}))
    model.train(False)
    return model


def layers_and_layout(model: SpanBertModel, lengths: list[int]) -> tuple[LayerStack, Tensor, UnpaddedLayout]:
    layout = UnpaddedLayout.from_lengths(torch.tensor(lengths))
    pieces = torch.arange(layout.num_pieces) % 100
    with torch.no_grad():
        hidden = model.embeddings(layout.to_rows(pieces), layout.to_rows(layout.positions), None)
    return model.encoder, hidden, layout


needs_bf16 = pytest.mark.skipif(
    not can_pack(small_model().encoder, "gelu"), reason="this processor's library has no bf16 products"
)


def distance(one: Tensor, other: Tensor) -> float:
    """Root of the mean square."""
    return float((one - other).square().mean().sqrt())


@needs_bf16
@pytest.mark.parametrize("lengths", LENGTHS)
@pytest.mark.parametrize("hidden_act", ["gelu", "gelu_new", "relu"])
def test_states_are_those_of_the_ordinary_layers(lengths: list[int], hidden_act: str) -> None:
    layers, hidden, layout = layers_and_layout(small_model(hidden_act=hidden_act), lengths)
    with torch.inference_mode():
        exact = layers(hidden, layout, keep_all=True)
        packed = PackedLayers(layers, hidden_act)(hidden, layout, keep_all=True)
        with torch.autocast("cpu", torch.bfloat16):
            autocast = layers(hidden, layout)[-1]
    assert len(packed) == len(exact) == 4
    pieces = slice(layout.num_pieces)
    # The states have a mean square of 1. bf16 has 8 bits, autocast's products too: twice their error is the most.
    assert distance(packed[-1][pieces], exact[-1][pieces]) < max(
        2 * distance(autocast[pieces], exact[-1][pieces]), 0.01
    )
    for one, other in zip(packed, exact, strict=True):
        assert one.dtype == torch.float32
        assert distance(one[pieces], other[pieces]) < 0.04


@pytest.mark.parametrize("lengths", LENGTHS)
def test_attention_is_that_of_each_window_by_itself(lengths: list[int]) -> None:
    layout = UnpaddedLayout.from_lengths(torch.tensor(lengths))
    torch.manual_seed(0)
    rows = torch.randn(layout.num_rows, 3 * 32)
    windows = PaddedWindows.of(layout)
    in_fp32 = replace(windows, masks=[None if mask is None else mask.float() for mask in windows.masks])
    found = in_fp32.attend(rows, num_heads=2)
    assert found.shape == (layout.num_rows, 32)
    for start, length in zip(layout.starts.tolist(), lengths, strict=True):
        query, key, value = rows[start : start + length].view(length, 3, 2, 16).permute(1, 2, 0, 3)
        weights = torch.softmax(query @ key.transpose(1, 2) / 4, dim=-1)
        expected = (weights @ value).transpose(0, 1).reshape(length, 32)
        torch.testing.assert_close(found[start : start + length], expected, atol=1e-5, rtol=0)


@needs_bf16
@pytest.mark.parametrize("lengths", LENGTHS)
def test_first_pieces_alone_have_the_states_they_have_among_all(lengths: list[int]) -> None:
    layers, hidden, layout = layers_and_layout(small_model(), lengths)
    with torch.inference_mode():
        exact = layers(hidden, layout)[-1]
        full = PackedLayers(layers, "gelu")(hidden, layout)[-1]
        first = PackedLayers(layers, "gelu", only_first_pieces=True)(hidden, layout)[-1]
    starts = layout.starts
    torch.testing.assert_close(first[starts], full[starts], atol=0.04, rtol=0)  # a few units of bf16 at most
    assert distance(first[starts], exact[starts]) < max(1.5 * distance(full[starts], exact[starts]), 0.01)
    others = torch.ones(len(first), dtype=torch.bool).index_fill(0, starts, False)
    assert not first[others].any()


@needs_bf16
def test_new_weights_are_noticed() -> None:
    layers, hidden, layout = layers_and_layout(small_model(), [20, 7])
    packed = PackedLayers(layers, "gelu")
    with torch.inference_mode():
        before = packed(hidden, layout)[-1]
        assert torch.equal(packed(hidden, layout)[-1], before)
    with torch.no_grad():
        dict(layers.named_parameters())["layer.1.intermediate.dense.weight"].mul_(-1)
    with torch.inference_mode():
        after = packed(hidden, layout)[-1]
        exact = layers(hidden, layout)[-1]
    assert distance(after[:27], exact[:27]) < 0.04 < distance(after[:27], before[:27])


def test_other_layers_and_activations_are_left_to_the_ordinary_path() -> None:
    model = small_model()
    assert not can_pack(model.encoder, "silu")

    class Adapted(torch.nn.Linear):
        """Stands for a layer that adds something of its own."""

    model.encoder.get_submodule("layer.2.output").dense = Adapted(128, 64)
    assert not can_pack(model.encoder, "gelu")
