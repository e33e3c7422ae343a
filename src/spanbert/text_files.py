"""From bytes to lines to the documents of plain text.

UTF-8 is decoded in large chunks; a line ends at "\\n", "\\r\\n" or "\\r". Every other separator of Unicode (form feed,
U+0085, U+2028, U+2029, ...) is white space inside a line, so that line numbers are those of an editor.
"""

from __future__ import annotations

import codecs
import re
import sys
from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

from spanbert.errors import InputError
from spanbert.read_summary import FileSummary

MAX_DOCUMENT_CHARACTERS = 1 << 22
"""A longer document of a text file is cut at the next line's end, so that a file without blank lines, however large,
does not end up in memory; several times the longest novel."""

_PARAGRAPH = "\r"  # no line holds it
_REPLACEMENT = "\ufffd"
_BYTE_ORDER_MARK = "\ufeff"
_OTHER_CONTENTS = {
    b"\xff\xfe": "UTF-16 text: convert it to UTF-8",
    b"\xfe\xff": "UTF-16 text: convert it to UTF-8",
    b"\x1f\x8b": "gzip data: end the file's name in .gz, or decompress it first",
    b"\x28\xb5\x2f\xfd": "Zstandard data: end the file's name in .zst, or decompress it first",
}
# Han, Kana, Bopomofo and their punctuation; not Hangul, since Korean puts spaces between words.
_CJK = r"\u2e80-\u312f\u31a0-\ua4cf\uf900-\ufaff\ufe30-\ufe4f\uff01-\uff9f\uffe0-\uffe6\U00020000-\U0003ffff"
# The line break comes first in the pattern, so that the search skips to the next one.
_BREAK_IN_CJK = re.compile(rf"\n(?:(?<=[{_CJK}]\n)(?=[{_CJK}“‘…—])|(?<=[”’…—]\n)(?=[{_CJK}]))")


def decode_chunks(
    chunks: Iterable[bytes],
    counts: FileSummary,
    *,
    bad_bytes: Literal["error", "replace"] = "error",
    advice: str = "convert the file to UTF-8, or replace such bytes with --bad-bytes replace",
) -> Iterator[str]:
    r"""Decode UTF-8 chunk by chunk, without the byte order mark; no text but the last ends in "\r".

    `advice` tells what can be done about bytes that are not UTF-8.

    Raises:
        InputError: A byte is not UTF-8 and `bad_bytes` is "error"; it tells the line and the byte's offset.
    """
    decoder = _Decoder(counts, bad_bytes, advice)
    for chunk in chunks:
        if text := decoder.decode(chunk):
            yield text
    if text := decoder.decode(b"", final=True):
        yield text


class _Decoder:
    """An incremental UTF-8 decoder that knows its line and byte offset."""

    def __init__(self, counts: FileSummary, bad_bytes: Literal["error", "replace"], advice: str) -> None:
        self._counts = counts
        self._bad_bytes = bad_bytes
        self._advice = advice
        self._pending = b""  # the first bytes of a character that the next chunk completes
        self._held = ""  # a "\r" that the next chunk's "\n" may belong to
        self._offset = 0  # of `_pending`, in bytes
        self._line = 1  # of `_held`
        self._head = b""  # the first bytes of all, which tell other kinds of files

    def decode(self, chunk: bytes, *, final: bool = False) -> str:
        data = self._pending + chunk
        if len(self._head) < 4:
            self._head = (self._head + chunk)[:4]
        try:
            text, num_used = codecs.utf_8_decode(data, "strict", final)
        except UnicodeDecodeError as error:
            line = self._line + _num_line_ends(self._held + data[: error.start].decode())
            if self._bad_bytes == "error":
                raise self._not_utf8(error, line) from error
            text, num_used, num_replaced = decode_replacing(data, final=final)
            self._counts.replaced(num_replaced, line)
        if self._offset == 0 and text.startswith(_BYTE_ORDER_MARK):
            text = text[1:]
        self._pending = data[num_used:]
        self._offset += num_used
        text = self._held + text
        self._held = "\r" if text.endswith("\r") and not final else ""
        text = text.removesuffix(self._held)
        self._line += _num_line_ends(text)
        return text

    def _not_utf8(self, error: UnicodeDecodeError, line: int) -> InputError:
        advice = self._advice
        for head, contents in _OTHER_CONTENTS.items():
            if self._head.startswith(head):
                advice = f"this looks like {contents}"
        return InputError(
            f"byte 0x{error.object[error.start]:02x} is not UTF-8 ({error.reason}); {advice}",
            source=self._counts.source,
            line=line,
            offset=self._offset + error.start,
        )


