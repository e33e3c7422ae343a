"""Pairs of segments: no piece lost or repeated in any epoch, and random seconds from other documents."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_corpus import TinyCorpus, corpus_of

from spanbert.errors import ConfigurationError
from spanbert.tasks.pretraining.pair_blocks import EpochPairs, PairBlocks, draw_next_sentences, pair_blocks

LINES = st.lists(st.lists(st.integers(1, 4), max_size=8), max_size=6)
CORPORA = st.lists(LINES, max_size=8).map(corpus_of)


def seen_pieces(epoch: EpochPairs) -> list[int]:
    ranges = [*zip(epoch.a_starts, epoch.a_ends, strict=True), *zip(epoch.b_starts, epoch.b_ends, strict=True)]
    return sorted(piece for start, end in ranges for piece in range(start, end))


def plain_pairs(documents: list[int]) -> PairBlocks:
    """Pairs of two pieces, one for each entry of `documents`."""
    starts = np.arange(len(documents)) * 2
    return PairBlocks(starts, starts + 1, starts + 2, np.array(documents, dtype=np.int64))


@settings(max_examples=150, deadline=None)
@given(CORPORA, st.integers(2, 24), st.integers(0, 5))
def test_every_piece_is_seen_once_in_every_epoch(corpus: TinyCorpus, max_pieces: int, epoch: int) -> None:
    pairs = pair_blocks(corpus, max_pieces)
    drawn = draw_next_sentences(pairs, seed=1, epoch=epoch)
    assert seen_pieces(drawn) == corpus.pieces.tolist()
    lengths = drawn.a_ends - drawn.a_starts + drawn.b_ends - drawn.b_starts
    assert (lengths <= max_pieces).all()
    assert (drawn.a_ends > drawn.a_starts).all()

    # The target says where segment B is from.
    document_of_b = np.searchsorted(corpus.document_ends, drawn.b_starts, side="right")
    for i, target in enumerate(drawn.is_next.tolist()):
        if target == 1:
            assert drawn.b_starts[i] == drawn.a_ends[i] < drawn.b_ends[i]
            assert document_of_b[i] == pairs.document[i]
        elif target == 0:
            assert drawn.b_starts[i] < drawn.b_ends[i]
            assert document_of_b[i] != pairs.document[i]
        else:
            assert drawn.b_starts[i] == drawn.b_ends[i]
    assert (drawn.is_next == -1).sum() == pairs.num_alone


@settings(max_examples=100, deadline=None)
@given(CORPORA, st.integers(2, 24))
def test_only_single_words_stay_alone(corpus: TinyCorpus, max_pieces: int) -> None:
    pairs = pair_blocks(corpus, max_pieces)
    for start, middle, end in zip(pairs.starts, pairs.middles, pairs.ends, strict=True):
        if middle == end:
            assert not corpus.word_starts[start + 1 : end].any()


def test_segments_are_paired_within_documents() -> None:
    corpus = corpus_of([[[1] * 4, [1] * 4], [[1] * 3, [1] * 4, [1] * 2, [1]], [[1]]])
    pairs = pair_blocks(corpus, 9)
    assert pairs.starts.tolist() == [0, 8, 15, 18]
    # The third segment of document 1 is split at its line end, the one word of document 2 cannot be split.
    assert pairs.middles.tolist() == [4, 11, 17, 19]
    assert pairs.ends.tolist() == [8, 15, 18, 19]
    assert pairs.document.tolist() == [0, 1, 1, 2]
    assert pairs.num_alone == 1


def test_a_lone_line_is_split_at_the_word_nearest_its_middle() -> None:
    assert pair_blocks(corpus_of([[[1, 1, 3, 3]]]), 20).middles.tolist() == [5]
    assert pair_blocks(corpus_of([[[6, 1, 1]]]), 20).middles.tolist() == [6]


def test_about_half_get_another_document() -> None:
    pairs = plain_pairs([i // 4 for i in range(4000)])
    epochs = [draw_next_sentences(pairs, seed=0, epoch=epoch) for epoch in range(2)]
    for drawn in epochs:
        assert drawn.num_kept == 0
        assert abs((drawn.is_next == 0).mean() - 0.5) < 0.03
    assert (epochs[0].is_next != epochs[1].is_next).mean() > 0.4
    both = (epochs[0].is_next == 0) & (epochs[1].is_next == 0)
    assert (epochs[0].b_starts != epochs[1].b_starts)[both].mean() > 0.9
    again = draw_next_sentences(pairs, seed=0, epoch=1)
    assert again.b_starts.tolist() == epochs[1].b_starts.tolist()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 3), max_size=40).map(sorted), st.integers(0, 100))
def test_no_more_than_needed_are_kept(documents: list[int], epoch: int) -> None:
    drawn = draw_next_sentences(plain_pairs(documents), seed=0, epoch=epoch)
    if drawn.num_kept:
        # One document has more pairs to exchange than all others together: the others all find a partner in it.
        exchanged = np.bincount(np.array(documents)[drawn.is_next == 0], minlength=1)
        assert 2 * exchanged.max() == exchanged.sum()


def test_one_document_alone_keeps_all_its_pairs() -> None:
    drawn = draw_next_sentences(plain_pairs([0] * 100), seed=0, epoch=0)
    assert (drawn.is_next == 1).all()
    assert 30 < drawn.num_kept < 70


def test_a_pair_needs_room() -> None:
    with pytest.raises(ConfigurationError, match="at least 2 pieces"):
        pair_blocks(corpus_of([[[1]]]), 1)
