"""The sample corpus: what ships is whole and well-formed, and what is malformed is told with its line."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spanbert.errors import ConfigurationError, InputError
from spanbert.finetuning.splits import split
from spanbert.sample_corpus import (
    ENTITY_TYPES,
    LANGUAGES,
    SENTIMENTS,
    TOPICS,
    Entity,
    SampleDocument,
    parse_sample_document,
    read_sample_document,
    sample_documents,
)
from spanbert.sample_corpus.__main__ import main
from spanbert.sample_corpus.export import SampleConfig, run
from spanbert.spans import Span
from spanbert.task import examples_of
from spanbert.tasks import find_task

HEADERS = "title: The Ferry\ntopic: places\nkind: article\n---\n"
FERRY = (
    HEADERS
    + r"""[Marta Oyelaran|PERSON #marta @1] ran [[Skerry Ferries|ORGANIZATION #firm @2]' boat|#boat] till [1987|DATE].

In 1987 [she|#marta] wrote \[sic\] "a \| b \\ c" on [it|#boat].
--- relations
@1 works_for @2
--- questions
? Who runs the boat?
= Marta Oyelaran
= Marta
? When did she write on it?
= 1987 ~2
? How much does a ticket cost?
= (no answer)
"""
)


def parse(content: str) -> SampleDocument:
    return parse_sample_document(content, name="ferry", language="en", source="en/ferry.txt")


@pytest.fixture(scope="module")
def shipped() -> tuple[SampleDocument, ...]:
    return sample_documents()


# What the reader makes of a document


def test_every_annotation_points_at_its_text() -> None:
    document = parse(FERRY)
    text = document.text
    assert text == (
        "Marta Oyelaran ran Skerry Ferries' boat till 1987.\n" r'In 1987 she wrote [sic] "a | b \ c" on it.'
    )
    assert [(text[entity.start : entity.end], entity.type) for entity in document.entities] == [
        ("Marta Oyelaran", "PERSON"),
        ("Skerry Ferries", "ORGANIZATION"),
        ("1987", "DATE"),
    ]
    assert {name: [text[start:end] for start, end in spans] for name, spans in document.clusters.items()} == {
        "marta": ["Marta Oyelaran", "she"],
        "firm": ["Skerry Ferries"],
        "boat": ["Skerry Ferries' boat", "it"],
    }
    [relation] = document.relations
    assert (relation.head, relation.type, relation.tail) == (document.entities[0], "works_for", document.entities[1])
    who, when, how_much = document.questions
    assert [answer.text for answer in who.answers] == ["Marta Oyelaran", "Marta"]
    assert when.answers[0].start == text.index("1987", text.index("\n"))
    assert (who.answerable, how_much.answerable) == (True, False)
    assert (document.title, document.topic, document.kind, document.sentiment) == (
        "The Ferry",
        "places",
        "article",
        None,
    )


def test_speakers_are_those_of_their_lines() -> None:
    document = parse(
        HEADERS.replace("article", "conversation")
        + "The shop was closed: nobody came.\n[Ann|PERSON #ann]: Is it open?\nMr. Bo Li: No.\nwe said: go\n李明: 好"
    )
    assert document.speakers == (None, "Ann", "Mr. Bo Li", None, "李明")
    assert document.text.startswith("Ann: Is it open?", document.clusters["ann"][0].start)
    assert parse(HEADERS + "Ann: hello.").speakers == (None,)


def test_a_file_takes_its_language_from_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "zh"
    folder.mkdir()
    path = folder / "ferry.txt"
    path.write_text(FERRY, encoding="utf-8", newline="\r\n")
    document = read_sample_document(path)
    assert (document.name, document.language) == ("ferry", "zh")
    assert document.text == parse(FERRY).text
    other = path.rename(tmp_path / "ferry.txt")
    with pytest.raises(InputError, match="named after its language"):
        read_sample_document(other)
    with pytest.raises(InputError, match="cannot be read"):
        read_sample_document(path)


# What it refuses

QUESTIONS = HEADERS + "Ann sings. She sang in Annan.\n--- questions\n"
RELATIONS = HEADERS + "[Ann|PERSON @1] met [Bo|PERSON @2].\n--- relations\n"


@pytest.mark.parametrize(
    ("content", "line", "message"),
    [
        ("titel: x\n" + FERRY, 1, "unknown header 'titel: x'"),
        (HEADERS.replace("topic: places", "no colon") + "x", 2, "unknown header"),
        (HEADERS.replace("topic: places", "title: again") + "x", 2, "'title' comes twice"),
        (HEADERS.replace("places", "sports") + "x", 2, "'topic' cannot be 'sports': one of people, places"),
        (HEADERS.replace("The Ferry", "").replace(": \n", ":\n") + "x", 1, "'title' cannot be ''"),
        (HEADERS.replace("topic: places\n", "") + "x", 3, "'topic' is missing"),
        (HEADERS.replace("article", "review") + "x", 4, "a review, and nothing else"),
        (HEADERS.replace("---", "sentiment: mixed\n---") + "x", 5, "a review, and nothing else"),
        (HEADERS.replace("---\n", ""), 1, "no line '---'"),
        (HEADERS, 4, "no text"),
        (HEADERS + "x \n", 5, "begins or ends with a space"),
        (HEADERS + "x\ty", 5, "control character"),
        (HEADERS + "x\n--- answers", 6, "unknown section"),
        (HEADERS + "x\n--- questions\n--- relations", 7, "wrong order"),
        (HEADERS + "x\n--- questions\n--- questions", 7, "comes twice"),
        (HEADERS.replace("article", "conversation") + "Ann: x\nAnn: y", 6, "two speakers"),
        (HEADERS + "x\n\n[Ann|ROBOT] sings.", 7, "unknown entity type 'ROBOT'"),
        (HEADERS + "[Ann|PERSON DATE] sings.", 5, "not both PERSON and DATE"),
        (HEADERS + "[Ann|#a #b] sings.", 5, "not in both #a and #b"),
        (HEADERS + "[Ann|PERSON @1 @2] sings.", 5, "not both @1 and @2"),
        (HEADERS + "[Ann|#a.b] sings.", 5, "cluster name '#a.b'"),
        (HEADERS + "[Ann|#] sings.", 5, "cluster name '#'"),
        (HEADERS + "[Ann|PERSON @0] sings.", 5, "mention number '@0'"),
        (HEADERS + "[Ann|#a @1] sings.", 5, "@1 takes part in relations, so it needs an entity type"),
        (HEADERS + "[Ann|] sings.", 5, "no attributes"),
        (HEADERS + "[Ann] sings.", 5, r"the bracket '\[Ann\]' has no attributes"),
        (HEADERS + "The [Ann|PERSON sings.", 5, "column 5: the bracket is never closed"),
        (HEADERS + "The [Ann sings.", 5, "column 5: the bracket is never closed"),
        (HEADERS + "Ann] sings.", 5, "column 4: ']' outside of brackets"),
        (HEADERS + "Ann|PERSON", 5, r"column 4: '\|' outside of brackets"),
        (HEADERS + "[Ann [Lee|#a]|#b sings|#c].", 5, r"attributes '#b sings\|#c' hold"),
        (HEADERS + "[Ann [Lee|#a [b|#b]].", 5, "never cross"),
        (HEADERS + "A \\n sings.", 5, "column 3: a backslash"),
        (HEADERS + "A \\", 5, "column 3: a backslash"),
        (HEADERS + "[|PERSON] sings.", 5, "no text"),
        (HEADERS + "[Ann |PERSON]sings.", 5, "begins or ends with a space"),
        (HEADERS + "[Ann|PERSON]a sings.", 5, "inside a word"),
        (HEADERS + "[[Ann|PERSON]|#ann] sings.", 5, "marked twice"),
        (HEADERS + "[Ann|PERSON @1] met [Bo|PERSON @1].", 5, "@1 comes twice"),
        (RELATIONS + "@1 family_of @2\n@1 likes @2", 8, "unknown relation type 'likes'"),
        (RELATIONS + "@1 family_of", 7, "is not a relation"),
        (RELATIONS + "@1 family_of @3", 7, "no mention in the text has the number @3"),
        (RELATIONS + "@1 family_of @1", 7, "with itself"),
        (RELATIONS + "@1 family_of @2\n@1 family_of @2", 8, "comes twice"),
        (RELATIONS, 5, "@1 takes part in no relation"),
        (
            HEADERS + "[Ann|PERSON @1].\n[Bo|PERSON @2].\n--- relations\n@1 family_of @2",
            8,
            r"@1 \(line 5\) and @2 \(line 6\) are in different paragraphs",
        ),
        (QUESTIONS + "= Ann", 7, "before any question"),
        (QUESTIONS + "?\n= Ann", 7, "the question is empty"),
        (QUESTIONS + "Who?", 7, "neither"),
        (QUESTIONS + "? Who?\n=", 8, "neither"),
        (QUESTIONS + "? Who?", 7, "has no answer"),
        (QUESTIONS + "? Who?\n? Where?\n= Annan", 7, "has no answer"),
        (QUESTIONS + "? Who?\n= Bo", 8, "'Bo' does not stand in the text"),
        (QUESTIONS + "? Who?\n= Ann ~3", 8, "stands 2 times in the text, so there is no ~3"),
        (QUESTIONS + "? Who?\n= Ann ~0", 8, "no ~0"),
        (QUESTIONS + "? Who?\n= Ann ~2", 8, "inside a word"),
        (QUESTIONS + "? Who?\n= Ann\n= Ann", 9, "comes twice"),
        (QUESTIONS + "? Who?\n= Ann\n= (no answer)", 9, "not both"),
        (QUESTIONS + "? Who?\n= (no answer)\n= Ann", 9, "not both"),
        (QUESTIONS + "? Who?\n= Ann\n? Who?\n= (no answer)", 9, "the question comes twice"),
    ],
)
def test_a_malformed_document_is_refused_with_its_line(content: str, line: int, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        parse(content)
    assert (caught.value.source, caught.value.line) == ("en/ferry.txt", line)


def test_bytes_that_are_not_utf8_are_told_with_line_and_offset(tmp_path: Path) -> None:
    (tmp_path / "en").mkdir()
    path = tmp_path / "en" / "ferry.txt"
    path.write_bytes(b"title: x\ntopic: \xff")
    with pytest.raises(InputError, match="not UTF-8") as caught:
        read_sample_document(path)
    assert (caught.value.line, caught.value.offset) == (2, 16)


def test_a_bad_file_name_or_language_is_refused() -> None:
    with pytest.raises(InputError, match="file name 'The Ferry'"):
        parse_sample_document(FERRY, name="The Ferry", language="en")
    with pytest.raises(ConfigurationError, match="no language 'fr'"):
        sample_documents("fr")


# Rendering annotated text and reading it again

_WORDS = st.text(st.sampled_from("ab1é渡船[]|\\#@'.:~=?-"), min_size=1, max_size=4)
_ATTRIBUTES = st.tuples(
    st.none() | st.sampled_from(ENTITY_TYPES), st.none() | st.sampled_from(["marta", "the-boat", "a_1", "船"])
).filter(any)


def _tree(depth: int) -> st.SearchStrategy[list[object]]:
    """Words, and mentions of words and of mentions: (attributes, [word or mention, ...])."""
    if depth == 0:
        return st.lists(_WORDS, min_size=1, max_size=3)
    mention = st.tuples(_ATTRIBUTES, _tree(depth - 1).filter(lambda parts: len(parts) > 1 or isinstance(parts[0], str)))
    return st.lists(_WORDS | mention, min_size=1, max_size=3)


def _render(parts: list[object], offset: int, found: list[tuple[int, int, str | None, str | None]]) -> tuple[str, str]:
    """The plain text and the marked text of the parts; mentions are added to `found`, the outer before the inner."""
    plain: list[str] = []
    marked: list[str] = []
    for part in parts:
        start = offset + sum(len(word) + 1 for word in plain)
        if isinstance(part, str):
            plain.append(part)
            marked.append(re.sub(r"([\[\]|\\])", r"\\\1", part))
        else:
            assert isinstance(part, tuple)
            (kind, cluster), inner = part
            place = len(found)
            inner_plain, inner_marked = _render(inner, start, found)
            found.insert(place, (start, start + len(inner_plain), kind, cluster))
            attributes = ([kind] if kind else []) + ([f"#{cluster}"] if cluster else [])
            plain.append(inner_plain)
            marked.append(f"[{inner_marked}|{' '.join(attributes)}]")
    return " ".join(plain), " ".join(marked)


@settings(max_examples=150, deadline=None)
@given(st.lists(_tree(3), min_size=1, max_size=4))
def test_rendered_annotations_are_read_back(paragraphs: list[list[object]]) -> None:
    found: list[tuple[int, int, str | None, str | None]] = []
    plain: list[str] = []
    marked: list[str] = []
    for parts in paragraphs:
        line, marked_line = _render(["-", *parts], sum(len(text) + 1 for text in plain), found)
        plain.append(line)
        marked.append(marked_line)
    # "- " in front keeps a line that looks like the start of a section ("---") out of the text.
    document = parse(HEADERS + "\n\n".join(marked) + "\n")
    assert document.text == "\n".join(plain)
    assert list(document.entities) == [
        Entity(start=start, end=end, type=kind) for start, end, kind, _ in found if kind is not None
    ]
    clusters: dict[str, list[Span]] = {}
    for start, end, _, cluster in found:
        if cluster is not None:
            clusters.setdefault(cluster, []).append(Span(start, end))
    assert document.clusters == {name: tuple(spans) for name, spans in clusters.items()}


# What ships


def test_every_shipped_document_is_well_formed_and_has_its_own_name_and_text(
    shipped: tuple[SampleDocument, ...],
) -> None:
    assert len({document.name for document in shipped}) == len(shipped)
    assert len({document.title for document in shipped}) == len(shipped)
    paragraphs = Counter(line for document in shipped for line in document.text.split("\n"))
    assert max(paragraphs.values()) == 1


def test_there_is_as_much_as_promised(shipped: tuple[SampleDocument, ...]) -> None:
    english = [document for document in shipped if document.language == "en"]
    chinese = [document for document in shipped if document.language == "zh"]
    assert len(english) >= 75
    assert sum(len(document.text.split()) for document in english) >= 15_000
    assert len(chinese) >= 20
    assert sum(len(document.text) for document in chinese) >= 5_000


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_label_occurs_in_both_languages(language: str, shipped: tuple[SampleDocument, ...]) -> None:
    documents = [document for document in shipped if document.language == language]
    assert {document.topic for document in documents} == set(TOPICS)
    assert {document.sentiment for document in documents} == {None, *SENTIMENTS}
    assert {document.kind for document in documents} == {"article", "review", "conversation"}
    assert {entity.type for document in documents for entity in document.entities} == set(ENTITY_TYPES)


def test_every_shipped_document_serves_every_task(shipped: tuple[SampleDocument, ...]) -> None:
    for document in shipped:
        assert document.entities, document.name
        assert any(len(mentions) > 1 for mentions in document.clusters.values()), document.name
        assert 3 <= len(document.questions) <= 5, document.name
        assert any(question.answerable for question in document.questions), document.name
        assert len(document.relations) <= 4, document.name


def test_the_corpus_is_balanced_enough_to_learn_from(shipped: tuple[SampleDocument, ...]) -> None:
    questions = [question for document in shipped for question in document.questions]
    unanswerable = sum(not question.answerable for question in questions) / len(questions)
    assert 0.15 < unanswerable < 0.4
    assert any(len(mentions) == 1 for document in shipped for mentions in document.clusters.values())
    assert sum(len(document.relations) for document in shipped) >= len(shipped)


def test_the_checker_counts_good_files_and_fails_on_bad_ones(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "en"
    folder.mkdir()
    (folder / "ferry.txt").write_text(FERRY, encoding="utf-8")
    assert main([str(folder / "ferry.txt")]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[1].split() == ["en", "article", "1", "20", "93", "3", "3", "1", "1", "3", "1"]
    assert not err
    (folder / "bad.txt").write_text(HEADERS + "[x", encoding="utf-8")
    assert main([str(folder / "bad.txt"), str(folder / "ferry.txt")]) == 1
    out, err = capsys.readouterr()
    assert "bad.txt, line 5: column 1" in err
    assert "article" in out


def test_the_checker_runs_on_what_ships_without_torch(shipped: tuple[SampleDocument, ...]) -> None:
    code = (
        "import sys; from spanbert.sample_corpus.__main__ import main; status = main([]);"
        "print(sorted({'torch', 'transformers'} & set(sys.modules))); sys.exit(status)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    *rows, loaded = done.stdout.splitlines()
    assert loaded == "[]"
    totals = [row.split() for row in rows if row.split()[1] == "all"]
    assert sum(int(row[2]) for row in totals) == len(shipped)


# Writing it as a user would bring it


def test_text_files_hold_a_title_and_a_paragraph_a_line(
    tmp_path: Path, shipped: tuple[SampleDocument, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):  # a second run replaces the files
        assert run(SampleConfig(output=tmp_path / "made" / "text", language="all")) == 0
    out, err = capsys.readouterr()
    assert not out
    assert f"wrote {len(shipped)} documents" in err
    written = {path.stem: path.read_text(encoding="utf-8") for path in (tmp_path / "made" / "text").iterdir()}
    assert written == {document.name: f"{document.title}\n{document.text}\n" for document in shipped}


@pytest.mark.parametrize("language", LANGUAGES)
def test_json_lines_carry_the_entities_as_spans(language: str, tmp_path: Path) -> None:
    assert run(SampleConfig(output=tmp_path, format="jsonl", language=language)) == 0
    records = [json.loads(line) for line in (tmp_path / "sample.jsonl").read_text(encoding="utf-8").split("\n")[:-1]]
    documents = sample_documents(language)
    assert [record["id"] for record in records] == [document.name for document in documents]
    for record, document in zip(records, documents, strict=True):
        assert set(record) == {"id", "text", "spans", "title", "topic", "language"}
        assert (record["text"], record["language"]) == (document.text, language)
        assert record["spans"] == [[entity.start, entity.end, "entity"] for entity in document.entities]


def test_an_output_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigurationError, match="cannot write to"):
        run(SampleConfig(output=tmp_path / "file"))


TASKS = ["question-answering", "ner", "relations", "classification", "coreference"]


@pytest.mark.parametrize("task", TASKS)
def test_the_annotations_are_data_files_of_tasks(task: str, task_files: Callable[[str], Path]) -> None:
    folder = task_files(task)
    task_class = find_task(task)
    options = task_class.data_options()
    ids: list[str] = []
    for name in ("train.jsonl", "dev.jsonl"):
        examples, problems = examples_of(task_class.read(folder / name, options))
        assert not problems
        # One substance lies inside a disease: the flat heads, of which one is the default, learn only the latter.
        assert {problem.kind for problem in task_class.check(examples, options)} <= {"overlapping entities"}
        ids += [located.example.id for located in examples]
    assert len(ids) == len(set(ids)) > (70 if task == "coreference" else 300)  # its examples are whole documents


@pytest.mark.parametrize("task", TASKS)
def test_a_split_of_a_data_file_keeps_documents_together(task: str, task_files: Callable[[str], Path]) -> None:
    task_class = find_task(task)
    settings = task_class.settings_class()
    located, _ = examples_of(task_class.read(task_files(task) / "train.jsonl", settings))
    training, dev = split(task_class(settings), [item.example for item in located], 0.3, seed=0)
    # The ids are the document's name and the number of the paragraph or question.
    sides = [{example.id.rpartition("-")[0] for example in side} for side in (training, dev)]
    assert all(sides)
    assert not sides[0] & sides[1]