def decode_replacing(data: bytes, *, final: bool = True) -> tuple[str, int, int]:
    """Decode UTF-8 with U+FFFD for what is not; return the text, the bytes used, and the bytes that were replaced.

    Without `final`, a character that is cut off at the end of `data` is left for later.
    """
    text, num_used = codecs.utf_8_decode(data, "replace", final)
    # U+FFFD may also stand in the data: each lead byte 0xef starts a character, so these are never part of a bad run.
    num_inserted = text.count(_REPLACEMENT) - data.count(_REPLACEMENT.encode(), 0, num_used)
    num_good = len(text.encode()) - num_inserted * len(_REPLACEMENT.encode())
    return text, num_used, num_used - num_good


def _num_line_ends(text: str) -> int:
    if "\r" not in text:
        return text.count("\n")
    return text.count("\n") + text.count("\r") - text.count("\r\n")


def split_lines(texts: Iterable[str]) -> Iterator[list[str]]:
    """Regroup the texts of `decode_chunks` to lines without their ends, many at a time."""
    unfinished: list[str] = []  # a list, since a line may go on for many chunks
    for text in texts:
        if "\r" in text:
            text = text.replace("\r\n", "\n").replace("\r", "\n")
        lines = text.split("\n")
        last = lines.pop()
        if lines:
            lines[0] = "".join([*unfinished, lines[0]])
            unfinished.clear()
            yield lines
        if last:
            unfinished.append(last)
    if unfinished:
        yield ["".join(unfinished)]


def group_lines(
    batches: Iterable[list[str]],
    counts: FileSummary,
    *,
    document_end: Literal["blank-line", "file", "heading"],
    heading: re.Pattern[str],
    unwrap: bool,
) -> Iterator[tuple[int, str]]:
    r"""Group lines to documents; yield the number of a document's first line (from 1) and its text.

    Lines lose the white space at both ends, and blank lines are dropped; see `ReadConfig` for the three ends of a
    document and for unwrapping. A document that grows beyond `MAX_DOCUMENT_CHARACTERS` is cut, and counted.
    """
    runs = _find_runs(batches)
    if document_end == "heading":
        runs = _split_at_headings(runs, heading)
    num_blank_to_end = (2 if unwrap else 1) if document_end == "blank-line" else sys.maxsize
    lines: list[str] = []  # of the document; with unwrapping, `_PARAGRAPH` stands between paragraphs
    first = num_characters = 0
    after_heading = False
    for run in runs:
        new_paragraph = run.num_blank > 0 or run.is_heading or after_heading
        ends = run.is_heading or run.num_blank >= num_blank_to_end
        is_full = num_characters > MAX_DOCUMENT_CHARACTERS and (new_paragraph or not unwrap)
        if lines and (ends or is_full):
            counts.num_cuts += not ends
            yield first, _join(lines, unwrap)
            lines = []
        if not lines:
            first, num_characters = run.first, 0
        elif unwrap and new_paragraph:
            lines.append(_PARAGRAPH)
        lines += run.lines
        num_characters += sum(map(len, run.lines))
        after_heading = run.is_heading
    if lines:
        yield first, _join(lines, unwrap)


class _Run(NamedTuple):
    """Neighbouring lines that are not blank, or some of them."""

    first: int  # number of the first line
    num_blank: int  # blank lines since the run before: 0 where a batch or a heading cuts neighbouring lines
    lines: list[str]  # without the white space around them
    is_heading: bool = False


def _find_runs(batches: Iterable[list[str]]) -> Iterator[_Run]:
    """Strip lines and find those between blank lines, without a Python step per line: short lines abound."""
    first = 1
    num_blank = 0
    for batch in batches:
        lines = list(map(str.strip, batch))
        lines.append("")  # stops the last search
        start = 0
        while start < len(batch):
            end = lines.index("", start)
            if end > start:
                yield _Run(first + start, num_blank, lines[start:end])
                num_blank = 0
            num_blank += end < len(batch)
            start = end + 1
        first += len(batch)


def _split_at_headings(runs: Iterable[_Run], heading: re.Pattern[str]) -> Iterator[_Run]:
    """Make each heading a run of its own."""
    for run in runs:
        num_blank = run.num_blank
        start = 0
        for end, line in enumerate(run.lines):
            if heading.match(line):
                if end > start:
                    yield _Run(run.first + start, num_blank, run.lines[start:end])
                    num_blank = 0
                yield _Run(run.first + end, num_blank, [line], is_heading=True)
                num_blank = 0
                start = end + 1
        if start < len(run.lines):
            yield _Run(run.first + start, num_blank, run.lines[start:])


def _join(lines: list[str], unwrap: bool) -> str:
    text = "\n".join(lines)
    if not unwrap:
        return text
    if not text.isascii():
        text = _BREAK_IN_CJK.sub("", text)
    return text.replace(f"\n{_PARAGRAPH}\n", _PARAGRAPH).replace("\n", " ").replace(_PARAGRAPH, "\n")
