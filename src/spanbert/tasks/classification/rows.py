"""Rows of a file with named columns: delimited text or JSON lines."""

from __future__ import annotations

import csv
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spanbert.errors import ConfigurationError, InputError
from spanbert.example_files import (
    begins_array,
    name_without_compression,
    parse_json_lines,
    peek,
    read_lines,
    source_name,
)
from spanbert.read_summary import counted
from spanbert.task import Problem
from spanbert.tasks.classification.config import DataOptions

_SEPARATORS: Mapping[str, str] = {".csv": ",", ".tsv": "\t", ".txt": "\t"}
_LIKELY_SEPARATORS = {"\t": '"\\t"', ",": '","', ";": '";"', "|": '"|"'}
"""With how they are written on the command line."""
_JSON_LINES = (".jsonl", ".ndjson", ".json")
_MAX_FIELD = 2**31 - 1
"""The largest limit that the `csv` module takes on every platform."""
_ROWS_TO_COUNT = 1000
"""First rows that decide how many columns a file without a header has."""

NumberedRow = tuple[int, list[str] | Problem]


@dataclass(frozen=True, slots=True)
class Row:
    """A row by the names of its columns."""

    line: int
    """Line of the file, from 1, where it begins."""
    values: Mapping[str, Any]


def read_rows(path: str | Path, options: DataOptions, required: Iterable[str]) -> Iterator[Row | Problem]:
    r"""The rows of a file; those with nothing in them are passed over. A line break inside quotes is "\n" in the row.

    Args:
        path: .csv, .tsv, .txt, .jsonl (.ndjson, .json), each also .gz or .zst, or "-". A name that does not tell is
            read as JSON lines when its first character is "{".
        options: separator, quotes, header, encoding.
        required: columns that a delimited file must have.

    Raises:
        InputError: the file cannot be read, its name does not tell the format, a required column is not there or there
            is nothing in delimited text.
        ConfigurationError: the separator cannot be used.
    """
    lines = read_lines(path, encoding=options.encoding)
    ending = Path(name_without_compression(path)).suffix
    first = ""
    if ending not in _SEPARATORS:
        first, lines = peek(lines)
        if ending in _JSON_LINES or first.startswith("{") or begins_array(first):
            for item in parse_json_lines(lines, source=source_name(path)):
                yield item if isinstance(item, Problem) else Row(item.line, item.value)
            return
    separator = separator_of(path, options, first)
    if separator is None:
        raise InputError(
            "the name does not tell the format: known endings are .csv, .tsv, .txt and .jsonl; or say what stands "
            "between the columns with --separator",
            source=source_name(path),
        )
    yield from delimited_rows(lines, separator, options, tuple(required), source_name(path))


def separator_of(path: str | Path, options: DataOptions, first_line: str) -> str | None:
    """What stands between the columns of a delimited file: the option, or what the name tells; None if nothing does.

    On standard input it is a tab, or a comma where the first line has no tab but a comma.
    """
    if options.separator is not None:
        return options.separator.replace("\\t", "\t")
    if str(path) == "-":
        return "," if "," in first_line and "\t" not in first_line else "\t"
    return _SEPARATORS.get(Path(name_without_compression(path)).suffix)


def delimited_rows(
    lines: Iterable[tuple[int, str]], separator: str, options: DataOptions, required: tuple[str, ...], source: str
) -> Iterator[Row | Problem]:
    """The rows of numbered lines; for the rest see `read_rows`."""
    first_line, lines = peek(iter(lines))
    quoted = options.quotes == "yes" or (options.quotes == "auto" and separator in {",", ";"})
    rows = _quoted_rows(lines, separator) if quoted else _plain_rows(lines, separator)
    first_rows: list[NumberedRow] = []
    if options.header:
        columns = _header(rows, required, source, first_line, separator)
    else:
        columns, first_rows = _numbered(rows, required, source)
    merged = None
    if not options.header and not quoted and options.pair_column is None and options.text_column in columns:
        merged = columns.index(options.text_column)
    for line, fields in itertools.chain(first_rows, rows):
        if isinstance(fields, Problem):
            yield fields
            continue
        num_extra = len(fields) - len(columns)
        if num_extra > 0 and merged is not None:
            text = separator.join(fields[merged : merged + num_extra + 1])
            fields = [*fields[:merged], text, *fields[merged + num_extra + 1 :]]
        elif num_extra:
            yield Problem(line, "wrong number of columns", _width_problem(len(fields), len(columns), separator, quoted))
            continue
        yield Row(line, dict(zip(columns, fields, strict=True)))


