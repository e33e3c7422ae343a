"""The annotations of the sample corpus as data files of tasks: train.jsonl and dev.jsonl, as users would bring them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from spanbert.sample_corpus.reader import SampleDocument
from spanbert.spans import Span

Record = dict[str, Any]

_DEV_EVERY = 5
"""Every fifth document goes to dev.jsonl."""


def write_task_files(task: str, documents: Sequence[SampleDocument], folder: Path) -> dict[str, int]:
    """Write train.jsonl and dev.jsonl for a task.

    Args:
        task: a key of `TASK_RECORDS`.
        documents: those of one language or more.
        folder: where to; it has to be there.

    Returns:
        The number of records by file name.

    Raises:
        OSError: the files cannot be written.
    """
    counts = {}
    for name, is_dev in (("train.jsonl", False), ("dev.jsonl", True)):
        chosen = [document for number, document in enumerate(documents) if (number % _DEV_EVERY == 0) == is_dev]
        records = [record for document in chosen for record in TASK_RECORDS[task](document)]
        lines = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
        (folder / name).write_text(lines, encoding="utf-8", newline="\n")
        counts[name] = len(records)
    return counts


def _questions(document: SampleDocument) -> Iterator[Record]:
    """A record for each question; one that the text does not answer has an empty list of answers."""
    for number, question in enumerate(document.questions, 1):
        yield {
            "id": f"{document.name}-q{number}",
            "question": question.question,
            "context": document.text,
            "answers": [{"text": a.text, "start": a.start, "end": a.end} for a in question.answers],
            "title": document.name,
        }


def _entities(document: SampleDocument) -> Iterator[Record]:
    """A record for each paragraph with its entities."""
    for number, paragraph in enumerate(_paragraphs(document.text), 1):
        entities = [
            {"start": entity.start - paragraph.start, "end": entity.end - paragraph.start, "label": entity.type}
            for entity in document.entities
            if paragraph.start <= entity.start and entity.end <= paragraph.end
        ]
        yield {
            "id": f"{document.name}-{number}",
            "text": document.text[slice(*paragraph)],
            "entities": entities,
            "document": document.name,
        }


def _relations(document: SampleDocument) -> Iterator[Record]:
    """A record for each paragraph with two entities or more: the entities, and which are related."""
    for number, paragraph in enumerate(_paragraphs(document.text), 1):
        inside = [
            entity for entity in document.entities if paragraph.start <= entity.start and entity.end <= paragraph.end
        ]
        if len(inside) < 2:
            continue
        yield {
            "id": f"{document.name}-{number}",
            "text": document.text[slice(*paragraph)],
            "entities": [
                {"start": entity.start - paragraph.start, "end": entity.end - paragraph.start, "type": entity.type}
                for entity in inside
            ],
            "relations": [
                {"head": inside.index(relation.head), "tail": inside.index(relation.tail), "relation": relation.type}
                for relation in document.relations
                if relation.head in inside and relation.tail in inside
            ],
            "document": document.name,
        }


def _coreference(document: SampleDocument) -> Iterator[Record]:
    """A record for the document: its clusters, those of one mention too; who says each line; its kind as genre."""
    record: Record = {
        "id": document.name,
        "text": document.text,
        "clusters": [[list(mention) for mention in cluster] for cluster in document.clusters.values()],
        "genre": document.kind,
    }
    speakers = [
        {"start": line.start, "end": line.end, "speaker": speaker}
        for line, speaker in zip(_paragraphs(document.text), document.speakers, strict=True)
        if speaker is not None
    ]
    yield record | ({"speakers": speakers} if speakers else {})


def _topics(document: SampleDocument) -> Iterator[Record]:
    """A record for each paragraph, labelled with the topic of its document."""
    for number, paragraph in enumerate(_paragraphs(document.text), 1):
        yield {
            "id": f"{document.name}-{number}",
            "text": document.text[slice(*paragraph)],
            "label": document.topic,
            "document": document.name,
        }


def _paragraphs(text: str) -> Iterator[Span]:
    start = 0
    for line in text.split("\n"):
        yield Span(start, start + len(line))
        start += len(line) + 1


TASK_RECORDS: Mapping[str, Callable[[SampleDocument], Iterator[Record]]] = {
    "question-answering": _questions,
    "ner": _entities,
    "relations": _relations,
    "classification": _topics,
    "coreference": _coreference,
}
"""What a document gives for each task that the corpus is annotated for."""
