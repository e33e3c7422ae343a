"""Reading files with questions: SQuAD 1.1 and 2.0 (also CMRC 2018 and DRCD), MRQA, CMRC's first format, JSON lines.

The format is found by looking at the file. Everything wrong is told with its line; in a file that is one JSON value,
with the line where the record's id stands, and the path to the record.
"""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from spanbert.errors import InputError
from spanbert.example_files import (
    JsonRecord,
    json_fault,
    name_without_compression,
    parse_json_lines,
    read_lines,
    refuse_one_value,
    source_name,
)
from spanbert.task import Located, Problem
from spanbert.tasks.question_answering.examples import QuestionExample, example_id
from spanbert.tasks.question_answering.matching import normalise
from spanbert.tasks.question_answering.records import (
    BadRecordError,
    GivenAnswer,
    GivenQuestion,
    answers_from_json,
    example_of,
    given_from_json,
)

Read = Iterator[Located[QuestionExample] | Problem]


def read_questions(path: str | Path) -> Read:
    """The questions of a file and what is wrong with it, in order of lines.

    Raises:
        InputError: the file cannot be read, or it is in no known format.
    """
    value, lines = open_json(path)
    if value is None:
        yield from _read_json_lines(lines, source_name(path))
    elif isinstance(value, dict) and isinstance(value.get("data"), list):
        yield from _Squad("\n".join(line for _, line in lines)).read(value["data"])
    elif isinstance(value, list):
        if value and isinstance(value[0], dict) and "question" in value[0]:
            refuse_one_value("[", source_name(path), 1)
        yield from _Squad("\n".join(line for _, line in lines)).read_cmrc(value)
    else:
        raise InputError(
            "is in no known format: SQuAD's (an object with 'data'), MRQA's, CMRC's (a list), or JSON lines with "
            "'question' and 'context'",
            source=source_name(path),
        )


def open_json(path: str | Path) -> tuple[Any, Iterable[tuple[int, str]]]:
    """Tell JSON lines from a file that is one JSON value.

    Returns:
        The value, or None for JSON lines; and the numbered lines, which for JSON lines are still to be read.

    Raises:
        InputError: the file cannot be read, is empty, or is neither.
    """
    lines = read_lines(path)
    first = next(((number, line) for number, line in lines if line.strip()), None)
    if first is None:
        raise InputError("is empty", source=source_name(path))
    try:
        value = json.loads(first[1])
    except (ValueError, RecursionError):
        value = None
    one_record = isinstance(value, dict) and not isinstance(value.get("data"), list)
    looks_like_record = value is None and first[1].strip().startswith("{") and first[1].strip().endswith("}")
    if one_record or looks_like_record or name_without_compression(path).endswith((".jsonl", ".ndjson")):
        return None, itertools.chain([first], lines)
    everything = [*((number, "") for number in range(1, first[0])), first, *lines]
    if value is None or any(line.strip() for _, line in everything[first[0] :]):
        text = "\n".join(line for _, line in everything)
        try:
            value = json.loads(text)
        except json.JSONDecodeError as error:
            raise InputError(
                f"not JSON: {error.msg} (column {error.colno})", source=source_name(path), line=error.lineno
            ) from error
        except (ValueError, RecursionError) as error:
            raise InputError(f"not JSON: {json_fault(error)}", source=source_name(path)) from error
    return value, everything


def check_questions(examples: Sequence[Located[QuestionExample]]) -> Iterator[Problem]:
    """What is wrong with examples that could be read one by one."""
    first_line: dict[str, int] = {}
    for located in examples:
        name = located.example.id
        if name in first_line:
            detail = f"{name!r} was already used in line {first_line[name]}; official scorers keep one of them only"
            yield Problem(located.line, "duplicate id", detail, skipped=False)
        first_line.setdefault(name, located.line)
    num_unknown = sum(located.example.answers is None for located in examples)
    if 0 < num_unknown < len(examples):
        for located in examples:
            if located.example.answers is None:
                detail = f"{located.example.id!r} has no 'answers', unlike others; a question without answer has []"
                yield Problem(located.line, "answers unknown", detail)


