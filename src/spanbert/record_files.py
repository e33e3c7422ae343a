"""Records: one JSON object a line, CSV with a header, Parquet; each gives a text and perhaps annotations.

The readers yield a `Record` or a `BadRecord`, and leave it to the caller whether a bad one ends the run. What is wrong
with a whole file (no such column, not Parquet at all) is an `InputError`.
"""

from __future__ import annotations

import contextlib
import csv
import itertools
import json
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from spanbert.errors import InputError
from spanbert.input_files import InputFile, import_pyarrow, read_chunks
from spanbert.read_summary import FileSummary

_BATCH_ROWS = 1000
_MAX_CSV_FIELD = 2**31 - 1
"""The largest limit that the `csv` module takes on every platform."""


@dataclass(frozen=True, slots=True)
class Record:
    """The part of a record that is read."""

    line: int
    """Line where it starts, for Parquet its number; from 1."""
    text: str | bytes | None
    """Bytes, and None for null, come from Parquet only."""
    annotations: object = None
    """What the annotation column holds, not yet checked."""


@dataclass(frozen=True, slots=True)
class BadRecord:
    """A record that cannot be used."""

    line: int
    reason: str
    """A few words that are the same for all such records: summaries count by it."""
    detail: str


def read_jsonl(
    batches: Iterable[list[str]], *, text_column: str, annotation_column: str
) -> Iterator[Record | BadRecord]:
    """Read one JSON object a line; blank lines are passed over."""
    for line, content in enumerate(itertools.chain.from_iterable(batches), 1):
        if not content or content.isspace():
            continue
        try:
            value = json.loads(content)
        except json.JSONDecodeError as error:
            yield BadRecord(line, "not JSON", f"{error.msg} at column {error.colno}; each line must be a JSON object")
            continue
        except (ValueError, RecursionError) as error:  # numbers of many thousand digits, very deep nesting
            yield BadRecord(line, "not JSON", str(error))
            continue
        if not isinstance(value, dict):
            yield BadRecord(line, "not an object", f"a JSON object is needed, not {type(value).__name__}")
        elif text_column not in value:
            yield BadRecord(line, "no such column", _no_column(text_column, value))
        elif not isinstance(text := value[text_column], str):
            yield BadRecord(line, "text is not a string", f"{text_column!r} holds {type(text).__name__}, not a string")
        else:
            yield Record(line, text, value.get(annotation_column) if annotation_column else None)


def read_csv(batches: Iterable[list[str]], counts: FileSummary, *, text_column: str) -> Iterator[Record | BadRecord]:
    r"""Read comma-separated rows below a header row; blank lines are passed over.

    Quoted fields may hold line breaks; each becomes "\n".

    Raises:
        InputError: The header does not have the column exactly once.
    """
    csv.field_size_limit(_MAX_CSV_FIELD)  # a setting of the whole process; 128 KiB by default, and texts are longer
    rows = csv.reader((f"{line}\n" for line in itertools.chain.from_iterable(batches)), strict=True)
    header: list[str] = []
    while True:
        line = rows.line_num + 1
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            if not header:
                raise InputError(f"the header is not CSV: {error}", source=counts.source, line=line) from error
            yield BadRecord(line, "bad quoting", f"not CSV: {error}; is a quotation mark missing or not doubled?")
            continue
        if not row or (not header and not "".join(row).strip()):
            continue
        if not header:
            header = row
            if header.count(text_column) != 1:
                raise InputError(_no_column(text_column, header), source=counts.source, line=line)
        elif len(row) != len(header):
            detail = f"{len(row)} fields, but the header has {len(header)}; is a comma or a line break not quoted?"
            yield BadRecord(line, "wrong number of fields", detail)
        else:
            yield Record(line, row[header.index(text_column)])


def read_parquet(
    file: InputFile, counts: FileSummary, *, text_column: str, annotation_column: str
) -> Iterator[Record | BadRecord]:
    """Read a Parquet file in batches of rows; a compressed one by way of a temporary file, as it is read from its end.

    Raises:
        InputError: It is not Parquet, or has no such column of texts.
        MissingDependencyError: `pyarrow` is not installed.
    """
    pyarrow = import_pyarrow()
    try:
        with contextlib.ExitStack() as stack:
            content: Any = file.path
            if file.compression is not None:
                content = stack.enter_context(tempfile.TemporaryFile())
            for chunk in read_chunks(file, counts):  # for its hash, or to decompress it
                if file.compression is not None:
                    content.write(chunk)
            table = stack.enter_context(pyarrow.parquet.ParquetFile(content))
            names = table.schema_arrow.names
            if names.count(text_column) != 1:
                raise InputError(_no_column(text_column, names), source=file.name)
            _check_type(pyarrow, table.schema_arrow.field(text_column).type, text_column, file.name)
            has_annotations = bool(annotation_column) and annotation_column in names
            columns = [text_column, annotation_column] if has_annotations else [text_column]
            line = 0
            for batch in table.iter_batches(batch_size=_BATCH_ROWS, columns=columns):
                # As bytes, since a string column may hold anything, and errors should name the record.
                texts = _plain(pyarrow, batch.column(text_column)).cast(pyarrow.large_binary()).to_pylist()
                annotations = batch.column(annotation_column).to_pylist() if has_annotations else [None] * len(texts)
                for text, spans in zip(texts, annotations, strict=True):
                    line += 1
                    yield Record(line, text, spans)
    except (pyarrow.ArrowException, OSError) as error:
        raise InputError(f"cannot be read as Parquet: {error}", source=file.name) from error


def _plain(pyarrow: Any, column: Any) -> Any:
    return column.dictionary_decode() if pyarrow.types.is_dictionary(column.type) else column


def _check_type(pyarrow: Any, column_type: Any, name: str, source: str) -> None:
    kind = column_type.value_type if pyarrow.types.is_dictionary(column_type) else column_type
    types = pyarrow.types
    accepted = (types.is_string, types.is_large_string, types.is_string_view, types.is_binary, types.is_large_binary)
    if not any(accepts(kind) for accepts in accepted):
        raise InputError(f"the column {name!r} holds {column_type}, not texts", source=source)


def _no_column(name: str, columns: Iterable[str]) -> str:
    names = list(columns)
    problem = f"several columns are called {name!r}" if name in names else f"there is no column {name!r}"
    return f"{problem}; the columns are {', '.join(map(repr, names))}; choose one with --text-column"
