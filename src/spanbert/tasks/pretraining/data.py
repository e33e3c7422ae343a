"""The training and validation data of pre-training: masked blocks of a corpus, as a function of the step's number."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from spanbert import randomness
from spanbert.tasks.pretraining.as_released import MAX_SBO_TARGETS
from spanbert.tasks.pretraining.batches import PretrainingBatch, assemble
from spanbert.tasks.pretraining.blocks import BoolArray, Int64Array, gather_blocks, single_sequence_blocks
from spanbert.tasks.pretraining.corpus import Corpus
from spanbert.tasks.pretraining.masking import MaskingConfig, MaskingVocabulary, Preset, mask_blocks
from spanbert.tasks.pretraining.pair_blocks import draw_next_sentences, pair_blocks

VALIDATION_EPOCH = 2**62
"""The epoch whose masks validation uses: always the same, and none that training reaches."""


@dataclass(frozen=True)
class EpochSegments:
    """The segments of every block in one epoch.

    Attributes:
        starts, ends: [B, 1 or 2] piece offsets in the corpus.
        is_next: [B] for two-segment blocks (1, 0, or -1 where the second segment is empty), else None.
    """

    starts: Int64Array
    ends: Int64Array
    is_next: NDArray[np.int8] | None


class BlockStream(Protocol):
    """The blocks of a corpus, epoch after epoch."""

    def __len__(self) -> int:
        """Blocks in an epoch."""
        ...

    def lengths(self) -> Int64Array:
        """Pieces of each block as it stands in the corpus, [B]."""
        ...

    def epoch(self, epoch: int) -> EpochSegments:
        """The segments of the blocks in an epoch."""
        ...


class SingleSequences:
    """Blocks of one segment: SpanBERT's own way (Joshi et al. 2019, section 3.3)."""

    def __init__(self, corpus: Corpus, sequence_length: int, documents: BoolArray | None) -> None:
        blocks = single_sequence_blocks(corpus, sequence_length - 2, documents)
        self._segments = EpochSegments(blocks.starts[:, None], blocks.ends[:, None], None)

    def __len__(self) -> int:
        return len(self._segments.starts)

    def lengths(self) -> Int64Array:
        """Pieces of each block, [B]."""
        lengths: Int64Array = (self._segments.ends - self._segments.starts)[:, 0]
        return lengths

    def epoch(self, epoch: int) -> EpochSegments:
        """The same blocks in every epoch."""
        return self._segments


class SegmentPairs:
    """Two-segment blocks with next-sentence prediction, as in BERT."""

    def __init__(self, corpus: Corpus, sequence_length: int, documents: BoolArray | None, *, seed: int) -> None:
        self.pairs = pair_blocks(corpus, sequence_length - 3, documents)
        self.seed = seed
        # An epoch is asked for by its own steps and, at the seam, by those of the next one.
        self.epoch = lru_cache(maxsize=2)(self._draw)

    def __len__(self) -> int:
        return len(self.pairs)

    def lengths(self) -> Int64Array:
        """Pieces of each block before segments are exchanged, [B]."""
        return self.pairs.ends - self.pairs.starts

    def _draw(self, epoch: int) -> EpochSegments:
        drawn = draw_next_sentences(self.pairs, seed=self.seed, epoch=epoch)
        return EpochSegments(
            np.stack((drawn.a_starts, drawn.b_starts), axis=1),
            np.stack((drawn.a_ends, drawn.b_ends), axis=1),
            drawn.is_next,
        )


def boundary_targets(positions: int, preset: Preset) -> int:
    """Targets of the boundary objective a span can have: the rows of the position table, at most 15 as released."""
    return min(positions, MAX_SBO_TARGETS) if preset == "as-released" else positions


