"""JSON lines and GAP's tables of coreference; predictions for them; the sample corpus as such a file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spanbert.errors import InputError
from spanbert.json_values import BadRecordError
from spanbert.plain_words import plain_words
from spanbert.prediction_input import InputForm, read_records
from spanbert.read_summary import FileSummary
from spanbert.sample_corpus import sample_documents
from spanbert.spans import LabelledSpan, Span
from spanbert.task import Located, Problem, examples_of
from spanbert.tasks.coreference.checks import check_coreference
from spanbert.tasks.coreference.config import CoreferenceDataOptions, CoreferenceSettings
from spanbert.tasks.coreference.conll_writer import conll_lines
from spanbert.tasks.coreference.data import describe_coreference, read_coreference
from spanbert.tasks.coreference.examples import (
    AmbiguousPronoun,
    CoreferenceExample,
    CoreferencePrediction,
    PredictedMention,
    sorted_clusters,
)
from spanbert.tasks.coreference.json_records import example_from_json, prediction_from_json
from spanbert.tasks.coreference.layout import WordFinder, in_order
from spanbert.tasks.coreference.prediction_files import read_predicted_clusters
from spanbert.tasks.coreference.task import CoreferenceResolution

OPTIONS = CoreferenceDataOptions()
TEXT = "Ada met Eve when she slept."
RECORD = {"id": "x", "text": TEXT, "clusters": [[[17, 20], [0, 3]], [[8, 11]]]}
HEADER = "ID\tText\tPronoun\tPronoun-offset\tA\tA-offset\tA-coref\tB\tB-offset\tB-coref\tURL\n"
ROW = f"dev-1\t{TEXT}\tshe\t17\tAda\t0\tTRUE\tEve\t8\tFALSE\thttp://example.org/wiki/Ada\n"


def read(path: Path, content: str, **options: Any) -> tuple[list[CoreferenceExample], list[Problem]]:
    path.write_text(content, encoding="utf-8", newline="")
    located, problems = examples_of(read_coreference(path, CoreferenceDataOptions(**options)))
    return [one.example for one in located], problems


def found(example: CoreferenceExample | CoreferencePrediction, text: str = TEXT) -> list[list[str]]:
    clusters = example.spans if isinstance(example, CoreferencePrediction) else example.clusters
    return [[text[start:end] for start, end in cluster] for cluster in clusters or ()]


def test_spans_of_characters(tmp_path: Path) -> None:
    [example, unanswered], problems = read(
        tmp_path / "x.jsonl", json.dumps(RECORD) + "\n\n" + json.dumps({"text": TEXT, "clusters": None}) + "\n"
    )
    assert problems == []
    assert example == CoreferenceExample("x", TEXT, ((Span(0, 3), Span(17, 20)), (Span(8, 11),)))
    assert unanswered == CoreferenceExample("3", TEXT)


@pytest.mark.parametrize("form", ["tokens", "sentences"])
def test_spans_of_words_include_their_last(tmp_path: Path, form: str) -> None:
    words: Any = [["Ada", "Byron", "slept"], ["She", "woke"]]
    speakers: Any = [["A", "A", "-"], ["", "B"]]
    if form == "tokens":
        words, speakers = [*words[0], *words[1]], [*speakers[0], *speakers[1]]
    record = {"doc_key": "nw/x/00/x_0001_2", form: words, "speakers": speakers, "clusters": [[[3, 3], [0, 1]]]}
    [example], problems = read(tmp_path / "x.jsonl", json.dumps(record))
    assert problems == []
    assert example.text == ("Ada Byron slept She woke" if form == "tokens" else "Ada Byron slept\nShe woke")
    assert found(example, example.text) == [["Ada Byron", "She"]]
    assert example.speakers == (LabelledSpan(0, 9, "A"), LabelledSpan(20, 24, "B"))
    assert (example.id, example.document, example.genre) == ("nw/x/00/x_0001_2", "nw/x/00/x_0001", "nw")
    [example], _ = read(tmp_path / "x.jsonl", json.dumps(record | {"genre": "own", "mentions": [[3, 3]]}))
    assert (example.genre, example.mentions) == ("own", (Span(16, 19),))
    [example], _ = read(tmp_path / "x.jsonl", json.dumps(record | {"genre": "own"}), genre="/(.)/")
    assert example.genre == "x"


def test_given_mentions_can_be_passed_over(tmp_path: Path) -> None:
    line = json.dumps(RECORD | {"mentions": [[17, 20], [0, 3]]})
    assert [one.mentions for one in read(tmp_path / "x.jsonl", line)[0]] == [(Span(0, 3), Span(17, 20))]
    assert [one.mentions for one in read(tmp_path / "x.jsonl", line, mentions="found")[0]] == [None]


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"text": None}, "missing key"),
        ({"text": 3}, "wrong value"),
        ({"text": "a\ud800"}, "half a character"),
        ({"tokens": ["a"]}, "two texts"),
        ({"clusters": {}}, "wrong value"),
        ({"clusters": [3]}, "wrong value"),
        ({"clusters": [[[0]]]}, "wrong value"),
        ({"clusters": [[[0, True]]]}, "wrong value"),
        ({"clusters": [[[3, 3]]]}, "end before start"),
        ({"clusters": [[[0, 28]]]}, "span outside text"),
        ({"clusters": [[[-1, 3]]]}, "span outside text"),
        ({"mentions": [[0, 99]]}, "span outside text"),
        ({"mentions": [[0, 3], [3, 4]]}, "mention without a word"),
        ({"mentions": [[4, 7]], "words": [[0, 3], [8, 11]]}, "mention without a word"),
        ({"words": [[0, 3], [2, 4]]}, "words out of order"),
        ({"speakers": [{"start": 0, "end": 3, "speaker": 7}]}, "wrong value"),
        ({"speakers": ["Ada"]}, "wrong value"),
        ({"speakers": [{"start": 0, "end": 3, "name": "Ada"}]}, "missing key"),
        ({"speakers": [{"start": 0, "end": 99, "speaker": "Ada"}]}, "span outside text"),
        ({"pronoun": {"pronoun": [17, 20], "a": [0, 3]}}, "missing key"),
        ({"pronoun": {"pronoun": [17, 20], "a": [0, 3], "b": [8, 11], "is_a": True}}, "wrong value"),
        ({"id": [1]}, "wrong value"),
        ({"text": None, "tokens": ["a", ""]}, "empty word"),
        ({"text": None, "tokens": ["a", "b"], "clusters": [[[0, 2]]]}, "span outside text"),
        ({"text": None, "tokens": ["a", "b"], "clusters": [[[1, 0]]]}, "end before start"),
        ({"text": None, "tokens": ["a", "b"], "clusters": [], "speakers": ["A"]}, "speakers do not fit"),
        (
            {"text": None, "sentences": [["a"], ["b"]], "clusters": [], "speakers": [["A", "B"], []]},
            "speakers do not fit",
        ),
        ({"text": None, "tokens": ["a"], "clusters": [], "pronoun": {}}, "pronoun without text"),
    ],
)
def test_records_that_are_no_example(tmp_path: Path, change: dict[str, Any], kind: str) -> None:
    record = {key: value for key, value in (RECORD | change).items() if value is not None}
    examples, problems = read(tmp_path / "x.jsonl", json.dumps(record) + "\n" + json.dumps(RECORD | {"id": "y"}))
    assert [(problem.line, problem.kind, problem.skipped) for problem in problems] == [(1, kind, True)]
    assert "(id " in problems[0].detail
    assert [example.id for example in examples] == ["y"]
    with pytest.raises(BadRecordError, match=kind):
        example_from_json(record)


def test_what_is_put_right_in_a_record(tmp_path: Path) -> None:
    record = RECORD | {"clusters": [[[0, 3], [17, 20], [0, 3]], []]}
    [example], problems = read(tmp_path / "x.jsonl", json.dumps(record) + "\n{")
    assert found(example) == [["Ada", "she"]]
    assert [(problem.line, problem.kind, problem.skipped) for problem in problems] == [
        (1, "duplicate mention", False),
        (1, "empty cluster", False),
        (2, "not JSON", True),
    ]
    assert "'Ada'" in problems[0].detail


def test_speakers_of_text(tmp_path: Path) -> None:
    stretches = [(12, 16, "Cy"), (0, 20, "Ada"), (20, 22, None), (24, 27, " "), (18, 24, "Bo"), (23, 26, "Di")]
    speakers = [{"start": start, "end": end, "speaker": speaker} for start, end, speaker in stretches]
    [example], problems = read(tmp_path / "x.jsonl", json.dumps(RECORD | {"speakers": speakers}))
    assert [stretch.label for stretch in example.speakers] == ["Ada", "Cy", "Bo", "Di"]
    assert [(problem.kind, problem.skipped) for problem in problems] == [
        ("speaker without a name", False),
        *[("speakers overlap", False)] * 3,
    ]
    assert "speakers[3]" in problems[0].detail
    assert ["0..20 by 'Ada'" in problem.detail for problem in problems[1:]] == [True, True, False]
    assert "18..24 by 'Bo'" in problems[3].detail


def test_keys_that_are_nearly_known(tmp_path: Path) -> None:
    record = {"text": TEXT, "mentionz": [], "clusterz": [], "speaker": [], "genres": "", "docKey": "", "ID": "x"}
    [example], problems = read(tmp_path / "x.jsonl", json.dumps(record))
    assert example == CoreferenceExample("1", TEXT)
    assert {(problem.line, problem.kind, problem.skipped) for problem in problems} == {(1, "unknown key", False)}
    meant = {"mentionz": "mentions", "clusterz": "clusters", "speaker": "speakers", "genres": "genre"}
    meant |= {"docKey": "doc_key", "ID": "id"}
    for problem, (key, known) in zip(problems, meant.items(), strict=True):
        assert f"`{key}`" in problem.detail
        assert f"`{known}`" in problem.detail
    metadata = ["uid", "pid", "title", "source", "split", "year", "gender", "sentence", "summary", "quotes", "url"]
    assert read(tmp_path / "x.jsonl", json.dumps(RECORD | dict.fromkeys(metadata, "x")))[1] == []
    # Where the key is there too, the other one is the record's own.
    both = RECORD | {"genre": "news", "genres": ["news", "local"]}
    assert read(tmp_path / "x.jsonl", json.dumps(both))[1] == []


def checked(record: dict[str, Any]) -> list[tuple[str, str]]:
    problems = check_coreference([Located(example_from_json(record), 1)], OPTIONS)
    return [(problem.kind, problem.detail) for problem in problems]


@pytest.mark.parametrize("clusters", [None, [], [[[1, 3], [17, 20]]]])
def test_given_mentions_are_checked_as_those_of_clusters(clusters: list[Any] | None) -> None:
    found_ = checked({"text": TEXT, "clusters": clusters, "mentions": [[1, 3], [3, 7], [17, 20]]})
    [cut] = [detail for kind, detail in found_ if kind == "mention cuts a word"]
    assert "1..3 'da'" in cut
    assert "prediction" in cut
    [edge] = [detail for kind, detail in found_ if kind == "white space at a mention's edge"]
    assert "3..7 ' met'" in edge
    [cut] = [detail for kind, detail in checked({"text": TEXT, "clusters": [[[1, 3]]]}) if "cuts" in kind]
    assert "prediction" not in cut


def test_mentions_of_clusters_without_a_word() -> None:
    [(kind, detail)] = checked({"text": TEXT, "clusters": [[[0, 3], [4, 7]]], "words": [[0, 3], [8, 11]]})
    assert kind == "mention without a word"
    assert "4..7 'met'" in detail


@pytest.mark.parametrize(
    ("clusters", "is_a", "told"),
    [
        ([[[17, 20], [0, 3]], [[8, 11]]], True, []),
        ([[[17, 20]], [[0, 3]], [[8, 11]]], False, []),
        ([[[17, 20]], [[0, 3]], [[8, 11]]], True, ["a"]),
        ([[[17, 20], [0, 3]], [[8, 11]]], False, ["a"]),
        ([[[17, 20], [8, 11]], [[0, 3]]], True, ["a", "b"]),
        ([[[17, 20], [0, 3]]], None, []),
        (None, True, []),
    ],
)
def test_a_pronoun_and_clusters_that_say_something_else(
    clusters: list[Any] | None, is_a: bool | None, told: list[str]
) -> None:
    is_b = None if is_a is None else False
    question = {"pronoun": [17, 20], "a": [0, 3], "b": [8, 11], "is_a": is_a, "is_b": is_b}
    found_ = [
        detail for kind, detail in checked({"text": TEXT, "clusters": clusters, "pronoun": question}) if "other" in kind
    ]
    assert [f"pronoun.is_{name}" in detail for detail, name in zip(found_, told, strict=True)] == [True] * len(told)


def spans(length: int) -> st.SearchStrategy[Span]:
    border = st.integers(0, length)
    return st.tuples(border, border).filter(lambda pair: pair[0] != pair[1]).map(lambda pair: Span(*sorted(pair)))


@st.composite
def examples(draw: st.DrawFn) -> CoreferenceExample:
    """Examples with everything that one can have."""
    text = draw(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30))
    span = spans(len(text))
    clusters = draw(st.none() | st.lists(st.lists(span, min_size=1, max_size=4), max_size=4).map(sorted_clusters))
    borders = draw(st.lists(st.integers(0, len(text)), unique=True).map(sorted))
    words = draw(st.none() | st.just(tuple(Span(*pair) for pair in zip(borders[::2], borders[1::2], strict=False))))
    finder = WordFinder(plain_words(text) if words is None else words)
    mentions = draw(st.none() | st.lists(span, max_size=4))
    question = draw(st.none() | st.tuples(span, span, span))
    answer = draw(st.sampled_from([(None, None), (True, False), (False, False)]))
    return CoreferenceExample(
        id=draw(st.text(st.characters(exclude_categories=["Cs"]), max_size=5)),
        text=text,
        clusters=clusters,
        words=words,
        speakers=tuple(sorted(draw(st.lists(span.map(lambda place: LabelledSpan(*place, "Ada")), max_size=3)))),
        genre=draw(st.none() | st.just("news")),
        mentions=None if mentions is None else in_order(one for one in mentions if len(range(*finder.widen(one)))),
        document=draw(st.none() | st.just("a/b")),
        pronoun=None if question is None else AmbiguousPronoun(*question, *answer),
    )


@settings(max_examples=60, deadline=None)
@given(example=examples())
def test_examples_come_back_from_their_json(example: CoreferenceExample) -> None:
    assert example_from_json(json.loads(json.dumps(example.to_json()))) == example


@settings(max_examples=30, deadline=None)
@given(
    clusters=st.lists(st.lists(spans(20), min_size=1, max_size=5), max_size=4).map(sorted_clusters),
    probability=st.none() | st.floats(0, 1),
)
def test_predictions_come_back_from_their_json(
    clusters: tuple[tuple[Span, ...], ...], probability: float | None
) -> None:
    text = "twenty characters !!"
    prediction = CoreferencePrediction(
        "x",
        tuple(
            tuple(
                PredictedMention(*mention, text[slice(*mention)], cluster[0] if number else None, probability)
                for number, mention in enumerate(cluster)
            )
            for cluster in clusters
        ),
    )
    assert prediction_from_json(json.loads(json.dumps(prediction.to_json()))) == prediction


# GAP


def test_gap(tmp_path: Path) -> None:
    [example], problems = read(tmp_path / "gap.tsv", HEADER + ROW)
    assert problems == []
    assert example == CoreferenceExample(
        "dev-1",
        TEXT,
        ((Span(0, 3), Span(17, 20)), (Span(8, 11),)),
        mentions=(Span(0, 3), Span(8, 11), Span(17, 20)),
        document="http://example.org/wiki/Ada",
        pronoun=AmbiguousPronoun(Span(17, 20), Span(0, 3), Span(8, 11), True, False),
    )
    assert example_from_json(example.to_json()) == example
    [neither], _ = read(tmp_path / "gap.tsv", "\ufeff" + HEADER + ROW.replace("TRUE", "false"), mentions="found")
    assert (found(neither), neither.mentions) == ([["Ada"], ["Eve"], ["she"]], None)
    [asked], _ = read(tmp_path / "gap.tsv", HEADER + ROW.replace("TRUE", "").replace("FALSE", ""))
    assert asked.clusters is None
    assert asked.pronoun == AmbiguousPronoun(Span(17, 20), Span(0, 3), Span(8, 11))


@pytest.mark.parametrize(
    ("change", "kind", "told"),
    [
        (("\t17\t", "\t16\t"), "offset does not match", "it stands at 17"),
        (("\tEve\t", "\tEva\t"), "offset does not match", "nowhere"),
        (("\t17\t", "\tx\t"), "offset is no number", "'x'"),
        (("TRUE", "maybe"), "unknown answer", "neither TRUE nor FALSE"),
        (("TRUE", ""), "half an answer", "both"),
        (("\tTRUE", ""), "wrong number of columns", "10 columns"),
    ],
)
def test_rows_of_gap_that_are_wrong(tmp_path: Path, change: tuple[str, str], kind: str, told: str) -> None:
    examples, problems = read(tmp_path / "gap.tsv", HEADER + ROW.replace(*change, 1) + "\n" + ROW)
    assert [(problem.line, problem.kind, problem.skipped) for problem in problems] == [(2, kind, True)]
    assert told in problems[0].detail
    assert len(examples) == 1


def test_a_table_that_is_not_gap(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no column Pronoun-offset, A, A-offset"):
        read(tmp_path / "gap.tsv", "ID\tText\tPronoun\tB\tB-offset\n" + ROW)
    assert read(tmp_path / "gap.tsv", "") == ([], [])
    for missing, cell in (("A-coref", "TRUE"), ("B-coref", "FALSE")):
        with pytest.raises(InputError, match=f"no column {missing}:") as caught:
            read(tmp_path / "gap.tsv", HEADER.replace(f"{missing}\t", "") + ROW.replace(f"{cell}\t", ""))
        assert caught.value.line == 1
    unlabelled = (
        HEADER.replace("A-coref\t", "").replace("B-coref\t", ""),
        ROW.replace("TRUE\t", "").replace("FALSE\t", ""),
    )
    [example], problems = read(tmp_path / "gap.tsv", "".join(unlabelled))
    assert (example.clusters, problems) == (None, [])


# Predictions


def predictions(
    tmp_path: Path, content: str, gold: list[CoreferenceExample]
) -> tuple[list[CoreferencePrediction | None], list[Problem]]:
    (tmp_path / "predicted").write_text(content, encoding="utf-8")
    return read_predicted_clusters(tmp_path / "predicted", gold, OPTIONS)


def test_predictions_as_json(tmp_path: Path) -> None:
    gold = [CoreferenceExample("x", TEXT), CoreferenceExample("y", TEXT), CoreferenceExample("z", TEXT)]
    records = [
        {"id": "y", "clusters": [[{"start": 17, "end": 20, "antecedent": [0, 3], "probability": 0.5}, [0, 3]]]},
        {"id": "y", "clusters": []},
        {"id": "q", "clusters": []},
        {"clusters": []},
        {"id": "z", "error": "too long"},
        {"id": "x", "clusters": [[[0, 30]]]},
        {"id": "x", "clusters": [[[0, 3], [0, 3]]]},
    ]
    found_, problems = predictions(tmp_path, "".join(json.dumps(record) + "\n" for record in records), gold)
    assert [(problem.line, problem.kind) for problem in problems] == [
        (2, "duplicate id"),
        (3, "unknown id"),
        (4, "missing key"),
        (5, "error record"),
        (6, "span outside text"),
        (7, "duplicate mention"),
    ]
    mention = PredictedMention(17, 20, "she", Span(0, 3), 0.5)
    assert found_ == [
        CoreferencePrediction("x", ((PredictedMention(0, 3, "Ada"),),)),
        CoreferencePrediction("y", ((PredictedMention(0, 3, "Ada"), mention),)),
        None,
    ]
    _, problems = predictions(tmp_path, json.dumps({"id": "x", "clusters": [[[0, 3]], [], [[8, 11], [0, 3]]]}), gold)
    assert [(problem.line, problem.kind, problem.skipped) for problem in problems] == [
        (1, "mention in two clusters", False)
    ]
    assert "0..3 'Ada' is in clusters[0] and in clusters[2]" in problems[0].detail
    # Of two documents with one id, the first prediction is for the first: as `spanbert predict` writes them.
    twins = [CoreferenceExample("x", TEXT), CoreferenceExample("x", TEXT)]
    both = '{"id": "x", "clusters": []}\n{"id": "x", "clusters": [[[0, 3]]]}\n'
    [first, second], problems = predictions(tmp_path, both, twins)
    assert (len(first.clusters), len(second.clusters), problems) == (0, 1, [])
    with pytest.raises(BadRecordError, match="from 0 to 1"):
        prediction_from_json({"id": "x", "clusters": [[{"start": 0, "end": 3, "probability": 2}]]})


def test_predictions_as_columns(tmp_path: Path) -> None:
    gold = [
        CoreferenceExample("raw", "Ada's dog"),
        CoreferenceExample("a/b_0", "x y", (), (Span(0, 1), Span(2, 3)), document="a/b"),
    ]
    lines = [*conll_lines(gold[0], [[Span(0, 3), Span(0, 9)]]), *conll_lines(gold[1], [[Span(2, 3)]])]
    for content in (
        "\n".join(lines),
        "\n".join(lines).replace("(a/b); part 000", "a/b").replace(" raw", " (raw); part 0"),
    ):
        [raw, words], problems = predictions(tmp_path, content, gold)
        assert problems == []
        assert raw is not None
        assert found(raw, gold[0].text) == [["Ada's dog", "Ada"]]
        assert words == CoreferencePrediction("a/b_0", ((PredictedMention(2, 3, "y"),),))
    content = "#begin document raw\nAda -\n#end document\n#begin document (a/b); part 000\nx -\nz (1)\n#end document\n"
    [raw, words], problems = predictions(tmp_path, content + "#begin document q\nx -\n#end document", gold)
    assert raw is None
    assert words == CoreferencePrediction("a/b_0", ((PredictedMention(2, 3, "y"),),))
    assert [(problem.line, problem.kind, problem.skipped) for problem in problems] == [
        (1, "other words than gold", True),
        (4, "other words than gold", False),
        (8, "unknown id", True),
    ]


def test_predictions_for_gap(tmp_path: Path) -> None:
    gold = [*read(tmp_path / "gap.tsv", HEADER + ROW)[0], CoreferenceExample("raw", TEXT)]
    [answer, none], problems = predictions(tmp_path, "dev-1\tFalse\tTrue\ndev-2\tTrue\tTrue\nraw\tTrue\tTrue\n", gold)
    assert answer is not None
    assert found(answer) == [["Ada"], ["Eve", "she"]]
    assert none is None
    assert [(problem.line, problem.kind) for problem in problems] == [(2, "unknown id"), (3, "no question")]
    _, problems = predictions(tmp_path, "dev-1\tFalse\t\ndev-1\tFalse\tyes\ndev-1\tFalse\n", gold)
    kinds = ["half an answer", "unknown answer", "unknown line"]
    assert [(problem.line, problem.kind) for problem in problems] == list(enumerate(kinds, 1))


def test_predictions_in_no_known_form(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="predictions are JSON lines"):
        predictions(tmp_path, "Ada met Eve\n", [])
    assert predictions(tmp_path, "", [CoreferenceExample("x", TEXT)]) == ([None], [])


# The sample corpus, and counts


def test_the_sample_corpus_is_data(task_files: Callable[[str], Path]) -> None:
    located = []
    for name in ("train.jsonl", "dev.jsonl"):
        found_, problems = examples_of(read_coreference(task_files("coreference") / name, OPTIONS))
        assert problems == []
        assert list(check_coreference(found_, OPTIONS)) == []
        located += found_
    by_id = {item.example.id: item.example for item in located}
    for document in sample_documents():
        example = by_id.pop(document.name)
        assert example.clusters == sorted_clusters(list(document.clusters.values()))
        assert (example.text, example.genre) == (document.text, document.kind)
        lines = {example.text[start:end]: speaker for start, end, speaker in example.speakers}
        said = zip(document.text.split("\n"), document.speakers, strict=True)
        assert lines == {line: speaker for line, speaker in said if speaker is not None}
    assert not by_id


def test_counts() -> None:
    clusters = (tuple(Span(number, number + 1) for number in range(6)), (Span(0, 3),))
    examples = [CoreferenceExample("a", "a b c d", clusters, genre="news"), CoreferenceExample("b", "她说")]
    assert describe_coreference(examples) == {
        "mentions": {"with others in a cluster": 6, "alone in a cluster": 1},
        "clusters by number of mentions": {"1": 1, "5 to 9": 1},
        "mentions by width in words": {"0": 3, "1": 3, "2": 1},
        "documents by genre": {"news": 1, "(none)": 1},
        "documents": {"with speakers": 0, "without speakers": 2},
        "documents by their answer": {"clusters": 1, "what a pronoun means": 0, "not known": 1},
    }


def test_predict_takes_id_and_genre_from_the_documents_key(tmp_path: Path) -> None:
    record = {"doc_key": "bc/cctv/00/cctv_0000_0", "sentences": [["Ada", "ran", "."]]}
    path = tmp_path / "documents.jsonl"
    path.write_text(json.dumps(record) + "\n" + json.dumps({"text": "Ada ran."}) + "\n")
    task = CoreferenceResolution(CoreferenceSettings())
    items = read_records(task, str(path), InputForm(), FileSummary(source=str(path)))
    examples = [item.example for item in items if isinstance(item, Located)]
    assert [(example.id, example.genre) for example in examples] == [("bc/cctv/00/cctv_0000_0", "bc"), ("2", None)]


def test_predictions_that_count_words_are_those_of_the_documents_words(tmp_path: Path) -> None:
    record = {"doc_key": "x", "sentences": [["Ada", "saw", "herself"], ["She", "ran"]], "clusters": [[[0, 0], [2, 3]]]}
    gold = [example_from_json(record)]
    [prediction], problems = predictions(tmp_path, json.dumps(record) + "\n", gold)
    assert prediction is not None
    assert (prediction.spans, problems) == (gold[0].clusters, [])
    other = json.dumps({**record, "sentences": [["Ada", "saw", "himself"], ["She", "ran"]]})
    [prediction], problems = predictions(tmp_path, other + "\n", gold)
    assert prediction is None
    assert [(problem.line, problem.kind) for problem in problems] == [(1, "other words than gold")]