def describe_questions(examples: Sequence[QuestionExample]) -> dict[str, Mapping[str, int]]:
    """Counts for people: which questions have answers, and how many documents and right answers they have."""
    kinds = Counter(
        "answers unknown" if example.answers is None else "answerable" if example.answers else "unanswerable"
        for example in examples
    )
    counts: dict[str, Mapping[str, int]] = {"questions": dict(sorted(kinds.items()))}
    golds = Counter(len(example.answers) for example in examples if example.answers)
    counts["right answers of a question"] = {str(number): golds[number] for number in sorted(golds)}
    documents = Counter(len(example.contexts) for example in examples)
    if set(documents) != {1}:
        counts["documents of a question"] = {str(number): documents[number] for number in sorted(documents)}
    return counts


def _emit(given: GivenQuestion, line: int, where: str) -> Read:
    """The example, after what is wrong with it; or why there is none."""
    try:
        example, notes = example_of(given)
    except BadRecordError as error:
        yield Problem(line, error.kind, f"{where}: {error}")
        return
    for note in notes:
        yield Problem(line, note.kind, f"{where}: {note.detail}", skipped=False)
    yield Located(example, line)


# JSON lines, MRQA's among them


def _read_json_lines(lines: Iterable[tuple[int, str]], source: str) -> Read:
    for item in parse_json_lines(lines, source=source):
        if isinstance(item, Problem):
            yield item
        elif "qas" in item.value:
            yield from _read_mrqa(item)
        elif "header" not in item.value or "question" in item.value:
            try:
                given = given_from_json(item.value, default_id=str(item.line))
            except BadRecordError as error:
                yield Problem(item.line, error.kind, f"{_named(item.value, 'id')}: {error}")
            else:
                yield from _emit(given, item.line, repr(given.id))


def _read_mrqa(record: JsonRecord) -> Read:
    """The questions of one context; spans of MRQA have inclusive ends, in characters (Fisch et al. 2019)."""
    context, questions = record.value.get("context"), record.value["qas"]
    if not isinstance(questions, list):
        yield Problem(record.line, "wrong type", f"'qas' must be a list, not {type(questions).__name__}")
        return
    for number, item in enumerate(questions):
        where = f"qas[{number}]"
        if not isinstance(item, dict):
            yield Problem(record.line, "wrong type", f"{where} must be an object, not {type(item).__name__}")
            continue
        where = f"{_named(item, 'qid')} at {where}"
        try:
            given = GivenQuestion(
                id=_id(item, "qid"),
                question=item.get("question"),
                contexts=[context],
                answers=_mrqa_answers(item),
            )
        except BadRecordError as error:
            yield Problem(record.line, error.kind, f"{where}: {error}")
        else:
            yield from _emit(given, record.line, where)


def _mrqa_answers(item: Mapping[str, Any]) -> list[GivenAnswer] | None:
    """Answers with the first place of each that was detected, then those that were not; scoring sees all texts."""
    texts = item.get("answers")
    if texts is None:
        return None
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise BadRecordError("wrong type", f"'answers' must be a list of texts, not {texts!r}")
    answers: list[GivenAnswer] = []
    try:
        for detected in item.get("detected_answers") or []:
            start, last = detected["char_spans"][0]
            same = (text for text in texts if normalise(text) == normalise(detected["text"]))
            answers.append(GivenAnswer(next(same, detected["text"]), int(start), int(last) + 1))
    except (TypeError, KeyError, IndexError, ValueError, AttributeError) as error:
        raise BadRecordError(
            "wrong type", "'detected_answers' must be objects with 'text' and 'char_spans', pairs of numbers"
        ) from error
    found = {answer.text for answer in answers}
    return answers + [GivenAnswer(text) for text in texts if text not in found]


