"""What entity recognition reads and predicts: texts with labelled spans of characters."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from spanbert.errors import InputError
from spanbert.read_summary import counted
from spanbert.spans import LabelledSpan, Span


class EntityRecordError(InputError):
    """A record that is no example or prediction of entities; `kind` is the same for all that are wrong in this way."""

    def __init__(self, kind: str, message: str) -> None:
        self.kind = kind
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class EntityExample:
    """A text whose entities are to be found: a sentence of a column file, or any text at all.

    Attributes:
        id: names it within its file.
        text: the text; of a sentence in columns, its words joined (`text_columns.join_words`).
        entities: the right ones in code points of `text`; None where they are not known.
        words: the words of a column file in code points of `text`; None for raw text, whose words the tokenizer finds.
        before, after: texts of neighbouring sentences in their order, shown to the encoder as context.
        document: the document it belongs to, where the file says so.
    """

    id: str
    text: str
    entities: tuple[LabelledSpan, ...] | None = None
    words: tuple[Span, ...] | None = None
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    document: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The example as a JSON object, with the keys that say something."""
        record: dict[str, Any] = {"id": self.id, "text": self.text}
        if self.entities is not None:
            record["entities"] = [entity._asdict() for entity in self.entities]
        if self.words is not None:
            record["words"] = [list(word) for word in self.words]
        for name in ("before", "after"):
            if texts := getattr(self, name):
                record[name] = list(texts)
        if self.document is not None:
            record["document"] = self.document
        return record


@dataclass(frozen=True, slots=True)
class PredictedEntity:
    """An entity that was found: `text == example.text[start:end]`.

    `probability`, from 0 to 1, is None where whoever predicted it gave none.
    """

    start: int
    end: int
    label: str
    text: str
    probability: float | None = None

    @property
    def span(self) -> LabelledSpan:
        """Where it is and what."""
        return LabelledSpan(self.start, self.end, self.label)


@dataclass(frozen=True, slots=True)
class EntityPrediction:
    """The entities of a text by their starts, the wider first."""

    id: str
    entities: tuple[PredictedEntity, ...]

    def to_json(self) -> dict[str, Any]:
        """The prediction as a JSON object."""
        entities = []
        for entity in self.entities:
            record: dict[str, Any] = {**entity.span._asdict(), "text": entity.text}
            if entity.probability is not None:
                record["probability"] = entity.probability
            entities.append(record)
        return {"id": self.id, "entities": entities}


def example_from_json(record: Mapping[str, Any]) -> EntityExample:
    """Read an example: `{"id", "text", "entities": [{"start", "end", "label"}]}`, or "spans": [[start, end, label]].

    Raises:
        EntityRecordError: a key is missing or a value is not what it should be.
    """
    text = _string(record, "text", _MISSING)
    return EntityExample(
        id=_name(record, "id"),
        text=text,
        entities=_entities(record, text),
        words=_words(record, text),
        before=_strings(record, "before"),
        after=_strings(record, "after"),
        document=None if record.get("document") is None else _name(record, "document"),
    )


def prediction_from_json(record: Mapping[str, Any], text: str | None = None) -> EntityPrediction:
    """Read a prediction; with `text`, its offsets are checked against it and its texts are taken from it.

    Raises:
        EntityRecordError: a key is missing or a value is not what it should be.
    """
    items = record.get("entities")
    if not isinstance(items, list):
        raise EntityRecordError("no entities", "the key 'entities' is missing or no list")
    entities = []
    for item in items:
        span = _entity(item, None if text is None else len(text))
        given = item.get("text", "") if isinstance(item, dict) else ""
        probability = item.get("probability") if isinstance(item, dict) else None
        if probability is not None and not (_is_number(probability) and 0 <= probability <= 1):
            raise EntityRecordError("not a probability", f"'probability' is a number from 0 to 1, not {probability!r}")
        found = text[span.start : span.end] if text is not None else str(given)
        entities.append(PredictedEntity(*span, found, None if probability is None else float(probability)))
    return EntityPrediction(_name(record, "id"), sorted_entities(entities))


def sorted_entities(entities: Sequence[PredictedEntity]) -> tuple[PredictedEntity, ...]:
    """By starts, the wider first."""
    return tuple(sorted(entities, key=lambda entity: (entity.start, -entity.end, entity.label)))


_MISSING = object()


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _name(record: Mapping[str, Any], key: str) -> str:
    value = "" if record.get(key) is None else record[key]
    if not isinstance(value, str | int) or isinstance(value, bool):
        raise EntityRecordError(f"wrong {key}", f"{key!r} is a string or a whole number, not {value!r:.80}")
    return str(value)


def _string(record: Mapping[str, Any], name: str, default: Any) -> str:
    value = record.get(name, default)
    if value is _MISSING:
        raise EntityRecordError(f"no {name}", f"the key {name!r} is missing")
    if not isinstance(value, str):
        raise EntityRecordError(f"{name} is no string", f"{name!r} is a string, not {type(value).__name__}")
    return _whole(value, name)


def _whole(text: str, name: str) -> str:
    """The text, which has no half characters: nothing can be done with them, and they cannot be written out."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        detail = f"character {error.start} of {name!r} is a lone surrogate (half a character): replace it with U+FFFD"
        raise EntityRecordError("half a character", detail) from error
    return text


def _strings(record: Mapping[str, Any], name: str) -> tuple[str, ...]:
    value = record.get(name, ())
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
        raise EntityRecordError(f"{name} is no list of strings", f"{name!r} is a list of strings")
    return tuple(_whole(item, name) for item in value)


def _entities(record: Mapping[str, Any], text: str) -> tuple[LabelledSpan, ...] | None:
    items = record.get("entities", record.get("spans"))
    if items is None:
        return None
    if not isinstance(items, list | tuple):
        raise EntityRecordError("entities is no list", "'entities' is a list of objects with start, end and label")
    return tuple(_entity(item, len(text)) for item in items)


def _entity(item: Any, length: int | None) -> LabelledSpan:
    if isinstance(item, list | tuple) and len(item) == 3:
        start, end, label = item
    elif isinstance(item, dict) and item.keys() >= {"start", "end", "label"}:
        start, end, label = item["start"], item["end"], item["label"]
    else:
        raise EntityRecordError("not an entity", f"an entity is an object with start, end and label, not {item!r:.80}")
    if not isinstance(label, str) or not label:
        raise EntityRecordError("not a label", f"a label is a string that is not empty, not {label!r:.80}")
    return LabelledSpan(*_span(start, end, length), label)


def _span(start: Any, end: Any, length: int | None) -> Span:
    if not all(isinstance(value, int) and not isinstance(value, bool) for value in (start, end)):
        raise EntityRecordError("not a span", f"start and end are whole numbers, not {start!r:.40} and {end!r:.40}")
    if not 0 <= start < end:
        raise EntityRecordError("not a span", f"{start}..{end} is no span: its end must come after its start")
    if length is not None and end > length:
        raise EntityRecordError(
            "span outside the text", f"{start}..{end} ends behind the text's {counted(length, 'character')}"
        )
    return Span(start, end)


def _words(record: Mapping[str, Any], text: str) -> tuple[Span, ...] | None:
    items = record.get("words")
    if items is None:
        return None
    if not isinstance(items, list | tuple) or not all(isinstance(i, list | tuple) and len(i) == 2 for i in items):
        raise EntityRecordError("not words", "'words' is a list of [start, end]")
    words = tuple(_span(start, end, len(text)) for start, end in items)
    if any(after.start < before.end for before, after in pairwise(words)):
        raise EntityRecordError("not words", "the words overlap or are not in order")
    return words
