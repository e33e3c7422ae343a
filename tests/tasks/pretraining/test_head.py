"""The heads: formulas, gradients, what transformers makes of the saved folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from spanbert.tasks.pretraining.corpus import Corpus
from spanbert.tasks.pretraining.data import MaskedCorpus, SegmentPairs, SingleSequences
from spanbert.tasks.pretraining.head import (
    PretrainingSettings,
    SpanBertForPreTraining,
    SpanBoundaryHead,
    initial_config,
)
from spanbert.tasks.pretraining.masking import MaskingConfig


def tiny_model(corpus: Corpus, **settings: object) -> SpanBertForPreTraining:
    torch.manual_seed(0)
    return SpanBertForPreTraining(
        initial_config(
            PretrainingSettings(**settings),  # type: ignore[arg-type]
            vocab_size=corpus.vocab_size,
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=64,
            max_position_embeddings=64,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
        )
    )


@pytest.fixture(scope="module")
def corpus(corpus_folder: Path) -> Corpus:
    return Corpus.open(corpus_folder)


def test_boundary_head_is_the_formula_of_the_paper(corpus: Corpus) -> None:
    model = tiny_model(corpus)
    head = model.cls.sbo
    assert isinstance(head, SpanBoundaryHead)
    hidden = torch.randn(30, 32)
    left, right = torch.tensor([2, 9]), torch.tensor([6, 12])
    span, offset = torch.tensor([0, 0, 0, 1, 1]), torch.tensor([0, 1, 2, 0, 1])
    embeddings = model.bert.embeddings.word_embeddings.weight
    with torch.inference_mode():
        got = head(hidden, left, right, span, offset, embeddings)
        for row in range(5):
            boundary = [hidden[left[span[row]]], hidden[right[span[row]]]]
            x = torch.cat([*boundary, head.position_embeddings.weight[offset[row]]])
            x = head.layer_norm1(F.gelu(head.linear1(x)))
            x = head.layer_norm2(F.gelu(head.linear2(x)))
            torch.testing.assert_close(got[row], embeddings @ x + head.bias, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("nsp", [False, True])
def test_every_trained_parameter_gets_a_gradient(corpus: Corpus, nsp: bool) -> None:
    model = tiny_model(corpus, nsp=nsp)
    stream = SegmentPairs(corpus, 64, None, seed=0) if nsp else SingleSequences(corpus, 64, None)
    masked = MaskedCorpus(corpus, stream, MaskingConfig(), micro_batch_pieces=10_000, sbo_positions=20, seed=0)
    (batch,) = masked.batches(np.arange(40), epoch=0)
    sum(model(batch).losses.values()).backward()
    without = [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None]
    zero = [name for name, p in model.named_parameters() if p.grad is not None and not p.grad.any()]
    assert without == []
    assert [name for name in zero if not name.endswith("attention.self.key.bias")] == []  # softmax cancels that one
    assert model.bert.pooler.dense.weight.requires_grad is nsp


def test_loss_falls_on_a_handful_of_blocks(corpus: Corpus) -> None:
    model = tiny_model(corpus).train()
    stream = SingleSequences(corpus, 64, None)
    masked = MaskedCorpus(corpus, stream, MaskingConfig(), micro_batch_pieces=10_000, sbo_positions=20, seed=0)
    (batch,) = masked.batches(np.arange(6), epoch=0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    history = []
    for _ in range(60):
        losses = model(batch).losses
        loss = losses["mlm"] / batch.counts["mlm"] + losses["sbo"] / batch.counts["sbo"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        history.append(float(loss.detach()))
    assert history[0] == pytest.approx(2 * np.log(corpus.vocab_size), rel=0.05)
    assert history[-1] < 0.25 * history[0]


def test_rows_that_only_fill_up_count_for_nothing(corpus: Corpus) -> None:
    model = tiny_model(corpus).eval()
    stream = SingleSequences(corpus, 64, None)
    masked = MaskedCorpus(corpus, stream, MaskingConfig(), micro_batch_pieces=10_000, sbo_positions=20, seed=0)
    (batch,) = masked.batches(np.arange(6), epoch=0)
    targets = batch.labels != -100
    assert int(targets.sum()) == batch.counts["mlm"] < len(batch.labels)
    with torch.inference_mode():
        output = model(batch)
        hidden = model.bert.encode(batch.pieces, batch.layout)
        logits = model.masked_piece_logits(hidden, batch.masked[targets])
    expected = F.cross_entropy(logits, batch.labels[targets], reduction="sum")
    torch.testing.assert_close(output.losses["mlm"], expected)
    right = logits.argmax(-1) == batch.labels[targets]
    assert int(output.figures["mlm_correct"]) == int(right.sum())
    spans = batch.span_of_masked[targets]
    exact = sum(bool(right[spans == span].all()) for span in range(batch.num_spans))
    assert int(output.figures["spans_correct"]) == exact


def test_logits_do_not_depend_on_the_batch(corpus: Corpus) -> None:
    model = tiny_model(corpus).eval()
    stream = SingleSequences(corpus, 64, None)

    def losses(pieces: int) -> float:
        masked = MaskedCorpus(corpus, stream, MaskingConfig(), micro_batch_pieces=pieces, sbo_positions=20, seed=0)
        with torch.inference_mode():
            return sum(float(model(batch).losses["mlm"]) for batch in masked.batches(np.arange(20), epoch=0))

    assert losses(64) == pytest.approx(losses(10_000), rel=1e-5)