# Files that are one JSON value


class _Squad:
    """A reader of nested JSON that knows where in the text it is."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._position = 0
        self._line = 1

    def read(self, articles: Sequence[Any]) -> Read:
        """SQuAD's articles of paragraphs of questions."""
        for number, article in enumerate(articles):
            path = f"data[{number}]"
            paragraphs = article.get("paragraphs") if isinstance(article, dict) else None
            if not isinstance(paragraphs, list):
                yield Problem(self._line, "wrong type", f"{path} must be an object with the list 'paragraphs'")
                continue
            for index, paragraph in enumerate(paragraphs):
                yield from self._paragraph(paragraph, article.get("title"), f"{path}.paragraphs[{index}]")

    def _paragraph(self, paragraph: Any, title: Any, path: str) -> Read:
        questions = paragraph.get("qas") if isinstance(paragraph, dict) else None
        if not isinstance(questions, list) or not isinstance(paragraph.get("context"), str):
            yield Problem(
                self._line, "wrong type", f"{path} must be an object with the text 'context' and the list 'qas'"
            )
            return
        for number, item in enumerate(questions):
            yield from self._question(item, paragraph["context"], title, f"{path}.qas[{number}]", "id", "question")

    def read_cmrc(self, paragraphs: Sequence[Any]) -> Read:
        """CMRC 2018's first format: a list of contexts with answers that are only texts."""
        for number, paragraph in enumerate(paragraphs):
            path = f"[{number}]"
            questions = paragraph.get("qas") if isinstance(paragraph, dict) else None
            if not isinstance(questions, list) or not isinstance(paragraph.get("context_text"), str):
                detail = f"{path} must be an object with the text 'context_text' and the list 'qas'"
                yield Problem(self._line, "wrong type", detail)
                continue
            for index, item in enumerate(questions):
                place = f"{path}.qas[{index}]"
                context, title = paragraph["context_text"], paragraph.get("title")
                yield from self._question(item, context, title, place, "query_id", "query_text")

    def _question(self, item: Any, context: str, title: Any, path: str, id_key: str, question_key: str) -> Read:
        if not isinstance(item, dict):
            yield Problem(self._line, "wrong type", f"{path} must be an object, not {type(item).__name__}")
            return
        self._find(id_key, item.get(id_key))
        where = f"{_named(item, id_key)} at {path}"
        try:
            given = GivenQuestion(
                id=_id(item, id_key),
                question=item.get(question_key),
                contexts=[context],
                answers=answers_from_json(item.get("answers")),
                title=title,
                impossible=item.get("is_impossible"),
            )
        except BadRecordError as error:
            yield Problem(self._line, error.kind, f"{where}: {error}")
        else:
            yield from _emit(given, self._line, where)

    def _find(self, key: str, value: Any) -> None:
        """Go on to the line where the id stands; stay where it is written in a way that is not found."""
        places = [self._place(key, json.dumps(value, ensure_ascii=ascii_only)) for ascii_only in (True, False)]
        found = [place for place in places if place is not None]
        if found:
            self._line += self._text.count("\n", self._position, min(found))
            self._position = min(found)

    def _place(self, key: str, value: str) -> int | None:
        """The end of the next place that gives `key` this value."""
        place = self._text.find(value, self._position)
        while place >= 0:
            before = self._text[max(0, place - 100) : place].rstrip()
            if before.endswith(":") and before[:-1].rstrip().endswith(f'"{key}"'):
                return place + len(value)
            place = self._text.find(value, place + 1)
        return None


def _id(item: Mapping[str, Any], key: str) -> str:
    try:
        return example_id(item, key)
    except InputError as error:
        raise BadRecordError("no id", str(error)) from error


def _named(item: Mapping[str, Any], key: str) -> str:
    value = item.get(key)
    return repr(value) if isinstance(value, str | int) else f"a record without {key!r}"
