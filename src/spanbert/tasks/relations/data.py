"""Files of relations, told apart by what they begin with: JSON lines, TACRED's JSON array, SemEval-2010 task 8."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from spanbert.errors import InputError
from spanbert.example_files import JsonRecord, json_fault, other_texts, parse_json_lines, peek, read_lines, source_name
from spanbert.json_values import BadRecordError
from spanbert.task import Located, Problem
from spanbert.tasks.relations.examples import RelationExample
from spanbert.tasks.relations.json_records import parse_example
from spanbert.tasks.relations.semeval import SENTENCE, read_semeval

_FORMATS = (
    "relations are read as JSON lines (text with head and tail, or with entities), as TACRED's JSON array, or as "
    'SemEval-2010 task 8: id, tab, "sentence with <e1> and <e2>", and the relation in the next line'
)

_ENTITY_KEYS = frozenset({"start", "end", "type", "label", "text", "id", "index", "probability"})


def read_relations(path: str | Path) -> Iterator[Located[RelationExample] | Problem]:
    """The examples of a file and what is wrong with it, in order of lines.

    Raises:
        InputError: the file cannot be read, or is in none of the formats.
    """
    first, lines = peek(read_lines(path))
    source = source_name(path)
    if first.startswith("{"):
        yield from _from_records(parse_json_lines(lines, source=source))
    elif first.startswith("["):
        yield from _from_records(_array_items(lines, source))
    elif SENTENCE.fullmatch(first):
        yield from read_semeval(lines)
    elif first:
        raise InputError(f"begins with {first[:40]!r}: {_FORMATS}", source=source)


def _from_records(records: Iterable[JsonRecord | Problem]) -> Iterator[Located[RelationExample] | Problem]:
    unknown: set[str] = set()
    for record in records:
        if isinstance(record, Problem):
            yield record
            continue
        try:
            example = parse_example(record.value, default_id=str(record.line))
        except BadRecordError as error:
            name = record.value.get("id")
            yield Problem(record.line, error.kind, error.detail if name is None else f"{name}: {error.detail}")
            continue
        yield Located(example, record.line)
        given = _entities_of(record.value)
        yield from other_texts(record.line, given, example.text, example.id)
        for key in dict.fromkeys(key for entity in given for key in _lost_keys(entity)):
            if key not in unknown:
                unknown.add(key)
                detail = f"entities have {key!r} and no type; their types are read from 'type' or 'label'"
                yield Problem(record.line, "unknown key", detail, skipped=False)


def _entities_of(record: Mapping[str, Any]) -> list[Any]:
    """The entities of a good record as it gives them; TACRED's are no objects."""
    if "token" in record:
        return []
    return [record["head"], record["tail"]] if "head" in record else list(record["entities"])


def _lost_keys(entity: object) -> list[str]:
    """The keys of an entity without a type that nobody reads: one of them may be meant as its type."""
    if not isinstance(entity, dict) or entity.get("type") is not None or entity.get("label") is not None:
        return []
    return [key for key in entity if key not in _ENTITY_KEYS]


def _array_items(lines: Iterable[tuple[int, str]], source: str) -> Iterator[JsonRecord | Problem]:
    """The objects of a JSON array, each with the line it begins in.

    Raises:
        InputError: it is not JSON from some line on; what comes after cannot be found.
    """
    text = "\n".join(content for _, content in lines)
    decoder = json.JSONDecoder()
    position, line, counted = text.index("[") + 1, 1, 0
    expect_comma = False
    while True:
        while position < len(text) and text[position] in " \t\n":
            position += 1
        line, counted = line + text.count("\n", counted, position), position
        if text[position : position + 1] == "]":
            break
        if expect_comma and text[position : position + 1] == ",":
            position, expect_comma = position + 1, False
            continue
        if expect_comma or position == len(text):
            raise InputError("not JSON: the array ends early, or a comma is missing", source=source, line=line)
        try:
            value, position = decoder.raw_decode(text, position)
        except json.JSONDecodeError as error:
            raise InputError(
                f"not JSON: {error.msg} (column {error.colno})", source=source, line=error.lineno
            ) from error
        except (ValueError, RecursionError) as error:
            raise InputError(f"not JSON: {json_fault(error)}", source=source, line=line) from error
        expect_comma = True
        if isinstance(value, dict):
            yield JsonRecord(line, value)
        else:
            yield Problem(line, "not an object", f"a JSON object is needed, not {type(value).__name__}")
    if text[position + 1 :].strip():
        raise InputError("not JSON: something stands behind the array", source=source, line=line)
