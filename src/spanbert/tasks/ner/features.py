"""From examples to windows.

The units of all heads are words that have pieces: those of the example's column file; in raw text the tokenizer's, or
single characters where the model was trained on such. A word that the tokenizer drops (zero-width or control characters
only) is no unit and never begins or ends an entity. An entity of the training data that cuts a word is widened to it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from spanbert.spans import LabelledSpan, Span
from spanbert.task import Array, IntArray, Window
from spanbert.tasks.ner.config import EntitySettings
from spanbert.tasks.ner.examples import EntityExample
from spanbert.tokenization import PieceTokenizer, cover_marks
from spanbert.windows import cut_windows, deciding_windows

Int64Array = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Units:
    """The T pieces of a text and its U units.

    pieces: int32 [T]. spans: int64 [U, 2], each unit in code points of the text. firsts: int64 [U], its first piece;
    all pieces from there to the next unit's first are its own.
    """

    pieces: npt.NDArray[np.int32]
    spans: Int64Array
    firsts: Int64Array

    @property
    def lasts(self) -> Int64Array:
        """int64 [U], the last piece of each unit."""
        return np.append(self.firsts[1:], len(self.pieces))[: len(self.firsts)] - 1

    def widen(self, start: int, end: int) -> Span:
        """The units that share a character with a span of the text; empty where none does."""
        first = int(np.searchsorted(self.spans[:, 1], start, side="right"))
        return Span(first, max(first, int(np.searchsorted(self.spans[:, 0], end, side="left"))))


@dataclass(frozen=True, slots=True, eq=False)
class UnitPlace:
    """The way back from a window's rows to the text.

    units: int64 [U, 2], the spans of all units of the text (one array for all its windows). rows: int64 [n] or [n, 2],
    which unit each row is about, or which units each row begins with and ends before.
    """

    units: Int64Array
    rows: Int64Array


def find_units(text: str, words: Sequence[Span] | None, tokenizer: PieceTokenizer, *, by_character: bool) -> Units:
    """The pieces and units of a text; `words` None means raw text, whose characters are words with `by_character`.

    Raises:
        InputError: the text holds half a character (a lone surrogate).
    """
    if words is not None:
        return _units_of_words(text, np.array(words, np.int64).reshape(-1, 2), tokenizer)
    if by_character:
        starts = np.array([place for place, character in enumerate(text) if not character.isspace()], np.int64)
        units = _units_of_words(text, np.stack((starts, starts + 1), 1), tokenizer)
        return replace(units, spans=cover_marks(text, units.spans))
    encoding = tokenizer.encode(text)
    firsts = np.flatnonzero(encoding.word_starts)
    lasts = np.append(firsts[1:], len(encoding))[: len(firsts)] - 1
    return Units(encoding.ids, np.stack((encoding.offsets[firsts, 0], encoding.offsets[lasts, 1]), 1), firsts)


def _units_of_words(text: str, words: Int64Array, tokenizer: PieceTokenizer) -> Units:
    # Each word is cut into pieces by itself, as `transformers` does with words that are given: white space between
    # them has this effect, since the tokenizer always splits there.
    encoding = tokenizer.encode(" ".join(text[start:end] for start, end in words.tolist()))
    lengths = words[:, 1] - words[:, 0] + 1
    starts = np.cumsum(lengths) - lengths  # of each word among the words joined by a space
    word_of_piece = np.searchsorted(starts, encoding.offsets[:, 0], side="right") - 1
    firsts = np.flatnonzero(np.diff(word_of_piece, prepend=-1))
    return Units(encoding.ids, words[word_of_piece[firsts]], firsts)


def make_windows(
    example: EntityExample, settings: EntitySettings, tokenizer: PieceTokenizer, *, training: bool
) -> list[Window]:
    """The windows of an example, one at least; each unit (for the span head: span) is scored in one of them.

    Raises:
        InputError: the text holds half a character (a lone surrogate).
        ConfigurationError: the settings leave windows no room.
    """
    units = find_units(example.text, example.words, tokenizer, by_character=settings.by_character)
    num_pieces = len(units.pieces)
    room = settings.max_length - 2
    is_first = np.zeros(num_pieces, np.bool_)
    is_first[units.firsts] = True
    spans = cut_windows(num_pieces, room, settings.stride, starts=is_first)
    before, after = _context(example, settings, tokenizer, room - num_pieces)
    make_rows = _span_rows if settings.head == "span" else _word_rows
    windows = []
    for (start, end), rows in zip(spans, make_rows(units, spans, example, settings, training), strict=True):
        shift = 1 + len(before) - start
        inside = units.pieces[start:end]
        windows.append(
            Window(
                pieces=np.concatenate(([tokenizer.cls_id], before, inside, after, [tokenizer.sep_id])).astype(np.int32),
                positions={name: array + shift for name, array in rows.positions.items()},
                values=rows.values,
                counts=rows.counts,
                place=UnitPlace(units.spans, rows.units),
            )
        )
    return windows


def _context(
    example: EntityExample, settings: EntitySettings, tokenizer: PieceTokenizer, room: int
) -> tuple[IntArray, IntArray]:
    """The pieces before and after an example's own; none where the example fills a window or several."""
    nothing = np.zeros(0, np.int32)
    if room <= 0 or not settings.context_sentences:
        return nothing, nothing
    sides = []
    for texts in (example.before[-settings.context_sentences :], example.after[: settings.context_sentences]):
        found = [find_units(text, None, tokenizer, by_character=settings.by_character).pieces for text in texts]
        sides.append(np.concatenate((nothing, *found)))
    before, after = sides
    # Half the room each; what one side does not need is the other's.
    num_before = min(len(before), max(room - len(after), room // 2))
    return before[len(before) - num_before :], after[: room - num_before]


@dataclass(frozen=True, slots=True)
class _Rows:
    """What a window scores: `positions` count from the text's first piece; `units` is `UnitPlace.rows`."""

    units: Int64Array
    positions: dict[str, Int64Array]
    values: dict[str, Array]
    counts: dict[str, int]


def _word_rows(
    units: Units, windows: Sequence[Span], example: EntityExample, settings: EntitySettings, training: bool
) -> Iterator[_Rows]:
    """Rows of the tagging heads: the units that a window decides about.

    The first window counts the entities that no tag says, because they overlap others.
    """
    num_units = len(units.firsts)
    owner = deciding_windows(windows, len(units.pieces))[units.firsts]
    entities = set(example.entities or ())
    targets = target_tags(units, sorted(entities), settings.labels) if training else None
    for number in range(len(windows)):
        first, end = np.searchsorted(owner, (number, number + 1)).tolist()
        values: dict[str, Array] = {}
        counts: dict[str, int] = {}
        if targets is not None:
            values["targets"] = targets[first:end]
            counts["tags"] = end - first
            counts["left_out_entities_that_overlap_others"] = 0  # batches add up counts that all their windows have
            if not number:
                known = sum(entity.label in settings.labels for entity in entities)
                counts["left_out_entities_that_overlap_others"] = known - int((targets % 2).sum())
            if settings.head != "linear":
                values["edges"] = np.array([[first == 0, end == num_units]])
        positions = {"words": units.firsts[first:end]}
        yield _Rows(np.arange(first, end), positions, values, counts)


def target_tags(units: Units, entities: Sequence[LabelledSpan], labels: Sequence[str]) -> Int64Array:
    """int64 [U], the right tag of each unit as its place in `EntitySettings.tags`.

    Of entities that overlap, the one that begins first (then the wider) is taken. Labels that are not known are O.
    """
    number = {label: index for index, label in enumerate(labels)}
    tags = np.zeros(len(units.firsts), np.int64)
    for start, end, label in sorted(entities, key=lambda entity: (entity.start, -entity.end)):
        first, last = units.widen(start, end)
        if label in number and first < last and not tags[first:last].any():
            tags[first:last] = 2 + 2 * number[label]
            tags[first] -= 1
    return tags


def _span_rows(
    units: Units, windows: Sequence[Span], example: EntityExample, settings: EntitySettings, training: bool
) -> Iterator[_Rows]:
    """Rows of the span head: the spans up to the greatest width that lie most centrally in a window.

    The last window counts the entities that are none of the rows of any: they are too wide.
    """
    number_of = {label: index for index, label in enumerate(settings.labels)}
    wanted = [
        (*units.widen(entity.start, entity.end), number_of[entity.label])
        for entity in (example.entities or () if training else ())
        if entity.label in number_of
    ]
    missing = set(wanted)
    for number in range(len(windows)):
        rows = _owned_spans(units, windows, number, settings.max_entity_width)
        positions = {"spans": np.stack((units.firsts[rows[:, 0]], units.lasts[rows[:, 1] - 1]), 1)}
        values: dict[str, Array] = {"widths": rows[:, 1] - rows[:, 0] - 1}
        counts: dict[str, int] = {}
        if training:
            targets = np.zeros((len(rows), len(settings.labels)), np.float32)
            for first, end, label in wanted:
                here = (rows[:, 0] == first) & (rows[:, 1] == end)
                targets[here, label] = 1
                if here.any():
                    missing.discard((first, end, label))
            values["targets"] = targets
            counts = {"spans": len(rows), "left_out_entities_without_a_span": 0}
            if number == len(windows) - 1:
                counts["left_out_entities_without_a_span"] = len(missing)
        yield _Rows(rows, positions, values, counts)


def _owned_spans(units: Units, windows: Sequence[Span], number: int, max_width: int) -> Int64Array:
    """int64 [S, 2], spans of units, by their begins, which no other window holds with more context on either side.

    The context of a span in a window is the smaller of the numbers of pieces to its left and right, as in
    `deciding_windows`; the ends of the text do not count as missing context. The earlier window wins a tie.
    """
    begin, end = windows[number]
    lasts = units.lasts
    inside = np.flatnonzero((units.firsts >= begin) & (lasts < end)) if len(windows) > 1 else np.arange(len(lasts))
    if not len(inside):
        return np.zeros((0, 2), np.int64)
    starts = np.repeat(inside, max_width)
    ends = starts + np.tile(np.arange(1, max_width + 1), len(inside))
    rows = np.stack((starts, ends), 1)[ends <= inside[-1] + 1]
    pieces = (units.firsts[rows[:, 0]], lasts[rows[:, 1] - 1])
    own = _span_context(*pieces, windows[number], len(units.pieces))
    keep = np.ones(len(rows), np.bool_)
    for step in (-1, 1):
        other = number + step
        while 0 <= other < len(windows) and windows[other].end > begin and windows[other].start < end:
            keep &= own + (step > 0) > _span_context(*pieces, windows[other], len(units.pieces))
            other += step
    kept: Int64Array = rows[keep]
    return kept


def _span_context(firsts: Int64Array, lasts: Int64Array, window: Span, num_pieces: int) -> Int64Array:
    """int64 [S], each span's context in a window; -1 where the window does not hold the span."""
    plenty = num_pieces
    left = firsts - window.start
    right = window.end - 1 - lasts
    context = np.minimum(
        np.where(left < 0, -1, plenty) if window.start == 0 else left,
        np.where(right < 0, -1, plenty) if window.end == num_pieces else right,
    )
    held: Int64Array = np.maximum(context, -1)
    return held
