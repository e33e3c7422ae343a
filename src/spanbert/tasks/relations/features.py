"""An example as windows: one for each pair with its spans marked, or few for all pairs of an unmarked text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from spanbert.spans import Span
from spanbert.task import Array, Window
from spanbert.tasks.relations.config import RelationSettings
from spanbert.tasks.relations.examples import RelationExample
from spanbert.tasks.relations.markers import marker
from spanbert.tasks.relations.pairs import gold_labels, judged_pairs, negative_label
from spanbert.tasks.relations.views import Marks, covered, pair_view, write_view
from spanbert.tokenization import PieceTokenizer
from spanbert.windows import cut_windows

UNKNOWN = -100
"""The label of a pair in training whose relation the model has no score for: it is no target."""


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """What stands in a window.

    pairs: int64 [P, 2], head and tail of each of its rows.
    is_split: whether its pairs are shown in two parts.
    num_left_out: pairs of the whole example that are not judged; in its first window.
    """

    pairs: npt.NDArray[np.int64]
    is_split: bool = False
    num_left_out: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class _Encoded:
    """The pieces of a text, cut so that none reaches over the edge of an entity.

    ids: [T]. word_starts: bool [T]. spans: of each entity, its pieces; perhaps none.
    """

    ids: npt.NDArray[np.int64]
    word_starts: npt.NDArray[np.bool_]
    spans: list[Span]


class _Shown(NamedTuple):
    """A window before it is one: its pieces, boundaries [n, 4] of its pairs, and which of all pairs these are [n]."""

    pieces: npt.NDArray[np.int64]
    boundaries: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int64]
    is_split: bool = False


def relation_windows(
    example: RelationExample, tokenizer: PieceTokenizer, settings: RelationSettings, *, training: bool
) -> list[Window]:
    """The windows of an example.

    At prediction there is one at least: without a pair to judge, [CLS] [SEP]. In training there is none for an example
    from which nothing can be learned.

    Raises:
        InputError: the text cannot be encoded, or the tokenizer lacks the markers.
    """
    judged = judged_pairs(example, settings)
    labels = None
    if training:
        if example.relations is None or not len(judged.pairs):
            return []
        labels = _targets(example, judged.pairs, settings)
    types = _type_numbers(example, settings)
    windows: list[Window] = []
    for shown in _shown(example, judged.pairs, tokenizer, settings):
        place = Place(judged.pairs[shown.rows], shown.is_split, 0 if windows else judged.num_left_out)
        values: dict[str, Array] = {"types": types[place.pairs]}
        counts = {}
        if labels is not None:
            values["labels"] = labels[shown.rows]
            num_targets = int((values["labels"] != UNKNOWN).sum())
            counts = {
                "relations": num_targets,
                "left_out_far_pairs": place.num_left_out,
                "left_out_text_between_spans": len(shown.rows) if shown.is_split else 0,
                "left_out_unknown_labels": len(shown.rows) - num_targets,
            }
        windows.append(
            Window(shown.pieces, positions={"pairs": shown.boundaries}, values=values, counts=counts, place=place)
        )
    return windows


def _targets(
    example: RelationExample, pairs: npt.NDArray[np.int64], settings: RelationSettings
) -> npt.NDArray[np.int64]:
    """[P] the number of each pair's right label."""
    number = {label: place for place, label in enumerate(settings.labels)}
    negative = negative_label(settings.labels, settings)
    gold = gold_labels(example, negative)
    found = (number.get(gold.get((head, tail), negative), UNKNOWN) for head, tail in pairs.tolist())
    return np.fromiter(found, np.int64, len(pairs))


def _type_numbers(example: RelationExample, settings: RelationSettings) -> npt.NDArray[np.int64]:
    """[entities] the number of each type from 1; 0 for none or an unknown one."""
    number = {type: place for place, type in enumerate(settings.entity_types, 1)}
    return np.array([number.get(entity.type or "", 0) for entity in example.entities], np.int64)


def _shown(
    example: RelationExample, pairs: npt.NDArray[np.int64], tokenizer: PieceTokenizer, settings: RelationSettings
) -> Iterator[_Shown]:
    if not len(pairs):
        nothing = np.zeros(0, np.int64)
        yield _Shown(np.array([tokenizer.cls_id, tokenizer.sep_id]), nothing.reshape(0, 4), nothing)
        return
    text = _encode(example, tokenizer)
    if settings.entities == "plain":
        yield from _unmarked(text, pairs, tokenizer, settings)
    else:
        yield from _marked(example, text, pairs, tokenizer, settings)


