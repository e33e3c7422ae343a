"""Plain text: what a line is, where documents end, unwrapping, decoding, compression, memory."""

from __future__ import annotations

import gzip
import hashlib
import io
import itertools
import re
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from spanbert import text_files
from spanbert.documents import (
    DEFAULT_HEADING,
    Document,
    FileSummary,
    ReadConfig,
    ReadSummary,
    expand_inputs,
    read_documents,
)
from spanbert.errors import InputError
from spanbert.text_files import decode_chunks, group_lines, split_lines

ODD_TEXT = "שלום עולם 👩‍👩‍👧 e\u0301 \u200b中文\u3000文字 \u202bعربي\u202c 𝔘𝔫𝔦 \ufeff ﬁ"


def read(
    *paths: Path, summary: ReadSummary | None = None, config: ReadConfig | None = None
) -> list[tuple[int, list[str]]]:
    """Read files; return each document's line and its lines."""
    documents = read_documents(
        expand_inputs([str(path) for path in paths]), config or ReadConfig(), summary or ReadSummary()
    )
    return [(document.line, [document.text[slice(*span)] for span in document.lines()]) for document in documents]


def write(folder: Path, content: str | bytes, name: str = "text.txt") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


# ---- documents


def test_a_blank_line_ends_a_document(tmp_path: Path) -> None:
    path = write(tmp_path, "\n\nfirst\nsecond\n \t\u3000\nthird\n\n\n\nfourth")
    assert read(path) == [(3, ["first", "second"]), (6, ["third"]), (10, ["fourth"])]


def test_a_file_is_a_document(tmp_path: Path) -> None:
    path = write(tmp_path, "\nfirst\n\nsecond\n\n\n")
    documents = list(read_documents(expand_inputs([str(path)]), ReadConfig(document_end="file"), ReadSummary()))
    assert documents == [Document("first\nsecond", str(path), 2)]


@pytest.mark.parametrize(
    ("line", "is_heading"),
    [
        ("# A title", True),
        ("## A smaller title", False),
        ("#hashtag", False),
        (" = Temple Beth Israel ( Eugene , Oregon ) = ", True),
        ("= X =", True),
        (" = = Early years = = ", False),
        ("== Early years ==", False),
        ("= = = Deeper = = =", False),
        ("E = m c =", False),
        ("CHAPTER I", True),
        ("Chapter 12", True),
        ("CHAPTER IV.", True),
        ("Chapter 3: In which it rains", True),
        ("CHAPTER V THE STORM", True),
        ("CHAPTER TWENTY-ONE", True),
        ("CHAPTER THE LAST", True),
        ("Chapter two was found, and she glanced at it.", False),
        ("Chapters.", False),
        ("CHAPTER Ines told him", False),
        ("chapter 3", False),
    ],
)
def test_default_headings(tmp_path: Path, line: str, is_heading: bool) -> None:
    path = write(tmp_path, f"before\n{line}\nafter\n")
    expected = (
        [(1, ["before"]), (2, [line.strip(), "after"])] if is_heading else [(1, ["before", line.strip(), "after"])]
    )
    assert read(path, config=ReadConfig(document_end="heading")) == expected


def test_headings_of_ones_own(tmp_path: Path) -> None:
    path = write(tmp_path, "第一章 開始\n\n甲\n乙\n\n第二章\n第三章\n丙\n")
    config = ReadConfig(document_end="heading", heading="第.章")
    assert read(path, config=config) == [(1, ["第一章 開始", "甲", "乙"]), (6, ["第二章"]), (7, ["第三章", "丙"])]


def test_documents_never_span_files(tmp_path: Path) -> None:
    first, second = write(tmp_path, "one", "1.txt"), write(tmp_path, "two", "2.txt")
    assert read(first, second) == [(1, ["one"]), (1, ["two"])]


NOVEL = "CHAPTER I\nFog every-\nwhere.\n  Fog up the river.\n\nMore fog.\n\n\nA gap.\n"


def test_unwrap_with_blank_lines_ends_documents_at_two(tmp_path: Path) -> None:
    assert read(write(tmp_path, NOVEL), config=ReadConfig(unwrap=True)) == [
        (1, ["CHAPTER I Fog every- where. Fog up the river.", "More fog."]),
        (9, ["A gap."]),
    ]


