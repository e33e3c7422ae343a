"""CoNLL columns of coreference: every form, brackets, what is wrong with files; written, they read back the same."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spanbert.errors import InputError
from spanbert.plain_words import plain_words
from spanbert.spans import Span
from spanbert.task import Located, Problem, examples_of
from spanbert.tasks.coreference.checks import check_coreference
from spanbert.tasks.coreference.columns import parse_name, read_documents
from spanbert.tasks.coreference.config import CoreferenceDataOptions
from spanbert.tasks.coreference.conll_writer import conll_lines, words_of
from spanbert.tasks.coreference.data import read_coreference
from spanbert.tasks.coreference.examples import CoreferenceExample, sorted_clusters
from spanbert.tasks.coreference.layout import lay_out
from spanbert.tasks.coreference.prediction_files import read_predicted_clusters

CONLL_2012 = """\
#begin document (bc/cctv/00/cctv_0000); part 003
bc/cctv/00/cctv_0000   3   0     Ada   NNP  (TOP(S(NP*)   -    -   -   Ann_B   (PERSON)   (ARG0*)   (12)
bc/cctv/00/cctv_0000   3   1   slept   VBD      (VP*))  sleep  01   1   Ann_B       *         (V*)     -

bc/cctv/00/cctv_0000   3   0     She   PRP  (TOP(S(NP*)   -    -   -   -   *   (12)
bc/cctv/00/cctv_0000   3   1   heard    VBD  *   -    -   -   Bo   *   -
bc/cctv/00/cctv_0000   3   2      her    PRP$  *   -    -   -   Bo   *   (7|(12)
bc/cctv/00/cctv_0000   3   3    dog     NN  *   -    -   -   Bo   *   7)

#end document
"""
GUM = "# begin document GUM_academic_art\n0\tThe\t(1\n1\tart\t(2)1)\n2\tof\t_\n3\tit\t(1)\n# end document\n"


def read(path: Path, content: str | bytes, **options: Any) -> tuple[list[CoreferenceExample], list[Problem]]:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    located, problems = examples_of(read_coreference(path, CoreferenceDataOptions(**options)))
    return [one.example for one in located], problems


def found(example: CoreferenceExample) -> list[list[str]]:
    return [[example.text[start:end] for start, end in cluster] for cluster in example.clusters or ()]


def document(*rows: str) -> str:
    return "\n".join(["#begin document d", *rows, "#end document", ""])


def test_conll_2012(tmp_path: Path) -> None:
    [example], problems = read(tmp_path / "x.v4_gold_conll", CONLL_2012)
    assert problems == []
    assert example.id == "bc/cctv/00/cctv_0000_3"
    assert example.document == "bc/cctv/00/cctv_0000"
    assert example.genre == "bc"
    assert example.text == "Ada slept\nShe heard her dog"
    assert found(example) == [["Ada", "She", "her"], ["her dog"]]
    assert [(example.text[start:end], name) for start, end, name in example.speakers] == [
        ("Ada slept", "Ann_B"),
        ("heard her dog", "Bo"),
    ]
    assert example.words is not None
    assert [example.text[start:end] for start, end in example.words] == ["Ada", "slept", "She", "heard", "her", "dog"]


def test_the_short_form_of_gum(tmp_path: Path) -> None:
    [example], problems = read(tmp_path / "x.conll", GUM)
    assert problems == []
    assert (example.id, example.document, example.genre, example.speakers) == ("GUM_academic_art", None, "academic", ())
    assert example.text == "The art of it"
    assert found(example) == [["The art", "it"], ["art"]]


@pytest.mark.parametrize(
    "content",
    [
        GUM.replace("\n", "\r\n"),
        GUM.replace("\n", "\r"),
        "\ufeff" + GUM,
        GUM.replace("\t", "  "),
        GUM.replace("3\tit", "1\tit")
        .replace("2\tof", "\n0\tof")
        .replace("0\tThe", "1\tThe")
        .replace("1\tart", "2\tart"),
        "\n# made by hand\n" + GUM + "\n\n",
    ],
)
def test_line_ends_marks_separators_and_indices(tmp_path: Path, content: str) -> None:
    [example], problems = read(tmp_path / "x.conll", content)
    assert problems == []
    assert example.text.replace("\n", " ") == "The art of it"
    assert found(example) == [["The art", "it"], ["art"]]


def test_compressed_and_other_encodings(tmp_path: Path) -> None:
    expected, _ = read(tmp_path / "x.conll", document("Zoë\t(1)"))
    assert read(tmp_path / "x.conll.gz", gzip.compress(document("Zoë\t(1)").encode()))[0] == expected
    assert read(tmp_path / "y.conll", document("Zoë\t(1)").encode("latin-1"), encoding="latin-1")[0] == expected


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (["a\t(1)", "b\t-"], "a b"),
        (["x\ty\t-", "z\ty\t(1)"], "x z"),
        (["0 x y -", "1 z y (1)"], "x z"),
        (["5 x y -", "7 z y (1)"], "5 7"),
        (["d 0 0 x -", "d 0 1 z (1)"], "x z"),
        (["d 0 0 x -"], "x"),
        (["1 begin -"], "begin"),
    ],
)
def test_which_column_holds_the_words(tmp_path: Path, rows: list[str], words: str) -> None:
    [example], problems = read(tmp_path / "x.conll", document(*rows))
    assert problems == []
    assert example.text == words


@pytest.mark.parametrize(
    ("cells", "clusters"),
    [
        (["(1", "-", "1)"], [[(0, 3)]]),
        (["(1|(2", "2)|1)", "(1)"], [[(0, 2), (2, 3)], [(0, 2)]]),
        (["(1(2", "2)1)", "(1)"], [[(0, 2), (2, 3)], [(0, 2)]]),
        (["(1(1)", "_", "1)"], [[(0, 3), (0, 1)]]),
        (["(1|(1", "1)", "1)"], [[(0, 3), (0, 2)]]),
        (["(1", "1)(2", "2)"], [[(0, 2)], [(1, 3)]]),
        (["(1|1)", "-", "-"], [[(0, 1)]]),
        (["(a-7(b", "b)", "a-7)"], [[(0, 3)], [(0, 2)]]),
        # As the official scorer: in a row, mentions begin before any ends.
        (["(1", "1)(1", "1)"], [[(0, 3), (1, 2)]]),
        (["-", "_", "-"], []),
    ],
)
def test_brackets(cells: list[str], clusters: list[list[tuple[int, int]]]) -> None:
    rows = [f"{number}\tw\t{cell}" for number, cell in enumerate(cells)]
    [item] = read_documents(enumerate(document(*rows).splitlines(), 1), "x")
    assert not isinstance(item, Problem)
    expected = sorted_clusters([[Span(*mention) for mention in cluster] for cluster in clusters])
    assert sorted_clusters(item.clusters) == expected


def test_brackets_that_do_not_fit(tmp_path: Path) -> None:
    content = document("a\t(1|(2|(3)", "b\t9)|2)", "c\t(3)|(4(4", "d\t4)|4)")
    [example], problems = read(tmp_path / "x.conll", content)
    assert found(example) == [["a b"], ["a", "c"], ["c d"]]
    assert [(problem.line, problem.kind) for problem in problems] == [
        (2, "bracket never closed"),
        (3, "bracket never opened"),
        (5, "duplicate mention"),
    ]
    assert not any(problem.skipped for problem in problems)
    assert "used without this mention" in problems[0].detail
    assert "lines 4 to 5" in problems[2].detail


@pytest.mark.parametrize(
    ("content", "line", "kind", "skipped", "num_examples"),
    [
        (document("a\t-", "b"), 3, "missing column", True, 0),
        (document("\t".join(["d", "0", "0", "a", *"-------", "-"]), "d\t0\t-"), 3, "missing column", True, 0),
        (document("a\tNN", "b\t-"), 2, "no brackets", True, 0),
        (document("a\t(1", "b\t1)x"), 3, "no brackets", True, 0),
        (document("a\t" + "(1)" * 40 + "x"), 2, "no brackets", True, 0),
        (document("0\ta\t-", "1\t\t-"), 3, "empty word", False, 1),
        (document("a\t-")[: -len("#end document\n")], 1, "document never ended", False, 1),
        (document("a\t-")[: -len("#end document\n")] + document("b\t-"), 1, "document never ended", False, 2),
        ("#end document\n" + document("a\t-"), 1, "end without beginning", True, 1),
        ("a\t-\nb\t-\n" + document("a\t-"), 1, "line outside a document", True, 1),
        (document("a\t-") + "b\t-\n", 4, "line outside a document", True, 1),
    ],
)
def test_what_is_wrong_with_a_file(
    tmp_path: Path, content: str, line: int, kind: str, skipped: bool, num_examples: int
) -> None:
    examples, problems = read(tmp_path / "x.conll", content)
    assert [(problem.line, problem.kind, problem.skipped) for problem in problems] == [(line, kind, skipped)]
    assert len(examples) == num_examples


def test_all_rows_that_cannot_be_read_are_told_at_once(tmp_path: Path) -> None:
    content = document("a\t1)x", "b\t-", "c", "d\tNN") + document("e\t(1)")
    [example], [problem] = read(tmp_path / "x.conll", content)
    assert example.text == "e"
    assert (problem.line, problem.kind, problem.skipped) == (2, "no brackets", True)
    assert "line 4 ('c')" in problem.detail
    assert "line 5 ('NN')" in problem.detail
    [], [problem] = read(tmp_path / "x.conll", document(*["word\tNN"] * 500))
    assert "line 11 ('NN') and" in problem.detail
    assert "and 490 more" in problem.detail
    assert len(problem.detail) < 500


def test_an_empty_word_keeps_its_place(tmp_path: Path) -> None:
    [example], _ = read(tmp_path / "x.conll", document("0\ta\t(1", "1\t \t1)", "2\tb\t(1)"))
    assert found(example) == [["a _", "b"]]


def test_a_file_without_documents(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="#begin document") as caught:
        read(tmp_path / "x.conll", "\n# a comment\n0\tThe\t-\n")
    assert caught.value.line == 3
    assert read(tmp_path / "x.conll", "") == ([], [])
    [example], problems = read(tmp_path / "x.conll", document())
    assert (example.text, example.words, example.clusters, problems) == ("", (), (), [])


def test_names() -> None:
    names = [parse_name(f"#begin document {name}") for name in ("(a/b); part 012", "a/b; part 2", "a b", "(a)", "")]
    assert [(name.whole, name.of) for name in names if name is not None] == [
        ("a/b_12", "a/b"),
        ("a/b_2", "a/b"),
        ("a b", None),
        ("(a)", None),
        ("1", None),
    ]
    assert parse_name("#beginning document x") is None
    assert parse_name("0\t#begin document x\t-") is None


@pytest.mark.parametrize(
    ("name", "rule", "genre"),
    [
        ("(bc/cctv/00/cctv_0000); part 000", "auto", "bc"),
        ("GUM_academic_art", "auto", "academic"),
        ("story", "auto", None),
        ("GUM_academic_art", "none", None),
        ("2019_letter_7", "[0-9]_([a-z]+)_", "letter"),
        ("2019", "[0-9]_([a-z]+)_", None),
    ],
)
def test_genres(tmp_path: Path, name: str, rule: str, genre: str | None) -> None:
    content = f"#begin document {name}\na\t-\n#end document\n"
    [example], _ = read(tmp_path / "x.conll", content, genre=rule)
    assert example.genre == genre


def test_chinese_characters_are_not_parted(tmp_path: Path) -> None:
    [example], _ = read(tmp_path / "x.conll", document("他\t(1)", "说\t-", "\t".join("她-"), "", "我\t(1)"))
    assert example.text == "他说她\n我"
    assert found(example) == [["他", "我"]]


def crossing(one: Span, other: Span) -> bool:
    return one.start < other.start < one.end < other.end or other.start < one.start < other.end < one.end


def laminar(spans: Sequence[Span]) -> list[Span]:
    """Spans of one cluster, without those that cross one before: the form cannot tell them."""
    kept: list[Span] = []
    for span in spans:
        if not any(crossing(span, other) for other in kept):
            kept.append(span)
    return kept


@st.composite
def documents(draw: st.DrawFn) -> CoreferenceExample:
    """Documents of words, with clusters of whole words; names of every sort."""
    word = st.text(st.characters(exclude_categories=["Zs", "Zl", "Zp", "Cc", "Cs"]), min_size=1, max_size=5)
    sentences = draw(st.lists(st.lists(word, min_size=1, max_size=5), min_size=1, max_size=4))
    text, words = lay_out(sentences, chinese=False)
    borders = st.integers(0, len(words) - 1)
    span = st.tuples(borders, borders).map(lambda pair: Span(words[min(pair)].start, words[max(pair)].end))
    clusters = draw(st.lists(st.lists(span, min_size=1, max_size=6).map(laminar), max_size=4))
    of = draw(st.sampled_from([None, "bc/x/00/x_0000", "story"]))
    id = draw(st.sampled_from(["a", "b_7", "(c)"])) if of is None else f"{of}_{draw(st.integers(0, 1200))}"
    return CoreferenceExample(id, text, sorted_clusters(clusters), words, document=of)


@settings(max_examples=80, deadline=None)
@given(example=documents())
def test_written_columns_read_back_the_same(
    tmp_path_factory: pytest.TempPathFactory, example: CoreferenceExample
) -> None:
    path = tmp_path_factory.getbasetemp() / "written.conll"
    content = "".join(line + "\n" for line in conll_lines(example, example.clusters or ()))
    [again], problems = read(path, content, genre="none")
    assert problems == []
    assert again.clusters is not None
    assert again.words is not None
    # Of Chinese, words are read back without the spaces between them: places are compared as words.
    assert [again.text[slice(*word)] for word in again.words] == [example.text[slice(*w)] for w in words_of(example)]
    assert numbered(again) == numbered(example)
    assert (again.id, again.document) == (example.id, example.document)


@settings(max_examples=50, deadline=None)
@given(data=st.data(), text=st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_written_columns_are_predictions_for_raw_text(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, text: str
) -> None:
    words = plain_words(text)
    assert "".join(text[start:end] for start, end in words) == "".join(text.split())
    borders = st.integers(0, max(len(words) - 1, 0))
    span = st.tuples(borders, borders).map(lambda pair: Span(words[min(pair)].start, words[max(pair)].end))
    drawn = st.lists(st.lists(span, min_size=1, max_size=4).map(laminar), max_size=4 if words else 0)
    clusters = sorted_clusters(data.draw(drawn))
    path = tmp_path_factory.getbasetemp() / "raw.conll"
    example = CoreferenceExample("x", text)
    path.write_text("\n".join(conll_lines(example, clusters)), encoding="utf-8", newline="")
    [prediction], problems = read_predicted_clusters(path, [example], CoreferenceDataOptions())
    assert problems == []
    assert prediction is not None
    assert prediction.spans == clusters


def numbered(example: CoreferenceExample) -> list[list[tuple[int, int]]]:
    starts = {word.start: number for number, word in enumerate(words_of(example))}
    ends = {word.end: number for number, word in enumerate(words_of(example), 1)}
    return [[(starts[start], ends[end]) for start, end in cluster] for cluster in example.clusters or ()]


def test_what_is_written() -> None:
    text = "Ada's dog.\n她  _x"
    clusters = [[Span(0, 3), Span(11, 12)], [Span(0, 9)], [Span(1, 2)], [Span(10, 11)]]
    assert list(conll_lines(CoreferenceExample("my story", text), clusters)) == [
        "#begin document my_story",
        "my_story\t0\t0\tAda\t(1|(2)|(0)",
        "my_story\t0\t1\t's\t-",
        "my_story\t0\t2\tdog\t1)",
        "my_story\t0\t3\t.\t-",
        "",
        "my_story\t0\t0\t她\t(0)",
        "my_story\t0\t1\t_\t-",
        "my_story\t0\t2\tx\t-",
        "",
        "#end document",
    ]
    example = CoreferenceExample("a/b_12", "New\u00a0York", (), (Span(0, 8),), document="a/b")
    assert list(conll_lines(example, ()))[:2] == ["#begin document (a/b); part 012", "a/b\t12\t0\tNew_York\t-"]


def test_checks_of_mentions(tmp_path: Path) -> None:
    rows = ["a (1|(2|(5", "b 1)|2)|(3", "c (4)", "d 3)", "e 5)"]
    located, _ = examples_of(read_coreference(_written(tmp_path, document(*rows)), CoreferenceDataOptions()))
    problems = list(check_coreference(located, CoreferenceDataOptions(max_span_width=4)))
    assert [(problem.line, problem.kind, problem.skipped) for problem in problems] == [
        (1, "mention in two clusters", False),
        (1, "mentions that cross", False),
        (1, "mention too wide", False),
    ]
    assert "0..3 'a b'" in problems[0].detail
    assert "2..7 'b c d'" in problems[1].detail
    assert "5 words" in problems[2].detail


def _written(tmp_path: Path, content: str) -> Path:
    path = tmp_path / "x.conll"
    path.write_text(content)
    return path


def test_checks_of_documents() -> None:
    examples = [
        CoreferenceExample("a", " "),
        CoreferenceExample("a", "some text", ()),
        CoreferenceExample("b", "some  text", ((Span(0, 5),), (Span(7, 10),))),
        CoreferenceExample("c", "one two", ((Span(0, 3), Span(4, 7)),), mentions=(Span(0, 3),)),
    ]
    located = [Located(example, line) for line, example in enumerate(examples, 1)]
    problems = list(check_coreference(located, CoreferenceDataOptions()))
    assert [problem.kind for problem in problems if problem.skipped] == ["no clusters given"]
    assert [(problem.line, problem.kind) for problem in problems] == [
        (1, "empty text"),
        (1, "no clusters given"),
        (2, "duplicate id"),
        (2, "no cluster"),
        (3, "white space at a mention's edge"),
        (3, "mention cuts a word"),
        (4, "mention not given"),
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Cafe\u0301s are", ["Cafe\u0301s", "are"]),
        ("a\u200f b\u00adc", ["a\u200f", "b\u00adc"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("x\u0301.y 中文", ["x\u0301", ".", "y", "中", "文"]),
        ("\u0301a", ["\u0301", "a"]),
        ("Ann's 1,234.50 they’ll 3,a ,5", ["Ann", "'s", "1,234.50", "they", "’ll", "3", ",", "a", ",", "5"]),
    ],
)
def test_marks_belong_to_the_word_before_them_and_some_words_have_parts(text: str, words: list[str]) -> None:
    assert [text[start:end] for start, end in plain_words(text)] == words
