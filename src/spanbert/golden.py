"""A few inputs with their scores and answers, stored with a model: a changed library that changes answers is an error.

They are compared once for each combination of library versions, processor, precision and model files. Three questions
are asked of each input:

* Is the text cut into the same word pieces? There is no tolerance.
* Are the scores the same, computed in fp32? They are stored as fp32 gives them, whatever the model is run in, since the
  tolerance that bf16 needs would hide more than it shows. A model that is run in bf16 is asked again in bf16, with that
  tolerance: this finds a precision that is broken, and nothing finer.
* Does the decoder, given the scores of then, give the answer of then? It computes no more than a sum here and there, so
  its answer has to be equal, and ties between today's scores, which rounding may decide either way, play no part.
"""

from __future__ import annotations

import base64
import copy
import hashlib
import itertools
import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from spanbert.durable_files import hash_file
from spanbert.errors import CheckpointError, ConfigurationError, InputError
from spanbert.example_files import read_json_lines
from spanbert.task import Problem, Scored, Task
from spanbert.training.progress import warn
from spanbert.training.record import versions, write_json

if TYPE_CHECKING:
    from spanbert.predicting import Predictor

GOLDEN_FILE = "golden.json"

Golden = Literal["check", "accept", "skip"]

_FORMAT = 1
_TOLERANCE = {"fp32": 1e-3, "bf16": 0.25}
"""By precision, the largest difference of a score, as a share of the larger of 1, the score, and the size of the scores
around it. Another processor moves fp32 scores by about 1e-5, bf16 those of a deep encoder by several hundredths."""
_DECODER_TOLERANCE = 1e-4
_MOST_NUMBERS = 200_000
"""Scores of one input, about a megabyte in the file."""
_MASK = 1e4
"""Scores at least this large only rule something out; they say nothing of the size of the others."""
_SHOWN = 300  # characters of a JSON object in a message

Scores = Sequence[Mapping[str, npt.NDArray[np.float32]]]


def make_golden(predictor: Predictor[Any, Any], examples: Iterable[Any]) -> str:
    """The text of `golden.json`: what the model says today of a few examples, in fp32 whatever it is run in.

    Args:
        predictor: the model, with all that its task learned.
        examples: such as `Task.golden_examples()`; short ones, since all their scores are stored.

    Raises:
        InputError: an example is too long.
    """
    predictor = _in_precision(predictor, "fp32")
    entries = [_entry(predictor.task, scored) for scored in predictor.score(examples)]
    return json.dumps(
        {"format": _FORMAT, "made_with": _circumstances(predictor), "examples": entries}, ensure_ascii=False, indent=1
    )


def read_golden_inputs(task: Task[Any, Any], path: str | Path) -> list[Any]:
    """The examples of a JSON-lines file, which are to be stored with a model.

    Raises:
        InputError: a line is no example of the task.
    """
    examples = []
    for item in read_json_lines(path):
        if isinstance(item, Problem):
            raise InputError(f"{item.kind}: {item.detail}", source=str(path), line=item.line)
        try:
            examples.append(task.example(task.with_id(item.value, str(item.line))))
        except InputError as error:
            raise InputError(str(error), source=str(path), line=item.line) from error
    if not examples:
        raise InputError("there is no input in it", source=str(path))
    return examples


