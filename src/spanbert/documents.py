"""Reading documents: text files and records, in any mix, as a stream.

`expand_inputs` turns names into files, `read_documents` turns files into `Document`s, in order and in constant memory,
and a `ReadSummary` counts what was read and what was left out, with the reason.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from spanbert.errors import ConfigurationError
from spanbert.input_files import InputFile, expand_inputs
from spanbert.read_summary import FileSummary, ReadSummary
from spanbert.spans import Span

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
    heading: str = DEFAULT_HEADING
    """Text files with --document-end heading: a regular expression, matched at the start of each line without its
    leading white space. The default finds Markdown `# X`, wiki `= X =` (not `== X ==`) and lines like `CHAPTER IV`."""
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
        try:
            re.compile(self.heading)
        except re.error as error:
            raise ConfigurationError(f"heading is not a regular expression: {error} in {self.heading!r}") from error


def read_documents(files: Iterable[InputFile], config: ReadConfig, summary: ReadSummary) -> Iterator[Document]:
    """Yield the documents of all files, in order, as a stream; `summary` grows on the way.

    Raises (while iterating):
        InputError: A file cannot be read as given, or there is not a single document in all of them.
        MissingDependencyError: A file needs an optional package that is not installed.
    """
    raise NotImplementedError
