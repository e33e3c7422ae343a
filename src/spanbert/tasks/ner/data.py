"""Files of entities: reading, checking, counting."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from spanbert.example_files import (
    JsonRecord,
    begins_array,
    is_json,
    other_texts,
    parse_json_lines,
    peek,
    read_lines,
    source_name,
)
from spanbert.plain_words import plain_words, splits_word
from spanbert.prediction_places import PredictionPlaces, error_record
from spanbert.read_summary import counted
from spanbert.spans import LabelledSpan, Span, find_overlaps
from spanbert.task import UNKNOWN_LABEL, Located, Problem, with_its_case
from spanbert.tasks.ner.columns import read_columns
from spanbert.tasks.ner.config import EntityDataOptions, EntitySettings
from spanbert.tasks.ner.examples import (
    EntityExample,
    EntityPrediction,
    EntityRecordError,
    PredictedEntity,
    example_from_json,
    prediction_from_json,
)

# No word of a column file begins so.
_OBJECT = re.compile(r'\{\s*("[^"]*"\s*:|$)')


def open_lines(path: str | Path, options: EntityDataOptions) -> tuple[bool, Iterator[tuple[int, str]]]:
    """Whether a file holds JSON lines, by its name or how it begins; and its numbered lines.

    Raises:
        InputError: the file cannot be read.
    """
    first, lines = peek(read_lines(path, encoding=options.encoding))
    return is_json(path) or _OBJECT.match(first) is not None or begins_array(first), lines


def read_entities(path: str | Path, options: EntityDataOptions) -> Iterator[Located[EntityExample] | Problem]:
    """The examples of a file, columns or JSON lines; a JSON record without an id has its line number.

    Raises:
        InputError: the file cannot be read.
    """
    is_json, lines = open_lines(path, options)
    if not is_json:
        yield from read_columns(lines, options)
        return
    for record in parse_json_lines(lines, source=source_name(path)):
        if isinstance(record, Problem):
            yield record
            continue
        try:
            example = example_from_json(record.value)
        except EntityRecordError as error:
            name = record.value.get("id")
            detail = str(error) if name is None else f"{error} (id {name!r:.80})"
            yield Problem(record.line, error.kind, detail)
            continue
        example = example if example.id else replace(example, id=str(record.line))
        yield Located(example, record.line)
        yield from other_texts(record.line, record.value.get("entities") or (), example.text, example.id)


def check_entities(examples: Sequence[Located[EntityExample]], options: EntityDataOptions) -> Iterator[Problem]:
    """What is wrong with examples that could be read one by one, in their order."""
    first_lines: dict[str, int] = {}
    known = set(options.labels) if isinstance(options, EntitySettings) else set()
    for located in examples:
        example, line = located.example, located.line
        first = first_lines.setdefault(example.id, line)
        if first != line:
            yield Problem(line, "duplicate id", f"the id {example.id!r} is that of line {first} too", skipped=False)
        if not example.text or example.text.isspace():
            yield Problem(line, "empty text", f"{example.id!r} has no text; no entity is found there", skipped=False)
        if example.entities is None:
            yield Problem(line, "no entities given", f"{example.id!r} has no right answer; it teaches nothing")
            continue
        for kind, detail in _wrong_entities(example, example.entities, options, known):
            yield Problem(line, kind, f"{detail} (id {example.id!r})", skipped=False)


def _wrong_entities(
    example: EntityExample, entities: Sequence[LabelledSpan], options: EntityDataOptions, known: set[str]
) -> Iterator[tuple[str, str]]:
    """(kind, detail) of everything wrong with the entities of an example."""
    word_starts = None if example.words is None else {word.start for word in example.words}
    word_ends = None if example.words is None else {word.end for word in example.words}
    for number, entity in enumerate(entities):
        shown = f"{entity.label} {entity.start}..{entity.end} {_shorten(example.text[entity.start : entity.end])}"
        if entity in entities[:number]:
            yield "duplicate entity", f"{shown} comes twice; it counts once"
        if known and entity.label not in known:
            label = with_its_case(entity.label, known)
            yield UNKNOWN_LABEL, f"{shown}: the model knows no {label}, only {', '.join(sorted(known))}"
        if example.text[entity.start].isspace() or example.text[entity.end - 1].isspace():
            yield "white space at an entity's edge", f"{shown}: no prediction will have exactly these edges"
        elif word_starts is not None and word_ends is not None:
            if entity.start not in word_starts or entity.end not in word_ends:
                yield "entity cuts a word", f"{shown} is widened to whole words in training"
        elif splits_word(example.text, entity.start) or splits_word(example.text, entity.end):
            yield "entity cuts a word", f"{shown} is widened to whole words in training"
        if options.head == "span" and (width := count_words(example, entity)) > options.max_entity_width:
            yield (
                "entity too wide",
                f"{shown} has about {width} words: the span head cannot find it, see --max-entity-width",
            )
    if options.head != "span":
        distinct = sorted(set(entities))
        for one, other in find_overlaps([(entity.start, entity.end) for entity in distinct]):
            outer, inner = distinct[one], distinct[other]
            detail = (
                f"{inner.label} {inner.start}..{inner.end} overlaps {outer.label} {outer.start}..{outer.end}: the head "
                f"{options.head} learns only the latter; use --head span"
            )
            yield "overlapping entities", detail


def _shorten(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:39] + "…")


def count_words(example: EntityExample, span: Span | LabelledSpan) -> int:
    """The words of a span of an example: the file's own, or about those of a BERT tokenizer."""
    if example.words is not None:
        return sum(word.start < span.end and word.end > span.start for word in example.words)
    return len(plain_words(example.text[span.start : span.end]))


