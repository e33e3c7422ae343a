"""What a classifier learns from and what it says, and both as JSON."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from spanbert.errors import InputError

Answer = str | tuple[str, ...] | float
"""One label, the labels of a text that may have several, or a number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassificationExample:
    """A text, or a pair of texts, and what is right for it."""

    id: str
    text: str
    pair: str | None = None
    label: Answer | None = None
    """None where it is not known."""
    document: str | None = None
    """The document that the text comes from, where the file says so."""

    def to_json(self) -> dict[str, Any]:
        """The example as a JSON object; what is None is left out."""
        record: dict[str, Any] = {"id": self.id, "text": self.text}
        if self.pair is not None:
            record["pair"] = self.pair
        if self.label is not None:
            record["label"] = answer_to_json(self.label)
        if self.document is not None:
            record["document"] = self.document
        return record


class LabelProbability(NamedTuple):
    """A label and how probable it is, from 0 to 1."""

    label: str
    probability: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassificationPrediction:
    """What a classifier says of an example."""

    id: str
    label: Answer
    """The best label, the labels that the text has (the most probable first), or the number."""
    probabilities: tuple[LabelProbability, ...] = ()
    """Of every label, the most probable first; none for a number."""

    def to_json(self) -> dict[str, Any]:
        """The prediction as a JSON object."""
        record: dict[str, Any] = {"id": self.id, "label": answer_to_json(self.label)}
        if self.probabilities:
            record["probabilities"] = dict(self.probabilities)
        return record


def answer_to_json(answer: Answer) -> str | list[str] | float:
    """A string, a list of strings, or a number."""
    return list(answer) if isinstance(answer, tuple) else answer


def answer_from_json(value: object) -> Answer:
    """The inverse of `answer_to_json`.

    Raises:
        InputError: it is none of these, or not a finite number.
    """
    match value:
        case str():
            return value
        case bool():
            pass
        case int() | float() if abs(value) < 1e300:
            return float(value)
        case list() if all(isinstance(item, str) for item in value):
            return tuple(value)
    raise InputError(f'"label" must be a string, a list of strings or a finite number, not {value!r}')


def example_from_json(record: Mapping[str, Any]) -> ClassificationExample:
    """The inverse of `ClassificationExample.to_json`.

    Raises:
        InputError: a key is missing, a value has the wrong type, or there is nothing to read in a text.
    """
    if "text" not in record:
        raise InputError('the key "text" is missing')
    for key in ("text", "pair"):
        value = record.get(key)
        if key == "text" or value is not None:
            if not isinstance(value, str):
                raise InputError(f'"{key}" must be a string, not {type(value).__name__}')
            if (problem := unreadable(value)) is not None:
                raise InputError(f'"{key}" {problem}')
    label = record.get("label")
    return ClassificationExample(
        id=_id_of(record),
        text=record["text"],
        pair=record.get("pair"),
        label=None if label is None else answer_from_json(label),
        document=document_name(record.get("document")),
    )


def prediction_from_json(record: Mapping[str, Any]) -> ClassificationPrediction:
    """The inverse of `ClassificationPrediction.to_json`.

    Raises:
        InputError: a key is missing or a value is not what it should be.
    """
    if record.get("label") is None:
        raise InputError('the key "label" is missing')
    probabilities = record.get("probabilities", {})
    if not isinstance(probabilities, dict) or not all(_is_probability(value) for value in probabilities.values()):
        raise InputError('"probabilities" must be an object of labels and numbers from 0 to 1')
    pairs = (LabelProbability(label, float(value)) for label, value in probabilities.items())
    return ClassificationPrediction(
        id=_id_of(record), label=answer_from_json(record["label"]), probabilities=tuple(pairs)
    )


def unreadable(text: str) -> str | None:
    """What is wrong with a text that no answer could be about; None for nothing.

    A text needs a character that is neither white space nor one that tokenizers drop (control and format characters,
    unassigned code points): whatever were said of it otherwise would be about no text at all.
    """
    if not text:
        return "is empty"
    try:
        text.encode()
    except UnicodeEncodeError as error:
        escape = f"\\u{ord(text[error.start]):04x}"
        return f"has half a character, the lone surrogate {escape}, at {error.start}: remove it or replace it"
    if not any(_can_be_read(character) for character in text):
        return "has nothing but white space or control characters"
    return None


def _can_be_read(character: str) -> bool:
    return not character.isspace() and character != "\ufffd" and unicodedata.category(character)[0] != "C"


def document_name(value: object) -> str | None:
    """The name of a document, a string or a whole number; None for anything else."""
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) and str(value).strip() else None


def _id_of(record: Mapping[str, Any]) -> str:
    value = record.get("id", "")
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise InputError(f'"id" must be a string or a whole number, not {value!r}')
    return str(value)


def _is_probability(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and 0 <= value <= 1


def show_answer(answer: Answer) -> str:
    """The answer for people, on one line."""
    if isinstance(answer, float):
        return f"{answer:.4g}"
    return answer if isinstance(answer, str) else ", ".join(answer) or "(no label)"
