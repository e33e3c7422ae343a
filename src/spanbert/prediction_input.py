"""Records to predict for: JSON lines or plain text, from a file, a pipe or standard input, read as they are needed.

A record that cannot be used becomes an `ErrorRecord` in its place, down to a single line that is not UTF-8. Where the
input pauses (a pipe that holds nothing right now), `PAUSE` stands among the records, so that whoever collects them to
batches can answer what came so far: `tail -f texts | spanbert predict MODEL` works line by line.
"""

from __future__ import annotations

import codecs
import enum
import io
import itertools
import re
import select
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from spanbert.errors import ConfigurationError, InputError
from spanbert.example_files import (
    JsonRecord,
    begins_array,
    input_file,
    name_without_compression,
    parse_json_line,
    refuse_one_value,
    source_name,
)
from spanbert.input_files import InputFile, read_chunks
from spanbert.read_summary import FileSummary
from spanbert.task import Located, Problem, Task

InputFormat = Literal["auto", "jsonl", "text"]
Document = Literal["auto", "line", "file"]

QUESTION_ANSWERING = "question-answering"
"""The name of the task whose plain text needs questions beside it."""

_PAUSE_SECONDS = 0.02
_FORMATS: Mapping[str, Literal["jsonl", "text"]] = {".jsonl": "jsonl", ".json": "jsonl", ".txt": "text"}
_OTHER_ENDINGS = (".csv", ".tsv", ".parquet", ".conll")
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
# How "surrogateescape" shows bytes that are not UTF-8; a good UTF-8 line cannot hold these.
_BAD_BYTE = re.compile("[\udc80-\udcff]")
_HEAD = 1000
"""First characters (or bytes) that tell an input which is one JSON value."""
# "data" with its list is the first key of SQuAD's JSON, or the second, behind the version.
_SQUAD = re.compile(r'\A\s*\{\s*("version"\s*:\s*"[^"]*"\s*,\s*)?"data"\s*:\s*\[')
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class ErrorRecord:
    """A record that gets no prediction."""

    line: int
    """Line of the input, from 1, where the record begins."""
    error: str
    """What is wrong and what to do."""
    id: str | None = None
    """The record's id, where it has one."""

    def to_json(self) -> dict[str, Any]:
        """The error as it stands among the predictions."""
        return {**({} if self.id is None else {"id": self.id}), "line": self.line, "error": self.error}


class Pause(enum.Enum):
    """The type of `PAUSE`."""

    PAUSE = enum.auto()


PAUSE = Pause.PAUSE
"""Stands among records where the next one may be long in coming."""

Item = Located[Any] | ErrorRecord | Pause


@dataclass(frozen=True, slots=True, kw_only=True)
class InputForm:
    """What the user said of the input's form."""

    format: InputFormat = "auto"
    document: Document = "auto"
    questions: tuple[str, ...] = ()


def read_records(task: Task[Any, Any], path: str, form: InputForm, counts: FileSummary) -> Iterator[Item]:
    """The examples of a file, in order, one at a time.

    Args:
        task: makes the examples.
        path: a file, also .gz or .zst, or "-" for standard input.
        form: how to read it; "auto" goes by the file's name, or else by whether it begins with "{" or "[{".
        counts: counts bytes as they are read, and the blank lines that are passed over.

    Raises:
        ConfigurationError: the form does not fit the task or the file.
        InputError: the file as a whole cannot be read.
    """
    chunks = _chunks(input_file(path), counts)
    format_, chunks = _format_of(path, form, chunks)
    if format_ == "jsonl":
        if form.questions or form.document != "auto":
            option = "--question" if form.questions else "--document"
            raise ConfigurationError(f"{option} is for plain text, and this input is JSON lines; see --input-format")
        return _json_records(task, _lines(chunks), counts, source_name(path))
    document = _document_of(task, form)
    texts = _whole_text(chunks) if document == "file" else _lines(chunks)
    return _text_records(task, texts, form.questions, counts, pass_over_blank=document == "line")


