"""Documents -> pieces, word starts and annotated spans of pieces."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from spanbert.documents import Annotation, Document
from spanbert.segmentation import SegmenterName, get_segmenter, spacy_annotations
from spanbert.spans import Span
from spanbert.tasks.pretraining.corpus import BoolArray, Int64Array, piece_type
from spanbert.tasks.pretraining.corpus_writer import EncodedDocuments
from spanbert.tokenization import IdArray, PieceTokenizer

# The tokenizer needs some hundred bytes of memory for each piece of what it is given at a time: a longer line is
# encoded in parts, and a longer document in groups of lines.
_PART_CHARACTERS = 1 << 16
_GROUP_CHARACTERS = 1 << 18


@dataclass(frozen=True)
class EncodingSettings:
    """How documents are encoded: all that a worker process needs to know.

    tokenizer: folder of the tokenizer. segmenter: says where words are; None: the tokenizer does. annotate: name of the
    spaCy pipeline that adds annotations, or None.
    """

    tokenizer: Path
    segmenter: SegmenterName | None = None
    annotate: str | None = None


class _Pieces(NamedTuple):
    """N pieces: ids [N], word_starts bool [N], lengths [texts], offsets [N, 2] ([0, 2] if not needed)."""

    ids: IdArray
    word_starts: BoolArray
    lengths: Int64Array
    offsets: Int64Array


@dataclass
class _Parts:
    """What is encoded: the lines of several documents, very long ones in several parts."""

    texts: list[str] = field(default_factory=list)
    begins: list[int] = field(default_factory=list)
    """Code point of its document at which each part begins."""
    lines: list[int] = field(default_factory=list)
    """Line of each part."""
    documents: list[int] = field(default_factory=list)
    """Document of each line."""


class DocumentEncoder:
    """Turns documents into pieces.

    Raises `MissingDependencyError` or `ConfigurationError` where the segmenter or the spaCy pipeline is not installed.
    """

    def __init__(self, settings: EncodingSettings) -> None:
        self._tokenizer = PieceTokenizer.load(settings.tokenizer)
        self._segmenter = get_segmenter(settings.segmenter)
        self._annotate = spacy_annotations(settings.annotate) if settings.annotate is not None else None

    def encode(self, documents: Sequence[Document]) -> EncodedDocuments:
        """Encode documents; lines without pieces, and documents without lines, are counted and left out."""
        parts = _split(documents)
        pieces = self._encode_parts(
            parts, with_offsets=self._annotate is not None or any(document.annotations for document in documents)
        )
        line_lengths = _sums(parts.lines, pieces.lengths, len(parts.documents))
        document_lengths = _sums(parts.documents, line_lengths, len(documents))
        spans, kinds, num_lost = self._piece_annotations(documents, pieces, document_lengths)
        return EncodedDocuments(
            pieces=pieces.ids.astype(piece_type(self._tokenizer.vocab_size)),
            word_starts=pieces.word_starts,
            line_lengths=line_lengths[line_lengths > 0],
            document_lengths=document_lengths[document_lengths > 0],
            annotation_spans=spans,
            annotation_kinds=kinds,
            counts={
                "num_text_bytes": sum(len(document.text.encode()) for document in documents),
                "num_lines_without_pieces": int((line_lengths == 0).sum()),
                "num_documents_without_pieces": int((document_lengths == 0).sum()),
                "num_documents_of_unknown_pieces": self._num_unknown(pieces.ids, document_lengths),
                "num_annotations": len(kinds),
                "num_annotations_without_pieces": num_lost,
            },
        )

    def _encode_parts(self, parts: _Parts, *, with_offsets: bool) -> _Pieces:
        exact = with_offsets or self._segmenter is not None
        encode = self._encode_exactly if exact else self._encode_fast
        groups = [encode(parts.texts[first:last], parts.begins[first:last]) for first, last in _groups(parts.texts)]
        empty = _Pieces(np.zeros(0, np.int32), np.zeros(0, np.bool_), np.zeros(0, np.int64), np.zeros((0, 2), np.int64))
        ids, word_starts, lengths, offsets = zip(empty, *groups, strict=True)
        return _Pieces(*map(np.concatenate, (ids, word_starts, lengths, offsets)))

    def _encode_fast(self, texts: list[str], begins: list[int]) -> _Pieces:
        """Encode without offsets, a third faster."""
        ids, lengths = self._tokenizer.encode_ids(texts)
        return _Pieces(ids, ~self._tokenizer.continues[ids], lengths, np.zeros((0, 2), np.int64))

    def _encode_exactly(self, texts: list[str], begins: list[int]) -> _Pieces:
        encodings = self._tokenizer.encode_batch(texts, segmenter=self._segmenter)
        return _Pieces(
            np.concatenate([encoding.ids for encoding in encodings]),
            np.concatenate([encoding.word_starts for encoding in encodings]),
            np.array([len(encoding) for encoding in encodings], dtype=np.int64),
            np.concatenate([encoding.offsets + begin for encoding, begin in zip(encodings, begins, strict=True)]),
        )

    def _piece_annotations(
        self, documents: Sequence[Document], pieces: _Pieces, document_lengths: Int64Array
    ) -> tuple[Int64Array, list[str], int]:
        """Return the annotated spans in pieces [A, 2], their kinds, and how many cover no piece."""
        spans, kinds, num_all = [np.zeros((0, 2), np.int64)], list[str](), 0
        ends = np.cumsum(document_lengths)
        for document, start, end in zip(documents, ends - document_lengths, ends, strict=True):
            annotations = [*document.annotations, *self._found(document)]
            if not annotations:
                continue
            num_all += len(annotations)
            found, covers = _in_pieces(annotations, pieces.offsets[start:end], pieces.word_starts[start:end])
            spans.append(start + found)
            kinds += [annotation.kind for annotation, kept in zip(annotations, covers, strict=True) if kept]
        return np.concatenate(spans), kinds, num_all - len(kinds)

    def _found(self, document: Document) -> Iterator[Annotation]:
        """Yield what spaCy finds, line by line, because its memory grows with the length of the text."""
        if self._annotate is None:
            return
        for line in document.lines():
            for found in self._annotate(document.text[line.start : line.end]):
                yield Annotation(line.start + found.start, line.start + found.end, found.kind)

    def _num_unknown(self, ids: IdArray, document_lengths: Int64Array) -> int:
        """Count the documents that are nothing but [UNK]."""
        unknown = np.flatnonzero(ids == self._tokenizer.unk_id)
        document = np.searchsorted(np.cumsum(document_lengths), unknown, side="right")
        counts = np.bincount(document, minlength=len(document_lengths))
        return int(((counts == document_lengths) & (document_lengths > 0)).sum())


def _split(documents: Sequence[Document]) -> _Parts:
    parts = _Parts()
    for number, document in enumerate(documents):
        for line in document.lines():
            for start, end in _short_parts(document.text, line):
                parts.texts.append(document.text[start:end])
                parts.begins.append(start)
                parts.lines.append(len(parts.documents))
            parts.documents.append(number)
    return parts


def _short_parts(text: str, line: Span) -> Iterator[Span]:
    """Cut a very long line after a space, which changes no piece; in text without spaces, anywhere."""
    start = line.start
    while line.end - start > _PART_CHARACTERS:
        end = text.rfind(" ", start, start + _PART_CHARACTERS) + 1
        if end <= start:
            end = start + _PART_CHARACTERS
        yield Span(start, end)
        start = end
    yield Span(start, line.end)


def _groups(texts: list[str]) -> Iterator[tuple[int, int]]:
    """Yield half-open ranges of texts that together have some hundred thousand characters."""
    first, size = 0, 0
    for number, text in enumerate(texts):
        size += len(text)
        if size >= _GROUP_CHARACTERS:
            yield first, number + 1
            first, size = number + 1, 0
    if first < len(texts):
        yield first, len(texts)


def _sums(groups: list[int], values: Int64Array, num_groups: int) -> Int64Array:
    """Add `values` up by group; the groups are numbers below `num_groups`; int64 [num_groups]."""
    sums = np.zeros(num_groups, dtype=np.int64)
    np.add.at(sums, np.array(groups, dtype=np.int64), values)
    return sums


def _in_pieces(
    annotations: list[Annotation], offsets: Int64Array, word_starts: BoolArray
) -> tuple[Int64Array, BoolArray]:
    """Return the spans of one document in pieces, widened to whole words, and which annotations have one.

    offsets: int64 [N, 2], code points of the document. Returns int64 [A, 2], and bool [all annotations] with A true.
    """
    places = np.array([(annotation.start, annotation.end) for annotation in annotations], np.int64).reshape(-1, 2)
    first = np.searchsorted(offsets[:, 1], places[:, 0], side="right")
    last = np.searchsorted(offsets[:, 0], places[:, 1], side="left")
    covers = first < last
    borders = np.append(np.flatnonzero(word_starts), len(offsets))
    start = borders[np.searchsorted(borders, first[covers], side="right") - 1]
    end = borders[np.searchsorted(borders, last[covers], side="left")]
    return np.stack([start, end], axis=1), covers
