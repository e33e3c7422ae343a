"""From an example to the windows that its text is read in."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from spanbert.errors import InputError
from spanbert.spans import Span
from spanbert.task import IntArray, Window
from spanbert.tasks.classification.config import Settings
from spanbert.tasks.classification.data import known_labels
from spanbert.tasks.classification.examples import ClassificationExample
from spanbert.tasks.classification.labels import labels_of
from spanbert.tokenization import PieceTokenizer
from spanbert.windows import cut_windows

LEFT_OUT = "left_out_windows"
"""Under this name training windows count those of their text that training does not see."""


def make_windows(
    example: ClassificationExample, tokenizer: PieceTokenizer, settings: Settings, *, training: bool
) -> list[Window]:
    """The windows of an example: [CLS] text [SEP], or [CLS] text [SEP] pair [SEP] with the pair in segment 1.

    A text without a single piece gives [CLS] [SEP]. In training a text has `settings.training_windows` at most, and the
    first of them holds the target, and counts under `LEFT_OUT` the windows that were not taken.

    Raises:
        InputError: a label was not learned, or a text has half a character.
        ConfigurationError: `max_length` and `stride` leave no room.
    """
    if example.pair is None:
        windows = _text_windows(example.text, tokenizer, settings)
    else:
        windows = _pair_windows(example.text, example.pair, tokenizer, settings)
    if not training:
        return windows
    num_left_out = max(0, len(windows) - settings.training_windows)
    if num_left_out:
        # Evenly spread, first and last included: beginnings and ends say most.
        chosen = np.linspace(0, len(windows) - 1, settings.training_windows).round().astype(int)
        windows = [windows[number] for number in chosen]
    target = _target(example, settings)
    return [
        replace(window, values={"label": target[:first]}, counts={"label": first, LEFT_OUT: num_left_out * first})
        for window, first in zip(windows, (1, *[0] * (len(windows) - 1)), strict=True)
    ]


def _text_windows(text: str, tokenizer: PieceTokenizer, settings: Settings) -> list[Window]:
    encoding = tokenizer.encode(text)
    spans = cut_windows(len(encoding), settings.max_length - 2, settings.stride, starts=encoding.word_starts)
    windows = []
    for start, end in spans:
        pieces = np.concatenate(([tokenizer.cls_id], encoding.ids[start:end], [tokenizer.sep_id]))
        windows.append(Window(pieces=pieces, segments=np.zeros(len(pieces), np.int64)))
    return windows


def _pair_windows(text: str, pair: str, tokenizer: PieceTokenizer, settings: Settings) -> list[Window]:
    """Windows of two texts.

    A text that takes at most half the room is whole in every window, beside windows of the other. Two longer ones share
    the room evenly and are cut both; windows at the same share of the way through either stand together.
    """
    encodings = tokenizer.encode_batch([text, pair])
    room = settings.max_length - 3
    rooms = _shares(len(encodings[0]), len(encodings[1]), room)
    cuts = []
    for encoding, own_room in zip(encodings, rooms, strict=True):
        overlap = min(settings.stride, own_room // 2)
        cuts.append(cut_windows(len(encoding), own_room, overlap, starts=encoding.word_starts))
    windows = []
    num_windows = max(map(len, cuts))
    for number in range(num_windows):
        first, second = (
            _piece_ids(encoding.ids, cut[number * len(cut) // num_windows])
            for encoding, cut in zip(encodings, cuts, strict=True)
        )
        pieces = np.concatenate(([tokenizer.cls_id], first, [tokenizer.sep_id], second, [tokenizer.sep_id]))
        segments = np.repeat([0, 1], [len(first) + 2, len(second) + 1])
        windows.append(Window(pieces=pieces, segments=segments))
    return windows


def _piece_ids(ids: IntArray, span: Span) -> IntArray:
    return ids[span.start : span.end]


def _shares(num_first: int, num_second: int, room: int) -> tuple[int, int]:
    """How many pieces of a window the two texts may take; together `room` at most."""
    if num_first + num_second <= room:
        return max(1, num_first), max(1, num_second)
    half = room // 2
    if num_second <= half:
        return room - num_second, max(1, num_second)
    if num_first <= half:
        return max(1, num_first), room - num_first
    return room - half, half


def _target(example: ClassificationExample, settings: Settings) -> npt.NDArray[np.generic]:
    """[1] the label's number, [1, L] which labels there are, or [1] the standardised number."""
    if settings.kind == "regression":
        if not isinstance(example.label, float):
            raise InputError("there is no number to learn")
        return np.array([(example.label - settings.value_mean) / settings.value_deviation], np.float32)
    labels = labels_of(example.label)
    if example.label is None or (settings.kind == "single-label" and len(labels) != 1):
        raise InputError(f"it has {len(labels)} labels where one is needed")
    if unknown := [label for label in labels if label not in settings.labels]:
        raise InputError(f"the label {', '.join(map(repr, unknown))} is unknown: {known_labels(settings.labels)}")
    numbers = [settings.labels.index(label) for label in labels]
    if settings.kind == "single-label":
        return np.array(numbers, np.int64)
    target = np.zeros((1, len(settings.labels)), np.float32)
    target[0, numbers] = 1
    return target
