"""The contract that every fine-tuned task fulfils; training, windows, prediction, evaluation and files are generic.

    file -> read -> examples -> features -> windows -> (encoder, head) -> scores -> decode -> predictions -> figures

Only `model_class` needs torch: everything else of a task, and whoever reads, checks or scores files, works without.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, Protocol, Self, TypeVar

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from spanbert.task_model import TaskModel
    from spanbert.tokenization import PieceTokenizer

IntArray = npt.NDArray[np.integer[Any]]
Array = npt.NDArray[Any]


class Example(Protocol):
    """What a task learns from and predicts for: a frozen dataclass."""

    @property
    def id(self) -> str:
        """Names the example within its file; predictions carry it too."""
        ...

    def to_json(self) -> dict[str, Any]:
        """The example as a JSON object; the task's `example` reads it again."""
        ...


class Prediction(Protocol):
    """What a task says of an example: a frozen dataclass; offsets are code points of the example's own text."""

    def to_json(self) -> dict[str, Any]:
        """The prediction as a JSON object; the task's `prediction` reads it again."""
        ...


UNKNOWN_LABEL = "unknown label"
"""The `Problem.kind` of a label that was not there to be learned."""


def with_its_case(label: str, known: Iterable[str]) -> str:
    """A label that is not known, with the one that is probably meant: a known one that differs in case alone."""
    meant = next((one for one in known if one.casefold() == label.casefold()), None)
    return label if meant is None else f"{label} (is {meant} meant?)"


ExampleT = TypeVar("ExampleT", bound=Example)
PredictionT = TypeVar("PredictionT", bound=Prediction)


@dataclass(frozen=True, slots=True)
class Located(Generic[ExampleT]):
    """An example and where it stands in its file."""

    example: ExampleT
    line: int
    """Line of the file, from 1, where the record begins."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong in a data file."""

    line: int
    """Line of the file, from 1."""
    kind: str
    """A few words that are the same for all problems of the kind: "answer not in context"."""
    detail: str
    """What is wrong with this record and what to do; names the record's id where it has one."""
    skipped: bool = True
    """Whether the record is left out for it; otherwise it is used as the detail says."""


@dataclass(frozen=True, slots=True)
class Window:
    """A part of an example as the encoder sees it: [CLS] pieces [SEP], or whatever the task puts there.

    Arrays of all windows of a batch are joined along their first axis.
    """

    pieces: IntArray
    """[T] piece ids, special pieces included."""
    segments: IntArray | None = None
    """[T] segment ids; None means 0. Either all windows of a task have them or none."""
    positions: Mapping[str, IntArray] = field(default_factory=dict)
    """By name, integer arrays [n, ...] that hold positions in `pieces`; a batch turns them into positions of its own
    N pieces. Negative values (nothing there) stay as they are."""
    values: Mapping[str, Array] = field(default_factory=dict)
    """By name, arrays [n, ...] that a batch joins as they are: labels, widths, masks."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """Targets by loss name; only needed in training. What a task leaves out is counted here as `left_out_...`."""
    place: Any = None
    """What `decode` needs to find the way back to the text; never leaves the CPU."""


@dataclass(frozen=True, slots=True)
class Scored(Generic[ExampleT]):
    """An example with the model's scores for all its windows, all in memory of the CPU."""

    example: ExampleT
    windows: Sequence[Window]
    scores: Sequence[Mapping[str, npt.NDArray[np.float32]]]
    """For each window, its rows of every array that `score_rows` names."""


@dataclass(frozen=True, kw_only=True)
class TaskSettings:
    """Options of a task that shape what its model computes, and what it learned beside its weights.

    A task's own settings inherit from this and from its `DataOptions`; all are stored in the model's config.json.
    Fields that are learned (labels, thresholds) are marked `tyro.conf.Suppress` and so are no flags.
    """

    max_length: int = 384
    """Most pieces of a window, special pieces included; longer text is read in several overlapping windows."""

    stride: int = 128
    """Pieces by which neighbouring windows of one text overlap."""


