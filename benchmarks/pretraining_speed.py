"""Pieces a second of a pre-training step, and its share of what the machine's matrix multiply gives.

    python benchmarks/pretraining_speed.py [--size mini] [--sequence-length 128] [--blocks 64] [--compile]

The step is the whole one: encoder, MLM and SBO with logits of masked positions, backward, clipping, AdamW, on random
pieces and full blocks. Rounds alternate with the multiply, which is measured as a large square in the same precision.

FLOP of a piece, forward and backward: 3 x [layers x (2 (4 D^2 + 2 D I) + 4 T D) + 0.15 x 2 x 2 (D^2 + D V)], where D is
the width, I = 4 D, T the block's length and V the vocabulary; the last term is the two heads on 15 % of the pieces.
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np
import torch

from spanbert.tasks.pretraining.batches import PretrainingBatch, assemble
from spanbert.tasks.pretraining.blocks import FlatBlocks
from spanbert.tasks.pretraining.config import SIZES
from spanbert.tasks.pretraining.head import HeadSettings, SpanBertForPreTraining, initial_config
from spanbert.tasks.pretraining.masking import MaskingConfig, MaskingVocabulary, mask_blocks
from spanbert.training.devices import (
    choose_device,
    compile_in_place,
    deterministic,
    keep_freed_memory,
    resolve_precision,
)
from spanbert.training.progress import warn

SPECIAL = (0, 1, 2, 3, 4)


def make_batch(num_blocks: int, length: int, vocab_size: int) -> PretrainingBatch:
    """Full blocks of random words, a quarter of the pieces continuing one, masked as the paper says."""
    random = np.random.default_rng(0)
    num_pieces = num_blocks * (length - 2)
    blocks = FlatBlocks(
        pieces=random.integers(5, vocab_size, num_pieces),
        word_starts=random.random(num_pieces) > 0.25,
        offsets=np.arange(num_blocks + 1) * (length - 2),
        indices=np.arange(num_blocks),
        units=np.empty((0, 2), np.int64),
    )
    vocabulary = MaskingVocabulary(4, SPECIAL, np.ones(vocab_size, dtype=np.int64))
    masked = mask_blocks(blocks, MaskingConfig(), seed=0, epoch=0, vocabulary=vocabulary)
    return assemble(masked, np.arange(num_blocks), cls_id=2, sep_id=3, sbo_positions=20)


def flop_per_piece(layers: int, width: int, length: int, vocab_size: int) -> float:
    """See the module's docstring."""
    encoder = layers * (2 * (4 * width**2 + 2 * width * 4 * width) + 4 * length * width)
    heads = 0.15 * 2 * 2 * (width**2 + width * vocab_size)
    return 3 * (encoder + heads)


def main() -> None:
    """Print one line of figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SIZES, default="mini")
    parser.add_argument("--sequence-length", type=int, default=128)
    parser.add_argument("--blocks", type=int, default=64)
    parser.add_argument("--vocab-size", type=int, default=16_000)
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--precision", choices=("auto", "fp32", "bf16"), default="auto")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    device = choose_device(options.device)
    precision = resolve_precision(options.precision, device)
    if device.type == "cpu":
        keep_freed_memory()
    layers, width, heads = SIZES[options.size]
    torch.manual_seed(0)
    model = SpanBertForPreTraining(
        initial_config(
            HeadSettings(),
            vocab_size=options.vocab_size,
            hidden_size=width,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            intermediate_size=4 * width,
            hidden_dropout_prob=options.dropout,
            attention_probs_dropout_prob=0.0,
            max_position_embeddings=max(512, options.sequence_length),
        )
    ).to(device)
    if options.compile:
        compile_in_place(list(model.bert.encoder.layer), device, warn)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], fused=True)
    batch = make_batch(options.blocks, options.sequence_length, options.vocab_size).to(device)
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    side = 8192 if device.type == "cuda" else 2048
    square = torch.randn(side, side, device=device, dtype=dtype)

    def step() -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
            output = model(batch)
        torch.stack([loss / batch.counts[name] for name, loss in output.losses.items()]).sum().backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    def multiply() -> None:
        square @ square

    def seconds(function: object) -> float:
        assert callable(function)
        if device.type == "cuda":
            torch.cuda.synchronize()
        begin = time.perf_counter()
        function()
        if device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - begin

    with deterministic(device):
        for _ in range(3):
            step()
            multiply()
        rounds = [(seconds(step), seconds(multiply)) for _ in range(options.rounds)]
    step_seconds, multiply_seconds = (statistics.median(times) for times in zip(*rounds, strict=True))
    speed = batch.counts["pieces"] / step_seconds
    flop = flop_per_piece(layers, width, options.sequence_length, options.vocab_size)
    ceiling = 2 * side**3 / multiply_seconds
    print(
        f"{layers} x {width}, vocabulary {options.vocab_size:,}, {options.blocks} x {options.sequence_length}, "
        f"{precision}{', compiled' if options.compile else ''} on {device.type}: {speed:,.0f} pieces/s; "
        f"{speed * flop / 1e9:,.0f} GFLOP/s, {speed * flop / ceiling:.1%} of the multiply's {ceiling / 1e9:,.0f}"
    )


if __name__ == "__main__":
    main()