def _encode(example: RelationExample, tokenizer: PieceTokenizer) -> _Encoded:
    """Encode a text stretch by stretch, from one edge of an entity to the next."""
    ends = {0, len(example.text)}
    for entity in example.entities:
        ends |= {entity.start, entity.end}
    edges = sorted(ends)
    encoded = tokenizer.encode_batch([example.text[start:end] for start, end in pairwise(edges)])
    first_piece = dict(zip(edges, np.cumsum([0, *map(len, encoded)]).tolist(), strict=True))
    return _Encoded(
        np.concatenate([stretch.ids for stretch in encoded]).astype(np.int64),
        np.concatenate([stretch.word_starts for stretch in encoded]),
        [Span(first_piece[entity.start], first_piece[entity.end]) for entity in example.entities],
    )


def _marked(
    example: RelationExample,
    text: _Encoded,
    pairs: npt.NDArray[np.int64],
    tokenizer: PieceTokenizer,
    settings: RelationSettings,
) -> Iterator[_Shown]:
    """A window for each pair."""
    in_place = settings.entities == "type-tokens"
    room = settings.max_length - 2
    pieces: dict[tuple[str, str | None], Marks] = {}
    for role in ("SUBJ", "OBJ"):
        for type in {entity.type for entity in example.entities}:
            closing = None if in_place else tokenizer.id(marker(role, type, settings, closing=True))
            pieces[role, type] = Marks(tokenizer.id(marker(role, type, settings)), closing)
    for row, (head, tail) in enumerate(pairs.tolist()):
        spans = text.spans[head], text.spans[tail]
        extra = 2 - covered(*spans) if in_place else 4
        longest = None if in_place else (room - 5) // 2
        view = pair_view(len(text.ids), *spans, room=room, extra=extra, longest=longest)
        marks = pieces["SUBJ", example.entities[head].type], pieces["OBJ", example.entities[tail].type]
        written = write_view(text.ids, view, marks, tokenizer.cls_id, tokenizer.sep_id)
        yield _Shown(written.pieces, np.array([written.boundaries]), np.array([row]), len(view.parts) > 1)


def _unmarked(
    text: _Encoded, pairs: npt.NDArray[np.int64], tokenizer: PieceTokenizer, settings: RelationSettings
) -> Iterator[_Shown]:
    """Windows of the text as it is, each with the pairs nearest its middle; then one for each pair of entities
    that fits none of these."""
    room = settings.max_length - 2
    num_pieces = len(text.ids)
    windows = cut_windows(num_pieces, room, min(settings.stride, room - 1), starts=text.word_starts)
    spans = np.array(text.spans)  # [entities, 2]
    # A span without pieces, such as one of zero-width characters, is the piece before it.
    first = np.minimum(spans[:, 0], np.maximum(spans[:, 1] - 1, 0))
    last = np.maximum(first, spans[:, 1] - 1)
    begin = first[pairs].min(1)  # [P]
    end = last[pairs].max(1) + 1
    # Both ends of windows grow, so the windows that hold a pair are neighbours; the middle one has most around it.
    earliest = np.searchsorted([window.end for window in windows], np.minimum(end, num_pieces))
    latest = np.searchsorted([window.start for window in windows], begin, side="right") - 1
    window_of_pair = np.where(earliest <= latest, (earliest + latest) // 2, -1)
    fitting = np.flatnonzero(window_of_pair >= 0)
    fitting = fitting[np.argsort(window_of_pair[fitting], kind="stable")]
    changes = np.flatnonzero(np.diff(window_of_pair[fitting])) + 1
    for rows in np.split(fitting, changes) if len(fitting) else ():
        start, stop = windows[int(window_of_pair[rows[0]])]
        pieces = np.concatenate(([tokenizer.cls_id], text.ids[start:stop], [tokenizer.sep_id]))
        head, tail = pairs[rows].T
        boundaries = np.stack((first[head], last[head], first[tail], last[tail]), axis=1) - start + 1
        yield _Shown(pieces, boundaries, rows)
    both_ways: dict[tuple[int, int], list[int]] = {}
    for row in np.flatnonzero(window_of_pair < 0).tolist():
        one, other = sorted(pairs[row].tolist())
        both_ways.setdefault((one, other), []).append(row)
    for (one, other), same in both_ways.items():
        of_one, of_other = (Span(int(first[entity]), int(last[entity]) + 1) for entity in (one, other))
        view = pair_view(num_pieces, of_one, of_other, room=room, extra=0, longest=(room - 1) // 2)
        written = write_view(text.ids, view, None, tokenizer.cls_id, tokenizer.sep_id)
        there = np.array(written.boundaries)
        boundaries = np.stack([there if pairs[row, 0] == one else np.roll(there, 2) for row in same])
        yield _Shown(written.pieces, boundaries, np.array(same), len(view.parts) > 1)