def describe_entities(examples: Sequence[EntityExample]) -> dict[str, Mapping[str, int]]:
    """Entities by label, and what kind of sentences and entities there are."""
    labels: Counter[str] = Counter()
    shapes = {"without any": 0, "with separate ones": 0, "with overlapping ones": 0}
    for example in examples:
        entities = sorted(set(example.entities or ()))
        labels.update(entity.label for entity in entities)
        overlap = find_overlaps([(entity.start, entity.end) for entity in entities])
        shapes["without any" if not entities else "with overlapping ones" if overlap else "with separate ones"] += 1
    return {"entities": dict(labels.most_common()), "texts by their entities": shapes}


def read_predicted_entities(
    path: str | Path, gold: Sequence[EntityExample], options: EntityDataOptions
) -> tuple[list[EntityPrediction | None], list[Problem]]:
    """Predictions for `gold`: JSON lines by id, or columns as conlleval reads them, whose last column is predicted.

    Sentences of columns belong to the gold example with their number as id; where gold has other ids, the n-th
    sentence to the n-th example.

    Returns:
        For each gold example its prediction, None where there is none; and what is wrong with the file.

    Raises:
        InputError: the file cannot be read.
    """
    places = PredictionPlaces(example.id for example in gold)
    found: list[EntityPrediction | None] = [None] * len(gold)
    problems: list[Problem] = []
    is_json, lines = open_lines(path, options)
    records = parse_json_lines(lines, source=source_name(path))
    items = _json_predictions(records, gold, places) if is_json else _column_predictions(lines, gold, options)
    for line, item in items:
        if isinstance(item, Problem):
            problems.append(item)
        elif isinstance(place := places.take(item.id, line), Problem):
            problems.append(place)
        else:
            found[place] = item
    return found, problems


def _json_predictions(
    records: Iterable[JsonRecord | Problem], gold: Sequence[EntityExample], places: PredictionPlaces
) -> Iterator[tuple[int, EntityPrediction | Problem]]:
    for record in records:
        if isinstance(record, Problem):
            yield record.line, record
            continue
        if (problem := error_record(record.value, record.line)) is not None:
            yield record.line, problem
            continue
        place = places.first(str(record.value.get("id", "")))
        try:
            yield record.line, prediction_from_json(record.value, None if place is None else gold[place].text)
        except EntityRecordError as error:
            yield record.line, Problem(record.line, error.kind, f"{error} (id {record.value.get('id')!r:.80})")


def _column_predictions(
    lines: Iterable[tuple[int, str]], gold: Sequence[EntityExample], options: EntityDataOptions
) -> Iterator[tuple[int, EntityPrediction | Problem]]:
    items = list(read_columns(lines, replace(options, tag_column=-1, context_sentences=0)))
    ids = {example.id: example for example in gold}
    in_order = any(isinstance(item, Located) and item.example.id not in ids for item in items)
    for item in items:
        if isinstance(item, Problem):
            if item.skipped:  # misplaced tags of a prediction are nothing wrong with the file
                yield item.line, item
            continue
        number = int(item.example.id)  # of the sentence; those that cannot be read are counted too
        if in_order and number > len(gold):
            yield item.line, Problem(item.line, "unknown sentence", f"gold has only {counted(len(gold), 'sentence')}")
            return
        example = gold[number - 1] if in_order else ids[item.example.id]
        yield item.line, _on_gold(item, example)


def _on_gold(located: Located[EntityExample], gold: EntityExample) -> EntityPrediction | Problem:
    """The entities of a sentence of predictions as entities of the gold text."""
    sentence = located.example
    words = sentence.words or ()
    if sentence.entities is None:
        return Problem(located.line, "no predicted tags", f"the sentence for {gold.id!r} has only one column")
    if gold.words is None and sentence.text == gold.text:
        entities = sentence.entities
    elif _strings(sentence) != _strings(gold):
        detail = f"the words are not those of the gold example {gold.id!r}; the sentence counts as not predicted"
        return Problem(located.line, "other words than gold", detail)
    else:
        starts = {word.start: right.start for word, right in zip(words, gold.words or (), strict=True)}
        ends = {word.end: right.end for word, right in zip(words, gold.words or (), strict=True)}
        entities = tuple(LabelledSpan(starts[start], ends[end], label) for start, end, label in sentence.entities)
    return EntityPrediction(
        gold.id, tuple(PredictedEntity(*span, gold.text[span.start : span.end]) for span in entities)
    )


def _strings(example: EntityExample) -> list[str]:
    return [example.text[start:end] for start, end in example.words or ()]
