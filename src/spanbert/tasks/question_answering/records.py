"""From what stands in a record to an example: every value checked, every answer found in its document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from spanbert.errors import InputError
from spanbert.tasks.question_answering.examples import Answer, QuestionExample, example_id
from spanbert.tasks.question_answering.matching import normalise


class BadRecordError(InputError):
    """A record that cannot be used; `kind` is the same for all that fail for this reason."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind


class Note(NamedTuple):
    """Something wrong with a record that is used all the same."""

    kind: str
    detail: str


class GivenAnswer(NamedTuple):
    """An answer as a file has it; None for what is not said."""

    text: str
    start: int | None = None
    end: int | None = None
    document: int | None = None


@dataclass(slots=True, kw_only=True)
class GivenQuestion:
    """A question as a file has it."""

    id: str
    question: Any
    contexts: Sequence[Any]
    answers: list[GivenAnswer] | None = None
    title: Any = None
    impossible: Any = None
    """SQuAD 2.0's `is_impossible`."""
    notes: list[Note] = field(default_factory=list)


def example_of(given: GivenQuestion) -> tuple[QuestionExample, list[Note]]:
    """Check a question and find its answers in its documents.

    Returns:
        The example, and what had to be put right.

    Raises:
        BadRecordError: the question or its documents cannot be used.
    """
    contexts = tuple(given.contexts)
    for name, text in (("question", given.question), *(("context", context) for context in contexts)):
        if not isinstance(text, str):
            raise BadRecordError("wrong type", f"the {name} must be text, not {type(text).__name__}")
        check_text(name, text)
    if not given.question.strip():
        raise BadRecordError("empty question", "the question is empty or only white space")
    if not any(context.strip() for context in contexts):
        what = "the context is" if len(contexts) == 1 else "all contexts are"
        raise BadRecordError("empty context", f"{what} empty or only white space: there is nothing to answer from")
    notes = list(given.notes)
    answers = None if given.answers is None else _find_answers(given.answers, contexts, notes)
    if answers is None and given.impossible is True:
        answers = ()
    elif answers is not None and isinstance(given.impossible, bool) and given.impossible == bool(answers):
        what = "has answers: they are used" if answers else "has none: it counts as unanswerable"
        said = str(given.impossible).lower()
        notes.append(Note("contradiction", f"'is_impossible' is {said}, but the question {what}"))
    title = given.title if isinstance(given.title, str) else None
    example = QuestionExample(
        id=given.id, question=given.question, contexts=contexts, answers=answers, title=title or None
    )
    return example, notes


