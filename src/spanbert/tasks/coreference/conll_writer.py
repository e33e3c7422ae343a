"""Clusters as CoNLL columns, which the official scorer reads too."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from spanbert.plain_words import plain_words
from spanbert.prediction_input import ErrorRecord
from spanbert.prediction_stream import Answer
from spanbert.spans import Span
from spanbert.tasks.coreference.columns import DocumentName, parse_name
from spanbert.tasks.coreference.examples import CoreferenceExample, CoreferencePrediction
from spanbert.tasks.coreference.layout import WordFinder

_WHITE_SPACE = re.compile(r"\s+")
_PART = re.compile("[0-9]{1,9}")


def conll_lines(example: CoreferenceExample, clusters: Sequence[Sequence[Span]]) -> Iterator[str]:
    """A document as lines without line ends: document, part, index, word and brackets, with tabs between.

    A blank line stands where the text has a line break between words. A mention that cuts a word is widened to it; one
    that shares no character with a word is left out. The form cannot tell of two mentions of one cluster that cross:
    they are read as one inside the other.

    Args:
        example: the document; where it has no words, `plain_words` finds them.
        clusters: spans of its text, in any order.
    """
    name = document_name(example)
    words = words_of(example)
    cells = _cells(clusters, words)
    yield _begin(name)
    document, part = (name.of, name.whole[len(name.of) + 1 :]) if name.of is not None else (name.whole, "0")
    before, index = 0, 0
    for (start, end), cell in zip(words, cells, strict=True):
        if index and "\n" in example.text[before:start]:
            yield ""
            index = 0
        yield "\t".join((document, part, str(index), written_word(example.text[start:end]), cell))
        before, index = end, index + 1
    yield ""
    yield "#end document"


def document_name(example: CoreferenceExample) -> DocumentName:
    """The name of a document as its lines will be read again: its id, but for white space and rare odd names."""
    id = _written(example.id)
    if example.document is not None:
        of = _written(example.document)
        part = id[len(of) + 1 :]
        if _PART.fullmatch(part) and id == f"{of}_{part}":
            read = parse_name(_begin(DocumentName(id, of)))
            if read == DocumentName(id, of):
                return read
    return parse_name(_begin(DocumentName(id))) or DocumentName(id)


def words_of(example: CoreferenceExample) -> tuple[Span, ...]:
    """The words of the file, or those of raw text."""
    return plain_words(example.text) if example.words is None else example.words


def written_word(word: str) -> str:
    """A word as a column holds it."""
    return _WHITE_SPACE.sub("_", word)


def _written(name: str) -> str:
    return _WHITE_SPACE.sub("_", name.strip()) or "_"


def _begin(name: DocumentName) -> str:
    if name.of is None:
        return f"#begin document {name.whole}"
    return f"#begin document ({name.of}); part {int(name.whole[len(name.of) + 1 :]):03}"


def _cells(clusters: Sequence[Sequence[Span]], words: Sequence[Span]) -> list[str]:
    """The last column: what begins at a word, the widest first; then what ends there, the narrowest first."""
    finder = WordFinder(words)
    begun: list[list[tuple[int, str]]] = [[] for _ in words]
    ended: list[list[tuple[int, str]]] = [[] for _ in words]
    for number, cluster in enumerate(clusters):
        for first, after in {finder.widen(mention) for mention in cluster}:
            if after - first == 1:
                begun[first].append((1, f"({number})"))
            elif after > first:
                begun[first].append((after - first, f"({number}"))
                ended[after - 1].append((after - first, f"{number})"))
    return [
        "|".join([text for _, text in sorted(begins, reverse=True)] + [text for _, text in sorted(finishes)]) or "-"
        for begins, finishes in zip(begun, ended, strict=True)
    ]


class ConllAnswers:
    """`spanbert predict --format conll`: the documents as columns; an error is a comment between two of them."""

    def __init__(self, source: str) -> None:
        pass

    def start(self) -> str:
        """Nothing."""
        return ""

    def part(self, answer: Answer[CoreferenceExample, CoreferencePrediction] | ErrorRecord) -> str:
        """The lines of a document, or of an error."""
        if isinstance(answer, ErrorRecord):
            id = "" if answer.id is None else f" ({answer.id})"
            return _WHITE_SPACE.sub(" ", f"# error in line {answer.line}{id}: {answer.error}") + "\n"
        return "".join(line + "\n" for line in conll_lines(answer.example, answer.prediction.spans))

    def end(self) -> str:
        """Nothing."""
        return ""