def check_golden(predictor: Predictor[Any, Any], folder: str | Path, mode: Golden = "check") -> bool:
    """Compare what the model says today with what is stored beside it, unless that was done before under the same
    circumstances; a model without stored answers passes with a warning.

    Args:
        predictor: the model as it was loaded from `folder`.
        folder: the model's folder.
        mode: "accept" stores today's answers in place of the old ones instead; "skip" does nothing.

    Returns:
        Whether anything was computed.

    Raises:
        CheckpointError: an answer has changed, or the file is damaged or cannot be written.
        ConfigurationError: there is no such mode.
    """
    if mode not in get_args(Golden):
        raise ConfigurationError(f"golden {mode!r} is none of {', '.join(get_args(Golden))}")
    path = Path(folder) / GOLDEN_FILE
    if mode == "skip":
        return False
    if not path.is_file():
        warn(
            f"{folder} has no {GOLDEN_FILE}: nothing tells whether its answers are still those of the day it was made; "
            '--golden skip (in Python golden="skip") opens it without this warning'
        )
        return False
    stored = _read(path, predictor.task)
    if mode == "accept":
        accepted = make_golden(predictor, stored.examples)
        try:
            write_json(path, json.loads(accepted))
        except OSError as error:
            raise CheckpointError(f"{path} cannot be written ({error.strerror}): copy the model, or skip") from error
        return True
    circumstances = {**_circumstances(predictor), "files": _identity(Path(folder))}
    memory = _memory_of(circumstances)
    if memory is not None and memory.is_file():
        return False
    for precision in dict.fromkeys(("fp32", predictor.precision)):
        asked = _in_precision(predictor, precision)
        tolerance = max(_TOLERANCE[precision], _TOLERANCE[stored.made_with["precision"]])
        for entry, scored in zip(stored.entries, asked.score(stored.examples), strict=True):
            if (difference := _difference(asked, entry, scored, tolerance)) is not None:
                raise CheckpointError(_complaint(asked, path, stored.made_with, entry, scored, difference))
    _remember(memory, circumstances)
    return True


def _in_precision(predictor: Predictor[Any, Any], precision: str) -> Predictor[Any, Any]:
    """The same model, run in another precision: its weights are fp32 in both."""
    if predictor.precision == precision:
        return predictor
    other = copy.copy(predictor)
    other.precision = precision
    return other


@dataclass(frozen=True, slots=True)
class _Stored:
    """What a golden.json says."""

    made_with: Mapping[str, str]
    entries: Sequence[Mapping[str, Any]]
    examples: Sequence[Any]


def _read(path: Path, task: Task[Any, Any]) -> _Stored:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] > _FORMAT:
            raise CheckpointError(f"{path} was written by a newer version: pip install --upgrade spanbert, or skip")
        entries = content["examples"]
        examples = [task.example(entry["input"]) for entry in entries]
        for entry in entries:
            _scores_from_json(entry["windows"])
            for window in entry["windows"]:
                _pieces_from_json(window)
        if content["made_with"]["precision"] not in _TOLERANCE:
            raise ValueError("unknown precision")
        return _Stored(content["made_with"], entries, examples)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, InputError) as error:
        raise CheckpointError(
            f"{path} is damaged ({type(error).__name__}: {error}): bring the model's folder here again; {_WAY_OUT}"
        ) from error


_WAY_OUT = 'the option --golden skip (in Python golden="skip") goes on without the stored answers'


# One example


def _entry(task: Task[Any, Any], scored: Scored[Any]) -> dict[str, Any]:
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


