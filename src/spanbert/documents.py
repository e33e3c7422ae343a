"""Reading documents: text files and records, in any mix, as a stream.

`expand_inputs` turns names into files, `read_documents` turns files into `Document`s, in order and in constant memory,
and a `ReadSummary` counts what was read and what was left out, with the reason.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from spanbert.errors import ConfigurationError, InputError
from spanbert.input_files import InputFile, expand_inputs, read_chunks
from spanbert.read_summary import FileSummary, ReadSummary
from spanbert.record_files import BadRecord, Record, read_csv, read_jsonl, read_parquet
from spanbert.spans import Span
from spanbert.text_files import decode_chunks, decode_replacing, group_lines, split_lines

__all__ = [
    "Annotation",
    "Document",
    "FileSummary",
    "InputFile",
    "ReadConfig",
    "ReadSummary",
    "expand_inputs",
    "read_documents",
]

DEFAULT_HEADING = (
    r"# +\S"  # Markdown
    r"|= (?![= ]).*[^= ] =$"  # wiki, top level: "= X =" but not "= = X = ="
    r"|(?:CHAPTER|Chapter) +(?:\d{1,4}|[IVXLCDM]+)(?:[.:—–-].{0,80}|(?: +[^a-z]{1,80})?)$"  # "Chapter 3: Fog"
    r"|CHAPTER(?: +[A-Z]+(?:-[A-Z]+)?){1,3}\.?$"  # "CHAPTER TWENTY-ONE"
)

_LINE = re.compile(r"\S[^\r\n]*")
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_CONTROL_BYTES = bytes([*range(0x09), *range(0x0E, 0x1C), 0x7F])  # ASCII controls that are not white space


@dataclass(frozen=True, slots=True)
class Annotation:
    """A span of a document that came with it: code points of `Document.text`, half-open."""

    start: int
    end: int
    kind: str
    """What the span is, e.g. "entity" or "noun-phrase"."""


@dataclass(frozen=True, slots=True)
class Document:
    """Text that belongs together: a training block never spans two documents."""

    text: str
    """Lines joined by "\\n"; a line is a paragraph or a sentence. Text files: no blank lines, no white space at a
    line's ends. Records: the column's text exactly as it stands, so that offsets stay right."""
    source: str
    """The file's name, `<stdin>` for standard input."""
    line: int
    """Where it starts in its source: line of the decompressed text, for .parquet the number of the record, from 1."""
    annotations: tuple[Annotation, ...] = ()

    def lines(self) -> Iterator[Span]:
        r"""Yield the lines that are not blank, as code points of `text`, from their first non-space character on.

        A line ends at "\n", "\r\n" or "\r"; all other separators (U+2028, form feed, ...) are white space inside it.
        """
        for match in _LINE.finditer(self.text):
            yield Span(*match.span())


@dataclass(frozen=True, kw_only=True)
class ReadConfig:
    """How text becomes documents."""

    document_end: Literal["blank-line", "file", "heading"] = "blank-line"
    """Text files: what ends a document. `blank-line`: a blank line (with --unwrap: two or more of them, as one ends a
    paragraph); `file`: only the file's end; `heading`: a heading starts a new document and is its first line."""
    heading: str | None = None
    """Text files with --document-end heading: a regular expression, matched at the start of each line without its
    leading white space. Without it: Markdown `# X`, wiki `= X =` (not `== X ==`) and lines like `CHAPTER IV`."""
    unwrap: bool = False
    """Text files whose lines were broken at a fixed width: join neighbouring lines to one paragraph, with a space, or
    with nothing between two CJK characters; a blank line ends the paragraph. A hyphen at a line's end stays."""
    text_column: str = "text"
    """.jsonl, .csv, .parquet: the column (JSON key) that holds the text."""
    annotation_column: str = "spans"
    """.jsonl, .parquet: the column that holds span annotations, if it is there: a list of [start, end, kind], or of
    objects with these keys, in code points of the text, end exclusive. Empty: no annotations are read."""
    bad_bytes: Literal["error", "replace"] = "error"
    """What to do with bytes that are not UTF-8: stop with their place, or replace them by U+FFFD and count them."""
    bad_records: Literal["error", "skip"] = "error"
    """.jsonl, .csv, .parquet: what to do with a record that cannot be used (not JSON, no text, a span outside the
    text, ...): stop with its place, or leave it out and count it. Records without text (empty, null in .parquet) are
    always left out and counted."""
    stdin_format: Literal["txt", "jsonl", "csv"] = "txt"
    """The format of standard input (`-`), which is never compressed."""

    def __post_init__(self) -> None:
        if self.heading is not None and self.document_end != "heading":
            raise ConfigurationError("--heading is for --document-end heading: give both or neither")
        try:
            re.compile(self.heading or DEFAULT_HEADING)
        except re.error as error:
            raise ConfigurationError(f"heading is not a regular expression: {error} in {self.heading!r}") from error


def read_documents(files: Iterable[InputFile], config: ReadConfig, summary: ReadSummary) -> Iterator[Document]:
    """Yield the documents of all files, in order, as a stream; `summary` grows on the way.

    Raises (while iterating):
        InputError: A file cannot be read as given, or there is not a single document in all of them.
        MissingDependencyError: A file needs an optional package that is not installed.
    """
    is_empty = True
    for file in files:
        if file.skip_reason is not None:
            summary.skipped_files[file.name] = file.skip_reason
            continue
        counts = FileSummary(source=file.name)
        summary.files.append(counts)
        for document in _documents_of(file, config, counts):
            is_empty = False
            counts.num_documents += 1
            counts.num_characters += len(document.text)
            counts.num_annotations += len(document.annotations)
            yield document
    if is_empty:
        raise InputError(f"there is no text in the input:\n{summary}")


