"""Questions with their contexts and answers, and predictions, as dataclasses and as JSON objects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from spanbert.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A right answer."""

    text: str
    """What a predicted answer is compared with."""
    start: int | None = None
    """Where it stands in its document, in code points; None where it does not stand there: it then counts in scoring,
    but nothing can be learned from it."""
    end: int | None = None
    """First code point behind it; None together with `start`."""
    document: int = 0
    """Which of the contexts it stands in, from 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionExample:
    """A question about one or more documents."""

    id: str
    question: str
    contexts: tuple[str, ...]
    """The documents, at least one."""
    answers: tuple[Answer, ...] | None = None
    """The right answers; () says that the documents do not answer the question, None that nobody knows."""
    title: str | None = None
    """Of the article that the contexts come from; questions of one article stay together in a train/dev split."""

    def to_json(self) -> dict[str, Any]:
        """The example as JSON lines have it: `context` for one document, `contexts` for more."""
        record: dict[str, Any] = {"id": self.id, "question": self.question}
        if len(self.contexts) == 1:
            record["context"] = self.contexts[0]
        else:
            record["contexts"] = list(self.contexts)
        if self.answers is not None:
            record["answers"] = [self._answer_to_json(answer) for answer in self.answers]
        if self.title is not None:
            record["title"] = self.title
        return record

    def _answer_to_json(self, answer: Answer) -> dict[str, Any]:
        record: dict[str, Any] = {"text": answer.text, "start": answer.start, "end": answer.end}
        if len(self.contexts) > 1:
            record["document"] = answer.document
        return record


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictedAnswer:
    """One answer of several: `contexts[document][start:end] == text`."""

    text: str
    start: int
    end: int
    document: int
    score: float
    """Start score + end score of the model, as it was trained."""
    probability: float
    """That this is the answer; with the probability of "no answer", all of a question's make up 1 or less."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionPrediction:
    """What a model answers to a question."""

    id: str
    text: str
    """The answer that counts: the best one, or "" where the question is left without an answer."""
    answers: tuple[PredictedAnswer, ...] = ()
    """The best answers, best first, also where the question is left without one."""
    no_answer_probability: float | None = None
    """That the documents do not answer the question; None for a model that never saw such questions: it always
    answers, even where there is no answer."""
    null_score: float | None = None
    """The score of "no answer": the lowest over the windows of the [CLS] start score + end score."""
    question_pieces_cut: int = 0
    """Word pieces at the end of the question that the model did not see, because it fills more than half a window."""

    @property
    def best_text(self) -> str:
        """The best answer that is not empty, whatever was decided; "" where there is none."""
        return self.answers[0].text if self.answers else self.text

    @property
    def confidence(self) -> float | None:
        """Probability of what was decided; None where it is not known."""
        if not self.text:
            return self.no_answer_probability
        return self.answers[0].probability if self.answers else None

    def to_json(self) -> dict[str, Any]:
        """The prediction as a JSON object."""
        record: dict[str, Any] = {"id": self.id, "text": self.text}
        record["answers"] = [
            {name: getattr(answer, name) for name in PredictedAnswer.__dataclass_fields__} for answer in self.answers
        ]
        record["no_answer_probability"] = self.no_answer_probability
        record["null_score"] = self.null_score
        if self.question_pieces_cut:
            record["question_pieces_cut"] = self.question_pieces_cut
        return record


def prediction_from_json(record: Mapping[str, Any]) -> QuestionPrediction:
    """A prediction from its JSON object; only `id` and `text` are needed.

    Raises:
        InputError: a key is missing or a value is not what it should be; names the key.
    """
    text = record.get("text")
    if not isinstance(text, str):
        raise InputError(f"'text' must be the answer, \"\" for none, not {text!r}")
    answers = record.get("answers") or []
    if not isinstance(answers, list):
        raise InputError(f"'answers' must be a list of objects, not {type(answers).__name__}")
    prediction = QuestionPrediction(id=example_id(record), text=text, answers=tuple(map(_predicted_answer, answers)))
    for name in ("no_answer_probability", "null_score"):
        value = record.get(name)
        if value is not None and (not isinstance(value, int | float) or isinstance(value, bool)):
            raise InputError(f"{name!r} must be a number or null, not {value!r}")
    num_cut = record.get("question_pieces_cut", 0)
    if not isinstance(num_cut, int):
        raise InputError(f"'question_pieces_cut' must be a whole number, not {num_cut!r}")
    probability, null_score = record.get("no_answer_probability"), record.get("null_score")
    return replace(
        prediction,
        no_answer_probability=None if probability is None else float(probability),
        null_score=None if null_score is None else float(null_score),
        question_pieces_cut=num_cut,
    )


def _predicted_answer(record: object) -> PredictedAnswer:
    try:
        answer = PredictedAnswer(**record)  # type: ignore[arg-type]
    except TypeError as error:
        raise InputError(
            f"'answers' must be a list of objects with {', '.join(PredictedAnswer.__dataclass_fields__)}: {error}"
        ) from error
    for names, kind, said in _ANSWER_VALUES:
        for name in names:
            value = getattr(answer, name)
            if isinstance(value, bool) or not isinstance(value, kind):
                raise InputError(f"{name!r} of an answer must be {said}, not {value!r:.80}")
    return answer


_ANSWER_VALUES = (
    (("text",), str, "text"),
    (("start", "end", "document"), int, "a whole number"),
    (("score", "probability"), int | float, "a number"),
)


def example_id(record: Mapping[str, Any], key: str = "id") -> str:
    """The id of a record, a string or a whole number.

    Raises:
        InputError: there is none.
    """
    value = record.get(key)
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise InputError(f"{key!r} must be a string that names the record, not {value!r}")
    return str(value)