def _document_of(task: Task[Any, Any], form: InputForm) -> Literal["line", "file"]:
    """What one document of plain text is."""
    asks = task.name == QUESTION_ANSWERING
    if form.questions and not asks:
        raise ConfigurationError(f"--question is for {QUESTION_ANSWERING}, and this model's task is {task.name}")
    if asks and not form.questions:
        raise ConfigurationError(
            'plain text is only the context of a question: add --question "...", or give JSON lines with the keys '
            '"question" and "context"'
        )
    if not asks and task.plain_text is None:
        raise ConfigurationError(
            f"plain text is not enough for {task.name}: give JSON lines, an object with the example's keys on each"
        )
    if form.document != "auto":
        return form.document
    return task.plain_text or "file"


def _chunks(file: InputFile, counts: FileSummary) -> Iterator[bytes | Pause]:
    """The bytes of a file, decompressed; anything but a regular file may pause."""
    first = True
    for chunk in read_chunks(file, counts):
        if first and chunk.startswith(_UTF16):
            raise InputError("this looks like UTF-16 text: convert it to UTF-8", source=file.name)
        first = False
        yield chunk
        if file.num_bytes is None and not (file.path is None and _stdin_has_more()):
            yield PAUSE


def _stdin_has_more() -> bool:
    """Whether reading standard input would give something (or its end) at once, as far as the system can say."""
    try:
        return bool(select.select([sys.stdin], [], [], _PAUSE_SECONDS)[0])
    except (OSError, ValueError):  # not a file of the system's; Windows only watches sockets
        return False


def _format_of(
    path: str, form: InputForm, chunks: Iterator[bytes | Pause]
) -> tuple[Literal["jsonl", "text"], Iterator[bytes | Pause]]:
    """The input's format, and its chunks, of which some may have to be read to tell."""
    if form.format != "auto":
        return form.format, chunks
    name = name_without_compression(path)
    for ending, known in _FORMATS.items():
        if name.endswith(ending):
            return known, chunks
    if name.endswith(_OTHER_ENDINGS):
        raise ConfigurationError(
            f"{path}: predict reads JSON lines and plain text. A data file of the task is read by `spanbert evaluate "
            "MODEL FILE --predictions OUT.jsonl`; other rows have to be written as JSON lines; if its lines are texts, "
            "say --input-format text"
        )
    if form.questions:
        return "text", chunks
    held: list[bytes | Pause] = []
    for chunk in chunks:
        held.append(chunk)
        if chunk is not PAUSE and (head := chunk.removeprefix(codecs.BOM_UTF8).lstrip()):
            is_json = head.startswith(b"{") or begins_array(head[:_HEAD].decode(errors="replace"))
            return ("jsonl" if is_json else "text"), itertools.chain(held, chunks)
    return "text", iter(held)


def _lines(chunks: Iterator[bytes | Pause]) -> Iterator[tuple[int, str] | ErrorRecord | Pause]:
    r"""Numbered lines, ended by "\n", "\r\n" or "\r", as they come; an error for a line that is not UTF-8."""
    decoder = io.IncrementalNewlineDecoder(
        codecs.getincrementaldecoder("utf-8-sig")("surrogateescape"),
        translate=True,
    )
    number = 0
    unfinished: list[str] = []  # a list, since a line may go on for many chunks
    for chunk in itertools.chain(chunks, [b""]):
        if chunk is PAUSE:
            yield PAUSE
            continue
        lines = decoder.decode(chunk, final=not chunk).split("\n")
        unfinished.append(lines[0])
        for start in lines[1:]:
            number += 1
            yield _line(number, "".join(unfinished))
            unfinished = [start]
    if last := "".join(unfinished):
        yield _line(number + 1, last)


def _line(number: int, line: str) -> tuple[int, str] | ErrorRecord:
    if line.isascii() or (bad := _BAD_BYTE.search(line)) is None:
        return number, line
    offset = len(line[: bad.start()].encode())
    value = ord(bad.group()) - 0xDC00
    return ErrorRecord(number, f"byte {offset} of the line (0x{value:02x}) is not UTF-8: convert the text to UTF-8")


