"""Data files of tasks: lines and JSON objects with their line numbers, from any file, compressed or not."""

from __future__ import annotations

import codecs
import itertools
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spanbert.errors import ConfigurationError, InputError
from spanbert.input_files import STDIN, Compression, InputFile, read_chunks
from spanbert.read_summary import FileSummary
from spanbert.task import Problem
from spanbert.text_files import decode_chunks, split_lines

_ARRAY = re.compile(r"\[\s*(\{|$)")
_COMPRESSIONS: Mapping[str, Compression] = {".gz": "gz", ".zst": "zst"}
_JSON_NAMES = (".jsonl", ".json", ".ndjson")


@dataclass(frozen=True, slots=True)
class JsonRecord:
    """A JSON object of a JSON-lines file."""

    line: int
    value: dict[str, Any]


def source_name(path: str | Path) -> str:
    """How messages call a file: its path, or `<stdin>` for "-"."""
    return STDIN if str(path) == "-" else str(path)


def name_without_compression(path: str | Path) -> str:
    """The file's name in lower case without .gz or .zst, for telling its format."""
    name = Path(path).name.lower()
    for ending in _COMPRESSIONS:
        name = name.removesuffix(ending)
    return name


def is_json(path: str | Path) -> bool:
    """Whether a file holds JSON, by its name."""
    return name_without_compression(path).endswith(_JSON_NAMES)


def read_lines(path: str | Path, *, encoding: str | None = None) -> Iterator[tuple[int, str]]:
    r"""The lines of a file with their numbers from 1, without line ends ("\n", "\r\n" or "\r") and byte order mark.

    They come as they arrive: a pipe can be read while it is written.

    Args:
        path: a file, also .gz or .zst, or "-" for standard input.
        encoding: a name that Python knows, as --encoding has it; None where a task has no such option: UTF-8.

    Raises:
        InputError: the file is not there, cannot be read, or a byte is not of this encoding (line and offset are told).
        ConfigurationError: there is no such encoding.
    """
    return enumerate(itertools.chain.from_iterable(split_lines(_decoded(path, encoding))), 1)


def read_text(path: str | Path, *, encoding: str | None = None) -> str:
    r"""The whole text of a file, line ends as they are in it, without byte order mark; raises as `read_lines` does."""
    return "".join(_decoded(path, encoding))


def read_json(path: str | Path) -> Any:
    """The one JSON value of a file.

    Raises:
        InputError: as `read_lines`, or it is not JSON (line and column are told).
    """
    text = read_text(path)
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(
            f"not JSON: {error.msg} (column {error.colno})", source=source_name(path), line=error.lineno
        ) from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"not JSON: {json_fault(error)}", source=source_name(path)) from error


def peek(lines: Iterator[tuple[int, str]]) -> tuple[str, Iterator[tuple[int, str]]]:
    """The first line that is not blank, without the white space before it ("" where there is none), and all lines."""
    seen: list[tuple[int, str]] = []
    for line in lines:
        seen.append(line)
        if line[1].strip():
            return line[1].lstrip(), itertools.chain(seen, lines)
    return "", iter(seen)


def begins_array(text: str) -> bool:
    """Whether a text that begins so is a JSON array of objects."""
    return _ARRAY.match(text) is not None


def read_json_lines(path: str | Path) -> Iterator[JsonRecord | Problem]:
    """The objects of a JSON-lines file; see `parse_json_lines`."""
    return parse_json_lines(read_lines(path), source=source_name(path))


def parse_json_lines(lines: Iterable[tuple[int, str]], *, source: str) -> Iterator[JsonRecord | Problem]:
    """The objects of numbered lines; blank lines are passed over, a line that is no object is a `Problem`.

    Raises:
        InputError: the lines are one JSON value, not one each.
    """
    is_first = True
    for line, content in lines:
        if not content or content.isspace():
            continue
        if is_first:
            refuse_one_value(content, source, line)
            is_first = False
        yield parse_json_line(line, content)


