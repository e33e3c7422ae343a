"""Files of predictions: our JSON lines, CoNLL columns, GAP's id, TRUE or FALSE for A, TRUE or FALSE for B."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from spanbert.errors import InputError
from spanbert.example_files import is_json, parse_json_lines, peek, read_lines, source_name
from spanbert.json_values import BadRecordError
from spanbert.prediction_places import PredictionPlaces, error_record
from spanbert.task import Problem
from spanbert.tasks.coreference.columns import DocumentName, read_documents
from spanbert.tasks.coreference.config import CoreferenceDataOptions
from spanbert.tasks.coreference.conll_writer import document_name, words_of, written_word
from spanbert.tasks.coreference.examples import CoreferenceExample, CoreferencePrediction
from spanbert.tasks.coreference.gap import answer_clusters, parse_answer
from spanbert.tasks.coreference.json_records import parse_prediction
from spanbert.tasks.coreference.layout import clusters_of_text

Lines = Iterable[tuple[int, str]]
Found = Iterator[tuple[int, CoreferencePrediction] | Problem]


class _Gold:
    """The gold examples, and which of them still wait for a prediction."""

    def __init__(self, examples: Sequence[CoreferenceExample]) -> None:
        self.examples = examples
        self.places = PredictionPlaces(example.id for example in examples)

    def find(self, id: str, line: int) -> CoreferenceExample | Problem:
        """The example that a prediction in `line` is for; or what is wrong with the line."""
        place = self.places.first(id)
        found = self.places.take(id, line) if place is None else place
        return found if isinstance(found, Problem) else self.examples[found]


def read_predicted_clusters(
    path: str | Path, gold: Sequence[CoreferenceExample], options: CoreferenceDataOptions
) -> tuple[list[CoreferencePrediction | None], list[Problem]]:
    """Predictions for `gold`; the first line of the file tells its format.

    Documents of columns belong to the gold document of their name, and so do words, in order.

    Returns:
        For each gold example its prediction, None where there is none; and what is wrong with the file.

    Raises:
        InputError: the file cannot be read, or is in none of the formats.
    """
    waiting = _Gold(gold)
    first, lines = peek(read_lines(path, encoding="utf-8" if is_json(path) else options.encoding))
    if first.startswith("{"):
        found = _from_json(lines, waiting, source_name(path))
    elif first.startswith("#"):
        found = _from_columns(lines, waiting, source_name(path))
    elif first.count("\t") == 2 or not first:
        found = _from_gap(lines, waiting)
    else:
        raise InputError(
            f"begins with {first[:40]!r}: predictions are JSON lines, CoNLL columns (the first line is '#begin "
            "document ...'), or GAP's lines of id, TRUE or FALSE, TRUE or FALSE with tabs between",
            source=source_name(path),
        )
    predictions: list[CoreferencePrediction | None] = [None] * len(gold)
    problems: list[Problem] = []
    for item in found:
        place = item if isinstance(item, Problem) else waiting.places.take(item[1].id, item[0])
        if isinstance(place, Problem):
            problems.append(place)
        elif not isinstance(item, Problem):
            predictions[place] = item[1]
    return predictions, problems


def _from_json(lines: Lines, gold: _Gold, source: str) -> Found:
    for record in parse_json_lines(lines, source=source):
        if isinstance(record, Problem):
            yield record
            continue
        line, value = record.line, record.value
        id = value.get("id", value.get("doc_key"))
        error = error_record(value, line)
        if error is not None:
            yield error
        elif id is None:
            yield Problem(line, "missing key", "the record has no `id`")
        elif isinstance(example := gold.find(str(id), line), Problem):
            yield example
        else:
            try:
                prediction, notes = parse_prediction(value, example.text)
            except BadRecordError as wrong:
                yield Problem(line, wrong.kind, f"{wrong.detail} (id {id!r:.80})")
                continue
            yield line, prediction
            for note in notes:
                yield Problem(line, note.kind, f"{note.detail} (id {id!r:.80})", skipped=False)


def _from_columns(lines: Lines, gold: _Gold, source: str) -> Found:
    id_of = {document_name(example).whole: example.id for example in reversed(gold.examples)}
    for item in read_documents(lines, source):
        if isinstance(item, Problem):
            yield item
            continue
        example = gold.find(_id_of(item.name, id_of), item.line)
        if isinstance(example, Problem):
            yield example
            continue
        words = words_of(example)
        gold_words = [written_word(example.text[start:end]) for start, end in words]
        found_words = [word for sentence in item.sentences for word in sentence]
        if len(found_words) != len(gold_words):
            detail = f"{example.id!r} has {len(gold_words):,} words, and here are {len(found_words):,}"
            yield Problem(item.line, "other words than gold", f"{detail}; it counts as not predicted")
            continue
        yield item.line, CoreferencePrediction.of_spans(example, clusters_of_text(item.clusters, words))
        different = [pair for pair in zip(gold_words, found_words, strict=True) if pair[0] != pair[1]]
        if different:
            wanted, got = different[0]
            detail = f"{len(different):,} words of {example.id!r} are others here, the first {got!r:.40} for"
            detail += f" {wanted!r:.40}; the n-th word is taken for the n-th all the same"
            yield Problem(item.line, "other words than gold", detail, skipped=False)


def _id_of(name: DocumentName, id_of: Mapping[str, str]) -> str:
    """The id of the gold document of a name. A document without parts is its own part 0."""
    without_part = name.of if name.of is not None and name.whole == f"{name.of}_0" else None
    names = (name.whole, without_part, f"{name.whole}_0")
    return next((id_of[one] for one in names if one is not None and one in id_of), name.whole)


def _from_gap(lines: Lines, gold: _Gold) -> Found:
    for line, content in lines:
        if not content or content.isspace():
            continue
        cells = [cell.strip() for cell in content.split("\t")]
        if len(cells) != 3:
            yield Problem(line, "unknown line", f"{content[:60]!r} is not id, tab, TRUE or FALSE, tab, TRUE or FALSE")
            continue
        example = gold.find(cells[0], line)
        if isinstance(example, Problem):
            yield example
        elif example.pronoun is None:
            yield Problem(line, "no question", f"the gold example {cells[0]!r:.80} asks about no pronoun")
        else:
            try:
                is_a, is_b = (parse_answer(cell, name) for cell, name in zip(cells[1:], "AB", strict=True))
            except BadRecordError as error:
                yield Problem(line, error.kind, f"{error.detail} (id {cells[0]!r:.80})")
                continue
            if is_a is None or is_b is None:
                yield Problem(line, "half an answer", f"{cells[0]!r:.80} needs TRUE or FALSE for both A and B")
            else:
                yield (
                    line,
                    CoreferencePrediction.of_spans(example, answer_clusters(example.pronoun, is_a=is_a, is_b=is_b)),
                )