def _whole_text(chunks: Iterator[bytes | Pause]) -> Iterator[tuple[int, str] | ErrorRecord]:
    """All of the input as one text, its line ends as they are."""
    data = b"".join(chunk for chunk in chunks if chunk is not PAUSE).removeprefix(codecs.BOM_UTF8)
    try:
        yield 1, data.decode()
    except UnicodeDecodeError as error:
        before = data[: error.start].replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        yield ErrorRecord(
            before.count(b"\n") + 1,
            f"byte {error.start} of the text (0x{data[error.start]:02x}) is not UTF-8: convert the text to UTF-8",
        )


def _json_records(
    task: Task[Any, Any], lines: Iterator[tuple[int, str] | ErrorRecord | Pause], counts: FileSummary, source: str
) -> Iterator[Item]:
    is_first = True
    for item in lines:
        if not isinstance(item, tuple):
            yield item
            continue
        if not item[1] or item[1].isspace():
            counts.skip("blank", item[0])
            continue
        if is_first:
            _refuse_one_value(task, item, source)
            is_first = False
        parsed = parse_json_line(*item)
        if isinstance(parsed, Problem):
            yield ErrorRecord(parsed.line, f"{parsed.kind}: {parsed.detail}")
        else:
            yield _json_record(task, parsed, item[1])


def _refuse_one_value(task: Task[Any, Any], first_line: tuple[int, str], source: str) -> None:
    """Say what to do with an input that is one JSON value, such as SQuAD's.

    Raises:
        InputError: it is.
    """
    line, content = first_line
    if task.name == QUESTION_ANSWERING and (content.strip() == "{" or _SQUAD.search(content[:_HEAD])):
        raise InputError(
            "this looks like SQuAD's JSON, and predict reads JSON lines. Write each question on a line of its own: "
            "`jq -c '.data[].paragraphs[] | .context as $c | .qas[] | {id, question, context: $c}'`",
            source=source,
            line=line,
        )
    refuse_one_value(content, source, line)


def _json_record(task: Task[Any, Any], record: JsonRecord, line: str) -> Item:
    value = task.with_id(record.value, str(record.line))
    id_ = value["id"]
    # In a line that is UTF-8 only an escape can stand for half a character. Neither the pieces nor the output hold it.
    if "\\ud" in line.lower() and (place := _find_surrogate(value)) is not None:
        shown = None if _SURROGATE.search(str(id_)) else str(id_)
        return ErrorRecord(record.line, f"{place}: remove it or replace it with U+FFFD", shown)
    try:
        return Located(task.example(value), record.line)
    except InputError as error:
        return ErrorRecord(record.line, str(error), str(id_))


def _find_surrogate(value: object, key: str = "a value") -> str | None:
    """Where in a JSON value half a character stands."""
    if isinstance(value, str) and (found := _SURROGATE.search(value)):
        return f"character {found.start()} of {key} is a lone surrogate (\\u{ord(found.group()):04x}, half a character)"
    inside: list[tuple[object, str]] = []
    if isinstance(value, list):
        inside = [(item, key) for item in value]
    elif isinstance(value, dict):
        inside = [(name, "a key") for name in value] + [(item, ascii(name)) for name, item in value.items()]
    return next((place for item, name in inside if (place := _find_surrogate(item, name)) is not None), None)


def _text_records(
    task: Task[Any, Any],
    texts: Iterator[tuple[int, str] | ErrorRecord | Pause],
    questions: tuple[str, ...],
    counts: FileSummary,
    *,
    pass_over_blank: bool,
) -> Iterator[Item]:
    for item in texts:
        if not isinstance(item, tuple):
            yield item
            continue
        line, text = item
        if pass_over_blank and (not text or text.isspace()):
            counts.skip("blank", line)
        elif questions:
            for number, question in enumerate(questions, 1):
                id_ = f"{line}-{number}" if len(questions) > 1 else str(line)
                yield _json_record(task, JsonRecord(line, {"id": id_, "question": question, "context": text}), question)
        else:
            try:
                yield Located(task.example_from_text(text, str(line)), line)
            except InputError as error:
                yield ErrorRecord(line, str(error), str(line))