class Task(ABC, Generic[ExampleT, PredictionT]):
    """A task with its settings.

    Methods that learn something give a new task with other settings.
    """

    name: ClassVar[str]
    """On the command line and in config.json; its package is `spanbert.tasks.<name with _ for ->`."""
    summary: ClassVar[str]
    """One line for `spanbert finetune --help`."""
    unit: ClassVar[Literal["window", "example"]] = "window"
    """What the loss is about and batching never splits: a window, or all the windows of an example."""
    score_rows: ClassVar[Mapping[str, str]]
    """By name of a score array, what its rows are: "pieces", "windows", or the name of an array in the windows'
    `positions` or `values`; in a task whose unit is the example also "examples" (given with the first window)."""
    choices: ClassVar[frozenset[str]] = frozenset()
    """The score arrays that say what the scores have chosen (places), and are no scores themselves."""
    data_options: ClassVar[type[Any]]
    """A keyword-only frozen dataclass: how files of this task are read (columns, separators, encoding)."""
    settings_class: ClassVar[type[Any]]
    """Inherits from `TaskSettings` and `data_options`."""
    learning_rate: ClassVar[float] = 5e-5
    """Highest learning rate of an encoder 768 wide, as BERT's, where the user names none; see `default_learning_rate`
    for other widths."""
    finetuning: ClassVar[Mapping[str, Any]] = {}
    """Defaults of `FinetuneConfig` that are other for this task."""
    id_keys: ClassVar[tuple[str, ...]] = ("id",)
    """Keys of a JSON object that may hold its id; the first that is there counts."""
    plain_text: ClassVar[Literal["line", "file"] | None] = None
    """What one example of plain text is in prediction; None where plain text is not enough."""
    output_formats: ClassVar[Mapping[str, str]] = {}
    """How `spanbert predict --format` can write predictions besides JSON lines: by name, the "module:Class" of an
    `AnswerWriter`, which is imported when it is asked for."""

    def __init__(self, settings: Any) -> None:
        self.settings = settings

    @property
    def head_learning_rate(self) -> float | None:
        """Highest learning rate of what is not the encoder with these settings, where neither the user nor `finetuning`
        names one; None means the encoder's."""
        return None

    # Data

    @classmethod
    @abstractmethod
    def read(cls, path: str | Path, options: Any) -> Iterator[Located[ExampleT] | Problem]:
        """The examples of a file (also .gz, .zst, "-" for standard input) and everything that is wrong with it, in
        order of lines.

        Args:
            path: the file.
            options: a `data_options`, or settings, which inherit from it.

        Raises:
            InputError: the file as a whole cannot be read: missing, not in a known format, a column is not there.
        """

    @classmethod
    @abstractmethod
    def check(cls, examples: Sequence[Located[ExampleT]], options: Any) -> Iterator[Problem]:
        """What is wrong with examples that could be read one by one: duplicate ids, overlapping spans, ..."""

    @classmethod
    @abstractmethod
    def describe(cls, examples: Sequence[ExampleT]) -> dict[str, Mapping[str, int]]:
        """Counts by title, for people: `{"labels": {"PER": 12, ...}}`."""

    @classmethod
    @abstractmethod
    def text_of(cls, example: ExampleT) -> str:
        """The text whose length decides whether the example needs windows."""

    @classmethod
    def is_answered(cls, example: ExampleT) -> bool:
        """Whether the right answer is known (which may be that there is none): only then it is learned and scored."""
        return True

    @classmethod
    @abstractmethod
    def example(cls, record: Mapping[str, Any]) -> ExampleT:
        """An example from a JSON object, with or without what is to be predicted. The inverse of `Example.to_json`.

        Raises:
            InputError: a key is missing or a value is not what it should be; names the key.
        """

    @classmethod
    def with_id(cls, record: Mapping[str, Any], default: str) -> dict[str, Any]:
        """A JSON object with "id": its own by one of `id_keys`, or the default."""
        own = (record[key] for key in cls.id_keys if record.get(key) is not None)
        return {**record, "id": next(own, default)}

    @classmethod
    def example_from_text(cls, text: str, id: str) -> ExampleT:
        """An example from plain text; only where `plain_text` is not None."""
        raise NotImplementedError

    @classmethod
    @abstractmethod
    def prediction(cls, record: Mapping[str, Any]) -> PredictionT:
        """A prediction from its JSON object. The inverse of `Prediction.to_json`."""

    @classmethod
    @abstractmethod
    def read_predictions(
        cls, path: str | Path, gold: Sequence[ExampleT], options: Any
    ) -> tuple[list[PredictionT | None], list[Problem]]:
        """Predictions for `gold` from a file: our JSON lines, or the form that the field's official scorer reads.

        Returns:
            For each gold example its prediction, None where the file has none; and what is wrong with the file.
        """

    @classmethod
    @abstractmethod
    def golden_examples(cls) -> Sequence[ExampleT]:
        """A few inputs from the sample corpus, English and Chinese, whose answers are stored with a model."""

    # Learning

    @abstractmethod
    def learn(self, examples: Sequence[ExampleT]) -> Self:
        """The task with what has to be known before training, such as the labels.

        Raises:
            InputError: nothing can be learned from these examples.
        """

    def stratum(self, example: ExampleT) -> str | None:
        """What a train/dev split keeps in proportion, such as the label."""
        return None

    def group(self, example: ExampleT) -> str:
        """Examples of one group (questions of one article) stay on one side of a train/dev split."""
        return example.id

    @property
    def extra_pieces(self) -> Mapping[str, str]:
        """Special pieces that the task adds to the vocabulary once it has learned (markers of entities), each with
        words: its embedding begins as the mean of their pieces'. `features` finds them with `tokenizer.id`."""
        return {}

    @abstractmethod
    def model_class(self) -> type[TaskModel]:
        """The model: a `PreTrainedModel` whose tensors are named as in transformers where it has the class."""

    def model_fields(self) -> dict[str, Any]:
        """Fields of config.json that transformers' class for the task needs, such as `id2label`."""
        return {}

    @abstractmethod
    def features(self, example: ExampleT, tokenizer: PieceTokenizer, *, training: bool) -> list[Window]:
        """The windows of an example, at least one. With `training` they also hold targets; without, nothing of the
        right answer is looked at."""

    def training_units(self, example: ExampleT, tokenizer: PieceTokenizer) -> Sequence[Sequence[Window]]:
        """The windows of an example with targets, in what the loss is about: each window, or all together. A task may
        cut a long example into several units."""
        windows = self.features(example, tokenizer, training=True)
        return [windows] if self.unit == "example" else [[window] for window in windows]

    @abstractmethod
    def decode(self, scored: Scored[ExampleT]) -> PredictionT:
        """The prediction for one example. It does not depend on which windows were computed together."""

    def calibrate(self, scored: Sequence[Scored[ExampleT]]) -> Self:
        """The task with thresholds and temperatures that fit a development set with known answers."""
        return self

    # Measuring

    @property
    @abstractmethod
    def main_metric(self) -> str:
        """The figure that decides about the best checkpoint; more is better."""

    @classmethod
    @abstractmethod
    def compare(cls, gold: Sequence[ExampleT], predicted: Sequence[PredictionT | None], options: Any) -> Comparison:
        """Everything about right and wrong, example by example; None counts as no prediction at all."""

    # What people look at in an evaluation's report

    @abstractmethod
    def explain(self, example: ExampleT, prediction: PredictionT) -> Explanation:
        """The example with its right and its predicted answer, for the worst cases of a report."""


