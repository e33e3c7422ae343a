"""A task and a predictor without torch: what they say of a text are its length and whether its code points are many."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np

from spanbert.errors import ConfigurationError, InputError
from spanbert.task import Scored, Task, Window


@dataclass(frozen=True)
class FakeExample:
    id: str
    text: str

    def to_json(self) -> dict[str, Any]:
        return {"id": self.id, "text": self.text}


@dataclass(frozen=True)
class FakePrediction:
    id: str
    label: str
    probability: float
    text: str

    def to_json(self) -> dict[str, Any]:
        return {"id": self.id, "label": self.label, "probability": self.probability, "text": self.text}


class FakeTask:
    name = "fake"
    plain_text = "line"
    id_keys = ("id",)
    choices: frozenset[str] = frozenset()
    settings = SimpleNamespace(labels=("short", "long"), threshold=0.5)

    with_id = classmethod(Task.with_id.__func__)  # type: ignore[attr-defined]

    def example(self, record: Mapping[str, Any]) -> FakeExample:
        if not isinstance(record.get("text"), str):
            raise InputError('"text" must be a string')
        return FakeExample(str(record["id"]), record["text"])

    def example_from_text(self, text: str, id: str) -> FakeExample:
        return FakeExample(id, text)

    def features(self, example: FakeExample) -> list[Window]:
        if "refuse" in example.text:
            raise ConfigurationError("there is no room for this one")
        return [Window(pieces=np.array([2, *(ord(character) % 97 for character in example.text), 3]))]

    def decode(self, scored: Scored[FakeExample]) -> FakePrediction:
        score = float(scored.scores[0]["label"][0])
        probability = 1 / (1 + np.exp(-score))
        label = self.settings.labels[int(probability > self.settings.threshold)]
        return FakePrediction(scored.example.id, label, float(probability), scored.example.text)


@dataclass
class FakePredictor:
    """Takes `look_ahead` examples before it answers the first of them."""

    look_ahead: int = 4
    weight: float = 0.1
    task: Any = field(default_factory=FakeTask)
    precision: str = "fp32"
    device: Any = field(default_factory=lambda: SimpleNamespace(type="cpu"))
    tokenizer: Any = field(default_factory=lambda: SimpleNamespace(piece=chr))
    shift: int = 0
    num_scored: int = 0

    def predict(self, examples: Iterable[FakeExample]) -> Iterator[FakePrediction]:
        return map(self.task.decode, self.score(examples))

    def score(self, examples: Iterable[FakeExample]) -> Iterator[Scored[FakeExample]]:
        held: list[tuple[FakeExample, list[Window]]] = []
        for example in examples:
            held.append((example, self.task.features(example)))
            if len(held) == self.look_ahead:
                yield from map(self._scored, held)
                held = []
        yield from map(self._scored, held)

    def _scored(self, item: tuple[FakeExample, list[Window]]) -> Scored[FakeExample]:
        example, windows = item
        self.num_scored += 1
        if self.shift:
            windows = [Window(pieces=window.pieces + self.shift) for window in windows]
        scores = [
            {
                "label": np.array([(len(window.pieces) - 7) * self.weight], np.float32),
                "pieces": np.where(window.pieces > 90, -np.inf, window.pieces * self.weight).astype(np.float32),
            }
            for window in windows
        ]
        return Scored(example, windows, scores)
