"""The encoder's layers for prediction in bf16 on a CPU: what autocast computes, about 1.4 times as fast.

Autocast takes weights to bf16 at every start, and LayerNorm and what is added before it to fp32 in every layer. Here
weights are in bf16 once, in the order in which oneDNN multiplies; query, key and value are one product; bias, GELU and
the residual are part of the product before them; everything between is bf16, and attention's padding is gathered in one
step. Where a head reads only the first piece of each window, the last layer computes no other. docs/performance.md has
what this brings.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spanbert.attention import fused_attention
from spanbert.encoder import Layer, LayerStack, SelfAttention
from spanbert.task_model import TaskModel
from spanbert.unpadded import UnpaddedLayout, few_sizes

_FUSED_ACTIVATIONS = {"gelu": ("gelu", "none"), "gelu_new": ("gelu", "tanh"), "relu": ("relu", "")}
"""By `hidden_act`, what oneDNN calls it: the activation and its algorithm."""

_TYPICAL_ROWS = 2048
"""The best order of a weight depends a little on the number of rows it is multiplied with."""

TaskModelT = TypeVar("TaskModelT", bound=TaskModel)
ModuleT = TypeVar("ModuleT", bound=nn.Module)


def with_packed_layers(model: TaskModelT) -> TaskModelT:
    """A view of a model that encodes with `PackedLayers` and shares everything else with it; only for prediction.

    It is the model itself where `can_pack` says no.
    """
    hidden_act = str(model.config.hidden_act)
    if not can_pack(model.bert.encoder, hidden_act):
        return model
    view = _shallow_copy(model)
    view._modules["bert"] = bert = _shallow_copy(model.bert)
    bert._modules["encoder"] = PackedLayers(
        model.bert.encoder, hidden_act, only_first_pieces=model.reads_only_first_pieces
    )
    return view


def can_pack(layers: LayerStack, hidden_act: str) -> bool:
    """Whether `PackedLayers` compute what these layers do: on a CPU whose library multiplies bf16, with an activation
    that it knows, and without adapters."""
    return (
        hidden_act in _FUSED_ACTIVATIONS
        and all(type(linear) is nn.Linear and linear.weight.device.type == "cpu" for linear in _linear_layers(layers))
        and torch.backends.mkldnn.is_available()
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
        and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    )


class PackedLayers(nn.Module):
    """Computes what a `LayerStack` does, from copies of its weights. Threads can share it.

    The copies are made when they are needed first, and anew after a parameter was changed.

    Args:
        layers: whose weights to copy.
        hidden_act: `hidden_act` of the configuration.
        only_first_pieces: the last states of each window's first piece are right, all others 0.
    """

    def __init__(self, layers: LayerStack, hidden_act: str, *, only_first_pieces: bool = False) -> None:
        super().__init__()
        self._original = (layers,)  # in a tuple: its parameters are not this module's
        self._hidden_act = hidden_act
        self._only_first_pieces = only_first_pieces
        self._packed: _Packed | None = None
        self._lock = threading.Lock()

    def forward(self, hidden: Tensor, layout: UnpaddedLayout, *, keep_all: bool = False) -> list[Tensor]:
        """As `LayerStack`'s: fp32 [R, D] in and out, for a layout on the CPU."""
        windows = PaddedWindows.of(layout)
        states = [hidden.to(torch.bfloat16)]
        with torch.autocast("cpu", enabled=False):
            for layer in self._layers():
                states = [*(states if keep_all else []), layer(states[-1], windows)]
        return [state.float() for state in states]

    def _layers(self) -> Sequence[_PackedLayer]:
        (original,) = self._original
        with self._lock:
            state = [(parameter.data_ptr(), parameter._version) for parameter in original.parameters()]
            if self._packed is None or self._packed.state != state:
                *others, last = _layers_of(original)
                packed = [_PackedLayer(layer, self._hidden_act) for layer in others]
                last_type = _FirstPiecesLayer if self._only_first_pieces else _PackedLayer
                self._packed = _Packed([*packed, last_type(last, self._hidden_act)], state)
            return self._packed.layers