class Comparison(ABC):
    """Gold and predicted answers of E examples, compared once, so that figures of any part of them come at once."""

    @property
    @abstractmethod
    def num_examples(self) -> int:
        """E."""

    @abstractmethod
    def figures(self, chosen: IntArray | None = None) -> dict[str, float]:
        """The official figures over the examples of `chosen` (indices, repeats allowed: bootstrap samples), or all.

        Shares are percentages, as the official scorers print them. Names: "f1", "exact_match", "f1/PER".
        """

    @abstractmethod
    def badness(self) -> npt.NDArray[np.float64]:
        """[E] how wrong each example is, 0 for right; a confident mistake is worse than a hesitant one."""

    def confidences(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]] | None:
        """Of every single prediction its probability and whether it is right, for the calibration plot."""
        return None

    def confusions(self) -> Mapping[tuple[str, str], int] | None:
        """(gold label, predicted label) -> number, for the confusion matrix."""
        return None


@dataclass(frozen=True, slots=True)
class Mark:
    """A marked stretch of a text, half-open, in code points."""

    start: int
    end: int
    label: str
    kind: Literal["right", "wrong", "missed", "shown"]
    """Predicted and right, predicted and wrong, gold and not predicted, or only pointed out."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """One example for people: its text with marks, and a line each on what is right and what was predicted."""

    text: str
    marks: Sequence[Mark]
    gold: str
    predicted: str
    question: str | None = None


def examples_of(items: Iterable[Located[ExampleT] | Problem]) -> tuple[list[Located[ExampleT]], list[Problem]]:
    """Split what `Task.read` yields into examples and problems."""
    examples: list[Located[ExampleT]] = []
    problems: list[Problem] = []
    for item in items:
        if isinstance(item, Problem):
            problems.append(item)
        else:
            examples.append(item)
    return examples, problems
