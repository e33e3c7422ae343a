"""What pre-training computes, counted: as many operations as the formula says, and hardly any padding."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from counted_runs import HEADS, LAYERS, WIDE, WIDTH
from operation_counter import OperationCounter, padded_share
from tiny_finetuning import no_picture

from spanbert import PretrainConfig, pretrain
from spanbert.checkpoints import load_pretraining_model
from spanbert.tasks.pretraining.batches import PretrainingBatch
from spanbert.tasks.pretraining.corpus import Corpus
from spanbert.tasks.pretraining.data import MaskedCorpus, PretrainingData, SingleSequences
from spanbert.tasks.pretraining.head import SpanBertForPreTraining
from spanbert.tasks.pretraining.masking import MaskingConfig

SBO_POSITIONS, SBO_WIDTH = 20, 200

FEATURES = 64
"""Features of a product with the vocabulary: the width, two columns a head and two for the shift, in steps of 32."""

SHIFTED_BY = 1024
"""Pieces whose logits tell how large a row's are."""


@pytest.fixture(scope="module")
def model(counted_encoder: Path) -> SpanBertForPreTraining:
    model, _ = load_pretraining_model(counted_encoder)
    model.train()
    return model


@pytest.fixture(scope="module")
def masked(whole_corpus: Corpus) -> MaskedCorpus:
    blocks = SingleSequences(whole_corpus, 128, None)
    return MaskedCorpus(
        whole_corpus, blocks, MaskingConfig(), micro_batch_pieces=1 << 20, sbo_positions=SBO_POSITIONS, seed=0
    )


def batches(masked: MaskedCorpus, *, batch_size: int, steps: int) -> list[PretrainingBatch]:
    data = PretrainingData(masked, batch_size, seed=0)
    return [batch for step in range(steps) for batch in data.micro_batches(step, 0, 1)]


@dataclass(frozen=True)
class Step:
    """What a forward and a backward pass computed."""

    forward: OperationCounter
    backward: OperationCounter

    @property
    def num_calls(self) -> int:
        return self.forward.num_calls + self.backward.num_calls


def step(model: SpanBertForPreTraining, batch: PretrainingBatch, *, bf16: bool = False) -> Step:
    """A forward and a backward pass."""
    counted = Step(OperationCounter(), OperationCounter())
    with counted.forward, torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        losses = model(batch).losses
    with counted.backward:
        torch.stack(list(losses.values())).sum().backward()
    model.zero_grad(set_to_none=True)
    return counted


