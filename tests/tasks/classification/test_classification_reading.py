"""Files of classification: what is read, what is told to be wrong, and in which line."""

from __future__ import annotations

import csv
import gzip
import io
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spanbert.cli import main
from spanbert.errors import ConfigurationError, InputError
from spanbert.task import Located, Problem, examples_of
from spanbert.tasks.classification.config import DataOptions, Settings
from spanbert.tasks.classification.examples import ClassificationExample
from spanbert.tasks.classification.task import Classification

Examples = list[Located[ClassificationExample]]
PLAIN: dict[str, Any] = {"header": False, "text_column": "0", "label_column": "1"}


def read(path: Path, content: str | bytes, **options: Any) -> tuple[Examples, list[Problem]]:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return examples_of(Classification.read(path, DataOptions(**options)))


def rows(examples: Examples) -> list[tuple[int, str, Any]]:
    return [(located.line, located.example.text, located.example.label) for located in examples]


def kinds(problems: list[Problem]) -> list[tuple[int, str]]:
    return [(problem.line, problem.kind) for problem in problems]


def test_a_csv_file_with_quotes_and_line_breaks(tmp_path: Path) -> None:
    content = 'label,text\npos,"good, really\n""very"" good"\n\nneg,bad\nneutral,"a\n\nb"\n'
    examples, problems = read(tmp_path / "a.csv", content)
    assert rows(examples) == [(2, 'good, really\n"very" good', "pos"), (5, "bad", "neg"), (6, "a\n\nb", "neutral")]
    assert not problems
    assert [located.example.id for located in examples] == ["2", "5", "6"]


def test_byte_order_mark_crlf_and_compression(tmp_path: Path) -> None:
    content = "\ufefftext\tlabel\r\ngut\t好\r\n\r\n\U0001f642 e\u0301\t坏\r\n".encode()
    expected = [(2, "gut", "好"), (4, "\U0001f642 e\u0301", "坏")]
    assert rows(read(tmp_path / "a.tsv", content)[0]) == expected
    assert rows(read(tmp_path / "a.TSV.gz", gzip.compress(content))[0]) == expected


def test_without_a_header_the_separator_may_stand_in_the_text(tmp_path: Path) -> None:
    content = "Sales @ Nokia rose by 3 €@positive\nNothing@neutral\nmail x@y@neutral\n".encode("cp1252")
    examples, problems = read(tmp_path / "a.txt", content, separator="@", encoding="cp1252", **PLAIN)
    assert rows(examples) == [
        (1, "Sales @ Nokia rose by 3 €", "positive"),
        (2, "Nothing", "neutral"),
        (3, "mail x@y", "neutral"),
    ]
    assert not problems


def test_a_label_before_the_text_and_columns_nobody_asks_for(tmp_path: Path) -> None:
    options = {"header": False, "text_column": "3", "label_column": "1"}
    examples, problems = read(tmp_path / "a.tsv", "gj04\t1\t\tA text.\ngj04\t0\t*\tIs\tthis.\nbroken\t1\n", **options)
    assert rows(examples) == [(1, "A text.", "1"), (2, "Is\tthis.", "0")]
    assert kinds(problems) == [(3, "wrong number of columns")]


def test_a_tab_separated_file_has_no_quotes_unless_asked(tmp_path: Path) -> None:
    content = 'text\tlabel\n"Oh\t1\nsaid "no"\t0\n"a\tb"\t1\n'
    examples, problems = read(tmp_path / "a.tsv", content)
    assert rows(examples) == [(2, '"Oh', "1"), (3, 'said "no"', "0")]
    assert kinds(problems) == [(4, "wrong number of columns")]
    examples, _ = read(tmp_path / "a.tsv", 'text\tlabel\n"a\tb"\t1\n', quotes="yes")
    assert rows(examples) == [(2, "a\tb", "1")]


def test_a_separator_of_several_characters_and_a_tab_as_it_is_typed(tmp_path: Path) -> None:
    assert rows(read(tmp_path / "a.data", "text || label\nx || y\n", separator=" || ")[0]) == [(2, "x", "y")]
    assert rows(read(tmp_path / "a.csv", "text\tlabel\nx\ty\n", separator="\\t")[0]) == [(2, "x", "y")]


