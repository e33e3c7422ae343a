"""A task as small as the contract allows, for tests of what is generic and needs no model: one label a line.

A line of a data file is `label<TAB>text`, one of a prediction file `id<TAB>label<TAB>confidence`; ids are line numbers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
import numpy.typing as npt
import pytest
import tyro

from spanbert import tasks
from spanbert.errors import ConfigurationError
from spanbert.example_files import read_lines
from spanbert.task import (
    Comparison,
    Explanation,
    IntArray,
    Located,
    Mark,
    Problem,
    Scored,
    Task,
    TaskSettings,
    Window,
)


@dataclass(frozen=True, kw_only=True)
class LineOptions:
    """How files of lines are read."""

    separator: str = "\t"
    """What stands between label
    and text."""

    def __post_init__(self) -> None:
        if not self.separator:
            raise ConfigurationError("--separator must not be empty")


@dataclass(frozen=True, kw_only=True)
class LineSettings(TaskSettings, LineOptions):
    """Settings of the task."""

    label_weights: dict[str, float] = field(default_factory=dict)
    """Weights by label."""

    labels: Annotated[tuple[str, ...], tyro.conf.Suppress] = ()
    """Learned."""


@dataclass(frozen=True)
class Line:
    """A labelled text."""

    id: str
    text: str
    label: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Guess:
    """A predicted label."""

    label: str
    confidence: float = 1.0

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


class LineComparison(Comparison):
    def __init__(self, gold: Sequence[Line], predicted: Sequence[Guess | None]) -> None:
        self.gold = gold
        self.predicted = predicted
        self.right = np.array([guess is not None and guess.label == line.label for line, guess in self.pairs], bool)

    @property
    def pairs(self) -> list[tuple[Line, Guess | None]]:
        return list(zip(self.gold, self.predicted, strict=True))

    @property
    def num_examples(self) -> int:
        return len(self.gold)

    def figures(self, chosen: IntArray | None = None) -> dict[str, float]:
        right = self.right if chosen is None else self.right[chosen]
        figures = {"accuracy": 100 * float(right.mean())}
        for label in sorted({line.label for line in self.gold}):
            of_label = np.array([line.label == label for line in self.gold])
            of_label = of_label if chosen is None else of_label[chosen]
            figures[f"accuracy/{label}"] = 100 * float(right[of_label].mean()) if of_label.any() else 0.0
        return figures

    def badness(self) -> npt.NDArray[np.float64]:
        confidence = np.array([0.5 if guess is None else guess.confidence for guess in self.predicted])
        return np.where(self.right, 0.0, confidence)

    def confidences(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
        chosen = [number for number, guess in enumerate(self.predicted) if guess is not None]
        return np.array([self.predicted[n].confidence for n in chosen]), self.right[chosen]  # type: ignore[union-attr]

    def confusions(self) -> Mapping[tuple[str, str], int]:
        return Counter((line.label, guess.label) for line, guess in self.pairs if guess is not None)


class LabelledLines(Task[Line, Guess]):
    name: ClassVar[str] = "labelled-lines"
    summary: ClassVar[str] = "a label for each line"
    score_rows: ClassVar[Mapping[str, str]] = {}
    data_options: ClassVar[type[Any]] = LineOptions
    settings_class: ClassVar[type[Any]] = LineSettings
    finetuning: ClassVar[Mapping[str, Any]] = {"epochs": 7.0}

    @classmethod
    def read(cls, path: str | Path, options: Any) -> Iterator[Located[Line] | Problem]:
        for number, content in read_lines(path):
            label, separator, text = content.partition(options.separator)
            if separator and text:
                yield Located(Line(str(number), text, label), number)
            else:
                yield Problem(number, "no text", f"{content!r} has no text after a label")

    @classmethod
    def check(cls, examples: Sequence[Located[Line]], options: Any) -> Iterator[Problem]:
        for item in examples:
            if item.example.text.isspace():
                yield Problem(item.line, "only white space", f"example {item.example.id} has no word", skipped=False)

    @classmethod
    def describe(cls, examples: Sequence[Line]) -> dict[str, Mapping[str, int]]:
        return {"labels": Counter(line.label for line in examples)}

    @classmethod
    def text_of(cls, example: Line) -> str:
        return example.text

    @classmethod
    def example(cls, record: Mapping[str, Any]) -> Line:
        return Line(record["id"], record["text"], record["label"])

    @classmethod
    def prediction(cls, record: Mapping[str, Any]) -> Guess:
        return Guess(record["label"], record["confidence"])

    @classmethod
    def read_predictions(
        cls, path: str | Path, gold: Sequence[Line], options: Any
    ) -> tuple[list[Guess | None], list[Problem]]:
        found: dict[str, Guess] = {}
        problems = []
        known = {line.id for line in gold}
        for number, content in read_lines(path):
            id, label, confidence = content.split("\t")
            if id in known:
                found[id] = Guess(label, float(confidence))
            else:
                problems.append(Problem(number, "surplus prediction", f"there is no example {id!r}"))
        return [found.get(line.id) for line in gold], problems

    @classmethod
    def golden_examples(cls) -> Sequence[Line]:
        return [Line("1", "A sparrow sang.", "")]

    def learn(self, examples: Sequence[Line]) -> LabelledLines:
        return type(self)(replace(self.settings, labels=tuple(sorted({line.label for line in examples}))))

    def model_class(self) -> Any:
        raise NotImplementedError

    def features(self, example: Line, tokenizer: Any, *, training: bool) -> list[Window]:
        raise NotImplementedError

    def decode(self, scored: Scored[Line]) -> Guess:
        raise NotImplementedError

    @property
    def main_metric(self) -> str:
        return "accuracy"

    @classmethod
    def compare(cls, gold: Sequence[Line], predicted: Sequence[Guess | None], options: Any) -> LineComparison:
        return LineComparison(gold, predicted)

    def explain(self, example: Line, prediction: Guess) -> Explanation:
        mark = Mark(0, len(example.text.partition(" ")[0]), prediction.label, "wrong")
        return Explanation(example.text, [mark], example.label, prediction.label)


@pytest.fixture
def labelled_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the task known, as the only one."""
    monkeypatch.setattr(tasks, "TASKS", {LabelledLines.name: "labelled_lines_task:LabelledLines"})