def test_unwrap_a_whole_file(tmp_path: Path) -> None:
    assert read(write(tmp_path, NOVEL), config=ReadConfig(unwrap=True, document_end="file")) == [
        (1, ["CHAPTER I Fog every- where. Fog up the river.", "More fog.", "A gap."])
    ]


def test_unwrap_leaves_headings_alone(tmp_path: Path) -> None:
    path = write(tmp_path, f"one\ntwo\n{NOVEL}")
    assert read(path, config=ReadConfig(unwrap=True, document_end="heading")) == [
        (1, ["one two"]),
        (3, ["CHAPTER I", "Fog every- where. Fog up the river.", "More fog.", "A gap."]),
    ]


@pytest.mark.parametrize(
    ("lines", "joined"),
    [
        ("我們\n走了", "我們走了"),
        ("カタ\nカナ", "カタカナ"),
        ("完了。\n「好", "完了。「好"),
        ("他說：\n“好”\n她說", "他說：“好”她說"),
        ("用 Python\n寫的\ncode 很好", "用 Python 寫的 code 很好"),
        ("𠀀\n𠀁", "𠀀𠀁"),
        ("한국어\n문장", "한국어 문장"),
        ("naïve\n“quote”\nend", "naïve “quote” end"),
    ],
)
def test_unwrap_knows_cjk(tmp_path: Path, lines: str, joined: str) -> None:
    assert read(write(tmp_path, lines), config=ReadConfig(unwrap=True)) == [(1, [joined])]


def test_very_long_documents_are_cut_at_a_line_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_files, "MAX_DOCUMENT_CHARACTERS", 1000)
    monkeypatch.setattr("spanbert.input_files._CHUNK", 256)
    lines = [f"line {number} {'x' * 90}" for number in range(100)]
    summary = ReadSummary()
    documents = read(write(tmp_path, "\n".join(lines)), summary=summary)
    assert [line for _, document in documents for line in document] == lines
    assert max(sum(map(len, document)) for _, document in documents) < 1000 + 2 * 256
    assert summary.total("num_cuts") == len(documents) - 1 > 0
    assert "cut: very long documents" in str(summary)
    assert len(read(write(tmp_path, "y" * 5000))) == 1  # a line is never cut


# ---- lines


def test_only_lf_crlf_and_cr_end_a_line(tmp_path: Path) -> None:
    path = write(tmp_path, "a\r\nb\rc\nd\u2028e\u2029f\x85g\x0bh\x0ci\x1cj\r\r\nlast\r")
    assert read(path) == [(1, ["a", "b", "c", "d\u2028e\u2029f\x85g\x0bh\x0ci\x1cj"]), (6, ["last"])]


def test_byte_order_mark_is_no_text(tmp_path: Path) -> None:
    assert read(write(tmp_path, "\ufefftext\ufeff\n\ufeffmore")) == [(1, ["text\ufeff", "\ufeffmore"])]


def test_odd_unicode_stays_as_it_is(tmp_path: Path) -> None:
    assert read(write(tmp_path, f"{ODD_TEXT}\n{ODD_TEXT}")) == [(1, [ODD_TEXT, ODD_TEXT])]


def test_control_characters_are_kept_and_counted(tmp_path: Path) -> None:
    summary = ReadSummary()
    assert read(write(tmp_path, "a\x00b\x1bc\x7f\td"), summary=summary) == [(1, ["a\x00b\x1bc\x7f\td"])]
    assert summary.total("num_control_characters") == 3


def grouped(texts: list[str], **config: object) -> list[tuple[int, str]]:
    settings = ReadConfig(**config)  # type: ignore[arg-type]
    counts = FileSummary(source="test")
    lines = split_lines(decode_chunks((text.encode() for text in texts), counts))
    return list(
        group_lines(
            lines,
            counts,
            document_end=settings.document_end,
            heading=re.compile(DEFAULT_HEADING),
            unwrap=settings.unwrap,
        )
    )


