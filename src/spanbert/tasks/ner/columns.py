"""Column files (CoNLL): a word and its tags a line, sentences between blank lines."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from spanbert.read_summary import counted
from spanbert.spans import (
    LabelledSpan,
    Span,
    TagScheme,
    guess_scheme,
    misplaced_tags,
    parse_tag,
    spans_from_tags,
    well_formed_spans,
)
from spanbert.task import Located, Problem
from spanbert.tasks.ner.config import EntityDataOptions
from spanbert.tasks.ner.examples import EntityExample
from spanbert.text_columns import is_by_character, join_words

DOCUMENT_START = "-DOCSTART-"
_WHITE_SPACE = re.compile(r"[ \t]+")


@dataclass(frozen=True, slots=True)
class Sentence:
    """The words of a sentence, from 1 up, and their tags (None where the file has none).

    `number` counts the file's sentences from 1, `document` its -DOCSTART- lines; word i stands in line `line + i`.
    """

    number: int
    line: int
    document: int
    words: tuple[str, ...]
    tags: tuple[str, ...] | None


def read_columns(
    lines: Iterable[tuple[int, str]], options: EntityDataOptions
) -> Iterator[Located[EntityExample] | Problem]:
    """The sentences of a column file's numbered lines as examples; their ids are the sentences' numbers from 1.

    They are held in memory, because the tag scheme and the way words are joined to text are found out first.
    """
    items = list(read_sentences(lines, options))
    sentences = [item for item in items if isinstance(item, Sentence)]
    scheme: TagScheme
    if options.scheme == "auto":
        scheme = guess_scheme(sentence.tags for sentence in sentences if sentence.tags is not None)
    else:
        scheme = options.scheme
    chinese = is_by_character(word for sentence in sentences for word in sentence.words)
    texts = [join_words(sentence.words, chinese=chinese) for sentence in sentences]
    has_documents = bool(sentences) and sentences[-1].document > 0
    index = -1
    for item in items:
        if isinstance(item, Problem):
            yield item
            continue
        index += 1
        text, words = texts[index]
        around = _neighbours(sentences, index, options.context_sentences)
        example = EntityExample(
            id=str(item.number),
            text=text,
            entities=_entities(item, words, options, scheme),
            words=words,
            before=tuple(texts[place][0] for place in around if place < index),
            after=tuple(texts[place][0] for place in around if place > index),
            document=str(item.document) if has_documents else None,
        )
        yield Located(example, item.line)
        yield from _misplaced(item, scheme, options)


def read_sentences(lines: Iterable[tuple[int, str]], options: EntityDataOptions) -> Iterator[Sentence | Problem]:
    """The sentences of a column file; one with a line that cannot be read is left out, and a `Problem` says why."""
    same: dict[str, str] = {}  # words come again and again: each is kept once
    number = document = 0
    for line, block in _blocks(lines, options):
        if block is None:
            document += 1
            continue
        number += 1
        columns = _split(block, options.separator)
        problem = _wrong_columns(line, columns, options)
        if problem is not None:
            yield problem
            continue
        words = tuple(same.setdefault(word, word) for word in (row[options.word_column] for row in columns))
        tags = None
        if len(columns[0]) > 1:
            tags = tuple(same.setdefault(tag, tag) for tag in (row[options.tag_column] for row in columns))
        yield Sentence(number, line, document, words, tags)


def _blocks(numbered: Iterable[tuple[int, str]], options: EntityDataOptions) -> Iterator[tuple[int, list[str] | None]]:
    """(number of the first line, the lines of a sentence), None for the lines where a document begins."""
    lines: list[str] = []
    first = 0
    for number, line in numbered:
        is_blank = not line or line.isspace()
        is_document = not is_blank and _first_column(line, options.separator) == DOCUMENT_START
        if lines and (is_blank or is_document):
            yield first, lines
            lines = []
        if is_document:
            yield number, None
        elif not is_blank and (lines or not _is_comment(line, options)):
            if not lines:
                first = number
            lines.append(line)
    if lines:
        yield first, lines


def _first_column(line: str, separator: str) -> str:
    if separator in ("auto", "tab", "space"):
        return line.split(None, 1)[0]
    return line.split(separator, 1)[0]


def _is_comment(line: str, options: EntityDataOptions) -> bool:
    if not options.comment or not line.startswith(options.comment):
        return False
    columns = _split([line], options.separator)[0]
    return len(columns) < 2 or parse_tag(columns[-1]) is None


def _split(lines: Sequence[str], separator: str) -> list[list[str]]:
    if separator == "auto":
        separator = "tab" if any("\t" in line for line in lines) else "space"
    if separator == "space":
        return [_WHITE_SPACE.split(line.strip(" \t")) for line in lines]
    character = "\t" if separator == "tab" else separator
    return [[column.strip(" ") for column in line.split(character)] for line in lines]


def _wrong_columns(line: int, columns: list[list[str]], options: EntityDataOptions) -> Problem | None:
    """The first thing wrong with a sentence that begins in `line`, for which it is left out."""
    num_columns = len(columns[0])
    has_tags = num_columns > 1
    for number, row in enumerate(columns, line):
        if (len(row) > 1) != has_tags or not -len(row) <= options.word_column < len(row):
            found = counted(len(row), "column")
            detail = f"{found} where the sentence's first line has {num_columns}; the sentence is left out"
            return Problem(number, "missing column", detail)
        if not row[options.word_column] or row[options.word_column].isspace():
            return Problem(number, "empty word", "the word is empty or white space; the sentence is left out")
        if not has_tags:
            continue
        if not -len(row) <= options.tag_column < len(row):
            return Problem(number, "missing column", f"there is no column {options.tag_column}: see --tag-column")
        tag = row[options.tag_column]
        if parse_tag(tag) is None:
            detail = f"{tag!r} is not O and not a letter, a hyphen and a label; the sentence is left out"
            return Problem(number, "unknown tag", detail)
    return None


def _neighbours(sentences: Sequence[Sentence], index: int, number: int) -> list[int]:
    """Up to `number` sentences of the same document on either side, in order."""
    near = range(max(0, index - number), min(len(sentences), index + number + 1))
    return [place for place in near if sentences[place].document == sentences[index].document and place != index]


def _entities(
    sentence: Sentence, words: Sequence[Span], options: EntityDataOptions, scheme: TagScheme
) -> tuple[LabelledSpan, ...] | None:
    if sentence.tags is None:
        return None
    strict = options.tag_reading == "strict"
    spans = well_formed_spans(sentence.tags, scheme) if strict else spans_from_tags(sentence.tags)
    return tuple(LabelledSpan(words[span.start].start, words[span.end - 1].end, span.label) for span in spans)


def _misplaced(sentence: Sentence, scheme: TagScheme, options: EntityDataOptions) -> Iterator[Problem]:
    """A problem for each tag that cannot stand where it does; the sentence is used all the same."""
    if sentence.tags is None:
        return
    reading = "read as conlleval does" if options.tag_reading == "conlleval" else "the entity is left out"
    for position in misplaced_tags(sentence.tags, scheme):
        tag = sentence.tags[position]
        before = sentence.tags[position - 1] if position else "the sentence's beginning"
        after_o = tag[0] == "I" and before in ("O", "the sentence's beginning")
        kind = "I- after O" if after_o else "misplaced tag"
        detail = f"{tag} after {before} is not {scheme} (sentence {sentence.number}); {reading}"
        yield Problem(sentence.line + position, kind, detail, skipped=False)
