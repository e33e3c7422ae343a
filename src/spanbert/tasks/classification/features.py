"""From an example to the windows that its text is read in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from spanbert.errors import InputError
from spanbert.task import Window
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
    windows = _all_windows(
        [example.text] if example.pair is None else [example.text, example.pair], tokenizer, settings
    )
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


def _all_windows(texts: Sequence[str], tokenizer: PieceTokenizer, settings: Settings) -> list[Window]:
    """All windows of a text or of two.

    Of two texts, one that takes at most half the room is whole in every window, beside windows of the other. Two longer
    ones share the room evenly and are cut both; windows at the same share of the way through either stand together.
    """
    flat = tokenizer.encode_ids(texts)
    parts = np.split(flat.ids, np.cumsum(flat.lengths)[:-1])
    room = settings.max_length - 1 - len(parts)
    rooms = [room] if len(parts) == 1 else _shares(len(parts[0]), len(parts[1]), room)
    cuts = []
    for ids, own_room in zip(parts, rooms, strict=True):
        overlap = settings.stride if own_room == room else min(settings.stride, own_room // 2)
        cuts.append(cut_windows(len(ids), own_room, overlap, starts=~tokenizer.continues[ids]))
    num_windows = max(map(len, cuts))
    windows = []
    for number in range(num_windows):
        spans = [cut[number * len(cut) // num_windows] for cut in cuts]
        pieces = [np.array([tokenizer.cls_id])]
        for ids, (start, end) in zip(parts, spans, strict=True):
            pieces += [ids[start:end], np.array([tokenizer.sep_id])]
        lengths = np.array([end - start + 1 for start, end in spans])
        lengths[0] += 1  # [CLS]
        windows.append(Window(pieces=np.concatenate(pieces), segments=np.repeat(np.arange(len(spans)), lengths)))
    return windows


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