pieces_of_text = st.lists(
    st.text(alphabet=st.sampled_from("ab= #我。\n\r\t\u2028\u3000\x85😀\u0301"), max_size=12), max_size=12
)
modes = st.fixed_dictionaries(
    {"document_end": st.sampled_from(["blank-line", "file", "heading"]), "unwrap": st.booleans()}
)


@given(pieces_of_text, modes)
@settings(max_examples=150, deadline=None)
def test_nothing_but_white_space_is_lost(texts: list[str], config: dict[str, object]) -> None:
    text = "".join(texts)
    documents = grouped(texts, **config)
    assert "".join("".join(document.split()) for _, document in documents) == "".join(text.split())
    assert documents == grouped([text], **config)  # wherever the chunks are cut
    for line, document in documents:
        lines = document.split("\n")
        assert all(part and part == part.strip() for part in lines)
        first = re.split("\r\n|\r|\n", text)[line - 1].strip()
        assert lines[0].startswith(first)


@given(pieces_of_text)
@settings(max_examples=100, deadline=None)
def test_lines_are_those_of_the_text(texts: list[str]) -> None:
    expected = [part for line in re.split("\r\n|\r|\n", "".join(texts)) if (part := line.strip())]
    documents = grouped(texts, document_end="file")
    assert [line for _, document in documents for line in document.split("\n")] == expected


@given(st.text(), st.integers(1, 5))
@settings(max_examples=100, deadline=None)
def test_spans_of_lines_cover_all_but_white_space(text: str, line: int) -> None:
    document = Document(text, "test", line)
    spans = list(document.lines())
    parts = [text[span.start : span.end] for span in spans]
    assert "".join("".join(part.split()) for part in parts) == "".join(text.split())
    assert all(not part[0].isspace() and not re.search("[\r\n]", part) for part in parts)
    assert all(before.end < after.start for before, after in itertools.pairwise(spans))


# ---- bytes


@given(st.binary(max_size=40), st.lists(st.integers(0, 40), max_size=5))
@settings(max_examples=200, deadline=None)
def test_chunks_decode_as_the_whole_does(data: bytes, cuts: list[int]) -> None:
    bounds = [0, *sorted(cuts), len(data)]
    chunks = [data[start:end] for start, end in itertools.pairwise(bounds)]
    counts = FileSummary(source="test")
    text = "".join(decode_chunks(chunks, counts, bad_bytes="replace"))
    assert text == data.decode("utf-8-sig", "replace")
    assert counts.num_replaced == len(data) - len(data.decode("utf-8", "ignore").encode())


