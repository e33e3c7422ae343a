"""From masked blocks to batches: nothing moves, nothing is lost, boundaries are where the paper says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from spanbert.tasks.pretraining.batches import PretrainingBatch
from spanbert.tasks.pretraining.corpus import Corpus
from spanbert.tasks.pretraining.data import (
    BlockStream,
    MaskedCorpus,
    PretrainingData,
    PretrainingValidation,
    SegmentPairs,
    SingleSequences,
)
from spanbert.tasks.pretraining.masking import MaskingConfig


@pytest.fixture(scope="module")
def corpus(corpus_folder: Path) -> Corpus:
    return Corpus.open(corpus_folder)


def masked_corpus(corpus: Corpus, stream: BlockStream, *, pieces: int = 300, **masking: object) -> MaskedCorpus:
    config = MaskingConfig(**masking)  # type: ignore[arg-type]
    return MaskedCorpus(corpus, stream, config, micro_batch_pieces=pieces, sbo_positions=20, seed=3)


def original(batch: PretrainingBatch) -> torch.Tensor:
    """The pieces of a batch before masking."""
    pieces = batch.pieces.clone()
    targets = batch.labels != -100
    pieces[batch.masked[targets]] = batch.labels[targets]
    return pieces


@pytest.mark.parametrize("pairs", [False, True])
def test_an_epoch_holds_every_piece_once(corpus: Corpus, pairs: bool) -> None:
    stream = SegmentPairs(corpus, 64, None, seed=3) if pairs else SingleSequences(corpus, 64, None)
    data = PretrainingData(masked_corpus(corpus, stream), batch_size=7, seed=5)
    steps = -(-data.num_examples // 7)
    special = set(corpus.tokenizer.special_ids) - {corpus.tokenizer.unk_id}
    counts = np.zeros(corpus.vocab_size, dtype=np.int64)
    num_blocks = 0
    for step in range(steps):
        for batch in data.micro_batches(step, 0, 1):
            starts = batch.layout.starts.tolist()
            pieces = original(batch)
            ends = [*starts[1:], len(pieces)]
            for start, end in zip(starts, ends, strict=True):
                num_blocks += 1
                if num_blocks > data.num_examples:  # the last step already reads the next epoch
                    continue
                block = pieces[start:end].tolist()
                assert block[0] == corpus.tokenizer.cls_id
                assert block[-1] == corpus.tokenizer.sep_id
                assert len(block) <= 64
                inner = [piece for piece in block if piece not in special]
                assert len(block) - len(inner) == (3 if pairs else 2)
                np.add.at(counts, inner, 1)
    if not pairs and steps * 7 == num_blocks:
        assert int(counts.sum()) == corpus.num_pieces
    assert num_blocks == steps * 7


def test_pieces_of_an_epoch_add_up(corpus: Corpus) -> None:
    for stream, num_special in ((SingleSequences(corpus, 64, None), 2), (SegmentPairs(corpus, 64, None, seed=3), 3)):
        masked = masked_corpus(corpus, stream)
        batches = masked.batches(np.arange(len(stream)), epoch=4)
        counts = np.bincount(np.concatenate([original(b).numpy() for b in batches]), minlength=corpus.vocab_size)
        expected = corpus.piece_counts.copy()
        expected[corpus.tokenizer.cls_id] += len(stream)
        expected[corpus.tokenizer.sep_id] += len(stream) * (num_special - 1)
        assert counts.tolist() == expected.tolist()
        assert sum(b.counts["pieces"] for b in batches) == counts.sum()
        assert sum(b.counts["blocks"] for b in batches) == len(stream)


@pytest.mark.parametrize("preset", ["paper", "as-released"])
def test_boundaries_stand_just_outside_their_span(corpus: Corpus, preset: str) -> None:
    masked = masked_corpus(corpus, SingleSequences(corpus, 64, None), preset=preset)
    num_targets = 0
    for batch in masked.batches(np.arange(40), epoch=0):
        assert batch.sbo is not None
        spans: dict[int, list[int]] = {}
        for position, span in zip(batch.masked.tolist(), batch.span_of_masked.tolist(), strict=True):
            if span < batch.num_spans:
                spans.setdefault(span, []).append(position)
        unmasked = original(batch)
        for span, offset, label in zip(
            batch.sbo.span.tolist(), batch.sbo.offset.tolist(), batch.sbo.labels.tolist(), strict=True
        ):
            if label == -100:
                continue
            num_targets += 1
            positions = spans[span]
            assert positions == list(range(positions[0], positions[-1] + 1))
            assert int(batch.sbo.left[span]) == positions[0] - 1
            assert int(batch.sbo.right[span]) == positions[-1] + 1
            assert int(unmasked[positions[offset]]) == label
            if preset == "as-released":  # no boundary is [CLS] or [SEP]
                outside = unmasked[[positions[0] - 1, positions[-1] + 1]].tolist()
                assert not set(outside) & {corpus.tokenizer.cls_id, corpus.tokenizer.sep_id}
    assert num_targets == sum(b.counts["sbo"] for b in masked.batches(np.arange(40), epoch=0)) > 50


def test_targets_beyond_the_position_table_are_counted(corpus: Corpus) -> None:
    config = MaskingConfig()
    stream = SingleSequences(corpus, 64, None)
    short = MaskedCorpus(corpus, stream, config, micro_batch_pieces=10_000, sbo_positions=2, seed=3)
    batches = short.batches(np.arange(len(stream)), epoch=0)
    kept = sum(b.counts["sbo"] for b in batches)
    beyond = sum(b.counts["sbo_beyond_table"] for b in batches)
    assert beyond > 0
    assert kept + beyond == sum(b.counts["mlm"] for b in batches)
    assert all(int(b.sbo.offset.max()) <= 1 for b in batches if b.sbo is not None)


def test_single_pieces_have_no_boundary_targets(corpus: Corpus) -> None:
    masked = masked_corpus(corpus, SingleSequences(corpus, 64, None), scheme="pieces")
    assert all(batch.counts["sbo"] == 0 for batch in masked.batches(np.arange(10), epoch=0))


def test_next_sentence_labels_follow_hugging_face(corpus: Corpus) -> None:
    stream = SegmentPairs(corpus, 64, None, seed=3)
    labels = []
    for batch in masked_corpus(corpus, stream).batches(np.arange(len(stream)), epoch=0):
        assert batch.next_sentence is not None
        assert batch.segments is not None
        labels += batch.next_sentence.tolist()
        separators = (original(batch) == corpus.tokenizer.sep_id).nonzero().flatten().tolist()
        for first, second in zip(separators[::2], separators[1::2], strict=True):
            assert batch.segments[first] == 0
            assert batch.segments[first + 1 : second + 1].all()
    share = labels.count(1) / len(labels)  # 1: the second segment is from elsewhere
    assert set(labels) <= {0, 1, -100}
    assert 0.3 < share < 0.7


def test_masks_do_not_depend_on_batches_or_processes(corpus: Corpus) -> None:
    stream = SingleSequences(corpus, 64, None)

    def blocks(data: PretrainingData, ranks: int) -> set[tuple[int, ...]]:
        found = set()
        for rank in range(ranks):
            for batch in data.micro_batches(2, rank, ranks):
                for part in batch.pieces.split(
                    torch.diff(batch.layout.starts, append=torch.tensor([len(batch.pieces)])).tolist()
                ):
                    found.add(tuple(part.tolist()))
        return found

    small = PretrainingData(masked_corpus(corpus, stream, pieces=130), batch_size=12, seed=5)
    large = PretrainingData(masked_corpus(corpus, stream, pieces=5000), batch_size=12, seed=5)
    assert blocks(small, 1) == blocks(large, 1) == blocks(small, 3) == blocks(large, 4)
    assert len(blocks(large, 1)) == 12
    assert len(small.micro_batches(2, 0, 1)) > len(large.micro_batches(2, 0, 1)) == 1


def test_micro_batches_keep_within_their_budget_and_waste_little(corpus: Corpus) -> None:
    stream = SingleSequences(corpus, 64, None)
    batches = masked_corpus(corpus, stream, pieces=512).batches(np.arange(len(stream)), epoch=0)
    padded = sum(b.layout.num_padded for b in batches)
    assert all(b.layout.num_padded <= 512 for b in batches)
    assert padded <= 1.05 * sum(b.counts["pieces"] for b in batches)


def test_validation_masks_never_change(corpus: Corpus) -> None:
    masked = masked_corpus(corpus, SingleSequences(corpus, 64, None))
    validation = PretrainingValidation(masked, max_blocks=9)
    once, again = list(validation.batches(0, 1)), list(validation.batches(0, 1))
    assert [b.pieces.tolist() for b in once] == [b.pieces.tolist() for b in again]
    assert sum(b.counts["blocks"] for b in once) == 9
    shared = [b.counts["blocks"] for rank in range(2) for b in validation.batches(rank, 2)]
    assert sum(shared) == 9
