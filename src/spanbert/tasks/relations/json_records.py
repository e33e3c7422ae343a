"""JSON objects as examples and predictions: our own forms, and TACRED's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import accumulate
from typing import Any

from spanbert.json_values import BadRecordError, take, take_name, typed
from spanbert.read_summary import counted
from spanbert.tasks.relations.examples import (
    Argument,
    Entity,
    PredictedRelation,
    Relation,
    RelationExample,
    RelationPrediction,
)

_HALF_CHARACTER = re.compile("[\ud800-\udfff]")


def parse_example(record: Mapping[str, Any], default_id: str = "") -> RelationExample:
    """An example from a JSON object with `head` and `tail`, with `entities`, or with TACRED's `token`.

    Args:
        record: the object.
        default_id: for a record without `id`.

    Raises:
        BadRecordError: a key is missing or a value is not what it should be; names the key.
    """
    if "token" in record:
        return _from_tacred(record, default_id)
    text = take(record, "text", str)
    if match := _HALF_CHARACTER.search(text):
        raise BadRecordError(
            "half a character", f"character {match.start()} of the text is a lone surrogate: replace it, as with U+FFFD"
        )
    id = take_name(record, "id") or default_id
    document = take_name(record, "document")
    if "head" in record or "tail" in record:
        head, tail = (_entity(take(record, key, dict), text, key) for key in ("head", "tail"))
        if (head.start, head.end) == (tail.start, tail.end):
            raise BadRecordError("head is tail", f"both are {head.start}..{head.end}; a relation is between two spans")
        label = record.get("relation")
        relations = None if label is None else (Relation(0, 1, _label(label)),)
        return RelationExample(
            id=id, text=text, entities=(head, tail), asked=((0, 1),), relations=relations, document=document
        )
    if "entities" not in record:
        raise BadRecordError("no entities", "the record needs `head` and `tail`, or `entities`")
    return _from_document(record, id, text, document)


def _from_document(record: Mapping[str, Any], id: str, text: str, document: str | None) -> RelationExample:
    entities = tuple(
        _entity(typed(value, dict, f"entities[{number}]"), text, f"entities[{number}]")
        for number, value in enumerate(take(record, "entities", list))
    )
    asked = None
    if record.get("pairs") is not None:
        asked = tuple(_pair(value, entities, f"pairs[{n}]") for n, value in enumerate(take(record, "pairs", list)))
        if len(set(asked)) < len(asked):
            raise BadRecordError("pair twice", "`pairs` names a pair twice")
    relations = None
    if record.get("relations") is not None:
        found: dict[tuple[int, int], Relation] = {}
        for number, value in enumerate(take(record, "relations", list)):
            name = f"relations[{number}]"
            value = typed(value, dict, name)
            pair = _pair([value.get("head"), value.get("tail")], entities, name)
            relation = Relation(*pair, _label(value.get("relation"), name))
            if asked is not None and pair not in asked:
                raise BadRecordError("relation of no pair", f"{name}: {list(pair)} is not among `pairs`")
            if found.setdefault(pair, relation) != relation:
                raise BadRecordError(
                    "two relations of one pair",
                    f"{name}: {list(pair)} is {found[pair].label!r} already; a pair, in this order, has one relation",
                )
        relations = tuple(found.values())
    return RelationExample(id=id, text=text, entities=entities, asked=asked, relations=relations, document=document)


def _from_tacred(record: Mapping[str, Any], default_id: str) -> RelationExample:
    """A record of TACRED (Zhang et al. 2017): tokens, inclusive ends; the text is the tokens with spaces between."""
    tokens = [typed(token, str, f"token[{n}]") for n, token in enumerate(take(record, "token", list))]
    text = " ".join(tokens)
    if match := _HALF_CHARACTER.search(text):
        raise BadRecordError("half a character", f"character {match.start()} of the joined tokens is a lone surrogate")
    starts = [0, *accumulate(len(token) + 1 for token in tokens)]
    entities = []
    for name in ("subj", "obj"):
        first, last = take(record, f"{name}_start", int), take(record, f"{name}_end", int)
        if last < first:
            raise BadRecordError(
                "end before start", f"{name}_end {last} is before {name}_start {first}; ends are inclusive"
            )
        if not 0 <= first <= last < len(tokens):
            raise BadRecordError("span outside text", f"{name} {first}..{last}: there are {len(tokens)} tokens")
        span = {"start": starts[first], "end": starts[last + 1] - 1, "type": record.get(f"{name}_type")}
        entities.append(_entity(span, text, name))
    head, tail = entities
    if (head.start, head.end) == (tail.start, tail.end):
        raise BadRecordError("head is tail", "subj and obj are the same tokens; a relation is between two spans")
    label = record.get("relation")
    return RelationExample(
        id=take_name(record, "id") or default_id,
        text=text,
        entities=(head, tail),
        asked=((0, 1),),
        relations=None if label is None else (Relation(0, 1, _label(label)),),
        document=take_name(record, "docid"),
    )


def parse_prediction(record: Mapping[str, Any]) -> RelationPrediction:
    """A prediction from what its `to_json` gives.

    Raises:
        BadRecordError: a key is missing or a value is not what it should be; names the key.
    """
    relations = []
    for number, value in enumerate(take(record, "relations", list)):
        name = f"relations[{number}]"
        value = typed(value, dict, name)
        head, tail = (_argument(take(value, key, dict), f"{name}.{key}") for key in ("head", "tail"))
        probability = float(typed(value.get("probability", 1.0), float, f"{name}.probability"))
        label = _label(value.get("relation"), name)
        relations.append(PredictedRelation(head, tail, label, probability, bool(value.get("negative", False))))
    counts = typed(record.get("pairs", {}), dict, "pairs")
    judged, left_out, split = (
        typed(counts.get(key, 0), int, f"pairs.{key}") for key in ("judged", "left_out", "split")
    )
    return RelationPrediction(
        id=take_name(record, "id") or "",
        relations=tuple(relations),
        num_judged=judged or len(relations),
        num_left_out=left_out,
        num_split=split,
    )


def _argument(record: Mapping[str, Any], name: str) -> Argument:
    """Files of other programs may leave out the index: -1."""
    start, end = take(record, "start", int, name), take(record, "end", int, name)
    index = typed(record.get("index", -1), int, f"{name}.index")
    return Argument(index, start, end, _type(record, name), str(record.get("text", "")))


def _entity(record: Mapping[str, Any], text: str, name: str) -> Entity:
    start, end = take(record, "start", int, name), take(record, "end", int, name)
    if end <= start:
        raise BadRecordError("end before start", f"{name}: {start}..{end} is empty; ends are exclusive")
    if not 0 <= start < end <= len(text):
        raise BadRecordError(
            "span outside text", f"{name}: {start}..{end}: the text has {counted(len(text), 'character')}"
        )
    if text[start:end].isspace():
        raise BadRecordError("blank span", f"{name}: {start}..{end} holds only white space")
    return Entity(start, end, _type(record, name))


def _type(record: Mapping[str, Any], name: str) -> str | None:
    """The `type`, which files of entities call `label`.

    White space inside it is made one space: types become pieces of the vocabulary, one a line of its file.
    """
    found = {}
    for key in ("type", "label"):
        if record.get(key) is not None:
            found[key] = " ".join(typed(record[key], str, f"{name}.{key}").split()) or None
    if len(set(found.values())) > 1:
        raise BadRecordError(
            "two types", f"{name}: `type` is {found['type']!r} and `label` {found['label']!r}; they mean the same"
        )
    return next(iter(found.values()), None)


def _pair(value: Any, entities: tuple[Entity, ...], name: str) -> tuple[int, int]:
    value = typed(value, list, name)
    if len(value) != 2:
        raise BadRecordError("wrong value", f"{name} must be [head, tail], two indices of `entities`")
    head, tail = (typed(one, int, f"{name}.{key}") for one, key in zip(value, ("head", "tail"), strict=True))
    for number in (head, tail):
        if not 0 <= number < len(entities):
            raise BadRecordError("no such entity", f"{name}: there is no entity {number}, only 0..{len(entities) - 1}")
    if head == tail:
        raise BadRecordError("head is tail", f"{name}: entity {head} with itself; a relation is between two entities")
    return head, tail


def _label(value: Any, name: str = "") -> str:
    label = typed(value, str, f"{name}.relation".lstrip(".")).strip()
    if not label:
        raise BadRecordError("no relation", f"{name or 'the record'} has an empty relation")
    return label
