"""From records to predictions, in order, with what the predictor looks ahead and no more in memory.

A record that the predictor refuses (its question fills a whole window, say) becomes an `ErrorRecord` in its place; the
others are answered all the same.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, Protocol

from spanbert.errors import ConfigurationError, InputError
from spanbert.prediction_input import PAUSE, ErrorRecord, Item, Pause
from spanbert.task import ExampleT, Located, PredictionT

_MOST_ERRORS_HELD = 100
"""Error records that wait for the prediction before them; a file of nothing else must not end up in memory."""


class Predicts(Protocol):
    """The part of `Predictor` that is needed here."""

    def predict(self, examples: Iterable[Any]) -> Iterator[Any]:
        """A prediction for each example, in order."""
        ...


@dataclass(frozen=True, slots=True)
class Answer(Generic[ExampleT, PredictionT]):
    """A prediction and what it is for."""

    line: int
    example: ExampleT
    prediction: PredictionT

    def to_json(self) -> dict[str, Any]:
        """The record of the output: the example's id and line, and the prediction, its numbers as `rounded`."""
        record: dict[str, Any] = rounded(self.prediction.to_json())
        return {"id": self.example.id, "line": self.line} | record


def rounded(value: Any, *, probability: bool = False) -> Any:
    """A JSON value with no more digits than mean something.

    Probabilities (whatever stands under a key such as "probability" or "probabilities") have 6 decimals; other numbers
    7 significant digits, as many as fp32 holds.
    """
    if isinstance(value, float):
        return round(value, 6) if probability else float(f"{value:.7g}")
    if isinstance(value, dict):
        return {
            key: rounded(inner, probability=probability or "probabilit" in str(key)) for key, inner in value.items()
        }
    return [rounded(inner, probability=probability) for inner in value] if isinstance(value, list) else value


def answer_records(predictor: Predicts, items: Iterable[Item]) -> Iterator[Answer[Any, Any] | ErrorRecord | Pause]:
    """Predictions and error records, in the order of the records.

    Args:
        predictor: takes examples as far ahead as it likes.
        items: records as `read_records` gives them. At a `PAUSE` all before it is answered, and the pause passed on.

    Raises:
        InputError: the predictor refuses examples only together.
    """
    coming = _Pushable(items)
    while not coming.at_end:
        taken: deque[Located[Any] | ErrorRecord] = deque()
        burst = _Burst(coming, taken)
        try:
            for prediction in predictor.predict(burst.examples()):
                yield from _leading_errors(taken)
                located = taken.popleft()
                assert isinstance(located, Located)
                yield Answer(located.line, located.example, prediction)
        except (InputError, ConfigurationError) as error:
            coming.push_back(_with_culprit_named(predictor, taken, error))
            continue
        yield from _leading_errors(taken)
        assert not taken, "the predictor gave fewer predictions than it took examples"
        if burst.paused:
            yield PAUSE


class _Pushable:
    """An iterator to which items can be given back."""

    def __init__(self, items: Iterable[Item]) -> None:
        self._items = iter(items)
        self._returned: deque[Item] = deque()
        self.at_end = False

    def __iter__(self) -> Iterator[Item]:
        while True:
            if self._returned:
                yield self._returned.popleft()
                continue
            try:
                item = next(self._items)
            except StopIteration:
                self.at_end = True
                return
            yield item

    def push_back(self, items: Iterable[Item]) -> None:
        self._returned.extendleft(reversed(list(items)))
        self.at_end = False


class _Burst:
    """Records up to the next pause."""

    def __init__(self, items: _Pushable, taken: deque[Located[Any] | ErrorRecord]) -> None:
        self._items = items
        self._taken = taken
        self.paused = False

    def examples(self) -> Iterator[Any]:
        """The examples; each record that passes by is put down in `taken`."""
        num_errors = 0
        for item in self._items:
            if isinstance(item, Pause):
                self.paused = True
                return
            self._taken.append(item)
            if isinstance(item, Located):
                yield item.example
            else:
                num_errors += 1
                if num_errors == _MOST_ERRORS_HELD:
                    return


def _leading_errors(taken: deque[Located[Any] | ErrorRecord]) -> Iterator[ErrorRecord]:
    while taken and isinstance(taken[0], ErrorRecord):
        error = taken.popleft()
        assert isinstance(error, ErrorRecord)
        yield error


def _with_culprit_named(
    predictor: Predicts, taken: Iterable[Located[Any] | ErrorRecord], error: Exception
) -> list[Item]:
    """The records with the one that the predictor refuses replaced by its error; `error` again if there is none."""
    items: list[Item] = list(taken)
    # An example is refused when its windows are made, right after it was taken: it is nearly always the last.
    for place in reversed(range(len(items))):
        item = items[place]
        if isinstance(item, Located):
            try:
                list(predictor.predict([item.example]))
            except (InputError, ConfigurationError) as reason:
                items[place] = ErrorRecord(item.line, str(reason), item.example.id)
                return items
    raise error
