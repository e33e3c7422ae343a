"""A whole pre-training step against `transformers`, and against the machine's matrix multiply."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from side_by_side.comparison import Aim, Comparison, Options, Side, speed_ratio

_VOCAB_SIZE = 29_000
_MASKED = 0.15


@dataclass(frozen=True)
class _Setting:
    """A model, a batch, and what is to be reached."""

    layers: int
    width: int
    heads: int
    length: int
    blocks: int
    precision: str
    times_peer: float
    share_of_multiply: float | None
    peer_steps: int = 1
    our_steps: int = 4
    slow: bool = False

    @property
    def model(self) -> str:
        """Such as 4x256."""
        return f"{self.layers}x{self.width}"

    def flop_per_piece(self) -> float:
        """Forward and backward; see `_FLOP`."""
        encoder = self.layers * (2 * (4 * self.width**2 + 8 * self.width**2) + 4 * self.length * self.width)
        return 3 * (encoder + _MASKED * 2 * 2 * (self.width**2 + self.width * _VOCAB_SIZE))

    def products(self) -> list[list[int]]:
        """Every product of a step, forward and backward, as `sides.multiply` takes them."""
        rows, masked = self.blocks * self.length, round(_MASKED * self.blocks * self.length)
        head_width = self.width // self.heads
        plain = [(rows, self.width, 4 * self.width, self.layers), (rows, 4 * self.width, self.width, self.layers)]
        plain += [(rows, self.width, self.width, 4 * self.layers)]
        plain += [(masked, self.width, self.width, 2), (masked, self.width, _VOCAB_SIZE, 2)]
        products = []
        for m, k, n, times in plain:
            products += [[0, m, k, n, times], [0, m, n, k, times], [0, k, m, n, times]]
        batch, length = self.blocks * self.heads, self.length
        scores, contexts = [batch, length, head_width, length], [batch, length, length, head_width]
        return [*products, [*scores, 2 * self.layers], [*contexts, 4 * self.layers]]


_FLOP = (
    "of a piece, forward and backward, 3 x [layers x (2 x 12 D² + 4 T D) + 0.15 x 2 x 2 (D² + D V)], D being the "
    "width, T the length of a block and V the vocabulary; the last term is the two heads on 15 % of the pieces. It is "
    "what our step needs; `transformers` computes the vocabulary for every piece"
)


def comparisons(options: Options) -> list[Comparison]:
    """The rows for the device."""
    if options.device == "cuda":
        return [_comparison(_Setting(12, 768, 12, 512, 32, "bf16", 1.5, 0.45, 4, 4), options)]
    return [
        _comparison(_Setting(4, 256, 4, 256, 32, "bf16", 4.0, 0.40), options),
        _comparison(_Setting(4, 256, 4, 256, 32, "fp32", 2.5, None, our_steps=1), options),
        _comparison(_Setting(12, 768, 12, 512, 4, "bf16", 2.0, 0.50, peer_steps=2, our_steps=3, slow=True), options),
    ]


def _comparison(setting: _Setting, options: Options) -> Comparison:
    gpu = options.device == "cuda"
    name = f"pretraining-{setting.model}-{setting.precision}{'-gpu' if gpu else ''}"
    compiled = ", compiled" if gpu else ""
    shared = {
        "weights": str(options.scratch / f"pretraining-{setting.model}"),
        "layers": setting.layers,
        "width": setting.width,
        "heads": setting.heads,
        "vocab_size": _VOCAB_SIZE,
        "length": setting.length,
        "blocks": setting.blocks,
        "precision": setting.precision,
        "device": options.device,
        "compile": gpu,
    }
    sides = (
        *_steps(setting, shared, "", f", hidden dropout 0.1{compiled}", 0.1),
        *_steps(setting, shared, "-plain", f", no dropout{compiled}", 0.0),
        Side(
            "peer-default",
            f"transformers, its defaults (attention dropout 0.1 too){compiled}",
            "pretraining_transformers",
            shared | {"steps": setting.peer_steps, "dropout": 0.1, "attention_dropout": 0.1},
        ),
        *_ceilings(setting, options.device),
    )
    share = setting.share_of_multiply
    gigaflop = setting.flop_per_piece() / 1e9
    aims = [
        Aim("speed, equal dropout", speed_ratio("ours", "peer"), least=setting.times_peer),
        Aim("speed, no dropout", speed_ratio("ours-plain", "peer-plain"), least=setting.times_peer),
        Aim("speed, defaults against defaults", speed_ratio("ours", "peer-default"), least=setting.times_peer),
        Aim(
            "share of the multiply, large square, no dropout",
            lambda results: results["ours-plain"].speed * gigaflop / results["square"].speed,
            least=share,
            unit="%",
        ),
        Aim(
            "share of the multiply, the model's own products, no dropout",
            lambda results: results["ours-plain"].speed * gigaflop / results["products"].speed,
            unit="%",
        ),
    ]
    return Comparison(
        name=name,
        title=f"Pre-training step, {setting.layers} x {setting.width}, {setting.precision}{', GPU' if gpu else ''}",
        does=(
            f"{setting.blocks} full blocks of {setting.length} random pieces, vocabulary {_VOCAB_SIZE:,}, 15 % masked "
            f"in spans; forward, backward, clipping, AdamW, {setting.precision}"
            f"{' autocast' if setting.precision == 'bf16' else ''}. Ours: MLM and SBO; `transformers`: "
            "BertForMaskedLM, MLM only, its fused attention. The first side is our defaults: dropout of hidden states, "
            "none in attention"
        ),
        unit="pieces",
        sides=sides,
        aims=tuple(aims),
        flop=_FLOP,
        flop_per_unit=setting.flop_per_piece(),
        flop_sides=("ours", "ours-plain"),
        proof="MLM loss in fp32 and the norms of three of its gradients, with the same weights and without dropout",
        rounds=5,
        slow=setting.slow,
    )


def _steps(setting: _Setting, shared: dict[str, Any], suffix: str, words: str, dropout: float) -> list[Side]:
    """Both sides with the same dropout of hidden states, and none in attention."""
    shared = shared | {"dropout": dropout, "attention_dropout": 0.0}
    proves = not suffix
    return [
        Side(
            f"ours{suffix}",
            f"spanbert{words}",
            "pretraining_spanbert",
            shared | {"steps": setting.our_steps},
            proves,
        ),
        Side(
            f"peer{suffix}",
            f"transformers{words}",
            "pretraining_transformers",
            shared | {"steps": setting.peer_steps},
            proves,
        ),
    ]


def _ceilings(setting: _Setting, device: str) -> list[Side]:
    side = 8192 if device == "cuda" else 2048
    shared = {"device": device, "precision": setting.precision}
    square = [[0, side, side, side, 20 if device == "cuda" else 4]]
    return [
        Side("square", f"multiply, {side} x {side}", "multiply", shared | {"products": square}, unit="GFLOP"),
        Side(
            "products",
            "multiply, all products of a step",
            "multiply",
            shared | {"products": setting.products()},
            unit="GFLOP",
        ),
    ]
