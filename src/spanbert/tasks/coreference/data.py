"""Files of coreference: reading and counting."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from spanbert.example_files import is_json, name_without_compression, read_json_lines
from spanbert.json_values import BadRecordError
from spanbert.task import Located, Problem
from spanbert.tasks.coreference.columns import read_columns
from spanbert.tasks.coreference.config import CoreferenceDataOptions
from spanbert.tasks.coreference.conll_writer import words_of
from spanbert.tasks.coreference.examples import CoreferenceExample
from spanbert.tasks.coreference.gap import read_gap
from spanbert.tasks.coreference.genres import find_genre
from spanbert.tasks.coreference.json_records import parse_example
from spanbert.tasks.coreference.layout import WordFinder

_SIZES = (1, 2, 3, 4, 5, 10, 20, 50)
"""Where the ranges of sizes and widths in a description begin."""


def read_coreference(
    path: str | Path, options: CoreferenceDataOptions
) -> Iterator[Located[CoreferenceExample] | Problem]:
    """The examples of a file and everything that is wrong with it; its name tells its format.

    A JSON record without an id has its line number.

    Raises:
        InputError: the file cannot be read, or is not of the format that its name tells.
    """
    items: Iterable[Located[CoreferenceExample] | Problem]
    if is_json(path):
        items = _from_json(path, options)
    elif name_without_compression(path).endswith(".tsv"):
        items = read_gap(path, options)
    else:
        items = read_columns(path, options)
    for item in items:
        if isinstance(item, Located) and options.mentions == "found" and item.example.mentions is not None:
            yield Located(replace(item.example, mentions=None), item.line)
        else:
            yield item


def _from_json(path: str | Path, options: CoreferenceDataOptions) -> Iterator[Located[CoreferenceExample] | Problem]:
    for record in read_json_lines(path):
        if isinstance(record, Problem):
            yield record
            continue
        try:
            example, notes = parse_example(record.value, default_id=str(record.line))
        except BadRecordError as error:
            id = record.value.get("id", record.value.get("doc_key"))
            detail = error.detail if id is None else f"{error.detail} (id {id!r:.80})"
            yield Problem(record.line, error.kind, detail)
            continue
        if options.genre != "auto":
            example = replace(example, genre=find_genre(example.document or example.id, options.genre))
        yield Located(example, record.line)
        for note in notes:
            yield Problem(record.line, note.kind, f"{note.detail} (id {example.id!r:.80})", skipped=False)


def describe_coreference(examples: Sequence[CoreferenceExample]) -> dict[str, Mapping[str, int]]:
    """Clusters by size, mentions by width in words, documents by genre, by what they say of speakers, and by answer."""
    sizes: Counter[int] = Counter()
    widths: Counter[int] = Counter()
    alone = {"with others in a cluster": 0, "alone in a cluster": 0}
    genres: Counter[str] = Counter()
    speakers = {"with speakers": 0, "without speakers": 0}
    answers = {"clusters": 0, "what a pronoun means": 0, "not known": 0}
    for example in examples:
        finder = WordFinder(words_of(example))
        for cluster in example.clusters or ():
            sizes[_range(len(cluster))] += 1
            alone["alone in a cluster" if len(cluster) == 1 else "with others in a cluster"] += len(cluster)
            for mention in cluster:
                first, end = finder.widen(mention)
                widths[_range(end - first)] += 1
        genres[example.genre or "(none)"] += 1
        speakers["with speakers" if example.speakers else "without speakers"] += 1
        kind = "clusters" if example.pronoun is None else "what a pronoun means"
        answers["not known" if example.clusters is None else kind] += 1
    return {
        "mentions": alone,
        "clusters by number of mentions": _by_range(sizes),
        "mentions by width in words": _by_range(widths),
        "documents by genre": dict(genres.most_common()),
        "documents": speakers,
        "documents by their answer": answers,
    }


def _range(number: int) -> int:
    """Where the range begins that a number is in; 0 for 0."""
    return max((start for start in _SIZES if start <= number), default=0)


def _by_range(counts: Counter[int]) -> dict[str, int]:
    shown = {}
    for start, end in zip((0, *_SIZES), (*_SIZES, None), strict=True):
        if counts[start]:
            name = f"{start} and more" if end is None else str(start) if end == start + 1 else f"{start} to {end - 1}"
            shown[name] = counts[start]
    return shown