def test_documents_are_those_of_a_column(tmp_path: Path) -> None:
    content = "text,label,document,part\na,x,d1,1\nb,y,d1,2\nc,y,,2\n"
    found = [read(tmp_path / "a.csv", content, **options)[0] for options in ({}, {"document_column": "part"})]
    assert [[item.example.document for item in items] for items in found] == [["d1", "d1", None], ["1", "2", "2"]]
    task = Classification(Settings())
    assert [task.group(item.example) for item in found[0]] == ["d1", "d1", "c"]
    assert task.example(found[0][0].example.to_json()) == found[0][0].example
    with pytest.raises(InputError, match="no column called 'article'"):
        read(tmp_path / "a.csv", content, document_column="article")


def test_pairs_of_texts_and_ids(tmp_path: Path) -> None:
    content = "id,premise,hypothesis,label\na1,It rains.,It is wet.,entailment\n"
    options = {"text_column": "premise", "pair_column": "hypothesis"}
    [located], _ = read(tmp_path / "a.csv", content, **options)
    expected = ClassificationExample(id="a1", text="It rains.", pair="It is wet.", label="entailment")
    assert located.example == expected
    _, problems = read(tmp_path / "a.csv", content + ",x,,entailment\n", id_column="id", **options)
    assert kinds(problems) == [(3, "no id")]
    examples, problems = read(tmp_path / "a.csv", content + ",x,y,entailment\n,x, ,neutral\n", **options)
    assert [located.example.id for located in examples] == ["a1", "3"]
    assert kinds(problems) == [(4, "empty text")]


def test_json_lines_with_every_form_of_label(tmp_path: Path) -> None:
    values: list[Any] = ["pos", 1, 2.5, True, " 好 "]
    lines = [json.dumps({"text": f"t{number}", "label": value}) for number, value in enumerate(values)]
    examples, problems = read(tmp_path / "a.jsonl", "\n".join(lines))
    labels = [located.example.label for located in examples]
    assert labels == ["pos", "1", "2.5", "true", "好"]
    assert not problems
    lines = [json.dumps({"text": "t", "label": value}) for value in (["a", "b", "a"], [], ["c"])]
    examples, problems = read(tmp_path / "a.jsonl", "\n".join(lines))
    assert [located.example.label for located in examples] == [("a", "b"), (), ("c",)]
    assert not problems


def test_what_is_wrong_in_json_lines_is_told_with_its_line(tmp_path: Path) -> None:
    lines = [
        '{"text": "good", "label": "pos"}',
        "",
        '{"text": "half',
        "[1]",
        '{"text": 3, "label": "pos"}',
        '{"label": "pos"}',
        '{"text": "no label"}',
        '{"text": "null", "label": null}',
        '{"text": "object", "label": {"a": 1}}',
        '{"text": "nothing", "label": " "}',
        '{"text": "", "label": "pos"}',
        '{"text": " \\u3000\\n", "label": "pos"}',
        '{"text": "\\u0000\\u200b", "label": "pos"}',
        '{"text": "a \\ud83d", "label": "pos"}',
        '{"text": "several", "label": ["a", "b"]}',
    ]
    examples, problems = read(tmp_path / "a.jsonl", "\n".join(lines), kind="single-label")
    assert rows(examples) == [(1, "good", "pos")]
    assert kinds(problems) == [
        (3, "not JSON"),
        (4, "not an object"),
        (5, "no text"),
        (6, "no text"),
        (7, "no label"),
        (8, "no label"),
        (9, "bad label"),
        (10, "no label"),
        (11, "empty text"),
        (12, "empty text"),
        (13, "unreadable text"),
        (14, "unreadable text"),
        (15, "bad label"),
    ]
    assert all(problem.skipped for problem in problems)


def test_odd_texts_are_kept_as_they_are(tmp_path: Path) -> None:
    texts = ["x", "好", "?", "a\x00b", " a ", "e\u0301", "\U0001f468\u200d\U0001f469", "a\u2028b", "x" * 200_000]
    lines = [json.dumps({"text": text, "label": "a"}) for text in texts]
    examples, problems = read(tmp_path / "a.jsonl", "\r\n".join(lines))
    assert [located.example.text for located in examples] == texts
    assert not problems
    table = io.StringIO()
    csv.writer(table).writerows([["text", "label"], *([text, "a"] for text in texts)])
    examples, problems = read(tmp_path / "a.csv", table.getvalue())
    assert [located.example.text for located in examples] == texts
    assert not problems


