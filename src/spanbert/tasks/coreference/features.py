"""From documents to windows.

The head sees a document as its words: of every word its first and its last piece, from the one window that decides
about it. A mention is a span of words; one that cuts a word is widened to it. Windows end where sentences seem to end.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from spanbert.spans import Span
from spanbert.task import Array, Window
from spanbert.tasks.coreference.config import CoreferenceSettings
from spanbert.tasks.coreference.examples import CoreferenceExample
from spanbert.text_words import Int64Array, TextWords, find_words, words_of_spans
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
    document = _cut(example, settings, tokenizer, training=training)
    return _unit(document, range(len(document.windows)), settings, tokenizer, training=training)


def make_training_units(
    example: CoreferenceExample, settings: CoreferenceSettings, tokenizer: PieceTokenizer
) -> list[list[Window]]:
    """The windows of a document with targets, in parts of at most `train_windows` windows and about equal length.

    Raises as `make_windows`.
    """
    document = _cut(example, settings, tokenizer, training=True)
    num_windows = len(document.windows)
    num_parts = math.ceil(num_windows / settings.train_windows)
    borders = [number * num_windows // num_parts for number in range(num_parts + 1)]
    parts = [range(start, end) for start, end in pairwise(borders)]
    return [_unit(document, part, settings, tokenizer, training=True) for part in parts]


def num_candidates(num_words: int, max_width: int) -> int:
    """How many spans of at most `max_width` words there are."""
    widest = min(max_width, num_words)
    return widest * num_words - widest * (widest - 1) // 2


@dataclass(frozen=True, slots=True, eq=False)
class _Document:
    """A document as its words.

    words: its U words. windows: spans of its pieces. owner: int64 [U], the window that decides each word. speakers:
    int64 [U], the number of each word's speaker from 1, 0 where nobody is named. given: int64 [G, 2], the first word of
    each given mention and the one behind its last; None where mentions are to be found. gold: int64 [n, 3], the same of
    the mentions of the right clusters, and the cluster. genre: its number from 1, 0 where it is not known.
    """

    words: TextWords
    windows: Sequence[Span]
    owner: Int64Array
    speakers: Int64Array
    given: Int64Array | None
    gold: Int64Array
    genre: int


def _cut(
    example: CoreferenceExample, settings: CoreferenceSettings, tokenizer: PieceTokenizer, *, training: bool
) -> _Document:
    words = find_words(example.text, example.words, tokenizer, by_character=settings.by_character)
    room = settings.max_length - 2
    is_border = np.zeros(len(words.pieces), np.bool_)
    is_border[words.firsts[_borders(example.text, words, longest=max(room // 4, 1))]] = True
    windows = cut_windows(len(words.pieces), room, settings.stride, starts=is_border)
    given = example.mentions
    if training and given is None and example.pronoun is not None:
        # An answer to GAP's question says nothing about the other mentions of the text.
        given = (example.pronoun.pronoun, example.pronoun.a, example.pronoun.b)
    clusters = example.clusters or ()
    gold = words_of_spans(words.spans, [mention for cluster in clusters for mention in cluster])
    cluster_of_mention = np.array([number for number, cluster in enumerate(clusters) for _ in cluster], np.int64)
    return _Document(
        words=words,
        windows=windows,
        owner=deciding_windows(windows, len(words.pieces))[words.firsts],
        speakers=_speaker_of_words(example, words),
        given=None if given is None else words_of_spans(words.spans, given),
        gold=np.concatenate((gold, cluster_of_mention[:, None]), 1),
        genre=settings.genres.index(example.genre) + 1 if example.genre in settings.genres else 0,
    )


def _borders(text: str, words: TextWords, *, longest: int) -> Int64Array:
    """The words before which a window may end: those that seem to begin a sentence or line, and all of a sentence that
    has more than `longest` pieces."""
    spans = words.spans.tolist()
    if not spans:
        return np.zeros(0, np.int64)
    begins = [0]
    for number in range(1, len(spans)):
        (before_start, before_end), (start, _) = spans[number - 1], spans[number]
        if "\n" in text[before_end:start] or _SENTENCE_END.search(text, before_start, before_end):
            begins.append(number)
    pieces = np.diff(np.append(words.firsts, len(words.pieces))[[*begins, len(spans)]])
    sentences = zip(begins, [*begins[1:], len(spans)], pieces, strict=True)
    return np.concatenate([np.arange(start, end if size > longest else start + 1) for start, end, size in sentences])


def _unit(
    document: _Document, chosen: range, settings: CoreferenceSettings, tokenizer: PieceTokenizer, *, training: bool
) -> list[Window]:
    """Some windows of a document as a unit; its words are those that they decide about, counted from 0."""
    words = document.words
    part = Span(*np.searchsorted(document.owner, (chosen.start, chosen.stop)).tolist())
    shared, counts = _document_values(document, part, settings, training=training)
    place = WordPlaces(words.spans[slice(*part)])
    windows = []
    for number in chosen:
        start, end = document.windows[number]
        mine = slice(*np.searchsorted(document.owner, (number, number + 1)).tolist())
        values: dict[str, Array] = {"speakers": document.speakers[mine]}
        for name, array in shared.items():  # what is about the document goes with its first window
            values[name] = array if number == chosen.start else array[:0]
        pieces = np.concatenate(([tokenizer.cls_id], words.pieces[start:end], [tokenizer.sep_id]))
        # A word that is longer than a window ends in a later one: its last piece here stands for its end.
        places = np.stack((words.firsts[mine], np.minimum(words.lasts[mine], end - 1)), 1)
        windows.append(
            Window(
                pieces=pieces.astype(np.int32),
                positions={"words": places - start + 1},
                values=values,
                counts={name: count if number == chosen.start else 0 for name, count in counts.items()},
                place=place,
            )
        )
    return windows


def _document_values(
    document: _Document, part: Span, settings: CoreferenceSettings, *, training: bool
) -> tuple[dict[str, Array], dict[str, int]]:
    """What the head has to know of a part of a document beside its words; and what is counted of it.

    "finds": [1] 1 where mentions are to be found. "given": [G, 2] the first and the last word of given mentions, in
    order of the text and the wider first. "slots": [M] as many rows as mentions are kept. "genre": [1]. "gold": [n, 3],
    only in training: first word, last word and cluster of each mention.
    """
    num_words = part.end - part.start
    given = np.zeros((0, 2), np.int64)
    if document.given is None:
        kept = math.ceil(settings.top_spans_per_word * num_words)
        num_slots = min(kept, num_candidates(num_words, settings.max_span_width))
    else:
        given = np.unique(_within(document.given, part), axis=0)
        given = given[np.lexsort((-given[:, 1], given[:, 0]))]
        num_slots = len(given)
    finds = document.given is None
    values: dict[str, Array] = {
        "finds": np.array([int(finds)]),
        "given": given,
        "slots": np.zeros(num_slots, np.int64),
        "genre": np.array([document.genre]),
    }
    if not training:
        return values, {}
    values["gold"], left_out = _gold(document, part, settings)
    num_gold = len(values["gold"])
    return values, left_out | {"links": num_gold, "mentions": num_gold if finds else 0}


def _gold(document: _Document, part: Span, settings: CoreferenceSettings) -> tuple[Int64Array, dict[str, int]]:
    """The mentions of the right clusters, and how many of these cannot be learned."""
    rows: dict[tuple[int, int], int] = {}
    wide = shared = 0
    for start, last, cluster in _within(document.gold, part).tolist():
        if document.given is None and last - start >= settings.max_span_width:
            wide += 1
        elif rows.setdefault((start, last), cluster) != cluster:
            shared += 1
    gold = np.array([(*span, cluster) for span, cluster in rows.items()], np.int64).reshape(-1, 3)
    first, end, _ = document.gold.T
    begins_here = (part.start <= first) & (first < part.end)
    return gold, {
        "left_out_mentions_wider_than_max_span_width": wide,
        "left_out_mentions_across_training_parts": int((begins_here & (end > part.end)).sum()),
        "left_out_mentions_without_words": int((first == end).sum()) if part.start == 0 else 0,
        "left_out_mentions_of_the_same_words_as_another_cluster's": shared,
    }


def _within(mentions: Int64Array, part: Span) -> Int64Array:
    """[n, 2 or more] the first word of mentions and the one behind the last -> those within a part of a document, as
    first and last word counted from its beginning."""
    first, end = mentions[:, 0], mentions[:, 1]
    rows = mentions[(part.start <= first) & (first < end) & (end <= part.end)].copy()
    rows[:, 0] -= part.start
    rows[:, 1] -= part.start + 1
    return rows


def _speaker_of_words(example: CoreferenceExample, words: TextWords) -> npt.NDArray[np.int64]:
    """[U] the number of each word's speaker within the document from 1, 0 where nobody is named."""
    numbers: dict[str, int] = {}
    speakers = np.zeros(len(words.firsts), np.int64)
    stretches = words_of_spans(words.spans, [(start, end) for start, end, _ in example.speakers]).tolist()
    for (first, end), (_, _, name) in zip(stretches, example.speakers, strict=True):
        speakers[first:end] = numbers.setdefault(name, len(numbers) + 1)
    return speakers


def words_of_mentions(mentions: Sequence[Span], places: WordPlaces) -> Int64Array:
    """[n, 2] the first and the last word of each mention; the last is before the first where it has no word."""
    return words_of_spans(places.words, mentions) - (0, 1)