@dataclass(frozen=True)
class PaddedWindows:
    """The windows of a layout in the groups in which attention sees them (`WindowGroups`).

    Attributes:
        shapes: (B, T) of each group.
        masks: for each group, [B, 1, 1, T], 0 or minus infinity; None where no window is padded.
        row: [P] for each padded piece of all groups the row it is made from, any where it is none; None where rows and
            padded pieces are the same.
        place: [R] the inverse; any for rows that are no pieces.
        first_rows: [b] the row of each window's first piece; b >= B is one of few sizes, and what is behind B any row.
        order: [B] the windows in the order in which they stand in the groups.
    """

    shapes: Sequence[tuple[int, int]]
    masks: Sequence[Tensor | None]
    row: Tensor | None
    place: Tensor | None
    first_rows: Tensor
    order: Tensor

    @classmethod
    def of(cls, layout: UnpaddedLayout) -> PaddedWindows:
        """From a layout on the CPU."""
        groups = layout.groups
        masks = [None if mask is None else _added(mask) for mask in groups.masks]
        first_rows = F.pad(layout.starts, (0, few_sizes(layout.num_windows) - layout.num_windows))
        if groups.index is None:
            return cls(groups.shapes, masks, None, None, first_rows, torch.arange(layout.num_windows))
        place = groups.index.clone()
        place[groups.num_pieces :] = 0
        row = torch.zeros(sum(number * length for number, length in groups.shapes), dtype=torch.int64)
        row[place[: groups.num_pieces]] = torch.arange(groups.num_pieces)
        return cls(groups.shapes, masks, row, place, first_rows, place[layout.starts].argsort())

    def attend(self, query_key_value: Tensor, num_heads: int) -> Tensor:
        """[R, 3 D] -> [R, D].

        In the padding stand the numbers of some piece instead of zeros, which spares filling it: as keys they are
        masked, and what they ask for is not looked at.
        """
        contexts = []
        for (query, key, value), mask in zip(self._by_group(query_key_value, 3, num_heads), self.masks, strict=True):
            contexts.append(fused_attention(query, key, value, mask).transpose(1, 2).flatten(2).flatten(0, 1))
        joined = contexts[0] if len(contexts) == 1 else torch.cat(contexts)
        if self.place is not None:
            return joined.index_select(0, self.place)
        return F.pad(joined, (0, 0, 0, len(query_key_value) - len(joined)))

    def attend_first(self, query: Tensor, key_value: Tensor, num_heads: int) -> Tensor:
        """[b, D] queries of `first_rows` and [R, 2 D] keys and values of all rows -> [b, D]."""
        queries = query.index_select(0, self.order).view(len(self.order), num_heads, 1, -1)
        contexts = []
        start = 0
        for (key, value), mask in zip(self._by_group(key_value, 2, num_heads), self.masks, strict=True):
            of_group = queries[start : start + len(key)]
            start += len(key)
            contexts.append(fused_attention(of_group, key, value, mask).flatten(1))
        return torch.zeros_like(query).index_copy_(0, self.order, torch.cat(contexts))

    def _by_group(self, rows: Tensor, parts: int, num_heads: int) -> Iterator[Sequence[Tensor]]:
        """[R, parts * D] -> for each group `parts` tensors [B, H, T, D/H]."""
        padded = rows if self.row is None else rows.index_select(0, self.row)
        start = 0
        for number, length in self.shapes:
            group = padded[start : start + number * length].view(number, length, parts, num_heads, -1)
            start += number * length
            yield group.permute(2, 0, 3, 1, 4).unbind(0)


