"""One stored answer: its JSON, and what is not as it was."""

from __future__ import annotations

import base64
import itertools
import json
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from spanbert.errors import InputError
from spanbert.task import Scored, Task

if TYPE_CHECKING:
    from spanbert.predicting import Predictor

_DECODER_TOLERANCE = 1e-4
_MOST_NUMBERS = 200_000
"""Scores of one input, about a megabyte in the file."""
_MASK = 1e4
"""Scores at least this large only rule something out; they say nothing of the size of the others."""
_SHOWN = 300  # characters of a JSON object in a message

Scores = Sequence[Mapping[str, npt.NDArray[np.float32]]]


def answer_entry(task: Task[Any, Any], scored: Scored[Any]) -> dict[str, Any]:
    """What golden.json holds of one example.

    Raises:
        InputError: it is too long.
    """
    if sum(rows.size for window in scored.scores for rows in window.values()) > _MOST_NUMBERS:
        raise InputError(
            f"the golden input {scored.example.id!r} is too long to store its scores: take one of a few sentences"
        )
    windows = [
        {
            "pieces": " ".join(map(str, window.pieces)),
            "scores": {name: _to_json(array) for name, array in scores.items()},
        }
        for window, scores in zip(scored.windows, scored.scores, strict=True)
    ]
    prediction = task.decode(scored).to_json()
    return {"input": scored.example.to_json(), "prediction": prediction, "windows": windows}


def answer_difference(
    predictor: Predictor[Any, Any], entry: Mapping[str, Any], scored: Scored[Any], tolerance: float
) -> str | None:
    """What is not as it was, in words; None if all is."""
    pieces_then = [pieces_from_json(window) for window in entry["windows"]]
    pieces_now = [window.pieces.tolist() for window in scored.windows]
    if pieces_then != pieces_now:
        return f"the text is cut into other word pieces: {_first_other_piece(predictor, pieces_then, pieces_now)}"
    scores_then = scores_from_json(entry["windows"])
    if (changed := _changed_scores(predictor.task, scores_then, scored.scores, tolerance)) is not None:
        return changed
    decoded = json.loads(
        json.dumps(predictor.task.decode(Scored(scored.example, scored.windows, scores_then)).to_json())
    )
    if not _equal(entry["prediction"], decoded):
        return (
            f"the scores are the same, but they are now decoded to {short_pair(entry['prediction'], decoded)[1]}: the "
            "settings in config.json, the decoder or numpy are other ones"
        )
    return None


def _first_other_piece(
    predictor: Predictor[Any, Any], then: Sequence[Sequence[int]], now: Sequence[Sequence[int]]
) -> str:
    if len(then) != len(now):
        return f"{len(then)} windows then, {len(now)} now"
    window = next(number for number, (one, other) in enumerate(zip(then, now, strict=True)) if one != other)
    one, other = then[window], now[window]
    pairs = list(zip(one, other, strict=False))
    place = next((number for number, pair in enumerate(pairs) if pair[0] != pair[1]), len(pairs))
    shown = [_piece(predictor, pieces, place) for pieces in (one, other)]
    return (
        f"{len(one)} then, {len(other)} now; the first other one is number {place + 1}, {shown[0]} then, {shown[1]} now"
    )


def _piece(predictor: Predictor[Any, Any], pieces: Sequence[int], place: int) -> str:
    if place >= len(pieces):
        return "none"
    try:
        return repr(predictor.tokenizer.piece(pieces[place]))
    except InputError:  # the vocabulary has become smaller
        return f"id {pieces[place]}"


def _changed_scores(task: Task[Any, Any], then: Scores, now: Scores, tolerance: float) -> str | None:
    """What is not as it was; where rounding has turned a choice, scores stand beside others, and all are compared by
    size."""
    worst, where = 0.0, ""
    for number, (window_then, window_now) in enumerate(zip(then, now, strict=True)):
        if {name: rows.shape for name, rows in window_then.items()} != {
            name: rows.shape for name, rows in window_now.items()
        }:
            return "the model gives other score arrays than it did"
        is_turned = any(not np.array_equal(window_then[name], window_now[name]) for name in task.choices)
        for name in sorted(window_then.keys() - task.choices):
            rows = [window[name] for window in (window_then, window_now)]
            share = _largest_difference(*(np.sort(array, axis=None) for array in rows) if is_turned else rows)
            if not share <= worst:
                worst, where = share, f"{name!r} of window {number + 1}"
    if worst <= tolerance:
        return None
    return f"the scores {where} differ by {worst:.2g} of their size, and {tolerance:g} is tolerated"


def _largest_difference(then: npt.NDArray[np.float32], now: npt.NDArray[np.float32]) -> float:
    """The largest difference, as a share of the larger of 1, the value, and the size of the values around it."""
    finite = np.isfinite(then)
    if not np.array_equal(then[~finite], now[~finite], equal_nan=True) or not np.isfinite(now[finite]).all():
        return math.inf
    one, other = then[finite].astype(np.float64), now[finite].astype(np.float64)
    if not len(one):
        return 0.0
    usual = one[np.abs(one) < _MASK]
    size = math.sqrt(float(np.mean(usual**2))) if len(usual) else 0.0
    return float((np.abs(one - other) / np.maximum(np.abs(one), max(1.0, size))).max())


def _equal(then: object, now: object) -> bool:
    """Whether two JSON values are equal, numbers within what rounding does."""
    if isinstance(then, bool) or isinstance(now, bool):
        return then is now
    if isinstance(then, int | float) and isinstance(now, int | float):
        return math.isclose(then, now, rel_tol=_DECODER_TOLERANCE, abs_tol=_DECODER_TOLERANCE)
    if isinstance(then, dict) and isinstance(now, dict):
        return then.keys() == now.keys() and all(_equal(value, now[key]) for key, value in then.items())
    if isinstance(then, list) and isinstance(now, list):
        return len(then) == len(now) and all(map(_equal, then, now))
    return then == now


def short(value: object) -> str:
    """A value as JSON, cut where it is long."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]} ..."


def short_pair(then: object, now: object) -> tuple[str, str]:
    """Two values as JSON, both cut to the surroundings of where they first differ."""
    texts = [json.dumps(value, ensure_ascii=False) for value in (then, now)]
    place = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(*texts, strict=False)))
    start = 0 if max(map(len, texts)) <= _SHOWN or place < _SHOWN // 2 else place - _SHOWN // 2
    cut = [("... " if start else "") + text[start : start + _SHOWN] for text in texts]
    then_, now_ = (
        short + (" ..." if start + _SHOWN < len(text) else "") for short, text in zip(cut, texts, strict=True)
    )
    return then_, now_


# Pieces and scores as JSON: scores by their bits, since numbers in decimal digits would be several times longer


def _to_json(array: npt.NDArray[np.float32]) -> dict[str, Any]:
    data = np.ascontiguousarray(array, "<f4").tobytes()
    return {"shape": list(array.shape), "float32": base64.b64encode(data).decode()}


def pieces_from_json(window: Mapping[str, Any]) -> list[int]:
    """The pieces of a stored window."""
    return [int(piece) for piece in window["pieces"].split()]


def scores_from_json(windows: Sequence[Mapping[str, Any]]) -> list[dict[str, npt.NDArray[np.float32]]]:
    """The scores of stored windows."""
    return [{name: _from_json(value) for name, value in window["scores"].items()} for window in windows]


def _from_json(value: Mapping[str, Any]) -> npt.NDArray[np.float32]:
    data = base64.b64decode(value["float32"], validate=True)
    return np.frombuffer(data, "<f4").astype(np.float32).reshape(value["shape"])