def _difference(
    predictor: Predictor[Any, Any], entry: Mapping[str, Any], scored: Scored[Any], tolerance: float
) -> str | None:
    """What is not as it was, in words; None if all is."""
    pieces_then = [_pieces_from_json(window) for window in entry["windows"]]
    pieces_now = [window.pieces.tolist() for window in scored.windows]
    if pieces_then != pieces_now:
        return f"the text is cut into other word pieces: {_first_other_piece(predictor, pieces_then, pieces_now)}"
    scores_then = _scores_from_json(entry["windows"])
    if (changed := _changed_scores(predictor.task, scores_then, scored.scores, tolerance)) is not None:
        return changed
    decoded = json.loads(
        json.dumps(predictor.task.decode(Scored(scored.example, scored.windows, scores_then)).to_json())
    )
    if not _equal(entry["prediction"], decoded):
        return (
            f"the scores are the same, but they are now decoded to {_short_pair(entry['prediction'], decoded)[1]}: the "
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


def _complaint(
    predictor: Predictor[Any, Any],
    path: Path,
    made_with: Mapping[str, str],
    entry: Mapping[str, Any],
    scored: Scored[Any],
    difference: str,
) -> str:
    now = _circumstances(predictor)
    others = [f"{name} {made_with.get(name)} -> {now[name]}" for name in now if made_with.get(name) != now[name]]
    answer_then, answer_now = _short_pair(entry["prediction"], predictor.task.decode(scored).to_json())
    changes = "; ".join(others) or "the same as then, so the files of the model or this machine have changed"
    return (
        f"{path.parent}: this model no longer gives the answers that were stored with it ({path.name})\n"
        f"  input       {_short(entry['input'])}\n"
        f"  answer then {answer_then}\n"
        f"  answer now  {answer_now}\n"
        f"  difference  {difference}\n"
        f"  versions    {changes}\n"
        "Its answers are not to be trusted here: install the versions of then, or bring the model's folder here again. "
        'If you have looked at them and they are right, --golden accept (in Python golden="accept") stores today\'s '
        f"answers in {path.name}; {_WAY_OUT}."
    )


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]} ..."


def _short_pair(then: object, now: object) -> tuple[str, str]:
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


def _pieces_from_json(window: Mapping[str, Any]) -> list[int]:
    return [int(piece) for piece in window["pieces"].split()]


def _scores_from_json(windows: Sequence[Mapping[str, Any]]) -> list[dict[str, npt.NDArray[np.float32]]]:
    return [{name: _from_json(value) for name, value in window["scores"].items()} for window in windows]


def _from_json(value: Mapping[str, Any]) -> npt.NDArray[np.float32]:
    data = base64.b64decode(value["float32"], validate=True)
    return np.frombuffer(data, "<f4").astype(np.float32).reshape(value["shape"])


# Circumstances, and the memory of those that were found good


def _circumstances(predictor: Predictor[Any, Any]) -> dict[str, str]:
    """What answers may depend on beside the model's own files."""
    import torch

    from spanbert.training.devices import processor_name

    device = predictor.device
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else processor_name()
    return {**versions(), "device": device.type, "device_name": name, "precision": predictor.precision}


def _identity(folder: Path) -> dict[str, str]:
    """What tells the files of a model from others: a hash, for weights only size and time, since hashing takes long."""
    identity = {}
    for path in sorted(folder.iterdir()):
        if path.suffix in {".safetensors", ".bin"}:
            status = path.stat()
            identity[path.name] = f"{status.st_size} bytes of {status.st_mtime_ns}"
        elif path.name in {GOLDEN_FILE, "config.json", "tokenizer.json", "tokenizer_config.json", "vocab.txt"}:
            identity[path.name] = hash_file(path)
    return identity


def cache_folder() -> Path:
    """Where this package keeps what it can do without: $SPANBERT_CACHE, or `spanbert` in the user's cache folder."""
    if own := os.environ.get("SPANBERT_CACHE"):
        return Path(own)
    if shared := os.environ.get("XDG_CACHE_HOME"):
        return Path(shared) / "spanbert"
    return Path("~/.cache/spanbert").expanduser()


def _memory_of(circumstances: Mapping[str, Any]) -> Path | None:
    """The file that is there when these circumstances were found good; None where there is no home for it."""
    digest = hashlib.sha256(json.dumps(circumstances, sort_keys=True).encode()).hexdigest()
    try:
        return cache_folder() / "golden" / f"{digest}.json"
    except RuntimeError:  # the user has no home
        return None


def _remember(memory: Path | None, circumstances: Mapping[str, Any]) -> None:
    """Without a place to write to, the check is done again next time, and that is all."""
    if memory is None:
        return
    try:
        memory.parent.mkdir(parents=True, exist_ok=True)
        memory.write_text(json.dumps(circumstances, indent=1), encoding="utf-8")
    except OSError:
        pass