class _PackedLinear:
    """A linear layer, or several of the same input side by side, in bf16: [R, in] -> [R, out]."""

    def __init__(self, *layers: nn.Linear) -> None:
        weight = torch.cat([layer.weight.detach() for layer in layers]).to(torch.bfloat16)
        # Operators that torch.compile puts in the place of linear layers; nothing public gives the same.
        self._weight = torch.ops.mkldnn._reorder_linear_weight(weight, _TYPICAL_ROWS)
        self._bias = torch.cat([layer.bias.detach() for layer in layers]).to(torch.bfloat16)

    def __call__(self, rows: Tensor, activation: tuple[str, str] = ("none", "")) -> Tensor:
        """The product and the bias, and what oneDNN's activation and its algorithm make of them."""
        name, algorithm = activation
        product: Tensor = torch.ops.mkldnn._linear_pointwise(rows, self._weight, self._bias, name, [], algorithm)
        return product

    def add(self, rows: Tensor, residual: Tensor) -> Tensor:
        """The product, the bias and the residual [R, out]."""
        total: Tensor = torch.ops.mkldnn._linear_pointwise.binary(rows, residual, self._weight, self._bias, "add")
        return total


class _PackedLayer:
    """A Transformer layer: bf16 [R, D] -> bf16 [R, D]. LayerNorm has its own weights, and computes in fp32 inside."""

    def __init__(self, layer: Layer, hidden_act: str) -> None:
        attention = layer.attention
        self._num_heads = attention.self.num_heads
        self._pack_projections(attention.self)
        self._activation = _FUSED_ACTIVATIONS[hidden_act]
        self._attended = _PackedLinear(attention.output.dense)
        self._attended_norm = attention.output.LayerNorm
        self._intermediate = _PackedLinear(layer.intermediate.dense)
        self._output = _PackedLinear(layer.output.dense)
        self._output_norm = layer.output.LayerNorm

    def __call__(self, hidden: Tensor, windows: PaddedWindows) -> Tensor:
        return self._after_attention(windows.attend(self._query_key_value(hidden), self._num_heads), hidden)

    def _pack_projections(self, attention: SelfAttention) -> None:
        self._query_key_value = _PackedLinear(attention.query, attention.key, attention.value)

    def _after_attention(self, context: Tensor, hidden: Tensor) -> Tensor:
        hidden = self._attended_norm(self._attended.add(context, hidden))
        between = self._intermediate(hidden, self._activation)
        normalised: Tensor = self._output_norm(self._output.add(between, hidden))
        return normalised


class _FirstPiecesLayer(_PackedLayer):
    """The same for the first piece of each window, and 0 for all others."""

    def __call__(self, hidden: Tensor, windows: PaddedWindows) -> Tensor:
        first = hidden.index_select(0, windows.first_rows)
        context = windows.attend_first(self._query(first), self._key_value(hidden), self._num_heads)
        number = len(windows.order)
        computed = self._after_attention(context, first)[:number]
        return torch.zeros_like(hidden).index_copy_(0, windows.first_rows[:number], computed)

    def _pack_projections(self, attention: SelfAttention) -> None:
        self._query = _PackedLinear(attention.query)
        self._key_value = _PackedLinear(attention.key, attention.value)


@dataclass(frozen=True)
class _Packed:
    """Layers made from weights, and what tells that the weights are still those: places in memory and versions."""

    layers: Sequence[_PackedLayer]
    state: Sequence[tuple[int, int]]


def _added(mask: Tensor) -> Tensor:
    """True where there is a piece -> what is added to scores."""
    return torch.zeros_like(mask, dtype=torch.bfloat16).masked_fill_(~mask, float("-inf"))


def _layers_of(layers: LayerStack) -> Iterator[Layer]:
    for layer in layers.layer:
        assert isinstance(layer, Layer)
        yield layer


def _linear_layers(layers: LayerStack) -> Iterator[nn.Linear]:
    for layer in _layers_of(layers):
        yield from (layer.attention.self.query, layer.attention.self.key, layer.attention.self.value)
        yield from (layer.attention.output.dense, layer.intermediate.dense, layer.output.dense)


def _shallow_copy(module: ModuleT) -> ModuleT:
    """A module with the same submodules and parameters, in which others can be put without changing the original."""
    twin = copy.copy(module)
    twin._modules = dict(module._modules)
    return twin