@given(
    st.text(alphabet="ab\r\nä😀\ufeff", max_size=20), st.sampled_from([b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xf0\x9f"])
)
@settings(max_examples=100, deadline=None)
def test_the_place_of_a_bad_byte(before: str, bad: bytes) -> None:
    data = before.encode() + bad + b" after"
    for size in (1, 3, 100):
        chunks = [data[start : start + size] for start in range(0, len(data), size)]
        with pytest.raises(InputError, match="not UTF-8") as caught:
            list(decode_chunks(chunks, FileSummary(source="test")))
        assert caught.value.offset == len(before.encode())
        assert caught.value.line == len(re.split("\r\n|\r|\n", before))


def test_a_bad_byte_is_named_with_line_and_offset(tmp_path: Path) -> None:
    good = ("ä line\r\n" * 100_000).encode()
    path = write(tmp_path, good + b"caf\xe9 au lait\n")
    with pytest.raises(InputError, match=r"line 100001, byte 900003: byte 0xe9 is not UTF-8 .*--bad-bytes replace"):
        read(path)
    with pytest.raises(InputError, match=r"byte 4: byte 0xc3 is not UTF-8 \(unexpected end"):
        read(write(tmp_path, b"text\xc3", "end.txt"))
    summary = ReadSummary()
    documents = read(path, summary=summary, config=ReadConfig(bad_bytes="replace"))
    assert documents[0][1][-1] == "caf\ufffd au lait"
    assert (summary.files[0].num_replaced, summary.files[0].first_replaced_line) == (1, 100_001)
    assert "replaced: 1 byte" in str(summary)


@pytest.mark.parametrize(
    ("content", "hint"),
    [
        ("text".encode("utf-16"), "UTF-16"),
        (gzip.compress(b"text"), "gzip"),
        (zstandard.compress(b"text" * 99), "Zstandard"),
    ],
)
def test_a_bad_byte_of_another_kind_of_file_is_explained(tmp_path: Path, content: bytes, hint: str) -> None:
    with pytest.raises(InputError, match=f"this looks like {hint}"):
        read(write(tmp_path, content))


# ---- compression, standard input, memory


def compress(content: bytes, ending: str) -> bytes:
    return gzip.compress(content) if ending == "gz" else zstandard.ZstdCompressor(write_checksum=True).compress(content)


@pytest.mark.parametrize("ending", ["gz", "zst"])
def test_compressed_files(tmp_path: Path, ending: str) -> None:
    # Two members (frames) in one file are one text, as `cat a.gz b.gz` makes them.
    content = compress(f"{ODD_TEXT}\n".encode(), ending) + compress(b"more\n\nend", ending)
    path = write(tmp_path, content, f"Text.TXT.{ending}")
    summary = ReadSummary()
    assert read(path, summary=summary) == [(1, [ODD_TEXT, "more"]), (4, ["end"])]
    assert summary.files[0].sha256 == hashlib.sha256(content).hexdigest()
    assert summary.files[0].num_bytes == len(content)


@pytest.mark.parametrize("ending", ["gz", "zst"])
@pytest.mark.parametrize("kept", [0.5, 0.99])
def test_a_cut_off_file_is_an_error(tmp_path: Path, ending: str, kept: float) -> None:
    content = compress("".join(f"line {number}\n" for number in range(20_000)).encode(), ending)
    path = write(tmp_path, content[: int(len(content) * kept)], f"text.txt.{ending}")
    with pytest.raises(InputError, match=r"text\.txt\.\w+: .*(cut off|sound)"):
        read(path)


@pytest.mark.parametrize("ending", ["gz", "zst"])
def test_a_file_that_is_not_compressed_is_an_error(tmp_path: Path, ending: str) -> None:
    with pytest.raises(InputError, match=f"not a sound .{ending} file"):
        read(write(tmp_path, "plain text", f"text.txt.{ending}"))
    content = bytearray(compress(b"".join(b"%d " % number for number in range(9999)), ending))
    content[len(content) // 2] ^= 0xFF
    with pytest.raises(InputError):
        read(write(tmp_path, bytes(content), f"text.txt.{ending}"))


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    class OneByteAtATime(io.BytesIO):
        def read1(self, size: int | None = -1, /) -> bytes:
            return super().read1(min(1, size or 1))

    content = f"\ufeff{ODD_TEXT}\r\n\r\nend".encode()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(OneByteAtATime(content)))
    summary = ReadSummary()
    documents = list(read_documents(expand_inputs(["-"]), ReadConfig(), summary))
    assert documents == [Document(ODD_TEXT, "<stdin>", 1), Document("end", "<stdin>", 3)]
    assert summary.files[0].sha256 == hashlib.sha256(content).hexdigest()


class ManyLines(io.RawIOBase):
    """A stream of `size` bytes that nobody stores: documents of 100 lines."""

    def __init__(self, size: int) -> None:
        self._block = (f"{'some words in a line ' * 5}\n" * 100 + "\n").encode()
        self._left = size

    def read1(self, size: int) -> bytes:
        block = self._block[: min(size, self._left)]
        self._left -= len(block)
        return block

    @property
    def buffer(self) -> ManyLines:
        return self


def test_memory_does_not_grow_with_the_input(monkeypatch: pytest.MonkeyPatch) -> None:
    def peak(size: int, config: ReadConfig) -> int:
        monkeypatch.setattr(sys, "stdin", ManyLines(size))
        documents: Iterator[Document] = read_documents(expand_inputs(["-"]), config, ReadSummary())
        tracemalloc.start()
        try:
            num_characters = sum(len(document.text) for document in documents)
            assert num_characters > 0.9 * size
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert peak(50_000_000, ReadConfig()) < 4_000_000
    assert peak(50_000_000, ReadConfig(document_end="file")) < 30_000_000  # documents are cut