class MaskedCorpus:
    """Masked batches of a corpus's blocks.

    Args:
        corpus: the prepared corpus.
        stream: its blocks.
        masking: the masking scheme.
        micro_batch_pieces: most pieces of a batch, counting what the longest block pads the others to.
        sbo_positions: rows of the SBO head's position table, 0 for no SBO.
        seed: of the masks.
    """

    def __init__(
        self,
        corpus: Corpus,
        stream: BlockStream,
        masking: MaskingConfig,
        *,
        micro_batch_pieces: int,
        sbo_positions: int,
        seed: int,
    ) -> None:
        self.corpus = corpus
        self.stream = stream
        self.masking = masking
        self.micro_batch_pieces = micro_batch_pieces
        self.sbo_positions = sbo_positions
        self.seed = seed
        tokenizer = corpus.tokenizer
        self._cls_id, self._sep_id = tokenizer.cls_id, tokenizer.sep_id
        self._vocabulary = MaskingVocabulary.of(tokenizer, corpus.piece_counts)
        self._units = None if masking.unit_kind is None else corpus.annotations(masking.unit_kind)

    def batches(self, indices: Int64Array, epoch: int) -> list[PretrainingBatch]:
        """The blocks of `indices`, masked for `epoch`, in batches of similar length within the budget of pieces."""
        segments = self.stream.epoch(epoch)
        num_segments = segments.starts.shape[1]
        lengths = (segments.ends[indices] - segments.starts[indices]).sum(1)
        indices = indices[np.argsort(-lengths, kind="stable")]
        batches = []
        for chosen in _within_budget(np.sort(lengths)[::-1] + num_segments + 1, self.micro_batch_pieces):
            batches.append(self._batch(indices[chosen], segments, epoch))
        return batches

    def _batch(self, indices: Int64Array, segments: EpochSegments, epoch: int) -> PretrainingBatch:
        starts, ends = segments.starts[indices], segments.ends[indices]  # [B, segments]
        num_segments = starts.shape[1]
        keys = indices[:, None] * num_segments + np.arange(num_segments)
        windows = np.broadcast_to(np.arange(len(indices))[:, None], starts.shape)
        filled = starts < ends  # a document of one word has no second segment
        blocks = gather_blocks(self.corpus, starts[filled], ends[filled], keys[filled], self._units)
        masked = mask_blocks(blocks, self.masking, seed=self.seed, epoch=epoch, vocabulary=self._vocabulary)
        return assemble(
            masked,
            windows[filled],
            cls_id=self._cls_id,
            sep_id=self._sep_id,
            sbo_positions=self.sbo_positions,
            is_next=None if segments.is_next is None else segments.is_next[indices],
        )


def _within_budget(lengths: Int64Array, budget: int) -> Iterator[slice]:
    """Cut descending `lengths` into runs whose first (longest) length times their number is at most `budget`."""
    start = 0
    while start < len(lengths):
        end = start + max(1, budget // int(lengths[start]))
        yield slice(start, min(end, len(lengths)))
        start = end


class PretrainingData:
    """The endless stream of blocks, epoch after epoch in an order of its own, cut into steps of `batch_size` blocks."""

    def __init__(self, masked: MaskedCorpus, batch_size: int, *, seed: int) -> None:
        self.masked = masked
        self.batch_size = batch_size
        self._order = lru_cache(maxsize=2)(
            lambda epoch: randomness.permutation(len(masked.stream), seed=seed, epoch=epoch, purpose="order of blocks")
        )

    @property
    def num_examples(self) -> int:
        """Blocks in an epoch."""
        return len(self.masked.stream)

    def micro_batches(self, step: int, rank: int, num_ranks: int) -> list[PretrainingBatch]:
        """The batches of one process for a step; together the processes see every block of the step once."""
        places = np.arange(step * self.batch_size + rank, (step + 1) * self.batch_size, num_ranks)
        epochs, places = np.divmod(places, self.num_examples)
        batches = []
        for epoch in np.unique(epochs).tolist():
            batches += self.masked.batches(self._order(epoch)[places[epochs == epoch]], epoch)
        return batches


class PretrainingValidation:
    """Blocks of held-out documents under masks that never change.

    Args:
        masked: the held-out blocks.
        max_blocks: at most so many blocks, evenly spread over the documents; the masks of each do not depend on it.
    """

    def __init__(self, masked: MaskedCorpus, max_blocks: int) -> None:
        self.masked = masked
        num_blocks = len(masked.stream)
        self.indices = np.unique(np.linspace(0, num_blocks - 1, min(max_blocks, num_blocks)).astype(np.int64))

    @property
    def num_examples(self) -> int:
        """Blocks in it."""
        return len(self.indices)

    def batches(self, rank: int, num_ranks: int) -> Iterator[PretrainingBatch]:
        """The batches of one process."""
        mine = self.indices[rank::num_ranks]
        for start in range(0, len(mine), 256):
            yield from self.masked.batches(mine[start : start + 256], VALIDATION_EPOCH)