def refuse_one_value(first_line: str, source: str, line: int) -> None:
    """Say what to do with a file that holds one JSON value: an array, or an object over several lines.

    Raises:
        InputError: the first line that is not blank is the beginning of such a value.
    """
    what = first_line.strip()
    if what == "{":
        raise InputError(
            "is a JSON object over several lines: each record must stand on a line of its own (`jq -c .` writes it so)",
            source=source,
            line=line,
        )
    if what == "[" or begins_array(what):
        raise InputError(
            "is a JSON array: each record must stand on a line of its own, without brackets and commas around them "
            "(`jq -c '.[]'` writes it so)",
            source=source,
            line=line,
        )


def parse_json_line(line: int, content: str) -> JsonRecord | Problem:
    """The object of a line that is not blank, or what is wrong with it."""
    try:
        value = json.loads(content)
    except json.JSONDecodeError as error:
        return Problem(line, "not JSON", f"{error.msg} at column {error.colno}; each line must be a JSON object")
    except (ValueError, RecursionError) as error:
        return Problem(line, "not JSON", json_fault(error))
    if isinstance(value, dict):
        return JsonRecord(line, value)
    return Problem(line, "not an object", f"a JSON object is needed, not {type(value).__name__}")


def json_fault(error: Exception) -> str:
    """What is wrong with JSON that the standard allows and Python does not read."""
    if isinstance(error, RecursionError):
        return "lists or objects are nested too deeply, hundreds of one inside the other"
    return "a number has too many digits, thousands of them"


def other_texts(line: int, spans: Iterable[object], text: str, id: str) -> Iterator[Problem]:
    """A problem for each span of a record (`start`, `end`) whose own `text` is not what stands there.

    Mostly the offsets are wrong: they count bytes or UTF-16 units, or come from another version of the text. They are
    used all the same, since only they say which of several places is meant.
    """
    for span in spans:
        given = span.get("text") if isinstance(span, dict) else None
        if isinstance(span, dict) and isinstance(given, str):
            start, end = span["start"], span["end"]
            if (found := text[start:end]) != given:
                detail = (
                    f"{start}..{end} is {_shortened(found)}, not {_shortened(given)} (id {id!r}); the offsets are used"
                )
                yield Problem(line, "text is not at its offsets", detail, skipped=False)


def _shortened(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:39] + "…")


def input_file(path: str | Path) -> InputFile:
    """A data file by its name, compressed as its ending says, or "-" for standard input; opening it comes later.

    Raises:
        InputError: it is a folder.
    """
    name = source_name(path)
    if name == STDIN:
        return InputFile(path=None, name=name, format=None)
    place = Path(path)
    if place.is_dir():
        raise InputError("is a folder; name a file", source=name)
    num_bytes = place.stat().st_size if place.is_file() else None
    return InputFile(place, name, None, _COMPRESSIONS.get(place.suffix.lower()), num_bytes)


def _decoded(path: str | Path, encoding: str | None) -> Iterator[str]:
    name = source_name(path)
    counts = FileSummary(source=name)
    chunks = read_chunks(input_file(path), counts)
    try:
        codec = codecs.lookup(encoding or "utf-8").name
    except LookupError as error:
        raise ConfigurationError(f"--encoding {encoding}: there is no such encoding") from error
    if codec in {"utf-8", "utf-8-sig"}:
        advice = "convert the file to UTF-8" + ("" if encoding is None else ", or name its encoding with --encoding")
        yield from decode_chunks(chunks, counts, advice=advice)
        return
    try:
        held = ""  # a "\r" that the next chunk's "\n" may belong to
        for text in codecs.iterdecode(chunks, codec):
            text = held + text
            held = "\r" if text.endswith("\r") else ""
            yield text.removesuffix(held)
        yield held
    except UnicodeError as error:
        raise InputError(f"is not {encoding}: {error}", source=name) from error
