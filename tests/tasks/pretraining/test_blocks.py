"""Blocks: no piece lost, none repeated, lines kept whole where they can be."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_corpus import TinyCorpus, corpus_of

from spanbert.errors import ConfigurationError
from spanbert.tasks.pretraining.blocks import gather_blocks, single_sequence_blocks

LINES = st.lists(st.lists(st.integers(1, 9), max_size=8), max_size=6)
CORPORA = st.lists(LINES, max_size=5).map(corpus_of)


@settings(max_examples=150, deadline=None)
@given(CORPORA, st.integers(1, 25))
def test_every_piece_is_in_one_block(corpus: TinyCorpus, max_pieces: int) -> None:
    blocks = single_sequence_blocks(corpus, max_pieces)
    flat = gather_blocks(corpus, blocks.starts, blocks.ends, np.arange(len(blocks)))
    assert flat.pieces.tolist() == corpus.pieces.tolist()
    assert (blocks.lengths >= 1).all()
    assert (blocks.lengths <= max_pieces).all()
    # Never across documents:
    bounds = [0, *corpus.document_ends.tolist()]
    for start, end, document in zip(blocks.starts, blocks.ends, blocks.document, strict=True):
        assert bounds[document] <= start < end <= bounds[document + 1]


@settings(max_examples=150, deadline=None)
@given(CORPORA, st.integers(1, 25))
def test_cuts_are_no_worse_than_needed(corpus: TinyCorpus, max_pieces: int) -> None:
    lines, documents = set(corpus.line_ends.tolist()), set(corpus.document_ends.tolist())
    blocks = single_sequence_blocks(corpus, max_pieces)
    for start, end in zip(blocks.starts.tolist(), blocks.ends.tolist(), strict=True):
        following = min((line for line in lines if line > end), default=end)
        if end in lines:  # and the next line would not have fitted as a whole
            assert end in documents or following - start > max_pieces
            continue
        line_start = max((line for line in lines if line < end), default=0)
        assert following - line_start > max_pieces
        if corpus.word_starts[end]:  # and the next word would not have fitted
            assert not any(corpus.word_starts[end + 1 : start + max_pieces + 1])
        else:
            assert end - start == max_pieces
            assert not any(corpus.word_starts[start + 1 : end])


def test_lines_fill_blocks_and_long_lines_are_cut_at_words() -> None:
    corpus = corpus_of([[[1, 1], [2, 1], [1, 1, 1], [3, 3, 3], [1]], [[12], [1, 1]]])
    blocks = single_sequence_blocks(corpus, 5)
    assert blocks.lengths.tolist() == [5, 3, 3, 3, 4, 5, 5, 4]
    assert blocks.document.tolist() == [0] * 5 + [1] * 3


def test_documents_can_be_chosen() -> None:
    corpus = corpus_of([[[1, 1]], [[1, 1, 1]], [], [[1]]])
    blocks = single_sequence_blocks(corpus, 2, np.array([False, True, True, True]))
    assert blocks.document.tolist() == [1, 1, 3]
    assert blocks.lengths.tolist() == [2, 1, 1]


def test_an_empty_corpus_has_no_blocks() -> None:
    assert len(single_sequence_blocks(corpus_of([]), 10)) == 0
    assert len(single_sequence_blocks(corpus_of([[], [[]]]), 10)) == 0


def test_a_block_needs_room() -> None:
    with pytest.raises(ConfigurationError, match="at least 1 piece"):
        single_sequence_blocks(corpus_of([[[1]]]), 0)


def test_gathering_takes_any_blocks_in_any_order() -> None:
    corpus = corpus_of([[[1, 2], [2, 1]], [[3, 1]]])
    flat = gather_blocks(corpus, np.array([6, 1]), np.array([10, 3]), np.array([40, 7]))
    assert flat.pieces.tolist() == [6, 7, 8, 9, 1, 2]
    assert flat.pieces.dtype == np.int64
    assert flat.word_starts.tolist() == [True, False, False, True, True, False]
    assert flat.offsets.tolist() == [0, 4, 6]
    assert flat.indices.tolist() == [40, 7]
    assert flat.units.shape == (0, 2)


def test_units_come_along_unless_a_block_cuts_them() -> None:
    corpus = corpus_of([[[1] * 20]])
    units = np.array([[0, 2], [4, 6], [6, 7], [9, 12], [13, 15], [19, 20]])
    flat = gather_blocks(corpus, np.array([13, 5]), np.array([20, 10]), np.arange(2), units)
    assert flat.units.tolist() == [[0, 2], [6, 7], [8, 9]]
    none = gather_blocks(corpus, np.array([10]), np.array([11]), np.arange(1), units)
    assert none.units.shape == (0, 2)