def with_filling(number: int) -> int:
    """`number` rows filled up to one of few sizes: at most an eighth more, or 16."""
    return number + max(16, number // 8)


def flops(vocabulary: int, *, pieces: int, masked: int, spans: int, boundary_targets: int) -> int:
    """FLOPs of the products of a step, attention's left out: forward, and the gradients of both factors."""
    encoder = pieces * LAYERS * (4 * WIDTH * WIDTH + 2 * WIDTH * WIDE)
    targets = masked + boundary_targets
    boundaries = spans * 2 * WIDTH * WIDTH + SBO_POSITIONS * SBO_WIDTH * WIDTH
    # The first pieces' logits are made twice: once to see how large they are.
    logits = targets * FEATURES * (3 * vocabulary + min(SHIFTED_BY, vocabulary))
    return 2 * (3 * (encoder + targets * WIDTH * WIDTH + boundaries) + logits)


@pytest.mark.parametrize("bf16", [False, True])
def test_a_step_computes_what_the_formula_says(
    bf16: bool, model: SpanBertForPreTraining, masked: MaskedCorpus, whole_corpus: Corpus
) -> None:
    """And nothing a second time."""
    (batch,) = batches(masked, batch_size=32, steps=1)
    counted = step(model, batch, bf16=bf16)
    names = {"pieces": "pieces", "masked": "mlm", "spans": "spans", "boundary_targets": "sbo"}
    numbers = {name: batch.counts[count] for name, count in names.items()}
    least = flops(whole_corpus.vocab_size, **numbers)
    most = flops(whole_corpus.vocab_size, **{name: with_filling(number) for name, number in numbers.items()})
    assert least <= sum(one.flops for one in counted.forward.products + counted.backward.products) <= most


def test_vocabulary_logits_are_for_masked_pieces_only(
    model: SpanBertForPreTraining, masked: MaskedCorpus, whole_corpus: Corpus
) -> None:
    (batch,) = batches(masked, batch_size=32, steps=1)
    forward = step(model, batch).forward.products
    made = sum(one.rows * one.columns for one in forward if one.inner == FEATURES)
    logits = made / (whole_corpus.vocab_size + SHIFTED_BY)
    counts = batch.counts
    assert counts["mlm"] < counts["pieces"] / 5
    assert counts["mlm"] + counts["sbo"] <= logits <= with_filling(counts["mlm"]) + with_filling(counts["sbo"])
    boundaries = [one for one in forward if one.columns == WIDTH and one.inner in (2 * WIDTH, SBO_WIDTH)]
    of_spans = sum(one.rows for one in boundaries if one.inner == 2 * WIDTH)
    assert counts["spans"] <= of_spans <= with_filling(counts["spans"])
    assert sum(one.rows for one in boundaries if one.inner == SBO_WIDTH) == SBO_POSITIONS


def test_an_epoch_has_little_padding_and_few_shapes(
    model: SpanBertForPreTraining, masked: MaskedCorpus, whole_corpus: Corpus
) -> None:
    """Each new shape of a product takes memory for good (docs/performance.md)."""
    epoch = batches(masked, batch_size=16, steps=len(masked.stream) // 16)
    steps = [step(model, batch, bf16=True) for batch in epoch]
    pieces = sum(batch.counts["pieces"] for batch in epoch)
    attention = [one for counted in steps for one in counted.forward.attention]
    products = [one for counted in steps for one in counted.forward.products + counted.backward.products]
    wide = [one for counted in steps for one in counted.forward.products if one.columns == WIDE]
    filled = sum(with_filling(batch.counts["pieces"]) for batch in epoch)
    assert pieces <= sum(one.rows for one in wide) / LAYERS <= filled
    share = padded_share(attention, heads=HEADS, layers=LAYERS, num_pieces=pieces)
    assert 0 <= share <= 0.13, f"{share:.3f}"
    lengths = {batch.counts["pieces"] for batch in epoch}
    assert len(lengths) >= 18  # all others would be shapes
    assert len({one.rows for one in wide}) <= 8
    assert len({one.shape for one in products}) <= 120
    assert len({(one.rows, one.length) for one in attention}) <= 16


def kernels(model: SpanBertForPreTraining, masked: MaskedCorpus, blocks: Sequence[int]) -> tuple[int, int]:
    """Calls for making a batch of these blocks, and for computing it."""
    with OperationCounter() as making:
        (batch,) = masked.batches(np.array(blocks), 0)
    return making.num_calls, step(model, batch).num_calls


def test_more_blocks_take_no_more_kernels(model: SpanBertForPreTraining, masked: MaskedCorpus) -> None:
    full = np.flatnonzero(masked.stream.lengths() >= 110)
    (few, few_computed), (many, many_computed) = (kernels(model, masked, full[:number].tolist()) for number in (4, 64))
    assert len(full) >= 64
    assert 0 < many <= few + 4
    assert 0 < many_computed <= few_computed + 10
    assert many_computed <= 450


def test_a_run_encodes_each_block_once_an_epoch_and_held_out_ones_once_a_validation(
    whole_corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spanbert.tasks.pretraining.pretrain.plot_history", no_picture)
    held = whole_corpus.held_out_documents(0.1, 0)

    def pieces(documents: np.ndarray) -> tuple[int, int]:
        """Blocks, and their pieces with [CLS] and [SEP]."""
        lengths = SingleSequences(whole_corpus, 128, documents).lengths()
        return len(lengths), int(lengths.sum()) + 2 * len(lengths)

    num_blocks, an_epoch = pieces(~held)
    steps = 2 * math.ceil(num_blocks / 32)
    config = PretrainConfig(
        corpus=whole_corpus.path, output=tmp_path / "model", layers=LAYERS, width=WIDTH, heads=HEADS,
        sequence_length=128, max_positions=128, batch_size=32, steps=steps, held_out=0.1, seed=0,
        validate_every=steps // 2, save_every=1000, precision="fp32", device="cpu", quiet=True,
        micro_batch_pieces=1 << 20,
    )  # fmt: skip
    with OperationCounter() as counter:
        pretrain(config)
    encoded = [one for one in counter.lookups if one.table == whole_corpus.vocab_size]
    trained = sum(one.num_pieces for one in encoded if one.learning)
    assert 2 * an_epoch <= trained < 2 * an_epoch + (steps * 32 - 2 * num_blocks) * 128
    assert sum(one.num_pieces for one in encoded if not one.learning) == 2 * pieces(held)[1]
    assert counter.num_calls / steps <= 560, counter.num_calls / steps
