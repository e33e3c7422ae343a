"""Questions as windows: [CLS] question [SEP] part of a document [SEP] (Devlin et al. 2019, section 4.2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spanbert.spans import Span
from spanbert.task import Window
from spanbert.tasks.question_answering.examples import Answer, QuestionExample
from spanbert.tokenization import Encoding, PieceTokenizer
from spanbert.windows import cut_windows

_NUM_SPECIAL = 3  # [CLS], [SEP], [SEP]


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """Which part of which document a window shows.

    Attributes:
        document: its number.
        first: position in the window of the part's first piece.
        offsets: int64 [n, 2], the span of characters in the document of each of the part's pieces.
        question_pieces_cut: pieces at the end of the question that are not in the window.
    """

    document: int
    first: int
    offsets: npt.NDArray[np.int64]
    question_pieces_cut: int


class ContextCache:
    """The pieces of the documents seen last: neighbouring questions mostly share them. Threads can share it."""

    def __init__(self) -> None:
        self._last: tuple[PieceTokenizer, tuple[str, ...], list[Encoding]] | None = None

    def encode(self, contexts: tuple[str, ...], tokenizer: PieceTokenizer) -> list[Encoding]:
        """The pieces of each document."""
        last = self._last  # one read: another thread may replace it meanwhile
        if last is None or last[0] is not tokenizer or last[1] != contexts:
            last = self._last = (tokenizer, contexts, tokenizer.encode_batch(contexts))
        return last[2]


def question_windows(
    example: QuestionExample,
    tokenizer: PieceTokenizer,
    contexts: Sequence[Encoding],
    *,
    max_length: int,
    stride: int,
    training: bool,
) -> list[Window]:
    """The windows of a question: those of its first document, of its second, ...

    A question that would fill more than half a window is cut at its end, and `Place` says by how much. With `training`,
    `positions["answer"]` [1, 2] has the first and the last piece of the answer: [CLS] twice in a window that does not
    hold all of it (Devlin et al. 2019, 4.3), -1 where it is not known. The first of several right answers is taken.

    Args:
        example: the question.
        tokenizer: makes the question's pieces.
        contexts: the pieces of the documents.
        max_length: most pieces of a window.
        stride: pieces by which neighbouring windows overlap; at most half of what a window shows of a document.
        training: whether to give targets.
    """
    question = tokenizer.encode(example.question).ids
    kept = question[: (max_length - _NUM_SPECIAL) // 2]
    room = max_length - _NUM_SPECIAL - len(kept)
    head = np.concatenate(([tokenizer.cls_id], kept, [tokenizer.sep_id])).astype(np.int32)
    answer = _target(example, contexts) if training else None
    windows: list[Window] = []
    for document, encoding in enumerate(contexts):
        if not len(encoding) and any(map(len, contexts)):
            continue
        for part in cut_windows(len(encoding), room, min(stride, room // 2), starts=encoding.word_starts):
            pieces = np.concatenate((head, encoding.ids[part.start : part.end], [tokenizer.sep_id])).astype(np.int32)
            segments = (np.arange(len(pieces)) >= len(head)).astype(np.int8)
            offsets = encoding.offsets[part.start : part.end]
            place = Place(document, len(head), offsets, len(question) - len(kept))
            if not training:
                windows.append(Window(pieces=pieces, segments=segments, place=place))
                continue
            target = _target_in_window(answer, document, part, len(head))
            windows.append(
                Window(
                    pieces=pieces,
                    segments=segments,
                    positions={"answer": np.array([target])},
                    counts={"span": int(target[0] >= 0)},
                    place=place,
                )
            )
    return windows


@dataclass(frozen=True, slots=True)
class _Target:
    """What is to be learned: the document of the answer and its pieces there, or that there is no answer."""

    document: int
    pieces: Span


_NO_ANSWER = _Target(-1, Span(0, 0))


def _target(example: QuestionExample, contexts: Sequence[Encoding]) -> _Target | None:
    """The first right answer that stands in a document; None where nothing is known that could be learned."""
    if example.answers == ():
        return _NO_ANSWER
    for answer in example.answers or ():
        pieces = _pieces_of(answer, contexts[answer.document])
        if pieces is not None:
            return _Target(answer.document, pieces)
    return None


def _pieces_of(answer: Answer, encoding: Encoding) -> Span | None:
    """The pieces that have a character of the answer; None where there is none."""
    if answer.start is None or answer.end is None:
        return None
    inside = np.flatnonzero((encoding.offsets[:, 1] > answer.start) & (encoding.offsets[:, 0] < answer.end))
    return Span(int(inside[0]), int(inside[-1]) + 1) if len(inside) else None


def _target_in_window(target: _Target | None, document: int, part: Span, first: int) -> tuple[int, int]:
    if target is None:
        return -1, -1
    start, end = target.pieces
    if target.document != document or start < part.start or end > part.end:
        return 0, 0
    return first + start - part.start, first + end - 1 - part.start