def _plain_rows(lines: Iterable[tuple[int, str]], separator: str) -> Iterator[NumberedRow]:
    if not separator:
        raise ConfigurationError("--separator needs a character at least")
    for line, content in lines:
        if content and not content.isspace():
            yield line, content.split(separator)


def _quoted_rows(lines: Iterable[tuple[int, str]], separator: str) -> Iterator[NumberedRow]:
    if len(separator) != 1 or separator in '"\n\r':
        raise ConfigurationError(f"with --quotes yes, --separator must be one character, not {separator!r}")
    csv.field_size_limit(_MAX_FIELD)  # a setting of the whole process; 128 KiB by default, and texts are longer
    rows = csv.reader((f"{content}\n" for _, content in lines), delimiter=separator, strict=True)
    while True:
        line = rows.line_num + 1
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            last = rows.line_num
            detail = f"{error}; is a quotation mark missing or not doubled? Lines {line} to {last} are left out"
            yield line, Problem(line, "bad quoting", detail)
            continue
        if row and "".join(row).strip():
            yield line, row


def _header(
    rows: Iterator[NumberedRow], required: tuple[str, ...], source: str, first_line: str, separator: str
) -> list[str]:
    line, fields = next(rows, (1, []))
    other = _other_separator(first_line, required, separator)
    hint = f"something else stands between the columns: say --separator {other}" if other is not None else ""
    if isinstance(fields, Problem):
        raise InputError(f"the header cannot be read: {hint or fields.detail}", source=source, line=line)
    columns = [field.strip() for field in fields]
    if not columns:
        raise InputError("there is nothing in the file", source=source)
    for name in required:
        if (number := columns.count(name)) != 1:
            problem = "several columns are" if number else "there is no column"
            shown = ", ".join(repr(column[:40]) for column in columns[:20])
            advice = hint or (
                "name the columns with --text-column and --label-column; or, where the first row is no header, say "
                "--no-header with --text-column 0 --label-column 1 (columns count from 0)"
            )
            raise InputError(
                f"{problem} called {name!r}; the first row has {shown}: {advice}", source=source, line=line
            )
    return columns


def _other_separator(header: str, required: tuple[str, ...], separator: str) -> str | None:
    """What the user should give as the separator, where a header that is cut at it has all columns."""
    for likely, shown in _LIKELY_SEPARATORS.items():
        names = [name.strip(' "') for name in header.split(likely)]
        if likely != separator and all(names.count(name) == 1 for name in required):
            return shown
    return None


def _numbered(
    rows: Iterator[NumberedRow], required: tuple[str, ...], source: str
) -> tuple[list[str], list[NumberedRow]]:
    """The columns 0, 1, ... of a file without a header, and the rows that were read to count them."""
    for name in required:
        if not name.isdecimal() or str(int(name)) != name:
            raise ConfigurationError(
                f"with --no-header the columns are called 0, 1, 2, ...; there is no {name!r}: say --text-column 0 "
                "--label-column 1, or whichever they are"
            )
    first_rows = list(itertools.islice(rows, _ROWS_TO_COUNT))
    widths = Counter(len(fields) for _, fields in first_rows if not isinstance(fields, Problem))
    if not widths:
        raise InputError("there is nothing in the file", source=source)
    needed = 1 + max(map(int, required), default=0)
    # The smallest number that is no exception: rows with more have separators in their text, a few with fewer columns
    # are broken.
    rare = sum(widths.values()) / 20
    enough = [width for width in widths if width >= needed]
    width = min([width for width in enough if widths[width] >= rare] or enough, default=0)
    if not width:
        raise InputError(
            f"no row has a column {needed - 1}: the rows have {counted(max(widths), 'column')} (counted from 0); is "
            "the separator right? See --separator",
            source=source,
        )
    return [str(number) for number in range(width)], first_rows


def _width_problem(num_fields: int, num_columns: int, separator: str, quoted: bool) -> str:
    advice = "is a field with a separator or a line break not quoted?" if quoted else "see --separator and --quotes"
    return f"{counted(num_fields, 'column')} where {num_columns} are needed, cut at {separator!r}; {advice}"
