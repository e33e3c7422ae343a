"""Inputs, records, annotations and summaries."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import os
import sys
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from spanbert.documents import Annotation, Document, InputFile, ReadConfig, ReadSummary, expand_inputs, read_documents
from spanbert.errors import ConfigurationError, InputError, MissingDependencyError
from spanbert.spans import Span


def read(*paths: Path, summary: ReadSummary | None = None, **config: Any) -> list[Document]:
    files = expand_inputs([str(path) for path in paths])
    return list(read_documents(files, ReadConfig(**config), summary if summary is not None else ReadSummary()))


def write(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def write_jsonl(path: Path, *records: object) -> Path:
    return write(path, "".join(json.dumps(record) + "\n" for record in records))


# ---- inputs


def names(files: list[InputFile], folder: Path) -> list[str]:
    return [file.path.relative_to(folder).as_posix() for file in files if file.path and not file.skip_reason]


def test_folders_are_searched_in_sorted_order(tmp_path: Path) -> None:
    for name in ("b.txt", "a.JSONL.gz", "sub/c.csv", "sub/deep/d.parquet.zst", "README", "notes.md", ".hidden/e.txt"):
        write(tmp_path / name, "x")
    files = expand_inputs([str(tmp_path)])
    assert names(files, tmp_path) == ["a.JSONL.gz", "b.txt", "sub/c.csv", "sub/deep/d.parquet.zst"]
    assert [(file.format, file.compression) for file in files[:4]] == [
        ("jsonl", "gz"),
        ("txt", None),
        ("csv", None),
        ("parquet", "zst"),
    ]
    assert {Path(file.name).name: file.skip_reason for file in files[4:]} == {
        "README": "unknown ending",
        "notes.md": "unknown ending",
        ".hidden": "hidden",
    }
    assert all(file.num_bytes == 1 for file in files[:4])


def test_the_same_file_is_read_once(tmp_path: Path) -> None:
    write(tmp_path / "a.txt", "x")
    write(tmp_path / "sub/b.txt", "x")
    (tmp_path / "link.txt").symlink_to(tmp_path / "a.txt")
    (tmp_path / "sub/loop").symlink_to(tmp_path)
    inputs = [str(tmp_path / "sub" / ".." / "a.txt"), str(tmp_path), str(tmp_path / "**/*.txt"), "-", "-"]
    assert [Path(file.name).name for file in expand_inputs(inputs)] == ["a.txt", "b.txt", "<stdin>"]


def test_patterns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("b.txt", "a.txt", "sub/c.txt", "x.md", "[1].txt"):
        write(tmp_path / name, "x")
    assert names(expand_inputs([str(tmp_path / "?.txt")]), tmp_path) == ["a.txt", "b.txt"]
    assert names(expand_inputs([str(tmp_path / "[1].txt")]), tmp_path) == ["[1].txt"]  # a name comes before a pattern
    monkeypatch.chdir(tmp_path)
    assert [file.name for file in expand_inputs(["*"])] == [
        "[1].txt",
        "a.txt",
        "b.txt",
        os.path.join("sub", "c.txt"),  # noqa: PTH118
        "x.md",
    ]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("absent.txt", r"absent\.txt: there is no such file or folder"),
        ("absent*.txt", r"absent\*\.txt: no file matches"),
        ("notes.md", r"notes\.md: .*known endings are \.txt, \.jsonl, \.csv and \.parquet"),
        ("bare", r"bare: .*known endings"),
        ("archive.tar.gz", "known endings"),
        ("empty", "nothing to read"),
        ("x" * 5000, "x: cannot be read"),
    ],
)
def test_unusable_names(tmp_path: Path, name: str, message: str) -> None:
    for existing in ("notes.md", "bare", "archive.tar.gz", "empty/notes.md"):
        write(tmp_path / existing, "x")
    with pytest.raises(InputError, match=message):
        expand_inputs([str(tmp_path / name)])


def test_no_input_at_all() -> None:
    with pytest.raises(InputError, match="no input was named"):
        expand_inputs([])


def test_a_file_that_vanishes(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", "x")
    files = expand_inputs([str(path)])
    path.unlink()
    with pytest.raises(InputError, match=r"a\.txt: cannot be read: No such file"):
        list(read_documents(files, ReadConfig(), ReadSummary()))


@pytest.mark.parametrize(
    ("name", "module", "extra"), [("a.txt.zst", "zstandard", "zstd"), ("a.parquet", "pyarrow.parquet", "parquet")]
)
def test_missing_packages_are_named_before_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, module: str, extra: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    write(tmp_path / name, "x")
    with pytest.raises(MissingDependencyError, match=rf"pip install 'spanbert\[{extra}\]'"):
        expand_inputs([str(tmp_path)])


@pytest.mark.parametrize("content", ["", "\n \n\u3000\r\n", "\ufeff"])
def test_input_without_text_is_an_error(tmp_path: Path, content: str) -> None:
    paths = [write(tmp_path / name, content) for name in ("a.txt", "b.jsonl", "c.csv")]
    with pytest.raises(InputError, match=r"no text in the input(.|\n)*no text: .*a\.txt"):
        read(*paths)
    assert len(read(*paths, write(tmp_path / "d.txt", "text"))) == 1


def test_a_heading_must_be_a_regular_expression() -> None:
    with pytest.raises(ConfigurationError, match="heading"):
        ReadConfig(heading="(")


# ---- JSON lines


def test_jsonl(tmp_path: Path) -> None:
    text = "  ünïcode 😀\r\n\n second\u2028line \x00 "
    path = write(tmp_path / "a.jsonl", "\ufeff" + json.dumps({"text": text, "id": 1}) + '\r\n\n{"text": "two"}')
    summary = ReadSummary()
    documents = read(path, summary=summary)
    assert documents == [Document(text, str(path), 1), Document("two", str(path), 3)]  # not a character is altered
    assert [text[slice(*span)] for span in documents[0].lines()] == ["ünïcode 😀", "second\u2028line \x00 "]
    assert (summary.total("num_lines"), summary.total("num_control_characters")) == (3, 1)


@pytest.mark.parametrize(
    ("line", "reason", "message"),
    [
        ('{"text": "x"', "not JSON", "column 13"),
        ("plain text", "not JSON", "each line must be a JSON object"),
        ("[" * 100_000, "not JSON", ""),
        ('["x"]', "not an object", "not list"),
        ('{"body": "x"}', "no such column", "no column 'text'; the columns are 'body'; .*--text-column"),
        ('{"text": 3}', "text is not a string", "holds int"),
        ('{"text": null}', "text is not a string", "holds NoneType"),
        ('{"text": "a\\ud83d"}', "lone surrogate", r"\\ud83d at character 1 .*--bad-bytes replace"),
        ('{"text": "abc", "spans": [[1, 4, "entity"]]}', "bad annotation", r"1\.\.4 .*3 characters .*'spans'"),
    ],
)
def test_bad_records_of_jsonl(tmp_path: Path, line: str, reason: str, message: str) -> None:
    path = write(tmp_path / "a.jsonl", f'{{"text": "one"}}\n\n{line}\n{line}\n{{"text": "two"}}\n')
    with pytest.raises(InputError, match=rf"a\.jsonl, line 3: .*{message}") as caught:
        read(path)
    assert caught.value.line == 3
    summary = ReadSummary()
    assert [document.text for document in read(path, summary=summary, bad_records="skip")] == ["one", "two"]
    skipped = summary.files[0].skipped
    assert {name: (row.count, row.first_line) for name, row in skipped.items()} == {reason: (2, 3)}
    assert f"skipped: 2 records of {path} ({reason}), first in line 3" in str(summary)


def test_empty_texts_are_left_out_and_counted(tmp_path: Path) -> None:
    summary = ReadSummary()
    path = write_jsonl(tmp_path / "a.jsonl", {"text": "one"}, {"text": ""}, {"text": " \n\u3000"})
    assert len(read(path, summary=summary)) == 1
    assert summary.files[0].skipped["empty text"].count == 2


def test_bad_bytes_and_lone_surrogates_can_be_replaced(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", b'{"text": "one"}\n{"text": "caf\xe9"}\n{"text": "\\ud83d\\ud83d\\ude00"}\n')
    with pytest.raises(InputError, match=r"line 2, byte 29: byte 0xe9"):
        read(path)
    summary = ReadSummary()
    documents = read(path, summary=summary, bad_bytes="replace")
    assert [document.text for document in documents] == ["one", "caf\ufffd", "\ufffd😀"]
    assert (summary.files[0].num_replaced, summary.files[0].first_replaced_line) == (2, 2)


def test_another_column_and_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'{"body": "x"}')))
    files = expand_inputs(["-"])
    documents = read_documents(files, ReadConfig(stdin_format="jsonl", text_column="body"), ReadSummary())
    assert list(documents) == [Document("x", "<stdin>", 1)]


# ---- annotations


def test_annotations_keep_their_offsets(tmp_path: Path) -> None:
    text = " \ufeff👩‍👩‍👧 e\u0301 שלום\r\n中文 Ada "
    start = text.index("Ada")
    path = write_jsonl(
        tmp_path / "a.jsonl",
        {"text": text, "spans": [[start, start + 3, "entity"], {"start": 0, "end": len(text), "kind": "all", "x": 1}]},
        {"text": text, "spans": []},
        {"text": text, "spans": None},
    )
    summary = ReadSummary()
    first, *others = read(path, summary=summary)
    assert first.annotations == (Annotation(start, start + 3, "entity"), Annotation(0, len(text), "all"))
    assert first.text[start : start + 3] == "Ada"
    assert [document.annotations for document in others] == [(), ()]
    assert summary.total("num_annotations") == 2


@pytest.mark.parametrize(
    "spans",
    [
        "entity",
        [[0, 1]],
        [[0, 1, "a", "b"]],
        [[0, 1, None]],
        [["0", "1", "a"]],
        [[0, True, "a"]],
        [[0.0, 1.0, "a"]],
        [[1, 1, "a"]],
        [[2, 1, "a"]],
        [[-1, 1, "a"]],
        [[0, 5, "a"]],
        [3],
        [{"start": 0, "end": 1, "label": "a"}],
    ],
)
def test_bad_annotations(tmp_path: Path, spans: object) -> None:
    path = write_jsonl(tmp_path / "a.jsonl", {"text": "four"}, {"text": "four", "spans": spans})
    with pytest.raises(InputError, match=r"line 2: .* in 'spans'"):
        read(path)
    assert len(read(path, annotation_column="")) == 2
    assert len(read(path, annotation_column="others")) == 2


# ---- CSV


def test_csv(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.csv",
        '\ufeffid,"text"\r\n1,one\r\n\r\n2,"two ""quoted"",\r\n\r\nand more"\r\n3,three\u2028\r\n4,\r\n5,five\r\n',
    )
    summary = ReadSummary()
    documents = read(path, summary=summary)
    assert [(document.line, document.text) for document in documents] == [
        (2, "one"),
        (4, 'two "quoted",\n\nand more'),
        (7, "three\u2028"),
        (9, "five"),
    ]
    assert summary.files[0].skipped["empty text"].first_line == 8


@given(st.lists(st.text(alphabet=st.sampled_from('ab",\n\u2028 😀'), min_size=1), min_size=1, max_size=6))
@settings(max_examples=60, deadline=None)
def test_csv_gives_back_what_was_written(texts: list[str]) -> None:
    out = io.StringIO()
    csv.writer(out).writerows([["id", "text"], *([str(number), text] for number, text in enumerate(texts))])
    stdin, sys.stdin = sys.stdin, io.TextIOWrapper(io.BytesIO(out.getvalue().encode()))
    try:
        # A last document, so that the input is never empty.
        documents = read_documents(expand_inputs(["-"]), ReadConfig(stdin_format="csv"), ReadSummary())
        assert [document.text for document in documents] == [text for text in texts if text.strip()]
    except InputError as error:
        assert "no text" in str(error)  # noqa: PT017
        assert not "".join(texts).strip()
    finally:
        sys.stdin = stdin


def test_large_fields_of_csv(tmp_path: Path) -> None:
    assert len(read(write(tmp_path / "a.csv", f"text\n{'word ' * 100_000}\n"))[0].text) == 500_000


@pytest.mark.parametrize(
    ("row", "reason"),
    [("1,one,two", "wrong number of fields"), ("1", "wrong number of fields"), ('1,"a"b', "bad quoting")],
)
def test_bad_records_of_csv(tmp_path: Path, row: str, reason: str) -> None:
    path = write(tmp_path / "a.csv", f'id,text\n0,"one\n1"\n{row}\n2,two\n')
    with pytest.raises(InputError, match=r"a\.csv, line 4: .*--bad-records skip"):
        read(path)
    summary = ReadSummary()
    assert [document.text for document in read(path, summary=summary, bad_records="skip")] == ["one\n1", "two"]
    assert summary.files[0].skipped[reason].first_line == 4


def test_a_quotation_mark_that_never_ends(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\.csv, line 3: not CSV"):
        read(write(tmp_path / "a.csv", 'text\none\n"two\nthree\n'))
    with pytest.raises(InputError, match=r"a\.csv, line 1: the header is not CSV"):
        read(write(tmp_path / "a.csv", '"text\none\n'))


@pytest.mark.parametrize(
    ("header", "message"),
    [("id;text", "there is no column 'text'; the columns are 'id;text'"), ("text,text", "several columns")],
)
def test_csv_needs_the_column(tmp_path: Path, header: str, message: str) -> None:
    with pytest.raises(InputError, match=rf"a\.csv, line 1: {message}"):
        read(write(tmp_path / "a.csv", f"{header}\n1,2\n"), bad_records="skip")


# ---- Parquet


def write_parquet(path: Path, columns: dict[str, Any], **options: Any) -> Path:
    pyarrow.parquet.write_table(pyarrow.table(columns), path, **options)
    return path


SPANS = pyarrow.list_(
    pyarrow.struct([("start", pyarrow.int32()), ("end", pyarrow.int64()), ("kind", pyarrow.string())])
)


def test_parquet(tmp_path: Path) -> None:
    texts = [f"text 😀 {number}" for number in range(2500)]
    texts[7] = ""
    spans = [[{"start": 5, "end": 6, "kind": "emoji"}], *([None] * 2499)]
    columns = {"text": [None, *texts[1:]], "spans": pyarrow.array(spans, SPANS), "id": list(range(2500))}
    columns["text"] = [*texts[:3], None, *texts[4:]]
    path = write_parquet(tmp_path / "a.parquet", columns, row_group_size=700)
    summary = ReadSummary()
    documents = read(path, summary=summary)
    assert [document.text for document in documents] == [*texts[:3], *texts[4:7], *texts[8:]]
    assert documents[-1].line == 2500
    assert documents[0].annotations == (Annotation(5, 6, "emoji"),)
    row = summary.files[0]
    assert {reason: (skipped.count, skipped.first_line) for reason, skipped in row.skipped.items()} == {
        "null text": (1, 4),
        "empty text": (1, 8),
    }
    assert (row.sha256, row.num_bytes) == (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_size)


@pytest.mark.parametrize("ending", ["gz", "zst"])
def test_compressed_parquet(tmp_path: Path, ending: str) -> None:
    content = write_parquet(tmp_path / "a.parquet", {"text": ["one"]}).read_bytes()
    compressed = gzip.compress(content) if ending == "gz" else zstandard.compress(content)
    assert [document.text for document in read(write(tmp_path / f"b.parquet.{ending}", compressed))] == ["one"]


@pytest.mark.parametrize(
    "kind",
    [
        pyarrow.large_string(),
        pyarrow.binary(),
        pyarrow.string_view(),
        pyarrow.dictionary(pyarrow.int32(), pyarrow.string()),
    ],
    ids=str,
)
def test_parquet_types_of_text(tmp_path: Path, kind: pyarrow.DataType) -> None:
    path = write_parquet(tmp_path / "a.parquet", {"text": pyarrow.array(["ä", "中"]).cast(kind)})
    assert [document.text for document in read(path)] == ["ä", "中"]


def test_parquet_that_cannot_be_read(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "a.parquet", {"text": [1, 2], "body": ["x", "y"]})
    with pytest.raises(InputError, match=r"a\.parquet: the column 'text' holds int64, not texts"):
        read(path)
    with pytest.raises(InputError, match=r"there is no column 'title'; the columns are 'text', 'body'"):
        read(path, text_column="title")
    assert len(read(path, text_column="body")) == 2
    with pytest.raises(InputError, match=r"b\.parquet: cannot be read as Parquet"):
        read(write(tmp_path / "b.parquet", path.read_bytes()[:100]))
    with pytest.raises(InputError, match=r"c\.parquet: cannot be read as Parquet"):
        read(write(tmp_path / "c.parquet", ""))


def test_bad_bytes_of_parquet(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "a.parquet", {"text": pyarrow.array([b"one", b"caf\xe9s"])})
    with pytest.raises(InputError, match=r"a\.parquet, line 2: byte 0xe9 at byte 3 of the text is not UTF-8"):
        read(path)
    summary = ReadSummary()
    assert [document.text for document in read(path, summary=summary, bad_bytes="replace")] == ["one", "caf\ufffds"]
    assert summary.total("num_replaced") == 1
    assert [document.text for document in read(path, bad_records="skip")] == ["one"]


# ---- summaries


def test_summary(tmp_path: Path) -> None:
    first = write(tmp_path / "a.txt", "one\ntwo\n\nthree\n")
    second = write_jsonl(tmp_path / "b.jsonl", {"text": "four\n\nfive", "spans": [[0, 4, "number"]]}, {"text": ""})
    write(tmp_path / "notes.md", "x")
    write(tmp_path / "c.txt", "")
    summary = ReadSummary()
    documents = read(tmp_path, summary=summary)
    assert [list(document.lines()) for document in documents] == [
        [Span(0, 3), Span(4, 7)],
        [Span(0, 5)],
        [Span(0, 4), Span(6, 10)],
    ]
    record = summary.as_dict()
    assert json.loads(json.dumps(record)) == record
    assert record["total"] == {
        "num_files": 3,
        "num_bytes": first.stat().st_size + second.stat().st_size,
        "num_documents": 3,
        "num_lines": 5,
        "num_characters": 7 + 5 + 10,
        "num_annotations": 1,
        "num_replaced": 0,
        "num_control_characters": 0,
        "num_cuts": 0,
    }
    assert str(summary).splitlines() == [
        "read 3 documents, 5 lines, 22 characters from 3 files",
        "with 1 annotation",
        f"skipped: 1 record of {second} (empty text), first in line 2",
        f"no text: {tmp_path / 'c.txt'}",
        f"not read: {tmp_path / 'notes.md'} (unknown ending)",
    ]


def test_a_long_summary_is_shortened(tmp_path: Path) -> None:
    for number in range(30):
        write(tmp_path / f"{number}.md", "x")
    write(tmp_path / "a.txt", "text")
    summary = ReadSummary()
    read(tmp_path, summary=summary)
    assert str(summary).splitlines()[-1] == "and 10 notes more of this kind"
    assert len(summary.skipped_files) == 30
