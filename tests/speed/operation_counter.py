"""Counting what torch computes: matrix products, attention, looked-up pieces and calls, forward and backward.

Everything is counted where torch hands an operation to its kernel, so the counts do not depend on how the code above is
arranged.
"""

from __future__ import annotations

import gc
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, Self

import torch
from tokenizers import Tokenizer
from torch.utils._python_dispatch import TorchDispatchMode

_ATEN = torch.ops.aten
_SIMPLE: set[Any] = {torch.ops.prim.device.default}
"""Operations that are found to be no compounds; asking takes longer than counting."""
_NO_WORK = {_ATEN.lift_fresh, _ATEN.empty, _ATEN.empty_like, _ATEN.new_empty_strided, _ATEN._local_scalar_dense}


@dataclass(frozen=True)
class Product:
    """One matrix product [rows, inner] x [inner, columns].

    Attributes:
        learning: gradients were wanted: part of a forward pass of training. False in prediction and backward.
    """

    rows: int
    inner: int
    columns: int
    dtype: torch.dtype
    learning: bool

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.rows, self.inner, self.columns

    @property
    def flops(self) -> int:
        return 2 * self.rows * self.inner * self.columns


@dataclass(frozen=True)
class Attention:
    """One call of attention over B windows padded to T pieces, forward.

    Attributes:
        rows: B times the number of heads.
        length: T.
    """

    rows: int
    length: int
    learning: bool


@dataclass(frozen=True)
class Lookup:
    """Ids looked up in one table of embeddings.

    Attributes:
        table: rows of the table.
        num_rows: ids, filling included.
        num_pieces: ids that are not [PAD], whose id is 0.
    """

    table: int
    num_rows: int
    num_pieces: int
    learning: bool


class OperationCounter(TorchDispatchMode):
    """Counts what is computed inside the `with` block, in the thread that entered it.

    Attributes:
        calls: kernels called, by name; views and empty memory are none.
        products: two-dimensional matrix products, in order.
        attention: attention's kernels, or the products of queries and keys where attention is made of products.
        lookups: embeddings, in order.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.calls: Counter[str] = Counter()
        self.products: list[Product] = []
        self.attention: list[Attention] = []
        self.lookups: list[Lookup] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func not in _SIMPLE:
            with self:  # without gradients, torch hands over compound operations whole
                parts = func.decompose(*args, **kwargs)
            if parts is not NotImplemented:
                return parts
            _SIMPLE.add(func)
        self._count(func, args)
        return func(*args, **kwargs)

    @property
    def num_calls(self) -> int:
        return self.calls.total()

    def _count(self, func: Any, args: tuple[Any, ...]) -> None:
        packet, learning = func._overloadpacket, torch.is_grad_enabled()
        if not func.is_view and packet not in _NO_WORK:
            self.calls[packet.__name__] += 1
        if packet in (_ATEN.mm, _ATEN.addmm):
            left, right = args[-2:]
            self.products.append(Product(left.shape[0], left.shape[1], right.shape[1], left.dtype, learning))
        elif packet in (_ATEN.bmm, _ATEN.baddbmm):
            left, right = args[-2:]
            if left.shape[1] == right.shape[2]:  # queries and keys; weights and values are the other product
                self.attention.append(Attention(left.shape[0], left.shape[1], learning))
        elif "scaled_dot_product" in packet.__name__ and "backward" not in packet.__name__:
            windows, heads, length, _ = args[0].shape
            self.attention.append(Attention(windows * heads, length, learning))
        elif packet is _ATEN.embedding:
            table, ids = args[:2]
            self.lookups.append(Lookup(len(table), ids.numel(), int((ids != 0).sum()), learning))


class TokenizerCalls:
    """Counts the calls of `tokenizers` that encode text, in this thread, inside the `with` block."""

    def __init__(self) -> None:
        self.number = 0

    def __enter__(self) -> Self:
        sys.setprofile(self._event)
        return self

    def __exit__(self, *error: object) -> None:
        sys.setprofile(None)

    def _event(self, frame: FrameType, event: str, called: Any) -> None:
        if event == "c_call" and isinstance(getattr(called, "__self__", None), Tokenizer):
            self.number += called.__name__.startswith("encode")


@dataclass
class LiveMost:
    """The most objects of a class that were alive at any of the moments asked for."""

    kind: type
    most: int = field(default=0)

    def look(self) -> int:
        number = sum(type(one) is self.kind for one in gc.get_objects())
        self.most = max(self.most, number)
        return number


def when_called(kind: type[torch.nn.Module], act: Callable[[], object]) -> Any:
    """Act whenever a module of a class has computed; gives a handle to remove."""

    def hook(module: torch.nn.Module, inputs: Any, output: Any) -> None:
        if isinstance(module, kind):
            act()

    return torch.nn.modules.module.register_module_forward_hook(hook)


def padded_share(attention: Iterable[Attention], *, heads: int, layers: int, num_pieces: int) -> float:
    """The share of the positions attention sees that are no pieces."""
    positions = sum(one.rows // heads * one.length for one in attention) / layers
    return 1 - num_pieces / positions
