"""`spanbert preview`: what a masking scheme masks in the user's own text."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import tyro

from spanbert.documents import Document, ReadConfig, ReadSummary, expand_inputs, read_documents
from spanbert.errors import ConfigurationError, InputError
from spanbert.segmentation import Segmenter, SegmenterName, get_segmenter, spacy_annotations
from spanbert.spans import Span
from spanbert.tasks.pretraining.blocks import BoolArray, FlatBlocks, Int64Array, single_sequence_blocks
from spanbert.tasks.pretraining.masking import (
    Action,
    MaskedBlocks,
    MaskingVocabulary,
    mask_blocks,
)
from spanbert.tasks.pretraining.masking_options import MaskingOptions
from spanbert.tasks.pretraining.preview_rendering import BlockPreview, SpanPreview, print_blocks, write_html
from spanbert.tokenization import PieceTokenizer

_MAX_CHARACTERS = 300_000  # read, and learned from: more would only take longer


@dataclass(frozen=True, kw_only=True)
class PreviewConfig(MaskingOptions, ReadConfig):
    """Show, on your own text, what would be masked under a scheme.

    Your characters are shown as they are, those of masked spans in colour: what becomes [MASK], what becomes random
    pieces, and what is kept and predicted all the same. Where output is not a terminal, brackets take the place of
    colours.
    """

    inputs: Annotated[tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="TEXT...")] = ()
    """Files (.txt, .jsonl, .csv, .parquet, each also .gz or .zst), folders, glob patterns, `-` for standard input. Only
    the first 300,000 characters are read."""
    text: str | None = None
    """Show this text instead of files."""
    tokenizer: str | None = None
    """Folder or hub name of a BERT tokenizer. None: a vocabulary is learned from the text itself, in which most words
    are one piece."""
    segmenter: SegmenterName | None = None
    """Who says where the words are: `jieba` for Chinese. None: the tokenizer, by white space and punctuation."""
    annotate: str | None = None
    """Name of a spaCy pipeline (e.g. en_core_web_sm) that finds entities and noun phrases, for the schemes of these
    names. They are added to those that come with the documents."""
    sequence_length: int = 128
    """Pieces of a block, [CLS] and [SEP] counted."""
    num_blocks: int = 3
    """How many blocks to show."""
    epoch: int = 0
    """Masks are drawn anew in each epoch: show those of this one."""
    seed: int = 0
    """Of the masks."""
    format: Literal["terminal", "html"] = "terminal"
    """Coloured text, or a web page that needs nothing else."""
    output: Path | None = None
    """File to write. None: standard output."""

    def __post_init__(self) -> None:
        """Refuse values that make no sense.

        Raises:
            ConfigurationError: an option is out of range, or there is not just one of files and --text.
        """
        super().__post_init__()
        self.masking  # noqa: B018  # it checks its own values
        if bool(self.inputs) == (self.text is not None):
            raise ConfigurationError("give either files or --text")
        if self.output is not None and any(Path(name).resolve() == self.output.resolve() for name in self.inputs):
            raise ConfigurationError(f"--output {self.output} is one of the files to show: choose another")
        if self.sequence_length < 3:
            raise ConfigurationError(f"--sequence-length must be at least 3, not {self.sequence_length}")
        if self.num_blocks < 1:
            raise ConfigurationError(f"--num-blocks must be at least 1, not {self.num_blocks}")


def run(config: PreviewConfig) -> int:
    """Show the preview; returns the exit status."""
    blocks = preview(config)
    show = write_html if config.format == "html" else print_blocks
    if config.output is None:
        show(blocks, sys.stdout)
        return 0
    try:
        with config.output.open("w", encoding="utf-8") as file:
            show(blocks, file)
    except OSError as error:
        raise ConfigurationError(f"{config.output} cannot be written: {error.strerror}") from error
    return 0


def preview(config: PreviewConfig) -> list[BlockPreview]:
    """Mask the first blocks of the text.

    Raises:
        ConfigurationError: the scheme needs annotations and there are none.
        InputError: the text cannot be read, or there is none.
        CheckpointError: there is no such tokenizer.
        MissingDependencyError: a format, the segmenter or spaCy needs a package that is not installed.
    """
    documents = _read(config)
    if config.tokenizer is not None:
        tokenizer = PieceTokenizer.load(config.tokenizer)
    else:
        # Pieces seen together once are joined as well: a short text would otherwise fall apart into letters.
        tokenizer = PieceTokenizer.train([document.text for document in documents], min_frequency=1)
    text = _encode(documents, tokenizer, get_segmenter(config.segmenter))
    blocks = single_sequence_blocks(text, config.sequence_length - 2)
    if not len(blocks):
        raise InputError("there are no word pieces in this text")
    # No piece is left out between blocks, so the first blocks are the first pieces.
    ends = blocks.ends[: config.num_blocks]
    flat = FlatBlocks(
        pieces=text.pieces[: ends[-1]],
        word_starts=text.word_starts[: ends[-1]],
        offsets=np.append(0, ends),
        indices=np.arange(len(ends)),
        units=_units(text, ends, config),
    )
    vocabulary = MaskingVocabulary.of(tokenizer, np.bincount(text.pieces, minlength=tokenizer.vocab_size))
    masked = mask_blocks(flat, config.masking, seed=config.seed, epoch=config.epoch, vocabulary=vocabulary)
    return [
        _block_preview(text, masked, number, int(blocks.document[number]), tokenizer) for number in range(len(ends))
    ]


@dataclass(frozen=True)
class _EncodedText:
    """Documents as pieces, each with its place.

    `text`: all documents, one after the other; `document_begins`, `lines` and `offsets` int64 [P, 2]: where each
    document, line and piece is in it, in code points. The other arrays are those of a corpus.
    """

    text: str
    documents: list[Document]
    document_begins: list[int]
    lines: list[Span]
    pieces: Int64Array
    word_starts: BoolArray
    line_ends: Int64Array
    document_ends: Int64Array
    offsets: Int64Array


def _read(config: PreviewConfig) -> list[Document]:
    if config.text is not None:
        if not config.text.strip():
            raise InputError("there is no text in --text")
        return [Document(config.text, "--text", 1)]
    documents, room = [], _MAX_CHARACTERS
    for document in read_documents(expand_inputs(config.inputs), config, ReadSummary()):
        inside = tuple(annotation for annotation in document.annotations if annotation.end <= room)
        documents.append(replace(document, text=document.text[:room], annotations=inside))
        room -= len(document.text)
        if room <= 0:
            break
    return documents


def _encode(documents: list[Document], tokenizer: PieceTokenizer, segmenter: Segmenter | None) -> _EncodedText:
    begins, lines, num_lines, begin = [], list[Span](), [], 0
    for document in documents:
        begins.append(begin)
        lines += (Span(begin + start, begin + end) for start, end in document.lines())
        num_lines.append(len(lines))
        begin += len(document.text) + 1
    text = "\n".join(document.text for document in documents)
    encodings = tokenizer.encode_batch([text[start:end] for start, end in lines], segmenter=segmenter)
    ends = np.cumsum([0, *map(len, encodings)])
    return _EncodedText(
        text=text,
        documents=documents,
        document_begins=begins,
        lines=lines,
        pieces=np.concatenate([encoding.ids for encoding in encodings]).astype(np.int64),
        word_starts=np.concatenate([encoding.word_starts for encoding in encodings]),
        line_ends=ends[1:],
        document_ends=ends[num_lines],
        offsets=np.concatenate(
            [line.start + encoding.offsets for line, encoding in zip(lines, encodings, strict=True)]
        ),
    )


def _units(text: _EncodedText, ends: Int64Array, config: PreviewConfig) -> Int64Array:
    """Return the annotated spans that lie within the blocks with these ends, in pieces, int64 [A, 2]."""
    kind = config.masking.unit_kind
    if kind is None:
        return np.empty((0, 2), np.int64)
    found = [
        Span(begin + annotation.start, begin + annotation.end)
        for begin, document in zip(text.document_begins, text.documents, strict=True)
        for annotation in document.annotations
        if annotation.kind == kind
    ]
    if config.annotate is not None:
        annotate = spacy_annotations(config.annotate)
        shown = int(np.searchsorted(text.line_ends, ends[-1])) + 1
        for line in text.lines[:shown]:
            there = annotate(text.text[line.start : line.end])
            found += [Span(line.start + a.start, line.start + a.end) for a in there if a.kind == kind]
    if not found:
        raise ConfigurationError(
            f"--scheme {config.scheme} masks annotated spans, and this text has none of the kind {kind!r}: give them "
            f"in the column {config.annotation_column!r} of a .jsonl or .parquet file, or let --annotate find them"
        )
    units, taken = [], 0
    for span in sorted(found, key=lambda span: (span.start, -span.end)):
        first = int(np.searchsorted(text.offsets[:, 1], span.start, side="right"))
        last = int(np.searchsorted(text.offsets[:, 0], span.end))
        block = int(np.searchsorted(ends, first, side="right"))
        if taken <= first < last and block < len(ends) and last <= ends[block]:
            units.append((first, last))
            taken = last
    return np.array(units, dtype=np.int64).reshape(-1, 2)


def _block_preview(
    text: _EncodedText, masked: MaskedBlocks, number: int, document: int, tokenizer: PieceTokenizer
) -> BlockPreview:
    first, last = masked.blocks.offsets[number : number + 2].tolist()
    begin, end = int(text.offsets[first, 0]), int(text.offsets[last - 1, 1])
    spans = []
    for i in np.flatnonzero(masked.span_blocks == number).tolist():
        span = slice(int(masked.span_starts[i]), int(masked.span_ends[i]))
        spans.append(
            SpanPreview(
                start=int(text.offsets[span.start, 0]) - begin,
                end=int(text.offsets[span.stop - 1, 1]) - begin,
                action=Action(int(masked.actions[i])),
                num_words=max(int(masked.blocks.word_starts[span].sum()), 1),
                num_pieces=span.stop - span.start,
                seen=tokenizer.decode(masked.pieces[span].tolist()),
            )
        )
    return BlockPreview(
        source=text.documents[document].source,
        line=text.documents[document].line,
        text=text.text[begin:end],
        num_pieces=last - first,
        budget=int(masked.budgets[number]),
        spans=tuple(spans),
    )