def check_text(name: str, text: str) -> None:
    """Raise `BadRecordError` for half characters, which nothing can be done with and which cannot be written out."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise BadRecordError(
            "half a character",
            f"character {error.start} of the {name} is a lone surrogate (half a character): replace it with U+FFFD",
        ) from error


def _find_answers(given: Sequence[GivenAnswer], contexts: Sequence[str], notes: list[Note]) -> tuple[Answer, ...]:
    answers: list[Answer] = []
    for answer in given:
        check_text("answer", answer.text)
        if not answer.text.strip():
            notes.append(Note("empty answer", "an answer is empty; it is left out (write no answer at all as [])"))
        else:
            answers.append(_find_answer(answer, contexts, notes))
    return tuple(answers)


def _find_answer(given: GivenAnswer, contexts: Sequence[str], notes: list[Note]) -> Answer:
    """The place of an answer: where the record says, or else the nearest place where the text stands."""
    text, start = given.text, given.start
    document = given.document or 0
    if document >= len(contexts) or document < 0:
        raise BadRecordError("no such document", f"an answer stands in document {document} of {len(contexts)}")
    if start is not None:
        end = given.end if given.end is not None else start + len(text)
        found = contexts[document][start:end] if 0 <= start < end else ""
        # Files with both ends may write the answer in a way of their own: MRQA's differ in case and spacing.
        if found == text or (given.end is not None and found.strip() and normalise(found) == normalise(text)):
            return Answer(text=text, start=start, end=end, document=document)
    for spelling in dict.fromkeys((text, text.strip())):
        for number in range(len(contexts)) if given.document is None and start is None else (document,):
            nearest = _nearest(contexts[number], spelling, start or 0)
            if nearest is None:
                continue
            if start is not None:
                notes.append(
                    Note(
                        "answer offset wrong",
                        f"{_short(text)} does not stand at {start}; the nearest place, {nearest}, is used",
                    )
                )
            return Answer(text=text, start=nearest, end=nearest + len(spelling), document=number)
    notes.append(
        Note(
            "answer not in context",
            f"{_short(text)} does not stand in the context; it counts in scoring, but nothing is learned from it",
        )
    )
    return Answer(text=text, document=document)


def _nearest(context: str, text: str, start: int) -> int | None:
    """Where `text` stands nearest to `start`, the earlier place in a tie; None where it does not."""
    before = context.rfind(text, 0, max(0, start) + len(text))
    after = context.find(text, max(0, start))
    places = [place for place in (before, after) if place >= 0]
    return min(places, key=lambda place: abs(place - start), default=None)


def _short(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:39] + "…")


def given_from_json(record: Mapping[str, Any], *, default_id: str | None = None) -> GivenQuestion:
    """A question from a JSON object with `id`, `question`, and `context` or `contexts`; `answers` may be missing.

    Answers are texts, or objects with `text` and, where they are known, `start` (also called `answer_start`), `end` and
    `document`; or one object of lists, `{"text": [...], "answer_start": [...]}`.

    Raises:
        InputError: a key is missing or a value is not what it should be; names the key.
    """
    if ("context" in record) == ("contexts" in record):
        raise BadRecordError("no context", "either 'context' (text) or 'contexts' (a list of texts) is needed")
    contexts = record.get("contexts", [record.get("context")])
    if not isinstance(contexts, list) or not contexts:
        raise BadRecordError("wrong type", f"'contexts' must be a list of texts, not {_short(str(contexts))}")
    if "question" not in record:
        raise BadRecordError("no question", "'question' is missing")
    if default_id is not None and record.get("id") is None:
        identity = default_id
    else:
        try:
            identity = example_id(record)
        except InputError as error:
            raise BadRecordError("no id", str(error)) from error
    return GivenQuestion(
        id=identity,
        question=record["question"],
        contexts=contexts,
        answers=answers_from_json(record.get("answers")),
        title=record.get("title"),
        impossible=record.get("is_impossible"),
    )


def answers_from_json(value: Any) -> list[GivenAnswer] | None:
    """The answers of a record in any of the forms that `given_from_json` tells; None where there is no such key.

    Raises:
        BadRecordError: they are something else.
    """
    if value is None:
        return None
    if isinstance(value, Mapping) and isinstance(value.get("text"), list):
        starts = value.get("answer_start") or [None] * len(value["text"])
        if not isinstance(starts, list) or len(starts) != len(value["text"]):
            raise BadRecordError("wrong type", "'answers' has not as many in 'answer_start' as in 'text'")
        value = [{"text": text, "start": start} for text, start in zip(value["text"], starts, strict=True)]
    if not isinstance(value, list):
        raise BadRecordError("wrong type", f"'answers' must be a list, not {_short(str(value))}")
    return [_answer_from_json(answer) for answer in value]


def _answer_from_json(value: Any) -> GivenAnswer:
    if isinstance(value, str):
        return GivenAnswer(value)
    if not isinstance(value, Mapping) or not isinstance(value.get("text"), str):
        raise BadRecordError("wrong type", f"an answer must be text or an object with 'text', not {_short(str(value))}")
    places: list[int | None] = []
    for place in (value.get("start", value.get("answer_start")), value.get("end"), value.get("document")):
        if place is not None and (isinstance(place, bool) or not isinstance(place, int)):
            raise BadRecordError("wrong type", f"'start', 'end' and 'document' are whole numbers, not {place!r}")
        places.append(place)
    return GivenAnswer(value["text"], *places)
