"""From documents to windows.

The head sees a document as its words: of every word its first and its last piece, from the one window that decides
about it. A mention is a span of words; one that cuts a word is widened to it. Windows end where sentences seem to end.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from spanbert.spans import Span
from spanbert.task import Array, Window
from spanbert.tasks.coreference.config import CoreferenceSettings
from spanbert.tasks.coreference.examples import CoreferenceExample
from spanbert.text_words import Int64Array, TextWords, find_words
from spanbert.tokenization import PieceTokenizer
from spanbert.windows import cut_windows, deciding_windows

_SENTENCE_END = re.compile("[.!?。！？…]")


@dataclass(frozen=True, slots=True, eq=False)
class WordPlaces:
    """The way back from the words of a unit to the text: `words` int64 [U, 2], each in code points of the text."""

    words: Int64Array


def make_windows(
    example: CoreferenceExample, settings: CoreferenceSettings, tokenizer: PieceTokenizer, *, training: bool
) -> list[Window]:
    """The windows of a whole document, one at least.

    Raises:
        InputError: the text holds half a character (a lone surrogate).
        ConfigurationError: the settings leave windows no room.
    """
    document = _cut(example, settings, tokenizer)
    return _unit(example, settings, tokenizer, document, range(len(document.windows)), training=training)


def make_training_units(
    example: CoreferenceExample, settings: CoreferenceSettings, tokenizer: PieceTokenizer
) -> list[list[Window]]:
    """The windows of a document with targets, in parts of at most `train_windows` windows and about equal length.

    Raises as `make_windows`.
    """
    document = _cut(example, settings, tokenizer)
    num_windows = len(document.windows)
    num_parts = math.ceil(num_windows / settings.train_windows)
    borders = [number * num_windows // num_parts for number in range(num_parts + 1)]
    parts = [range(start, end) for start, end in pairwise(borders)]
    return [_unit(example, settings, tokenizer, document, part, training=True) for part in parts]


def num_candidates(num_words: int, max_width: int) -> int:
    """How many spans of at most `max_width` words there are."""
    widest = min(max_width, num_words)
    return widest * num_words - widest * (widest - 1) // 2


@dataclass(frozen=True, slots=True, eq=False)
class _Document:
    """The words of a document, its windows (spans of its pieces), and int64 [U] the window that decides each word."""

    words: TextWords
    windows: Sequence[Span]
    owner: Int64Array


def _cut(example: CoreferenceExample, settings: CoreferenceSettings, tokenizer: PieceTokenizer) -> _Document:
    words = find_words(example.text, example.words, tokenizer, by_character=settings.by_character)
    room = settings.max_length - 2
    is_border = np.zeros(len(words.pieces), np.bool_)
    is_border[words.firsts[_borders(example.text, words, longest=max(room // 4, 1))]] = True
    windows = cut_windows(len(words.pieces), room, settings.stride, starts=is_border)
    return _Document(words, windows, deciding_windows(windows, len(words.pieces))[words.firsts])


def _borders(text: str, words: TextWords, *, longest: int) -> Int64Array:
    """The words before which a window may end: those that seem to begin a sentence or line, and all of a sentence that
    has more than `longest` pieces."""
    spans = words.spans.tolist()
    begins = [0]
    for number in range(1, len(spans)):
        (before_start, before_end), (start, _) = spans[number - 1], spans[number]
        if "\n" in text[before_end:start] or _SENTENCE_END.search(text, before_start, before_end):
            begins.append(number)
    starts = np.array(begins, np.int64)
    pieces = np.diff(np.append(words.firsts, len(words.pieces))[np.append(starts, len(spans))]) if spans else []
    chosen = (
        [
            np.arange(start, end) if size > longest else np.array([start])
            for start, end, size in zip(begins, [*begins[1:], len(spans)], pieces, strict=True)
        ]
        if spans
        else []
    )
    return np.concatenate([np.zeros(0, np.int64), *chosen])


def _unit(
    example: CoreferenceExample,
    settings: CoreferenceSettings,
    tokenizer: PieceTokenizer,
    document: _Document,
    chosen: range,
    *,
    training: bool,
) -> list[Window]:
    """Some windows of a document as a unit; its words are those that they decide about, counted from 0."""
    words = document.words
    part = Span(*np.searchsorted(document.owner, (chosen.start, chosen.stop)).tolist())
    speakers = _speaker_of_words(example, words)
    shared = _document_values(example, settings, words, part, training=training)
    place = WordPlaces(words.spans[slice(*part)])
    windows = []
    for number in chosen:
        start, end = document.windows[number]
        mine = slice(*np.searchsorted(document.owner, (number, number + 1)).tolist())
        values: dict[str, Array] = {"speakers": speakers[mine]}
        for name, array in shared.values.items():  # what is about the document goes with its first window
            values[name] = array if number == chosen.start else array[:0]
        pieces = np.concatenate(([tokenizer.cls_id], words.pieces[start:end], [tokenizer.sep_id]))
        windows.append(
            Window(
                pieces=pieces.astype(np.int32),
                positions={"words": np.stack((words.firsts[mine], words.lasts[mine]), 1) - start + 1},
                values=values,
                counts={name: count if number == chosen.start else 0 for name, count in shared.counts.items()},
                place=place,
            )
        )
    return windows


@dataclass(frozen=True, slots=True)
class _DocumentValues:
    values: dict[str, Array]
    counts: dict[str, int]


def _document_values(
    example: CoreferenceExample,
    settings: CoreferenceSettings,
    words: TextWords,
    part: Span,
    *,
    training: bool,
) -> _DocumentValues:
    """What the head has to know of a document beside its words.

    "given": [G, 2] the first and the last word of given mentions, in order of the text and the wider first. "slots":
    [M] as many rows as mentions are kept. "genre": [1] the genre's number from 1, 0 where it is not known. "gold":
    [n, 3], only in training: first word, last word and cluster of each mention.
    """
    num_words = part.end - part.start
    given = np.zeros((0, 2), np.int64)
    if example.mentions is None:
        kept = math.ceil(settings.top_spans_per_word * num_words)
        num_slots = min(kept, num_candidates(num_words, settings.max_span_width))
    else:
        given = np.unique(_in_words(example.mentions, words, part), axis=0)
        given = given[np.lexsort((-given[:, 1], given[:, 0]))]
        num_slots = len(given)
    genre = settings.genres.index(example.genre) + 1 if example.genre in settings.genres else 0
    values: dict[str, Array] = {"given": given, "slots": np.zeros(num_slots, np.int64), "genre": np.array([genre])}
    if not training:
        return _DocumentValues(values, {})
    gold, counts = _gold(example, settings, words, part)
    values["gold"] = gold
    counts["links"] = len(gold)
    counts["mentions"] = len(gold) if example.mentions is None else 0
    return _DocumentValues(values, counts)


def _gold(
    example: CoreferenceExample, settings: CoreferenceSettings, words: TextWords, part: Span
) -> tuple[Int64Array, dict[str, int]]:
    """The mentions of the right clusters, and how many of these cannot be learned."""
    rows: dict[tuple[int, int], int] = {}
    wide = shared = across = 0
    for number, cluster in enumerate(example.clusters or ()):
        across += sum(part.start <= first < part.end < end for first, end in (words.widen(*one) for one in cluster))
        for first, last in _in_words(cluster, words, part).tolist():
            if example.mentions is None and last - first >= settings.max_span_width:
                wide += 1
            elif rows.setdefault((first, last), number) != number:
                shared += 1
    gold = np.array([(*span, number) for span, number in rows.items()], np.int64).reshape(-1, 3)
    counts = {
        "left_out_mentions_wider_than_max_span_width": wide,
        "left_out_mentions_across_training_parts": across,
        "left_out_mentions_of_the_same_words_as_another_cluster's": shared,
    }
    return gold, counts


def _in_words(mentions: Iterable[Span], words: TextWords, part: Span) -> Int64Array:
    """[n, 2] the first and the last word of mentions, counted from the beginning of a part that holds them. One that
    has no words, or crosses the border of the part, is left out."""
    spans = (words.widen(*mention) for mention in mentions)
    rows = [(first - part.start, end - 1 - part.start) for first, end in spans if part.start <= first < end <= part.end]
    return np.array(rows, np.int64).reshape(-1, 2)


def _speaker_of_words(example: CoreferenceExample, words: TextWords) -> npt.NDArray[np.int64]:
    """[U] the number of each word's speaker within the document from 1, 0 where nobody is named."""
    numbers: dict[str, int] = {}
    speakers = np.zeros(len(words.firsts), np.int64)
    for start, end, name in example.speakers:
        first, last = words.widen(start, end)
        speakers[first:last] = numbers.setdefault(name, len(numbers) + 1)
    return speakers


def words_of_mentions(mentions: Sequence[Span], places: WordPlaces) -> Int64Array:
    """[n, 2] the first and the last word of each mention that has words."""
    words = TextWords(np.zeros(0, np.int32), places.words, np.zeros(0, np.int64))
    return _in_words(mentions, words, Span(0, len(places.words)))