def test_numbers_for_regression(tmp_path: Path) -> None:
    content = "text,label\na,2.5\nb,-3e1\nc,high\nd,nan\ne,1e999\n"
    examples, problems = read(tmp_path / "a.csv", content, kind="regression")
    assert rows(examples) == [(2, "a", 2.5), (3, "b", -30.0)]
    assert kinds(problems) == [(line, "bad label") for line in (4, 5, 6)]
    described = Classification.describe([located.example for located in examples])
    assert described["predicted"] == {"a number": 2}
    assert sum(described["values"].values()) == 2


def test_ranges_of_numbers_are_shown_in_their_order(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "a.csv"
    file.write_text("text,label\na,1\nb,2\nc,2\nd,3\ne,3\nf,3\n", encoding="utf-8")
    assert main(["check", "classification", str(file), "--kind", "regression"]) == 0
    shown = capsys.readouterr().out
    assert shown.index("1 to 1.25") < shown.index("2 to 2.25") < shown.index("2.75 to 3")


def test_several_labels_in_one_column(tmp_path: Path) -> None:
    content = "text,label\na,sport|politics\nb,\nc,sport\nd, | |sport \n"
    examples, problems = read(tmp_path / "a.csv", content, label_separator="|")
    assert [located.example.label for located in examples] == [("sport", "politics"), (), ("sport",), ("sport",)]
    assert not problems
    described = Classification.describe([located.example for located in examples])
    assert described == {"labels": {"sport": 3, "politics": 1}, "labels of a text": {"0": 1, "1": 2, "2": 1}}


def test_unknown_columns_are_an_error_that_names_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"line 1: there is no column called 'text'.*'review'.*--no-header"):
        read(tmp_path / "a.csv", "label,review\n1,x\n")
    with pytest.raises(InputError, match="several columns are called 'text'"):
        read(tmp_path / "a.csv", "label,text,text\n1,x,y\n")
    with pytest.raises(InputError, match="no record has the key 'text'; the keys are 'review', 'label'"):
        read(tmp_path / "a.jsonl", '{"review": "x", "label": "y"}\n')
    with pytest.raises(ConfigurationError, match=r"there is no 'text': say --text-column 0"):
        read(tmp_path / "a.csv", "x,1\n", header=False)
    with pytest.raises(InputError, match="no row has a column 1"):
        read(tmp_path / "a.csv", "x;1\n", **PLAIN)


def test_files_that_cannot_be_read_at_all(tmp_path: Path) -> None:
    for name in ("a.csv", "a.jsonl"):
        with pytest.raises(InputError, match="nothing in the file"):
            read(tmp_path / name, " \n\n")
    with pytest.raises(InputError, match="nothing in the file"):
        read(tmp_path / "a.tsv", "", **PLAIN)
    with pytest.raises(InputError, match="--separator"):
        read(tmp_path / "a.data", "text,label\n")
    with pytest.raises(ConfigurationError, match="one character"):
        read(tmp_path / "a.csv", "text,label\n", separator="||", quotes="yes")
    with pytest.raises(ConfigurationError, match="--separator"):
        read(tmp_path / "a.csv", "text,label\n", separator="")
    with pytest.raises(InputError, match="line 2"):
        read(tmp_path / "a.csv", b"text,label\ngr\xfcn,1\n")
    with pytest.raises(ConfigurationError, match="no such encoding"):
        read(tmp_path / "a.csv", "", encoding="utf-9")


def test_json_lines_are_recognised_by_what_they_hold(tmp_path: Path) -> None:
    assert rows(read(tmp_path / "data", '\n\n{"text": "x", "label": "y"}\n')[0]) == [(3, "x", "y")]


def test_broken_rows_of_csv(tmp_path: Path) -> None:
    content = 'text,label\n"a" b,1\nc,1,2\nd,1\n"never closed,1\ne,1\n'
    examples, problems = read(tmp_path / "a.csv", content)
    assert rows(examples) == [(4, "d", "1")]
    assert kinds(problems) == [(2, "bad quoting"), (3, "wrong number of columns"), (5, "bad quoting")]
    assert "Lines 5 to 6" in problems[-1].detail


def test_labels_and_lists_of_labels_in_one_file_are_told(tmp_path: Path) -> None:
    content = "".join(json.dumps({"text": "t", "label": value}) + "\n" for value in ("a", ["b"], "c", ["a", "b"]))
    examples, problems = read(tmp_path / "a.jsonl", content)
    assert len(examples) == 4
    assert kinds(problems) == [(2, "one label and lists of labels"), (4, "one label and lists of labels")]
    assert "line 1" in problems[0].detail
    assert not read(tmp_path / "a.jsonl", content, kind="multi-label")[1]