def _documents_of(file: InputFile, config: ReadConfig, counts: FileSummary) -> Iterator[Document]:
    file_format = file.format or config.stdin_format
    if file_format == "parquet":
        names = {"text_column": config.text_column, "annotation_column": config.annotation_column}
        yield from _documents_of_records(read_parquet(file, counts, **names), config, counts)
    elif file_format == "txt":
        chunks = _count_control_characters(read_chunks(file, counts), counts)
        yield from _documents_of_lines(_lines_of(chunks, config, counts), config, counts)
    elif file_format == "csv":
        lines = _lines_of(read_chunks(file, counts), config, counts)
        yield from _documents_of_records(read_csv(lines, counts, text_column=config.text_column), config, counts)
    else:
        lines = _lines_of(read_chunks(file, counts), config, counts)
        records = read_jsonl(lines, text_column=config.text_column, annotation_column=config.annotation_column)
        yield from _documents_of_records(records, config, counts)


def _lines_of(chunks: Iterable[bytes], config: ReadConfig, counts: FileSummary) -> Iterator[list[str]]:
    return split_lines(decode_chunks(chunks, counts, bad_bytes=config.bad_bytes))


def _count_control_characters(chunks: Iterable[bytes], counts: FileSummary) -> Iterator[bytes]:
    """Count on bytes, which is faster than on text; for records it would miss what JSON escapes."""
    for chunk in chunks:
        counts.num_control_characters += _num_control_characters(chunk)
        yield chunk


def _documents_of_lines(batches: Iterable[list[str]], config: ReadConfig, counts: FileSummary) -> Iterator[Document]:
    for line, text in group_lines(
        batches,
        counts,
        document_end=config.document_end,
        heading=re.compile(config.heading or DEFAULT_HEADING),
        unwrap=config.unwrap,
    ):
        counts.num_lines += text.count("\n") + 1
        yield Document(text, counts.source, line)


def _documents_of_records(
    records: Iterable[Record | BadRecord], config: ReadConfig, counts: FileSummary
) -> Iterator[Document]:
    for record in records:
        document = record if isinstance(record, BadRecord) else _document_of(record, config, counts)
        if isinstance(document, Document):
            counts.num_lines += sum(1 for _ in document.lines())
            yield document
        elif isinstance(document, BadRecord):
            if config.bad_records == "error":
                advice = "leave such records out with --bad-records skip"
                raise InputError(f"{document.detail}; or {advice}", source=counts.source, line=document.line)
            counts.skip(document.reason, document.line)


def _document_of(record: Record, config: ReadConfig, counts: FileSummary) -> Document | BadRecord | None:
    """Check a record; None where it is left out and counted."""
    if record.text is None:
        counts.skip("null text", record.line)
        return None
    text = _sound_text(record.text, record.line, config, counts)
    if isinstance(text, BadRecord):
        return text
    if not text or text.isspace():
        counts.skip("empty text", record.line)
        return None
    try:
        annotations = _annotations(record.annotations, len(text))
    except ValueError as error:
        detail = f"{error} in {config.annotation_column!r}"
        return BadRecord(record.line, "bad annotation", detail)
    return Document(text, counts.source, record.line, annotations)


def _sound_text(text: str | bytes, line: int, config: ReadConfig, counts: FileSummary) -> str | BadRecord:
    """Return text that is Unicode throughout; each lone surrogate counts and is replaced as a bad byte is."""
    is_strict = config.bad_bytes == "error"
    advice = "replace it with --bad-bytes replace"
    if isinstance(text, bytes):
        data = text
        try:
            text = data.decode()
        except UnicodeDecodeError as error:
            if is_strict:
                byte = f"byte 0x{data[error.start]:02x} at byte {error.start} of the text"
                return BadRecord(line, "not UTF-8", f"{byte} is not UTF-8; {advice}")
            text, _, num_replaced = decode_replacing(data)
            counts.replaced(num_replaced, line)
    else:
        try:
            data = text.encode()
        except UnicodeEncodeError as error:
            if is_strict:
                escape = f"the escape \\u{ord(text[error.start]):04x} at character {error.start} of the text"
                return BadRecord(line, "lone surrogate", f"{escape} is half a character; {advice}")
            text, num_replaced = _LONE_SURROGATE.subn("\ufffd", text)
            counts.replaced(num_replaced, line)
            data = text.encode()
    counts.num_control_characters += _num_control_characters(data)
    return text


def _num_control_characters(data: bytes) -> int:
    return len(data) - len(data.translate(None, _CONTROL_BYTES))


def _annotations(value: object, num_characters: int) -> tuple[Annotation, ...]:
    """Check what an annotation column holds; raise ValueError with what is wrong."""
    if value is None:
        return ()
    if not isinstance(value, list):
        raise ValueError(f"a list of [start, end, kind] is needed, not {type(value).__name__}")
    annotations = []
    for item in value:
        parts = [item.get(key) for key in ("start", "end", "kind")] if isinstance(item, dict) else item
        match parts:
            case [int() as start, int() as end, str() as kind] if bool not in (type(start), type(end)):
                pass
            case _:
                raise ValueError(f"[start, end, kind] with two integers and a string is needed, not {item!r}")
        if not 0 <= start < end <= num_characters:
            raise ValueError(
                f"the span {start}..{end} ({kind}) is empty or outside the text of {num_characters} characters"
            )
        annotations.append(Annotation(start, end, kind))
    return tuple(annotations)
