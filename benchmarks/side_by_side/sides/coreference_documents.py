"""The documents of the coreference rows, for both sides: words, and clusters of first and last words."""

from __future__ import annotations

import itertools
import json
import re
import sys
from pathlib import Path
from typing import Any

from side_by_side.sides.coreference_shared import Document
from spanbert.example_sets import load_examples
from spanbert.sample_corpus import sample_documents
from spanbert.spans import Span
from spanbert.tasks.coreference.config import CoreferenceDataOptions
from spanbert.tasks.coreference.examples import CoreferenceExample
from spanbert.tasks.coreference.layout import WordFinder
from spanbert.tasks.coreference.task import CoreferenceResolution

_WORD = re.compile(r"\w+|[^\w\s]")


def write_documents(settings: dict[str, Any]) -> None:
    """Write the file `documents` from the files `sources` (none: the sample corpus), if it is not there.

    With `joined`, all their words are one document of that many, from the start again where they are fewer.
    """
    path = Path(settings["documents"])
    if path.exists():
        return
    sources = [Path(file) for file in settings["sources"]]
    documents = [document for file in sources for document in _from_file(file)] if sources else _from_sample()
    joined = settings.get("joined")
    if joined is not None:
        words = itertools.cycle([word for document in documents for word in document["words"]])
        documents = [{"words": list(itertools.islice(words, joined)), "clusters": []}]
    path.write_text(json.dumps(documents), encoding="utf-8")


def _from_file(path: Path) -> list[Document]:
    def say(line: str) -> None:
        print(line, file=sys.stderr)

    located = load_examples(CoreferenceResolution, path, CoreferenceDataOptions(), strict=False, say=say)
    return [_as_words(one.example) for one in located]


def _as_words(example: CoreferenceExample) -> Document:
    if example.words is None:
        raise SystemExit(f"{example.id}: has no words; both sides need files of words")
    return _document(example.text, [Span(*word) for word in example.words], example.clusters or ())


def _from_sample() -> list[Document]:
    return [
        _document(
            document.text,
            [Span(*match.span()) for match in _WORD.finditer(document.text)],
            document.clusters.values(),
        )
        for document in sample_documents("en")
    ]


def _document(text: str, words: list[Span], clusters: Any) -> Document:
    finder = WordFinder(words)
    widened = [[finder.widen(mention) for mention in cluster] for cluster in clusters]
    return {
        "words": [text[start:end] for start, end in words],
        "clusters": [[[span.start, span.end - 1] for span in cluster] for cluster in widened],
    }
