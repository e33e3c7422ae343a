"""The encoder's layers for prediction in bf16 on a CPU: what autocast computes, about 1.4 times as fast.

Autocast takes weights to bf16 at every start, and LayerNorm and what is added before it to fp32 in every layer. Here
weights are in bf16 once, in the order in which oneDNN multiplies; query, key and value are one product; bias, GELU and
the residual are part of the product before them; everything between is bf16, and attention's padding is gathered in one
step. docs/performance.md has what this brings.
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

from spanbert.encoder import Layer, LayerStack
from spanbert.task_model import TaskModel
from spanbert.unpadded import UnpaddedLayout

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
    bert._modules["encoder"] = PackedLayers(model.bert.encoder, hidden_act)
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
    """

    def __init__(self, layers: LayerStack, hidden_act: str) -> None:
        super().__init__()
        self._original = (layers,)  # in a tuple: its parameters are not this module's
        self._hidden_act = hidden_act
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
                self._packed = _Packed([_PackedLayer(layer, self._hidden_act) for layer in _layers_of(original)], state)
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
    """

    shapes: Sequence[tuple[int, int]]
    masks: Sequence[Tensor | None]
    row: Tensor | None
    place: Tensor | None

    @classmethod
    def of(cls, layout: UnpaddedLayout) -> PaddedWindows:
        """From a layout on the CPU."""
        groups = layout.groups
        masks = [None if mask is None else _added(mask) for mask in groups.masks]
        if groups.index is None:
            return cls(groups.shapes, masks, None, None)
        place = groups.index.clone()
        place[groups.num_pieces :] = 0
        row = torch.zeros(sum(number * length for number, length in groups.shapes), dtype=torch.int64)
        row[place[: groups.num_pieces]] = torch.arange(groups.num_pieces)
        return cls(groups.shapes, masks, row, place)

    def attend(self, query_key_value: Tensor, num_heads: int) -> Tensor:
        """[R, 3 D] -> [R, D].

        In the padding stand the numbers of some piece instead of zeros, which spares filling it: as keys they are
        masked, and what they ask for is not looked at.
        """
        padded = query_key_value if self.row is None else query_key_value.index_select(0, self.row)
        contexts = []
        start = 0
        for (number, length), mask in zip(self.shapes, self.masks, strict=True):
            group = padded[start : start + number * length].view(number, length, 3, num_heads, -1)
            start += number * length
            query, key, value = group.permute(2, 0, 3, 1, 4).unbind(0)
            context = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
            contexts.append(context.transpose(1, 2).reshape(number * length, -1))
        joined = contexts[0] if len(contexts) == 1 else torch.cat(contexts)
        if self.place is not None:
            return joined.index_select(0, self.place)
        return F.pad(joined, (0, 0, 0, len(query_key_value) - len(joined)))


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
        self._activation = _FUSED_ACTIVATIONS[hidden_act]
        self._query_key_value = _PackedLinear(attention.self.query, attention.self.key, attention.self.value)
        self._attended = _PackedLinear(attention.output.dense)
        self._attended_norm = attention.output.LayerNorm
        self._intermediate = _PackedLinear(layer.intermediate.dense)
        self._output = _PackedLinear(layer.output.dense)
        self._output_norm = layer.output.LayerNorm

    def __call__(self, hidden: Tensor, windows: PaddedWindows) -> Tensor:
        context = windows.attend(self._query_key_value(hidden), self._num_heads)
        hidden = self._attended_norm(self._attended.add(context, hidden))
        between = self._intermediate(hidden, self._activation)
        normalised: Tensor = self._output_norm(self._output.add(between, hidden))
        return normalised


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
