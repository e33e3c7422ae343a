"""From files to examples, and what is wrong with them."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from spanbert.errors import InputError
from spanbert.example_files import source_name
from spanbert.task import UNKNOWN_LABEL, Located, Problem, with_its_case
from spanbert.tasks.classification.config import DataOptions
from spanbert.tasks.classification.examples import ClassificationExample, document_name, unreadable
from spanbert.tasks.classification.labels import label_order, labels_of, parse_answer
from spanbert.tasks.classification.rows import Row, read_rows

_NUM_BINS = 8


def read_examples(path: str | Path, options: DataOptions) -> Iterator[Located[ClassificationExample] | Problem]:
    """The examples of a file with answers; a record without text or answer is a `Problem`.

    Texts are as they stand in the file; see `read_rows` for the formats.

    Raises:
        InputError: the file cannot be read or has nothing in it, or a column is not there (in JSON lines: in no
            record).
        ConfigurationError: the options contradict each other.
    """
    required = [options.text_column, options.label_column]
    further = (options.pair_column, options.id_column, options.document_column)
    required += [name for name in further if name is not None]
    seen: set[str] = set()
    keys: dict[str, None] = {}
    is_empty = True
    first: Located[ClassificationExample] | None = None
    for row in read_rows(path, options, required):
        is_empty = False
        if isinstance(row, Row):
            seen.update(name for name in required if name in row.values)
            if len(keys) < 20:
                keys.update(dict.fromkeys(row.values))
            item = _example(row, options)
            yield item
            if isinstance(item, Located):
                first = first or item
                if type(item.example.label) is not type(first.example.label):
                    yield _mixed(item, first)
        else:
            yield row
    if is_empty:
        raise InputError("there is nothing in the file", source=source_name(path))
    if keys and (missing := [name for name in required if name not in seen]):
        raise InputError(
            f"no record has the key {missing[0]!r}; the keys are {', '.join(map(repr, keys))}: choose with "
            "--text-column, --pair-column, --label-column, --id-column and --document-column",
            source=source_name(path),
        )


def _example(row: Row, options: DataOptions) -> Located[ClassificationExample] | Problem:
    example_id = _id_of(row, options)
    if example_id is None:
        return Problem(row.line, "no id", f"{options.id_column!r} must be a string or a whole number")
    texts: list[str] = []
    for column in (options.text_column, options.pair_column):
        if column is None:
            continue
        text = row.values.get(column)
        if not isinstance(text, str):
            found = "there is no" if text is None else f"{type(text).__name__}, not a string, in"
            return Problem(row.line, "no text", f"{found} {column!r} (example {example_id})")
        if (problem := unreadable(text)) is not None:
            return Problem(row.line, "empty text" if not text.strip() else "unreadable text", f"{column!r} {problem}")
        texts.append(text)
    value = row.values.get(options.label_column)
    if value is None or (isinstance(value, str) and not value.strip() and not _may_have_no_label(options)):
        found = f"there is no {options.label_column!r}" if value is None else f"{options.label_column!r} is empty"
        return Problem(row.line, "no label", f"{found} (example {example_id})")
    try:
        label = parse_answer(value, options)
    except ValueError as error:
        return Problem(row.line, "bad label", f"{error} (example {example_id})")
    pair = texts[1] if len(texts) > 1 else None
    document = document_name(row.values.get(options.document_column or "document"))
    example = ClassificationExample(id=example_id, text=texts[0], pair=pair, label=label, document=document)
    return Located(example, row.line)


def _mixed(here: Located[ClassificationExample], first: Located[ClassificationExample]) -> Problem:
    """One label among lists of labels, or the other way round: the whole file is then about several labels."""
    one, several = "one label", "a list of labels"
    found, before = (several, one) if isinstance(here.example.label, tuple) else (one, several)
    detail = (
        f"{found} here, {before} in line {first.line}: each text is taken to have any number of labels; write all in "
        f"one way, or say --kind single-label or multi-label (example {here.example.id})"
    )
    return Problem(here.line, "one label and lists of labels", detail, skipped=False)


def _id_of(row: Row, options: DataOptions) -> str | None:
    value = row.values.get(options.id_column or "id")
    if isinstance(value, str | int) and not isinstance(value, bool) and str(value).strip():
        return str(value)
    return str(row.line) if options.id_column is None else None


def _may_have_no_label(options: DataOptions) -> bool:
    return options.kind == "multi-label" or (options.kind == "auto" and options.label_separator is not None)


def check_examples(examples: Sequence[Located[ClassificationExample]], known: Sequence[str]) -> Iterator[Problem]:
    """Duplicate ids, one text with different answers, labels that are not among `known` (if any are).

    The examples are used all the same.
    """
    learned = frozenset(known)
    ids: dict[str, int] = {}
    answers: dict[tuple[str, str | None], Located[ClassificationExample]] = {}
    for located in examples:
        example, line = located.example, located.line
        if (before := ids.setdefault(example.id, line)) != line:
            detail = f"{example.id!r} is also the id of line {before}; both are used"
            yield Problem(line, "duplicate id", detail, skipped=False)
        first = answers.setdefault((example.text, example.pair), located)
        if _comparable(first.example) != _comparable(example):
            detail = (
                f"{_shown(example)} here, {_shown(first.example)} in line {first.line}, for the same text "
                f"(example {example.id}); both are used"
            )
            yield Problem(line, "same text, other label", detail, skipped=False)
        unknown = [label for label in labels_of(example.label) if learned and label not in learned]
        if unknown:
            shown = ", ".join(with_its_case(repr(label), map(repr, known)) for label in unknown)
            detail = f"{shown} (example {example.id}); {known_labels(known)}"
            yield Problem(line, UNKNOWN_LABEL, detail, skipped=False)


def known_labels(known: Sequence[str]) -> str:
    """A sentence that tells which labels there are."""
    shown = ", ".join(map(repr, known[:20]))
    return f"the labels that were learned are {shown}" + (f" and {len(known) - 20} more" if len(known) > 20 else "")


def _comparable(example: ClassificationExample) -> object:
    return frozenset(example.label) if isinstance(example.label, tuple) else example.label


def _shown(example: ClassificationExample) -> str:
    return " and ".join(map(repr, labels_of(example.label))) or repr(example.label)


def describe_examples(examples: Sequence[ClassificationExample]) -> dict[str, Mapping[str, int]]:
    """How often each label occurs, the most frequent first, and how many labels texts have; or ranges of numbers."""
    numbers = [example.label for example in examples if isinstance(example.label, float)]
    if numbers:
        counts, edges = np.histogram(numbers, bins=_NUM_BINS)
        ranges = (f"{low:.4g} to {high:.4g}" for low, high in itertools.pairwise(edges))
        values = dict(zip(ranges, map(int, counts), strict=True))
        return {"predicted": {"a number": len(numbers)}, "values": values}
    labels = Counter(label for example in examples for label in labels_of(example.label))
    ordered = sorted(label_order(labels), key=lambda label: -labels[label])
    described: dict[str, Mapping[str, int]] = {"labels": {label: labels[label] for label in ordered}}
    if any(isinstance(example.label, tuple) for example in examples):
        per_text = Counter(len(labels_of(example.label)) for example in examples)
        described["labels of a text"] = {str(number): per_text[number] for number in sorted(per_text)}
    return described