def test_no_number_and_an_empty_label_are_told_as_what_they_are(tmp_path: Path) -> None:
    values = ["NaN", "Infinity", '""', '"NaN"', "[NaN]"]
    examples, problems = read(tmp_path / "a.jsonl", "\n".join(f'{{"text": "t", "label": {value}}}' for value in values))
    assert rows(examples) == [(4, "t", "NaN")]
    assert kinds(problems) == [(1, "bad label"), (2, "bad label"), (3, "no label"), (5, "bad label")]
    assert "not nan" in problems[0].detail
    assert "'label' is empty" in problems[2].detail
    assert "there is no 'label'" in read(tmp_path / "a.jsonl", '{"text": "t"}\n{"text": "t", "label": 1}')[1][0].detail


def test_the_separator_of_a_header_that_does_not_fit_is_named(tmp_path: Path) -> None:
    for name, content, advice in [
        ("a.csv", "text;label\nx;y\n", '--separator ";"'),
        ("a.csv", '"text";"label"\n"x";"y"\n', '--separator ";"'),
        ("a.csv", '"label"\ttext\nx\ty\n', r'--separator "\\t"'),
        ("a.tsv", "text,label\nx,y\n", '--separator ","'),
    ]:
        with pytest.raises(InputError, match=advice):
            read(tmp_path / name, content)
    with pytest.raises(InputError, match="--no-header"):
        read(tmp_path / "a.csv", "title;label\nx;y\n")


def test_standard_input_may_have_commas_or_tabs(monkeypatch: pytest.MonkeyPatch) -> None:
    for content in ('text,label\n"a, b",x\n', "text\tlabel\na, b\tx\n", '{"text": "a, b", "label": "x"}'):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content.encode())))
        examples, problems = examples_of(Classification.read("-", DataOptions()))
        assert [(located.example.text, located.example.label) for located in examples] == [("a, b", "x")]
        assert not problems


def test_bytes_that_are_not_utf_8_are_told_with_the_option_that_helps(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="or name its encoding with --encoding"):
        read(tmp_path / "a.tsv", "text\tlabel\né\tx\n".encode("latin-1"))


def test_what_a_check_finds(tmp_path: Path) -> None:
    content = "id,text,label\n1,good,pos\n1,bad,neg\n3,good,neg\n4,fine,pos\n"
    examples, _ = read(tmp_path / "a.csv", content)
    problems = list(Classification.check(examples, DataOptions()))
    assert kinds(problems) == [(3, "duplicate id"), (4, "same text, other label")]
    assert "line 2" in problems[0].detail
    assert "'neg' here, 'pos' in line 2" in problems[1].detail
    assert not any(problem.skipped for problem in problems)
    unknown = list(Classification.check(examples[-1:], Settings(kind="single-label", labels=("a", "b"))))
    assert kinds(unknown)[0] == (5, "unknown label")
    assert "'pos'" in unknown[0].detail
    assert "'a', 'b'" in unknown[0].detail


def test_the_same_labels_in_another_order_are_the_same() -> None:
    examples = [
        Located(ClassificationExample(id="1", text="x", label=("a", "b")), 1),
        Located(ClassificationExample(id="2", text="x", label=("b", "a")), 2),
    ]
    assert not list(Classification.check(examples, DataOptions()))


cells = st.text(st.characters(exclude_categories=("C",)) | st.sampled_from('",;\t\n'), min_size=1).filter(
    lambda text: bool(text.strip())
)


@given(st.lists(st.tuples(cells, cells), min_size=1, max_size=6), st.sampled_from([",", ";", "\t"]))
@settings(max_examples=60, deadline=None)
def test_what_the_csv_module_writes_is_read_again(written: list[tuple[str, str]], separator: str) -> None:
    table = io.StringIO()
    writer = csv.writer(table, delimiter=separator, quoting=csv.QUOTE_ALL)
    writer.writerow(["text", "label"])
    lines = []
    for row in written:
        lines.append(1 + table.getvalue().count("\n"))
        writer.writerow(row)
    with tempfile.TemporaryDirectory() as folder:
        examples, problems = read(Path(folder) / "a.csv", table.getvalue(), separator=separator, quotes="yes")
    assert not problems
    assert rows(examples) == [(line, text, label.strip()) for line, (text, label) in zip(lines, written, strict=True)]
