"""`python -m spanbert.sample_corpus [FILES...]`: check documents of the sample corpus and count what is in them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from spanbert.errors import InputError
from spanbert.sample_corpus.reader import KINDS, LANGUAGES, SampleDocument, read_sample_document

_COLUMNS = (
    "documents",
    "words",
    "characters",
    "entities",
    "clusters",
    "singletons",
    "relations",
    "questions",
    "unanswerable",
)


def main(arguments: Sequence[str]) -> int:
    """Check the files (default: all that ship); errors go to stderr, counts to stdout; 1 when a file is malformed."""
    documents: list[SampleDocument] = []
    num_errors = 0
    for path in [Path(argument) for argument in arguments] or _shipped_files():
        try:
            documents.append(read_sample_document(path))
        except InputError as error:
            print(error, file=sys.stderr)
            num_errors += 1
    print(_table(documents))
    if num_errors:
        print(f"{num_errors} malformed", file=sys.stderr)
    return 1 if num_errors else 0


def _shipped_files() -> list[Path]:
    with resources.as_file(resources.files("spanbert.sample_corpus")) as folder:
        return [path for language in LANGUAGES for path in sorted((folder / language).glob("*.txt"))]


def _table(documents: Sequence[SampleDocument]) -> str:
    """Counts for each language and kind, and for each language."""
    rows: list[tuple[str, ...]] = [("language", "kind", *_COLUMNS)]
    for language in LANGUAGES:
        of_language = [document for document in documents if document.language == language]
        for kind in (*KINDS, "all"):
            chosen = [document for document in of_language if kind in (document.kind, "all")]
            if chosen:
                rows.append((language, kind, *(f"{count:,}" for count in _counts(chosen))))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column < 2 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )


def _counts(documents: Sequence[SampleDocument]) -> tuple[int, ...]:
    """The figures of `_COLUMNS`. Words are what spaces separate, so Chinese is better told by its characters."""
    return (
        len(documents),
        sum(len(document.text.split()) for document in documents),
        sum(len(document.text) for document in documents),
        sum(len(document.entities) for document in documents),
        sum(len(document.clusters) for document in documents),
        sum(len(mentions) == 1 for document in documents for mentions in document.clusters.values()),
        sum(len(document.relations) for document in documents),
        sum(len(document.questions) for document in documents),
        sum(not question.answerable for document in documents for question in document.questions),
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
